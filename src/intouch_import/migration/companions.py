"""The files of an archive that belong together: found in each folder, and decided together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from intouch_import.errors import InTouchImportError
from intouch_import.media.companion_facts import EDGE_BYTES, companion_facts
from intouch_import.media.companion_values import MOST_PARTS
from intouch_import.media.companions import is_sidecar, survey
from intouch_import.model import Action, CompanionRole, Reason
from intouch_import.verdicts import screen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from intouch_import.exclusions import Exclusions
    from intouch_import.media.companions import CompanionFacts
    from intouch_import.model import SourceFile
    from intouch_import.sources.base import Source

__all__ = ["SIDECARS", "Decision", "Grouping", "Place", "decide_together", "place_of"]

SIDECARS: Final = ("keep", "leave")
"""What a plan may do with sidecars."""
# Files that are read as a whole, where a location can't read a part of a file: photos, and short movies.
_LARGEST_FETCHED: Final = 16 * 1024 * 1024


class Place(NamedTuple):
    """Where a file stands among those that belong together.

    Args:
        role: What it is to its owner; None for an owner, and for a file that is alone.
        behind: How many files before this one its owner is.
        parts: The number of files that belong to it, which follow it.
        doubt: Why a sidecar has no owner.
    """

    role: CompanionRole | None = None
    behind: int = 0
    parts: int = 0
    doubt: Reason | None = None


_ALONE: Final = Place()
_ORPHAN: Final = Place(doubt=Reason.SIDECAR_ALONE)


def place_of(name: str, places: Mapping[str, Place]) -> Place:
    """Return the place of a file. A sidecar without one is never imported."""
    place = places.get(name)
    if place is None:
        place = _ORPHAN if is_sidecar(name) else _ALONE
    return place


@attrs.frozen
class Grouping:
    """Finds what belongs together in a folder.

    Args:
        zone: The practice's time zone.
        exclusions: The names that are not imported.
        sidecars: ``"keep"``, or ``"leave"``: they then belong to nothing.
    """

    zone: tzinfo
    exclusions: Exclusions
    sidecars: str = "keep"

    def group(self, source: Source, files: list[SourceFile]) -> tuple[list[SourceFile], dict[str, Place]]:
        """Return the entries of a folder, each part behind its owner; and the places of those in groups.

        Files whose names do not decide are read: both ends, or the whole file if the location can't do that.
        """
        by_name = {file.name: file for file in files}
        keep = self.sidecars == "keep"
        names = [
            file.name
            for file in files
            if screen(file, self.exclusions) is None and (keep or not is_sidecar(file.name))
        ]
        if len(by_name) < len(files):  # one name twice: it is not known which file is meant
            return files, {}
        found = survey(names, lambda name: self._read(source, by_name[name]))
        places: dict[str, Place] = {}
        for group in found.groups:
            if 0 < len(group.parts) <= MOST_PARTS:
                places[group.owner] = Place(parts=len(group.parts))
                places |= {part.name: Place(part.role, at) for at, part in enumerate(group.parts, start=1)}
        ordered: list[SourceFile] = []
        for file in files:
            place = places.get(file.name)
            if place is None or not place.behind:
                ordered.append(file)
            if place is not None and place.parts:
                ordered += (by_name[part.name] for part in found.group_of(file.name).parts)
        return ordered, places

    def _read(self, source: Source, file: SourceFile) -> CompanionFacts | None:
        try:
            edges = source.peek(file, EDGE_BYTES)
            if edges is None and file.size_bytes <= _LARGEST_FETCHED:
                with source.fetch(file) as content:
                    edges = content.edges(EDGE_BYTES)
        except InTouchImportError:
            return None
        if edges is None:
            return None
        return companion_facts(file.name, edges, size_bytes=file.size_bytes, zone=self.zone)


class Decision(NamedTuple):
    """What to do with a file, and for which patient.

    Args:
        verdict, reason, patient, provider: As in `PlanRow`.
        is_unnamed: Whether nothing names a patient, and nothing else is in doubt.
        is_stored: Whether the records have the file already.
    """

    verdict: Action
    reason: Reason
    patient: str | None = None
    provider: str | None = None
    is_unnamed: bool = False
    is_stored: bool = False


def decide_together(group: Sequence[tuple[Decision, CompanionRole | None]]) -> list[Decision]:
    """Decide about files that belong together: all go to one patient, or wait.

    Args:
        group: What the rules say about each file, the owner first; and what it is to the owner. What they say
            about a sidecar does not count: it follows its owner.

    Returns:
        A decision for each. Files that are in a record already keep theirs.
    """
    own = [decision for decision, role in group if role is None or not role.is_sidecar]
    patients = {decision.patient for decision in own if decision.patient is not None}
    waits = any(one.verdict is Action.WAIT and not (one.is_unnamed or one.is_stored) for one in own)
    decided = next((one for one in own if one.patient is not None), None)
    result = [_decided(one, role, patients, decided, waits=waits) for one, role in group]
    owner = result[0]
    return [
        one if role is None or not role.is_sidecar or one.is_stored else _following(one, owner)
        for one, (_, role) in zip(result, group, strict=True)
    ]


def _decided(
    one: Decision,
    role: CompanionRole | None,
    patients: set[str],
    decided: Decision | None,
    *,
    waits: bool,
) -> Decision:
    if one.is_stored or (role is not None and role.is_sidecar) or decided is None:
        return one
    if len(patients) > 1:
        return one._replace(verdict=Action.WAIT, reason=Reason.COMPANIONS_DIFFER)
    if waits:
        is_reason = one.verdict is Action.WAIT and not one.is_unnamed
        return one if is_reason else one._replace(verdict=Action.WAIT, reason=Reason.COMPANION_WAITS)
    if not one.is_unnamed:
        return one
    return one._replace(
        verdict=Action.IMPORT,
        reason=Reason.COMPANION,
        patient=decided.patient,
        provider=one.provider or decided.provider,
    )


def _following(sidecar: Decision, owner: Decision) -> Decision:
    goes = owner.verdict in {Action.IMPORT, Action.FINISH}
    return sidecar._replace(
        verdict=Action.IMPORT if goes else Action.WAIT,
        reason=Reason.COMPANION if goes else Reason.COMPANION_WAITS,
        patient=owner.patient,
        provider=owner.provider,
    )
