"""The operations on single files of a Dropbox: download, upload and delete, with the content hash."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final

from intouch_import import disk
from intouch_import.content import StagedContent, staging_file
from intouch_import.dropbox.account import WriteState
from intouch_import.dropbox.errors import (
    BadRequest,
    Busy,
    CallFailed,
    NoAnswer,
    Refused,
    may_pass,
    unavailable,
)
from intouch_import.dropbox.listing import HASH, parent_of
from intouch_import.errors import (
    ContentMismatch,
    FileChanged,
    FileUnreadable,
    FileVanished,
    InTouchImportError,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from intouch_import.dropbox.account import Account
    from intouch_import.model import SourceFile

__all__ = ["ContentHash", "content_hash_of", "delete", "delete_together", "download", "upload"]

_DOWNLOAD_ATTEMPTS: Final = 3
_PART_BYTES: Final = 8 * 1024 * 1024
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_CHUNK_BYTES: Final = 128 * 1024
_FIRST_LOOK_S: Final = 0.02
_RARELY_S: Final = 2.0
_LONGEST_S: Final = 600.0


# --- download


def download(
    account: Account, path: str, file: SourceFile, *, folder: str, staging: Path | None
) -> StagedContent:
    """Download the listed version of a file into a temporary file and check it.

    Args:
        account: The Dropbox.
        path: The file.
        file: The file as it was listed.
        folder: ``path_lower`` of the folder that the file must be in.
        staging: Folder for the temporary file.

    Raises:
        FileChanged, FileVanished, FileUnreadable, ContentMismatch: See `Source.fetch`.
        SourceError: The location failed.
    """
    left = _DOWNLOAD_ATTEMPTS
    while True:
        left -= 1
        try:
            # Each attempt starts over with a new temporary file.
            with staging_file(staging) as (target, staged):
                digested = _download_once(account, path, file, target, folder=folder)
            return StagedContent(staged, digested)
        except _Interrupted:
            if not left:
                raise FileUnreadable("the transfer was interrupted several times") from None
        except ContentMismatch:
            if not left:
                raise


def _download_once(
    account: Account, path: str, file: SourceFile, target: BinaryIO, *, folder: str
) -> disk.Digested:
    try:
        found, response = account.ask(lambda: account.client.download({"path": path}))
    except Refused as exc:
        raise _unreadable(exc) from None
    except CallFailed as exc:
        raise unavailable(exc, "the file could not be fetched") from None
    with response:
        lower = found.get("path_lower")
        # The metadata and the bytes are of one answer, so they are of the same version.
        if found.get("rev") != file.version or found.get("id") != file.handle:
            raise FileChanged("the file is no longer the version that was listed")
        if not isinstance(lower, str) or parent_of(lower) != folder:
            raise FileChanged("the file is in another folder now")
        vendor_hash = found.get("content_hash")
        if file.vendor_hash not in {None, f"{HASH}:{vendor_hash}"} or not isinstance(vendor_hash, str):
            raise ContentMismatch("Dropbox reports another hash of the file than when it was listed")
        try:
            digested, content_hash = _copy(response.raw, target, size_bytes=file.size_bytes)
        except OSError as exc:
            if exc.errno is not None and not isinstance(exc, (ConnectionError, TimeoutError)):
                raise  # from the disk of this machine
            raise _Interrupted from None
        except Exception:  # noqa: BLE001  # urllib3's errors for a body that is cut or late
            raise _Interrupted from None
    if digested.size_bytes != file.size_bytes or content_hash != vendor_hash:
        raise ContentMismatch("the downloaded bytes differ from what Dropbox reports")
    return digested


class _Interrupted(Exception):
    """The body of a download was cut or did not arrive."""


def _unreadable(exc: Refused) -> Exception:
    if exc.says("not_found"):
        return FileVanished("the file is no longer there")
    if exc.says("not_file"):
        return FileChanged("there is a folder in its place now")
    if exc.says("unsupported_file", "unsupported_content_type"):
        return FileUnreadable("a document of this kind can't be downloaded", retry_helps=False)
    if exc.says("restricted_content"):
        return FileUnreadable("Dropbox restricts the file", retry_helps=False)
    return FileUnreadable("Dropbox refuses to send the file")


# --- upload

_FIRST_YEAR: Final = 1970


def upload(
    account: Account,
    path: str,
    chunks: Iterable[bytes],
    *,
    mode: str | dict[str, str] = "add",
    modified_at: datetime | None = None,
) -> dict[str, Any]:
    """Write a file. It appears under its name only when it is complete.

    Args:
        account: The Dropbox.
        path: The file.
        chunks: Its content.
        mode: ``"add"`` refuses a name that is taken; ``{".tag": "update", "update": rev}`` replaces that
            version and no other.
        modified_at: Modification time, aware; by default the time of the upload.

    Returns:
        The metadata of the file.

    Raises:
        NameTaken: A file or folder has that name, or a file has the name of a folder above it.
        NameRefused: Dropbox does not accept the name.
        SourceError: The file could not be written; there is nothing under that name.
    """
    commit: dict[str, Any] = {"path": path, "mode": mode, "autorename": False, "strict_conflict": True}
    if modified_at is not None and modified_at.year >= _FIRST_YEAR:
        commit["client_modified"] = f"{modified_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    hashed = ContentHash()
    parts = _parts(hashed.taking(chunks))
    offset, part, session = 0, next(parts), None
    try:
        with account.writer:
            for following in parts:
                session = _append(account, session, offset, part)
                offset, part = offset + len(part), following
            if session is None:
                route, arg = "files/upload", commit | _hash(part)
            else:
                cursor = {"session_id": session, "offset": offset}
                route = "files/upload_session/finish"
                arg = {"cursor": cursor, "commit": commit} | _hash(part)
            found = _commit(account, path, hashed, route, arg, part)
    except Refused as exc:
        raise _refused(exc) from None
    except BadRequest:
        raise NameRefused("Dropbox does not accept this name") from None
    except CallFailed as exc:
        raise unavailable(exc, "the file could not be written") from None
    if found.get("content_hash") != hashed.hexdigest():
        raise SourceUnavailable("Dropbox stored other bytes than were sent: look at the file there")
    return found


def _append(account: Account, session: str | None, offset: int, part: bytes) -> str:
    """Append a part to an upload session, which None starts, and return its id."""
    if session is None:
        started = account.ask(lambda: account.client.upload("files/upload_session/start", _hash(part), part))
        match started:
            case {"session_id": str(session)}:
                return session
        raise NoAnswer
    arg = {"cursor": {"session_id": session, "offset": offset}} | _hash(part)
    state = WriteState()
    try:
        account.write(lambda: account.client.upload("files/upload_session/append_v2", arg, part), state)
    except Refused as exc:
        # The part arrived although its answer was lost: the session has it already.
        if not (state.in_doubt and exc.says("incorrect_offset")):
            raise
    return session


def _commit(
    account: Account, path: str, hashed: ContentHash, route: str, arg: dict[str, Any], body: bytes
) -> dict[str, Any]:
    """Send the request that makes the file appear. If its answer is lost, look at what is there."""
    state = WriteState()
    try:
        found = account.write(lambda: account.client.upload(route, arg, body), state)
    except (Refused, NoAnswer):
        there = account.metadata(path) if state.in_doubt else None
        if there is None or there.get("content_hash") != hashed.hexdigest():
            raise
        return there
    if not isinstance(found, dict):
        raise NoAnswer
    return found


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Return parts of the same size, the last one shorter; one empty part for an empty file."""
    buffer = bytearray()
    sent = False
    for chunk in chunks:
        buffer += chunk
        while len(buffer) > _PART_BYTES:
            yield bytes(buffer[:_PART_BYTES])
            del buffer[:_PART_BYTES]
            sent = True
    if buffer or not sent:
        yield bytes(buffer)


