"""OneDrives on loopback, and sources for their folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Patience
from intouch_import.sources import open_source
from services.doubles.onedrive import OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.onedrive import OneDriveSource
    from services.doubles.onedrive import Item

PATH = "images/intouch"


@pytest.fixture(params=["personal", "business"])
def server(request: pytest.FixtureRequest) -> Iterator[OneDriveServer]:
    """A OneDrive of each kind."""
    with OneDriveServer(request.param) as server:
        yield server


@pytest.fixture
def personal() -> Iterator[OneDriveServer]:
    """A personal OneDrive."""
    with OneDriveServer("personal") as server:
        yield server


@pytest.fixture
def business() -> Iterator[OneDriveServer]:
    """A OneDrive of an organisation."""
    with OneDriveServer("business") as server:
        yield server


@pytest.fixture
def photos(server: OneDriveServer) -> Item:
    """The folder of the source."""
    return server.drive.folder(PATH)


@pytest.fixture
def opened() -> Iterator[Callable[..., OneDriveSource]]:
    """Open a folder of a server as a source, and close it at the end. Pauses take no time."""
    sources: list[Any] = []

    def open_(server: OneDriveServer, path: str = PATH, **options: Any) -> Any:
        options = {
            "signin": server.signin(),
            "endpoint": server.endpoint,
            "patience": Patience(60.0, clock=Clock(sleep=lambda _: None, monotonic_s=iter_clock())),
            **options,
        }
        source = open_source(f"onedrive:///{path}", **options)
        sources.append(source)
        return source

    yield open_
    for source in sources:
        source.close()


@pytest.fixture
def source(server: OneDriveServer, photos: Item, opened: Callable[..., OneDriveSource]) -> OneDriveSource:
    """The folder, opened."""
    return opened(server)


def iter_clock() -> Callable[[], float]:
    """Return a clock that advances by a second with each look, so that no pause takes any time."""
    seconds = iter(range(10**9))
    return lambda: float(next(seconds))
