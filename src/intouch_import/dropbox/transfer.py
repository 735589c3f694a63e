"""One file of a Dropbox: fetched, written, deleted."""

from __future__ import annotations

import hashlib
import time
from typing import IO, TYPE_CHECKING, Any, Final

from intouch_import import disk
from intouch_import.content import StagedContent, staging_file
from intouch_import.dropbox.account import Doubt
from intouch_import.dropbox.errors import Busy, Misunderstood, Refused, Unanswered, failed, may_be_lifted
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
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from intouch_import.dropbox.account import Account
    from intouch_import.model import SourceFile

__all__ = ["BLOCK_BYTES", "ContentHash", "content_hash_of", "delete_together", "digest_both", "upload"]

_BODY_ATTEMPTS: Final = 3
CHUNK_BYTES: Final = 8 * 1024 * 1024
_FIRST_LOOK_S: Final = 0.02
_RARELY_S: Final = 2.0
_LONGEST_S: Final = 600.0
BLOCK_BYTES: Final = 4 * 1024 * 1024


def download(
    account: Account, path: str, file: SourceFile, *, folder: str, staging: Path | None
) -> StagedContent:
    """Fetch the version of a file that was listed into a temporary file, checked.

    Args:
        account: Where from.
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
                digested = _download_once(account, target, path, file, folder=folder)
            return StagedContent(name, digested)
        except _Body:
            if not left:
                raise FileUnreadable("the transfer was cut, again and again") from None
        except ContentMismatch:
            if not left:
                raise
    raise AssertionError("the last attempt returns or raises")


def _download_once(
    account: Account, target: BinaryIO, path: str, file: SourceFile, *, folder: str
) -> disk.Digested:
    """One attempt of `download`."""
    try:
        found, response = account.ask(lambda: account.client.download({"path": path}))
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


class _Body(Exception):
    """The body of a download ended early, or stayed away."""


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


def upload(
    account: Account, path: str, chunks: Iterable[bytes], *, mode: str | dict[str, str] = "add"
) -> dict[str, Any]:
    """Write a file. It appears under its name with its last byte.

    Args:
        account: Where to.
        path: The file.
        chunks: Its content.
        mode: ``"add"``: a name that is taken is refused; ``{".tag": "update", "update": rev}``: that version
            is replaced, and no other.

    Returns:
        Its metadata.

    Raises:
        NameTaken: Another file, or a folder, has that name, or stands in place of a folder above it.
        NameRefused: Dropbox does not take such a name.
        SourceError: It could not be written; nothing was put under that name.
    """
    commit = {"path": path, "mode": mode, "autorename": False, "strict_conflict": True}
    hashed = ContentHash()
    parts = _sized(chunks, hashed)
    first, last = next(parts), True
    second = next(parts, None)
    last = second is None
    try:
        with account.writing():
            if last:
                found = _commit(account, path, hashed, "files/upload", commit | _hash(first), first)
            else:
                found = _upload_in_parts(account, path, hashed, commit, first, second or b"", parts)
    except Refused as exc:
        raise _refused(exc) from None
    except Misunderstood:
        raise NameRefused("Dropbox does not take such a name") from None
    except Unanswered as exc:
        raise failed(exc, "the file could not be written") from None
    if found.get("content_hash") != hashed.hexdigest():
        raise SourceUnavailable("Dropbox holds other bytes than were sent: look at the file there")
    return found


def _upload_in_parts(
    account: Account,
    path: str,
    hashed: ContentHash,
    commit: dict[str, Any],
    first: bytes,
    second: bytes,
    rest: Iterator[bytes],
) -> dict[str, Any]:
    """Append to a session, which nobody sees, and commit it with its last part."""
    started = account.ask(lambda: account.client.upload("files/upload_session/start", _hash(first), first))
    session = started.get("session_id") if isinstance(started, dict) else None
    if not isinstance(session, str):
        raise Unanswered
    offset, part = len(first), second
    for following in rest:
        _append(account, session, offset, part)
        offset += len(part)
        part = following
    cursor = {"session_id": session, "offset": offset}
    arg = {"cursor": cursor, "commit": commit} | _hash(part)
    return _commit(account, path, hashed, "files/upload_session/finish", arg, part)


def _append(account: Account, session: str, offset: int, part: bytes) -> None:
    arg = {"cursor": {"session_id": session, "offset": offset}} | _hash(part)
    doubt = Doubt()
    try:
        account.write(lambda: account.client.upload("files/upload_session/append_v2", arg, part), doubt)
    except Refused as exc:
        # The part has arrived, and the answer had not: the session says how long it is.
        if not (doubt.cast and exc.says("incorrect_offset")):
            raise


def _commit(
    account: Account, path: str, hashed: ContentHash, route: str, arg: dict[str, Any], body: bytes
) -> dict[str, Any]:
    """The request that makes the file appear. If its answer was lost, what stands there is read."""
    doubt = Doubt()

    def attempt() -> Any:
        return account.client.upload(route, arg, body)

    try:
        found = account.write(attempt, doubt)
    except (Refused, Unanswered):
        there = account.metadata(path) if doubt.cast else None
        if there is None or there.get("content_hash") != hashed.hexdigest():
            raise
        return there
    if not isinstance(found, dict):
        raise Unanswered
    return found


def _sized(chunks: Iterable[bytes], hashed: ContentHash) -> Iterator[bytes]:
    """Parts of one size, the last one shorter; one empty part for an empty file."""
    buffer = bytearray()
    sent = False
    for chunk in chunks:
        hashed.update(chunk)
        buffer += chunk
        while len(buffer) > CHUNK_BYTES:
            yield bytes(buffer[:CHUNK_BYTES])
            del buffer[:CHUNK_BYTES]
            sent = True
    if buffer or not sent:
        yield bytes(buffer)


def _hash(part: bytes) -> dict[str, str]:
    # With it Dropbox refuses a part that was damaged on its way.
    return {"content_hash": content_hash_of(part)}


def _refused(exc: Refused) -> Exception:
    if exc.says("conflict"):
        return NameTaken("a file of that name is there already")
    if exc.says("malformed_path", "disallowed_name"):
        return NameRefused("Dropbox does not take such a name")
    return failed(exc, "the file could not be written")


def delete(account: Account, path: str, file: SourceFile, doubt: Doubt) -> None:
    """Delete one version of a file, once.

    Args:
        account: Where.
        path: The file.
        file: As it was listed.
        doubt: Whether it was asked for before, and may be gone because of us.

    Raises:
        FileChanged, FileVanished, NotRemoved: See `Source.remove`.
        SourceError: Whether it is gone is not known.
    """
    arg = {"path": path, "parent_rev": file.version}
    try:
        answer = account.write(lambda: account.client.call("files/delete_v2", arg), doubt)
    except (Unanswered, Refused, Misunderstood) as exc:
        _settle_deletion(account, path, file, exc, doubt)
        return
    _check_deleted(answer, file)


def _settle_deletion(account: Account, path: str, file: SourceFile, exc: Exception, doubt: Doubt) -> None:
    """A deletion was refused or not answered: read what stands there, and tell it. Raises as `delete`."""
    try:
        there = account.metadata(path)
        if there is None:
            if not doubt.cast:
                raise FileVanished("the file is no longer there")
            # Nothing stands there: is it gone, by our own request, or was it moved elsewhere?
            if file.handle is not None and account.metadata(file.handle) is not None:
                raise FileVanished("the file was moved elsewhere")
            return
    except (Unanswered, Refused, Misunderstood) as again:
        raise failed(again, "whether the file is gone is not known") from None
    if there.get("rev") != file.version or there.get("id") != file.handle:
        raise FileChanged("another version stands there; it was not touched")
    if isinstance(exc, Refused):
        raise NotRemoved("Dropbox does not let the file be removed", retry_helps=may_be_lifted(exc))
    raise NotRemoved("Dropbox did not answer; the file is still there")


def delete_together(account: Account, files: Sequence[tuple[str, SourceFile]]) -> list[Exception | None]:
    """Delete one version of each file.

    Args:
        account: Where.
        files: Paths, and the files as they were listed.

    Returns:
        For each file None, or what `delete` would have raised.
    """
    doubt = Doubt()
    ends: dict[int, Exception | None] = {}
    left = list(range(len(files)))

    def attempt() -> None:
        answers = _run_job(account, [files[number] for number in left], doubt)
        for number, answer in zip(list(left), answers, strict=True):
            refusal = _refusal(answer)
            if refusal is not None and refusal.says("too_many_write_operations"):
                continue  # not its turn yet: it is asked for again with the others that are left
            ends[number] = _end(account, *files[number], answer, refusal, doubt)
            del left[left.index(number)]
        if left:
            raise Busy

    try:
        account.ask(attempt)
    except InTouchImportError as exc:
        return [ends.get(number, exc) for number in range(len(files))]
    except (Unanswered, Busy, Refused, Misunderstood):
        # No job, or no end of it: each of those that are left by itself.
        doubt.cast = True
        for number in left:
            ends[number] = _alone(account, *files[number], doubt)
    return [ends[number] for number in range(len(files))]


def _run_job(account: Account, files: Sequence[tuple[str, SourceFile]], doubt: Doubt) -> list[Any]:
    """Ask for a job, and wait for its end.

    Returns:
        An answer per file, in order.
    """
    entries = [{"path": path, "parent_rev": file.version} for path, file in files]
    job = None
    try:
        said = account.client.call("files/delete_batch", {"entries": entries})
        ends_s, pause_s = time.monotonic() + _LONGEST_S, _FIRST_LOOK_S
        while isinstance(said, dict) and said.get(".tag") in {"async_job_id", "in_progress"}:
            job = said.get("async_job_id") or job
            if time.monotonic() > ends_s:
                raise Unanswered
            said = account.read("files/delete_batch/check", {"async_job_id": job})
            if isinstance(said, dict) and said.get(".tag") == "in_progress":
                time.sleep(pause_s)
                pause_s = min(_RARELY_S, 2 * pause_s)
    except (Unanswered, Busy):
        doubt.cast = True
        raise
    match said:
        case {".tag": "complete", "entries": list(answers)} if len(answers) == len(files):
            return answers
    doubt.cast = True
    raise Unanswered


def _refusal(answer: Any) -> Refused | None:
    match answer:
        case {".tag": "failure", "failure": dict(error)}:
            return Refused(error)
    return None


def _end(
    account: Account, path: str, file: SourceFile, answer: Any, refusal: Refused | None, doubt: Doubt
) -> Exception | None:
    try:
        if refusal is None:
            _check_deleted(answer, file)
        else:
            unclear = Doubt()
            unclear.cast = doubt.cast or not refusal.says("path_lookup", "path_write")
            _settle_deletion(account, path, file, refusal, unclear)
    except InTouchImportError as exc:
        return exc
    return None


def _alone(account: Account, path: str, file: SourceFile, doubt: Doubt) -> Exception | None:
    try:
        delete(account, path, file, doubt)
    except InTouchImportError as exc:
        return exc
    except (Unanswered, Busy, Refused, Misunderstood) as exc:
        return failed(exc, "whether the file is gone is not known")
    return None


def _check_deleted(answer: Any, file: SourceFile) -> None:
    """Whether what Dropbox says it deleted is what it was asked to.

    Raises:
        FileChanged: It is not.
    """
    gone = answer.get("metadata") if isinstance(answer, dict) else None
    if not isinstance(gone, dict) or gone.get("rev") != file.version:
        raise FileChanged("Dropbox says that it deleted another version: look under its deleted files")


class ContentHash:
    """SHA-256 of the concatenated SHA-256 of blocks of 4 MiB, as the content comes in.

    The rule is published at https://www.dropbox.com/developers/reference/content-hash.
    """

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._block = hashlib.sha256()
        self._room = BLOCK_BYTES

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            part = view[: self._room]
            self._block.update(part)
            self._room -= len(part)
            view = view[len(part) :]
            if self._room == 0:
                self._whole.update(self._block.digest())
                self._block = hashlib.sha256()
                self._room = BLOCK_BYTES

    def hexdigest(self) -> str:
        """The hash of what came so far, in lower-case hex."""
        whole = self._whole.copy()
        if self._room < BLOCK_BYTES:
            whole.update(self._block.digest())
        return whole.hexdigest()


def content_hash_of(data: bytes) -> str:
    """The content hash of bytes that are there whole."""
    hashed = ContentHash()
    hashed.update(data)
    return hashed.hexdigest()


def digest_both(source: IO[bytes], target: IO[bytes], *, size_bytes: int) -> tuple[disk.Digested, str]:
    """Read ``source`` to its end into ``target``; give its SHA-256 and its content hash.

    Args:
        source: The content.
        target: Where to.
        size_bytes: How long it should be. Up to one block the second hash follows from the first.
    """
    if size_bytes <= BLOCK_BYTES:
        digested = disk.digest_stream(source, target)
        if digested.size_bytes <= BLOCK_BYTES:
            block = bytes.fromhex(digested.sha256) if digested.size_bytes else b""
            return digested, hashlib.sha256(block).hexdigest()
        # Longer than it should be: whoever compares sizes refuses it, whatever its hash.
        return digested, ""
    hashed = _Hashing(target)
    digested = disk.digest_stream(source, hashed)  # type: ignore[arg-type]  # it only writes
    return digested, hashed.hash.hexdigest()


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.hash = ContentHash()

    def write(self, chunk: memoryview) -> int:
        written = self._target.write(chunk)
        self.hash.update(chunk[:written])
        return written
