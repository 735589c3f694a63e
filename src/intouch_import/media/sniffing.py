"""Is a file what its extension says, told by its first and last few thousand bytes, without decoding them.

A capture name says whose a file is; it can't say that the file is the photo it claims to be. Before a
file is imported without a person, `content_reason` asks two questions: is this what the extension
says, and is it all there? Both are answered from the head and the tail of the file, so that a video of
4 GB costs no more than a photo. Everything here is pure: bytes in, an answer out.

The two answers are not equally strong. "Not what the extension says" is certain. "Cut short" is said
only on evidence: a part that the file itself declares lies beyond its end, or the mark that must close
it is missing. No objection (`None`) therefore does not mean that a picture can be decoded. What head
and tail can't show:

- damage in the middle, or blocks of a copy that have not been written yet while the last ones have;
- a JPEG cut inside something appended *after* the picture (a Motion Photo's movie, Samsung's trailer):
  the picture itself is whole;
- a JPEG cut inside headers longer than head and tail together, right after an embedded preview;
- a video cut inside an index (``moov``) that is longer than the tail, or sound and pictures missing from
  a file whose sizes were patched afterwards;
- a TIFF of several pages cut in a page whose directory is out of sight;
- a FlashPix image that is cut.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.extensions import extension_of
from intouch_import.media.kinds import Kind, bytes_to_tell, sniff
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "content_reason"]

HEAD_BYTES: Final = 65_536
"""How many bytes to read from the start of a file: enough for the Exif segment of a JPEG."""

TAIL_BYTES: Final = 65_536
"""How many bytes to read from the end: enough for the index of a short video and for small trailers."""

_ISO_VIDEO: Final = frozenset({Kind.MP4, Kind.MOV})

# Phones name either kind of ISO video .mov or .mp4, and every player takes both.
_EXPECTED: Final[dict[str, frozenset[Kind]]] = {
    **dict.fromkeys(("jpg", "jpeg", "jif", "jfif"), frozenset({Kind.JPEG})),
    **dict.fromkeys(("tif", "tiff"), frozenset({Kind.TIFF})),
    **dict.fromkeys(("jp2", "jpx"), frozenset({Kind.JP2})),
    **dict.fromkeys(("j2k", "j2c"), frozenset({Kind.J2K, Kind.JP2})),
    "gif": frozenset({Kind.GIF}),
    "png": frozenset({Kind.PNG}),
    "fpx": frozenset({Kind.OLE}),
    "pcd": frozenset({Kind.PCD}),
    "heic": frozenset({Kind.HEIC}),
    **dict.fromkeys(("heif", "hif"), frozenset({Kind.HEIC, Kind.AVIF})),
    "avif": frozenset({Kind.AVIF}),
    "webp": frozenset({Kind.WEBP}),
    **dict.fromkeys(("mp4", "m4v", "mov", "qt", "3gp", "3g2"), _ISO_VIDEO),
    "avi": frozenset({Kind.AVI}),
    **dict.fromkeys(("wmv", "asf"), frozenset({Kind.ASF})),
    **dict.fromkeys(("mkv", "webm"), frozenset({Kind.MATROSKA})),
    "pdf": frozenset({Kind.PDF}),
}

_OTHER_MEDIA: Final = frozenset(
    {"bmp", "dib", "dcm", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "psd", "jxl"}
    | {"mpg", "mpeg", "mpe", "m2v", "mts", "m2ts", "vob", "flv", "ogv", "mxf"}
)


def content_reason(name: str, /, *, head: bytes, tail: bytes, size_bytes: int) -> Reason | None:
    """Say why the content of a file does not deserve the trust its name asks for.

    Args:
        name: Base name; only its extension is looked at.
        head: The first `HEAD_BYTES` of the file, or all of it if it is shorter.
        tail: The last `TAIL_BYTES` of the file, or all of it if it is shorter.
        size_bytes: Size of the whole file in bytes.

    Returns:
        `Reason.CONTENT_NOT_AS_NAMED`, `Reason.CONTENT_CUT_SHORT`, or None when there is no objection.
        Of an extension that is not known here nothing is claimed, except that a program or a web page
        is no image or video.
    """
    extension = extension_of(name)[1:]
    # str.lower() would turn U+212A KELVIN SIGN into "k" and see a .j2k where `classify` sees none.
    extension = extension.lower() if extension.isascii() else ""
    expected = _EXPECTED.get(extension)
    kind = sniff(head)
    if expected is None:
        foreign = extension in _OTHER_MEDIA and kind in {Kind.EXECUTABLE, Kind.HTML}
        return Reason.CONTENT_NOT_AS_NAMED if foreign else None
    seen = Seen.of(head, tail, size_bytes)
    if kind in expected:
        return Reason.CONTENT_CUT_SHORT if seen.tail and is_cut(kind, seen) else None
    too_short_to_tell = len(seen.head) < bytes_to_tell(expected)
    if kind is Kind.EMPTY or (kind is Kind.UNKNOWN and too_short_to_tell):
        return Reason.CONTENT_CUT_SHORT if len(seen.head) == size_bytes else None
    return Reason.CONTENT_NOT_AS_NAMED


# --- is it all there: for each kind, what must be at its end -------------------------------------


@attrs.frozen
class Seen:
    """What is known of a file: its two ends (all of it, when they meet) and its size in bytes."""

    head: bytes = attrs.field(repr=False)
    tail: bytes = attrs.field(repr=False)
    size: int

    @classmethod
    def of(cls, head: bytes, tail: bytes, size: int) -> Seen:
        """Join head and tail where they meet, so that nothing between them is out of sight."""
        overlap = len(head) + len(tail) - size
        if overlap >= 0:
            head = tail = (head + tail[overlap:])[:size]
        return cls(head, tail, size)

    @property
    def tail_start(self) -> int:
        """Offset of the first byte of the tail."""
        return self.size - len(self.tail)

    def at(self, offset: int, length: int) -> bytes | None:
        """Give the bytes at an offset, or None when not all of them are in sight."""
        if offset + length <= len(self.head):
            return self.head[offset : offset + length]
        start = offset - self.tail_start
        return self.tail[start : start + length] if start >= 0 and start + length <= len(self.tail) else None


_END_OF_IMAGE: Final = b"\xff\xd9"
_START_OF_SCAN: Final = 0xDA
_FILL: Final = 0xFF
_LENGTH_BYTES: Final = 2
# Inside the picture data of a JPEG, FF is only ever followed by a stuffed zero, a restart marker, more FF,
# or (between the scans of a progressive one) a table or the next scan. Other compressed data, such as the
# movie behind a Motion Photo, breaks that rule about once in 270 bytes.
_NOT_IN_A_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff\xc4\xcc\xda\xdb\xdd]")
# The index at the movie's end may fill the tail and hold no FF at all: it is known by the names of its parts.
_MOVIE_INDEX: Final = re.compile(rb"moov|trak|stbl|stts|ctts|stsz|stsc|stco|co64|udta|SEFT\Z")


def _jpeg_is_cut(seen: Seen) -> bool:
    """Whether a JPEG ends before its picture does.

    "Must end in FF D9" would refuse the photos of every other phone: Motion Photos append a movie,
    Samsung a trailer, cameras pad with zeros. "FF D9 somewhere near the end" would accept a small photo cut
    after its Exif preview, which has an FF D9 of its own. So the mark counts only behind the headers; and
    where the tail shows no mark, the file is cut when all of the picture is in sight, or when the
    tail is still picture data (or zeros: room that was made and not filled).
    """
    picture = _jpeg_picture_start(seen)
    if picture >= seen.size:
        return True
    if seen.tail.find(_END_OF_IMAGE, max(0, picture - seen.tail_start)) >= 0:
        return False
    if seen.tail_start <= picture:
        return True
    return not (_NOT_IN_A_SCAN.search(seen.tail) or _MOVIE_INDEX.search(seen.tail))


def _jpeg_picture_start(seen: Seen) -> int:
    """Step over the header segments, previews within them included, as far as they are in sight."""
    at = 2
    while (segment := seen.at(at, 4)) is not None and segment[0] == _FILL:
        marker, length = segment[1], int.from_bytes(segment[2:], "big")
        if marker == _FILL:
            at += 1
            continue
        if marker == _END_OF_IMAGE[1] or length < _LENGTH_BYTES:  # it counts itself
            break
        at += _LENGTH_BYTES + length
        if marker == _START_OF_SCAN:
            break
    return at


def _png_is_cut(seen: Seen) -> bool:
    """Whether the IEND chunk, whose checksum is always the same, is missing. Data after it is tolerated."""
    return b"\0\0\0\0IEND\xaeB`\x82" not in seen.tail


def _gif_is_cut(seen: Seen) -> bool:
    """Whether the trailer (3B, after the terminator 00 of the last block) is missing. Zeros may follow it."""
    return not seen.tail.rstrip(b"\0").endswith(b"\0;")


def _j2k_is_cut(seen: Seen) -> bool:
    """Whether the end mark of a codestream is missing; packet data never contains it (ISO 15444-1, A.1)."""
    return _END_OF_IMAGE not in seen.tail


def _pcd_is_cut(seen: Seen) -> bool:
    """Whether a Photo CD image ends before its base resolution: 768 by 512, 12 bits a pixel, at sector 96."""
    return not seen.head.startswith(b"PCD_OPA") and seen.size < 96 * 2048 + 768 * 512 * 3 // 2


_PDF_EDGE: Final = 1024


def _pdf_is_cut(seen: Seen) -> bool:
    """Whether ``%%EOF`` is missing at the end, or a file made for the web is shorter than it says.

    A PDF made for the web ("linearized") has an ``%%EOF`` near its start too.
    """
    start = seen.head[:_PDF_EDGE]
    if b"/Linearized" in start and (length := re.search(rb"/L\s+(\d{1,18})\b", start)):
        return int(length[1]) > seen.size
    return b"%%EOF" not in seen.tail.rstrip(b"\0\t\r\n ")[-_PDF_EDGE:]


_BOX_HEADER_BYTES: Final = 8


def _boxes(seen: Seen) -> tuple[list[bytes], int | None]:
    """Walk the top-level boxes of an ISO media or JPEG 2000 file.

    Returns:
        Their types, and the offset where the last of them says it ends; None when what follows them is
        out of sight.
    """
    types: list[bytes] = []
    at = 0
    while at + _BOX_HEADER_BYTES <= seen.size:
        header = seen.at(at, _BOX_HEADER_BYTES)
        if header is None:
            return types, None
        length, box = int.from_bytes(header[:4], "big"), header[4:]
        # Padding, or a trailer that is no box.
        if not (box.isascii() and box.decode("ascii").isprintable()):
            break
        if length == 1:
            longer = seen.at(at + _BOX_HEADER_BYTES, 8)
            if longer is None:
                return types, None
            length = int.from_bytes(longer, "big")
        elif length == 0:  # to the end of the file
            length = seen.size - at
        if length < _BOX_HEADER_BYTES:  # no box can be
            break
        types.append(box)
        at += length
    return types, at


def _iso_media_is_cut(seen: Seen) -> bool:
    """Whether a box runs past the end, or the one that says what is in the file never came.

    A recorder that loses power leaves pictures (``mdat``) without the index (``moov``) to play them.
    """
    types, end = _boxes(seen)
    return end is not None and (end > seen.size or not {b"moov", b"meta"}.intersection(types))


def _jp2_is_cut(seen: Seen) -> bool:
    """Whether a box runs past the end, the codestream never came, or it comes last and has no end mark."""
    types, end = _boxes(seen)
    if end is None:
        return False
    if end > seen.size or not {b"jp2c", b"ftbl"}.intersection(types):
        return True
    return types[-1] == b"jp2c" and _j2k_is_cut(seen)


def _declares_too_much(ends: Callable[[Seen], Iterator[int]]) -> Callable[[Seen], bool]:
    """Make a test of a function that tells where the parts of a file end, as the file itself declares."""
    return lambda seen: any(end > seen.size for end in ends(seen))


def _riff_ends(seen: Seen) -> Iterator[int]:
    """Tell where a RIFF file (AVI, WebP) says it ends. Recorders that can't go back leave 0 or FFFFFFFF."""
    length = seen.head[4:8]
    if length != b"\xff\xff\xff\xff":
        yield 8 + int.from_bytes(length, "little")


