"""A sign-in to the Dropbox on this machine, and a person who uses a browser."""

from __future__ import annotations

import queue
import socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import requests

from intouch_import.dropbox import DropboxAuthorization
from intouch_import.signin import SignIn, TokenStore
from intouch_import.signin.store import MemoryStore
from services.doubles.dropbox import DropboxServer

__all__ = ["Person", "free_port", "open_sign_in", "press"]


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def open_sign_in(
    server: DropboxServer,
    *,
    store: TokenStore | None = None,
    app: dict[str, Any] | None = None,
    **options: Any,
) -> SignIn:
    """Return a sign-in for the server's app, which is registered with a free port of this machine."""
    port = free_port()
    changed = {"redirect_uris": frozenset({f"http://localhost:{port}"}), **(app or {})}
    server.app = attrs.evolve(server.app, **changed)
    server.authorization.register(server.app)
    authorization = DropboxAuthorization(server.app.key, redirect_ports=[port], endpoint=server.url)
    return SignIn(authorization, store=store if store is not None else MemoryStore(), **options)


class Person:
    """A person at this machine, who sees pages, and answers them when the test says so."""

    def __init__(self) -> None:
        self._shown: queue.Queue[str] = queue.Queue()
        self.count = 0

    def __call__(self, url: str) -> None:
        """Show the person a page."""
        self.count += 1
        self._shown.put(url)

    def page(self, timeout_s: float = 20.0) -> str:
        """Return the next page that was shown."""
        return self._shown.get(timeout=timeout_s)


def press(url: str, button: str = "allow") -> requests.Response:
    """Open a page, press a button, and follow the redirect to this machine. Return the page after that."""
    page = requests.get(url, timeout=10)
    assert page.status_code == 200, page.text
    question = page.text.partition('name="question" value="')[2].partition('"')[0]
    parts = urlsplit(url)
    form = {"question": question, "answer": button}
    return requests.post(f"{parts.scheme}://{parts.netloc}{parts.path}", data=form, timeout=10)


def state_of(url: str) -> str:
    """Return the state of an authorize request."""
    return parse_qs(urlsplit(url).query)["state"][0]
