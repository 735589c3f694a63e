"""`GraphClient`: requests to Microsoft Graph.

It sends the token to the endpoint only, retries where that helps and is safe, and lets all threads pause when
the service asks for it. Its failures are `CallFailed` or exceptions of httpx inside this package, and errors
of `intouch_import.errors` outside.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from intouch_import.cloud.endpoints import is_loopback, origin_of
from intouch_import.cloud.http import unlogged
from intouch_import.cloud.tokens import Tokens
from intouch_import.errors import ConfigError, InTouchImportError, SignInNeeded, SourceUnavailable
from intouch_import.extras import needing
from intouch_import.forks import PerProcess
from intouch_import.onedrive.errors import (
    FAILS_FOR_NOW,
    CallFailed,
    GraphError,
    Retries,
    TransferFailed,
    codes_of,
    is_transport,
    retry_after_s,
)
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    import httpx

    from intouch_import.cloud.retry import Patience

__all__ = ["PUBLIC_CLOUD", "GraphClient", "checked_endpoint", "json_of", "trusted_authorities"]

PUBLIC_CLOUD: Final = "https://graph.microsoft.com"
_CONNECT_S: Final = 10.0
_CONNECTIONS: Final = 8
# Other workstations work on the same files, so these are usual.
_USUAL: Final = frozenset({404, 409, 410, 412})
_ACTIONS: Final = frozenset(
    {"children", "delta", "content", "createUploadSession", "approot", "download", "upload", "drive", "root"}
)
_REDIRECTS: Final = 3
_T = TypeVar("_T")

log = logging.getLogger(__name__)


class _Pools(NamedTuple):
    """Two pools of connections: only requests to Graph carry a token."""

    graph: httpx.Client
    bytes_: httpx.Client

    def close(self) -> None:
        self.graph.close()
        self.bytes_.close()


class GraphClient:
    """Sends requests to Graph. Thread-safe.

    Args:
        endpoint: Scheme and host; see `checked_endpoint`.
        signin: Returns access tokens.
        patience: How long to wait, for all requests together.
        timeout_s: How long to wait for an answer, seconds. A deletion may take long, and if its answer is not
            awaited, nobody knows whether it took effect.
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
        _httpx()  # a missing extra is reported when the folder is opened, as elsewhere
        self._base = f"{endpoint}/v1.0"
        self._local = endpoint.startswith("http://")
        self._tokens = Tokens(signin, service="OneDrive")
        self.patience = patience
        self._timeout_s = timeout_s
        self._source_id = source_id
        self._pools = PerProcess(self._connect)

    def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        pools = self._pools.take()
        if pools is not None:
            pools.close()

    def get(self, address: str, **params: str) -> dict[str, Any]:
        """Return a JSON object of Graph, with retries.

        Args:
            address: Path below the version (``/me/drive``), or a link from an answer.
            params: For the query.

        Raises:
            GraphError: Graph refused.
            SourceError: There was no usable answer.
        """
        return self.ask(lambda: json_of(self.send("GET", address, params=params)))

    def ask(self, attempt: Callable[[], _T]) -> _T:
        """Call ``attempt`` until it succeeds, fails for good, or the patience ends.

        Raises:
            Throttled: Graph asked for a longer pause than is allowed.
            CallFailed: What ``attempt`` raised last.
            SourceError: There was no answer.
        """
        try:
            return self.patience.ask(attempt, again=Retries())
        except (InTouchImportError, CallFailed):
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
        **body: Any,
    ) -> httpx.Response:
        """Send one request, and a second one with a new token if the first token was refused.

        Args:
            method: The HTTP method.
            address: As for `get`.
            params: For the query.
            headers: Headers besides the token.
            body: ``content`` or ``json``, as for ``httpx.Client.request``.

        Raises:
            GraphError: Graph refused.
            SignInNeeded: The new token was refused too.
        """
        url, refused = self._url(address), None
        while True:
            token = self._tokens.get(refused)
            sent = {"Authorization": f"Bearer {token}", **(headers or {})}
            with self._sending(method, address):
                # With an empty dictionary httpx would drop the query of a link.
                response = self._pools().graph.request(
                    method, url, params=params or None, headers=sent, **body
                )
            if response.status_code != HTTPStatus.UNAUTHORIZED:
                return self._checked(method, address, response)
            # The token was revoked, or the clocks of the two machines differ.
            if refused is not None:
                raise SignInNeeded("OneDrive does not accept the sign-in: sign in again")
            refused = token

    def send_bytes(self, method: str, address: str, **what: Any) -> httpx.Response:
        """Send one request to an upload address from Graph, without the token.

        Raises:
            GraphError: It was refused.
        """
        self._check_origin_of_bytes(address)
        with self._sending(method, "upload"):
            response = self._pools().bytes_.request(method, address, **what)
        return self._checked(method, "upload", response)

    def download(self, address: str, take: Callable[[str, Iterator[bytes]], _T]) -> _T:
        """Read bytes from a download address, without the token.

        Args:
            address: A new download address from Graph; or the path of the content, which Graph redirects.
            take: Called with the media type of the answer, ``image/jpeg``, and its bytes in pieces.

        Raises:
            TransferFailed: The address was refused, or the answer was cut or of another kind than expected.
            GraphError: A retry may help.
        """
        pool, headers = self._pools().bytes_, {}
        if address.startswith("/"):
            address, pool = self._url(address), self._pools().graph
            headers = {"Authorization": f"Bearer {self._tokens.get(None)}", "Accept-Encoding": "identity"}
        for _ in range(_REDIRECTS):
            self._check_origin_of_bytes(address)
            with unlogged(), pool.stream("GET", address, headers=headers) as response:
                if response.has_redirect_location:
                    address = str(response.url.join(response.headers["Location"]))
                    pool, headers = self._pools().bytes_, {}
                    continue
                if response.status_code != HTTPStatus.OK:
                    self._log_failure("GET", "download", status=response.status_code)
                if response.status_code in FAILS_FOR_NOW:
                    raise GraphError(response.status_code, after_s=retry_after_s(response))
                # 206 is only a part, and encoded bytes are not the bytes that Graph has the hash of.
                encoded = response.headers.get("Content-Encoding", "identity") != "identity"
                if response.status_code != HTTPStatus.OK or encoded:
                    raise TransferFailed
                try:
                    media_type = response.headers.get("Content-Type", "").partition(";")[0]
                    return take(media_type.strip().lower(), response.iter_raw())
                except Exception as exc:
                    if is_transport(exc):  # the service answered, so this is about this file only
                        self._log_failure("GET", "download", kind=type(exc).__name__)
                        raise TransferFailed from None
                    raise
        raise TransferFailed

    @contextlib.contextmanager
    def _sending(self, method: str, address: str) -> Iterator[None]:
        try:
            with unlogged():
                yield
        except Exception as exc:
            self._log_failure(method, address, kind=type(exc).__name__)
            raise

    def _checked(self, method: str, address: str, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        codes, request_id = codes_of(response)
        exc = GraphError(response.status_code, codes, retry_after_s(response))
        self._log_failure(
            method,
            address,
            status=exc.status,
            tags="+".join(sorted(codes)) or None,
            request_id=request_id,
            after_s=exc.after_s,
        )
        raise exc

    def _log_failure(self, method: str, address: str, **what: Any) -> None:
        """Log the kind of call and the codes of the answer, but no name and no address."""
        extra = {name: value for name, value in what.items() if value is not None}
        level = logging.INFO if extra.get("status") in _USUAL else logging.WARNING
        extra |= {"source_id": self._source_id, "route": f"{method}/{_route(address)}"}
        log.log(level, "a call to OneDrive failed", extra=extra)

    def _url(self, address: str) -> str:
        if address.startswith("/"):
            return self._base + address
        # A forged answer must not send the token to another server.
        if not address.startswith(f"{self._base}/") or "/../" in address:
            raise SourceUnavailable("an answer points to another server", retry_helps=False)
        return address

    def _check_origin_of_bytes(self, address: str) -> None:
        url = urlsplit(address)
        local = self._local and url.scheme == "http" and is_loopback(url.hostname or "")
        if url.scheme != "https" and not local:
            raise TransferFailed

    def _connect(self) -> _Pools:
        httpx = _httpx()
        options: dict[str, Any] = {
            "timeout": httpx.Timeout(self._timeout_s, connect=_CONNECT_S, pool=None),
            "limits": httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            "follow_redirects": False,
            "verify": trusted_authorities(),
            # The proxy of a practice is set in the environment; a server on this machine needs none.
            "trust_env": not self._local,
        }
        bytes_only = {"Accept-Encoding": "identity"}
        pools = _Pools(httpx.Client(**options), httpx.Client(**options, headers=bytes_only))
        weakref.finalize(self, pools.close)  # if nobody closes the source
        return pools

    def __repr__(self) -> str:
        return "<GraphClient>"

    __reduce__ = refuse_to_pickle


def checked_endpoint(text: str) -> str:
    """Return the Graph host as a URL without a path.

    Args:
        text: ``https://graph.microsoft.com``, the host of a national cloud, or a proxy of the practice; plain
            http only for this machine.

    Raises:
        ConfigError: It is no such URL.
    """
    origin, parts = origin_of(text, such_as=PUBLIC_CLOUD)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError("endpoint must be a host only, without a path, a query or a user")
    return origin


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Return the trusted certificate authorities, read once, because that takes some tens of milliseconds."""
    context: ssl.SSLContext = _httpx().create_ssl_context()
    return context


def json_of(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        SourceUnavailable: The answer is no JSON object.
    """
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SourceUnavailable("an answer of OneDrive was not understood")
    return found


def _route(address: str) -> str:
    """Return the kind of call, without any text of an address that a person chose."""
    last = urlsplit(address).path.rpartition("/")[2].partition("(")[0]
    return last if last in _ACTIONS else "item"


def _httpx() -> Any:
    with needing("OneDrive folders need httpx", "httpx", install="intouch-import[onedrive]"):
        import httpx
    return httpx
