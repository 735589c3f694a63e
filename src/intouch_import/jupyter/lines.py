"""What of a row, a patient or a problem goes to the browser: plain JSON values, names made printable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intouch_import.model import Action, Destination, Patient, Reason, State, printable

if TYPE_CHECKING:
    from intouch_import.inbox import Row
    from intouch_import.reports import Problem
    from intouch_import.sources.base import Source

__all__ = ["line_of", "patient_of", "problem_of", "reason_texts", "sentence", "source_of"]

_NEVER = frozenset({Reason.EXTENSION_NOT_ALLOWED, Reason.EMPTY})


def line_of(row: Row, *, source: int) -> list[Any]:
    """A row, as the browser's list keeps it: one of many thousand, so without names of fields.

    Args:
        row: The row.
        source: Which of the sources it is in, by its place in their list.

    Returns:
        Name, source, size in bytes, milliseconds since 1970 or None, destination, status, reason, what is
        wrong with its content or where else it is, patient or None, title, whether it can be chosen.
    """
    return [
        printable(row.name),
        source,
        row.size_bytes,
        row.modified_at.timestamp() * 1000 if row.modified_at is not None else None,
        "images" if row.destination is Destination.IMAGES else "notes",
        _status(row),
        row.reason.value,
        _doubt(row),
        patient_of(row.patient) if row.patient is not None else None,
        row.title,
        _can_be_chosen(row),
    ]


def patient_of(patient: Patient) -> dict[str, Any]:
    """A patient, for people to recognise."""
    return {
        "id": patient.id,
        "name": patient.name,
        "born": patient.birth_date,
        "active": patient.active,
    }


def source_of(source: Source) -> dict[str, str]:
    """A source: what kind of place, and what people call it."""
    return {"location": source.location, "label": printable(source.label)}


def problem_of(problem: Problem) -> dict[str, Any]:
    """A location that failed."""
    return {"location": problem.location, "text": sentence(problem.text), "retry_helps": problem.retry_helps}


def sentence(text: str) -> str:
    """What one of our errors says, as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def reason_texts() -> dict[str, str]:
    """Every reason as a sentence."""
    return {reason.value: reason.text for reason in Reason}


def _status(row: Row) -> str:
    if row.state is not State.WAITING:
        return row.state.value
    return "arriving" if row.verdict.action is Action.ARRIVING else "waiting"


def _doubt(row: Row) -> str:
    said = []
    content = row.content
    if content is not None and content.doubt is not None and content.doubt is not row.reason:
        said.append(content.text)
    if row.duplicate_of is not None:
        where = "another" if row.duplicate_elsewhere else "this"
        said.append(f"The same bytes are in {where} patient's record.")
    return " ".join(said)


def _can_be_chosen(row: Row) -> bool:
    """What `Inbox.prepare` would not refuse for the row's own sake."""
    return row.state in (State.WAITING, State.FAILED) and row.reason not in _NEVER
