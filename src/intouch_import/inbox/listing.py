"""From sources to rows with verdicts: list, let settle, look up, judge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import attrs

from intouch_import.inbox.locations import problem_of
from intouch_import.inbox.rows import Row
from intouch_import.model import CaptureName, Progress, Reason, Stage, State, Verdict, printable
from intouch_import.moving.storing import CopyFinder, Incoming
from intouch_import.reports import Problem
from intouch_import.verdicts import Known, Rules, already, arriving, identify, read_name, screen, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from intouch_import.clock import Clock
    from intouch_import.filenames import CaptureNaming
    from intouch_import.ledger import Ledger
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Listed", "Lister"]

log = logging.getLogger(__name__)


class Listed(NamedTuple):
    """What one source was found to hold.

    Attributes:
        source: Which.
        found: Its rows by name, those that were known among them; or why it could not be listed.
        seen_s: When, on the monotonic clock, seconds.
    """

    source: Source
    found: dict[str, Row] | Problem
    seen_s: float


class Lister:
    """Keeps the rows of one inbox from one refresh to the next.

    A row whose file has not changed is kept: it is not looked up and its name is not read again. Only
    what may have changed around it is asked anew: whether its patient and provider exist, and the time.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        repository: PatientRepository,
        ledger: Ledger,
        naming: CaptureNaming,
        zone: tzinfo,
        auto_import: bool,
        clock: Clock,
        settle_s: float,
        allowed_extensions: frozenset[str] | None = None,
    ) -> None:
        self._sources = tuple(sources)
        self._repository = repository
        self._ledger = ledger
        self._naming = naming
        self._zone = zone
        self._auto_import = auto_import
        self._clock = clock
        self._settle_s = settle_s
        self._allowed = allowed_extensions
        self._known_before: dict[str, Known] = {}
        self._copies = CopyFinder(repository, ledger)
        self._rows: dict[str, dict[str, Row]] = {source.source_id: {} for source in sources}

    def add(self, source: Source) -> None:
        """Take one more source; the next refresh lists it."""
        self._sources = (*self._sources, source)
        self._rows[source.source_id] = {}

    def rows(self) -> list[Row]:
        """All rows, source by source, in the order of their names."""
        return [shelf[name] for shelf in self._rows.values() for name in sorted(shelf)]

    def forget(self, rows: Iterable[Row]) -> None:
        """Take rows off the list: their files have left."""
        for row in rows:
            self._rows[row.source.source_id].pop(row.name, None)

    # --- list

    def list_one(self, source: Source) -> Listed:
        """List one source. Changes nothing here, and needs no lock: it may wait for the location for long."""
        known = self._rows[source.source_id]
        shelf: dict[str, Row] = {}
        seen_s = self._clock.monotonic_s()
        settled = source.commits_whole
        try:
            for file in source.scan():
                row = known.get(file.name)
                if row is None or row.version != file.version:
                    row = Row(source, file, screen(file) or _UNJUDGED, seen_s, settled)
                shelf[file.name] = row
        except Exception as exc:  # noqa: BLE001  # a dead location never stops the others
            return Listed(source, problem_of(source, exc), seen_s)
        return Listed(source, shelf, seen_s)

    def take(
        self, listed: Collection[Listed], tell: Callable[[Progress], None]
    ) -> tuple[list[Row], list[Problem]]:
        """Take what was listed in the place of what was known, and judge what is new.

        A location that failed keeps the rows it had out of the list: what can't be seen can't be saved. What
        was not listed now can't have settled, and is not judged: nobody has looked at it since.

        Args:
            listed: By `list_one`; each source once.
            tell: Hears how far it is.

        Returns:
            All rows, source by source, by name; and a problem per location that failed.
        """
        problems = []
        for one in listed:
            if isinstance(one.found, Problem):
                problems.append(one.found)
                self._rows[one.source.source_id] = {}
            else:
                self._rows[one.source.source_id] = _begun_anew(one.source, one.found, one.seen_s)
        tell(Progress(stage=Stage.LISTING, done=sum(map(len, self._rows.values()))))
        sources = [one.source for one in listed]
        problems += self._settle(sources, tell)
        self._look_for_copies_again()
        self._look_up(sources)
        for source in sources:
            self._judge(source)
        return self.rows(), problems

    # --- settle

    def _settle(self, sources: Sequence[Source], tell: Callable[[Progress], None]) -> list[Problem]:
        """Wait once, for all files together, until those seen lately have kept their version long enough."""
        now_s = self._clock.monotonic_s()
        fresh = [
            row
            for source in sources
            for row in self._rows[source.source_id].values()
            if not row.settled and row.state is not _IGNORED
        ]
        for row in fresh:
            row.settled = now_s - row.first_seen_s >= self._settle_s
        late = [row for row in fresh if not row.settled]
        if not late:
            return []
        tell(Progress(stage=Stage.SETTLING, done=len(fresh) - len(late), total=len(fresh)))
        self._clock.sleep(max(0.0, max(row.first_seen_s for row in late) + self._settle_s - now_s))
        problems = []
        for source in {row.source_id: row.source for row in late}.values():
            again = {row.name: row for row in late if row.source_id == source.source_id}
            problems.append(self._look_again(source, again))
        return [problem for problem in problems if problem is not None]

    def _look_again(self, source: Source, late: dict[str, Row]) -> Problem | None:
        shelf = self._rows[source.source_id]
        seen_s = self._clock.monotonic_s()
        gone = set(late)
        try:
            for file in source.scan():
                row = late.get(file.name)
                if row is None:
                    continue
                gone.discard(file.name)
                if row.version == file.version:
                    row.settled = True
                    continue
                row = shelf[file.name] = Row(source, file, screen(file) or _UNJUDGED, seen_s)
                if row.state is not _IGNORED:
                    row.judge(
                        arriving(file.name, Reason.EMPTY if file.size_bytes == 0 else Reason.STILL_ARRIVING)
                    )
        except Exception as exc:  # noqa: BLE001  # as in `_list_one`
            for row in late.values():
                row.judge(arriving(row.name, Reason.STILL_ARRIVING))
            return problem_of(source, exc)
        for name in gone:
            del shelf[name]
        return None

    # --- look up

    def _look_for_copies_again(self) -> None:
        """Ask whether bytes that were in a record still are: an undo or a reassignment frees copies."""
        refused = [
            row
            for shelf in self._rows.values()
            for row in shelf.values()
            if row.sha256 is not None and _refused_for_its_bytes(row)
        ]
        if not refused:
            return
        found = self._copies.find(
            [
                Incoming(
                    import_id=row.import_id,
                    sha256=row.sha256,
                    patient_id=row.claim.patient,
                    automatic=True,
                )
                for row in refused
                if row.sha256 is not None and row.claim is not None
            ]
        )
        for row in refused:
            copy = found.get(row.import_id)
            row.duplicate_of = copy.attachment_id if copy is not None else None
            row.duplicate_elsewhere = copy is not None and copy.elsewhere
            row.judge(_UNJUDGED if copy is None else waiting(row.name, copy.doubt, like=row.verdict))

    def _look_up(self, sources: Sequence[Source]) -> None:
        """Ask once, in batches, whether files that are new here were stored before."""
        new = [
            row
            for source in sources
            for row in self._rows[source.source_id].values()
            if row.settled and row.reason in _TO_LOOK_UP
        ]
        if not new:
            return
        stored = self._repository.find_attachment([row.import_id for row in new])
        moved = self._ledger.moved(stored) if stored else set()
        if moved:
            new = self._still_there(new, moved)
        naming = self._naming
        for row in new:
            if stored and row.import_id in stored:
                row.judge(already(row.file, stored[row.import_id], moved=row.import_id in moved))
                continue
            said = read_name(row.name, naming, allowed=self._allowed)
            if isinstance(said, Verdict):
                row.judge(said)
            else:
                row.claim = said

    def _still_there(self, rows: list[Row], moved: Collection[str]) -> list[Row]:
        """Without the files that another workstation has moved since they were listed.

        What is still there after the ledger said that it was moved has come back; what is gone was listed
        a moment too early, and would be shown as come back.
        """
        here = []
        for row in rows:
            if row.import_id in moved:
                try:
                    now = row.source.look(row.name)
                except Exception as exc:  # noqa: BLE001  # a location that fails now: show what was listed
                    log.warning("a file can't be looked at again", extra={"kind": type(exc).__name__})
                    now = row.file
                if now is None or now.version != row.version:
                    self._rows[row.source.source_id].pop(row.name, None)
                    continue
            here.append(row)
        return here

    # --- judge

    def _judge(self, source: Source) -> None:
        claims = [row for row in self._rows[source.source_id].values() if _claims(row)]
        if not claims:
            return
        captures = [row.claim for row in claims if row.claim is not None]
        rules = Rules(provider=source.provider, auto_import=self._auto_import, zone=self._zone)
        known = self._known(source, claims, captures) if self._auto_import else _NOTHING
        changed = _difference(self._known_before.get(source.source_id, _NOTHING), known)
        self._known_before[source.source_id] = known
        now = self._clock.now()
        for row, capture in zip(claims, captures, strict=True):
            if row.reason in _STANDING and not _concerns(changed, row, capture):
                continue  # nothing that may have changed since would change this
            row.judge(identify(row.name, row.size_bytes, capture, rules, known, now=now))

    def _known(self, source: Source, claims: list[Row], captures: list[CaptureName]) -> Known:
        names = [row.name for row in claims]
        patient_ids = {capture.patient for capture in captures}
        providers = map(self._repository.find_provider, {capture.provider for capture in captures})
        return Known(
            providers={provider.id: provider for provider in providers if provider is not None},
            patients=self._repository.find_patients(patient_ids),
            put_back=frozenset(self._ledger.put_back(source.source_id, names)),
        )


