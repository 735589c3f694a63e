"""What was filed while a widget was open, so that it can be taken back."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.jupyter.lines import patient_of
from intouch_import.model import Patient, State, printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from intouch_import.reports import Outcome
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Filed", "FiledLately"]

_KEEP: Final = 200


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


class FiledLately:
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
