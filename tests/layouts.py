"""Make one picture of four coloured quarters in many layouts, and ICC profiles by hand."""

from __future__ import annotations

import fractions
import functools
import io
import struct
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms

import pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = (160, 120)
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 255, 0)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
COLOURS = (RED, GREEN, BLUE, YELLOW)
GREYS = (0, 80, 160, 255)
LINEAR = (0, 152, 206, 255)  # the greys, if they are proportional to light
CHEQUERED = (0, 255, 255, 0)
HALF_CLEAR = (RED, GREEN, BLUE, WHITE)
WITH_ALPHA = [(*RED, 255), (*GREEN, 255), (*BLUE, 255), (0, 0, 0, 0)]
GREYS_WITH_ALPHA = [(0, 255), (80, 255), (160, 255), (0, 0)]


class Case(NamedTuple):
    """A file in some layout.

    ``must``: True if there must be a thumbnail, False if there must be none; None if both are right.
    """

    content: bytes
    quarters: Any = COLOURS
    must: bool | None = True


def quarters(values: Any, dtype: Any = np.uint8) -> Any:
    """Lay four values out: top left, top right, bottom left, bottom right."""
    values = np.asarray(values, dtype=dtype)
    top = np.repeat(values[None, :2], SIZE[1] // 2, axis=0)
    bottom = np.repeat(values[None, 2:], SIZE[1] // 2, axis=0)
    return np.repeat(np.concatenate([top, bottom]), SIZE[0] // 2, axis=1)


def image(values: Any, mode: str = "RGB") -> Image.Image:
    return Image.frombytes(mode, SIZE, quarters(values).tobytes())


def tiff(values: Any, **options: Any) -> bytes:
    """Write a TIFF by tifffile, which writes what Pillow does not."""
    import tifffile

    out = io.BytesIO()
    tifffile.imwrite(out, values, **options)
    return out.getvalue()


def png(bits: int, colour_type: int, values: Any, *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG of any depth."""
    if bits < 8:
        each = 8 // bits
        groups = values.reshape(values.shape[0], -1, each)
        values = sum(groups[..., place] << bits * (each - 1 - place) for place in range(each))
    rows = b"".join(b"\0" + row.astype(">u2" if bits > 8 else "u1").tobytes() for row in values)
    header = struct.pack(">LLBBBBB", *SIZE, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pictures.png_chunk(kind, body) for kind, body in parts)


def palette_picture() -> Image.Image:
    picture = image((0, 1, 2, 3), "P")
    picture.putpalette([sample for shown in COLOURS for sample in shown])
    return picture


INKS = [(*(255 - sample for sample in shown), 0) for shown in COLOURS]


def without_adobe(content: bytes) -> bytes:
    """Remove Adobe's mark from a JPEG."""
    at = content.index(b"\xff\xee")
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def ycck() -> bytes:
    """Make a JPEG of YCCK, which Pillow does not write: the values as inks, and then the mark."""
    as_rgb = image([ink[:3] for ink in INKS]).convert("YCbCr")
    bands = [band.point(lambda value: 255 - value) for band in as_rgb.split()]
    stored = Image.merge("CMYK", (*bands, Image.new("L", SIZE, 0)))
    content = bytearray(pictures.encoded(stored, "JPEG", quality=95))
    content[content.index(b"Adobe") + 11] = 2
    return bytes(content)


def with_jp2_box(content: bytes, kind: bytes, body: bytes) -> bytes:
    """Add a box to the header of a JPEG 2000."""
    at = content.index(b"jp2h") - 4
    length = int.from_bytes(content[at : at + 4], "big")
    box = struct.pack(">L4s", 8 + len(body), kind) + body
    whole = (length + len(box)).to_bytes(4, "big") + content[at + 4 : at + length] + box
    return content[:at] + whole + content[at + length :]


# --- HEIC and AVIF


def _at(content: bytes, *path: bytes) -> list[int]:
    """Return where each box on a path starts, from the outer one to the inner one."""
    found, start, end = [], 0, len(content)
    for kind in path:
        while content[start + 4 : start + 8] != kind:
            assert start < end
            start += int.from_bytes(content[start : start + 4], "big")
        found.append(start)
        end = start + int.from_bytes(content[start : start + 4], "big")
        start += 12 if kind == b"meta" else 8
    return found


def cropped(content: bytes) -> bytes:
    """Add the property ``clap``, which shows the left half only, to the first item of a HEIC or AVIF."""
    numbers = (SIZE[0] // 2, 1, SIZE[1], 1, -SIZE[0] // 4, 1, 0, 1)
    clap = struct.pack(">L4s8l", 40, b"clap", *numbers)
    made = bytearray(content)
    properties = _at(content, b"meta", b"iprp", b"ipco")
    start = properties[-1]
    end = start + int.from_bytes(content[start : start + 4], "big")
    count, at = 1, start + 8
    while at < end:
        count, at = count + 1, at + int.from_bytes(content[at : at + 4], "big")
    links = _at(content, b"meta", b"iprp", b"ipma")
    # Flags, the count of items, and then the first item with the count of its properties.
    made[links[-1] + 18] += 1
    place = links[-1] + 19 + content[links[-1] + 18]
    made[place:place] = bytes([0x80 | count])
    made[end:end] = clap
    for box, more in [(links[0], 41), (links[1], 41), (start, 40), (links[-1] + 40, 1)]:
        made[box : box + 4] = (int.from_bytes(made[box : box + 4], "big") + more).to_bytes(4, "big")
    # Both encoders write offsets of 4 bytes in version 0 of the table.
    table = _at(bytes(made), b"meta", b"iloc")[-1] + 12
    sizes, items = made[table], int.from_bytes(made[table + 2 : table + 4], "big")
    assert sizes == 0x44
    at, base = table + 4, made[table + 1] >> 4
    for _ in range(items):
        at += 4 + base + 2
        for _ in range(int.from_bytes(made[at - 2 : at], "big")):
            made[at : at + 4] = (int.from_bytes(made[at : at + 4], "big") + 41).to_bytes(4, "big")
            at += 8
    return bytes(made)


def of_colours(content: bytes, primaries: int, transfer: int) -> bytes:
    """Change the colour space in the box ``colr``."""
    at = content.index(b"colrnclx") + 8
    return content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]


# --- ICC profiles


def _profile(space: bytes, pcs: bytes, kind: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += struct.pack(">4sLL", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">L4sL4s4s4s12x4s", start + len(body), b"test", 0x02100000, kind, space, pcs, b"acsp"
    )
    header += bytes(28) + struct.pack(">LLL", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">L", len(tags)) + table + body


_WHITE_POINT = b"XYZ \0\0\0\0" + struct.pack(">LLL", 0xF6D6, 0x10000, 0xD32D)
_GREEN_INK = (0, 147, 0)


def linear_grey_profile() -> bytes:
    """Make a profile of grey whose samples are proportional to light."""
    curve = b"curv" + bytes(8)
    return _profile(b"GRAY", b"XYZ ", b"mntr", [(b"wtpt", _WHITE_POINT), (b"kTRC", curve)])


def ink_profile() -> bytes:
    """Make a profile of four inks in which the first one alone makes green, and any other makes black."""
    lab = {0: (255, 128, 128), 8: (130, 60, 180)}
    grid = bytes(sample for number in range(16) for sample in lab.get(number, (0, 128, 128)))
    matrix = struct.pack(">9L", *(0x10000 if number % 4 == 0 else 0 for number in range(9)))
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + grid + ramp * 3
    return _profile(b"CMYK", b"Lab ", b"prtr", [(b"wtpt", _WHITE_POINT), (b"A2B0", lut)])


def swapped_profile() -> bytes:
    """Return a profile of RGB in which red and blue are exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")


# --- high dynamic range

_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
PQ, HLG = 16, 18


def _of_light(colours: Any, transfer: int) -> Any:
    """Return the samples, from 0 to 1, of colours of sRGB in BT.2020 and a curve of high dynamic range."""
    samples = np.asarray(colours) / 255
    light = np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    nits = np.clip(light @ _TO_BT2020.T, 0, None) * 203
    if transfer == PQ:
        power = (nits / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    screen = nits / 1000
    luminance = screen @ np.array([0.2627, 0.6780, 0.0593])
    scene = screen * (luminance ** (0.2 / -1.2))[..., None]
    with np.errstate(invalid="ignore"):
        curve = 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), curve)


# --- movies


def movie(
    container: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    *,
    matrix: int = 2,
    full: bool = False,
    transfer: int = 2,
    aspect: int = 1,
    turn: tuple[int, int, int, int] | None = None,
) -> bytes:
    """Encode one frame of the four colours, whose luma and chroma are calculated here."""
    import av

    out = io.BytesIO()
    made = av.open(out, "w", format=container)
    stream = made.add_stream(codec, rate=25)
    stream.width, stream.height = SIZE
    stream.pix_fmt = pixels
    context = stream.codec_context
    if aspect != 1:
        context.sample_aspect_ratio = fractions.Fraction(aspect)
    context.colorspace, context.color_trc = matrix, transfer
    context.color_primaries = 9 if matrix == 9 else 2
    frame = av.VideoFrame(*SIZE, pixels)
    if pixels.startswith("yuv"):
        context.color_range = frame.color_range = 2 if full else 1
        samples = _of_light(COLOURS, transfer) if transfer in {PQ, HLG} else np.array(COLOURS) / 255
        _fill(frame, samples, matrix=matrix, full=full)
    else:
        frame = av.VideoFrame.from_ndarray(quarters(COLOURS), format="rgb24").reformat(format=pixels)
    frame.colorspace = matrix
    frame.pts = 0
    for packet in [*stream.encode(frame), *stream.encode()]:
        made.mux(packet)
    made.close()
    content = out.getvalue()
    if turn is not None:
        at = content.index(b"tkhd") + 44
        a, b, c, d = (value * 65536 for value in turn)
        content = content[:at] + struct.pack(">9l", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :]
    return content


def _fill(frame: Any, samples: Any, *, matrix: int, full: bool) -> None:
    red, blue = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    luma = samples @ np.array([red, 1 - red - blue, blue])
    chroma = [(samples[:, 2] - luma) / (1 - blue) / 2, (samples[:, 0] - luma) / (1 - red) / 2]
    depth = 10 if frame.format.name.endswith("10le") else 8
    scales = (255, 255, 0) if full else (219, 224, 16)
    parts = [luma * scales[0] + scales[2], *(part * scales[1] + 128 for part in chroma)]
    for part, plane in zip(parts, frame.planes, strict=True):
        values = np.clip(np.rint(part * (1 << depth - 8)), 0, (1 << depth) - 1)
        rows = quarters(values, np.uint16 if depth == 10 else np.uint8)
        rows = rows[:: SIZE[1] // plane.height, :: SIZE[0] // plane.width].copy().view(np.uint8)
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : rows.shape[1]] = rows
        plane.update(padded.tobytes())


TURNED = {
    (1, 0, 0, 1): (RED, GREEN, BLUE, YELLOW),
    (-1, 0, 0, 1): (GREEN, RED, YELLOW, BLUE),
    (-1, 0, 0, -1): (YELLOW, BLUE, GREEN, RED),
    (1, 0, 0, -1): (BLUE, YELLOW, RED, GREEN),
    (0, 1, 1, 0): (RED, BLUE, GREEN, YELLOW),
    (0, 1, -1, 0): (BLUE, RED, YELLOW, GREEN),
    (0, -1, -1, 0): (YELLOW, GREEN, BLUE, RED),
    (0, -1, 1, 0): (GREEN, YELLOW, RED, BLUE),
}
"""For each display matrix, the four quarters as they are seen."""


@functools.cache
def movies() -> dict[str, Case]:
    """Return a movie for each layout."""
    made = {
        f"{container} {codec} {pixels}": Case(movie(container, codec, pixels))
        for container, codec, pixels in [
            ("mp4", "libx264", "yuv420p"),
            ("mp4", "libx264", "yuv444p"),
            ("mp4", "libx264", "yuv422p10le"),
            ("mp4", "mpeg4", "yuv420p"),
            ("mov", "qtrle", "rgb24"),
            ("mov", "qtrle", "argb"),
            ("mov", "prores_ks", "yuv422p10le"),
            ("mov", "png", "rgb48be"),
            ("avi", "mjpeg", "yuvj420p"),
            ("avi", "rawvideo", "bgr24"),
            ("avi", "huffyuv", "yuv422p"),
            ("asf", "wmv2", "yuv420p"),
            ("matroska", "ffv1", "yuv444p"),
            ("webm", "libvpx-vp9", "yuv420p"),
        ]
    }
    made |= {f"turned {turn}": Case(movie(turn=turn), seen) for turn, seen in TURNED.items()}
    made |= {f"matrix {matrix}": Case(movie(matrix=matrix)) for matrix in (1, 5, 9)}
    made |= {f"matrix {matrix}, full": Case(movie(matrix=matrix, full=True)) for matrix in (1, 5)}
    made["of a camcorder"] = Case(movie(matrix=1, transfer=11))
    made["of an unknown matrix"] = Case(movie(matrix=8), must=False)
    for transfer in (PQ, HLG):
        content = movie(pixels="yuv420p10le", matrix=9, transfer=transfer)
        made[f"high dynamic range {transfer}"] = Case(content)
    return made


# --- documents


def pdf(*, more: bytes = b"", **options: Any) -> bytes:
    """Write a PDF of one page with the four colours, and black around what shall be seen of it."""
    width, height = SIZE[0] // 2, SIZE[1] // 2
    content = b"0 0 0 rg -20 -20 200 200 re f\n"
    for colour, x, y in zip(COLOURS, (0, width, 0, width), (height, height, 0, 0), strict=True):
        shown = " ".join(f"{sample / 255:.3f}" for sample in colour)
        content += f"{shown} rg {x} {y} {width} {height} re f\n".encode()
    return pictures.pdf(content + more, shown=(0, 0, *SIZE), **options)


_KEY = b"<" + b"41" * 32 + b">"


@functools.cache
def documents() -> dict[str, Case]:
    """Return PDFs, whole and not."""
    locked = b"/ID[<41><41>]/Encrypt<</Filter/Standard/V 1/R 2/P -1/O%s/U%s>>" % (_KEY, _KEY)
    image = pdf(more=b"q 80 0 0 60 0 0 cm /I Do Q")
    return {
        "whole": Case(pdf()),
        "filled in": Case(pdf(field=True), (RED, RED, RED, RED)),
        "turned 90": Case(pdf(rotate=90), TURNED[0, 1, -1, 0]),
        "turned 180": Case(pdf(rotate=180), TURNED[-1, 0, 0, -1]),
        "turned 270": Case(pdf(rotate=270), TURNED[0, -1, 1, 0]),
        "locked": Case(pdf(trailer=locked), must=False),
        "with an image of 3,600 megapixels": Case(image, must=False),
        "without a page": Case(pdf().replace(b"/Kids[3 0 R]/Count 1", b"/Kids[]/Count 0     "), must=False),
        "cut": Case(pdf()[:300], must=False),
        "nothing but a mark": Case(b"%PDF-1.7\n%%EOF\n", must=False),
    }


# --- the table


@functools.cache
def cases(group: str) -> dict[str, Case]:
    """Return a file for each layout of a group."""
    return dict(GROUPS[group]())


def _tiffs() -> Iterator[tuple[str, Case]]:
    for name, byteorder, options in [
        ("", "<", {"bigtiff": True}),
        (" tiled", ">", {"tile": (32, 32)}),
        (" deflated", ">", {"compression": "zlib"}),
    ]:
        more = {"byteorder": byteorder, **options}
        for layout, case in _tiffs_written(more):
            yield f"TIFF{name}: {layout}", case


def _tiffs_written(more: dict[str, Any]) -> Iterator[tuple[str, Case]]:
    rgb, separated = {"photometric": "rgb", **more}, {"photometric": "separated", **more}
    black, white = {"photometric": "minisblack", **more}, {"photometric": "miniswhite", **more}
    grey, deep_grey = quarters(GREYS), quarters(GREYS, np.uint16) * 257
    for colours, options in ((quarters(COLOURS), rgb), (quarters(INKS), separated)):
        label, deep = options["photometric"], colours.astype(np.uint16) * 257
        planar = {"planarconfig": "separate", **options}
        yield label, Case(tiff(colours, **options))
        yield f"{label} planar", Case(tiff(np.moveaxis(colours, -1, 0).copy(), **planar))
        yield f"{label} 16", Case(tiff(deep, **options))
        yield f"{label} 16 planar", Case(tiff(np.moveaxis(deep, -1, 0).copy(), **planar), must=None)
        yield f"{label} 12 in 16", Case(tiff(deep >> 4, **options), must=None)
    yield "RGB float", Case(tiff(quarters(COLOURS, np.float32) / 255, **rgb), must=None)
    yield "no CMYK", Case(tiff(quarters(INKS), extratags=[(332, 3, 1, 2, True)], **separated), must=False)
    yield "grey", Case(tiff(grey, **black), GREYS)
    yield "grey, white is zero", Case(tiff(255 - grey, **white), GREYS)
    yield "grey 16", Case(tiff(deep_grey, **black), GREYS)
    for bits in (10, 12, 14):
        yield f"grey {bits} in 16", Case(tiff(deep_grey >> 16 - bits, **black), GREYS)
    most = [(281, 3, 1, 65535, True)]
    yield "grey 16, dark", Case(tiff(deep_grey >> 4, extratags=most, **black), (0, 5, 10, 16))
    reading = True if more["byteorder"] == "<" else None  # Pillow can't read the other byte order
    yield "grey 16, white is zero", Case(tiff(65535 - deep_grey, **white), GREYS, reading)
    yield "grey 32", Case(tiff(deep_grey.astype(np.uint32) << 16, **black), GREYS, None)
    yield "signed 8", Case(tiff((grey.astype(int) - 128).astype(np.int8), **black), GREYS, None)
    yield "signed 16", Case(tiff((deep_grey.astype(int) - 32768).astype(np.int16), **black), GREYS, None)
    reading = None if "compression" in more else True
    yield "float", Case(tiff((grey / 255).astype(np.float32), **black), GREYS, reading)
    yield "float, white is zero", Case(tiff((1 - grey / 255).astype(np.float32), **white), GREYS, reading)
    yield "float 16", Case(tiff((grey / 255).astype(np.float16), **black), GREYS, None)
    yield "float 64", Case(tiff(grey / 255, **black), GREYS, None)
    yield "float of any size", Case(tiff(quarters((-1e3, 0, 5e2, 3e3), np.float32), **black), must=False)
    palette = np.zeros((3, 256), np.uint16)
    palette[:, :4] = np.array(COLOURS).T
    mapped = {"photometric": "palette", **more}
    yield "palette", Case(tiff(quarters((0, 1, 2, 3)), colormap=palette * 257, **mapped))
    yield "palette of 8 bits", Case(tiff(quarters((0, 1, 2, 3)), colormap=palette, **mapped))
    alpha = quarters(WITH_ALPHA)
    deep_alpha = alpha.astype(np.uint16) * 257
    yield "RGBA", Case(tiff(alpha, extrasamples=["unassalpha"], **rgb), HALF_CLEAR)
    yield "RGBA premultiplied", Case(tiff(alpha, extrasamples=["assocalpha"], **rgb), HALF_CLEAR)
    yield "RGBA 16", Case(tiff(deep_alpha, extrasamples=["unassalpha"], **rgb), HALF_CLEAR)
    yield "RGBX", Case(tiff(alpha, extrasamples=["unspecified"], **rgb), (RED, GREEN, BLUE, BLACK))
    grey_alpha = quarters(GREYS_WITH_ALPHA)
    more_samples = {"extrasamples": ["unassalpha"], "planarconfig": "contig", **black}
    yield "grey with alpha", Case(tiff(grey_alpha, **more_samples), GREYS)
    spaces = [ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")]
    lab = ImageCms.profileToProfile(image(COLOURS), *spaces, outputMode="LAB")
    assert lab is not None
    samples = np.frombuffer(lab.tobytes("raw", "LAB"), np.uint8).reshape(*SIZE[::-1], 3)
    yield "Lab", Case(tiff(samples, **{**more, "photometric": "cielab"}))


def _other_tiffs() -> Iterator[tuple[str, Case]]:
    for compression in ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate"):
        for picture in (image(COLOURS), image(INKS, "CMYK"), image(GREYS, "L")):
            expected = GREYS if picture.mode == "L" else COLOURS
            content = pictures.encoded(picture, "TIFF", compression=compression)
            yield f"TIFF {compression} {picture.mode}", Case(content, expected)
    luminance = np.asarray(image(COLOURS).convert("YCbCr"))
    yield "TIFF YCbCr raw", Case(tiff(luminance, photometric="ycbcr"), must=None)
    bits = image(CHEQUERED, "L").convert("1")
    for compression in ("raw", "group4", "group3", "packbits"):
        content = pictures.encoded(bits, "TIFF", compression=compression)
        yield f"TIFF 1 bit {compression}", Case(content, CHEQUERED)
    inverse = tiff(quarters((1, 0, 0, 1), bool), photometric="miniswhite")
    yield "TIFF 1 bit, white is zero", Case(inverse, CHEQUERED)


def _pngs() -> Iterator[tuple[str, Case]]:
    for bits in (2, 4):
        last = (1 << bits) - 1
        values = quarters((0, 1, 2, last))
        shown = tuple(level * (255 // last) for level in (0, 1, 2, last))
        yield f"PNG grey {bits}", Case(png(bits, 0, values), shown)
        key = (b"tRNS", bytes([0, 1]))
        yield f"PNG grey {bits} with a clear colour", Case(png(bits, 0, values, key), (0, 255, *shown[2:]))
        palette = (b"PLTE", bytes(sample for colour in COLOURS for sample in colour))
        yield f"PNG palette {bits}", Case(png(bits, 3, quarters((0, 1, 2, 3)), palette))
    encode = functools.partial(pictures.encoded, kind="PNG")
    bit, grey, colour, palette_of_4 = (
        image(CHEQUERED, "L").convert("1"),
        image(GREYS, "L"),
        image(COLOURS),
        palette_picture(),
    )
    yield "PNG 1 bit", Case(encode(bit), CHEQUERED)
    yield "PNG 1 bit with a clear colour", Case(encode(bit, transparency=0), (255, 255, 255, 255))
    yield "PNG grey", Case(encode(grey), GREYS)
    yield "PNG grey with a clear colour", Case(encode(grey, transparency=80), (0, 255, 160, 255))
    yield "PNG RGB", Case(encode(colour))
    yield "PNG RGB with a clear colour", Case(encode(colour, transparency=RED), (WHITE, GREEN, BLUE, YELLOW))
    yield "PNG palette", Case(encode(palette_of_4))
    alphas = b"\xff\x00\xff\xff"
    yield (
        "PNG palette with alpha",
        Case(encode(palette_of_4, transparency=alphas), (RED, WHITE, BLUE, YELLOW)),
    )
    yield (
        "PNG palette with a clear colour",
        Case(encode(palette_of_4, transparency=2), (RED, GREEN, WHITE, YELLOW)),
    )
    yield "PNG RGBA", Case(encode(image(WITH_ALPHA, "RGBA")), HALF_CLEAR)
    yield "PNG LA", Case(encode(image(GREYS_WITH_ALPHA, "LA")), GREYS)


def _deep_pngs() -> Iterator[tuple[str, Case]]:
    grey, colour = quarters(GREYS, np.uint16) * 257, quarters(COLOURS, np.uint16) * 257
    clear_grey = (b"tRNS", struct.pack(">H", 80 * 257))
    linear = (b"gAMA", struct.pack(">L", 100_000))
    yield "PNG grey 16", Case(png(16, 0, grey), GREYS)
    yield "PNG grey 16, dark", Case(png(16, 0, grey >> 4), (0, 5, 10, 16))
    yield "PNG grey 16 with a clear colour", Case(png(16, 0, grey, clear_grey), (0, 255, 160, 255))
    alike = np.where(grey == 80 * 257, grey + 1, grey)
    yield "PNG grey 16, almost the clear colour", Case(png(16, 0, alike, clear_grey), GREYS)
    yield "PNG RGB 16", Case(png(16, 2, colour))
    clear = (b"tRNS", struct.pack(">HHH", 65535, 0, 0))
    yield (
        "PNG RGB 16 with a clear colour",
        Case(png(16, 2, colour, clear), (WHITE, GREEN, BLUE, YELLOW), None),
    )
    yield "PNG RGB 16, black is clear", Case(png(16, 2, colour, (b"tRNS", bytes(6))), COLOURS, None)
    yield "PNG LA 16", Case(png(16, 4, quarters(GREYS_WITH_ALPHA, np.uint16) * 257), GREYS)
    yield "PNG RGBA 16", Case(png(16, 6, quarters(WITH_ALPHA, np.uint16) * 257), HALF_CLEAR)
    yield "PNG of linear light", Case(png(16, 0, grey, linear), LINEAR, None)


def _animations() -> Iterator[tuple[str, Case]]:
    for kind in ("PNG", "GIF", "WEBP"):
        for first in (image(COLOURS), palette_picture()):
            options = {"lossless": True} if kind == "WEBP" else {}
            others = [first.transpose(Image.Transpose.ROTATE_180)]
            content = pictures.encoded(first, kind, save_all=True, append_images=others, **options)
            yield f"animated {kind} {first.mode}", Case(content)
    clear = pictures.encoded(palette_picture(), "GIF", transparency=1)
    yield "GIF with a clear colour", Case(clear, (RED, WHITE, BLUE, YELLOW))
    yield "GIF grey", Case(pictures.encoded(image(GREYS, "L"), "GIF"), GREYS)
    clear = pictures.encoded(image(GREYS, "L"), "GIF", transparency=80)
    yield "GIF grey with a clear colour", Case(clear, (0, 255, 160, 255))


def _jpegs() -> Iterator[tuple[str, Case]]:
    encode = functools.partial(pictures.encoded, kind="JPEG", quality=95)
    yield "JPEG", Case(encode(image(COLOURS), subsampling=0))
    yield "JPEG grey", Case(encode(image(GREYS, "L")), GREYS)
    yield "JPEG of RGB", Case(encode(image(COLOURS), keep_rgb=True))
    inks = encode(image(INKS, "CMYK"))
    yield "JPEG of CMYK", Case(inks)
    yield "JPEG of CMYK without Adobe's mark", Case(without_adobe(inks), must=False)
    yield "JPEG of YCCK", Case(ycck())


def _jpeg_2000() -> Iterator[tuple[str, Case]]:
    encode = functools.partial(pictures.encoded, kind="JPEG2000")
    for options in ({}, {"no_jp2": True}, {"tile_size": (64, 64)}):
        label = f"JPEG 2000 {options}"
        yield label, Case(encode(image(COLOURS), **options))
        yield f"{label} grey", Case(encode(image(GREYS, "L"), **options), GREYS)
        deep = Image.fromarray(quarters(GREYS, np.uint16) * 257)
        yield f"{label} grey 16", Case(encode(deep, **options), GREYS)
        must = "no_jp2" not in options  # there, the fourth component may be anything
        yield f"{label} RGBA", Case(encode(image(WITH_ALPHA, "RGBA"), **options), HALF_CLEAR, must)
    content = encode(image(COLOURS))
    swapped = struct.pack(">H9H", 3, 0, 0, 3, 1, 0, 2, 2, 0, 1)
    yield (
        "JPEG 2000 of BGR",
        Case(with_jp2_box(content, b"cdef", swapped), (BLUE, GREEN, RED, (0, 255, 255)), None),
    )
    at = content.index(b"colr") + 7
    yield "JPEG 2000 of Lab", Case(content[:at] + struct.pack(">L", 14) + content[at + 4 :], must=False)


def _others() -> Iterator[tuple[str, Case]]:
    for kind, options in (("BMP", {}), ("WEBP", {"lossless": True})):
        yield kind, Case(pictures.encoded(image(COLOURS), kind, **options))
        yield f"{kind} grey", Case(pictures.encoded(image(GREYS, "L"), kind, **options), GREYS)
    yield "BMP palette", Case(pictures.encoded(palette_picture(), "BMP"))
    yield "BMP 1 bit", Case(pictures.encoded(image(CHEQUERED, "L").convert("1"), "BMP"), CHEQUERED)
    clear = pictures.encoded(image(WITH_ALPHA, "RGBA"), "WEBP", lossless=True)
    yield "WEBP RGBA", Case(clear, HALF_CLEAR)


def _heifs() -> Iterator[tuple[str, Case]]:
    encoders = {"AVIF": lambda shown: pictures.encoded(shown, "AVIF", speed=10, subsampling="4:4:4")}
    if find_spec("pillow_heif") is not None:
        encoders["HEIC"] = lambda shown: pictures.heic(shown, chroma=444)
    for kind, encode in encoders.items():
        content = encode(image(COLOURS))
        yield kind, Case(content)
        yield f"{kind} RGBA", Case(encode(image(WITH_ALPHA, "RGBA")), HALF_CLEAR)
        yield f"{kind} grey", Case(encode(image(GREYS, "L")), GREYS)
        yield f"{kind} cropped", Case(cropped(content), (RED, RED, BLUE, BLUE))
        for transfer in (PQ, HLG):
            samples = np.rint(_of_light(COLOURS, transfer) * 255)
            yield (
                f"{kind} of high dynamic range {transfer}",
                Case(of_colours(encode(image(samples)), 9, transfer)),
            )
        yield f"{kind} of unknown colours", Case(of_colours(content, 10, 12), must=False)


def _profiles() -> Iterator[tuple[str, Case]]:
    for kind in ("PNG", "TIFF", "WEBP", "JPEG", "AVIF"):
        options = {"icc_profile": swapped_profile(), "quality": 95}
        yield (
            f"{kind} with a profile",
            Case(pictures.encoded(image(COLOURS), kind, **options), (BLUE, None, RED, None)),
        )
    for kind in ("PNG", "TIFF", "JPEG"):
        options = {"icc_profile": linear_grey_profile(), "quality": 95}
        yield (
            f"{kind} grey with a profile",
            Case(pictures.encoded(image(GREYS, "L"), kind, **options), LINEAR),
        )
    deep = quarters(GREYS, np.uint16) * 257
    options = {"iccprofile": linear_grey_profile(), "photometric": "minisblack"}
    yield "TIFF grey 16 with a profile", Case(tiff(deep, **options), LINEAR)
    content = pictures.encoded(Image.fromarray(deep), "PNG", icc_profile=linear_grey_profile())
    yield "PNG grey 16 with a profile", Case(content, LINEAR)
    inks = image([(255, 0, 0, 0), (0, 0, 0, 0), (0, 255, 0, 0), (255, 0, 0, 0)], "CMYK")
    for kind in ("TIFF", "JPEG"):
        content = pictures.encoded(inks, kind, icc_profile=ink_profile(), quality=95)
        yield f"{kind} of CMYK with a profile", Case(content, (_GREEN_INK, WHITE, BLACK, _GREEN_INK))


GROUPS: dict[str, Callable[[], Iterator[tuple[str, Case]]]] = {
    "TIFF": _tiffs,
    "TIFF by Pillow": _other_tiffs,
    "PNG": _pngs,
    "deep PNG": _deep_pngs,
    "animations": _animations,
    "JPEG": _jpegs,
    "JPEG 2000": _jpeg_2000,
    "others": _others,
    "HEIF": _heifs,
    "profiles": _profiles,
}
