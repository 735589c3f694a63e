"""An undo of a file that never left its source, while other workstations finish what they have begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import FileChanged, NotRemoved, RepositoryError, SourceUnavailable
from intouch_import.inbox import corrections
from intouch_import.model import Reason, State
from intouch_import.sources.local import LocalSource
from intouch_import.testing import MemoryRepository, raising
from miniature import PATIENTS, PROVIDERS, jpeg, reasons

if TYPE_CHECKING:
    from intouch_import.inbox import Inbox
    from intouch_import.repositories.sql import SqlRepository
    from miniature import Practice

PHOTO = "10042_DRJ_20260131_142501.jpg"


def stored_not_removed(practice: Practice) -> tuple[SqlRepository, Inbox]:
    """A photo that is in the record and still in its folder."""
    practice.photo(PHOTO)
    records = practice.records()
    inbox = practice.inbox(records=records)
    with pytest.MonkeyPatch.context() as patched:

        def refuse(*_: Any, **__: Any) -> None:
            raise NotRemoved("in use")

        patched.setattr(LocalSource, "remove", refuse)
        (outcome,) = inbox.refresh().outcomes
    assert outcome.state is State.STORED
    return records, inbox


def begin_undo(inbox: Inbox, records: SqlRepository) -> None:
    """An undo that dies when it has said in the ledger what it is going to do."""
    with pytest.MonkeyPatch.context() as patched:

        def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr(corrections, "remove_pinned", die)
        with pytest.raises(KeyboardInterrupt):
            inbox.undo(records.attachments("10042")[0])


def test_a_removal_that_is_under_way_does_not_take_the_last_copy(practice: Practice) -> None:
    """Another workstation has verified the stored copy and removes next: the undo that is finished here beats it."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    source = practice.source()
    verified = source.look(PHOTO)
    assert verified is not None
    begin_undo(inbox, records)
    report = practice.inbox(records=records).refresh()
    assert [outcome.reason for outcome in report.outcomes] == [Reason.UNDONE]
    assert records.attachments("10042") == []
    with pytest.raises(FileChanged):
        source.remove(verified, sha256=stored.sha256)
    assert (practice.photos / PHOTO).read_bytes() == jpeg(PHOTO)


def test_an_undo_and_its_recovery_at_once_lose_nothing(practice: Practice) -> None:
    """While one workstation undoes, another finishes the undo for it: the photo is in its folder in the end."""
    records, inbox = stored_not_removed(practice)
    other = practice.inbox(records=practice.records())
    real = corrections.remove_pinned
    with pytest.MonkeyPatch.context() as patched:

        def meanwhile(*args: Any, **options: Any) -> None:
            patched.setattr(corrections, "remove_pinned", real)
            other.refresh()
            real(*args, **options)

        patched.setattr(corrections, "remove_pinned", meanwhile)
        inbox.undo(records.attachments("10042")[0])
    assert records.attachments("10042") == []
    assert (practice.photos / PHOTO).read_bytes() == jpeg(PHOTO)
    assert practice.inbox(records=records).refresh().waiting == 1


def test_an_undo_is_not_finished_from_a_damaged_copy(practice: Practice) -> None:
    """Recovery takes nothing out of the folder that it could not put back."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    begin_undo(inbox, records)
    kept = practice.files / stored.id[:2] / stored.id
    kept.unlink()
    for damage in (lambda: kept.write_bytes(b"damaged"), kept.unlink):
        damage()
        assert practice.inbox(records=records).refresh().closes
        assert (practice.photos / PHOTO).read_bytes() == jpeg(PHOTO)
        assert records.attachments("10042") == [stored]


def test_an_undo_that_can_not_be_finished_now_is_left_for_later(practice: Practice) -> None:
    """If the bytes can't be put back, the record keeps them, and the next refresh tries again."""
    records, inbox = stored_not_removed(practice)
    begin_undo(inbox, records)
    with pytest.MonkeyPatch.context() as patched:

        def fail(*_: Any, **__: Any) -> None:
            raise SourceUnavailable("no room", source_id="")

        patched.setattr(LocalSource, "put", fail)
        practice.inbox(records=records).refresh()
    assert len(records.attachments("10042")) == 1
    # Nobody knows this undo any more but the ledger: a person asks for it again.
    assert inbox.undo(records.attachments("10042")[0]).state is State.WAITING
    assert (practice.photos / PHOTO).read_bytes() == jpeg(PHOTO)
    assert records.attachments("10042") == []


class _ReusesNumbers(MemoryRepository):
    """As SQLite numbers rows by itself: the number of the last row, once deleted, is given to the next."""

    def _add(self, attachment: Any, content: Any) -> Any:
        self._kept.next_id = 1 + max(
            (int(stored.id.rpartition("-")[2]) for stored, _ in self._kept.stored.values()), default=0
        )
        return super()._add(attachment, content)


def test_an_id_that_was_given_away_again_is_not_withdrawn(practice: Practice) -> None:
    """An undo was cut off after the withdrawal, and the number went to another photo: that one stays stored."""
    practice.photo(PHOTO)
    practice.photo("other.jpg")
    records = _ReusesNumbers(PATIENTS, PROVIDERS)
    ledger = practice.root / "ledger.db"
    inbox = practice.inbox(records=records, ledger=ledger)
    withdrawn = next(one for one in inbox.refresh().outcomes if one.name == PHOTO)
    elsewhere = practice.inbox(records=records.reopen(), ledger=ledger)
    elsewhere.refresh()
    records.faults.after("withdraw", raising(RepositoryError("the power failed")))
    with pytest.raises(RepositoryError):
        inbox.undo(withdrawn)
    assert elsewhere.save(elsewhere.prepare(elsewhere.rows, patient="10043")).imported == 1
    (saved,) = records.attachments("10043")
    assert saved.id == withdrawn.attachment_id
    report = practice.inbox(records=records.reopen(), ledger=ledger).refresh()
    assert records.attachments("10043") == [saved]
    assert reasons(report) == {PHOTO: ("waiting", "undone")}
