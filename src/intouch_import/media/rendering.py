"""Render a decoded picture as a thumbnail. Runs in the decoding process only."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["thumbnail"]

_QUALITY: Final = 85
_WHITE: Final = (255, 255, 255)
_ORDINARY_MODES: Final = frozenset({"L", "RGB"})


def thumbnail(image: Image.Image, px: int) -> bytes:
    """Return a small JPEG: upright, in sRGB, on white, and without any metadata of the original."""
    from PIL import Image, ImageOps

    profile = image.info.get("icc_profile")
    if image.mode in {"P", "PA"}:  # colours of a palette can't be averaged
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    elif image.mode.startswith("I"):  # grey in 16 bits, or in 32 bits of which 16 are used
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    image.thumbnail((px, px))
    with contextlib.suppress(Exception):  # invalid Exif
        image = ImageOps.exif_transpose(image)
    if image.mode in {"RGBA", "LA", "La", "RGBa"}:
        flat = Image.new("RGB", image.size, _WHITE)
        flat.paste(image.convert("RGBA"), mask=image.convert("RGBA").getchannel("A"))
        image = flat
    if profile:
        image = _in_srgb(image, profile)
    if image.mode not in _ORDINARY_MODES:
        image = image.convert("RGB")
    clean = Image.new(image.mode, image.size)
    clean.paste(image)
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB, which browsers expect; ignore an invalid profile."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # noqa: BLE001  # the profile is part of a hostile file
        return image
    return converted if converted is not None else image
