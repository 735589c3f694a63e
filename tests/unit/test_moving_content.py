"""What the bytes are decides whether a file is imported by itself, and when it was taken; it never stops a person."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

import intouch_import.repositories
import movies
import pictures
from intouch_import.database import connect
from intouch_import.media import Examiner
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.messages import Limits
from intouch_import.media.thumbnails import Thumbnails
from intouch_import.model import ContentCheck, Reason, Soundness, State, TakenFrom
from intouch_import.repositories.sql import SqlRepository
from intouch_import.repositories.tables import VERSION_TABLE
from miniature import NOW, jpeg
from pictures import EXE, HTML

if TYPE_CHECKING:
    from intouch_import.inbox import Inbox
    from intouch_import.model import StoredAttachment
    from intouch_import.reports import Outcome
    from miniature import Practice

AUTO = "10042_DRJ_20260131_142501"
TAKEN = datetime(2026, 1, 31, 14, 25, 1, tzinfo=UTC)


def with_exif(taken: bytes = b"2026:01:31 14:25:01\0", **texts: bytes) -> bytes:
    block = pictures.exif_block(taken=taken, **texts)
    return pictures.encoded(pictures.picture(), "JPEG", exif=b"Exif\0\0" + block)


def refreshed(practice: Practice, name: str, content: bytes, **options: Any) -> tuple[Inbox, Outcome]:
    """Put one file into the folder and refresh."""
    practice.photo(name, content)
    inbox = practice.inbox(**options)
    (outcome,) = inbox.refresh().outcomes
    return inbox, outcome


def saved(inbox: Inbox) -> Outcome:
    """Let a person save all there is."""
    (outcome,) = inbox.save(inbox.prepare(inbox.rows, patient="10042")).outcomes
    return outcome


def stored(inbox: Inbox) -> StoredAttachment:
    (only,) = inbox.repository.attachments("10042")  # type: ignore[attr-defined]
    return only


def changed(content: bytes) -> bytes:
    """Change a byte in the middle of a picture."""
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


@pytest.mark.parametrize(
    ("extension", "content", "reason", "soundness"),
    [
        ("jpg", HTML, Reason.CONTENT_NOT_AS_NAMED, Soundness.UNVERIFIED),
        ("jpg", EXE, Reason.CONTENT_NOT_AS_NAMED, Soundness.UNVERIFIED),
        ("jpg", b"%PDF-1.7\n%%EOF", Reason.CONTENT_NOT_AS_NAMED, Soundness.UNVERIFIED),
        ("jpg", pictures.whole()["jpeg"][1][:9000], Reason.CONTENT_CUT_SHORT, Soundness.DAMAGED),
        ("png", changed(pictures.whole()["png"][1]), Reason.CONTENT_DAMAGED, Soundness.DAMAGED),
        ("jpg", pictures.bomb_jpeg(60_000, 60_000), Reason.CONTENT_UNCHECKED, Soundness.UNVERIFIED),
        ("heic", pictures.whole()["jpeg"][1], Reason.CONTENT_NOT_AS_NAMED, Soundness.VERIFIED),
        ("jpg", pictures.whole()["heic"][1], Reason.CONTENT_NOT_AS_NAMED, Soundness.VERIFIED),
    ],
)
def test_doubt_waits_for_a_person_and_does_not_stop_one(
    practice: Practice, extension: str, content: bytes, reason: Reason, soundness: Soundness
) -> None:
    """It is not imported by itself; a person saves it all the same, and is told what is wrong with it."""
    inbox, outcome = refreshed(practice, f"{AUTO}.{extension}", content)
    assert (outcome.state, outcome.reason) == (State.WAITING, reason)
    assert outcome.content is not None
    assert (outcome.content.soundness, outcome.content.doubt) == (soundness, reason)
    (row,) = inbox.rows
    assert row.content == outcome.content
    done = saved(inbox)
    assert (done.state, done.reason, done.content) == (State.IMPORTED, Reason.CHOSEN, outcome.content)
    assert stored(inbox).soundness is soundness
    assert practice.left() == []


@pytest.mark.parametrize("label", ["jpeg", "lzw tiff", "heic", "animated gif", "j2k"])
def test_whole_pictures_are_imported_and_verified(practice: Practice, label: str) -> None:
    """A picture that decodes whole needs nobody."""
    extension, content = pictures.whole()[label]
    inbox, outcome = refreshed(practice, f"{AUTO}.{extension}", content)
    assert (outcome.state, outcome.reason) == (State.IMPORTED, Reason.CAPTURE_NAME)
    assert outcome.content is not None
    assert outcome.content.soundness is Soundness.VERIFIED
    assert stored(inbox).soundness is Soundness.VERIFIED


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("fpx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000)),
        ("pcd", pictures.photo_cd()),
        ("mp4", movies.movie_with(created=TAKEN)),
    ],
)
def test_what_cannot_be_verified_is_imported_and_marked(
    practice: Practice, extension: str, content: bytes
) -> None:
    """FlashPix, Photo CD and movies are not held back for want of a decoder."""
    inbox, outcome = refreshed(practice, f"{AUTO}.{extension}", content)
    assert outcome.state is State.IMPORTED
    assert stored(inbox).soundness is Soundness.UNVERIFIED


def test_the_name_counts_and_disagreement_is_kept(practice: Practice) -> None:
    """A camera that says otherwise than the name raises the flag of what is stored."""
    inbox, _ = refreshed(practice, f"{AUTO}.jpg", with_exif(b"2025:01:31 14:25:01\0"))
    found = stored(inbox)
    assert (found.taken_at, found.taken_from, found.times_disagree) == (TAKEN, TakenFrom.NAME, True)


def test_agreement_raises_no_flag(practice: Practice) -> None:
    """The same minute in name and Exif."""
    inbox, _ = refreshed(practice, f"{AUTO}.jpg", with_exif(b"2026:01:31 14:25:58\0"))
    assert not stored(inbox).times_disagree


@pytest.mark.parametrize(
    ("name", "content", "taken_at", "taken_from"),
    [
        ("IMG_1.jpg", with_exif(), TAKEN - timedelta(hours=11), TakenFrom.EXIF),
        ("IMG_1.jpg", with_exif(offset=b"-05:00\0"), TAKEN + timedelta(hours=5), TakenFrom.EXIF),
        (
            "IMG_1.mov",
            movies.movie_with(created=NOW, offset_date="2026-01-31T14:25:01+0100"),
            TAKEN - timedelta(hours=1),
            TakenFrom.QUICKTIME,
        ),
        ("IMG_1.mp4", movies.movie_with(created=TAKEN), TAKEN, TakenFrom.CONTAINER),
        ("IMG_1.jpg", jpeg(), None, None),
        ("IMG_1.jpg", with_exif(b"2026:04:05 02:30:00\0"), None, None),
    ],
)
def test_where_the_name_says_nothing_the_file_does(
    practice: Practice, name: str, content: bytes, taken_at: datetime | None, taken_from: TakenFrom | None
) -> None:
    """A person's save records when the camera says it was taken, and that the camera says so."""
    inbox, _ = refreshed(practice, name, content, zone="Australia/Sydney")
    assert saved(inbox).state is State.IMPORTED
    found = stored(inbox)
    assert (found.taken_at, found.taken_from) == (taken_at, taken_from)


