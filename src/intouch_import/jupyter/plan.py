"""`PlanWidget`: what is to become of an archive, to be looked at, decided about and carried out."""

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
from intouch_import.jupyter.lines import patient_of, reason_texts, sentence
from intouch_import.jupyter.pictures import Wish
from intouch_import.jupyter.widget import Widget, script, style
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from intouch_import.migration import Plan, PlanRow
    from intouch_import.migration.run import Run
    from intouch_import.repositories.base import PatientRepository

__all__ = ["PlanWidget"]

_PATIENTS: Final = 12
_BARS: Final = 12
_SAMPLES: Final = 8
_ROWS_AT_ONCE: Final = 200
_NEAR_ROWS: Final = 4000
_TELL_EVERY_S: Final = 0.2
_PX: Final = range(16, 2049)
_FACETS: Final = ("verdict", "reason", "year", "patient", "size")


@attrs.frozen(kw_only=True)
class _Review:
    """The rows that meet some conditions, as the browser looks at them.

    Args:
        number: Counts the reviews; what is said of another one is out of date.
        where: The conditions.
        rows: Numbers of the rows that meet them, 8 bytes each; None if there are no conditions.
        total: How many there are.
    """

    number: int
    where: Mapping[str, Any]
    rows: array[int] | None
    total: int

    def numbers(self, start: int, stop: int) -> Sequence[int]:
        """The numbers of the rows at these places."""
        places = range(max(0, start), min(stop, self.total))
        return places if self.rows is None else self.rows[places.start : places.stop]


class PlanWidget(Widget):
    """A plan in JupyterLab or Notebook 7: charts, filters, samples, decisions, and its run.

    Args:
        plan: The plan.
        repository: The patient records, to find patients in and to run the plan into. None: the plan can be
            looked at and decided about, not run.
        operator: Who decides and runs, as the host names its staff.
        height_px: Height, pixels.
        run_options: Anything else that ``Plan.run`` takes: limits, threads, hours.

    Attributes:
        plan: The plan.
        run: What was begun last; None before.
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
        self._acts = {
            "open": self._on_open,
            "review": self._on_review,
            "window": lambda said: self._do(
                functools.partial(self._send_window, said), failed="The rows could not be read."
            ),
            "patients": self._on_patients,
            "decide": self._on_decide,
            "pictures": self._on_pictures,
            "run": lambda said: self._do(
                functools.partial(self._run, dry=bool(said["dry"])), failed="The plan could not be run."
            ),
            "pause": lambda _: self._order("pause"),
            "resume": lambda _: self._order("resume"),
            "cancel": lambda _: self._order("cancel"),
        }

    def close(self) -> None:
        """Let go of threads. A run goes on: it is the plan's, not the widget's."""
        self._wanted = -1
        super().close()

    def __repr__(self) -> str:
        return f"<PlanWidget {self.plan!r}>"

    # --- what the browser says

    def _on_open(self, _said: Mapping[str, Any]) -> None:
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

    def _on_review(self, said: Mapping[str, Any]) -> None:
        where = {name: value for name, value in said["where"].items() if name in _FACETS and value}
        if said.get("path"):
            where["path"] = f"*{glob.escape(said['path'])}*"
        self._wanted = number = next(self._numbers)
        self._do(functools.partial(self._look, number, where), failed="The plan could not be read.")

    def _on_patients(self, said: Mapping[str, Any]) -> None:
        def search() -> None:
            found = (
                self._repository.search_patients(str(said["text"]), limit=_PATIENTS)
                if self._repository is not None
                else ()
            )
            patients = [patient_of(patient) for patient in found]
            self._sender.send({"kind": "patients", "ask": said["ask"], "patients": patients})

        self._do(search, failed="The patients could not be searched.", ask=said["ask"])

    def _on_decide(self, said: Mapping[str, Any]) -> None:
        self._do(
            functools.partial(self._decide, said), failed="The decision could not be kept.", ask=said["ask"]
        )

    def _order(self, order: str) -> None:
        if self.run is not None:
            getattr(self.run, order)()

    def _on_pictures(self, said: Mapping[str, Any]) -> None:
        px = said["px"]
        if px not in _PX:
            return
        wishes = [
            Wish(
                place=(0, int(number)),
                key=str(number),
                px=px,
                make=functools.partial(self._picture, int(number), px),
            )
            for number in said["rows"]
        ]
        self._pictures.want(f"{said['view']} {said.get('for', '')} {px}", wishes)

    # --- what is done, in threads of its own

    def _look(self, number: int, where: Mapping[str, Any]) -> None:
        """Go through the rows once: what there is of each kind, and which rows meet the conditions."""
        rows = array("q") if where else None
        with self._reviewing:
            found = self.plan.survey(
                where, by=_FACETS, numbers=rows, cancelled=lambda: number != self._wanted
            )
            if number != self._wanted:
                return  # somebody has asked for something else meanwhile
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

    def _send_window(self, said: Mapping[str, Any]) -> None:
        review, start = self._review, int(said["start"])
        if said["review"] != review.number:
            return
        stop = min(int(said["stop"]), start + _ROWS_AT_ONCE)
        lines = [_line(row) for row in self._rows(review.numbers(start, stop))]
        self._sender.send_large({"kind": "window", "review": review.number, "start": start, "lines": lines})

    def _rows(self, numbers: Sequence[int]) -> Iterator[PlanRow]:
        """Rows by number. Those that lie near each other are read at once."""
        if not numbers:
            return
        wanted = set(numbers)
        span = numbers[-1] - numbers[0] + 1
        runs: Iterable[tuple[int, int]] = (
            [(numbers[0], span)] if span <= _NEAR_ROWS else ((number, 1) for number in numbers)
        )
        for first, many in runs:
            yield from (row for row in self.plan.rows(limit=many, offset=first) if row.number in wanted)

    def _decide(self, said: Mapping[str, Any]) -> None:
        if said["review"] != self._review.number:
            raise ConfigError("the plan was looked at anew meanwhile: please decide again")
        row = said.get("row")
        where = {"number": int(row)} if row is not None else self._review.where
        decisions: dict[str, dict[str, Any]] = {
            "patient": {"patient": said.get("patient")},
            "leave_out": {"leave_out": True},
            "restore": {"restore": True},
        }
        count = self.plan.override(where, by=self._operator, **decisions[said["decision"]])
        self._sender.send({"kind": "decided", "ask": said["ask"], "count": count})
        self._wanted = number = next(self._numbers)
        self._look(number, self._review.where)

    def _picture(self, number: int, px: int) -> bytes | None:
        row = next(self.plan.rows(limit=1, offset=number), None)
        return self.plan.thumbnail(row, px=px) if row is not None else None

    def _run(self, *, dry: bool) -> None:
        if self._repository is None:
            raise ConfigError("to run a plan, give the widget the records: PlanWidget(plan, records)")
        if self.run is not None and self.run.state in {"running", "paused"}:
            return
        self.run = run = self.plan.run(
            self._repository, dry_run=dry, operator=self._operator, **self._run_options
        )
        while run.state in {"running", "paused"}:
            self._send_run(run)
            run.wait(_TELL_EVERY_S)
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
    """The most frequent kinds; years in their order."""
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
