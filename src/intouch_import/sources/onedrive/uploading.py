"""A new file in the folder, which appears whole or not at all."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from intouch_import import disk
from intouch_import.errors import NameRefused, NameTaken, SourceUnavailable
from intouch_import.sources.onedrive.items import DriveFile, Folder, file_of, hashes_of, item_path, quoted_tag
from intouch_import.sources.onedrive.quickxor import QuickXor
from intouch_import.sources.onedrive.refusals import GraphError, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

    from intouch_import.sources.onedrive.graph import Graph

__all__ = ["address_of", "look_for", "upload"]

# Small uploads of up to 250 MB are taken by now, 4 MiB everywhere and since ever; larger ones in fragments
# of a multiple of 320 KiB (https://learn.microsoft.com/graph/api/driveitem-createuploadsession).
_SMALL_BYTES: Final = 4 * 1024 * 1024
_FRAGMENT_BYTES: Final = 16 * 320 * 1024
_FAIL: Final = "fail"
_BEHAVIOUR: Final = "@microsoft.graph.conflictBehavior"


def address_of(folder: Folder, name: str) -> str:
    """The address of whatever has this name in the folder."""
    return f"{item_path(folder.drive_id, folder.id)}:/{quote(name, safe='')}:"


def look_for(graph: Graph, folder: Folder, name: str) -> dict[str, Any] | None:
    """What stands under a name; None if nothing does.

    Raises:
        GraphError: It can't be asked, or the folder itself is gone.
    """
    try:
        item = graph.get(address_of(folder, name))
    except GraphError as exc:
        if not is_gone(exc):
            raise
        graph.get(item_path(folder.drive_id, folder.id), **{"$select": "id"})  # raises if there is no folder
        return None
    # The service drops blanks and, at times, dots at the end of a name: that is another file.
    return item if str(item["name"]).lower() == name.lower() else None


def upload(graph: Graph, folder: Folder, name: str, chunks: Iterable[bytes]) -> DriveFile:
    """Write a new file.

    Raises:
        NameTaken: A file of that name is there; it was not touched.
        NameRefused: The service can't hold a file of that name.
        SourceUnavailable: What arrived there is not what was sent; it was taken away again.
        GraphError, SourceError: It could not be written.
    """
    with tempfile.TemporaryFile() as whole:
        hashing = QuickXor()
        size = disk.copy_and_digest(_hashed(chunks, hashing), whole).size_bytes
        whole.seek(0)
        sent = _Sent(graph, folder, name, size, hashing.hexdigest())
        item = sent.small(whole.read()) if size <= _SMALL_BYTES else sent.large(whole)
    return sent.checked(item)


class _Sent:
    """One upload."""

    def __init__(self, graph: Graph, folder: Folder, name: str, size: int, quickxor: str) -> None:
        self._graph = graph
        self._folder = folder
        self._name = name
        self._size = size
        self._quickxor = quickxor
        self._in_doubt = False

    def small(self, content: bytes) -> dict[str, Any]:
        """All in one request."""

        def attempt() -> dict[str, Any]:
            try:
                response = self._graph.send(
                    "PUT",
                    f"{address_of(self._folder, self._name)}/content",
                    params={_BEHAVIOUR: _FAIL},
                    headers={"Content-Type": "application/octet-stream"},
                    content=content,
                )
            except GraphError as exc:
                return self._after(exc)
            except Exception:
                self._in_doubt = True
                raise
            found: dict[str, Any] = response.json()
            return found

        return self._graph.ask(attempt)

    def large(self, whole: IO[bytes]) -> dict[str, Any]:
        """In fragments, to an address of its own; the file appears with the last."""
        address = self._graph.ask(self._begin)
        try:
            while True:
                item = self._graph.ask(lambda: self._next_fragment(address, whole))
                if item is not None:
                    return item
        except BaseException:
            self._give_up(address)
            raise

    def checked(self, item: dict[str, Any]) -> DriveFile:
        """What stands there now, if it is what was sent."""
        told = hashes_of(item).get("quickxor", self._quickxor)
        file = file_of(item)
        if (
            file.size_bytes == self._size
            and told == self._quickxor
            and file.name.lower() == self._name.lower()
        ):
            return file
        # Ours, and wrong. It has just been made, by this very call: nobody else can mean it.
        if file.etag is not None:
            address = item_path(self._folder.drive_id, str(item["id"]))
            headers = {"If-Match": quoted_tag(file.etag)}
            self._graph.ask(lambda: self._graph.send("DELETE", address, headers=headers))
        raise SourceUnavailable("OneDrive did not keep the file as it was sent")

    def _begin(self) -> str:
        try:
            response = self._graph.send(
                "POST",
                f"{address_of(self._folder, self._name)}/createUploadSession",
                json={"item": {_BEHAVIOUR: _FAIL}},
            )
        except GraphError as exc:
            raise _named(exc) from None
        return str(response.json()["uploadUrl"])

    def _next_fragment(self, address: str, whole: IO[bytes]) -> dict[str, Any] | None:
        """Send what is wanted next; the item, once that was the last."""
        start = 0
        if whole.tell() or self._in_doubt:
            try:
                start = _next_start(self._graph.upload_status(address))
            except GraphError as exc:
                # The last fragment had its effect and its answer was lost: the upload is over, the file is
                # there.
                if exc.status == 404 and self._in_doubt:  # noqa: PLR2004
                    return self._ours() or self._raise(exc)
                raise
        whole.seek(start)
        piece = whole.read(_FRAGMENT_BYTES)
        headers = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{self._size}"}
        try:
            response = self._graph.upload(address, content=piece, headers=headers)
        except GraphError as exc:
            if exc.status >= 500:  # noqa: PLR2004
                self._in_doubt = True
            raise _named(exc) from None
        except Exception:
            self._in_doubt = True
            raise
        found: dict[str, Any] = response.json()
        return found if "id" in found else None

    def _give_up(self, address: str) -> None:
        try:
            self._graph.cancel_upload(address)
        except Exception:  # noqa: BLE001  # it ends by itself after some days, and nothing of it is ever seen
            return

    def _after(self, exc: GraphError) -> dict[str, Any]:
        """What a refusal of the small upload means."""
        if exc.status >= 500:  # noqa: PLR2004
            self._in_doubt = True
        if exc.status == 409 and self._in_doubt and (item := self._ours()) is not None:  # noqa: PLR2004
            return item
        raise _named(exc) from None

    def _ours(self) -> dict[str, Any] | None:
        """The file, if an earlier request of ours has made it though its answer was lost."""
        item = look_for(self._graph, self._folder, self._name)
        if item is None or hashes_of(item).get("quickxor") != self._quickxor:
            return None
        return item if file_of(item).size_bytes == self._size else None

    @staticmethod
    def _raise(exc: GraphError) -> dict[str, Any]:
        raise exc


def _named(exc: GraphError) -> Exception:
    """A refusal that is about the name."""
    if exc.status == 409:  # noqa: PLR2004
        return NameTaken("a file of that name is there already")
    if exc.status == 400 and exc.codes & {"invalidPath", "invalidRequest", "pathIsTooLong"}:  # noqa: PLR2004
        return NameRefused("OneDrive can't hold a file of that name")
    return exc


def _next_start(status: dict[str, Any]) -> int:
    return int(str(status["nextExpectedRanges"][0]).partition("-")[0])


def _hashed(chunks: Iterable[bytes], hashing: QuickXor) -> Iterable[bytes]:
    for chunk in chunks:
        hashing.update(chunk)
        yield chunk
