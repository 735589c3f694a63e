"""The list and what staff do with it: R1 to R9 of the reference product."""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.clock import Clock
from intouch_import.errors import (
    ConfigError,
    FileUnreadable,
    LedgerError,
    MixedDestinations,
    NameRefused,
    NotSupported,
    RepositoryError,
    SelectionError,
    SourceUnavailable,
    StillArriving,
    UnknownPatient,
    UnsuitableText,
)
from intouch_import.filenames import CaptureNaming
from intouch_import.inbox import Inbox
from intouch_import.ledger import Event, Ledger, LedgerEntry
from intouch_import.model import Action, Destination, Patient, Progress, Reason, Stage, State
from intouch_import.repositories.base import PatientRepository
from intouch_import.secret import pseudonym
from intouch_import.sources.local import LocalSource
from intouch_import.testing import MemoryRepository
from miniature import NOW, PATIENTS, PROVIDERS, HostRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from intouch_import.model import SourceFile
    from intouch_import.reports import Outcome, Report
    from intouch_import.repositories.sql import SqlRepository
    from intouch_import.sources import Source
    from miniature import Practice

    Reasons = Callable[[Report], dict[str, tuple[str, str]]]

AUTO = "10042_DRJ_20260131_142501.jpg"
OTHER = "10043_DRJ_20260201_080000.jpg"


class ScriptedClock:
    """A monotonic clock that only `sleep` moves; what happens during a sleep is scripted."""

    def __init__(self, *during: Callable[[], object]) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []
        self._during = list(during)

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        if self._during:
            self._during.pop(0)()

    def options(self, settle_s: float = 2.0) -> dict[str, Any]:
        return {
            "settle_s": settle_s,
            "clock": Clock(now=lambda: NOW, monotonic_s=self.monotonic_s, sleep=self.sleep),
        }


# --- refresh


def test_a_file_whose_name_says_whose_it_is_is_moved_without_a_person(
    practice: Practice, reasons: Reasons
) -> None:
    """R8: it is stored for that patient with its time, no title, no comments, and has left the source."""
    practice.photo(AUTO)
    records = practice.records()
    inbox = practice.inbox(records=records, zone="Australia/Sydney", operator="op")
    report = inbox.refresh()
    assert reasons(report) == {AUTO: ("imported", "capture_name")}
    assert report.closes
    assert practice.left() == []
    assert inbox.rows == []
    (stored,) = records.attachments("10042")
    assert (stored.title, stored.comments, stored.destination) == ("", "", Destination.IMAGES)
    assert stored.taken_at == datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)
    assert (stored.provider_id, stored.operator) == ("DRJ", "op")


def test_a_movie_goes_to_notes_by_itself(practice: Practice) -> None:
    """R8: a movie with a capture name becomes an external document."""
    movie = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x08moov" + b"\0\0\0\x08mdat"
    practice.photo("10042_DRJ_20260131_142501.mp4", movie)
    records = practice.records()
    practice.inbox(records=records).refresh()
    assert [stored.destination for stored in records.attachments("10042")] == [Destination.NOTES]


def test_every_entry_is_listed_and_the_counts_close(practice: Practice, reasons: Reasons) -> None:
    """Whatever is in the folder is in the report once, with a reason, and listed = the sum of the rest."""
    for name in (AUTO, "plain.jpg", ".hidden.jpg", "x.jpg.part", "Thumbs.db"):
        practice.photo(name)
    practice.photo("empty.jpg", b"")
    (practice.photos / "folder.jpg").mkdir()
    (practice.photos / "link.jpg").symlink_to(practice.photos / "plain.jpg")
    inbox = practice.inbox()
    report = inbox.refresh()
    assert reasons(report) == {
        AUTO: ("imported", "capture_name"),
        "plain.jpg": ("waiting", "no_capture_name"),
        ".hidden.jpg": ("ignored", "hidden"),
        "x.jpg.part": ("ignored", "unfinished_download"),
        "Thumbs.db": ("ignored", "system_file"),
        "empty.jpg": ("waiting", "empty"),
        "folder.jpg": ("ignored", "folder"),
        "link.jpg": ("ignored", "link"),
    }
    assert (report.listed, report.imported, report.waiting, report.ignored, report.failed) == (8, 1, 2, 5, 0)
    assert report.closes
    assert [row.name for row in inbox.rows] == sorted(set(reasons(report)) - {AUTO})


def test_ignored_entries_have_no_import_id(practice: Practice) -> None:
    """What is ignored is no import; everything else carries the id it would be stored under."""
    practice.photo(".hidden")
    practice.photo("plain.jpg")
    inbox = practice.inbox()
    outcomes = {outcome.name: outcome for outcome in inbox.refresh().outcomes}
    assert outcomes[".hidden"].import_id is None
    (row,) = (row for row in inbox.rows if row.name == "plain.jpg")
    assert outcomes["plain.jpg"].import_id == row.import_id


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("99999_DRJ_20260131_142501.jpg", Reason.PATIENT_UNKNOWN),
        ("10044_DRJ_20260131_142501.jpg", Reason.PATIENT_INACTIVE),
        ("10042_DRX_20260131_142501.jpg", Reason.PROVIDER_UNKNOWN),
        ("10042_DRJ_20260231_142501.jpg", Reason.TIME_IMPOSSIBLE),
        ("10042_DRJ_20270131_142501.jpg", Reason.TIME_IN_FUTURE),
    ],
)
def test_doubtful_names_wait_with_the_reason(practice: Practice, name: str, reason: Reason) -> None:
    """Promise 3: anything in doubt stays where it is and waits for a person."""
    path = practice.photo(name)
    inbox = practice.inbox()
    report = inbox.refresh()
    assert [(o.state, o.reason) for o in report.outcomes] == [(State.WAITING, reason)]
    assert path.exists()
    assert inbox.rows[0].verdict.action is Action.WAIT


def test_another_providers_file_waits(practice: Practice) -> None:
    """A name that claims another provider than the folder's is not imported by itself."""
    practice.photo(AUTO)
    report = practice.inbox(practice.source(provider="DRK")).refresh()
    assert [o.reason for o in report.outcomes] == [Reason.OTHER_PROVIDER]


