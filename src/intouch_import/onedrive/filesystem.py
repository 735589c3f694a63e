"""`OneDriveFileSystem`: ``msgraphfs`` reduced to looking, with our requests and paths.

msgraphfs does not encode paths, so deleting ``photo#1.jpg`` deletes the folder ``photo``. It sends the token
to wherever a link leads, takes half a listing for a whole one, and leaves its secrets to pickles and
``to_json``.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote

from fsspec.asyn import get_loop

from intouch_import.onedrive.errors import CallFailed, GraphError, is_gone, unavailable
from intouch_import.onedrive.listing import item_path, pages
from intouch_import.secret import refuse_to_pickle

with warnings.catch_warnings(record=True):
    # msgraphfs imports authlib, which is not used here and warns that it prefers another package.
    from msgraphfs import MSGDriveFS

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.onedrive.client import GraphClient
    from intouch_import.onedrive.listing import Folder

__all__ = ["OneDriveFileSystem", "open_filesystem"]

# These use paths, or have no condition, or do not verify the bytes. `OneDriveSource` reads and writes files.
_CLOSED: Final = (
    "_rm", "_rm_file", "_rmdir", "rmdir", "_mv", "mv", "_mv_file", "_cp_file", "_copy", "_put_file", "_put",
    "_pipe_file", "_touch", "touch", "_mkdir", "_makedirs", "_open", "open_async", "_get_file", "_get",
    "_cat_file", "_cat_ranges", "cat_ranges", "_get_content", "get_content", "_set_properties",
    "set_properties", "_checkout", "checkout", "_checkin", "checkin", "_preview", "preview",
    "_get_copy_status", "get_copy_status", "_msggraph_item_copy", "_msgraph_post", "msgraph_post",
    "_checksum", "checksum", "_msgraph_put", "msgraph_put", "_msgraph_delete", "msgraph_delete",
    "_msgraph_patch", "msgraph_patch",
)  # fmt: skip


def open_filesystem(client: GraphClient, folder: Callable[[], Folder]) -> OneDriveFileSystem:
    """Return a file system that shows a folder and what is below it."""
    filesystem = OneDriveFileSystem(client, folder)
    filesystem.storage_args = ()  # fsspec keeps the arguments there
    return filesystem


class OneDriveFileSystem(MSGDriveFS):  # type: ignore[misc]  # it is not typed
    """A folder of a OneDrive as an fsspec file system, to look around in.

    Paths start at the folder of the source. All methods that write, or read bytes without verifying them,
    raise `NotImplementedError`.
    """

    cachable = False
    protocol = ("onedrive",)

    def __init__(self, client: GraphClient, folder: Callable[[], Folder]) -> None:
        # With any drive_id, msgraphfs does not look for one in the environment. It is not used.
        super().__init__(drive_id="me", oauth2_client_params={})
        self._graph_client = client
        self._entry = folder
        self._pid = os.getpid()
        self.site_name = self.drive_name = None

    # --- paths and requests

    def _path_to_url(self, path: str, item_id: str | None = None, action: str | None = None) -> str:
        folder = self._entry()
        ending = f"/{action}" if action else ""
        if item_id is not None:
            return item_path(folder.drive_id, item_id) + ending
        segments = [segment for segment in str(self._strip_protocol(path)).split("/") if segment]
        if {".", ".."} & set(segments):
            raise FileNotFoundError("the path leads out of the folder")
        start = item_path(folder.drive_id, folder.id)
        below = "/".join(quote(segment, safe="") for segment in segments)
        return (f"{start}:/{below}:" if below else start) + ending

    async def _path_to_url_async(
        self, path: str, item_id: str | None = None, action: str | None = None
    ) -> str:
        return await asyncio.to_thread(self._path_to_url, path, item_id, action)

    async def _call_msgraph(self, http_method: str, url: Any, *args: Any, **kwargs: Any) -> Any:
        if http_method != "GET" or args:
            raise NotImplementedError("this file system is for looking only")
        client, params = self._graph_client, kwargs.get("params")
        return await self._asking(lambda: client.ask(lambda: client.send("GET", str(url), params=params)))

    async def _asking(self, ask: Callable[[], Any]) -> Any:
        # Ask in a thread: the loop that runs here may be that of a notebook, and must not wait.
        try:
            return await asyncio.to_thread(ask)
        except CallFailed as exc:
            if isinstance(exc, GraphError) and is_gone(exc):
                raise FileNotFoundError("no such file or folder") from None
            raise unavailable(exc, "the folder can't be looked at") from None

    # --- list and inspect

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._clean(path)
        url = await self._path_to_url_async(path)
        return self._described(await self._asking(lambda: self._graph_client.get(url)), path)

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT001, FBT002
        path = self._clean(path)
        entry = await self._info(path)
        if entry["type"] == "file":
            return [entry] if detail else [path]
        address = f"{item_path(self._entry().drive_id, str(entry['id']))}/children"
        items = await self._asking(lambda: list(pages(self._graph_client, address)))
        found = [self._described(item, f"{path.rstrip('/')}/{item['name']}") for item in items]
        return found if detail else [one["name"] for one in found]

    def _described(self, item: dict[str, Any], path: str) -> dict[str, Any]:
        """Return an item as fsspec wants it."""
        info: dict[str, Any] = self._drive_item_info_to_fsspec_info({**item, "parentReference": {}})
        info["name"] = path
        if "file" in item:
            info["type"] = "file"
        if "remoteItem" in item or "package" in item or "malware" in item:
            info["type"] = "other"
        item.pop("@microsoft.graph.downloadUrl", None)
        info["item_info"] = item
        return info

    async def _exists(self, path: str, **_: Any) -> bool:
        return bool(await self._type(path))

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
        return "/" + str(self._strip_protocol(path)).strip("/")

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return os.fspath(path).removeprefix("onedrive://").rstrip("/")

    # --- processes and secrets

    @property
    def loop(self) -> Any:
        if self._pid != os.getpid():
            # A forked child has none of its parent's threads, so the loop does not run there.
            self._pid, self._loop = os.getpid(), get_loop()
        return self._loop

    @property
    def client(self) -> NoReturn:
        raise NotImplementedError("this file system has no HTTP client of its own")

    def __del__(self) -> None:
        """Do nothing: the source closes the connections."""

    def __repr__(self) -> str:
        return "<OneDriveFileSystem>"

    def to_json(self, **_: Any) -> NoReturn:
        """Refuse: a file system holds a sign-in."""
        raise NotImplementedError("a OneDriveFileSystem holds a sign-in and can't be written down")

    to_dict = to_json
    __reduce__ = refuse_to_pickle


def _closed(name: str) -> Any:
    """Return a method that raises; an asynchronous one if the original is asynchronous."""
    text = "this file system is for looking only: the source reads and writes files"

    async def refuse(_: Any, *__: Any, **___: Any) -> NoReturn:
        raise NotImplementedError(text)

    def refuse_at_once(_: Any, *__: Any, **___: Any) -> NoReturn:
        raise NotImplementedError(text)

    return refuse if (name.startswith("_") and name != "_open") or name == "open_async" else refuse_at_once


for _name in _CLOSED:
    setattr(OneDriveFileSystem, _name, _closed(_name))
