"""Where refresh tokens are kept between two runs: the system's keyring, an owner-only file, or memory."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from intouch_import.errors import MissingExtraError
from intouch_import.extras import needing
from intouch_import.signin.authorization import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileStore", "KeyringStore", "LayeredStore", "MemoryStore", "TokenStore", "default_store"]

log = logging.getLogger(__name__)

_SERVICE = "intouch-import"


class TokenStore(abc.ABC):
    """Keeps one secret per key. Several processes may use the same store.

    Keys are made by `SignIn` of the service, the app's id and the account (``"dropbox/4fz9…/DRJ"``): no
    secret is in them. A host with a vault of its own implements these three methods.
    """

    @abc.abstractmethod
    def load(self, key: str) -> str | None:
        """The secret under ``key``; None if there is none, or if it can't be had now."""

    @abc.abstractmethod
    def save(self, key: str, secret: str) -> bool:
        """Keep a secret, in place of the one under ``key``.

        Returns:
            True if the next process will find it; False, and no exception, where it can't be kept. The person
            is signed in all the same, as long as this process lives.
        """

    @abc.abstractmethod
    def forget(self, key: str) -> None:
        """Drop the secret under ``key``, if there is one."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


class MemoryStore(TokenStore):
    """Keeps secrets as long as this object lives: for tests, and for hosts that must not keep any."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def load(self, key: str) -> str | None:
        return self._secrets.get(key)

    def save(self, key: str, secret: str) -> bool:
        self._secrets[key] = secret
        return False

    def forget(self, key: str) -> None:
        self._secrets.pop(key, None)


class KeyringStore(TokenStore):
    """The system's own: Credential Manager on Windows, Keychain on macOS, Secret Service or KWallet on Linux.

    Args:
        backend: A backend of the ``keyring`` package; by default the best that this system has. One that is
            not a vault (priority below 1: none at all, or a plain file) counts as none.

    Raises:
        MissingExtraError: The package is not installed.
    """

    def __init__(self, backend: Any = None) -> None:
        keyring = _imported("keyring")
        backend = keyring.get_keyring() if backend is None else backend
        self._backend = backend if keyring.core.recommended(backend) else None

    @property
    def available(self) -> bool:
        """Whether this system has a keyring."""
        return self._backend is not None

    def load(self, key: str) -> str | None:
        try:
            return self._backend.get_password(_SERVICE, key) if self._backend is not None else None
        except Exception as exc:  # noqa: BLE001  # every backend raises errors of its own
            _report("a keyring could not be read", exc)
            return None

    def save(self, key: str, secret: str) -> bool:
        if self._backend is None:
            return False
        try:
            self._backend.set_password(_SERVICE, key, secret)
        except Exception as exc:  # noqa: BLE001  # locked, no room (Windows takes 1,280 characters), no rights
            _report("a keyring did not take a secret", exc)
            return False
        return True

    def forget(self, key: str) -> None:
        if self._backend is None:
            return
        try:
            self._backend.delete_password(_SERVICE, key)
        except Exception as exc:  # noqa: BLE001  # "there is none" is one of them
            _report("a keyring had nothing to forget, or could not", exc, level=logging.DEBUG)


class FileStore(TokenStore):
    """A file per secret that its owner alone can read; on Windows encrypted for the user (DPAPI).

    Written through Microsoft's ``msal-extensions``, which creates files with those rights from the first
    instant. Elsewhere than on Windows the secret is not encrypted: whoever is this user, or root, reads it.

    Args:
        folder: Where; by default in the user's data directory.

    Raises:
        MissingExtraError: ``msal-extensions`` is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._library = _imported("msal_extensions")
        if folder is None:
            import platformdirs

            folder = Path(platformdirs.user_data_dir("intouch-import"), "sign-in")
        self._folder = Path(folder)

    def load(self, key: str) -> str | None:
        try:
            secret: str = self._file(self._path(key)).load()
        except self._library.persistence.PersistenceNotFound:
            return None
        except OSError as exc:
            _report("a file of secrets could not be read", exc)
            return None
        return secret or None

    def save(self, key: str, secret: str) -> bool:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Beside it, then renamed: the library writes in place, so that a crash, or a program that reads
            # at that instant, would find nothing; and a file with wider rights would keep them.
            path = self._path(key)
            new = path.with_suffix(f".{secrets.token_hex(8)}")
            try:
                self._file(new).save(secret)
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)
        except OSError as exc:
            _report("a file of secrets could not be written", exc)
            return False
        return True

    def forget(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as exc:
            _report("a file of secrets could not be deleted", exc)

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.token"

    def _file(self, path: Path) -> Any:
        kind = "FilePersistenceWithDataProtection" if os.name == "nt" else "FilePersistence"
        return getattr(self._library, kind)(str(path))


class LayeredStore(TokenStore):
    """Several stores, the best first: a secret is kept by the first that takes it, and only there."""

    def __init__(self, stores: Sequence[TokenStore]) -> None:
        self._stores = tuple(stores)

    def load(self, key: str) -> str | None:
        return next((secret for store in self._stores if (secret := store.load(key)) is not None), None)

    def save(self, key: str, secret: str) -> bool:
        kept = False
        for store in self._stores:
            if kept:
                store.forget(key)
                continue
            kept = store.save(key, secret)
            if not kept:
                store.forget(key)  # an older one left here would be loaded in its stead
        return kept

    def forget(self, key: str) -> None:
        for store in self._stores:
            store.forget(key)

    def __repr__(self) -> str:
        return f"<LayeredStore {' '.join(map(repr, self._stores))}>"


def default_store() -> TokenStore:
    """The keyring where the system has one, else an owner-only file.

    If neither takes it, a `SignIn` still knows it, as long as it lives.
    """
    stores: list[TokenStore] = []
    for kind in (KeyringStore, FileStore):
        with contextlib.suppress(MissingExtraError):
            stores.append(kind())
    return LayeredStore(stores)


def _imported(module: str) -> Any:
    import importlib

    what = f"keeping a sign-in needs {module.replace('_', '-')}"
    with needing(what, module, install="intouch-import[dropbox]"):
        return importlib.import_module(module)


def _report(text: str, exc: Exception, *, level: int = logging.WARNING) -> None:
    # The kind alone: a backend's own text may hold what it was given.
    log.log(level, text, extra={"kind": type(exc).__name__})
