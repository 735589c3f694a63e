"""The kind of a content and whether it is complete: real files, cut files, and files under wrong names."""

from __future__ import annotations

import functools
import io
import random
import struct

import pytest
from PIL import Image

from intouch_import.media.kinds import Kind, sniff
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.model import Reason
from pictures import EXE, HTML, big_endian_tiff, encoded, photo_cd, random_bytes

CUT = Reason.CONTENT_CUT_SHORT
OTHER = Reason.CONTENT_NOT_AS_NAMED
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x10meta" + bytes(8) + b"\0\0\0\x10mdat" + bytes(8)
EOI = b"\xff\xd9"


def check(name: str, content: bytes, *, edge: int = HEAD_BYTES) -> Reason | None:
    """Check a file with this content by its first and last ``edge`` bytes."""
    return content_reason(name, head=content[:edge], tail=content[-edge:], size_bytes=len(content))


@functools.cache
def picture(*, width: int = 640, height: int = 480) -> Image.Image:
    """Draw a picture with noise in it, so that its compressed data looks like that of a photo."""
    noise = Image.frombytes("RGB", (width, height), random_bytes(width * height * 3))
    return Image.blend(noise, Image.linear_gradient("L").resize((width, height)).convert("RGB"), 0.6)


@functools.cache
def sound_files() -> dict[str, tuple[str, bytes, Kind]]:
    """Make a sound file of each kind: extension, content, kind."""
    photo = picture()
    small = [photo.resize((160, 120)).rotate(angle).quantize(64) for angle in (0, 5, 10)]
    pages = [photo.resize((200, 150)), photo.resize((100, 75))]
    return {
        "jpeg": ("jpg", encoded(photo, "JPEG", quality=90), Kind.JPEG),
        "progressive jpeg": ("JPEG", encoded(photo, "JPEG", progressive=True, quality=80), Kind.JPEG),
        "png": ("png", encoded(photo, "PNG"), Kind.PNG),
        "gif": ("gif", encoded(photo.quantize(64), "GIF"), Kind.GIF),
        "animated gif": (
            "GIF",
            encoded(small[0], "GIF", save_all=True, append_images=small[1:]),
            Kind.GIF,
        ),
        "tiff": ("tif", encoded(photo, "TIFF"), Kind.TIFF),
        "lzw tiff": ("tiff", encoded(photo, "TIFF", compression="tiff_lzw"), Kind.TIFF),
        "pages tiff": (
            "tiff",
            encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
            Kind.TIFF,
        ),
        "big-endian tiff": ("tif", big_endian_tiff(), Kind.TIFF),
        "bigtiff": ("tif", encoded(photo, "TIFF", big_tiff=True), Kind.TIFF),
        "jp2": ("jp2", encoded(photo, "JPEG2000"), Kind.JP2),
        "jpx": ("JPX", encoded(photo, "JPEG2000"), Kind.JP2),
        "codestream": ("j2k", encoded(photo, "JPEG2000", no_jp2=True), Kind.J2K),
        "boxed j2c": ("j2c", encoded(photo, "JPEG2000"), Kind.JP2),
        "webp": ("webp", encoded(photo, "WEBP"), Kind.WEBP),
        "avif": ("avif", encoded(photo, "AVIF"), Kind.AVIF),
        "pdf": ("pdf", encoded(photo, "PDF"), Kind.PDF),
        "heic": ("HEIC", HEIC, Kind.HEIC),
        "mp4": ("mp4", movie(), Kind.MP4),
        "mov": ("mov", movie(brand=b"qt  "), Kind.MOV),
        "avi": ("avi", b"RIFF" + struct.pack("<L", 4096) + b"AVI " + bytes(4092), Kind.AVI),
        "wmv": ("wmv", windows_media(), Kind.ASF),
        "webm": ("webm", matroska(), Kind.MATROSKA),
        "photo cd": ("pcd", photo_cd(), Kind.PCD),
    }


def box(kind: bytes, content: bytes) -> bytes:
    """Make an ISO media box."""
    return struct.pack(">L4s", 8 + len(content), kind) + content


