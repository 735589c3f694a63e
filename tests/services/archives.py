"""Archives on services: how to open them, and another way to write, read, delete and link their files."""

from __future__ import annotations

import abc
import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from intouch_import import migration
from intouch_import.clock import Clock
from intouch_import.cloud.retry import Patience
from services.doubles.dropbox import DropboxServer
from services.doubles.onedrive import OneDriveServer
from services.dropbox_server import hurried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.doubles.onedrive import Drive, Item
    from services.openssh import OpenSSHServer

__all__ = ["RemoteArchive", "remote_archive"]

TOP = "Old disk #1"


class RemoteArchive(abc.ABC):
    """A folder of a service, with sub-folders."""

    @property
    @abc.abstractmethod
    def archive(self) -> migration.Archive:
        """The archive for a plan."""

    @abc.abstractmethod
    def lay(self, path: str, content: bytes) -> None:
        """Write a file, and make its folders."""

    @abc.abstractmethod
    def files(self) -> dict[str, bytes]:
        """Return the bytes of every file, by path."""

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Delete a file, or a folder with its content."""

    @abc.abstractmethod
    def turn_into_link(self, folder: str) -> bool:
        """Replace the folder by a link to a copy of it. Return False if the service has no such links."""


class _Dropbox(RemoteArchive):
    def __init__(self, server: DropboxServer) -> None:
        self._server = server
        self._token = server.token()
        server.make_folder(f"/{TOP}")

    @property
    def archive(self) -> migration.Archive:
        options = {
            "signin": lambda _force=False: self._token,
            "endpoint": self._server.url,
            "patience": hurried(),
        }
        # Dropbox ignores letter case, so the archive may be given in another one.
        return migration.Archive(f"dropbox:///{quote(TOP.upper())}", options)

    def lay(self, path: str, content: bytes) -> None:
        self._server.put(f"/{TOP}/{path}", content)

    def files(self) -> dict[str, bytes]:
        return dict(self._below(""))

    def _below(self, folder: str) -> Iterator[tuple[str, bytes]]:
        for entry in self._server.drive.below(f"/{TOP}/{folder}".rstrip("/")):
            if entry.content is not None:
                yield entry.path.removeprefix(f"/{TOP}/"), entry.content.whole()

    def delete(self, path: str) -> None:
        self._server.delete(f"/{TOP}/{path}")

    def turn_into_link(self, folder: str) -> bool:  # Dropbox has no links to folders
        return False


class _OneDrive(RemoteArchive):
    def __init__(self, server: OneDriveServer) -> None:
        self._server = server
        self._top = server.drive.folder(TOP)

    @property
    def archive(self) -> migration.Archive:
        options = {
            "signin": self._server.signin(),
            "endpoint": self._server.endpoint,
            "patience": Patience(5.0, clock=Clock(sleep=lambda _: None)),
        }
        return migration.Archive(f"onedrive:///{quote(TOP)}", options)

    def _at(self, path: str) -> Item:
        item = self._top
        for name in path.split("/"):
            found = self._server.drive.child(item, name)
            assert found is not None
            item = found
        return item

    def lay(self, path: str, content: bytes) -> None:
        folder, _, name = path.rpartition("/")
        self._server.drive.write(self._server.drive.folder(f"{TOP}/{folder}"), name, content)

    def files(self) -> dict[str, bytes]:
        return dict(_files_of(self._top, ""))

    def delete(self, path: str) -> None:
        self._server.drive.delete(self._at(path))

    def turn_into_link(self, folder: str) -> bool:
        """Replace the folder by a shortcut to a folder of another drive with the same files."""
        item = self._at(folder)
        other: Drive = self._server.add_drive(self._server.drive.kind)
        there = other.folder("theirs")
        for path, content in _files_of(item, ""):
            below, _, name = path.rpartition("/")
            other.write(other.folder(f"theirs/{below}"), name, content)
        parent = item.parent
        assert parent is not None
        self._server.drive.delete(item)
        remote = {"id": there.id, "folder": {}, "parentReference": {"driveId": other.id}}
        self._server.drive.add(parent, item.name, None, remoteItem=remote)
        return True


def _files_of(folder: Item, path: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.children.values():
        if item.content is not None:
            yield f"{path}{item.name}", item.content
        else:
            yield from _files_of(item, f"{path}{item.name}/")


class _Sftp(RemoteArchive):
    def __init__(self, server: OpenSSHServer, root: Path) -> None:
        self._server = server
        self._top = root / TOP
        self._top.mkdir()

    @property
    def archive(self) -> migration.Archive:
        return migration.Archive(f"sftp://127.0.0.1{quote(str(self._top))}", self._server.options)

    def lay(self, path: str, content: bytes) -> None:
        file = self._top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self._top).as_posix(): path.read_bytes()
            for path in self._top.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    def delete(self, path: str) -> None:
        there = self._top / path
        shutil.rmtree(there) if there.is_dir() else there.unlink()

    def turn_into_link(self, folder: str) -> bool:
        there = self._top / folder
        elsewhere = self._top.parent / "elsewhere"
        there.rename(elsewhere)
        there.symlink_to(elsewhere)
        return True


@contextlib.contextmanager
def remote_archive(kind: str, openssh_server: OpenSSHServer | None, root: Path) -> Iterator[RemoteArchive]:
    """Give an empty archive to a test.

    Args:
        kind: ``"dropbox"``, ``"onedrive-personal"``, ``"onedrive-business"`` or ``"sftp"``.
        openssh_server: The server for SFTP.
        root: A local folder for SFTP.
    """
    if kind == "dropbox":
        with DropboxServer() as dropbox:
            yield _Dropbox(dropbox)
    elif openssh_server is None:
        with OneDriveServer(kind.partition("-")[2]) as onedrive:
            yield _OneDrive(onedrive)
    else:
        yield _Sftp(openssh_server, root)
