"""`DropboxSource`: one folder of a Dropbox."""

from __future__ import annotations

import importlib.util
import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from intouch_import.cloud.retry import Patience
from intouch_import.dropbox.account import Account, Doubt
from intouch_import.dropbox.errors import Busy, Misunderstood, Refused, Unanswered, failed
from intouch_import.dropbox.listing import Listing, checked_name, folded, folder_path, source_file
from intouch_import.dropbox.transfer import delete, delete_together, download, upload
from intouch_import.errors import ConfigError, MissingExtraError, SourceUnavailable
from intouch_import.signin import SignIn
from intouch_import.sources.base import ConnectedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content
    from intouch_import.dropbox.client import Client
    from intouch_import.model import SourceFile

__all__ = ["DropboxSource"]

log = logging.getLogger(__name__)

_RELIST_AFTER_S: Final = 6 * 3600.0
_SHORTEST_POLL_S, _LONGEST_POLL_S, _PUT_OFF_S = 30, 480, 90


class DropboxSource(ConnectedSource):
    """A folder of a Dropbox. The version of a file is its ``rev``.

    Nothing is asked before the first listing, so that a location which can't be reached, or where nobody is
    signed in, is a problem of the refresh and not an error of the program that opens it. After the first
    listing a refresh asks for what has changed. What is read is checked against Dropbox's own hash, and what
    is removed is the version that was read, or nothing.

    Args:
        path: Folder, ``/apps/intouch``; empty or ``/`` for the root: of the Dropbox, or of the app's own
            folder, if the app was registered for nothing else. Letter case does not count.
        signin: Gives access tokens: a `SignIn`, or any callable ``(force: bool = False) -> str``.
        hosted: Whether the practice is hosted in the vendor's cloud, from which Dropbox is refused.
        team_space: Begin at the root of the team space instead of the member's own folder.
        endpoint: Another server for all of Dropbox's hosts: a proxy, a server for tests. Plain http for this
            machine alone.
        patience: How long one operation may wait for the service, and who is told; by default 60 s.
        concurrency: How many files are read at a time.
        timeout_s: How long the service may be silent within one call, seconds.
        relist_after_s: After how long the folder is listed whole again, though Dropbox told all changes
            since.
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
        relist_after_s: float = _RELIST_AFTER_S,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        if hosted:
            raise ConfigError("a practice that is hosted in the vendor's cloud can't use Dropbox")
        if not callable(signin):
            raise ConfigError("a Dropbox folder needs signin=: a SignIn, or a callable that gives tokens")
        if concurrency < 1 or timeout_s <= 0:
            raise ConfigError("concurrency is at least 1, and timeout_s above 0")
        _check_extra()
        from intouch_import.dropbox.session import checked_endpoint

        self._path = folder_path(path)
        self._endpoint = checked_endpoint(endpoint)
        # The same path in two Dropboxes is two folders: whose it is, the sign-in tells.
        whose = getattr(signin, "account", "") or ""
        super().__init__(
            f"dropbox://{whose}{'@team' if team_space else ''}{folded(self._path)}",
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

    @property
    def filesystem(self) -> AbstractFileSystem:
        from intouch_import.dropbox.filesystem import DropboxFileSystem

        return DropboxFileSystem(self._account)

    # --- the operations

    def scan(self) -> Iterator[SourceFile]:
        try:
            # A folder that was asked for just to open it is not asked for again before its first listing.
            begun = self._listing.cursor is not None
            found = self._ask_folder() if begun or self._found is None else self._found
            files = self._listing.refresh(*found)
        except (Unanswered, Refused, Misunderstood) as exc:
            raise failed(exc, "the folder can't be listed") from None
        log.info("a Dropbox folder was listed", extra={"source_id": self.source_id, "count": len(files)})
        yield from files

    def look(self, name: str) -> SourceFile | None:
        path = self._file(name)
        try:
            found = self._account.metadata(path)
            if found is None:
                self._ask_folder()  # a folder that is gone looks like a file that is gone
            return None if found is None else source_file(found)
        except (Unanswered, Refused, Misunderstood) as exc:
            raise failed(exc, "the location can't be asked") from None

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        path = self._file(file.name)
        return download(self._account, path, file, folder=self._folder(), staging=staging)

    def remove(self, file: SourceFile, *, sha256: str) -> None:  # noqa: ARG002  # the revision pins it
        path = self._file(file.name)
        with self._account.writing():
            delete(self._account, path, file, Doubt())
        self._listing.forget(file)

    def remove_many(self, files: Sequence[SourceFile]) -> list[Exception | None]:
        wanted = [(self._file(file.name), file) for file in files]
        with self._account.writing():
            ends = delete_together(self._account, wanted)
        for file, end in zip(files, ends, strict=True):
            if end is None:
                self._listing.forget(file)
        return ends

    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        path = self._file(name)
        try:
            # Dropbox would make a folder that is gone anew, and the file would be alone in it.
            self._ask_folder()
            return source_file(upload(self._account, path, chunks))
        except (Unanswered, Refused, Misunderstood) as exc:
            raise failed(exc, "the file could not be written") from None

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait until something in the folder has changed since it was listed; see `Source.wait_for_change`.

        Dropbox holds the question open, for half a minute to eight, and answers as soon as there is a change.
        Before the first listing everything counts as changed.
        """
        cursor = self._listing.cursor
        if cursor is None or timeout_s <= 0:
            return cursor is None
        # Asked for by the last answer: until then Dropbox would only send us away.
        time.sleep(max(0.0, self._poll_after_s - time.monotonic()))
        return self._poll(cursor, max(_SHORTEST_POLL_S, min(_LONGEST_POLL_S, int(timeout_s))))

    def _descend(self, folders: Sequence[str]) -> None:
        self._path = "".join((self._path, *(f"/{checked_name(folder)}" for folder in folders)))
        self._listing = Listing(self._account.read, relist_after_s=self._relist_after_s)
        self._found = None
        self._folder()  # a folder that is gone would look like a location that fails, file by file

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        if not isinstance(self._signin, SignIn):
            return False
        self._signin.sign_in(cancelled=cancelled)
        return True

    def _disconnect(self) -> None:
        self._account.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Dropbox source holds a sign-in and is not pickled: open it anew where it is needed"
        )

    # --- how

    def _file(self, name: str) -> str:
        """The path of a file in the folder."""
        return f"{self._path}/{checked_name(name)}"

    def _ask_folder(self) -> tuple[str, str]:
        """The folder's ``path_lower``, as Dropbox has it, and its id.

        Raises:
            SourceUnavailable: There is no such folder.
            Unanswered, Refused, Misunderstood: It could not be asked.
        """
        if self._path == "":  # the API knows no root
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
        raise Unanswered

    def _folder(self) -> str:
        """The folder's ``path_lower``, asked for only if it is not known yet. For single files.

        Raises:
            SourceError: It could not be asked.
        """
        try:
            return (self._found or self._ask_folder())[0]
        except (Unanswered, Refused, Misunderstood) as exc:
            raise failed(exc, "the location can't be asked") from None

    def _poll(self, cursor: str, wait_s: int) -> bool:
        """Ask once, and wait for the answer, which Dropbox may put off for another 90 s."""
        try:
            answer = self._account.client.call(
                "files/list_folder/longpoll",
                {"cursor": cursor, "timeout": wait_s},
                host="notify",
                auth="noauth",
                timeout_s=wait_s + _PUT_OFF_S + self._timeout_s,
            )
        except Refused as exc:
            if exc.says("reset"):
                return True
            raise SourceUnavailable("the folder can't be watched now", source_id=self.source_id) from None
        except (Unanswered, Busy, Misunderstood):
            raise SourceUnavailable("the folder can't be watched now", source_id=self.source_id) from None
        match answer:
            case {"changes": bool(changed)}:
                backoff_s = answer.get("backoff")
                if isinstance(backoff_s, (int, float)):
                    self._poll_after_s = time.monotonic() + min(backoff_s, _LONGEST_POLL_S)
                return changed
        raise SourceUnavailable("the folder can't be watched now", source_id=self.source_id)

    def _open_client(self) -> Client:
        from intouch_import.dropbox.client import Client

        options: dict[str, Any] = {
            "endpoint": self._endpoint,
            "connections": self.concurrency + 2,
            "timeout_s": self._timeout_s,
            "source_id": self.source_id,
        }
        client = Client(self._signin, **options)
        if not self._team_space:
            return client
        with client:
            said = self._account.ask(lambda: client.call("users/get_current_account", None))
        root = said.get("root_info") if isinstance(said, dict) else None
        number = root.get("root_namespace_id") if isinstance(root, dict) else None
        if not isinstance(number, str):
            raise Unanswered
        return Client(self._signin, root={".tag": "root", "root": number}, **options)


def _check_extra() -> None:
    """See that the packages are installed. The first call loads them, which takes more than a second."""
    if any(importlib.util.find_spec(name) is None for name in ("requests", "dropbox", "dropboxdrivefs")):
        raise MissingExtraError("Dropbox folders need dropboxdrivefs: pip install 'intouch-import[dropbox]'")
