"""No name and no content stops the other threads of the host.

Python lets another thread run between two steps of Python code, but not inside a call into C: a regular
expression that backtracks, or a sort of combining marks. So the longest time between two calls is measured, in
processor time of the thread, which does not depend on what else the machine does.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dated
import pictures
from intouch_import.errors import CaptureNameError
from intouch_import.filenames import CaptureNaming
from intouch_import.media.boxes import Reader
from intouch_import.media.containers import find_movie
from intouch_import.media.exif import find_exif
from intouch_import.media.kinds import KINDS_OF_EXTENSIONS, sniff
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.media.times import from_exif, from_movie
from intouch_import.migration.names import agrees, is_name
from intouch_import.migration.patterns import PathPattern
from intouch_import.migration.readings import TooManyReadings
from intouch_import.model import normal_form, printable
from intouch_import.verdicts import is_also_a_date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_S = 0.05
LONG = 100_000
ZONE = ZoneInfo("Australia/Sydney")
NAMING = CaptureNaming()
PATHS = [PathPattern("{patient} - {*}"), PathPattern("{*}{patient}{*}/{date:%Y-%m-%d}{*}")]
BLOCKS = (
    *(
        "<!---->",
        "<!-- x --> ",
        "<!--",
        "-->",
        "<",
        "<a",
        "<div>",
        "</div>",
        "<p ",
        "<!doctype ",
        "<?xml ",
        "<svg",
    ),
    *(" ", "\t", "\r\n", "\n", "\0", "\ufeff", "%PDF-", "%%EOF", "/Linearized ", "/L ", "0", "0123456789"),
    *(
        "a",
        "aA",
        "_",
        "-",
        ".",
        "/",
        "\\",
        "{",
        "}",
        "[",
        "(",
        ",",
        "Marsh, Ada ",
        "10042_DRJ_20260131_142501",
    ),
    *(
        "2026-01-31",
        "20260131",
        "x:xmpmeta ",
        '<rdf:li xml:lang="',
        "photoshop:DateCreated=",
        "é",
        "\u0315\u0316",
    ),
    *("PK\x01\x02", "word/document.xml", "moov", "ftypheic", "\u202e", "\ud83d\ude00"),
)


def _longest_stop(act: Callable[[], Any]) -> float:
    """Return the longest processor time of one step, seconds; the shortest of three tries if it is long."""
    start_s = time.thread_time()
    act()
    longest = time.thread_time() - start_s  # of all steps together
    tries = 3
    while longest > MOST_S and tries:
        longest = _longest_step(act)
        tries -= 1
    return longest


def _longest_step(act: Callable[[], Any]) -> float:
    last = longest = 0.0

    def step(*_event: object) -> None:
        nonlocal last, longest
        longest = max(longest, time.thread_time() - last)
        last = time.thread_time()

    before = sys.getprofile()
    last = time.thread_time()
    sys.setprofile(step)
    try:
        act()
    finally:
        sys.setprofile(before)
    return longest


def _texts() -> Iterator[str]:
    chance = random.Random(7)
    for block in BLOCKS:
        for count in (24, 146, LONG // len(block)):
            yield block * count
            yield block * count + "x"
    for _ in range(40):
        few = chance.sample(BLOCKS, 3)
        text = "".join(chance.choice(few) * chance.choice((1, 2, 30, 300)) for _part in range(200))
        yield text[: chance.choice((255, 1024, LONG))]


def _contents() -> Iterator[bytes]:
    yield from (text.encode("utf-8", "surrogatepass") for text in _texts())
    yield from (("\ufeff" + block * 500).encode("utf-16-le", "surrogatepass") for block in BLOCKS)
    for _extension, content in pictures.whole().values():
        yield from pictures.truncations(content, 2)
        yield from pictures.flips(content, 2)
    yield from (pictures.circular_tiff(pages=pages) for pages in (1, 1000))
    yield b"\xff\xd8" + b"\xff\xe1\0\x02" * 5_000
    for packet in (
        b"<a " + b"".join(b"a%d='x' " % number for number in range(9000)) + b"/>",
        b"<a " + b"".join(b"xmlns:a%d='x' " % number for number in range(5000)) + b"/>",
        b"<a>" * 30_000, b"<a>" + b"&lt;" * 20_000, b"<" + b"a" * 65_000,
    ):  # fmt: skip
        yield dated.tiff({0x02BC: packet})
        profile = dated.raw_profile(b"xmp", packet)
        yield dated.png((b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(profile)))
    yield dated.png(*[(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(20_000_000)))] * 100)
    yield b"II*\0\x08\0\0\0" + b"\xff\x3f" + bytes(range(256)) * 800
    yield b"II+\0\x08\0\0\0\x10" + bytes(7) + b"\xa0\x86\x01\0\0\0\0\0" + bytes(2_100_000)


def _examine(content: bytes) -> None:
    head, tail, size = content[:HEAD_BYTES], content[-TAIL_BYTES:], len(content)
    kind = sniff(head)
    names = {
        "a.bin",
        "a.mpg",
        *(f"a.{extension}" for extension, kinds in KINDS_OF_EXTENSIONS.items() if kind in kinds),
    }
    for name in names:
        whole = Reader(io.BytesIO(content), size, bytes_left=1 << 26, reads_left=100_000)
        content_reason(name, head=head, tail=tail, size_bytes=size, reader=whole)
    reader = Reader(io.BytesIO(content), size, head=head)
    exif, movie = find_exif(kind, reader), find_movie(kind, reader)
    if exif is not None:
        from_exif(exif, ZONE)
    if movie is not None:
        from_movie(movie, ZONE)


def _read_name(name: str) -> None:
    normal_form("NFC", name)
    part = name[:3000]
    printable(part)
    is_also_a_date(part)
    is_name(part)
    agrees(part[:255], "Marsh, Ada")
    with contextlib.suppress(CaptureNameError):
        NAMING.parse(part)
    segments = [part[:80], *part[:300].split("/")[:2]]
    for path in PATHS:
        with contextlib.suppress(TooManyReadings):
            if readings := path.read(segments):
                path.other_ids(segments, readings)
                path.free_texts(segments, readings)


def test_no_content_stops_another_thread() -> None:
    """Whatever the bytes of a file are, the other threads of the host run at least every 50 ms."""
    for content in _contents():
        stop_s = _longest_stop(lambda content=content: _examine(content))
        assert stop_s < MOST_S, (content[:60], len(content))


def test_no_name_stops_another_thread() -> None:
    """Whatever the name of a file or a folder is, the other threads of the host run at least every 50 ms."""
    for name in _texts():
        stop_s = _longest_stop(lambda name=name: _read_name(name))
        assert stop_s < MOST_S, (name[:60], len(name))


def test_a_stop_is_measured() -> None:
    """A single call that takes long is found."""
    assert _longest_stop(lambda: re.search("[a-z]*[a-z]*=", "a" * 700)) > MOST_S
