"""Decoding in processes of their own, which a hostile picture may crash or hang, and nothing else with them.

A pool starts a worker when one is needed, reuses it for many files, replaces it when it has died or was
killed for being slow, and ends it when there has been nothing to do for a while. Workers are started as
plain programs, not forked: so it works in threads, in Jupyter, under any server, and the host's own
``__main__`` is never run again. What they are told and what they answer is described in `messages`.

Limits. On every system: pixels, frames, and time, after which the worker is killed. On Linux also memory
(``RLIMIT_AS``) and processor time; macOS keeps to the latter only; Windows has neither, and there
the limit on pixels is what bounds memory.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.media.boxes import read_fully
from intouch_import.media.messages import (
    ANSWER,
    MOST_BYTES,
    READ,
    READY,
    Limits,
    Look,
    Obstacle,
    Pipe,
    ProtocolError,
)
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from intouch_import.media.kinds import Kind

__all__ = ["DecodingPool", "NoWorkerError", "Worker", "own_command", "shared_pool"]

log = logging.getLogger(__name__)

_TRY_AGAIN_AFTER_S: Final = 300.0
_MOST_TASKS: Final = 2000
"""A worker is replaced after so many files: decoders leak."""
_MOST_WORKERS: Final = 4
_START_TIMEOUT_S: Final = 60.0
# What a worker needs to run, and nothing that a practice would keep secret.
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_ENVIRONMENT_PREFIX: Final = "COVERAGE_"
_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from intouch_import.media.worker import main; main()"
)


class DecodingPool:
    """Workers that decode, as many as are needed at once.

    May be used from several threads; each waits for its own answer. Survives a fork: the child starts
    workers of its own.

    Args:
        limits: How far one file may go.
        workers: How many processes at most; by default one for each processor, four at most.
        linger_s: How long a worker without work is kept, seconds.
        command: How to start a worker, if not with this Python: a program that calls
            ``intouch_import.media.worker.main``. A frozen program (PyInstaller and the like) needs it.
    """

    _workers: set[Worker]
    _idle: list[Worker]
    _keeper: threading.Thread | None

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        workers: int | None = None,
        linger_s: float = 30.0,
        command: Sequence[str] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._most_workers = workers or min(os.cpu_count() or 1, _MOST_WORKERS)
        self._linger_s = linger_s
        self._command = command
        self._forget()
        _pools.add(self)

    def look(self, stream: BinaryIO, *, kind: Kind, size_bytes: int, thumbnail_px: int | None = None) -> Look:
        """Decode a file.

        Args:
            stream: Its bytes; binary, seekable. Only what the decoder asks for is read.
            kind: What it is; no other decoder is tried.
            size_bytes: Its size in bytes.
            thumbnail_px: Longer side of a thumbnail to be made on the way, pixels; None for none.

        Raises:
            OSError: The stream could not be read.
        """
        task = {"kind": kind.value, "size_bytes": size_bytes, "thumbnail_px": thumbnail_px or 0}
        for retry in (True, False):
            try:
                worker = self._borrow()
            except NoWorkerError:
                return Look(soundness=Soundness.UNVERIFIED, obstacle=Obstacle.NO_WORKER)
            healthy = False
            try:
                look = worker.look(stream, task)
                healthy = True
            except ProtocolError:
                # A worker that was gone before it began (somebody else killed it) says nothing of the file.
                if worker.is_late or worker.began or not retry:
                    obstacle = Obstacle.TOO_SLOW if worker.is_late else Obstacle.CRASHED
                    log.warning("a decoding process was lost", extra={"obstacle": obstacle.value})
                    return Look(soundness=Soundness.UNVERIFIED, obstacle=obstacle)
            else:
                return look
            finally:
                self._give_back(worker, healthy=healthy)
        raise AssertionError("the second attempt returns or raises")

    def close(self) -> None:
        """End all workers. The pool can be used again."""
        with self._changed:
            workers, idle = self._workers, self._idle
            self._workers, self._idle = set(), []
        for worker in workers.difference(idle):
            # Its pipes are closed by the thread that uses it: a closed number may soon be another file's.
            worker.kill()
        for worker in idle:
            worker.end()

    # --- inside

    def _forget(self) -> None:
        """Begin without workers: at first, and in the child of a fork."""
        self._changed = threading.Condition()
        self._workers = set()
        self._idle = []
        self._busy = 0
        self._keeper = None
        self._no_worker_until_s = 0.0

    def after_fork(self) -> None:
        """In the child of a fork: let go of what is the parent's."""
        workers = self._workers
        self._forget()
        for worker in workers:
            worker.abandon()

    def _borrow(self) -> Worker:
        with self._changed:
            while not self._idle and self._busy >= self._most_workers:
                self._changed.wait()
            self._busy += 1
            if self._idle:
                worker = self._idle.pop()
                worker.idle_since_s = None
                worker.deadline_s = time.monotonic() + self.limits.time_s
                return worker
        try:
            return self._start()
        except NoWorkerError:
            with self._changed:
                self._busy -= 1
                self._changed.notify()
            raise

    def _start(self) -> Worker:
        if time.monotonic() < self._no_worker_until_s:
            raise NoWorkerError
        try:
            command = self._command or own_command()
            worker = Worker(command, self.limits)
            with self._changed:
                self._workers.add(worker)
                self._keep()
            try:
                worker.wait_until_ready()
            except NoWorkerError:
                with self._changed:
                    self._workers.discard(worker)
                raise
        except NoWorkerError:
            self._no_worker_until_s = time.monotonic() + _TRY_AGAIN_AFTER_S
            log.warning("no decoding process could be started: content is judged by its ends alone")
            raise
        worker.deadline_s = time.monotonic() + self.limits.time_s
        return worker

    def _give_back(self, worker: Worker, *, healthy: bool) -> None:
        with self._changed:
            self._busy -= 1
            keep = healthy and not worker.is_late and worker.tasks < _MOST_TASKS and worker in self._workers
            if keep:
                worker.idle_since_s = time.monotonic()
                self._idle.append(worker)
            else:
                self._workers.discard(worker)
            self._changed.notify()
        if not keep:
            worker.end()

    # --- the keeper: one thread that kills the late and ends the idle

    def _keep(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._watch, name="intouch-decoding", daemon=True)
            self._keeper.start()

    def _watch(self) -> None:
        # Looks now and then, rather than being told of every file: a late worker lives a quarter longer.
        while self._end_overdue():
            time.sleep(min(self.limits.time_s / 4, self._linger_s))

    def _end_overdue(self) -> bool:
        """Kill and end what has had its time. Returns whether there is anything left to watch."""
        with self._changed:
            now_s = time.monotonic()
            over = [worker for worker in self._workers if self._end_of(worker) <= now_s]
            idle = [worker for worker in over if worker.idle_since_s is not None]
            self._idle = [worker for worker in self._idle if worker not in idle]
            self._workers.difference_update(idle)
            for worker in over:
                if worker.idle_since_s is None:
                    worker.is_late = True
                    worker.kill()
            left = bool(self._workers)
            if not left:
                self._keeper = None
        for worker in idle:
            worker.end()
        return left

    def _end_of(self, worker: Worker) -> float:
        if worker.idle_since_s is not None:
            return worker.idle_since_s + self._linger_s
        return worker.deadline_s


