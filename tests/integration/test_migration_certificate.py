"""Each sentence of a certificate is checked against the records and the archive when it is written."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import shutil
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import import migration
from intouch_import.errors import ConfigError, NotRemoved
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Reason
from intouch_import.repositories.base import PatientRepository
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources.local import LocalSource
from intouch_import.testing import MemoryRepository
from migrating import MARSH, OKAFOR, Archive, six_photos
from miniature import NOW, PATIENTS, jpeg

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intouch_import.content import Content
    from intouch_import.model import SourceFile, StoredAttachment


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return six_photos(tmp_path)


def _moved(archive: Archive, **options: Any) -> tuple[migration.Plan, SqlRepository]:
    """Move an archive into records. The certificate closes before anything is damaged."""
    records = archive.records()
    plan = archive.plan(records=records, **options)
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.closes, certificate.open_points
    return plan, records


def _lines(certificate: migration.Certificate) -> dict[str, dict[str, Any]]:
    text = (certificate.directory / "files.jsonl").read_text()
    return {line["path"]: line for line in map(json.loads, text.splitlines())}


def _file(archive: Archive, stored: StoredAttachment) -> Path:
    return archive.root / "files" / stored.id[:2] / stored.id


def test_all_is_well(archive: Archive) -> None:
    """The certificate says how many files were found and read again, and names the record of each."""
    plan, records = _moved(archive)
    certificate = plan.certificate(records)
    values = certificate.values
    assert (values["confirmed_in_records"], values["read_again"], values["intact"]) == (6, 6, 6)
    assert values["seen_in_archive"] == 1
    header = plan.header
    assert (values["form"], values["plan"]) == (2, header.id)
    assert (values["source_id"], values["rule"], values["zone"]) == (header.source_id, header.rule, "UTC")
    assert datetime.fromisoformat(values["certified_at"]).utcoffset() == timedelta(0)
    sizes = dict.fromkeys(values["counts"], 0)
    for row in plan.rows():
        sizes["imported" if row.patient else "waiting"] += row.size_bytes
    assert (values["bytes"], sum(sizes.values())) == (sizes, values["planned_bytes"])
    assert {one["reason"]: one["files"] for one in values["reasons"]} == {"folder_name": 6, "no_rule": 1}
    stored = {one.id: one for patient in ("10042", "10043") for one in records.attachments(patient)}
    lines = [line for line in _lines(certificate).values() if line["outcome"] == "imported"]
    for line in lines:
        found = stored.pop(line["attachment_id"])
        assert (line["patient"], line["sha256"]) == (found.patient_id, found.sha256)
        assert line["stored_bytes"] == "intact"
    assert not stored
    page = certificate.report.read_text("utf-8")
    assert ">Complete<" in page
    assert "read again, duplicates included: 6 have the digest in the record" in page


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_bytes(b"not a photo"), "altered"),
        (lambda file: file.write_bytes(file.read_bytes()[::-1]), "altered"),
        (lambda file: (file.unlink(), file.mkdir()), "unreadable"),
    ],
)
def test_damaged_bytes_are_noticed(archive: Archive, damage: Callable[[Path], Any], name: str) -> None:
    """Stored bytes that were deleted or changed behind the records do not count as imported and whole."""
    plan, records = _moved(archive)
    stored = records.attachments("10043")[0]
    damage(_file(archive, stored))
    certificate = plan.certificate(records)
    assert certificate.values["open"] == {name: 1}
    assert certificate.values["confirmed_in_records"] == certificate.values["intact"] == 5
    (line,) = [one for one in _lines(certificate).values() if one["attachment_id"] == stored.id]
    assert line["stored_bytes"] == name
    page = certificate.report.read_text("utf-8")
    assert "Not complete" in page
    assert "for the patient of the plan: 5." in page


def test_records_whose_disk_is_unplugged(archive: Archive) -> None:
    """If the folder of the stored files is gone, every file is reported."""
    plan, records = _moved(archive)
    shutil.rmtree(archive.root / "files")
    assert plan.certificate(records).values["open"] == {"missing": 6}


def test_an_undone_file_is_noticed_and_imported_again_from_a_copy(archive: Archive) -> None:
    """It is not in the records as the migration stored it. The next run looks again."""
    plan, records = _moved(archive, mode="copy")
    records.withdraw(records.attachments("10043")[0].id)
    assert plan.certificate(records).values["open"] == {"not_in_records": 1}
    run = plan.run(records, check_content=False).wait()
    assert run.certificate is not None
    assert run.certificate.closes
    assert len(records.attachments("10043")) == 2


def test_records_restored_from_a_backup(archive: Archive, tmp_path: Path) -> None:
    """Photos that were moved since the backup are in no record: they are reported as lost, not as imported."""
    records = archive.records()
    plan = archive.plan(records=records)
    records.close()
    shutil.copyfile(tmp_path / "clinic.db", tmp_path / "backup.db")
    assert (
        plan.run(functools.partial(SqlRepository.open, archive.url, files=tmp_path / "files")).wait().state
        == "done"
    )
    restored = SqlRepository.open(f"sqlite:///{tmp_path / 'backup.db'}", files=tmp_path / "files")
    again = migration.open_plan(plan.directory)
    assert again.certificate(restored).values["open"] == {"not_in_records": 6}
    certificate = again.run(restored, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.counts["failed"] == 6
    assert certificate.values["open"] == {"not_in_archive": 6}


def test_a_rehearsal_with_other_records_counts_for_nothing(archive: Archive, tmp_path: Path) -> None:
    """A copy into test records, and then into the real ones, imports everything into both."""
    test = SqlRepository.open(f"sqlite:///{tmp_path / 'test.db'}", files=tmp_path / "test-files")
    test.add_patients(PATIENTS)
    plan = archive.plan(records=test, mode="copy")
    rehearsal = plan.run(test, check_content=False).wait().certificate
    assert rehearsal is not None
    assert (rehearsal.closes, rehearsal.counts["imported"]) == (True, 6)
    real = archive.records()
    assert plan.certificate(real).values["open"] == {"not_in_records": 6}
    opener = functools.partial(SqlRepository.open, archive.url, files=archive.root / "files")
    certificate = migration.open_plan(plan.directory).run(opener, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.closes
    assert certificate.values["confirmed_in_records"] == 6
    assert [len(one.attachments("10042")) for one in (test, real)] == [4, 4]
    assert archive.plan(records=test, to=tmp_path / "2", mode="copy").run(real).wait().state == "done"
    assert [len(list(Ledger(one.engine).entries())) for one in (test, real)] == [6, 6]


def test_records_that_are_not_asked(archive: Archive) -> None:
    """Without records, or if they can't be opened, a certificate says so, and does not close."""

    def fails() -> PatientRepository:
        raise ConnectionError("CANARY")

    plan, _ = _moved(archive)
    for records in (None, fails):
        certificate = migration.open_plan(plan.directory).certificate(records)
        assert certificate.values["open"] == {"records_not_asked": 6}
        assert certificate.values["confirmed_in_records"] is None
        assert "The records were not asked" in certificate.report.read_text("utf-8")


