"""From settings to opened sources: each location by itself, whatever becomes of the others."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, overload
from urllib.parse import quote

import attrs

from intouch_import.closing import Closable
from intouch_import.errors import ConfigError
from intouch_import.extras import needing
from intouch_import.settings.check import HOSTED_DROPBOX, needs
from intouch_import.settings.secret_refs import resolve
from intouch_import.sources.base import Source
from intouch_import.sources.opening import Unopened, open_source

if TYPE_CHECKING:
    from intouch_import.reports import Problem
    from intouch_import.settings.sections import OperatorSettings, PracticeSettings, ProviderSettings

__all__ = ["OpenedSources", "open_sources"]

_SIGN_IN: Final = "intouch_import.signin:SignIn"
_LOG_FILES: Final = "intouch_import.logfiles:log_to_directory"
_SERVERS: Final = {
    "dropbox": "intouch_import.dropbox.account:DropboxAuthorization",
    "onedrive": "intouch_import.onedrive.account:OneDriveAuthorization",
}
"""Who people sign in to, imported on demand: ``module:class``."""

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True, repr=False)
class OpenedSources(Closable, Sequence[Source]):
    """What was opened: a sequence of sources, and what was not. Closes them as a context manager.

    Args:
        sources: Those that were opened.
        problems: One for each location that is on and was not opened.
        unopened: The same, to be tried again; an `Inbox` that has them does so at each refresh.
    """

    sources: tuple[Source, ...] = ()
    problems: tuple[Problem, ...] = ()
    unopened: tuple[Unopened, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Source, ...]: ...
    def __getitem__(self, index: int | slice) -> Source | tuple[Source, ...]:
        return self.sources[index]

    def __len__(self) -> int:
        return len(self.sources)

    def close(self) -> None:
        """Close all of them."""
        for source in self.sources:
            source.close()

    def __repr__(self) -> str:
        return f"<OpenedSources {len(self.sources)} opened, {len(self.problems)} problems>"


def open_sources(
    practice: PracticeSettings,
    *,
    provider_id: str | None,
    provider: ProviderSettings,
    operator: OperatorSettings,
    signin: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]],
) -> OpenedSources:
    """Open what is on. See `Settings.open_sources`."""
    chosen = _Choice(
        practice=practice,
        provider_id=provider_id,
        provider=provider,
        operator=operator,
        signin=signin,
        options=options,
    )
    wanted = [(location, chosen.opener(location)) for location in chosen.operator.locations]
    if not wanted:
        return OpenedSources()
    if _SERVERS.keys() & set(chosen.operator.locations):
        chosen.begin_log()  # here, not in the threads below: two of them would attach it twice
    with ThreadPoolExecutor(len(wanted), thread_name_prefix="intouch-open") as pool:
        found = list(pool.map(lambda one: Unopened.attempt(*one), wanted))
    return OpenedSources(
        sources=tuple(one for one in found if isinstance(one, Source)),
        problems=tuple(one.problem for one in found if isinstance(one, Unopened)),
        unopened=tuple(one for one in found if isinstance(one, Unopened)),
    )


@attrs.frozen(kw_only=True, repr=False)
class _Choice:
    """One provider and one operator, and what belongs to them."""

    practice: PracticeSettings
    provider_id: str | None
    provider: ProviderSettings
    operator: OperatorSettings
    signin: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]]

    def opener(self, location: str) -> Callable[[], Source]:
        """What opens the folder of that location. Secrets are not read before it is called."""
        by_location = {
            "local": self._local,
            "azure": self._azure,
            "dropbox": self._dropbox,
            "onedrive": self._onedrive,
        }
        return by_location[location]

    def _local(self) -> Source:
        if self.operator.local_folder is not None:
            # Nobody's in particular: names of every provider may be imported from it.
            return self._open(
                "local", self.operator.local_folder, provider=None, source_id=self.operator.local_id
            )
        if self.provider.local_folder is None:
            raise self._nothing("local")
        return self._open(
            "local", self.provider.local_folder, provider=self.provider_id, source_id=self.provider.local_id
        )

    def _azure(self) -> Source:
        container = self.provider.azure_container
        if container is None:
            raise self._nothing("azure")
        if self.practice.azure_account is None:
            raise ConfigError("the practice has no azure_account")
        endpoint = self.practice.azure_endpoint
        return self._open(
            "azure",
            _url("az", container, self.provider.azure_folder),
            provider=self.provider_id,
            account_name=self.practice.azure_account,
            **self._azure_right(),
            **({"endpoint": endpoint} if endpoint is not None else {}),
        )

    def _azure_right(self) -> dict[str, Any]:
        """The provider's own right to its container, else the practice's to the account."""
        if self.provider.azure_sas is not None:
            key = f"provider.{self.provider_id}.azure_sas"
            return {"sas_token": resolve(self.provider.azure_sas, key=key)}
        if self.practice.azure_identity:
            return {"credential": _azure_identity()}
        if self.practice.azure_key is None:
            raise ConfigError("the practice has no azure_key, and the provider no azure_sas")
        return {"account_key": resolve(self.practice.azure_key, key="practice.azure_key")}

    def _dropbox(self) -> Source:
        if self.practice.hosted:
            raise ConfigError(HOSTED_DROPBOX)
        folder = self.operator.dropbox_folder or self.provider.dropbox_folder or "/"
        return self._open(
            "dropbox",
            _url("dropbox", "", folder),
            provider=self.provider_id,
            signin=self._sign_in("dropbox", self.provider.dropbox_app_key),
        )

    def _onedrive(self) -> Source:
        folder = self.operator.onedrive_folder or self.provider.onedrive_folder or "/"
        secret = self.provider.onedrive_secret
        return self._open(
            "onedrive",
            _url("onedrive", "", folder),
            provider=self.provider_id,
            signin=self._sign_in(
                "onedrive",
                self.provider.onedrive_app_id,
                client_secret=None
                if secret is None
                else resolve(secret, key=f"provider.{self.provider_id}.onedrive_secret"),
            ),
        )

    def _sign_in(self, location: str, app: str | None, **options: Any) -> Any:
        """The host's own sign-in, else one for the app that the provider registered."""
        given = self.signin.get(location)
        if given is not None:
            return given
        if app is None:
            raise self._nothing(location)
        server = _named(_SERVERS[location])(app, **{k: v for k, v in options.items() if v is not None})
        return _named(_SIGN_IN)(server, account=self.provider_id or "")

    def begin_log(self) -> None:
        """Have failed connections written where the practice looks them up."""
        if self.practice.log_dir is None:
            return
        try:
            _named(_LOG_FILES)(self.practice.log_dir)
        except ConfigError:
            log.warning("the folder for log files can't be used")  # the photos come in all the same

    def _open(self, location: str, url: str, **options: Any) -> Source:
        return open_source(url, **{**options, **self.options.get(location, {})})

    def _nothing(self, location: str) -> ConfigError:
        return ConfigError(f"{location} is on, and the provider has no {needs(location)}")


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _url(protocol: str, host: str, folder: str) -> str:
    # `open_source` decodes the path of a URL once.
    return f"{protocol}://{host}{quote(folder)}"


def _azure_identity() -> Any:
    modules = ("azure", "azure.core", "azure.identity")
    with needing("azure_identity needs azure-identity", *modules, install="intouch-import[azure]"):
        from azure.identity import DefaultAzureCredential
    return DefaultAzureCredential()
