"""What the capture app writes into a file name: patient, provider, date and time, sequence.

Pure: no disk, no clock, no log. The structure is a *pattern*, checked once when a `CaptureNaming` is
made: whatever a pattern reads it can write back, and it can read a name in one way only. Otherwise
a photo could end in the wrong patient's record.
"""

from intouch_import.filenames.naming import DEFAULT_PATTERN, CaptureNaming
from intouch_import.filenames.parts import MAX_NAME_LENGTH

__all__ = ["DEFAULT_PATTERN", "MAX_NAME_LENGTH", "CaptureNaming"]
