"""Cameras whose clocks were wrong: which photos a correction fits, and how it is written down."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

import dated
import pictures
from intouch_import.errors import ConfigError
from intouch_import.media.clocks import CameraClock
from intouch_import.media.exif import Exif
from intouch_import.media.times import CaptureTimes, ZoneFrom, capture_times
from intouch_import.migration import read_clocks
from intouch_import.model import TakenAtFlag, TakenFrom

if TYPE_CHECKING:
    from pathlib import Path

SYDNEY = ZoneInfo("Australia/Sydney")
NIKON = Exif(taken="2012:01:01 00:00:42", make="NIKON CORPORATION", model="NIKON D7500", serial="7001234")
RESET = datetime(2012, 1, 1, 0, 0, 42)  # the camera's
SHOWS = datetime(2019, 5, 2, 9, 14, 30)  # the practice's
OFFSET = SHOWS - RESET


def times_of(exif: Exif, *clocks: CameraClock, named_at: datetime | None = None) -> CaptureTimes:
    return capture_times(
        named_at=named_at,
        exif=exif,
        movie=None,
        modified_at=None,
        zone=SYDNEY,
        now=datetime(2026, 3, 1, tzinfo=UTC),
        tolerance=timedelta(minutes=5),
        clocks=clocks,
    )


def test_a_wrong_clock_is_corrected_and_what_it_said_is_kept() -> None:
    """The corrected time is the practice's, is not doubted, and has the camera's own time beside it."""
    chosen = times_of(NIKON, CameraClock(model="nikon d7500 ", offset=OFFSET)).chosen
    assert chosen is not None
    assert (chosen.taken_from, chosen.zone_from, chosen.flag) == (
        TakenFrom.EXIF,
        ZoneFrom.PRACTICE,
        TakenAtFlag.EXACT,
    )
    assert (chosen.at, chosen.local, chosen.written) == (SHOWS.replace(tzinfo=SYDNEY), SHOWS, RESET)
    assert not times_of(NIKON, CameraClock(model="NIKON D7500", offset=OFFSET)).disagree
    assert times_of(NIKON).disagree  # the clock was reset


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({"model": "NIKON D7500"}, True),
        ({"serial": "7001234"}, True),
        ({"make": "Nikon Corporation", "model": "Nikon D7500", "serial": "7001234"}, True),
        ({"make": "Canon", "model": "NIKON D7500"}, False),
        ({"model": "NIKON D750"}, False),
        ({"model": "NIKON D7500", "serial": "7001235"}, False),
        ({"serial": "7001234", "since": RESET}, True),
        ({"serial": "7001234", "since": RESET + timedelta(seconds=1)}, False),
        ({"serial": "7001234", "until": RESET}, False),
        ({"serial": "7001234", "since": "2012-01-01T00:00:00", "until": "2012-02-01T00:00:00"}, True),
    ],
)
def test_only_the_photos_of_the_camera_are_corrected(values: dict[str, Any], fits: bool) -> None:
    """Maker, model, serial number and the time in which the clock was wrong must all fit."""
    assert CameraClock(offset="+1:00", **values).fits(NIKON, RESET) is fits


def test_photos_of_other_cameras_keep_their_times() -> None:
    """A photo of another camera, or of none, keeps its time; of several clocks that fit, the first counts."""
    clock = CameraClock(serial="7001234", offset="+1:00")
    for exif in (Exif(taken="2026:01:31 14:25:01"), Exif(taken="2026:01:31 14:25:01", serial="1")):
        assert times_of(exif, clock) == times_of(exif)
    first = times_of(NIKON, CameraClock(serial="7001234", offset="-1:00:00"), clock).chosen
    assert first is not None
    assert first.local == RESET - timedelta(hours=1)


def test_every_time_of_a_photo_is_corrected() -> None:
    """The time of a photo without an original time is corrected, too; an offset from UTC is not used."""
    clock = CameraClock(model="D7500", offset="+1d 0:00")
    exif = Exif(digitized="2026:01:30 14:25:01", digitized_offset="+09:00", model="D7500")
    chosen = times_of(exif, clock).chosen
    assert chosen is not None
    assert (chosen.taken_from, chosen.at) == (
        TakenFrom.DIGITIZED,
        datetime(2026, 1, 31, 14, 25, 1, tzinfo=SYDNEY),
    )


def test_a_correction_out_of_the_calendar_is_not_made() -> None:
    """A corrected time behind the end of the calendar is no time."""
    clock = CameraClock(model="D7500", offset="+10000d 0:00")
    assert times_of(Exif(taken="9999:12:31 10:00:00", model="D7500"), clock).found == ()


@pytest.mark.parametrize("epoch", ["1970:01:01 00:00:42", "1980:01:01 00:00:42"])
def test_a_clock_that_was_never_set_can_be_corrected(epoch: str) -> None:
    """A time before there were digital cameras is used, once it is corrected."""
    exif = Exif(taken=epoch, model="D7500")
    assert times_of(exif).found == ()
    written = datetime(int(epoch[:4]), 1, 1, 0, 0, 42)  # the camera's
    (time,) = times_of(exif, CameraClock(model="D7500", offset=SHOWS - written)).found
    assert (time.local, time.written) == (SHOWS, written)


@pytest.mark.parametrize(
    ("offset", "stored"),
    [
        ("+1:00", "+1:00:00"),
        ("-0:30:05", "-0:30:05"),
        ("+2d 0:30", "+2d 0:30:00"),
        ("-26:00:00", "-1d 2:00:00"),
        (timedelta(days=-3, hours=2), "-2d 22:00:00"),
        (timedelta(seconds=90.4), "+0:01:30"),
    ],
)
def test_a_clock_goes_to_json_and_back(offset: timedelta | str, stored: str) -> None:
    """Offsets and the other values are the same after a round trip."""
    clock = CameraClock(model=" D7500 ", serial="7", offset=offset, since=RESET, until=SHOWS)
    values = json.loads(json.dumps(clock.to_dict()))
    assert values == {
        "offset": stored, "model": "D7500", "serial": "7", "since": "2012-01-01T00:00:42",
        "until": "2019-05-02T09:14:30",
    }  # fmt: skip
    assert CameraClock.from_dict(values) == clock


@pytest.mark.parametrize(
    "values",
    [
        {"offset": "+1:00"},
        {"offset": "+1:00", "make": "Nikon"},
        {"model": "D7500"},
        {"model": "D7500", "offset": "1:00"},
        {"model": "D7500", "offset": "0:00"},
        {"model": "D7500", "offset": "+0:00"},
        {"model": "D7500", "offset": "+1"},
        {"model": "D7500", "offset": 3600},
        {"model": "D7500", "offset": timedelta(days=99_999)},
        {"model": "", "offset": "+1:00"},
        {"model": 7500, "offset": "+1:00"},
        {"model": "D7500", "offset": "+1:00", "since": "yesterday"},
        {"model": "D7500", "offset": "+1:00", "since": date(2012, 1, 1)},
        {"model": "D7500", "offset": "+1:00", "until": datetime(2012, 1, 1, tzinfo=UTC)},
        {"model": "D7500", "offset": "+1:00", "color": "black"},
    ],
)
def test_values_that_are_no_clock_are_errors(values: dict[str, Any]) -> None:
    """A clock needs a camera and an offset, and times of its own."""
    with pytest.raises(ConfigError):
        CameraClock.from_dict(values)


# --- the photo that shows the clock


def photo(taken: str | None = "2012:01:01 00:00:42") -> bytes:
    inner = {dated.SERIAL: "7001234"} | ({dated.TAKEN: taken} if taken is not None else {})
    return dated.jpeg(b"Exif\0\0" + dated.tiff({dated.MAKE: "NIKON", dated.MODEL: "D7500"}, inner))


def test_a_photo_of_a_clock_gives_the_correction(tmp_path: Path) -> None:
    """The camera and the offset are those of the photo, whether it is a path, a stream or bytes."""
    expected = CameraClock(make="NIKON", model="D7500", serial="7001234", offset=OFFSET, until=SHOWS)
    (tmp_path / "clock.jpg").write_bytes(photo())
    for given in (tmp_path / "clock.jpg", str(tmp_path / "clock.jpg"), io.BytesIO(photo()), photo()):
        assert CameraClock.from_photo(given, shows=SHOWS, until=SHOWS) == expected
    aware = SHOWS.replace(tzinfo=SYDNEY).astimezone(UTC)
    assert CameraClock.from_photo(photo(), shows=aware, zone=SYDNEY, until=SHOWS) == expected
    with pytest.raises(ConfigError, match="zone="):
        CameraClock.from_photo(photo(), shows=aware)


@pytest.mark.parametrize("content", [b"", photo(None), pictures.EXE, dated.dated()["webp, xmp"][1]])
def test_a_photo_that_says_too_little_is_an_error(content: bytes, tmp_path: Path) -> None:
    """Without a time and a camera, nothing can be corrected."""
    with pytest.raises(ConfigError):
        CameraClock.from_photo(content, shows=SHOWS)
    with pytest.raises(ConfigError):
        CameraClock.from_photo(tmp_path / "missing.jpg", shows=SHOWS)


# --- files


def test_a_file_has_a_clock_for_each_camera(tmp_path: Path) -> None:
    """TOML and JSON are read, with offsets and with photos; the path of a photo starts at the file."""
    (tmp_path / "clock.jpg").write_bytes(photo())
    toml = (
        '[[clock]]\nmodel = "D750"\noffset = "-1:00"\nsince = 2019-10-27T00:00:00\n'
        '[[clock]]\nphoto = "clock.jpg"\nshows = 2019-05-02T09:14:30\nuntil = "2013-01-01T00:00:00"\n'
    )
    expected = [
        CameraClock(model="D750", offset=timedelta(hours=-1), since="2019-10-27T00:00:00"),
        CameraClock(
            make="NIKON", model="D7500", serial="7001234", offset=OFFSET, until="2013-01-01T00:00:00"
        ),
    ]
    (tmp_path / "clocks.toml").write_text(toml)
    assert read_clocks(tmp_path / "clocks.toml") == expected
    values = [clock.to_dict() for clock in expected[:1]]
    values.append({"photo": "clock.jpg", "shows": "2019-05-02T09:14:30", "until": "2013-01-01T00:00:00"})
    (tmp_path / "clocks.json").write_text(json.dumps({"clock": values}))
    assert read_clocks(tmp_path / "clocks.json") == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "[clock]", "clock = 5", "clock = [5]", "clock = []", "[[clock", "[[camera]]\nmodel='D7500'",
        "[[clock]]\nmodel='D7500'\noffset='1h'", "[[clock]]\nphoto='clock.jpg'",
        "[[clock]]\nphoto='clock.jpg'\nshows='noon'", "[[clock]]\nphoto='clock.jpg'\nshows=2019-05-02",
        "[[clock]]\nphoto='clock.jpg'\nshows=2019-05-02T09:14:30\nmodel='D7500'",
        "[[clock]]\nphoto='missing.jpg'\nshows=2019-05-02T09:14:30",
    ],
)  # fmt: skip
def test_files_that_have_no_clocks_are_errors(text: str, tmp_path: Path) -> None:
    """Other tables, missing values and unknown values are errors."""
    (tmp_path / "clock.jpg").write_bytes(photo())
    (tmp_path / "clocks.toml").write_text(text)
    with pytest.raises(ConfigError):
        read_clocks(tmp_path / "clocks.toml")


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    """A missing file, bytes that are not text, and text that is not JSON."""
    (tmp_path / "clocks.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "clocks.json").write_text("[" * 100_000)
    for name in ("missing.toml", "clocks.toml", "clocks.json"):
        with pytest.raises(ConfigError):
            read_clocks(tmp_path / name)
