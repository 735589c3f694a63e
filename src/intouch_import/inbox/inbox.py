"""`Inbox`: the list, and everything staff do with it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from intouch_import.clock import SYSTEM_CLOCK, Clock, zone_of
from intouch_import.closing import Closable
from intouch_import.errors import ConfigError, SelectionError, SourceUnavailable, UnknownPatient, host_errors
from intouch_import.extensions import check_extensions
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.forks import ForkSafeLock
from intouch_import.inbox.corrections import Corrections
from intouch_import.inbox.doubts import DoubtFinder
from intouch_import.inbox.duplicates import DuplicateFinder
from intouch_import.inbox.listing import Lister
from intouch_import.inbox.locations import Locations, let_sign_in
from intouch_import.inbox.recovery import Recovery
from intouch_import.inbox.refresh import Refresh, RowMover, guarded
from intouch_import.inbox.rows import Row
from intouch_import.inbox.save_request import SaveRequest, check_choice, with_companions
from intouch_import.inbox.summary import summary_html
from intouch_import.inbox.watch import Pace, Watch
from intouch_import.ledger import Ledger, ledger_for
from intouch_import.logfiles import log_to_directory
from intouch_import.media import Examiner
from intouch_import.model import Patient
from intouch_import.moving import Mover
from intouch_import.reports import Report
from intouch_import.sources.base import Source
from intouch_import.sources.opening import open_source

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import tzinfo

    from intouch_import.model import Progress, StoredAttachment
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.settings import Settings
    from intouch_import.sources.opening import Unopened

__all__ = ["Inbox"]


class Inbox(Closable):
    """The files of some sources, waiting for a patient.

    Thread-safe: its methods wait for each other. Use it as a context manager, or call `close` at the end.

    Args:
        repository: The patient records.
        sources: Opened sources, each its own folder; or one.
        operator: The member of staff who works with this list, as the host names its staff; written into the
            ledger.
        zone: The practice's time zone (``"Australia/Sydney"``), in which the times in capture names are read.
            Default: this machine's zone.
        auto_import: Whether files whose names identify the patient are imported automatically.
        check_content: Whether to look into every file that is moved: what its bytes are, whether they decode
            completely, when it was taken. A doubt keeps a file from being imported automatically; for a file
            that a person saves, its outcome reports the doubt. Pass an `Examiner` to set limits, or to keep
            thumbnails. False: automatic imports are judged by their first and last bytes alone.
        naming: How the capture app names files. The default is ours, not the vendor's: check it
            against a real file.
        ledger: Where moves are written down: a `Ledger`, the path of a SQLite file, or a SQLAlchemy URL, such
            as that of the host's database. Default: the ledger of the records
            (`PatientRepository.ledger`). All inboxes of the same records need the same ledger.
        allowed_extensions: The only extensions that may be imported, each with its dot. Files with other
            extensions wait, with the reason. None allows all.
        settle_s: How long a file must keep its size and time to count as arrived, seconds.
        unopened: Locations that could not be opened. Each refresh tries them again.
        patient: The only patient that files of this inbox can be saved to; None for any. See `browse`.
        clock: The clock; a test passes its own.

    Attributes:
        repository, operator, ledger: As given, or the default.
        zone: The practice's time zone, as a `datetime.tzinfo`.

    Raises:
        ConfigError: The time zone does not exist, the pattern or an extension can't be used, two sources have
            one id, something else than opened sources was passed, or no ledger is given and the records have
            none.
        RepositoryError: The ledger can't be opened.
    """

    def __init__(
        self,
        repository: PatientRepository,
        sources: Source | Sequence[Source],
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
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SYSTEM_CLOCK
        self._locations = Locations(sources, unopened)
        self.repository = repository
        self.operator = operator
        self.zone = zone_of(zone)
        self._own_ledger = not isinstance(ledger, Ledger)
        self._own_repository = False
        self.ledger = ledger_for(ledger, records=repository)
        self._patient = patient
        self._naming = CaptureNaming(naming) if isinstance(naming, str) else naming
        self._allowed = check_extensions(allowed_extensions)
        self._settle_s = settle_s
        self._lock = ForkSafeLock(threading.RLock)
        if isinstance(check_content, bool):
            self._examiner = Examiner(zone=self.zone, now=self._clock.now) if check_content else None
        else:
            self._examiner = check_content
        self._duplicates = DuplicateFinder(repository, self.ledger)
        self._doubts = DoubtFinder(repository, naming=self._naming, zone=self.zone, now=self._clock.now)
        self._corrections = Corrections(repository, self.ledger, now=self._clock.now, operator=operator)
        mover = Mover(repository, self.ledger, clock=self._clock, examiner=self._examiner)
        self._row_mover = RowMover(mover, repository=repository, operator=operator)
        lister = Lister(
            self.sources,
            repository=repository,
            ledger=self.ledger,
            naming=self._naming,
            zone=self.zone,
            auto_import=auto_import and patient is None,
            clock=self._clock,
            settle_s=settle_s,
            allowed_extensions=self._allowed,
        )
        self._refresh = Refresh(
            locations=self._locations,
            lister=lister,
            recovery=Recovery(self.sources, repository=repository, ledger=self.ledger, now=self._clock.now),
            mover=self._row_mover,
            lock=self._lock,
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
        """Make an inbox of the locations that the settings switch on for one provider and one operator.

        A location that can't be opened is tried again at each refresh, and is a problem in its report. Where
        the settings name a folder for logs, failed connections are logged there from now on.

        Args:
            settings: The settings.
            provider: See `Settings.open_sources`.
            operator: See `Settings.open_sources`.
            signin: See `Settings.open_sources`.
            repository: The patient records. Default: the reference records that the settings name.
            options: Any other argument of `Inbox`; it overrides the settings.

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
        inbox = cls(repository or settings.open_records(), opened.sources, **(from_settings | options))
        inbox._own_repository = repository is None
        return inbox

    # --- the list

    @property
    def sources(self) -> tuple[Source, ...]:
        """The open sources."""
        return self._locations.opened

    @property
    def unopened(self) -> tuple[Unopened, ...]:
        """Locations that are not open; a refresh tries them again where that may help."""
        return self._locations.unopened

    @property
    def patient(self) -> Patient | None:
        """The only patient that files of this inbox can be saved to; None for any."""
        return self._patient

    @property
    def rows(self) -> list[Row]:
        """The list as of the last refresh, with what was saved since; by source, then by name."""
        with self._lock:
            return list(self._refresh.rows)

    def __repr__(self) -> str:
        return f"<Inbox {len(self.sources)} sources, {len(self._refresh.rows)} rows>"

    def _repr_html_(self) -> str:
        """Return what Jupyter shows, and saves with the notebook: counts, no names. No lock is taken."""
        locations = [source.location for source in self.sources]
        return summary_html(self._refresh.rows, locations=locations, unopened=len(self.unopened))

    def close(self) -> None:
        """Close the sources, and the ledger and the records if this inbox has opened them.

        Records and a ledger that were passed in stay open.
        """
        with self._lock:
            for source in self.sources:
                source.close()
            if self._own_ledger:
                self.ledger.close()
            if self._own_repository:
                self.repository.close()  # type: ignore[attr-defined]  # `open_records` gave a `SqlRepository`

    def refresh(
        self,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        cancel: threading.Event | None = None,
        only: Collection[str] | None = None,
        sign_in: bool = True,
    ) -> Report:
        """Import what may be imported automatically, finish interrupted moves, and list the rest.

        All locations are listed at the same time, and files are imported from each as soon as it has
        answered: a slow or dead location delays no other. Meanwhile `rows` shows what was listed, and other
        threads can save it. Where a person must sign in, the refresh waits for the sign-in after all other
        locations are done, for as long as the sign-in allows (three minutes).

        Args:
            on_progress: Called now and then in this thread with a `Progress`; ``print`` will do.
            cancel: Once set, files not yet begun stay where they are, and no sign-in is waited for.
            only: Ids of the sources to look at. The rows of other sources stay as they are, and are not in
                the report. None: all sources, and those that could not be opened before.
            sign_in: Whether to let people sign in where that is needed. If False, a missing sign-in is a
                problem in the report.

        Returns:
            One outcome per file listed. A location that failed is a problem, not an exception. So are records
            that lack files which the ledger has: they may have been restored from an old backup.

        Raises:
            RepositoryError: The records or the ledger failed. What was moved from locations that answered
                before is in the ledger; nothing else was moved.
        """
        tell = guarded(on_progress)
        outcomes, problems = self._refresh.run(tell, cancel=cancel, only=only)
        if sign_in and any(problem.sign_in for problem in problems):
            ready, problems = let_sign_in(
                self.sources,
                problems,
                tell=tell,
                cancelled=cancel.is_set if cancel is not None else lambda: False,
            )
            if ready:
                later, more = self._refresh.run(tell, cancel=cancel, only=ready)
                outcomes, problems = outcomes + later, [*dict.fromkeys(problems + more)]
        return Report(outcomes=outcomes, problems=tuple(problems), listed=len(outcomes))

    def scan(self, *, on_progress: Callable[[Progress], object] | None = None) -> list[Problem]:
        """List, check and judge, as `refresh` does, but move nothing and store nothing.

        Files that would be imported are read. The rows then show what a refresh would do:
        ``row.verdict.action`` and ``row.reason``.

        Args:
            on_progress: See `refresh`.

        Returns:
            A problem per location that failed.

        Raises:
            RepositoryError: The records or the ledger failed.
        """
        return self._refresh.run(guarded(on_progress), dry=True)[1]

    def watch(
        self,
        *,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        pace: Pace | None = None,
    ) -> Watch:
        """Keep the list up to date: refresh when and where something changes, and yield the changes.

        ::

            with inbox.watch() as watching:
                for changes in watching:
                    show(changes.new, changes.changed, changes.gone, changes.report.problems)

        Args:
            stop: Once set, the iteration ends; `Watch.stop` ends it too.
            on_progress: See `refresh`.
            pace: How often to look at locations that can't report changes.

        Returns:
            An iterator of `Changes`. The first item, the list as it is, comes at once. The iterator waits
            without using the processor. Close it, or use it as a context manager, to end its threads.
        """
        return Watch(self, stop=stop, on_progress=on_progress, pace=pace or Pace())

    # --- save

    def prepare(
        self,
        rows: Row | Sequence[Row],
        *,
        patient: str | Patient,
        title: str = "",
        comments: str = "",
        companions: bool = True,
    ) -> SaveRequest:
        """Check a choice of rows for one patient, and find what to ask the person before saving.

        The movie, the RAW, the edited version and the sidecars of a chosen photo are saved with it.

        The first and last bytes of the files are read, up to a limit. Files that may be in a record already
        are read completely to find out; their sizes tell which. Nothing is changed.

        Args:
            rows: Rows of this inbox, or one.
            patient: The patient, or the id.
            title: The same for all rows; may be empty.
            comments: The same for all rows; may be empty.
            companions: Whether to add the rows that belong to the chosen ones. If not, a doubt names them.

        Returns:
            A request for `save`. Its ``doubts`` are what to ask the person, and its ``warning`` is the text
            to show, or None. Its ``duplicates`` are the rows whose bytes are in a record already. All rows
            can be saved: the person decides.

        Raises:
            UnknownPatient: There is no such patient.
            MixedDestinations: Images and other documents were chosen together that don't belong together.
            UnsuitableText: The title or the comments can't be stored.
            SelectionError: Nothing was chosen, or rows that can't be saved; it has their names.
            ConfigError: Something other than rows was passed.
            RepositoryError: The records failed.
        """
        rows = (rows,) if isinstance(rows, Row) else rows
        if not isinstance(rows, Iterable) or not all(isinstance(row, Row) for row in rows):
            raise ConfigError("prepare takes rows of Inbox.rows, not their names or ids")
        wanted = patient.id if isinstance(patient, Patient) else patient
        if self._patient is not None and wanted != self._patient.id:
            raise SelectionError("this folder was opened for another patient")
        found = self._find_patient(wanted)
        own = {id(row) for row in self.rows}
        gone = tuple(row.name for row in rows if id(row) not in own)
        if gone:
            raise SelectionError("a selected row is not in the list any more: it was refreshed", names=gone)
        check_choice(rows, title=title, comments=comments)
        if companions:
            rows = with_companions(rows)
        with host_errors():
            # Equal sidecars are no copies: most edits and metadata of an app are the same.
            shown = [row for row in rows if row.companion_role is None or not row.companion_role.is_sidecar]
            duplicates = self._duplicates.find(shown, found)
            doubts = self._doubts.find(rows, found, duplicates)
        return SaveRequest(
            rows=tuple(rows),
            patient=found,
            destination=rows[0].destination,
            title=title,
            comments=comments,
            duplicates=duplicates,
            doubts=doubts,
        )

    def save(
        self,
        request: SaveRequest,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Move the files of a request into the patient's record.

        The rows then show the result, patient and title included. Saved rows leave the list at the next
        refresh.

        Args:
            request: From `prepare`.
            on_progress: See `refresh`.
            cancel: Once set, files not yet begun stay where they are.

        Returns:
            One outcome per file. A failure of one file is in its outcome and stops no other.
        """
        with self._lock:
            self._wait_until_settled(request.rows)
            outcomes, problems = self._row_mover.save(request, guarded(on_progress), cancel)
        return Report(outcomes=tuple(outcomes), problems=tuple(problems), listed=len(request.rows))

    def browse(
        self, folder: str | os.PathLike[str] | Source, *, patient: str | Patient, **options: Any
    ) -> Inbox:
        """Open any folder for one given patient: imaging towers make one folder per patient.

        Args:
            folder: A path, a URL, or an opened source.
            patient: The patient, or the id: the only patient that its files can be saved to.
            options: Passed to `open_source`.

        Returns:
            An inbox of that folder, refreshed. Nothing in it is imported automatically.

        Raises:
            UnknownPatient: There is no such patient.
            SourceUnavailable: There is no such folder, or it can't be listed.
            ConfigError: `open_source` does not understand the folder or an option.
            RepositoryError: The records or the ledger failed.
        """
        wanted = patient.id if isinstance(patient, Patient) else patient
        found = self._find_patient(wanted)
        source = folder if isinstance(folder, Source) else open_source(folder, **options)
        browsed = Inbox(
            self.repository,
            [source],
            operator=self.operator,
            zone=self.zone,
            check_content=self._examiner or False,
            naming=self._naming,
            ledger=self.ledger,
            allowed_extensions=self._allowed,
            settle_s=self._settle_s,
            patient=found,
            clock=self._clock,
        )
        report = browsed.refresh()
        if report.problems:
            raise SourceUnavailable(report.problems[0].text, source_id=source.source_id)
        return browsed

    # --- correct

    def undo(
        self,
        import_id: str | Outcome | StoredAttachment,
        *,
        source: Source | None = None,
        companions: bool = True,
    ) -> Outcome:
        """Put an imported file back into its source, and take it out of the patient's record.

        The files that were stored as belonging to it are put back before it. All of them then wait in the
        list; they are not imported automatically again.

        Args:
            import_id: The import id, or an outcome or attachment that has it.
            source: The source of the file, if it is not one of this inbox.
            companions: Whether to put the files back, too, that belong to this one. Its sidecars always are:
                nobody would see them in the record.

        Returns:
            `State.WAITING` when the file is back. `State.FAILED` with the reason when it could not be put
            back; the record is then as it was. If a file that belongs to it could not be put back, the
            outcome is the failure of that file, and the file itself is still in the record. ``companions``
            has the outcomes of those that were put back before.

        Raises:
            SelectionError: Nothing is stored under that id, or its source is not open here.
            NotSupported: The repository can't withdraw attachments.
            RepositoryError: The records failed.
        """
        wanted = import_id if isinstance(import_id, str) else import_id.import_id
        if wanted is None:
            raise SelectionError("that file was not imported")
        with self._lock, host_errors():
            sources = (*self.sources, *([source] if source is not None else []))
            return self._corrections.undo(wanted, sources, companions=companions)

    def reassign(
        self,
        which: str | Outcome | StoredAttachment,
        *,
        patient: str | Patient,
        companions: bool = True,
    ) -> Outcome:
        """Move an attachment from a wrong record into the right one.

        The attachments that belong to it are moved before it. The ledger names both patients. The bytes are
        read before and after, and do not change. A second call changes nothing. If the file is still in its
        source, the next refresh removes it from there, as after any interrupted move.

        Args:
            which: An import id, an attachment id that the ledger knows, or an object with an import id.
            patient: The right patient, or the id.
            companions: Whether to move the attachments, too, that belong to this one. Its sidecars always
                are: nobody would see them in the other record.

        Returns:
            `State.IMPORTED` when it is in that patient's record. `State.FAILED` with the reason when it is
            not; it is then where it was. If a file that belongs to it could not be moved, the outcome is the
            failure of that file. ``companions`` has the outcomes of those that were moved before.

        Raises:
            SelectionError: Nothing is stored under that id. Or it is a sidecar, and its photo is not to be
                moved.
            UnknownPatient: There is no such patient.
            NotSupported: The repository can't reassign attachments.
            RepositoryError: The records or the ledger failed. If the move had begun, the next refresh asks
                the records how it ended.
        """
        wanted = which if isinstance(which, str) else which.import_id
        if wanted is None:
            raise SelectionError("that file was not imported")
        found = self._find_patient(patient.id if isinstance(patient, Patient) else patient)
        if self._patient is not None and found.id != self._patient.id:
            raise SelectionError("this folder was opened for another patient")
        with self._lock, host_errors():
            return self._corrections.reassign(wanted, found, companions=companions)

    # --- inside

    def _find_patient(self, patient_id: str) -> Patient:
        if not isinstance(patient_id, str):
            raise ConfigError("patient is a Patient or a patient's id, a text")
        with host_errors():
            found = self.repository.find_patient(patient_id)
        if found is None or found.id != patient_id:
            raise UnknownPatient("no patient has this id")
        return found

    def _wait_until_settled(self, rows: Sequence[Row]) -> None:
        """Wait for young files. The move refuses a file that changes meanwhile: its version is pinned."""
        young = [row.first_seen_s for row in rows if not row.settled]
        if young:
            self._clock.sleep(max(0.0, max(young) + self._settle_s - self._clock.monotonic_s()))
