"""A workstation that imports from a Dropbox is killed at every step; then a workstation is started anew."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scenes import Killed, Killer, memory

from intouch_import.ledger import Event, Ledger
from intouch_import.model import Patient, Provider, Reason, State
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources.dropbox import DropboxSource
from intouch_import.testing.dropbox import DropboxServer
from miniature import NOW, jpeg
from services.dropbox_server import hurried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.inbox import Inbox

# Every step, its beginning and its end; by default only the ends, from one of which to the next nothing happens.
WHOLE = int(os.environ.get("INTOUCH_CRASH_RUNS", "20")) >= 1000
CLIENT = "intouch_import.sources.dropbox.client"
WATCH = [
    *([CLIENT, "Client", name] for name in ("call", "download", "upload")),
    *(
        ["intouch_import.sources.dropbox.source", "DropboxSource", name]
        for name in ("fetch", "remove_many", "put")
    ),
]


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    """The process that kills; it leaves with the module."""
    if not hasattr(os, "fork"):
        pytest.skip("children are forked, which this system can't")
    command = [sys.executable, str(Path(__file__).with_name("killing.py"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Killer(process)


class Clinic:
    """A practice on a disk in memory, and a Dropbox with a folder for each scene."""

    def __init__(self, root: Path, kill: Killer, server: DropboxServer) -> None:
        self._root = root
        self._kill = kill
        self.server = server
        self._token = server.token()
        self._count = 0
        self.records = SqlRepository.open(f"sqlite:///{root}/clinic.db", files=root / "files")
        self.ledger = Ledger(self.records.engine)
        self.records.add_provider(Provider(id="DRJ"))
        for work in ("refresh", "save"):
            self.scene(work, 1)
            self.kill(work=work, fork=False)

    def scene(self, work: str, count: int) -> None:
        """Lay out a new folder of photos, for two new patients."""
        self._count += 1
        self.folder = f"/photos {self._count}"
        self.patients = (str(10000 + self._count), str(50000 + self._count))
        self.records.add_patients(Patient(id=patient) for patient in self.patients)
        pattern = f"{self.patients[0]}_DRJ_20260131_1425{{:02}}.jpg" if work == "refresh" else "IMG_{:04}.jpg"
        contents = [jpeg(f"{self._count} {number}") for number in range(count)]
        for number, content in enumerate(contents):
            self.server.put(f"{self.folder}/{pattern.format(number)}", content)
        self.digests = sorted(hashlib.sha256(content).hexdigest() for content in contents)

    def kill(
        self, *, work: str, step: int | None = None, import_id: str | None = None, fork: bool = True
    ) -> Killed:
        """Let a workstation do the work, and kill it at a step."""
        self.records.engine.dispose()
        return self._kill(
            root=str(self._root),
            database=f"sqlite:///{self._root}/clinic.db",
            files=f"{self._root}/files",
            folder=f"dropbox://{self.folder}",
            source_id=self.folder,
            options={"endpoint": self.server.url, "token": self._token},
            watch=WATCH,
            work=work,
            patient=self.patients[1],
            import_id=import_id,
            step=step,
            after_s=None,
            leases=True,
            ends=not WHOLE,
            fork=fork,
        )

    def inbox(self) -> tuple[DropboxSource, Inbox]:
        """A list that was opened anew."""
        from intouch_import.inbox import Inbox

        source = DropboxSource(
            self.folder,
            signin=lambda _force=False: self._token,
            endpoint=self.server.url,
            source_id=self.folder,
            patience=hurried(),
        )
        inbox = Inbox(self.records, [source], ledger=self.ledger, zone="UTC", settle_s=0.0, clock=lambda: NOW)
        return source, inbox

    def stored(self) -> list[Any]:
        """What the records hold of the two patients."""
        return [stored for patient in self.patients for stored in self.records.attachments(patient)]

    def stored_digests(self) -> list[str]:
        """SHA-256 of the stored bytes, as they are read back now."""
        digests = []
        for stored in self.stored():
            with self.records.open_attachment(stored.id) as stream:
                digests.append(hashlib.sha256(stream.read()).hexdigest())
        return sorted(digests)

    def left(self) -> list[str]:
        """SHA-256 of what is in the Dropbox."""
        contents = [
            self.server.read(f"{self.folder}/{name}") or b"" for name in self.server.names(self.folder)
        ]
        return sorted(hashlib.sha256(content).hexdigest() for content in contents)

    def check_nothing_is_lost(self) -> None:
        """Every content is in the Dropbox or in the records, and in the records at most once."""
        stored = self.stored_digests()
        assert set(self.digests) == {*stored, *self.left()}
        assert len(stored) == len(set(stored)), "stored twice"

    def recover(self) -> None:
        """What staff do after a power cut: look at the list, and save what waits there."""
        source, inbox = self.inbox()
        with source:
            report = inbox.refresh()
            assert report.closes
            assert (report.failed, report.stored, report.problems) == (0, 0, ())
            if waiting := [row for row in inbox.rows if row.state is State.WAITING]:
                report = inbox.save(inbox.prepare(waiting, patient=self.patients[1]))
                assert report.imported == len(waiting)

    def check_all_is_moved(self) -> None:
        """Every content is stored once, the folder is empty, and the ledger tells each move once."""
        assert self.left() == []
        assert self.stored_digests() == self.digests
        assert self.ledger.unfinished(self.folder) == []
        for stored in self.stored():
            events = Counter(entry.event for entry in self.ledger.entries(import_id=stored.import_id))
            assert (events[Event.STORED], events[Event.MOVED]) == (1, 1)


@pytest.fixture
def clinic(killer: Killer) -> Iterator[Clinic]:
    with (
        tempfile.TemporaryDirectory(prefix="intouch-crash-", dir=memory()) as root,
        DropboxServer() as server,
    ):
        clinic = Clinic(Path(root), killer, server)
        with clinic.records:
            yield clinic
            assert clinic.ledger.verify() == []


@pytest.mark.parametrize("work", ["refresh", "save"])
def test_a_kill_at_any_step_of_a_move_loses_nothing_and_doubles_nothing(clinic: Clinic, work: str) -> None:
    """Whatever the step, each file is in one place or in both; the next start finishes each move, once."""
    for step in itertools.count(1):
        clinic.scene(work, 2)
        result = clinic.kill(work=work, step=step)
        clinic.check_nothing_is_lost()
        if not result.killed:
            break
        clinic.recover()
        clinic.check_all_is_moved()
    clinic.check_all_is_moved()
    for name in ("Client.download", "Client.call", "DropboxSource.remove_many", "Ledger.append"):
        assert {f"before {name}", f"after {name}"} <= set(result.steps), (
            "not taken, so nothing was killed there"
        )


def test_a_kill_at_any_step_of_an_undo_loses_nothing_and_doubles_nothing(clinic: Clinic) -> None:
    """Asked for again, the undo comes to its end: the file is in the Dropbox, and in no record."""
    for step in itertools.count(1):
        clinic.scene("refresh", 1)
        source, inbox = clinic.inbox()
        with source:
            assert inbox.refresh().imported == 1
        (stored,) = clinic.stored()
        result = clinic.kill(work="undo", import_id=stored.import_id, step=step)
        clinic.check_nothing_is_lost()
        source, inbox = clinic.inbox()
        with source:
            inbox.refresh()
            clinic.check_nothing_is_lost()
            if clinic.stored():
                assert inbox.undo(stored.import_id).state is State.WAITING
            report = inbox.refresh()
            assert [outcome.reason for outcome in report.outcomes] == [Reason.UNDONE]
        assert (clinic.left(), clinic.stored()) == (clinic.digests, [])
        if not result.killed:
            break
    assert "before Client.upload" in result.steps
