"""The values of `companions`: what is known about a file, groups, and what is only possible."""

from __future__ import annotations

import enum
import functools
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.companion_names import is_sidecar
from intouch_import.secret import pseudonym

if TYPE_CHECKING:
    from datetime import datetime

    from intouch_import.model import CompanionRole

__all__ = [
    "MOST_PARTS",
    "CompanionDoubt",
    "CompanionFacts",
    "Companions",
    "Group",
    "MatchedBy",
    "Part",
    "PossibleCompanion",
]


MOST_PARTS: Final = 199
"""The most files that are moved together with an owner: one transaction stores all of them, or none."""


class MatchedBy(enum.StrEnum):
    """Why a part belongs to its group."""

    CONTENT_ID = "content id"
    BURST_ID = "burst id"
    TIME = "name and capture time"
    TIME_IN_NAME = "name with date and time"
    NAMED_INSIDE = "named in the sidecar"
    NAME = "name"


class CompanionDoubt(enum.StrEnum):
    """Why two files may belong together, and are not grouped."""

    NO_TIME = "no_time"
    NOT_READ = "not_read"
    TIME_ZONE = "time_zone"
    OTHER_DEVICE = "other_device"
    OTHER_TIME = "other_time"
    OTHER_CONTENT_ID = "other_content_id"
    SEVERAL_OWNERS = "several_owners"
    NAMES_ANOTHER = "names_another"

    @property
    def text(self) -> str:
        """The doubt in a sentence for people."""
        return _DOUBTS[self]


_DOUBTS: Final = {
    CompanionDoubt.NO_TIME: "They have one name, but not both have a capture time.",
    CompanionDoubt.NOT_READ: "They have one name, but their capture times were not read.",
    CompanionDoubt.TIME_ZONE: "They have one name, and capture times that differ by a time zone.",
    CompanionDoubt.OTHER_DEVICE: "They have one name and time, but different devices.",
    CompanionDoubt.OTHER_TIME: "They have one name with date and time, but other capture times inside.",
    CompanionDoubt.OTHER_CONTENT_ID: "They have one name and time, but different content ids.",
    CompanionDoubt.SEVERAL_OWNERS: "The name fits several files that don't belong together.",
    CompanionDoubt.NAMES_ANOTHER: "The content names another file than the one with this name.",
}


@attrs.frozen(kw_only=True)
class CompanionFacts:
    """What the content of a file says about its companions.

    Args:
        taken_at: The capture times, aware: every reading of every time that can be trusted.
        device: Make and model of the camera or phone; None if not known.
        content_id: Apple's content identifier, the same in a live photo and its movie.
        burst_id: What all photos of a burst have in common.
        document_id: The XMP DocumentID.
        owner_name: The file name that a sidecar gives for its owner.
    """

    taken_at: tuple[datetime, ...] = ()
    device: str | None = None
    content_id: str | None = None
    burst_id: str | None = None
    document_id: str | None = None
    owner_name: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Part:
    """A file that goes with the owner of its group: the name, what it is to the owner, and why."""

    name: str = attrs.field(repr=pseudonym)
    role: CompanionRole
    matched_by: MatchedBy


@attrs.frozen(kw_only=True)
class Group:
    """Files that belong together.

    Args:
        owner: The name of the file that staff see.
        parts: The others, in the order of their roles and names.
    """

    owner: str = attrs.field(repr=pseudonym)
    parts: tuple[Part, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all files, the owner first."""
        return (self.owner, *(part.name for part in self.parts))

    @property
    def is_orphan(self) -> bool:
        """Whether it is a sidecar without an owner."""
        return not self.parts and is_sidecar(self.owner)

    def part(self, name: str) -> Part | None:
        """Return a part by its name; None for the owner."""
        return next((part for part in self.parts if part.name == name), None)


@attrs.frozen(kw_only=True)
class PossibleCompanion:
    """Two files that may belong together. Neither is in the group of the other."""

    name: str = attrs.field(repr=pseudonym)
    other: str = attrs.field(repr=pseudonym)
    doubt: CompanionDoubt


@attrs.frozen(kw_only=True, eq=False)
class Companions:
    """The groups of a folder, in the order of their owners' names. Every file is in exactly one group."""

    groups: tuple[Group, ...]
    possible: tuple[PossibleCompanion, ...] = ()

    def group_of(self, name: str) -> Group:
        """Return the group of a file.

        Raises:
            KeyError: The file was not among those that were compared.
        """
        return self._by_name[name]

    def possible_for(self, name: str) -> tuple[PossibleCompanion, ...]:
        """Return what may belong to a file, or to which it may belong."""
        return tuple(self._possible_by_name.get(name, ()))

    @functools.cached_property
    def _by_name(self) -> dict[str, Group]:
        return {name: group for group in self.groups for name in group.names}

    @functools.cached_property
    def _possible_by_name(self) -> dict[str, list[PossibleCompanion]]:
        found: dict[str, list[PossibleCompanion]] = defaultdict(list)
        for one in self.possible:
            found[one.name].append(one)
            found[one.other].append(one)
        return found
