"""`Examiner`: find out what a file is, whether it is whole, and when it was taken."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Final

from intouch_import.media.boxes import Reader, read_ranges
from intouch_import.media.containers import find_movie
from intouch_import.media.decoders import shared_pool
from intouch_import.media.exif import find_exif
from intouch_import.media.facts import MediaFacts
from intouch_import.media.kinds import PICTURES, Supported, sniff, supported
from intouch_import.media.messages import Decoded, Obstacle
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.media.times import capture_times
from intouch_import.model import Reason, Soundness, TakenFrom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo
    from typing import BinaryIO

    from intouch_import.media.clocks import CameraClock
    from intouch_import.media.decoders import DecodingPool
    from intouch_import.media.thumbnails import Thumbnails

__all__ = ["Examiner"]

# For a search of the end: the directories of a TIFF with a thousand pages, or all of a large JPEG.
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_READS: Final = 100_000
_DOUBTS: Final = {
    Obstacle.UNDECODABLE: Reason.CONTENT_DAMAGED,
    Obstacle.GAP: Reason.CONTENT_DAMAGED,
    Obstacle.TOO_MANY_PIXELS: Reason.CONTENT_UNCHECKED,
    Obstacle.TOO_MANY_FRAMES: Reason.CONTENT_UNCHECKED,
    Obstacle.TOO_SLOW: Reason.CONTENT_UNCHECKED,
    Obstacle.TOO_MUCH_MEMORY: Reason.CONTENT_UNCHECKED,
    Obstacle.CRASHED: Reason.CONTENT_UNCHECKED,
}
"""The obstacles that keep a file from automatic import. The others do not concern its content."""


class Examiner:
    """Examines the content of files.

    Only head, tail and headers are read in this process, by code that trusts nothing in them. Pictures are
    decoded in a separate process. Thread-safe.

    Args:
        zone: The practice's time zone, for local times without an offset.
        pool: The pool that decodes. Default: the shared pool, with the default limits.
        thumbnails: If given, the thumbnails that are made while decoding are kept there.
        clocks: Cameras whose clocks were wrong; of several that fit, the first one counts.
        tolerance: The largest difference between two capture times of a file that agree.
        now: Returns the time, aware.
    """

    def __init__(
        self,
        *,
        zone: tzinfo,
        pool: DecodingPool | None = None,
        thumbnails: Thumbnails | None = None,
        clocks: Sequence[CameraClock] = (),
        tolerance: timedelta = timedelta(minutes=5),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._zone = zone
        self._pool = pool or shared_pool()
        self._thumbnails = thumbnails
        self._clocks = tuple(clocks)
        self._tolerance = tolerance
        self._now = now

    def examine(
        self,
        content: bytes | BinaryIO,
        *,
        name: str,
        size_bytes: int | None = None,
        sha256: str | None = None,
        named_at: datetime | None = None,
        named_from: TakenFrom = TakenFrom.NAME,
        trust_content: bool = False,
        modified_at: datetime | None = None,
    ) -> MediaFacts:
        """Find out what a file is, whether it is whole, and when it was taken.

        Args:
            content: The bytes, or a binary, seekable stream of them. The stream is left open, at any
                position.
            name: Base name; only its extension is used.
            size_bytes: Size in bytes; by default the end of the stream.
            sha256: Digest of the content, if it is known: the key of the thumbnail.
            named_at: The capture time in the name, aware, if there is one.
            named_from: Where ``named_at`` was found: in the name, or by a migration in a folder or a list.
            trust_content: Prefer the capture times in the bytes to ``named_at``.
            modified_at: The location's own time for the file, aware, if known.

        Raises:
            OSError: The stream could not be read.
        """
        stream = BytesIO(content) if isinstance(content, bytes) else content
        if size_bytes is None:
            size_bytes = stream.seek(0, os.SEEK_END)
        head, tail = read_ranges(stream, (0, HEAD_BYTES), (max(0, size_bytes - TAIL_BYTES), TAIL_BYTES))
        kind = sniff(head)
        doubt = content_reason(
            name,
            head=head,
            tail=tail,
            size_bytes=size_bytes,
            kind=kind,
            reader=Reader(stream, size_bytes, bytes_left=_MOST_BYTES, reads_left=_MOST_READS),
        )
        reader = Reader(stream, size_bytes, head=head)
        exif = find_exif(kind, reader)
        movie = find_movie(kind, reader)
        if doubt is Reason.CONTENT_CUT_SHORT:
            decoded = Decoded(soundness=Soundness.DAMAGED)
        elif kind in PICTURES and supported(kind) is Supported.NO:
            decoded = Decoded(soundness=Soundness.UNVERIFIED, obstacle=Obstacle.NO_DECODER)
        else:
            thumbnails = self._thumbnails if sha256 is not None else None
            px = thumbnails.px if thumbnails is not None else None
            decoded = self._pool.decode(stream, kind=kind, size_bytes=size_bytes, thumbnail_px=px)
            if thumbnails is not None and sha256 is not None and decoded.thumbnail is not None:
                thumbnails.put(sha256, decoded.thumbnail)
        return MediaFacts(
            kind=kind,
            soundness=decoded.soundness,
            doubt=doubt or (_DOUBTS.get(decoded.obstacle) if decoded.obstacle is not None else None),
            obstacle=decoded.obstacle,
            width_px=decoded.width_px or (movie.width_px if movie is not None else None),
            height_px=decoded.height_px or (movie.height_px if movie is not None else None),
            orientation=decoded.orientation,
            frames=decoded.frames,
            duration_s=movie.duration_s if movie is not None else None,
            times=capture_times(
                named_at=named_at,
                named_from=named_from,
                content_first=trust_content,
                exif=exif,
                movie=movie,
                modified_at=modified_at,
                zone=self._zone,
                now=self._now(),
                tolerance=self._tolerance,
                clocks=self._clocks,
            ),
        )
