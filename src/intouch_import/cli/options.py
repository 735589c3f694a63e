"""The options that commands share, and the inbox, records and folders that they describe."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from intouch_import.cli import show
from intouch_import.database import connect
from intouch_import.errors import ConfigError, SourceError
from intouch_import.filenames import DEFAULT_PATTERN
from intouch_import.inbox import Inbox
from intouch_import.ledger import Ledger
from intouch_import.reports import Problem
from intouch_import.repositories.files import open_files
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
    "existing_ledger",
    "folder_argument",
    "inbox_of",
    "json_option",
    "open_folder",
    "practice_options",
    "provider_option",
    "settings_option",
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
        "records", "The patient records: a SQLAlchemy URL.", default="sqlite:///clinic.db"
    ),
    "files": _practice_option(
        "files", "Where stored files are kept: a folder or an fsspec URL.", default="clinic-files"
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
json_option = click.option("--json", is_flag=True, help="Print one JSON document instead of a table.")
provider_option = click.option("--provider", metavar="ID", help="The provider who owns the folder.")
settings_option = click.option(
    "--settings",
    type=PATH,
    multiple=True,
    envvar=FILES_VARIABLE,
    show_envvar=True,
    metavar="FILE",
    help="A settings file, used if no folder is given. Can be given several times.",
)


def practice_options(*names: str) -> Callable[[Command], Command]:
    """Give a command these options of `Practice`. It receives a `Practice` as ``practice``."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, **values: Any) -> int | None:
            practice = Practice(**{name: values.pop(name) for name in names})
            return command(*args, practice=practice, **values)

        decorated: Command = run
        for name in reversed(names):
            decorated = _PRACTICE_OPTIONS[name](decorated)
        return decorated

    return decorate


@attrs.frozen(kw_only=True, repr=False)  # the URL of the records may contain a password
class Practice:
    """The values of the options. Records and inboxes are opened on demand."""

    records: str
    files: str = ""
    zone: str | None = None
    operator: str | None = None
    pattern: str = DEFAULT_PATTERN

    def repository(self) -> SqlRepository:
        """Open the patient records; create them if there are none."""
        return SqlRepository.open(self.records, files=self.files)

    def existing_repository(self) -> SqlRepository:
        """Open the patient records, which must exist: nothing can be found in new ones.

        Raises:
            ConfigError: There is no such database file, or the URL is not understood.
            RepositoryError: The records can't be used.
        """
        return SqlRepository(_existing(self.records), open_files(self.files))

    def inbox(self, sources: Sequence[Source], *, auto_import: bool = True) -> Inbox:
        """Make an inbox of these folders."""
        return Inbox(
            self.repository(),
            sources,
            operator=self.operator,
            zone=self.zone,
            naming=self.pattern,
            auto_import=auto_import,
        )


def inbox_of(
    context: click.Context,
    practice: Practice,
    *,
    folders: Sequence[str],
    settings: Sequence[Path],
    provider: str | None,
    auto_import: bool = True,
) -> tuple[Inbox, list[Problem]]:
    """Make an inbox of the given folders, or of the locations that are on in the settings.

    Command-line options override the settings.

    Returns:
        The inbox, and a problem for each folder that could not be opened and is not tried again.

    Raises:
        ConfigError: Neither folders nor settings are given, or both.
        SourceError: None of the folders could be opened.
    """
    if folders:
        if settings and _on_command_line(context, "settings"):
            raise ConfigError("give folders or --settings, not both")
        sources, problems = _open_folders(folders, provider=provider)
        return practice.inbox(sources, auto_import=auto_import), problems
    if not settings:
        raise ConfigError("give a folder, or --settings")
    known = Settings.load(*settings)
    options: dict[str, Any] = {} if auto_import else {"auto_import": False}
    if _on_command_line(context, "zone"):
        options["zone"] = practice.zone
    if _on_command_line(context, "pattern"):
        options["naming"] = practice.pattern
    if known.practice.records is not None and not _on_command_line(context, "records"):
        url = resolve(known.practice.records, key="practice.records")
        practice = attrs.evolve(practice, records=url.reveal())
    if known.practice.files is not None and not _on_command_line(context, "files"):
        practice = attrs.evolve(practice, files=known.practice.files)
    inbox = Inbox.from_settings(
        known, provider=provider, operator=practice.operator, repository=practice.repository(), **options
    )
    if not inbox.sources and not inbox.unopened:
        show.complain("the settings switch on no location for this provider and operator: nothing is listed")
    return inbox, []


def _on_command_line(context: click.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _open_folders(urls: Sequence[str], *, provider: str | None) -> tuple[list[Source], list[Problem]]:
    """Open the folders. One that can't be opened is a problem, and does not stop the others.

    Raises:
        SourceError: None could be opened.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    failure: SourceError | None = None
    for number, url in enumerate(urls, 1):
        try:
            sources.append(open_folder(url, provider=provider))
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


def open_folder(url: str, *, provider: str | None = None) -> Source:
    """Open a folder; a cloud drive with the sign-in that ``login`` has stored.

    Raises:
        ConfigError, SourceError: As `open_source`.
    """
    protocol = url.partition("://")[0].lower()
    if protocol not in SERVICES:
        return open_source(url, provider=provider)
    options: dict[str, Any] = {"signin": sign_in_to(protocol, account=os.environ.get("INTOUCH_ACCOUNT", ""))}
    if endpoint := _endpoint(protocol, None):
        options["endpoint"] = endpoint
    return open_source(url, provider=provider, **options)


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


def existing_ledger(records: str) -> Ledger:
    """Open the ledger of records that exist: a mistyped path must not look like an empty ledger.

    Raises:
        ConfigError: There is no such database file, or the URL is not understood.
    """
    return Ledger(_existing(records))


def _existing(records: str) -> Engine:
    engine = connect(records)
    path = engine.url.database
    if engine.dialect.name == "sqlite" and not (path and Path(path).exists()):
        raise ConfigError("there is no database of that name")
    return engine
