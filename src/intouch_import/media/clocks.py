"""`CameraClock`: a camera whose clock was wrong, and how much its times are to be corrected."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from intouch_import.errors import ConfigError, without_path
from intouch_import.media.boxes import Reader, read_ranges
from intouch_import.media.exif import find_exif
from intouch_import.media.kinds import sniff
from intouch_import.media.sniffing import HEAD_BYTES
from intouch_import.media.time_texts import read_time

if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import BinaryIO

    from intouch_import.media.exif import Exif

__all__ = ["CameraClock"]

_OFFSET: Final = re.compile(
    r"(?P<sign>[+-])(?:(?P<d>\d{1,6})d ?)?(?P<h>\d{1,6}):(?P<m>\d\d)(?::(?P<s>\d\d))?", re.ASCII
)
_LONGEST: Final = timedelta(days=365 * 100)


def _offset(value: timedelta | str) -> timedelta:
    if isinstance(value, str):
        match = _OFFSET.fullmatch(value.strip())
        if match is None:
            raise ConfigError('the offset of a clock is a time such as "+1:00" or "-2d 0:30:00"')
        days, hours, minutes, seconds = (int(match[name] or 0) for name in "dhms")
        value = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        value = -value if match["sign"] == "-" else value
    if not isinstance(value, timedelta) or not timedelta(seconds=1) <= abs(value) <= _LONGEST:
        raise ConfigError("the offset of a clock is a time from a second to 100 years")
    return timedelta(seconds=round(value.total_seconds()))


def _local(value: datetime | str | None) -> datetime | None:
    try:
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigError("since= and until= are times such as 2012-01-01T00:00:00") from None
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is not None):
        raise ConfigError("since= and until= are times of the camera's own clock, without a zone")
    return value


def _name(value: str | None) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigError("make=, model= and serial= of a clock are texts, and not empty")
    return value.strip() if value is not None else None


@attrs.frozen(kw_only=True)
class CameraClock:
    """A camera whose clock was wrong: ``offset`` is added to the times that it wrote into its photos.

    The corrected time is the local time of the practice; an offset from UTC that the camera wrote is not
    used, as its zone may be wrong, too. Movies are not corrected: few say which camera made them.

    Args:
        offset: What to add: a `timedelta`, or a text of hours and minutes, such as ``"+1:00"`` or
            ``"-2d 0:30:00"``.
        make, model, serial: The camera, as its photos name it (Exif's Make, Model and BodySerialNumber).
            Upper and lower case do not matter. A photo must agree with all that are given.
        since, until: Only times that the camera wrote from ``since`` to before ``until``; naive. A clock may
            be wrong until somebody sets it.

    Raises:
        ConfigError: Neither a model nor a serial number is given, or a value has the wrong form.
    """

    offset: timedelta = attrs.field(converter=_offset)
    make: str | None = attrs.field(default=None, converter=_name)
    model: str | None = attrs.field(default=None, converter=_name)
    serial: str | None = attrs.field(default=None, converter=_name)
    since: datetime | None = attrs.field(default=None, converter=_local)
    until: datetime | None = attrs.field(default=None, converter=_local)

    def __attrs_post_init__(self) -> None:
        if self.model is None and self.serial is None:
            raise ConfigError("the clock of a camera needs model= or serial=")

    @classmethod
    def from_photo(
        cls,
        photo: str | os.PathLike[str] | BinaryIO | bytes,
        *,
        shows: datetime,
        zone: tzinfo | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Self:
        """Make the correction from a photo that shows the right time, of a clock or a screen.

        Args:
            photo: The photo: a path, a binary and seekable stream, or its bytes.
            shows: The time that the photo shows: the local time of the practice, or aware with ``zone``.
            zone: The practice's time zone.
            since: As for `CameraClock`.
            until: As for `CameraClock`.

        Raises:
            ConfigError: The photo can't be read, or does not say when and with which camera it was taken.
        """
        if shows.tzinfo is not None:
            if zone is None:
                raise ConfigError("shows= with a time zone needs zone=, the practice's")
            shows = shows.astimezone(zone).replace(tzinfo=None)
        exif = _exif_of(photo)
        read = read_time(exif.taken or exif.digitized) if exif is not None else None
        if exif is None or read is None or (exif.model is None and exif.serial is None):
            raise ConfigError("the photo does not say when and with which camera it was taken")
        return cls(
            offset=shows.replace(microsecond=0) - read[0].replace(microsecond=0),
            make=exif.make,
            model=exif.model,
            serial=exif.serial,
            since=since,
            until=until,
        )

    def fits(self, exif: Exif, local: datetime) -> bool:
        """Return whether this camera wrote a time, naive, within the time in which its clock was wrong."""
        same = all(
            wanted is None or (given or "").strip().casefold() == wanted.casefold()
            for wanted, given in (
                (self.make, exif.make),
                (self.model, exif.model),
                (self.serial, exif.serial),
            )
        )
        return (
            same
            and (self.since is None or local >= self.since)
            and (self.until is None or local < self.until)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the clock as JSON values; what is not given is left out."""
        seconds = round(abs(self.offset).total_seconds())
        days, rest = divmod(seconds, 86_400)
        sign = "-" if self.offset < timedelta(0) else "+"
        offset = f"{sign}{f'{days}d ' if days else ''}{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
        values: dict[str, Any] = {"offset": offset}
        for name in ("make", "model", "serial", "since", "until"):
            value = getattr(self, name)
            if value is not None:
                values[name] = value.isoformat() if isinstance(value, datetime) else value
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a clock from what `to_dict` returned.

        Raises:
            ConfigError: The values are not a clock.
        """
        try:
            return cls(**values)
        except TypeError:
            raise ConfigError(
                "the clock of a camera has an offset, and make, model, serial, since or until"
            ) from None


def _exif_of(photo: str | os.PathLike[str] | BinaryIO | bytes) -> Exif | None:
    try:
        if isinstance(photo, bytes):
            return _exif_in(BytesIO(photo))
        if isinstance(photo, (str, os.PathLike)):
            with Path(photo).expanduser().open("rb") as stream:
                return _exif_in(stream)
        return _exif_in(photo)
    except OSError as exc:
        raise ConfigError("the photo of a clock can't be read", errno=exc.errno) from without_path(exc)


def _exif_in(stream: BinaryIO) -> Exif | None:
    size_bytes = stream.seek(0, os.SEEK_END)
    (head,) = read_ranges(stream, (0, HEAD_BYTES))
    return find_exif(sniff(head), Reader(stream, size_bytes, head=head))
