"""Commands, options and exit codes.

Exit codes: 0 all is well · 1 a file failed, or is stored but not out of its source · 2 a mistake in the call
or the settings · 3 a location failed · 4 the patient records or the ledger failed · 130 interrupted.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from intouch_import.cli import show, signing_in
from intouch_import.cli.codes import FILES_FAILED, INTERRUPTED, LOCATION_FAILED, MISTAKE, RECORDS_FAILED
from intouch_import.cli.migrate import migrate_app
from intouch_import.cli.practice import (
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
)
from intouch_import.cli.records import ledger_app, patients_app, providers_app
from intouch_import.cli.settings import settings_app
from intouch_import.cli.signing_in import open_folder
from intouch_import.cli.watch import run_watch
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
    from intouch_import.reports import Report

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
)
signing_in.add_to(app)
app.add_typer(ledger_app, name="ledger")
app.add_typer(patients_app, name="patients")
app.add_typer(providers_app, name="providers")
app.add_typer(settings_app, name="settings")
app.add_typer(migrate_app, name="migrate")

Folders = Annotated[list[str] | None, typer.Argument(help="Folders: paths or fsspec URLs.", metavar="FOLDER")]
AutoImport = Annotated[bool, typer.Option(help="Import files whose names say whose they are.")]
Names = Annotated[list[str] | None, typer.Argument(help="Names of files in the folder.", metavar="NAME")]
PatientId = Annotated[str, typer.Option("--patient", help="Id of the patient.")]
Title = Annotated[str, typer.Option(help="Title for all of them.")]
Comments = Annotated[str, typer.Option(help="Comments for all of them.")]
Everything = Annotated[bool, typer.Option("--all", help="All files that wait in the folder.")]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Do not ask before saving several files, a copy, or to an inactive patient."
    ),
]


def run() -> None:
    """Run, and turn every mistake and failure into one line and an exit code."""
    try:
        if directory := os.environ.get("INTOUCH_LOG_DIR"):
            log_to_directory(directory)
        app()
    except InTouchImportError as exc:
        show.complain(_explained(exc))
        if isinstance(exc, MixedDestinations):
            show.complain("images: " + ", ".join(map(printable, exc.images)))
            show.complain("other documents: " + ", ".join(map(printable, exc.others)))
        sys.exit(next((code for kind, code in _CODES if isinstance(exc, kind)), MISTAKE))
    except KeyboardInterrupt:
        show.complain("interrupted; whatever was under way is finished by the next refresh")
        sys.exit(INTERRUPTED)


def _explained(exc: InTouchImportError) -> str:
    """What happened, with what the system says of it, and arguments under the names of their options."""
    text = str(exc)
    if isinstance(exc, ConfigError) and not isinstance(exc, SettingsError):
        text = _ARGUMENT.sub(lambda found: "--" + found[1].replace("_", "-"), text)
    if exc.errno is not None and isinstance(exc, (ConfigError, RepositoryError)):
        text += f" ({os.strerror(exc.errno)})"
    return text


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Where to lay out the practice; a new temporary folder by default.", metavar="FOLDER"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Lay out a small practice with real files, import them, and say what became of each."""
    from intouch_import.cli.demo import run_demo

    _leave(run_demo(folder, json=json))


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
    """List folders and say what would happen to each file. Nothing is moved."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator, pattern=pattern)
    inbox, problems = inbox_of(context, practice, folders=folders or [], settings=settings, provider=provider)
    with show.progress(quiet=json) as tell:
        problems += inbox.scan(on_progress=tell)
    if json:
        show.as_json(
            {"rows": [show.row_dict(row) for row in inbox.rows], "problems": [p.text for p in problems]}
        )
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
    """Import what names its patient, finish interrupted moves, and list what waits."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator, pattern=pattern)
    inbox, problems = inbox_of(
        context,
        practice,
        folders=folders or [],
        settings=settings,
        provider=provider,
        auto_import=auto_import,
    )
    with show.progress(quiet=json) as tell:
        report = inbox.refresh(on_progress=tell)
    report = attrs.evolve(report, problems=(*problems, *report.problems))
    _print(report, json=json)
    _leave(report)


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
    """Refresh by itself whenever something changes, and say what did. Ends on Ctrl-C."""
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
    run_watch(inbox, json=json)


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
    report = _save(
        inbox, _choose(inbox.rows, names, everything=everything), patient, title, comments, yes=yes, json=json
    )
    _print(report, json=json)
    _leave(report)


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
    """Open any folder for one given patient; with names, move those files into the record."""
    practice = Practice(records=records, files=files, zone=zone, operator=operator)
    inbox = practice.inbox([]).browse(open_folder(folder), patient=patient)
    if not names and not everything:
        if json:
            show.as_json({"rows": [show.row_dict(row) for row in inbox.rows]})
        else:
            show.rows_table(inbox.rows)
        return
    report = _save(
        inbox, _choose(inbox.rows, names, everything=everything), patient, title, comments, yes=yes, json=json
    )
    _print(report, json=json)
    _leave(report)


@app.command()
def undo(
    import_id: Annotated[
        str, typer.Argument(help="Import id, as reports and the ledger show it.", metavar="IMPORT_ID")
    ],
    folder: Annotated[str, typer.Option("--source", help="The folder that the file came from.")],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    operator: Operator = None,
    json: Json = False,
) -> None:
    """Put an imported file back into its folder and take it out of the patient's record."""
    practice = Practice(records=records, files=files, operator=operator)
    outcome = practice.inbox([open_folder(folder)]).undo(import_id)
    if json:
        show.as_json(outcome.to_dict())
    else:
        show.console.print(outcome.reason.text)
    if outcome.state is State.FAILED:
        raise typer.Exit(FILES_FAILED)


@app.command()
def reassign(
    attachment: Annotated[
        str,
        typer.Argument(
            help="Import id or attachment id, as reports and the ledger show it.", metavar="ATTACHMENT"
        ),
    ],
    patient: PatientId,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    operator: Operator = None,
    json: Json = False,
) -> None:
    """Move an attachment that is in the wrong record into another patient's."""
    practice = Practice(records=records, files=files, operator=operator)
    outcome = practice.inbox([]).reassign(attachment, patient=patient)
    if json:
        show.as_json(outcome.to_dict())
    else:
        show.console.print(outcome.reason.text)
    if outcome.state is State.FAILED:
        raise typer.Exit(FILES_FAILED)


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
) -> Report:
    job = inbox.prepare(rows, patient=patient, title=title, comments=comments)
    if job.warning is not None and not yes:
        if json or not sys.stdin.isatty():
            raise SelectionError("several files, a copy, or an inactive patient: confirm with --yes")
        typer.confirm(f"{job.warning} Proceed?", abort=True)
    with show.progress(quiet=json) as tell:
        return inbox.save(job, on_progress=tell)


def _print(report: Report, *, json: bool) -> None:
    if json:
        show.as_json(report.to_dict())
    else:
        show.report_table(report)


def _leave(report: Report) -> None:
    if report.failed or report.stored:
        raise typer.Exit(FILES_FAILED)
    if report.problems:
        raise typer.Exit(LOCATION_FAILED)
