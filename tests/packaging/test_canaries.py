"""No patient, no file name, no path and no secret in any log, message or repr: canaries are driven through."""

from __future__ import annotations

import errno
import io
import logging
import os
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import import database, disk, errors
from intouch_import.clock import Clock
from intouch_import.errors import (
    AlreadyAssigned,
    ContentMismatch,
    FileUnreadable,
    InTouchImportError,
    LedgerError,
    NameTaken,
    NotRemoved,
    RepositoryError,
    SourceUnavailable,
    StillArriving,
    StorageFull,
    UnknownPatient,
)
from intouch_import.filenames import CaptureNaming
from intouch_import.ledger import Ledger
from intouch_import.model import Destination, Patient, Reason, import_id
from intouch_import.moving import MoveOrder, Mover
from intouch_import.moving.file_move import FileMove
from intouch_import.repositories.files import FsspecFiles, open_files
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import open_source
from intouch_import.sources.hard_link import LeasedContent
from intouch_import.sources.local import LocalSource
from miniature import NOW, jpeg
from moving_bench import raising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from miniature import Practice

ID = "CANARYID7"
WORDS = ("CANARY", "canary")
AUTO = f"{ID}_DRJ_20260131_142501.jpg"
PLAIN = "Canary-CANARYFILE.jpg"
TEXT = "CANARYTEXT"
BOOM = f"CANARY host message about {ID} in /CANARYPATH/{PLAIN}"
_STANDARD = set(logging.makeLogRecord({}).__dict__)


def clean(text: str) -> None:
    for word in WORDS:
        assert word not in text, text


