"""The decoding process: the only place where Pillow gets bytes that may be hostile.

`decoders` starts it. It reads tasks from standard input until that is closed. It has no handle and no secret
of the host, and limited memory and processor time. If it crashes or hangs, only this process is lost.

It imports nothing from the host's own program: the host's ``__main__`` is never run again here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from intouch_import.media.boxes import Reader
from intouch_import.media.checksums import png_is_intact
from intouch_import.media.confinement import allow_seconds, confine
from intouch_import.media.jpegs import (
    GapError,
    JpegHeader,
    UnsupportedError,
    check_others,
    decode_strictly,
    read_header,
)
from intouch_import.media.kinds import PICTURES, POSTERS, Kind
from intouch_import.media.layouts import Layout, is_turned_by_xmp_alone, read_layout
from intouch_import.media.messages import READY, HostFile, Obstacle, Pipe, ProtocolError
from intouch_import.media.packages import is_missing, load_decoders
from intouch_import.media.pages import first_page
from intouch_import.media.posters import first_picture
from intouch_import.media.rendering import thumbnail
from intouch_import.media.variants import declared_size, is_valid, read_pages
from intouch_import.media.vips import decode_pages

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL import Image

__all__ = ["main"]

_BLOCK_BYTES: Final = 512 * 1024
_SMALL_BYTES: Final = 64 * 1024 * 1024
# Memory that a decoder may need for each pixel: the picture twice; for JPEG 2000 four bytes a component.
_BYTES_PER_PIXEL: Final = 8
_BYTES_PER_PIXEL_OF_JPEG_2000: Final = 20
_PIXELS_PER_BLOCK: Final = 64
_TRUNCATED: Final = "Truncated File Read|(Possibly c|C)orrupt EXIF data|Tag data larger than file"
_BIG_ENDIAN_BIG_TIFF: Final = b"MM\0+"
_LIBHEIF_UNSUPPORTED: Final = "Unsupported"
_SECOND_TRY: Final = frozenset({Obstacle.UNSUPPORTED, Obstacle.PARTLY})
_ORIENTATION: Final = 0x0112
_ORIENTATIONS: Final = range(1, 9)
_PACKAGES: Final = {Kind.PDF: "pypdfium2"}
# What a package with a changed interface raises, and no invalid file does.
_FAULTS: Final = (AttributeError, ImportError, NameError, NotImplementedError, TypeError)


def main() -> None:
    """Process tasks until standard input is closed."""
    limits = json.loads(sys.argv[-1])
    pipe = _pipe()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host handles Ctrl-C
    warnings.simplefilter("ignore")  # Pillow's bomb warning too: our limit is lower
    warnings.filterwarnings("error", _TRUNCATED, UserWarning, r"PIL\.TiffImagePlugin")
    missing = load_decoders()
    confine(limits["memory_bytes"])
    with contextlib.suppress(ProtocolError):
        pipe.send(READY)
        while True:
            task = json.loads(pipe.receive_task())
            allow_seconds(limits["time_s"])
            file = io.BufferedReader(HostFile(pipe, task["size_bytes"]), _BLOCK_BYTES)
            answer, thumbnail = _Decoding(task, limits, missing).run(file)
            pipe.send_answer(json.dumps(answer).encode(), thumbnail)


def _pipe() -> Pipe:
    """Move the pipes to other descriptors, so that a library's printf can't write into them."""
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    if sys.platform == "win32":
        import msvcrt

        for fd in (reading, writing):
            msvcrt.setmode(fd, os.O_BINARY)
    return Pipe(reading, writing)


class _RefusedError(Exception):
    """Decoding stops at an obstacle."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.value)
        self.obstacle = obstacle


