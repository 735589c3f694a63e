"""A proxy on loopback between a client and an HTTP server. A test decides what happens to each request."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Asked",
    "FaultyProxy",
    "answer",
    "cut_after",
    "cut_before",
    "cut_body",
    "delay",
    "duplicate",
    "fail_after",
    "pass_on",
    "replace_body",
    "run_faulty_proxy",
]

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@attrs.frozen
class Asked:
    """A request as it arrived.

    Args:
        number: From 0.
        method: Such as ``"DELETE"``.
        target: Path and query, as sent.
        headers: Names in lower case.
        body: Its bytes.
    """

    number: int
    method: str
    target: str
    headers: dict[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    @property
    def path(self) -> str:
        """Return the decoded path."""
        return unquote(urlsplit(self.target).path)

    @property
    def kind(self) -> str:
        """Return the kind of a request to blob storage: ``list``, ``batch``, ``block``, ``commit``, or the method."""
        query = urlsplit(self.target).query
        for mark, kind in (
            ("comp=list&", "list"), ("comp=batch", "batch"), ("comp=blocklist", "commit"), ("comp=block", "block"),
        ):  # fmt: skip
            if mark in f"{query}&" or (kind == "batch" and mark in query):
                return kind
        return self.method


@attrs.frozen
class _Answer:
    """The complete answer of the server."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


class _Exchange:
    """A request that an action can forward, answer or cut."""

    def __init__(self, handler: _Handler, asked: Asked) -> None:
        self.asked = asked
        self._handler = handler

    def forward(self) -> _Answer:
        """Send the request to the server, and return its answer."""
        return self._handler.forward(self.asked)

    def reply(
        self, status: int, reason: str, headers: list[tuple[str, str]], body: bytes, *, sent: int = -1
    ) -> None:
        """Answer the client. With ``sent``, send only so many bytes of the body, then cut the connection."""
        handler = self._handler
        handler.send_response_only(status, reason)
        for name, value in headers:
            if name.lower() not in _HOP:
                handler.send_header(name, value)
        no_body = self.asked.method == "HEAD" or status in {204, 304}
        if self.asked.method == "HEAD":
            handler.send_header(
                "Content-Length", {n.lower(): v for n, v in headers}.get("content-length", "0")
            )
        elif status not in {204, 304}:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if not no_body:
            handler.wfile.write(body if sent < 0 else body[:sent])
        handler.wfile.flush()
        if sent >= 0:
            self.cut()

    def cut(self) -> None:
        """Reset the connection, as a broken router does."""
        sock = self._handler.connection
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RD)
        self._handler.close_connection = True
        self._handler.reset = True


Action = "Callable[[_Exchange], None]"


def pass_on(exchange: _Exchange) -> None:
    """Forward the request and the answer unchanged."""
    found = exchange.forward()
    exchange.reply(found.status, found.reason, found.headers, found.body)


def cut_before(exchange: _Exchange) -> None:
    """Cut the connection before the server gets the request."""
    exchange.cut()


def cut_after(exchange: _Exchange) -> None:
    """Forward the request, and lose the answer."""
    exchange.forward()
    exchange.cut()


def cut_body(exchange: _Exchange) -> None:
    """Cut the connection in the middle of the answer."""
    found = exchange.forward()
    exchange.reply(found.status, found.reason, found.headers, found.body, sent=len(found.body) // 2)


def duplicate(exchange: _Exchange) -> None:
    """Send the request twice, and return the second answer."""
    exchange.forward()
    pass_on(exchange)


def delay(seconds: float) -> Any:
    """Delay the request."""

    def late(exchange: _Exchange) -> None:
        time.sleep(seconds)
        pass_on(exchange)

    return late


def answer(status: int, code: str | None = None, body: bytes | None = None, **headers: str) -> Any:
    """Answer with an error of the service or of a gateway; the server does not get the request."""

    def instead(exchange: _Exchange) -> None:
        exchange.reply(status, "Answer", *_error(code, body, headers))

    return instead


def fail_after(status: int, code: str | None = None, body: bytes | None = None, **headers: str) -> Any:
    """Forward the request, and answer with an error."""

    def instead(exchange: _Exchange) -> None:
        exchange.forward()
        exchange.reply(status, "Answer", *_error(code, body, headers))

    return instead


def replace_body(change: Callable[[bytes], bytes]) -> Any:
    """Replace the body of the answer."""

    def instead(exchange: _Exchange) -> None:
        found = exchange.forward()
        exchange.reply(found.status, found.reason, found.headers, change(found.body))

    return instead


def _error(
    code: str | None, body: bytes | None, headers: dict[str, str]
) -> tuple[list[tuple[str, str]], bytes]:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if body is None:
        if code is not None:
            sent.append(("x-ms-error-code", code))
        text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>m</Message></Error>'
        body = text.encode() if code is not None else b""
        sent.append(("Content-Type", "application/xml"))
    return sent, body


class FaultyProxy:
    """A running proxy.

    Attributes:
        port: On 127.0.0.1.
        plan: Called with each request; gives what happens to it, None for nothing.
        seen: The requests so far.
    """

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.plan: Callable[[Asked], Any] = lambda _asked: None
        self.seen: list[Asked] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Return scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self, plan: Callable[[Asked], Any] = lambda _asked: None) -> None:
        """Forget the requests so far, and use another plan from now on."""
        with self._lock:
            self.seen, self.plan = [], plan

    def kinds(self) -> list[str]:
        """Return the kinds of the requests so far."""
        return [asked.kind for asked in self.seen]

    def take(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[Asked, Any]:
        """Record a request, and return the action for it."""
        with self._lock:
            asked = Asked(len(self.seen), method, target, headers, body)
            self.seen.append(asked)
            plan = self.plan
        return asked, plan(asked) or pass_on

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    proxy: FaultyProxy
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up; tests do that."""

    def shutdown_request(self, request: Any) -> None:
        # socketserver would close the connection in order, and hide the cut.
        request.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server
    reset = False

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with contextlib.suppress(OSError):
            super().finish()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked, action = self.server.proxy.take(self.command, self.path, headers, body)
        action(_Exchange(self, asked))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # whatever the method
            return self._serve
        raise AttributeError(name)

    def forward(self, asked: Asked) -> _Answer:
        """Send the request to the server."""
        for last in (False, True):
            if self._upstream is None:
                self._upstream = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=60)
            try:
                self._upstream.putrequest(
                    asked.method, asked.target, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    if name.lower() not in {"connection", "keep-alive"}:
                        self._upstream.putheader(name, value)
                self._upstream.endheaders(asked.body or None)
                found = self._upstream.getresponse()
                return _Answer(found.status, found.reason, found.getheaders(), found.read())
            except (http.client.RemoteDisconnected, ConnectionError):
                self._upstream.close()
                self._upstream = None
                if last:
                    raise
        raise AssertionError

    def log_message(self, *_args: Any) -> None:
        """Write no log."""


@contextlib.contextmanager
def run_faulty_proxy(server_url: str) -> Iterator[FaultyProxy]:
    """Start a proxy to a server, and stop it at the end."""
    proxy = FaultyProxy(server_url)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join()
