"""A workstation that moves photos out of a OneDrive is killed at every step; then another one starts."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scenes import NOW, Killer, memory

from intouch_import.inbox import Inbox
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Patient, Provider, State
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import open_source
from intouch_import.testing.onedrive import OneDriveServer
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenes import Killed

    from intouch_import.testing.onedrive import Item

ALL = os.environ.get("INTOUCH_ONEDRIVE") == "all"
# In a usual run one step in so many, others in every run.
STRIDE = 1 if ALL else 9
WATCHED = [
    *(["intouch_import.sources.onedrive", "OneDriveSource", name] for name in ("_fetched", "remove", "put")),
    *(["intouch_import.sources.onedrive.graph", "Graph", name] for name in ("send", "download", "upload")),
]


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    """The process that forks and kills."""
    if not hasattr(os, "fork"):
        pytest.skip("children are forked, which this system can't")
    command = [sys.executable, str(Path(__file__).parents[2] / "crash" / "killing.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Killer(process)


class Ward:
    """A practice, and one folder after the other whose photos are moved by somebody who is killed."""

    def __init__(self, root: Path, server: OneDriveServer, killer: Killer) -> None:
        self.root, self.server, self._killer = root, server, killer
        self.records = SqlRepository.open(f"sqlite:///{root}/clinic.db", files=root / "files")
        self.ledger = Ledger(self.records.engine)
        self.records.add_provider(Provider(id="DRJ"))
        self._count = 0
        self.lay_out("refresh", 1)
        self.kill("refresh", fork=False)

    def lay_out(self, work: str, count: int) -> None:
        """A new folder of photos of a new patient."""
        self._count += 1
        self.patient = str(10000 + self._count)
        self.records.add_patients([Patient(id=self.patient)])
        self.path = f"images/ward{self._count:05}"
        self.folder: Item = self.server.drive.folder(self.path)
        pattern = f"{self.patient}_DRJ_20260131_1425{{:02}}.jpg" if work == "refresh" else "IMG {:04}#.jpg"
        contents = {pattern.format(number): jpeg(f"{self.patient} {number}") for number in range(count)}
        for name, data in contents.items():
            self.server.drive.write(self.folder, name, data)
        self.digests = sorted(hashlib.sha256(data).hexdigest() for data in contents.values())

    def kill(self, work: str, *, step: int | None = None, fork: bool = True, **order: Any) -> Killed:
        """Let a workstation work, and kill it at a step."""
        self.records.engine.dispose()
        return self._killer(
            database=f"sqlite:///{self.root}/clinic.db",
            files=str(self.root / "files"),
            folder=f"onedrive:///{self.path}",
            source_id=self.path,
            options={"token": self.server.token(), "endpoint": self.server.endpoint},
            watch=WATCHED,
            work=work,
            patient=self.patient,
            step=step,
            fork=fork,
            **{"import_id": None, "after_s": None, "leases": True, "ends": True, **order},
        )

    def stored(self) -> list[str]:
        """Digests of what is in the records, each read back."""
        found = []
        for stored in self.records.attachments(self.patient):
            with self.records.open_attachment(stored.id) as stream:
                found.append(hashlib.sha256(stream.read()).hexdigest())
            assert found[-1] == stored.sha256
        return sorted(found)

    def left(self) -> list[str]:
        """Digests of what is in the folder."""
        return sorted(
            hashlib.sha256(item.content or b"").hexdigest() for item in self.folder.children.values()
        )

    def check_nothing_is_lost(self) -> None:
        stored = self.stored()
        assert set(self.digests) == {*stored, *self.left()}
        assert len(stored) == len(set(stored)), "stored twice"

    def recover(self) -> None:
        """What staff do next: look at the list, and save what waits there."""
        with open_source(
            f"onedrive:///{self.path}",
            source_id=self.path,
            signin=self.server.signin(),
            endpoint=self.server.endpoint,
        ) as source:
            inbox = Inbox(
                self.records, [source], ledger=self.ledger, zone="UTC", settle_s=0.0, clock=lambda: NOW
            )
            report = inbox.refresh()
            assert (report.closes, report.failed, report.stored, report.problems) == (True, 0, 0, ())
            waiting = [row for row in inbox.rows if row.state is State.WAITING]
            if waiting:
                assert inbox.save(inbox.prepare(waiting, patient=self.patient)).imported == len(waiting)

    def check_all_is_moved(self) -> None:
        assert (self.left(), self.stored()) == ([], self.digests)
        assert self.ledger.unfinished(self.path) == []
        for stored in self.records.attachments(self.patient):
            events = Counter(entry.event for entry in self.ledger.entries(import_id=stored.import_id))
            assert (events[Event.STORED], events[Event.MOVED]) == (1, 1)


@pytest.fixture
def ward(personal: OneDriveServer, killer: Killer) -> Iterator[Ward]:
    """In memory where there is some: kills, not power cuts, are the subject."""
    with tempfile.TemporaryDirectory(prefix="intouch-crash-", dir=memory()) as root:
        ward = Ward(Path(root), personal, killer)
        with ward.records:
            yield ward
            assert ward.ledger.verify() == []
        assert personal.drive.permanently_deleted == []


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("count", [3, 1] if ALL else [3])
def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(ward: Ward, work: str, count: int) -> None:
    """Whatever the step, each photo is in the OneDrive or in the record; the next start finishes, once."""
    seen: set[str] = set()
    kills = 0
    for step in itertools.count(random.randint(1, STRIDE), STRIDE):
        ward.lay_out(work, count)
        result = ward.kill(work, step=step, ends=not ALL)
        ward.check_nothing_is_lost()
        seen.update(result.steps)
        if result.killed:
            kills += 1
            ward.recover()
        ward.check_all_is_moved()
        if not result.killed:
            break
    print(f"{kills} kills")
    assert {"after OneDriveSource._fetched", "after OneDriveSource.remove", "after Ledger.append"} <= seen


def test_a_kill_at_any_step_of_an_undo_loses_nothing_and_doubles_nothing(ward: Ward) -> None:
    """The photo is back or in the record, whole, and saved once whatever comes next."""
    seen: set[str] = set()
    kills = 0
    for step in itertools.count(random.randint(1, STRIDE), STRIDE):
        ward.lay_out("save", 1)
        ward.recover()
        (stored,) = ward.records.attachments(ward.patient)
        result = ward.kill("undo", import_id=stored.import_id, step=step)
        kills += result.killed
        seen.update(result.steps)
        ward.check_nothing_is_lost()
        ward.recover()
        assert (ward.left(), ward.stored()) == ([], ward.digests)
        if not result.killed:
            break
    print(f"{kills} kills")
    assert "after OneDriveSource.put" in seen
