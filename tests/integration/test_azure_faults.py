"""Faults at every request of a move from Azure, and the reason that is reported for each."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Patience, Pause
from intouch_import.errors import FileUnreadable, SourceUnavailable, Throttled
from intouch_import.ledger import Event
from intouch_import.model import State
from miniature import jpeg, reasons
from services.azurite import ACCOUNT
from services.faulty_proxy import (
    Asked,
    FaultyProxy,
    answer,
    cut_after,
    cut_before,
    cut_body,
    delay,
    duplicate,
    fail_after,
    replace_body,
    run_faulty_proxy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.storage.blob import ContainerClient

    from intouch_import.inbox import Inbox
    from intouch_import.sources import Source
    from miniature import Practice
    from services.azurite import Azurite

ALL = os.environ.get("INTOUCH_AZURE") == "all"
HTML = b"<html><body>Please accept the terms of this network</body></html>"
FAULTS: dict[str, Any] = {
    "cut before": cut_before,
    "cut after": cut_after,
    "cut body": cut_body,
    "delayed": delay(0.3),
    "twice": duplicate,
    "500": answer(500, "InternalError"),
    "500 after": fail_after(500, "OperationTimedOut"),
    "503": answer(503, "ServerBusy", Retry_After="2"),
    "503 after": fail_after(503, "ServerBusy"),
    "429": answer(429, Retry_After="1"),
    "portal": answer(200, body=HTML, Content_Type="text/html"),
    "portal after": fail_after(200, body=HTML, Content_Type="text/html"),
    "half": replace_body(lambda body: body[: len(body) // 2]),
    "403": answer(403, "AuthorizationFailure"),
    "404": answer(404),
}
USUAL = ["half", "cut after", "500 after", "503", "portal after", "403"]
"""Those that every test run tries; a run with INTOUCH_AZURE=all tries them all."""


class WaitingClock:
    """A clock that only moves during a wait."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.pauses: list[Pause] = []

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def patience(self, budget_s: float = 60.0) -> Patience:
        return Patience(
            budget_s,
            on_wait=self.pauses.append,
            chance=lambda: 1.0,
            clock=Clock(monotonic_s=lambda: self.now_s, sleep=self.sleep),
        )


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultyProxy]:
    with run_faulty_proxy(azurite.url) as proxy:
        yield proxy


@pytest.fixture
def clock() -> WaitingClock:
    return WaitingClock()


class Clinic:
    """A practice whose photos are in a container, behind the faulty proxy."""

    def __init__(self, practice: Practice, azurite: Azurite, proxy: FaultyProxy, *, fast: bool) -> None:
        self.azurite, self.proxy, self.fast = azurite, proxy, fast
        self.practice = practice
        self.records = practice.records()
        self.bytes: dict[str, bytes] = {}

    def lay_out(self, container: ContainerClient, count: int) -> None:
        """Create photos with capture names, and one that a person must assign."""
        self.container = container
        self.bytes = {
            f"10042_DRJ_20260131_1425{number:02}.jpg": jpeg(f"{container} {number}")
            for number in range(count)
        }
        self.bytes["scan.jpg"] = jpeg(f"{container} scan")
        for name, data in self.bytes.items():
            container.upload_blob(f"photos/{name}", data)

    def open(self, *, faulty: bool = True, patience: Patience | None = None) -> Source:
        endpoint = f"{self.proxy.url}/{ACCOUNT}" if faulty else None
        return self.azurite.open(
            f"{self.container.container_name}/photos",
            endpoint=endpoint,
            source_id=self.container.container_name,
            patience=patience or WaitingClock().patience(),
            fast=self.fast,
            timeout_s=5.0,
        )

    def inbox(self, source: Source) -> Inbox:
        return self.practice.inbox(source, records=self.records)

    def stored(self) -> dict[str, str]:
        """Return names and digests of the stored photos from this container, each read back."""
        found = {}
        for stored in self.records.attachments("10042"):
            if stored.source_id != self.container.container_name:
                continue
            with self.records.open_attachment(stored.id) as stream:
                assert hashlib.sha256(stream.read()).hexdigest() == stored.sha256
            assert stored.name not in found, "stored twice"
            found[stored.name] = stored.sha256
        return found

    def left(self) -> dict[str, str]:
        found = {}
        for blob in self.container.list_blob_names(name_starts_with="photos/"):
            data = self.container.download_blob(blob).readall()
            found[blob.removeprefix("photos/")] = hashlib.sha256(data).hexdigest()
        return found

    def check_nothing_is_lost(self) -> None:
        """Check that each photo is in the container or in the records, with its own bytes."""
        expected = {name: hashlib.sha256(data).hexdigest() for name, data in self.bytes.items()}
        assert {**self.left(), **self.stored()} == expected

    def finish(self) -> None:
        """Without further faults, check that each photo is imported once."""
        with self.open(faulty=False) as source:
            inbox = self.inbox(source)
            report = inbox.refresh()
            assert (report.closes, report.failed, report.stored, report.problems) == (True, 0, 0, ())
            waiting = [row for row in inbox.rows if row.state is State.WAITING]
            if waiting:
                assert inbox.save(inbox.prepare(waiting, patient="10042")).imported == len(waiting)
            assert self.left() == {}
            assert set(self.stored()) == set(self.bytes)
            ledger = inbox.ledger
            assert ledger.unfinished(source.source_id) == []
            for stored in self.records.attachments("10042"):
                if stored.source_id == source.source_id:
                    events = [entry.event for entry in ledger.entries(import_id=stored.import_id)]
                    assert events.count(Event.MOVED) == 1, events


