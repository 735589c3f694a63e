"""The files of a plan: ``plan.json``, and the rows in Parquet.

``plan.json`` is written last: without it there is no plan.
"""

from __future__ import annotations

import functools
import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from intouch_import import disk
from intouch_import.errors import ConfigError, without_path
from intouch_import.extras import needing
from intouch_import.migration.rows import OverridesFile, PlanRow
from intouch_import.model import Action, CompanionRole, Destination, Reason, TakenFrom

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from intouch_import.migration.rows import Overrides

__all__ = [
    "COLUMNS",
    "PARTITION_ROWS",
    "PLAN",
    "SIGNAL",
    "Header",
    "PartFile",
    "StoredPlan",
    "arrow",
    "arrow_table",
    "check_part",
    "read_header",
    "read_partition",
    "read_rows",
    "read_tables",
    "rows_of",
    "schema",
    "write_header",
    "write_json",
    "write_whole",
]

# Names in a plan's folder.
PLAN: Final = "plan.json"
SIGNAL: Final = "signal"
_OVERRIDES: Final = "overrides.jsonl"
_FORM: Final = 5
_DAMAGED: Final = "the plan can't be read: plan.json was changed or is damaged"

PARTITION_ROWS: Final = 200
"""Rows in a partition: as many files as one transaction takes. A divisor of the rows in a row group."""


@attrs.frozen(kw_only=True)
class PartFile:
    """A Parquet file with rows of a plan: its name, the number of rows, and its digest."""

    name: str
    rows: int
    sha256: str


@attrs.frozen(kw_only=True)
class Header:
    """What a plan was made of.

    Args:
        id: Its id: a digest of everything in the plan. The rows are in it by the digests of their files.
        created_at: When it was made, aware.
        mode: ``"move"`` or ``"copy"``.
        location, source_id, label: As in `Source`, of the archive.
        archive: How to open the archive again; None if that takes secrets, so the caller must open it.
        provider: The provider whose archive it is.
        rule: The rule, from `Rule.to_dict`.
        exclude: The names that were left out, from `Exclusions.to_dict`.
        dates: Where times are taken from, in the order of trust.
        clocks: Cameras whose clocks were wrong, from `CameraClock.to_dict`.
        zone: Name of the practice's time zone.
        sidecars: ``"keep"``: sidecars follow the files that they belong to; ``"leave"``: they are left out.
        allow_inactive: Whether files of inactive patients are imported without a person.
        parts: The files with the rows.
        size_bytes: Size of all planned files.
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
    exclude: dict[str, Any] = attrs.field(repr=False)
    dates: tuple[str, ...]
    clocks: tuple[dict[str, Any], ...] = ()
    zone: str
    sidecars: str = "keep"
    allow_inactive: bool = False
    parts: tuple[PartFile, ...] = ()
    size_bytes: int = 0

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(part.rows for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the header as JSON values."""
        return {**attrs.asdict(self), "created_at": self.created_at.isoformat()}

    def with_id(self) -> Self:
        """Return the header with its id."""
        values = {name: value for name, value in self.to_dict().items() if name != "id"}
        text = json.dumps(values, sort_keys=True, ensure_ascii=True)
        return attrs.evolve(self, id=hashlib.sha256(text.encode()).hexdigest()[:32])


@attrs.frozen
class StoredPlan:
    """A plan as it is stored: its folder, its header, and its overrides."""

    directory: Path
    header: Header
    overrides_file: OverridesFile = attrs.field(init=False)

    @overrides_file.default
    def _overrides_file(self) -> OverridesFile:
        return OverridesFile(self.directory / _OVERRIDES, self.header.id)

    @property
    def overrides(self) -> Overrides:
        """The overrides that this process has made or read."""
        return self.overrides_file.known


