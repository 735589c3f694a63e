"""What a person is asked before a save: `SaveRequest.doubts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.errors import ConfigError, FileUnreadable
from intouch_import.inbox import Doubt, DoubtKind, Evidence, Inbox, Severity
from intouch_import.inbox import doubts as doubts_module
from intouch_import.inbox.doubts import described
from intouch_import.model import Patient, Reason, State
from intouch_import.sources.local import LocalSource
from miniature import jpeg
from pictures import HTML, dicom

if TYPE_CHECKING:
    from intouch_import.inbox import SaveRequest
    from miniature import Practice

AUTO = "10042_DRJ_20260131_142501.jpg"
OTHER = "10043_DRJ_20260201_080000.jpg"


@pytest.fixture(name="prepared")
def _prepared(practice: Practice) -> Any:
    def prepare(*names: str, patient: str = "10042", **options: Any) -> SaveRequest:
        inbox = practice.inbox(**options)
        inbox.refresh()
        rows = [row for row in inbox.rows if row.name in names] if names else inbox.rows
        return inbox.prepare(rows, patient=patient)

    return prepare


def brief(request: SaveRequest) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (one.kind.value, one.severity.value, tuple(row.name for row in one.rows)) for one in request.doubts
    ]


def only(request: SaveRequest) -> Doubt:
    (doubt,) = request.doubts
    return doubt


def test_a_file_hides_no_doubt_about_the_next_one(prepared: Any, practice: Practice) -> None:
    """Of several files, each is looked at: after one without a doubt, and after one with a doubt of another kind."""
    practice.photo("10042_DRJ_20260131_142502.jpg", jpeg("a")[:-40])
    practice.photo("10042_DRJ_20260131_142503.jpg", jpeg("b")[:-40])
    practice.photo("30001 left.jpg")
    practice.photo("whole.jpg")
    practice.photo("z.jpg", HTML)
    request = prepared(
        "10042_DRJ_20260131_142502.jpg",
        "10042_DRJ_20260131_142503.jpg",
        "30001 left.jpg",
        "whole.jpg",
        "z.jpg",
    )
    assert brief(request) == [
        ("content", "warning", ("10042_DRJ_20260131_142502.jpg", "10042_DRJ_20260131_142503.jpg")),
        ("content", "warning", ("z.jpg",)),
    ]
    practice.photo("10043 right.jpg")
    request = prepared("30001 left.jpg", "10043 right.jpg")
    assert brief(request) == [("other_patient", "confirm", ("10043 right.jpg",))]


# --- whose photo is it?


def test_the_patient_in_the_name_is_asked_about_with_both_patients(practice: Practice) -> None:
    """The warning has name, id and date of birth of the chosen patient and of the one whom the name identifies."""
    records = practice.records()
    records.add_patient(Patient(id="10045", name="Dana Osei", birth_date="1975-03-09"))
    records.add_patient(Patient(id="10046", name="Eli Brandt", birth_date="1961-12-24"))
    practice.photo("10046_DRJ_20260201_080000.jpg")
    inbox = practice.inbox(records=records, auto_import=False)
    inbox.refresh()
    request = inbox.prepare(inbox.rows, patient="10045")
    assert request.warning == (
        "The image will be saved to Dana Osei (10045, born 1975-03-09). The file name identifies "
        "Eli Brandt (10046, born 1961-12-24), not Dana Osei (10045, born 1975-03-09)."
    )
    doubt = only(request)
    assert (doubt.kind, doubt.severity, doubt.evidence) == (
        DoubtKind.OTHER_PATIENT, Severity.CONFIRM, Evidence.NAME,
    )  # fmt: skip
    assert doubt.patient == records.find_patient("10046")
    assert doubt.rows == tuple(inbox.rows)
    assert request.needs_confirmation
    assert "Brandt" not in repr(doubt)
    assert "1004" not in repr(doubt)
    assert inbox.prepare(inbox.rows, patient="10046").doubts == ()


@pytest.mark.parametrize(
    "name",
    [
        OTHER,
        "10043_DRJ_20260231_080000.jpg",
        "10043_DRJ_20260201_080000 (1).jpg",
        "10043_DRJ_20260201_080000-edited.jpg",
        "10043_DRJ_20260201_080000.jpg.jpg",
        "10043_DRX_20990201_080000.jpg",
        "10043.jpg",
        "10043 left arm.jpg",
        "10043-2.jpg",
    ],
)
def test_a_name_that_is_no_capture_name_may_identify_a_patient_too(
    prepared: Any, practice: Practice, name: str
) -> None:
    """Copies, edited versions, impossible dates and names that begin with an id identify another patient."""
    practice.photo(name)
    doubts = [one for one in prepared(auto_import=False).doubts if one.kind is DoubtKind.OTHER_PATIENT]
    assert [(one.patient.id, one.evidence) for one in doubts] == [("10043", Evidence.NAME)]
    assert prepared(patient="10043", auto_import=False).needs_confirmation is False


@pytest.mark.parametrize(
    ("patient", "name"),
    [
        ("1234", "IMG_1234.jpg"),
        ("123", "123.jpg"),
        ("2019", "2019 summer.jpg"),
        ("20190502", "20190502_101500.jpg"),
        ("DSC01234", "DSC01234.jpg"),
    ],
)
def test_numbers_of_cameras_counters_and_dates_are_no_ids(
    practice: Practice, patient: str, name: str
) -> None:
    """A patient who has such an id is not asked about each time a camera or a year has it, too."""
    records = practice.records()
    records.add_patient(Patient(id=patient, name="Kim"))
    practice.photo(name)
    inbox = practice.inbox(records=records)
    inbox.refresh()
    assert inbox.prepare(inbox.rows, patient="10042").doubts == ()


def test_a_folder_of_another_patient_is_asked_about(practice: Practice) -> None:
    """An imaging tower's folder is named after one patient; its files are not another's without a question."""
    folder = practice.root / "10043 - Okafor"
    folder.mkdir()
    practice.photo("1.jpg", folder=folder)
    browsed = practice.inbox().browse(folder, patient="10042")
    doubt = only(browsed.prepare(browsed.rows, patient="10042"))
    assert (doubt.kind, doubt.evidence) == (DoubtKind.OTHER_PATIENT, Evidence.FOLDER)
    browsed = practice.inbox().browse(folder, patient="10043")
    assert browsed.prepare(browsed.rows, patient="10043").warning is None


def test_an_id_that_nobody_has_is_asked_about(prepared: Any, practice: Practice) -> None:
    """A capture name with the id of nobody may be a mistyped or merged patient."""
    practice.photo("99999_DRJ_20260131_142501.jpg")
    for auto_import in (True, False):
        assert brief(prepared(auto_import=auto_import)) == [
            ("unknown_patient", "warning", ("99999_DRJ_20260131_142501.jpg",))
        ]


def test_a_file_that_is_in_another_record_is_asked_about(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored file whose removal failed belongs to the patient who has it."""
    practice.photo("plain.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", lambda *_, **__: (_ for _ in ()).throw(FileUnreadable("busy")))
        assert inbox.save(inbox.prepare(inbox.rows, patient="10043")).stored == 1
    doubts = inbox.prepare(inbox.rows, patient="10042").doubts
    assert [(one.kind, one.evidence) for one in doubts][:1] == [(DoubtKind.OTHER_PATIENT, Evidence.RECORDS)]
    other = practice.inbox()
    other.scan()
    assert other.prepare(other.rows, patient="10042").doubts[0].evidence is Evidence.RECORDS


