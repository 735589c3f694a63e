"""A real Chromium, headless, driven through ChromeDriver: the system's, else unpacked from Debian's packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.cache import Unavailable, unavailable
from services.debian import find_programs

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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser that a person could sit at."""
    try:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService

        programs = find_programs("chromium", "chromedriver", packages=("chromium", "chromium-driver"))
    except (ImportError, Unavailable) as exc:
        unavailable(exc)
    profile: Path = tmp_path_factory.mktemp("chromium")
    options = ChromeOptions()
    options.binary_location = programs["chromium"]
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    service = ChromeService(executable_path=programs["chromedriver"], env=programs.environment)
    driver = Chrome(options=options, service=service)
    # Without a screen, Chromium 150 gives the focus to no page.
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()
