"""Render the first page of a PDF. Runs in the decoding process only. Needs the extra ``pdf``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from PIL import Image

__all__ = ["first_page"]

_MOST_IMAGES: Final = 1000
_OPAQUE_WHITE: Final = (255, 255, 255, 255)


def first_page(
    file: BinaryIO, px: int, check_pixels: Callable[[tuple[int, int]], None]
) -> Image.Image | None:
    """Render the first page on white.

    Args:
        file: The document.
        px: Longer side of the picture, pixels.
        check_pixels: Called with the size of each image on the page. Raises if it is too large.

    Returns:
        The picture; None if there is no page.
    """
    import pypdfium2
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    # Scripts are not run: these builds of PDFium have no engine for them.
    document = pypdfium2.PdfDocument(file)
    try:
        if not len(document):
            return None
        document.init_forms()  # otherwise, a form that was filled in looks empty
        page = document[0]
        width, height = page.get_size()
        if not min(width, height) > 0:
            return None
        images = page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE])
        for _, image in zip(range(_MOST_IMAGES), images, strict=False):
            check_pixels(image.get_px_size())
        bitmap = page.render(scale=px / max(width, height), fill_color=_OPAQUE_WHITE)
        picture: Image.Image = bitmap.to_pil().convert("RGB")
        return picture
    finally:
        document.close()
