"""Whole files in every format and layout that the installed packages can write, made once in a process."""

from __future__ import annotations

import functools
import io
import re
from typing import TYPE_CHECKING

import attrs
from PIL import Image

import pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.media.kinds import Kind

__all__ = ["TAKEN", "Whole", "edged", "photo", "saved", "several", "whole_files"]

TAKEN = "2026:01:31 14:25:01"
"""The capture time in each file that has one: local time."""


@attrs.frozen
class Whole:
    """A whole file.

    Args:
        label: How it was made. Unique.
        format: The name of its format in tables.
        kind: What its bytes are.
        extension: Without the dot.
        content: Its bytes.
        needed: How many of the first bytes the file declares. A program may add bytes behind these of which the
            format does not know, such as a trailer.
    """

    label: str
    format: str
    kind: Kind
    extension: str
    content: bytes = attrs.field(repr=False)
    needed: int

    @classmethod
    def of(
        cls, label: str, kind: Kind, extension: str, content: bytes, *, called: str = "", added: bytes = b""
    ) -> Whole:
        """Return a file, perhaps with bytes added behind its end."""
        return cls(label, called or kind.value, kind, extension, content + added, len(content))

    @property
    def name(self) -> str:
        """A file name without a patient."""
        return f"{re.sub('[^A-Za-z0-9]+', '-', self.label)}.{self.extension}"


@functools.cache
def whole_files() -> tuple[Whole, ...]:
    """Make all files."""
    from corpus import documents, recordings, stills, tiffs

    makers: tuple[Callable[[], Iterator[Whole]], ...] = (
        stills.files,
        tiffs.files,
        recordings.files,
        documents.files,
    )
    made = tuple(file for maker in makers for file in maker())
    if len({file.label for file in made}) != len(made):
        raise AssertionError("two files have the same label")
    return made


@functools.cache
def photo(mode: str = "RGB", width: int = 200, height: int = 150) -> Image.Image:
    """Draw a picture with noise in it, in a mode of Pillow."""
    made = pictures.picture(width, height)
    if mode == "I;16":
        return Image.frombytes(mode, (width, height), pictures.random_bytes(width * height * 2))
    if mode == "LAB":
        return Image.frombytes(mode, (width, height), made.tobytes())
    if mode in {"RGBA", "LA"}:
        clear = Image.linear_gradient("L").resize((width, height))
        made = made.convert(mode)
        made.putalpha(clear)
        return made
    return made.quantize(256, Image.Quantize.FASTOCTREE) if mode == "P" else made.convert(mode)


def saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    """Write a picture by Pillow."""
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def several(format_name: str, *, mode: str = "RGB", count: int = 3, **options: object) -> bytes:
    """Write a file of several pictures by Pillow."""
    first, *others = (photo(mode).rotate(angle * 7) for angle in range(count))
    return saved(first, format_name, save_all=True, append_images=others, **options)


def edged(width: int, height: int) -> bytes:
    """Return a small JPEG, for use as a preview."""
    return saved(photo("RGB", width, height), "JPEG", quality=60)