def read_header(folder: Path) -> Header:
    """Read the header of a plan.

    Raises:
        ConfigError: There is no finished plan, it was changed, or another version of this library made it.
        MissingExtraError: pyarrow is not installed.
    """
    arrow()
    try:
        values = json.loads((folder / PLAN).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError("there is no finished plan in that folder") from None
    except OSError as exc:
        raise ConfigError("the plan can't be read", errno=exc.errno) from without_path(exc)
    except ValueError:
        raise ConfigError(_DAMAGED) from None
    try:
        if values.pop("form") != _FORM:
            raise ConfigError("the plan was made by another version of this library")
        values["created_at"] = datetime.fromisoformat(values["created_at"])
        values["parts"] = tuple(PartFile(**part) for part in values["parts"])
        values["dates"] = tuple(values["dates"])
        values["clocks"] = tuple(values["clocks"])
        header = Header(**values)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ConfigError(_DAMAGED) from None
    if header.with_id() != header:
        raise ConfigError(_DAMAGED)
    return header


def write_header(folder: Path, header: Header) -> None:
    """Write ``plan.json``, which makes the files in a folder a plan."""
    write_json(folder / PLAN, {"form": _FORM, **header.to_dict()})


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that it is there whole or not at all."""
    write_whole(path, json.dumps(value, ensure_ascii=True, indent=1).encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    with disk.temporary_beside(path.parent) as (file, temporary):
        file.write(data)
        disk.sync_file(file.fileno())
        file.close()
        temporary.replace(path)


# --- rows in Parquet


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


COLUMNS: Final = (
    "folder", "name", "raw", "size_bytes", "modified_ns", "version", "vendor_hash", "handle", "patient",
    "provider", "taken_at", "taken_from", "times_differ", "destination", "verdict", "reason", "import_id",
    "role", "behind", "parts",
)  # fmt: skip
"""The columns of the rows. ``raw`` has folder and name as bytes if they are not valid Unicode."""


def schema(pa: Any) -> Any:
    """Return the Parquet schema of the rows."""
    kinds = {
        "raw": pa.binary(),
        "size_bytes": pa.int64(),
        "modified_ns": pa.int64(),
        "behind": pa.int32(),
        "parts": pa.int32(),
        "taken_at": pa.timestamp("us", tz="UTC"),
        "times_differ": pa.bool_(),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])


def arrow_table(pa: Any, rows: Sequence[tuple[Any, ...]]) -> Any:
    """Return rows, tuples of the values of `COLUMNS`, as an Arrow table."""
    return pa.Table.from_pydict(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)), schema=schema(pa))


def check_part(folder: Path, part: PartFile) -> Path:
    """Check the digest of a file with rows, and return its path. A file that did not change is read once.

    Raises:
        ConfigError: It is missing, damaged, or was changed.
    """
    path = folder / part.name
    try:
        found = path.stat()
        digest = _digest_of(path, (found.st_ino, found.st_size, found.st_mtime_ns))
    except OSError as exc:
        raise ConfigError("the plan's rows can't be read", errno=exc.errno) from without_path(exc)
    if digest != part.sha256:
        raise ConfigError("the plan's rows can't be read: a file was changed or is damaged")
    return path


@functools.lru_cache(maxsize=1024)
def _digest_of(path: Path, _version: tuple[int, int, int]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tables(
    folder: Path,
    parts: Sequence[PartFile],
    *,
    start: int = 0,
    stop: int | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Read rows from ``start`` to before ``stop``, as Arrow tables with the numbers of their first rows.

    Raises:
        ConfigError: As for `check_part`.
    """
    import pyarrow as pa
    import pyarrow.parquet

    first = 0
    for part in parts:
        last = first + part.rows
        if last > start and (stop is None or first < stop):
            path = check_part(folder, part)
            try:
                with pa.parquet.ParquetFile(path) as file:
                    at = first
                    for group in range(file.num_row_groups):
                        rows = file.metadata.row_group(group).num_rows
                        begin, end = max(start, at), at + rows if stop is None else min(stop, at + rows)
                        if begin < end:
                            table = file.read_row_group(group, columns=columns, use_threads=False)
                            yield begin, table.slice(begin - at, end - begin)
                        at += rows
            except (OSError, pa.ArrowException):
                raise ConfigError("the plan's rows can't be read: a file is missing or damaged") from None
        first = last


def read_rows(
    folder: Path, parts: Sequence[PartFile], *, start: int = 0, stop: int | None = None
) -> Iterator[PlanRow]:
    """Read rows from ``start`` to before ``stop``, as they were planned."""
    for first, table in read_tables(folder, parts, start=start, stop=stop):
        yield from rows_of(range(first, first + len(table)), table)


def read_partition(folder: Path, parts: Sequence[PartFile], partition: int) -> list[PlanRow]:
    """Read the rows of a partition. The files of a group belong to the partition of its owner."""
    start, stop = partition * PARTITION_ROWS, (partition + 1) * PARTITION_ROWS
    rows = [row for row in read_rows(folder, parts, start=start, stop=stop) if row.owner >= start]
    last = rows[-1] if rows else None
    owner = next((row for row in reversed(rows) if row.number == row.owner), None)
    end = owner.number + owner.parts + 1 if owner is not None and last is not None else stop
    if end > stop:
        rows += read_rows(folder, parts, start=stop, stop=end)
    return rows


def rows_of(numbers: Iterable[int], table: Any) -> Iterator[PlanRow]:
    """Yield the rows of a table with all columns as values."""
    lists = [table.column(name).to_pylist() for name in COLUMNS]
    for number, values in zip(numbers, zip(*lists, strict=True), strict=True):
        row: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
        raw, taken_from = row.pop("raw"), row["taken_from"]
        if raw is not None:
            row["folder"], _, row["name"] = raw.decode("utf-8", "surrogatepass").partition("\0")
        row["taken_from"] = TakenFrom(taken_from) if taken_from is not None else None
        row["destination"] = Destination(row["destination"])
        row["verdict"] = Action(row["verdict"])
        row["reason"] = Reason(row["reason"])
        row["role"] = CompanionRole(row["role"]) if row["role"] is not None else None
        yield PlanRow(number=number, **row)
