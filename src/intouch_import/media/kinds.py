"""Kinds of content: recognised by their first bytes; and which of them can be decoded on this machine."""

from __future__ import annotations

import codecs
import enum
import functools
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.extensions import IMAGE_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "KINDS_OF_EXTENSIONS",
    "MOVIES",
    "PICTURES",
    "POSTERS",
    "Kind",
    "Supported",
    "bytes_to_recognise",
    "sniff",
    "support",
    "supported",
]


class Kind(enum.StrEnum):
    """The kind of a content, recognised by its first bytes."""

    JPEG = "jpeg"
    PNG = "png"
    GIF = "gif"
    TIFF = "tiff"
    JP2 = "jp2"
    """A JPEG 2000 file (``.jp2``, ``.jpx``)."""
    J2K = "j2k"
    """A JPEG 2000 codestream without a file format around it."""
    OLE = "ole"
    """A compound file: FlashPix, or an Office document in the format before 2007."""
    PCD = "pcd"
    HEIC = "heic"
    AVIF = "avif"
    BMP = "bmp"
    WEBP = "webp"
    DICOM = "dicom"
    MP4 = "mp4"
    MOV = "mov"
    AVI = "avi"
    ASF = "asf"
    """Windows Media."""
    MATROSKA = "matroska"
    """Matroska and WebM."""
    TRANSPORT_STREAM = "transport_stream"
    """MPEG-TS, in camcorders AVCHD (``.mts``)."""
    PDF = "pdf"
    ZIP = "zip"
    """A ZIP archive, or an Office document in the format since 2007."""
    EXECUTABLE = "executable"
    """A program for Windows, Linux or macOS, a script with a ``#!`` line, or a shortcut of Windows."""
    HTML = "html"
    XML = "xml"
    RTF = "rtf"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


def sniff(head: bytes, /) -> Kind:
    """Recognise a content by its first bytes.

    Args:
        head: The first bytes, preferably `HEAD_BYTES` of them. A Photo CD needs 2,055.

    Returns:
        The kind; `Kind.UNKNOWN` if no signature matches, `Kind.EMPTY` if there are no bytes.
    """
    if not head:
        return Kind.EMPTY
    if head.startswith(b"RIFF"):
        return _RIFF_FORMS.get(head[8:12], Kind.UNKNOWN)
    if head.startswith(b"ftyp", 4):
        return _kind_of_brands(head)
    for at, magic, kind in _MAGIC:
        if head.startswith(magic, at):
            return kind
    if any(head[at : at + 4 * packet : packet] == b"GGGG" for at, packet in _PACKETS):
        return Kind.TRANSPORT_STREAM
    return _kind_of_text(head)


def bytes_to_recognise(kinds: Collection[Kind]) -> int:
    """Return how many of the first bytes are needed to recognise all of these kinds."""
    return _PCD_OFFSET + len(_PCD_MARK) if Kind.PCD in kinds else _LONGEST_OTHER_MAGIC


_ISO_VIDEO: Final = (Kind.MP4, Kind.MOV)
KINDS_OF_EXTENSIONS: Final[Mapping[str, tuple[Kind, ...]]] = {
    **dict.fromkeys(("jpg", "jpeg", "jif", "jfif", "jpe", "mpo"), (Kind.JPEG,)),
    **dict.fromkeys(("tif", "tiff"), (Kind.TIFF,)),
    **dict.fromkeys(("jp2", "jpx"), (Kind.JP2,)),
    **dict.fromkeys(("j2k", "j2c"), (Kind.J2K, Kind.JP2)),
    "gif": (Kind.GIF,),
    "png": (Kind.PNG,),
    "fpx": (Kind.OLE,),
    "pcd": (Kind.PCD,),
    "heic": (Kind.HEIC,),
    **dict.fromkeys(("heif", "hif"), (Kind.HEIC, Kind.AVIF)),
    "avif": (Kind.AVIF,),
    "webp": (Kind.WEBP,),
    # Phones name both kinds of ISO video .mov or .mp4, and every player accepts both.
    **dict.fromkeys(("mp4", "m4v", "mov", "qt", "3gp", "3g2"), _ISO_VIDEO),
    "avi": (Kind.AVI,),
    **dict.fromkeys(("wmv", "asf"), (Kind.ASF,)),
    **dict.fromkeys(("mkv", "webm"), (Kind.MATROSKA,)),
    "pdf": (Kind.PDF,),
    # A document with a password is a compound file.
    **dict.fromkeys(
        (
            "docx",
            "docm",
            "dotx",
            "dotm",
            "xlsx",
            "xlsm",
            "xlsb",
            "xltx",
            "xltm",
            "pptx",
            "pptm",
            "potx",
            "ppsx",
        ),
        (Kind.ZIP, Kind.OLE),
    ),
    **dict.fromkeys(("odt", "ods", "odp", "odg", "epub"), (Kind.ZIP,)),
}
"""The kinds that a file with a known extension may have, the usual one first."""

