"""``settings check``, ``show`` and ``init``; ``refresh``, ``scan`` and ``watch`` of settings."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from commanding import EVERY
from intouch_import.repositories.sql import SqlRepository
from intouch_import.settings import Settings
from intouch_import.settings.load import load
from intouch_import.settings.sections import PracticeSettings

if TYPE_CHECKING:
    from pathlib import Path

    from commanding import Command
    from miniature import Practice

CAPTURED = "10042_DRJ_20200131_142501.jpg"
GOOD = """
[practice]
zone = "UTC"
azure_account = "clinic"
azure_key = "CANARYKEY"
records = "postgresql://clinic:CANARYPASSWORD@127.0.0.1:1/clinic"

[provider.DRJ]
local_folder = "photos"
azure_container = "drj"
azure_sas = { env = "DRJ_SAS" }

[operator.reception]
locations = ["local"]
"""


@pytest.fixture
def settings_file(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write settings for the practice in miniature; the environment names the records."""
    for name in ("ZONE", "OPERATOR", "SETTINGS"):
        monkeypatch.delenv(f"INTOUCH_{name}", raising=False)
    path = practice.root / "practice.toml"
    path.write_text(
        '[practice]\nzone = "Australia/Sydney"\nsettle_s = 0\n[provider.DRJ]\nlocal_folder = "photos"\n'
        '[operator.reception]\nlocations = ["local"]\n[operator.nurse]\nlocations = ["local"]\nauto_import = false\n'
    )
    return path


# --- check


def test_check_prints_every_mistake(command: Command, practice: Practice) -> None:
    """Each mistake is one line with its file and key, and the exit code is 2."""
    path = practice.root / "bad.toml"
    path.write_text(
        "[practice]\nsettle_s = 'CANARY'\nzoen = 'CANARY'\n[provider.A]\nazure_folder = 'CANARY'\n"
    )
    done = command("settings", "check", path)
    assert done.code == 2
    text = re.sub(r"\s+", " ", done.err)
    assert "bad.toml: practice.settle_s: expected a number" in text
    assert "practice.zoen: no such key; did you mean zone?" in text
    assert "provider.A.azure_folder: expected a folder that begins with /" in text
    assert "CANARY" not in done.out + done.err
    as_json = command("settings", "check", path, "--json")
    assert as_json.code == 2
    assert {mistake["key"] for mistake in as_json.json["mistakes"]} == {
        "practice.settle_s",
        "practice.zoen",
        "provider.A.azure_folder",
    }
    assert {mistake["file"] for mistake in as_json.json["mistakes"]} == {str(path)}
    assert "CANARY" not in as_json.out + as_json.err


def test_check_of_sound_settings_is_exit_code_0(command: Command, practice: Practice) -> None:
    """Warnings are printed, and the exit code is 0."""
    path = practice.root / "good.toml"
    path.write_text(GOOD)
    done = command("settings", "check", path)
    assert (done.code, done.err) == (0, "")
    assert "No mistakes: 1 providers, 1 operators." in done.out
    assert "warning:" in done.out
    assert "CANARY" not in done.out
    as_json = command("settings", "check", path, "--json").json
    assert as_json["mistakes"] == []
    assert "practice.azure_key" in {warning["key"] for warning in as_json["warnings"]}


# --- show


