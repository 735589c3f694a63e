"""Claims on files: which of them count, and for how long."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from intouch_import.database import connect
from intouch_import.errors import RepositoryError
from intouch_import.ledger import Ledger, claims
from intouch_import.ledger.entry import claims_table
from moving_bench import raising

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.both_databases

ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(database_url)
    yield opened
    opened.close()


def owners(ledger: Ledger) -> list[str]:
    with ledger._engine.connect() as connection:
        return list(connection.scalars(sa.select(claims_table.c.owner)))


def rename(ledger: Ledger, owner: str) -> None:
    """Give the one claim that there is another owner."""
    with ledger._engine.begin() as connection:
        connection.execute(sa.update(claims_table).values(owner=owner))


def test_moves_share_a_file_and_an_undo_is_alone(ledger: Ledger, database_url: str) -> None:
    """An undo waits for every move, a move waits for an undo, and both wait on another workstation, too."""
    other = Ledger.open(database_url)
    with ledger.claims.move([ONE, TWO]) as first, other.claims.move([ONE]) as second:
        assert first.refused == second.refused == frozenset()
        assert other.claims.undo(TWO).refused == {TWO}
        first.close()
        assert ledger.claims.undo(ONE).refused == {ONE}
    with ledger.claims.undo(ONE) as undo:
        assert undo.refused == frozenset()
        assert other.claims.undo(ONE).refused == {ONE}
        with other.claims.move([ONE, TWO]) as part:
            assert part.refused == {ONE}
            assert ledger.claims.undo(TWO).refused == {TWO}
    assert owners(ledger) == []
    other.close()


def test_the_claim_of_a_process_that_has_ended_does_not_count(ledger: Ledger) -> None:
    """After a crash, an undo on the same machine is possible at once."""
    ledger.claims.move([ONE])
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        rename(ledger, f"{claims._machine()}/{process.pid}/x")
        assert ledger.claims.undo(ONE).refused == {ONE}
        process.communicate(b"\n")
    with ledger.claims.undo(ONE) as undo:
        assert undo.refused == frozenset()


def test_a_claim_of_this_process_number_from_before_does_not_count(ledger: Ledger) -> None:
    """A container that starts again may have the same process number."""
    ledger.claims.move([ONE])
    rename(ledger, f"{claims._machine()}/{os.getpid()}/x")
    assert ledger.claims.undo(ONE).refused == frozenset()


@pytest.mark.parametrize(("minutes", "counts"), [(59, True), (61, False)])
def test_the_claim_of_another_machine_counts_for_an_hour(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, minutes: int, counts: bool
) -> None:
    """Whether its process runs can't be found out. Old claims are deleted."""
    ledger.claims.move([ONE])
    rename(ledger, "elsewhere/1/x")
    now = claims._now
    monkeypatch.setattr(claims, "_now", lambda connection: now(connection) + timedelta(minutes=minutes))
    assert ledger.claims.undo(ONE).refused == ({ONE} if counts else frozenset())
    assert ("elsewhere/1/x" in owners(ledger)) is counts


def test_the_process_of_another_user_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may not be asked is one that runs."""
    monkeypatch.setattr(os, "kill", raising(PermissionError()))
    assert claims._runs(1)


def test_a_claim_that_can_not_be_released_ends_with_its_process(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that fails at the end of a move does not keep this process from an undo."""
    claim = ledger.claims.move([ONE])
    with monkeypatch.context() as patched:
        patched.setattr(claims, "writing", raising(RepositoryError("locked")))
        claim.close()
    assert len(owners(ledger)) == 1
    assert ledger.claims.undo(ONE).refused == frozenset()


def test_what_is_kept_counts_for_ten_minutes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the files that a service may still remove stay claimed."""
    with ledger.claims.move([ONE, TWO]) as claim:
        claim.keep(ONE)
    assert ledger.claims.undo(TWO).refused == frozenset()
    assert ledger.claims.undo(ONE).refused == {ONE}
    now = claims._now
    monkeypatch.setattr(claims, "_now", lambda connection: now(connection) + timedelta(minutes=11))
    assert ledger.claims.undo(ONE).refused == frozenset()


def test_a_claim_is_good_for_half_an_hour(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock that goes on while the machine sleeps decides."""
    with ledger.claims.move([ONE]) as claim:
        assert claim.is_good
        real = claims.time.time
        monkeypatch.setattr(claims.time, "time", lambda: real() + 1801)
        assert not claim.is_good
        monkeypatch.undo()
        assert claim.is_good


def test_a_machine_without_a_name_is_another_one_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the kernel's numbers the host name decides; without that, no two processes share a machine."""
    machine = claims._machine.__wrapped__
    monkeypatch.setattr(claims.Path, "read_text", raising(OSError("no such file")))
    monkeypatch.setattr(claims.platform, "node", lambda: "desk/1")
    assert machine() == "desk1"
    monkeypatch.setattr(claims.platform, "node", str)
    assert machine() != machine()


def test_a_claim_does_not_make_later_commits_less_durable(database_url: str) -> None:
    """On a connection that has written a claim, the ledger still waits for the disk."""
    engine = connect(database_url)
    if engine.dialect.name != "sqlite":
        pytest.skip("there the setting ends with its transaction")
    ledger = Ledger(engine)
    levels = []

    @sa.event.listens_for(engine, "commit")
    def look(connection: sa.Connection) -> None:
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    with ledger.claims.move([ONE]), claims.writing(engine):
        pass
    assert levels == [1, 2, 1]
    engine.dispose()


def test_times_are_aware(ledger: Ledger) -> None:
    """The time of a claim is close to this machine's time, in UTC."""
    with ledger._engine.connect() as connection:
        assert abs(claims._now(connection) - datetime.now(UTC)) < timedelta(minutes=1)
