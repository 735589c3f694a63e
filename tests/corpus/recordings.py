"""Videos in every container that PyAV writes."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import movies
from corpus.files import Whole, photo
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREATED = {"creation_time": "2026-01-31T03:25:01Z"}
# Label, kind, extension, container, codec, options of the container, and whether there is a time in it.
_RECORDINGS = (
    ("mp4 index last", Kind.MP4, "mp4", "mp4", "mpeg4", {}, True),
    ("mp4 index first", Kind.MP4, "mp4", "mp4", "mpeg4", {"movflags": "faststart"}, True),
    ("mp4 fragments", Kind.MP4, "mp4", "mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}, False),
    ("mp4 h264", Kind.MP4, "mp4", "mp4", "libx264", {}, True),
    ("mp4 h264 index first", Kind.MP4, "m4v", "mp4", "libx264", {"movflags": "faststart"}, False),
    ("mp4 h265", Kind.MP4, "mp4", "mp4", "libx265", {}, False),
    ("3gp", Kind.MP4, "3gp", "3gp", "mpeg4", {}, True),
    ("mov index last", Kind.MOV, "mov", "mov", "mpeg4", {}, True),
    ("mov index first", Kind.MOV, "mov", "mov", "mpeg4", {"movflags": "faststart"}, True),
    ("mov mjpeg", Kind.MOV, "mov", "mov", "mjpeg", {}, False),
    ("mov prores", Kind.MOV, "mov", "mov", "prores_ks", {}, False),
    ("mov h264", Kind.MOV, "mov", "mov", "libx264", {}, True),
    ("mov named mp4", Kind.MOV, "mp4", "mov", "mpeg4", {}, False),
    ("avi mpeg4", Kind.AVI, "avi", "avi", "mpeg4", {}, False),
    ("avi mjpeg", Kind.AVI, "avi", "avi", "mjpeg", {}, False),
    ("avi huffyuv", Kind.AVI, "avi", "avi", "huffyuv", {}, False),
    ("mkv h264", Kind.MATROSKA, "mkv", "matroska", "libx264", {}, True),
    ("mkv ffv1", Kind.MATROSKA, "mkv", "matroska", "ffv1", {}, False),
    ("webm vp8", Kind.MATROSKA, "webm", "webm", "libvpx", {}, False),
    ("webm vp9", Kind.MATROSKA, "webm", "webm", "libvpx-vp9", {}, True),
    ("wmv", Kind.ASF, "wmv", "asf", "wmv2", {}, False),
    ("mts", Kind.TRANSPORT_STREAM, "mts", "mpegts", "libx264", {"mpegts_m2ts_mode": "1"}, False),
    ("ts", Kind.TRANSPORT_STREAM, "ts", "mpegts", "mpeg2video", {}, False),
    ("mpg", Kind.UNKNOWN, "mpg", "mpeg", "mpeg2video", {}, False),
)


def files() -> Iterator[Whole]:
    """Make short recordings, and one by hand."""
    yield Whole.of(
        "mov by hand", Kind.MOV, "mov", movies.movie_with(created=movies.TAKEN, payload_bytes=30_000)
    )
    if find_spec("av") is None:
        return
    import av

    for label, kind, extension, container, codec, options, has_time in _RECORDINGS:
        try:
            av.codec.Codec(codec, "w")
        except Exception:  # this build of FFmpeg does not have it
            continue
        content = _recording(container, codec, options, has_time=has_time)
        yield Whole.of(
            label, kind, extension, content, called=extension if extension in {"mts", "ts", "mpg"} else ""
        )


def _recording(container: str, codec: str, options: dict[str, str], *, has_time: bool) -> bytes:
    # FFmpeg opens a file a second time to move its index to the start.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "movie")
        _record(path, container, codec, options, has_time=has_time)
        return path.read_bytes()


def _record(path: Path, container: str, codec: str, options: dict[str, str], *, has_time: bool) -> None:
    import av

    with av.open(str(path), "w", format=container, container_options=options) as movie:
        if has_time:
            movie.metadata.update(_CREATED)
        stream = movie.add_stream(codec, rate=12)
        stream.width, stream.height, stream.bit_rate = 160, 120, 400_000
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 12)
        formats = stream.codec_context.codec.video_formats
        stream.pix_fmt = (
            "yuv420p"
            if not formats
            else next((f.name for f in formats if f.name in {"yuv420p", "yuvj420p"}), formats[0].name)
        )
        if codec == "libx264":
            stream.options = {"preset": "ultrafast"}
        elif codec == "libx265":
            stream.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        elif codec.startswith("libvpx"):
            stream.options = {"deadline": "realtime", "cpu-used": "8"}
        for number in range(8):
            frame = av.VideoFrame.from_image(photo("RGB", 160, 120).rotate(number * 5))
            movie.mux(stream.encode(frame))
        movie.mux(stream.encode(None))
