"""`Lister`: list sources, wait until files have arrived, look them up, and set the verdicts of rows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from intouch_import.inbox.groups import GroupFinder, decide_together, tie
from intouch_import.inbox.locations import problem_of
from intouch_import.inbox.recognition import Recognition, SecondReading, among_put_back, is_unchanged
from intouch_import.inbox.rows import Row
from intouch_import.model import Action, CaptureName, Progress, Reason, Stage, State, Verdict, printable
from intouch_import.moving.storing import CopyFinder, Incoming
from intouch_import.reports import Problem
from intouch_import.repositories.base import find_exactly
from intouch_import.verdicts import Known, Rules, arriving, identify, read_name, screen, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from intouch_import.clock import Clock
    from intouch_import.filenames import CaptureNaming
    from intouch_import.ledger import Ledger, LedgerEntry
    from intouch_import.media.companions import Companions
    from intouch_import.model import SourceFile
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Listed", "Lister"]

log = logging.getLogger(__name__)


class Listed(NamedTuple):
    """The listing of one source.

    Attributes:
        source: The source.
        found: Its rows by name, including rows that are already known; or the problem that prevented the
            listing.
        seen_s: Monotonic time of the listing, seconds.
        companions: Which files belong together; None if that is as before.
    """

    source: Source
    found: dict[str, Row] | Problem
    seen_s: float
    companions: Companions | None = None


class Lister:
    """The rows of one inbox, and how a refresh updates them.

    The row of an unchanged file is kept: the file is not looked up again, and its name is not parsed again.
    Only facts that may have changed are checked again: whether patient and provider exist, and the time.
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
        self._recognition = Recognition(repository, ledger)
        self._second_reading = SecondReading()
        self._groups = GroupFinder(zone=zone, allowed=allowed_extensions)
        self._tied: dict[str, list[Row]] = {}
        self._changed: set[str] = set()  # sources whose rows have changed since they were grouped
        self._rows: dict[str, dict[str, Row]] = {source.source_id: {} for source in sources}

    def add(self, source: Source) -> None:
        """Add a source; the next refresh lists it."""
        self._rows[source.source_id] = {}

    def rows(self) -> list[Row]:
        """Return all rows, source by source, sorted by name."""
        return [shelf[name] for shelf in self._rows.values() for name in sorted(shelf)]

    def forget(self, rows: Iterable[Row]) -> None:
        """Remove rows from the list: their files are no longer in their sources."""
        for row in rows:
            self._rows[row.source.source_id].pop(row.name, None)
            self._changed.add(row.source.source_id)

    # --- list

    def list_one(self, source: Source) -> Listed:
        """List one source. This changes no row and needs no lock, because a location may be slow."""
        known = self._rows[source.source_id]
        shelf: dict[str, Row] = {}
        seen_s = self._clock.monotonic_s()
        settled = source.commits_whole
        same = True
        try:
            for file in source.scan():
                row = known.get(file.name)
                if row is None or not is_unchanged(row, file):
                    row = _new_row(source, file, seen_s, settled=settled)
                    same = False
                shelf[file.name] = row
        except Exception as exc:  # noqa: BLE001  # a dead location never stops the others
            return Listed(source, problem_of(source, exc), seen_s)
        for row in self._second_reading.others(source, shelf, now_s=seen_s):
            shelf[row.name] = _new_row(source, row.file, seen_s, settled=settled)
            same = False
        if (
            same
            and len(shelf) == len(known)
            and source.source_id not in self._changed
            and not self._groups.is_due(source.source_id)
        ):
            return Listed(source, shelf, seen_s)
        return Listed(source, shelf, seen_s, self._groups.find(source, shelf))

    def take(
        self,
        listed: Collection[Listed],
        tell: Callable[[Progress], None],
        unfinished: Mapping[str, Collection[LedgerEntry]],
    ) -> tuple[list[Row], list[Problem]]:
        """Replace the rows of these sources by their new listings, and set the verdicts.

        If a location has failed, its rows are removed: a file that can't be listed can't be saved. The rows
        of sources that were not listed do not change.

        Args:
            listed: Results of `list_one`, one per source.
            tell: Called with the progress.
            unfinished: Result of `Recovery.before_listing`.

        Returns:
            All rows, source by source, sorted by name; and one problem per location that failed.
        """
        problems = []
        for one in listed:
            if isinstance(one.found, Problem):
                problems.append(one.found)
                self._rows[one.source.source_id] = {}
                self._tied.pop(one.source.source_id, None)
            else:
                self._rows[one.source.source_id] = _begun_anew(one.source, one.found, one.seen_s)
        tell(Progress(stage=Stage.LISTING, done=sum(map(len, self._rows.values()))))
        sources = [one.source for one in listed]
        problems += self._settle(sources, tell)
        freed = self._look_for_copies_again()
        self._look_up(sources, unfinished)
        for one in listed:
            if one.companions is not None:
                self._tie(one.source.source_id, one.companions)
        for source in dict.fromkeys((*sources, *freed)):
            self._judge(source)
            for group in dict.fromkeys(row.group for row in self._tied.get(source.source_id, ())):
                if group is not None:
                    decide_together(group)
        return self.rows(), problems

    def _tie(self, source_id: str, companions: Companions) -> None:
        for row in self._tied.get(source_id, ()):
            row.group = None
        self._tied[source_id] = tie(companions, self._rows[source_id])
        self._changed.discard(source_id)

    # --- settle

    def _settle(self, sources: Sequence[Source], tell: Callable[[Progress], None]) -> list[Problem]:
        """Wait, once for all files, until new files have kept their version for `settle_s` seconds."""
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
                shelf[file.name] = _new_row(source, file, seen_s)
                self._changed.add(source.source_id)
        except Exception as exc:  # noqa: BLE001  # as in `_list_one`
            for row in late.values():
                row.judge(arriving(row.name, Reason.STILL_ARRIVING))
            return problem_of(source, exc)
        for name in gone:
            del shelf[name]
            self._changed.add(source.source_id)
        return None

    # --- look up

    def _look_for_copies_again(self) -> list[Source]:
        """Check again if duplicates still are duplicates: an undo or a reassignment may have changed that.

        Returns:
            The sources of the rows that no longer are. They need a new verdict, also if their source was not
            listed now.
        """
        refused = [
            row
            for shelf in self._rows.values()
            for row in shelf.values()
            if row.sha256 is not None and _refused_for_its_bytes(row)
        ]
        if not refused:
            return []
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
            if copy is not None:
                row.judge(waiting(row.name, copy.doubt, like=row.verdict))
            else:
                row.judge(arriving(row.name, Reason.STILL_ARRIVING))
        return [row.source for row in refused if row.reason is Reason.STILL_ARRIVING]

    def _look_up(self, sources: Sequence[Source], unfinished: Mapping[str, Collection[LedgerEntry]]) -> None:
        """Find new files that were imported before, and parse the names of the others."""
        new = [
            row
            for source in sources
            for row in self._rows[source.source_id].values()
            if row.settled and _is_to_look_up(row)
        ]
        if not new:
            return
        new, gone = self._recognition.recognise(new, unfinished)
        self.forget(gone)
        naming = self._naming
        for row in new:
            said = read_name(row.name, naming, allowed=self._allowed)
            if isinstance(said, Verdict):
                row.judge(said)
            else:
                row.claim = said

    # --- judge

    def _judge(self, source: Source) -> None:
        claims = [row for row in self._rows[source.source_id].values() if _claims(row)]
        if not claims:
            return
        captures = [row.claim for row in claims if row.claim is not None]
        rules = Rules(provider=source.provider, auto_import=self._auto_import, zone=self._zone)
        known = self._known(source, claims, captures) if self._auto_import else _NOTHING
        before = self._known_before.get(source.source_id, _NOTHING)
        self._known_before[source.source_id] = known
        now = self._clock.now()
        for row, capture in zip(claims, captures, strict=True):
            if row.reason in _STANDING and _is_unchanged(row, capture, before, known):
                continue
            row.judge(identify(row.name, row.size_bytes, capture, rules, known, now=now))

    def _known(self, source: Source, claims: list[Row], captures: list[CaptureName]) -> Known:
        names = [row.name for row in claims]
        patient_ids = {capture.patient for capture in captures}
        providers = map(self._repository.find_provider, {capture.provider for capture in captures})
        return Known(
            providers={provider.id: provider for provider in providers if provider is not None},
            patients=find_exactly(self._repository, patient_ids),
            put_back=among_put_back(claims, self._ledger.put_back(source.source_id, names)),
        )


