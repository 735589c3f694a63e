"""What a plan keeps on disk: ``plan.json``, its rows in Parquet, and what became of each file.

``plan.json`` is written last: without it there is no plan.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import import disk
from intouch_import.errors import ConfigError, without_path
from intouch_import.extras import needing
from intouch_import.migration.rows import PlanRow
from intouch_import.model import Action, Destination, Reason, State, TakenFrom, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from intouch_import.model import SourceFile
    from intouch_import.reports import Outcome

__all__ = [
    "FILE_NAME",
    "OVERRIDES",
    "PARTITION_ROWS",
    "Columns",
    "Header",
    "PartFile",
    "Result",
    "arrow",
    "decision_of",
    "read_header",
    "read_results",
    "read_rows",
    "result_of",
    "rows_of",
    "schema",
    "settled",
    "write_header",
    "write_json",
    "write_results",
]

FILE_NAME: Final = "plan.json"
OVERRIDES: Final = "overrides.jsonl"

_COLUMNS: Final = (
    "folder", "name", "raw", "size_bytes", "modified_ns", "version", "vendor_hash", "handle", "patient",
    "provider", "taken_at", "taken_from", "destination", "verdict", "reason", "import_id",
)  # fmt: skip


def arrow() -> Any:
    """Import pyarrow.

    Raises:
        MissingExtraError: It is not installed.
    """
    modules = ("pyarrow", "pyarrow.lib", "pyarrow.parquet")
    with needing("migrations need pyarrow", *modules, install="intouch-import[migration]"):
        import pyarrow as pa
        import pyarrow.parquet
    return pa


def schema() -> Any:
    """The columns of a plan's Parquet files."""
    pa = arrow()
    text, whole = pa.string(), pa.int64()
    kinds = {
        "raw": pa.binary(),
        "size_bytes": whole,
        "modified_ns": whole,
        "taken_at": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, kinds.get(name, text)) for name in _COLUMNS])


@attrs.frozen(kw_only=True)
class PartFile:
    """One of the files that a plan's rows are in.

    Args:
        name: File name.
        rows: How many.
        sha256: Of the file.
    """

    name: str
    rows: int
    sha256: str


class Columns:
    """Rows on their way into a file, column by column: a third of the time that rows as values would take."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        self._add = [self.lists[name].append for name in _COLUMNS]

    def __len__(self) -> int:
        return len(self.lists["name"])

    def add(self, folder: str, file: SourceFile, *rest: Any) -> None:
        """Add a row.

        Args:
            folder: Where it is.
            file: What it is.
            rest: From ``patient`` to ``import_id``, in the order of the columns.
        """
        name, raw = file.name, None
        if not (name.isascii() and folder.isascii()):
            folder, name, raw = _as_text(folder, name)
        for add, value in zip(
            self._add,
            (
                folder, name, raw, file.size_bytes, file.modified_ns, file.version, file.vendor_hash,
                file.handle, *rest,
            ),
            strict=True,
        ):  # fmt: skip
            add(value)


def _as_text(folder: str, name: str) -> tuple[str, str, bytes | None]:
    """Fit for Parquet, whose text is UTF-8; and what it was, where it is not."""
    try:
        f"{folder}{name}".encode()
    except UnicodeEncodeError:
        raw = f"{folder}\0{name}".encode("utf-8", "surrogatepass")
        return printable(folder), printable(name), raw
    return folder, name, None


def read_rows(
    folder: Path,
    parts: Sequence[PartFile],
    *,
    start: int = 0,
    stop: int | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Record batches of a plan, with the number of the first row of each.

    Args:
        folder: Where the files are.
        parts: The files.
        start: The first row.
        stop: The row to stop before; None reads to the end.
        columns: Which columns; by default all.
    """
    pa = arrow()
    first = 0
    for part in parts:
        last = first + part.rows
        if last > start and (stop is None or first < stop):
            try:
                yield from _of_part(pa, folder / part.name, first, start, stop, columns)
            except (OSError, pa.ArrowException):
                raise ConfigError("the plan's rows can't be read: a file is missing or damaged") from None
        first = last


def _of_part(
    pa: Any, path: Path, first: int, start: int, stop: int | None, columns: Sequence[str] | None
) -> Iterator[tuple[int, Any]]:
    with pa.parquet.ParquetFile(path) as file:
        at = first
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            begin, end = max(start, at), at + rows if stop is None else min(stop, at + rows)
            if begin < end:
                table = file.read_row_group(group, columns=columns, use_threads=False)
                yield begin, table.slice(begin - at, end - begin)
            at += rows


def rows_of(numbers: Iterable[int], table: Any) -> Iterator[PlanRow]:
    """The rows of a table, whose numbers are given, as values."""
    lists = [table.column(name).to_pylist() for name in _COLUMNS]
    for number, values in zip(numbers, zip(*lists, strict=True), strict=False):
        (folder, name, raw, size_bytes, modified_ns, version, vendor_hash, handle, patient, provider,
        taken_at,
         taken_from, destination, verdict, reason, import_id) = values  # fmt: skip
        if raw is not None:
            folder, _, name = raw.decode("utf-8", "surrogatepass").partition("\0")
        yield PlanRow(
            number=number,
            folder=folder,
            name=name,
            size_bytes=size_bytes,
            modified_ns=modified_ns,
            version=version,
            vendor_hash=vendor_hash,
            handle=handle,
            patient=patient,
            provider=provider,
            taken_at=taken_at,
            taken_from=TakenFrom(taken_from) if taken_from is not None else None,
            destination=Destination(destination),
            verdict=Action(verdict),
            reason=Reason(reason),
            import_id=import_id,
        )


