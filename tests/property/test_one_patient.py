"""No file is planned or imported for a patient while a second reading of the same text names another one.

The library is compared with slow readers, which try every way to split a text. Every id that they find, and
more, are patients of the practice, so that a reading which the library overlooks is a photo in a wrong record.
"""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from intouch_import.clock import Clock
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.inbox import Inbox
from intouch_import.ledger import Ledger
from intouch_import.migration.classify import Classifier
from intouch_import.migration.lists import ListIndex
from intouch_import.migration.plan_file import COLUMNS
from intouch_import.migration.rule_results import DATE_ORDER
from intouch_import.migration.rules import FolderRule, ManifestRule, NameRule
from intouch_import.migration.walking import Folders, FoundFiles
from intouch_import.model import Action, CaptureName, Patient, Provider, SourceFile
from intouch_import.testing import MemoryFolder, MemoryRepository
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from intouch_import.migration.rules import Rule

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ID = "[A-Za-z0-9-]+"
JPEG = jpeg()
NUMBERS = itertools.count()
DIRECTIVES = {"Y": "[0-9]{4}", "m": "[0-9]{2}", "d": "[0-9]{2}"}
slow = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    """Return a ledger in memory."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    yield Ledger(engine)
    engine.dispose()


def records_of(ids: Iterable[str]) -> MemoryRepository:
    """Return records with these patients and one provider."""
    return MemoryRepository([Patient(id=one, name="") for one in ids], [Provider(id="DRJ", name="Dr Jones")])


def planned(
    rule: Rule, path: str, ids: Iterable[str], ledger: Ledger, index: ListIndex | None = None
) -> str | None:
    """Return the patient for whom a plan would import a file; None if the file waits."""
    folder, _, name = path.rpartition("/")
    classifier = Classifier(
        rule=rule,
        dates=DATE_ORDER,
        zone=UTC,
        provider=None,
        allow_inactive=False,
        repository=records_of(ids),
        ledger=ledger,
        index=index,
        folders=Folders(None),  # type: ignore[arg-type]  # nothing is stored, so no file is compared
    )
    file = SourceFile(name=name, size_bytes=1, version="1")
    (values,) = classifier.classify([FoundFiles(folder, [file], "source")], now=NOW)
    row = dict(zip(COLUMNS, values, strict=True))
    event(row["reason"])
    return row["patient"] if row["verdict"] == Action.IMPORT.value else None


def splits(text: str, regexes: list[str]) -> Iterator[tuple[str, ...]]:
    """Find every way to cut a text into stretches that match these expressions, one after the other."""
    if not regexes:
        if not text:
            yield ()
        return
    for end in range(len(text) + 1):
        if re.fullmatch(regexes[0], text[:end], re.ASCII | re.DOTALL):
            for rest in splits(text[end:], regexes[1:]):
                yield (text[:end], *rest)


Pieces = list[tuple[str, str, str]]
"""The label of each piece of a pattern, how it is written, and its regex."""


@st.composite
def patterns(draw: st.DrawFn) -> Pieces:
    """Make a pattern of one segment."""
    narrowing, regex = draw(
        st.sampled_from(
            [("", ID), (":[0-9]{2,}", "[0-9]{2,}"), (r":\w+", r"\w+"), (":[0-9-]{3}", "[0-9-]{3}")]
        )
    )
    pieces = [("patient", f"{{patient{narrowing}}}", regex)]
    for directive in draw(st.sampled_from(["", "", "Y", "Ym", "md"])):
        pieces.append(("date", f"{{date:%{directive}}}", DIRECTIVES[directive]))
    made: Pieces = []
    for piece in draw(st.permutations(pieces)):
        for between in draw(st.sampled_from([[], ["*"], ["-"], [" "], ["*", "_"], ["-", "*"], ["1"]])):
            if between != "*":
                made.append(("text", between, re.escape(between)))
            elif not made or made[-1][0] != "*":
                made.append(("*", "{*}", ".+"))
        made.append(piece)
    if made[-1][0] != "*" and draw(st.booleans()):
        made.append(("*", "{*}", ".+"))
    return made


def text_for(made: Pieces) -> st.SearchStrategy[str]:
    """Write a text that often fits a pattern."""
    parts = {
        "patient": st.sampled_from(["10", "100", "10-42", "A-7", "10042", "2019", "1_2"]),
        "date": st.sampled_from(["2019", "05", "20190502", "12"]),
        "*": st.sampled_from(["x", "IMG2019", " 10", "-42", "10-43", "2010 2011 2012 2013", "10_43", "7"]),
    }
    return st.tuples(*(parts.get(label, st.just(written)) for label, written, _ in made)).map("".join)


@slow
@given(made=patterns(), data=st.data())
def test_a_name_that_can_be_read_as_two_patients_is_planned_for_neither(
    ledger: Ledger, made: Pieces, data: st.DataObject
) -> None:
    """Whatever the pattern, in folders and in file names."""
    labels, written, regexes = map(list, zip(*made, strict=True))
    pattern = "".join(written)
    text = data.draw(text_for(made) | st.text("10-42_ xA", min_size=1, max_size=12))
    readings = [dict(zip(labels, split, strict=True)) for split in splits(text, regexes)]
    ids = {reading["patient"] for reading in readings}
    others = data.draw(st.sets(st.sampled_from(["10", "42", "43", "100", "10-42", "10-43", "1_2", "2019"])))
    known = (ids if data.draw(st.booleans()) else set()) | others
    for rule, path in ((FolderRule(pattern), f"{text}/x.jpg"), (NameRule(pattern), f"{text}.jpg")):
        patient = planned(rule, path, known, ledger)
        if patient is not None:
            assert ids & known == {patient}


@slow
@given(data=st.data())
def test_folders_below_that_name_another_patient_are_planned_for_nobody(
    ledger: Ledger, data: st.DataObject
) -> None:
    """A folder on the path that has another patient's id, alone or as a part, makes its files wait."""
    numbers = st.sampled_from(["10042", "10043", "77", "A-7", "2019"])
    around = st.sampled_from(["{}", "{} - x", "x {}", "{}-photos", "old-{}", "({})", "x_{}_y"])
    names = [
        each.format(number) for each, number in data.draw(st.lists(st.tuples(around, numbers), min_size=1))
    ]
    folders = [data.draw(numbers), *names]
    if len("/".join(folders)) > 100:  # long enough
        return
    known = {"10042", "10043", "77", "A-7", "2019"}
    patient = planned(FolderRule("{patient}"), "/".join([*folders, "x.jpg"]), known, ledger)
    if patient is not None:
        assert patient == folders[0]
        assert not any(
            re.search(rf"(?<![A-Za-z0-9]){other}(?![A-Za-z0-9])", name)
            for other, name in itertools.product(known - {patient}, names)
        )