def movie(*, brand: bytes = b"isom", payload_bytes: int = 300_000, index_bytes: int = 9000) -> bytes:
    """Make a movie like those of phones: brands, then data, then the index, which is mostly small numbers."""
    data = random_bytes(payload_bytes)
    sizes = box(b"stsz", struct.pack(">L", 40) * ((index_bytes - 240) // 4))
    index = sizes + box(b"stco", struct.pack(">L", 4096) * 58)
    return box(b"ftyp", brand + bytes(4) + brand) + box(b"mdat", data) + box(b"moov", index)


def windows_media() -> bytes:
    """Make the header object and the data object of a Windows Media file."""
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 124) + bytes(100)
    return header + bytes(16) + struct.pack("<Q", 9024) + random_bytes(9000)


def matroska() -> bytes:
    """Make an EBML header and a segment of 4,096 bytes, as its two-byte size (50 00) says."""
    return b"\x1a\x45\xdf\xa3\x84webm\x18\x53\x80\x67\x50\x00" + random_bytes(4096)


@pytest.mark.parametrize("edge", [4096, HEAD_BYTES])
@pytest.mark.parametrize("kind", sound_files())
def test_sound_files_pass(kind: str, edge: int) -> None:
    """A whole file under its own extension is recognised, without an objection."""
    extension, content, expected = sound_files()[kind]
    assert sniff(content[:edge]) is expected
    assert check(f"photo.{extension}", content, edge=edge) is None


@pytest.mark.parametrize("edge", [4096, HEAD_BYTES])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", sorted(sound_files().keys() - {"heic"}))
def test_cut_files_are_cut_short(kind: str, share: float, edge: int) -> None:
    """A file that lost its end is reported as cut short, wherever it was cut."""
    extension, content, expected = sound_files()[kind]
    cut = content[: int(len(content) * share)]
    assert sniff(cut[:edge]) is expected
    if kind in {"mp4", "mov"} and edge < 9000 and share > 0.97:
        # The index is longer than the edge, so nobody can see that its end is missing.
        assert check(f"photo.{extension}", cut, edge=edge) is None
    elif kind == "pages tiff" and edge < HEAD_BYTES and share >= 0.9:
        # The directory of the second page lies in the middle, out of sight.
        assert check(f"photo.{extension}", cut, edge=edge) is None
    else:
        assert check(f"photo.{extension}", cut, edge=edge) is CUT


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "gif", "codestream", "jp2", "mp4"])
def test_room_made_but_not_filled_is_cut_short(kind: str) -> None:
    """An unfinished copy with allocated space ends in zeros, and is reported as cut short."""
    extension, content, _kind = sound_files()[kind]
    half = len(content) // 2
    assert check(f"photo.{extension}", content[:half] + bytes(len(content) - half)) is CUT


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "gif", "pdf", "mp4"])
def test_zeros_after_the_end_are_harmless(kind: str) -> None:
    """A whole file with zeros after its end is accepted."""
    extension, content, _kind = sound_files()[kind]
    assert check(f"photo.{extension}", content + bytes(700)) is None


def with_preview(jpeg: bytes, *, preview_bytes: int = 0) -> bytes:
    """Add an Exif segment with a preview, which has its own end mark, to a JPEG."""
    preview = encoded(picture().resize((160, 120)), "JPEG").ljust(preview_bytes, b"\x11") + EOI
    body = b"Exif\0\0" + preview
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + jpeg[2:]


@pytest.mark.parametrize("edge", [4096, HEAD_BYTES])
@pytest.mark.parametrize("kept", [20, 3000, 30_000, 50_010, 50_600, 60_000, 90_000, 120_000])
def test_the_end_mark_of_a_preview_does_not_count(kept: int, edge: int) -> None:
    """A cut photo is reported although the preview in its Exif data is complete."""
    whole = with_preview(encoded(picture(), "JPEG", quality=95), preview_bytes=50_000)
    assert len(whole) > 130_000
    assert check("photo.jpg", whole, edge=edge) is None
    assert check("photo.jpg", whole[:kept], edge=edge) is CUT


@pytest.mark.parametrize("edge", [4096, HEAD_BYTES])
@pytest.mark.parametrize("index_bytes", [3000, 9000, 80_000])
def test_motion_photos_pass(index_bytes: int, edge: int) -> None:
    """A movie of several megabytes after the picture does not make a photo look cut."""
    photo = with_preview(encoded(picture(), "JPEG")) + movie(payload_bytes=2_000_000, index_bytes=index_bytes)
    assert check("MVIMG_1.jpg", photo, edge=edge) is None


