"""Difficult archives and lists: every file has a reason, and nothing is guessed."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from intouch_import import migration
from intouch_import.errors import ConfigError, MissingExtraError, SourceUnavailable
from intouch_import.migration.plan_file import PARTITION_ROWS
from intouch_import.model import Patient
from intouch_import.sources.local import LocalSource
from migrating import MARSH, OKAFOR, RULE, Archive, reasons
from miniature import jpeg


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Two photos of one patient, one of another, and one of an unknown patient."""
    archive = Archive(tmp_path)
    for path in (f"{MARSH}/IMG_1.jpg", f"{MARSH}/IMG_2.jpg", f"{OKAFOR}/IMG_1.jpg", "loose.jpg"):
        archive.lay(path)
    return archive


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows, and names must be text")
def test_a_hostile_archive_has_a_reason_for_everything(archive: Archive) -> None:
    """Loops of links, links to other places, hidden folders, system folders, odd names, unknown patients."""
    outside = archive.root / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(jpeg("secret"))
    (archive.disk / MARSH / "loop").symlink_to(archive.disk)
    (archive.disk / MARSH / "out").symlink_to(outside)
    (archive.disk / "self").symlink_to("self")
    os.mkfifo(archive.disk / MARSH / "pipe.jpg")
    for path in (
        f"{MARSH}/.thumbnails/a.jpg", f"{MARSH}/@eaDir/a.jpg", f"{MARSH}/Thumbs.db", "77777 - Nobody/a.jpg",
        "10042 - shared with 10043/a.jpg", f"{MARSH}/2024-02-31/a.jpg", f"{MARSH}/10043/a.jpg",
    ):  # fmt: skip
        archive.lay(path)
    archive.lay(f"{MARSH}/empty.jpg", b"")
    odd = os.fsdecode(b"10042 - caf\xe9") + "/" + os.fsdecode(b"\xff.jpg")
    archive.lay(odd)
    records = archive.records()
    plan = archive.plan(records=records)
    found = reasons(plan)
    assert found[f"{MARSH}/loop"] == found[f"{MARSH}/out"] == found["self"] == "link"
    assert found[f"{MARSH}/pipe.jpg"] == "special_file"
    assert found[f"{MARSH}/.thumbnails"] == found[f"{MARSH}/@eaDir"] == "folder_skipped"
    assert found[f"{MARSH}/Thumbs.db"] == "system_file"
    assert found[f"{MARSH}/empty.jpg"] == "empty"
    assert found["77777 - Nobody/a.jpg"] == "patient_unknown"
    assert found["10042 - shared with 10043/a.jpg"] == "patient_conflict"
    assert found[f"{MARSH}/10043/a.jpg"] == "patient_conflict"
    assert found[f"{MARSH}/2024-02-31/a.jpg"] == "date_impossible"
    assert found[odd] == "folder_name"
    assert not any("secret" in path for path in found)
    certificate = plan.run(records).wait(60).certificate
    assert certificate.values["open"] == {"folders_skipped": 2}
    assert sum(certificate.counts.values()) == len(plan)
    assert (outside / "secret.jpg").exists()
    assert odd not in archive.left()


def test_a_hundred_levels_of_folders(archive: Archive) -> None:
    """The file at the bottom is moved like any other."""
    deep = f"{MARSH}/" + "/".join(["d"] * 100) + "/IMG.jpg"
    try:
        archive.lay(deep)
    except OSError:
        pytest.skip("paths are not that long here")
    records = archive.records()
    plan = archive.plan(records=records)
    assert reasons(plan)[deep] == "folder_name"
    plan.run(records).wait(60)
    assert archive.left() == ["loose.jpg"]


