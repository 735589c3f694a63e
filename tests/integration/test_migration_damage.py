"""Files of a plan that were changed, cut or deleted: it is noticed, and no photo goes to the wrong record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intouch_import import migration
from intouch_import.errors import ConfigError
from migrating import MARSH, Archive, six_photos

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return six_photos(tmp_path)


def _give_to(patient: str, part: Path) -> None:
    table = pq.read_table(part)
    rows = table.to_pylist()
    for row in rows:
        row["patient"] = row["patient"] and patient
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)


def test_changed_rows_are_not_run(archive: Archive) -> None:
    """A plan with other patients than it was made with, readable as it is, is refused wherever it is read."""
    plan = archive.plan()
    records = archive.records()
    assert plan.counts() == {"import": 6, "wait": 1}
    _give_to("10043", plan.directory / "rows-00000.parquet")
    again = migration.open_plan(plan.directory)
    for read in (plan.counts, lambda: list(plan.rows()), again.to_do, again.to_polars, again.certificate):
        with pytest.raises(ConfigError, match="changed or is damaged"):
            read()
    run = plan.run(records).wait()
    assert (run.state, len(archive.left())) == ("failed", 7)
    assert "changed or is damaged" in str(run.problem)


@pytest.mark.parametrize(
    ("name", "value"), [("mode", "copy"), ("allow_inactive", True), ("parts", []), ("id", "0" * 32)]
)
def test_a_changed_header_is_not_run(archive: Archive, name: str, value: Any) -> None:
    """Every value in ``plan.json`` is in the plan's id."""
    header = archive.plan().directory / "plan.json"
    header.write_text(json.dumps({**json.loads(header.read_text()), name: value}))
    with pytest.raises(ConfigError, match="changed or is damaged"):
        migration.open_plan(header.parent)


@pytest.mark.parametrize("mode", ["move", "copy"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda _data: b"\0" * 200,
        lambda _data: b"",
        lambda data: data[:150],
        lambda data: data.replace(b"10043", b"10042"),
        lambda data: data[: data.rindex(b"\n", 0, -1) + 1],
    ],
)
def test_damaged_results_are_found_again(archive: Archive, damage: Any, mode: str) -> None:
    """After a power failure or a change by hand, a run finds in the records what became of every file."""
    plan = archive.plan(mode=mode)
    records = archive.records()
    before = plan.run(records).wait().certificate
    (results,) = (plan.directory / "outcomes").iterdir()
    whole = results.read_bytes()
    results.write_bytes(damage(whole))
    between = migration.open_plan(plan.directory).certificate(records)
    assert not between.closes
    assert between.counts["not yet"] == 6
    run = migration.open_plan(plan.directory).run(records).wait()
    assert (run.state, run.progress.counts) == ("done", {"imported": 6})
    after = run.certificate
    assert before is not None
    assert after is not None
    assert after.counts == before.counts
    assert after.closes
    assert len(records.attachments("10042")) == 4


def test_an_override_that_a_full_disk_cut_is_lost_alone(archive: Archive) -> None:
    """The plan opens, its other overrides apply, and the override can be made again."""
    plan = archive.plan()
    for folder in (f"{MARSH}/close-ups", "10043*"):
        plan.override({"folder": folder}, leave_out=True)
    file = plan.directory / "overrides.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    again = migration.open_plan(plan.directory)
    assert again.counts() == {"import": 4, "ignore": 2, "wait": 1}
    again.override({"folder": "10043*"}, leave_out=True)
    assert migration.open_plan(plan.directory).counts() == {"ignore": 4, "import": 2, "wait": 1}
    run = again.run(archive.records()).wait()
    assert run.progress.counts == {"imported": 2}
