"""Where a secret is kept, when it is not written into the settings: read late, and never shown."""

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

__all__ = ["KINDS", "SecretReference", "resolve"]

Kind = Literal["env", "keyring", "file"]
KINDS: Final[tuple[Kind, ...]] = ("env", "keyring", "file")

_MAX_FILE_BYTES: Final = 64 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@attrs.frozen(kw_only=True)
class SecretReference:
    """A secret by the place where it is kept.

    Args:
        kind: ``"env"``: an environment variable; ``"keyring"``: an entry of the system's key ring, as
            ``service/user``; ``"file"``: a file that holds the secret and nothing else.
        name: The variable, the entry or the path.
    """

    kind: Kind
    name: str = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"{{ {self.kind} = {self.name!r} }}"

    @classmethod
    def read(cls, table: Mapping[str, Any], /) -> SecretReference:
        """Take ``{ env = "NAME" }`` as TOML gives it.

        Raises:
            ValueError: It is not such a table. Nothing of it is repeated.
        """
        if len(table) != 1:
            raise ValueError("a reference has exactly one key")
        ((kind, name),) = table.items()
        if kind not in KINDS:
            raise ValueError(f"a reference is one of {', '.join(KINDS)}")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError("a reference names one place, in text")
        if kind == "keyring" and not all(name.rpartition("/")[::2]):
            raise ValueError("a key ring entry is written service/user")
        return cls(kind=kind, name=name)

    def beside(self, folder: Path) -> SecretReference:
        """The same, a relative path of a file taken from ``folder``."""
        if self.kind != "file":
            return self
        # A home that is not known here is no error yet: the secret may not be needed on this machine.
        return attrs.evolve(self, name=str(folder / os.path.expanduser(self.name)))  # noqa: PTH111

    def doubt(self) -> str | None:
        """What would keep it from being read here, told without reading it; None if nothing is seen."""
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
            MissingExtraError: It is in a key ring, and the package for it is not installed.
            ConfigError: It is not there, empty, or can't be read. The place is not repeated.
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
                missing = "the key ring has no such entry"
        if not text:
            raise ConfigError(missing)
        return Secret(text)


def resolve(value: Secret | SecretReference, /, *, key: str) -> Secret:
    """The secret itself, read now if it is kept elsewhere.

    Args:
        value: What the settings hold.
        key: Which setting it is, for the message.

    Raises:
        ConfigError: It can't be read.
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
        found = path.stat()
    except OSError:
        return "the file can't be read here"
    if not stat.S_ISREG(found.st_mode):
        return "that is not a file"
    if os.name != "nt" and found.st_mode & _OTHERS:
        return "other users of this machine may use the file: chmod 600"
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
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("the file is not text in UTF-8") from None
    return text.strip()


def _read_keyring(service: str, user: str) -> str:
    with needing("secrets in a key ring need keyring", "keyring", install="intouch-import[keyring]"):
        import keyring
        from keyring.errors import KeyringError
    try:
        return keyring.get_password(service, user) or ""
    except KeyringError:
        raise ConfigError("the key ring can't be asked") from None
