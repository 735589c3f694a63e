"""A OneDrive folder in an inbox: what staff see, and what is in the record at the end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.model import Reason, State
from miniature import jpeg, reasons
from services.doubles.onedrive import Fault, OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniature import Practice
    from services.doubles.onedrive import Item

NAME = "10042_DRJ_20260131_142501.jpg"


def test_photos_go_to_their_patients(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any], practice: Practice
) -> None:
    """Photos with a capture name are imported at the first refresh, and the others wait."""
    for number in range(30):
        name = f"10042_DRJ_20260131_1425{number:02}.jpg"
        server.drive.write(photos, name, jpeg(name))
    server.drive.write(photos, "wound.jpg", jpeg("wound"))
    with practice.records() as records:
        inbox = practice.inbox(opened(server, provider="DRJ"), records=records)
        report = inbox.refresh()
        assert (report.imported, report.waiting, report.failed, report.closes) == (30, 1, 0, True)
        assert [item.name for item in photos.children.values()] == ["wound.jpg"]
        assert len(server.drive.bin) == 30
        assert inbox.save(inbox.prepare(inbox.rows, patient="10043")).imported == 1
        assert photos.children == {}
        (stored,) = records.attachments("10043")
        outcome = inbox.undo(stored)
        assert outcome.state is State.WAITING
        assert photos.children["wound.jpg"].content == jpeg("wound")
        assert inbox.refresh().waiting == 1


def test_altered_files(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any], practice: Practice
) -> None:
    """A Live Photo waits, is stored as delivered if a person says so, stays in the OneDrive, and is not read repeatedly."""
    item = server.drive.write(photos, NAME, jpeg("with its video") + b"video")
    item.told_hashes, item.told_size = dict(server.drive.hashes(item)), len(item.content or b"")
    item.content = jpeg("with its video")
    with practice.records() as records:
        inbox = practice.inbox(opened(server), records=records)
        for _ in range(3):
            assert reasons(inbox.refresh()) == {NAME: ("waiting", "content_altered")}
        assert server.calls["download"] == 2
        report = inbox.save(inbox.prepare(inbox.rows, patient="10042"))
        (outcome,) = report.outcomes
        assert (outcome.state, outcome.reason, outcome.retry_helps) == (
            State.STORED,
            Reason.LEFT_IN_SOURCE,
            False,
        )
        assert report.closes
        (stored,) = records.attachments("10042")
        with records.open_attachment(stored.id) as stream:
            assert stream.read() == item.content
        for _ in range(2):
            report = inbox.refresh()
            assert reasons(report) == {NAME: ("waiting", "content_altered")}
        assert server.calls["download"] == 4
        assert not item.deleted
        assert len(records.attachments("10042")) == 1
        server.drive.delete(item)  # by the person
        assert inbox.refresh().listed == 0


def test_a_download_that_is_refused_stops_no_other(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any], practice: Practice
) -> None:
    """A file whose download is always refused is reported; the other nine are imported."""
    names = [f"10042_DRJ_20260131_14250{number}.jpg" for number in range(10)]
    for name in names:
        server.drive.write(photos, name, jpeg(name))
    bad = server.drive.child(photos, names[3])
    plain = server.graph._download_url
    nowhere = f"{server.graph._content_base()}/dl/nothing"
    server.graph._download_url = lambda drive, item: (  # type: ignore[method-assign]
        nowhere if item is bad else plain(drive, item)
    )
    with practice.records() as records:
        report = practice.inbox(opened(server), records=records).refresh()
    assert (report.imported, report.failed, report.closes) == (9, 1, True)
    assert report.problems == ()


NO_ADDRESS: dict[str, Any] = {"@microsoft.graph.downloadUrl": None}


@pytest.mark.parametrize(
    ("facets", "call", "fault", "state"),
    [
        (NO_ADDRESS, "content", None, State.IMPORTED),
        (NO_ADDRESS, "content", Fault.refused(403, "accessDenied"), State.FAILED),
        (NO_ADDRESS, "content", Fault(status=404, body=b"<html>"), State.FAILED),
        ({}, "item", Fault.refused(404, "unknownError"), State.FAILED),
        ({}, "item", Fault.refused(400, "invalidRequest"), State.FAILED),
        ({"lastModifiedDateTime": "yesterday"}, "item", None, State.IMPORTED),
        ({"lastModifiedDateTime": "2026-01-31T14:25:01"}, "item", None, State.IMPORTED),
        ({"file": {"hashes": {"quickXorHash": "!"}}}, "item", None, State.WAITING),
    ],
    ids=str,
)
def test_one_odd_file_stops_no_other(
    facets: dict[str, Any],
    call: str,
    fault: Fault | None,
    state: State,
    business: OneDriveServer,
    opened: Callable[..., Any],
    practice: Practice,
) -> None:
    """A file without an address is read through Graph; a refusal, a bad date or hash of a file concerns that file only."""
    photos = business.drive.folder("images/intouch")
    names = [f"10042_DRJ_20260131_14250{number}.jpg" for number in range(5)]
    for name in names:
        business.drive.write(photos, name, jpeg(name))
    business.drive.child(photos, names[2]).facets.update(facets)
    if fault is not None:
        # The first item is the folder.
        business.fail(call, fault, times=None if facets else 1, skip=0 if facets else 1)
    with practice.records() as records:
        report = practice.inbox(opened(business), records=records).refresh()
    assert (report.listed, report.closes, report.problems) == (5, True, ())
    assert sorted(outcome.state for outcome in report.outcomes) == sorted([state] + [State.IMPORTED] * 4)


def test_two_workstations(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any], practice: Practice
) -> None:
    """Two workstations that refresh the same folder at the same time store each photo once and lose none."""
    names = [f"10042_DRJ_20260131_1425{number:02}.jpg" for number in range(20)]
    for _ in range(3):
        for name in names:
            server.drive.write(photos, name, jpeg(name + str(len(server.drive.bin))))
        before = {item.id for item in photos.children.values()}
        start = threading.Barrier(2)

        def refresh(_: int, start: threading.Barrier = start) -> Any:
            with practice.records() as records:
                inbox = practice.inbox(opened(server, source_id="shared"), records=records)
                start.wait()
                return inbox.refresh()

        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(refresh, range(2)))
        assert all(report.closes and not report.problems for report in reports)
        assert photos.children == {}
        assert {item.id for item in server.drive.bin} >= before
    with practice.records() as records:
        stored = records.attachments("10042")
    assert len(stored) == 60
    assert len({one.import_id for one in stored}) == 60


def test_two_hours(practice: Practice, opened: Callable[..., Any]) -> None:
    """An import of two hours outlives its token three times, and asks nobody."""
    now = [datetime(2026, 3, 1, 8, tzinfo=UTC)]
    with OneDriveServer("business", clock=lambda: now[0], token_s=40 * 60) as server:
        photos = server.drive.folder("images/intouch")
        names = [f"10042_DRJ_20260131_14{number // 60:02}{number % 60:02}.jpg" for number in range(240)]
        for name in names:
            server.drive.write(photos, name, jpeg(name))
        plain = server.graph.content_answer

        def takes_half_a_minute(request: Any) -> Any:
            now[0] += timedelta(seconds=30)
            return plain(request)

        server.graph.content_answer = takes_half_a_minute  # type: ignore[method-assign]
        server.graph.download_s = 10_000.0
        from test_identity import signed_in

        signin = signed_in(server, clock=Clock(monotonic_s=lambda: datetime.timestamp(now[0])))
        renewals = server.identity_calls["token"]
        with practice.records() as records:
            inbox = practice.inbox(opened(server, signin=signin), records=records)
            report = inbox.refresh()
            assert (report.imported, report.problems) == (240, ())
            assert len(records.attachments("10042")) == 240
        assert (now[0] - datetime(2026, 3, 1, 8, tzinfo=UTC)) >= timedelta(hours=2)
        assert server.identity_calls["token"] - renewals == 3
        assert server.identity_calls["authorize"] == 1
        assert not [
            request
            for request in server.requests
            if request.headers.get("authorization") is None and "/v1.0/" in request.path
        ]


@pytest.mark.parametrize("when", ["listing", "fetching"])
def test_a_sign_in_that_ends_concerns_its_location_alone(
    when: str, server: OneDriveServer, photos: Item, opened: Callable[..., Any], practice: Practice
) -> None:
    """If the sign-in is revoked during a refresh, only that location has a problem; the local folder is imported."""
    from test_identity import signed_in

    for number in range(5):
        name = f"10042_DRJ_20260131_14250{number}.jpg"
        server.drive.write(photos, name, jpeg(name))
    practice.photo("10043_DRJ_20260131_142501.jpg")
    signin = signed_in(server, on_url=None)
    call = "children" if when == "listing" else "download"
    server.fail(call, Fault.somebody(server.identity.revoke))
    with practice.records() as records:
        report = practice.inbox(opened(server, signin=signin), practice.source(), records=records).refresh()
        assert len(records.attachments("10043")) == 1
    problems = [problem for problem in report.problems if problem.location == "onedrive"]
    assert problems
    assert report.closes
    assert "sign" in problems[0].text
    assert problems[0].sign_in


def test_after_a_sign_in_the_rest_is_imported(
    business: OneDriveServer, opened: Callable[..., Any], practice: Practice
) -> None:
    """If a sign-in is revoked while photos are fetched, a refresh asks for a new one, and then imports the rest."""
    photos = business.drive.folder("images/intouch")
    names = [f"10042_DRJ_20260131_14250{number}.jpg" for number in range(5)]
    for name in names:
        business.drive.write(photos, name, jpeg(name))
    token = [business.token()]
    source = opened(business, signin=lambda force=False: token[0])
    asked: list[int] = []

    def sign_in(*, cancelled: Callable[[], bool]) -> bool:
        asked.append(1)
        token[0] = business.token()
        return True

    source.sign_in = sign_in
    business.fail("download", Fault.somebody(business.identity.revoke))
    with practice.records() as records:
        report = practice.inbox(source, records=records).refresh()
        assert sorted(one.name for one in records.attachments("10042")) == names
    assert (asked, report.imported, report.failed, report.listed) == ([1], 5, 0, 5)
    assert sorted(outcome.name for outcome in report.outcomes) == names
    assert (report.closes, report.problems) == (True, ())