def test_many_files_are_named_but_not_all(prepared: Any, practice: Practice) -> None:
    """A doubt about many files names three of them, and has the rows of all."""
    for second in range(5):
        practice.photo(f"10043_DRJ_20260201_08000{second}.jpg")
    request = prepared(auto_import=False)
    doubt = only(request)
    assert len(doubt.rows) == 5
    assert doubt.text.startswith("10043_DRJ_20260201_080000.jpg, ")
    assert (
        "080002.jpg and 2 more: The file name identifies Ben Okafor (10043), not Ada Marsh (10042)."
        in doubt.text
    )
    assert request.warning.startswith("5 images will be saved to Ada Marsh (10042). 10043_DRJ")


def test_an_inactive_patient_is_asked_about(prepared: Any, practice: Practice) -> None:
    """Nobody is asked twice when the name says the same patient."""
    practice.photo("10044_DRJ_20260131_142501.jpg")
    assert [one.kind for one in prepared(patient="10044").doubts] == [DoubtKind.INACTIVE_PATIENT]
    assert [one.kind for one in prepared(patient="10042").doubts] == [DoubtKind.OTHER_PATIENT]


def test_a_patient_is_described_by_what_is_known() -> None:
    """Name, id and date of birth, each only if it is known."""
    assert described(Patient(id="1")) == "1"
    assert described(Patient(id="1", birth_date="2001-02-03")) == "1 (born 2001-02-03)"
    assert described(Patient(id="1", name="Ada")) == "Ada (1)"
    assert described(Patient(id="1", name="Ada", birth_date="2001-02-03")) == "Ada (1, born 2001-02-03)"


# --- identity in the bytes