def test_a_file_in_another_record(archive: Archive) -> None:
    """The line names the record that has the file, not the patient of the plan."""
    plan, records = _moved(archive)
    stored = records.attachments("10043")[0]
    records.reassign(stored.id, from_patient_id="10043", to_patient_id="10042")
    certificate = plan.certificate(records)
    assert certificate.values["open"] == {"other_patient": 1}
    (line,) = [one for one in _lines(certificate).values() if one["attachment_id"] == stored.id]
    assert (line["patient"], line["planned_patient"]) == ("10042", "10043")


def test_an_override_after_the_import_changes_no_record(archive: Archive) -> None:
    """The record decides what the certificate says."""
    plan, records = _moved(archive)
    assert plan.override({"folder": OKAFOR}, patient="10042") == 0
    run = plan.run(records, check_content=False).wait()
    assert run.certificate is not None
    assert run.certificate.closes
    assert len(records.attachments("10043")) == 2


def test_a_duplicate_of_something_undone(archive: Archive) -> None:
    """The certificate looks for the photo that the file was a duplicate of, and so does the next run."""
    archive.lay(f"{OKAFOR}/again.jpg", jpeg(f"{OKAFOR}/IMG_1.jpg"))
    plan, records = _moved(archive)
    certificate = plan.certificate(records)
    assert (certificate.counts["duplicate"], certificate.values["duplicates_in_records"]) == (1, 1)
    assert certificate.values["read_again"] == 7
    (original,) = [one for one in records.attachments("10043") if one.name != "IMG_2.jpg"]
    _file(archive, original).unlink()
    assert plan.certificate(records).values["open"] == {"missing": 2}
    records.withdraw(original.id)
    assert plan.certificate(records).values["open"] == {"not_in_records": 1, "no_original": 1}
    again = plan.run(records, check_content=False).wait()
    assert again.progress.counts == {"imported": 6, "failed": 1}
    assert len(records.attachments("10043")) == 2


