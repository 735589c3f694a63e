"""References to secrets that are not written in the settings. A secret is read late and never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from intouch_import.errors import ConfigError, MissingExtraError
from intouch_import.extras import needing
from intouch_import.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SecretReference", "resolve"]

_Kind = Literal["env", "keyring", "file"]
_KINDS: Final[tuple[_Kind, ...]] = ("env", "keyring", "file")
_MAX_FILE_BYTES: Final = 64 * 1024


@attrs.frozen(kw_only=True)
class SecretReference:
    """The place where a secret is kept.

    Args:
        kind: ``"env"``: an environment variable; ``"keyring"``: an entry of the system's keyring, written
            ``service/user``; ``"file"``: a file that contains only the secret.
        name: The variable, the entry or the path.
    """

    kind: _Kind
    name: str = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"{{ {self.kind} = {self.name!r} }}"

    @classmethod
    def read(cls, table: Mapping[str, Any], /) -> SecretReference:
        """Read a reference such as ``{ env = "NAME" }``, as TOML returns it.

        Raises:
            ValueError: The table is not a reference. The message repeats nothing of it.
        """
        if len(table) != 1:
            raise ValueError("a reference has exactly one key")
        ((kind, name),) = table.items()
        if kind not in _KINDS:
            raise ValueError(f"a reference is one of {', '.join(_KINDS)}")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError("a reference names one place, in text")
        if kind == "keyring" and not all(name.rpartition("/")[::2]):
            raise ValueError("a keyring entry is written service/user")
        return cls(kind=kind, name=name)

    def beside(self, folder: Path) -> SecretReference:
        """Return the same reference; the relative path of a file starts at ``folder``."""
        if self.kind != "file":
            return self
        # An unknown home folder is not an error yet: this computer may not need the secret.
        return attrs.evolve(self, name=str(folder / os.path.expanduser(self.name)))  # noqa: PTH111

    def doubt(self) -> str | None:
        """Return why the secret can't or should not be read here, without reading it; None if it can."""
        match self.kind:
            case "env":
                return None if os.environ.get(self.name) else "the environment variable is not set here"
            case "file":
                return _doubt_of_file(Path(self.name))
            case "keyring":
                return None

    def resolve(self) -> Secret:
        """Read the secret.

        Raises:
            MissingExtraError: The secret is in a keyring, and the package for it is not installed.
            ConfigError: The secret is missing, empty, or can't be read. The message does not name the place.
        """
        match self.kind:
            case "env":
                text = os.environ.get(self.name, "")
                missing = "the environment variable is not set"
            case "file":
                text = _read_file(Path(self.name))
                missing = "the file is empty"
            case "keyring":
                text = _read_keyring(*self.name.rpartition("/")[::2])
                missing = "the keyring has no such entry"
        if not text:
            raise ConfigError(missing)
        return Secret(text)


def resolve(value: Secret | SecretReference, /, *, key: str) -> Secret:
    """Return the secret itself; read it now if it is kept elsewhere.

    Args:
        value: The value in the settings.
        key: The setting, for the message.

    Raises:
        ConfigError: The secret can't be read.
    """
    if isinstance(value, Secret):
        return value
    try:
        return value.resolve()
    except MissingExtraError:
        raise
    except ConfigError as exc:
        raise ConfigError(f"{key}: {exc}") from None


def _doubt_of_file(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return "the file can't be read here"
    if not stat.S_ISREG(mode):
        return "that is not a file"
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "other users of this computer may use the file: chmod 600"
    return None


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError("the file can't be read", errno=exc.errno) from None
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigError("the file is too large to be a secret")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ConfigError("the file is not text in UTF-8") from None


def _read_keyring(service: str, user: str) -> str:
    with needing("secrets in a keyring need keyring", "keyring", install="intouch-import[keyring]"):
        import keyring
        from keyring.errors import KeyringError
    try:
        return keyring.get_password(service, user) or ""
    except KeyringError:
        raise ConfigError("the keyring can't be read") from None
