"""The ledger: appended to, never changed; what was changed by other means is found."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import threading
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from intouch_import.database import connect, writing
from intouch_import.errors import LedgerError, RepositoryError
from intouch_import.ledger import Event, Ledger, LedgerEntry, book
from intouch_import.ledger.entry import CHAIN_START, claims_table, ledger_table, metadata

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.both_databases

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def entry(import_id: str = "1", event: Event = Event.STORED, **changes: Any) -> LedgerEntry:
    values: dict[str, Any] = {
        "event": event, "at": AT, "operator": "op", "patient_id": "10042", "provider_id": "DRJ",
        "destination": "images", "import_id": import_id, "attachment_id": import_id, "location": "local",
        "source_id": "s", "name": "photo.jpg", "size_bytes": 9, "sha256": "0" * 64, "reason": "chosen",
    }  # fmt: skip
    return LedgerEntry(**{**values, **changes})


@pytest.fixture
def ledger(database_url: str) -> Ledger:
    return Ledger.open(database_url)


def events(ledger: Ledger, **which: str) -> list[tuple[str, Event]]:
    return [(one.import_id, one.event) for one in ledger.entries(**which)]


def test_entries_come_back_as_they_were_written(ledger: Ledger) -> None:
    """In order, with their position and digest, the time in UTC to the microsecond."""
    east = AT.astimezone(timezone(timedelta(hours=10)))
    ledger.append([entry("1", at=east), entry("2", operator=None, patient_id=None, size_bytes=None)])
    one, two = ledger.entries()
    assert attrs.evolve(one, seq=None, digest=None) == entry("1")
    assert (one.at, one.at.tzinfo) == (AT, UTC)
    assert (one.seq, two.seq) == (1, 2)
    assert (two.operator, two.patient_id, two.size_bytes) == (None, None, None)
    assert ledger.tail() == (2, two.digest)
    assert repr(ledger) in {"<Ledger sqlite>", "<Ledger postgresql>"}


def test_an_empty_ledger(ledger: Ledger) -> None:
    """Nothing written: nothing to read, an intact chain, a tail that says so."""
    ledger.append([])
    ledger.append(iter(()))
    assert list(ledger.entries()) == []
    assert ledger.verify() == []
    assert ledger.tail() == (0, CHAIN_START)
    assert ledger.moved(["1"]) == set()
    assert ledger.moved([]) == set()


def test_facts_are_written_once(ledger: Ledger) -> None:
    """Stored and moved are facts: another workstation's repetition is dropped; attempts are kept."""
    ledger.append([entry("1"), entry("1"), entry("1", Event.MOVED)])
    ledger.append([entry("1"), entry("1", Event.MOVED), entry("1", Event.FAILED), entry("1", Event.FAILED)])
    assert events(ledger) == [
        ("1", Event.STORED),
        ("1", Event.MOVED),
        ("1", Event.FAILED),
        ("1", Event.FAILED),
    ]
    ledger.append([entry("1", Event.WITHDRAWN), entry("1"), entry("1", Event.MOVED)])
    assert [event for _, event in events(ledger)][-3:] == [Event.WITHDRAWN, Event.STORED, Event.MOVED]
    assert ledger.verify() == []


def test_what_was_moved_is_known_until_it_is_withdrawn(ledger: Ledger) -> None:
    """Moved means stored, removed, and not undone since; many ids are asked at once."""
    ledger.append([entry("1"), entry("1", Event.MOVED), entry("2"), entry("3"), entry("3", Event.MOVED)])
    ledger.append([entry("3", Event.WITHDRAWN)])
    assert ledger.moved([str(number) for number in range(2000)]) == {"1"}


