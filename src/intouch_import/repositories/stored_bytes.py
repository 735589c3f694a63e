"""Read the stored bytes of an attachment again, and compare them with what its record says."""

from __future__ import annotations

import enum
import errno
import logging
from typing import TYPE_CHECKING

from intouch_import import disk
from intouch_import.errors import kind_and_place

if TYPE_CHECKING:
    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["StoredBytes", "read_again"]

log = logging.getLogger(__name__)


class StoredBytes(enum.StrEnum):
    """What reading the bytes of an attachment has shown."""

    INTACT = "intact"
    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"


def read_again(repository: PatientRepository, stored: StoredAttachment) -> StoredBytes:
    """Read the bytes of an attachment to their end, and compare size and digest with the record.

    A repository that can't say why it fails to open an attachment makes it ``UNREADABLE``, not ``MISSING``:
    an error with the number ``ENOENT`` says that the bytes do not exist.
    """
    try:
        with repository.open_attachment(stored.id) as stream:
            found = disk.digest_stream(stream)
    except Exception as exc:  # noqa: BLE001  # a host's repository may raise anything
        log.error("a stored file can't be read", extra=kind_and_place(exc, import_id=stored.import_id))
        missing = getattr(exc, "errno", None) == errno.ENOENT
        return StoredBytes.MISSING if missing else StoredBytes.UNREADABLE
    same = (found.size_bytes, found.sha256) == (stored.size_bytes, stored.sha256)
    return StoredBytes.INTACT if same else StoredBytes.ALTERED
