"""Backups: made while the records are in use, complete, private, and proven before they are used."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.errors import ConfigError, RepositoryError, StorageFull
from intouch_import.ledger import Ledger
from intouch_import.model import Stage
from intouch_import.records import verify_records
from intouch_import.records.backup import back_up
from intouch_import.records.backup_files import FaultKind
from intouch_import.records.restore import check_backup
from intouch_import.repositories.sql import SqlRepository
from miniature import NOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intouch_import.model import Progress, StoredAttachment
    from miniature import Practice

NAMES = [f"10042_DRJ_20260131_14250{number}.jpg" for number in range(5)]


@pytest.fixture
def stored(practice: Practice) -> list[StoredAttachment]:
    """Return five photos that were imported for one patient, by name."""
    return practice.imported(NAMES)


def kinds(folder: Path, **options: Any) -> set[tuple[FaultKind, str]]:
    return {(fault.kind, fault.path) for fault in check_backup(folder, **options).faults}


def copy_of(attachment: StoredAttachment) -> str:
    return f"clinic-files/{attachment.id[:2]}/{attachment.id}"


def test_a_backup_is_complete_and_can_be_used(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """Its copy, opened as records, has every photo, every entry of the ledger, and the patients."""
    told: list[Progress] = []
    made = back_up(
        practice.records(), tmp_path / "backup", on_progress=told.append, clock=Clock(now=lambda: NOW)
    )
    assert (made.files, made.ledger_entries, made.sound, made.made_at) == (5, 10, True, NOW)
    assert made.size_bytes == sum(one.size_bytes for one in stored)
    assert (told[-1].stage, told[-1].done, told[-1].total) == (Stage.BACKING_UP, 5, 5)
    checked = check_backup(tmp_path / "backup", on_progress=told.append)
    assert checked == made
    assert told[-1].stage is Stage.VERIFYING
    restored = tmp_path / "restored"
    shutil.copytree(tmp_path / "backup", restored)
    url = f"sqlite:///{restored / 'clinic.db'}"
    with SqlRepository.open(url, files=restored / "clinic-files") as records:
        assert verify_records(records).intact == 5
        assert practice.inbox(records=records).refresh().problems == ()
        assert records.find_patient("10042") is not None
    assert Ledger.open(url).verify() == []


def test_a_backup_has_what_is_only_in_the_write_ahead_log(practice: Practice, tmp_path: Path) -> None:
    """The records stay open, and another import is about to be written: a copy of the file would lack photos."""
    records = practice.records()
    for name in NAMES:
        practice.photo(name)
    practice.inbox(records=records).refresh()
    shutil.copy(practice.root / "clinic.db", tmp_path / "plain-copy.db")
    with closing(sqlite3.connect(tmp_path / "plain-copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM intouch_attachment").fetchone() == (0,)
    with records.transaction():  # a writer does not stop the backup
        assert back_up(practice.records(), tmp_path / "backup").files == 5
    assert check_backup(tmp_path / "backup").sound


def test_backups_during_imports_are_complete(practice: Practice, tmp_path: Path) -> None:
    """Each backup is of one moment: it has every file that its records and its ledger have."""
    for number in range(15):
        practice.photo(f"10042_DRJ_20260131_14{number // 60:02}{number % 60:02}.jpg")
    inbox = practice.inbox()
    inbox.scan()
    rows = list(inbox.rows)

    def import_one_by_one() -> None:
        for row in rows:
            inbox.save(inbox.prepare([row], patient="10042"))

    importing = threading.Thread(target=import_one_by_one)
    importing.start()
    counts = []
    while importing.is_alive() or not counts:
        folder = tmp_path / f"backup-{len(counts)}"
        counts.append(back_up(practice.records(), folder).files)
        assert check_backup(folder).faults == ()
    importing.join()
    assert counts == sorted(counts)
    assert back_up(practice.records(), tmp_path / "last").files == 15


@pytest.mark.skipif(sys.platform == "win32", reason="rights on Windows come from the folder")
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_else_can_read_a_backup(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path, umask: int
) -> None:
    """Folders have the mode 0700 and files 0600, whatever the umask."""
    before = os.umask(umask)
    try:
        back_up(practice.records(), tmp_path / "backup")
    finally:
        os.umask(before)
    for path in (tmp_path / "backup", *(tmp_path / "backup").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_other_programs_can_check_the_list(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """The list has the format of ``sha256sum``."""
    back_up(practice.records(), tmp_path / "backup")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path / "backup",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.count(b": OK") == 6


def test_damage_to_a_backup_is_found(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """Each sentence about a backup can be false: the check notices."""
    whole = tmp_path / "backup"
    back_up(practice.records(), whole)

    def damaged(damage: Callable[[Path], object]) -> set[tuple[FaultKind, str]]:
        folder = tmp_path / "damaged"
        shutil.copytree(whole, folder)
        damage(folder)
        try:
            return kinds(folder)
        finally:
            shutil.rmtree(folder)

    path = copy_of(stored[0])

    def as_folder(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).mkdir()

    assert damaged(lambda folder: (folder / path).unlink()) == {(FaultKind.MISSING, path)}
    assert damaged(lambda folder: (folder / path).write_bytes(b"other")) == {(FaultKind.ALTERED, path)}
    assert damaged(as_folder) == {(FaultKind.UNREADABLE, path)}
    assert damaged(lambda folder: (folder / "backup.json").unlink()) == {
        (FaultKind.INCOMPLETE, "backup.json"),
        (FaultKind.INCOMPLETE, "SHA256SUMS"),
    }
    assert (FaultKind.INCOMPLETE, "SHA256SUMS") in damaged(lambda folder: (folder / "SHA256SUMS").unlink())
    assert (FaultKind.MISSING, "clinic.db") in damaged(lambda folder: (folder / "clinic.db").unlink())
    assert (FaultKind.UNREADABLE, "clinic.db") in damaged(
        lambda folder: (folder / "clinic.db").write_bytes(b"no database" * 1000)
    )
    assert damaged(lambda folder: (folder / "clinic.db-wal").write_bytes(b"old")) == {
        (FaultKind.UNLISTED, "clinic.db-wal")
    }

    def shorten(folder: Path) -> None:
        lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
        (folder / "SHA256SUMS").write_text("".join(line for line in lines if path not in line))

    assert damaged(shorten) == {(FaultKind.INCOMPLETE, "SHA256SUMS"), (FaultKind.UNLISTED, stored[0].id)}

    def change(statement: str) -> Callable[[Path], None]:
        def run(folder: Path) -> None:
            with closing(sqlite3.connect(folder / "clinic.db")) as database, database:
                database.execute(statement)

        return run

    forgotten = change(f"DELETE FROM intouch_attachment WHERE import_id = '{stored[0].id}'")
    assert damaged(forgotten) == {
        (FaultKind.ALTERED, "clinic.db"),
        (FaultKind.LEDGER_AHEAD, stored[0].id),
    }
    for statement in ("DELETE FROM intouch_ledger WHERE seq = 10", "UPDATE intouch_ledger SET name = 'x'"):
        assert damaged(change(statement)) == {
            (FaultKind.ALTERED, "clinic.db"),
            (FaultKind.LEDGER_BROKEN, "clinic.db"),
        }


def test_a_path_that_leads_out_of_the_backup_is_not_followed(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """A list that was changed cannot make the check read other files."""
    back_up(practice.records(), tmp_path / "backup")
    with (tmp_path / "backup" / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  ../secret\n")
    assert kinds(tmp_path / "backup") == {(FaultKind.INCOMPLETE, "SHA256SUMS")}


def test_damaged_stored_files_are_reported_by_the_backup(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """The backup is made, with everything that can be read; and it does not pass for complete."""
    missing, altered, unreadable, *_ = (practice.files / one.id[:2] / one.id for one in stored)
    missing.unlink()
    altered.write_bytes(b"other")
    unreadable.unlink()
    unreadable.mkdir()
    made = back_up(practice.records(), tmp_path / "backup")
    assert {(fault.kind, fault.path) for fault in made.faults} == {
        (FaultKind.MISSING, copy_of(stored[0])),
        (FaultKind.ALTERED, copy_of(stored[1])),
        (FaultKind.UNREADABLE, copy_of(stored[2])),
    }
    assert kinds(tmp_path / "backup") == {
        (FaultKind.MISSING, copy_of(stored[0])),
        (FaultKind.ALTERED, copy_of(stored[1])),
        (FaultKind.MISSING, copy_of(stored[2])),
    }
    assert made.to_dict()["sound"] is False
    assert json.dumps(made.to_dict())


def test_files_that_another_program_backs_up_are_only_listed(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """They are checked where they were restored."""
    made = back_up(practice.records(), tmp_path / "backup", with_files=False)
    assert (made.files, made.size_bytes, made.sound) == (5, 0, True)
    assert not (tmp_path / "backup" / "clinic-files").exists()
    assert len(check_backup(tmp_path / "backup").faults) == 5
    assert check_backup(tmp_path / "backup", stored_files=practice.files).sound


def test_a_ledger_in_another_database_is_backed_up_too(practice: Practice, tmp_path: Path) -> None:
    """Photos that only the ledger has are a fault of the records, not of the moment of the copy."""
    practice.photo(NAMES[0])
    ledger = practice.root / "ledger.db"
    inbox = practice.inbox(ledger=ledger)
    inbox.refresh()
    records = practice.records()
    assert back_up(records, tmp_path / "whole", ledger=ledger).ledger_entries == 2
    assert check_backup(tmp_path / "whole").sound
    (attachment,) = records.attachments("10042")
    records.withdraw(attachment.id)
    made = back_up(records, tmp_path / "ahead", ledger=inbox.ledger)
    assert [fault.kind for fault in made.faults] == [FaultKind.LEDGER_AHEAD]
    assert kinds(tmp_path / "ahead") == {(FaultKind.LEDGER_AHEAD, attachment.id)}
    (tmp_path / "whole" / "ledger.db").unlink()
    assert (FaultKind.MISSING, "ledger.db") in kinds(tmp_path / "whole")


def test_an_undo_during_the_backup_does_not_damage_it(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """The databases are copied again, so that they agree with the files."""
    records = practice.records()
    inbox = practice.inbox()
    real = records.open_attachment
    undone: list[str] = []

    def open_attachment(attachment_id: str) -> Any:
        if not undone:
            undone.append(attachment_id)
            inbox.undo(attachment_id)
        return real(attachment_id)

    records.open_attachment = open_attachment  # type: ignore[method-assign]
    made = back_up(records, tmp_path / "backup")
    assert (made.files, made.sound) == (4, True)
    assert check_backup(tmp_path / "backup").sound


def test_a_backup_needs_a_folder_of_its_own(practice: Practice, tmp_path: Path) -> None:
    """An older backup is never overwritten; only an empty folder is used."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(ConfigError, match="empty"):
        back_up(practice.records(), tmp_path / "used")
    with pytest.raises(ConfigError, match="can't be used"):
        back_up(practice.records(), tmp_path / "used" / "file")
    (tmp_path / "empty").mkdir()
    assert back_up(practice.records(), tmp_path / "empty").sound
    with pytest.raises(ConfigError, match="no such folder"):
        check_backup(tmp_path / "nowhere")


def test_a_full_disk_leaves_a_backup_that_is_not_complete(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written does not pass for a backup."""
    from intouch_import import disk

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "copy_and_digest", full)
    with pytest.raises(StorageFull):
        back_up(practice.records(), tmp_path / "backup")
    assert (FaultKind.INCOMPLETE, "backup.json") in kinds(tmp_path / "backup")


def test_another_database_is_backed_up_with_its_own_tools(tmp_path: Path, practice: Practice) -> None:
    """PostgreSQL is refused before anything is written about it."""
    from intouch_import.database import copy_sqlite

    class Engine:
        class dialect:  # noqa: N801
            name = "postgresql"

    with pytest.raises(ConfigError, match="SQLite"):
        copy_sqlite(Engine(), tmp_path / "copy.db")  # type: ignore[arg-type]
    with practice.records() as records, pytest.raises(RepositoryError):
        copy_sqlite(records.engine, tmp_path / "nowhere" / "copy.db")
