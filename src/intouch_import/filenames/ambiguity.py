"""Whether some name could be read in two ways under a pattern, and an example of it."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Final

from intouch_import.filenames.parts import Atom, is_optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.filenames.parts import Part

__all__ = ["two_readings"]

_EXAMPLES: Final = "1A-_" + "".join(map(chr, range(128)))
_END: Final = 1 << 128  # stands for "the name ends here": the bit of no ASCII character


class _Automaton:
    """The positions of a pattern, one for each character that an atom can take, and what may follow.

    Position 0 is the start; the last one stands for the end of the name. Counts are unrolled, so a
    walk from start to end says for every character which atom took it, and at which count.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.masks = [0]
        self.labels = [""]
        self.follow: list[list[int]] = [[]]
        before = [0]
        for optional, group in itertools.groupby(parts, key=is_optional):
            skip = before if optional else []
            for part in group:
                for atom in part.atoms:
                    before = self._add(atom, part.label, before)
            before = before + skip
        self._add(Atom(mask=_END), "the end", before)

    def _add(self, atom: Atom, label: str, entry: list[int]) -> list[int]:
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


def two_readings(parts: Sequence[Part]) -> tuple[str, list[tuple[str, str]]] | None:
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
