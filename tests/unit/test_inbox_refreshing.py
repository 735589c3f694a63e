"""A refresh takes locations as they answer, and copes with what happens while it waits for the others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import RepositoryError, SourceUnavailable
from intouch_import.inbox.locations import Locations, Opening
from intouch_import.inbox.refresh import Answers
from intouch_import.model import Reason, State
from intouch_import.sources.local import LocalSource
from intouch_import.sources.opening import Unopened
from miniature import jpeg, reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intouch_import.inbox import Inbox
    from intouch_import.model import SourceFile
    from intouch_import.reports import Report
    from intouch_import.sources import Source
    from miniature import Practice

PHOTO = "10042_DRJ_20260131_142501.jpg"


class Slow(LocalSource):
    """A folder whose listing is made, and then kept back until the test wants it."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self.listed, self.answered = threading.Event(), threading.Event()
        self.answered.set()

    def scan(self) -> Iterator[SourceFile]:
        found = list(super().scan())
        self.listed.set()
        assert self.answered.wait(30)
        return iter(found)


class Background:
    """A refresh in a thread."""

    def __init__(self, inbox: Inbox, **options: Any) -> None:
        self.found: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(inbox, options))
        self._thread.start()

    def _run(self, inbox: Inbox, options: dict[str, Any]) -> None:
        try:
            self.found.append(inbox.refresh(**options))
        except Exception as exc:
            self.found.append(exc)

    def end(self) -> Any:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.found[0]


@pytest.fixture
def slow(practice: Practice, tmp_path: Path) -> Iterator[Slow]:
    folder = tmp_path / "slow"
    folder.mkdir()
    source = Slow(str(folder))
    yield source
    source.answered.set()


def test_what_is_saved_while_its_folder_is_listed_is_gone(practice: Practice, slow: Slow) -> None:
    """A listing made before a save still has the file; it is neither shown as waiting nor stored again."""
    practice.photo("wound.jpg", folder=slow.folder)
    practice.photo("other.jpg", folder=slow.folder)
    with practice.records() as records:
        inbox = practice.inbox(practice.source(), slow, records=records)
        inbox.refresh()
        slow.listed.clear()
        slow.answered.clear()
        background = Background(inbox)
        assert slow.listed.wait(30)
        (wound,) = [row for row in inbox.rows if row.name == "wound.jpg"]
        assert inbox.save(inbox.prepare([wound], patient="10042")).imported == 1
        slow.answered.set()
        report: Report = background.end()
        assert reasons(report) == {"other.jpg": ("waiting", "no_capture_name")}
        assert report.closes
        assert [row.name for row in inbox.rows] == ["other.jpg"]
        assert len(records.attachments("10042")) == 1
        events = [entry.event.value for entry in inbox.ledger.entries()]
        assert events == ["stored", "moved"]


def test_two_refreshes_at_once_import_once(practice: Practice, slow: Slow) -> None:
    """Both have listed a photo before either has imported it: it is stored once, and told once as moved."""
    practice.photo(PHOTO, folder=slow.folder)
    with practice.records() as records:
        inbox = practice.inbox(slow, practice.source(), records=records)
        slow.answered.clear()
        first = Background(inbox)
        assert slow.listed.wait(30)
        slow.listed.clear()
        second = Background(inbox)
        assert slow.listed.wait(30)
        slow.answered.set()
        reports = [first.end(), second.end()]
        assert sorted(report.imported for report in reports) == [0, 1]
        assert all(report.closes and not report.failed for report in reports)
        assert len(records.attachments("10042")) == 1
        assert inbox.rows == []
        assert [entry.event.value for entry in inbox.ledger.entries()] == ["stored", "moved"]


