"""`companion_facts`: what the first and last bytes of a file say about the files that belong to it.

Nothing is decoded. Photos and movies give their capture times, the device and Apple's ids. An ``.xmp`` and
the metadata of Google Takeout give the name of their owner.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from intouch_import.media.boxes import Reader
from intouch_import.media.companion_names import Family, folded, read_name
from intouch_import.media.companion_values import CompanionFacts
from intouch_import.media.containers import find_movie
from intouch_import.media.exif import find_exif
from intouch_import.media.kinds import sniff
from intouch_import.media.places import Form, find_metadata
from intouch_import.media.times import from_exif, from_movie, readings
from intouch_import.media.xmp import MOST_BYTES, read_properties

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["EDGE_BYTES", "companion_facts"]

EDGE_BYTES: Final = 256 * 1024
"""How many bytes of each end to read: the index of a short movie is in the last ones."""

_MM: Final = "http://ns.adobe.com/xap/1.0/mm/ "
_DOCUMENT: Final = {"document_id": (_MM + "DocumentID",)}
_OWNER: Final = {
    **_DOCUMENT,
    # Lightroom writes the first of these, darktable the second.
    "owner_name": ("http://ns.adobe.com/camera-raw-settings/1.0/ RawFileName", _MM + "DerivedFrom"),
}


def companion_facts(
    name: str, edges: tuple[bytes, bytes], *, size_bytes: int, zone: tzinfo
) -> CompanionFacts:
    """Return what a file says about its companions.

    Args:
        name: Base name with its extension.
        edges: The first and the last bytes, up to `EDGE_BYTES` each.
        size_bytes: Size of the file.
        zone: The practice's time zone, for local times without an offset.
    """
    head, tail = edges
    parsed = read_name(name)
    if parsed.family is Family.SIDECAR:
        return _in_sidecar(folded(name), head)
    if parsed.family in {Family.PREVIEW, Family.OTHER}:
        return CompanionFacts()
    kind = sniff(head)
    reader = Reader(cast("BinaryIO", _Edges(head, tail, size_bytes)), size_bytes, head=head)
    exif, movie = find_exif(kind, reader), find_movie(kind, reader)
    found = [*(from_exif(exif, zone) if exif else ()), *(from_movie(movie, zone) if movie else ())]
    camera = movie if exif is None else exif
    packets = (block.at(0, MOST_BYTES) for form, block in find_metadata(kind, reader) if form is Form.XMP)
    return CompanionFacts(
        taken_at=tuple(
            reading
            for time in found
            if not (time.looks_reset or time.day_only)
            for reading in readings(time, zone)
        ),
        device=_device(camera.make, camera.model) if camera is not None else None,
        content_id=camera.content_id if camera is not None else None,
        burst_id=exif.burst_id if exif is not None else None,
        document_id=read_properties(next(packets, b""), _DOCUMENT).get("document_id"),
    )


def _device(make: str | None, model: str | None) -> str | None:
    """Return make and model as they are compared. Some cameras repeat the make in the model."""
    if not model:
        return None
    make, model = (make or "").casefold().strip(), model.casefold().strip()
    return f"{make} {model.removeprefix(make).strip()}".strip()


def _in_sidecar(name: str, content: bytes) -> CompanionFacts:
    if name.endswith(".xmp"):
        values = read_properties(content[:MOST_BYTES], _OWNER)
        owner = values.get("owner_name", "")
        return CompanionFacts(
            document_id=values.get("document_id"), owner_name=owner if "." in owner else None
        )
    if not name.endswith(".json"):
        return CompanionFacts()
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return CompanionFacts()
    # Others write a title, too, which is no file name.
    is_takeout = isinstance(values, dict) and "photoTakenTime" in values
    title = values.get("title") if is_takeout else None
    return CompanionFacts(owner_name=title if isinstance(title, str) and title else None)


class _Edges:
    """A stream of a file of which only both ends are known. A read between them returns nothing."""

    def __init__(self, head: bytes, tail: bytes, size_bytes: int) -> None:
        self._head, self._tail = head, tail
        self._tail_at = size_bytes - len(tail)
        self._at = 0

    def seek(self, offset: int) -> int:
        self._at = offset
        return offset

    def read(self, length: int) -> bytes:
        if self._at < len(self._head):
            found = self._head[self._at : self._at + length]
        elif self._at >= self._tail_at:
            found = self._tail[self._at - self._tail_at :][:length]
        else:
            found = b""
        self._at += len(found)
        return found
