"""Find out whether a part of a JPEG is missing. Runs in the decoding process only; needs simplejpeg.

libjpeg fills a part that is missing or overwritten with grey or with what comes next, and only warns. Pillow
drops these warnings. Here, each warning is an error. The decoder gets the tables and the picture data only,
because many photos have junk in their headers, which does no harm.
"""

from __future__ import annotations

import contextlib
import re
import struct
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

__all__ = ["GapError", "JpegHeader", "UnsupportedError", "check_others", "decode_strictly", "read_header"]

_END, _SCAN, _APP0, _APP2, _APP14 = 0xD9, 0xDA, 0xE0, 0xE2, 0xEE
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
_PROGRESSIVE: Final = 0xC2
_RARE_PROCESSES: Final = frozenset({0xC3, 0xC9, 0xCA, 0xCB})
"""Lossless, and arithmetic coding."""
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES: Final = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_WITHOUT_LENGTH: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_FILL: Final = 0xFF
_MARKER_BYTES: Final = 2
_FRAME_BYTES: Final = 10
_SCAN_BYTES: Final = 8
_JFIF_BYTES: Final = 18
_ADOBE_BYTES: Final = 16
_BITS: Final = 8
_START_OF_IMAGE: Final = b"\xff\xd8"
_SEVERAL_PICTURES: Final = b"MPF\0"
_PICTURES: Final = 0xB002
_LAST: Final = 63
"""The number of the last coefficient."""
_ABSENT: Final = 99
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# One symbol covers all empty blocks of an area, and encoders limit the bits after it (libjpeg: to 1,000). So
# a scan of a progressive JPEG has no long runs of zeros, except a scan of averages.
_ZEROS: Final = bytes(1024)
_SMALLEST_SCALE: Final = 8
# Some cameras write a few bytes more than the picture has. A gap seldom leaves so few.
_LEFT_OVER: Final = re.compile(r"Corrupt JPEG data: [1-4] extraneous bytes before marker 0xd9")
_MODES: Final = {"Gray": ("GRAY", "L"), "CMYK": ("CMYK", None), "YCCK": ("CMYK", None)}
_RGB: Final = ("RGB", "RGB")


class GapError(Exception):
    """A part of the picture is missing or was overwritten."""


class UnsupportedError(Exception):
    """The JPEG is of a rare kind: the strict decoder does not support it, or can't say that it is whole."""


@attrs.frozen(kw_only=True)
class JpegHeader:
    """The header of a JPEG.

    Args:
        process: The marker of the frame: C0 baseline, C2 progressive, C3 lossless.
        bits: Bits of a sample.
        size: Width and height in pixels.
        components: The ids of the components.
        tables: The header without metadata and without junk.
        scan_at: Offset of the first scan.
        others: The offset of each further picture, as declared (CIPA DC-007).
    """

    process: int
    bits: int
    size: tuple[int, int]
    components: bytes
    tables: bytes = attrs.field(repr=False)
    scan_at: int
    others: tuple[int, ...]

    @property
    def is_rare(self) -> bool:
        """Whether most decoders do not support it: lossless, arithmetic, 12 bits, its height at the end."""
        return self.process in _RARE_PROCESSES or self.bits != _BITS or 0 in self.size


def read_header(content: bytearray) -> JpegHeader | None:
    """Read the segments before the first scan; None if there is no valid frame or no scan."""
    frame = b""
    others: tuple[int, ...] = ()
    tables = bytes(content[:_MARKER_BYTES])
    for marker, at, end in _segments(content, _MARKER_BYTES):
        segment = bytes(content[at:end])
        if marker == _SCAN and frame:
            return JpegHeader(
                process=frame[1],
                bits=frame[4],
                size=(int.from_bytes(frame[7:9], "big"), int.from_bytes(frame[5:7], "big")),
                components=frame[_FRAME_BYTES::3],
                tables=tables,
                scan_at=at,
                others=others,
            )
        if marker in _FRAMES:
            if len(segment) < _FRAME_BYTES:
                return None
            frame = segment[: _FRAME_BYTES + 3 * segment[9]]
        if marker in _FRAMES | _TABLES:
            tables += segment
        elif marker == _APP0 and segment.startswith(b"JFIF\0", 4) and len(segment) >= _JFIF_BYTES:
            tables += segment[:9] + b"\1\1" + segment[11:]  # libjpeg warns of other versions
        elif marker == _APP14 and segment.startswith(b"Adobe", 4) and len(segment) >= _ADOBE_BYTES:
            tables += segment
        elif marker == _APP2 and segment.startswith(_SEVERAL_PICTURES, 4):
            places = _places_of_pictures(segment[8:])
            others = tuple(at + 8 + offset for offset in places if offset)
    return None


def _places_of_pictures(index: bytes) -> list[int]:
    """Return the offsets of several pictures, from the start of the index; 0 for the first one."""
    order = "<" if index.startswith(b"II") else ">"
    entry = struct.Struct(order + "HHLL")
    with contextlib.suppress(struct.error):
        at = struct.unpack_from(order + "L", index, 4)[0]
        for number in range(struct.unpack_from(order + "H", index, at)[0]):
            tag, _, count, start = entry.unpack_from(index, at + 2 + entry.size * number)
            if tag == _PICTURES:
                pictures = struct.Struct(order + "8xL4x")
                end = start + count // pictures.size * pictures.size
                return [offset for (offset,) in pictures.iter_unpack(index[start:end])]
    return []


