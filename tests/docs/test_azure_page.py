"""The page about Azure."""

from __future__ import annotations

from pathlib import Path

import pytest

from intouch_import.azure.errors import Kind
from intouch_import.model import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "azure.md").read_text("utf-8")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.text])
def test_every_failure_of_a_folder_says_what_to_look_at(kind: Kind) -> None:
    """The page has each message about an Azure folder in the same words."""
    assert f"\n| {kind.text} | " in PAGE


@pytest.mark.parametrize(
    "reason",
    [Reason.ARCHIVED, Reason.LEASED, Reason.HAS_SNAPSHOTS, Reason.RETAINED, Reason.REMOVAL_FORBIDDEN],
)
def test_every_reason_of_its_own_is_explained(reason: Reason) -> None:
    """The page explains the reasons that only Azure has."""
    assert f"\n| `{reason.value}` | " in PAGE
