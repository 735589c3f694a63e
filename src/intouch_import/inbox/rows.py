"""`Row`: a file in a list. `RowGroup`: rows that belong together. `RowOutcomes`: what became of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, overload

import attrs

from intouch_import.media.companions import is_sidecar
from intouch_import.model import Action, CompanionRole, Reason, SourceFile, State, import_id
from intouch_import.reports import Outcome
from intouch_import.secret import pseudonym
from intouch_import.verdicts import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from intouch_import.media.companions import CompanionDoubt
    from intouch_import.model import (
        CaptureName,
        ContentCheck,
        Destination,
        EntryKind,
        Patient,
        Verdict,
    )
    from intouch_import.sources.base import Source

__all__ = ["Row", "RowGroup", "RowOutcomes"]

# Looking up a member of an enum takes as long as the rest of `Row.judge`.
_IGNORE = Action.IGNORE
_IGNORED = State.IGNORED
_WAITING = State.WAITING
_NOT_HOLDING = (Reason.COMPANION_WAITS, Reason.NO_CAPTURE_NAME, Reason.CAPTURE_NAME)
_WORDS: Final = {
    CompanionRole.MOVIE: ("movie", "movies"),
    CompanionRole.RAW: ("RAW", "RAWs"),
    CompanionRole.EDITED: ("edited version", "edited versions"),
    CompanionRole.VERSION: ("other version", "other versions"),
    CompanionRole.BURST: ("photo of the burst", "photos of the burst"),
    CompanionRole.SIDECAR: ("sidecar", "sidecars"),
    CompanionRole.PREVIEW: ("preview", "previews"),
}


@attrs.define(eq=False, repr=False, init=False)
class Row:
    """A file in the list. A save changes the row; a refresh may remove it.

    Attributes:
        source: Where the file is.
        name: File name, as its location spells it.
        size_bytes: Size in bytes.
        version: Version of the file, as listed.
        verdict: What should happen to the file.
        state, reason: What happened to the file, and why.
        patient: The patient whose record the file is in, once it is saved.
        title: The title, as saved.
        content: The result of checking the bytes, when the file was last moved or refused; None before.
        sha256: Digest of the bytes, if they were read.
        duplicate_of, duplicate_elsewhere: See `Outcome`.
        first_seen_s: Monotonic time at which this version was first listed here, seconds.
        settled: Whether the file has kept its size and time for long enough.
        claim: The parts of a capture name, until they are in the verdict.
        group: The rows that belong or may belong to this one; None if there are none.
    """

    source: Source
    name: str
    size_bytes: int
    version: str
    # A tuple of plain values, not a `SourceFile`: the garbage collector visits such a tuple only once. With
    # 100,000 waiting files, this saves a fifth of the time of a listing.
    _listed: tuple[int | None, str | None, str | None, int | None]
    _kind: EntryKind
    verdict: Verdict
    first_seen_s: float
    settled: bool
    state: State
    reason: Reason
    claim: CaptureName | None
    patient: Patient | None
    title: str
    content: ContentCheck | None
    sha256: str | None
    duplicate_of: str | None
    duplicate_elsewhere: bool
    group: RowGroup | None
    _import_id: str | None

    def __init__(
        self,
        source: Source,
        file: SourceFile,
        verdict: Verdict,
        first_seen_s: float = 0.0,
        settled: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        self.source = source
        self.name, self.size_bytes, self.version = file.name, file.size_bytes, file.version
        self._listed = (file.modified_ns, file.vendor_hash, file.handle, file.changed_ns)
        self._kind = file.kind
        self.first_seen_s = first_seen_s
        self.settled = settled
        self.claim = self.patient = self.content = self.sha256 = self.duplicate_of = self._import_id = None
        self.group = None
        self.title = ""
        self.duplicate_elsewhere = False
        self.judge(verdict)

    @property
    def file(self) -> SourceFile:
        """The file, as listed."""
        modified_ns, vendor_hash, handle, changed_ns = self._listed
        return SourceFile(
            name=self.name,
            kind=self._kind,
            size_bytes=self.size_bytes,
            modified_ns=modified_ns,
            version=self.version,
            vendor_hash=vendor_hash,
            handle=handle,
            changed_ns=changed_ns,
        )

    @property
    def changed_ns(self) -> int | None:
        """See `SourceFile`."""
        return self._listed[3]

    def judge(self, verdict: Verdict) -> None:
        """Set the verdict: the row waits, or is ignored, with the reason of the verdict."""
        self.verdict = verdict
        self.state = _IGNORED if verdict.action is _IGNORE else _WAITING
        self.reason = verdict.reason

    def take(self, outcome: Outcome, patient: Patient | None = None, title: str = "") -> None:
        """Set the outcome of a move."""
        self.state, self.reason = outcome.state, outcome.reason
        self.content = outcome.content
        self.sha256 = outcome.sha256 or self.sha256
        self.duplicate_of, self.duplicate_elsewhere = outcome.duplicate_of, outcome.duplicate_elsewhere
        # An interrupted move must always be finished later.
        if outcome.state is State.WAITING and self.verdict.action is not Action.FINISH:
            self.verdict = waiting(self.name, outcome.reason, like=self.verdict)
        if outcome.state.is_in_record:
            self.patient, self.title = patient, title

    @property
    def location(self) -> str:
        """The kind of location, such as ``"local"`` or ``"azure"``."""
        return self.source.location

    @property
    def source_id(self) -> str:
        """Id of the source."""
        return self.source.source_id

    @property
    def modified_at(self) -> datetime | None:
        """The modification time that the location gives, aware, UTC."""
        return self.file.modified_at

    @property
    def destination(self) -> Destination:
        """Where a save puts the file: Images, or Notes."""
        return self.verdict.destination

    @property
    def capture(self) -> CaptureName | None:
        """The parts of the file name, if it is a capture name."""
        return self.verdict.capture

    @property
    def import_id(self) -> str:
        """Import id of this version of the file."""
        if self._import_id is None:
            self._import_id = import_id(self.source.source_id, self.name, self.version)
        return self._import_id

    @property
    def owner(self) -> Row:
        """The row that stands for this one in a list: itself, if it belongs to no other."""
        return self if self.group is None else self.group.owner

    @property
    def held_by(self) -> tuple[Row, ...]:
        """The rows of the group because of which this one waits, although nothing is wrong with it."""
        if self.group is None or self.reason is not Reason.COMPANION_WAITS:
            return ()
        return tuple(
            row for row in self.group.rows if row.state is not _IGNORED and row.reason not in _NOT_HOLDING
        )

    @property
    def companion_role(self) -> CompanionRole | None:
        """What the file is to `owner`; None if it is the owner."""
        return None if self.group is None else self.group.parts.get(self)

    def import_as(self, import_id: str) -> None:
        """Replace the import id, once the bytes have shown which file this is."""
        self._import_id = import_id

    def __repr__(self) -> str:
        return f"<Row {pseudonym(self.name)} {self.location} {self.state} {self.reason}>"


@attrs.frozen(kw_only=True, eq=False)
class RowGroup:
    """Rows of one source that belong together.

    Attributes:
        owner: The row that stands for the group in a list.
        parts: The other rows, and what each is to the owner.
        possible: Rows that may belong to a row of the group, and why that is not certain.
    """

    owner: Row
    parts: Mapping[Row, CompanionRole] = attrs.field(factory=dict)
    possible: Mapping[Row, tuple[tuple[Row, CompanionDoubt], ...]] = attrs.field(factory=dict)

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, the owner first."""
        return (self.owner, *self.parts)

    @property
    def is_orphan(self) -> bool:
        """Whether it is a sidecar whose photo or movie is not here, or is not certain."""
        return not self.parts and is_sidecar(self.owner.name)

    @property
    def summary(self) -> str:
        """What belongs to the owner, such as ``"+ movie, 2 sidecars"``; empty if it has no parts."""
        counts = Counter(self.parts.values())
        return (
            f"+ {', '.join(_counted(role, counts[role]) for role in _WORDS if counts[role])}"
            if counts
            else ""
        )

    def __repr__(self) -> str:
        return f"<RowGroup {1 + len(self.parts)} rows>"


