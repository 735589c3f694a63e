"""Take the first picture of a movie. Runs in the decoding process only. Needs the extra ``video``."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from intouch_import.media.colour_spaces import Colours
from intouch_import.media.kinds import Kind
from intouch_import.media.layouts import Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from PIL import Image

__all__ = ["first_picture"]

_LAST_PYAV_WITH_METADATA_ERRORS: Final = 18
_FORMATS: Final = {
    Kind.MP4: "mov",
    Kind.MOV: "mov",
    Kind.AVI: "avi",
    Kind.ASF: "asf",
    Kind.MATROSKA: "matroska",
}
_MOST_DAMAGED: Final = 50  # A recording may begin between two complete pictures.
# The matrices of luma and chroma that swscale knows. RGB has none; where none is given, BT.601 is usual.
_BT601, _KNOWN_MATRICES, _NO_MATRIX = 5, frozenset({1, 4, 5, 7, 9}), frozenset({0, 2, 3, 6})
_UNKNOWN: Final = 2
_DOLBY_VISION: Final = frozenset({"dvh1", "dvhe", "dav1"})
_LIMITED, _FULL = 1, 2
_MOST_STRETCHED: Final = 8.0
_MATRIX: Final = struct.Struct("=9l")
_ORIENTATIONS: Final[dict[tuple[int, ...], int]] = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""For each display matrix: how to turn the picture, as in Exif."""


def first_picture(
    file: BinaryIO, kind: Kind, accept_size: Callable[[tuple[int, int]], None]
) -> tuple[Image.Image, Layout, int] | None:
    """Decode the first picture of a movie.

    Args:
        file: The movie.
        kind: Its kind; no other format is tried.
        accept_size: Called with a size before it is decoded. Raises if it is too large.

    Returns:
        The picture with square pixels, its layout, and how to turn it, 1 to 8 as in Exif. None if there is no
        picture, or it can't be shown right.
    """
    import av

    # Until PyAV 18, metadata that is not UTF-8 fails the whole file. Later, there is no such option.
    until_18 = int(av.__version__.partition(".")[0]) <= _LAST_PYAV_WITH_METADATA_ERRORS
    options = {"metadata_errors": "replace"} if until_18 else {}
    with av.open(file, mode="r", format=_FORMATS[kind], **options) as movie:
        stream = next((each for each in movie.streams.video if not _is_cover(each)), None)
        if stream is None or stream.codec_context is None:  # no picture, or by an unknown codec
            return None
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        accept_size((stream.codec_context.width, stream.codec_context.height))
        frame = _whole_frame(movie.decode(stream))
        orientation = _orientation(frame) if frame is not None else None
        codec = stream.codec_context
        if frame is None or orientation is None or int(frame.colorspace) not in _KNOWN_MATRICES | _NO_MATRIX:
            return None
        if codec.codec_tag in _DOLBY_VISION and int(codec.color_trc) == _UNKNOWN:
            return None  # colours that only Dolby's decoder knows
        accept_size((frame.width, frame.height))
        layout = Layout(colours=Colours(int(codec.color_primaries), int(codec.color_trc)))
        return _rgb(frame, float(stream.sample_aspect_ratio or 1)), layout, orientation


def _is_cover(stream: Any) -> bool:
    """Return whether a stream is a picture of its own, such as the cover of an album."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def _whole_frame(frames: Any) -> Any:
    for _, frame in zip(range(_MOST_DAMAGED), frames, strict=False):
        if not frame.is_corrupt:
            return frame
    return None


def _orientation(frame: Any) -> int | None:
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return 1
    a, b, _, c, d, *_ = _MATRIX.unpack(bytes(data)[: _MATRIX.size])
    # A matrix may stretch, too, and stretching is in the aspect ratio.
    signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
    return _ORIENTATIONS.get(signs)


def _rgb(frame: Any, aspect: float) -> Image.Image:
    """Convert to RGB by the matrix of the movie, with square pixels."""
    width, height = frame.width, frame.height
    if 1 / _MOST_STRETCHED <= aspect <= _MOST_STRETCHED:
        width, height = round(width * min(aspect, 1)), round(height / max(aspect, 1))
    matrix = int(frame.colorspace)
    rgb = frame.reformat(
        width=max(1, width),
        height=max(1, height),
        format="rgb24",
        # Without both, PyAV before 15 takes all movies for those of standard definition.
        src_colorspace=matrix if matrix in _KNOWN_MATRICES else _BT601,
        dst_colorspace=_BT601,
        src_color_range=frame.color_range if frame.color_range in {_LIMITED, _FULL} else None,
        dst_color_range=_FULL,
    )
    image: Image.Image = rgb.to_image()
    return image