def test_unfinished_moves_are_known_by_source(ledger: Ledger) -> None:
    """Stored and neither moved nor withdrawn, oldest first, of that source alone."""
    ledger.append([entry("1"), entry("2"), entry("3"), entry("4"), entry("5", source_id="other")])
    ledger.append([entry("2", Event.MOVED), entry("3", Event.WITHDRAWN), entry("4", Event.NOT_REMOVED)])
    assert [one.import_id for one in ledger.unfinished("s")] == ["1", "4"]
    assert [one.import_id for one in ledger.unfinished("other")] == ["5"]


def test_undos_that_were_begun_are_known_by_source(ledger: Ledger) -> None:
    """Being put back, and neither withdrawn nor stored again since, oldest first, of that source alone."""
    ledger.append([entry(str(number), Event.PUTTING_BACK) for number in range(4)])
    ledger.append([entry("5", Event.PUTTING_BACK, source_id="other")])
    ledger.append([entry("1", Event.WITHDRAWN), entry("2"), entry("3", Event.FAILED)])
    assert [one.import_id for one in ledger.undoing("s")] == ["0", "3"]
    assert [one.import_id for one in ledger.undoing("other")] == ["5"]


@pytest.mark.parametrize(
    "end", [Event.WITHDRAWN, Event.NOT_PUT_BACK, Event.STORED, Event.PUTTING_BACK, Event.MOVED]
)
def test_what_ends_an_undo(ledger: Ledger, end: Event) -> None:
    """Each way that it can end, or be begun anew; any other line of that file leaves it open."""
    ledger.append([entry("1", Event.PUTTING_BACK), entry("1", end), entry("2", Event.PUTTING_BACK)])
    left = {Event.PUTTING_BACK: [("1", 2), ("2", 3)], Event.MOVED: [("1", 1), ("2", 3)]}.get(end, [("2", 3)])
    assert [(one.import_id, one.seq) for one in ledger.undoing("s")] == left


@pytest.mark.parametrize(
    "end", [Event.REASSIGNED, Event.NOT_REASSIGNED, Event.WITHDRAWN, Event.REASSIGNING, Event.MOVED]
)
def test_what_ends_a_reassignment(ledger: Ledger, end: Event) -> None:
    """Likewise, of every source; oldest first."""
    ledger.append([entry("1", Event.REASSIGNING), entry("1", end)])
    ledger.append([entry("2", Event.REASSIGNING, source_id="other")])
    left = {Event.REASSIGNING: [("1", 2), ("2", 3)], Event.MOVED: [("1", 1), ("2", 3)]}.get(end, [("2", 3)])
    assert [(one.import_id, one.seq) for one in ledger.reassigning()] == left


def test_a_file_may_be_reassigned_again(ledger: Ledger) -> None:
    """That it was is a fact until it is begun anew: repeated by another workstation it is dropped."""
    there_and_back = [entry("1", Event.REASSIGNING), entry("1", Event.REASSIGNED)]
    ledger.append([*there_and_back, entry("1", Event.REASSIGNED)])
    ledger.append([entry("1", Event.REASSIGNED)])
    assert [event for _, event in events(ledger)] == [Event.REASSIGNING, Event.REASSIGNED]
    ledger.append(there_and_back)
    assert [event for _, event in events(ledger)] == [Event.REASSIGNING, Event.REASSIGNED] * 2
    assert ledger.moved(["1"]) == set()


def test_bytes_that_were_taken_back_are_known_by_patient(ledger: Ledger) -> None:
    """Of the digests that are asked for, and of undos alone; also when the undo is over."""
    ledger.append([entry("1", Event.PUTTING_BACK, sha256="a"), entry("1", Event.WITHDRAWN, sha256="a")])
    ledger.append([entry("2", Event.PUTTING_BACK, sha256="b", patient_id="10043"), entry("3", sha256="c")])
    ledger.append([entry("4", Event.PUTTING_BACK, sha256="d")])
    assert ledger.undone(["a", "b", "c", "e"]) == {("10042", "a"), ("10043", "b")}
    assert ledger.undone([]) == set()


