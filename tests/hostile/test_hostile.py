"""Hostile pictures: cut, with flipped bits, or exploding. No crash, no hang, no wrong "verified", bounded memory.

``INTOUCH_HOSTILE_RUNS`` is the number of truncations and of bit flips for each format; ``nox -s hostile``
sets it to 500.
"""

from __future__ import annotations

import collections
import io
import os
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

import pictures
from intouch_import.media import Examiner, MediaFacts
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.kinds import sniff
from intouch_import.media.messages import Limits, Obstacle
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = int(os.environ.get("INTOUCH_HOSTILE_RUNS", "8"))
LIMITS = Limits(time_s=20.0)
# A worker that has loaded Pillow and its codecs takes 40 to 80 MB; what it may use beyond that is its limit.
IDLE_BYTES = 200 * 1024**2


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodingPool]:
    made = DecodingPool(LIMITS, workers=1)
    yield made
    made.close()


@pytest.fixture
def examiner(pool: DecodingPool) -> Examiner:
    return Examiner(zone=ZoneInfo("UTC"), pool=pool)


@pytest.fixture(autouse=True)
def memory_is_bounded(pool: DecodingPool) -> Iterator[None]:
    """Check the peak memory of the worker after each test."""
    yield
    if sys.platform.startswith("linux"):
        for worker in pool._workers:
            status = Path(f"/proc/{worker._process.pid}/status").read_text()
            peak_kb = int(status.partition("VmHWM:")[2].split()[0])
            assert peak_kb * 1024 < IDLE_BYTES + LIMITS.memory_bytes


def examine(examiner: Examiner, content: bytes, name: str) -> MediaFacts:
    """Examine a content, within the time limit."""
    started_s = time.monotonic()
    facts = examiner.examine(content, name=name)
    assert time.monotonic() - started_s < 2 * LIMITS.time_s
    return facts


@pytest.mark.parametrize("label", pictures.whole())
def test_a_cut_picture_is_never_verified(examiner: Examiner, label: str) -> None:
    """A picture is never verified if more than padding is missing at its end."""
    extension, content = pictures.whole()[label]
    told = collections.Counter[str]()
    for cut in pictures.truncations(content, RUNS):
        facts = examine(examiner, cut, f"a.{extension}")
        told[facts.soundness.value] += 1
        if any(content[len(cut) :]):
            assert facts.soundness is not Soundness.VERIFIED, len(content) - len(cut)
            assert facts.doubt is not None
    print(f"{label}: {dict(told)}")


