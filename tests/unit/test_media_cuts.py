"""Whether a file is whole, by its start, its end and what it declares in the middle."""

from __future__ import annotations

import functools
import io
import mimetypes
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import movies
import pictures
from intouch_import.media.boxes import Reader
from intouch_import.media.families import is_foreign, is_medium
from intouch_import.media.kinds import Kind, sniff
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.model import Reason
from pictures import EXE, HTML, random_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

CUT = Reason.CONTENT_CUT_SHORT
OTHER = Reason.CONTENT_NOT_AS_NAMED
LINK = b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + bytes(200)


def check(name: str, content: bytes, *, read: bool = True) -> Reason | None:
    """Check a file by its head, its tail and, if ``read``, the bytes between them."""
    reader = Reader(io.BytesIO(content), len(content), bytes_left=1 << 26, reads_left=10_000)
    return content_reason(
        name,
        head=content[:HEAD_BYTES],
        tail=content[-TAIL_BYTES:],
        size_bytes=len(content),
        reader=reader if read else None,
    )


def archive(*, pad: int = 0) -> bytes:
    """Make a Word document that contains another one."""
    inner, out = io.BytesIO(), io.BytesIO()
    for target, content in ((inner, random_bytes(20_000)), (out, b"")):
        with zipfile.ZipFile(target, "w") as made:
            made.writestr("word/document.xml", content or inner.getvalue())
    return out.getvalue() + bytes(pad)


def compound(*, sectors: int = 40) -> bytes:
    """Make a compound file: a header, one table of sectors, and the sectors that it lists as used."""
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(22) + struct.pack("<H12xL", 9, 1)
    table = b"".join(struct.pack("<l", at + 1) for at in range(sectors)).ljust(512, b"\xff")
    return header.ljust(76, b"\0") + bytes(4) + b"\xff" * 432 + table + random_bytes(512 * (sectors - 1))


