"""Files that belong together are migrated together."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from intouch_import import migration
from intouch_import.errors import ConfigError, FileUnreadable
from intouch_import.exclusions import Exclusions
from intouch_import.migration.companions import Decision, Grouping, decide_together
from intouch_import.model import Action, CompanionRole, Destination, Reason
from intouch_import.testing import MemoryFolder
from intouch_import.testing.memory import MemorySource
from migrating import MARSH, OKAFOR, Archive
from miniature import jpeg
from movies import TAKEN, movie_with

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.model import SourceFile
    from intouch_import.repositories.sql import SqlRepository

MOVIE = movie_with(created=TAKEN, size=(64, 48))
IMPORTED = {"imported": 0, "duplicate": 0, "waiting": 0, "ignored": 0, "failed": 0, "not yet": 0}


def photo(seed: int = 1) -> bytes:
    """Make a JPEG that was taken when `MOVIE` was."""
    exif = Image.Exif()
    exif._ifds[0x8769] = {0x9003: f"{TAKEN:%Y:%m:%d %H:%M:%S}", 0x9011: "+00:00"}
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (40 * seed, 250 - 40 * seed, 7)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def lay_set(archive: Archive, folder: str, number: int = 1) -> list[str]:
    """Write a photo with its movie and two sidecars; return their names."""
    names = [f"IMG_{number}.{ending}" for ending in ("JPG", "MOV", "AAE", "JPG.json")]
    title = {"title": names[0], "photoTakenTime": {}}
    for name, content in zip(
        names, (photo(number), MOVIE + bytes(number), b"<plist/>", json.dumps(title).encode()), strict=True
    ):
        archive.lay(f"{folder}/{name}", content)
    return names


def held(records: SqlRepository, patient: str) -> dict[str, str | None]:
    """Return what a record has: names, and the name of the file that each belongs to."""
    stored = records.attachments(patient, sidecars=True)
    names = {one.import_id: one.name for one in stored}
    return {one.name: one.companion_of and names[one.companion_of] for one in stored}


def test_sidecars_follow_their_photo_and_are_no_notes(tmp_path: Path) -> None:
    """Photo, movie and sidecars go into one record, byte for byte; staff see the photo and the movie."""
    archive = Archive(tmp_path)
    first, second = lay_set(archive, MARSH), lay_set(archive, OKAFOR, 2)
    archive.lay(f"{MARSH}/alone.jpg")
    records = archive.records()
    plan = archive.plan(records=records)

    certificate = plan.run(records).wait().certificate

    assert certificate is not None
    assert certificate.counts == IMPORTED | {"imported": 9}
    assert certificate.closes
    assert held(records, "10042") == {**dict.fromkeys(first, first[0]), first[0]: None, "alone.jpg": None}
    assert held(records, "10043") == {**dict.fromkeys(second, second[0]), second[0]: None}
    shown = {one.name: one.destination for one in records.attachments("10043")}
    assert shown == {second[0]: Destination.IMAGES, second[1]: Destination.NOTES}
    (owner,) = (one for one in records.attachments("10043") if one.name == second[0])
    roles = {
        one.name: one.companion_role for one in records.companions_of([owner.import_id])[owner.import_id]
    }
    assert roles == {
        second[1]: CompanionRole.MOVIE,
        second[2]: CompanionRole.SIDECAR,
        second[3]: CompanionRole.SIDECAR,
    }
    assert not [file for file in archive.disk.rglob("*") if file.is_file()]


def test_sidecars_are_left_out_by_a_setting(tmp_path: Path) -> None:
    """With ``sidecars="leave"`` they stay in the archive, and the certificate counts them."""
    archive = Archive(tmp_path)
    names = lay_set(archive, MARSH)
    archive.lay(f"{MARSH}/lost.xmp", b"<x/>")
    records = archive.records()

    plan = archive.plan(records=records, sidecars="leave")
    certificate = plan.run(records).wait().certificate

    assert certificate is not None
    assert certificate.counts == IMPORTED | {"imported": 2, "ignored": 3}
    assert certificate.closes
    assert {one["reason"]: one["files"] for one in certificate.values["reasons"]}["sidecars_left"] == 3
    assert held(records, "10042") == {names[0]: None, names[1]: names[0]}
    with pytest.raises(ConfigError):
        archive.plan(records=records, sidecars="drop", to=tmp_path / "other")


def test_a_sidecar_waits_with_its_photo(tmp_path: Path) -> None:
    """What belongs to a photo that waits is not filed by itself, whichever way the photo came to wait."""
    archive = Archive(tmp_path)
    for folder in (MARSH, OKAFOR):  # the same photo of two patients
        archive.lay(f"{folder}/IMG_1.JPG", photo())
        archive.lay(f"{folder}/IMG_1.xmp", f"<x>{folder}</x>".encode())
    archive.lay(f"{MARSH}/IMG_2.JPG", photo(2)[:-400])
    archive.lay(f"{MARSH}/IMG_2.AAE", b"<plist/>")
    archive.lay("unknown/IMG_3.JPG", photo(3))
    archive.lay("unknown/IMG_3.AAE", b"<plist/>")
    records = archive.records()
    plan = archive.plan(records=records)

    certificate = plan.run(records).wait().certificate

    assert certificate is not None
    assert certificate.counts == IMPORTED | {"waiting": 8}
    assert held(records, "10042") == held(records, "10043") == {}
    reasons = {one["reason"]: one["files"] for one in certificate.values["reasons"]}
    assert reasons["companion_waits"] == 4

    # A person decides about the photo: its sidecar follows in the next run.
    plan.override({"path": f"{MARSH}/IMG_2.JPG"}, accept_content=True)
    assert plan.override({"name": "IMG_3.JPG"}, patient="10043") == 2
    plan.run(records).wait()
    assert held(records, "10042") == {"IMG_2.JPG": None, "IMG_2.AAE": "IMG_2.JPG"}
    assert held(records, "10043") == {"IMG_3.JPG": None, "IMG_3.AAE": "IMG_3.JPG"}


def test_a_sidecar_without_its_photo_waits_for_a_reason_of_its_own(tmp_path: Path) -> None:
    """Orphans, and sidecars that fit several files, are not imported, and can't be given to a patient alone."""
    archive = Archive(tmp_path)
    archive.lay(f"{MARSH}/IMG_1.AAE", b"<plist/>")
    archive.lay(f"{MARSH}/IMG_2.JPG", photo())
    archive.lay(f"{MARSH}/IMG_2.MOV", movie_with(created=TAKEN.replace(month=3), size=(64, 48)))
    archive.lay(f"{MARSH}/IMG_2.xmp", b"<x/>")
    records = archive.records()
    plan = archive.plan(records=records)

    assert {row.name: row.reason for row in plan.rows({"verdict": "wait"})} == {
        "IMG_1.AAE": Reason.SIDECAR_ALONE,
        "IMG_2.xmp": Reason.SIDECAR_ALONE,
    }
    certificate = plan.run(records).wait().certificate
    assert certificate is not None
    assert certificate.counts == IMPORTED | {"imported": 2, "waiting": 2}
    assert held(records, "10042") == {"IMG_2.JPG": None, "IMG_2.MOV": None}
    assert plan.override({"reason": "sidecar_alone"}, leave_out=True) == 2