def test_a_row_that_failed_is_tried_again_once(
    practice: Practice, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed before waits again in the next refresh, and is imported by it."""
    practice.photo(PHOTO, folder=slow.folder)
    with practice.records() as records:
        inbox = practice.inbox(slow, practice.source(), records=records)
        with monkeypatch.context() as patched:

            def refuse(*_: Any, **__: Any) -> Any:
                raise RepositoryError("no")

            patched.setattr(type(records), "add_many", refuse)
            assert inbox.refresh().failed == 1
        (row,) = inbox.rows
        assert row.state is State.FAILED
        assert inbox.refresh().imported == 1
        assert row.state is State.IMPORTED


def test_a_folder_that_fails_late_stops_no_other(practice: Practice, slow: Slow) -> None:
    """One that lets one wait and then fails is a problem; the photos of the other are imported before."""
    practice.photo(PHOTO)

    def fail() -> Iterator[SourceFile]:
        slow.listed.set()
        assert slow.answered.wait(30)
        raise SourceUnavailable("the folder is gone", source_id=slow.source_id)

    slow.scan = fail  # type: ignore[method-assign]
    slow.answered.clear()
    with practice.records() as records:
        inbox = practice.inbox(slow, practice.source(), records=records)
        background = Background(inbox)
        for _ in range(3000):
            if records.attachments("10042"):
                break
            threading.Event().wait(0.01)
        assert len(records.attachments("10042")) == 1
        slow.answered.set()
        report = background.end()
    assert [problem.text for problem in report.problems] == ["the folder is gone"]
    assert (report.imported, report.closes) == (1, True)


def test_records_that_fail_end_a_refresh_at_once(
    practice: Practice, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises, and does not wait for a location whose files could not be stored anyway."""
    practice.photo("wound.jpg")
    slow.answered.clear()
    with practice.records() as records:
        inbox = practice.inbox(slow, practice.source(), records=records)
        with monkeypatch.context() as patched:

            def refuse(*_: Any, **__: Any) -> Any:
                raise OSError("CANARY")

            patched.setattr(type(records), "find_attachment", refuse)
            with pytest.raises(RepositoryError) as caught:
                inbox.refresh()
        assert "CANARY" not in str(caught.value)
        assert not slow.answered.is_set()
        slow.answered.set()
        assert inbox.refresh().waiting == 1


def test_a_photo_in_two_folders_for_two_patients_waits(practice: Practice, tmp_path: Path) -> None:
    """Folders that answer at once are taken together: the same bytes under two patients go to neither."""
    (other := tmp_path / "other").mkdir()
    practice.photo(PHOTO, jpeg("same"))
    practice.photo(PHOTO.replace("10042", "10043"), jpeg("same"), folder=other)
    with practice.records() as records:
        inbox = practice.inbox(practice.source(), practice.source(other), records=records)
        report = inbox.refresh()
        assert {reason for _, reason in reasons(report).values()} == {Reason.DUPLICATE_ELSEWHERE.value}
        assert records.attachments("10042") == records.attachments("10043") == []


def unopened(opener: Callable[[], Source]) -> Unopened:
    found = Unopened.attempt("local", fail_to_open)
    assert isinstance(found, Unopened)
    return Unopened(location="local", opener=opener, problem=found.problem, may_open=True)


def fail_to_open() -> Source:
    raise SourceUnavailable("the share is not mounted", source_id="")


def test_a_location_that_opens_late_holds_up_no_other(practice: Practice, tmp_path: Path) -> None:
    """While a share is being mounted, the photos of the other folder are imported; then its own are."""
    share = tmp_path / "share"
    share.mkdir()
    practice.photo(PHOTO)
    practice.photo(PHOTO.replace("10042", "10043"), folder=share)
    mounted = threading.Event()

    def mount() -> Source:
        assert mounted.wait(30)
        return practice.source(share)

    with practice.records() as records:
        inbox = practice.inbox(practice.source(), records=records, unopened=[unopened(mount)])
        background = Background(inbox)
        for _ in range(3000):
            if records.attachments("10042"):
                break
            threading.Event().wait(0.01)
        assert len(records.attachments("10042")) == 1
        # Another refresh does not open it a second time, and says that it is not open.
        meanwhile = inbox.refresh()
        assert [problem.text for problem in meanwhile.problems] == ["the share is not mounted"]
        mounted.set()
        report = background.end()
        assert (report.imported, report.problems, inbox.unopened) == (2, (), ())
        assert len(inbox.sources) == 2
        assert len(records.attachments("10043")) == 1


def test_an_interrupted_undo_is_finished_when_its_location_opens(practice: Practice) -> None:
    """What recovery has to do in a source is done before it is listed, also if it opens in this refresh."""
    practice.photo(PHOTO)
    with practice.records() as records:
        first = practice.inbox(records=records)
        assert first.refresh().imported == 1
        (stored,) = records.attachments("10042")
        with pytest.MonkeyPatch.context() as patched:

            def die(*_: Any, **__: Any) -> Any:
                raise KeyboardInterrupt

            patched.setattr(type(records), "withdraw", die)
            with pytest.raises(KeyboardInterrupt):
                first.undo(stored)
        assert practice.left() == [PHOTO]
        later = practice.inbox(
            LocalSource(str(practice.root)), records=records, unopened=[unopened(practice.source)]
        )
        report = later.refresh()
        assert reasons(report)[PHOTO] == ("waiting", "undone")
        assert records.attachments("10042") == []


def test_answers_are_given_as_they_come() -> None:
    """The quick ones are handed out while a slow one is waited for, and more can be asked meanwhile."""
    gate = threading.Event()
    with Answers[str]() as answers:
        answers.ask(lambda: "slow" if gate.wait(30) else "late")
        answers.ask(lambda: "one")
        answers.ask(lambda: "two")
        found = []
        for group in answers:
            found.append(group)
            if group == ["one", "two"]:
                answers.ask(lambda: "three")
            if group == ["three"]:
                gate.set()
    assert found == [["one", "two"], ["three"], ["slow"]]
    assert list(Answers[str]()) == []


def test_one_answer_needs_no_thread() -> None:
    """A single folder is listed in the thread that asks."""
    with Answers[str]() as answers:
        answers.ask(lambda: threading.current_thread().name)
        assert list(answers) == [[threading.current_thread().name]]


def test_what_a_question_raises_comes_out() -> None:
    """And nobody waits for the others then."""
    gate = threading.Event()

    def fail() -> bool:
        raise ValueError("no")

    with Answers[bool]() as answers:
        answers.ask(lambda: gate.wait(30))
        answers.ask(fail)
        with pytest.raises(ValueError, match="no"):
            list(answers)
    assert not gate.is_set()
    gate.set()


def test_a_location_is_opened_by_one_at_a_time(practice: Practice) -> None:
    """Nobody else is told to open what is being opened; given up, it is to be opened again."""
    one = unopened(practice.source)
    locations = Locations([], [one])
    assert locations.to_open() == [one]
    assert locations.to_open() == []
    locations.give_up([one])
    assert locations.to_open() == [one]
    source = practice.source()
    assert locations.take(Opening(begun=one, found=source)) is source
    assert (locations.opened, locations.unopened, locations.problems) == ((source,), (), [])
