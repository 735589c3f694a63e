"""The doubles of the kit, and the faults that tests switch on in them."""

from __future__ import annotations

import threading
import time

import attrs
import pytest

from intouch_import.errors import (
    FileChanged,
    FileVanished,
    RepositoryError,
    SourceUnavailable,
    StorageFull,
)
from intouch_import.inbox import Inbox
from intouch_import.model import EntryKind, Reason, State
from intouch_import.testing import (
    PATIENT,
    PATIENTS,
    PROVIDERS,
    BytesContent,
    Faults,
    MemoryFolder,
    MemoryRepository,
    MemorySource,
    raising,
    waiting,
)
from intouch_import.testing.records import new


@pytest.fixture
def records() -> MemoryRepository:
    return MemoryRepository(PATIENTS, PROVIDERS)


@pytest.fixture
def folder() -> MemoryFolder:
    folder = MemoryFolder()
    folder.write("a.jpg", b"first")
    return folder


def test_a_fault_strikes_as_often_as_it_is_told_to() -> None:
    """Once by default, a number of times, or always; then all is well again."""
    faults = Faults("call", "other")
    struck: list[str] = []
    faults.before("call", lambda: struck.append("once"))
    faults.before("call", lambda: struck.append("twice"), times=2)
    faults.after("call", lambda: struck.append("always"), times=None)
    for _ in range(3):
        assert faults.around("call", lambda: "result") == "result"
    assert struck == ["once", "twice", "always", "twice", "always", "always"]
    faults.clear()
    assert faults.around("call", lambda: "result") == "result"
    assert len(struck) == 6


def test_a_fault_at_a_point_that_is_none_is_a_mistake() -> None:
    """A misspelled point would otherwise be a fault that never strikes."""
    with pytest.raises(ValueError, match="scan"):
        MemorySource(MemoryFolder()).faults.before("scann", waiting(0))


def test_a_fault_before_the_effect_leaves_none(records: MemoryRepository) -> None:
    """A repository that fails first has stored nothing."""
    attachment, content = new()
    records.faults.before("add", raising(StorageFull("no room left")))
    with pytest.raises(StorageFull):
        records.add(attachment, content)
    assert not records.find_attachment([attachment.import_id])
    assert records.add(attachment, content).import_id == attachment.import_id


def test_a_fault_after_the_commit_leaves_it_stored(records: MemoryRepository) -> None:
    """A repository that fails after committing has stored it: nobody was told."""
    attachment, content = new()
    records.faults.after("commit", raising(RepositoryError("the network went away")))
    with pytest.raises(RepositoryError):
        records.add(attachment, content)
    assert set(records.find_attachment([attachment.import_id])) == {attachment.import_id}


def test_a_fault_before_the_commit_rolls_back(records: MemoryRepository) -> None:
    """A commit that fails before it takes effect leaves nothing, and nothing stuck."""
    items = [new(), new()]
    records.faults.before("commit", raising(RepositoryError("the network went away")))
    with pytest.raises(RepositoryError):
        records.add_many(items)
    assert not records.find_attachment([attachment.import_id for attachment, _ in items])
    assert len(records.add_many(items)) == 2


def test_a_repository_can_lie(records: MemoryRepository) -> None:
    """What it returns can be changed on the way; what it stores is not."""
    attachment, content = new()
    records.faults.change("add", lambda stored: attrs.evolve(stored, sha256="0" * 64))
    assert records.add(attachment, content).sha256 == "0" * 64
    assert records.find_attachment([attachment.import_id])[attachment.import_id].sha256 == attachment.sha256


def test_a_repository_can_be_slow(records: MemoryRepository) -> None:
    """A slow call takes its time, and others are not held up by a slow reader."""
    records.faults.before("find_attachment", waiting(0.3))
    slow = threading.Thread(target=lambda: records.find_attachment(["x"]))
    started = time.monotonic()
    slow.start()
    records.add(*new())
    assert time.monotonic() - started < 0.3
    slow.join()
    assert time.monotonic() - started >= 0.3