# --- signatures ---------------------------------------------------------------------------------

_PCD_OFFSET: Final = 2048
_PCD_MARK: Final = b"PCD_IPI"
_LONGEST_OTHER_MAGIC: Final = 12

_MAGIC: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"\xff\xd8\xff", Kind.JPEG),
    (0, b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (0, b"GIF87a", Kind.GIF),
    (0, b"GIF89a", Kind.GIF),
    # Before TIFF: the 128 bytes before the mark may be the header of a TIFF (DICOM PS3.10, 7.1).
    (128, b"DICM", Kind.DICOM),
    (0, b"II*\0", Kind.TIFF),
    (0, b"MM\0*", Kind.TIFF),
    (0, b"II+\0\x08\0\0\0", Kind.TIFF),
    (0, b"MM\0+\0\x08\0\0", Kind.TIFF),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", Kind.JP2),
    (0, b"\xff\x4f\xff\x51", Kind.J2K),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OLE),
    (0, b"PCD_OPA", Kind.PCD),
    (0, b"BM", Kind.BMP),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa", Kind.ASF),
    (0, b"\x1a\x45\xdf\xa3", Kind.MATROSKA),
    (0, b"%PDF-", Kind.PDF),
    (0, b"PK\x03\x04", Kind.ZIP),
    (0, b"PK\x05\x06", Kind.ZIP),
    (0, b"PK\x07\x08", Kind.ZIP),
    (0, b"MZ", Kind.EXECUTABLE),
    (0, b"\x7fELF", Kind.EXECUTABLE),
    (0, b"\xfe\xed\xfa\xce", Kind.EXECUTABLE),
    (0, b"\xfe\xed\xfa\xcf", Kind.EXECUTABLE),
    (0, b"\xce\xfa\xed\xfe", Kind.EXECUTABLE),
    (0, b"\xcf\xfa\xed\xfe", Kind.EXECUTABLE),
    (0, b"\xca\xfe\xba\xbe", Kind.EXECUTABLE),
    (0, b"#!", Kind.EXECUTABLE),
    (0, b"L\0\0\0\x01\x14\x02\0", Kind.EXECUTABLE),
    (0, b"{\\rtf", Kind.RTF),
    # QuickTime movies from before 2001 have no "ftyp" box.
    *((4, box, Kind.MOV) for box in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),
    (_PCD_OFFSET, _PCD_MARK, Kind.PCD),
)

_PACKETS: Final = ((0, 188), (4, 192))
"""The first mark of an MPEG transport stream, and the bytes from one mark to the next."""
_RIFF_FORMS: Final = {b"AVI ": Kind.AVI, b"WEBP": Kind.WEBP}
_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})


