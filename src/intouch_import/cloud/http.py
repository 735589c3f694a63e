"""Sessions of ``requests`` that take no credentials from elsewhere; and no log of our own requests."""

from __future__ import annotations

import contextlib
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

__all__ = ["new_session", "unlogged"]

# httpx logs each address at INFO, and httpcore each header at DEBUG. They contain names and short-lived
# rights. A filter on a logger does not apply to the loggers below it.
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
_silent: ContextVar[bool] = ContextVar("silent", default=False)


def new_session(*, connections: int = 1) -> requests.Session:
    """Open a session of ``requests``.

    Args:
        connections: How many connections it keeps open.
    """
    import requests

    session = requests.Session()
    # Without its own auth, requests would take credentials from ~/.netrc in place of the token.
    session.auth = lambda request: request
    # A redirect could lead anywhere, with the token in the header.
    session.max_redirects = 0
    for scheme in ("https://", "http://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=connections))
    return session


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Keep httpx and msal from logging in this block and thread. Other requests of the program are logged."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _is_logged not in logger.filters:
            logger.addFilter(_is_logged)
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)


def _is_logged(_: logging.LogRecord) -> bool:
    return not _silent.get()
