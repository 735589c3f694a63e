"""Links between pages, and what pages say about the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
COUNTS = re.compile(r"^\d+ listed = .* failed$", re.MULTILINE)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of this repository names one that exists."""
    targets = LINK.findall(page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES])
def test_pages_show_everything_without_sphinx(page: Path) -> None:
    """A page has its own code and text: a code host shows nothing that Sphinx would include from elsewhere."""
    assert re.search(r"\{(?:literal)?include\}", page.read_text("utf-8")) is None


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_the_demo_counts_are_those_of_the_demo(name: str) -> None:
    """The sum on a page is the sum that the demo prints; the test of the demo has the same line."""
    shown = COUNTS.search((ROOT / name).read_text("utf-8"))
    assert shown is not None
    assert shown[0] in (ROOT / "tests" / "unit" / "test_cli.py").read_text("utf-8")
