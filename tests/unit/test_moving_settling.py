"""A program that edits a photo while the photo is moved: the record has the bytes that were read, or nothing."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from intouch_import import disk
from intouch_import.errors import LedgerError, NameTaken, RepositoryError, StillArriving
from intouch_import.ledger import Ledger
from intouch_import.repositories.base import PatientRepository
from intouch_import.repositories.files import DirectoryFiles
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import hard_link, local
from intouch_import.sources.hard_link import LeasedContent
from intouch_import.sources.local import LocalSource
from intouch_import.testing import MemoryRepository
from miniature import PATIENTS, PROVIDERS, jpeg, reasons
from moving_bench import raising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intouch_import.inbox import Inbox
    from intouch_import.reports import Report
    from miniature import Practice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read leases exist on Linux alone")

NAME = "10042_DRJ_20260131_142501.jpg"
GOOD = jpeg("the photo")
EDITED = GOOD[:30] + b"EDITED" + GOOD[36:]
WAITS = {NAME: ("waiting", "open_elsewhere")}
# The steps of a move, from the first byte that was read to the removal.
STEPS = [
    ("before", SqlRepository, "find_by_digest"),
    ("after", DirectoryFiles, "place"),
    ("after", SqlRepository, "add_many"),
    ("before", SqlRepository, "open_attachment"),
    ("before", Ledger, "append"),
    ("after", Ledger, "append"),
    ("before", LocalSource, "remove"),
    ("after", LocalSource, "remove"),
]


class Recorded(LeasedContent):
    """A leased file that a test can find."""

    made: ClassVar[list[LeasedContent]] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.made.append(self)


@pytest.fixture(autouse=True)
def photo(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = practice.photo(NAME, GOOD)
    path.chmod(0o600)
    fd = os.open(path, os.O_RDONLY)
    lease = disk.take_lease(fd)
    os.close(fd)
    if lease is disk.Lease.UNAVAILABLE:
        pytest.skip("this file system has no leases")
    Recorded.made = []
    monkeypatch.setattr(local, "LeasedContent", Recorded)
    return path


def edit() -> None:
    """Edit the photo in place, after the kernel has ended its lease because the move was stalled for too long."""
    import fcntl

    (content,) = Recorded.made
    fcntl.fcntl(content._fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    fd = os.open(f"/proc/self/fd/{content._fd}", os.O_WRONLY)
    os.pwrite(fd, b"EDITED", 30)
    os.close(fd)


def stall(
    patched: pytest.MonkeyPatch, when: str, owner: Any, name: str, during: Callable[[], object] = edit
) -> None:
    """Let something happen before or after the first call of a step."""
    step = getattr(owner, name)

    def stalled(*args: Any, **options: Any) -> Any:
        if not Recorded.made:
            return step(*args, **options)  # before the photo was read
        patched.setattr(owner, name, step)
        if when == "before":
            during()
        result = step(*args, **options)
        if when == "after":
            during()
        return result

    patched.setattr(owner, name, stalled)


def refresh(inbox: Inbox, *step: Any, during: Callable[[], object] = edit) -> Report:
    """Refresh, and let something happen at a step."""
    with pytest.MonkeyPatch.context() as patched:
        stall(patched, *step, during)
        return inbox.refresh()


def left(practice: Practice) -> list[bytes]:
    return [path.read_bytes() for path in practice.photos.iterdir()]


@pytest.mark.parametrize(("when", "owner", "name"), STEPS)
def test_an_edit_during_a_stalled_move_leaves_nothing_in_the_record(
    practice: Practice, when: str, owner: Any, name: str
) -> None:
    """At whatever step a move is stalled: the edited photo is in its folder, and is imported as what it is now."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    report = refresh(inbox, when, owner, name)
    assert report.closes
    assert reasons(report) == WAITS
    assert records.attachments("10042") == []
    assert left(practice) == [EDITED]
    assert inbox.ledger.unfinished(inbox.sources[0].source_id) == []
    assert inbox.ledger.verify() == []
    assert practice.inbox(records=records, check_content=False).refresh().imported == 1
    (stored,) = records.attachments("10042")
    assert stored.sha256 == hashlib.sha256(EDITED).hexdigest()
    with records.open_attachment(stored.id) as file:
        assert file.read() == EDITED


@pytest.fixture
def waiting() -> Iterator[list[threading.Thread]]:
    """Threads that wait for the end of a lease. They end before the test does."""
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join(20)


@pytest.mark.parametrize(("when", "owner", "name"), STEPS)
def test_a_program_that_waits_to_write_gets_none_of_the_stored_bytes(
    practice: Practice, waiting: list[threading.Thread], when: str, owner: Any, name: str
) -> None:
    """At whatever step a program asks to write: the record has the bytes that were read, in a file of its own."""

    def ask() -> None:
        (content,) = Recorded.made
        path = f"/proc/{os.getpid()}/fd/{content._fd}"

        def write() -> None:
            fd = os.open(path, os.O_WRONLY)
            os.pwrite(fd, b"EDITED", 30)
            os.close(fd)

        waiting.append(threading.Thread(target=write))
        waiting[0].start()
        for _ in range(1000):
            if not disk.lease_holds(content._fd):
                return
            threading.Event().wait(0.01)
        raise AssertionError("the writer never came")

    records = practice.records()
    report = refresh(practice.inbox(records=records), when, owner, name, during=ask)
    for thread in waiting:
        thread.join(20)
    assert report.imported == 1
    assert left(practice) == []
    (stored,) = records.attachments("10042")
    with records.open_attachment(stored.id) as file:
        assert file.read() == GOOD


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_may_write_is_copied(practice: Practice, photo: Path, mode: int) -> None:
    """Another user who has the photo open for reading could open it for writing later."""
    photo.chmod(mode)
    inode = photo.stat().st_ino
    assert practice.inbox().refresh().imported == 1
    assert Recorded.made == []
    assert all(path.stat().st_ino != inode for path in practice.files.glob("??/*"))


