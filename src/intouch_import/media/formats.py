"""Which formats can be decoded here: what this library tries, and what the installed Pillow offers."""

from __future__ import annotations

import enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IMAGE_EXTENSIONS", "MOVIES", "PILLOW", "Support", "Supported", "support", "supported"]


class Supported(enum.StrEnum):
    """How far a format can be checked."""

    WHOLE = "whole"
    """Every picture in it is decoded to its last line."""
    PARTLY = "partly"
    """A part of it is decoded, which proves nothing of the rest: it stays unverified."""
    NO = "no"
    """Nothing of it is decoded: it stays unverified."""


@attrs.frozen(kw_only=True)
class _Way:
    """How a kind is opened: Pillow's formats for it, the feature Pillow must have, an extra."""

    formats: tuple[str, ...]
    feature: str | None = None
    module: str | None = None
    whole: bool = True


PILLOW: Final[Mapping[Kind, _Way]] = {
    Kind.JPEG: _Way(formats=("JPEG",), feature="jpg"),
    Kind.PNG: _Way(formats=("PNG",), feature="zlib"),
    Kind.GIF: _Way(formats=("GIF",)),
    Kind.TIFF: _Way(formats=("TIFF",), feature="libtiff"),
    Kind.JP2: _Way(formats=("JPEG2000",), feature="jpg_2000"),
    Kind.J2K: _Way(formats=("JPEG2000",), feature="jpg_2000"),
    Kind.BMP: _Way(formats=("BMP",)),
    Kind.WEBP: _Way(formats=("WEBP",), feature="webp"),
    Kind.AVIF: _Way(formats=("AVIF",), feature="avif"),
    Kind.HEIC: _Way(formats=("HEIF",), module="pillow_heif"),
    # Of the five resolutions of a Photo CD, Pillow reads the base: 768 by 512.
    Kind.PCD: _Way(formats=("PCD",), whole=False),
}
"""The kinds that are handed to Pillow, and by which of its formats alone."""

MOVIES: Final = frozenset({Kind.MP4, Kind.MOV, Kind.AVI, Kind.ASF, Kind.MATROSKA})
"""The kinds that PyAV takes a poster frame from. A movie is never verified."""

IMAGE_EXTENSIONS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("tif", "tiff"), Kind.TIFF),
    "gif": Kind.GIF,
    **dict.fromkeys(("jpeg", "jpg", "jif", "jfif"), Kind.JPEG),
    **dict.fromkeys(("jp2", "jpx"), Kind.JP2),
    **dict.fromkeys(("j2k", "j2c"), Kind.J2K),
    "fpx": Kind.OLE,
    "pcd": Kind.PCD,
    "png": Kind.PNG,
}
"""The fourteen extensions of the Images tab, and what stands behind each."""


@attrs.frozen(kw_only=True)
class Support:
    """What can be done with files of one extension, on this machine.

    Args:
        extension: Without its dot.
        kind: What such a file is.
        supported: How far it can be checked.
    """

    extension: str
    kind: Kind
    supported: Supported


def support() -> list[Support]:
    """What the installed Pillow can do with each of the fourteen image extensions."""
    return [
        Support(extension=extension, kind=kind, supported=supported(kind))
        for extension, kind in IMAGE_EXTENSIONS.items()
    ]


def supported(kind: Kind) -> Supported:
    """How far a kind can be checked on this machine. The first call loads Pillow, which decodes nothing."""
    way = PILLOW.get(kind)
    if way is None or (way.module is not None and find_spec(way.module) is None):
        return Supported.NO
    if way.feature is not None:
        from PIL import features

        if not features.check(way.feature):
            return Supported.NO
    return Supported.WHOLE if way.whole else Supported.PARTLY
