"""The rows of a plan as frames of pandas and polars."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intouch_import.extras import needing
from intouch_import.migration.rows import arrow, schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from intouch_import.migration.rows import PlanRow

__all__ = ["frame", "lazy_frame", "lazy_frame_of_files"]


def _table_of(rows: Iterable[PlanRow]) -> Any:
    """Rows as a table of Arrow: the columns of the plan's files, and ``number`` before them."""
    pa = arrow()
    kept = [field for field in schema() if field.name != "raw"]
    columns = pa.schema([pa.field("number", pa.int64()), *kept])
    values = [
        {name: getattr(row, name) for name in columns.names}
        | {"folder": _fit(row.folder), "name": _fit(row.name)}
        for row in rows
    ]
    return pa.Table.from_pylist(values, schema=columns)


def frame(rows: Iterable[PlanRow]) -> Any:
    """Rows as a frame of pandas."""
    with needing("to_pandas needs pandas", "pandas", install="pandas"):
        importlib.import_module("pandas")  # Arrow takes it
    return _table_of(rows).to_pandas()


def lazy_frame(rows: Iterable[PlanRow]) -> Any:
    """Rows as a lazy frame of polars."""
    pl = _polars()
    return pl.from_arrow(_table_of(rows)).lazy()


def lazy_frame_of_files(paths: Sequence[Path]) -> Any:
    """The files of a plan's rows as a lazy frame of polars, read when it is collected."""
    return _polars().scan_parquet(paths).with_row_index("number").drop("raw")


def _polars() -> Any:
    with needing("to_polars needs polars", "polars", install="polars"):
        import polars as pl
    return pl


def _fit(text: str) -> str:
    """For Arrow, whose text is UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
