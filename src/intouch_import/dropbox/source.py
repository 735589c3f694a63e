"""`DropboxSource`: one folder of a Dropbox."""

from __future__ import annotations

import functools
import importlib.util
import logging
import time
from typing import TYPE_CHECKING, ClassVar, Final

from intouch_import.cloud.retry import Patience
from intouch_import.dropbox.account import Account, WriteState, checked_endpoint
from intouch_import.dropbox.errors import CallFailed, NoAnswer, Refused, explaining
from intouch_import.dropbox.listing import Listing, checked_name, folded, folder_path, source_file
from intouch_import.dropbox.transfer import delete, delete_together, download, upload
from intouch_import.errors import ConfigError, MissingExtraError, SourceUnavailable
from intouch_import.secret import refuse_to_pickle
from intouch_import.signin import SignIn
from intouch_import.sources.base import ConnectedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from intouch_import.content import Content
    from intouch_import.dropbox.client import DropboxClient
    from intouch_import.model import SourceFile

__all__ = ["DropboxSource"]

log = logging.getLogger(__name__)

_SHORTEST_POLL_S, _LONGEST_POLL_S = 30, 480
_LATE_S: Final = 90  # Dropbox may answer a longpoll so much later than asked


class DropboxSource(ConnectedSource):
    """A folder of a Dropbox. The version of a file is its ``rev``.

    Opening the source sends no request. So if Dropbox can't be reached, or nobody is signed in, the refresh
    reports a problem, and the program that opens the source goes on. The first refresh lists the whole
    folder, later ones ask for changes only. Downloaded bytes are checked against Dropbox's own hash. Only the
    version that was read is removed.

    Args:
        path: Folder, ``/apps/intouch``, in any letter case; empty or ``/`` for the root. If the app is
            registered for an app folder, that is the root.
        signin: Returns access tokens: a `SignIn`, or any callable ``(force: bool = False) -> str``.
        hosted: Whether the practice is hosted in the vendor's cloud, where Dropbox is not allowed.
        team_space: Start at the root of the team space instead of the member's own folder.
        endpoint: Another server for all hosts of Dropbox: a proxy, a server for tests. Plain http only for
            this machine.
        patience: How long one operation may wait for the service, and whom to notify; by default 60 s.
        concurrency: How many files are read in parallel.
        timeout_s: How long the service may be silent within one call, seconds.
        relist_after_s: Age at which the folder is listed from the start again, seconds.
        provider, source_id, label: See `Source`.

    Raises:
        ConfigError: An argument makes no sense, or the practice is hosted.
        MissingExtraError: The packages of the extra ``dropbox`` are not installed.
    """

    location: ClassVar[str] = "dropbox"
    commits_whole = True
    reports_changes = True
    removes_together = 200

    def __init__(
        self,
        path: str = "",
        *,
        signin: Callable[..., str] | None = None,
        hosted: bool = False,
        team_space: bool = False,
        endpoint: str | None = None,
        patience: Patience | None = None,
        concurrency: int = 8,
        timeout_s: float = 60.0,
        relist_after_s: float = 6 * 3600.0,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        if hosted:
            raise ConfigError("a practice that is hosted in the vendor's cloud can't use Dropbox")
        if not callable(signin):
            raise ConfigError("signin= must be a SignIn, or a callable that returns access tokens")
        if concurrency < 1 or timeout_s <= 0:
            raise ConfigError("concurrency must be at least 1, and timeout_s above 0")
        # Look for the packages only: to load them takes more than a second.
        if any(importlib.util.find_spec(name) is None for name in ("requests", "dropbox", "dropboxdrivefs")):
            raise MissingExtraError("Dropbox needs dropboxdrivefs: pip install 'intouch-import[dropbox]'")
        self._path = folder_path(path)
        self._endpoint = checked_endpoint(endpoint)
        # The same path in two accounts is two folders.
        owner = getattr(signin, "account", "") or ""
        super().__init__(
            f"dropbox://{owner}{'@team' if team_space else ''}{folded(self._path)}",
            provider=provider,
            source_id=source_id,
            label=label if label is not None else self._path.rpartition("/")[2] or "Dropbox",
        )
        self.concurrency = concurrency
        self._signin = signin
        self._team_space = team_space
        self._timeout_s = timeout_s
        self._account = Account(
            self._open_client, patience=patience if patience is not None else Patience(), owner=signin
        )
        self._listing = Listing(self._account.read, relist_after_s=relist_after_s)
        self._relist_after_s = relist_after_s
        self._found: tuple[str, str] | None = None
        self._poll_after_s = 0.0

    def scan(self) -> Iterator[SourceFile]:
        with explaining("the folder can't be listed"):
            # If `below` has just found the folder, do not look for it again before its first listing.
            started = self._listing.cursor is not None
            found = self._find_folder() if started or self._found is None else self._found
            files = self._listing.refresh(*found)
        log.info("a Dropbox folder was listed", extra={"source_id": self.source_id, "count": len(files)})
        yield from files

    def look(self, name: str) -> SourceFile | None:
        path = self._file(name)
        with explaining("the location can't be asked"):
            found = self._account.metadata(path)
            if found is None:
                self._find_folder()  # raises if the whole folder is gone
            return None if found is None else source_file(found)

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        path = self._file(file.name)
        return download(self._account, path, file, folder=self._folder(), staging=staging)

    def remove(self, file: SourceFile, *, sha256: str) -> None:  # noqa: ARG002  # the revision pins it
        path = self._file(file.name)
        with self._account.writer:
            delete(self._account, path, file, WriteState())
        self._listing.forget(file)

    def remove_many(self, files: Sequence[SourceFile]) -> list[Exception | None]:
        wanted = [(self._file(file.name), file) for file in files]
        with self._account.writer:
            ends = delete_together(self._account, wanted)
        for file, end in zip(files, ends, strict=True):
            if end is None:
                self._listing.forget(file)
        return ends

    def put_back(self, name: str, chunks: Iterable[bytes], *, modified_at: datetime | None) -> SourceFile:
        return self.put(name, chunks, modified_at=modified_at)

    def put(self, name: str, chunks: Iterable[bytes], *, modified_at: datetime | None = None) -> SourceFile:
        path = self._file(name)
        with explaining("the file could not be written"):
            # If the folder were gone, Dropbox would create it again with this file alone in it.
            self._find_folder()
            return source_file(upload(self._account, path, chunks, modified_at=modified_at))

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait until something in the folder has changed since it was listed; see `Source.wait_for_change`.

        Dropbox keeps the request open for 30 to 480 s and answers as soon as there is a change. Returns True
        at once before the first listing.
        """
        cursor = self._listing.cursor
        if cursor is None or timeout_s <= 0:
            return cursor is None
        # The last answer asked for this pause; without it Dropbox would refuse the next request.
        time.sleep(max(0.0, self._poll_after_s - time.monotonic()))
        wait_s = max(_SHORTEST_POLL_S, min(_LONGEST_POLL_S, int(timeout_s)))
        try:
            answer = self._account.client.wait_for_change(
                cursor, wait_s=wait_s, timeout_s=wait_s + _LATE_S + self._timeout_s
            )
        except CallFailed as exc:
            if isinstance(exc, Refused) and exc.says("reset"):
                return True
            answer = None
        match answer:
            case {"changes": bool(changed)}:
                backoff_s = answer.get("backoff")
                if isinstance(backoff_s, (int, float)):
                    self._poll_after_s = time.monotonic() + min(backoff_s, _LONGEST_POLL_S)
                return changed
        raise SourceUnavailable("the folder can't be watched now", source_id=self.source_id)

    def _descend(self, folders: Sequence[str]) -> None:
        self._path = "".join((self._path, *(f"/{checked_name(folder)}" for folder in folders)))
        self._listing = Listing(self._account.read, relist_after_s=self._relist_after_s)
        self._found = None
        self._folder()  # raises if there is no such folder

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        if not isinstance(self._signin, SignIn):
            return False
        self._signin.sign_in(cancelled=cancelled)
        return True

    def _disconnect(self) -> None:
        self._account.close()

    __reduce__ = refuse_to_pickle

    def _file(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return f"{self._path}/{checked_name(name)}"

    def _find_folder(self) -> tuple[str, str]:
        """Ask for the folder's ``path_lower`` and id.

        Raises:
            SourceUnavailable: There is no such folder.
            CallFailed: Dropbox could not be asked.
        """
        if self._path == "":  # the API has no metadata of the root
            self._found = ("", "")
            return self._found
        found = self._account.metadata(self._path)
        if found is None:
            raise SourceUnavailable("the Dropbox folder does not exist", source_id=self.source_id)
        if found.get(".tag") != "folder":
            raise SourceUnavailable("the source is not a folder", source_id=self.source_id, retry_helps=False)
        match found:
            case {"path_lower": str(key), "id": str(identity)}:
                self._found = (key, identity)
                return self._found
        raise NoAnswer

    def _folder(self) -> str:
        """Return the folder's ``path_lower``; ask for it only if it is not known yet."""
        with explaining("the location can't be asked"):
            return (self._found or self._find_folder())[0]

    def _open_client(self) -> DropboxClient:
        from intouch_import.dropbox.client import DropboxClient

        connect = functools.partial(
            DropboxClient,
            self._signin,
            endpoint=self._endpoint,
            connections=self.concurrency + 2,
            timeout_s=self._timeout_s,
            source_id=self.source_id,
        )
        client = connect()
        if not self._team_space:
            return client
        with client:
            match self._account.ask(lambda: client.call("users/get_current_account", None)):
                case {"root_info": {"root_namespace_id": str(number)}}:
                    return connect(root={".tag": "root", "root": number})
        raise NoAnswer
