"""What an inbox works with where nothing is given: the zone, the examiner, the ledger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from intouch_import.database import connect
from intouch_import.errors import ConfigError
from intouch_import.ledger import Ledger
from intouch_import.media import Examiner

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, tzinfo

    from intouch_import.repositories.base import PatientRepository

__all__ = ["examiner_of", "ledger_of", "zone_of"]


def zone_of(zone: str | tzinfo | None) -> tzinfo:
    """A time zone by its name, or this machine's.

    Raises:
        ConfigError: There is none of that name.
    """
    if zone is None:
        import tzlocal

        return tzlocal.get_localzone()
    if isinstance(zone, str):
        try:
            return ZoneInfo(zone)
        except (OSError, ValueError, KeyError) as exc:  # ZoneInfoNotFoundError is a KeyError
            raise ConfigError("that time zone is not known") from exc
    return zone


def examiner_of(
    check: bool | Examiner,  # noqa: FBT001  # as a caller of `Inbox` writes it
    zone: tzinfo,
    now: Callable[[], datetime],
) -> Examiner | None:
    """The examiner that is given, one with the usual limits, or none."""
    if isinstance(check, bool):
        return Examiner(zone=zone, now=now) if check else None
    return check


def ledger_of(ledger: Ledger | str | os.PathLike[str] | None, repository: PatientRepository) -> Ledger:
    """The ledger that is given, that of the patient records, or one in the user's data directory."""
    if isinstance(ledger, Ledger):
        return ledger
    if ledger is not None:
        text = os.fspath(ledger)
        return Ledger.open(text) if "://" in text else _in_file(Path(text).expanduser())
    engine = getattr(repository, "engine", None)
    if engine is not None:
        return Ledger(engine)
    import platformdirs

    return _in_file(Path(platformdirs.user_data_dir("intouch-import", ensure_exists=True), "ledger.db"))


def _in_file(path: Path) -> Ledger:
    return Ledger(connect(URL.create("sqlite", database=str(path))))
