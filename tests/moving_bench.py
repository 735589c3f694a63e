"""A practice with a mover, and ways to let its parts go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intouch_import.clock import Clock
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Destination, Reason, State, import_id
from intouch_import.moving import MoveOrder, Mover
from miniature import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.sql import SqlRepository
    from intouch_import.sources import Source
    from miniature import Practice


def raising(exc: BaseException) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise exc

    return fail


class Bench:
    """A practice with a mover and orders for every file in its folder."""

    def __init__(self, practice: Practice, *names: str) -> None:
        self.practice = practice
        for name in names:
            practice.photo(name)
        self.records: SqlRepository = practice.records()
        self.ledger = Ledger(self.records.engine)
        self.source: Source = practice.source()

    def orders(self, **options: Any) -> list[MoveOrder]:
        files = sorted(self.source.scan(), key=lambda file: file.name)
        options = {
            "patient_id": "10042",
            "destination": Destination.IMAGES,
            "reason": Reason.CHOSEN,
            **options,
        }
        return [
            MoveOrder(
                source=self.source,
                file=file,
                import_id=import_id(self.source.source_id, file.name, file.version),
                **options,
            )
            for file in files
        ]

    def mover(self, **options: Any) -> Mover:
        return Mover(self.records, self.ledger, clock=Clock(now=lambda: NOW), **options)

    def move(
        self, orders: Sequence[MoveOrder] | None = None, **options: Any
    ) -> tuple[list[Outcome], list[Problem]]:
        mover = self.mover()
        return mover.move(self.orders() if orders is None else orders, **options)

    def told(self, orders: Sequence[MoveOrder] | None = None, **options: Any) -> list[tuple[State, Reason]]:
        return [(outcome.state, outcome.reason) for outcome in self.move(orders, **options)[0]]

    def events(self) -> list[Event]:
        return [entry.event for entry in self.ledger.entries()]

    def stored(self, patient: str = "10042") -> list[str]:
        return [stored.name for stored in self.records.attachments(patient)]


class Wrapped:
    """The patient records, with one method of a test's own."""

    def __init__(self, records: SqlRepository, **methods: Callable[..., Any]) -> None:
        self._records = records
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._records, name)


def wrap(bench: Bench, **methods: Callable[..., Any]) -> None:
    bench.records = Wrapped(bench.records, **methods)  # type: ignore[assignment]
