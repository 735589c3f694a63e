"""Sign in to a cloud drive, and renew its access tokens.

::

    TokenProvider                 a callable that returns an access token: all that a source needs
    └── SignIn                    a token provider that asks a person to sign in, and renews the token
        ├── AuthorizationServer   the OAuth 2.0 server of a vendor (Dropbox, Microsoft)
        ├── SignInAttempt         one attempt of a person to sign in; it times out after 180 s
        └── TokenStore            keeps the refresh token between two runs

The terms are those of RFC 6749 (OAuth 2.0), RFC 7636 (PKCE) and RFC 8252 (native apps).
"""

from intouch_import.signin.attempt import SignInAttempt
from intouch_import.signin.authorization import TokenProvider
from intouch_import.signin.sign_in import SignIn
from intouch_import.signin.store import TokenStore

__all__ = ["SignIn", "SignInAttempt", "TokenProvider", "TokenStore"]
