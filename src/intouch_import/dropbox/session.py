"""HTTP sessions for Dropbox, or for a server that stands in for all of its hosts."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter

from intouch_import.cloud.endpoints import is_loopback
from intouch_import.errors import ConfigError

__all__ = ["checked_endpoint", "new_session"]

_HOSTS: Final = ("api", "content", "notify")


def checked_endpoint(endpoint: str | None) -> str | None:
    """An endpoint without its trailing slash; None for Dropbox itself.

    Raises:
        ConfigError: It is no http(s) URL of a host, or plain http to another machine: tokens would be
            readable on the way.
    """
    if endpoint is None:
        return None
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in {"http", "https"} or parts.username or parts.query:
        raise ConfigError("a Dropbox endpoint is the URL of a host: https://dropbox.example")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError("a Dropbox endpoint on another machine needs https")
    return endpoint.rstrip("/")


def new_session(endpoint: str | None, *, connections: int = 1) -> requests.Session:
    """An HTTP session for Dropbox, or for a server that stands in for it.

    Args:
        endpoint: The one host for api, content and notify calls; None for Dropbox itself.
        connections: How many are kept open.
    """
    session = requests.Session()
    # Without an auth of its own requests takes ~/.netrc, and puts what it finds there in place of the token.
    session.auth = _as_it_is
    # A redirect could lead anywhere, with the token in the header.
    session.max_redirects = 0
    if endpoint is None:
        session.mount("https://", HTTPAdapter(pool_connections=4, pool_maxsize=connections))
    else:
        adapter = _Elsewhere(endpoint, connections)
        for host in _HOSTS:
            session.mount(f"https://{host}.dropboxapi.com/", adapter)
    return session


class _Elsewhere(HTTPAdapter):
    """Sends what is meant for Dropbox to another server."""

    def __init__(self, endpoint: str, connections: int) -> None:
        self._endpoint = urlsplit(endpoint)
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        _, _, path, query, _ = urlsplit(request.url or "")
        scheme, netloc = self._endpoint.scheme, self._endpoint.netloc
        request.url = urlunsplit((scheme, netloc, f"{self._endpoint.path}{path}", query, ""))
        return super().send(request, *args, **options)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
