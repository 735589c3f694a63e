"""Why one file could not be read, or could not be removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.errors import (
    FileChanged,
    FileUnreadable,
    FileVanished,
    InTouchImportError,
    NotRemoved,
    StillArriving,
)
from intouch_import.model import Reason
from intouch_import.sources.azure.faults import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["not_removed", "unread"]

_STAYS: Final[Mapping[Kind, tuple[str, Reason, bool]]] = {
    Kind.LEASED: ("another program holds a lease on the blob", Reason.LEASED, True),
    Kind.SNAPSHOTS: ("the blob has snapshots, which would go with it", Reason.HAS_SNAPSHOTS, False),
    Kind.IMMUTABLE: ("a retention policy or a legal hold keeps the blob", Reason.RETAINED, False),
    Kind.FORBIDDEN: ("the key, signature or role may not delete", Reason.REMOVAL_FORBIDDEN, False),
}
"""Why a blob is not removed: the sentence, the reason, whether waiting helps."""


def unread(fault: Fault, source_id: str) -> InTouchImportError:
    """What it means that a blob could not be read."""
    match fault.kind:
        case Kind.GONE:
            return FileVanished("the file is no longer there")
        case Kind.CHANGED:
            return FileChanged("the file is no longer the version that was listed")
        case Kind.ARCHIVED:
            return FileUnreadable(
                "the blob is in the archive tier", reason=Reason.ARCHIVED, retry_helps=False
            )
        case Kind.COPYING:
            return StillArriving("the blob is still being copied")
        case Kind.CUT:
            return FileUnreadable("the transfer was cut, again and again")
    return fault.error(source_id)


def not_removed(fault: Fault, source_id: str) -> InTouchImportError:
    """What it means that a blob could not be removed."""
    if fault.kind is Kind.GONE:
        return FileVanished("the file is no longer there")
    if fault.kind is Kind.CHANGED:
        return FileChanged("another version stands there; it was not touched")
    if fault.kind in _STAYS:
        text, reason, helps = _STAYS[fault.kind]
        return NotRemoved(text, reason=reason, retry_helps=helps)
    return fault.error(source_id)
