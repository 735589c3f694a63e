"""A list that keeps itself up to date: what it tells, when it looks, and how it ends."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import RepositoryError, SourceUnavailable
from intouch_import.inbox import Inbox, Pace
from intouch_import.model import Patient
from intouch_import.sources import local, open_source
from intouch_import.sources.base import Source
from intouch_import.sources.local import LocalSource
from intouch_import.sources.opening import Unopened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.inbox import Changes, Watch
    from miniature import Practice

AUTO = "10042_DRJ_20260131_142501.jpg"
QUICK = Pace(soonest_s=0.05, first_s=0.1, longest_s=0.4)
PATIENT_S = 20.0  # only ever spent when something is wrong

needs_events = pytest.mark.skipif(not local.available(), reason="watchfiles is not installed")


class Teller(LocalSource):
    """A local folder that tells of changes when the test says so, and counts how often it is listed."""

    reports_changes = True  # type: ignore[assignment]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.news = threading.Semaphore(0)
        self.scans = 0
        self.waits = 0
        self.broken: Exception | None = None
        self.deaf: Exception | None = None

    def scan(self) -> Any:
        self.scans += 1
        if self.broken is not None:
            raise self.broken
        return super().scan()

    def wait_for_change(self, timeout_s: float) -> bool:
        self.waits += 1
        if self.deaf is not None:
            raise self.deaf
        return self.news.acquire(timeout=timeout_s) if timeout_s else True


class Mute(Teller):
    """The same, of a location that can't tell."""

    reports_changes = False  # type: ignore[assignment]

    def wait_for_change(self, timeout_s: float) -> bool:
        raise AssertionError("nobody listens to what can't tell")


@contextmanager
def watching(inbox: Inbox, **options: Any) -> Iterator[Watch]:
    """A watch that ends, whatever the test does; nothing of it is left behind."""
    timer: threading.Timer | None = None
    with inbox.watch(**{"pace": QUICK, **options}) as watch:
        timer = threading.Timer(PATIENT_S, watch.stop)
        timer.start()
        try:
            yield watch
        finally:
            timer.cancel()
    assert listeners_end()


def listeners_end() -> bool:
    """Whether the threads of watches end; on a busy machine that may take a moment."""
    until_s = time.monotonic() + PATIENT_S
    while any(thread.name == "intouch-watch" for thread in threading.enumerate()):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.02)
    return True


def names(rows: Any) -> list[str]:
    return sorted(row.name for row in rows)


def until(watch: Watch, found: Callable[[Changes], object]) -> Changes:
    """The first changes of which something holds."""
    for changes in watch:
        if found(changes):
            return changes
    raise AssertionError("the watch has ended")


# --- what it tells


def test_the_list_as_it_is_comes_at_once(practice: Practice) -> None:
    """The first changes are the list itself: everything is new, and what may be imported is imported."""
    practice.photo("IMG_1.jpg")
    practice.photo(AUTO)
    with watching(practice.inbox()) as watch:
        first = next(watch)
        assert names(first.new) == ["IMG_1.jpg"]
        assert [(one.name, one.state.value) for one in first.moved] == [(AUTO, "imported")]
        assert (first.report.listed, first.changed, first.gone, first.problems) == (2, (), (), ())
        assert repr(first) == "<Changes 1 new, 0 changed, 0 gone, 1 moved, 0 problems>"


def test_an_empty_list_comes_at_once_too(practice: Practice) -> None:
    """A host knows then that the watch is at work."""
    with watching(practice.inbox()) as watch:
        assert next(watch).report.listed == 0


def test_what_comes_changes_and_goes_is_told(practice: Practice) -> None:
    """New files, changed ones, imported ones and those that somebody took away."""
    source = Teller(str(practice.photos))
    with watching(practice.inbox(source)) as watch:
        next(watch)
        practice.photo("IMG_1.jpg")
        source.news.release()
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_1.jpg"]
        practice.photo("IMG_1.jpg", b"other bytes")
        source.news.release()
        assert names(until(watch, lambda changes: changes.changed).changed) == ["IMG_1.jpg"]
        practice.photo(AUTO)
        source.news.release()
        assert [one.name for one in until(watch, lambda changes: changes.moved).moved] == [AUTO]
        (practice.photos / "IMG_1.jpg").unlink()
        source.news.release()
        assert names(until(watch, lambda changes: changes.gone).gone) == ["IMG_1.jpg"]


