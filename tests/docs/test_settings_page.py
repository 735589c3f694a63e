"""The settings page has every key."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import attrs

from intouch_import.settings.sections import SECTIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tables_are_those_of_the_classes() -> None:
    """Every key is on the page, as in the classes: ``python docs/settings_page.py`` writes it."""
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings_page.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    text = (DOCS / "reference" / "settings.md").read_text("utf-8")
    assert page.rendered(text) == text
    for kind in SECTIONS.values():
        assert all(f"| `{field.name}` |" in text for field in attrs.fields(kind))
