"""A plan's rows as they stand after all decisions: counted, filtered, sampled, and as tables.

It says of columns what `Overrides.apply` and `Where` say of a row, in a fraction of the time: rows become
values only where somebody wants to see them.
"""

from __future__ import annotations

import functools
import importlib
import random
import re
from collections import Counter
from fnmatch import translate
from html import escape
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import InTouchImportError
from intouch_import.extras import needing
from intouch_import.migration.plan_file import arrow, read_rows, schema
from intouch_import.migration.rows import COLUMNS, OVER, SIZES
from intouch_import.model import Action, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
    from pathlib import Path

    from intouch_import.migration.plan_file import PartFile
    from intouch_import.migration.rows import Override, Overrides, PlanRow, Where
    from intouch_import.migration.walking import Folders

__all__ = [
    "NOBODY",
    "Sample",
    "Standing",
    "Survey",
    "draw",
    "frame",
    "lazy_frame",
    "lazy_frame_of_files",
    "places",
    "standing",
    "summary_html",
    "survey",
    "thumbnail_of",
]

NOBODY: Final = "nobody"
_FOR_DECISIONS: Final = frozenset({"import_id", "verdict"})


class Standing:
    """Some rows of a plan, one after the other.

    Args:
        first: The number of the first.
        table: As they were planned: the columns that are asked for, at least.
        decisions: What was decided about them, in its order.
    """

    def __init__(self, first: int, table: Any, decisions: Sequence[tuple[Where, Override]]) -> None:
        arrow()
        from pyarrow import compute

        self._pc: Any = compute
        self.first = first
        self.stop = first + len(table)
        self._planned = {name: table.column(name).combine_chunks() for name in table.column_names}
        self._now = dict(self._planned)
        self._path: Any = None
        for where, override in decisions:
            self._decide(where, override)

    def __len__(self) -> int:
        return self.stop - self.first

    def kinds(self, by: str) -> Any:
        """Of each row, what `Plan.counts` counts."""
        pc = self._pc
        column = self._now[COLUMNS[by][0]]
        match by:
            case "year":
                # The zone is taken off first: Windows has no list of zones to look UTC up in.
                years = pc.year(column.cast(arrow().timestamp("us")))
                return pc.fill_null(years.cast("string"), "unknown")
            case "size":
                larger = (pc.greater(column, most).cast("int64") for most, _ in SIZES)
                classes = functools.reduce(pc.add, larger)
                return arrow().array([*(name for _, name in SIZES), OVER]).take(classes)
        return column

    def sizes(self) -> Any:
        """Their sizes in bytes."""
        return self._now["size_bytes"]

    def meets(self, where: Where) -> Any:
        """Of each row, whether it meets the conditions."""
        found = arrow().array([True] * len(self)) if not where.values else None
        for name, wanted in where.values.items():
            meets = self._meets(name, wanted)
            found = meets if found is None else self._pc.and_(found, meets)
        return found

    # --- inside

    def _meets(self, name: str, wanted: list[Any]) -> Any:
        pa = arrow()
        if name == "number":
            numbers = set(wanted)
            return pa.array([number in numbers for number in range(self.first, self.stop)])
        if name in {"folder", "name", "path"}:
            return self._fits(name, wanted)
        values = pa.array([one for one in wanted if one is None or _is_text(one)], pa.string())
        return self._pc.is_in(self.kinds(name), value_set=values)

    def _fits(self, name: str, patterns: list[str]) -> Any:
        """Whether folder, name or path fits one of the shell patterns."""
        raw, texts = self._now["raw"], self._text(name)
        if raw.null_count == len(raw) and not any("[" in one or not _is_text(one) for one in patterns):
            regex = "|".join(map(_regex, patterns))
            return self._pc.match_substring_regex(texts, rf"(?s)\A(?:{regex})\z" if patterns else r"\z\A.")
        # Names that are no UTF-8, and classes of characters: only Python reads these as `Where` does.
        fits = re.compile("|".join(map(translate, patterns)) or r"(?!)").match
        names = [
            text if value is None else _unprinted(value, name)
            for text, value in zip(texts.to_pylist(), raw.to_pylist(), strict=True)
        ]
        return arrow().array([fits(text) is not None for text in names])

    def _text(self, name: str) -> Any:
        """Folder, name or path, as Parquet has them."""
        if name != "path":
            return self._now[name]
        if self._path is None:
            folder, base = self._now["folder"], self._now["name"]
            both = self._pc.binary_join_element_wise(folder, base, "/")
            self._path = self._pc.if_else(self._pc.equal(folder, ""), base, both)
        return self._path

    def _decide(self, where: Where, override: Override) -> None:
        """Apply one decision to the columns that are at hand; see `Overrides.apply`."""
        pc = self._pc
        about = pc.and_(self.meets(where), pc.not_equal(self._planned["import_id"], ""))
        if override.restore:
            changes: dict[str, Any] = self._planned
        elif override.leave_out:
            changes = {"verdict": Action.IGNORE.value, "reason": Reason.LEFT_OUT.value}
        else:
            about = pc.and_(about, pc.not_equal(self._planned["verdict"], Action.FINISH.value))
            changes = {}
            if override.patient is not None:
                changes = {
                    "patient": override.patient,
                    "verdict": Action.IMPORT.value,
                    "reason": Reason.CHOSEN.value,
                }
            if override.provider is not None:
                changes["provider"] = override.provider
            if override.taken_at is not None and "taken_at" in self._now:
                changes["taken_at"] = arrow().scalar(override.taken_at, self._now["taken_at"].type)
        for name in changes.keys() & self._now.keys():
            if name not in {"folder", "name", "raw"}:
                self._now[name] = pc.if_else(about, changes[name], self._now[name])