@pytest.mark.parametrize("edge", [4096, HEAD_BYTES])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "restart_marker_rows": 1}])
def test_flat_pictures_cut_anywhere_are_cut_short(options: dict[str, object], edge: int) -> None:
    """The uniform data of an empty sheet of paper is recognised as picture data."""
    whole = encoded(Image.new("RGB", (4000, 3000), "white"), "JPEG", **options)
    assert check("scan.jpg", whole, edge=edge) is None
    for kept in range(1000, len(whole) - 2, len(whole) // 50):
        assert check("scan.jpg", whole[:kept], edge=edge) is CUT


@pytest.mark.parametrize("edge", [4096, HEAD_BYTES])
def test_samsung_trailers_pass(edge: int) -> None:
    """A Samsung trailer, with or without a movie in it, does not make a photo look cut."""
    photo = encoded(picture(), "JPEG")
    trailer = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + movie(payload_bytes=500_000, index_bytes=2000)
    sef = b"SEFH\x6a\0\0\0\x01\0\0\0" + bytes(12) + struct.pack("<L", 24) + b"SEFT"
    assert check("1.jpg", photo + trailer + sef, edge=edge) is None
    assert check("1.jpg", photo + sef, edge=edge) is None


@pytest.mark.parametrize(
    "extension", ["jpg", "JIF", "jfif", "png", "gif", "tif", "jp2", "j2k", "fpx", "pcd", "HEIC"]
)
@pytest.mark.parametrize(
    "content", [HTML, b"%PDF-1.7\n%%EOF", EXE, b"\x7fELF\x02\x01\x01" + bytes(99), b"#!/bin/sh\n"]
)
def test_foreign_content_under_an_image_extension(extension: str, content: bytes) -> None:
    """A web page, a PDF and a program under an image extension are reported."""
    padded = content + b" " * 3000
    assert check(f"photo.{extension}", padded) is OTHER


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", "heic"),
        ("a.HEIC", "jpeg"),
        ("a.png", "jpeg"),
        ("a.jpg", "png"),
        ("a.jpg", "mp4"),
        ("a.mp4", "jpeg"),
        ("a.pdf", "jpeg"),
        ("a.jp2", "codestream"),
        ("a.webm", "avi"),
        ("a.avi", "webp"),
    ],
)
def test_another_kind_of_media(name: str, kind: str) -> None:
    """An image or a video of another kind than its extension is reported."""
    assert check(name, sound_files()[kind][1]) is OTHER


def test_either_iso_video_extension_is_right() -> None:
    """A movie may have either extension, .mov or .mp4, because phones and players treat them alike."""
    assert check("a.mov", movie()) is None
    assert check("a.m4v", movie(brand=b"qt  ")) is None


def test_programs_and_pages_are_no_video() -> None:
    """Under a video extension whose format is not checked, programs and web pages are still reported."""
    assert check("a.mpg", EXE) is OTHER
    assert check("a.bmp", HTML) is OTHER
    assert check("a.mpg", b"\0\0\x01\xba" + bytes(99)) is None


@pytest.mark.parametrize(
    "name", ["a.doc", "a.exe", "a.html", "a", "jpg", ".jpg", "a.", "a.j2\u212a", "a.jpg "]
)
def test_nothing_is_claimed_of_other_names(name: str) -> None:
    """Any content is accepted under an unknown extension."""
    assert check(name, EXE) is None
    assert check(name, b"") is None


@pytest.mark.parametrize("extension", ["jpg", "png", "mp4", "pdf", "pcd"])
def test_nothing_and_next_to_nothing(extension: str) -> None:
    """An empty file and a file that is cut within its signature are reported as cut short."""
    assert check(f"a.{extension}", b"") is CUT
    assert check(f"a.{extension}", b"\xff\xd8") is CUT


def test_the_tiff_made_by_hand_is_one() -> None:
    """Pillow reads the big-endian TIFF of these tests, to the last strip."""
    with Image.open(io.BytesIO(big_endian_tiff())) as image:
        assert image.convert("L").tobytes() == big_endian_tiff()[126:]


def test_without_a_tail_only_the_kind_is_judged() -> None:
    """Without the tail, the kind is checked and nothing else."""
    jpeg = sound_files()["jpeg"][1]
    assert content_reason("a.jpg", head=jpeg[:4096], tail=b"", size_bytes=len(jpeg)) is None
    assert content_reason("a.png", head=jpeg[:4096], tail=b"", size_bytes=len(jpeg)) is OTHER


def test_an_unverifiable_photo_cd_passes() -> None:
    """The mark of a Photo CD is at byte 2,048: with fewer bytes there is no objection."""
    assert check("a.pcd", photo_cd(), edge=2048) is None
    assert check("a.pcd", b"\xff" * 5000) is OTHER


