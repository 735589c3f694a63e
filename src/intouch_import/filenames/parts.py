"""The parts of a pattern, and the check that no name can be parsed in two ways."""

from __future__ import annotations

import functools
import itertools
import operator
import string
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "ALPHANUMERIC",
    "DIGITS",
    "MAX_NAME_LENGTH",
    "Atom",
    "Part",
    "mask_of",
    "optional_group",
    "two_readings",
]

MAX_NAME_LENGTH: Final = 255
"""The longest name, in characters. No common file system allows more; parsing time is limited too."""


def mask_of(chars: Iterable[str]) -> int:
    """Return a set of ASCII characters as the bits of a number."""
    return functools.reduce(lambda bits, char: bits | 1 << ord(char), chars, 0)


DIGITS: Final = mask_of(string.digits)
ALPHANUMERIC: Final = DIGITS | mask_of(string.ascii_letters)


@attrs.frozen(kw_only=True)
class Atom:
    """One character of a set, ``low`` to ``high`` times; a ``high`` of None sets no limit."""

    mask: int
    low: int = 1
    high: int | None = 1

    @property
    def positions(self) -> int:
        """The number of states that this atom needs in the automaton."""
        return max(self.low, 1) if self.high is None else self.high

    @property
    def regex(self) -> str:
        """The atom as a regular expression, in hexadecimal so that no character is special."""
        chars = "".join(f"\\x{code:02x}" for code in range(128) if self.mask >> code & 1)
        high = "" if self.high is None else self.high
        return f"[{chars}]" + ("" if self.low == high == 1 else f"{{{self.low},{high}}}")


@attrs.frozen(kw_only=True)
class Part:
    """A section of the name that is parsed as one value.

    Args:
        label: Its name in error messages.
        group: Its group in the regular expression; empty for fixed text.
        template: The field that writes it, for ``str.format``.
        atoms: The characters that it matches, at least one.
        optional: Whether it is in the optional group.
    """

    label: str
    group: str = ""
    template: str
    atoms: tuple[Atom, ...]
    optional: bool = False

    @property
    def regex(self) -> str:
        """The part as a regular expression, captured unless it is fixed text."""
        body = "".join(atom.regex for atom in self.atoms)
        return f"(?P<{self.group}>{body})" if self.group else body


optional_group: Final = operator.attrgetter("optional")
"""The key that groups parts by whether they are in the optional group."""


# --- can a name be parsed in two ways? -------------------------------------------------------------

_EXAMPLES: Final = "1A-_" + "".join(map(chr, range(128)))
_END: Final = 1 << 128  # marks the end of the name: the bit of no ASCII character


class _Automaton:
    """The positions of a pattern, one for each character that an atom can match, and their successors.

    Position 0 is the start; the last position is the end of the name. Counts are unrolled, so a path from
    start to end shows which atom matched each character, and at which count.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.masks = [0]
        self.labels = [""]
        self.follow: list[list[int]] = [[]]
        before = [0]
        for optional, group in itertools.groupby(parts, key=optional_group):
            skip = before if optional else []
            for part in group:
                for atom in part.atoms:
                    before = self._add(atom, part.label, before)
            before = before + skip
        self._add(Atom(mask=_END), "the end", before)

    def _add(self, atom: Atom, label: str, entry: list[int]) -> list[int]:
        """Append an atom that may follow ``entry``; return the positions that the next atom may follow."""
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


def two_readings(parts: Sequence[Part]) -> tuple[str, list[tuple[str, str]]] | None:
    """Find a text that can be parsed in two ways.

    Follow two paths over the same text at once, as pairs of positions. The pattern is ambiguous exactly if
    two paths that have separated can meet again, at the latest at the end.

    Returns:
        A made-up text, and for its first characters the labels of the parts that match them in the one
        reading and in the other; None if every text has at most one reading.
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
    """Return a character of a set, preferably a digit or a letter."""
    return next(char for char in _EXAMPLES if mask >> ord(char) & 1)
