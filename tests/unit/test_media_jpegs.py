"""JPEGs: whether a part of the picture is missing, by a decoder that is strict about it."""

from __future__ import annotations

import functools
import json
import random
import struct
import sys
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

import pictures
from intouch_import.media import Examiner, kinds
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.jpegs import read_header
from intouch_import.media.kinds import Kind, Supported, supported
from intouch_import.media.messages import Obstacle
from intouch_import.model import Reason, Soundness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.media import MediaFacts

VARIANTS = {
    "baseline": {"quality": 92},
    "optimized": {"quality": 75, "optimize": True},
    "restarts": {"quality": 85, "restart_marker_rows": 1},
    "full colour": {"quality": 90, "subsampling": 0},
    "progressive": {"quality": 85, "progressive": True},
}
HOLE_BYTES = 4096
COUNT = 8


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    pool = DecodingPool(workers=1)
    yield Examiner(zone=ZoneInfo("UTC"), pool=pool)
    pool.close()


@functools.cache
def photo(variant: str) -> bytes:
    """Encode a picture of half a megapixel."""
    return pictures.encoded(pictures.picture(800, 600), "JPEG", **VARIANTS[variant])


def other_photo() -> bytes:
    return pictures.encoded(pictures.picture(800, 600).rotate(180), "JPEG", quality=60)


def zeroed(content: bytes, at: int) -> bytes:
    return content[:at] + bytes(HOLE_BYTES) + content[at + HOLE_BYTES :]


def left_out(content: bytes, at: int) -> bytes:
    return content[:at] + content[at + HOLE_BYTES :]


def closed_early(content: bytes, at: int) -> bytes:
    return content[:at] + b"\xff\xd9"


def overwritten(content: bytes, at: int) -> bytes:
    other = other_photo()[-3 * HOLE_BYTES :][:HOLE_BYTES]
    return content[:at] + other + content[at + HOLE_BYTES :]


