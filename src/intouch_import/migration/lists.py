"""Lists: CSV files and Excel sheets that say whose each file of an archive is.

A list is read once, into a small database beside the plan, so that one of five million lines needs no more
memory than one of ten. Nothing in it is guessed: a cell that can't be read makes its line unclear, and two
lines for one file that differ make the file wait.
"""

from __future__ import annotations

import csv
import re
import sqlite3
import unicodedata
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intouch_import.closing import Closable
from intouch_import.errors import ConfigError
from intouch_import.extras import needing
from intouch_import.migration.rule_results import NOON, Listed
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from intouch_import.migration.rules import ManifestRule

__all__ = ["ManifestIndex", "list_key"]

_EXCEL: Final = {".xlsx", ".xlsm"}
_DELIMITERS: Final = (",", ";", "\t", "|")
_LOOKED_UP_AT_ONCE: Final = 500
_ZEROS: Final = re.compile(r"0+")
_EXCEL_DAYS: Final = range(20_000, 80_000)  # 1954 to 2119: what a number in a date column may mean
_UNCLEAR: Final = Reason.LISTED_UNCLEAR.value


def list_key(path: str) -> str:
    """A path as lists are searched by: slashes, composed characters, no leading ``./``."""
    key = path.replace("\\", "/").removeprefix("./").strip("/")
    return key if key.isascii() else unicodedata.normalize("NFC", key)


