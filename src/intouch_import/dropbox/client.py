"""`DropboxClient`: the SDK's client with our rules for tokens, retries, timeouts and unusable answers."""

from __future__ import annotations

import json
import logging
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import requests
from dropbox import Dropbox
from dropbox.dropbox_client import RouteErrorResult
from dropbox.exceptions import AuthError, DropboxException

from intouch_import.cloud.http import new_session
from intouch_import.cloud.tokens import Tokens
from intouch_import.dropbox.errors import (
    BadRequest,
    Busy,
    NoAnswer,
    Refused,
    TeamSpaceMoved,
    auth_error,
    retry_after_s,
)
from intouch_import.errors import InTouchImportError
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DropboxClient"]

log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0


class DropboxClient(Dropbox):  # type: ignore[misc]  # it is not typed
    """A connection to one Dropbox, which sends each call once.

    Unlike the SDK's class it retries nothing, because only the caller knows whether a call may be repeated.
    The one exception is a refused token (401), which proves that the call had no effect.

    Args:
        tokens: Returns access tokens.
        endpoint: Another server for all hosts of Dropbox, checked by `checked_endpoint`.
        root: Value of the Path-Root header; None for the root of the account.
        connections: How many connections are kept open.
        timeout_s: How long the service may be silent within one call, seconds.
        source_id: For the log.
    """

    def __init__(
        self,
        tokens: Callable[[bool], str],
        *,
        endpoint: str | None = None,
        root: Mapping[str, str] | None = None,
        connections: int = 8,
        timeout_s: float = 60.0,
        source_id: str | None = None,
    ) -> None:
        self._tokens = Tokens(tokens, service="Dropbox")
        self._endpoint = endpoint
        self._source_id = source_id
        self._of_thread = threading.local()
        super().__init__(
            oauth2_access_token="set for each call",  # noqa: S106  # none is kept
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
            user_agent="intouch-import",
            session=new_session(connections=connections),
            headers={"Dropbox-API-Path-Root": json.dumps(root)} if root is not None else None,
            timeout=(_CONNECT_S, timeout_s),
        )

    # --- calls

    def call(self, route: str, arg: object) -> Any:
        """Call a route with a JSON argument and return its JSON result.

        Raises:
            CallFailed: The call failed.
            SourceError: The token was refused, or there is none.
        """
        return self._send("api", route, "rpc", arg)[0]

    def wait_for_change(self, cursor: str, *, wait_s: int, timeout_s: float) -> Any:
        """Call ``files/list_folder/longpoll``, which Dropbox answers after a change. Raises as `call`."""
        arg, timeout = {"cursor": cursor, "timeout": wait_s}, (_CONNECT_S, timeout_s)
        return self._send("notify", "files/list_folder/longpoll", "rpc", arg, auth="noauth", timeout=timeout)[
            0
        ]

    def upload(self, route: str, arg: object, body: bytes) -> Any:
        """Call a route that takes bytes. Raises as `call`."""
        return self._send("content", route, "upload", arg, body)[0]

    def download(self, arg: object) -> tuple[dict[str, Any], requests.Response]:
        """Call ``files/download``; return the metadata and a response to read and close. Raises as `call`."""
        # A proxy that compresses the bytes would change their size.
        headers = {"Accept-Encoding": "identity"}
        return self._send("content", "files/download", "download", arg, extra_headers=headers)

    def _send(
        self,
        host: str,
        route: str,
        style: str,
        arg: object,
        body: bytes | None = None,
        *,
        auth: str = "user",
        **options: Any,
    ) -> tuple[Any, requests.Response]:
        # Content routes carry the argument in a header: ASCII without DEL, which json does not escape.
        text = json.dumps(arg).replace("\x7f", "\\u007f")

        def send() -> Any:
            return self.request_json_string(host, route, style, text, auth, body, **options)

        try:
            answer = self._with_token(send, authorized=auth == "user")
            if isinstance(answer, RouteErrorResult):
                raise _refusal(answer.obj_result)
        except Exception as exc:
            self._log_failure(route, exc)
            raise
        try:
            return json.loads(answer.obj_result), answer.http_resp
        except ValueError:
            if answer.http_resp is not None:
                answer.http_resp.close()
            raise NoAnswer from None

    def _log_failure(self, route: str, exc: Exception) -> None:
        """Log what support needs: the call, the answer, and the id that Dropbox gave the request."""
        status, request_id = getattr(self._of_thread, "answered", (None, None))
        usual = isinstance(exc, Busy) or (isinstance(exc, Refused) and exc.says("not_found", "conflict"))
        log.log(
            logging.INFO if usual else logging.WARNING,
            "Dropbox could not be reached" if status is None else "a call to Dropbox failed",
            extra={
                "source_id": self._source_id,
                "route": route,
                "status": status,
                "tags": "/".join(exc.tags) if isinstance(exc, Refused) else None,
                "request_id": request_id,
                "kind": type(exc).__name__,
                **{name: getattr(exc, name, None) for name in ("after_s", "timed_out", "why")},
            },
        )

    # --- overrides of the SDK

    @property
    def _oauth2_access_token(self) -> str | None:
        return getattr(self._of_thread, "token", None)

    @_oauth2_access_token.setter
    def _oauth2_access_token(self, _value: str) -> None:
        """Do not keep what the SDK would keep."""

    def _get_route_url(self, hostname: str, route_name: str) -> str:
        url: str = super()._get_route_url(hostname, route_name)
        return url if self._endpoint is None else url.replace(f"https://{hostname}", self._endpoint, 1)

    def raise_dropbox_error_for_resp(self, res: requests.Response) -> None:
        """Map the status code to our errors before the SDK does."""
        status = res.status_code
        self._of_thread.answered = (status, res.headers.get("X-Dropbox-Request-Id"))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Busy(retry_after_s(res.headers.get("Retry-After"), _body(res)))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NoAnswer(retry_after_s(res.headers.get("Retry-After"), None))
        if status == HTTPStatus.UNAUTHORIZED:
            body = _body(res)
            error = body.get("error") if isinstance(body, dict) else None
            raise _TokenRefused(error if isinstance(error, dict) else {})
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise TeamSpaceMoved("the team space of this Dropbox has changed")
        super().raise_dropbox_error_for_resp(res)

    def _with_token(self, send: Callable[[], Any], *, authorized: bool) -> Any:
        """Send with a token, unless the call needs none, and turn what the SDK raises into our errors."""
        refused: str | None = None
        while True:
            self._of_thread.answered = (None, None)
            self._of_thread.token = self._tokens.get(refused) if authorized else None
            try:
                return send()
            except (Busy, NoAnswer, InTouchImportError):
                raise
            except _TokenRefused as exc:
                renewable = exc.error.get(".tag") in {"expired_access_token", "invalid_access_token"}
                if refused is not None or not renewable:
                    raise auth_error(exc.error) from None
                refused = self._of_thread.token
            except requests.ReadTimeout:
                raise NoAnswer(timed_out=True) from None
            except (AuthError, requests.RequestException):
                raise NoAnswer from None
            except DropboxException:
                raise BadRequest from None
            except Exception:  # noqa: BLE001  # assertions, decoding, missing headers: no usable answer
                raise NoAnswer from None
            finally:
                self._of_thread.token = None

    def __repr__(self) -> str:
        return "<DropboxClient>"

    __reduce__ = refuse_to_pickle


class _TokenRefused(Exception):
    """Status 401, with the error that says why."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__()
        self.error = error


def _body(res: requests.Response) -> Any:
    try:
        return res.json()
    except ValueError:
        return None


def _refusal(text: str) -> Exception:
    """Return the error for status 403, 404 or 409: an error of the route, or a page of some proxy."""
    try:
        error = json.loads(text)["error"]
        refused = Refused(error)
    except (ValueError, KeyError, TypeError):
        return NoAnswer()
    if refused.says("too_many_write_operations"):
        return Busy(retry_after_s(None, {"error": error}))
    return refused if refused.tags else BadRequest()
