"""Records that were opened before a fork: each process gets its own answers, and nothing is lost.

``INTOUCH_FORK_ANSWERS=100000`` asks more questions than the usual run.
"""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

import forking
from forking import FORKS, fork, in_child
from intouch_import import Inbox, Patient, Provider, engines, open_source
from intouch_import.clock import SYSTEM_CLOCK
from intouch_import.errors import RepositoryError
from intouch_import.ledger import Event, Ledger, LedgerEntry
from intouch_import.repositories.sql import SqlRepository
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [*forking.marks, pytest.mark.both_databases]

IDS = [str(number) for number in range(2000, 2020)]
CHILDREN = 3
ANSWERS = int(os.environ.get("INTOUCH_FORK_ANSWERS", "400"))


@pytest.fixture
def records(database_url: str, tmp_path: Path) -> Iterator[SqlRepository]:
    """Records of 20 patients, and a connection that was used."""
    with SqlRepository.open(database_url, files=tmp_path / "files") as opened:
        opened.add_patients([Patient(id=one, name=f"Patient {one}") for one in IDS])
        opened.add_provider(Provider(id="DRJ"))
        yield opened


def refresh(records: SqlRepository, photos: Path) -> dict[str, int]:
    inbox = Inbox(records, [open_source(photos, provider="DRJ")], zone="UTC", settle_s=0, check_content=False)
    report = inbox.refresh()
    return {"imported": report.imported, "failed": report.failed, "problems": len(report.problems)}


def lay_out(photos: Path) -> None:
    photos.mkdir(exist_ok=True)
    for one in IDS:
        (photos / f"{one}_DRJ_20260131_142501.jpg").write_bytes(jpeg(one))


def ask(records: SqlRepository, count: int, seed: int) -> list[str]:
    """Ask about patients at random; return every wrong answer."""
    chance, wrong = random.Random(seed), []
    for _ in range(count):
        one = chance.choice(IDS)
        match chance.randrange(3):
            case 0:
                found = records.find_patient(one)
                answer = found and (found.id, found.name)
                right: Any = (one, f"Patient {one}")
            case 1:
                answer, right = [stored.patient_id for stored in records.attachments(one)], [one]
            case _:
                answer, right = [found.id for found in records.search_patients(f"Patient {one}")], [one]
        if answer != right:
            wrong.append(f"{one}: {answer}")
    return wrong


@pytest.mark.parametrize("how", FORKS)
def test_no_process_gets_the_answer_of_another(
    records: SqlRepository, database: str, how: str, tmp_path: Path
) -> None:
    """Parent and children ask about patients at the same time; each answer is about the patient asked for."""
    if (database, how) == ("sqlite", "c"):
        pytest.skip("see test_a_fork_without_hooks")
    lay_out(tmp_path / "photos")
    assert refresh(records, tmp_path / "photos")["imported"] == len(IDS)
    share = ANSWERS // (CHILDREN + 1)
    children = [fork(lambda seed=seed: ask(records, share, seed), how=how) for seed in range(CHILDREN)]
    assert ask(records, share, CHILDREN) == []
    assert [child.result() for child in children] == [[]] * CHILDREN


def test_children_and_parent_import_the_same_photos_once(records: SqlRepository, tmp_path: Path) -> None:
    """Processes that share records from before the fork refresh at the same time."""
    photos = tmp_path / "photos"
    lay_out(photos)
    Ledger(records.engine)
    children = [fork(lambda: refresh(records, photos)) for _ in range(CHILDREN)]
    reports = [refresh(records, photos), *(child.result() for child in children)]
    assert [report["failed"] + report["problems"] for report in reports] == [0] * (CHILDREN + 1)
    assert sum(map(len, map(records.attachments, IDS))) == len(IDS)
    assert os.listdir(photos) == []
    ledger = Ledger(records.engine)
    assert (ledger.verify(), ledger.tail()[0]) == ([], 2 * len(IDS))


def test_what_a_child_stores_outlives_its_parent(
    records: SqlRepository, database_url: str, tmp_path: Path
) -> None:
    """The parent closes its records while the child uses its own: nothing that the child stores is lost."""
    hear, say = os.pipe()
    done, tell = os.pipe()

    def store() -> None:
        records.add_patient(Patient(id="before"))
        os.write(tell, b"1")
        assert os.read(hear, 1)
        records.add_patient(Patient(id="after"))

    child = fork(store)
    assert os.read(done, 1)
    records.close()
    os.write(say, b"1")
    child.result()
    with SqlRepository.open(database_url, files=tmp_path / "files") as again:
        assert set(again.find_patients(["before", "after"])) == {"before", "after"}


