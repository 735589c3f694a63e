"""What happens when a list is refreshed, location by location as they answer; and how rows are moved."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from intouch_import.closing import Closable
from intouch_import.errors import InTouchImportError, instead_of, kind_and_place
from intouch_import.inbox.doubts import Evidence
from intouch_import.inbox.listing import Listed
from intouch_import.inbox.locations import Opening
from intouch_import.inbox.rows import RowOutcomes
from intouch_import.model import Action, Progress, Reason, Stage, State
from intouch_import.moving import MoveOrder, Mover
from intouch_import.verdicts import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from intouch_import.forks import ForkSafeLock
    from intouch_import.inbox.listing import Lister
    from intouch_import.inbox.locations import Locations
    from intouch_import.inbox.recovery import Recovery
    from intouch_import.inbox.rows import Row
    from intouch_import.inbox.save_request import SaveRequest
    from intouch_import.ledger import LedgerEntry
    from intouch_import.model import Patient, StoredAttachment
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source
    from intouch_import.sources.opening import Unopened

__all__ = ["Answers", "Refresh", "RowMover", "guarded"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")
# Locations that answer almost at once are taken together: a photo that is in two folders is then noticed
# before either is stored, and the records are asked once.
_TOGETHER_S: Final = 0.05
# A thread for each location: threads start only when they are needed, and there are few locations.
_MOST_THREADS: Final = 64
# Looked up once: on the enum it would take as long as the rest of the comparison.
_NEED_NOBODY: Final = (Action.IMPORT, Action.FINISH)


class Refresh:
    """Lists all locations at the same time, and imports from each as soon as it has answered.

    Nothing is locked while a location is waited for. A throttled location may take a minute, and staff save
    from the others meanwhile. What was listed before such a save is checked again when its turn comes.

    Args:
        locations, lister, recovery, mover: What it works with.
        lock: Held whenever rows are read or changed.

    Attributes:
        rows: The list.
    """

    def __init__(
        self,
        *,
        locations: Locations,
        lister: Lister,
        recovery: Recovery,
        mover: RowMover,
        lock: ForkSafeLock,
    ) -> None:
        self.rows: list[Row] = []
        self._locations = locations
        self._lister = lister
        self._recovery = recovery
        self._mover = mover
        self._lock = lock

    def run(
        self,
        tell: Callable[[Progress], None],
        *,
        cancel: threading.Event | None = None,
        only: Collection[str] | None = None,
        dry: bool = False,
    ) -> tuple[RowOutcomes, list[Problem]]:
        """List, import what may be imported, and finish interrupted moves. See `Inbox.refresh`.

        Args:
            tell: Called with the progress.
            cancel: Once set, no further file is begun.
            only: Ids of the sources to list; None for all, and for those that are not open yet.
            dry: List, check and judge only; see `Inbox.scan`.
        """
        this = _Round(tell=tell, cancel=cancel, only=only, dry=dry)
        try:
            self._begin(this)
            for group in this.answers:
                self._take(this, group)
            if dry:
                with self._lock:
                    this.problems += self._mover.rehearse(self.rows, tell)
        except InTouchImportError:
            raise
        except Exception as exc:  # noqa: BLE001  # it is the host's code
            raise instead_of(exc, "the patient records failed") from None
        finally:
            this.answers.close()
            with self._lock:
                self._locations.give_up(this.opening)
                unopened = self._locations.problems if only is None else []
                missing = self._recovery.problems
        outcomes = RowOutcomes((), {}) if this.outcomes is None else this.outcomes
        return outcomes, missing + unopened + this.problems

    def _begin(self, this: _Round) -> None:
        """Start to list the open sources, and to open the others."""
        only = this.only
        with self._lock:
            this.opening = self._locations.to_open() if only is None else []
            sources = [one for one in self._locations.opened if only is None or one.source_id in only]
            self._recovery.look_for_missing()
            if not this.dry:
                ids = [one.source_id for one in sources]
                this.unfinished = self._recovery.before_listing(ids, look_again=self._mover.take_incomplete())
        for source in sources:
            this.answers.ask(partial(self._lister.list_one, source))
        for one in this.opening:
            this.answers.ask(partial(_open, one))

    def _take(self, this: _Round, group: Collection[Listed | Opening]) -> None:
        """Take what has been listed or opened, and import from it."""
        with self._lock:
            new = self._take_opened([one for one in group if isinstance(one, Opening)])
            if new and not this.dry:
                this.unfinished |= self._recovery.before_listing([one.source_id for one in new])
            listed = [one for one in group if isinstance(one, Listed)]
            if listed:
                rows, problems = self._lister.take(listed, this.tell, this.unfinished)
                this.problems += problems
                if this.dry:
                    self.rows = rows
                else:
                    failed = {problem.source_id for problem in problems}
                    self._import(this, rows, {one.source.source_id for one in listed}, failed)
        for source in new:
            this.answers.ask(partial(self._lister.list_one, source))

    def _import(self, this: _Round, rows: list[Row], source_ids: set[str], failed: set[str]) -> None:
        """Import from sources that have just been listed.

        Args:
            this: The refresh.
            rows: The whole list.
            source_ids: The sources.
            failed: Those of them that could not be listed.
        """
        here = rows
        if len(source_ids) != len(self._locations.opened):
            here = [row for row in rows if row.source_id in source_ids]
        begun = {one: this.unfinished[one] for one in source_ids & this.unfinished.keys() - failed}
        if begun:
            self._recovery.after_listing(here, begun)
        moved, problems = self._mover.import_ready(here, this.tell, this.cancel)
        gone = {row for row, outcome in moved.items() if outcome.state is State.IMPORTED}
        if gone:
            rows = [row for row in rows if id(row) not in gone]
            self._lister.forget([row for row in here if id(row) in gone])
        self.rows = rows
        outcomes = RowOutcomes(here, moved)
        this.outcomes = outcomes if this.outcomes is None else this.outcomes + outcomes
        this.problems += problems

    def _take_opened(self, openings: Iterable[Opening]) -> list[Source]:
        new = [source for source in map(self._locations.take, openings) if source is not None]
        for source in new:
            self._lister.add(source)
            self._recovery.add(source)
        return new


def _open(one: Unopened) -> Opening:
    return Opening(begun=one, found=one.again())


class Answers(Closable, Generic[_T]):
    """Runs questions in parallel, and yields their results as they finish.

    More may be asked while the results are read. Left early, it does not wait for the missing results.
    """

    def __init__(self) -> None:
        self._asked: list[Callable[[], _T]] = []
        self._running: dict[Future[_T], None] = {}
        self._pool: ThreadPoolExecutor | None = None

    def ask(self, question: Callable[[], _T]) -> None:
        """Run a question. The iteration raises what it raises."""
        self._asked.append(question)

    def __iter__(self) -> Iterator[list[_T]]:
        """Yield the results in groups: those that have finished, in the order of the questions."""
        while self._asked or self._running:
            if len(self._asked) == 1 and not self._running:
                yield [self._asked.pop()()]  # it holds up nothing else: no thread is needed
                continue
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="intouch-list")
            self._running |= {self._pool.submit(question): None for question in self._asked}
            self._asked = []
            wait(self._running, return_when=FIRST_COMPLETED)
            finished, _ = wait(self._running, timeout=_TOGETHER_S)
            group = [future for future in self._running if future in finished]
            for future in group:
                del self._running[future]
            yield [future.result() for future in group]

    def close(self) -> None:
        """Stop without waiting for what is still running."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