@pytest.mark.parametrize(
    ("taken", "disagree"), [(b"2012:01:01 00:00:42\0", True), (b"2012:03:01 09:00:42\0", False)]
)
def test_a_clock_that_was_reset_is_marked_where_nothing_else_is_known(
    practice: Practice, taken: bytes, disagree: bool
) -> None:
    """A person's save of a photo whose camera lost its power records the doubt about the time."""
    inbox, _ = refreshed(practice, "IMG_1.jpg", with_exif(taken))
    saved(inbox)
    assert (stored(inbox).taken_from, stored(inbox).times_disagree) == (TakenFrom.EXIF, disagree)


def test_a_camera_that_knows_its_offset_settles_a_repeated_time(practice: Practice) -> None:
    """A name whose time came twice waits; the person's save records the instant that Exif names."""
    inbox, outcome = refreshed(
        practice,
        "10042_DRJ_20250406_023000.jpg",
        with_exif(b"2025:04:06 02:30:00\0", offset=b"+10:00\0"),
        zone="Australia/Sydney",
    )
    assert outcome.reason is Reason.TIME_REPEATED
    saved(inbox)
    found = stored(inbox)
    assert (found.taken_at, found.taken_from) == (datetime(2025, 4, 5, 16, 30, tzinfo=UTC), TakenFrom.EXIF)


