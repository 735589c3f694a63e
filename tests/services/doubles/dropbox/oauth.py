"""The authorization server: apps, its pages, codes and tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs

from services.doubles.http import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCOPES", "Account", "App", "Authorization", "TokenError", "Visitor"]

SCOPES = frozenset(
    {
        "account_info.read",
        "files.metadata.read",
        "files.metadata.write",
        "files.content.read",
        "files.content.write",
    }
)
_CODE_LIFE_S = 600.0

_ASK = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{name} would like access</title>
<body><h1>{name} would like access to your Dropbox</h1><ul>{scopes}</ul>
<form method="post" action="/oauth2/authorize"><input type="hidden" name="question" value="{question}">
<button id="allow" name="answer" value="allow">Allow</button>
<button id="deny" name="answer" value="deny">Cancel</button></form></body></html>"""
_CODE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Access code</title>
<body><h1>Access code generated</h1><p>Enter this code into the app:</p>
<code id="code">{code}</code></body></html>"""
_REFUSED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Error (400)</title>
<body><h1>Error (400)</h1><p>It seems the app you were using submitted a bad request.</p>
<p id="why">{why}</p></body></html>"""


@attrs.frozen(kw_only=True)
class App:
    """A registered app.

    Args:
        key, secret: Its credentials. With PKCE the secret is not needed.
        name: The name that the pages show.
        redirect_uris: Must match exactly.
        scopes: The permissions of the app.
        app_folder: Path of the app's own folder, for an app that sees only this folder; None for the whole drive.
    """

    key: str
    secret: str = attrs.field(repr=False)
    name: str = "inTOUCH"
    redirect_uris: frozenset[str] = frozenset()
    scopes: frozenset[str] = SCOPES
    app_folder: str | None = None


@attrs.frozen(kw_only=True)
class Account:
    """A person with a Dropbox.

    Args:
        id: ``"dbid:…"``.
        root_namespace, home_namespace: Ids; they differ for a member of a team that has a team space.
        home: Path of the home namespace from the root.
    """

    id: str = "dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc"
    root_namespace: str = "3235641"
    home_namespace: str = "3235641"
    home: str = ""


@attrs.frozen(kw_only=True)
class Visitor:
    """The app and the account of an access token."""

    app: App
    account: Account
    scopes: frozenset[str]


class TokenError(Exception):
    """An error of the token endpoint."""

    def __init__(self, error: str, description: str | None = None) -> None:
        super().__init__(error)
        self.body = (
            {"error": error} if description is None else {"error": error, "error_description": description}
        )


@attrs.define(kw_only=True)
class _Grant:
    visitor: Visitor
    offline: bool
    revoked: bool = False


@attrs.frozen(kw_only=True)
class _Code:
    grant: _Grant
    redirect_uri: str | None
    challenge: str | None
    ends_at_s: float


