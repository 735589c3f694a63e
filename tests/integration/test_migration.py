"""From a disk full of folders to a certificate: plans and runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import attrs
import pytest

from intouch_import import migration
from intouch_import.clock import Clock
from intouch_import.errors import ConfigError, MissingExtraError, UnknownPatient
from intouch_import.inbox import Inbox
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Action, Patient, Progress, TakenFrom
from intouch_import.sources import open_source
from migrating import MARSH, OKAFOR, RULE, Archive, reasons, six_photos
from miniature import NOW, jpeg


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Six photos of two patients, and one photo of an unknown patient."""
    return six_photos(tmp_path)


def test_a_migration_moves_files_of_known_patients(archive: Archive) -> None:
    """Files of known patients are in their records, byte for byte. The other files are not moved."""
    records = archive.records()
    plan = archive.plan(records=records)
    assert plan.counts() == {"import": 6, "wait": 1}
    reports: list[Progress] = []
    run = plan.run(records, on_progress=reports.append, operator="mc").wait(60)
    assert (run.state, run.progress.done, run.progress.counts) == ("done", 6, {"imported": 6})
    assert reports[-1].done == reports[-1].total == 6
    assert archive.left() == ["loose.jpg"]
    stored = records.attachments("10042")
    assert len(stored) == 4
    assert len(records.attachments("10043")) == 2
    assert {one.taken_from for one in stored if one.taken_at is not None} == {TakenFrom.FOLDER}
    certificate = run.certificate
    assert certificate.closes
    assert certificate.counts == {
        "imported": 6, "duplicate": 0, "waiting": 1, "ignored": 0, "failed": 0, "not yet": 0,
    }  # fmt: skip
    assert certificate.values["confirmed_in_records"] == 6
    events = [entry.event for entry in Ledger(records.engine).entries()]
    assert events == [Event.STORED] * 6 + [Event.MOVED] * 6


def test_a_copy_leaves_the_archive_as_it_is(archive: Archive) -> None:
    """In copy mode no file is removed, no file shares its bytes with the archive, and a second run does nothing."""
    before = {path: (archive.disk / path).stat() for path in archive.left()}
    records = archive.records()
    plan = archive.plan(records=records, mode="copy")
    assert plan.run(records).wait(60).progress.counts == {"imported": 6}
    for path, stat in before.items():
        now = (archive.disk / path).stat()
        assert (now.st_ino, now.st_mtime_ns, now.st_nlink) == (stat.st_ino, stat.st_mtime_ns, 1)
    again = plan.run(records).wait(60)
    assert again.progress.counts == {"imported": 6}
    assert sum(1 for _ in Ledger(records.engine).entries()) == 6
    assert again.certificate.closes


def test_an_inbox_does_not_finish_a_copy(archive: Archive) -> None:
    """For an inbox on one of the folders, a copied file is a duplicate that waits, not an interrupted move."""
    records = archive.records()
    archive.lay(f"{MARSH}/10042_DRJ_20240301_091500.jpg")
    archive.plan(records=records, mode="copy").run(records).wait(60)
    inbox = Inbox(
        records, [open_source(archive.disk / MARSH)], zone="UTC", settle_s=0, clock=Clock(now=lambda: NOW)
    )
    report = inbox.refresh()
    assert (report.imported, report.failed) == (0, 0)
    assert f"{MARSH}/10042_DRJ_20240301_091500.jpg" in archive.left()


def test_copied_files_can_be_moved_later(archive: Archive) -> None:
    """A plan in move mode for a copied archive removes the originals and stores nothing twice."""
    records = archive.records()
    archive.plan(records=records, mode="copy").run(records).wait(60)
    plan = archive.plan(records=records, to=archive.root / "second")
    assert plan.counts("reason")["already_stored"] == 6
    plan.run(records).wait(60)
    assert archive.left() == ["loose.jpg"]
    assert len(records.attachments("10042")) == 4


def test_a_dry_run_reports_what_a_run_would_do(archive: Archive) -> None:
    """It finds files that changed or vanished since the plan, and writes nothing."""
    records = archive.records()
    plan = archive.plan(records=records)
    archive.lay(f"{OKAFOR}/IMG_1.jpg", jpeg("another and longer"))
    (archive.disk / OKAFOR / "IMG_2.jpg").unlink()
    before = archive.left()
    run = plan.run(records, dry_run=True).wait(60)
    assert dict(run.reasons) == {"folder_name": 4, "changed": 1, "vanished": 1}
    assert run.certificate is None
    assert archive.left() == before
    assert records.attachments("10042") == []
    assert not (plan.directory / "outcomes").exists()


