"""Limit what the decoding process may use. Windows has none of these limits."""

from __future__ import annotations

import contextlib
import sys
from typing import Final

__all__ = ["allow_seconds", "confine"]

_CPU_GRACE_S: Final = 5


def confine(memory_bytes: int) -> None:
    """Limit memory, and forbid core dumps, which would contain the picture."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Add what is mapped already, mostly libraries. macOS accepts this limit but does not enforce it.
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        limit = mapped + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def allow_seconds(time_s: float) -> None:
    """Limit processor time for one task: if the host is gone, nothing else ends a loop in a codec."""
    if sys.platform == "win32":
        return
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(usage.ru_utime + usage.ru_stime + time_s) + _CPU_GRACE_S
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