def test_a_folder_that_becomes_a_link_is_not_followed(archive: Archive) -> None:
    """If a link replaces a folder after the plan, nothing is read through the link."""
    records = archive.records()
    plan = archive.plan(records=records)
    (archive.disk / OKAFOR).rename(archive.root / "elsewhere")
    try:
        (archive.disk / OKAFOR).symlink_to(archive.root / "elsewhere")
    except OSError:
        pytest.skip("links need rights here")
    run = plan.run(records).wait(60)
    assert records.attachments("10043") == []
    assert len(list((archive.root / "elsewhere").iterdir())) == 1
    assert run.progress.counts == {"imported": 2, "failed": 1}


def test_folders_that_fail_do_not_stop_the_run(archive: Archive) -> None:
    """One folder in each of many partitions fails: its files fail, and all other files are moved."""
    shutil.rmtree(archive.disk)
    for number in range(4):
        for file in range(PARTITION_ROWS - 1):
            archive.lay(f"10042 - {number}a/{file:03}.jpg")
        archive.lay(f"10042 - {number}b/x.jpg")
    records = archive.records()
    plan = archive.plan(records=records)
    for number in range(4):
        bad = archive.disk / f"10042 - {number}b"
        shutil.rmtree(bad)
        bad.touch()
    run = plan.run(records, check_content=False).wait(120)
    assert (run.state, run.problem) == ("done", None)
    assert run.progress.counts == {"imported": 4 * (PARTITION_ROWS - 1), "failed": 4}


