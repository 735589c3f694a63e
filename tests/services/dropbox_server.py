"""Fixtures: a Dropbox on this machine, and sources, sign-ins and the vendor's clients on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.cloud.retry import Patience
from intouch_import.dropbox import DropboxSource
from services.doubles.dropbox import DropboxServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FOLDER", "dropbox_server", "hurried", "open_dropbox"]

FOLDER = "/Apps/inTOUCH"


def hurried(budget_s: float = 30.0, **options: Any) -> Patience:
    """Patience whose clock runs with its pauses: what would take minutes is over at once."""
    now_s = [0.0]

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    return Patience(budget_s, monotonic_s=lambda: now_s[0], sleep=sleep, **options)


@pytest.fixture
def dropbox_server() -> Iterator[DropboxServer]:
    """A Dropbox with an empty folder ``/Apps/inTOUCH``."""
    with DropboxServer() as server:
        server.make_folder(FOLDER)
        yield server


@pytest.fixture
def open_dropbox(dropbox_server: DropboxServer) -> Iterator[Callable[..., DropboxSource]]:
    """Opens sources on that folder, and closes them at the end."""
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
