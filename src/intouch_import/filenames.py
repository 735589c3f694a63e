"""What the capture app writes into a file name: patient, provider, date and time, sequence.

Pure: no disk, no clock, no log. The structure is a *pattern*, checked once when a `CaptureNaming` is
made: whatever a pattern reads it can write back, and it can read a name in one way only. Otherwise
a photo could end in the wrong patient's record.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import CaptureNameError, NamingPatternError
from intouch_import.model import CaptureName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["DEFAULT_PATTERN", "MAX_NAME_LENGTH", "CaptureNaming"]

DEFAULT_PATTERN: Final = "{patient}_{provider}_{taken:%Y%m%d_%H%M%S}[_{sequence}]"
"""The default structure. It is OURS: the vendor of the capture app does not publish the structure of its
names. Check it against a real file before automatic import is turned on, and set another if it differs.
"""

MAX_NAME_LENGTH: Final = 255
"""Characters; no common file system holds a longer name. It also bounds the work a name can cause."""

_DELETE: Final = 0x7F
_MAX_COUNT: Final = 64
_COUNT: Final = re.compile(r"([0-9]{1,4})(?:,([0-9]{1,4}))?\}")
_PART_NAMES: Final = ("patient", "provider", "sequence", "taken")
_DIRECTIVES: Final = {
    "Y": ("the year", 4, "taken.year:04"),
    "m": ("the month", 2, "taken.month:02"),
    "d": ("the day", 2, "taken.day:02"),
    "H": ("the hour", 2, "taken.hour:02"),
    "M": ("the minute", 2, "taken.minute:02"),
    "S": ("the second", 2, "taken.second:02"),
    "f": ("the microsecond", 6, "taken.microsecond:06"),
}
_LOCALE: Final = "is spelled differently from one language setting to the next"
_WEEK: Final = "counts by week; use %m and %d"
_REFUSED_DIRECTIVES: Final = {
    **dict.fromkeys("aAbBchpPrxX", _LOCALE),
    **dict.fromkeys("GguUVwW", _WEEK),
    **dict.fromkeys("CyD", "leaves the century to a guess; use %Y"),
    "j": "is a day of the year; use %m and %d",
    **dict.fromkeys("Il", "is a 12-hour clock; use %H"),
    **dict.fromkeys("zZ", "is a time zone, and names carry the wall time of the clinic"),
    "s": "counts seconds in UTC, and names carry the wall time of the clinic",
}
# Looking two digits up takes half the time of int(); the keys are all that [0-9]{2} can match.
_TWO_DIGITS: Final = {f"{number:02}": number for number in range(100)}
_GROUPS: Final = ("patient", "provider", "sequence", "extension", "Y", "m", "d", "H", "M", "S", "f")


def _mask(chars: Iterable[str]) -> int:
    """Write a set of ASCII characters as the bits of a number."""
    return functools.reduce(lambda mask, char: mask | 1 << ord(char), chars, 0)


_DIGITS: Final = _mask(string.digits)
_ALPHANUMERIC: Final = _DIGITS | _mask(string.ascii_letters)
_CLASSES: Final = {"d": _DIGITS, "w": _ALPHANUMERIC | _mask("_")}
_EXAMPLES: Final = "1A-_" + "".join(map(chr, range(128)))
_END: Final = 1 << 128  # stands for "the name ends here": the bit of no ASCII character


@attrs.frozen(kw_only=True)
class _Atom:
    """One character of a set, ``low`` to ``high`` times; a ``high`` of None sets no limit."""

    mask: int
    low: int = 1
    high: int | None = 1

    @property
    def positions(self) -> int:
        """States this atom needs in the automaton."""
        return max(self.low, 1) if self.high is None else self.high

    @property
    def regex(self) -> str:
        """The atom as a regular expression; hexadecimal, so that nothing in it has a meaning."""
        chars = "".join(f"\\x{code:02x}" for code in range(128) if self.mask >> code & 1)
        high = "" if self.high is None else self.high
        return f"[{chars}]" + ("" if self.low == high == 1 else f"{{{self.low},{high}}}")


@attrs.frozen(kw_only=True)
class _Part:
    """A stretch of the name that is read as one thing.

    Args:
        label: What a message calls it.
        group: Its group in the regular expression; empty for fixed text.
        template: How ``str.format`` writes it.
        atoms: What it matches; never nothing.
        optional: Whether it stands in the optional group.
    """

    label: str
    group: str = ""
    template: str
    atoms: tuple[_Atom, ...]
    optional: bool = False

    @property
    def regex(self) -> str:
        """The part as a regular expression, captured unless it is fixed text."""
        body = "".join(atom.regex for atom in self.atoms)
        return f"(?P<{self.group}>{body})" if self.group else body


_EXTENSION: Final = _Part(
    label="the extension",
    group="extension",
    template="{extension}",
    atoms=(_Atom(mask=_mask(".")), _Atom(mask=_ALPHANUMERIC, high=10)),
)
_DEFAULT_ATOMS: Final = {
    "patient": (_Atom(mask=_ALPHANUMERIC | _mask("-"), high=None),),
    "provider": (_Atom(mask=_ALPHANUMERIC | _mask("-"), high=None),),
    "sequence": (_Atom(mask=_DIGITS, high=None),),
}


def _is_optional(part: _Part) -> bool:
    return part.optional


class _Reader:
    """Reads a pattern from left to right into its parts."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.parts: list[_Part] = []
        self.seen: set[str] = set()
        self.positions = 0
        self.group_start: int | None = None

    def error(self, reason: str, **context: str) -> NamingPatternError:
        """Make the exception for what was found just before the current character."""
        return NamingPatternError(f"{reason} (character {self.at} of the pattern)", **context)

    def take(self) -> str:
        """Move over one character; empty at the end of the pattern."""
        char = self.pattern[self.at : self.at + 1]
        self.at += len(char)
        return char

    def accept(self, char: str) -> bool:
        """Move over this character if it is the next one."""
        found = self.pattern.startswith(char, self.at)
        self.at += found
        return found

    def read(self) -> tuple[_Part, ...]:
        """Read the whole pattern; the extension, which no pattern spells out, comes last."""
        while char := self.take():
            if char in "{}[]" and self.accept(char):
                self.add_fixed(char)
            elif char == "{":
                self.read_part()
            elif char == "[":
                if self.group_start is not None:
                    raise self.error(
                        "an optional group can't stand in another; write [[ for the character itself"
                    )
                self.group_start = len(self.parts)
            elif char == "]":
                self.close_group()
            elif char == "}":
                raise self.error("this } closes nothing; write }} for the character itself")
            else:
                self.add_fixed(char)
        if self.group_start is not None:
            raise self.error("the optional group is not closed")
        self.add(_EXTENSION)
        return tuple(self.parts)

    def close_group(self) -> None:
        """End the optional group, which must hold what decides whether it is written."""
        if self.group_start is None:
            raise self.error("this ] closes nothing; write ]] for the character itself")
        if all(part.group != "sequence" for part in self.parts[self.group_start :]):
            raise self.error("an optional group needs {sequence}: nothing else decides whether it is written")
        self.group_start = None

    def add(self, part: _Part) -> None:
        """Append a part, within the size a name can have."""
        self.positions += sum(atom.positions for atom in part.atoms)
        if self.positions > MAX_NAME_LENGTH:
            raise self.error(f"the counts of the pattern add up to more than {MAX_NAME_LENGTH} characters")
        self.parts.append(attrs.evolve(part, optional=self.group_start is not None))

    def add_fixed(self, char: str) -> None:
        """Append one character of fixed text."""
        self.check(char, "fixed text")
        template = char * 2 if char in "{}" else char
        self.add(_Part(label="fixed text", template=template, atoms=(_Atom(mask=_mask(char)),)))

    def check(self, char: str, where: str) -> None:
        """Refuse a character that no file name should hold."""
        if char in "/\\":
            raise self.error(f"{where} can't hold a path separator: the pattern describes a name, not a path")
        if ord(char) < ord(" ") or ord(char) == _DELETE:
            raise self.error(f"{where} can't hold control characters")
        if not char.isascii():
            raise self.error(
                f"{where} can only hold ASCII: file systems spell other characters in several ways"
            )

    def once(self, name: str, label: str) -> None:
        """Refuse what stands in the pattern already: the two could contradict each other."""
        if name in self.seen:
            raise self.error(f"{label} stands in the pattern twice")
        self.seen.add(name)

    def read_part(self) -> None:
        """Read on after the ``{`` of a part."""
        start = self.at
        while (char := self.take()) not in {":", "}", ""}:
            pass
        name = self.pattern[start : self.at - len(char)]
        if not char:
            raise self.error("a part is not closed; write {{ for the character itself")
        if name not in _PART_NAMES:
            raise self.error(
                "unknown part: only {patient}, {provider}, {sequence} and {taken:FORMAT} can stand here"
            )
        if self.group_start is not None and name != "sequence":
            raise self.error(
                "only fixed text and {sequence} can be optional: the rest is needed for every import"
            )
        if name == "taken":
            if char != ":":
                raise self.error("{taken} needs a format, such as {taken:%Y%m%d_%H%M%S}")
            self.read_taken()
            return
        label = f"{{{name}}}"
        self.once(name, label)
        atoms = self.read_narrowing(label) if char == ":" else _DEFAULT_ATOMS[name]
        self.add(_Part(label=label, group=name, template=label, atoms=atoms))
        # This, and the same for the whole pattern, is what keeps matching linear: when no text can be
        # read in two ways, re reaches each position of the automaton once per character at most.
        # Without it "[0-9]*[0-9]*[0-9]*x" would try every split of a long row of digits.
        if found := _two_readings(self.parts[-1:]):
            text, _ = found
            reason = (
                f"{label} can match {text!r} in two ways within itself, so that some names would take too "
                "long to read; merge neighbouring sets, or let only one of them hold a character"
            )
            raise self.error(reason, example=text)

    def read_taken(self) -> None:
        """Read on after the ``:`` of a date and time."""
        found = False
        while (char := self.take()) != "}":
            if not char:
                raise self.error("a part is not closed; write {{ for the character itself")
            if char == "{":
                raise self.error("the format of {taken} can't hold braces")
            if char != "%" or self.accept("%"):
                self.add_fixed(char)
                continue
            directive = self.take()
            if directive not in _DIRECTIVES:
                raise self.error(_why_refused(directive))
            found = True
            self.once(f"%{directive}", f"%{directive}")
            _, digits, template = _DIRECTIVES[directive]
            self.add(
                _Part(
                    label=f"%{directive}",
                    group=directive,
                    template=f"{{{template}}}",
                    atoms=(_Atom(mask=_DIGITS, low=digits, high=digits),),
                )
            )
        if not found:
            raise self.error("{taken} needs a directive, such as %Y")

    def read_narrowing(self, label: str) -> tuple[_Atom, ...]:
        """Read on after the ``:`` of a part: atoms, each with a count, up to the closing brace."""
        atoms: list[_Atom] = []
        while not self.accept("}"):
            mask = self.read_atom(label)
            low, high = self.read_count()
            atoms.append(_Atom(mask=mask, low=low, high=high))
        if all(atom.low == 0 for atom in atoms):
            raise self.error(f"{label} can be empty, and a record needs every part of a name")
        return tuple(atoms)

    def read_atom(self, label: str) -> int:
        """Read what one character may be."""
        match char := self.take():
            case "":
                raise self.error("a part is not closed; write {{ for the character itself")
            case "[":
                return self.read_set(label)
            case "\\":
                return self.read_escape(label)
            case "?" | "*" | "+" | "{":
                raise self.error("a count needs a character before it, and only one count may follow it")
            case "(" | ")" | "|":
                raise self.error(
                    "groups and alternatives can't narrow a part; put a \\ before the character itself"
                )
            case "." | "^" | "$" | "]":
                raise self.error("this character has a meaning elsewhere but none here; put a \\ before it")
            case _:
                self.check(char, label)
                return _mask(char)

    def read_escape(self, label: str) -> int:
        """Read on after a backslash."""
        char = self.take()
        if char in _CLASSES:
            return _CLASSES[char]
        if not char or char.isalnum():
            raise self.error(
                "only \\d, \\w and characters that are neither letters nor digits can follow a \\"
            )
        self.check(char, label)
        return _mask(char)

    def read_set(self, label: str) -> int:
        """Read on after the ``[`` of a set."""
        if self.accept("^"):
            raise self.error("a set can't be negated: it would hold characters that nobody thought of")
        mask = 0
        while not self.accept("]"):
            first = self.read_member(label)
            if not self.pattern.startswith("-", self.at) or self.pattern.startswith("-]", self.at):
                mask |= first
                continue
            self.take()
            last = self.read_member(label)
            if first.bit_count() != 1 or last.bit_count() != 1:
                raise self.error("a range in a set runs from one character to another")
            if first > last:
                raise self.error("a range in a set runs backwards")
            mask |= (last << 1) - first
        if not mask:
            raise self.error("a set is empty; put a \\ before a [ or ] that is meant itself")
        if mask & _mask("/\\"):
            raise self.error(f"{label} can't hold a path separator, and a range in its set does")
        return mask

    def read_member(self, label: str) -> int:
        """Read one character, or one class of them, of a set."""
        char = self.take()
        if not char:
            raise self.error("a set is not closed")
        if char == "\\":
            return self.read_escape(label)
        if char == "[":
            raise self.error("a set can't stand in another; put a \\ before a [ that is meant itself")
        self.check(char, label)
        return _mask(char)

    def read_count(self) -> tuple[int, int | None]:
        """Read how often an atom may come: once, if nothing is said."""
        for sign, low, high in (("?", 0, 1), ("*", 0, None), ("+", 1, None)):
            if self.accept(sign):
                return low, high
        if not self.accept("{"):
            return 1, 1
        match = _COUNT.match(self.pattern, self.at)
        if match is None:
            raise self.error("a count is written {m} or {m,n}")
        self.at = match.end()
        least, most = int(match[1]), int(match[2] or match[1])
        if not least <= most:
            raise self.error("a count runs backwards")
        if not 1 <= most <= _MAX_COUNT:
            raise self.error(f"a count must allow 1 to {_MAX_COUNT} characters")
        return least, most


