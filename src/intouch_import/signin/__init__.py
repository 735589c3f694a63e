"""Signing in to a cloud drive: who may read it, and how a person says so in a browser.

::

    TokenProvider          a callable that gives an access token; all that a source needs
    └── SignIn             one, with a person behind it: attempt, loopback redirect, renewal
        ├── AuthorizationServer   what a vendor's OAuth 2.0 server wants (Dropbox, Microsoft)
        ├── SignInAttempt         one attempt of a person, 180 s
        └── TokenStore            where the refresh token is kept between two runs

The words are those of RFC 6749 (OAuth 2.0), RFC 7636 (PKCE) and RFC 8252 (native apps).
"""

from intouch_import.signin.attempt import SignInAttempt
from intouch_import.signin.authorization import TokenProvider
from intouch_import.signin.sign_in import SignIn
from intouch_import.signin.store import TokenStore

__all__ = ["SignIn", "SignInAttempt", "TokenProvider", "TokenStore"]
