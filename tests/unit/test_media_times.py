"""Capture times: finding them in Exif and movies, and choosing one."""

from __future__ import annotations

import io
import random
import struct
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

import pictures
from intouch_import.media.boxes import Reader, boxes, metadata_items
from intouch_import.media.exif import Exif, find_exif
from intouch_import.media.kinds import Kind
from intouch_import.media.movies import Movie, read_movie
from intouch_import.media.times import (
    FoundTime,
    ZoneFrom,
    capture_times,
    choose,
    from_exif,
    from_movie,
)
from intouch_import.model import TakenAtFlag, TakenFrom
from miniature import NOW
from movies import TAKEN, box, movie_header, movie_with, quicktime

SYDNEY = ZoneInfo("Australia/Sydney")


def exif_of(content: bytes, kind: Kind) -> Exif | None:
    return find_exif(kind, Reader(io.BytesIO(content), len(content)))


def written(kind: str, block: bytes, **options: object) -> bytes:
    return pictures.encoded(pictures.picture(), kind, exif=block, **options)


FULL = pictures.exif_block(offset=b"+10:00\0", sub_second=b"25\0")
READ = Exif(taken="2026:01:31 14:25:01", offset="+10:00", sub_second="25")


# --- where it stands


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "format_", "prefix"),
    [
        (Kind.JPEG, "JPEG", b"Exif\0\0"),
        (Kind.PNG, "PNG", b""),
        (Kind.WEBP, "WEBP", b"Exif\0\0"),
    ],
)
def test_exif_is_found_where_each_format_keeps_it(
    kind: Kind, format_: str, prefix: bytes, order: str
) -> None:
    """Exif in either byte order is found in each format."""
    block = pictures.exif_block(order=order, offset=b"+10:00\0", sub_second=b"25\0")
    assert exif_of(written(format_, prefix + block), kind) == READ


@pytest.mark.parametrize("kind", [Kind.HEIC, Kind.AVIF])
def test_exif_is_found_in_a_heic_and_an_avif(kind: Kind) -> None:
    """The item table leads to the Exif block."""
    content = written("AVIF", b"Exif\0\0" + FULL)
    if kind is Kind.HEIC:
        content = pictures.heic(pictures.picture(), exif=b"Exif\0\0" + FULL)
    assert exif_of(content, kind) == READ


def test_exif_is_found_in_a_tiff_and_a_jp2() -> None:
    """A TIFF is itself an Exif block; a JPEG 2000 file has one in Adobe's box."""
    assert exif_of(FULL + bytes(100), Kind.TIFF) == READ
    jp2 = pictures.whole()["jp2"][1] + box(b"uuid", b"JpgTiffExif->JP2" + FULL)
    assert exif_of(jp2, Kind.JP2) == READ
    assert exif_of(pictures.whole()["jp2"][1], Kind.JP2) is None


def test_exif_behind_other_segments_is_found() -> None:
    """Fill bytes and other segments before the Exif segment of a JPEG are skipped."""
    jpeg = written("JPEG", b"Exif\0\0" + FULL)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 60_000) + bytes(60_000)
    assert exif_of(jpeg[:2] + comment + b"\xff" * 3 + jpeg[2:], Kind.JPEG) == READ


@pytest.mark.parametrize("label", sorted(pictures.whole()))
def test_files_without_exif_have_none(label: str) -> None:
    """Without Exif, no time is found."""
    _extension, content = pictures.whole()[label]
    found = [exif_of(content, kind) for kind in Kind]
    assert not any(exif.taken for exif in found if exif is not None)


def test_what_pillow_writes_is_read() -> None:
    """Exif that Pillow wrote, in another layout, is read."""
    exif = Image.Exif()
    exif[0x0112] = 8
    exif.get_ifd(0x8769)[0x9003] = "2026:01:31 14:25:01"
    exif.get_ifd(0x8769)[0x9291] = "123456789"
    found = exif_of(pictures.encoded(pictures.picture(), "JPEG", exif=exif), Kind.JPEG)
    assert found == Exif(taken="2026:01:31 14:25:01", sub_second="123456789")


# --- nothing in it is trusted