def test_what_a_person_saves_meanwhile_is_gone_then(practice: Practice) -> None:
    """Saving goes on beside a watch; the row leaves the list at the next look."""
    practice.photo("IMG_1.jpg")
    inbox = practice.inbox()
    with watching(inbox) as watch:
        next(watch)
        assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1
        gone = until(watch, lambda changes: changes.gone).gone
        assert [(row.name, row.state.value) for row in gone] == [("IMG_1.jpg", "imported")]


def test_a_patient_who_is_added_brings_the_file_in(practice: Practice) -> None:
    """Nothing has changed in the folder: it is looked at now and then all the same."""
    practice.photo("77777_DRJ_20260131_142501.jpg")
    records = practice.records()
    source = Teller(str(practice.photos))
    with watching(practice.inbox(source, records=records)) as watch:
        assert names(next(watch).new) == ["77777_DRJ_20260131_142501.jpg"]
        records.add_patient(Patient(id="77777", name="New"))
        assert until(watch, lambda changes: changes.moved).moved[0].state.value == "imported"


def test_a_file_is_imported_once_it_has_arrived(practice: Practice) -> None:
    """A file that grows is shown as arriving, and imported when it has kept still for long enough."""
    path = practice.photos / AUTO
    whole = practice.photo("whole.jpg").read_bytes()
    (practice.photos / "whole.jpg").unlink()
    ended = threading.Event()

    def grow() -> None:
        for count in range(1, 6):
            path.write_bytes(whole[: count * 20])
            if ended.wait(0.1):
                return
        path.write_bytes(whole)

    writer = threading.Thread(target=grow)
    inbox = practice.inbox(settle_s=0.3)
    with watching(inbox) as watch:
        next(watch)
        writer.start()
        moved = until(watch, lambda changes: changes.moved).moved
    ended.set()
    writer.join()
    assert [(one.state.value, one.reason.value) for one in moved] == [("imported", "capture_name")]
    (stored,) = inbox.repository.find_attachment([moved[0].import_id or ""]).values()
    assert stored.size_bytes == len(whole)


# --- when it looks


@needs_events
def test_a_local_folder_tells_by_itself(practice: Practice) -> None:
    """With native events a file is seen long before anybody would look again."""
    with watching(practice.inbox(), pace=Pace(soonest_s=0.0, first_s=600, longest_s=600)) as watch:
        next(watch)
        practice.photo("IMG_1.jpg")
        started_s = time.monotonic()
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_1.jpg"]
        assert time.monotonic() - started_s < PATIENT_S / 2


@needs_events
def test_no_event_is_lost_between_two_waits(practice: Practice) -> None:
    """What happens while nobody waits is told by the next wait."""
    source = practice.source()
    assert source.wait_for_change(0) is True
    assert source.wait_for_change(0.3) is False
    for number in range(3):
        practice.photo(f"IMG_{number}.jpg")
        time.sleep(0.3)
        assert source.wait_for_change(10) is True
    assert source.wait_for_change(0.3) is False
    source.close()


@needs_events
def test_a_folder_that_goes_and_comes_is_watched_anew(practice: Practice) -> None:
    """A folder that is not there can't be watched; a listener of the old one would hear nothing of the new."""
    source = practice.source()
    assert source.wait_for_change(0)
    aside = practice.photos.rename(practice.root / "aside")
    with pytest.raises(SourceUnavailable) as caught:
        source.wait_for_change(0.1)
    assert str(practice.root) not in str(caught.value)
    aside.rename(practice.photos)
    assert source.wait_for_change(0)
    practice.photo("IMG_1.jpg")
    assert source.wait_for_change(10)
    source.close()


