"""The files of `SqlRepository`: in a folder, or under any fsspec URL.

The name of a file is its import id. It is in one of 256 folders, named by its first two digits, and is never
overwritten with other bytes.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import io
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from intouch_import import disk
from intouch_import.content import changed_meanwhile, copy_beside, sweep
from intouch_import.errors import (
    ContentMismatch,
    InTouchImportError,
    RepositoryError,
    StillArriving,
    StorageFull,
    without_path,
)
from intouch_import.remote import Connections, Unfinished, hidden, reading, size_of, write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import BinaryIO

    from fsspec import AbstractFileSystem
    from typing_extensions import Buffer

    from intouch_import.content import Content

__all__ = ["DirectoryFiles", "Files", "FsspecFiles", "check_id", "open_files"]

_ID = re.compile(r"[0-9a-f]{40}")
_FOLDER = re.compile(r"[0-9a-f]{2}")


class Files(abc.ABC):
    """The bytes of attachments, by attachment id."""

    staging: Path | None = None

    def is_unused(self) -> bool:
        """Return whether no file was ever stored here. False if that is not known."""
        return False

    @abc.abstractmethod
    def place(self, attachment_id: str, content: Content) -> None:
        """Store the bytes. If a crash has left the same bytes under this id, use them.

        Raises:
            ContentMismatch: Other bytes are stored under this id.
            StorageFull: The storage is full.
            RepositoryError: The bytes can't be written.
        """

    @abc.abstractmethod
    def sync(self, attachment_ids: Collection[str]) -> None:
        """Make placed files durable."""

    @abc.abstractmethod
    def open(self, attachment_id: str) -> BinaryIO:
        """Open the bytes for reading."""

    @abc.abstractmethod
    def delete(self, attachment_id: str) -> None:
        """Delete the bytes, if they exist."""


def open_files(where: str | os.PathLike[str]) -> Files:
    """Open a folder, which is created if it does not exist, or any fsspec URL."""
    text = os.fspath(where)
    if "://" in text and not text.startswith("file://"):
        return FsspecFiles(text)
    path = url2pathname(urlsplit(text).path) if text.startswith("file://") else text
    return DirectoryFiles(path)


class DirectoryFiles(Files):
    """Files in a local folder.

    Only the owner can read the files: they are in folders that this class creates. An existing folder may be
    used; its rights are not changed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._synced: set[str] = set()  # the sub-folders that exist durably
        try:
            self.folder = Path(folder).expanduser().absolute()
            self._prefix = f"{self.folder}{os.sep}"
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            staging = self.staging = self.folder / ".staging"
            staging.mkdir(exist_ok=True, mode=0o700)
            disk.sync_folder(self.folder)
            sweep(staging, private=True)
        except RuntimeError:
            raise RepositoryError(
                "the folder for files starts with ~, but the home directory is unknown"
            ) from None
        except OSError as exc:
            raise RepositoryError("the folder for files can't be used", errno=exc.errno) from without_path(
                exc
            )

    def is_unused(self) -> bool:
        try:
            return not any(_FOLDER.fullmatch(path.name) for path in self.folder.iterdir())
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def place(self, attachment_id: str, content: Content) -> None:
        path = self._path(attachment_id)
        try:
            if attachment_id[:2] not in self._synced:
                (self.folder / attachment_id[:2]).mkdir(exist_ok=True, mode=0o700)
            content.save_to(path, durable=False)
        except FileExistsError:
            self._take_over(Path(path), content)
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def _take_over(self, path: Path, content: Content) -> None:
        """Use the file that a crash, or another process just now, has left, if its bytes are the same.

        If the file has a second name, it may still be a source file: replace it by a private copy.
        """
        try:
            with path.open("rb", buffering=0) as file:
                same = disk.digest_stream(file).sha256 == content.sha256
            if not same:
                raise ContentMismatch("an unfinished import left other bytes under this import id")
            if path.stat().st_nlink > 1:
                copy_beside(content.open(), path, sha256=content.sha256, replace=True, staging=self.staging)
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def sync(self, attachment_ids: Collection[str]) -> None:
        try:
            disk.sync_many([self._path(attachment_id) for attachment_id in attachment_ids])
            folders = {attachment_id[:2] for attachment_id in attachment_ids}
            if not folders <= self._synced:
                disk.sync_folder(self.folder)
                self._synced |= folders
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def open(self, attachment_id: str) -> BinaryIO:
        try:
            return cast("BinaryIO", io.FileIO(self._path(attachment_id)))
        except FileNotFoundError:
            raise RepositoryError("there is no such attachment", errno=errno.ENOENT) from None
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def delete(self, attachment_id: str) -> None:
        try:
            Path(self._path(attachment_id)).unlink(missing_ok=True)
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def _path(self, attachment_id: str) -> str:
        # A str: making a `Path` takes longer than linking the file.
        check_id(attachment_id)
        return f"{self._prefix}{attachment_id[:2]}{os.sep}{attachment_id}"


