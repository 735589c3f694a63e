"""The command line: what it moves, what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import errno
import importlib.metadata
import io
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

import movies
from commanding import EVERY, Command
from intouch_import.cli import show
from intouch_import.clock import Clock
from intouch_import.errors import NotRemoved, RepositoryError
from intouch_import.inbox import Inbox
from intouch_import.model import Patient
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources.local import LocalSource

if TYPE_CHECKING:
    from miniature import Practice

CAPTURED = "10042_DRJ_20200131_142501.jpg"


def _stored(practice: Practice, patient: str = "10042") -> list[str]:
    with practice.records() as records:
        return [attachment.name for attachment in records.attachments(patient)]


# --- demo


def test_the_demo_prints_the_result_for_each_file(command: Command) -> None:
    """The first command that a newcomer runs succeeds, and its counts add up."""
    done = command("demo", "shown")
    assert done.code == 0
    assert "21 listed = 11 imported + 7 waiting + 3 ignored + 0 failed" in done.out
    assert "its chain is intact" in done.out
    assert Path("shown/photos").is_dir()


def test_the_demo_as_json_closes(command: Command) -> None:
    """The demo prints one JSON document, and its counts add up."""
    done = command("demo", "--json").json
    assert done["closes"] is True
    assert done["ledger_holds"] is True
    assert (done["listed"], done["imported"], done["waiting"], done["ignored"], done["failed"]) == (
        21,
        11,
        7,
        3,
        0,
    )
    assert sum(map(len, done["records"].values())) == 11


def test_the_demo_refuses_a_folder_that_holds_something(command: Command, practice: Practice) -> None:
    """The demo never mixes its files with other files."""
    practice.photo("mine.jpg")
    assert command("demo", practice.photos).code == 2
    assert practice.left() == ["mine.jpg"]


# --- help and version


@pytest.mark.parametrize("path", [[], ["scan"], ["settings"], ["settings", "init"], ["migrate", "plan"]])
def test_the_short_option_for_help_is_the_long_one(command: Command, path: list[str]) -> None:
    """``-h`` prints what ``--help`` prints, for the command and for every command below it."""
    short = command(*path, "-h")
    assert (short.code, short.out) == (0, command(*path, "--help").out)
    assert "Usage: intouch-import" in short.out


def test_the_version_is_printed(command: Command) -> None:
    """The version is that of the installed package."""
    done = command("--version")
    assert (done.code, done.out) == (0, f"intouch-import {importlib.metadata.version('intouch-import')}\n")


# --- scan


def test_scan_says_what_would_happen_and_moves_nothing(command: Command, practice: Practice) -> None:
    """A scan changes neither the folder nor the records nor the ledger."""
    practice.photo(CAPTURED)
    practice.photo("IMG_1.jpg")
    before = practice.left()
    entries = command("ledger", "verify", "--json").json["entries"]
    done = command("scan", practice.photos, "--json")
    assert done.code == 0
    assert {row["name"]: row["verdict"] for row in done.json["rows"]} == {
        CAPTURED: "import",
        "IMG_1.jpg": "wait",
    }
    assert practice.left() == before
    assert _stored(practice) == []
    assert command("ledger", "verify", "--json").json["entries"] == entries


def test_scan_prints_names_as_they_are(command: Command, practice: Practice) -> None:
    """A name that looks like markup is shown unchanged; one with control characters can't move the cursor."""
    practice.photo("x[bold]y[ed].jpg")
    practice.photo("a\x1b[2Jb.jpg")
    done = command("scan", practice.photos)
    assert done.code == 0
    assert "x[bold]y[ed].jpg" in done.out
    assert "\x1b[2J" not in done.out
    assert r"a\x1b[2Jb.jpg" in done.out


# --- refresh


def test_refresh_imports_what_names_its_patient(command: Command, practice: Practice) -> None:
    """A file with a capture name is imported, any other file waits, and the counts add up."""
    practice.photo(CAPTURED)
    practice.photo("IMG_1.jpg")
    done = command("refresh", practice.photos, "--provider", "DRJ", "--operator", "op", "--json")
    assert done.code == 0
    assert (done.json["listed"], done.json["imported"], done.json["waiting"]) == (2, 1, 1)
    assert done.json["closes"] is True
    assert practice.left() == ["IMG_1.jpg"]
    assert _stored(practice) == [CAPTURED]


