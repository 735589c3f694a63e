"""Several workstations, each a process, that begin their work in the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miniature import Practice

__all__ = ["race"]

# Waits for a line on its input, so that all begin in the same moment.
_WORKSTATION = """\
import json, sys
from datetime import UTC, datetime
from intouch_import.clock import Clock
from intouch_import import Inbox, open_source
from intouch_import.repositories.sql import SqlRepository
database, files, folder, patient, token, options = json.loads(sys.argv[1])
if token is not None:
    options["signin"] = lambda force=False: token
with SqlRepository.open(database, files=files) as records, open_source(folder, **options) as source:
    inbox = Inbox(records, [source], zone="UTC", settle_s=0, clock=Clock(now=lambda: datetime(2026, 3, 1, tzinfo=UTC)))
    if patient:
        inbox.refresh()
    print("ready", flush=True)
    sys.stdin.readline()
    report = inbox.save(inbox.prepare(inbox.rows, patient=patient)) if patient else inbox.refresh()
    print(json.dumps(report.to_dict()), flush=True)
"""


def race(
    practice: Practice,
    folder: str,
    patients: Sequence[str | None],
    *,
    token: str | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Let workstations do their work at once.

    Args:
        practice: Whose records.
        folder: Where the photos are.
        patients: For each workstation whom everything is saved to; None: it refreshes.
        token: An access token, where the location takes one.
        options: What else the location needs.

    Returns:
        What each reports.
    """
    started = []
    for patient in patients:
        order = json.dumps([practice.url, str(practice.files), folder, patient, token, options])
        command = [sys.executable, "-c", _WORKSTATION, order]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(len(started)) as pool:
        said = list(pool.map(lambda process: process.communicate("go\n", timeout=120)[0], started))
    assert [process.returncode for process in started] == [0] * len(started)
    return [json.loads(text) for text in said]
