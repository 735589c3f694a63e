"""`SaveRequest`: a choice of rows for one patient, checked, with what the person should be asked first."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import MixedDestinations, SelectionError, UnsuitableText
from intouch_import.model import Destination, Patient, Reason, State
from intouch_import.moving.storing import CopyFinder, Incoming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.inbox.rows import Row
    from intouch_import.ledger import Ledger
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Duplicate", "DuplicateFinder", "SaveRequest", "check_choice"]

log = logging.getLogger(__name__)

_MAX_TITLE: Final = 500
_MAX_COMMENTS: Final = 20_000
# The person waits for the answer. Copies among larger files are reported by the outcomes of the save.
_READ_AT_MOST_BYTES: Final = 256 * 1024 * 1024


@attrs.frozen(kw_only=True)
class Duplicate:
    """A row whose bytes are in a record already.

    Attributes:
        row: The row.
        attachment_id: The attachment that has the same bytes.
        elsewhere: Whether that attachment is in another patient's record than the one chosen.
    """

    row: Row
    attachment_id: str
    elsewhere: bool


@attrs.frozen(kw_only=True)
class SaveRequest:
    """A choice of rows for one patient, checked, not yet saved. Made by `Inbox.prepare`.

    Attributes:
        rows: The rows.
        patient: The patient whose record they go to.
        destination: Where in the record all of them go.
        title, comments: The same for all.
        duplicates: The rows whose bytes are known to be in a record already.
        count: The number of files.
    """

    rows: tuple[Row, ...]
    patient: Patient
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    duplicates: tuple[Duplicate, ...] = ()

    @property
    def count(self) -> int:
        """The number of files."""
        return len(self.rows)

    @property
    def warning(self) -> str | None:
        """What to ask the person before saving; None if there is nothing to ask."""
        parts = []
        patient = self.patient
        whose = f"{patient.name} ({patient.id})" if patient.name else patient.id
        if self.count > 1:
            what = "images" if self.destination is Destination.IMAGES else "documents"
            same = " with the same title" if self.title else ""
            parts.append(f"{self.count} {what} will be saved to {whose}{same}.")
        if not patient.active:
            parts.append(f"{whose} is not an active patient.")
        elsewhere = sum(duplicate.elsewhere for duplicate in self.duplicates)
        for number, record in (
            (elsewhere, "another patient's record"),
            (len(self.duplicates) - elsewhere, "this patient's record"),
        ):
            if number:
                what = "It is" if self.count == 1 else f"{number} of them {'is' if number == 1 else 'are'}"
                parts.append(f"{what} in {record} already.")
        return " ".join(parts) or None


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


class DuplicateFinder:
    """Finds the rows of a choice whose bytes are stored already.

    A row whose digest is known is not read. Of the others, only those are read whose size some attachment
    has: two photos of equal size are rare, and usually the same photo.
    """

    def __init__(self, repository: PatientRepository, ledger: Ledger) -> None:
        self._repository = repository
        self._copies = CopyFinder(repository, ledger)

    def find(self, rows: Sequence[Row], patient: Patient) -> tuple[Duplicate, ...]:
        """Return the rows whose bytes are in a record already."""
        if not self._copies.able:
            return ()
        self._read([row for row in rows if row.sha256 is None])
        found = self._copies.find(
            [
                Incoming(import_id=row.import_id, sha256=row.sha256, patient_id=patient.id)
                for row in rows
                if row.sha256 is not None
            ]
        )
        copies = ((row, found.get(row.import_id)) for row in rows)
        return tuple(
            Duplicate(row=row, attachment_id=copy.attachment_id, elsewhere=copy.elsewhere)
            for row, copy in copies
            if copy is not None and copy.attachment_id is not None
        )

    def _read(self, rows: Sequence[Row]) -> None:
        sizes = {row.size_bytes for row in rows}
        known = self._repository.sizes_stored(sizes) if sizes else ()
        left_bytes = _READ_AT_MOST_BYTES
        for row in rows:
            if row.size_bytes not in known or row.size_bytes > left_bytes:
                continue
            left_bytes -= row.size_bytes
            try:
                with row.source.fetch(row.file, staging=self._repository.staging) as content:
                    row.sha256 = content.sha256
            except Exception as exc:  # noqa: BLE001  # whatever it is, the save will meet and report it
                log.info("a file can't be read before its save", extra={"kind": type(exc).__name__})
