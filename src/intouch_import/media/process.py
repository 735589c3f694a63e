"""One decoding process, as the host sees it: how it is started, asked and ended, and what it may use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.media.channel import ANSWER, MOST_BYTES, READ, READY, Pipe, ProtocolError
from intouch_import.media.facts import Obstacle
from intouch_import.media.reading import read_fully
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

__all__ = ["Limits", "Look", "NoWorkerError", "Worker", "own_command"]

_START_TIMEOUT_S: Final = 60.0
# What a worker needs to run, and nothing that a practice would keep secret.
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_ENVIRONMENT_PREFIX: Final = "COVERAGE_"
_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from intouch_import.media.worker import main; main()"
)


@attrs.frozen(kw_only=True)
class Limits:
    """How far one file may go.

    Args:
        pixels: Width times height of one picture. The default is the size at which Pillow itself refuses.
        frames: Pictures in one file.
        time_s: Seconds from the first byte to the answer.
        memory_bytes: What a worker may use beyond what it has when it is idle.
    """

    pixels: int = attrs.field(default=178_956_970, validator=attrs.validators.gt(0))
    frames: int = attrs.field(default=1000, validator=attrs.validators.gt(0))
    time_s: float = attrs.field(default=20.0, validator=attrs.validators.gt(0))
    memory_bytes: int = attrs.field(default=1024**3, validator=attrs.validators.gt(0))


@attrs.frozen(kw_only=True)
class Look:
    """What decoding a file came to.

    Args:
        soundness: Whether all of it was decoded.
        obstacle: Why not.
        width_px, height_px: Size of the first picture, before ``orientation``; None if not known.
        frames: Pictures decoded; None if none was.
        orientation: How the first picture is to be turned, 1 to 8; None if not said.
        thumbnail: A JPEG, if one was asked for and could be made.
    """

    soundness: Soundness
    obstacle: Obstacle | None = None
    width_px: int | None = None
    height_px: int | None = None
    frames: int | None = None
    orientation: int | None = None
    thumbnail: bytes | None = attrs.field(default=None, repr=False)


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
