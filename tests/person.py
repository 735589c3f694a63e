"""A person at a widget, in a real browser."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

__all__ = ["Person"]


class Person:
    """A person who uses the widget."""

    def __init__(self, browser: Chrome, root: WebElement) -> None:
        self.browser = browser
        self.root = root

    def all(self, css: str) -> list[WebElement]:
        from selenium.webdriver.common.by import By

        return self.root.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """Return the element when it is visible."""
        return self.until(lambda: next((one for one in self.all(css) if one.is_displayed()), None))

    def until(self, seen: Callable[[], Any], within_s: float = 30.0) -> Any:
        """Wait until a function returns something true, and return it."""
        from selenium.common.exceptions import StaleElementReferenceException

        give_up_s = time.monotonic() + within_s
        while True:
            try:
                found = seen()
            except StaleElementReferenceException:
                found = None
            if found:
                return found
            assert time.monotonic() < give_up_s, self.root.text
            time.sleep(0.05)

    def rows(self) -> dict[str, str]:
        """Return the text of each existing row by its name, in the displayed order."""
        rows = self.browser.execute_script(
            "return [...arguments[0].querySelectorAll('.itx-sheet > .itx-row')]"
            ".sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
            ".map((row) => [row.querySelector('.itx-name').textContent, row.innerText])",
            self.root,
        )
        return dict(rows)

    def tick(self, *names: str) -> None:
        for row in self.all(".itx-sheet > .itx-row"):
            if any(name in row.text for name in names):
                row.find_element("css selector", ".itx-check").click()

    def press(self, *keys: str) -> None:
        """Press keys in the focused element."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def focused(self) -> str:
        return str(self.browser.execute_script("return document.activeElement.className"))
