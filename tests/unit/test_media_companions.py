"""What belongs together: names and facts in, groups out."""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
import pytest

from intouch_import.media.companions import (
    CompanionDoubt,
    CompanionFacts,
    CompanionRole,
    MatchedBy,
    Part,
    find_companions,
    is_sidecar,
    names_to_read,
)

NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
WEEKS: Final = 40 * 86_400.0
NOTHING: Final = CompanionFacts()


def taken(after_s: float = 0.0, device: str | None = "iPhone 12", **more: str) -> CompanionFacts:
    return CompanionFacts(taken_at=(NOON + timedelta(seconds=after_s),), device=device, **more)


def inside(owner_name: str) -> CompanionFacts:
    return CompanionFacts(owner_name=owner_name)


@attrs.frozen
class Arrangement:
    """Files of one folder, and the names of those that belong together, the owner first."""

    what: str
    files: dict[str, CompanionFacts | None]
    groups: tuple[tuple[str, ...], ...] = ()
    """Groups of more than one file. All other files are alone."""
    doubt: CompanionDoubt | None = None
    """Why two of the files may belong together; None if none may."""


LONG: Final = "a_photo_with_a_name_that_is_much_longer_than_forty_six.jpg"
TOGETHER: Final = [
    Arrangement(
        "an iPhone's live photo: one content id, one stem",
        {
            "IMG_1234.HEIC": taken(content_id="A1"),
            "IMG_1234.MOV": taken(3600, content_id="A1"),
        },
        (("IMG_1234.HEIC", "IMG_1234.MOV"),),
    ),
    Arrangement(
        "a live photo whose movie was renamed: one content id, other stems",
        {"arm.jpg": taken(content_id="A1"), "IMG_1234.MOV": CompanionFacts(content_id="A1")},
        (("arm.jpg", "IMG_1234.MOV"),),
    ),
    Arrangement(
        "two live photos with crossed names: the content id decides",
        {
            "a.HEIC": taken(content_id="A1"),
            "a.MOV": taken(content_id="B2"),
            "b.HEIC": taken(1, content_id="B2"),
            "b.MOV": taken(1, content_id="A1"),
        },
        (("a.HEIC", "b.MOV"), ("b.HEIC", "a.MOV")),
    ),
    Arrangement(
        "a photo and its movie without ids, taken within seconds",
        {"IMG_1234.JPG": taken(), "IMG_1234.MOV": taken(2)},
        (("IMG_1234.JPG", "IMG_1234.MOV"),),
    ),
    Arrangement(
        "a movie that does not say which device, taken within seconds",
        {"IMG_1234.HEIC": taken(), "IMG_1234.MP4": taken(1, device=None)},
        (("IMG_1234.HEIC", "IMG_1234.MP4"),),
    ),
    Arrangement(
        "a movie of which one reading of its time fits",
        {
            "IMG_1234.HEIC": taken(),
            "IMG_1234.MOV": CompanionFacts(taken_at=(NOON - timedelta(hours=10), NOON)),
        },
        (("IMG_1234.HEIC", "IMG_1234.MOV"),),
    ),
    Arrangement(
        "RAW and JPEG of one exposure",
        {"DSC_0001.NEF": taken(device="D850"), "DSC_0001.JPG": taken(device="D850")},
        (("DSC_0001.JPG", "DSC_0001.NEF"),),
    ),
    Arrangement(
        "RAW, JPEG, movie and sidecars of one moment",
        {
            "IMG_0007.CR3": taken(),
            "IMG_0007.JPG": taken(),
            "IMG_0007.MP4": taken(3),
            "IMG_0007.xmp": NOTHING,
            "IMG_0007.CR3.xmp": NOTHING,
        },
        (("IMG_0007.JPG", "IMG_0007.MP4", "IMG_0007.CR3", "IMG_0007.CR3.xmp", "IMG_0007.xmp"),),
    ),
    Arrangement(
        "an iPhone's ProRAW with its movie",
        {"IMG_0008.DNG": taken(content_id="A1"), "IMG_0008.MOV": taken(1, content_id="A1")},
        (("IMG_0008.DNG", "IMG_0008.MOV"),),
    ),
    Arrangement(
        "an edited twin of an iPhone",
        {"IMG_1234.HEIC": taken(), "IMG_E1234.JPG": taken(), "IMG_1234.AAE": NOTHING},
        (("IMG_1234.HEIC", "IMG_E1234.JPG", "IMG_1234.AAE"),),
    ),
    Arrangement(
        "an iPhone's whole set after an edit",
        {
            "IMG_1234.HEIC": taken(content_id="A1"),
            "IMG_1234.MOV": taken(content_id="A1"),
            "IMG_E1234.HEIC": taken(content_id="A1"),
            "IMG_E1234.MOV": taken(content_id="A1"),
            "IMG_1234.AAE": None,
            "IMG_O1234.AAE": None,
        },
        (
            (
                "IMG_1234.HEIC",
                "IMG_1234.MOV",
                "IMG_E1234.MOV",
                "IMG_E1234.HEIC",
                "IMG_1234.AAE",
                "IMG_O1234.AAE",
            ),
        ),
    ),
    Arrangement(
        "an edited copy from Takeout",
        {"IMG_1234(1).jpg": taken(), "IMG_1234-edited(1).jpg": taken()},
        (("IMG_1234(1).jpg", "IMG_1234-edited(1).jpg"),),
    ),
    Arrangement(
        "one photo in two formats",
        {"IMG_1234.HEIC": taken(), "IMG_1234.jpg": taken()},
        (("IMG_1234.jpg", "IMG_1234.HEIC"),),
    ),
    Arrangement(
        "a sidecar in other letters, composed and decomposed",
        {"Mole\u0301culas.JPG": None, "mol\u00e9culas.xmp": NOTHING},
        (("Mole\u0301culas.JPG", "mol\u00e9culas.xmp"),),
    ),
    Arrangement(
        "a sidecar that names its RAW, of two strangers with one stem",
        {
            "IMG_1.CR2": taken(),
            "IMG_1.JPG": taken(WEEKS),
            "IMG_1.CR2.xmp": inside("IMG_1.CR2"),
        },
        (("IMG_1.CR2", "IMG_1.CR2.xmp"),),
    ),
    Arrangement(
        "a sidecar with the DocumentID of one of two strangers",
        {
            "IMG_1.TIF": taken(document_id="D1"),
            "IMG_1.JPG": taken(WEEKS, document_id="D2"),
            "IMG_1.xmp": CompanionFacts(document_id="D2"),
        },
        (("IMG_1.JPG", "IMG_1.xmp"),),
    ),
    Arrangement(
        "a sidecar of a document",
        {"report.pdf": None, "report.pdf.xmp": NOTHING},
        (("report.pdf", "report.pdf.xmp"),),
    ),
    Arrangement(
        "Takeout's metadata, plain and since 2024",
        {
            "IMG_1.JPG": None,
            "IMG_1.JPG.json": inside("IMG_1.JPG"),
            "IMG_2.JPG": None,
            "IMG_2.JPG.supplemental-metadata.json": inside("IMG_2.JPG"),
        },
        (("IMG_1.JPG", "IMG_1.JPG.json"), ("IMG_2.JPG", "IMG_2.JPG.supplemental-metadata.json")),
    ),
    Arrangement(
        "Takeout's metadata, its word cut",
        {
            "Screenshot_20260131-120000_Photos.jpg": None,
            "Screenshot_20260131-120000_Photos.jpg.supplem.json": NOTHING,
        },
        (
            (
                "Screenshot_20260131-120000_Photos.jpg",
                "Screenshot_20260131-120000_Photos.jpg.supplem.json",
            ),
        ),
    ),
    Arrangement(
        "Takeout's metadata, the photo's name cut",
        {LONG[:47] + ".jpg": None, LONG[:46] + ".json": inside(LONG)},
        ((LONG[:47] + ".jpg", LONG[:46] + ".json"),),
    ),
    Arrangement(
        "Takeout's numbers stand at other places",
        {
            "IMG_1.JPG": None,
            "IMG_1(1).JPG": None,
            "IMG_1.JPG.json": inside("IMG_1.JPG"),
            "IMG_1.JPG(1).json": inside("IMG_1.JPG"),
            "IMG_1(2).JPG": None,
            "IMG_1.JPG.supplemental-metadata(2).json": inside("IMG_1.JPG"),
        },
        (
            ("IMG_1(1).JPG", "IMG_1.JPG(1).json"),
            ("IMG_1(2).JPG", "IMG_1.JPG.supplemental-metadata(2).json"),
            ("IMG_1.JPG", "IMG_1.JPG.json"),
        ),
    ),
    Arrangement(
        "Takeout's metadata of a live photo",
        {
            "IMG_1.HEIC": taken(content_id="A1"),
            "IMG_1.MP4": taken(content_id="A1"),
            "IMG_1.HEIC.json": inside("IMG_1.HEIC"),
        },
        (("IMG_1.HEIC", "IMG_1.MP4", "IMG_1.HEIC.json"),),
    ),
    Arrangement(
        "a camera's preview of a movie",
        {"MVI_0001.MOV": None, "MVI_0001.THM": None},
        (("MVI_0001.MOV", "MVI_0001.THM"),),
    ),
    Arrangement(
        "a GoPro's previews, in its two numberings",
        {
            "GX010123.MP4": None,
            "GL010123.LRV": None,
            "GX010123.THM": None,
            "GOPR0124.MP4": None,
            "GOPR0124.LRV": None,
        },
        (("GOPR0124.MP4", "GOPR0124.LRV"), ("GX010123.MP4", "GL010123.LRV", "GX010123.THM")),
    ),
    Arrangement(
        "a Pixel's motion photo and its movie: the name has the time",
        {"PXL_20260131_120000123.MP.jpg": NOTHING, "PXL_20260131_120000123.MP": NOTHING},
        (("PXL_20260131_120000123.MP.jpg", "PXL_20260131_120000123.MP"),),
    ),
    Arrangement(
        "a Pixel's RAW beside its cover",
        {
            "PXL_20260131_120000123.RAW-01.COVER.jpg": NOTHING,
            "PXL_20260131_120000123.RAW-02.ORIGINAL.dng": NOTHING,
        },
        (("PXL_20260131_120000123.RAW-01.COVER.jpg", "PXL_20260131_120000123.RAW-02.ORIGINAL.dng"),),
    ),
    Arrangement(
        "a burst by its id: the first photo is the owner",
        {"IMG_2.HEIC": taken(burst_id="B"), "IMG_1.HEIC": taken(1, burst_id="B")},
        (("IMG_1.HEIC", "IMG_2.HEIC"),),
    ),
    Arrangement(
        "a burst by its names: the cover is the owner",
        {
            "00000IMG_00000_BURST20260131120000123.jpg": NOTHING,
            "00001IMG_00001_BURST20260131120000123_COVER.jpg": NOTHING,
            "IMG_20260131_120500_BURST001_COVER.jpg": NOTHING,
            "IMG_20260131_120500_BURST002.jpg": NOTHING,
        },
        (
            (
                "00001IMG_00001_BURST20260131120000123_COVER.jpg",
                "00000IMG_00000_BURST20260131120000123.jpg",
            ),
            ("IMG_20260131_120500_BURST001_COVER.jpg", "IMG_20260131_120500_BURST002.jpg"),
        ),
    ),
]
APART: Final = [
    Arrangement(
        "numbering that began again: a photo and a movie weeks apart",
        {"IMG_0001.JPG": taken(), "IMG_0001.MOV": taken(WEEKS)},
    ),
    Arrangement(
        "a RAW and a JPEG of another day",
        {"DSC_0001.NEF": taken(), "DSC_0001.JPG": taken(86_400 + 11)},
    ),
    Arrangement(
        "equal stems, different content ids",
        {"IMG_1.HEIC": taken(content_id="A1"), "IMG_1.MOV": taken(86_411, content_id="B2")},
    ),
    Arrangement(
        "equal stems and times, different content ids",
        {"IMG_1.HEIC": taken(content_id="A1"), "IMG_1.MOV": taken(content_id="B2")},
    ),
    Arrangement(
        "an edited twin with a content id of its own",
        {"IMG_1234.HEIC": taken(content_id="A1"), "IMG_E1234.HEIC": taken(content_id="B2")},
        doubt=CompanionDoubt.OTHER_CONTENT_ID,
    ),
    Arrangement(
        "the phones of two doctors at the same second",
        {"IMG_1.HEIC": taken(), "IMG_1.MOV": taken(device="iPhone 12 Pro")},
        doubt=CompanionDoubt.OTHER_DEVICE,
    ),
    Arrangement(
        "two devices, without a time",
        {"IMG_1.HEIC": CompanionFacts(device="a"), "IMG_1.MOV": CompanionFacts(device="b")},
    ),
    Arrangement(
        "one name, no capture time",
        {"001.bmp.jpg": NOTHING, "001.jpg": NOTHING, "001.avi": NOTHING},
        doubt=CompanionDoubt.NO_TIME,
    ),
    Arrangement(
        "one name, not read",
        {"IMG_1.JPG": None, "IMG_1.MOV": taken()},
        doubt=CompanionDoubt.NOT_READ,
    ),
    Arrangement(
        "times that differ by a time zone",
        {"IMG_1.JPG": taken(), "IMG_1.MOV": taken(5.5 * 3600 + 2)},
        doubt=CompanionDoubt.TIME_ZONE,
    ),
    Arrangement(
        "a name with a time, other times inside",
        {"20260131_120000.jpg": taken(), "20260131_120000.mp4": taken(WEEKS)},
        doubt=CompanionDoubt.OTHER_TIME,
    ),
    Arrangement(
        "a name with a time of a clock that was reset",
        {"20120101_000003.jpg": NOTHING, "20120101_000003.mp4": NOTHING},
        doubt=CompanionDoubt.NO_TIME,
    ),
    Arrangement(
        "an edited twin of a photo of another day",
        {"IMG_1234.HEIC": taken(), "IMG_E1234.JPG": taken(WEEKS)},
    ),
    Arrangement(
        "names that only begin alike",
        {"IMG_1.JPG": taken(), "IMG_10.MOV": taken(), "IMG_1 (2).MOV": taken(), "IMG_1_2.JPG": taken()},
    ),
    Arrangement(
        "documents and photos with one name",
        {"arm.jpg": taken(), "arm.pdf": None, "arm.docx": None, "arm.txt": None},
    ),
    Arrangement(
        "a sidecar of two strangers",
        {"IMG_1.JPG": taken(), "IMG_1.MOV": taken(WEEKS), "IMG_1.xmp": NOTHING},
        doubt=CompanionDoubt.SEVERAL_OWNERS,
    ),
    Arrangement(
        "a sidecar that names another file",
        {"IMG_1.JPG": taken(), "IMG_1.xmp": inside("IMG_2.CR2")},
        doubt=CompanionDoubt.NAMES_ANOTHER,
    ),
    Arrangement(
        "a sidecar with another DocumentID",
        {"IMG_1.JPG": taken(document_id="D1"), "IMG_1.xmp": CompanionFacts(document_id="D2")},
        doubt=CompanionDoubt.NAMES_ANOTHER,
    ),
    Arrangement(
        "Takeout's metadata of a numbered photo that is not here",
        {"IMG_1.JPG": taken(), "IMG_1.JPG(1).json": inside("IMG_1.JPG")},
    ),
    Arrangement(
        "sidecars without an owner",
        {"IMG_1.AAE": None, "IMG_1.xmp": None, "GL010123.LRV": None, "IMG_2.JPG": taken()},
    ),
    Arrangement(
        "a preview beside a photo: it is of a movie",
        {"IMG_1.JPG": taken(), "IMG_1.LRV": None},
    ),
    Arrangement(
        "a photo that fits two live photos of one stem",
        {
            "IMG_1.HEIC": taken(content_id="A1"),
            "IMG_1.MOV": taken(WEEKS, content_id="B2"),
            "IMG_1.JPG": taken(1),
        },
        doubt=CompanionDoubt.SEVERAL_OWNERS,
    ),
]


