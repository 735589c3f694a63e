"""Zones by name, and as hosts have them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from intouch_import.clock import zone_of
from intouch_import.verdicts import place_in_zone


class _Localizing(tzinfo):
    """As pytz has them: a time must be brought into the zone by `localize`; given to it, it has solar time."""

    zone = "Europe/Berlin"

    def localize(self, local: datetime) -> datetime:
        raise AssertionError("nobody but pytz knows of it")

    def utcoffset(self, when: datetime | None) -> timedelta:
        if when is None or when.tzinfo is None:
            raise LookupError("a time that comes twice")
        return timedelta(minutes=53)


def test_a_zone_that_would_give_solar_time_is_taken_by_its_name() -> None:
    """Django, and much else of before 2020, hands out pytz zones."""
    zone = zone_of(_Localizing())
    assert zone == ZoneInfo("Europe/Berlin")
    assert place_in_zone(datetime(2026, 7, 1, 12), zone)[0] == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.skipif(sys.platform == "win32", reason="the variable says nothing there")
@pytest.mark.parametrize("said", ["Mars/Phobos", "EST5EDT4,M3.2.0,M11.1.0", "../x"])
def test_a_machine_whose_zone_has_no_name_is_told(said: str) -> None:
    """Capture names can't be read in it; whoever opens an inbox there has to say which zone is meant."""
    program = (
        "from intouch_import.errors import ConfigError\n"
        "from intouch_import.clock import zone_of\n"
        "try:\n    zone_of(None)\nexcept ConfigError as exc:\n    print(exc)"
    )
    # In a process of its own: the machine's zone is asked for once.
    child = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": said},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "this computer's time zone" in child.stdout


def test_any_other_zone_is_taken_as_it_is() -> None:
    assert zone_of(UTC) is UTC
