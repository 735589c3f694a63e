"""`MediaFacts`: the facts about one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from intouch_import.media.times import CaptureTimes
from intouch_import.model import ContentCheck, Reason, Soundness

if TYPE_CHECKING:
    from datetime import datetime

    from intouch_import.media.kinds import Kind
    from intouch_import.media.messages import Obstacle
    from intouch_import.media.times import FoundTime

__all__ = ["MediaFacts"]


@attrs.frozen(kw_only=True)
class MediaFacts:
    """The facts about one file.

    Args:
        kind: The kind of its content, recognised by its first bytes.
        soundness: Whether the whole content was decoded.
        doubt: Why an automatic import must wait; None if there is no reason.
        obstacle: Why the content is not verified; None if it is, or if head and tail show that it is cut.
        width_px, height_px: Size of the first picture, before it is turned; None if not known.
        orientation: How to turn the picture, 1 to 8 as in Exif; None if the file does not say, or was not
            decoded.
        frames: Count of decoded pictures; None if not known.
        duration_s: Length of a movie, seconds; None if not known.
        times: The capture times.
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
        """The chosen capture time."""
        return self.times.chosen

    @property
    def taken_at(self) -> datetime | None:
        """The chosen capture time, aware."""
        return self.times.chosen.at if self.times.chosen is not None else None

    @property
    def check(self) -> ContentCheck:
        """The facts that are shown in an outcome and a row."""
        detail = self.obstacle.sentence(self.kind) if self.obstacle is not None else None
        return ContentCheck(kind=self.kind.value, soundness=self.soundness, doubt=self.doubt, detail=detail)
