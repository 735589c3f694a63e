"""What the bytes of a file are: told by their first and last, by their headers, and by decoding them.

Importing this package loads neither Pillow nor a process: both come with the first file that is decoded.
"""

from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "content_reason"]
