"""HTTP on the loopback interface, for both doubles: requests, answers, faults, and counts of calls."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections import Counter, deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

import attrs

from services.doubles.faults import Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

__all__ = ["JSON", "Answer", "Origin", "Request", "Service"]

JSON: Final = "application/json"
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")
_KEPT_REQUESTS: Final = 10_000


@attrs.frozen(kw_only=True)
class Request:
    """A request as it arrived.

    Args:
        method: In capitals.
        path: As it was sent: percent-encoded, without the query.
        query: Decoded. If a name has several values, the last one.
        headers: Names in lower case.
        body: All of it.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters; empty if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty one if there is no body."""
        return json.loads(self.body) if self.body else {}

    def form(self) -> dict[str, str]:
        """Return the body as an HTML form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@attrs.frozen(kw_only=True)
class Answer:
    """An answer to send.

    Args:
        status: HTTP status.
        headers: All but Content-Length, which is computed.
        parts: The body, in parts: thousands of large answers can share what they have in common.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    parts: Sequence[bytes] = attrs.field(default=(), repr=False)

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)

    @classmethod
    def of_json(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        """Return a JSON answer. Underscores in header names become hyphens."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(
            status=status, headers={"Content-Type": JSON, **named}, parts=[json.dumps(value).encode("utf-8")]
        )

    @classmethod
    def of_html(cls, text: str, status: int = 200) -> Answer:
        """Return a page for a browser."""
        headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
        return cls(status=status, headers=headers, parts=[text.encode("utf-8")])

    @classmethod
    def of_file(cls, request: Request, parts: Sequence[bytes]) -> Answer:
        """Return a file, or the range of it that was asked for."""
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        if wanted is None:
            return cls(headers=headers, parts=parts)
        size = sum(map(len, parts))
        start, end = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
        if start >= size:
            return cls(status=416, headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return cls(status=206, headers=headers, parts=[b"".join(parts)[start : end + 1]])


class Service:
    """One or more addresses on the loopback interface that answer for a service, from construction to `close`.

    Args:
        latency_s: How long every answer is held back, seconds; may be changed at any time.

    Attributes:
        faults: The faults to come.
        fail: Adds faults; see `Faults.add`.
        closing: Set when the service is closed, so that nothing waits any longer.
    """

    def __init__(self, *, latency_s: float = 0.0) -> None:
        self.latency_s = latency_s
        self.faults = Faults()
        self.fail = self.faults.add
        self.closing = threading.Event()
        self._origins: list[Origin] = []

    def _answer_at(
        self, name: Callable[[Request], str], answer: Callable[[Request, str], Answer], *, port: int = 0
    ) -> Origin:
        """Answer at one more address; see `Origin`."""
        origin = Origin(self, name=name, answer=answer, port=port)
        self._origins.append(origin)
        return origin

    def forget_calls(self) -> None:
        """Count calls and keep requests anew."""
        for origin in self._origins:
            origin.calls.clear()
            origin.requests.clear()
            origin.most_at_once = 0

    def extra_headers(self) -> Mapping[str, str]:
        """Return the headers that every answer of the vendor has."""
        return {}

    def close(self) -> None:
        """Stop answering, and cut all connections.

        Raises:
            AssertionError: Answering a request raised an error: this double has a bug.
        """
        self.closing.set()
        for origin in self._origins:
            origin.close()
        for origin in self._origins:
            if origin.bugs:
                raise AssertionError("the server failed") from origin.bugs[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Origin:
    """One address that answers.

    Args:
        service: The service: its faults, its latency, and its end.
        name: Returns the name of a call, which faults and counts go by.
        answer: Carries out a request, given the name of the call.
        port: 0 for any free one.

    Attributes:
        url: The address, ``http://127.0.0.1:PORT``.
        calls: How often each call was made, by name.
        requests: The last requests, the newest last.
        most_at_once: The most requests that were being answered at one time.
        bugs: What `answer` raised.
    """

    def __init__(
        self,
        service: Service,
        *,
        name: Callable[[Request], str],
        answer: Callable[[Request, str], Answer],
        port: int,
    ) -> None:
        self._service = service
        self._name = name
        self._answer = answer
        self._lock = threading.Lock()
        self._at_once = 0
        self.calls: Counter[str] = Counter()
        self.requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.most_at_once = 0
        self.bugs: list[Exception] = []
        self._server = _Server(("127.0.0.1", port), type("Bound", (_Handler,), {"origin": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True, name="origin"
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and cut all connections."""
        self._server.shutdown()
        self._server.cut_all()
        self._server.server_close()
        self._thread.join()

    def serve(self, request: Request, handler: _Handler) -> None:
        """Answer one request."""
        call = self._name(request)
        with self._lock:
            self.calls[call] += 1
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault = self._service.faults.strike(call, "*")
            self._service.closing.wait(self._service.latency_s)
            try:
                answer = self._carry_out(request, call, fault)
            except Exception as exc:
                self.bugs.append(exc)
                answer = Answer(status=500)
            if fault is not None:
                self._service.closing.wait(fault.pause_s)
            with contextlib.suppress(OSError):  # the other side has gone
                self._send(answer, fault, handler)
        finally:
            with self._lock:
                self._at_once -= 1

    def _carry_out(self, request: Request, call: str, fault: Fault | None) -> Answer | None:
        """Return the answer to send; None to send none."""
        if fault is None:
            return self._answer(request, call)
        answer = self._answer(request, call) if fault.after else None
        if fault.meanwhile is not None:
            fault.meanwhile()
        if fault.hang_up:
            return None
        if fault.status is not None:
            return Answer(status=fault.status, headers=fault.headers, parts=[fault.body])
        return _changed(answer or self._answer(request, call), fault)

    def _send(self, answer: Answer | None, fault: Fault | None, handler: _Handler) -> None:
        if answer is None:
            handler.close_connection = True
            return
        size = sum(map(len, answer.parts))
        handler.send_response(answer.status)
        for name, text in {**answer.headers, **self._service.extra_headers()}.items():
            handler.send_header(name, text)
        if answer.status != HTTPStatus.NO_CONTENT:
            handler.send_header("Content-Length", str(size))
        handler.end_headers()
        parts = answer.parts
        if fault is not None and fault.cut_bytes is not None and fault.cut_bytes < size:
            parts = [answer.body[: fault.cut_bytes]]
            handler.close_connection = True
        elif fault is not None and fault.slow_s:
            step = max(1, -(-size // fault.pieces))
            parts = [answer.body[start : start + step] for start in range(0, size, step)]
        for number, part in enumerate(parts if handler.command != "HEAD" else ()):
            if number and fault is not None and fault.slow_s:
                handler.wfile.flush()
                self._service.closing.wait(fault.slow_s)
            handler.wfile.write(part)
        handler.wfile.flush()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    origin: Origin

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): text for name, text in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
        )
        self.origin.serve(request, self)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is inherited
        """Write nothing: requests hold names and tokens."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks a name server for the name of this machine.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: clients that hang up are part of the tests."""


def _changed(answer: Answer, fault: Fault) -> Answer:
    """Return the answer of a call with the changes of a fault."""
    if fault.rewrite is not None:
        answer = attrs.evolve(answer, parts=[json.dumps(fault.rewrite(json.loads(answer.body))).encode()])
    if not fault.flipped and fault.short_bytes is None:
        return answer
    body = bytearray(answer.body)
    if fault.flipped and body:
        body[len(body) // 2] ^= 0x55
    return attrs.evolve(answer, parts=[bytes(body[: fault.short_bytes])])
