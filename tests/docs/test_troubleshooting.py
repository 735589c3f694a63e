"""The page that says what to do about each reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from intouch_import import database
from intouch_import.model import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "troubleshooting.md").read_text("utf-8")
ROWS = {
    row[1]: (row[2], row[3]) for row in re.finditer(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_to_do(reason: Reason) -> None:
    """Whatever a list shows, the page has it in the same words, with something to do about it."""
    text, advice = ROWS[reason.value]
    assert text == reason.text
    assert advice.strip()


def test_no_reason_is_made_up() -> None:
    """A reason that is gone from the library is gone from the page, and none stands there twice."""
    assert set(ROWS) == {reason.value for reason in Reason}
    assert len(re.findall(r"^\| `\w+` \|", PAGE, re.MULTILINE)) == len(Reason)


@pytest.mark.parametrize("meaning", sorted(set(database._SQLITE_MEANINGS.values())))
def test_what_a_database_says_is_explained(meaning: str) -> None:
    """Each sentence about a database that can't be used stands on the page, with what to look at."""
    assert re.search(rf"^\| {re.escape(meaning)} \| .+ \|$", PAGE, re.MULTILINE)