def damaged_blocks() -> dict[str, bytes]:
    entry = struct.Struct("<HHL4s")
    head = b"II*\0" + struct.pack("<L", 8)

    def one(*entry_values: object) -> bytes:
        return head + struct.pack("<H", 1) + entry.pack(*entry_values) + bytes(4)

    def inner(tag: int, type_code: int, count: int, value: bytes) -> bytes:
        start = one(0x8769, 4, 1, struct.pack("<L", 26))
        return start + struct.pack("<H", 1) + entry.pack(tag, type_code, count, value) + bytes(40)

    return {
        "no header": b"",
        "half a header": b"II*",
        "another header": b"XX*\0" + FULL[4:],
        "a directory beyond the end": b"II*\0\xff\xff\xff\xff",
        "65,535 entries": head + b"\xff\xff" + bytes(100),
        "a pointer to itself": one(0x8769, 4, 1, struct.pack("<L", 8)),
        "a pointer as a float": one(0x8769, 11, 1, struct.pack("<f", 26.0)),
        "a time as a number": inner(0x9003, 4, 1, b"\x20\0\0\0"),
        "a time with a huge count": inner(0x9003, 2, 2**32 - 1, struct.pack("<L", 44)),
        "a time beyond the end": inner(0x9003, 2, 20, b"\xff\xff\xff\x7f"),
        "an empty time": inner(0x9003, 2, 0, bytes(4)),
        "a time that is no text": inner(0x9003, 2, 4, b"\xff\xfe\x80\x81"),
        "an unknown type": inner(0x9003, 999, 20, bytes(4)),
    }


@pytest.mark.parametrize("what", damaged_blocks())
@pytest.mark.parametrize("kind", [Kind.TIFF, Kind.JPEG, Kind.PNG])
def test_exif_that_makes_no_sense_says_nothing(what: str, kind: Kind) -> None:
    """Wrong types, huge counts and invalid pointers give no time and no error."""
    block = damaged_blocks()[what]
    if kind is Kind.JPEG:
        body = b"Exif\0\0" + block
        block = b"\xff\xd8\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + b"\xff\xd9"
    elif kind is Kind.PNG:
        block = b"\x89PNG\r\n\x1a\n" + struct.pack(">L", len(block)) + b"eXIf" + block + bytes(4)
    found = exif_of(block, kind)
    assert found is None or not from_exif(found, SYDNEY)


def test_no_table_makes_the_reader_wander() -> None:
    """Whatever the tables contain, no more than some thousand ranges and two megabytes are read."""
    chunks = b"\x89PNG\r\n\x1a\n" + (struct.pack(">L", 0) + b"IDAT" + bytes(4)) * 100_000
    empty_boxes = box(b"ftyp", b"heic" * 4) + box(b"free", b"") * 100_000
    segments = b"\xff\xd8" + b"\xff\xe2\0\2" * 50_000
    for content, kind in ((chunks, Kind.PNG), (empty_boxes, Kind.HEIC), (segments, Kind.JPEG)):
        counting = CountingStream(content)
        assert find_exif(kind, Reader(counting, len(content))) is None
        assert read_movie(Reader(counting, len(content))) is None
        assert counting.reads <= 8000
        assert counting.read_bytes <= 4 * 1024 * 1024


class CountingStream(io.BytesIO):
    reads = 0
    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.reads += 1
        self.read_bytes += len(content)
        return content


# --- Exif times


@pytest.mark.parametrize(
    ("exif", "at", "zone_from"),
    [
        (READ, "2026-01-31T14:25:01.250000+10:00", ZoneFrom.OWN),
        (Exif(taken="2026:01:31 14:25:01"), "2026-01-31T03:25:01+00:00", ZoneFrom.PRACTICE),
        (Exif(taken="2026:01:31 14:25:01", offset="-03:30"), "2026-01-31T14:25:01-03:30", ZoneFrom.OWN),
        (Exif(taken="2026:01:31 14:25:01", offset="Z"), "2026-01-31T14:25:01+00:00", ZoneFrom.OWN),
        (Exif(taken="2026-01-31T14:25:01", offset="   :  "), "2026-01-31T03:25:01+00:00", ZoneFrom.PRACTICE),
        (Exif(taken="2026:01:31 14:25:01", offset="+25:00"), "2026-01-31T03:25:01+00:00", ZoneFrom.PRACTICE),
        (Exif(taken="2026:01:31 14:25:01", offset="+10:75"), "2026-01-31T03:25:01+00:00", ZoneFrom.PRACTICE),
        (
            Exif(taken="2026:07:01 12:00:00", sub_second="0071234"),
            "2026-07-01T02:00:00.007123+00:00",
            ZoneFrom.PRACTICE,
        ),
        (Exif(taken="2026:07:01 12:00:00", sub_second="x"), "2026-07-01T02:00:00+00:00", ZoneFrom.PRACTICE),
    ],
)
def test_exif_times_are_placed(exif: Exif, at: str, zone_from: ZoneFrom) -> None:
    """A time with an offset is exact; without a valid one it is the clinic's local time. Sub-seconds are read."""
    (found,) = from_exif(exif, SYDNEY)
    assert found is not None
    assert (found.taken_from, found.zone_from, found.flag) == (TakenFrom.EXIF, zone_from, TakenAtFlag.EXACT)
    assert found.at is not None
    assert found.at.isoformat() == at


