"""The log files in which a failed connection can be looked up: one for Dropbox, one for OneDrive.

The library configures no logging by itself. A host that wants these files calls `log_to_directory` once.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from intouch_import.closing import Closable
from intouch_import.errors import ConfigError, without_path

if TYPE_CHECKING:
    import os

__all__ = ["FILES", "LogFiles", "log_to_directory"]

FILES: Final = {"dropbox": "MailCenter_Dropbox.log", "onedrive": "MailCenter_OneDrive.log"}
"""By location: the file's name, which is the reference product's."""

_SIGN_IN: Final = "intouch_import.signin"
# What else a record carries is left out, whoever wrote it; and of these, what is not a plain word or number.
_SHOWN: Final = (
    *("source_id", "import_id", "account", "route", "status", "tags", "request_id", "attempt"),
    *("after_s", "seconds", "timed_out", "count", "changed", "why", "kind", "errno"),
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/+-]{1,100}")


def log_to_directory(
    directory: str | os.PathLike[str], *, max_bytes: int = 1_000_000, keep: int = 5
) -> LogFiles:
    """Write what happens on connections to Dropbox and OneDrive into files of their own.

    Ids, routes and error codes only: nothing about a patient, no file name, no token. Asking twice for one
    directory changes nothing.

    Args:
        directory: Where; it is made if it is not there.
        max_bytes: A file that has grown so far is set aside, and a new one begun.
        keep: How many are kept that were set aside, for each location.

    Returns:
        What was attached; close it to let go of the files. It may be left alone.

    Raises:
        ConfigError: The directory can't be made or written.
    """
    attached: list[tuple[logging.Logger, logging.Handler]] = []
    try:
        folder = Path(directory).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for service, name in FILES.items():
            attached += _attach(service, folder / name, max_bytes=max_bytes, keep=keep)
    except OSError as exc:
        LogFiles(attached).close()
        raise ConfigError("the log directory can't be written", errno=exc.errno) from without_path(exc)
    except RuntimeError:
        raise ConfigError("the log directory begins at a home that is not known") from None
    return LogFiles(attached)


class LogFiles(Closable):
    """The files that `log_to_directory` opened."""

    def __init__(self, attached: list[tuple[logging.Logger, logging.Handler]]) -> None:
        self._attached = attached

    def close(self) -> None:
        """Write no more into them."""
        for logger, handler in self._attached:
            logger.removeHandler(handler)
            handler.close()
        self._attached = []

    def __repr__(self) -> str:
        return f"<LogFiles {len({id(handler) for _, handler in self._attached})}>"


def _attach(
    service: str, path: Path, *, max_bytes: int, keep: int
) -> list[tuple[logging.Logger, logging.Handler]]:
    loggers = [logging.getLogger(f"intouch_import.{service}"), logging.getLogger(_SIGN_IN)]
    if any(isinstance(one, _File) and one.path == path for one in loggers[0].handlers):
        return []
    handler = _File(service, path, max_bytes=max_bytes, keep=keep)
    for logger in loggers:
        # Unless the host has said what it wants: a connection that works is worth a line too.
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    return [(logger, handler) for logger in loggers]


class _File(logging.handlers.RotatingFileHandler):
    """One file of one location."""

    def __init__(self, service: str, path: Path, *, max_bytes: int, keep: int) -> None:
        self.path = path
        self._service = service
        super().__init__(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        self.setFormatter(_Line())
        self.addFilter(self._is_ours)

    def _is_ours(self, record: logging.LogRecord) -> bool:
        # Sign-in is shared: its records say which location they are about.
        return not record.name.startswith(_SIGN_IN) or getattr(record, "service", None) == self._service

    def doRollover(self) -> None:  # noqa: N802  # so named by the standard library
        # Another program may have the file open, and Windows then renames nothing: go on in it.
        try:
            super().doRollover()
        except OSError:
            with contextlib.suppress(OSError):
                self.stream = self.stream if self.stream is not None else self._open()


class _Line(logging.Formatter):
    """``2026-01-31T14:25:01Z WARNING a call failed route=files/download status=503``; never a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        shown = [f"{name}={text}" for name in _SHOWN if (text := _plain(record.__dict__.get(name)))]
        # The message as it stands in the code: arguments could hold anything.
        return " ".join([stamp, record.levelname, str(record.msg), *shown])


def _plain(value: object) -> str:
    """A value as it may stand in a log file; empty if it may not."""
    if value is None:
        return ""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else "?"
