"""Import of optional packages."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from intouch_import.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["needing"]


@contextlib.contextmanager
def needing(what: str, *modules: str, install: str) -> Iterator[None]:
    """Import an optional package; if it is missing, the error names the feature and the package to install.

    ::

        with needing("SFTP needs paramiko", "paramiko", install="intouch-import[sftp]"):
            import paramiko

    Args:
        what: The first words of the message: the feature, and what it needs.
        modules: The modules that may be missing. If another module is missing, a package is installed but
            broken, and the original exception is raised.
        install: The argument for ``pip install``.

    Raises:
        MissingExtraError: One of the modules is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name not in modules:
            raise
        raise MissingExtraError(f"{what}: pip install '{install}'") from exc
