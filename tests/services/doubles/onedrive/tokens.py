"""Accounts, apps, and their tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from services.doubles.http import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.doubles.onedrive.drive import Drive

__all__ = ["Account", "App", "Grant", "Tokens", "scopes_of"]

_CODE_S: Final = 600
OWN: Final = frozenset({"openid", "profile", "offline_access", "email"})
"""Scopes of the platform. All other scopes are permissions."""
_GRAPH: Final = "https://graph.microsoft.com/"


@attrs.define(kw_only=True, eq=False)
class Account:
    """A person with a drive.

    Args:
        name: The name for the sign-in.
        drive: The person's own drive.
        tenant: The organisation, or the tenant of all personal accounts.
        locked_out: Ids of drives that the person may not use, whatever the token allows.
    """

    name: str
    drive: Drive
    tenant: str
    id: str = attrs.field(factory=lambda: secrets.token_hex(16))
    locked_out: set[str] = attrs.field(factory=set)


@attrs.define(kw_only=True, eq=False)
class App:
    """A registered app.

    Args:
        id: The App ID.
        secrets: Valid client secrets; empty for a public client.
        certificates: Certificates of the app, in PEM.
        redirects: Redirect URIs. ``http://localhost`` matches with any port.
        granted: Permissions that an administrator granted to the app itself.
        removed: Whether the registration was deleted.
    """

    id: str
    secrets: set[str] = attrs.field(factory=set, repr=False)
    certificates: set[str] = attrs.field(factory=set, repr=False)
    redirects: set[str] = attrs.field(factory=lambda: {"http://localhost"})
    granted: set[str] = attrs.field(factory=set)
    removed: bool = False

    @property
    def is_public(self) -> bool:
        """Whether the app signs in without a secret."""
        return not self.secrets and not self.certificates


@attrs.define(kw_only=True, eq=False)
class Grant:
    """The app, the account and the permissions of an access token."""

    app: App
    account: Account
    scopes: set[str]
    expires_at: datetime
    app_only: bool = False
    revoked: bool = False


@attrs.define(kw_only=True, eq=False)
class _Refresh:
    app: App
    account: Account
    scopes: set[str]
    family: str


@attrs.define(kw_only=True, eq=False)
class _Code:
    app: App
    account: Account
    scopes: set[str]
    redirect: str
    challenge: str
    nonce: str
    expires_at: datetime


class _Refused(Exception):
    def __init__(self, error: str, number: int, text: str, *, status: int = 400, suberror: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.number = number
        self.text = text
        self.status = status
        self.suberror = suberror


class Tokens:
    """Issues tokens for codes, refresh tokens and credentials, and revokes them.

    Args:
        clock: Returns the aware time.
        lifetime_s: How long an access token is valid, seconds; at the real platform 60 to 90 minutes.

    Attributes:
        apps: Registered apps, by id.
        accounts: The accounts that can sign in.
        rotate_strictly: Whether a refresh token can be used only once.
    """

    def __init__(self, *, clock: Callable[[], datetime], lifetime_s: float = 3600.0) -> None:
        self._clock = clock
        self.lifetime_s = lifetime_s
        self.rotate_strictly = False
        self._why_refused = 50173
        self.apps: dict[str, App] = {}
        self.accounts: list[Account] = []
        self.tokens: dict[str, Grant] = {}
        self.refresh_tokens: dict[str, _Refresh] = {}
        self._codes: dict[str, _Code] = {}

    def grant(self, token: str) -> Grant | None:
        """Return the grant of a token, or None if the token is not valid now."""
        found = self.tokens.get(token)
        if found is None or found.revoked or found.expires_at <= self._clock():
            return None
        return found

    def revoke(self, *, expired: bool = False) -> None:
        """End every session: all refresh tokens and access tokens become invalid.

        Args:
            expired: Whether the reason is that nobody used them for a long time.
        """
        self._why_refused = 700082 if expired else 50173
        self.refresh_tokens.clear()
        self.expire_access()

    def expire_access(self) -> None:
        """Make every access token invalid; refresh tokens stay valid."""
        for found in self.tokens.values():
            found.revoked = True

    def issue(self, app: App, account: Account, scopes: set[str], *, app_only: bool = False) -> str:
        """Issue an access token."""
        token = f"EwB{secrets.token_urlsafe(48)}"
        self.tokens[token] = Grant(
            app=app,
            account=account,
            scopes=scopes,
            expires_at=self._clock() + timedelta(seconds=self.lifetime_s),
            app_only=app_only,
        )
        return token

    def code(self, wanted: dict[str, str], account: Account) -> str:
        """Issue a code for an authorize request, as if ``account`` had accepted it on the page."""
        code = f"M.{secrets.token_urlsafe(32)}"
        self._codes[code] = _Code(
            app=self.apps[wanted["client_id"]],
            account=account,
            scopes=scopes_of(wanted.get("scope", "")),
            redirect=wanted["redirect_uri"],
            challenge=wanted.get("code_challenge", ""),
            nonce=wanted.get("nonce", ""),
            expires_at=self._clock() + timedelta(seconds=_CODE_S),
        )
        return code

    def token(self, request: Request, tenant: str) -> Answer:
        """Carry out a request for tokens."""
        form = request.form()
        try:
            app = self._client(form, request, tenant)
            match form.get("grant_type"):
                case "authorization_code":
                    return self._by_code(app, form)
                case "refresh_token":
                    return self._by_refresh(app, form)
                case "client_credentials":
                    return self._by_credentials(app, form)
            raise _Refused("unsupported_grant_type", 70003, "The grant type is not supported.")
        except _Refused as refused:
            trace = secrets.token_hex(8)
            said: dict[str, Any] = {
                "error": refused.error,
                "error_description": f"AADSTS{refused.number}: {refused.text} Trace ID: {trace}",
                "error_codes": [refused.number],
                "timestamp": f"{self._clock():%Y-%m-%d %H:%M:%SZ}",
                "trace_id": trace,
                "correlation_id": secrets.token_hex(8),
            }
            if refused.suberror:
                said["suberror"] = refused.suberror
            return Answer.of_json(said, refused.status)

    def _client(self, form: dict[str, str], request: Request, tenant: str) -> App:
        app = self.apps.get(form.get("client_id", ""))
        if app is None or app.removed:
            raise _Refused("unauthorized_client", 700016, "Application was not found in the directory.")
        if assertion := form.get("client_assertion"):
            self._check_assertion(app, assertion, f"{self._base(request)}/{tenant}/oauth2/v2.0/token")
        elif app.is_public:
            if "client_secret" in form:
                raise _Refused(
                    "invalid_client", 700025, "Client is public: no secret should be presented.", status=401
                )
        elif form.get("client_secret") is None:
            text = "The request body must contain: 'client_assertion' or 'client_secret'."
            raise _Refused("invalid_client", 7000218, text, status=401)
        elif form["client_secret"] not in app.secrets:
            raise _Refused("invalid_client", 7000215, "Invalid client secret provided.", status=401)
        return app

    def _check_assertion(self, app: App, assertion: str, audience: str) -> None:
        import jwt
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        header = jwt.get_unverified_header(assertion)
        for pem in app.certificates:
            certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
            marks = {"x5t#S256": hashes.SHA256(), "x5t": hashes.SHA1()}  # the protocol's own
            prints = {name: _b64(certificate.fingerprint(kind)) for name, kind in marks.items()}
            if not any(str(header.get(name)).rstrip("=") == text for name, text in prints.items()):
                continue
            try:
                jwt.decode(
                    assertion,
                    certificate.public_key(),  # type: ignore[arg-type]  # RSA, as registered
                    algorithms=["PS256", "RS256"],
                    audience=audience,
                    issuer=app.id,
                    options={"require": ["exp", "iss", "sub", "aud", "jti"]},
                )
            except jwt.InvalidTokenError:
                break
            return  # it can be used again until it expires; msal does that
        raise _Refused("invalid_client", 700027, "The certificate is not registered on the app.", status=401)

    def _by_code(self, app: App, form: dict[str, str]) -> Answer:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.app is not app or code.expires_at <= self._clock():
            raise _Refused("invalid_grant", 70008, "The code has expired or was used.")
        if code.redirect != form.get("redirect_uri"):
            raise _Refused("invalid_grant", 50011, "The redirect URI does not match.")
        if code.challenge:
            verifier = form.get("code_verifier", "")
            if _b64(hashlib.sha256(verifier.encode("ascii")).digest()) != code.challenge:
                raise _Refused("invalid_grant", 501481, "The code_verifier does not match.")
        return self._tokens(app, code.account, code.scopes, nonce=code.nonce)

    def _by_refresh(self, app: App, form: dict[str, str]) -> Answer:
        key = form.get("refresh_token", "")
        found = self.refresh_tokens.get(key)
        if found is None or found.app is not app:
            text = "The refresh token has expired or was revoked."
            raise _Refused("invalid_grant", self._why_refused, text, suberror="bad_token")
        if self.rotate_strictly:
            del self.refresh_tokens[key]
        wanted = scopes_of(form.get("scope", ""))
        if wanted - OWN - found.scopes:
            raise _Refused("invalid_grant", 65001, "Consent is required.", suberror="consent_required")
        return self._tokens(app, found.account, found.scopes, family=found.family)

    def _by_credentials(self, app: App, form: dict[str, str]) -> Answer:
        if app.is_public:
            raise _Refused("unauthorized_client", 70002, "A public client has no credentials.")
        if not form.get("scope", "").endswith("/.default"):
            raise _Refused("invalid_scope", 1002012, "The scope must end in /.default.")
        token = self.issue(app, self.accounts[0], set(app.granted), app_only=True)
        return Answer.of_json(
            {"token_type": "Bearer", "expires_in": int(self.lifetime_s), "access_token": token}
        )

    def _tokens(
        self, app: App, account: Account, scopes: set[str], *, nonce: str = "", family: str | None = None
    ) -> Answer:
        told = {
            "token_type": "Bearer",
            "scope": " ".join(sorted(scopes - {"offline_access"})),
            "expires_in": int(self.lifetime_s),
            "ext_expires_in": int(self.lifetime_s),
            "access_token": self.issue(app, account, scopes - OWN),
        }
        if "offline_access" in scopes:
            key = f"M.C5{secrets.token_urlsafe(48)}"
            self.refresh_tokens[key] = _Refresh(
                app=app, account=account, scopes=scopes, family=family or secrets.token_hex(8)
            )
            told["refresh_token"] = key
        told["client_info"] = _b64(json.dumps({"uid": account.id, "utid": account.tenant}).encode())
        if "openid" in scopes:
            told["id_token"] = self._id_token(app, account, nonce)
        return Answer.of_json(told, Cache_Control="no-store")

    def _id_token(self, app: App, account: Account, nonce: str) -> str:
        now = datetime.now(UTC)
        claims: dict[str, Any] = {
            "aud": app.id,
            "iss": f"https://login.microsoftonline.com/{account.tenant}/v2.0",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()) - 300,
            "exp": int(now.timestamp()) + 3600,
            "name": account.name,
            "preferred_username": account.name,
            "oid": account.id,
            "sub": account.id,
            "tid": account.tenant,
            "ver": "2.0",
        }
        if nonce:
            claims["nonce"] = nonce
        header = {"typ": "JWT", "alg": "RS256", "kid": "loopback"}
        parts = [_b64(json.dumps(part).encode()) for part in (header, claims)]
        return ".".join([*parts, _b64(secrets.token_bytes(256))])

    @staticmethod
    def _base(request: Request) -> str:
        # A client that uses another host name, through a proxy, gets links with that host name.
        host = request.headers.get("host", "")
        return f"http://{host}" if host.startswith(("127.", "localhost", "[::1]")) else f"https://{host}"


def scopes_of(text: str) -> set[str]:
    """Return the scopes of a request, without Graph's address."""
    return {scope.removeprefix(_GRAPH) for scope in text.split()}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
