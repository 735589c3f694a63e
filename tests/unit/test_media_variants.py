"""Variants of formats: what a decoder does not support is unverified, and what is broken is damaged."""

from __future__ import annotations

import functools
import io
import json
import struct
import sys
import zlib
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

import layouts
import pictures
from intouch_import.media import Examiner
from intouch_import.media.boxes import Reader
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.kinds import Kind, sniff
from intouch_import.media.messages import Decoded, Limits, Obstacle
from intouch_import.media.variants import declared_size, is_valid
from intouch_import.model import Reason, Soundness

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = (48, 32)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodingPool]:
    made = DecodingPool(workers=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def basic_pool() -> Iterator[DecodingPool]:
    """Decode as an installation without pyvips does."""
    code = (
        f"import json, sys; sys.path[:] = json.loads({json.dumps(sys.path)!r}); sys.modules['pyvips'] = None; "
        "from intouch_import.media.worker import main; main()"
    )
    made = DecodingPool(workers=1, command=[sys.executable, "-c", code])
    yield made
    made.close()


def look(pool: DecodingPool, content: bytes) -> Decoded:
    return pool.decode(io.BytesIO(content), kind=sniff(content), size_bytes=len(content))


def directory(tags: dict[int, tuple[int, ...]], at: int, *, following: int = 0) -> bytes:
    """Write a directory of numbers of 32 bits, and the longer lists behind it."""
    lists_at = at + 2 + 12 * len(tags) + 4
    table, lists = struct.pack("<H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        raw = struct.pack(f"<{len(values)}L", *values)
        if len(raw) > 4:
            raw, lists = struct.pack("<L", lists_at + len(lists)), lists + raw
        table += struct.pack("<HHL4s", tag, 4, len(values), raw)
    return table + struct.pack("<L", following) + lists


def tiff(*, following: int = 0, **changes: int | tuple[int, ...]) -> bytes:
    """Write a TIFF of one strip without compression."""
    names = {"bits": 258, "compression": 259, "photometric": 262, "samples": 277, "format": 339, "inner": 330}
    data_at = 8
    bits = changes.get("bits", 8)
    length = (
        SIZE[0] * SIZE[1] * int(changes.get("samples", 1)) * (bits if isinstance(bits, int) else bits[0]) // 8
    )
    tags = {
        256: SIZE[0],
        257: SIZE[1],
        258: 8,
        259: 1,
        262: 1,
        273: data_at,
        277: 1,
        278: SIZE[1],
        279: length,
    }
    tags |= {names[name]: value for name, value in changes.items()}
    lists = {tag: value if isinstance(value, tuple) else (value,) for tag, value in tags.items()}
    at = data_at + length
    head = b"II*\0" + struct.pack("<L", at)
    return head + pictures.random_bytes(length) + directory(lists, at, following=following)


def bmp(compression: int, bits: int, masks: bytes, *, width: int = 16) -> bytes:
    rows = pictures.random_bytes(width * 16 * bits // 8)
    header = struct.pack("<LllHHLLllLL", 40, width, 16, 1, bits, compression, len(rows), 2835, 2835, 0, 0)
    start = 14 + len(header) + len(masks)
    return b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + header + masks + rows


def codestream(*, bits: int = 8, components: int = 3) -> bytes:
    """Write a JPEG 2000 codestream that says that it has other components than it has."""
    content = bytearray(pictures.encoded(pictures.picture(), "JPEG2000", no_jp2=True))
    at = content.index(b"\xff\x51")
    depth = bytes([bits - 1, 1, 1])
    end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    content[at + 38 : end] = components.to_bytes(2, "big") + depth * components
    content[at + 2 : at + 4] = (38 + 3 * components).to_bytes(2, "big")
    return bytes(content)


@functools.cache
def unsupported() -> dict[str, bytes]:
    """Make whole files that Pillow does not decode."""
    grey = np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE[1], SIZE[0])
    colour = np.stack([grey] * 3, axis=-1)
    return {
        "half floats": layouts.tiff(grey.astype("f2"), photometric="minisblack"),
        "doubles": layouts.tiff(grey.astype("f8"), photometric="minisblack"),
        "colour floats": layouts.tiff(colour.astype("f4"), photometric="rgb"),
        "compressed colour floats": layouts.tiff(colour.astype("f4"), photometric="rgb", compression="zlib"),
        "colours of 32 bits": layouts.tiff((colour * 2**31).astype("u4"), photometric="rgb"),
        "big and big-endian": layouts.tiff(
            (colour * 255).astype("u1"), photometric="rgb", byteorder=">", bigtiff=True
        ),
        "raw photo of a sensor": tiff(photometric=32803, bits=16),
        "linear raw photo": tiff(photometric=34892, bits=(16, 16, 16), samples=3),
        "Lab of 16 bits": tiff(photometric=8, bits=(16, 16, 16), samples=3),
        "10 bits": tiff(bits=10),
        "JPEG XL": tiff(compression=52546),
        "alpha fields": bmp(6, 32, struct.pack("<LLLL", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        "fields of 10 bits": bmp(3, 32, struct.pack("<LLL", 0x3FF00000, 0xFFC00, 0x3FF)),
        "six components": codestream(components=6),
        "30 bits": codestream(bits=30, components=6),
    }


BY_VIPS = {
    "half floats",
    "colour floats",
    "compressed colour floats",
    "colours of 32 bits",
    "big and big-endian",
    "raw photo of a sensor",
    "linear raw photo",
    "Lab of 16 bits",
}


@pytest.mark.parametrize("label", unsupported())
def test_what_is_not_supported_is_unverified(
    pool: DecodingPool, basic_pool: DecodingPool, label: str
) -> None:
    """A valid file of a rare variant is imported, and not called damaged. Some are verified by libvips."""
    content = unsupported()[label]
    found = look(basic_pool, content)
    assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.UNSUPPORTED)
    found = look(pool, content)
    if label in BY_VIPS:
        assert (found.soundness, found.obstacle, found.frames) == (Soundness.VERIFIED, None, 1)
        assert (found.width_px, found.height_px) == SIZE
    else:
        assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.UNSUPPORTED)


@pytest.mark.parametrize(
    "content",
    [
        tiff(photometric=32803, bits=99),
        tiff(photometric=999),
        tiff(photometric=32803, bits=16)[:1000] + tiff(photometric=32803, bits=16)[-140:],
        tiff(compression=999),
        tiff(photometric=8, bits=16, format=9),
        bmp(3, 32, struct.pack("<LLL", 0x3FF00000, 0xFFC00, 0x3FF))[:-100],
        bmp(77, 32, b""),
        bmp(6, 32, bytes(16), width=0),
        codestream(components=0),
        codestream(components=6)[:20],
        codestream(bits=100, components=6),
        b"\xff\x4f\xff\x51" + bytes(60),
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    ],
)
def test_an_invalid_header_is_damage(pool: DecodingPool, content: bytes) -> None:
    """What no standard allows, or what has fewer bytes than it declares, is not a rare variant."""
    assert look(pool, content).soundness is Soundness.DAMAGED


def test_a_page_that_is_not_supported_is_no_damage(pool: DecodingPool, basic_pool: DecodingPool) -> None:
    """The first page is decoded, and the second one is of a rare variant: libvips decodes both, or neither counts."""
    first = tiff()
    second = tiff(photometric=32803, bits=16)
    at = len(first)
    moved = {256: (SIZE[0],), 257: (SIZE[1],), 258: (16,), 259: (1,), 262: (32803,), 273: (8,), 277: (1,)}
    moved |= {278: (SIZE[1],), 279: (SIZE[0] * SIZE[1] * 2,)}
    data = second[8 : 8 + SIZE[0] * SIZE[1] * 2]
    content = tiff(following=at + len(data)) + data + directory(moved, at + len(data))
    found = look(basic_pool, content)
    assert (found.obstacle, found.frames) == (Obstacle.UNSUPPORTED, 1)
    found = look(pool, content)
    assert (found.soundness, found.frames) == (Soundness.VERIFIED, 2)


def raw_photo(**changes: int | tuple[int, ...]) -> bytes:
    """Write a preview, to which the full picture of a sensor belongs."""
    full = tiff(photometric=32803, bits=16, **changes)
    length = SIZE[0] * SIZE[1] * 2
    moved = struct.unpack("<L", full[4:8])[0]
    preview = bytearray(tiff(inner=8))
    at = len(preview)
    inner = directory({256: (SIZE[0],), 257: (SIZE[1],), 258: (16,), 259: (changes.get("compression", 1),),
                       262: (32803,), 273: (at,), 277: (1,), 278: (SIZE[1],), 279: (length,)}, at + length)  # fmt: skip
    place = preview.rindex(struct.pack("<HHL", 330, 4, 1)) + 8
    preview[place : place + 4] = struct.pack("<L", at + length)
    return bytes(preview) + full[8:moved] + inner


def test_pictures_that_are_no_pages_are_decoded_or_nothing_is_verified(
    pool: DecodingPool, basic_pool: DecodingPool
) -> None:
    """Pillow decodes the preview of a raw photo, which proves nothing about the full picture. libvips decodes both."""
    found = look(basic_pool, raw_photo())
    assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.PARTLY)
    assert (found.width_px, found.frames) == (SIZE[0], 1)
    assert look(pool, raw_photo()).soundness is Soundness.VERIFIED
    for content in (raw_photo(compression=52546), raw_photo()[:-200], tiff(inner=8)):
        assert look(pool, content).obstacle is Obstacle.PARTLY
    pyramid = io.BytesIO()
    with tifffile.TiffWriter(pyramid) as writer:
        writer.write(np.zeros((64, 64), "u1"), photometric="minisblack", subifds=1)
        writer.write(np.zeros((32, 32), "u1"), photometric="minisblack", subfiletype=1)
    assert look(pool, pyramid.getvalue()).soundness is Soundness.VERIFIED


def test_pictures_within_pictures_within_pictures_are_not_verified(pool: DecodingPool) -> None:
    """Only what belongs to a page is decoded by libvips, and nothing below that."""
    content = tiff(inner=(8,))
    place = content.rindex(struct.pack("<HHL", 330, 4, 1)) + 8
    to_itself = content[:place] + content[4:8] + content[place + 4 :]
    assert look(pool, to_itself).obstacle is Obstacle.PARTLY


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_page_of_which_a_value_is_missing_is_a_gap(pool: DecodingPool, kept: float) -> None:
    """Pillow ends at the first directory that it can't read, and only warns."""
    pages = [pictures.picture(60, 40).rotate(angle) for angle in range(12)]
    whole = pictures.encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert look(pool, whole).frames == 12
    cut = whole[: int(len(whole) * kept)]
    found = look(pool, cut)
    assert found.soundness is Soundness.DAMAGED


def png_chunks(content: bytes) -> list[tuple[bytes, int, int]]:
    """List the chunks of a PNG: kind, start and end of the content."""
    at, found = 8, []
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], at + 8, at + 8 + length))
        at += 12 + length
    return found