def test_a_file_that_was_undone_waits(archive: Archive) -> None:
    """A run does not repeat an import that the ledger knows as undone. That is an open point."""
    plan, records = _moved(archive, mode="copy")
    stored = records.attachments("10043")[0]
    ledger = Ledger(records.engine)
    (entry,) = [one for one in ledger.entries() if one.import_id == stored.import_id]
    ledger.append([attrs.evolve(entry, event=Event.PUTTING_BACK, at=NOW, seq=None, digest=None)])
    records.withdraw(stored.id)
    run = plan.run(records, check_content=False).wait()
    assert run.certificate is not None
    assert run.certificate.values["open"] == {"undone": 1}
    assert len(records.attachments("10043")) == 1


def test_failures_that_may_heal(archive: Archive) -> None:
    """While the archive can't be read, its files have failed; the certificate asks for another run."""
    records = archive.records()
    plan = archive.plan(records=records)
    folder = archive.disk / OKAFOR
    folder.rename(archive.root / "unplugged")
    folder.symlink_to(archive.root / "unplugged", target_is_directory=True)
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.counts["failed"] == 2
    assert not certificate.closes
    folder.unlink()
    (archive.root / "unplugged").rename(folder)
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.closes


def test_a_file_that_could_not_be_removed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the records, and still in the archive. The next run removes it."""

    def refuse(*_args: Any, **_options: Any) -> None:
        raise NotRemoved("it is locked")

    records = archive.records()
    plan = archive.plan(records=records)
    with monkeypatch.context() as locked:
        locked.setattr(LocalSource, "remove", refuse)
        certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.values["open"] == {"in_archive": 6}
    assert certificate.values["still_in_archive"] == 6
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.closes


@pytest.mark.parametrize("mode", ["move", "copy"])
def test_files_that_were_stored_as_delivered(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A certificate does not close over files whose location reports another digest than that of the delivered bytes."""
    fetch = LocalSource.fetch

    def altered(self: LocalSource, file: SourceFile, *, staging: Path | None = None) -> Content:
        content = fetch(self, file, staging=staging)
        content.is_altered = True
        return content

    def refuse(*_args: Any, **_options: Any) -> None:
        raise NotRemoved("altered", reason=Reason.LEFT_IN_SOURCE)

    monkeypatch.setattr(LocalSource, "fetch", altered)
    monkeypatch.setattr(LocalSource, "remove", refuse)
    records = archive.records()
    plan = archive.plan(records=records, mode=mode)
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.values["open"]["as_delivered"] == 6
    assert certificate.values["confirmed_in_records"] == 0


@pytest.mark.parametrize("gone", ["loose.jpg", "."])
def test_a_file_that_waits_and_is_gone(archive: Archive, gone: str) -> None:
    """A file that was neither imported nor left in the archive may be lost."""
    plan, records = _moved(archive)
    path = archive.disk / gone
    path.unlink() if path.is_file() else shutil.rmtree(path)
    certificate = plan.certificate(records)
    name = "not_in_archive" if gone != "." else "not_looked_for"
    assert certificate.values["open"] == {name: 1}


def test_an_archive_on_an_empty_mount_point(archive: Archive) -> None:
    """An unplugged disk leaves an empty folder: files that wait are not seen."""
    plan, records = _moved(archive)
    shutil.rmtree(archive.disk)
    archive.disk.mkdir()
    certificate = plan.certificate(records)
    assert certificate.values["open"] == {"not_in_archive": 1}
    assert certificate.values["seen_in_archive"] == 0