# Looking a member up on its enum takes as long as the rest of a comparison.
_IGNORED, _FAILED = State.IGNORED, State.FAILED
_OVER = (State.IMPORTED, State.STORED)
_CONTENT = frozenset(
    {
        Reason.CONTENT_NOT_AS_NAMED,
        Reason.CONTENT_CUT_SHORT,
        Reason.CONTENT_DAMAGED,
        Reason.CONTENT_UNCHECKED,
    }
)
_BYTES = frozenset({Reason.DUPLICATE, Reason.DUPLICATE_ELSEWHERE, Reason.UNDONE})
_TO_LOOK_UP = frozenset({Reason.UNEXPECTED, Reason.STILL_ARRIVING})
_UNJUDGED = waiting("", Reason.UNEXPECTED)
_NOTHING = Known(patients={}, providers={})
# What the identity gate goes on saying while the patient, the provider and the undos are the same. A time in
# the future is not among them; nor is what became of a move, which is to be tried again.
_STANDING = frozenset(
    {
        Reason.AUTO_IMPORT_OFF,
        Reason.OTHER_PROVIDER,
        Reason.PATIENT_INACTIVE,
        Reason.PATIENT_UNKNOWN,
        Reason.PROVIDER_UNKNOWN,
        Reason.TIME_REPEATED,
        Reason.TIME_SKIPPED,
        Reason.UNDONE,
    }
)