def test_without_the_package_a_local_folder_can_not_tell(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is then looked at again and again, as any other location."""
    monkeypatch.setattr("intouch_import.sources.local.available", lambda: False)
    assert practice.source().reports_changes is False
    assert practice.source().wait_for_change(0.01) is True
    with watching(practice.inbox()) as watch:
        next(watch)
        practice.photo("IMG_1.jpg")
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_1.jpg"]


def test_any_other_location_is_looked_at_again(practice: Practice) -> None:
    """Fsspec knows no events: a file in memory is found all the same."""
    import fsspec

    memory = fsspec.filesystem("memory")
    folder = f"/watch{time.monotonic_ns()}"
    memory.makedirs(folder)
    source = open_source(f"memory:/{folder}")
    assert source.reports_changes is False
    with watching(practice.inbox(source)) as watch:
        next(watch)
        memory.pipe(f"{folder}/IMG_1.jpg", b"bytes")
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_1.jpg"]
    memory.rm(folder, recursive=True)


def test_it_looks_less_and_less_often_while_nothing_happens(practice: Practice) -> None:
    """The time between two looks doubles up to the longest, and is short again after a change."""
    source = Mute(str(practice.photos))
    pace = Pace(soonest_s=0.0, first_s=0.1, longest_s=0.8)
    with watching(practice.inbox(source), pace=pace) as watch:
        next(watch)
        threading.Timer(3.0, lambda: practice.photo("IMG_1.jpg")).start()
        until(watch, lambda changes: changes.new)
        # 0, .2, .6, 1.4, 2.2, 3.0, 3.8: without back-off it would be some thirty.
        assert 3 <= source.scans <= 9


def test_only_the_location_that_changed_is_looked_at(practice: Practice, tmp_path: Path) -> None:
    """News from one folder does not cost a listing of the others."""
    other = tmp_path / "other"
    other.mkdir()
    here, there = Teller(str(practice.photos)), Teller(str(other))
    pace = Pace(soonest_s=0.0, first_s=600, longest_s=600)
    with watching(practice.inbox(here, there), pace=pace) as watch:
        next(watch)
        for number in range(3):
            practice.photo(f"IMG_{number}.jpg")
            here.news.release()
            until(watch, lambda changes: changes.new)
        assert (here.scans, there.scans) == (4, 1)


def test_a_burst_is_taken_together(practice: Practice) -> None:
    """A card that is copied is some refreshes, not one for each file; and no file is missed."""
    source = Teller(str(practice.photos))
    seen: list[str] = []
    pace = Pace(soonest_s=0.5, first_s=600, longest_s=600)
    with watching(practice.inbox(source), pace=pace) as watch:
        next(watch)

        def copy() -> None:
            for number in range(100):
                practice.photo(f"IMG_{number}.jpg")
                source.news.release()
                time.sleep(0.005)

        writer = threading.Thread(target=copy)
        writer.start()
        for changes in watch:
            seen += names(changes.new)
            if len(seen) == 100:
                break
        writer.join()
    assert source.scans <= 8


def test_news_that_never_ends_is_no_busy_loop(practice: Practice) -> None:
    """A location that always says that something may have changed is looked at as often as allowed."""

    class Nervous(Teller):
        def wait_for_change(self, timeout_s: float) -> bool:
            self.waits += 1
            return True

    source = Nervous(str(practice.photos))
    pace = Pace(soonest_s=0.25, first_s=600, longest_s=600)
    with watching(practice.inbox(source), pace=pace) as watch:
        next(watch)
        threading.Timer(1.5, watch.stop).start()
        assert list(watch) == []
    assert 2 <= source.scans <= 8
    assert source.waits <= 12


def test_an_idle_watch_costs_next_to_nothing(practice: Practice) -> None:
    """No busy loop: seconds of waiting take hundredths of a second of the processor."""
    for number in range(50):
        practice.photo(f"IMG_{number}.jpg")
    stop = threading.Event()
    with watching(practice.inbox(), stop=stop, pace=Pace()) as watch:
        next(watch)
        threading.Timer(2.0, stop.set).start()
        before_s = time.process_time()
        assert list(watch) == []
        assert time.process_time() - before_s < 0.15


# --- what fails


def test_a_dead_location_stops_no_other(practice: Practice, tmp_path: Path) -> None:
    """It is a problem, told once; the others are watched. When it comes back its files are there."""
    other = tmp_path / "other"
    other.mkdir()
    practice.photo("IMG_1.jpg", folder=other)
    here, there = Teller(str(practice.photos)), Teller(str(other))
    there.broken = SourceUnavailable("not reached")
    with watching(practice.inbox(here, there)) as watch:
        first = next(watch)
        assert [problem.text for problem in first.problems] == ["not reached"]
        practice.photo("IMG_2.jpg")
        here.news.release()
        changes = until(watch, lambda changes: changes.new)
        assert names(changes.new) == ["IMG_2.jpg"]
        assert [problem.text for problem in changes.problems] == ["not reached"]
        there.broken = None
        back = until(watch, lambda changes: not changes.problems)
        assert names(back.new) == ["IMG_1.jpg"]
        there.broken = SourceUnavailable("away again")
        there.news.release()
        away = until(watch, lambda changes: changes.problems)
        assert (names(away.gone), away.problems[0].text) == (["IMG_1.jpg"], "away again")


def test_a_dead_location_is_not_asked_all_the_time(practice: Practice) -> None:
    """While it fails, what it tells is not worth an attempt; it is asked less and less often."""
    source = Teller(str(practice.photos))
    source.broken = SourceUnavailable("not reached")
    source.news.release(1000)
    with watching(practice.inbox(source)) as watch:
        next(watch)
        threading.Timer(1.5, watch.stop).start()
        assert list(watch) == []
    assert 3 <= source.scans <= 8


def test_a_location_that_can_not_be_listened_to_is_looked_at(practice: Practice) -> None:
    """Whatever its listener raises, the folder is listed as if it could not tell."""
    source = Teller(str(practice.photos))
    source.deaf = RuntimeError("CANARY")
    with watching(practice.inbox(source)) as watch:
        next(watch)
        practice.photo("IMG_1.jpg")
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_1.jpg"]
    assert source.waits <= 3


def test_records_that_fail_come_out_and_the_watch_goes_on(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host must look; when it has, the next changes include what was missed."""
    records = practice.records()
    source = Teller(str(practice.photos))
    with watching(practice.inbox(source, records=records)) as watch:
        next(watch)

        def fail(*_: object) -> None:
            raise RepositoryError("down")

        with monkeypatch.context() as patched:
            patched.setattr(type(records), "find_attachment", fail)
            practice.photo("IMG_1.jpg")
            source.news.release()
            with pytest.raises(RepositoryError, match="down"):
                until(watch, lambda changes: changes.new)
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_1.jpg"]


def test_a_location_that_opens_later_is_watched(practice: Practice, tmp_path: Path) -> None:
    """A share that is mounted while the watch runs is listed, and listened to from then on."""
    share = tmp_path / "share"
    opened: list[Source] = []

    def opener() -> Source:
        opened.append(Teller(str(share)))
        return opened[-1]

    unopened = Unopened.attempt("local", opener)
    assert isinstance(unopened, Unopened)
    with watching(practice.inbox(Teller(str(practice.photos)), unopened=[unopened])) as watch:
        assert [problem.location for problem in next(watch).problems] == ["local"]
        share.mkdir()
        practice.photo("IMG_1.jpg", folder=share)
        changes = until(watch, lambda changes: changes.new)
        assert (names(changes.new), changes.problems) == (["IMG_1.jpg"], ())
        practice.photo("IMG_2.jpg", folder=share)
        teller = opened[-1]
        assert isinstance(teller, Teller)
        teller.news.release()
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_2.jpg"]


def test_a_location_is_opened_though_no_other_is_open(practice: Practice, tmp_path: Path) -> None:
    """A workstation that starts before its only share is mounted finds it later."""
    share = tmp_path / "share"
    unopened = Unopened.attempt("local", lambda: Teller(str(share)))
    assert isinstance(unopened, Unopened)
    inbox = Inbox(practice.records(), [], unopened=[unopened], zone="UTC", settle_s=0.0)
    with watching(inbox) as watch:
        assert [problem.location for problem in next(watch).problems] == ["local"]
        share.mkdir()
        practice.photo("IMG_1.jpg", folder=share)
        changes = until(watch, lambda changes: changes.new)
        assert (names(changes.new), changes.problems) == (["IMG_1.jpg"], ())


def test_a_location_is_opened_though_the_others_are_never_due_at_once(
    practice: Practice, tmp_path: Path
) -> None:
    """Two folders that are looked at in turn, and never together, do not keep the share from being tried."""
    share = tmp_path / "share"
    unopened = Unopened.attempt("local", lambda: Teller(str(share)))
    assert isinstance(unopened, Unopened)
    second = practice.root / "second"
    second.mkdir()
    first = Teller(str(practice.photos))
    inbox = practice.inbox(first, Teller(str(second)), unopened=[unopened])
    with watching(inbox, pace=Pace(soonest_s=0.0, first_s=0.6, longest_s=0.6)) as watch:
        next(watch)
        time.sleep(0.3)
        practice.photo("IMG_1.jpg")
        first.news.release()
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_1.jpg"]
        share.mkdir()
        practice.photo("IMG_2.jpg", folder=share)
        scans = first.scans
        assert names(until(watch, lambda changes: changes.new).new) == ["IMG_2.jpg"]
        assert first.scans - scans <= 4


def test_records_that_are_down_from_the_start_are_not_asked_all_the_time(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for the next changes at once, as it may, waits as for any location that fails."""
    inbox = practice.inbox(Teller(str(practice.photos)))
    asked: list[float] = []

    def fail(*_: object) -> None:
        asked.append(time.monotonic())
        raise RepositoryError("down")

    with watching(inbox, pace=Pace(soonest_s=0.01, first_s=0.2, longest_s=0.2)) as watch:
        with monkeypatch.context() as patched:
            patched.setattr(type(inbox.ledger), "begun_corrections", fail)
            for _ in range(4):
                with pytest.raises(RepositoryError, match="down"):
                    next(watch)
        assert asked[-1] - asked[0] > 0.5
        practice.photo("IMG_1.jpg")
        assert names(next(watch).new) == ["IMG_1.jpg"]


# --- how it ends


@pytest.mark.parametrize("how", ["stop", "event", "close"])
def test_it_ends_when_it_is_told_to(practice: Practice, how: str) -> None:
    """By its own method or by the host's event, from another thread, within a moment."""
    stop = threading.Event()
    with watching(practice.inbox(), stop=stop, pace=Pace(first_s=600, longest_s=600)) as watch:
        next(watch)
        started_s = time.monotonic()
        if how == "close":
            watch.close()
        else:
            threading.Timer(0.2, watch.stop if how == "stop" else stop.set).start()
        assert list(watch) == []
        assert next(watch, None) is None
        assert time.monotonic() - started_s < PATIENT_S / 2


def test_a_stop_while_it_imports_leaves_the_rest_where_it_is(practice: Practice) -> None:
    """Files whose turn has not come stay in their folder; nothing is half-moved."""
    for second in range(30):
        practice.photo(f"10042_DRJ_20260131_1425{second:02}.jpg")
    stop = threading.Event()
    turns = itertools.count()

    class Slow(Teller):
        def fetch(self, *args: Any, **options: Any) -> Any:
            if next(turns) == 5:
                stop.set()
            return super().fetch(*args, **options)

    records = practice.records()
    with watching(practice.inbox(Slow(str(practice.photos)), records=records), stop=stop) as watch:
        report = next(watch).report
    assert report.closes
    assert 0 < report.imported < 30
    assert len(practice.left()) == 30 - report.imported
    assert len(records.attachments("10042")) == report.imported


def test_a_watch_that_is_forgotten_lets_go_of_its_threads(practice: Practice) -> None:
    """Without a context manager, the end of the object is the end of its threads."""
    import gc

    watch = practice.inbox(Teller(str(practice.photos))).watch(pace=QUICK)
    next(watch)
    assert any(thread.name == "intouch-watch" for thread in threading.enumerate())
    del watch
    gc.collect()
    assert listeners_end()
