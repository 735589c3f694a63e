"""Render a decoded picture as a thumbnail. Runs in the decoding process only."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any, Final

from intouch_import.media.colour_spaces import to_srgb

if TYPE_CHECKING:
    from PIL import Image

    from intouch_import.media.layouts import Layout

__all__ = ["thumbnail"]

_QUALITY: Final = 85
_WHITE: Final = 255
_GAP: Final = 2.0  # how much larger than the thumbnail the quick first step of shrinking stays
_COMMON_BITS: Final = (8, 10, 12, 14, 16)


def thumbnail(image: Image.Image, px: int, layout: Layout, *, orientation: int | None = None) -> bytes | None:
    """Return a small JPEG: upright, in sRGB, on white, and without any metadata of the original.

    Args:
        image: The decoded picture; it is not changed.
        px: Longer side of the thumbnail, pixels.
        layout: What the samples mean.
        orientation: How to turn the picture, 1 to 8 as in Exif.

    Returns:
        The JPEG; None if the picture can't be shown right.
    """
    from PIL import Image

    if layout.crop is not None:
        image = image.crop(layout.crop)
    scale = min(1.0, px / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = (_from_deep_grey if image.mode[0] in "IF" else _reduced)(image, layout, size)
    if small is None:
        return None
    small = _in_srgb(_on_white(small), layout.profile or image.info.get("icc_profile"))
    if layout.colours is not None and (small := to_srgb(small, layout.colours)) is None:
        return None
    turn = _turns().get(orientation or 1)
    clean = Image.new(small.mode, size)
    clean.paste(small)
    out = io.BytesIO()
    (clean if turn is None else clean.transpose(turn)).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _turns() -> dict[int, Image.Transpose]:
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


def _reduced(image: Image.Image, layout: Layout, size: tuple[int, int]) -> Image.Image | None:
    """Shrink a picture of up to 8 bits a sample, after its colours have become such that can be averaged."""
    if layout.most >= 0:
        colours = [high for _, high in image.getextrema()][: 4 if image.mode == "CMYK" else 3]  # type: ignore[misc]
        if max(colours) <= layout.most:
            return None
    if image.mode in {"P", "PA"}:
        if layout.palette is not None:
            image = image.copy()
            image.putpalette(layout.palette)
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    if layout.key is not None:
        opaque = _unlike(image, layout.key)
        image = image.copy()
        image.putalpha(opaque)
    return image.resize(size, reducing_gap=_GAP)


def _from_deep_grey(image: Image.Image, layout: Layout, size: tuple[int, int]) -> Image.Image | None:
    """Shrink grey of more than 8 bits, and keep its upper 8. Values between 0 and 1 are usual for floats."""
    from PIL import Image

    opaque = None
    if layout.key is not None:
        if image.mode != "I;16":  # Pillow before 10.4
            return None
        high, low = divmod(layout.key[0], 256)
        as_bytes = Image.frombytes("LA", image.size, image.tobytes())  # the lower and the upper byte
        opaque = _unlike(as_bytes, (low, high)).resize(size)
    if image.mode != "F":
        image = image.convert("I")
    extrema: Any = image.getextrema()
    lowest, highest = extrema
    if image.mode == "F":
        most = 1.0
    else:
        bits = layout.bits or next((bits for bits in _COMMON_BITS if highest < 1 << bits), 32)
        most = float((1 << bits) - 1)
    if lowest < 0 or not highest <= most:
        return None
    factor = _WHITE / most
    small = image.resize(size, reducing_gap=_GAP)
    if layout.inverted:
        small = small.point(lambda value: value * -factor + _WHITE)
    else:
        small = small.point(lambda value: value * factor + 0)
    small = small.convert("L")
    if opaque is not None:
        small.putalpha(opaque)
    return small


def _unlike(image: Image.Image, key: tuple[int, ...]) -> Image.Image:
    """Return a mask that is clear where all bands have the values of the key."""
    from PIL import ImageChops

    masks = [
        band.point([0 if sample == value else _WHITE for sample in range(256)])
        for band, value in zip(image.split(), key, strict=True)
    ]
    return functools.reduce(ImageChops.lighter, masks)


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode not in {"LA", "La", "RGBA", "RGBa"}:
        return image
    image = image.convert(image.mode.upper())
    flat = Image.new("L" if image.mode == "LA" else "RGB", image.size, "white")
    flat.paste(image.convert(flat.mode), mask=image.getchannel("A"))
    return flat


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB, which browsers expect; ignore an invalid profile."""
    from PIL import ImageCms

    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except Exception:  # noqa: BLE001  # the profile is part of a hostile file
            converted = None
        if converted is not None:
            return converted
    return image if image.mode == "L" else image.convert("RGB")