class _Everything(logging.Handler):
    """Keeps what any log handler could write: message, arguments, extras, traceback."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("fsspec"):
            return
        extras = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        shown = f"{record.name} {record.getMessage()} {record.args!r} {extras!r}"
        if record.exc_info:
            shown += "".join(traceback.format_exception(*record.exc_info))
        self.texts.append(shown)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[str]]:
    """Every logger at DEBUG for the whole test; at its end no record may hold a canary.

    Two libraries aside: SQLAlchemy's loggers have a test of their own, since they write so much that every
    test would take a second; and fsspec's own write the paths they are given, which is what a host asks
    for that turns them up.
    """
    handler = _Everything()
    root = logging.getLogger()
    names = [
        name for name in logging.root.manager.loggerDict if not name.startswith(("sqlalchemy", "fsspec"))
    ]
    before = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for logger in before:
        logger.setLevel(logging.DEBUG)
    yield handler.texts
    root.removeHandler(handler)
    root.setLevel(level)
    for logger, old in before.items():
        logger.setLevel(old)
    for text in handler.texts:
        clean(text)


@pytest.fixture
def cage(practice: Practice) -> Practice:
    """A practice with a patient called Canary, whose photos lie in a folder called Canary."""
    folder = practice.root / "CANARYFOLDER"
    folder.mkdir()
    caged = type(practice)(folder)
    caged.photos.mkdir()
    (practice.root / "clinic.db").rename(folder / "clinic.db")
    with caged.records() as records:
        records.add_patients([Patient(id=ID, name="CANARYNAME", birth_date="1970-CANARY")])
    return caged


def check_exception(exc: BaseException | None) -> None:
    """Its text, its repr, and the whole traceback as it is printed, sources lines aside."""
    assert exc is not None
    clean(str(exc))
    clean(repr(exc))
    chain: list[BaseException] = []
    one: BaseException | None = exc
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ if one.__cause__ is not None or one.__suppress_context__ else one.__context__
    for part in chain:
        clean("".join(traceback.format_exception_only(type(part), part)))
        clean(repr(part))


def fails(action: Callable[[], object], kind: type[BaseException] = InTouchImportError) -> None:
    with pytest.raises(kind) as caught:
        action()
    check_exception(caught.value)


def check_inbox(inbox: Any, *reports: Any) -> None:
    clean(repr(inbox))
    for source in inbox.sources:
        clean(repr(source))
    for row in inbox.rows:
        for value in (row, row.file, row.verdict, row.capture, row.patient):
            clean(repr(value))
    clean(repr(inbox.repository))
    clean(repr(inbox.ledger))
    for entry in inbox.ledger.entries():
        clean(repr(entry))
    for line in inbox.ledger.export(support=True):
        clean(line)
    for report in reports:
        clean(repr(report))
        clean(str(report))
        clean(repr(report.outcomes))
        clean(repr(report.problems))


def save(inbox: Any) -> Any:
    job = inbox.prepare(inbox.rows, patient=ID, title=TEXT, comments=TEXT)
    clean(repr(job))
    return inbox.save(job)


def os_error(code: int, path: object) -> OSError:
    return OSError(code, os.strerror(code), str(path))


def test_a_day_without_faults(cage: Practice) -> None:
    """Refresh, save, undo, browse, reappear: nothing said on the way names anybody."""
    cage.photo(AUTO)
    cage.photo(PLAIN)
    records = cage.records()
    inbox = cage.inbox(records=records, operator="op")
    told: list[str] = []
    report = inbox.refresh(on_progress=lambda progress: told.append(f"{progress} {progress!r}"))
    assert report.imported == 1
    saved = save(inbox)
    assert saved.imported == 1
    check_inbox(inbox, report, saved)
    for stored in records.attachments(ID):
        clean(repr(stored))
        clean(repr(inbox.undo(stored)))
    again = inbox.refresh()
    check_inbox(inbox, again)
    browsed = inbox.browse(cage.photos, patient=ID)
    check_inbox(browsed)
    for text in told:
        clean(text)
    clean(repr(records.search_patients("canary")))


def test_the_databases_own_log_shows_no_rows(cage: Practice, logged: list[str]) -> None:
    """With SQLAlchemy's loggers at DEBUG, its log holds statements, but neither parameters nor rows."""
    cage.photo(AUTO)
    loggers = [logging.getLogger(name) for name in ("sqlalchemy.engine", "sqlalchemy.pool", "sqlalchemy")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        with cage.records() as records:
            inbox = cage.inbox(records=records)
            assert inbox.refresh().imported == 1
            assert [patient.id for patient in records.search_patients("canary")] == [ID]
            assert len(list(inbox.ledger.entries())) == 2
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
    texts = list(logged)
    logged.clear()
    for text in texts:
        clean(text)


def test_operators_do_not_leave_the_practice(cage: Practice) -> None:
    """The export for support, and the repr of an entry, are without the operator's name."""
    cage.photo(AUTO)
    inbox = cage.inbox(operator="CANARYOPERATOR")
    report = inbox.refresh()
    check_inbox(inbox, report)


FETCH = [
    os_error(errno.EIO, f"/x/{AUTO}"),
    os_error(errno.EACCES, f"/x/{AUTO}"),
    os_error(errno.ELOOP, f"/x/{AUTO}"),
    os_error(errno.ENOENT, f"/x/{AUTO}"),
    os_error(errno.ENAMETOOLONG, f"/x/{AUTO}"),
]


@pytest.mark.parametrize("exc", FETCH, ids=lambda exc: errno.errorcode[exc.errno])
@pytest.mark.parametrize("call", ["open", "lstat", "scandir", "fstat", "unlink", "link"])
def test_every_system_call_may_fail(
    cage: Practice, monkeypatch: pytest.MonkeyPatch, exc: OSError, call: str
) -> None:
    """Whatever a system call says about a path, no error, outcome or log repeats it."""
    cage.photo(AUTO)
    cage.photo(PLAIN)
    records = cage.records()
    source = cage.source()
    inbox = cage.inbox(source, records=records, auto_import=False)
    inbox.refresh()
    real = getattr(os, call)

    def faulty(target: Any, *args: Any, **options: Any) -> Any:
        if "clinic" in str(target) or (isinstance(target, int) and call != "fstat"):
            return real(target, *args, **options)
        raise exc

    with monkeypatch.context() as patched:
        patched.setattr(os, call, faulty)
        report = save(inbox)
        for action in (
            lambda: [source.fetch(row.file) for row in inbox.rows],
            lambda: [source.remove(row.file, sha256="") for row in inbox.rows],
            lambda: [source.look(row.name) for row in inbox.rows],
            lambda: source.put(PLAIN, [b"x"]),
            lambda: list(source.scan()),
            source.sync,
            lambda: open_source(cage.photos),
        ):
            try:
                found = action()
            except InTouchImportError as error:
                check_exception(error)
            else:
                for content in found if isinstance(found, list) else []:
                    getattr(content, "close", lambda: None)()
    check_inbox(inbox, report)


def test_every_refusal_of_a_source(cage: Practice) -> None:
    """No folder, a file, a loop of links, a name taken, a name refused, a version gone."""
    path = cage.photo(PLAIN)
    source = cage.source()
    (file,) = source.scan()
    fails(lambda: open_source(cage.root / "CANARY none"))
    fails(lambda: open_source(path))
    fails(lambda: open_source(f"~CANARY/{PLAIN}"))
    fails(lambda: open_source(f"/CANARY\0/{PLAIN}"))
    fails(lambda: open_source(f"file:///CANARY?{PLAIN}"))
    fails(lambda: open_source(f"nonsense://{PLAIN}"))
    fails(lambda: open_source(cage.photos, account_key=TEXT))
    fails(lambda: open_source(f"memory://CANARY/{PLAIN}"))
    loop = cage.root / "CANARYLOOP"
    loop.symlink_to(loop)
    fails(lambda: open_source(loop / "x"))
    fails(lambda: source.put(PLAIN, [b"x"]))
    fails(lambda: source.put("CANARY/x", [b"x"]))
    fails(lambda: source.put("CANARY" * 100, [b"x"]))
    fails(lambda: source.look("CANARY\0"))
    path.write_bytes(b"other")
    fails(lambda: source.fetch(file))
    fails(lambda: source.remove(file, sha256="0"))
    path.unlink()
    fails(lambda: source.fetch(file))
    fails(lambda: source.remove(file, sha256="0"))


def test_every_fault_of_another_location(cage: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an fsspec file system says about its paths stays in it."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.makedirs("/CANARYBOX", exist_ok=True)
    memory.pipe(f"/CANARYBOX/{AUTO}", jpeg("x"))
    source = open_source("memory://CANARYBOX", label="box")
    clean(repr(source))
    (file,) = source.scan()
    clean(repr(file))
    for method in ("ls", "info", "open", "rm_file", "mv", "cp_file"):
        for exc in (
            OSError(5, f"cannot {BOOM}"),
            FileNotFoundError(BOOM),
            ValueError(BOOM),
            RuntimeError(BOOM),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(type(memory), method, raising(exc))
                for action in (
                    lambda: list(source.scan()),
                    lambda: source.look(AUTO),
                    lambda file=file: source.fetch(file).close(),
                    lambda file=file: source.remove(file, sha256="0"),
                    lambda: source.put("new.jpg", [b"x"]),
                ):
                    try:
                        action()
                    except InTouchImportError as error:
                        check_exception(error)
            memory.pipe(f"/CANARYBOX/{AUTO}", jpeg("x"))
            for left in memory.ls("/CANARYBOX", detail=False):
                if not left.endswith(AUTO):
                    memory.rm_file(left)
            (file,) = source.scan()
    memory.rm("/CANARYBOX", recursive=True)


HOST = [
    RuntimeError(BOOM),
    OSError(5, BOOM, BOOM),
    RepositoryError("the host failed"),
    StorageFull("full"),
    AlreadyAssigned("no"),
    ContentMismatch("no"),
    UnknownPatient("no"),
    LedgerError("no"),
]


@pytest.mark.parametrize("exc", HOST, ids=lambda exc: type(exc).__name__)
@pytest.mark.parametrize(
    "method",
    ["add_many", "open_attachment", "find_attachment", "find_patients", "find_patient", "find_provider"],
)
def test_what_a_hosts_repository_says_is_not_repeated(
    cage: Practice, monkeypatch: pytest.MonkeyPatch, exc: Exception, method: str
) -> None:
    """The exceptions of a host may hold anything; what this library raises, reports and logs does not."""
    cage.photo(AUTO)
    cage.photo(PLAIN)
    inbox = cage.inbox()
    inbox.scan()
    reports = []
    with monkeypatch.context() as patched:
        patched.setattr(SqlRepository, method, raising(exc))
        for action in (inbox.refresh, lambda: save(inbox), lambda: inbox.browse(cage.photos, patient=ID)):
            try:
                reports.append(action())
            except InTouchImportError as error:
                check_exception(error)
    check_inbox(inbox, *(report for report in reports if hasattr(report, "outcomes")))


SOURCE = [
    RuntimeError(BOOM),
    OSError(5, BOOM, BOOM),
    SourceUnavailable("gone"),
    FileUnreadable("no"),
    StillArriving("no"),
    NotRemoved("no"),
    NameTaken("no"),
]


@pytest.mark.parametrize("exc", SOURCE, ids=lambda exc: type(exc).__name__)
@pytest.mark.parametrize("method", ["scan", "fetch", "remove", "sync", "look", "put"])
def test_what_a_foreign_source_says_is_not_repeated(
    cage: Practice, monkeypatch: pytest.MonkeyPatch, exc: Exception, method: str
) -> None:
    """A source with bugs of its own, whose exceptions hold names, stops nothing and is not quoted."""
    cage.photo(AUTO)
    cage.photo(PLAIN)
    inbox = cage.inbox()
    inbox.scan()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, method, raising(exc))
        saved = save(inbox)
        report = inbox.refresh()
        for outcome in (*saved.outcomes, *report.outcomes):
            if outcome.attachment_id is not None:
                try:
                    clean(repr(inbox.undo(outcome)))
                except InTouchImportError as error:
                    check_exception(error)
    assert saved.closes
    assert report.closes
    check_inbox(inbox, saved, report)


def test_faults_of_the_database(cage: Practice) -> None:
    """Neither a broken constraint nor a lost table repeats the row it is about."""
    cage.photo(AUTO)
    records = cage.records()
    inbox = cage.inbox(records=records, auto_import=False)
    inbox.refresh()
    with pytest.raises(RepositoryError) as caught, database.writing(records.engine) as connection:
        connection.exec_driver_sql(
            "INSERT INTO intouch_patient (id, name, active, folded) VALUES (?, ?, 1, '')", (ID, "CANARYNAME")
        )
    check_exception(caught.value)
    for table in ("intouch_ledger", "intouch_attachment", "intouch_patient"):
        with records.engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO gone_{table}")
        for action in (
            lambda: save(inbox),
            inbox.refresh,
            lambda: records.find_patient(ID),
            lambda: records.search_patients("CANARY"),
            lambda: records.attachments(ID),
            lambda: records.add_patient(Patient(id=ID, name="CANARYNAME")),
            lambda: records.withdraw("CANARY"),
            lambda: list(inbox.ledger.entries(patient_id=ID)),
        ):
            try:
                action()
            except InTouchImportError as error:
                check_exception(error)
        with records.engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE gone_{table} RENAME TO {table}")


@pytest.mark.parametrize("name", ["\udcc3CANARY", "CANARY\ud83d"])
def test_text_that_no_database_takes(cage: Practice, name: str) -> None:
    """Half a character in a patient's name or id is refused without repeating the name."""
    records = cage.records()
    fails(lambda: records.add_patient(Patient(id="1", name=name)))
    fails(lambda: Patient(id=name, name="x"))
    assert records.find_patient(name) is None
    for action in (lambda: records.search_patients(name), lambda: records.attachments(name)):
        try:
            action()
        except InTouchImportError as error:
            check_exception(error)


@pytest.mark.parametrize(
    "url",
    [
        "CANARY",
        "nonsense://CANARY",
        "postgresql://u:CANARY/CANARY@host/x",
        "postgresql://CANARY:CANARY@localhost:CANARY/x",
        "sqlite:////CANARYNONE/CANARY/x.db",
        "mysql+nonsense://CANARY",
        "postgresql://CANARY:CANARY@127.0.0.1:1/CANARY?connect_timeout=1",
    ],
)
def test_database_urls_are_not_repeated(tmp_path: Path, url: str) -> None:
    """A URL that can't be used holds a password: it is not in the error."""
    fails(lambda: SqlRepository.open(url, files=tmp_path / "files"))
    fails(lambda: Ledger.open(url))


def test_places_for_files(cage: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place for files that is none, or fails, is told without its path."""
    taken = cage.photo("CANARYTAKEN")
    fails(lambda: open_files(taken))
    fails(lambda: open_files(taken / "below"))
    fails(lambda: open_files("nonsense://CANARY"))
    content = _content(cage)
    for files in (FsspecFiles("memory://CANARYFILES"), open_files(cage.root / "CANARYFILES2")):
        clean(repr(files))
        fails(lambda files=files: files.open("CANARY"))  # type: ignore[misc]
        fails(lambda files=files: files.open("0" * 40))  # type: ignore[misc]
        fails(lambda files=files: files.delete("../CANARY"))  # type: ignore[misc]
        fails(lambda files=files: files.place("../CANARY", content))  # type: ignore[misc]
        files.place("1" * 40, content)
    clean(repr(content))
    memory = FsspecFiles("memory://CANARYFILES")
    for exc in (OSError(5, BOOM, BOOM), OSError(28, BOOM), FileNotFoundError(BOOM)):
        for method in ("info", "open", "makedirs", "cp_file", "rm_file"):
            with monkeypatch.context() as patched:
                patched.setattr(memory._connections.kind, method, raising(exc))
                for action in (
                    lambda: memory.place("2" * 40, content),
                    lambda: memory.open("1" * 40),
                    lambda: memory.delete("1" * 40),
                ):
                    try:
                        action()
                    except InTouchImportError as error:
                        check_exception(error)
    content.close()


def _content(cage: Practice) -> Any:
    source = cage.source()
    file = source.look(cage.photo(PLAIN).name)
    assert file is not None
    return source.fetch(file)


def test_csv_files(cage: Practice, tmp_path: Path) -> None:
    """A list of patients that can't be read is told by line number."""
    records = cage.records()
    for text in (
        "id;name\nCANARY;CANARY\n",
        "id,name,active\nCANARY,CANARY,CANARY\n",
        "id,name\n,CANARY\n",
        'id,name\n"CANARY,CANARY\n',
        "id,name\nCANARY,CANARY,CANARY,CANARY\n",
        "id,name\nCANARY\n",
        "id,name\n\xe9CANARY,CAN\0ARY\n",
    ):
        path = tmp_path / "CANARY.csv"
        path.write_bytes(text.encode("latin-1"))
        try:
            records.load_patients_csv(path)
        except InTouchImportError as error:
            check_exception(error)
    fails(lambda: records.load_patients_csv(tmp_path / "CANARY none.csv"))
    fails(lambda: records.load_patients_csv(tmp_path))


def test_ledger_faults(cage: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that fails before or after the removal is told without names."""
    for failing_call in (1, 2):
        cage.photo(PLAIN)
        inbox = cage.inbox()
        inbox.refresh()
        calls = [0]
        append = Ledger.append

        def faulty(
            self: Any, entries: Any, *, at: int = failing_call, calls: list[int] = calls, append: Any = append
        ) -> None:
            calls[0] += 1
            if calls[0] == at:
                raise LedgerError("the ledger could not be written")
            append(self, entries)

        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "append", faulty)
            report = save(inbox)
        check_inbox(inbox, report)
        inbox.refresh()


def test_undo_faults(cage: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo that fails at any step is told without names."""
    cage.photo(AUTO)
    records = cage.records()
    inbox = cage.inbox(records=records)
    (outcome,) = inbox.refresh().outcomes
    fails(lambda: inbox.undo("CANARY"))
    fails(lambda: inbox.undo(attrs.evolve(outcome, import_id=None)))
    for owner, method in (
        (LocalSource, "look"), (LocalSource, "put"), (LocalSource, "fetch"), (SqlRepository, "find_attachment"),
        (SqlRepository, "open_attachment"), (Ledger, "append"), (SqlRepository, "withdraw"),
    ):  # fmt: skip
        for exc in (OSError(5, BOOM, BOOM), RuntimeError(BOOM), RepositoryError("no"), NameTaken("no")):
            with monkeypatch.context() as patched:
                patched.setattr(owner, method, raising(exc))
                try:
                    clean(repr(inbox.undo(outcome)))
                except InTouchImportError as error:
                    check_exception(error)
            (cage.photos / AUTO).unlink(missing_ok=True)
    cage.photo(AUTO)
    clean(repr(inbox.undo(outcome)))
    check_inbox(inbox)


def test_choices_and_texts(cage: Practice) -> None:
    """A refused choice, title or patient is not repeated in the error."""
    cage.photo(PLAIN)
    cage.photo("CANARY.pdf")
    cage.photo(".CANARY")
    inbox = cage.inbox()
    inbox.refresh()
    rows = {row.name: row for row in inbox.rows}
    fails(lambda: inbox.prepare(list(rows.values())[1:], patient=ID))
    fails(lambda: inbox.prepare([rows[".CANARY"]], patient=ID))
    fails(lambda: inbox.prepare([rows[PLAIN]] * 2, patient=ID))
    fails(lambda: inbox.prepare([rows[PLAIN]], patient="CANARY none"))
    fails(lambda: inbox.prepare([rows[PLAIN]], patient=ID, title="CANARY" * 1000))
    fails(lambda: inbox.prepare([rows[PLAIN]], patient=ID, comments="CANARY\0"))
    fails(lambda: inbox.browse("/CANARY", patient=ID))
    fails(lambda: inbox.browse(cage.photos, patient="CANARY none"))
    other = inbox.browse(cage.photos, patient=ID)
    fails(lambda: other.prepare(other.rows, patient="10042"))
    fails(lambda: inbox.prepare(other.rows, patient=ID))


def test_names_of_the_capture_app(cage: Practice) -> None:
    """A capture name that can't be true is not repeated."""
    naming = CaptureNaming()
    fails(lambda: naming.parse(f"{ID}_DRJ_20260231_142501.jpg"))
    capture = naming.parse(AUTO)
    assert capture is not None
    clean(repr(capture))
    fails(lambda: naming.format(attrs.evolve(capture, patient="CANARY/..")))
    fails(lambda: naming.format(attrs.evolve(capture, extension="CANARY/")))


def test_callbacks_and_clocks(cage: Practice) -> None:
    """A callback that raises with a name in its text is not quoted in the log."""
    cage.photo(AUTO)
    inbox = cage.inbox()
    report = inbox.refresh(on_progress=raising(RuntimeError(BOOM)))
    check_inbox(inbox, report)


def test_orders_and_what_the_move_finds(cage: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders, attachments and damaged copies do not say whose they are."""
    cage.photo(PLAIN)
    records = cage.records()
    source = cage.source()
    (file,) = source.scan()
    order = MoveOrder(
        import_id=import_id(source.source_id, file.name, file.version),
        source=source,
        file=file,
        patient_id=ID,
        title=TEXT,
        comments=TEXT,
        destination=Destination.IMAGES,
        reason=Reason.CHOSEN,
    )
    clean(repr(order))
    job = FileMove(order)
    job.content = source.fetch(file)
    clean(repr(job.attachment()))
    clean(repr(job.content))
    job.content.close()
    monkeypatch.setattr(records, "open_attachment", lambda _id: io.BytesIO(b"CANARY"))
    monkeypatch.setattr(LeasedContent, "settle", raising(os_error(28, BOOM)))
    outcomes, problems = Mover(records, Ledger(records.engine), clock=Clock(now=lambda: NOW)).move([order])
    clean(repr((outcomes, problems)))


def test_leases_and_copies_that_fail(cage: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private copy or a sync that fails is logged without the path."""
    for owner, name in (
        (disk, "sync_many"), (disk, "publish"), (disk, "take_lease"), (LeasedContent, "settle"), (disk, "sync_folder"),
        (LeasedContent, "save_to"),
    ):  # fmt: skip
        cage.photo(PLAIN)
        inbox = cage.inbox()
        inbox.refresh()
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, raising(os_error(errno.EIO, BOOM)))
            report = save(inbox)
        check_inbox(inbox, report)


def test_errors_drop_paths_wherever_they_stand() -> None:
    """A cause is told by its kind and number alone: a path in strerror or in a single argument is dropped."""
    for exc in (
        OSError(errno.EIO, "Input/output error", BOOM),
        OSError(errno.EIO, BOOM),
        FileNotFoundError(BOOM),
        PermissionError(errno.EACCES, BOOM, BOOM, None, BOOM),
    ):
        bare = errors.without_path(exc)
        clean(repr(bare))
        clean(str(bare))
        assert bare.errno == exc.errno