def test_a_folder_that_cannot_be_listed_is_in_the_plan(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is a row with its reason, and the certificate does not close."""
    scan = LocalSource.scan

    def failing(self: LocalSource):
        if self.folder.name == OKAFOR:
            raise SourceUnavailable("the folder may not be used: no rights")
        return scan(self)

    monkeypatch.setattr(LocalSource, "scan", failing)
    records = archive.records()
    plan = archive.plan(records=records)
    assert reasons(plan)[OKAFOR] == "folder_unreadable"
    certificate = plan.run(records).wait(60).certificate
    assert certificate.counts["failed"] == 1
    assert any("could not be listed" in point for point in certificate.open_points)


def test_many_folders_that_cannot_be_listed_do_not_stop_the_plan(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty such folders in a row are thirty rows; only if the whole archive is gone, that is an error."""
    scan = LocalSource.scan
    gone = False

    def failing(self: LocalSource):
        if gone or self.folder.name.startswith("closed"):
            raise SourceUnavailable("the folder may not be used: no rights")
        return scan(self)

    for number in range(30):
        (archive.disk / f"closed {number:02}").mkdir()
    monkeypatch.setattr(LocalSource, "scan", failing)
    assert archive.plan().counts("reason")["folder_unreadable"] == 30
    gone = True
    with pytest.raises(SourceUnavailable):
        archive.plan(to=archive.root / "b")


def test_a_patient_who_left_between_plan_and_run_gets_nothing(archive: Archive) -> None:
    """The run looks up again whether patients exist and are active."""
    records = archive.records()
    plan = archive.plan(records=records)
    records.add_patient(Patient(id="10042", name="Ada Marsh", active=False))
    run = plan.run(records).wait(60)
    assert run.reasons == {"patient_inactive": 2, "folder_name": 1}
    assert f"{MARSH}/IMG_1.jpg" in archive.left()
    assert not run.certificate.closes
    records.add_patient(Patient(id="10042", name="Ada Marsh"))
    assert plan.run(records).wait(60).certificate.closes


def test_duplicates_in_an_archive_are_stored_once(archive: Archive) -> None:
    """The same bytes for one patient are stored once; for two patients, a person must look."""
    for path, seed in ((f"{MARSH}/a.jpg", "same"), (f"{MARSH}/b.jpg", "same"), (f"{OKAFOR}/c.jpg", "rival")):
        archive.lay(path, jpeg(seed))
    archive.lay(f"{MARSH}/d.jpg", jpeg("rival"))
    records = archive.records()
    certificate = archive.plan(records=records).run(records).wait(60).certificate
    assert (certificate.counts["duplicate"], certificate.counts["waiting"]) == (1, 3)
    assert certificate.closes


COLUMNS = {"path": "File", "patient": "Patient no", "taken": "Taken"}


def _list_rule(path: Path, **options: object) -> migration.ManifestRule:
    return migration.ManifestRule(path=path, columns=COLUMNS, **options)


def _csv(archive: Archive, text: str, encoding: str = "utf-8") -> Path:
    path = archive.root / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_list_names_the_patients(archive: Archive) -> None:
    """Clear lines are used. All other lines, and files without a line, have their reasons."""
    for name in ("b", "c", "d"):
        archive.lay(f"{OKAFOR}/{name}.jpg")
    path = _csv(
        archive,
        "File;Patient no;Taken;Note\n"
        "loose.jpg;10042;2023-05-06;\n"
        f".\\{OKAFOR}\\IMG_1.jpg;10043;2023-05-06T07:08:09;\n"
        f"{OKAFOR}/b.jpg;10042;;\n"
        f"{OKAFOR}/b.jpg;10043;;\n"
        f"{OKAFOR}/c.jpg;;;\n"
        f"{OKAFOR}/d.jpg;10042;6.5.2023;\n"
        f"{MARSH}/IMG_1.jpg;10042;;\n"
        f"{MARSH}/IMG_1.jpg;10042;;\n"
        "gone.jpg;10042;;\n",
    )
    plan = archive.plan(_list_rule(path))
    assert reasons(plan) == {
        "loose.jpg": "listed",
        f"{OKAFOR}/IMG_1.jpg": "listed",
        f"{OKAFOR}/b.jpg": "listed_twice",
        f"{OKAFOR}/c.jpg": "listed_unclear",
        f"{OKAFOR}/d.jpg": "listed_unclear",
        f"{MARSH}/IMG_1.jpg": "listed",
        f"{MARSH}/IMG_2.jpg": "not_listed",
        "gone.jpg": "listed_missing",
    }
    times = {row.path: f"{row.taken_at:%Y-%m-%d %H:%M:%S}" for row in plan.rows() if row.taken_at}
    assert times == {"loose.jpg": "2023-05-06 12:00:00", f"{OKAFOR}/IMG_1.jpg": "2023-05-06 07:08:09"}


def test_a_list_and_the_folders_must_agree(archive: Archive) -> None:
    """If the list and the folder name different patients, the file waits."""
    path = _csv(archive, f"File\tPatient no\tTaken\n{OKAFOR}/IMG_1.jpg\t10042\t\nloose.jpg\t10042\t\n")
    found = reasons(archive.plan(_list_rule(path) | RULE))
    assert found[f"{OKAFOR}/IMG_1.jpg"] == "patient_conflict"
    assert found["loose.jpg"] == "listed"
    assert found[f"{MARSH}/IMG_2.jpg"] == "folder_name"


def test_an_excel_list(archive: Archive) -> None:
    """Ids with leading zeros, dates, numbers and errors are read as Excel shows them, or are unclear."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["File", "Patient no", "Taken"])
    sheet.append(["loose.jpg", 10042, datetime(2023, 5, 6, 7, 8)])
    sheet.append([f"{OKAFOR}/IMG_1.jpg", 10043, 45052])
    sheet.append([f"{MARSH}/IMG_1.jpg", 10043.5, None])
    sheet.append([f"{MARSH}/IMG_2.jpg", "#N/A", None])
    sheet.append(["zeros.jpg", 42, None])
    sheet["B6"].number_format = "00000"
    path = archive.root / "list.xlsx"
    book.save(path)
    archive.lay("zeros.jpg")
    rows = {row.path: row for row in archive.plan(_list_rule(path)).rows()}
    assert f"{rows['loose.jpg'].taken_at:%Y-%m-%d %H:%M}" == "2023-05-06 07:08"
    assert f"{rows[f'{OKAFOR}/IMG_1.jpg'].taken_at:%Y-%m-%d %H:%M}" == "2023-05-06 12:00"
    assert rows[f"{MARSH}/IMG_1.jpg"].reason.value == "listed_unclear"
    assert rows[f"{MARSH}/IMG_2.jpg"].reason.value == "listed_unclear"
    assert rows["zeros.jpg"].patient == "00042"
    with pytest.raises(ConfigError, match="sheet"):
        archive.plan(_list_rule(path, sheet="no"), to=archive.root / "b")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_lists_in_other_encodings(archive: Archive, encoding: str) -> None:
    """A list with a mark of its encoding is read. Without one, the encoding must be given."""
    archive.lay("Müller.jpg")
    path = _csv(archive, "File,Patient no,Taken\nMüller.jpg,10042,\n", encoding)
    given = {"encoding": "cp1252"} if encoding == "cp1252" else {}
    if given:
        with pytest.raises(ConfigError, match="encoding="):
            archive.plan(_list_rule(path), to=archive.root / "refused")
    assert reasons(archive.plan(_list_rule(path, **given)))["Müller.jpg"] == "listed"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Name,Id\na,b\n", "lacks the column 'File'"),
        ("", "lacks the column"),
        ('File,Patient no,Taken\n"a,b,c\n', "not CSV"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(archive: Archive, text: str, says: str) -> None:
    """The error comes before anything is listed, and shows nothing of the content."""
    with pytest.raises(ConfigError, match=says):
        archive.plan(_list_rule(_csv(archive, text)))


def test_a_broken_workbook_is_refused(archive: Archive) -> None:
    """A file with the extension xlsx that is not a workbook is an error."""
    path = archive.root / "list.xlsx"
    path.write_bytes(b"not a workbook")
    with pytest.raises(ConfigError, match="workbook"):
        archive.plan(_list_rule(path))


def test_a_plan_is_not_made_over_another(archive: Archive) -> None:
    """A folder with a plan or other files is refused; leftovers of an interrupted planning are overwritten."""
    archive.plan()
    with pytest.raises(ConfigError, match="already"):
        archive.plan()
    (archive.root / "full").mkdir()
    (archive.root / "full" / "x").touch()
    with pytest.raises(ConfigError, match="not empty"):
        archive.plan(to=archive.root / "full")
    (archive.root / "half").mkdir()
    (archive.root / "half" / "rows-00000.parquet").touch()
    assert len(archive.plan(to=archive.root / "half")) == 4


def test_a_damaged_plan_is_an_error(archive: Archive) -> None:
    """A plan that is cut, changed or missing is refused."""
    plan = archive.plan()
    with pytest.raises(ConfigError, match="no finished plan"):
        migration.open_plan(archive.root)
    (plan.directory / "rows-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="damaged"):
        list(plan.rows())
    (plan.directory / "plan.json").write_text("{}")
    with pytest.raises(ConfigError, match="damaged"):
        migration.open_plan(plan.directory)


def test_wrong_arguments_are_errors(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a ConfigError before anything is done."""
    for wrong in ({"mode": "burn"}, {"dates": ["stars"]}, {"zone": "Mars/Base"}):
        with pytest.raises(ConfigError):
            archive.plan(to=archive.root / "x", **wrong)
    plan = archive.plan(to=archive.root / "y", dates=["exif"])
    other = archive.root / "other"
    other.mkdir()
    with pytest.raises(ConfigError, match="check_content"):
        plan.run(archive.records(), check_content=False)
    with pytest.raises(ConfigError, match="tqdm"):
        plan.run(archive.records(), on_progress="bar")
    with pytest.raises(ConfigError, match="callable"):
        plan.run(archive.records(), client=object())
    with pytest.raises(ConfigError, match="another archive"):
        plan.run(archive.records(), source=other)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="migration"):
        archive.plan(to=archive.root / "z")
