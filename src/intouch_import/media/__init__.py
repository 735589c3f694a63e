"""What the bytes of a file are: told by their first and last, by their headers, and by decoding them.

Importing this package loads neither Pillow nor a process: both come with the first file that is decoded.
"""

from intouch_import.media.decoding import DecodingPool, Limits, Look
from intouch_import.media.examining import Examiner
from intouch_import.media.facts import MediaFacts, Obstacle
from intouch_import.media.formats import Support, Supported, support, supported
from intouch_import.media.kinds import Kind, sniff
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.media.thumbnails import Thumbnails, thumbnail_of
from intouch_import.media.times import CaptureTimes, FoundTime, ZoneFrom

__all__ = [
    "HEAD_BYTES",
    "TAIL_BYTES",
    "CaptureTimes",
    "DecodingPool",
    "Examiner",
    "FoundTime",
    "Kind",
    "Limits",
    "Look",
    "MediaFacts",
    "Obstacle",
    "Support",
    "Supported",
    "Thumbnails",
    "ZoneFrom",
    "content_reason",
    "sniff",
    "support",
    "supported",
    "thumbnail_of",
]
