"""The rules: each of them, with its reason, in the order in which they apply."""

# ruff: noqa: DTZ901  # the wall times of a capture name are naive

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest

from intouch_import.filenames import CaptureNaming
from intouch_import.model import (
    Action,
    CaptureName,
    Destination,
    EntryKind,
    Patient,
    Provider,
    Reason,
    SourceFile,
    StoredAttachment,
    TakenAtFlag,
    Verdict,
)
from intouch_import.verdicts import (
    Known,
    Rules,
    already,
    arriving,
    doubt_of_copies,
    identify,
    is_also_a_date,
    place_in_zone,
    read_name,
    screen,
    waiting,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAME = "10042_DRJ_20260131_142501.jpg"
SYDNEY = ZoneInfo("Australia/Sydney")
BERLIN = ZoneInfo("Europe/Berlin")


def file(name: str = NAME, **changes: Any) -> SourceFile:
    return SourceFile(**{"name": name, "size_bytes": 9, "version": "1", **changes})


def capture(name: str = NAME) -> CaptureName:
    parsed = CaptureNaming().parse(name)
    assert parsed is not None
    return parsed


RULES = Rules(provider="DRJ", auto_import=True, zone=SYDNEY)
KNOWN = Known(
    patients={"10042": Patient(id="10042"), "10044": Patient(id="10044", active=False)},
    providers={"DRJ": Provider(id="DRJ"), "DRK": Provider(id="DRK")},
)


def judged(name: str = NAME, rules: Rules = RULES, known: Known = KNOWN, now: datetime = NOW) -> Verdict:
    return identify(name, 9, capture(name), rules, known, now=now)


# --- screen


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (EntryKind.FOLDER, Reason.FOLDER),
        (EntryKind.LINK, Reason.LINK),
        (EntryKind.SPECIAL, Reason.SPECIAL_FILE),
    ],
)
def test_only_files_are_looked_at(kind: EntryKind, reason: Reason) -> None:
    """Folders, links and devices are ignored, whatever their names are."""
    for name in (NAME, ".hidden", "x.part"):
        verdict = screen(file(name, kind=kind, size_bytes=0))
        assert verdict is not None
        assert (verdict.action, verdict.reason) == (Action.IGNORE, reason)
        assert verdict.destination is Destination.NOTES


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".photo.jpg", Reason.HIDDEN),
        (".DS_Store", Reason.HIDDEN),
        ("._photo.jpg", Reason.HIDDEN),
        ("Thumbs.db", Reason.SYSTEM_FILE),
        ("THUMBS.DB", Reason.SYSTEM_FILE),
        ("desktop.ini", Reason.SYSTEM_FILE),
        ("Icon\r", Reason.SYSTEM_FILE),
        ("Picasa.ini", Reason.SYSTEM_FILE),
        ("photo.jpg.part", Reason.UNFINISHED_DOWNLOAD),
        ("photo.JPG.CRDOWNLOAD", Reason.UNFINISHED_DOWNLOAD),
        ("photo.tmp", Reason.UNFINISHED_DOWNLOAD),
        ("photo.filepart", Reason.UNFINISHED_DOWNLOAD),
        ("photo.jpg.tacitpart", Reason.UNFINISHED_DOWNLOAD),
        ("photo.jpg.FFS_TMP", Reason.UNFINISHED_DOWNLOAD),
        ("photo.jpg.!sync", Reason.UNFINISHED_DOWNLOAD),
        ("photo.jpg.uploading", Reason.UNFINISHED_DOWNLOAD),
        ("photo.jpg.pending", Reason.UNFINISHED_DOWNLOAD),
        ("~$letter.docx", Reason.UNFINISHED_DOWNLOAD),
    ],
)
def test_what_programs_leave_behind_is_ignored(name: str, reason: Reason) -> None:
    """Hidden files, system files and unfinished downloads are ignored, each with its reason."""
    for size in (0, 9):
        verdict = screen(file(name, size_bytes=size))
        assert verdict is not None
        assert (verdict.action, verdict.reason, verdict.patient_id) == (Action.IGNORE, reason, None)


@pytest.mark.parametrize(
    "name", [NAME, "a", "thumbs.jpg", "party", "part.jpg", "~tilde.jpg", "my.part.jpg", "Thumbs.db.jpg"]
)
def test_ordinary_names_pass(name: str) -> None:
    """Names that only resemble those of programs are not ignored."""
    assert screen(file(name)) is None


