"""Safe use of fsspec file systems, for sources and for the files of records.

These file systems may raise any exception. Those with a connection (SFTP, FTP) are not thread-safe: they
hang, or mix up answers. A file may be visible while it is being written. An interrupted write may be
committed when the file is closed. A removal or an upload may fail without an error.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from intouch_import.errors import ConfigError, InTouchImportError, MissingExtraError
from intouch_import.extras import needing
from intouch_import.forks import ForkSafeLock, PerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from fsspec import AbstractFileSystem

    from intouch_import import disk

__all__ = [
    "Connections",
    "Unfinished",
    "hidden",
    "modified_ns",
    "open_sftp",
    "reading",
    "renames",
    "size_of",
    "write_whole",
]

_TIMES: Final = ("mtime", "modified", "LastModified", "last_modified", "updated", "created")
# RFC 3659, section 2.3: UTC. Fractions are ignored, because a server may omit them in some answers.
_FTP_TIME: Final = re.compile(r"(\d{8})(\d{6})(?:\.\d+)?")
# At DEBUG, they log paths, requests and answers, some of them in threads of their own.
_LOGGERS: Final = ("fsspec", "s3fs", "aiobotocore", "botocore", "gcsfs", "adlfs", "smbprotocol")
# After these errors, a connection can still be used.
_ANSWERS: Final = (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError)
# fsspec's memory file system is one dict for all: listing it fails while another thread removes a file.
# Reentrant, because a file may be copied from one place in memory to another.
_MEMORY: Final = ForkSafeLock(threading.RLock)


class Unfinished(Exception):  # not an InTouchImportError: the rooms that use this one catch it
    """A file that was written is missing or incomplete."""


class Connections:
    """File systems for one URL, each used by one thread at a time.

    fsspec shares one object between all threads. With paramiko, an answer may then reach the wrong thread,
    and the other thread waits forever. So each thread borrows a file system, and a new one is opened if none
    is free.

    Args:
        url: The URL, including the path.
        options: Options for fsspec.
        opened: Opens a file system: returns it, and the path within it.

    Raises:
        ConfigError: fsspec does not know the location, or the location does not accept the options.
        MissingExtraError: A package that the location needs is not installed.
        OSError: The location can't be reached. File systems also raise other exceptions.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any],
        *,
        opened: Callable[..., tuple[AbstractFileSystem, str]] | None = None,
    ) -> None:
        self._url = url
        self._options = {**options, "skip_instance_cache": True}
        self._opened = opened if opened is not None else _url_to_fs
        # A forked child neither uses nor closes those of its parent.
        self._idle: PerProcess[list[AbstractFileSystem]] = PerProcess(list)
        _quieten()
        try:
            first, self.path = self._opened(url, **self._options)
        # From None: the messages may contain the URL or an option.
        except ValueError:
            raise ConfigError("fsspec does not know this kind of location") from None
        except TypeError:
            raise ConfigError("this location does not accept these options") from None
        except ImportError:
            raise MissingExtraError("this location needs a package that is not installed") from None
        self.kind: type[AbstractFileSystem] = type(first)
        self._idle().append(first)

    def __repr__(self) -> str:
        return f"<Connections {self.kind.__name__}>"

    @contextlib.contextmanager
    def borrow(self) -> Iterator[AbstractFileSystem]:
        """Borrow a file system for this thread only, without cached listings."""
        with _MEMORY if self.kind.protocol == "memory" else contextlib.nullcontext():
            yield from self._borrow()

    def _borrow(self) -> Iterator[AbstractFileSystem]:
        filesystem = self.take()
        try:
            yield filesystem
        except BaseException as exc:
            ours = isinstance(exc, InTouchImportError) and exc.__cause__ is None
            if ours or isinstance(exc, _ANSWERS):
                self.give_back(filesystem)
            else:
                self.drop(filesystem)
            raise
        self.give_back(filesystem)

    def take(self) -> AbstractFileSystem:
        """Borrow a file system without a block. End this with `give_back` or `drop`."""
        while True:
            try:
                filesystem = self._idle().pop()  # atomic, as `append`
            except IndexError:
                filesystem, _ = self._opened(self._url, **self._options)
                break
            if getattr(filesystem, "alive", True):
                break
            self.drop(filesystem)
        filesystem.invalidate_cache()
        return filesystem

    def give_back(self, filesystem: AbstractFileSystem) -> None:
        """Give back a file system after `take`."""
        self._idle().append(filesystem)

    def drop(self, filesystem: AbstractFileSystem) -> None:
        """Close a file system after `take` and a failure.

        A connection that was interrupted during an answer would read the rest of it as the next answer.
        fsspec has no function that closes a connection.
        """
        for owner in (filesystem, getattr(filesystem, "ftp", None), getattr(filesystem, "client", None)):
            close = getattr(owner, "close", None)
            if callable(close):
                with contextlib.suppress(Exception):  # it is not used again
                    close()

    def close(self) -> None:
        """Close the file systems that are not in use."""
        for filesystem in self._idle.take() or ():
            self.drop(filesystem)


