"""`Header`: what a plan is of, kept as ``plan.json`` beside its rows.

It is written last: without it there is no plan.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import import disk
from intouch_import.errors import ConfigError, without_path
from intouch_import.migration.rows import PartFile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FILE_NAME", "Header", "read_header", "write_json"]

FILE_NAME: Final = "plan.json"
_FORM: Final = 1


@attrs.frozen(kw_only=True)
class Header:
    """What a plan is of.

    Args:
        id: Its id: a digest over all that it holds.
        created_at: When it was made, aware.
        mode: ``"move"``, or ``"copy"``: the archive stays as it is.
        location, source_id, label: Of the archive.
        archive: How it is opened again, where that takes no secret; None if the caller must open it.
        provider: Whose archive it is.
        rule: As `Rule.to_dict`.
        dates: Who may say when a file was taken, in the order of trust.
        zone: The practice's time zone, by name.
        allow_inactive: Whether inactive patients get their files without a person.
        parts: Where the rows are.
        size_bytes: Bytes of all files.
        folders_unreadable: Folders that could not be listed; what is in them is not in the plan.
    """

    id: str
    created_at: datetime
    mode: str
    location: str
    source_id: str
    label: str = attrs.field(repr=False)
    archive: dict[str, Any] | None = attrs.field(default=None, repr=False)
    provider: str | None = None
    rule: dict[str, Any] = attrs.field(repr=False)
    dates: tuple[str, ...]
    zone: str
    allow_inactive: bool = False
    parts: tuple[PartFile, ...] = ()
    size_bytes: int = 0
    folders_unreadable: int = 0

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)


def read_header(folder: Path) -> Header:
    """The header of a plan.

    Raises:
        ConfigError: There is no finished plan, or one of another version of this library.
    """
    try:
        values = json.loads((folder / FILE_NAME).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError("there is no finished plan in that folder") from None
    except OSError as exc:
        raise ConfigError("the plan can't be read", errno=exc.errno) from without_path(exc)
    except ValueError:
        raise ConfigError("the plan can't be read: plan.json is damaged") from None
    try:
        if values.pop("form") != _FORM:
            raise ConfigError("the plan was made by another version of this library")
        values["created_at"] = datetime.fromisoformat(values["created_at"])
        values["parts"] = tuple(PartFile(**part) for part in values["parts"])
        values["dates"] = tuple(values["dates"])
        return Header(**values)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ConfigError("the plan can't be read: plan.json is damaged") from None


def write_header(folder: Path, header: Header) -> None:
    """Make the rows in a folder a plan."""
    values = {"form": _FORM, **attrs.asdict(header), "created_at": header.created_at.isoformat()}
    write_json(folder / FILE_NAME, values)


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, so that it is there whole or not at all."""
    with disk.temporary_beside(path.parent) as (file, temporary):
        file.write(json.dumps(value, ensure_ascii=True, indent=1).encode())
        disk.sync_file(file.fileno())
        file.close()
        temporary.replace(path)