@pytest.mark.parametrize(
    "taken",
    [
        None, "", "0000:00:00 00:00:00", "    :  :     :  :  ", "2026:02:30 10:00:00", "2026:01:31 24:00:00",
        "2026:01:31 10:00:60", "1970:01:01 00:00:00", "1980:01:01 00:00:00", "20260131 142501", "٢٠٢٦:01:31 14:25:01",
    ],
)  # fmt: skip
def test_times_that_were_never_set_are_no_times(taken: str | None) -> None:
    """Blanks, zeros, impossible dates and the start of an epoch are not capture times."""
    assert from_exif(Exif(taken=taken), SYDNEY) == []


@pytest.mark.parametrize(
    ("taken", "flag"),
    [("2026:04:05 02:30:00", TakenAtFlag.REPEATED), ("2026:10:04 02:30:00", TakenAtFlag.SKIPPED)],
)
def test_a_wall_time_in_a_change_of_clocks_is_not_guessed(taken: str, flag: TakenAtFlag) -> None:
    """A skipped or repeated local time has a flag and is not chosen; with its own offset it is exact."""
    (found,) = from_exif(Exif(taken=taken), SYDNEY)
    assert found is not None
    assert (found.at, found.flag) == (None, flag)
    assert choose([found], zone=SYDNEY, now=NOW, tolerance=timedelta(0)).chosen is None
    (exact,) = from_exif(Exif(taken=taken, offset="+11:00"), SYDNEY)
    assert exact.at is not None


# --- movies


def movie_of(content: bytes) -> Movie | None:
    return read_movie(Reader(io.BytesIO(content), len(content)))


def test_a_movie_says_when_it_was_made_how_long_and_how_large_it_is() -> None:
    """The index gives creation time, duration and the size of the first track that has one."""
    content = movie_with(
        created=TAKEN, duration_s=12.5, size=(1920, 1080), offset_date="2026-01-31T14:25:01+1100"
    )
    found = movie_of(content)
    assert found is not None
    assert (found.duration_s, found.width_px, found.height_px) == (12.5, 1920, 1080)
    assert found.creation_date == "2026-01-31T14:25:01+1100"
    assert [(time.taken_from, time.at) for time in from_movie(found, SYDNEY)] == [
        (TakenFrom.QUICKTIME, TAKEN),
        (TakenFrom.CONTAINER, TAKEN),
    ]


def test_an_index_behind_gigabytes_is_found_with_a_few_reads() -> None:
    """The index at the end of a long movie is reached without reading the pictures before it."""
    content = CountingStream(movie_with(created=TAKEN, payload_bytes=9_000_000))
    found = read_movie(Reader(content, len(content.getvalue())))
    assert found is not None
    assert found.created_s
    assert content.read_bytes < 20_000


def test_versions_of_the_index() -> None:
    """64-bit times, ISO's and Apple's form of the metadata box, and a time without an offset are read."""
    late = movie_of(movie_with(created=TAKEN, version=1, duration_s=2.0))
    assert late is not None
    assert from_movie(late, SYDNEY)[0].at == TAKEN
    assert late.duration_s == 2.0
    iso = movie_of(movie_with(created=TAKEN, offset_date="2026-01-31T14:25:01Z", iso_meta=True))
    assert iso is not None
    assert iso.creation_date == "2026-01-31T14:25:01Z"
    local = from_movie(Movie(creation_date="2026-01-31T14:25:01"), SYDNEY)
    assert [(time.at, time.zone_from) for time in local] == [(TAKEN, ZoneFrom.PRACTICE)]
    assert from_movie(Movie(creation_date="no date"), SYDNEY) == []


