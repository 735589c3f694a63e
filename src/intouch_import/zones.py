"""Time zones by name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from intouch_import.errors import ConfigError

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["zone_of"]


def zone_of(zone: str | tzinfo | None) -> tzinfo:
    """The practice's time zone.

    Args:
        zone: A name (``"Australia/Sydney"``) or a zone; None for this machine's.

    Raises:
        ConfigError: No zone has that name, or this machine's has none.
    """
    if zone is None:
        import tzlocal

        try:
            found: tzinfo = tzlocal.get_localzone()
        except (OSError, ValueError, KeyError) as exc:
            raise ConfigError("this machine's time zone is not known by a name: give the practice's") from exc
        return found
    if isinstance(zone, str):
        try:
            return ZoneInfo(zone)
        except (OSError, ValueError, KeyError) as exc:  # ZoneInfoNotFoundError is a KeyError
            raise ConfigError("that time zone is not known") from exc
    name = getattr(zone, "zone", None)
    if isinstance(name, str) and hasattr(zone, "localize"):
        return zone_of(name)  # of pytz: a time that is simply given to it has the solar time of the place
    return zone
