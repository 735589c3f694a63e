"""`SaveRequest`: a choice of rows for one patient, checked, with what the person should be asked first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import MixedDestinations, SelectionError, UnsuitableText
from intouch_import.inbox.doubts import Doubt, Evidence, Severity, described
from intouch_import.model import Destination, Patient, Reason, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.inbox.duplicates import Duplicate
    from intouch_import.inbox.rows import Row

__all__ = ["SaveRequest", "check_choice", "with_companions"]

_KINDS: Final = (
    (Destination.IMAGES, "image", "images"),
    (Destination.NOTES, "document", "documents"),
)
_MAX_TITLE: Final = 500
_MAX_COMMENTS: Final = 20_000


@attrs.frozen(kw_only=True)
class SaveRequest:
    """A choice of rows for one patient, checked, not yet saved. Made by `Inbox.prepare`.

    Attributes:
        rows: The rows, with those that belong to them.
        patient: The patient whose record they go to.
        destination: Where in the record the first one goes. Each file goes to its own destination: of a photo
            and its movie, one to the images and one to the notes.
        title, comments: The same for all.
        duplicates: The rows whose bytes are known to be in a record already.
        doubts: What to ask the person before saving, the strongest first.
        count: The number of files.
    """

    rows: tuple[Row, ...]
    patient: Patient
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    duplicates: tuple[Duplicate, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def count(self) -> int:
        """The number of files."""
        return len(self.rows)

    @property
    def chosen(self) -> tuple[Row, ...]:
        """The rows that belong to no other row of the request."""
        return without_parts(self.rows)

    @property
    def warning(self) -> str | None:
        """All doubts and the number of files, in sentences; None if there is nothing to ask."""
        if len(self.chosen) == 1 and not self.doubts:
            return None
        return " ".join([self.summary, *(doubt.text for doubt in self.doubts)])

    @property
    def summary(self) -> str:
        """What will be saved, and to whom, in one sentence."""
        chosen = self.chosen
        counts = Counter(row.destination for row in chosen)
        kinds = [
            f"{counts[destination]} {one if counts[destination] == 1 else many}"
            for destination, one, many in _KINDS
            if counts[destination]
        ]
        what = f"The {kinds[0].partition(' ')[2]}" if len(chosen) == 1 else " and ".join(kinds)
        parts = self.count - len(chosen)
        more = (
            f" and {parts} {'file that belongs' if parts == 1 else 'files that belong'} to" if parts else ""
        )
        more += "" if not parts else " it" if len(chosen) == 1 else " them"
        same = " with the same title" if len(chosen) > 1 and self.title else ""
        return f"{what}{more} will be saved to {described(self.patient)}{same}."

    @property
    def needs_confirmation(self) -> bool:
        """Whether a file may be another patient's, so that the person must confirm it deliberately."""
        return any(doubt.severity is Severity.CONFIRM for doubt in self.doubts)

    def rows_with(self, evidence: Evidence) -> set[Row]:
        """Return the rows that this evidence assigns to another patient, according to the doubts."""
        return {row for doubt in self.doubts if doubt.evidence is evidence for row in doubt.rows}


def without_parts(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows that belong to no other of these rows."""
    together = set(rows)
    return tuple(row for row in rows if row.owner is row or row.owner not in together)


def with_companions(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows and all rows that belong to them and can be saved, each group together."""
    found: dict[Row, None] = {}
    for row in rows:
        group = row.group.rows if row.group is not None else ()
        found |= dict.fromkeys((row, *(one for one in group if one is row or _obstacle(one) is None)))
    return tuple(found)


def check_choice(rows: Sequence[Row], *, title: str, comments: str) -> None:
    """Check that a choice of rows can be saved together.

    Args:
        rows: The chosen rows.
        title: The same for all.
        comments: The same for all.

    Raises:
        SelectionError: No row was chosen, a row was chosen twice, or a row can't be saved.
        MixedDestinations: Images and other documents were chosen together that don't belong together.
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
    strangers = [row for row in without_parts(rows) if not _may_belong(row, rows)]
    images = tuple(row.name for row in strangers if row.destination is Destination.IMAGES)
    others = tuple(row.name for row in strangers if row.destination is Destination.NOTES)
    if images and others:
        raise MixedDestinations(
            f"images ({len(images)}) and other documents ({len(others)}) can't be saved together",
            images=images,
            others=others,
        )
    _check_text("title", title, _MAX_TITLE)
    _check_text("comments", comments, _MAX_COMMENTS)


def _may_belong(row: Row, rows: Sequence[Row]) -> bool:
    """Return whether a movie or document may belong to another of these rows: the person has chosen both."""
    group = row.group
    if group is None or row.destination is Destination.IMAGES:
        return False
    return any(other in rows for one in group.rows for other, _ in group.possible.get(one, ()))


def _obstacle(row: Row) -> str | None:
    """Return why a row can't be saved as it is; None if it can."""
    if row.state is State.IGNORED:
        return f"a selected entry can't be imported. {row.reason.text}"
    if row.reason is Reason.EXTENSION_NOT_ALLOWED:
        return f"a selected file can't be imported. {row.reason.text}"
    if row.reason is Reason.NOT_DOWNLOADED:
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
