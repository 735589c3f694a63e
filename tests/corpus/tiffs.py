"""TIFF files in every layout: strips, tiles, planes, pages, pyramids, and the raw photos of cameras."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

import pictures
from corpus.files import Whole, edged, photo, saved, several
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COMPRESSIONS = {
    "raw": ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "F", "I"),
    "tiff_lzw": ("L", "P", "RGB", "RGBA", "CMYK", "I;16"),
    "tiff_adobe_deflate": ("L", "RGB", "RGBA", "I;16", "F"),
    "packbits": ("1", "L", "RGB"),
    "jpeg": ("L", "RGB", "CMYK"),
    "group3": ("1",),
    "group4": ("1",),
}


def files() -> Iterator[Whole]:
    """Make files by Pillow, by tifffile, and by hand."""
    for compression, modes in _COMPRESSIONS.items():
        for mode in modes:
            content = saved(photo(mode), "TIFF", compression=compression)
            yield _tiff(f"{compression.removeprefix('tiff_')} {mode}", content)
    for compression in ("raw", "tiff_lzw", "jpeg"):
        name = f"pages {compression.removeprefix('tiff_')}"
        yield _tiff(name, several("TIFF", compression=compression, count=5), called="tiff, pages")
    yield _tiff("big by pillow", saved(photo(), "TIFF", big_tiff=True), called="tiff, big")
    yield _tiff("big-endian by hand", pictures.big_endian_tiff(), called="tiff, big-endian")
    yield from _by_tifffile()
    yield from _raw_photos()


def _tiff(name: str, content: bytes, *, called: str = "", extension: str = "tif") -> Whole:
    return Whole.of(f"tiff {name}", Kind.TIFF, extension, content, called=called)


# --- by tifffile


def _noise(*shape: int, of: str = "u1") -> np.ndarray[Any, Any]:
    """Draw a slope with some noise. The whole range of an integer is used, and 0 to 1 of a float."""
    count = int(np.prod(shape))
    noise = np.frombuffer(pictures.random_bytes(count * 2), "<u2").astype("f8") / 65_535
    made = (np.linspace(0, 0.8, count) + noise * 0.2).reshape(shape)
    return made.astype(of) if of.startswith("f") else (made * np.iinfo(of).max).astype(of)


def _written(data: Any, *, order: str = "<", big: bool = False, **options: Any) -> bytes:
    out = io.BytesIO()
    with tifffile.TiffWriter(out, byteorder=order, bigtiff=big) as writer:
        writer.write(data, metadata=None, software="", **options)
    return out.getvalue()


def _by_tifffile() -> Iterator[Whole]:
    colour, grey = _noise(150, 200, 3), _noise(160, 192)
    layouts: dict[str, tuple[Any, dict[str, Any]]] = {
        "one strip": (colour, {"photometric": "rgb"}),
        "strips": (colour, {"photometric": "rgb", "rowsperstrip": 8}),
        "tiles": (colour, {"photometric": "rgb", "tile": (64, 64)}),
        "planes": (np.moveaxis(colour, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
        "planes in tiles": (
            np.moveaxis(colour, 2, 0),
            {"photometric": "rgb", "planarconfig": "separate", "tile": (64, 64)},
        ),
        "grey": (grey, {"photometric": "minisblack"}),
        "white is zero": (grey, {"photometric": "miniswhite"}),
        "16 bits": (_noise(100, 120, 3, of="u2"), {"photometric": "rgb"}),
        "16 bits in planes": (_noise(3, 100, 120, of="u2"), {"photometric": "rgb", "planarconfig": "separate"}),
        "half floats": (_noise(100, 120, of="f2"), {"photometric": "minisblack"}),
        "floats": (_noise(100, 120, of="f4"), {"photometric": "minisblack"}),
        "colour floats": (_noise(60, 80, 3, of="f4"), {"photometric": "rgb"}),
        "doubles": (_noise(60, 80, of="f8"), {"photometric": "minisblack"}),
        "32 bits": (_noise(60, 80, of="u4"), {"photometric": "minisblack"}),
        "signed": (_noise(100, 120, of="i2"), {"photometric": "minisblack"}),
        "pages": (_noise(5, 60, 80, 3), {"photometric": "rgb"}),
        "deflated": (colour, {"photometric": "rgb", "compression": "zlib"}),
        "deflated tiles": (colour, {"photometric": "rgb", "compression": "zlib", "tile": (64, 64)}),
        "deflated 16 bits": (_noise(100, 120, of="u2"), {"photometric": "minisblack", "compression": "zlib"}),
    }  # fmt: skip
    for name, (data, how) in layouts.items():
        called = "tiff, pages" if name == "pages" else "tiff, tiles" if "tiles" in name else ""
        yield _tiff(name, _written(data, **how), called=called)
    for name in ("one strip", "tiles", "planes", "16 bits", "pages", "deflated"):
        data, how = layouts[name]
        yield _tiff(f"{name} big-endian", _written(data, order=">", **how), called="tiff, big-endian")
        yield _tiff(f"{name} big", _written(data, big=True, **how), called="tiff, big")
    yield _tiff(
        "big and big-endian", _written(colour, order=">", big=True, photometric="rgb"), called="tiff, big"
    )
    for compression, tile in ((None, (64, 64)), ("zlib", (64, 64)), (None, None)):
        content = _pyramid(compression=compression, tile=tile)
        yield _tiff(f"pyramid {compression} {tile}", content, called="tiff, pyramid")
    yield _tiff("jpeg tiles", _jpeg_tiles(), called="tiff, tiles")


def _pyramid(**how: Any) -> bytes:
    """Write a picture with two smaller ones below it."""
    out = io.BytesIO()
    full = _noise(256, 256, 3)
    with tifffile.TiffWriter(out) as writer:
        writer.write(full, photometric="rgb", subifds=2, metadata=None, software="", **how)
        for step in (2, 4):
            smaller = np.ascontiguousarray(full[::step, ::step])
            writer.write(smaller, photometric="rgb", subfiletype=1, metadata=None, software="", **how)
    return out.getvalue()


# --- raw photos, by hand

_NUMBERS = {1: "B", 3: "H", 4: "L"}


def _directory(at: int, order: str, tags: dict[int, tuple[int, Sequence[int]]], following: int = 0) -> bytes:
    table = struct.pack(order + "H", len(tags))
    beyond, data_at = b"", at + 2 + 12 * len(tags) + 4
    for tag, (type_code, values) in sorted(tags.items()):
        raw = struct.pack(f"{order}{len(values)}{_NUMBERS[type_code]}", *values)
        value = raw.ljust(4, b"\0")
        if len(raw) > 4:
            value = struct.pack(order + "L", data_at + len(beyond))
            beyond += raw + bytes(len(raw) % 2)
        table += struct.pack(order + "HHL", tag, type_code, len(values)) + value
    return table + struct.pack(order + "L", following) + beyond


def _jpeg_tiles() -> bytes:
    """Write a picture of twelve tiles, each a JPEG."""
    tiles = [edged(64, 64)] * 12
    starts = [2000 + len(tiles[0]) * number for number in range(12)]
    tags = {
        256: (4, [256]), 257: (4, [192]), 258: (3, [8, 8, 8]), 259: (3, [7]), 262: (3, [6]), 277: (3, [3]),
        322: (3, [64]), 323: (3, [64]), 324: (4, starts), 325: (4, [len(tile) for tile in tiles]), 530: (3, [2, 2]),
    }  # fmt: skip
    return (b"II*\0" + struct.pack("<L", 8) + _directory(8, "<", tags)).ljust(2000, b"\0") + b"".join(tiles)


def _raw_photo(
    *, order: str, preview: bool, strips: int = 1, compression: int = 1, main_below: bool = True
) -> bytes:
    """Write a raw photo: a small picture first, the full one of a sensor in a directory below it."""
    width, height = 160, 120
    small, jpeg, full = (
        photo("RGB", 64, 48).tobytes(),
        edged(120, 90),
        pictures.random_bytes(width * height * 2),
    )
    main_at, sub_at, data_at = 8, 600, 1400
    jpeg_at = data_at + len(small)
    full_at = jpeg_at + (len(jpeg) + 1) // 2 * 2
    each = len(full) // strips
    sensor = {
        254: (4, [0]), 256: (4, [width]), 257: (4, [height]), 258: (3, [16]), 259: (3, [compression]),
        262: (3, [32803]), 273: (4, [full_at + number * each for number in range(strips)]), 277: (3, [1]),
        278: (4, [height // strips]), 279: (4, [each] * strips), 33421: (3, [2, 2]), 33422: (1, [0, 1, 1, 2]),
    }  # fmt: skip
    first = {
        254: (4, [1]), 256: (4, [64]), 257: (4, [48]), 258: (3, [8, 8, 8]), 259: (3, [1]), 262: (3, [2]),
        273: (4, [data_at]), 277: (3, [3]), 278: (4, [48]), 279: (4, [len(small)]), 330: (4, [sub_at]),
        50706: (1, [1, 4, 0, 0]),
    }  # fmt: skip
    shown = {
        254: (4, [1]), 256: (4, [120]), 257: (4, [90]), 258: (3, [8, 8, 8]), 259: (3, [6]), 262: (3, [6]),
        277: (3, [3]), 513: (4, [jpeg_at]), 514: (4, [len(jpeg)]),
    }  # fmt: skip
    if preview:
        first[330] = (4, [sub_at, sub_at + 400])
    if not main_below:
        sensor[50706] = (1, [1, 4, 0, 0])
        first = sensor
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", main_at)
    content = (content + _directory(main_at, order, first)).ljust(sub_at, b"\0")
    content = (content + _directory(sub_at, order, sensor)).ljust(sub_at + 400, b"\0")
    content = (content + _directory(sub_at + 400, order, shown)).ljust(data_at, b"\0")
    return (content + small + jpeg).ljust(full_at, b"\0") + full


def _raw_photos() -> Iterator[Whole]:
    for order, name in (("<", "little"), (">", "big")):
        for extension, how in {
            "dng": {"preview": False},
            "nef": {"preview": True},
            "arw": {"preview": True, "strips": 4, "compression": 32767},
            "tif": {"preview": False, "strips": 8},
            "pef": {"preview": False, "main_below": False},
        }.items():
            content = _raw_photo(order=order, **how)
            yield _tiff(f"raw {extension} {name}", content, called="raw", extension=extension)
