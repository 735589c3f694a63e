"""Decisions that are made while a plan is carried out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from intouch_import.errors import ConfigError
from intouch_import.migration.rows import Decisions, Overrides, override_of

if TYPE_CHECKING:
    from pathlib import Path


def test_what_others_decide_later_is_known(tmp_path: Path) -> None:
    """Also where nothing had been decided before, and a decision is read once only."""
    path = tmp_path / "overrides.jsonl"
    decisions = Decisions(path)
    assert len(decisions.now()) == 0
    others = Overrides(path)
    for number in (1, 2):
        others.add(override_of({"number": [number]}, leave_out=True))
        assert len(decisions.now()) == number
    assert decisions.now() is decisions.now()


def test_a_decision_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "overrides.jsonl"
    decisions = Decisions(path)
    line = override_of({"path": "a/*"}, patient="10042").to_json() + "\n"
    path.write_text(line[:40], "ascii")
    later = threading.Timer(0.3, lambda: path.write_text(line, "ascii"))
    later.start()
    try:
        assert [one.patient for one in decisions.now()] == ["10042"]
    finally:
        later.join()


def test_a_damaged_decision_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not passed over: the file may say that photos belong to somebody else."""
    monkeypatch.setattr("intouch_import.migration.rows._WRITTEN_WITHIN_S", 0.0)
    path = tmp_path / "overrides.jsonl"
    decisions = Decisions(path)
    path.write_bytes(b'{"where": \xff')
    for _ in range(2):
        with pytest.raises(ConfigError, match="damaged"):
            decisions.now()