def _begun_anew(source: Source, shelf: dict[str, Row], seen_s: float) -> dict[str, Row]:
    """Rows for a new refresh: what failed is tried again, what is said to be over was there all the same."""
    for name, row in shelf.items():
        if row.state in _OVER:
            shelf[name] = Row(source, row.file, screen(row.file) or _UNJUDGED, seen_s, source.commits_whole)
        elif row.state is _FAILED:
            row.judge(row.verdict)
    return shelf


def _claims(row: Row) -> bool:
    """Whether the row's name says whose it is and nothing has become of it yet.

    Content that was looked at and refused stays refused until the file changes.
    """
    return (
        row.claim is not None
        and row.settled
        and row.reason not in _CONTENT
        and not _refused_for_its_bytes(row)
    )


@attrs.frozen(kw_only=True)
class _Difference:
    """Ids of patients and providers, and files put back, of which something else is known now."""

    patients: frozenset[str]
    providers: frozenset[str]
    put_back: frozenset[tuple[str, int]]


def _difference(before: Known, now: Known) -> _Difference:
    return _Difference(
        patients=_changed(before.patients, now.patients),
        providers=_changed(before.providers, now.providers),
        put_back=before.put_back ^ now.put_back,
    )


def _changed(before: Mapping[str, object], now: Mapping[str, object]) -> frozenset[str]:
    return frozenset(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))


def _concerns(difference: _Difference, row: Row, capture: CaptureName) -> bool:
    return (
        capture.patient in difference.patients
        or capture.provider in difference.providers
        or (bool(difference.put_back) and (printable(row.name), row.size_bytes) in difference.put_back)
    )


def _refused_for_its_bytes(row: Row) -> bool:
    """Whether the move has found that these bytes are known. Only the records can change that."""
    return row.sha256 is not None and row.claim is not None and row.reason in _BYTES
