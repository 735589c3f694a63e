"""Is a file what its extension says, told by its first and last few thousand bytes, without decoding them.

A capture name says whose a file is; it can't say that the file is the photo it claims to be. Before a
file is imported without a person, `content_reason` asks two questions: is this what the extension
says, and is it all there? Both are answered from the head and the tail of the file, so that a video of
4 GB costs no more than a photo. Everything here is pure: bytes in, an answer out.

The two answers are not equally strong. "Not what the extension says" is certain. "Cut short" is said
only on evidence: a part that the file itself declares lies beyond its end, or the mark that must close
it is missing. No objection (`None`) therefore does not mean that a picture can be decoded. What head
and tail can't show:

- damage in the middle, or blocks of a copy that have not been written yet while the last ones have;
- a JPEG cut inside something appended *after* the picture (a Motion Photo's movie, Samsung's trailer):
  the picture itself is whole;
- a JPEG cut inside headers longer than head and tail together, right after an embedded preview;
- a video cut inside an index (``moov``) that is longer than the tail, or sound and pictures missing from
  a file whose sizes were patched afterwards;
- a TIFF of several pages cut in a page whose directory is out of sight;
- a FlashPix image that is cut.
"""

from __future__ import annotations

from typing import Final

from intouch_import.extensions import extension_of
from intouch_import.media.endings import Seen, is_cut
from intouch_import.media.kinds import Kind, bytes_to_tell, sniff
from intouch_import.model import Reason

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "content_reason"]

HEAD_BYTES: Final = 65_536
"""How many bytes to read from the start of a file: enough for the Exif segment of a JPEG."""

TAIL_BYTES: Final = 65_536
"""How many bytes to read from the end: enough for the index of a short video and for small trailers."""

_ISO_VIDEO: Final = frozenset({Kind.MP4, Kind.MOV})

# Phones name either kind of ISO video .mov or .mp4, and every player takes both.
_EXPECTED: Final[dict[str, frozenset[Kind]]] = {
    **dict.fromkeys(("jpg", "jpeg", "jif", "jfif"), frozenset({Kind.JPEG})),
    **dict.fromkeys(("tif", "tiff"), frozenset({Kind.TIFF})),
    **dict.fromkeys(("jp2", "jpx"), frozenset({Kind.JP2})),
    **dict.fromkeys(("j2k", "j2c"), frozenset({Kind.J2K, Kind.JP2})),
    "gif": frozenset({Kind.GIF}),
    "png": frozenset({Kind.PNG}),
    "fpx": frozenset({Kind.OLE}),
    "pcd": frozenset({Kind.PCD}),
    "heic": frozenset({Kind.HEIC}),
    **dict.fromkeys(("heif", "hif"), frozenset({Kind.HEIC, Kind.AVIF})),
    "avif": frozenset({Kind.AVIF}),
    "webp": frozenset({Kind.WEBP}),
    **dict.fromkeys(("mp4", "m4v", "mov", "qt", "3gp", "3g2"), _ISO_VIDEO),
    "avi": frozenset({Kind.AVI}),
    **dict.fromkeys(("wmv", "asf"), frozenset({Kind.ASF})),
    **dict.fromkeys(("mkv", "webm"), frozenset({Kind.MATROSKA})),
    "pdf": frozenset({Kind.PDF}),
}

_OTHER_MEDIA: Final = frozenset(
    {"bmp", "dib", "dcm", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "psd", "jxl"}
    | {"mpg", "mpeg", "mpe", "m2v", "mts", "m2ts", "vob", "flv", "ogv", "mxf"}
)


def content_reason(name: str, /, *, head: bytes, tail: bytes, size_bytes: int) -> Reason | None:
    """Say why the content of a file does not deserve the trust its name asks for.

    Args:
        name: Base name; only its extension is looked at.
        head: The first `HEAD_BYTES` of the file, or all of it if it is shorter.
        tail: The last `TAIL_BYTES` of the file, or all of it if it is shorter.
        size_bytes: Size of the whole file in bytes.

    Returns:
        `Reason.CONTENT_NOT_AS_NAMED`, `Reason.CONTENT_CUT_SHORT`, or None when there is no objection.
        Of an extension that is not known here nothing is claimed, except that a program or a web page
        is no image or video.
    """
    extension = extension_of(name)[1:]
    # str.lower() would turn U+212A KELVIN SIGN into "k" and see a .j2k where `classify` sees none.
    extension = extension.lower() if extension.isascii() else ""
    expected = _EXPECTED.get(extension)
    kind = sniff(head)
    if expected is None:
        foreign = extension in _OTHER_MEDIA and kind in {Kind.EXECUTABLE, Kind.HTML}
        return Reason.CONTENT_NOT_AS_NAMED if foreign else None
    seen = Seen.of(head, tail, size_bytes)
    if kind in expected:
        return Reason.CONTENT_CUT_SHORT if seen.tail and is_cut(kind, seen) else None
    too_short_to_tell = len(seen.head) < bytes_to_tell(expected)
    if kind is Kind.EMPTY or (kind is Kind.UNKNOWN and too_short_to_tell):
        return Reason.CONTENT_CUT_SHORT if len(seen.head) == size_bytes else None
    return Reason.CONTENT_NOT_AS_NAMED
