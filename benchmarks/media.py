"""What looking into files costs: photos checked and thumbnailed against Pillow alone, and moves with and without checks."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import PATIENT, Line, at_most, clinic, in_turn, part_of, per_file, seconds
from PIL import Image, ImageChops

from intouch_import.inbox import Inbox
from intouch_import.media import Examiner
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.thumbnails import Thumbnails
from intouch_import.model import Soundness
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from measuring import Sizes

SIZE = (4032, 3024)
PX = 256
LIMIT = 1.0


def lines(sizes: Sizes) -> list[Line]:
    """Measure checking and thumbnailing, then moving."""
    folder = lay_pictures(part_of(sizes.folder) / "photos", sizes.photos)
    return [*look_lines(sizes, folder), *move_lines(sizes, folder)]


def lay_pictures(folder: Path, count: int) -> Path:
    """Make a folder of different JPEGs of 12 megapixels, some 3 MB each; they are in the page cache."""
    folder.mkdir()
    grain = Image.effect_noise((SIZE[0] // 2, SIZE[1] // 2), 40).resize(SIZE)
    light = Image.radial_gradient("L").resize(SIZE)
    picture = Image.merge("RGB", [Image.blend(light, grain, 0.15)] * 3)
    for number in range(count):
        shifted = ImageChops.offset(picture, 97 * number, 61 * number)
        shifted.save(folder / f"IMG_{number:06}.jpg", "JPEG", quality=92)
    os.sync()
    return folder


def look_lines(sizes: Sizes, folder: Path) -> list[Line]:
    """Check and thumbnail the photos: with two threads and two workers, and with one of each."""
    photos = sorted(folder.iterdir())
    pools = {count: DecodingPool(workers=count) for count in (1, 2)}

    def ours(workers: int, *, kept: bool = True) -> Callable[[], float]:
        pool = pools[workers]

        def one() -> float:
            cache = Thumbnails(part_of(sizes.folder) / "thumbnails", px=PX, pool=pool) if kept else None
            examiner = Examiner(zone=UTC, pool=pool, thumbnails=cache)

            def look(path: Path) -> None:
                with path.open("rb", buffering=0) as stream:
                    # A key, not a digest: hashing is the move's business, and not the peer's either.
                    key = hashlib.sha256(path.name.encode()).hexdigest()
                    facts = examiner.examine(stream, name=path.name, sha256=key)
                if facts.soundness is not Soundness.VERIFIED or (
                    cache is not None and cache.get(key) is None
                ):
                    raise AssertionError("a photo was not verified, or has no thumbnail")

            with ThreadPoolExecutor(workers) as threads:
                # The workers run: they are started once for all files, and not for this.
                list(threads.map(look, photos[:workers]))
                return seconds(lambda: list(threads.map(look, photos)))

        return one

    def peer() -> float:
        def work() -> None:
            for path in photos:
                with Image.open(path) as image:
                    image.draft("RGB", (PX, PX))
                    image.thumbnail((PX, PX))

        return seconds(work)

    two_s, one_s, checked_s, peer_s = in_turn(sizes.repeat, ours(2), ours(1), ours(1, kept=False), peer)
    for pool in pools.values():
        pool.close()
    what = f"check {{}} {len(photos)} JPEGs of 12 megapixels, in processes of their own, {{}}"
    return [
        Line(
            what=f"{what.format(*how)} / Image.draft().thumbnail() in one thread, not kept",
            ours=per_file(taken_s, len(photos)),
            peer=per_file(peer_s, len(photos)),
            ratio=f"{taken_s / peer_s:.2f} x",
            target=at_most(LIMIT, taken_s / peer_s) if how[1] == "two workers" else "",
        )
        for how, taken_s in (
            (("and thumbnail", "two workers"), two_s),
            (("and thumbnail", "one worker"), one_s),
            (("alone", "one worker"), checked_s),
        )
    ]


def move_lines(sizes: Sizes, folder: Path) -> list[Line]:
    """Save the photos to a patient: looking into them, and not."""
    count = len(os.listdir(folder))

    def turn(*, check: bool) -> Callable[[], float]:
        def one() -> float:
            target = part_of(sizes.folder)
            with clinic(target) as records:
                inbox = Inbox(
                    records, [open_source(str(folder))], auto_import=False, settle_s=0, check_content=check
                )
                inbox.refresh()
                taken_s = seconds(lambda: inbox.save(inbox.prepare(inbox.rows, patient=PATIENT)))
                found = records.attachments(PATIENT)
                verified = sum(stored.soundness is Soundness.VERIFIED for stored in found)
                if (len(found), verified) != (count, count if check else 0):
                    raise AssertionError("not every photo was moved, or looked into")
            for path in (target / "files").rglob("*"):
                if path.is_file():
                    path.rename(folder / f"IMG_{path.name}.jpg")
            return taken_s

        return one

    checked_s, unchecked_s = in_turn(sizes.repeat, turn(check=True), turn(check=False))
    return [
        Line(
            what=f"move {count} JPEGs of 12 megapixels, looking into each / the same with check_content=False",
            ours=per_file(checked_s, count),
            peer=per_file(unchecked_s, count),
            ratio=f"{checked_s / unchecked_s:.2f} x",
        )
    ]
