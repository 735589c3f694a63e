"""The reference has every public name, under the name that people import."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import intouch_import
import intouch_import.errors
import intouch_import.jupyter
import intouch_import.ledger
import intouch_import.migration
import intouch_import.signin
import intouch_import.testing

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = sorted(REFERENCE.glob("*.md"))
DOCUMENTED = {
    name
    for page in PAGES
    for name in re.findall(r"^\.\. (?:auto\w+|py:\w+):: (\S+)", page.read_text("utf-8"), re.MULTILINE)
}
PACKAGES = (
    intouch_import,
    intouch_import.jupyter,
    intouch_import.ledger,
    intouch_import.migration,
    intouch_import.signin,
    intouch_import.testing,
)
NOT_DOCUMENTED = {
    "intouch_import.__version__",
    "intouch_import.ledger.ledger_for",  # an inbox calls it
}
PUBLIC = {f"{package.__name__}.{name}" for package in PACKAGES for name in package.__all__} - NOT_DOCUMENTED
ERRORS = {f"intouch_import.{name}" for name in intouch_import.errors.__all__}  # one automodule has them all


@pytest.mark.parametrize("name", sorted(PUBLIC - ERRORS))
def test_every_public_name_is_documented(name: str) -> None:
    """A name that is exported has an entry in the reference."""
    assert name in DOCUMENTED


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_a_name_is_documented_as_it_is_imported(name: str) -> None:
    """No entry shows the module that defines a name where the name is imported from a package above it."""
    last = name.rpartition(".")[2]
    shorter = {public for public in PUBLIC if public.rpartition(".")[2] == last and name != public}
    assert {public for public in shorter if name.startswith(public.rpartition(".")[0])} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_says_what_it_is_for(page: Path) -> None:
    """A page begins with a sentence of its own, before any entry."""
    first = page.read_text("utf-8").split("\n\n")[1]
    assert re.match(r"[A-Za-z`]", first)
    assert first.rstrip().endswith((".", ":"))


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem not in {"index", "errors"}])
def test_every_page_leads_to_a_guide(page: Path) -> None:
    """Whoever lands on a page of the reference finds the guide or explanation with examples."""
    assert re.search(r"\]\(\.\./(how-to|explanation)/\w", page.read_text("utf-8"))