def test_a_folder_of_files_that_wait_is_gone(archive: Archive) -> None:
    """The folder is found to be gone, with its files."""
    archive.lay("desktop/nobody/a.jpg")
    plan, records = _moved(archive)
    shutil.rmtree(archive.disk / "desktop")
    assert plan.certificate(records).values["open"] == {"not_in_archive": 1}


HIDDEN = (".picasaoriginals", "lost+found", ".old camera", "__MACOSX", "@eaDir", "$RECYCLE.BIN")


def test_folders_that_nobody_looked_into(archive: Archive) -> None:
    """They are an open point with their number, until a person leaves them out."""
    for folder in HIDDEN:
        archive.lay(f"{MARSH}/{folder}/IMG_9.jpg")
    records = archive.records()
    plan = archive.plan(records=records)
    assert plan.counts("reason")["folder_skipped"] == len(HIDDEN)
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.values["open"] == {"folders_skipped": len(HIDDEN)}
    assert f"{len(HIDDEN)} hidden or system folders" in certificate.open_points[0]
    assert plan.override({"reason": "folder_skipped"}, leave_out=True, note="looked") == len(HIDDEN)
    assert plan.counts("reason")["left_out"] == len(HIDDEN)
    assert plan.certificate(records).closes
    plan.override({"name": HIDDEN[0]}, restore=True)
    assert migration.open_plan(plan.directory).certificate(records).values["open"] == {"folders_skipped": 1}


def test_hidden_photos_and_files_in_icloud(archive: Archive) -> None:
    """Hidden files that may be photos are open points. macOS's own files are not."""
    for name in (".IMG_7.jpg", ".IMG_8.HEIC.icloud", "._IMG_1.jpg", ".DS_Store"):
        archive.lay(f"{MARSH}/{name}")
    records = archive.records()
    plan = archive.plan(records=records)
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.values["open"] == {"hidden_photos": 1, "not_downloaded": 1}
    plan.override({"name": ".IMG*"}, leave_out=True)
    assert plan.certificate(records).closes


def test_a_changed_file_needs_a_new_plan(archive: Archive) -> None:
    """To run the plan again would not help."""
    records = archive.records()
    plan = archive.plan(records=records)
    archive.lay(f"{OKAFOR}/IMG_1.jpg", jpeg("another and longer"))
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.values["open"] == {"changed": 1}


def test_other_bytes_under_a_known_version(archive: Archive, tmp_path: Path) -> None:
    """A camera without a clock repeats name, size and time. The certificate looks for the photo that was read."""
    plan, records = _moved(archive, mode="copy")
    photo = archive.disk / OKAFOR / "IMG_1.jpg"
    before, data = photo.stat(), photo.read_bytes()
    photo.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = archive.plan(records=records, to=tmp_path / "again", mode="copy")
    for _ in range(2):
        certificate = again.run(records, check_content=False).wait().certificate
        assert certificate is not None
        assert certificate.counts["imported"] == 6
        assert certificate.closes, certificate.open_points
    assert len(records.attachments("10043")) == 3
    (line,) = [one for path, one in _lines(certificate).items() if path == f"{OKAFOR}/IMG_1.jpg"]
    assert line["sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert plan.certificate(records).closes


def test_a_lost_override_is_an_open_point(archive: Archive) -> None:
    """Somebody has decided something that the plan does not know."""
    plan, records = _moved(archive)
    plan.override({"name": "loose.jpg"}, leave_out=True)
    overrides = plan.directory / "overrides.jsonl"
    overrides.write_bytes(overrides.read_bytes()[:-20])
    again = migration.open_plan(plan.directory)
    assert again.certificate(records).values["open"] == {"torn_override": 1}
    again.override({"name": "loose.jpg"}, leave_out=True)
    assert again.certificate(records).closes


def test_a_sample_is_stated(archive: Archive) -> None:
    """Of a large plan, the bytes of some files are read, and the page says of how many."""
    plan, records = _moved(archive)
    assert plan.certificate(records, sample=0).values["read_again"] == 0
    assert plan.certificate(records, sample=None).values["read_again"] == 6
    certificate = plan.certificate(records, sample=3)
    assert certificate.closes
    assert f"stored bytes of {certificate.values['read_again']} files" in certificate.report.read_text(
        "utf-8"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page.replace(b"<b>6</b>", b"<b>6,000</b>"),
        lambda page: page + b" ",
        lambda page: page[:-20],
        lambda page: b"",
    ],
)
def test_a_changed_page_is_detected(archive: Archive, change: Callable[[bytes], bytes]) -> None:
    """The page that people read and print is covered by the digest, which stands in it."""
    plan, records = _moved(archive)
    certificate = plan.certificate(records)
    assert migration.verify_certificate(certificate.directory) == []
    page = certificate.report.read_bytes()
    assert change(page) != page
    certificate.report.write_bytes(change(page))
    assert migration.verify_certificate(certificate.directory) == ["certificate.html was changed"]
    certificate.report.write_bytes(page.replace(certificate.sha256.encode(), b"0" * 64))
    assert migration.verify_certificate(certificate.directory) == ["certificate.html was changed"]
    certificate.report.unlink()
    assert migration.verify_certificate(certificate.directory) == ["certificate.html is missing"]