def _quieten() -> None:
    """Keep the packages below fsspec from logging paths, unless the host has set their level."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def reading(stream: Any) -> BinaryIO:
    """Return a stream that shares its position with no other reader.

    fsspec's memory file system returns the same ``BytesIO`` to all readers; it is also the stored file.
    """
    return cast("BinaryIO", io.BytesIO(stream.getvalue()) if isinstance(stream, io.BytesIO) else stream)


def write_whole(
    filesystem: AbstractFileSystem,
    temporary: str,
    final: str,
    write: Callable[[BinaryIO], disk.Digested],
    *,
    publish: Callable[[str, str], None] | None = None,
) -> disk.Digested:
    """Write a file under a temporary name, check that it is complete, and only then rename it.

    Args:
        filesystem: The file system.
        temporary: A path that no other program uses. It does not exist at the end, even after a failure.
        final: The path of the file.
        write: Writes the bytes.
        publish: Gives the file its name; by default a rename if the file system has one, else a copy.

    Raises:
        Unfinished: The file is missing, or its size differs from what was written. Nothing is known about
            ``final`` then.
    """
    try:
        with filesystem.open(temporary, "wb") as target:
            digested = write(target)
        # Some file systems close a file without an error although the upload failed.
        if size_of(filesystem, temporary) != digested.size_bytes:
            raise Unfinished
        (publish or _publish(filesystem))(temporary, final)
    finally:
        with contextlib.suppress(Exception):  # it was renamed, or never written
            filesystem.rm_file(temporary)
    if size_of(filesystem, final) != digested.size_bytes:
        raise Unfinished
    return digested


def renames(kind: type[AbstractFileSystem]) -> bool:
    """Return whether a kind of file system can rename, instead of copying and deleting."""
    from fsspec import AbstractFileSystem

    return kind.mv is not AbstractFileSystem.mv


def open_sftp(url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
    """Open ``sftp://[user@]host[:port]/folder`` with the file system of `_paramiko`.

    Raises:
        MissingExtraError: paramiko is not installed.
    """
    with needing("SFTP needs paramiko", "paramiko", install="intouch-import[sftp]"):
        from intouch_import import _paramiko
    return _paramiko.open_sftp(url, **options)


def _url_to_fs(url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
    import fsspec

    if url.startswith("sftp://"):
        return open_sftp(url, **options)
    filesystem, path = fsspec.core.url_to_fs(url, **options)
    return filesystem, path


def _publish(filesystem: AbstractFileSystem) -> Callable[[str, str], None]:
    return filesystem.mv if renames(type(filesystem)) else filesystem.cp_file  # type: ignore[no-any-return]


def size_of(filesystem: AbstractFileSystem, path: str) -> int | None:
    """Return the size of a file without using a cache; None if there is no file.

    ``exists`` can't be used: it also returns False if the location can't be reached.
    """
    filesystem.invalidate_cache()
    try:
        return int(filesystem.info(path)["size"] or 0)
    except FileNotFoundError:
        return None


def modified_ns(info: Mapping[str, Any]) -> int | None:
    """Return the modification time in a listing's entry, nanoseconds since 1970 UTC; None if not known."""
    value = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    if value is None and (found := _FTP_TIME.fullmatch(str(info.get("modify")))):
        value = f"{found[1]}T{found[2]}"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1_000_000) * 1000
    if isinstance(value, (int, float)):
        return int(value * 1_000_000) * 1000
    return None


def hidden(exc: BaseException) -> Exception:
    """Return the kind of an exception without its message, which contains paths."""
    if isinstance(exc, OSError) and isinstance(exc.errno, int):
        return OSError(exc.errno, os.strerror(exc.errno))
    return RuntimeError(type(exc).__name__)
