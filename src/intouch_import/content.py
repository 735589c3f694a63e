"""The bytes of one version of one file, read and hashed, on their way into a repository.

A source makes a `Content`, `moving` checks it, a repository stores it. It stands in the ground floor
because sources and repositories never import each other.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from intouch_import import disk
from intouch_import.closing import Closable
from intouch_import.errors import StorageFull, without_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["Content", "StagedContent"]

_STALE_AFTER_S: Final = 24 * 3600


class Content(Closable, abc.ABC):
    """One version of one file, whole, with its digest. Close it when the move is over.

    Attributes:
        size_bytes: Size in bytes, as counted while reading.
        sha256: SHA-256 of what was read, 64 lower-case hex digits.
        is_copy: Whether these bytes are a copy, of our own; else they are the source file itself.
    """

    is_copy: ClassVar[bool] = True

    def __init__(self, digested: disk.Digested) -> None:
        self.size_bytes = digested.size_bytes
        self.sha256 = digested.sha256

    def edges(self, size_bytes: int) -> tuple[bytes, bytes]:
        """Up to ``size_bytes`` of the start and of the end, for `media` to look at."""
        with self.open() as stream:
            head = stream.read(size_bytes)
            stream.seek(max(0, self.size_bytes - size_bytes))
            return head, stream.read(size_bytes)

    @abc.abstractmethod
    def open(self) -> BinaryIO:
        """Open the bytes for reading from the start. May be called more than once."""

    @abc.abstractmethod
    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        """Store the bytes under ``path`` by the cheapest way that is safe: a link, a rename or a copy.

        Args:
            path: Where to; its folder exists, the file must not.
            durable: Sync the file and its folder before returning. A repository that stores many at
                once passes False and calls `disk.sync_many` before its commit.

        Raises:
            FileExistsError: There is a file of that name; it was not touched.
            OSError: It could not be written; nothing is left under ``path``.
        """

    def is_same_file(self, stored: BinaryIO) -> bool:  # noqa: ARG002  # a copy never is
        """Whether ``stored`` is the very file that was hashed, so that hashing it again proves nothing."""
        return False

    def stay_apart(self) -> None:
        """Called before `save_to` if the file stays in its source: what is stored must be a copy."""

    def settle(self) -> None:
        """Called once the source name is gone: make sure that nobody else can reach the stored bytes."""

    def close(self) -> None:
        """Let go of what is held; temporary files are deleted."""


class StagedContent(Content):
    """Bytes in a temporary file of our own, which nobody else knows of."""

    def __init__(self, path: Path, digested: disk.Digested) -> None:
        super().__init__(digested)
        self._path = path

    def open(self) -> BinaryIO:
        return self._path.open("rb", buffering=0)

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        try:
            # A link, not a rename: the staged file must stay readable until `close`, should the
            # repository's transaction fail and the file be tried again.
            _link(self._path, path)
        except FileExistsError:
            raise
        except OSError as exc:
            if exc.errno in disk.NO_ROOM:
                raise
            copy_beside(self.open(), Path(path), staging=self._path.parent)
        if durable:
            disk.sync_many([path])

    def close(self) -> None:
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def staging_file(folder: Path | None) -> Iterator[tuple[BinaryIO, Path]]:
    """A new temporary file for bytes on their way in. It stays if the block ends well, else it is deleted.

    Args:
        folder: Where; None for the system's temporary folder.

    Raises:
        StorageFull: There is no room for it.
    """
    if folder is None:
        _sweep_temporary_folder()
    path: Path | None = None
    try:
        fd, name = tempfile.mkstemp(prefix="intouch-", suffix=".part", dir=folder)
        path = Path(name)
        with open(fd, "r+b", buffering=0) as file:  # noqa: PTH123  # a descriptor
            yield file, path
    except BaseException as exc:
        if path is not None:
            path.unlink(missing_ok=True)
        if isinstance(exc, OSError) and exc.errno in disk.NO_ROOM:
            raise StorageFull("no room left to stage a file") from without_path(exc)
        raise


def sweep(folder: Path, *, private: bool = False) -> None:
    """Delete what crashes left in a folder for temporary files: copies of what is in its source, or stored.

    Only what has not been written to for a day: another process may be at work.

    Args:
        folder: Where they are.
        private: Whether the folder is ours alone: then, whoever is said to own them. A network drive may
            show all files as one user's. In a folder of everybody's, only what is this user's own is deleted.
    """
    for path in folder.glob("*intouch-*.part"):
        with contextlib.suppress(OSError):  # another process sweeps as well; the next one may succeed
            found = path.lstat()
            ours = private or sys.platform == "win32" or found.st_uid == os.getuid()
            if ours and stat.S_ISREG(found.st_mode) and found.st_mtime < time.time() - _STALE_AFTER_S:
                path.unlink()


@functools.cache
def _sweep_temporary_folder() -> None:
    """Once in a process: nobody else does it on Windows, and elsewhere only when the system starts."""
    sweep(Path(tempfile.gettempdir()))


def _link(source: Path, target: str | os.PathLike[str]) -> None:
    os.link(source, target)


def copy_beside(
    source: BinaryIO,
    path: Path,
    *,
    replace: bool = False,
    durable: bool = True,
    staging: Path | None = None,
) -> None:
    """Copy ``source`` to ``path`` through a temporary file, synced before it gets its name.

    Args:
        source: What to copy; it is closed.
        path: Where to.
        replace: Whether a file may be there already.
        durable: Whoever passes False syncs it before anything relies on it.
        staging: Folder for the temporary file, if it is in the same file system; else it stands beside
            ``path``. What a crash leaves in a staging folder is swept out later; nobody sweeps beside
            stored files.
    """
    folder = path.parent
    if staging is not None and staging.stat().st_dev == folder.stat().st_dev:
        folder = staging
    with source, disk.temporary_beside(folder) as (file, temporary):
        shutil.copyfileobj(source, file, 256 * 1024)
        if durable:
            disk.sync_file(file.fileno())
        if replace:
            file.close()
            temporary.replace(path)
        else:
            file.close()
            disk.publish(temporary, path)
