"""Kinds of files: recognised by their magic numbers, and which of them can be decoded on this machine."""

from __future__ import annotations

import codecs
import enum
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "IMAGE_EXTENSIONS",
    "MOVIES",
    "PILLOW",
    "Kind",
    "Support",
    "Supported",
    "bytes_to_tell",
    "sniff",
    "support",
    "supported",
]


class Kind(enum.StrEnum):
    """What bytes are, by their magic numbers."""

    JPEG = "jpeg"
    PNG = "png"
    GIF = "gif"
    TIFF = "tiff"
    JP2 = "jp2"
    """JPEG 2000 in boxes (``.jp2``, ``.jpx``)."""
    J2K = "j2k"
    """A bare JPEG 2000 codestream."""
    OLE = "ole"
    """A compound file: FlashPix, and the Office documents of before 2007."""
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
    PDF = "pdf"
    ZIP = "zip"
    """A ZIP archive, and what is one inside: Office documents since 2007."""
    EXECUTABLE = "executable"
    """A program of Windows, Linux or macOS, or a script with a ``#!`` line."""
    HTML = "html"
    XML = "xml"
    RTF = "rtf"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


def sniff(head: bytes, /) -> Kind:
    """Tell what bytes are from the start of them.

    Args:
        head: The first bytes, best `HEAD_BYTES` of them; 2,055 are needed to know a Photo CD.

    Returns:
        The kind; `Kind.UNKNOWN` when no signature fits, `Kind.EMPTY` for no bytes.
    """
    if not head:
        return Kind.EMPTY
    if head.startswith(b"RIFF"):
        return _RIFF_FORMS.get(head[8:12], Kind.UNKNOWN)
    if head.startswith(b"ftyp", 4):
        return _kind_of_brands(head)
    known = next((kind for at, magic, kind in _MAGIC if head.startswith(magic, at)), None)
    return known or _kind_of_text(head)


def bytes_to_tell(kinds: frozenset[Kind]) -> int:
    """How many bytes of the start it takes to tell these kinds from others."""
    return _PCD_OFFSET + len(_PCD_MARK) if Kind.PCD in kinds else _LONGEST_OTHER_MAGIC


# --- signatures ---------------------------------------------------------------------------------

_PCD_OFFSET: Final = 2048
_PCD_MARK: Final = b"PCD_IPI"
_LONGEST_OTHER_MAGIC: Final = 12

_MAGIC: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"\xff\xd8\xff", Kind.JPEG),
    (0, b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (0, b"GIF87a", Kind.GIF),
    (0, b"GIF89a", Kind.GIF),
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
    (0, b"{\\rtf", Kind.RTF),
    # QuickTime movies of before 2001 have no "ftyp" box.
    *((4, box, Kind.MOV) for box in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),
    (128, b"DICM", Kind.DICOM),
    (_PCD_OFFSET, _PCD_MARK, Kind.PCD),
)

_RIFF_FORMS: Final = {b"AVI ": Kind.AVI, b"WEBP": Kind.WEBP}
_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})