def _why_refused(directive: str) -> str:
    """Say why a directive of ``strftime`` can't stand in a pattern."""
    if reason := _REFUSED_DIRECTIVES.get(directive):
        return f"%{directive} {reason}"
    if directive in {"", "}"}:
        return "a % stands alone; write %% for the character itself"
    return "unknown directive: only %Y %m %d %H %M %S %f and %% can stand here"


class _Automaton:
    """The positions of a pattern, one for each character that an atom can take, and what may follow.

    Position 0 is the start; the last one stands for the end of the name. Counts are unrolled, so a
    walk from start to end says for every character which atom took it, and at which count.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self.masks = [0]
        self.labels = [""]
        self.follow: list[list[int]] = [[]]
        before = [0]
        for optional, group in itertools.groupby(parts, key=_is_optional):
            skip = before if optional else []
            for part in group:
                for atom in part.atoms:
                    before = self._add(atom, part.label, before)
            before = before + skip
        self._add(_Atom(mask=_END), "the end", before)

    def _add(self, atom: _Atom, label: str, entry: list[int]) -> list[int]:
        """Append an atom that may follow any position of ``entry``; return what the next may follow."""
        leave = list(entry) if atom.low == 0 else []
        before = entry
        for count in range(1, atom.positions + 1):
            here = len(self.masks)
            self.masks.append(atom.mask)
            self.labels.append(label)
            self.follow.append([])
            for position in before:
                self.follow[position].append(here)
            if count >= atom.low:
                leave.append(here)
            before = [here]
        if atom.high is None:
            self.follow[-1].append(len(self.masks) - 1)
        return leave


def _two_readings(parts: Sequence[_Part]) -> tuple[str, list[tuple[str, str]]] | None:
    """Decide whether some text can be read in two ways.

    Two walks over the same text are followed at once, through the pairs of positions they can be at. The
    pattern has two readings exactly if walks that have parted can meet again, at the latest at the end.

    Returns:
        A made-up text with two readings, and for its first characters the labels of what takes them
        in one reading and in the other; None if every text has one reading at most.
    """
    automaton = _Automaton(parts)
    masks, follow, labels = automaton.masks, automaton.follow, automaton.labels
    came_from: dict[tuple[int, int], tuple[int, int]] = {}
    queue = deque([(0, 0)])
    while queue:
        pair = queue.popleft()
        for one, other in itertools.product(follow[pair[0]], follow[pair[1]]):
            if not masks[one] & masks[other]:
                continue
            if one == other and pair[0] != pair[1]:
                walk = []
                while pair != (0, 0):
                    walk.append(pair)
                    pair = came_from[pair]
                walk.reverse()
                text = [_example(masks[left] & masks[right]) for left, right in walk]
                met = one
                while follow[met]:
                    text.append(_example(masks[met]))
                    met = follow[met][-1]
                return "".join(text), [(labels[left], labels[right]) for left, right in walk]
            if (one, other) not in came_from:
                came_from[one, other] = pair
                queue.append((one, other))
    return None


def _example(mask: int) -> str:
    """Pick a character of a set: a digit or a letter where there is one."""
    return next(char for char in _EXAMPLES if mask >> ord(char) & 1)


@attrs.frozen(kw_only=True)
class _Compiled:
    """What a pattern comes to.

    Args:
        fullmatch: Matches whole names; has every group of `_GROUPS`.
        order: The numbers of these groups.
        checks: For each group of text, its label and what its value must match.
        with_sequence, without_sequence: Templates for ``str.format``; None where there is no such name.
        microseconds: Whether names hold them.
    """

    fullmatch: Callable[[str], re.Match[str] | None]
    order: tuple[int, ...]
    checks: tuple[tuple[str, str, Callable[[str], re.Match[str] | None]], ...]
    with_sequence: str | None
    without_sequence: str | None
    microseconds: bool


@functools.lru_cache(maxsize=64)
def _compile(pattern: str) -> _Compiled:
    """Read and check a pattern."""
    reader = _Reader(pattern)
    parts = reader.read()
    _check_complete(reader.seen)
    if found := _two_readings(parts):
        text, walk = found
        at, (one, other) = next((at, pair) for at, pair in enumerate(walk, 1) if pair[0] != pair[1])
        reason = (
            f"the pattern can be read in two ways: in {text!r}, character {at} may belong to {one} or to "
            f"{other}; put fixed text between them that neither can hold, or narrow them"
        )
        raise NamingPatternError(reason, example=text)
    body = ""
    for optional, group in itertools.groupby(parts, key=_is_optional):
        text = "".join(part.regex for part in group)
        body += f"(?:{text})?" if optional else text
    present = {part.group for part in parts}
    # Groups that the pattern lacks are there too but never match, so that `parse` needs no case of its own.
    body += "".join(f"(?P<{name}>(?!))?" for name in _GROUPS if name not in present)
    regex = re.compile(body)
    has_sequence = "sequence" in present
    always = "".join(part.template for part in parts if not part.optional)
    return _Compiled(
        fullmatch=regex.fullmatch,
        order=tuple(regex.groupindex[name] for name in _GROUPS),
        checks=tuple(
            (part.group, part.label, re.compile(part.regex).fullmatch)
            for part in parts
            if part.group and part.group not in _DIRECTIVES
        ),
        with_sequence="".join(part.template for part in parts) if has_sequence else None,
        without_sequence=None if has_sequence and not any(map(_is_optional, parts)) else always,
        microseconds="f" in present,
    )


def _check_complete(seen: set[str]) -> None:
    """Refuse a pattern that does not say whose the file is and when it was taken."""
    lacking = [f"{{{name}}}" for name in ("patient", "provider") if name not in seen]
    lacking += [
        f"{what} (%{name})" for name, (what, *_) in _DIRECTIVES.items() if f"%{name}" not in seen | {"%f"}
    ]
    if lacking:
        raise NamingPatternError(f"the pattern lacks {', '.join(lacking)}")


@attrs.frozen
class CaptureNaming:
    r"""The structure of the names that the capture app gives its files.

    A pattern describes the name without its extension; the extension follows and is kept as written.

    ``{patient}``, ``{provider}``
        An id of letters, digits and hyphens. Both are needed.
    ``{sequence}``
        Digits that tell apart what was taken in the same second.
    ``{patient:[A-Z]?\d{1,8}}``
        A part narrowed to: characters, sets ``[A-Z0-9]``, ``\d`` (digits) and ``\w`` (letters, digits,
        underscore), each followed by ``?``, ``*``, ``+``, ``{m}``, ``{m,n}`` or nothing. A backslash takes
        the meaning from the character after it.
    ``{taken:%Y%m%d_%H%M%S}``
        Date and time: ``%Y`` (four digits), ``%m``, ``%d``, ``%H``, ``%M``, ``%S`` (two each), ``%f`` (six
        digits of microseconds), ``%%``. May stand in several places; all but ``%f`` are needed.
    ``[...]``
        May be missing from a name. Holds ``{sequence}`` and fixed text only.
    ``{{ }} [[ ]]``
        The characters themselves. Everything else is fixed text.

    Letters, digits and fixed text are ASCII, and letter case counts. The default pattern is ours: the
    vendor does not publish the structure of the names. Check it against a real file.

    Args:
        pattern: See above.

    Raises:
        NamingPatternError: The pattern lacks a part, holds one that can't be used, or some name could be read
            in two ways. Then ``example`` is such a name, made up.
    """

    pattern: str = DEFAULT_PATTERN
    _compiled: _Compiled = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: _compile(self.pattern), takes_self=True),
    )

    def __reduce__(self) -> tuple[type[CaptureNaming], tuple[str]]:
        """Pickle the pattern alone, so that it is checked again where it is unpickled."""
        return CaptureNaming, (self.pattern,)

    def parse(self, name: str, /) -> CaptureName | None:
        """Read what the capture app wrote into a file name.

        Args:
            name: Base name with its extension, no folder.

        Returns:
            The parts, such that `format` gives back ``name``; None when the name has another structure or
            more than `MAX_NAME_LENGTH` characters. ``taken_local`` is naive clinic wall time, resolution
            1 s, or 1 microsecond if the pattern has ``%f``.

        Raises:
            CaptureNameError: The structure fits but the date or time can't exist (31 February).
        """
        compiled = self._compiled
        if len(name) > MAX_NAME_LENGTH:
            return None
        match = compiled.fullmatch(name)
        if match is None:
            return None
        patient, provider, sequence, extension, year, month, day, hour, minute, second, micro = match.group(
            *compiled.order
        )
        try:
            taken = datetime(  # noqa: DTZ001 (the name does not know its zone)
                int(year),
                _TWO_DIGITS[month],
                _TWO_DIGITS[day],
                _TWO_DIGITS[hour],
                _TWO_DIGITS[minute],
                _TWO_DIGITS[second],
                0 if micro is None else int(micro),
            )
        except ValueError:
            # Not chained: the cause may quote digits of the name.
            raise CaptureNameError(
                "the name has the capture structure, but its date or time can't exist"
            ) from None
        return CaptureName(
            patient=patient, provider=provider, taken_local=taken, sequence=sequence, extension=extension
        )

    def format(self, capture: CaptureName, /) -> str:
        """Write the name that `parse` reads as these parts.

        Args:
            capture: What the name must say.

        Returns:
            The base name with its extension.

        Raises:
            CaptureNameError: No name under this pattern says exactly that: a part does not match the
                pattern, the pattern has no place for the sequence or needs one, the time is aware or finer
                than the pattern, or the name would have more than `MAX_NAME_LENGTH` characters.
        """
        compiled = self._compiled
        taken = capture.taken_local
        template = compiled.without_sequence if capture.sequence is None else compiled.with_sequence
        if template is None and capture.sequence is None:
            raise CaptureNameError("the pattern needs a sequence, and there is none")
        if template is None:
            raise CaptureNameError("the pattern has no place for a sequence")
        if taken.tzinfo is not None:
            raise CaptureNameError("the time has a zone; names hold the naive wall time of the clinic")
        if taken.microsecond and not compiled.microseconds:
            raise CaptureNameError("the time has a fraction of a second, and the pattern has no place for it")
        for field, label, fullmatch in compiled.checks:
            value = getattr(capture, field)
            if value is not None and not fullmatch(value):
                raise CaptureNameError(f"{label} does not match the pattern")
        name = template.format(
            patient=capture.patient,
            provider=capture.provider,
            sequence=capture.sequence,
            extension=capture.extension,
            taken=taken,
        )
        if len(name) > MAX_NAME_LENGTH:
            raise CaptureNameError(f"the name would have more than {MAX_NAME_LENGTH} characters")
        # Some datetimes know more than their fields say (pandas counts nanoseconds): the name would not
        # say what was asked for.
        if self.parse(name) != capture:
            raise CaptureNameError("the time is finer than any name can say")
        return name
