"""What the bytes of a file are: told by their first and last, by their headers, and by decoding them.

Importing this package loads neither Pillow nor a process: both come with the first file that is decoded.
"""

from intouch_import.media.examiner import Examiner
from intouch_import.media.facts import MediaFacts

__all__ = ["Examiner", "MediaFacts"]
