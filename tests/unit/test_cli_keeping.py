"""The commands that check what is stored, and back it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from commanding import Command

if TYPE_CHECKING:
    from pathlib import Path

    from miniature import Practice

PHOTOS = [f"10042_DRJ_20200131_14250{number}.jpg" for number in range(4)]


@pytest.fixture
def stored(practice: Practice, command: Command) -> list[Path]:
    """Return where the bytes of four imported photos are."""
    for name in PHOTOS:
        practice.photo(name)
    assert command("refresh", practice.photos).code == 0
    with practice.records() as records:
        return [practice.files / one.id[:2] / one.id for one in records.attachments("10042")]


def test_records_that_are_whole_verify(command: Command, stored: list[Path]) -> None:
    """The counts are printed, for people and for programs."""
    done = command("records", "verify")
    assert done.code == 0
    assert "4 files listed, 4 read again: 4 intact" in done.out
    values = command("records", "verify", "--json").json
    assert (values["listed"], values["intact"], values["sound"], values["findings"]) == (4, 4, True, [])


def test_damaged_records_do_not_verify(command: Command, practice: Practice, stored: list[Path]) -> None:
    """Each damaged file is named with its patient, and the exit code is that of records that failed."""
    stored[0].unlink()
    stored[1].write_bytes(b"altered")
    with practice.records() as records:
        records.withdraw(stored[2].name)
    done = command("records", "verify")
    assert done.code == 4
    for text in ("missing", "altered", "not in the records", "10042", PHOTOS[0], stored[1].name):
        assert text in done.out
    assert "1 intact, 2 missing, 1 altered, 0 unreadable" in done.out
    assert command("records", "verify", "--json").json["missing"] == 2


def test_a_sample_or_a_time_limits_what_is_read(command: Command, stored: list[Path]) -> None:
    """A number of files, a percentage, or what was stored since a day."""
    assert command("records", "verify", "--sample", "3", "--json").json["read"] == 3
    assert command("records", "verify", "--sample", "100%", "--json").json["read"] == 4
    assert command("records", "verify", "--since", "2999-01-01", "--json").json["listed"] == 0
    assert command("records", "verify", "--since", "2020-01-01T08:00:00", "--json").json["listed"] == 4
    for wrong in ("many", "0", "101%", "-5%"):
        assert command("records", "verify", "--sample", wrong).code == 2


def test_losses_can_be_accepted(command: Command, practice: Practice, stored: list[Path]) -> None:
    """Afterwards, checks and refreshes find nothing, and the ledger names who has accepted the loss."""
    with practice.records() as records:
        records.withdraw(stored[0].name)
    assert command("refresh", practice.photos).code == 4
    assert command("records", "verify", "--accept-missing", "--operator", "boss").code == 4
    assert command("records", "verify").code == 0
    assert command("refresh", practice.photos).code == 0
    assert "missing" in command("ledger", "show").out


def test_a_backup_is_made_and_checked(command: Command, practice: Practice, stored: list[Path]) -> None:
    """What ``backup`` writes, ``restore --check`` accepts, until something is damaged."""
    backup = practice.root / "backup"
    done = command("backup", backup)
    assert done.code == 0
    assert "4 files, 8 ledger entries, 0 faults" in done.out
    assert command("restore", backup, "--check", "--json").json["sound"] is True
    damaged = backup / "clinic-files" / stored[0].parent.name / stored[0].name
    damaged.write_bytes(b"altered")
    done = command("restore", backup, "--check")
    assert done.code == 4
    assert stored[0].name in done.out
    (fault,) = command("restore", backup, "--check", "--json").json["faults"]
    assert fault["kind"] == "altered"
    assert command("backup", backup).code == 2
    assert command("restore", backup).code == 2


def test_a_backup_may_list_files_only(command: Command, practice: Practice, stored: list[Path]) -> None:
    """Then the check is given the folder with the files."""
    assert command("backup", "listed", "--list-only").code == 0
    assert command("restore", "listed", "--check").code == 4
    assert command("restore", "listed", "--check", "--stored-files", practice.files).code == 0


def test_a_backup_of_damaged_records_is_no_success(command: Command, stored: list[Path]) -> None:
    """The backup is made, and the exit code says that a photo is not in it."""
    stored[0].unlink()
    done = command("backup", "backup")
    assert done.code == 4
    assert "The file does not exist." in done.out


def test_records_that_do_not_exist_are_not_made(command: Command, practice: Practice) -> None:
    """A mistyped name must not look like records in which nothing is wrong."""
    nowhere = practice.root / "nowhere.db"
    assert command("records", "verify", "--records", f"sqlite:///{nowhere}").code == 2
    assert not nowhere.exists()
