"""The troubleshooting page has every reason and message."""

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
    """The page has every reason in the same words as a list, with something to do about it."""
    text, advice = ROWS[reason.value]
    assert text == reason.text
    assert advice.strip()


def test_no_reason_is_made_up() -> None:
    """The page has no reason that the library does not have, and none twice."""
    assert set(ROWS) == {reason.value for reason in Reason}
    assert len(re.findall(r"^\| `\w+` \|", PAGE, re.MULTILINE)) == len(Reason)


@pytest.mark.parametrize("meaning", sorted(set(database._SQLITE_MEANINGS.values())))
def test_every_message_about_a_database_is_explained(meaning: str) -> None:
    """The page has every sentence about an unusable database, with what to check."""
    assert re.search(rf"^\| {re.escape(meaning)} \| .+ \|$", PAGE, re.MULTILINE)
