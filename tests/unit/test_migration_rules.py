"""Patterns and rules find the patient of a file, without a disk."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intouch_import.errors import ConfigError, NamingPatternError
from intouch_import.migration.patterns import PathPattern
from intouch_import.migration.rule_results import (
    DATE_ORDER,
    ChosenTime,
    ListLine,
    RuleInput,
    StatedTime,
    choose_time,
    date_order,
    times_after_exif,
)
from intouch_import.migration.rules import (
    AllOf,
    CaptureRule,
    FolderRule,
    ManifestRule,
    NameRule,
    PatientRule,
    Rule,
)
from intouch_import.model import Reason, TakenFrom


@pytest.mark.parametrize(
    ("pattern", "folder", "patient", "day"),
    [
        ("{patient}", "10042", "10042", None),
        ("{patient}", "10042/2024/close-ups", "10042", None),
        ("{patient} - {*}", "10042 - Marsh, Ada", "10042", None),
        ("{patient} - {*}/{date:%Y-%m-%d}", "10042 - Marsh, Ada/2024-03-01", "10042", "2024-03-01 12:00"),
        ("{*} ({patient})", "Marsh, Ada (10042)/x", "10042", None),
        ("{*} {patient:[0-9]{5}}", "Marsh Ada 10042", "10042", None),
        ("{provider}/{*}/{patient}", "DRJ/M/10042", "10042", None),
        ("{**}/{patient:[0-9]{5}}", "archive/M/Ma/10042", "10042", None),
        ("{date:%Y}/{date:%m}/{date:%d}/{patient}", "2024/03/01/10042", "10042", "2024-03-01 12:00"),
        ("{date:%Y%m%d_%H%M}_{patient}", "20240301_0915_10042", "10042", "2024-03-01 09:15"),
        ("Müller {patient}", "Mu\u0308ller 7", "7", None),
        ("{patient:[A-Z]\\d{4}}{*}", "M1234abc", "M1234", None),
        ("{patient:\\d{5,}} {*}", "100421 abc", "100421", None),
        ("{patient:M\\d{0,}} - {*}", "M1234 - x", "M1234", None),
    ],
)
def test_folders_of_real_archives_are_read(pattern: str, folder: str, patient: str, day: str | None) -> None:
    """Usual structures of folders give the patient, and the day if they have one."""
    result = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")), "IMG_0001.jpg"))
    assert (result.patient, result.reason, result.doubt) == (patient, Reason.FOLDER_NAME, None)
    assert [f"{time.local:%Y-%m-%d %H:%M}" for time in result.times] == ([day] if day else [])


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("{patient}", ""),
        ("{patient} - {*}", "10042"),
        ("{patient}/{date:%Y}", "10042"),
        ("{**}/{patient}x", "a/b"),
    ],
)
def test_folders_of_another_structure_name_nobody(pattern: str, folder: str) -> None:
    """A folder that does not match the pattern names no patient."""
    result = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")) if folder else (), "x.jpg"))
    assert (result.patient, result.doubt, result.no_patient) == (None, None, Reason.NO_RULE)


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("{*}-{patient}", "Marsh-10042-7"),
        ("{patient}{*}", "10042"),
        ("{**}/{patient:[0-9]{5}}", "10042/10043"),
    ],
)
def test_a_folder_that_can_be_read_as_two_patients_is_a_conflict(pattern: str, folder: str) -> None:
    """Neither reading is chosen."""
    result = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")), "x.jpg"))
    assert (result.patient, result.doubt) == (None, Reason.PATIENT_CONFLICT)


def test_other_ids_in_names_are_reported() -> None:
    """Words that look like ids are returned. If one is another patient's id, that is a conflict."""
    result = FolderRule("{patient:[0-9]{5}} - {*}").read(RuleInput(("10042 - and 10043", "10044"), "x.jpg"))
    assert (result.patient, result.other_ids) == ("10042", ("10043", "10044"))
    waived = FolderRule("{patient:[0-9]{5}}/{**}").read(RuleInput(("10042", "10043"), "x.jpg"))
    assert waived.other_ids == ()
    assert NameRule("{patient:[0-9]{5}}_{*}").read(RuleInput((), "10042_10043.jpg")).other_ids == ("10043",)


def test_a_date_that_cannot_exist_is_a_doubt() -> None:
    """31 February in a folder's name is not ignored."""
    result = FolderRule("{patient}/{date:%Y-%m-%d}").read(RuleInput(("10042", "2024-02-31"), "x.jpg"))
    assert (result.patient, result.doubt, result.times) == ("10042", Reason.DATE_IMPOSSIBLE, ())


def test_rules_that_agree_are_combined() -> None:
    """The folder and the name together give more values than each alone."""
    rule = FolderRule("{patient} - {*}") | CaptureRule()
    result = rule.read(RuleInput(("10042 - Marsh",), "10042_DRJ_20240301_091500.jpg"))
    assert (result.patient, result.provider, result.doubt) == ("10042", "DRJ", None)
    assert result.times == (StatedTime(TakenFrom.NAME, datetime(2024, 3, 1, 9, 15)),)


