"""Signing in against the protocol server: attempts, redirects, pasted codes, renewal, refusals and signing out."""

from __future__ import annotations

import errno
import pickle
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
import requests

from intouch_import.clock import Clock
from intouch_import.dropbox import DropboxAuthorization
from intouch_import.errors import (
    ConfigError,
    SignInFailed,
    SignInNeeded,
    SignInTimeout,
    SourceUnavailable,
    Throttled,
)
from intouch_import.signin import SignIn
from intouch_import.signin.store import MemoryStore
from services.doubles.dropbox import DropboxServer, Fault
from services.signing_in import Person, free_port, open_sign_in, press, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def server() -> Iterator[DropboxServer]:
    with DropboxServer() as server:
        yield server


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[BaseException | None]]:
    ends: list[BaseException | None] = []

    def run() -> None:
        try:
            action()
        except BaseException as exc:
            ends.append(exc)
        else:
            ends.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ends


def ended(thread: threading.Thread, ends: list[BaseException | None]) -> BaseException | None:
    thread.join(20)
    assert not thread.is_alive()
    return ends[0]


def signed_in(server: DropboxServer, **options: Any) -> SignIn:
    person = Person()
    signin = open_sign_in(server, on_url=person, **options)
    thread, ends = in_thread(signin.sign_in)
    press(person.page())
    assert ended(thread, ends) is None
    return signin


# --- an attempt


def test_a_person_allows_it(server: DropboxServer) -> None:
    """The browser shows the success, the token works, and the page's URL contains no secret."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    assert not signin.signed_in
    thread, ends = in_thread(signin.sign_in)
    url = person.page()
    shown = press(url)
    assert (shown.status_code, "Signed in" in shown.text) == (200, True)
    assert shown.headers["Cache-Control"] == "no-store"
    assert ended(thread, ends) is None
    assert server.authorization.visitor(signin()) is not None
    asked = parse_qs(urlsplit(url).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["token_access_type"] == ["offline"]
    assert "code_verifier" not in asked
    assert set(asked["scope"][0].split()) == {
        "files.content.read",
        "files.content.write",
        "files.metadata.read",
    }


def test_a_person_does_not_allow_it(server: DropboxServer) -> None:
    """The error says so, and the next attempt is a new one."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    thread, ends = in_thread(signin.sign_in)
    first = person.page()
    assert "Not signed in" in press(first, "deny").text
    exc = ended(thread, ends)
    assert isinstance(exc, SignInFailed)
    assert (exc.why, exc.retry_helps) == ("denied", True)
    thread, ends = in_thread(signin.sign_in)
    second = person.page()
    assert state_of(second) != state_of(first)
    press(second)
    assert ended(thread, ends) is None


def test_nobody_comes(server: DropboxServer) -> None:
    """After 180 seconds the attempt is over; a later answer is refused, and the port is free again."""
    now_s = [0.0]
    person = Person()
    signin = open_sign_in(server, on_url=person, clock=Clock(monotonic_s=lambda: now_s[0]))
    thread, ends = in_thread(signin.sign_in)
    url = person.page()
    now_s[0] = 179.9
    time.sleep(0.3)
    assert thread.is_alive()
    assert signin.attempt is not None
    assert signin.attempt.seconds_left == pytest.approx(0.1)
    now_s[0] = 180.0
    exc = ended(thread, ends)
    assert isinstance(exc, SignInTimeout)
    assert "3 minutes" in str(exc)
    assert exc.retry_helps
    time.sleep(0.3)
    with pytest.raises(requests.ConnectionError):
        press(url)
    assert not signin.signed_in


def test_an_answer_in_time_counts_though_its_redemption_takes_longer(server: DropboxServer) -> None:
    """The person has 180 seconds; the service may take longer to redeem the answer."""
    now_s = [0.0]
    person = Person()
    signin = open_sign_in(server, on_url=person, clock=Clock(monotonic_s=lambda: now_s[0]))
    server.fail("oauth2/token", Fault.somebody(lambda: now_s.__setitem__(0, 500.0)))
    thread, ends = in_thread(signin.sign_in)
    press(person.page())
    assert ended(thread, ends) is None


