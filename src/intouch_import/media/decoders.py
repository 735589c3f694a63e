"""Decode files in separate processes: a hostile picture can crash or block only the process that decodes it.

A pool starts a worker when one is needed, uses it for many files, replaces it when it has died or was killed
because it was too slow, and ends it when it is idle. Workers are started as plain programs, not forked. So
the pool works in threads, in Jupyter and under any server, and the host's own ``__main__`` is never run
again.

Limits: on every system pixels, frames and time; a worker that takes longer is killed. On Linux also memory
(``RLIMIT_AS``) and processor time; macOS enforces only the latter; Windows has neither. There, the limit on
pixels limits the memory.
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

from intouch_import.forks import ForkSafeLock
from intouch_import.media.kinds import PICTURES, POSTERS
from intouch_import.media.messages import (
    ANSWER,
    MOST_BYTES,
    READY,
    REQUEST,
    Decoded,
    Limits,
    Obstacle,
    Pipe,
    ProtocolError,
)
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from intouch_import.media.kinds import Kind

__all__ = ["DecodingPool", "shared_pool"]

log = logging.getLogger(__name__)

_TRY_AGAIN_AFTER_S: Final = 300.0
_MOST_TASKS: Final = 2000
"""A worker is replaced after this many files, because decoders leak memory."""
_MOST_WORKERS: Final = 4
_START_TIMEOUT_S: Final = 60.0
_LONGEST_NAME: Final = 50
# The variables that a worker needs. None of them contains a secret of the practice.
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_ENVIRONMENT_PREFIX: Final = "COVERAGE_"
_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from intouch_import.media.worker import main; main()"
)


class DecodingPool:
    """A pool of decoding processes, started on demand.

    Thread-safe: each thread waits for its own answer. After a fork, the child starts its own workers.

    Args:
        limits: The limits for each file.
        workers: The largest number of processes. Default: one for each processor, but at most four.
        linger_s: How long an idle worker is kept, seconds.
        command: The command that starts a worker, if it is not this Python: a program that calls
            ``intouch_import.media.worker.main``. Needed in a frozen program (PyInstaller and similar).
    """

    _workers: set[_Worker]
    _idle: list[_Worker]
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
        self._pid = os.getpid()
        self._reset()
        _pools.add(self)

    def decode(
        self, stream: BinaryIO, *, kind: Kind, size_bytes: int, thumbnail_px: int | None = None
    ) -> Decoded:
        """Decode a file. Movies and PDF are decoded for a thumbnail only, and that proves nothing about them.

        Args:
            stream: The bytes; binary, seekable. Only what the decoder requests is read.
            kind: The kind of the file; no other decoder is tried.
            size_bytes: Size of the file in bytes.
            thumbnail_px: Longer side of the thumbnail to make, pixels; None for no thumbnail.

        Raises:
            OSError: The stream could not be read.
        """
        if kind not in PICTURES and not (kind in POSTERS and thumbnail_px):
            return _unverified(Obstacle.NO_PICTURE)
        self.leave_parent()
        task = {"kind": kind.value, "size_bytes": size_bytes, "thumbnail_px": thumbnail_px or 0}
        for retry in (True, False):
            worker = self._borrow()
            if worker is None:
                return _unverified(Obstacle.NO_WORKER)
            healthy = False
            try:
                decoded = worker.decode(stream, task)
                healthy = True
            except ProtocolError:
                # A worker that was lost before its first request (somebody else killed it) proves nothing
                # about the file: retry once.
                if worker.is_late or worker.began or not retry:
                    obstacle = Obstacle.TOO_SLOW if worker.is_late else Obstacle.CRASHED
                    log.warning("a decoding process was lost", extra={"obstacle": obstacle.value})
                    return _unverified(Obstacle.NO_PICTURE if kind in POSTERS else obstacle)
            else:
                return decoded
            finally:
                self._give_back(worker, healthy=healthy)
        raise AssertionError("the second attempt returns or raises")

    def close(self) -> None:
        """End all workers. The pool can be used again."""
        self.leave_parent()
        with self._changed:
            workers, idle = self._workers, self._idle
            self._workers, self._idle = set(), []
        for worker in workers.difference(idle):
            # The thread that uses the worker closes its pipes: a closed descriptor may be reused at once.
            worker.kill()
        for worker in idle:
            worker.end()

    # --- workers

    def _reset(self) -> None:
        """Forget all workers: at first, and in the child of a fork."""
        self._changed = threading.Condition()
        self._workers = set()
        self._idle = []
        self._busy = 0
        self._keeper = None
        self._no_worker_until_s = 0.0

    def leave_parent(self) -> None:
        """In a forked child, let go of the parent's workers: their answers are about the parent's files."""
        if self._pid == os.getpid():
            return
        with _lock:
            if self._pid != os.getpid():
                workers = self._workers
                self._reset()
                self._pid = os.getpid()
                for worker in workers:
                    worker.abandon()

    def _borrow(self) -> _Worker | None:
        """Return an idle worker, or start one; None if none can be started."""
        with self._changed:
            while not self._idle and self._busy >= self._most_workers:
                self._changed.wait()
            self._busy += 1
            if self._idle:
                worker = self._idle.pop()
                worker.idle_since_s = None
                worker.deadline_s = time.monotonic() + self.limits.time_s
                return worker
        started = self._start()
        if started is None:
            with self._changed:
                self._busy -= 1
                self._changed.notify()
        return started

    def _start(self) -> _Worker | None:
        if time.monotonic() < self._no_worker_until_s:
            return None
        command = self._command or _own_command()
        worker = _Worker.start(command, self.limits) if command is not None else None
        if worker is not None:
            with self._changed:
                self._workers.add(worker)
                self._keep()
            if worker.is_ready():
                worker.deadline_s = time.monotonic() + self.limits.time_s
                return worker
            with self._changed:
                self._workers.discard(worker)
            worker.end()
        self._no_worker_until_s = time.monotonic() + _TRY_AGAIN_AFTER_S
        log.warning("no decoding process could be started: files are checked by head and tail only")
        return None

    def _give_back(self, worker: _Worker, *, healthy: bool) -> None:
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

    # --- the keeper: one thread that kills late workers and ends idle ones

    def _keep(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._watch, name="intouch-decoding", daemon=True)
            self._keeper.start()

    def _watch(self) -> None:
        # Polling costs less than a signal for each file; a late worker lives at most a quarter longer.
        while self._end_overdue():
            time.sleep(min(self.limits.time_s / 4, self._linger_s))

    def _end_overdue(self) -> bool:
        """Kill late workers and end idle ones. Return whether any worker is left to watch."""
        with self._changed:
            now_s = time.monotonic()
            over = [worker for worker in self._workers if worker.end_s(self._linger_s) <= now_s]
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


def _unverified(obstacle: Obstacle) -> Decoded:
    return Decoded(soundness=Soundness.UNVERIFIED, obstacle=obstacle)


# --- one worker ---------------------------------------------------------------------------------


class _Worker:
    """One decoding process. One thread at a time uses it."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: Pipe) -> None:
        self.tasks = 0
        self.began = False
        self.deadline_s = time.monotonic() + _START_TIMEOUT_S
        self.idle_since_s: float | None = None
        self.is_late = False
        self._faults: set[str] = set()
        self._process = process
        self._pipe = pipe

    @classmethod
    def start(cls, command: Sequence[str], limits: Limits) -> _Worker | None:
        """Start a process; None if it can't be started."""
        try:
            process = subprocess.Popen(  # noqa: S603  # our own program, no shell
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
            return None
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        return cls(process, Pipe(process.stdout.fileno(), process.stdin.fileno()))

    def is_ready(self) -> bool:
        """Wait until the process has started; return whether it is a worker."""
        try:
            return self._pipe.receive(1) == READY
        except ProtocolError:
            return False

    def decode(self, stream: BinaryIO, task: dict[str, Any]) -> Decoded:
        """Decode one file.

        Raises:
            ProtocolError: The worker is gone, or violates the protocol.
            OSError: The stream could not be read.
        """
        self.began = False
        self.tasks += 1
        self._pipe.send_task(json.dumps(task).encode())
        failure: OSError | None = None
        while (mark := self._pipe.receive(1)) == REQUEST:
            self.began = True
            offset, length = self._pipe.receive_request()
            if length > MOST_BYTES or offset > task["size_bytes"]:
                raise ProtocolError("an invalid request")
            try:
                stream.seek(offset)
                content: bytes | None = stream.read(length) or b""
            except OSError as exc:
                failure, content = exc, None
            self._pipe.send_bytes(content)
        if mark != ANSWER:
            raise ProtocolError("neither a request nor an answer")
        answer, thumbnail = self._pipe.receive_answer()
        if failure is not None:
            raise failure
        decoded, fault = _checked(answer, thumbnail)
        if fault is not None and fault not in self._faults:
            # A package with a changed interface, for example: all thumbnails would vanish unnoticed.
            log.warning("a decoder failed unexpectedly", extra={"kind": fault})
            self._faults.add(fault)
        return decoded

    def end_s(self, linger_s: float) -> float:
        """Return the time at which the worker must end, on the monotonic clock."""
        return self.deadline_s if self.idle_since_s is None else self.idle_since_s + linger_s

    def kill(self) -> None:
        """Kill the process from another thread. The thread that uses the worker notices, and calls `end`."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process, close its pipes and wait for its end."""
        self._process.kill()
        self._close()
        self._process.wait()

    def abandon(self) -> None:
        """In the child of a fork, let go of the process: it belongs to the parent."""
        self._close()
        self._process.returncode = 0

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _checked(answer: bytes, thumbnail: bytes) -> tuple[Decoded, str | None]:
    """Parse an answer without trusting it. Return the type of an exception that is our fault, too."""
    try:
        values = json.loads(answer)
        obstacle = Obstacle(values["obstacle"]) if values["obstacle"] is not None else None
        numbers = {name: values[name] for name in ("width_px", "height_px", "frames", "orientation")}
        fault = values["fault"]
    except (ValueError, KeyError, TypeError):
        raise ProtocolError("not an answer") from None
    if not all(number is None or type(number) is int for number in numbers.values()):
        raise ProtocolError("not a number")
    if fault is not None and not (
        isinstance(fault, str) and fault.isidentifier() and len(fault) <= _LONGEST_NAME
    ):
        raise ProtocolError("not the name of a type")
    soundness = {
        None: Soundness.VERIFIED,
        Obstacle.UNDECODABLE: Soundness.DAMAGED,
        Obstacle.GAP: Soundness.DAMAGED,
    }
    decoded = Decoded(
        soundness=soundness.get(obstacle, Soundness.UNVERIFIED),
        obstacle=obstacle,
        thumbnail=thumbnail or None,
        **numbers,
    )
    return decoded, fault


def _own_command() -> list[str] | None:
    """Return the command for this Python, isolated: a ``PIL.py`` in the current folder is not imported."""
    python = _python()
    return (
        None
        if python is None
        else [python, "-I", "-c", _BOOT, json.dumps([path for path in sys.path if path])]
    )


def _python() -> str | None:
    """Return the path of the Python interpreter; None if it is not known.

    Under uWSGI, in a frozen program or in a host written in C#, ``sys.executable`` is that program: starting
    it would start a second host.
    """
    if getattr(sys, "frozen", False):
        return None
    bundled = Path(sys.exec_prefix, *(("python.exe",) if sys.platform == "win32" else ("bin", "python3")))
    for candidate in (Path(sys.executable or os.devnull), bundled):
        if candidate.name.lower().startswith(("python", "pypy")) and candidate.is_file():
            return str(candidate)
    return None


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIX)
    }
    # One arena and one thread: each additional one reserves address space, which counts as memory.
    return {**kept, "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


# --- the shared pool, and the end of the program ------------------------------------------------

_pools: weakref.WeakSet[DecodingPool] = weakref.WeakSet()
_shared: list[DecodingPool] = []
_lock = ForkSafeLock()


def shared_pool() -> DecodingPool:
    """Return the shared pool of this process, with the default limits."""
    with _lock:
        if not _shared:
            _shared.append(DecodingPool())
        return _shared[0]


def _close_all() -> None:
    for pool in list(_pools):
        with contextlib.suppress(Exception):
            pool.close()


def _after_fork() -> None:
    # At once, not at the next use: a worker ends when nobody holds its pipes.
    for pool in list(_pools):
        pool.leave_parent()


atexit.register(_close_all)
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
