"""Whether a movie ends too early. MP4 and QuickTime share their structure with HEIC and AVIF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from intouch_import.media.cuts.edges import Edges

__all__ = [
    "asf_is_cut",
    "avi_is_cut",
    "boxes_of",
    "iso_media_is_cut",
    "matroska_is_cut",
    "movie_is_cut",
    "transport_stream_is_cut",
]

_BOX_HEADER_BYTES: Final = 8


def boxes_of(known: Edges) -> tuple[list[bytes], int | None]:
    """List the top-level boxes of an ISO media or JPEG 2000 file.

    Returns:
        Their types, and the offset at which the last of them ends by its own declaration; None if the bytes
        after them are not known.
    """
    types: list[bytes] = []
    at = 0
    while at + _BOX_HEADER_BYTES <= known.size:
        header = known.at(at, _BOX_HEADER_BYTES)
        if header is None:
            return types, None
        length, box = int.from_bytes(header[:4], "big"), header[4:]
        # Stop at padding, or at a trailer that is no box.
        if not (box.isascii() and box.decode("ascii").isprintable()):
            break
        if length == 1:
            longer = known.at(at + _BOX_HEADER_BYTES, 8)
            if longer is None:
                return types, None
            length = int.from_bytes(longer, "big")
        elif length == 0:  # to the end of the file
            length = known.size - at
        if length < _BOX_HEADER_BYTES:  # impossible for a box
            break
        types.append(box)
        at += length
    return types, at


def iso_media_is_cut(known: Edges) -> bool:
    """Return whether a box extends beyond the end of the file, or the index is missing.

    A recorder that loses power leaves pictures (``mdat``) without the index (``moov``) that is needed to play
    them.
    """
    types, end = boxes_of(known)
    return end is not None and (end > known.size or not {b"moov", b"meta"}.intersection(types))


def movie_is_cut(known: Edges) -> bool:
    """Return whether an MP4 or QuickTime movie is cut as an ISO media file, or has an index only."""
    types, end = boxes_of(known)
    return iso_media_is_cut(known) or (end is not None and b"mdat" not in types)


_FLAGS_AT: Final = 44
_HAS_INDEX: Final = 0x10
_UNKNOWN_SIZES: Final = (0, 0xFFFF_FFFF)


def avi_is_cut(known: Edges) -> bool:
    """Return whether a part of an AVI extends beyond the end, or the index is missing that it declares.

    A file of more than a gigabyte has several parts. Some recorders leave 0 or FFFFFFFF as a size.
    """
    at = 0
    while (header := known.at(at, 8)) is not None and header[:4] == b"RIFF":
        length = int.from_bytes(header[4:], "little")
        if length in _UNKNOWN_SIZES:
            break
        at += 8 + length + length % 2
        if at - length % 2 > known.size:
            return True
    flags = known.at(_FLAGS_AT, 4) if known.at(24, 4) == b"avih" else None
    if flags is None or not flags[0] & _HAS_INDEX or b"indx" in known.head:
        return False
    return _lacks_index(known)


def _lacks_index(known: Edges) -> bool:
    at = 12
    while at + 8 <= known.size:
        header = known.at(at, 8)
        if header is None or header[:4] == b"idx1":
            return False
        length = int.from_bytes(header[4:], "little")
        at += 8 + length + length % 2
    return True


_ASF_HEADER_BYTES: Final = 24


def asf_is_cut(known: Edges) -> bool:
    """Return whether an object of a Windows Media file (16 bytes of id, 8 of size) extends beyond the end."""
    at = 0
    while (header := known.at(at, _ASF_HEADER_BYTES)) is not None:
        length = int.from_bytes(header[16:], "little")
        if length < _ASF_HEADER_BYTES:  # unknown (a live recording), or no object
            return False
        at += length
    return at > known.size


_MATROSKA_PARTS: Final = frozenset({b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"})


def matroska_is_cut(known: Edges) -> bool:
    """Return whether the EBML header or the segment extends beyond the end.

    In a live recording, a size is all ones.
    """
    at = 0
    while (header := known.at(at, 12)) is not None and header[:4] in _MATROSKA_PARTS and header[4]:
        width = 9 - header[4].bit_length()
        unknown = (1 << 7 * width) - 1
        length = int.from_bytes(header[4 : 4 + width], "big") & unknown
        if length == unknown:
            return False
        at += 4 + width + length
    return at > known.size


def transport_stream_is_cut(known: Edges) -> bool:
    """Return whether the last packet is incomplete: 188 bytes, or 192 with the time before each packet."""
    packet_bytes, mark_at = (188, 0) if known.head.startswith(b"G") else (192, 4)
    return known.size % packet_bytes != 0 or known.at(known.size - packet_bytes + mark_at, 1) not in {
        None,
        b"G",
    }
