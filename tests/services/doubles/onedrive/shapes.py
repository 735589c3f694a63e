"""The JSON of drives and items in Graph's answers, and download addresses."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from services.doubles.http import Answer, Request
from services.doubles.onedrive.drive import PERSONAL, Drive, Item
from services.doubles.onedrive.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Shapes", "iso"]

_CONTENT_HOST: Final = "https://content.1drv.com"


class Shapes:
    """Describes drives and items as Graph does, and issues download addresses.

    Args:
        clock: Returns the aware time.
        download_s: How long a download address is valid, seconds.

    Attributes:
        url, content_url: The addresses of Graph and of file content.
        page_size: The default number of entries of a page.
        encoded_paths: Whether paths are percent-encoded; the real service does both.
    """

    def __init__(self, *, clock: Callable[[], datetime], download_s: float = 300.0) -> None:
        self.url = ""
        self.content_url = ""
        self.page_size = 200
        self.download_s = download_s
        self.encoded_paths = True
        self._clock = clock
        self._downloads: dict[str, tuple[Drive, Item, datetime]] = {}
        self._secret = secrets.token_hex(4)
        self._here = threading.local()

    def item_json(self, drive: Drive, item: Item, *, address: bool = True) -> dict[str, Any]:
        """Return an item, with a download address if it is a file and ``address`` is true."""
        told: dict[str, Any] = {
            "createdDateTime": iso(item.modified),
            "eTag": drive.etag(item),
            "id": item.id,
            "lastModifiedDateTime": iso(item.modified),
            "name": item.name,
            "webUrl": f"https://onedrive.example/{quote(item.id, safe='')}",
            "size": item.size_bytes,
            "parentReference": self._reference(drive, item),
            "fileSystemInfo": {
                "createdDateTime": iso(item.modified),
                "lastModifiedDateTime": iso(item.modified),
            },
        }
        if item.content is not None:
            told["cTag"] = drive.ctag(item)
            told["file"] = {"mimeType": "application/octet-stream"}
            if hashes := drive.hashes(item):
                told["file"]["hashes"] = hashes
            if address:
                told["@microsoft.graph.downloadUrl"] = self._download_url(drive, item)
        elif item.is_folder:
            told["folder"] = {"childCount": len(item.children)}
        if item.parent is None:
            told["root"] = {}
        told.update(item.facets)
        return told

    def _selected(self, drive: Drive, item: Item, request: Request) -> dict[str, Any]:
        select = request.query.get("$select") or request.query.get("select")
        if not select:
            return self.item_json(drive, item)
        wanted = {name.strip() for name in select.split(",")}
        told = self.item_json(drive, item, address="@microsoft.graph.downloadUrl" in wanted)
        return {
            "@odata.etag": told["eTag"],
            **{name: value for name, value in told.items() if name in wanted},
        }

    def _reference(self, drive: Drive, item: Item) -> dict[str, Any]:
        reference: dict[str, Any] = {"driveId": drive.id, "driveType": drive.kind}
        if item.parent is not None:
            reference["id"] = item.parent.id
            names = [folder.name for folder in item.ancestors()][:-1]
            path = "".join(f"/{quote(name) if self.encoded_paths else name}" for name in reversed(names))
            reference["path"] = f"/drives/{drive.id}/root:{path}"
            reference["name"] = item.parent.name
        return reference

    def _delta_json(self, drive: Drive, item: Item, scope: Item) -> dict[str, Any]:
        # Delta reports no paths and no download addresses.
        told = self.item_json(drive, item, address=False)
        told["parentReference"].pop("path", None)
        # The delta of a folder reports an item that was moved out of the folder as deleted.
        gone = item.deleted or (item is not scope and scope not in item.ancestors())
        if drive.kind != PERSONAL:
            told.pop("cTag", None)
        if gone:
            for name in ("cTag", "name" if drive.kind != PERSONAL else "size"):
                told.pop(name, None)
            told["deleted"] = {"state": "deleted"}
        return told

    def _drive_json(self, drive: Drive) -> dict[str, Any]:
        return {
            "@odata.context": f"{self._base()}/v1.0/$metadata#drives/$entity",
            "id": drive.id,
            "driveType": drive.kind,
            "owner": {"user": {"displayName": drive.owner}},
            "quota": {"total": drive.quota_bytes, "state": "normal"},
        }

    def _base(self) -> str:
        base: str = self._here.base
        return base

    def _content_base(self) -> str:
        return self.content_url if getattr(self._here, "base", self.url) == self.url else _CONTENT_HOST

    def _link(self, path: str, query: dict[str, str]) -> str:
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return f"{self._base()}{path}?{text}" if text else f"{self._base()}{path}"

    def _delta_link(self, path: str, query: dict[str, str], end: int) -> str:
        return self._link(path, {**query, "token": f"{self._secret}-{end}"})

    def download_answer(self, request: Request) -> Answer:
        """Carry out a request to a download address, which needs no token."""
        found = self._downloads.get(request.path.removeprefix("/dl/"))
        if found is None or found[2] < self._clock():
            return Answer.of_html("<html>expired</html>", 401)
        drive, item, _ = found
        with drive.lock:
            content = item.content
        if item.deleted or content is None:
            return Answer.of_html("<html>gone</html>", 404)
        return Answer.of_file(request, [content])

    def expire_downloads(self) -> None:
        """Make every download address invalid."""
        self._downloads.clear()

    def _download_url(self, drive: Drive, item: Item) -> str:
        key = secrets.token_hex(16)
        self._downloads[key] = (drive, item, self._clock() + timedelta(seconds=self.download_s))
        return f"{self._content_base()}/dl/{key}?tempauth={secrets.token_hex(16)}"

    @staticmethod
    def _downloadable(item: Item) -> Item:
        if "malware" in item.facets:
            raise GraphError(403, "accessDenied", "Malware was detected.", inner="malwareDetected")
        if item.content is None:
            raise GraphError(400, "invalidRequest", "Only files have content.")
        return item


def iso(when: datetime) -> str:
    """Return a time in Graph's format."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