def test_interrupted_recordings_are_cut_short() -> None:
    """A movie without an index and a TIFF without a directory are reported as cut short."""
    assert check("a.mp4", box(b"ftyp", b"isom\0\0\0\0isom") + b"\0\0\0\0mdat" + bytes(9000)) is CUT
    assert check("a.tif", b"II*\0\0\0\0\0" + bytes(9000)) is CUT


def test_large_boxes_and_open_ends() -> None:
    """64-bit box sizes and boxes up to the end of the file are read; a live recording has no declared size."""
    data = bytes(range(1, 200)) * 50
    large = struct.pack(">L4sQ", 1, b"mdat", 16 + len(data)) + data
    start = box(b"ftyp", b"isom\0\0\0\0isom")
    assert check("a.mp4", start + large + box(b"moov", bytes(64))) is None
    assert check("a.mp4", start + box(b"moov", bytes(64)) + large[:-1]) is CUT
    assert check("a.mp4", start + box(b"moov", bytes(64)) + b"\0\0\0\0mdat" + data) is None
    assert check("a.mp4", start + box(b"moov", bytes(64)) + box(b"mdat", data) + b"\0\0\0\4 end") is None
    assert check("a.avi", b"RIFF\xff\xff\xff\xffAVI " + data) is None
    assert (
        check("a.mkv", b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + data) is None
    )
    live = windows_media()
    assert check("a.wmv", live[:124] + bytes(16) + bytes(8) + data) is None


def test_a_pdf_made_for_the_web_says_its_length() -> None:
    """The declared length of a linearized PDF decides, because it has an end mark near its start too."""
    pdf = b"%PDF-1.5\n1 0 obj\n<< /Linearized 1 /L 5000 /T 90 >>\nendobj\n%%EOF\n"
    assert check("a.pdf", pdf.ljust(4990) + b"\n%%EOF\n    "[:10]) is None
    assert check("a.pdf", pdf.ljust(700)) is CUT


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", Kind.EMPTY),
        (b"PK\x03\x04", Kind.ZIP),
        (b"{\\rtf1", Kind.RTF),
        (b"\xcf\xfa\xed\xfe", Kind.EXECUTABLE),
        (b"\xca\xfe\xba\xbe", Kind.EXECUTABLE),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OLE),
        (b"BM\x36\0", Kind.BMP),
        (bytes(128) + b"DICM", Kind.DICOM),
        (b"\0\0\0\x08wide\0\0\0\0mdat", Kind.MOV),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", Kind.UNKNOWN),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Kind.AVIF),
        (b"RIFF\0\0\0\0WAVE", Kind.UNKNOWN),
        (b"\xef\xbb\xbf  <!-- saved --><HTML>", Kind.HTML),
        ("\ufeff<html>".encode("utf-16-le"), Kind.HTML),
        (b'<?xml version="1.0"?><html xmlns="x">', Kind.HTML),
        (b'<?xml version="1.0"?><svg>', Kind.XML),
        (b"\n\n%PDF-1.4", Kind.PDF),
        (b"Dear Dr Jones,\r\n", Kind.TEXT),
        ("Gr\u00fc\u00dfe".encode() * 200, Kind.TEXT),
        ("\ufeffGr\u00fc\u00dfe".encode("utf-16-le"), Kind.TEXT),
        (bytes(5000), Kind.UNKNOWN),
        (b"\x93\xfa\x96{\x8c\xea" * 9, Kind.UNKNOWN),
    ],
)
def test_sniff(head: bytes, kind: Kind) -> None:
    """Each signature is recognised; other content is text or unknown."""
    assert sniff(head) is kind


def test_any_bytes_get_an_answer() -> None:
    """No content makes the check raise."""
    chance = random.Random(11)
    for extension, content, _kind in sound_files().values():
        for _ in range(60):
            broken = bytearray(content[: chance.choice([40, 300, 5000])])
            for _ in range(4):
                broken[chance.randrange(4, len(broken))] = chance.choice([0, 1, 127, 255])
            assert check(f"a.{extension}", bytes(broken), edge=chance.choice([64, 4096])) in {
                None,
                CUT,
                OTHER,
            }


def test_edges_hold_what_the_checks_need() -> None:
    """The head includes the mark of a Photo CD, and the tail includes the bytes that a PDF reader searches."""
    assert HEAD_BYTES >= 2055
    assert TAIL_BYTES >= 1024
