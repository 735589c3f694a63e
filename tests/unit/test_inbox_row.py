"""A row keeps what was listed of its file, and gives it back."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from intouch_import.inbox.rows import Row
from intouch_import.model import EntryKind, Reason, SourceFile, State
from intouch_import.verdicts import screen, waiting

if TYPE_CHECKING:
    from miniature import Practice

WHOLE = SourceFile(
    name="Röntgen \udcff.jpg",
    size_bytes=9,
    modified_ns=1_700_000_000_123_456_789,
    version="2f-9-17",
    vendor_hash="md5:00ff",
    handle="01ABC!7",
)
BARE = SourceFile(name="a.jpg", size_bytes=0, version="")


@pytest.mark.parametrize("file", [WHOLE, BARE])
@pytest.mark.parametrize("kind", EntryKind)
def test_a_row_gives_back_the_file_that_was_listed(
    practice: Practice, file: SourceFile, kind: EntryKind
) -> None:
    """Whatever a location says of a file, and whatever kind of entry it is, the move gets it as it was listed."""
    listed = SourceFile(
        name=file.name,
        kind=kind,
        size_bytes=file.size_bytes,
        modified_ns=file.modified_ns,
        version=file.version,
        vendor_hash=file.vendor_hash,
        handle=file.handle,
    )
    row = Row(practice.source(), listed, waiting(file.name, Reason.UNEXPECTED))
    assert row.file == listed
    assert (row.name, row.size_bytes, row.version) == (file.name, file.size_bytes, file.version)
    assert row.modified_at == file.modified_at


def test_a_new_row_waits_or_is_ignored_as_its_verdict_says(practice: Practice) -> None:
    """Nothing has become of a file that was just listed."""
    hidden = SourceFile(name=".hidden", size_bytes=1, version="1")
    verdict = screen(hidden)
    assert verdict is not None
    ignored = Row(practice.source(), hidden, verdict)
    assert (ignored.state, ignored.reason) == (State.IGNORED, Reason.HIDDEN)
    row = Row(practice.source(), WHOLE, waiting(WHOLE.name, Reason.NO_CAPTURE_NAME))
    assert (row.state, row.reason) == (State.WAITING, Reason.NO_CAPTURE_NAME)
    found = (row.claim, row.patient, row.content, row.sha256, row.duplicate_of)
    assert (found, row.title, row.duplicate_elsewhere, row.settled) == ((None,) * 5, "", False, False)


def test_what_was_listed_costs_the_garbage_collector_nothing(practice: Practice) -> None:
    """Of 100,000 files that wait it looks at the rows, and not at what was listed of each."""
    row = Row(practice.source(), WHOLE, waiting(WHOLE.name, Reason.UNEXPECTED))
    gc.collect()
    kept = [held for held in gc.get_referents(row) if isinstance(held, tuple)]
    assert len(kept) == 1
    assert not gc.is_tracked(kept[0])
