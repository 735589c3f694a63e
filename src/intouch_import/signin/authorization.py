"""`TokenProvider`, which a source needs, and `AuthorizationServer`, which a vendor implements."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

import attrs

from intouch_import.errors import SignInFailed
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AuthorizationRequest", "AuthorizationServer", "Grant", "TokenProvider"]


class TokenProvider(Protocol):
    """A callable that returns an access token. It must be thread-safe.

    Pass any such callable as ``signin=`` if your program has its own identity; a `SignIn` is one.
    It must not wait for a person: it is called while files are listed and moved.
    """

    def __call__(self, force: bool = False) -> str:  # noqa: FBT001, FBT002  # a signature that is easy to write
        """Return an access token that the service accepts now.

        Args:
            force: The last token was refused (HTTP 401): get a new one, whatever its age.

        Raises:
            SignInNeeded: A person must sign in first.
            SignInFailed: It can't succeed with the present setup.
            SourceError: The service could not be reached.
        """


class Grant:
    """The tokens that a service returned.

    This is not an attrs class, because ``attrs.asdict`` would expose the tokens.

    Args:
        access_token: The token for requests.
        expires_in_s: Lifetime of the access token, seconds from now; None if the service did not say.
        refresh_token: The token to renew the access token with, which a `TokenStore` keeps; None if the
            service returned no new one and the old one is still valid.
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

    __reduce__ = refuse_to_pickle


@attrs.frozen(kw_only=True, repr=False)
class AuthorizationRequest:
    """A request to a person: may this app use your drive?

    Args:
        url: The page to open in a browser.
        state: The unguessable value that the redirect must bring back.
        redirect_uri: Where the browser is sent with the answer; None if the service shows a code to paste.
        verifier: What `AuthorizationServer.redeem` needs later: the PKCE code verifier, or the object that a
            vendor's library wants back. Secret.
    """

    url: str
    state: str
    redirect_uri: str | None
    verifier: Any

    def __repr__(self) -> str:
        return "<AuthorizationRequest>"

    __reduce__ = refuse_to_pickle


class AuthorizationServer(abc.ABC):
    """The OAuth 2.0 server of one vendor, for one registered app. Each vendor has a subclass.

    An instance keeps the app's id and secret, and no tokens. Its methods may block for some seconds and must
    be thread-safe. A `SignIn` makes one call of `redeem` or `renew` at a time.
    """

    service: ClassVar[str]
    """Name of the location in URLs and logs: ``"dropbox"``, ``"onedrive"``."""

    title: ClassVar[str]
    """Name of the service in messages: ``"Dropbox"``."""

    client_id: str
    """The app's public id (app key, application id)."""

    redirect_ports: Sequence[int] = (0,)
    """Ports for the loopback redirect, in order of preference; 0 means any free port. A vendor that compares
    redirect URIs exactly needs the ports that are registered."""

    @abc.abstractmethod
    def authorization_request(self, redirect_uri: str | None) -> AuthorizationRequest:
        """Create a request with its own state and PKCE verifier.

        Args:
            redirect_uri: ``http://localhost:PORT``; None if a person will paste a code.
        """

    @abc.abstractmethod
    def redeem(self, request: AuthorizationRequest, response: Mapping[str, str]) -> Grant:
        """Exchange the answer of a person for tokens.

        Args:
            request: The request that was answered; `SignIn` has already compared its ``state``.
            response: The parameters of the redirect, with a ``code`` and no ``error``. They have no
                ``state`` if a person pasted the code alone.

        Raises:
            SignInFailed: The service refused: the code was already used, the app is unknown, a scope is
                missing.
            SourceError: The service could not be reached.
        """

    @abc.abstractmethod
    def renew(self, refresh_token: str) -> Grant:
        """Get a new access token.

        Raises:
            SignInNeeded: The refresh token was revoked or has expired (``why``).
            SignInFailed: The service refused the app itself.
            SourceError: The service could not be reached; the refresh token may still be valid.
        """

    def revoke(self, grant: Grant) -> None:
        """Revoke tokens at the service, if it has a call for that.

        Raises:
            SourceError: The service could not be reached.
        """

    def refuse(self, error: str) -> NoReturn:
        """Raise the error for a redirect that brought an ``error`` instead of a code.

        Args:
            error: The error code of RFC 6749, section 4.1.2.1, without its description, which is text from
                outside.

        Raises:
            SignInFailed: Always.
        """
        if error == "access_denied":
            raise SignInFailed(
                f"the person at the browser did not allow access to {self.title}: refresh to ask again",
                why="denied",
                retry_helps=True,
            )
        raise SignInFailed(f"{self.title} refused the sign-in: check the app's registration", why="wrong_app")
