"""Which sign-in the command line uses for a folder, and what it says when it knows no app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.cli.options import open_folder
from intouch_import.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("DROPBOX", "ONEDRIVE"):
        for what in ("APP", "ENDPOINT", "SECRET"):
            monkeypatch.delenv(f"INTOUCH_{service}_{what}", raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv("INTOUCH_ACCOUNT", "DRJ")


@pytest.mark.parametrize("service", ["dropbox", "onedrive"])
def test_a_cloud_drive_is_opened_with_the_sign_in_of_the_registered_app(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app, the account, the secret and the server come from the environment; nobody is asked."""
    monkeypatch.setenv(f"INTOUCH_{service.upper()}_APP", "app-1")
    monkeypatch.setenv(f"INTOUCH_{service.upper()}_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("INTOUCH_ONEDRIVE_SECRET", "secret-word")
    with open_folder(f"{service}:///apps/intouch", provider="DRJ") as source:
        signin: Any = source._signin
        assert (source.location, source.provider) == (service, "DRJ")
        assert (signin.server.service, signin.server.client_id, signin.account) == (service, "app-1", "DRJ")
        assert "secret-word" not in f"{source!r} {signin!r} {signin.server!r}"


@pytest.mark.parametrize("service", ["dropbox", "onedrive"])
def test_without_an_app_it_says_where_to_name_it(service: str) -> None:
    """The message names the variable and the option."""
    with pytest.raises(ConfigError, match=f"--app, or in INTOUCH_{service.upper()}_APP"):
        open_folder(f"{service}:///apps/intouch")


def test_other_folders_need_no_sign_in(tmp_path: Path) -> None:
    """A local folder is opened without a sign-in."""
    with open_folder(str(tmp_path), provider="DRJ") as source:
        assert (source.location, source.provider) == ("local", "DRJ")
