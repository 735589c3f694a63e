"""Examine files with the library, ask the judges about them, and print where they agree and disagree."""

from __future__ import annotations

import io
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
from PIL import Image

from corpus.judges import JUDGES, THUMBNAIL_PX, Opinion
from intouch_import.media import Examiner
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.kinds import Kind
from intouch_import.media.messages import Limits
from intouch_import.media.thumbnails import Thumbnails
from intouch_import.model import Reason, Soundness, TakenFrom

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from corpus.judges import Tool
    from intouch_import.media import MediaFacts

__all__ = ["Case", "compare", "disagreements", "tables"]

ZONE = ZoneInfo("Australia/Sydney")
_MIMES: dict[str, str] = {
    "image/x-canon-cr2": "image/tiff", "image/x-nikon-nef": "image/tiff", "image/x-sony-arw": "image/tiff",
    "image/x-adobe-dng": "image/tiff", "image/x-pentax-pef": "image/tiff", "image/x-ms-bmp": "image/bmp",
    "image/jpx": "image/jp2", "image/heif": "image/heic", "image/heic-sequence": "image/heic", "image/heif-sequence": "image/heic",
    "image/avif-sequence": "image/avif", "image/apng": "image/png", "image/x-jp2-codestream": "image/j2c",
    "image/j2k": "image/j2c", "image/x-j2c": "image/j2c", "image/x-tiff-big": "image/tiff", "image/x-photo-cd": "image/x-photo-cd", "video/msvideo": "video/x-msvideo", "video/avi": "video/x-msvideo",
    "video/x-m4v": "video/mp4", "video/3gpp": "video/mp4", "video/3gpp2": "video/mp4", "video/webm": "video/x-matroska",
    "video/x-ms-wmv": "video/x-ms-asf",
}  # fmt: skip
_OF_KINDS: dict[Kind, str] = {
    Kind.JPEG: "image/jpeg", Kind.PNG: "image/png", Kind.GIF: "image/gif", Kind.TIFF: "image/tiff",
    Kind.JP2: "image/jp2", Kind.J2K: "image/j2c", Kind.HEIC: "image/heic", Kind.AVIF: "image/avif",
    Kind.BMP: "image/bmp", Kind.WEBP: "image/webp", Kind.DICOM: "application/dicom", Kind.MP4: "video/mp4",
    Kind.MOV: "video/quicktime", Kind.AVI: "video/x-msvideo", Kind.ASF: "video/x-ms-asf",
    Kind.MATROSKA: "video/x-matroska", Kind.PDF: "application/pdf", Kind.PCD: "image/x-photo-cd",
}  # fmt: skip
"""The kinds that every judge names in the same way. Archives and documents have many names."""
_SAME_WITHIN = timedelta(seconds=2)
# Mean difference of a sample, of 255. JPEG, scaling and colour profiles make a difference of a few.
_SAME_PICTURE = 16.0
_DAMAGED = {Reason.CONTENT_CUT_SHORT, Reason.CONTENT_DAMAGED}


@attrs.frozen
class Case:
    """One file: what the library says, and what the judges say."""

    path: Path
    facts: MediaFacts
    thumbnail: bytes | None = attrs.field(repr=False)
    opinions: Mapping[str, Opinion]


def compare(paths: Sequence[Path], tools: Mapping[str, Tool], *, cache: Path, threads: int = 2) -> list[Case]:
    """Examine all files, and ask all judges.

    Args:
        paths: The files.
        tools: The programs of the judges.
        cache: A folder for thumbnails.
        threads: How many files are examined, and how many programs run, at once.
    """
    pool = DecodingPool(Limits(time_s=60.0), workers=threads)
    thumbnails = Thumbnails(cache, px=256, pool=pool)
    examiner = Examiner(zone=ZONE, pool=pool, thumbnails=thumbnails)

    def examine(numbered: tuple[int, Path]) -> tuple[MediaFacts, bytes | None]:
        number, path = numbered
        key = f"{number:064x}"
        with path.open("rb") as stream:
            facts = examiner.examine(stream, name=path.name, sha256=key)
        return facts, thumbnails.get(key)

    with ThreadPoolExecutor(threads) as workers:
        examined = list(workers.map(examine, enumerate(paths)))
        opinions: dict[Path, dict[str, Opinion]] = {path: {} for path in paths}
        mimes = {
            path: _OF_KINDS.get(facts.kind, "") for path, (facts, _) in zip(paths, examined, strict=True)
        }
        for judge in JUDGES:
            if judge.name not in tools:
                continue
            asked = [path for path in paths if not judge.mimes or re.match(judge.mimes, mimes[path])]
            # A judge of many files is asked about a hundred at once, to start its program once.
            step = 1 if judge.mimes else 100
            parts = [asked[at : at + step] for at in range(0, len(asked), step)]
            for found in workers.map(lambda part, judge=judge: judge.ask(tools[judge.name], part), parts):
                for path, opinion in found.items():
                    opinions[path][judge.name] = opinion
    pool.close()
    return [
        Case(path, facts, thumbnail, opinions[path])
        for path, (facts, thumbnail) in zip(paths, examined, strict=True)
    ]


