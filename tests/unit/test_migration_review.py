"""Counts, filters and pages over columns agree with the same over single rows."""

from __future__ import annotations

import itertools
import os
import random
from array import array
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from intouch_import import migration
from intouch_import.errors import ConfigError
from intouch_import.migration import planning
from intouch_import.migration.rows import PlanRow, Where, size_class, year_of
from migrating import MARSH, OKAFOR, Archive
from miniature import PATIENTS

PATHS = (
    f"{MARSH}/2024-03-01/a.jpg", f"{MARSH}/2024-03-01/b[1].jpg", f"{MARSH}/2023-12-31/ä ö.mov", "77777 - Nobody/a.jpg",
    f"{MARSH}/close-ups/A.JPG", f"{OKAFOR}/a.jpg", f"{OKAFOR}/line\nbreak.jpg", f"{OKAFOR}/c (2)+.png", "loose.jpg",
    "10044 - Lindqvist/x.jpg", f"{MARSH}/.hidden.jpg", f"{MARSH}/empty.jpg", f"{OKAFOR}/2024-02-31/a.jpg",
)  # fmt: skip
WHERES: tuple[dict[str, Any], ...] = (
    {}, {"verdict": "wait"}, {"verdict": ["import", "ignore"], "patient": "10042"}, {"patient": None},
    {"patient": ["10043", None]}, {"reason": "chosen"}, {"reason": []}, {"provider": "DRJ"}, {"destination": "notes"},
    {"year": "2024"}, {"year": ["unknown", "2023"]}, {"year": 2024}, {"size": "empty"}, {"size": "up to 100 KB"},
    {"number": 3}, {"number": [1, 2, 9, 9000]}, {"import_id": ""}, {"folder": "10042*"}, {"folder": ""},
    {"folder": []}, {"name": "?.jpg"}, {"name": "[ab]*"}, {"name": "*.JPG"}, {"path": "*/2024-*/*"},
    {"path": ["*ö*", "loose.*"]}, {"path": "*c (2)+.png"}, {"name": "line*"}, {"name": "*\udcff*"},
    {"path": "*", "verdict": "import", "year": "2024"},
)  # fmt: skip
DECISIONS: tuple[dict[str, Any], ...] = (
    {"patient": "10043"},
    {"leave_out": True},
    {"restore": True},
    {"provider": "DRK"},
    {"taken_at": datetime(2020, 5, 6, 7, tzinfo=UTC)},
    {"patient": "10042", "provider": "DRJ", "taken_at": datetime(1999, 12, 31, 23, 59, tzinfo=UTC)},
)
_SAYS = {
    "verdict": lambda row: row.verdict.value,
    "reason": lambda row: row.reason.value,
    "patient": lambda row: row.patient or "nobody",
    "year": year_of,
    "size": lambda row: size_class(row.size_bytes),
}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> migration.Plan:
    """Make a plan with every kind of row, four rows in a group. Some files are in the records already."""
    monkeypatch.setattr(planning, "_ROWS_PER_GROUP", 4)
    archive = Archive(tmp_path)
    for path in PATHS if os.name != "nt" else (path for path in PATHS if "\n" not in path):
        archive.lay(path, b"" if "empty" in path else None)
    if os.name != "nt":
        archive.lay(os.fsdecode(b"10042 - caf\xe9/\xff.jpg"))
        (archive.disk / MARSH / "link.jpg").symlink_to("a.jpg")
    records = archive.records()
    first = archive.plan(records=records, to=tmp_path / "first", mode="copy")
    first.override({"path": f"{MARSH}/close-ups/*"}, leave_out=True)
    first.override({"folder": OKAFOR}, leave_out=True)
    first.run(records).wait(60)
    records.add_patients(PATIENTS)
    plan = archive.plan(records=records)
    assert {"import", "finish", "wait", "ignore", "arriving"} == set(plan.counts())
    return plan


def _one_by_one(plan: migration.Plan) -> list[PlanRow]:
    """Read rows without conditions: that does not use columns."""
    return list(plan.rows())


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 8, 11])
def test_columns_agree_with_rows(plan: migration.Plan, seed: int) -> None:
    """Every count and every filter agrees, whatever the overrides and their order."""
    draw = random.Random(seed)
    for _ in range(seed):
        plan.override(draw.choice(WHERES), by="mc", **draw.choice(DECISIONS))
    rows = _one_by_one(plan)
    for by, says in _SAYS.items():
        assert plan.counts(by) == dict(Counter(map(says, rows)).most_common())
    assert plan.to_do() == (
        sum(row.verdict.value in {"import", "finish"} for row in rows),
        sum(row.size_bytes for row in rows if row.verdict.value in {"import", "finish"}),
    )
    for where in WHERES:
        meets = [row for row in rows if Where(where).matches(row)]
        assert list(plan.rows(where)) == meets, where
        for offset, limit in itertools.product((0, 1, 5, 100), (None, 1, 3)):
            wanted = meets[offset:] if limit is None else meets[offset : offset + limit]
            assert list(plan.rows(where, offset=offset, limit=limit)) == wanted
        numbers = array("q")
        found = plan.survey(where, by=("reason", "patient"), numbers=numbers)
        assert (found.total, found.size_bytes) == (len(meets), sum(row.size_bytes for row in meets))
        assert found.counts["reason"] == dict(Counter(row.reason.value for row in meets).most_common())
        assert list(numbers) == ([row.number for row in meets] if where else [])
        assert [one.row for one in plan.sample(99, where=where, px=0)] == meets


def test_overrides_made_while_rows_are_read_apply(plan: migration.Plan) -> None:
    """A loop over rows does not yield a row that the loop itself has overridden."""
    seen = []
    for row in plan.rows({"reason": "folder_name"}):
        seen.append(row.number)
        plan.override({"reason": "folder_name"}, leave_out=True)
    assert len(seen) == 1


def test_a_survey_can_be_cancelled_and_refuses_unknown_words(plan: migration.Plan) -> None:
    """It stops between two groups. An unknown word in ``by`` is an error."""
    asked = iter((False, True))
    assert plan.survey(cancelled=lambda: next(asked)).total == 4
    with pytest.raises(ConfigError, match="by="):
        plan.survey(by=("colour",))
