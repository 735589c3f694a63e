"""The routes of the API: what each takes, does, answers and refuses."""

from __future__ import annotations

import itertools
import re
import secrets
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from intouch_import.testing.dropbox.drive import Bytes, Drive, Entry, content_hash, folded, parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from intouch_import.testing.dropbox.faults import FaultQueue
    from intouch_import.testing.dropbox.oauth import Account, Authorization, Visitor

__all__ = ["ROUTES", "Api", "BadInput", "Refused", "Route", "View"]

_PATH = re.compile(r"(/(.|[\r\n])*)?|id:.*|rev:[0-9a-f]{9,}|ns:[0-9]+(/.*)?", re.DOTALL)
_REFUSED_NAMES = frozenset({"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"})
_MOST_ENTRIES = 2000
_MOST_BATCHED = 1000
_LONGEST_NAME = 255
_SHORTEST_POLL_S, _LONGEST_POLL_S = 30, 480
_MOST_UPLOADED = 150 * 1024 * 1024


class BadInput(Exception):
    """400: the call itself is wrong. The text is plain."""


class Refused(Exception):
    """An error of a route, of the path root, or of the rate limit: JSON.

    Args:
        error: The error as a tagged union.
        status: HTTP status.
    """

    def __init__(self, error: Mapping[str, Any], *, status: int = 409) -> None:
        super().__init__(error[".tag"])
        self.status = status
        self.error = error

    @property
    def summary(self) -> str:
        """The tags in a row, as ``error_summary`` has them."""
        tags: list[str] = []
        level: Any = self.error
        while isinstance(level, dict) and ".tag" in level:
            tags.append(str(level[".tag"]))
            level = level.get(level[".tag"], level.get("reason"))
        return "/".join(tags) + "/"


@attrs.frozen(kw_only=True)
class View:
    """The drive as one request sees it.

    Args:
        visitor: Who asks.
        base: Path of what looks like the root: a namespace, or the folder of the app.
    """

    visitor: Visitor
    base: str


@attrs.frozen(kw_only=True)
class Route:
    """One route: its style (``rpc``, ``download``, ``upload``), the scope it needs, and what it does."""

    style: str
    scope: str | None
    act: Callable[[Api, View, dict[str, Any], bytes], Any]


@attrs.frozen(kw_only=True)
class _Cursor:
    """Where a listing stands. A cursor never changes: the same one gives the same page again."""

    view: View
    folder: str
    recursive: bool
    include_deleted: bool
    limit: int
    listed: tuple[Entry, ...]
    index: int
    position: int


