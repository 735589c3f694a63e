"""A OneDrive folder, for `check_source`. The place uses the memory of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Patience
from intouch_import.sources import open_source
from intouch_import.testing import Place
from services.doubles.onedrive import OneDriveServer

if TYPE_CHECKING:
    from intouch_import.sources.base import Source

__all__ = ["OneDrivePlace"]


class OneDrivePlace(Place):
    """A folder in a new OneDrive, with special characters in its name."""

    refused_names = frozenset(
        {
            "IMG*.jpg", "IMG?.jpg", "it's \"quoted\".jpg", "C:x.jpg", "back\\slash.jpg", "two\nlines.jpg",
            "tab\there.jpg", "Ren\udce9.jpg", " leading blank.jpg", "trailing blank ",
        }
    )  # fmt: skip

    def __init__(self, kind: str = "personal") -> None:
        self.server = server = OneDriveServer(kind)
        self.path = "images/in#touch 50%[1]"
        self.folder = server.drive.folder(self.path)
        self._sources: list[Source] = []

    def open(self, **options: Any) -> Source:
        options = {"patience": Patience(5.0, clock=Clock(sleep=lambda _: None)), **options}
        url = f"onedrive:///{quote(self.path)}"
        source = open_source(url, signin=self.server.signin(), endpoint=self.server.endpoint, **options)
        self._sources.append(source)
        # A OneDrive source sends no request before its first listing; the kit expects errors on opening.
        source.scan()
        return source

    def write(self, name: str, content: bytes) -> None:
        self.server.drive.write(self.folder, name, content)

    def read(self, name: str) -> bytes | None:
        item = self.server.drive.child(self.folder, name)
        return None if item is None or item.name != name else item.content

    def delete(self, name: str) -> None:
        item = self.server.drive.child(self.folder, name)
        assert item is not None
        self.server.drive.delete(item)

    def make_folder(self, name: str) -> None:
        below = self.server.drive.add(self.folder, name, None)
        self.server.drive.write(below, "below.jpg", b"below")

    def names(self) -> set[str]:
        return {item.name for item in self.folder.children.values() if item.content is not None}

    def make_link(self, name: str) -> bool:
        """Add a shortcut to a folder of another drive."""
        other = self.server.add_drive(self.server.drive.kind)
        there = other.folder("theirs")
        remote = {"id": there.id, "folder": {}, "parentReference": {"driveId": other.id}}
        self.server.drive.add(self.folder, name, None, remoteItem=remote)
        return True

    def take_away(self) -> bool:
        self.server.drive.delete(self.folder)
        return True

    def close(self) -> None:
        for source in self._sources:
            source.close()
        self.server.close()