@pytest.mark.parametrize(
    "rule", [FolderRule("{patient} - {*}") | CaptureRule(), FolderRule("{patient} - {*}") & CaptureRule()]
)
def test_rules_that_name_two_patients_are_a_conflict(rule: Rule) -> None:
    """With ``|`` and with ``&``, neither patient is chosen."""
    result = rule.read(RuleInput(("10042 - Marsh",), "10043_DRJ_20240301_091500.jpg"))
    assert (result.patient, result.doubt) == (None, Reason.PATIENT_CONFLICT)


def test_all_of_needs_a_patient_from_every_rule() -> None:
    """With ``&``, a file waits if one rule names no patient."""
    result = (FolderRule("{patient} - {*}") & CaptureRule()).read(RuleInput(("10042 - Marsh",), "IMG_1.jpg"))
    assert (result.patient, result.no_patient) == (None, Reason.NO_CAPTURE_NAME)


def test_an_impossible_time_in_a_capture_name_is_a_doubt_whatever_the_folder_says() -> None:
    """If the time in a name is wrong, the rest of the name may be wrong, too."""
    result = (FolderRule("{patient} - {*}") | CaptureRule()).read(
        RuleInput(("10042 - M",), "10042_DRJ_20240231_091500.jpg")
    )
    assert result.doubt is Reason.TIME_IMPOSSIBLE


def test_a_list_names_the_patients_of_its_files() -> None:
    """A file without a line waits. A file with an unclear line waits with that reason."""
    rule = ManifestRule(path="list.csv", columns={"path": "File", "patient": "Id"})
    assert rule.read(RuleInput((), "a.jpg")).no_patient is Reason.NOT_LISTED
    assert rule.read(RuleInput((), "a.jpg", ListLine(patient="10042"))).patient == "10042"
    assert rule.read(RuleInput((), "a.jpg", ListLine(doubt=Reason.LISTED_TWICE))).doubt is Reason.LISTED_TWICE


RULES = [
    FolderRule("{patient} - {*}"),
    NameRule("{patient}_{*}"),
    CaptureRule(),
    PatientRule("10042"),
    ManifestRule(path="list.csv", columns={"path": "File", "patient": "Id"}, encoding="cp1252"),
    FolderRule("{patient}") | CaptureRule() | NameRule("{patient}"),
    FolderRule("{patient}") & (CaptureRule() | NameRule("{patient}")),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_rules_are_values(rule: Rule) -> None:
    """A rule that went to JSON or to another process and back is equal to the first one."""
    assert Rule.from_dict(rule.to_dict()) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule


def test_wrong_rules_are_refused() -> None:
    """A mistake in a rule is an error before anything is listed."""
    with pytest.raises(ConfigError):
        Rule.from_dict({"rule": "astrology"})
    with pytest.raises(ConfigError):
        AllOf(CaptureRule())
    with pytest.raises(ConfigError, match="one list"):
        _ = (
            RULES[4]
            | RULES[4]
            | CaptureRule()
            | ManifestRule(path="b", columns={"path": "a", "patient": "b"})
        )
    with pytest.raises(ConfigError, match="columns="):
        ManifestRule(path="list.csv", columns={"path": "File"})


@pytest.mark.parametrize(
    "pattern",
    ["", "{patient}/{patient}", "{name}", "{patient", "a}", "{*}/{**}", "{patient:(a|b)}", "{patient}/{**}/{**}",
     "{date:%y}-{patient}", "{date:}", "{*}{*}{patient}", "a//{patient}", "{date:%Y%Y}", "{patient:[9-0]}",
     r"{patient:\w*\w*\w*x}", r"{provider:\d+\d+}/{patient}", r"{patient:\d*}", r"{patient:\d{64,}\d{64}\d{64}\d{64}}"],
)  # fmt: skip
def test_patterns_that_cannot_be_used_are_refused(pattern: str) -> None:
    """Each pattern is an error before anything is listed."""
    with pytest.raises(NamingPatternError):
        PathPattern(pattern)


@given(st.text(st.characters(exclude_characters="/"), min_size=1, max_size=40))
def test_any_folder_name_is_read_in_good_time(name: str) -> None:
    """No name raises an error. If a patient is found, the name contains the id."""
    result = FolderRule("{*}-{patient}{*}").read(RuleInput((name,), "x.jpg"))
    assert result.patient is None or result.patient in name


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("{*}-{patient}-{*}-{provider}-{*}", "-".join(["ab"] * 80)),
        ("{**}/{date:%Y}/{**}/{*}x{*}/{**}/{*}y{*}/{**}/{patient}z", "/".join(["axy"] * 100)),
        (r"{*}{patient:\w{2,}}{*}", "a" * 255),
        ("{patient} - {*}", "10042 - " + "x" * 5000),
    ],
)
def test_every_way_to_read_a_name_is_tried_or_the_name_is_refused(pattern: str, folder: str) -> None:
    """The work does not explode with the length of a name; a name with too many readings waits."""
    result = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")), "x.jpg"))
    assert result.patient is None


