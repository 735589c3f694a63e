"""Thumbnails: what they show, which metadata they lack, and how they are kept."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageCms

import pictures
from intouch_import.errors import RepositoryError
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.thumbnails import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodingPool]:
    made = DecodingPool(workers=1)
    yield made
    made.close()


@pytest.fixture
def thumbnails(tmp_path: Path, pool: DecodingPool) -> Thumbnails:
    return Thumbnails(tmp_path / "thumbnails", px=64, pool=pool)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def shown(thumbnails: Thumbnails, content: bytes) -> Image.Image:
    made = thumbnails.make(digest(content), content)
    assert made is not None
    image = Image.open(io.BytesIO(made))
    image.load()
    return image


def near(image: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = image.convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(one - other) < 40 for one, other in zip(found, colour, strict=True))


def flag(size: tuple[int, int] = (200, 100)) -> Image.Image:
    """Draw a picture whose top left corner is red and the rest blue."""
    image = Image.new("RGB", size, BLUE)
    image.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return image


@pytest.mark.parametrize(
    ("orientation", "red_at", "size"),
    [
        (1, (5, 5), (64, 32)),
        (2, (59, 5), (64, 32)),
        (3, (59, 27), (64, 32)),
        (4, (5, 27), (64, 32)),
        (5, (5, 5), (32, 64)),
        (6, (27, 5), (32, 64)),
        (7, (27, 59), (32, 64)),
        (8, (5, 59), (32, 64)),
    ],
)
def test_thumbnails_stand_upright(
    thumbnails: Thumbnails, orientation: int, red_at: tuple[int, int], size: tuple[int, int]
) -> None:
    """The thumbnail is turned by the orientation in Exif, and has none itself."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = shown(thumbnails, pictures.encoded(flag(), "JPEG", exif=exif, quality=95))
    assert image.size == size
    assert near(image, red_at, RED)
    assert not image.getexif()


def test_nothing_of_the_original_is_carried_over(thumbnails: Thumbnails) -> None:
    """A thumbnail has no Exif, no place, no comment and no profile."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 51.0, 0.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = pictures.encoded(
        flag(), "JPEG", exif=exif, comment=b"Ada Marsh", icc_profile=profile, dpi=(300, 300)
    )
    image = shown(thumbnails, content)
    assert not image.getexif()
    assert {"exif", "comment", "icc_profile", "dpi", "xmp"}.isdisjoint(image.info)
    made = thumbnails.make(digest(content), content)
    assert made is not None
    assert b"Ada" not in made
    assert b"Maker" not in made


def test_colours_are_those_of_the_profile(thumbnails: Thumbnails) -> None:
    """A picture in another colour space is converted; in this one, red and blue are exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    image = shown(thumbnails, pictures.encoded(flag(), "PNG", icc_profile=swapped))
    assert near(image, (5, 5), BLUE)
    assert near(image, (60, 28), RED)


@pytest.mark.parametrize("profile", [b"no profile at all", b"\0" * 128, b"\xff" * 5000])
def test_a_profile_that_makes_no_sense_is_dropped(thumbnails: Thumbnails, profile: bytes) -> None:
    """An invalid profile, or one for another kind of picture, is ignored."""
    for image in (flag(), flag().convert("L"), flag().convert("RGBA")):
        found = shown(thumbnails, pictures.encoded(image, "PNG", icc_profile=profile))
        assert found.mode in {"L", "RGB"}
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert near(shown(thumbnails, pictures.encoded(flag(), "PNG", icc_profile=lab)), (5, 5), RED)


