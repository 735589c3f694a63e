"""Patients and providers from CSV files: all rows, or none and the line that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intouch_import.errors import ConfigError
from intouch_import.model import Patient, Provider

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.repositories.sql import SqlRepository
    from miniature import Practice


@pytest.fixture
def people(practice: Practice) -> SqlRepository:
    return practice.records()


def test_csv_files_are_loaded(people: SqlRepository, tmp_path: Path) -> None:
    """UTF-8 with or without mark, columns in any order, active and birth date optional."""
    path = tmp_path / "patients.csv"
    path.write_bytes(
        b"\xef\xbb\xbfname,id,active,birth_date,other\r\n"
        b'"Marsh, Ada", 1 ,yes,1970-01-01,x\r\nM\xc3\xbcller,2,NO,,\r\n"two\nlines",3,,,\r\n'
    )
    assert people.load_patients_csv(path) == 3
    assert people.find_patient("1") == Patient(id="1", name="Marsh, Ada", birth_date="1970-01-01")
    assert people.find_patient("2") == Patient(id="2", name="M\xfcller", active=False)
    assert people.find_patient("3") == Patient(id="3", name="two\nlines")
    path.write_text("id,name\nDRX,Dr X\n")
    assert people.load_providers_csv(path) == 1
    assert people.find_provider("DRX") == Provider(id="DRX", name="Dr X")
    path.write_text("id,name\n")
    assert people.load_patients_csv(path) == 0
    path.write_text("id,name,seen\n4,x,monday\n4,x ,tuesday\n")  # the same person twice is one
    people.load_patients_csv(path)
    assert people.find_patient("4") == Patient(id="4", name="x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lacks the column id and name"),
        (b"id;name\n1;x\n", "lacks the column"),
        (b"id\n1\n", "lacks the column name"),
        (b"id,name\n1,x\n,y\n", "line 3"),
        (b"id,name,active\n1,x,perhaps\n", "line 2"),
        (b'id,name\n1,"x\n', "not CSV text"),
        (b"id,name\n1,M\xfcller\n", "UTF-8"),
        (b"id,name\n1,x\n2,y,z,more\n", "line 3"),
        (b"id,name\n1,x\n2,y\0\n", "CSV"),
        (b"id,name\n1,x\n2,y\n 1 ,z\n", "line 4"),
    ],
)
def test_a_csv_file_with_a_mistake_is_not_taken_at_all(
    people: SqlRepository, tmp_path: Path, content: bytes, message: str
) -> None:
    """The error names the line, and none of the rows is stored."""
    path = tmp_path / "patients.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        people.load_patients_csv(path)
    assert people.find_patient("1") is None


def test_a_csv_file_that_is_not_there(people: SqlRepository, tmp_path: Path) -> None:
    """A missing file and a folder are errors of the call."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ConfigError, match="can't be opened"):
            people.load_patients_csv(path)
