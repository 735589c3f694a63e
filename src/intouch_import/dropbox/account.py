"""A Dropbox account: signing in to it, and calling it with patience."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar
from urllib.parse import urlencode

from intouch_import.dropbox.errors import Busy, Refused, RootMoved, Unanswered, again
from intouch_import.errors import (
    ConfigError,
    SignInFailed,
    SignInNeeded,
    SourceUnavailable,
    Throttled,
)
from intouch_import.extras import needing
from intouch_import.secret import Secret
from intouch_import.signin.authorization import AuthorizationRequest, AuthorizationServer, Grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import requests

    from intouch_import.cloud.retry import Patience
    from intouch_import.dropbox.client import Client

__all__ = ["PORTS", "SCOPES", "TEAM_SCOPES", "Account", "Doubt", "DropboxAuthorization"]

_T = TypeVar("_T")

_writers: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_writers_lock = threading.Lock()


class Doubt:
    """Whether a request was made that may have taken effect, although no answer said so."""

    def __init__(self) -> None:
        self.cast = False


class Account:
    """What can be done in one Dropbox. The threads that use it share its connections and its patience.

    Args:
        open_client: Makes a client. Called once a process: after a fork, parent and child would talk over the
            same sockets.
        patience: How long to wait for the service.
        owner: Stands for the account: two accounts with one owner write one after the other.
    """

    def __init__(self, open_client: Callable[[], Client], *, patience: Patience, owner: object) -> None:
        self._open_client = open_client
        self._patience = patience
        self._lock = threading.RLock()  # opening a client for a team space asks Dropbox, through this account
        self._clients: dict[int, Client] = {}
        self._writer = _writer_of(owner)

    @property
    def client(self) -> Client:
        """The client of this process."""
        pid = os.getpid()
        client = self._clients.get(pid)
        if client is None:
            with self._lock:
                client = self._clients.setdefault(pid, self._clients.get(pid) or self._open_client())
        return client

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    # --- reading

    def ask(self, attempt: Callable[[], _T]) -> _T:
        """Make an attempt until it succeeds, fails for good, or patience ends.

        Raises:
            Unanswered, Refused, Misunderstood: See there.
            SourceError: The token is refused; the service wants more time than was allowed.
        """
        try:
            return self._patience.ask(attempt, again=again)
        except RootMoved:
            self.close()  # with the client goes the number of the team space
            raise

    def read(self, route: str, arg: Any) -> Any:
        """Call a route that changes nothing. Raises as `ask` does."""
        return self.ask(lambda: self.client.call(route, arg))

    def metadata(self, path: str) -> dict[str, Any] | None:
        """What stands at a path, or under an id; None if nothing does. Raises as `ask` does."""
        try:
            found = self.read("files/get_metadata", {"path": path})
        except Refused as exc:
            if exc.says("not_found"):
                return None
            raise
        if not isinstance(found, dict):
            raise Unanswered
        return None if found.get(".tag") == "deleted" else found

    # --- writing

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time: Dropbox refuses writes that meet in one namespace, and is slower for them."""
        with self._writer:
            yield

    def write(self, attempt: Callable[[], _T], doubt: Doubt) -> _T:
        """Make an attempt to write, as `ask` does, and note whether any of them may have taken effect."""

        def attempting() -> _T:
            try:
                return attempt()
            except (Unanswered, Busy):
                doubt.cast = True
                raise

        return self.ask(attempting)


def _writer_of(owner: object) -> threading.RLock:
    with _writers_lock:
        try:
            return _writers.setdefault(owner, threading.RLock())
        except TypeError:  # an owner that can't be referred to weakly
            return threading.RLock()


SCOPES: Final = ("files.content.read", "files.content.write", "files.metadata.read")
"""The permissions that are asked for: to list, to fetch, and to take away what was stored."""

TEAM_SCOPES: Final = ("account_info.read", *SCOPES)
"""With a team space: the account's own entry says where that begins."""

PORTS: Final = (17845, 17846, 17847)
"""Ports of the loopback redirect. Dropbox compares redirect URIs to the letter, so these must be registered:
``http://localhost:17845`` and so on. They lie below those that systems hand out by themselves."""

_WWW: Final = "https://www.dropbox.com"
_API: Final = "https://api.dropboxapi.com"
_TIMEOUT_S: Final = (10.0, 30.0)
_OK, _BAD_REQUEST, _UNAUTHORIZED, _THROTTLED = 200, 400, 401, 429


