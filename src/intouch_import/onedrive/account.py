"""`OneDriveAuthorization`: the sign-in to Microsoft, through msal.

::

    from intouch_import import open_source
    from intouch_import.onedrive import OneDriveAuthorization
    from intouch_import.signin import SignIn

    signin = SignIn(OneDriveAuthorization("the App ID", client_secret="…"), account="DRJ")
    source = open_source("onedrive:///images/intouch", signin=signin, provider="DRJ")

msal implements the protocol (authorization code, PKCE, nonce, client assertions). `intouch_import.signin`
asks the person, receives the redirect on loopback and keeps the refresh token.
"""

from __future__ import annotations

import contextlib
import importlib
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from intouch_import.cloud.http import unlogged
from intouch_import.errors import (
    ConfigError,
    InTouchImportError,
    SignInFailed,
    SignInNeeded,
    SourceUnavailable,
)
from intouch_import.extras import needing
from intouch_import.forks import PerProcess
from intouch_import.onedrive.client import PUBLIC_CLOUD, checked_endpoint, trusted_authorities
from intouch_import.secret import refuse_to_pickle
from intouch_import.signin.authorization import AuthorizationRequest, AuthorizationServer, Grant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import httpx

__all__ = ["OneDriveAuthorization"]

_AUTHORITY: Final = "https://login.microsoftonline.com"
_LOOPBACK: Final = "http://localhost"
_TIMEOUT_S: Final = 30.0
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_UNKNOWN_APP: Final = 700016
_EXPIRED: Final = frozenset({70008, 70043, 70044, 700082, 700084, 50089})
_SECRET: Final = frozenset({7000215, 7000222, 7000218, 700027, 700024, 700025})
_CONSENT: Final = frozenset({65001, 65004, 90094, 900941})
_REDIRECT: Final = frozenset({50011, 500113})
_A_PERSON: Final = frozenset({"invalid_grant", "interaction_required", "login_required", "consent_required"})
_LATER: Final = frozenset({"temporarily_unavailable", "server_error", "service_unavailable"})


