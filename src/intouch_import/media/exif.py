"""Read the few entries of a file's metadata that this library needs: when, and with which camera.

Metadata is read in this process, without Pillow: at most three short tables, in almost every photo. No type,
count or offset is trusted. Formats: CIPA DC-008 (Exif 3.0), which uses the structure of TIFF 6.0; XMP.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.apple import ids_in_note
from intouch_import.media.places import Form, find_metadata, in_jpeg
from intouch_import.media.xmp import MOST_BYTES, read_xmp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.media.boxes import Block, Reader
    from intouch_import.media.kinds import Kind

__all__ = ["Exif", "find_exif"]

_MAKE: Final = 0x010F
_MODEL: Final = 0x0110
_XMP: Final = 0x02BC
_PANASONIC_JPEG: Final = 0x002E
_EXIF_DIRECTORY: Final = 0x8769
_TAKEN: Final = 0x9003
_DIGITIZED: Final = 0x9004
_OFFSET: Final = 0x9010
_OFFSET_TAKEN: Final = 0x9011
_OFFSET_DIGITIZED: Final = 0x9012
_SUB_SECOND_TAKEN: Final = 0x9291
_SUB_SECOND_DIGITIZED: Final = 0x9292
_MAKER_NOTE: Final = 0x927C
_SERIAL: Final = 0xA431
_DNG_SERIAL: Final = 0xC62F
_INNER: Final = frozenset(
    {
        _TAKEN,
        _DIGITIZED,
        _OFFSET,
        _OFFSET_TAKEN,
        _OFFSET_DIGITIZED,
        _SUB_SECOND_TAKEN,
        _SUB_SECOND_DIGITIZED,
        _MAKER_NOTE,
        _SERIAL,
    }
)
_MAIN: Final = _INNER | {_EXIF_DIRECTORY, _MAKE, _MODEL, _DNG_SERIAL, _XMP, _PANASONIC_JPEG}
_LONGS: Final = frozenset({4, 13})  # 32 bits, also in a BigTIFF
_POINTERS: Final = _LONGS | {16, 18}
_TEXTS: Final = frozenset({1, 2, 7, 129})  # some cameras write BYTE and UNDEFINED instead of ASCII
_BYTES: Final = frozenset({1, 7})
_MOST_ENTRIES: Final = 1000
_MOST_TEXT: Final = 64
_ORDERS: Final = {
    b"II*\0": "<", b"MM\0*": ">",
    b"IIU\0": "<", b"IIRO": "<", b"IIRS": "<", b"MMOR": ">",  # raw files of Panasonic and Olympus
}  # fmt: skip
_WIDE_ORDERS: Final = {b"II+\0\x08\0\0\0": "<", b"MM\0+\0\x08\0\0": ">"}  # BigTIFF


@attrs.frozen(kw_only=True)
class Exif:
    """What a camera or a program wrote about a photo, as written.

    Args:
        taken: DateTimeOriginal, the local time of the camera.
        offset: OffsetTimeOriginal, such as ``"+10:00"``; without it, OffsetTime.
        sub_second: SubSecTimeOriginal, decimals of a second.
        digitized, digitized_offset, digitized_sub_second: The same for DateTimeDigitized.
        xmp_taken: The original time in the XMP; not read if ``taken`` is there. It may have an offset.
        xmp_created: When the file was created, according to the XMP; not read if ``taken`` is there.
        make, model, serial: The camera.
        content_id: Apple's id of a live photo, the same in its movie.
        burst_id: Apple's id of a burst, the same in all its photos.
    """

    taken: str | None = None
    offset: str | None = None
    sub_second: str | None = None
    digitized: str | None = None
    digitized_offset: str | None = None
    digitized_sub_second: str | None = None
    xmp_taken: str | None = None
    xmp_created: str | None = None
    make: str | None = attrs.field(default=None, eq=False)
    model: str | None = attrs.field(default=None, eq=False)
    serial: str | None = attrs.field(default=None, eq=False)
    content_id: str | None = None
    burst_id: str | None = None


def find_exif(kind: Kind, reader: Reader) -> Exif | None:
    """Read the metadata of a file of this kind; None if it has none."""
    values: dict[str, str] = {}
    is_there = False
    for form, block in find_metadata(kind, reader):
        for found in _values(form, block):
            is_there = True
            values = found | values
            if "taken" in values:
                return Exif(**values)
    return Exif(**values) if is_there else None


def _values(form: Form, block: Block, *, nested: bool = False) -> Iterator[dict[str, str]]:
    """Yield what a block and the blocks within it say."""
    if form is Form.XMP:
        yield read_xmp(block.at(0, MOST_BYTES))
        return
    tiff = _Tiff.of(block)
    if tiff is None:
        return
    main = tiff.directory(tiff.start, _MAIN)
    pointer = main.get(_EXIF_DIRECTORY)
    inner = tiff.directory(pointer.number, _INNER) if pointer and pointer.kind in _POINTERS else {}
    note = inner.get(_MAKER_NOTE)
    ids = ids_in_note(block.part(note.number, note.number + note.count)) if note is not None else {}
    # Some raw files have the times in the main directory.
    yield _named({tag: tiff.text(entry) for tag, entry in (main | inner).items()}) | ids
    if (xmp := main.get(_XMP)) is not None and xmp.kind in _BYTES:
        yield read_xmp(block.at(xmp.number, min(xmp.count, MOST_BYTES)))
    jpeg = main.get(_PANASONIC_JPEG)
    if jpeg is not None and jpeg.kind in _BYTES and not nested:
        for part in in_jpeg(block.part(jpeg.number, jpeg.number + jpeg.count)):
            yield from _values(*part, nested=True)


def _named(texts: dict[int, str | None]) -> dict[str, str]:
    def first(*tags: int, blank: str = "") -> str | None:
        """Return the first text that is more than these characters."""
        return next((text for tag in tags if (text := texts.get(tag) or "").strip(blank)), None)

    # Cameras without a time write blanks, zeros and colons.
    values = {
        "taken": first(_TAKEN, blank=" 0:"),
        "offset": first(_OFFSET_TAKEN, _OFFSET, blank=" :"),
        "sub_second": first(_SUB_SECOND_TAKEN),
        "digitized": first(_DIGITIZED, blank=" 0:"),
        "digitized_offset": first(_OFFSET_DIGITIZED, _OFFSET, blank=" :"),
        "digitized_sub_second": first(_SUB_SECOND_DIGITIZED),
        "make": first(_MAKE),
        "model": first(_MODEL),
        "serial": first(_SERIAL, _DNG_SERIAL),
    }
    return {name: text for name, text in values.items() if text is not None}


@attrs.frozen
class _Entry:
    """An entry of a directory: its type and count, its value, and its value read as a number."""

    kind: int
    count: int
    raw: bytes
    number: int


@attrs.frozen
class _Tiff:
    """A block with the structure of TIFF."""

    block: Block
    start: int
    long: struct.Struct
    offset: struct.Struct
    counter: struct.Struct
    entry: struct.Struct

    @classmethod
    def of(cls, block: Block) -> _Tiff | None:
        """Read the header; None if there is none."""
        head = block.at(0, 16)
        order, wide = _ORDERS.get(head[:4]), False
        if order is None:
            order, wide = _WIDE_ORDERS.get(head[:8]), True
        if order is None:
            return None
        offset = struct.Struct(order + ("Q" if wide else "L"))
        start = _unpacked(offset, head[8:16] if wide else head[4:8])
        counter = struct.Struct(order + ("Q" if wide else "H"))
        entry = struct.Struct(order + ("HHQ8s" if wide else "HHL4s"))
        return cls(block, start, struct.Struct(order + "L"), offset, counter, entry)

    def directory(self, at: int, wanted: frozenset[int]) -> dict[int, _Entry]:
        """Return the wanted entries of a directory; of a repeated tag, the first one."""
        count = min(_unpacked(self.counter, self.block.at(at, self.counter.size)), _MOST_ENTRIES)
        size = self.entry.size
        table = self.block.at(at + self.counter.size, count * size)
        found: dict[int, _Entry] = {}
        for tag, kind, length, raw in self.entry.iter_unpack(table[: len(table) // size * size]):
            if tag in wanted and tag not in found:
                number = _unpacked(self.long, raw[:4]) if kind in _LONGS else _unpacked(self.offset, raw)
                found[tag] = _Entry(kind, length, raw, number)
        return found

    def text(self, entry: _Entry) -> str | None:
        if entry.kind not in _TEXTS:
            return None
        length = min(entry.count, _MOST_TEXT)
        is_far = entry.count > len(entry.raw)
        raw = self.block.at(entry.number, length) if is_far else entry.raw[:length]
        return raw.partition(b"\0")[0].decode("ascii", "replace").strip() or None


def _unpacked(form: struct.Struct, raw: bytes) -> int:
    return int(form.unpack(raw)[0]) if len(raw) == form.size else 0
