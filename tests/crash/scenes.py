"""The process that is killed over and over, the scenes of its deaths, and what must hold in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import sqlalchemy as sa

from intouch_import.clock import Clock
from intouch_import.inbox import Inbox
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Patient, Provider, State
from intouch_import.repositories.sql import SqlRepository
from intouch_import.repositories.tables import attachments
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.model import StoredAttachment

__all__ = ["Hospital", "Killed", "Killer", "Scene", "killer", "memory", "photo"]

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MEMORY = Path("/dev/shm")


def memory() -> Path | None:
    """A folder in memory, if the system has one: a file system of its own, whose syncs cost nothing."""
    return MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None


@attrs.frozen(kw_only=True)
class Killed:
    """What became of a child.

    Args:
        steps: Names of the steps that it took, the last one being where it was killed.
        took_s: How long it lived, seconds.
        killed: Whether it was killed; else it came to its end.
    """

    steps: list[str]
    took_s: float
    killed: bool


class Killer:
    """The process that forks children and kills them; see ``killing.py``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, **order: Any) -> Killed:
        """Let a child do some work, and kill it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the child failed by itself: its traceback was captured"
        return Killed(**json.loads(answer))


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


class Hospital:
    """One practice that lives through all the kills of a test, and is checked as a whole at its end.

    Args:
        root: Where it keeps its files.
        kill: Kills its workstations.
        elsewhere: A folder on another file system.
        database: URL of its database.
    """

    def __init__(self, root: Path, kill: Killer, elsewhere: Path, *, database: str) -> None:
        self.root = root
        self.database = database
        self.kill = kill
        self._elsewhere = elsewhere
        self._count = 0
        self.records = SqlRepository.open(database, files=root / "files")
        self.ledger = Ledger(self.records.engine)
        self.records.add_provider(Provider(id="DRJ"))
        for work in ("refresh", "save"):
            self.scene(work, 1).kill(fork=False)

    def scene(self, work: str, count: int, *, elsewhere: bool = False) -> Scene:
        """Lay out a new folder of photos, for two new patients, that work can be done on."""
        self._count += 1
        patients = (str(10000 + self._count), str(50000 + self._count))
        self.records.add_patients(Patient(id=patient) for patient in patients)
        folder = (self._elsewhere if elsewhere else self.root) / f"photos-{self._count}"
        folder.mkdir()
        pattern = f"{patients[0]}_DRJ_20260131_1425{{:02}}.gif" if work == "refresh" else "IMG_{:04}.gif"
        for number in range(count):
            (folder / pattern.format(number)).write_bytes(photo(f"{folder} {number}"))
        digests = sorted(map(_sha256, folder.iterdir()))
        return Scene(hospital=self, folder=folder, patients=patients, digests=digests, work=work)

    def check_the_books(self) -> None:
        """The ledger's chain is whole, and the folder holds the bytes of all attachments and no others."""
        assert self.ledger.verify() == []
        with self.records.engine.connect() as connection:
            ids = set(connection.scalars(sa.select(attachments.c.import_id)))
        kept = {path.name for path in (self.root / "files").glob("[0-9a-f][0-9a-f]/*")}
        assert kept - ids == set(), "bytes that no attachment knows of"
        assert ids <= kept
        assert ids


@attrs.frozen(kw_only=True)
class Scene:
    """A folder of photos in a practice whose workstation is killed.

    Args:
        hospital: The practice.
        folder: The photos.
        patients: Whom capture names name, and whom a person saves to.
        digests: SHA-256 of each photo, as it was put there.
        work: How they are imported: ``refresh``, by themselves, or ``save``, by a person.
    """

    hospital: Hospital
    folder: Path
    patients: tuple[str, str]
    digests: list[str]
    work: str

    @property
    def source_id(self) -> str:
        """The source id of the folder."""
        return self.folder.name

    def kill(
        self,
        *,
        work: str | None = None,
        import_id: str | None = None,
        step: int | None = None,
        after_s: float | None = None,
        leases: bool = True,
        ends: bool = False,
        fork: bool = True,
    ) -> Killed:
        """Let a workstation do the work, and kill it at a step, or after some seconds, or not at all."""
        # Nobody else has the database open: whoever comes next has to recover it.
        self.hospital.records.engine.dispose()
        return self.hospital.kill(
            database=self.hospital.database,
            files=str(self.hospital.root / "files"),
            folder=str(self.folder),
            source_id=self.source_id,
            work=work or self.work,
            patient=self.patients[1],
            import_id=import_id,
            step=step,
            after_s=after_s,
            leases=leases,
            ends=ends,
            fork=fork,
        )

    def inbox(self) -> Inbox:
        """A list that was opened anew."""
        source = open_source(self.folder, source_id=self.source_id)
        return Inbox(
            self.hospital.records,
            [source],
            ledger=self.hospital.ledger,
            zone="UTC",
            settle_s=0.0,
            clock=Clock(now=lambda: NOW),
        )

    def stored(self) -> list[StoredAttachment]:
        """What the records hold of the two patients."""
        records = self.hospital.records
        return [stored for patient in self.patients for stored in records.attachments(patient)]

    def stored_digests(self) -> list[str]:
        """SHA-256 of the stored bytes, as they are read back now; each is what its record says."""
        digests = []
        for stored in self.stored():
            with self.hospital.records.open_attachment(stored.id) as stream:
                digests.append(hashlib.sha256(stream.read()).hexdigest())
            assert digests[-1] == stored.sha256
        return sorted(digests)

    def visible(self) -> list[str]:
        """SHA-256 of what people see in the folder: hidden files are none of theirs."""
        return sorted(_sha256(path) for path in self.folder.iterdir() if not path.name.startswith("."))

    def check_nothing_is_lost(self) -> None:
        """Every content is in the folder or in the records, and in the records at most once."""
        stored = self.stored_digests()
        assert set(self.digests) == {*stored, *self.visible()}
        assert len(stored) == len(set(stored)), "stored twice"

    def recover(self) -> None:
        """What staff do after a power cut: look at the list, and save what waits there."""
        inbox = self.inbox()
        report = inbox.refresh()
        assert report.closes
        assert (report.failed, report.stored) == (0, 0)
        if waiting := [row for row in inbox.rows if row.state is State.WAITING]:
            report = inbox.save(inbox.prepare(waiting, patient=self.patients[1]))
            assert report.closes
            assert report.imported == len(waiting)

    def check_all_is_moved(self) -> None:
        """Every content is stored once, the folder is empty, and the ledger tells each move once."""
        assert self.visible() == []
        assert self.stored_digests() == self.digests
        ledger = self.hospital.ledger
        assert ledger.unfinished(self.source_id) == []
        for stored in self.stored():
            events = Counter(entry.event for entry in ledger.entries(import_id=stored.import_id))
            assert (events[Event.STORED], events[Event.MOVED]) == (1, 1)

    def clear(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def photo(seed: str) -> bytes:
    """A whole, tiny GIF; other bytes for every seed."""
    colours = hashlib.sha256(seed.encode()).digest()
    header = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + colours[:6] + b"\x21\xfe\x1a" + colours[6:] + b"\x00"
    return header + b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00;"
