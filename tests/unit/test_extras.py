"""Optional packages: what is missing is told with what installs it."""

from __future__ import annotations

import pytest

from intouch_import.errors import MissingExtraError
from intouch_import.extras import needing


def test_a_package_that_is_missing_is_told_with_what_installs_it() -> None:
    """The message says what needs it, and the cause is kept."""
    message = r"^maps need atlas: pip install 'intouch-import\[maps\]'$"
    with (
        pytest.raises(MissingExtraError, match=message) as told,
        needing("maps need atlas", "atlas", install="intouch-import[maps]"),
    ):
        raise ModuleNotFoundError(name="atlas")
    assert isinstance(told.value.__cause__, ModuleNotFoundError)


def test_a_package_that_is_broken_is_not_called_missing() -> None:
    """What is missing inside an installed package is seen as it is."""
    with pytest.raises(ModuleNotFoundError), needing("maps need atlas", "atlas", install="atlas"):
        raise ModuleNotFoundError(name="atlas.pages")
