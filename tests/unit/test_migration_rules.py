"""Whose a file of an archive is: patterns and rules, without a disk."""

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
    ],
)
def test_folders_of_real_archives_are_read(pattern: str, folder: str, patient: str, day: str | None) -> None:
    """The forms that archives come in name their patient, and the day where it is there."""
    said = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")), "IMG_0001.jpg"))
    assert (said.patient, said.reason, said.doubt) == (patient, Reason.FOLDER_NAME, None)
    assert [f"{told.local:%Y-%m-%d %H:%M}" for told in said.times] == ([day] if day else [])


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("{patient}", ""),
        ("{patient} - {*}", "10042"),
        ("{patient}/{date:%Y}", "10042"),
        ("{**}/{patient}x", "a/b"),
    ],
)
def test_folders_of_another_form_say_nothing(pattern: str, folder: str) -> None:
    """What does not fit the pattern is nobody's."""
    said = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")) if folder else (), "x.jpg"))
    assert (said.patient, said.doubt, said.no_patient) == (None, None, Reason.NO_RULE)


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("{*}-{patient}", "Marsh-10042-7"),
        ("{patient}{*}", "10042"),
        ("{**}/{patient:[0-9]{5}}", "10042/10043"),
    ],
)
def test_a_folder_that_can_be_read_as_two_patients_is_a_conflict(pattern: str, folder: str) -> None:
    """Of two readings none is chosen."""
    said = FolderRule(pattern).read(RuleInput(tuple(folder.split("/")), "x.jpg"))
    assert (said.patient, said.doubt) == (None, Reason.PATIENT_CONFLICT)


def test_other_ids_on_the_way_are_told() -> None:
    """Words that look like ids are handed on, so that one that is another patient's makes a conflict."""
    said = FolderRule("{patient:[0-9]{5}} - {*}").read(RuleInput(("10042 - and 10043", "10044"), "x.jpg"))
    assert (said.patient, said.other_ids) == ("10042", ("10043", "10044"))
    waived = FolderRule("{patient:[0-9]{5}}/{**}").read(RuleInput(("10042", "10043"), "x.jpg"))
    assert waived.other_ids == ()
    assert NameRule("{patient:[0-9]{5}}_{*}").read(RuleInput((), "10042_10043.jpg")).other_ids == ("10043",)


def test_a_date_that_cannot_exist_is_a_doubt() -> None:
    """31 February in a folder's name is not quietly left out."""
    said = FolderRule("{patient}/{date:%Y-%m-%d}").read(RuleInput(("10042", "2024-02-31"), "x.jpg"))
    assert (said.patient, said.doubt, said.times) == ("10042", Reason.DATE_IMPOSSIBLE, ())


def test_rules_that_agree_are_one() -> None:
    """Folder and name together say more than each alone."""
    rule = FolderRule("{patient} - {*}") | CaptureRule()
    said = rule.read(RuleInput(("10042 - Marsh",), "10042_DRJ_20240301_091500.jpg"))
    assert (said.patient, said.provider, said.doubt) == ("10042", "DRJ", None)
    assert said.times == (StatedTime(TakenFrom.NAME, datetime(2024, 3, 1, 9, 15)),)


@pytest.mark.parametrize(
    "rule", [FolderRule("{patient} - {*}") | CaptureRule(), FolderRule("{patient} - {*}") & CaptureRule()]
)
def test_rules_that_name_two_patients_are_a_conflict(rule: Rule) -> None:
    """However they are joined, nobody chooses between two patients."""
    said = rule.read(RuleInput(("10042 - Marsh",), "10043_DRJ_20240301_091500.jpg"))
    assert (said.patient, said.doubt) == (None, Reason.PATIENT_CONFLICT)


def test_all_of_wants_every_rule_to_speak() -> None:
    """With ``&``, a file that one rule does not know waits."""
    said = (FolderRule("{patient} - {*}") & CaptureRule()).read(RuleInput(("10042 - Marsh",), "IMG_1.jpg"))
    assert (said.patient, said.no_patient) == (None, Reason.NO_CAPTURE_NAME)


def test_an_impossible_time_in_a_capture_name_is_a_doubt_whatever_the_folder_says() -> None:
    """A name that lies about the time may lie about the rest."""
    said = (FolderRule("{patient} - {*}") | CaptureRule()).read(
        RuleInput(("10042 - M",), "10042_DRJ_20240231_091500.jpg")
    )
    assert said.doubt is Reason.TIME_IMPOSSIBLE


def test_a_list_speaks_for_the_files_that_it_names() -> None:
    """What the list does not name waits; what is unclear in it waits with that reason."""
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
def test_rules_are_data(rule: Rule) -> None:
    """A rule goes to JSON, to another process, and back, and is the same rule."""
    assert Rule.from_dict(rule.to_dict()) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule


def test_rules_that_make_no_sense_are_refused() -> None:
    """A mistake in a rule is told before anything is listed."""
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
     "{date:%y}-{patient}", "{date:}", "{*}{*}{patient}", "a//{patient}", "{date:%Y%Y}", "{patient:[9-0]}"],
)  # fmt: skip
def test_patterns_that_cannot_be_used_are_refused(pattern: str) -> None:
    """Each with a message of its own, before anything is listed."""
    with pytest.raises(NamingPatternError):
        PathPattern(pattern)


@given(st.text(st.characters(exclude_characters="/"), min_size=1, max_size=40))
def test_any_folder_name_is_read_in_good_time(name: str) -> None:
    """No name makes a pattern fail; where it finds a patient, the name holds it."""
    said = FolderRule("{*}-{patient}{*}").read(RuleInput((name,), "x.jpg"))
    assert said.patient is None or said.patient in name


def test_a_long_name_is_read_quickly() -> None:
    """Work does not explode with the length of a name: every split of it is tried once."""
    readings = PathPattern("{*}-{patient}-{*}-{provider}-{*}").read(("-".join(["ab"] * 80),))
    assert len(readings) > 1


def test_the_order_of_dates_is_the_one_that_was_told() -> None:
    """The first witness who says anything counts."""
    told = (
        StatedTime(TakenFrom.FOLDER, datetime(2024, 1, 1, 12)),
        StatedTime(TakenFrom.NAME, datetime(2024, 2, 2, 9)),
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    by_name = choose_time(told, DATE_ORDER, zone=UTC, now=now)
    assert by_name == ChosenTime(datetime(2024, 2, 2, 9, tzinfo=UTC), TakenFrom.NAME)
    by_folder = choose_time(told, date_order(["folder", "name"]), zone=UTC, now=now)
    assert by_folder.taken_from is TakenFrom.FOLDER
    assert choose_time(told, date_order(["exif"]), zone=UTC, now=now) == ChosenTime()


def test_times_that_cannot_be_are_doubts() -> None:
    """A name's time in the gap of the clocks, or in the future, makes the file wait; so does a future folder."""
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


def test_exif_goes_before_what_stands_after_it() -> None:
    """By default before a folder's date, and after a name's."""
    assert TakenFrom.NAME not in times_after_exif(DATE_ORDER)
    assert TakenFrom.FOLDER in times_after_exif(DATE_ORDER)
    assert None in times_after_exif(DATE_ORDER)
    assert TakenFrom.FOLDER not in times_after_exif(date_order(["folder"]))
    with pytest.raises(ConfigError):
        date_order(["stars"])
    with pytest.raises(ConfigError):
        date_order(["name", "name"])
