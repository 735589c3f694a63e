"""An undo while other workstations move the photo: one copy is left, wherever the photo came from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import secrets
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scenes import memory

from contract import places
from intouch_import.errors import SelectionError
from intouch_import.model import State
from intouch_import.sources import open_source
from intouch_import.testing import FsspecPlace, Place
from miniature import PATIENTS, Practice, jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.inbox import Inbox
    from services.s3 import S3Server

# A few by default; `nox -s races` runs 2,000 at each location.
RACES = int(os.environ.get("INTOUCH_UNDO_RACES", "3"))


def s3(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """A folder of a bucket: the version is a digest of the content, and a removal goes by name."""
    import s3fs

    server: S3Server = request.getfixturevalue("s3_server")
    bucket = f"photos-{secrets.token_hex(4)}"
    filesystem = s3fs.S3FileSystem(**server.options)
    filesystem.mkdir(bucket)
    filesystem.touch(f"{bucket}/new/.keep")

    def opened(**options: object) -> object:
        return open_source(f"s3://{bucket}/new", **server.options, **options)

    return lambda: FsspecPlace(filesystem, f"{bucket}/new", opened=opened)


KINDS = [places.local, places.azure, places.dropbox, places.onedrive_business, s3, places.sftp]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made = request.param(request)()
    yield made
    made.close()


@pytest.fixture
def clinic() -> Iterator[Practice]:
    with tempfile.TemporaryDirectory(prefix="intouch-race-", dir=memory()) as root:
        practice = Practice(Path(root))
        with practice.records() as records:
            records.add_patients(PATIENTS)
        yield practice


def undo(inbox: Inbox, import_id: str, saved: threading.Event, number: int) -> str:
    """Undo again and again, from before the photo is stored. Return how it ended."""
    refused = False
    while True:
        over = saved.is_set()
        with contextlib.suppress(SelectionError):  # not stored yet
            outcome = inbox.undo(import_id)
            if outcome.state is State.WAITING:
                return "undone, after a refusal" if refused else "undone"
            refused = True
            if number % 4 > 1:
                inbox.refresh()  # finishes the move here, too
        if over and (number % 2 or not refused):
            return "moved"
        time.sleep(random.random() / 200)


def test_an_undo_during_a_move_loses_nothing(
    place: Place, clinic: Practice, request: pytest.FixtureRequest
) -> None:
    """However the two meet, the photo is in its folder or in the record, once."""
    counts: Counter[str] = Counter(lost=0, twice=0)
    began_s = time.monotonic()
    with clinic.records() as records, clinic.records() as others:
        mover = clinic.inbox(place.open(source_id="box"), records=records, check_content=False)
        undoer = clinic.inbox(place.open(source_id="box"), records=others, check_content=False)
        for number in range(RACES):
            name, content = f"IMG_{number:05}.jpg", jpeg(str(number))
            place.write(name, content)
            mover.refresh()
            (row,) = [row for row in mover.rows if row.name == name]
            saved, ends = threading.Event(), []
            thread = threading.Thread(
                target=lambda row=row, saved=saved, ends=ends, number=number: ends.append(
                    undo(undoer, row.import_id, saved, number)
                )
            )
            thread.start()
            mover.save(mover.prepare([row], patient="10042"))
            saved.set()
            thread.join(60)
            counts.update(ends or ["failed"])
            digest = hashlib.sha256(content).hexdigest()

            def copies(name: str = name, content: bytes = content, digest: str = digest) -> int:
                stored = records.find_by_digest([digest]).get(digest, ())
                whole = []
                for one in stored:
                    with records.open_attachment(one.id) as file:
                        whole.append(file.read() == content)
                return (place.read(name) == content) + sum(whole)

            left = copies()
            if left > 1:  # a file that could not be removed leaves its source at the next refresh
                mover.refresh()
                left = copies()
            counts["lost"] += left == 0
            counts["twice"] += left > 1
            if place.read(name) is not None:
                place.delete(name)
        assert mover.ledger.verify() == []
    print(f"{request.node.callspec.id}: {RACES} races in {time.monotonic() - began_s:.0f} s: {dict(counts)}")
    assert (counts["lost"], counts["twice"], counts["failed"]) == (0, 0, 0)


def test_a_file_that_is_put_back_has_its_time_where_the_location_allows_it(
    place: Place, request: pytest.FixtureRequest
) -> None:
    """Local and SFTP folders and Dropbox keep the time, in whole seconds at least; everywhere the file is whole."""
    at = datetime(2017, 3, 4, 5, 6, 7, tzinfo=UTC)
    with place.open(source_id="box") as source:
        there = source.put_back("a.jpg", [b"one", b"two"], modified_at=at)
        seen = source.look("a.jpg")
        assert seen is not None
        assert seen.version == there.version
    keeps = request.node.callspec.id in {"local", "sftp", "dropbox"}
    assert (seen.modified_at == at) is keeps
    assert place.read("a.jpg") == b"onetwo"