@attrs.define(kw_only=True)
class _Round:
    """One refresh: what was asked for, and what it has found so far."""

    tell: Callable[[Progress], None]
    cancel: threading.Event | None
    only: Collection[str] | None
    dry: bool
    answers: Answers[Listed | Opening] = attrs.field(factory=Answers)
    opening: list[Unopened] = attrs.field(factory=list)
    unfinished: dict[str, list[LedgerEntry]] = attrs.field(factory=dict)
    outcomes: RowOutcomes | None = None
    problems: list[Problem] = attrs.field(factory=list)


class RowMover:
    """Moves rows: those that a person chose, and those that need no person.

    Args:
        mover: Carries out the orders.
        repository: Asked what became of interrupted moves.
        operator: The member of staff who works with the list.
    """

    def __init__(self, mover: Mover, *, repository: PatientRepository, operator: str | None) -> None:
        self._mover = mover
        self._repository = repository
        self._operator = operator

    def take_incomplete(self) -> set[str]:
        """See `Mover.take_incomplete`."""
        return self._mover.take_incomplete()

    def import_ready(
        self, rows: Sequence[Row], tell: Callable[[Progress], None], cancel: threading.Event | None
    ) -> tuple[dict[int, Outcome], list[Problem]]:
        """Import the rows whose verdict says so, and finish interrupted moves.

        Returns:
            The outcomes by ``id(row)``, and one problem per location that failed.
        """
        ready = _together([row for row in rows if row.verdict.action in _NEED_NOBODY])
        interrupted = [row.import_id for row in ready if row.verdict.action is Action.FINISH]
        stored = self._repository.find_attachment(interrupted) if interrupted else {}
        ready = [row for row in ready if _still_stored(row, stored)]
        orders = [self._order_of(row, stored) for row in ready]
        outcomes, problems = self._move(orders, Stage.AUTO_IMPORTING, tell, cancel)
        for row, outcome in zip(ready, outcomes, strict=True):
            row.take(outcome)
        return {id(row): outcome for row, outcome in zip(ready, outcomes, strict=True)}, problems

    def rehearse(self, rows: Sequence[Row], tell: Callable[[Progress], None]) -> list[Problem]:
        """Check the rows that a refresh would import. A row that it would not import gets the reason."""
        ready = _together([row for row in rows if row.verdict.action is Action.IMPORT])
        orders = [self._order_of(row, {}) for row in ready]
        outcomes, problems = self._move(orders, Stage.CHECKING, tell, None)
        for row, outcome in zip(ready, outcomes, strict=True):
            if outcome.state is not State.IMPORTED:
                row.take(outcome)
        return problems

    def save(
        self, request: SaveRequest, tell: Callable[[Progress], None], cancel: threading.Event | None
    ) -> tuple[list[Outcome], list[Problem]]:
        """Move what a person chose. One outcome per row, in order."""
        asked = request.rows_with(Evidence.CONTENT)
        chosen = set(request.rows)
        orders = [
            MoveOrder(
                source=row.source,
                file=row.file,
                import_id=row.import_id,
                patient_id=request.patient.id,
                provider_id=_provider_of(row),
                destination=row.destination,
                title=request.title,
                comments=request.comments,
                taken_at=row.verdict.taken_at,
                operator=self._operator,
                reason=Reason.CHOSEN,
                other_patient_confirmed=row in asked,
                **_companionship(row, chosen, request.patient),
            )
            for row in request.rows
        ]
        outcomes, problems = self._move(orders, Stage.SAVING, tell, cancel)
        for row, outcome in zip(request.rows, outcomes, strict=True):
            row.take(outcome, request.patient, request.title)
        return outcomes, problems

    def _move(
        self,
        orders: Sequence[MoveOrder],
        stage: Stage,
        tell: Callable[[Progress], None],
        cancel: threading.Event | None,
    ) -> tuple[list[Outcome], list[Problem]]:
        if not orders:
            return [], []
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

        cancelled = (cancel or threading.Event()).is_set
        rehearsal = stage is Stage.CHECKING
        return self._mover.move(orders, on_done=on_done, cancelled=cancelled, rehearsal=rehearsal)

    def _order_of(self, row: Row, found: Mapping[str, StoredAttachment]) -> MoveOrder:
        verdict, file, import_id = row.verdict, row.file, row.import_id
        stored = found.get(import_id)
        if verdict.patient_id is None:
            raise AssertionError("a verdict to import names a patient")
        return MoveOrder(
            source=row.source,
            file=file,
            import_id=import_id,
            # The record that it is in now: it may have been reassigned since the list was made.
            patient_id=stored.patient_id if stored is not None else verdict.patient_id,
            provider_id=_provider_of(row),
            destination=verdict.destination,
            taken_at=verdict.taken_at,
            operator=self._operator,
            reason=verdict.reason,
            automatic=True,
            stored=stored,
            only_finish=stored is not None,
            companion_of=row.owner.import_id if row.companion_role is not None else None,
            companion_role=row.companion_role,
        )


