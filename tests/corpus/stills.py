"""Photos in the formats of cameras, phones and the web."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING

from PIL import Image, ImageCms, PngImagePlugin

import movies
import pictures
from corpus.files import TAKEN, Whole, edged, photo, saved, several
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

_END_OF_IMAGE = b"\xff\xd9"
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmp:CreateDate="2026-01-31T14:25:01"/></rdf:RDF></x:xmpmeta>'
)


def files() -> Iterator[Whole]:
    """Make files of each format."""
    for make in (_jpeg, _png, _gif, _bmp, _webp, _jpeg_2000, _avif, _heic):
        yield from make()


def _exif(**texts: str) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model", 6
    inner = exif.get_ifd(0x8769)
    inner[0x9003] = TAKEN
    for tag, text in {0x9011: texts.get("offset"), 0x9291: texts.get("sub_second")}.items():
        if text is not None:
            inner[tag] = text
    return exif.tobytes()


@functools.cache
def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def _jpeg() -> Iterator[Whole]:
    options: dict[str, dict[str, object]] = {
        "quality 75": {"quality": 75},
        "quality 95": {"quality": 95},
        "quality 30": {"quality": 30},
        "4:4:4": {"subsampling": 0},
        "4:2:2": {"subsampling": 1},
        "4:2:0": {"subsampling": 2},
        "optimised": {"optimize": True},
        "progressive": {"progressive": True},
        "progressive 4:4:4": {"progressive": True, "subsampling": 0, "quality": 92},
        "restart rows": {"restart_marker_rows": 1},
        "restart blocks": {"restart_marker_blocks": 4},
        "progressive restart": {"progressive": True, "restart_marker_rows": 2},
        "exif": {"exif": _exif()},
        "exif with offset": {"exif": _exif(offset="+11:00", sub_second="25")},
        "xmp": {"xmp": _XMP},
        "profile": {"icc_profile": _profile()},
        "comment": {"comment": b"a comment \xff\xd9 with an end mark in it"},
        "dpi": {"dpi": (300, 300)},
        "rgb": {"keep_rgb": True},
    }
    for name, how in options.items():
        yield Whole.of(f"jpeg {name}", Kind.JPEG, "jpg", saved(photo(), "JPEG", **how))
    for mode in ("L", "CMYK", "1"):
        for progressive in (False, True):
            label = f"jpeg {mode} {'progressive' if progressive else 'baseline'}"
            content = saved(photo(mode), "JPEG", progressive=progressive)
            yield Whole.of(label, Kind.JPEG, "jpeg" if progressive else "jfif", content)
    for width, height in ((1, 400), (997, 3), (255, 257), (640, 480)):
        content = saved(photo("RGB", width, height), "JPEG", quality=90)
        yield Whole.of(f"jpeg of {width} by {height}", Kind.JPEG, "jif", content)
    plain = saved(photo(), "JPEG", quality=90)
    bare = plain[:2] + plain[20:]  # without the segment of JFIF
    camera = plain[:2] + _segment(0xE1, b"Exif\0\0" + _with_preview()) + plain[20:]
    yield Whole.of("jpeg without jfif", Kind.JPEG, "jpg", bare)
    yield Whole.of("jpeg with a preview", Kind.JPEG, "jpg", camera)
    yield Whole.of("jpeg with fill bytes", Kind.JPEG, "jpg", plain[:2] + b"\xff" * 9 + plain[2:])
    large = b"".join(_segment(0xE2, b"MAKER\0" + pictures.random_bytes(60_000, n)) for n in range(4))
    yield Whole.of("jpeg with 240 KB of headers", Kind.JPEG, "jpg", plain[:2] + large + plain[2:])
    for count in (2, 3):
        pair = several("MPO", count=count, quality=90)
        yield Whole.of(f"jpeg of {count} pictures", Kind.JPEG, "jpg", pair, called="jpeg, MPF")
    movie = movies.movie_with(payload_bytes=30_000)
    for name, added in {
        "zeros": bytes(5000),
        "a movie": movie,
        "a maker's trailer": pictures.random_bytes(6000) + b"SEFT",
        "remains of another photo": plain[-9000:],
        "line feeds": b"\r\n" * 3,
    }.items():
        called = "jpeg with a trailer"
        yield Whole.of(f"jpeg before {name}", Kind.JPEG, "jpg", camera, called=called, added=added)


def _with_preview() -> bytes:
    """Write an Exif block whose second directory has a small JPEG, as cameras write it."""
    block = pictures.exif_block()
    preview = edged(160, 120)
    first_ends = 8 + 2 + 2 * 12
    at = len(block)
    tags = [(0x0103, 3, 1, 6), (0x0201, 4, 1, at + 42), (0x0202, 4, 1, len(preview))]
    table = struct.pack("<H", 3) + b"".join(struct.pack("<HHLL", *tag) for tag in tags) + bytes(4)
    return block[:first_ends] + struct.pack("<L", at) + block[first_ends + 4 :] + table + preview


# --- PNG


def _png_by_hand(
    image: Image.Image, *, bits: int = 8, colour: int = 2, interlaced: bool = False, piece: int = 1 << 20
) -> bytes:
    """Write a PNG with what Pillow does not write: interlaced, in 16 bits, in many pieces."""
    size = image.size
    steps = [(0, 0, 1, 1)]
    if interlaced:
        steps = [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
    samples = {0: 1, 2: 3, 6: 4}[colour]
    raw, rows = image.tobytes(), b""
    row = size[0] * samples
    for x, y, across, down in steps:
        for line in range(y, size[1], down):
            whole = raw[line * row : (line + 1) * row]
            part = b"".join(whole[at * samples : (at + 1) * samples] for at in range(x, size[0], across))
            rows += b"\0" + (part if bits == 8 else bytes(b for value in part for b in (value, value ^ 0x5A)))
    header = struct.pack(">LLBBBBB", *size, bits, colour, 0, 0, int(interlaced))
    packed = zlib.compress(rows)
    pieces = b"".join(
        pictures.png_chunk(b"IDAT", packed[at : at + piece]) for at in range(0, len(packed), piece)
    )
    return (
        b"\x89PNG\r\n\x1a\n" + pictures.png_chunk(b"IHDR", header) + pieces + pictures.png_chunk(b"IEND", b"")
    )


def _png() -> Iterator[Whole]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield Whole.of(f"png {mode}", Kind.PNG, "png", saved(photo(mode, 300, 200), "PNG"))
    for colours, bits in ((2, 1), (4, 2), (16, 4)):
        content = saved(photo("RGB", 300, 200).quantize(colours, Image.Quantize.FASTOCTREE), "PNG", bits=bits)
        yield Whole.of(f"png palette of {colours}", Kind.PNG, "png", content)
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a comment")
    text.add_itxt("XML:com.adobe.xmp", _XMP.decode(), zip=True)
    options: dict[str, dict[str, object]] = {
        "uncompressed": {"compress_level": 0},
        "profile": {"icc_profile": _profile()},
        "exif": {"exif": _exif()},
        "texts": {"pnginfo": text},
        "clear colour": {"transparency": (10, 20, 30)},
    }
    for name, how in options.items():
        yield Whole.of(f"png {name}", Kind.PNG, "png", saved(photo(), "PNG", **how))
    clear = photo("P").copy()
    clear.info["transparency"] = bytes(range(256))
    yield Whole.of("png palette, clear", Kind.PNG, "png", saved(clear, "PNG"))
    by_hand: dict[str, dict[str, object]] = {
        "interlaced": {"interlaced": True},
        "16 bits a sample": {"bits": 16},
        "interlaced 16 bits": {"interlaced": True, "bits": 16},
        "in small pieces": {"piece": 500},
    }
    for name, how in by_hand.items():
        yield Whole.of(f"png {name}", Kind.PNG, "png", _png_by_hand(photo("RGB", 160, 120), **how))
    grey = _png_by_hand(photo("L"), colour=0, interlaced=True)
    yield Whole.of("png interlaced grey", Kind.PNG, "png", grey)
    yield Whole.of("png before zeros", Kind.PNG, "png", saved(photo(), "PNG"), added=bytes(4000))
    for mode in ("RGB", "RGBA", "P"):
        content = several("PNG", mode=mode)
        yield Whole.of(f"png animated {mode}", Kind.PNG, "png", content, called="png, animated")


# --- GIF, BMP, WebP


def _gif() -> Iterator[Whole]:
    for mode in ("1", "L", "P", "RGB"):
        yield Whole.of(f"gif {mode}", Kind.GIF, "gif", saved(photo(mode, 300, 200), "GIF"))
    options: dict[str, dict[str, object]] = {
        "not interlaced": {"interlace": 0},
        "clear": {"transparency": 3},
        "comment": {"comment": b"a comment with ; in it"},
    }
    for name, how in options.items():
        yield Whole.of(f"gif {name}", Kind.GIF, "gif", saved(photo("P"), "GIF", **how))
    yield Whole.of("gif before zeros", Kind.GIF, "gif", saved(photo("P"), "GIF"), added=bytes(600))
    for name, how in {"": {}, " endless": {"loop": 0, "duration": 100}, " disposed": {"disposal": 2}}.items():
        content = several("GIF", mode="P", **how)
        yield Whole.of(f"gif animated{name}", Kind.GIF, "gif", content, called="gif, animated")


def _bmp_by_hand(bits: int, compression: int, masks: bytes, *, height: int = 96) -> bytes:
    pixels = pictures.random_bytes(128 * 96 * bits // 8)
    header = struct.pack("<LllHHLLllLL", 40, 128, height, 1, bits, compression, len(pixels), 2835, 2835, 0, 0)
    start = 14 + len(header) + len(masks)
    return struct.pack("<2sLHHL", b"BM", start + len(pixels), 0, 0, start) + header + masks + pixels


def _run_length_bmp() -> bytes:
    """Write a BMP of 8 bits whose rows are run-length encoded."""
    grey = photo("L", 120, 100)
    palette = b"".join(bytes((value, value, value, 0)) for value in range(256))
    raw = grey.tobytes()
    lines = [raw[at : at + 120] for at in range(0, len(raw), 120)]
    data = b"".join(b"".join(b"\1" + bytes([value]) for value in line) + b"\0\0" for line in reversed(lines))
    data = data[:-2] + b"\0\1"
    header = struct.pack("<LllHHLLllLL", 40, 120, 100, 1, 8, 1, len(data), 2835, 2835, 256, 0)
    start = 14 + len(header) + len(palette)
    return struct.pack("<2sLHHL", b"BM", start + len(data), 0, 0, start) + header + palette + data


def _bmp() -> Iterator[Whole]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield Whole.of(f"bmp {mode}", Kind.BMP, "bmp", saved(photo(mode, 201, 150), "BMP"))
    fields = struct.pack("<LLL", 0xF800, 0x07E0, 0x001F)
    yield Whole.of("bmp of 16 bits", Kind.BMP, "bmp", _bmp_by_hand(16, 3, fields))
    yield Whole.of("bmp top first", Kind.BMP, "bmp", _bmp_by_hand(24, 0, b"", height=-96))
    yield Whole.of("bmp run lengths", Kind.BMP, "bmp", _run_length_bmp())


def _webp() -> Iterator[Whole]:
    for mode in ("RGB", "RGBA"):
        for lossless in (False, True):
            label = f"webp {mode} {'lossless' if lossless else 'lossy'}"
            content = saved(photo(mode), "WEBP", lossless=lossless, quality=90, method=1)
            yield Whole.of(label, Kind.WEBP, "webp", content)
            moving = several("WEBP", mode=mode, lossless=lossless, method=1, quality=90)
            yield Whole.of(f"{label} animated", Kind.WEBP, "webp", moving, called="webp, animated")
    for name, how in {
        "exif": {"exif": _exif()},
        "profile": {"icc_profile": _profile()},
        "xmp": {"xmp": _XMP},
    }.items():
        yield Whole.of(f"webp {name}", Kind.WEBP, "webp", saved(photo(), "WEBP", method=1, quality=95, **how))


# --- JPEG 2000


def _jpeg_2000() -> Iterator[Whole]:
    options: dict[str, tuple[str, dict[str, object]]] = {
        "reversible": ("RGB", {}),
        "irreversible": ("RGB", {"irreversible": True, "quality_mode": "rates", "quality_layers": [8]}),
        "grey": ("L", {}),
        "grey 16 bits": ("I;16", {}),
        "alpha": ("RGBA", {}),
        "tiles": ("RGB", {"tile_size": (64, 64)}),
        "layers": ("RGB", {"quality_mode": "rates", "quality_layers": [40, 20, 5]}),
        "resolutions": ("RGB", {"num_resolutions": 3}),
    }
    options |= {
        order: ("RGB", {"progression": order, "tile_size": (96, 96)})
        for order in ("RLCP", "RPCL", "PCRL", "CPRL")
    }
    for name, (mode, how) in options.items():
        yield Whole.of(f"jp2 {name}", Kind.JP2, "jp2", saved(photo(mode), "JPEG2000", **how))
        bare = saved(photo(mode), "JPEG2000", no_jp2=True, **how)
        yield Whole.of(f"j2k {name}", Kind.J2K, "j2k", bare)


# --- AVIF and HEIC


def _avif() -> Iterator[Whole]:
    for name, (mode, how) in {
        "lossy": ("RGB", {"quality": 80}),
        "4:4:4": ("RGB", {"quality": 90, "subsampling": "4:4:4"}),
        "alpha": ("RGBA", {"quality": 80}),
        "grey": ("L", {"quality": 90}),
        "exif": ("RGB", {"exif": _exif(), "quality": 80}),
    }.items():
        yield Whole.of(f"avif {name}", Kind.AVIF, "avif", saved(photo(mode), "AVIF", speed=10, **how))
    content = several("AVIF", speed=10, quality=80)
    yield Whole.of("avif animated", Kind.AVIF, "avif", content, called="avif, animated")


def _heif(image: Image.Image, *others: Image.Image, **options: object) -> bytes:
    import pillow_heif

    out = io.BytesIO()
    made = pillow_heif.from_pillow(image)
    for other in others:
        made.add_from_pillow(other)
    made.save(out, **{"quality": 80, **options})
    return out.getvalue()


def _heic() -> Iterator[Whole]:
    if find_spec("pillow_heif") is None:
        return
    for mode in ("RGB", "RGBA", "L", "I;16"):
        yield Whole.of(f"heic {mode}", Kind.HEIC, "heic", _heif(photo(mode, 128, 96)))
    options: dict[str, dict[str, object]] = {
        "4:4:4": {"chroma": "444"},
        "lossless": {"quality": -1},
        "exif": {"exif": _exif(offset="+11:00")},
        "xmp": {"xmp": _XMP},
    }
    for name, how in options.items():
        yield Whole.of(f"heic {name}", Kind.HEIC, "heic", _heif(photo("RGB", 128, 96), **how))
    pair = _heif(photo("RGB", 128, 96), photo("RGB", 100, 90))
    yield Whole.of("heic of two pictures", Kind.HEIC, "heic", pair)
    yield Whole.of("heif", Kind.HEIC, "heif", _heif(photo("RGB", 161, 93)))
