"""`MediaFacts`: everything that was found out about one file."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.times import CaptureTimes
from intouch_import.model import ContentCheck, Reason, Soundness

if TYPE_CHECKING:
    from datetime import datetime

    from intouch_import.media.kinds import Kind
    from intouch_import.media.times import FoundTime

__all__ = ["MediaFacts", "Obstacle"]


class Obstacle(enum.StrEnum):
    """What kept a content from being verified."""

    NO_PICTURE = "no_picture"
    """A document, or a kind of media that no decoder here opens: a movie, a FlashPix image."""
    PARTLY = "partly"
    """The decoder opens a part of it: of a Photo CD, the base resolution."""
    NO_DECODER = "no_decoder"
    """The decoder for it is not installed: an extra, or a Pillow that was built without it."""
    NO_WORKER = "no_worker"
    """No decoding process could be started on this machine."""
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_SLOW = "too_slow"
    TOO_MUCH_MEMORY = "too_much_memory"
    CRASHED = "crashed"
    """The decoder took its process down."""
    UNDECODABLE = "undecodable"
    """The decoder says that the content is wrong."""

    @property
    def is_over_limit(self) -> bool:
        """Whether the content itself is why it was not checked to the end."""
        return self in _OVER_LIMIT


_OVER_LIMIT: Final = frozenset(
    {
        Obstacle.TOO_MANY_PIXELS,
        Obstacle.TOO_MANY_FRAMES,
        Obstacle.TOO_SLOW,
        Obstacle.TOO_MUCH_MEMORY,
        Obstacle.CRASHED,
    }
)


@attrs.frozen(kw_only=True)
class MediaFacts:
    """What one file is.

    Args:
        kind: What the bytes are, by their magic numbers.
        soundness: Whether they were decoded whole.
        doubt: Why an automatic import must wait; None if nothing speaks against it.
        obstacle: Why it is not verified; None if it is, or if its ends alone show that it is not whole.
        width_px, height_px: Size of the first picture, before it is turned; None if not known.
        orientation: How it is to be turned, as Exif counts, 1 to 8; None if not said or not decoded.
        frames: How many pictures are in it, as far as they were decoded; None if not known.
        duration_s: Length of a movie, seconds; None if not known.
        times: When it was taken, and who says so.
    """

    kind: Kind
    soundness: Soundness
    doubt: Reason | None = None
    obstacle: Obstacle | None = None
    width_px: int | None = None
    height_px: int | None = None
    orientation: int | None = None
    frames: int | None = None
    duration_s: float | None = None
    times: CaptureTimes = attrs.field(factory=CaptureTimes)

    @property
    def taken(self) -> FoundTime | None:
        """The capture time that counts."""
        return self.times.chosen

    @property
    def taken_at(self) -> datetime | None:
        """The same, as an aware time."""
        return self.times.chosen.at if self.times.chosen is not None else None

    @property
    def check(self) -> ContentCheck:
        """The part of it that an outcome and a row carry."""
        return ContentCheck(kind=self.kind.value, soundness=self.soundness, doubt=self.doubt)
