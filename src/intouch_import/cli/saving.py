"""What a person is asked and shown before and after a save."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from intouch_import.cli import show
from intouch_import.errors import SelectionError
from intouch_import.inbox import Severity
from intouch_import.inbox.doubts import described
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.inbox import SaveRequest
    from intouch_import.reports import Report

__all__ = ["confirm", "patient_and_doubts", "show_patient"]


def confirm(request: SaveRequest, *, yes: bool, other_patient: bool, json: bool) -> None:
    """Show whom the files go to and every doubt, and ask whether to proceed if an option has not answered.

    Args:
        request: What would be saved.
        yes: Whether the option ``--yes`` was given: it answers everything but the question below.
        other_patient: Whether files that may be another patient's were confirmed.
        json: Whether standard output is for JSON alone, so that nothing can be asked.

    Raises:
        SelectionError: A question is open, and nobody can be asked.
        click.Abort: The answer was no.
    """
    missing = []
    if request.needs_confirmation and not other_patient:
        missing.append("--other-patient")
    others = [doubt for doubt in request.doubts if doubt.severity is not Severity.CONFIRM]
    if (len(request.chosen) > 1 or others) and not yes:
        missing.append("--yes")
    text = request.warning or request.summary
    if not missing:
        if not json:
            show.console.print(show.escape(text), highlight=False)
        return
    if json or not sys.stdin.isatty():
        show.complain(text)
        raise SelectionError(f"nothing was moved: confirm this with {' and '.join(missing)}")
    click.confirm(f"{text} Proceed?", abort=True)


def show_patient(requests: Sequence[SaveRequest], report: Report) -> None:
    """Print whose record the files are in now, if any could be saved."""
    if not requests:
        return
    number = report.imported
    files = "1 file is" if number == 1 else f"{number} files are"
    show.console.print(
        show.escape(f"{files} in the record of {described(requests[0].patient)}."), highlight=False
    )


def patient_and_doubts(requests: Sequence[SaveRequest]) -> dict[str, Any]:
    """Return the patient and the doubts as JSON values; nothing if no file could be saved."""
    if not requests:
        return {}
    patient = requests[0].patient
    return {
        "patient": {
            "id": patient.id,
            "name": patient.name,
            "birth_date": patient.birth_date,
            "active": patient.active,
        },
        "doubts": [
            {
                "kind": doubt.kind.value,
                "severity": doubt.severity.value,
                "text": doubt.text,
                "names": [printable(row.name) for row in doubt.rows],
                "patient": doubt.patient.id if doubt.patient is not None else None,
                "evidence": doubt.evidence.value if doubt.evidence is not None else None,
            }
            for request in requests
            for doubt in request.doubts
        ],
    }
