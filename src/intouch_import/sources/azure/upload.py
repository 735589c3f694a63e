"""Putting a file: blocks that nobody sees, and one commit that makes them a file, if the name is free."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Any, Final

from intouch_import.sources.azure.asking import Doubtful, Failed
from intouch_import.sources.azure.faults import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from azure.storage.blob import BlobClient

    from intouch_import.sources.azure.asking import Asking

__all__ = ["upload"]

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_OURS: Final = "intouch_put"
_TAKEN: Final = frozenset({Kind.TAKEN, Kind.CHANGED, Kind.LEASED, Kind.IMMUTABLE, Kind.SNAPSHOTS})


def upload(asking: Asking, blob: BlobClient, chunks: Iterable[bytes]) -> Any:
    """Create a blob.

    Args:
        asking: Sends the requests.
        blob: Which.
        chunks: Its bytes. If they end with an exception there is no blob.

    Returns:
        Its properties; None if the name was taken meanwhile, and what is there was not touched.

    Raises:
        Failed: It could not be written; there is no blob.
    """
    from azure.core import MatchConditions
    from azure.storage.blob import BlobBlock, ContentSettings

    run, md5, blocks = secrets.token_hex(8), hashlib.md5(usedforsecurity=False), []
    for number, block in enumerate(_blocks(chunks)):
        block_id = base64.b64encode(f"{run}-{number:07}".encode()).decode()
        asking(lambda block_id=block_id, block=block: blob.stage_block(block_id, block, len(block)))  # type: ignore[misc]
        blocks.append(BlobBlock(block_id))
        md5.update(block)
    settings = ContentSettings(content_md5=bytearray(md5.digest()))
    commit: Doubtful[Any] = Doubtful(
        asking,
        lambda: blob.commit_block_list(
            blocks,
            match_condition=MatchConditions.IfMissing,
            content_settings=settings,
            metadata={_OURS: run},
        ),
    )
    try:
        asking(commit)
    except Failed as exc:
        if exc.fault.kind not in _TAKEN:
            raise
        if not commit.doubt:
            return None
    # After a lost answer: is it ours that is there?
    found = asking(blob.get_blob_properties)
    return found if (found.metadata or {}).get(_OURS) == run else None


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks of any size as blocks of one size."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _BLOCK_BYTES:
            yield bytes(held[:_BLOCK_BYTES])
            del held[:_BLOCK_BYTES]
    if held:
        yield bytes(held)
