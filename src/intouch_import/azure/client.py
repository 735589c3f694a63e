"""The SDK's client, on a transport that logs nothing, ignores the environment and never retries."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

import requests
import urllib3.exceptions as u3
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient
from requests.adapters import HTTPAdapter

from intouch_import.azure.errors import Kind, Unreached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.azure.account import Account

__all__ = ["CHUNK_BYTES", "abandon", "connect", "credential_of", "settings_of"]

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of one request. Each thread holds that much of a blob in memory."""

_busy = threading.local()
# The SDK logs every URL at INFO. This logger has no parent, so that no host's configuration enables it.
_SILENT: Final = logging.Logger("silent", logging.CRITICAL + 1)  # noqa: LOG001  # see above
_SILENT.addHandler(logging.NullHandler())


class _Quiet(logging.Filter):
    """Drop the log records of urllib3 about our requests: their URLs contain file names and signatures."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not getattr(_busy, "here", False)


for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_Quiet())


class _Adapter(HTTPAdapter):  # type: ignore[misc]  # requests is not typed
    """Sends each request once, and raises `Unreached` if it fails.

    It never raises exceptions of requests or of the SDK. Their texts contain URLs, and after its own kinds of
    exceptions the SDK's download retries three times, with pauses that `Patience` does not know about.
    """

    def send(self, *args: Any, **options: Any) -> Any:
        _busy.here, _busy.answer = True, None
        try:
            answer = super().send(*args, **options)
            if options.get("stream"):
                _busy.answer = answer
        except requests.RequestException as exc:
            raise _unreached(exc) from None
        finally:
            _busy.here = False
        return answer

    def build_response(self, req: Any, resp: Any) -> Any:
        resp.stream = _mapping_errors(resp.stream)
        return super().build_response(req, resp)


def abandon() -> None:
    """Close the last answer of this thread if it was not read to its end: the SDK leaves some open."""
    answer = getattr(_busy, "answer", None)
    if answer is not None:
        answer.close()


def _mapping_errors(stream: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    """Wrap the reader of a body, so that its failures become `Unreached`."""

    def whole(*args: Any, **options: Any) -> Iterator[bytes]:
        try:
            yield from stream(*args, **options)
        except u3.ReadTimeoutError:
            raise Unreached(Kind.SILENT) from None
        except (u3.HTTPError, OSError):
            raise Unreached(Kind.CUT) from None

    return whole


def _unreached(exc: BaseException) -> Unreached:
    """Find the cause in an exception of requests."""
    chain: list[BaseException] = []
    one: Any = exc
    while isinstance(one, BaseException) and one not in chain:
        chain.append(one)
        one = getattr(one, "reason", None) or (one.args[0] if one.args else None)
    for part in chain:
        if isinstance(part, u3.NameResolutionError):
            cause = part.__cause__ or part.__context__
            again = getattr(cause, "errno", None) == socket.EAI_AGAIN
            return Unreached(Kind.NO_RESOLVER if again else Kind.NO_SUCH_HOST)
        if isinstance(part, (u3.SSLError, requests.exceptions.SSLError)):
            return Unreached(Kind.NOT_TRUSTED)
        if isinstance(part, (u3.ProxyError, requests.exceptions.ProxyError)):
            return Unreached(Kind.PROXY)
        if isinstance(part, u3.NewConnectionError):  # before its base class, ConnectTimeoutError
            return Unreached(Kind.REFUSED)
        if isinstance(part, u3.ConnectTimeoutError):
            return Unreached(Kind.NO_ANSWER)
        if isinstance(part, u3.ReadTimeoutError):
            return Unreached(Kind.SILENT)
    return Unreached(Kind.CUT)


def credential_of(account: Account) -> Any:
    """Return the credential for the SDK. Without one, the SDK would look for one in the environment."""
    key, signature = account.key(), account.signature()
    if key is not None:
        return AzureNamedKeyCredential(*key)
    if signature is not None:
        return AzureSasCredential(signature)
    return account.credential


def settings_of(timeout_s: float) -> dict[str, Any]:
    """Return the options of all our clients: small parts, no retries, no redirects, no log."""
    return {
        "max_single_get_size": CHUNK_BYTES,
        "max_chunk_get_size": CHUNK_BYTES,
        "retry_total": 0,
        "permit_redirects": False,
        "logger": _SILENT,
        "connection_timeout": min(timeout_s, 10.0),
        "read_timeout": timeout_s,
    }


def connect(account: Account, container: str, *, connections: int, timeout_s: float) -> ContainerClient:
    """Make a client for one container. This sends no request.

    Args:
        account: Endpoint and credential.
        container: Name of the container.
        connections: How many connections to keep open, one for each thread.
        timeout_s: Longest wait for an answer or for more of it, seconds.
    """
    session = requests.Session()
    # An emulator on this machine is not reached through a proxy; a service in the cloud may be.
    session.trust_env = not account.is_plain
    # Otherwise an entry in ~/.netrc would replace our Authorization header.
    session.auth = lambda request: request
    adapter = _Adapter(pool_connections=1, pool_maxsize=connections, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    settings = settings_of(timeout_s)
    transport = RequestsTransport(
        session=session,
        connection_timeout=settings["connection_timeout"],
        read_timeout=settings["read_timeout"],
        connection_data_block_size=256 * 1024,
    )
    return ContainerClient(
        account.endpoint, container, credential=credential_of(account), transport=transport, **settings
    )
