"""fsspec file systems, used so that nothing is lost: for sources, and for the files of records.

What is known of them: they raise anything; those over a connection of their own (SFTP, FTP) are not safe in
several threads, and hang or mix up answers; a write may be seen half done; a write that broke off may be
committed on closing; a removal or an upload may fail without an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from intouch_import.errors import ConfigError, InTouchImportError, MissingExtraError
from intouch_import.extras import needing

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
# RFC 3659, section 2.3: UTC. Fractions are left out, since not every answer of a server has them.
_FTP_TIME: Final = re.compile(r"(\d{8})(\d{6})(?:\.\d+)?")
# After these answers a connection is as good as before.
_ANSWERS: Final = (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError)
# fsspec's memory file system is one dict for all: to list it while another thread removes a file is an error.
# Reentrant, since what is written to one place may be read from another while it is written.
_MEMORY: Final = threading.RLock()


class Unfinished(Exception):  # it says what is the matter; never leaves the rooms that use this one
    """What was written is not there, or not all of it."""


class Connections:
    """File systems on one place, each used by one thread at a time.

    fsspec hands out one object for many threads. paramiko's answers then reach the wrong thread, which leaves
    the other one waiting for ever. So a thread borrows one; a new one is opened when all are out.

    Args:
        url: Where, path included.
        options: Passed to fsspec.
        opened: Opens one: returns it, and the path within it.

    Raises:
        ConfigError: fsspec knows no such location, or it does not take the options.
        MissingExtraError: A package that it needs is not installed.
        OSError: It can't be reached. File systems raise other kinds as well.
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
        self._lock = threading.Lock()
        self._idle: list[AbstractFileSystem] = []
        try:
            first, self.path = self._opened(url, **self._options)
        # From None: the messages may quote the URL or an option.
        except ValueError:
            raise ConfigError("fsspec knows no such location") from None
        except TypeError:
            raise ConfigError("that location does not take these options") from None
        except ImportError:
            raise MissingExtraError("that location needs a package that is not installed") from None
        self.kind: type[AbstractFileSystem] = type(first)
        self._idle.append(first)

    def __repr__(self) -> str:
        return f"<Connections {self.kind.__name__}>"

    @contextlib.contextmanager
    def borrow(self) -> Iterator[AbstractFileSystem]:
        """A file system for this thread alone, with nothing remembered of earlier listings."""
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
        """Borrow one without a block; it goes back by `give_back`, or `drop`."""
        while True:
            with self._lock:
                filesystem = self._idle.pop() if self._idle else None
            if filesystem is None:
                filesystem, _ = self._opened(self._url, **self._options)
            elif not getattr(filesystem, "alive", True):
                self.drop(filesystem)
                continue
            filesystem.invalidate_cache()
            return filesystem

    def give_back(self, filesystem: AbstractFileSystem) -> None:
        """The end of `take`."""
        with self._lock:
            self._idle.append(filesystem)

    def drop(self, filesystem: AbstractFileSystem) -> None:
        """The end of `take`, after a failure.

        A connection that was cut in the middle of an answer would take the rest of it for the next one.
        fsspec has no call to close one.
        """
        for owner in (filesystem, getattr(filesystem, "ftp", None), getattr(filesystem, "client", None)):
            close = getattr(owner, "close", None)
            if callable(close):
                with contextlib.suppress(Exception):  # it is given up either way
                    close()

    def close(self) -> None:
        """Close those that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for filesystem in idle:
            self.drop(filesystem)


def reading(stream: Any) -> BinaryIO:
    """A stream with a position of its own.

    fsspec's memory file system gives all readers the same ``BytesIO``, which is also the stored file.
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
    """Write a file under another name, see that all of it is there, and only then give it its name.

    Args:
        filesystem: Where.
        temporary: A name that nobody else uses; gone afterwards, whatever happens.
        final: The name.
        write: Writes the bytes.
        publish: Gives the name; by default a rename where the file system has one, else a copy.

    Raises:
        Unfinished: It is not there, or has another size than was written. What stands under ``final`` then is
            unknown.
    """
    try:
        with filesystem.open(temporary, "wb") as target:
            digested = write(target)
        # Some close without an error what they could not upload.
        if size_of(filesystem, temporary) != digested.size_bytes:
            raise Unfinished
        (publish or _publish(filesystem))(temporary, final)
    finally:
        with contextlib.suppress(Exception):  # renamed already, or never written
            filesystem.rm_file(temporary)
    if size_of(filesystem, final) != digested.size_bytes:
        raise Unfinished
    return digested


def renames(kind: type[AbstractFileSystem]) -> bool:
    """Whether a kind of file system renames, instead of copying and deleting."""
    from fsspec import AbstractFileSystem

    return kind.mv is not AbstractFileSystem.mv


def open_sftp(url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
    """Open ``sftp://[user@]host[:port]/folder`` with a client of our own (`_paramiko`).

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
    """The size of what stands there, straight from the location; None if nothing does.

    Not ``exists``: that is False as well when the location can't be asked.
    """
    filesystem.invalidate_cache()
    try:
        return int(filesystem.info(path)["size"] or 0)
    except FileNotFoundError:
        return None


def modified_ns(info: Mapping[str, Any]) -> int | None:
    """When something was modified, nanoseconds since 1970 UTC, as far as a listing tells it."""
    value = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    if value is None and (told := _FTP_TIME.fullmatch(str(info.get("modify")))):
        value = f"{told[1]}T{told[2]}"
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
    """The kind of an error without its text, which holds paths."""
    if isinstance(exc, OSError) and isinstance(exc.errno, int):
        return OSError(exc.errno, os.strerror(exc.errno))
    return RuntimeError(type(exc).__name__)
