"""Requests to Microsoft Graph: one discipline for all of them.

Every request is bound to the endpoint that was given, carries the token to nowhere else, is repeated where
that helps and is safe, and waits with all others when the service asks for it. What goes wrong is a
`GraphError` or an error of the HTTP library in here, and one of `intouch_import.errors` outside.
"""

from __future__ import annotations

import contextlib
import ipaddress
import threading
import time
import weakref
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

from intouch_import.errors import (
    ConfigError,
    InTouchImportError,
    MissingExtraError,
    SignInNeeded,
    SourceError,
    SourceUnavailable,
    Throttled,
)
from intouch_import.sources.onedrive.processes import PerProcess
from intouch_import.sources.onedrive.quiet import unlogged
from intouch_import.sources.patience import Again, Patience

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    import httpx

__all__ = [
    "ABOUT_ALL",
    "PUBLIC_CLOUD",
    "Graph",
    "GraphError",
    "TransferFailed",
    "checked_endpoint",
    "explained",
    "explaining",
    "is_gone",
    "trusted_authorities",
]

PUBLIC_CLOUD: Final = "https://graph.microsoft.com"
_CONNECT_S: Final = 10.0
_AT_ONCE: Final = 8
_TRIES_WITHOUT_ANSWER: Final = 3
_REDIRECTS: Final = 3
_ASKS_FOR_TIME: Final = frozenset({429, 503, 509})
ABOUT_ALL: Final = _ASKS_FOR_TIME | {404}
"""Refusals that are about more than the file that was asked for."""
_REFUSED: Final = 401
_NOT_FOUND: Final = 404
_FAILS_FOR_NOW: Final = frozenset({500, 502, 504})
_T = TypeVar("_T")


