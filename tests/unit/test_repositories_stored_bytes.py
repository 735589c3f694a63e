"""Reading stored bytes again: what is whole, missing, altered or unreadable is reported as that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from intouch_import.repositories.sql import SqlRepository
from intouch_import.repositories.stored_bytes import StoredBytes, read_again
from miniature import jpeg

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.model import StoredAttachment
    from miniature import Practice


@pytest.fixture
def stored(practice: Practice) -> StoredAttachment:
    """A photo in a record."""
    (practice.photos / "photo.jpg").write_bytes(jpeg("a"))
    inbox = practice.inbox()
    inbox.refresh()
    inbox.save(inbox.prepare(inbox.rows, patient="10042"))
    return practice.records().attachments("10042")[0]


def file_of(practice: Practice, stored: StoredAttachment) -> Path:
    return practice.files / stored.id[:2] / stored.id


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda _file: None, StoredBytes.INTACT),
        (lambda file: file.unlink(), StoredBytes.MISSING),
        (lambda file: file.write_bytes(b"another photo"), StoredBytes.ALTERED),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"), StoredBytes.ALTERED),
        (lambda file: file.write_bytes(b""), StoredBytes.ALTERED),
    ],
)
def test_bytes_are_read_again(practice: Practice, stored: StoredAttachment, damage, found) -> None:
    """What was deleted or changed behind the records is noticed, also if its size is the same."""
    damage(file_of(practice, stored))
    assert read_again(practice.records(), stored) is found


def test_missing_bytes_elsewhere(practice: Practice, stored: StoredAttachment) -> None:
    """Bytes under an fsspec URL that do not exist are missing, too."""
    elsewhere = SqlRepository.open(practice.url, files="memory://read-again-nothing")
    assert read_again(elsewhere, stored) is StoredBytes.MISSING


def test_unreadable_bytes(practice: Practice, stored: StoredAttachment, caplog) -> None:
    """A repository that fails is reported without its message, which may name a patient."""

    class Failing(SqlRepository):
        def open_attachment(self, attachment_id: str) -> BinaryIO:
            raise ValueError("CANARY")

    records: Any = Failing.open(practice.url, files=practice.files)
    with caplog.at_level(logging.DEBUG):
        assert read_again(records, stored) is StoredBytes.UNREADABLE
    assert "CANARY" not in caplog.text
    assert caplog.records[-1].import_id == stored.import_id