def holes(content: bytes, seed: str) -> list[int]:
    """Choose where holes are: anywhere in the picture data."""
    header = read_header(bytearray(content))
    assert header is not None
    chance = random.Random(seed)
    return [chance.randrange(header.scan_at + 20, len(content) - HOLE_BYTES - 2) for _ in range(COUNT)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("damage", [zeroed, left_out, closed_early, overwritten])
def test_a_photo_with_a_hole_waits(
    examiner: Examiner, variant: str, damage: Callable[[bytes, int], bytes]
) -> None:
    """A photo of which 4 KB are zeros, missing, or another photo's, or that is closed early, is damaged."""
    whole = photo(variant)
    assert examiner.examine(whole, name="a.jpg").soundness is Soundness.VERIFIED
    found = [
        examiner.examine(damage(whole, at), name="a.jpg") for at in holes(whole, variant + damage.__name__)
    ]
    missed = sum(facts.soundness is not Soundness.DAMAGED for facts in found)
    # In the last scans of a progressive JPEG, a decoder can fall into step again, and nothing is missing at the end.
    assert missed <= (2 if variant == "progressive" and damage in {left_out, overwritten} else 0)
    assert {facts.doubt for facts in found if facts.soundness is Soundness.DAMAGED} <= {
        Reason.CONTENT_DAMAGED,
        Reason.CONTENT_CUT_SHORT,
    }


def test_a_hole_has_a_text_of_its_own(examiner: Examiner) -> None:
    """People read that a part is missing, and see the rest in the thumbnail."""
    facts = examiner.examine(closed_early(photo("baseline"), 60_000), name="a.jpg")
    assert (facts.soundness, facts.doubt, facts.obstacle) == (
        Soundness.DAMAGED,
        Reason.CONTENT_DAMAGED,
        Obstacle.GAP,
    )
    assert facts.check.text == "The content is damaged: a part of the picture is missing or was overwritten."
    assert (facts.width_px, facts.height_px) == (800, 600)


def _with_segment(content: bytes, segment: bytes) -> bytes:
    return content[:2] + segment + content[2:]


def _with_scan_parameters(content: bytes, parameters: bytes) -> bytes:
    at = content.index(b"\xff\xda")
    at += int.from_bytes(content[at + 2 : at + 4], "big") - 1
    return content[:at] + parameters + content[at + 3 :]


def harmless() -> dict[str, bytes]:
    """Make photos as some cameras and programs write them: unusual, and whole."""
    whole, second = photo("baseline"), photo("optimized")
    return {
        "zeros behind it": whole + bytes(5000),
        "a movie behind it": whole + b"\0\0\0\x18ftypmp42" + pictures.random_bytes(50_000),
        "a second picture behind it": whole + second,
        "a part of another photo behind it": whole + second[len(second) // 3 :][:20_000] + b"\xff\xd9",
        "an empty JFIF segment": _with_segment(whole, b"\xff\xe0\0\2"),
        "an unknown JFIF version": whole.replace(b"JFIF\0\1\1", b"JFIF\0\3\7", 1),
        "junk before a table": whole.replace(b"\xff\xdb", bytes(7) + b"\xff\xdb", 1),
        "fill bytes before a table": whole.replace(b"\xff\xdb", b"\xff" * 9 + b"\xdb", 1),
        "a stuffed byte before a table": whole.replace(b"\xff\xdb", b"\xff\0\xff\xdb", 1),
        "an Adobe segment that is too short": _with_segment(whole, b"\xff\xee\0\7Adobe"),
        "a broken profile": _with_segment(whole, b"\xff\xe2\0\x12ICC_PROFILE\0\5\2ab"),
        "odd parameters of its scan": _with_scan_parameters(whole, b"\0\0\0"),
        "one colour": pictures.encoded(Image.new("RGB", (800, 600)), "JPEG", optimize=True),
        "one colour, progressive": pictures.encoded(
            Image.new("RGB", (800, 600)), "JPEG", optimize=True, progressive=True
        ),
    }


@pytest.mark.parametrize("label", harmless())
def test_a_whole_photo_is_verified_whatever_is_around_it(examiner: Examiner, label: str) -> None:
    """Junk in headers and data behind the end are no holes."""
    facts = examiner.examine(harmless()[label], name="a.jpg")
    assert (facts.soundness, facts.doubt) == (Soundness.VERIFIED, None)


def _scans_until(content: bytes, count: int) -> bytes:
    """Leave out all scans of a progressive JPEG after this many."""
    starts = [at for at in range(len(content)) if content.startswith(b"\xff\xda", at)]
    at = starts[count]
    while content.rfind(b"\xff\xc4", starts[count - 1], at) > 0:  # its tables, too
        at = content.rfind(b"\xff\xc4", starts[count - 1], at)
    return content[:at] + b"\xff\xd9"


@pytest.mark.parametrize("kept", [1, 5, 9])
def test_a_missing_scan_is_a_gap(examiner: Examiner, kept: int) -> None:
    """A progressive JPEG that is closed between two scans can be decoded, and is coarse."""
    facts = examiner.examine(_scans_until(photo("progressive"), kept), name="a.jpg")
    assert (facts.soundness, facts.obstacle) == (Soundness.DAMAGED, Obstacle.GAP)


@pytest.mark.parametrize("lost", [1, 3000, 20_000])
def test_a_second_picture_that_is_missing_is_a_gap(examiner: Examiner, lost: int) -> None:
    """A JPEG that declares several pictures, as stereo cameras and phones write it, has all of them."""
    first, second = pictures.picture(300, 200), pictures.picture(300, 200).rotate(180)
    whole = pictures.encoded(first, "MPO", save_all=True, append_images=[second])
    facts = examiner.examine(whole, name="a.jpg")
    assert (facts.soundness, facts.doubt) == (Soundness.VERIFIED, None)
    three = pictures.encoded(first, "MPO", save_all=True, append_images=[second, first])
    assert examiner.examine(three, name="a.jpg").soundness is Soundness.VERIFIED
    second_at = whole.rindex(b"\xff\xd8\xff")
    elsewhere = whole[:second_at] + bytes(4) + whole[second_at + 4 :]
    for content, obstacle in (
        (whole[:-lost], Obstacle.GAP),
        (zeroed(whole, len(whole) - HOLE_BYTES - lost % 500), Obstacle.GAP),
        (elsewhere, Obstacle.UNSUPPORTED),
    ):
        assert examiner.examine(content, name="a.jpg").obstacle is obstacle


@pytest.mark.parametrize(
    "index", [b"", b"II*\0", b"II*\0\x08\0\0\0\x09\0\2\xb0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\0\0"]
)
def test_an_invalid_index_of_pictures_is_no_gap(examiner: Examiner, index: bytes) -> None:
    """An index that can't be read declares nothing."""
    segment = b"\xff\xe2" + (6 + len(index)).to_bytes(2, "big") + b"MPF\0" + index
    facts = examiner.examine(_with_segment(photo("baseline"), segment), name="a.jpg")
    assert (facts.soundness, facts.doubt) == (Soundness.VERIFIED, None)


def _frame_as(content: bytes, *, process: int = 0xC0, bits: int = 8, height: int | None = None) -> bytes:
    at = content.index(b"\xff\xc0")
    size = content[at + 5 : at + 7] if height is None else struct.pack(">H", height)
    return (
        content[: at + 1]
        + bytes([process])
        + content[at + 2 : at + 4]
        + bytes([bits])
        + size
        + content[at + 7 :]
    )


@pytest.mark.parametrize(
    "header",
    [{"process": 0xC3}, {"process": 0xC9}, {"process": 0xCA}, {"process": 0xC1, "bits": 12}, {"height": 0}],
)
def test_a_rare_kind_is_unverified_and_imported(examiner: Examiner, header: dict[str, int]) -> None:
    """Lossless, arithmetic and 12-bit JPEGs, and those with their height at the end, are not called damaged."""
    facts = examiner.examine(_frame_as(photo("baseline"), **header), name="a.jpg")
    assert (facts.soundness, facts.obstacle, facts.doubt) == (
        Soundness.UNVERIFIED,
        Obstacle.UNSUPPORTED,
        None,
    )
    assert facts.check.text == "The content is unverified: this variant of the format can't be decoded here."


@pytest.mark.parametrize(
    ("rest", "soundness"),
    [(b"\0", Soundness.VERIFIED), (bytes(7), Soundness.UNVERIFIED), (b"\1\2\3\4" * 25, Soundness.DAMAGED)],
)
def test_bytes_that_are_left_over_in_the_picture_data(
    examiner: Examiner, rest: bytes, soundness: Soundness
) -> None:
    """Some cameras write a few bytes too many, which is no gap. Many bytes are what a gap leaves."""
    whole = bytes(photo("baseline"))
    facts = examiner.examine(whole[:-2] + rest + whole[-2:], name="a.jpg")
    assert facts.soundness is soundness


def test_an_unusual_subsampling_is_unverified(examiner: Examiner) -> None:
    """Pillow decodes it, and the strict decoder does not: nothing is wrong with the photo."""
    whole = bytearray(photo("baseline"))
    at = whole.index(b"\xff\xc0")
    whole[at + 11] = 0x31  # three blocks of brightness for one of each colour, instead of four
    facts = examiner.examine(bytes(whole), name="a.jpg")
    assert facts.obstacle in {Obstacle.UNSUPPORTED, Obstacle.UNDECODABLE}


def test_without_the_extra_a_photo_is_unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decoded by Pillow, imported, and the text names the extra."""
    code = (
        f"import json, sys; sys.path[:] = json.loads({json.dumps(sys.path)!r}); sys.modules['simplejpeg'] = None; "
        "from intouch_import.media.worker import main; main()"
    )
    pool = DecodingPool(workers=1, command=[sys.executable, "-c", code])
    facts: MediaFacts = Examiner(zone=ZoneInfo("UTC"), pool=pool).examine(photo("baseline"), name="a.jpg")
    pool.close()
    assert (facts.soundness, facts.obstacle, facts.doubt, facts.width_px) == (
        Soundness.UNVERIFIED,
        Obstacle.NO_DECODER,
        None,
        800,
    )
    assert "intouch-import[media]" in facts.check.text
    supported.cache_clear()
    monkeypatch.setattr(kinds, "find_spec", lambda _name: None)
    assert supported(Kind.JPEG) is Supported.PARTLY
    supported.cache_clear()
