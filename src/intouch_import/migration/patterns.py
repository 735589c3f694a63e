r"""Patterns for the names of folders and files in an archive. Pure.

A pattern reads a path in every possible way. If two ways name two patients, that is a conflict, not a choice.
A pattern has a segment for each folder::

    {patient}                       10042/IMG_0001.jpg
    {patient} - {*}/{date:%Y-%m-%d} 10042 - Marsh, Ada/2024-03-01/IMG_0001.jpg
    {*} ({patient:\d{5}})           Marsh, Ada (10042)/anything below/IMG_0001.jpg
    {provider}/{*}/{patient}        DRJ/M/10042/IMG_0001.jpg
    {**}/{patient}                  any number of folders before it
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import attrs

from intouch_import.errors import NamingPatternError
from intouch_import.filenames.parts import MAX_NAME_LENGTH, Atom
from intouch_import.filenames.reader import read_id
from intouch_import.migration.readings import NOTHING, TooManyReadings, all_ways
from intouch_import.model import normal_form
from intouch_import.verdicts import is_also_a_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intouch_import.migration.readings import Values, Ways

__all__ = ["PathPattern", "Reading"]

_MARK: Final = re.compile(r"([{}/])")
_DIRECTIVES: Final = {"Y": r"[0-9]{4}", **dict.fromkeys("mdHMS", r"[0-9]{2}"), "%": "%"}
# An id may be narrowed by characters, sets, \d and \w, each with a count.
_NARROWED: Final = re.compile(
    r"(?:(?:\[[A-Za-z0-9_.-]+\]|\\[dw]|[A-Za-z0-9_-])(?:[?*+]|\{[0-9]{1,2}(?:,[0-9]{0,2})?\})?)+"
)
_AT_LEAST: Final = re.compile(r"(\[[^]]+\]|\\[dw]|[A-Za-z0-9_-])\{([0-9]+),\}")


class Reading(NamedTuple):
    """One way to read a path.

    Args:
        values: Pairs of ``"patient"``, ``"provider"`` or a directive of a date (``"Y"``), and the text.
        used: How many segments were read.
    """

    values: Values
    used: int

    def get(self, name: str) -> str | None:
        """Return the text for a name, or None."""
        return next((text for key, text in self.values if key == name), None)


class _Piece(NamedTuple):
    """A piece of a segment. ``kind`` is text, ``*``, ``**``, patient, provider or date."""

    kind: str
    text: str = ""
    regex: re.Pattern[str] | None = None
    names: tuple[str, ...] = ()
    characters: re.Pattern[str] | None = None


_Segments: TypeAlias = tuple[tuple[_Piece, ...] | None, ...]
"""The pieces of each segment; None for ``{**}``."""


def _segments_of(path: PathPattern) -> _Segments:
    return _compile(path.pattern)


@attrs.frozen
class PathPattern:
    r"""A pattern, as the docstring of `FolderRule` describes it.

    Raises:
        NamingPatternError: The pattern can't be used.
    """

    pattern: str
    _segments: _Segments = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(_segments_of, takes_self=True),
    )

    @property
    def open_ended(self) -> bool:
        """Whether the pattern ends in ``{**}``, which covers everything below."""
        return self._segments[-1] is None

    def other_ids(self, segments: Sequence[str], readings: Sequence[Reading]) -> tuple[str, ...]:
        """Return the parts of segments that look like a patient's id and were read as nothing else.

        The segments that a last ``{**}`` covers are left out.
        """
        patients = (piece for pieces in self._segments for piece in pieces or () if piece.kind == "patient")
        piece = next(patients, None)
        if piece is None:
            return ()
        patient = {text for reading in readings for name, text in reading.values if name == "patient"}
        read = frozenset.intersection(*(reading.values for reading in readings))
        used = min(reading.used for reading in readings)
        found: dict[str, None] = {}
        for at, segment in enumerate(segments[:used] if self.open_ended else segments):
            known = patient | {text for _, text in read} if at < used else patient
            places = [match.span() for text in known for match in re.finditer(re.escape(text), segment)]
            for start, end in _ids_in(segment, piece):
                if not any(first <= start and end <= last for first, last in places):
                    found[segment[start:end]] = None
        return tuple(found)

    def free_texts(self, segments: Sequence[str], readings: Sequence[Reading]) -> tuple[str, ...]:
        """Return the texts that may contain the patient's name.

        These are what ``{*}`` covers in the segment of the patient, and in others if there is a comma in it.
        """
        used = min(reading.used for reading in readings)
        parts = self._segments[:-1] if self.open_ended else self._segments
        head = list(itertools.takewhile(bool, parts))
        tail = list(itertools.takewhile(bool, reversed(parts)))
        pieces_at = dict(enumerate(head)) | {used - 1 - at: pieces for at, pieces in enumerate(tail)}
        values = {text for reading in readings for _, text in reading.values}
        found = []
        for at, pieces in sorted(pieces_at.items()):
            kinds = {piece.kind for piece in pieces or ()}
            text = normal_form("NFC", segments[at])
            for known in sorted(values | {piece.text for piece in pieces or ()}, key=len, reverse=True):
                text = text.replace(known, " ") if len(known) > 1 else text
            if "*" in kinds and ("patient" in kinds or "," in text):
                found.append(text.strip(" -_()[]"))
        return tuple(filter(None, found))

    def read(self, segments: Sequence[str], *, whole: bool = False) -> list[Reading]:
        """Find every way to read folder names, from the first on, or one file name without its extension.

        If ``whole`` is False, folders below those of the pattern are not read.

        Raises:
            TooManyReadings: There are more than some hundred ways, or a text is too long to try them all.
        """
        texts = [normal_form("NFC", text) for text in segments]
        parts = self._segments[:-1] if self.open_ended else self._segments

        def ways(part: int, start: int) -> Ways:
            pieces = parts[part]
            if pieces is None or start == len(texts):
                return []
            return [(start + 1, values) for values in _readings(pieces, texts[start])]

        last = {len(texts)} if whole and not self.open_ended else None
        found = all_ways([0 if part is None else None for part in parts], ways, len(texts), last)
        return [Reading(values, used) for used in sorted(found) for values in found[used]]


def _readings(pieces: tuple[_Piece, ...], text: str) -> Iterable[Values]:
    """Find every way to read one segment."""
    if len(text) > MAX_NAME_LENGTH:
        raise TooManyReadings
    gaps = [1 if piece.kind == "*" else None for piece in pieces]
    found = all_ways(gaps, lambda part, start: _ends(pieces[part], text, start), len(text), {len(text)})
    return found.get(len(text), ())


def _ends(piece: _Piece, text: str, start: int) -> Ways:
    """Find where a piece that begins at ``start`` may end, and which values it has then."""
    if piece.kind == "text":
        end = start + len(piece.text)
        return [(end, NOTHING)] if text.startswith(piece.text, start) else []
    if piece.regex is None:
        raise AssertionError("a part has a regular expression")
    if piece.kind == "date":
        match = piece.regex.match(text, start)
        if match is None:
            return []
        return [(match.end(), frozenset(zip(piece.names, match.groups(), strict=True)))]
    return [
        (end, frozenset({(piece.kind, text[start:end])}))
        for end in range(start + 1, _end_of_run(piece, text, start) + 1)
        if piece.regex.fullmatch(text, start, end) is not None
    ]


def _end_of_run(piece: _Piece, text: str, start: int) -> int:
    """Return where the characters that the piece may contain end."""
    match = piece.characters and piece.characters.match(text, start)
    return match.end() if match else start


def _ids_in(text: str, piece: _Piece) -> Iterator[tuple[int, int]]:
    """Yield the place of every part of a text that can be an id, from one separator to another.

    The parts of a date are not ids.
    """
    if piece.characters is None or piece.regex is None:
        raise AssertionError("an id has a regular expression")
    for run in piece.characters.finditer(text):
        edges = [run.start()]
        edges += [at for at in range(run.start() + 1, run.end()) if not text[at - 1 : at + 1].isalnum()]
        edges.append(run.end())
        places = [run.span()]
        at = 0
        while at < len(edges) - 1:
            start, ends = edges[at], edges[at + 1 :]
            dated = next((end for end in reversed(ends) if is_also_a_date(text[start:end])), None)
            places += [(start, end) for end in (ends if dated is None else [dated])]
            at = at + 1 if dated is None else edges.index(dated)
        for start, end in places:
            bare = text[start].isalnum() and text[end - 1].isalnum()
            if (bare or (start, end) == run.span()) and piece.regex.fullmatch(text, start, end):
                yield start, end


@functools.lru_cache(maxsize=64)
def _compile(pattern: str) -> _Segments:
    segments = [_segment(pieces) for pieces in _split(pattern)]
    for first, second in itertools.pairwise(segments):
        if first is None and second is None:
            raise NamingPatternError("the pattern has {**} twice in a row: write it once")
    kinds = [piece.kind for pieces in segments for piece in pieces or ()]
    for name in ("patient", "provider"):
        if kinds.count(name) > 1:
            raise NamingPatternError(f"the pattern has {{{name}}} twice")
    if not set(kinds) & {"patient", "provider", "date"}:
        raise NamingPatternError("the pattern needs {patient}, {provider} or {date:…}")
    return tuple(segments)


def _split(pattern: str) -> list[list[_Piece]]:
    """Split a pattern into segments, and these into pieces. A slash within braces does not end a segment."""
    segments: list[list[_Piece]] = [[]]
    depth, body = 0, ""
    for part in filter(None, _MARK.split(pattern.strip("/"))):
        depth += (part == "{") - (part == "}")
        if depth < 0:
            break
        if depth or part == "}":
            body += part
            if not depth:
                segments[-1].append(_part(body[1:-1]))
                body = ""
        elif part == "/":
            segments.append([])
        else:
            segments[-1].append(_Piece("text", normal_form("NFC", part)))
    if depth:
        raise NamingPatternError("the pattern has a { without its }, or a } without its {")
    if not all(segments):
        raise NamingPatternError("the pattern has an empty segment")
    return segments


def _segment(pieces: list[_Piece]) -> tuple[_Piece, ...] | None:
    """Return None for a segment that is ``{**}``."""
    kinds = [piece.kind for piece in pieces]
    if kinds == ["**"]:
        return None
    if "**" in kinds:
        raise NamingPatternError("{**} must be a segment of its own")
    if ("*", "*") in itertools.pairwise(kinds):
        raise NamingPatternError("the pattern has {*} twice in a row: write it once")
    return tuple(pieces)


def _part(body: str) -> _Piece:
    name, _, narrowed = body.partition(":")
    if name in {"*", "**"} and not narrowed:
        return _Piece(name)
    if name == "date":
        return _date(narrowed)
    if name in {"patient", "provider"}:
        if narrowed and _NARROWED.fullmatch(narrowed) is None:
            raise NamingPatternError(
                f"{{{name}:…}} may have characters, sets, \\d and \\w, each with a count, and nothing else"
            )
        atoms = read_id(name, _AT_LEAST.sub(_two_counts, narrowed)).atoms
        mask = functools.reduce(lambda bits, atom: bits | atom.mask, atoms, 0)
        return _Piece(
            name,
            regex=re.compile("".join(atom.regex for atom in atoms)),
            characters=re.compile(Atom(mask=mask, high=None).regex),
        )
    raise NamingPatternError(
        "a pattern may have {patient}, {provider}, {date:…}, {*} and {**}, and no other part"
    )


def _two_counts(match: re.Match[str]) -> str:
    """Write a count without an upper limit as two counts, which patterns of capture names have, too."""
    least = int(match[2])
    return f"{match[1]}{{{least}}}{match[1]}*" if least else f"{match[1]}*"


def _date(form: str) -> _Piece:
    regex, names = "", []
    at = 0
    while at < len(form):
        if form[at] == "%" and at + 1 < len(form):
            directive = form[at + 1]
            if directive not in _DIRECTIVES:
                raise NamingPatternError(f"a date can't have %{directive}: use %Y %m %d %H %M %S")
            regex += f"({_DIRECTIVES[directive]})" if directive != "%" else "%"
            names += [directive] if directive != "%" else []
            at += 2
        else:
            regex += re.escape(form[at])
            at += 1
    if not names:
        raise NamingPatternError("{date:…} needs a format, such as %Y-%m-%d")
    if len(set(names)) < len(names):
        raise NamingPatternError("{date:…} has a directive twice")
    return _Piece("date", regex=re.compile(regex, re.ASCII), names=tuple(names))