def test_refresh_prints_a_line_per_file(command: Command, practice: Practice) -> None:
    """The output shows every file with its state, and the counts."""
    practice.photo(CAPTURED)
    done = command("refresh", practice.photos)
    assert done.code == 0
    assert CAPTURED in done.out
    assert "1 listed = 1 imported + 0 waiting + 0 ignored + 0 failed" in done.out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--no-auto-import"], "auto_import_off"),
        (["--provider", "DRK"], "other_provider"),
        (["--pattern", "{provider}_{patient}_{taken:%Y%m%d_%H%M%S}"], "patient_unknown"),
        (["--pattern", "IMG_{patient}_{provider}_{taken:%Y%m%d_%H%M%S}"], "no_capture_name"),
    ],
)
def test_refresh_obeys_its_options(
    command: Command, practice: Practice, options: list[str], reason: str
) -> None:
    """Each option that can keep a file from being imported does so."""
    practice.photo(CAPTURED)
    done = command("refresh", practice.photos, *options, "--json")
    assert [outcome["reason"] for outcome in done.json["outcomes"]] == [reason]
    assert practice.left() == [CAPTURED]


def test_a_file_that_stays_is_exit_code_1(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a file is stored but could not be removed from its source, the exit code is 1."""

    def refuse(*_: object, **__: object) -> None:
        raise NotRemoved("no")

    practice.photo(CAPTURED)
    with monkeypatch.context() as patch:
        patch.setattr(LocalSource, "remove", refuse)
        done = command("refresh", practice.photos, "--json")
    assert done.code == 1
    assert done.json["stored_not_removed"] == 1
    assert command("refresh", practice.photos).code == 0
    assert practice.left() == []


@pytest.mark.parametrize("kind", ["refresh", "assign"])
def test_records_that_fail_are_named_once(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """If the records fail while files are stored, one line says why, and the exit code is 4."""

    def fail(*_: object) -> None:
        raise RepositoryError("the database can't be reached, or refused the connection")

    for number in range(6):
        practice.photo(f"10042_DRJ_20200131_14250{number}.jpg" if kind == "refresh" else f"IMG_{number}.jpg")
    monkeypatch.setattr(SqlRepository, "add_many", fail)
    options = [] if kind == "refresh" else ["--all", "--patient", "10042", "--yes"]
    done = command(kind, practice.photos, *options, "--json")
    assert (done.code, done.json["failed"], done.json["closes"]) == (4, 6, True)
    (problem,) = done.json["problems"]
    assert (problem["location"], problem["retry_helps"]) == ("records", True)
    assert "the database can't be reached" in problem["text"]
    assert command(kind, practice.photos, *options).err.count("the database can't be reached") == 1
    assert len(practice.left()) == 6


def test_a_missing_folder_is_exit_code_3(command: Command) -> None:
    """A location that can't be reached has its own exit code, and its path is not printed."""
    for arguments in (["scan"], ["refresh"], ["assign", "--patient", "10042", "--all"]):
        done = command(arguments[0], "nowhere-at-all", *arguments[1:])
        assert done.code == 3
        assert "nowhere-at-all" not in done.err


def test_a_missing_folder_does_not_stop_the_others(command: Command, practice: Practice) -> None:
    """A failed location never stops the others: their files are imported, and the exit code is 3."""
    practice.photo(CAPTURED)
    done = command("refresh", "nowhere-at-all", practice.photos, "--json")
    assert done.code == 3
    assert practice.left() == []
    assert len(done.json["problems"]) == 1


def test_an_interrupt_is_exit_code_130(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while files settle stops at once, moves nothing and prints no traceback."""

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    practice.photo(CAPTURED)
    monkeypatch.setitem(Inbox.__init__.__kwdefaults__, "settle_s", 5.0)
    monkeypatch.setitem(Inbox.__init__.__kwdefaults__, "clock", Clock(sleep=interrupt))
    done = command("refresh", practice.photos)
    assert (done.code, "interrupted" in done.err) == (130, True)
    assert practice.left() == [CAPTURED]


# --- assign


def test_assign_moves_the_named_files(command: Command, practice: Practice) -> None:
    """The named file is moved into the patient's record, with title and comments."""
    practice.photo("IMG_1.jpg")
    practice.photo("IMG_2.jpg")
    done = command(
        "assign",
        practice.photos,
        "IMG_1.jpg",
        "--patient",
        "10042",
        "--title",
        "Left",
        "--comments",
        "Soon",
        "--json",
    )
    assert done.code == 0
    assert done.json["imported"] == 1
    assert practice.left() == ["IMG_2.jpg"]
    with practice.records() as records:
        (attachment,) = records.attachments("10042")
    assert (attachment.title, attachment.comments) == ("Left", "Soon")


GROUP = ("20260131_142501.jpg", "20260131_142501.mp4", "20260131_142501.AAE")


def _put_group(practice: Practice) -> None:
    contents = (None, movies.movie_with(), b'<?xml version="1.0"?><plist version="1.0"><dict/></plist>')
    for name, content in zip(GROUP, contents, strict=True):
        practice.photo(name, content)


def test_a_group_is_one_line_and_one_save(command: Command, practice: Practice) -> None:
    """A photo is listed with what belongs to it, and is assigned, reassigned and undone with it."""
    _put_group(practice)
    printed = command("scan", practice.photos).out
    assert "+ movie, sidecar" in " ".join(printed.split())
    assert ".mp4" not in printed
    rows = {row["name"]: row for row in command("scan", practice.photos, "--json").json["rows"]}
    assert [(rows[name]["belongs_to"], rows[name]["companion_role"]) for name in GROUP] == [
        (None, None),
        (GROUP[0], "movie"),
        (GROUP[0], "sidecar"),
    ]
    done = command("assign", practice.photos, GROUP[0], "--patient", "10042", "--json")
    assert (done.code, done.json["imported"], done.json["listed"]) == (0, 3, 3)
    photo = next(one for one in done.json["outcomes"] if one["name"] == GROUP[0])
    done = command("reassign", photo["import_id"], "--patient", "10043")
    assert (done.code, "Files that belong to it: 2." in done.out) == (0, True)
    done = command("undo", photo["import_id"], "--source", practice.photos, "--json")
    assert [one["state"] for one in done.json["companions"]] == ["waiting", "waiting"]
    assert practice.left() == sorted(GROUP)


def test_one_file_of_a_group_can_be_moved_alone(command: Command, practice: Practice) -> None:
    """With --only, what belongs to a file stays, after a question; --all takes each group once."""
    _put_group(practice)
    practice.photo("b.pdf")
    asked = command("assign", practice.photos, GROUP[0], "--patient", "10042", "--only")
    assert (asked.code, "left behind" in asked.err) == (2, True)
    done = command("assign", practice.photos, GROUP[0], "--patient", "10042", "--only", "--yes", "--json")
    assert (done.json["imported"], practice.left()) == (1, [*sorted(GROUP[1:]), "b.pdf"])
    undone = command("undo", done.json["outcomes"][0]["import_id"], "--source", practice.photos, "--only")
    assert (undone.code, practice.left()) == (0, [*sorted(GROUP), "b.pdf"])
    done = command("assign", practice.photos, "--all", "--patient", "10042", "--yes", "--json")
    assert (done.json["imported"], done.json["listed"], practice.left()) == (4, 4, [])


def test_the_table_says_what_is_wrong_with_a_file(command: Command, practice: Practice) -> None:
    """A web page with a photo's name is saved because a person chose it, and the table says what it is."""
    practice.photo("IMG_1.jpg", b"<!DOCTYPE html><html></html>")
    done = command("assign", practice.photos, "IMG_1.jpg", "--patient", "10042", "--yes")
    assert done.code == 0
    assert (
        "A person chose the patient. The content does not match the file extension. It is a web page."
        in done.out
    )
    assert practice.left() == []


def test_assign_all_takes_what_waits(command: Command, practice: Practice) -> None:
    """``--all`` takes every file that waits and none that is ignored; ``--yes`` confirms the warning."""
    for name in ("IMG_1.jpg", "IMG_2.jpg", "Thumbs.db"):
        practice.photo(name)
    done = command("assign", practice.photos, "--all", "--patient", "10043", "--yes")
    assert done.code == 0
    assert practice.left() == ["Thumbs.db"]
    assert _stored(practice, "10043") == ["IMG_1.jpg", "IMG_2.jpg"]


def test_assign_all_moves_what_it_can(command: Command, practice: Practice) -> None:
    """Images, documents and a file that can't be saved: the first two are moved, the third is reported."""
    for name in ("IMG_1.jpg", "IMG_2.jpg", "Letter.pdf"):
        practice.photo(name)
    practice.photo("empty.jpg", b"")
    done = command("assign", practice.photos, "--all", "--patient", "10042", "--yes", "--json")
    assert done.code == 1
    assert done.json["closes"] is True
    assert {one["name"]: (one["state"], one["reason"]) for one in done.json["outcomes"]} == {
        "IMG_1.jpg": ("imported", "chosen"),
        "IMG_2.jpg": ("imported", "chosen"),
        "Letter.pdf": ("imported", "chosen"),
        "empty.jpg": ("waiting", "empty"),
    }
    assert practice.left() == ["empty.jpg"]
    assert command("assign", practice.photos, "--all", "--patient", "10042").code == 1
    assert command("assign", practice.photos, "--all", "--patient", "77777").code == 2


def test_a_file_that_cannot_be_saved_is_named(command: Command, practice: Practice) -> None:
    """If a named file can't be saved, nothing is moved, and the message says which file it is."""
    practice.photo("IMG_1.jpg")
    practice.photo("empty.jpg", b"")
    done = command("assign", practice.photos, "IMG_1.jpg", "empty.jpg", "--patient", "10042", "--yes")
    assert (done.code, "files: empty.jpg" in done.err) == (2, True)
    assert practice.left() == ["IMG_1.jpg", "empty.jpg"]


ODD = ["a\nb.jpg", "IMG_\u202egpj.jpg", "-x.jpg", " lead.jpg", "u\u0308.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file of such a name")
@pytest.mark.parametrize("name", [*ODD, os.fsdecode(b"f\xf6to.jpg")], ids=ascii)
@pytest.mark.parametrize("as_shown", [True, False], ids=["as shown", "as it is"])
def test_a_file_can_be_named_as_it_is_shown(
    command: Command, practice: Practice, name: str, as_shown: bool
) -> None:
    """A name with a line break or another odd character can be copied from the list."""
    practice.photo(name)
    (row,) = command("scan", practice.photos, "--json").json["rows"]
    given = row["name"] if as_shown else name
    assert command("assign", practice.photos, "--patient", "10042", "--", given).code == 0
    assert practice.left() == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file of such a name")
def test_a_name_that_two_files_are_shown_by_is_refused(command: Command, practice: Practice) -> None:
    """The wrong one of the two could be moved: nothing is moved."""
    practice.photo("a\nb.jpg")
    practice.photo(r"a\nb.jpg")
    done = command("assign", practice.photos, r"a\nb.jpg", "--patient", "10042")
    assert (done.code, r"several files are shown by this name: a\nb.jpg" in done.err) == (2, True)
    assert len(practice.left()) == 2


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "no terminal"])
def test_several_files_need_a_yes(command: Command, practice: Practice, options: list[str]) -> None:
    """Without a terminal, several files are refused without ``--yes``, and nothing is moved."""
    practice.photo("IMG_1.jpg")
    practice.photo("IMG_2.jpg")
    done = command("assign", practice.photos, "--all", "--patient", "10042", *options)
    assert done.code == 2
    assert "--yes" in done.err
    assert practice.left() == ["IMG_1.jpg", "IMG_2.jpg"]


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 2)])
def test_a_person_is_asked(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    """At a terminal, the warning names the patient, and the answer decides."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    practice.photo("IMG_1.jpg")
    practice.photo("IMG_2.jpg")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    done = command("assign", practice.photos, "--all", "--patient", "10042", "--title", "Left")
    assert "2 images will be saved to Ada Marsh (10042) with the same title. Proceed?" in done.out + done.err
    assert len(practice.left()) == left
    assert done.code == (1 if left else 0)


def test_a_file_of_another_patient_needs_an_option_of_its_own(command: Command, practice: Practice) -> None:
    """``--yes`` does not answer it; the patients are shown before, and the patient after the save."""
    name = "10043_DRJ_20260201_080000.jpg"
    practice.photo(name)
    arguments = ("assign", practice.photos, name, "--patient", "10042")
    for options in ([], ["--yes"], ["--yes", "--json"]):
        done = command(*arguments, *options)
        assert done.code == 2
        assert "The file name identifies Ben Okafor (10043), not Ada Marsh (10042)." in done.err
        assert "nothing was moved: confirm this with --other-patient" in done.err
        assert practice.left() == [name]
    done = command(*arguments, "--other-patient")
    assert done.code == 0
    assert "The image will be saved to Ada Marsh (10042). The file name identifies Ben" in done.out
    assert "1 file is in the record of Ada Marsh (10042)." in done.out


def test_json_of_a_save_has_the_patient_and_the_doubts(command: Command, practice: Practice) -> None:
    """A program sees what a person would have been asked."""
    practice.photo("10043_DRX_20260201_080000.jpg")
    options = ("--patient", "10042", "--yes", "--other-patient", "--json")
    found = command("assign", practice.photos, "--all", *options).json
    assert found["patient"] == {"id": "10042", "name": "Ada Marsh", "birth_date": None, "active": True}
    assert [(one["kind"], one["patient"], one["evidence"]) for one in found["doubts"]] == [
        ("other_patient", "10043", "name"), ("provider", None, None),
    ]  # fmt: skip
    assert found["imported"] == 1


def test_mixed_kinds_are_refused_by_name(command: Command, practice: Practice) -> None:
    """Images and documents together: the message says which are which, and nothing is moved."""
    practice.photo("IMG_1.jpg")
    practice.photo("Letter.pdf")
    done = command("assign", practice.photos, "IMG_1.jpg", "Letter.pdf", "--patient", "10042", "--yes")
    assert done.code == 2
    assert "images: IMG_1.jpg" in done.err
    assert "other documents: Letter.pdf" in done.err
    assert practice.left() == ["IMG_1.jpg", "Letter.pdf"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["IMG_1.jpg", "--patient", "77777"],
        ["IMG_9.jpg", "--patient", "10042"],
        ["--patient", "10042"],
        ["IMG_1.jpg"],
        ["IMG_1.jpg", "--patient", "10042", "--title", "x" * 600],
        ["IMG_1.jpg", "--patient", "10042", "--zone", "Mars/Olympus"],
        ["IMG_1.jpg", "--patient", "10042", "--pattern", "{patient}"],
    ],
    ids=["unknown patient", "unknown file", "no file", "no patient", "long title", "zone", "pattern"],
)
def test_mistakes_are_exit_code_2(command: Command, practice: Practice, arguments: list[str]) -> None:
    """If anything is wrong with the call, nothing is moved, and one line says why."""
    practice.photo("IMG_1.jpg")
    done = command("assign", practice.photos, *arguments)
    assert done.code == 2
    assert done.err
    assert practice.left() == ["IMG_1.jpg"]


# --- browse


def test_browse_lists_for_one_patient(command: Command, practice: Practice) -> None:
    """Listing a folder for a patient moves nothing, not even a file that names its patient."""
    practice.photo(CAPTURED)
    done = command("browse", practice.photos, "--patient", "10043", "--json")
    assert done.code == 0
    assert [(row["name"], row["state"]) for row in done.json["rows"]] == [(CAPTURED, "waiting")]
    assert CAPTURED in command("browse", practice.photos, "--patient", "10043").out
    assert practice.left() == [CAPTURED]


def test_browse_with_names_moves_them(command: Command, practice: Practice) -> None:
    """The named files are moved to that patient."""
    practice.photo("tower-1.tif")
    done = command("browse", practice.photos, "tower-1.tif", "--patient", "10043", "--json")
    assert (done.code, done.json["imported"]) == (0, 1)
    assert _stored(practice, "10043") == ["tower-1.tif"]


def test_browse_refuses_an_unknown_patient_and_a_missing_folder(command: Command, practice: Practice) -> None:
    """Both mistakes have the same exit codes as in other commands."""
    assert command("browse", practice.photos, "--patient", "77777").code == 2
    assert command("browse", "nowhere-at-all", "--patient", "10042").code == 3


# --- undo


def test_undo_puts_a_file_back(command: Command, practice: Practice) -> None:
    """The file is back in its folder and not in the record, and a refresh does not import it again."""
    content = practice.photo(CAPTURED).read_bytes()
    (outcome,) = command("refresh", practice.photos, "--json").json["outcomes"]
    done = command("undo", outcome["import_id"], "--source", practice.photos, "--json")
    assert (done.code, done.json["state"], done.json["reason"]) == (0, "waiting", "undone")
    assert (practice.photos / CAPTURED).read_bytes() == content
    assert _stored(practice) == []
    (again,) = command("refresh", practice.photos, "--json").json["outcomes"]
    assert (again["state"], again["reason"]) == ("waiting", "undone")


def test_undo_reports_a_name_that_is_taken(command: Command, practice: Practice) -> None:
    """A newer file of that name is not overwritten: exit code 1, and the record is unchanged."""
    practice.photo(CAPTURED)
    (outcome,) = command("refresh", practice.photos, "--json").json["outcomes"]
    practice.photo(CAPTURED, b"another photo")
    done = command("undo", outcome["import_id"], "--source", practice.photos)
    assert done.code == 1
    assert (practice.photos / CAPTURED).read_bytes() == b"another photo"
    assert _stored(practice) == [CAPTURED]


def test_undo_of_nothing_is_a_mistake(command: Command, practice: Practice) -> None:
    """An unknown import id is exit code 2."""
    assert command("undo", "0" * 40, "--source", practice.photos).code == 2


# --- ledger


@pytest.fixture
def moved(command: Command, practice: Practice) -> str:
    """Import one file, and return its import id."""
    practice.photo(CAPTURED)
    done = command("refresh", practice.photos, "--operator", "Nurse Joy", "--json")
    import_id: str = done.json["outcomes"][0]["import_id"]
    return import_id


def test_ledger_show_filters(command: Command, moved: str) -> None:
    """The ledger is shown by patient, by file, or whole, as a table or as lines of JSON."""
    lines = [json.loads(line) for line in command("ledger", "show", "--json").out.splitlines()]
    assert [line["event"] for line in lines] == ["stored", "moved"]
    assert len(command("ledger", "show", "--import-id", moved, "--json").out.splitlines()) == 2
    assert command("ledger", "show", "--patient", "10043", "--json").out == ""
    table = command("ledger", "show", "--patient", "10042")
    assert table.code == 0
    assert CAPTURED in table.out


def test_an_import_id_can_be_copied_from_a_narrow_window(
    command: Command, moved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns the ids are whole: `undo` needs all 40 digits."""
    monkeypatch.setattr(show, "console", Console(width=80))
    assert moved in command("ledger", "show").out


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///nowhere.db"])
def test_a_ledger_that_is_not_there_is_a_mistake(command: Command, practice: Practice, url: str) -> None:
    """A mistyped database does not look like an empty ledger."""
    done = command("ledger", "verify", "--records", url)
    assert (done.code, "there is no database of that name" in done.err) == (2, True)


def test_whose_record_it_was_is_whole_in_a_narrow_window(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id is never shortened: a shortened one could be anybody's."""
    monkeypatch.setattr(show, "console", Console(width=80))
    with practice.records() as records:
        records.add_patient(Patient(id="PRACTICE-0001234567", name="Ada Marsh"))
    practice.photo("IMG_1.jpg")
    assert command("assign", practice.photos, "--all", "--patient", "PRACTICE-0001234567").code == 0
    shown = command("ledger", "show").out
    assert "…" not in shown
    (first,) = {line.split()[2] for line in shown.splitlines() if "stored" in line.split()}
    assert "PRACTICE-0001234567".startswith(first)


def test_ledger_show_prints_names_as_they_are(command: Command, practice: Practice) -> None:
    """A name that looks like markup is printed whole, and does not end the command."""
    practice.photo("x[bold]y[ed].jpg")
    assert command("assign", practice.photos, "--all", "--patient", "10042").code == 0
    shown = command("ledger", "show")
    assert shown.code == 0
    assert "x[bold]y[ed].jpg" in shown.out


def test_ledger_export_for_support_holds_no_patient(command: Command, moved: str) -> None:
    """A full export contains the patient, the file and the operator; one for support contains none of them."""
    full = command("ledger", "export").out
    assert all(word in full for word in ('"10042"', CAPTURED, "Nurse Joy", moved))
    support = command("ledger", "export", "--support")
    assert support.code == 0
    assert moved in support.out
    assert not any(word in support.out for word in ("10042", "Nurse Joy"))


def test_ledger_verify_finds_a_change(command: Command, practice: Practice, moved: str) -> None:
    """If somebody changed the ledger, the exit code is 4, and the entry's number is printed."""
    assert moved
    holds = command("ledger", "verify", "--json")
    assert (holds.code, holds.json["entries"], holds.json["broken_at"]) == (0, 2, [])
    assert "the chain is intact" in command("ledger", "verify").out
    with sqlite3.connect(practice.root / "clinic.db") as database:
        database.execute("UPDATE intouch_ledger SET patient_id = '10043' WHERE seq = 1")
    database.close()
    broken = command("ledger", "verify", "--json")
    assert (broken.code, broken.json["broken_at"]) == (4, [1])
    assert "broken at entries 1" in command("ledger", "verify").err


# --- patients and providers


def test_patients_are_loaded_and_found(command: Command, practice: Practice) -> None:
    """Patients of a CSV file can be found at once, in upper or lower case."""
    csv = practice.root / "patients.csv"
    csv.write_text("id,name,active,birth_date\n20001,Zoë Quill,no,1980-02-29\n20002,Zed Ash,,\n", "utf-8")
    assert command("patients", "load", csv, "--json").json == {"patients": 2}
    found = command("patients", "search", "zoë", "--json").json
    assert found == [{"id": "20001", "name": "Zoë Quill", "active": False, "birth_date": "1980-02-29"}]
    assert "Zed Ash" in command("patients", "search", "20002").out
    assert command("patients", "search", "nobody").out == ""


def test_providers_are_loaded(command: Command, practice: Practice) -> None:
    """A provider of the CSV file can own a folder and be named by files."""
    csv = practice.root / "providers.csv"
    csv.write_text("id,name\nDRX,Dr Xu\n", "utf-8")
    assert "1 providers" in command("providers", "load", csv).out
    practice.photo("10042_DRX_20200131_142501.jpg")
    assert command("refresh", practice.photos, "--provider", "DRX", "--json").json["imported"] == 1


@pytest.mark.parametrize("content", [b"name\nx\n", b"id,name,active\n1,x,perhaps\n", b"\xff\xfe", None])
@pytest.mark.parametrize("kind", ["patients", "providers"])
def test_a_bad_csv_file_is_a_mistake(
    command: Command, practice: Practice, kind: str, content: bytes | None
) -> None:
    """A file that is missing or invalid is exit code 2, and nothing of it is loaded."""
    csv = practice.root / "bad.csv"
    if content is not None:
        csv.write_bytes(content)
    assert command(kind, "load", csv).code == 2


# --- records that can't be used


@pytest.mark.parametrize("arguments", EVERY, ids=lambda arguments: " ".join(arguments[:2]))
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("not a url", 2),
        ("sqlite:no-slashes.db", 2),
        ("nosuchdatabase://x", 2),
        ("sqlite:////nowhere/at/all.db", 4),
        ("sqlite:///text.db", 4),
    ],
)
def test_records_that_cannot_be_used(
    command: Command, practice: Practice, arguments: list[str], url: str, code: int
) -> None:
    """An invalid URL is a mistake (2); a database that can't be used is a failure (4). There is no traceback."""
    (practice.root / "text.db").write_text("This is not a database, and long enough to show it. " * 40)
    done = command(*arguments, "--records", url)
    if arguments[0] == "ledger" and "nowhere" in url:
        code = 2  # a ledger that does not exist is a mistyped path, not an empty ledger
    assert done.code == code
    assert done.err.startswith("intouch-import:")


