"""Overrides that are made while a plan runs."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import ConfigError
from intouch_import.migration.rows import Override, OverridesFile, Where

if TYPE_CHECKING:
    from pathlib import Path


def _override(where: dict[str, Any], **values: Any) -> Override:
    return Override(where=Where(where), **values)


def test_overrides_of_other_processes_are_read(tmp_path: Path) -> None:
    """The first override is found, too. The file is read again only if it has grown."""
    path = tmp_path / "overrides.jsonl"
    ours, others = OverridesFile(path), OverridesFile(path)
    assert len(ours.read().all) == 0
    for number in (1, 2):
        others.add(_override({"number": [number]}, leave_out=True))
        assert len(ours.read().all) == number
    assert ours.read() is ours.read()


def test_an_override_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    """The file is read again until the line is complete."""
    path = tmp_path / "overrides.jsonl"
    ours = OverridesFile(path)
    line = json.dumps(_override({"path": "a/*"}, patient="10042").to_dict()) + "\n"
    path.write_text(line[:40], "ascii")
    later = threading.Timer(0.3, lambda: path.write_text(line, "ascii"))
    later.start()
    try:
        assert [one.patient for one in ours.read().all] == ["10042"]
    finally:
        later.join()


def test_a_damaged_override_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not skipped: it may assign photos to another patient."""
    monkeypatch.setattr("intouch_import.migration.rows._WRITTEN_WITHIN_S", 0.0)
    path = tmp_path / "overrides.jsonl"
    ours = OverridesFile(path)
    path.write_bytes(b'{"where": \xff')
    for _ in range(2):
        with pytest.raises(ConfigError, match="damaged"):
            ours.read()
