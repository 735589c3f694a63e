"""`Inbox`: the list, and everything staff do with it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from intouch_import.errors import ConfigError, SelectionError, SourceUnavailable, UnknownPatient
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.inbox.listing import Lister, Timing
from intouch_import.inbox.locations import Locations
from intouch_import.inbox.look_ahead import LookAhead
from intouch_import.inbox.ordering import RowMover
from intouch_import.inbox.reassign import Reassign
from intouch_import.inbox.recovery import Recovery
from intouch_import.inbox.refreshing import Refresh
from intouch_import.inbox.rows import Row, make_job
from intouch_import.inbox.signing_in import let_sign_in
from intouch_import.inbox.summary import summary_html
from intouch_import.inbox.telling import teller
from intouch_import.inbox.undo import Undo, asking
from intouch_import.inbox.watching import Pace, Watch
from intouch_import.ledger import ledger_for
from intouch_import.logfiles import log_to_directory
from intouch_import.media import Examiner
from intouch_import.model import Patient
from intouch_import.moving import Mover
from intouch_import.reports import Report
from intouch_import.sources.base import Source
from intouch_import.sources.opening import open_source
from intouch_import.zones import zone_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from intouch_import.inbox.rows import Duplicate, Job
    from intouch_import.ledger import Ledger
    from intouch_import.model import Progress, StoredAttachment
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.settings import Settings
    from intouch_import.sources.opening import Unopened

__all__ = ["Inbox"]


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
        check_content: Whether to look into every file that is moved: what its bytes are, whether they decode
            whole, when it was taken. Doubt keeps a file from being imported by itself, and is told of one
            that a person saves. An `Examiner` to look with limits of one's own, or to keep thumbnails.
            False: automatic imports are judged by their first and last bytes alone.
        naming: How the capture app names files. The default is ours, not the vendor's: check it
            against a real file.
        ledger: Where moves are written down: a `Ledger`, the path of a SQLite file, or a SQLAlchemy URL, such
            as that of the host's own database. By default beside the patient records where these are in a SQL
            database of ours, else in the user's data directory.
        allowed_extensions: The only extensions that may be imported, lower case, with their dot; files with
            others wait, with the reason. None allows all.
        settle_s: How long a file must keep its size and time to count as arrived, seconds.
        unopened: Locations that could not be opened; each refresh tries again, and lists those that open.
        patient: If given, the only patient that files of this inbox can be saved to; see `browse`.
        clock: Gives the time, aware.
        monotonic_s, sleep: The clock that settling is measured by, and how to wait; seconds.

    Attributes:
        repository, operator, ledger: As they were given, or the default.
        zone: The practice's time zone, as a `datetime.tzinfo`.

    Raises:
        ConfigError: A time zone that does not exist, a pattern that can't be used, two sources with one id.
        RepositoryError: The ledger can't be opened.
    """

    def __init__(
        self,
        repository: PatientRepository,
        sources: Sequence[Source],
        *,
        operator: str | None = None,
        zone: str | tzinfo | None = None,
        auto_import: bool = True,
        check_content: bool | Examiner = True,
        naming: CaptureNaming | str = DEFAULT_PATTERN,
        ledger: Ledger | str | os.PathLike[str] | None = None,
        allowed_extensions: Collection[str] | None = None,
        settle_s: float = 2.0,
        unopened: Iterable[Unopened] = (),
        patient: Patient | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._locations = Locations(sources, unopened)
        self.repository = repository
        self.operator = operator
        self.zone = zone_of(zone)
        self.ledger = ledger_for(ledger, engine=getattr(repository, "engine", None))
        self._patient = patient
        self._naming = CaptureNaming(naming) if isinstance(naming, str) else naming
        self._allowed = frozenset(allowed_extensions) if allowed_extensions is not None else None
        self._timing = Timing(now=clock, monotonic_s=monotonic_s, sleep=sleep, settle_s=settle_s)
        self._lock = threading.RLock()
        self._rows: list[Row] = []
        if isinstance(check_content, bool):
            self._examiner = Examiner(zone=self.zone, now=clock) if check_content else None
        else:
            self._examiner = check_content
        self._look_ahead = LookAhead(repository, self.ledger)
        mover = Mover(repository, self.ledger, clock=clock, examiner=self._examiner)
        self._mover = RowMover(mover, repository=repository, operator=operator)
        self._lister = Lister(
            self.sources,
            repository=repository,
            ledger=self.ledger,
            naming=self._naming,
            zone=self.zone,
            auto_import=auto_import and patient is None,
            timing=self._timing,
            allowed_extensions=self._allowed,
        )
        self._refresh = Refresh(
            locations=self._locations,
            lister=self._lister,
            recovery=Recovery(self.sources, repository=repository, ledger=self.ledger, now=clock),
            mover=self._mover,
            lock=self._lock,
            show=self._show,
        )

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        provider: str | None = None,
        operator: str | None = None,
        repository: PatientRepository | None = None,
        signin: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """Make an inbox of what the settings say is on for one provider and one operator.

        A location that can't be opened is tried again at each refresh, and is a problem of its report. Where
        the settings name a folder for logs, failed connections are written there from now on.

        Args:
            settings: The settings.
            provider: See `Settings.open_sources`.
            operator: Likewise.
            signin: Likewise.
            repository: The patient records; by default the reference records that the settings name.
            options: Anything else that `Inbox` takes; it counts more than the settings.

        Raises:
            ConfigError: There is no such provider or operator, no records are named, or the folder for logs
                can't be written.
            RepositoryError: The records can't be opened.
        """
        operator_id = settings.operator_id(operator)
        opened = settings.open_sources(provider=provider, operator=operator_id, signin=signin)
        practice = settings.practice
        if practice.log_dir is not None:
            log_to_directory(practice.log_dir)
        from_settings: dict[str, Any] = {
            "operator": operator_id,
            "zone": practice.zone,
            "auto_import": settings.operators[operator_id].auto_import,
            "naming": practice.pattern,
            "allowed_extensions": practice.allowed_extensions,
            "settle_s": practice.settle_s,
            "unopened": opened.unopened,
        }
        return cls(repository or settings.open_records(), opened.sources, **(from_settings | options))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources that are open."""
        return self._locations.opened

    @property
    def unopened(self) -> tuple[Unopened, ...]:
        """Locations that are not open; a refresh tries again where that may help."""
        return self._locations.unopened

    @property
    def patient(self) -> Patient | None:
        """The only patient that files of this inbox can be saved to; None if any can."""
        return self._patient

    @property
    def rows(self) -> list[Row]:
        """The list as of the last refresh, with what was saved since; source by source, by name."""
        with self._lock:
            return list(self._rows)

    def __repr__(self) -> str:
        return f"<Inbox {len(self.sources)} sources, {len(self._rows)} rows>"

    def _repr_html_(self) -> str:
        """What Jupyter shows, and saves with the notebook: counts, no names. It waits for no other thread."""
        locations = [source.location for source in self.sources]
        return summary_html(self._rows, locations=locations, unopened=len(self.unopened))

    def refresh(
        self,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        cancel: threading.Event | None = None,
        only: Collection[str] | None = None,
        sign_in: bool = True,
    ) -> Report:
        """Import what may be imported without a person, finish interrupted moves, and list the rest.

        All locations are listed at once, and each is imported as soon as it has answered: one that is slow
        or dead holds up no other. Meanwhile `rows` shows what was listed, and other threads can save it.
        Where a location needs a person to sign in, the sign-in is waited for when the others are done, as
        long as it allows (three minutes).

        Args:
            on_progress: Called now and then in this thread with a `Progress`; ``print`` will do.
            cancel: Once set, files not yet begun stay where they are, and no sign-in is waited for.
            only: Ids of the sources to look at; the rows of the others stay as they are, and are not in the
                report. None looks at all, and tries to open what could not be opened before.
            sign_in: Whether to let people sign in where somebody must; else that is a problem like others.

        Returns:
            One outcome per file listed; a location that failed is a problem, not an exception.

        Raises:
            RepositoryError: The records or the ledger can't be asked at all. What was moved from locations
                that answered before is in the ledger; nothing more was moved.
        """
        tell = teller(on_progress)
        outcomes, problems = self._refresh(tell, cancel=cancel, only=only)
        if sign_in and any(problem.sign_in for problem in problems):
            ready, problems = let_sign_in(
                self.sources,
                problems,
                tell=tell,
                cancelled=cancel.is_set if cancel is not None else lambda: False,
            )
            if ready:
                later, more = self._refresh(tell, cancel=cancel, only=ready)
                outcomes, problems = outcomes + later, problems + more
        return Report(outcomes=outcomes, problems=tuple(problems), listed=len(outcomes))

    def scan(self, *, on_progress: Callable[[Progress], object] | None = None) -> list[Problem]:
        """List and judge, as `refresh` does, but move nothing and write nothing.

        The rows then show what a refresh would do: ``row.verdict.action`` and ``row.reason``.

        Args:
            on_progress: As for `refresh`.

        Returns:
            A problem per location that failed.

        Raises:
            RepositoryError: The records or the ledger can't be asked at all.
        """
        return self._refresh.scan(teller(on_progress))

    def watch(
        self,
        *,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        pace: Pace | None = None,
    ) -> Watch:
        """Keep the list up to date: refresh where and when something changes, and tell what is different.

        ::

            with inbox.watch() as watching:
                for changes in watching:
                    show(changes.new, changes.changed, changes.gone, changes.report.problems)

        Args:
            stop: Once set, the iteration ends; so it does after `Watch.stop`.
            on_progress: As for `refresh`.
            pace: How often to look at locations that can't tell when something changes.

        Returns:
            An iterator of `Changes`. The first of them, the list as it is, comes at once. It waits without
            using the processor. Close it, or use it as a context manager, to let go of its threads.
        """
        return Watch(self, stop=stop, on_progress=on_progress, pace=pace or Pace())

    def prepare(
        self, rows: Sequence[Row], *, patient: str | Patient, title: str = "", comments: str = ""
    ) -> Job:
        """Check a choice of rows for one patient, and say what a person should be asked before saving.

        Files that may well be in a record already are read to make sure: their size tells which.

        Args:
            rows: Rows of this inbox.
            patient: The patient, or the id.
            title: The same for all; may be empty.
            comments: Likewise.

        Returns:
            A job; ``job.warning`` is the text to show, or None. ``job.duplicates`` are the rows whose bytes
            are in a record already. Saving the job stores them all the same: it is for the person to say.

        Raises:
            UnknownPatient: There is no such patient.
            MixedDestinations: Images and other documents were chosen together.
            UnsuitableText: The title or the comments can't be stored.
            SelectionError: Nothing was chosen, or rows that can't be saved; it has their names.
            ConfigError: What was chosen is something else than rows.
            RepositoryError: The records can't be asked.
        """
        wanted = patient.id if isinstance(patient, Patient) else patient
        if self._patient is not None and wanted != self._patient.id:
            raise SelectionError("this folder was opened for another patient")
        found = self._find_patient(wanted)
        own = {id(row) for row in self.rows}
        if not all(isinstance(row, Row) for row in rows):
            raise ConfigError("prepare takes rows of Inbox.rows, not their names or ids")
        gone = tuple(row.name for row in rows if id(row) not in own)
        if gone:
            raise SelectionError("a selected row is not in the list any more: it was refreshed", names=gone)
        return make_job(rows, found, title, comments, find_duplicates=self._find_duplicates)

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

        Args:
            job: What `prepare` made.
            on_progress: As for `refresh`.
            cancel: Once set, files not yet begun stay where they are.

        Returns:
            One outcome per file. What fails for one file is in its outcome and stops no other.
        """
        with self._lock:
            self._wait_until_settled(job.rows)
            outcomes, problems = self._mover.save(job, teller(on_progress), cancel)
        return Report(outcomes=tuple(outcomes), problems=tuple(problems), listed=len(job.rows))

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
            SourceUnavailable: There is no such folder, or it can't be listed.
            ConfigError: `open_source` does not understand the folder or an option.
            RepositoryError: The records or the ledger can't be asked.
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
            check_content=self._examiner or False,
            naming=self._naming,
            ledger=self.ledger,
            allowed_extensions=self._allowed,
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

    def reassign(self, which: str | Outcome | StoredAttachment, *, patient: str | Patient) -> Outcome:
        """Move an attachment that is in the wrong record into the right one.

        The ledger names both patients. The bytes are read before and after, and do not change. Asked for
        again, it changes nothing. If the file is still in its source, the next refresh removes it from
        there, as that of any interrupted move.

        Args:
            which: An import id, an attachment id that the ledger knows, or what carries an import id.
            patient: The right patient, or the id.

        Returns:
            `State.IMPORTED` when it is in that patient's record; `State.FAILED` with the reason when it is
            not, and then it is where it was.

        Raises:
            SelectionError: Nothing is stored under that id.
            UnknownPatient: There is no such patient.
            NotSupported: The repository can't reassign attachments.
            RepositoryError: The records or the ledger failed; if the move had begun, the next refresh asks
                the records how it ended.
        """
        wanted = which if isinstance(which, str) else which.import_id
        if wanted is None:
            raise SelectionError("that file was not imported")
        found = self._find_patient(patient.id if isinstance(patient, Patient) else patient)
        if self._patient is not None and found.id != self._patient.id:
            raise SelectionError("this folder was opened for another patient")
        with self._lock, asking():
            reassign = Reassign(self.repository, self.ledger, clock=self._timing.now, operator=self.operator)
            return reassign(wanted, found)

    # --- inside

    def _show(self, rows: list[Row]) -> None:
        self._rows = rows

    def _find_patient(self, patient_id: str) -> Patient:
        with asking():
            found = self.repository.find_patient(patient_id)
        if found is None:
            raise UnknownPatient("no patient has this id")
        return found

    def _find_duplicates(self, rows: Sequence[Row], patient: Patient) -> tuple[Duplicate, ...]:
        with asking():
            return self._look_ahead(rows, patient)

    def _wait_until_settled(self, rows: Sequence[Row]) -> None:
        """A file that changes while we wait is refused by the move, since its version is pinned."""
        timing = self._timing
        young = [row.first_seen_s for row in rows if not row.settled]
        if young:
            timing.sleep(max(0.0, max(young) + timing.settle_s - timing.monotonic_s()))
