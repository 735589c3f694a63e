"""The bytes of one version of a file, read and hashed: a source makes a `Content`, a repository stores it."""

from __future__ import annotations

import abc
import contextlib
import functools
import os
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from intouch_import import disk
from intouch_import.closing import Closable
from intouch_import.errors import StillArriving, StorageFull, without_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["Content", "StagedContent"]

_STALE_AFTER_S: Final = 24 * 3600


class Content(Closable, abc.ABC):
    """The complete bytes of one version of a file, with their digest. Close it at the end of the move.

    Attributes:
        size_bytes: Number of bytes that were read.
        sha256: SHA-256 of the bytes that were read, 64 lower-case hex digits.
        is_copy: Whether the bytes are in a temporary copy; if not, they are in the source file itself.
        is_altered: Whether the location reports another size or hash, and a person accepted what it delivers.
    """

    is_copy: ClassVar[bool] = True
    is_altered: bool = False

    def __init__(self, digested: disk.Digested) -> None:
        self.size_bytes = digested.size_bytes
        self.sha256 = digested.sha256

    def edges(self, size_bytes: int) -> tuple[bytes, bytes]:
        """Return up to ``size_bytes`` from the start, and up to ``size_bytes`` from the end."""
        with self.open() as stream:
            head = stream.read(size_bytes)
            stream.seek(max(0, self.size_bytes - size_bytes))
            return head, stream.read(size_bytes)

    @abc.abstractmethod
    def open(self) -> BinaryIO:
        """Open the bytes for reading, at the start. Can be called several times."""

    @abc.abstractmethod
    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        """Store the bytes as a local file, in the fastest way that is safe: a link or a copy.

        Args:
            path: Path of the new file. Its folder must exist.
            durable: Whether to sync the file and its folder before returning. A repository that stores
                several files in one transaction can pass False, and call `disk.sync_many` before it commits.

        Raises:
            FileExistsError: A file exists at ``path``; it was not changed.
            OSError: The file could not be written; nothing is left at ``path``.
        """

    def is_same_file(self, stored: BinaryIO) -> bool:  # noqa: ARG002  # a copy is another file
        """Return whether ``stored`` is the file that was hashed, so that it need not be hashed again."""
        return False

    def stay_apart(self) -> None:
        """Make `save_to` copy. Call this before `save_to` if the file will stay in its source."""

    def prove(self) -> None:
        """Make sure that the stored bytes are still those that were read. Call this before the removal.

        Raises:
            StillArriving: Another program has changed them.
            OSError: They could not be copied to where no other program can change them.
        """

    def settle(self) -> None:
        """Make sure that no other program can change the stored bytes. Call this after the removal.

        Raises:
            StillArriving, OSError: As `prove`.
        """

    def close(self) -> None:
        """Delete temporary files, and close open ones."""


class StagedContent(Content):
    """Bytes in a temporary file that no other program uses."""

    def __init__(self, path: Path, digested: disk.Digested) -> None:
        super().__init__(digested)
        self._path = path

    def open(self) -> BinaryIO:
        return self._path.open("rb", buffering=0)

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        try:
            # A link, not a rename: if the repository's transaction fails and the file is tried again, the
            # staged file must still be there.
            _link(self._path, path)
        except FileExistsError:
            raise
        except OSError as exc:
            if exc.errno in disk.NO_ROOM:
                raise
            copy_beside(self.open(), Path(path), sha256=self.sha256, staging=self._path.parent)
        if durable:
            disk.sync_many([path])

    def close(self) -> None:
        self._path.unlink(missing_ok=True)


def changed_meanwhile() -> StillArriving:
    """Return the error for bytes that another program has changed since they were hashed."""
    return StillArriving("another program changed the bytes while they were stored", open_elsewhere=True)


@contextlib.contextmanager
def staging_file(folder: Path | None) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new temporary file. It is deleted if the block ends with an exception.

    Args:
        folder: Folder of the file; None for the system's temporary folder.

    Yields:
        The open file, and its path.

    Raises:
        StorageFull: The disk is full.
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
            raise StorageFull("the disk for temporary files is full") from without_path(exc)
        raise


def sweep(folder: Path, *, private: bool = False) -> None:
    """Delete the temporary files that crashed processes have left in a folder.

    A file is deleted when it has not been written to for a day: until then, a process may be using it.

    Args:
        folder: The folder.
        private: Whether only this library uses the folder. Then files of any owner are deleted,
            because a network drive may show one owner for all files. Otherwise, only files of this user are
            deleted.
    """
    for path in folder.glob("*intouch-*.part"):
        with contextlib.suppress(OSError):  # such as another process that deletes the same file
            found = path.lstat()
            ours = private or sys.platform == "win32" or found.st_uid == os.getuid()
            if ours and stat.S_ISREG(found.st_mode) and found.st_mtime < time.time() - _STALE_AFTER_S:
                path.unlink()


@functools.cache
def _sweep_temporary_folder() -> None:
    """Sweep the system's temporary folder, once per process: Windows never does this, others at boot."""
    sweep(Path(tempfile.gettempdir()))


def _link(source: Path, target: str | os.PathLike[str]) -> None:
    os.link(source, target)


def copy_beside(
    source: BinaryIO,
    path: Path,
    *,
    sha256: str | None = None,
    replace: bool = False,
    durable: bool = True,
    staging: Path | None = None,
) -> None:
    """Copy ``source`` to ``path`` through a temporary file, which is synced and then renamed.

    Args:
        source: The stream to copy; it is closed.
        path: Path of the copy.
        sha256: SHA-256 that the copy must have.
        replace: Whether to replace a file that exists.
        durable: Whether to sync the temporary file. If not, the caller must sync the copy.
        staging: Folder for the temporary file, if it is in the same file system; else the temporary file is
            in the folder of ``path``. Only in a staging folder is a file that a crash has left deleted later.

    Raises:
        StillArriving: The copy has another digest: a program has changed the bytes. ``path`` was not changed.
    """
    folder = path.parent
    if staging is not None and staging.stat().st_dev == folder.stat().st_dev:
        folder = staging
    with source, disk.temporary_beside(folder) as (file, temporary):
        if disk.digest_stream(source, file).sha256 != sha256 is not None:
            raise changed_meanwhile()
        if durable:
            disk.sync_file(file.fileno())
        file.close()  # Windows can't rename an open file
        if replace:
            temporary.replace(path)
        else:
            disk.publish(temporary, path)
