"""What a vendor's OAuth 2.0 server wants and gives, and what a source needs of it."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

import attrs

from intouch_import.errors import SignInFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AuthorizationRequest", "AuthorizationServer", "Grant", "TokenProvider", "refuse_to_pickle"]


class TokenProvider(Protocol):
    """Gives an access token that the service accepts now. Called from several threads.

    A host with an identity of its own passes any such callable as ``signin=``; a `SignIn` is one.
    It never waits for a person: inside a listing or a move nobody should.
    """

    def __call__(self, force: bool = False) -> str:  # noqa: FBT001, FBT002  # the shape that hosts write
        """An access token.

        Args:
            force: The last one was refused (HTTP 401): get a new one, whatever its age.

        Raises:
            SignInNeeded: A person must sign in first.
            SignInFailed: It can't succeed as it is set up.
            SourceError: The service was not reached.
        """


def refuse_to_pickle(thing: object) -> NoReturn:
    """What ``__reduce__`` of a thing with secrets does.

    Raises:
        TypeError: Always. A pickle is a file, a message to a worker or a cache entry: no place for tokens.
    """
    raise TypeError(
        f"a {type(thing).__name__} holds secrets and is not pickled: open it anew where it is needed"
    )


class Grant:
    """What a service gave: an access token, and a refresh token to get the next one with.

    Not an attrs class, whose ``asdict`` would hand the tokens to whoever asks; not to be pickled.

    Args:
        access_token: For requests.
        expires_in_s: How long it lives, seconds from now; None if the service did not say.
        refresh_token: What to renew it with, and all that a `TokenStore` keeps; None if the service gave no
            new one, and the old one goes on.
        scopes: The permissions that were granted; None if the service did not say.
    """

    __slots__ = ("access_token", "expires_in_s", "refresh_token", "scopes")

    def __init__(
        self,
        *,
        access_token: str,
        expires_in_s: float | None = None,
        refresh_token: str | None = None,
        scopes: frozenset[str] | None = None,
    ) -> None:
        self.access_token = access_token
        self.expires_in_s = expires_in_s
        self.refresh_token = refresh_token
        self.scopes = scopes

    def __repr__(self) -> str:
        return "<Grant>"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


@attrs.frozen(kw_only=True, repr=False)
class AuthorizationRequest:
    """One question to a person: may this app use your drive?

    Args:
        url: The page that asks, to be opened in a browser.
        state: What the redirect must bring back; unguessable.
        redirect_uri: Where the browser is sent with the answer; None if the service shows a code to paste.
        verifier: What `AuthorizationServer.redeem` needs later and nobody else may see: the PKCE code
            verifier, or whatever a vendor's library wants back.
    """

    url: str
    state: str
    redirect_uri: str | None
    verifier: Any

    def __repr__(self) -> str:
        return "<AuthorizationRequest>"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


class AuthorizationServer(abc.ABC):
    """The OAuth 2.0 server of one vendor, as one registered app sees it. One subclass a vendor.

    It holds the app's id and secret and no token of anybody. Its methods block, for some seconds at most,
    and may be called from several threads, though a `SignIn` calls `redeem` and `renew` one at a time.
    """

    service: ClassVar[str]
    """The location's name, as in URLs and logs: ``"dropbox"``, ``"onedrive"``."""

    title: ClassVar[str]
    """What people call it: ``"Dropbox"``."""

    client_id: str
    """The app's public id (app key, application id)."""

    redirect_ports: Sequence[int] = (0,)
    """Ports for the loopback redirect, in order of preference; 0 is any free one. A vendor that compares
    redirect URIs to the letter needs those that are registered."""

    @abc.abstractmethod
    def authorization_request(self, redirect_uri: str | None) -> AuthorizationRequest:
        """Make a new question, with a state and a PKCE verifier of its own.

        Args:
            redirect_uri: ``http://localhost:PORT``; None where a person will paste a code.
        """

    @abc.abstractmethod
    def redeem(self, request: AuthorizationRequest, response: Mapping[str, str]) -> Grant:
        """Exchange the answer of a person for tokens.

        Args:
            request: The question; `SignIn` has compared its ``state`` already.
            response: The parameters of the redirect, ``code`` among them and no ``error``. A code that was
                pasted bare comes without ``state``.

        Raises:
            SignInFailed: The service refuses: the code is used up, the app is not known, a scope is missing.
            SourceError: The service was not reached.
        """

    @abc.abstractmethod
    def renew(self, refresh_token: str) -> Grant:
        """Get a new access token.

        Raises:
            SignInNeeded: The refresh token was revoked or has expired (``why``).
            SignInFailed: The app itself is refused.
            SourceError: The service was not reached; the refresh token may be as good as before.
        """

    def revoke(self, grant: Grant) -> None:
        """Tell the service that these tokens are not used any more, where it has a call for that.

        Raises:
            SourceError: It could not be told.
        """

    def refuse(self, error: str) -> NoReturn:
        """The redirect brought an ``error`` instead of a code: say what it means.

        Args:
            error: The error code of RFC 6749, section 4.1.2.1. Its description is not given here, since it
                is text from outside.

        Raises:
            SignInFailed: Always.
        """
        if error == "access_denied":
            raise SignInFailed(
                f"the person at the browser did not allow access to {self.title}: refresh to ask again",
                why="denied",
                retry_helps=True,
            )
        raise SignInFailed(
            f"{self.title} refused the sign-in: check how the app is registered", why="wrong_app"
        )