class Api:
    """What the routes work on.

    Args:
        drive: The files.
        authorization: Who may do what.
        faults: Asked for each entry of a batch.
        contention: Whether two writes at once in one namespace are refused, as Dropbox does.

    Attributes:
        batch_polls: How often a batch is still in progress when it is asked about.
        page_entries: How many entries a page of a listing has at most, whatever was asked for.
        longest_poll_s: When a long poll comes back at the latest, seconds.
        url: Where temporary links lead.
    """

    def __init__(
        self, drive: Drive, authorization: Authorization, faults: FaultQueue, *, contention: bool
    ) -> None:
        self.drive = drive
        self.authorization = authorization
        self.faults = faults
        self.contention = contention
        self.batch_polls = 0
        self.page_entries = _MOST_ENTRIES
        self.longest_poll_s = 480.0
        self.url = ""
        self.closing = threading.Event()
        self._writing = threading.Lock()
        self._cursors: dict[str, _Cursor] = {}
        self._sessions: dict[str, bytearray] = {}
        self._closed_sessions: set[str] = set()
        self._jobs: dict[str, tuple[list[dict[str, Any]], Iterator[int]]] = {}
        self._links: dict[str, str] = {}

    # --- paths

    def view(self, visitor: Visitor, root: Mapping[str, Any] | None) -> View:
        """The drive under the path root that a request names (``Dropbox-API-Path-Root``)."""
        account = visitor.account
        base = account.home
        if root is not None and root.get(".tag") != "home":
            wanted = root.get(str(root.get(".tag")))
            if root.get(".tag") == "root" and wanted != account.root_namespace:
                invalid = _root_info(account)
                raise Refused({".tag": "invalid_root", "invalid_root": invalid}, status=422)
            if wanted not in {account.root_namespace, account.home_namespace}:
                raise Refused({".tag": "no_permission"}, status=422)
            base = account.home if wanted == account.home_namespace else ""
        if visitor.app.app_folder is not None:
            base = account.home + visitor.app.app_folder
        return View(visitor=visitor, base=base)

    def absolute(self, view: View, path: str) -> str:
        """A path from the root of the drive."""
        if not isinstance(path, str) or not _PATH.fullmatch(path) or not _is_unicode(path):
            raise BadInput(
                f"path: {path!r} did not match pattern '(/(.|[\\r\\n])*)?|id:.*|(ns:[0-9]+(/.*)?)'"
            )
        if path == "/":
            raise BadInput('path: Specify the root folder as an empty string rather than as "/".')
        if path.startswith("ns:"):
            number, _, rest = path[3:].partition("/")
            account = view.visitor.account
            if number not in {account.root_namespace, account.home_namespace}:
                return "/\0nowhere"
            return (account.home if number == account.home_namespace else "") + (f"/{rest}" if rest else "")
        return view.base + path

    def find(self, view: View, path: str) -> Entry | None:
        """What a path, an id or a revision means."""
        if path.startswith("id:"):
            found = self.drive.by_id(path)
        elif path.startswith("rev:"):
            found = self.drive.by_rev(path[4:])
        else:
            found = self.drive.find(self.absolute(view, path))
        inside = found is not None and f"{found.key}/".startswith(f"{folded(view.base)}/")
        return found if inside else None

    def find_file(self, view: View, path: str) -> Entry:
        """A file, or the error that says why there is none."""
        found = self.find(view, path)
        if found is None:
            raise Refused({".tag": "path", "path": {".tag": "not_found"}})
        if found.tag != "file":
            raise Refused({".tag": "path", "path": {".tag": "not_file"}})
        return found

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One write in the namespace. A second one at the same time is refused, where that is asked for."""
        if not self.contention:
            yield
            return
        if not self._writing.acquire(blocking=False):
            error = {".tag": "too_many_write_operations", "reason": {".tag": "too_many_write_operations"}}
            raise Refused(error | {"retry_after": 1}, status=429)
        try:
            time.sleep(0.005)  # long enough for another one to meet it
            yield
        finally:
            self._writing.release()

    # --- listing

    def list_folder(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        path = arg.get("path", "")
        with self.drive.lock:
            cursor = self._begin(view, path, arg)
            return self._page(cursor)

    def latest_cursor(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        with self.drive.lock:
            cursor = self._begin(view, arg.get("path", ""), arg)
            return {"cursor": self._keep(attrs.evolve(cursor, listed=(), index=0))}

    def list_folder_continue(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        with self.drive.lock:
            cursor = self._cursors.get(str(arg.get("cursor")))
            if cursor is None:
                raise Refused({".tag": "reset"})
            if cursor.view != view:
                raise BadInput("cursor: was made for another root or by another app")
            if cursor.folder != folded(view.base) and self.drive.find(cursor.folder) is None:
                raise Refused({".tag": "path", "path": {".tag": "not_found"}})
            return self._page(cursor)

    def longpoll(self, _view: View | None, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        timeout_s = arg.get("timeout", 30)
        if not isinstance(timeout_s, int) or not _SHORTEST_POLL_S <= timeout_s <= _LONGEST_POLL_S:
            raise BadInput("timeout: must be between 30 and 480")
        with self.drive.lock:
            cursor = self._cursors.get(str(arg.get("cursor")))
            if cursor is None:
                raise Refused({".tag": "reset"})
            ends_s = time.monotonic() + min(timeout_s, self.longest_poll_s)
            while not (changed := self._has_more(cursor)) and not self.closing.is_set():
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    break
                self.drive.lock.wait(min(left_s, 0.1))
            return {"changes": changed}

    def end_cursors(self) -> None:
        """Forget every cursor: the next call that uses one is told to start over."""
        with self.drive.lock:
            self._cursors.clear()

    def _begin(self, view: View, path: str, arg: dict[str, Any]) -> _Cursor:
        folder = self.absolute(view, path)
        if path.startswith("id:"):
            found = self.drive.by_id(path)
            folder = found.path if found is not None else "/\0nowhere"
        if folder != view.base:
            found = self.drive.find(folder)
            if found is None:
                raise Refused({".tag": "path", "path": {".tag": "not_found"}})
            if found.tag != "folder":
                raise Refused({".tag": "path", "path": {".tag": "not_folder"}})
            folder = found.path
        limit = arg.get("limit") or _MOST_ENTRIES
        if not 1 <= limit <= _MOST_ENTRIES:
            raise BadInput(f"limit: must be between 1 and {_MOST_ENTRIES}")
        recursive = bool(arg.get("recursive"))
        return _Cursor(
            view=view,
            folder=folded(folder),
            recursive=recursive,
            include_deleted=bool(arg.get("include_deleted")),
            limit=limit,
            listed=tuple(self.drive.below(folder) if recursive else self.drive.children(folder)),
            index=0,
            position=self.drive.position,
        )

    def _page(self, cursor: _Cursor) -> dict[str, Any]:
        fault = self.faults.next_of("files/list_folder page")
        if fault is not None:
            return {"entries": [], "cursor": self._keep(cursor), "has_more": True}
        if cursor.index < len(cursor.listed):
            upto = cursor.index + min(cursor.limit, self.page_entries)
            entries = cursor.listed[cursor.index : upto]
            after = attrs.evolve(cursor, index=min(upto, len(cursor.listed)))
        else:
            changes = self.drive.changes(cursor.position)[: cursor.limit]
            # Only the last state of a path counts, at the place of its last change.
            last = {key: entry for key, entry in changes if self._concerns(cursor, key)}
            entries = tuple(last.values())
            after = attrs.evolve(cursor, position=cursor.position + len(changes))
        return {
            "entries": [entry.metadata(cursor.view.base) for entry in entries],
            "cursor": self._keep(after),
            "has_more": self._has_more(after),
        }

    def _has_more(self, cursor: _Cursor) -> bool:
        if cursor.index < len(cursor.listed):
            return True
        return any(self._concerns(cursor, key) for key, _ in self.drive.changes(cursor.position))

    @staticmethod
    def _concerns(cursor: _Cursor, key: str) -> bool:
        if cursor.recursive:
            return key.startswith(f"{cursor.folder}/")
        return parent_of(key) == cursor.folder and key != ""

    def _keep(self, cursor: _Cursor) -> str:
        token = f"AA{secrets.token_urlsafe(60)}"
        self._cursors[token] = cursor
        return token

    # --- one file

    def get_metadata(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        found = self.find(view, arg["path"])
        if arg["path"] in {"", view.base} or found is None:
            if arg["path"] == "":
                raise BadInput("path: The root folder is unsupported.")
            raise Refused({".tag": "path", "path": {".tag": "not_found"}})
        return found.metadata(view.base)

    def download(self, view: View, arg: dict[str, Any], _body: bytes) -> tuple[dict[str, Any], Bytes]:
        found = self.find_file(view, arg["path"])
        if found.content is None:
            raise Refused({".tag": "unsupported_file"})
        return _untagged(found, view), found.content

    def get_temporary_link(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        found = self.find_file(view, arg["path"])
        link = secrets.token_urlsafe(24)
        self._links[link] = found.path
        return {"metadata": _untagged(found, view), "link": f"{self.url}/cdn/{link}"}

    def linked(self, link: str) -> Bytes | None:
        """What a temporary link leads to now."""
        found = self.drive.find(self._links.get(link, "/\0nowhere"))
        return found.content if found is not None else None

    # --- writing

    def create_folder(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        path = self.absolute(view, arg["path"])
        with self.writing(), self.drive.lock:
            found = self.drive.find(path)
            if found is not None:
                conflict = {".tag": "conflict", "conflict": {".tag": found.tag}}
                raise Refused({".tag": "path", "path": conflict})
            made = self.drive.make_folder(path)
        if made is None:
            raise Refused({".tag": "path", "path": {".tag": "conflict", "conflict": {".tag": "folder"}}})
        return {"metadata": _untagged(made, view)}

    def upload(self, view: View, arg: dict[str, Any], body: bytes) -> dict[str, Any]:
        if len(body) > _MOST_UPLOADED:
            raise Refused({".tag": "payload_too_large"})
        if arg.get("content_hash") not in {None, content_hash([body])}:
            raise Refused({".tag": "content_hash_mismatch"})
        with self.writing():
            return _untagged(self._commit(view, arg, body, wrap=_upload_failed), view)

    def _commit(
        self,
        view: View,
        arg: dict[str, Any],
        body: bytes,
        *,
        wrap: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Entry:
        def refuse(reason: dict[str, Any]) -> NoReturn:
            raise Refused(wrap(reason))

        path = self.absolute(view, arg["path"])
        name = path.rpartition("/")[2]
        if not name or path.startswith(("id:", "rev:")) or len(name) > _LONGEST_NAME:
            refuse({".tag": "malformed_path"})
        if name.lower() in _REFUSED_NAMES or "\\" in name:
            refuse({".tag": "disallowed_name"})
        mode = arg.get("mode", "add")
        tag, rev = (mode.get(".tag"), mode.get("update")) if isinstance(mode, dict) else (mode, None)
        content = Bytes((body,))
        with self.drive.lock:
            for above in itertools.accumulate(
                parent_of(path).split("/")[1:], lambda one, two: f"{one}/{two}"
            ):
                there = self.drive.find(f"/{above}")
                if there is not None and there.tag == "file":
                    refuse({".tag": "conflict", "conflict": {".tag": "file_ancestor"}})
            found = self.drive.find(path)
            if found is not None and self._conflicts(
                found, content, tag=tag, rev=rev, strict=arg.get("strict_conflict")
            ):
                if not arg.get("autorename"):
                    refuse({".tag": "conflict", "conflict": {".tag": found.tag}})
                path = self._free_name(path)
            elif found is not None and tag == "add":
                return found
            modified = arg.get("client_modified")
            stamp = (
                datetime.strptime(modified, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) if modified else None
            )
            return self.drive.write(path, content, client_modified=stamp)

    @staticmethod
    def _conflicts(
        found: Entry, content: Bytes, *, tag: str | None, rev: str | None, strict: bool | None
    ) -> bool:
        if found.tag != "file":
            return True
        same = found.content is not None and found.content.hash == content.hash and not strict
        match tag:
            case "overwrite":
                return False
            case "update":
                return found.rev != rev and not same
            case _:
                return not same

    def _free_name(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        stem, dot, extension = name.rpartition(".")
        if not dot:
            stem, extension = name, ""
        for number in itertools.count(1):
            free = f"{folder}/{stem} ({number}){dot}{extension}"
            if self.drive.find(free) is None:
                return free
        raise AssertionError("numbers do not end")

    def session_start(self, _view: View, arg: dict[str, Any], body: bytes) -> dict[str, Any]:
        session = f"AAAAAAAA{secrets.token_urlsafe(16)}"
        with self.drive.lock:
            self._sessions[session] = bytearray(body)
            if arg.get("close"):
                self._closed_sessions.add(session)
        return {"session_id": session}

    def session_append(self, _view: View, arg: dict[str, Any], body: bytes) -> None:
        with self.drive.lock:
            self._session(arg["cursor"], appending=True).extend(body)
            if arg.get("close"):
                self._closed_sessions.add(arg["cursor"]["session_id"])

    def session_finish(self, view: View, arg: dict[str, Any], body: bytes) -> dict[str, Any]:
        def failed(reason: dict[str, Any]) -> dict[str, Any]:
            return {".tag": "path", "path": reason}

        with self.writing(), self.drive.lock:
            try:
                session = self._session(arg["cursor"], appending=bool(body))
            except Refused as exc:
                raise Refused({".tag": "lookup_failed", "lookup_failed": exc.error}) from None
            whole = bytes(session) + body
            entry = self._commit(view, arg["commit"], whole, wrap=failed)
            del self._sessions[arg["cursor"]["session_id"]]
            return _untagged(entry, view)

    def _session(self, cursor: dict[str, Any], *, appending: bool) -> bytearray:
        session = self._sessions.get(cursor["session_id"])
        if session is None:
            raise Refused({".tag": "not_found"})
        if cursor["offset"] != len(session):
            raise Refused({".tag": "incorrect_offset", "correct_offset": len(session)})
        if appending and cursor["session_id"] in self._closed_sessions:
            raise Refused({".tag": "closed"})
        return session

    # --- deleting and moving

    def delete(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        with self.writing():
            return {"metadata": self._delete(view, arg)}

    def _delete(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        with self.drive.lock:
            found = self.find(view, arg["path"])
            rev = arg.get("parent_rev")
            if found is None:
                raise Refused({".tag": "path_lookup", "path_lookup": {".tag": "not_found"}})
            if rev is not None and found.tag != "file":
                raise Refused({".tag": "path_lookup", "path_lookup": {".tag": "not_file"}})
            if rev is not None and found.rev != rev:
                # Undocumented: no client should read more from it than that nothing was deleted.
                conflict = {".tag": "conflict", "conflict": {".tag": "file"}}
                raise Refused({".tag": "path_write", "path_write": conflict})
            self.drive.delete(found)
            return found.metadata(view.base)

    def delete_batch(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        entries = arg["entries"]
        if len(entries) > _MOST_BATCHED:
            raise BadInput(f"entries: has more than {_MOST_BATCHED} items")
        with self.writing():
            ends = [self._delete_one(view, entry) for entry in entries]
        job = f"dbjid:{secrets.token_urlsafe(24)}"
        self._jobs[job] = (ends, iter(range(self.batch_polls)))
        return {".tag": "async_job_id", "async_job_id": job}

    def _delete_one(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        fault = self.faults.next_of("files/delete_batch entry")
        try:
            if fault is not None and not fault.after:
                raise Refused({".tag": "too_many_write_operations"})
            end = {".tag": "success", "metadata": self._delete(view, arg)}
            if fault is not None:
                raise Refused({".tag": "internal"})
        except Refused as exc:
            return {".tag": "failure", "failure": exc.error}
        return end

    def delete_batch_check(self, _view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        if arg["async_job_id"] not in self._jobs:
            raise Refused({".tag": "invalid_async_job_id"})
        ends, polls = self._jobs[arg["async_job_id"]]
        if next(polls, None) is not None:
            return {".tag": "in_progress"}
        return {".tag": "complete", "entries": ends}

    def move(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        with self.writing(), self.drive.lock:
            found, to = self._relocation(view, arg)
            return {"metadata": self.drive.move(found, to).metadata(view.base)}

    def copy(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        with self.writing(), self.drive.lock:
            found, to = self._relocation(view, arg)
            return {"metadata": self._copy(found, to).metadata(view.base)}

    def copy_v1(self, view: View, arg: dict[str, Any], body: bytes) -> dict[str, Any]:
        copied: dict[str, Any] = self.copy(view, arg, body)["metadata"]
        return copied

    def _copy(self, found: Entry, to: str) -> Entry:
        if found.tag == "file":
            return self.drive.write(to, found.content, client_modified=found.client_modified)
        self.drive.make_folder(to)
        for child in self.drive.children(found.path):
            self._copy(child, f"{to}/{child.path.rpartition('/')[2]}")
        made = self.drive.find(to)
        if made is None:
            raise AssertionError("a folder was made")
        return made

    def _relocation(self, view: View, arg: dict[str, Any]) -> tuple[Entry, str]:
        found = self.find(view, arg["from_path"])
        if found is None:
            raise Refused({".tag": "from_lookup", "from_lookup": {".tag": "not_found"}})
        to = self.absolute(view, arg["to_path"])
        there = self.drive.find(to)
        if there is not None:
            raise Refused({".tag": "to", "to": {".tag": "conflict", "conflict": {".tag": there.tag}}})
        return found, to

    # --- the account

    def get_current_account(self, view: View, _arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        account = view.visitor.account
        root = _root_info(account)
        return {
            "account_id": account.id,
            "name": {
                "given_name": "Test",
                "surname": "Person",
                "familiar_name": "Test",
                "display_name": "Test Person",
                "abbreviated_name": "TP",
            },
            "email": "test@example.invalid",
            "email_verified": True,
            "disabled": False,
            "locale": "en",
            "referral_link": "https://example.invalid/",
            "is_paired": False,
            "account_type": {".tag": "business" if root[".tag"] == "team" else "basic"},
            "root_info": root,
        }


def _root_info(account: Account) -> dict[str, str]:
    """Where an account's drive begins."""
    said = {"root_namespace_id": account.root_namespace, "home_namespace_id": account.home_namespace}
    if account.root_namespace == account.home_namespace:
        return said | {".tag": "user"}
    return said | {".tag": "team", "home_path": account.home}