def test_without_checks_only_the_ends_are_looked_at(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page under a photo's name still waits; nothing is decoded, and a person's file is not looked into."""

    def fail(*_args: object, **_options: object) -> None:
        raise AssertionError("nothing is decoded")

    monkeypatch.setattr(DecodingPool, "decode", fail)
    inbox, outcome = refreshed(practice, f"{AUTO}.jpg", HTML, check_content=False)
    assert (outcome.reason, outcome.content) == (Reason.CONTENT_NOT_AS_NAMED, None)
    monkeypatch.setattr("intouch_import.content.Content.edges", fail)
    assert saved(inbox).content is None
    found = stored(inbox)
    assert (found.soundness, found.taken_from, found.times_disagree) == (None, TakenFrom.NAME, False)


def test_an_examiner_of_ones_own(practice: Practice, tmp_path: Path) -> None:
    """A host brings its limits and its cache of thumbnails; browsing uses them too."""
    pool = DecodingPool(Limits(pixels=1000), workers=1)
    cache = Thumbnails(tmp_path / "thumbnails", px=32, pool=pool)
    examiner = Examiner(zone=ZoneInfo("UTC"), pool=pool, thumbnails=cache)
    inbox, outcome = refreshed(practice, f"{AUTO}.png", pictures.whole()["png"][1], check_content=examiner)
    assert outcome.reason is Reason.CONTENT_UNCHECKED
    tower = tmp_path / "tower"
    tower.mkdir()
    small = jpeg("small")
    (tower / "a.jpg").write_bytes(small)
    saved(inbox.browse(tower, patient="10042"))
    assert cache.get(stored(inbox).sha256) is not None
    pool.close()


def test_a_bug_in_front_of_odd_bytes_stops_nobody(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits as unchecked, a person can save it, and the log names the kind of error alone."""

    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError("10042 secret")

    monkeypatch.setattr(Examiner, "examine", fail)
    with caplog.at_level(logging.ERROR):
        inbox, outcome = refreshed(practice, f"{AUTO}.jpg", jpeg())
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.CONTENT_UNCHECKED)
    assert [record.message for record in caplog.records] == ["a content could not be examined"]
    assert saved(inbox).state is State.IMPORTED


def test_a_disk_that_fails_is_not_the_contents_fault(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that can't be read again fails, and may be tried again."""

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(5, "no")

    monkeypatch.setattr(Examiner, "examine", fail)
    _inbox, outcome = refreshed(practice, f"{AUTO}.jpg", jpeg())
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (State.FAILED, Reason.UNREADABLE, True)


def test_what_is_told_survives_json(practice: Practice) -> None:
    """An outcome's dictionary has the check in plain words; without a check it has none."""
    _inbox, outcome = refreshed(practice, f"{AUTO}.jpg", HTML)
    assert outcome.to_dict()["content"] == {
        "kind": "html",
        "soundness": "unverified",
        "doubt": "content_not_as_named",
        "text": "The content does not match the file extension. It is a web page.",
    }
    assert ContentCheck(kind="jpeg", soundness=Soundness.VERIFIED).text == "The content is verified."


def test_records_of_before_are_upgraded(tmp_path: Path) -> None:
    """A database of the first version opens, keeps what it has, and claims nothing about it."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = connect(url)
    versions = Path(intouch_import.repositories.__file__).with_name("schema") / "versions"
    first = {"__name__": "first"}
    exec((versions / "0001_records.py").read_text("utf-8"), first)
    with engine.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            first["upgrade"]()  # type: ignore[operator]
        connection.execute(sa.text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(sa.text(f"INSERT INTO {VERSION_TABLE} VALUES ('0001')"))
        connection.execute(sa.text("INSERT INTO intouch_patient VALUES ('10042', 'Ada', 1, NULL, 'ada')"))
        connection.execute(
            sa.text(
                "INSERT INTO intouch_attachment VALUES ('id', '10042', NULL, 'images', '', '', NULL, 'a.jpg',"
                " NULL, 1, 'sha', 'local', 'source', '', NULL, NULL, '2026-01-31T14:25:01+00:00')"
            )
        )
    engine.dispose()
    (tmp_path / "files" / "aa").mkdir(parents=True)
    with SqlRepository.open(url, files=tmp_path / "files") as records:
        (found,) = records.attachments("10042")
    assert (found.taken_from, found.times_disagree, found.soundness) == (None, False, None)
