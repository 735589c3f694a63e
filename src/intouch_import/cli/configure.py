"""The commands ``settings check``, ``settings show``, ``settings init``, ``login`` and ``logout``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import attrs
import click

from intouch_import.cli import show
from intouch_import.cli.options import PATH, SERVICES, json_option, sign_in_to
from intouch_import.cli.show import MISTAKE, OK
from intouch_import.errors import ConfigError
from intouch_import.settings import Settings
from intouch_import.settings.describe import DEFAULT, commented_file
from intouch_import.settings.describe import show as effective
from intouch_import.settings.load import load

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["login", "logout", "settings_group"]

_files_argument = click.argument("files", type=PATH, nargs=-1, metavar="[FILE]...")
_service_argument = click.argument("service", type=click.Choice(SERVICES))
_app_option = click.option(
    "--app",
    metavar="KEY",
    help="The key or id of the registered app; or INTOUCH_DROPBOX_APP, INTOUCH_ONEDRIVE_APP.",
)
_account_option = click.option(
    "--account",
    envvar="INTOUCH_ACCOUNT",
    show_envvar=True,
    default="",
    metavar="NAME",
    help="A name for the sign-in, if there are several.",
)
_endpoint_option = click.option(
    "--endpoint",
    metavar="URL",
    help="Another server than the vendor's; or INTOUCH_DROPBOX_ENDPOINT, INTOUCH_ONEDRIVE_ENDPOINT.",
)


@click.group("settings")
def settings_group() -> None:
    """Check, show and create the settings of a practice."""


@settings_group.command("check")
@_files_argument
@json_option
def settings_check(files: tuple[Path, ...], *, json: bool) -> int:
    """Find all mistakes in settings, and print warnings.

    Settings come from the files and from environment variables. A later file overrides an earlier one.
    Without a file, those in INTOUCH_SETTINGS are used.
    """
    found = load(files, ask_disk=True)
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
    return MISTAKE if found.mistakes else OK


@settings_group.command("show")
@_files_argument
@json_option
def settings_show(files: tuple[Path, ...], *, json: bool) -> None:
    """Show the settings in use, and where each comes from.

    Secrets are masked. A later file overrides an earlier one. Without a file, those in INTOUCH_SETTINGS are
    used.
    """
    rows = effective(Settings.load(*files))
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


@settings_group.command("init")
@click.argument("file", type=PATH)
@json_option
def settings_init(file: Path, *, json: bool) -> None:
    """Write a settings file to fill in.

    Each key has a comment. An existing file is not changed.
    """
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


@click.command()
@_service_argument
@_app_option
@_account_option
@click.option("--paste", is_flag=True, help="Show an address to open on any device, and ask for the code.")
@_endpoint_option
def login(service: str, app: str | None, account: str, endpoint: str | None, *, paste: bool) -> None:
    """Sign in to a cloud drive in the browser.

    Other commands then use this sign-in.
    """
    signin = sign_in_to(service, app=app, account=account, endpoint=endpoint, open_browser=not paste)
    if paste:
        attempt = signin.begin(paste=True)
        show.console.print(
            "Open this address on any device, and allow access. Then copy the code that is shown,"
        )
        show.console.print("or the address that the browser is sent to and can't open:")
        click.echo(attempt.url)  # on one line, however narrow the window is: people copy it
        # From standard input, never from the command line: other users can read that.
        attempt.paste(click.prompt("Code", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline())
    else:
        show.console.print(f"A browser opens. Sign in to {signin.server.title} there within 3 minutes.")
        signin.sign_in()
    kept = "" if signin.is_kept else ", but this system can't store it: the next command asks again"
    show.console.print(f"Signed in to {signin.server.title}{kept}.")


@click.command()
@_service_argument
@_app_option
@_account_option
@_endpoint_option
def logout(service: str, app: str | None, account: str, endpoint: str | None) -> None:
    """Delete the stored sign-in, and revoke it at the service."""
    signin = sign_in_to(service, app=app, account=account, endpoint=endpoint)
    was_signed_in = signin.signed_in
    signin.sign_out()
    title = signin.server.title
    show.console.print(f"Signed out of {title}." if was_signed_in else f"Nobody was signed in to {title}.")
