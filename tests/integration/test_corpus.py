"""Files of every format, whole and damaged: what the library says of them, and what independent programs say.

``INTOUCH_CORPUS`` is the number of times that each file is damaged in each way; ``nox -s corpus`` sets it.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

import pictures
from corpus.compare import compare, disagreements, tables
from corpus.damage import DAMAGES, look, table
from corpus.files import whole_files
from corpus.judges import find_tools
from intouch_import.media import Examiner
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.kinds import Kind
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from corpus.damage import Found
    from corpus.files import Whole

RUNS = int(os.environ.get("INTOUCH_CORPUS", "20"))
SAMPLE = 40
# The formats of which every cut beyond the last 64 bytes must stop an automatic import.
FOUND = (
    "jpeg",
    "png",
    "tiff",
    "raw",
    "gif",
    "bmp",
    "webp",
    "heic",
    "avif",
    "jp2",
    "j2k",
    "mp4",
    "mov",
    "pdf",
    "dicom",
)
FOUND += ("docx", "xlsx", "pptx", "odt", "zip", "avi", "asf", "matroska", "pcd")
EDGE_BYTES = 64


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    pool = DecodingPool(workers=2)
    yield Examiner(zone=ZoneInfo("Australia/Sydney"), pool=pool)
    pool.close()


def sample() -> list[Whole]:
    """Choose some files, at least one of each format."""
    files = list(whole_files())
    random.Random(3).shuffle(files)
    first = {file.format: file for file in files}
    others = [file for file in files if first[file.format] is not file]
    return [*first.values(), *others][:SAMPLE]


def false_alarms(files: Sequence[Whole], examiner: Examiner) -> list[str]:
    """List the whole files that wait, or whose kind is not recognised."""
    alarms = []
    for file in files:
        facts = examiner.examine(file.content, name=file.name)
        if facts.kind is not file.kind or facts.doubt is not None or facts.soundness is Soundness.DAMAGED:
            alarms.append(f"{file.label}: {facts.kind}, {facts.soundness}, {facts.doubt}, {facts.obstacle}")
    return alarms


def believed(found: Sequence[Found]) -> list[str]:
    """List the cut files that are verified, or that would be imported automatically, and JPEG and PNG with a hole."""
    return [str(one) for one in found if _is_believed(one)]


def _is_believed(one: Found) -> bool:
    kind = one.file.format.partition(",")[0]
    if one.damage == "cut":
        return one.verified or (not one.waits and one.lost > EDGE_BYTES and kind in FOUND)
    if one.file.kind is Kind.JPEG:  # holes in metadata do no harm
        return one.verified and one.at >= _picture_at(one.file.content)
    return one.file.kind is Kind.PNG and one.verified


def _picture_at(jpeg: bytes) -> int:
    """Return where the header of the first scan begins, behind all metadata with their previews."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        at += 1 if jpeg[at + 1] == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at


def test_damaged_files_of_each_format_are_not_believed(examiner: Examiner) -> None:
    """No whole file waits, no cut file and no JPEG or PNG with a hole is verified, and no cut one is imported."""
    files = sample()
    assert not false_alarms(files, examiner)
    found = look(files, examiner, count=3)
    print(table(found))
    assert not believed(found)


@pytest.mark.long
def test_every_file_is_damaged_many_times(examiner: Examiner) -> None:
    """The same is true for 20 random damages of each way, of 200 files in 20 formats."""
    files = whole_files()
    assert len(files) >= 200
    assert len({file.format for file in files}) >= 20
    alarms = false_alarms(files, examiner)
    print(f"{len(alarms)} of {len(files)} whole files wait", *alarms, sep="\n  ")
    found = look(files, examiner, count=RUNS)
    print(table(found))
    for damage in DAMAGES:
        print(f"{damage}: {sum(one.verified for one in found if one.damage == damage)} verified")
    missed = believed(found)
    print(f"{len(missed)} cut files are believed", *missed, sep="\n  ")
    assert len(alarms) * 1000 <= len(files)
    assert not missed


def test_independent_programs_agree(tmp_path: Path) -> None:
    """The programs that are installed here contradict the library about no kind and no capture time."""
    tools = find_tools(fetch=False)
    paths = [tmp_path / f"{label}.{extension}" for label, (extension, _) in pictures.whole().items()]
    for path, (_, content) in zip(paths, pictures.whole().values(), strict=True):
        path.write_bytes(content)
    cases = compare(paths, tools, cache=tmp_path / "thumbnails")
    print(tables(cases, tools))
    assert len(cases) == len(paths)
    wrong = ("kind", "time: exiftool says different")
    assert not [line for line in disagreements(cases) if line.startswith(wrong)]