def test_each_checksum_of_a_png_is_compared(pool: DecodingPool) -> None:
    """Pillow skips the sums of the picture data, and stops when the picture is full."""
    photo = pictures.picture(120, 90)
    content = pictures.encoded(photo, "PNG", save_all=True, append_images=[photo.rotate(90)])
    for kind, start, end in png_chunks(content):
        for at in {start + (end - start) // 2, end} if end > start else {end}:
            changed = content[:at] + bytes([content[at] ^ 64]) + content[at + 1 :]
            assert look(pool, changed).soundness is Soundness.DAMAGED, (kind, at)
    # Compressed data that goes on after the last line: the sum is that of a hole.
    (_, start, end) = next(chunk for chunk in png_chunks(content) if chunk[0] == b"IDAT")
    longer = content[start:end] + bytes(100)
    chunk = (
        struct.pack(">L4s", len(longer), b"IDAT")
        + longer
        + struct.pack(">L", zlib.crc32(b"IDAT" + longer) ^ 1)
    )
    assert look(pool, content[: start - 8] + chunk + content[end + 4 :]).soundness is Soundness.DAMAGED


def test_long_texts_in_a_png_are_no_damage(pool: DecodingPool) -> None:
    """Editors keep megabytes of history in a PNG; Pillow's limit on them is raised."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>" + " " * (3 << 20) + "</x:xmpmeta>", zip=True)
    content = pictures.encoded(Image.new("RGB", (64, 64), "red"), "PNG", pnginfo=info)
    assert look(pool, content).soundness is Soundness.VERIFIED


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0II*\0"}),
        ("AVIF", {"speed": 10}),
    ],
)
def test_the_size_is_known_before_the_decoder_starts(kind: str, options: dict[str, object]) -> None:
    """WebP and AVIF are decoded when they are opened: without their size, no memory would be called damage."""
    content = pictures.encoded(pictures.picture(300, 200), kind, **options)
    assert declared_size(sniff(content), Reader(io.BytesIO(content), len(content))) == (300, 200)


def test_a_large_webp_is_unchecked_and_not_damaged() -> None:
    """A whole WebP that needs more memory than the limit waits, because nobody knows whether it is whole."""
    content = pictures.encoded(Image.new("RGB", (3000, 3000)), "WEBP", lossless=True, method=0)
    for limit in (Limits(memory_bytes=32 * 1024**2), Limits(pixels=5_000_000)):
        pool = DecodingPool(limit, workers=1)
        facts = Examiner(zone=ZoneInfo("UTC"), pool=pool).examine(content, name="a.webp")
        pool.close()
        assert (facts.soundness, facts.doubt) == (Soundness.UNVERIFIED, Reason.CONTENT_UNCHECKED)


@pytest.mark.parametrize("kind", [Kind.PNG, Kind.GIF, Kind.HEIC])
def test_formats_without_rare_variants(kind: Kind) -> None:
    """What can't be decoded is damaged in formats of which all variants are supported."""
    content = pictures.random_bytes(100)
    assert not is_valid(kind, Reader(io.BytesIO(content), 100), page=0, opened=False)
    assert declared_size(kind, Reader(io.BytesIO(content), 100)) is None
