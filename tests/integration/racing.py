"""One of many workstations at one folder: ``python racing.py``, one order a line.

It is started once for many rounds. An order is a JSON object: ``database`` and ``files`` (the practice), ``folder``
and ``source_id`` (the photos) and ``patient`` (whom everything that waits is saved to). The answer is "ready", and once
another line comes in, so that all begin at once, a second one: how often each state and reason was told.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from intouch_import.clock import Clock
from intouch_import.inbox import Inbox
from intouch_import.model import State
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.reports import Report

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@functools.cache
def records_of(database: str, files: str) -> SqlRepository:
    """The records of a practice, opened once."""
    return SqlRepository.open(database, files=files)


def work(order: dict[str, Any], wait: Callable[[], object]) -> Counter[str]:
    """Refresh, then save whatever waits, as long as there is something."""
    records = records_of(order["database"], order["files"])
    source = open_source(order["folder"], source_id=order["source_id"])
    inbox = Inbox(records, [source], zone="UTC", settle_s=0.0, clock=Clock(now=lambda: NOW))
    told: Counter[str] = Counter()
    wait()
    while True:
        count(told, inbox.refresh())
        waiting = [row for row in inbox.rows if row.state is State.WAITING]
        if not waiting:
            return told
        count(told, inbox.save(inbox.prepare(waiting, patient=order["patient"])))


def count(told: Counter[str], report: Report) -> None:
    """Add up what a report tells."""
    if not report.closes or report.problems:
        raise SystemExit("a report does not close, or a location failed")
    told.update(f"{outcome.state} {outcome.reason}" for outcome in report.outcomes)


def wait() -> None:
    """Say that everything is open, and wait until the others are as far."""
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    while line := sys.stdin.readline():
        print(json.dumps(work(json.loads(line), wait)), flush=True)
