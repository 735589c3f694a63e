"""Compare the checksums of a PNG, which Pillow skips. Runs in the decoding process only."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["png_is_intact"]

_SIGNATURE_BYTES: Final = 8
_HEADER: Final = struct.Struct(">L4s")
_OF_THE_PICTURE: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT", b"IEND"})
_PIECE_BYTES: Final = 1024 * 1024


def png_is_intact(file: BinaryIO) -> bool:
    """Return whether all chunks with a part of the picture have the right checksums, up to the end mark.

    The position in the file stays what it was.
    """
    position = file.tell()
    try:
        return _is_intact(file)
    finally:
        file.seek(position)


def _is_intact(file: BinaryIO) -> bool:
    file.seek(_SIGNATURE_BYTES)
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        left, kind = _HEADER.unpack(header)
        found = zlib.crc32(kind)
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            found = zlib.crc32(piece, found)
            left -= len(piece)
        declared = file.read(4)
        if kind in _OF_THE_PICTURE and declared != found.to_bytes(4, "big"):
            return False
        if kind == b"IEND":
            return True
    return False
