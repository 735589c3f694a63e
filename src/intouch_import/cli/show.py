"""What people and programs see: tables, JSON documents, a progress bar."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from intouch_import.model import State, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from intouch_import.inbox import Row
    from intouch_import.model import Progress
    from intouch_import.reports import Outcome, Problem, Report

__all__ = [
    "as_json",
    "complain",
    "complain_of",
    "console",
    "progress",
    "report_table",
    "row_dict",
    "rows_table",
]

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
    # In one line, however narrow the window: what is searched for in a script's output is not cut in two.
    _errors.print(f"[bold red]intouch-import:[/] {escape(text)}", highlight=False, soft_wrap=True)


def complain_of(problem: Problem) -> None:
    """Print what is wrong with one location to standard error."""
    complain(f"{problem.location}: {problem.text}" if problem.location else problem.text)


def row_dict(row: Row) -> dict[str, Any]:
    """A row as JSON values."""
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
    }


def rows_table(rows: Iterable[Row]) -> None:
    """Print rows for people."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("File", overflow="fold")
    for heading in ("From", "Goes to", "Size", "Verdict", "Why"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            escape(printable(row.name)),
            row.location,
            row.destination.value.capitalize(),
            _size(row.size_bytes),
            f"[{_STYLES[row.state]}]{row.verdict.action.value}[/]",
            row.reason.text,
        )
    console.print(table)


def report_table(report: Report, *, only: set[State] | None = None) -> None:
    """Print a report for people: a line per file, problems, counts."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("File", overflow="fold")
    for heading in ("State", "Why"):
        table.add_column(heading)
    for outcome in report.outcomes:
        if only is None or outcome.state in only:
            table.add_row(
                escape(printable(outcome.name)),
                f"[{_STYLES[outcome.state]}]{outcome.state.value}[/]",
                _why(outcome),
            )
    if table.row_count:
        console.print(table)
    for problem in report.problems:
        complain_of(problem)
    console.print(
        f"\n[bold]{report.listed}[/] listed = [green]{report.imported} imported[/] + "
        f"[cyan]{report.waiting} waiting[/] + [dim]{report.ignored} ignored[/] + "
        f"[red]{report.failed} failed[/]"
        + ("" if report.closes else "  [bold red]THE COUNTS DO NOT CLOSE[/]"),
        highlight=False,
    )


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress bar on standard error, for people; None for programs."""
    if quiet or not _errors.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=_errors, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(now: Progress) -> None:
            bar.update(task, description=now.stage.value.capitalize(), completed=now.done, total=now.total)

        yield tell


def _why(outcome: Outcome) -> str:
    """The reason; what is wrong with the content, where that is not the reason itself; and copies."""
    said = [outcome.reason.text]
    if outcome.content is not None and outcome.content.doubt is not None:
        doubted = outcome.content.doubt is outcome.reason
        said = [outcome.content.text] if doubted else [*said, outcome.content.text]
    if outcome.duplicate_of is not None:
        where = "another patient's" if outcome.duplicate_elsewhere else "this patient's"
        said.append(f"Attachment {escape(outcome.duplicate_of)} in {where} record has the same bytes.")
    if outcome.retry_helps:
        said.append("Trying again may help.")
    return " ".join(said)


def _size(size_bytes: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size_bytes < _STEP or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _STEP
    raise AssertionError("the loop ends at GB")
