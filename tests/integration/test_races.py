"""Many workstations at one folder: each file is stored once, none is lost, and the ledger tells each move once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import sqlalchemy as sa
from scenes import memory, photo

from intouch_import.clock import Clock
from intouch_import.inbox import Inbox
from intouch_import.ledger import Event, Ledger
from intouch_import.ledger.entry import ledger_table
from intouch_import.model import Patient, Provider
from intouch_import.repositories.sql import SqlRepository
from intouch_import.repositories.tables import attachments
from intouch_import.sources import open_source
from miniature import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.both_databases

# A small race by default; `nox -s races` runs the long one.
PROCESSES = int(os.environ.get("INTOUCH_RACE_PROCESSES", "4"))
FILES = int(os.environ.get("INTOUCH_RACE_FILES", "80"))
ROUNDS = int(os.environ.get("INTOUCH_RACE_ROUNDS", "1"))

# What a workstation may be told that was slower than another. Everything else would be a fault.
SLOWER = {"imported finished_elsewhere", "failed already_assigned"}
STORED = {"imported capture_name", "imported chosen", "imported interrupted"}


@attrs.frozen
class Race:
    """A practice with many workstations.

    Args:
        root: Its files.
        database: URL of its database.
        workstations: Processes that take orders.
    """

    root: Path
    database: str
    workstations: list[subprocess.Popen[str]]

    @property
    def files(self) -> Path:
        """Where stored bytes are kept."""
        return self.root / "files"

    def folder(self, name: str, count: int) -> dict[str, str]:
        """Lay out photos, half of them with names that say whose they are. Returns name by digest."""
        folder = self.root / name
        folder.mkdir()
        made = {}
        for number in range(count):
            hours, minutes, seconds = number // 3600 % 24, number // 60 % 60, number % 60
            taken = f"20260131_{hours:02}{minutes:02}{seconds:02}_{number}"
            file = f"10042_DRJ_{taken}.gif" if number % 2 else f"IMG_{number:05}.gif"
            content = photo(f"{folder} {number}")
            (folder / file).write_bytes(content)
            made[hashlib.sha256(content).hexdigest()] = file
        return made

    def run(self, name: str, patients: list[str]) -> list[Counter[str]]:
        """Let all workstations work on a folder, each saving to its patient. Returns what each was told."""
        order = {
            "database": self.database,
            "files": str(self.files),
            "folder": str(self.root / name),
            "source_id": name,
        }
        for workstation, patient in zip(self.workstations, patients, strict=True):
            tell(workstation, json.dumps(order | {"patient": patient}))
        assert {hear(workstation) for workstation in self.workstations} == {"ready"}
        for workstation in self.workstations:
            tell(workstation, "go")
        return [Counter(json.loads(hear(workstation))) for workstation in self.workstations]


def tell(workstation: subprocess.Popen[str], line: str) -> None:
    """Write a line to a process."""
    assert workstation.stdin is not None
    workstation.stdin.write(line + "\n")
    workstation.stdin.flush()


def hear(workstation: subprocess.Popen[str]) -> str:
    """Read a line from a process."""
    assert workstation.stdout is not None
    line = workstation.stdout.readline().strip()
    assert line, "a workstation failed: its traceback was captured"
    return line


@pytest.fixture(scope="module")
def workstations() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that take orders, for any practice; they leave with the module."""
    command = [sys.executable, str(Path(__file__).with_name("racing.py"))]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(PROCESSES)]


@pytest.fixture
def race(
    database: str, request: pytest.FixtureRequest, workstations: list[subprocess.Popen[str]]
) -> Iterator[Race]:
    """A practice, in memory where there is some, and its workstations."""
    with tempfile.TemporaryDirectory(prefix="intouch-race-", dir=memory()) as root:
        url = f"sqlite:///{root}/clinic.db"
        if database == "postgresql":
            url = request.getfixturevalue("postgresql_url")
        race = Race(Path(root), url, workstations)
        with SqlRepository.open(url, files=race.files) as records:
            Ledger(records.engine)
            records.add_patients(Patient(id=patient) for patient in ("10042", "10043", "10044"))
            records.add_provider(Provider(id="DRJ"))
        yield race


