"""Read from the header what a picture is, when a decoder refuses it. Runs in the decoding process only.

A decoder raises the same exceptions for a variant that it does not support and for invalid bytes. So the
file is damaged only if its header is invalid, too, or if the decoder supports what the header declares.

Formats: TIFF 6.0, BigTIFF, TIFF/EP and DNG 1.7; bitmaps of Windows; ISO/IEC 15444-1, annex A; WebP.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.boxes import Reader, find_box
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Pages", "declared_size", "is_valid", "read_pages"]

# --- TIFF

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _SAMPLE_FORMAT, _SUB_DIRECTORIES = 277, 339, 330
_SIZES_OF_PIECES: Final = (279, 325)
_NUMBERS: Final = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
_COMMON_COMPRESSIONS: Final = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})
_RARE_COMPRESSIONS: Final = frozenset(
    {6, 9, 10, 32766, 32767, 32770, 32809, 32867, 34661, 34676, 34677, 34712, 34713, 34887, 34892}
    | {34925, 34926, 34933, 34934, 50000, 50001, 50002, 52546, 65000, 65535}
)
_PHOTOMETRICS: Final = frozenset({*range(7), 8, 9, 10, 32803, 32844, 32845, 34892, 51177, 52527})
_FORMATS: Final = frozenset(range(1, 7))
_MOST_BITS: Final = 64
_MOST_VALUES: Final = 4096
_MOST_ENTRIES: Final = 4096

_Tags = dict[int, tuple[int, ...]]


@attrs.frozen
class Pages:
    """The pages of a TIFF, as its chain of directories has them.

    Args:
        inner: For each page, how many pictures belong to it that are no pages: smaller copies, or the full
            picture of a raw file.
        nested: Whether more pictures belong to one of those.
    """

    inner: tuple[int, ...]
    nested: bool


def read_pages(reader: Reader, most: int) -> Pages:
    """Count the pages of a TIFF and the pictures that belong to each, at most so many pages."""
    inner: list[int] = []
    nested = False
    for page in _directories(reader, most):
        places = page.get(_SUB_DIRECTORIES, ())
        inner.append(len(places))
        for place in places:
            chain = [*_directories(reader, 2, at=place)]
            nested |= len(chain) > 1 or any(_SUB_DIRECTORIES in tags for tags in chain)
    return Pages(tuple(inner), nested)


def is_valid(kind: Kind, reader: Reader, *, page: int, opened: bool) -> bool:
    """Return whether the header of a picture that can't be decoded is valid, and explains why.

    Args:
        kind: The kind of the file.
        reader: The file.
        page: The number of the page that can't be decoded, from 0.
        opened: Whether the decoder accepted its header.
    """
    if kind is Kind.TIFF:
        tags = next(itertools.islice(_directories(reader, page + 1), page, None), {})
        return _compression(tags) in _RARE_COMPRESSIONS if opened else _page_is_valid(tags)
    check = None if opened or page else _CHECKS.get(kind)
    return check is not None and check(reader)


def declared_size(kind: Kind, reader: Reader) -> tuple[int, int] | None:
    """Return the size of a picture whose decoder does not say it before it has decoded; None if not known."""
    if kind is Kind.WEBP:
        return _size_of_webp(reader.at(0, 30))
    if kind is Kind.AVIF:
        return _size_of_avif(reader)
    return None


def _directories(reader: Reader, most: int, *, at: int | None = None) -> Iterator[_Tags]:
    """Yield the tags of each directory of a chain, by default of the pages: those with few numbers."""
    head = reader.at(0, 16)
    order, is_big = "<>"[head.startswith(b"MM")], b"+" in head[2:4]
    number = struct.Struct(order + ("Q" if is_big else "L"))
    counter, entry = (
        struct.Struct(order + "HQ"[is_big]),
        struct.Struct(order + ("HHQ8s" if is_big else "HHL4s")),
    )
    if at is None:
        at = number.unpack_from(head.ljust(16, b"\0"), number.size)[0]
    visited: set[int] = set()
    while at and at not in visited and len(visited) < most:
        visited.add(at)
        counted = reader.at(at, counter.size)
        count = counter.unpack(counted)[0] if len(counted) == counter.size else 0
        if not 0 < count <= _MOST_ENTRIES:
            return
        table = reader.at(at + counter.size, count * entry.size + number.size)
        if len(table) < count * entry.size:
            return
        tags: _Tags = {}
        for tag, code, items, raw in entry.iter_unpack(table[: count * entry.size]):
            if code in _NUMBERS and items <= _MOST_VALUES:
                form = struct.Struct(f"{order}{items}{_NUMBERS[code]}")
                value = raw if form.size <= len(raw) else reader.at(number.unpack(raw)[0], form.size)
                if len(value) >= form.size:
                    tags.setdefault(tag, form.unpack_from(value))
        yield tags
        following = table[count * entry.size :]
        at = number.unpack(following)[0] if len(following) == number.size else 0


def _compression(tags: _Tags) -> int:
    return (tags.get(_COMPRESSION) or (1,))[0]


def _page_is_valid(tags: _Tags) -> bool:
    """Return whether a page of a TIFF is described as the standards allow, and has enough bytes."""
    size = [(tags.get(tag) or (0,))[0] for tag in (_WIDTH, _HEIGHT)]
    samples = (tags.get(_SAMPLES) or (1,))[0]
    bits = tags.get(_BITS) or (1,)
    if not (
        min(size) > 0
        and all(0 < value <= _MOST_BITS for value in bits)
        and (tags.get(_PHOTOMETRIC) or (-1,))[0] in _PHOTOMETRICS
        and _FORMATS.issuperset(tags.get(_SAMPLE_FORMAT) or ())
    ):
        return False
    if (compression := _compression(tags)) != 1:
        return compression in _COMMON_COMPRESSIONS | _RARE_COMPRESSIONS
    stored = sum(sum(tags.get(tag) or ()) for tag in _SIZES_OF_PIECES)
    return stored * 8 >= size[0] * size[1] * samples * min(bits)


# --- Windows bitmaps

_BMP: Final = struct.Struct("<10xLLllHHL")
_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_BMP_BITS: Final = frozenset({0, 1, 2, 4, 8, 16, 24, 32, 64})
_BMP_COMPRESSIONS: Final = frozenset({*range(7), 11, 12, 13})
_BMP_COMPRESSED: Final = frozenset({1, 2, 4, 5, 12, 13})


def _bmp_is_valid(reader: Reader) -> bool:
    head = reader.at(0, _BMP.size)
    if len(head) < _BMP.size:
        return False
    data_at, header, width, height, planes, bits, compression = _BMP.unpack(head)
    stored = (width * bits + 31) // 32 * 4 * abs(height)
    return (
        header in _BMP_HEADERS
        and width > 0
        and height != 0
        and planes == 1
        and bits in _BMP_BITS
        and compression in _BMP_COMPRESSIONS
        and (compression in _BMP_COMPRESSED or data_at + stored <= reader.size_bytes)
    )


# --- JPEG 2000

_SIZ: Final = struct.Struct(">4xHHLLLLLLLLH")
_MOST_COMPONENT_BITS: Final = 38


def _j2k_is_valid(reader: Reader) -> bool:
    """Return whether a codestream declares components of a number or depth that Pillow does not open."""
    at = 0
    if not reader.at(0, 4).startswith(b"\xff\x4f\xff\x51"):
        box = find_box(reader, 0, reader.size_bytes, b"jp2c")
        if box is None:
            return False
        at = box.start
    head = reader.at(at, _SIZ.size)
    if len(head) < _SIZ.size or not head.startswith(b"\xff\x4f\xff\x51"):
        return False
    length, _, width, height, left, top, _, _, _, _, components = _SIZ.unpack(head)
    depths = reader.at(at + _SIZ.size, 3 * components)
    return (
        length == _SIZ.size - 4 + 3 * components
        and width > left
        and height > top
        and len(depths) == 3 * components > 0
        and all((depth & 127) < _MOST_COMPONENT_BITS for depth in depths[::3])
    )


_CHECKS: Final[Mapping[Kind, Callable[[Reader], bool]]] = {
    Kind.BMP: _bmp_is_valid,
    Kind.JP2: _j2k_is_valid,
    Kind.J2K: _j2k_is_valid,
}

# --- sizes


def _size_of_webp(head: bytes) -> tuple[int, int] | None:
    """Return the size in the first chunk: of the canvas, of a lossy, or of a lossless picture (RFC 9649)."""
    chunk, content = head[12:16], head[20:30]
    if chunk == b"VP8X":
        return int.from_bytes(content[4:7], "little") + 1, int.from_bytes(content[7:10], "little") + 1
    if chunk == b"VP8 ":
        return int.from_bytes(content[6:8], "little") & 0x3FFF, int.from_bytes(
            content[8:10], "little"
        ) & 0x3FFF
    if chunk == b"VP8L":
        packed = int.from_bytes(content[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    return None


def _size_of_avif(reader: Reader) -> tuple[int, int] | None:
    """Return the first size in the properties; of a grid, this may be that of one tile."""
    meta = find_box(reader, 0, reader.size_bytes, b"meta")
    found = None if meta is None else find_box(reader, meta.start + 4, meta.end, b"iprp", b"ipco", b"ispe")
    if found is None:
        return None
    content = reader.at(found.start, 12)
    return int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big")
