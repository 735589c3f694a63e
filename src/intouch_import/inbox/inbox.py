"""`Inbox`: the list, and everything staff do with it."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from intouch_import.database import connect
from intouch_import.errors import (
    ConfigError,
    SelectionError,
    SourceUnavailable,
    UnknownPatient,
)
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.inbox.listing import Lister, Timing
from intouch_import.inbox.recovery import Recovery
from intouch_import.inbox.rows import Job, Row, RowOutcomes, make_job
from intouch_import.inbox.signing_in import let_sign_in
from intouch_import.inbox.undo import Undo, asking
from intouch_import.ledger import Ledger
from intouch_import.model import Action, Patient, Progress, Reason, Stage, State
from intouch_import.moving import Mover, Order
from intouch_import.reports import Outcome, Problem, Report
from intouch_import.sources.base import Source, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Inbox"]

log = logging.getLogger(__name__)


class Inbox:
    """The files of some sources, waiting for a patient.

    Its methods may be called from several threads; they wait for each other.

    Args:
        repository: The patient records.
        sources: Opened sources, each its own folder.
        operator: Who works with this list, as the host names its staff; written into the ledger.
        zone: The practice's time zone (``"Australia/Sydney"``): the wall times in capture names are read
            in it. By default this machine's zone.
        auto_import: Whether files whose names say whose they are may be imported without a person.
        naming: How the capture app names files. The default is ours, not the vendor's: check it
            against a real file.
        ledger: Where moves are written down: a `Ledger`, or the path of a SQLite file. By default beside the
            patient records where these are in a SQL database of ours, else in the user's data directory.
        settle_s: How long a file must keep its size and time to count as arrived, seconds.
        patient: If given, the only patient that files of this inbox can be saved to; see `browse`.
        clock: Gives the time, aware.
        monotonic_s, sleep: The clock that settling is measured by, and how to wait.

    Raises:
        ConfigError: A time zone that does not exist, or two sources with one id.
    """

    def __init__(
        self,
        repository: PatientRepository,
        sources: Sequence[Source],
        *,
        operator: str | None = None,
        zone: str | tzinfo | None = None,
        auto_import: bool = True,
        naming: CaptureNaming | str = DEFAULT_PATTERN,
        ledger: Ledger | str | os.PathLike[str] | None = None,
        settle_s: float = 2.0,
        patient: Patient | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        ids = [source.source_id for source in sources]
        if len(set(ids)) != len(ids):
            raise ConfigError("two sources have the same source id: is it the same folder twice?")
        self.repository = repository
        self.sources = tuple(sources)
        self.operator = operator
        self.zone = _zone(zone)
        self.ledger = _ledger(ledger, repository)
        self._patient = patient
        self._naming = CaptureNaming(naming) if isinstance(naming, str) else naming
        self._timing = Timing(now=clock, monotonic_s=monotonic_s, sleep=sleep, settle_s=settle_s)
        self._lock = threading.RLock()
        self._rows: list[Row] = []
        self._mover = Mover(repository, self.ledger, clock=clock)
        self._recovery = Recovery(self.sources, repository=repository, ledger=self.ledger, now=clock)
        self._lister = Lister(
            self.sources,
            repository=repository,
            ledger=self.ledger,
            naming=self._naming,
            zone=self.zone,
            auto_import=auto_import and patient is None,
            timing=self._timing,
        )

    @property
    def rows(self) -> list[Row]:
        """The list as of the last refresh, with what was saved since; source by source, by name."""
        with self._lock:
            return list(self._rows)

    def __repr__(self) -> str:
        return f"<Inbox {len(self.sources)} sources, {len(self._rows)} rows>"

    def refresh(
        self,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Import what may be imported without a person, finish interrupted moves, and list the rest.

        Where a location needs a person to sign in, the others are imported and listed first. Then the
        sign-in is waited for, as long as it allows (three minutes); meanwhile `rows` shows what was
        listed, and other threads can save it.

        Args:
            on_progress: Called now and then in this thread with a `Progress`; ``print`` will do.
            cancel: Once set, files not yet begun stay where they are, and no sign-in is waited for.

        Returns:
            One outcome per file listed; a location that failed is a problem, not an exception.

        Raises:
            RepositoryError: The records or the ledger can't be asked at all; nothing was moved.
        """
        tell = _teller(on_progress)
        outcomes, problems = self._refresh(self.sources, tell, cancel)
        if any(problem.sign_in for problem in problems):
            ready, problems = let_sign_in(
                self.sources,
                problems,
                tell=tell,
                cancelled=cancel.is_set if cancel is not None else lambda: False,
            )
            if ready:
                later, more = self._refresh(ready, tell, cancel)
                outcomes, problems = outcomes + later, problems + more
        return Report(outcomes=outcomes, problems=tuple(problems), listed=len(outcomes))

    def scan(self, *, on_progress: Callable[[Progress], object] | None = None) -> list[Problem]:
        """List and judge, as `refresh` does, but move nothing and write nothing.

        The rows then show what a refresh would do: ``row.verdict.action`` and ``row.reason``.

        Returns:
            A problem per location that failed.

        Raises:
            RepositoryError: The records or the ledger can't be asked at all.
        """
        with self._lock:
            with asking():
                self._rows, problems = self._lister.refresh(_teller(on_progress), self.sources)
            return problems

    def prepare(
        self, rows: Sequence[Row], *, patient: str | Patient, title: str = "", comments: str = ""
    ) -> Job:
        """Check a choice of rows for one patient, and say what a person should be asked before saving.

        Args:
            rows: Rows of this inbox.
            patient: The patient, or the id.
            title: The same for all; may be empty.
            comments: Likewise.

        Returns:
            A job; ``job.warning`` is the text to show, or None.

        Raises:
            UnknownPatient: There is no such patient.
            MixedDestinations: Images and other documents were chosen together.
            UnsuitableText: The title or the comments can't be stored.
            SelectionError: Nothing was chosen, or a row that can't be saved.
        """
        wanted = patient.id if isinstance(patient, Patient) else patient
        if self._patient is not None and wanted != self._patient.id:
            raise SelectionError("this folder was opened for another patient")
        found = self._find_patient(wanted)
        own = {id(row) for row in self.rows}
        if not all(id(row) in own for row in rows):
            raise SelectionError("a selected row is not in the list any more: it was refreshed")
        return make_job(rows, found, title, comments)

    def save(
        self,
        job: Job,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Move the files of a job into the patient's record.

        The rows then show what became of them, patient and title included; those that were saved
        leave the list at the next refresh.

        Returns:
            One outcome per file. What fails for one file is in its outcome and stops no other.
        """
        tell = _teller(on_progress)
        with self._lock:
            self._wait_until_settled(job.rows)
            orders = [
                Order(
                    source=row.source,
                    file=row.file,
                    patient_id=job.patient.id,
                    provider_id=row.capture.provider if row.capture is not None else row.source.provider,
                    destination=row.destination,
                    title=job.title,
                    comments=job.comments,
                    taken_at=row.verdict.taken_at,
                    operator=self.operator,
                    reason=Reason.CHOSEN,
                )
                for row in job.rows
            ]
            done = self._move(
                job.rows, orders, Stage.SAVING, tell, cancel, patient=job.patient, title=job.title
            )
            return Report(
                outcomes=tuple(done.by_row[id(row)] for row in job.rows),
                problems=tuple(done.problems),
                listed=len(job.rows),
            )

    def browse(
        self, folder: str | os.PathLike[str] | Source, *, patient: str | Patient, **options: Any
    ) -> Inbox:
        """Open any folder for one given patient, as imaging towers make one folder per patient.

        Args:
            folder: A path, a URL, or an opened source.
            patient: The patient, or the id: the only one that its files can be saved to.
            options: Passed to `open_source`.

        Returns:
            An inbox of that folder, refreshed. Nothing in it is imported without a person.

        Raises:
            UnknownPatient: There is no such patient.
            SourceUnavailable: There is no such folder.
        """
        wanted = patient.id if isinstance(patient, Patient) else patient
        found = self._find_patient(wanted)
        source = folder if isinstance(folder, Source) else open_source(folder, **options)
        timing = self._timing
        browsed = Inbox(
            self.repository,
            [source],
            operator=self.operator,
            zone=self.zone,
            naming=self._naming,
            ledger=self.ledger,
            settle_s=timing.settle_s,
            patient=found,
            clock=timing.now,
            monotonic_s=timing.monotonic_s,
            sleep=timing.sleep,
        )
        report = browsed.refresh()
        if report.problems:
            raise SourceUnavailable(report.problems[0].text, source_id=source.source_id)
        return browsed

    def undo(self, import_id: str | Outcome | StoredAttachment, *, source: Source | None = None) -> Outcome:
        """Put an imported file back into its source, and take it out of the patient's record.

        The file then waits in the list; it is not imported again by itself.

        Args:
            import_id: Which, or an outcome or attachment that carries it.
            source: Where it came from, if that source is not one of this inbox.

        Returns:
            `State.WAITING` when it is back; `State.FAILED` with the reason when it could not be put back, and
            the record is as it was.

        Raises:
            SelectionError: Nothing is stored under that id, or its source is not open here.
            NotSupported: The repository can't withdraw attachments.
            RepositoryError: The records failed.
        """
        wanted = import_id if isinstance(import_id, str) else import_id.import_id
        if wanted is None:
            raise SelectionError("that file was not imported")
        with self._lock, asking():
            undo = Undo(self.repository, self.ledger, clock=self._timing.now, operator=self.operator)
            return undo(wanted, (*self.sources, *([source] if source is not None else [])))

    # --- inside

    def _refresh(
        self, sources: Sequence[Source], tell: Callable[[Progress], None], cancel: threading.Event | None
    ) -> tuple[RowOutcomes, list[Problem]]:
        """Refresh some sources, or all of them."""
        with self._lock:
            with asking():
                self._recovery.before_listing()
                rows, problems = self._lister.refresh(tell, sources)
                failed = {problem.source_id for problem in problems}
                listed = {source.source_id for source in sources} - failed
                self._recovery.after_listing(rows, listed=listed)
            ready = [row for row in rows if row.verdict.action in (Action.IMPORT, Action.FINISH)]
            with asking():
                stored = self._stored(ready)
            orders = [self._order_of(row, stored.get(row.import_id)) for row in ready]
            done = self._move(ready, orders, Stage.AUTO_IMPORTING, tell, cancel)
            gone = {id(row) for row in ready if row.state is State.IMPORTED}
            self._lister.forget(row for row in ready if id(row) in gone)
            if len(sources) < len(self.sources):
                self._rows = self._lister.rows()
            else:
                self._rows = [row for row in rows if id(row) not in gone] if gone else rows
            return RowOutcomes(rows, done.by_row), problems + done.problems

    def _find_patient(self, patient_id: str) -> Patient:
        with asking():
            found = self.repository.find_patient(patient_id)
        if found is None:
            raise UnknownPatient("no patient has this id")
        return found

    def _stored(self, rows: Sequence[Row]) -> Mapping[str, StoredAttachment]:
        """What the repository holds of the interrupted moves among these rows."""
        ids = [row.import_id for row in rows if row.verdict.action is Action.FINISH]
        return self.repository.find_attachment(ids) if ids else {}

    def _order_of(self, row: Row, stored: StoredAttachment | None) -> Order:
        verdict = row.verdict
        if verdict.patient_id is None:
            raise AssertionError("a verdict to import names a patient")
        return Order(
            source=row.source,
            file=row.file,
            patient_id=verdict.patient_id,
            provider_id=verdict.capture.provider if verdict.capture is not None else row.source.provider,
            destination=verdict.destination,
            taken_at=verdict.taken_at,
            operator=self.operator,
            reason=verdict.reason,
            automatic=True,
            stored=stored,
        )

    def _wait_until_settled(self, rows: Sequence[Row]) -> None:
        """A file that changes while we wait is refused by the move, since its version is pinned."""
        timing = self._timing
        young = [row.first_seen_s for row in rows if not row.settled]
        if young:
            timing.sleep(max(0.0, max(young) + timing.settle_s - timing.monotonic_s()))

    def _move(
        self,
        rows: Sequence[Row],
        orders: Sequence[Order],
        stage: Stage,
        tell: Callable[[Progress], None],
        cancel: threading.Event | None,
        *,
        patient: Patient | None = None,
        title: str = "",
    ) -> _Done:
        if not orders:
            return _Done({}, [])
        total_bytes = sum(order.file.size_bytes for order in orders)
        progress = Progress(stage=stage, done=0, total=len(orders), done_bytes=0, total_bytes=total_bytes)
        tell(progress)

        def on_done(outcomes: Sequence[Outcome], size_bytes: int) -> None:
            nonlocal progress
            progress = Progress(
                stage=stage,
                done=progress.done + len(outcomes),
                total=len(orders),
                done_bytes=progress.done_bytes + size_bytes,
                total_bytes=total_bytes,
            )
            tell(progress)

        cancelled = cancel.is_set if cancel is not None else lambda: False
        outcomes, problems = self._mover.move(orders, on_done=on_done, cancelled=cancelled)
        for row, outcome in zip(rows, outcomes, strict=True):
            row.take(outcome, patient, title)
        return _Done({id(row): outcome for row, outcome in zip(rows, outcomes, strict=True)}, problems)


class _Done:
    """What a move of rows came to."""

    def __init__(self, by_row: dict[int, Outcome], problems: list[Problem]) -> None:
        self.by_row = by_row
        self.problems = problems


def _teller(on_progress: Callable[[Progress], object] | None) -> Callable[[Progress], None]:
    """Call back without letting the caller's mistake stop a move half-way."""

    def tell(progress: Progress) -> None:
        if on_progress is None:
            return
        try:
            on_progress(progress)
        except Exception as exc:  # noqa: BLE001  # it is the host's code
            log.warning("the progress callback failed", extra={"kind": type(exc).__name__})

    return tell


def _zone(zone: str | tzinfo | None) -> tzinfo:
    if zone is None:
        import tzlocal

        return tzlocal.get_localzone()
    if isinstance(zone, str):
        try:
            return ZoneInfo(zone)
        except (OSError, ValueError) as exc:  # ZoneInfoNotFoundError is a KeyError
            raise ConfigError("that time zone is not known") from exc
        except KeyError as exc:
            raise ConfigError("that time zone is not known") from exc
    return zone


def _ledger(ledger: Ledger | str | os.PathLike[str] | None, repository: PatientRepository) -> Ledger:
    if isinstance(ledger, Ledger):
        return ledger
    if ledger is not None:
        text = os.fspath(ledger)
        return Ledger.open(text) if "://" in text else _ledger_file(Path(text).expanduser())
    engine = getattr(repository, "engine", None)
    if engine is not None:
        return Ledger(engine)
    import platformdirs

    return _ledger_file(Path(platformdirs.user_data_dir("intouch-import", ensure_exists=True), "ledger.db"))


def _ledger_file(path: Path) -> Ledger:
    return Ledger(connect(URL.create("sqlite", database=str(path))))