def check(race: Race, name: str, made: dict[str, str], told: list[Counter[str]]) -> None:
    """Every file is stored once and whole, has left the folder, and has one line for each step of its move."""
    assert [path.name for path in (race.root / name).iterdir()] == []
    everything = sum(told, Counter())
    assert {key for key in everything if not key.startswith("waiting")} <= STORED | SLOWER
    with SqlRepository.open(race.database, files=race.files) as records:
        with records.engine.connect() as connection:
            rows = connection.execute(
                sa.select(attachments.c.import_id, attachments.c.sha256).where(
                    attachments.c.source_id == name
                )
            ).all()
            events = connection.execute(
                sa.select(ledger_table.c.import_id, ledger_table.c.event, sa.func.count())
                .where(ledger_table.c.source_id == name)
                .group_by(ledger_table.c.import_id, ledger_table.c.event)
            ).all()
        assert sorted(row.sha256 for row in rows) == sorted(made)
        for row in rows:
            with records.open_attachment(row.import_id) as file:
                assert hashlib.sha256(file.read()).hexdigest() == row.sha256
    counts = {(import_id, event): count for import_id, event, count in events}
    for row in rows:
        for event in (Event.STORED, Event.MOVED):
            assert counts[row.import_id, event] == 1
    assert {import_id for import_id, _ in counts} == {row.import_id for row in rows}


def test_many_workstations_refresh_and_save_one_folder(race: Race) -> None:
    """All at once, round after round: each file once, none lost, a ledger that is in order."""
    began_s = time.monotonic()
    total: Counter[str] = Counter()
    for number in range(ROUNDS):
        name = f"photos-{number}"
        made = race.folder(name, FILES)
        told = race.run(name, ["10043"] * PROCESSES)
        check(race, name, made, told)
        assert not any("already_assigned" in key or "reappeared" in key for one in told for key in one)
        total += sum(told, Counter())
    with SqlRepository.open(race.database, files=race.files) as records:
        ledger = Ledger(records.engine)
        assert ledger.verify() == []
        print(
            f"{records.engine.dialect.name}: {PROCESSES} processes, {FILES} files, {ROUNDS} rounds in"
            f" {time.monotonic() - began_s:.0f} s; {ledger.tail()[0]} lines in the ledger; told: {dict(total)}"
        )


def test_workstations_that_save_to_different_patients_are_told(race: Race) -> None:
    """Each file ends with one patient, and whoever was slower hears that it is in another record."""
    name = "contested"
    made = race.folder(name, FILES)
    patients = ["10043", "10044"] * PROCESSES
    told = race.run(name, patients[:PROCESSES])
    check(race, name, made, told)
    with SqlRepository.open(race.database, files=race.files) as records:
        assert sum(len(records.attachments(patient)) for patient in ("10042", "10043", "10044")) == FILES


def test_a_folder_of_two_names_is_one_folder(race: Race) -> None:
    """Workstations that know the folder under different ids store each file once all the same, or let it wait."""
    made = race.folder("shared", FILES)
    with SqlRepository.open(race.database, files=race.files) as records:
        inboxes = [
            Inbox(
                records,
                [open_source(race.root / "shared", source_id=f"id-{number}")],
                zone="UTC",
                settle_s=0.0,
                clock=Clock(now=lambda: NOW),
            )
            for number in range(2)
        ]
        for inbox in inboxes:
            inbox.scan()
        for inbox in inboxes:
            assert inbox.refresh().closes
        stored = records.attachments("10042")
        named = [digest for digest, file in made.items() if file.startswith("10042")]
        assert sorted(one.sha256 for one in stored) == sorted(named)
