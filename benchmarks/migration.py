"""Migrations: how long a plan takes against a bare walk, and a run against others who copy. A command of its own.

python benchmarks/migration.py [--quick] [plan|disk|run|azure ...]
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import lay_photos

from intouch_import import migration
from intouch_import.migration.walking import Folders, walk
from intouch_import.model import EntryKind, Patient, SourceFile
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULE = migration.FolderRule("{patient} - {*}")
PATIENTS = 1000


class Synthetic(Source):
    """An archive that exists in no place: so many folders with so many files each."""

    location = "synthetic"

    def __init__(
        self, folders: int, files: int, *, inner: str | None = None, source_id: str = "synthetic"
    ) -> None:
        super().__init__("synthetic", source_id=source_id)
        self.folders, self.files, self.inner = folders, files, inner

    @property
    def filesystem(self) -> Any:
        raise NotImplementedError

    def below(self, *folders: str, source_id: str) -> Source:
        inner = folders[-1] if folders else None
        return Synthetic(self.folders, self.files, inner=inner, source_id=source_id)

    def scan(self) -> Iterator[SourceFile]:
        if self.inner is None:
            for number in range(self.folders):
                name = f"{number % PATIENTS:05} - Patient {number}"
                yield SourceFile(name=name, kind=EntryKind.FOLDER, size_bytes=0, version="")
            return
        for number in range(self.files):
            yield SourceFile(
                name=f"IMG_{number:06}.jpg",
                size_bytes=2_000_000 + number,
                modified_ns=1_700_000_000_000_000_000 + number,
                version=f"{number:x}-{len(self.inner):x}",
            )

    def look(self, name: str) -> None:
        raise NotImplementedError

    fetch = put = remove = look  # type: ignore[assignment]


def records_in(folder: Path) -> SqlRepository:
    records = SqlRepository.open(f"sqlite:///{folder / 'clinic.db'}", files=folder / "files")
    records.add_patients(Patient(id=f"{number:05}", name=f"Patient {number}") for number in range(PATIENTS))
    return records


def plan_synthetic(rows: int) -> None:
    """Time per row and peak memory of a plan, in a process of its own, against the walk alone."""
    folders = rows // 1000
    started = time.perf_counter()
    walked = sum(len(found.files) for found in walk(Folders(Synthetic(folders, 1000))))
    walk_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as root:
        records = records_in(Path(root))
        before = peak_mb()
        started = time.perf_counter()
        plan = migration.plan(
            lambda: Synthetic(folders, 1000), RULE, records, to=Path(root, "plan"), zone="UTC"
        )
        plan_s = time.perf_counter() - started
        size = sum(path.stat().st_size for path in plan.directory.glob("*.parquet"))
        assert len(plan) == walked == rows
        say(
            f"plan of {rows:,} synthetic rows: {plan_s:.1f} s, {plan_s / rows * 1e6:.1f} µs a row; the walk alone "
            f"{walk_s / rows * 1e6:.1f} µs; ratio {plan_s / walk_s:.1f}"
        )
        say(
            f"  peak memory {peak_mb():.0f} MB ({before:.0f} MB before); Parquet {size / 1e6:.0f} MB, "
            f"{size / rows:.0f} bytes a row"
        )
        started = time.perf_counter()
        plan.counts("reason")
        say(f"  counts by reason: {time.perf_counter() - started:.2f} s")
        review_synthetic(plan)


def review_synthetic(plan: migration.Plan) -> None:
    """What a review asks of a plan, without decisions and with some, by rule and one by one."""

    def told(when: str) -> None:
        last = len(plan) - 100
        counts_s = timed(lambda: plan.counts("reason"))
        page_s = timed(lambda: list(plan.rows(limit=100, offset=last)))
        where = {"path": "*/IMG_000500*"}
        some_s = timed(lambda: list(plan.rows(where, limit=100, offset=plan.survey(where).total - 100)))
        say(
            f"  {when}: counts {counts_s:.2f} s; last page {page_s:.3f} s, of what a filter finds {some_s:.2f} s"
        )

    told("before decisions")
    plan.override({"folder": "0001*"}, leave_out=True)
    plan.override({"path": "*/IMG_0005*"}, patient="00005")
    for number in range(0, len(plan), len(plan) // 200):
        plan.override({"number": number}, patient="00007")
    told("after 202 decisions")


def plan_disk(files: int) -> None:
    """A plan of real small files, against a walk that asks for each file's size and time."""
    with tempfile.TemporaryDirectory() as root:
        disk = Path(root, "disk")
        for number in range(files):
            if number % 100 == 0:
                folder = disk / f"{number // 100 % PATIENTS:05} - Patient {number // 100}"
                folder.mkdir(parents=True)
            with open(folder / f"IMG_{number:06}.jpg", "wb", buffering=0) as file:
                file.write(b"small")
        bare_s = min(timed(lambda: bare_walk(disk)) for _ in range(2))
        records = records_in(Path(root))
        plan_s = timed(lambda: migration.plan(disk, RULE, records, to=Path(root, "plan"), zone="UTC"))
        say(
            f"plan of {files:,} files on disk: {plan_s:.1f} s, {plan_s / files * 1e6:.0f} µs a file; "
            f"os.scandir and stat {bare_s / files * 1e6:.0f} µs; ratio {plan_s / bare_s:.1f}"
        )


