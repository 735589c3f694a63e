"""Reads the text of a pattern into its parts, or says what is wrong with it, and where."""

from __future__ import annotations

import re
from typing import Final

import attrs

from intouch_import.errors import NamingPatternError
from intouch_import.filenames.ambiguity import two_readings
from intouch_import.filenames.parts import ALPHANUMERIC, DIGITS, MAX_NAME_LENGTH, Atom, Part, mask_of

__all__ = ["DIRECTIVES", "Reader"]

_DELETE: Final = 0x7F
_MAX_COUNT: Final = 64
_COUNT: Final = re.compile(r"([0-9]{1,4})(?:,([0-9]{1,4}))?\}")
_PART_NAMES: Final = ("patient", "provider", "sequence", "taken")
DIRECTIVES: Final = {
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

_CLASSES: Final = {"d": DIGITS, "w": ALPHANUMERIC | mask_of("_")}
_EXTENSION: Final = Part(
    label="the extension",
    group="extension",
    template="{extension}",
    atoms=(Atom(mask=mask_of(".")), Atom(mask=ALPHANUMERIC, high=10)),
)
_DEFAULT_ATOMS: Final = {
    "patient": (Atom(mask=ALPHANUMERIC | mask_of("-"), high=None),),
    "provider": (Atom(mask=ALPHANUMERIC | mask_of("-"), high=None),),
    "sequence": (Atom(mask=DIGITS, high=None),),
}


class Reader:
    """Reads a pattern from left to right into its parts."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.parts: list[Part] = []
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

    def read(self) -> tuple[Part, ...]:
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

    def add(self, part: Part) -> None:
        """Append a part, within the size a name can have."""
        self.positions += sum(atom.positions for atom in part.atoms)
        if self.positions > MAX_NAME_LENGTH:
            raise self.error(f"the counts of the pattern add up to more than {MAX_NAME_LENGTH} characters")
        self.parts.append(attrs.evolve(part, optional=self.group_start is not None))

    def add_fixed(self, char: str) -> None:
        """Append one character of fixed text."""
        self.check(char, "fixed text")
        template = char * 2 if char in "{}" else char
        self.add(Part(label="fixed text", template=template, atoms=(Atom(mask=mask_of(char)),)))

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
        self.add(Part(label=label, group=name, template=label, atoms=atoms))
        # This, and the same for the whole pattern, is what keeps matching linear: when no text can be
        # read in two ways, re reaches each position of the automaton once per character at most.
        # Without it "[0-9]*[0-9]*[0-9]*x" would try every split of a long row of digits.
        if found := two_readings(self.parts[-1:]):
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
            if directive not in DIRECTIVES:
                raise self.error(_why_refused(directive))
            found = True
            self.once(f"%{directive}", f"%{directive}")
            _, digits, template = DIRECTIVES[directive]
            self.add(
                Part(
                    label=f"%{directive}",
                    group=directive,
                    template=f"{{{template}}}",
                    atoms=(Atom(mask=DIGITS, low=digits, high=digits),),
                )
            )
        if not found:
            raise self.error("{taken} needs a directive, such as %Y")

    def read_narrowing(self, label: str) -> tuple[Atom, ...]:
        """Read on after the ``:`` of a part: atoms, each with a count, up to the closing brace."""
        atoms: list[Atom] = []
        while not self.accept("}"):
            mask = self.read_atom(label)
            low, high = self.read_count()
            atoms.append(Atom(mask=mask, low=low, high=high))
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
                return mask_of(char)

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
        return mask_of(char)

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
        if mask & mask_of("/\\"):
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
        return mask_of(char)

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
