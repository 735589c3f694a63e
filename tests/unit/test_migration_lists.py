"""Lists of files and lists of ids: what a spreadsheet may have changed is not guessed back."""

from __future__ import annotations

import csv
from datetime import UTC
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest

from intouch_import.errors import ConfigError
from intouch_import.migration import read_ids
from intouch_import.migration.lists import ListIndex
from intouch_import.migration.rule_results import ListLine, RuleInput, similar_ids
from intouch_import.migration.rules import CaptureRule, FolderRule, ManifestRule, NameRule, Rule
from intouch_import.model import Reason

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {"path": "File", "patient": "Id"}
UNCLEAR = ListLine(doubt=Reason.LISTED_UNCLEAR)
IDS = {"1001": "1002", "1002": "1003"}


def index_of(tmp_path: Path, *lines: tuple[str, str], **options: Any) -> ListIndex:
    """Read a CSV file with these paths and ids."""
    path = tmp_path / "list.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("File", "Id"), *lines])
    rule = ManifestRule(path=path, columns=COLUMNS, **options)
    return ListIndex(rule, tmp_path / "list.sqlite", zone=UTC)


@pytest.mark.parametrize(
    "prefix", ["D:\\Photos", "D:\\Photos\\", "D:/Photos", "//server/Photos", "file:///D:/x"]
)
def test_what_stands_before_the_archive_is_removed(tmp_path: Path, prefix: str) -> None:
    """Paths of an old system are found with their prefix; without it, the reason says so."""
    line = (f"{prefix.rstrip('/')}\\a\\1.jpg".replace("\\\\a", "\\a"), "10042")
    assert index_of(tmp_path, line, prefix=prefix).find(["a/1.jpg"])["a/1.jpg"].patient == "10042"
    index = index_of(tmp_path, line, ("b/2.jpg", "10042"))
    assert index.find(["a/1.jpg"]) == {}
    assert {reason for _, reason in index.unseen()} == {Reason.LISTED_OUTSIDE, Reason.LISTED_MISSING}


def test_another_folder_with_the_same_beginning_is_not_the_prefix(tmp_path: Path) -> None:
    """A prefix ends at a folder: D:/Photos is not the beginning of D:/Photos old."""
    index = index_of(tmp_path, ("D:/Photos old/1.jpg", "10042"), prefix="D:/Photos")
    assert index.find([" old/1.jpg", "old/1.jpg", "1.jpg"]) == {}


def test_other_letter_case_is_found_if_it_is_allowed(tmp_path: Path) -> None:
    """Otherwise the file waits with that reason, and its line does not count as missing."""
    line = ("A\\IMG_1.JPG", "10042")
    index = index_of(tmp_path, line)
    assert index.find(["a/img_1.jpg"])["a/img_1.jpg"].doubt is Reason.LISTED_OTHER_CASE
    assert list(index.unseen()) == []
    index = index_of(tmp_path, ("d:\\photos\\A\\IMG_1.JPG", "10042"), prefix="D:\\Photos", ignore_case=True)
    assert index.find(["a/img_1.jpg"])["a/img_1.jpg"].patient == "10042"


def test_with_any_letter_case_a_line_belongs_to_one_file(tmp_path: Path) -> None:
    """Two files for a line, or two lines for a file, are unclear. The exact path is always clear."""
    index = index_of(tmp_path, ("A.jpg", "10042"), ignore_case=True)
    assert index.find(["a.jpg", "a.JPG"]) == {"a.jpg": UNCLEAR, "a.JPG": UNCLEAR}
    index = index_of(tmp_path, ("A.jpg", "10042"), ignore_case=True)
    found = index.find(["A.jpg", "a.jpg"])
    assert (found["A.jpg"].patient, found["a.jpg"]) == ("10042", UNCLEAR)
    assert index.find(["a.JPG"]) == {"a.JPG": UNCLEAR}  # in a later batch
    index = index_of(tmp_path, ("A.jpg", "10042"), ("a.JPG", "10043"), ignore_case=True)
    assert index.find(["a.jpg"]) == {"a.jpg": UNCLEAR}


@pytest.mark.parametrize(
    ("listed", "paths"),
    [
        ("u\u0308.jpg", ["\u00fc.jpg", "u\u0308.jpg"]),
        ("a/b.jpg", ["a/b.jpg", "a\\b.jpg"]),
        (" a.jpg", ["a.jpg", " a.jpg"]),
    ],
)
def test_a_line_that_fits_several_files_is_unclear(tmp_path: Path, listed: str, paths: list[str]) -> None:
    """Names may differ only in how they are written, or in blanks that were removed from the list."""
    found = index_of(tmp_path, (listed, "10042")).find(paths)
    assert found
    assert all(found.get(path, UNCLEAR) == UNCLEAR for path in paths)


