"""Requests to Microsoft Graph: one discipline for all of them.

Every request is bound to the endpoint that was given, carries the token to nowhere else, is repeated where
that helps and is safe, and waits with all others when the service asks for it. What goes wrong is a
`GraphError` or an error of the HTTP library in here, and one of `intouch_import.errors` outside.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar
from urllib.parse import urlsplit

from intouch_import.cloud.endpoints import is_loopback, origin_of
from intouch_import.errors import ConfigError, InTouchImportError, SignInNeeded, SourceUnavailable
from intouch_import.extras import needing
from intouch_import.onedrive.errors import (
    ASKS_FOR_TIME,
    FAILS_FOR_NOW,
    GraphError,
    TransferFailed,
    Tries,
    after_s,
    is_transport,
    what_is_said,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    import httpx

    from intouch_import.cloud.retry import Patience

__all__ = ["PUBLIC_CLOUD", "Graph", "PerProcess", "checked_endpoint", "trusted_authorities", "unlogged"]

log = logging.getLogger(__name__)

PUBLIC_CLOUD: Final = "https://graph.microsoft.com"
_CONNECT_S: Final = 10.0
_AT_ONCE: Final = 8
_WHOLE: Final = 200
# What a race with other workstations looks like.
_EXPECTED: Final = frozenset({404, 409, 410, 412})
_ACTIONS: Final = frozenset(
    {"children", "delta", "content", "createUploadSession", "approot", "download", "upload", "drive", "root"}
)
_REDIRECTS: Final = 3
_REFUSED: Final = 401
_T = TypeVar("_T")


class Graph:
    """Asks Graph, from any thread.

    Args:
        endpoint: Scheme and host; see `checked_endpoint`.
        signin: Gives access tokens.
        patience: How long to wait, all requests together.
        timeout_s: How long to wait for an answer, seconds. A deletion may take its time, and what is not
            waited for is in doubt.
        source_id: For the log.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        signin: Callable[[bool], str],
        patience: Patience,
        timeout_s: float,
        source_id: str = "",
    ) -> None:
        self._base = f"{endpoint}/v1.0"
        self._local = endpoint.startswith("http://")
        self._signin = signin
        self.patience = patience
        self._timeout_s = timeout_s
        self._source_id = source_id
        self._clients: PerProcess[_Clients] = PerProcess(self._connect)
        self._tokens: PerProcess[threading.Lock] = PerProcess(threading.Lock)

    def close(self) -> None:
        """Let go of connections; a later request opens new ones."""
        clients = self._clients.take()
        if clients is not None:
            clients.close()

    # --- requests

    def get(self, address: str, **params: str) -> dict[str, Any]:
        """Ask for an object.

        Args:
            address: Path below the version (``/me/drive``), or a link that an answer gave.
            params: For the query.

        Raises:
            GraphError: Graph refused.
        """
        return self.ask(lambda: self.get_once(address, **params))

    def get_once(self, address: str, **params: str) -> dict[str, Any]:
        """`get`, without another try."""
        return _json(self.send("GET", address, params=params))

    def ask(self, attempt: Callable[[], _T]) -> _T:
        """Call ``attempt`` until it succeeds, fails for good, or patience ends.

        Raises:
            Throttled: Graph wants a longer pause than is allowed.
            GraphError, TransferFailed: What ``attempt`` raised last.
            SourceError: It got no answer.
        """
        try:
            return self.patience.ask(attempt, again=Tries())
        except InTouchImportError:
            raise
        except (GraphError, TransferFailed):
            raise
        except Exception as exc:
            if not is_transport(exc):
                raise
            raise SourceUnavailable("OneDrive can't be reached") from None

    def send(
        self,
        method: str,
        address: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """One request, with one more if the token was refused.

        Raises:
            GraphError: Graph refused.
            SignInNeeded: A new token was refused too.
        """
        url = self._url(address)
        token = self._token(None)
        response = self._send(method, url, token, params, headers, content, json)
        if response.status_code == _REFUSED:  # before its time: it was revoked, or the clocks differ
            renewed = self._token(token)
            response = self._send(method, url, renewed, params, headers, content, json)
            if response.status_code == _REFUSED:
                raise SignInNeeded("OneDrive does not accept the sign-in: sign in again")
        if response.is_success:
            return response
        raise self._refusal(method, address, response)

    def download(self, address: str, take: Callable[[Iterator[bytes]], _T]) -> _T:
        """Read bytes from where Graph said they are. The token is not sent there, nor wanted.

        Args:
            address: A download address, fresh.
            take: Given the bytes in pieces.

        Raises:
            TransferFailed: The address was refused, or the bytes came otherwise than announced.
            GraphError: The origin asked for time.
        """
        import httpx

        url = httpx.URL(address)
        for _ in range(_REDIRECTS):
            self._check_origin_of_bytes(url)
            with unlogged(), self._clients().bytes.stream("GET", url) as response:
                if response.has_redirect_location:
                    url = url.join(response.headers["Location"])
                    continue
                if response.status_code != _WHOLE:
                    self._note("GET", "download", status=response.status_code)
                if response.status_code in ASKS_FOR_TIME | FAILS_FOR_NOW:
                    raise GraphError(response.status_code, after_s=after_s(response))
                # 206 would be a part, and anything encoded not the bytes that were hashed there.
                encoded = response.headers.get("Content-Encoding", "identity") != "identity"
                if response.status_code != _WHOLE or encoded:
                    raise TransferFailed
                try:
                    return take(response.iter_raw())
                except Exception as exc:
                    if is_transport(exc):  # it answered, and broke off: that is about this file
                        self._note("GET", "download", kind=type(exc).__name__)
                        raise TransferFailed from None
                    raise
        raise TransferFailed

    def upload(self, address: str, *, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Send a part of an upload to where Graph said. The token is not sent there.

        Raises:
            GraphError: It was refused.
        """
        return self._to_origin_of_bytes("PUT", address, content=content, headers=dict(headers))

    def upload_status(self, address: str) -> dict[str, Any]:
        """Ask what has arrived of an upload.

        Raises:
            GraphError: There is no such upload.
        """
        return _json(self._to_origin_of_bytes("GET", address))

    def cancel_upload(self, address: str) -> None:
        """Give up an upload.

        Raises:
            GraphError: It was refused.
        """
        self._to_origin_of_bytes("DELETE", address)

    # --- inside

    def _to_origin_of_bytes(self, method: str, address: str, **what: Any) -> httpx.Response:
        import httpx

        url = httpx.URL(address)
        self._check_origin_of_bytes(url)
        try:
            with unlogged():
                response = self._clients().bytes.request(method, url, **what)
        except Exception as exc:
            self._note(method, "upload", kind=type(exc).__name__)
            raise
        if response.is_success:
            return response
        raise self._refusal(method, "upload", response)

    def _send(
        self,
        method: str,
        url: str,
        token: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        json: Any,
    ) -> httpx.Response:
        try:
            with unlogged():
                return self._clients().graph.request(
                    method,
                    url,
                    params=dict(params) if params else None,
                    headers={"Authorization": f"Bearer {token}", **(headers or {})},
                    content=content,
                    json=json,
                )
        except Exception as exc:
            self._note(method, url, kind=type(exc).__name__)
            raise

    def _refusal(self, method: str, address: str, response: httpx.Response) -> GraphError:
        codes, request_id = what_is_said(response)
        exc = GraphError(response.status_code, codes, after_s(response))
        self._note(
            method,
            address,
            status=exc.status,
            tags="+".join(sorted(codes)) or None,
            request_id=request_id,
            after_s=exc.after_s,
        )
        return exc

    def _note(self, method: str, address: str, **what: Any) -> None:
        """Log that a call failed: which kind of call, and the codes that came back; no name, no address."""
        told = {name: value for name, value in what.items() if value is not None}
        expected = told.get("status") in _EXPECTED
        log.log(
            logging.INFO if expected else logging.WARNING,
            "a call to OneDrive failed",
            extra={"source_id": self._source_id, "route": f"{method}/{_route(address)}", **told},
        )

    def _url(self, address: str) -> str:
        if address.startswith("/"):
            return self._base + address
        # A link goes where the token may go, or nowhere: whoever can forge an answer could collect tokens.
        if not address.startswith(f"{self._base}/") or "/../" in address:
            raise SourceUnavailable("an answer points to another server", retry_helps=False)
        return address

    def _check_origin_of_bytes(self, url: httpx.URL) -> None:
        if url.scheme == "https" or (self._local and url.scheme == "http" and is_loopback(url.host)):
            return
        raise TransferFailed

    def _token(self, refused: str | None) -> str:
        """A token; a new one if one was refused, though one of many threads that were refused asks for it."""
        try:
            if refused is None:
                return self._signin(False)  # noqa: FBT003  # the shape of a token provider
            with self._tokens():
                current = self._signin(False)  # noqa: FBT003
                return current if current != refused else self._signin(True)  # noqa: FBT003
        except InTouchImportError:
            raise
        except Exception:  # noqa: BLE001  # it is the host's, and its text may hold a token
            raise SourceUnavailable("the token provider failed") from None

    def _connect(self) -> _Clients:
        httpx = _httpx()
        options: dict[str, Any] = {
            "timeout": httpx.Timeout(self._timeout_s, connect=_CONNECT_S, pool=None),
            "limits": httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE),
            "follow_redirects": False,
            "verify": trusted_authorities(),
            # A practice's proxy is found in the environment; on this machine none is wanted.
            "trust_env": not self._local,
        }
        bytes_only = {"Accept-Encoding": "identity"}
        clients = _Clients(httpx.Client(**options), httpx.Client(**options, headers=bytes_only))
        weakref.finalize(self, clients.close)  # for whoever forgets to close the source
        return clients

    def __repr__(self) -> str:
        return "<Graph>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("connections to OneDrive hold a sign-in and are not pickled: open the source anew")


class _Clients:
    """Two pools of connections: one that carries tokens to Graph, and one that carries none to anywhere."""

    def __init__(self, graph: httpx.Client, bytes_: httpx.Client) -> None:
        self.graph = graph
        self.bytes = bytes_

    def close(self) -> None:
        self.graph.close()
        self.bytes.close()


def checked_endpoint(text: str) -> str:
    """The Graph host, as a URL without a path.

    Args:
        text: ``https://graph.microsoft.com``, the host of a national cloud, a proxy of the practice; plain
            http for this machine alone.

    Raises:
        ConfigError: It is none.
    """
    origin, parts = origin_of(text, such_as=PUBLIC_CLOUD)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError("endpoint is a host alone, without a path, a query or a user")
    return origin


@cache
def trusted_authorities() -> ssl.SSLContext:
    """What certificates are checked against. Reading them takes some tens of milliseconds: once for all."""
    context: ssl.SSLContext = _httpx().create_ssl_context()
    return context


def _route(address: str) -> str:
    """What kind of call an address is, without anything of it that somebody chose."""
    last = urlsplit(address).path.rpartition("/")[2].partition("(")[0]
    return last if last in _ACTIONS else "item"


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        raise SourceUnavailable("an answer of OneDrive was not understood") from None
    if not isinstance(found, dict):
        raise SourceUnavailable("an answer of OneDrive was not understood")
    return found


def _httpx() -> Any:
    with needing("OneDrive folders need httpx", "httpx", install="intouch-import[onedrive]"):
        import httpx
    return httpx


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


class PerProcess(Generic[_T]):
    """A value that a forked child makes anew.

    A child must not use its parent's connections, whose answers would reach either of them, nor wait for a
    lock that a thread of the parent held at the moment of the fork and that nobody in the child will release.

    Args:
        make: Makes the value, in the first thread that asks for it.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: dict[int, _T] = {}

    def __call__(self) -> _T:
        """The value of this process."""
        pid = os.getpid()
        found = self._made.get(pid)
        # Two threads may both make one; `setdefault` is atomic, and both then use the same.
        return found if found is not None else self._made.setdefault(pid, self._make())

    def take(self) -> _T | None:
        """The value of this process, if it was made; it is forgotten here."""
        return self._made.pop(os.getpid(), None)