def test_an_override_of_a_photo_is_for_all_that_belongs_to_it(tmp_path: Path) -> None:
    """A photo takes its movie and its sidecars along; a sidecar can't be given to another patient alone."""
    archive = Archive(tmp_path)
    names = lay_set(archive, MARSH)
    records = archive.records()
    plan = archive.plan(records=records)

    assert plan.override({"name": "*.AAE"}, patient="10043") == 0
    assert plan.override({"name": names[0]}, patient="10043") == 4
    assert plan.counts("patient") == {"10043": 4}
    plan.run(records).wait()
    assert held(records, "10043") == {**dict.fromkeys(names, names[0]), names[0]: None}

    assert [row.to_dict()["owner"] for row in plan.rows()] == [None, 0, 0, 0]
    assert [row.role for row in plan.rows({"role": "movie"})] == [CompanionRole.MOVIE]


def test_a_movie_that_a_person_gives_to_another_patient_is_on_its_own(tmp_path: Path) -> None:
    """No attachment belongs to one in another patient's record."""
    archive = Archive(tmp_path)
    names = lay_set(archive, MARSH)
    records = archive.records()
    plan = archive.plan(records=records)
    assert plan.override({"role": "movie"}, patient="10043") == 1
    plan.run(records).wait()
    assert held(records, "10043") == {names[1]: None}
    assert held(records, "10042") == {names[0]: None, names[2]: names[0], names[3]: names[0]}


@pytest.mark.parametrize("listed", [("IMG_1.JPG",), ("IMG_1.MOV",), ("IMG_1.JPG", "IMG_1.MOV")])
def test_one_line_of_a_list_is_enough_for_a_photo_and_its_movie(
    tmp_path: Path, listed: tuple[str, ...]
) -> None:
    """Whichever of them the list names, all go to that patient; the list need not name the sidecars."""
    archive = Archive(tmp_path)
    names = lay_set(archive, "2021")
    rule = _list(tmp_path, [(f"2021/{name}", "10042") for name in listed])
    records = archive.records()
    plan = archive.plan(rule, records=records)

    assert plan.counts() == {"import": 4}
    plan.run(records).wait()
    assert held(records, "10042") == {**dict.fromkeys(names, names[0]), names[0]: None}


def test_rules_that_contradict_about_one_photo_are_a_doubt(tmp_path: Path) -> None:
    """If the photo and its movie are listed for different patients, all that belongs together waits."""
    archive = Archive(tmp_path)
    lay_set(archive, "2021")
    rule = _list(tmp_path, [("2021/IMG_1.JPG", "10042"), ("2021/IMG_1.MOV", "10043")])
    plan = archive.plan(rule, records=archive.records())

    assert plan.counts("reason") == {"companions_differ": 2, "companion_waits": 2}