def decode_strictly(content: bytearray, header: JpegHeader, px: int) -> Image.Image | None:
    """Decode the whole picture, scaled down.

    Args:
        content: The file. Its header is overwritten.
        header: Its header.
        px: The shortest side that is needed, pixels.

    Returns:
        The picture; None if its colours are better converted by another decoder.

    Raises:
        GapError: A part of the picture is missing or was overwritten.
        UnsupportedError: The decoder does not support it, or a few bytes are left over at the end.
    """
    import simplejpeg
    from PIL import Image

    _check_scans(content, header)
    bare = _without_metadata(content, header)
    try:
        colours = simplejpeg.decode_jpeg_header(bare)[2]
    except ValueError as exc:  # an unusual subsampling
        raise UnsupportedError from exc
    colorspace, mode = _MODES.get(colours, _RGB)
    try:
        pixels = simplejpeg.decode_jpeg(
            bare, colorspace, min_height=px or 1, min_width=px or 1, min_factor=_SMALLEST_SCALE, strict=True
        )
    except ValueError as exc:
        if "memory" in str(exc).lower():
            raise MemoryError from exc
        if _LEFT_OVER.fullmatch(str(exc)):
            raise UnsupportedError from exc
        raise GapError(str(exc)) from exc
    if mode is None:
        return None
    return Image.frombuffer(mode, (pixels.shape[1], pixels.shape[0]), pixels, "raw", mode, 0, 1)


def check_others(
    content: bytearray, header: JpegHeader, accept_size: Callable[[tuple[int, int]], None]
) -> None:
    """Decode the other pictures of a file with several: a gain map, a depth map, the other eye.

    Args:
        content: The file.
        header: Its header.
        accept_size: Called with the size of each picture before it is decoded. Raises if it is too large.

    Raises:
        GapError: A picture, or a part of it, is missing or was overwritten.
        UnsupportedError: At a declared place is no JPEG, or a rare one.
    """
    if any(at >= len(content) for at in header.others):
        raise GapError("a picture is missing")
    for at in header.others:
        # Not by the declared sizes, which Pillow writes wrong from the third picture on.
        picture = content[at:]
        if not picture.startswith(_START_OF_IMAGE):
            raise UnsupportedError
        found = read_header(picture)
        if found is None:
            raise GapError("a picture has no data")
        if found.is_rare:
            raise UnsupportedError
        accept_size(found.size)
        decode_strictly(picture, found, 0)


def _segments(content: bytearray, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment; skip junk between them, as libjpeg does."""
    while (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker == _FILL:
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += _MARKER_BYTES
        else:
            end = at + _MARKER_BYTES + int.from_bytes(content[at + 2 : at + 4], "big")
            yield marker, at, end
            if marker == _END:
                return
            at = max(end, at + _MARKER_BYTES)


def _without_metadata(content: bytearray, header: JpegHeader) -> memoryview:
    """Return the file from new headers on, which are written over the old ones: a copy would cost time.

    The first scan gets the parameters of a sequential scan if it is one: some writers leave others there.
    """
    after = header.scan_at + _MARKER_BYTES
    after += int.from_bytes(content[after : after + 2], "big")
    scan = bytes(content[header.scan_at : after])
    if header.process in _SEQUENTIAL:
        scan = scan[:-3] + b"\0\x3f\0"
    start = after - len(header.tables) - len(scan)
    content[start:after] = header.tables + scan
    return memoryview(content)[start:]


@attrs.frozen
class _Scan:
    """One scan: which bits of which coefficients it has, and where its data is."""

    components: bytes
    first: int
    last: int
    lowest_bit: int
    data_at: int
    end: int


def _scans(content: bytearray, header: JpegHeader) -> Iterator[_Scan]:
    at = header.scan_at
    while (segment := next(_segments(content, at), None)) is not None and segment[0] != _END:
        marker, start, at = segment
        if marker != _SCAN:
            continue
        scan = bytes(content[start:at])
        count = scan[4] if len(scan) >= _SCAN_BYTES else 0
        found = _NEXT_MARKER.search(content, at)
        end = found.start() if found is not None else len(content)
        components = scan[5 : 5 + 2 * count : 2]
        if header.process in _SEQUENTIAL:
            yield _Scan(components, 0, _LAST, 0, at, end)
        elif len(scan) >= _SCAN_BYTES:
            yield _Scan(components, scan[-3], min(scan[-2], _LAST), scan[-1] & 15, at, end)
        at = end


def _check_scans(content: bytearray, header: JpegHeader) -> None:
    """Check that the scans together have all bits of all components: libjpeg does not.

    Raises:
        GapError: A scan is missing, or zeros are in its place.
    """
    lowest = {component: [_ABSENT] * (_LAST + 1) for component in header.components}
    for scan in _scans(content, header):
        if scan.components == header.components and header.process in _SEQUENTIAL:
            return  # the usual single scan
        if scan.first and content.find(_ZEROS, scan.data_at, scan.end) >= 0:
            raise GapError("zeros in the data of a scan")
        for component in lowest.keys() & set(scan.components):
            lowest[component][scan.first : scan.last + 1] = [scan.lowest_bit] * (scan.last + 1 - scan.first)
    if any(any(bits) for bits in lowest.values()):
        raise GapError("a scan is missing")
