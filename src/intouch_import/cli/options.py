"""The options that commands share, and the inbox, records and folders that they describe."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click
from click.core import ParameterSource

from intouch_import.cli import show
from intouch_import.database import connect
from intouch_import.errors import ConfigError, SourceError
from intouch_import.exclusions import Exclusions
from intouch_import.filenames import DEFAULT_PATTERN
from intouch_import.inbox import Inbox
from intouch_import.ledger import Ledger
from intouch_import.reports import Problem
from intouch_import.repositories.sql import SqlRepository
from intouch_import.settings import Settings
from intouch_import.settings.load import FILES_VARIABLE
from intouch_import.settings.secret_refs import resolve
from intouch_import.settings.settings import sign_in_server
from intouch_import.sources import Source, open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from intouch_import.signin import SignIn

__all__ = [
    "PATH",
    "SERVICES",
    "Command",
    "Practice",
    "folder_argument",
    "inbox_of",
    "json_option",
    "only_option",
    "open_folder",
    "patient_option",
    "practice_options",
    "provider_option",
    "sign_in_to",
]

PATH: Final = click.Path(path_type=Path)
SERVICES: Final = ("dropbox", "onedrive")
"""The cloud drives that people sign in to."""

Command = Callable[..., int | None]
"""What click makes a command of. It returns its exit code; None stands for success."""


def _practice_option(name: str, meaning: str, *, default: str | None = None) -> Callable[[Command], Command]:
    return click.option(
        f"--{name}",
        envvar=f"INTOUCH_{name.upper()}",
        show_envvar=True,
        default=default,
        show_default=default is not None,
        help=meaning,
    )


_PRACTICE_OPTIONS: Final = {
    "records": _practice_option(
        "records", "The patient records: a SQLAlchemy URL. By default those that the settings name."
    ),
    "files": _practice_option(
        "files",
        "Where the records keep their files: a folder or an fsspec URL. Default: beside an SQLite database.",
    ),
    "zone": _practice_option("zone", "The time zone of the practice, such as Australia/Sydney."),
    "operator": _practice_option("operator", "Who is working. The ledger records it."),
    "pattern": _practice_option(
        "pattern",
        "How the capture app names files. Check it against a real file.",
        default=DEFAULT_PATTERN,
    ),
}

folder_argument = click.argument("folder")
only_option = click.option(
    "--only",
    is_flag=True,
    help="Only these files, without what belongs to them. An undo or reassignment takes the sidecars along.",
)
json_option = click.option("--json", is_flag=True, help="Print one JSON document instead of a table.")
patient_option = click.option("--patient", required=True, metavar="ID", help="The id of the patient.")
provider_option = click.option("--provider", metavar="ID", help="The provider who owns the folder.")
_settings_option = click.option(
    "--settings",
    type=PATH,
    multiple=True,
    envvar=FILES_VARIABLE,
    show_envvar=True,
    metavar="FILE",
    help="A settings file of the practice. Can be given several times.",
)


def practice_options(*names: str) -> Callable[[Command], Command]:
    """Give a command these options, and ``--settings``. It receives a `Practice` as ``practice``."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, **values: Any) -> int | None:
            files = values.pop("settings")
            practice = _practice_of({name: values.pop(name) for name in names}, settings=files)
            return command(*args, practice=practice, **values)

        decorated: Command = _settings_option(run)
        for name in reversed(names):
            decorated = _PRACTICE_OPTIONS[name](decorated)
        return decorated

    return decorate


