"""Optional packages: what is missing is told with what installs it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import extras
from intouch_import.errors import MissingExtraError
from intouch_import.extras import needing
from intouch_import.sources import open_source


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


def test_onedrive_reports_its_extra_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the other locations do, and not as a folder that can't be listed."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'intouch-import\[onedrive\]'$"):
        open_source("onedrive:///photos", signin=lambda force=False: "token")


def test_every_extra_is_tried() -> None:
    """The session ``extras`` has something to try for each extra that can be installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(extras.TRIED) == {extras.BASIC, *project["optional-dependencies"]}
