"""The command ``intouch-import``: its commands on the inbox, and its exit codes.

Exit codes: 0 success · 1 a file failed, or is stored but still in its source · 2 a mistake in the call or the
settings · 3 a location failed · 4 the patient records or the ledger failed · 130 interrupted.
"""

from __future__ import annotations

import json as json_text
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import attrs
import click

from intouch_import import __version__
from intouch_import.cli import assigning, configure, keeping, show
from intouch_import.cli.migrate import migrate_group
from intouch_import.cli.options import (
    PATH,
    Command,
    Practice,
    inbox_of,
    json_option,
    only_option,
    open_folder,
    patient_option,
    practice_options,
    provider_option,
)
from intouch_import.cli.records import ledger_group, patients_group, providers_group
from intouch_import.cli.show import FILES_FAILED, INTERRUPTED, LOCATION_FAILED, MISTAKE, OK, RECORDS_FAILED
from intouch_import.errors import (
    ConfigError,
    FileError,
    InTouchImportError,
    MixedDestinations,
    RepositoryError,
    SelectionError,
    SettingsError,
    SourceError,
)
from intouch_import.logfiles import log_to_directory
from intouch_import.model import State, printable
from intouch_import.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.reports import Outcome

__all__ = ["app", "run"]

_CODES: tuple[tuple[type[InTouchImportError], int], ...] = (
    (ConfigError, MISTAKE),
    (SelectionError, MISTAKE),
    (SourceError, LOCATION_FAILED),
    (FileError, FILES_FAILED),
    (RepositoryError, RECORDS_FAILED),
)

_ARGUMENT = re.compile(r"\b([a-z_]+)=(?!\w)")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s", help="Print the version.")
def app() -> None:
    """Move clinical photographs from folders into patient records."""


def run() -> None:
    """Run the command. Print one line for a mistake or a failure, and exit with its code."""
    try:
        if directory := os.environ.get("INTOUCH_LOG_DIR"):
            log_to_directory(directory)
        sys.exit(app.main(prog_name="intouch-import", standalone_mode=False))
    except InTouchImportError as exc:
        show.complain(_explained(exc))
        if isinstance(exc, MixedDestinations):
            show.complain("images: " + ", ".join(map(printable, exc.images)))
            show.complain("other documents: " + ", ".join(map(printable, exc.others)))
        elif isinstance(exc, SelectionError) and exc.names:
            show.complain("files: " + ", ".join(map(printable, exc.names)))
        sys.exit(next((code for kind, code in _CODES if isinstance(exc, kind)), MISTAKE))
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except click.Abort as exc:
        if not isinstance(exc.__cause__, KeyboardInterrupt):  # the person answered no
            show.complain("cancelled")
            sys.exit(FILES_FAILED)
        show.complain("interrupted; the next refresh finishes what was under way")
        sys.exit(INTERRUPTED)


def _explained(exc: InTouchImportError) -> str:
    """Return the message with the system's explanation, and arguments written as options."""
    text = str(exc)
    if isinstance(exc, ConfigError) and not isinstance(exc, SettingsError):
        text = _ARGUMENT.sub(lambda found: "--" + found[1].replace("_", "-"), text)
    if exc.errno is not None and isinstance(exc, (ConfigError, RepositoryError)):
        text += f" ({os.strerror(exc.errno)})"
    return text


def _inbox_options(command: Command) -> Command:
    """Give a command the options of `inbox_of`."""
    for option in (
        json_option,
        practice_options("records", "files", "zone", "operator", "pattern"),
        provider_option,
        click.argument("folders", nargs=-1, metavar="[FOLDER]..."),
    ):
        command = option(command)
    return command


_auto_import_option = click.option(
    "--auto-import/--no-auto-import",
    default=True,
    show_default=True,
    help="Automatically import files whose names identify the patient.",
)


@app.command()
@click.argument("folder", type=PATH, required=False)
@json_option
def demo(folder: Path | None, *, json: bool) -> int:
    """Import sample files into a small practice.

    The practice is created in a new or empty FOLDER; by default in a new temporary folder. The result of
    each file is shown.
    """
    from intouch_import.cli.samples import run_demo

    return show.code_of(run_demo(folder, json=json))


