"""The examiner: what a file is, whether it is whole, and when it was taken."""

from __future__ import annotations

import hashlib
import io
import re
import struct
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from PIL import Image, features

import movies
import pictures
from intouch_import.extensions import classify
from intouch_import.media import Examiner, containers, kinds
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.kinds import KINDS_OF_EXTENSIONS, Kind, Supported, support, supported
from intouch_import.media.messages import Limits, Obstacle
from intouch_import.media.thumbnails import Thumbnails
from intouch_import.media.times import ZoneFrom
from intouch_import.model import ContentCheck, Destination, Reason, Soundness, TakenFrom
from miniature import NOW
from movies import TAKEN
from pictures import EXE, HTML, photo_cd

if TYPE_CHECKING:
    from collections.abc import Iterator

SYDNEY = ZoneInfo("Australia/Sydney")
FULL = pictures.exif_block(offset=b"+10:00\0", sub_second=b"25\0")
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodingPool]:
    made = DecodingPool(workers=1)
    yield made
    made.close()


@pytest.fixture
def no_support_is_remembered() -> Iterator[None]:
    """Clear the cache of supported kinds before and after the test."""
    supported.cache_clear()
    yield
    supported.cache_clear()


@pytest.fixture
def examiner(pool: DecodingPool) -> Examiner:
    return Examiner(zone=SYDNEY, pool=pool, now=lambda: NOW)


def jpeg_with(exif: bytes) -> bytes:
    return pictures.encoded(pictures.picture(), "JPEG", exif=b"Exif\0\0" + exif)


def test_a_photo_with_everything(examiner: Examiner) -> None:
    """Kind, soundness, size, orientation, frames and times of a whole photo."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0x9003: "2026:01:31 14:25:01", 0x9011: "+11:00"})
    content = pictures.encoded(pictures.picture(), "JPEG", exif=exif)
    facts = examiner.examine(content, name="a.jpg", named_at=TAKEN, modified_at=NOW)
    assert (facts.kind, facts.soundness, facts.doubt, facts.obstacle) == (
        Kind.JPEG,
        Soundness.VERIFIED,
        None,
        None,
    )
    assert (facts.width_px, facts.height_px, facts.orientation, facts.frames) == (200, 150, 6, 1)
    assert [time.taken_from for time in facts.times.found] == [
        TakenFrom.NAME,
        TakenFrom.EXIF,
        TakenFrom.SOURCE,
    ]
    assert (facts.taken_at, facts.times.disagree) == (TAKEN, False)
    assert facts.check == ContentCheck(kind="jpeg", soundness=Soundness.VERIFIED)


def test_without_a_name_the_camera_says_when(examiner: Examiner) -> None:
    """The offset comes from Exif, otherwise from the practice's zone; the result says which."""
    with_offset = examiner.examine(jpeg_with(FULL), name="IMG_1.jpg")
    assert with_offset.taken is not None
    assert with_offset.taken.zone_from is ZoneFrom.OWN
    assert with_offset.taken_at == datetime(2026, 1, 31, 4, 25, 1, 250_000, tzinfo=UTC)
    assert examiner.examine(jpeg_with(b""), name="IMG_1.jpg").taken_at is None


def test_times_that_disagree_are_told(examiner: Examiner) -> None:
    """The time in the name is chosen, and the flag reports that the camera disagrees."""
    facts = examiner.examine(jpeg_with(FULL), name="a.jpg", named_at=TAKEN)  # one hour apart
    assert facts.times.disagree
    assert facts.taken is not None
    assert facts.taken.taken_from is TakenFrom.NAME


