"""Check by a file's first and last bytes whether it is what its extension says, and complete.

A capture name identifies the patient, but not the content. Before an automatic import, `content_reason` asks
two questions: is this what the extension says, and is all of it there? The head and the tail of the file
answer both without decoding, so that a video of 4 GB costs no more than a photo. Everything here is pure.

The answer "not what the extension says" is certain. "Cut short" needs evidence: a part that the file declares
would be beyond its end, or the mark that must close it is missing. So no objection (None) does not mean that
a picture can be decoded. Head and tail can't show:

- damage in the middle, or missing blocks in the middle of an unfinished copy;
- a JPEG that is cut inside something appended *after* the picture (a Motion Photo's movie, Samsung's
  trailer): the picture itself is complete;
- a JPEG that is cut inside headers longer than head and tail together, right after an embedded preview;
- a video that is cut inside an index (``moov``) longer than the tail, or without its sound and pictures in a
  file whose sizes were corrected afterwards;
- a TIFF of several pages that is cut in a page whose directory is neither in the head nor in the tail;
- a FlashPix image that is cut.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.extensions import extension_of
from intouch_import.media.kinds import KINDS_OF_EXTENSIONS, Kind, bytes_to_recognise, sniff
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "content_reason"]

HEAD_BYTES: Final = 65_536
"""Bytes to read from the start of a file: enough for the Exif segment of a JPEG."""

TAIL_BYTES: Final = 65_536
"""Bytes to read from the end of a file: enough for the index of a short video and for small trailers."""

_OTHER_MEDIA: Final = frozenset(
    {"bmp", "dib", "dcm", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "psd", "jxl"}
    | {"mpg", "mpeg", "mpe", "m2v", "mts", "m2ts", "vob", "flv", "ogv", "mxf"}
)


def content_reason(
    name: str, /, *, head: bytes, tail: bytes, size_bytes: int, kind: Kind | None = None
) -> Reason | None:
    """Return why the content of a file must not be trusted without a person.

    Args:
        name: Base name; only its extension is used.
        head: The first `HEAD_BYTES` of the file, or the whole file if it is shorter.
        tail: The last `TAIL_BYTES` of the file, or the whole file if it is shorter.
        size_bytes: Size of the whole file in bytes.
        kind: The result of `sniff` for the head, if it is already known.

    Returns:
        `Reason.CONTENT_NOT_AS_NAMED`, `Reason.CONTENT_CUT_SHORT`, or None if there is no objection. With an
        extension that is not known here, only programs and web pages under the names of other images and
        videos are refused.
    """
    extension = extension_of(name)[1:]
    # str.lower() would turn U+212A KELVIN SIGN into "k" and see a .j2k where `classify` sees none.
    extension = extension.lower() if extension.isascii() else ""
    expected = KINDS_OF_EXTENSIONS.get(extension)
    if kind is None:
        kind = sniff(head)
    if expected is None:
        foreign = extension in _OTHER_MEDIA and kind in {Kind.EXECUTABLE, Kind.HTML}
        return Reason.CONTENT_NOT_AS_NAMED if foreign else None
    known = _Edges.of(head, tail, size_bytes)
    if kind in expected:
        return Reason.CONTENT_CUT_SHORT if known.tail and _is_cut(kind, known) else None
    too_short = len(known.head) < bytes_to_recognise(expected)
    if kind is Kind.EMPTY or (kind is Kind.UNKNOWN and too_short):
        return Reason.CONTENT_CUT_SHORT if len(known.head) == size_bytes else None
    return Reason.CONTENT_NOT_AS_NAMED


# --- is all of it there? --------------------------------------------------------------------------


@attrs.frozen
class _Edges:
    """The known bytes of a file: its head and tail (all of it, if they meet), and its size in bytes."""

    head: bytes = attrs.field(repr=False)
    tail: bytes = attrs.field(repr=False)
    size: int

    @classmethod
    def of(cls, head: bytes, tail: bytes, size: int) -> _Edges:
        """Join head and tail if they meet, so that all bytes of the file are known."""
        overlap = len(head) + len(tail) - size
        if overlap >= 0:
            head = tail = (head + tail[overlap:])[:size]
        return cls(head, tail, size)

    @property
    def tail_start(self) -> int:
        """The offset of the first byte of the tail."""
        return self.size - len(self.tail)

    def at(self, offset: int, length: int) -> bytes | None:
        """Return the bytes at an offset, or None if not all of them are known."""
        if offset + length <= len(self.head):
            return self.head[offset : offset + length]
        start = offset - self.tail_start
        return self.tail[start : start + length] if start >= 0 and start + length <= len(self.tail) else None


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


def _jpeg_is_cut(known: _Edges) -> bool:
    """Return whether a JPEG ends before its picture does.

    "Must end in FF D9" would refuse the photos of many phones: Motion Photos append a movie, Samsung a
    trailer, cameras pad with zeros. "FF D9 somewhere near the end" would accept a small photo that is cut
    after its Exif preview, because the preview ends in FF D9. So the mark must come after the headers. If the
    tail has no mark, the file is cut if the whole picture is known, or if the tail is still picture data (or
    zeros: space that was allocated and not filled).
    """
    picture_at = _jpeg_picture_start(known)
    if picture_at >= known.size:
        return True
    if known.tail.find(_END_OF_IMAGE, max(0, picture_at - known.tail_start)) >= 0:
        return False
    if known.tail_start <= picture_at:
        return True
    return not (_NOT_IN_A_SCAN.search(known.tail) or _MOVIE_INDEX.search(known.tail))


def _jpeg_picture_start(known: _Edges) -> int:
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


def _png_is_cut(known: _Edges) -> bool:
    """Return whether the IEND chunk, which is always the same, is missing. Data after it is allowed."""
    return b"\0\0\0\0IEND\xaeB`\x82" not in known.tail


def _gif_is_cut(known: _Edges) -> bool:
    """Return whether the trailer (3B, after the 00 of the last block) is missing. Zeros may follow it."""
    return not known.tail.rstrip(b"\0").endswith(b"\0;")


def _j2k_is_cut(known: _Edges) -> bool:
    """Return whether the end mark is missing; packet data never contains it (ISO 15444-1, A.1)."""
    return _END_OF_IMAGE not in known.tail


def _pcd_is_cut(known: _Edges) -> bool:
    """Return whether the base resolution is incomplete: 768 by 512, 12 bits a pixel, at sector 96."""
    return not known.head.startswith(b"PCD_OPA") and known.size < 96 * 2048 + 768 * 512 * 3 // 2


_PDF_EDGE: Final = 1024


def _pdf_is_cut(known: _Edges) -> bool:
    """Return whether ``%%EOF`` is missing at the end, or a linearized file is shorter than it declares.

    A linearized PDF (made for the web) has an ``%%EOF`` near its start too.
    """
    start = known.head[:_PDF_EDGE]
    if b"/Linearized" in start and (length := re.search(rb"/L\s+(\d{1,18})\b", start)):
        return int(length[1]) > known.size
    return b"%%EOF" not in known.tail.rstrip(b"\0\t\r\n ")[-_PDF_EDGE:]


_BOX_HEADER_BYTES: Final = 8


def _boxes(known: _Edges) -> tuple[list[bytes], int | None]:
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


def _iso_media_is_cut(known: _Edges) -> bool:
    """Return whether a box extends beyond the end of the file, or the index is missing.

    A recorder that loses power leaves pictures (``mdat``) without the index (``moov``) that is needed to play
    them.
    """
    types, end = _boxes(known)
    return end is not None and (end > known.size or not {b"moov", b"meta"}.intersection(types))


def _jp2_is_cut(known: _Edges) -> bool:
    """Return whether a box extends beyond the end, or the codestream is missing or lacks its end mark."""
    types, end = _boxes(known)
    if end is None:
        return False
    if end > known.size or not {b"jp2c", b"ftbl"}.intersection(types):
        return True
    return types[-1] == b"jp2c" and _j2k_is_cut(known)


def _riff_ends(known: _Edges) -> Iterator[int]:
    """Yield the declared end of a RIFF file (AVI, WebP). Some recorders leave 0 or FFFFFFFF."""
    length = known.head[4:8]
    if length != b"\xff\xff\xff\xff":
        yield 8 + int.from_bytes(length, "little")


_ASF_HEADER_BYTES: Final = 24


def _asf_ends(known: _Edges) -> Iterator[int]:
    """Yield the ends of the top-level objects of a Windows Media file: 16 bytes of id, 8 of size."""
    at = 0
    while (header := known.at(at, _ASF_HEADER_BYTES)) is not None:
        length = int.from_bytes(header[16:], "little")
        if length < _ASF_HEADER_BYTES:  # unknown (a live recording), or no object
            return
        at += length
        yield at


_MATROSKA_PARTS: Final = frozenset({b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"})


def _matroska_ends(known: _Edges) -> Iterator[int]:
    """Yield the ends of the EBML header and the segment. In a live recording, a size is all ones."""
    at = 0
    while (header := known.at(at, 12)) is not None and header[:4] in _MATROSKA_PARTS and header[4]:
        width = 9 - header[4].bit_length()
        unknown = (1 << 7 * width) - 1
        length = int.from_bytes(header[4 : 4 + width], "big") & unknown
        if length == unknown:
            return
        at += 4 + width + length
        yield at


_TIFF_MOST_PAGES: Final = 1000
# Hostile directories may overlap, and list the same numbers a thousand times.
_TIFF_MOST_NUMBERS: Final = 200_000
_TIFF_NUMBERS: Final = {3: "H", 4: "L", 16: "Q"}
_TIFF_PIECES: Final = ((273, 279), (324, 325))
"""The tags of offsets and byte counts: of strips, and of tiles."""
_TIFF_PIECE_TAGS: Final = frozenset(tag for pair in _TIFF_PIECES for tag in pair)


def _tiff_ends(known: _Edges) -> Iterator[int]:
    """Yield the ends of the directories of a TIFF and of their strips or tiles, as far as they are known."""
    order = "<" if known.head.startswith(b"II") else ">"
    big = b"+" in known.head[2:4]
    forms = ("Q", "Q", "HHQ8s") if big else ("L", "H", "HHL4s")
    number, counter, entry = (struct.Struct(order + form) for form in forms)
    where = known.at(number.size, number.size)
    # An interrupted writer leaves zero as the offset of the first directory.
    if where is None or not any(where):
        yield known.size + 1
        return
    visited: set[int] = set()
    numbers_left = _TIFF_MOST_NUMBERS
    while numbers_left > 0 and len(visited) < _TIFF_MOST_PAGES:
        at = number.unpack(where)[0]
        if not at or at in visited:
            return
        visited.add(at)
        yield at + counter.size
        counted = known.at(at, counter.size)
        if counted is None:
            return
        length = counter.unpack(counted)[0] * entry.size
        at += counter.size
        yield at + length + number.size
        table = known.at(at, length + number.size)
        if table is None:
            return
        numbers_left -= yield from _tiff_piece_ends(known, order, number, entry.iter_unpack(table[:length]))
        where = table[length:]


def _tiff_piece_ends(
    known: _Edges, order: str, number: struct.Struct, entries: Iterable[tuple[int, int, int, bytes]]
) -> Generator[int, None, int]:
    """Yield the ends of the strips or tiles of one directory, and of the lists of their offsets and sizes.

    Returns:
        The count of entries and numbers that were read.
    """
    seen = 0
    listed: dict[int, list[int]] = {}
    for tag, type_code, count, value in entries:
        seen += 1
        if tag not in _TIFF_PIECE_TAGS or tag in listed or type_code not in _TIFF_NUMBERS:
            continue
        one = struct.Struct(order + _TIFF_NUMBERS[type_code])
        length = count * one.size
        raw: bytes | None = value[:length]
        if length > len(value):
            at = number.unpack(value)[0]
            yield at + length
            raw = known.at(at, length)
        if raw is not None:
            listed[tag] = [item for (item,) in one.iter_unpack(raw)]
            seen += len(listed[tag])
    for offsets, sizes in _TIFF_PIECES:
        for offset, size in zip(listed.get(offsets, ()), listed.get(sizes, ()), strict=False):
            yield offset + size
    return seen


_CUT_TESTS: Final[dict[Kind, Callable[[_Edges], bool]]] = {
    Kind.JPEG: _jpeg_is_cut,
    Kind.PNG: _png_is_cut,
    Kind.GIF: _gif_is_cut,
    Kind.JP2: _jp2_is_cut,
    Kind.J2K: _j2k_is_cut,
    Kind.PCD: _pcd_is_cut,
    Kind.HEIC: _iso_media_is_cut,
    Kind.AVIF: _iso_media_is_cut,
    Kind.MP4: _iso_media_is_cut,
    Kind.MOV: _iso_media_is_cut,
    Kind.PDF: _pdf_is_cut,
}
_DECLARED_ENDS: Final[dict[Kind, Callable[[_Edges], Iterator[int]]]] = {
    Kind.TIFF: _tiff_ends,
    Kind.WEBP: _riff_ends,
    Kind.AVI: _riff_ends,
    Kind.ASF: _asf_ends,
    Kind.MATROSKA: _matroska_ends,
}
"""For each kind, the ends of its parts as the file declares them."""


def _is_cut(kind: Kind, known: _Edges) -> bool:
    """Return whether a file of this kind ends too early, as far as its head and tail show it."""
    if kind in _DECLARED_ENDS:
        return any(end > known.size for end in _DECLARED_ENDS[kind](known))
    return kind in _CUT_TESTS and _CUT_TESTS[kind](known)
