"""`SaveRequest`: a choice of rows for one patient, checked, with what the person should be asked first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import MixedDestinations, SelectionError, UnsuitableText
from intouch_import.inbox.doubts import Doubt, Evidence, Severity, described
from intouch_import.model import Destination, Patient, Reason, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.inbox.duplicates import Duplicate
    from intouch_import.inbox.rows import Row

__all__ = ["SaveRequest", "check_choice"]

_MAX_TITLE: Final = 500
_MAX_COMMENTS: Final = 20_000


@attrs.frozen(kw_only=True)
class SaveRequest:
    """A choice of rows for one patient, checked, not yet saved. Made by `Inbox.prepare`.

    Attributes:
        rows: The rows.
        patient: The patient whose record they go to.
        destination: Where in the record all of them go.
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
    def warning(self) -> str | None:
        """All doubts and the number of files, in sentences; None if there is nothing to ask."""
        if self.count == 1 and not self.doubts:
            return None
        return " ".join([self.summary, *(doubt.text for doubt in self.doubts)])

    @property
    def summary(self) -> str:
        """What will be saved, and to whom, in one sentence."""
        one, many = (
            ("image", "images") if self.destination is Destination.IMAGES else ("document", "documents")
        )
        what = f"The {one}" if self.count == 1 else f"{self.count} {many}"
        same = " with the same title" if self.count > 1 and self.title else ""
        return f"{what} will be saved to {described(self.patient)}{same}."

    @property
    def needs_confirmation(self) -> bool:
        """Whether a file may be another patient's, so that the person must confirm it deliberately."""
        return any(doubt.severity is Severity.CONFIRM for doubt in self.doubts)

    def rows_with(self, evidence: Evidence) -> set[Row]:
        """Return the rows that this evidence assigns to another patient, according to the doubts."""
        return {row for doubt in self.doubts if doubt.evidence is evidence for row in doubt.rows}


def check_choice(rows: Sequence[Row], *, title: str, comments: str) -> None:
    """Check that a choice of rows can be saved together.

    Args:
        rows: The chosen rows.
        title: The same for all.
        comments: The same for all.

    Raises:
        SelectionError: No row was chosen, a row was chosen twice, or a row can't be saved.
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
