"""Decode with libvips a TIFF that Pillow decodes partly or not at all. Runs in the decoding process only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["decode_pages"]


def decode_pages(
    content: bytes, inner: Sequence[int], accept_size: Callable[[tuple[int, int]], None]
) -> tuple[int, int]:
    """Decode each page of a TIFF and each picture that belongs to a page, to the last line.

    Args:
        content: The file.
        inner: For each page, how many pictures belong to it.
        accept_size: Called with the size of each picture before it is decoded. Raises if it is too large.

    Returns:
        Width and height of the first page.

    Raises:
        ImportError: pyvips is not installed.
        Exception: A picture can't be decoded.
    """
    os.environ["VIPS_CONCURRENCY"] = "1"  # stacks of threads count as memory
    import pyvips

    sizes = []
    for page, pictures in enumerate(inner):
        for picture in range(-1, pictures):  # -1: the page itself
            image = pyvips.Image.tiffload_buffer(
                content, page=page, subifd=picture, fail_on="warning", access="sequential"
            )
            sizes.append((image.width, image.height))
            accept_size(sizes[-1])
            image.cast("uchar").avg()  # reads all samples; an average of floats may be no number
    return sizes[0]
