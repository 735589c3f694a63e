"""Find where each format keeps its metadata: blocks of Exif (the structure of TIFF) and of XMP.

No type, count or offset is trusted. Formats: JPEG (CIPA DC-008), PNG (third edition, and the text chunks that
ImageMagick and older versions of exiftool write), WebP (RFC 9649), ISO/IEC 15444-1 and 18181-2 (boxes of JPEG
2000 and JPEG XL), ISO/IEC 23008-12 (items of a HEIC). The raw files of Canon (CR3) and Fujifilm (RAF) are not
documented by their makers.
"""

from __future__ import annotations

import binascii
import enum
import re
import zlib
from typing import TYPE_CHECKING, Final, TypeAlias

from intouch_import.media.boxes import Block, boxes, find_box, metadata_items
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.media.boxes import Reader

__all__ = ["Form", "find_metadata", "in_jpeg"]

_MOST_SEGMENTS: Final = 200
_MOST_CHUNKS: Final = 2000
_MOST_TEXTS: Final = 50
_MOST_TEXT_BYTES: Final = 512 * 1024
_MOST_BETWEEN_BYTES: Final = 4096
_MARKER: Final = re.compile(rb"\xff[\xc0-\xfe]")
_EXIF_MARK: Final = re.compile(rb"Exif\0.", re.DOTALL)
_EXIF_MARK_BYTES: Final = 6
_XMP_MARK: Final = b"http://ns.adobe.com/xap/1.0/\0"
_JP2_EXIF: Final = b"JpgTiffExif->JP2"
_XMP_UUID: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CANON_UUID: Final = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_UUID_BYTES: Final = 16
# The offset of the TIFF header of each maker's raw files is 0. The number after the byte order is not TIFF's.
_RAW_TIFFS: Final = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR")
_TIFFS: Final = (b"II*\0", b"MM\0*")
_RAF: Final = b"FUJIFILMCCD-RAW "
_JXL: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_PROFILE: Final = re.compile(rb"\s{0,8}(?:exif|APP1|xmp|generic|iptc)\s{1,40}\d{1,10}\s", re.IGNORECASE)
_PROFILES: Final = (b"Raw profile type exif", b"Raw profile type APP1", b"Raw profile type xmp")
_PNG_XMP: Final = b"XML:com.adobe.xmp"


class Form(enum.Enum):
    """The form of a block of metadata."""

    TIFF = enum.auto()
    XMP = enum.auto()


_Found: TypeAlias = "Iterator[tuple[Form, Block]]"


def find_metadata(kind: Kind, reader: Reader) -> _Found:
    """Yield the blocks of metadata of a file of this kind, in the order of the file."""
    find = _PLACES.get(kind) or _by_signature(reader)
    if find is not None:
        yield from find(Block(reader, 0, reader.size_bytes))


def _by_signature(reader: Reader) -> Callable[[Block], _Found] | None:
    """Return how to find the metadata of a raw file or a JPEG XL; None if it is neither."""
    head = reader.at(0, _UUID_BYTES)
    if head.startswith(_RAW_TIFFS):
        return _whole
    if head.startswith(_RAF):
        return _in_raf
    if head.startswith(_JXL):
        return _in_boxes
    return _in_cr3 if head[4:12] == b"ftypcrx " else None


def _mark(start: bytes) -> int:
    """Return the length of the mark that precedes the TIFF header in some formats."""
    return _EXIF_MARK_BYTES if _EXIF_MARK.match(start) else 0


def in_jpeg(file: Block) -> _Found:
    """Yield the blocks of metadata of a JPEG, which may be a part of another file."""
    at = 2
    for _count in range(_MOST_SEGMENTS):
        header = file.at(at, 4 + len(_XMP_MARK))
        if len(header) >= 4 and header[0] != 0xFF:  # noqa: PLR2004  # bytes between segments, which decoders skip
            marker = _MARKER.search(file.at(at, _MOST_BETWEEN_BYTES))
            at += marker.start() if marker is not None else 0
            header = file.at(at, 4 + len(_XMP_MARK))
        if len(header) < 4 or header[0] != 0xFF or header[1] in {0xDA, 0xD9}:  # noqa: PLR2004
            return
        if header[1] == 0xFF:  # noqa: PLR2004  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(header[2:4], "big")
        if header[1] == 0xE1:  # noqa: PLR2004
            if skip := _mark(header[4:]):
                yield Form.TIFF, file.part(at + 4 + skip, end)
            elif header[4:] == _XMP_MARK:
                yield Form.XMP, file.part(at + len(header), end)
        at = max(end, at + 4)


