"""From rows to orders for the move, and from its outcomes back to the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from intouch_import.inbox.undo import asking
from intouch_import.model import Action, Progress, Reason, Stage
from intouch_import.moving import Mover, Order
from intouch_import.verdicts import waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from intouch_import.inbox.rows import Job, Row
    from intouch_import.model import StoredAttachment
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Moved", "RowMover"]

# Looked up once: on the enums it would take as long as the rest of the comparison.
_NEED_NOBODY: Final = (Action.IMPORT, Action.FINISH)


class Moved(NamedTuple):
    """What a move of rows came to.

    Attributes:
        by_row: Outcomes by ``id(row)``.
        problems: One per location that failed.
    """

    by_row: dict[int, Outcome]
    problems: list[Problem]


class RowMover:
    """Moves rows: those that a person chose, and those that need none.

    Args:
        mover: Carries out the orders.
        repository: Asked what became of interrupted moves.
        operator: Who works with the list.
    """

    def __init__(self, mover: Mover, *, repository: PatientRepository, operator: str | None) -> None:
        self._mover = mover
        self._repository = repository
        self._operator = operator

    def take_untold(self) -> set[str]:
        """See `Mover.take_untold`."""
        return self._mover.take_untold()

    def import_ready(
        self, rows: Sequence[Row], tell: Callable[[Progress], None], cancel: threading.Event | None
    ) -> Moved:
        """Import the rows whose verdict says so, and finish interrupted moves."""
        ready = [row for row in rows if row.verdict.action in _NEED_NOBODY]
        with asking():
            stored = self._stored(ready)
        ready = [row for row in ready if _still_stored(row, stored)]
        orders = [self._order_of(row, stored.get(row.import_id)) for row in ready]
        outcomes, problems = self._move(orders, Stage.AUTO_IMPORTING, tell, cancel)
        for row, outcome in zip(ready, outcomes, strict=True):
            row.take(outcome)
        return Moved({id(row): outcome for row, outcome in zip(ready, outcomes, strict=True)}, problems)

    def save(
        self, job: Job, tell: Callable[[Progress], None], cancel: threading.Event | None
    ) -> tuple[list[Outcome], list[Problem]]:
        """Move what a person chose. One outcome per row, in order."""
        orders = [
            Order(
                source=row.source,
                file=row.file,
                patient_id=job.patient.id,
                provider_id=row.capture.provider if row.capture is not None else row.source.provider,
                destination=row.destination,
                title=job.title,
                comments=job.comments,
                taken_at=row.verdict.taken_at,
                operator=self._operator,
                reason=Reason.CHOSEN,
            )
            for row in job.rows
        ]
        outcomes, problems = self._move(orders, Stage.SAVING, tell, cancel)
        for row, outcome in zip(job.rows, outcomes, strict=True):
            row.take(outcome, job.patient, job.title)
        return outcomes, problems

    def _move(
        self,
        orders: Sequence[Order],
        stage: Stage,
        tell: Callable[[Progress], None],
        cancel: threading.Event | None,
    ) -> tuple[list[Outcome], list[Problem]]:
        if not orders:
            return [], []
        total_bytes = sum(order.file.size_bytes for order in orders)
        progress = Progress(stage=stage, done=0, total=len(orders), done_bytes=0, total_bytes=total_bytes)
        tell(progress)

        def on_done(outcomes: Sequence[Outcome], size_bytes: int) -> None:
            nonlocal progress
            progress = Progress(
                stage=stage,
                done=progress.done + len(outcomes),
                total=len(orders),
                done_bytes=progress.done_bytes + size_bytes,
                total_bytes=total_bytes,
            )
            tell(progress)

        cancelled = cancel.is_set if cancel is not None else lambda: False
        return self._mover.move(orders, on_done=on_done, cancelled=cancelled)

    def _stored(self, rows: Sequence[Row]) -> Mapping[str, StoredAttachment]:
        """What the repository holds of the interrupted moves among these rows."""
        ids = [row.import_id for row in rows if row.verdict.action is Action.FINISH]
        return self._repository.find_attachment(ids) if ids else {}

    def _order_of(self, row: Row, stored: StoredAttachment | None) -> Order:
        verdict = row.verdict
        if verdict.patient_id is None:
            raise AssertionError("a verdict to import names a patient")
        return Order(
            source=row.source,
            file=row.file,
            # Where it is stored now: it may have been reassigned since the list was made.
            patient_id=stored.patient_id if stored is not None else verdict.patient_id,
            provider_id=verdict.capture.provider if verdict.capture is not None else row.source.provider,
            destination=verdict.destination,
            taken_at=verdict.taken_at,
            operator=self._operator,
            reason=verdict.reason,
            automatic=True,
            stored=stored,
        )


def _still_stored(row: Row, stored: Mapping[str, StoredAttachment]) -> bool:
    """Whether an interrupted move can still be finished: another workstation may have undone it just now.

    Else it would be stored anew, for the patient whom somebody has just decided against.
    """
    if row.verdict.action is Action.FINISH and row.import_id not in stored:
        row.judge(waiting(row.name, Reason.UNDONE))
        return False
    return True
