"""One attempt of a person to sign in: 180 seconds, one answer, state checked."""

from __future__ import annotations

import contextlib
import hmac
import threading
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, urlsplit

from intouch_import.errors import InTouchImportError, SignInFailed, SignInTimeout, SourceUnavailable
from intouch_import.signin.authorization import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from intouch_import.signin.authorization import AuthorizationRequest, AuthorizationServer, Grant

__all__ = ["SignInAttempt", "WrongState"]

_LOOK_EVERY_S = 0.1
_LAST_PAGE_S = 2.0


class WrongState(SignInFailed):
    """An answer to another question. It is not used, and the attempt goes on waiting for its own."""


class SignInAttempt:
    """A question that was put to a person, until it is answered, cancelled or too old.

    Made by `SignIn.begin`. A host without a console shows `url`, and either lets the loopback redirect do the
    rest or passes what the person copied to `paste`. Every method may be called from any thread.

    Args:
        request: The question.
        server: Whose it is.
        accept: Takes the tokens.
        timeout_s: How long the person has, seconds.
        monotonic_s: The clock that this is measured by.
    """

    def __init__(
        self,
        request: AuthorizationRequest,
        *,
        server: AuthorizationServer,
        accept: Callable[[Grant], None],
        timeout_s: float,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._request = request
        self._server = server
        self._accept = accept
        self._monotonic_s = monotonic_s
        self._deadline_s = monotonic_s() + timeout_s
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._redeeming = False
        self._ended = threading.Event()
        self._answering = 0
        self._answered = threading.Event()
        self._answered.set()
        self._failure: InTouchImportError | None = None

    @property
    def url(self) -> str:
        """The page to open in a browser. It holds no secret."""
        return self._request.url

    @property
    def redirect_uri(self) -> str | None:
        """Where the answer is received; None if the person is to paste a code."""
        return self._request.redirect_uri

    @property
    def seconds_left(self) -> float:
        """How long the person still has, seconds; 0 once it is over."""
        return 0.0 if self._ended.is_set() else max(0.0, self._deadline_s - self._monotonic_s())

    @property
    def is_open(self) -> bool:
        """Whether an answer is still waited for. Asking notices that time is up."""
        with self._lock:
            # An answer that came in time may take as long as the service takes to redeem it.
            late = not self._redeeming and self._monotonic_s() >= self._deadline_s
            if late and not self._ended.is_set():
                self._failure = SignInTimeout(
                    f"nobody signed in to {self._server.title} within {self._timeout_s / 60:g} minutes: "
                    "refresh to try again"
                )
                self._ended.set()
            return not self._ended.is_set()

    def wait(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait for the end.

        Args:
            cancelled: Asked now and then; once True, the attempt is cancelled.

        Raises:
            SignInTimeout: Time is up.
            SignInFailed: The person did not allow it, it was cancelled, or the service refused.
            SourceError: The service was not reached.
        """
        while self.is_open:
            if cancelled():
                self.cancel()
            self._ended.wait(_LOOK_EVERY_S)
        # A program that ends now would leave the person's browser without its last page.
        self._answered.wait(_LAST_PAGE_S)
        if self._failure is not None:
            raise self._failure

    def cancel(self) -> None:
        """Give up. An answer that is being redeemed at this instant still counts."""
        with self._lock:
            if not self._redeeming and not self._ended.is_set():
                self._failure = SignInFailed("the sign-in was cancelled", why="cancelled", retry_helps=True)
                self._ended.set()

    def paste(self, text: str) -> None:
        """Take what the person copied: a code, or the whole address that the browser was sent to.

        The service shows a code where it was given no redirect; an address is copied where the browser runs
        on another machine and can't open it. A code that the service refuses ends nothing: it may be
        mistyped, and can be pasted again.

        Raises:
            WrongState: The address answers another question.
            SignInFailed: There is no code in it, the service refuses it, or the attempt is over.
            SourceError: The service was not reached.
        """
        text = text.strip()
        if "://" in text:
            response = dict(parse_qsl(urlsplit(text).query))
            self._check_state(response)
        else:
            response = {"code": text}
        if not response.get("code") and "error" not in response:
            raise SignInFailed("there is no code in what was pasted", retry_helps=True)
        self._take(response, fatal=False)

    def receive(self, response: Mapping[str, str]) -> None:
        """Take the parameters of a redirect. The first one with the right state is the only one.

        Raises:
            WrongState: It answers another question; nothing has happened.
            SignInFailed, SourceError: As `wait` raises it.
        """
        self._check_state(response)
        self._take(response, fatal=True)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Around an answer to a browser: who waits for the attempt waits for its end, a little."""
        with self._lock:
            self._answering += 1
            self._answered.clear()
        try:
            yield
        finally:
            with self._lock:
                self._answering -= 1
                if self._answering == 0:
                    self._answered.set()

    def _check_state(self, response: Mapping[str, str]) -> None:
        # Without this a page on the internet could sign this machine in to somebody else's drive.
        if not hmac.compare_digest(response.get("state", "").encode(), self._request.state.encode()):
            raise WrongState("that answer belongs to another sign-in and was not used", retry_helps=True)

    def _take(self, response: Mapping[str, str], *, fatal: bool) -> None:
        if not self.is_open:
            raise SignInFailed("this sign-in is over: begin a new one", retry_helps=True)
        with self._lock:
            if self._redeeming or self._ended.is_set():
                raise SignInFailed("this sign-in has its answer already", retry_helps=True)
            self._redeeming = True
        failure: InTouchImportError | None = None
        try:
            self._accept(self._granted(response))
        except InTouchImportError as exc:
            failure = exc
            raise
        except Exception:  # noqa: BLE001  # a vendor's library may raise anything, with anything in its text
            failure = SourceUnavailable(f"{self._server.title} gave an answer that was not understood")
            raise failure from None
        finally:
            with self._lock:
                self._redeeming = False
                if failure is None or fatal:
                    self._failure = failure
                    self._ended.set()

    def _granted(self, response: Mapping[str, str]) -> Grant:
        if "error" in response:
            self._server.refuse(response["error"])
        if not response.get("code"):
            raise SignInFailed(f"{self._server.title} sent an answer without a code", retry_helps=True)
        return self._server.redeem(self._request, response)

    def __repr__(self) -> str:
        return f"<SignInAttempt {self._server.service} {'open' if self.is_open else 'over'}>"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)
