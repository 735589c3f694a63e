"""QuickXorHash, the hash that OneDrive keeps of every file on both kinds of account.

The algorithm is published at https://learn.microsoft.com/onedrive/developer/code-snippets/quickxorhash. It
finds accidents, not forgery: the digest that stored bytes are compared by stays SHA-256.
"""

from __future__ import annotations

import base64
from typing import Final

__all__ = ["QuickXor"]

_WIDTH_BITS: Final = 160
_SHIFT_BITS: Final = 11
# Byte number i is turned left by 11 i bits within 160. After 160 bytes the turns repeat, so that all such
# blocks can be laid over each other first, as big integers, and only one block be turned byte by byte.
_BLOCK_BYTES: Final = 160
# An integer of this size is made and XORed faster, byte for byte, than a much smaller or larger one.
_SLICE_BYTES: Final = 64 * _BLOCK_BYTES
_MASK: Final = (1 << _WIDTH_BITS) - 1


class QuickXor:
    """Hash what is given in pieces, as `hashlib` does."""

    def __init__(self, data: bytes = b"") -> None:
        self._columns = 0
        self._length = 0
        if data:
            self.update(data)

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        offset = self._length % _BLOCK_BYTES
        # Little-endian: byte number i of the block is at 8 i bits of the integer.
        self._columns ^= _folded(_laid_over(memoryview(data)) << (8 * offset))
        self._length += len(data)

    def digest(self) -> bytes:
        """The 20 bytes of the hash of what was given so far."""
        state = 0
        for number, byte in enumerate(self._columns.to_bytes(_BLOCK_BYTES, "little")):
            turn = number * _SHIFT_BITS % _WIDTH_BITS
            wide = byte << turn
            state ^= (wide & _MASK) | (wide >> _WIDTH_BITS)
        # The length goes over the last 8 bytes.
        state ^= self._length << (_WIDTH_BITS - 64)
        return state.to_bytes(_WIDTH_BITS // 8, "little")

    def hexdigest(self) -> str:
        """The hash in lower-case hex, as `intouch_import.model.SourceFile.vendor_hash` has it."""
        return self.digest().hex()

    def base64(self) -> str:
        """The hash as Microsoft Graph writes it."""
        return base64.b64encode(self.digest()).decode("ascii")


def _laid_over(data: memoryview) -> int:
    """All slices of the data laid over each other by XOR, little-endian."""
    number = 0
    for start in range(0, len(data), _SLICE_BYTES):
        number ^= int.from_bytes(data[start : start + _SLICE_BYTES], "little")
    return number


def _folded(number: int) -> int:
    """All 160-byte blocks of a little-endian number laid over each other by XOR."""
    blocks = -(-number.bit_length() // (8 * _BLOCK_BYTES))
    while blocks > 1:
        half = (blocks + 1) // 2
        bits = half * 8 * _BLOCK_BYTES
        number = (number >> bits) ^ (number & ((1 << bits) - 1))
        blocks = half
    return number
