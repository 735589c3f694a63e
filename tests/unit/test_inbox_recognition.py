"""Files with a known name, size and time: the bytes decide which file it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.clock import Clock
from intouch_import.errors import FileUnreadable, FileVanished, NotRemoved, SelectionError
from intouch_import.inbox import recognition
from intouch_import.ledger import Event
from intouch_import.model import Action, Destination, Reason, State
from intouch_import.mounts import Mount
from intouch_import.sources import local
from intouch_import.sources.local import LocalSource
from miniature import NOW, jpeg, reasons
from moving_bench import raising

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.inbox import Inbox, Row
    from intouch_import.reports import Outcome
    from miniature import Practice

NAME, AUTO = "capture.jpg", "10042_DRJ_20260131_142501.jpg"
CLOCK_S = 315_532_800  # 1980, where the clock of a camera begins


@pytest.fixture(params=["inodes last", "inodes change"])
def lasting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run on a file system that keeps inode numbers, and on one that does not, such as exFAT."""
    lasts = bool(request.param == "inodes last")
    monkeypatch.setattr(local, "mount_of", lambda _: Mount("/", keeps_inodes=lasts))
    return lasts


def shoot(practice: Practice, seed: str, name: str = NAME) -> Path:
    """Photograph with a camera that repeats name, size and time, on a file system that reuses the inode."""
    inode = practice.root / "inode"
    if not inode.exists():
        inode.write_bytes(b"")
    inode.write_bytes(jpeg("")[:-2] + seed[0].encode() + b"\xff\xd9")
    os.utime(inode, (CLOCK_S, CLOCK_S))
    path = practice.photos / name
    os.link(inode, path)
    return path


def row_of(inbox: Inbox, name: str = NAME) -> Row:
    (row,) = [row for row in inbox.rows if row.name == name]
    return row


def save(inbox: Inbox, patient: str, name: str = NAME) -> tuple[State, Reason]:
    (outcome,) = inbox.save(inbox.prepare([row_of(inbox, name)], patient=patient)).outcomes
    return outcome.state, outcome.reason


SAVED = (State.IMPORTED, Reason.CHOSEN)


