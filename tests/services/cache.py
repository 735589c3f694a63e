"""A cache folder of this user's, for the programs that tests drive and that no wheel brings."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import platformdirs
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Unavailable", "cached", "run", "unavailable"]

_RUNS_WITHIN_S = 540
# A registry that does not answer is not asked again by this process.
_failed: dict[str, Unavailable] = {}


class Unavailable(Exception):
    """This machine does not have a program, and it can't be installed. The text says why."""


def unavailable(reason: object) -> NoReturn:
    """Skip the test, with the reason. Fail it in CI, where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(reason), pytrace=False)
    pytest.skip(str(reason))


def cached(
    name: str, make: Callable[[Path], None], *, check: Callable[[Path], None] = lambda _: None
) -> Path:
    """Return a folder of the cache. Make it first if it is missing or does not pass the check.

    Other test processes, also those of another run, wait until it is made.

    Args:
        name: What the folder holds, with its version.
        make: Fills an empty folder, or raises `Unavailable`.
        check: Raises `Unavailable` if the folder can't be used.

    Raises:
        Unavailable: It can't be made.
    """
    if name in _failed:
        raise _failed[name]
    cache = platformdirs.user_cache_path("intouch-import") / "test-services"
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / name
    with _locked(cache / f"{name}.lock"):
        if home.is_dir():
            with contextlib.suppress(Unavailable):
                check(home)
                return home
        # It gets its name when it is whole: a run may be stopped at any time.
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=cache, ignore_cleanup_errors=True) as folder:
            made = Path(folder) / "made"
            made.mkdir()
            try:
                make(made)
                check(made)
            except Unavailable as exc:
                _failed[name] = exc
                raise
            shutil.rmtree(home, ignore_errors=True)
            made.rename(home)
    return home


def run(command: list[str], *, environment: Mapping[str, str] = os.environ) -> str:
    """Run a command that installs something. Return what it printed.

    Raises:
        Unavailable: It failed. The text has the beginning of its error messages, in one line.
    """
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_RUNS_WITHIN_S, env=environment
        )
    except (OSError, subprocess.SubprocessError) as exc:
        errors = " ".join(str(getattr(exc, "stderr", None) or exc).split())
        raise Unavailable(f"{Path(command[0]).name} failed: {errors[:300]}") from None
    return done.stdout


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    if os.name == "nt":
        import msvcrt

        with path.open("ab") as file:
            while True:
                with contextlib.suppress(OSError):  # it gives up after ten seconds
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
            yield
    else:
        import fcntl

        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
