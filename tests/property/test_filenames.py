"""Capture names: properties of every pattern and every name.

Patterns are made from parts, so that the tests know a pattern's meaning without parsing it: the library is
compared with a second, slow parser that is built from the parts.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from typing import TYPE_CHECKING, TypeVar

import attrs
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from intouch_import.errors import CaptureNameError, NamingPatternError
from intouch_import.filenames import CaptureNaming
from intouch_import.model import CaptureName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

LETTERS = "1a_"
DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
LONGEST_WORD = 3
EXTENSION = r"\.[A-Za-z0-9]{1,10}"


@attrs.frozen
class Piece:
    """One part of a made pattern: its label, how a pattern writes it, and the regex of each of its atoms."""

    label: str
    written: str
    atoms: tuple[str, ...]
    optional: bool = False

    @property
    def regex(self) -> str:
        """Return the whole part as a regular expression."""
        return "".join(self.atoms)

    def words(self) -> list[str]:
        """Return all short values of this part; one digit represents all digits."""
        if self.label in DIGITS:
            return ["1" * DIGITS[self.label]]
        if self.label == "fixed":
            return [self.written]
        found = (
            "".join(letters)
            for length in range(1, LONGEST_WORD + 1)
            for letters in itertools.product(LETTERS, repeat=length)
        )
        return [word for word in found if re.fullmatch(self.regex, word, re.ASCII)]


sets = st.sampled_from(["1", "a", "_", "[1a]", "[a_]", r"\d", r"\w", "[0-9]", "[_1]"])
counts = st.sampled_from(["", "", "+", "+", "?", "*", "{1,2}", "{2}", "{0,2}"])
atoms = st.lists(st.builds(str.__add__, sets, counts), min_size=1, max_size=3).map(tuple)
seconds = st.datetimes().map(lambda at: at.replace(microsecond=0))
fixed = st.sampled_from(["", "", "_", "a", "1", "__", "-"])


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    """Make the parts of a pattern: in any order, with or without separators, restrictions and sequence."""

    def identifier(name: str) -> Piece:
        default = r"[0-9]+" if name == "sequence" else r"[A-Za-z0-9-]+"
        narrowing = draw(st.none() | atoms)
        if narrowing is None:
            return Piece(name, f"{{{name}}}", (default,))
        return Piece(name, f"{{{name}:{''.join(narrowing)}}}", narrowing)

    directives = draw(st.permutations(list(DIGITS)) | st.just(list(DIGITS)))
    cut = draw(st.integers(0, len(directives)))
    blocks: list[list[Piece]] = [[identifier("patient")], [identifier("provider")]]
    blocks += [
        [Piece(name, f"{{taken:%{name}}}", (f"[0-9]{{{DIGITS[name]}}}",)) for name in run]
        for run in (directives[:cut], directives[cut:])
    ]
    match draw(st.sampled_from(["none", "required", "optional", "optional"])):
        case "required":
            blocks.append([identifier("sequence")])
        case "optional":
            before, after = draw(fixed), draw(fixed)
            group = [literal(before), identifier("sequence"), literal(after)]
            blocks.append([attrs.evolve(piece, optional=True) for piece in group])
    made: list[Piece] = []
    for block in draw(st.permutations(blocks)):
        made += [*block, literal(draw(fixed))]
    return [piece for piece in made if piece.written]


def literal(text: str) -> Piece:
    """Make fixed text."""
    return Piece("fixed", text, (re.escape(text),))


def written(made: list[Piece]) -> str:
    """Write the pattern of these parts."""
    text = ""
    for optional, group in itertools.groupby(made, key=lambda piece: piece.optional):
        inside = "".join(piece.written for piece in group)
        text += f"[{inside}]" if optional else inside
    return text


def variants(made: list[Piece]) -> list[list[Piece]]:
    """Return the parts with the optional group, and without it."""
    without = [piece for piece in made if not piece.optional]
    return [made] if without == made else [made, without]


def splits(text: str, regexes: list[str]) -> Iterator[tuple[int, ...]]:
    """Find every way to cut a text into stretches that match these expressions, one after the other."""
    if not regexes:
        if not text:
            yield ()
        return
    for end in range(len(text) + 1):
        if re.fullmatch(regexes[0], text[:end], re.ASCII):
            for rest in splits(text[end:], regexes[1:]):
                yield (end, *rest)


Reading = tuple[tuple[str, int, int], ...]


def reading(labels: list[str], lengths: tuple[int, ...]) -> Reading:
    """Return the position of each part in a text, without fixed text."""
    ends = list(itertools.accumulate(lengths))
    return tuple(
        (label, end - length, end)
        for label, length, end in zip(labels, lengths, ends, strict=True)
        if label != "fixed"
    )


def readings(text: str, made: list[Piece]) -> set[Reading]:
    """Parse a name in every possible way."""
    return {
        reading([*(piece.label for piece in parts), "extension"], lengths)
        for parts in variants(made)
        for lengths in splits(text, [*(piece.regex for piece in parts), EXTENSION])
    }


def short_names(made: list[Piece]) -> Iterator[tuple[str, Reading]]:
    """Write every short name, with its meaning."""
    for parts in variants(made):
        labels = [piece.label for piece in parts]
        for words in itertools.product(*(piece.words() for piece in parts)):
            yield "".join(words), reading(labels, tuple(map(len, words)))


T = TypeVar("T")


def mostly(usual: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Draw another value one time in eight."""
    return st.integers(0, 7).flatmap(lambda die: other if die == 1 else usual)


