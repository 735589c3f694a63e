"""Plain JSON values for the browser: rows, patients, problems and filed files, with printable names."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.model import Action, Destination, Patient, Reason, State, printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from intouch_import.inbox import Row
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = [
    "Filed",
    "RecentlyFiled",
    "line_of",
    "patient_of",
    "problem_of",
    "reason_texts",
    "sentence",
    "source_of",
]

_KEEP: Final = 200

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


@attrs.frozen(kw_only=True)
class Filed:
    """One file in a patient's record."""

    import_id: str
    name: str = attrs.field(repr=False)
    patient: Patient
    title: str = attrs.field(default="", repr=False)
    at: datetime
    automatic: bool

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "id": self.import_id,
            "name": printable(self.name),
            "patient": patient_of(self.patient),
            "title": self.title,
            "at": self.at.timestamp() * 1000,
            "automatic": self.automatic,
        }


class RecentlyFiled:
    """The last two hundred files that were filed, newest first."""

    def __init__(self, repository: PatientRepository) -> None:
        self._repository = repository
        self._lock = threading.Lock()
        self._entries: deque[Filed] = deque(maxlen=_KEEP)

    def take(self, outcomes: Iterable[Outcome], *, automatic: bool) -> None:
        """Take those of the outcomes that are imports. The records are asked whose they are.

        Raises:
            RepositoryError: They can't be asked.
        """
        ids = [
            outcome.import_id
            for outcome in outcomes
            if outcome.state in (State.IMPORTED, State.STORED) and outcome.import_id is not None
        ][-_KEEP:]
        stored = self._repository.find_attachment(ids) if ids else {}
        patients = self._repository.find_patients({one.patient_id for one in stored.values()})
        with self._lock:
            for import_id in ids:
                if import_id in stored:
                    one = stored[import_id]
                    patient = patients.get(one.patient_id, Patient(id=one.patient_id))
                    self._entries.appendleft(
                        Filed(
                            import_id=import_id,
                            name=one.name,
                            patient=patient,
                            title=one.title,
                            at=one.stored_at,
                            automatic=automatic,
                        )
                    )

    def forget(self, import_id: str) -> None:
        """It was taken back."""
        with self._lock:
            left = [entry for entry in self._entries if entry.import_id != import_id]
            self._entries = deque(left, maxlen=_KEEP)

    def to_list(self) -> list[dict[str, Any]]:
        """The same as JSON values."""
        with self._lock:
            return [entry.to_dict() for entry in self._entries]
