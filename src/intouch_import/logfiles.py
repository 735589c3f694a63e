"""Log files of failed connections: one for Dropbox, one for OneDrive.

The library does not configure logging. A host that wants these files calls `log_to_directory` once.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from intouch_import import disk
from intouch_import.closing import Closable
from intouch_import.errors import ConfigError, without_path

if TYPE_CHECKING:
    import os
    from io import TextIOWrapper

__all__ = ["FILES", "LogFiles", "log_to_directory"]

FILES: Final = {"dropbox": "MailCenter_Dropbox.log", "onedrive": "MailCenter_OneDrive.log"}
"""File name by location; the names are those of the reference product."""

_SIGN_IN: Final = "intouch_import.signin"
# Only these attributes of a log record are written, and only if they are plain words or numbers.
_SHOWN: Final = (
    *("source_id", "import_id", "account", "route", "status", "tags", "request_id", "attempt"),
    *("after_s", "seconds", "timed_out", "count", "changed", "why", "kind", "errno"),
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/+-]{1,100}")


def log_to_directory(
    directory: str | os.PathLike[str], *, max_bytes: int = 1_000_000, keep: int = 5
) -> LogFiles:
    """Log the connections to Dropbox and OneDrive, each into one file.

    The files contain only ids, routes and error codes: no patient, no file name and no token. A second call
    with the same directory changes nothing.

    Args:
        directory: The directory; it is created if it does not exist.
        max_bytes: Size at which a file is renamed and a new one is started, in bytes.
        keep: Number of renamed files to keep for each location.

    Returns:
        The log files. Close the object to stop logging; it can also be ignored.

    Raises:
        ConfigError: The directory can't be created or written.
    """
    attached: list[tuple[logging.Logger, logging.Handler]] = []
    try:
        folder = Path(directory).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for service, name in FILES.items():
            attached += _attach(service, folder / name, max_bytes=max_bytes, keep=keep)
    except OSError as exc:
        LogFiles(attached).close()
        raise ConfigError("the log directory can't be written", errno=exc.errno) from without_path(exc)
    except RuntimeError:
        raise ConfigError("the log directory starts with ~, but the home directory is unknown") from None
    return LogFiles(attached)


class LogFiles(Closable):
    """The files that `log_to_directory` opened."""

    def __init__(self, attached: list[tuple[logging.Logger, logging.Handler]]) -> None:
        self._attached = attached

    def close(self) -> None:
        """Stop logging into these files."""
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
        # Also log connections that work, unless the host has set a level.
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    return [(logger, handler) for logger in loggers]


class _File(logging.handlers.RotatingFileHandler):
    """The log file of one location."""

    def __init__(self, service: str, path: Path, *, max_bytes: int, keep: int) -> None:
        self.path = path
        self._service = service
        super().__init__(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        self.setFormatter(_Line())
        self.addFilter(self._is_ours)

    def _is_ours(self, record: logging.LogRecord) -> bool:
        # Both locations use `signin`: its records name the location.
        return not record.name.startswith(_SIGN_IN) or getattr(record, "service", None) == self._service

    def _open(self) -> TextIOWrapper:
        disk.create_private(self.baseFilename)
        return super()._open()

    def doRollover(self) -> None:  # noqa: N802  # the name in the standard library
        # Windows can't rename a file that another program has open: continue with the same file.
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
        # The message without its arguments, which could contain anything.
        return " ".join([stamp, record.levelname, str(record.msg), *shown])


def _plain(value: object) -> str:
    """Return a value as text; ``?`` if it is not a plain word or number, empty if it is None."""
    if value is None:
        return ""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else "?"