class Authorization:
    """Shows the pages, issues tokens, and looks tokens up.

    Args:
        account: The person at the browser.
        now_s: The clock that tokens and codes age by.
        token_life_s: How long access tokens live, seconds.
    """

    def __init__(
        self, account: Account, *, now_s: Callable[[], float] = time.monotonic, token_life_s: float = 14400.0
    ) -> None:
        self.account = account
        self.token_life_s = token_life_s
        self._now_s = now_s
        self._lock = threading.Lock()
        self._apps: dict[str, App] = {}
        self._questions: dict[str, dict[str, str]] = {}
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, tuple[_Grant, float]] = {}
        self._refresh: dict[str, _Grant] = {}

    # --- for tests

    def register(self, app: App) -> None:
        """Register an app, or change its registration."""
        with self._lock:
            self._apps[app.key] = app

    def forget(self, app: App) -> None:
        """Delete an app."""
        with self._lock:
            self._apps.pop(app.key, None)

    def access_token(self, app: App, *, scopes: frozenset[str] | None = None) -> str:
        """Issue an access token, as if somebody had signed in."""
        visitor = Visitor(app=app, account=self.account, scopes=app.scopes if scopes is None else scopes)
        with self._lock:
            return self._mint(_Grant(visitor=visitor, offline=False))

    def refresh_token(self, app: App, *, scopes: frozenset[str] | None = None) -> str:
        """Issue a refresh token, as if somebody had signed in."""
        visitor = Visitor(app=app, account=self.account, scopes=app.scopes if scopes is None else scopes)
        with self._lock:
            return self._mint_refresh(_Grant(visitor=visitor, offline=True))

    def expire_access_tokens(self) -> None:
        """Let every access token expire. Refresh tokens stay valid."""
        with self._lock:
            self._access = {token: (grant, float("-inf")) for token, (grant, _) in self._access.items()}

    def revoke_all(self) -> None:
        """Make every token invalid, as a person does under *Connected apps*."""
        with self._lock:
            for grant in [*(grant for grant, _ in self._access.values()), *self._refresh.values()]:
                grant.revoked = True

    # --- for requests

    def visitor(self, token: str) -> Visitor | str:
        """Return the app and account of a token, or the tag of the error if it is not valid."""
        with self._lock:
            known = self._access.get(token)
            if known is None or known[0].revoked:
                return "invalid_access_token"
            return "expired_access_token" if self._now_s() >= known[1] else known[0].visitor

    def revoke(self, token: str) -> None:
        """``auth/token/revoke``: revoke the token, and all tokens of the same sign-in."""
        with self._lock:
            self._access[token][0].revoked = True

    def ask(self, query: Mapping[str, str]) -> Answer:
        """``GET /oauth2/authorize``: show the page that asks for permission."""
        app = self._apps.get(query.get("client_id", ""))
        if app is None:
            return _refused(f'Invalid client_id: "{query.get("client_id", "")}".')
        redirect_uri = query.get("redirect_uri")
        if redirect_uri is not None and redirect_uri not in app.redirect_uris:
            return _refused(
                f'Invalid redirect_uri: "{redirect_uri}": It must exactly match one of the redirect '
                "URIs you've pre-configured for your app (including the path)."
            )
        if query.get("response_type") != "code":
            return _refused('Invalid response_type: must be "code".')
        if query.get("code_challenge_method", "S256") != "S256":
            return _refused("Invalid code_challenge_method.")
        wanted = frozenset(query["scope"].split()) if query.get("scope") else app.scopes
        if not wanted <= app.scopes:
            return _refused(
                "This app has requested scopes it is not allowed: " + " ".join(sorted(wanted - app.scopes))
            )
        question = secrets.token_urlsafe(16)
        with self._lock:
            self._questions[question] = {**query, "scope": " ".join(sorted(wanted))}
        scopes = "".join(f"<li>{html.escape(scope)}</li>" for scope in sorted(wanted))
        return Answer.of_html(_ASK.format(name=html.escape(app.name), scopes=scopes, question=question))

    def decide(self, form: Mapping[str, str]) -> Answer:
        """``POST /oauth2/authorize``: a person pressed a button of the page."""
        with self._lock:
            query = self._questions.pop(form.get("question", ""), None)
            if query is None:
                return _refused("This question was answered already.")
            app = self._apps[query["client_id"]]
            redirect_uri = query.get("redirect_uri")
            state = {"state": query["state"]} if "state" in query else {}
            if form.get("answer") != "allow":
                denied = {
                    "error": "access_denied",
                    "error_description": "The user chose not to give your app access",
                }
                return _to(redirect_uri, denied | state) if redirect_uri else _refused("Access denied.")
            visitor = Visitor(app=app, account=self.account, scopes=frozenset(query["scope"].split()))
            code = secrets.token_urlsafe(32)
            self._codes[code] = _Code(
                grant=_Grant(visitor=visitor, offline=query.get("token_access_type") == "offline"),
                redirect_uri=redirect_uri,
                challenge=query.get("code_challenge"),
                ends_at_s=self._now_s() + _CODE_LIFE_S,
            )
        if redirect_uri is None:
            return Answer.of_html(_CODE.format(code=code))
        return _to(redirect_uri, {"code": code} | state)

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        """``POST /oauth2/token``: issue tokens.

        Raises:
            TokenError: The request is refused.
        """
        with self._lock:
            app = self._apps.get(form.get("client_id", ""))
            secret = form.get("client_secret")
            if app is None or (secret is not None and not hmac.compare_digest(secret, app.secret)):
                raise TokenError("invalid_client: Invalid client_id or client_secret")
            match form.get("grant_type"):
                case "authorization_code":
                    return self._redeem(app, form)
                case "refresh_token":
                    return self._renew(app, form)
            raise TokenError(
                "unsupported_grant_type", 'grant_type must be "authorization_code" or "refresh_token"'
            )

    def _redeem(self, app: App, form: Mapping[str, str]) -> dict[str, Any]:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.ends_at_s <= self._now_s() or code.grant.visitor.app.key != app.key:
            raise TokenError("invalid_grant", "code doesn't exist or has expired")
        if form.get("redirect_uri") != code.redirect_uri:
            raise TokenError("invalid_grant", "redirect_uri mismatch")
        if code.challenge is not None:
            verifier = form.get("code_verifier", "")
            hashed = (
                base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            )
            if not hmac.compare_digest(hashed, code.challenge):
                raise TokenError("invalid_grant", "invalid code verifier")
        elif "client_secret" not in form:
            raise TokenError("invalid_client: Invalid client_id or client_secret")
        said = self._said(code.grant) | {
            "uid": "12345",
            "account_id": code.grant.visitor.account.id,
            "scope": " ".join(sorted(code.grant.visitor.scopes)),
        }
        if code.grant.offline:
            said["refresh_token"] = self._mint_refresh(code.grant)
        return said

    def _renew(self, app: App, form: Mapping[str, str]) -> dict[str, Any]:
        grant = self._refresh.get(form.get("refresh_token", ""))
        if grant is None:
            raise TokenError("invalid_grant", "refresh token is malformed")
        if grant.revoked or grant.visitor.app.key != app.key:
            raise TokenError("invalid_grant", "refresh token is invalid or revoked")
        return self._said(grant)

    def _said(self, grant: _Grant) -> dict[str, Any]:
        return {
            "access_token": self._mint(grant),
            "token_type": "bearer",
            "expires_in": int(self.token_life_s),
        }

    def _mint(self, grant: _Grant) -> str:
        token = f"sl.{secrets.token_urlsafe(48)}"
        self._access[token] = (grant, self._now_s() + self.token_life_s)
        return token

    def _mint_refresh(self, grant: _Grant) -> str:
        token = secrets.token_urlsafe(48)
        self._refresh[token] = grant
        return token


def _refused(why: str) -> Answer:
    return Answer.of_html(_REFUSED.format(why=html.escape(why)), 400)


def _to(uri: str, parameters: Mapping[str, str]) -> Answer:
    location = f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"
    return Answer(status=302, headers={"Location": location, "Cache-Control": "no-store"})
