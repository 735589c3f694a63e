"""Writing: uploads, upload sessions, folders, deletions and batches of them, moves and copies."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from services.doubles.dropbox.core import Routes, View, untagged
from services.doubles.dropbox.drive import Bytes, Entry, content_hash, parent_of
from services.doubles.dropbox.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Writing"]

_REFUSED_NAMES = frozenset({"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"})
_MOST_BATCHED = 1000
_LONGEST_NAME = 255
_MOST_UPLOADED = 150 * 1024 * 1024


class Writing(Routes):
    """The routes that write.

    Attributes:
        batch_polls: How many times a batch is reported as still in progress.
    """

    batch_polls = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sessions: dict[str, bytearray] = {}
        self._closed_sessions: set[str] = set()
        self._jobs: dict[str, tuple[list[dict[str, Any]], Iterator[int]]] = {}

    def create_folder(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        path = self.absolute(view, arg["path"])
        with self.writing(), self.drive.lock:
            found = self.drive.find(path)
            if found is not None:
                conflict = {".tag": "conflict", "conflict": {".tag": found.tag}}
                raise Refused({".tag": "path", "path": conflict})
            made = self.drive.make_folder(path)
        if made is None:
            raise Refused({".tag": "path", "path": {".tag": "conflict", "conflict": {".tag": "folder"}}})
        return {"metadata": untagged(made, view)}

    def upload(self, view: View, arg: dict[str, Any], body: bytes) -> dict[str, Any]:
        if len(body) > _MOST_UPLOADED:
            raise Refused({".tag": "payload_too_large"})
        if arg.get("content_hash") not in {None, content_hash([body])}:
            raise Refused({".tag": "content_hash_mismatch"})
        with self.writing():
            return untagged(self._commit(view, arg, body, wrap=_upload_failed), view)

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
            return untagged(entry, view)

    def _session(self, cursor: dict[str, Any], *, appending: bool) -> bytearray:
        session = self._sessions.get(cursor["session_id"])
        if session is None:
            raise Refused({".tag": "not_found"})
        if cursor["offset"] != len(session):
            raise Refused({".tag": "incorrect_offset", "correct_offset": len(session)})
        if appending and cursor["session_id"] in self._closed_sessions:
            raise Refused({".tag": "closed"})
        return session

    def delete(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
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
                # Dropbox does not document this answer.
                conflict = {".tag": "conflict", "conflict": {".tag": "file"}}
                raise Refused({".tag": "path_write", "path_write": conflict})
            self.drive.delete(found)
            return found.metadata(view.base)

    def delete_batch(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        entries = arg["entries"]
        if len(entries) > _MOST_BATCHED:
            raise BadInput(f"entries: has more than {_MOST_BATCHED} items")
        with self.writing():
            ends = [self._delete_one(view, entry) for entry in entries]
        job = f"dbjid:{secrets.token_urlsafe(24)}"
        self._jobs[job] = (ends, iter(range(self.batch_polls)))
        return {".tag": "async_job_id", "async_job_id": job}

    def _delete_one(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        fault = self.faults.strike("files/delete_batch entry")
        try:
            if fault is not None and not fault.after:
                raise Refused({".tag": "too_many_write_operations"})
            end = {".tag": "success", "metadata": self._delete(view, arg)}
            if fault is not None:
                raise Refused({".tag": "internal"})
        except Refused as exc:
            return {".tag": "failure", "failure": exc.error}
        return end

    def delete_batch_check(self, _view: View, arg: dict[str, Any]) -> dict[str, Any]:
        if arg["async_job_id"] not in self._jobs:
            raise Refused({".tag": "invalid_async_job_id"})
        ends, polls = self._jobs[arg["async_job_id"]]
        if next(polls, None) is not None:
            return {".tag": "in_progress"}
        return {".tag": "complete", "entries": ends}

    def move(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        with self.writing(), self.drive.lock:
            found, to = self._relocation(view, arg)
            return {"metadata": self.drive.move(found, to).metadata(view.base)}

    def copy(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        with self.writing(), self.drive.lock:
            found, to = self._relocation(view, arg)
            return {"metadata": self._copy(found, to).metadata(view.base)}

    def copy_v1(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        copied: dict[str, Any] = self.copy(view, arg)["metadata"]
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


def _upload_failed(reason: dict[str, Any]) -> dict[str, Any]:
    session = f"AAAAAAAA{secrets.token_urlsafe(16)}"
    return {".tag": "path", "reason": reason, "upload_session_id": session}
