"""The patient that a DICOM file names."""

from __future__ import annotations

import io
import sys

import pytest

from intouch_import.media.identity import IDENTITY_BYTES, Identity, identity_in, is_dicom
from miniature import jpeg
from pictures import dicom

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG, DEFLATED, JPEG = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, JPEG])
def test_the_patient_is_read_in_every_encoding(syntax: str) -> None:
    """PatientID and its issuer are read from bytes and from a stream, without the blanks around them."""
    content = dicom(" 10043", issuer="HOSP", syntax=syntax)
    expected = Identity(patient_id="10043", issuer="HOSP")
    assert identity_in(content) == identity_in(io.BytesIO(content)) == expected
    assert is_dicom(content)
    assert identity_in(dicom("10043", syntax=syntax)) == Identity(patient_id="10043")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        jpeg(),
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + b"\xff" * 400,
        dicom(None),
        dicom("  "),
        dicom("10043")[:200],
        dicom("10043")[: dicom("10043").index(b"10043") + 4],
        dicom("10043", syntax=DEFLATED),
        dicom("10043", before=bytes(IDENTITY_BYTES)),
    ],
    ids=[
        "empty",
        "jpeg",
        "mark",
        "garbage",
        "no patient",
        "blank",
        "cut",
        "cut in the id",
        "compressed",
        "far behind",
    ],
)
def test_a_file_that_names_nobody_has_no_identity(content: bytes) -> None:
    """Other files, damaged headers, and patients behind the first mebibyte are not read; nothing is raised."""
    assert identity_in(content) is None
    assert identity_in(io.BytesIO(content)) is None


def test_odd_letters_are_no_obstacle() -> None:
    """An id in another encoding is read as text, and is then the id of nobody."""
    content = dicom("10043").replace(b"10043 ", b"100\xe943 ".ljust(6)[:6])
    found = identity_in(content)
    assert found is not None
    assert found.patient_id == "100é43"
    assert "100" not in repr(found)


def test_a_changed_pydicom_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If pydicom can't be used as before, the log says that patients are not compared, without naming one."""
    filereader = pytest.importorskip("pydicom.filereader")

    def changed(stream: object) -> None: ...

    monkeypatch.setattr(filereader, "read_partial", changed)
    assert identity_in(dicom("10043")) is None
    monkeypatch.delattr(filereader, "read_partial")
    assert identity_in(dicom("10043")) is None
    assert [(record.levelname, record.kind) for record in caplog.records] == [
        ("WARNING", "TypeError"),
        ("WARNING", "ImportError"),
    ]


def test_without_the_extra_no_identity_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pydicom, the file is imported like any other."""
    content = dicom("10043")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pydicom"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert identity_in(content) is None
