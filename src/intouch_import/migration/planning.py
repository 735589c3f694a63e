"""`plan`: make a plan of an archive and a rule, streamed to disk."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import import disk
from intouch_import.clock import SYSTEM_CLOCK, Clock, zone_of
from intouch_import.errors import ConfigError, InTouchImportError, instead_of, without_path
from intouch_import.exclusions import Exclusions
from intouch_import.ledger import ledger_for
from intouch_import.media.clocks import CameraClock
from intouch_import.migration.classify import Classifier
from intouch_import.migration.companions import SIDECARS, Grouping
from intouch_import.migration.lists import ListIndex
from intouch_import.migration.plan_file import (
    PLAN,
    Header,
    PartFile,
    StoredPlan,
    arrow,
    arrow_table,
    schema,
    write_header,
)
from intouch_import.migration.plans import Plan
from intouch_import.migration.rule_results import DATE_ORDER, date_order
from intouch_import.migration.rules import Rule
from intouch_import.migration.run import progress_callback
from intouch_import.migration.walking import Archive, Folders, archive_of, walk
from intouch_import.model import Progress, Stage
from intouch_import.repositories.base import PatientRepository
from intouch_import.sources.base import Source

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from intouch_import.ledger import Ledger
    from intouch_import.migration.limits import OnProgress
    from intouch_import.migration.walking import AnyArchive, FoundFiles

__all__ = ["plan"]

log = logging.getLogger(__name__)

_MODES: Final = ("move", "copy")
_FILES_PER_BATCH: Final = 4000
_ROWS_PER_GROUP: Final = 4000
_ROWS_PER_PART: Final = 250_000
_LIST_DATABASE: Final = "list.sqlite"
# Files that an interrupted planning may have left; they are overwritten.
_LEFTOVERS: Final = ("rows-*.parquet", _LIST_DATABASE)


def plan(
    source: AnyArchive,
    rule: Rule,
    repository: PatientRepository,
    *,
    to: str | os.PathLike[str],
    mode: str = "move",
    dates: Iterable[str] = DATE_ORDER,
    clocks: Iterable[CameraClock] = (),
    exclude: Exclusions | Iterable[str] | None = None,
    zone: str | tzinfo | None = None,
    sidecars: str = "keep",
    allow_inactive: bool = False,
    ledger: Ledger | str | os.PathLike[str] | None = None,
    on_progress: OnProgress = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Plan:
    """List every file of an archive, and plan what to do with it. No file is copied or moved.

    A file is read only if something is stored under its import id that does not agree with the rule.

    Args:
        source: The archive: a path, a URL, a source from `open_source`, or an `Archive` with the options that
            its location needs. Its sub-folders are listed; links are not followed.
        rule: Names the patient of each file.
        repository: The patient records: the patients and providers must be in them.
        to: A new or empty folder for the plan. The plan names patients and files: keep it where the records
            are kept.
        mode: ``"move"``: files are removed from the archive once they are stored and verified. ``"copy"``:
            the archive stays as it is.
        dates: Where times are taken from, in the order of trust: ``name``, ``exif``, ``list``, ``folder``.
        clocks: Cameras whose clocks were wrong: their times are corrected when the plan is run. Of several
            that fit a photo, the first one counts.
        exclude: Patterns of files and folders that are left out, besides those that are excluded by default;
            or `Exclusions`, which can also replace the defaults. By default as ``source`` was opened.
        zone: The practice's time zone; by default this machine's.
        sidecars: What to do with files that only add to a photo or movie (``.aae``, ``.xmp``, ``.json``,
            ``.thm``, ``.lrv``). ``"keep"``: they go into the same record with it. ``"leave"``: they are left
            out, and counted.
        allow_inactive: Import files of inactive patients, too, without asking a person.
        ledger: As for `Inbox`.
        on_progress: Called with `Progress` after every batch; ``"tqdm"`` shows a bar.
        clock: The clock; a test passes its own.

    Returns:
        The plan, with one verdict and one reason for every file.

    Raises:
        ConfigError: An argument is wrong, or the list of a `ManifestRule` can't be read.
        SourceError: The archive can't be listed. A sub-folder that can't be listed is a row of the plan.
        RepositoryError: The records can't be read.
    """
    pa = arrow()
    if not isinstance(repository, PatientRepository):
        raise ConfigError("plan takes the patient records, opened; only run takes a callable that opens them")
    if not isinstance(rule, Rule):
        raise ConfigError("plan takes a rule, such as FolderRule(pattern)")
    if mode not in _MODES:
        raise ConfigError('mode is "move" or "copy"')
    if sidecars not in SIDECARS:
        raise ConfigError('sidecars is "keep" or "leave"')
    order, corrected = date_order(dates), tuple(clocks)
    if not all(isinstance(clock, CameraClock) for clock in corrected):
        raise ConfigError("clocks= takes several CameraClock, such as read_clocks returns")
    time_zone = zone_of(zone)
    opener = archive_of(source)
    folder = _folder_for(to)
    book = ledger_for(ledger, records=repository)
    tell = progress_callback(on_progress) if on_progress is not None else None
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(contextlib.closing(opener()))
        if exclude is None:
            exclude = (source if isinstance(source, Source) else root).exclusions
        exclusions = exclude if isinstance(exclude, Exclusions) else Exclusions(exclude)
        folders = stack.enter_context(contextlib.closing(Folders(root, exclusions)))
        lists, rule_values = rule.lists, rule.to_dict()
        index = None
        if lists:
            index = ListIndex(lists[0], folder / _LIST_DATABASE, zone=time_zone)
            stack.callback(index.close)
        classifier = Classifier(
            rule=rule,
            dates=order,
            zone=time_zone,
            provider=root.provider,
            allow_inactive=allow_inactive,
            repository=repository,
            ledger=book,
            index=index,
            folders=folders,
            sidecars=sidecars,
        )
        grouping = Grouping(time_zone, exclusions, sidecars)
        rows = _Rows(classifier, clock, tell)
        parts = _write_rows(folder, pa, rows.read(walk(folders, grouping)))
        kept = opener.kept if isinstance(opener, Archive) else None
        values: dict[str, Any] = {
            "created_at": clock.now(),
            "mode": mode,
            "location": root.location,
            "source_id": root.source_id,
            "label": root.label,
            "archive": {**kept, "source_id": root.source_id} if kept is not None else None,
            "provider": root.provider,
            "rule": rule_values,
            "dates": tuple(map(str, order)),
            "clocks": tuple(clock.to_dict() for clock in corrected),
            "exclude": exclusions.to_dict(),
            "zone": getattr(time_zone, "key", None) or str(time_zone),
            "sidecars": sidecars,
            "allow_inactive": allow_inactive,
            "parts": tuple(parts),
            "size_bytes": rows.size_bytes,
        }
    header = Header(id="", **values).with_id()
    write_header(folder, header)
    log.info("an archive was planned", extra={"source_id": header.source_id, "rows": rows.count})
    return Plan(StoredPlan(folder, header), archive=opener, repository=repository, ledger=book)


def _folder_for(to: str | os.PathLike[str]) -> Path:
    folder = Path(to).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        entries = list(folder.iterdir())
    except OSError as exc:
        raise ConfigError("the folder for the plan can't be used", errno=exc.errno) from without_path(exc)
    if any(entry.name == PLAN for entry in entries):
        raise ConfigError("that folder already has a plan: open it, or choose another folder")
    if any(not any(entry.match(pattern) for pattern in _LEFTOVERS) for entry in entries):
        raise ConfigError("the folder for the plan is not empty")
    return folder


@attrs.define
class _Rows:
    """Makes the rows of a plan, and counts them and their bytes."""

    classifier: Classifier
    clock: Clock
    tell: Callable[[Progress], None] | None
    count: int = 0
    size_bytes: int = 0

    def read(self, found: Iterator[FoundFiles]) -> Iterator[tuple[Any, ...]]:
        for batch in _batches(found):
            try:
                rows = self.classifier.classify(batch, now=self.clock.now())
            except InTouchImportError:
                raise
            except Exception as exc:  # noqa: BLE001  # a host's repository may raise anything
                raise instead_of(exc, "the records can't be asked") from None
            self.count += len(rows)
            for one in batch:
                self.size_bytes += sum(file.size_bytes for file in one.files)
            self._report()
            yield from rows
        for path, reason in self.classifier.index.unseen() if self.classifier.index is not None else ():
            self.count += 1
            yield self.classifier.missing(path, reason)
        self._report(total=self.count)

    def _report(self, *, total: int | None = None) -> None:
        if self.tell is not None:
            self.tell(
                Progress(stage=Stage.PLANNING, done=self.count, total=total, done_bytes=self.size_bytes)
            )


def _batches(found: Iterator[FoundFiles]) -> Iterator[list[FoundFiles]]:
    """Yield some thousand files at a time; the last batch may be empty."""
    batch: list[FoundFiles] = []
    count = 0
    for one in found:
        batch.append(one)
        count += len(one.files)
        if count >= _FILES_PER_BATCH:
            yield batch
            batch, count = [], 0
    yield batch


def _write_rows(folder: Path, pa: Any, rows: Iterator[tuple[Any, ...]]) -> list[PartFile]:
    """Write rows into Parquet files, a group at a time, so that memory stays small."""
    parts: list[PartFile] = []
    group = list(itertools.islice(rows, _ROWS_PER_GROUP))
    while group:
        path, count = folder / f"rows-{len(parts):05}.parquet", 0
        disk.create_private(path)
        with pa.parquet.ParquetWriter(path, schema(pa), compression="zstd") as writer:
            while group and count < _ROWS_PER_PART:
                writer.write_table(arrow_table(pa, group), row_group_size=_ROWS_PER_GROUP)
                count += len(group)
                group = list(itertools.islice(rows, _ROWS_PER_GROUP))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        parts.append(PartFile(name=path.name, rows=count, sha256=digest))
    return parts