def test_the_last_of_many_readings_counts() -> None:
    """The first readings agree on the patient, and another one names another patient: a conflict."""
    years = " ".join(map(str, range(2010, 2019)))
    result = FolderRule("{patient}-{*}{date:%Y}{*}").read(RuleInput((f"100-42-Marsh {years}",), "x.jpg"))
    assert (result.patient, result.doubt) == (None, Reason.PATIENT_CONFLICT)


def test_an_id_that_is_also_a_date_is_weak() -> None:
    """A folder of a year may be a patient's. A second rule that names the same patient settles it."""
    rule = FolderRule("{patient}")
    assert rule.read(RuleInput(("2019",), "x.jpg")).weak is Reason.ID_IS_DATE
    assert rule.read(RuleInput(("10042",), "x.jpg")).weak is None
    name = "2019_DRJ_20240301_091500.jpg"
    assert (rule | CaptureRule()).read(RuleInput(("2019",), name)).weak is None
    assert (rule | NameRule("{patient}_{*}")).read(RuleInput(("2019",), name)).weak is Reason.ID_IS_DATE


@pytest.mark.parametrize(
    ("pattern", "folder", "others"),
    [
        ("{patient}", "10042/10043-photos", {"10043-photos", "10043", "photos"}),
        ("{patient}", "10042/2024-03-01", {"2024-03-01"}),
        ("{patient}", "10042/2024-03-01-10043", {"2024-03-01-10043", "2024-03-01", "10043"}),
        (r"{patient:\d{5}}", "10042/IMG10043", {"10043"}),
        (r"{patient:\w+}", "A_1/A_2", {"A_2", "A", "2"}),
        ("{patient}", "100-42/100-42-7", {"100-42-7", "42-7", "7"}),
        ("{patient}/{date:%m}", "10042/05/05", {"05"}),
        ("{date:%Y}", "2019/10042", set()),
    ],
)
def test_parts_of_a_name_may_be_other_ids(pattern: str, folder: str, others: set[str]) -> None:
    """An id is found between separators, and whatever characters the pattern allows. Parts of a date are no ids."""
    result = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")), "x.jpg"))
    assert set(result.other_ids) == others


def test_dates_follow_the_order_of_trust() -> None:
    """The first origin that has a time is used."""
    times = (
        StatedTime(TakenFrom.FOLDER, datetime(2024, 1, 1, 12)),
        StatedTime(TakenFrom.NAME, datetime(2024, 2, 2, 9)),
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    by_name = choose_time(times, DATE_ORDER, zone=UTC, now=now)
    assert by_name == ChosenTime(datetime(2024, 2, 2, 9, tzinfo=UTC), TakenFrom.NAME, differ=True)
    by_folder = choose_time(times, date_order(["folder", "name"]), zone=UTC, now=now)
    assert by_folder.taken_from is TakenFrom.FOLDER
    assert choose_time(times, date_order(["exif"]), zone=UTC, now=now) == ChosenTime()


def test_impossible_times_are_doubts() -> None:
    """A time that the clocks skipped, or that is in the future, makes the file wait."""
    zone, now = ZoneInfo("Europe/Berlin"), datetime(2026, 1, 1, tzinfo=UTC)
    gap = choose_time(
        (StatedTime(TakenFrom.NAME, datetime(2024, 3, 31, 2, 30)),), DATE_ORDER, zone=zone, now=now
    )
    assert gap.doubt is Reason.TIME_SKIPPED
    listed = choose_time(
        (StatedTime(TakenFrom.LIST, datetime(2024, 10, 27, 2, 30)),), DATE_ORDER, zone=zone, now=now
    )
    assert listed == ChosenTime()
    later = datetime(2030, 1, 1)
    assert (
        choose_time((StatedTime(TakenFrom.NAME, later),), DATE_ORDER, zone=zone, now=now).doubt
        is Reason.TIME_IN_FUTURE
    )
    assert (
        choose_time((StatedTime(TakenFrom.FOLDER, later),), DATE_ORDER, zone=zone, now=now).doubt
        is Reason.DATE_IN_FUTURE
    )


def test_exif_overrides_the_times_after_it() -> None:
    """By default, it overrides a folder's date, but not a name's time."""
    assert TakenFrom.NAME not in times_after_exif(DATE_ORDER)
    assert TakenFrom.FOLDER in times_after_exif(DATE_ORDER)
    assert None in times_after_exif(DATE_ORDER)
    assert TakenFrom.FOLDER not in times_after_exif(date_order(["folder"]))
    with pytest.raises(ConfigError):
        date_order(["stars"])
    with pytest.raises(ConfigError):
        date_order(["name", "name"])