def _is_text(value: object) -> bool:
    """Whether Arrow can hold it as text."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _regex(pattern: str) -> str:
    """A shell pattern without classes, for Arrow."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def _unprinted(raw: bytes, name: str) -> str:
    """Folder, name or path of a row whose names are no UTF-8."""
    folder, _, base = raw.decode("utf-8", "surrogatepass").partition("\0")
    return {"folder": folder, "name": base, "path": f"{folder}/{base}" if folder else base}[name]


def standing(
    directory: Path, parts: Sequence[PartFile], overrides: Overrides, *, where: Where, names: Iterable[str]
) -> Iterator[Standing]:
    """The rows of a plan, some thousand at a time; those that can't meet conditions may be left out.

    Args:
        directory: Where the plan is.
        parts: The files of its rows.
        overrides: What was decided.
        where: The conditions.
        names: What else will be asked for: names as in `Where`.
    """
    known = len(overrides)  # for what is decided from now on, there may not be the columns
    asked = {*names, *where.values, *overrides.names}
    columns = {column for name in asked for column in COLUMNS[name]} or {"verdict"}
    if len(overrides):
        columns |= _FOR_DECISIONS
    numbers = where.values.get("number")
    start, stop = (min(numbers), max(numbers) + 1) if numbers else (0, None)
    for first, table in read_rows(directory, parts, start=start, stop=stop, columns=sorted(columns)):
        yield Standing(first, table, overrides.about(first, first + len(table), known=known))


@attrs.frozen(kw_only=True)
class Survey:
    """What there is of a plan's rows.

    Args:
        total: How many rows.
        size_bytes: Bytes of their files.
        counts: How many of each kind, most first, by what was counted.
    """

    total: int
    size_bytes: int
    counts: dict[str, dict[str, int]]


def survey(
    rows: Iterable[Standing],
    where: Where,
    by: Sequence[str],
    *,
    numbers: MutableSequence[int] | None,
    cancelled: Callable[[], bool] | None,
) -> Survey:
    """Go through rows once. The arguments are those of `Plan.survey`; ``numbers`` takes those of the rows."""
    total = size_bytes = 0
    counted: dict[str, Counter[str]] = {name: Counter() for name in by}
    for some in rows:
        if cancelled is not None and cancelled():
            break
        meets = some.meets(where) if where.values else None
        sizes = some.sizes() if meets is None else some.sizes().filter(meets)
        total += len(sizes)
        size_bytes += sum(sizes.to_pylist())
        for name, counter in counted.items():
            kinds = some.kinds(name) if meets is None else some.kinds(name).filter(meets)
            for entry in kinds.value_counts().to_pylist():
                counter[entry["values"] or NOBODY] += entry["counts"]
        if numbers is not None and meets is not None:
            numbers.extend(some.first + at for at in places(meets))
    return Survey(
        total=total,
        size_bytes=size_bytes,
        counts={name: dict(counter.most_common()) for name, counter in counted.items()},
    )


def places(meets: Any) -> list[int]:
    """Where it holds, from 0."""
    from pyarrow import compute

    found: list[int] = compute.indices_nonzero(meets).to_pylist()
    return found


@attrs.frozen(kw_only=True)
class Sample:
    """A row to look at.

    Args:
        row: Which.
        thumbnail: A small JPEG, or None: it is no picture, or can't be read now.
    """

    row: PlanRow
    thumbnail: bytes | None = attrs.field(default=None, repr=False)


def draw(numbers: Iterable[int], n: int, *, seed: str) -> list[int]:
    """So many of the numbers, each as likely as any other, ascending; with one seed always the same."""
    chance = random.Random(seed)  # noqa: S311  # a sample, not a secret
    drawn: list[int] = []
    for seen, number in enumerate(numbers):
        if seen < n:
            drawn.append(number)
        elif (at := chance.randint(0, seen)) < n:
            drawn[at] = number
    return sorted(drawn)


def thumbnail_of(folders: Folders, row: PlanRow, *, px: int) -> bytes | None:
    """A small JPEG of a row's file; None if it is no picture, or can't be read now.

    Args:
        folders: What opens the row's folder.
        row: Which.
        px: Its longer side, pixels.
    """
    from intouch_import.media import thumbnails

    if row.verdict is Action.IGNORE or not row.import_id:
        return None
    try:
        with folders.open(row.folder).fetch(row.file) as content, content.open() as stream:
            return thumbnails.thumbnail_of(stream, px=px, size_bytes=content.size_bytes)
    except (InTouchImportError, OSError):
        return None


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


def summary_html(files: int, *, mode: str, verdicts: Mapping[str, int], reasons: Mapping[str, int]) -> str:
    """Counts as HTML.

    Args:
        files: How many files there are.
        mode: ``"move"`` or ``"copy"``.
        verdicts: How many of them by verdict.
        reasons: How many of them by reason.
    """
    texts = {Reason(reason).text: number for reason, number in reasons.items()}
    return (
        f"<div><p><strong>Plan</strong> ({escape(mode)}): {files:,} file{'' if files == 1 else 's'}.</p>"
        f"{_table('verdict', verdicts)}{_table('reason', texts)}"
        "<p><small>Counts only, since a notebook is saved with what it shows. "
        "<code>intouch_import.jupyter.PlanWidget(plan, records)</code> shows the files.</small></p></div>"
    )


def _table(head: str, counts: Mapping[str, int]) -> str:
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{number:,}</td></tr>" for name, number in counts.items())
    return f"<table><thead><tr><th>{head}</th><th>files</th></tr></thead><tbody>{lines}</tbody></table>"
