"""Folders on this machine and mounted network shares."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from intouch_import import disk
from intouch_import.content import StagedContent, staging_file
from intouch_import.errors import (
    ConfigError,
    FileChanged,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
    StillArriving,
    without_path,
)
from intouch_import.model import EntryKind, SourceFile
from intouch_import.mounts import Mount, mount_of
from intouch_import.sources.base import Source, Weakness, check_name
from intouch_import.sources.events import FolderEvents, available
from intouch_import.sources.hard_link import LeasedContent, SharedContent, may_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from intouch_import.content import Content

__all__ = ["LocalSource"]

# O_NONBLOCK: a FIFO that took the place of a photo must not block the import.
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_BY_DESCRIPTOR = os.unlink in os.supports_dir_fd and os.stat in os.supports_dir_fd
_FILE, _SPECIAL = EntryKind.FILE, EntryKind.SPECIAL  # reading them from the enum is as slow as a call
_KINDS = {stat.S_IFREG: _FILE, stat.S_IFDIR: EntryKind.FOLDER, stat.S_IFLNK: EntryKind.LINK}
# A share or a FUSE file system that was mounted, and no longer answers.
_DISCONNECTED = (
    errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
    errno.ETIMEDOUT, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET,
)  # fmt: skip
_UNREADABLE = (errno.EIO, errno.ENODEV, errno.ENXIO)
_WINDOWS_IN_USE = {32, 33}  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION


class LocalSource(Source):
    """A folder on this machine or on a mounted share.

    The version of a file is its inode, size and modification time. Where inodes change with each mount (FAT,
    exFAT, FUSE, network shares), it is size and time only, and the source declares weaknesses. See `Source`
    for the arguments; ``path`` may be relative and may begin with ``~``.

    A folder that is deleted and created again, or mounted again, is used again. The empty folder that remains
    at a mount point is not used in its place.

    Raises:
        ConfigError: ``path`` is not a valid path.
        SourceUnavailable: The path is not a folder, or it may not be read.
    """

    location: ClassVar[str] = "local"

    def __init__(
        self,
        path: str,
        *,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        try:
            self.folder = Path(path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError):
            raise ConfigError("the folder's path can't be used") from None
        self._prefix = os.path.join(self.folder, "")  # ten times faster than joining a Path and a name
        super().__init__(str(self.folder), provider=provider, source_id=source_id, label=label)
        self._identity: tuple[int, int] | None = None
        self._mount = Mount("", keeps_inodes=False)
        self._events: FolderEvents | None = None
        self._check_folder()

    def scan(self) -> Iterator[SourceFile]:
        self._check_folder()
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    try:
                        # On Windows, the entries of scandir have no inode.
                        found = os.lstat(entry.path) if os.name == "nt" else entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # removed since the folder was read
                    yield self._source_file(entry.name, found)
        except OSError as exc:
            raise self._unavailable(exc) from without_path(exc)

    def look(self, name: str) -> SourceFile | None:
        check_name(name, windows=False)
        try:
            return self._source_file(name, os.lstat(self.folder / name))
        except FileNotFoundError:
            self._check_folder()
            return None
        except OSError as exc:
            raise self._unavailable(exc) from without_path(exc)

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        fd = self._open(file)
        try:
            found = os.fstat(fd)
            self._compare(file, found)
            lease = disk.take_lease(fd)
            if lease is disk.Lease.BUSY:
                raise StillArriving("another program has the file open for writing", open_elsewhere=True)
            if lease is disk.Lease.HELD and may_link(found, staging):
                digested = disk.digest_file(fd, found.st_size)
                # Compare again: only now do we know that these are the bytes of the listed version.
                found = os.fstat(fd)
                self._compare(file, found)
                if disk.lease_holds(fd):
                    content: Content = LeasedContent(fd, found, digested, staging=staging)
                    fd = -1
                    return content
                raise StillArriving("another program opened the file for writing", open_elsewhere=True)
            return self._staged(file, fd, staging)
        except OSError as exc:
            raise FileUnreadable("the file could not be read", errno=exc.errno) from without_path(exc)
        finally:
            if fd >= 0:
                os.close(fd)

    def peek(self, file: SourceFile, size_bytes: int) -> tuple[bytes, bytes] | None:
        fd = self._open(file)
        try:
            with open(fd, "rb", buffering=0) as stream:
                head = stream.read(size_bytes)
                stream.seek(max(0, file.size_bytes - size_bytes))
                tail = stream.read(size_bytes)
                return (head, tail) if self._is_version(file, os.fstat(fd)) else None
        except OSError as exc:
            raise FileUnreadable("the file could not be read", errno=exc.errno) from without_path(exc)

    def remove(self, file: SourceFile, *, sha256: str) -> None:
        check_name(file.name, windows=False)
        try:
            if not self._is_pinned(file):
                self._compare_bytes(file, sha256)
            if sys.platform != "win32" and _BY_DESCRIPTOR:
                folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    self._compare(file, os.stat(file.name, dir_fd=folder, follow_symlinks=False))
                    # A remaining risk: a file that is renamed to this name between the line above and
                    # the line below, some microseconds, is removed instead. No system call removes a
                    # name only if it has a given inode.
                    os.unlink(file.name, dir_fd=folder)
                finally:
                    os.close(folder)
            else:
                # By path: if another folder takes this path meanwhile, only the inode protects its files.
                path = self.folder / file.name
                self._compare(file, os.lstat(path))
                path.unlink()
        except FileNotFoundError:
            self._check_folder()
            raise FileVanished("the file is no longer there") from None
        except OSError as exc:
            raise NotRemoved("the file could not be removed", errno=exc.errno) from without_path(exc)

    def put_back(self, name: str, chunks: Iterable[bytes], *, modified_at: datetime | None) -> SourceFile:
        return self.put(name, chunks, modified_at=modified_at)

    def put(self, name: str, chunks: Iterable[bytes], *, modified_at: datetime | None = None) -> SourceFile:
        check_name(name)
        try:
            with disk.temporary_beside(self.folder) as (file, temporary):
                disk.copy_and_digest(chunks, file)
                if modified_at is not None:
                    at_ns = round(modified_at.timestamp() * 1_000_000) * 1_000
                    with contextlib.suppress(OSError, OverflowError):  # the file system can't have this time
                        os.utime(temporary, ns=(at_ns, at_ns))
                disk.sync_file(file.fileno())
                file.close()
                disk.publish(temporary, self.folder / name)
            disk.sync_folder(self.folder)
            return self._source_file(name, os.lstat(self.folder / name))
        except FileExistsError:
            raise NameTaken("a file with this name exists already") from None
        except OSError as exc:
            if exc.errno == errno.ENAMETOOLONG:
                raise NameRefused("the file system does not allow such a long name") from without_path(exc)
            raise self._unavailable(exc) from without_path(exc)

    def below(self, *folders: str, source_id: str) -> LocalSource:
        for folder in folders:
            check_name(folder, windows=False)
        wanted = self.folder.joinpath(*folders)
        found = LocalSource(str(wanted), provider=self.provider, source_id=source_id)
        if os.path.normcase(found.folder) != os.path.normcase(wanted):
            raise SourceUnavailable(
                "a link has taken the place of a listed folder", source_id=source_id, retry_helps=False
            )
        return found

    def sync(self) -> None:
        try:
            disk.sync_folder(self.folder)
        except OSError as exc:
            raise self._unavailable(exc) from without_path(exc)

    @property
    def reports_changes(self) -> bool:  # type: ignore[override]  # it depends on an optional package
        return available()

    def wait_for_change(self, timeout_s: float) -> bool:
        if not available():
            return super().wait_for_change(timeout_s)
        before = self._identity
        try:
            self._check_folder()
            if self._identity != before:
                self._stop_listening()  # for the system, a folder that comes back is another folder
                timeout_s = 0
            if self._events is None:
                self._events = FolderEvents(self.folder)
            return self._events.wait(timeout_s)
        except SourceUnavailable:
            self._stop_listening()
            raise

    def close(self) -> None:
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _check_folder(self) -> None:
        """Check that the folder is there. An empty mount point must not look like an empty folder."""
        try:
            found = self.folder.stat()
        except OSError as exc:
            raise self._unavailable(exc) from without_path(exc)
        if not stat.S_ISDIR(found.st_mode):
            raise SourceUnavailable("the source is not a folder", source_id=self.source_id, retry_helps=False)
        identity = (found.st_dev, found.st_ino)
        if identity == self._identity:
            return
        if self._identity is not None:
            if os.path.normcase(os.path.realpath(self.folder)) != os.path.normcase(self.folder):
                raise SourceUnavailable("a link has taken the place of the folder", source_id=self.source_id)
            if not self._mount.is_mounted():
                raise SourceUnavailable(
                    "the folder's share or disk is no longer mounted", source_id=self.source_id
                )
        self._mount = mount_of(str(self.folder))
        if self._mount.keeps_inodes:
            self.weaknesses = ()
        else:
            self.weaknesses = (Weakness.REMOVAL_NOT_PINNED, Weakness.VERSION_MAY_REPEAT)
        self._identity = identity

    def _open(self, file: SourceFile) -> int:
        check_name(file.name, windows=False)
        try:
            return os.open(f"{self._prefix}{file.name}", _OPEN_FLAGS)
        except FileNotFoundError:
            self._check_folder()
            raise FileVanished("the file is no longer there") from None
        except OSError as exc:
            if getattr(exc, "winerror", None) in _WINDOWS_IN_USE:
                raise StillArriving("another program is using the file", open_elsewhere=True) from None
            if exc.errno in (errno.ELOOP, errno.ENXIO):
                raise FileChanged("a link or a device has taken the place of the file") from None
            raise FileUnreadable("the file may not be read", errno=exc.errno) from without_path(exc)

    def _staged(self, file: SourceFile, fd: int, staging: Path | None) -> Content:
        """Copy the file. A change during the copy shows in its size or time afterwards.

        A remaining risk: a program that changes bytes and keeps size and time (by `utime`, or with a clock
        that stopped) is not noticed here.
        """
        with staging_file(staging) as (target, path):
            with open(fd, "rb", buffering=0, closefd=False) as stream:
                digested = disk.digest_stream(stream, target)
            found = os.fstat(fd)
            if not self._is_version(file, found):
                raise StillArriving("the file changed while it was read")
        return StagedContent(path, digested) if found.st_nlink == 1 else SharedContent(path, digested, found)

    def _compare(self, file: SourceFile, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode) or not self._is_version(file, found):
            raise FileChanged("the file is no longer the version that was listed")

    def _compare_bytes(self, file: SourceFile, sha256: str) -> None:
        """Read a file again that no inode identifies, just before it is removed."""
        try:
            fd = self._open(file)
        except (FileUnreadable, StillArriving) as exc:
            raise NotRemoved("the file can't be read again before its removal") from exc
        with open(fd, "rb", buffering=0) as stream:
            self._compare(file, os.fstat(fd))
            if disk.digest_stream(stream).sha256 != sha256:
                raise FileChanged("the file is no longer the one that was stored")

    def _is_pinned(self, file: SourceFile) -> bool:
        return self._mount.keeps_inodes and file.version != _without_inode(file.size_bytes, file.modified_ns)

    def _is_version(self, file: SourceFile, found: os.stat_result) -> bool:
        """Return whether a file has the listed version; inodes are compared only if they last."""
        if self._is_pinned(file):
            return file.version == self._version(found)
        return f"-{file.version}".endswith("-" + _without_inode(found.st_size, found.st_mtime_ns))

    def _version(self, found: os.stat_result) -> str:
        version = _without_inode(found.st_size, found.st_mtime_ns)
        return f"{found.st_ino:x}-{version}" if self._mount.keeps_inodes else version

    def _source_file(self, name: str, found: os.stat_result) -> SourceFile:
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), _SPECIAL)
        return SourceFile(
            name=name,
            kind=kind,
            size_bytes=found.st_size if kind is _FILE else 0,
            modified_ns=found.st_mtime_ns,
            version=self._version(found),
            # On FAT and exFAT this is the modification time, and on Windows the time of creation.
            changed_ns=found.st_ctime_ns if self._mount.keeps_inodes and os.name != "nt" else None,
        )

    def _unavailable(self, exc: OSError) -> SourceUnavailable:
        code = exc.errno
        meaning = {
            errno.ENOENT: "the folder does not exist",
            errno.ENOTDIR: "the source is not a folder",
            errno.EACCES: "the folder may not be used: no rights",
            errno.EPERM: "the folder may not be used: no rights",
            errno.EROFS: "the folder is read-only",
            errno.ENOSPC: "the folder's disk is full",
            **dict.fromkeys(_DISCONNECTED, "the network folder is no longer connected"),
            **dict.fromkeys(_UNREADABLE, "the folder's disk can't be read: is it still connected?"),
        }.get(code or 0, "the folder can't be used")
        return SourceUnavailable(meaning, source_id=self.source_id, errno=code)


def _without_inode(size_bytes: int, modified_ns: int | None) -> str:
    return f"{size_bytes:x}-{modified_ns or 0:x}"
