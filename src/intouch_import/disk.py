"""Functions of the operating system for durable files, and replacements where a system lacks them.

POSIX has syncs of folders, and links that never overwrite. Linux also has read leases and ``syncfs``. Other
systems use the replacement that a function's docstring names.
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
    "create_private",
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
"""Error numbers for a full disk."""

_BUFFER_BYTES = 128 * 1024  # fits into the cache of a core: hashing with 256 KiB takes a third longer
_SYNCFS_FROM = 4
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_local = threading.local()


class Digested(NamedTuple):
    """The number of bytes that were read, and their SHA-256 in lower-case hex."""

    size_bytes: int
    sha256: str


def digest_file(fd: int, size_bytes: int) -> Digested:
    """Hash ``size_bytes`` of an open file that nobody writes to, from the current position of its descriptor.

    This is faster for many small files: a Python stream makes two more system calls, and in each of them
    another thread may take the interpreter.
    """
    if sys.platform == "win32":
        raise NotImplementedError  # only a lease proves that nobody writes, and Windows has none
    view = _buffer()
    sha256 = hashlib.sha256()
    size = 0
    while size < size_bytes and (count := os.readv(fd, [view])):
        sha256.update(view[:count])
        size += count
    return Digested(size, sha256.hexdigest())


def digest_stream(source: IO[bytes], target: IO[bytes] | None = None) -> Digested:
    """Read ``source`` to its end and hash it; copy it to ``target``, if given.

    Memory use is constant: each thread has one buffer of 128 KiB for all files.
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
    """Write ``chunks`` to ``target``, and hash them."""
    sha256 = hashlib.sha256()
    size = 0
    for chunk in chunks:
        sha256.update(chunk)
        _write_all(target, memoryview(chunk))
        size += len(chunk)
    return Digested(size, sha256.hexdigest())


def _write_all(target: IO[bytes], chunk: memoryview) -> None:
    # An unbuffered file may write only a part (a nearly full disk, a signal).
    while chunk:
        written: int | None = target.write(chunk)
        if written is None:  # paramiko's files write everything and return None
            return
        chunk = chunk[written:]


def _buffer() -> memoryview:
    view: memoryview | None = getattr(_local, "view", None)
    if view is None:
        view = _local.view = memoryview(bytearray(_BUFFER_BYTES))
    return view


def sync_file(fd: int) -> None:
    """Make the bytes of a file durable. On macOS, ``fsync`` alone leaves them in the cache of the drive."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # network file systems do not support it: use fsync
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable. Windows has no such call; NTFS keeps a journal of names."""
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

    On Linux, a batch needs one ``syncfs``; syncing each file and each folder takes some 0.2 ms more per file.
    But ``syncfs`` also waits for the writes of other programs, so it is not used for a few files.
    """
    paths = list(files)
    if len(paths) > _SYNCFS_FROM and _syncfs(os.path.dirname(paths[0])):
        return
    for path in paths:
        # Windows syncs only a file that is open for writing.
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
    """Give a complete file its final name, without overwriting.

    Raises:
        FileExistsError: ``final`` exists; ``temporary`` was not changed.
    """
    if sys.platform == "win32":
        temporary.rename(final)  # on Windows, this never overwrites
        return
    try:
        os.link(temporary, final)
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        _rename_new(temporary, final)  # no hard links: exFAT, some network shares
        return
    temporary.unlink()


def create_private(path: str | os.PathLike[str]) -> None:
    """Create an empty file that only its owner can read, whatever the umask. Do nothing if it exists.

    On Windows, the rights of a file come from its folder.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _rename_new(temporary: Path, final: Path) -> None:
    """Rename a file without overwriting, where there are no hard links.

    Linux does it in one step. Other systems, and file systems that refuse that step, check and rename while
    they lock the folder. The lock keeps out this library on the same machine, but no other program.
    """
    if sys.platform == "win32" or _renamed_at_once(temporary, final):
        return
    import fcntl

    folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network shares lock no folders
            fcntl.flock(folder, fcntl.LOCK_EX)
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        temporary.rename(final)
    finally:
        os.close(folder)  # ends the lock


def _renamed_at_once(temporary: Path, final: Path) -> bool:
    """Rename with ``RENAME_NOREPLACE``. Return False if the system or the file system lacks it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        return False
    here = ctypes.c_int(_AT_FDCWD)
    if call(here, os.fsencode(temporary), here, os.fsencode(final), ctypes.c_uint(_RENAME_NOREPLACE)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code))


@contextlib.contextmanager
def temporary_beside(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new hidden file in ``folder``, unbuffered. It is deleted at the end, unless it was renamed."""
    path = folder / f".intouch-{secrets.token_hex(8)}.part"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(fd, "r+b", buffering=0) as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


class Lease(enum.Enum):
    """The result of asking for a read lease."""

    HELD = "held"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


def take_lease(fd: int) -> Lease:
    """Ask the kernel for a read lease: a proof that nobody has this file open for writing.

    While the lease is held, another program that opens the file for writing or truncates it must wait (for
    ``/proc/sys/fs/lease-break-time``, 45 s by default), and `lease_holds` returns False.

    Returns:
        `Lease.HELD`; `Lease.BUSY` if a program has the file open for writing, or has a writable memory map of
        it; `Lease.UNAVAILABLE` if the system, the file system or the owner of the file does not allow leases.
    """
    if sys.platform != "linux":
        return Lease.UNAVAILABLE
    import fcntl

    try:
        # When a lease is broken, the kernel sends SIGIO, which ends a process without a handler. SIGURG is
        # ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as exc:
        return Lease.BUSY if exc.errno == errno.EAGAIN else Lease.UNAVAILABLE
    return Lease.HELD


def lease_holds(fd: int) -> bool:
    """Return whether the lease on ``fd`` is intact: no program has asked to write since it was taken."""
    if sys.platform != "linux":
        return False
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK
