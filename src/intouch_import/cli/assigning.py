"""The commands ``assign`` and ``browse``: a person says which files belong to which patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from intouch_import.cli import saving, show
from intouch_import.cli.options import (
    Command,
    Practice,
    folder_argument,
    json_option,
    only_option,
    open_folder,
    patient_option,
    practice_options,
    provider_option,
)
from intouch_import.cli.show import FILES_FAILED, OK
from intouch_import.errors import SelectionError
from intouch_import.inbox.rows import RowOutcomes
from intouch_import.model import Destination, State, printable
from intouch_import.reports import Report

if TYPE_CHECKING:
    from intouch_import.inbox import Inbox, Row
    from intouch_import.inbox.save_request import SaveRequest

__all__ = ["assign", "browse"]


def _save_options(command: Command) -> Command:
    """Give a command the folder, the files and the patient of a save."""
    for option in (
        click.option(
            "--yes",
            "-y",
            is_flag=True,
            help="Do not ask before saving, unless a file may be another patient's.",
        ),
        click.option(
            "--other-patient",
            is_flag=True,
            help="Do not ask about files that may be another patient's: by their name, folder or content, "
            "or by the records.",
        ),
        click.option("--comments", default="", help="Comments for all files."),
        click.option("--title", default="", help="A title for all files."),
        only_option,
        click.option("--all", "everything", is_flag=True, help="All files that wait in the folder."),
        patient_option,
        click.argument("names", nargs=-1, metavar="[NAME]..."),
        folder_argument,
    ):
        command = option(command)
    return command


@click.command()
@_save_options
@provider_option
@practice_options("records", "files", "zone", "operator", "pattern")
@json_option
def assign(
    folder: str, names: tuple[str, ...], provider: str | None, practice: Practice, **options: Any
) -> int:
    """Move the named files into one patient's record.

    The movie, the RAW and the sidecars of a photo go with it. With --all, move every file that waits and can
    be saved: images and other documents. The others are listed, and the exit code is 1.
    """
    source = open_folder(folder, provider=provider, exclude=practice.exclusions)
    inbox = practice.inbox([source], auto_import=False)
    for problem in inbox.scan():
        show.complain_of(problem)
    return _save(inbox, names, **options)


@click.command()
@_save_options
@practice_options("records", "files", "zone", "operator")
@json_option
def browse(
    folder: str, names: tuple[str, ...], patient: str, practice: Practice, *, everything: bool, **options: Any
) -> int:
    """List any folder for one patient.

    With names or --all, move those files into the patient's record.
    """
    inbox = practice.inbox([]).browse(open_folder(folder, exclude=practice.exclusions), patient=patient)
    if names or everything:
        return _save(inbox, names, patient=patient, everything=everything, **options)
    if options["json"]:
        show.as_json({"rows": [show.row_dict(row) for row in inbox.rows]})
    else:
        show.rows_table(inbox.rows)
    return OK


def _choose(rows: list[Row], names: tuple[str, ...], *, everything: bool) -> list[Row]:
    if everything:
        waiting = [row for row in rows if row.state is State.WAITING]
        if not waiting:
            raise SelectionError("no file waits in the folder")
        return waiting
    if not names:
        raise SelectionError("name the files to move, or give --all")
    # A name may be given as it is, or as it is shown. Two files may be shown by the same name.
    found = [[row for row in rows if name in (row.name, printable(row.name))] for name in names]
    for name, matches in zip(names, found, strict=True):
        if not matches:
            show.complain(f"not in the folder: {printable(name)}")
        elif len(matches) > 1:
            show.complain(f"several files are shown by this name: {printable(name)}")
    if any(len(matches) != 1 for matches in found):
        raise SelectionError("not all of the named files were found: nothing was moved")
    return [row for (row,) in found]


def _prepare_all(inbox: Inbox, rows: list[Row], **values: Any) -> tuple[list[SaveRequest], list[Row]]:
    """Prepare the rows that can be saved: images and other documents apart.

    Returns:
        The requests, and the rows that can't be saved.
    """
    requests: list[SaveRequest] = []
    left: list[Row] = []
    companions = values["companions"]
    for destination in Destination:
        chosen = [
            row for row in rows if row.destination is destination and (row.owner is row or not companions)
        ]
        while chosen:
            try:
                requests.append(inbox.prepare(chosen, **values))
                break
            except SelectionError as exc:
                if not exc.names:
                    raise
                left += [row for row in chosen if row.name in exc.names]
                chosen = [row for row in chosen if row.name not in exc.names]
    return requests, left


def _save(
    inbox: Inbox,
    names: tuple[str, ...],
    *,
    patient: str,
    everything: bool,
    only: bool,
    title: str,
    comments: str,
    yes: bool,
    other_patient: bool,
    json: bool,
) -> int:
    rows = _choose(inbox.rows, names, everything=everything)
    values: dict[str, Any] = {
        "patient": patient,
        "title": title,
        "comments": comments,
        "companions": not only,
    }
    if everything:
        requests, left = _prepare_all(inbox, rows, **values)
    else:
        requests, left = [inbox.prepare(rows, **values)], []
    for request in requests:
        saving.confirm(request, yes=yes, other_patient=other_patient, json=json)
    with show.progress(quiet=json) as on_progress:
        reports = [inbox.save(request, on_progress=on_progress) for request in requests]
    report = Report(
        outcomes=(*(one for done in reports for one in done.outcomes), *RowOutcomes(left, {})),
        problems=tuple(problem for done in reports for problem in done.problems),
        listed=len(left) + sum(request.count for request in requests),
    )
    if json:
        show.as_json({**report.to_dict(), **saving.patient_and_doubts(requests)})
    else:
        show.report_table(report)
        saving.show_patient(requests, report)
    return show.code_of(report) or (FILES_FAILED if left else OK)
