"""Where things are: what a folder, a path and an address must be, and how they are shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from intouch_import.cloud.endpoints import is_loopback
from intouch_import.secret import MASK, Secret
from intouch_import.settings.references import SecretReference
from intouch_import.settings.values import Refused, kind_of, secret, show_secret, text

__all__ = [
    "endpoint",
    "files",
    "folder",
    "local_folder",
    "place_files",
    "place_folder",
    "place_records",
    "place_secret",
    "records",
    "show_files",
    "show_records",
]

_MAX_FOLDER: Final = 500

# --- folders


def folder(value: Any) -> str:
    """Take a folder of a virtual drive, without what could lead out of it; no ``/`` at its end."""
    if not isinstance(value, str):
        raise Refused(f"it is {kind_of(value)}")
    if not value.startswith("/"):
        raise Refused("it does not begin with /")
    if not value.isprintable():
        raise Refused("it holds a control character")
    if "\\" in value:
        raise Refused("it holds a backslash")
    if len(value) > _MAX_FOLDER:
        raise Refused(f"it is longer than {_MAX_FOLDER} characters")
    path = value[1:].removesuffix("/")
    segments = path.split("/") if path else []
    if value == "//" or "" in segments:
        raise Refused("there is nothing between two /")
    if "." in segments or ".." in segments:
        raise Refused("a part of it is . or ..")
    if any(segment != segment.strip() for segment in segments):
        raise Refused("a part of it begins or ends with a blank")
    return f"/{path}"


def local_folder(value: Any) -> str:
    """Take the path of a local or network folder."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    path = text(value)
    if "://" in path:
        raise Refused("it is a URL")
    if ".." in path.replace("\\", "/").split("/"):
        raise Refused("a part of it is ..")
    return path


def place_folder(value: str, start: Path) -> str:
    """A path, taken from where the settings file lies if it is relative."""
    # A drive or a share of Windows, read elsewhere, is no path relative to the file.
    if value.startswith(("~", "\\\\")) or re.match(r"[A-Za-z]:[\\/]", value):
        return value
    return str(start / value)


def files(value: Any) -> str:
    """Take a folder or an fsspec URL."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    place = text(value)
    if "://" in place:
        try:
            urlsplit(place)
        except ValueError:
            raise Refused("it is not an address") from None
    return place


def place_files(value: str, start: Path) -> str:
    """The same, a relative path taken from where the settings file lies."""
    return value if "://" in value else place_folder(value, start)


# --- addresses


def endpoint(value: Any) -> str:
    """Take the address of a server. Plain http is for loopback alone."""
    address = text(value)
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise Refused("it is not an address") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise Refused("it is not an address that begins with https://")
    if parts.username is not None or parts.query or parts.fragment:
        raise Refused("it holds more than a host and a path: no key and no token may stand in it")
    if parts.scheme == "http" and not is_loopback(host):
        raise Refused("plain http is for this machine itself alone")
    return address.rstrip("/")


def records(value: Any) -> Secret | SecretReference:
    """Take a database URL, which may hold a password."""
    url = secret(value)
    if isinstance(url, Secret):
        from sqlalchemy.exc import ArgumentError

        try:
            _database_url(url.reveal())
        except (ArgumentError, ValueError):
            raise Refused("it is not a database URL") from None
    return url


def _database_url(text: str) -> Any:
    from sqlalchemy import make_url

    return make_url(text)


def place_records(value: Secret | SecretReference, start: Path) -> Secret | SecretReference:
    """The same, a relative SQLite file taken from where the settings file lies."""
    if isinstance(value, SecretReference):
        return value.beside(start)
    url = _database_url(value.reveal())
    if not url.drivername.startswith("sqlite") or url.database in {None, "", ":memory:"}:
        return value
    if url.database.startswith("file:"):
        return value
    try:
        placed = url.set(database=str(start / Path(url.database).expanduser()))
    except RuntimeError:
        raise Refused("it begins at a home that is not known here") from None
    written = placed.render_as_string(hide_password=False)
    if _database_url(written) != placed:  # SQLAlchemy before 2.1 would open another file
        raise Refused("the settings file lies in a folder whose name can't stand in a URL")
    return Secret(written)


def show_records(value: Secret | SecretReference) -> str:
    """A database URL without password and query."""
    if isinstance(value, SecretReference):
        return show_secret(value)
    url = _database_url(value.reveal())
    shown: str = url.set(query={}).render_as_string(hide_password=True)
    return shown + (f"?{MASK}" if url.query else "")


def show_files(value: str) -> str:
    """A folder, or a URL without user, password and query."""
    if "://" not in value:
        return value
    parts = urlsplit(value)._replace(query="")
    # The last @ of all: a secret may hold a slash that nobody has escaped.
    _, at, rest = parts.geturl().rpartition("@")
    return f"{parts.scheme}://{MASK}@{rest}" if at else rest


def place_secret(value: Secret | SecretReference, start: Path) -> Secret | SecretReference:
    """The same, the relative path of a file taken from where the settings file lies."""
    return value.beside(start) if isinstance(value, SecretReference) else value