@pytest.mark.parametrize("created_s", [0, 2_082_844_800, 1_700_000_000, 2**63, 2**64 - 1])
def test_epochs_and_nonsense_are_no_creation_time(created_s: int) -> None:
    """Zero since 1904, zero since 1970, seconds since the wrong epoch, and the far future give no time."""
    assert from_movie(Movie(created_s=created_s), SYDNEY) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        box(b"moov", b""),
        box(b"moov", box(b"mvhd", bytes(10))),
        box(b"moov", box(b"mvhd", bytes(100))),
        box(b"moov", box(b"trak", box(b"tkhd", bytes(20)))),
        box(b"moov", box(b"trak", box(b"tkhd", bytes(84)))),
        box(b"moov", box(b"meta", bytes(4))),
        box(b"moov", box(b"meta", box(b"hdlr", bytes(20)) + box(b"keys", bytes(8)) + box(b"ilst", b""))),
        box(b"moov", quicktime("2026-01-31T14:25:01Z", number=2)),
        b"\0\0\0\1moov",
        struct.pack(">L4sQ", 1, b"moov", 3),
        struct.pack(">L4sQ", 1, b"moov", 2**64 - 1) + box(b"mvhd", bytes(100)),
        b"\0\0\0\0moov" + movie_header(created_s=0, duration_s=None),
    ],
)
def test_an_index_that_makes_no_sense_says_nothing(content: bytes) -> None:
    """Boxes that are cut, empty, endless or contradict each other give no time, and no error."""
    found = movie_of(content)
    assert found is None or (from_movie(found, SYDNEY) == [] and found.width_px is None)


def test_boxes_that_repeat_themselves_end() -> None:
    """A file of endless boxes is read up to a limit, also if the boxes are nested."""
    many = box(b"free", b"") * 5000
    assert len(list(boxes(Reader(io.BytesIO(many), len(many)), 0, len(many)))) == 2000
    assert list(metadata_items(Reader(io.BytesIO(many), len(many)))) == []


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"iinf", b"iloc"),
        (b"iinf",),
    ],
)
def test_item_tables_that_make_no_sense(parts: tuple[bytes, ...]) -> None:
    """A HEIC with empty or missing item tables has no Exif."""
    content = box(b"meta", bytes(4) + b"".join(box(part, bytes(20)) for part in parts))
    assert list(metadata_items(Reader(io.BytesIO(content), len(content)))) == []


def test_random_item_tables_never_fail() -> None:
    """Random item tables of a HEIC cause no error."""
    chance = random.Random(3)
    info = box(b"infe", b"\2\0\0\0\0\1\0\0Exif\0\0")
    for _ in range(2000):
        iinf = box(b"iinf", bytes(4) + b"\0\1" + info)
        iloc = box(b"iloc", chance.randbytes(chance.randrange(60)))
        content = box(b"meta", bytes(4) + iinf + iloc)
        places = list(metadata_items(Reader(io.BytesIO(content), len(content))))
        assert len(places) <= 1
        find_exif(Kind.HEIC, Reader(io.BytesIO(content), len(content)))


# --- the choice


def found(taken_from: TakenFrom, minutes: float = 0.0, zone_from: ZoneFrom = ZoneFrom.UTC) -> FoundTime:
    return FoundTime(taken_from=taken_from, at=TAKEN + timedelta(minutes=minutes), zone_from=zone_from)


def named(at: datetime) -> FoundTime:
    """Return the time in a capture name, as `capture_times` lists it."""
    return only_time(named_at=at, modified_at=None)


def filed(at: datetime) -> FoundTime:
    """Return the location's own time, as `capture_times` lists it."""
    return only_time(named_at=None, modified_at=at)


def only_time(*, named_at: datetime | None, modified_at: datetime | None) -> FoundTime:
    times = capture_times(
        named_at=named_at,
        exif=None,
        movie=None,
        modified_at=modified_at,
        zone=SYDNEY,
        now=NOW,
        tolerance=timedelta(0),
    )
    (time,) = times.found
    return time


def chosen_of(
    *times: FoundTime, tolerance_min: float = 5, duration_min: float = 0
) -> tuple[TakenFrom | None, bool]:
    made = choose(
        times,
        zone=SYDNEY,
        now=NOW,
        tolerance=timedelta(minutes=tolerance_min),
        duration=timedelta(minutes=duration_min),
    )
    return made.chosen and made.chosen.taken_from, made.disagree