class DropboxAuthorization(AuthorizationServer):
    """The authorization server of Dropbox, for the app that a practice registered.

    Authorization code with PKCE, so that no app secret needs to lie on workstations; refresh tokens that do
    not end by themselves; access tokens of four hours.

    Args:
        app_key: The app's key, as the App Console shows it.
        app_secret: Its secret, for an app that is registered without PKCE; text or a `Secret`.
        scopes: The permissions to ask for; those of the app if empty.
        redirect_ports: Ports whose ``http://localhost:PORT`` is registered.
        endpoint: Another server for all of Dropbox's hosts, as for `DropboxSource`.

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
        scopes: Sequence[str] = SCOPES,
        redirect_ports: Sequence[int] = PORTS,
        endpoint: str | None = None,
    ) -> None:
        if not app_key or not app_key.isprintable() or " " in app_key:
            raise ConfigError("a Dropbox app key is one word, as the App Console shows it")
        with needing("signing in to Dropbox needs its client", "requests", install="intouch-import[dropbox]"):
            from intouch_import.dropbox.session import checked_endpoint, new_session
        self.client_id = app_key
        self.redirect_ports = tuple(redirect_ports)
        self._secret = None if app_secret is None else Secret.of(app_secret)
        self._scopes = tuple(scopes)
        self._endpoint = checked_endpoint(endpoint)
        self._session: requests.Session = new_session(self._endpoint)

    def authorization_request(self, redirect_uri: str | None) -> AuthorizationRequest:
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "token_access_type": "offline",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": state,
        }
        if self._scopes:
            query["scope"] = " ".join(self._scopes)
        if redirect_uri is None:
            del query["state"]  # there is nobody to bring it back
        else:
            query["redirect_uri"] = redirect_uri
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
        answer = self._token(
            form, SignInFailed("Dropbox does not accept the code: sign in again", retry_helps=True)
        )
        grant = self._grant(answer)
        if grant.refresh_token is None:
            raise SignInFailed("Dropbox gave no lasting access to this app", why="wrong_app")
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
            "Dropbox no longer accepts the sign-in (access was withdrawn under Connected apps, or it was "
            "made for another app): sign in again",
            why="revoked",
        )
        return self._grant(self._token(form, revoked))

    def revoke(self, grant: Grant) -> None:
        response = self._post(
            f"{_API}/2/auth/token/revoke", headers={"Authorization": f"Bearer {grant.access_token}"}
        )
        if response.status_code not in {_OK, _UNAUTHORIZED}:  # 401: it was revoked already
            raise SourceUnavailable(
                "signed out here, but Dropbox could not be told: withdraw the access there"
            )

    def refuse(self, error: str) -> NoReturn:
        if error == "invalid_scope":
            raise SignInFailed(
                "the app lacks a permission that is asked for: tick it in the Dropbox App Console",
                why="missing_scope",
            )
        super().refuse(error)

    def _token(self, form: dict[str, str], refusal: Exception) -> dict[str, Any]:
        """Ask the token endpoint.

        Args:
            form: What for.
            refusal: What it means if Dropbox does not accept the code or the refresh token.
        """
        if self._secret is not None:
            form = form | {"client_secret": self._secret.reveal()}
        response = self._post(f"{_API}/oauth2/token", data=form)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code == _OK and isinstance(answer, dict):
            return answer
        if response.status_code == _THROTTLED:
            raise Throttled("Dropbox asks for a pause before the next sign-in")
        error = str(answer.get("error", "")) if isinstance(answer, dict) else ""
        if error.startswith("invalid_grant"):
            raise refusal
        if response.status_code in {_BAD_REQUEST, _UNAUTHORIZED} and error:
            raise SignInFailed(
                "Dropbox does not know this app: check the app key (and secret) in the Dropbox App Console",
                why="wrong_app",
            )
        raise SourceUnavailable("the sign-in server of Dropbox gave no usable answer")

    def _post(self, url: str, **options: Any) -> requests.Response:
        import requests

        # No connection is kept: after a fork two processes would talk over it.
        headers = {"Connection": "close", **options.pop("headers", {})}
        try:
            return self._session.post(url, timeout=_TIMEOUT_S, headers=headers, **options)
        except requests.RequestException:
            raise SourceUnavailable("the sign-in server of Dropbox was not reached") from None
        finally:
            # A server may close without having said so: the next request must not meet a dead connection.
            self._session.close()

    @staticmethod
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

    def __repr__(self) -> str:
        return "<DropboxAuthorization>"