def work(clinic: Clinic, source: Source) -> None:
    """Do the work of a workstation: a refresh imports automatically, and a person saves the rest."""
    inbox = clinic.inbox(source)
    report = inbox.refresh()
    assert report.closes
    waiting = [row for row in inbox.rows if row.state is State.WAITING]
    if waiting:
        report = inbox.save(inbox.prepare(waiting, patient="10042"))
        assert report.closes


@pytest.mark.parametrize("fault", FAULTS if ALL else USUAL)
@pytest.mark.parametrize("fast", [True, False] if ALL else [True], ids=lambda fast: "fast" if fast else "sdk")
def test_a_fault_at_any_request_loses_nothing_and_doubles_nothing(
    practice: Practice, azurite: Azurite, proxy: FaultyProxy, fault: str, fast: bool
) -> None:
    """After a fault at any request, each photo is in one place, the counts close, and the next refresh finishes."""
    clinic = Clinic(practice, azurite, proxy, fast=fast)
    number, hit = 0, True
    while hit:
        with azurite.container() as container:
            clinic.lay_out(container, 3 if ALL else 1)
            proxy.reset()
            with clinic.open() as source:
                hit = False

                def strike(asked: Asked, number: int = number) -> Any:
                    nonlocal hit
                    if asked.number != number:
                        return None
                    hit = True
                    return FAULTS[fault]

                proxy.reset(strike)
                work(clinic, source)
            proxy.reset()
            clinic.check_nothing_is_lost()
            clinic.finish()
        number += 1
    assert number > 5


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"delayed", "twice"}) if ALL else USUAL[3:])
def test_a_fault_from_any_request_on_loses_nothing(
    practice: Practice, azurite: Azurite, proxy: FaultyProxy, fault: str
) -> None:
    """A service that stays broken is a problem with a message; stored files are finished later."""
    clinic = Clinic(practice, azurite, proxy, fast=True)
    for number in range(8) if ALL else (0, 2):
        with azurite.container() as container:
            clinic.lay_out(container, 1)
            proxy.reset()
            with clinic.open(patience=WaitingClock().patience(3.0)) as source:
                proxy.reset(lambda asked, number=number: FAULTS[fault] if asked.number >= number else None)
                report = clinic.inbox(source).refresh()
            proxy.reset()
            assert report.closes
            if number == 0:
                (problem,) = report.problems
                assert problem.text
                assert (report.listed, problem.retry_helps) == (0, fault != "403")
            clinic.check_nothing_is_lost()
            clinic.finish()


