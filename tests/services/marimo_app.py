"""A marimo app on a free loopback port, with its own settings. It ends with the test."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from services.jupyterlab import kernel_path, stop, wait_until_up
from services.signing_in import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

__all__ = ["run_marimo", "shown"]

_APP = """\
import marimo

app = marimo.App()


@app.cell
def _():
{cell}
    return


if __name__ == "__main__":
    app.run()
"""
# marimo shows widgets in shadow trees, which selectors don't search.
_FIND = """
const find = (root, css) => root.querySelector(css) ??
  [...root.querySelectorAll('*')].reduce((found, one) => found ?? (one.shadowRoot && find(one.shadowRoot, css)), null);
return find(document, arguments[0]);
"""


@contextlib.contextmanager
def run_marimo(folder: Path, cell: str, *, theme: str = "light") -> Iterator[str]:
    """Serve an app with one cell, at the address that is returned.

    Args:
        folder: For everything that it keeps.
        cell: Its code.
        theme: ``"light"`` or ``"dark"``.
    """
    folder.mkdir()
    (folder / "app.py").write_text(_APP.format(cell=textwrap.indent(cell, "    ")), "utf-8")
    (folder / "pyproject.toml").write_text(f'[tool.marimo.display]\ntheme = "{theme}"\n', "utf-8")
    port = free_port()
    command = [
        *(sys.executable, "-m", "marimo", "-q", "-y", "run", "app.py", "--headless", "--no-token"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    own = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
    environment = {**os.environ, **own, "PYTHONPATH": os.pathsep.join(kernel_path())}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        try:
            wait_until_up(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
            yield f"http://127.0.0.1:{port}/"
        finally:
            stop(server)


def shown(browser: Chrome, url: str, *, css: str = ".itx") -> WebElement:
    """Open an app, and return the widget that it shows."""
    from selenium.webdriver.support.wait import WebDriverWait

    browser.set_window_size(1400, 1000)
    browser.get(url)
    found: WebElement = WebDriverWait(browser, 60).until(lambda driver: driver.execute_script(_FIND, css))
    return found
