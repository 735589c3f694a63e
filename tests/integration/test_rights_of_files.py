"""Other users of the computer can't read what the library writes, whatever the umask."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING

import pytest

from intouch_import.logfiles import log_to_directory
from intouch_import.migration import ManifestRule, plan
from intouch_import.migration.limits import RunCommand, RunControl
from intouch_import.repositories.sql import SqlRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from miniature import Practice

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="on Windows, the rights of a file come from its folder"
)

CAPTURED = "10042_DRJ_20200131_142501.jpg"


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def careless(request: pytest.FixtureRequest) -> Iterator[None]:
    """Create files that others may read, and perhaps write, unless a program says otherwise."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def _open_to_others(root: Path) -> list[str]:
    """Return the files and folders below ``root`` that other users can read or write."""
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            if stat.S_IMODE(os.lstat(path).st_mode) & 0o077:
                found.append(os.path.relpath(path, root))
        # Nobody else can reach what is in a folder that only its owner can enter.
        folders[:] = [name for name in folders if os.stat(os.path.join(folder, name)).st_mode & 0o077]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in folders]
    return sorted(found)


def test_others_cannot_read_databases_plans_and_logs(
    tmp_path: Path, practice: Practice, careless: None
) -> None:
    """Records, stored files, ledger, plan, certificate and log files are open to their owner alone."""
    root = tmp_path / "shared"
    for folder in (root, mine := root / "mine", plan_folder := root / "mine" / "plan"):
        folder.mkdir()
    practice.photo("10043.jpg")
    practice.photo(CAPTURED).chmod(0o666)
    (practice.root / "list.csv").write_text("file,patient\n10043.jpg,10043\n")
    with (
        SqlRepository.open(f"sqlite:///{mine}/new.db", files=mine / "files") as records,
        practice.records() as patients,
    ):
        records.add_patients(patients.find_patients(["10042", "10043"]).values())
        records.add_provider(patients.find_provider("DRJ"))
        inbox = practice.inbox(records=records, ledger=mine / "ledger.db")
        assert inbox.refresh().imported == 1
        rule = ManifestRule(
            path=str(practice.root / "list.csv"), columns={"path": "file", "patient": "patient"}
        )
        planned = plan(practice.photos, rule, records, to=plan_folder, zone="UTC", ledger=inbox.ledger)
        RunControl(plan_folder / "signal").send(RunCommand.GO)
        planned.override({"verdict": "import"}, patient="10042", by="me", note="a note")
        assert planned.run(records).wait().certificate is not None
        logs = log_to_directory(mine / "logs", max_bytes=1, keep=1)
        for _ in range(2):
            logging.getLogger("intouch_import.dropbox").warning("a call failed")
        logs.close()
        # Also while the databases are open, with their -wal and -shm files.
        assert _open_to_others(root) == ["mine", "mine/plan"]
    assert sorted(path.name for path in (mine / "logs").iterdir()) == [
        "MailCenter_Dropbox.log", "MailCenter_Dropbox.log.1", "MailCenter_OneDrive.log",
    ]  # fmt: skip
    assert sorted(path.name for path in plan_folder.glob("[lor]*")) == [
        "list.sqlite", "outcomes", "overrides.jsonl", "rows-00000.parquet",
    ]  # fmt: skip
