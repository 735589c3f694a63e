"""`OneDriveSource`: one folder of a OneDrive or of a SharePoint library."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn
from urllib.parse import quote

import attrs

from intouch_import.cloud.retry import Patience
from intouch_import.content import StagedContent, staging_file
from intouch_import.errors import (
    ConfigError,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
)
from intouch_import.extras import needing
from intouch_import.model import EntryKind, Reason
from intouch_import.onedrive.client import PUBLIC_CLOUD, Graph, PerProcess, checked_endpoint
from intouch_import.onedrive.errors import (
    ABOUT_ALL,
    GraphError,
    TransferFailed,
    explaining,
    is_gone,
)
from intouch_import.onedrive.listing import Folder, Listing, can_be_held, file_of, item_path
from intouch_import.onedrive.removing import Deletion
from intouch_import.onedrive.transfer import fetch_into, look_for, refuse_altered, upload
from intouch_import.signin import SignIn
from intouch_import.sources.base import ConnectedSource, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content
    from intouch_import.model import SourceFile

__all__ = ["Entry", "OneDriveSource"]

log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 60.0
_RELIST_AFTER_S: Final = 6 * 3600.0


class OneDriveSource(ConnectedSource):
    """A folder of a OneDrive, Business or Personal, or of a SharePoint library.

    Nothing is asked before the first listing, so that a location which can't be reached, or where nobody is
    signed in, is a problem of the refresh and not an error of the program that opens it. Files are addressed
    by their ids; their version is the cTag, which changes with the content alone. See `Source` for the
    arguments that are not named here.

    Args:
        path: Folder, ``/images/intouch``; empty or ``/`` for the root.
        signin: Gives access tokens: a `intouch_import.signin.SignIn`, or any callable
            ``(force: bool = False) -> str``.
        drive_id: Another drive than the account's own: a SharePoint library, somebody else's OneDrive.
        folder_id: Begin at this folder of the drive instead of its root: one that was shared.
        app_folder: Begin at the app's own folder, which ``Files.ReadWrite.AppFolder`` is enough for.
        endpoint: Another Graph host than Microsoft's: a national cloud, a proxy, an emulator. Plain http for
            this machine alone.
        patience: How long it waits for a service that asks for time, and who is told.
        timeout_s: How long to wait for an answer, seconds.
        relist_after_s: After how long the folder is listed whole again, though Graph told all changes since.

    Raises:
        ConfigError: An argument makes no sense.
    """

    location: ClassVar[str] = "onedrive"
    commits_whole = True
    concurrency = 8

    def __init__(
        self,
        path: str = "",
        *,
        signin: Callable[..., str],
        drive_id: str | None = None,
        folder_id: str | None = None,
        app_folder: bool = False,
        endpoint: str | None = None,
        patience: Patience | None = None,
        timeout_s: float = _TIMEOUT_S,
        relist_after_s: float = _RELIST_AFTER_S,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        if not callable(signin):
            raise ConfigError("signin= is a SignIn, or a callable that gives access tokens")
        self._entry = Entry.of(path, drive_id=drive_id, folder_id=folder_id, app_folder=app_folder)
        host = checked_endpoint(endpoint or PUBLIC_CLOUD)
        # The same path in two drives is two folders. Which account it is, is known only after somebody has
        # signed in; the app that a provider registered stands for it.
        app = getattr(getattr(signin, "server", None), "client_id", "")
        parts = (
            host,
            app,
            drive_id or "",
            folder_id or "",
            "app" if app_folder else "",
            *self._entry.segments,
        )
        super().__init__(
            "/".join(parts),
            provider=provider,
            source_id=source_id,
            label=label if label is not None else "/".join(self._entry.segments[-1:]) or "OneDrive",
        )
        self._signin = signin
        self._graph = Graph(
            endpoint=host,
            signin=signin,
            patience=patience or Patience(),
            timeout_s=timeout_s,
            source_id=self.source_id,
        )
        self._relist_after_s = relist_after_s
        self._listing = Listing(self._graph, relist_after_s=relist_after_s)
        self._places: PerProcess[_Place] = PerProcess(_Place)

    @property
    def filesystem(self) -> AbstractFileSystem:
        what = "the file system of OneDrive folders needs msgraphfs"
        with needing(what, "msgraphfs", install="intouch-import[onedrive]"):
            from intouch_import.onedrive.filesystem import OneDriveFileSystem
        return OneDriveFileSystem.on(self._graph, self._folder)

    def scan(self) -> Iterator[SourceFile]:
        with self._explaining("the folder can't be listed"):
            place = self._places()
            with place.lock:
                # A folder that was found just to open it is not looked for again before its first listing.
                if place.listed or place.folder is None:
                    place.folder = self._entry.find(self._graph)
                folder, place.listed = place.folder, True
            files = self._listing.refresh(folder)
        log.info("a OneDrive folder was listed", extra={"source_id": self.source_id, "count": len(files)})
        return iter(files)

    def look(self, name: str) -> SourceFile | None:
        self._check_name(name)
        with self._explaining("the folder can't be asked"):
            item = look_for(self._graph, self._folder(), name)
            return None if item is None else file_of(item)

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        return self._fetched(file, staging, altered=False)

    def fetch_as_delivered(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        return self._fetched(file, staging, altered=True)

    def remove(self, file: SourceFile, *, sha256: str) -> None:  # noqa: ARG002  # the tag pins it
        self._check_kind(file)
        if file.handle is None:
            raise FileVanished("the file was not listed by this location")
        if (file.handle, file.version) in self._places().altered:
            raise NotRemoved(
                "OneDrive delivers other bytes than it says that it holds: a person must remove the file",
                reason=Reason.LEFT_IN_SOURCE,
                retry_helps=False,
            )
        with self._explaining("it is not known whether the file is gone"):
            was_read = (file.handle, file.version) in self._places().read
            Deletion(self._graph, self._folder(), file).run(was_read=was_read)
        self._places().read.discard((file.handle, file.version))
        self._listing.forget(file.handle)

    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        self._check_name(name)
        with self._explaining("the file could not be written"):
            folder = self._folder()
            # Asked first: a large file should not travel in vain.
            if look_for(self._graph, folder, name) is not None:
                raise NameTaken("a file of that name is there already")
            return upload(self._graph, folder, name, chunks)

    def _descend(self, folders: Sequence[str]) -> None:
        for folder in folders:
            self._check_name(folder)
        with self._explaining("the folder can't be opened"):
            if folders:
                above = self._folder()
                self._entry = Entry(
                    segments=tuple(folders), drive_id=above.drive_id, folder_id=above.id, through_links=False
                )
            self._listing = Listing(self._graph, relist_after_s=self._relist_after_s)
            self._places = PerProcess(_Place)
            self._folder()

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        if not isinstance(self._signin, SignIn):
            return False  # the host's own: it sees to its people itself
        self._signin.sign_in(cancelled=cancelled)
        return True

    def _disconnect(self) -> None:
        self._graph.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a OneDrive source holds a sign-in and is not pickled: open it where it is needed")

    # --- inside

    def _fetched(self, file: SourceFile, staging: Path | None, *, altered: bool) -> Content:
        self._check_kind(file)
        known = self._places().altered
        key = (file.handle or "", file.version)
        if key in known and not altered:
            raise refuse_altered()
        with self._explaining("the file could not be read"), staging_file(staging) as (target, path):
            try:
                found = fetch_into(self._graph, self._folder(), file, target)
            except TransferFailed:
                raise FileUnreadable("the file's bytes did not come as they were announced") from None
            except GraphError as exc:
                # About one file, as far as is known: a drive that fails altogether can't be listed.
                if exc.status in ABOUT_ALL:
                    raise
                raise FileUnreadable("OneDrive does not give the file now", status=exc.status) from None
            if found.agrees:
                self._places().read.add(key)
                return StagedContent(path, found.digested)
            known.add(key)
            if not altered:
                raise refuse_altered()
            return StagedContent(path, found.digested)

    @staticmethod
    def _check_name(name: str) -> None:
        check_name(name, windows=False)
        if not can_be_held(name):
            raise NameRefused("OneDrive can't hold a file of that name")

    @staticmethod
    def _check_kind(file: SourceFile) -> None:
        if file.kind is not EntryKind.FILE:
            raise FileUnreadable("only files are read and removed", retry_helps=False)

    def _folder(self) -> Folder:
        place = self._places()
        with place.lock:
            if place.folder is None:
                place.folder = self._entry.find(self._graph)
            return place.folder

    def _explaining(self, text: str) -> Any:
        return explaining(text, self.source_id)


class _Place:
    """What one process knows of the folder, and of files that are delivered otherwise than they are told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.folder: Folder | None = None
        self.listed = False
        self.altered: set[tuple[str, str]] = set()
        self.read: set[tuple[str, str]] = set()


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