def _provider_of(row: Row) -> str | None:
    """Return the provider in the name of a row, or of the photo that it belongs to; or else the folder's."""
    capture = row.capture or row.owner.capture
    return capture.provider if capture is not None else row.source.provider


def _companionship(row: Row, chosen: Collection[Row], patient: Patient) -> dict[str, Any]:
    """Return what a chosen row is to its owner, if the owner is or comes into the same record."""
    owner = row.owner
    stored = owner.patient is not None and owner.patient.id == patient.id
    if row.companion_role is None or not (owner in chosen or stored):
        return {}
    return {"companion_of": owner.import_id, "companion_role": row.companion_role}


def _together(rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows in their order, but each group at the place of its first row, and its owner first."""
    if all(row.group is None for row in rows):
        return rows
    places: dict[Row, int] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.owner, place)
    return sorted(rows, key=lambda row: (places[row.owner], row is not row.owner))


def _still_stored(row: Row, stored: Mapping[str, StoredAttachment]) -> bool:
    """Return whether an interrupted move can still be finished: another workstation may have just undone it.

    Otherwise the file would be stored again, for the patient whom somebody has just decided against.
    """
    if row.verdict.action is Action.FINISH and row.import_id not in stored:
        row.judge(waiting(row.name, Reason.UNDONE))
        return False
    return True


def guarded(on_progress: Callable[[Progress], object] | None) -> Callable[[Progress], None]:
    """Wrap a progress callback, so that its mistakes stop no move half-way."""

    def tell(progress: Progress) -> None:
        if on_progress is None:
            return
        try:
            on_progress(progress)
        except Exception as exc:  # noqa: BLE001  # it is the host's code
            log.warning("the progress callback failed", extra=kind_and_place(exc))

    return tell
