"""The sign-in of the Microsoft identity platform: discovery, authorize, token.

Written after https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow. Access tokens are
opaque.
"""

from __future__ import annotations

import html
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from services.doubles.http import Answer, Request
from services.doubles.onedrive.tokens import OWN, App, Tokens, scopes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


__all__ = ["Identity"]


class Identity(Tokens):
    """Answers the requests to ``login.microsoftonline.com``. See `Tokens` for the arguments."""

    def __init__(self, *, clock: Callable[[], datetime], lifetime_s: float = 3600.0) -> None:
        super().__init__(clock=clock, lifetime_s=lifetime_s)
        self._pending: dict[str, dict[str, str]] = {}

    # --- routes

    def name(self, request: Request) -> str:
        """Return the name of a call, for counts and faults."""
        for end, name in (
            ("/.well-known/openid-configuration", "openid"),
            ("/discovery/instance", "discovery"),
            ("/oauth2/v2.0/token", "token"),
            ("/oauth2/v2.0/authorize", "authorize"),
            ("/oauth2/v2.0/decide", "decide"),
            ("/oauth2/v2.0/logout", "logout"),
        ):
            if request.path.endswith(end):
                return name
        return "unknown"

    def answer(self, request: Request, call: str) -> Answer:
        """Carry out a request."""
        tenant = request.path.strip("/").partition("/")[0]
        match call, request.method:
            case "openid", "GET":
                return self._openid(request, tenant)
            case "discovery", "GET":
                return self._discovery(request)
            case "authorize", "GET":
                return self._authorize(request, tenant)
            case "decide", "POST":
                return self._decide(request)
            case "token", "POST":
                return self.token(request, tenant)
            case "logout", "GET":
                return _page("Signed out", "<p>You signed out of your account.</p>")
        return Answer(status=404)

    def _openid(self, request: Request, tenant: str) -> Answer:
        known = {"common", "organizations", "consumers"} | {account.tenant for account in self.accounts}
        if tenant not in known:
            text = "AADSTS90002: Tenant not found."
            return Answer.of_json({"error": "invalid_tenant", "error_description": text}, 400)
        base = f"{self._base(request)}/{tenant}"
        return Answer.of_json(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token", "code id_token"],
                "response_modes_supported": ["query", "fragment", "form_post"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": None,
                "cloud_instance_name": "microsoftonline.com",
            }
        )

    def _discovery(self, request: Request) -> Answer:
        host = urlsplit(self._base(request)).netloc
        wanted = request.query.get("authorization_endpoint", "")
        tenant = urlsplit(wanted).path.strip("/").partition("/")[0] or "common"
        metadata = [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}]
        endpoint = f"{self._base(request)}/{tenant}/v2.0/.well-known/openid-configuration"
        return Answer.of_json(
            {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": metadata}
        )

    # --- the pages

    def _authorize(self, request: Request, tenant: str) -> Answer:
        wanted = dict(request.query)
        app = self.apps.get(wanted.get("client_id", ""))
        if app is None or app.removed:
            return _page("Sign in", "<p id='error'>AADSTS700016: Application was not found.</p>", 400)
        if not _registered(app, wanted.get("redirect_uri", "")):
            return _page("Sign in", "<p id='error'>AADSTS50011: The redirect URI does not match.</p>", 400)
        if wanted.get("response_type") != "code":
            return self._back(wanted, error="unsupported_response_type")
        if app.is_public and not wanted.get("code_challenge"):
            return self._back(
                wanted, error="invalid_request", error_description="AADSTS9002325: PKCE is required."
            )
        key = secrets.token_hex(16)
        self._pending[key] = wanted
        scopes = sorted(scopes_of(wanted.get("scope", "")) - OWN)
        asked = "".join(f"<li>{html.escape(scope)}</li>" for scope in scopes)
        people = "".join(
            f"<label><input type='radio' name='account' value='{number}'{' checked' if not number else ''}>"
            f"{html.escape(account.name)}</label>"
            for number, account in enumerate(self.accounts)
        )
        return _page(
            "Permissions requested",
            f"<p>The app <b>{html.escape(app.id)}</b> would like to:</p><ul>{asked}</ul>"
            f"<form method='post' action='/{quote(tenant)}/oauth2/v2.0/decide'>"
            f"<input type='hidden' name='key' value='{key}'>{people}"
            "<button id='accept' name='decision' value='accept'>Accept</button>"
            "<button id='cancel' name='decision' value='cancel'>Cancel</button></form>",
        )

    def _decide(self, request: Request) -> Answer:
        form = request.form()
        wanted = self._pending.pop(form.get("key", ""), None)
        if wanted is None:
            return _page("Sign in", "<p id='error'>AADSTS90014: Too late.</p>", 400)
        if form.get("decision") != "accept":
            text = "AADSTS65004: User declined to consent to access the app."
            return self._back(wanted, error="access_denied", error_subcode="cancel", error_description=text)
        return self._back(wanted, code=self.code(wanted, self.accounts[int(form.get("account") or 0)]))

    def _back(self, wanted: dict[str, str], **said: str) -> Answer:
        if "state" in wanted:
            said["state"] = wanted["state"]
        target = wanted["redirect_uri"]
        mode = wanted.get("response_mode", "query")
        if mode == "form_post":
            fields = "".join(
                f"<input type='hidden' name='{html.escape(name)}' value='{html.escape(text)}'>"
                for name, text in said.items()
            )
            form = f"<form id='back' method='post' action='{html.escape(target)}'>{fields}</form>"
            return _page("Working…", f"{form}<script>document.getElementById('back').submit()</script>")
        mark = "#" if mode == "fragment" else "&" if "?" in target else "?"
        return Answer(status=302, headers={"Location": f"{target}{mark}{urlencode(said)}"})


def _registered(app: App, redirect: str) -> bool:
    if redirect in app.redirects:
        return True
    found = re.fullmatch(r"(http://(?:localhost|127\.0\.0\.1))(?::\d+)?(/.*)?", redirect)
    return found is not None and found[1] + (found[2] or "").rstrip("/") in app.redirects


def _page(title: str, body: str, status: int = 200) -> Answer:
    title = html.escape(title)
    text = (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title></head>"
        f"<body><h1>{title}</h1>{body}</body></html>"
    )
    return Answer.of_html(text, status)
