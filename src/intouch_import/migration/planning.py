"""`plan`: from an archive and a rule to a plan, streamed to disk."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.errors import ConfigError, InTouchImportError, instead_of, without_path
from intouch_import.ledger import ledger_for
from intouch_import.migration.classify import Gate, Judge
from intouch_import.migration.lists import ManifestIndex
from intouch_import.migration.plan_file import (
    FILE_NAME,
    Columns,
    Header,
    PartFile,
    arrow,
    schema,
    write_header,
)
from intouch_import.migration.plans import Plan
from intouch_import.migration.rule_results import DEFAULT_ORDER, dates_of
from intouch_import.migration.rules import Rule
from intouch_import.migration.run import teller
from intouch_import.migration.walking import Archive, Folders, archive_of, walk
from intouch_import.model import Progress, Reason, Stage
from intouch_import.repositories.base import PatientRepository
from intouch_import.zones import zone_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from intouch_import.ledger import Ledger
    from intouch_import.migration.run import OnProgress
    from intouch_import.migration.walking import Found
    from intouch_import.sources.base import Source

__all__ = ["ROWS_IN_GROUP", "RowWriter", "plan"]

ROWS_IN_GROUP: Final = 4000
_ROWS_IN_PART: Final = 250_000

log = logging.getLogger(__name__)

_MODES: Final = ("move", "copy")
_JUDGED_AT_ONCE: Final = 4000
_LIST_DATABASE: Final = "list.sqlite"
# What an interrupted planning may have left: it is planned over.
_OURS: Final = ("rows-*.parquet", _LIST_DATABASE)


def plan(
    source: str | os.PathLike[str] | Source | Callable[[], Source],
    rule: Rule,
    repository: PatientRepository,
    *,
    to: str | os.PathLike[str],
    mode: str = "move",
    dates: Iterable[str] = DEFAULT_ORDER,
    zone: str | tzinfo | None = None,
    allow_inactive: bool = False,
    ledger: Ledger | str | os.PathLike[str] | None = None,
    on_progress: OnProgress = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Plan:
    """Look at every file of an archive, and plan what is to become of it. Nothing is read, copied or moved.

    Args:
        source: The archive: a path, a URL, a source from `open_source`, or an `Archive` with the options that
            its location needs. Its sub-folders are walked; links are not followed.
        rule: Whose the files are.
        repository: The patient records: patients and providers must exist.
        to: A new or empty folder for the plan. It names patients and files: keep it where the records are
            kept.
        mode: ``"move"``: files leave the archive once they are stored and verified. ``"copy"``: the archive
            stays as it is.
        dates: Who may say when a file was taken, in the order of trust: ``name``, ``exif``, ``list``,
            ``folder``.
        zone: The practice's time zone; by default this machine's.
        allow_inactive: Import files of inactive patients without a person, too.
        ledger: As for `Inbox`.
        on_progress: Called with `Progress` now and then; ``"tqdm"`` shows a bar.
        clock: The clock; a test passes its own.

    Returns:
        The plan, with one verdict and one reason for every file.

    Raises:
        ConfigError: An argument makes no sense, or the list of a `ManifestRule` can't be read.
        SourceError: The archive can't be listed. A sub-folder that can't be is a row of the plan.
        RepositoryError: The records can't be asked.
    """
    arrow()
    if not isinstance(repository, PatientRepository):
        raise ConfigError("plan takes the patient records, opened; only run takes what opens them")
    if not isinstance(rule, Rule):
        raise ConfigError("plan takes a rule, such as FolderRule(pattern)")
    if mode not in _MODES:
        raise ConfigError('mode is "move" or "copy"')
    order = dates_of(dates)
    where = zone_of(zone)
    zone_name = getattr(where, "key", None) or str(where)
    opener = archive_of(source)
    folder = _folder_for(to)
    book = ledger_for(ledger, engine=getattr(repository, "engine", None))
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(opener())
        folders = Folders(root)
        stack.callback(folders.close)
        manifests = rule.manifests
        listed = (
            stack.enter_context(ManifestIndex(manifests[0], folder / _LIST_DATABASE, zone=where))
            if manifests
            else None
        )
        gate = Gate(dates=order, zone=where, provider=root.provider, allow_inactive=allow_inactive)
        judge = Judge(
            rule,
            gate,
            root_id=root.source_id,
            repository=repository,
            ledger=book,
            listed=listed,
            now=clock.now,
        )
        writing = _Writing(folder, judge, listed)
        stack.callback(writing.abandon)
        writing.write(walk(folders), teller(on_progress))
        kept = opener.kept if isinstance(opener, Archive) else None
        values: dict[str, Any] = {
            "created_at": clock.now(),
            "mode": mode,
            "location": root.location,
            "source_id": root.source_id,
            "label": root.label,
            "archive": {**kept, "source_id": root.source_id} if kept is not None else None,
            "provider": root.provider,
            "rule": rule.to_dict(),
            "dates": tuple(one.value for one in order),
            "zone": zone_name,
            "allow_inactive": allow_inactive,
            "parts": tuple(writing.rows.parts),
            "size_bytes": writing.size_bytes,
            "folders_unreadable": writing.folders_unreadable,
        }
    write_header(folder, Header(id=_id_of(values), **values))
    log.info("an archive was planned", extra={"source_id": values["source_id"], "rows": writing.rows.rows})
    return Plan(folder, archive=opener, repository=repository, ledger=book)


class _Writing:
    """Rows on their way from the walk to the disk."""

    def __init__(self, folder: Path, judge: Judge, listed: ManifestIndex | None) -> None:
        self.rows = RowWriter(folder)
        self.size_bytes = 0
        self.folders_unreadable = 0
        self._judge = judge
        self._listed = listed

    def write(self, found: Iterator[Found], tell: Callable[[Progress], None]) -> None:
        waiting: list[Found] = []
        count = 0
        for one in found:
            waiting.append(one)
            count += len(one.files)
            self.size_bytes += sum(file.size_bytes for file in one.files)
            self.folders_unreadable += one.why is Reason.FOLDER_UNREADABLE
            if count >= _JUDGED_AT_ONCE:
                self._take(waiting, tell)
                waiting, count = [], 0
        self._take(waiting, tell)
        for path in self._listed.missing() if self._listed is not None else ():
            self._judge.missing(path, self.rows.pending)
            self.rows.flush_full()
        self.rows.close()
        tell(self._progress(total=self.rows.rows))

    def abandon(self) -> None:
        self.rows.abandon()

    def _take(self, found: list[Found], tell: Callable[[Progress], None]) -> None:
        try:
            self._judge.judge(found, self.rows.pending)
        except InTouchImportError:
            raise
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            raise instead_of(exc, "the records can't be asked") from None
        self.rows.flush_full()
        tell(self._progress(total=None))

    def _progress(self, *, total: int | None) -> Progress:
        done = self.rows.rows + len(self.rows.pending)
        return Progress(stage=Stage.PLANNING, done=done, total=total, done_bytes=self.size_bytes)


def _folder_for(to: str | os.PathLike[str]) -> Path:
    folder = Path(to).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        entries = list(folder.iterdir())
    except OSError as exc:
        raise ConfigError("the folder for the plan can't be used", errno=exc.errno) from without_path(exc)
    if any(entry.name == FILE_NAME for entry in entries):
        raise ConfigError("there is a plan in that folder already: open it, or plan into another folder")
    if any(not any(entry.match(pattern) for pattern in _OURS) for entry in entries):
        raise ConfigError("the folder for the plan is not empty")
    return folder


def _id_of(values: dict[str, Any]) -> str:
    """A digest over everything that the plan says, rows included by their own digests."""
    return hashlib.sha256(repr(sorted(values.items(), key=lambda item: item[0])).encode()).hexdigest()[:32]


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
