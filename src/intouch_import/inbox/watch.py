"""`Watch`: keep a list up to date, and yield what has changed.

A watch listens to locations that report changes, each in its own thread. It lists the other locations again
and again, less often while nothing changes. It lists every location now and then, whatever that location
reports: a network folder does not report the changes of other machines, and a patient may have been added.

A watch waits for no person. A missing sign-in is a problem (`Problem.sign_in`) until somebody signs in, by a
refresh or by `Source.sign_in` in another thread.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final, Protocol, Self

import attrs

from intouch_import.closing import Closable
from intouch_import.model import Action
from intouch_import.reports import LEDGER, RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from intouch_import.inbox.rows import Row
    from intouch_import.model import Progress, Reason, State
    from intouch_import.reports import Outcome, Problem, Report
    from intouch_import.sources.base import Source
    from intouch_import.sources.opening import Unopened

__all__ = ["Changes", "Pace", "Watch"]

_SLICE_S: Final = 0.5  # how long a listener waits at a time, and so how long it may take to end
_END_S: Final = 1.5  # how long the end waits for listeners; a service that delays its answer is left behind
_BEGIN_S: Final = 2.0  # how long the first list waits for listeners to begin
_LOOK_AT_STOP_S: Final = 0.25
_LONGEST_FAILURE_S: Final = 60.0
_EVERYTHING: Final = ""  # no source has this id
_NOTHING_S: Final = 60.0  # a watch over no location still checks whether it should end


class Watched(Protocol):
    """What a watch needs of an `Inbox`."""

    @property
    def sources(self) -> tuple[Source, ...]: ...
    @property
    def unopened(self) -> tuple[Unopened, ...]: ...
    @property
    def rows(self) -> list[Row]: ...
    def refresh(
        self,
        *,
        on_progress: Callable[[Progress], object] | None,
        cancel: threading.Event | None,
        only: Collection[str] | None,
        sign_in: bool,
    ) -> Report: ...


@attrs.frozen(kw_only=True)
class Pace:
    """How often a watch lists its locations.

    Args:
        soonest_s: Minimum time between two refreshes, seconds. Changes in between are taken together.
        first_s: How soon to list a location again after a change, if it can't report changes; seconds.
        longest_s: Maximum time between two listings of a location, seconds. While nothing changes, the time
            doubles from ``first_s`` to this. It applies to locations that report changes too.
    """

    soonest_s: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))
    first_s: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    longest_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))


@attrs.frozen(kw_only=True, repr=False)
class Changes:
    """What has changed since the last refresh of a watch.

    Args:
        report: The report of this refresh, about the locations that it listed.
        new: Rows that were not in the list before.
        changed: Rows whose file, state or reason has changed.
        gone: Rows that are no longer in the list: imported, saved, or removed by somebody.
        moved: The files that the refresh imported, or tried to import.
        problems: All locations that are failing now.
    """

    report: Report
    new: tuple[Row, ...] = ()
    changed: tuple[Row, ...] = ()
    gone: tuple[Row, ...] = ()
    moved: tuple[Outcome, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Changes {len(self.new)} new, {len(self.changed)} changed, {len(self.gone)} gone, "
            f"{len(self.moved)} moved, {len(self.problems)} problems>"
        )


class Watch(Closable):
    """An iterator of `Changes`, made by `Inbox.watch`. Use it in one thread, and as a context manager.

    The iteration raises what `Inbox.refresh` raises (the records failed: the host must look). The watch stays
    usable: ask for the next changes, and it tries again.

    Args:
        inbox: The inbox to watch.
        stop: Ends the iteration once it is set; None where `stop` is enough.
        on_progress: See `Inbox.refresh`.
        pace: How often to list the locations.
    """

    def __init__(
        self,
        inbox: Watched,
        *,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        pace: Pace,
    ) -> None:
        self._inbox = inbox
        self._on_progress = on_progress
        self._pace = pace
        self._signals = _Signals(stop)
        self._looks: dict[str, _Look] = {}
        self._everything = _Look(pace)
        self._shown: dict[tuple[str, str], tuple[Row, str, State, Reason]] | None = None
        self._problems: dict[tuple[str, str], Problem] = {}
        self._next_s = 0.0
        # Also at the end of the program: a listener that is killed in the middle may crash it.
        self._finalizer = weakref.finalize(self, self._signals.end)

    def stop(self) -> None:
        """End the iteration, from any thread."""
        self._signals.stop()

    def close(self) -> None:
        """End the iteration and its threads. Call it in the thread that iterates."""
        self._finalizer()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Changes:
        while True:
            self._begin()
            due = self._wait()
            if self._signals.is_set():
                self.close()
                raise StopIteration
            changes = self._refresh(due)
            if changes is not None:
                return changes

    def __repr__(self) -> str:
        return f"<Watch {len(self._looks)} locations>"

    # --- when to look

    def _begin(self) -> None:
        """Listen to new sources before they are listed, so that no change is missed in between."""
        new = [source for source in self._inbox.sources if source.source_id not in self._looks]
        self._looks |= {source.source_id: _Look(self._pace) for source in new}
        begun = [
            self._signals.listen(source, self._looks[source.source_id])
            for source in new
            if source.reports_changes
        ]
        until_s = time.monotonic() + _BEGIN_S
        for one in begun:
            one.wait(max(0.0, until_s - time.monotonic()))

    def _wait(self) -> list[str]:
        """Wait until locations are due, and return their ids. Empty at the end of the watch."""
        looks = dict(self._looks)
        # A location that is not open has no id: it is tried when everything is listed, which has its own due
        # time. Tried only when all other locations happen to be due at once, it might never be.
        if self._shown is None or any(one.may_open for one in self._inbox.unopened):
            looks[_EVERYTHING] = self._everything
        return self._signals.wait_for(looks, not_before_s=self._next_s)

    # --- looking

    def _refresh(self, due: Collection[str]) -> Changes | None:
        all_looks = {**self._looks, _EVERYTHING: self._everything}
        everything = _EVERYTHING in due
        looks = all_looks if everything else {source_id: all_looks[source_id] for source_id in due}
        for look in looks.values():
            look.begin()
        try:
            report = self._inbox.refresh(
                on_progress=self._on_progress,
                cancel=self._signals,
                only=None if everything else list(looks),
                sign_in=False,  # it would block the watch for minutes
            )
        except BaseException:
            for look in looks.values():
                look.end(failed=True)
            raise
        finally:
            self._next_s = time.monotonic() + self._pace.soonest_s
        return self._compare(report, looks)

    def _compare(self, report: Report, looks: dict[str, _Look]) -> Changes | None:
        before = self._shown
        rows = self._inbox.rows
        after = self._shown = {(row.source_id, row.name): _shown(row) for row in rows}
        known = before or {}
        new = tuple(row for key, (row, *_) in after.items() if key not in known)
        changed = tuple(
            shown[0] for key, shown in after.items() if key in known and known[key][1:] != shown[1:]
        )
        gone = tuple(shown[0] for key, shown in known.items() if key not in after)
        moved: tuple[Outcome, ...] = getattr(report.outcomes, "moved", ())
        problems_changed = self._note_problems(report, looks)
        self._end_looks(looks, report, {row.source_id for row in (*new, *changed, *gone)}, rows)
        if before is not None and not (new or changed or gone or moved or problems_changed):
            return None
        problems = tuple(self._problems.values())
        return Changes(report=report, new=new, changed=changed, gone=gone, moved=moved, problems=problems)

    def _note_problems(self, report: Report, looks: dict[str, _Look]) -> bool:
        """Update the problems of the locations that were listed; return whether any has changed."""
        before = {key: problem.text for key, problem in self._problems.items()}
        unopened = {("", one.location): one.problem for one in self._inbox.unopened}
        here = {
            (one.source_id, one.location): one
            for one in report.problems
            if one.source_id or one.location in (RECORDS, LEDGER)
        }
        kept = {key: one for key, one in self._problems.items() if key[0] and key[0] not in looks}
        self._problems = kept | here | unopened
        return before != {key: problem.text for key, problem in self._problems.items()}

    def _end_looks(
        self, looks: dict[str, _Look], report: Report, changed: set[str], rows: Iterable[Row]
    ) -> None:
        arriving = {row.source_id for row in rows if row.verdict.action is Action.ARRIVING}
        failing = {problem.source_id for problem in report.problems}
        for source_id, look in looks.items():
            look.end(
                changed=source_id in changed,
                restless=source_id in arriving,
                failed=source_id in failing,
            )


def _shown(row: Row) -> tuple[Row, str, State, Reason]:
    return row, row.version, row.state, row.reason


class _Look:
    """When to list one location again.

    Attributes:
        listening: Whether the location would report a change.
        told: Whether it has reported one.
        over: Set when the reported change has been listed.
    """

    def __init__(self, pace: Pace) -> None:
        self.listening = False
        self.told = False
        self.over = threading.Event()
        self._pace = pace
        self._interval_s = pace.first_s
        self._due_s = time.monotonic()
        self._deaf_until_s = 0.0

    @property
    def next_s(self) -> float:
        """When the location is due, on the monotonic clock, as all times here."""
        return min(self._due_s, self._deaf_until_s) if self.told else self._due_s

    def begin(self) -> None:
        """Begin a listing: what the location reports from here on is new."""
        self.told = False

    def end(self, *, changed: bool = False, restless: bool = False, failed: bool = False) -> None:
        """End a listing.

        Args:
            changed: Whether something has just changed in the location.
            restless: Whether it must be listed again soon although it reports changes: a file is arriving.
            failed: Whether the listing failed. Until it is due again, its reports are ignored.
        """
        now_s, pace = time.monotonic(), self._pace
        self._interval_s = pace.first_s if changed else min(self._interval_s * 2, pace.longest_s)
        quiet = self.listening and not restless and not failed
        self._due_s = now_s + (pace.longest_s if quiet else self._interval_s)
        self._deaf_until_s = self._due_s if failed else now_s
        self.over.set()


class _Signals(threading.Event):
    """What the threads of a watch share. As an event, it is set once the watch must end."""

    def __init__(self, stop: threading.Event | None) -> None:
        super().__init__()
        self._stop = stop
        self._looks: list[_Look] = []
        self._told = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._pid = os.getpid()

    def is_set(self) -> bool:
        return super().is_set() or (self._stop is not None and self._stop.is_set())

    def stop(self) -> None:
        """Make the watch end."""
        self.set()
        with self._told:
            self._told.notify_all()
        for look in self._looks:
            look.over.set()

    def end(self) -> None:
        """End the threads. A forked child has none, and a lock may stay locked in it for ever."""
        if self._pid != os.getpid():
            return
        self.stop()
        for thread in self._threads:
            thread.join(_END_S)

    def wait_for(self, looks: dict[str, _Look], *, not_before_s: float) -> list[str]:
        """Wait until locations are due, and return their ids. Empty at the end of the watch."""
        with self._told:
            while not self.is_set():
                now_s = time.monotonic()
                next_s = min((look.next_s for look in looks.values()), default=now_s + _NOTHING_S)
                wait_s = max(next_s, not_before_s) - now_s
                if wait_s <= 0:
                    return [source_id for source_id, look in looks.items() if look.next_s <= now_s]
                self._told.wait(wait_s if self._stop is None else min(wait_s, _LOOK_AT_STOP_S))
            return []

    def listen(self, source: Source, look: _Look) -> threading.Event:
        """Listen to a source in a thread; the event is set once it has begun."""
        begun = threading.Event()
        self._looks.append(look)
        # A daemon: a service may hold a request open for minutes, and the program must be able to end.
        thread = threading.Thread(
            target=self._listen, args=(source, look, begun), name="intouch-watch", daemon=True
        )
        self._threads.append(thread)
        thread.start()
        return begun

    def _listen(self, source: Source, look: _Look, begun: threading.Event) -> None:
        failures = 0
        timeout_s = 0.0
        while not self.is_set():
            try:
                changed = source.wait_for_change(timeout_s)
            except Exception:  # noqa: BLE001  # whatever is wrong, the listing will report it
                look.listening = False
                begun.set()
                failures += 1
                self.wait(min(_LONGEST_FAILURE_S, _SLICE_S * 2.0**failures))
                continue
            failures, look.listening = 0, True
            if changed and timeout_s > 0:
                look.over.clear()
                if self.is_set():
                    break  # the end came before `over` was cleared: nobody would set it again
                with self._told:
                    look.told = True
                    self._told.notify_all()
                # Wait for the listing: asked again at once, the location would report the same change.
                look.over.wait()
            timeout_s = _SLICE_S
            begun.set()