_FORM: Final = 1


@attrs.frozen(kw_only=True)
class Header:
    """What a plan is of.

    Args:
        id: Its id: a digest over all that it holds.
        created_at: When it was made, aware.
        mode: ``"move"``, or ``"copy"``: the archive stays as it is.
        location, source_id, label: Of the archive.
        archive: How it is opened again, where that takes no secret; None if the caller must open it.
        provider: Whose archive it is.
        rule: As `Rule.to_dict`.
        dates: Who may say when a file was taken, in the order of trust.
        zone: The practice's time zone, by name.
        allow_inactive: Whether inactive patients get their files without a person.
        parts: Where the rows are.
        size_bytes: Bytes of all files.
        folders_unreadable: Folders that could not be listed; what is in them is not in the plan.
    """

    id: str
    created_at: datetime
    mode: str
    location: str
    source_id: str
    label: str = attrs.field(repr=False)
    archive: dict[str, Any] | None = attrs.field(default=None, repr=False)
    provider: str | None = None
    rule: dict[str, Any] = attrs.field(repr=False)
    dates: tuple[str, ...]
    zone: str
    allow_inactive: bool = False
    parts: tuple[PartFile, ...] = ()
    size_bytes: int = 0
    folders_unreadable: int = 0

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)


def read_header(folder: Path) -> Header:
    """The header of a plan.

    Raises:
        ConfigError: There is no finished plan, or one of another version of this library.
    """
    try:
        values = json.loads((folder / FILE_NAME).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError("there is no finished plan in that folder") from None
    except OSError as exc:
        raise ConfigError("the plan can't be read", errno=exc.errno) from without_path(exc)
    except ValueError:
        raise ConfigError("the plan can't be read: plan.json is damaged") from None
    try:
        if values.pop("form") != _FORM:
            raise ConfigError("the plan was made by another version of this library")
        values["created_at"] = datetime.fromisoformat(values["created_at"])
        values["parts"] = tuple(PartFile(**part) for part in values["parts"])
        values["dates"] = tuple(values["dates"])
        return Header(**values)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ConfigError("the plan can't be read: plan.json is damaged") from None


def write_header(folder: Path, header: Header) -> None:
    """Make the rows in a folder a plan."""
    values = {"form": _FORM, **attrs.asdict(header), "created_at": header.created_at.isoformat()}
    write_json(folder / FILE_NAME, values)


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, so that it is there whole or not at all."""
    with disk.temporary_beside(path.parent) as (file, temporary):
        file.write(json.dumps(value, ensure_ascii=True, indent=1).encode())
        disk.sync_file(file.fileno())
        file.close()
        temporary.replace(path)


PARTITION_ROWS: Final = 200
"""Rows of a partition: as many files as one transaction takes. A divisor of the rows in a group."""

_FOLDER: Final = "outcomes"


@attrs.frozen(kw_only=True)
class Result:
    """What became of one file.

    Args:
        number: Of its row.
        state, reason: As in `Outcome`.
        decision: Whose it was to be; another decision later makes it a file to be tried again.
        sha256: Digest of its bytes, if they were read.
        attachment_id: The repository's id, once it is stored.
        retry_helps: Whether the same again later may succeed.
        duplicate_of: As in `Outcome`.
    """

    number: int
    state: State = attrs.field(converter=State)
    reason: Reason = attrs.field(converter=Reason)
    decision: str = attrs.field(repr=False)
    sha256: str | None = None
    attachment_id: str | None = None
    retry_helps: bool = False
    duplicate_of: str | None = None


def decision_of(row: PlanRow) -> str:
    """What was decided about a row, to tell whether something else was since."""
    return f"{row.verdict.value}:{row.reason is Reason.CHOSEN}:{row.patient}"


def result_of(row: PlanRow, outcome: Outcome) -> Result:
    """The result of a row's outcome."""
    return Result(
        number=row.number,
        state=outcome.state,
        reason=outcome.reason,
        decision=decision_of(row),
        sha256=outcome.sha256,
        attachment_id=outcome.attachment_id,
        retry_helps=outcome.retry_helps,
        duplicate_of=outcome.duplicate_of,
    )


def settled(row: PlanRow, result: Result | None) -> bool:
    """Whether there is nothing to do for a row any more, short of another decision."""
    if result is None:
        return False
    if result.state is State.IMPORTED:
        return True
    if result.state in (State.STORED, State.FAILED) or result.retry_helps:
        return False
    return result.decision == decision_of(row)


def read_results(directory: Path, partition: int) -> dict[int, Result]:
    """The results of a partition, by row; none if it was not begun."""
    try:
        lines = _path(directory, partition).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    results = (Result(**json.loads(line)) for line in lines)
    return {result.number: result for result in results}


def write_results(directory: Path, partition: int, results: Iterable[Result]) -> None:
    """Keep the results of a partition: all of them at once, in the place of those before."""
    path = _path(directory, partition)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    text = "".join(f"{json.dumps(_values(result))}\n" for result in results)
    with disk.temporary_beside(path.parent) as (file, temporary):
        file.write(text.encode())
        # Not synced: what is lost with the power is found again in the records, by its import id.
        file.close()
        temporary.replace(path)


def _values(result: Result) -> dict[str, Any]:
    return attrs.asdict(result)


def _path(directory: Path, partition: int) -> Path:
    return directory / _FOLDER / f"{partition:07}.jsonl"