def test_auto_import_can_be_off(practice: Practice) -> None:
    """R9: with automatic import off such files wait in the list, and a person can save them."""
    practice.photo(AUTO)
    records = practice.records()
    inbox = practice.inbox(records=records, auto_import=False)
    report = inbox.refresh()
    assert [(o.state, o.reason) for o in report.outcomes] == [(State.WAITING, Reason.AUTO_IMPORT_OFF)]
    assert inbox.rows[0].capture is not None
    saved = inbox.save(inbox.prepare(inbox.rows, patient="10043"))
    assert saved.imported == 1
    (stored,) = records.attachments("10043")
    assert stored.taken_at == datetime(2026, 1, 31, 14, 25, 1, tzinfo=UTC)


def test_scan_moves_nothing_and_writes_nothing(practice: Practice) -> None:
    """A scan shows what a refresh would do, and does none of it."""
    path = practice.photo(AUTO)
    inbox = practice.inbox()
    before = inbox.ledger.tail()
    assert inbox.scan() == []
    assert [row.verdict.action for row in inbox.rows] == [Action.IMPORT]
    assert path.exists()
    assert inbox.ledger.tail() == before
    assert inbox.refresh().imported == 1


def test_a_patient_who_appears_later_gets_the_file(practice: Practice, reasons: Reasons) -> None:
    """A file of an unknown patient is imported at the first refresh after the patient was added."""
    name = "77777_DRJ_20260131_142501.jpg"
    practice.photo(name)
    records = practice.records()
    inbox = practice.inbox(records=records)
    assert reasons(inbox.refresh())[name] == ("waiting", "patient_unknown")
    records.add_patient(Patient(id="77777", name="New"))
    assert reasons(inbox.refresh())[name] == ("imported", "capture_name")


def test_a_time_that_has_come_is_no_longer_in_the_future(practice: Practice) -> None:
    """The clock is asked at each refresh."""
    practice.photo(AUTO)
    now = datetime(2026, 1, 31, 14, 25, 0, tzinfo=UTC)
    inbox = practice.inbox(clock=Clock(now=lambda: now))
    assert inbox.refresh().outcomes[0].reason is Reason.TIME_IN_FUTURE
    now += timedelta(seconds=1)
    assert inbox.refresh().imported == 1


def test_refused_content_is_not_read_again(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that is not what its name says waits, and is read again only once it has changed."""
    path = practice.photo(AUTO, b"<html>not a photo</html>")
    fetched = []
    fetch = LocalSource.fetch
    monkeypatch.setattr(
        LocalSource, "fetch", lambda self, file, **kw: fetched.append(1) or fetch(self, file, **kw)
    )
    inbox = practice.inbox()
    for _ in range(3):
        report = inbox.refresh()
        assert [o.reason for o in report.outcomes] == [Reason.CONTENT_NOT_AS_NAMED]
        assert report.closes
    assert len(fetched) == 1
    path.unlink()
    practice.photo(AUTO)
    assert inbox.refresh().imported == 1


def test_refused_content_can_be_saved_by_a_person(practice: Practice) -> None:
    """A person who has looked at it may save what automatic import refuses."""
    practice.photo(AUTO, b"<html>not a photo</html>")
    inbox = practice.inbox()
    inbox.refresh()
    assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1


def test_rows_show_the_files_as_listed(practice: Practice) -> None:
    """A row offers what a list shows."""
    path = practice.photo("plain.png", b"12345")
    source = practice.source(provider="DRJ")
    inbox = practice.inbox(source)
    inbox.refresh()
    (row,) = inbox.rows
    assert (row.name, row.location, row.source_id, row.size_bytes) == (
        "plain.png",
        "local",
        source.source_id,
        5,
    )
    assert row.destination is Destination.IMAGES
    assert row.modified_at is not None
    assert abs(row.modified_at.timestamp() - path.stat().st_mtime) < 1e-5
    assert (row.capture, row.patient, row.title, row.state) == (None, None, "", State.WAITING)


def test_rows_are_kept_while_files_do_not_change(practice: Practice) -> None:
    """A row whose file has not changed is the same row after a refresh; a changed file has a new one."""
    practice.photo("a.jpg")
    path = practice.photo("b.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    first = inbox.rows
    path.write_bytes(b"other bytes")
    inbox.refresh()
    second = inbox.rows
    assert second[0] is first[0]
    assert second[1] is not first[1]


def test_progress_is_told_and_its_failure_harms_nothing(practice: Practice) -> None:
    """R8: the caller is told that auto-import runs; a callback that raises does not stop it."""
    practice.photo(AUTO)
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        told.append(progress)
        raise RuntimeError("the window is gone")

    report = practice.inbox().refresh(on_progress=tell)
    assert report.imported == 1
    importing = [progress for progress in told if progress.stage is Stage.AUTO_IMPORTING]
    assert [(p.done, p.total) for p in importing] == [(0, 1), (1, 1)]
    assert importing[-1].done_bytes == importing[-1].total_bytes
    assert str(importing[-1]) == "Auto-importing: 1 of 1 files"


def test_cancelled_files_stay_and_come_with_the_next_refresh(practice: Practice, reasons: Reasons) -> None:
    """Once cancelled, files not yet begun stay where they are; the next refresh imports them."""
    practice.photo(AUTO)
    inbox = practice.inbox()
    cancel = threading.Event()
    cancel.set()
    report = inbox.refresh(cancel=cancel)
    assert reasons(report) == {AUTO: ("waiting", "cancelled")}
    assert report.closes
    assert report.outcomes[0].retry_helps
    assert practice.left() == [AUTO]
    assert inbox.refresh().imported == 1


def test_an_interrupted_move_that_was_cancelled_is_finished_by_the_next_refresh(
    practice: Practice, reasons: Reasons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored file whose removal was cancelled is not forgotten by this inbox."""
    practice.photo("plain.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", _raise(FileUnreadable("busy")))
        assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).stored == 1
    cancel = threading.Event()
    cancel.set()
    assert reasons(inbox.refresh(cancel=cancel)) == {"plain.jpg": ("waiting", "cancelled")}
    assert reasons(inbox.refresh()) == {"plain.jpg": ("imported", "interrupted")}