def element(group: int, number: int, kind: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """Make an element of a DICOM file."""
    size = len(value) if length is None else length
    form = "<HH2sxxL" if kind in {b"OB", b"OW", b"SQ", b"UN"} else "<HH2sH"
    return struct.pack(form, group, number, kind, size) + value


def item(number: int, value: bytes = b"", *, length: int | None = None) -> bytes:
    """Make an item of a sequence, or one of its end marks."""
    return struct.pack("<HHL", 0xFFFE, number, len(value) if length is None else length) + value


def dicom(*, syntax: bytes = b"1.2.840.10008.1.2.1\0", packed: bool = False, before: bytes = b"") -> bytes:
    """Make a DICOM picture, with a sequence of unknown length, whose samples may be in fragments."""
    endless = 0xFFFF_FFFF
    meta = element(2, 0x10, b"UI", syntax)
    nested = item(0xE000, element(8, 0x100, b"SH", b"ab"), length=endless) + item(0xE00D) + item(0xE0DD)
    data = element(8, 0x1140, b"SQ", nested, length=endless) + element(0x10, 0x10, b"PN", b"Doe^Jane")
    data += before + element(0x28, 0x10, b"US", b"\x40\0")
    if packed:
        fragments = item(0xE000) + item(0xE000, random_bytes(5000)) + item(0xE000, random_bytes(3000))
        data += element(0x7FE0, 0x10, b"OB", fragments + item(0xE0DD), length=endless)
    else:
        data += element(0x7FE0, 0x10, b"OW", random_bytes(8000))
    return bytes(128) + b"DICM" + meta + data


def deflated_dicom() -> bytes:
    """Make a DICOM picture whose elements are compressed as a whole."""
    plain = dicom()
    at = plain.index(struct.pack("<HH", 8, 0x1140))
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    meta = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1.99")
    return plain[:132] + meta + deflate.compress(plain[at:]) + deflate.flush()


def avi(*, index: bool = True, parts: int = 1) -> bytes:
    """Make an AVI that declares an index."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack("<4sL", kind, len(content)) + content + b"\0" * (len(content) % 2)

    movi = chunk(b"LIST", b"movi" + chunk(b"00dc", random_bytes(9001)))
    lists = chunk(b"LIST", b"hdrl" + chunk(b"avih", struct.pack("<12xL40x", 0x10))) + movi
    first = chunk(b"RIFF", b"AVI " + lists + (chunk(b"idx1", bytes(16)) if index else b""))
    return first + (parts - 1) * chunk(b"RIFF", b"AVIX" + movi)


def packets(size: int = 188, count: int = 60) -> bytes:
    """Make an MPEG transport stream."""
    return b"".join(bytes(size - 188) + b"G" + random_bytes(187, number) for number in range(count))


def bitmap(*, packed: bool = False) -> bytes:
    """Make a Windows bitmap, or one that declares that it is compressed."""
    content = bytearray(pictures.encoded(pictures.picture(), "BMP"))
    if packed:
        content[30:34] = struct.pack("<L", 1)
    return bytes(content)


def directory(tags: Sequence[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """Make a directory of a TIFF; each tag with its type, count and value."""
    entries = b"".join(struct.pack("<HHLL", *tag) for tag in sorted(tags))
    return struct.pack("<H", len(tags)) + entries + struct.pack("<L", following)


def pointing(tag: int, tags: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Make a TIFF with a preview, of which one tag points to a directory at 600."""
    first = directory([(256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 1, 500), (279, 4, 1, 64), (tag, 4, 1, 600)])
    head = (b"II*\0" + struct.pack("<L", 8) + first).ljust(600, b"\1")
    return (head + directory(tags)).ljust(1000, b"\1") + random_bytes(200_000)


@functools.cache
def pages(*, compression: str = "raw", big: bool = False) -> bytes:
    """Make a TIFF of 24 pages, each with more than a kilobyte."""
    made = [
        Image.frombytes("RGB", (60, 50), random_bytes(9000, number)).resize((120, 100))
        for number in range(24)
    ]
    return pictures.encoded(
        made[0], "TIFF", save_all=True, append_images=made[1:], compression=compression, big_tiff=big
    )


FILES = {
    "docx": archive(),
    "xlsx": archive(pad=40),
    "zip": archive(),
    "doc": compound(),
    "fpx": compound(),
    "dcm": dicom(),
    "packed.dcm": dicom(packed=True),
    "deflated.dcm": deflated_dicom(),
    "avi": avi(),
    "large.avi": avi(parts=3),
    "mts": packets(192),
    "ts": packets(),
    "bmp": bitmap(),
    "packed.bmp": bitmap(packed=True),
    "tif": pages(),
    "jpeg.tif": pages(compression="jpeg"),
    "big.tif": pages(compression="tiff_lzw", big=True),
    "dng": pointing(330, [(256, 4, 1, 500), (273, 4, 1, 1000), (279, 4, 1, 200_000)]),
    "nef": pointing(330, [(256, 4, 1, 500), (324, 4, 1, 1000), (325, 4, 1, 200_000)]),
    "exif.tif": pointing(34665, [(37500, 7, 200_000, 1000)]),
    "old.tif": pointing(330, [(513, 4, 1, 1000), (514, 4, 1, 200_000)]),
}


@pytest.mark.parametrize("label", FILES)
def test_whole_files_pass(label: str) -> None:
    """A whole file is accepted, with and without the bytes between its head and its tail."""
    assert check(f"a.{label}", FILES[label]) is None
    assert check(f"a.{label}", FILES[label], read=False) is None


@pytest.mark.parametrize("extension", ["", ".uploading2", ".xyz"])
@pytest.mark.parametrize("label", FILES)
def test_files_cut_anywhere_are_cut_short(label: str, extension: str) -> None:
    """A file that lost its end is reported, also under an extension that nobody knows."""
    whole = FILES[label]
    for share in (0.3, 0.6, 0.9, 0.97):
        kept = int(len(whole) * share)
        if kept % 188 and kept % 192:
            assert check(f"a.{label}{extension}", whole[:kept]) is CUT, share


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_no_page_of_a_tiff_may_be_missing(compression: str) -> None:
    """A TIFF of 24 pages is reported wherever it was cut."""
    whole = pages(compression=compression)
    for kept in range(100, len(whole) - 200, len(whole) // 40):
        assert check("a.tif", whole[:kept]) is CUT, kept


def test_half_a_jpeg_in_a_tiff_is_cut_short() -> None:
    """The last JPEG of a TIFF without its end mark, or with zeros instead of its second half, is reported."""
    whole = pages(compression="jpeg")
    with Image.open(io.BytesIO(whole)) as image:
        image.seek(23)
        start, size = image.tag_v2[273][-1], image.tag_v2[279][-1]
    half = start + size // 2
    for middle in (bytes(start + size - half), random_bytes(start + size - half).replace(b"\xff", b"\0")):
        assert check("a.tif", whole[:half] + middle + whole[start + size :]) is CUT


@pytest.mark.parametrize("label", ["docx", "packed.dcm", "avi", "mts", "ts", "jpeg.tif", "big.tif"])
def test_room_that_was_not_filled_is_cut_short(label: str) -> None:
    """A copy that got its full size before its bytes ends in zeros, and is reported."""
    whole = FILES[label]
    half = len(whole) // 2
    assert check(f"a.{label}", whole[:half] + bytes(len(whole) - half)) is CUT


@pytest.mark.parametrize("name", ["a.jpg", "a.dng", "a.mts", "a.docx"])
def test_zeros_alone_are_cut_short(name: str) -> None:
    """A copy of which nothing has arrived but its size is not called a file of another kind."""
    assert check(name, bytes(9000)) is CUT


def test_a_letter_that_ends_in_zeros_is_cut_short() -> None:
    """Text with zeros at its end is reported; data with a header of text is not."""
    text = b"Dear Dr Jones, " * 300
    assert check("a.txt", text + bytes(5000)) is CUT
    assert check("a.txt", text) is None
    assert check("a.fits", text + b"\1\2\3\4" * 900 + bytes(5000)) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.dcm", dicom(syntax=b"1.2.840.10008.1.2.1.99")),  # said to be compressed, and is not
        ("a.dcm", dicom()[:132] + random_bytes(500)),  # no file meta information
        ("a.dcm", dicom(before=element(8, 8, b"CS", b"XY"))[:-50]),  # elements that are not in order
        ("a.dcm", dicom(before=b"\x10\0\x20\0\1\2\3\4")[:-50]),  # no such type
        ("a.bmp", b"BM, as we wrote, was seen in the practice again, and his letter is attached below."),
        ("a.doc", compound()[:30] + b"\x40\0" + compound()[32:900]),  # sectors of an unknown size
        ("a.avi", b"RIFF\0\0\0\0" + avi()[8:]),  # a live recording
        ("a.zip", archive()[:-6] + b"\xff" * 4 + b"\0\0"),  # more than 4 GiB
    ],
)
def test_nothing_is_claimed_of_what_is_not_understood(name: str, content: bytes) -> None:
    """Content whose structure can't be read raises no objection."""
    assert check(name, content) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.avi", avi(index=False)),
        ("a.mov", movies.box(b"ftyp", b"qt  \0\0\0\0qt  ") + movies.box(b"moov", bytes(64))),
        ("a.pdf", b"%PDF-1.7\n1 0 obj\n%%EOF\n12 0 obj\n<< /Type /Page"),
        ("a.dcm", dicom().partition(b"\xe0\x7f")[0]),
        ("a.dcm", dicom()[:200]),
        ("a.doc", compound()[:300]),
        ("a.bmp", bitmap()[:30]),
        ("a.docx", archive()[:-10]),
        ("a.zip", archive()[:-6] + struct.pack("<LH", 1 << 30, 0)),
        ("a.zip", archive()[:-6] + struct.pack("<LH", 4, 0)),
        ("a.tif", b"II*\0\x08\0\0\0\0\0\0\0\0\0" + bytes(99)),
    ],
)
def test_what_must_be_there_is_missing(name: str, content: bytes) -> None:
    """A recording without its index, a picture without its samples, half a header: each is cut short."""
    assert check(name, content) is CUT