@pytest.mark.parametrize("label", pictures.whole())
def test_every_format_is_verified_whole_and_never_when_cut(examiner: Examiner, label: str) -> None:
    """Under its own extension a whole file is verified, and its first half is not."""
    extension, content = pictures.whole()[label]
    facts = examiner.examine(io.BytesIO(content), name=f"a.{extension}")
    assert (facts.soundness, facts.doubt) == (Soundness.VERIFIED, None)
    cut = examiner.examine(content[: len(content) // 2], name=f"a.{extension}")
    assert cut.soundness is Soundness.DAMAGED
    assert cut.doubt in {Reason.CONTENT_CUT_SHORT, Reason.CONTENT_DAMAGED}


@pytest.mark.parametrize(
    ("content", "kind"), [(HTML, "a web page"), (EXE, "a program"), (b"%PDF-1.7\n%%EOF", "PDF")]
)
def test_what_is_no_photo_is_told(examiner: Examiner, content: bytes, kind: str) -> None:
    """A web page, a program and a PDF under a photo's name are recognised."""
    facts = examiner.examine(content, name="a.jpg")
    assert (facts.soundness, facts.doubt) == (Soundness.UNVERIFIED, Reason.CONTENT_NOT_AS_NAMED)
    assert facts.check.text == f"The content does not match the file extension. It is {kind}."


def test_a_heic_that_is_a_jpeg_is_told_and_the_reverse(examiner: Examiner) -> None:
    """Each is recognised and verified, and does not match its extension."""
    jpeg, heic = pictures.whole()["jpeg"][1], pictures.whole()["heic"][1]
    for content, name, kind in ((jpeg, "a.HEIC", "JPEG"), (heic, "a.jpg", "HEIC")):
        facts = examiner.examine(content, name=name)
        assert (facts.soundness, facts.doubt) == (Soundness.VERIFIED, Reason.CONTENT_NOT_AS_NAMED)
        assert facts.check.text.endswith(f" It is {kind}.")


def test_damage_is_told_from_being_cut_short(examiner: Examiner) -> None:
    """A picture that ends properly and can't be decoded is damaged."""
    content = bytearray(pictures.whole()["png"][1])
    content[len(content) // 2] ^= 1
    facts = examiner.examine(bytes(content), name="a.png")
    assert (facts.soundness, facts.doubt) == (Soundness.DAMAGED, Reason.CONTENT_DAMAGED)
    assert facts.check.text == "The content is damaged: it can't be decoded."


def test_limits_leave_a_doubt() -> None:
    """A file that exceeds a limit is not verified, and waits."""
    pool = DecodingPool(Limits(frames=2), workers=1)
    facts = Examiner(zone=SYDNEY, pool=pool).examine(pictures.whole()["animated gif"][1], name="a.gif")
    assert (facts.soundness, facts.obstacle) == (Soundness.UNVERIFIED, Obstacle.TOO_MANY_FRAMES)
    assert facts.doubt is Reason.CONTENT_UNCHECKED
    pool.close()


@pytest.mark.parametrize(
    ("name", "content", "obstacle"),
    [
        ("a.fpx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), Obstacle.NO_PICTURE),
        ("a.pcd", photo_cd(), Obstacle.PARTLY),
        ("a.pdf", b"%PDF-1.7\n%%EOF", Obstacle.NO_PICTURE),
        ("a.docx", b"PK\5\6" + bytes(18), Obstacle.NO_PICTURE),
        ("a.mp4", movies.movie_with(created=TAKEN), Obstacle.NO_PICTURE),
    ],
)
def test_what_cannot_be_decoded_is_unverified_and_not_doubted(
    examiner: Examiner, name: str, content: bytes, obstacle: Obstacle
) -> None:
    """FlashPix, Photo CD, documents and movies are accepted as unverified."""
    facts = examiner.examine(content, name=name)
    assert (facts.soundness, facts.obstacle, facts.doubt) == (Soundness.UNVERIFIED, obstacle, None)
    assert facts.check.text == "The content is unverified."


@pytest.mark.usefixtures("no_support_is_remembered")
def test_a_decoder_that_is_missing_leaves_no_doubt(
    examiner: Examiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra a HEIC is unverified, but causes no doubt."""
    monkeypatch.setattr(kinds, "find_spec", lambda _name: None)
    facts = examiner.examine(pictures.whole()["heic"][1], name="a.heic")
    assert (facts.soundness, facts.obstacle, facts.doubt) == (Soundness.UNVERIFIED, Obstacle.NO_DECODER, None)
    assert facts.width_px is None


def test_a_movie_says_when_it_was_taken(examiner: Examiner) -> None:
    """Size, length and times of a movie come from its index; nothing is decoded."""
    content = movies.movie_with(
        created=TAKEN, duration_s=3.5, size=(640, 480), offset_date="2026-01-31T14:25:01+1100"
    )
    facts = examiner.examine(content, name="a.mov")
    assert (facts.width_px, facts.height_px, facts.duration_s) == (640, 480, 3.5)
    assert facts.taken is not None
    assert (facts.taken.taken_from, facts.taken_at) == (TakenFrom.QUICKTIME, TAKEN)
    assert not facts.times.disagree


def test_the_sample_movie_is_understood(examiner: Examiner) -> None:
    """Size and length of a movie from a real encoder are read."""
    movie = resources.files("intouch_import.cli").joinpath("sample.mp4").read_bytes()
    facts = examiner.examine(movie, name="a.mp4")
    assert facts.width_px
    assert facts.height_px
    assert facts.duration_s


def test_thumbnails_are_made_on_the_way(pool: DecodingPool, tmp_path: Path) -> None:
    """With a cache, examining a file also keeps its thumbnail: the file is decoded once."""
    cache = Thumbnails(tmp_path, px=64, pool=pool)
    examiner = Examiner(zone=SYDNEY, pool=pool, thumbnails=cache)
    content = pictures.whole()["jpeg"][1]
    key = hashlib.sha256(content).hexdigest()
    examiner.examine(content, name="a.jpg", sha256=key)
    assert cache.get(key) is not None
    movie = resources.files("intouch_import.cli").joinpath("sample.mp4").read_bytes()
    examiner.examine(movie, name="a.mp4", sha256="0" * 64)
    assert cache.get("0" * 64) is not None
    examiner.examine(b"%PDF-1.7\n%%EOF", name="a.pdf", sha256="1" * 64)
    assert cache.get("1" * 64) is None


def test_the_tolerance_can_be_set(pool: DecodingPool) -> None:
    """The practice can set the tolerance between times."""
    kind = Examiner(zone=SYDNEY, pool=pool, tolerance=timedelta(hours=2), now=lambda: NOW)
    assert not kind.examine(jpeg_with(FULL), name="a.jpg", named_at=TAKEN).times.disagree


# --- formats


def test_the_table_speaks_of_the_fourteen_extensions() -> None:
    """The table has every image extension, and no other."""
    found = list(support())
    assert len(found) == 14
    assert {classify(f"a.{extension}") for extension in found} == {Destination.IMAGES}


@pytest.mark.parametrize("extension", support())
def test_the_table_is_true(examiner: Examiner, extension: str) -> None:
    """A whole file is verified exactly if the table says that its extension is decoded whole."""
    made = {
        Kind.TIFF: "lzw tiff",
        Kind.GIF: "gif",
        Kind.JPEG: "jpeg",
        Kind.JP2: "jp2",
        Kind.J2K: "j2k",
        Kind.PNG: "png",
    }
    other = {Kind.OLE: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), Kind.PCD: photo_cd()}
    kind = KINDS_OF_EXTENSIONS[extension][0]
    content = pictures.whole()[made[kind]][1] if kind in made else other[kind]
    facts = examiner.examine(content, name=f"a.{extension}")
    assert (facts.soundness is Soundness.VERIFIED) == (support()[extension] is Supported.WHOLE)
    assert (facts.doubt, facts.kind) == (None, kind)


def test_the_documented_table_is_that_of_the_code() -> None:
    """The table on the page matches the installed Pillow."""
    page = (DOCS / "explanation" / "bytes.md").read_text("utf-8")
    words = {"whole": Supported.WHOLE, "in part": Supported.PARTLY, "no": Supported.NO}
    rows = re.findall(r"^\| ((?:`\.\w+` ?)+)\| [^|]+ \| (whole|in part|no)\b", page, re.MULTILINE)
    documented = {extension: words[how] for names, how in rows for extension in re.findall(r"\w+", names)}
    assert support().items() <= documented.items()
    for extension, kind in {"heic": Kind.HEIC, "webp": Kind.WEBP, "avif": Kind.AVIF, "bmp": Kind.BMP}.items():
        assert documented[extension] is supported(kind)


@pytest.mark.usefixtures("no_support_is_remembered")
def test_a_pillow_without_a_codec_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pillow that is built without JPEG 2000 does not support it."""
    monkeypatch.setattr(features, "check", lambda name: name != "jpg_2000")
    assert supported(Kind.JP2) is Supported.NO
    assert supported(Kind.JPEG) is Supported.WHOLE
    assert supported(Kind.PDF) is Supported.NO


def test_every_kind_that_is_decoded_is_a_kind_of_picture_or_movie() -> None:
    """No kind has two decoders."""
    assert not set(kinds.PICTURES) & kinds.MOVIES
    assert containers._READERS.keys() - kinds.PICTURES.keys() == kinds.MOVIES


@pytest.mark.parametrize("name", ["a.tif", "a.dng", "a.uploaded"])
def test_every_directory_of_a_tiff_is_read(examiner: Examiner, name: str) -> None:
    """A TIFF whose directory in the middle of the file points beyond the end is damaged."""
    first = grey_page(following=100_008)
    middle = grey_page(following=0, strip_at=300_000)
    content = (b"II*\0\x08\0\0\0" + first).ljust(100_008, b"\1") + middle
    whole = content.ljust(300_000, b"\1") + bytes(range(256)) * 40
    assert examiner.examine(whole, name=name).doubt is None
    facts = examiner.examine(whole[:-1000], name=name)
    assert (facts.soundness, facts.doubt) == (Soundness.DAMAGED, Reason.CONTENT_CUT_SHORT)


def grey_page(*, following: int, strip_at: int = 1000) -> bytes:
    """Make the directory of a grey page of 100 by 100 pixels."""
    tags = [(256, 3, 1, 100), (257, 3, 1, 100), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, strip_at), (277, 3, 1, 1), (278, 3, 1, 100), (279, 4, 1, 10_000)]
    entries = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<L", following)
