"""What thumbnails show: one picture in every layout and orientation, next to what must be seen."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import layouts
import movies
import pictures
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.kinds import Kind, sniff
from intouch_import.media.messages import Obstacle
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodingPool]:
    made = DecodingPool(workers=2)
    yield made
    made.close()


def thumbnail(pool: DecodingPool, content: bytes) -> Image.Image | None:
    stream = io.BytesIO(content)
    made = pool.decode(stream, kind=sniff(content), size_bytes=len(content), thumbnail_px=64).thumbnail
    return None if made is None else Image.open(io.BytesIO(made))


def quarters_shown(pool: DecodingPool, content: bytes) -> list[tuple[int, ...]] | None:
    """Return the colours of the four quarters of a thumbnail; None if there is no thumbnail."""
    made = thumbnail(pool, content)
    if made is None:
        return None
    assert made.mode in {"L", "RGB"}
    width, height = made.size
    places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [made.convert("RGB").getpixel(place) for place in places]  # type: ignore[misc]


def wrong(pool: DecodingPool, cases: dict[str, layouts.Case]) -> dict[str, object]:
    """Return what the thumbnails show that are neither right nor absent."""
    found: dict[str, object] = {}
    for name, case in cases.items():
        shown = quarters_shown(pool, case.content)
        if shown is None:
            if case.must:
                found[name] = "absent"
        elif case.must is False or differs(shown, case.quarters):
            found[name] = shown
    return found


def differs(found: list[tuple[int, ...]], expected: object) -> bool:
    colours = [(each,) * 3 if isinstance(each, int) else each for each in expected]  # type: ignore[attr-defined]
    return any(
        abs(one - other) > 24
        for seen, colour in zip(found, colours, strict=True)
        if colour is not None
        for one, other in zip(seen, colour, strict=True)
    )


@pytest.mark.parametrize("group", layouts.GROUPS)
def test_a_thumbnail_is_right_or_absent(
    pool: DecodingPool, caplog: pytest.LogCaptureFixture, group: str
) -> None:
    """In every layout, the thumbnail shows the picture, or there is none because it can't be shown right."""
    assert wrong(pool, layouts.cases(group)) == {}
    assert caplog.records == []


def test_a_damaged_picture_has_no_thumbnail(pool: DecodingPool) -> None:
    """If a later picture of a file is damaged, the first one is not shown as if all were well."""
    first, second = layouts.image(layouts.COLOURS), pictures.picture(*layouts.SIZE)
    content = pictures.encoded(
        first, "TIFF", save_all=True, append_images=[second], compression="tiff_adobe_deflate"
    )
    assert thumbnail(pool, content) is not None
    with Image.open(io.BytesIO(content)) as pages:
        pages.seek(1)
        (at,) = pages.tag_v2[273]  # type: ignore[attr-defined]
    damaged = content[:at] + bytes(200) + content[at + 200 :]
    assert thumbnail(pool, damaged) is None


def test_the_thumbnail_of_a_movie_is_right(pool: DecodingPool, caplog: pytest.LogCaptureFixture) -> None:
    """In every format, however turned and in whatever colour space, a movie shows its first picture."""
    pytest.importorskip("av")
    assert wrong(pool, layouts.movies()) == {}
    assert caplog.records == []


def test_the_thumbnail_of_a_movie_has_square_pixels(pool: DecodingPool) -> None:
    """A movie whose pixels are twice as wide as high is shown twice as wide."""
    pytest.importorskip("av")
    for container, codec in (("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4")):
        made = thumbnail(pool, layouts.movie(container, codec, aspect=2))
        assert made is not None
        assert made.size == (64, 24)


def test_the_thumbnail_of_a_document_is_right(pool: DecodingPool, caplog: pytest.LogCaptureFixture) -> None:
    """A PDF shows its first page. One that is locked, cut or too large has no thumbnail, and is not damaged."""
    pytest.importorskip("pypdfium2")
    assert wrong(pool, layouts.documents()) == {}
    assert caplog.records == []
    for case in layouts.documents().values():
        stream = io.BytesIO(case.content)
        found = pool.decode(stream, kind=Kind.PDF, size_bytes=len(case.content), thumbnail_px=64)
        assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.NO_PICTURE)


@pytest.mark.parametrize("kind", [Kind.PDF, Kind.MP4])
def test_a_thumbnail_does_not_decide_about_a_file(kind: Kind) -> None:
    """A movie or PDF that crashes the decoder is not refused for that: without thumbnails it is not decoded."""
    code = "import sys\nsys.path[:] = " + repr(sys.path) + "\nfrom intouch_import.media import worker\n"
    code += "def crashes(self, file): file.read(1); import os; os._exit(3)\n"
    code += "worker._Decoding.run = crashes\nworker.main()"
    pool = DecodingPool(workers=1, command=[sys.executable, "-c", code])
    found = pool.decode(io.BytesIO(b"abc"), kind=kind, size_bytes=3, thumbnail_px=64)
    assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.NO_PICTURE)
    pool.close()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "TIFF deflated", "WEBP", "AVIF", "HEIC"])
