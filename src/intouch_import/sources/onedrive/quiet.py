"""Keep the HTTP libraries from logging our requests: their addresses hold names and short-lived rights.

``httpx`` logs every address at INFO, and ``httpcore`` every header at DEBUG. What a host asks through them by
itself is none of our business and is logged as before.
"""

from __future__ import annotations

import contextlib
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["unlogged"]

# A filter works on the very logger that it was added to, not on those below.
_LOGGERS: Final = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
    "msal.application",
    "msal.authority",
    "msal.token_cache",
    "msal.telemetry",
    "msal.oauth2cli.oauth2",
    "msal.oauth2cli.oidc",
    "msal.oauth2cli.assertion",
)
_ours: ContextVar[bool] = ContextVar("ours", default=False)


def _not_ours(_: logging.LogRecord) -> bool:
    return not _ours.get()


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """While this lasts, in this thread, the libraries below log nothing."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _not_ours not in logger.filters:
            logger.addFilter(_not_ours)
    before = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(before)
