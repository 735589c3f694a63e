"""Files that belong together in an inbox: one line, one save, one undo, one automatic import."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from intouch_import.errors import MixedDestinations, SelectionError
from intouch_import.inbox import DoubtKind, Severity, groups
from intouch_import.inbox.groups import GroupFinder, tie
from intouch_import.media.companions import find_companions
from intouch_import.model import CompanionRole, Reason, State
from intouch_import.sources.local import LocalSource
from miniature import HostRecords
from movies import box, movie_header

if TYPE_CHECKING:
    from intouch_import.inbox import Inbox, Row, SaveRequest
    from miniature import Practice

STEM = "10042_DRJ_20260131_142501"
OTHERS = "10043_DRJ_20260131_142501"
AAE = b'<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict/></plist>'
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
TAKEN = datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)
NAMES = ("IMG_1.HEIC", "IMG_1.JPG", "IMG_1.MOV", "IMG_1.AAE")


def photo(seed: int = 0, *, taken: datetime = TAKEN) -> bytes:
    exif = Image.Exif()
    exif._ifds[0x8769] = {0x9003: f"{taken:%Y:%m:%d %H:%M:%S}", 0x9011: "+00:00"}
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (seed % 256, 90, 120)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def movie(*, created: datetime = TAKEN, payload: bytes = bytes(1000)) -> bytes:
    index = movie_header(
        created_s=int((created - datetime(1904, 1, 1, tzinfo=UTC)).total_seconds()), duration_s=2
    )
    return box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + box(b"mdat", payload) + box(b"moov", index)


def live(practice: Practice, *, later: timedelta = timedelta(0)) -> Inbox:
    """Put a photo with a movie and edits, and another photo, into the folder, and list them."""
    practice.photo("IMG_1.JPG", photo(1))
    practice.photo("IMG_1.MOV", movie(created=TAKEN + later))
    practice.photo("IMG_1.AAE", AAE)
    practice.photo("IMG_2.JPG", photo(2))
    inbox = practice.inbox()
    inbox.refresh()
    return inbox


def row_of(inbox: Inbox, name: str) -> Row:
    return next(row for row in inbox.rows if row.name == name)


def found(inbox: Inbox) -> dict[str, tuple[str, str]]:
    return {row.name: (row.verdict.action.value, row.reason.value) for row in inbox.rows}


def names(request: SaveRequest) -> list[str]:
    return [row.name for row in request.rows]


def stored(practice: Practice, patient: str = "10042") -> dict[str, tuple[str, CompanionRole | None]]:
    with practice.records() as records:
        return {
            one.name: (one.destination.value, one.companion_role)
            for one in records.attachments(patient, sidecars=True)
        }


# --- the list


def test_a_row_knows_its_group(practice: Practice) -> None:
    """A photo stands for its movie and its sidecars, in words, and each of them knows the photo."""
    inbox = live(practice)
    owner = row_of(inbox, "IMG_1.JPG")
    assert owner.group is not None
    assert owner.group.summary == "+ movie, sidecar"
    assert {row.name: role for row, role in owner.group.parts.items()} == {
        "IMG_1.MOV": CompanionRole.MOVIE,
        "IMG_1.AAE": CompanionRole.SIDECAR,
    }
    assert [row.owner.name for row in inbox.rows] == ["IMG_1.JPG"] * 3 + ["IMG_2.JPG"]
    assert row_of(inbox, "IMG_2.JPG").group is None


def test_photos_weeks_apart_with_one_name_are_strangers(practice: Practice) -> None:
    """Cameras repeat their numbers: a movie of another day is not saved with a photo, and raises no doubt."""
    inbox = live(practice, later=timedelta(weeks=3))
    movie_row = row_of(inbox, "IMG_1.MOV")
    assert movie_row.owner is movie_row
    request = inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042", companions=False)
    assert not [doubt for doubt in request.doubts if "MOV" in doubt.text]
    with pytest.raises(MixedDestinations):
        inbox.prepare([row_of(inbox, "IMG_1.JPG"), movie_row], patient="10042")


def test_a_group_follows_the_folder(practice: Practice) -> None:
    """A file that arrives joins the group; when one leaves, or becomes another file, the group changes."""
    inbox = live(practice)
    practice.photo("IMG_1.xmp", XMP)
    inbox.refresh()
    group = row_of(inbox, "IMG_1.JPG").group
    assert group is not None
    assert group.summary == "+ movie, 2 sidecars"
    (practice.photos / "IMG_1.JPG").unlink()
    practice.photo("IMG_1.MOV", movie(created=TAKEN + timedelta(days=9)))
    inbox.refresh()
    assert found(inbox)["IMG_1.MOV"] == ("wait", "no_capture_name")
    assert row_of(inbox, "IMG_1.xmp").owner.name in ("IMG_1.MOV", "IMG_1.xmp")


def test_only_files_with_similar_names_are_read(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing reads the files that may belong together, once, and no other file."""
    for number in range(5):
        practice.photo(f"IMG_{number}.JPG")
    practice.photo("IMG_3.MOV", movie())
    read: list[str] = []
    kept = GroupFinder._facts_of
    monkeypatch.setattr(GroupFinder, "_facts_of", lambda self, row: read.append(row.name) or kept(self, row))
    inbox = practice.inbox()
    for _ in range(3):
        inbox.refresh()
    assert sorted(read) == ["IMG_3.JPG", "IMG_3.MOV"]
    practice.photo("IMG_9.JPG")
    inbox.refresh()
    assert len(read) == 2


