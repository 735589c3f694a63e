"""What a check of a repository works with: the records, opened as often as it likes, and samples to store."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from intouch_import import disk
from intouch_import.model import Attachment, Destination, StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import broken, expect
from intouch_import.testing.samples import PATIENT, PROVIDER, BytesContent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.content import Content

__all__ = ["Records", "bench", "bytes_of", "new", "read", "same", "unique"]

_FIELDS = [field.name for field in attrs.fields(Attachment)]
_SHOWN = 80


class Records:
    """The records under test.

    Args:
        factory, damage: See `check_repository`.
    """

    def __init__(
        self, factory: Callable[[], PatientRepository], damage: Callable[[str], None] | None = None
    ) -> None:
        self._factory = factory
        self._opened = contextlib.ExitStack()
        self.damage = damage

    def open(self) -> PatientRepository:
        """Open the records anew: another workstation, or the same one after a crash."""
        repository = self._factory()
        expect(isinstance(repository, PatientRepository), "the factory returned something else")
        close = getattr(repository, "close", None)
        if callable(close):
            self._opened.callback(close)
        return repository

    def close(self) -> None:
        """Close what was opened."""
        self._opened.close()


@contextlib.contextmanager
def bench(
    factory: Callable[[], PatientRepository], *, damage: Callable[[str], None] | None = None
) -> Iterator[Records]:
    """Records that are closed when the check is over."""
    records = Records(factory, damage)
    try:
        yield records
    finally:
        records.close()


def unique(text: str = "") -> bytes:
    """Bytes that were never stored before."""
    return f"{text} {secrets.token_hex(16)}".encode()


def new(content: Content | bytes | None = None, **changes: Any) -> tuple[Attachment, Content]:
    """An attachment that was never stored, and its content.

    Args:
        content: By default some bytes that are nowhere else.
        changes: Fields that differ from the sample.
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
    """The bytes of a content."""
    with content.open() as stream:
        return stream.read()


def same(stored: StoredAttachment | None, wanted: Attachment, where: str) -> StoredAttachment:
    """Expect every field of an attachment to be stored as it is.

    Args:
        stored: What the repository says.
        wanted: What it was given.
        where: Who says so, such as ``"add"``.
    """
    if not isinstance(stored, StoredAttachment):
        broken(f"{where} gave {type(stored).__name__}, not a StoredAttachment")
    for field in _FIELDS:
        is_, was = getattr(stored, field), getattr(wanted, field)
        if is_ != was or type(is_) is not type(was):
            broken(f"{where} has another {field}: {_shown(is_)} instead of {_shown(was)}")
    expect(isinstance(stored.id, str) and stored.id, f"{where} has an id that is no text")
    expect(
        isinstance(stored.stored_at, datetime) and stored.stored_at.utcoffset() is not None,
        f"{where} has a stored_at that is no aware time",
    )
    return stored


def read(repository: PatientRepository, attachment_id: str) -> bytes:
    """What is stored, read as `moving` reads it: into a buffer, through ``readinto``."""
    parts = _Parts()
    with repository.open_attachment(attachment_id) as stream:
        digested = disk.digest_stream(stream, parts)  # type: ignore[arg-type]  # it takes whatever is written
    data = b"".join(parts.found)
    expect(hashlib.sha256(data).hexdigest() == digested.sha256, "reading gave two answers")
    return data


class _Parts:
    def __init__(self) -> None:
        self.found: list[bytes] = []

    def write(self, part: memoryview) -> int:
        self.found.append(bytes(part))  # a view of a buffer that is used again
        return len(self.found[-1])


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, datetime) else ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
