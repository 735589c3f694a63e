"""`Clock`: where the library takes the time from."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SYSTEM_CLOCK", "Clock"]

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