def numbers_like(text: str) -> bool:
    """Return whether a spreadsheet may treat an id as a number."""
    return re.fullmatch("[0-9]+", text) is not None


@slow
@given(
    cell=st.sampled_from(["10042", "0010042", "42", "042 ", " 42", "A-7", " A-7", "0"]),
    known=st.sets(st.sampled_from(["10042", "0010042", "42", "042", "00042", "A-7", "0", "000"])),
    path=st.sampled_from(["a/b.jpg", " b.jpg", "B.jpg"]),
    ignore_case=st.booleans(),
)
def test_a_listed_id_that_a_spreadsheet_may_have_changed_is_planned_for_nobody(
    ledger: Ledger, tmp_path: Path, cell: str, known: set[str], path: str, ignore_case: bool
) -> None:
    """If the records have another patient whose id differs in zeros that a list loses, the file waits."""
    listed = tmp_path / "list.csv"
    listed.write_text(f"File,Id\n{path},{cell}\n", "utf-8")
    rule = ManifestRule(path=listed, columns={"path": "File", "patient": "Id"}, ignore_case=ignore_case)
    index = ListIndex(rule, tmp_path / "list.sqlite", zone=UTC)
    try:
        patient = planned(rule, path.strip(), known, ledger, index)
    finally:
        index.close()
    if patient is not None:
        assert patient == cell.strip()
        same = {
            one for one in known if numbers_like(one) and numbers_like(patient) and int(one) == int(patient)
        }
        assert same <= {patient}


