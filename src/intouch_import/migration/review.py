"""Review a plan: count, filter and sample its rows with all overrides, and show them as tables.

`RowColumns` does to whole columns what `Overrides.apply` and `Where.matches` do to single rows, much faster.
Rows become `PlanRow` values only where somebody wants to see them.
"""

from __future__ import annotations

import functools
import importlib
import random
import re
from array import array
from collections import Counter
from fnmatch import translate
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from intouch_import.errors import InTouchImportError
from intouch_import.extras import needing
from intouch_import.migration.plan_file import PARTITION_ROWS, arrow, read_rows, read_tables, rows_of, schema
from intouch_import.migration.rows import CONDITIONS, SIZES, Where
from intouch_import.model import Action, CompanionRole, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
    from pathlib import Path

    from intouch_import.migration.plan_file import StoredPlan
    from intouch_import.migration.rows import Override, PlanRow
    from intouch_import.migration.walking import Folders

__all__ = [
    "NOBODY",
    "RowCounts",
    "Sample",
    "count_rows",
    "count_to_do",
    "draw_numbers",
    "find_changed",
    "find_rows",
    "lazy_frame",
    "lazy_frame_of_files",
    "pandas_frame",
    "summary_html",
    "thumbnail_of",
    "with_companions",
]

NOBODY: Final = "nobody"
"""Stands in for the patient in counts of rows without one."""

_TO_DO: Final = Where({"verdict": [Action.IMPORT.value, Action.FINISH.value]})
_FOR_OVERRIDES: Final = frozenset({"import_id", "verdict"})


# --- rows as columns


class RowColumns:
    """Consecutive rows of a plan, as Arrow columns, with overrides applied."""

    def __init__(self, first: int, table: Any, overrides: Sequence[Override]) -> None:
        import pyarrow as pa
        import pyarrow.compute

        self._pa = pa
        self._pc = pa.compute
        self.first = first
        self.stop = first + len(table)
        self._planned = {name: table.column(name).combine_chunks() for name in table.column_names}
        self._now = dict(self._planned)
        self._path: Any = None
        for override in overrides:
            self._apply(override)

    def kinds(self, by: str, *, planned: bool = False) -> Any:
        """Return what `Plan.counts` counts by, for each row."""
        pc = self._pc
        column = (self._planned if planned else self._now)[CONDITIONS[by][0]]
        match by:
            case "year":
                # Drop the zone first: on Windows, Arrow has no zone database to look up UTC in.
                years = pc.year(column.cast(self._pa.timestamp("us")))
                return pc.fill_null(years.cast("string"), "unknown")
            case "size":
                larger = (pc.greater(column, largest).cast("int64") for largest, _ in SIZES[:-1])
                classes = functools.reduce(pc.add, larger)
                names = self._pa.array([name for _, name in SIZES])
                return names.take(classes)
        return column

    def sizes(self) -> Any:
        """Return the sizes of the files in bytes."""
        return self._now["size_bytes"]

    def matches(self, where: Where, *, planned: bool = False) -> Any:
        """Return whether each row meets all conditions, now or as it was planned."""
        found = None if where.values else self._pa.array([True] * (self.stop - self.first))
        for name, wanted in where.values.items():
            meets = self._meets(where, name, wanted, planned=planned)
            found = meets if found is None else self._pc.and_(found, meets)
        return found

    def numbers(self, matches: Any) -> list[int]:
        """Return the numbers of the rows for which ``matches`` is True."""
        return [self.first + at for at in self._pc.indices_nonzero(matches).to_pylist()]

    def _meets(self, where: Where, name: str, wanted: list[Any], *, planned: bool) -> Any:
        if name == "number":
            return self._pa.array([number in where.numbers for number in range(self.first, self.stop)])
        if name in {"folder", "name", "path"}:
            return self._fits(name, wanted)
        values = [one for one in wanted if one is None or _is_text(one)]
        return self._pc.is_in(
            self.kinds(name, planned=planned), value_set=self._pa.array(values, self._pa.string())
        )

    def _fits(self, name: str, patterns: list[str]) -> Any:
        """Return whether the folder, name or path of each row fits one of the shell patterns."""
        raw, texts = self._now["raw"], self._text(name)
        if raw.null_count == len(raw) and not any("[" in one or not _is_text(one) for one in patterns):
            regex = "|".join(re.escape(one).replace(r"\*", ".*").replace(r"\?", ".") for one in patterns)
            return self._pc.match_substring_regex(texts, rf"(?s)\A(?:{regex})\z" if patterns else r"\z\A.")
        # Arrow can't match invalid Unicode, and reads character classes in another way than Python.
        fits = re.compile("|".join(map(translate, patterns)) or r"(?!)").match
        names = [
            text if value is None else _decoded(value, name)
            for text, value in zip(texts.to_pylist(), raw.to_pylist(), strict=True)
        ]
        return self._pa.array([fits(text) is not None for text in names])

    def _text(self, name: str) -> Any:
        if name != "path":
            return self._now[name]
        if self._path is None:
            folder, base = self._now["folder"], self._now["name"]
            both = self._pc.binary_join_element_wise(folder, base, "/")
            self._path = self._pc.if_else(self._pc.equal(folder, ""), base, both)
        return self._path

    def changed_by(self, override: Override) -> Any:
        """Return whether an override can change each row; see `Override.can_change`."""
        pc = self._pc
        chosen = self.matches(override.where, planned=True)
        if override.restore or override.leave_out:
            return chosen
        chosen = pc.and_(chosen, pc.not_equal(self._planned["import_id"], ""))
        return pc.and_(chosen, pc.not_equal(self._planned["verdict"], Action.FINISH.value))

    def _apply(self, override: Override) -> None:
        """Apply an override to the columns; see `Override.apply`."""
        pc = self._pc
        chosen = self.changed_by(override)
        changes = self._planned if override.restore else override.changes
        for name in changes.keys() & self._now.keys() - {"folder", "name", "raw"}:
            now, value = self._now[name], changes[name]
            if not override.restore:
                value = self._pa.scalar(value, now.type)
            self._now[name] = pc.if_else(chosen, value, now)


