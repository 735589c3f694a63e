"""Take the first picture of a movie. Runs in the decoding process only. Needs the extra ``video``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from PIL import Image

__all__ = ["first_picture"]

_LAST_PYAV_WITH_METADATA_ERRORS: Final = 18


def first_picture(file: BinaryIO, accept_size: Callable[[tuple[int, int]], None]) -> Image.Image:
    """Decode the first picture of a movie.

    Args:
        file: The movie.
        accept_size: Called with the size before anything is decoded. Raises if it is too large.
    """
    import av

    # Until PyAV 18, metadata that is not UTF-8 fails the whole file. Later, there is no such option.
    until_18 = int(av.__version__.partition(".")[0]) <= _LAST_PYAV_WITH_METADATA_ERRORS
    with av.open(file, mode="r", **{"metadata_errors": "replace"} if until_18 else {}) as movie:
        stream = movie.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        accept_size((stream.codec_context.width, stream.codec_context.height))
        frame = next(movie.decode(stream))
        # Both count degrees counter-clockwise.
        image: Image.Image = frame.to_image().rotate(frame.rotation, expand=True)
        return image
