"""Read the texts in which cameras and programs write a time. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

__all__ = ["read_time"]

_LONGEST_OFFSET: Final = timedelta(hours=14)
_OFFSET: Final = r"(?P<zone>Z|(?P<sign>[+-])(?:(?P<h>\d{1,2}):(?P<m>\d\d)|(?P<hh>\d\d)(?P<mm>\d\d)?))"
_OFFSET_ALONE: Final = re.compile(_OFFSET, re.ASCII)
# As cameras and programs write it: 2026:01:31 14:25:01, 2026-01-31T14:25:01.25+10:00, 2026/ 1/31  2:25PM.
_TIME: Final = re.compile(
    r"(?P<Y>\d{4})[:\-/.] ?(?P<M>\d{1,2})[:\-/.] ?(?P<D>\d{1,2})/?[ T:]{1,3}"
    r"(?P<H>\d{1,2})[:.](?P<I>\d\d)(?:[:.](?P<S>\d\d))?(?:[.,](?P<decimals>\d{1,9}))?"
    rf" ?(?P<half>[AP]M)? ?(?:{_OFFSET})?",
    re.ASCII,
)
# As in an AVI: Mon Mar 10 15:04:43 2003.
_CTIME: Final = re.compile(
    r"[A-Za-z]{3} +(?P<name>[A-Za-z]{3}) +(?P<D>\d{1,2}) +(?P<H>\d\d):(?P<I>\d\d):(?P<S>\d\d) +(?P<Y>\d{4})",
    re.ASCII,
)
_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DIGITS: Final = re.compile(r"\d{1,6}", re.ASCII)


def read_time(
    text: str | None, *, offset: str | None = None, sub_second: str | None = None
) -> tuple[datetime, timezone | None] | None:
    """Return the local time (naive) that a text has, and its offset from UTC, if there is one.

    Args:
        text: Such as ``"2026:01:31 14:25:01"``.
        offset: The offset, if it is in a text of its own; it is used if it is valid.
        sub_second: Decimals of a second, if they are in a text of their own.

    Returns:
        None if the text has no time, or one that does not exist.
    """
    match = _TIME.match(text or "") or _CTIME.match(text or "")
    local = _local(match.groupdict(), sub_second) if match is not None else None
    if match is None or local is None:
        return None
    own = _offset(_OFFSET_ALONE.fullmatch(offset.strip("\0 "))) if offset is not None else None
    return local, own or (_offset(match) if "zone" in match.groupdict() else None)


def _local(parts: dict[str, str | None], sub_second: str | None) -> datetime | None:
    year, day, hour, minute = (int(parts[name] or 0) for name in "YDHI")
    name = (parts.get("name") or "").lower()
    month = int(parts["M"] or 0) if "M" in parts else _MONTHS.index(name) + 1 if name in _MONTHS else 0
    if (half := parts.get("half")) is not None:
        if not 1 <= hour <= 12:  # noqa: PLR2004
            return None
        hour = hour % 12 + (12 if half == "PM" else 0)
    decimals = _DIGITS.match(sub_second or parts.get("decimals") or "")
    microsecond = int(decimals[0].ljust(6, "0")) if decimals is not None else 0
    try:
        return datetime(year, month, day, hour, minute, int(parts["S"] or 0), microsecond)  # noqa: DTZ001  # a local time
    except ValueError:
        return None


def _offset(match: re.Match[str] | None) -> timezone | None:
    if match is None or match["zone"] is None:
        return None
    if match["zone"] == "Z":
        return UTC
    minutes = int(match["m"] or match["mm"] or 0)
    offset = timedelta(hours=int(match["h"] or match["hh"]), minutes=minutes)
    if offset > _LONGEST_OFFSET or minutes >= 60:  # noqa: PLR2004
        return None
    return timezone(-offset if match["sign"] == "-" else offset)
