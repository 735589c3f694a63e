"""What a notebook shows of a plan, and keeps in its file: counts, never names, folders or pictures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["summary_html"]


def summary_html(files: int, *, mode: str, verdicts: Mapping[str, int], reasons: Mapping[str, int]) -> str:
    """Counts as HTML.

    Args:
        files: How many files there are.
        mode: ``"move"`` or ``"copy"``.
        verdicts: How many of them by verdict.
        reasons: How many of them by reason.
    """
    texts = {Reason(reason).text: number for reason, number in reasons.items()}
    return (
        f"<div><p><strong>Plan</strong> ({escape(mode)}): {files:,} file{'' if files == 1 else 's'}.</p>"
        f"{_table('verdict', verdicts)}{_table('reason', texts)}"
        "<p><small>Counts only, since a notebook is saved with what it shows. "
        "<code>intouch_import.jupyter.PlanWidget(plan, records)</code> shows the files.</small></p></div>"
    )


def _table(head: str, counts: Mapping[str, int]) -> str:
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{number:,}</td></tr>" for name, number in counts.items())
    return f"<table><thead><tr><th>{head}</th><th>files</th></tr></thead><tbody>{lines}</tbody></table>"