@pytest.mark.parametrize(
    ("value", "form", "patient"),
    [
        (10042, "General", "10042"),
        (42, "0000000", "0000042"),
        (1042, "00-00", None),
        (42, '"P"000', None),
        (100000, "0.00E+00", None),
        (1234567890123456, "0", None),
    ],
)
def test_a_number_that_may_be_another_id_is_unclear(
    tmp_path: Path, value: int, form: str, patient: str | None
) -> None:
    """Excel may show a number with other characters, or have lost its last digits."""
    book = openpyxl.Workbook()
    book.active.append(["File", "Id"])
    book.active.append(["a.jpg", value])
    book.active["B2"].number_format = form
    book.save(tmp_path / "list.xlsx")
    rule = ManifestRule(path=tmp_path / "list.xlsx", columns=COLUMNS)
    line = ListIndex(rule, tmp_path / "list.sqlite", zone=UTC).find(["a.jpg"])["a.jpg"]
    assert line == (UNCLEAR if patient is None else ListLine(patient=patient))


def test_ids_that_a_spreadsheet_may_have_changed_are_other_ids(tmp_path: Path) -> None:
    """Zeros may be lost: patients with such ids are rivals. Blanks are no part of an id."""
    assert {"0010042", "000010042"} <= set(similar_ids("10042"))
    assert "10042" in similar_ids("0010042")
    assert similar_ids("A-7") == ()
    line = index_of(tmp_path, ("a.jpg", " A-7\u00a0")).find(["a.jpg"])["a.jpg"]
    result = ManifestRule(path="x", columns=COLUMNS).read(RuleInput((), "a.jpg", line))
    assert (result.patient, result.other_ids) == ("A-7", ())


@pytest.mark.parametrize(
    ("rule", "file"),
    [
        (FolderRule("{patient}", ids=IDS), RuleInput(("1001",), "x.jpg")),
        (NameRule("{patient}_{*}", ids=IDS), RuleInput((), "1001_x.jpg")),
        (CaptureRule(ids=IDS), RuleInput((), "1001_DRJ_20240301_091500.jpg")),
        (ManifestRule(path="x", columns=COLUMNS, ids=IDS), RuleInput((), "x.jpg", ListLine(patient="1001"))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_old_ids_are_replaced_once(rule: Rule, file: RuleInput) -> None:
    """A new id that is also an old id is not replaced again; an id without a new one names nobody."""
    assert rule.read(file).patient == "1002"
    assert Rule.from_dict(rule.to_dict()) == rule
    unmapped = file._replace(
        folders=tuple(one.replace("1001", "1009") for one in file.folders),
        name=file.name.replace("1001", "1009"),
        line=file.line and ListLine(patient="1009"),
    )
    result = rule.read(unmapped)
    assert (result.patient, result.no_patient) == (None, Reason.ID_NOT_MAPPED)


def test_other_ids_are_old_ids_too() -> None:
    """A folder with another patient's old id below is a conflict with the patient's new id."""
    result = FolderRule("{patient}", ids=IDS).read(RuleInput(("1001", "1002 x"), "x.jpg"))
    assert "1003" in result.other_ids
    assert FolderRule("{patient} x", ids=IDS).read(RuleInput(("1001",), "x.jpg")).no_patient is Reason.NO_RULE


def test_two_columns_of_ids_are_read(tmp_path: Path) -> None:
    """From CSV with any delimiter, or from Excel; empty lines are skipped."""
    path = tmp_path / "ids.csv"
    path.write_text("Old;New\n1001; 1002\n\n1002;1003\n1002;1003\n", "utf-8")
    assert read_ids(path) == {"Old": "New", **IDS}
    book = openpyxl.Workbook()
    for pair in (("1001", 1002), (1002, "1003"), (None, None)):
        book.active.append(pair)
    book.save(tmp_path / "ids.xlsx")
    assert read_ids(tmp_path / "ids.xlsx") == IDS


@pytest.mark.parametrize("text", ["1,2\n1,3\n", "1,2\n3,\n", "1,2,3\n", "1\n"])
def test_lists_of_ids_that_are_unclear_are_refused(tmp_path: Path, text: str) -> None:
    """An old id with two new ids, or a line without two ids, is an error."""
    path = tmp_path / "ids.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="line"):
        read_ids(path)


@pytest.mark.parametrize("ids", ["1001", {"1001": ""}, {"1001": 1002}, 7])
def test_ids_that_are_no_map_are_refused(ids: Any) -> None:
    """The error comes before anything is listed."""
    with pytest.raises(ConfigError, match="ids="):
        FolderRule("{patient}", ids=ids)
