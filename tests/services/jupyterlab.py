"""A real JupyterLab on a free loopback port, with its own settings. It ends with the tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from services.cache import unavailable
from services.signing_in import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

__all__ = ["Lab", "jupyterlab", "kernel_path", "run_jupyterlab", "stop", "wait_until_up"]

_STARTS_WITHIN_S = 90.0
_TESTS = Path(__file__).parents[1]
_SOURCE = _TESTS.parent / "src"

# A notebook is ready when its kernel is connected and idle. Before that, running a cell has no effect.
_OPENED = """
const done = arguments[arguments.length - 1];
const look = () => {
  const app = window.jupyterapp;
  const panel = app && app.shell.currentWidget;
  const session = panel && panel.context && panel.context.sessionContext;
  const kernel = session && session.isReady && session.session && session.session.kernel;
  if (kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle') done('ready');
  else setTimeout(look, 50);
};
look();
"""
_RUN = """
const done = arguments[arguments.length - 1];
window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => done('run'), (error) => done(String(error)));
"""
_SAVE = """
const done = arguments[arguments.length - 1];
window.jupyterapp.shell.currentWidget.context.save().then(() => done('saved'), (error) => done(String(error)));
"""

_THEME = """
const [theme, done] = arguments;
window.jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => done('chosen'));
"""


@attrs.frozen
class Lab:
    """A running server.

    Args:
        url: Where it is.
        folder: Where its notebooks are.
    """

    url: str
    folder: Path

    def write(self, name: str, *cells: str) -> Path:
        """Write a notebook with these code cells."""
        path = self.folder / name
        code: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": cell,
            }
            for number, cell in enumerate(cells)
        ]
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {"cells": code, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(notebook), "utf-8")
        return path

    def open(self, browser: Chrome, name: str, *, page: str = "lab/tree") -> None:
        """Open a notebook in the browser, and wait for its kernel."""
        browser.set_script_timeout(60)
        browser.set_window_size(1400, 1000)
        browser.get(f"{self.url}/{page}/{name}?reset")  # closes what was open before
        assert browser.execute_async_script(_OPENED) == "ready"

    def run(self, browser: Chrome) -> None:
        """Run all cells of the open notebook, and wait until they have finished."""
        assert browser.execute_async_script(_RUN) == "run"

    def show(self, browser: Chrome, name: str, *cells: str, css: str = ".itx") -> WebElement:
        """Write, open and run a notebook. Return the widget that it shows."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.expected_conditions import presence_of_element_located
        from selenium.webdriver.support.wait import WebDriverWait

        self.write(name, *cells)
        self.open(browser, name)
        self.run(browser)
        return WebDriverWait(browser, 30).until(presence_of_element_located((By.CSS_SELECTOR, css)))

    def choose_theme(self, browser: Chrome, theme: str) -> None:
        """Switch the page to ``"light"`` or ``"dark"``."""
        name = f"JupyterLab {theme.capitalize()}"
        assert browser.execute_async_script(_THEME, name) == "chosen"

    def save(self, browser: Chrome, name: str) -> str:
        """Save the open notebook, and return the content of its file."""
        assert browser.execute_async_script(_SAVE) == "saved"
        return (self.folder / name).read_text("utf-8")


@contextlib.contextmanager
def run_jupyterlab(folder: Path, *, app: str = "lab") -> Iterator[Lab]:
    """Run a server without anything of the user: no settings, kernels, history or news.

    Args:
        folder: For everything that it keeps; its notebooks are in ``notebooks``.
        app: ``"lab"`` or ``"notebook"``.
    """
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True)
    own = {
        name: str(folder / name.lower())
        for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    for path in own.values():
        Path(path).mkdir(mode=0o700)
    settings = (
        Path(own["JUPYTER_CONFIG_DIR"]) / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    )
    settings.mkdir(parents=True)
    # The command-line flag alone does not stop the pop-up that asks about news.
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet), "utf-8")
    port = free_port()
    kind = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
    command = [
        *(sys.executable, "-m", "jupyterlab" if app == "lab" else "notebook"),
        *("--no-browser", "--allow-root", f"--ServerApp.root_dir={notebooks}"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"),
        *(f"--{kind}.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"),
        "--LabApp.news_url=None",
    ]
    path = os.pathsep.join(kernel_path())
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **own, "PYTHONPATH": path}
        )
        try:
            wait_until_up(f"http://127.0.0.1:{port}/api", server, folder / "server.log")
            yield Lab(f"http://127.0.0.1:{port}", notebooks)
        finally:
            stop(server)


def kernel_path() -> list[str]:
    """Return the import path for a kernel, so that it uses the same package as the tests."""
    import intouch_import

    uses_source = Path(intouch_import.__file__).is_relative_to(_SOURCE)
    return [*([str(_SOURCE)] if uses_source else []), str(_TESTS)]


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop a server, by force if it does not end soon."""
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers."""
    give_up_s = time.monotonic() + _STARTS_WITHIN_S
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        if server.poll() is not None or time.monotonic() > give_up_s:
            raise AssertionError(log.read_text("utf-8", "replace")[-3000:])
        time.sleep(0.1)


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a JupyterLab for all tests of this process."""
    try:
        import jupyterlab  # noqa: F401
    except ImportError:
        unavailable("there is no JupyterLab here: pip install jupyterlab anywidget")
    with run_jupyterlab(tmp_path_factory.mktemp("jupyter") / "lab") as lab:
        yield lab
