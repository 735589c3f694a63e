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
    """A clock. A test, or a host that replays the past, passes its own.

    Args:
        now: Return the wall time, aware.
        monotonic_s: Return seconds that never go back.
        sleep: Wait for this many seconds.
    """

    now: Callable[[], datetime] = _UTC_NOW
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()


def zone_of(zone: str | tzinfo | None) -> tzinfo:
    """The practice's time zone.

    Args:
        zone: A name (``"Australia/Sydney"``) or a zone; None for this machine's.

    Raises:
        ConfigError: No zone has that name, or this machine's has none.
    """
    if zone is None:
        import tzlocal

        try:
            found: tzinfo = tzlocal.get_localzone()
        except (OSError, ValueError, KeyError) as exc:
            raise ConfigError("this machine's time zone is not known by a name: give the practice's") from exc
        return found
    if isinstance(zone, str):
        try:
            return ZoneInfo(zone)
        except (OSError, ValueError, KeyError) as exc:  # ZoneInfoNotFoundError is a KeyError
            raise ConfigError("that time zone is not known") from exc
    name = getattr(zone, "zone", None)
    if isinstance(name, str) and hasattr(zone, "localize"):
        return zone_of(name)  # of pytz: a time that is simply given to it has the solar time of the place
    return zone
