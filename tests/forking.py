"""Forked children of the test process."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORKS", "Child", "fork", "in_child", "marks"]

_PATIENCE_S = 240.0
FORKS = ("os", "c")
"""How to fork: with Python's hooks; or in C, as uWSGI does, without them."""

marks = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Since Python 3.12; that it works nevertheless is tested.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@attrs.frozen
class Child:
    """A child that runs a function."""

    pid: int
    _answer: int

    def result(self) -> Any:
        """Wait for the end of the child, and return the value of its function. A child that hangs is killed."""
        text = b""
        while select.select([self._answer], [], [], _PATIENCE_S)[0]:
            piece = os.read(self._answer, 65536)
            if not piece:
                break
            text += piece
        else:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._answer)
        status = os.waitpid(self.pid, 0)[1]
        assert status == 0, f"the child hung or failed: {status}"
        return json.loads(text)


def fork(function: Callable[[], Any], *, how: str = "os") -> Child:
    """Run a function in a forked child; it returns a value for JSON."""
    answer, answering = os.pipe()
    pid = os.fork() if how == "os" else _fork_in_c()
    if pid:
        os.close(answering)
        return Child(pid, answer)
    status = 1
    try:
        os.write(answering, json.dumps(function()).encode())
        status = 0
    except BaseException:  # it must not get back into pytest
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _fork_in_c() -> int:
    """Fork without Python's hooks, while no other thread asks for the interpreter.

    A child has only the thread that forked. If another thread had asked for the interpreter, the child would
    wait for that thread before its next system call, forever.
    """
    library = ctypes.PyDLL(None)
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        time.sleep(0.05)  # requests of before are answered
        return int(library.fork())
    finally:
        sys.setswitchinterval(usual_s)


def in_child(function: Callable[[], Any], *, how: str = "os") -> Any:
    """Run a function in a forked child and return its value."""
    return fork(function, how=how).result()
