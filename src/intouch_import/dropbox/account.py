"""A Dropbox account: the sign-in to it, and calls to it that are retried."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar
from urllib.parse import urlencode

from intouch_import.cloud.endpoints import origin_of
from intouch_import.cloud.http import new_session
from intouch_import.dropbox.errors import Busy, NoAnswer, Refused, TeamSpaceMoved, again
from intouch_import.errors import ConfigError, SignInFailed, SignInNeeded, SourceUnavailable, Throttled
from intouch_import.extras import needing
from intouch_import.forks import ForkSafeLock, PerProcess
from intouch_import.secret import Secret, refuse_to_pickle
from intouch_import.signin.authorization import AuthorizationRequest, AuthorizationServer, Grant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import requests

    from intouch_import.cloud.retry import Patience
    from intouch_import.dropbox.client import DropboxClient

__all__ = ["Account", "DropboxAuthorization", "WriteState", "checked_endpoint"]

_T = TypeVar("_T")

# To list, to fetch, and to delete what was stored.
_SCOPES: Final = ("files.content.read", "files.content.write", "files.metadata.read")
# Dropbox compares redirect URIs exactly, so http://localhost:17845 and so on must be registered. Systems hand
# out higher ports than these by themselves.
_PORTS: Final = (17845, 17846, 17847)
_WWW: Final = "https://www.dropbox.com"
_API: Final = "https://api.dropboxapi.com"
_TIMEOUT_S: Final = (10.0, 30.0)

_writers: weakref.WeakKeyDictionary[Any, ForkSafeLock] = weakref.WeakKeyDictionary()
_writers_lock = ForkSafeLock()


class WriteState:
    """Whether a write may have taken effect although no answer confirmed it."""

    def __init__(self, *, in_doubt: bool = False) -> None:
        self.in_doubt = in_doubt


class Account:
    """Calls to one Dropbox, with retries. All threads share its connections and its patience.

    Args:
        open_client: Opens a client; called once in each process.
        patience: How long to wait for the service.
        owner: The sign-in. Accounts with the same owner share a `writer`.

    Attributes:
        writer: The lock to hold while writing: Dropbox refuses or slows parallel writes in one namespace.
    """

    def __init__(
        self, open_client: Callable[[], DropboxClient], *, patience: Patience, owner: object
    ) -> None:
        self._clients = PerProcess(open_client)
        self._patience = patience
        with _writers_lock:
            try:
                self.writer = _writers.setdefault(owner, ForkSafeLock(threading.RLock))
            except TypeError:  # this owner has no weak references
                self.writer = ForkSafeLock(threading.RLock)

    @property
    def client(self) -> DropboxClient:
        """The client of this process."""
        return self._clients()

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        client = self._clients.take()
        if client is not None:
            client.close()

    def ask(self, attempt: Callable[[], _T]) -> _T:
        """Call ``attempt`` until it succeeds, fails for good, or the patience ends.

        Raises:
            CallFailed: What ``attempt`` raised last.
            SourceError: The token was refused, or the service asked to wait longer than allowed.
        """
        try:
            return self._patience.ask(attempt, again=again)
        except TeamSpaceMoved:
            self.close()  # the client has the old number of the team space
            raise

    def read(self, route: str, arg: Any) -> Any:
        """Call a route that changes nothing. Raises as `ask`."""
        return self.ask(lambda: self.client.call(route, arg))

    def metadata(self, path: str) -> dict[str, Any] | None:
        """Return the metadata of a path or an id; None if there is nothing. Raises as `ask`."""
        try:
            found = self.read("files/get_metadata", {"path": path})
        except Refused as exc:
            if exc.says("not_found"):
                return None
            raise
        if not isinstance(found, dict):
            raise NoAnswer
        return None if found.get(".tag") == "deleted" else found

    def write(self, attempt: Callable[[], _T], state: WriteState) -> _T:
        """Call ``attempt`` as `ask` does, and note in ``state`` whether it may have taken effect."""

        def attempting() -> _T:
            try:
                return attempt()
            except (NoAnswer, Busy):
                state.in_doubt = True
                raise

        return self.ask(attempting)


def checked_endpoint(endpoint: str | None) -> str | None:
    """Return an endpoint without its trailing slash; None for Dropbox itself.

    Raises:
        ConfigError: It is not an http(s) URL of a host, or it is plain http to another machine.
    """
    if endpoint is None:
        return None
    origin, parts = origin_of(endpoint, such_as="https://dropbox.example")
    if parts.username or parts.query:
        raise ConfigError("a Dropbox endpoint is the URL of a host: https://dropbox.example")
    return origin + parts.path.rstrip("/")


class DropboxAuthorization(AuthorizationServer):
    """The authorization server of Dropbox, for the app that a practice registered.

    It uses the authorization code flow with PKCE, so workstations need no app secret. Refresh tokens do not
    expire; access tokens last four hours.

    Args:
        app_key: Key of the app, from the App Console.
        app_secret: Secret of the app, if it is registered without PKCE; text or a `Secret`.
        scopes: The permissions to ask for; if empty, all permissions of the app.
        redirect_ports: Ports whose ``http://localhost:PORT`` is registered.
        endpoint: Another server for all hosts of Dropbox, as for `DropboxSource`.

    Raises:
        ConfigError: The app key or the endpoint makes no sense.
    """

    service: ClassVar[str] = "dropbox"
    title: ClassVar[str] = "Dropbox"

    def __init__(
        self,
        app_key: str,
        *,
        app_secret: str | Secret | None = None,
        scopes: Sequence[str] = _SCOPES,
        redirect_ports: Sequence[int] = _PORTS,
        endpoint: str | None = None,
    ) -> None:
        if not app_key or not app_key.isprintable() or " " in app_key:
            raise ConfigError("a Dropbox app key is one word: copy it from the App Console")
        self.client_id = app_key
        self.redirect_ports = tuple(redirect_ports)
        self._secret = None if app_secret is None else Secret.of(app_secret)
        self._scopes = tuple(scopes)
        self._endpoint = checked_endpoint(endpoint)
        with needing("signing in to Dropbox needs its client", "requests", install="intouch-import[dropbox]"):
            self._session = new_session()

    def authorization_request(self, redirect_uri: str | None) -> AuthorizationRequest:
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "token_access_type": "offline",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if redirect_uri is not None:  # a pasted code comes back without the state
            query |= {"state": state, "redirect_uri": redirect_uri}
        if self._scopes:
            query["scope"] = " ".join(self._scopes)
        url = f"{self._endpoint or _WWW}/oauth2/authorize?{urlencode(query)}"
        return AuthorizationRequest(url=url, state=state, redirect_uri=redirect_uri, verifier=verifier)

    def redeem(self, request: AuthorizationRequest, response: Mapping[str, str]) -> Grant:
        form = {
            "grant_type": "authorization_code",
            "code": response["code"],
            "client_id": self.client_id,
            "code_verifier": request.verifier,
        }
        if request.redirect_uri is not None:
            form["redirect_uri"] = request.redirect_uri
        grant = self._granted(
            form, SignInFailed("Dropbox does not accept the code: sign in again", retry_helps=True)
        )
        if grant.refresh_token is None:
            raise SignInFailed("Dropbox gave this app no lasting access", why="wrong_app")
        missing = set(self._scopes) - (grant.scopes or set(self._scopes))
        if missing:
            raise SignInFailed(
                f"the app lacks the permission {min(missing)}: tick it in the Dropbox App Console "
                "(Permissions), then sign in again",
                why="missing_scope",
            )
        return grant

    def renew(self, refresh_token: str) -> Grant:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": self.client_id}
        revoked = SignInNeeded(
            "Dropbox no longer accepts the sign-in (access was withdrawn under Connected apps, or the "
            "sign-in belongs to another app): sign in again",
            why="revoked",
        )
        return self._granted(form, revoked)

    def revoke(self, grant: Grant) -> None:
        response = self._post(
            "/2/auth/token/revoke", headers={"Authorization": f"Bearer {grant.access_token}"}
        )
        if response.status_code not in {
            HTTPStatus.OK,
            HTTPStatus.UNAUTHORIZED,
        }:  # 401: it was revoked already
            raise SourceUnavailable(
                "signed out here, but Dropbox did not confirm it: withdraw the access there"
            )

    def refuse(self, error: str) -> NoReturn:
        if error == "invalid_scope":
            raise SignInFailed(
                "the app lacks a permission that it asks for: tick it in the Dropbox App Console",
                why="missing_scope",
            )
        super().refuse(error)

    def _granted(self, form: dict[str, str], refusal: Exception) -> Grant:
        """Call the token endpoint.

        Args:
            form: The request.
            refusal: Raised if Dropbox does not accept the code or the refresh token.
        """
        if self._secret is not None:
            form = form | {"client_secret": self._secret.reveal()}
        response = self._post("/oauth2/token", data=form)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code == HTTPStatus.OK and isinstance(answer, dict):
            return _grant(answer)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise Throttled("Dropbox asks for a pause before the next sign-in")
        error = str(answer.get("error", "")) if isinstance(answer, dict) else ""
        if error.startswith("invalid_grant"):
            raise refusal
        if response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED} and error:
            raise SignInFailed(
                "Dropbox does not know this app: check the app key (and secret) in the Dropbox App Console",
                why="wrong_app",
            )
        raise SourceUnavailable("the sign-in server of Dropbox gave no usable answer")

    def _post(self, path: str, **options: Any) -> requests.Response:
        import requests

        # No connection is kept: after a fork two processes would use the same one.
        headers = {"Connection": "close", **options.pop("headers", {})}
        url = f"{self._endpoint or _API}{path}"
        try:
            return self._session.post(url, timeout=_TIMEOUT_S, headers=headers, **options)
        except requests.RequestException:
            raise SourceUnavailable("the sign-in server of Dropbox could not be reached") from None
        finally:
            # Some servers close a connection without announcing it. The next request must not use it.
            self._session.close()

    def __repr__(self) -> str:
        return "<DropboxAuthorization>"

    __reduce__ = refuse_to_pickle


def _grant(answer: Mapping[str, Any]) -> Grant:
    token, life = answer.get("access_token"), answer.get("expires_in")
    refresh, scope = answer.get("refresh_token"), answer.get("scope")
    if not isinstance(token, str) or not token:
        raise SourceUnavailable("the sign-in server of Dropbox gave no usable answer")
    return Grant(
        access_token=token,
        expires_in_s=float(life) if isinstance(life, (int, float)) else None,
        refresh_token=refresh if isinstance(refresh, str) and refresh else None,
        scopes=frozenset(scope.split()) if isinstance(scope, str) else None,
    )
