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

from intouch_import.ledger import Ledger
from intouch_import.migration.classify import Classifier
from intouch_import.migration.plan_file import COLUMNS
from intouch_import.migration.rule_results import DATE_ORDER
from intouch_import.migration.rules import FolderRule, NameRule
from intouch_import.migration.walking import FoundFiles
from intouch_import.model import Action, Patient, Provider, SourceFile
from intouch_import.testing import MemoryRepository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from intouch_import.migration.rules import Rule

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ID = "[A-Za-z0-9-]+"
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


def planned(rule: Rule, path: str, ids: Iterable[str], ledger: Ledger) -> str | None:
    """Return the patient for whom a plan would import a file; None if the file waits."""
    folder, _, name = path.rpartition("/")
    records = MemoryRepository(
        [Patient(id=one, name=f"Name of {one}") for one in ids], [Provider(id="DRJ", name="Dr Jones")]
    )
    classifier = Classifier(
        rule=rule,
        dates=DATE_ORDER,
        zone=UTC,
        provider=None,
        allow_inactive=False,
        repository=records,
        ledger=ledger,
        index=None,
        folders=None,  # type: ignore[arg-type]  # nothing is stored, so no file is compared
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
