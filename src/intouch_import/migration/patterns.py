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
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import attrs

from intouch_import.errors import NamingPatternError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["PathPattern", "Reading"]

_ID: Final = "[A-Za-z0-9-]+"
_WORD: Final = re.compile(_ID)
_PART: Final = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}|/|[^{}/]+|[{}]")
_DIRECTIVES: Final = {"Y": r"[0-9]{4}", **dict.fromkeys("mdHMS", r"[0-9]{2}"), "%": "%"}
# An id may be narrowed by characters, sets, \d and \w, each with a count: nothing that can backtrack for
# long.
_NARROWED: Final = re.compile(
    r"(?:(?:\[[A-Za-z0-9_.-]+\]|\\[dw]|[A-Za-z0-9_-])(?:[?*+]|\{[0-9]{1,2}(?:,[0-9]{0,2})?\})?)+"
)
_MOST_READINGS: Final = 8

_Values: TypeAlias = "frozenset[tuple[str, str]]"


class Reading(NamedTuple):
    """One way to read a path.

    Args:
        values: Pairs of ``"patient"``, ``"provider"`` or a directive of a date (``"Y"``), and the text.
        used: How many segments were read.
    """

    values: _Values
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

    def other_ids(self, segment: str, reading: Reading) -> Iterator[str]:
        """Yield the words of a segment that look like a patient's id and were not read from it."""
        patients = (piece for pieces in self._segments for piece in pieces or () if piece.kind == "patient")
        regex = next((piece.regex for piece in patients), None)
        if regex is not None:
            read = {text for _, text in reading.values}
            for word in _WORD.findall(segment):
                if word not in read and regex.fullmatch(word) is not None:
                    yield word

    def read(self, segments: Sequence[str], *, whole: bool = False) -> list[Reading]:
        """Find every way to read folder names, from the first on, or one file name without its extension.

        If ``whole`` is False, folders below those of the pattern are not read.
        """
        found: dict[Reading, None] = {}
        for values, used in self._walk(0, 0, [_composed(text) for text in segments], frozenset()):
            if not whole or used == len(segments) or self.open_ended:
                found[Reading(values, used)] = None
            if len(found) >= _MOST_READINGS:
                break
        return list(found)

    def _walk(
        self, at: int, segment: int, texts: list[str], values: _Values
    ) -> Iterator[tuple[_Values, int]]:
        if at == len(self._segments):
            yield values, segment
            return
        pieces = self._segments[at]
        if pieces is None:
            if at + 1 == len(self._segments):
                yield values, segment  # folders that a last {**} covers are not read
                return
            for skipped in range(segment, len(texts) + 1):
                yield from self._walk(at + 1, skipped, texts, values)
            return
        if segment < len(texts):
            for found in _readings(pieces, texts[segment]):
                if (both := _agreeing(values, found)) is not None:
                    yield from self._walk(at + 1, segment + 1, texts, both)


def _agreeing(one: _Values, other: _Values) -> _Values | None:
    """Join two sets of values; return None if they have different texts for one name."""
    both = one | other
    return both if len({name for name, _ in both}) == len(both) else None


def _readings(pieces: tuple[_Piece, ...], text: str) -> list[_Values]:
    """Find every way to read one segment, and try each pair of piece and position only once."""
    seen: dict[tuple[int, int], list[_Values]] = {}

    def at(piece: int, start: int) -> list[_Values]:
        if piece == len(pieces):
            return [frozenset()] if start == len(text) else []
        key = (piece, start)
        if key not in seen:
            found: dict[_Values, None] = {}
            for end, values in _ends(pieces[piece], text, start):
                for rest in at(piece + 1, end):
                    both = _agreeing(values, rest)
                    if both is not None:
                        found[both] = None
                    if len(found) >= _MOST_READINGS:
                        break
            seen[key] = list(found)
        return seen[key]

    return at(0, 0)


def _ends(piece: _Piece, text: str, start: int) -> Iterable[tuple[int, _Values]]:
    """Find where a piece that begins at ``start`` may end, and which values it has then."""
    if piece.kind == "text":
        end = start + len(piece.text)
        return [(end, frozenset())] if text.startswith(piece.text, start) else []
    if piece.kind == "*":
        return [(end, frozenset()) for end in range(start + 1, len(text) + 1)]
    if piece.regex is None:
        raise AssertionError("a part has a regular expression")
    if piece.kind == "date":
        match = piece.regex.match(text, start)
        if match is None:
            return []
        return [(match.end(), frozenset(zip(piece.names, match.groups(), strict=True)))]
    return [
        (end, frozenset({(piece.kind, text[start:end])}))
        for end in range(start + 1, len(text) + 1)
        if piece.regex.fullmatch(text, start, end) is not None
    ]


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
    for part in _PART.findall(pattern.strip("/")):
        if part in ("{", "}"):
            raise NamingPatternError("the pattern has a { without its }, or a } without its {")
        if part == "/":
            segments.append([])
        elif part.startswith("{"):
            segments[-1].append(_part(part[1:-1]))
        else:
            segments[-1].append(_Piece("text", _composed(part)))
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
        try:
            return _Piece(name, regex=re.compile(narrowed or _ID, re.ASCII))
        except re.error:
            raise NamingPatternError(f"{{{name}:…}} is not a valid regular expression") from None
    raise NamingPatternError(
        "a pattern may have {patient}, {provider}, {date:…}, {*} and {**}, and no other part"
    )


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


def _composed(text: str) -> str:
    """Return Unicode's composed form: Macs write names in the decomposed form."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
