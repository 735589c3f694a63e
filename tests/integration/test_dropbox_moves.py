"""Complete moves from a Dropbox: a fault at every call in turn, and two workstations at the same time."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from typing import TYPE_CHECKING

import pytest

from intouch_import.clock import Clock
from intouch_import.dropbox import DropboxSource
from intouch_import.inbox import Inbox
from intouch_import.ledger import Event
from intouch_import.model import Patient, State
from miniature import NOW, jpeg
from services.doubles.dropbox import DropboxServer, Fault
from services.dropbox_server import FOLDER, hurried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.repositories.sql import SqlRepository
    from miniature import Practice

FAULTS = {
    "503 before": Fault.unavailable(),
    "503 after": Fault.unavailable(after=True),
    "lost before": Fault.lost(),
    "lost after": Fault.lost(after=True),
    "cut": Fault.cut(40),
    "wrong hash": Fault.wrong_hash(),
    "throttled": Fault.throttled(3),
    "token ended": Fault.expired_token(),
    "a page": Fault.html(),
    "no sense": Fault(status=200, body=b"{}", headers={"Content-Type": "application/json"}, after=True),
}
# Usually only faults that show something new are tried; a long run tries all.
GIVING_UP = ("503 after", "lost after", "throttled")
WHOLE = int(os.environ.get("INTOUCH_CRASH_RUNS", "20")) >= 1000
ROUNDS = int(os.environ.get("INTOUCH_RACE_ROUNDS", "3"))


class Office:
    """A practice with a Dropbox, for many rounds: each has new patients and a new Dropbox."""

    def __init__(self, practice: Practice) -> None:
        self.practice = practice
        self.records: SqlRepository = practice.records()
        self._round = 0
        self.patient = ""
        self.contents: dict[str, bytes] = {}

    def lay_out(self, server: DropboxServer, count: int, *, named: bool = True) -> None:
        """Put photos of a new patient into the folder."""
        self._round += 1
        self.patient = str(70000 + self._round)
        self.records.add_patients([Patient(id=self.patient), Patient(id=f"9{self.patient}")])
        pattern = f"{self.patient}_DRJ_20260131_1425{{:02}}.jpg" if named else "IMG_{:04}.jpg"
        self.contents = {pattern.format(n): jpeg(f"{self._round} {n}") for n in range(count)}
        for name, content in self.contents.items():
            server.put(f"{FOLDER}/{name}", content)

    def inbox(
        self,
        server: DropboxServer,
        token: str,
        *,
        budget_s: float = 30.0,
        records: SqlRepository | None = None,
    ) -> tuple[DropboxSource, Inbox]:
        """Open an inbox, as a workstation does."""
        source = DropboxSource(
            FOLDER, signin=lambda _force=False: token, endpoint=server.url, patience=hurried(budget_s)
        )
        inbox = Inbox(
            records or self.records, [source], zone="UTC", settle_s=0.0, clock=Clock(now=lambda: NOW)
        )
        return source, inbox

    def stored(self, patient: str | None = None) -> list[str]:
        """Return the SHA-256 of the stored attachments, read back."""
        digests = []
        for stored in self.records.attachments(patient or self.patient):
            with self.records.open_attachment(stored.id) as stream:
                digests.append(hashlib.sha256(stream.read()).hexdigest())
        return sorted(digests)

    @property
    def wanted(self) -> list[str]:
        """Return the SHA-256 of the photos that were put into the folder."""
        return sorted(hashlib.sha256(content).hexdigest() for content in self.contents.values())

    def check(self, server: DropboxServer) -> None:
        """Check that no photo is lost or stored twice."""
        left = {
            hashlib.sha256(server.read(f"{FOLDER}/{name}") or b"").hexdigest()
            for name in server.names(FOLDER)
        }
        stored = self.stored()
        assert set(self.wanted) == left | set(stored)
        assert len(stored) == len(set(stored))


@pytest.fixture
def office(practice: Practice) -> Iterator[Office]:
    office = Office(practice)
    yield office
    office.records.close()


@pytest.mark.parametrize(
    ("name", "patient"),
    [*((name, True) for name in FAULTS), *((name, False) for name in FAULTS if WHOLE or name in GIVING_UP)],
)
def test_a_fault_at_every_call_in_turn(office: Office, name: str, patient: bool) -> None:
    """Whichever call fails, the report closes, no photo is lost or doubled, and the next start finishes."""
    fault = FAULTS[name]
    for number in itertools.count(1):
        with DropboxServer() as server:
            office.lay_out(server, 2)
            source, inbox = office.inbox(server, server.token(), budget_s=30.0 if patient else 0.0)
            server.fail("*", fault, skip=number - 1)
            with source:
                report = inbox.refresh()
                assert report.closes
                office.check(server)
            hit = server.faults.left() == 0
            server.faults.clear()
            source, inbox = office.inbox(server, server.token())
            with source:
                again = inbox.refresh()
                assert (again.problems, again.failed, again.stored) == ((), 0, 0)
            assert server.names(FOLDER) == set()
            assert office.stored() == office.wanted
            assert inbox.ledger.unfinished(source.source_id) == []
            if not hit:
                assert number > 5, "listing, downloads and deletions were reached"
                return


def test_at_most_two_requests_a_file(office: Office) -> None:
    """Besides the listing, a file takes one request to download it, and a share of one to delete it."""
    with DropboxServer() as server:
        office.lay_out(server, 50)
        source, inbox = office.inbox(server, server.token())
        with source:
            assert inbox.refresh().imported == 50
        listing = sum(
            count for route, count in server.calls.items() if "list" in route or "metadata" in route
        )
        assert server.calls["files/download"] == 50
        assert sum(server.calls.values()) - listing <= 2 * 50


@pytest.mark.parametrize("named", [True, False], ids=["by themselves", "by two people"])
def test_two_workstations_at_once(office: Office, named: bool) -> None:
    """Each file is stored once, whoever is faster. Two different patients for one file are an error."""
    for _ in range(ROUNDS):
        with DropboxServer(contention=True) as server:
            office.lay_out(server, 12, named=named)
            patients = (office.patient, office.patient if named else f"9{office.patient}")
            stations = [
                office.inbox(server, server.token(), records=office.practice.records()) for _ in range(2)
            ]
            barrier = threading.Barrier(2)
            reports = []

            def work(inbox: Inbox, patient: str) -> None:
                if named:
                    barrier.wait()  # noqa: B023  # the round ends before the next begins
                    reports.append(inbox.refresh())  # noqa: B023
                    return
                inbox.refresh()
                job = inbox.prepare(inbox.rows, patient=patient)
                barrier.wait()  # noqa: B023
                reports.append(inbox.save(job))  # noqa: B023

            threads = [
                threading.Thread(target=work, args=(inbox, patient))
                for (_, inbox), patient in zip(stations, patients, strict=True)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(reports) == 2
            assert all(report.closes for report in reports)
            for source, inbox in stations:
                last = inbox.refresh()
                assert (last.problems, last.failed) == ((), 0)
                source.close()
                inbox.repository.close()
            both = [digest for patient in set(patients) for digest in office.stored(patient)]
            assert sorted(both) == office.wanted
            assert server.names(FOLDER) == set()
            for patient in set(patients):
                for stored in office.records.attachments(patient):
                    events = [
                        entry.event for entry in stations[0][1].ledger.entries(import_id=stored.import_id)
                    ]
                    assert events.count(Event.STORED) >= 1
                    assert Event.MOVED in events


def test_a_file_that_is_replaced_while_it_is_moved(office: Office) -> None:
    """The version that was read is stored. The new version stays and is imported by the next refresh."""
    with DropboxServer() as server:
        office.lay_out(server, 1)
        (name,) = office.contents
        newer = jpeg("newer")
        server.fail("files/delete_batch", Fault.somebody(lambda: server.put(f"{FOLDER}/{name}", newer)))
        source, inbox = office.inbox(server, server.token())
        with source:
            report = inbox.refresh()
            assert [outcome.state for outcome in report.outcomes] == [State.STORED]
            assert server.read(f"{FOLDER}/{name}") == newer
            assert inbox.refresh().imported == 1
        assert office.stored() == sorted([*office.wanted, hashlib.sha256(newer).hexdigest()])
        assert server.names(FOLDER) == set()


def test_an_undo_puts_the_file_back(office: Office) -> None:
    """The file is back under its name, complete, and then waits for a person."""
    with DropboxServer() as server:
        office.lay_out(server, 1)
        source, inbox = office.inbox(server, server.token())
        with source:
            report = inbox.refresh()
            assert inbox.undo(report.outcomes[0]).state is State.WAITING
            assert {name: server.read(f"{FOLDER}/{name}") for name in server.names(FOLDER)} == office.contents
            assert inbox.refresh().waiting == 1
        assert office.stored() == []
