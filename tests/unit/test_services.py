"""What the tests do without is made once, or the reason why it can't be is shown."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from services import cache
from services.cache import Unavailable, cached, unavailable
from services.debian import find_programs
from services.nodejs import install_npm_package

DEAD = "http://127.0.0.1:9/"  # the port "discard": nothing listens there


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    monkeypatch.setattr(cache, "_failed", {})


def test_a_folder_is_made_once() -> None:
    """It is made when it is first needed, and again when it no longer passes its check."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "program").touch()

    def check(folder: Path) -> None:
        if not (folder / "program").exists():
            raise Unavailable("the program is gone")

    homes = [cached("tool-1", make, check=check) for _ in range(2)]
    assert len(made) == 1
    (homes[0] / "program").unlink()
    assert cached("tool-1", make, check=check) == homes[0] == homes[1]
    assert (homes[0] / "program").exists()
    assert len(made) == 2


def test_what_failed_is_not_tried_again() -> None:
    """A second test gets the same reason at once, and nothing half-made is left."""
    tries: list[Path] = []

    def make(folder: Path) -> None:
        tries.append(folder)
        (folder / "half").touch()
        raise Unavailable("no registry answers")

    for _ in range(2):
        with pytest.raises(Unavailable, match=r"^no registry answers$"):
            cached("tool-1", make)
    assert len(tries) == 1
    assert not tries[0].exists()


def test_nothing_may_be_missing_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locally a test without its service is skipped with the reason; in CI it fails with it."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser"):
        unavailable("no browser")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser"):
        unavailable("no browser")


def test_a_dead_npm_registry_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that can't be fetched is named, with what npm says."""
    monkeypatch.setenv("npm_config_registry", DEAD)
    with pytest.raises(Unavailable, match=r"^npm could not install is-number 7\.0\.0: .*ECONNREFUSED"):
        install_npm_package("is-number", "7.0.0")


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("apt-get"), reason="needs Debian's apt")
def test_dead_repositories_of_debian_are_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that can't be fetched is named by its package."""
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, DEAD)
    with pytest.raises(Unavailable, match=r"^apt-get reached no repository to fetch hello-traditional from$"):
        find_programs("no-such-program", packages=("hello-traditional",))
