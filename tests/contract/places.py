"""Every location that the kit checks: how to make a place with an empty folder on each."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec

from intouch_import.sources import open_source
from intouch_import.sources.generic import FsspecSource
from intouch_import.testing import FsspecPlace, LocalPlace, MemoryFolder, Place
from services.azure_place import AzurePlace
from services.dropbox_place import DropboxPlace
from services.onedrive_place import OneDrivePlace

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from services.azurite import Azurite
    from services.openssh import OpenSSHServer

__all__ = ["PLACES"]


def in_memory(request: pytest.FixtureRequest) -> Callable[[], Place]:
    return MemoryFolder


def local(request: pytest.FixtureRequest) -> Callable[[], Place]:
    root: Path = request.getfixturevalue("tmp_path")
    return lambda: LocalPlace(root / secrets.token_hex(4))


def local_without_leases(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A local folder without leases, as on macOS, Windows and network shares: every file is copied."""
    from intouch_import import disk

    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    return local(request)


def fsspec_memory(request: pytest.FixtureRequest) -> Callable[[], Place]:
    def make() -> Place:
        name = f"photos-{secrets.token_hex(8)}"
        return FsspecPlace(
            fsspec.filesystem("memory"),
            f"/{name}",
            opened=lambda **options: open_source(f"memory://{name}", **options),
        )

    return make


def sftp(request: pytest.FixtureRequest) -> Callable[[], Place]:
    server: OpenSSHServer = request.getfixturevalue("openssh_server")
    root: Path = request.getfixturevalue("tmp_path")
    return lambda: LocalPlace(
        root / secrets.token_hex(4),
        opened=lambda folder, **options: open_source(server.url(folder), **server.options, **options),
    )


def fsspecs_own_sftp(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """The generic source on an unchanged file system of fsspec, as any other network location uses it."""
    server: OpenSSHServer = request.getfixturevalue("openssh_server")
    root: Path = request.getfixturevalue("tmp_path")
    login = {name: value for name, value in server.options.items() if name != "known_hosts"}
    return lambda: LocalPlace(
        root / secrets.token_hex(4),
        opened=lambda folder, **options: FsspecSource(
            f"127.0.0.1{folder}", protocol="sftp", **login, **options
        ),
        refused=["Ren\udce9.jpg"],
    )


def dropbox(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A folder of a Dropbox, on the double."""
    return DropboxPlace


def onedrive_personal(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A folder of a personal OneDrive, on the double."""
    return OneDrivePlace


def onedrive_business(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A folder of an organisation's OneDrive, which reports less about changes."""
    return lambda: OneDrivePlace("business")


def azure(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A folder of a container on Azurite; obstore transfers the bytes."""
    azurite: Azurite = request.getfixturevalue("azurite")
    return lambda: AzurePlace(azurite, folder="photos/new", fast=True)


def azure_container(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A container without a folder; the SDK transfers the bytes."""
    azurite: Azurite = request.getfixturevalue("azurite")
    return lambda: AzurePlace(azurite, folder="", fast=False)


def azure_without_obstore(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A folder, with the SDK and a signature for this container only."""
    azurite: Azurite = request.getfixturevalue("azurite")
    return lambda: AzurePlace(azurite, folder="photos/new", fast=False, signed=True)


PLACES: tuple[Callable[[pytest.FixtureRequest], Callable[[], Place]], ...] = (
    *(in_memory, local, local_without_leases, fsspec_memory, sftp, fsspecs_own_sftp),
    *(azure, azure_container, dropbox, onedrive_personal, onedrive_business),
)
if os.environ.get("INTOUCH_AZURE") == "all":
    PLACES += (azure_without_obstore,)
