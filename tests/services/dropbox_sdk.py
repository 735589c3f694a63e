"""The vendor's own Python client, unchanged, for a server on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dropbox
import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from services.doubles.dropbox import DropboxServer

__all__ = ["open_sdk", "plain_session"]


class _Rewritten(HTTPAdapter):
    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__(pool_maxsize=32)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        request.url = f"{self._url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *args, **options)


def plain_session(server: DropboxServer) -> requests.Session:
    """Return a session that sends requests for Dropbox to the server, and is otherwise unchanged."""
    session = requests.Session()
    adapter = _Rewritten(server.url)
    for host in ("api", "content", "notify"):
        session.mount(f"https://{host}.dropboxapi.com/", adapter)
    return session


def open_sdk(server: DropboxServer, **options: Any) -> dropbox.Dropbox:
    """Return a client, with a new token unless one is given."""
    if not {"oauth2_access_token", "oauth2_refresh_token"} & set(options):
        options["oauth2_access_token"] = server.token()
    return dropbox.Dropbox(session=plain_session(server), **options)