@pytest.mark.parametrize("how", ["cancel", "cancelled"])
def test_an_attempt_is_cancelled(server: DropboxServer, how: str) -> None:
    """By its owner, or by the caller that waits for it."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    stop = threading.Event()
    thread, ends = in_thread(lambda: signin.sign_in(cancelled=stop.is_set))
    person.page()
    assert signin.attempt is not None
    if how == "cancel":
        signin.attempt.cancel()
    else:
        stop.set()
    exc = ended(thread, ends)
    assert isinstance(exc, SignInFailed)
    assert exc.why == "cancelled"
    assert signin.attempt is None


@pytest.mark.parametrize("state", ["wrong", "", None])
def test_an_answer_to_another_question(server: DropboxServer, state: str | None) -> None:
    """It is not used and ends nothing: the attempt still waits for the person's own answer."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    thread, ends = in_thread(signin.sign_in)
    url = person.page()
    redirect_uri = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    query = {"code": "stolen"} | ({} if state is None else {"state": state})
    shown = requests.get(redirect_uri, params=query, timeout=5)
    assert (shown.status_code, "belongs to another sign-in" in shown.text) == (400, True)
    assert server.calls["oauth2/token"] == 0
    assert thread.is_alive()
    press(url)
    assert ended(thread, ends) is None


