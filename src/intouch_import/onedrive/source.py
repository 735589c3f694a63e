"""`OneDriveSource`: one folder of a OneDrive or of a SharePoint library."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from intouch_import.cloud.retry import Patience
from intouch_import.content import StagedContent, staging_file
from intouch_import.errors import (
    ConfigError,
    ContentAltered,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
)
from intouch_import.forks import PerProcess
from intouch_import.model import EntryKind, Reason
from intouch_import.onedrive.client import PUBLIC_CLOUD, GraphClient, checked_endpoint
from intouch_import.onedrive.errors import ABOUT_ALL, GraphError, TransferFailed, explaining, is_gone
from intouch_import.onedrive.listing import Folder, Listing, can_be_held, item_path, source_file
from intouch_import.onedrive.removing import delete
from intouch_import.onedrive.transfer import download, look_for, upload
from intouch_import.secret import refuse_to_pickle
from intouch_import.signin import SignIn
from intouch_import.sources.base import ConnectedSource, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from intouch_import.content import Content
    from intouch_import.model import SourceFile

__all__ = ["OneDriveSource"]

log = logging.getLogger(__name__)

_SELECT: Final = "id,name,folder,package,remoteItem,parentReference,root"
_REFUSED: Final = frozenset('"*:<>?|\\')
# A proxy may have altered the bytes, and stop. Reading a large file in each refresh would load the network.
_READ_AGAIN_AFTER_S: Final = 15 * 60.0


class OneDriveSource(ConnectedSource):
    """A folder of a OneDrive, Business or Personal, or of a SharePoint library.

    Opening the source sends no request. So if OneDrive can't be reached, or nobody is signed in, the refresh
    reports a problem, and the program that opens the source goes on. Files are addressed by their ids. The
    version of a file is its cTag, which changes only with the content.

    Args:
        path: Folder, ``/images/intouch``; empty or ``/`` for the root.
        signin: Returns access tokens: a `intouch_import.signin.SignIn`, or any callable
            ``(force: bool = False) -> str``.
        drive_id: Another drive than the account's own: a SharePoint library, somebody else's OneDrive.
        folder_id: Start at this folder of the drive instead of its root, for a folder that was shared.
        app_folder: Start at the app's own folder, for which ``Files.ReadWrite.AppFolder`` is enough.
        endpoint: Another Graph host than Microsoft's: a national cloud, a proxy, an emulator. Plain http only
            for this machine.
        patience: How long one operation may wait for the service, and whom to notify.
        timeout_s: How long to wait for an answer, seconds.
        relist_after_s: Age at which the folder is listed from the start again, seconds.
        provider, source_id, label: See `Source`.

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
        timeout_s: float = 60.0,
        relist_after_s: float = 6 * 3600.0,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        if not callable(signin):
            raise ConfigError("signin= must be a SignIn, or a callable that returns access tokens")
        self._address = _FolderAddress(
            segments=_segments(path, drive_id, folder_id, app_folder=app_folder),
            drive_id=drive_id,
            folder_id=folder_id,
            app_folder=app_folder,
        )
        segments = self._address.segments
        host = checked_endpoint(endpoint or PUBLIC_CLOUD)
        # The same path in two drives is two folders. The account is known only after somebody has signed in,
        # so the app that a provider registered is used in its place.
        app = getattr(getattr(signin, "server", None), "client_id", "")
        parts = (host, app, drive_id or "", folder_id or "", "app" if app_folder else "", *segments)
        super().__init__(
            "/".join(parts),
            provider=provider,
            source_id=source_id,
            label=label if label is not None else "/".join(segments[-1:]) or "OneDrive",
        )
        self._signin = signin
        self._client = GraphClient(
            endpoint=host,
            signin=signin,
            patience=patience or Patience(),
            timeout_s=timeout_s,
            source_id=self.source_id,
        )
        self._relist_after_s = relist_after_s
        self._listing = Listing(self._client, relist_after_s=relist_after_s)
        self._states = PerProcess(_State)

    def scan(self) -> Iterator[SourceFile]:
        with explaining("the folder can't be listed", self.source_id):
            state = self._states()
            with state.lock:
                # If `below` has just found the folder, do not look for it again before its first listing.
                if state.listed or state.folder is None:
                    state.folder = self._address.find(self._client)
                folder, state.listed = state.folder, True
            files = self._listing.refresh(folder)
        log.info("a OneDrive folder was listed", extra={"source_id": self.source_id, "count": len(files)})
        return iter(files)

    def look(self, name: str) -> SourceFile | None:
        _check_name(name)
        with explaining("the folder can't be asked", self.source_id):
            item = look_for(self._client, self._folder(), name)
            return None if item is None else source_file(item)

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        return self._fetch(file, staging, altered=False)

    def fetch_as_delivered(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        return self._fetch(file, staging, altered=True)

    def remove(self, file: SourceFile, *, sha256: str) -> None:  # noqa: ARG002  # the tag pins it
        _check_kind(file)
        if file.handle is None:
            raise FileVanished("the file was not listed by this location")
        key, state = (file.handle, file.version), self._states()
        if key in state.altered:
            raise NotRemoved(
                "OneDrive delivers other bytes than it stores: a person must remove the file",
                reason=Reason.LEFT_IN_SOURCE,
                retry_helps=False,
            )
        with explaining("it is not known whether the file is gone", self.source_id):
            delete(self._client, self._folder(), file, was_read=key in state.read)
        state.read.discard(key)
        self._listing.forget(file.handle)

    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        _check_name(name)
        with explaining("the file could not be written", self.source_id):
            folder = self._folder()
            # Ask before a large file is sent for nothing.
            if look_for(self._client, folder, name) is not None:
                raise NameTaken("there is already a file of this name")
            return upload(self._client, folder, name, chunks)

    def _descend(self, folders: Sequence[str]) -> None:
        for folder in folders:
            _check_name(folder)
        with explaining("the folder can't be opened", self.source_id):
            if folders:
                above = self._folder()
                self._address = _FolderAddress(
                    segments=tuple(folders), drive_id=above.drive_id, folder_id=above.id, through_links=False
                )
            self._listing = Listing(self._client, relist_after_s=self._relist_after_s)
            self._states = PerProcess(_State)
            self._folder()  # raises if there is no such folder

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        if not isinstance(self._signin, SignIn):
            return False
        self._signin.sign_in(cancelled=cancelled)
        return True

    def _disconnect(self) -> None:
        self._client.close()

    __reduce__ = refuse_to_pickle

    def _fetch(self, file: SourceFile, staging: Path | None, *, altered: bool) -> Content:
        _check_kind(file)
        key, state = (file.handle or "", file.version), self._states()
        since_s = state.altered.get(key)
        if since_s is not None and not altered and time.monotonic() - since_s < _READ_AGAIN_AFTER_S:
            raise _altered()
        with (
            explaining("the file could not be read", self.source_id),
            staging_file(staging) as (target, path),
        ):
            try:
                found = download(self._client, self._folder(), file, target)
            except TransferFailed:
                raise FileUnreadable("the file could not be downloaded completely") from None
            except GraphError as exc:
                # Take it as a problem of this file: if the whole drive failed, it could not be listed.
                if exc.status in ABOUT_ALL or "driveNotFound" in exc.codes:
                    raise
                raise FileUnreadable("OneDrive does not send the file now", status=exc.status) from None
            if found.agrees:
                state.altered.pop(key, None)
                state.read.add(key)
            else:
                state.altered[key] = time.monotonic()
                if not altered:
                    raise _altered()
            content = StagedContent(path, found.digested)
            content.is_altered = not found.agrees
            return content

    def _folder(self) -> Folder:
        """Return the folder; ask for it only if it is not known yet."""
        state = self._states()
        with state.lock:
            if state.folder is None:
                state.folder = self._address.find(self._client)
            return state.folder


class _State:
    """What one process knows of the folder and of its files; files are known by id and version."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.folder: Folder | None = None
        self.listed = False
        self.altered: dict[tuple[str, str], float] = {}  # when each was read last, by `time.monotonic`
        self.read: set[tuple[str, str]] = set()


def _altered() -> ContentAltered:
    return ContentAltered("OneDrive delivers other bytes than it stores")


def _check_name(name: str) -> None:
    check_name(name, windows=False)
    if not can_be_held(name):
        raise NameRefused("OneDrive does not accept this name")


def _check_kind(file: SourceFile) -> None:
    if file.kind is not EntryKind.FILE:
        raise FileUnreadable("only files are read and removed", retry_helps=False)


# --- where the folder is


@attrs.frozen(kw_only=True, repr=False)
class _FolderAddress:
    """Where the settings say that the folder is.

    Args:
        segments: The path, below the root of the drive, `folder_id` or the app's folder.
        drive_id: Another drive than the account's own.
        folder_id: A folder of that drive.
        app_folder: Start at the folder that belongs to the app.
        through_links: Whether a shortcut on the path may lead to another drive.
    """

    segments: tuple[str, ...]
    drive_id: str | None = None
    folder_id: str | None = None
    app_folder: bool = False
    through_links: bool = True

    def find(self, client: GraphClient) -> Folder:
        """Ask Graph for the folder.

        Raises:
            GraphError: Graph refused, or there is no such folder.
            SourceUnavailable: It is not a folder, or it is a link that must not be followed.
        """
        try:
            item = self._item(client, len(self.segments))
            if "remoteItem" in item and not self.through_links:
                raise SourceUnavailable("there is a link where a folder was listed", retry_helps=False)
            return _folder(item)
        except GraphError as exc:
            may_continue = self.through_links and is_gone(exc) and len(self.segments) > 1
            found = self._through_shortcut(client) if may_continue else None
            if found is None:
                raise
            return found

    def _through_shortcut(self, client: GraphClient) -> Folder | None:
        """Find a path that leads through a shared folder into another drive, which Graph does not follow."""
        for count in range(1, len(self.segments)):
            try:
                item = self._item(client, count)
            except GraphError as exc:
                if is_gone(exc):
                    return None
                raise
            if "remoteItem" in item:
                there = _folder(item)
                rest = _FolderAddress(
                    segments=self.segments[count:], drive_id=there.drive_id, folder_id=there.id
                )
                return rest.find(client)
        return None

    def _item(self, client: GraphClient, count: int) -> dict[str, Any]:
        """Ask for the item at the first segments of the path."""
        drive = "/me/drive" if self.drive_id is None else item_path(self.drive_id)
        if self.folder_id is not None:
            start = f"{drive}/items/{quote(self.folder_id, safe='!')}"
        else:
            start = f"{drive}/special/approot" if self.app_folder else f"{drive}/root"
        # Encode each segment: a ``#`` or ``%`` in it would end the path.
        path = "/".join(quote(segment, safe="") for segment in self.segments[:count])
        return client.get(f"{start}:/{path}:" if path else start, **{"$select": _SELECT})


def _segments(path: str, drive_id: str | None, folder_id: str | None, *, app_folder: bool) -> tuple[str, ...]:
    """Check where the settings say that the folder is, and split its path.

    Raises:
        ConfigError: The settings make no sense.
    """
    if path and not path.startswith("/"):
        raise ConfigError("write onedrive:///folder, with three slashes: the drive is given as drive_id=")
    segments = tuple(filter(None, path.split("/")))
    if any(segment in {".", ".."} or _REFUSED & set(segment) for segment in segments):
        raise ConfigError("the folder has . or .. in it, or a character that OneDrive does not accept")
    if app_folder and (drive_id or folder_id):
        raise ConfigError("app_folder= is in the account's own drive: leave out drive_id= and folder_id=")
    for given in (drive_id, folder_id):
        if given is not None and (not given.strip() or "/" in given):
            raise ConfigError("drive_id= and folder_id= must be ids from Microsoft Graph")
    return segments


def _folder(item: Mapping[str, Any]) -> Folder:
    # A shared folder is only a pointer to another drive.
    there = item.get("remoteItem") or item
    reference = there["parentReference"]
    if "folder" not in there or "package" in there:
        raise SourceUnavailable("the source is not a folder", retry_helps=False)
    return Folder(
        drive_id=str(reference["driveId"]), id=str(there["id"]), kind=str(reference.get("driveType") or "")
    )
