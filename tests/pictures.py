"""Make real files of every kind that can be decoded, whole and damaged."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE_FOR = (200, 150)
HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in</body></html>"
EXE = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0" + bytes(200)


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
    """Write a TIFF of two strips in Motorola byte order; Pillow writes only Intel order."""
    tags = [(256, 3, 1, 64 << 16), (257, 3, 1, 64 << 16), (258, 3, 1, 8 << 16), (262, 3, 1, 1 << 16)]
    tags += [(273, 4, 2, 110), (277, 3, 1, 1 << 16), (278, 3, 1, 32 << 16), (279, 4, 2, 118)]
    table = b"".join(struct.pack(">HHLL", *tag) for tag in tags)
    head = b"MM\0*" + struct.pack(">LH", 8, len(tags)) + table + bytes(4)
    return head + struct.pack(">LLLL", 126, 2174, 2048, 2048) + random_bytes(4096)


def lab_tiff() -> bytes:
    """Write a TIFF with Lab colours of 16 bits, as Photoshop does; Pillow does not open it."""
    tags = [
        (256, 3, 1, 16),
        (257, 3, 1, 16),
        (258, 3, 3, 110),
        (259, 3, 1, 1),
        (262, 3, 1, 8),
        (273, 4, 1, 116),
    ]
    tags += [(277, 3, 1, 3), (279, 4, 1, 1536)]
    table = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<LH", 8, len(tags)) + table + bytes(4)
    return head + struct.pack("<HHH", 16, 16, 16) + random_bytes(1536)


def photo_cd() -> bytes:
    """Make a Photo CD image that contains only its mark."""
    return b"\xff" * 2048 + b"PCD_IPI" + bytes(786_432 - 2055)


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


def pdf(
    content: bytes,
    *,
    shown: tuple[int, int, int, int] = (0, 0, 200, 100),
    rotate: int = 0,
    field: bool = False,
    trailer: bytes = b"",
) -> bytes:
    """Write a PDF of one page. The page can draw ``/I``, an image of 3,600 megapixels without any data.

    With ``field``, it has one field, which is filled in: in red, over the whole page.
    """
    box = " ".join(map(str, shown)).encode()
    root, page = (b"/AcroForm<</Fields[6 0 R]>>", b"/Annots[6 0 R]") if field else (b"", b"")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % root,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[-20 -20 300 300]/CropBox[%s]/Rotate %d/Contents 4 0 R"
        b"/Resources<</XObject<</I 5 0 R>>>>%s>>" % (box, rotate, page),
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/XObject/Subtype/Image/Width 60000/Height 60000/Length 1/ColorSpace/DeviceGray/BitsPerComponent 8>>stream\n0\nendstream",
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(x)/F 4/Rect[0 0 300 300]/AP<</N 7 0 R>>>>",
        b"<</Type/XObject/Subtype/Form/BBox[0 0 300 300]/Length 26>>stream\n1 0 0 rg 0 0 300 300 re f\nendstream",
    ]
    made, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    made_of = (len(objects) + 1, table, len(objects) + 1, trailer, len(made))
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Root 1 0 R/Size %d%s>>\nstartxref\n%d\n%%%%EOF\n"
    return made + end % made_of


def truncations(content: bytes, count: int, seed: int = 1) -> Iterator[bytes]:
    """Cut a file ``count`` times: by its last bytes one by one, and at random."""
    chance = random.Random(seed)
    ends = min(count // 4, 40, len(content) - 1)
    for lost in range(1, ends + 1):
        yield content[:-lost]
    for _ in range(count - ends):
        yield content[: chance.randrange(len(content))]


def flips(content: bytes, count: int, seed: int = 2) -> Iterator[bytes]:
    """Flip one bit of a file, ``count`` times; half of the flips are in the first hundred bytes."""
    chance = random.Random(seed)
    for number in range(count):
        at = chance.randrange(min(100, len(content)) if number % 2 else len(content))
        yield content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def exif_block(*, order: str = "<", taken: bytes | None = b"2026:01:31 14:25:01\0", **texts: bytes) -> bytes:
    """Write an Exif block: orientation 6, and the given texts in the inner directory."""
    tags = {"taken": 0x9003, "offset": 0x9011, "sub_second": 0x9291}
    found = {tags[name]: text for name, text in {"taken": taken, **texts}.items() if text is not None}
    inner_at = 8 + 2 + 2 * 12 + 4
    data_at = inner_at + 2 + len(found) * 12 + 4
    entries, data = b"", b""
    for tag, text in sorted(found.items()):
        value = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(order + "L", data_at + len(data))
        data += b"" if len(text) <= 4 else text
        entries += struct.pack(order + "HHL4s", tag, 2, len(text), value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    main = struct.pack(order + "HHHLHH", 2, 0x0112, 3, 1, 6, 0)
    main += struct.pack(order + "HHLL", 0x8769, 4, 1, inner_at) + bytes(4)
    return head + main + struct.pack(order + "H", len(found)) + entries + bytes(4) + data


# --- hostile ones


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Write one chunk of a PNG."""
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))


def bomb_png(width: int, height: int, *, payload_bytes: int = 1000) -> bytes:
    """Write a PNG that declares a size and has no picture data."""
    header = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(payload_bytes), 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    )


def bomb_jpeg(width: int, height: int) -> bytes:
    """Write a JPEG whose header announces another size than its data has."""
    content = encoded(picture(), "JPEG")
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def many_frames_gif(count: int, *, screen_px: int = 1) -> bytes:
    """Write a GIF of that many frames of one pixel, on a screen of any size."""
    first = encoded(Image.new("P", (1, 1)), "GIF")
    first = first[:6] + struct.pack("<HH", screen_px, screen_px) + first[10:]
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return first[:-1] + frame * (count - 1) + b";"


def circular_tiff(*, pages: int = 1) -> bytes:
    """Write a TIFF whose last directory is followed by its first."""
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16)]
    size = 2 + 12 * len(tags) + 4
    content = b"II*\0" + struct.pack("<L", 24) + bytes(16)
    for page in range(pages):
        following = 24 + size * ((page + 1) % pages)
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", *tag) for tag in tags)
        content += struct.pack("<L", following)
    return content


def dicom(
    patient_id: str | None,
    *,
    issuer: str | None = None,
    syntax: str = "1.2.840.10008.1.2.1",
    before: bytes = b"",
) -> bytes:
    """Make a DICOM file without a picture, with a private text of this length before the patient."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.filewriter import dcmwrite

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    header = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    header.StudyDate = "20260131"
    header.add_new(0x0009_0010, "LO", "CLINIC")
    header.add_new(0x0009_1001, "OB", before or b"\0\0")
    header.PatientName = "Doe^Jane"
    if patient_id is not None:
        header.PatientID = patient_id
    if issuer is not None:
        header.IssuerOfPatientID = issuer
    header.StudyID = "1"
    out = io.BytesIO()
    dcmwrite(
        out, header, implicit_vr=syntax.endswith("10008.1.2"), little_endian=not syntax.endswith("1.2.2")
    )
    return out.getvalue()