def test_a_fork_waits_for_the_transactions_of_other_threads(records: SqlRepository) -> None:
    """A thread finishes its transaction before the fork, and the child can use the records."""
    begun = threading.Event()

    def transact() -> None:
        with records.transaction():
            begun.set()
            while not engines._process._forks:
                pass
            records.find_patient(IDS[0])  # a second connection is not refused: that would be a deadlock

    thread = threading.Thread(target=transact)
    thread.start()
    assert begun.wait(60)
    assert in_child(lambda: records.find_patient(IDS[0]) is not None)
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("whose", ["other thread", "own"])
def test_a_transaction_at_the_fork_stays_with_the_parent(
    records: SqlRepository,
    database: str,
    database_url: str,
    whose: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child can't continue a transaction. On SQLite it can't use a database at all; the parent commits."""
    monkeypatch.setattr(engines, "_LONGEST_WAIT_S", 0.0)
    begun, go_on = threading.Event(), threading.Event()

    def reopened() -> list[str]:
        answers = []
        for use in (
            lambda: records.find_patient(IDS[0]),
            lambda: SqlRepository.open(database_url, files=tmp_path / "files").find_patient(IDS[0]),
        ):
            try:
                answers.append(use().id)
            except RepositoryError as exc:
                answers.append("refused" if "open the records after the fork" in str(exc) else str(exc))
        return answers

    expected = ["refused"] * 2 if database == "sqlite" else [IDS[0]] * 2
    if whose == "other thread":

        def transact() -> None:
            with engines.connected(records.engine) as connection, connection.begin():
                begun.set()
                go_on.wait(60)

        thread = threading.Thread(target=transact)
        thread.start()
        assert begun.wait(60)
        assert in_child(reopened) == expected
        go_on.set()
        thread.join(60)
    else:

        def leave(transaction: Any) -> list[str]:
            with pytest.raises(RepositoryError):
                transaction.__exit__(None, None, None)
            return reopened()

        transaction = records.transaction()
        with transaction:
            assert in_child(lambda: leave(transaction)) == expected
            assert records.find_patient(IDS[0])
    records.add_patient(Patient(id="later"))
    assert records.find_patient("later")


def test_a_listing_of_the_ledger_stays_with_the_parent(records: SqlRepository, tmp_path: Path) -> None:
    """A child that continues to read entries fails; the parent reads every entry."""
    lay_out(tmp_path / "photos")
    refresh(records, tmp_path / "photos")
    entries = Ledger(records.engine).entries()
    first = next(entries)

    def read_on() -> str:
        try:
            return f"read {len(list(entries))}"
        except Exception as exc:  # which one depends on what the driver has read ahead
            return type(exc).__name__

    assert in_child(read_on) != ""
    assert len([first, *entries]) == 2 * len(IDS)


def test_a_listing_that_another_thread_ends_does_not_hinder_forks(records: SqlRepository) -> None:
    """Entries that one thread begins to read, and another one drops, are not in use any more."""
    entry = LedgerEntry(
        event=Event.FAILED,
        at=SYSTEM_CLOCK.now(),
        import_id="1" * 40,
        location="local",
        source_id="local-test",
    )
    Ledger(records.engine).append([entry])
    begun: list[Any] = []

    def begin() -> None:
        begun.append(Ledger(records.engine).entries())
        next(begun[0])

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join(60)
    begun.pop().close()
    assert in_child(lambda: records.find_patient(IDS[0]) is not None)


def test_a_fork_without_hooks(records: SqlRepository, database: str) -> None:
    """A fork in C leaves SQLite open in the child, which refuses it and says what to do."""
    if database == "sqlite":

        def use() -> str:
            with pytest.raises(RepositoryError) as caught:
                records.find_patient(IDS[0])
            return str(caught.value)

        assert "open the records after the fork" in in_child(use, how="c")
    else:
        assert in_child(lambda: records.find_patient(IDS[0]) is not None, how="c")
    assert records.find_patient(IDS[0])


def test_a_child_of_a_child_has_its_own_connections(records: SqlRepository) -> None:
    """A fork in a child is as safe as the first."""
    assert in_child(lambda: in_child(lambda: records.find_patient(IDS[0]) is not None))
    assert records.find_patient(IDS[0])
