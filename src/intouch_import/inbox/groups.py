"""`GroupFinder`: which rows of a source belong together; and what that means for automatic imports.

A photo, its movie, its RAW and its sidecars are one line of a list, and are saved together.
`intouch_import.media.companions` decides which files belong together. Few files of a listing can have
companions. Only these are compared, and only those of them are read whose names do not decide.
"""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from intouch_import.extensions import is_allowed
from intouch_import.inbox.rows import RowGroup
from intouch_import.media.companion_facts import EDGE_BYTES, companion_facts
from intouch_import.media.companion_names import SIDECAR_EXTENSIONS
from intouch_import.media.companion_values import MOST_PARTS
from intouch_import.media.companions import SHORTEST_CUT, find_companions, is_sidecar, names_to_read
from intouch_import.model import Action, Reason, State, Verdict, normal_form
from intouch_import.verdicts import waiting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from intouch_import.inbox.rows import Row
    from intouch_import.media.companions import CompanionFacts, Companions
    from intouch_import.sources.base import Source

__all__ = ["GroupFinder", "decide_together", "tie"]

log = logging.getLogger(__name__)

# A listing must not wait for long. The files that are left are read by the next refresh.
_READ_AT_ONCE: Final = 1000
_READ_FAR: Final = 100
_NEAR: Final = 2
_NO_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789\0"))
# Comparing the ends of all names takes less time than `is_sidecar`. Other names that end in them do no harm.
_SIDECAR_ENDINGS: Final = frozenset(f".{extension}"[-4:] for extension in SIDECAR_EXTENSIONS)


class GroupFinder:
    """Finds out which rows of a source belong together.

    Args:
        zone: The practice's time zone, for the capture times in files.
        allowed: The extensions that may be imported; None for all. Files with others are in no group.
    """

    def __init__(self, *, zone: tzinfo, allowed: Collection[str] | None) -> None:
        self._zone = zone
        self._allowed = allowed
        self._facts: dict[str, dict[str, tuple[str, CompanionFacts]]] = {}
        self._unread: set[str] = set()

    def find(self, source: Source, shelf: Mapping[str, Row]) -> Companions:
        """Compare the rows of a source. Reads some of their files, so no lock should be held."""
        rows = {name: shelf[name] for name in self._candidates(shelf.values())}
        known = self._facts.get(source.source_id, {})
        files: dict[str, CompanionFacts | None] = {
            name: known[name][1] if name in known and known[name][0] == row.version else None
            for name, row in rows.items()
        }
        left = _READ_AT_ONCE if source.concurrency <= _NEAR else _READ_FAR
        asked: set[str] = set()
        self._unread.discard(source.source_id)
        while wanted := [name for name in names_to_read(files) if name not in asked]:
            some = wanted[:left]
            left -= len(some)
            asked.update(wanted)
            if len(some) < len(wanted):
                self._unread.add(source.source_id)
            files |= self._read(source, [rows[name] for name in some])
        self._facts[source.source_id] = {
            name: (rows[name].version, facts) for name, facts in files.items() if facts is not None
        }
        return find_companions(files)

    def is_due(self, source_id: str) -> bool:
        """Return whether files of a source are still to be read, although the listing did not change."""
        return source_id in self._unread

    def _candidates(self, rows: Iterable[Row]) -> set[str]:
        """Return the names that may have companions, and all sidecars: few names of a listing."""
        names = [row.name for row in rows if row.state is not _IGNORED]
        keys = _keys(names)
        found: set[str] = set()
        if len(set(keys)) < len(keys):
            seen: set[bytes] = set()
            twice: set[bytes] = set()
            for key in keys:
                (twice if key in seen else seen).add(key)
            found = {name for name, key in zip(names, keys, strict=True) if key in twice}
        sidecars = [name for name in names if name[-4:].lower() in _SIDECAR_ENDINGS]
        found.update(sidecars)
        if starts := {name[:SHORTEST_CUT] for name in sidecars if len(name) > SHORTEST_CUT}:
            found.update(name for name in names if name[:SHORTEST_CUT] in starts)
        return {name for name in found if self._allowed is None or is_allowed(name, self._allowed)}

    def _read(self, source: Source, rows: Sequence[Row]) -> dict[str, CompanionFacts | None]:
        if len(rows) == 1 or source.concurrency <= _NEAR:
            return {row.name: self._facts_of(row) for row in rows}
        with ThreadPoolExecutor(source.concurrency, thread_name_prefix="intouch-companions") as pool:
            return dict(zip((row.name for row in rows), pool.map(self._facts_of, rows), strict=True))

    def _facts_of(self, row: Row) -> CompanionFacts | None:
        try:
            edges = row.source.peek(row.file, EDGE_BYTES)
            if edges is None:
                return None
            return companion_facts(row.name, edges, size_bytes=row.size_bytes, zone=self._zone)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the import will meet and report it
            log.info("a file can't be read to find its companions", extra={"kind": type(exc).__name__})
            return None


