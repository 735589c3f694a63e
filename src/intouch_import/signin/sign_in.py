"""`SignIn`: a token provider with a person behind it."""

from __future__ import annotations

import logging
import threading
import time
import webbrowser
from typing import TYPE_CHECKING, NoReturn

from intouch_import.errors import SignInFailed, SignInNeeded, SourceError
from intouch_import.signin.attempt import SignInAttempt
from intouch_import.signin.authorization import Grant, refuse_to_pickle
from intouch_import.signin.loopback import Loopback
from intouch_import.signin.store import TokenStore, default_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.signin.authorization import AuthorizationServer

__all__ = ["SignIn", "open_in_browser"]

log = logging.getLogger(__name__)

_TIMEOUT_S = 180.0  # three minutes, as the reference product allows
_MARGIN_S = 300.0


def open_in_browser(url: str) -> None:
    """Open a page in the person's own browser.

    Args:
        url: The page. It stands in the browser's process arguments: it may hold a state and a PKCE challenge,
            and never a token or a secret.

    Raises:
        SignInFailed: This machine has no browser, or none that can be started.
    """
    try:
        opened = webbrowser.open(url)
    except webbrowser.Error:
        opened = False
    if not opened:
        raise SignInFailed(
            "no browser can be opened on this machine: sign in on the command line and paste the code",
            why="unreachable",
        )


class SignIn:
    """Gives access tokens for one account of one service, and lets a person sign in where that is missing.

    As a `TokenProvider` it never waits for anybody: it renews silently, or raises `SignInNeeded`. Waiting is
    what `sign_in` does, and what `Inbox.refresh` calls it for, after the other locations were imported. Its
    methods may be called from several threads; they share one attempt and one renewal.

    Args:
        server: The service's authorization server, for the app that the practice registered.
        account: Whose sign-in it is, as the host tells them apart (a provider's id); part of the key in the
            store. Not the address or the name of the account at the service.
        store: Where the refresh token is kept; by default `default_store`.
        on_url: Shows the page to the person; called once an attempt, in the thread that began it. By default
            it opens the browser of this machine. None where the host drives `begin` itself: `sign_in` then
            does not wait, and a refresh reports that somebody must sign in.
        timeout_s: How long a person has, seconds.
        monotonic_s: The clock that this, and the age of tokens, is measured by.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        account: str = "",
        store: TokenStore | None = None,
        on_url: Callable[[str], object] | None = open_in_browser,
        timeout_s: float = _TIMEOUT_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server
        self.account = account
        self.timeout_s = timeout_s
        self._key = f"{server.service}/{server.client_id}/{account}"
        self._store = store if store is not None else default_store()
        self._on_url = on_url
        self._monotonic_s = monotonic_s
        self._lock = threading.RLock()  # held while tokens are renewed, by one thread for all
        self._begin_lock = threading.Lock()
        self._attempt: SignInAttempt | None = None
        self._grant: Grant | None = None
        self._stale_at_s: float | None = None
        self._refresh_token: str | None = None
        self._renewals = 0
        self._kept = True

    def __call__(self, force: bool = False) -> str:  # noqa: FBT001, FBT002  # see `TokenProvider`
        seen = self._renewals
        with self._lock:
            if self._grant is not None and (self._renewals != seen if force else not self._is_stale()):
                return self._grant.access_token
            return self._renew().access_token

    @property
    def signed_in(self) -> bool:
        """Whether somebody is, as far as can be told without asking the service."""
        with self._lock:
            return self._grant is not None or self._known_refresh_token() is not None

    @property
    def is_kept(self) -> bool:
        """Whether the store has kept the sign-in, so that the next run need not ask again."""
        return self._kept

    @property
    def attempt(self) -> SignInAttempt | None:
        """The attempt that is under way, if one is."""
        attempt = self._attempt
        return attempt if attempt is not None and attempt.is_open else None

    def begin(self, *, paste: bool = False) -> SignInAttempt:
        """Begin an attempt, without waiting for its end; the one that is under way, if one is.

        Args:
            paste: Let the service show a code to copy, instead of sending the browser to this machine.

        Raises:
            SignInFailed: The redirect can't be received here, or ``on_url`` could not show the page.
            SourceError: The service was not reached.
        """
        with self._begin_lock:
            under_way = self.attempt
            if under_way is not None and (under_way.redirect_uri is None) == paste:
                return under_way
            if under_way is not None:
                under_way.cancel()
            attempt = self._attempt = self._ask(paste=paste)
        if self._on_url is not None:
            try:
                self._on_url(attempt.url)
            except BaseException:
                attempt.cancel()
                raise
        return attempt

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Let a person sign in, and wait for it, ``timeout_s`` at most.

        Args:
            cancelled: Asked now and then; once True, the attempt is cancelled.

        Raises:
            SignInNeeded: There is nobody to show the page to (``on_url`` is None).
            SignInTimeout: Nobody did it in time; the next call begins a new attempt.
            SignInFailed: They did not allow it, it was cancelled, or the service refused.
            SourceError: The service was not reached.
        """
        if self._on_url is None:
            raise self._needed()
        try:
            self.begin().wait(cancelled=cancelled)
        except SourceError as exc:
            log.warning(
                "nobody signed in",
                extra={
                    "service": self.server.service,
                    "kind": type(exc).__name__,
                    "why": getattr(exc, "why", None),
                },
            )
            raise

    def sign_out(self) -> None:
        """Forget the tokens here, then tell the service.

        Raises:
            SourceError: They are forgotten here; the service could not be told.
        """
        with self._lock:
            grant = self._grant
            token = self._known_refresh_token()
            self._store.forget(self._key)
            self._grant = self._refresh_token = None
            if grant is None and token is None:
                return
            if grant is None:
                grant = self.server.renew(token or "")
            self.server.revoke(grant)

    def _ask(self, *, paste: bool) -> SignInAttempt:
        loopback = None if paste else Loopback(self.server.redirect_ports)
        try:
            request = self.server.authorization_request(
                loopback.redirect_uri if loopback is not None else None
            )
        except BaseException:
            if loopback is not None:
                loopback.close()
            raise
        attempt = SignInAttempt(
            request,
            server=self.server,
            accept=self._accept,
            timeout_s=self.timeout_s,
            monotonic_s=self._monotonic_s,
        )
        if loopback is not None:
            loopback.serve(attempt)
        return attempt

    def _accept(self, grant: Grant) -> None:
        with self._lock:
            self._grant = grant
            self._renewals += 1
            life_s = grant.expires_in_s
            # Renewed a little early: a token that ends on its way to the service is refused there.
            self._stale_at_s = (
                None if life_s is None else self._monotonic_s() + life_s - min(_MARGIN_S, life_s / 10)
            )
            log.info("signed in, or renewed", extra={"service": self.server.service, "seconds": life_s})
            if grant.refresh_token is not None and grant.refresh_token != self._refresh_token:
                self._refresh_token = grant.refresh_token
                self._kept = self._store.save(self._key, grant.refresh_token)

    def _is_stale(self) -> bool:
        return self._stale_at_s is not None and self._monotonic_s() >= self._stale_at_s

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
            log.warning("a sign-in is over", extra={"service": self.server.service, "why": exc.why})
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

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)
