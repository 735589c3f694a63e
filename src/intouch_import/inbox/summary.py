"""The output of an inbox in a notebook: only counts.

A notebook saves the output of its cells in its file, and people share such files. So the output contains no
file name, no picture and no folder name: folders of imaging towers are named after patients.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from intouch_import.model import Action, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from intouch_import.inbox.rows import Row

__all__ = ["summary_html"]

_COLUMNS = ("waiting", "arriving", "automatic", "saved", "failed", "ignored")
_REASONS = 8


def summary_html(rows: Sequence[Row], *, locations: Iterable[str], unopened: int = 0) -> str:
    """Return the numbers of files as HTML, by kind of location and by reason.

    Args:
        rows: The rows of the inbox.
        locations: The kinds of location of all sources, including those without rows.
        unopened: Number of locations that could not be opened.
    """
    counts: dict[str, Counter[str]] = {location: Counter() for location in locations}
    reasons: Counter[str] = Counter()
    for row in rows:
        column = _column(row)
        counts.setdefault(row.location, Counter())[column] += 1
        if column in {"waiting", "arriving", "failed"}:
            reasons[row.reason.text] += 1
    total = sum(counts.values(), Counter[str]())
    body = [_line("th", location, counts[location]) for location in sorted(counts)]
    if len(counts) != 1:
        body.append(_line("th", "total", total))
    files = f"{len(rows):,} file{'' if len(rows) == 1 else 's'}"
    parts = [
        f"<p><strong>Inbox</strong>: {files} listed.{_closed(unopened)}</p>",
        "<table><thead><tr><th>location</th>",
        *(f"<th>{name}</th>" for name in _COLUMNS),
        f"</tr></thead><tbody>{''.join(body)}</tbody></table>",
    ]
    if reasons:
        lines = (
            f"<li>{number:,} of them: {escape(text)}</li>" for text, number in reasons.most_common(_REASONS)
        )
        parts.append(f"<ul>{''.join(lines)}</ul>")
    parts.append(
        "<p><small>Only counts, because a notebook is saved with its output. "
        "<code>intouch_import.jupyter.InboxWidget(inbox)</code> shows the files.</small></p>"
    )
    return f"<div>{''.join(parts)}</div>"


def _column(row: Row) -> str:
    match row.state:
        case State.IMPORTED | State.STORED:
            return "saved"
        case State.IGNORED:
            return "ignored"
        case State.FAILED:
            return "failed"
        case _:
            by_action = {Action.ARRIVING: "arriving", Action.IMPORT: "automatic", Action.FINISH: "automatic"}
            return by_action.get(row.verdict.action, "waiting")


def _line(tag: str, name: str, counts: Counter[str]) -> str:
    cells = "".join(f"<td>{counts[column]:,}</td>" for column in _COLUMNS)
    return f"<tr><{tag}>{escape(name)}</{tag}>{cells}</tr>"


def _closed(unopened: int) -> str:
    if not unopened:
        return ""
    return f" {unopened} location{' is' if unopened == 1 else 's are'} not open."
