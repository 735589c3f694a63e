"""A folder of a thousand real pictures, half of them with capture names, moved into the records."""

from __future__ import annotations

import hashlib
import io
import random
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from intouch_import.model import Destination, State

if TYPE_CHECKING:
    from miniature import Practice

FORMATS = {
    ".jpg": "JPEG",
    ".JPEG": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".TIFF": "TIFF",
    ".gif": "GIF",
    ".jp2": "JPEG2000",
    ".J2K": "JPEG2000",
}
COUNT = 1000


def picture(number: int, extension: str) -> bytes:
    """A picture of its own, in the format that its extension says."""
    chance = random.Random(number)
    coarse = Image.frombytes("RGB", (12, 9), chance.randbytes(12 * 9 * 3))
    out = io.BytesIO()
    options = {"no_jp2": True} if extension == ".J2K" else {}
    coarse.resize((96, 72), Image.Resampling.BICUBIC).save(out, FORMATS[extension], **options)
    return out.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.slow
def test_a_thousand_pictures_arrive_unchanged(practice: Practice) -> None:
    """Every picture is in the record that it belongs to, byte for byte, and the folder is empty."""
    laid: dict[str, str] = {}
    for number, extension in zip(range(COUNT), list(FORMATS) * COUNT, strict=False):
        minute, second = divmod(number, 60)
        name = f"10042_DRJ_20260131_14{minute:02}{second:02}" if number % 2 else f"IMG_{number:04}"
        content = picture(number, extension)
        practice.photo(name + extension, content)
        laid[name + extension] = digest(content)
    assert len(set(laid.values())) == COUNT

    with practice.records() as records:
        inbox = practice.inbox(records=records)
        refreshed = inbox.refresh()
        assert (refreshed.imported, refreshed.waiting, refreshed.listed) == (COUNT // 2, COUNT // 2, COUNT)
        saved = inbox.save(inbox.prepare(inbox.rows, patient="10043", title="Archive"))
        assert {outcome.state for outcome in saved.outcomes} == {State.IMPORTED}
        assert saved.imported == COUNT // 2

        stored = {patient: records.attachments(patient) for patient in ("10042", "10043")}
        read_back = {}
        for attachment in (*stored["10042"], *stored["10043"]):
            with records.open_attachment(attachment.id) as stream:
                read_back[attachment.name] = digest(stream.read())
            assert attachment.destination is Destination.IMAGES
        assert inbox.ledger.verify() == []
    assert read_back == laid
    assert {attachment.name[:3] for attachment in stored["10043"]} == {"IMG"}
    assert [attachment.taken_at for attachment in stored["10042"]] == sorted(
        attachment.taken_at for attachment in stored["10042"] if attachment.taken_at is not None
    )
    assert practice.left() == []
