"""`TokenStore` and its kinds: keep refresh tokens in the system's keyring, in files, or in memory."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import importlib
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intouch_import.errors import MissingExtraError
from intouch_import.extras import needing
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileStore", "KeyringStore", "LayeredStore", "MemoryStore", "TokenStore", "default_store"]

log = logging.getLogger(__name__)

_SERVICE = "intouch-import"


class TokenStore(abc.ABC):
    """Keeps one secret for each key. Several processes may use the same store.

    `SignIn` builds the key from the service, the app's id and the account (``"dropbox/4fz9…/DRJ"``). A key
    contains no secret. Implement these three methods to keep sign-ins in your own vault.
    """

    @abc.abstractmethod
    def load(self, key: str) -> str | None:
        """Return the secret under ``key``; None if there is none, or if it can't be read now."""

    @abc.abstractmethod
    def save(self, key: str, secret: str) -> bool:
        """Keep a secret. It replaces the one under ``key``.

        Returns:
            True if the next process will find the secret. False if it can't be kept; do not raise. The person
            is then signed in for the life of this process.
        """

    @abc.abstractmethod
    def forget(self, key: str) -> None:
        """Delete the secret under ``key``, if there is one."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __reduce__ = refuse_to_pickle


class MemoryStore(TokenStore):
    """Keeps secrets for the life of this object: for tests, and for programs that must not store any."""

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
    """Uses Credential Manager on Windows, Keychain on macOS, Secret Service or KWallet on Linux.

    Without a keyring it keeps nothing.

    Args:
        backend: A backend of the ``keyring`` package; by default the best one of this system. A backend that
            is no vault (priority below 1: the null backend, or a plain file) is not used.

    Raises:
        MissingExtraError: The package is not installed.
    """

    def __init__(self, backend: Any = None) -> None:
        keyring = _imported("keyring")
        backend = keyring.get_keyring() if backend is None else backend
        self._backend = backend if keyring.core.recommended(backend) else None

    def load(self, key: str) -> str | None:
        try:
            return self._backend.get_password(_SERVICE, key) if self._backend is not None else None
        except Exception as exc:  # noqa: BLE001  # every backend has its own errors
            _report("a keyring could not be read", exc)
            return None

    def save(self, key: str, secret: str) -> bool:
        if self._backend is None:
            return False
        try:
            self._backend.set_password(_SERVICE, key, secret)
        except Exception as exc:  # noqa: BLE001  # locked, full (Windows takes 1,280 characters), no permission
            _report("a keyring did not take a secret", exc)
            return False
        return True

    def forget(self, key: str) -> None:
        if self._backend is None:
            return
        try:
            self._backend.delete_password(_SERVICE, key)
        except Exception as exc:  # noqa: BLE001  # backends also raise if there is no such secret
            _report("a keyring did not delete a secret", exc, level=logging.DEBUG)


class FileStore(TokenStore):
    """Keeps each secret in a file that only its owner can read, on Windows encrypted for the user (DPAPI).

    Microsoft's ``msal-extensions`` writes the files: it creates them with these rights. On other systems the
    secret is not encrypted, so this user and root can read it.

    Args:
        folder: The folder of the files; by default in the user's data directory.

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
            # Write a new file and rename it. The library writes in place: after a crash, or for a program
            # that reads at that moment, the file would be empty; and wider rights of an old file would stay.
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
    """Several stores, the best first. Only the first store that takes a secret keeps it."""

    def __init__(self, stores: Sequence[TokenStore]) -> None:
        self._stores = tuple(stores)

    def load(self, key: str) -> str | None:
        return next((secret for store in self._stores if (secret := store.load(key)) is not None), None)

    def save(self, key: str, secret: str) -> bool:
        kept = False
        for store in self._stores:
            kept_here = not kept and store.save(key, secret)
            if not kept_here:
                store.forget(key)  # `load` could return an older secret from here
            kept = kept or kept_here
        return kept

    def forget(self, key: str) -> None:
        for store in self._stores:
            store.forget(key)


def default_store() -> TokenStore:
    """Return a store that uses the system's keyring if there is one, else a file.

    If neither keeps the secret, the person stays signed in for the life of the `SignIn`.
    """
    stores: list[TokenStore] = []
    for kind in (KeyringStore, FileStore):
        with contextlib.suppress(MissingExtraError):
            stores.append(kind())
    return LayeredStore(stores)


def _imported(module: str) -> Any:
    with needing(f"keeping a sign-in needs {module}", module, install="intouch-import[dropbox]"):
        return importlib.import_module(module)


def _report(text: str, exc: Exception, *, level: int = logging.WARNING) -> None:
    # Log the kind only: the text of a backend may contain the secret.
    log.log(level, text, extra={"kind": type(exc).__name__})