def _untagged(entry: Entry, view: View) -> dict[str, Any]:
    return {key: value for key, value in entry.metadata(view.base).items() if key != ".tag"}


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON can say half of a surrogate pair, which is no character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _upload_failed(reason: dict[str, Any]) -> dict[str, Any]:
    session = f"AAAAAAAA{secrets.token_urlsafe(16)}"
    return {".tag": "path", "reason": reason, "upload_session_id": session}


_READ, _LIST, _WRITE = "files.content.read", "files.metadata.read", "files.content.write"

ROUTES: dict[str, Route] = {
    "files/list_folder": Route(style="rpc", scope=_LIST, act=Api.list_folder),
    "files/list_folder/continue": Route(style="rpc", scope=_LIST, act=Api.list_folder_continue),
    "files/list_folder/get_latest_cursor": Route(style="rpc", scope=_LIST, act=Api.latest_cursor),
    "files/get_metadata": Route(style="rpc", scope=_LIST, act=Api.get_metadata),
    "files/download": Route(style="download", scope=_READ, act=Api.download),
    "files/get_temporary_link": Route(style="rpc", scope=_READ, act=Api.get_temporary_link),
    "files/create_folder_v2": Route(style="rpc", scope=_WRITE, act=Api.create_folder),
    "files/upload": Route(style="upload", scope=_WRITE, act=Api.upload),
    "files/upload_session/start": Route(style="upload", scope=_WRITE, act=Api.session_start),
    "files/upload_session/append_v2": Route(style="upload", scope=_WRITE, act=Api.session_append),
    "files/upload_session/finish": Route(style="upload", scope=_WRITE, act=Api.session_finish),
    "files/delete_v2": Route(style="rpc", scope=_WRITE, act=Api.delete),
    "files/delete_batch": Route(style="rpc", scope=_WRITE, act=Api.delete_batch),
    "files/delete_batch/check": Route(style="rpc", scope=_WRITE, act=Api.delete_batch_check),
    "files/move_v2": Route(style="rpc", scope=_WRITE, act=Api.move),
    "files/copy_v2": Route(style="rpc", scope=_WRITE, act=Api.copy),
    "files/copy": Route(style="rpc", scope=_WRITE, act=Api.copy_v1),
    "users/get_current_account": Route(style="rpc", scope="account_info.read", act=Api.get_current_account),
}