def _practice_of(given: dict[str, Any], *, settings: Sequence[Path]) -> Practice:
    """Make the practice of a command. The command line overrides the settings, which include the environment.

    ``files`` belongs to the records: it is never combined with records that were named elsewhere.
    """
    context = click.get_current_context()
    typed = {name for name in given if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if "records" in typed and "files" not in typed:
        given = {**given, "files": None}
    if not settings:
        return Practice(**given)
    known = Settings.load(*settings)
    named = {name: getattr(known.practice, name) for name in ("records", "files", "zone", "pattern")}
    if named["records"] is not None and "records" not in typed:
        named["records"] = resolve(named["records"], key="practice.records").reveal()
    if "records" in typed:
        del named["files"]
    named = {name: value for name, value in named.items() if name in given and name not in typed}
    return Practice(**given | named, settings=known)


@attrs.frozen(kw_only=True, repr=False)  # the URL of the records may contain a password
class Practice:
    """What the options and the settings say. Records and inboxes are opened on demand."""

    records: str | None = None
    files: str | None = None
    zone: str | None = None
    operator: str | None = None
    pattern: str = DEFAULT_PATTERN
    settings: Settings | None = None

    @property
    def database(self) -> str:
        """The URL of the records.

        Raises:
            ConfigError: Nobody has named any. A default could be the database of another practice.
        """
        if self.records is None:
            raise ConfigError("name the patient records: records=, INTOUCH_RECORDS, or in the settings")
        return self.records

    @property
    def exclusions(self) -> Exclusions:
        """The names that are not imported from a folder that is given on the command line."""
        if self.settings is None:
            return Exclusions()
        practice = self.settings.practice
        return Exclusions(practice.exclude, defaults=practice.exclude_defaults)

    def repository(self) -> SqlRepository:
        """Open the patient records; create them if there are none."""
        return SqlRepository.open(self.database, files=self.files)

    def existing_repository(self) -> SqlRepository:
        """Open the patient records, which must exist: nothing can be found in new ones.

        Raises:
            ConfigError: There is no such database file, or the URL is not understood.
            RepositoryError: The records can't be used.
        """
        _check_exists(self.database)
        return self.repository()

    def existing_ledger(self) -> Ledger:
        """Open the ledger of records that exist: a mistyped path must not look like an empty ledger.

        Raises:
            ConfigError: There is no such database file, or the URL is not understood.
        """
        return Ledger(_check_exists(self.database))

    def inbox(self, sources: Sequence[Source], *, auto_import: bool = True) -> Inbox:
        """Make an inbox of these folders."""
        options: dict[str, Any] = {}
        if self.settings is not None:
            practice = self.settings.practice
            options = {"allowed_extensions": practice.allowed_extensions, "settle_s": practice.settle_s}
        return Inbox(
            self.repository(),
            sources,
            operator=self.operator,
            zone=self.zone,
            naming=self.pattern,
            auto_import=auto_import,
            **options,
        )


def inbox_of(
    practice: Practice, *, folders: Sequence[str], provider: str | None, auto_import: bool = True
) -> tuple[Inbox, list[Problem]]:
    """Make an inbox of the given folders, or of the locations that are on in the settings.

    Returns:
        The inbox, and a problem for each folder that could not be opened and is not tried again.

    Raises:
        ConfigError: Neither folders nor settings are given.
        SourceError: None of the folders could be opened.
    """
    if folders:
        sources, problems = _open_folders(folders, provider=provider, exclude=practice.exclusions)
        return practice.inbox(sources, auto_import=auto_import), problems
    if practice.settings is None:
        raise ConfigError("give a folder, or --settings")
    options: dict[str, Any] = {} if auto_import else {"auto_import": False}
    inbox = Inbox.from_settings(
        practice.settings,
        provider=provider,
        operator=practice.operator,
        repository=practice.repository(),
        zone=practice.zone,
        naming=practice.pattern,
        **options,
    )
    if not inbox.sources and not inbox.unopened:
        show.complain("the settings switch on no location for this provider and operator: nothing is listed")
    return inbox, []


def _open_folders(
    urls: Sequence[str], *, provider: str | None, exclude: Exclusions
) -> tuple[list[Source], list[Problem]]:
    """Open the folders. One that can't be opened is a problem, and does not stop the others.

    Raises:
        SourceError: None could be opened.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    failure: SourceError | None = None
    for number, url in enumerate(urls, 1):
        try:
            sources.append(open_folder(url, provider=provider, exclude=exclude))
        except SourceError as exc:
            failure = exc
            # By its number: paths are not printed.
            text = f"folder {number} of {len(urls)}: {exc}" if len(urls) > 1 else str(exc)
            problems.append(
                Problem(source_id=exc.source_id or "", location="", text=text, retry_helps=exc.retry_helps)
            )
    if failure is not None and not sources:
        raise failure
    return sources, problems


def open_folder(url: str, *, provider: str | None = None, exclude: Exclusions | None = None) -> Source:
    """Open a folder; a cloud drive with the sign-in that ``login`` has stored.

    Raises:
        ConfigError, SourceError: As `open_source`.
    """
    protocol = url.partition("://")[0].lower()
    if protocol not in SERVICES:
        return open_source(url, provider=provider, exclude=exclude or ())
    options: dict[str, Any] = {"signin": sign_in_to(protocol, account=os.environ.get("INTOUCH_ACCOUNT", ""))}
    if endpoint := _endpoint(protocol, None):
        options["endpoint"] = endpoint
    return open_source(url, provider=provider, exclude=exclude or (), **options)


def sign_in_to(
    service: str,
    *,
    account: str,
    app: str | None = None,
    endpoint: str | None = None,
    open_browser: bool = True,
) -> SignIn:
    """Return the sign-in to a cloud drive.

    Args:
        service: The cloud drive, of `SERVICES`.
        account: The name of the sign-in, if there are several.
        app: The key or id of the registered app; by default that of the environment variable.
        endpoint: Another server than the vendor's; by default that of the environment variable.
        open_browser: Whether to open a browser when somebody must sign in.

    Raises:
        ConfigError: No app is given.
    """
    from intouch_import.signin.sign_in import SignIn, open_in_browser

    variable = f"INTOUCH_{service.upper()}_APP"
    key = app or os.environ.get(variable)
    if not key:
        raise ConfigError(f"which app? Give its key with --app, or in {variable}")
    # The secret of an app is not an option: other users can read the command line.
    secret = os.environ.get("INTOUCH_ONEDRIVE_SECRET") or None
    server = sign_in_server(service, key, client_secret=secret, endpoint=_endpoint(service, endpoint))
    return SignIn(server, account=account, on_url=open_in_browser if open_browser else None)


def _endpoint(service: str, endpoint: str | None) -> str | None:
    return endpoint or os.environ.get(f"INTOUCH_{service.upper()}_ENDPOINT") or None


def _check_exists(url: str) -> Engine:
    engine = connect(url)
    path = engine.url.database
    if engine.dialect.name == "sqlite" and not (path and Path(path).exists()):
        raise ConfigError("there is no database of that name")
    return engine