# --- locations that fail


class Dead(LocalSource):
    """A location that can't be listed, from the n-th listing on."""

    def __init__(self, path: Path, exc: Exception, *, after: int = 0) -> None:
        super().__init__(str(path))
        self.exc, self.after, self.scans = exc, after, 0

    def scan(self) -> Iterator[SourceFile]:
        self.scans += 1
        if self.scans > self.after:
            raise self.exc
        yield from super().scan()


@pytest.mark.parametrize("exc", [SourceUnavailable("the server is not reached"), RuntimeError("a bug")])
def test_a_dead_location_never_stops_the_others(practice: Practice, exc: Exception) -> None:
    """Promise 5: the other source is imported and listed; the dead one is a problem without a path."""
    practice.photo(AUTO)
    second = practice.root / "second"
    second.mkdir()
    dead = Dead(second, exc)
    report = practice.inbox(dead, practice.source()).refresh()
    assert report.imported == 1
    assert report.closes
    (problem,) = report.problems
    assert (problem.source_id, problem.location) == (dead.source_id, "local")
    assert str(practice.root) not in problem.text


@pytest.mark.parametrize("exc", [SourceUnavailable("the server is not reached"), RuntimeError("a bug")])
def test_a_location_that_dies_while_files_settle_never_stops_the_others(
    practice: Practice, exc: Exception
) -> None:
    """When the second look fails, nothing of that location is imported, and the others are."""
    second = practice.root / "second"
    second.mkdir()
    practice.photo(AUTO)
    practice.photo(OTHER, folder=second)
    clock = ScriptedClock()
    report = practice.inbox(Dead(second, exc, after=1), practice.source(), **clock.options()).refresh()
    assert report.imported == 1
    assert report.closes
    assert (second / OTHER).exists()


def test_files_of_a_location_that_was_dead_while_they_settled_are_imported_later(practice: Practice) -> None:
    """A passing failure of the second look delays files; it does not keep them for ever."""
    practice.photo(AUTO)
    clock = ScriptedClock()
    source = Dead(practice.photos, SourceUnavailable("gone for a moment"), after=1)
    inbox = practice.inbox(source, **clock.options())
    assert inbox.refresh().waiting == 1
    source.after = 100
    clock.now_s += 60
    assert inbox.refresh().imported == 1