# Looking up a member of an enum takes as long as the rest of a comparison.
_IGNORED, _FAILED = State.IGNORED, State.FAILED
_OVER = (State.IMPORTED, State.STORED)
_CONTENT = frozenset(
    {
        Reason.CONTENT_NOT_AS_NAMED,
        Reason.CONTENT_CUT_SHORT,
        Reason.CONTENT_DAMAGED,
        Reason.CONTENT_UNCHECKED,
        Reason.OTHER_PATIENT,
    }
)
_BYTES = frozenset({Reason.DUPLICATE, Reason.DUPLICATE_ELSEWHERE, Reason.UNDONE})
_ARRIVING, _TO_LOOK_UP = Action.ARRIVING, (Reason.STILL_ARRIVING, Reason.CHANGED)
_NO_CONTENT = (Reason.EMPTY, Reason.NOT_DOWNLOADED)
_NOTHING = Known(patients={}, providers={})
# Reasons of `identify` that can't change while the patient, the provider and the undos do not change. A time
# in the future can change, and a move that failed is tried again.
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


def _new_row(source: Source, file: SourceFile, seen_s: float, *, settled: bool = False) -> Row:
    """Return the row of a file that was not looked up yet: until then, it counts as arriving."""
    verdict = screen(file, source.exclusions) or arriving(file.name, Reason.STILL_ARRIVING)
    return Row(source, file, verdict, seen_s, settled)


