"""The clock, and the time zone of the practice."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs

from intouch_import.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

__all__ = ["SYSTEM_CLOCK", "Clock", "zone_of"]

_UTC_NOW = partial(datetime.now, UTC)


@attrs.frozen(kw_only=True)
class Clock:
    """A clock. A test can pass another one.

    Args:
        now: Returns the wall time, aware.
        monotonic_s: Returns seconds that never go back.
        sleep: Waits for a number of seconds.
    """

    now: Callable[[], datetime] = _UTC_NOW
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()


def zone_of(zone: str | tzinfo | None) -> tzinfo:
    """Return the time zone of the practice.

    Args:
        zone: A name (``"Australia/Sydney"``) or a time zone; None for the time zone of this computer.

    Raises:
        ConfigError: No time zone has this name, or the time zone of this computer has no name.
    """
    if zone is None:
        import tzlocal

        try:
            found: tzinfo = tzlocal.get_localzone()
        except (OSError, ValueError, KeyError) as exc:
            raise ConfigError("this computer's time zone has no name: give the practice's zone") from exc
        return found
    if isinstance(zone, str):
        try:
            return ZoneInfo(zone)
        except (OSError, ValueError, KeyError) as exc:  # ZoneInfoNotFoundError is a KeyError
            raise ConfigError("there is no time zone of this name") from exc
    name = getattr(zone, "zone", None)
    if isinstance(name, str) and hasattr(zone, "localize"):
        return zone_of(name)  # a zone of pytz: attached to a time, it would give local mean time
    return zone
