"""`SignIn`: a token provider that asks a person to sign in."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import webbrowser
from typing import TYPE_CHECKING

from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.errors import SignInFailed, SignInNeeded, SourceError
from intouch_import.forks import ForkSafeLock
from intouch_import.secret import refuse_to_pickle
from intouch_import.signin.attempt import SignInAttempt
from intouch_import.signin.loopback import Loopback
from intouch_import.signin.store import default_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.signin.authorization import AuthorizationServer, Grant
    from intouch_import.signin.store import TokenStore

__all__ = ["SignIn", "open_in_browser"]

log = logging.getLogger(__name__)

_TIMEOUT_S = 180.0  # three minutes, as in the reference product
_MARGIN_S = 300.0


def open_in_browser(url: str) -> None:
    """Open a page in the browser of the person at this machine.

    Args:
        url: The page. Other users can read it in the list of processes, so it must not contain a token or a
            secret. A state and a PKCE challenge are allowed.

    Raises:
        SignInFailed: This machine has no browser, or it does not start.
    """
    opened = False
    with contextlib.suppress(webbrowser.Error):
        opened = webbrowser.open(url)
    if not opened:
        raise SignInFailed(
            "no browser can be opened on this machine: sign in on the command line and paste the code",
            why="unreachable",
        )


class SignIn:
    """A token provider for one account of one service. Thread-safe.

    Called as a `TokenProvider`, it never waits for a person: it renews the token silently, or raises
    `SignInNeeded`. `sign_in` waits for a person. `Inbox.refresh` calls `sign_in` after the other locations
    were imported. All threads share one attempt and one renewal.

    Args:
        server: The authorization server of the service, for the app that the practice registered.
        account: Your own id for the account (a provider's id), which becomes part of the key in the store.
            It is not the address or the name of the account at the service.
        store: Where the refresh token is kept; by default `default_store`.
        on_url: Shows the page to the person; called once for each attempt, in the thread that started it. The
            default opens the browser of this machine. Pass None if you call `begin` yourself: then `sign_in`
            does not wait, and a refresh reports that somebody must sign in.
        timeout_s: Time that a person has, seconds.
        clock: The clock for this timeout and for the age of tokens; a test passes its own.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        account: str = "",
        store: TokenStore | None = None,
        on_url: Callable[[str], object] | None = open_in_browser,
        timeout_s: float = _TIMEOUT_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.server = server
        self.account = account
        self.timeout_s = timeout_s
        self._key = f"{server.service}/{server.client_id}/{account}"
        self._store = store if store is not None else default_store()
        self._on_url = on_url
        self._clock = clock
        self._lock = ForkSafeLock(threading.RLock)  # held while one thread renews the token for all
        self._begin_lock = ForkSafeLock()
        self._attempt: SignInAttempt | None = None
        self._grant: Grant | None = None
        self._stale_at_s = math.inf
        self._refresh_token: str | None = None
        self._renewals = 0
        self._kept = True

    def __call__(self, force: bool = False) -> str:  # noqa: FBT001, FBT002  # see `TokenProvider`
        seen = self._renewals
        with self._lock:
            fresh = self._renewals != seen if force else self._clock.monotonic_s() < self._stale_at_s
            if self._grant is not None and fresh:
                return self._grant.access_token
            return self._renew().access_token

    @property
    def signed_in(self) -> bool:
        """Whether somebody is signed in, as far as is known without asking the service."""
        with self._lock:
            return self._grant is not None or self._known_refresh_token() is not None

    @property
    def is_kept(self) -> bool:
        """Whether the store kept the sign-in, so that the next run need not ask again."""
        return self._kept

    @property
    def attempt(self) -> SignInAttempt | None:
        """The open attempt; None if there is none."""
        attempt = self._attempt
        return attempt if attempt is not None and attempt.is_open else None

    def begin(self, *, paste: bool = False) -> SignInAttempt:
        """Start an attempt without waiting for its end, or return the open one.

        Args:
            paste: Let the service show a code to copy, instead of sending the browser to this machine.

        Raises:
            SignInFailed: This machine can't receive the redirect, or ``on_url`` could not show the page.
            SourceError: The service could not be reached.
        """
        with self._begin_lock:
            attempt = self.attempt
            if attempt is not None and (attempt.redirect_uri is None) == paste:
                return attempt
            if attempt is not None:
                attempt.cancel()
            attempt = self._attempt = self._start(paste=paste)
        if self._on_url is not None:
            try:
                self._on_url(attempt.url)
            except BaseException:
                attempt.cancel()
                raise
        return attempt

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Ask a person to sign in and wait for them, at most ``timeout_s``.

        Args:
            cancelled: Called several times a second; returns True to cancel the attempt.

        Raises:
            SignInNeeded: The page can't be shown to anybody (``on_url`` is None).
            SignInTimeout: Nobody signed in in time; the next call starts a new attempt.
            SignInFailed: The person refused, the attempt was cancelled, or the service refused.
            SourceError: The service could not be reached.
        """
        if self._on_url is None:
            raise self._needed()
        try:
            self.begin().wait(cancelled=cancelled)
        except SourceError as exc:
            kind, why = type(exc).__name__, getattr(exc, "why", None)
            log.warning("nobody signed in", extra={"service": self.server.service, "kind": kind, "why": why})
            raise

    def sign_out(self) -> None:
        """Forget the tokens, then revoke them at the service.

        Raises:
            SourceError: The tokens are forgotten here, but the service could not be reached.
        """
        with self._lock:
            grant = self._grant
            token = self._known_refresh_token()
            self._store.forget(self._key)
            self._grant = self._refresh_token = None
            if grant is None and token is not None:
                grant = self.server.renew(token)
            if grant is not None:
                self.server.revoke(grant)

    def _start(self, *, paste: bool) -> SignInAttempt:
        loopback = None if paste else Loopback(self.server.redirect_ports)
        try:
            request = self.server.authorization_request(None if loopback is None else loopback.redirect_uri)
        except BaseException:
            if loopback is not None:
                loopback.close()
            raise
        attempt = SignInAttempt(
            request,
            server=self.server,
            accept=self._accept,
            timeout_s=self.timeout_s,
            clock=self._clock,
        )
        if loopback is not None:
            loopback.serve(attempt)
        return attempt

    def _accept(self, grant: Grant) -> None:
        with self._lock:
            self._grant = grant
            self._renewals += 1
            life_s = grant.expires_in_s
            # Renew a little early: a token that expires on its way to the service is refused there.
            self._stale_at_s = math.inf
            if life_s is not None:
                self._stale_at_s = self._clock.monotonic_s() + life_s - min(_MARGIN_S, life_s / 10)
            log.info("signed in, or token renewed", extra={"service": self.server.service, "seconds": life_s})
            if grant.refresh_token is not None and grant.refresh_token != self._refresh_token:
                self._refresh_token = grant.refresh_token
                self._kept = self._store.save(self._key, grant.refresh_token)

    def _known_refresh_token(self) -> str | None:
        if self._refresh_token is None:
            self._refresh_token = self._store.load(self._key)
        return self._refresh_token

    def _renew(self) -> Grant:
        token = self._known_refresh_token()
        if token is None:
            self._grant = None
            raise self._needed()
        try:
            grant = self.server.renew(token)
        except SignInNeeded as exc:
            log.warning("a sign-in has ended", extra={"service": self.server.service, "why": exc.why})
            self._grant = self._refresh_token = None
            newer = self._store.load(self._key)
            if newer is None or newer == token:
                self._store.forget(self._key)
                raise
            # Another program of this user has signed in since.
            self._refresh_token = newer
            grant = self.server.renew(newer)
        self._accept(grant)
        return grant

    def _needed(self) -> SignInNeeded:
        return SignInNeeded(
            f"nobody is signed in to {self.server.title}: sign in in the browser, "
            f"or with `intouch-import login {self.server.service}`"
        )

    def __repr__(self) -> str:
        return f"<SignIn {self.server.service}{'' if self._grant is None else ' signed in'}>"

    __reduce__ = refuse_to_pickle