def _begun_anew(source: Source, shelf: dict[str, Row], seen_s: float) -> dict[str, Row]:
    """Reset rows for a new refresh: failed files, and imported files that are listed all the same."""
    for name, row in shelf.items():
        if row.state in _OVER:
            shelf[name] = _new_row(source, row.file, seen_s, settled=source.commits_whole)
        elif row.state is _FAILED:
            row.judge(row.verdict)
    return shelf


def _is_to_look_up(row: Row) -> bool:
    reason = row.reason
    return reason in _TO_LOOK_UP or (row.verdict.action is _ARRIVING and reason not in _NO_CONTENT)


def _claims(row: Row) -> bool:
    """Return whether to identify the patient of a row: its name is a capture name, and it was not refused.

    A file that was refused because of its content stays refused until it changes.
    """
    return (
        row.claim is not None
        and row.settled
        and row.reason not in _CONTENT
        and not _refused_for_its_bytes(row)
    )


def _is_unchanged(row: Row, capture: CaptureName, before: Known, now: Known) -> bool:
    """Return whether patient, provider and undo of a row are the same as at the last refresh."""
    file = (printable(row.name), row.size_bytes)
    return (
        before.patients.get(capture.patient) == now.patients.get(capture.patient)
        and before.providers.get(capture.provider) == now.providers.get(capture.provider)
        and (file in before.put_back) == (file in now.put_back)
    )


def _refused_for_its_bytes(row: Row) -> bool:
    """Return whether a move has found the row to be a duplicate. Only the records can change that."""
    return row.sha256 is not None and row.claim is not None and row.reason in _BYTES
