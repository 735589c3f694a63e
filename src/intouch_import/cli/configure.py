"""The commands ``settings check``, ``settings show``, ``settings init``, ``login`` and ``logout``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import attrs
import typer

from intouch_import.cli import show
from intouch_import.cli.options import Json, Service, sign_in_to
from intouch_import.cli.show import MISTAKE
from intouch_import.errors import ConfigError
from intouch_import.settings import Settings
from intouch_import.settings.describe import DEFAULT, commented_file
from intouch_import.settings.describe import show as effective
from intouch_import.settings.load import FILES_VARIABLE, load

__all__ = ["add_sign_in", "settings_app"]

settings_app = typer.Typer(help="Check, show and create the settings of a practice.", no_args_is_help=True)

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help=f"Settings files. A later file overrides an earlier one. By default those in {FILES_VARIABLE}.",
        metavar="FILE",
    ),
]
ServiceName = Annotated[
    Service, typer.Argument(help="The cloud drive: dropbox or onedrive.", metavar="SERVICE")
]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        help="The key or id of the registered app; or INTOUCH_DROPBOX_APP, INTOUCH_ONEDRIVE_APP.",
    ),
]
Account = Annotated[
    str, typer.Option(envvar="INTOUCH_ACCOUNT", help="A name for the sign-in, if there are several.")
]
Paste = Annotated[
    bool,
    typer.Option("--paste", help="Show an address to open on any device, and ask for the code it shows."),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="Another server than the vendor's; or INTOUCH_DROPBOX_ENDPOINT, INTOUCH_ONEDRIVE_ENDPOINT."
    ),
]


@settings_app.command("check")
def settings_check(files: Files = None, json: Json = False) -> None:
    """Find all mistakes in settings files and environment variables, and print warnings."""
    found = load(files or (), ask_disk=True)
    if json:
        show.as_json(
            {
                "mistakes": [mistake.to_dict() for mistake in found.mistakes],
                "warnings": [warning.to_dict() for warning in found.warnings],
            }
        )
    else:
        for mistake in found.mistakes:
            show.complain(str(mistake))
        for warning in found.warnings:
            show.console.print(f"warning: {warning}", markup=False, highlight=False)
        if not found.mistakes:
            counts = f"{len(found.by_id('provider'))} providers, {len(found.by_id('operator'))} operators"
            show.console.print(f"No mistakes: {counts}.", highlight=False)
    if found.mistakes:
        raise typer.Exit(MISTAKE)


@settings_app.command("show")
def settings_show(files: Files = None, json: Json = False) -> None:
    """Show the settings in use, and where each comes from. Secrets are masked."""
    rows = effective(Settings.load(*(files or ())))
    if json:
        show.as_json([attrs.asdict(row) for row in rows])
        return
    table = show.table("Setting", "Value", "From")
    for row in rows:
        if row.value is not None:
            value = ", ".join(map(str, row.value)) if isinstance(row.value, list) else str(row.value)
            style = "dim" if row.origin == DEFAULT else ""
            table.add_row(*map(show.escape, (row.key, value, row.origin)), style=style)
    show.console.print(table)


@settings_app.command("init")
def settings_init(
    file: Annotated[
        Path, typer.Argument(help="The file to write. An existing file is not changed.", metavar="FILE")
    ],
    json: Json = False,
) -> None:
    """Write a settings file to fill in, with a comment on each key."""
    try:
        # Secrets may be written into it later.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError("there is a file of that name already; it was not changed") from None
    except OSError as exc:
        raise ConfigError("the file can't be written", errno=exc.errno) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        target.write(commented_file())
    if json:
        show.as_json({"file": str(file)})
    else:
        show.console.print(f"Written: {file}", markup=False, highlight=False)


def add_sign_in(app: typer.Typer) -> None:
    """Add the commands ``login`` and ``logout``."""
    app.command()(login)
    app.command()(logout)


def login(
    service: ServiceName,
    app: App = None,
    account: Account = "",
    paste: Paste = False,
    endpoint: Endpoint = None,
) -> None:
    """Sign in to a cloud drive in the browser. Other commands then use this sign-in."""
    signin = sign_in_to(service, app=app, account=account, endpoint=endpoint, open_browser=not paste)
    if paste:
        attempt = signin.begin(paste=True)
        show.console.print(
            "Open this address on any device, and allow access. Then copy the code that is shown,"
        )
        show.console.print("or the address that the browser is sent to and can't open:")
        typer.echo(attempt.url)  # on one line, however narrow the window is: people copy it
        # From standard input, never from the command line: other users can read that.
        attempt.paste(
            sys.stdin.readline() if not sys.stdin.isatty() else typer.prompt("Code", hide_input=True)
        )
    else:
        show.console.print(f"A browser opens. Sign in to {signin.server.title} there within 3 minutes.")
        signin.sign_in()
    kept = "" if signin.is_kept else ", but this system can't store it: the next command asks again"
    show.console.print(f"Signed in to {signin.server.title}{kept}.")


def logout(service: ServiceName, app: App = None, account: Account = "", endpoint: Endpoint = None) -> None:
    """Delete the stored sign-in, and withdraw it at the service."""
    signin = sign_in_to(service, app=app, account=account, endpoint=endpoint)
    was_signed_in = signin.signed_in
    signin.sign_out()
    title = signin.server.title
    show.console.print(f"Signed out of {title}." if was_signed_in else f"Nobody was signed in to {title}.")
