"""Where each format keeps its capture time; and bytes there that make no sense."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import dated
import pictures
from intouch_import.media.boxes import Reader
from intouch_import.media.containers import find_movie
from intouch_import.media.exif import Exif, find_exif
from intouch_import.media.kinds import MOVIES, Kind, sniff
from intouch_import.media.movies import Movie
from intouch_import.media.times import FoundTime, ZoneFrom, from_exif, from_movie
from intouch_import.media.xmp import MOST_BYTES, read_xmp
from intouch_import.model import TakenFrom
from movies import TAKEN, box

SYDNEY = ZoneInfo("Australia/Sydney")
ELSEWHERE = {"jpeg, short offset": timedelta(hours=16)}
MADE = dated.dated()


def exif_in(content: bytes, kind: Kind | None = None) -> Exif | None:
    return find_exif(kind or sniff(content), Reader(io.BytesIO(content), len(content)))


def movie_in(content: bytes, kind: Kind | None = None) -> Movie | None:
    return find_movie(kind or sniff(content), Reader(io.BytesIO(content), len(content)))


def times_in(content: bytes, kind: Kind | None = None) -> list[FoundTime]:
    exif, movie = exif_in(content, kind), movie_in(content, kind)
    found = from_exif(exif, SYDNEY) if exif is not None else []
    return found + (from_movie(movie, SYDNEY) if movie is not None else [])


@pytest.mark.parametrize("label", MADE)
def test_every_place_of_a_time_is_read(label: str) -> None:
    """In every format, the time is found in each place that the format has for it."""
    first = times_in(MADE[label][1])[0]
    assert first.at is not None
    # Some texts have no seconds; the satellites were seen after some seconds.
    assert abs(first.at - TAKEN - ELSEWHERE.get(label, timedelta(0))) <= timedelta(seconds=5), label


@pytest.mark.parametrize("label", MADE)
def test_damaged_metadata_says_nothing_and_costs_little(label: str) -> None:
    """Cut and changed metadata of every format gives no error, and not many reads."""
    content = MADE[label][1]
    chance = random.Random(label)
    kind = sniff(content)
    damaged = [*pictures.truncations(content, 12), *pictures.flips(content, 40)]
    for _ in range(20):
        at = chance.randrange(len(content))
        damaged.append(content[:at] + chance.randbytes(4) + content[at + 4 :])
    for each in damaged:
        stream = Counting(each)
        for tried in {kind, sniff(each)}:
            reader = Reader(stream, len(each))
            exif, movie = find_exif(tried, reader), find_movie(tried, reader)
            if exif is not None:
                from_exif(exif, SYDNEY)
            if movie is not None:
                from_movie(movie, SYDNEY)
        assert stream.reads < 200


class Counting(io.BytesIO):
    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.mark.parametrize(
    "label", sorted({"jpeg", "tiff", "cr3", "heic", "png", "gopro", "mkv"} & MADE.keys())
)
def test_a_time_is_found_with_few_reads(label: str) -> None:
    """A file with its head at hand is read at most three more times, as each read may cross a network."""
    content = MADE[label][1]
    stream = Counting(content)
    reader = Reader(stream, len(content), head=content[:65536])
    assert find_exif(sniff(content), reader) or find_movie(sniff(content), reader)
    assert stream.reads <= 3


def test_the_camera_is_read() -> None:
    """Maker, model and serial number of the camera are read with the time."""
    found = exif_in(MADE["jpeg"][1])
    assert found is not None
    assert (found.make, found.model, found.serial) == ("NIKON", "D7500", "7001234")
    canon = exif_in(MADE["cr3"][1])
    assert canon is not None
    assert (canon.make, canon.model, canon.serial) == ("Canon", "Canon EOS R", None)


def test_a_photo_of_its_own_time_needs_no_xmp() -> None:
    """With an original time in Exif, XMP is not looked at; without one, XMP adds to what Exif has."""
    both = exif_in(MADE["jpeg, exif and xmp"][1])
    assert both is not None
    assert (both.taken, both.offset) == (dated.TEXT, "+11:00")
    later = dated.jpeg(
        b"Exif\0\0" + dated.tiff({dated.MODEL: "X"}, {dated.DIGITIZED: "2026:02:01 10:00:00"}),
        dated.XMP_MARK + dated.xmp(exif_DateTimeOriginal="2026-01-31T14:25:01"),
    )
    assert [(time.taken_from, time.local and time.local.isoformat()) for time in times_in(later)] == [
        (TakenFrom.XMP, "2026-01-31T14:25:01"),
        (TakenFrom.DIGITIZED, "2026-02-01T10:00:00"),
    ]


# --- XMP


def test_xmp_expands_no_entity() -> None:
    """A packet with a document type is not read: entities could grow without end, or name files."""
    declared = b'<!DOCTYPE x [<!ENTITY a "2026-01-31T14:25:01">]>'
    packet = dated.xmp(exif_DateTimeOriginal="&a;")
    assert read_xmp(packet[packet.index(b"<x:") :]) == {}
    assert read_xmp(declared + packet[packet.index(b"<x:") :]) == {}


@pytest.mark.parametrize(
    "packet",
    [
        b"", b"\0\0", b"<", b"no xml", b"\xff\xfe<\0", b"<a>" * 50_000, b"<a b='" + b"x" * 100_000,
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", b"\x80" * 1000,
    ],
)  # fmt: skip
def test_xmp_that_makes_no_sense_says_nothing(packet: bytes) -> None:
    """Text that is no XML, or has none of the times, gives nothing."""
    assert read_xmp(packet) == {}


def test_a_cut_packet_gives_what_was_read() -> None:
    """The time before the end of a packet that is cut is read, in any encoding of XML."""
    packet = dated.xmp(exif_DateTimeOriginal="2026-01-31T14:25:01") + bytes(10)
    assert read_xmp(packet[:-60])["xmp_taken"] == "2026-01-31T14:25:01"
    text = packet.strip(b"\0").decode()
    assert read_xmp(text.encode("utf-16"))["xmp_taken"] == "2026-01-31T14:25:01"


def test_a_long_packet_is_read_in_part() -> None:
    """No more than the first 64 KiB of a packet are read."""
    packet = dated.xmp(xmp_Label="x" * MOST_BYTES, exif_DateTimeOriginal="2026-01-31T14:25:01")
    assert times_in(dated.tiff({0x02BC: packet}) + bytes(100)) == []


# --- movies


def test_the_lengths_of_movies() -> None:
    """The length of a movie is read from every container."""
    lengths = {label: movie_in(MADE[label][1]) for label in ("mkv", "wmv", "avi, idit", "gopro")}
    assert {label: movie and movie.duration_s for label, movie in lengths.items()} == {
        "mkv": 12.5,
        "wmv": 12.5,
        "avi, idit": 10.0,
        "gopro": 8.0,
    }


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (dated.matroska(None), Kind.MATROSKA),
        (dated.matroska(datetime(1970, 1, 1, tzinfo=UTC)), Kind.MATROSKA),
        (dated.matroska(TAKEN, before=dated.element(0x1F43B675, b"")), Kind.MATROSKA),
        (dated.element(0x1A45DFA3, b""), Kind.MATROSKA),
        (b"\x1a\x45\xdf\xa3\0" + bytes(30), Kind.MATROSKA),
        (dated.asf(None), Kind.ASF),
        (dated.asf(TAKEN)[:90], Kind.ASF),
        (dated.avi(), Kind.AVI),
        (dated.avi(in_header=dated.chunk(b"IDIT", b"Xyz Foo 31 14:25:01 2026")), Kind.AVI),
        (dated.avi(in_header=dated.chunk(b"IDIT", b"2026/ 1/31 14:25PM")), Kind.AVI),
        (dated.avi(in_header=dated.chunk(b"IDIT", b"")), Kind.AVI),
    ],
)
def test_movies_without_a_time(content: bytes, kind: Kind) -> None:
    """A container without a creation time, or with one that was never set, gives none."""
    assert times_in(content, kind) == []


LOCAL = TAKEN.astimezone(SYDNEY).replace(tzinfo=None)


def test_a_gopro_without_satellites_has_a_local_time() -> None:
    """The index of a GoPro's movie is in local time, also if no satellite was seen."""
    for content in (dated.gopro(LOCAL), dated.gopro(LOCAL, dated.payload(dated.gps5(TAKEN, fix=0)))):
        (found,) = times_in(content)
        assert (found.taken_from, found.at, found.zone_from) == (
            TakenFrom.CONTAINER,
            TAKEN,
            ZoneFrom.PRACTICE,
        )


