"""The fsspec face of a OneDrive folder: `msgraphfs`, with its paths, its requests and its writing replaced.

msgraphfs puts paths into addresses as they are, so that deleting ``photo#1.jpg`` deletes the folder
``photo``; it follows links with the token to wherever they lead, takes a listing that failed half-way for a
whole one, and keeps its secrets where pickles and ``to_json`` find them. What is left of it here looks, and
does not touch.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote

from fsspec.asyn import get_loop

from intouch_import.errors import SourceUnavailable
from intouch_import.onedrive.errors import GraphError, TransferFailed, is_gone, unavailable
from intouch_import.onedrive.listing import SELECT, item_path

with warnings.catch_warnings(record=True):
    # authlib, which msgraphfs wants and this does not use, announces that it prefers another package.
    from msgraphfs import MSGDriveFS

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.onedrive.client import Graph
    from intouch_import.onedrive.listing import Folder

__all__ = ["OneDriveFileSystem"]

# Addressed by path, unconditional, or unverified: files go in and out through `OneDriveSource`.
_CLOSED: Final = (
    "_rm", "_rm_file", "_rmdir", "rmdir", "_mv", "mv", "_mv_file", "_cp_file", "_copy", "_put_file", "_put",
    "_pipe_file", "_touch", "touch", "_mkdir", "_makedirs", "_open", "open_async", "_get_file", "_get",
    "_cat_file", "_cat_ranges", "cat_ranges", "_get_content", "get_content", "_set_properties",
    "set_properties", "_checkout", "checkout", "_checkin", "checkin", "_preview", "preview",
    "_get_copy_status", "get_copy_status", "_msggraph_item_copy", "_msgraph_post", "msgraph_post",
    "_checksum", "checksum", "_msgraph_put", "msgraph_put", "_msgraph_delete", "msgraph_delete",
    "_msgraph_patch", "msgraph_patch",
)  # fmt: skip


class OneDriveFileSystem(MSGDriveFS):  # type: ignore[misc]  # msgraphfs is not typed
    """A folder of a OneDrive, to look around in.

    Paths begin at the folder of the source. Everything that writes, and everything that reads bytes without
    verifying them, raises `NotImplementedError`.
    """

    cachable = False
    protocol = ("onedrive",)

    @classmethod
    def on(cls, graph: Graph, folder: Callable[[], Folder]) -> OneDriveFileSystem:
        """A file system that shows a folder, and what is below it."""
        face = cls(graph, folder)
        face.storage_args = ()  # fsspec keeps there what it was made with
        return face

    def __init__(self, graph: Graph, folder: Callable[[], Folder]) -> None:
        # An id of any kind, so that it looks for none in the environment; it is used for nothing.
        super().__init__(drive_id="me", oauth2_client_params={})
        self._graph = graph
        self._entry = folder
        self._of = os.getpid()
        self.site_name = self.drive_name = None

    # --- paths and requests

    def _path_to_url(self, path: str, item_id: str | None = None, action: str | None = None) -> str:
        folder = self._entry()
        ending = f"/{action}" if action else ""
        if item_id is not None:
            return item_path(folder.drive_id, item_id) + ending
        segments = [segment for segment in str(self._strip_protocol(path)).split("/") if segment]
        if {".", ".."} & set(segments):
            raise FileNotFoundError("a path that leads out of the folder")
        start = item_path(folder.drive_id, folder.id)
        below = "/".join(quote(segment, safe="") for segment in segments)
        return (f"{start}:/{below}:" if below else start) + ending

    async def _path_to_url_async(
        self, path: str, item_id: str | None = None, action: str | None = None
    ) -> str:
        return await asyncio.to_thread(self._path_to_url, path, item_id, action)

    async def _call_msgraph(self, http_method: str, url: Any, *args: Any, **kwargs: Any) -> Any:
        if http_method != "GET" or args:
            raise NotImplementedError("this file system only looks")
        params = kwargs.get("params") or {}
        return await self._asking(
            lambda: self._graph.ask(lambda: self._graph.send("GET", str(url), params=params))
        )

    async def _asking(self, ask: Callable[[], Any]) -> Any:
        # In a thread: whichever loop runs here, a notebook's or a host's, is not held up and owns nothing.
        try:
            return await asyncio.to_thread(ask)
        except GraphError as exc:
            if is_gone(exc):
                raise FileNotFoundError("no such file or folder") from None
            raise unavailable(exc, "the folder can't be looked at") from None
        except TransferFailed as exc:
            raise unavailable(exc, "the folder can't be looked at") from None

    # --- looking

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._clean(path)
        url = await self._path_to_url_async(path)
        item = await self._asking(lambda: self._graph.get(url))
        return self._told(item, path)

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT001, FBT002
        path = self._clean(path)
        entry = await self._info(path)
        if entry["type"] == "file":
            return [entry] if detail else [path]
        address = item_path(self._entry().drive_id, str(entry["id"]))
        items = await self._asking(lambda: list(self._pages(f"{address}/children")))
        found = [self._told(item, f"{path.rstrip('/')}/{item['name']}") for item in items]
        return found if detail else [one["name"] for one in found]

    def _pages(self, address: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        answer = self._graph.get(address, **{"$select": SELECT})
        seen = set()
        while True:
            if not isinstance(answer.get("value"), list):
                raise SourceUnavailable("a page of the listing is not one")
            found += answer["value"]
            link = answer.get("@odata.nextLink")
            if link is None:
                return found
            if link in seen:
                raise SourceUnavailable("the listing does not come to an end")
            seen.add(link)
            answer = self._graph.get(str(link))

    def _told(self, item: dict[str, Any], path: str) -> dict[str, Any]:
        told: dict[str, Any] = self._drive_item_info_to_fsspec_info({**item, "parentReference": {}})
        told["name"] = path
        if "file" in item:
            told["type"] = "file"
        if "remoteItem" in item or "package" in item or "malware" in item:
            told["type"] = "other"
        item.pop("@microsoft.graph.downloadUrl", None)
        told["item_info"] = item
        return told

    async def _exists(self, path: str, **_: Any) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    async def _isfile(self, path: str) -> bool:
        return await self._type(path) == "file"

    async def _isdir(self, path: str) -> bool:
        return await self._type(path) == "directory"

    async def _type(self, path: str) -> str:
        try:
            return str((await self._info(path))["type"])
        except FileNotFoundError:
            return ""

    async def _size(self, path: str) -> int:
        return int((await self._info(path))["size"])

    def _clean(self, path: str) -> str:
        path = str(self._strip_protocol(path))
        return "/" + path.strip("/")

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return os.fspath(path).removeprefix("onedrive://").rstrip("/")

    # --- where it runs, and what it does not tell

    @property
    def loop(self) -> Any:
        if self._of != os.getpid():
            # A forked child has none of its parent's threads, that of the loop included.
            self._of, self._loop = os.getpid(), get_loop()
        return self._loop

    @property
    def client(self) -> NoReturn:
        raise NotImplementedError("this file system has no HTTP client of its own")

    def __del__(self) -> None:
        """Nothing: connections are the source's."""

    def __repr__(self) -> str:
        return "<OneDriveFileSystem>"

    def to_dict(self, **_: Any) -> NoReturn:
        raise NotImplementedError("a OneDrive file system holds a sign-in and is not written down")

    def to_json(self, **_: Any) -> NoReturn:
        raise NotImplementedError("a OneDrive file system holds a sign-in and is not written down")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a OneDrive file system holds a sign-in and is not pickled")


def _closed(name: str) -> Any:
    """A method that refuses; an asynchronous one where the original is."""
    text = "this file system only looks: files go in and out through the source"
    if (name.startswith("_") and name != "_open") or name == "open_async":

        async def refuse(_: Any, *__: Any, **___: Any) -> NoReturn:
            raise NotImplementedError(text)

        return refuse

    def refuse_at_once(_: Any, *__: Any, **___: Any) -> NoReturn:
        raise NotImplementedError(text)

    return refuse_at_once


for _name in _CLOSED:
    setattr(OneDriveFileSystem, _name, _closed(_name))
