"""`Examiner`: one look at one file, as far as it takes to know what it is."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING

from intouch_import.media import facts
from intouch_import.media.boxes import Reader, read_fully, read_movie
from intouch_import.media.decoders import shared_pool
from intouch_import.media.exif import find_exif
from intouch_import.media.kinds import MOVIES, PILLOW, Kind, Supported, sniff, supported
from intouch_import.media.messages import Look, Obstacle
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.model import Reason, Soundness

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from typing import BinaryIO

    from intouch_import.media.boxes import Movie
    from intouch_import.media.decoders import DecodingPool
    from intouch_import.media.exif import Exif
    from intouch_import.media.thumbnails import Thumbnails

__all__ = ["Examiner"]

_ISO_MOVIES = frozenset({Kind.MP4, Kind.MOV})


class Examiner:
    """Finds out what files are.

    In this process only heads, tails and headers are read, by code of our own that trusts nothing in them;
    pictures are decoded in a process of their own. May be used from several threads.

    Args:
        zone: The practice's time zone, for wall times without an offset.
        pool: What decodes; by default the pool that everybody shares, with the usual limits.
        thumbnails: If given, the thumbnail that decoding makes on the way is kept there.
        tolerance: How far two capture times of one file may lie apart and still agree.
        now: Gives the time, aware.
    """

    def __init__(
        self,
        *,
        zone: tzinfo,
        pool: DecodingPool | None = None,
        thumbnails: Thumbnails | None = None,
        tolerance: timedelta = timedelta(minutes=5),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._zone = zone
        self._pool = pool or shared_pool()
        self._thumbnails = thumbnails
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
        modified_at: datetime | None = None,
    ) -> facts.MediaFacts:
        """Find out what a file is, whether it is whole, and when it was taken.

        Args:
            content: The bytes, or a stream of them: binary, seekable; it is left open, anywhere.
            name: Base name; only its extension is looked at.
            size_bytes: Size in bytes; if not given, the stream is asked for its end.
            sha256: Digest of the content, if it is known: the key of the thumbnail.
            named_at: The capture time that the name says, aware, if it says one.
            modified_at: The location's own time for the file, aware, if known.

        Raises:
            OSError: The stream could not be read.
        """
        stream = BytesIO(content) if isinstance(content, bytes) else content
        if size_bytes is None:
            size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        head = read_fully(stream, HEAD_BYTES)
        stream.seek(max(0, size_bytes - TAIL_BYTES))
        tail = read_fully(stream, TAIL_BYTES)
        kind = sniff(head)
        doubt = content_reason(name, head=head, tail=tail, size_bytes=size_bytes)
        reader = Reader(stream, size_bytes, head=head)
        exif = find_exif(kind, reader)
        movie = read_movie(reader) if kind in _ISO_MOVIES else None
        if doubt is Reason.CONTENT_CUT_SHORT:
            look = Look(soundness=Soundness.DAMAGED)
        else:
            look = self._look(stream, kind, size_bytes, sha256)
        return facts.MediaFacts(
            kind=kind,
            soundness=look.soundness,
            doubt=doubt or _doubt(look),
            obstacle=look.obstacle,
            width_px=look.width_px or (movie.width_px if movie is not None else None),
            height_px=look.height_px or (movie.height_px if movie is not None else None),
            orientation=look.orientation,
            frames=look.frames,
            duration_s=movie.duration_s if movie is not None else None,
            times=self._times(named_at, exif, movie, modified_at),
        )

    def _look(self, stream: BinaryIO, kind: Kind, size_bytes: int, sha256: str | None) -> Look:
        """Decode what can be decoded; a movie only for its thumbnail."""
        thumbnails = self._thumbnails if sha256 is not None else None
        if kind not in PILLOW and not (kind in MOVIES and thumbnails is not None):
            return Look(soundness=Soundness.UNVERIFIED, obstacle=Obstacle.NO_PICTURE)
        if kind in PILLOW and supported(kind) is Supported.NO:
            return Look(soundness=Soundness.UNVERIFIED, obstacle=Obstacle.NO_DECODER)
        px = thumbnails.px if thumbnails is not None else None
        look = self._pool.look(stream, kind=kind, size_bytes=size_bytes, thumbnail_px=px)
        if thumbnails is not None and sha256 is not None and look.thumbnail is not None:
            thumbnails.put(sha256, look.thumbnail)
        return look

    def _times(
        self,
        named_at: datetime | None,
        exif: Exif | None,
        movie: Movie | None,
        modified_at: datetime | None,
    ) -> facts.CaptureTimes:
        found = [
            facts.from_name(named_at) if named_at is not None else None,
            facts.from_exif(exif, self._zone) if exif is not None else None,
            *(facts.from_movie(movie, self._zone) if movie is not None else ()),
            facts.from_source(modified_at) if modified_at is not None else None,
        ]
        return facts.choose(
            [time for time in found if time is not None],
            zone=self._zone,
            now=self._now(),
            tolerance=self._tolerance,
            duration=timedelta(seconds=min((movie and movie.duration_s) or 0.0, 86_400.0)),
        )


def _doubt(look: Look) -> Reason | None:
    """Why what was found on decoding keeps a file from being imported without a person."""
    if look.soundness is Soundness.DAMAGED:
        return Reason.CONTENT_DAMAGED
    over = look.obstacle is not None and look.obstacle.is_over_limit
    return Reason.CONTENT_UNCHECKED if over else None
