"""Read lists: CSV files and Excel sheets that name the patient of each file of an archive.

A list is read once, into a small database beside the plan, so a list of five million lines needs no more
memory than one of ten. Nothing is guessed: a cell that can't be read makes its line unclear, and if two lines
for one file differ, the file waits.
"""

from __future__ import annotations

import re
import sqlite3
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intouch_import import disk
from intouch_import.errors import ConfigError
from intouch_import.migration.list_files import (
    UNREADABLE,
    csv_lines,
    excel_lines,
    excel_text,
    excel_time,
    is_excel,
)
from intouch_import.migration.rule_results import NOON, ListLine
from intouch_import.model import Reason, normal_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import tzinfo

    from intouch_import.migration.rules import ManifestRule

__all__ = ["ListIndex"]

_PATHS_PER_QUERY: Final = 500
_UNCLEAR: Final = Reason.LISTED_UNCLEAR.value
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z+.-]*:/|/")
_COLUMNS: Final = "key, blanks, patient, provider, taken, doubt, folded, outside"


def _key(path: str) -> str:
    """Return a path as lists are searched by: with slashes, composed characters, and no leading ``./``."""
    return normal_form("NFC", path.replace("\\", "/").removeprefix("./").strip("/"))


def _grouped(paths: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups


def _line_of(row: sqlite3.Row) -> ListLine:
    return ListLine(
        patient=row["patient"],
        provider=row["provider"],
        local=datetime.fromisoformat(row["taken"]) if row["taken"] is not None else None,
        doubt=Reason(row["doubt"]) if row["doubt"] is not None else None,
    )


class ListIndex:
    """A list that can be searched by path.

    Args:
        rule: The list and its columns.
        database: Path of a database file to create.
        zone: The practice's time zone, for times with an offset of their own.

    Raises:
        ConfigError: The list can't be opened, has another encoding, or lacks a column.
        MissingExtraError: openpyxl is not installed.
    """

    def __init__(self, rule: ManifestRule, database: Path, *, zone: tzinfo) -> None:
        self._rule = rule
        self._zone = zone
        database.unlink(missing_ok=True)
        disk.create_private(database)
        self._connection = sqlite3.connect(database, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        prefix = normal_form("NFC", (rule.prefix or "").replace("\\", "/")).rstrip("/")
        self._prefix = f"{prefix}/" if rule.prefix else ""
        # `blanks`: the path with the blanks around it, if it has any. `folded`: the path in lower case.
        self._connection.execute(
            "CREATE TABLE listed (key TEXT PRIMARY KEY, blanks TEXT, patient TEXT,"
            " provider TEXT, taken TEXT, doubt TEXT, folded TEXT, outside INTEGER, seen INTEGER DEFAULT 0)"
            " WITHOUT ROWID"
        )
        try:
            self._load()
        except BaseException:
            self._connection.close()
            raise

    def find(self, paths: Sequence[str]) -> dict[str, ListLine]:
        """Find the lines for these paths, and mark them as seen. Paths without a line are left out.

        If it is unclear to which of several files a line belongs, each of them has a line with a doubt.
        """
        keys = _grouped(paths, _key)
        found = {}
        for row in self._select("key", list(keys)):
            line = _line_of(row)
            # Two files whose names differ only in how they are written, or in blanks.
            if len(keys[row["key"]]) > 1 or row["blanks"] in keys:
                line = ListLine(doubt=Reason.LISTED_UNCLEAR)
            found.update(dict.fromkeys(keys[row["key"]], line))
        others = _grouped((path for path in paths if path not in found), lambda path: _key(path).casefold())
        lines: dict[str, list[sqlite3.Row]] = {}
        for row in self._select("folded", list(others)):
            lines.setdefault(row["folded"], []).append(row)
        for folded, rows in lines.items():
            line = ListLine(doubt=Reason.LISTED_OTHER_CASE)
            if self._rule.ignore_case:
                clear = len(rows) == len(others[folded]) == 1 and not rows[0]["seen"]
                line = _line_of(rows[0]) if clear else ListLine(doubt=Reason.LISTED_UNCLEAR)
            found.update(dict.fromkeys(others[folded], line))
        return found

    def unseen(self) -> Iterator[tuple[str, Reason]]:
        """Yield the paths of lines that were never found, and why."""
        rows = self._connection.execute("SELECT key, outside FROM listed WHERE seen = 0 ORDER BY key")
        for key, outside in rows:
            yield key, Reason.LISTED_OUTSIDE if outside else Reason.LISTED_MISSING

    def _select(self, column: str, values: Sequence[str]) -> Iterator[sqlite3.Row]:
        """Yield the lines with one of these values, and mark them as seen."""
        for start in range(0, len(values), _PATHS_PER_QUERY):
            some = values[start : start + _PATHS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT {_COLUMNS}, seen FROM listed WHERE {column} IN ({marks})"  # noqa: S608
            rows = self._connection.execute(query, some).fetchall()
            self._connection.executemany(
                "UPDATE listed SET seen = 1 WHERE key = ?", [(row["key"],) for row in rows]
            )
            yield from rows

    def close(self) -> None:
        """Close the database; its file may be deleted then."""
        self._connection.close()

    def _load(self) -> None:
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("BEGIN")
        self._connection.executemany(
            f"INSERT INTO listed ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            # Two equal lines for one file are no contradiction.
            " ON CONFLICT (key) DO UPDATE SET doubt = 'listed_twice' WHERE"
            " (patient, provider, taken, doubt) IS NOT"
            " (excluded.patient, excluded.provider, excluded.taken, excluded.doubt)",
            (values for row in _rows_of(self._rule) if (values := self._values(row)) is not None),
        )
        self._connection.execute("CREATE INDEX by_folded ON listed (folded)")
        self._connection.execute("COMMIT")

    def _values(self, row: dict[str, Any]) -> tuple[str | int | None, ...] | None:
        path = _text(row["path"])
        if not path:
            return None  # an empty line
        patient, provider = _text(row["patient"]), _text(row.get("provider"))
        unclear = patient is None or row.get("unclear") or UNREADABLE in row.values()
        taken: datetime | None = None
        if row.get("taken") not in (None, ""):
            taken = self._time(row["taken"])
            unclear = unclear or taken is None
        inside = self._inside(path)
        try:
            key = _key(inside)
            key.encode()
        except UnicodeEncodeError:
            return None
        return (
            key,
            _key(self._inside(row["path"])) if row["path"] != path else None,
            patient,
            provider,
            taken.isoformat() if taken else None,
            _UNCLEAR if unclear else None,
            key.casefold(),
            _ABSOLUTE.match(inside) is not None,
        )

    def _inside(self, path: str) -> str:
        """Return a path with slashes, and without the prefix of the rule."""
        path = normal_form("NFC", path.replace("\\", "/"))
        length = len(self._prefix)
        return path[length:] if self._folded(path[:length]) == self._folded(self._prefix) else path

    def _folded(self, text: str) -> str:
        return text.casefold() if self._rule.ignore_case else text

    def _time(self, value: Any) -> datetime | None:
        """Return the practice's wall time, or None if the value is no time."""
        if isinstance(value, str):
            value = _parsed(value.strip(), self._rule.taken_format)
        if isinstance(value, datetime):
            return (
                value if value.tzinfo is None else value.astimezone(self._zone).replace(tzinfo=None, fold=0)
            )
        if isinstance(value, date):
            return datetime.combine(value, NOON)
        return None


def _text(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text or None


def _parsed(text: str, form: str | None) -> datetime | date | None:
    try:
        if form is not None:
            found = datetime.strptime(text, form)  # noqa: DTZ007  # wall time of the practice
            return found if any(f"%{part}" in form for part in "HIcXs") else found.date()
        return date.fromisoformat(text) if len(text) <= len("2026-01-31") else datetime.fromisoformat(text)
    except ValueError:
        return None


def _picker(header: Sequence[Any], rule: ManifestRule) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """Return a function that picks the rule's columns out of a line."""
    names = [name.strip() if isinstance(name, str) else name for name in header]
    missing = [name for name in rule.columns.values() if names.count(name) != 1]
    if missing:
        # These names are from the caller's own code. Those in the list may be a patient's: don't show them.
        wanted = ", ".join(repr(name) for name in missing)
        raise ConfigError(f"the list lacks the column {wanted}, or has it twice")
    places = {field: names.index(name) for field, name in rule.columns.items()}
    return lambda cells: {field: cells[at] if at < len(cells) else None for field, at in places.items()}


def _rows_of(rule: ManifestRule) -> Iterator[dict[str, Any]]:
    """Yield the cells of each line by what they are."""
    path = Path(rule.path).expanduser()
    if is_excel(path):
        with excel_lines(path, sheet=rule.sheet) as (lines, epoch):
            pick = _picker([cell.value for cell in next(lines, ())], rule)
            for line in lines:
                yield {
                    field: excel_time(cell, epoch) if field == "taken" else excel_text(cell)
                    for field, cell in pick(line).items()
                }
        return
    wanted = set(rule.columns.values())
    with csv_lines(path, encoding=rule.encoding, fits=lambda names: wanted <= set(names)) as cells:
        header = next(cells, [])
        pick = _picker(header, rule)
        for line in cells:
            # With more or fewer cells than the header, it is unknown which cell belongs to which column.
            yield {**pick(line), "unclear": len(line) != len(header)}
