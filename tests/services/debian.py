"""Programs that tests drive and that no registry of Python has: Debian's packages, installed where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["program"]

_INSTALLS_WITHIN_S = 500
_ADMINISTRATORS = ("/usr/sbin", "/usr/local/sbin")  # not on everybody's path


def program(name: str, *, package: str) -> str | None:
    """Where a program is; it is installed first if it is missing and this process may do that.

    One test process installs at a time: apt gives up at once when another one is at it.

    Args:
        name: Of the program.
        package: Debian's package that has it.

    Returns:
        Its path; None if this machine has none and can't be given it.
    """
    found = _find(name)
    if sys.platform == "linux" and found is None and shutil.which("apt-get") and os.geteuid() == 0:
        import fcntl

        with (Path(tempfile.gettempdir()) / "intouch-tests-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _find(name)  # by now another process may have installed it
            if found is None:
                _install(package)
                found = _find(name)
    return found


def _find(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_ADMINISTRATORS)))


def _install(package: str) -> None:
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run(
            [*apt, *arguments],
            check=False,  # what counts is whether the program is there afterwards
            capture_output=True,
            timeout=_INSTALLS_WITHIN_S,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
