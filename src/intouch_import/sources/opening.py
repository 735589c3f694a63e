"""`open_source` opens a folder in any location; `Unopened` is a location that could not be opened.

A new location is one module, or one small package, and one line in `LOCATIONS`.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import attrs

from intouch_import.errors import ConfigError, InTouchImportError, SourceError
from intouch_import.exclusions import Exclusions
from intouch_import.reports import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from intouch_import.sources.base import Source

__all__ = ["LOCATIONS", "Unopened", "open_source"]

log = logging.getLogger(__name__)

LOCATIONS: dict[str, str] = {
    "abfs": "intouch_import.azure.source:AzureSource",
    "az": "intouch_import.azure.source:AzureSource",
    "azure": "intouch_import.azure.source:AzureSource",
    "dropbox": "intouch_import.dropbox.source:DropboxSource",
    "file": "intouch_import.sources.local:LocalSource",
    "local": "intouch_import.sources.local:LocalSource",
    "sftp": "intouch_import.sources.sftp:SftpSource",
    "onedrive": "intouch_import.onedrive:OneDriveSource",
}
"""Protocol → ``module:class``, imported on demand. All other protocols are opened with plain fsspec."""

_OTHER = "intouch_import.sources.generic:FsspecSource"


def open_source(
    url: str | os.PathLike[str],
    /,
    *,
    provider: str | None = None,
    source_id: str | None = None,
    label: str | None = None,
    exclude: Exclusions | Iterable[str] = (),
    **options: Any,
) -> Source:
    """Open a folder as a source.

    Args:
        url: A local path, taken as it is (``~`` is expanded), or an fsspec URL
            (``sftp://tower/export``), whose path is percent-decoded once.
        provider: Id of the provider who owns the folder. Files with another provider in their name then wait.
        source_id: See `Source`.
        label: Name for people to see instead of the folder's name.
        exclude: Patterns of files and folders that are not imported, besides those that are excluded by
            default; or `Exclusions`, which can also replace the defaults.
        options: Options of the location, such as accounts and tokens.

    Raises:
        ConfigError: The URL, a pattern or an option is not valid for this location.
        MissingExtraError: The location needs a package that is not installed.
        SourceUnavailable: The folder does not exist or can't be reached.
    """
    text = os.fspath(url)
    if not text.strip():
        raise ConfigError("the path of a source is empty")
    protocol, path = _split(text)
    exclusions = exclude if isinstance(exclude, Exclusions) else Exclusions(exclude)
    named = {"provider": provider, "source_id": source_id, "label": label}
    given = {name: value for name, value in named.items() if value}
    source = _open(protocol, path, {**options, **named})
    source.exclusions = exclusions
    source.opened_with = (text, {**options, **given})
    return source


def _open(protocol: str, path: str, options: Mapping[str, Any]) -> Source:
    module, _, name = LOCATIONS.get(protocol, _OTHER).partition(":")
    factory: type[Source] = getattr(importlib.import_module(module), name)
    if protocol not in LOCATIONS:
        options = {**options, "protocol": protocol}
    try:
        return factory(path, **options)
    except TypeError as exc:
        raise ConfigError(f"{factory.location} folders do not take these options") from exc


def _split(text: str) -> tuple[str, str]:
    """Split a URL into protocol and path. Plain paths, Windows drives and UNC paths are ``file``."""
    protocol, found, rest = text.partition("://")
    if not found or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", protocol):
        return "file", text
    protocol = protocol.lower()
    if protocol in {"file", "local"}:
        parts = urlsplit(f"file://{rest}")
        if parts.query or parts.fragment:
            raise ConfigError("a file URL has no query and no fragment: percent-encode ? and #")
        path = unquote(parts.path)
        if parts.netloc not in {"", "localhost"}:
            path = f"//{parts.netloc}{path}"  # file://server/share is a UNC path
        elif re.match(r"/[A-Za-z]:", path):
            path = path[1:]
        return protocol, path
    return protocol, unquote(rest)


@attrs.frozen(kw_only=True, repr=False)
class Unopened:
    """A location that could not be opened.

    Args:
        location: Kind of location.
        opener: Opens it; called at each attempt, by one thread at a time.
        problem: Why the location is not open.
        may_open: Whether another attempt may succeed with the same settings.
    """

    location: str
    opener: Callable[[], Source] = attrs.field(eq=False)
    problem: Problem
    may_open: bool

    @classmethod
    def attempt(cls, location: str, opener: Callable[[], Source]) -> Source | Unopened:
        """Open a location. A failure is returned, not raised, so that it does not stop other locations."""
        may_open = True
        try:
            return opener()
        except ConfigError as exc:
            text, may_open, retry_helps = str(exc), False, False
        except SourceError as exc:
            text, retry_helps = str(exc), exc.retry_helps
        except InTouchImportError as exc:
            text, retry_helps = str(exc), True
        except Exception as exc:  # noqa: BLE001  # one failing location must not stop the others
            log.error("a location can't be opened", extra={"location": location, "kind": type(exc).__name__})
            text, retry_helps = "an unexpected error", True
        problem = Problem(source_id="", location=location, text=text, retry_helps=retry_helps)
        return cls(location=location, opener=opener, problem=problem, may_open=may_open)

    def again(self) -> Source | Unopened:
        """Try again to open the location."""
        return self.attempt(self.location, self.opener)

    def __repr__(self) -> str:
        return f"<Unopened {self.location}>"