class GraphError(Exception):
    """Graph refused. Never shown: its text may hold names.

    Attributes:
        status: HTTP status.
        codes: Every error code that it gave, the outer one and those within.
        after_s: How long it wants to be left alone, seconds; None if it did not say.
    """

    def __init__(
        self, status: int, codes: frozenset[str] = frozenset(), after_s: float | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.codes = codes
        self.after_s = after_s


class TransferFailed(Exception):
    """A download did not come to its end, or its address was refused; a fresh address may help."""


class Graph:
    """Asks Graph, from any thread.

    Args:
        endpoint: Scheme and host; see `checked_endpoint`.
        signin: Gives access tokens.
        patience: How long to wait, all requests together.
        timeout_s: How long to wait for an answer, seconds. A deletion may take its time, and what is not
            waited for is in doubt.
    """

    def __init__(
        self, *, endpoint: str, signin: Callable[[bool], str], patience: Patience, timeout_s: float
    ) -> None:
        self._base = f"{endpoint}/v1.0"
        self._local = endpoint.startswith("http://")
        self._signin = signin
        self.patience = patience
        self._timeout_s = timeout_s
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
            return self.patience.ask(attempt, again=_Tries())
        except InTouchImportError:
            raise
        except (GraphError, TransferFailed):
            raise
        except Exception as exc:
            if not _is_transport(exc):
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
        raise _refusal(response)

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
                if response.status_code in _ASKS_FOR_TIME | _FAILS_FOR_NOW:
                    raise GraphError(response.status_code, after_s=_after_s(response))
                # 206 would be a part, and anything encoded not the bytes that were hashed there.
                encoded = response.headers.get("Content-Encoding", "identity") != "identity"
                if response.status_code != 200 or encoded:  # noqa: PLR2004
                    raise TransferFailed
                try:
                    return take(response.iter_raw())
                except Exception as exc:
                    if _is_transport(exc):  # it answered, and broke off: that is about this file
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
        with unlogged():
            response = self._clients().bytes.request(method, url, **what)
        if response.is_success:
            return response
        raise _refusal(response)

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
        with unlogged():
            return self._clients().graph.request(
                method,
                url,
                params=dict(params) if params else None,
                headers={"Authorization": f"Bearer {token}", **(headers or {})},
                content=content,
                json=json,
            )

    def _url(self, address: str) -> str:
        if address.startswith("/"):
            return self._base + address
        # A link goes where the token may go, or nowhere: whoever can forge an answer could collect tokens.
        if not address.startswith(f"{self._base}/") or "/../" in address:
            raise SourceUnavailable("an answer points to another server", retry_helps=False)
        return address

    def _check_origin_of_bytes(self, url: httpx.URL) -> None:
        if url.scheme == "https" or (self._local and url.scheme == "http" and _is_loopback(url.host)):
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


class _Tries:
    """Which failures of one operation are worth another try."""

    def __init__(self) -> None:
        self._left = _TRIES_WITHOUT_ANSWER

    def __call__(self, exc: Exception) -> Again | None:
        if isinstance(exc, GraphError) and exc.status in _ASKS_FOR_TIME:
            return Again(after_s=exc.after_s, throttled=True)
        failed = isinstance(exc, GraphError) and exc.status in _FAILS_FOR_NOW
        if not failed and not isinstance(exc, TransferFailed) and not _is_transport(exc):
            return None
        self._left -= 1
        return Again() if self._left >= 0 else None


def checked_endpoint(text: str) -> str:
    """The Graph host, as a URL without a path.

    Args:
        text: ``https://graph.microsoft.com``, the host of a national cloud, a proxy of the practice; plain
            http for this machine alone.

    Raises:
        ConfigError: It is none.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ConfigError("endpoint is no URL") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in {"https", "http"} or not host:
        raise ConfigError(f"endpoint is a URL such as {PUBLIC_CLOUD}")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError("endpoint is a host alone, without a path, a query or a user")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError("endpoint must be https: plain http is for this machine alone")
    shown = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{shown}" + (f":{port}" if port not in {None, usual} else "")


@cache
def trusted_authorities() -> ssl.SSLContext:
    """What certificates are checked against. Reading them takes some tens of milliseconds: once for all."""
    context: ssl.SSLContext = _httpx().create_ssl_context()
    return context


def is_gone(exc: GraphError) -> bool:
    """Whether an answer about an item says that it is not there; any other 404 says something else."""
    return exc.status == _NOT_FOUND and "itemNotFound" in exc.codes and "driveNotFound" not in exc.codes


def explained(exc: GraphError | TransferFailed, text: str) -> SourceError:
    """What a refusal means for a whole location.

    Args:
        exc: The refusal.
        text: What could not be done.
    """
    status = exc.status if isinstance(exc, GraphError) else 0
    match status:
        case 403:
            reason = "the account may not do that there: see which permissions were granted"
            return SourceUnavailable(f"{text}: {reason}", retry_helps=False, status=status)
        case 404:
            return SourceUnavailable(
                f"{text}: there is no such folder or drive", retry_helps=False, status=status
            )
        case 429 | 503 | 509:
            return Throttled("OneDrive asks for time", status=status)
        case 507:
            return SourceUnavailable(f"{text}: the OneDrive is full", status=status)
    return SourceUnavailable(text, status=status)


@contextlib.contextmanager
def explaining(text: str, source_id: str) -> Iterator[None]:
    """Whatever Graph refuses in this block becomes a `SourceError` of that source."""
    try:
        yield
    except (GraphError, TransferFailed) as exc:
        found = explained(exc, text)
        found.source_id = source_id
        raise found from None
    except SourceError as exc:
        exc.source_id = exc.source_id or source_id
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        # An answer of another shape. The text of such an error quotes what it found: names.
        raise SourceUnavailable(f"{text}: the answer was not understood", source_id=source_id) from None


def _refusal(response: httpx.Response) -> GraphError:
    codes = set()
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        error = response.json().get("error")
        while isinstance(error, dict):
            codes.add(str(error.get("code")))
            error = error.get("innerError") or error.get("innererror")
    return GraphError(response.status_code, frozenset(codes), _after_s(response))


def _after_s(response: httpx.Response) -> float | None:
    """What ``Retry-After`` says: seconds, or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    with contextlib.suppress(ValueError, TypeError):
        when = parsedate_to_datetime(text)
        return max(0.0, (when - datetime.fromtimestamp(time.time(), UTC)).total_seconds())
    return None


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        raise SourceUnavailable("an answer of OneDrive was not understood") from None
    if not isinstance(found, dict):
        raise SourceUnavailable("an answer of OneDrive was not understood")
    return found


def _is_transport(exc: Exception) -> bool:
    import httpx

    return isinstance(exc, (httpx.TransportError, httpx.StreamError, httpx.DecodingError))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _httpx() -> Any:
    try:
        import httpx
    except ModuleNotFoundError as exc:
        if exc.name != "httpx":
            raise
        raise MissingExtraError(
            "OneDrive folders need httpx: pip install 'intouch-import[onedrive]'"
        ) from exc
    return httpx