def test_the_patient_in_a_dicom_header_is_asked_about(prepared: Any, practice: Practice) -> None:
    """Another patient in the header is a doubt, with the issuer of the id; the chosen patient is none."""
    practice.photo("scan.dcm", dicom("10043", issuer="HOSP"))
    doubt = only(prepared())
    assert (doubt.kind, doubt.severity, doubt.evidence) == (
        DoubtKind.OTHER_PATIENT, Severity.CONFIRM, Evidence.CONTENT,
    )  # fmt: skip
    assert (
        doubt.text
        == "The DICOM header names Ben Okafor (10043) (an id issued by HOSP), not Ada Marsh (10042)."
    )
    assert prepared(patient="10043").doubts == ()


@pytest.mark.parametrize(("issuer", "kinds"), [(None, [DoubtKind.UNKNOWN_PATIENT]), ("HOSP", [])])
def test_an_unknown_id_in_a_header_is_asked_about_unless_another_issuer_gave_it(
    prepared: Any, practice: Practice, issuer: str | None, kinds: list[DoubtKind]
) -> None:
    """A hospital has ids of its own. They say nothing if no patient here has them."""
    practice.photo("scan.dcm", dicom("X-99", issuer=issuer))
    assert [one.kind for one in prepared().doubts] == kinds


def test_a_dicom_file_of_another_patient_is_never_imported_automatically(practice: Practice) -> None:
    """Its name identifies one patient and its header another: it waits, and stays refused, until a person saves it."""
    name = "10042_DRJ_20260131_142501.dcm"
    practice.photo(name, dicom("10043"))
    inbox = practice.inbox()
    for _ in range(2):
        (outcome,) = inbox.refresh().outcomes
        assert (outcome.state, outcome.reason) == (State.WAITING, Reason.OTHER_PATIENT)
    assert practice.left() == [name]
    for patient, evidence in (("10042", Evidence.CONTENT), ("10043", Evidence.NAME)):
        request = inbox.prepare(inbox.rows, patient=patient)
        assert [(one.kind, one.evidence) for one in request.doubts] == [(DoubtKind.OTHER_PATIENT, evidence)]
    assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1


def test_a_dicom_file_of_nobody_here_is_imported_by_its_name(practice: Practice) -> None:
    """Devices have ids of their own: only another patient who exists stops an automatic import."""
    practice.photo("10042_DRJ_20260131_142501.dcm", dicom("X-99"))
    assert practice.inbox().refresh().imported == 1


@pytest.mark.parametrize("check_content", [True, False])
def test_a_file_that_could_not_be_read_before_the_save_waits_and_is_then_asked_about(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, check_content: bool
) -> None:
    """Nothing of another patient is saved unasked because a slow location could not be read in time."""
    monkeypatch.setattr(LocalSource, "peek", lambda *_: None)
    monkeypatch.setattr("intouch_import.inbox.glimpses._FETCH_AT_MOST_BYTES", 10)
    practice.photo("scan.dcm", dicom("10043"))
    inbox = practice.inbox(check_content=check_content)
    inbox.refresh()
    request = inbox.prepare(inbox.rows, patient="10042")
    assert request.doubts == ()
    (outcome,) = inbox.save(request).outcomes
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.OTHER_PATIENT)
    request = inbox.prepare(inbox.rows, patient="10042")
    doubt = only(request)
    assert (doubt.kind, doubt.severity, doubt.text) == (
        DoubtKind.OTHER_PATIENT, Severity.CONFIRM, Reason.OTHER_PATIENT.text,
    )  # fmt: skip
    assert inbox.save(request).imported == 1