@pytest.mark.parametrize(
    "stream",
    [
        dated.gps5(datetime(2005, 1, 1, tzinfo=UTC)),
        dated.gps9(datetime(2005, 1, 1, tzinfo=UTC)),
        dated.gps9(TAKEN, fix=0),
        dated.gps9(TAKEN).replace(b"SCAL", b"XXXX"),
        dated.gps5(TAKEN).replace(b"260131", b"261331"),
        dated.gps5(TAKEN).replace(b"260131", b"2601xx"),
        b"GPSU" + bytes(3),
    ],
)
def test_satellites_that_say_nothing(stream: bytes) -> None:
    """A receiver that has no fix, no time yet, or a format of its own gives no time."""
    found = times_in(dated.gopro(LOCAL, dated.payload(stream)))
    assert [time.taken_from for time in found] == [TakenFrom.CONTAINER]


@pytest.mark.parametrize(
    "tables",
    [
        b"",
        box(b"stsd", bytes(40)),
        box(b"stsd", bytes(12) + b"gpmd" + bytes(12)),
        box(b"stsd", bytes(12) + b"gpmd" + bytes(12)) + box(b"stco", b"\0\0\0\0\xff\xff\xff\xff"),
        box(b"stsd", bytes(12) + b"gpmd" + bytes(12)) + box(b"stco", b"\0\0\0\0\0\0\0\1\xff\xff\xff\xff"),
    ],
)
def test_tracks_of_satellites_that_make_no_sense(tables: bytes) -> None:
    """Missing and empty tables, and offsets behind the end, give no time."""
    track = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", tables) if tables else b"")))
    content = box(b"ftyp", b"mp41" + bytes(8)) + box(b"moov", track)
    assert times_in(content, Kind.MP4) == []


def test_movies_are_all_read() -> None:
    """Every kind of movie has a reader."""
    assert all(movie_in(b"", kind) is None or movie_in(b"", kind) == Movie() for kind in MOVIES)