@pytest.mark.parametrize(
    ("fault", "text", "helps"),
    [
        (answer(403, "AuthorizationPermissionMismatch"), "does not allow this", False),
        (answer(403, "AuthenticationFailed"), "not valid here", False),
        (answer(401, "NoAuthenticationInformation"), "not valid here", False),
        (answer(403, "AuthenticationFailed", Date="Wed, 21 Oct 2015 07:28:00 GMT"), "clock differs", False),
        (answer(404, "ContainerNotFound"), "container does not exist", False),
        (answer(409, "ContainerBeingDeleted"), "being deleted", True),
        (answer(403, "AccountIsDisabled"), "account is disabled", False),
        (answer(404), "makes no sense", True),
        (answer(302, Location="http://127.0.0.1:9/"), "makes no sense", True),
        (answer(200, body=HTML, Content_Type="text/html"), "makes no sense", True),
        (answer(200, body=b"", Content_Type="application/xml"), "makes no sense", True),
        (answer(400, "InvalidQueryParameterValue"), "service rejects", False),
        (answer(500, "InternalError"), "service failed", True),
        (cut_before, "cut", True),
        (cut_body, "cut", True),
    ],
)
def test_why_a_folder_is_not_listed(
    azurite: Azurite, proxy: FaultyProxy, clock: WaitingClock, fault: Any, text: str, helps: bool
) -> None:
    """Each failure has its own message, says whether a retry may help, and is not an empty folder."""
    with azurite.container() as container:
        container.upload_blob("photos/a.jpg", b"x")
        path, endpoint = f"{container.container_name}/photos", f"{proxy.url}/{ACCOUNT}"
        with azurite.open(path, endpoint=endpoint, patience=clock.patience(5.0)) as source:
            proxy.reset(lambda _: fault)
            with pytest.raises(SourceUnavailable, match=text) as caught:
                list(source.scan())
            assert (caught.value.retry_helps, caught.value.source_id) == (helps, source.source_id)
            retried = len(proxy.seen) > 1
            assert retried == (fault in {cut_before, cut_body} or "failed" in text)
            assert retried == bool(clock.pauses)
            proxy.reset(lambda _: fault)
            if fault is not cut_body:  # an answer to HEAD has no body
                with pytest.raises(SourceUnavailable, match=text):
                    source.look("a.jpg")