def _counted(role: CompanionRole, number: int) -> str:
    one, many = _WORDS[role]
    return one if number == 1 else f"{number} {many}"


class RowOutcomes(Sequence[Outcome]):
    """The outcomes of a refresh. Each is created when it is read.

    A list of 100,000 waiting files is often shown, but its outcomes are rarely read one by one.

    Args:
        rows: The rows.
        moved: Outcomes of the rows that were moved, by ``id(row)``.
    """

    def __init__(self, rows: Sequence[Row], moved: Mapping[int, Outcome]) -> None:
        # Three flat lists: a tuple per row would be one more object for the garbage collector to visit.
        self._rows = list(rows)
        self._states = [row.state for row in rows]
        self._reasons = [row.reason for row in rows]
        self._moved = moved

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> list[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | list[Outcome]:
        if isinstance(index, slice):
            return [self._outcome(number) for number in range(len(self))[index]]
        return self._outcome(range(len(self))[index])

    @property
    def moved(self) -> tuple[Outcome, ...]:
        """The outcomes of the files that were moved, or should have been."""
        return tuple(self._moved.values())

    def __add__(self, later: RowOutcomes) -> RowOutcomes:
        """Join these outcomes and those of sources that were listed later. A file has its later outcome."""
        again = {row.import_id for row in later._rows}
        kept = [number for number, row in enumerate(self._rows) if row.import_id not in again]
        ids = {id(self._rows[number]) for number in kept}
        moved = {key: outcome for key, outcome in self._moved.items() if key in ids}
        both = RowOutcomes((), {**moved, **later._moved})
        both._rows = [self._rows[number] for number in kept] + later._rows
        both._states = [self._states[number] for number in kept] + later._states
        both._reasons = [self._reasons[number] for number in kept] + later._reasons
        return both

    def states(self) -> Iterator[State]:
        """Iterate over the states alone, for counting."""
        return iter(self._states)

    def _outcome(self, index: int) -> Outcome:
        row, state = self._rows[index], self._states[index]
        return self._moved.get(id(row)) or Outcome(
            name=row.name,
            source_id=row.source.source_id,
            state=state,
            reason=self._reasons[index],
            import_id=None if state is State.IGNORED else row.import_id,
            retry_helps=row.verdict.action is Action.ARRIVING,
            sha256=row.sha256,
            duplicate_of=row.duplicate_of,
            duplicate_elsewhere=row.duplicate_elsewhere,
        )