def _in_png(file: Block) -> _Found:
    at, texts = 8, 0
    for _count in range(_MOST_CHUNKS):
        header = file.at(at, 8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind == b"eXIf":
            skip = _mark(file.at(at + 8, _EXIF_MARK_BYTES))
            yield Form.TIFF, file.part(at + 8 + skip, at + 8 + length)
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and texts < _MOST_TEXTS:
            texts += 1
            yield from _in_png_text(kind, file.at(at + 8, min(length, _MOST_TEXT_BYTES)))
        elif len(kind) < 4 or kind == b"IEND":  # noqa: PLR2004
            return
        at += 12 + length


def _in_png_text(kind: bytes, chunk: bytes) -> _Found:
    keyword, _, rest = chunk.partition(b"\0")
    if kind == b"iTXt" and keyword == _PNG_XMP:
        is_compressed, rest = rest[:1] == b"\1", rest[2:]
        text = rest.split(b"\0", 2)[-1]  # behind a language and a translated keyword
        yield Form.XMP, Block.of(_inflated(text) if is_compressed else text)
    elif kind != b"iTXt" and keyword in _PROFILES:
        data = _profile(_inflated(rest[1:]) if kind == b"zTXt" else rest)
        if data.startswith(_XMP_MARK):
            yield Form.XMP, Block.of(data[len(_XMP_MARK) :])
        elif keyword.endswith(b"xmp"):
            yield Form.XMP, Block.of(data)
        else:
            yield Form.TIFF, Block.of(data[_mark(data) :])


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _MOST_TEXT_BYTES)
    except zlib.error:
        return b""


def _profile(text: bytes) -> bytes:
    """Return the bytes that a text chunk has as hexadecimal digits, after its name and length."""
    match = _PROFILE.match(text[:100])
    digits = b"".join(text[match.end() :].split()) if match is not None else b""
    try:
        return binascii.unhexlify(digits[: len(digits) // 2 * 2])
    except binascii.Error:
        return b""


def _in_webp(file: Block) -> _Found:
    at = 12
    for _count in range(_MOST_CHUNKS):
        header = file.at(at, 8 + _EXIF_MARK_BYTES)
        if len(header) < 8:  # noqa: PLR2004
            return
        kind, length = header[:4], int.from_bytes(header[4:8], "little")
        if kind == b"EXIF":
            yield Form.TIFF, file.part(at + 8 + _mark(header[8:]), at + 8 + length)
        elif kind == b"XMP ":
            yield Form.XMP, file.part(at + 8, at + 8 + length)
        at += 8 + length + length % 2


def _in_boxes(file: Block) -> _Found:
    """Yield the metadata of a JPEG 2000 or JPEG XL file."""
    reader = file.reader
    for box in boxes(reader, 0, reader.size_bytes):
        if box.kind == b"uuid":
            uuid = reader.at(box.start, _UUID_BYTES)
            if uuid in (_JP2_EXIF, _XMP_UUID):
                form = Form.XMP if uuid == _XMP_UUID else Form.TIFF
                yield form, file.part(box.start + _UUID_BYTES, box.end)
        elif box.kind == b"Exif":
            skip = int.from_bytes(reader.at(box.start, 4), "big")
            yield Form.TIFF, file.part(box.start + 4 + skip, box.end)
        elif box.kind == b"xml ":
            yield Form.XMP, file.part(box.start, box.end)


def _in_items(file: Block) -> _Found:
    """Yield the metadata of a HEIC or AVIF."""
    for kind, start, end in metadata_items(file.reader):
        if kind == b"Exif":
            # The item begins with the distance to the TIFF header, which "Exif\0\0" may precede.
            first = file.at(start, 4)
            skip = 0 if first in _TIFFS else 4 + int.from_bytes(first, "big")
            yield Form.TIFF, file.part(start + skip, end)
        else:
            yield Form.XMP, file.part(start, end)


def _in_cr3(file: Block) -> _Found:
    reader = file.reader
    moov = find_box(reader, 0, reader.size_bytes, b"moov")
    for box in boxes(reader, moov.start, moov.end) if moov is not None else ():
        if box.kind == b"uuid" and reader.at(box.start, _UUID_BYTES) == _CANON_UUID:
            for part in boxes(reader, box.start + _UUID_BYTES, box.end):
                if part.kind in (b"CMT1", b"CMT2"):  # the camera; the times
                    yield Form.TIFF, file.part(part.start, part.end)


def _in_raf(file: Block) -> _Found:
    place = file.at(84, 8)
    start, length = int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big")
    yield from in_jpeg(file.part(start, start + length))


def _whole(file: Block) -> _Found:
    yield Form.TIFF, file


_PLACES: Final[dict[Kind, Callable[[Block], _Found]]] = {
    Kind.JPEG: in_jpeg,
    Kind.PNG: _in_png,
    Kind.TIFF: _whole,
    Kind.WEBP: _in_webp,
    Kind.JP2: _in_boxes,
    Kind.HEIC: _in_items,
    Kind.AVIF: _in_items,
}
