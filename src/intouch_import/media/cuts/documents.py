"""Whether a document ends too early: PDF, ZIP (new Office), compound files (old Office, FlashPix)."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from intouch_import.media.cuts.edges import Edges

__all__ = ["ole_is_cut", "pdf_is_cut", "zip_is_cut"]

_PDF_EDGE: Final = 1024
_LENGTH: Final = re.compile(rb"/L\s+(\d{1,18})\b")


def pdf_is_cut(known: Edges) -> bool:
    """Return whether ``%%EOF`` is missing at the end, or a linearized file is shorter than it declares.

    A linearized PDF (made for the web) has an ``%%EOF`` near its start too, and a PDF that was changed has
    one in its middle.
    """
    start = known.head[:_PDF_EDGE]
    if b"/Linearized" in start and (length := _LENGTH.search(start)) and int(length[1]) > known.size:
        return True
    _before, mark, after = known.tail.rstrip(b"\0\t\r\n ")[-_PDF_EDGE:].rpartition(b"%%EOF")
    # A program that changes a PDF appends objects ("12 0 obj") and another mark.
    return not mark or after.lstrip()[:1].isdigit()


_END_OF_DIRECTORY: Final = struct.Struct("<4s6xHLLH")
_ZIP_64: Final = 0xFFFF_FFFF


def zip_is_cut(known: Edges) -> bool:
    """Return whether the end record is missing, or does not point to the directory before it.

    A document may contain another ZIP, with an end record of its own.
    """
    start = known.tail.rfind(b"PK\x05\x06")
    if start < 0 or len(known.tail) < start + _END_OF_DIRECTORY.size:
        return True
    _mark, count, length, offset, comment = _END_OF_DIRECTORY.unpack_from(known.tail, start)
    if start + _END_OF_DIRECTORY.size + comment > len(known.tail):
        return True
    if _ZIP_64 in (length, offset) or not count:
        return False
    ends_there = bool(offset + length <= known.tail_start + start)
    return not ends_there or known.at(offset, 4) not in {None, b"PK\x01\x02"}


_OLE: Final = struct.Struct("<30xH12xL")
_OLE_SECTORS: Final = (9, 12)
_TABLES_AT: Final = 76
_MOST_TABLES: Final = 109
_FREE: Final = b"\xff\xff\xff\xff"


def ole_is_cut(known: Edges) -> bool:
    """Return whether the last sector that a compound file uses begins beyond its end."""
    if len(known.head) < _TABLES_AT + 4 * _MOST_TABLES:
        return True
    shift, count = _OLE.unpack_from(known.head)
    if shift not in _OLE_SECTORS or not 0 < count <= _MOST_TABLES:
        return False
    (last,) = struct.unpack_from("<L", known.head, _TABLES_AT + 4 * (count - 1))
    sector_bytes = 1 << shift
    at = (last + 1) * sector_bytes
    if at + sector_bytes > known.size:
        return True
    table = known.at(at, sector_bytes)
    if table is None:
        return False
    used = sector_bytes // 4
    while used and table[4 * used - 4 : 4 * used] == _FREE:
        used -= 1
    return bool(((count - 1) * (sector_bytes // 4) + used) * sector_bytes >= known.size)
