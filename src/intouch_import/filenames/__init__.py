"""What the capture app writes into a file name: patient, provider, date and time, sequence.

Pure: no disk, no clock, no log. The structure of the names is a *pattern*. `CaptureNaming` checks it once:
every name that it parses it can also write, and it can parse each name in one way only. Otherwise a photo
could end up in the wrong patient's record.
"""

from intouch_import.filenames.naming import DEFAULT_PATTERN, CaptureNaming
from intouch_import.filenames.parts import MAX_NAME_LENGTH

__all__ = ["DEFAULT_PATTERN", "MAX_NAME_LENGTH", "CaptureNaming"]
