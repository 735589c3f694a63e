"""Everything a folder can hold and do wrong, tried end to end, and what a person is told of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import (
    ConfigError,
    InTouchImportError,
    RepositoryError,
    SourceUnavailable,
    UnsuitableText,
)
from intouch_import.inbox import Inbox
from intouch_import.model import Reason, State, printable
from intouch_import.sources import open_source
from intouch_import.sources.local import LocalSource
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from intouch_import.reports import Report
    from miniature import Practice

    Dropped = Callable[[], AbstractContextManager[None]]
    Reasons = Callable[[Report], dict[str, tuple[str, str]]]

AUTO = "10042_DRJ_20260131_142501.jpg"


def save_all(inbox: Inbox, **text: str) -> Report:
    inbox.refresh()
    return inbox.save(inbox.prepare(inbox.rows, patient="10042", **text))


# --- folders


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("no such folder", "the folder does not exist"),
        ("a file", "the source is not a folder"),
        ("a file/below", "the source is not a folder"),
        ("x" * 300, "the folder can't be used"),
    ],
)
def test_a_folder_that_is_none(practice: Practice, folder: str, message: str) -> None:
    """A folder that is not there, or no folder, is told when it is opened, without its path."""
    (practice.root / "a file").touch()
    with pytest.raises(SourceUnavailable) as caught:
        open_source(practice.root / folder)
    assert str(caught.value) == message


@pytest.mark.parametrize("folder", ["", "  ", "a\0b", "~nobody-has-this-name/x", "file:///x?y"])
def test_a_path_that_can_be_none(folder: str) -> None:
    """What can't be a path is an error of the settings."""
    with pytest.raises(ConfigError):
        open_source(folder)