class _Decoding:
    """The decoding of one file."""

    def __init__(self, task: dict[str, Any], limits: dict[str, Any], missing: dict[Kind, str | None]) -> None:
        self._kind = Kind(task["kind"])
        self._missing = missing
        self._size_bytes: int = task["size_bytes"]
        self._px: int = task["thumbnail_px"]
        self._most_pixels: int = limits["pixels"]
        self._most_frames: int = limits["frames"]
        self._memory_bytes: int = limits["memory_bytes"]
        self._size: tuple[int, int] | None = None
        self._frames = 0
        self._opened = False
        self._orientation: int | None = None
        self._thumbnail = b""
        self._fault: str | None = None

    def run(self, file: BinaryIO) -> tuple[dict[str, Any], bytes]:
        """Decode the file; return the answer and the thumbnail."""
        obstacle: Obstacle | None = None
        try:
            self._fault = self._missing.get(self._kind)
            if (size := declared_size(self._kind, Reader(file, self._size_bytes))) is not None:
                self._accept_size(size)
            file.seek(0)
            if self._kind in self._missing and self._kind is not Kind.JPEG:  # Pillow decodes that, too
                obstacle = Obstacle.NO_DECODER
            elif self._kind in POSTERS:
                self._try_to_decode_poster(file)
                obstacle = Obstacle.NO_PICTURE
            else:
                self._decode_picture(file)
                obstacle = None if PICTURES[self._kind].whole else Obstacle.PARTLY
        except ProtocolError:
            raise
        except _RefusedError as exc:
            obstacle = exc.obstacle
        except MemoryError:
            obstacle = Obstacle.TOO_MUCH_MEMORY
        except Exception as exc:  # noqa: BLE001  # decoders raise anything on invalid bytes
            obstacle = self._obstacle_of(exc, file)
        if obstacle in _SECOND_TRY and self._kind is Kind.TIFF and self._is_read_by_vips(file):
            obstacle = None
        if obstacle is Obstacle.UNDECODABLE:
            self._thumbnail = b""  # of a first picture, before what is damaged
        width, height = self._size or (None, None)
        answer = {
            "obstacle": obstacle.value if obstacle is not None else None,
            "width_px": width,
            "height_px": height,
            "frames": self._frames or None,
            "orientation": self._orientation,
            "fault": self._fault,
        }
        return answer, self._thumbnail

    def _obstacle_of(self, exc: Exception, file: BinaryIO) -> Obstacle:
        from PIL import Image

        if isinstance(exc, Image.DecompressionBombError):
            return Obstacle.TOO_MANY_PIXELS
        # A codec that gets no memory usually reports that the data is invalid.
        pixels = self._size[0] * self._size[1] if self._size is not None else 0
        jpeg_2000 = self._kind in {Kind.JP2, Kind.J2K}
        needed = pixels * (_BYTES_PER_PIXEL_OF_JPEG_2000 if jpeg_2000 else _BYTES_PER_PIXEL)
        if needed > self._memory_bytes or "memory" in str(exc):
            return Obstacle.TOO_MUCH_MEMORY
        if isinstance(exc, Warning):
            return Obstacle.GAP
        if self._kind is Kind.HEIC and str(exc).startswith(_LIBHEIF_UNSUPPORTED):
            return Obstacle.UNSUPPORTED
        return self._unsupported_or_broken(file)

    def _unsupported_or_broken(self, file: BinaryIO) -> Obstacle:
        reader = Reader(file, self._size_bytes)
        valid = is_valid(self._kind, reader, page=self._frames, opened=self._opened)
        return Obstacle.UNSUPPORTED if valid else Obstacle.UNDECODABLE

    def _is_read_by_vips(self, file: BinaryIO) -> bool:
        """Return whether a second decoder reads all of a TIFF. If not, nothing is proved."""
        pages = read_pages(Reader(file, self._size_bytes), self._most_frames)
        if pages.nested or self._size_bytes > self._memory_bytes // 4:
            return False
        try:
            file.seek(0)
            size = decode_pages(file.read(self._size_bytes), pages.inner, self._check_pixels)
        except ProtocolError:
            raise
        except Exception as exc:  # noqa: BLE001  # of invalid bytes, or of what it does not support
            if isinstance(exc, _FAULTS) and not is_missing(exc, "pyvips"):
                self._fault = type(exc).__name__
            return False
        self._size, self._frames = size, len(pages.inner)
        return True

    def _try_to_decode_poster(self, file: BinaryIO) -> None:
        """Make the thumbnail of a movie or a PDF. If that fails, the file is not called damaged."""
        try:
            self._decode_poster(file)
        except ProtocolError:
            raise
        except Exception as exc:  # noqa: BLE001  # decoders raise anything on invalid bytes
            if isinstance(exc, _FAULTS) and not is_missing(exc, _PACKAGES.get(self._kind, "av")):
                self._fault = type(exc).__name__

    def _decode_poster(self, file: BinaryIO) -> None:
        if self._kind is Kind.PDF:
            if self._size_bytes <= _SMALL_BYTES:  # PDFium reads here and there
                file = io.BytesIO(file.read())
            page = first_page(file, self._px, self._check_pixels)
            found = None if page is None else (page, Layout(), 1)
        else:
            found = first_picture(file, self._kind, self._accept_size)
        if found is not None:
            image, layout, orientation = found
            self._thumbnail = thumbnail(image, self._px, layout, orientation=orientation) or b""

    def _decode_picture(self, file: BinaryIO) -> None:
        from PIL import Image

        if self._kind is Kind.JPEG:
            self._decode_jpeg(file)
            return
        if self._kind is Kind.TIFF and self._size_bytes <= _SMALL_BYTES:
            # Pillow reads the whole file again for each compressed page.
            file = io.BytesIO(file.read(self._size_bytes))
        if file.read(len(_BIG_ENDIAN_BIG_TIFF)) == _BIG_ENDIAN_BIG_TIFF:  # Pillow takes it for a small one
            raise _RefusedError(self._unsupported_or_broken(file))
        file.seek(0)
        with Image.open(file, formats=PICTURES[self._kind].formats) as image:
            self._accept_size(image.size)
            if self._kind is Kind.PNG and not png_is_intact(file):
                raise _RefusedError(Obstacle.UNDECODABLE)
            layout = self._layout(image, file)
            self._load_frames(image, layout)
        if self._kind is Kind.TIFF:
            self._check_pages(file)

    def _check_pages(self, file: BinaryIO) -> None:
        """Check that Pillow has read all pages, and that there is nothing else that it does not read."""
        pages = read_pages(Reader(file, self._size_bytes), self._most_frames)
        if len(pages.inner) > self._frames:
            raise _RefusedError(Obstacle.GAP)
        if any(pages.inner):
            raise _RefusedError(Obstacle.PARTLY)

    def _decode_jpeg(self, file: BinaryIO) -> None:
        """Decode at an eighth of the size, which reads all of the data."""
        from PIL import Image

        if self._size_bytes > self._memory_bytes // 2:
            raise _RefusedError(Obstacle.TOO_MUCH_MEMORY)
        content = bytearray(self._size_bytes)
        del content[file.readinto(content) :]  # type: ignore[attr-defined]
        file.seek(0)
        header = read_header(content)
        if header is not None:
            self._accept_size(header.size)
            if header.is_rare:
                raise _RefusedError(Obstacle.UNSUPPORTED)
        picture, obstacle = self._strict(content, header)
        layout: Layout | None = Layout()
        try:
            image = Image.open(file, formats=PICTURES[Kind.JPEG].formats)
        except Exception:
            # Pillow refuses some whole photos with invalid metadata.
            if picture is None:
                raise
        else:
            layout = self._layout(image, file)
            if picture is None:
                # If Pillow raises, the data is invalid; otherwise the strict decoder alone objects.
                self._accept_size(image.size)
                self._check_bits(image)
                image.draft(None, (self._px or 1, self._px or 1))
                image.load()
                picture = image
            picture.info = image.info
        self._frames = 1
        self._render(picture, layout)
        if obstacle is not None:
            raise _RefusedError(obstacle)

    def _strict(
        self, content: bytearray, header: JpegHeader | None
    ) -> tuple[Image.Image | None, Obstacle | None]:
        """Decode a JPEG strictly; return the picture, if there is one, and the objection, if there is one."""
        if Kind.JPEG in self._missing:
            return None, Obstacle.NO_DECODER
        if header is None:
            return None, Obstacle.UNDECODABLE
        picture: Image.Image | None = None
        try:
            picture = decode_strictly(content, header, self._px)
            check_others(content, header, self._check_pixels)
        except GapError:
            return picture, Obstacle.GAP
        except UnsupportedError:
            return picture, Obstacle.UNSUPPORTED
        return picture, None

    def _layout(self, image: Image.Image, file: BinaryIO) -> Layout | None:
        if not self._px:
            return None
        try:
            return read_layout(image, file, self._size_bytes, self._kind)
        except ProtocolError:
            raise
        except Exception as exc:  # noqa: BLE001  # tags and boxes of hostile files
            self._fault = type(exc).__name__
            return None

    def _render(self, image: Image.Image, layout: Layout | None) -> None:
        """Make the thumbnail of a decoded picture. What fails here does not concern the file."""
        self._orientation = _orientation(image)
        if layout is None:
            return
        try:
            if is_turned_by_xmp_alone(image):
                return
            self._thumbnail = thumbnail(image, self._px, layout, orientation=self._orientation) or b""
        except MemoryError:
            pass
        except Exception as exc:  # noqa: BLE001  # the decoder's error would be the file's; this is ours
            self._fault = type(exc).__name__

    def _load_frames(self, image: Image.Image, layout: Layout | None) -> None:
        while True:
            self._opened = True
            image.load()
            self._frames += 1
            self._opened = False
            if self._frames == 1:
                # Now, because Pillow does not bring back all of the first frame later.
                self._render(image, layout)
            try:
                image.seek(self._frames)
            except EOFError:
                break
            if self._frames >= self._most_frames:
                raise _RefusedError(Obstacle.TOO_MANY_FRAMES)
            self._check_pixels(image.size)

    def _accept_size(self, size: tuple[int, int]) -> None:
        self._size = size
        self._check_pixels(size)

    def _check_pixels(self, size: tuple[int, int]) -> None:
        if size[0] * size[1] > self._most_pixels:
            raise _RefusedError(Obstacle.TOO_MANY_PIXELS)

    def _check_bits(self, image: Image.Image) -> None:
        """Refuse a JPEG with fewer bits than blocks: libjpeg would fill all missing blocks with grey."""
        if image.width * image.height > self._size_bytes * 8 * _PIXELS_PER_BLOCK:
            raise _RefusedError(Obstacle.UNDECODABLE)


def _orientation(image: Image.Image) -> int | None:
    """Return how to turn the decoded picture: from Exif, or from its counterpart in HEIC and AVIF."""
    with contextlib.suppress(Exception):  # invalid Exif
        value = image.getexif().get(_ORIENTATION)
        if isinstance(value, int) and value in _ORIENTATIONS:
            return value
    return None
