"""HTTP on loopback: requests and answers as values, faults that can be switched on, and a count of calls."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Answer", "Fault", "Faults", "Origin", "Request"]

_PIECE_BYTES: Final = 64 * 1024


@attrs.frozen(kw_only=True)
class Request:
    """A request as it arrived.

    Args:
        method: Upper case.
        path: As sent: percent-encoded, without the query.
        query: Decoded; the last of several values of one name.
        headers: Names in lower case.
        body: Whole.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one if there is no body."""
        return json.loads(self.body) if self.body else {}

    def form(self) -> dict[str, str]:
        """The body as an HTML form."""
        return dict(parse_qsl(self.body.decode("utf-8"), keep_blank_values=True))


@attrs.frozen(kw_only=True)
class Answer:
    """What is sent back.

    Args:
        status: HTTP status.
        headers: Beside Content-Length, which is computed.
        body: Whole.
        call: Name of the call, as counted and as faults name it.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)
    call: str = "unknown"

    @classmethod
    def of_json(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        """A JSON answer; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        body = json.dumps(value).encode("utf-8")
        return cls(status=status, headers={"Content-Type": "application/json", **named}, body=body)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@attrs.define(kw_only=True)
class Fault:
    """Something that goes wrong with a call.

    Args:
        call: Which call, such as ``"delete"``; ``"*"`` for any.
        times: How often; None for always.
        skip: How many calls pass unharmed first.
        effect: Whether the call has its effect all the same, so that only its answer is lost.
        status: Answer with this status instead; None leaves the answer as it is.
        code: Error code of that answer.
        headers: Headers of that answer, such as ``Retry-After``.
        body: Raw body of that answer, instead of an error in JSON.
        drop: Close the connection without an answer.
        cut_bytes: Announce the whole body, send only so many bytes of it, and close.
        pause_s: Wait so long with the answer, once the call has had its effect, seconds.
        slow_s: Wait so long between pieces of the body, seconds.
        piece_bytes: Size of these pieces.
        corrupt: Change a byte in the middle of the body.
        rewrite: Given the JSON of the answer, returns what to send instead.
        meanwhile: Called before the call is carried out: what somebody else does at that moment.
    """

    call: str
    times: int | None = 1
    skip: int = 0
    effect: bool = False
    status: int | None = None
    code: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes | None = attrs.field(default=None, repr=False)
    drop: bool = False
    cut_bytes: int | None = None
    pause_s: float = 0.0
    slow_s: float = 0.0
    piece_bytes: int = _PIECE_BYTES
    corrupt: bool = False
    rewrite: Callable[[Any], Any] | None = None
    meanwhile: Callable[[], object] | None = None
    struck: int = 0

    def answer(self) -> Answer | None:
        """What this fault answers in place of the call; None if it changes the call's own answer."""
        if self.status is None:
            return None
        headers = {"Content-Type": "application/json", **self.headers}
        if self.body is not None:
            return Answer(status=self.status, headers=headers, body=self.body)
        name = self.code or responses.get(self.status, "bandwidthLimitExceeded").replace(" ", "")
        error = {"error": {"code": name, "message": "a fault was switched on", "innerError": {}}}
        return Answer(status=self.status, headers=headers, body=json.dumps(error).encode())


class Faults:
    """The faults that are switched on, in order; the first that fits strikes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, call: str, /, **what: Any) -> Fault:
        """Switch a fault on; see `Fault`."""
        fault = Fault(call=call, **what)
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._waiting.clear()

    def strike(self, call: str) -> Fault | None:
        """The fault of this call, if there is one."""
        with self._lock:
            for fault in self._waiting:
                if fault.call not in {call, "*"}:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times is not None and fault.struck >= fault.times:
                    continue
                fault.struck += 1
                return fault
        return None


class Origin:
    """One address on loopback that answers.

    Args:
        name: Name of a call, given a request; what faults and counts go by.
        answer: Carries a request out.
        faults: What may go wrong.
        latency_s: How long every answer is held back, seconds; may be changed at any time.
    """

    def __init__(
        self,
        *,
        name: Callable[[Request], str],
        answer: Callable[[Request, str], Answer],
        faults: Faults,
        latency_s: Callable[[], float],
    ) -> None:
        self._name = name
        self._answer = answer
        self._faults = faults
        self._latency_s = latency_s
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0
        self.requests: list[Request] = []
        self.keep_requests = True
        self.bugs: list[Exception] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True, name="origin"
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering; open connections are cut."""
        self._server.shutdown()
        self._server.cut_all()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

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
                origin.serve(request, self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is inherited
                """Say nothing: requests hold names and tokens."""

        return Handler

    def serve(self, request: Request, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        call = self._name(request)
        with self._lock:
            self.calls[call] += 1
            if self.keep_requests:
                self.requests.append(request)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            fault = self._faults.strike(call)
            time.sleep(self._latency_s())
            try:
                answer = self._carried_out(request, call, fault)
            except Exception as exc:  # a bug of this server: whoever tests must hear of it
                self.bugs.append(exc)
                answer = Answer(status=500)
            if fault is not None:
                time.sleep(fault.pause_s)
            with contextlib.suppress(ConnectionError, TimeoutError):
                self._send(answer, fault, handler)
        finally:
            with self._lock:
                self.at_once -= 1

    def _carried_out(self, request: Request, call: str, fault: Fault | None) -> Answer | None:
        """The answer to send; None to send none."""
        if fault is None:
            return self._answer(request, call)
        if fault.meanwhile is not None:
            fault.meanwhile()
        own = fault.answer()
        if fault.effect or (own is None and not fault.drop):
            answer = self._answer(request, call)
            if own is None:
                own = answer
        if fault.drop or own is None:
            return None
        if fault.rewrite is not None:
            own = attrs.evolve(own, body=json.dumps(fault.rewrite(own.json())).encode("utf-8"))
        if fault.corrupt and own.body:
            middle = len(own.body) // 2
            changed = bytes([own.body[middle] ^ 0x55])
            own = attrs.evolve(own, body=own.body[:middle] + changed + own.body[middle + 1 :])
        return own

    @staticmethod
    def _send(answer: Answer | None, fault: Fault | None, handler: BaseHTTPRequestHandler) -> None:
        if answer is None:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, text in answer.headers.items():
            handler.send_header(name, text)
        if answer.status != HTTPStatus.NO_CONTENT:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        body = answer.body
        if fault is not None and fault.cut_bytes is not None:
            body = body[: fault.cut_bytes]
            handler.close_connection = True
        if handler.command != "HEAD":
            for piece in _pieces(body, fault):
                handler.wfile.write(piece)
                handler.wfile.flush()
        handler.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

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
        """A client that hung up is no news."""


def _pieces(body: bytes, fault: Fault | None) -> Iterable[bytes]:
    if fault is None or not fault.slow_s:
        yield body
        return
    for start in range(0, len(body), fault.piece_bytes):
        yield body[start : start + fault.piece_bytes]
        time.sleep(fault.slow_s)
