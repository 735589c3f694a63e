"""What the tests have in common in which a workstation that moves photos out of a cloud is killed."""

from __future__ import annotations

import abc
import hashlib
import itertools
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scenes import memory

from intouch_import.clock import Clock
from intouch_import.inbox import Inbox
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Patient, Provider, Reason, State
from intouch_import.repositories.sql import SqlRepository
from miniature import NOW, jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from scenes import Killed, Killer

    from intouch_import.inbox import Report
    from intouch_import.sources import Source

__all__ = ["Ward", "kill_at_steps_of_a_move", "kill_at_steps_of_an_undo"]


class Ward(abc.ABC):
    """A practice, and one folder after the other whose photos are moved by somebody who is killed.

    Its files are in memory where there is some: kills, not power cuts, are the subject.

    Args:
        killer: Kills its workstations.

    Attributes:
        watch: Module, class and method of the steps to kill at, beside those that every move has.
        names: How a file that waits for a person is named.
        folder: Where the photos are now; also the source id.
        patient: Whose they are.
        digests: SHA-256 of each photo, as it was put there.
    """

    watch: ClassVar[Sequence[Sequence[str]]]
    names: ClassVar[str] = "IMG {:04}#.jpg"

    folder: str
    patient: str
    digests: list[str]

    def __init__(self, killer: Killer) -> None:
        self._killer = killer
        self._count = 0
        self._root = tempfile.TemporaryDirectory(prefix="intouch-crash-", dir=memory())
        files = Path(self._root.name) / "files"
        self._database = f"sqlite:///{self._root.name}/clinic.db"
        self.records = SqlRepository.open(self._database, files=files)
        self.ledger = Ledger(self.records.engine)
        self.records.add_provider(Provider(id="DRJ"))

    def __enter__(self) -> Self:
        # Once without a kill: what is loaded by then need not be loaded by every child.
        for work in ("refresh", "save"):
            self.lay_out(work, 1)
            self.kill(work, fork=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        with self._root, self.records:
            if exc is None:
                assert self.ledger.verify() == []

    # --- what each cloud does in its own way

    @abc.abstractmethod
    def make_folder(self, number: int) -> str:
        """Make an empty folder, and return its path."""

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Put a photo into the folder."""

    @abc.abstractmethod
    def contents(self) -> list[bytes]:
        """What is in the folder."""

    @abc.abstractmethod
    def address(self) -> tuple[str, dict[str, Any]]:
        """URL and options of the folder, for the one who is killed."""

    @abc.abstractmethod
    def open(self) -> Source:
        """The folder as a source, for everybody else."""

    def clear(self) -> None:
        """Take the folder away, where that matters."""

    # --- what all do

    def lay_out(self, work: str, count: int) -> None:
        """A new folder of photos of a new patient."""
        self._count += 1
        self.patient = str(10000 + self._count)
        self.records.add_patients([Patient(id=self.patient)])
        self.folder = self.make_folder(self._count)
        pattern = f"{self.patient}_DRJ_20260131_1425{{:02}}.jpg" if work == "refresh" else self.names
        contents = [jpeg(f"{self.patient} {number}") for number in range(count)]
        for number, data in enumerate(contents):
            self.write(pattern.format(number), data)
        self.digests = sorted(map(_sha256, contents))

    def kill(
        self,
        work: str,
        *,
        step: int | None = None,
        import_id: str | None = None,
        ends: bool = True,
        fork: bool = True,
    ) -> Killed:
        """Let a workstation work, and kill it at a step."""
        self.records.engine.dispose()
        url, options = self.address()
        return self._killer(
            root=self._root.name,
            database=self._database,
            files=f"{self._root.name}/files",
            folder=url,
            source_id=self.folder,
            options=options,
            watch=self.watch,
            work=work,
            patient=self.patient,
            import_id=import_id,
            step=step,
            after_s=None,
            leases=True,
            ends=ends,
            fork=fork,
        )

    def stored(self) -> list[str]:
        """Digests of what is in the record, each read back."""
        found = []
        for stored in self.records.attachments(self.patient):
            with self.records.open_attachment(stored.id) as stream:
                found.append(_sha256(stream.read()))
            assert found[-1] == stored.sha256
        return sorted(found)

    def left(self) -> list[str]:
        """Digests of what is in the folder."""
        return sorted(map(_sha256, self.contents()))

    def check_nothing_is_lost(self) -> None:
        """Every photo is in the folder or in the record, and in the record at most once."""
        stored = self.stored()
        assert set(self.digests) == {*stored, *self.left()}
        assert len(stored) == len(set(stored)), "stored twice"

    def inbox(self, source: Source) -> Inbox:
        """A list that was opened anew."""
        return Inbox(
            self.records, [source], ledger=self.ledger, zone="UTC", settle_s=0.0, clock=Clock(now=lambda: NOW)
        )

    def recover(self) -> None:
        """What staff do next: look at the list, and save what waits there."""
        with self.open() as source:
            inbox = self.inbox(source)
            report = inbox.refresh()
            assert (report.closes, report.failed, report.stored, report.problems) == (True, 0, 0, ())
            if waiting := [row for row in inbox.rows if row.state is State.WAITING]:
                assert inbox.save(inbox.prepare(waiting, patient=self.patient)).imported == len(waiting)

    def undo_again(self, import_id: str) -> Report:
        """What staff do who meant the undo: look at the list, ask for it again, and look once more."""
        with self.open() as source:
            inbox = self.inbox(source)
            inbox.refresh()
            self.check_nothing_is_lost()
            if self.stored():
                assert inbox.undo(import_id).state is State.WAITING
            return inbox.refresh()

    def check_all_is_moved(self) -> None:
        """Every photo is stored once, the folder is empty, and the ledger tells each move once."""
        assert (self.left(), self.stored()) == ([], self.digests)
        assert self.ledger.unfinished(self.folder) == []
        for stored in self.records.attachments(self.patient):
            events = Counter(entry.event for entry in self.ledger.entries(import_id=stored.import_id))
            assert (events[Event.STORED], events[Event.MOVED]) == (1, 1)


def kill_at_steps_of_a_move(ward: Ward, work: str, count: int, *, stride: int, ends: bool) -> set[str]:
    """Kill a move at one step in so many: nothing is lost, and the next start finishes it, once.

    Returns:
        The steps that were seen.
    """
    seen: set[str] = set()
    for step in _steps(stride):
        ward.lay_out(work, count)
        result = ward.kill(work, step=step, ends=ends)
        ward.check_nothing_is_lost()
        seen.update(result.steps)
        if result.killed:
            ward.recover()
        ward.check_all_is_moved()
        ward.clear()
        if not result.killed:
            break
    assert "after Ledger.append" in seen
    return seen


def kill_at_steps_of_an_undo(ward: Ward, work: str, *, again: bool, stride: int) -> set[str]:
    """Kill an undo likewise: the photo is back or in the record, whole, and saved once whatever comes next.

    Args:
        ward: Where.
        work: How the photo got into the record.
        again: Whether the undo is asked for again afterwards; else it is forgotten.
        stride: One step in so many.

    Returns:
        The steps that were seen.
    """
    seen: set[str] = set()
    for step in _steps(stride):
        ward.lay_out(work, 1)
        ward.recover()
        (stored,) = ward.records.attachments(ward.patient)
        result = ward.kill("undo", import_id=stored.import_id, step=step)
        seen.update(result.steps)
        ward.check_nothing_is_lost()
        if again:
            report = ward.undo_again(stored.import_id)
            reasons = {"refresh": Reason.UNDONE, "save": Reason.NO_CAPTURE_NAME}
            assert [outcome.reason for outcome in report.outcomes] == [reasons[work]]
            assert (ward.left(), ward.stored()) == (ward.digests, [])
        ward.recover()
        assert (ward.left(), ward.stored()) == ([], ward.digests)
        ward.clear()
        if not result.killed:
            break
    return seen


def _steps(stride: int) -> Iterator[int]:
    """The steps to kill at; where not all are, others in every run."""
    return itertools.count(random.randint(1, stride), stride)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
