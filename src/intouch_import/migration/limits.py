"""`RunOptions`, and when files are moved: limits per second, hours of the day, pause and cancel."""

from __future__ import annotations

import contextlib
import enum
import re
import threading
import time
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import attrs

from intouch_import import disk
from intouch_import.clock import SYSTEM_CLOCK, Clock, zone_of
from intouch_import.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from intouch_import.ledger import Ledger
    from intouch_import.migration.walking import AnyArchive
    from intouch_import.model import Progress, SourceFile

__all__ = ["OnProgress", "Pacer", "RunCommand", "RunControl", "RunOptions"]

OnProgress: TypeAlias = "Callable[[Progress], object] | str | None"

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24(?=:00)):([0-5]\d)")
_CHECK_EVERY_S: Final = 0.5
_LONGEST_SLEEP_S: Final = 0.2


def _minutes(hours: str | None) -> tuple[int, int] | None:
    """Parse ``"18:00-07:00"``: minutes of the day, from and to."""
    if hours is None:
        return None
    match = _HOURS.fullmatch(hours)
    if match is None:
        raise ConfigError('hours= is written "18:00-07:00"')
    start_h, start_m, end_h, end_m = map(int, match.groups())
    start, end = start_h * 60 + start_m, end_h * 60 + end_m
    if start == end:
        raise ConfigError("hours= begins and ends at the same time: leave it out to work at all hours")
    return start, end


def _above_0(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigError(f"{attribute.name}= must be above 0; leave it out for no limit")


def _check_hours(_instance: object, _attribute: object, value: str | None) -> None:
    _minutes(value)


@attrs.frozen(kw_only=True)
class RunOptions:
    """The options of `Plan.run`.

    Args:
        client: A Dask ``Client``: its workers carry out the plan. They must reach the plan's folder, the
            archive and the records under the same names. None: threads of this process.
        on_progress: Called with `Progress` after every partition; ``"tqdm"`` shows a bar.
        dry_run: Find out what a run would do, without reading, storing or moving any file. `Run.reasons` has
            the result.
        source: The archive, if opening it takes options that the plan does not keep, such as keys.
        threads: Greatest number of files that are read in parallel in each partition.
        window: Number of partitions, of 200 files each, that are carried out in parallel.
        files_per_s: Greatest number of files per second.
        bytes_per_s: Greatest number of bytes per second.
        hours: When to work, ``"18:00-07:00"`` in the plan's time zone. Outside these hours the run waits.
        check_content: Examine the content of every file, as `Inbox` does: a file with doubtful content waits.
            This also finds when photos were taken. False: check only the first and last bytes.
        operator: Who runs the plan, as the host names its staff; written into the ledger.
        ledger: As for `Inbox`. With ``client``, a URL or a path.
        clock: The clock; a test passes its own.

    Raises:
        ConfigError: A limit is not above 0, or the hours can't be read.
    """

    client: Any = attrs.field(default=None, repr=False)
    on_progress: OnProgress = attrs.field(default=None, repr=False)
    dry_run: bool = False
    source: AnyArchive | None = attrs.field(default=None, repr=False)
    threads: int | None = None
    window: int | None = None
    files_per_s: float | None = attrs.field(default=None, validator=_above_0)
    bytes_per_s: float | None = attrs.field(default=None, validator=_above_0)
    hours: str | None = attrs.field(default=None, validator=_check_hours)
    check_content: bool = True
    operator: str | None = attrs.field(default=None, repr=False)
    ledger: Ledger | str | os.PathLike[str] | None = attrs.field(default=None, repr=False)
    clock: Clock = SYSTEM_CLOCK

    def for_worker(self, *, tasks: int) -> Self:
        """Return the options of one of so many parallel tasks: picklable, with its share of the limits."""
        return attrs.evolve(
            self,
            client=None,
            on_progress=None,
            source=None,
            files_per_s=self.files_per_s and self.files_per_s / tasks,
            bytes_per_s=self.bytes_per_s and self.bytes_per_s / tasks,
            ledger=None,
            clock=SYSTEM_CLOCK,
        )


class RunCommand(enum.StrEnum):
    """The last command that a run was given."""

    GO = "go"
    PAUSE = "pause"
    CANCEL = "cancel"


@attrs.define(eq=False)
class RunControl:
    """Passes commands to all threads of a run and, through a file in the plan's folder, to other processes.

    Args:
        path: The file; None for a run in one process.
        monotonic_s: As in `Clock`.
    """

    _path: Path | None = None
    _monotonic_s: Callable[[], float] = attrs.field(default=time.monotonic, kw_only=True)
    _command: RunCommand = attrs.field(default=RunCommand.GO, init=False)
    _read_at_s: float = attrs.field(default=float("-inf"), init=False)

    def send(self, command: RunCommand) -> None:
        """Pass a command on."""
        self._command = command
        if self._path is not None:
            disk.create_private(self._path)
            self._path.write_text(command.value, "ascii")

    @property
    def command(self) -> RunCommand:
        """The last command. One from another process arrives within half a second."""
        if self._path is not None and self._monotonic_s() - self._read_at_s >= _CHECK_EVERY_S:
            self._read_at_s = self._monotonic_s()
            with contextlib.suppress(OSError, ValueError):  # the file is being written
                self._command = RunCommand(self._path.read_text("ascii"))
        return self._command


class Pacer:
    """Makes each file wait for its turn. Thread-safe. ``zone`` is the time zone of the hours."""

    def __init__(self, options: RunOptions, control: RunControl, *, zone: str | tzinfo) -> None:
        self._hours = _minutes(options.hours)
        self._zone = zone_of(zone) if options.hours else UTC
        self._s_per_file = 1 / options.files_per_s if options.files_per_s else 0.0
        self._s_per_byte = 1 / options.bytes_per_s if options.bytes_per_s else 0.0
        self._control = control
        self._clock = options.clock
        self._lock = threading.Lock()
        self._free_at_s = options.clock.monotonic_s()

    @property
    def cancelled(self) -> bool:
        """Whether the run is cancelled."""
        return self._control.command is RunCommand.CANCEL

    def is_closed(self) -> bool:
        """Return whether no file may begin now: paused, cancelled, or outside the hours."""
        if self._control.command is not RunCommand.GO:
            return True
        if self._hours is None:
            return False
        start, end = self._hours
        local = self._clock.now().astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        return not (start <= minute < end if start <= end else minute >= start or minute < end)

    def wait_until_open(self) -> bool:
        """Wait until files may begin, or the run is cancelled. Return whether that took any time."""
        waited = False
        while self.is_closed() and not self.cancelled:
            self._clock.sleep(_LONGEST_SLEEP_S)
            waited = True
        return waited

    def wait_for_turn(self, file: SourceFile) -> None:
        """Wait for the turn of a file. Return at once if no file may begin.

        It does not wait for the end of a pause: files that have begun would stay open until then.
        """
        if self.is_closed():
            return
        cost_s = max(self._s_per_file, file.size_bytes * self._s_per_byte)
        with self._lock:
            turn_s = max(self._free_at_s, self._clock.monotonic_s())
            self._free_at_s = turn_s + cost_s
        while (wait_s := turn_s - self._clock.monotonic_s()) > 0 and not self.is_closed():
            self._clock.sleep(min(wait_s, _LONGEST_SLEEP_S))
