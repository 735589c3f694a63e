"""The kit: what a repository or a location must do, as checks to run, and doubles for tests.

`check_repository` runs every promise of `PatientRepository` against a host's class, `check_source` every
promise of `Source` against a location. Both are plain functions with plain assertions; no test framework is
needed. `REPOSITORY_CHECKS` and `SOURCE_CHECKS` are the single checks, for ``pytest.mark.parametrize``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intouch_import.testing.checks import Check
    from intouch_import.testing.contents import BytesContent
    from intouch_import.testing.faults import Faults, raising, waiting
    from intouch_import.testing.memory_repository import MemoryRepository
    from intouch_import.testing.memory_source import MemoryFolder, MemorySource
    from intouch_import.testing.places import FsspecPlace, LocalPlace, MemoryPlace, Place
    from intouch_import.testing.repositories import REPOSITORY_CHECKS, check_repository
    from intouch_import.testing.samples import (
        FORMER_PATIENT,
        HOSTILE_NAMES,
        LETTERED_PATIENT,
        OTHER_PATIENT,
        PATIENT,
        PATIENTS,
        PROVIDER,
        PROVIDERS,
    )
    from intouch_import.testing.sources import SOURCE_CHECKS, check_source

__all__ = [
    "FORMER_PATIENT",
    "HOSTILE_NAMES",
    "LETTERED_PATIENT",
    "OTHER_PATIENT",
    "PATIENT",
    "PATIENTS",
    "PROVIDER",
    "PROVIDERS",
    "REPOSITORY_CHECKS",
    "SOURCE_CHECKS",
    "BytesContent",
    "Check",
    "Faults",
    "FsspecPlace",
    "LocalPlace",
    "MemoryFolder",
    "MemoryPlace",
    "MemoryRepository",
    "MemorySource",
    "Place",
    "check_repository",
    "check_source",
    "raising",
    "waiting",
]

_HOMES = {
    "checks": ("Check",),
    "contents": ("BytesContent",),
    "faults": ("Faults", "raising", "waiting"),
    "memory_repository": ("MemoryRepository",),
    "memory_source": ("MemoryFolder", "MemorySource"),
    "places": ("FsspecPlace", "LocalPlace", "MemoryPlace", "Place"),
    "repositories": ("REPOSITORY_CHECKS", "check_repository"),
    "samples": (
        "FORMER_PATIENT", "HOSTILE_NAMES", "LETTERED_PATIENT", "OTHER_PATIENT", "PATIENT", "PATIENTS",
        "PROVIDER", "PROVIDERS",
    ),
    "sources": ("SOURCE_CHECKS", "check_source"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