def test_only_one_answer_is_taken(server: DropboxServer) -> None:
    """A second answer with the right state is refused, and nothing is redeemed twice."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    thread, ends = in_thread(signin.sign_in)
    url = person.page()
    server.fail("oauth2/token", Fault.late(0.5))
    redirect_uri = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    first, first_ends = in_thread(lambda: press(url))
    while not server.calls["oauth2/token"]:
        time.sleep(0.01)
    again = {"code": "another", "state": state_of(url)}
    assert "was already answered" in requests.get(redirect_uri, params=again, timeout=5).text
    assert ended(first, first_ends) is None
    assert ended(thread, ends) is None
    time.sleep(0.3)
    with pytest.raises(requests.ConnectionError):
        requests.get(redirect_uri, params=again, timeout=5)
    assert server.calls["oauth2/token"] == 1


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/favicon.ico", {}),
        ("GET", "/other?code=x&state=STATE", {}),
        ("GET", "/?code=x&state=STATE", {"Host": "evil.example:80"}),
        ("GET", "/?code=x&state=STATE", {"Host": ""}),
        ("GET", "/?code=x&code=y&state=STATE", {}),
        ("HEAD", "/?code=x&state=STATE", {}),
        ("POST", "/", {"Content-Length": "99999999"}),
        ("POST", "/", {"Content-Length": "-1"}),
    ],
)
def test_other_requests_to_the_port(
    server: DropboxServer, method: str, path: str, headers: dict[str, str]
) -> None:
    """Icons, other paths, other host names, repeated parameters and endless forms are not answers."""
    signin = open_sign_in(server, on_url=None)
    attempt = signin.begin()
    assert attempt.redirect_uri is not None
    path = path.replace("STATE", state_of(attempt.url))
    prepared = requests.Request(method, f"{attempt.redirect_uri}{path}", headers=headers).prepare()
    prepared.headers.update(headers)
    with requests.Session() as session:
        answer = session.send(prepared, timeout=5)
    assert 400 <= answer.status_code < 600
    assert attempt.is_open
    assert server.calls["oauth2/token"] == 0
    attempt.cancel()


def test_an_answer_by_form(server: DropboxServer) -> None:
    """Services may post the answer, to keep it out of the browser's history."""
    signin = open_sign_in(server, on_url=None)
    attempt = signin.begin()
    page = requests.get(attempt.url, timeout=5).text
    question = page.partition('name="question" value="')[2].partition('"')[0]
    answer = requests.post(
        f"{server.url}/oauth2/authorize",
        data={"question": question, "answer": "allow"},
        timeout=5,
        allow_redirects=False,
    )
    fields = {key: value[0] for key, value in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
    assert attempt.redirect_uri is not None
    assert "Signed in" in requests.post(attempt.redirect_uri, data=fields, timeout=5).text
    attempt.wait()
    assert signin.signed_in


def test_a_connection_that_says_nothing_holds_up_nobody(server: DropboxServer) -> None:
    """Browsers open connections that they never use."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    thread, ends = in_thread(signin.sign_in)
    url = person.page()
    port = signin.server.redirect_ports[0]
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        press(url)
        assert ended(thread, ends) is None


def test_the_port_is_open_on_this_machine_alone(server: DropboxServer) -> None:
    """The port is bound to the loopback addresses only."""
    signin = open_sign_in(server, on_url=None)
    attempt = signin.begin()
    port = signin.server.redirect_ports[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address would be used
        outward = probe.getsockname()[0]
    if outward not in {"127.0.0.1", "0.0.0.0"}:
        with pytest.raises(OSError), socket.create_connection((outward, port), timeout=2):  # noqa: PT011
            pass
    attempt.cancel()


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_a_port_that_another_program_has_for_ipv6_alone(server: DropboxServer) -> None:
    """Many browsers ask ``[::1]`` first: another program there would get the code, so the port is not used."""
    with socket.socket(socket.AF_INET6) as taken:
        try:
            taken.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback address")
        taken.listen()
        busy = taken.getsockname()[1]
        free = free_port()
        for ports, expected in (([busy, free], free), ([busy], None)):
            authorization = DropboxAuthorization("key", redirect_ports=ports, endpoint=server.url)
            signin = SignIn(authorization, store=MemoryStore(), on_url=None)
            if expected is None:
                with pytest.raises(SignInFailed):
                    signin.begin()
                continue
            attempt = signin.begin()
            assert attempt.redirect_uri == f"http://localhost:{expected}"
            attempt.cancel()
        with socket.socket() as released:
            released.bind(("127.0.0.1", busy))  # it is not kept open


def test_a_machine_without_ipv6_signs_in(server: DropboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody can have the port for IPv6, and IPv4 is enough."""
    bind = socket.socket.bind

    def refuse(one: socket.socket, address: tuple[object, ...]) -> None:
        if one.family is socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        bind(one, address)

    monkeypatch.setattr(socket.socket, "bind", refuse)
    authorization = DropboxAuthorization("key", redirect_ports=[0], endpoint=server.url)
    attempt = SignIn(authorization, store=MemoryStore(), on_url=None).begin()
    assert attempt.redirect_uri.startswith("http://localhost:")
    attempt.cancel()


def test_a_port_that_is_in_use(server: DropboxServer) -> None:
    """The next registered port is used; if there is none, the error says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        free = free_port()
        for ports, succeeds in (([busy, free], True), ([busy], False)):
            authorization = DropboxAuthorization("key", redirect_ports=ports, endpoint=server.url)
            signin = SignIn(authorization, store=MemoryStore(), on_url=None)
            if succeeds:
                attempt = signin.begin()
                assert attempt.redirect_uri == f"http://localhost:{free}"
                attempt.cancel()
            else:
                with pytest.raises(SignInFailed) as caught:
                    signin.begin()
                assert caught.value.why == "unreachable"


def test_a_browser_that_can_not_be_opened(server: DropboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends at once, and the error says what else to do."""
    import webbrowser

    monkeypatch.setattr(webbrowser, "open", lambda _url: False)
    port = free_port()
    authorization = DropboxAuthorization("key", redirect_ports=[port], endpoint=server.url)
    signin = SignIn(authorization, store=MemoryStore())
    with pytest.raises(SignInFailed, match="paste"):
        signin.sign_in()
    assert signin.attempt is None


def test_two_that_wait_share_one_attempt(server: DropboxServer) -> None:
    """The person is asked once."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    first = in_thread(signin.sign_in)
    url = person.page()
    second = in_thread(signin.sign_in)
    time.sleep(0.1)
    press(url)
    assert ended(*first) is None
    assert ended(*second) is None
    assert person.count == 1


# --- pasting


def code_on(url: str) -> str:
    return press(url).text.partition('<code id="code">')[2].partition("<")[0]


def test_a_code_is_pasted(server: DropboxServer) -> None:
    """After a mistyped code the attempt goes on; the right one is accepted, with blanks around it."""
    signin = open_sign_in(server, on_url=None)
    attempt = signin.begin(paste=True)
    assert attempt.redirect_uri is None
    assert "redirect_uri" not in attempt.url
    for wrong in ("", "  ", "mistyped"):
        with pytest.raises(SignInFailed):
            attempt.paste(wrong)
        assert attempt.is_open
    attempt.paste(f"  {code_on(attempt.url)}\n")
    attempt.wait()
    assert signin.signed_in
    with pytest.raises(SignInFailed, match="over"):
        attempt.paste("again")


def test_an_address_is_pasted(server: DropboxServer) -> None:
    """The state of an address that another machine's browser could not open is checked, too."""
    signin = open_sign_in(server, on_url=None)
    attempt = signin.begin()
    page = requests.get(attempt.url, timeout=5).text
    question = page.partition('name="question" value="')[2].partition('"')[0]
    form = {"question": question, "answer": "allow"}
    answer = requests.post(f"{server.url}/oauth2/authorize", data=form, timeout=5, allow_redirects=False)
    address = answer.headers["Location"]
    with pytest.raises(SignInFailed, match="another sign-in"):
        attempt.paste(address.replace("state=", "state=x"))
    with pytest.raises(SignInFailed, match="no code"):
        attempt.paste(f"http://localhost/?state={state_of(attempt.url)}")
    attempt.paste(address)
    assert signin.signed_in


# --- tokens


def test_a_token_is_renewed_before_it_ends_and_when_it_is_refused(server: DropboxServer) -> None:
    """Otherwise the token is kept."""
    now_s = [0.0]
    server.authorization.token_life_s = 14400.0
    signin = signed_in(server, clock=Clock(monotonic_s=lambda: now_s[0]))
    first = signin()
    assert signin() == first
    now_s[0] = 14400 - 301
    assert signin() == first
    now_s[0] = 14400 - 299
    second = signin()
    assert second != first
    assert signin(force=True) != second
    assert server.calls["oauth2/token"] == 3


def test_many_threads_whose_token_was_refused_renew_it_once(server: DropboxServer) -> None:
    """The other threads wait for the one that renews."""
    signin = signed_in(server)
    before = server.calls["oauth2/token"]
    server.latency_s = 0.2
    barrier = threading.Barrier(12)
    tokens: set[str] = set()

    def run() -> None:
        barrier.wait()
        tokens.add(signin(force=True))

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 1
    assert server.calls["oauth2/token"] == before + 1


def test_the_next_run_need_not_ask(server: DropboxServer) -> None:
    """The store has the refresh token and nothing else; another account has another key."""
    store = MemoryStore()
    signed_in(server, store=store)
    assert len(store._secrets) == 1
    other = SignIn(DropboxAuthorization(server.app.key, endpoint=server.url), store=store, on_url=None)
    assert other.signed_in
    assert server.authorization.visitor(other()) is not None
    stranger = SignIn(other.server, store=store, account="DRK", on_url=None)
    assert not stranger.signed_in
    with pytest.raises(SignInNeeded) as caught:
        stranger()
    assert caught.value.why == "absent"
    with pytest.raises(SignInNeeded):
        stranger.sign_in()


def test_access_that_was_withdrawn(server: DropboxServer) -> None:
    """The error says what to do, and the useless token is forgotten."""
    store = MemoryStore()
    signin = signed_in(server, store=store)
    server.authorization.revoke_all()
    with pytest.raises(SignInNeeded, match="Connected apps") as caught:
        signin(force=True)
    assert caught.value.why == "revoked"
    assert store._secrets == {}
    assert not signin.signed_in
    with pytest.raises(SignInNeeded, match="intouch-import login dropbox"):
        signin()


def test_another_program_signs_in_meanwhile(server: DropboxServer) -> None:
    """Its newer token is loaded from the store."""
    store = MemoryStore()
    signin = signed_in(server, store=store)
    server.authorization.revoke_all()
    (key,) = store._secrets
    store.save(key, server.authorization.refresh_token(server.app))
    assert server.authorization.visitor(signin(force=True)) is not None


@pytest.mark.parametrize(
    ("why", "text"),
    [("wrong_app", "app key"), ("missing_scope", "files.content.write"), ("refused", "again")],
)
def test_what_is_refused_says_what_to_do(server: DropboxServer, why: str, text: str) -> None:
    """An unknown app, a missing permission, and a code that is not accepted."""
    person = Person()
    signin = open_sign_in(server, on_url=person)
    thread, ends = in_thread(signin.sign_in)
    url = person.page()
    match why:
        case "wrong_app":
            body = b'{"error": "invalid_client: Invalid client_id or client_secret"}'
            server.fail("oauth2/token", Fault(status=400, body=body))
        case "missing_scope":
            body = (
                b'{"access_token": "sl.x", "refresh_token": "r", "expires_in": 14400,'
                b' "scope": "files.content.read files.metadata.read"}'
            )
            server.fail(
                "oauth2/token", Fault(status=200, body=body, headers={"Content-Type": "application/json"})
            )
        case _:
            server.fail("oauth2/token", Fault(status=400, body=b'{"error": "invalid_grant"}'))
    press(url)
    exc = ended(thread, ends)
    assert isinstance(exc, SignInFailed)
    assert (exc.why, text in str(exc)) == (why, True)
    assert not signin.signed_in


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.lost(), SourceUnavailable),
        (Fault.unavailable(), SourceUnavailable),
        (Fault.html(), SourceUnavailable),
        (Fault(status=200, body=b"[]", headers={"Content-Type": "application/json"}), SourceUnavailable),
        (Fault(status=200, body=b"{}", headers={"Content-Type": "application/json"}), SourceUnavailable),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:9/"}), SourceUnavailable),
        (Fault.throttled(5), Throttled),
    ],
)
def test_a_sign_in_server_that_fails(server: DropboxServer, fault: Fault, kind: type[Exception]) -> None:
    """Nothing is forgotten: the next renewal succeeds."""
    signin = signed_in(server)
    server.fail("oauth2/token", fault)
    with pytest.raises(kind):
        signin(force=True)
    assert server.authorization.visitor(signin(force=True)) is not None


