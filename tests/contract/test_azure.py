"""Every promise of `Source`, on Azurite, as the kit for locations tries them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from intouch_import.testing import SOURCE_CHECKS

from services.azure_place import AzurePlace

if TYPE_CHECKING:
    from intouch_import.testing import Check

    from services.azurite import Azurite


ALL = os.environ.get("INTOUCH_AZURE") == "all"
PLACES: dict[str, dict[str, Any]] = {
    "folder-fast": {"folder": "photos/new", "fast": True},
    "container-sdk": {"folder": "", "fast": False},
    "folder-sdk": {"folder": "photos/new", "fast": False},
    "container-fast": {"folder": "", "fast": True},
}


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("place", list(PLACES) if ALL else list(PLACES)[:2])
def test_azure_keeps_every_promise_of_a_source(azurite: Azurite, check: Check[Any], place: str) -> None:
    """In a folder and in a container, whichever library carries the bytes."""
    check(lambda: AzurePlace(azurite, **PLACES[place]))