def test_an_attachment_is_known_by_its_newest_file(ledger: Ledger) -> None:
    """Stored under one import id, put back and stored under another: the last counts."""
    ledger.append(
        [entry("1", attachment_id="A"), entry("2", attachment_id="B"), entry("3", attachment_id="A")]
    )
    assert [ledger.import_id_of(one) for one in ("A", "B", "C")] == ["3", "2", None]


def test_files_put_back_are_known_by_name_and_size(ledger: Ledger) -> None:
    """Only names that are asked for, of that source, with the sizes they had."""
    ledger.append(
        [entry("1", Event.PUTTING_BACK), entry("2", Event.PUTTING_BACK, name="b.jpg", size_bytes=7)]
    )
    ledger.append([entry("3", Event.PUTTING_BACK, source_id="other", name="c.jpg"), entry("4", name="d.jpg")])
    assert ledger.put_back("s", ["photo.jpg", "b.jpg", "c.jpg", "d.jpg"]) == {
        ("photo.jpg", 9, "0" * 64),
        ("b.jpg", 7, "0" * 64),
    }
    assert ledger.put_back("s", []) == set()


def test_entries_are_asked_by_file_and_patient(ledger: Ledger) -> None:
    """The history of one file, and of one patient."""
    ledger.append([entry("1"), entry("2", patient_id="10043"), entry("2", Event.MOVED, patient_id="10043")])
    assert events(ledger, import_id="2") == [("2", Event.STORED), ("2", Event.MOVED)]
    assert events(ledger, patient_id="10042") == [("1", Event.STORED)]
    assert events(ledger, patient_id="10043", import_id="1") == []


def test_ids_that_are_written_escaped_are_found_as_they_are(ledger: Ledger) -> None:
    """Whoever asks spells an id as its owner does, be it one that databases refuse or that shows as another."""
    odd = "a\N{NO-BREAK SPACE}b\udce9"
    ids = {"source_id": odd, "patient_id": odd, "attachment_id": odd}
    ledger.append([entry("1", **ids), entry("2", Event.PUTTING_BACK, **ids)])
    assert [one.import_id for one in ledger.unfinished(odd)] == ["1"]
    assert [one.import_id for one in ledger.undoing(odd)] == ["2"]
    assert ledger.put_back(odd, ["photo.jpg"]) == {("photo.jpg", 9, "0" * 64)}
    assert ledger.import_id_of(odd) == "2"
    assert events(ledger, patient_id=odd) == [("1", Event.STORED), ("2", Event.PUTTING_BACK)]
    ledger.append([entry("3", Event.REASSIGNING, patient_id="10043", from_patient_id=odd)])
    assert events(ledger, patient_id=odd)[2:] == [("3", Event.REASSIGNING)]


# --- the chain


@pytest.fixture
def long(ledger: Ledger) -> Ledger:
    ledger.append([entry(str(number)) for number in range(1, 8)])
    assert ledger.verify() == []
    return ledger


def run(ledger: Ledger, sql: str) -> None:
    with ledger._engine.connect().execution_options(intouch_write=True) as connection, connection.begin():
        connection.exec_driver_sql(sql)


@pytest.mark.parametrize(
    "column", sorted({field.name for field in attrs.fields(LedgerEntry)} - {"seq", "digest"})
)
def test_a_changed_row_is_found(long: Ledger, column: str) -> None:
    """Whatever is changed in a row, the chain breaks there and nowhere else."""
    value = {"event": "'failed'", "at": "'2020-01-01 00:00:00.000000'", "size_bytes": "8"}.get(
        column, "'changed'"
    )
    run(long, f'UPDATE intouch_ledger SET "{column}" = {value} WHERE seq = 4')
    assert long.verify() == [4]