def text_of(piece: Piece, at: datetime) -> st.SearchStrategy[str]:
    """Write one part as in a name, mostly with the digits of a valid time."""
    fitting = st.from_regex(re.compile(piece.regex, re.ASCII), fullmatch=True)
    if piece.label not in DIGITS:
        return fitting
    values = {"Y": at.year, "m": at.month, "d": at.day, "H": at.hour, "M": at.minute, "S": at.second}
    true = str(values[piece.label]).zfill(DIGITS[piece.label])
    return st.integers(0, 31).flatmap(lambda die: fitting if die == 1 else st.just(true))


def naming_of(made: list[Piece]) -> CaptureNaming:
    """Make the naming, or drop the example if its pattern is refused."""
    try:
        return CaptureNaming(written(made))
    except NamingPatternError:
        assume(condition=False)
        raise


slow = settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)


@slow
@given(made=pieces())
def test_two_readings_are_decided_rightly(made: list[Piece]) -> None:
    """A pattern is refused as ambiguous exactly if some name can be parsed in two ways; the message has an example."""
    try:
        CaptureNaming(written(made))
    except NamingPatternError as refused:
        example = getattr(refused, "example", None)
        if example is None:
            event("can be empty")
            assert any(re.fullmatch(piece.regex, "") for piece in made)
        elif "} can match" in str(refused):
            event("ambiguous within a part")
            assert any(len(list(splits(example, list(piece.atoms)))) > 1 for piece in made)
        else:
            event("ambiguous")
            assert len(readings(example, made)) > 1
    else:
        event("accepted")
        seen: dict[str, Reading] = {}
        for name, meant in short_names(made):
            assert seen.setdefault(name, meant) == meant


@slow
@given(made=pieces(), data=st.data())
def test_what_is_written_is_read_again(made: list[Piece], data: st.DataObject) -> None:
    """A capture that can be formatted is parsed to the same value; others are refused."""
    naming = naming_of(made)
    values: dict[str, str | None] = {"sequence": None}
    for piece in data.draw(st.sampled_from(variants(made))):
        if piece.label in {"patient", "provider", "sequence"}:
            fitting = st.from_regex(re.compile(piece.regex, re.ASCII), fullmatch=True)
            values[piece.label] = data.draw(mostly(fitting, st.text(max_size=3)), label=piece.label)
    capture = CaptureName(
        patient=str(values["patient"]),
        provider=str(values["provider"]),
        sequence=values["sequence"],
        taken_local=data.draw(mostly(seconds, st.datetimes())),
        extension=data.draw(st.from_regex(EXTENSION, fullmatch=True)),
    )
    try:
        name = naming.format(capture)
    except CaptureNameError as refused:
        event("refused")
        fits = capture.taken_local.microsecond == 0 and all(
            re.fullmatch(piece.regex, str(values[piece.label]), re.ASCII)
            for piece in made
            if piece.label in values and values[piece.label] is not None
        )
        too_long = "more than 255" in str(refused)
        assert too_long or not fits
    else:
        event("written")
        assert naming.parse(name) == capture


@slow
@given(made=pieces(), data=st.data())
def test_what_is_read_is_written_again(made: list[Piece], data: st.DataObject) -> None:
    """A name is parsed if and only if it has the structure, and formatting its parts returns the name."""
    naming = naming_of(made)
    parts = data.draw(st.sampled_from(variants(made)))
    at = data.draw(st.datetimes())
    name = "".join(data.draw(text_of(piece, at)) for piece in [*parts, Piece("extension", "", (EXTENSION,))])
    if data.draw(st.integers(0, 7)) == 1:
        spot = data.draw(st.integers(0, len(name)))
        intruder = data.draw(st.sampled_from(["", "1", "a", "_", ".", "\n", "\u0661"]))
        name = name[:spot] + intruder + name[spot + 1 :]
    try:
        capture = naming.parse(name)
    except CaptureNameError:
        event("impossible time")
        assert readings(name, made)
    else:
        event("not read" if capture is None else "read")
        assert (capture is not None) == bool(readings(name, made)) or len(name) > 255
        assert capture is None or naming.format(capture) == name


@given(at=st.datetimes(), sequence=st.none() | st.from_regex("[0-9]{1,6}", fullmatch=True))
def test_every_second_survives_the_default_pattern(at: datetime, sequence: str | None) -> None:
    """The default pattern formats and parses every second of the calendar."""
    naming = CaptureNaming()
    capture = CaptureName(
        patient="1", provider="D", taken_local=at.replace(microsecond=0), sequence=sequence, extension=".png"
    )
    assert naming.parse(naming.format(capture)) == capture


@given(name=st.text() | st.from_regex(r"[0-9a]+_[0-9a]+_[0-9]{8}_[0-9]{6}(_[0-9]+)?\.[a-z]+", fullmatch=True))
def test_no_name_is_a_surprise(name: str) -> None:
    """Any text is parsed, not parsed, or an impossible time; nothing else happens."""
    naming = CaptureNaming()
    with contextlib.suppress(CaptureNameError):
        capture = naming.parse(name)
        assert capture is None or naming.format(capture) == name


@given(
    pattern=st.text() | st.text("{}[]:%\\^-+*?,1azY_") | st.text("{}[]1a_+,\\").map("{{patient:{}}}".format)
)
def test_no_pattern_is_a_surprise(pattern: str) -> None:
    """Any text is a pattern or is refused with a reason; nothing else happens."""
    with contextlib.suppress(NamingPatternError):
        assert CaptureNaming(pattern).pattern == pattern
