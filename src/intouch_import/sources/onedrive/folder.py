"""Which folder of which drive: a path, an id, the app's own folder, or one that somebody shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from intouch_import.errors import ConfigError, SourceUnavailable
from intouch_import.sources.onedrive.items import Folder, item_path
from intouch_import.sources.onedrive.refusals import GraphError, is_gone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intouch_import.sources.onedrive.graph import Graph

__all__ = ["Entry"]

_SELECT: Final = "id,name,folder,package,remoteItem,parentReference,root"
_REFUSED: Final = frozenset('"*:<>?|\\')


@attrs.frozen(kw_only=True, repr=False)
class Entry:
    """What the settings say.

    Args:
        segments: The path, below the drive's root or below `folder_id` or the app's folder.
        drive_id: Another drive than the account's own: a SharePoint library, somebody else's OneDrive.
        folder_id: A folder of that drive.
        app_folder: Begin at the folder that belongs to the app.
        through_links: Whether the folder, or one on the way to it, may be in another drive that a shortcut
            leads to.
    """

    segments: tuple[str, ...]
    drive_id: str | None = None
    folder_id: str | None = None
    app_folder: bool = False
    through_links: bool = True

    @classmethod
    def of(cls, path: str, *, drive_id: str | None, folder_id: str | None, app_folder: bool) -> Entry:
        """Read settings.

        Raises:
            ConfigError: They make no sense.
        """
        if path and not path.startswith("/"):
            raise ConfigError("write onedrive:///folder, with three slashes: the drive is given as drive_id=")
        segments = tuple(filter(None, path.split("/")))
        if any(segment in {".", ".."} or _REFUSED & set(segment) for segment in segments):
            raise ConfigError(
                "the folder has . or .. in it, or a character that OneDrive has no folders with"
            )
        if app_folder and (drive_id or folder_id):
            raise ConfigError(
                "app_folder= is in the account's own drive: it goes with no drive_id= or folder_id="
            )
        for given in (drive_id, folder_id):
            if given is not None and (not given.strip() or "/" in given):
                raise ConfigError("drive_id= and folder_id= are ids as Microsoft Graph gives them")
        return cls(segments=segments, drive_id=drive_id, folder_id=folder_id, app_folder=app_folder)

    def find(self, graph: Graph) -> Folder:
        """Ask where the folder is.

        Raises:
            GraphError: It can't be asked, or there is none.
            SourceUnavailable: What stands there is not a folder, or is a link that is not to be followed.
        """
        try:
            item = graph.get(_address(self._start(), self.segments), **{"$select": _SELECT})
            if "remoteItem" in item and not self.through_links:
                raise SourceUnavailable("a link stands where a folder was listed", retry_helps=False)
            return _folder(item)
        except GraphError as exc:
            further = self.through_links and is_gone(exc) and len(self.segments) > 1
            found = self._through_shortcut(graph) if further else None
            if found is None:
                raise
            return found

    def _start(self) -> str:
        drive = "/me/drive" if self.drive_id is None else item_path(self.drive_id)
        if self.folder_id is not None:
            return f"{drive}/items/{quote(self.folder_id, safe='!')}"
        return f"{drive}/special/approot" if self.app_folder else f"{drive}/root"

    def _through_shortcut(self, graph: Graph) -> Folder | None:
        """A path through a shared folder: it goes on in another drive, which Graph's own paths don't do."""
        for count in range(1, len(self.segments)):
            try:
                item = graph.get(_address(self._start(), self.segments[:count]), **{"$select": _SELECT})
            except GraphError as exc:
                if is_gone(exc):
                    return None
                raise
            if "remoteItem" in item:
                there = _folder(item)
                rest = Entry(segments=self.segments[count:], drive_id=there.drive_id, folder_id=there.id)
                return rest.find(graph)
        return None


def _address(start: str, segments: tuple[str, ...]) -> str:
    # Each part is encoded whole: a path is text that somebody chose, and ``#`` or ``%`` in it would end it
    # early.
    path = "/".join(quote(segment, safe="") for segment in segments)
    return f"{start}:/{path}:" if path else start


def _folder(item: Mapping[str, Any]) -> Folder:
    # A folder that somebody shared stands in the drive as a mere pointer to another drive.
    there = item.get("remoteItem") or item
    reference = there["parentReference"]
    if "folder" not in there or "package" in there:
        raise SourceUnavailable("the source is not a folder", retry_helps=False)
    return Folder(
        drive_id=str(reference["driveId"]), id=str(there["id"]), kind=str(reference.get("driveType") or "")
    )
