"""Find out whether a file ends too early, by the kind of its bytes. Pure: `Edges` has the bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from intouch_import.media.cuts.dicom import dicom_is_cut
from intouch_import.media.cuts.documents import ole_is_cut, pdf_is_cut, zip_is_cut
from intouch_import.media.cuts.edges import Edges
from intouch_import.media.cuts.movies import (
    asf_is_cut,
    avi_is_cut,
    iso_media_is_cut,
    matroska_is_cut,
    movie_is_cut,
    transport_stream_is_cut,
)
from intouch_import.media.cuts.pictures import (
    bmp_is_cut,
    gif_is_cut,
    j2k_is_cut,
    jp2_is_cut,
    jpeg_is_cut,
    pcd_is_cut,
    png_is_cut,
    webp_is_cut,
)
from intouch_import.media.cuts.tiff import tiff_is_cut
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Edges", "is_cut"]

_TESTS: Final[dict[Kind, Callable[[Edges], bool]]] = {
    Kind.JPEG: jpeg_is_cut,
    Kind.PNG: png_is_cut,
    Kind.GIF: gif_is_cut,
    Kind.TIFF: tiff_is_cut,
    Kind.JP2: jp2_is_cut,
    Kind.J2K: j2k_is_cut,
    Kind.PCD: pcd_is_cut,
    Kind.BMP: bmp_is_cut,
    Kind.WEBP: webp_is_cut,
    Kind.HEIC: iso_media_is_cut,
    Kind.AVIF: iso_media_is_cut,
    Kind.MP4: movie_is_cut,
    Kind.MOV: movie_is_cut,
    Kind.AVI: avi_is_cut,
    Kind.ASF: asf_is_cut,
    Kind.MATROSKA: matroska_is_cut,
    Kind.TRANSPORT_STREAM: transport_stream_is_cut,
    Kind.DICOM: dicom_is_cut,
    Kind.PDF: pdf_is_cut,
    Kind.ZIP: zip_is_cut,
    Kind.OLE: ole_is_cut,
}
_TEXTS: Final = frozenset({Kind.TEXT, Kind.HTML, Kind.XML, Kind.RTF})
_COMPRESSED: Final = frozenset({Kind.WEBP, Kind.HEIC, Kind.AVIF, Kind.MP4, Kind.MOV, Kind.ASF, Kind.MATROSKA})
_MANY_ZEROS: Final = 4096
_MOST_ZEROS: Final = 65_536  # a movie may end in silence
_SOME_ZEROS: Final = 512
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def is_cut(kind: Kind, known: Edges) -> bool:
    """Return whether a file of this kind ends too early, as far as its known bytes show it."""
    return (kind in _TESTS and _TESTS[kind](known)) or _is_unfilled(kind, known)


def _is_unfilled(kind: Kind, known: Edges) -> bool:
    """Return whether the end is zeros, as in a copy that got its full size before its bytes.

    Zeros are black in pictures that are not compressed, and padding in some other formats.
    """
    if kind in _TEXTS:
        text = known.tail.rstrip(b"\0")
        return len(known.tail) - len(text) >= _SOME_ZEROS and not _CONTROL.search(text[-_SOME_ZEROS:])
    zeros = min(_MOST_ZEROS, max(_MANY_ZEROS, known.size // 8))
    return kind in _COMPRESSED and known.tail.endswith(bytes(zeros))
