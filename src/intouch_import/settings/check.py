"""What must hold between settings: a folder has one owner, and a location that is on is somewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import SettingsError
from intouch_import.model import printable
from intouch_import.settings.fields import REFERENCE
from intouch_import.settings.secret_refs import SecretReference
from intouch_import.settings.sections import rule_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from intouch_import.secret import Secret
    from intouch_import.settings.sections import OperatorSettings, PracticeSettings, ProviderSettings

__all__ = ["HOSTED_DROPBOX", "Mistake", "check", "needs", "refuse_shared_folders"]

HOSTED_DROPBOX: Final = "Dropbox can't be used by a practice that is hosted in the vendor's cloud"

_DEFAULT_PATTERN: Final = (
    "not set, and automatic import is on: the default is ours; check it against a real file, and set it"
)
_ENVIRONMENT: Final = "environment"
_DEFAULT: Final = "default"


@attrs.frozen(kw_only=True)
class Mistake:
    """One thing that is wrong, or, as a warning, doubtful. No value is in it: it may be a secret.

    Args:
        file: The settings file as it was named, or ``"environment"``.
        key: The setting, dotted: ``"provider.DRJ.azure_folder"``; or a variable; empty for the whole file.
        text: What was expected, and what is wrong.
    """

    file: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(printable(part) for part in (self.file, self.key, self.text) if part)

    def to_dict(self) -> dict[str, Any]:
        """The mistake as JSON values."""
        return {"file": printable(self.file), "key": printable(self.key), "text": printable(self.text)}


def needs(location: str) -> str:
    """The setting without which a provider has nothing in that location."""
    return {
        "local": "local_folder",
        "azure": "azure_container",
        "dropbox": "dropbox_app_key",
        "onedrive": "onedrive_app_id",
    }[location]


def check(
    *,
    practice: PracticeSettings,
    providers: Mapping[str, ProviderSettings],
    operators: Mapping[str, OperatorSettings],
    origins: Mapping[str, str],
    given: Mapping[str, str],
    ask_disk: bool = False,
) -> tuple[list[Mistake], list[Mistake]]:
    """Find what is wrong, and what is doubtful.

    Args:
        practice: As far as it could be read.
        providers: Likewise, by id.
        operators: Likewise, by id.
        origins: By dotted key, where each value comes from.
        given: By dotted key that was given a value, right or wrong, where.
        ask_disk: Whether to look at folders, to tell whether two of them are one.

    Returns:
        Mistakes, and warnings.
    """
    checking = _Checking(practice, providers, operators, origins, given, ask_disk=ask_disk)
    checking.shared_folders()
    checking.incomplete()
    checking.locations()
    checking.secrets()
    checking.doubts()
    return checking.mistakes, checking.warnings


def refuse_shared_folders(
    practice: PracticeSettings,
    providers: Mapping[str, ProviderSettings],
    operators: Mapping[str, OperatorSettings],
    origins: Mapping[str, str],
) -> None:
    """See to it that each provider's folder is its own, however the settings were made.

    Raises:
        SettingsError: One is not.
    """
    checking = _Checking(practice, providers, operators, origins, {})
    checking.shared_folders()
    if checking.mistakes:
        raise SettingsError("\n".join(map(str, checking.mistakes)), mistakes=tuple(checking.mistakes))


class _Checking:
    def __init__(
        self,
        practice: PracticeSettings,
        providers: Mapping[str, ProviderSettings],
        operators: Mapping[str, OperatorSettings],
        origins: Mapping[str, str],
        given: Mapping[str, str],
        *,
        ask_disk: bool = False,
    ) -> None:
        self.practice = practice
        self.providers = providers
        self.operators = operators
        self.origins = origins
        self.given = given
        self.ask_disk = ask_disk
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []

    # --- mistakes

    def shared_folders(self) -> None:
        """Whoever opens a provider's folder sees its files: each has one alone, and so has its name."""
        owners: dict[tuple[str, ...], str] = {}
        for one, provider in self.providers.items():
            if provider.azure_container is None or f"provider.{one}.azure_folder" in self._wrong():
                continue
            place: tuple[str, ...] = ("azure", provider.azure_container, provider.azure_folder)
            key = "azure_folder" if f"provider.{one}.azure_folder" in self.origins else "azure_container"
            self._own(owners, place, f"provider.{one}", key, "container and folder")
        sections = {
            **{f"provider.{one}": (own.local_folder, own.local_id) for one, own in self.providers.items()},
            **{f"operator.{one}": (own.local_folder, own.local_id) for one, own in self.operators.items()},
        }
        for section, (folder, name) in sections.items():
            places = {}
            if folder is not None:
                places["local_folder"] = "folder", _identity(folder, ask_disk=self.ask_disk)
            if name is not None:
                # Else an undo might put a photo into the folder of another.
                places["local_id"] = "name", name
            for key, (what, identity) in places.items():
                place = (key, identity)
                if section.startswith("provider.") or place in owners:  # operators may share one
                    self._own(owners, place, section, key, what)

    def _own(
        self, owners: dict[tuple[str, ...], str], place: tuple[str, ...], section: str, key: str, what: str
    ) -> None:
        owner = owners.setdefault(place, section)
        if owner != section:
            self._mistake(f"{section}.{key}", f"expected a {what} of its own: this one belongs to {owner}")

    def incomplete(self) -> None:
        """Settings that mean nothing without another."""
        self._with("practice.azure_key", "practice.azure_account")
        self._with("practice.azure_identity", "practice.azure_account")
        if self.practice.azure_identity and "practice.azure_key" in self.given:
            self._mistake("practice.azure_identity", "expected azure_identity or azure_key, not both")
        for one in self.providers:
            section = f"provider.{one}"
            self._with(f"{section}.azure_folder", f"{section}.azure_container")
            self._with(f"{section}.azure_sas", f"{section}.azure_container")
            self._with(f"{section}.onedrive_secret", f"{section}.onedrive_app_id")
            self._with(f"{section}.onedrive_folder", f"{section}.onedrive_app_id")
            self._with(f"{section}.dropbox_folder", f"{section}.dropbox_app_key")
            self._with(f"{section}.local_id", f"{section}.local_folder")
        for one in self.operators:
            self._with(f"operator.{one}.local_id", f"operator.{one}.local_folder")

    def _with(self, key: str, needed: str) -> None:
        if key in self.given and needed not in self.given:
            self._mistake(key, f"expected {needed} to be set as well")

    def locations(self) -> None:
        """A location that is on and is nowhere."""
        for one, operator in self.operators.items():
            key = f"operator.{one}.locations"
            for location in operator.locations:
                if location == "dropbox" and self.practice.hosted:
                    self._mistake(key, HOSTED_DROPBOX)
                elif missing := self._missing(location, one):
                    self._mistake(key, f"{location} is on, so expected {missing} to be set")
                elif location != "local" or operator.local_folder is None:
                    self._warn_of_providers_without(location, key)

    def _missing(self, location: str, operator: str) -> str | None:
        if location == "local":
            if f"operator.{operator}.local_folder" in self.given:
                return None
            if not self._providers_with("local"):
                return f"operator.{operator}.local_folder, or a provider's local_folder,"
            return None
        if location == "azure" and "practice.azure_account" not in self.given:
            return "practice.azure_account"
        if location == "azure" and not self.given.keys() & {"practice.azure_key", "practice.azure_identity"}:
            without = [
                one for one in self._providers_with("azure") if f"provider.{one}.azure_sas" not in self.given
            ]
            if without:
                return f"practice.azure_key, or provider.{without[0]}.azure_sas,"
        return None if self._providers_with(location) else f"a provider's {needs(location)}"

    def _providers_with(self, location: str) -> list[str]:
        return [one for one in self.providers if f"provider.{one}.{needs(location)}" in self.given]

    def _wrong(self) -> frozenset[str]:
        """Keys that were given a value which was refused."""
        return frozenset(self.given) - self.origins.keys()

    # --- warnings

    def _warn_of_providers_without(self, location: str, key: str) -> None:
        having = self._providers_with(location)
        for one in self.providers:
            if one not in having:
                self._warn(key, f"{location} is on, and provider.{one} has no {needs(location)}")

    def secrets(self) -> None:
        """Secrets that lie in a settings file, or could not be read here."""
        for key, value in self._values():
            if isinstance(value, SecretReference):
                if doubt := value.doubt():
                    self._warn(key, doubt)
            elif value is not None and not self._from_environment(key) and _shows_a_secret(key, value):
                self._warn(key, f"the secret itself stands in the file; better: {REFERENCE}")

    def doubts(self) -> None:
        """What is allowed, and may not be meant."""
        if "practice.zone" not in self.given:
            self._warn("practice.zone", "not set: this machine's time zone is taken")
        if "practice.pattern" not in self.given and any(one.auto_import for one in self.operators.values()):
            self._warn("practice.pattern", _DEFAULT_PATTERN)
        for one, operator in self.operators.items():
            if not operator.locations and f"operator.{one}.locations" not in self._wrong():
                self._warn(f"operator.{one}.locations", "no location is on: the list will be empty")
            for location in ("local", "dropbox", "onedrive"):
                key = f"operator.{one}.{location}_folder"
                if key in self.origins and location not in operator.locations:
                    self._warn(key, f"{location} is not on")
        for section, ids in (("provider", self.providers), ("operator", self.operators)):
            seen: dict[str, str] = {}
            for one in ids:
                other = seen.setdefault(one.casefold(), one)
                if other != one:
                    self._warn(f"{section}.{one}", f"differs from {section}.{other} in letter case alone")

    # --- inside

    def _values(self) -> Iterator[tuple[str, Any]]:
        sections: dict[str, Any] = {"practice": self.practice}
        sections |= {f"provider.{one}": section for one, section in self.providers.items()}
        sections |= {f"operator.{one}": section for one, section in self.operators.items()}
        for name, section in sections.items():
            for field in attrs.fields(type(section)):
                if rule_of(field).secret:
                    yield f"{name}.{field.name}", getattr(section, field.name)

    def _from_environment(self, key: str) -> bool:
        return self.origins.get(key, _DEFAULT).startswith(f"{_ENVIRONMENT} ")

    def _mistake(self, key: str, text: str) -> None:
        self.mistakes.append(Mistake(file=self._file(key), key=key, text=text))

    def _warn(self, key: str, text: str) -> None:
        self.warnings.append(Mistake(file=self._file(key), key=key, text=text))

    def _file(self, key: str) -> str:
        """The file that a key stands in; for one that stands nowhere, any that its section stands in."""
        if key in self.given:
            return self.given[key]
        section = key.rpartition(".")[0]
        return next((file for known, file in self.given.items() if known.startswith(f"{section}.")), "")


def _identity(folder: str, *, ask_disk: bool) -> str:
    """What is the same for one folder, however its path is spelled.

    Args:
        folder: Its path.
        ask_disk: Whether to tell links, letter case and second mounts too. A share that is not there may take
            long to say so.
    """
    path = os.path.expanduser(folder)  # noqa: PTH111  # a home that is not known is no error here
    try:
        found = os.stat(path) if ask_disk else None  # noqa: PTH116
    except (OSError, ValueError):
        found = None  # not there now
    if found is not None and found.st_ino:
        return f"{found.st_dev:x}-{found.st_ino:x}"
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100  # `resolve` would ask the disk


def _shows_a_secret(key: str, value: Secret) -> bool:
    """Whether a text holds a secret: a database URL does so only with a password."""
    if not key.endswith(".records"):
        return True
    from sqlalchemy import make_url

    url = make_url(value.reveal())
    return url.password is not None or bool(url.query)
