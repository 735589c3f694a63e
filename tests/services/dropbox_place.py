"""A folder of a Dropbox, for `check_source`. The place uses the memory of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intouch_import.dropbox import DropboxSource
from intouch_import.testing import Place
from services.doubles.dropbox import DropboxServer
from services.dropbox_server import hurried

if TYPE_CHECKING:
    from intouch_import.sources import Source

__all__ = ["DropboxPlace"]


class DropboxPlace(Place):
    """A folder in a new Dropbox, with files in folders around it.

    Args:
        folder: The folder, in its own letter case.
        asked: The folder that the source opens; by default in another letter case.
        options: Options of the server.
    """

    # The service refuses backslashes, and JSON can't contain names that are not Unicode.
    refused_names = frozenset({"back\\slash.jpg", "Ren\udce9.jpg"})

    def __init__(self, folder: str = "/Photos/New", *, asked: str | None = None, **options: Any) -> None:
        self.server = DropboxServer(**options)
        self._folder = folder
        self._asked = asked if asked is not None else folder.swapcase()
        self._token = self.server.token()
        self._opened: list[Source] = []
        self.server.make_folder(folder)
        for beside in ("/Photos/New2/x.jpg", "/Photos/x.jpg", "/x.jpg"):
            self.server.put(beside, b"beside")

    def open(self, **options: Any) -> Source:
        source = DropboxSource(
            self._asked,
            signin=lambda _force=False: self._token,
            endpoint=self.server.url,
            patience=hurried(),
            **options,
        )
        self._opened.append(source)
        return source

    def write(self, name: str, content: bytes) -> None:
        self.server.put(f"{self._folder}/{name}", content)

    def read(self, name: str) -> bytes | None:
        return self.server.read(f"{self._folder}/{name}")

    def delete(self, name: str) -> None:
        self.server.delete(f"{self._folder}/{name}")

    def make_folder(self, name: str) -> None:
        self.server.put(f"{self._folder}/{name}/below.jpg", b"below")

    def names(self) -> set[str]:
        return self.server.names(self._folder)

    def take_away(self) -> bool:
        self.server.delete(self._folder)
        return True

    def close(self) -> None:
        for source in self._opened:
            source.close()
        self.server.close()