@pytest.mark.usefixtures("lasting")
def test_an_undo_waits_for_the_move_of_a_photo_with_an_import_id_of_its_own(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import id that a second photo of one version gets is claimed, too. Not removed, the photo can be undone."""
    records = practice.records()
    inbox, other = practice.inbox(records=records), practice.inbox()
    shoot(practice, "1")
    inbox.refresh()
    assert save(inbox, "10042") == SAVED
    shoot(practice, "2")
    inbox.refresh()
    outcomes: list[Outcome] = []

    def busy(*_: Any, **__: Any) -> None:
        (stored,) = records.attachments("10043")
        outcomes.append(other.undo(stored))
        raise NotRemoved("busy")

    monkeypatch.setattr(LocalSource, "remove", busy)
    assert save(inbox, "10043") == (State.STORED, Reason.NOT_REMOVED)
    assert [outcome.reason for outcome in outcomes] == [Reason.IN_PROGRESS]
    (stored,) = records.attachments("10043")
    assert inbox.undo(stored).state is State.WAITING
    assert records.attachments("10043") == []
    assert practice.left() == [NAME]


@pytest.mark.usefixtures("lasting")
@pytest.mark.parametrize("patient", ["10042", "10043"])
def test_other_bytes_with_a_known_version_are_another_photo(practice: Practice, patient: str) -> None:
    """A camera without a clock repeats itself: the second photo is listed as new, and stored as a second one."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    shoot(practice, "1")
    inbox.refresh()
    version = row_of(inbox).version
    assert save(inbox, "10042") == SAVED
    shoot(practice, "2")
    for listed in (inbox, practice.inbox(records=records)):
        listed.refresh()
        assert (row_of(listed).version, row_of(listed).reason) == (version, Reason.NO_CAPTURE_NAME)
        assert listed.prepare(listed.rows, patient=patient).warning is None
    assert save(inbox, patient) == SAVED
    digests = {one.sha256 for one in (*records.attachments("10042"), *records.attachments("10043"))}
    assert (len(digests), practice.left()) == (2, [])


@pytest.mark.usefixtures("lasting")
def test_the_same_bytes_reappeared_whichever_photo_they_are_of(practice: Practice) -> None:
    """A file is called imported and removed before only after its bytes were compared, under every import id."""
    inbox = practice.inbox()
    for seed in ("1", "2"):
        shoot(practice, seed)
        inbox.refresh()
        assert save(inbox, "10042") == SAVED
    for seed in ("1", "2"):
        path = shoot(practice, seed)
        assert reasons(inbox.refresh()) == {NAME: ("waiting", "reappeared")}
        path.unlink()
        inbox.refresh()
    shoot(practice, "3")
    assert reasons(inbox.refresh()) == {NAME: ("waiting", "no_capture_name")}


@pytest.mark.usefixtures("lasting")
def test_a_photo_with_a_known_version_is_imported_automatically(practice: Practice) -> None:
    """Its name identifies the patient; the earlier photo of that name, size and time does not stop it."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    for seed in ("1", "2"):
        shoot(practice, seed, AUTO)
        assert reasons(inbox.refresh()) == {AUTO: ("imported", "capture_name")}
    assert len({stored.import_id for stored in records.attachments("10042")}) == 2


def test_a_known_file_that_cannot_be_read_is_not_called_known(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits with the reason why it can't be read, and the next refresh compares it."""
    inbox = practice.inbox()
    shoot(practice, "1")
    inbox.refresh()
    save(inbox, "10042")
    shoot(practice, "2")
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "fetch", raising(FileUnreadable("no")))
        assert reasons(inbox.refresh()) == {NAME: ("waiting", "unreadable")}
        assert row_of(inbox).destination is Destination.IMAGES
        patched.setattr(LocalSource, "fetch", raising(FileVanished("no")))
        assert reasons(inbox.refresh()) == {}
    assert reasons(inbox.refresh()) == {NAME: ("waiting", "no_capture_name")}


def test_a_list_that_is_old_takes_no_photo_for_another(practice: Practice) -> None:
    """What another workstation stored under the same version meanwhile neither stops nor replaces this photo."""
    records = practice.records()
    inbox, other = practice.inbox(records=records), practice.inbox(records=practice.records())
    shoot(practice, "1")
    inbox.refresh()
    other.refresh()
    assert save(other, "10042") == SAVED
    for seed, patient in (("2", "10043"), ("3", "10042")):
        shoot(practice, seed)
        inbox._refresh.rows[0].judge(attrs.evolve(row_of(inbox).verdict))  # a row that was not saved yet
        assert save(inbox, patient) == SAVED
    assert [len(records.attachments(patient)) for patient in ("10042", "10043")] == [2, 1]


@pytest.mark.usefixtures("lasting")
def test_another_file_in_the_place_of_an_unfinished_move_is_new(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored file is gone, which the ledger learns; the file that is there now is another one."""
    inbox = practice.inbox()
    path = shoot(practice, "1")
    inbox.refresh()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", raising(FileUnreadable("busy")))
        assert save(inbox, "10042")[0] is State.STORED
    path.unlink()
    shoot(practice, "2")
    assert reasons(inbox.refresh()) == {NAME: ("waiting", "no_capture_name")}
    assert [entry.event for entry in inbox.ledger.entries()][-1] is Event.MOVED
    assert practice.left() == [NAME]


# --- versions that change although the bytes do not


def interrupted(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store a photo, stop before its removal, and mount the folder again: the file has another inode."""
    path = practice.photo(NAME)
    inbox = practice.inbox()
    inbox.refresh()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", raising(FileUnreadable("unplugged")))
        assert save(inbox, "10043")[0] is State.STORED
    copy = practice.root / "copy"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(1, path.stat().st_mtime_ns))
    copy.replace(path)
    return path


