"""A Dask cluster runs a plan, also if parts of the cluster are killed."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intouch_import import migration
from intouch_import.errors import ConfigError
from intouch_import.repositories.sql import SqlRepository
from migrating import MARSH, OKAFOR, Archive
from miniature import jpeg

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    # Dask closes loops, sockets and pipes of killed processes only when they are garbage-collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::RuntimeWarning"),
]
FILES = int(os.environ.get("INTOUCH_MIGRATION_FILES", "600"))

# The client of a run in a process of its own, so that it can be killed.
CLIENT = """
import functools, sys
from distributed import Client
from intouch_import import migration
from intouch_import.repositories.sql import SqlRepository
address, plan, url, files = sys.argv[1:]
opener = functools.partial(SqlRepository.open, url, files=files)
with Client(address) as client:
    run = migration.open_plan(plan).run(
        opener, client=client, check_content=False, on_progress=lambda p: print(p.done, flush=True)
    )
    run.wait()
    print("END", run.state, flush=True)
"""


@pytest.fixture
def archive(tmp_path: Path, postgresql_url: str) -> Archive:
    """Photos of two patients; the records are in PostgreSQL."""
    archive = Archive(tmp_path, postgresql_url)
    content = jpeg("x")
    for number in range(FILES):
        folder = f"{(MARSH, OKAFOR)[number % 2]}/{number // 500}"
        archive.lay(f"{folder}/IMG_{number:06}.jpg", content[:-2] + number.to_bytes(4, "big") + b"\xff\xd9")
    return archive


class _Parts:
    """A scheduler and two workers: processes that can be killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        }
        self.all: list[subprocess.Popen[bytes]] = []
        self.scheduler, self.address = self._start_scheduler()
        self.workers = [self.start_worker() for _ in range(2)]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.root / "dask.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
                env=self.environment, cwd=self.root, stdout=log, stderr=log,
            )  # fmt: skip
        self.all.append(process)
        return process

    def _start_scheduler(self) -> tuple[subprocess.Popen[bytes], str]:
        file = self.root / f"scheduler-{len(self.all)}.json"
        process = self._start(
            "dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(file),
        )
        until = time.monotonic() + 40
        while not file.exists() or not file.read_text():
            assert process.poll() is None, (self.root / "dask.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        return process, json.loads(file.read_text())["address"]

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self._start(
            "dask_worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--local-directory", str(self.root / "dask"), "--death-timeout", "60",
        )  # fmt: skip

    def start_scheduler_again(self) -> None:
        self.scheduler, self.address = self._start_scheduler()
        for worker in self.workers:
            worker.kill()
        self.workers = [self.start_worker() for _ in range(2)]

    def client(self, archive: Archive, plan: migration.Plan) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CLIENT, self.address, str(plan.directory), archive.url, str(archive.root / "files")],
            env=self.environment, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def close(self) -> None:
        for process in self.all:
            process.kill()
            process.wait(20)


@pytest.fixture
def parts(tmp_path: Path):
    parts = _Parts(tmp_path)
    yield parts
    parts.close()


def _follow(client: subprocess.Popen[str], until: int) -> str:
    """Read the output of a client until this many files are done, or the client ends."""
    assert client.stdout is not None
    line = ""
    for line in client.stdout:
        if not line.startswith("END") and int(line) >= until:
            break
    return line.strip()


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_whatever_is_killed_the_certificate_closes(archive: Archive, parts: _Parts) -> None:
    """A worker, the scheduler and the client are killed; in the end every file is stored once."""
    records = archive.records()
    plan = archive.plan(records=records)
    assert plan.counts() == {"import": FILES}

    client = parts.client(archive, plan)
    _follow(client, FILES // 8)
    parts.workers[0].send_signal(signal.SIGKILL)
    parts.workers[0] = parts.start_worker()
    _follow(client, FILES // 4)
    client.send_signal(signal.SIGKILL)  # the client, while tasks of its run go on
    client.wait(20)

    client = parts.client(archive, plan)
    _follow(client, FILES // 2)
    parts.scheduler.send_signal(signal.SIGKILL)
    client.kill()
    client.wait(20)
    parts.start_scheduler_again()

    client = parts.client(archive, plan)
    assert _follow(client, FILES + 1) == "END done"
    client.wait(20)
    certificate = plan.certificate(records)
    assert certificate.open_points == []
    assert certificate.counts["imported"] == FILES
    assert certificate.values["confirmed_in_records"] == FILES
    assert archive.left() == []
    stored = [one for patient in ("10042", "10043") for one in records.attachments(patient)]
    assert (
        len(stored) == len({one.import_id for one in stored}) == len({one.sha256 for one in stored}) == FILES
    )
    print(f"{FILES} files: {certificate}")


def test_a_run_on_a_cluster_is_cancelled_between_files(archive: Archive, parts: _Parts) -> None:
    """The command reaches the workers through the plan's folder; another run can do the rest."""
    records = archive.records()
    plan = archive.plan(records=records)
    opener = functools.partial(SqlRepository.open, archive.url, files=str(archive.root / "files"))
    with distributed.Client(parts.address) as client:
        with pytest.raises(ConfigError, match="callable"):
            plan.run(records, client=client)
        run = plan.run(opener, client=client, check_content=False, files_per_s=50)
        until = time.monotonic() + 30
        while len(archive.left()) == FILES and time.monotonic() < until:
            time.sleep(0.1)
        run.cancel()
        assert run.wait(60).state == "cancelled"
    assert 0 < len(archive.left()) < FILES
    assert plan.certificate(records).counts["not yet"] == len(archive.left())


def test_a_run_on_a_cluster_is_paused_and_resumed(archive: Archive, parts: _Parts) -> None:
    """The workers begin no files during the pause, and continue after it."""
    records = archive.records()
    plan = archive.plan(records=records)
    opener = functools.partial(SqlRepository.open, archive.url, files=str(archive.root / "files"))
    with distributed.Client(parts.address) as client:
        run = plan.run(opener, client=client, check_content=False, files_per_s=200)
        until = time.monotonic() + 30
        while len(archive.left()) == FILES and time.monotonic() < until:
            time.sleep(0.1)
        run.pause()
        time.sleep(2)  # workers read the command within half a second, and finish files that have begun
        left = len(archive.left())
        time.sleep(1)
        assert run.state == "paused"
        assert len(archive.left()) == left
        assert 0 < left < FILES
        run.resume()
        assert run.wait(120).state == "done"
    assert archive.left() == []
    assert plan.certificate(records).closes
