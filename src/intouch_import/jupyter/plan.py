"""`PlanWidget`: review a migration plan in a notebook, override it and run it."""

from __future__ import annotations

import functools
import glob
import itertools
import threading
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import attrs
import traitlets

from intouch_import.errors import ConfigError
from intouch_import.jupyter.lines import reason_texts, sentence
from intouch_import.jupyter.pictures import PictureRequest
from intouch_import.jupyter.widget import PIXELS, Widget, script, style
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from intouch_import.migration import Plan, PlanRow
    from intouch_import.migration.run import Run
    from intouch_import.repositories.base import PatientRepository

__all__ = ["PlanWidget"]

_NEVER_OVERRIDDEN: Final = frozenset({"folder", "name", "path", "size", "destination", "number"})
_BARS: Final = 12
_SAMPLES: Final = 8
_ROWS_AT_ONCE: Final = 200
_NEAR_ROWS: Final = 4000
_SEND_EVERY_S: Final = 0.2
_FACETS: Final = ("verdict", "reason", "year", "patient", "size")


@attrs.frozen(kw_only=True)
class _Review:
    """The rows that the browser shows: those that match some conditions.

    Args:
        number: The number of the review; requests about another review are out of date.
        where: The conditions.
        rows: The numbers of the matching rows, 8 bytes each; None if there are no conditions.
        total: The count of matching rows.
    """

    number: int
    where: Mapping[str, Any]
    rows: array[int] | None
    total: int

    def numbers(self, start: int, stop: int) -> Sequence[int]:
        """Return the numbers of the rows at these positions."""
        places = range(max(0, start), min(stop, self.total))
        return places if self.rows is None else self.rows[places.start : places.stop]


