"""What the operating system offers for durable files, and what we do where it does not.

POSIX gives directory syncs and links that never overwrite; Linux adds read leases and ``syncfs``. Every
function here says what it falls back to elsewhere, so that no other room asks which system it runs on.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import hashlib
import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "NO_ROOM",
    "Digested",
    "Lease",
    "copy_and_digest",
    "digest_file",
    "digest_stream",
    "lease_holds",
    "publish",
    "sync_file",
    "sync_folder",
    "sync_many",
    "take_lease",
    "temporary_beside",
]

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers that mean: no room left."""

_BUFFER_BYTES = 128 * 1024  # stays in the cache of a core: 256 KiB take a third longer to hash
_SYNCFS_FROM = 4
_local = threading.local()


class Digested(NamedTuple):
    """What one pass over a content found: its size in bytes, and its SHA-256 in lower-case hex."""

    size_bytes: int
    sha256: str


def digest_file(fd: int, size_bytes: int) -> Digested:
    """Hash ``size_bytes`` of an open file that nobody writes to, from where its descriptor stands.

    For many small files: a stream of Python's own costs two system calls more, each of which gives the
    interpreter away.
    """
    if sys.platform == "win32":
        raise NotImplementedError  # only a lease proves that nobody writes, and there are none
    view = _buffer()
    sha256 = hashlib.sha256()
    size = 0
    while size < size_bytes and (count := os.readv(fd, [view])):
        sha256.update(view[:count])
        size += count
    return Digested(size, sha256.hexdigest())


def digest_stream(source: IO[bytes], target: IO[bytes] | None = None) -> Digested:
    """Read ``source`` to its end, hashing; write what was read to ``target`` if one is given.

    Memory stays flat: one buffer a thread, 128 KiB, is reused for every file.
    """
    view = _buffer()
    sha256 = hashlib.sha256()
    size = 0
    while count := source.readinto(view):  # type: ignore[attr-defined]  # every binary stream has it
        chunk = view[:count]
        sha256.update(chunk)
        if target is not None:
            _write_all(target, chunk)
        size += count
    return Digested(size, sha256.hexdigest())


def copy_and_digest(chunks: Iterable[bytes], target: IO[bytes]) -> Digested:
    """Write ``chunks`` to ``target``, hashing on the way."""
    sha256 = hashlib.sha256()
    size = 0
    for chunk in chunks:
        sha256.update(chunk)
        _write_all(target, memoryview(chunk))
        size += len(chunk)
    return Digested(size, sha256.hexdigest())


def _write_all(target: IO[bytes], chunk: memoryview) -> None:
    # An unbuffered file may write less than it was given (a nearly full disk, a signal).
    while chunk:
        written: int | None = target.write(chunk)
        if written is None:  # paramiko's files write all of it, and say nothing
            return
        chunk = chunk[written:]


def _buffer() -> memoryview:
    view: memoryview | None = getattr(_local, "view", None)
    if view is None:
        view = _local.view = memoryview(bytearray(_BUFFER_BYTES))
    return view


def sync_file(fd: int) -> None:
    """Make a file's bytes durable. On macOS ``fsync`` alone leaves them in the drive's cache."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # not offered by network file systems: fsync is what is left
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable. Windows has no such call; NTFS journals names by itself."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as exc:  # some network file systems refuse to sync a folder
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)


def sync_many(files: Iterable[str | os.PathLike[str]]) -> None:
    """Make several files of one file system durable, bytes and names.

    On Linux a batch takes one ``syncfs``: a file and a folder each would cost some 0.2 ms apiece. It also
    waits for what other programs wrote to that file system, hence not for a handful.
    """
    paths = list(files)
    if len(paths) > _SYNCFS_FROM and _syncfs(os.path.dirname(paths[0])):
        return
    for path in paths:
        # Windows syncs only through a handle that may write.
        with Path(path).open("r+b" if sys.platform == "win32" else "rb") as file:
            sync_file(file.fileno())
    for folder in {os.path.dirname(path) for path in paths}:
        sync_folder(folder)


def _syncfs(folder: str | os.PathLike[str]) -> bool:
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    fd = os.open(folder, os.O_RDONLY)
    try:
        if call(fd) == 0:
            return True
        code = ctypes.get_errno()
    finally:
        os.close(fd)
    if code == errno.ENOSYS:
        return False
    raise OSError(code, os.strerror(code))


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its final name, never overwriting.

    Raises:
        FileExistsError: ``final`` is there already; ``temporary`` is left as it was.
    """
    if sys.platform == "win32":
        temporary.rename(final)  # refuses an existing name there
        return
    try:
        os.link(temporary, final)
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # No hard links here (exFAT, some network shares). Between the look and the rename another
        # process could create the name; the names are derived from import ids, so it could only
        # be the same content.
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        temporary.rename(final)
        return
    temporary.unlink()


@contextlib.contextmanager
def temporary_beside(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new hidden file in ``folder``, unbuffered; it is deleted on exit unless it was renamed."""
    path = folder / f".intouch-{secrets.token_hex(8)}.part"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(fd, "r+b", buffering=0) as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


class Lease(enum.Enum):
    """What asking for a read lease found."""

    HELD = "held"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


def take_lease(fd: int) -> Lease:
    """Ask the kernel to prove that nobody has this file open for writing, and to keep it so.

    While the lease is held, ``open`` for writing and ``truncate`` by anybody else block (for
    ``/proc/sys/fs/lease-break-time``, 45 s by default), and `lease_holds` turns False.

    Returns:
        `Lease.HELD`; `Lease.BUSY` when somebody has the file open for writing, a writable memory map
        included; `Lease.UNAVAILABLE` where the system, the file system or the file's owner does
        not allow leases, which proves nothing either way.
    """
    if sys.platform != "linux":
        return Lease.UNAVAILABLE
    import fcntl

    try:
        # The kernel tells a broken lease by SIGIO, which ends a process that does not expect it.
        # SIGURG is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as exc:
        return Lease.BUSY if exc.errno == errno.EAGAIN else Lease.UNAVAILABLE
    return Lease.HELD


def lease_holds(fd: int) -> bool:
    """Whether the lease taken on ``fd`` is intact: nobody has asked to write since it was taken."""
    if sys.platform != "linux":
        return False
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK
