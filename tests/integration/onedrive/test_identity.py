"""Signing in to Microsoft through the unchanged msal: every kind of app, renewal, revocation, and each failure's message."""

from __future__ import annotations

import html
import pickle
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from intouch_import.clock import Clock
from intouch_import.errors import ConfigError, SignInFailed, SignInNeeded, SignInTimeout, SourceUnavailable
from intouch_import.onedrive import OneDriveAuthorization
from intouch_import.signin import SignIn
from intouch_import.signin.store import MemoryStore
from services.doubles.onedrive import App, Fault, OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Person:
    """A person at a browser, who opens the page, presses a button, and follows the redirect."""

    def __init__(self, server: OneDriveServer, decision: str = "accept", account: int = 0) -> None:
        self.server = server
        self.decision = decision
        self.account = account
        self.pages: list[str] = []
        self._threads: list[threading.Thread] = []

    def __call__(self, url: str) -> None:
        thread = threading.Thread(target=self.answer, args=[url])
        self._threads.append(thread)
        thread.start()

    def answer(self, url: str) -> str:
        with httpx.Client(trust_env=False, follow_redirects=True) as browser:
            page = browser.get(url).text
            if "<form" not in page:
                self.pages.append(page)
                return page
            action, key = re.findall(r"action='([^']+)'|name='key' value='(\w+)'", page)
            form = {"key": key[1], "account": str(self.account), "decision": self.decision}
            back = browser.post(self.server.identity_url + action[0], data=form).text
            target = re.search(r"action='([^']+)'", back)
            assert target is not None
            fields = {
                name: html.unescape(text) for name, text in re.findall(r"name='(\w+)' value='([^']*)'", back)
            }
            shown = browser.post(html.unescape(target[1]) + "/", data=fields).text
            self.pages.append(shown)
            return shown

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()


def signed_in(server: OneDriveServer, **options: Any) -> SignIn:
    """Return a sign-in that a person has completed."""
    person = Person(server)
    signin = SignIn(
        OneDriveAuthorization(server.app.id, endpoint=server.identity_url),
        **{"store": MemoryStore(), "on_url": None, **options},
    )
    attempt = signin.begin()
    person.answer(attempt.url)
    attempt.wait()
    return signin


def ask_and_redeem(authorization: OneDriveAuthorization) -> None:
    """Sign in with a code that is not valid: problems of the app are reported before that."""
    request = authorization.authorization_request("http://localhost:1")
    authorization.redeem(request, {"code": "x", "state": request.state})


@pytest.fixture
def server(business: OneDriveServer) -> OneDriveServer:
    """One kind of account is enough."""
    return business


@pytest.fixture(scope="module")
def certificate() -> tuple[str, str]:
    """A certificate and its key, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "practice")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    return made.public_bytes(encoding).decode(), private.decode()


@pytest.fixture
def apps(server: OneDriveServer, certificate: tuple[str, str]) -> dict[str, dict[str, Any]]:
    """The options to sign in as each kind of app."""
    server.register(App(id="with-secret", secrets={"SECRET-CANARY"}))
    server.register(App(id="with-certificate", certificates={certificate[0]}))
    return {
        "public": {"client_id": server.app.id},
        "secret": {"client_id": "with-secret", "client_secret": "SECRET-CANARY"},
        "certificate": {"client_id": "with-certificate", "certificate": "".join(certificate)},
    }


@pytest.mark.parametrize("kind", ["public", "secret", "certificate"])
def test_each_kind_of_app_signs_in_renews_and_is_told_when_it_ends(
    kind: str, server: OneDriveServer, apps: dict[str, Any], opened: Callable[..., Any]
) -> None:
    """Public, with a secret or with a certificate: a person signs in once, and renewals are silent until it is revoked."""
    server.drive.write(server.drive.folder("images/intouch"), "a.jpg", b"x")
    person = Person(server)
    store = MemoryStore()
    make = lambda: SignIn(  # noqa: E731
        OneDriveAuthorization(**apps[kind], endpoint=server.identity_url), store=store, on_url=person
    )
    source = opened(server, signin=make())
    with pytest.raises(SignInNeeded):
        source.scan()
    assert source.sign_in() is True
    person.wait()
    assert "Signed in" in person.pages[0]
    assert len(list(source.scan())) == 1
    # A second run of the program, with the same store.
    again = opened(server, signin=make())
    server.identity.expire_access()
    assert len(list(again.scan())) == 1
    assert server.identity_calls["authorize"] == 1
    server.identity.revoke()
    with pytest.raises(SignInNeeded, match="sign in again") as caught:
        again.scan()
    assert caught.value.why == "revoked"
    with pytest.raises(SignInNeeded):
        again.scan()


def test_a_token_provider_of_the_host_has_no_sign_in(
    server: OneDriveServer, opened: Callable[..., Any]
) -> None:
    """If the host provides the tokens, nobody is asked."""
    assert opened(server).sign_in() is False


def test_it_is_renewed_before_it_ends_and_when_it_is_refused(
    server: OneDriveServer, opened: Callable[..., Any]
) -> None:
    """A token is renewed some minutes before it expires, and at once if the service refuses it."""
    server.drive.folder("images/intouch")
    now = [0.0]
    signin = signed_in(server, clock=Clock(monotonic_s=lambda: now[0]))
    source = opened(server, signin=signin)
    first = server.identity_calls["token"]
    source.scan()
    now[0] += 3600 - 301
    source.scan()
    assert server.identity_calls["token"] == first
    now[0] += 2
    source.scan()
    assert server.identity_calls["token"] == first + 1
    server.identity.expire_access()
    source.scan()
    assert server.identity_calls["token"] == first + 2


def test_many_threads_renew_once(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """A token that eight threads find refused is renewed once."""
    from concurrent.futures import ThreadPoolExecutor

    photos = server.drive.folder("images/intouch")
    for number in range(16):
        server.drive.write(photos, f"{number}.jpg", b"x%d" % number)
    source = opened(server, signin=signed_in(server))
    files = list(source.scan())
    before = server.identity_calls["token"]
    server.identity.expire_access()
    server.latency_s = 0.02
    with ThreadPoolExecutor(8) as pool:
        for content in pool.map(source.fetch, files):
            content.close()
    assert server.identity_calls["token"] == before + 1


def test_refresh_tokens_that_serve_once(server: OneDriveServer) -> None:
    """If each refresh token works only once, the newest one is used each time."""
    server.identity.rotate_strictly = True
    store = MemoryStore()
    signin = signed_in(server, store=store)
    for _ in range(3):
        assert server.identity.grant(signin(True)) is not None
    assert len(server.identity.refresh_tokens) == 1


def test_a_session_that_nobody_used_has_expired(server: OneDriveServer) -> None:
    """Expiry and revocation have different reasons."""
    signin = signed_in(server)
    server.identity.revoke(expired=True)
    with pytest.raises(SignInNeeded, match="has ended") as caught:
        signin(True)
    assert caught.value.why == "expired"


def test_the_question(server: OneDriveServer) -> None:
    """The sign-in page asks for the least permission, with PKCE, state and nonce, and returns to this machine only."""
    signin = SignIn(
        OneDriveAuthorization(server.app.id, endpoint=server.identity_url), store=MemoryStore(), on_url=None
    )
    attempt = signin.begin()
    query = {name: text[0] for name, text in parse_qs(urlsplit(attempt.url).query).items()}
    assert attempt.url.startswith(server.identity_url)
    asked = {scope.rpartition("/")[2] for scope in query["scope"].split()}
    assert asked == {"Files.ReadWrite", "openid", "profile", "offline_access"}
    assert query["redirect_uri"].startswith("http://localhost:")
    assert query["code_challenge_method"] == "S256"
    assert query["response_mode"] == "form_post"
    assert len(query["state"]) >= 16
    assert query["nonce"]
    attempt.cancel()


def test_a_code_that_is_pasted(server: OneDriveServer) -> None:
    """Without a browser on this machine, a person pastes the address that it could not open, or the code in it."""
    for cut in (lambda address: address, lambda address: parse_qs(urlsplit(address).query)["code"][0]):
        signin = SignIn(
            OneDriveAuthorization(server.app.id, endpoint=server.identity_url),
            store=MemoryStore(),
            on_url=None,
        )
        attempt = signin.begin(paste=True)
        with httpx.Client(trust_env=False) as browser:
            page = browser.get(attempt.url).text
            action, key = re.findall(r"action='([^']+)'|name='key' value='(\w+)'", page)
            form = {"key": key[1], "account": "0", "decision": "accept"}
            address = browser.post(server.identity_url + action[0], data=form).headers["Location"]
        assert address.startswith("http://localhost?")
        attempt.paste(cut(address))
        assert server.identity.grant(signin()) is not None


def test_denied_and_too_late(server: OneDriveServer) -> None:
    """A person can refuse. After three minutes the attempt is over, and the next attempt is a new one."""
    person = Person(server, decision="cancel")
    now = [0.0]
    signin = SignIn(
        OneDriveAuthorization(server.app.id, endpoint=server.identity_url),
        store=MemoryStore(),
        on_url=person,
        clock=Clock(monotonic_s=lambda: now[0]),
    )
    with pytest.raises(SignInFailed) as caught:
        signin.sign_in()
    assert caught.value.why == "denied"
    person.wait()
    signin._on_url = lambda _: None
    attempt = signin.begin()
    now[0] += 180
    with pytest.raises(SignInTimeout):
        attempt.wait()
    assert signin.begin() is not attempt
    signin.begin().cancel()


WRONG_APPS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"client_id": "unknown"}, SignInFailed, "App ID"),
    ({"client_id": "with-secret", "client_secret": "wrong"}, SignInFailed, "secret or certificate"),
    ({"client_id": "with-secret"}, SignInFailed, "secret or certificate"),
    ({"client_id": "with-certificate", "client_secret": "x"}, SignInFailed, "secret or certificate"),
    (
        {"client_id": "with-secret", "client_secret": "SECRET-CANARY", "tenant": "nobody"},
        ConfigError,
        "tenant",
    ),
]


@pytest.mark.parametrize(
    ("app", "error", "says"), WRONG_APPS, ids=[says + str(n) for n, (_, _, says) in enumerate(WRONG_APPS)]
)
def test_an_app_that_is_wrong(
    app: dict[str, Any], error: type[Exception], says: str, server: OneDriveServer, apps: dict[str, Any]
) -> None:
    """Each mistake in the registration has its own message, without a secret in it."""
    authorization = OneDriveAuthorization(**app, endpoint=server.identity_url)
    with pytest.raises(error, match=says) as caught:
        ask_and_redeem(authorization)
    assert "CANARY" not in str(caught.value)
    assert getattr(caught.value, "why", "wrong_app") == "wrong_app"


def test_answers_that_are_not_ours(server: OneDriveServer) -> None:
    """A code for another state, verifier or redirect, or a used code, returns no token."""
    authorization = OneDriveAuthorization(server.app.id, endpoint=server.identity_url)
    one, other = (authorization.authorization_request("http://localhost:1") for _ in range(2))

    def code(request: Any) -> str:
        query = {name: text[0] for name, text in parse_qs(urlsplit(request.url).query).items()}
        return server.identity.code(query, server.account)

    with pytest.raises(SignInFailed):
        authorization.redeem(one, {"code": code(one), "state": other.state})
    with pytest.raises(SignInFailed):
        authorization.redeem(one, {"code": code(other), "state": one.state})
    good = code(one)
    assert authorization.redeem(one, {"code": good, "state": one.state}).access_token
    with pytest.raises(SignInFailed, match="no longer valid"):
        authorization.redeem(one, {"code": good, "state": one.state})


def test_a_permission_that_was_not_granted(server: OneDriveServer) -> None:
    """A missing permission is reported at the sign-in, not at the first file."""
    authorization = OneDriveAuthorization(
        server.app.id, endpoint=server.identity_url, scopes=["Files.ReadWrite.All"]
    )
    request = authorization.authorization_request("http://localhost:1")
    query = {name: text[0] for name, text in parse_qs(urlsplit(request.url).query).items()}
    query["scope"] = "openid profile offline_access Files.Read"
    with pytest.raises(SignInFailed, match="permission") as caught:
        authorization.redeem(
            request, {"code": server.identity.code(query, server.account), "state": request.state}
        )
    assert caught.value.why == "missing_scope"


@pytest.mark.parametrize(
    "fault",
    [Fault.lost(), Fault(status=500, body=b"<html>"), Fault.refused(503), Fault.refused(429)],
    ids=str,
)
@pytest.mark.parametrize("call", ["token", "openid"])
def test_a_service_that_fails_for_now(call: str, fault: Fault, server: OneDriveServer) -> None:
    """The stored sign-in is kept: the service has a problem, not the person."""
    store = MemoryStore()
    signed_in(server, store=store)
    signin = SignIn(
        OneDriveAuthorization(server.app.id, endpoint=server.identity_url), store=store, on_url=None
    )
    server.fail(call, fault, times=None)
    with pytest.raises(SourceUnavailable):
        signin()
    server.faults.clear()
    assert server.identity.grant(signin()) is not None


def test_an_answer_that_is_none(server: OneDriveServer) -> None:
    """An answer that is no JSON is not understood, and not shown."""
    signin = signed_in(server)
    server.fail("token", Fault(status=200, body=b"CANARY", headers={"Content-Type": "application/json"}))
    with pytest.raises(SignInFailed, match="not understood") as caught:
        signin(True)
    assert "CANARY" not in str(caught.value)


def test_nothing_is_taken_from_the_environment(
    server: OneDriveServer, apps: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a region nor credentials of another program decide where a secret is sent."""
    monkeypatch.setenv("MSAL_FORCE_REGION", "westus")
    monkeypatch.setenv("REGION_NAME", "westus")
    for name in ("CLIENT_ID", "TENANT_ID", "CLIENT_SECRET", "CLIENT_CERTIFICATE_PATH"):
        monkeypatch.setenv(f"AZURE_{name}", "another program's")
    authorization = OneDriveAuthorization(**apps["secret"], endpoint=server.identity_url)
    request = authorization.authorization_request("http://localhost:1")
    query = {name: text[0] for name, text in parse_qs(urlsplit(request.url).query).items()}
    authorization.redeem(
        request, {"code": server.identity.code(query, server.account), "state": request.state}
    )
    assert {one.headers["host"] for one in server.identity_requests} == {"login.microsoftonline.com"}


def test_secrets_stay_where_they_are(server: OneDriveServer, apps: dict[str, Any]) -> None:
    """No repr and no pickle contains a secret or a token."""

    class Vault:
        def reveal(self) -> str:
            return "SECRET-CANARY"

        def __repr__(self) -> str:
            return "***"

    authorization = OneDriveAuthorization("with-secret", client_secret=Vault(), endpoint=server.identity_url)
    request = authorization.authorization_request("http://localhost:1")
    query = {name: text[0] for name, text in parse_qs(urlsplit(request.url).query).items()}
    grant = authorization.redeem(
        request, {"code": server.identity.code(query, server.account), "state": request.state}
    )
    for thing in (authorization, request, grant):
        assert "CANARY" not in repr(thing)
        assert grant.access_token not in repr(thing)
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    # msal itself keeps no token.
    app = authorization._apps().msal
    assert grant.access_token not in str(
        app.token_cache.serialize() if hasattr(app.token_cache, "serialize") else vars(app.token_cache)
    )


WRONG: list[dict[str, Any]] = [
    {"client_id": " "}, {"client_id": "x", "client_secret": "s", "certificate": "c"}, {"client_id": "x", "client_secret": ""},
    {"client_id": "x", "certificate": "no PEM"}, {"client_id": "x", "tenant": ""}, {"client_id": "x", "tenant": "a/b"},
    {"client_id": "x", "scopes": []}, {"client_id": "x", "scopes": "Files.ReadWrite"},
    {"client_id": "x", "endpoint": "http://login.example"}, {"client_id": "x", "authority": "http://login.example"},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_settings_that_make_no_sense(options: dict[str, Any]) -> None:
    """A mistake is reported before any request."""
    with pytest.raises(ConfigError):
        OneDriveAuthorization(**options)


def test_a_key_that_cannot_be_read(server: OneDriveServer, certificate: tuple[str, str]) -> None:
    """A broken key is a mistake in the settings, and is not shown."""
    broken = certificate[0] + "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"
    server.register(App(id="with-certificate", certificates={certificate[0]}))
    authorization = OneDriveAuthorization(
        "with-certificate", certificate=broken, endpoint=server.identity_url
    )
    with pytest.raises((ConfigError, SignInFailed)) as caught:
        ask_and_redeem(authorization)
    assert "CANARY" not in str(caught.value)


@pytest.fixture(autouse=True)
def _quiet_loops() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "intouch-sign-in":
            thread.join(2)