@pytest.mark.parametrize("label", pictures.whole())
def test_a_decoder_alone_finds_a_cut_picture(pool: DecodingPool, label: str) -> None:
    """The decoder alone does not verify a picture without its last tenth."""
    _extension, content = pictures.whole()[label]
    for cut in (content[: len(content) * 9 // 10], content[: len(content) // 2]):
        found = pool.decode(io.BytesIO(cut), kind=sniff(content), size_bytes=len(cut))
        assert found.soundness is not Soundness.VERIFIED


@pytest.mark.parametrize("label", pictures.whole())
def test_flipped_bits_do_no_harm(examiner: Examiner, label: str) -> None:
    """A flipped bit may or may not be detected, but never crashes the worker or gives contradictory results."""
    extension, content = pictures.whole()[label]
    told = collections.Counter[str]()
    for flipped in pictures.flips(content, RUNS):
        facts = examine(examiner, flipped, f"a.{extension}")
        told[f"{facts.soundness.value} {facts.obstacle or ''}"] += 1
        assert (facts.soundness is Soundness.VERIFIED) <= (facts.obstacle is None)
        assert facts.obstacle not in {Obstacle.CRASHED, Obstacle.NO_WORKER}
    print(f"{label}: {dict(told)}")


# --- made to explode


def patched(content: bytes, mark: bytes, skip: int, value: bytes) -> bytes:
    """Overwrite some bytes behind a mark."""
    at = content.index(mark) + skip
    return content[:at] + value + content[at + len(value) :]


def tiff_with(**changes: tuple[int, int, int]) -> bytes:
    """Write a TIFF of 16 grey pixels with some entries changed: type, count, value."""
    tags = {"width": (256, 3, 1, 4), "height": (257, 3, 1, 4), "bits": (258, 3, 1, 8), "how": (259, 3, 1, 1)}
    tags |= {"colour": (262, 3, 1, 1), "offsets": (273, 4, 1, 200), "samples": (277, 3, 1, 1)}
    tags |= {"rows": (278, 3, 1, 4), "sizes": (279, 4, 1, 16)}
    tags |= {name: (tags[name][0], *change) for name, change in changes.items()}
    table = b"".join(struct.pack("<HHLL", *tag) for tag in sorted(tags.values()))
    return (
        (b"II*\0" + struct.pack("<LH", 8, len(tags)) + table + bytes(4)).ljust(200, b"\0")
        + bytes(range(16))
        + bytes(99)
    )


def png_text_bomb() -> bytes:
    """Write a PNG with a text of 100 MB that compresses to half of one."""
    content = pictures.encoded(Image.new("L", (4, 4)), "PNG")
    body = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 1)
    chunk = struct.pack(">L", len(body)) + b"zTXt" + body + struct.pack(">L", zlib.crc32(b"zTXt" + body))
    return content[:33] + chunk + content[33:]


BOMBS = {
    "jpeg of 60,000 by 60,000": ("jpg", lambda: pictures.bomb_jpeg(60_000, 60_000)),
    "jpeg of 13,000 by 13,000": ("jpg", lambda: pictures.bomb_jpeg(13_000, 13_000)),
    "png of 60,000 by 60,000": ("png", lambda: pictures.bomb_png(60_000, 60_000)),
    "png of 13,000 by 13,000": ("png", lambda: pictures.bomb_png(13_000, 13_000)),
    "png of 2^31 by 1": ("png", lambda: pictures.bomb_png(2**31 - 1, 1)),
    "png with a text bomb": ("png", png_text_bomb),
    "gif of 65,535 by 65,535": ("gif", lambda: patched(pictures.whole()["gif"][1], b"GIF", 6, b"\xff" * 4)),
    "gif of 100,000 frames": ("gif", lambda: pictures.many_frames_gif(100_000)),
    "tiff whose directory follows itself": ("tif", pictures.circular_tiff),
    "tiff whose directories run in a circle": ("tif", lambda: pictures.circular_tiff(pages=5)),
    "tiff of 2^31 by 2^31": ("tif", lambda: tiff_with(width=(4, 1, 2**31), height=(4, 1, 2**31))),
    "tiff with four billion strips": ("tif", lambda: tiff_with(offsets=(4, 2**32 - 1, 200))),
    "tiff with strips everywhere": ("tif", lambda: tiff_with(offsets=(4, 1, 2**32 - 1))),
    "tiff with 65,535 samples": ("tif", lambda: tiff_with(samples=(3, 1, 65_535))),
    "tiff with 65,535 bits": ("tif", lambda: tiff_with(bits=(3, 1, 65_535))),
    "tiff with an unknown compression": ("tif", lambda: tiff_with(how=(3, 1, 65_000))),
    "tiff whose numbers are text": ("tif", lambda: tiff_with(width=(2, 4, 0x41414141))),
    "jp2 of 2^31 by 2^31": (
        "jp2",
        lambda: patched(pictures.whole()["jp2"][1], b"ihdr", 4, b"\x7f\xff\xff\xff" * 2),
    ),
    "j2k of 2^31 by 2^31": (
        "j2k",
        lambda: patched(pictures.whole()["j2k"][1], b"\xff\x51", 6, b"\x7f\xff\xff\xff" * 2),
    ),
    "webp of 16,384 by 16,384": (
        "webp",
        lambda: patched(pictures.whole()["animated webp"][1], b"VP8X", 12, b"\xff\x3f\0\xff\x3f\0"),
    ),
    "avif of 65,535 by 65,535": (
        "avif",
        lambda: patched(pictures.whole()["avif"][1], b"ispe", 8, b"\0\0\xff\xff" * 2),
    ),
    "heic of 65,535 by 65,535": (
        "heic",
        lambda: patched(pictures.whole()["heic"][1], b"ispe", 8, b"\0\0\xff\xff" * 2),
    ),
    "bmp of 2^31 by 2^31": (
        "bmp",
        lambda: patched(pictures.whole()["bmp"][1], b"BM", 18, b"\xff\xff\xff\x7f" * 2),
    ),
}
# Pillow steps over what makes no sense in these, and decodes the picture, which is there.
UNKNOWN = {"tiff with an unknown compression"}
HARMLESS = {"tiff whose directory follows itself", "tiff whose directories run in a circle"}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_not_verified(examiner: Examiner, what: str) -> None:
    """A bomb is refused by its header or stopped by a limit, and the next picture is decoded.

    What no decoder here knows may be whole.
    """
    extension, make = BOMBS[what]
    facts = examine(examiner, make(), f"a.{extension}")
    print(f"{what}: {facts.soundness} {facts.obstacle} {facts.doubt}")
    assert (facts.soundness is Soundness.VERIFIED) == (what in HARMLESS)
    assert (facts.doubt is None) == (what in HARMLESS | UNKNOWN)
    assert facts.obstacle is not Obstacle.CRASHED
    assert examine(examiner, pictures.whole()["png"][1], "b.png").soundness is Soundness.VERIFIED


def test_large_pictures_of_real_cameras_pass(examiner: Examiner) -> None:
    """A picture of 108 megapixels from a phone is within every limit."""
    content = pictures.encoded(Image.new("RGB", (12_000, 9000), "white"), "JPEG")
    facts = examine(examiner, content, "a.jpg")
    assert (facts.soundness, facts.width_px, facts.height_px) == (Soundness.VERIFIED, 12_000, 9000)


def test_an_exploding_animation_stops_at_the_limit() -> None:
    """Many large frames take no longer than the time limit, and no more memory than one of them."""
    content = pictures.many_frames_gif(999, screen_px=6000)
    pool = DecodingPool(Limits(time_s=1.0), workers=1)
    facts = Examiner(zone=ZoneInfo("UTC"), pool=pool).examine(content, name="a.gif")
    assert facts.obstacle is Obstacle.TOO_SLOW
    pool.close()
