"""The demo practice: every file is what it should be, and there is one for each case."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageOps

from intouch_import.cli.samples import SamplePractice, lay_out
from intouch_import.extensions import classify
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.model import Destination, Reason

if TYPE_CHECKING:
    from pathlib import Path

CONTENT_REASONS = {Reason.CONTENT_NOT_AS_NAMED, Reason.CONTENT_CUT_SHORT}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> SamplePractice:
    """Create the practice once for all tests; none of them changes it."""
    return lay_out(tmp_path_factory.mktemp("demo"))


def _objection(path: Path) -> Reason | None:
    content = path.read_bytes()
    return content_reason(
        path.name, head=content[:HEAD_BYTES], tail=content[-TAIL_BYTES:], size_bytes=len(content)
    )


def test_every_name_is_in_exactly_one_group(practice: SamplePractice) -> None:
    """The groups and the folder contain the same names, each once."""
    grouped = [
        *practice.automatic,
        *practice.to_assign_images,
        *practice.to_assign_documents,
        *practice.waiting,
        *practice.ignored,
    ]
    assert sorted(grouped) == sorted(path.name for path in practice.photos.iterdir())


def test_images_decode_whole(practice: SamplePractice) -> None:
    """Every valid image opens in Pillow to its last frame, in the format of its extension."""
    formats = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "gif": "GIF", "jp2": "JPEG2000"}
    seen = set()
    broken = {name for name, reason in practice.waiting.items() if reason in {*CONTENT_REASONS, Reason.EMPTY}}
    for name in {*practice.automatic, *practice.to_assign_images, *practice.waiting} - broken:
        if name.endswith(".mp4"):
            continue
        with Image.open(practice.photos / name) as image:
            assert image.format == formats[name.rpartition(".")[2].lower()]
            seen.add(image.format)
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                image.load()
    assert seen == set(formats.values())


def test_photos_say_when_they_were_taken_and_which_way_up(practice: SamplePractice) -> None:
    """Exif agrees with the name, and a photo that lies on its side is upright after it is turned."""
    with Image.open(practice.photos / "10042_DRJ_20260131_142501_2.jpg") as image:
        exif = image.getexif()
        assert exif.get_ifd(0x8769)[0x9003] == "2026:01:31 14:25:01"
        assert exif[0x0112] == 6
        assert image.size == (600, 800)
        assert ImageOps.exif_transpose(image).size == (800, 600)


def test_the_animation_moves(practice: SamplePractice) -> None:
    """The GIF has frames that differ."""
    with Image.open(practice.photos / "10043_DRJ_20260202_091702.gif") as image:
        frames = []
        for frame in range(4):
            image.seek(frame)
            frames.append(image.convert("RGB").tobytes())
        assert frames[0] != frames[1] != frames[2]
        with pytest.raises(EOFError):
            image.seek(4)


def test_pictures_differ(practice: SamplePractice) -> None:
    """No two files have the same bytes; otherwise one would be taken for a copy of the other."""
    contents = [path.read_bytes() for path in practice.photos.iterdir() if path.is_file()]
    assert len(set(contents)) == len(contents)


def test_drawing_is_repeatable(practice: SamplePractice, tmp_path: Path) -> None:
    """A second practice has the same bytes in every file."""
    again = lay_out(tmp_path)
    for path in practice.photos.iterdir():
        if path.is_file():
            assert (again.photos / path.name).read_bytes() == path.read_bytes()


def test_the_movie_is_complete(practice: SamplePractice) -> None:
    """The MP4 is small, begins with its brand, and consists of whole boxes, including an index."""
    content = (practice.photos / "10042_DRJ_20260131_143010.mp4").read_bytes()
    assert len(content) < 15_000
    boxes, at = [], 0
    while at < len(content):
        boxes.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    assert at == len(content)
    assert boxes[0] == b"ftyp"
    assert {b"moov", b"mdat"} <= set(boxes)


def test_the_letter_is_a_sound_pdf(practice: SamplePractice) -> None:
    """The PDF has its first and last line, and its cross-reference table points at its objects."""
    content = (practice.photos / "Letter from GP.pdf").read_bytes()
    assert content.startswith(b"%PDF-1.4\n")
    assert content.endswith(b"%%EOF\n")
    assert b"(Dear Dr Jones,) Tj" in content
    table = int(re.findall(rb"startxref\n(\d+)\n", content)[0])
    assert content[table:].startswith(b"xref\n")
    for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n ", content), 1):
        assert content[int(offset) :].startswith(b"%d 0 obj" % number)
    length = int(re.findall(rb"/Length (\d+)", content)[0])
    assert content.partition(b"stream\n")[2][length:].startswith(b"endstream")


def test_the_content_check_agrees(practice: SamplePractice) -> None:
    """The content check objects only to the files that are meant to be wrong."""
    for path in practice.photos.iterdir():
        if not path.is_file():
            continue
        expected = practice.waiting.get(path.name)
        if expected is Reason.EMPTY or path.suffix == ".part":
            expected = Reason.CONTENT_CUT_SHORT
        assert _objection(path) == (expected if expected in CONTENT_REASONS else None)


def test_plain_names_are_grouped_by_destination(practice: SamplePractice) -> None:
    """The files to assign are grouped as a save requires: images, or other documents."""
    assert {classify(name) for name in practice.to_assign_images} == {Destination.IMAGES}
    assert {classify(name) for name in practice.to_assign_documents} == {Destination.NOTES}


def test_the_sub_folder_holds_a_photo(practice: SamplePractice) -> None:
    """The sub-folder contains a valid photo with a valid name, which must stay there."""
    (name,) = (name for name, reason in practice.ignored.items() if reason is Reason.FOLDER)
    (photo,) = (practice.photos / name).iterdir()
    assert _objection(photo) is None
    with Image.open(io.BytesIO(photo.read_bytes())) as image:
        image.load()


def test_an_existing_folder_is_left_alone(practice: SamplePractice) -> None:
    """A second call for the same folder fails before it writes anything."""
    before = {path: path.stat().st_mtime_ns for path in practice.photos.iterdir()}
    with pytest.raises(FileExistsError):
        lay_out(practice.photos.parent)
    assert {path: path.stat().st_mtime_ns for path in practice.photos.iterdir()} == before


def test_no_patient_and_no_name_in_the_repr(practice: SamplePractice) -> None:
    """The ``repr`` of a practice contains neither patients nor file names."""
    assert "Marsh" not in repr(practice)
    assert "10042" not in repr(practice)
