"""Whether a DICOM file ends too early. Format: DICOM PS3.5 and PS3.10, section 7 of each."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from intouch_import.media.cuts.edges import Edges

__all__ = ["dicom_is_cut"]

_META_AT: Final = 132
_MOST_ELEMENTS: Final = 100_000
_HEADER_BYTES: Final = 8
_UNDEFINED: Final = 0xFFFF_FFFF
_PIECE_BYTES: Final = 256 * 1024
_MOST_INFLATED_BYTES: Final = 512 * 1024 * 1024
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SYNTAX: Final = (0x0002, 0x0010)
_ROWS: Final = (0x0028, 0x0010)
_PIXELS_ELSEWHERE: Final = (0x0028, 0x7FE0)
_PIXELS: Final = 0x7FE0
_ITEMS: Final = 0xFFFE
_ITEM: Final = 0xE000
_END_OF_SEQUENCE: Final = 0xE0DD
_IMPLICIT: Final = b"1.2.840.10008.1.2"
_BIG_ENDIAN: Final = b"1.2.840.10008.1.2.2"
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"


class _UnclearError(Exception):
    """The bytes are not known, or are not what this module expects: there is no objection."""


class _BeyondError(Exception):
    """The bytes would be beyond the end of the file."""


class _Element(NamedTuple):
    tag: tuple[int, int]
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


def dicom_is_cut(known: Edges) -> bool:
    """Return whether an element or the picture extends beyond the end, or the picture is missing."""
    try:
        at, syntax = _after_meta(known)
        return _deflated_is_cut(known, at) if syntax == _DEFLATED else _data_is_cut(known, at, syntax)
    except _UnclearError:
        return False
    except _BeyondError:
        return True


def _after_meta(known: Edges) -> tuple[int, bytes]:
    """Return the offset of the data, and their transfer syntax."""
    at, syntax = _META_AT, b""
    while known.at(at, 2) == b"\2\0":
        element = _element(known, at, "<", explicit=True)
        if element.tag == _SYNTAX:
            syntax = (known.at(element.start, min(element.length, 64)) or b"").rstrip(b"\0 ")
        at = element.end
    if at == _META_AT:
        raise _UnclearError
    return at, syntax


def _data_is_cut(known: Edges, at: int, syntax: bytes) -> bool:
    order, explicit = ">" if syntax == _BIG_ENDIAN else "<", syntax != _IMPLICIT
    last = (0, 0)
    depth = 0  # of sequences without a length; the others are skipped
    in_fragments = False
    has: set[str] = set()
    for _count in range(_MOST_ELEMENTS):
        if _ends_at(known, at):
            return at > known.size or depth > 0 or in_fragments or has == {"rows"}
        element = _element(known, at, order, explicit=explicit)
        (group, number), at = element.tag, element.start
        if group == _ITEMS:
            if in_fragments and number == _ITEM:
                at = element.end
            elif number == _END_OF_SEQUENCE:
                depth -= not in_fragments
                in_fragments = False
            continue
        if depth == 0:
            if element.tag <= last:  # elements are in order
                raise _UnclearError
            last = element.tag
            has |= _parts_of_a_picture(last)
        if element.length != _UNDEFINED:
            at = element.end
        elif group == _PIXELS:
            in_fragments = True
        else:
            depth += 1
    return False


def _deflated_is_cut(known: Edges, at: int) -> bool:
    """Return whether the compressed data do not reach their end mark."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    pieces_left = _MOST_INFLATED_BYTES // _PIECE_BYTES
    while at < known.size:
        compressed = _bytes(known, at, min(_PIECE_BYTES, known.size - at))
        at += len(compressed)
        while compressed and not inflating.eof:
            if pieces_left == 0:
                raise _UnclearError
            pieces_left -= 1
            try:
                inflating.decompress(compressed, _PIECE_BYTES)
            except zlib.error:
                raise _UnclearError from None
            compressed = inflating.unconsumed_tail
        if inflating.eof:
            return False
    return True


def _ends_at(known: Edges, at: int) -> bool:
    """Return whether there are no more elements at an offset: the end of the file, half a tag, or zeros."""
    return at >= known.size or not _bytes(known, at, min(4, known.size - at)).strip(b"\0")


def _bytes(known: Edges, at: int, length: int) -> bytes:
    if at + length > known.size:
        raise _BeyondError
    found = known.at(at, length)
    if found is None:
        raise _UnclearError
    return found


def _parts_of_a_picture(tag: tuple[int, int]) -> set[str]:
    if tag == _ROWS:
        return {"rows"}
    return {"pixels"} if tag[0] == _PIXELS or tag == _PIXELS_ELSEWHERE else set()


def _element(known: Edges, at: int, order: str, *, explicit: bool) -> _Element:
    header = _bytes(known, at, _HEADER_BYTES)
    group, number = struct.unpack(order + "HH", header[:4])
    representation = header[4:6]
    if not explicit or group == _ITEMS:
        return _Element((group, number), at + _HEADER_BYTES, struct.unpack(order + "L", header[4:])[0])
    if not (representation.isalpha() and representation.isupper()):
        raise _UnclearError
    if representation not in _LONG:
        return _Element((group, number), at + _HEADER_BYTES, struct.unpack(order + "H", header[6:])[0])
    (length,) = struct.unpack(order + "L", _bytes(known, at + _HEADER_BYTES, 4))
    return _Element((group, number), at + _HEADER_BYTES + 4, length)
