"""Back up records and ledger while they are in use."""

from __future__ import annotations

import contextlib
import errno
import json
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from intouch_import import disk
from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.database import copy_sqlite
from intouch_import.errors import ConfigError, InTouchImportError, RepositoryError, StorageFull, without_path
from intouch_import.ledger import Ledger, ledger_for
from intouch_import.model import Progress, Stage
from intouch_import.records.backup_files import (
    ABOUT,
    FILES,
    LEDGER,
    RECORDS,
    SUMS,
    BackupFault,
    BackupReport,
    FaultKind,
    copied_ledger,
    ledger_ahead,
    path_of,
    stored_in,
)
from intouch_import.records.missing import missing_from
from intouch_import.repositories.stored_bytes import StoredBytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import BinaryIO

    from intouch_import.ledger import LedgerEntry
    from intouch_import.repositories.sql import SqlRepository

__all__ = ["back_up"]

_TRIES: Final = 5
_TELL_EVERY: Final = 100
_CHUNK_BYTES: Final = 1024 * 1024


def back_up(
    repository: SqlRepository,
    folder: str | os.PathLike[str],
    *,
    ledger: Ledger | str | os.PathLike[str] | None = None,
    with_files: bool = True,
    on_progress: Callable[[Progress], object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> BackupReport:
    """Write a complete, consistent copy of records, ledger and stored files into a new folder.

    Programs may use the records meanwhile. The databases are copied with SQLite's own backup function: the
    copy has everything that was committed. Only the owner can read the backup.

    Args:
        repository: The records, in SQLite.
        folder: A folder that is empty or does not exist.
        ledger: As for `Inbox`; by default the ledger of the records.
        with_files: Whether to copy the stored files. If not, the backup has only the list of them, for files
            that another program backs up.
        on_progress: Called in this thread with the progress.
        clock: The clock; a test passes its own.

    Returns:
        What was copied. ``faults`` has the stored files that are damaged, and the files that the ledger has
        and the records do not.

    Raises:
        ConfigError: Records or ledger are not SQLite files, or the folder is not empty.
        StorageFull: The disk of the backup is full. The backup is not complete.
        RepositoryError: The records can't be read, or the backup can't be written.
    """
    book = ledger_for(ledger, records=repository)
    try:
        backup = _Backup(repository, book, _new_folder(folder), on_progress)
        with _writing():
            return backup.make(clock.now(), with_files=with_files)
    finally:
        if book is not ledger:
            book.close()


class _Backup:
    """One run of `back_up`."""

    def __init__(
        self,
        repository: SqlRepository,
        ledger: Ledger,
        folder: Path,
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._folder = folder
        self._tell = on_progress or (lambda _: None)
        self._copied: dict[str, StoredBytes] = {}
        self._size_bytes = 0

    def make(self, made_at: datetime, *, with_files: bool) -> BackupReport:
        """Copy databases and files, and write the list of them."""
        for _ in range(_TRIES):
            stored, ahead = self._copy_databases()
            lost = missing_from(self._repository, self._ledger, ahead)
            left = not with_files or self._copy_files(stored)
            # Otherwise, somebody has undone an import meanwhile: the copies are not of one moment.
            if left and len(lost) == len(ahead):
                break
        for import_id in self._copied.keys() - stored.keys():
            (self._folder / path_of(import_id)).unlink(missing_ok=True)
        with copied_ledger(self._folder) as copy:
            entries, tail = copy.tail()
        sums = "".join(f"{digest}  {path}\n" for path, digest in self._digests(stored))
        self._write(SUMS, sums)
        about = {
            "format": 1,
            "made_at": made_at.isoformat(),
            "version": version("intouch-import"),
            "with_files": with_files,
            "ledger": {"entries": entries, "digest": tail},
            "sums": sha256(sums.encode()).hexdigest(),
        }
        self._write(ABOUT, json.dumps(about, indent=2) + "\n")
        damaged = [
            BackupFault(FaultKind(found.value), path_of(import_id))
            for import_id, found in self._copied.items()
            if found is not StoredBytes.INTACT and import_id in stored
        ]
        return BackupReport(
            made_at=made_at,
            files=len(stored),
            size_bytes=self._size_bytes,
            ledger_entries=entries,
            faults=(*damaged, *(BackupFault(FaultKind.LEDGER_AHEAD, entry.import_id) for entry in ahead)),
        )

    def _copy_databases(self) -> tuple[dict[str, str], list[LedgerEntry]]:
        """Copy the databases.

        Returns:
            The digests of the files in the records, by import id; and the files that only the ledger has.
        """
        # The ledger first: the records then have every file that was stored before.
        if not self._ledger.is_in(self._repository.engine):
            self._ledger.copy_to(self._folder / LEDGER)
        copy_sqlite(self._repository.engine, self._folder / RECORDS)
        stored = stored_in(self._folder / RECORDS)
        with copied_ledger(self._folder) as ledger:
            return stored, ledger_ahead(ledger, stored)

    def _copy_files(self, stored: dict[str, str]) -> bool:
        """Copy the files that are not copied yet. Return whether they are all still in the records."""
        new = [import_id for import_id in stored if import_id not in self._copied]
        for name in (FILES, *sorted({f"{FILES}/{import_id[:2]}" for import_id in new})):
            (self._folder / name).mkdir(mode=0o700, exist_ok=True)
        for number, import_id in enumerate(new, 1):
            self._copied[import_id] = self._copy_file(import_id, stored[import_id])
            if number % _TELL_EVERY == 0 or number == len(new):
                done = Progress(
                    stage=Stage.BACKING_UP, done=number, total=len(new), done_bytes=self._size_bytes
                )
                self._tell(done)
        disk.sync_many([path for one in new if (path := self._folder / path_of(one)).exists()])
        damaged = [one for one in new if self._copied[one] is not StoredBytes.INTACT]
        return self._repository.find_attachment(damaged).keys() >= set(damaged)

    def _copy_file(self, import_id: str, digest: str) -> StoredBytes:
        path = self._folder / path_of(import_id)
        try:
            stream = self._repository.open_attachment(import_id)
        except RepositoryError as exc:
            return StoredBytes.MISSING if exc.errno == errno.ENOENT else StoredBytes.UNREADABLE
        disk.create_private(path)
        try:
            with stream, path.open("r+b", buffering=0) as target:
                copied = disk.copy_and_digest(_chunks(stream), target)
        except _UnreadableError:
            path.unlink()
            return StoredBytes.UNREADABLE
        self._size_bytes += copied.size_bytes
        return StoredBytes.INTACT if copied.sha256 == digest else StoredBytes.ALTERED

    def _digests(self, stored: dict[str, str]) -> Iterator[tuple[str, str]]:
        """Yield path and digest of each file of the backup, as the records have them."""
        for name in (RECORDS, LEDGER):
            path = self._folder / name
            if path.exists():
                with path.open("rb", buffering=0) as file:
                    yield name, disk.digest_stream(file).sha256
        for import_id in sorted(stored):
            yield path_of(import_id), stored[import_id]

    def _write(self, name: str, text: str) -> None:
        """Write a file of the backup durably, under its name only when it is complete."""
        with disk.temporary_beside(self._folder) as (file, temporary):
            file.write(text.encode())
            disk.sync_file(file.fileno())
            file.close()  # Windows can't rename an open file
            disk.publish(temporary, self._folder / name)
        disk.sync_folder(self._folder)


def _new_folder(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ConfigError("a backup needs a folder of its own, which is empty or does not exist")
    except OSError as exc:
        raise ConfigError("the folder of the backup can't be used", errno=exc.errno) from without_path(exc)
    return path


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except InTouchImportError:
        raise
    except OSError as exc:
        kind = StorageFull if exc.errno in disk.NO_ROOM else RepositoryError
        raise kind("the backup could not be written", errno=exc.errno) from without_path(exc)


class _UnreadableError(Exception):
    """A stored file can't be read to its end."""


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(_CHUNK_BYTES)
        except (RepositoryError, OSError):
            # An error of the stored file must not look like one of the backup, such as a full disk.
            raise _UnreadableError from None
        if not chunk:
            return
        yield chunk
