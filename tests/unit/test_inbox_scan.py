"""A scan shows what a refresh would do with each file, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intouch_import.cli.samples import lay_out
from intouch_import.errors import FileUnreadable
from intouch_import.model import Action, Stage, State
from intouch_import.moving import mover
from intouch_import.sources.local import LocalSource
from miniature import jpeg

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.inbox import Inbox
    from intouch_import.model import Progress
    from miniature import Practice

FIRST = "10042_DRJ_20200131_142501.jpg"
SECOND = "10042_DRJ_20200131_142502.jpg"
OTHER = "10043_DRJ_20200131_142503.jpg"


def _seen(inbox: Inbox) -> dict[str, str]:
    """Return what a scan says of each file: ``imported``, or the reason why it is not."""
    assert inbox.scan() == []
    return {
        row.name: "imported" if row.verdict.action is Action.IMPORT else row.reason.value
        for row in inbox.rows
    }


def _done(inbox: Inbox) -> dict[str, str]:
    """Return what a refresh does with each file, in the same words."""
    return {
        outcome.name: "imported" if outcome.state is State.IMPORTED else outcome.reason.value
        for outcome in inbox.refresh().outcomes
    }


def _scan_then_refresh(practice: Practice, folder: Path | None = None) -> dict[str, str]:
    """Scan and refresh with two inboxes. Return what both say."""
    before = sorted((folder or practice.photos).iterdir())
    source = practice.source(folder, provider="DRJ")
    with practice.records() as records, practice.inbox(source, records=records) as inbox:
        entries = inbox.ledger.tail()
        seen = _seen(inbox)
        assert _seen(inbox) == seen
        assert inbox.ledger.tail() == entries
    assert sorted((folder or practice.photos).iterdir()) == before
    assert list((practice.files / ".staging").iterdir()) == []
    with practice.records() as records, practice.inbox(source, records=records) as inbox:
        assert _done(inbox) == seen
    return seen


def test_every_sample_file_ends_as_the_scan_says(practice: Practice, tmp_path: Path) -> None:
    """Content that is cut short, empty or another format is found by the scan, as by the refresh."""
    sample = lay_out(tmp_path / "sample")
    seen = _scan_then_refresh(practice, sample.photos)
    assert [name for name, said in seen.items() if said == "imported"] == sorted(sample.automatic)
    assert {name: seen[name] for name in sample.waiting} == dict(sample.waiting)


def test_copies_wait_as_the_scan_says(practice: Practice) -> None:
    """Bytes that are in a record already, or twice in the folder, are found by the scan."""
    with practice.records() as records, practice.inbox(records=records) as inbox:
        practice.photo(FIRST, jpeg("stored"))
        assert inbox.refresh().imported == 1
    practice.photo(FIRST, jpeg("twice"))
    practice.photo(SECOND, jpeg("twice"))
    practice.photo(OTHER, jpeg("stored"))
    assert _scan_then_refresh(practice) == {
        FIRST: "imported", SECOND: "duplicate", OTHER: "duplicate_elsewhere",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("batch", "first"), [(1, "imported"), (500, "duplicate_elsewhere")], ids=["apart", "together"]
)
def test_the_same_bytes_for_two_patients_wait_as_the_scan_says(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, batch: int, first: str
) -> None:
    """Names that claim two patients for the same bytes are found in one batch and in several."""
    monkeypatch.setattr(mover, "BATCH_FILES", batch)
    practice.photo(FIRST, jpeg("same"))
    practice.photo(OTHER, jpeg("same"))
    assert _scan_then_refresh(practice) == {FIRST: first, OTHER: "duplicate_elsewhere"}


def test_a_file_that_cannot_be_read_fails_in_the_scan(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of that file has failed, with the reason; the other files are checked."""
    practice.photo(FIRST)
    practice.photo(SECOND)
    fetch = LocalSource.fetch

    def refuse(source: LocalSource, file: object, **options: object) -> object:
        if getattr(file, "name", "") == FIRST:
            raise FileUnreadable("no")
        return fetch(source, file, **options)

    monkeypatch.setattr(LocalSource, "fetch", refuse)
    inbox = practice.inbox()
    inbox.scan()
    assert [(row.state.value, row.reason.value) for row in inbox.rows] == [
        ("failed", "unreadable"), ("waiting", "capture_name"),
    ]  # fmt: skip


def test_the_progress_of_a_scan_is_shown(practice: Practice) -> None:
    """Reading many files takes time: the scan reports that it checks them."""
    practice.photo(FIRST)
    told: list[Progress] = []
    practice.inbox().scan(on_progress=told.append)
    checked = [(one.done, one.total) for one in told if one.stage is Stage.CHECKING]
    assert checked == [(0, 1), (1, 1)]