# --- what they say


def _says_kind(case: Case, opinion: Opinion) -> str | None:
    ours = _OF_KINDS.get(case.facts.kind)
    if opinion.mime in {None, "application/octet-stream"} or ours is None:
        return None
    return "same" if _MIMES.get(opinion.mime, opinion.mime) == ours else "other"


def _says_whole(case: Case, opinion: Opinion) -> str | None:
    if opinion.whole is None:
        return None
    ours = "damaged" if case.facts.doubt in _DAMAGED else case.facts.soundness.value
    return f"{ours}, judge: {'whole' if opinion.whole else 'broken'}"


def _says_time(case: Case, opinion: Opinion) -> str | None:
    chosen = case.facts.times.chosen
    if chosen is not None and chosen.taken_from is TakenFrom.SOURCE:
        chosen = None
    if chosen is None or chosen.at is None:
        return "unread" if any(time < _tomorrow(time) for time in opinion.times) else "none"
    if not opinion.times:
        return "ours only"
    at, local = chosen.at, chosen.local or chosen.at.astimezone(ZONE).replace(tzinfo=None)
    apart = (abs(time - (local if time.tzinfo is None else at)) for time in opinion.times)
    return "same" if min(apart) <= _SAME_WITHIN else "different"


def _tomorrow(time: datetime) -> datetime:
    now = datetime.now(UTC) + timedelta(days=1)
    return now if time.tzinfo is not None else now.replace(tzinfo=None)


def _says_thumbnail(case: Case, opinion: Opinion) -> str | None:
    if opinion.pixels is None:
        return None
    if case.thumbnail is None:
        return "absent"
    with Image.open(io.BytesIO(case.thumbnail)) as image:
        ours = image.convert("RGB").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX).tobytes()
    difference = sum(abs(a - b) for a, b in zip(ours, opinion.pixels, strict=True)) / len(ours)
    return "same" if difference <= _SAME_PICTURE else "other"


_QUESTIONS = {
    "kind": (_says_kind, {"other"}),
    "whole": (_says_whole, {"verified, judge: broken", "damaged, judge: whole"}),
    "time": (_says_time, {"different", "unread"}),
    "thumbnail": (_says_thumbnail, {"other"}),
}


def _answers(cases: Sequence[Case]) -> Iterator[tuple[str, str, str, bool, Case]]:
    """Yield question, judge, answer, whether it is a disagreement, and the file."""
    for question, (says, wrong) in _QUESTIONS.items():
        for case in cases:
            for name, opinion in case.opinions.items():
                if question == "time" and name != "exiftool":
                    continue
                answer = says(case, opinion)
                if answer is not None:
                    yield question, name, answer, answer in wrong, case


def tables(cases: Sequence[Case], tools: Mapping[str, Tool]) -> str:
    """Return the tables of confusion as text, and each disagreement by its path."""
    missing = [judge.name for judge in JUDGES if judge.name not in tools]
    lines = [
        f"{len(cases)} files. Judges: {', '.join(tools) or 'none'}. Missing: {', '.join(missing) or 'none'}."
    ]
    states = Counter((case.facts.kind.value, case.facts.soundness.value) for case in cases)
    waiting = Counter(case.facts.kind.value for case in cases if case.facts.doubt is not None)
    lines += [
        "",
        f"{'kind':12}{'files':>8}" + "".join(f"{state.value:>12}" for state in Soundness) + f"{'wait':>8}",
    ]
    for kind in sorted({kind for kind, _ in states}):
        counts = [states[kind, state.value] for state in Soundness]
        lines.append(f"{kind:12}{sum(counts):8}" + "".join(f"{n:12}" for n in counts) + f"{waiting[kind]:8}")
    answers = list(_answers(cases))
    for question in _QUESTIONS:
        found = Counter((name, answer) for asked, name, answer, *_ in answers if asked == question)
        lines += ["", question] + [
            f"  {name:10} {answer:26} {n:7}" for (name, answer), n in sorted(found.items())
        ]
    lines += ["", "disagreements", *(f"  {line}" for line in disagreements(cases))]
    lines += ["", "waiting", *(f"  {c.facts.doubt}: {c.path}" for c in cases if c.facts.doubt is not None)]
    return "\n".join(lines)


def disagreements(cases: Sequence[Case]) -> list[str]:
    """Return a line for each answer of a judge that contradicts the library."""
    return [
        f"{question}: {name} says {answer} ({_detail(question, case, case.opinions[name])}): {case.path}"
        for question, name, answer, wrong, case in _answers(cases)
        if wrong
    ]


def _detail(question: str, case: Case, opinion: Opinion) -> str:
    match question:
        case "kind":
            return f"{case.facts.kind.value} / {opinion.mime}"
        case "time":
            return f"{case.facts.taken_at} / {', '.join(map(str, opinion.times))}"
        case _:
            return f"{case.facts.kind.value}, {case.facts.obstacle or 'no obstacle'}"