def bare_walk(folder: Path) -> int:
    count, pending = 0, [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    count += 1
    return count


def run_disk(files: int, kb: int) -> None:
    """Copies of one archive: one thread, threads, a cluster of two processes, rclone."""
    with tempfile.TemporaryDirectory() as root:
        disk = Path(root, "disk")
        disk.mkdir()
        per_folder = files // 20
        for number in range(20):
            lay_photos(disk / f"{number:05} - Patient", per_folder, kb * 1000 + number, name="IMG_{:06}.bin")

        def one(name: str, **options: Any) -> float:
            place = Path(root, name)
            place.mkdir()
            records = records_in(place)
            plan = migration.plan(disk, RULE, records, to=place / "plan", mode="copy", zone="UTC")
            given: Any = records
            if "client" in options:
                given = functools.partial(
                    SqlRepository.open, f"sqlite:///{place / 'clinic.db'}", files=place / "files"
                )
            os.sync()  # what the party before has left to be written is not ours to wait for
            started = time.perf_counter()
            run = plan.run(given, check_content=False, **options).wait()
            took = time.perf_counter() - started
            done = run.progress.counts
            assert done == {"imported": files}, done
            records.close()
            shutil.rmtree(place)
            return took

        times = {"one thread": one("single", threads=1, window=1)}
        times["threads"] = one("threads")
        times["threads, 4 and 2 partitions"] = one("wide", threads=4, window=2)
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            times["Dask, 2 processes"] = one("dask", client=client, threads=2)
        if rclone := shutil.which("rclone"):
            command = [rclone, "copy", "--checksum", str(disk), str(Path(root, "rclone"))]
            os.sync()
            started = time.perf_counter()
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            times["rclone copy --checksum"] = time.perf_counter() - started
            os.sync()  # rclone leaves that to the system; ours are on the disk before the records say so
            times["rclone copy --checksum, and sync"] = time.perf_counter() - started
        for name, took in times.items():
            say(
                f"copy of {files:,} files of {kb} KB: {name}: {took:.2f} s, {files / took:.0f} files/s, "
                f"{took / times['threads']:.2f} of threads"
            )


def run_azure(files: int, kb: int) -> None:
    """The same from Azurite."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from services.azurite import ACCOUNT, KEY, run_azurite  # type: ignore[import-not-found]

    with run_azurite() as azurite, azurite.container() as client, tempfile.TemporaryDirectory() as root:
        fill(client, files, kb)
        container = client.container_name
        options = {"account_name": ACCOUNT, "account_key": KEY, "endpoint": azurite.endpoint}
        took: dict[str, float] = {}
        for name, given in (("one thread", {"threads": 1, "window": 1}), ("threads", {})):
            place = Path(root, name)
            place.mkdir()
            records = records_in(place)
            archive = migration.Archive(f"az://{container}", options)
            started = time.perf_counter()
            plan = migration.plan(archive, RULE, records, to=place / "plan", mode="copy", zone="UTC")
            planned_s = time.perf_counter() - started
            took[name] = timed(functools.partial(carry_out, plan, records, given))
            say(
                f"Azurite, copy of {files:,} blobs of {kb} KB: {name}: planned in {planned_s:.2f} s, "
                f"copied in {took[name]:.2f} s, {files / took[name]:.0f} files/s"
            )
        if rclone := shutil.which("rclone"):
            at = f"{azurite.endpoint}?{azurite.sas(container)}"
            command = [rclone, "copy", "--checksum", f":azureblob:{container}", str(Path(root, "rclone"))]
            command += ["--azureblob-sas-url", at, "--transfers", "16", "--config", "", "--quiet"]
            rclone_s = timed(lambda: subprocess.run(command, check=True))
            say(f"  rclone copy --checksum: {rclone_s:.2f} s, {rclone_s / took['threads']:.2f} of threads")


def carry_out(plan: migration.Plan, records: SqlRepository, given: dict[str, Any]) -> None:
    run = plan.run(records, check_content=False, **given).wait()
    assert run.progress.counts == {"imported": len(plan)}, run.progress


def fill(client: Any, files: int, kb: int) -> None:
    block = os.urandom(kb * 1000)
    for number in range(files):
        name = f"{number % 20:05} - Patient/IMG_{number:06}.bin"  # random bytes are no JPEG, and would wait
        client.upload_blob(name, number.to_bytes(8, "big") + block)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=["plan", "disk", "run", "azure", []])
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    scale = 20 if given.quick else 1
    parts: dict[str, Callable[[], None]] = {
        "plan": lambda: plan_synthetic(1_000_000 // scale),
        "disk": lambda: plan_disk(100_000 // scale),
        "run": lambda: run_disk(2_000 // scale, 150),
        "azure": lambda: run_azure(600 // scale, 150),
    }
    for name in given.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
