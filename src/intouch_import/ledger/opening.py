"""Open the ledger that belongs to patient records."""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa

from intouch_import.errors import ConfigError
from intouch_import.ledger.book import Ledger

__all__ = ["ledger_for"]


def ledger_for(ledger: Ledger | str | os.PathLike[str] | None, *, records: object) -> Ledger:
    """Return the given ledger, or the ledger of the records.

    There is no other default. Two ledgers of the same records would not know each other's entries: an import
    that a person has undone with one ledger would be repeated by a program that uses the other.

    Args:
        ledger: A ledger, a SQLAlchemy URL, or the path of a SQLite file; or None.
        records: The patient records. Their property ``ledger`` is used if no ledger is given.

    Raises:
        ConfigError: There is no ledger, the URL is not valid, its driver is not installed, or the home
            directory is unknown.
        RepositoryError: The database can't be used.
    """
    if isinstance(ledger, Ledger):
        return ledger
    place = getattr(records, "ledger", None) if ledger is None else ledger
    if isinstance(place, sa.Engine):
        return Ledger(place)
    if not isinstance(place, (str, os.PathLike)):
        raise ConfigError(
            "these records do not say where their ledger is: give ledger= (the URL of their database, or a"
            " file beside them), or define the property 'ledger' in their class"
        )
    text = os.fspath(place)
    return Ledger.open(text) if "://" in text else _file(text)


def _file(path: str) -> Ledger:
    try:
        database = str(Path(path).expanduser())
    except RuntimeError:
        raise ConfigError("the ledger's path starts with ~, but the home directory is unknown") from None
    return Ledger.open(sa.URL.create("sqlite", database=database))
