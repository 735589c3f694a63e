"""Optional packages, imported where they are needed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from intouch_import.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["needing"]


@contextlib.contextmanager
def needing(what: str, *modules: str, install: str) -> Iterator[None]:
    """Import an optional package: if it is not there, say what needs it and how to install it.

    ::

        with needing("SFTP needs paramiko", "paramiko", install="intouch-import[sftp]"):
            import paramiko

    Args:
        what: What needs it, as the message begins.
        modules: What is missing then. Anything else that is missing means that a package is installed and
            broken: that passes, so that the real cause is seen.
        install: What to give to pip.

    Raises:
        MissingExtraError: One of the modules is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name not in modules:
            raise
        raise MissingExtraError(f"{what}: pip install '{install}'") from exc
