"""Test missing permissions as root, who can read and write every file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ordinary_rights"]

_VERSION_3 = 0x20080522  # linux/capability.h
_IGNORES_MODES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextlib.contextmanager
def ordinary_rights() -> Iterator[None]:
    """Apply file permissions to this thread and to the threads that it starts, even if root runs them.

    The user does not change. Another user could not import modules from a folder below ``/root``.
    """
    if os.name == "nt":
        pytest.skip("Windows ignores mode bits")
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("only on Linux can root drop the capabilities that ignore permissions")
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    _call(libc.capget, header, sets)
    before = sets[0].effective
    sets[0].effective = before & ~_IGNORES_MODES
    _call(libc.capset, header, sets)
    try:
        yield
    finally:
        sets[0].effective = before
        _call(libc.capset, header, sets)


def _call(function: ctypes._NamedFuncPointer, header: _Header, sets: ctypes.Array[_Sets]) -> None:
    if function(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "the capabilities of this thread could not be changed")
