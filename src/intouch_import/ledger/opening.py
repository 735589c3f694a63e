"""Which ledger goes with which records."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL

from intouch_import.errors import ConfigError
from intouch_import.ledger.book import Ledger

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["ledger_for"]


def ledger_for(ledger: Ledger | str | os.PathLike[str] | None, *, engine: Engine | None) -> Ledger:
    """The ledger that was asked for, else one beside the records, else one in the user's data directory.

    Args:
        ledger: A ledger, a SQLAlchemy URL, or the path of a SQLite file.
        engine: Of the records, where they are in a SQL database of ours.
    """
    if isinstance(ledger, Ledger):
        return ledger
    if ledger is not None:
        text = os.fspath(ledger)
        return Ledger.open(text) if "://" in text else _file(_at_home(text))
    if engine is not None:
        return Ledger(engine)
    import platformdirs

    return _file(Path(platformdirs.user_data_dir("intouch-import", ensure_exists=True), "ledger.db"))


def _at_home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError("the ledger's path begins at a home that is not known") from None


def _file(path: Path) -> Ledger:
    return Ledger.open(URL.create("sqlite", database=str(path)))
