"""Whether a picture ends too early: JPEG, PNG, GIF, JPEG 2000, Photo CD, BMP and WebP."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from intouch_import.media.cuts.movies import boxes_of

if TYPE_CHECKING:
    from intouch_import.media.cuts.edges import Edges

__all__ = [
    "bmp_is_cut",
    "gif_is_cut",
    "j2k_is_cut",
    "jp2_is_cut",
    "jpeg_is_cut",
    "pcd_is_cut",
    "png_is_cut",
    "webp_is_cut",
]

_END_OF_IMAGE: Final = b"\xff\xd9"
_START_OF_SCAN: Final = 0xDA
_FILL: Final = 0xFF
_LENGTH_BYTES: Final = 2
# In the picture data of a JPEG, FF is always followed by a stuffed zero, a restart marker, another FF, or
# (between the scans of a progressive JPEG) a table or the next scan. Other compressed data, such as the movie
# at the end of a Motion Photo, breaks this rule about once in 270 bytes.
_NOT_IN_A_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff\xc4\xcc\xda\xdb\xdd]")
# The index at the end of the movie may fill the tail without any FF: recognise it by the names of its parts.
_MOVIE_INDEX: Final = re.compile(rb"moov|trak|stbl|stts|ctts|stsz|stsc|stco|co64|udta|SEFT\Z")


def jpeg_is_cut(known: Edges) -> bool:
    """Return whether a JPEG ends before its picture does.

    "Must end in FF D9" would refuse the photos of many phones: Motion Photos append a movie, Samsung a
    trailer, cameras pad with zeros. "FF D9 somewhere near the end" would accept a small photo that is cut
    after its Exif preview, because the preview ends in FF D9. So the mark must come after the headers. If the
    tail has no mark, the file is cut if the whole picture is known, or if the tail is still picture data (or
    zeros: space that was allocated and not filled). A photo that was recovered from a card may have a part of
    another photo behind its mark: if all bytes can be read, the mark is looked for in all of them.
    """
    picture_at = _jpeg_picture_start(known)
    if picture_at >= known.size:
        return True
    if known.tail.find(_END_OF_IMAGE, max(0, picture_at - known.tail_start)) >= 0:
        return False
    if known.tail_start <= picture_at:
        return True
    if _NOT_IN_A_SCAN.search(known.tail) or _MOVIE_INDEX.search(known.tail):
        return False
    return not known.contains(_END_OF_IMAGE, picture_at)


def _jpeg_picture_start(known: Edges) -> int:
    """Return the offset after the header segments, including previews, as far as they are known."""
    at = 2
    while (segment := known.at(at, 4)) is not None and segment[0] == _FILL:
        marker, length = segment[1], int.from_bytes(segment[2:], "big")
        if marker == _FILL:
            at += 1
            continue
        if marker == _END_OF_IMAGE[1] or length < _LENGTH_BYTES:  # the length includes itself
            break
        at += _LENGTH_BYTES + length
        if marker == _START_OF_SCAN:
            break
    return at


def png_is_cut(known: Edges) -> bool:
    """Return whether the IEND chunk, which is always the same, is missing. Data after it is allowed."""
    return b"\0\0\0\0IEND\xaeB`\x82" not in known.tail


def gif_is_cut(known: Edges) -> bool:
    """Return whether the trailer (3B, after the 00 of the last block) is missing. Zeros may follow it."""
    return not known.tail.rstrip(b"\0").endswith(b"\0;")


def j2k_is_cut(known: Edges) -> bool:
    """Return whether the end mark is missing; packet data never contains it (ISO 15444-1, A.1)."""
    return _END_OF_IMAGE not in known.tail


def jp2_is_cut(known: Edges) -> bool:
    """Return whether a box extends beyond the end, or the codestream is missing or lacks its end mark."""
    types, end = boxes_of(known)
    if end is None:
        return False
    lacks_codestream = not {b"jp2c", b"ftbl"}.intersection(types)
    if end > known.size or (lacks_codestream and end == known.size):
        return True
    # What follows a box that is not valid may contain the codestream.
    return (lacks_codestream or types[-1] == b"jp2c") and j2k_is_cut(known)


def pcd_is_cut(known: Edges) -> bool:
    """Return whether the base resolution is incomplete: 768 by 512, 12 bits a pixel, at sector 96."""
    return not known.head.startswith(b"PCD_OPA") and known.size < 96 * 2048 + 768 * 512 * 3 // 2


_BMP: Final = struct.Struct("<10xLLllHHLL")
_BMP_HEADERS: Final = frozenset({40, 52, 56, 64, 108, 124})
_NOT_COMPRESSED: Final = frozenset({0, 3, 6})


def bmp_is_cut(known: Edges) -> bool:
    """Return whether the rows of a bitmap extend beyond the end. A compressed one declares their length."""
    if len(known.head) < _BMP.size:
        return True
    start, header, width, height, planes, bits, compression, length = _BMP.unpack_from(known.head)
    if header not in _BMP_HEADERS or planes != 1 or width < 0:
        return False
    if compression in _NOT_COMPRESSED:
        length = (width * bits + 31) // 32 * 4 * abs(height)
    return bool(start + length > known.size)


def webp_is_cut(known: Edges) -> bool:
    """Return whether a WebP is shorter than it declares."""
    return 8 + int.from_bytes(known.head[4:8], "little") > known.size
