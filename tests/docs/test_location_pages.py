"""The pages have the messages about locations that the library really shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for room in ("dropbox", "onedrive", "signin", "cloud", "sources")
    for path in sorted((ROOT / "src" / "intouch_import" / room).glob("*.py"))
]


SECTIONS = {
    "dropbox": "When it fails",
    "onedrive": "When it fails",
    "troubleshooting": "A whole location fails",
}


def _phrases(page: str) -> list[str]:
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text("utf-8")
    section = text.partition(f"## {SECTIONS[page]}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|`]+) \|", section, re.MULTILINE)[1:]  # without the heading
    parts = [part.strip() for cell in cells for part in re.split(r"; |…", cell)]
    return [part for part in parts if part.strip("-") and not part.startswith("anything about")]


def _texts() -> tuple[set[str], list[re.Pattern[str]]]:
    """The texts in the rooms of the locations: as they are, and with anything in the place of an inserted value."""
    plain, patterns = set(), []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                plain.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                text = "".join(
                    piece.value if isinstance(piece, ast.Constant) else "\0" for piece in node.values
                )
                # A page may leave out what follows a colon. Short texts would match nearly everything.
                for part in {text, text.partition(": ")[0]}:
                    if len(part) > 15:
                        patterns.append(re.compile(re.escape(part).replace("\0", ".+")))
    return plain, patterns


PLAIN, PATTERNS = _texts()


@pytest.mark.parametrize(
    ("page", "phrase"), [(page, phrase) for page in SECTIONS for phrase in _phrases(page)]
)
def test_a_message_on_the_page_is_one_of_the_library(page: str, phrase: str) -> None:
    """Readers search for a message, so the page has it in the words of the library."""
    assert any(phrase in text for text in PLAIN) or any(text.fullmatch(phrase) for text in PATTERNS)
