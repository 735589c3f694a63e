"""`Settings`: the settings of one practice, and the sources and records that they open."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import quote

import attrs

from intouch_import.closing import Closable
from intouch_import.errors import ConfigError
from intouch_import.exclusions import Exclusions
from intouch_import.extras import needing
from intouch_import.logfiles import log_to_directory
from intouch_import.settings.check import HOSTED_DROPBOX, NEEDED, Checks, raise_mistakes
from intouch_import.settings.load import load
from intouch_import.settings.secret_refs import resolve
from intouch_import.settings.sections import (
    OperatorSettings,
    PracticeSettings,
    ProviderSettings,
    sections_by_name,
)
from intouch_import.sources.base import Source
from intouch_import.sources.opening import Unopened, open_source

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from intouch_import.reports import Problem
    from intouch_import.repositories.sql import SqlRepository
    from intouch_import.secret import Secret
    from intouch_import.signin.authorization import AuthorizationServer

__all__ = ["OpenedSources", "Settings", "sign_in_server"]

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True, repr=False)
class Settings:
    """The settings of one practice.

    Args:
        practice: The settings of the whole practice.
        providers: By id, as in capture names.
        operators: By id, as the practice names its staff.
        origins: By dotted key: the file or environment variable that each value comes from.

    `Settings.load` reads them from files; code may also make them.

    Raises:
        SettingsError: Two providers, or an operator and a provider, have the same folder or ``local_id``.
    """

    practice: PracticeSettings = attrs.field(factory=PracticeSettings)
    providers: Mapping[str, ProviderSettings] = attrs.field(factory=dict)
    operators: Mapping[str, OperatorSettings] = attrs.field(factory=dict)
    origins: Mapping[str, str] = attrs.field(factory=dict, eq=False)

    def __attrs_post_init__(self) -> None:
        sections = sections_by_name(self.practice, self.providers, self.operators)
        raise_mistakes(Checks(sections, self.origins).shared_folders())

    @classmethod
    def load(cls, *files: str | Path) -> Self:
        """Load settings from TOML files and environment variables.

        If several files set a key, the last one is used. An environment variable (``INTOUCH_AZURE_KEY``,
        ``INTOUCH_PROVIDER_DRJ_AZURE_SAS``) overrides all files.

        Args:
            files: The files. By default those in ``INTOUCH_SETTINGS``, separated as in ``PATH``.

        Raises:
            SettingsError: There are mistakes; ``mistakes`` contains all of them.
        """
        loaded = load(files)
        raise_mistakes(loaded.mistakes)
        return cls(
            practice=loaded.sections["practice"],
            providers=loaded.by_id("provider"),
            operators=loaded.by_id("operator"),
            origins=loaded.origins,
        )

    def open_sources(
        self,
        *,
        provider: str | None = None,
        operator: str | None = None,
        signin: Mapping[str, Any] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> OpenedSources:
        """Open the folders of one provider in the locations that are on for one operator, in parallel.

        A location that fails is reported as a problem and does not stop the others. It can be tried again.

        Args:
            provider: The provider's id. Not needed if there is one provider, or none.
            operator: The operator's id. Not needed if there is one.
            signin: By location (``"dropbox"``, ``"onedrive"``): a sign-in or a token provider of the host.
            options: By location: further options for `open_source`.

        Raises:
            ConfigError: There is no such provider or operator.
        """
        provider_id = self.provider_id(provider)
        opening = _Opening(
            practice=self.practice,
            provider_id=provider_id,
            provider=self.providers[provider_id] if provider_id is not None else ProviderSettings(),
            operator=self.operators[self.operator_id(operator)],
            signin=signin or {},
            options=options or {},
        )
        return opening.open_all()

    def open_records(self) -> SqlRepository:
        """Open the reference patient records that the settings name.

        Raises:
            ConfigError: The settings name none, their URL can't be read or understood, or it needs ``files``.
            RepositoryError: They can't be used.
        """
        from intouch_import.repositories.sql import SqlRepository

        if self.practice.records is None:
            raise ConfigError("the practice names no records")
        url = resolve(self.practice.records, key="practice.records")
        return SqlRepository.open(url.reveal(), files=self.practice.files)

    def provider_id(self, provider: str | None) -> str | None:
        """Return the id of the provider to use: the given one, or the only one; None if there is none.

        Raises:
            ConfigError: There is no provider of that id, or there are several and none is given.
        """
        if provider is None and not self.providers:
            return None
        return _given_or_only(provider, self.providers, "provider")

    def operator_id(self, operator: str | None) -> str:
        """Return the id of the operator to use: the given one, or the only one.

        Raises:
            ConfigError: There is no operator of that id, or none is given and there is not exactly one.
        """
        return _given_or_only(operator, self.operators, "operator")

    def __repr__(self) -> str:
        return f"<Settings {len(self.providers)} providers, {len(self.operators)} operators>"


@attrs.frozen(kw_only=True, repr=False)
class OpenedSources(Closable, Sequence[Source]):
    """The sources that were opened, as a sequence, and those that were not. Closes them as a context manager.

    Args:
        sources: The opened sources.
        unopened: The locations that are on and could not be opened. An `Inbox` tries again at each
            refresh.
    """

    sources: tuple[Source, ...] = ()
    unopened: tuple[Unopened, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """One problem for each location that could not be opened."""
        return tuple(one.problem for one in self.unopened)

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Source, ...]: ...
    def __getitem__(self, index: int | slice) -> Source | tuple[Source, ...]:
        return self.sources[index]

    def __len__(self) -> int:
        return len(self.sources)

    def close(self) -> None:
        """Close all sources."""
        for source in self.sources:
            source.close()

    def __repr__(self) -> str:
        return f"<OpenedSources {len(self.sources)} opened, {len(self.problems)} problems>"


@attrs.frozen(kw_only=True, repr=False)
class _Opening:
    """The settings that one call of `Settings.open_sources` uses."""

    practice: PracticeSettings
    provider_id: str | None
    provider: ProviderSettings
    operator: OperatorSettings
    signin: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]]

    def open_all(self) -> OpenedSources:
        if not self.operator.locations:
            return OpenedSources()
        if {"dropbox", "onedrive"} & set(self.operator.locations):
            self._begin_log()  # here, not in the threads below: two of them would attach it twice
        # An opener reads secrets only when it is called.
        openers = {
            "local": self._local,
            "azure": self._azure,
            "dropbox": self._dropbox,
            "onedrive": self._onedrive,
        }
        with ThreadPoolExecutor(len(openers), thread_name_prefix="intouch-open") as pool:
            names = self.operator.locations
            found = list(pool.map(lambda name: Unopened.attempt(name, openers[name]), names))
        return OpenedSources(
            sources=tuple(one for one in found if isinstance(one, Source)),
            unopened=tuple(one for one in found if isinstance(one, Unopened)),
        )

    def _local(self) -> Source:
        if self.operator.local_folder is not None:
            # This folder belongs to no provider: capture names of every provider may be imported from it.
            options = {"provider": None, "source_id": self.operator.local_id}
            return self._open("local", self.operator.local_folder, **options)
        if self.provider.local_folder is None:
            raise self._not_set("local")
        return self._open("local", self.provider.local_folder, source_id=self.provider.local_id)

    def _azure(self) -> Source:
        if self.provider.azure_container is None:
            raise self._not_set("azure")
        if self.practice.azure_account is None:
            raise ConfigError("the practice has no azure_account")
        endpoint = self.practice.azure_endpoint
        return self._open(
            "azure",
            _url("az", self.provider.azure_container, self.provider.azure_folder),
            account_name=self.practice.azure_account,
            **self._azure_access(),
            **({"endpoint": endpoint} if endpoint is not None else {}),
        )

    def _azure_access(self) -> dict[str, Any]:
        """Return the provider's own access to its container, or else the practice's access to the account."""
        if self.provider.azure_sas is not None:
            key = f"provider.{self.provider_id}.azure_sas"
            return {"sas_token": resolve(self.provider.azure_sas, key=key)}
        if self.practice.azure_identity:
            modules = ("azure", "azure.core", "azure.identity")
            with needing("azure_identity needs azure-identity", *modules, install="intouch-import[azure]"):
                from azure.identity import DefaultAzureCredential
            return {"credential": DefaultAzureCredential()}
        if self.practice.azure_key is None:
            raise ConfigError("the practice has no azure_key, and the provider no azure_sas")
        return {"account_key": resolve(self.practice.azure_key, key="practice.azure_key")}

    def _dropbox(self) -> Source:
        if self.practice.hosted:
            raise ConfigError(HOSTED_DROPBOX)
        folder = self.operator.dropbox_folder or self.provider.dropbox_folder or "/"
        signin = self._sign_in("dropbox", self.provider.dropbox_app_key)
        return self._open("dropbox", _url("dropbox", "", folder), signin=signin)

    def _onedrive(self) -> Source:
        folder = self.operator.onedrive_folder or self.provider.onedrive_folder or "/"
        secret, key = self.provider.onedrive_secret, f"provider.{self.provider_id}.onedrive_secret"
        client_secret = None if secret is None else resolve(secret, key=key)
        signin = self._sign_in("onedrive", self.provider.onedrive_app_id, client_secret=client_secret)
        return self._open("onedrive", _url("onedrive", "", folder), signin=signin)

    def _sign_in(self, location: str, app: str | None, *, client_secret: Secret | None = None) -> Any:
        """Return the host's own sign-in, or else one to the app that the provider registered."""
        if self.signin.get(location) is not None:
            return self.signin[location]
        if app is None:
            raise self._not_set(location)
        from intouch_import.signin import SignIn

        server = sign_in_server(location, app, client_secret=client_secret)
        return SignIn(server, account=self.provider_id or "")

    def _begin_log(self) -> None:
        """Log failed connections into the folder of the practice."""
        if self.practice.log_dir is None:
            return
        try:
            log_to_directory(self.practice.log_dir)
        except ConfigError:
            log.warning("the folder for log files can't be used")  # the photos are imported all the same

    def _open(self, location: str, url: str, **options: Any) -> Source:
        patterns = (*self.practice.exclude, *self.provider.exclude)
        exclude = Exclusions(patterns, defaults=self.practice.exclude_defaults)
        known = {"provider": self.provider_id, **({} if exclude == Exclusions() else {"exclude": exclude})}
        return open_source(url, **{**known, **options, **self.options.get(location, {})})

    def _not_set(self, location: str) -> ConfigError:
        return ConfigError(f"{location} is on, but the provider has no {NEEDED[location]}")


def sign_in_server(
    location: str, app: str, *, client_secret: Secret | str | None = None, endpoint: str | None = None
) -> AuthorizationServer:
    """Return the server that people sign in to.

    Args:
        location: ``"dropbox"`` or ``"onedrive"``.
        app: The key or id of the registered app.
        client_secret: For OneDrive: the secret of the app, if it has one.
        endpoint: Another server than the vendor's.
    """
    if location == "dropbox":
        from intouch_import.dropbox import DropboxAuthorization

        return DropboxAuthorization(app, endpoint=endpoint)
    from intouch_import.onedrive import OneDriveAuthorization

    return OneDriveAuthorization(app, client_secret=client_secret, endpoint=endpoint)


def _given_or_only(given: str | None, known: Mapping[str, Any], what: str) -> str:
    if given is None:
        if len(known) != 1:
            raise ConfigError(f"say which {what}: the settings have {len(known) or 'none'}")
        return next(iter(known))
    if given not in known:
        raise ConfigError(f"the settings have no {what} of that id")
    return given


def _url(protocol: str, host: str, folder: str) -> str:
    # `open_source` decodes the path of a URL once.
    return f"{protocol}://{host}{quote(folder)}"
