"""Exit codes; see `app`."""

from __future__ import annotations

from typing import Final

__all__ = ["FILES_FAILED", "INTERRUPTED", "LOCATION_FAILED", "MISTAKE", "OK", "RECORDS_FAILED"]

OK: Final = 0
FILES_FAILED: Final = 1
MISTAKE: Final = 2
LOCATION_FAILED: Final = 3
RECORDS_FAILED: Final = 4
INTERRUPTED: Final = 130
