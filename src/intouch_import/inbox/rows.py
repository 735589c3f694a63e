"""`Row`, a line of the list, and `Job`, a choice of rows ready to be saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import attrs

from intouch_import.errors import MixedDestinations, SelectionError, UnsuitableText
from intouch_import.model import Action, Destination, Patient, Reason, SourceFile, State, import_id
from intouch_import.reports import Outcome
from intouch_import.verdicts import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from intouch_import.model import CaptureName, ContentCheck, EntryKind, Verdict
    from intouch_import.sources.base import Source

__all__ = ["Duplicate", "Job", "Row", "RowOutcomes", "make_job"]

# Looking a member up on its enum takes as long as the rest of `Row.judge`.
_IGNORE = Action.IGNORE
_IGNORED = State.IGNORED
_WAITING = State.WAITING
_MAX_TITLE = 500
_MAX_COMMENTS = 20_000


@attrs.define(eq=False, repr=False, init=False)
class Row:
    """A file of the list. It changes when the file is saved; it goes when the list is refreshed.

    Attributes:
        source, file: Which.
        verdict: What should happen to it.
        state, reason: What has become of it, and why.
        patient: Whose record it is in, once it is saved.
        title: As saved.
        content: What was found out about its bytes when it was last moved or refused; None before.
        sha256: Digest of its bytes, if they were read.
        duplicate_of, duplicate_elsewhere: See `Outcome`.
        first_seen_s: Monotonic time at which this version was first listed here, seconds.
        settled: Whether it has kept its size and time for long enough.
        claim: What its name says, until the verdict has it.
    """

    source: Source
    # As a plain tuple of plain values, since the garbage collector never looks at such a one again: 100,000
    # files that wait would be visited whenever it goes over everything.
    _listed: tuple[str, int, int | None, str, str | None, str | None]
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
        self._listed = (
            file.name, file.size_bytes, file.modified_ns, file.version, file.vendor_hash, file.handle,
        )  # fmt: skip
        self._kind = file.kind
        self.first_seen_s = first_seen_s
        self.settled = settled
        self.claim = self.patient = self.content = self.sha256 = self.duplicate_of = self._import_id = None
        self.title = ""
        self.duplicate_elsewhere = False
        self.judge(verdict)

    @property
    def file(self) -> SourceFile:
        """Its file, as listed."""
        name, size_bytes, modified_ns, version, vendor_hash, handle = self._listed
        return SourceFile(
            name=name,
            kind=self._kind,
            size_bytes=size_bytes,
            modified_ns=modified_ns,
            version=version,
            vendor_hash=vendor_hash,
            handle=handle,
        )

    @property
    def version(self) -> str:
        """Its version, as listed."""
        return self._listed[3]

    def judge(self, verdict: Verdict) -> None:
        """Take a verdict: the row waits, or is ignored, with its reason."""
        self.verdict = verdict
        self.state = _IGNORED if verdict.action is _IGNORE else _WAITING
        self.reason = verdict.reason

    def take(self, outcome: Outcome, patient: Patient | None = None, title: str = "") -> None:
        """Take the outcome of a move."""
        self.state, self.reason = outcome.state, outcome.reason
        self.content = outcome.content
        self.sha256 = outcome.sha256 or self.sha256
        self.duplicate_of, self.duplicate_elsewhere = outcome.duplicate_of, outcome.duplicate_elsewhere
        # An interrupted move is to be finished, whatever kept it waiting this time.
        if outcome.state is State.WAITING and self.verdict.action is not Action.FINISH:
            self.verdict = waiting(self.name, outcome.reason, like=self.verdict)
        if outcome.state in (State.IMPORTED, State.STORED):
            self.patient, self.title = patient, title

    @property
    def name(self) -> str:
        """File name, as its location spells it."""
        return self._listed[0]

    @property
    def location(self) -> str:
        """Kind of place it is in, such as ``"local"`` or ``"azure"``."""
        return self.source.location

    @property
    def source_id(self) -> str:
        """The source it is in."""
        return self.source.source_id

    @property
    def size_bytes(self) -> int:
        """Size in bytes."""
        return self._listed[1]

    @property
    def modified_at(self) -> datetime | None:
        """The location's time for it, aware, UTC."""
        return self.file.modified_at

    @property
    def destination(self) -> Destination:
        """Images, or Notes."""
        return self.verdict.destination

    @property
    def capture(self) -> CaptureName | None:
        """What its inTOUCH name says, if it has one."""
        return self.verdict.capture

    @property
    def import_id(self) -> str:
        """Its import id."""
        if self._import_id is None:
            self._import_id = import_id(self.source.source_id, self._listed[0], self._listed[3])
        return self._import_id

    def __repr__(self) -> str:
        return f"<Row {self.location} {self.state} {self.reason}>"