def test_faults_belong_to_one_opening(records: MemoryRepository) -> None:
    """One workstation's trouble is not another's."""
    records.faults.before("find_patient", raising(RepositoryError("gone")), times=None)
    assert records.reopen().find_patient(PATIENT.id) == PATIENT
    with pytest.raises(RepositoryError):
        records.find_patient(PATIENT.id)


def test_stored_bytes_can_be_damaged(records: MemoryRepository) -> None:
    """What is read afterwards is what is there, one byte of it changed."""
    attachment, content = new(b"bytes")
    stored = records.add(attachment, content)
    records.damage(stored.id)
    assert records.open_attachment(stored.id).read() == b"\x9dytes"
    attachment, content = new(b"")
    stored = records.add(attachment, content)
    records.damage(stored.id)
    assert records.open_attachment(stored.id).read() == b"\0"
    assert [one.import_id for one in records.attachments(PATIENT.id)][-1] == attachment.import_id


def test_a_closed_content_is_gone() -> None:
    """A repository that keeps a content instead of its bytes is found out."""
    content = BytesContent(b"bytes")
    content.close()
    with pytest.raises(ValueError, match="closed"):
        content.open()


def test_a_file_can_be_replaced_at_the_last_moment(folder: MemoryFolder) -> None:
    """A fault may be any action: here somebody writes a new file before the removal."""
    source = MemorySource(folder)
    (file,) = source.scan()
    source.faults.before("remove", lambda: folder.write("a.jpg", b"second"))
    with pytest.raises(FileChanged):
        source.remove(file, sha256="")
    assert folder.read("a.jpg") == b"second"


def test_a_removal_may_take_effect_and_fail(folder: MemoryFolder) -> None:
    """An answer can be lost: the file is gone, and the caller does not know."""
    source = MemorySource(folder)
    (file,) = source.scan()
    source.faults.after("remove", raising(SourceUnavailable("the answer was lost")))
    with pytest.raises(SourceUnavailable):
        source.remove(file, sha256="")
    with pytest.raises(FileVanished):
        source.fetch(file)


def test_a_listing_may_fail(folder: MemoryFolder) -> None:
    """A location that is down while it is listed."""
    source = MemorySource(folder)
    source.faults.before("scan", raising(SourceUnavailable("down")))
    with pytest.raises(SourceUnavailable):
        list(source.scan())
    assert [file.name for file in source.scan()] == ["a.jpg"]


def test_the_filesystem_only_reads(folder: MemoryFolder) -> None:
    """A host may look around in it, and change nothing."""
    filesystem = MemorySource(folder).filesystem
    assert filesystem.cat_file("/a.jpg") == b"first"
    with pytest.raises(NotImplementedError):
        filesystem.rm_file("/a.jpg")
    assert folder.names() == {"a.jpg"}


def test_a_folder_in_memory_holds_what_folders_hold(folder: MemoryFolder) -> None:
    """Folders and links are listed as such, and are no files."""
    folder.make_folder("below")
    folder.make_link("link")
    kinds = {file.name: file.kind for file in MemorySource(folder).scan()}
    assert kinds == {"a.jpg": EntryKind.FILE, "below": EntryKind.FOLDER, "link": EntryKind.LINK}
    assert folder.names() == {"a.jpg"}
    assert folder.read("below") is None


def test_an_inbox_runs_on_the_doubles(records: MemoryRepository, folder: MemoryFolder, tmp_path) -> None:
    """A host's own tests can run the whole import without a disk, and see a lie end in a file that stays."""
    source = MemorySource(folder)
    inbox = Inbox(records, [source], ledger=tmp_path / "ledger.db", zone="UTC", settle_s=0.0)
    inbox.refresh()
    records.faults.change("open_attachment", lambda _stream: BytesContent(b"other").open())
    saved = inbox.save(inbox.prepare(inbox.rows, patient=PATIENT.id))
    (outcome,) = saved.outcomes
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.STORED_COPY_DIFFERS)
    assert folder.read("a.jpg") == b"first"
    again = Inbox(records, [source], ledger=tmp_path / "ledger.db", zone="UTC", settle_s=0.0)
    again.refresh()
    assert folder.names() == set()