@slow
@given(
    folder=st.sampled_from(["10042", "10043", "10044", "0010042"]),
    ids=st.dictionaries(
        st.sampled_from(["10042", "10043", "10044"]), st.sampled_from(["10043", "10044", "10045", "0010043"])
    ),
    below=st.sampled_from(["x", "10042", "10043", "10044 x"]),
)
def test_old_ids_are_never_read_as_new_ones(
    ledger: Ledger, folder: str, ids: dict[str, str], below: str
) -> None:
    """A file is planned for the new id of its folder, if no other id is on the path, or waits."""
    known = {"10042", "10043", "10044", "10045", "0010043"}
    patient = planned(FolderRule("{patient}", ids=ids), f"{folder}/{below}/x.jpg", known, ledger)
    if patient is not None:
        assert patient == ids[folder]
        word = below.removesuffix(" x")
        assert word == folder or ids.get(word, word) in {"x", patient}
        assert not {"10043", "0010043"} & {patient}  # both exist, and a list of ids may have lost the zeros


NAMINGS = [
    DEFAULT_PATTERN,
    "{patient:[0-9]{2,3}}{provider:[A-Z]+}{taken:%Y%m%d%H%M%S}[-{sequence}]",
    "{provider:[A-Z]+}{patient:[0-9-]+}_{taken:%Y%m%d_%H%M%S}",
    "{taken:%Y%m%d_%H%M%S}_{provider}_{patient}[_{sequence}]",
    r"{patient:\w+}-{provider:[A-Z]+}-{taken:%Y%m%d%H%M%S}",
]
PARTS = {
    "patient": ID, "provider": ID, "sequence": "[0-9]+",
    "%Y": "[0-9]{4}", "%m": "[0-9]{2}", "%d": "[0-9]{2}", "%H": "[0-9]{2}", "%M": "[0-9]{2}", "%S": "[0-9]{2}",
}  # fmt: skip
PART = re.compile(r"\{(patient|provider|sequence)(?::((?:[^{}]|\{[0-9,]+\})+))?\}|(%[YmdHMS])")


def patients_in(name: str, pattern: str) -> set[str]:
    """Read the patient of a capture name in every possible way, with a reader of its own."""
    optional = re.search(r"\[([^\]{]*\{sequence\}[^\]]*)\]$", pattern)
    found = set()
    for written in {pattern, pattern[: optional.start()] + optional[1]} if optional else {pattern}:
        labels, regexes, at = [], [], 0
        text = written.replace("{taken:", "").replace(optional[0] if optional else "{taken:", "")
        for match in PART.finditer(text):
            labels += ["fixed", match[1] or match[3]]
            regexes += [
                re.escape(text[at : match.start()].replace("}", "")),
                match[2] or PARTS[match[1] or match[3]],
            ]
            at = match.end()
        labels += ["fixed", "extension"]
        regexes += [re.escape(text[at:].replace("}", "")), r"\.[A-Za-z0-9]{1,10}"]
        for split in splits(name, regexes):
            found.add(dict(zip(labels, split, strict=True))["patient"])
    return found


@slow
@given(
    pattern=st.sampled_from(NAMINGS),
    words=st.lists(
        st.sampled_from(
            ["10", "100", "10-42", "DRJ", "20260131", "142501", "20260131142501", "_", "-", "1", "x"]
        ),
        min_size=3,
        max_size=9,
    ),
    capture=st.tuples(st.sampled_from(["10", "100", "042", "12"]), st.sampled_from(["", "1", "20260131"])),
    data=st.data(),
)
def test_a_capture_name_is_imported_for_its_only_patient(
    ledger: Ledger, pattern: str, words: list[str], capture: tuple[str, str], data: st.DataObject
) -> None:
    """An inbox imports a file for a patient only if every way to read its name gives this patient."""
    naming = CaptureNaming(pattern)
    name = "".join(words) + ".jpg"
    if data.draw(st.booleans()):
        taken = datetime(2026, 1, 31, 14, 25, 1)  # names have wall time
        sequence = capture[1] if "sequence" in pattern and capture[1] else None
        made = CaptureName(
            patient=capture[0], provider="DRJ", taken_local=taken, sequence=sequence, extension=".jpg"
        )
        name = naming.format(made)
    readings = patients_in(name, pattern)
    known = readings | {"10", "100", "1", "42", "10-42"}
    folder = MemoryFolder(f"photos {next(NUMBERS)}")
    folder.write(name, JPEG)
    records = records_of(known)
    inbox = Inbox(
        records, [folder.open(provider="DRJ")], ledger=ledger, naming=naming, zone="UTC",
        settle_s=0, check_content=False, clock=Clock(now=lambda: NOW),
    )  # fmt: skip
    report = inbox.refresh()
    event(str([outcome.reason for outcome in report.outcomes]))
    holders = {one for one in known if records.attachments(one)}
    assert holders <= readings
    assert not holders or readings == holders