class FsspecFiles(Files):
    """Files under an fsspec URL.

    A file is written under a temporary name, its size is compared, and then it gets its name: by a rename if
    the file system has one, else by a copy. The check for other bytes and the rename are two steps: the
    caller's transaction must prevent that another process stores the same id between them. An upload that the
    service has acknowledged counts as durable, because fsspec has no function that syncs.

    Args:
        url: The URL; folders that do not exist are created.
        options: Options for fsspec.
    """

    def __init__(self, url: str, **options: Any) -> None:
        with _failing():
            self._connections = Connections(url, options)
        self._root = self._connections.path.rstrip("/")

    def place(self, attachment_id: str, content: Content) -> None:
        path = self._path(attachment_id)
        temporary = f"{self._root}/.staging/{secrets.token_hex(8)}.part"
        with _failing(), self._connections.borrow() as filesystem:
            if self._holds(filesystem, path, content):
                return
            for folder in (path.rpartition("/")[0], f"{self._root}/.staging"):
                filesystem.makedirs(folder, exist_ok=True)

            def write(target: BinaryIO) -> disk.Digested:
                with content.open() as source:
                    digested = disk.digest_stream(source, target)
                if digested.sha256 != content.sha256:
                    raise changed_meanwhile()  # before the file gets its name
                return digested

            try:
                write_whole(filesystem, temporary, path, write)
            except Exception as exc:
                if isinstance(exc, (Unfinished, StillArriving)) or not self._holds(filesystem, path, content):
                    raise
                return  # another process has just placed the same bytes

    def sync(self, attachment_ids: Collection[str]) -> None:
        """Do nothing: an acknowledged upload counts as durable."""

    def open(self, attachment_id: str) -> BinaryIO:
        path = self._path(attachment_id)
        with _failing():
            return cast("BinaryIO", _Borrowed(self._connections, path))

    def delete(self, attachment_id: str) -> None:
        with _failing(), self._connections.borrow() as filesystem:
            with contextlib.suppress(FileNotFoundError):
                filesystem.rm_file(self._path(attachment_id))
            # Some file systems log a failed removal and return normally.
            if size_of(filesystem, self._path(attachment_id)) is not None:
                raise RepositoryError("the stored file still exists after its removal")

    @staticmethod
    def _holds(filesystem: AbstractFileSystem, path: str, content: Content) -> bool:
        """Return whether a crash has left the same bytes at this path.

        Raises:
            ContentMismatch: Other bytes are at this path.
        """
        size = size_of(filesystem, path)
        if size is None:
            return False
        if size == content.size_bytes:
            with reading(filesystem.open(path, "rb")) as file:
                if disk.digest_stream(file).sha256 == content.sha256:
                    return True
        raise ContentMismatch("an unfinished import left other bytes under this import id")

    def _path(self, attachment_id: str) -> str:
        check_id(attachment_id)
        return f"{self._root}/{attachment_id[:2]}/{attachment_id}"


class _Borrowed(io.RawIOBase):
    """An open stored file, with the connection that is used to read it."""

    def __init__(self, connections: Connections, path: str) -> None:
        self._connections = connections
        self._broken = False
        self._filesystem: AbstractFileSystem | None = connections.take()
        try:
            self._stream = reading(self._filesystem.open(path, "rb"))
        except BaseException as exc:
            self._broken = not isinstance(exc, FileNotFoundError)
            self._let_go()
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with self._asking():
            return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Buffer, /) -> int:
        with self._asking():
            count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]  # every binary stream has it
            return count

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(Exception):  # the bytes have been read
                self._stream.close()
            self._let_go()
        super().close()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with _failing():
                yield
        except BaseException:
            self._broken = True
            raise

    def _let_go(self) -> None:
        filesystem, self._filesystem = self._filesystem, None
        if filesystem is not None:
            (self._connections.drop if self._broken else self._connections.give_back)(filesystem)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Replace the exceptions of a file system by `RepositoryError`."""
    try:
        yield
    except InTouchImportError:
        raise
    except FileNotFoundError:
        raise RepositoryError("there is no such attachment", errno=errno.ENOENT) from None
    except Unfinished:
        raise RepositoryError("the storage for files did not keep everything that was written") from None
    except Exception as exc:  # noqa: BLE001  # fsspec file systems raise anything
        if isinstance(exc, OSError):
            raise _failed(exc) from hidden(exc)
        raise RepositoryError("the storage for files failed") from hidden(exc)


def check_id(attachment_id: str) -> None:
    """Raise an error for an id that is not an import id, so that no path or statement contains it."""
    if not _ID.fullmatch(attachment_id):
        raise RepositoryError("there is no such attachment")


def _failed(exc: OSError) -> RepositoryError:
    if exc.errno in disk.NO_ROOM:
        return StorageFull("the storage for files is full", errno=exc.errno)
    return RepositoryError("the storage for files failed", errno=exc.errno)
