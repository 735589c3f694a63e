"""The shared values: frozen, silent about patients, and import ids that never change."""

from __future__ import annotations

import inspect
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from intouch_import import model
from intouch_import.errors import ConfigError
from intouch_import.model import (
    Patient,
    Progress,
    Provider,
    Reason,
    SourceFile,
    Stage,
    import_id,
    printable,
)
from intouch_import.secret import pseudonym

VALUES = [value for value in vars(model).values() if inspect.isclass(value) and attrs.has(value)]
ENUMS = [
    value
    for value in vars(model).values()
    if inspect.isclass(value) and issubclass(value, model.enum.StrEnum)
]


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_frozen_and_keyword_only(kind: type) -> None:
    """No value changes after it was made, and none is made by position."""
    fields = attrs.fields(kind)
    assert all(field.kw_only for field in fields)
    value = object.__new__(kind)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, fields[0].name, 1)


@pytest.mark.parametrize("kind", VALUES)
def test_no_repr_shows_a_patient_or_a_name(kind: type) -> None:
    """Fields that hold a person, a file name or what was typed are not in the repr."""
    private = {"patient_id", "patient", "title", "comments", "birth_date"} | (
        {"name"} if kind is not model.Progress else set()
    )
    for field in attrs.fields(kind):
        assert field.name not in private or field.repr in (False, pseudonym)
    shown = repr(Patient(id="secret", name="secret", birth_date="secret"))
    assert "secret" not in shown
    assert shown == repr(Patient(id="secret"))
    assert shown != repr(Patient(id="other"))


@pytest.mark.parametrize("kind", [kind for kind in ENUMS if kind is not model.enum.StrEnum])
def test_enum_values_are_unique_and_written_out(kind: type[model.enum.StrEnum]) -> None:
    """No two members share a value: stored data is read back as what was written."""
    assert len(kind.__members__) == len({member.value for member in kind})


def test_reason_values_are_stored_data() -> None:
    """The value of every reason is its name in lower case and never changes."""
    assert all(reason.value == reason.name.lower() for reason in Reason)


def test_every_reason_has_a_sentence() -> None:
    """Each reason is a sentence for people, and no two are the same."""
    texts = [reason.text for reason in Reason]
    assert all(text[0].isupper() and text.endswith(".") for text in texts)
    assert len(set(texts)) == len(texts)


def test_a_reason_pickled_under_its_first_home_is_found() -> None:
    """What a host kept before `Reason` had a module of its own can still be loaded."""
    kept = pickle.dumps(Reason.CHOSEN, protocol=0).replace(b"intouch_import.reasons", b"intouch_import.model")
    assert pickle.loads(kept) is Reason.CHOSEN


def test_import_ids_never_change() -> None:
    """The same file has the same id on every machine and in every release: these are pinned."""
    assert import_id("local-1", "a.jpg", "1-2-3") == "2d703dd24ecd728c34e46b39473012ca9a0afed6"
    assert import_id("s", "Ren\udce9.jpg", "v") == "5cd6eceb91e5e4e8eb7df3c87610f4fe4251b8f2"


def test_import_ids_differ_wherever_the_file_does() -> None:
    """Source, name and version each change the id, and the border between them counts."""
    ids = {
        import_id(*parts)
        for parts in (
            ("a", "b", "c"),
            ("ab", "", "c"),
            ("a", "bc", ""),
            ("", "ab", "c"),
            ("a", "b", "d"),
            ("A", "b", "c"),
        )
    }
    assert len(ids) == 6
    assert all(len(one) == 40 and set(one) <= set("0123456789abcdef") for one in ids)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photo.jpg", "photo.jpg"),
        ("M\xfcller \N{GRINNING FACE}.jpg", "M\xfcller \N{GRINNING FACE}.jpg"),
        ("a\nb", "a\\nb"),
        ("a\0b", "a\\x00b"),
        ("Ren\udce9", "Ren\\udce9"),
        ("photo\u202egpj.exe", "photo\\u202egpj.exe"),
        ("", ""),
    ],
)
def test_names_are_made_fit_to_show(name: str, shown: str) -> None:
    """What can't be printed, or would turn the reading direction, is escaped; the rest is as it was."""
    assert printable(name) == shown
    assert printable(shown) == shown
    assert printable(name).encode().decode() == shown


def test_modification_times_are_utc_or_unknown() -> None:
    """Nanoseconds become an aware time to the microsecond; what no calendar holds is unknown."""
    file = SourceFile(name="a", size_bytes=1, version="1", modified_ns=1_769_826_301_123_456_789)
    assert file.modified_at == datetime(2026, 1, 31, 2, 25, 1, 123456, tzinfo=UTC)
    assert attrs.evolve(file, modified_ns=None).modified_at is None
    assert attrs.evolve(file, modified_ns=10**30).modified_at is None
    assert attrs.evolve(file, modified_ns=-1).modified_at == datetime(
        1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC
    )


def test_progress_is_fit_to_show() -> None:
    """It says what is being done and how far it has come, and no file's name."""
    assert str(Progress(stage=Stage.LISTING, done=12345)) == "Listing: 12,345 files"
    assert str(Progress(stage=Stage.SETTLING, done=1, total=2)) == "Waiting for files to arrive: 1 of 2 files"


@pytest.mark.parametrize("made", [Patient, Provider])
@pytest.mark.parametrize(
    "wrong", ["", " ", " 10042", "10042 ", "100\n42", "100\x0042", "\ud800", 10042, None]
)
def test_an_id_that_nothing_could_match_is_refused(made: Any, wrong: object) -> None:
    """The message does not contain the id."""
    with pytest.raises(ConfigError) as caught:
        made(id=wrong)
    assert "100" not in str(caught.value)
    assert made(id="7\N{NO-BREAK SPACE}Ä").id == "7\N{NO-BREAK SPACE}Ä"
