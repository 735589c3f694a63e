"""How fast a run may go, and when: files and bytes a second, hours of the day, pause and cancel."""

from __future__ import annotations

import contextlib
import enum
import re
import threading
import time
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.clock import Clock
from intouch_import.errors import ConfigError
from intouch_import.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intouch_import.model import SourceFile

__all__ = ["Clocks", "Limits", "Order", "Pacer", "Signal"]

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24(?=:00)):([0-5]\d)")
_LOOKED_AT_EVERY_S: Final = 0.5
_LONGEST_SLEEP_S: Final = 0.2


class Order(enum.StrEnum):
    """What a run was told last."""

    GO = "go"
    PAUSE = "pause"
    CANCEL = "cancel"


class Signal:
    """What a run was told, across threads; and across processes, through a file beside the plan.

    Args:
        path: The file; None within one process.
        monotonic_s: Seconds that never go back.
    """

    def __init__(
        self, path: Path | None = None, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._monotonic_s = monotonic_s
        self._order = Order.GO
        self._looked_at_s = float("-inf")

    def tell(self, order: Order) -> None:
        """Say it to everybody who looks."""
        self._order = order
        if self._path is not None:
            self._path.write_text(order.value, "ascii")

    @property
    def order(self) -> Order:
        """What was told last; of another process, within half a second."""
        if self._path is not None and self._monotonic_s() - self._looked_at_s >= _LOOKED_AT_EVERY_S:
            self._looked_at_s = self._monotonic_s()
            with contextlib.suppress(OSError, ValueError):  # it is being written
                self._order = Order(self._path.read_text("ascii"))
        return self._order


def _hours_of(text: str | None) -> tuple[int, int] | None:
    """Minutes of the day from and to."""
    if text is None:
        return None
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ConfigError('hours= is written "18:00-07:00"')
    start_h, start_m, end_h, end_m = map(int, match.groups())
    start, end = start_h * 60 + start_m, end_h * 60 + end_m
    if start == end:
        raise ConfigError("hours= begins and ends at the same time: leave it out to work at all hours")
    return start, end


def _above_0(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigError(f"{attribute.name}= is above 0; leave it out to set no limit")


@attrs.frozen(kw_only=True)
class Limits:
    """How fast a run may go.

    Args:
        files_per_s, bytes_per_s: At most; None sets no limit.
        hours: When it may work, ``"18:00-07:00"`` by the clock of ``zone``; outside, it waits. None: always.
        zone: The zone of the hours, by name; None is this machine's.

    Raises:
        ConfigError: One of them makes no sense.
    """

    files_per_s: float | None = attrs.field(default=None, validator=_above_0)
    bytes_per_s: float | None = attrs.field(default=None, validator=_above_0)
    hours: str | None = attrs.field(default=None)
    zone: str | None = None

    @hours.validator
    def _check_hours(self, _attribute: object, value: str | None) -> None:
        _hours_of(value)

    def shared_by(self, tasks: int) -> Limits:
        """The part of one of so many tasks that work at the same time."""
        return attrs.evolve(
            self,
            files_per_s=self.files_per_s and self.files_per_s / tasks,
            bytes_per_s=self.bytes_per_s and self.bytes_per_s / tasks,
        )


Clocks = Clock


class Pacer:
    """Holds every file back until its turn. Used by all threads of one process together."""

    def __init__(self, limits: Limits, signal: Signal, clocks: Clocks) -> None:
        self._limits = limits
        self._hours = _hours_of(limits.hours)
        self._zone: tzinfo = zone_of(limits.zone) if limits.hours else UTC
        self._signal = signal
        self._clocks = clocks
        self._lock = threading.Lock()
        self._free_at_s = clocks.monotonic_s()

    @property
    def cancelled(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._signal.order is Order.CANCEL

    @property
    def holds(self) -> bool:
        """Whether no file may be begun now: it is paused or cancelled, or outside the hours."""
        return self._signal.order is not Order.GO or not self.is_open()

    def wait(self) -> None:
        """Wait until files may be begun; return at once when all is cancelled."""
        while self.holds and not self.cancelled:
            self._clocks.sleep(_LONGEST_SLEEP_S)

    def __call__(self, file: SourceFile) -> None:
        """Wait for the turn of a file; return at once where none may be begun.

        A pause is not waited for here: the files that were begun before it would stay half done, and open,
        for as long as it lasts.
        """
        if self.holds:
            return
        cost_s = self._cost_s(file.size_bytes)
        with self._lock:
            turn_s = max(self._free_at_s, self._clocks.monotonic_s())
            self._free_at_s = turn_s + cost_s
        while (wait_s := turn_s - self._clocks.monotonic_s()) > 0 and not self.holds:
            self._clocks.sleep(min(wait_s, _LONGEST_SLEEP_S))

    def is_open(self) -> bool:
        """Whether the hours allow to work now."""
        if self._hours is None:
            return True
        start, end = self._hours
        local = self._clocks.now().astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        return start <= minute < end if start <= end else minute >= start or minute < end

    def _cost_s(self, size_bytes: int) -> float:
        limits = self._limits
        return max(
            1 / limits.files_per_s if limits.files_per_s else 0.0,
            size_bytes / limits.bytes_per_s if limits.bytes_per_s else 0.0,
        )