def test_a_folder_that_goes_away(practice: Practice) -> None:
    """A folder that disappears is a problem of the refresh, not an empty list, and comes back by itself."""
    practice.photo("a.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    practice.photos.rename(practice.root / "away")
    report = inbox.refresh()
    assert [problem.text for problem in report.problems] == ["the folder does not exist"]
    assert report.closes
    (practice.root / "away").rename(practice.photos)
    assert inbox.refresh().waiting == 1


def test_a_folder_that_goes_away_between_storing_and_removing_is_not_an_import_by_others(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is gone, not the file: the file counts as stored, and is finished when it is back."""
    practice.photo("a.jpg")
    inbox = practice.inbox()
    remove = LocalSource.remove

    def disconnected(self: LocalSource, file: Any, *, sha256: str) -> None:
        practice.photos.rename(practice.root / "away")
        remove(self, file, sha256=sha256)

    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", disconnected)
        report = save_all(inbox)
    assert [(o.state, o.reason) for o in report.outcomes] == [(State.STORED, Reason.NOT_REMOVED)]
    (practice.root / "away").rename(practice.photos)
    assert inbox.refresh().imported == 1
    assert practice.left() == []


def test_no_rights_to_read_a_folder(practice: Practice, unprivileged: Dropped) -> None:
    """A folder that may not be read is a problem that says so."""
    practice.photo("a.jpg")
    practice.inbox().refresh()
    with unprivileged():
        inbox = practice.inbox()
        os.chmod(practice.photos, 0o300)
        report = inbox.refresh()
    assert [problem.text for problem in report.problems] == ["the folder may not be used: no rights"]
    assert report.closes


def test_no_rights_to_read_a_file(practice: Practice, unprivileged: Dropped, reasons: Reasons) -> None:
    """A file that may not be read fails with that reason; the other one is imported."""
    with unprivileged():
        practice.photo("a.jpg").chmod(0)
        practice.photo("b.jpg")
        report = save_all(practice.inbox())
    assert reasons(report) == {"a.jpg": ("failed", "unreadable"), "b.jpg": ("imported", "chosen")}
    assert report.outcomes[0].retry_helps
    assert practice.left() == ["a.jpg"]


def test_a_read_only_source(practice: Practice, unprivileged: Dropped, reasons: Reasons) -> None:
    """What can't be removed is stored, reported as such, and finished once rights are given."""
    with unprivileged():
        practice.photo("a.jpg")
        inbox = practice.inbox()
        os.chmod(practice.photos, 0o500)
        report = save_all(inbox)
        assert reasons(report) == {"a.jpg": ("stored", "not_removed")}
        assert report.stored == 1
        assert reasons(inbox.refresh()) == {"a.jpg": ("stored", "not_removed")}
        os.chmod(practice.photos, 0o700)
        assert reasons(inbox.refresh()) == {"a.jpg": ("imported", "interrupted")}
    assert practice.left() == []


def test_undo_into_a_read_only_source(practice: Practice, unprivileged: Dropped) -> None:
    """An undo that can't put the file back leaves the record as it was."""
    with unprivileged():
        practice.photo("a.jpg")
        records = practice.records()
        inbox = practice.inbox(records=records)
        report = save_all(inbox)
        os.chmod(practice.photos, 0o500)
        undone = inbox.undo(report.outcomes[0])
    assert (undone.state, undone.reason) == (State.FAILED, Reason.SOURCE_FAILED)
    assert len(records.attachments("10042")) == 1


def test_no_rights_where_the_files_are_kept(practice: Practice, unprivileged: Dropped) -> None:
    """A place for files that may not be written is an error when it is opened, without its path."""
    with unprivileged():
        records = practice.records()
        os.chmod(practice.root, 0o500)
        with pytest.raises(RepositoryError) as caught:
            type(records).open("sqlite://", files=practice.root / "elsewhere")
    assert str(practice.root) not in str(caught.value)


def test_a_database_that_may_not_be_written(practice: Practice, unprivileged: Dropped) -> None:
    """A read-only database is an error of the records, and nothing leaves its source."""
    with unprivileged():
        practice.photo(AUTO)
        inbox = practice.inbox()
        for path in practice.root.glob("clinic.db*"):
            path.chmod(0o400)
        os.chmod(practice.root, 0o500)
        inbox.repository.close()  # type: ignore[attr-defined]
        with contextlib.suppress(RepositoryError):
            assert inbox.refresh().imported == 0
    assert practice.left() == [AUTO]


# --- full disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system takes root on Linux")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("this container may not mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_where_files_are_kept(practice: Practice, small_disk: Path, reasons: Reasons) -> None:
    """A file that finds no room fails with that reason and stays; the small one beside it is imported."""
    from intouch_import.repositories.sql import SqlRepository

    practice.photo("big.jpg", os.urandom(3 * 1024 * 1024))
    practice.photo("small.jpg")
    records = SqlRepository.open(practice.url, files=small_disk / "files")
    inbox = practice.inbox(records=records)
    inbox.refresh()
    for row in inbox.rows:
        report = inbox.save(inbox.prepare([row], patient="10042"))
        expected = ("failed", "storage_full") if row.name == "big.jpg" else ("imported", "chosen")
        assert reasons(report) == {row.name: expected}
    assert practice.left() == ["big.jpg"]
    assert list((small_disk / "files" / ".staging").iterdir()) == []


def test_a_disk_that_fills_in_a_batch(practice: Practice, small_disk: Path) -> None:
    """What fits is imported, what does not stays, and the counts close."""
    from intouch_import.repositories.sql import SqlRepository

    for number in range(6):
        practice.photo(f"{number}.jpg", os.urandom(600 * 1024))
    records = SqlRepository.open(practice.url, files=small_disk / "files")
    report = save_all(practice.inbox(records=records))
    assert report.closes
    assert {o.reason for o in report.outcomes if o.state is State.FAILED} == {Reason.STORAGE_FULL}
    assert len(practice.left()) == report.failed > 0
    for stored in records.attachments("10042"):
        with records.open_attachment(stored.id) as file:
            assert len(file.read()) == stored.size_bytes


def test_undo_into_a_full_source(practice: Practice, small_disk: Path) -> None:
    """An undo that finds no room puts nothing back, leaves nothing half-written and changes no record."""
    records = practice.records()
    practice.photo("a.jpg", os.urandom(1024 * 1024), folder=small_disk)
    inbox = practice.inbox(practice.source(small_disk), records=records)
    report = save_all(inbox)
    assert report.imported == 1
    (small_disk / "filler").write_bytes(b"x" * 1536 * 1024)
    undone = inbox.undo(report.outcomes[0])
    assert (undone.state, undone.reason) == (State.FAILED, Reason.SOURCE_FAILED)
    assert os.listdir(small_disk) == ["filler"]
    assert len(records.attachments("10042")) == 1


def test_a_disk_that_is_said_to_be_full(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, reasons: Reasons
) -> None:
    """The same where nothing can be mounted: staging that finds no room is told as no room."""
    import errno

    from intouch_import import disk

    practice.photo("a.jpg")
    monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)

    def full(*_args: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(practice.files))

    monkeypatch.setattr(disk, "_write_all", full)
    assert reasons(save_all(practice.inbox())) == {"a.jpg": ("failed", "storage_full")}
    assert practice.left() == ["a.jpg"]
    assert list((practice.files / ".staging").iterdir()) == []


# --- names


STRANGE = [
    "x" * 251 + ".jpg",
    "\N{GRINNING FACE}" * 62 + ".jpg",
    "two\nlines.jpg",
    "tab\tbell\a.jpg",
    "'; DROP TABLE intouch_attachment; --.jpg",
    'double"quote`back.jpg',
    "\u202egpj.exe.jpg",
    "zero\u200bwidth.jpg",
    "per%20cent%.jpg",
    "*[glob]?.jpg",
    "~$tilde".replace("~$", "~") + ".jpg",
    "-rf.jpg",
    "a..b.jpg",
    " leading and trailing .jpg",
    "\N{KELVIN SIGN}.jpg",
    "con.jpg",
    "back\\slash.jpg",
]


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses most of these names itself")
def test_strange_names_are_imported_and_come_back_as_they_were(practice: Practice) -> None:
    """Any name that a file system holds is listed, stored, shown harmlessly, and put back by an undo."""
    for name in STRANGE:
        practice.photo(name)
    records = practice.records()
    inbox = practice.inbox(records=records)
    report = save_all(inbox)
    assert report.imported == len(STRANGE)
    assert practice.left() == []
    assert sorted(stored.name for stored in records.attachments("10042")) == sorted(STRANGE)
    for outcome in report.outcomes:
        assert outcome.to_dict()["name"].isprintable()
        assert inbox.undo(outcome).state is State.WAITING
        assert (practice.photos / outcome.name).read_bytes() == jpeg(outcome.name)
    assert inbox.ledger.verify() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps names that are not Unicode text")
def test_a_name_that_is_not_utf8(practice: Practice) -> None:
    """Bytes that are not UTF-8 are stored and put back byte by byte, and shown escaped."""
    raw = b"R\xf6ntgen.jpg"
    (practice.photos / os.fsdecode(raw)).write_bytes(jpeg("r"))
    records = practice.records()
    inbox = practice.inbox(records=records)
    report = save_all(inbox)
    assert report.imported == 1
    (stored,) = records.attachments("10042")
    assert os.fsencode(stored.name) == raw
    assert printable(stored.name) == "R\\udcf6ntgen.jpg"
    assert inbox.undo(stored).state is State.WAITING
    assert os.listdir(os.fsencode(practice.photos)) == [raw]
    assert inbox.ledger.verify() == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems fold such names into one")
def test_names_that_look_alike_stay_apart(practice: Practice) -> None:
    """NFC and NFD twins, and names that differ in case alone, are different files with different ids."""
    names = [unicodedata.normalize(form, "Müller.jpg") for form in ("NFC", "NFD")] + ["scan.jpg", "SCAN.JPG"]
    for name in names:
        practice.photo(name)
    records = practice.records()
    report = save_all(practice.inbox(records=records))
    assert report.imported == 4
    assert len({o.import_id for o in report.outcomes}) == 4
    assert sorted(stored.name for stored in records.attachments("10042")) == sorted(names)


@pytest.mark.parametrize(
    "name", ["..", ".", "../a.jpg", "sub/a.jpg", "/etc/passwd", "a\0.jpg", "x" * 256, ""]
)
def test_a_listing_can_not_lead_out_of_the_folder(
    practice: Practice, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3: a location that lists a path, or no name, is not followed anywhere."""
    practice.photo("real.jpg")
    (practice.photos / "sub").mkdir()
    practice.photo("a.jpg", folder=practice.photos / "sub")
    outside = practice.photo("a.jpg", folder=practice.root)
    scan = LocalSource.scan

    def lying(self: LocalSource) -> Iterator[Any]:
        import attrs

        for file in scan(self):
            if file.name == "real.jpg":
                yield attrs.evolve(file, name=name)

    monkeypatch.setattr(LocalSource, "scan", lying)
    inbox = practice.inbox()
    report = inbox.refresh()
    assert report.closes
    rows = [row for row in inbox.rows if row.state is not State.IGNORED]
    if rows:
        report = inbox.save(inbox.prepare(rows, patient="10042"))
        assert [(o.state, o.reason) for o in report.outcomes] == [(State.FAILED, Reason.NAME_REFUSED)]
    assert outside.exists()
    assert practice.left() == ["real.jpg", "sub"]


def test_what_is_called_a_photo_and_is_none(practice: Practice, reasons: Reasons) -> None:
    """A folder, a link and a FIFO with a photo's name are ignored, each for what it is."""
    (practice.photos / "folder_DRJ_20260131_142501.jpg").mkdir()
    outside = practice.photo("outside.jpg", folder=practice.root)
    (practice.photos / AUTO).symlink_to(outside)
    expected = {"folder_DRJ_20260131_142501.jpg": ("ignored", "folder"), AUTO: ("ignored", "link")}
    if hasattr(os, "mkfifo"):
        os.mkfifo(practice.photos / "10042_DRJ_20260131_142502.jpg")
        expected["10042_DRJ_20260131_142502.jpg"] = ("ignored", "special_file")
    assert reasons(practice.inbox().refresh()) == expected
    assert outside.exists()


# --- changes behind the list's back


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"another patient's photo")
    path.with_name("new").replace(path)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def to_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere.jpg")
    path.symlink_to(path.parent.parent / "elsewhere.jpg")


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replace, ("waiting", "changed")),
        (append, ("waiting", "changed")),
        (to_link, ("waiting", "changed")),
        (to_folder, ("waiting", "changed")),
        (to_fifo, ("waiting", "changed")),
        (os.unlink, ("failed", "vanished")),
    ],
)
def test_a_file_that_changed_between_listing_and_saving(
    practice: Practice, change: Callable[[Path], None], told: tuple[str, str], reasons: Reasons
) -> None:
    """What a person did not see is not stored: it stays, and the reason says so."""
    if change is to_fifo and not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs here")
    path = practice.photo("a.jpg")
    records = practice.records()
    inbox = practice.inbox(records=records)
    inbox.refresh()
    job = inbox.prepare(inbox.rows, patient="10042")
    change(path)
    assert reasons(inbox.save(job)) == {"a.jpg": told}
    assert records.attachments("10042") == []
    assert practice.left() == ([] if change is os.unlink else ["a.jpg"])