def _is_text(value: object) -> bool:
    """Return whether Arrow can store a value as text: without halves of surrogate pairs."""
    return isinstance(value, str) and (
        value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    )


def _decoded(raw: bytes, name: str) -> str:
    """Return the folder, name or path of a row whose names are not valid Unicode."""
    folder, _, base = raw.decode("utf-8", "surrogatepass").partition("\0")
    return {"folder": folder, "name": base, "path": f"{folder}/{base}" if folder else base}[name]


def _columns(plan: StoredPlan, where: Where, *, names: Iterable[str] = ()) -> Iterator[RowColumns]:
    """Read the columns for conditions and ``names``, some thousand rows at a time, with overrides.

    Rows that can't meet the conditions may be left out.
    """
    # Overrides that are added while rows are read may need columns that were not read: leave them out.
    known = len(plan.overrides.all)
    needed = {*names, *where.values}
    for override in plan.overrides.all:
        needed.update(override.where.values)
    columns = {column for name in needed for column in CONDITIONS[name]} or {"verdict"}
    if known:
        columns |= _FOR_OVERRIDES
    numbers = where.values.get("number")
    start, stop = (min(numbers), max(numbers) + 1) if numbers else (0, None)
    for first, table in read_tables(
        plan.directory, plan.header.parts, start=start, stop=stop, columns=sorted(columns)
    ):
        about = plan.overrides.between(first, first + len(table), known=known) if known else ()
        yield RowColumns(first, table, about)


# --- counts and filters


@attrs.frozen(kw_only=True)
class RowCounts:
    """Counts of a plan's rows.

    Args:
        total: Number of rows.
        size_bytes: Size of their files.
        counts: By what was counted, then by kind: the number of rows, the most frequent kind first.
    """

    total: int
    size_bytes: int
    counts: dict[str, dict[str, int]]