def test_no_command_shows_the_help(command: Command) -> None:
    """Without arguments, the command prints its help."""
    assert "refresh" in command("--help").out
    bare = command()
    assert bare.code == 2
    assert "refresh" in bare.out + bare.err


def test_the_command_works_in_a_process_of_its_own(tmp_path: Path) -> None:
    """A separate process has the right exit code, standard output and standard error."""
    code = "from intouch_import.cli import main; main()"
    good = subprocess.run(
        [sys.executable, "-c", code, "demo", str(tmp_path / "demo"), "--json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["closes"] is True
    bad = subprocess.run(
        [sys.executable, "-c", code, "scan", "nowhere-at-all"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (bad.returncode, bad.stdout) == (3, "")
    assert bad.stderr.startswith("intouch-import:")
    assert "Traceback" not in bad.stderr


# --- what is said of a mistake


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["assign", "photos", "IMG_9.jpg", "IMG_1.jpg", "--patient", "10042"],
            "not in the folder: IMG_9.jpg",
        ),
        (["assign", "photos", "--patient", "10042"], "name the files to move, or give --all"),
        (["patients", "load", "nowhere.csv"], f"the CSV file can't be opened ({os.strerror(errno.ENOENT)})"),
        (["scan", "photos", "--records", "sqlite:////nowhere/at/all.db"], "its folder does not exist"),
        (["scan", "photos", "--records", "sqlite:///text.db"], "that file is not a database"),
        (
            ["scan", "photos", "--records", "postgresql://u:p@127.0.0.1:1/x", "--files", "f"],
            "the database can't be reached",
        ),
        (["scan", "photos", "--records", "postgresql://u:p@127.0.0.1:1/x"], "are kept: --files"),
        (["scan"], "give a folder, or --settings"),
    ],
)
def test_the_message_says_how_to_correct_a_mistake(
    command: Command, practice: Practice, arguments: list[str], said: str
) -> None:
    """The message says what is missing or why it can't be used, and nothing is moved."""
    practice.photo("IMG_1.jpg")
    (practice.root / "text.db").write_text("This is not a database, and long enough to show it. " * 40)
    done = command(*arguments)
    assert "u:p@" not in done.err
    assert done.code in {2, 4}
    assert said in done.err
    assert practice.left() == ["IMG_1.jpg"]


def test_nothing_that_waits_is_a_mistake(command: Command, practice: Practice) -> None:
    """``--all`` in a folder without waiting files is a mistake, and the message says so."""
    done = command("assign", practice.photos, "--all", "--patient", "10042")
    assert (done.code, "no file waits in the folder" in done.err) == (2, True)


@pytest.mark.parametrize("name", ["scan", "refresh"])
def test_a_failed_folder_is_named_by_its_number(command: Command, practice: Practice, name: str) -> None:
    """If one of several folders does not exist, its number is printed, but not its path."""
    done = command(name, practice.photos, "nowhere-at-all")
    assert done.code == 3
    assert "intouch-import: folder 2 of 2: the folder does not exist" in done.err
    assert "nowhere-at-all" not in done.err


def test_a_search_that_finds_nobody_says_so(command: Command) -> None:
    """If nobody is found, a message says so; programs get an empty list."""
    assert "no patient has that" in command("patients", "search", "nobody").err
    assert command("patients", "search", "nobody", "--json").json == []


def test_a_complaint_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, practice: Practice
) -> None:
    """A message is one line in any window, so that a script can search for it."""
    monkeypatch.setattr(show, "_errors", Console(width=20, stderr=True))
    done = command("assign", practice.photos, "--patient", "10042")
    assert done.err == "intouch-import: name the files to move, or give --all\n"
