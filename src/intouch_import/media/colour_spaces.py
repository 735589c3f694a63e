"""Convert small pictures of wide colours and of high dynamic range to sRGB. Runs in the decoding process.

Phones and cameras write such pictures and movies without a profile, with numbers of ITU-T H.273 only. Shown
as they are, they look pale. White of 203 cd/m² becomes the white of sRGB, as ITU-R BT.2408 recommends. What
is brighter, a reflection for example, becomes white, too.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image, ImageFilter

__all__ = ["Colours", "to_srgb"]

_PQ, _HLG, _LINEAR = 16, 18, 8
# BT.709 and its equals (11: xvYCC of camcorders), gamma 2.2 and 2.8, and sRGB differ little. 2: not known.
_ORDINARY_TRANSFERS: Final = frozenset({0, 1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15})
_ORDINARY_PRIMARIES: Final = frozenset({0, 1, 2, 5, 6, 7})
_TO_SRGB: Final = {
    **dict.fromkeys(_ORDINARY_PRIMARIES, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),  # BT.2020
    12: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),  # Display P3
}
_LUMINANCE: Final = (0.2627, 0.6780, 0.0593)
_WHITE_NITS: Final = 203.0
_STEPS: Final = 33


@attrs.frozen
class Colours:
    """The colour space of a picture without a profile, by its numbers in ITU-T H.273."""

    primaries: int
    transfer: int


def to_srgb(image: Image.Image, colours: Colours) -> Image.Image | None:
    """Return a picture in sRGB; None if its colour space is not known here."""
    if colours.transfer in _ORDINARY_TRANSFERS and colours.primaries in _ORDINARY_PRIMARIES:
        return image
    if colours.primaries not in _TO_SRGB or colours.transfer not in {
        *_ORDINARY_TRANSFERS,
        _LINEAR,
        _PQ,
        _HLG,
    }:
        return None
    return image.convert("RGB").filter(_table(colours))


@functools.cache
def _table(colours: Colours) -> ImageFilter.Color3DLUT:
    from PIL import ImageFilter

    light_of = _LIGHT.get(colours.transfer, _srgb_light)
    levels = {number / (_STEPS - 1): light_of(number / (_STEPS - 1)) for number in range(_STEPS)}
    rows = _TO_SRGB[colours.primaries]

    def converted(*samples: float) -> tuple[float, float, float]:
        light = [levels[sample] for sample in samples]
        if colours.transfer == _HLG:
            # The screen's part of the curve, for a screen of 1,000 cd/m².
            scene = sum(map(math.prod, zip(_LUMINANCE, light, strict=True)))
            light = [one * scene**0.2 * 1000 / _WHITE_NITS for one in light]
        red, green, blue = (_srgb_sample(sum(map(math.prod, zip(row, light, strict=True)))) for row in rows)
        return red, green, blue

    return ImageFilter.Color3DLUT.generate(_STEPS, converted)


def _srgb_sample(light: float) -> float:
    light = min(1.0, max(0.0, light))
    return light * 12.92 if light <= 0.0031308 else 1.055 * math.pow(light, 1 / 2.4) - 0.055  # noqa: PLR2004


def _srgb_light(sample: float) -> float:
    return sample / 12.92 if sample <= 0.04045 else math.pow((sample + 0.055) / 1.055, 2.4)  # noqa: PLR2004


def _pq_light(sample: float) -> float:
    """Return the light of a sample by SMPTE ST 2084, as a multiple of white."""
    power = math.pow(sample, 1 / 78.84375)
    light = math.pow(max(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power), 1 / 0.1593017578125)
    return light * 10_000 / _WHITE_NITS


def _hlg_light(sample: float) -> float:
    """Return the light of the scene by ARIB STD-B67, from 0 to 1."""
    if sample <= 0.5:  # noqa: PLR2004
        return sample**2 / 3
    return (math.exp((sample - 0.55991073) / 0.17883277) + 0.28466892) / 12


_LIGHT: Final[dict[int, Callable[[float], float]]] = {
    _PQ: _pq_light,
    _HLG: _hlg_light,
    _LINEAR: lambda sample: sample,
}