BROKEN_TEXT = {"sqlite": "CAST(X'80ff' AS TEXT)", "postgresql": "'\u0007'"}
WRONG = {
    "an event that is none": {"sqlite": "event = 'invented'", "postgresql": "event = 'invented'"},
    "a time that is none": {"sqlite": "at = 'yesterday'", "postgresql": "at = 'infinity'"},
    "a time without a zone": {
        "sqlite": "at = '2026-03-01T12:00:00.123456'",
        "postgresql": "at = at + interval '1 us'",
    },
    "a time before Christ": {
        "sqlite": "at = '-2026'",
        "postgresql": "at = '2026-03-01 12:00:00.123456+00 BC'",
    },
    "text that is none": {kind: f"name = {text}" for kind, text in BROKEN_TEXT.items()},
    "bytes for text": {"sqlite": "name = X'00ff'", "postgresql": "name = chr(1)"},
    "another type": {"sqlite": "size_bytes = 9.5", "postgresql": "size_bytes = 8"},
    "a case": {"sqlite": "name = upper(name)", "postgresql": "name = upper(name)"},
    "a blank": {"sqlite": "reason = reason || ' '", "postgresql": "reason = reason || ' '"},
    "a patient moved to the other side": dict.fromkeys(
        ("sqlite", "postgresql"), "from_patient_id = patient_id, patient_id = NULL"
    ),
    "two values that changed places": dict.fromkeys(
        ("sqlite", "postgresql"), "attachment_id = sha256, sha256 = attachment_id"
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_a_row_was_changed_to_is_found(long: Ledger, database: str, what: str) -> None:
    """Values that no entry can hold are found as well; reading the entries says so instead of breaking."""
    run(long, f"UPDATE intouch_ledger SET {WRONG[what][database]} WHERE seq = 4")
    assert long.verify() == [4]
    with contextlib.suppress(LedgerError):
        list(long.entries())
    long.append([entry("1", Event.FAILED)])
    assert long.verify() == [4]


def test_verifying_leaves_no_reader_less_strict(long: Ledger, database: str) -> None:
    """Text that is none is looked at as it is while the chain is walked, and refused as before when it is read."""
    run(long, f"UPDATE intouch_ledger SET {WRONG['text that is none'][database]} WHERE seq = 4")
    for _ in range(2):
        assert long.verify() == [4]
        with pytest.raises(LedgerError) if database == "sqlite" else contextlib.nullcontext():
            list(long.entries())


def test_positions_that_are_none_are_found(long: Ledger, database: str) -> None:
    """A row that was given a number below or far above the others, or none at all, breaks the chain."""
    run(long, "UPDATE intouch_ledger SET seq = -3 WHERE seq = 2")
    assert set(long.verify()) >= {-3}
    run(long, "UPDATE intouch_ledger SET seq = 2 WHERE seq = -3")
    assert long.verify() == []
    run(long, "UPDATE intouch_ledger SET seq = 9000000000 WHERE seq = 7")
    assert long.verify() == [9000000000]
    if database == "sqlite":
        run(long, "UPDATE intouch_ledger SET seq = 'x' WHERE seq = 9000000000")
        assert long.verify() == [7]


def test_a_chain_that_was_computed_anew_shows_in_the_tail(long: Ledger) -> None:
    """Whoever knows the rule can forge a chain; only a digest that is kept elsewhere tells."""
    kept = long.tail()
    forged = list(long.entries())
    run(long, "DELETE FROM intouch_ledger")
    long.append([attrs.evolve(one, patient_id="10043", seq=None, digest=None) for one in forged])
    assert long.verify() == []
    assert long.tail() != kept


def test_entries_that_cannot_be_read_are_told(long: Ledger) -> None:
    """An event that this version does not know: the error names the way to find it, and no value."""
    run(long, "UPDATE intouch_ledger SET event = 'SECRET' WHERE seq = 4")
    with pytest.raises(LedgerError, match="verify the ledger") as caught:
        list(long.entries())
    assert "SECRET" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert caught.value.kind == "ValueError"  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["verify", "entries", "export"])
def test_no_way_takes_memory_for_the_whole(ledger: Ledger, way: str) -> None:
    """A ledger of years is walked, not loaded."""
    many = 6000
    ledger.append([entry(f"{number:040}", name="x" * 200) for number in range(many)])
    list(itertools.islice(ledger.export(), 10))
    tracemalloc.start()
    try:
        assert sum(1 for _ in getattr(ledger, way)()) == (0 if way == "verify" else many)
        assert tracemalloc.get_traced_memory()[1] < many * 600
    finally:
        tracemalloc.stop()


def test_digests_of_before_reassignments_still_hold(ledger: Ledger) -> None:
    """An entry that is no reassignment has the digest that older versions gave it."""
    ledger.append([entry("1")])
    (one,) = ledger.entries()
    assert one.digest == "91d7797e23682efba2b074af2fad8382c5e76234d183df3289edef22a935b666"


def test_a_changed_digest_is_found(long: Ledger) -> None:
    """A row with another digest fits neither what stands before it nor what comes after."""
    run(long, "UPDATE intouch_ledger SET digest = 'changed' WHERE seq = 4")
    assert long.verify() == [4, 5]


def test_a_value_that_was_emptied_is_found(long: Ledger) -> None:
    """Nothing and an empty text are different."""
    run(long, "UPDATE intouch_ledger SET operator = NULL WHERE seq = 3")
    run(long, "UPDATE intouch_ledger SET provider_id = '' WHERE seq = 5")
    assert long.verify() == [3, 5]


def test_a_removed_row_is_found(long: Ledger) -> None:
    """The row after the gap does not fit."""
    run(long, "DELETE FROM intouch_ledger WHERE seq = 4")
    assert long.verify() == [5]


def test_a_removed_row_is_found_even_if_the_others_were_renumbered(long: Ledger) -> None:
    """Positions are part of the chain."""
    run(long, "DELETE FROM intouch_ledger WHERE seq = 4")
    run(long, "UPDATE intouch_ledger SET seq = seq - 1 WHERE seq > 4")
    assert long.verify() != []


def test_an_inserted_row_is_found(long: Ledger) -> None:
    """A row that was not written by the ledger does not fit, at the end or in between."""
    columns = ", ".join(f'"{column.name}"' for column in ledger_table.columns if column.name != "seq")
    run(
        long,
        f"INSERT INTO intouch_ledger (seq, {columns}) SELECT 8, {columns} FROM intouch_ledger WHERE seq = 2",
    )
    assert long.verify() == [8]


def test_swapped_rows_are_found(long: Ledger) -> None:
    """Two rows that changed places break the chain."""
    run(long, "UPDATE intouch_ledger SET seq = -1 WHERE seq = 3")
    run(long, "UPDATE intouch_ledger SET seq = 3 WHERE seq = 4")
    run(long, "UPDATE intouch_ledger SET seq = 4 WHERE seq = -1")
    assert set(long.verify()) >= {3, 4}


def test_a_server_in_another_zone_changes_nothing(database_url: str, database: str) -> None:
    """The time in the chain is UTC, whatever zone a database server shows times in."""
    url = (
        f"{database_url}?options=-c%20timezone%3DAustralia%2FSydney"
        if database == "postgresql"
        else database_url
    )
    ledger = Ledger.open(url)
    ledger.append([entry()])
    assert ledger.verify() == []
    assert Ledger.open(database_url).verify() == []
    assert [one.at for one in ledger.entries()] == [AT]


def test_the_order_in_which_rows_lie_in_the_database_says_nothing(long: Ledger) -> None:
    """A database that was restored or packed may hand them out in any: the positions are the order."""
    long.append([entry("7", Event.MOVED), entry("8", Event.REASSIGNING), entry("9", Event.REASSIGNING)])
    long.append([entry("7", Event.WITHDRAWN)])
    tail = long.tail()
    columns = ", ".join(f'"{column.name}"' for column in ledger_table.columns)
    run(long, f"CREATE TABLE kept AS SELECT {columns} FROM intouch_ledger")
    run(long, "DELETE FROM intouch_ledger")
    run(long, f"INSERT INTO intouch_ledger ({columns}) SELECT {columns} FROM kept ORDER BY seq DESC")
    assert [one.seq for one in long.entries()] == list(range(1, 12))
    assert [one.seq for one in long.unfinished("s")] == list(range(1, 7))
    assert [one.seq for one in long.reassigning()] == [9, 10]
    assert long.moved(["7"]) == set()
    assert long.verify() == []
    assert long.tail() == tail
    long.append([entry("7"), entry("7", Event.MOVED)])
    assert long.moved(["7"]) == {"7"}
    assert long.verify() == []


def test_rows_cut_off_at_the_end_show_in_the_tail(long: Ledger) -> None:
    """The chain can't tell, but a tail kept elsewhere does."""
    kept = long.tail()
    run(long, "DELETE FROM intouch_ledger WHERE seq > 5")
    assert long.verify() == []
    assert long.tail() != kept


# --- writing


def test_two_threads_append_and_the_chain_holds(ledger: Ledger) -> None:
    """Entries of several writers stand one after the other, none lost."""
    failures: list[BaseException] = []

    def write(start: int) -> None:
        try:
            for number in range(20):
                ledger.append([entry(f"{start}-{number}"), entry(f"{start}-{number}", Event.MOVED)])
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=write, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ledger.verify() == []
    assert ledger.tail()[0] == 120


@pytest.mark.parametrize("what", ["open", "append"])
def test_only_one_writes_at_a_time(database_url: str, what: str) -> None:
    """Who makes the table or appends waits for who does, on another workstation too: else both take one number."""
    ledger = Ledger.open(database_url)
    engine = connect(database_url)
    if what == "open":
        with writing(engine) as connection:
            for table in (ledger_table.name, claims_table.name, book.VERSION_TABLE):
                connection.exec_driver_sql(f"DROP TABLE {table}")
    done = threading.Event()

    def work() -> None:
        if what == "open":
            Ledger.open(database_url)
        else:
            ledger.append([entry()])
        done.set()

    thread = threading.Thread(target=work)
    with writing(engine, lock=book._LOCK):
        thread.start()
        assert not done.wait(0.5)
    thread.join(30)
    assert done.is_set()
    assert ledger.tail()[0] == (what == "append")
    engine.dispose()


def test_a_write_that_fails_writes_nothing(ledger: Ledger) -> None:
    """An append is one transaction: all of it, or a LedgerError and none."""
    ledger.append([entry("1")])
    run(ledger, "CREATE UNIQUE INDEX refuses ON intouch_ledger (name) WHERE name = 'no'")
    with pytest.raises(LedgerError):
        ledger.append([entry("2", name="no"), entry("3", name="no")])
    assert events(ledger) == [("1", Event.STORED)]
    assert ledger.verify() == []


@pytest.mark.parametrize("field", ["name", "operator", "patient_id", "provider_id", "source_id"])
@pytest.mark.parametrize(
    "text", ["a\nb", "Ren\udce9", "\u202eabc", "nul\0", "\N{GRINNING FACE}", "'; DROP TABLE x; --"]
)
def test_text_of_any_kind_is_written(ledger: Ledger, field: str, text: str) -> None:
    """Names, operators and ids of any characters are written (escaped where need be) and keep the chain."""
    ledger.append([entry("1", **{field: text})])
    (one,) = ledger.entries()
    assert getattr(one, field)
    assert ledger.verify() == []


@pytest.mark.parametrize("field", ["operator", "attachment_id", "patient_id"])
def test_ids_that_are_numbers_are_written_as_text(ledger: Ledger, field: str) -> None:
    """As a host may number its staff: read again they are text, and the chain holds."""
    ledger.append([entry("1", **{field: 7}), entry("2")])
    assert getattr(next(ledger.entries()), field) == "7"
    assert ledger.verify() == []


def test_the_public_face_cannot_change_a_row() -> None:
    """No public method updates or deletes, and the module holds no such statement."""
    public = {name for name in vars(Ledger) if not name.startswith("_")}
    assert public <= {
        "append",
        "begun_corrections",
        "close",
        "copy_to",
        "entries",
        "export",
        "import_id_of",
        "in_records",
        "is_in",
        "moved",
        "open",
        "put_back",
        "reassigning",
        "stored",
        "tail",
        "undoing",
        "undone",
        "unfinished",
        "verify",
    }
    assert public >= {"append", "entries", "export", "verify"}
    source = inspect.getsource(book)
    assert "sa.update" not in source
    assert "sa.delete" not in source


# --- export


def test_the_export_is_lines_of_json(ledger: Ledger) -> None:
    """Every field of every entry, one line each, a line break in a name escaped."""
    ledger.append([entry("1", name="two\nlines.jpg"), entry("2")])
    lines = list(ledger.export())
    assert all("\n" not in line for line in lines)
    values = [json.loads(line) for line in lines]
    assert values[0]["name"] == "two\\nlines.jpg"
    assert (values[1]["patient_id"], values[1]["at"]) == ("10042", "2026-03-01T12:00:00.123456+00:00")
    assert set(values[0]) == {field.name for field in attrs.fields(LedgerEntry)}


def test_the_export_for_support_names_nobody(ledger: Ledger) -> None:
    """Without patients, file names and operators; ids of files stay."""
    ledger.append([entry("1", name="SECRETNAME", patient_id="SECRETID", operator="SECRETOP")])
    (line,) = ledger.export(support=True)
    assert "SECRET" not in line
    assert {"patient_id", "name", "operator"}.isdisjoint(json.loads(line))
    assert json.loads(line)["import_id"] == "1"


def test_an_entry_names_who_and_whom_unless_it_is_for_support() -> None:
    """By itself it is told whole; without persons, nothing stands in their place."""
    one = entry("1", Event.REASSIGNED, from_patient_id="10043")
    assert json.loads(one.to_json()) == {
        **attrs.asdict(one), "event": "reassigned", "at": "2026-03-01T12:00:00.123456+00:00",
    }  # fmt: skip
    private = ("patient_id", "from_patient_id", "name", "operator")
    bare = one.without_persons()
    assert [getattr(bare, field) for field in private] == [None, None, "", None]
    assert attrs.evolve(bare, **{field: getattr(one, field) for field in private}) == one
    assert {*json.loads(one.to_json(support=True))} == {*attrs.asdict(one)} - {*private}


def test_a_form_that_is_none_is_no_empty_export(ledger: Ledger) -> None:
    """A misspelled form must not look like a ledger without entries."""
    ledger.append([entry("1")])
    with pytest.raises(AssertionError):
        list(ledger.export(form="xml"))  # type: ignore[arg-type]


# --- the table


def test_the_migrations_make_the_table_that_the_code_describes(ledger: Ledger) -> None:
    """What Alembic creates and what SQLAlchemy expects are the same."""

    def ours(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
        return kind != "table" or name in metadata.tables

    with ledger._engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": book.VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
                "include_object": ours,
            },
        )
        assert compare_metadata(context, metadata) == []
        assert sa.inspect(connection).has_table("intouch_ledger")


def test_a_ledger_is_opened_again(tmp_path: Path) -> None:
    """Opening a second time finds what was written; a folder that is missing is an error."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.open(url).append([entry()])
    assert events(Ledger.open(url)) == [("1", Event.STORED)]
    with pytest.raises(RepositoryError):
        Ledger.open(f"sqlite:///{tmp_path / 'none' / 'ledger.db'}")
