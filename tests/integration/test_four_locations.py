"""All four locations in one inbox: one is well, one is throttled, one is signed out, one is dead."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Patience
from intouch_import.dropbox import DropboxSource
from intouch_import.model import Reason, State
from intouch_import.sources import open_source
from miniature import Practice, jpeg
from services.azurite import ACCOUNT
from services.doubles.onedrive import Fault, OneDriveServer
from services.dropbox_server import FOLDER
from services.faulty_proxy import FaultyProxy, cut_before, run_faulty_proxy
from services.signing_in import Person, open_sign_in, press

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.inbox import Inbox, Row
    from intouch_import.repositories.sql import SqlRepository
    from intouch_import.sources import Source
    from services.azurite import Azurite
    from services.doubles.dropbox import DropboxServer

PLACES = ("local", "onedrive", "dropbox", "azure")
LAID: dict[str, tuple[str, str]] = {
    "10042_DRJ_20260131_142501.jpg": ("imported", "capture_name"),
    "10043_DRJ_20260131_142502.jpg": ("imported", "capture_name"),
    "99999_DRJ_20260131_142503.jpg": ("waiting", "patient_unknown"),
    "10042_DRK_20260131_142504.jpg": ("waiting", "other_provider"),
    "wound.jpg": ("waiting", "no_capture_name"),
    "letter.pdf": ("waiting", "no_capture_name"),
    "Thumbs.db": ("ignored", "system_file"),
}
IMPORTED = [name for name, (state, _) in LAID.items() if state == "imported"]
WAITING = sorted(name for name, (state, _) in LAID.items() if state == "waiting")


class Gate:
    """A clock whose pauses last until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self._now_s = 0.0

    def monotonic_s(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self.reached.set()
        assert self.open.wait(30), "nothing happened meanwhile"
        self._now_s += seconds

    def patience(self, budget_s: float = 60.0) -> Patience:
        return Patience(budget_s, clock=Clock(monotonic_s=self.monotonic_s, sleep=self.sleep))


@attrs.frozen
class Four:
    """The four, opened and then brought into their states; all hold files of the same names."""

    practice: Practice
    records: SqlRepository
    onedrive: OneDriveServer
    dropbox: DropboxServer
    proxy: FaultyProxy
    person: Person
    gate: Gate
    sources: dict[str, Source]

    def inbox(self) -> Inbox:
        return self.practice.inbox(*self.sources.values(), records=self.records)

    def throttle(self, after_s: float, times: int = 1) -> None:
        fault = Fault.refused(429, "activityLimitReached", retry_after=f"{after_s:g}")
        self.onedrive.fail("*", fault, times=times)

    def stored(self) -> dict[str, list[str]]:
        """By location, the names that are in records."""
        found: dict[str, list[str]] = {place: [] for place in PLACES}
        for patient in ("10042", "10043"):
            for one in self.records.attachments(patient):
                found[one.location].append(one.name)
                with self.records.open_attachment(one.id) as stream:
                    assert stream.read() == content(one.location, one.name)
        return {place: sorted(names) for place, names in found.items() if names}


def content(place: str, name: str) -> bytes:
    return b"%PDF-1.7 " + place.encode() if name.endswith(".pdf") else jpeg(f"{place} {name}")


@pytest.fixture
def four(
    practice: Practice, azurite: Azurite, dropbox_server: DropboxServer, request: pytest.FixtureRequest
) -> Iterator[Four]:
    gate, person = Gate(), Person()
    sources: dict[str, Source] = {}
    with (
        OneDriveServer("business") as onedrive,
        run_faulty_proxy(azurite.url) as proxy,
        azurite.container() as container,
        practice.records() as records,
    ):
        folder = onedrive.drive.folder("images/intouch")
        for name in LAID:
            practice.photo(name, content("local", name))
            onedrive.drive.write(folder, name, content("onedrive", name))
            dropbox_server.put(f"{FOLDER}/{name}", content("dropbox", name))
            container.upload_blob(f"photos/{name}", content("azure", name))
        sources["local"] = practice.source(provider="DRJ")
        sources["onedrive"] = open_source(
            "onedrive:///images/intouch",
            signin=onedrive.signin(),
            endpoint=onedrive.endpoint,
            patience=gate.patience(),
            provider="DRJ",
        )
        sources["dropbox"] = DropboxSource(
            FOLDER,
            signin=open_sign_in(dropbox_server, on_url=person, timeout_s=getattr(request, "param", 30.0)),
            endpoint=dropbox_server.url,
            provider="DRJ",
        )
        sources["azure"] = azurite.open(
            f"{container.container_name}/photos",
            endpoint=f"{proxy.url}/{ACCOUNT}",
            patience=gate.patience(1.0),
            timeout_s=5.0,
            provider="DRJ",
        )
        proxy.reset(lambda _asked: cut_before)
        yield Four(practice, records, onedrive, dropbox_server, proxy, person, gate, sources)
        gate.open.set()
        for source in sources.values():
            source.close()


def by_place(inbox: Inbox) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in inbox.rows:
        found.setdefault(row.location, []).append(row)
    return found


def test_each_location_is_what_it_is(four: Four) -> None:
    """Rows, reasons and counts are right for each of the four, and what failed says why and what would help."""
    four.throttle(2)
    four.gate.open.set()
    inbox = four.inbox()
    report = inbox.refresh(sign_in=False)
    problems = {problem.location: problem for problem in report.problems}
    assert sorted(problems) == ["azure", "dropbox"]
    assert (problems["azure"].sign_in, problems["azure"].retry_helps) == (False, True)
    assert problems["dropbox"].sign_in
    assert "sign" in problems["dropbox"].text
    assert {problem.source_id for problem in report.problems} == {
        four.sources[place].source_id for place in ("azure", "dropbox")
    }
    # Two were listed, and each of their files is told once.
    assert report.closes
    assert (report.listed, report.imported, report.waiting, report.ignored, report.failed) == (14, 4, 8, 2, 0)
    for place in ("local", "onedrive"):
        told = {
            outcome.name: (outcome.state.value, outcome.reason.value)
            for outcome in report.outcomes
            if outcome.source_id == four.sources[place].source_id
        }
        assert told == LAID
    rows = by_place(inbox)
    assert sorted(rows) == ["local", "onedrive"]
    for of_place in rows.values():
        assert sorted(row.name for row in of_place if row.state is State.WAITING) == WAITING
        assert {row.name: row.reason.value for row in of_place} == {
            name: reason for name, (state, reason) in LAID.items() if state != "imported"
        }
    assert four.stored() == {"local": IMPORTED, "onedrive": IMPORTED}
    assert four.practice.left() == sorted({*LAID} - {*IMPORTED})
    # Nothing was taken from where nothing could be read.
    assert four.dropbox.names(FOLDER) == {*LAID}


def test_the_healthy_one_waits_for_nobody(four: Four) -> None:
    """Its photos are in the record, its rows are shown and can be saved while the others still let one wait."""
    four.throttle(50)
    inbox = four.inbox()
    report: list[Any] = []
    refreshing = threading.Thread(target=lambda: report.append(inbox.refresh(sign_in=False)))
    refreshing.start()
    try:
        assert four.gate.reached.wait(30)
        until(lambda: len(four.practice.left()) == len(LAID) - len(IMPORTED))
        assert four.stored() == {"local": IMPORTED}
        until(lambda: bool(inbox.rows))
        assert refreshing.is_alive()
        (wound,) = [row for row in inbox.rows if row.name == "wound.jpg"]
        saved = inbox.save(inbox.prepare([wound], patient="10042", title="Left forearm"))
        assert (saved.imported, wound.state, wound.title) == (1, State.IMPORTED, "Left forearm")
        # Another refresh meanwhile waits for nobody either.
        healthy = inbox.refresh(only=[four.sources["local"].source_id])
        assert (healthy.listed, healthy.waiting, healthy.problems) == (4, 3, ())
        assert refreshing.is_alive()
    finally:
        four.gate.open.set()
        refreshing.join(60)
    assert report[0].closes
    assert sorted(problem.location for problem in report[0].problems) == ["azure", "dropbox"]
    assert four.stored() == {"local": sorted([*IMPORTED, "wound.jpg"]), "onedrive": IMPORTED}
    assert {place: len(rows) for place, rows in by_place(inbox).items()} == {"local": 4, "onedrive": 5}


def test_all_of_them_recover(four: Four) -> None:
    """Asked for too long a pause, one is a problem of the report; when all are well again, all is imported once."""
    four.throttle(3600, times=3)
    four.gate.open.set()
    inbox = four.inbox()
    report = inbox.refresh(sign_in=False)
    problems = {problem.location: problem for problem in report.problems}
    assert sorted(problems) == ["azure", "dropbox", "onedrive"]
    assert problems["onedrive"].retry_helps
    assert (report.listed, report.imported, report.closes) == (len(LAID), 2, True)
    assert sorted(by_place(inbox)) == ["local"]
    four.onedrive.faults.clear()
    four.proxy.reset()
    four.gate._now_s += 4000
    refreshing = threading.Thread(target=lambda: press(four.person.page()))
    refreshing.start()
    report = inbox.refresh()
    refreshing.join()
    assert report.problems == ()
    assert report.closes
    assert (report.listed, report.imported) == (5 + 3 * len(LAID), 6)
    assert four.stored() == dict.fromkeys(("local", "onedrive", "dropbox", "azure"), IMPORTED)
    report = inbox.refresh()
    assert (report.listed, report.imported, report.problems) == (20, 0, ())


@pytest.mark.parametrize("four", [0.5], indirect=True)
def test_nobody_signs_in(four: Four) -> None:
    """A sign-in that nobody completes ends in its own problem, after the others are done."""
    four.throttle(1)
    four.gate.open.set()
    inbox = four.inbox()
    report = inbox.refresh()
    assert four.person.count == 1
    assert {problem.location: problem.sign_in for problem in report.problems}.keys() == {"azure", "dropbox"}
    assert (report.listed, report.imported, report.closes) == (14, 4, True)
    assert all(outcome.reason is not Reason.UNEXPECTED for outcome in report.outcomes)


def until(found: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for something that another thread does."""
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if found():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")
