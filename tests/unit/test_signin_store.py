"""Where refresh tokens are kept: in the system's keyring, in a file of the owner, or only in memory."""

from __future__ import annotations

import os
import pickle
import stat
import sys
from typing import TYPE_CHECKING, Any

import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest

from intouch_import.errors import MissingExtraError
from intouch_import.signin.store import (
    FileStore,
    KeyringStore,
    LayeredStore,
    MemoryStore,
    TokenStore,
    default_store,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "dropbox/appkey/DRJ"


class Vault(keyring.backend.KeyringBackend):
    """A system keyring in memory, with a size limit."""

    priority = 5

    def __init__(self, most: int = 1280) -> None:
        super().__init__()
        self.most = most
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password) > self.most:
            raise OSError(1783, "CredWrite", "The stub received bad data")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("not found")


class Broken(Vault):
    """A locked keyring."""

    def get_password(self, service: str, username: str) -> str | None:
        raise keyring.errors.KeyringLocked("secret-word")

    set_password = delete_password = get_password  # type: ignore[assignment]


class Plain(Vault):
    """A plain file, which is no vault."""

    priority = 0.5


@pytest.fixture(params=["keyring", "file", "layered", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TokenStore:
    made: dict[str, Callable[[], TokenStore]] = {
        "keyring": lambda: KeyringStore(Vault()),
        "file": lambda: FileStore(tmp_path / "tokens"),
        "layered": lambda: LayeredStore([KeyringStore(Vault()), FileStore(tmp_path / "tokens")]),
        "memory": MemoryStore,
    }
    return made[request.param]()


def test_what_is_kept_comes_back_until_it_is_forgotten(store: TokenStore) -> None:
    """A secret is found by its key; a later secret replaces an earlier one."""
    assert store.load(KEY) is None
    store.forget(KEY)
    assert store.save(KEY, "first") == (not isinstance(store, MemoryStore))
    store.save(KEY, "second ü")
    store.save("other", "third")
    assert (store.load(KEY), store.load("other")) == ("second ü", "third")
    store.forget(KEY)
    assert (store.load(KEY), store.load("other")) == (None, "third")


def test_a_store_shows_and_pickles_nothing(store: TokenStore) -> None:
    """A store holds secrets."""
    store.save(KEY, "secret-word")
    assert "secret-word" not in repr(store)
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(store)


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """From the first moment, in a folder that others can't enter, under a name that says nothing."""
    if os.name == "nt":
        pytest.skip("rights on Windows are not told by mode bits")
    folder = tmp_path / "tokens"
    before = os.umask(0)
    try:
        store = FileStore(folder)
        store.save(KEY, "secret-word")
    finally:
        os.umask(before)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "DRJ" not in file.name
    file.chmod(0o644)
    store.save(KEY, "another")
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old file, and nothing beside it."""
    from msal_extensions import FilePersistence

    store = FileStore(tmp_path)
    store.save(KEY, "good")

    def fail(self: Any, content: str) -> None:
        with open(self.get_location(), "w") as file:
            file.write(content[:3])
        raise OSError(28, "No space left on device", self.get_location())

    monkeypatch.setattr(FilePersistence, "save", fail)
    assert not store.save(KEY, "newer")
    assert store.load(KEY) == "good"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_can_not_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Then nobody is signed in; the reason is logged without the path."""
    store = FileStore(tmp_path)
    store.save(KEY, "good")
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.mkdir()
    assert store.load(KEY) is None
    store.forget(KEY)
    assert "could not be read" in caplog.text
    assert str(tmp_path) not in caplog.text
    file.rmdir()
    file.write_text("")
    assert store.load(KEY) is None


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    """The secret is not kept, and `save` returns False."""
    (tmp_path / "file").write_text("x")
    assert not FileStore(tmp_path / "file" / "tokens").save(KEY, "secret-word")


def test_a_system_without_a_keyring() -> None:
    """No keyring at all, or a plain file, which does not count as one."""
    for backend in (keyring.backends.fail.Keyring(), Plain()):
        store = KeyringStore(backend)
        assert store._backend is None
        assert not store.save(KEY, "secret-word")
        assert store.load(KEY) is None
        store.forget(KEY)


def test_a_keyring_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """It counts as empty, and its error text is not logged."""
    store = KeyringStore(Broken())
    assert store.load(KEY) is None
    assert not store.save(KEY, "secret-word")
    store.forget(KEY)
    assert "secret-word" not in caplog.text


def test_what_the_keyring_does_not_take_goes_to_a_file(tmp_path: Path) -> None:
    """Windows takes 1,280 characters, and tokens of Microsoft can be longer. No old secret is left behind."""
    vault = Vault()
    store = LayeredStore([KeyringStore(vault), FileStore(tmp_path)])
    store.save(KEY, "short")
    assert (len(vault.kept), list(tmp_path.iterdir())) == (1, [])
    long = "x" * 2000
    assert store.save(KEY, long)
    assert store.load(KEY) == long
    assert (len(vault.kept), len(list(tmp_path.iterdir()))) == (0, 1)
    store.save(KEY, "short again")
    assert (len(vault.kept), list(tmp_path.iterdir())) == (1, [])
    assert store.load(KEY) == "short again"
    assert not LayeredStore([]).save(KEY, "secret-word")


def test_the_usual_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keyring if there is one, else the user's data directory; without the packages, only memory."""
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_data_dir", lambda _name: str(tmp_path))
    monkeypatch.setattr(keyring, "get_keyring", keyring.backends.fail.Keyring)
    store = default_store()
    assert store.save(KEY, "secret-word")
    assert len(list((tmp_path / "sign-in").iterdir())) == 1
    assert default_store().load(KEY) == "secret-word"
    for module in ("keyring", "msal_extensions"):
        monkeypatch.setitem(sys.modules, module, None)
    assert not default_store().save(KEY, "secret-word")
    with pytest.raises(MissingExtraError, match="intouch-import"):
        FileStore(tmp_path)
