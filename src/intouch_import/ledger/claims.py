"""`Claims`: the files that are being moved or put back now, and by which process.

A move removes a file from its source because the record has its bytes. An undo takes the bytes out of the
record because the source has the file. If both ran at once, the last copy could be lost: many locations can't
pin a removal to a version, and some versions repeat. So both claim the file first. Several moves may have a
claim on one file, but an undo must be alone. So must a reassignment among reassignments: the last entry of a
ledger then names the record that has the file.

A claim ends with the work. The claim of a process that no longer runs does not count. Whether a process of
another machine runs can't be found out, so its claim counts for an hour.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import platform
import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from intouch_import.closing import Closable
from intouch_import.database import writing
from intouch_import.errors import RepositoryError
from intouch_import.ledger.entry import claims_table

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Claim", "Claims"]

log = logging.getLogger(__name__)

_COUNTS_FOR: Final = timedelta(hours=1)
_KEPT_FOR: Final = timedelta(minutes=10)
# Well before the hour is over: clocks differ, and a removal takes some time.
_GOOD_FOR_S: Final = 1800.0
_active: Final[set[str]] = set()  # the owners of this process


class Claim(Closable):
    """A claim on some files. Close it when the work is done.

    Attributes:
        refused: Import ids that were asked for and are not claimed.
    """

    def __init__(self, claims: Claims, owner: str, refused: frozenset[str]) -> None:
        self.refused = refused
        self._claims = claims
        self._owner = owner
        self._kept: set[str] = set()
        self._started_s = (time.time(), time.monotonic())

    @property
    def is_good(self) -> bool:
        """Whether the claim is so young that it counts on every machine."""
        now_s = (time.time(), time.monotonic())  # while a machine sleeps, some count on and others do not
        return max(now - started for now, started in zip(now_s, self._started_s, strict=True)) < _GOOD_FOR_S

    def keep(self, import_id: str) -> None:
        """Keep the claim on a file for ten minutes more: a service may still carry out the removal."""
        self._kept.add(import_id)

    def close(self) -> None:
        self._claims._release(self._owner, self._kept)  # noqa: SLF001  # made for this call


class Claims:
    """The claims in one database. Made by `Ledger`.

    Args:
        engine: From `database.connect`.
        lock: Number of the PostgreSQL advisory lock of the ledger.
    """

    def __init__(self, engine: sa.Engine, *, lock: int) -> None:
        self._engine = engine
        self._lock = lock

    def move(self, import_ids: Collection[str]) -> Claim:
        """Claim files for a move. Files that are being put back are refused.

        Raises:
            RepositoryError: The database failed.
        """
        return self._take(frozenset(import_ids), undoing=False)

    def undo(self, import_id: str) -> Claim:
        """Claim a file for an undo. It is refused if there is any other claim on it.

        Raises:
            RepositoryError: The database failed.
        """
        return self._take(frozenset([import_id]), undoing=True)

    def reassign(self, import_id: str) -> Claim:
        """Claim a file for a reassignment. It is refused during another one, but not during a move.

        Raises:
            RepositoryError: The database failed.
        """
        return self._take(frozenset([f"reassign/{import_id}"]), undoing=True)

    def _take(self, wanted: frozenset[str], *, undoing: bool) -> Claim:
        owner = f"{_machine()}/{os.getpid()}/{secrets.token_hex(4)}"
        with self._writing() as connection:
            now = _now(connection)
            found = connection.execute(sa.select(claims_table)).all()
            over = [row.owner for row in found if not _counts(row, now)]
            if over:
                connection.execute(sa.delete(claims_table).where(claims_table.c.owner.in_(over)))
            others = [row for row in found if row.owner not in over and (undoing or row.undoing)]
            refused = wanted.intersection([one for row in others for one in row.import_ids.split()])
            granted = wanted - refused
            if granted:
                values = {"owner": owner, "at": now, "undoing": undoing, "import_ids": " ".join(granted)}
                connection.execute(sa.insert(claims_table), values)
                _active.add(owner)
        return Claim(self, owner, refused)

    def _release(self, owner: str, kept: Collection[str]) -> None:
        this = claims_table.c.owner == owner
        try:
            with self._writing() as connection:
                if kept:
                    at = _now(connection) - _COUNTS_FOR + _KEPT_FOR
                    values = {"import_ids": " ".join(kept), "at": at}
                    connection.execute(sa.update(claims_table).where(this).values(values))
                else:
                    connection.execute(sa.delete(claims_table).where(this))
        except RepositoryError as exc:
            # The next claim of this process removes it. Other processes wait for up to an hour.
            log.warning("a claim could not be released", extra={"kind": type(exc).__name__})
        if not kept:
            _active.discard(owner)

    def _writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        # After a power failure no claim counts, so no commit waits for the disk.
        return writing(self._engine, lock=self._lock, durable=False)


def _now(connection: sa.Connection) -> datetime:
    """Return the time of the server, the same for all machines. SQLite has none."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    at: datetime = connection.execute(sa.select(sa.func.now())).scalar_one()
    return at


def _counts(row: sa.Row[Any], now: datetime) -> bool:
    """Return whether a claim may still be at work."""
    machine, _, rest = row.owner.partition("/")
    pid, _, _ = rest.partition("/")
    if row.at < now - _COUNTS_FOR:
        return False
    if machine != _machine():
        return True
    return row.owner in _active if int(pid) == os.getpid() else _runs(int(pid))


@functools.cache
def _machine() -> str:
    """Return a name for this machine since its start. A container counts as a machine."""
    with contextlib.suppress(OSError):
        started = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        processes = Path("/proc/self/ns/pid").readlink()  # a container numbers its own processes
        return f"{started} {processes}".replace("/", "")
    return platform.node().replace("/", "") or secrets.token_hex(8)


def _runs(pid: int) -> bool:
    """Return whether a process runs on this machine."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        process = kernel.OpenProcess(_SYNCHRONIZE, False, pid)  # noqa: FBT003  # the signature of Windows
        if not process:
            return ctypes.get_last_error() == _ACCESS_DENIED
        try:
            return bool(kernel.WaitForSingleObject(process, 0) == _WAIT_TIMEOUT)
        finally:
            kernel.CloseHandle(process)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # a process of another user
    return True


_SYNCHRONIZE: Final = 0x0010_0000
_ACCESS_DENIED: Final = 5
_WAIT_TIMEOUT: Final = 258
