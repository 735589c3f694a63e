"""Any call fails in any way, at any time: no photo is lost or doubled, and the next refresh repairs it."""

from __future__ import annotations

import hashlib
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

import workstations
from intouch_import.model import State
from miniature import jpeg
from services.doubles.onedrive import Fault, OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.repositories.sql import SqlRepository
    from miniature import Practice
    from services.doubles.onedrive import Item

ALL = os.environ.get("INTOUCH_ONEDRIVE") == "all"
ROUNDS = 20 if ALL else 1
CALLS = ["item", "children", "delta", "download", "delete"]
JSON = {"Content-Type": "application/json"}
FAULTS: list[Fault] = [
    Fault.lost(), Fault.lost(after=True), Fault.refused(500), Fault.refused(500, after=True), Fault.refused(503),
    Fault.refused(503, after=True), Fault.refused(429, retry_after="5"), Fault.refused(429, retry_after="9999"),
    Fault.refused(401), Fault.refused(403, "accessDenied"), Fault.refused(404, "itemNotFound"), Fault(status=404, body=b"<html>"),
    Fault.refused(412, "resourceModified"), Fault.refused(423), Fault.refused(507), Fault.refused(509), Fault(status=200, body=b"{}", headers=JSON),
    Fault(status=200, body=b"<html>no JSON</html>"), Fault.cut(0), Fault.cut(40), Fault.wrong_hash(),
]  # fmt: skip


def digests(contents: Any) -> list[str]:
    """Return the SHA-256 of each content, in order."""
    return sorted(hashlib.sha256(content or b"").hexdigest() for content in contents)


def stored(records: SqlRepository) -> list[str]:
    """Return the digests of what is in the records, each read back."""
    found = []
    for one in records.attachments("10042"):
        with records.open_attachment(one.id) as stream:
            found.append(hashlib.sha256(stream.read()).hexdigest())
    return sorted(found)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("kind", ["personal", "business"] if ALL else ["either"])
def test_a_fault_at_any_call(
    kind: str, times: int | None, call: str, opened: Callable[..., Any], practice: Practice
) -> None:
    """Whatever happens to a call, once or always, each photo is in the OneDrive or in the record, and at the end in the record."""
    chosen = random.choice(["personal", "business"]) if kind == "either" else kind
    with OneDriveServer(chosen) as server, practice.records() as records:
        expected: list[str] = []
        # A usual run tries some of them, and each run others.
        for number, fault in enumerate(FAULTS if ALL else random.sample(FAULTS, 4)):
            photos = server.drive.folder(f"images/{number}")
            contents = {
                f"10042_DRJ_20260131_1425{n:02}.jpg": jpeg(f"{number} {n} {call} {times}") for n in range(3)
            }
            for name, content in contents.items():
                server.drive.write(photos, name, content)
            inbox = practice.inbox(opened(server, f"images/{number}"), records=records)
            skip = random.randint(0, 2) if times == 1 else 0
            server.fail(call, fault, times=times, skip=skip)
            report = inbox.refresh()
            server.faults.clear()
            assert report.closes
            mine = digests(contents.values())
            now, left = stored(records), digests(item.content for item in photos.children.values())
            assert sorted(set(now) - set(expected) | set(left)) == mine, fault
            assert len(now) == len(set(now)), fault
            # Some time later, the pause is over.
            report = practice.inbox(opened(server, f"images/{number}"), records=records).refresh()
            assert (report.closes, report.failed, report.problems) == (True, 0, ()), fault
            expected = sorted([*expected, *mine])
            assert stored(records) == expected, fault
            assert photos.children == {}, fault
        assert server.drive.permanently_deleted == []


def race(
    practice: Practice, server: OneDriveServer, patients: tuple[str | None, ...]
) -> list[dict[str, Any]]:
    """Let workstations work on the folder of photos at the same time, and return their reports."""
    return workstations.race(
        practice,
        "onedrive:///images/intouch",
        patients,
        source_id="shared",
        endpoint=server.endpoint,
        token=server.token(),
    )


def test_two_machines_refresh(
    practice: Practice, personal: OneDriveServer, photos_of: Callable[[], Item]
) -> None:
    """Two processes that import automatically store each photo once."""
    for number in range(ROUNDS):
        photos = photos_of()
        contents = {f"10042_DRJ_20260131_1425{n:02}.jpg": jpeg(f"{number} {n}") for n in range(25)}
        for name, content in contents.items():
            personal.drive.write(photos, name, content)
        reports = race(practice, personal, (None, None))
        assert all(report["closes"] for report in reports)
        assert photos.children == {}
        with practice.records() as records:
            now = stored(records)
            assert len(now) == 25 * (number + 1)
            assert set(digests(contents.values())) <= set(now)
    assert personal.drive.permanently_deleted == []


def test_two_machines_save_for_two_patients(
    practice: Practice, personal: OneDriveServer, photos_of: Callable[[], Item]
) -> None:
    """If two people save the same files for different patients, one gets each file, and the other gets an error."""
    photos = photos_of()
    for number in range(20):
        personal.drive.write(photos, f"IMG {number:02}.jpg", jpeg(str(number)))
    reports = race(practice, personal, ("10042", "10043"))
    with practice.records() as records:
        names = [one.name for patient in ("10042", "10043") for one in records.attachments(patient)]
    assert len(names) == len(set(names)) == 20
    assert photos.children == {}
    lost = [
        outcome for report in reports for outcome in report["outcomes"] if outcome["state"] != State.IMPORTED
    ]
    assert {outcome["reason"] for outcome in lost} <= {"already_assigned", "vanished", "changed"}


@pytest.fixture
def photos_of(personal: OneDriveServer) -> Callable[[], Item]:
    """Return the present folder of photos."""
    return lambda: personal.drive.folder("images/intouch")