def test_an_empty_file_has_not_arrived() -> None:
    """An empty file waits until it has arrived."""
    verdict = screen(file(size_bytes=0))
    assert verdict == arriving(NAME, Reason.EMPTY)
    assert verdict is not None
    assert (verdict.action, verdict.reason) == (Action.ARRIVING, Reason.EMPTY)
    assert verdict.destination is Destination.IMAGES


# --- verdicts that wait


def test_waiting_keeps_what_was_known_but_the_patient() -> None:
    """A verdict that changes to waiting keeps its capture name and time, but no patient."""
    known = judged()
    assert known.patient_id == "10042"
    held = waiting(NAME, Reason.CANCELLED, like=known)
    assert (held.action, held.reason, held.patient_id) == (Action.WAIT, Reason.CANCELLED, None)
    assert (held.capture, held.taken_at) == (known.capture, known.taken_at)


def test_verdicts_that_only_wait_are_shared() -> None:
    """Thousands of rows that wait for the same reason share one object."""
    assert waiting("a.jpg", Reason.NO_CAPTURE_NAME) is waiting("b.jpg", Reason.NO_CAPTURE_NAME)
    assert waiting("a.pdf", Reason.NO_CAPTURE_NAME).destination is Destination.NOTES


# --- already


def test_a_stored_file_is_finished_for_the_patient_it_was_stored_for() -> None:
    """For a file that is stored but not moved, the record decides patient, destination and time, not the name."""
    stored = StoredAttachment(
        id="1", import_id="1", patient_id="10043", destination=Destination.NOTES, name=NAME, size_bytes=9,
        sha256="0", source_id="s", stored_at=NOW, taken_at=NOW,
    )  # fmt: skip
    verdict = already(file(), stored, moved=False)
    assert (verdict.action, verdict.reason) == (Action.FINISH, Reason.INTERRUPTED)
    assert (verdict.patient_id, verdict.destination, verdict.taken_at) == ("10043", Destination.NOTES, NOW)
    again = already(file(), stored, moved=True)
    assert (again.action, again.reason, again.patient_id) == (Action.WAIT, Reason.REAPPEARED, None)


# --- read_name


def test_names_are_read_or_wait() -> None:
    """A capture name is parsed; other names and impossible dates wait, each with its reason."""
    naming = CaptureNaming()
    assert read_name(NAME, naming) == capture()
    for name, reason in (
        ("IMG_0001.jpg", Reason.NO_CAPTURE_NAME),
        ("10042_DRJ_20260231_142501.jpg", Reason.TIME_IMPOSSIBLE),
        ("10042_DRJ_20260131_246060.jpg", Reason.TIME_IMPOSSIBLE),
    ):
        verdict = read_name(name, naming)
        assert isinstance(verdict, Verdict)
        assert (verdict.action, verdict.reason) == (Action.WAIT, reason)


@pytest.mark.parametrize("name", ["10042_DRJ_20260131_142501.mp4", "letter.pdf", "no extension"])
def test_an_extension_that_is_not_allowed_waits_whatever_the_name_says(name: str) -> None:
    """A file with an extension that is not allowed waits with that reason; other files are not affected."""
    verdict = read_name(name, CaptureNaming(), allowed=frozenset({".jpg"}))
    assert verdict == waiting(name, Reason.EXTENSION_NOT_ALLOWED)
    assert read_name(NAME, CaptureNaming(), allowed=frozenset({".jpg"})) == capture()


# --- copies


def stored(patient_id: str) -> StoredAttachment:
    return StoredAttachment(
        id="a", import_id="a", patient_id=patient_id, destination=Destination.IMAGES, name=NAME, size_bytes=9,
        sha256="0" * 64, location="local", source_id="s", stored_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("copies", "undone", "doubt"),
    [
        ((), False, None),
        ((), True, Reason.UNDONE),
        (("10042",), False, Reason.DUPLICATE),
        (("10042",), True, Reason.DUPLICATE),
        (("10043",), False, Reason.DUPLICATE_ELSEWHERE),
        (("10042", "10043"), False, Reason.DUPLICATE_ELSEWHERE),
        (("10043", "10042"), True, Reason.DUPLICATE_ELSEWHERE),
    ],
)
def test_known_bytes_are_doubted(copies: tuple[str, ...], undone: bool, doubt: Reason | None) -> None:
    """Content in another patient's record has the first reason, content in this record the second, undone content the third."""
    assert doubt_of_copies("10042", [stored(patient) for patient in copies], undone=undone) is doubt