def test_thumbnails_are_upright(pool: DecodingPool, kind: str) -> None:
    """In every format, the picture is turned as its Exif or its container says, once."""
    if kind == "HEIC":
        pytest.importorskip("pillow_heif")
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture = layouts.image(layouts.COLOURS)
        if kind == "HEIC":
            content = pictures.heic(picture, chroma=444, exif=exif.tobytes())
        else:
            name, _, compression = kind.partition(" ")
            options = {"compression": "tiff_adobe_deflate"} if compression else {}
            content = pictures.encoded(picture, name, exif=exif, **options)
        found = quarters_shown(pool, content)
        expected = picture if turn is None else picture.transpose(turn)
        width, height = expected.size
        places = [(x, y) for y in (1, height - 2) for x in (1, width - 2)]
        assert found is not None
        assert not differs(found, [expected.getpixel(place) for place in places]), orientation


def test_the_orientation_in_a_tag_is_believed_before_that_of_a_program(pool: DecodingPool) -> None:
    """A tag that says "upright" is not overruled by remains of an older orientation in XMP."""
    exif = Image.Exif()
    exif[0x0112] = 1
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for kind, options in (("JPEG", {"xmp": xmp, "exif": exif}), ("TIFF", {"tiffinfo": {700: xmp, 274: 1}})):
        content = pictures.encoded(layouts.image(layouts.COLOURS), kind, **options)
        found = quarters_shown(pool, content)
        assert found is not None
        assert not differs(found, layouts.COLOURS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_an_orientation_in_xmp_alone_is_doubtful(pool: DecodingPool, kind: str) -> None:
    """If only XMP says how to turn a picture, viewers differ, and there is no thumbnail."""
    for orientation in (1, 6):
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="%d"/></x:xmpmeta>' % orientation
        options: dict[str, object] = {"xmp": xmp}
        if kind == "TIFF":
            options = {"tiffinfo": {700: xmp}}
        elif kind == "PNG":
            options = {"pnginfo": PngInfo()}
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())  # type: ignore[attr-defined]
        content = pictures.encoded(layouts.image(layouts.COLOURS), kind, **options)
        assert (thumbnail(pool, content) is not None) == (orientation == 1)


@pytest.mark.parametrize("what", ["thumbnail", "first_picture"])
def test_a_failure_of_ours_is_logged(caplog: pytest.LogCaptureFixture, what: str) -> None:
    """If making a thumbnail fails, nothing else about the file changes, and the log names the error, once."""
    code = (
        f"import sys\nsys.path[:] = {sys.path!r}\n"
        "def fails(*args, **options): raise TypeError('a private text')\n"
        f"from intouch_import.media import worker\nworker.{what} = fails\nworker.main()"
    )
    pool = DecodingPool(workers=1, command=[sys.executable, "-c", code])
    if what == "thumbnail":
        content, soundness = pictures.whole()["png"][1], Soundness.VERIFIED
    else:
        content, soundness = movies.movie_with(), Soundness.UNVERIFIED
    for _ in range(2):
        stream = io.BytesIO(content)
        found = pool.decode(stream, kind=sniff(content), size_bytes=len(content), thumbnail_px=64)
        assert (found.soundness, found.thumbnail) == (soundness, None)
    assert [(record.message, record.kind) for record in caplog.records] == [
        ("a decoder failed unexpectedly", "TypeError")
    ]
    pool.close()


def test_a_broken_package_does_not_damage_pictures(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """If the package for HEIC is installed but can't be used, its pictures are not damaged, and the log says so."""
    (tmp_path / "pillow_heif.py").write_text("raise ImportError('libheif is missing')\n")
    content = movies.box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    for path, expected in ((str(tmp_path), ["ImportError"]), (None, [])):
        hide = "" if path else "sys.modules['pillow_heif'] = None\n"
        code = f"import sys\nsys.path[:] = {[path or '', *sys.path]!r}\n{hide}"
        code += "from intouch_import.media import worker\nworker.main()"
        pool = DecodingPool(workers=1, command=[sys.executable, "-c", code])
        caplog.clear()
        found = pool.decode(io.BytesIO(content), kind=Kind.HEIC, size_bytes=len(content))
        assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.NO_DECODER)
        assert [record.kind for record in caplog.records] == expected
        pool.close()