def test_signing_out(server: DropboxServer) -> None:
    """Whichever token is there is forgotten here and revoked at the service; then nobody is signed in."""
    for restarted in (False, True):
        store = MemoryStore()
        signin = signed_in(server, store=store)
        token = signin()
        if restarted:
            signin = SignIn(signin.server, store=store, on_url=None)
        signin.sign_out()
        assert store._secrets == {}
        assert not signin.signed_in
        assert server.authorization.visitor(token) == "invalid_access_token"
        signin.sign_out()
    assert server.calls["auth/token/revoke"] == 2


def test_signing_out_without_a_connection(server: DropboxServer) -> None:
    """The token is forgotten here, and the error says where else to withdraw the access."""
    signin = signed_in(server)
    server.fail("auth/token/revoke", Fault.unavailable())
    with pytest.raises(SourceUnavailable, match="withdraw"):
        signin.sign_out()
    assert not signin.signed_in


def test_an_app_with_a_secret(server: DropboxServer) -> None:
    """The secret is sent if there is one; a wrong one is reported."""
    for secret, succeeds in ((server.app.secret, True), ("wrong", False)):
        refresh = server.authorization.refresh_token(server.app)
        authorization = DropboxAuthorization(server.app.key, app_secret=secret, endpoint=server.url)
        if succeeds:
            assert authorization.renew(refresh).access_token
        else:
            with pytest.raises(SignInFailed, match="secret"):
                authorization.renew(refresh)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"app_key": ""}, "app key"),
        ({"app_key": "a b"}, "app key"),
        ({"endpoint": "http://dropbox.example"}, "https"),
        ({"endpoint": "ftp://127.0.0.1"}, "URL"),
        ({"endpoint": "https://user:pass@dropbox.example"}, "URL"),
        ({"endpoint": "http://[::1"}, "URL"),
        ({"endpoint": "nonsense"}, "URL"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, str], text: str) -> None:
    """They are refused before any request."""
    key = options.pop("app_key", "key")
    with pytest.raises(ConfigError, match=text):
        DropboxAuthorization(key, **options)


def test_nothing_shows_or_keeps_a_token(server: DropboxServer) -> None:
    """No repr contains a token, and objects that hold one can't be pickled."""
    signin = signed_in(server)
    token = signin()
    attempt = open_sign_in(server, on_url=None).begin()
    for thing in (signin, signin.server, signin._grant, signin._store, attempt, attempt._request):
        assert token not in repr(thing)
        assert "verifier" not in repr(thing)
    for thing in (signin, signin._grant, signin._store, attempt, attempt._request):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    attempt.cancel()
    assert attrs.asdict(attempt._request, recurse=False)["state"]