# --- identify


def test_a_name_without_any_doubt_is_imported() -> None:
    """If patient, provider and time are certain, the file is imported for that patient."""
    verdict = judged()
    assert (verdict.action, verdict.reason, verdict.patient_id) == (
        Action.IMPORT,
        Reason.CAPTURE_NAME,
        "10042",
    )
    assert verdict.taken_at == datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)
    assert (verdict.taken_flag, verdict.capture) == (TakenAtFlag.EXACT, capture())
    assert verdict.destination is Destination.IMAGES
    assert judged(NAME.replace(".jpg", ".mp4")).destination is Destination.NOTES


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("10042_DRJ_20251005_023000.jpg", TakenAtFlag.SKIPPED),
        ("10042_DRJ_20250406_023000.jpg", TakenAtFlag.REPEATED),
    ],
)
def test_a_time_that_is_not_guessed_says_why(name: str, flag: TakenAtFlag) -> None:
    """A time that a clock change skips or repeats is not used; the flag says which of the two."""
    verdict = judged(name)
    assert (verdict.taken_at, verdict.taken_flag) == (None, flag)


def test_a_folder_of_nobody_takes_any_provider_that_exists() -> None:
    """If the folder has no owner, the provider in the name only has to exist."""
    rules = attrs.evolve(RULES, provider=None)
    assert judged(NAME.replace("DRJ", "DRK"), rules).action is Action.IMPORT
    assert judged(NAME.replace("DRJ", "DRX"), rules).reason is Reason.PROVIDER_UNKNOWN


@pytest.mark.parametrize(
    ("name", "rules", "known", "reason"),
    [
        (NAME, attrs.evolve(RULES, auto_import=False), KNOWN, Reason.AUTO_IMPORT_OFF),
        (NAME, RULES, attrs.evolve(KNOWN, put_back=frozenset({(NAME, 9)})), Reason.UNDONE),
        (NAME.replace("10042", "010042"), RULES, KNOWN, Reason.PATIENT_UNKNOWN),
        (NAME.replace("10042", "10044"), RULES, KNOWN, Reason.PATIENT_INACTIVE),
        (NAME.replace("DRJ", "DRK"), RULES, KNOWN, Reason.OTHER_PROVIDER),
        (NAME.replace("DRJ", "drj"), RULES, KNOWN, Reason.OTHER_PROVIDER),
        (NAME, RULES, attrs.evolve(KNOWN, providers={}), Reason.PROVIDER_UNKNOWN),
        ("10042_DRJ_20270131_142501.jpg", RULES, KNOWN, Reason.TIME_IN_FUTURE),
        ("10042_DRJ_20251005_023000.jpg", RULES, KNOWN, Reason.TIME_SKIPPED),
        ("10042_DRJ_20250406_023000.jpg", RULES, KNOWN, Reason.TIME_REPEATED),
        ("10042_DRJ_00010101_000000.jpg", RULES, KNOWN, Reason.TIME_SKIPPED),
    ],
)
def test_anything_in_doubt_waits(name: str, rules: Rules, known: Known, reason: Reason) -> None:
    """Promise 3: a waiting verdict has no patient, and the first reason that applies."""
    verdict = judged(name, rules, known)
    assert (verdict.action, verdict.reason, verdict.patient_id) == (Action.WAIT, reason, None)
    assert verdict.capture == capture(name)


def test_an_undone_file_of_another_size_is_another_file() -> None:
    """A file that an undo returned is recognised by name and size."""
    known = attrs.evolve(KNOWN, put_back=frozenset({(NAME, 10), ("other.jpg", 9)}))
    assert judged(known=known).action is Action.IMPORT


def test_the_very_second_is_not_in_the_future() -> None:
    """A file taken now is imported; a file taken one second in the future is not."""
    taken = datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)
    assert judged(now=taken).action is Action.IMPORT
    assert judged(now=taken - timedelta(microseconds=1)).reason is Reason.TIME_IN_FUTURE


