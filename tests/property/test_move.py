"""A practice in which anything happens in any order: in every state, each file is somewhere, and stored once at most.

Workstations refresh, save and undo; other programs drop, rewrite, rename and touch files; and at any step of a move,
before or after the step has had its effect, an error or a power cut comes, or another program puts a new file
under a name. What must hold is looked up with
plain files and plain SQL, at the beginning and at the end of every such step.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import random
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scenes import memory, photo

from intouch_import.clock import Clock
from intouch_import.content import StagedContent
from intouch_import.errors import InTouchImportError, SelectionError
from intouch_import.inbox import Inbox
from intouch_import.ledger import Ledger
from intouch_import.model import Patient, Provider, State
from intouch_import.repositories.files import DirectoryFiles
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import open_source
from intouch_import.sources.hard_link import LeasedContent
from intouch_import.sources.local import LocalSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.reports import Report

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENTS = ("10042", "10043")
NAMES = [
    *(f"{patient}_DRJ_20260131_14250{second}.gif" for patient in PATIENTS for second in range(2)),
    "10099_DRJ_20260131_142500.gif",  # nobody's
    "IMG_0001.gif",
    "IMG_0002.GIF",
]
STEPS: tuple[tuple[type, str], ...] = (
    (LocalSource, "scan"),
    (LocalSource, "look"),
    (LocalSource, "fetch"),
    (LocalSource, "remove"),
    (LocalSource, "put"),
    (LocalSource, "sync"),
    (LeasedContent, "save_to"),
    (LeasedContent, "settle"),
    (StagedContent, "save_to"),
    (DirectoryFiles, "sync"),
    (SqlRepository, "add_many"),
    (SqlRepository, "find_attachment"),
    (SqlRepository, "open_attachment"),
    (SqlRepository, "withdraw"),
    (Ledger, "append"),
)


class PowerCut(BaseException):
    """The end of a workstation, at this very instant: nothing catches it."""


class Faults:
    """Watches every step, and lets something happen at one of them.

    Args:
        look: Called at the beginning and at the end of every step.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._left: int | None = None
        self._what: BaseException | Callable[[], object] = PowerCut()
        self.fired = False

    @contextlib.contextmanager
    def armed(self, after: int | None, what: BaseException | Callable[[], object]) -> Iterator[None]:
        """Let it happen at the instant that comes after so many others, if there are as many."""
        self._left, self._what, self.fired = after, what, False
        try:
            yield
        finally:
            self._left = None

    def instant(self) -> None:
        """The beginning or the end of a step."""
        with self._lock:
            self._look()
            # After a power cut no thread of the workstation comes any further.
            if self.fired and isinstance(self._what, PowerCut):
                raise self._what
            if self._left is None:
                return
            self._left -= 1
            if self._left >= 0:
                return
            self._left, self.fired = None, True
            if isinstance(self._what, BaseException):
                raise self._what
            self._what()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put a watch on every step."""
        before = [(owner, name, vars(owner)[name]) for owner, name in STEPS]
        for owner, name, step in before:
            setattr(owner, name, self._watched(step))
        try:
            yield
        finally:
            for owner, name, step in before:
                setattr(owner, name, step)

    def _watched(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def watched(*arguments: Any, **options: Any) -> Any:
            self.instant()
            result = step(*arguments, **options)
            self.instant()
            return result

        return watched


class Clinic(RuleBasedStateMachine):
    """One folder, one repository, two workstations."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="intouch-property-", dir=memory()))
        self.photos = self.root / "photos"
        self.photos.mkdir()
        self.records = SqlRepository.open(f"sqlite:///{self.root}/clinic.db", files=self.root / "files")
        self.records.add_patients(Patient(id=patient) for patient in PATIENTS)
        self.records.add_provider(Provider(id="DRJ"))
        self.ledger = Ledger(self.records.engine)
        self.plain = sqlite3.connect(self.root / "clinic.db", check_same_thread=False)
        self.source_id = open_source(self.photos).source_id
        self.numbers = itertools.count()
        self.alive: set[str] = set()
        """Digests of all that was put into the folder and not taken away by other hands."""
        self.stations: list[Inbox | None] = [None, None]
        self.faults = Faults(self.look)

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.plain.close()
            self.records.close()
            shutil.rmtree(self.root)

    # --- what must hold

    def in_folder(self) -> Counter[str]:
        """Digests of what people see in the folder."""
        found: Counter[str] = Counter()
        for path in self.photos.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith("."):
                    found[hashlib.sha256(path.read_bytes()).hexdigest()] += 1
        return found

    def in_records(self) -> Counter[str]:
        """Digests of the bytes that committed rows stand for, as they are read from the disk."""
        found: Counter[str] = Counter()
        rows = self.plain.execute("SELECT import_id, sha256 FROM intouch_attachment").fetchall()
        for import_id, sha256 in rows:
            with contextlib.suppress(FileNotFoundError):  # withdrawn between the query and here
                digest = hashlib.sha256(
                    (self.root / "files" / import_id[:2] / import_id).read_bytes()
                ).hexdigest()
                assert digest == sha256, "a row stands for other bytes"
                found[digest] += 1
        return found

    @invariant()
    def look(self) -> None:
        """Every file's bytes are in the folder or in the records; never in neither, never twice in the records."""
        if not hasattr(self, "root"):
            return
        # The folder first, then the records, then the folder again: a file may move while we look.
        seen = set(self.in_folder())
        stored = self.in_records()
        lost = self.alive - seen - set(stored) - set(self.in_folder())
        assert not lost, "bytes are neither in the folder nor in the records"
        assert max(stored.values(), default=0) <= 1, "stored twice"

    # --- other programs

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name: str) -> None:
        """A photo arrives."""
        self._drop(name)

    def _drop(self, name: str, *, meanwhile: bool = False) -> None:
        """Put a photo under a name. The program that does so loses a photo that had this name.

        Args:
            name: Its name.
            meanwhile: A workstation is at work. If it is undoing an import and has put the file back and compared
                it, nothing protects the file any more: the record gives up its copy.
        """
        path = self.photos / name
        if meanwhile and path.exists():
            put_back = {entry.sha256 for entry in self.ledger.undoing(self.source_id)}
            self.alive -= put_back & {_digest(path)}
        self._leave(path)
        part = path.with_name(f".{name}.part")
        part.write_bytes(photo(f"photo {next(self.numbers)}"))
        part.replace(path)
        self.alive.add(_digest(path))

    @rule(name=st.sampled_from(NAMES))
    def rewrite(self, name: str) -> None:
        """A program writes other bytes into a file that is there, in place."""
        path = self.photos / name
        if path.exists():
            self._leave(path)
            path.write_bytes(photo(f"photo {next(self.numbers)}"))
            self.alive.add(_digest(path))

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
    def rename(self, name: str, other: str) -> None:
        """A person gives a file another name. One that is stored already would be another file then."""
        path = self.photos / name
        if path.exists() and not (self.photos / other).exists() and _digest(path) not in self.in_records():
            path.rename(self.photos / other)

    @rule(name=st.sampled_from(NAMES), later_s=st.integers(1, 100))
    def touch(self, name: str, later_s: int) -> None:
        """A program sets a file's time, likewise."""
        path = self.photos / name
        if path.exists() and _digest(path) not in self.in_records():
            os.utime(path, (later_s, later_s))

    def _leave(self, path: Path) -> None:
        if path.exists() and (digest := _digest(path)) not in self.in_records():
            self.alive.discard(digest)

    # --- workstations

    faults_at = st.one_of(st.none(), st.integers(0, 60))
    errors = st.sampled_from([OSError(5, "input/output error"), RuntimeError("a bug")])
    kinds = st.one_of(st.just(PowerCut()), errors, st.sampled_from(NAMES))
    stations_at = st.integers(0, 1)

    @rule(at=stations_at, after=faults_at, what=kinds)
    def refresh(self, at: int, after: int | None, what: BaseException | str) -> None:
        """A list is refreshed."""
        self._work(at, after, what, lambda inbox: self._closes(inbox.refresh()))

    @rule(
        at=stations_at, after=faults_at, what=kinds, patient=st.sampled_from(PATIENTS), seed=st.integers(0, 9)
    )
    def save(self, at: int, after: int | None, what: BaseException | str, patient: str, seed: int) -> None:
        """A person saves some rows to a patient."""

        def work(inbox: Inbox) -> None:
            chance = random.Random(seed)
            rows = [row for row in inbox.rows if row.state is not State.IGNORED and chance.random() < 0.7]
            with contextlib.suppress(SelectionError):
                self._closes(inbox.save(inbox.prepare(rows, patient=patient)))

        self._work(at, after, what, work)

    @precondition(lambda self: hasattr(self, "root") and self.in_records())
    @rule(at=stations_at, after=st.integers(0, 24), what=kinds, seed=st.integers(0, 9))
    def undo(self, at: int, after: int, what: BaseException | str, seed: int) -> None:
        """A person takes an import back."""
        ids = [row[0] for row in self.plain.execute("SELECT import_id FROM intouch_attachment ORDER BY 1")]
        if ids:
            self._work(at, after, what, lambda inbox: inbox.undo(random.Random(seed).choice(ids)))

    @rule()
    def recover(self) -> None:
        """A new workstation, and no faults: every move and every undo comes to its end, and the books are right."""
        inbox = self._open()
        report = inbox.refresh()
        self._closes(report)
        assert report.stored == 0
        assert self.ledger.verify() == []
        source_id = inbox.sources[0].source_id
        assert self.ledger.unfinished(source_id) == []
        # An undo whose file was written over since has come to nothing; the record keeps the bytes.
        undoing = {entry.sha256 for entry in self.ledger.undoing(source_id)}
        assert undoing <= set(self.in_records())
        assert not set(self.in_folder()) & set(self.in_records()), "in both after recovery"
        stored = {row[0] for row in self.plain.execute("SELECT import_id FROM intouch_attachment")}
        assert self.ledger.moved(stored) == stored

    def _work(
        self, at: int, after: int | None, what: BaseException | str, work: Callable[[Inbox], object]
    ) -> None:
        inbox = self.stations[at]
        happens = functools.partial(self._drop, what, meanwhile=True) if isinstance(what, str) else what
        with self.faults.armed(after, happens), self.faults.watching():
            try:
                if inbox is None:
                    inbox = self.stations[at] = self._open()
                    inbox.refresh()
                work(inbox)
            except PowerCut:
                self.stations[at] = None
            except InTouchImportError:
                pass  # told to the person

    def _open(self) -> Inbox:
        inbox = Inbox(
            self.records,
            [open_source(self.photos, provider="DRJ")],
            ledger=self.ledger,
            zone="UTC",
            settle_s=0.0,
            clock=Clock(now=lambda: NOW),
        )
        # The same steps in the same order, when a failure is tried again.
        inbox._row_mover._mover._workers = 1
        return inbox

    @staticmethod
    def _closes(report: Report) -> None:
        assert report.closes
        for outcome in report.outcomes:
            assert (outcome.state in (State.IMPORTED, State.STORED)) <= (outcome.attachment_id is not None)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


TestClinic = Clinic.TestCase
TestClinic.__doc__ = Clinic.__doc__
TestClinic.settings = settings(
    max_examples=int(os.environ.get("INTOUCH_PROPERTY_RUNS", "40")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
