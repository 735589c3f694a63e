"""Import the decoders, some of which are optional packages. Runs in the decoding process only."""

from __future__ import annotations

import contextlib
from typing import Final

from intouch_import.media.kinds import Kind

__all__ = ["is_missing", "load_decoders"]

_MOST_TEXT_BYTES: Final = 64 * 1024 * 1024


def load_decoders() -> dict[Kind, str | None]:
    """Import the decoders before memory is limited; with one thread each, because stacks count as memory.

    Returns:
        The kinds that can't be decoded: each with the type of the exception, if its package is installed.
    """
    from importlib import import_module

    for name in ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Mpo", "Pcd", "Png", "Tiff", "WebP"):
        import_module(f"PIL.{name}ImagePlugin")
    png = import_module("PIL.PngImagePlugin")
    for limit in ("MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY"):  # editors keep their history there
        setattr(png, limit, _MOST_TEXT_BYTES)
    with contextlib.suppress(ImportError):  # Pillow before 11.3
        setattr(import_module("PIL.AvifImagePlugin"), "DEFAULT_MAX_THREADS", 1)  # noqa: B010  # untyped
    missing: dict[Kind, str | None] = {}
    try:
        import_module("simplejpeg")
    except Exception as exc:  # noqa: BLE001  # whatever is wrong with the package, the files are not damaged
        missing[Kind.JPEG] = None if is_missing(exc, "simplejpeg") else type(exc).__name__
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.options.THUMBNAILS = False
    except Exception as exc:  # noqa: BLE001
        missing[Kind.HEIC] = None if is_missing(exc, "pillow_heif") else type(exc).__name__
    return missing


def is_missing(exc: Exception, package: str) -> bool:
    """Return whether a package is not installed. An installed package with an error in it is a fault."""
    return isinstance(exc, ModuleNotFoundError) and exc.name == package