@pytest.mark.parametrize("one", [*TOGETHER, *APART], ids=lambda one: one.what)
def test_files_are_grouped_if_it_is_certain_that_they_belong_together(one: Arrangement) -> None:
    """Only certain companions are grouped; what is likely is a doubt with its reason; strangers are neither."""
    found = find_companions(one.files)

    assert tuple(group.names for group in found.groups if group.parts) == one.groups
    assert sorted(name for group in found.groups for name in group.names) == sorted(one.files)
    assert {possible.doubt for possible in found.possible} == ({one.doubt} if one.doubt else set())


def test_the_table_has_arrangements_of_both_kinds() -> None:
    """At least 40 arrangements are compared, and in at least 15 of them nothing may be grouped."""
    assert len(TOGETHER) + len(APART) >= 40
    assert len(APART) >= 15
    assert not any(one.groups for one in APART)


def test_every_part_has_its_role_and_its_evidence() -> None:
    """A part says what it is to its owner and why it belongs to it; a sidecar and a preview are not shown to staff."""
    found = find_companions(
        {
            "IMG_1234.HEIC": taken(content_id="A1"),
            "IMG_1234.MOV": taken(content_id="A1"),
            "IMG_1234.DNG": taken(),
            "IMG_1234.jpg.json": None,
            "IMG_1234.heic.json": inside("IMG_1234.heic"),
            "IMG_1234.png": taken(),
            "IMG_E1234.jpg": taken(),
            "IMG_1234.THM": None,
        }
    )

    assert found.group_of("IMG_1234.png").owner == "IMG_1234.HEIC"
    assert found.group_of("IMG_1234.THM").parts == (
        Part("IMG_1234.MOV", CompanionRole.MOVIE, MatchedBy.CONTENT_ID),
        Part("IMG_1234.DNG", CompanionRole.RAW, MatchedBy.TIME),
        Part("IMG_E1234.jpg", CompanionRole.EDITED, MatchedBy.TIME),
        Part("IMG_1234.png", CompanionRole.VERSION, MatchedBy.TIME),
        Part("IMG_1234.heic.json", CompanionRole.SIDECAR, MatchedBy.NAMED_INSIDE),
        Part("IMG_1234.THM", CompanionRole.PREVIEW, MatchedBy.NAME),
    )
    assert found.group_of("IMG_1234.jpg.json").is_orphan
    assert [role for role in CompanionRole if role.is_sidecar] == [
        CompanionRole.SIDECAR,
        CompanionRole.PREVIEW,
    ]


