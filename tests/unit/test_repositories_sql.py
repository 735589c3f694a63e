"""The reference repository: idempotent, all or nothing, and text of any kind comes back as it was."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from intouch_import import database, disk
from intouch_import.content import StagedContent
from intouch_import.errors import (
    AlreadyAssigned,
    ConfigError,
    ContentMismatch,
    RepositoryError,
    UnknownPatient,
)
from intouch_import.model import Attachment, Destination, Patient, Provider
from intouch_import.repositories.files import DirectoryFiles
from intouch_import.repositories.sql import SqlRepository
from intouch_import.repositories.tables import VERSION_TABLE, metadata

if TYPE_CHECKING:
    from miniature import Practice
    from services.postgresql import PostgresServer

AT = datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on each database, and on each kind of place for files with one of them."""
    if "records" in metafunc.fixturenames:
        kinds = [("sqlite", "folder"), ("sqlite", "fsspec"), ("postgresql", "folder")]
        metafunc.parametrize(("database", "records"), kinds, indirect=True)
    elif "database" in metafunc.fixturenames:
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def records(request: pytest.FixtureRequest, practice: Practice) -> SqlRepository:
    """Records whose files are in a folder, or under an fsspec URL."""
    if request.param == "folder":
        return practice.records()
    return SqlRepository.open(practice.url, files=f"memory://sql-{os.getpid()}-{id(practice)}")


def staged(tmp_path: Path, content: bytes = b"the bytes") -> StagedContent:
    path = tmp_path / f"staged-{os.urandom(4).hex()}"
    path.write_bytes(content)
    return StagedContent(path, disk.digest_stream(io.BytesIO(content)))


def item(
    tmp_path: Path, number: int = 1, content: bytes = b"the bytes", **changes: Any
) -> tuple[Attachment, StagedContent]:
    made = staged(tmp_path, content)
    values: dict[str, Any] = {
        "import_id": f"{number:040x}", "patient_id": "10042", "destination": Destination.IMAGES, "name": "a.jpg",
        "size_bytes": made.size_bytes, "sha256": made.sha256, "location": "local", "source_id": "s",
        "source_version": "v", "taken_at": AT, "modified_at": AT, "provider_id": "DRJ", "operator": "op",
    }  # fmt: skip
    return Attachment(**{**values, **changes}), made


def read(records: SqlRepository, attachment_id: str) -> bytes:
    with records.open_attachment(attachment_id) as file:
        return file.read()


# --- adding


def test_what_is_added_is_found_and_read(records: SqlRepository, tmp_path: Path) -> None:
    """Every field comes back, with an id and the time it was stored, and so do the bytes."""
    attachment, content = item(tmp_path, title="t", comments="c")
    stored = records.add(attachment, content)
    for field in attrs.fields(Attachment):
        assert getattr(stored, field.name) == getattr(attachment, field.name)
    assert records.find_attachment([attachment.import_id, "f" * 40]) == {attachment.import_id: stored}
    assert records.attachments("10042") == [stored]
    assert stored.stored_at.tzinfo is UTC
    assert read(records, stored.id) == b"the bytes"


def test_adding_twice_stores_once(records: SqlRepository, tmp_path: Path) -> None:
    """Idempotent on the import id: the second add returns what is there, changed texts or not."""
    attachment, content = item(tmp_path)
    first = records.add(attachment, content)
    assert records.add(*item(tmp_path, title="another")) == first
    assert records.add_many([item(tmp_path), item(tmp_path)]) == [first, first]
    assert records.attachments("10042") == [first]


def test_another_patient_or_other_bytes_are_refused(records: SqlRepository, tmp_path: Path) -> None:
    """One import id is one file of one patient."""
    first = records.add(*item(tmp_path))
    with pytest.raises(AlreadyAssigned) as assigned:
        records.add(*item(tmp_path, patient_id="10043"))
    with pytest.raises(ContentMismatch):
        records.add(*item(tmp_path, content=b"other"))
    assert assigned.value.import_id == first.import_id
    assert read(records, first.id) == b"the bytes"
    results = records.add_many([item(tmp_path, 2), item(tmp_path, patient_id="10043"), item(tmp_path, 3)])
    assert [type(result).__name__ for result in results] == [
        "StoredAttachment",
        "AlreadyAssigned",
        "StoredAttachment",
    ]
    assert len(records.attachments("10042")) == 3