def test_groups_at_the_edges_of_partitions_stay_together(tmp_path: Path) -> None:
    """However many files are before a group, its files are imported once, with their owner."""
    archive = Archive(tmp_path)
    for number in range(90):
        archive.lay(f"{MARSH}/IMG_{number:03}.JPG", jpeg(str(number)))
        for ending in ("AAE", "xmp", "JPG.json", "thm")[: number % 4]:
            archive.lay(f"{MARSH}/IMG_{number:03}.{ending}", f"{number} {ending}".encode())
    records = archive.records()
    plan = archive.plan(records=records)
    orphans = plan.counts("reason").get("sidecar_alone", 0)

    first = plan.run(records).wait().certificate
    again = plan.run(records).wait().certificate

    assert first is not None
    assert again is not None
    assert len(plan) > 200
    assert first.counts == again.counts == IMPORTED | {"imported": len(plan) - orphans, "waiting": orphans}
    stored = held(records, "10042")
    assert all(
        (owner is None) if name.endswith(".JPG") else name.startswith((owner or "?").partition(".")[0])
        for name, owner in stored.items()
    )
    assert plan.override({"folder": MARSH}, leave_out=True) == orphans


def _decision(patient: str | None, reason: Reason = Reason.LISTED, **values: bool) -> Decision:
    verdict = Action.IMPORT if reason is Reason.LISTED else Action.WAIT
    return Decision(verdict, reason, patient, "DRJ", **values)


A, B = _decision("10042"), _decision("10043")
UNNAMED = _decision(None, Reason.NOT_LISTED, is_unnamed=True)
DOUBTFUL = _decision("10042", Reason.PATIENT_INACTIVE)
TWICE = _decision(None, Reason.LISTED_TWICE)
STORED = Decision(Action.FINISH, Reason.ALREADY_STORED, "10042", None, is_stored=True)
PUT_BACK = Decision(Action.WAIT, Reason.REAPPEARED, "10042", None, is_stored=True)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ([A, A, B], ["listed", "listed", "companion"]),
        ([UNNAMED, A, UNNAMED], ["companion", "listed", "companion"]),
        ([UNNAMED, UNNAMED, A], ["not_listed", "not_listed", "companion_waits"]),
        ([A, B, A], ["companions_differ", "companions_differ", "companion_waits"]),
        ([DOUBTFUL, A, A], ["patient_inactive", "companion_waits", "companion_waits"]),
        ([A, TWICE, A], ["companion_waits", "listed_twice", "companion_waits"]),
        ([UNNAMED, TWICE, A], ["not_listed", "listed_twice", "companion_waits"]),
        ([STORED, UNNAMED, B], ["already_stored", "companion", "companion"]),
        ([STORED, B, B], ["already_stored", "companions_differ", "companion"]),
        ([PUT_BACK, A, A], ["reappeared", "listed", "companion_waits"]),
        ([A, A, STORED], ["listed", "listed", "already_stored"]),
    ],
)
def test_files_that_belong_together_are_decided_together(group: list[Decision], expected: list[str]) -> None:
    """A photo, its movie and its sidecar: what one of them says, and every doubt about one of the first two, is for all."""
    roles = (None, CompanionRole.MOVIE, CompanionRole.SIDECAR)
    found = decide_together(list(zip(group, roles, strict=True)))

    assert [one.reason for one in found] == expected
    going = {one.patient for one in found if one.verdict in (Action.IMPORT, Action.FINISH)}
    assert len(going) < 2


def _list(folder: Path, lines: list[tuple[str, str]]) -> migration.ManifestRule:
    path = folder / "list.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("File", "Patient"), *lines])
    return migration.ManifestRule(path=path, columns={"path": "File", "patient": "Patient"})


class _WholeFiles(MemorySource):
    """A location that can't read a part of a file."""

    def peek(self, file: SourceFile, size_bytes: int) -> None:  # type: ignore[override]
        """Read nothing."""


class _Unreadable(_WholeFiles):
    def fetch(self, file: SourceFile, **_options: object) -> Any:
        raise FileUnreadable("the file could not be read")


@pytest.mark.parametrize(("kind", "expected"), [(MemorySource, 1), (_WholeFiles, 1), (_Unreadable, 0)])
def test_a_location_that_reads_whole_files_only_finds_the_same_groups(
    kind: type[MemorySource], expected: int
) -> None:
    """Small files are read as a whole, so that photo and movie are found; what can't be read is no companion."""
    folder = MemoryFolder()
    folder.write("IMG_1.JPG", photo())
    folder.write("IMG_1.MOV", MOVIE)
    source = kind(folder)
    files, places = Grouping(UTC, Exclusions()).group(source, list(source.scan()))
    assert sum(place.behind for place in places.values()) == expected
    assert {file.name for file in files} == {"IMG_1.JPG", "IMG_1.MOV"}