class OneDriveAuthorization(AuthorizationServer):
    """Microsoft's identity platform, for one registered app.

    Args:
        client_id: The App ID (application id) of the provider.
        client_secret: Secret of the app; a string, or anything with ``reveal()``. None for a public client:
            register an app on people's own machines as one.
        certificate: Certificate and private key in PEM, one after the other, instead of a secret.
        tenant: ``"common"`` for any account, ``"consumers"`` for personal accounts, ``"organizations"`` for
            accounts of organisations, or the id of one organisation.
        scopes: Permissions to ask for. ``Files.ReadWrite`` covers the account's own OneDrive;
            ``Files.ReadWrite.AppFolder`` the app's folder in it; ``Files.ReadWrite.All`` also shared folders
            and SharePoint libraries.
        authority: Where people sign in; a national cloud has its own.
        graph: The Graph host that the permissions are for; a national cloud has its own.
        endpoint: Another server for all requests to ``authority``: an emulator, for tests. Plain http only
            for this machine.

    Raises:
        ConfigError: An argument makes no sense.
    """

    service: ClassVar[str] = "onedrive"
    title: ClassVar[str] = "OneDrive"

    def __init__(
        self,
        client_id: str,
        *,
        client_secret: Any = None,
        certificate: Any = None,
        tenant: str = "common",
        scopes: Sequence[str] = ("Files.ReadWrite",),
        authority: str = _AUTHORITY,
        graph: str = PUBLIC_CLOUD,
        endpoint: str | None = None,
    ) -> None:
        if not client_id.strip():
            raise ConfigError("OneDrive needs the App ID of a registered app")
        if client_secret is not None and certificate is not None:
            raise ConfigError("an app signs in with a secret or a certificate, not with both")
        if not tenant.strip() or "/" in tenant:
            raise ConfigError("tenant= must be common, consumers, organizations or the id of an organisation")
        if not scopes or isinstance(scopes, str):
            raise ConfigError("scopes= must be a list of permissions")
        self.client_id = client_id.strip()
        self.scopes = tuple(scopes)
        self._asked = [scope if "/" in scope else f"{checked_endpoint(graph)}/{scope}" for scope in scopes]
        self._authority = f"{checked_endpoint(authority)}/{tenant.strip()}"
        self._endpoint = None if endpoint is None else checked_endpoint(endpoint)
        self._credential = _credential(_revealed(client_secret), _revealed(certificate))
        self._apps = PerProcess(self._make_app)

    def authorization_request(self, redirect_uri: str | None) -> AuthorizationRequest:
        # A person who pastes is sent to this machine too. Nobody listens there, and the address that the
        # browser can't open contains the code. So the app needs only one redirect URI.
        with _understanding():
            flow = self._apps().msal.initiate_auth_code_flow(
                self._asked,
                redirect_uri=redirect_uri or _LOOPBACK,
                prompt="select_account",
                # A form keeps the code out of the browser's history.
                response_mode="form_post",
            )
        url = self._apps().http.rewritten(str(flow["auth_uri"]))
        if redirect_uri is None:
            url = url.replace("response_mode=form_post", "response_mode=query")
        return AuthorizationRequest(
            url=url, state=str(flow["state"]), redirect_uri=redirect_uri, verifier=flow
        )

    def redeem(self, request: AuthorizationRequest, response: Mapping[str, str]) -> Grant:
        # A pasted code comes without the state.
        answer = {"state": request.state, **response}
        with _understanding():
            found = self._apps().msal.acquire_token_by_auth_code_flow(dict(request.verifier), answer)
        if "error" in found:
            _refuse(found, "the code is no longer valid: sign in again")
        return self._grant(found)

    def renew(self, refresh_token: str) -> Grant:
        with _understanding():
            found = self._apps().msal.acquire_token_by_refresh_token(refresh_token, self._asked)
        if "error" in found:
            codes = _codes(found)
            refused = "OneDrive no longer accepts the sign-in: sign in again"
            if found["error"] in _A_PERSON and not codes & (_SECRET | _REDIRECT):
                if codes & _EXPIRED:
                    raise SignInNeeded("the sign-in to OneDrive has ended: sign in again", why="expired")
                raise SignInNeeded(refused, why="revoked")
            _refuse(found, refused)
        return self._grant(found)

    def _make_app(self) -> _App:
        msal = _imported("msal")
        public = self._credential is None
        kind = msal.PublicClientApplication if public else msal.ConfidentialClientApplication
        http = _Http(self._authority, self._endpoint)
        options: dict[str, Any] = {
            "authority": self._authority,
            "http_client": http,
            "token_cache": _no_cache(msal),
        }
        if not public:
            options["client_credential"] = self._credential
            options["azure_region"] = False  # otherwise the environment decides where the secret is sent
        try:
            with unlogged():
                return _App(kind(self.client_id, **options), http)
        except (ValueError, KeyError):
            # The tenant is unknown, or the key can't be read. The text of the exception quotes them.
            raise ConfigError("tenant= is not known to Microsoft, or the certificate can't be read") from None

    def _grant(self, found: Mapping[str, Any]) -> Grant:
        granted = frozenset(_bare(scope) for scope in str(found.get("scope") or "").split())
        missing = {_bare(scope) for scope in self.scopes} - granted
        if granted and missing:
            raise SignInFailed(
                "OneDrive did not grant the permission that this app asks for: an administrator must",
                why="missing_scope",
            )
        expires_in = found.get("expires_in")
        return Grant(
            access_token=str(found["access_token"]),
            expires_in_s=None if expires_in is None else float(expires_in),
            refresh_token=found.get("refresh_token"),
            scopes=granted or None,
        )

    def __repr__(self) -> str:
        return "<OneDriveAuthorization>"

    __reduce__ = refuse_to_pickle


class _App(NamedTuple):
    """The app of msal, and the HTTP client that it uses."""

    msal: Any
    http: _Http