@pytest.mark.parametrize(
    "content", [dicom() + bytes(300), dicom(packed=True) + b"\0", deflated_dicom() + b"\0"]
)
def test_zeros_after_a_dicom_picture_are_harmless(content: bytes) -> None:
    """Padding after the last element is accepted."""
    assert check("a.dcm", content) is None


def test_remains_of_another_photo_are_harmless() -> None:
    """A JPEG with a part of another one behind its end, as recovery programs write it, is not cut short."""
    noise = Image.frombytes("RGB", (800, 600), random_bytes(800 * 600 * 3))
    first, other = (pictures.encoded(noise, "JPEG", quality=quality) for quality in (70, 95))
    rest = other[len(other) // 3 :][:200_000]
    assert check("a.jpg", first + rest) is None
    assert check("a.jpg", first[:-40] + rest) is CUT
    # Without the bytes between head and tail, this looks like a photo that was cut.
    assert check("a.jpg", first + rest, read=False) is CUT


def test_remains_behind_an_old_jpeg_in_a_tiff_are_harmless() -> None:
    """Old writers put whole buffers into a TIFF: the end mark of the JPEG comes before the end of the strip."""
    jpeg = pictures.encoded(pictures.picture(), "JPEG")
    strip = jpeg + random_bytes(6000).replace(b"\xff", b"\xfe")
    for compression, reason in ((6, None), (7, CUT)):
        page = directory([(259, 3, 1, compression), (273, 4, 1, 1000), (279, 4, 1, len(strip))])
        assert check("a.tif", (b"II*\0\x08\0\0\0" + page).ljust(1000, b"\1") + strip) is reason


def test_a_jpeg_2000_with_an_invalid_box_is_whole_with_its_end_mark() -> None:
    """Of a JPEG 2000 with a box that declares no valid length, the end mark decides."""
    whole = pictures.encoded(pictures.picture(), "JPEG2000")
    start = whole.index(b"jp2c") - 4
    odd = whole[:start] + b"\0\0\0\x02resd" + whole[start:]
    assert check("a.jp2", odd) is None
    assert check("a.jp2", odd[:-9]) is CUT


def test_an_empty_jfif_segment_is_harmless() -> None:
    """A JPEG with an empty JFIF segment is not cut short."""
    photo = pictures.encoded(pictures.picture(), "JPEG")
    for segment in (b"\xff\xe0\0\x02", b"\xff\xe0\0\x07JFIF\0"):
        assert check("a.jpg", photo[:2] + segment + photo[2:]) is None


@pytest.mark.parametrize("order", [b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"])
def test_a_dicom_file_may_begin_like_a_tiff(order: bytes) -> None:
    """A DICOM file with the header of a TIFF in its preamble is a DICOM file."""
    dual = (order + struct.pack("<L", 300)).ljust(128, b"\0") + dicom()[128:]
    assert sniff(dual) is Kind.DICOM
    assert check("slide.dcm", dual) is None
    assert check("slide.tif", dual) is OTHER


@pytest.mark.parametrize("content", [HTML, EXE, LINK], ids=["page", "program", "shortcut"])
@pytest.mark.parametrize(
    "extension",
    [
        "jpe",
        "mpo",
        "dicom",
        "dcm",
        "pef",
        "srw",
        "heics",
        "insv",
        "lrv",
        "tga",
        "jxr",
        "docx",
        "mts",
        "mp3",
        "svg",
    ],
)
def test_no_page_and_no_program_under_a_medium(extension: str, content: bytes) -> None:
    """A web page, a program and a shortcut are reported under every extension of a picture, movie or sound."""
    assert check(f"a.{extension}", content) is OTHER


def test_letters_are_no_pictures() -> None:
    """Text and PDF are reported under the extension of a picture that has no form in text."""
    for content in (b"404 Not found\r\n" * 9, b"%PDF-1.7\n%%EOF", b"{\\rtf1 Dear Jane}"):
        assert check("a.cr2", content) is OTHER
        assert check("a.dat", content) is None
    assert check("a.svg", b'<?xml version="1.0"?><svg>') is None


def test_the_extensions_cover_those_of_python() -> None:
    """Every picture, movie and sound that Python's own list names is known."""
    names = mimetypes.MimeTypes(filenames=()).types_map[True]
    media = {
        name[1:] for name, kind in names.items() if kind.partition("/")[0] in {"image", "video", "audio"}
    }
    assert {name for name in media if not is_medium(name)} == set()
    assert all(is_foreign(Kind.HTML, name) for name in media)
