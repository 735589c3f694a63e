"""`find_companions`: which files of one folder belong together.

Pure: names and facts in, groups out. A phone writes a photo, its movie, its edits and an edited twin as files
of their own; a camera writes a RAW beside a JPEG. Such files are shown, saved, undone and moved to another
patient together.

::

    found = find_companions({row.name: facts or None for row in rows})  # None: not read
    found.groups  # every file is in exactly one group
    found.group_of("IMG_1.MOV")  # Group(owner="IMG_1.HEIC", parts=(Part("IMG_1.MOV", …MOVIE, …),))
    found.possible_for("IMG_1.MOV")  # what may belong together, and is not certain

What belongs together:

1. Equal content ids (Apple writes one into a photo and its movie) or equal burst ids, whatever the names are.
   Files with different content ids never belong together.
2. The same stem, and capture times within 5 seconds, and no other device. A stem that has the date and the
   time with seconds is a capture time, too.
3. A sidecar has no time of its own: its name, and what its content says about its owner.

What is likely and not certain is a `PossibleCompanion`: ask a person. Files with one name and other times are
strangers: cameras repeat their numbers.

Only files that need it are read: `survey` asks for the facts of one file after the other (`companion_facts`).
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from intouch_import.media.companion_names import (
    ADDITIONS,
    TAKEOUT_STEM,
    Family,
    Form,
    folded,
    has_time,
    is_sidecar,
    owners_of,
    read_name,
)
from intouch_import.media.companion_values import (
    CompanionDoubt,
    CompanionFacts,
    Companions,
    Group,
    MatchedBy,
    Part,
    PossibleCompanion,
)
from intouch_import.model import CompanionRole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from intouch_import.media.companion_names import ParsedName

__all__ = [
    "SHORTEST_CUT",
    "CompanionDoubt",
    "CompanionFacts",
    "CompanionRole",
    "Companions",
    "Group",
    "MatchedBy",
    "Part",
    "PossibleCompanion",
    "find_companions",
    "is_sidecar",
    "names_to_read",
    "survey",
]

_WITHIN_S: Final = 5.0
# All offsets from UTC are whole quarters of an hour.
_QUARTER_S: Final = 900.0
_LONGEST_OFFSET_S: Final = 14 * 3600.0 + _WITHIN_S
# Files of one stem that are compared each with each; more are names that nobody wrote by hand.
_MOST_OF_ONE_STEM: Final = 32
# A title of Takeout may be longer than the photo's name, which is cut, too.
SHORTEST_CUT: Final = 40
_PHOTOS: Final = frozenset({Family.STILL, Family.RAW, Family.MOVIE})
_NAMED_INSIDE: Final = (".json", ".xmp")
_NUMBER: Final = re.compile(r"\(\d{1,3}\)\Z", re.ASCII)
_NO_FACTS: Final = CompanionFacts()
_ROLES: Final = list(CompanionRole)
_NO_WORD: Final = re.compile(r"\W")


def find_companions(files: Mapping[str, CompanionFacts | None]) -> Companions:
    """Find out which files of one folder belong together.

    The time is proportional to the number of files. The order of the files does not matter.

    Args:
        files: Facts by base name; None if the content was not read. Only ordinary files.
    """
    return _Folder(files).find()


def survey(names: Iterable[str], read: Callable[[str], CompanionFacts | None]) -> Companions:
    """Find out which files of one folder belong together, and read those whose names do not decide.

    Args:
        names: The base names. Only ordinary files.
        read: Called with a name; returns the facts, or None if the file can't be read now.
    """
    files: dict[str, CompanionFacts | None] = dict.fromkeys(names)
    folder = _Folder(files)
    asked: set[str] = set()
    while wanted := [name for name in folder.to_read() if name not in asked]:
        asked.update(wanted)
        files.update((name, read(name)) for name in wanted)
    return folder.find()


def names_to_read(files: Mapping[str, CompanionFacts | None]) -> list[str]:
    """Return the names of files that must be read to know their companions; empty if that is known.

    Args:
        files: As for `find_companions`.
    """
    return _Folder(files).to_read()


class _Folder:
    """The files of a folder, and the groups that were found so far."""

    def __init__(self, files: Mapping[str, CompanionFacts | None]) -> None:
        self._facts = files
        parsed = sorted(map(read_name, files), key=lambda one: one.rank)
        self._all = parsed
        self.media = [one for one in parsed if one.family in _PHOTOS]
        self.sidecars = [one for one in parsed if one.family in ADDITIONS]
        self.stems: dict[str, list[ParsedName]] = defaultdict(list)
        self.bursts: dict[str, list[ParsedName]] = defaultdict(list)
        for one in self.media:
            self.stems[one.stem].append(one)
            if one.burst:
                self.bursts[one.burst].append(one)
        self._parents: dict[str, str] = {}
        self._content_ids: dict[str, str] = {}
        self._matched: dict[str, MatchedBy] = {}
        self._possible: dict[tuple[str, str], CompanionDoubt] = {}

    def to_read(self) -> list[str]:
        """Return the names of files that must be read; see `names_to_read`."""
        buckets = (*self.stems.values(), *self.bursts.values())
        wanted = {one.name for members in buckets if len(members) > 1 for one in members}
        for one in self.sidecars:
            if folded(one.name).endswith(_NAMED_INSIDE) and (found := self.candidates(one)):
                wanted.add(one.name)
                if (facts := self._facts[one.name]) is not None and facts.document_id is not None:
                    wanted |= {owner.name for owner in found if owner.family in _PHOTOS}
        # The movie of a live photo may have another stem. Photos are read only if one is missing.
        wanted |= {one.name for one in self.media if folded(one.name).endswith(".mov")}
        ids: dict[bool, set[str]] = {True: set(), False: set()}
        for one in self.media:
            facts = self._facts[one.name]
            if facts is not None and facts.content_id is not None:
                ids[one.family is Family.MOVIE].add(facts.content_id)
        if ids[True] - ids[False]:
            wanted |= {one.name for one in self.media if one.family is not Family.MOVIE}
        return sorted(name for name in wanted if self._facts[name] is None)

    def find(self) -> Companions:
        """Find the groups."""
        for name, facts in self._facts.items():
            if facts is not None and facts.content_id is not None:
                self._content_ids[name] = facts.content_id
        self.join_equal("content_id", MatchedBy.CONTENT_ID)
        self.join_equal("burst_id", MatchedBy.BURST_ID)
        for stem, members in itertools.chain(self.bursts.items(), self.stems.items()):
            self.join_likely(stem, members)
        for sidecar in self.sidecars:
            self.attach(sidecar)
        return self.result()

    @functools.cached_property
    def _full_names(self) -> dict[str, list[ParsedName]]:
        found: dict[str, list[ParsedName]] = defaultdict(list)
        for one in self._all:
            if one.family not in ADDITIONS:
                found[folded(one.name)].append(one)
        return found

    @functools.cached_property
    def _cut_names(self) -> dict[str, list[ParsedName]]:
        found: dict[str, list[ParsedName]] = defaultdict(list)
        for name, same in self._full_names.items():
            found[name[:TAKEOUT_STEM]] += same
        return found

    # --- groups

    def _root(self, name: str) -> str:
        root = name
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while (parent := self._parents.get(name, name)) != root:
            self._parents[name], name = root, parent
        return root

    def _join(self, one: str, other: str, matched_by: MatchedBy) -> None:
        """Put two files into one group, unless their groups have different content ids."""
        first, second = self._root(one), self._root(other)
        ids = {known for root in (first, second) if (known := self._content_ids.get(root))}
        if first == second or len(ids) > 1:
            return
        self._parents[second] = first
        for known in ids:
            self._content_ids[first] = known
        for name in (one, other):
            self._matched.setdefault(name, matched_by)

    def join_equal(self, field: str, matched_by: MatchedBy) -> None:
        """Join the files that have the same id."""
        first: dict[str, str] = {}
        for one in self.media:
            known = getattr(self._facts[one.name], field, None)
            if known is not None and (owner := first.setdefault(known, one.name)) != one.name:
                self._join(owner, one.name, matched_by)

    def join_likely(self, stem: str, members: Sequence[ParsedName]) -> None:
        """Join files of one stem or burst, as far as their facts agree."""
        if len(members) == 1:
            return
        several = len({known for one in members if (known := self._content_id_of(one))}) > 1
        timed = has_time(stem)
        doubts = []
        for one, other in _pairs(members):
            if self._root(one.name) == self._root(other.name):
                continue
            found = _compare(self._facts[one.name], self._facts[other.name], timed=timed)
            if None not in (self._content_id_of(one), self._content_id_of(other)):
                # Different ids. A phone may give an edited twin an id of its own.
                edited = one.form is not other.form and isinstance(found, MatchedBy)
                found = CompanionDoubt.OTHER_CONTENT_ID if edited else None
            elif several and isinstance(found, MatchedBy):
                found = CompanionDoubt.SEVERAL_OWNERS
            if isinstance(found, MatchedBy):
                self._join(one.name, other.name, found)
            elif found is not None:
                doubts.append((one, other, found))
        for one, other, doubt in doubts:
            self._doubt(one, other, doubt)

    def _content_id_of(self, one: ParsedName) -> str | None:
        return self._content_ids.get(self._root(one.name))

    def _doubt(self, one: ParsedName, other: ParsedName, doubt: CompanionDoubt) -> None:
        if self._root(one.name) != self._root(other.name):
            self._possible.setdefault((one.name, other.name), doubt)

    # --- sidecars

    def candidates(self, sidecar: ParsedName) -> list[ParsedName]:
        """Return the files to which a sidecar may belong by its name."""
        full_names, start = owners_of(sidecar.name)
        for name in full_names:
            if found := self._full_names.get(name):
                return found[:_MOST_OF_ONE_STEM]
        if start and (found := self._cut_names.get(start[:TAKEOUT_STEM])):
            return found[:_MOST_OF_ONE_STEM]
        found = self.stems.get(sidecar.stem, [])[:_MOST_OF_ONE_STEM]
        if sidecar.family is Family.PREVIEW:
            of = (Family.MOVIE, Family.RAW) if folded(sidecar.name).endswith(".thm") else (Family.MOVIE,)
            found = [one for one in found if one.family in of]
        found = [one for one in found if one.form is sidecar.form] or found
        written = sidecar.name.rpartition(".")[0]
        return [one for one in found if one.name.rpartition(".")[0] == written] or found

    def attach(self, sidecar: ParsedName) -> None:
        """Put a sidecar into the group of its owner, if only one group has files that can be the owner."""
        found = self.candidates(sidecar)
        matched_by, doubt = MatchedBy.NAME, CompanionDoubt.SEVERAL_OWNERS
        if (facts := self._facts[sidecar.name]) is not None:
            likely = [(one, self._is_named(one, facts)) for one in found]
            if any(named for _, named in likely):
                found, matched_by = [one for one, named in likely if named], MatchedBy.NAMED_INSIDE
            elif possible := [one for one, named in likely if named is None]:
                found = possible
            else:
                doubt = CompanionDoubt.NAMES_ANOTHER
        crowded = len(found) == _MOST_OF_ONE_STEM
        if (
            doubt is not CompanionDoubt.NAMES_ANOTHER
            and not crowded
            and len({self._root(one.name) for one in found}) == 1
        ):
            self._join(found[0].name, sidecar.name, matched_by)
            return
        for one in found:
            self._doubt(one, sidecar, doubt)

    def _is_named(self, one: ParsedName, sidecar: CompanionFacts) -> bool | None:
        """Return whether the content of a sidecar names this file; None if it does not say."""
        if sidecar.owner_name is not None:
            return _fits(one.name, sidecar.owner_name)
        known = self._facts[one.name]
        if sidecar.document_id is None or known is None or known.document_id is None:
            return None
        return sidecar.document_id == known.document_id

    # --- result

    def result(self) -> Companions:
        """Return the groups."""
        members: dict[str, list[ParsedName]] = defaultdict(list)
        for one in self._all:  # in the order of their ranks, so the owner is the first
            members[self._root(one.name)].append(one)
        groups = [self._group(*group) for group in members.values()]
        return Companions(
            groups=tuple(sorted(groups, key=lambda group: group.owner)),
            possible=tuple(
                PossibleCompanion(name=name, other=other, doubt=doubt)
                for (name, other), doubt in sorted(self._possible.items())
            ),
        )

    def _group(self, owner: ParsedName, *others: ParsedName) -> Group:
        parts = [
            Part(one.name, _role(one, owner, matched), matched)
            for one in others
            for matched in [self._matched[one.name]]
        ]
        parts.sort(key=lambda part: (_ROLES.index(part.role), part.name))
        return Group(owner=owner.name, parts=tuple(parts))


def _pairs(members: Sequence[ParsedName]) -> Iterable[tuple[ParsedName, ParsedName]]:
    if len(members) <= _MOST_OF_ONE_STEM:
        return itertools.combinations(members, 2)
    return ((members[0], other) for other in members[1:])


def _compare(
    one: CompanionFacts | None, other: CompanionFacts | None, *, timed: bool
) -> MatchedBy | CompanionDoubt | None:
    """Compare two files of one stem.

    Args:
        one: The facts of one file; None if it was not read.
        other: The facts of the other.
        timed: Whether the stem has a date and a time.

    Returns:
        Why they belong together; why that is not certain; None if they are strangers.
    """
    first, second = one or _NO_FACTS, other or _NO_FACTS
    other_device = None not in (first.device, second.device) and first.device != second.device
    gaps = [abs((a - b).total_seconds()) for a in first.taken_at for b in second.taken_at]
    if min(gaps) <= _WITHIN_S if gaps else timed:
        if other_device:
            return CompanionDoubt.OTHER_DEVICE
        return MatchedBy.TIME if gaps else MatchedBy.TIME_IN_NAME
    if other_device:
        return None
    if not gaps:
        return CompanionDoubt.NOT_READ if None in (one, other) else CompanionDoubt.NO_TIME
    if timed:
        return CompanionDoubt.OTHER_TIME
    return CompanionDoubt.TIME_ZONE if any(map(_is_offset, gaps)) else None


def _is_offset(gap_s: float) -> bool:
    """Return whether a difference may be that of two time zones."""
    return gap_s <= _LONGEST_OFFSET_S and abs(gap_s - round(gap_s / _QUARTER_S) * _QUARTER_S) <= _WITHIN_S


def _fits(name: str, owner_name: str) -> bool:
    """Return whether a file may be the one that a sidecar names: Takeout numbers and cuts names."""
    stems = (read_name(one).stem or folded(one) for one in (name, owner_name))
    own, given = (_NO_WORD.sub("_", _NUMBER.sub("", stem)) for stem in stems)
    return own == given or (len(own) >= SHORTEST_CUT and given.startswith(own))


def _role(one: ParsedName, owner: ParsedName, matched_by: MatchedBy) -> CompanionRole:
    match one.family:
        case Family.SIDECAR:
            return CompanionRole.SIDECAR
        case Family.PREVIEW:
            return CompanionRole.PREVIEW
        case Family.MOVIE if owner.family is not Family.MOVIE:
            return CompanionRole.MOVIE
        case Family.RAW if owner.family is not Family.RAW:
            return CompanionRole.RAW
    if one.form is Form.EDITED:
        return CompanionRole.EDITED
    return CompanionRole.BURST if one.burst or matched_by is MatchedBy.BURST_ID else CompanionRole.VERSION