class PlanWidget(Widget):
    """A plan in JupyterLab or Notebook 7: charts, filters, samples, overrides and the run.

    Args:
        plan: The plan.
        repository: The patient records, to search patients and to run the plan. Without them, the plan can be
            reviewed and overridden, but not run.
        operator: The member of staff who overrides and runs, as the host names its staff.
        height_px: Height of the widget, pixels.
        run_options: Other options of ``Plan.run``: limits, threads, hours.

    Attributes:
        plan: The plan.
        run: The last run; None before the first one.
    """

    _esm = script("common", "controls", "plan")
    _css = style("common", "inbox", "plan")
    height_px = traitlets.Int(720).tag(sync=True)

    def __init__(
        self,
        plan: Plan,
        repository: PatientRepository | None = None,
        *,
        operator: str | None = None,
        height_px: int = 720,
        **run_options: Any,
    ) -> None:
        super().__init__(height_px=height_px)
        self.plan = plan
        self.run: Run | None = None
        self._repository = repository
        self._operator = operator
        self._run_options = run_options
        self._numbers = itertools.count(1)
        self._reviewing = threading.Lock()
        self._wanted = 0
        self._review = _Review(number=0, where={}, rows=None, total=len(plan))
        self._handlers = {
            "open": self._on_open,
            "review": self._on_review,
            "window": self._on_window,
            "patients": lambda request: self._search_patients(self._repository, request),
            "decide": self._on_decide,
            "pictures": self._on_pictures,
            "run": self._on_run,
            "pause": lambda _: self._control("pause"),
            "resume": lambda _: self._control("resume"),
            "cancel": lambda _: self._control("cancel"),
        }

    def close(self) -> None:
        """End the threads of the widget. A run continues."""
        self._wanted = -1
        super().close()

    def __repr__(self) -> str:
        return f"<PlanWidget {self.plan!r}>"

    # --- requests from the browser, in the thread that runs cells: handlers must be short

    def _on_open(self, _request: Mapping[str, Any]) -> None:
        header = self.plan.header
        self._sender.send(
            {
                "kind": "hello",
                "total": len(self.plan),
                "mode": str(header.mode),
                "zone": header.zone,
                "reasons": reason_texts(),
                "runs": self._repository is not None,
            }
        )
        if self.run is not None:
            self._send_run(self.run)
        self._on_review({"where": {}})

    def _on_review(self, request: Mapping[str, Any]) -> None:
        where = {name: value for name, value in request["where"].items() if name in _FACETS and value}
        if request.get("path"):
            where["path"] = f"*{glob.escape(request['path'])}*"
        self._wanted = number = next(self._numbers)
        self._in_thread(functools.partial(self._survey, number, where), failed="The plan could not be read.")

    def _on_window(self, request: Mapping[str, Any]) -> None:
        self._in_thread(functools.partial(self._send_window, request), failed="The rows could not be read.")

    def _on_decide(self, request: Mapping[str, Any]) -> None:
        self._in_thread(
            functools.partial(self._decide, request),
            failed="The decision could not be saved.",
            ask=request["ask"],
        )

    def _control(self, action: str) -> None:
        if self.run is not None:
            getattr(self.run, action)()

    def _on_run(self, request: Mapping[str, Any]) -> None:
        work = functools.partial(self._run, dry=bool(request["dry"]))
        self._in_thread(work, failed="The plan could not be run.")

    def _on_pictures(self, request: Mapping[str, Any]) -> None:
        px = request["px"]
        if px not in PIXELS:
            return
        requests = [
            PictureRequest(
                place=(0, int(number)),
                key=str(number),
                px=px,
                make=functools.partial(self._picture, int(number), px),
            )
            for number in request["rows"]
        ]
        self._pictures.request(f"{request['view']} {request.get('for', '')} {px}", requests)

    # --- work, in other threads

    def _survey(self, number: int, where: Mapping[str, Any]) -> None:
        """Read the rows once: count them by each facet, and find those that match the conditions."""
        rows = array("q") if where else None
        with self._reviewing:
            found = self.plan.survey(
                where, by=_FACETS, numbers=rows, cancelled=lambda: number != self._wanted
            )
            if number != self._wanted:
                return  # there is a newer request
            self._review = review = _Review(number=number, where=where, rows=rows, total=found.total)
            samples = self.plan.sample(_SAMPLES, where={**where, "destination": "images"}, px=0)
        self._sender.send_large(
            {
                "kind": "reviewed",
                "review": review.number,
                "total": found.total,
                "size_bytes": found.size_bytes,
                "decisions": len(self.plan.overrides),
                "facets": {facet: _bars(facet, counts) for facet, counts in found.counts.items()},
                "samples": [sample.row.number for sample in samples],
            }
        )

    def _send_window(self, request: Mapping[str, Any]) -> None:
        review, start = self._review, int(request["start"])
        if request["review"] != review.number:
            return
        stop = min(int(request["stop"]), start + _ROWS_AT_ONCE)
        lines = [_line(row) for row in self._rows(review.numbers(start, stop))]
        self._sender.send_large({"kind": "window", "review": review.number, "start": start, "lines": lines})

    def _rows(self, numbers: Sequence[int]) -> Iterator[PlanRow]:
        """Yield rows by number. Rows that are near each other are read together."""
        if not numbers:
            return
        wanted = set(numbers)
        span = numbers[-1] - numbers[0] + 1
        runs: Iterable[tuple[int, int]] = (
            [(numbers[0], span)] if span <= _NEAR_ROWS else ((number, 1) for number in numbers)
        )
        for first, many in runs:
            yield from (row for row in self.plan.rows(limit=many, offset=first) if row.number in wanted)

    def _decide(self, request: Mapping[str, Any]) -> None:
        if request["review"] != self._review.number:
            raise ConfigError("the rows were selected again in the meantime: please decide again")
        row = request.get("row")
        where = {"number": int(row)} if row is not None else self._shown()
        decisions: dict[str, dict[str, Any]] = {
            "patient": {"patient": request.get("patient")},
            "accept_content": {"accept_content": True},
            "leave_out": {"leave_out": True},
            "restore": {"restore": True},
        }
        count = self.plan.override(where, by=self._operator, **decisions[request["decision"]])
        self._sender.send({"kind": "decided", "ask": request["ask"], "count": count})
        self._wanted = number = next(self._numbers)
        self._survey(number, self._review.where)

    def _shown(self) -> Mapping[str, Any]:
        """Return conditions that the shown rows meet as they were planned, before any override."""
        review = self._review
        if review.rows is None or review.where.keys() <= _NEVER_OVERRIDDEN or not self.plan.overrides:
            return review.where
        return {"number": review.rows.tolist()}

    def _picture(self, number: int, px: int) -> bytes | None:
        row = next(self.plan.rows(limit=1, offset=number), None)
        return self.plan.thumbnail(row, px=px) if row is not None else None

    def _run(self, *, dry: bool) -> None:
        if self._repository is None:
            raise ConfigError(
                "to run the plan, create the widget with the records: PlanWidget(plan, records)"
            )
        if self.run is not None and self.run.state in {"running", "paused"}:
            return
        self.run = run = self.plan.run(
            self._repository, dry_run=dry, operator=self._operator, **self._run_options
        )
        while run.state in {"running", "paused"}:
            self._send_run(run)
            run.wait(_SEND_EVERY_S)
        self._send_run(run)

    def _send_run(self, run: Run) -> None:
        progress = run.progress
        over = run.state not in {"running", "paused"}
        certificate = run.certificate if over else None
        self._sender.send(
            {
                "kind": "run",
                "state": run.state,
                "dry": run.dry,
                "problem": sentence(run.problem) if run.problem else None,
                "done": progress.done,
                "total": progress.total,
                "counts": dict(progress.counts),
                "reasons": [[reason, number] for reason, number in Counter(run.reasons).most_common(6)],
                "closes": certificate.closes if certificate is not None else None,
            }
        )


def _bars(facet: str, counts: Mapping[str, int]) -> list[list[Any]]:
    """Return the most frequent values; years in order."""
    from intouch_import.migration.review import NOBODY

    most = list(counts.items())[:_BARS]
    if facet == "patient":
        most = [("" if value == NOBODY else value, number) for value, number in most]
    return [[value, number] for value, number in (sorted(most) if facet == "year" else most)]


def _line(row: PlanRow) -> list[Any]:
    return [
        row.number,
        printable(row.folder),
        printable(row.name),
        row.size_bytes,
        row.patient,
        row.taken_at.timestamp() * 1000 if row.taken_at is not None else None,
        row.destination.value,
        row.verdict.value,
        row.reason.value,
    ]