def test_records_that_cannot_be_asked_stop_the_refresh_and_nothing_is_moved(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the records nothing is judged: the refresh raises, and the next one works."""
    practice.photo(AUTO)
    records = practice.records()
    inbox = practice.inbox(records=records)
    with monkeypatch.context() as patched:
        patched.setattr(records, "find_attachment", _raise(RepositoryError("the database failed")))
        with pytest.raises(RepositoryError):
            inbox.refresh()
    assert practice.left() == [AUTO]
    assert inbox.refresh().imported == 1


# --- settling


def test_files_seen_lately_are_waited_for_once_all_together(practice: Practice) -> None:
    """One wait serves all files; those that kept size and time are then imported."""
    second = practice.root / "second"
    second.mkdir()
    practice.photo(AUTO)
    practice.photo(OTHER, folder=second)
    clock = ScriptedClock()
    told: list[Progress] = []
    inbox = practice.inbox(practice.source(), practice.source(second), **clock.options())
    report = inbox.refresh(on_progress=told.append)
    assert report.imported == 2
    assert clock.slept == [2.0]
    assert Stage.SETTLING in {progress.stage for progress in told}


def test_a_growing_file_waits_and_is_imported_once_it_keeps_still(
    practice: Practice, reasons: Reasons
) -> None:
    """A file that grows while it is watched is not imported; when it has stopped growing, it is."""
    whole = jpeg_of(practice)
    path = practice.photo(AUTO, whole[:100])

    def grow() -> None:
        path.write_bytes(whole)

    clock = ScriptedClock(grow)
    inbox = practice.inbox(**clock.options())
    report = inbox.refresh()
    assert reasons(report) == {AUTO: ("waiting", "still_arriving")}
    assert report.outcomes[0].retry_helps
    assert reasons(inbox.refresh()) == {AUTO: ("imported", "capture_name")}


def test_a_file_that_vanishes_while_it_settles_leaves_the_list(practice: Practice) -> None:
    """A file that is gone after the wait is neither listed nor missed."""
    path = practice.photo(AUTO)
    inbox = practice.inbox(**ScriptedClock(path.unlink).options())
    report = inbox.refresh()
    assert report.listed == 0
    assert inbox.rows == []


def test_a_file_that_is_emptied_or_replaced_by_a_link_while_it_settles_is_not_imported(
    practice: Practice, reasons: Reasons
) -> None:
    """The second look judges what stands there then."""
    one, two = practice.photo(AUTO), practice.photo(OTHER)

    def swap() -> None:
        one.write_bytes(b"")
        two.unlink()
        two.symlink_to(one)
        practice.photo("new.jpg")

    report = practice.inbox(**ScriptedClock(swap).options()).refresh()
    assert reasons(report) == {AUTO: ("waiting", "empty"), OTHER: ("ignored", "link")}


def test_a_location_that_commits_whole_files_is_not_waited_for(practice: Practice) -> None:
    """Where a file appears only when it is complete, nothing settles."""
    practice.photo(AUTO)
    source = practice.source()
    source.commits_whole = True
    clock = ScriptedClock()
    assert practice.inbox(source, **clock.options()).refresh().imported == 1
    assert clock.slept == []


def test_what_has_settled_is_not_waited_for_again(practice: Practice) -> None:
    """A second refresh of unchanged files does not wait."""
    practice.photo("plain.jpg")
    clock = ScriptedClock()
    inbox = practice.inbox(**clock.options())
    inbox.refresh()
    inbox.refresh()
    assert clock.slept == [2.0]


def test_saving_an_unsettled_row_waits_first(practice: Practice) -> None:
    """A row that has not settled is waited for before it is saved, and refused if it changed."""
    path = practice.photo("plain.jpg", b"half")
    clock = ScriptedClock(lambda: path.write_bytes(b"halfhalf"), lambda: path.write_bytes(b"whole file"))
    inbox = practice.inbox(**clock.options())
    inbox.refresh()
    (row,) = inbox.rows
    assert not row.settled
    report = inbox.save(inbox.prepare([row], patient="10042"))
    assert len(clock.slept) == 2
    assert [o.reason for o in report.outcomes] == [Reason.CHANGED]
    assert path.read_bytes() == b"whole file"


def jpeg_of(practice: Practice) -> bytes:
    path = practice.photo("tmp.jpg")
    content = path.read_bytes()
    path.unlink()
    return content


# --- prepare and save


def test_saving_one_file_moves_it_and_the_row_shows_it(practice: Practice) -> None:
    """R5 and R6: title and comments are stored, the row shows them; after a refresh it is gone."""
    practice.photo("plain.jpg")
    records = practice.records()
    inbox = practice.inbox(records=records, operator="op")
    inbox.refresh()
    (row,) = inbox.rows
    job = inbox.prepare([row], patient="10042", title="Left forearm", comments="3 cm")
    assert (job.warning, job.count, job.destination) == (None, 1, Destination.IMAGES)
    told: list[Progress] = []
    report = inbox.save(job, on_progress=told.append)
    assert report.closes
    assert report.imported == 1
    assert {progress.stage for progress in told} == {Stage.SAVING}
    assert row.patient is not None
    assert (row.patient.name, row.title, row.state, row.reason) == (
        "Ada Marsh", "Left forearm", State.IMPORTED, Reason.CHOSEN,
    )  # fmt: skip
    assert practice.left() == []
    assert inbox.rows == [row]
    (stored,) = records.attachments("10042")
    assert (stored.title, stored.comments, stored.operator) == ("Left forearm", "3 cm", "op")
    assert inbox.refresh().listed == 0
    assert inbox.rows == []


def test_several_files_are_saved_for_one_patient_after_a_warning(practice: Practice) -> None:
    """R7: the same title and comments for all, and a warning that says how many and whose."""
    for number in range(3):
        practice.photo(f"IMG_{number}.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    job = inbox.prepare(inbox.rows, patient="10042", title="Left forearm")
    assert job.warning == "3 images will be saved to Ada Marsh (10042) with the same title."
    assert inbox.save(job).imported == 3


def test_warnings_say_what_is_unusual(practice: Practice) -> None:
    """No title is not called the same title; documents are called documents; an inactive patient is told."""
    practice.photo("a.pdf", b"%PDF-1.4 %%EOF")
    practice.photo("b.pdf", b"%PDF-1.5 %%EOF")
    inbox = practice.inbox()
    inbox.refresh()
    job = inbox.prepare(inbox.rows, patient=Patient(id="10044"))
    assert job.warning == (
        "2 documents will be saved to Chiara Lindqvist (10044). "
        "Chiara Lindqvist (10044) is not an active patient."
    )
    assert inbox.prepare(inbox.rows[:1], patient="10042").warning is None


def test_images_and_other_documents_do_not_mix(practice: Practice) -> None:
    """R7: a mixed choice is refused, and the error says which are which."""
    practice.photo("a.jpg")
    practice.photo("b.pdf")
    inbox = practice.inbox()
    inbox.refresh()
    with pytest.raises(MixedDestinations) as caught:
        inbox.prepare(inbox.rows, patient="10042")
    assert (caught.value.images, caught.value.others) == (("a.jpg",), ("b.pdf",))


def test_a_refused_choice_says_which_files_stand_in_the_way(practice: Practice) -> None:
    """A screen can mark them; the text names none of them."""
    practice.photo("IMG_1.jpg")
    practice.photo("empty.jpg", b"")
    practice.photo("empty too.jpg", b"")
    inbox = practice.inbox()
    inbox.refresh()
    with pytest.raises(SelectionError, match="still empty") as caught:
        inbox.prepare(inbox.rows, patient="10042")
    assert sorted(caught.value.names) == ["empty too.jpg", "empty.jpg"]
    assert "too" not in str(caught.value)
    before = inbox.rows
    practice.photo("IMG_1.jpg")
    inbox.refresh()
    with pytest.raises(SelectionError, match="not in the list") as caught:
        inbox.prepare([row for row in before if row.name == "IMG_1.jpg"], patient="10042")
    assert caught.value.names == ("IMG_1.jpg",)
    with pytest.raises(SelectionError) as caught:
        inbox.prepare([], patient="10042")
    assert caught.value.names == ()


def test_a_mistaken_call_is_not_blamed_on_the_records(practice: Practice) -> None:
    """Ids instead of rows, or None for a title, are mistakes of the caller, and are told as such."""
    practice.photo("IMG_1.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    with pytest.raises(ConfigError, match=r"rows of Inbox\.rows"):
        inbox.prepare([row.import_id for row in inbox.rows], patient="10042")
    with pytest.raises(TypeError):
        inbox.prepare(inbox.rows, patient="10042", title=None)


def test_a_failure_in_the_records_says_where_it_was(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes a repository finds the line that failed, and no patient in what is printed."""
    practice.photo("IMG_1.jpg")
    records = practice.records()
    inbox = practice.inbox(records=records)
    inbox.refresh()
    monkeypatch.setattr(records, "find_patient", _raise(KeyError("10042")))
    with pytest.raises(RepositoryError) as caught:
        inbox.prepare(inbox.rows, patient="10042")
    assert caught.value.kind == "KeyError"
    assert caught.value.where is not None
    assert caught.value.where.startswith(f"{__name__}:")
    assert any("KeyError at" in note for note in caught.value.__notes__)


def test_choices_that_cannot_be_saved_are_refused(practice: Practice) -> None:
    """Nothing chosen, a row twice, an ignored entry, a saved file, a row of another list, no such patient."""
    practice.photo("a.jpg")
    practice.photo(".hidden")
    records = practice.records()
    inbox = practice.inbox(records=records)
    inbox.refresh()
    hidden, row = inbox.rows
    with pytest.raises(SelectionError, match="no file is selected"):
        inbox.prepare([], patient="10042")
    with pytest.raises(SelectionError, match="twice"):
        inbox.prepare([row, row], patient="10042")
    with pytest.raises(SelectionError, match="This is a hidden file"):
        inbox.prepare([hidden], patient="10042")
    with pytest.raises(UnknownPatient):
        inbox.prepare([row], patient="10042 ")
    other = practice.inbox(records=records)
    other.refresh()
    with pytest.raises(SelectionError, match="refreshed"):
        other.prepare([row], patient="10042")
    inbox.save(inbox.prepare([row], patient="10042"))
    with pytest.raises(SelectionError, match="saved already"):
        inbox.prepare([row], patient="10042")


@pytest.mark.parametrize(
    ("title", "comments"), [("x" * 501, ""), ("", "x" * 20_001), ("a\0b", ""), ("", "\ud800"), ("\udfff", "")]
)
def test_text_that_cannot_be_stored_is_refused(practice: Practice, title: str, comments: str) -> None:
    """Titles and comments that a database can't keep are refused before anything is moved."""
    practice.photo("a.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    with pytest.raises(UnsuitableText):
        inbox.prepare(inbox.rows, patient="10042", title=title, comments=comments)


def test_the_longest_texts_are_stored_whole(practice: Practice) -> None:
    """500 characters of title and 20,000 of comments, of any script, come back as they were."""
    practice.photo("a.jpg")
    records = practice.records()
    inbox = practice.inbox(records=records)
    inbox.refresh()
    title, comments = "\N{GRINNING FACE}" * 500, "';--%_\n\u202e" * 2500
    inbox.save(inbox.prepare(inbox.rows, patient="10042", title=title, comments=comments))
    (stored,) = records.attachments("10042")
    assert (stored.title, stored.comments) == (title, comments)


def test_two_inboxes_save_one_file_for_different_patients(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 2: the second gets an error that says so, and the first one's record stands."""
    practice.photo("a.jpg")
    records = practice.records()
    one, two = practice.inbox(records=records), practice.inbox(records=records)
    one.refresh()
    two.refresh()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", _raise(FileUnreadable("busy")))
        assert one.save(one.prepare(one.rows, patient="10042")).stored == 1
    report = two.save(two.prepare(two.rows, patient="10043"))
    assert [(o.state, o.reason) for o in report.outcomes] == [(State.FAILED, Reason.ALREADY_ASSIGNED)]
    assert records.attachments("10043") == []
    assert len(records.attachments("10042")) == 1


def test_two_inboxes_refresh_at_once(practice: Practice) -> None:
    """Two workstations that refresh the same folder store every file once."""
    names = [f"10042_DRJ_20260131_1425{number:02}.jpg" for number in range(20)]
    for name in names:
        practice.photo(name)
    reports: list[Report] = []
    threads = [threading.Thread(target=lambda: reports.append(practice.inbox().refresh())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 2
    assert all(report.closes for report in reports)
    assert practice.left() == []
    records = practice.records()
    assert sorted(stored.name for stored in records.attachments("10042")) == names
    assert practice.inbox(records=records).ledger.verify() == []


def test_a_row_of_a_vanished_file_fails_alone(practice: Practice) -> None:
    """One bad file never stops the others."""
    gone = practice.photo("a.jpg")
    practice.photo("b.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    gone.unlink()
    report = inbox.save(inbox.prepare(inbox.rows, patient="10042"))
    assert [(o.state, o.reason) for o in report.outcomes] == [
        (State.FAILED, Reason.VANISHED),
        (State.IMPORTED, Reason.CHOSEN),
    ]


# --- interrupted moves


def _interrupt(practice: Practice, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store a file and stop before it is taken out of its source, as a crash would."""
    practice.photo(name)
    inbox = practice.inbox()
    inbox.refresh()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", _raise(FileUnreadable("busy")))
        rows = [row for row in inbox.rows if row.name == name]
        assert inbox.save(inbox.prepare(rows, patient="10042")).stored == 1


def test_an_interrupted_move_is_finished(
    practice: Practice, reasons: Reasons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored and still in its source leaves it at the next refresh, in this inbox or another."""
    _interrupt(practice, "a.jpg", monkeypatch)
    inbox = practice.inbox()
    assert reasons(inbox.refresh()) == {"a.jpg": ("imported", "interrupted")}
    assert practice.left() == []


def test_a_move_whose_last_ledger_line_is_missing_is_written_down_later(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored and gone from the source means moved: the ledger hears of it at the next refresh, once."""
    _interrupt(practice, "a.jpg", monkeypatch)
    (practice.photos / "a.jpg").unlink()
    for _ in range(2):
        inbox = practice.inbox()
        inbox.refresh()
        events = [entry.event for entry in inbox.ledger.entries()]
        assert events.count(Event.MOVED) == 1


@pytest.mark.parametrize("exc", [LedgerError("the disk is full"), KeyboardInterrupt()])
@pytest.mark.parametrize("work", ["refresh", "save"])
def test_a_last_line_that_is_missing_is_written_by_an_inbox_that_is_at_work(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, work: str, exc: BaseException
) -> None:
    """However long it has been open: nobody has to start it anew for the ledger to hear of what it moved."""
    inbox = practice.inbox()
    inbox.refresh()
    practice.photo(AUTO)
    inbox.scan()
    append = Ledger.append

    def fail(ledger: Ledger, entries: Iterable[LedgerEntry]) -> None:
        written = list(entries)
        if any(entry.event is Event.MOVED for entry in written):
            raise exc
        append(ledger, written)

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(Ledger, "append", fail)
        if work == "refresh":
            inbox.refresh()
        else:
            inbox.save(inbox.prepare(inbox.rows, patient="10043"))
    assert practice.left() == []
    for _ in range(2):
        inbox.refresh()
        events = [(entry.event, entry.reason) for entry in inbox.ledger.entries()]
        assert events[1:] == [(Event.MOVED, "interrupted")]


def test_a_removal_that_had_an_effect_though_it_failed_is_written_down_later(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was lost, or staff took the file away by hand: the next refresh finds it gone, and says so."""
    inbox = practice.inbox()
    inbox.refresh()
    practice.photo(AUTO)
    remove = LocalSource.remove

    def lose(*args: Any, **options: Any) -> None:
        remove(*args, **options)
        raise SourceUnavailable("the connection was cut", source_id="")

    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", lose)
        assert inbox.refresh().stored == 1
    inbox.refresh()
    assert [entry.event for entry in inbox.ledger.entries()] == [
        Event.STORED,
        Event.NOT_REMOVED,
        Event.MOVED,
    ]


@pytest.mark.parametrize("name", ["a.jpg", "a\nb.jpg"])
def test_the_ledger_never_says_moved_while_the_file_is_here(
    practice: Practice, name: str, monkeypatch: pytest.MonkeyPatch, reasons: Reasons
) -> None:
    """Whatever its name is made of, a stored file that stands in its source is not called moved."""
    _interrupt(practice, name, monkeypatch)
    inbox = practice.inbox()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", _raise(FileUnreadable("busy")))
        assert inbox.refresh().stored == 1
    assert Event.MOVED not in {entry.event for entry in inbox.ledger.entries()}
    assert reasons(practice.inbox().refresh()) == {name: ("imported", "interrupted")}


def test_a_file_that_reappears_waits_for_a_person(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was moved and is here again, the same version, is not stored or removed by itself."""
    path = practice.photo(AUTO)
    kept = practice.root / "kept.jpg"
    kept.hardlink_to(path)
    assert practice.inbox().refresh().imported == 1
    kept.rename(path)
    inbox = practice.inbox()
    report = inbox.refresh()
    assert [(o.state, o.reason) for o in report.outcomes] == [(State.WAITING, Reason.REAPPEARED)]
    assert path.exists()


def test_a_file_that_was_moved_while_it_was_listed_did_not_reappear(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen by the listing and moved by another workstation before its import id was looked up: it is gone."""
    practice.photo(AUTO)
    practice.photo("other.jpg")
    records = practice.records()
    scan = LocalSource.scan
    other = practice.inbox(records=practice.records())
    first: list[int] = []

    def listed_then_moved(self: LocalSource) -> Any:
        files = list(scan(self))
        if not first:
            first.append(1)
            assert other.refresh().imported == 1
        return iter(files)

    monkeypatch.setattr(LocalSource, "scan", listed_then_moved)
    inbox = practice.inbox(records=records)
    report = inbox.refresh()
    assert [row.name for row in inbox.rows] == ["other.jpg"]
    assert (report.listed, report.closes) == (1, True)


def test_a_file_that_cannot_be_looked_at_again_is_shown_as_it_was_listed(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A location that fails at that moment does not hide a file that reappeared."""
    path = practice.photo(AUTO)
    os.link(path, practice.root / "kept")
    inbox = practice.inbox()
    assert inbox.refresh().imported == 1
    os.link(practice.root / "kept", path)

    def fail(*_args: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(LocalSource, "look", fail)
    assert inbox.refresh().outcomes[0].reason is Reason.REAPPEARED


# --- browse


def test_browse_opens_any_folder_for_one_patient(practice: Practice, reasons: Reasons) -> None:
    """R4: the folder's files can be saved to that patient alone, and none is imported by itself."""
    tower = practice.root / "tower" / "Marsh, Ada"
    tower.mkdir(parents=True)
    practice.photo(AUTO, folder=tower)
    practice.photo("scope.jpg", folder=tower)
    inbox = practice.inbox()
    browsed = inbox.browse(tower, patient="10043")
    assert {row.name: row.reason for row in browsed.rows} == {
        AUTO: Reason.AUTO_IMPORT_OFF,
        "scope.jpg": Reason.NO_CAPTURE_NAME,
    }
    with pytest.raises(SelectionError, match="another patient"):
        browsed.prepare(browsed.rows, patient="10042")
    assert browsed.save(browsed.prepare(browsed.rows, patient="10043")).imported == 2
    with pytest.raises(UnknownPatient):
        inbox.browse(tower, patient="1")
    with pytest.raises(SourceUnavailable):
        inbox.browse(tower / "none", patient="10042")
    assert inbox.browse(practice.source(tower), patient=Patient(id="10042")).rows == []


# --- undo


def test_undo_puts_the_file_back_and_it_waits(practice: Practice, reasons: Reasons) -> None:
    """The bytes are back under the name, the record is without it, and no refresh imports it again."""
    content = practice.photo(AUTO).read_bytes()
    records = practice.records()
    inbox = practice.inbox(records=records)
    (outcome,) = inbox.refresh().outcomes
    back = inbox.undo(outcome)
    assert (back.state, back.reason) == (State.WAITING, Reason.UNDONE)
    assert (practice.photos / AUTO).read_bytes() == content
    assert records.attachments("10042") == []
    for again in (inbox, practice.inbox(records=records)):
        assert reasons(again.refresh()) == {AUTO: ("waiting", "undone")}
    assert inbox.save(inbox.prepare(inbox.rows, patient="10043")).imported == 1
    assert inbox.ledger.verify() == []


def test_undo_never_overwrites(practice: Practice) -> None:
    """If a file of that name stands there, the undo fails and the record is as it was."""
    practice.photo(AUTO)
    records = practice.records()
    inbox = practice.inbox(records=records)
    (outcome,) = inbox.refresh().outcomes
    other = practice.photo(AUTO, b"somebody else's")
    back = inbox.undo(outcome)
    assert (back.state, back.reason) == (State.FAILED, Reason.NAME_TAKEN)
    assert other.read_bytes() == b"somebody else's"
    assert len(records.attachments("10042")) == 1


def test_undo_of_a_file_that_never_left_only_clears_the_record(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored but not removed: the file in the source is the one, and stays."""
    _interrupt(practice, "a.jpg", monkeypatch)
    records = practice.records()
    (stored,) = records.attachments("10042")
    assert practice.inbox(records=records).undo(stored).state is State.WAITING
    assert practice.left() == ["a.jpg"]
    assert records.attachments("10042") == []


def test_an_undo_that_was_interrupted_can_be_done_again(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put back but not yet withdrawn: a second undo completes."""
    records, inbox, outcome = _interrupted_undo(practice, monkeypatch)
    assert inbox.undo(outcome).state is State.WAITING
    assert records.attachments("10042") == []
    assert practice.left() == [AUTO]


def test_an_undo_that_was_interrupted_is_finished_by_the_next_start(
    practice: Practice, reasons: Reasons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put back but not yet withdrawn: a new inbox withdraws it, lists it as undone, and tells the ledger."""
    records, inbox, outcome = _interrupted_undo(practice, monkeypatch)
    assert reasons(practice.inbox(records=records).refresh()) == {AUTO: ("waiting", "undone")}
    assert records.attachments("10042") == []
    assert practice.left() == [AUTO]
    last = list(inbox.ledger.entries(import_id=outcome.import_id))[-1]
    assert (last.event, last.reason) == (Event.WITHDRAWN, "interrupted")


def test_an_undo_is_finished_whatever_the_id_of_its_source(
    practice: Practice, reasons: Reasons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id with a blank that does not break, as it comes from a document: the ledger escapes it, and finds it."""
    source = practice.source(source_id="Room\N{NO-BREAK SPACE}1")
    records, _, _ = _interrupted_undo(practice, monkeypatch, source)
    inbox = practice.inbox(source, records=records)
    assert reasons(inbox.refresh()) == {AUTO: ("waiting", "undone")}
    assert records.attachments("10042") == []
    assert inbox.ledger.undoing(source.source_id) == []


def test_an_undo_that_put_nothing_back_is_given_up_after_an_hour(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came to nothing leaves the record as it is, so that the same photo sent again later is no undo."""
    records, inbox, outcome = _interrupted_undo(practice, monkeypatch)
    (practice.photos / AUTO).unlink()
    ledger, source_id = inbox.ledger, inbox.sources[0].source_id
    for later, begun in ((timedelta(minutes=59), 1), (timedelta(minutes=61), 0)):
        practice.inbox(records=records, clock=Clock(now=lambda: NOW + later)).refresh()  # noqa: B023  # called at once
        assert len(ledger.undoing(source_id)) == begun
    assert [one.import_id for one in records.attachments("10042")] == [outcome.import_id]
    assert list(ledger.entries())[-1].event is Event.NOT_PUT_BACK


@pytest.mark.parametrize("exc", [StillArriving("being written"), SourceUnavailable("dead"), OSError("a bug")])
def test_an_undo_that_cannot_be_looked_at_now_is_left_for_later(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, exc: Exception
) -> None:
    """While the file can't be read, nothing is withdrawn; the refresh works on."""
    records, _, _ = _interrupted_undo(practice, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "fetch", _raise(exc))
        assert practice.inbox(records=records).refresh().closes
    assert len(records.attachments("10042")) == 1
    practice.inbox(records=records).refresh()
    assert records.attachments("10042") == []


def _interrupted_undo(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, *sources: Source
) -> tuple[SqlRepository, Inbox, Outcome]:
    practice.photo(AUTO)
    records = practice.records()
    inbox = practice.inbox(*sources, records=records)
    (outcome,) = inbox.refresh().outcomes
    with monkeypatch.context() as patched:
        patched.setattr(type(records), "withdraw", _raise(RepositoryError("the power failed")))
        with pytest.raises(RepositoryError):
            inbox.undo(outcome)
    return records, inbox, outcome


def test_undo_fails_without_harm(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead source, a refused name, a damaged copy: the outcome says so and the record keeps the file."""
    practice.photo(AUTO)
    records = practice.records()
    source = practice.source()
    inbox = practice.inbox(source, records=records)
    (outcome,) = inbox.refresh().outcomes
    for exc, reason in (
        (SourceUnavailable("gone"), Reason.SOURCE_FAILED),
        (NameRefused("no"), Reason.NAME_REFUSED),
        (FileUnreadable("no"), Reason.UNREADABLE),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(LocalSource, "put", _raise(exc))
            back = inbox.undo(outcome)
            assert (back.state, back.reason) == (State.FAILED, reason)
            assert back.retry_helps is (reason is Reason.SOURCE_FAILED)
    assert outcome.import_id is not None
    damaged = practice.files / outcome.import_id[:2] / outcome.import_id
    damaged.write_bytes(b"rust")
    assert inbox.undo(outcome).reason is Reason.STORED_COPY_DIFFERS
    assert practice.left() == []
    assert len(records.attachments("10042")) == 1


def test_undo_refuses_what_it_cannot_do(practice: Practice) -> None:
    """Not imported, not stored, a source that is not open, and a repository that keeps what it has."""
    practice.photo(AUTO)
    practice.photo(".hidden")
    records = practice.records()
    inbox = practice.inbox(records=records)
    outcomes = {outcome.name: outcome for outcome in inbox.refresh().outcomes}
    with pytest.raises(SelectionError, match="not imported"):
        inbox.undo(outcomes[".hidden"])
    with pytest.raises(SelectionError, match="nothing is stored"):
        inbox.undo("0" * 40)
    second = practice.root / "second"
    second.mkdir()
    elsewhere = practice.inbox(practice.source(second), records=records)
    with pytest.raises(SelectionError, match="not open here"):
        elsewhere.undo(outcomes[AUTO])
    assert elsewhere.undo(outcomes[AUTO], source=practice.source()).state is State.WAITING
    keeps = type("Keeps", (type(records),), {"withdraw": PatientRepository.withdraw})(
        records.engine, records._files
    )
    with pytest.raises(NotSupported):
        practice.inbox(records=keeps).undo(outcomes[AUTO])


# --- settings


def test_wrong_settings_are_told_at_once(practice: Practice) -> None:
    """The same folder twice, a path for a source, and a zone that does not exist are told as such."""
    with pytest.raises(ConfigError, match="twice"):
        practice.inbox(practice.source(), practice.source())
    for zone in ("Mars/Olympus", "../etc/passwd", "a\0b", ""):
        with pytest.raises(ConfigError, match="time zone"):
            practice.inbox(zone=zone)
    with pytest.raises(ConfigError, match="open_source"):
        practice.inbox(practice.photos)


def test_zone_may_be_an_object_or_this_machines(practice: Practice) -> None:
    """A tzinfo is taken as it is; without a zone it is that of this machine."""
    zone = timezone(timedelta(hours=3))
    assert practice.inbox(zone=zone).zone is zone
    assert practice.inbox(zone=None).zone is not None


def test_an_operator_that_is_not_text_never_stops_a_move_half_way(practice: Practice) -> None:
    """An operator's name with bytes that are not UTF-8 is refused at once, or written escaped."""
    practice.photo(AUTO)
    try:
        inbox = practice.inbox(operator="Ren\udce9")
    except ConfigError:
        return
    report = inbox.refresh()
    assert report.closes
    assert report.imported == 1


def test_where_the_ledger_is_kept(practice: Practice) -> None:
    """The ledger is given as an object, a path or a URL, or it is the ledger of the records."""
    ledger = Ledger.open("sqlite://")
    assert practice.inbox(ledger=ledger).ledger is ledger
    practice.photo(AUTO)
    practice.inbox(ledger=practice.root / "own.db").refresh()
    assert len(list(Ledger.open(f"sqlite:///{practice.root / 'own.db'}").entries())) == 2
    practice.photo(OTHER)
    practice.inbox(ledger=f"sqlite:///{practice.root / 'url.db'}").refresh()
    assert (practice.root / "url.db").exists()
    host = HostRecords(practice.records())
    with pytest.raises(ConfigError, match="ledger="):
        practice.inbox(records=host)
    host.ledger = practice.root / "ledger.db"
    practice.photo(OTHER)
    assert practice.inbox(records=host).refresh().imported == 1
    assert (practice.root / "ledger.db").exists()


def test_two_inboxes_of_one_host_share_the_ledger(practice: Practice) -> None:
    """An import that a person has undone in one inbox is not repeated by another one, of another user."""
    practice.photo(AUTO)
    records = MemoryRepository(PATIENTS, PROVIDERS)
    inbox = practice.inbox(records=records)
    assert inbox.undo(inbox.refresh().outcomes[0]).state is State.WAITING
    report = practice.inbox(records=records.reopen()).refresh()
    assert [outcome.reason for outcome in report.outcomes] == [Reason.UNDONE]


@pytest.mark.parametrize("name", ["what?.db", "100%25.db", "a#b.db"])
def test_a_ledger_path_is_taken_as_it_is(practice: Practice, name: str) -> None:
    """A path of a ledger is a path: no character of it is read as part of a URL."""
    practice.inbox(ledger=practice.root / name).refresh()
    assert (practice.root / name).exists()


def test_a_host_needs_five_methods_only(practice: Practice) -> None:
    """The defaults of the repository serve a refresh and a save; undo is refused."""
    practice.photo(AUTO)
    practice.photo("plain.jpg")
    records = HostRecords(practice.records())
    inbox = practice.inbox(records=records, ledger="sqlite://")
    report = inbox.refresh()
    assert report.imported == 1
    assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1
    with pytest.raises(NotSupported):
        inbox.undo(report.outcomes[0])
    assert [patient.id for patient in records.search_patients(" 10042 ")] == ["10042"]
    assert records.search_patients("1004") == []


def test_the_naming_may_be_a_pattern_or_an_object(practice: Practice) -> None:
    """A practice's own structure is read."""
    pattern = "{provider}+{patient}+{taken:%Y%m%d%H%M%S}"
    for number, naming in enumerate((pattern, CaptureNaming(pattern))):
        practice.photo(f"DRJ+10042+2026013114250{number}.jpg")
        assert practice.inbox(naming=naming).refresh().imported == 1


def test_a_ledger_that_fails_stops_the_refresh_before_anything_is_moved(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a ledger nothing leaves its source."""
    practice.photo(AUTO)
    inbox = practice.inbox()
    monkeypatch.setattr(inbox.ledger, "append", _raise(LedgerError("no")))
    with pytest.raises(LedgerError):
        inbox.refresh()
    assert practice.left() == [AUTO]


def test_a_refresh_asks_nothing_about_files_that_have_not_changed(practice: Practice) -> None:
    """With 2,000 files that wait, a second refresh is no more than a listing: the records are not asked."""
    for number in range(2000):
        (practice.photos / f"IMG_{number}.jpg").write_bytes(b"x")
    inbox = practice.inbox()
    inbox.refresh()
    calls: list[object] = []
    inbox.repository.find_attachment = calls.append  # type: ignore[method-assign,assignment]
    assert inbox.refresh().waiting == 2000
    assert calls == []


def _raise(exc: Exception) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise exc

    return fail


def test_entries_hold_what_happened(practice: Practice) -> None:
    """The ledger has a line for stored and one for moved, with who, whom and what."""
    practice.photo(AUTO)
    inbox = practice.inbox(operator="op")
    (outcome,) = inbox.refresh().outcomes
    entries = list(inbox.ledger.entries(import_id=outcome.import_id))
    assert [entry.event for entry in entries] == [Event.STORED, Event.MOVED]
    for entry in entries:
        assert isinstance(entry, LedgerEntry)
        assert (entry.patient_id, entry.operator, entry.name, entry.provider_id) == (
            "10042",
            "op",
            AUTO,
            "DRJ",
        )
        assert entry.attachment_id == outcome.attachment_id


def test_inboxes_and_rows_say_what_they_are(practice: Practice) -> None:
    """Their repr holds counts, kinds and reasons, no name."""
    practice.photo("plain.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    assert repr(inbox) == "<Inbox 1 sources, 1 rows>"
    assert repr(inbox.rows[0]) == f"<Row {pseudonym('plain.jpg')} local waiting no_capture_name>"
    assert attrs.has(type(inbox.rows[0]))
    assert isinstance(inbox, Inbox)
