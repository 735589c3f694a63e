"""What the bytes of a file say about its companions."""

from __future__ import annotations

import io
import json
import struct
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

import pictures
from intouch_import.media.companion_facts import companion_facts
from intouch_import.media.companions import CompanionFacts, Companions, survey
from movies import TAKEN, box, movie_header

SYDNEY = ZoneInfo("Australia/Sydney")
LIVE = "0C5A0A1E-5F33-4F8D-9D2C-6E0B0B5A9C11"
OTHER = "7B7F4B1B-32B1-4A53-8B0F-0F5B2B8C4D22"
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
 xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" {}/></rdf:RDF></x:xmpmeta>"""


def facts(name: str, content: bytes, *, edge: int = 65_536) -> CompanionFacts:
    edges = content[:edge], content[-edge:]
    return companion_facts(name, edges, size_bytes=len(content), zone=SYDNEY)


def maker_note(**ids: str) -> bytes:
    """Make Apple's maker note: big-endian, its offsets from its own start."""
    tags = {"burst_id": 0x0B, "content_id": 0x11}
    texts = [(tags[name], text.encode() + b"\0") for name, text in ids.items()]
    at = 16 + 12 * (len(texts) + 1) + 4
    table = struct.pack(">HHLL", 1, 9, 1, 14)
    for tag, text in texts:
        table += struct.pack(">HHLL", tag, 2, len(text), at)
        at += len(text)
    head = b"Apple iOS\0\0\1MM" + struct.pack(">H", len(texts) + 1)
    return head + table + bytes(4) + b"".join(text for _, text in texts)


def photo(*, taken: str = "2026:01:31 14:25:01", model: str = "iPhone 12", **ids: str) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Apple", model
    inner = {0x9003: taken, 0x9011: "+11:00"}
    if ids:
        inner[0x927C] = maker_note(**ids)
    exif._ifds[0x8769] = inner
    out = io.BytesIO()
    pictures.picture(64, 48).save(out, "JPEG", exif=exif)
    return out.getvalue()


def movie(*, created: datetime = TAKEN, payload_bytes: int = 1000, **values: str) -> bytes:
    """Make a QuickTime movie whose index, at its end, has Apple's metadata."""
    names = {"content_id": "content.identifier", "date": "creationdate", "make": "make", "model": "model"}
    keys = b"".join(box(b"mdta", b"com.apple.quicktime." + names[key].encode()) for key in values)
    items = b"".join(
        box(struct.pack(">L", at), box(b"data", struct.pack(">LL", 1, 0) + text.encode()))
        for at, text in enumerate(values.values(), start=1)
    )
    meta = box(b"hdlr", bytes(24)) + box(b"keys", struct.pack(">LL", 0, len(values)) + keys)
    created_s = int((created - datetime(1904, 1, 1, tzinfo=UTC)).total_seconds())
    index = movie_header(created_s=created_s, duration_s=2) + box(b"meta", meta + box(b"ilst", items))
    data = box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + box(b"mdat", bytes(payload_bytes))
    return data + box(b"moov", index)


def test_a_photo_gives_its_time_its_device_and_apples_ids() -> None:
    """Capture time, device, content identifier and burst id are read from the head of a photo."""
    found = facts("IMG_1.JPG", photo(content_id=LIVE.lower(), burst_id=OTHER))

    assert found == CompanionFacts(
        taken_at=(TAKEN,), device="apple iphone 12", content_id=LIVE, burst_id=OTHER
    )


def test_a_movie_gives_the_same_from_its_last_bytes() -> None:
    """The index of a long movie is read without what is before it; both readings of its time are given."""
    content = movie(
        payload_bytes=300_000,
        content_id=LIVE,
        date="2026-01-31T14:25:03+1100",
        make="Apple",
        model="iPhone 12",
    )
    found = facts("IMG_1.MOV", content)

    assert (found.content_id, found.device) == (LIVE, "apple iphone 12")
    assert TAKEN + timedelta(seconds=2) in found.taken_at
    assert {TAKEN, TAKEN.replace(tzinfo=SYDNEY)} < set(found.taken_at)


