"""Fixtures: a Dropbox on this machine, and sources on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Patience
from intouch_import.dropbox import DropboxSource
from services.doubles.dropbox import DropboxServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FOLDER", "dropbox_server", "hurried", "open_dropbox"]

FOLDER = "/Apps/inTOUCH"


def hurried(budget_s: float = 30.0, **options: Any) -> Patience:
    """Return a patience whose pauses only advance its own clock, so that minutes pass at once."""
    now_s = [0.0]

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    return Patience(budget_s, clock=Clock(monotonic_s=lambda: now_s[0], sleep=sleep), **options)


@pytest.fixture
def dropbox_server() -> Iterator[DropboxServer]:
    """Return a Dropbox with an empty folder ``/Apps/inTOUCH``."""
    with DropboxServer() as server:
        server.make_folder(FOLDER)
        yield server


@pytest.fixture
def open_dropbox(dropbox_server: DropboxServer) -> Iterator[Callable[..., DropboxSource]]:
    """Return a function that opens sources on this folder. They are closed at the end."""
    opened: list[DropboxSource] = []
    token = dropbox_server.token()

    def open_one(folder: str = FOLDER, **options: Any) -> DropboxSource:
        options = {"signin": lambda _force=False: token, "patience": hurried(), **options}
        source = DropboxSource(folder, endpoint=dropbox_server.url, **options)
        opened.append(source)
        return source

    yield open_one
    for source in opened:
        source.close()
