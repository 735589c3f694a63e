"""`InboxWidget`: the inbox that staff use in a notebook."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from typing import TYPE_CHECKING, Any, Final

import attrs
import traitlets

from intouch_import.errors import FileUnreadable, SelectionError
from intouch_import.inbox.doubts import described
from intouch_import.jupyter.lines import (
    RecentlyFiled,
    line_of,
    patient_of,
    problem_of,
    reason_texts,
    source_of,
)
from intouch_import.jupyter.pictures import PictureRequest
from intouch_import.jupyter.widget import PIXELS, Widget, script, style, throttled
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
_MOST_PREPARED: Final = 16
_NOT_CONFIRMED: Final = "A file may be another patient's, and nobody has confirmed it. Nothing was saved."
_REFRESHED: Final = "The list was refreshed in the meantime. Please choose again."
# The whole file is read for its picture, and saving waits until it is read.
_PICTURE_OF_AT_MOST_BYTES: Final = 200 * 1024 * 1024


@attrs.frozen(kw_only=True)
class _Listed:
    """The list that the browser shows.

    Args:
        generation: The number of the list; requests about another list are out of date.
        rows: The rows.
        sources: The sources of the rows.
    """

    generation: int
    rows: Sequence[Row]
    sources: tuple[Source, ...]

    def line(self, index: int) -> list[Any]:
        row = self.rows[index]
        return line_of(row, source=self.sources.index(row.source))


class InboxWidget(Widget):
    """An inbox in JupyterLab or Notebook 7.

    All work runs in other threads, so that cells and clicks return at once. Nothing that the widget shows is
    saved with the notebook.

    Args:
        inbox: The inbox. Other cells may use it at the same time; call `update` after they refresh it.
        refresh: Whether to refresh, which also runs the automatic import, when the widget is first shown.
        pictures: Whether to show pictures. Each visible picture reads its whole file, which takes time, and
            may cost money for files in a cloud.
        height_px: Height of the widget, pixels.

    Attributes:
        inbox: The inbox.
        report: The report of the last refresh or save; None before the first one.
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
        self._prepared: dict[int, tuple[_Listed, Sequence[int], SaveRequest]] = {}
        self._numbers = itertools.count(1)
        self._busy = {"refreshing": False, "saving": False}
        self._cancel = threading.Event()
        self._filed = RecentlyFiled(inbox.repository)
        self._handlers = {
            "open": self._on_open,
            "refresh": lambda _: self.refresh(),
            "cancel": lambda _: self._cancel.set(),
            "patients": lambda request: self._search_patients(self.inbox.repository, request),
            "prepare": self._on_prepare,
            "drop": lambda request: self._prepared.pop(request["job"], None),
            "save": self._on_save,
            "undo": self._on_undo,
            "pictures": self._on_pictures,
        }

    def refresh(self) -> None:
        """Start a refresh, unless one is running."""
        if self._begin("refreshing"):
            self._in_thread(self._refresh, failed="The list could not be refreshed.")

    def update(self) -> None:
        """Show the current list, after other code has refreshed the inbox."""
        self._in_thread(self._list_again, failed="The list could not be shown.")

    def close(self) -> None:
        """End the threads. Files that are being saved are finished; the others stay where they are."""
        self._cancel.set()
        super().close()

    def __repr__(self) -> str:
        return f"<InboxWidget {self.inbox!r}>"

    # --- requests from the browser, in the thread that runs cells: handlers must be short

    def _on_open(self, _request: Mapping[str, Any]) -> None:
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
            self._in_thread(self._send_list, failed="The list could not be shown.")
        else:
            self.update()

    def _on_prepare(self, request: Mapping[str, Any]) -> None:
        self._in_thread(
            lambda: self._prepare(request), failed="The selection could not be checked.", ask=request["ask"]
        )

    def _on_save(self, request: Mapping[str, Any]) -> None:
        # Remove it at once, so that a second click has nothing to save.
        prepared = self._prepared.pop(request["job"], None)
        if prepared is None:
            return
        if prepared[2].needs_confirmation and request.get("confirmed") is not True:
            self._sender.send({"kind": "refused", "text": _NOT_CONFIRMED})
        elif self._begin("saving"):
            self._in_thread(functools.partial(self._save, *prepared), failed="The files could not be saved.")

    def _on_undo(self, request: Mapping[str, Any]) -> None:
        listed = self._listed
        if "id" not in request and request["generation"] != listed.generation:
            self._sender.send({"kind": "refused", "text": _REFRESHED})
            return
        import_id = request["id"] if "id" in request else listed.rows[request["row"]].import_id
        if self._begin("saving"):
            self._in_thread(lambda: self._undo(import_id), failed="The import could not be undone.")

    def _on_pictures(self, request: Mapping[str, Any]) -> None:
        listed, px = self._listed, request["px"]
        places = request["places"] if request["generation"] == listed.generation and px in PIXELS else []
        requests = [
            PictureRequest(
                place=(listed.generation, place),
                key=listed.rows[place].import_id,
                px=px,
                make=functools.partial(self._picture, listed.rows[place], px),
            )
            for place in places
            if 0 <= place < len(listed.rows)
        ]
        self._pictures.request(f"{request['view']} {px}", requests if self._shows_pictures else [])

    # --- work, in other threads

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
        send_progress = throttled(self._send_progress)
        waits = False

        def report_progress(progress: Progress) -> None:
            nonlocal waits
            if progress.stage is Stage.SIGNING_IN and not waits:
                waits = True
                self._list_again()  # files that are already listed can be saved during the sign-in
            send_progress(progress)

        try:
            self.report = report = self.inbox.refresh(
                on_progress=report_progress, cancel=self._cancel, sign_in=sign_in
            )
            self._list_again()
            self._filed.add(getattr(report.outcomes, "moved", report.outcomes), automatic=True)
            self._send_report("refreshed", report)
        finally:
            self._end("refreshing")

    def _prepare(self, request: Mapping[str, Any]) -> None:
        listed = self._listed
        indices = [int(index) for index in request["rows"]]
        if request["generation"] != listed.generation:
            raise SelectionError(_REFRESHED)
        job = self.inbox.prepare(
            [listed.rows[index] for index in indices],
            patient=request["patient"],
            title=request["title"],
            comments=request["comments"],
        )
        number = next(self._numbers)
        self._prepared[number] = (listed, indices, job)
        for oldest in list(self._prepared)[:-_MOST_PREPARED]:
            self._prepared.pop(oldest, None)
        self._sender.send(
            {
                "kind": "prepared",
                "ask": request["ask"],
                "job": number,
                "warning": job.warning,
                "summary": job.summary,
                "doubts": [
                    {"kind": doubt.kind.value, "severity": doubt.severity.value, "text": doubt.text}
                    for doubt in job.doubts
                ],
                "confirm": job.needs_confirmation,
                "count": job.count,
                "patient": patient_of(job.patient),
                "described": described(job.patient),
            }
        )

    def _save(self, listed: _Listed, indices: Sequence[int], job: SaveRequest) -> None:
        try:
            with self._pictures.at_rest():
                self.report = report = self.inbox.save(
                    job, on_progress=throttled(self._send_progress), cancel=self._cancel
                )
            self._send_lines(listed, indices)
            self._filed.add(report.outcomes, automatic=False)
            self._send_report("saved", report, patient=patient_of(job.patient), title=job.title)
        finally:
            self._end("saving")

    def _undo(self, import_id: str) -> None:
        try:
            with self._pictures.at_rest():
                outcome = self.inbox.undo(import_id)
            if outcome.state is State.WAITING:
                self._filed.drop(import_id)
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

    # --- messages

    def _list_again(self) -> None:
        with self._listing:
            # A photo stands for its movie and its sidecars: they are saved and undone with it.
            rows = [row for row in self.inbox.rows if row.owner is row]
            sources = self.inbox.sources
            with self._lock:
                generation = self._listed.generation + 1
                self._listed = _Listed(generation=generation, rows=rows, sources=sources)
        self._send_list()

    def _send_list(self) -> None:
        """Send the list in parts, until all is sent or there is a newer list."""
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
        """Open the file of a row, in its source or, if it is filed, in the records."""
        if row.size_bytes > _PICTURE_OF_AT_MOST_BYTES:
            raise FileUnreadable("the file is too large to be read for a picture")
        if row.state.is_in_record:
            repository = self.inbox.repository
            stored = repository.find_attachment([row.import_id]).get(row.import_id)
            if stored is None:
                raise FileUnreadable("the file is no longer in the records")
            with repository.open_attachment(stored.id) as stream:
                yield stream, stored.size_bytes
        else:
            with row.source.fetch(row.file) as content, content.open() as stream:
                yield stream, content.size_bytes
