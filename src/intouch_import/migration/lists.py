"""Read lists: CSV files and Excel sheets that name the patient of each file of an archive.

A list is read once, into a small database beside the plan, so a list of five million lines needs no more
memory than one of ten. Nothing is guessed: a cell that can't be read makes its line unclear, and if two lines
for one file differ, the file waits.
"""

from __future__ import annotations

import csv
import re
import sqlite3
import unicodedata
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intouch_import import disk
from intouch_import.errors import ConfigError
from intouch_import.extras import needing
from intouch_import.migration.rule_results import NOON, ListLine
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo

    from intouch_import.migration.rules import ManifestRule

__all__ = ["ListIndex"]

_EXCEL: Final = {".xlsx", ".xlsm"}
_DELIMITERS: Final = (",", ";", "\t", "|")
_PATHS_PER_QUERY: Final = 500
_ZEROS: Final = re.compile(r"0+")
_EXCEL_DAYS: Final = range(20_000, 80_000)
"""Numbers that are dates if they are in a date column: 1954 to 2119."""

_UNCLEAR: Final = Reason.LISTED_UNCLEAR.value
_UNREADABLE: Final = object()
"""Stands in for a cell that can't be read."""


def _key(path: str) -> str:
    """Return a path as lists are searched by: with slashes, composed characters, and no leading ``./``."""
    key = path.replace("\\", "/").removeprefix("./").strip("/")
    return key if key.isascii() else unicodedata.normalize("NFC", key)


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
        self._connection.execute(
            "CREATE TABLE listed (key TEXT PRIMARY KEY, patient TEXT, provider TEXT, taken TEXT, doubt TEXT,"
            " seen INTEGER DEFAULT 0) WITHOUT ROWID"
        )
        try:
            self._load()
        except BaseException:
            self._connection.close()
            raise

    def find(self, paths: Sequence[str]) -> dict[str, ListLine]:
        """Find the lines for these paths, and mark them as seen. Paths without a line are left out."""
        keys = {_key(path): path for path in paths}
        wanted = list(keys)
        found: dict[str, ListLine] = {}
        for start in range(0, len(wanted), _PATHS_PER_QUERY):
            some = wanted[start : start + _PATHS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, patient, provider, taken, doubt FROM listed WHERE key IN ({marks})"  # noqa: S608
            for key, patient, provider, taken, doubt in self._connection.execute(query, some):
                found[keys[key]] = ListLine(
                    patient=patient,
                    provider=provider,
                    local=datetime.fromisoformat(taken) if taken is not None else None,
                    doubt=Reason(doubt) if doubt is not None else None,
                )
            self._connection.executemany(
                "UPDATE listed SET seen = 1 WHERE key = ?", [(_key(path),) for path in found]
            )
        return found

    def unseen(self) -> Iterator[str]:
        """Yield the paths of lines that were never found."""
        for (key,) in self._connection.execute("SELECT key FROM listed WHERE seen = 0 ORDER BY key"):
            yield key

    def close(self) -> None:
        """Close the database; its file may be deleted then."""
        self._connection.close()

    def _load(self) -> None:
        path = Path(self._rule.path).expanduser()
        rows = _excel_rows(path, self._rule) if path.suffix.lower() in _EXCEL else _csv_rows(path, self._rule)
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO listed (key, patient, provider, taken, doubt) VALUES (?, ?, ?, ?, ?)"
            # Two equal lines for one file are no contradiction.
            " ON CONFLICT (key) DO UPDATE SET doubt = 'listed_twice' WHERE"
            " (patient, provider, taken, doubt) IS NOT"
            " (excluded.patient, excluded.provider, excluded.taken, excluded.doubt)",
            (values for row in rows if (values := self._values(row)) is not None),
        )
        self._connection.execute("COMMIT")

    def _values(self, row: dict[str, Any]) -> tuple[str | None, ...] | None:
        path = _text(row["path"])
        if not path:
            return None  # an empty line
        patient, provider = _text(row["patient"]), _text(row.get("provider"))
        unclear = patient is None or row.get("unclear") or _UNREADABLE in row.values()
        taken: datetime | None = None
        if row.get("taken") not in (None, ""):
            taken = self._time(row["taken"])
            unclear = unclear or taken is None
        try:
            key = _key(path)
            key.encode()
        except UnicodeEncodeError:
            return None
        return key, patient, provider, taken.isoformat() if taken else None, _UNCLEAR if unclear else None

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


