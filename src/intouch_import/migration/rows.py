"""`PlanRow`, one file of a plan, and how rows are kept in Parquet."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import ConfigError
from intouch_import.extras import needing
from intouch_import.model import Action, Destination, EntryKind, Reason, SourceFile, TakenFrom, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

__all__ = ["ROWS_IN_GROUP", "PartFile", "PlanRow", "RowWriter", "arrow", "read_rows"]

ROWS_IN_GROUP: Final = 4000
_ROWS_IN_PART: Final = 250_000
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


@attrs.frozen(kw_only=True)
class PlanRow:
    """One file of a plan: what it is, whose it is, and what is to become of it.

    Args:
        number: Its place in the plan, from 0.
        folder: Folders from the top of the archive, joined by slashes; empty for the top.
        name: Base name.
        size_bytes: Size in bytes.
        version: The version that the plan is pinned to: if the file changes, it is left alone.
        patient, provider: Ids, as far as they are known.
        taken_at: When it was taken as the plan has it, aware, UTC; what the camera wrote may go before it.
        taken_from: Who says so.
        destination: Images or notes.
        verdict: What is to be done: ``IMPORT``, ``FINISH`` (it is in the record already), ``WAIT``,
            ``ARRIVING`` (it is empty) or ``IGNORE``.
        reason: Why.
        import_id: Its import id.
        modified_ns, vendor_hash, handle: As in `SourceFile`.
    """

    number: int
    folder: str = attrs.field(repr=False)
    name: str = attrs.field(repr=False)
    size_bytes: int
    version: str
    patient: str | None = attrs.field(default=None, repr=False)
    provider: str | None = None
    taken_at: datetime | None = None
    taken_from: TakenFrom | None = None
    destination: Destination
    verdict: Action
    reason: Reason
    import_id: str
    modified_ns: int | None = None
    vendor_hash: str | None = None
    handle: str | None = None

    @property
    def path(self) -> str:
        """From the top of the archive, with slashes."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def file(self) -> SourceFile:
        """The file as it was listed."""
        return SourceFile(
            name=self.name,
            kind=EntryKind.FILE,
            size_bytes=self.size_bytes,
            modified_ns=self.modified_ns,
            version=self.version,
            vendor_hash=self.vendor_hash,
            handle=self.handle,
        )

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON values, names made printable."""
        return {
            "number": self.number,
            "path": printable(self.path),
            "size_bytes": self.size_bytes,
            "version": self.version,
            "patient": self.patient,
            "provider": self.provider,
            "taken_at": self.taken_at.isoformat() if self.taken_at is not None else None,
            "taken_from": self.taken_from.value if self.taken_from is not None else None,
            "destination": self.destination.value,
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "text": self.reason.text,
            "import_id": self.import_id,
        }


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


class RowWriter:
    """Writes rows into Parquet files, so many at a time as memory should hold.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        self._pa = arrow()
        self._folder = folder
        self._schema = schema()
        self._pending = Columns()
        self._writer: Any = None
        self._in_part = 0
        self.parts: list[PartFile] = []
        self.rows = 0

    @property
    def pending(self) -> Columns:
        """Where rows are added; `flush_full` then takes whole groups of them."""
        return self._pending

    def flush_full(self) -> None:
        """Write the groups that are full."""
        while len(self._pending) >= ROWS_IN_GROUP:
            full, rest = Columns(), Columns()
            for name, values in self._pending.lists.items():
                full.lists[name].extend(values[:ROWS_IN_GROUP])
                rest.lists[name].extend(values[ROWS_IN_GROUP:])
            self._pending = rest
            self._write(full)

    def close(self) -> list[PartFile]:
        """Write what is left. Returns the files."""
        self.flush_full()
        if len(self._pending):
            self._write(self._pending)
            self._pending = Columns()
        self._end_part()
        return self.parts

    def abandon(self) -> None:
        """Close the file that is open; what was written stays."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, columns: Columns) -> None:
        if self._writer is None:
            self._writer = self._pa.parquet.ParquetWriter(
                self._folder / _part_name(len(self.parts)), self._schema, compression="zstd"
            )
        table = self._pa.Table.from_pydict(columns.lists, schema=self._schema)
        self._writer.write_table(table, row_group_size=ROWS_IN_GROUP)
        self._in_part += len(table)
        self.rows += len(table)
        if self._in_part >= _ROWS_IN_PART:
            self._end_part()

    def _end_part(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        name = _part_name(len(self.parts))
        with (self._folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.parts.append(PartFile(name=name, rows=self._in_part, sha256=digest))
        self._in_part = 0


def _part_name(number: int) -> str:
    return f"rows-{number:05}.parquet"


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