@app.command()
@_inbox_options
def scan(
    folders: tuple[str, ...],
    provider: str | None,
    practice: Practice,
    *,
    json: bool,
) -> int:
    """Show what a refresh would do with each file.

    FOLDER is a path or an fsspec URL. Without one, the folders in the settings are listed. Nothing is moved.
    """
    inbox, problems = inbox_of(practice, folders=folders, provider=provider)
    with show.progress(quiet=json) as on_progress:
        problems += inbox.scan(on_progress=on_progress)
    if json:
        rows = [show.row_dict(row) for row in inbox.rows]
        show.as_json({"rows": rows, "problems": [problem.text for problem in problems]})
    else:
        show.rows_table(inbox.rows)
        for problem in problems:
            show.complain_of(problem)
    return show.code_of(Report(problems=tuple(problems)))


@app.command()
@_inbox_options
@_auto_import_option
def refresh(
    folders: tuple[str, ...],
    provider: str | None,
    practice: Practice,
    *,
    auto_import: bool,
    json: bool,
) -> int:
    """Import the files whose names identify the patient.

    FOLDER is a path or an fsspec URL. Without one, the folders in the settings are used. Interrupted moves
    are finished, and the files that wait are listed.
    """
    inbox, problems = inbox_of(practice, folders=folders, provider=provider, auto_import=auto_import)
    with show.progress(quiet=json) as on_progress:
        report = inbox.refresh(on_progress=on_progress)
    return show.finish(attrs.evolve(report, problems=(*problems, *report.problems)), json=json)


@app.command()
@_inbox_options
@_auto_import_option
def watch(
    folders: tuple[str, ...],
    provider: str | None,
    practice: Practice,
    *,
    auto_import: bool,
    json: bool,
) -> None:
    """Refresh whenever something changes.

    FOLDER is a path or an fsspec URL. Without one, the folders in the settings are used. The changes are
    printed. Stop with Ctrl-C.
    """
    inbox, problems = inbox_of(practice, folders=folders, provider=provider, auto_import=auto_import)
    for problem in problems:
        show.complain_of(problem)
    with inbox.watch() as watching:

        def stop(*_: object) -> None:
            watching.stop()  # files that are being moved are still moved completely

        before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            for changes in watching:
                if json:
                    sys.stdout.write(json_text.dumps(show.changes_dict(changes)) + "\n")
                    sys.stdout.flush()
                else:
                    show.print_changes(changes)
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


@app.command()
@click.argument("import_id")
@click.option(
    "--source", "folder", required=True, metavar="FOLDER", help="The folder that the file came from."
)
@only_option
@practice_options("records", "files", "operator")
@json_option
def undo(import_id: str, folder: str, practice: Practice, *, only: bool, json: bool) -> int:
    """Move an imported file back into its folder.

    The file, and what belongs to it, is removed from the patient's record. IMPORT_ID is the import id, as in
    reports and the ledger.
    """
    outcome = practice.inbox([open_folder(folder)]).undo(import_id, companions=not only)
    return _finish_one(outcome, asked=import_id, json=json)


@app.command()
@click.argument("attachment")
@patient_option
@only_option
@practice_options("records", "files", "operator")
@json_option
def reassign(attachment: str, patient: str, practice: Practice, *, only: bool, json: bool) -> int:
    """Move an attachment, and what belongs to it, into another patient's record.

    ATTACHMENT is the import id or the attachment id, as in reports and the ledger.
    """
    outcome = practice.inbox([]).reassign(attachment, patient=patient, companions=not only)
    return _finish_one(outcome, asked=attachment, json=json)


for _command in (
    *(assigning.assign, assigning.browse, configure.login, configure.logout),
    *(ledger_group, patients_group, providers_group, configure.settings_group, migrate_group),
    *(keeping.records_group, keeping.backup, keeping.restore),
):
    app.add_command(_command)


def _finish_one(outcome: Outcome, *, asked: str, json: bool) -> int:
    """Print the outcome of a file, or of another one that belongs to it; return the exit code."""
    if json:
        show.as_json(outcome.to_dict())
    else:
        other = asked not in (outcome.import_id, outcome.attachment_id)
        about = f"{printable(outcome.name)}: " if other else ""
        more = f" Files that belong to it: {len(outcome.companions)}." if outcome.companions else ""
        show.console.print(f"{show.escape(about)}{outcome.reason.text}{more}")
    return FILES_FAILED if outcome.state is State.FAILED else OK
