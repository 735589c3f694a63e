"""``login`` and ``logout``, and the sign-in that other commands find in the store."""

from __future__ import annotations

import enum
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from intouch_import.cli import show
from intouch_import.errors import ConfigError
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from intouch_import.signin import SignIn
    from intouch_import.signin.authorization import AuthorizationServer
    from intouch_import.sources import Source

__all__ = ["add_to", "open_folder"]


class Service(enum.StrEnum):
    """Where a person can sign in."""

    DROPBOX = "dropbox"
    ONEDRIVE = "onedrive"


ServiceName = Annotated[
    Service, typer.Argument(help="Where to sign in: dropbox or onedrive.", metavar="SERVICE")
]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        help="The app's key or id, as it is registered; or INTOUCH_DROPBOX_APP, INTOUCH_ONEDRIVE_APP.",
    ),
]
Account = Annotated[
    str, typer.Option(envvar="INTOUCH_ACCOUNT", help="Whose sign-in it is, if there are several.")
]
Paste = Annotated[
    bool, typer.Option("--paste", help="Show an address to open anywhere, and ask for the code it gives.")
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="Another server than the vendor's; or INTOUCH_DROPBOX_ENDPOINT, INTOUCH_ONEDRIVE_ENDPOINT."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(login)
    app.command()(logout)


def login(
    service: ServiceName,
    app: App = None,
    account: Account = "",
    paste: Paste = False,
    endpoint: Endpoint = None,
) -> None:
    """Sign in to a cloud drive in the browser; other commands then find the sign-in by themselves."""
    signin = _sign_in(service, app=app, account=account, endpoint=endpoint, quiet=paste)
    if paste:
        attempt = signin.begin(paste=True)
        show.console.print("Open this address anywhere, and allow access. Then copy the code that is shown,")
        show.console.print("or the address that the browser is sent to and can't open:")
        typer.echo(attempt.url)  # in one line, however narrow the window is: it is to be copied
        # From standard input, never from the command line: other users can read that.
        attempt.paste(
            sys.stdin.readline() if not sys.stdin.isatty() else typer.prompt("Code", hide_input=True)
        )
    else:
        show.console.print(f"A browser opens: sign in to {signin.server.title} there within 3 minutes.")
        signin.sign_in()
    kept = "" if signin.is_kept else ", but this system can't keep it: the next command asks again"
    show.console.print(f"Signed in to {signin.server.title}{kept}.")


def logout(service: ServiceName, app: App = None, account: Account = "", endpoint: Endpoint = None) -> None:
    """Forget a sign-in here, and withdraw it at the service."""
    signin = _sign_in(service, app=app, account=account, endpoint=endpoint)
    was = signin.signed_in
    signin.sign_out()
    show.console.print(
        f"Signed out of {signin.server.title}." if was else f"Nobody was signed in to {signin.server.title}."
    )


def open_folder(url: str, *, provider: str | None = None) -> Source:
    """Open a folder; a cloud drive with the sign-in that ``login`` has left.

    Raises:
        ConfigError, SourceError: As `open_source`.
    """
    protocol = url.partition("://")[0].lower()
    if protocol not in set(Service):
        return open_source(url, provider=provider)
    service = Service(protocol)
    signin = _sign_in(service, account=os.environ.get("INTOUCH_ACCOUNT", ""))
    endpoint = _endpoint(service, None)
    elsewhere = {} if endpoint is None else {"endpoint": endpoint}
    return open_source(url, provider=provider, signin=signin, **elsewhere)


def _sign_in(
    service: Service,
    *,
    app: str | None = None,
    account: str = "",
    endpoint: str | None = None,
    quiet: bool = False,
) -> SignIn:
    from intouch_import.signin import SignIn
    from intouch_import.signin.sign_in import open_in_browser

    server = _server(service, app=app, endpoint=_endpoint(service, endpoint))
    return SignIn(server, account=account, on_url=None if quiet else open_in_browser)


def _server(service: Service, *, app: str | None, endpoint: str | None) -> AuthorizationServer:
    name = f"INTOUCH_{service.upper()}_APP"
    key = app or os.environ.get(name)
    if not key:
        raise ConfigError(f"which app? Give its key with --app, or in {name}")
    match service:
        case Service.DROPBOX:
            from intouch_import.dropbox import DropboxAuthorization

            return DropboxAuthorization(key, endpoint=endpoint)
        case Service.ONEDRIVE:
            from intouch_import.onedrive import OneDriveAuthorization

            # An app for people's own machines has no secret; one that has keeps it out of the command line.
            secret = os.environ.get("INTOUCH_ONEDRIVE_SECRET") or None
            return OneDriveAuthorization(key, client_secret=secret, endpoint=endpoint)


def _endpoint(service: Service, endpoint: str | None) -> str | None:
    return endpoint or os.environ.get(f"INTOUCH_{service.upper()}_ENDPOINT") or None
