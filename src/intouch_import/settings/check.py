"""Check settings against each other: a folder has one owner, and a location that is on has a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import SettingsError
from intouch_import.model import printable
from intouch_import.settings.formats import REFERENCE
from intouch_import.settings.secret_refs import SecretReference
from intouch_import.settings.sections import format_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from intouch_import.secret import Secret

__all__ = ["ENVIRONMENT", "HOSTED_DROPBOX", "NEEDED", "Checks", "Mistake", "raise_mistakes"]

ENVIRONMENT: Final = "environment"
HOSTED_DROPBOX: Final = "Dropbox can't be used by a practice that is hosted in the vendor's cloud"
NEEDED: Final = {
    "local": "local_folder",
    "azure": "azure_container",
    "dropbox": "dropbox_app_key",
    "onedrive": "onedrive_app_id",
}
"""By location: the setting without which a provider has no folder there."""

_DEFAULT_PATTERN: Final = (
    "not set, and automatic import is on: the default is ours; check it against a real file, and set it"
)


@attrs.frozen(kw_only=True)
class Mistake:
    """A mistake in the settings or, as a warning, a doubt. It contains no value: that may be a secret.

    Args:
        file: The settings file as it was given, or ``"environment"``.
        key: The setting, dotted: ``"provider.DRJ.azure_folder"``; or a variable; empty for the whole file.
        text: What was expected, and what is wrong.
    """

    file: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(printable(part) for part in (self.file, self.key, self.text) if part)

    def to_dict(self) -> dict[str, Any]:
        """Return the mistake as JSON values."""
        return {name: printable(value) for name, value in attrs.asdict(self).items()}


def raise_mistakes(mistakes: Iterable[Mistake]) -> None:
    """Raise all mistakes as one error, if there are any.

    Raises:
        SettingsError: There are.
    """
    if found := tuple(mistakes):
        raise SettingsError("\n".join(map(str, found)), mistakes=found)


@attrs.frozen
class Checks:
    """The checks of settings against each other.

    Args:
        sections: All sections by dotted name, as far as they could be read.
        origins: By dotted key: the file or variable that each value comes from.
        given: By dotted key: the file or variable that tries to set it, with a valid value or not.
        ask_disk: Whether to look on the disk if two folders are the same one.
    """

    sections: Mapping[str, Any]
    origins: Mapping[str, str]
    given: Mapping[str, str] = attrs.field(factory=dict)
    ask_disk: bool = False

    def mistakes(self) -> Iterator[Mistake]:
        """Find the settings that can't be used together."""
        yield from self.shared_folders()
        yield from self._incomplete()
        for name, operator in self._of("operator"):
            for location in operator.locations:
                if why := self._unusable(location, name):
                    yield self._mistake(f"{name}.locations", why)

    def warnings(self) -> Iterator[Mistake]:
        """Find the settings that are allowed, but may not be meant."""
        yield from self._providers_without_folder()
        yield from self._secrets()
        if "practice.zone" not in self.given:
            yield self._mistake("practice.zone", "not set: the time zone of this computer is used")
        if "practice.pattern" not in self.given and any(one.auto_import for _, one in self._of("operator")):
            yield self._mistake("practice.pattern", _DEFAULT_PATTERN)
        for name, operator in self._of("operator"):
            if not operator.locations and not self._invalid(f"{name}.locations"):
                yield self._mistake(f"{name}.locations", "no location is on: the list will be empty")
            for location in ("local", "dropbox", "onedrive"):
                key = f"{name}.{location}_folder"
                if key in self.origins and location not in operator.locations:
                    yield self._mistake(key, f"{location} is not on")
        yield from self._similar_ids()

    # --- mistakes

    def shared_folders(self) -> Iterator[Mistake]:
        """Find folders, and names of folders, that belong to a provider and are also used by somebody else.

        Operators may share a folder.
        """
        owners: dict[tuple[str, ...], str] = {}
        for name, section in self.sections.items():
            for key, what, place in self._places(name, section):
                if name.startswith("provider."):
                    owners.setdefault(place, name)
                owner = owners.get(place, name)
                if owner != name:
                    text = f"expected another {what}: this one belongs to {owner}"
                    yield self._mistake(f"{name}.{key}", text)

    def _places(self, name: str, section: Any) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Yield the setting, the kind and the identity of each folder of a section."""
        if name == "practice":
            return
        container = getattr(section, "azure_container", None)
        if container is not None and not self._invalid(f"{name}.azure_folder"):
            key = "azure_folder" if f"{name}.azure_folder" in self.origins else "azure_container"
            yield key, "container and folder", ("azure", container, section.azure_folder)
        if section.local_folder is not None:
            identity = _identity(section.local_folder, ask_disk=self.ask_disk)
            yield "local_folder", "folder", ("local", identity)
        if section.local_id is not None:
            # With one name for two folders, an undo could put a photo into the wrong folder.
            yield "local_id", "name", ("name", section.local_id)

    def _incomplete(self) -> Iterator[Mistake]:
        for name, section in self.sections.items():
            for field in attrs.fields(type(section)):
                key, needed = f"{name}.{field.name}", f"{name}.{field.metadata['needs']}"
                if field.metadata["needs"] and key in self.given and needed not in self.given:
                    yield self._mistake(key, f"expected {needed} to be set as well")
            if name == "practice" and section.azure_identity and "practice.azure_key" in self.given:
                yield self._mistake(
                    "practice.azure_identity", "expected azure_identity or azure_key, not both"
                )

    def _unusable(self, location: str, operator: str) -> str | None:
        """Return why a location that is on can't be used; None if it can."""
        if location == "dropbox" and self.sections["practice"].hosted:
            return HOSTED_DROPBOX
        missing = self._missing(location, operator)
        return f"{location} is on, so expected {missing} to be set" if missing else None

    def _missing(self, location: str, operator: str) -> str | None:
        with_folder = self._providers_with(location)
        if location == "local":
            has_folder = with_folder or f"{operator}.local_folder" in self.given
            return None if has_folder else f"{operator}.local_folder, or a provider's local_folder,"
        if location == "azure" and "practice.azure_account" not in self.given:
            return "practice.azure_account"
        if location == "azure" and not self.given.keys() & {"practice.azure_key", "practice.azure_identity"}:
            for provider in with_folder:
                if f"{provider}.azure_sas" not in self.given:
                    return f"practice.azure_key, or {provider}.azure_sas,"
        return None if with_folder else f"a provider's {NEEDED[location]}"

    # --- warnings

    def _providers_without_folder(self) -> Iterator[Mistake]:
        for name, operator in self._of("operator"):
            for location in operator.locations:
                own_folder = location == "local" and operator.local_folder is not None
                if own_folder or self._unusable(location, name):
                    continue
                having = self._providers_with(location)
                for provider, _ in self._of("provider"):
                    if provider not in having:
                        text = f"{location} is on, but {provider} has no {NEEDED[location]}"
                        yield self._mistake(f"{name}.locations", text)

    def _secrets(self) -> Iterator[Mistake]:
        """Find secrets that are written in a settings file, or can't be read on this computer."""
        for name, section in self.sections.items():
            for field in attrs.fields(type(section)):
                key, value = f"{name}.{field.name}", getattr(section, field.name)
                if value is None or not format_of(field).secret:
                    continue
                if isinstance(value, SecretReference):
                    if doubt := value.doubt():
                        yield self._mistake(key, doubt)
                elif not self.origins.get(key, "").startswith(f"{ENVIRONMENT} ") and _is_secret(key, value):
                    yield self._mistake(key, f"the file contains the secret itself; better: {REFERENCE}")

    def _similar_ids(self) -> Iterator[Mistake]:
        seen: dict[str, str] = {}
        for name in self.sections:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                yield self._mistake(name, f"differs from {other} only in upper and lower case")

    # --- common

    def _of(self, kind: str) -> list[tuple[str, Any]]:
        return [(name, section) for name, section in self.sections.items() if name.startswith(f"{kind}.")]

    def _providers_with(self, location: str) -> list[str]:
        return [name for name, _ in self._of("provider") if f"{name}.{NEEDED[location]}" in self.given]

    def _invalid(self, key: str) -> bool:
        return key in self.given and key not in self.origins

    def _mistake(self, key: str, text: str) -> Mistake:
        """Make a mistake in the file that sets the key; else in any file that has the key's section."""
        section = key.rpartition(".")[0]
        others = (file for known, file in self.given.items() if known.startswith(f"{section}."))
        return Mistake(file=self.given.get(key) or next(others, ""), key=key, text=text)


def _identity(folder: str, *, ask_disk: bool) -> str:
    """Return a text that is the same for one folder, however its path is written.

    Args:
        folder: The path.
        ask_disk: Whether to recognise links, letter case and second mounts too. A network share that is not
            available may take long to answer.
    """
    path = os.path.expanduser(folder)  # noqa: PTH111  # an unknown home folder is not an error here
    try:
        found = os.stat(path) if ask_disk else None  # noqa: PTH116
    except (OSError, ValueError):
        found = None  # not there now
    if found is not None and found.st_ino:
        return f"{found.st_dev:x}-{found.st_ino:x}"
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100  # `resolve` would ask the disk


def _is_secret(key: str, value: Secret) -> bool:
    """Return whether a text is secret: a database URL is so only with a password or a query."""
    if not key.endswith(".records"):
        return True
    from sqlalchemy import make_url

    url = make_url(value.reveal())
    return url.password is not None or bool(url.query)