def test_many_files_are_read_by_several_refreshes(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One refresh reads a limited number of files; the next one reads the others, although nothing changed."""
    monkeypatch.setattr("intouch_import.inbox.groups._READ_AT_ONCE", 2)
    for number in range(2):
        practice.photo(f"IMG_{number}.JPG", photo(number))
        practice.photo(f"IMG_{number}.MOV", movie(payload=bytes([number]) * 900))
    inbox = practice.inbox()
    grouped = []
    for _ in range(3):
        inbox.refresh()
        grouped.append(sum(row.owner is not row for row in inbox.rows))
    assert grouped == [1, 2, 2]


def test_a_location_that_reads_no_parts_decides_by_names(practice: Practice) -> None:
    """Where a part of a file can't be read, names with a time decide, and others are only possible."""

    class Whole(LocalSource):
        concurrency = 8

        def peek(self, file: Any, size_bytes: int) -> None:
            return None

    for name in ("20260131_142501.jpg", "20260131_142501.mp4", "IMG_1.JPG", "IMG_1.MOV"):
        practice.photo(name)
    inbox = practice.inbox(Whole(str(practice.photos)))
    inbox.refresh()
    assert row_of(inbox, "20260131_142501.mp4").owner.name == "20260131_142501.jpg"
    request = inbox.prepare([row_of(inbox, "IMG_1.JPG"), row_of(inbox, "IMG_1.MOV")], patient="10042")
    assert [(doubt.kind, doubt.severity) for doubt in request.doubts if "may belong" in doubt.text] == [
        (DoubtKind.COMPANION, Severity.NOTE)
    ]


# --- save


def test_a_save_takes_the_whole_group(practice: Practice) -> None:
    """One chosen photo is saved with its movie and its edits, each at its own destination, byte for byte."""
    inbox = live(practice)
    before = {name: (practice.photos / name).read_bytes() for name in practice.left()}
    request = inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042", title="Left arm")
    assert names(request) == ["IMG_1.JPG", "IMG_1.MOV", "IMG_1.AAE"]
    assert [row.name for row in request.chosen] == ["IMG_1.JPG"]
    assert request.warning is None
    assert request.summary.startswith("The image and 2 files that belong to it will be saved to Ada Marsh")
    report = inbox.save(request)
    assert (report.imported, report.closes) == (3, True)
    assert stored(practice) == {
        "IMG_1.JPG": ("images", None),
        "IMG_1.MOV": ("notes", CompanionRole.MOVIE),
        "IMG_1.AAE": ("notes", CompanionRole.SIDECAR),
    }
    with practice.records() as records:
        shown = records.attachments("10042")
        assert [one.name for one in shown] == ["IMG_1.JPG", "IMG_1.MOV"]
        owner = next(one for one in shown if one.name == "IMG_1.JPG")
        for one in records.attachments("10042", sidecars=True):
            assert one.companion_of in (None, owner.import_id)
            with records.open_attachment(one.id) as stream:
                assert stream.read() == before[one.name]
    assert practice.left() == ["IMG_2.JPG"]


@pytest.mark.parametrize("part", ["IMG_1.MOV", "IMG_1.AAE"])
def test_a_chosen_part_brings_its_photo(practice: Practice, part: str) -> None:
    """Whichever file of a group is chosen, the request has all of them."""
    inbox = live(practice)
    assert sorted(names(inbox.prepare(row_of(inbox, part), patient="10042"))) == sorted(
        ["IMG_1.JPG", "IMG_1.MOV", "IMG_1.AAE"]
    )


def test_a_choice_that_leaves_a_part_behind_is_doubted(practice: Practice) -> None:
    """A person may leave a part behind, and is asked about it."""
    inbox = live(practice)
    request = inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042", companions=False)
    (doubt,) = (doubt for doubt in request.doubts if doubt.kind is DoubtKind.COMPANION)
    assert doubt.severity is Severity.WARNING
    assert doubt.text == "IMG_1.MOV, IMG_1.AAE belong to it and will be left behind."
    assert inbox.save(request).imported == 1
    # What is left is the rest of the same group for as long as it is listed with its photo.
    rest = inbox.prepare(row_of(inbox, "IMG_1.MOV"), patient="10042")
    assert not [doubt for doubt in rest.doubts if doubt.kind is DoubtKind.COMPANION]
    assert inbox.save(rest).imported == 2
    assert stored(practice)["IMG_1.AAE"] == ("notes", CompanionRole.SIDECAR)


def test_a_part_that_cannot_be_saved_is_left_behind_with_a_doubt(practice: Practice) -> None:
    """The photo of an empty movie can be saved, and a doubt names the movie, which stays in the folder."""
    practice.photo(f"{STEM}.JPG")
    practice.photo(f"{STEM}.MOV", b"")
    inbox = practice.inbox(auto_import=False)
    inbox.refresh()
    request = inbox.prepare(row_of(inbox, f"{STEM}.JPG"), patient="10042")
    assert names(request) == [f"{STEM}.JPG"]
    assert "left behind" in (request.warning or "")


def test_images_and_documents_that_are_strangers_are_not_mixed(practice: Practice) -> None:
    """A group may have an image and a movie; another document still needs a save of its own."""
    inbox = live(practice)
    practice.photo("letter.pdf", b"%PDF-1.4\n%%EOF\n")
    inbox.refresh()
    with pytest.raises(MixedDestinations) as caught:
        inbox.prepare([row_of(inbox, "IMG_1.JPG"), row_of(inbox, "letter.pdf")], patient="10042")
    assert (caught.value.images, caught.value.others) == (("IMG_1.JPG",), ("letter.pdf",))
    request = inbox.prepare([row_of(inbox, "IMG_1.JPG"), row_of(inbox, "IMG_2.JPG")], patient="10042")
    assert request.count == 4
    assert "2 images and 2 files that belong to them" in (request.warning or "")


# --- undo and reassign


@pytest.mark.parametrize("asked", ["IMG_1.JPG", "IMG_1.MOV", "IMG_1.AAE"])
def test_an_undo_takes_the_whole_group(practice: Practice, asked: str) -> None:
    """Whichever file of a group is undone, all are put back; the others in the record stay."""
    inbox = live(practice)
    report = inbox.save(
        inbox.prepare([row_of(inbox, "IMG_1.JPG"), row_of(inbox, "IMG_2.JPG")], patient="10042")
    )
    outcome = inbox.undo(next(one for one in report.outcomes if one.name == asked))
    assert (outcome.name, outcome.state) == (asked, State.WAITING)
    assert [one.state for one in outcome.companions] == [State.WAITING] * 2
    assert practice.left() == ["IMG_1.AAE", "IMG_1.JPG", "IMG_1.MOV"]
    assert list(stored(practice)) == ["IMG_2.JPG"]
    inbox.refresh()
    assert len(inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10043").rows) == 3


def test_an_undo_that_fails_at_a_part_is_no_success(practice: Practice) -> None:
    """If a part can't be put back, the photo stays in the record, and the outcome names the part."""
    inbox = live(practice)
    report = inbox.save(inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042"))
    practice.photo("IMG_1.MOV", b"another file")
    wanted = next(one for one in report.outcomes if one.name == "IMG_1.JPG")
    outcome = inbox.undo(wanted)
    assert (outcome.name, outcome.state, outcome.reason) == ("IMG_1.MOV", State.FAILED, Reason.NAME_TAKEN)
    assert "IMG_1.JPG" in stored(practice)
    (practice.photos / "IMG_1.MOV").unlink()
    assert inbox.undo(wanted).state is State.WAITING
    assert stored(practice) == {}


def test_a_reassignment_takes_the_whole_group(practice: Practice) -> None:
    """All files of a group move into the right record; asked for a photo alone, it moves with its edits."""
    inbox = live(practice)
    report = inbox.save(inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042"))
    photo_outcome = next(one for one in report.outcomes if one.name == "IMG_1.JPG")
    outcome = inbox.reassign(photo_outcome, patient="10043")
    assert (outcome.state, len(outcome.companions)) == (State.IMPORTED, 2)
    assert (sorted(stored(practice)), sorted(stored(practice, "10043"))) == (
        [],
        ["IMG_1.AAE", "IMG_1.JPG", "IMG_1.MOV"],
    )
    moved = inbox.reassign(photo_outcome, patient="10042", companions=False)
    assert [one.name for one in moved.companions] == ["IMG_1.AAE"]
    assert sorted(stored(practice)) == ["IMG_1.AAE", "IMG_1.JPG"]
    # What is in another record by now does not follow.
    assert [one.name for one in inbox.undo(photo_outcome).companions] == ["IMG_1.AAE"]
    assert sorted(stored(practice, "10043")) == ["IMG_1.MOV"]


def test_edits_are_not_in_a_record_without_their_photo(practice: Practice) -> None:
    """Nobody would see them there: they can't be reassigned alone, and an undo of the photo takes them."""
    inbox = live(practice)
    report = inbox.save(inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042"))
    by_name = {one.name: one for one in report.outcomes}
    with pytest.raises(SelectionError, match="record of its photo"):
        inbox.reassign(by_name["IMG_1.AAE"], patient="10043", companions=False)
    assert inbox.reassign(by_name["IMG_1.AAE"], patient="10042", companions=False).state is State.IMPORTED
    assert inbox.undo(by_name["IMG_1.JPG"], companions=False).state is State.WAITING
    assert sorted(stored(practice)) == ["IMG_1.MOV"]


def test_records_that_find_no_companions_undo_one_file(practice: Practice) -> None:
    """Without `companions_of`, an undo of a movie leaves its photo and its edits together in the record."""

    class Host(HostRecords):
        def withdraw(self, attachment_id: str) -> None:
            self._inner.withdraw(attachment_id)

    live(practice)
    inbox = practice.inbox(records=Host(practice.records()), ledger=practice.root / "ledger.db")
    inbox.refresh()
    report = inbox.save(inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042"))
    outcome = inbox.undo(next(one for one in report.outcomes if one.name == "IMG_1.MOV"))
    assert (outcome.state, outcome.companions) == (State.WAITING, ())
    assert sorted(stored(practice)) == ["IMG_1.AAE", "IMG_1.JPG"]


def test_edits_go_where_their_photo_goes(practice: Practice) -> None:
    """If the photo changes before the save, its edits wait with it, and then go into its record."""
    inbox = live(practice)
    request = inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10042")
    practice.photo("IMG_1.JPG", photo(77))
    report = inbox.save(request)
    assert {one.name: one.reason for one in report.outcomes} == {
        "IMG_1.JPG": Reason.CHANGED,
        "IMG_1.MOV": Reason.CHOSEN,
        "IMG_1.AAE": Reason.COMPANION_WAITS,
    }
    inbox.refresh()
    inbox.save(inbox.prepare(row_of(inbox, "IMG_1.JPG"), patient="10043"))
    assert stored(practice) == {"IMG_1.MOV": ("notes", CompanionRole.MOVIE)}
    assert sorted(stored(practice, "10043")) == ["IMG_1.AAE", "IMG_1.JPG"]


def test_a_group_that_no_transaction_takes_is_no_group(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more files than one transaction takes, each is on its own: no group is stored in part."""
    monkeypatch.setattr(groups, "MOST_PARTS", 1)
    inbox = live(practice)
    assert [(row.name, row.owner.name, row.reason.value) for row in inbox.rows] == [
        ("IMG_1.AAE", "IMG_1.AAE", "sidecar_alone"),
        ("IMG_1.JPG", "IMG_1.JPG", "no_capture_name"),
        ("IMG_1.MOV", "IMG_1.MOV", "no_capture_name"),
        ("IMG_2.JPG", "IMG_2.JPG", "no_capture_name"),
    ]


# --- automatic import


def test_an_automatic_import_takes_the_sidecars_and_the_movie_along(practice: Practice) -> None:
    """A capture-named photo is imported with what belongs to it; sidecars are not listed in the record."""
    practice.photo(f"{STEM}.jpg", photo(1))
    practice.photo(f"{STEM}.mov", movie())
    practice.photo(f"{STEM}.AAE", AAE)
    practice.photo(f"{STEM}.jpg.xmp", XMP)
    inbox = practice.inbox()
    assert inbox.scan() == []
    assert {action for action, _ in found(inbox).values()} == {"import"}
    report = inbox.refresh()
    assert (report.imported, report.closes) == (4, True)
    assert stored(practice) == {
        f"{STEM}.jpg": ("images", None),
        f"{STEM}.mov": ("notes", CompanionRole.MOVIE),
        f"{STEM}.AAE": ("notes", CompanionRole.SIDECAR),
        f"{STEM}.jpg.xmp": ("notes", CompanionRole.SIDECAR),
    }
    with practice.records() as records:
        assert {one.provider_id for one in records.attachments("10042", sidecars=True)} == {"DRJ"}


@pytest.mark.parametrize("extension", ["AAE", "xmp", "json", "jpg.xmp"])
def test_a_sidecar_alone_waits(practice: Practice, extension: str) -> None:
    """A sidecar is never imported alone; staff can save it deliberately."""
    practice.photo(f"{STEM}.{extension}", XMP)
    inbox = practice.inbox()
    inbox.refresh()
    (row,) = inbox.rows
    assert (row.state, row.reason) == (State.WAITING, Reason.SIDECAR_ALONE)
    request = inbox.prepare(row, patient="10042")
    assert [doubt.kind for doubt in request.doubts] == [DoubtKind.COMPANION]
    assert inbox.save(request).imported == 1
    assert stored(practice) == {row.name: ("notes", None)}


@pytest.mark.parametrize("automatic", [True, False])
def test_a_sidecar_that_comes_after_its_photo_waits(practice: Practice, *, automatic: bool) -> None:
    """When the photo has been imported, a sidecar that arrives later waits for a person."""
    practice.photo(f"{STEM}.jpg")
    inbox = practice.inbox(auto_import=automatic)
    inbox.refresh()
    if not automatic:
        inbox.save(inbox.prepare(row_of(inbox, f"{STEM}.jpg"), patient="10042"))
    practice.photo(f"{STEM}.xmp", XMP)
    inbox.refresh()
    inbox.refresh()
    assert found(inbox) == {f"{STEM}.xmp": ("wait", "sidecar_alone")}


@pytest.mark.parametrize(
    ("files", "holds"),
    [
        ({f"{STEM}.mov": b""}, "empty"),
        ({f"{STEM}.mov": b"<!doctype html><html></html>"}, "content_not_as_named"),
        ({f"{STEM}.mov": movie()[:-40]}, "content_cut_short"),
        ({f"{STEM}.jpg.xmp": b""}, "empty"),
        ({f".{STEM}.mov.icloud": b"x"}, None),
    ],
)
def test_a_group_waits_for_each_of_its_files(
    practice: Practice, files: dict[str, bytes], holds: str | None
) -> None:
    """If one file of a group must wait, the others wait with it, and the reason names that file."""
    practice.photo(f"{STEM}.jpg", photo(1))
    practice.photo(f"{STEM}.AAE", AAE)
    for name, content in files.items():
        practice.photo(name, content)
    inbox = practice.inbox()
    for _ in range(2):
        inbox.refresh()
    reasons = {name: reason for name, (_, reason) in found(inbox).items()}
    (part,) = files
    if holds is None:
        assert reasons == {part: "not_downloaded"}  # its name does not say that it belongs to the photo
        return
    assert reasons == {f"{STEM}.jpg": "companion_waits", f"{STEM}.AAE": "companion_waits", part: holds}
    assert [row.name for row in row_of(inbox, f"{STEM}.jpg").held_by] == [part]
    assert stored(practice) == {}
    practice.photo(part, movie() if part.endswith("mov") else XMP)
    inbox.refresh()
    assert len(stored(practice)) == 3


def test_a_movie_with_another_patients_name_is_not_taken_along(practice: Practice) -> None:
    """Files whose names identify two patients are not imported as one group."""
    practice.photo(f"{STEM}.jpg", photo(1))
    practice.photo(f"{OTHERS}.mov", movie())
    inbox = practice.inbox()
    inbox.refresh()
    assert sorted(stored(practice)) == [f"{STEM}.jpg"]
    assert sorted(stored(practice, "10043")) == [f"{OTHERS}.mov"]


def test_a_group_of_which_one_name_identifies_nobody_else_follows(practice: Practice) -> None:
    """A photo whose name identifies an unknown patient keeps its sidecars waiting, with their own reasons."""
    stem = "99999_DRJ_20260131_142501"
    practice.photo(f"{stem}.jpg", photo(1))
    practice.photo(f"{stem}.jpg.xmp", XMP)
    inbox = practice.inbox()
    inbox.refresh()
    assert found(inbox) == {
        f"{stem}.jpg": ("wait", "patient_unknown"),
        f"{stem}.jpg.xmp": ("wait", "no_capture_name"),
    }


def test_a_file_of_an_extension_that_is_not_allowed_holds_nothing(practice: Practice) -> None:
    """Sidecars that the practice does not allow stay where they are, and the photo is imported."""
    practice.photo(f"{STEM}.jpg", photo(1))
    practice.photo(f"{STEM}.AAE", AAE)
    inbox = practice.inbox(allowed_extensions={".jpg"})
    inbox.refresh()
    assert list(stored(practice)) == [f"{STEM}.jpg"]
    assert found(inbox) == {f"{STEM}.AAE": ("wait", "extension_not_allowed")}


# --- which names are compared


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("IMG_1234.HEIC", "IMG_E1234.HEIC"),
        ("IMG_1234.CR2", "img_1234.cr2.xmp"),
        ("IMG_1234.jpg", "IMG_1234-edited.jpg"),
        ("IMG_1234.jpg", "IMG_1234~2.jpg"),
        ("GX010123.MP4", "GL010123.LRV"),
        ("photo.jpg", "Photo.MOV"),
        ("Ä.jpg", "a\N{COMBINING DIAERESIS}.mov"),
        ("00000IMG_00000_BURST20190101120000123_COVER.jpg", "00001IMG_00001_BURST20190101120000123.jpg"),
        ("x" * 50 + ".jpg", "x" * 46 + ".json"),  # Google Takeout cuts names
    ],
)
def test_names_that_may_belong_together_are_compared(practice: Practice, name: str, other: str) -> None:
    """The quick comparison of all names of a listing finds every pair that the rules may join."""
    for each in (name, other, "IMG_77.jpg", "letter.pdf"):
        practice.photo(each)
    inbox = practice.inbox(auto_import=False)
    inbox.refresh()
    finder = GroupFinder(zone=inbox.zone, allowed=None)
    assert finder._candidates(inbox.rows) == {name, other}


def test_a_file_that_cannot_be_read_stops_no_listing(practice: Practice) -> None:
    """If the files of a group can't be read now, they are listed, and their names decide."""

    class Failing(LocalSource):
        def peek(self, file: Any, size_bytes: int) -> Any:
            raise OSError("no")

    practice.photo("20260131_142501.jpg")
    practice.photo("20260131_142501.mp4")
    inbox = practice.inbox(Failing(str(practice.photos)))
    assert inbox.refresh().problems == ()
    assert inbox.rows[1].owner is inbox.rows[0]


def test_a_sidecar_whose_photo_has_just_gone_is_alone(practice: Practice) -> None:
    """If the photo of a group vanishes while the list is made, its sidecar belongs to no row."""
    inbox = live(practice)
    names_before = dict.fromkeys(row.name for row in inbox.rows)
    shelf = {row.name: row for row in inbox.rows if row.name != "IMG_1.JPG"}
    tied = tie(find_companions(names_before), shelf)
    sidecar = shelf["IMG_1.AAE"]
    assert sidecar in tied
    assert sidecar.group is not None
    assert sidecar.group.is_orphan