def test_files_that_vanish_or_change_between_plan_and_run_have_their_reason(archive: Archive) -> None:
    """A changed file is not moved. The certificate has both files."""
    records = archive.records()
    plan = archive.plan(records=records)
    archive.lay(f"{OKAFOR}/IMG_1.jpg", jpeg("another and longer"))
    for number in (1, 2):
        (archive.disk / MARSH / "close-ups" / f"IMG_{number}.jpg").unlink()
    (archive.disk / MARSH / "close-ups").rmdir()
    certificate = plan.run(records).wait(60).certificate
    lines = [json.loads(line) for line in (certificate.directory / "files.jsonl").read_text().splitlines()]
    by_path = {line["path"]: (line["outcome"], line["reason"]) for line in lines}
    assert by_path[f"{MARSH}/close-ups/IMG_1.jpg"] == ("failed", "vanished")
    assert by_path[f"{OKAFOR}/IMG_1.jpg"] == ("not yet", "changed")
    assert f"{OKAFOR}/IMG_1.jpg" in archive.left()
    assert not certificate.closes
    assert len(by_path) == len(plan)


def test_overrides_are_kept_in_the_plans_folder(archive: Archive) -> None:
    """They select one row or many; a later one wins; they are there when the plan is opened again; the run obeys them."""
    records = archive.records()
    plan = archive.plan(records=records)
    (loose,) = plan.rows({"reason": "no_rule"})
    assert plan.override(loose, patient="10043", by="mc", note="known to Dr Jones") == 1
    assert plan.override({"folder": f"{MARSH}/close*"}, leave_out=True) == 2
    assert plan.override({"path": f"{MARSH}/close-ups/IMG_2.jpg"}, restore=True) == 1
    with pytest.raises(UnknownPatient):
        plan.override(loose, patient="nobody")
    with pytest.raises(ConfigError):
        plan.override(loose)
    with pytest.raises(ConfigError):
        plan.override({"colour": "red"}, leave_out=True)
    again = migration.open_plan(plan.directory)
    assert again.counts("reason") == {"folder_name": 5, "left_out": 1, "chosen": 1}
    assert [one["by"] for one in again.overrides] == ["mc", None, None]
    run = again.run(records).wait(60)
    assert archive.left() == [f"{MARSH}/close-ups/IMG_1.jpg"]
    assert len(records.attachments("10043")) == 3
    assert run.certificate.closes


@pytest.mark.parametrize(("package", "method"), [("pandas", "to_pandas"), ("polars", "to_polars")])
def test_a_table_names_the_package_that_it_needs(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, package: str, method: str
) -> None:
    """The extra does not install pandas and polars; the error says how to."""
    plan = archive.plan()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"pip install '{package}'"):
        getattr(plan, method)()


def test_wrong_arguments_of_plan_are_errors(archive: Archive, tmp_path: Path) -> None:
    """They are not reported as a failure of the records. Only ``run`` takes a callable that opens the records."""
    rule = migration.PatientRule("10042")
    with pytest.raises(ConfigError, match="opened"):
        migration.plan(tmp_path, rule, archive.records, to=tmp_path / "p")
    with pytest.raises(ConfigError, match="FolderRule"):
        migration.plan(tmp_path, "{patient}", archive.records(), to=tmp_path / "p")


def test_review_in_tables_and_samples(archive: Archive) -> None:
    """Counts, pages, data frames and thumbnails agree with the rows."""
    plan = archive.plan()
    assert plan.counts("patient") == {"10042": 4, "10043": 2, "nobody": 1}
    assert plan.counts("year") == {"unknown": 5, "2024": 2}
    assert plan.counts("size") == {"up to 100 KB": 7}
    paths = [row.path for row in plan.rows()]
    assert [row.path for row in plan.rows(offset=2, limit=3)] == paths[2:5]
    assert len(list(plan.rows({"patient": "10043"}, offset=1))) == 1
    assert list(plan.to_pandas()["import_id"]) == [row.import_id for row in plan.rows()]
    assert plan.to_polars().collect().height == 7
    plan.override({"reason": "no_rule"}, leave_out=True)
    assert plan.to_polars().collect()["reason"].to_list().count("left_out") == 1
    samples = plan.sample(3, "import")
    assert len(samples) == 3
    assert all(sample.thumbnail is not None and sample.thumbnail[:2] == b"\xff\xd8" for sample in samples)
    assert plan.thumbnail(samples[0].row) == samples[0].thumbnail
    assert plan.sample(2, px=0)[0].thumbnail is None
    with pytest.raises(ConfigError):
        plan.counts("colour")
    assert "10042" not in repr(plan) + repr(samples[0])


