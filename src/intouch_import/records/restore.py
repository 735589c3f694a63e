"""Check a backup, or a folder that was restored from one, before it is used."""

from __future__ import annotations

import json
import re
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intouch_import import disk
from intouch_import.errors import ConfigError, InTouchImportError
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

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["check_backup"]

_TELL_EVERY: Final = 100
_LINE: Final = re.compile(rf"([0-9a-f]{{64}})  ({RECORDS}|{LEDGER}|{FILES}/[0-9a-f]{{2}}/[0-9a-f]{{40}})")


def check_backup(
    folder: str | os.PathLike[str],
    *,
    stored_files: str | os.PathLike[str] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> BackupReport:
    """Check that a backup, or a copy of it, is complete, and that nothing in it is damaged.

    Each file in the list must exist with its digest. The records must have no file that is not in the list.
    The ledger must be the one that was backed up, and must have no file that the records do not have.
    Nothing is changed. Check a restored folder before a program uses it: then its databases change.

    Args:
        folder: The backup, or a copy of it.
        stored_files: Where the stored files are, if not in ``clinic-files`` in the folder.
        on_progress: Called in this thread with the progress.

    Raises:
        ConfigError: There is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ConfigError("there is no such folder")
    check = _Check(root, Path(stored_files) if stored_files is not None else root / FILES, on_progress)
    return check.run()


class _Check:
    """One run of `check_backup`."""

    def __init__(
        self, folder: Path, stored_files: Path, on_progress: Callable[[Progress], object] | None
    ) -> None:
        self._folder = folder
        self._stored_files = stored_files
        self._tell = on_progress or (lambda _: None)
        self._faults: list[BackupFault] = []
        self._size_bytes = 0

    def run(self) -> BackupReport:
        """Compare the list with the files, then the databases with the list and with each other."""
        about = self._about()
        listed = self._listed(about)
        for number, (path, digest) in enumerate(listed.items(), 1):
            self._compare(path, digest)
            if number % _TELL_EVERY == 0 or number == len(listed):
                done = Progress(
                    stage=Stage.VERIFYING, done=number, total=len(listed), done_bytes=self._size_bytes
                )
                self._tell(done)
        entries = self._check_databases(about, listed)
        made_at = about.get("made_at")
        return BackupReport(
            made_at=datetime.fromisoformat(made_at) if made_at is not None else None,
            files=sum(path.startswith(FILES) for path in listed),
            size_bytes=self._size_bytes,
            ledger_entries=entries,
            faults=tuple(self._faults),
        )

    def _about(self) -> dict[str, Any]:
        try:
            about = json.loads((self._folder / ABOUT).read_text("utf-8"))
            datetime.fromisoformat(about["made_at"])
            values: dict[str, Any] = {name: about[name] for name in ("made_at", "sums", "ledger")}
        except (OSError, ValueError, KeyError, TypeError):
            self._note(FaultKind.INCOMPLETE, ABOUT)
            return {}
        return values

    def _listed(self, about: dict[str, Any]) -> dict[str, str]:
        """Return the digests of the listed files, by path."""
        try:
            text = (self._folder / SUMS).read_bytes()
        except OSError:
            self._note(FaultKind.INCOMPLETE, SUMS)
            return {}
        lines = [_LINE.fullmatch(line) for line in text.decode("ascii", "replace").splitlines()]
        listed = {line[2]: line[1] for line in lines if line is not None}
        if sha256(text).hexdigest() != about.get("sums") or not all(lines) or RECORDS not in listed:
            self._note(FaultKind.INCOMPLETE, SUMS)
        return listed

    def _compare(self, path: str, digest: str) -> None:
        inside = path.partition(f"{FILES}/")[2]
        try:
            with (self._stored_files / inside if inside else self._folder / path).open(
                "rb", buffering=0
            ) as file:
                found = disk.digest_stream(file)
        except FileNotFoundError:
            self._note(FaultKind.MISSING, path)
            return
        except OSError:
            self._note(FaultKind.UNREADABLE, path)
            return
        self._size_bytes += found.size_bytes if inside else 0
        if found.sha256 != digest:
            self._note(FaultKind.ALTERED, path)

    def _check_databases(self, about: dict[str, Any], listed: dict[str, str]) -> int:
        """Compare records, list and ledger; return the number of entries in the ledger."""
        for name in (f"{RECORDS}-wal", f"{LEDGER}-wal"):
            if (self._folder / name).exists():
                # SQLite would apply the changes of another database to the restored one.
                self._note(FaultKind.UNLISTED, name)
        try:
            stored = stored_in(self._folder / RECORDS)
        except InTouchImportError:
            self._note(FaultKind.UNREADABLE, RECORDS)
            return 0
        for import_id, digest in stored.items():
            if listed.get(path_of(import_id)) != digest:
                self._note(FaultKind.UNLISTED, import_id)
        try:
            with copied_ledger(self._folder) as ledger:
                entries, digest = ledger.tail()
                same = not about or about["ledger"] == {"entries": entries, "digest": digest}
                if not same or ledger.verify():
                    self._note(FaultKind.LEDGER_BROKEN, LEDGER if LEDGER in listed else RECORDS)
                for entry in ledger_ahead(ledger, stored):
                    self._note(FaultKind.LEDGER_AHEAD, entry.import_id)
        except InTouchImportError:
            self._note(FaultKind.UNREADABLE, LEDGER if LEDGER in listed else RECORDS)
            return 0
        return entries

    def _note(self, kind: FaultKind, path: str) -> None:
        self._faults.append(BackupFault(kind, path))