@pytest.mark.parametrize("leases", [True, False])
def test_a_file_that_grows_while_it_is_read(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, leases: bool, reasons: Reasons
) -> None:
    """A file still being written is not stored, with the kernel's help or without."""
    from intouch_import import disk

    path = practice.photo("a.jpg", b"x" * 300_000)
    digest = disk.digest_stream

    def growing(source: Any, target: Any = None) -> Any:
        result = digest(source, target)
        if not leases:
            append(path)
        return result

    monkeypatch.setattr(disk, "digest_stream", growing)
    if not leases:
        monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
        assert reasons(save_all(practice.inbox())) == {"a.jpg": ("waiting", "still_arriving")}
    else:
        with path.open("ab"):
            told = reasons(save_all(practice.inbox()))
        if sys.platform == "linux" and told != {"a.jpg": ("imported", "chosen")}:
            assert told == {"a.jpg": ("waiting", "open_elsewhere")}
            assert practice.left() == ["a.jpg"]


# --- texts


def test_texts_that_cannot_be_stored(practice: Practice) -> None:
    """A title of 100,000 characters, NUL in it, or half a character: refused before anything is moved."""
    practice.photo("a.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    for title in ("x" * 100_000, "a\0b", "\ud83d"):
        with pytest.raises(UnsuitableText):
            inbox.prepare(inbox.rows, patient="10042", title=title)
    assert practice.left() == ["a.jpg"]


@pytest.mark.parametrize("text", ["\ud83d", "a\0b", "x" * 10_000, "'; --", "%", ""])
def test_ids_and_searches_of_any_text(practice: Practice, text: str) -> None:
    """Text of any kind in an id or a search finds nobody, or is refused as what it is."""
    practice.photo("a.jpg")
    records = practice.records()
    inbox = practice.inbox(records=records)
    inbox.refresh()
    with pytest.raises(InTouchImportError):
        inbox.prepare(inbox.rows, patient=text)
    for ask in (records.search_patients, records.attachments):
        assert isinstance(ask(text), list)
    assert inbox.repository.find_attachment([text]) == {}


def test_a_damaged_database_is_told(practice: Practice) -> None:
    """A file that is no database is an error of the records."""
    (practice.root / "clinic.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(RepositoryError):
        practice.records()