def test_bytes_left_by_a_crash_are_taken_over_only_if_they_are_the_same(
    records: SqlRepository, tmp_path: Path
) -> None:
    """Bytes without a row: the same are taken, others are not overwritten."""
    attachment, content = item(tmp_path)
    records._files.place(attachment.import_id, content)
    other, bytes_of_other = item(tmp_path, content=b"other")
    with pytest.raises(ContentMismatch):
        records.add(other, bytes_of_other)
    assert read(records, records.add(attachment, content).id) == b"the bytes"


def test_a_left_file_with_a_second_name_is_replaced_by_a_private_copy(
    practice: Practice, tmp_path: Path
) -> None:
    """A crash may have left a link to somebody's source file: the record gets bytes of its own."""
    records = practice.records()
    attachment, content = item(tmp_path)
    source = practice.photo("a.jpg", b"the bytes")
    place = practice.files / attachment.import_id[:2] / attachment.import_id
    place.parent.mkdir()
    place.hardlink_to(source)
    stored = records.add(attachment, content)
    content.close()
    source.write_bytes(b"WRITTEN LATER")
    assert read(records, stored.id) == b"the bytes"
    assert os.listdir(place.parent) == [place.name]


def test_files_are_beside_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder for files, it is the one beside the SQLite file, wherever a program runs."""
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///clinic.db", f"sqlite:///{tmp_path / 'clinic.db'}"):
        with SqlRepository.open(url) as records:
            assert records.staging == tmp_path / "clinic-files" / ".staging"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clinic-files", "clinic.db"]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:clinic.db?uri=true"])
def test_other_databases_have_no_folder_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """If the database is not a file with a path, the folder for files must be named; nothing is created."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="files="):
        SqlRepository.open(url)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_made_for_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    """A mistyped path leaves nothing behind."""
    with pytest.raises(RepositoryError):
        SqlRepository.open(f"sqlite:///{tmp_path / 'nowhere' / 'clinic.db'}")
    assert list(tmp_path.iterdir()) == []


def test_records_with_files_are_not_opened_with_an_unused_folder(practice: Practice, tmp_path: Path) -> None:
    """Otherwise, one part of the photos would be in one folder and the rest in another."""
    practice.photo("10042_DRJ_20200131_142501.jpg")
    with practice.records() as records:
        assert practice.inbox(records=records).refresh().imported == 1
    (tmp_path / "empty mount point").mkdir()
    for folder in (tmp_path / "empty mount point", tmp_path / "missing"):
        for _ in range(2):
            with pytest.raises(ConfigError, match="keep their files elsewhere"):
                SqlRepository.open(practice.url, files=folder)
    with practice.records() as records:
        assert len(records.attachments("10042")) == 1


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    """The error has the number of the system, and no path."""
    files = DirectoryFiles(tmp_path / "files")
    shutil.rmtree(tmp_path / "files")
    with pytest.raises(RepositoryError) as caught:
        files.is_unused()
    assert caught.value.errno is not None
    assert str(tmp_path) not in str(caught.value)


def test_an_unknown_patient_stores_nothing(records: SqlRepository, tmp_path: Path) -> None:
    """Neither that file nor the others of its transaction."""
    with pytest.raises(UnknownPatient):
        records.add_many([item(tmp_path, 1), item(tmp_path, 2, patient_id="nobody")])
    assert records.attachments("10042") == []
    assert records.attachments("nobody") == []


def test_a_transaction_ends_whole_or_not_at_all(records: SqlRepository, tmp_path: Path) -> None:
    """What was added in a block that ends with an exception is not stored; nested blocks are one."""
    with contextlib.suppress(ZeroDivisionError), records.transaction():
        records.add(*item(tmp_path, 1))
        with records.transaction():
            records.add(*item(tmp_path, 2))
        raise ZeroDivisionError
    assert records.attachments("10042") == []
    with records.transaction():
        records.add(*item(tmp_path, 1))
        with records.transaction():
            records.add(*item(tmp_path, 2))
    assert len(records.attachments("10042")) == 2