def count_rows(
    plan: StoredPlan,
    where: Where,
    *,
    by: Sequence[str] = (),
    numbers: MutableSequence[int] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RowCounts:
    """Count rows in one pass. The arguments are those of `Plan.survey`."""
    total = size_bytes = 0
    counted: dict[str, Counter[str]] = {name: Counter() for name in by}
    for rows in _columns(plan, where, names=("size", *by)):
        if cancelled is not None and cancelled():
            break
        matches = rows.matches(where) if where.values else None
        sizes = rows.sizes() if matches is None else rows.sizes().filter(matches)
        total += len(sizes)
        size_bytes += sum(sizes.to_pylist())
        for name, counter in counted.items():
            kinds = rows.kinds(name) if matches is None else rows.kinds(name).filter(matches)
            for entry in kinds.value_counts().to_pylist():
                counter[entry["values"] or NOBODY] += entry["counts"]
        if numbers is not None and matches is not None:
            numbers.extend(rows.numbers(matches))
    counts: dict[str, dict[str, int]] = {}
    for name, counter in counted.items():
        counts[name] = dict(counter.most_common())
    return RowCounts(total=total, size_bytes=size_bytes, counts=counts)


def count_to_do(plan: StoredPlan) -> tuple[int, int]:
    """Return the number of files that a plan imports, and their size in bytes."""
    found = count_rows(plan, _TO_DO)
    return found.total, found.size_bytes


def find_changed(plan: StoredPlan, override: Override) -> MutableSequence[int]:
    """Return the numbers of the rows that an override can change."""
    found = array("q")
    for rows in _columns(plan, override.where, names=_FOR_OVERRIDES):
        found.extend(rows.numbers(rows.changed_by(override)))
    return found


def with_companions(plan: StoredPlan, override: Override, numbers: Sequence[int]) -> Sequence[int]:
    """Return the rows that an override is for: parts follow their owner, and a sidecar never goes alone.

    Args:
        plan: The plan.
        override: The override.
        numbers: The rows that meet its conditions, in order.
    """
    import pyarrow.compute as pc

    if not numbers:
        return numbers
    chosen, changed = set(numbers), set(numbers)
    alone = override.leave_out or override.restore
    columns = ["behind", "role", *_FOR_OVERRIDES]
    stop = numbers[-1] + PARTITION_ROWS
    for first, table in read_tables(
        plan.directory, plan.header.parts, start=numbers[0], stop=stop, columns=columns
    ):
        parts = pc.indices_nonzero(pc.greater(table.column("behind"), 0))
        for at, row in zip(parts.to_pylist(), table.take(parts).to_pylist(), strict=True):
            number = first + at
            can_change = alone or (row["import_id"] and row["verdict"] != Action.FINISH.value)
            if number - row["behind"] in chosen and can_change:
                changed.add(number)
            elif number - row["behind"] not in chosen and CompanionRole(row["role"]).is_sidecar and not alone:
                changed.discard(number)
    return numbers if changed == chosen else sorted(changed)


def find_rows(
    plan: StoredPlan,
    where: Where,
    *,
    limit: int | None = None,
    offset: int = 0,
) -> Iterator[PlanRow]:
    """Yield rows with all overrides, in the order of the plan. The arguments are those of `Plan.rows`."""
    if limit is not None and limit <= 0:
        return
    stop = None if limit is None else offset + limit
    planned = (
        _matching(plan, where, offset, stop)
        if where.values
        else read_rows(plan.directory, plan.header.parts, start=offset, stop=stop)
    )
    for row in planned:
        now = plan.overrides.apply(row)
        if where.matches(now):  # an override may have been added while the rows were read
            yield now


def _matching(plan: StoredPlan, where: Where, start: int, stop: int | None) -> Iterator[PlanRow]:
    """Yield rows as planned: of those that meet the conditions, the ones from start to stop."""
    seen = 0
    for rows in _columns(plan, where):
        found = rows.numbers(rows.matches(where))
        begin, end = max(0, start - seen), len(found) if stop is None else min(len(found), stop - seen)
        seen += len(found)
        if begin < end:
            wanted = found[begin:end]
            for _, table in read_tables(plan.directory, plan.header.parts, start=rows.first, stop=rows.stop):
                yield from rows_of(wanted, table.take([number - rows.first for number in wanted]))
        if stop is not None and seen >= stop:
            return


# --- samples


class Sample(NamedTuple):
    """A row, and a small JPEG: None if the file is no picture, or can't be read now."""

    row: PlanRow
    thumbnail: bytes | None = None

    def __repr__(self) -> str:
        return f"Sample(row={self.row!r})"


def draw_numbers(plan: StoredPlan, where: Where, *, n: int) -> list[int]:
    """Draw the numbers of ``n`` rows at random. A plan always gets the same ones."""
    chance = random.Random(plan.header.id)  # noqa: S311  # a sample, not a secret
    drawn: list[int] = []
    seen = 0
    for rows in _columns(plan, where):
        for number in rows.numbers(rows.matches(where)):
            if seen < n:
                drawn.append(number)
            elif (place := chance.randint(0, seen)) < n:
                drawn[place] = number
            seen += 1
    return sorted(drawn)


def thumbnail_of(folders: Folders, row: PlanRow, *, px: int) -> bytes | None:
    """Make a small JPEG of a row's file; None if the file is no picture, or can't be read now."""
    from intouch_import.media import thumbnails

    if row.verdict is Action.IGNORE or not row.import_id:
        return None
    try:
        with folders.open(row.folder).fetch(row.file) as content, content.open() as stream:
            return thumbnails.thumbnail_of(stream, px=px, size_bytes=content.size_bytes)
    except (InTouchImportError, OSError):
        return None


# --- tables


def pandas_frame(rows: Iterable[PlanRow]) -> Any:
    """Return rows as a DataFrame of pandas."""
    with needing("to_pandas needs pandas", "pandas", install="pandas"):
        importlib.import_module("pandas")  # used by Arrow
    return _table_of(rows).to_pandas()


def lazy_frame(rows: Iterable[PlanRow]) -> Any:
    """Return rows as a lazy frame of polars."""
    return _polars().from_arrow(_table_of(rows)).lazy()


def lazy_frame_of_files(paths: Sequence[Path]) -> Any:
    """Return the files of a plan's rows as a lazy frame of polars, which is read when it is collected."""
    return _polars().scan_parquet(paths).with_row_index("number").drop("raw")


def _polars() -> Any:
    with needing("to_polars needs polars", "polars", install="polars"):
        return importlib.import_module("polars")


def _table_of(rows: Iterable[PlanRow]) -> Any:
    """Return rows as an Arrow table: the columns of the plan's files, after ``number``."""
    pa = arrow()
    kept = [field for field in schema(pa) if field.name != "raw"]
    columns = pa.schema([pa.field("number", pa.int64()), *kept])
    values = [
        {name: getattr(row, name) for name in columns.names}
        | {"folder": _escaped(row.folder), "name": _escaped(row.name)}
        for row in rows
    ]
    return pa.Table.from_pylist(values, schema=columns)


def _escaped(text: str) -> str:
    """Escape invalid Unicode, which Arrow can't store."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


# --- for notebooks


def summary_html(files: int, *, mode: str, verdicts: Mapping[str, int], reasons: Mapping[str, int]) -> str:
    """Show counts of files as HTML. A notebook saves what it shows: so no names, no folders, no pictures."""
    texts = {Reason(reason).text: number for reason, number in reasons.items()}
    return (
        f"<div><p><strong>Plan</strong> ({escape(mode)}): {files:,} file{'' if files == 1 else 's'}.</p>"
        f"{_html_table('verdict', verdicts)}{_html_table('reason', texts)}"
        "<p><small>Only counts, because a notebook saves what it shows. "
        "<code>intouch_import.jupyter.PlanWidget(plan, records)</code> shows the files.</small></p></div>"
    )


def _html_table(head: str, counts: Mapping[str, int]) -> str:
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{number:,}</td></tr>" for name, number in counts.items())
    return f"<table><thead><tr><th>{head}</th><th>files</th></tr></thead><tbody>{lines}</tbody></table>"
