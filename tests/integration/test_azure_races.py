"""Two workstations on one container, and a workstation that forks."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.ledger import Event, Ledger
from intouch_import.model import Reason, State
from miniature import jpeg
from services.azurite import ACCOUNT, KEY
from workstations import race

if TYPE_CHECKING:
    from pathlib import Path

    from miniature import Practice
    from services.azurite import Azurite

ROUNDS = 20 if os.environ.get("INTOUCH_AZURE") == "all" else 1
FILES = 30


@pytest.mark.parametrize("named", [True, False], ids=["by-themselves", "by-two-people"])
def test_two_workstations_at_once_store_each_photo_once(
    practice: Practice, azurite: Azurite, named: bool
) -> None:
    """Each photo is in one record and gone from the container, and both reports close."""
    for _ in range(ROUNDS):
        with azurite.container() as container, practice.records() as records:
            pattern = "10042_DRJ_20260131_1425{:02}.jpg" if named else "IMG {:03}.jpg"
            contents = {
                pattern.format(number): jpeg(f"{container.container_name}{number}") for number in range(FILES)
            }
            for name, data in contents.items():
                container.upload_blob(f"photos/{name}", data)
            reports = race(
                practice,
                f"az://{container.container_name}/photos",
                (None, None) if named else ("10042", "10043"),
                account_name=ACCOUNT,
                account_key=KEY,
                endpoint=azurite.endpoint,
            )
            assert all(report["closes"] and not report["problems"] for report in reports)
            with azurite.open(f"{container.container_name}/photos") as source:
                inbox = practice.inbox(source, records=records)
                assert inbox.refresh().stored == 0
                stored = [
                    one
                    for patient in ("10042", "10043")
                    for one in records.attachments(patient)
                    if one.source_id == source.source_id
                ]
            digests = Counter(one.sha256 for one in stored)
            assert digests == Counter(hashlib.sha256(data).hexdigest() for data in contents.values())
            assert list(container.list_blob_names()) == []
            ledger = Ledger(records.engine)
            for one in stored:
                events = {entry.event for entry in ledger.entries(import_id=one.import_id)}
                assert {Event.STORED, Event.MOVED} <= events
            if not named:
                _check_the_loser_was_told(reports)


def _check_the_loser_was_told(reports: list[dict[str, Any]]) -> None:
    """If two people save a photo to different patients, at most one save succeeds."""
    by_name: dict[str, list[str]] = {}
    for report in reports:
        for outcome in report["outcomes"]:
            by_name.setdefault(outcome["name"], []).append(outcome["reason"])
    allowed = {Reason.ALREADY_ASSIGNED, Reason.VANISHED, Reason.CHANGED}
    for told in by_name.values():
        assert told.count(Reason.CHOSEN) <= 1, told
        assert {reason for reason in told if reason != Reason.CHOSEN} <= allowed | {Reason.FINISHED_ELSEWHERE}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("fast", [True, False])
def test_a_source_works_on_in_a_forked_child(azurite: Azurite, fast: bool, tmp_path: Path) -> None:
    """The child process does not hang and does not use its parent's connections."""
    with azurite.container() as container, azurite.open(container.container_name, fast=fast) as source:
        for number in range(3):
            container.upload_blob(f"{number}.jpg", b"x" * 1000)
        files = list(source.scan())
        source.fetch(files[0]).close()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for file in source.scan():
                    source.fetch(file).close()
                source.remove(files[0], sha256="")
                code = 0
            finally:
                os._exit(code)
        for file in files[1:] * 3:
            source.fetch(file).close()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert {file.name for file in source.scan()} == {"1.jpg", "2.jpg"}


def test_threads_share_a_source(azurite: Azurite) -> None:
    """Many threads read and remove through one source, each file once."""
    with azurite.container() as container, azurite.open(container.container_name) as source:
        contents = {f"{number}.jpg": os.urandom(1000) for number in range(40)}
        for name, data in contents.items():
            container.upload_blob(name, data)

        def move(file: Any) -> tuple[str, bytes]:
            with source.fetch(file) as content, content.open() as stream:
                data = stream.read()
            source.remove(file, sha256=content.sha256)
            return file.name, data

        with ThreadPoolExecutor(12) as pool:
            assert dict(pool.map(move, source.scan())) == contents
        assert list(source.scan()) == []


def test_a_file_that_is_replaced_after_it_was_stored_is_not_removed(
    practice: Practice, azurite: Azurite
) -> None:
    """The record has the old version; the new one stays and is a new file at the next refresh."""
    with azurite.container() as container, azurite.open(container.container_name) as source:
        container.upload_blob("scan.jpg", jpeg("old"))
        inbox = practice.inbox(source)
        inbox.refresh()
        request = inbox.prepare(inbox.rows, patient="10042")  # it reads the file, too
        fetch = source.fetch

        def fetch_then_replace(*args: Any, **options: Any) -> Any:
            content = fetch(*args, **options)
            container.upload_blob("scan.jpg", jpeg("new"), overwrite=True)
            return content

        source.fetch = fetch_then_replace  # type: ignore[method-assign]
        (outcome,) = inbox.save(request).outcomes
        assert (outcome.state, outcome.reason) == (State.STORED, Reason.CHANGED)
        assert container.download_blob("scan.jpg").readall() == jpeg("new")
        source.fetch = fetch  # type: ignore[method-assign]
        inbox.refresh()
        assert [(row.name, row.state) for row in inbox.rows] == [("scan.jpg", State.WAITING)]
