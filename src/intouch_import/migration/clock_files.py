"""Read a file of cameras whose clocks were wrong: TOML or JSON."""

from __future__ import annotations

import json
import tomllib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intouch_import.errors import ConfigError, without_path
from intouch_import.media.clocks import CameraClock

if TYPE_CHECKING:
    import os

__all__ = ["read_clocks"]


def read_clocks(path: str | os.PathLike[str]) -> list[CameraClock]:
    """Read a file of cameras whose clocks were wrong, for ``clocks=`` of `plan`.

    The file is TOML, or JSON if its name ends in ``.json``. Each ``[[clock]]`` has the fields of
    `CameraClock`; or those of `CameraClock.from_photo`: ``photo``, a path that starts at the file's folder,
    and ``shows``, the time that the photo shows.

    Args:
        path: Path of the file.

    Raises:
        ConfigError: The file or a photo can't be read, or has a wrong value.
    """
    place = Path(path).expanduser()
    try:
        text = place.read_text("utf-8-sig")
    except OSError as exc:
        raise ConfigError("the file of clocks can't be read", errno=exc.errno) from without_path(exc)
    except UnicodeDecodeError:
        raise ConfigError("the file of clocks is not UTF-8") from None
    try:
        values = json.loads(text) if place.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError("the file of clocks is neither TOML nor, with the extension .json, JSON") from None
    clocks = values.get("clock") if isinstance(values, dict) else None
    if not isinstance(clocks, list) or not clocks or set(values) != {"clock"}:
        raise ConfigError("a file of clocks has a [[clock]] for each camera, and nothing else")
    return [_clock(clock, place.parent) for clock in clocks]


def _clock(values: Any, folder: Path) -> CameraClock:
    if not isinstance(values, dict):
        raise ConfigError("a file of clocks has a [[clock]] for each camera, and nothing else")
    if "photo" not in values:
        return CameraClock.from_dict(values)
    photo, shows = values["photo"], values.get("shows")
    if isinstance(shows, str):
        try:
            shows = datetime.fromisoformat(shows)
        except ValueError:
            shows = None
    if not isinstance(photo, str) or not isinstance(shows, datetime) or set(values) - _PHOTO_FIELDS:
        raise ConfigError("a clock with a photo has shows, the time that the photo shows; and since or until")
    rest = {name: values[name] for name in ("since", "until") if name in values}
    return CameraClock.from_photo(folder / photo, shows=shows, **rest)


_PHOTO_FIELDS = {"photo", "shows", "since", "until"}
