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
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from intouch_import import __version__
from intouch_import.cli import configure, show
from intouch_import.cli.migrate import migrate_app
from intouch_import.cli.options import (
    DEFAULT_FILES,
    DEFAULT_RECORDS,
    Files,
    Json,
    Operator,
    Pattern,
    Practice,
    ProviderId,
    Records,
    SettingsFiles,
    SourceUrl,
    Zone,
    inbox_of,
    open_folder,
)
from intouch_import.cli.records import ledger_app, patients_app, providers_app
from intouch_import.cli.show import FILES_FAILED, INTERRUPTED, LOCATION_FAILED, MISTAKE, RECORDS_FAILED
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
from intouch_import.filenames import DEFAULT_PATTERN
from intouch_import.inbox import Inbox, Row
from intouch_import.logfiles import log_to_directory
from intouch_import.model import State, printable

if TYPE_CHECKING:
    from intouch_import.reports import Outcome, Report

__all__ = ["app", "run"]

_CODES: tuple[tuple[type[InTouchImportError], int], ...] = (
    (ConfigError, MISTAKE),
    (SelectionError, MISTAKE),
    (SourceError, LOCATION_FAILED),
    (FileError, FILES_FAILED),
    (RepositoryError, RECORDS_FAILED),
)

_ARGUMENT = re.compile(r"\b([a-z_]+)=(?!\w)")

app = typer.Typer(
    name="intouch-import",
    help="Move clinical photographs from folders into patient records.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ledger_app, name="ledger")
app.add_typer(patients_app, name="patients")
app.add_typer(providers_app, name="providers")
app.add_typer(configure.settings_app, name="settings")
app.add_typer(migrate_app, name="migrate")

Folders = Annotated[
    list[str] | None, typer.Argument(help="The folders: paths or fsspec URLs.", metavar="FOLDER")
]
AutoImport = Annotated[
    bool, typer.Option(help="Automatically import files whose names identify the patient.")
]
Names = Annotated[list[str] | None, typer.Argument(help="Names of files in the folder.", metavar="NAME")]
PatientId = Annotated[str, typer.Option("--patient", help="The id of the patient.")]
Title = Annotated[str, typer.Option(help="A title for all files.")]
Comments = Annotated[str, typer.Option(help="Comments for all files.")]
Everything = Annotated[bool, typer.Option("--all", help="All files that wait in the folder.")]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Do not ask before saving several files, a copy, or to an inactive patient."
    ),
]


def run() -> None:
    """Run the command. Print one line for a mistake or a failure, and exit with its code."""
    try:
        if directory := os.environ.get("INTOUCH_LOG_DIR"):
            log_to_directory(directory)
        app(prog_name="intouch-import")
    except InTouchImportError as exc:
        show.complain(_explained(exc))
        if isinstance(exc, MixedDestinations):
            show.complain("images: " + ", ".join(map(printable, exc.images)))
            show.complain("other documents: " + ", ".join(map(printable, exc.others)))
        sys.exit(next((code for kind, code in _CODES if isinstance(exc, kind)), MISTAKE))
    except KeyboardInterrupt:
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


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # Typer calls it so
    if wanted:
        typer.echo(f"intouch-import {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[  # the callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Move clinical photographs from folders into patient records."""


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A new or empty folder for the practice. By default a new temporary folder.",
            metavar="FOLDER",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Create a small practice with real files, import them, and show the result for each file."""
    from intouch_import.cli.samples import run_demo

    _exit(run_demo(folder, json=json))


@app.command()
def scan(
    context: typer.Context,
    folders: Folders = None,
    settings: SettingsFiles = None,
    provider: ProviderId = None,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    zone: Zone = None,
    operator: Operator = None,
    pattern: Pattern = DEFAULT_PATTERN,
    json: Json = False,
) -> None:
    """List the files in folders, and show what a refresh would do with each. Nothing is moved."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator, pattern=pattern)
    inbox, problems = inbox_of(context, practice, folders=folders or [], settings=settings, provider=provider)
    with show.progress(quiet=json) as on_progress:
        problems += inbox.scan(on_progress=on_progress)
    if json:
        rows = [show.row_dict(row) for row in inbox.rows]
        show.as_json({"rows": rows, "problems": [problem.text for problem in problems]})
    else:
        show.rows_table(inbox.rows)
        for problem in problems:
            show.complain_of(problem)
    if problems:
        raise typer.Exit(LOCATION_FAILED)


@app.command()
def refresh(
    context: typer.Context,
    folders: Folders = None,
    settings: SettingsFiles = None,
    provider: ProviderId = None,
    auto_import: AutoImport = True,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    zone: Zone = None,
    operator: Operator = None,
    pattern: Pattern = DEFAULT_PATTERN,
    json: Json = False,
) -> None:
    """Import the files whose names identify the patient, finish interrupted moves, and list all files."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator, pattern=pattern)
    inbox, problems = inbox_of(
        context,
        practice,
        folders=folders or [],
        settings=settings,
        provider=provider,
        auto_import=auto_import,
    )
    with show.progress(quiet=json) as on_progress:
        report = inbox.refresh(on_progress=on_progress)
    _finish(attrs.evolve(report, problems=(*problems, *report.problems)), json=json)


@app.command()
def watch(
    context: typer.Context,
    folders: Folders = None,
    settings: SettingsFiles = None,
    provider: ProviderId = None,
    auto_import: AutoImport = True,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    zone: Zone = None,
    operator: Operator = None,
    pattern: Pattern = DEFAULT_PATTERN,
    json: Json = False,
) -> None:
    """Refresh whenever something changes, and print the changes. Stop with Ctrl-C."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator, pattern=pattern)
    inbox, problems = inbox_of(
        context,
        practice,
        folders=folders or [],
        settings=settings,
        provider=provider,
        auto_import=auto_import,
    )
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
def assign(
    folder: SourceUrl,
    patient: PatientId,
    names: Names = None,
    everything: Everything = False,
    title: Title = "",
    comments: Comments = "",
    yes: Yes = False,
    provider: ProviderId = None,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    zone: Zone = None,
    operator: Operator = None,
    pattern: Pattern = DEFAULT_PATTERN,
    json: Json = False,
) -> None:
    """Move the named files of a folder into one patient's record."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator, pattern=pattern)
    inbox = practice.inbox([open_folder(folder, provider=provider)], auto_import=False)
    inbox.scan()
    rows = _choose(inbox.rows, names, everything=everything)
    _save(inbox, rows, patient, title, comments, yes=yes, json=json)


@app.command()
def browse(
    folder: SourceUrl,
    patient: PatientId,
    names: Names = None,
    everything: Everything = False,
    title: Title = "",
    comments: Comments = "",
    yes: Yes = False,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    zone: Zone = None,
    operator: Operator = None,
    json: Json = False,
) -> None:
    """List any folder for one patient. With names, move those files into the patient's record."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator)
    inbox = practice.inbox([]).browse(open_folder(folder), patient=patient)
    if not names and not everything:
        if json:
            show.as_json({"rows": [show.row_dict(row) for row in inbox.rows]})
        else:
            show.rows_table(inbox.rows)
        return
    rows = _choose(inbox.rows, names, everything=everything)
    _save(inbox, rows, patient, title, comments, yes=yes, json=json)


@app.command()
def undo(
    import_id: Annotated[
        str, typer.Argument(help="The import id, as in reports and the ledger.", metavar="IMPORT_ID")
    ],
    folder: Annotated[str, typer.Option("--source", help="The folder that the file came from.")],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    operator: Operator = None,
    json: Json = False,
) -> None:
    """Move an imported file back into its folder, and remove it from the patient's record."""
    practice = Practice(records=records, files=files, operator=operator)
    outcome = practice.inbox([open_folder(folder)]).undo(import_id)
    _finish_one(outcome, json=json)


@app.command()
def reassign(
    attachment: Annotated[
        str,
        typer.Argument(
            help="The import id or the attachment id, as in reports and the ledger.", metavar="ATTACHMENT"
        ),
    ],
    patient: PatientId,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    operator: Operator = None,
    json: Json = False,
) -> None:
    """Move an attachment from the wrong patient's record into the right one."""
    practice = Practice(records=records, files=files, operator=operator)
    outcome = practice.inbox([]).reassign(attachment, patient=patient)
    _finish_one(outcome, json=json)


configure.add_sign_in(app)  # here, so that the help lists these commands after the ones above


def _choose(rows: list[Row], names: list[str] | None, *, everything: bool) -> list[Row]:
    if everything:
        waiting = [row for row in rows if row.state is State.WAITING]
        if not waiting:
            raise SelectionError("no file waits in the folder")
        return waiting
    by_name = {row.name: row for row in rows}
    missing = [name for name in names or [] if name not in by_name]
    if missing:
        for name in missing:
            show.complain(f"not in the folder: {printable(name)}")
        raise SelectionError("not all of the named files are in the folder: nothing was moved")
    if not names:
        raise SelectionError("name the files to move, or give --all")
    return [by_name[name] for name in names]


def _save(
    inbox: Inbox, rows: list[Row], patient: str, title: str, comments: str, *, yes: bool, json: bool
) -> None:
    request = inbox.prepare(rows, patient=patient, title=title, comments=comments)
    if request.warning is not None and not yes:
        if json or not sys.stdin.isatty():
            raise SelectionError("several files, a copy, or an inactive patient: confirm with --yes")
        typer.confirm(f"{request.warning} Proceed?", abort=True)
    with show.progress(quiet=json) as on_progress:
        report = inbox.save(request, on_progress=on_progress)
    _finish(report, json=json)


def _finish(report: Report, *, json: bool) -> None:
    """Print a report, and exit with its code."""
    if json:
        show.as_json(report.to_dict())
    else:
        show.report_table(report)
    _exit(report)


def _finish_one(outcome: Outcome, *, json: bool) -> None:
    """Print the outcome of one file, and exit with its code."""
    if json:
        show.as_json(outcome.to_dict())
    else:
        show.console.print(outcome.reason.text)
    if outcome.state is State.FAILED:
        raise typer.Exit(FILES_FAILED)


def _exit(report: Report) -> None:
    if report.failed or report.stored:
        raise typer.Exit(FILES_FAILED)
    if report.problems:
        raise typer.Exit(LOCATION_FAILED)
