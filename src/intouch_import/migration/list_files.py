"""Read the lines of CSV files and Excel sheets. A number that may stand for another text can't be read."""

from __future__ import annotations

import contextlib
import csv
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from intouch_import.errors import ConfigError
from intouch_import.extras import needing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["UNREADABLE", "csv_lines", "excel_lines", "excel_text", "excel_time", "is_excel"]

UNREADABLE: Final = object()
"""Stands in for a cell that can't be read."""

_DELIMITERS: Final = (",", ";", "\t", "|")
_ZEROS: Final = re.compile(r"0+")
# Formats that show a number with other characters, so the number alone may be another id.
_OTHER_TEXT: Final = re.compile(r'["\\]|E[+-]|[0#][-/ ][0#]')
_LARGEST: Final = 10**15
"""Excel stores only the first 15 digits of a number."""

_EXCEL_DAYS: Final = range(20_000, 80_000)
"""Numbers that are dates if they are in a date column: 1954 to 2119."""


def is_excel(path: Path) -> bool:
    """Return whether a list is an Excel workbook, by its extension."""
    return path.suffix.lower() in {".xlsx", ".xlsm"}


@contextlib.contextmanager
def csv_lines(
    path: Path, *, encoding: str | None, fits: Callable[[list[str]], bool]
) -> Iterator[Iterator[list[str]]]:
    """Open a CSV file, and yield its lines. ``fits`` decides if a delimiter splits the first line rightly."""
    try:
        with path.open("rb") as file:
            marked = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        encoding = encoding or ("utf-16" if marked else "utf-8-sig")
        with path.open(encoding=encoding, newline="") as file:
            delimiter = _delimiter(file.readline(), fits)
            file.seek(0)
            yield csv.reader(file, delimiter=delimiter, strict=True)
    except OSError as exc:
        raise ConfigError("the list can't be opened", errno=exc.errno) from None
    except LookupError:
        raise ConfigError("encoding= is not a known encoding") from None
    except UnicodeError:
        raise ConfigError("the list is not UTF-8: give its encoding=, such as cp1252") from None
    except csv.Error:
        raise ConfigError("the list is not CSV: a quotation mark or a line end is wrong") from None


def _delimiter(header: str, fits: Callable[[list[str]], bool]) -> str:
    for delimiter in _DELIMITERS:
        if fits([name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]):
            return delimiter
    return _DELIMITERS[0]


@contextlib.contextmanager
def excel_lines(path: Path, *, sheet: str | None) -> Iterator[tuple[Iterator[Sequence[Any]], Any]]:
    """Open an Excel sheet, and yield its lines and the day from which the workbook counts."""
    with needing("Excel lists need openpyxl", "openpyxl", install="intouch-import[migration]"):
        import openpyxl
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except OSError as exc:
        raise ConfigError("the list can't be opened", errno=exc.errno) from None
    except Exception:  # noqa: BLE001  # openpyxl raises many kinds for a broken zip, XML or style
        raise ConfigError("the list is not an Excel workbook") from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise ConfigError("the workbook has no sheet with that name")
        chosen = book[sheet] if sheet is not None else book.worksheets[0]
        chosen.reset_dimensions()  # some programs write wrong dimensions, and lines would be left out
        yield chosen.iter_rows(), book.epoch
    finally:
        book.close()


def excel_text(cell: Any) -> Any:
    """Return an id or a path. Excel stores ``00042`` as the number 42 with a format of five zeros."""
    value = getattr(cell, "value", None)
    if value is None or isinstance(value, str):
        return UNREADABLE if getattr(cell, "data_type", "") == "e" else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return UNREADABLE
    form = str(getattr(cell, "number_format", "General"))
    if _OTHER_TEXT.search(form) or abs(value) >= _LARGEST:
        return UNREADABLE
    digits = str(int(value))
    return digits.zfill(len(form)) if _ZEROS.fullmatch(form) else digits


def excel_time(cell: Any, epoch: Any) -> Any:
    """Return the time in a cell; a date without a time as a date."""
    value = getattr(cell, "value", None)
    if isinstance(value, datetime):
        # Excel stores a date without a time as midnight; the format tells the two apart.
        form = str(getattr(cell, "number_format", "")).lower()
        return value if "h" in form or value.time() != datetime.min.time() else value.date()
    if isinstance(value, bool):
        return UNREADABLE
    if isinstance(value, (int, float)) and int(value) in _EXCEL_DAYS:
        from openpyxl.utils.datetime import from_excel

        found = from_excel(value, epoch)
        whole_day = isinstance(found, datetime) and value == int(value)
        return found.date() if whole_day else found
    return value if value is None or isinstance(value, (str, date)) else UNREADABLE