def test_a_location_without_a_quick_way_is_read_completely(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is then known, too, so that no file is read twice."""
    monkeypatch.setattr(LocalSource, "peek", lambda *_: None)
    practice.photo("scan.dcm", dicom("10043"))
    inbox = practice.inbox()
    inbox.refresh()
    assert only(inbox.prepare(inbox.rows, patient="10042")).evidence is Evidence.CONTENT
    assert inbox.rows[0].sha256 is not None


# --- the file


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (HTML, "The content does not match the file extension. It is a web page."),
        (jpeg("x")[:-40], "The content is incomplete: it ends too early."),
    ],
)
@pytest.mark.parametrize("name", ["wound.jpg", AUTO])
def test_content_that_is_not_a_whole_photo_is_asked_about(
    prepared: Any, practice: Practice, name: str, content: bytes, text: str
) -> None:
    """Whether or not an automatic import has refused it before; and it is said once."""
    practice.photo(name, content)
    request = prepared()
    assert brief(request) == [("content", "warning", (name,))]
    assert only(request).text == text
    assert not request.needs_confirmation


def test_a_picture_under_the_extension_of_another_kind_is_no_doubt(prepared: Any, practice: Practice) -> None:
    """Towers write JPEG under .tif; every viewer shows it."""
    practice.photo("tower-1.tif", jpeg("x"))
    assert prepared().doubts == ()


def test_an_unreadable_file_is_left_to_the_save(
    prepared: Any, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure to look does not prevent the question about everything else."""
    practice.photo(OTHER)

    def fail(*_: object) -> None:
        raise FileUnreadable("busy")

    monkeypatch.setattr(LocalSource, "peek", fail)
    assert [one.kind for one in prepared(auto_import=False).doubts] == [DoubtKind.OTHER_PATIENT]


def test_no_more_is_read_than_allowed(
    prepared: Any, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person waits: after the limit, files are left to the save."""
    for number in range(4):
        practice.photo(f"{number}.jpg", HTML)
    monkeypatch.setattr("intouch_import.inbox.glimpses._READ_AT_MOST_BYTES", 3 * len(HTML))
    assert brief(prepared()) == [("content", "warning", ("0.jpg", "1.jpg"))]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("10042_DRX_20260131_142501.jpg", "provider"),
        ("10042_DRK_20260131_142501.jpg", "provider"),
        ("10042_DRJ_20270131_142501.jpg", "time"),
    ],
)
@pytest.mark.parametrize("auto_import", [True, False])
def test_what_makes_a_file_wait_is_asked_about(
    practice: Practice, name: str, kind: str, auto_import: bool
) -> None:
    """Also where automatic import is off, so that the list does not show the reason."""
    practice.photo(name)
    inbox = practice.inbox(practice.source(provider="DRJ"), auto_import=auto_import)
    inbox.refresh()
    assert brief(inbox.prepare(inbox.rows, patient="10042")) == [(kind, "note", (name,))]


def test_every_reason_to_wait_is_a_doubt_or_known_not_to_be(prepared: Any, practice: Practice) -> None:
    """A new reason is asked about until somebody decides otherwise."""
    practice.photo("plain.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    (row,) = inbox.rows
    for reason in Reason:
        row.reason = reason
        asked = inbox.prepare([row], patient="10042").doubts if reason not in _NOT_SAVED else ()
        expected = reason not in doubts_module._NO_DOUBT and reason not in _NOT_SAVED
        assert [one.rows for one in asked] == ([(row,)] if expected else []), reason
    row.state, row.reason = State.FAILED, Reason.REPOSITORY_FAILED
    assert inbox.prepare([row], patient="10042").doubts == ()


_NOT_SAVED = frozenset({Reason.EMPTY, Reason.EXTENSION_NOT_ALLOWED, Reason.NOT_DOWNLOADED})


def test_an_undone_import_is_noted(practice: Practice) -> None:
    """A file that a person has put back is not saved as if nothing had happened."""
    practice.photo(AUTO)
    inbox = practice.inbox()
    (outcome,) = inbox.refresh().outcomes
    inbox.undo(outcome)
    inbox.refresh()
    assert brief(inbox.prepare(inbox.rows, patient="10042")) == [("history", "note", (AUTO,))]


def test_doubts_are_sorted_by_strength(prepared: Any, practice: Practice) -> None:
    """What may be another patient's comes first, and the warning has all of it."""
    practice.photo("a.jpg", HTML)
    practice.photo("10043_DRX_20270201_080000.jpg")
    request = prepared(patient="10044", auto_import=False)
    assert [one.severity for one in request.doubts] == [
        Severity.CONFIRM, Severity.WARNING, Severity.WARNING, Severity.NOTE,
    ]  # fmt: skip
    for doubt in request.doubts:
        assert doubt.text in request.warning


# --- what prepare and an inbox accept


def test_one_row_and_one_source_need_no_list(practice: Practice) -> None:
    """A single source or row is accepted; anything else is a mistake that is explained."""
    practice.photo("plain.jpg")
    source = practice.source()
    inbox = Inbox(practice.records(), source, zone="UTC", settle_s=0.0)
    inbox.refresh()
    request = inbox.prepare(inbox.rows[0], patient="10042")
    assert [row.name for row in request.rows] == ["plain.jpg"]
    for wrong in ("photos", practice.photos, ["photos"], None):
        with pytest.raises(ConfigError, match="open_source"):
            Inbox(practice.records(), wrong, zone="UTC")  # type: ignore[arg-type]
    for rows in ("plain.jpg", ["plain.jpg"], None, 7):
        with pytest.raises(ConfigError, match=r"rows of Inbox\.rows"):
            inbox.prepare(rows, patient="10042")
    for patient in (None, 10042):
        with pytest.raises(ConfigError, match="patient"):
            inbox.prepare(inbox.rows, patient=patient)


def test_a_request_shows_no_patient_in_its_repr(prepared: Any, practice: Practice) -> None:
    """A request may be logged by a host."""
    practice.photo(OTHER)
    request = prepared(auto_import=False)
    assert "Marsh" not in repr(request)
    assert "Okafor" not in repr(request)
    assert attrs.asdict(request, recurse=False)["doubts"] == request.doubts
