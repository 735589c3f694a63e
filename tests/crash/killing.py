"""A process that forks children which import files and are killed: ``python killing.py``, one order a line.

It is started once for many kills, since imports and the compilation of SQL take most of the time. Between two
orders it has one thread and no connection, so that forking it is safe; pytest's own process is neither.

An order is a JSON object: ``database`` and ``files`` (the practice), ``folder`` and ``source_id`` (the photos), ``work``
(``refresh``, ``save``, ``undo`` or ``reassign``), ``patient`` (whom to save or reassign to), ``import_id`` (what to undo or reassign), ``leases``
(whether the kernel may give them), and when to kill: ``step`` (the number of a step, from 1) or ``after_s``
(seconds), or null for both. Without ``fork`` the work is done in this process, to warm it up. With ``ends`` only the ends of steps are numbered, not their beginnings. The answer is
one line: the names of the steps taken, how long it took in seconds, and whether it was killed.

A location other than a local folder adds ``options`` for `open_source` (a ``token`` stands for a sign-in) and
``watch``, its own steps: ``[module, class, method]`` each.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import alembic.config
import alembic.runtime.environment
import alembic.script  # noqa: F401  # these three are imported when a database is opened: here, once for all
from sqlalchemy.engine.default import DefaultDialect

from intouch_import import disk
from intouch_import.clock import Clock
from intouch_import.content import StagedContent
from intouch_import.inbox import Inbox
from intouch_import.ledger import Ledger
from intouch_import.repositories.files import DirectoryFiles
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import open_source
from intouch_import.sources.hard_link import LeasedContent
from intouch_import.sources.local import LocalSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.sources import Source

NOW = datetime(2026, 3, 1, tzinfo=UTC)

# Whatever leaves a trace on a disk or in a database, from the call that means it down to the system call. What
# only reads has no steps of its own: a kill there is a kill before the next step.
STEPS: tuple[tuple[Any, str], ...] = (
    (LocalSource, "fetch"),
    (LocalSource, "remove"),
    (LocalSource, "sync"),
    (LocalSource, "put"),
    (LeasedContent, "save_to"),
    (LeasedContent, "settle"),
    (LeasedContent, "close"),
    (StagedContent, "save_to"),
    (StagedContent, "close"),
    (SqlRepository, "add_many"),
    (SqlRepository, "open_attachment"),
    (SqlRepository, "reassign"),
    (SqlRepository, "withdraw"),
    (DirectoryFiles, "place"),
    (DirectoryFiles, "sync"),
    (DirectoryFiles, "delete"),
    (Ledger, "append"),
    (disk, "take_lease"),
    (disk, "digest_file"),
    (disk, "digest_stream"),
    (disk, "copy_and_digest"),
    (disk, "sync_many"),
    (disk, "publish"),
    (DefaultDialect, "do_commit"),
    (os, "link"),
    (os, "unlink"),
    (os, "rename"),
    (os, "replace"),
    (os, "fsync"),
)


class Steps:
    """Counts the steps of this process, tells each to the parent, and ends the process at one of them."""

    def __init__(self, pipe: int, last: int | None, *, ends: bool) -> None:
        self._pipe = pipe
        self._last = last
        self._ends = ends
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            os.write(self._pipe, f"{name}\n".encode())
            # From the end of one step to the beginning of the next nothing has been written anywhere.
            if self._ends and name.startswith("before"):
                return
            self._count += 1
            if self._count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str) -> None:
        """Make a function a step before it begins and another one after it has ended."""
        function: Callable[..., Any] = getattr(owner, name)
        label = f"{getattr(owner, '__name__', owner)}.{name}"

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self(f"before {label}")
            try:
                return function(*args, **kwargs)
            finally:
                self(f"after {label}")

        setattr(owner, name, watched)

    def watch_statements(self) -> None:
        """Make the statements that change a database steps."""
        for name in ("do_execute", "do_executemany"):
            function = getattr(DefaultDialect, name)

            def watched(
                dialect: Any, cursor: Any, statement: str, *rest: Any, _function: Any = function, **more: Any
            ) -> Any:
                verb = statement.split(maxsplit=1)[0]
                if verb not in {"INSERT", "DELETE", "UPDATE"}:
                    return _function(dialect, cursor, statement, *rest, **more)
                self(f"before {verb}")
                try:
                    return _function(dialect, cursor, statement, *rest, **more)
                finally:
                    self(f"after {verb}")

            setattr(DefaultDialect, name, watched)


@functools.cache
def records_of(database: str, files: str) -> SqlRepository:
    """The records of a practice, opened once: with it come compiled SQL and a schema that was looked at."""
    return SqlRepository.open(database, files=files)


def work(order: dict[str, Any], steps: Steps | None) -> None:
    """What a workstation does, with every step watched."""
    if not order["leases"]:
        disk.take_lease = lambda fd: disk.Lease.UNAVAILABLE  # type: ignore[assignment]  # as on most systems
    records = records_of(order["database"], order["files"])
    with open_photos(order) as source:
        # Looking into files only reads, and would start a decoding process for every kill.
        inbox = Inbox(
            records, [source], zone="UTC", settle_s=0.0, clock=Clock(now=lambda: NOW), check_content=False
        )
        if order["work"] == "save":
            inbox.refresh()
        if steps is not None:
            watch(order, steps)
        match order["work"]:
            case "refresh":
                inbox.refresh()
            case "save":
                if rows := inbox.rows:
                    inbox.save(inbox.prepare(rows, patient=order["patient"]))
            case "undo":
                inbox.undo(order["import_id"])
            case "reassign":
                inbox.reassign(order["import_id"], patient=order["patient"])


def open_photos(order: dict[str, Any]) -> Source:
    """The folder of photos, wherever it is."""
    options = dict(order.get("options") or {})
    token = options.pop("token", None)
    if token is not None:
        options["signin"] = lambda _force=False: token
    return open_source(order["folder"], source_id=order["source_id"], **options)


def watch(order: dict[str, Any], steps: Steps) -> None:
    """Watch the steps of this library, and those of the location."""
    for owner, name in STEPS:
        steps.watch(owner, name)
    for module, owner, name in order.get("watch") or ():
        steps.watch(getattr(importlib.import_module(module), owner), name)
    steps.watch_statements()


def child(order: dict[str, Any], pipe: int) -> None:
    """Do the work in this forked process, and leave it without any farewell."""
    code = 1
    try:
        work(order, Steps(pipe, order["step"], ends=order["ends"]))
        code = 0
    except BaseException as exc:  # the traceback goes to the parent's stderr
        sys.excepthook(type(exc), exc, exc.__traceback__)
    finally:
        os._exit(code)


def warm_up(order: dict[str, Any]) -> dict[str, Any]:
    """Do the work here, so that children need not compile SQL; then let go of every connection."""
    work(order, None)
    records_of(order["database"], order["files"]).engine.dispose()
    gc.collect()
    gc.freeze()
    return {"steps": [], "took_s": 0.0, "killed": False}


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Fork a child, kill it when the order says so, and tell what became of it."""
    reading, writing = os.pipe()
    began_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        child(order, writing)
    os.close(writing)
    if order["after_s"] is not None:
        time.sleep(order["after_s"])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with open(reading, encoding="utf-8") as pipe:
        steps = pipe.read().splitlines()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in {0, -signal.SIGKILL}:
        raise SystemExit(f"the child failed: {code}")
    return {"steps": steps, "took_s": time.monotonic() - began_s, "killed": code != 0}


if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(carry_out(order) if order["fork"] else warm_up(order)), flush=True)