class ManifestIndex(Closable):
    """A list, searchable.

    Args:
        rule: Which list, and what its columns are.
        database: A file to be made.
        zone: The practice's zone, for times with an offset of their own.

    Raises:
        ConfigError: The list can't be opened, is not in the encoding that was told, or lacks a column.
        MissingExtraError: openpyxl is not installed.
    """

    def __init__(self, rule: ManifestRule, database: Path, *, zone: tzinfo) -> None:
        self._rule = rule
        self._zone = zone
        database.unlink(missing_ok=True)
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

    def find(self, paths: Sequence[str]) -> dict[str, Listed]:
        """What the list says of these paths; those that it does not name are left out."""
        keys = {list_key(path): path for path in paths}
        wanted = list(keys)
        found: dict[str, Listed] = {}
        for start in range(0, len(wanted), _LOOKED_UP_AT_ONCE):
            some = wanted[start : start + _LOOKED_UP_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, patient, provider, taken, doubt FROM listed WHERE key IN ({marks})"  # noqa: S608
            for key, patient, provider, taken, doubt in self._connection.execute(query, some):
                found[keys[key]] = Listed(
                    patient=patient,
                    provider=provider,
                    local=datetime.fromisoformat(taken) if taken is not None else None,
                    doubt=Reason(doubt) if doubt is not None else None,
                )
            self._connection.executemany(
                "UPDATE listed SET seen = 1 WHERE key = ?", [(list_key(path),) for path in found]
            )
        return found

    def missing(self) -> Iterator[str]:
        """Paths that the list names and nobody asked for."""
        for (key,) in self._connection.execute("SELECT key FROM listed WHERE seen = 0 ORDER BY key"):
            yield key

    def close(self) -> None:
        """Let go of the database; the file may be deleted then."""
        self._connection.close()

    # --- inside

    def _load(self) -> None:
        path = Path(self._rule.path).expanduser()
        rows = _excel_rows(path, self._rule) if path.suffix.lower() in _EXCEL else _csv_rows(path, self._rule)
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO listed (key, patient, provider, taken, doubt) VALUES (?, ?, ?, ?, ?)"
            # Said twice in the same words, it is said once.
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
        doubt = _UNCLEAR if patient is None or row.get("unclear") or _wrong(row) else None
        taken: datetime | None = None
        if row.get("taken") not in (None, ""):
            taken = self._time(row["taken"])
            doubt = _UNCLEAR if taken is None else doubt
        try:
            key = list_key(path)
            key.encode()
        except UnicodeEncodeError:
            return None
        return key, patient, provider, taken.isoformat() if taken is not None else None, doubt

    def _time(self, value: Any) -> datetime | None:
        """A time as wall time of the practice; None if it can't be told."""
        if isinstance(value, str):
            value = _parsed(value.strip(), self._rule.taken_format)
        if isinstance(value, datetime):
            return (
                value if value.tzinfo is None else value.astimezone(self._zone).replace(tzinfo=None, fold=0)
            )
        if isinstance(value, date):
            return datetime.combine(value, NOON)
        return None


class _Wrong:
    """A cell that says nothing that could be used."""


_WRONG: Final = _Wrong()


def _wrong(row: dict[str, Any]) -> bool:
    return any(isinstance(value, _Wrong) for value in row.values())


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


def _csv_rows(path: Path, rule: ManifestRule) -> Iterator[dict[str, Any]]:
    encoding = rule.encoding or _marked_encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            delimiter = _delimiter(file.readline(), rule)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            pick = _picker(next(reader, []), rule)
            width = len(pick.header)
            for cells in reader:
                row = pick(cells)
                row["unclear"] = len(cells) != width  # which cell is which is not known
                yield row
    except OSError as exc:
        raise ConfigError("the list can't be opened", errno=exc.errno) from None
    except LookupError:
        raise ConfigError("the list's encoding= is not known") from None
    except UnicodeError:
        raise ConfigError("the list is not text in UTF-8: give its encoding=, such as cp1252") from None
    except csv.Error:
        raise ConfigError("the list is not CSV: a quote or a line end is wrong") from None


def _marked_encoding(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as exc:
        raise ConfigError("the list can't be opened", errno=exc.errno) from None
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _delimiter(header: str, rule: ManifestRule) -> str:
    """The one that makes the header hold every column that is wanted."""
    for delimiter in _DELIMITERS:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if set(rule.columns.values()) <= set(names):
            return delimiter
    return _DELIMITERS[0]


class _picker:  # noqa: N801  # called like a function
    """Picks the wanted cells out of a line."""

    def __init__(self, header: Sequence[Any], rule: ManifestRule) -> None:
        self.header = [name.strip() if isinstance(name, str) else name for name in header]
        missing = [name for name in rule.columns.values() if self.header.count(name) != 1]
        if missing:
            # The wanted names stand in the caller's own code; those of the list may be a patient's.
            wanted = ", ".join(repr(name) for name in missing)
            raise ConfigError(f"the list lacks the column {wanted}, or has it twice")
        self._at = {field: self.header.index(name) for field, name in rule.columns.items()}

    def __call__(self, cells: Sequence[Any]) -> dict[str, Any]:
        return {field: cells[at] if at < len(cells) else None for field, at in self._at.items()}


def _excel_rows(path: Path, rule: ManifestRule) -> Iterator[dict[str, Any]]:
    with needing("Excel lists need openpyxl", "openpyxl", install="intouch-import[migration]"):
        import openpyxl
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except OSError as exc:
        raise ConfigError("the list can't be opened", errno=exc.errno) from None
    except Exception:  # noqa: BLE001  # a broken zip, XML, or style: whatever openpyxl raises
        raise ConfigError("the list is not an Excel workbook") from None
    try:
        if rule.sheet is not None and rule.sheet not in book.sheetnames:
            raise ConfigError("the workbook has no sheet of that name")
        sheet = book[rule.sheet] if rule.sheet is not None else book.worksheets[0]
        sheet.reset_dimensions()  # some programs write them wrong, and lines would be left out
        rows = sheet.iter_rows()
        pick = _picker([cell.value for cell in next(rows, ())], rule)
        for cells in rows:
            row = pick(cells)
            yield {
                field: _excel_time(cell, book.epoch) if field == "taken" else _excel_text(cell)
                for field, cell in row.items()
            }
    finally:
        book.close()


def _excel_text(cell: Any) -> Any:
    """An id or a path. Excel keeps ``00042`` as the number 42, and shows it with a form of zeros."""
    value = getattr(cell, "value", None)
    if value is None or isinstance(value, str):
        return _WRONG if getattr(cell, "data_type", "") == "e" else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return _WRONG
    form = str(getattr(cell, "number_format", "General"))
    digits = str(int(value))
    return digits.zfill(len(form)) if _ZEROS.fullmatch(form) else digits


def _excel_time(cell: Any, epoch: Any) -> Any:
    value = getattr(cell, "value", None)
    if isinstance(value, datetime):
        # A cell that shows no time of day holds midnight, which is none.
        form = str(getattr(cell, "number_format", "")).lower()
        return value if "h" in form or value.time() != datetime.min.time() else value.date()
    if isinstance(value, bool):
        return _WRONG
    if isinstance(value, (int, float)) and int(value) in _EXCEL_DAYS:
        from openpyxl.utils.datetime import from_excel

        found = from_excel(value, epoch)
        whole_day = isinstance(found, datetime) and value == int(value)
        return found.date() if whole_day else found
    return value if value is None or isinstance(value, (str, date)) else _WRONG