def _hash(part: bytes) -> dict[str, str]:
    # With the hash, Dropbox refuses a part that was damaged on its way.
    return {"content_hash": content_hash_of(part)}


def _refused(exc: Refused) -> Exception:
    if exc.says("conflict"):
        return NameTaken("there is already a file of this name")
    if exc.says("malformed_path", "disallowed_name"):
        return NameRefused("Dropbox does not accept this name")
    return unavailable(exc, "the file could not be written")


# --- delete


def delete(account: Account, path: str, file: SourceFile, state: WriteState) -> None:
    """Delete the listed version of a file.

    Args:
        account: The Dropbox.
        path: The file.
        file: The file as it was listed.
        state: Whether an earlier request may have deleted it.

    Raises:
        FileChanged, FileVanished, NotRemoved: See `Source.remove`.
        SourceError: It is not known whether the file is gone.
    """
    arg = {"path": path, "parent_rev": file.version}
    try:
        answer = account.write(lambda: account.client.call("files/delete_v2", arg), state)
    except CallFailed as exc:
        _settle_deletion(account, path, file, exc, state)
    else:
        _check_deleted(answer, file)


def _settle_deletion(
    account: Account, path: str, file: SourceFile, failure: CallFailed, state: WriteState
) -> None:
    """Look at what is there after a deletion was refused or not answered. Raises as `delete`."""
    try:
        there = account.metadata(path)
        if there is None:
            if not state.in_doubt:
                raise FileVanished("the file is no longer there")
            # Did our request delete the file, or did somebody move it?
            if file.handle is not None and account.metadata(file.handle) is not None:
                raise FileVanished("the file was moved elsewhere")
            return
    except CallFailed as exc:
        raise unavailable(exc, "it is not known whether the file is gone") from None
    if there.get("rev") != file.version or there.get("id") != file.handle:
        raise FileChanged("there is another version now; it was not touched")
    if isinstance(failure, Refused):
        raise NotRemoved("Dropbox refuses to remove the file", retry_helps=may_pass(failure))
    raise NotRemoved("Dropbox did not answer; the file is still there")


def _check_deleted(answer: Any, file: SourceFile) -> None:
    """Raise FileChanged if Dropbox deleted another version."""
    gone = answer.get("metadata") if isinstance(answer, dict) else None
    if not isinstance(gone, dict) or gone.get("rev") != file.version:
        raise FileChanged("Dropbox says that it deleted another version: look at its deleted files")