def tie(companions: Companions, shelf: Mapping[str, Row]) -> list[Row]:
    """Give rows their groups. Rows that are not there any more are left out.

    Returns:
        The rows that have a group now.
    """
    tied = []
    for group in companions.groups:
        rows = [row for name in group.names if (row := shelf.get(name)) is not None]
        possible = {
            row: tuple(
                (other, one.doubt)
                for one in companions.possible_for(row.name)
                if (other := shelf.get(one.other if one.name == row.name else one.name)) is not None
            )
            for row in rows
        }
        possible = {row: others for row, others in possible.items() if others}
        if not rows or (len(rows) == 1 and not possible and not is_sidecar(rows[0].name)):
            continue
        roles = {part.name: part.role for part in group.parts}
        # Without its owner, the rest is no group: each file is on its own. So is each of too many.
        is_group = rows[0].name == group.owner and len(rows) <= 1 + MOST_PARTS
        together = rows if is_group else rows[:1]
        made = RowGroup(
            owner=together[0], parts={row: roles[row.name] for row in together[1:]}, possible=possible
        )
        for row in together:
            row.group = made
        tied += together
        for row in rows[len(together) :]:
            if is_sidecar(row.name):
                row.group = RowGroup(owner=row)
                tied.append(row)
    return tied


def decide_together(group: RowGroup) -> None:
    """Let the rows of a group be imported together, or not at all.

    A part whose own name identifies nobody follows its owner. If any file of the group must wait, the others
    wait with it. A sidecar without its owner waits for a person.
    """
    owner = group.owner
    for row in group.rows:
        follows = row.claim is None and (row.verdict.action is _IMPORT or row.reason in _OF_GROUP)
        if follows and row.state is State.WAITING:
            row.judge(waiting(row.name, Reason.NO_CAPTURE_NAME))
    if group.parts:
        _decide(owner, group)
    elif group.is_orphan and (owner.verdict.action is _IMPORT or owner.reason in _ALONE):
        owner.judge(waiting(owner.name, Reason.SIDECAR_ALONE, like=owner.verdict))


def _decide(owner: Row, group: RowGroup) -> None:
    followers = []
    if owner.verdict.action is _IMPORT:
        followers = [row for row in group.parts if row.reason is Reason.NO_CAPTURE_NAME]
    patient = owner.verdict.patient_id
    if all(row in followers or _goes_to(row, patient) for row in group.rows):
        for row in followers:
            row.judge(
                Verdict(
                    action=_IMPORT,
                    reason=Reason.CAPTURE_NAME,
                    destination=row.destination,
                    patient_id=patient,
                )
            )
        return
    for row in group.rows:
        if row.verdict.action is _IMPORT and row.state is State.WAITING:
            row.judge(waiting(row.name, Reason.COMPANION_WAITS, like=row.verdict))


def _goes_to(row: Row, patient_id: str | None) -> bool:
    """Return whether a row is imported for this patient, or is over."""
    if row.state is not State.WAITING:
        return row.state is not State.FAILED
    return row.verdict.action in (_IMPORT, Action.FINISH) and row.verdict.patient_id == patient_id


def _keys(names: Sequence[str]) -> list[bytes]:
    """Return what the names of companions have in common: the digits before the first dot, tilde or bracket.

    ``IMG_1234.HEIC``, ``IMG_E1234.JPG``, ``IMG_1234-edited.jpg`` and ``IMG_1234.CR2.xmp`` have the same key.
    All names are read at once: a list may have 100,000.
    """
    joined = "\0".join(names)
    if joined.count("\0") >= len(names) > 0:  # no file system has such a name, but a source may list one
        joined = "\0".join(name.replace("\0", " ") for name in names)
    stems = _END_OF_STEM.sub(b"", joined.encode("utf-8", "surrogatepass"))
    keys = stems.translate(None, _NO_DIGITS).split(b"\0") if names else []
    bursts = b"urst" in stems or b"URST" in stems
    if bursts or b"" in keys:
        for place, stem in enumerate(stems.split(b"\0")):
            if bursts and b"urst" in stem.lower():
                keys[place] = b"burst"  # their names have different numbers
            elif not keys[place]:
                text = normal_form("NFC", names[place].partition(".")[0].partition("(")[0].partition("~")[0])
                keys[place] = text.casefold().encode("utf-8", "surrogatepass")
    return keys


_END_OF_STEM: Final = re.compile(rb"[.(~][^\0]*")
_IGNORED: Final = State.IGNORED
_IMPORT: Final = Action.IMPORT
_OF_GROUP: Final = (Reason.COMPANION_WAITS, Reason.SIDECAR_ALONE)
# A sidecar that waits for one of these reasons waits above all because it is alone.
_ALONE: Final = (Reason.NO_CAPTURE_NAME, Reason.AUTO_IMPORT_OFF)
