"""Where the reference repository keeps the bytes: a folder, or any fsspec URL.

Every file stands under its import id, in one of 256 folders named by the first two digits, and is never
overwritten with other bytes.
"""

from __future__ import annotations

import abc
import contextlib
import io
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from intouch_import import disk
from intouch_import.content import copy_beside
from intouch_import.errors import (
    ConfigError,
    ContentMismatch,
    MissingExtraError,
    RepositoryError,
    StorageFull,
    without_path,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import BinaryIO

    from intouch_import.content import Content

__all__ = ["DirectoryFiles", "Files", "FsspecFiles", "check_id", "open_files"]

_ID = re.compile(r"[0-9a-f]{40}")
_STALE_AFTER_S = 24 * 3600


class Files(abc.ABC):
    """The bytes of attachments, by attachment id."""

    staging: Path | None = None

    @abc.abstractmethod
    def place(self, attachment_id: str, content: Content) -> None:
        """Write the bytes. If the same bytes are there already, left by a crash, they are taken.

        Raises:
            ContentMismatch: Other bytes stand there.
            StorageFull: No room.
            RepositoryError: They can't be written.
        """

    @abc.abstractmethod
    def sync(self, attachment_ids: Collection[str]) -> None:
        """Make what was placed durable."""

    @abc.abstractmethod
    def open(self, attachment_id: str) -> BinaryIO:
        """Open the bytes for reading."""

    @abc.abstractmethod
    def delete(self, attachment_id: str) -> None:
        """Delete the bytes, if they are there."""


def open_files(where: str | os.PathLike[str]) -> Files:
    """A folder, created if it is missing, or any fsspec URL."""
    text = os.fspath(where)
    if "://" in text and not text.startswith("file://"):
        return FsspecFiles(text)
    path = url2pathname(urlsplit(text).path) if text.startswith("file://") else text
    return DirectoryFiles(Path(path).expanduser())


class DirectoryFiles(Files):
    """Files in a folder of the local file system, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._prefix = f"{self.folder}{os.sep}"
        staging = self.staging = self.folder / ".staging"
        try:
            staging.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            for shard in range(256):
                (self.folder / f"{shard:02x}").mkdir(exist_ok=True, mode=0o700)
            disk.sync_folder(self.folder)
            _sweep(staging)
        except OSError as exc:
            raise RepositoryError("the folder for files can't be used", errno=exc.errno) from without_path(
                exc
            )

    def place(self, attachment_id: str, content: Content) -> None:
        path = self._path(attachment_id)
        try:
            content.save_to(path, durable=False)
        except FileExistsError:
            self._take_over(path, content)
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def _take_over(self, path: Path, content: Content) -> None:
        """A crash, or another process at this moment, left a file: take it if it is the same bytes.

        One with a second name may still be somebody's source file: a private copy replaces it.
        """
        try:
            with path.open("rb", buffering=0) as file:
                same = disk.digest_stream(file).sha256 == content.sha256
            if not same:
                raise ContentMismatch("an unfinished import left other bytes under this import id")
            if path.stat().st_nlink > 1:
                copy_beside(content.open(), path, replace=True)
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def sync(self, attachment_ids: Collection[str]) -> None:
        try:
            disk.sync_many([self._path(attachment_id) for attachment_id in attachment_ids])
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def open(self, attachment_id: str) -> BinaryIO:
        try:
            check_id(attachment_id)
            return cast("BinaryIO", io.FileIO(f"{self._prefix}{attachment_id[:2]}{os.sep}{attachment_id}"))
        except FileNotFoundError:
            raise RepositoryError("there is no such attachment") from None
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def delete(self, attachment_id: str) -> None:
        try:
            self._path(attachment_id).unlink(missing_ok=True)
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def _path(self, attachment_id: str) -> Path:
        check_id(attachment_id)
        return self.folder / attachment_id[:2] / attachment_id


class FsspecFiles(Files):
    """Files under an fsspec URL. An object appears there when its upload is complete."""

    def __init__(self, url: str, **options: Any) -> None:
        import fsspec

        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, **options)
        except ValueError as exc:
            raise ConfigError("fsspec knows no such place for files") from exc
        except ImportError as exc:
            raise MissingExtraError("the place for files needs a package that is not installed") from exc

    def place(self, attachment_id: str, content: Content) -> None:
        path = self._path(attachment_id)
        try:
            if self._fs.exists(path):
                with self._fs.open(path, "rb") as file:
                    if disk.digest_stream(file).sha256 != content.sha256:
                        raise ContentMismatch("an unfinished import left other bytes under this import id")
                return
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            with content.open() as source, self._fs.open(path, "wb") as target:
                disk.digest_stream(source, target)
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def sync(self, attachment_ids: Collection[str]) -> None:
        """Nothing to do: an upload that was acknowledged is durable."""

    def open(self, attachment_id: str) -> BinaryIO:
        try:
            opened: BinaryIO = self._fs.open(self._path(attachment_id), "rb")
        except FileNotFoundError:
            raise RepositoryError("there is no such attachment") from None
        except OSError as exc:
            raise _failed(exc) from without_path(exc)
        return opened

    def delete(self, attachment_id: str) -> None:
        try:
            self._fs.rm_file(self._path(attachment_id))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise _failed(exc) from without_path(exc)

    def _path(self, attachment_id: str) -> str:
        check_id(attachment_id)
        return f"{self._root.rstrip('/')}/{attachment_id[:2]}/{attachment_id}"


def _sweep(staging: Path) -> None:
    """Delete what crashes left in staging: copies of photos that are in their source, or stored."""
    for path in staging.glob("*.part"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            if path.stat().st_mtime < time.time() - _STALE_AFTER_S:
                path.unlink()


def check_id(attachment_id: str) -> None:
    """Refuse what is not an id of ours: it must reach no path and no statement."""
    if not _ID.fullmatch(attachment_id):
        raise RepositoryError("there is no such attachment")


def _failed(exc: OSError) -> RepositoryError:
    if exc.errno in disk.NO_ROOM:
        return StorageFull("no room left where files are kept", errno=exc.errno)
    return RepositoryError("the place for files failed", errno=exc.errno)
