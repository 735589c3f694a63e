"""The output of the commands: exit codes, tables, JSON documents, a progress bar."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from intouch_import.model import State, printable
from intouch_import.reports import LEDGER, RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from intouch_import.inbox import Changes, Row
    from intouch_import.model import Progress
    from intouch_import.reports import Outcome, Problem, Report

__all__ = [
    "FILES_FAILED",
    "INTERRUPTED",
    "LOCATION_FAILED",
    "MISTAKE",
    "OK",
    "RECORDS_FAILED",
    "as_json",
    "changes_dict",
    "code_of",
    "complain",
    "complain_of",
    "console",
    "escape",
    "finish",
    "print_changes",
    "progress",
    "report_table",
    "row_dict",
    "rows_table",
    "table",
]

OK: Final = 0
FILES_FAILED: Final = 1
MISTAKE: Final = 2
LOCATION_FAILED: Final = 3
RECORDS_FAILED: Final = 4
INTERRUPTED: Final = 130

console = Console()
_errors = Console(stderr=True)
_STEP = 1000
_STYLES = {
    State.IMPORTED: "green",
    State.STORED: "yellow",
    State.WAITING: "cyan",
    State.IGNORED: "dim",
    State.FAILED: "bold red",
}


def as_json(value: Any) -> None:
    """Print one JSON document, and nothing else, to standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True, indent=2, default=str) + "\n")


def complain(text: str) -> None:
    """Print a mistake or a failure to standard error."""
    # On one line, however narrow the window: a script that searches for the text must find it.
    _errors.print(f"[bold red]intouch-import:[/] {escape(text)}", highlight=False, soft_wrap=True)


def complain_of(problem: Problem) -> None:
    """Print the problem of a location to standard error."""
    complain(f"{problem.location}: {problem.text}" if problem.location else problem.text)


def table(*headings: str) -> Table:
    """Make an empty table. Long words are folded, not cut: an id that is cut could be anybody's."""
    made = Table(header_style="bold", box=None, pad_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def row_dict(row: Row) -> dict[str, Any]:
    """Return a row as JSON values."""
    return {
        "name": printable(row.name),
        "location": row.location,
        "source_id": row.source_id,
        "size_bytes": row.size_bytes,
        "modified_at": row.modified_at.isoformat() if row.modified_at is not None else None,
        "destination": row.destination.value,
        "verdict": row.verdict.action.value,
        "state": row.state.value,
        "reason": row.reason.value,
        "text": row.reason.text,
        "import_id": row.import_id,
        "duplicate_of": row.duplicate_of,
        "duplicate_elsewhere": row.duplicate_elsewhere,
        "patient": row.patient.id if row.patient is not None else None,
        "title": row.title,
        "belongs_to": printable(row.owner.name) if row.owner is not row else None,
        "companion_role": row.companion_role.value if row.companion_role is not None else None,
    }


def rows_table(rows: Iterable[Row]) -> None:
    """Print rows for people: a photo with its movie and its sidecars is one line."""
    shown = table("File", "From", "Goes to", "Size", "Verdict", "Why")
    for row in rows:
        if row.owner is not row:
            continue
        more = f" {row.group.summary}" if row.group is not None and row.group.parts else ""
        shown.add_row(
            escape(printable(row.name) + more),
            row.location,
            row.destination.value.capitalize(),
            _size(row.size_bytes),
            f"[{_STYLES[row.state]}]{_verdict(row)}[/]",
            " ".join(
                [
                    row.reason.text,
                    *(f"{escape(printable(one.name))}: {one.reason.text}" for one in row.held_by),
                ]
            ),
        )
    console.print(shown)


def _verdict(row: Row) -> str:
    """Return the verdict; ``failed`` for a file that could not be read to check it."""
    return row.state.value if row.state is State.FAILED else row.verdict.action.value


def report_table(report: Report) -> None:
    """Print a report for people: a line for each file, the problems, the counts."""
    shown = table("File", "State", "Why")
    for outcome in report.outcomes:
        state = f"[{_STYLES[outcome.state]}]{outcome.state.value}[/]"
        shown.add_row(escape(printable(outcome.name)), state, _why(outcome))
    if shown.row_count:
        console.print(shown)
    for problem in report.problems:
        complain_of(problem)
    console.print(
        f"\n[bold]{report.listed}[/] listed = [green]{report.imported} imported[/] + "
        f"[cyan]{report.waiting} waiting[/] + [dim]{report.ignored} ignored[/] + "
        f"[red]{report.failed} failed[/]"
        + ("" if report.closes else "  [bold red]THE COUNTS DO NOT ADD UP[/]"),
        highlight=False,
    )


def finish(report: Report, *, json: bool) -> int:
    """Print a report, and return the exit code."""
    if json:
        as_json(report.to_dict())
    else:
        report_table(report)
    return code_of(report)


def code_of(report: Report) -> int:
    """Return the exit code of a report."""
    if any(problem.location in (RECORDS, LEDGER) for problem in report.problems):
        return RECORDS_FAILED
    if report.failed or report.stored:
        return FILES_FAILED
    return LOCATION_FAILED if report.problems else OK


def changes_dict(changes: Changes) -> dict[str, Any]:
    """Return the changes that ``watch`` reports as JSON values."""
    return {
        "new": [row_dict(row) for row in changes.new],
        "changed": [row_dict(row) for row in changes.changed],
        "gone": [{"name": printable(row.name), "source_id": row.source_id} for row in changes.gone],
        "moved": [outcome.to_dict() for outcome in changes.moved],
        "problems": [
            {"location": one.location, "source_id": one.source_id, "text": one.text}
            for one in changes.problems
        ],
    }


def print_changes(changes: Changes) -> None:
    """Print the changes that ``watch`` reports for people."""

    def line(sign: str, name: str, text: str) -> None:
        console.print(f"{sign} {printable(name)}  {text}", markup=False, highlight=False)

    for outcome in changes.moved:
        line("→", outcome.name, f"{outcome.state.value}: {outcome.reason.text}")
    for sign, rows in (("+", changes.new), ("~", changes.changed)):
        for row in rows:
            line(sign, row.name, f"{row.state.value}: {row.reason.text}")
    moved = {(outcome.source_id, outcome.name) for outcome in changes.moved}
    for row in changes.gone:
        if (row.source_id, row.name) not in moved:
            line("-", row.name, "no longer there")
    for problem in changes.problems:
        complain_of(problem)


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Show a progress bar on standard error, for people; yield None for programs."""
    if quiet or not _errors.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=_errors, transient=True) as bar:
        task = bar.add_task("", total=None)

        def update(now: Progress) -> None:
            bar.update(task, description=now.stage.value.capitalize(), completed=now.done, total=now.total)

        yield update


def _why(outcome: Outcome) -> str:
    """Return the reason, a doubt about the content that is not the reason itself, and the copy."""
    texts = [outcome.reason.text]
    if outcome.content is not None and outcome.content.doubt is not None:
        is_reason = outcome.content.doubt is outcome.reason
        texts = [outcome.content.text] if is_reason else [*texts, outcome.content.text]
    if outcome.duplicate_of is not None:
        where = "another patient's" if outcome.duplicate_elsewhere else "this patient's"
        texts.append(f"Attachment {escape(outcome.duplicate_of)} in {where} record has the same bytes.")
    if outcome.retry_helps:
        texts.append("Trying again may help.")
    return " ".join(texts)


def _size(size_bytes: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size_bytes < _STEP or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _STEP
    raise AssertionError("the loop ends at GB")
