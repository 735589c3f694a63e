"""JSON values for the browser: rows, patients, problems and filed files, with printable names."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from intouch_import.model import Action, Destination, Patient, Reason, State, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intouch_import.inbox import Row
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = [
    "RecentlyFiled",
    "line_of",
    "patient_of",
    "problem_of",
    "reason_texts",
    "sentence",
    "source_of",
]

_NEVER: Final = frozenset({Reason.EXTENSION_NOT_ALLOWED, Reason.EMPTY})
_MOST_FILED: Final = 200


def line_of(row: Row, *, source: int) -> list[Any]:
    """Return a row as a list without field names, because there may be many thousand.

    Args:
        row: The row.
        source: The position of its source in the list of sources.

    Returns:
        Name, source, size in bytes, milliseconds since 1970 or None, destination, status, reason, a doubt
        about the content, patient or None, title, whether the row can be selected, the files that belong to
        it in words, the names of files that may belong to it.
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
        _can_be_selected(row),
        row.group.summary if row.group is not None else "",
        _possible(row),
    ]


def patient_of(patient: Patient) -> dict[str, Any]:
    """Return the values by which a person recognises a patient."""
    return {"id": patient.id, "name": patient.name, "born": patient.birth_date, "active": patient.active}


def source_of(source: Source) -> dict[str, str]:
    """Return the location and the label of a source."""
    return {"location": source.location, "label": printable(source.label)}


def problem_of(problem: Problem) -> dict[str, Any]:
    """Return a location that failed, and why."""
    return {"location": problem.location, "text": sentence(problem.text), "retry_helps": problem.retry_helps}


def sentence(text: str) -> str:
    """Return the message of one of our errors as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def reason_texts() -> dict[str, str]:
    """Return the text of every reason."""
    return {reason.value: reason.text for reason in Reason}


def _status(row: Row) -> str:
    if row.state is not State.WAITING:
        return row.state.value
    return "arriving" if row.verdict.action is Action.ARRIVING else "waiting"


def _possible(row: Row) -> list[str]:
    if row.group is None:
        return []
    return [printable(other.name) for others in row.group.possible.values() for other, _ in others]


def _doubt(row: Row) -> str:
    texts = [f"{printable(one.name)}: {one.reason.text}" for one in row.held_by]
    content = row.content
    if content is not None and content.doubt is not None and content.doubt is not row.reason:
        texts.append(content.text)
    if row.duplicate_of is not None:
        where = "another" if row.duplicate_elsewhere else "this"
        texts.append(f"The same content is in {where} patient's record.")
    return " ".join(texts)


def _can_be_selected(row: Row) -> bool:
    """Return whether `Inbox.prepare` would accept the row."""
    return row.state in (State.WAITING, State.FAILED) and row.reason not in _NEVER


class RecentlyFiled:
    """The last 200 files that were filed while a widget was open, newest first. They can be undone."""

    def __init__(self, repository: PatientRepository) -> None:
        self._repository = repository
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []

    def add(self, outcomes: Iterable[Outcome], *, automatic: bool) -> None:
        """Add the imported files, with the patient and title in their records.

        Raises:
            RepositoryError: The records can't be read.
        """
        ids = [
            outcome.import_id
            for outcome in outcomes
            if outcome.state.is_in_record and outcome.import_id is not None
        ][-_MOST_FILED:]
        stored = self._repository.find_attachment(ids) if ids else {}
        patients = self._repository.find_patients({one.patient_id for one in stored.values()})
        added = [
            {
                "id": import_id,
                "name": printable(stored[import_id].name),
                "patient": patient_of(
                    patients.get(stored[import_id].patient_id, Patient(id=stored[import_id].patient_id))
                ),
                "title": stored[import_id].title,
                "at": stored[import_id].stored_at.timestamp() * 1000,
                "automatic": automatic,
            }
            for import_id in reversed(ids)
            # A photo stands for what belongs to it: an undo takes all of it back.
            if import_id in stored and stored[import_id].companion_of not in stored
        ]
        with self._lock:
            self._entries = (added + self._entries)[:_MOST_FILED]

    def drop(self, import_id: str) -> None:
        """Drop a file whose import was undone."""
        with self._lock:
            self._entries = [entry for entry in self._entries if entry["id"] != import_id]

    def to_list(self) -> list[dict[str, Any]]:
        """Return the files as JSON values."""
        with self._lock:
            return list(self._entries)
