"""What a pattern consists of: parts, each a row of characters out of sets."""

from __future__ import annotations

import functools
import string
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ALPHANUMERIC", "DIGITS", "MAX_NAME_LENGTH", "Atom", "Part", "is_optional", "mask_of"]

MAX_NAME_LENGTH: Final = 255
"""Characters; no common file system holds a longer name. It also bounds the work a name can cause."""


def mask_of(chars: Iterable[str]) -> int:
    """Write a set of ASCII characters as the bits of a number."""
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
        """States this atom needs in the automaton."""
        return max(self.low, 1) if self.high is None else self.high

    @property
    def regex(self) -> str:
        """The atom as a regular expression; hexadecimal, so that nothing in it has a meaning."""
        chars = "".join(f"\\x{code:02x}" for code in range(128) if self.mask >> code & 1)
        high = "" if self.high is None else self.high
        return f"[{chars}]" + ("" if self.low == high == 1 else f"{{{self.low},{high}}}")


@attrs.frozen(kw_only=True)
class Part:
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
    atoms: tuple[Atom, ...]
    optional: bool = False

    @property
    def regex(self) -> str:
        """The part as a regular expression, captured unless it is fixed text."""
        body = "".join(atom.regex for atom in self.atoms)
        return f"(?P<{self.group}>{body})" if self.group else body


def is_optional(part: Part) -> bool:
    """Whether a part stands in an optional group."""
    return part.optional