_ASF_HEADER_BYTES: Final = 24


def _asf_ends(seen: Seen) -> Iterator[int]:
    """Tell where the top-level objects of a Windows Media file end: 16 bytes of id, 8 of size."""
    at = 0
    while (header := seen.at(at, _ASF_HEADER_BYTES)) is not None:
        length = int.from_bytes(header[16:], "little")
        if length < _ASF_HEADER_BYTES:  # not known (a live recording), or no object
            return
        at += length
        yield at


_MATROSKA_PARTS: Final = frozenset({b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"})


def _matroska_ends(seen: Seen) -> Iterator[int]:
    """Tell where the EBML header and the segment end. All ones say "not known": a live recording."""
    at = 0
    while (header := seen.at(at, 12)) is not None and header[:4] in _MATROSKA_PARTS and header[4]:
        width = 9 - header[4].bit_length()
        unknown = (1 << 7 * width) - 1
        length = int.from_bytes(header[4 : 4 + width], "big") & unknown
        if length == unknown:
            return
        at += 4 + width + length
        yield at


_TIFF_MOST_PAGES: Final = 1000
# Hostile directories may overlap, and list the same numbers a thousand times over.
_TIFF_MOST_NUMBERS: Final = 200_000
_TIFF_NUMBERS: Final = {3: "H", 4: "L", 16: "Q"}
_TIFF_PIECES: Final = ((273, 279), (324, 325))
"""Tags of offsets and byte counts: of strips, and of tiles."""
_TIFF_PIECE_TAGS: Final = frozenset(tag for pair in _TIFF_PIECES for tag in pair)


@attrs.frozen(kw_only=True)
class _TiffForm:
    """How the numbers of a TIFF are written: its byte order, and whether it is a BigTIFF."""

    number: struct.Struct
    counter: struct.Struct
    entry: struct.Struct
    order: str
    first_at: int

    @classmethod
    def of(cls, head: bytes) -> _TiffForm:
        order = "<" if head.startswith(b"II") else ">"
        big = b"+" in head[2:4]
        number, counter, entry = ("Q", "Q", "HHQ8s") if big else ("L", "H", "HHL4s")
        return cls(
            number=struct.Struct(order + number),
            counter=struct.Struct(order + counter),
            entry=struct.Struct(order + entry),
            order=order,
            first_at=8 if big else 4,
        )


def _tiff_ends(seen: Seen) -> Iterator[int]:
    """Tell where the directories of a TIFF and the strips or tiles they list end, as far as in sight."""
    form = _TiffForm.of(seen.head)
    where = seen.at(form.first_at, form.number.size)
    # A writer that was interrupted has left the place of the first directory at zero.
    if where is None or not any(where):
        yield seen.size + 1
        return
    seen_at: set[int] = set()
    numbers_left = _TIFF_MOST_NUMBERS
    while numbers_left > 0 and len(seen_at) < _TIFF_MOST_PAGES:
        at = form.number.unpack(where)[0]
        if not at or at in seen_at:
            return
        seen_at.add(at)
        yield at + form.counter.size
        counted = seen.at(at, form.counter.size)
        if counted is None:
            return
        length = form.counter.unpack(counted)[0] * form.entry.size
        at += form.counter.size
        yield at + length + form.number.size
        table = seen.at(at, length + form.number.size)
        if table is None:
            return
        numbers_left -= yield from _tiff_piece_ends(seen, form, table[:length])
        where = table[length:]


def _tiff_piece_ends(seen: Seen, form: _TiffForm, table: bytes) -> Generator[int, None, int]:
    """Tell where the strips or tiles of one directory end, and the lists of their offsets and sizes.

    Returns:
        How many numbers were looked at.
    """
    listed: dict[int, list[int]] = {}
    for tag, type_code, count, value in form.entry.iter_unpack(table):
        if tag not in _TIFF_PIECE_TAGS or tag in listed or type_code not in _TIFF_NUMBERS:
            continue
        one = struct.Struct(form.order + _TIFF_NUMBERS[type_code])
        length = count * one.size
        raw: bytes | None = value[:length]
        if length > len(value):
            at = form.number.unpack(value)[0]
            yield at + length
            raw = seen.at(at, length)
        if raw is not None:
            listed[tag] = [number for (number,) in one.iter_unpack(raw)]
    for offsets, sizes in _TIFF_PIECES:
        for offset, size in zip(listed.get(offsets, ()), listed.get(sizes, ()), strict=False):
            yield offset + size
    return len(table) // form.entry.size + sum(map(len, listed.values()))


_CUT_TESTS: Final[dict[Kind, Callable[[Seen], bool]]] = {
    Kind.JPEG: _jpeg_is_cut,
    Kind.PNG: _png_is_cut,
    Kind.GIF: _gif_is_cut,
    Kind.TIFF: _declares_too_much(_tiff_ends),
    Kind.JP2: _jp2_is_cut,
    Kind.J2K: _j2k_is_cut,
    Kind.PCD: _pcd_is_cut,
    Kind.HEIC: _iso_media_is_cut,
    Kind.AVIF: _iso_media_is_cut,
    Kind.WEBP: _declares_too_much(_riff_ends),
    Kind.MP4: _iso_media_is_cut,
    Kind.MOV: _iso_media_is_cut,
    Kind.AVI: _declares_too_much(_riff_ends),
    Kind.ASF: _declares_too_much(_asf_ends),
    Kind.MATROSKA: _declares_too_much(_matroska_ends),
    Kind.PDF: _pdf_is_cut,
}


def is_cut(kind: Kind, seen: Seen) -> bool:
    """Whether a file of this kind ends too early, as far as its two ends show it."""
    test = _CUT_TESTS.get(kind)
    return test is not None and test(seen)
