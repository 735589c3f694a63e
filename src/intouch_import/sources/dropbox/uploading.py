"""Putting a file into a Dropbox so that it is there whole or not at all, and never in another one's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from intouch_import.errors import NameRefused, NameTaken, SourceUnavailable
from intouch_import.sources.dropbox.account import Doubt, failed
from intouch_import.sources.dropbox.faults import Misunderstood, Refused, Unanswered
from intouch_import.sources.dropbox.hashing import ContentHash, content_hash_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from intouch_import.sources.dropbox.account import Account

__all__ = ["upload"]

CHUNK_BYTES: Final = 8 * 1024 * 1024


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