def test_rows_are_never_committed_before_their_bytes_are_synced(
    practice: Practice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that fails rolls the rows back."""
    records = practice.records()

    def fail(*_args: Any) -> None:
        raise OSError(5, "Input/output error", "/secret")

    monkeypatch.setattr(disk, "sync_many", fail)
    with pytest.raises(RepositoryError) as caught:
        records.add(*item(tmp_path))
    assert "secret" not in f"{caught.value} {caught.value.__cause__!r}"
    assert records.attachments("10042") == []


def test_many_threads_add_the_same_files(practice: Practice, tmp_path: Path) -> None:
    """Several workstations that store the same files end with each of them once."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with practice.records() as records:
                for number in range(10):
                    records.add(*item(tmp_path, number))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(practice.records().attachments("10042")) == 10


def test_new_records_may_be_opened_while_another_workstation_stores_the_first_file(
    practice: Practice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder was still unused a moment ago, and now the records have a row: that is the right folder."""
    first = practice.records()
    is_unused = DirectoryFiles.is_unused

    def another_stores(files: DirectoryFiles) -> bool:
        monkeypatch.setattr(DirectoryFiles, "is_unused", is_unused)
        unused = is_unused(files)
        first.add(*item(tmp_path, 1))
        return unused

    monkeypatch.setattr(DirectoryFiles, "is_unused", another_stores)
    with practice.records() as records:
        assert len(records.attachments("10042")) == 1
    with pytest.raises(ConfigError, match="elsewhere"):
        SqlRepository.open(practice.url, files=tmp_path / "another folder")


def test_thousands_of_ids_are_looked_up_at_once(records: SqlRepository, tmp_path: Path) -> None:
    """A refresh may ask about as many files as it likes."""
    records.add(*item(tmp_path, 7))
    assert set(records.find_attachment([f"{number:040x}" for number in range(3000)])) == {f"{7:040x}"}
    assert set(records.find_patients([str(number) for number in range(9000, 12000)])) == {
        "10042",
        "10043",
        "10044",
    }


# --- text


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.jpg",
        "Ren\udce9.jpg",
        "\udcff",
        "\u202egpj.exe",
        "nul\0.jpg",
        "\N{GRINNING FACE}.jpg",
        "'; --",
        "M\xfcller",
        "Mu\u0308ller",
    ],
)
def test_names_come_back_as_they_were(records: SqlRepository, tmp_path: Path, name: str) -> None:
    """Any name, bytes that are not Unicode included, is stored without loss."""
    stored = records.add(*item(tmp_path, name=name))
    assert stored.name == name
    assert records.attachments("10042")[0].name == name


def test_attachments_stand_in_the_order_of_their_time(records: SqlRepository, tmp_path: Path) -> None:
    """By the time taken, else that of the source, else that of storing; then by name."""

    def hours(number: int) -> datetime:
        return AT + timedelta(hours=number)

    for number, (name, taken, modified) in enumerate(
        [
            ("never", None, None),
            ("third", hours(3), hours(-9)),
            ("second b", None, hours(2)),
            ("second a", hours(2), None),
            ("first", None, hours(1)),
        ]
    ):
        records.add(*item(tmp_path, number, name=name, taken_at=taken, modified_at=modified))
    names = [stored.name for stored in records.attachments("10042")]
    assert names == ["first", "second a", "second b", "third", "never"]


# --- withdraw


def test_what_is_withdrawn_is_gone_and_may_come_again(records: SqlRepository, tmp_path: Path) -> None:
    """Row and bytes go; again is no error; the id may be added anew, for anybody."""
    stored = records.add(*item(tmp_path))
    records.withdraw(stored.id)
    records.withdraw(stored.id)
    assert records.find_attachment([stored.id]) == {}
    with pytest.raises(RepositoryError, match="no such attachment"):
        records.open_attachment(stored.id)
    assert records.add(*item(tmp_path, patient_id="10043", content=b"other")).patient_id == "10043"


@pytest.mark.parametrize("attachment_id", ["", "x", "../../etc/passwd", "A" * 40, "0" * 41, "\0" * 40])
def test_ids_that_are_none_reach_no_file(records: SqlRepository, attachment_id: str) -> None:
    """An id is never part of a path unless it is one of ours."""
    for act in (records.open_attachment, records.withdraw):
        with pytest.raises(RepositoryError, match="no such attachment"):
            act(attachment_id)


# --- patients and providers


@pytest.fixture
def people(practice: Practice) -> SqlRepository:
    return practice.records()


def test_ids_match_exactly(people: SqlRepository) -> None:
    """Letter case, zeros, blanks and look-alikes make other ids."""
    people.add_patients([Patient(id="ab1", name="x"), Patient(id="M\xfc", name="y")])
    for near in ("AB1", " ab1", "ab1 ", "0ab1", "ab", "ab1\0", "Mu\u0308", "%", "ab_", "\udcff", ""):
        assert people.find_patient(near) is None
    assert people.find_provider("drj") is None
    assert people.find_provider("\udcff") is None
    assert people.find_patients([]) == {}
    found = people.find_provider("DRJ")
    assert found == Provider(id="DRJ", name="Dr Jones")


@pytest.mark.parametrize("text", ["x\0y", "\udcff"])
def test_what_no_database_keeps_is_refused_before_it_is_asked(people: SqlRepository, text: str) -> None:
    """A patient or a provider whose id or name can't be stored is a mistake of the caller; nothing is stored."""
    with pytest.raises(ConfigError, match="an id is a text"):
        people.add_patients([Patient(id="1", name="x"), Patient(id=text)])
    with pytest.raises(ConfigError, match="can't be stored"):
        people.add_patients([Patient(id="1", name="x"), Patient(id="2", name=text)])
    with pytest.raises(ConfigError, match="can't be stored"):
        people.add_providers([Provider(id="DRX"), Provider(id="DRY", name=text)])
    assert people.find_patient("1") is None
    assert people.find_provider("DRX") is None


def test_adding_a_patient_again_replaces_what_is_known(people: SqlRepository) -> None:
    """The last word counts, and attachments stay."""
    changed = Patient(id="10042", name="Ada Stone", active=False, birth_date="1970-01-01")
    people.add_patient(changed)
    people.add_provider(Provider(id="DRJ", name="x", active=False))
    assert people.find_patient("10042") == changed
    assert [patient.id for patient in people.search_patients("stone")] == ["10042"]
    assert people.search_patients("marsh") == []
    assert people.add_patients([]) == people.add_providers([]) == 0


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("%", ["1"]),
        ("_", ["2"]),
        ("\\", ["3"]),
        ("100%", ["1"]),
        ("\xd6DEN", ["4"]),
        ("\xf6den", ["4"]),
        ("o\u0308den", ["4"]),
        ("STRASSE", ["5"]),
        ("stra\xdfe", ["5"]),
        ("\u0399\u03a9", ["6"]),
        (" 10044 ", ["10044"]),
        ("'", ["7"]),
        ("nobody", []),
        ("x\0y", []),
        ("\udcff", []),
    ],
)
def test_patients_are_found_by_part_of_name_or_id(people: SqlRepository, text: str, ids: list[str]) -> None:
    """Wildcards are letters like any other, and case is folded in every script."""
    people.add_patients(
        [
            Patient(id="1", name="100% Pure"),
            Patient(id="2", name="snake_case"),
            Patient(id="3", name="back\\slash"),
            Patient(id="4", name="\xd6den von Horv\xe1th"),
            Patient(id="5", name="Stra\xdfe"),
            Patient(id="6", name="\u03b9\u03c9\u03ac\u03bd\u03bd\u03b7\u03c2"),
            Patient(id="7", name="O'Brien"),
        ]
    )
    assert [patient.id for patient in people.search_patients(text)] == ids


