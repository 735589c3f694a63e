"""The vendor's client, with our own rules about tokens, retries, time and what an answer may look like."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

import requests
from dropbox import Dropbox
from dropbox.dropbox_client import RouteErrorResult
from dropbox.exceptions import AuthError, DropboxException

from intouch_import.dropbox.errors import (
    Busy,
    Misunderstood,
    Refused,
    RootMoved,
    Unanswered,
    auth_error,
    retry_after_s,
)
from intouch_import.dropbox.session import new_session
from intouch_import.errors import InTouchImportError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Client"]

log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_THROTTLED, _UNAVAILABLE = 429, 503
_UNAUTHORIZED, _BAD_ROOT = 401, 422
_SERVER_ERRORS: Final = 500


class Client(Dropbox):  # type: ignore[misc]  # it is not typed
    """One account's Dropbox.

    Nothing is retried here, unlike in the class that it is derived from: who calls knows whether a call may
    be repeated. The one exception is a refused token (401), which proves that nothing was done.

    Args:
        tokens: Gives access tokens.
        endpoint: As for `new_session`, checked.
        root: Value of the Path-Root header; None for the account's own.
        connections: How many are kept open.
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
        self._tokens = tokens
        self._source_id = source_id
        self._renewing = threading.Lock()
        self._of_thread = threading.local()
        super().__init__(
            oauth2_access_token="given for each call",  # noqa: S106  # none is kept
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
            user_agent="intouch-import",
            session=new_session(endpoint, connections=connections),
            headers={"Dropbox-API-Path-Root": json.dumps(root)} if root is not None else None,
            timeout=(_CONNECT_S, timeout_s),
        )

    # --- calls

    def call(
        self,
        route: str,
        arg: object,
        *,
        host: str = "api",
        auth: str = "user",
        timeout_s: float | None = None,
    ) -> Any:
        """Call a route whose argument and result are JSON.

        Raises:
            Unanswered, Busy, Refused, Misunderstood: See there.
            SourceError: The token is refused, or can't be had.
        """
        return self._result(
            self._send(host, route, "rpc", arg, None, auth=auth, timeout_s=timeout_s).obj_result
        )

    def upload(self, route: str, arg: object, body: bytes) -> Any:
        """Call a route that takes bytes. Raises as `call` does."""
        return self._result(self._send("content", route, "upload", arg, body).obj_result)

    def download(self, arg: object) -> tuple[dict[str, Any], requests.Response]:
        """Call ``files/download``: metadata, and bytes to be read and closed. Raises as `call` does."""
        # Bytes as they are: a proxy that packs them would change their size.
        answer = self._send(
            "content", "files/download", "download", arg, None, {"Accept-Encoding": "identity"}
        )
        try:
            return self._result(answer.obj_result), answer.http_resp
        except Unanswered:
            answer.http_resp.close()
            raise

    def _send(
        self,
        host: str,
        route: str,
        style: str,
        arg: object,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        *,
        auth: str = "user",
        timeout_s: float | None = None,
    ) -> Any:
        # Content routes carry this in a header: ASCII, and DEL escaped as well, which json leaves alone.
        text = json.dumps(arg).replace("\x7f", "\\u007f")
        wait_s = None if timeout_s is None else (_CONNECT_S, timeout_s)

        def send() -> Any:
            return self.request_json_string(
                host, route, style, text, auth, body, timeout=wait_s, extra_headers=headers
            )

        try:
            answer = self._understood(send, authorized=auth == "user")
            if isinstance(answer, RouteErrorResult):
                raise _refusal(answer.obj_result)
        except Exception as exc:
            self._tell(route, exc)
            raise
        return answer

    def _tell(self, route: str, exc: Exception) -> None:
        """Write down what support will ask for: the call, the answer, and Dropbox's own id of it."""
        status, request_id = getattr(self._of_thread, "answered", (None, None))
        silent = isinstance(exc, Refused) and exc.says("not_found", "conflict")  # part of ordinary work
        log.log(
            logging.INFO if silent or isinstance(exc, Busy) else logging.WARNING,
            "Dropbox was not reached" if status is None else "Dropbox did not do what it was asked",
            extra={
                "source_id": self._source_id,
                "route": route,
                "status": status,
                "tags": "/".join(exc.tags) if isinstance(exc, Refused) else None,
                "request_id": request_id,
                "after_s": getattr(exc, "after_s", None),
                "timed_out": getattr(exc, "timed_out", None),
                "why": getattr(exc, "why", None),
                "kind": type(exc).__name__,
            },
        )

    # --- what the vendor's own methods go through as well

    def request_json_string_with_retry(self, *args: Any, **options: Any) -> Any:
        """Once, whatever comes: the vendor's own repeats a deletion that may have taken effect."""
        return self._understood(lambda: self.request_json_string(*args, **options), authorized=True)

    def check_and_refresh_access_token(self) -> None:
        """Nothing: tokens are given for each call. The vendor's own renews once for each thread."""

    @property
    def _oauth2_access_token(self) -> str | None:
        return getattr(self._of_thread, "token", None)

    @_oauth2_access_token.setter
    def _oauth2_access_token(self, _value: str) -> None:
        """What the vendor's class would keep is not kept."""

    def raise_dropbox_error_for_resp(self, res: requests.Response) -> None:
        """Tell what the status means, before the vendor's class takes it for something else."""
        status = res.status_code
        self._of_thread.answered = (status, res.headers.get("X-Dropbox-Request-Id"))
        if status == _THROTTLED:
            raise Busy(retry_after_s(res.headers.get("Retry-After"), _json(res)))
        if status >= _SERVER_ERRORS:
            raise Unanswered(retry_after_s(res.headers.get("Retry-After"), None))
        if status == _UNAUTHORIZED:
            body = _json(res)
            error = body.get("error") if isinstance(body, dict) else None
            raise _TokenRefused(error if isinstance(error, dict) else {})
        if status == _BAD_ROOT:
            raise RootMoved("the team space of this Dropbox is another one now")
        super().raise_dropbox_error_for_resp(res)

    def _understood(self, send: Callable[[], Any], *, authorized: bool) -> Any:
        """Send, with a token if one is wanted, and turn whatever the vendor's class raises into our own."""
        refused: str | None = None
        while True:
            self._of_thread.answered = (None, None)
            self._of_thread.token = self._token(refused) if authorized else None
            try:
                return send()
            except (Busy, Unanswered, InTouchImportError):
                raise
            except _TokenRefused as exc:
                renewable = exc.error.get(".tag") in {"expired_access_token", "invalid_access_token"}
                if refused is not None or not renewable:
                    raise auth_error(exc.error) from None
                refused = self._of_thread.token
            except requests.ReadTimeout:
                raise Unanswered(timed_out=True) from None
            except (AuthError, requests.RequestException):
                raise Unanswered from None
            except DropboxException:
                raise Misunderstood from None
            except Exception:  # noqa: BLE001  # assertions, decoding, missing headers: no answer
                raise Unanswered from None
            finally:
                self._of_thread.token = None

    def _token(self, refused: str | None) -> str:
        """A token other than the one that was refused. Of several threads only one renews it."""
        try:
            if refused is None:
                return self._tokens(False)  # noqa: FBT003  # the shape of a token provider
            with self._renewing:
                token = self._tokens(False)  # noqa: FBT003  # another thread may have renewed it
                return token if token != refused else self._tokens(True)  # noqa: FBT003
        except InTouchImportError:
            raise
        except Exception:  # noqa: BLE001  # it may be the host's code
            raise SourceUnavailable("an access token for Dropbox could not be had") from None

    @staticmethod
    def _result(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise Unanswered from None

    def __repr__(self) -> str:
        return "<Client>"

    def __reduce__(self) -> Any:
        raise TypeError("a client of Dropbox holds secrets and is not pickled")


class _TokenRefused(Exception):
    """401, with the error that says why."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__()
        self.error = error


def _json(res: requests.Response) -> Any:
    try:
        return res.json()
    except ValueError:
        return None


def _refusal(text: str) -> Exception:
    """403, 404, 409: an error of the route, or a page that something on the way has put there."""
    try:
        error = json.loads(text)["error"]
        refused = Refused(error)
    except (ValueError, KeyError, TypeError):
        return Unanswered()
    if refused.says("too_many_write_operations"):
        return Busy(retry_after_s(None, {"error": error}))
    return refused if refused.tags else Misunderstood()
