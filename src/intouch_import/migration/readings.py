"""Find every way to read a text with a pattern. Pure.

Each pair of part and position is tried once, so the work does not explode with the number of parts. A text
that can be read in very many ways is refused: a reading that was left out could name another patient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["NOTHING", "TooManyReadings", "Values", "Ways", "all_ways"]

Values: TypeAlias = "frozenset[tuple[str, str]]"
"""What was read: pairs of a name and a text."""

Ways: TypeAlias = "list[tuple[int, Values]]"
"""Where a part may end, and what was read then."""

_Steps: TypeAlias = "list[tuple[int | None, dict[int, Ways]]]"

NOTHING: Final[Values] = frozenset()
_MOST_READINGS: Final = 500


class TooManyReadings(Exception):
    """A text can be read in more ways than can be compared."""


def all_ways(
    gaps: Sequence[int | None], ways: Callable[[int, int], Ways], length: int, last: set[int] | None
) -> dict[int, set[Values]]:
    """Find all values that can be read when parts follow each other from position 0 on.

    Args:
        gaps: For each part that matches anything, the least number of positions that it skips; else None.
        ways: Returns the ways to read a part, by its number, from a position on.
        length: The last position.
        last: Where the last part may end; None for anywhere.

    Returns:
        The values by the position where the last part ends.

    Raises:
        TooManyReadings: There are more than some hundred.
    """
    starts: set[int] = {0}
    steps: _Steps = []
    for part, gap in enumerate(gaps):
        steps.append((gap, {start: ways(part, start) for start in starts} if gap is None else {}))
        if gap is None:
            starts = {end for found in steps[-1][1].values() for end, _ in found}
        else:
            starts = set(range(min(starts) + gap, length + 1)) if starts else set()
    ends = _ends(steps, starts if last is None else starts & last)
    found: dict[int, set[Values]] = {0: {NOTHING}}
    for (gap, step), wanted in zip(steps, ends, strict=True):
        found = _step(found, step, wanted) if gap is None else _skip(found, gap, wanted, length)
    return {end: readings for end, readings in found.items() if readings}


def _ends(steps: _Steps, last: set[int]) -> list[set[int]]:
    """Return the positions where each part may end, so that the parts after it can be read."""
    ends = [last]
    for gap, step in reversed(steps[1:]):
        wanted = ends[-1]
        if gap is None:
            ends.append({at for at, found in step.items() if any(end in wanted for end, _ in found)})
        else:
            ends.append(set(range(max(wanted) - gap + 1)) if wanted else set())
    return ends[::-1]


def _step(before: dict[int, set[Values]], step: dict[int, Ways], wanted: set[int]) -> dict[int, set[Values]]:
    found: dict[int, set[Values]] = {}
    for start, known in before.items():
        for end, values in step[start]:
            if end in wanted:
                _add(found.setdefault(end, set()), known, values)
    return found


def _skip(before: dict[int, set[Values]], gap: int, wanted: set[int], length: int) -> dict[int, set[Values]]:
    found: dict[int, set[Values]] = {}
    seen: set[Values] = set()
    for end in range(gap, length + 1):
        _add(seen, before.get(end - gap, ()), NOTHING)
        if end in wanted:
            found[end] = set(seen)
    return found


def _add(found: set[Values], known: Iterable[Values], values: Values) -> None:
    """Add these values to each known reading, unless it has another text for one of their names."""
    for one in known:
        both = one | values
        if len({name for name, _ in both}) == len(both):
            found.add(both)
            if len(found) > _MOST_READINGS:
                raise TooManyReadings