def _csv_rows(path: Path, rule: ManifestRule) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            marked = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        encoding = rule.encoding or ("utf-16" if marked else "utf-8-sig")
        with path.open(encoding=encoding, newline="") as file:
            delimiter = _delimiter(file.readline(), rule)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(reader, [])
            pick = _picker(header, rule)
            for cells in reader:
                # With more or fewer cells than the header, it is unknown which cell belongs to which column.
                yield {**pick(cells), "unclear": len(cells) != len(header)}
    except OSError as exc:
        raise ConfigError("the list can't be opened", errno=exc.errno) from None
    except LookupError:
        raise ConfigError("encoding= is not a known encoding") from None
    except UnicodeError:
        raise ConfigError("the list is not UTF-8: give its encoding=, such as cp1252") from None
    except csv.Error:
        raise ConfigError("the list is not CSV: a quotation mark or a line end is wrong") from None


def _delimiter(header: str, rule: ManifestRule) -> str:
    """Find the delimiter that splits the header into names with all wanted columns among them."""
    for delimiter in _DELIMITERS:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if set(rule.columns.values()) <= set(names):
            return delimiter
    return _DELIMITERS[0]


def _excel_rows(path: Path, rule: ManifestRule) -> Iterator[dict[str, Any]]:
    with needing("Excel lists need openpyxl", "openpyxl", install="intouch-import[migration]"):
        import openpyxl
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except OSError as exc:
        raise ConfigError("the list can't be opened", errno=exc.errno) from None
    except Exception:  # noqa: BLE001  # openpyxl raises many kinds for a broken zip, XML or style
        raise ConfigError("the list is not an Excel workbook") from None
    try:
        if rule.sheet is not None and rule.sheet not in book.sheetnames:
            raise ConfigError("the workbook has no sheet with that name")
        sheet = book[rule.sheet] if rule.sheet is not None else book.worksheets[0]
        sheet.reset_dimensions()  # some programs write wrong dimensions, and lines would be left out
        rows = sheet.iter_rows()
        pick = _picker([cell.value for cell in next(rows, ())], rule)
        for cells in rows:
            yield {
                field: _excel_time(cell, book.epoch) if field == "taken" else _excel_text(cell)
                for field, cell in pick(cells).items()
            }
    finally:
        book.close()


def _excel_text(cell: Any) -> Any:
    """Return an id or a path. Excel stores ``00042`` as the number 42 with a format of five zeros."""
    value = getattr(cell, "value", None)
    if value is None or isinstance(value, str):
        return _UNREADABLE if getattr(cell, "data_type", "") == "e" else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return _UNREADABLE
    form = str(getattr(cell, "number_format", "General"))
    digits = str(int(value))
    return digits.zfill(len(form)) if _ZEROS.fullmatch(form) else digits


def _excel_time(cell: Any, epoch: Any) -> Any:
    value = getattr(cell, "value", None)
    if isinstance(value, datetime):
        # Excel stores a date without a time as midnight; the format tells the two apart.
        form = str(getattr(cell, "number_format", "")).lower()
        return value if "h" in form or value.time() != datetime.min.time() else value.date()
    if isinstance(value, bool):
        return _UNREADABLE
    if isinstance(value, (int, float)) and int(value) in _EXCEL_DAYS:
        from openpyxl.utils.datetime import from_excel

        found = from_excel(value, epoch)
        whole_day = isinstance(found, datetime) and value == int(value)
        return found.date() if whole_day else found
    return value if value is None or isinstance(value, (str, date)) else _UNREADABLE
