"""What ``watch`` prints, and how it ends."""

from __future__ import annotations

import json as json_text
import signal
import sys
from typing import TYPE_CHECKING, Any

from intouch_import.cli import show
from intouch_import.model import printable

if TYPE_CHECKING:
    from intouch_import.inbox import Changes, Inbox, Row

__all__ = ["run_watch"]


def run_watch(inbox: Inbox, *, json: bool) -> None:
    """Print what changes, until a signal asks to end. Files that are being moved then are moved to the end.

    Args:
        inbox: Whose list.
        json: Print lines of JSON, one for each time that something changes.
    """
    with inbox.watch() as watching:

        def end(*_: object) -> None:
            watching.stop()

        before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            for changes in watching:
                if json:
                    sys.stdout.write(json_text.dumps(_as_dict(changes)) + "\n")
                    sys.stdout.flush()
                else:
                    _print(changes)
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def _as_dict(changes: Changes) -> dict[str, Any]:
    return {
        "new": [show.row_dict(row) for row in changes.new],
        "changed": [show.row_dict(row) for row in changes.changed],
        "gone": [_gone(row) for row in changes.gone],
        "moved": [outcome.to_dict() for outcome in changes.moved],
        "problems": [
            {"location": one.location, "source_id": one.source_id, "text": one.text}
            for one in changes.problems
        ],
    }


def _gone(row: Row) -> dict[str, Any]:
    return {"name": printable(row.name), "source_id": row.source_id}


def _print(changes: Changes) -> None:
    def say(sign: str, name: str, text: str) -> None:
        show.console.print(f"{sign} {printable(name)}  {text}", markup=False, highlight=False)

    for outcome in changes.moved:
        say("→", outcome.name, f"{outcome.state.value}: {outcome.reason.text}")
    for sign, rows in (("+", changes.new), ("~", changes.changed)):
        for row in rows:
            say(sign, row.name, f"{row.state.value}: {row.reason.text}")
    moved = {(outcome.source_id, outcome.name) for outcome in changes.moved}
    for row in changes.gone:
        if (row.source_id, row.name) not in moved:
            say("-", row.name, "no longer there")
    for problem in changes.problems:
        show.complain_of(problem)
