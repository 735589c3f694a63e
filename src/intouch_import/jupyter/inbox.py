"""`InboxWidget`: the list, as staff see it in a notebook."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from typing import TYPE_CHECKING, Any, Final

import attrs
import traitlets

from intouch_import.errors import FileUnreadable, SelectionError
from intouch_import.jupyter.lines import (
    RecentlyFiled,
    line_of,
    patient_of,
    problem_of,
    reason_texts,
    source_of,
)
from intouch_import.jupyter.pictures import Wish
from intouch_import.jupyter.widget import Ticker, Widget, script, style
from intouch_import.media.thumbnails import thumbnail_of
from intouch_import.model import Stage, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from intouch_import.inbox import Inbox, Row, SaveRequest
    from intouch_import.model import Progress
    from intouch_import.reports import Report
    from intouch_import.sources.base import Source

__all__ = ["InboxWidget"]

_LINES_AT_ONCE: Final = 500
_PATIENTS: Final = 12
_JOBS_KEPT: Final = 16
_REFRESHED: Final = "The list was refreshed meanwhile: please choose again."
_PX: Final = range(16, 2049)
# A whole file is read for its picture, and saving waits until that is done.
_PICTURE_OF_AT_MOST_BYTES: Final = 200 * 1024 * 1024


@attrs.frozen(kw_only=True)
class _Listed:
    """The list as the browser has it.

    Args:
        generation: Counts the lists; what is said of another one is out of date.
        rows: The rows.
        sources: The sources that they are in.
    """

    generation: int
    rows: Sequence[Row]
    sources: tuple[Source, ...]

    def line(self, index: int) -> list[Any]:
        row = self.rows[index]
        return line_of(row, source=self.sources.index(row.source))


class InboxWidget(Widget):
    """An inbox in JupyterLab or Notebook 7.

    Whatever takes time is done in other threads: the cell that shows the widget returns at once, and so does
    everything that is clicked. Nothing of what it shows is kept in the notebook.

    Args:
        inbox: The inbox. Other cells may use it meanwhile; after they have refreshed it, call `update`.
        refresh: Whether to refresh, and so to import what may be imported without a person, as soon as the
            widget is seen for the first time.
        pictures: Whether to show pictures. For each of those in view the whole file is read, which takes
            time and may cost money where files are far away.
        height_px: Height, pixels.

    Attributes:
        inbox: The inbox.
        report: What the last refresh or save did; None before.
    """

    _esm = script("common", "controls", "inbox_parts", "inbox")
    _css = style("common", "inbox")
    height_px = traitlets.Int(620).tag(sync=True)

    def __init__(
        self, inbox: Inbox, *, refresh: bool = True, pictures: bool = True, height_px: int = 620
    ) -> None:
        super().__init__(height_px=height_px)
        self.inbox = inbox
        self.report: Report | None = None
        self._refresh_when_seen = refresh
        self._shows_pictures = pictures
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._listed = _Listed(generation=0, rows=(), sources=inbox.sources)
        self._jobs: dict[int, tuple[_Listed, Sequence[int], SaveRequest]] = {}
        self._numbers = itertools.count(1)
        self._busy = {"refreshing": False, "saving": False}
        self._cancel = threading.Event()
        self._filed = RecentlyFiled(inbox.repository)
        self._acts = {
            "open": self._on_open,
            "refresh": lambda _: self.refresh(),
            "cancel": lambda _: self._cancel.set(),
            "patients": self._on_patients,
            "prepare": self._on_prepare,
            "drop": lambda said: self._jobs.pop(said["job"], None),
            "save": self._on_save,
            "undo": self._on_undo,
            "pictures": self._on_pictures,
        }

    def refresh(self) -> None:
        """Begin to refresh; if that is under way, nothing is done."""
        if self._begin("refreshing"):
            self._do(self._refresh, failed="The list could not be refreshed.")

    def update(self) -> None:
        """Show the inbox as it is now, after something else than this widget has refreshed it."""
        self._do(self._list_anew, failed="The list could not be shown.")

    def close(self) -> None:
        """Let go of threads. What is being saved is saved; what has not begun stays where it is."""
        self._cancel.set()
        super().close()

    def __repr__(self) -> str:
        return f"<InboxWidget {self.inbox!r}>"

    # --- what the browser says. It is heard in the thread that runs cells: nothing here may take time.

    def _on_open(self, _said: Mapping[str, Any]) -> None:
        fixed = self.inbox.patient
        self._sender.send(
            {
                "kind": "hello",
                "patient": patient_of(fixed) if fixed is not None else None,
                "reasons": reason_texts(),
                "zone": getattr(self.inbox.zone, "key", None),
                "pictures": self._shows_pictures,
            }
        )
        self._send_busy()
        if self._refresh_when_seen:
            self._refresh_when_seen = False
            self.refresh()
        elif self._listed.generation:
            self._do(self._send_list, failed="The list could not be shown.")
        else:
            self.update()

    def _on_patients(self, said: Mapping[str, Any]) -> None:
        def search() -> None:
            found = self.inbox.repository.search_patients(str(said["text"]), limit=_PATIENTS)
            patients = [patient_of(patient) for patient in found]
            self._sender.send({"kind": "patients", "ask": said["ask"], "patients": patients})

        self._do(search, failed="The patients could not be searched.", ask=said["ask"])

    def _on_prepare(self, said: Mapping[str, Any]) -> None:
        self._do(lambda: self._prepare(said), failed="The choice could not be checked.", ask=said["ask"])

    def _on_save(self, said: Mapping[str, Any]) -> None:
        # Taken out at once: a second click finds nothing to save.
        prepared = self._jobs.pop(said["job"], None)
        if prepared is not None and self._begin("saving"):
            self._do(functools.partial(self._save, *prepared), failed="The files could not be saved.")

    def _on_undo(self, said: Mapping[str, Any]) -> None:
        listed = self._listed
        if "id" not in said and said["generation"] != listed.generation:
            self._sender.send({"kind": "refused", "text": _REFRESHED})
            return
        import_id = said["id"] if "id" in said else listed.rows[said["row"]].import_id
        if self._begin("saving"):
            self._do(lambda: self._undo(import_id), failed="The file could not be taken back.")

    def _on_pictures(self, said: Mapping[str, Any]) -> None:
        listed, px = self._listed, said["px"]
        places = said["places"] if said["generation"] == listed.generation and px in _PX else []
        wishes = [
            Wish(
                place=(listed.generation, place),
                key=listed.rows[place].import_id,
                px=px,
                make=functools.partial(self._picture, listed.rows[place], px),
            )
            for place in places
            if 0 <= place < len(listed.rows)
        ]
        self._pictures.want(f"{said['view']} {px}", wishes if self._shows_pictures else [])

    # --- what is done, in threads of its own

    def _begin(self, what: str) -> bool:
        with self._lock:
            if self._busy[what]:
                return False
            self._busy[what] = True
            if sum(self._busy.values()) == 1:
                self._cancel.clear()
        self._send_busy()
        return True

    def _end(self, what: str) -> None:
        with self._lock:
            self._busy[what] = False
        self._send_busy()

    def _send_busy(self) -> None:
        self._sender.send({"kind": "busy", **self._busy})

    def _refresh(self, *, sign_in: bool = True) -> None:
        tick = Ticker(self._send_progress)
        waits = False

        def tell(progress: Progress) -> None:
            nonlocal waits
            if progress.stage is Stage.SIGNING_IN and not waits:
                waits = True
                self._list_anew()  # what is listed already can be saved while somebody signs in
            tick(progress)

        try:
            self.report = report = self.inbox.refresh(on_progress=tell, cancel=self._cancel, sign_in=sign_in)
            self._list_anew()
            self._filed.take(getattr(report.outcomes, "moved", report.outcomes), automatic=True)
            self._send_report("refreshed", report)
        finally:
            self._end("refreshing")

    def _prepare(self, said: Mapping[str, Any]) -> None:
        listed = self._listed
        indices = [int(index) for index in said["rows"]]
        if said["generation"] != listed.generation:
            raise SelectionError(_REFRESHED)
        job = self.inbox.prepare(
            [listed.rows[index] for index in indices],
            patient=said["patient"],
            title=said["title"],
            comments=said["comments"],
        )
        number = next(self._numbers)
        self._jobs[number] = (listed, indices, job)
        for oldest in list(self._jobs)[:-_JOBS_KEPT]:
            self._jobs.pop(oldest, None)
        self._sender.send(
            {
                "kind": "prepared",
                "ask": said["ask"],
                "job": number,
                "warning": job.warning,
                "count": job.count,
                "patient": patient_of(job.patient),
                "duplicates": len(job.duplicates),
                "elsewhere": sum(duplicate.elsewhere for duplicate in job.duplicates),
            }
        )

    def _save(self, listed: _Listed, indices: Sequence[int], job: SaveRequest) -> None:
        try:
            with self._pictures.at_rest():
                self.report = report = self.inbox.save(
                    job, on_progress=Ticker(self._send_progress), cancel=self._cancel
                )
            self._send_lines(listed, indices)
            self._filed.take(report.outcomes, automatic=False)
            self._send_report("saved", report, patient=patient_of(job.patient), title=job.title)
        finally:
            self._end("saving")

    def _undo(self, import_id: str) -> None:
        try:
            with self._pictures.at_rest():
                outcome = self.inbox.undo(import_id)
            if outcome.state is State.WAITING:
                self._filed.forget(import_id)
            self._sender.send(
                {
                    "kind": "undone",
                    "done": outcome.state is State.WAITING,
                    "text": outcome.reason.text,
                    "filed": self._filed.to_list(),
                }
            )
        finally:
            self._end("saving")
        if self._begin("refreshing"):  # the file is listed again
            self._refresh(sign_in=False)

    # --- what is sent

    def _list_anew(self) -> None:
        with self._listing:
            rows, sources = self.inbox.rows, self.inbox.sources
            with self._lock:
                generation = self._listed.generation + 1
                self._listed = _Listed(generation=generation, rows=rows, sources=sources)
        self._send_list()

    def _send_list(self) -> None:
        """Send the list, or as much of it as there is time for until there is another."""
        listed = self._listed
        head = {
            "kind": "list",
            "generation": listed.generation,
            "sources": [source_of(source) for source in listed.sources],
            "total": len(listed.rows),
            "filed": self._filed.to_list(),
        }
        for start in range(0, max(1, len(listed.rows)), _LINES_AT_ONCE):
            if listed is not self._listed:
                return
            indices = range(start, min(start + _LINES_AT_ONCE, len(listed.rows)))
            lines = [listed.line(index) for index in indices]
            first = head if start == 0 else {"kind": "lines", "generation": listed.generation}
            self._sender.send_large({**first, "start": start, "lines": lines})

    def _send_lines(self, listed: _Listed, indices: Sequence[int]) -> None:
        for start in range(0, len(indices), _LINES_AT_ONCE):
            some = [[index, listed.line(index)] for index in indices[start : start + _LINES_AT_ONCE]]
            self._sender.send_large({"kind": "changed", "generation": listed.generation, "lines": some})

    def _send_progress(self, progress: Progress) -> None:
        self._sender.send(
            {
                "kind": "progress",
                "stage": progress.stage.name.lower(),
                "text": str(progress),
                "done": progress.done,
                "total": progress.total,
            }
        )

    def _send_report(self, kind: str, report: Report, **more: Any) -> None:
        counts = ("listed", "imported", "stored", "waiting", "ignored", "failed", "closes")
        self._sender.send(
            {
                "kind": kind,
                **{name: getattr(report, name) for name in counts},
                "problems": [problem_of(problem) for problem in report.problems],
                "filed": self._filed.to_list(),
                **more,
            }
        )

    # --- rows

    def _picture(self, row: Row, px: int) -> bytes | None:
        with self._opened(row) as (stream, size_bytes):
            return thumbnail_of(stream, size_bytes=size_bytes, px=px)

    @contextlib.contextmanager
    def _opened(self, row: Row) -> Iterator[tuple[BinaryIO, int]]:
        """The bytes of a row, from its source or, once it is filed, from the records."""
        if row.size_bytes > _PICTURE_OF_AT_MOST_BYTES:
            raise FileUnreadable("too large to be read for a picture")
        if row.state in (State.IMPORTED, State.STORED):
            repository = self.inbox.repository
            stored = repository.find_attachment([row.import_id]).get(row.import_id)
            if stored is None:
                raise FileUnreadable("it is in the records no more")
            with repository.open_attachment(stored.id) as stream:
                yield stream, stored.size_bytes
        else:
            with row.source.fetch(row.file) as content, content.open() as stream:
                yield stream, content.size_bytes
