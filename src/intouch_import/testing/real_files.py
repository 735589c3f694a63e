"""Small real files: a photo, a drawing, a document and a video, of odd and of even length.

Records that convert pictures, pad values to an even length, or read headers, change or refuse such files.
They do not change the random bytes of other checks.
"""

from __future__ import annotations

import base64
import secrets
import struct
import zlib
from typing import TYPE_CHECKING, Final

from intouch_import.model import Destination

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["real_files"]

# Compressed, base64: 8 x 8 grey pixels; one frame of MPEG-4, 16 x 16 pixels.
_JPEG: Final = (
    "eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZlBWkhEXERQWlxMXE5GWkHDSVtDVVUj0MrWwCkhNDUlPjQ2OqtiZmNW4YTi6NjW"
    "rW0T5i1evXZ1esOek7uWHZ+5YvWS/wcYuDkYgJCRUZDh/xEGEZDJKIAFJCqALsrw/xZIDwODPYPy/5sADO0oyg=="
)
_MP4: Final = (
    "eNp9U71OwzAQPrf8SQWpiAIdWilIsNFCI4SYEGwdkJhgAAbS2lGjxqSK3UgwoA4MMPAesCEQPEEnVhbEE/AECIkBzk5C0/Jz"
    "8vnOvu/ufHcJABRsedxyhMcBUqAksslbKxUAGLN9xlAWObUkALmD7CiKh5nh/Ozbc+Y98wGQrnDPCxDk8qBBoY/Sr5oJqNUj"
    "0o8aPG/Av5TCtS99q4n6gWzqnOmf0VTu//P8mjcbMcA8o1KgLDBXyJ5HFFf7kidOHQsVg9PB2jc073T1odSgrh9bAoeyJHIX"
    "z17VOqIuUxhyyp0jG5VcwHXQ5DPnaWgrUJ/ZiTLG275rhDpZF7Lmov4ipKAJzCNONfijFaroLFRRVv9EDFL+8xP3Qyao0A3v"
    "dDrb6DaEctOYDDFXahvGmyWMeKNed38xFQYnBnQvz2ECzlK5Oh5vt6ygvmqWzbVyZdkcQR+SUl2oST9u/1WcWUg9mvidJBpe"
    "ASuu999/cw5tJ5FtundX9xL4ReRam0o10j3OtFQ0lxwfjty3Wi032YqSE34jC9fSUwGL+L9YcROxLhvrqpiqri8WtXFG"
)


def real_files() -> Iterator[tuple[str, Destination, bytes]]:
    """Yield the name, the destination and the bytes of files that were never stored before."""
    token = secrets.token_hex(16).encode()
    for length in ("odd", "even"):
        for ending, destination, whole in (
            ("jpg", Destination.IMAGES, _jpeg),
            ("png", Destination.IMAGES, _png),
            ("pdf", Destination.NOTES, _pdf),
            ("mp4", Destination.NOTES, _mp4),
        ):
            data = whole(token)
            if len(data) % 2 == (length == "even"):
                data = whole(token + b"-")
            yield f"{length}.{ending}", destination, data


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def _jpeg(note: bytes) -> bytes:
    data = _unpacked(_JPEG)
    return data[:2] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + data[2:]


def _png(note: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(range(0, 256, 32))) * 8)
    chunks = ((b"IHDR", header), (b"tEXt", b"Comment\0" + note), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def _pdf(note: bytes) -> bytes:
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>",
    )
    data, table = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3 " + note + b"\n", b"0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(data)
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    tail = b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(data)
    return data + b"xref\n0 4\n" + table + tail


def _mp4(note: bytes) -> bytes:
    # Behind the index, so that its offsets stay right.
    return _unpacked(_MP4) + struct.pack(">I4s", 8 + len(note), b"free") + note