def test_the_order_of_trust() -> None:
    """The order is name, Exif with an offset, QuickTime, Exif without one, container; never the location's time."""
    ranked = [
        found(TakenFrom.NAME),
        found(TakenFrom.EXIF, zone_from=ZoneFrom.OWN),
        found(TakenFrom.QUICKTIME, zone_from=ZoneFrom.OWN),
        found(TakenFrom.EXIF, zone_from=ZoneFrom.PRACTICE),
        found(TakenFrom.CONTAINER),
        found(TakenFrom.SOURCE),
    ]
    for start in range(5):
        made = choose(reversed(ranked[start:]), zone=SYDNEY, now=NOW, tolerance=timedelta(0))
        assert made.found == tuple(ranked[start:])
        assert made.chosen is ranked[start]
    assert chosen_of(found(TakenFrom.SOURCE)) == (None, False)
    assert chosen_of() == (None, False)


def test_times_that_lie_apart_disagree() -> None:
    """A difference beyond the tolerance sets the flag, and does not change the chosen time."""
    name = named(TAKEN)
    assert chosen_of(name, found(TakenFrom.EXIF, 5)) == (TakenFrom.NAME, False)
    assert chosen_of(name, found(TakenFrom.EXIF, 5.1)) == (TakenFrom.NAME, True)
    assert chosen_of(name, found(TakenFrom.EXIF, -6)) == (TakenFrom.NAME, True)
    assert chosen_of(name, filed(TAKEN + timedelta(days=99))) == (TakenFrom.NAME, False)


def test_a_container_may_mean_utc_or_the_wall_time() -> None:
    """Many cameras write local time instead of UTC: both interpretations agree."""
    eleven_hours = 11 * 60  # Sydney's offset that day
    assert chosen_of(named(TAKEN), found(TakenFrom.CONTAINER)) == (TakenFrom.NAME, False)
    assert chosen_of(named(TAKEN), found(TakenFrom.CONTAINER, eleven_hours)) == (TakenFrom.NAME, False)
    assert chosen_of(named(TAKEN), found(TakenFrom.CONTAINER, 60)) == (TakenFrom.NAME, True)


def test_a_long_movie_may_be_dated_by_its_end() -> None:
    """The length of a movie is added to the tolerance."""
    assert chosen_of(named(TAKEN), found(TakenFrom.CONTAINER, 20)) == (TakenFrom.NAME, True)
    assert chosen_of(named(TAKEN), found(TakenFrom.CONTAINER, 20), duration_min=15) == (
        TakenFrom.NAME,
        False,
    )


def test_a_repeated_wall_time_agrees_with_either_instant() -> None:
    """A repeated local time in Exif disagrees with a name only if both interpretations do."""
    (repeated,) = from_exif(Exif(taken="2026:04:05 02:30:00"), SYDNEY)
    (skipped,) = from_exif(Exif(taken="2026:10:04 02:30:00"), SYDNEY)
    for hour in (15, 16):
        name = named(datetime(2026, 4, 4, hour, 30, tzinfo=UTC))
        assert chosen_of(name, repeated) == (TakenFrom.NAME, False)
    assert chosen_of(named(TAKEN), repeated) == (TakenFrom.NAME, True)
    assert chosen_of(named(TAKEN), skipped) == (TakenFrom.NAME, True)


def test_a_time_in_the_future_is_not_chosen() -> None:
    """A time of a camera that is too far in the future is listed but not chosen; the time of a name is."""
    late = timedelta(days=2) / timedelta(minutes=1) + (NOW - TAKEN) / timedelta(minutes=1)
    assert chosen_of(found(TakenFrom.EXIF, late)) == (None, False)
    assert chosen_of(found(TakenFrom.EXIF, late), found(TakenFrom.CONTAINER)) == (TakenFrom.CONTAINER, True)
    assert chosen_of(found(TakenFrom.NAME, late)) == (TakenFrom.NAME, False)


def test_the_ends_of_the_calendar_do_no_harm() -> None:
    """Times at the limits of datetime are compared without an error."""
    (end,) = from_exif(Exif(taken="9999:12:31 23:59:59", offset="-12:00"), SYDNEY)
    assert chosen_of(named(TAKEN), end) == (TakenFrom.NAME, True)
    container = FoundTime(
        taken_from=TakenFrom.CONTAINER, at=datetime.max.replace(tzinfo=UTC), zone_from=ZoneFrom.UTC
    )
    assert chosen_of(named(TAKEN), container) == (TakenFrom.NAME, True)
    assert from_exif(Exif(taken="9999:12:31 23:59:59"), SYDNEY)


