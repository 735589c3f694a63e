"""Movies by hand: the boxes of an MP4 or QuickTime file, with whatever index a test wants."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pictures

TAKEN = datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)  # 14:25:01 in Sydney
EPOCH_1904 = datetime(1904, 1, 1, tzinfo=UTC)


def box(kind: bytes, content: bytes) -> bytes:
    """Make an ISO media box."""
    return struct.pack(">L4s", 8 + len(content), kind) + content


def movie_header(*, created_s: int, duration_s: float | None, version: int = 0) -> bytes:
    """Make the ``mvhd`` box; a thousand units a second."""
    numbers = "QQLQ" if version else "LLLL"
    unknown = 2**64 - 1 if version else 2**32 - 1
    duration = unknown if duration_s is None else int(duration_s * 1000)
    times = struct.pack(">" + numbers, created_s, created_s, 1000, duration)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + bytes(80))


def quicktime(date: str, *, number: int = 1, iso: bool = False) -> bytes:
    """Make Apple's metadata box with a creation date."""
    name = b"com.apple.quicktime.creationdate"
    keys = box(
        b"keys", bytes(4) + struct.pack(">L", 2) + box(b"mdta", b"com.apple.make") + box(b"mdta", name)
    )
    value = box(b"data", struct.pack(">LL", 1, 0) + date.encode())
    items = box(b"ilst", box(struct.pack(">L", 1), b"") + box(struct.pack(">L", number + 1), value))
    return box(b"meta", (bytes(4) if iso else b"") + box(b"hdlr", bytes(24)) + keys + items)


def movie_with(
    *,
    created: datetime | None = None,
    duration_s: float | None = 1.0,
    size: tuple[int, int] | None = None,
    offset_date: str | None = None,
    version: int = 0,
    iso_meta: bool = False,
    payload_bytes: int = 1000,
) -> bytes:
    """Make a movie whose index comes last, as recorders write it."""
    created_s = int((created - EPOCH_1904).total_seconds()) if created is not None else 0
    index = movie_header(created_s=created_s, duration_s=duration_s, version=version)
    for width, height in [(0, 0), size] if size is not None else []:
        track = bytes(76) + struct.pack(">LL", width << 16, height << 16)
        index += box(b"trak", box(b"tkhd", track))
    if offset_date is not None:
        index += quicktime(offset_date, iso=iso_meta)
    data = box(b"mdat", pictures.random_bytes(payload_bytes))
    return box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + data + box(b"moov", index)
