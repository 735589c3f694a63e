"""Real files of every kind that is decoded here, made on the spot, and the same ones spoilt."""

from __future__ import annotations

import functools
import io
import random
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE_FOR = (200, 150)


def random_bytes(count: int, seed: int = 5) -> bytes:
    """Make bytes without a pattern, the same each time."""
    return random.Random(seed).randbytes(count)


@functools.cache
def picture(width: int = MADE_FOR[0], height: int = MADE_FOR[1]) -> Image.Image:
    """Draw a picture with noise in it, so that its compressed data looks like that of a photo."""
    noise = Image.frombytes("RGB", (width, height), random_bytes(width * height * 3))
    return Image.blend(noise, Image.linear_gradient("L").resize((width, height)).convert("RGB"), 0.6)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Encode a picture by Pillow."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def frames(count: int = 3) -> list[Image.Image]:
    """Turn a small picture a few times."""
    return [picture(120, 90).rotate(angle * 7) for angle in range(count)]


def big_endian_tiff() -> bytes:
    """Write a TIFF of two strips in Motorola byte order by hand; Pillow writes Intel order alone."""
    tags = [(256, 3, 1, 64 << 16), (257, 3, 1, 64 << 16), (258, 3, 1, 8 << 16), (262, 3, 1, 1 << 16)]
    tags += [(273, 4, 2, 110), (277, 3, 1, 1 << 16), (278, 3, 1, 32 << 16), (279, 4, 2, 118)]
    table = b"".join(struct.pack(">HHLL", *tag) for tag in tags)
    head = b"MM\0*" + struct.pack(">LH", 8, len(tags)) + table + bytes(4)
    return head + struct.pack(">LLLL", 126, 2174, 2048, 2048) + random_bytes(4096)


def _several(kind: str, **options: object) -> bytes:
    first, *others = frames()
    return encoded(first, kind, save_all=True, append_images=others, **options)


@functools.cache
def whole() -> dict[str, tuple[str, bytes]]:
    """Make a whole file of each decodable kind and of its important variants: extension and content."""
    photo = picture()
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {
        "jpeg": ("jpg", encoded(photo, "JPEG", quality=90)),
        "progressive jpeg": ("jif", encoded(photo, "JPEG", quality=80, progressive=True)),
        "grey jpeg": ("jfif", encoded(photo.convert("L"), "JPEG")),
        "cmyk jpeg": ("jpeg", encoded(photo.convert("CMYK"), "JPEG")),
        "turned jpeg": ("JPG", encoded(photo, "JPEG", exif=exif, restart_marker_rows=1)),
        "png": ("png", encoded(photo, "PNG")),
        "palette png": ("png", encoded(photo.quantize(64), "PNG")),
        "16-bit png": ("png", encoded(Image.frombytes("I;16", (60, 40), random_bytes(4800)), "PNG")),
        "transparent png": ("png", encoded(photo.convert("RGBA"), "PNG")),
        "animated png": ("png", _several("PNG")),
        "gif": ("gif", encoded(photo.quantize(64), "GIF")),
        "animated gif": ("gif", _several("GIF")),
        "raw tiff": ("tif", encoded(photo, "TIFF")),
        "lzw tiff": ("tiff", encoded(photo, "TIFF", compression="tiff_lzw")),
        "deflated tiff": ("tif", encoded(photo, "TIFF", compression="tiff_adobe_deflate")),
        "packed tiff": ("tif", encoded(photo, "TIFF", compression="packbits")),
        "jpeg tiff": ("tif", encoded(photo, "TIFF", compression="jpeg")),
        "fax tiff": ("tif", encoded(photo.convert("1"), "TIFF", compression="group4")),
        "pages tiff": ("tiff", _several("TIFF", compression="tiff_lzw")),
        "big-endian tiff": ("tif", big_endian_tiff()),
        "jp2": ("jp2", encoded(photo, "JPEG2000")),
        "jpx": ("jpx", encoded(photo, "JPEG2000", quality_mode="rates", quality_layers=[20])),
        "tiled jp2": ("jp2", encoded(photo, "JPEG2000", tile_size=(64, 64))),
        "j2k": ("j2k", encoded(photo, "JPEG2000", no_jp2=True)),
        "j2c": ("j2c", encoded(photo.convert("L"), "JPEG2000", no_jp2=True, irreversible=True)),
        "webp": ("webp", encoded(photo, "WEBP")),
        "lossless webp": ("webp", encoded(photo, "WEBP", lossless=True)),
        "animated webp": ("webp", _several("WEBP")),
        "avif": ("avif", encoded(photo, "AVIF", speed=10)),
        "bmp": ("bmp", encoded(photo, "BMP")),
    }
    if find_spec("pillow_heif") is not None:
        made["heic"] = ("heic", heic(photo))
    return made


def heic(image: Image.Image, **options: object) -> bytes:
    """Encode a HEIC by pillow-heif, without registering anything in this process."""
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(image).save(out, quality=60, **options)
    return out.getvalue()


def truncations(content: bytes, count: int, seed: int = 1) -> Iterator[bytes]:
    """Cut a file short ``count`` times: by its last bytes one by one, and anywhere."""
    chance = random.Random(seed)
    ends = min(count // 4, 40, len(content) - 1)
    for lost in range(1, ends + 1):
        yield content[:-lost]
    for _ in range(count - ends):
        yield content[: chance.randrange(len(content))]


def flips(content: bytes, count: int, seed: int = 2) -> Iterator[bytes]:
    """Flip one bit of a file, ``count`` times; the first hundred bytes are hit as often as all others."""
    chance = random.Random(seed)
    for number in range(count):
        at = chance.randrange(min(100, len(content)) if number % 2 else len(content))
        yield content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