def test_show_masks_secrets_and_names_where_values_come_from(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output shows the values in use and their files or variables, and no secret."""
    path = practice.root / "good.toml"
    path.write_text(GOOD)
    monkeypatch.setenv("DRJ_SAS", "CANARYSAS")
    monkeypatch.setenv("INTOUCH_SETTLE_S", "7")
    monkeypatch.delenv("INTOUCH_RECORDS")
    done = command("settings", "show", path)
    assert done.code == 0
    assert "CANARY" not in done.out
    assert re.search(r"practice\.azure_key +\*\*\* +", done.out)
    assert "***@127.0.0.1:1/clinic" in done.out
    assert "environment INTOUCH_SETTLE_S" in done.out
    shown = {row["key"]: row for row in command("settings", "show", path, "--json").json}
    assert shown["practice.azure_key"] == {"key": "practice.azure_key", "value": "***", "origin": str(path)}
    assert shown["provider.DRJ.azure_sas"]["value"] == "*** from { env = 'DRJ_SAS' }"
    assert shown["practice.settle_s"]["value"] == 7.0
    assert shown["practice.hosted"] == {"key": "practice.hosted", "value": False, "origin": "default"}
    assert shown["operator.reception.locations"]["value"] == ["local"]
    assert "CANARY" not in json.dumps(shown)


def test_show_prints_the_mistakes_of_wrong_settings(command: Command, practice: Practice) -> None:
    """If there are mistakes, they are printed instead of values."""
    path = practice.root / "bad.toml"
    path.write_text("[practice]\nzone = 'CANARY'\n")
    done = command("settings", "show", path)
    assert (done.code, done.out) == (2, "")
    assert "practice.zone" in done.err.replace("\n", "")
    assert "CANARY" not in done.err


# --- init


def test_init_writes_a_file_that_sets_nothing(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file has no mistakes, only its owner can read it, and no value of ours is in effect.

    With another practice's time zone, the times of photos would be wrong without a message.
    """
    monkeypatch.delenv("INTOUCH_ZONE")
    monkeypatch.delenv("INTOUCH_RECORDS")
    monkeypatch.delenv("INTOUCH_FILES")
    path = practice.root / "new.toml"
    assert command("settings", "init", path).code == 0
    assert command("settings", "check", path).code == 0
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = Settings.load(path)
    assert settings.origins == {}
    assert settings.practice == PracticeSettings()
    with settings.open_sources() as opened:
        assert (len(opened), opened.problems) == (0, ())


def test_every_example_of_the_file_is_one(command: Command, practice: Practice) -> None:
    """If every commented key is enabled, the file still has no mistakes."""
    path = practice.root / "new.toml"
    command("settings", "init", path)
    text = re.sub(r"^# (\w+ = )", r"\1", path.read_text("utf-8"), flags=re.MULTILINE)
    path.write_text(text, "utf-8")
    found = load([path])
    assert found.mistakes == ()
    assert len(found.origins) > 25


def test_init_never_overwrites(command: Command, practice: Practice) -> None:
    """An existing file is not changed."""
    path = practice.root / "mine.toml"
    path.write_text("mine")
    done = command("settings", "init", path)
    assert done.code == 2
    assert "it was not changed" in done.err
    assert path.read_text() == "mine"
    assert command("settings", "init", practice.root / "no" / "folder.toml").code == 2
    assert command("settings", "init", practice.root / "new.toml", "--json").json == {
        "file": str(practice.root / "new.toml")
    }


# --- refresh, scan and watch of settings


def test_refresh_opens_what_is_on(command: Command, practice: Practice, settings_file: Path) -> None:
    """The folders, the provider and the operator of the settings are used."""
    practice.photo(CAPTURED)
    done = command("refresh", "--settings", settings_file, "--operator", "reception", "--json")
    assert (done.code, done.json["imported"]) == (0, 1)
    with practice.records() as records:
        (stored,) = records.attachments("10042")
    assert (stored.operator, stored.taken_at.isoformat()) == ("reception", "2020-01-31T03:25:01+00:00")


def test_the_command_line_overrides_the_settings(
    command: Command, practice: Practice, settings_file: Path
) -> None:
    """Options on the command line override the zone, the pattern and automatic import of the settings."""
    practice.photo(CAPTURED)
    call = ("--settings", settings_file, "--operator", "reception", "--json")
    assert command("refresh", *call, "--no-auto-import").json["waiting"] == 1
    assert (
        command("refresh", *call, "--pattern", "X{patient}_{provider}_{taken:%Y%m%d_%H%M%S}").json["waiting"]
        == 1
    )
    assert (
        command("refresh", "--settings", settings_file, "--operator", "nurse", "--json").json["waiting"] == 1
    )
    other = practice.root / "other.db"
    empty = command("refresh", *call, "--records", f"sqlite:///{other}", "--files", practice.root / "other")
    assert [one["reason"] for one in empty.json["outcomes"]] == ["patient_unknown"]
    assert other.exists()
    assert command("refresh", *call, "--zone", "UTC").json["imported"] == 1
    with practice.records() as records:
        (stored,) = records.attachments("10042")
    assert stored.taken_at.isoformat() == "2020-01-31T14:25:01+00:00"


# --- one practice for every command


@pytest.fixture
def desk(practice: Practice, settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in another folder than that of the settings, which name the records; no variable names them."""
    for name in ("RECORDS", "FILES"):
        monkeypatch.delenv(f"INTOUCH_{name}")
    text = settings_file.read_text()
    settings_file.write_text(text.replace("[practice]", '[practice]\nrecords = "sqlite:///clinic.db"'))
    monkeypatch.setenv("INTOUCH_SETTINGS", str(settings_file))
    monkeypatch.setenv("INTOUCH_OPERATOR", "reception")
    desk = practice.root / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    return desk


def test_every_command_uses_the_records_of_the_settings(
    command: Command, practice: Practice, desk: Path
) -> None:
    """From any folder, each command works on the practice's records, and makes no others."""
    records = practice.root / "clinic.db"
    csv = practice.root / "people.csv"
    csv.write_text("id,name\n20001,Zoë Quill\n")
    assert command("patients", "load", csv).code == command("providers", "load", csv).code == 0
    assert command("patients", "search", "Zoë", "--json").json[0]["id"] == "20001"
    practice.photo("IMG_1.jpg")
    assert command("scan", "--json").json["rows"][0]["name"] == "IMG_1.jpg"
    assert command("assign", practice.photos, "IMG_1.jpg", "--patient", "20001").code == 0
    practice.photo("IMG_2.jpg")
    assert command("browse", practice.photos, "IMG_2.jpg", "--patient", "20001").code == 0
    entries = [json.loads(line) for line in command("ledger", "show", "--json").out.splitlines()]
    first, second = (entry["import_id"] for entry in entries if entry["event"] == "moved")
    assert command("reassign", first, "--patient", "10042").code == 0
    assert command("undo", second, "--source", practice.photos).code == 0
    assert command("ledger", "verify").code == command("ledger", "export").code == 0
    practice.photo(CAPTURED)
    assert command("refresh", "--json").json["imported"] == 1
    archive, plan = practice.root / "archive", practice.root / "plan"
    archive.mkdir()
    practice.photo("old.jpg", folder=archive)
    planned = ("migrate", "plan", archive, "--to", plan, "--patient", "20001")
    assert command(*planned).code == 0
    assert command("migrate", "run", plan).code == 0
    assert command("migrate", "certificate", plan).code == 0
    with SqlRepository.open(f"sqlite:///{records}", files=practice.root / "clinic-files") as found:
        assert [one.name for one in found.attachments("10042")] == [CAPTURED, "IMG_1.jpg"]
        assert [one.name for one in found.attachments("20001")] == ["old.jpg"]
    assert os.listdir(desk) == []


@pytest.mark.parametrize("arguments", [*EVERY, ["refresh"], ["watch"]], ids=" ".join)
def test_no_command_makes_records_that_nobody_named(
    command: Command, practice: Practice, desk: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Without records in settings, variables or options, a command ends with exit code 2 and writes nothing."""
    monkeypatch.delenv("INTOUCH_SETTINGS")
    (desk / "photos").mkdir()
    done = command(*arguments)
    assert done.code == 2
    assert "name the patient records: --records" in done.err or "give a folder, or --settings" in done.err
    assert os.listdir(desk) == ["photos"]


def test_the_settings_of_the_practice_apply_to_a_given_folder(
    command: Command, practice: Practice, desk: Path
) -> None:
    """The zone, the pattern and the allowed extensions of the practice apply to every command."""
    file = practice.root / "practice.toml"
    file.write_text(file.read_text().replace("settle_s", 'allowed_extensions = [".jpg"]\nsettle_s'))
    practice.photo(CAPTURED)
    practice.photo("IMG_1.png")
    done = command("refresh", practice.photos, "--json").json
    assert [one["reason"] for one in done["outcomes"]] == ["capture_name", "extension_not_allowed"]
    assert command("assign", practice.photos, "IMG_1.png", "--patient", "10042").code == 2
    with SqlRepository.open(practice.url) as records:
        assert [one.taken_at.hour for one in records.attachments("10042") if one.taken_at] == [3]


def test_files_belong_to_the_records(
    command: Command, practice: Practice, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are beside the records that a command uses, never in a folder that was named with other records."""
    monkeypatch.setenv("INTOUCH_FILES", str(practice.root / "theirs"))
    other = practice.root / "other.db"
    csv = practice.root / "people.csv"
    csv.write_text("id,name\n10042,Ada Marsh\n")
    assert command("patients", "load", csv, "--records", f"sqlite:///{other}").code == 0
    assert (practice.root / "other-files").is_dir()
    assert not (practice.root / "theirs").exists()
    assert command("patients", "load", csv).code == 0
    assert (practice.root / "theirs").is_dir()
    assert os.listdir(desk) == []


def test_scan_of_settings_moves_nothing(command: Command, practice: Practice, settings_file: Path) -> None:
    """A scan lists the files of the provider and operator, and moves nothing."""
    practice.photo(CAPTURED)
    done = command("scan", "--settings", settings_file, "--operator", "reception", "--json")
    assert [row["verdict"] for row in done.json["rows"]] == ["import"]
    assert practice.left() == [CAPTURED]


def test_the_variable_names_the_settings_unless_a_folder_is_given(
    command: Command, practice: Practice, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INTOUCH_SETTINGS is used like --settings, but not if a folder is given."""
    practice.photo(CAPTURED)
    monkeypatch.setenv("INTOUCH_SETTINGS", str(settings_file))
    monkeypatch.setenv("INTOUCH_OPERATOR", "nurse")
    assert command("refresh", "--json").json["waiting"] == 1
    assert command("refresh", practice.photos, "--json").json["imported"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["refresh"],
        ["refresh", "--settings", "nowhere.toml"],
        ["refresh", "--settings", "practice.toml"],
        ["refresh", "--settings", "practice.toml", "--operator", "nobody"],
        ["scan", "--settings", "practice.toml", "--operator", "nurse", "--provider", "nobody"],
    ],
)
def test_mistakes_in_the_call_are_exit_code_2(
    command: Command, practice: Practice, settings_file: Path, arguments: list[str]
) -> None:
    """If folder and settings are missing or wrong, one line says so."""
    done = command(*arguments)
    assert done.code == 2
    assert done.err.startswith("intouch-import:")


def test_a_location_that_is_dead_is_exit_code_3(
    command: Command, practice: Practice, settings_file: Path
) -> None:
    """The other locations are refreshed."""
    practice.photo(CAPTURED)
    settings_file.write_text(
        settings_file.read_text().replace('["local"]', '["local", "azure"]', 1)
        + '[provider.DRK]\nazure_container = "drk"\nazure_sas = { env = "NOT_SET" }\n'
    )
    settings_file.write_text(
        settings_file.read_text().replace("[practice]", '[practice]\nazure_account = "clinic"', 1)
    )
    done = command(
        "refresh", "--settings", settings_file, "--operator", "reception", "--provider", "DRJ", "--json"
    )
    assert (done.code, done.json["imported"]) == (3, 1)
    assert [problem["location"] for problem in done.json["problems"]] == ["azure"]


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are not sent there")
@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "text"])
def test_watch_imports_until_it_is_told_to_end(
    practice: Practice, settings_file: Path, json_lines: bool
) -> None:
    """New files are imported and printed; SIGTERM ends the watch with exit code 0."""
    code = "from intouch_import.cli import main; main()"
    call = [sys.executable, "-c", code, "watch", "--settings", str(settings_file), "--operator", "reception"]
    process = subprocess.Popen(
        [*call, "--json"] if json_lines else call,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "INTOUCH_RECORDS": practice.url, "INTOUCH_FILES": str(practice.files), "INTOUCH_SETTLE_S": "0"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        practice.photo("IMG_1.jpg")
        if json_lines:
            assert [row["name"] for row in json.loads(process.stdout.readline())["new"]] in (
                [],
                ["IMG_1.jpg"],
            )
        else:
            assert "IMG_1.jpg" in process.stdout.readline()
        practice.photo(CAPTURED)
        until_s = time.monotonic() + 60
        while practice.left() != ["IMG_1.jpg"] and time.monotonic() < until_s:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (0, "")
    if json_lines:
        moved = [one for line in out.splitlines() for one in json.loads(line)["moved"]]
        assert [(one["name"], one["state"]) for one in moved] == [(CAPTURED, "imported")]
    else:
        assert f"{CAPTURED}  imported: The file name identifies the patient." in out


@pytest.mark.parametrize("name", ["scan", "refresh"])
def test_settings_without_a_location_say_so(command: Command, practice: Practice, name: str) -> None:
    """If no location is on, a message says that nothing was listed."""
    nothing = practice.root / "nothing.toml"
    nothing.write_text('[practice]\nzone = "UTC"\n[provider.DRJ]\n[operator.reception]\n')
    done = command(name, "--settings", nothing)
    assert done.code == 0
    assert "the settings switch on no location for this provider and operator" in done.err


def test_missing_settings_are_reported(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no settings file is named, the message names the variable."""
    monkeypatch.delenv("INTOUCH_SETTINGS", raising=False)
    done = command("settings", "check")
    assert (done.code, "INTOUCH_SETTINGS: names no settings file, and none is given" in done.err) == (2, True)