@pytest.mark.parametrize("edge", [65_536, 700, 60, 0])
def test_a_part_that_was_not_read_is_not_guessed(edge: int) -> None:
    """With fewer bytes, less is known, and nothing else."""
    whole = facts("IMG_1.MOV", movie(payload_bytes=9000, content_id=LIVE))
    found = facts("IMG_1.MOV", movie(payload_bytes=9000, content_id=LIVE), edge=edge)

    assert found in (whole, CompanionFacts())


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ("2026:01:31 14:25:01", 1),
        ("2012:01:01 00:00:07", 0),
        ("2000:01:03 04:05:06", 0),
        ("0000:00:00 00:00:00", 0),
    ],
)
def test_the_time_of_a_clock_that_was_reset_is_no_evidence(taken: str, expected: int) -> None:
    """A camera that was without power writes the same times again and again."""
    assert len(facts("a.jpg", photo(taken=taken)).taken_at) == expected


@pytest.mark.parametrize(
    "wrong", ["", "00000000-0000-0000-0000-000000000000", "short", "not a hexadecimal number"]
)
def test_what_is_no_id_is_not_taken_for_one(wrong: str) -> None:
    """Empty ids, ids of zeros and other texts would put strangers together."""
    assert facts("a.jpg", photo(content_id=wrong)).content_id is None
    assert facts("a.mov", movie(content_id=wrong)).content_id is None


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.xmp", XMP.format('crs:RawFileName="A.CR2" xmpMM:DocumentID="D1"'), ("A.CR2", "D1")),
        ("a.xmp", XMP.format('xmpMM:DerivedFrom="A.NEF"'), ("A.NEF", None)),
        ("a.xmp", XMP.format('xmpMM:DerivedFrom="uuid"'), (None, None)),
        ("a.xmp", "<no", (None, None)),
        ("a.json", json.dumps({"title": "A.JPG", "photoTakenTime": {}}), ("A.JPG", None)),
        ("a.json", json.dumps({"title": "Left arm"}), (None, None)),
        ("a.json", json.dumps({"title": 7, "photoTakenTime": {}}), (None, None)),
        ("a.json", "[" * 100_000, (None, None)),
        ("a.json", "{", (None, None)),
        ("a.json", '["title"]', (None, None)),
        ("a.aae", "<plist/>", (None, None)),
        ("a.thm", "x", (None, None)),
        ("a.pdf", "x", (None, None)),
    ],
)  # fmt: skip
def test_a_sidecar_gives_the_name_of_its_owner(
    name: str, content: str, expected: tuple[str | None, str | None]
) -> None:
    """Lightroom, darktable and Takeout write the name of the file; other content says nothing."""
    found = facts(name, content.encode())
    assert (found.owner_name, found.document_id) == expected


def test_an_id_in_the_xmp_of_a_photo_is_read() -> None:
    """The DocumentID in a photo says to which photo of one name a sidecar belongs."""
    content = photo()
    packet = b"http://ns.adobe.com/xap/1.0/\0" + XMP.format('xmpMM:DocumentID="D1"').encode()
    segment = b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet
    assert facts("a.jpg", content[:2] + segment + content[2:]).document_id == "D1"


def test_a_folder_is_grouped_by_what_is_in_its_files() -> None:
    """Names and bytes together decide; a file that can't be read is a doubt, and is asked for once."""
    files = {
        "IMG_1.JPG": photo(content_id=LIVE),
        "IMG_7.MOV": movie(content_id=LIVE),
        "IMG_2.JPG": photo(),
        "IMG_2.MOV": movie(created=TAKEN + timedelta(days=40)),
        "IMG_3.JPG": photo(),
        "IMG_3.MOV": None,
        "IMG_4.JPG": photo(),
        "IMG_4.JPG.json": json.dumps({"title": "IMG_4.JPG", "photoTakenTime": {}}).encode(),
    }
    asked = []

    def read(name: str) -> CompanionFacts | None:
        asked.append(name)
        content = files[name]
        return facts(name, content) if content is not None else None

    found: Companions = survey(files, read)

    assert [group.names for group in found.groups if group.parts] == [
        ("IMG_1.JPG", "IMG_7.MOV"),
        ("IMG_4.JPG", "IMG_4.JPG.json"),
    ]
    assert [(one.name, one.other) for one in found.possible] == [("IMG_3.JPG", "IMG_3.MOV")]
    assert len(asked) == len(set(asked))