# --- clocks that were reset


def exif_at(taken: str) -> FoundTime:
    (time,) = from_exif(Exif(taken=taken), SYDNEY)
    return time


def stated_at(
    taken: datetime, taken_from: TakenFrom = TakenFrom.FOLDER, *, day_only: bool = True
) -> FoundTime:
    return FoundTime(
        taken_from=taken_from, at=taken.replace(tzinfo=SYDNEY), zone_from=ZoneFrom.PRACTICE, day_only=day_only
    )


@pytest.mark.parametrize(
    ("taken", "reset"),
    [
        ("2000:01:01 00:00:00", True),
        ("2000:01:01 00:03:11", True),
        ("2000:01:20 09:00:00", True),
        ("2001:01:03 10:00:00", True),
        ("2000:02:01 09:00:00", False),
        ("2012:01:01 00:00:42", True),
        ("2017:01:01 12:01:02", True),
        ("2017:01:02 00:01:02", False),
        ("2002:12:08 12:00:00", True),
        ("2002:12:08 12:00:01", False),
        ("2026:01:31 14:25:01", False),
    ],
)
def test_the_time_of_a_clock_that_was_reset_is_doubted(taken: str, reset: bool) -> None:
    """The days after a camera lost its power are listed, and chosen with a flag only if there is no other time."""
    camera = exif_at(taken)
    assert camera.looks_reset is reset
    assert chosen_of(camera) == (TakenFrom.EXIF, reset)
    for other in (found(TakenFrom.CONTAINER), found(TakenFrom.XMP), stated_at(datetime(2019, 5, 2, 12))):
        made = choose(
            [camera, other], zone=SYDNEY, now=NOW, tolerance=timedelta(minutes=5), content_first=True
        )
        assert camera in made.found
        assert made.chosen is (other if reset else min((camera, other), key=made.found.index))
        assert made.disagree is (camera.at != TAKEN or other.taken_from is TakenFrom.FOLDER)


def test_a_name_or_a_folder_confirms_new_years_day() -> None:
    """If a folder or a name has the same day, the camera is believed: somebody worked on the holiday."""
    camera = exif_at("2017:01:01 14:25:01")
    for stated in (
        stated_at(datetime(2017, 1, 1, 12)),
        stated_at(datetime(2017, 1, 1, 14, 24), TakenFrom.NAME, day_only=False),
    ):
        for content_first in (True, False):
            made = choose(
                [camera, stated],
                zone=SYDNEY,
                now=NOW,
                tolerance=timedelta(minutes=5),
                content_first=content_first,
            )
            assert (made.chosen, made.disagree) == (camera if content_first else stated, False)


@pytest.mark.parametrize("content_first", [True, False])
@pytest.mark.parametrize("taken_from", [TakenFrom.NAME, TakenFrom.FOLDER, TakenFrom.LIST])
@pytest.mark.parametrize(
    ("stated", "differs"),
    [
        (datetime(2026, 1, 31, 12), False),  # noon: only the day is known
        (datetime(2026, 2, 1, 12), True),
        (datetime(2026, 1, 31, 14, 26), False),
        (datetime(2026, 1, 31, 15, 26), True),
    ],
)
def test_times_disagree_whichever_wins(
    content_first: bool, taken_from: TakenFrom, stated: datetime, differs: bool
) -> None:
    """A name, a folder or a list is compared with the camera, whether it is trusted more or less."""
    made = capture_times(
        named_at=stated.replace(tzinfo=SYDNEY).astimezone(UTC),
        named_from=taken_from,
        content_first=content_first,
        exif=Exif(taken="2026:01:31 14:25:01"),
        movie=None,
        modified_at=None,
        zone=SYDNEY,
        now=NOW,
        tolerance=timedelta(minutes=5),
    )
    assert made.chosen is not None
    assert made.chosen.taken_from is (TakenFrom.EXIF if content_first else taken_from)
    assert made.disagree is differs


def test_days_at_the_ends_of_the_calendar_are_compared() -> None:
    """A day is compared with times at the limits of datetime without an error."""
    (end,) = from_exif(Exif(taken="9999:12:31 23:59:59", offset="-12:00"), SYDNEY)
    made = choose([stated_at(datetime(2019, 5, 2, 12)), end], zone=SYDNEY, now=NOW, tolerance=timedelta(0))
    assert made.disagree