def test_every_value_and_every_line_is_covered(archive: Archive) -> None:
    """A changed value in certificate.json, or a changed line in files.jsonl, is detected and named."""
    archive.lay(f"{MARSH}/Ödem ☂.jpg")
    plan, records = _moved(archive)
    folder = plan.certificate(records).directory
    file = folder / "certificate.json"
    values = json.loads(file.read_text("utf-8"))
    for name, value in values.items():
        changed = {**values, name: value + 1 if isinstance(value, int) else f"{value} "}
        file.write_text(json.dumps(changed), "utf-8")
        assert "certificate.json was changed" in migration.verify_certificate(folder), name
    file.write_text(json.dumps(dict(reversed(values.items())), indent=1), "utf-8")
    assert migration.verify_certificate(folder) == []
    lines = (folder / "files.jsonl").read_bytes()
    assert lines.isascii()
    (folder / "files.jsonl").write_bytes(lines.replace(b"imported", b"imparted", 1))
    assert migration.verify_certificate(folder) == ["files.jsonl was changed"]


def test_a_certificate_in_another_folder(archive: Archive, tmp_path: Path) -> None:
    """The folder is made, for this account only. What can't be written or found is an error that says so."""
    plan, records = _moved(archive)
    folder = tmp_path / "for the practice" / "certificate"
    certificate = plan.certificate(records, to=folder)
    assert certificate.directory == folder
    assert str(certificate).startswith("7 planned = 6 imported + ")
    assert migration.verify_certificate(folder) == []
    if os.name == "posix":
        assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ConfigError, match="the certificate can't be written") as failed:
        plan.certificate(records, to=certificate.report)
    assert failed.value.errno == errno.EEXIST
    assert str(tmp_path) not in str(failed.value.__cause__)
    with pytest.raises(ConfigError, match="there is no certificate in that folder") as failed:
        migration.verify_certificate(tmp_path)
    assert failed.value.errno == errno.ENOENT
    assert str(tmp_path) not in str(failed.value.__cause__)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_certificate_that_is_no_certificate(archive: Archive, text: str) -> None:
    """It is damaged, whatever else is in its folder."""
    plan, _ = _moved(archive)
    (plan.directory / "certificate" / "certificate.json").write_text(text)
    assert migration.verify_certificate(plan.directory / "certificate") == ["certificate.json is damaged"]


def test_records_that_cannot_find_copies(archive: Archive) -> None:
    """Nothing is claimed of the originals of duplicates, and a second run stores no duplicate."""
    archive.lay(f"{OKAFOR}/again.jpg", jpeg(f"{OKAFOR}/IMG_1.jpg"))

    class Unable(MemoryRepository):
        find_by_digest = PatientRepository.find_by_digest
        sizes_stored = PatientRepository.sizes_stored

    unable = Unable(PATIENTS[1:])
    plan = archive.plan(records=unable, ledger=archive.root / "ledger.db")
    for _ in range(2):
        certificate = plan.run(unable, check_content=False).wait().certificate
        assert certificate is not None
        assert (certificate.counts["imported"], certificate.counts["duplicate"]) == (2, 1)
        assert certificate.values["duplicates_in_records"] == 0
        assert certificate.closes, certificate.open_points