# --- place_in_zone


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        (SYDNEY, datetime(2026, 1, 31, 14, 25, 1), datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)),
        (SYDNEY, datetime(2026, 7, 1, 12), datetime(2026, 7, 1, 2, tzinfo=UTC)),
        (SYDNEY, datetime(2025, 10, 5, 1, 59, 59), datetime(2025, 10, 4, 15, 59, 59, tzinfo=UTC)),
        (SYDNEY, datetime(2025, 10, 5, 2), TakenAtFlag.SKIPPED),
        (SYDNEY, datetime(2025, 10, 5, 2, 59, 59), TakenAtFlag.SKIPPED),
        (SYDNEY, datetime(2025, 10, 5, 3), datetime(2025, 10, 4, 16, tzinfo=UTC)),
        (SYDNEY, datetime(2025, 4, 6, 1, 59, 59), datetime(2025, 4, 5, 14, 59, 59, tzinfo=UTC)),
        (SYDNEY, datetime(2025, 4, 6, 2), TakenAtFlag.REPEATED),
        (SYDNEY, datetime(2025, 4, 6, 2, 59, 59), TakenAtFlag.REPEATED),
        (SYDNEY, datetime(2025, 4, 6, 3), datetime(2025, 4, 5, 17, tzinfo=UTC)),
        (BERLIN, datetime(2026, 3, 29, 1, 59, 59), datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)),
        (BERLIN, datetime(2026, 3, 29, 2, 30), TakenAtFlag.SKIPPED),
        (BERLIN, datetime(2026, 3, 29, 3), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        (BERLIN, datetime(2025, 10, 26, 2), TakenAtFlag.REPEATED),
        (BERLIN, datetime(2025, 10, 26, 2, 59, 59), TakenAtFlag.REPEATED),
        (BERLIN, datetime(2025, 10, 26, 3), datetime(2025, 10, 26, 2, tzinfo=UTC)),
        (UTC, datetime(2025, 10, 26, 2), datetime(2025, 10, 26, 2, tzinfo=UTC)),
        (SYDNEY, datetime.min, TakenAtFlag.SKIPPED),
        (ZoneInfo("America/New_York"), datetime.max, TakenAtFlag.SKIPPED),
    ],
)
def test_wall_times_are_placed_or_not_guessed(
    zone: Any, local: datetime, expected: datetime | TakenAtFlag
) -> None:
    """A local time that exists once is converted; a skipped, repeated or uncomputable one is not."""
    taken_at, flag = place_in_zone(local, zone)
    if isinstance(expected, TakenAtFlag):
        assert (taken_at, flag) == (None, expected)
    else:
        assert (taken_at, flag) == (expected, TakenAtFlag.EXACT)
        assert taken_at is not None
        assert taken_at.tzinfo is UTC


def test_which_of_two_equal_times_is_meant_is_not_believed() -> None:
    """The fold of a local time does not decide which of two equal times is meant."""
    twice = datetime(2026, 10, 25, 2, 30)  # names carry wall time
    for fold in (0, 1):
        assert place_in_zone(twice.replace(fold=fold), BERLIN) == (None, TakenAtFlag.REPEATED)


class _Eastern(tzinfo):
    """A zone as in Python's documentation: it knows summer time only for times that have this zone."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=-5) + self.dst(when)

    def dst(self, when: datetime | None) -> timedelta:
        if when is None or when.tzinfo is None:
            return timedelta(0)
        assert when.tzinfo is self
        return timedelta(hours=1 if 4 <= when.month <= 10 else 0)

    def tzname(self, when: datetime | None) -> str:
        return "EDT" if self.dst(when) else "EST"


def test_a_zone_of_the_hosts_own_is_asked_about_a_time_in_it() -> None:
    summer, winter = datetime(2026, 7, 1, 12), datetime(2026, 1, 1, 12)
    assert place_in_zone(summer, _Eastern()) == (datetime(2026, 7, 1, 16, tzinfo=UTC), TakenAtFlag.EXACT)
    assert place_in_zone(winter, _Eastern()) == (datetime(2026, 1, 1, 17, tzinfo=UTC), TakenAtFlag.EXACT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[(text, True) for text in ("2019", "1950", "2099", "201905", "2019-05", "20190502", "2019-05-02")],
        *[(text, True) for text in ("2019_05_02", "2019.05.02", "2020 02 29", "02.05.2019", "31122019")],
        *[(text, True) for text in ("12312019", "05-02-2019")],
        *[(text, False) for text in ("", "1949", "2100", "10042", "201913", "20190231", "2019-05.02")],
        *[(text, False) for text in ("32012019", "31132019", "2019052", "IMG2019", "2019-5-2", "٢٠١٩")],
    ],
)
def test_an_id_that_is_also_a_date_is_recognised(text: str, expected: bool) -> None:
    """A year, a month or a day is recognised with and without separators; a date that can't exist is not."""
    assert is_also_a_date(text) is expected
