"""`Loopback`: receives the redirect of a sign-in on ``http://localhost``, from this machine only."""

from __future__ import annotations

import errno
import html
import os
import socket
import sys
import threading
import time
import weakref
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from intouch_import.errors import InTouchImportError, SignInFailed
from intouch_import.signin.attempt import WrongState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.signin.attempt import SignInAttempt

__all__ = ["Loopback"]

_LOOK_EVERY_S = 0.1
_LISTEN_ATTEMPTS = 6
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
_MAX_FORM_BYTES = 64 * 1024
_OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Connection": "close",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<body style="font: 18px/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 30em; padding: 0 1em">
<h1 style="font-size: 1.4em">{title}</h1><p>{text}</p></body></html>"""


class Loopback:
    """Sockets on the loopback interface. They open before the browser does, because its URL has their port.

    Args:
        ports: Ports in order of preference; 0 means any free port.

    Raises:
        SignInFailed: None of the ports is free.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._servers = _listen(ports)
        self.redirect_uri = f"http://localhost:{self._servers[0].server_port}"

    def serve(self, attempt: SignInAttempt) -> None:
        """Pass the redirect to an attempt, in separate threads, until the attempt is over; then close."""
        for server in self._servers:
            server.attempt = attempt
            threading.Thread(target=server.run, name="intouch-sign-in", daemon=True).start()

    def close(self) -> None:
        """Close sockets that never served."""
        for server in self._servers:
            server.server_close()


_open: weakref.WeakSet[_Server] = weakref.WeakSet()


class _Server(ThreadingMixIn, HTTPServer):
    """One socket. Each connection has a thread, because browsers open connections that they never use."""

    daemon_threads = True
    timeout = _LOOK_EVERY_S
    attempt: SignInAttempt

    def __init__(self, family: socket.AddressFamily, port: int) -> None:
        self.address_family = family
        _open.add(self)
        super().__init__(("127.0.0.1" if family is socket.AF_INET else "::1", port), _Redirect)

    def server_bind(self) -> None:
        if sys.platform == "win32":
            # With SO_REUSEADDR another program could take over the port on Windows and receive the code.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Without it the next attempt would have to wait until the system forgets the last connection.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # HTTPServer.server_bind would ask a name server for the name of this machine.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def run(self) -> None:
        """Answer requests until the attempt is over."""
        with self:
            while self.attempt.is_open:
                self.handle_request()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a browser that hangs up. A traceback on standard error would show the code."""


class _Redirect(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: _Server
    server_version = "intouch-import"
    sys_version = ""
    timeout = 5.0  # seconds of silence

    def do_GET(self) -> None:
        """Take the usual redirect."""
        self._receive(urlsplit(self.path).query)

    def do_POST(self) -> None:
        """Take a redirect by form (``response_mode=form_post``), which keeps the code out of the history."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_FORM_BYTES:
            self._show(HTTPStatus.BAD_REQUEST, "Not a sign-in", "This is not an answer to a sign-in.")
            return
        self._receive(self.rfile.read(int(length)).decode("utf-8", "replace"))

    def _receive(self, query: str) -> None:
        # Refuse a web page that resolves its own name to this machine.
        host = self.headers.get("Host", "").rpartition(":")[0].lower()
        pairs = parse_qsl(query)
        response = dict(pairs)
        if host not in _OWN_HOSTS or urlsplit(self.path).path != "/" or not response:
            self._show(HTTPStatus.NOT_FOUND, "Nothing here", "This address only receives sign-ins.")
            return
        if len(response) != len(pairs):
            self._show(HTTPStatus.BAD_REQUEST, "Not a sign-in", "This is not an answer to a sign-in.")
            return
        with self.server.attempt.answering():
            try:
                self.server.attempt.receive(response)
            except WrongState as exc:
                text = f"{_sentence(exc)} Use the newest window."
                self._show(HTTPStatus.BAD_REQUEST, "Not this sign-in", text)
            except InTouchImportError as exc:
                self._show(HTTPStatus.BAD_REQUEST, "Not signed in", _sentence(exc))
            else:
                self._show(HTTPStatus.OK, "Signed in", "You can close this window and go back to your work.")

    def _show(self, status: HTTPStatus, title: str, text: str) -> None:
        page = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
        """Log nothing: the request line contains the code."""


def _sentence(exc: Exception) -> str:
    text = str(exc)
    return f"{text[:1].upper()}{text[1:]}."


def _listen(ports: Sequence[int]) -> list[_Server]:
    """Open a socket for IPv4 and, if this machine has it, one for IPv6 on the same port.

    Browsers try either first. If another program has one of the two, it could receive the code.
    """
    for attempt in range(_LISTEN_ATTEMPTS):
        if attempt:
            time.sleep(_LOOK_EVERY_S)  # an attempt that has just ended is about to close its sockets
        for port in ports:
            try:
                first = _Server(socket.AF_INET, port)
            except OSError:
                continue
            try:
                return [first, _Server(socket.AF_INET6, first.server_port)]
            except OSError as exc:
                if exc.errno in _NO_IPV6:
                    return [first]
                first.server_close()
    raise SignInFailed(
        "the port for the sign-in is in use on this machine: end the other sign-in, or paste a code instead",
        why="unreachable",
        retry_helps=True,
    )


def _close_inherited() -> None:
    """In a forked child, close the sockets of the parent: the child would keep their ports in use."""
    for server in list(_open):
        server.socket.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_inherited)