def test_a_doubt_is_found_from_either_file() -> None:
    """What may belong together is found by the name of either file, with a sentence for people."""
    found = find_companions({"a.jpg": NOTHING, "a.mov": NOTHING, "b.jpg": NOTHING})

    (doubt,) = found.possible
    assert found.possible_for("a.jpg") == found.possible_for("a.mov") == (doubt,)
    assert found.possible_for("b.jpg") == ()
    assert all(one.text.endswith(".") for one in CompanionDoubt)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_1.AAE", True), ("x.jpg.json", True), ("x.XMP", True), ("x.thm", True), ("GL1.LRV", True),
        ("x.lrf", True), ("x.jpg", False), (".xmp", False), ("xmp", False), ("x.xmp.jpg", False),
    ],
)  # fmt: skip
def test_a_sidecar_is_known_by_its_extension(name: str, expected: bool) -> None:
    """Files that only add to another file are known by their extension in any letter case."""
    assert is_sidecar(name) is expected


def test_only_files_that_may_have_a_companion_are_read() -> None:
    """Photos with a name of their own are read only if a movie of a live photo has lost its photo."""
    files: dict[str, CompanionFacts | None] = dict.fromkeys(
        ("a.jpg", "a.mov", "b.jpg", "c.xmp", "c.png", "d.json", "e.mp4", "f.aae", "f.heic", "g.mov")
    )
    assert names_to_read(files) == ["a.jpg", "a.mov", "c.xmp", "g.mov"]

    files |= {"a.jpg": taken(), "a.mov": taken(), "c.xmp": NOTHING, "g.mov": NOTHING}
    assert names_to_read(files) == []

    files["g.mov"] = CompanionFacts(content_id="A1")
    assert names_to_read(files) == ["b.jpg", "c.png", "f.heic"]


def test_the_work_is_proportional_to_the_number_of_files() -> None:
    """Hostile names, which all look like one stem or one cut name, make no more work than others, in proportion."""
    chance = random.Random(1)

    def calls(count: int) -> int:
        files: dict[str, CompanionFacts | None] = {}
        for at in range(count):
            stem = "".join(chance.choice((letter, letter.upper())) for letter in "abcdefghijklmnopqrst")
            files[f"{stem}.{('jpg', 'json', 'xmp', 'thm')[at % 4]}"] = taken(chance.randrange(3))
            files[f"{'x' * 46}{at}.jpg"] = None
            files[f"{'x' * 46}({at}).json"] = None
        made = 0

        def count_call(*_: object) -> None:
            nonlocal made
            made += 1

        sys.setprofile(count_call)
        try:
            names_to_read(files)
            find_companions(files)
        finally:
            sys.setprofile(None)
        return made

    assert calls(800) < 2.5 * calls(400)
