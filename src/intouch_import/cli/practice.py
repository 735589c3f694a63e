"""The options that every command shares, and the inbox that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import typer

from intouch_import.cli import show
from intouch_import.cli.signing_in import open_folder
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
from intouch_import.sources import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

__all__ = [
    "DEFAULT_FILES",
    "DEFAULT_RECORDS",
    "Files",
    "Json",
    "Operator",
    "Pattern",
    "Practice",
    "ProviderId",
    "Records",
    "SettingsFiles",
    "SourceUrl",
    "Zone",
    "existing_ledger",
    "inbox_of",
    "open_all",
]

DEFAULT_RECORDS: Final = "sqlite:///clinic.db"
DEFAULT_FILES: Final = "clinic-files"

Records = Annotated[
    str,
    typer.Option(envvar="INTOUCH_RECORDS", help="Patient records: SQLAlchemy URL.", show_default=True),
]
Files = Annotated[
    str, typer.Option(envvar="INTOUCH_FILES", help="Where stored files are kept: folder or fsspec URL.")
]
Zone = Annotated[
    str | None,
    typer.Option(envvar="INTOUCH_ZONE", help="Time zone of the practice, such as Australia/Sydney."),
]
Operator = Annotated[
    str | None, typer.Option(envvar="INTOUCH_OPERATOR", help="Who is working; written into the ledger.")
]
ProviderId = Annotated[str | None, typer.Option("--provider", help="Whose folder it is.")]
Pattern = Annotated[
    str,
    typer.Option(
        envvar="INTOUCH_PATTERN", help="How the capture app names files. Check it against a real one."
    ),
]
SourceUrl = Annotated[str, typer.Argument(help="Folder: a path or an fsspec URL.", metavar="FOLDER")]
SettingsFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--settings",
        envvar=FILES_VARIABLE,
        help="Settings file; may be given several times. Used where no folder is given.",
        metavar="FILE",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@attrs.frozen(kw_only=True, repr=False)  # the URL of the records may hold a password
class Practice:
    """What the options say, opened on demand."""

    records: str = DEFAULT_RECORDS
    files: str = DEFAULT_FILES
    zone: str | None = None
    operator: str | None = None
    pattern: str = DEFAULT_PATTERN

    def repository(self) -> SqlRepository:
        """The patient records."""
        return SqlRepository.open(self.records, files=self.files)

    def existing_repository(self) -> SqlRepository:
        """The patient records that there are: what was stored in others must not be looked for in new ones.

        Raises:
            ConfigError: There is no such database file, or the URL is not understood.
            RepositoryError: They can't be used.
        """
        return SqlRepository(_existing(self.records), open_files(self.files))

    def inbox(self, sources: Sequence[Source], *, auto_import: bool = True) -> Inbox:
        """An inbox of these folders."""
        return Inbox(
            self.repository(),
            sources,
            operator=self.operator,
            zone=self.zone,
            naming=self.pattern,
            auto_import=auto_import,
        )


def open_all(urls: Sequence[str], *, provider: str | None) -> tuple[list[Source], list[Problem]]:
    """Open what can be opened; a folder that can't be is a problem, not the end of the others.

    Raises:
        SourceError: Not one could be opened.
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


def inbox_of(
    context: typer.Context,
    practice: Practice,
    *,
    folders: Sequence[str],
    settings: Sequence[Path] | None,
    provider: str | None,
    auto_import: bool = True,
) -> tuple[Inbox, list[Problem]]:
    """An inbox of the given folders, or of what the settings say is on.

    An option that stands on the command line counts more than the settings.

    Returns:
        The inbox, and a problem for each folder that could not be opened and is not tried again.

    Raises:
        ConfigError: Neither folders nor settings are given, or both.
        SourceError: None of the folders could be opened.
    """
    if folders:
        if settings and _stands(context, "settings"):
            raise ConfigError("give folders or --settings, not both")
        sources, problems = open_all(folders, provider=provider)
        return practice.inbox(sources, auto_import=auto_import), problems
    if not settings:
        raise ConfigError("give a folder, or --settings")
    inbox = _of_settings(
        context, practice, Settings.load(*settings), provider=provider, auto_import=auto_import
    )
    if not inbox.sources and not inbox.unopened:
        show.complain("the settings switch on no location for this provider and operator: nothing is listed")
    return inbox, []


def _of_settings(
    context: typer.Context, practice: Practice, known: Settings, *, provider: str | None, auto_import: bool
) -> Inbox:
    options: dict[str, Any] = {}
    if _stands(context, "zone"):
        options["zone"] = practice.zone
    if _stands(context, "pattern"):
        options["naming"] = practice.pattern
    if not auto_import:
        options["auto_import"] = False
    own = known.practice
    if own.records is not None and not _stands(context, "records"):
        practice = attrs.evolve(practice, records=resolve(own.records, key="practice.records").reveal())
    if own.files is not None and not _stands(context, "files"):
        practice = attrs.evolve(practice, files=own.files)
    return Inbox.from_settings(
        known, provider=provider, operator=practice.operator, repository=practice.repository(), **options
    )


def _stands(context: typer.Context, option: str) -> bool:
    """Whether an option stands on the command line itself."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def existing_ledger(records: str) -> Ledger:
    """The ledger of records that exist: a mistyped path must not look like an empty ledger in order.

    Raises:
        ConfigError: There is no such database file, or the URL is not understood.
    """
    return Ledger(_existing(records))


def _existing(records: str) -> Engine:
    """The database that there is."""
    engine = connect(records)
    path = engine.url.database
    if engine.dialect.name == "sqlite" and not (path and Path(path).exists()):
        raise ConfigError("there is no database of that name")
    return engine
