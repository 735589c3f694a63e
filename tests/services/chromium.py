"""A real Chromium, headless, driven through ChromeDriver: Debian's packages, installed where that is possible."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from services.debian import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

__all__ = ["browser"]

_ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    # Without these it looks for its maker's hosts at every start.
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def _programs() -> tuple[str, str] | None:
    """Chromium and its driver; None if this machine has none and can't be given them."""
    chromium = program("chromium", package="chromium")
    driver = program("chromedriver", package="chromium-driver")
    return None if chromium is None or driver is None else (chromium, driver)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser that a person could sit at."""
    try:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService
    except ImportError:
        programs = None
    else:
        programs = _programs()
    if programs is None:
        reason = "there is no Chromium here: apt-get install chromium chromium-driver; pip install selenium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    profile: Path = tmp_path_factory.mktemp("chromium")
    options = ChromeOptions()
    options.binary_location = programs[0]
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    driver = Chrome(options=options, service=ChromeService(executable_path=programs[1]))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()
