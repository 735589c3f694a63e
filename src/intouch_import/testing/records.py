"""What the checks of a repository share: the records under test, and attachments to add."""

from __future__ import annotations

import contextlib
import io
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from intouch_import import disk
from intouch_import.model import Attachment, Destination, StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Broken, expect
from intouch_import.testing.samples import PATIENT, PROVIDER, BytesContent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from intouch_import.content import Content
    from intouch_import.model import Patient

__all__ = ["Records", "add", "bytes_of", "find", "new", "offers", "read", "same", "unique"]

_FIELDS = [field.name for field in attrs.fields(Attachment)]
_LONGEST_SHOWN = 80


class Records(contextlib.ExitStack):
    """The records under test, as a context manager that closes everything that was opened.

    Args:
        factory, damage, seen: See `check_repository`.
    """

    def __init__(
        self,
        factory: Callable[[], PatientRepository],
        damage: Callable[[str], None] | None = None,
        seen: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        super().__init__()
        self.factory = factory
        self.damage = damage
        self._seen = seen

    def open(self) -> PatientRepository:
        """Open the records again: as another workstation does, or the same one after a crash."""
        repository = self.factory()
        expect(isinstance(repository, PatientRepository), "the factory returned something else")
        close = getattr(repository, "close", None)
        if callable(close):
            self.callback(close)
        return repository

    def shows(self, patient: Patient, attachments: Iterable[StoredAttachment], *others: str) -> None:
        """Expect a patient's record to show exactly these attachments, of those that the check has added.

        Args:
            patient: The patient.
            attachments: The files that the record is expected to have, each once.
            others: Ids of attachments that it must not show.
        """
        if self._seen is None:
            return
        wanted = [one.id for one in attachments]
        shown = [one for one in self._seen(patient.id) if one in {*wanted, *others}]
        for one in {*wanted, *others}:
            times, right = shown.count(one), int(one in wanted)
            expect(
                times == right, f"the record of {patient.id} shows a file {times} times instead of {right}"
            )

    def count(self, patient: Patient) -> int | None:
        """Return how many files a patient's record shows; None if the kit can't see it."""
        return None if self._seen is None else len(list(self._seen(patient.id)))


def unique(text: str = "") -> bytes:
    """Return bytes that were never stored before."""
    return f"{text} {secrets.token_hex(16)}".encode()


def new(content: Content | bytes | None = None, **changes: Any) -> tuple[Attachment, Content]:
    """Return an attachment that was never stored, and its content.

    Args:
        content: By default bytes that no other attachment has.
        changes: Fields that differ from the usual ones.
    """
    if content is None or isinstance(content, bytes):
        content = BytesContent(unique() if content is None else content)
    values: dict[str, Any] = {
        "import_id": secrets.token_hex(20),
        "patient_id": PATIENT.id,
        "provider_id": PROVIDER.id,
        "destination": Destination.IMAGES,
        "title": "Left forearm",
        "comments": "Before the operation",
        "taken_at": datetime(2026, 1, 31, 14, 25, 1, 123456, UTC),
        "name": "IMG_0001.JPG",
        "size_bytes": content.size_bytes,
        "sha256": content.sha256,
        "location": "local",
        "source_id": "local-kit",
        "source_version": "1f-2e-3d",
        "modified_at": datetime(2026, 1, 31, 14, 25, 2, 654321, UTC),
        "operator": "reception",
    }
    return Attachment(**{**values, **changes}), content


def bytes_of(content: Content) -> bytes:
    """Return the bytes of a content."""
    with content.open() as stream:
        return stream.read()


def offers(repository: PatientRepository, method: str) -> bool:
    """Return whether the class overrides an optional method."""
    return getattr(type(repository), method) is not getattr(PatientRepository, method)


def add(repository: PatientRepository, attachment: Attachment, content: Content) -> StoredAttachment:
    """Add an attachment, and expect it to be returned unchanged."""
    return same(repository.add(attachment, content), attachment, "add")


def find(repository: PatientRepository, attachment: Attachment) -> StoredAttachment:
    """Find an attachment, and expect it to be stored unchanged."""
    found = repository.find_attachment([attachment.import_id])
    return same(found.get(attachment.import_id), attachment, "find_attachment")


def same(stored: object, wanted: Attachment, method: str) -> StoredAttachment:
    """Expect every field of an attachment to be stored as it was given.

    Args:
        stored: What the repository returned.
        wanted: What it was given.
        method: The method that returned it, such as ``"add"``.
    """
    if not isinstance(stored, StoredAttachment):
        raise Broken(f"{method} returned {type(stored).__name__} instead of a StoredAttachment")
    for field in _FIELDS:
        is_, was = getattr(stored, field), getattr(wanted, field)
        if is_ != was or type(is_) is not type(was):
            raise Broken(f"{method} returned another {field}: {_shown(is_)} instead of {_shown(was)}")
    expect(isinstance(stored.id, str) and stored.id, f"{method} returned an id that is not text")
    expect(
        isinstance(stored.stored_at, datetime) and stored.stored_at.utcoffset() is not None,
        f"{method} returned a stored_at that is not an aware time",
    )
    return stored


def read(repository: PatientRepository, attachment_id: str) -> bytes:
    """Read the stored bytes as the move does: into a buffer, with ``readinto``."""
    data = io.BytesIO()
    with repository.open_attachment(attachment_id) as stream:
        disk.digest_stream(stream, data)
    return data.getvalue()


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, datetime) else ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(text)} characters)"