def test_every_mode_becomes_a_jpeg(thumbnails: Thumbnails) -> None:
    """Transparency is shown on white, 16 bits as 8, one bit as grey, CMYK as RGB, a palette by its colours."""
    clear = Image.new("RGBA", (80, 40), (0, 0, 0, 0))
    assert near(shown(thumbnails, pictures.encoded(clear, "PNG")), (30, 10), WHITE)
    palette = Image.new("P", (80, 40), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert near(shown(thumbnails, pictures.encoded(palette, "GIF", transparency=1)), (30, 10), WHITE)
    assert near(shown(thumbnails, pictures.encoded(palette, "PNG")), (30, 10), RED)
    grey = Image.new("I;16", (80, 40), 32_768)
    assert near(shown(thumbnails, pictures.encoded(grey, "PNG")), (30, 10), (128, 128, 128))
    assert near(shown(thumbnails, pictures.encoded(Image.new("1", (80, 40), 1), "PNG")), (30, 10), WHITE)
    assert near(shown(thumbnails, pictures.encoded(flag().convert("CMYK"), "JPEG")), (5, 5), RED)
    assert near(
        shown(thumbnails, pictures.encoded(Image.new("LA", (80, 40), (0, 0)), "PNG")), (30, 10), WHITE
    )


def test_the_first_of_several_pictures_is_shown(thumbnails: Thumbnails) -> None:
    """The thumbnail shows the first picture of an animation or of several pages."""
    for kind in ("TIFF", "GIF", "WEBP"):
        content = pictures.encoded(
            Image.new("RGB", (80, 40), GREEN), kind, save_all=True, append_images=[flag((80, 40))]
        )
        assert near(shown(thumbnails, content), (5, 5), GREEN)


def test_what_is_no_picture_has_no_thumbnail(thumbnails: Thumbnails) -> None:
    """Documents and pictures that can't be decoded have no thumbnail, and nothing is kept."""
    for content in (b"%PDF-1.7\n%%EOF", b"", pictures.whole()["png"][1][:3000]):
        assert thumbnails.make(digest(content), content) is None
        assert thumbnails.get(digest(content)) is None


def test_movies_have_a_poster(thumbnails: Thumbnails) -> None:
    """With the extra ``video``, the thumbnail of a movie is its first picture."""
    pytest.importorskip("av")
    from importlib import resources

    movie = resources.files("intouch_import.cli").joinpath("sample.mp4").read_bytes()
    assert max(shown(thumbnails, movie).size) == 64
    broken = movie[: len(movie) // 3]
    assert thumbnails.make(digest(broken), broken) is None


# --- the folder


def test_a_thumbnail_is_made_once(thumbnails: Thumbnails) -> None:
    """The second time, the thumbnail is read from the folder, and the content is not opened."""
    content = pictures.whole()["jpeg"][1]
    opened = []

    def open_content() -> io.BytesIO:
        opened.append(1)
        return io.BytesIO(content)

    made = thumbnails.make(digest(content), open_content)
    assert made is not None
    assert thumbnails.make(digest(content), open_content) == made == thumbnails.get(digest(content))
    assert opened == [1]


def test_sizes_do_not_mix(thumbnails: Thumbnails, tmp_path: Path, pool: DecodingPool) -> None:
    """A folder can contain several sizes."""
    content = pictures.whole()["jpeg"][1]
    thumbnails.make(digest(content), content)
    larger = Thumbnails(tmp_path / "thumbnails", px=100, pool=pool)
    assert larger.get(digest(content)) is None
    assert max(shown(larger, content).size) == 100
    assert max(shown(thumbnails, content).size) == 64


def test_a_withdrawn_picture_is_forgotten(thumbnails: Thumbnails) -> None:
    """`discard` deletes the thumbnail; a second call is no error."""
    content = pictures.whole()["jpeg"][1]
    thumbnails.make(digest(content), content)
    thumbnails.discard(digest(content))
    thumbnails.discard(digest(content))
    assert thumbnails.get(digest(content)) is None


def test_only_the_owner_can_look(thumbnails: Thumbnails, tmp_path: Path) -> None:
    """Only the owner can read the folder, because a thumbnail shows as much of a patient as the photo."""
    if os.name == "nt":
        pytest.skip("rights on Windows are not told by mode bits")
    content = pictures.whole()["jpeg"][1]
    thumbnails.make(digest(content), content)
    found = [tmp_path / "thumbnails", *(tmp_path / "thumbnails").rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in found} == {0}
    assert len(found) == 3


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_a_key_is_a_digest(thumbnails: Thumbnails, key: str) -> None:
    """Anything but a digest is refused as a key, because it becomes part of a path."""
    for call in (thumbnails.get, thumbnails.discard, lambda key: thumbnails.put(key, b"")):
        with pytest.raises(ValueError, match="digest"):
            call(key)


def test_the_folder_keeps_to_its_size(tmp_path: Path, pool: DecodingPool) -> None:
    """The least recently used thumbnails are deleted first; the newest stays, however large."""
    cache = Thumbnails(tmp_path / "t", most_bytes=256 * 1000, pool=pool)
    keys = [f"00{number:062x}" for number in range(4)]
    for age, key in enumerate(reversed(keys[:3])):
        cache.put(key, bytes(300))
        os.utime(tmp_path / "t" / "00" / f"{key}-256.jpg", (1000 + age, 1000 + age))
    assert cache.get(keys[2]) is not None  # used just now: the oldest is the next
    cache.put(keys[3], bytes(300))
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]
    cache.put(keys[0], bytes(5000))
    assert [cache.get(key) is not None for key in keys] == [True, False, False, False]


def test_many_at_once(tmp_path: Path, pool: DecodingPool) -> None:
    """Threads that write, read and delete at the same time see only complete thumbnails, and never fail."""
    keys = [f"ab{number:062x}" for number in range(20)]
    failed: list[object] = []

    def work(seed: int) -> None:
        cache = Thumbnails(tmp_path / "t", most_bytes=256 * 5000, pool=pool)
        for turn in range(150):
            key = keys[(turn * 7 + seed) % len(keys)]
            cache.put(key, key.encode() * 10)
            found = cache.get(key)
            if found is not None and found != key.encode() * 10:
                failed.append(found)
            cache.discard(keys[(turn * 11 + seed) % len(keys)])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert not list((tmp_path / "t").rglob("*.part"))


def test_a_folder_that_cannot_be_used(tmp_path: Path, pool: DecodingPool) -> None:
    """A file in place of the folder is an error at once; a cache that can't be written later is no error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError):
        Thumbnails(tmp_path / "file", pool=pool)
    cache = Thumbnails(tmp_path / "t", pool=pool)
    (tmp_path / "t" / "00").write_text("")
    cache.put("0" * 64, b"x")
    assert cache.get("0" * 64) is None
