"""The commands ``settings check``, ``settings show`` and ``settings init``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from intouch_import.cli import show
from intouch_import.cli.codes import MISTAKE
from intouch_import.cli.practice import Json
from intouch_import.errors import ConfigError
from intouch_import.settings import Settings
from intouch_import.settings.describe import DEFAULT, Shown, commented_file
from intouch_import.settings.describe import show as effective
from intouch_import.settings.load import FILES_VARIABLE, load

__all__ = ["settings_app"]

settings_app = typer.Typer(help="Check, show and begin the settings of a practice.", no_args_is_help=True)

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help=f"Settings files; a later one counts more. Those in {FILES_VARIABLE} by default.",
        metavar="FILE",
    ),
]


@settings_app.command("check")
def settings_check(files: Files = None, json: Json = False) -> None:
    """Find everything that is wrong with settings files and the environment, and what looks wrong."""
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
    """Show the effective settings, and where each comes from. Secrets are masked."""
    rows = effective(Settings.load(*(files or ())))
    if json:
        show.as_json([attrs.asdict(row) for row in rows])
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table("Setting", header_style="bold", box=None, pad_edge=False)
    table.add_column("Value", overflow="fold")
    table.add_column("From", overflow="fold")
    for row in rows:
        if row.value is not None:
            style = "dim" if row.origin == DEFAULT else ""
            table.add_row(escape(row.key), escape(_text(row)), escape(row.origin), style=style)
    show.console.print(table)


@settings_app.command("init")
def settings_init(
    file: Annotated[
        Path, typer.Argument(help="The file to write. One that exists is left as it is.", metavar="FILE")
    ],
    json: Json = False,
) -> None:
    """Write a settings file to be filled in, with a comment on each key."""
    try:
        # Secrets may be written into it later.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError("there is a file of that name already; it was left as it is") from None
    except OSError as exc:
        raise ConfigError("the file can't be written", errno=exc.errno) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        target.write(commented_file())
    if json:
        show.as_json({"file": str(file)})
    else:
        show.console.print(f"Written: {file}", markup=False, highlight=False)


def _text(row: Shown) -> str:
    value: Any = row.value
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
