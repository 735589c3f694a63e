"""Secrets that are kept elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import ConfigError, MissingExtraError
from intouch_import.secret import Secret
from intouch_import.settings.secret_refs import SecretReference, resolve

if TYPE_CHECKING:
    from pathlib import Path


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is the current text of the variable."""
    monkeypatch.setenv("SOME_KEY", " CANARY ")
    assert SecretReference(kind="env", name="SOME_KEY").resolve() == Secret(" CANARY ")


def test_from_a_file(tmp_path: Path) -> None:
    """The secret is the text of the file, without the byte order mark and line end that editors add."""
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbfCANARY==\r\n")
    assert SecretReference(kind="file", name=str(path)).resolve() == Secret("CANARY==")


def test_from_a_key_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is the entry of that service and user; a service may contain a slash."""
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class Ring(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            return "CANARY" if (service, username) == ("intouch/azure", "drj") else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    try:
        assert SecretReference.read({"keyring": "intouch/azure/drj"}).resolve() == Secret("CANARY")
        with pytest.raises(ConfigError, match="no such entry"):
            SecretReference.read({"keyring": "intouch/azure/nobody"}).resolve()
    finally:
        keyring.set_keyring(before)


def test_a_key_ring_that_fails_is_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message does not contain the text of the system's error."""
    keyring = pytest.importorskip("keyring")
    from keyring.errors import KeyringLocked

    def locked(*_: Any) -> str:
        raise KeyringLocked("CANARY")

    monkeypatch.setattr(keyring, "get_password", locked)
    with pytest.raises(ConfigError) as caught:
        SecretReference.read({"keyring": "CANARY/x"}).resolve()
    assert "CANARY" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If keyring is not installed, the message says how to install it."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtraError, match=r"intouch-import\[keyring\]"):
        resolve(SecretReference.read({"keyring": "a/b"}), key="practice.azure_key")


@pytest.mark.parametrize("case", ["env", "no file", "folder", "empty", "binary", "large"])
def test_a_missing_secret_is_reported_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """The message names the setting, but neither the place nor the content."""
    monkeypatch.delenv("CANARY", raising=False)
    path = tmp_path / "CANARY"
    match case:
        case "folder":
            path.mkdir()
        case "empty":
            path.write_text("\n")
        case "binary":
            path.write_bytes(b"CANARY\xff")
        case "large":
            path.write_bytes(b"CANARY" * 20_000)
    reference = SecretReference(
        kind="env" if case == "env" else "file", name="CANARY" if case == "env" else str(path)
    )
    with pytest.raises(ConfigError) as caught:
        resolve(reference, key="practice.azure_key")
    assert str(caught.value).startswith("practice.azure_key: ")
    assert "CANARY" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {reference!r}"


def test_a_secret_itself_needs_no_reading() -> None:
    """A secret that is in the settings is returned unchanged."""
    secret = Secret("CANARY")
    assert resolve(secret, key="x") is secret


@pytest.mark.skipif(os.name == "nt", reason="rights on Windows are not told by mode bits")
def test_a_file_that_others_may_read_is_doubtful(tmp_path: Path) -> None:
    """A check warns that other users can read the file."""
    path = tmp_path / "key"
    path.write_text("CANARY")
    path.chmod(0o640)
    reference = SecretReference(kind="file", name=str(path))
    assert "chmod 600" in (reference.doubt() or "")
    path.chmod(0o600)
    assert reference.doubt() is None
    assert "not a file" in (SecretReference(kind="file", name=str(tmp_path)).doubt() or "")
    assert "can't be read" in (SecretReference(kind="file", name=str(tmp_path / "none")).doubt() or "")
    assert SecretReference.read({"keyring": "a/b"}).doubt() is None
