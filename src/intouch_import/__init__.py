"""Move clinical photographs from folders into patient records.

The names below are the public face. They are imported on first use, so that ``import intouch_import``
costs nothing: no database, no imaging library, no storage backend.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intouch_import.clock import Clock
    from intouch_import.content import Content
    from intouch_import.errors import (
        ConfigError,
        FileError,
        InTouchImportError,
        RepositoryError,
        SelectionError,
        SourceError,
        UnknownPatient,
    )
    from intouch_import.extensions import classify
    from intouch_import.filenames import CaptureNaming
    from intouch_import.inbox import Inbox, Row, SaveRequest
    from intouch_import.model import (
        Action,
        Attachment,
        CaptureName,
        Destination,
        Patient,
        Progress,
        Provider,
        Reason,
        SourceFile,
        State,
        StoredAttachment,
        Verdict,
    )
    from intouch_import.reports import Outcome, Report
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.secret import Secret
    from intouch_import.settings import Settings
    from intouch_import.sources.base import Source
    from intouch_import.sources.opening import open_source

    __version__: str

__all__ = [
    "Action",
    "Attachment",
    "CaptureName",
    "CaptureNaming",
    "Clock",
    "ConfigError",
    "Content",
    "Destination",
    "FileError",
    "InTouchImportError",
    "Inbox",
    "Outcome",
    "Patient",
    "PatientRepository",
    "Progress",
    "Provider",
    "Reason",
    "Report",
    "RepositoryError",
    "Row",
    "SaveRequest",
    "Secret",
    "SelectionError",
    "Settings",
    "Source",
    "SourceError",
    "SourceFile",
    "State",
    "StoredAttachment",
    "UnknownPatient",
    "Verdict",
    "__version__",
    "classify",
    "open_source",
]

_HOMES = {
    "clock": ("Clock",),
    "content": ("Content",),
    "errors": (
        "ConfigError", "FileError", "InTouchImportError", "RepositoryError", "SelectionError", "SourceError",
        "UnknownPatient",
    ),
    "extensions": ("classify",),
    "filenames": ("CaptureNaming",),
    "inbox": ("Inbox", "Row", "SaveRequest"),
    "model": (
        "Action", "Attachment", "CaptureName", "Destination", "Patient", "Progress", "Provider", "Reason",
        "SourceFile", "State", "StoredAttachment", "Verdict",
    ),
    "reports": ("Outcome", "Report"),
    "repositories.base": ("PatientRepository",),
    "secret": ("Secret",),
    "settings.settings": ("Settings",),
    "sources.base": ("Source",),
    "sources.opening": ("open_source",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("intouch-import")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
