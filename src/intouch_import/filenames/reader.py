"""Parse the text of a pattern into its parts, or report the error and its position."""

from __future__ import annotations

import re
from typing import Final

import attrs

from intouch_import.errors import NamingPatternError
from intouch_import.filenames.parts import (
    ALPHANUMERIC,
    DIGITS,
    MAX_NAME_LENGTH,
    Atom,
    Part,
    mask_of,
    two_readings,
)

__all__ = ["DIRECTIVES", "PatternReader", "read_id"]

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
_LOCALE: Final = "depends on the language settings"
_WEEK: Final = "counts weeks; use %m and %d"
_REFUSED_DIRECTIVES: Final = {
    **dict.fromkeys("aAbBchpPrxX", _LOCALE),
    **dict.fromkeys("GguUVwW", _WEEK),
    **dict.fromkeys("CyD", "does not give the century; use %Y"),
    "j": "is a day of the year; use %m and %d",
    **dict.fromkeys("Il", "is a 12-hour clock; use %H"),
    **dict.fromkeys("zZ", "is a time zone, but names contain the local time of the clinic"),
    "s": "counts seconds in UTC, but names contain the local time of the clinic",
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


class PatternReader:
    """Parses a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.parts: list[Part] = []
        self.seen: set[str] = set()
        self.positions = 0
        self.group_start: int | None = None

    def error(self, reason: str, **context: str) -> NamingPatternError:
        """Return the exception for the character that was just read."""
        return NamingPatternError(f"{reason} (character {self.at} of the pattern)", **context)

    def take(self) -> str:
        """Return the next character and move past it; empty at the end of the pattern."""
        char = self.pattern[self.at : self.at + 1]
        self.at += len(char)
        return char

    def accept(self, char: str) -> bool:
        """Move past this character if it is the next one; return whether it was."""
        found = self.pattern.startswith(char, self.at)
        self.at += found
        return found

    def read(self) -> tuple[Part, ...]:
        """Parse the whole pattern. The extension comes last; patterns do not mention it."""
        while char := self.take():
            if char in "{}[]" and self.accept(char):
                self.add_fixed(char)
            elif char == "{":
                self.read_part()
            elif char == "[":
                if self.group_start is not None:
                    raise self.error("an optional group can't contain another; write [[ for a literal [")
                self.group_start = len(self.parts)
            elif char == "]":
                self.close_group()
            elif char == "}":
                raise self.error("this } closes nothing; write }} for a literal }")
            else:
                self.add_fixed(char)
        if self.group_start is not None:
            raise self.error("the optional group is not closed")
        self.add(_EXTENSION)
        return tuple(self.parts)

    def close_group(self) -> None:
        """End the optional group, which must contain the sequence."""
        if self.group_start is None:
            raise self.error("this ] closes nothing; write ]] for a literal ]")
        if all(part.group != "sequence" for part in self.parts[self.group_start :]):
            raise self.error("an optional group needs {sequence}, which decides whether the group is written")
        self.group_start = None

    def add(self, part: Part) -> None:
        """Append a part, within the longest possible name."""
        self.positions += sum(atom.positions for atom in part.atoms)
        if self.positions > MAX_NAME_LENGTH:
            raise self.error(f"the counts in the pattern add up to more than {MAX_NAME_LENGTH} characters")
        self.parts.append(attrs.evolve(part, optional=self.group_start is not None))

    def add_fixed(self, char: str) -> None:
        """Append one character of fixed text."""
        self.check(char, "fixed text")
        template = char * 2 if char in "{}" else char
        self.add(Part(label="fixed text", template=template, atoms=(Atom(mask=mask_of(char)),)))

    def check(self, char: str, where: str) -> None:
        """Refuse a character that no file name should contain."""
        if char in "/\\":
            raise self.error(f"{where} can't contain a path separator: a pattern describes a name")
        if ord(char) < ord(" ") or ord(char) == _DELETE:
            raise self.error(f"{where} can't contain control characters")
        if not char.isascii():
            raise self.error(
                f"{where} can only contain ASCII: file systems encode other characters in different ways"
            )

    def once(self, name: str, label: str) -> None:
        """Refuse a part that the pattern already contains: the two values could differ."""
        if name in self.seen:
            raise self.error(f"the pattern contains {label} twice")
        self.seen.add(name)

    def read_part(self) -> None:
        """Parse a part after its ``{``."""
        start = self.at
        while (char := self.take()) not in {":", "}", ""}:
            pass
        name = self.pattern[start : self.at - len(char)]
        if not char:
            raise self.error("a part is not closed; write {{ for a literal {")
        if name not in _PART_NAMES:
            raise self.error("unknown part; use {patient}, {provider}, {sequence} or {taken:FORMAT}")
        if self.group_start is not None and name != "sequence":
            raise self.error(
                "only fixed text and {sequence} can be optional: every import needs the other parts"
            )
        if name == "taken":
            if char != ":":
                raise self.error("{taken} needs a format, such as {taken:%Y%m%d_%H%M%S}")
            self.read_taken()
            return
        label = f"{{{name}}}"
        self.once(name, label)
        self.add_id(name, self.read_narrowing(label) if char == ":" else _DEFAULT_ATOMS[name])

    def add_id(self, name: str, atoms: tuple[Atom, ...]) -> None:
        """Append a part that is an id or a sequence."""
        label = f"{{{name}}}"
        self.add(Part(label=label, group=name, template=label, atoms=atoms))
        # This check, and the one of the whole pattern, keep matching linear: if no text can be parsed in
        # two ways, re reaches each position of the automaton at most once per character. Without the
        # checks, "[0-9]*[0-9]*[0-9]*x" would try every split of a long row of digits.
        if found := two_readings(self.parts[-1:]):
            text, _ = found
            reason = (
                f"{label} can match {text!r} in two ways, so that some names would take too long to parse; "
                "merge adjacent sets, or let only one of them contain a character"
            )
            raise self.error(reason, example=text)

    def read_taken(self) -> None:
        """Parse the format of a date and time, after its ``:``."""
        found = False
        while (char := self.take()) != "}":
            if not char:
                raise self.error("a part is not closed; write {{ for a literal {")
            if char == "{":
                raise self.error("the format of {taken} can't contain braces")
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
        """Parse what restricts a part, after its ``:``: atoms, each with a count, up to the closing brace."""
        atoms: list[Atom] = []
        while not self.accept("}"):
            mask = self.read_atom(label)
            low, high = self.read_count()
            atoms.append(Atom(mask=mask, low=low, high=high))
        if all(atom.low == 0 for atom in atoms):
            raise self.error(f"{label} could be empty, but every part of a name is needed")
        return tuple(atoms)

    def read_atom(self, label: str) -> int:
        """Parse the set of one character."""
        match char := self.take():
            case "":
                raise self.error("a part is not closed; write {{ for a literal {")
            case "[":
                return self.read_set(label)
            case "\\":
                return self.read_escape(label)
            case "?" | "*" | "+" | "{":
                raise self.error("a count needs a character before it, and only one count may follow it")
            case "(" | ")" | "|":
                raise self.error(
                    "groups and alternatives are not supported; write a \\ before a literal character"
                )
            case "." | "^" | "$" | "]":
                raise self.error(
                    "special in regular expressions, but not here; write a \\ before a literal character"
                )
            case _:
                self.check(char, label)
                return mask_of(char)

    def read_escape(self, label: str) -> int:
        """Parse the character after a backslash."""
        char = self.take()
        if char in _CLASSES:
            return _CLASSES[char]
        if not char or char.isalnum():
            raise self.error("only d, w, and characters other than letters and digits can follow a \\")
        self.check(char, label)
        return mask_of(char)

    def read_set(self, label: str) -> int:
        """Parse a set after its ``[``."""
        if self.accept("^"):
            raise self.error("a set can't be negated: it would contain unexpected characters")
        mask = 0
        while not self.accept("]"):
            first = self.read_member(label)
            if not self.pattern.startswith("-", self.at) or self.pattern.startswith("-]", self.at):
                mask |= first
                continue
            self.take()
            last = self.read_member(label)
            if first.bit_count() != 1 or last.bit_count() != 1:
                raise self.error("a range in a set needs one character at each end")
            if first > last:
                raise self.error("a range in a set runs backwards")
            mask |= (last << 1) - first
        if not mask:
            raise self.error("a set is empty; write \\[ or \\] for a literal bracket")
        if mask & mask_of("/\\"):
            raise self.error(f"{label} can't contain a path separator, but a range in its set does")
        return mask

    def read_member(self, label: str) -> int:
        """Parse one character or class of a set."""
        char = self.take()
        if not char:
            raise self.error("a set is not closed")
        if char == "\\":
            return self.read_escape(label)
        if char == "[":
            raise self.error("a set can't contain another; write \\[ for a literal [")
        self.check(char, label)
        return mask_of(char)

    def read_count(self) -> tuple[int, int | None]:
        """Parse how often an atom may occur; without a count, once."""
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


def read_id(name: str, narrowing: str) -> Part:
    """Parse what restricts an id in the pattern of an archive; an empty text is the default.

    Raises:
        NamingPatternError: The text is not valid, or some ids would take too long to match.
    """
    reader = PatternReader(f"{narrowing}}}")
    reader.add_id(name, reader.read_narrowing(f"{{{name}}}") if narrowing else _DEFAULT_ATOMS[name])
    return reader.parts[0]


def _why_refused(directive: str) -> str:
    """Explain why a pattern can't contain a directive of ``strftime``."""
    if reason := _REFUSED_DIRECTIVES.get(directive):
        return f"%{directive} {reason}"
    if directive in {"", "}"}:
        return "a % needs a directive; write %% for a literal %"
    return "unknown directive; use %Y %m %d %H %M %S %f or %%"