def _kind_of_brands(head: bytes) -> Kind:
    """Distinguish still images, QuickTime and MP4 by the brands in their ``ftyp`` box."""
    major = head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head), 256)
    brands = {major, *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if major in _AVIF_BRANDS or (major in _HEIC_BRANDS and brands & _AVIF_BRANDS):
        return Kind.AVIF
    if major in _HEIC_BRANDS:
        return Kind.HEIC
    if major == b"qt  ":
        return Kind.MOV
    # Canon's raw photos are ISO media files too, but no videos.
    return Kind.UNKNOWN if major == b"crx " else Kind.MP4


_TEXT_BYTES: Final = 1024
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_HTML: Final = re.compile(
    r"<(?:!doctype\s+html|(?:html|head|body|script|iframe|title|meta|style|link|table|div|h1|p|br|a)[\s/>])",
    re.IGNORECASE,
)
_XML: Final = re.compile(r"<\?xml\s|<!doctype\s|<svg[\s>]", re.IGNORECASE)
_XHTML: Final = re.compile(r"<html[\s>]", re.IGNORECASE)


def _kind_of_text(head: bytes) -> Kind:
    """Distinguish web pages, XML, PDF with other bytes before it, plain text and unknown content."""
    start = head[:_TEXT_BYTES]
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    try:
        # Not bytes.decode(), which refuses a last character that is cut in half.
        text = codecs.getincrementaldecoder(encoding)().decode(start)
        plain = not _CONTROL.search(text)
    except UnicodeDecodeError:
        text, plain = start.decode("latin-1"), False
    text = text.lstrip("\ufeff \t\r\n\f")
    if _HTML.match(_after_comments(text)):
        return Kind.HTML
    if _XML.match(text):
        return Kind.HTML if _XHTML.search(text) else Kind.XML
    # Readers look for the mark in the first 1,024 bytes (ISO 32000-1, annex H, note 13).
    if b"%PDF-" in start:
        return Kind.PDF
    return Kind.TEXT if plain and text else Kind.UNKNOWN


def _after_comments(text: str) -> str:
    """Return what follows the comments at the start of a page.

    A regular expression for repeated comments can try every way to divide them, and no other thread of the
    host runs meanwhile.
    """
    while text.startswith("<!--") and (end := text.find("-->", len("<!--"))) >= 0:
        text = text[end + len("-->") :].lstrip()
    return text


# --- decoding -----------------------------------------------------------------------------------


class Supported(enum.StrEnum):
    """How much of a format can be decoded."""

    WHOLE = "whole"
    """Every picture in it, to the last line."""
    PARTLY = "partly"
    """A part of it, which proves nothing about the rest: the file stays unverified."""
    NO = "no"
    """Nothing: the file stays unverified."""


@attrs.frozen(kw_only=True)
class _Decoder:
    """How Pillow opens a kind: its names for the format, and the feature or package that it needs.

    Without the package ``strict``, gaps are not found, and nothing is verified.
    """

    formats: tuple[str, ...]
    feature: str | None = None
    package: str | None = None
    strict: str | None = None
    whole: bool = True


PICTURES: Final[Mapping[Kind, _Decoder]] = {
    Kind.JPEG: _Decoder(formats=("JPEG",), feature="jpg", strict="simplejpeg"),
    Kind.PNG: _Decoder(formats=("PNG",), feature="zlib"),
    Kind.GIF: _Decoder(formats=("GIF",)),
    Kind.TIFF: _Decoder(formats=("TIFF",), feature="libtiff"),
    Kind.JP2: _Decoder(formats=("JPEG2000",), feature="jpg_2000"),
    Kind.J2K: _Decoder(formats=("JPEG2000",), feature="jpg_2000"),
    Kind.BMP: _Decoder(formats=("BMP",)),
    Kind.WEBP: _Decoder(formats=("WEBP",), feature="webp"),
    Kind.AVIF: _Decoder(formats=("AVIF",), feature="avif"),
    Kind.HEIC: _Decoder(formats=("HEIF",), package="pillow_heif"),
    # Pillow reads one of the five resolutions of a Photo CD: the base, 768 by 512.
    Kind.PCD: _Decoder(formats=("PCD",), whole=False),
}
"""The kinds that Pillow decodes, each with its own decoder only."""

MOVIES: Final = frozenset({Kind.MP4, Kind.MOV, Kind.AVI, Kind.ASF, Kind.MATROSKA})
"""The kinds from which PyAV takes the first picture as a thumbnail."""

POSTERS: Final = MOVIES | {Kind.PDF}
"""The kinds of which only the first picture or page is decoded, for a thumbnail. They are never verified."""


def support() -> dict[str, Supported]:
    """Return how much can be decoded on this machine, for each of the fourteen image extensions."""
    extensions = sorted(extension[1:] for extension in IMAGE_EXTENSIONS)
    return {extension: supported(KINDS_OF_EXTENSIONS[extension][0]) for extension in extensions}


@functools.cache
def supported(kind: Kind) -> Supported:
    """Return how much of a kind can be decoded on this machine. The first call may load Pillow."""
    decoder = PICTURES.get(kind)
    if decoder is None or (decoder.package is not None and find_spec(decoder.package) is None):
        return Supported.NO
    if decoder.feature is not None:
        from PIL import features

        if not features.check(decoder.feature):
            return Supported.NO
    whole = decoder.whole and (decoder.strict is None or find_spec(decoder.strict) is not None)
    return Supported.WHOLE if whole else Supported.PARTLY