def test_searches_end_and_are_in_order(people: SqlRepository) -> None:
    """By name, no more than asked for."""
    people.add_patients([Patient(id=f"z{number}", name=f"Zed {9 - number}") for number in range(9)])
    assert [patient.name for patient in people.search_patients("zed", limit=3)] == ["Zed 1", "Zed 2", "Zed 3"]


# --- the database


def test_the_migrations_make_the_tables_that_the_code_describes(people: SqlRepository) -> None:
    """What Alembic creates and what SQLAlchemy expects are the same."""

    def ours(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
        return kind != "table" or name in metadata.tables

    with people.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "compare_type": True, "include_object": ours},
        )
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_may_open_a_new_database_at_once(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """The tables are made once, and both work."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql_server")
        url = server.url(server.create_database())
    code = (
        "import sys\n"
        "from intouch_import.repositories.sql import SqlRepository\n"
        "from intouch_import.ledger import Ledger\n"
        "sys.stdin.readline()\n"
        "records = SqlRepository.open(sys.argv[1], files=sys.argv[2])\n"
        "Ledger(records.engine)\n"
        "print(records.find_patient('x'))\n"
    )
    arguments = [sys.executable, "-c", code, url, str(tmp_path / "files")]
    processes = [
        subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (out, err, process.returncode) == ("None\n", "", 0)


def test_sqlite_is_opened_durably(tmp_path: Path) -> None:
    """Write-ahead logging, a full sync at commit, foreign keys enforced."""
    with database.connect(f"sqlite:///{tmp_path / 'new.db'}").connect() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


@pytest.mark.parametrize(
    ("setting", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
)
def test_postgresql_is_opened_durably(postgresql_url: str, setting: str, used: str) -> None:
    """A server that answers a commit before it is on the disk is told not to; a stricter setting is left."""
    asking = f"{postgresql_url}?options=-csynchronous_commit%3D{setting}%20-cdefault_transaction_isolation%3Dserializable"
    with database.connect(asking).connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == used
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


def test_times_are_kept_in_utc(people: SqlRepository) -> None:
    """An aware time of any zone goes in, the same instant in UTC comes out."""
    kind = database.UtcDateTime()
    dialect = people.engine.dialect
    east = datetime.fromisoformat("2026-01-31T13:25:01+10:00")
    bound = kind.process_bind_param(east, dialect)
    assert kind.process_result_value(bound, dialect) == AT
    assert kind.process_result_value(east, dialect) == AT
    assert kind.process_bind_param(None, dialect) is kind.process_result_value(None, dialect) is None


@pytest.mark.parametrize(
    "url", ["", "nonsense", "nonsense://x", "sqlite:", "postgresql://host:port/x", "mysql+pymysql://x"]
)
def test_urls_that_are_none_are_told(url: str) -> None:
    """A database URL that can't be read, or whose driver is missing, is an error of the settings."""
    with pytest.raises(ConfigError):
        database.connect(url)


def test_errors_of_the_database_name_no_row(people: SqlRepository) -> None:
    """The driver's text stays out of ours, and the kind is told."""
    with pytest.raises(RepositoryError) as caught, database.writing(people.engine) as connection:
        connection.execute(sa.text("INSERT INTO intouch_patient (id) VALUES ('SECRET')"))
    assert caught.value.__cause__ is None
    assert caught.value.kind == "IntegrityError"  # type: ignore[attr-defined]


def test_a_repository_is_closed(practice: Practice) -> None:
    """A with block closes it; its repr names no path."""
    with practice.records() as records:
        assert repr(records) == f"<SqlRepository {records.engine.dialect.name}>"
    assert records.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_what_a_crash_left_in_staging_goes_whoever_is_shown_as_its_owner(practice: Practice) -> None:
    """On a network drive all files may be shown as one user's; nobody else would ever delete the copies."""
    SqlRepository.open(practice.url, files=practice.files)
    left = practice.files / ".staging" / "intouch-left.part"
    left.write_bytes(b"bytes")
    os.utime(left, (0, 0))
    os.chown(left, 12345, -1)
    SqlRepository.open(practice.url, files=practice.files)
    assert not left.exists()