def test_a_listing_that_breaks_in_its_middle_is_no_shorter_listing(
    azurite: Azurite, proxy: FaultyProxy, clock: WaitingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the failed page is requested again; if it keeps failing, the listing fails."""
    from azure.storage.blob import ContainerClient

    walk = ContainerClient.walk_blobs
    monkeypatch.setattr(
        ContainerClient,
        "walk_blobs",
        lambda *args, **options: walk(*args, **{"results_per_page": 2, **options}),
    )
    with azurite.container() as container:
        for number in range(6):
            container.upload_blob(f"photos/{number}.jpg", b"x")
        path, endpoint = f"{container.container_name}/photos", f"{proxy.url}/{ACCOUNT}"
        with azurite.open(path, endpoint=endpoint, patience=clock.patience(3.0)) as source:
            proxy.reset(lambda asked: cut_body if asked.number == 1 else None)
            assert [file.name for file in source.scan()] == [f"{number}.jpg" for number in range(6)]
            assert proxy.kinds() == ["list"] * 4
            proxy.reset(lambda asked: cut_body if asked.number >= 1 else None)
            with pytest.raises(SourceUnavailable):
                list(source.scan())


def test_a_download_goes_on_where_it_was_cut(
    azurite: Azurite, proxy: FaultyProxy, clock: WaitingClock
) -> None:
    """Received parts are not requested again, and each pause is reported."""
    data = os.urandom(100_000) * 90
    with azurite.container() as container:
        container.upload_blob("photos/a.mp4", data)
        path, endpoint = f"{container.container_name}/photos", f"{proxy.url}/{ACCOUNT}"
        with azurite.open(path, endpoint=endpoint, patience=clock.patience(), fast=False) as source:
            (file,) = source.scan()
            proxy.reset(lambda asked: cut_body if asked.number in {1, 2} else None)
            with source.fetch(file) as content:
                assert content.sha256 == hashlib.sha256(data).hexdigest()
            ranges = [asked.headers["x-ms-range"] for asked in proxy.seen]
            assert ranges == [
                "bytes=0-4194303",
                *["bytes=4194304-8388607"] * 3,
                "bytes=8388608-8999999",
            ]
            assert len(clock.pauses) == 2


@pytest.mark.parametrize("fast", [True, False])
def test_a_budget_of_nothing_waits_for_nothing(
    azurite: Azurite, proxy: FaultyProxy, clock: WaitingClock, fast: bool
) -> None:
    """The SDK's own retries and pauses are off: only the caller's budget applies."""
    with azurite.container() as container:
        container.upload_blob("photos/a.jpg", bytes(1000))
        path, endpoint = f"{container.container_name}/photos", f"{proxy.url}/{ACCOUNT}"
        with azurite.open(path, endpoint=endpoint, patience=clock.patience(0.0), fast=fast) as source:
            (file,) = source.scan()
            proxy.reset(lambda _: cut_body)
            with pytest.raises(FileUnreadable, match="cut"):
                source.fetch(file)
            assert len(proxy.seen) == 1 + fast
            proxy.reset(lambda _: answer(500, "InternalError"))
            with pytest.raises(SourceUnavailable):
                source.remove(file, sha256="")
            assert len(proxy.seen) == 1
            proxy.reset(lambda _: answer(503, "ServerBusy", Retry_After="7"))
            with pytest.raises(Throttled) as caught:
                list(source.scan())
            assert caught.value.after_s == pytest.approx(7)
            assert clock.pauses == []


def test_retry_after_is_kept_by_everybody(azurite: Azurite, proxy: FaultyProxy, clock: WaitingClock) -> None:
    """Retry-After is honoured, as a number and as a date."""
    with azurite.container() as container:
        path, endpoint = f"{container.container_name}/photos", f"{proxy.url}/{ACCOUNT}"
        with azurite.open(path, endpoint=endpoint, patience=clock.patience()) as source:
            date = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry_After": "Wed, 21 Oct 2026 07:28:09 GMT"}
            faults = [answer(429, Retry_After="11"), answer(503, "ServerBusy", **date)]
            proxy.reset(lambda asked: faults[asked.number] if asked.number < 2 else None)
            assert list(source.scan()) == []
            assert [round(pause.seconds) for pause in clock.pauses] == [11, 9]
            assert all(pause.throttled for pause in clock.pauses)


def test_a_server_that_refuses_or_is_silent_or_unknown(azurite: Azurite, clock: WaitingClock) -> None:
    """A closed port, a silent server and an unknown host have different messages."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}/{ACCOUNT}"
        with pytest.raises(SourceUnavailable, match="refused") as caught:
            azurite.open("photos/new", endpoint=endpoint, patience=clock.patience(2.0))
        assert caught.value.retry_helps
        assert len(clock.pauses) >= 2
        closed.listen()
        with pytest.raises(SourceUnavailable, match="stopped sending"):
            azurite.open("photos/new", endpoint=endpoint, patience=clock.patience(0.0), timeout_s=0.3)
    clock.pauses.clear()
    with pytest.raises(SourceUnavailable, match=r"DNS|looked up") as caught:
        azurite.open("photos/new", endpoint="https://account.blob.invalid", patience=clock.patience(1.0))
    assert caught.value.source_id is not None


def test_a_certificate_that_nobody_signed_is_not_trusted(azurite: Azurite, clock: WaitingClock) -> None:
    """Nothing is sent to a server with an untrusted certificate, and the error comes at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # a TLS alert: handshake failure

        thread = threading.Thread(target=hang_up)
        thread.start()
        endpoint = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(SourceUnavailable, match="not trusted") as caught:
            azurite.open("photos/new", endpoint=endpoint, patience=clock.patience())
        thread.join()
    assert not caught.value.retry_helps
    assert clock.pauses == []


@pytest.mark.parametrize("fast", [True, False])
def test_wrong_bytes_under_the_right_size_are_told(
    practice: Practice, azurite: Azurite, proxy: FaultyProxy, fast: bool
) -> None:
    """A body that was changed on the way has another MD5 and is not imported."""
    clinic = Clinic(practice, azurite, proxy, fast=fast)
    with azurite.container() as container:
        clinic.lay_out(container, 1)
        with clinic.open() as source:
            proxy.reset(lambda asked: replace_body(lambda body: body[::-1]) if asked.kind == "GET" else None)
            report = clinic.inbox(source).refresh()
        told = reasons(report)
        assert told["10042_DRJ_20260131_142500.jpg"] == ("failed", "digest_differs")
        assert clinic.stored() == {}
        clinic.finish()
