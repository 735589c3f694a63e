"""`Settings`: the settings of one practice, and what is opened with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from intouch_import.errors import ConfigError
from intouch_import.settings.check import refuse_shared_folders
from intouch_import.settings.load import read
from intouch_import.settings.open import open_sources
from intouch_import.settings.secret_refs import resolve
from intouch_import.settings.sections import OperatorSettings, PracticeSettings, ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from intouch_import.repositories.sql import SqlRepository
    from intouch_import.settings.open import OpenedSources

__all__ = ["Settings"]


@attrs.frozen(kw_only=True, repr=False)
class Settings:
    """The settings of one practice.

    Args:
        practice: What holds for all.
        providers: By id, as it stands in capture names.
        operators: By id, as the practice names its staff.
        origins: By dotted key, where each value that is set comes from: a file or an environment variable.

    `Settings.load` reads them from files; code may also make them.

    Raises:
        SettingsError: Two providers, or an operator and a provider, are given one folder or one ``local_id``.
    """

    practice: PracticeSettings = attrs.field(factory=PracticeSettings)
    providers: Mapping[str, ProviderSettings] = attrs.field(factory=dict)
    operators: Mapping[str, OperatorSettings] = attrs.field(factory=dict)
    origins: Mapping[str, str] = attrs.field(factory=dict, eq=False)

    def __attrs_post_init__(self) -> None:
        refuse_shared_folders(self.practice, self.providers, self.operators, self.origins)

    @classmethod
    def load(cls, *files: str | Path) -> Self:
        """Read settings from TOML files and the environment.

        Of a key that several files set, the last one counts; an environment variable counts more
        (``INTOUCH_AZURE_KEY``, ``INTOUCH_PROVIDER_DRJ_AZURE_SAS``).

        Args:
            files: The files. Without any, those that ``INTOUCH_SETTINGS`` names, separated as in ``PATH``.

        Raises:
            SettingsError: Something is wrong; ``mistakes`` has everything that is.
        """
        found = read(files).refuse_mistakes()
        return cls(
            practice=found.practice,
            providers=found.providers,
            operators=found.operators,
            origins=found.origins,
        )

    def open_sources(
        self,
        *,
        provider: str | None = None,
        operator: str | None = None,
        signin: Mapping[str, Any] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> OpenedSources:
        """Open the folders of one provider that are on for one operator, each by itself.

        A location that fails is a problem and stops no other; it can be tried again.

        Args:
            provider: The provider's id; may be left out if there is one provider, or none.
            operator: The operator's id; may be left out if there is one.
            signin: By location (``"dropbox"``, ``"onedrive"``): a sign-in or a token provider of the host.
            options: By location: further options for `open_source`.

        Raises:
            ConfigError: There is no such provider or operator.
        """
        provider_id = self.provider_id(provider)
        return open_sources(
            self.practice,
            provider_id=provider_id,
            provider=self.providers[provider_id] if provider_id is not None else ProviderSettings(),
            operator=self.operators[self.operator_id(operator)],
            signin=signin or {},
            options=options or {},
        )

    def open_records(self) -> SqlRepository:
        """Open the reference patient records that the practice names.

        Raises:
            ConfigError: The practice names none, or its URL can't be read or understood.
            RepositoryError: They can't be used.
        """
        from intouch_import.repositories.sql import SqlRepository

        if self.practice.records is None or self.practice.files is None:
            raise ConfigError("the practice names no records, or no files for them")
        url = resolve(self.practice.records, key="practice.records")
        return SqlRepository.open(url.reveal(), files=self.practice.files)

    def provider_id(self, provider: str | None) -> str | None:
        """The provider that is meant; None if nobody is and there is none.

        Raises:
            ConfigError: There is none of that id, or several of whom none was named.
        """
        if provider is None and not self.providers:
            return None
        return _meant(provider, self.providers, "provider")

    def operator_id(self, operator: str | None) -> str:
        """The operator who is meant.

        Raises:
            ConfigError: There is none of that id, or not exactly one and none was named.
        """
        return _meant(operator, self.operators, "operator")

    def __repr__(self) -> str:
        return f"<Settings {len(self.providers)} providers, {len(self.operators)} operators>"


def _meant(wanted: str | None, known: Mapping[str, Any], what: str) -> str:
    if wanted is None:
        if len(known) != 1:
            raise ConfigError(f"say which {what}: the settings have {len(known) or 'none'}")
        return next(iter(known))
    if wanted not in known:
        raise ConfigError(f"the settings have no {what} of that id")
    return wanted