class RowOutcomes(Sequence[Outcome]):
    """The outcomes of a refresh, as of its end, made when they are asked for.

    A list of 100,000 files that wait is shown more often than its outcomes are read one by one.

    Args:
        rows: The rows.
        moved: Outcomes of those that were moved, by ``id(row)``.
    """

    def __init__(self, rows: Sequence[Row], moved: Mapping[int, Outcome]) -> None:
        # Three flat lists: a tuple for each row is one more object for the garbage collector to visit.
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
        """Those of the files that were moved, or were to be."""
        return tuple(self._moved.values())

    def __add__(self, later: RowOutcomes) -> RowOutcomes:
        """These, and those of sources that were listed later."""
        both = RowOutcomes((), {**self._moved, **later._moved})
        both._rows = self._rows + later._rows
        both._states = self._states + later._states
        both._reasons = self._reasons + later._reasons
        return both

    def states(self) -> Iterator[State]:
        """The states alone, to be counted."""
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


@attrs.frozen(kw_only=True)
class Duplicate:
    """A row whose bytes are in a record already.

    Attributes:
        row: The row.
        attachment_id: The attachment that has the same bytes.
        elsewhere: Whether it is in another patient's record than the one that was chosen.
    """

    row: Row
    attachment_id: str
    elsewhere: bool


@attrs.frozen(kw_only=True)
class Job:
    """A choice of rows for one patient, checked, not yet saved.

    Attributes:
        rows: The rows.
        patient: Whose record.
        destination: Where all of them go.
        title, comments: The same for all.
        duplicates: Those of the rows whose bytes are known to be in a record already.
        warning: What to ask the person before saving, or None.
        count: How many files.
    """

    rows: tuple[Row, ...]
    patient: Patient
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    duplicates: tuple[Duplicate, ...] = ()
    warning: str | None = attrs.field(default=None, repr=False)

    @property
    def count(self) -> int:
        """How many files."""
        return len(self.rows)


def make_job(
    rows: Sequence[Row],
    patient: Patient,
    title: str,
    comments: str,
    *,
    find_duplicates: Callable[[Sequence[Row], Patient], tuple[Duplicate, ...]],
) -> Job:
    """Check a choice of rows.

    Args:
        rows: The rows that were chosen.
        patient: Whose record.
        title: The same for all.
        comments: Likewise.
        find_duplicates: Asked once the choice is found to be possible.

    Raises:
        SelectionError: Nothing was chosen, a row twice, or a row that can't be saved.
        MixedDestinations: Images and other documents were chosen together.
        UnsuitableText: The title or the comments can't be stored.
    """
    if not rows:
        raise SelectionError("no file is selected")
    if len({(row.source_id, row.name) for row in rows}) != len(rows):
        raise SelectionError("a file is selected twice")
    for row in rows:
        if (obstacle := _obstacle(row)) is not None:
            names = tuple(row.name for row in rows if _obstacle(row) is not None)
            raise SelectionError(obstacle, names=names)
    images = tuple(row.name for row in rows if row.destination is Destination.IMAGES)
    others = tuple(row.name for row in rows if row.destination is Destination.NOTES)
    if images and others:
        raise MixedDestinations(
            f"images ({len(images)}) and other documents ({len(others)}) can't be saved together",
            images=images,
            others=others,
        )
    _check_text("title", title, _MAX_TITLE)
    _check_text("comments", comments, _MAX_COMMENTS)
    duplicates = find_duplicates(rows, patient)
    return Job(
        rows=tuple(rows),
        patient=patient,
        destination=rows[0].destination,
        title=title,
        comments=comments,
        duplicates=duplicates,
        warning=_warning(len(rows), rows[0].destination, patient, title, duplicates),
    )


def _warning(
    count: int, destination: Destination, patient: Patient, title: str, duplicates: Sequence[Duplicate]
) -> str | None:
    parts = []
    whose = f"{patient.name} ({patient.id})" if patient.name else patient.id
    if count > 1:
        what = "images" if destination is Destination.IMAGES else "documents"
        same = " with the same title" if title else ""
        parts.append(f"{count} {what} will be saved to {whose}{same}.")
    if not patient.active:
        parts.append(f"{whose} is not an active patient.")
    elsewhere = sum(duplicate.elsewhere for duplicate in duplicates)
    for number, record in (
        (elsewhere, "another patient's record"),
        (len(duplicates) - elsewhere, "this patient's record"),
    ):
        if number:
            what = "It is" if count == 1 else f"{number} of them {'is' if number == 1 else 'are'}"
            parts.append(f"{what} in {record} already.")
    return " ".join(parts) or None


def _obstacle(row: Row) -> str | None:
    """Why nobody can save a row as it is; None if somebody can."""
    if row.state is State.IGNORED:
        return f"a selected entry can't be imported. {row.reason.text}"
    if row.reason is Reason.EXTENSION_NOT_ALLOWED:
        return f"a selected file can't be imported. {row.reason.text}"
    if row.reason is Reason.EMPTY:
        return "a selected file is still empty"
    if row.state is State.IMPORTED:
        return "a selected file has been saved already"
    return None


def _check_text(what: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise UnsuitableText(f"the {what} is longer than {limit:,} characters")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UnsuitableText(f"the {what} holds a character that can't be stored")