class _Http:
    """The HTTP client for msal, with our timeout and without logging.

    Args:
        authority: The server that msal sends to.
        endpoint: The server that receives its requests instead; None for the authority.
    """

    def __init__(self, authority: str, endpoint: str | None) -> None:
        self._host = urlsplit(authority).netloc
        self._endpoint = endpoint
        self._local = endpoint is not None and endpoint.startswith("http://")

    def rewritten(self, url: str) -> str:
        """Return the URL that a request is really sent to."""
        own = f"https://{self._host}/"
        if self._endpoint is None or not url.startswith(own):
            return url
        return f"{self._endpoint}/{url[len(own) :]}"

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        return self._request("GET", url, params=params, headers=headers)

    def post(
        self,
        url: str,
        params: Any = None,
        data: Mapping[str, Any] = MappingProxyType({}),
        headers: Any = None,
        **_: Any,
    ) -> httpx.Response:
        # msal signs assertions as bytes, which httpx would send as Python writes them.
        form = {
            name: text.decode("ascii") if isinstance(text, bytes) else text for name, text in data.items()
        }
        return self._request("POST", url, params=params, data=form, headers=headers)

    def close(self) -> None:
        """Do nothing: no connection is kept open."""

    def _request(self, method: str, url: str, *, headers: Any, **what: Any) -> httpx.Response:
        sent = {name: text for name, text in (headers or {}).items() if text is not None}
        if self._endpoint is not None:
            sent["Host"] = self._host
        options = {"timeout": _TIMEOUT_S, "trust_env": not self._local, "verify": trusted_authorities()}
        with unlogged(), _imported("httpx").Client(**options) as client:
            response: httpx.Response = client.request(method, self.rewritten(url), headers=sent, **what)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS or response.is_server_error:
            raise SourceUnavailable("Microsoft's sign-in is not available now")
        return response


def _refuse(found: Mapping[str, Any], otherwise: str) -> NoReturn:
    """Raise the error for a refusal of the identity platform.

    Args:
        found: The answer.
        otherwise: The message if the codes say nothing else.
    """
    error, codes = str(found.get("error")), _codes(found)
    if error in _LATER:
        raise SourceUnavailable("Microsoft's sign-in is not available now")
    if codes & _SECRET or error == "invalid_client":
        text = (
            "Microsoft does not accept the app's secret or certificate: it may have expired, make a new one"
        )
        raise SignInFailed(text, why="wrong_app")
    if codes & _REDIRECT:
        raise SignInFailed(f"the app must be registered with the redirect URI {_LOOPBACK}", why="wrong_app")
    if error == "unauthorized_client" or _UNKNOWN_APP in codes:
        raise SignInFailed("Microsoft does not know the App ID: check it, and the tenant", why="wrong_app")
    if codes & _CONSENT or error in {"consent_required", "invalid_scope"}:
        text = "the app lacks a permission: an administrator must grant it"
        raise SignInFailed(text, why="missing_scope")
    raise SignInFailed(otherwise, why="refused", retry_helps=True)


@contextlib.contextmanager
def _understanding() -> Iterator[None]:
    """Turn what msal or httpx raises in this block into one of our errors, without its text."""
    httpx = _imported("httpx")
    try:
        with unlogged():
            yield
    except InTouchImportError:
        raise
    except httpx.HTTPError:
        raise SourceUnavailable("Microsoft's sign-in can't be reached") from None
    except Exception:  # noqa: BLE001  # msal raises anything, and quotes what it received
        raise SignInFailed("Microsoft's answer to the sign-in was not understood", retry_helps=True) from None


def _no_cache(msal: Any) -> Any:
    """Return a token cache that keeps nothing: only a `SignIn` keeps tokens."""

    class NoCache(msal.TokenCache):  # type: ignore[misc]  # msal is not typed
        def add(self, event: Any, now: Any = None) -> None:
            """Keep nothing."""

    return NoCache()


def _credential(secret: str | None, certificate: str | None) -> Any:
    if certificate is None:
        return secret
    if "PRIVATE KEY-----" not in certificate or "-----BEGIN CERTIFICATE-----" not in certificate:
        raise ConfigError("certificate= must be a certificate and its private key in PEM")
    return {"private_key": certificate, "public_certificate": certificate}


def _revealed(value: Any) -> str | None:
    text = value.reveal() if hasattr(value, "reveal") else value
    if text is not None and not str(text).strip():
        raise ConfigError("the secret or certificate is empty: leave it out for a public client")
    return None if text is None else str(text)


def _bare(scope: str) -> str:
    return scope.rpartition("/")[2]


def _codes(found: Mapping[str, Any]) -> frozenset[int]:
    return frozenset(code for code in found.get("error_codes") or () if isinstance(code, int))


def _imported(name: str) -> Any:
    with needing(f"OneDrive needs {name}", name, install="intouch-import[onedrive]"):
        return importlib.import_module(name)
