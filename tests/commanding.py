"""Running the command in this process, as a test sees it. ``conftest`` makes the fixture known."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from rich.console import Console

from intouch_import.cli import main, show
from intouch_import.inbox import Inbox

if TYPE_CHECKING:
    from miniature import Practice

__all__ = ["EVERY", "Command", "Run", "command"]

EVERY = [
    ["scan", "photos"],
    ["refresh", "photos"],
    ["assign", "photos", "x", "--patient", "10042"],
    ["browse", "photos", "--patient", "10042"],
    ["undo", "0" * 40, "--source", "photos"],
    ["ledger", "show"],
    ["ledger", "export"],
    ["ledger", "verify"],
    ["patients", "search", "x"],
    ["patients", "load", "x.csv"],
    ["providers", "load", "x.csv"],
]
"""A call of each command that needs the records."""


@attrs.frozen
class Run:
    """How one call of the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


Command = Callable[..., Run]


@pytest.fixture
def command(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run the command in this process over the practice, waiting for nothing to settle."""
    monkeypatch.setitem(Inbox.__init__.__kwdefaults__, "settle_s", 0.0)
    monkeypatch.chdir(practice.root)
    for name, value in {"RECORDS": practice.url, "FILES": practice.files, "ZONE": "UTC"}.items():
        monkeypatch.setenv(f"INTOUCH_{name}", str(value))
    # Not by COLUMNS: the consoles have read it when they were made.
    monkeypatch.setattr(show, "console", Console(width=200))
    monkeypatch.setattr(show, "_errors", Console(width=200, stderr=True))

    def run(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["intouch-import", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Run(int(left.value.code or 0), out, err)

    return run
