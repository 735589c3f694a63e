"""Examine the content of files: by the first and last bytes, by the headers, and by decoding.

Importing this package neither loads Pillow nor starts a process. Both happen when the first file is decoded.
"""

from intouch_import.media.examiner import Examiner
from intouch_import.media.facts import MediaFacts

__all__ = ["Examiner", "MediaFacts"]
