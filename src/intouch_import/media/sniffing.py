"""Check by a file's first and last bytes whether it is what its extension says, and complete.

A capture name identifies the patient, but not the content. Before an automatic import, `content_reason` asks
two questions: is this what the extension says, and is all of it there? The head and the tail of the file
answer both without decoding, so that a video of 4 GB costs no more than a photo. Everything here is pure,
except that a reader may read the file.

The answer "not what the extension says" is certain. "Cut short" needs evidence: a part that the file declares
would be beyond its end, or the mark that must close it is missing. So no objection (None) does not mean that
a picture can be decoded. Head and tail can't show:

- damage in the middle, or missing blocks in the middle of an unfinished copy;
- a JPEG that is cut inside something appended *after* the picture (a Motion Photo's movie, Samsung's
  trailer): the picture itself is complete;
- a video without its sound and pictures in a file whose sizes were corrected afterwards;
- a text that is cut.

What declares its length in the middle of the file is checked only with a reader for all of it: the
directories of a TIFF, the elements of a DICOM file, the boxes after a long ``moov``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.extensions import extension_of
from intouch_import.media.cuts import Edges, is_cut
from intouch_import.media.families import is_foreign, is_medium
from intouch_import.media.kinds import KINDS_OF_EXTENSIONS, Kind, bytes_to_recognise, sniff
from intouch_import.model import Reason

if TYPE_CHECKING:
    from intouch_import.media.boxes import Reader

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "content_reason"]

HEAD_BYTES: Final = 65_536
"""Bytes to read from the start of a file: enough for the Exif segment of a JPEG."""

TAIL_BYTES: Final = 65_536
"""Bytes to read from the end of a file: enough for the index of a short video and for small trailers."""


def content_reason(
    name: str,
    /,
    *,
    head: bytes,
    tail: bytes,
    size_bytes: int,
    kind: Kind | None = None,
    reader: Reader | None = None,
) -> Reason | None:
    """Return why the content of a file must not be trusted without a person.

    Args:
        name: Base name; only its extension is used.
        head: The first `HEAD_BYTES` of the file, or the whole file if it is shorter.
        tail: The last `TAIL_BYTES` of the file, or the whole file if it is shorter.
        size_bytes: Size of the whole file in bytes.
        kind: The result of `sniff` for the head, if it is already known.
        reader: Reads the bytes between head and tail, if they can be read.

    Returns:
        `Reason.CONTENT_NOT_AS_NAMED`, `Reason.CONTENT_CUT_SHORT`, or None if there is no objection. The end
        is checked whatever the extension is.
    """
    extension = extension_of(name)[1:]
    # str.lower() would turn U+212A KELVIN SIGN into "k" and see a .j2k where `classify` sees none.
    extension = extension.lower() if extension.isascii() else ""
    expected = KINDS_OF_EXTENSIONS.get(extension)
    if kind is None:
        kind = sniff(head)
    known = Edges.of(head, tail, size_bytes, reader)
    if kind is Kind.UNKNOWN and not head.strip(b"\0") and (expected is not None or is_medium(extension)):
        return Reason.CONTENT_CUT_SHORT
    if expected is not None and kind not in expected:
        too_short = len(known.head) < bytes_to_recognise(expected)
        if kind is Kind.EMPTY or (kind is Kind.UNKNOWN and too_short):
            return Reason.CONTENT_CUT_SHORT if len(known.head) == size_bytes else None
        return Reason.CONTENT_NOT_AS_NAMED
    if expected is None and is_foreign(kind, extension):
        return Reason.CONTENT_NOT_AS_NAMED
    return Reason.CONTENT_CUT_SHORT if known.tail and is_cut(kind, known) else None
