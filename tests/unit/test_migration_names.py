"""The name in a folder is compared with the name of the patient whose id the folder has."""

from __future__ import annotations

import pytest

from intouch_import.migration.names import agrees, is_name
from intouch_import.migration.rule_results import RuleInput
from intouch_import.migration.rules import FolderRule


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Marsh, Ada", "Ada Marsh"),
        ("MARSH ADA", "Marsh, Ada"),
        ("Marsh", "Ada Marsh"),
        ("Marsh, Ada-Louise 2nd visit", "Ada Marsh"),
        ("Müller, Hans", "Hans Mueller"),
        ("Lindqvst", "Chiara Lindqvist"),
        ("van der Berg, Jan", "Jan van der Berg"),
        ("Ada left hand", "Ada Marsh"),
    ],
)
def test_names_that_agree(text: str, name: str) -> None:
    """Order, case, accents, small mistakes and other words do not matter."""
    assert agrees(text, name)


@pytest.mark.parametrize(
    ("text", "name"),
    [("Okafor, Ben", "Ada Marsh"), ("Smith, John", "John Okafor"), ("hand", "Ada Marsh"), ("", "A")],
)
def test_names_that_do_not_agree(text: str, name: str) -> None:
    """The given name alone is not enough if the text says which is the surname."""
    assert not agrees(text, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            (text, True)
            for text in ("Marsh, Ada", "Ada Marsh", "van der Berg, Jan", "MARSH ADA", "Marsh, Ada 2nd")
        ],
        *[
            (text, False)
            for text in ("left hand", "Nose", "Nose, left", "12, 13", "Room 2, Ward", "", "Marsh,")
        ],
    ],
)
def test_texts_that_are_written_as_names(text: str, expected: bool) -> None:
    """A surname before a comma, or some words that begin with a capital letter."""
    assert is_name(text) is expected


@pytest.mark.parametrize(
    ("pattern", "folder", "names"),
    [
        ("{patient} - {*}", "10042 - Marsh, Ada", ("Marsh, Ada",)),
        ("{*} ({patient})", "Marsh, Ada (10042)", ("Marsh, Ada",)),
        ("{*}/{patient}", "Marsh, Ada/10042", ("Marsh, Ada",)),
        ("{*}/{patient}", "M/10042", ()),
        ("{**}/{patient:[0-9]{5}} {*}", "a/b/10042 Ada Marsh", ("Ada Marsh",)),
        ("Patient {patient} {*}/{date:%Y}", "Patient 10042 Ada/2024", ("Ada",)),
        ("{patient}", "10042/Okafor, Ben", ()),
    ],
)
def test_names_are_in_what_a_pattern_leaves_open(pattern: str, folder: str, names: tuple[str, ...]) -> None:
    """Fixed text, ids and dates are not names, nor are folders that the pattern does not describe."""
    file = RuleInput(tuple(folder.split("/")), "x.jpg")
    assert FolderRule(pattern).read(file).names == names
    assert FolderRule(pattern, check_names=False).read(file).names == ()