def delete_together(account: Account, files: Sequence[tuple[str, SourceFile]]) -> list[Exception | None]:
    """Delete the listed versions of several files in one request. Dropbox refuses parallel requests.

    Args:
        account: The Dropbox.
        files: Paths, and the files as they were listed.

    Returns:
        For each file None, or what `delete` would have raised.
    """
    state = WriteState()
    ends: dict[int, Exception | None] = {}
    left = list(range(len(files)))

    def attempt() -> None:
        answers = _run_job(account, [files[number] for number in left], state)
        for number, answer in zip(list(left), answers, strict=True):
            path, file = files[number]
            match answer:
                case {".tag": "failure", "failure": dict(error)}:
                    refusal = Refused(error)
                    if refusal.says("too_many_write_operations"):
                        continue  # Busy below: the next attempt asks for it again
                    known = refusal.says("path_lookup", "path_write")
                    unclear = WriteState(in_doubt=state.in_doubt or not known)
                    ends[number] = _error_of(_settle_deletion, account, path, file, refusal, unclear)
                case _:
                    ends[number] = _error_of(_check_deleted, answer, file)
            del left[left.index(number)]
        if left:
            raise Busy

    try:
        account.ask(attempt)
    except InTouchImportError as exc:
        return [ends.get(number, exc) for number in range(len(files))]
    except CallFailed:
        # The job did not start, or did not end: delete the remaining files one by one.
        state.in_doubt = True
        for number in left:
            ends[number] = _error_of(delete, account, *files[number], state)
    return [ends[number] for number in range(len(files))]


def _error_of(action: Callable[..., None], *args: Any) -> Exception | None:
    try:
        action(*args)
    except InTouchImportError as exc:
        return exc
    return None


def _run_job(account: Account, files: Sequence[tuple[str, SourceFile]], state: WriteState) -> list[Any]:
    """Start a deletion job, wait for its end, and return one answer for each file, in order."""
    entries = [{"path": path, "parent_rev": file.version} for path, file in files]
    job = None
    try:
        answer = account.client.call("files/delete_batch", {"entries": entries})
        deadline_s, pause_s = time.monotonic() + _LONGEST_S, _FIRST_LOOK_S
        while isinstance(answer, dict) and answer.get(".tag") in {"async_job_id", "in_progress"}:
            job = answer.get("async_job_id") or job
            if time.monotonic() > deadline_s:
                raise NoAnswer
            answer = account.read("files/delete_batch/check", {"async_job_id": job})
            if isinstance(answer, dict) and answer.get(".tag") == "in_progress":
                time.sleep(pause_s)
                pause_s = min(_RARELY_S, 2 * pause_s)
    except (NoAnswer, Busy):
        state.in_doubt = True
        raise
    match answer:
        case {".tag": "complete", "entries": list(answers)} if len(answers) == len(files):
            return answers
    state.in_doubt = True
    raise NoAnswer


# --- content hash


class ContentHash:
    """SHA-256 of the concatenated SHA-256 of blocks of 4 MiB, computed while the content arrives.

    See https://www.dropbox.com/developers/reference/content-hash.
    """

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._block = hashlib.sha256()
        self._room = _BLOCK_BYTES

    def update(self, data: bytes | memoryview) -> None:
        """Add the next bytes."""
        view = memoryview(data)
        while view:
            part = view[: self._room]
            self._block.update(part)
            self._room -= len(part)
            view = view[len(part) :]
            if self._room == 0:
                self._whole.update(self._block.digest())
                self._block = hashlib.sha256()
                self._room = _BLOCK_BYTES

    def taking(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass chunks on, and add them to the hash."""
        for chunk in chunks:
            self.update(chunk)
            yield chunk

    def hexdigest(self) -> str:
        """Return the hash of the bytes so far, in lower-case hex."""
        whole = self._whole.copy()
        if self._room < _BLOCK_BYTES:
            whole.update(self._block.digest())
        return whole.hexdigest()


def content_hash_of(data: bytes) -> str:
    """Return the content hash of ``data``."""
    hashed = ContentHash()
    hashed.update(data)
    return hashed.hexdigest()


def _copy(source: IO[bytes], target: IO[bytes], *, size_bytes: int) -> tuple[disk.Digested, str]:
    """Copy ``source`` to ``target``; return size, SHA-256 and content hash.

    Args:
        source: The content.
        target: The copy.
        size_bytes: The expected size. Up to one block, the content hash follows from the SHA-256.
    """
    if size_bytes <= _BLOCK_BYTES:
        digested = disk.digest_stream(source, target)
        if digested.size_bytes <= _BLOCK_BYTES:
            block = bytes.fromhex(digested.sha256) if digested.size_bytes else b""
            return digested, hashlib.sha256(block).hexdigest()
        return digested, ""  # longer than expected: the caller compares the sizes
    hashed = ContentHash()
    chunks = iter(lambda: source.read(_CHUNK_BYTES), b"")
    return disk.copy_and_digest(hashed.taking(chunks), target), hashed.hexdigest()
