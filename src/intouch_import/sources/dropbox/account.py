"""One account's Dropbox: single operations, each with patience, and each with a certain end."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from intouch_import.content import StagedContent, staging_file
from intouch_import.errors import (
    ContentMismatch,
    FileChanged,
    FileUnreadable,
    FileVanished,
    NotRemoved,
    SourceError,
    SourceUnavailable,
)
from intouch_import.sources.dropbox.entries import HASH, parent_of
from intouch_import.sources.dropbox.faults import Busy, Misunderstood, Refused, RootMoved, Unanswered, again
from intouch_import.sources.dropbox.hashing import digest_both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from intouch_import import disk
    from intouch_import.cloud.retry import Patience
    from intouch_import.model import SourceFile
    from intouch_import.sources.dropbox.client import Client

__all__ = ["Account", "Doubt", "failed"]

_T = TypeVar("_T")
_BODY_ATTEMPTS: Final = 3

_writers: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_writers_lock = threading.Lock()


def failed(exc: Exception, text: str) -> SourceError:
    """What a call that failed for good means for the location."""
    match exc:
        case SourceError():
            return exc
        case Refused():
            return SourceUnavailable(_REFUSALS.get(_first(exc), text), retry_helps=not exc.says(*_REFUSALS))
        case Misunderstood():
            return SourceUnavailable(f"{text}: Dropbox does not understand the request", retry_helps=False)
    return SourceUnavailable(f"{text}: Dropbox was not reached, or gave no usable answer")


_REFUSALS: Final = {
    "not_found": "the Dropbox folder does not exist",
    "not_folder": "the source is not a folder",
    "insufficient_space": "the Dropbox is full",
    "no_write_permission": "the Dropbox folder may not be changed: no rights",
    "access_restricted": "the Dropbox folder may not be used: no rights",
}


def _first(exc: Refused) -> str:
    return next((tag for tag in exc.tags if tag in _REFUSALS), "")


class Doubt:
    """Whether a request was made that may have taken effect, although no answer said so."""

    def __init__(self) -> None:
        self.cast = False


class Account:
    """What can be done in one Dropbox. The threads that use it share its connections and its patience.

    Args:
        open_client: Makes a client. Called once a process: after a fork, parent and child would talk over the
            same sockets.
        patience: How long to wait for the service.
        owner: Stands for the account: two accounts with one owner write one after the other.
    """

    def __init__(self, open_client: Callable[[], Client], *, patience: Patience, owner: object) -> None:
        self._open_client = open_client
        self._patience = patience
        self._lock = threading.RLock()  # opening a client for a team space asks Dropbox, through this account
        self._clients: dict[int, Client] = {}
        self._writer = _writer_of(owner)

    @property
    def client(self) -> Client:
        """The client of this process."""
        pid = os.getpid()
        client = self._clients.get(pid)
        if client is None:
            with self._lock:
                client = self._clients.setdefault(pid, self._clients.get(pid) or self._open_client())
        return client

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    # --- reading

    def ask(self, attempt: Callable[[], _T]) -> _T:
        """Make an attempt until it succeeds, fails for good, or patience ends.

        Raises:
            Unanswered, Refused, Misunderstood: See there.
            SourceError: The token is refused; the service wants more time than was allowed.
        """
        try:
            return self._patience.ask(attempt, again=again)
        except RootMoved:
            self.close()  # with the client goes the number of the team space
            raise

    def read(self, route: str, arg: Any) -> Any:
        """Call a route that changes nothing. Raises as `ask` does."""
        return self.ask(lambda: self.client.call(route, arg))

    def metadata(self, path: str) -> dict[str, Any] | None:
        """What stands at a path, or under an id; None if nothing does. Raises as `ask` does."""
        try:
            found = self.read("files/get_metadata", {"path": path})
        except Refused as exc:
            if exc.says("not_found"):
                return None
            raise
        if not isinstance(found, dict):
            raise Unanswered
        return None if found.get(".tag") == "deleted" else found

    def download(self, path: str, file: SourceFile, *, folder: str, staging: Path | None) -> StagedContent:
        """Fetch the version of a file that was listed into a temporary file, checked.

        Args:
            path: The file.
            file: As it was listed.
            folder: ``path_lower`` of the only folder that it may come from.
            staging: Folder for the temporary file.

        Raises:
            FileChanged, FileVanished, FileUnreadable, ContentMismatch: See `Source.fetch`.
            SourceError: The location failed.
        """
        for left in reversed(range(_BODY_ATTEMPTS)):
            try:
                # Nothing is kept of a transfer that went wrong: the next one begins anew.
                with staging_file(staging) as (target, name):
                    digested = self.download_into(target, path, file, folder=folder)
                return StagedContent(name, digested)
            except _Body:
                if not left:
                    raise FileUnreadable("the transfer was cut, again and again") from None
            except ContentMismatch:
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def download_into(self, target: BinaryIO, path: str, file: SourceFile, *, folder: str) -> disk.Digested:
        """One attempt of `download`."""
        try:
            found, response = self.ask(lambda: self.client.download({"path": path}))
        except Refused as exc:
            raise _unreadable(exc) from None
        except (Unanswered, Misunderstood) as exc:
            raise failed(exc, "the file could not be fetched") from None
        with response:
            lower = found.get("path_lower")
            # Metadata and bytes are of one answer: no other version can come between them.
            if found.get("rev") != file.version or found.get("id") != file.handle:
                raise FileChanged("the file is no longer the version that was listed")
            if not isinstance(lower, str) or parent_of(lower) != folder:
                raise FileChanged("the file stands in another folder now")
            said = found.get("content_hash")
            if file.vendor_hash not in {None, f"{HASH}:{said}"} or not isinstance(said, str):
                raise ContentMismatch("Dropbox tells another hash of the file than it listed")
            try:
                digested, content_hash = digest_both(response.raw, target, size_bytes=file.size_bytes)
            except OSError as exc:
                if exc.errno is not None and not isinstance(exc, (ConnectionError, TimeoutError)):
                    raise  # this machine's own disk
                raise _Body from None
            except Exception:  # noqa: BLE001  # urllib3's errors of a body that ends early or stays away
                raise _Body from None
        if digested.size_bytes != file.size_bytes or content_hash != said:
            raise ContentMismatch("other bytes came than Dropbox says it holds")
        return digested

    # --- writing

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time: Dropbox refuses writes that meet in one namespace, and is slower for them."""
        with self._writer:
            yield

    def write(self, attempt: Callable[[], _T], doubt: Doubt) -> _T:
        """Make an attempt to write, as `ask` does, and note whether any of them may have taken effect."""

        def attempting() -> _T:
            try:
                return attempt()
            except (Unanswered, Busy):
                doubt.cast = True
                raise

        return self.ask(attempting)

    def delete(self, path: str, file: SourceFile, doubt: Doubt) -> None:
        """Delete one version of a file, once.

        Args:
            path: The file.
            file: As it was listed.
            doubt: Whether it was asked for before, and may be gone because of us.

        Raises:
            FileChanged, FileVanished, NotRemoved: See `Source.remove`.
            SourceError: Whether it is gone is not known.
        """
        arg = {"path": path, "parent_rev": file.version}
        try:
            answer = self.write(lambda: self.client.call("files/delete_v2", arg), doubt)
        except (Unanswered, Refused, Misunderstood) as exc:
            self.settle_deletion(path, file, exc, doubt)
            return
        check_deleted(answer, file)

    def settle_deletion(self, path: str, file: SourceFile, exc: Exception, doubt: Doubt) -> None:
        """A deletion was refused or not answered: read what stands there, and tell it. Raises as `delete`."""
        try:
            there = self.metadata(path)
            if there is None:
                if not doubt.cast:
                    raise FileVanished("the file is no longer there")
                # Nothing stands there: is it gone, by our own request, or was it moved elsewhere?
                if file.handle is not None and self.metadata(file.handle) is not None:
                    raise FileVanished("the file was moved elsewhere")
                return
        except (Unanswered, Refused, Misunderstood) as again:
            raise failed(again, "whether the file is gone is not known") from None
        if there.get("rev") != file.version or there.get("id") != file.handle:
            raise FileChanged("another version stands there; it was not touched")
        if isinstance(exc, Refused):
            raise NotRemoved("Dropbox does not let the file be removed", retry_helps=not exc.says(*_REFUSALS))
        raise NotRemoved("Dropbox did not answer; the file is still there")


class _Body(Exception):
    """The body of a download ended early, or stayed away."""


def check_deleted(answer: Any, file: SourceFile) -> None:
    """Whether what Dropbox says it deleted is what it was asked to.

    Raises:
        FileChanged: It is not.
    """
    gone = answer.get("metadata") if isinstance(answer, dict) else None
    if not isinstance(gone, dict) or gone.get("rev") != file.version:
        raise FileChanged("Dropbox says that it deleted another version: look under its deleted files")


def _unreadable(exc: Refused) -> Exception:
    if exc.says("not_found"):
        return FileVanished("the file is no longer there")
    if exc.says("not_file"):
        return FileChanged("a folder stands there now")
    if exc.says("unsupported_file", "unsupported_content_type"):
        return FileUnreadable("a document of that kind can't be downloaded", retry_helps=False)
    if exc.says("restricted_content"):
        return FileUnreadable("Dropbox restricts the file", retry_helps=False)
    return FileUnreadable("Dropbox does not give the file")


def _writer_of(owner: object) -> threading.RLock:
    with _writers_lock:
        try:
            return _writers.setdefault(owner, threading.RLock())
        except TypeError:  # an owner that can't be referred to weakly
            return threading.RLock()
