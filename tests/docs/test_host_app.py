"""The example of a host runs as a reader would run it, and matches what the page says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from intouch_import.cli.samples import lay_out

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "host_app.py"


def _run(folder: Path) -> list[str]:
    # Database and ledger are in the host's folder; nothing is written to the user's data directory.
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder / "nothing")}
    child = subprocess.run(
        [sys.executable, str(PROGRAM), "photos", "clinic"],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not (folder / "nothing").exists()
    return child.stdout.splitlines()


def test_the_host_imports_what_the_names_say(tmp_path: Path) -> None:
    """A reader who runs the program sees photos imported once, and the others with their reason."""
    lay_out(tmp_path)
    before = {path.name for path in (tmp_path / "photos").iterdir() if path.is_file()}
    first, *waiting = _run(tmp_path)
    assert first == "21 files: 4 imported, 14 waiting, 0 failed"
    assert any("wound left.png" in line and "Choose the patient" in line for line in waiting)
    left = {path.name for path in (tmp_path / "photos").iterdir() if path.is_file()}
    assert len(before - left) == 4
    assert len(list((tmp_path / "clinic" / "documents").iterdir())) == 4
    again, *_ = _run(tmp_path)
    assert again == "17 files: 0 imported, 14 waiting, 0 failed"


def test_the_page_shows_the_program() -> None:
    """The page about hosts has the code of the program, unchanged: imports, database and class."""
    page = (ROOT / "docs" / "how-to" / "host.md").read_text("utf-8")
    before, *sections = re.split(r"^# --- .* ---$", PROGRAM.read_text("utf-8"), flags=re.MULTILINE)
    imports = before[before.index("\nimport ") :]
    for section in (imports, *sections[:2]):
        assert f"\n```python\n{section.strip()}\n```\n" in page


def test_the_class_is_short() -> None:
    """A host has to write less than 80 lines."""
    (records,) = [
        node
        for node in ast.parse(PROGRAM.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == "ClinicRecords"
    ]
    assert records.end_lineno is not None
    assert records.end_lineno - records.lineno + 1 < 80