def test_a_stored_file_that_a_mount_has_renumbered_is_finished(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known by its name and its bytes: its move ends in the record that it is in."""
    interrupted(practice, monkeypatch)
    records = practice.records()
    inbox = practice.inbox(records=records)
    assert reasons(inbox.refresh()) == {NAME: ("imported", "interrupted")}
    assert (len(records.attachments("10043")), practice.left()) == (1, [])
    assert [entry.event for entry in inbox.ledger.entries()][-1] is Event.MOVED


def test_the_ledger_does_not_say_moved_of_a_file_that_could_not_be_compared(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that is there may be the stored one: the next refresh finds out, in the same inbox."""
    interrupted(practice, monkeypatch)
    inbox = practice.inbox()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "fetch", raising(FileUnreadable("no")))
        assert reasons(inbox.refresh()) == {NAME: ("waiting", "unreadable")}
    assert Event.MOVED not in [entry.event for entry in inbox.ledger.entries()]
    assert reasons(inbox.refresh()) == {NAME: ("imported", "interrupted")}


def test_a_file_that_an_undo_gave_a_new_version_is_not_finished(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another workstation undoes an unfinished move, its file must not be removed."""
    interrupted(practice, monkeypatch)
    inbox = practice.inbox()
    (begun,) = inbox.ledger.unfinished(row_source(inbox))
    undo = attrs.evolve(begun, event=Event.PUTTING_BACK, at=NOW, seq=None, digest=None)
    real = recognition._read

    def read_after_the_undo_began(row: Row) -> str:
        inbox.ledger.append([undo])
        return real(row)

    monkeypatch.setattr(recognition, "_read", read_after_the_undo_began)
    inbox.refresh()
    assert practice.left() == [NAME]


def row_source(inbox: Inbox) -> str:
    return inbox.sources[0].source_id


def test_another_file_with_the_name_and_size_of_an_unfinished_move_is_new(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name and size alone prove nothing."""
    path = interrupted(practice, monkeypatch)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert reasons(practice.inbox().refresh()) == {NAME: ("waiting", "no_capture_name")}


# --- verdicts about bytes


@pytest.mark.usefixtures("lasting")
def test_only_the_bytes_that_an_undo_put_back_are_called_undone(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another photo with the same name and size is imported; one that can't be compared waits."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    shoot(practice, "1", AUTO)
    inbox.refresh()
    inbox.undo(records.attachments("10042")[0])
    for listed in (inbox, inbox, practice.inbox(records=records)):
        assert reasons(listed.refresh()) == {AUTO: ("waiting", "undone")}
    (practice.photos / AUTO).unlink()
    inbox.refresh()
    shoot(practice, "2", AUTO)
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "fetch", raising(FileUnreadable("no")))
        assert reasons(practice.inbox(records=records).refresh()) == {AUTO: ("waiting", "undone")}
    assert reasons(inbox.refresh()) == {AUTO: ("imported", "capture_name")}


def cut_short(practice: Practice) -> tuple[Path, bytes]:
    """A photo whose second half has not arrived; size and time are already those of the whole photo."""
    whole = jpeg("whole")
    path = practice.photo(AUTO, whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    os.utime(path, (CLOCK_S, CLOCK_S))
    return path, whole


def test_refused_content_is_looked_at_again_when_it_has_changed(practice: Practice, lasting: bool) -> None:
    """The bytes may change without a new size or time; where only reading shows that, once a minute is enough."""
    now_s = [1000.0]
    inbox = practice.inbox(clock=Clock(now=lambda: NOW, monotonic_s=lambda: now_s[0]))
    path, whole = cut_short(practice)
    assert reasons(inbox.refresh())[AUTO][0] == "waiting"
    refused = row_of(inbox, AUTO)
    now_s[0] += 61
    inbox.refresh()
    assert row_of(inbox, AUTO) is refused
    path.write_bytes(whole)
    os.utime(path, (CLOCK_S, CLOCK_S))
    if not lasting:
        inbox.refresh()
        assert row_of(inbox, AUTO) is refused
        now_s[0] += 61
    assert reasons(inbox.refresh()) == {AUTO: ("imported", "capture_name")}


def test_not_everything_is_read_again_at_once(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reading is needed, some files are read at a time, in turn; large and unreadable files stop nothing."""
    monkeypatch.setattr(local, "mount_of", lambda _: Mount("/", keeps_inodes=False))
    now_s = [1000.0]
    inbox = practice.inbox(clock=Clock(now=lambda: NOW, monotonic_s=lambda: now_s[0]))
    names = [f"10042_DRJ_20260131_14250{number}.jpg" for number in range(5)]
    for number, name in enumerate(names):
        practice.photo(name, b"no photo" + bytes(1000 if number == 1 else number))
    inbox.refresh()
    monkeypatch.setattr(recognition, "_READ_AGAIN_BYTES", 25)
    read: list[str] = []

    def reading(row: Row) -> str:
        read.append(row.name)
        if row.name == names[2]:
            raise FileUnreadable("no")
        return row.sha256 or ""

    monkeypatch.setattr(recognition, "_read", reading)
    for _ in range(2):
        now_s[0] += 61
        inbox.refresh()
    assert read == [names[0], names[2], names[3], names[4]]


def test_a_freed_copy_is_judged_before_its_location_is_listed(practice: Practice, tmp_path: Path) -> None:
    """When the photo that it is a copy of leaves the records, its row says what it is, and where it would go."""
    other = tmp_path / "other"
    other.mkdir()
    records = practice.records()
    first, second = practice.source(), practice.source(other)
    inbox = practice.inbox(first, second, records=records)
    practice.photo(AUTO, jpeg("same"))
    inbox.refresh()
    copy = "10043_DRJ_20260131_142502.jpg"
    practice.photo(copy, jpeg("same"), folder=other)
    assert reasons(inbox.refresh()) == {copy: ("waiting", "duplicate_elsewhere")}
    inbox.undo(records.attachments("10042")[0])
    inbox.refresh(only=[first.source_id])
    row = row_of(inbox, copy)
    assert (row.verdict.action, row.reason, row.destination) == (
        Action.IMPORT,
        Reason.CAPTURE_NAME,
        Destination.IMAGES,
    )
    assert reasons(inbox.refresh(only=[second.source_id])) == {copy: ("imported", "capture_name")}


def test_a_row_that_was_not_judged_counts_as_arriving(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that fail during a refresh leave no row with an unexpected error, or with a wrong destination."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    practice.photo(NAME)
    with monkeypatch.context() as patched:
        patched.setattr(type(records), "find_attachment", raising(RuntimeError("down")))
        with pytest.raises(Exception, match="records failed"):
            inbox.refresh()
    inbox.refresh(only=[])
    for row in inbox.rows:
        assert (row.reason, row.destination) == (Reason.STILL_ARRIVING, Destination.IMAGES)
    assert reasons(inbox.refresh()) == {NAME: ("waiting", "no_capture_name")}


def test_a_photo_that_is_in_icloud_only_waits_for_its_download(practice: Practice) -> None:
    """The stub that iCloud Drive leaves is not ignored as a hidden file, and can't be saved in the photo's place."""
    stub = practice.photo(f".{AUTO}.icloud", b"bplist00")
    inbox = practice.inbox()
    assert reasons(inbox.refresh()) == {stub.name: ("waiting", "not_downloaded")}
    assert reasons(inbox.refresh()) == {stub.name: ("waiting", "not_downloaded")}
    with pytest.raises(SelectionError, match="iCloud"):
        inbox.prepare(inbox.rows, patient="10042")
    stub.unlink()
    practice.photo(AUTO)
    assert reasons(inbox.refresh()) == {AUTO: ("imported", "capture_name")}