def test_a_file_of_another_user_is_copied(
    practice: Practice, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could write to it, also if the import may do everything."""
    monkeypatch.setattr(hard_link.os, "geteuid", lambda: photo.stat().st_uid + 1)
    assert practice.inbox().refresh().imported == 1
    assert Recorded.made == []


def test_a_host_that_takes_nothing_back_gets_copies(practice: Practice) -> None:
    """If a record can't give a file up again, no program may be able to change the bytes before they are stored."""
    keeps = type("Keeps", (SqlRepository,), {"withdraw": PatientRepository.withdraw})
    records = practice.records()
    records.__class__ = keeps
    inbox = practice.inbox(records=records)
    report = refresh(inbox, "before", SqlRepository, "find_by_digest")
    assert reasons(report) == {NAME: ("stored", "changed")}
    (stored,) = records.attachments("10042")
    with records.open_attachment(stored.id) as file:
        assert file.read() == GOOD
    assert left(practice) == [EDITED]


def test_a_copy_that_is_made_too_late_is_not_used(practice: Practice) -> None:
    """If the photo is edited before it is set apart, it is not stored."""
    records = practice.records()
    records.__class__ = type("Keeps", (SqlRepository,), {"withdraw": PatientRepository.withdraw})
    report = refresh(practice.inbox(records=records), "before", LeasedContent, "stay_apart")
    assert reasons(report) == WAITS
    assert records.attachments("10042") == []


def test_a_host_that_reads_changed_bytes_gives_them_back(practice: Practice) -> None:
    """A record that copies what it reads finds the edit when it is read back, and gives the file up."""
    records = MemoryRepository(PATIENTS, PROVIDERS)
    inbox = practice.inbox(records=records, ledger=practice.root / "ledger.db")
    report = refresh(inbox, "before", MemoryRepository, "add_many")
    assert reasons(report) == WAITS
    assert records.attachments("10042") == []
    assert left(practice) == [EDITED]


def test_a_file_that_can_not_be_given_back_is_reported(practice: Practice) -> None:
    """If the record can't give up changed bytes, the outcome and the log say that the stored copy differs."""
    records = practice.records()
    records.withdraw = raising(RepositoryError("locked"))  # type: ignore[method-assign]
    report = refresh(practice.inbox(records=records), "after", Ledger, "append")
    assert reasons(report) == {NAME: ("failed", "stored_copy_differs")}
    assert left(practice) == [EDITED]


def test_a_ledger_that_fails_does_not_keep_changed_bytes(practice: Practice) -> None:
    """If the withdrawal can't be written down, the record is without the photo all the same."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    with pytest.MonkeyPatch.context() as patched:
        broken = raising(LedgerError("locked"))
        stall(patched, "after", SqlRepository, "add_many", edit)
        stall(patched, "before", LeasedContent, "prove", lambda: patched.setattr(Ledger, "append", broken))
        assert reasons(inbox.refresh()) == WAITS
    assert records.attachments("10042") == []


@pytest.mark.parametrize("how", ["taken", "other"])
def test_changed_bytes_stay_in_the_record_if_they_can_not_be_put_back(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """They may be the only copy: the name was taken meanwhile, or the folder has other bytes than were put there."""
    records = practice.records()
    put = LocalSource.put
    if how == "taken":
        monkeypatch.setattr(LocalSource, "put", raising(NameTaken("taken")))
    else:
        monkeypatch.setattr(LocalSource, "put", lambda self, name, _chunks: put(self, name, [b"other"]))
    report = refresh(practice.inbox(records=records), "after", LocalSource, "remove")
    assert reasons(report) == {NAME: ("failed", "stored_copy_differs")}
    (stored,) = records.attachments("10042")
    with records.open_attachment(stored.id) as file:
        assert file.read() == EDITED


def test_a_copy_that_another_workstation_has_made_is_kept(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the stored bytes are whole after all, nothing is taken back."""
    monkeypatch.setattr(LeasedContent, "prove", raising(StillArriving("edited")))
    assert practice.inbox().refresh().imported == 1
    assert left(practice) == []


def test_without_room_for_a_copy_the_file_stays(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a program asked to write and the disk is full, nothing is removed, and the next refresh tries again."""
    inbox = practice.inbox()
    full = raising(OSError(28, "No space left on device"))
    stall(monkeypatch, "after", Ledger, "append", lambda: monkeypatch.setattr(LeasedContent, "prove", full))
    report = inbox.refresh()
    assert reasons(report) == {NAME: ("stored", "not_removed")}
    assert left(practice) == [GOOD]
    monkeypatch.undo()
    assert inbox.refresh().imported == 1


def test_an_edit_before_a_failed_add_is_nobodys_loss(practice: Practice) -> None:
    """If the bytes were placed, then edited, and the record failed, the photo is in its folder and not in the record."""
    records = practice.records()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records._files, "sync", raising(RepositoryError("full")))
        report = refresh(practice.inbox(records=records), "after", DirectoryFiles, "place")
    assert reasons(report) == {NAME: ("failed", "repository_failed")}
    assert records.attachments("10042") == []
    assert left(practice) == [EDITED]