# --- one worker ---------------------------------------------------------------------------------


class NoWorkerError(Exception):
    """No worker could be started."""


class Worker:
    """One decoding process, used by one thread at a time."""

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self.tasks = 0
        self.began = False
        self.deadline_s = time.monotonic() + _START_TIMEOUT_S
        self.idle_since_s: float | None = None
        self.is_late = False
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own program, no shell
                [*command, json.dumps(attrs.asdict(limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd=Path(sys.executable or os.sep).anchor or None,
                env=_environment(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except (OSError, ValueError):
            raise NoWorkerError from None
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both are pipes")
        self._pipe = Pipe(self._process.stdout.fileno(), self._process.stdin.fileno())

    def wait_until_ready(self) -> None:
        try:
            ready = self._pipe.take(1) == READY
        except ProtocolError:
            ready = False
        if not ready:
            self.end()
            raise NoWorkerError

    def look(self, stream: BinaryIO, task: dict[str, Any]) -> Look:
        """Have one file decoded.

        Raises:
            ProtocolError: The worker is gone, or went astray.
            OSError: The stream could not be read.
        """
        self.began = False
        self.tasks += 1
        self._pipe.give_task(json.dumps(task).encode())
        failure: OSError | None = None
        while (mark := self._pipe.take(1)) == READ:
            self.began = True
            offset, length = self._pipe.take_place()
            if length > MOST_BYTES or offset > task["size_bytes"]:
                raise ProtocolError("a question that makes no sense")
            try:
                stream.seek(offset)
                content: bytes | None = read_fully(stream, length)
            except OSError as exc:
                failure, content = exc, None
            self._pipe.give_bytes(content)
        if mark != ANSWER:
            raise ProtocolError("neither a question nor an answer")
        answer, thumbnail = self._pipe.take_answer()
        if failure is not None:
            raise failure
        return _as_look(answer, thumbnail)

    def kill(self) -> None:
        """End the process from another thread. Whoever talks with it notices, and lets go of it by `end`."""
        self._process.kill()

    def end(self) -> None:
        """End the process and let go of it."""
        self._process.kill()
        self._close()
        self._process.wait()

    def abandon(self) -> None:
        """After a fork, in the child: the process is the parent's."""
        self._close()
        self._process.returncode = 0

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _as_look(answer: bytes, thumbnail: bytes) -> Look:
    """Read an answer as from a stranger."""
    try:
        said = json.loads(answer)
        obstacle = said["obstacle"]
        numbers = {name: said[name] for name in ("width_px", "height_px", "frames", "orientation")}
        if not all(number is None or type(number) is int for number in numbers.values()):
            raise ProtocolError("not a number")
        return Look(
            soundness=Soundness(said["soundness"]),
            obstacle=Obstacle(obstacle) if obstacle is not None else None,
            thumbnail=thumbnail or None,
            **numbers,
        )
    except (ValueError, KeyError, TypeError):
        raise ProtocolError("not an answer") from None


def own_command() -> list[str]:
    """This Python, isolated: no user's site, no current folder, in which a ``PIL.py`` might lie."""
    python = _python()
    if python is None:
        raise NoWorkerError
    return [python, "-I", "-c", _BOOT, json.dumps([path for path in sys.path if path])]


def _python() -> str | None:
    """The interpreter; None if there is none that is known to be one.

    Under uWSGI, in a frozen program or inside a host written in C#, ``sys.executable`` is that program: to
    start it would start a second host.
    """
    if getattr(sys, "frozen", False):
        return None
    beside = Path(sys.exec_prefix, *(("python.exe",) if sys.platform == "win32" else ("bin", "python3")))
    for candidate in (Path(sys.executable or os.devnull), beside):
        if candidate.name.lower().startswith(("python", "pypy")) and candidate.is_file():
            return str(candidate)
    return None


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIX)
    }
    # One arena: each more is 64 MiB of address space, which counts as memory.
    return {**kept, "MALLOC_ARENA_MAX": "1", "PYTHONDONTWRITEBYTECODE": "1"}


# --- one pool for everybody, and the end of all -------------------------------------------------

_pools: weakref.WeakSet[DecodingPool] = weakref.WeakSet()
_shared: list[DecodingPool] = []
_lock = threading.Lock()


def shared_pool() -> DecodingPool:
    """The pool of this process, with the usual limits."""
    with _lock:
        if not _shared:
            _shared.append(DecodingPool())
        return _shared[0]


def _close_all() -> None:
    for pool in list(_pools):
        with contextlib.suppress(Exception):
            pool.close()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  # another thread may have held it
    _lock = threading.Lock()
    for pool in list(_pools):
        pool.after_fork()


atexit.register(_close_all)
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
