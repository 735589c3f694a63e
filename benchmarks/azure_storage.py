"""How fast files leave a container of Azurite, and how fast one is listed, against rclone and the bare SDK."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import PATIENT, Line, at_most, clinic, in_turn, part_of, per_file, seconds

from intouch_import.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.storage.blob import ContainerClient
    from measuring import Sizes

    from intouch_import.sources import Source

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

THREADS = 16
LIST_LIMIT = 1.5
NOT_MEASURED = "not measured: needs the extra azure-fast, and Azurite (npm)"


def lines(sizes: Sizes) -> list[Line]:
    """Everything about Azure, on one Azurite after the other: it slows down with what it has held."""
    try:
        import azure.storage.blob  # noqa: F401
        import obstore  # noqa: F401

        from services.azurite import run_azurite
        from services.cache import Unavailable
    except ImportError:
        return [Line(what="Azure", ours=NOT_MEASURED)]
    table: list[Line] = []
    try:
        for subject in (listing, again, small, large):
            with run_azurite() as azurite:
                table += subject(azurite, sizes)
    except Unavailable:
        table.append(Line(what="Azure", ours=NOT_MEASURED))
    return table


# --- listing


def listing(azurite: Any, sizes: Sizes) -> list[Line]:
    """List a folder of a container that has many more blobs elsewhere."""
    count, elsewhere = sizes.azure_listed, sizes.azure_listed * 4
    with azurite.container() as container:
        lay_out(container, count, 100)
        lay_out(container, elsewhere // 2, 100, folder="archive/2025/")
        lay_out(container, elsewhere // 2, 100, folder="photos2/")
        with opened(azurite, container) as source:
            ours_s, bare_s = in_turn(
                sizes.repeat,
                lambda: seconds(lambda: expect(count, sum(1 for _ in source.scan()))),
                lambda: seconds(lambda: expect(count, sum(1 for _ in container.list_blobs("photos/")))),
            )
    ratio = ours_s / bare_s
    return [
        Line(
            what=f"list {count:,} blobs of a folder, {elsewhere:,} elsewhere in the container / the SDK's bare list_blobs",
            ours=per_file(ours_s, count),
            peer=per_file(bare_s, count),
            ratio=f"{ratio:.2f} x",
            target=at_most(LIST_LIMIT, ratio),
        )
    ]


def again(azurite: Any, sizes: Sizes) -> list[Line]:
    """Refresh a list in which nothing has changed."""
    count = sizes.azure_waiting
    with azurite.container() as container, clinic(part_of(sizes.folder)) as records:
        lay_out(container, count, 10)
        with opened(azurite, container) as source:
            inbox = Inbox(records, [source], auto_import=False)
            inbox.refresh()
            ours_s, bare_s = in_turn(
                sizes.repeat,
                lambda: seconds(lambda: expect(count, inbox.refresh().waiting)),
                lambda: seconds(lambda: expect(count, sum(1 for _ in container.list_blobs("photos/")))),
            )
    return [
        Line(
            what=f"refresh {count:,} waiting blobs of which none changed / the SDK's bare list_blobs",
            ours=per_file(ours_s, count),
            peer=per_file(bare_s, count),
            ratio=f"{ours_s / bare_s:.2f} x",
        )
    ]


# --- moving


def small(azurite: Any, sizes: Sizes) -> list[Line]:
    """Move many photos."""
    return moved(azurite, sizes, sizes.azure_small, 200_000)


def large(azurite: Any, sizes: Sizes) -> list[Line]:
    """Move fewer, larger ones."""
    return moved(azurite, sizes, sizes.azure_large, 4_000_000)


def moved(azurite: Any, sizes: Sizes, count: int, size_bytes: int) -> list[Line]:
    """Let each party move the same number of blobs, in turn."""
    found: dict[str, list[dict[str, float]]] = {}

    def turn(
        name: str, party: Callable[[Any, ContainerClient, Path], dict[str, float]]
    ) -> Callable[[], float]:
        def one() -> float:
            with azurite.container() as container:
                lay_out(container, count, size_bytes)
                told = party(azurite, container, part_of(sizes.folder))
                expect(0, sum(1 for _ in container.list_blob_names()))
                container.delete_container()
            found.setdefault(name, []).append(told)
            return told["seconds"]

        return one

    parties: dict[str, Any] = {"fast": ours_fast, "sdk": ours_sdk, "bare": bare_sdk}
    if shutil.which("rclone"):
        parties = {"rclone": rclone, **parties}
    medians = in_turn(sizes.repeat, *(turn(name, party) for name, party in parties.items()))
    took_s = dict(zip(parties, medians, strict=True))
    what = f"move {count:,} blobs of {size_bytes / 1000:,.0f} KB from Azurite (list, prepare and save: pinned, durable, verified)"
    table = []
    for name, how in (("fast", "with obstore"), ("sdk", "with the SDK alone")):
        for peer, against in (("rclone", "rclone move --transfers 16, not durable"), ("bare", "the SDK in 16 threads: list, get, SHA-256, write, delete; not durable")):  # fmt: skip
            if peer in took_s:
                ratio = took_s[name] / took_s[peer]
                target = at_most(1, ratio) if (name, peer) == ("fast", "rclone") else ""
                table.append(
                    Line(
                        what=f"{what} {how} / {against}",
                        ours=per_file(took_s[name], count),
                        peer=per_file(took_s[peer], count),
                        ratio=f"{ratio:.2f} x",
                        target=target,
                    )
                )
        told = found[name][-1]
        table.append(
            Line(
                what=f"the same {how}: requests a file, peak of memory above the listed inbox, processor time a file",
                ours=f"{told['requests'] / count:.2f}; +{told['grown_mb']:.0f} MB; {told['cpu_s'] / count * 1000:.1f} ms",
                peer=f"rclone's processor time: {found['rclone'][-1]['cpu_s'] / count * 1000:.1f} ms"
                if "rclone" in found
                else "",
            )
        )
    return table


def ours_fast(azurite: Any, container: ContainerClient, target: Path) -> dict[str, float]:
    """In a process of its own, so that its memory and its time are its own."""
    return ours(azurite, container, target, fast=True)


def ours_sdk(azurite: Any, container: ContainerClient, target: Path) -> dict[str, float]:
    """Likewise, without obstore."""
    return ours(azurite, container, target, fast=False)


def ours(azurite: Any, container: ContainerClient, target: Path, *, fast: bool) -> dict[str, float]:
    """List, choose everything for one patient, save."""
    command = [sys.executable, __file__, azurite.url, container.container_name, str(target), str(int(fast))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def bare_sdk(azurite: Any, container: ContainerClient, target: Path) -> dict[str, float]:
    """What a careful person writes with the SDK: the ETag pins, the bytes are hashed, nothing is read back."""
    from azure.core import MatchConditions
    from azure.storage.blob import ContainerClient as Client

    from services.azurite import ACCOUNT, KEY

    key = {"account_name": ACCOUNT, "account_key": KEY}
    client = Client(azurite.endpoint, container.container_name, credential=key)

    def move(blob: Any) -> None:
        pinned = {"etag": f'"{blob.etag}"', "match_condition": MatchConditions.IfNotModified}
        data = client.download_blob(blob.name, **pinned).readall()
        hashlib.sha256(data).hexdigest()
        (target / blob.name.rpartition("/")[2]).write_bytes(data)
        client.delete_blob(blob.name, **pinned)

    def work() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(move, list(client.list_blobs("photos/"))))

    with client:
        return {"seconds": seconds(work)}


def rclone(azurite: Any, container: ContainerClient, target: Path) -> dict[str, float]:
    """Let rclone move the folder, without a configuration of its own."""
    import resource
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import generate_account_sas

    from services.azurite import ACCOUNT, KEY

    sas = generate_account_sas(ACCOUNT, KEY, "sco", "rwdlac", datetime.now(UTC) + timedelta(hours=5))
    source = f":azureblob:{container.container_name}/photos"
    command = ["rclone", "move", source, str(target), "--azureblob-sas-url", f"{azurite.endpoint}?{sas}"]
    command += ["--transfers", str(THREADS), "--config", "", "--quiet"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken_s = seconds(lambda: subprocess.run(command, check=True))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": taken_s, "cpu_s": cpu_s}


# --- what they share


def lay_out(container: ContainerClient, count: int, size_bytes: int, *, folder: str = "photos/") -> None:
    """Upload different blobs of random bytes."""
    rest = os.urandom(size_bytes - 8)

    def put(number: int) -> None:
        container.upload_blob(f"{folder}IMG_{number:06}.jpg", number.to_bytes(8, "big") + rest)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(count)))


@contextlib.contextmanager
def opened(azurite: Any, container: ContainerClient, **options: Any) -> Iterator[Source]:
    """Our source on the folder."""
    with azurite.open(f"{container.container_name}/photos", **options) as source:
        yield source


def expect(wanted: int, found: int) -> None:
    """See that what was timed is what was to be done."""
    if wanted != found:
        raise AssertionError(f"{found} of {wanted}")


def main() -> None:
    """Move all of a folder; print what it took as JSON."""
    import resource

    from intouch_import.azure import client
    from services.azurite import Azurite

    url, name, target, fast = sys.argv[1:]
    asked: Counter[str] = Counter()
    send = client._Adapter.send
    client._Adapter.send = lambda *args, **options: (asked.update(["sdk"]), send(*args, **options))[1]
    with clinic(Path(target)) as records, Azurite(url).open(f"{name}/photos", fast=fast == "1") as source:
        if source._lane is not None:
            chunks = source._lane.chunks
            source._lane.chunks = lambda *args: (asked.update(["obstore"]), chunks(*args))[1]
        inbox = Inbox(records, [source], auto_import=False)
        used = resource.getrusage(resource.RUSAGE_SELF)
        asked.clear()

        def work() -> None:
            inbox.refresh()
            if Path("/proc/self/clear_refs").exists():
                Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
            marks.append(resident_kb("VmRSS"))
            report = inbox.save(inbox.prepare(inbox.rows, patient=PATIENT))
            expect(len(inbox.rows), report.imported)
            expect(0, report.stored)

        marks: list[int] = []
        taken_s = seconds(work)
        spent = resource.getrusage(resource.RUSAGE_SELF)
        told = {
            "seconds": taken_s,
            "cpu_s": spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime,
            "requests": asked.total(),
            "grown_mb": (resident_kb("VmHWM") - marks[0]) * 1024 / 1e6,
        }
    print(json.dumps(told))


def resident_kb(key: str) -> int:
    """One number of what the kernel knows of this process, KiB; 0 where it does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
