"""`SignInAttempt`: one attempt of a person to sign in."""

from __future__ import annotations

import contextlib
import hmac
import os
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from intouch_import.errors import InTouchImportError, SignInFailed, SignInTimeout, SourceUnavailable
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from intouch_import.clock import Clock
    from intouch_import.signin.authorization import AuthorizationRequest, AuthorizationServer, Grant

__all__ = ["SignInAttempt", "WrongState"]

_LOOK_EVERY_S = 0.1
_LAST_PAGE_S = 2.0


class WrongState(SignInFailed):
    """The answer belongs to another sign-in. It is ignored, and the attempt keeps waiting."""


class SignInAttempt:
    """A request to a person that is open until it is answered, cancelled or times out. Thread-safe.

    `SignIn.begin` creates it. A program without a browser shows `url` to the person. Then the loopback
    redirect brings the answer, or the program passes what the person copied to `paste`.

    Args:
        request: The request.
        server: The server that answers it.
        accept: Called with the tokens.
        timeout_s: Time that the person has, seconds.
        clock: The clock.
    """

    def __init__(
        self,
        request: AuthorizationRequest,
        *,
        server: AuthorizationServer,
        accept: Callable[[Grant], None],
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self._request = request
        self._server = server
        self._accept = accept
        self._clock = clock
        self._deadline_s = clock.monotonic_s() + timeout_s
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._redeeming = False
        self._ended = threading.Event()
        self._answering = 0  # browsers that do not have their page yet
        self._page_sent = threading.Condition()
        self._failure: InTouchImportError | None = None

    @property
    def url(self) -> str:
        """The page to open in a browser. It contains no secret."""
        return self._request.url

    @property
    def redirect_uri(self) -> str | None:
        """Where the answer is received; None if the person pastes a code."""
        return self._request.redirect_uri

    @property
    def seconds_left(self) -> float:
        """Time that the person still has, seconds; 0 once the attempt is over."""
        return 0.0 if self._ended.is_set() else max(0.0, self._deadline_s - self._clock.monotonic_s())

    @property
    def is_open(self) -> bool:
        """Whether the attempt still waits for an answer. Ends the attempt if its time is up.

        In a forked child, the attempt is over: the parent waits for the answer.
        """
        if self._pid != os.getpid():
            return False
        with self._lock:
            # An answer that arrived in time is redeemed, however long the service takes.
            if (
                not (self._redeeming or self._ended.is_set())
                and self._clock.monotonic_s() >= self._deadline_s
            ):
                self._failure = SignInTimeout(
                    f"nobody signed in to {self._server.title} within {self._timeout_s / 60:g} minutes: "
                    "refresh to try again"
                )
                self._ended.set()
            return not self._ended.is_set()

    def wait(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait until the attempt is over.

        Args:
            cancelled: Called several times a second; returns True to cancel the attempt.

        Raises:
            SignInTimeout: The time is up.
            SignInFailed: The person refused, the attempt was cancelled, or the service refused.
            SourceError: The service could not be reached.
        """
        while self.is_open:
            if cancelled():
                self.cancel()
            self._ended.wait(_LOOK_EVERY_S)
        # If the program ended now, the browser would not get its last page.
        with self._page_sent:
            self._page_sent.wait_for(lambda: not self._answering, _LAST_PAGE_S)
        if self._failure is not None:
            raise self._failure

    def cancel(self) -> None:
        """Cancel the attempt. An answer that is being redeemed at this moment still counts."""
        with self._lock:
            if not self._redeeming and not self._ended.is_set():
                self._failure = SignInFailed("the sign-in was cancelled", why="cancelled", retry_helps=True)
                self._ended.set()

    def paste(self, text: str) -> None:
        """Take what the person copied: a code, or the whole address that the browser was sent to.

        The service shows a code if it was given no redirect. A person copies an address if the browser runs
        on another machine and can't open it. If the service refuses the code, the attempt stays open, because
        the code may be mistyped.

        Raises:
            WrongState: The address belongs to another sign-in.
            SignInFailed: The text has no code, the service refused it, or the attempt is over.
            SourceError: The service could not be reached.
        """
        text = text.strip()
        if "://" in text:
            response = dict(parse_qsl(urlsplit(text).query))
            self._check_state(response)
        else:
            response = {"code": text}
        if not response.get("code") and "error" not in response:
            raise SignInFailed("there is no code in the pasted text", retry_helps=True)
        self._take(response, fatal=False)

    def receive(self, response: Mapping[str, str]) -> None:
        """Take the parameters of a redirect. Only the first redirect with the right state counts.

        Raises:
            WrongState: The redirect belongs to another sign-in and was ignored.
            SignInFailed, SourceError: As in `wait`.
        """
        self._check_state(response)
        self._take(response, fatal=True)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Let `wait` wait briefly until the browser has its page. Use it around an answer to a browser."""
        with self._page_sent:
            self._answering += 1
        try:
            yield
        finally:
            with self._page_sent:
                self._answering -= 1
                self._page_sent.notify_all()

    def _check_state(self, response: Mapping[str, str]) -> None:
        # Without this check a web page could sign this machine in to somebody else's drive.
        if not hmac.compare_digest(response.get("state", "").encode(), self._request.state.encode()):
            raise WrongState("that answer belongs to another sign-in and was not used", retry_helps=True)

    def _take(self, response: Mapping[str, str], *, fatal: bool) -> None:
        if not self.is_open:
            raise SignInFailed("this sign-in is over: start a new one", retry_helps=True)
        with self._lock:
            if self._redeeming or self._ended.is_set():
                raise SignInFailed("this sign-in was already answered", retry_helps=True)
            self._redeeming = True
        failure: InTouchImportError | None = None
        try:
            self._accept(self._granted(response))
        except InTouchImportError as exc:
            failure = exc
            raise
        except Exception:  # noqa: BLE001  # a vendor's library may raise anything, with anything in its text
            failure = SourceUnavailable(f"the answer of {self._server.title} was not understood")
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
            raise SignInFailed(f"the answer of {self._server.title} has no code", retry_helps=True)
        return self._server.redeem(self._request, response)

    def __repr__(self) -> str:
        return f"<SignInAttempt {self._server.service} {'open' if self.is_open else 'over'}>"

    __reduce__ = refuse_to_pickle