def _kind_of_brands(head: bytes) -> Kind:
    """Tell still images, QuickTime and MP4 apart by the brands in the ``ftyp`` box that opens them all."""
    major = head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head), 256)
    brands = {major, *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if major in _AVIF_BRANDS or (major in _HEIC_BRANDS and brands & _AVIF_BRANDS):
        return Kind.AVIF
    if major in _HEIC_BRANDS:
        return Kind.HEIC
    if major == b"qt  ":
        return Kind.MOV
    # Canon's raw photos are ISO media files too, and no video.
    return Kind.UNKNOWN if major == b"crx " else Kind.MP4


_TEXT_SEEN: Final = 1024
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_HTML: Final = re.compile(
    r"(?:<!--.*?-->\s*)*"
    r"<(?:!doctype\s+html|(?:html|head|body|script|iframe|title|meta|style|link|table|div|h1|p|br|a)[\s/>])",
    re.IGNORECASE | re.DOTALL,
)
_XML: Final = re.compile(r"<\?xml\s|<!doctype\s|<svg[\s>]", re.IGNORECASE)
_XHTML: Final = re.compile(r"<html[\s>]", re.IGNORECASE)


def _kind_of_text(head: bytes) -> Kind:
    """Tell pages, XML, PDF with something before it, plain text and unknown bytes apart."""
    start = head[:_TEXT_SEEN]
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    try:
        # Not bytes.decode(): it objects to a last character that the limit has cut in half.
        text = codecs.getincrementaldecoder(encoding)().decode(start)
        plain = not _CONTROL.search(text)
    except UnicodeDecodeError:
        text, plain = start.decode("latin-1"), False
    text = text.lstrip("\ufeff \t\r\n\f")
    if _HTML.match(text):
        return Kind.HTML
    if _XML.match(text):
        return Kind.HTML if _XHTML.search(text) else Kind.XML
    # Readers look for the mark in the first 1,024 bytes (ISO 32000-1, annex H, note 13).
    if b"%PDF-" in start:
        return Kind.PDF
    return Kind.TEXT if plain and text else Kind.UNKNOWN


# --- what can be decoded ------------------------------------------------------------------------


class Supported(enum.StrEnum):
    """How far a format can be checked."""

    WHOLE = "whole"
    """Every picture in it is decoded to its last line."""
    PARTLY = "partly"
    """A part of it is decoded, which proves nothing of the rest: it stays unverified."""
    NO = "no"
    """Nothing of it is decoded: it stays unverified."""


@attrs.frozen(kw_only=True)
class _Way:
    """How a kind is opened: Pillow's formats for it, the feature Pillow must have, an extra."""

    formats: tuple[str, ...]
    feature: str | None = None
    module: str | None = None
    whole: bool = True


PILLOW: Final[Mapping[Kind, _Way]] = {
    Kind.JPEG: _Way(formats=("JPEG",), feature="jpg"),
    Kind.PNG: _Way(formats=("PNG",), feature="zlib"),
    Kind.GIF: _Way(formats=("GIF",)),
    Kind.TIFF: _Way(formats=("TIFF",), feature="libtiff"),
    Kind.JP2: _Way(formats=("JPEG2000",), feature="jpg_2000"),
    Kind.J2K: _Way(formats=("JPEG2000",), feature="jpg_2000"),
    Kind.BMP: _Way(formats=("BMP",)),
    Kind.WEBP: _Way(formats=("WEBP",), feature="webp"),
    Kind.AVIF: _Way(formats=("AVIF",), feature="avif"),
    Kind.HEIC: _Way(formats=("HEIF",), module="pillow_heif"),
    # Of the five resolutions of a Photo CD, Pillow reads the base: 768 by 512.
    Kind.PCD: _Way(formats=("PCD",), whole=False),
}
"""The kinds that are handed to Pillow, and by which of its formats alone."""

MOVIES: Final = frozenset({Kind.MP4, Kind.MOV, Kind.AVI, Kind.ASF, Kind.MATROSKA})
"""The kinds that PyAV takes a poster frame from. A movie is never verified."""

IMAGE_EXTENSIONS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("tif", "tiff"), Kind.TIFF),
    "gif": Kind.GIF,
    **dict.fromkeys(("jpeg", "jpg", "jif", "jfif"), Kind.JPEG),
    **dict.fromkeys(("jp2", "jpx"), Kind.JP2),
    **dict.fromkeys(("j2k", "j2c"), Kind.J2K),
    "fpx": Kind.OLE,
    "pcd": Kind.PCD,
    "png": Kind.PNG,
}
"""The fourteen extensions of the Images tab, and what stands behind each."""


@attrs.frozen(kw_only=True)
class Support:
    """What can be done with files of one extension, on this machine.

    Args:
        extension: Without its dot.
        kind: What such a file is.
        supported: How far it can be checked.
    """

    extension: str
    kind: Kind
    supported: Supported


def support() -> list[Support]:
    """What the installed Pillow can do with each of the fourteen image extensions."""
    return [
        Support(extension=extension, kind=kind, supported=supported(kind))
        for extension, kind in IMAGE_EXTENSIONS.items()
    ]


def supported(kind: Kind) -> Supported:
    """How far a kind can be checked on this machine. The first call loads Pillow, which decodes nothing."""
    way = PILLOW.get(kind)
    if way is None or (way.module is not None and find_spec(way.module) is None):
        return Supported.NO
    if way.feature is not None:
        from PIL import features

        if not features.check(way.feature):
            return Supported.NO
    return Supported.WHOLE if way.whole else Supported.PARTLY
