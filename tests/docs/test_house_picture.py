"""The picture of the architecture matches the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def picture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house_picture", DOCS / "house_picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_the_code(picture: ModuleType) -> None:
    """The picture has every room and import of the code: ``python docs/house_picture.py`` draws it."""
    assert picture.PICTURE.read_text("utf-8") == picture.svg()


def test_every_room_and_every_import_is_shown(picture: ModuleType) -> None:
    """Each room appears once, each arrow is an import, and the arrows from a room lead to everything it imports."""
    drawn = ET.fromstring(picture.PICTURE.read_text("utf-8"))
    rooms = [part.get("data-room") for part in drawn.iter() if part.get("data-room")]
    package = picture.ROOT / "src" / "intouch_import"
    here = {path.stem for path in package.glob("[!_]*.py")} | {"_paramiko"}
    here |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert sorted(rooms) == sorted(here)
    arrows = {tuple(part.get("data-import", "").split()) for part in drawn.iter() if part.get("data-import")}
    imports = picture.imports()
    foundation = {room for row in picture.foundation() for room in row}
    assert arrows <= imports
    reached: dict[str, set[str]] = {room: set() for room in here}
    for _ in here:
        for one, other in arrows:
            reached[one] |= {other} | reached[other]
    for one, other in imports:
        assert other in reached[one] or other in foundation, (one, other)


def test_every_room_has_a_line_in_the_table(picture: ModuleType) -> None:
    """The page about the architecture describes every room in the code."""
    page = (DOCS / "explanation" / "architecture.md").read_text("utf-8")
    named = {
        word for line in page.splitlines() if line.startswith("|") for word in re.findall(r"`(\w+)`", line)
    }
    rooms = {room for row in picture.rooms_by_row() for room in row}
    assert rooms - named == set()