def test_inactive_patients_wait_unless_they_are_allowed(archive: Archive) -> None:
    """Many patients of an archive have left the practice; an option of the plan allows their files."""
    archive.lay("10044 - Lindqvist/a.jpg")
    assert archive.plan().counts("reason")["patient_inactive"] == 1
    assert "patient_inactive" not in archive.plan(to=archive.root / "b", allow_inactive=True).counts("reason")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("10042 - Okafor, Ben/a.jpg", "name_differs"),
        ("10042 - Zoe Quill/a.jpg", "name_differs"),
        ("10042 - ben okafor/a.jpg", "name_differs"),
        ("10042 - Okafor/a.jpg", "name_differs"),
        ("10042 - left hand/a.jpg", "folder_name"),
        ("10042 - Marsh/a.jpg", "folder_name"),
        (f"{MARSH}/10043_DRJ_20240301_091500.jpg", "patient_conflict"),
        (f"{MARSH}/10042_DRJ_20240301_091500.jpg", "folder_name"),
        (f"{MARSH}/10099_DRJ_20240301_091500.jpg", "folder_name"),
        ("2019 - x/a.jpg", "id_is_date"),
        ("2019 - Quill, Zoe/a.jpg", "folder_name"),
        (f"{MARSH}/10043-photos/a.jpg", "patient_conflict"),
    ],
)
def test_other_names_and_ids_on_the_path_contradict_the_folder(
    tmp_path: Path, path: str, reason: str
) -> None:
    """A person's name that is not the patient's, another patient's id, and an id that may be a year."""
    archive = Archive(tmp_path)
    archive.lay(path)
    records = archive.records()
    records.add_patients([Patient(id="2019", name="Zoe Quill")])
    assert reasons(archive.plan(records=records)) == {path: reason}


def test_a_bar_shows_the_progress(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``on_progress="tqdm"``, bars show the progress of planning and of the run."""
    records = archive.records()
    archive.plan(records=records, on_progress="tqdm").run(records, on_progress="tqdm").wait(60)
    assert "6/6" in capsys.readouterr().err


def test_a_changed_certificate_is_detected(archive: Archive) -> None:
    """The digests detect a changed line and a changed count."""
    records = archive.records()
    certificate = archive.plan(records=records).run(records).wait(60).certificate
    assert migration.verify_certificate(certificate.directory) == []
    files = certificate.directory / "files.jsonl"
    files.write_text(files.read_text().replace("10042", "10043", 1))
    path = certificate.directory / "certificate.json"
    path.write_text(path.read_text().replace('"imported": 6', '"imported": 7', 1))
    assert migration.verify_certificate(certificate.directory) == [
        "certificate.json was changed",
        "files.jsonl was changed",
    ]


def test_a_certificate_looks_files_up_in_the_records(archive: Archive) -> None:
    """A file that was withdrawn after the run is an open point."""
    records = archive.records()
    plan = archive.plan(records=records)
    plan.run(records).wait(60)
    records.withdraw(records.attachments("10043")[0].id)
    certificate = plan.certificate(records)
    assert not certificate.closes
    assert any("not in the records" in point for point in certificate.open_points)


def test_the_report_is_one_page_that_escapes_what_it_shows(archive: Archive, tmp_path: Path) -> None:
    """It loads nothing, has no script, and shows names from the archive as text."""
    records = archive.records()
    source = open_source(archive.disk, label="<img src=x>")
    plan = migration.plan(source, RULE, records, to=tmp_path / "plan", zone="UTC")
    certificate = plan.run(records).wait(60).certificate
    page = certificate.report.read_text("utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;img src=x&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<svg" in page
    assert certificate.sha256 in page


def test_rows_are_values(archive: Archive) -> None:
    """A row is frozen, and its repr does not show the name of the file."""
    (row,) = archive.plan().rows({"reason": "no_rule"})
    assert row.verdict is Action.WAIT
    assert "loose" not in repr(row)
    assert row.to_dict()["path"] == "loose.jpg"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        row.patient = "1"
