"""Decide what should happen to a file. Pure: no I/O, no clock, no logging.

An inbox applies the rules to many files at once, in four steps: `screen` (is this entry a file to import),
`already` (was it imported before), `read_name` (does the name identify the patient) and `identify` (can the
name be trusted without a person). A fifth step, `doubt_of_copies`, follows when the content was read: is it
already in a record?
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import attrs

from intouch_import.errors import CaptureNameError
from intouch_import.exclusions import Exclusions
from intouch_import.extensions import classify, is_allowed
from intouch_import.model import (
    Action,
    CaptureName,
    Destination,
    EntryKind,
    Reason,
    SourceFile,
    StoredAttachment,
    TakenAtFlag,
    Verdict,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import tzinfo

    from intouch_import.filenames import CaptureNaming
    from intouch_import.model import Patient, Provider

__all__ = [
    "Known",
    "Rules",
    "already",
    "arriving",
    "doubt_of_copies",
    "identify",
    "is_also_a_date",
    "place_in_zone",
    "read_name",
    "screen",
    "waiting",
]

_DEFAULTS: Final = Exclusions()
_FILE: Final = EntryKind.FILE  # accessing an enum member takes as long as a rule
_EXACT: Final = TakenAtFlag.EXACT
# Adding a difference to these takes an eighth of the time of `datetime.replace`.
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_PYTHON: Final = (ZoneInfo, timezone)
_DATE: Final = re.compile(
    r"(?P<year>(?:19[5-9]|20\d)\d)(?:(?P<between>[-_. ]?)(?P<month>\d\d)(?:(?P=between)(?P<day>\d\d))?)?"
    r"|(?P<first>\d\d)(?P<gap>[-_. ]?)(?P<second>\d\d)(?P=gap)(?P<last>(?:19[5-9]|20\d)\d)",
    re.ASCII,
)
_KINDS: Final = {
    EntryKind.FOLDER: Reason.FOLDER,
    EntryKind.LINK: Reason.LINK,
    EntryKind.SPECIAL: Reason.SPECIAL_FILE,
}
# The endings that browsers, download managers, copy and sync tools give a file until it is whole.
_UNFINISHED: Final = frozenset(
    {
        "part", "partial", "filepart", "tmp", "temp", "swp", "lock", "dwl", "inprogress", "incomplete",
        "unfinished", "pending", "uploading", "upload", "downloading", "copying", "transferring",
        "crdownload", "download", "opdownload", "fdmdownload", "partialdownload", "crswap", "drivedownload",
        "driveupload", "ffs_tmp", "!sync", "synctemp", "syncpart", "tacitpart", "ocpart", "gstmp", "davtmp",
        "aria2", "!ut", "ut!", "!qb", "bc!", "jc!", "az!", "td", "xltd", "dctmp", "antifrag",
    }
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Rules:
    """The settings of the practice and the operator for one source.

    Args:
        provider: The owner of the folder; None if it has no particular owner.
        auto_import: Whether files may be imported automatically.
        zone: The practice's time zone.
    """

    provider: str | None
    auto_import: bool
    zone: tzinfo


@attrs.frozen(kw_only=True)
class Known:
    """What the repository and the ledger know about the files.

    Args:
        patients: The patients that exist, by id.
        providers: The providers that exist, by id.
        put_back: Printable name and size in bytes of the files that an undo returned to this source.
    """

    patients: Mapping[str, Patient]
    providers: Mapping[str, Provider]
    put_back: frozenset[tuple[str, int]] = frozenset()


def screen(file: SourceFile, exclusions: Exclusions = _DEFAULTS) -> Verdict | None:
    """Return the verdict on an entry that is no photo or document; None if the entry needs the next step.

    Args:
        file: The entry.
        exclusions: The names that are not imported, whatever they are.
    """
    name = file.name
    if file.kind is not _FILE:
        return _ignored(_KINDS[file.kind])
    lower = name.lower()
    excluded = exclusions.of_file(name)
    if name[0] == "." and excluded is not Reason.EXCLUDED:
        # iCloud Drive puts .photo.jpg.icloud in the place of a photo.jpg that it keeps in the cloud only.
        return arriving(name, Reason.NOT_DOWNLOADED) if lower.endswith(".icloud") else _ignored(Reason.HIDDEN)
    if excluded is not None:
        return _ignored(excluded)
    if lower.rpartition(".")[2] in _UNFINISHED or lower.startswith("~$"):
        return _ignored(Reason.UNFINISHED_DOWNLOAD)
    if file.size_bytes == 0:
        return arriving(name, Reason.EMPTY)
    return None


def arriving(name: str, reason: Reason) -> Verdict:
    """Return the verdict on a file that has not arrived completely."""
    return _shared(Action.ARRIVING, reason, classify(name))


def waiting(name: str, reason: Reason, *, like: Verdict | None = None) -> Verdict:
    """Return a verdict that leaves the file to a person, with the other values of ``like``."""
    if like is None:
        return _shared(Action.WAIT, reason, classify(name))
    return attrs.evolve(like, action=Action.WAIT, reason=reason, patient_id=None)


def already(file: SourceFile, stored: StoredAttachment, *, moved: bool) -> Verdict:
    """Return the verdict on a file whose import id is already stored.

    Args:
        file: The file.
        stored: The attachment with its import id. The bytes of the file are the same.
        moved: Whether the ledger says that the file was removed from its source. If so, somebody else put it
            back, and a person decides.
    """
    if moved:
        return waiting(file.name, Reason.REAPPEARED)
    return Verdict(
        action=Action.FINISH,
        reason=Reason.INTERRUPTED,
        destination=stored.destination,
        patient_id=stored.patient_id,
        taken_at=stored.taken_at,
    )


def doubt_of_copies(patient_id: str, copies: Collection[StoredAttachment], *, undone: bool) -> Reason | None:
    """Return why known content may not be imported automatically; None if it is not known.

    Args:
        patient_id: The patient for whom it would be stored.
        copies: Attachments with the same content, under other import ids.
        undone: Whether somebody removed the same content from this patient's record before.
    """
    if any(copy.patient_id != patient_id for copy in copies):
        return Reason.DUPLICATE_ELSEWHERE
    if copies:
        return Reason.DUPLICATE
    return Reason.UNDONE if undone else None


def read_name(
    name: str, naming: CaptureNaming, *, allowed: Collection[str] | None = None
) -> CaptureName | Verdict:
    """Return the parts of the name, or the verdict if the name does not identify the patient.

    Args:
        name: Base name of the file.
        naming: The structure of the capture app's file names.
        allowed: The extensions that the practice allows, lower case, with the dot; None allows all.
    """
    if allowed is not None and not is_allowed(name, allowed):
        return waiting(name, Reason.EXTENSION_NOT_ALLOWED)
    try:
        capture = naming.parse(name)
    except CaptureNameError:
        return waiting(name, Reason.TIME_IMPOSSIBLE)
    return capture if capture is not None else waiting(name, Reason.NO_CAPTURE_NAME)


def identify(
    name: str, size_bytes: int, capture: CaptureName, rules: Rules, known: Known, *, now: datetime
) -> Verdict:
    """Decide whether a file can be imported automatically: only if nothing is in doubt.

    Args:
        name: Base name of the file.
        size_bytes: Size of the file in bytes.
        capture: The parts of its name.
        rules: The settings of the source.
        known: The known patients and providers, and the files that were put back.
        now: The time, aware.
    """
    taken_at, flag = place_in_zone(capture.taken_local, rules.zone)
    reason = _doubt(name, size_bytes, capture, rules, known) or _doubt_of_time(taken_at, flag, now)
    return Verdict(
        action=Action.IMPORT if reason is None else Action.WAIT,
        reason=reason or Reason.CAPTURE_NAME,
        destination=classify(name),
        capture=capture,
        patient_id=capture.patient if reason is None else None,
        taken_at=taken_at,
        taken_flag=flag,
    )


def is_also_a_date(text: str) -> bool:
    """Return whether a patient id is also a year from 1950 to 2099, a month or a day.

    ``2019``, ``201905``, ``2019-05-02``, ``20190502`` and ``02.05.2019`` are. Folders and files are often
    named after dates, so such a name alone does not identify a patient.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    year, month, day, first, second = match.group("year", "month", "day", "first", "second")
    if year is None:  # day and month, in either order
        return _exists(match["last"], second, first) or _exists(match["last"], first, second)
    return _exists(year, month or "1", day or "1")


def place_in_zone(local: datetime, zone: tzinfo) -> tuple[datetime | None, TakenAtFlag]:
    """Convert a naive local time to UTC.

    Returns:
        The time in UTC and `TakenAtFlag.EXACT`; or None and the flag if a clock change skips or repeats that
        local time. The time is never guessed.
    """
    try:
        first = local.replace(fold=0) if local.fold else local
        # Attaching the zone takes as long as the rest. Only Python's own zones work without it: others may
        # return another offset, or none, for a time that has no zone.
        asked = first if isinstance(zone, _OF_PYTHON) else first.replace(tzinfo=zone)
        offset = zone.utcoffset(asked)
        if offset is not None and offset == zone.utcoffset(asked.replace(fold=1)):
            return _EPOCH + (first - _NAIVE_EPOCH - offset), _EXACT
        there = first.replace(tzinfo=zone)
        skipped = there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local
    except OverflowError:  # on the first or last day of datetime
        return None, TakenAtFlag.SKIPPED
    return None, TakenAtFlag.SKIPPED if skipped else TakenAtFlag.REPEATED


def _doubt(name: str, size_bytes: int, capture: CaptureName, rules: Rules, known: Known) -> Reason | None:
    if not rules.auto_import:
        return Reason.AUTO_IMPORT_OFF
    if known.put_back and (printable(name), size_bytes) in known.put_back:
        return Reason.UNDONE
    patient = known.patients.get(capture.patient)
    if patient is None:
        return Reason.PATIENT_UNKNOWN
    if not patient.active:
        return Reason.PATIENT_INACTIVE
    if rules.provider is not None and capture.provider != rules.provider:
        return Reason.OTHER_PROVIDER
    if capture.provider not in known.providers:
        return Reason.PROVIDER_UNKNOWN
    return None


def _doubt_of_time(taken_at: datetime | None, flag: TakenAtFlag, now: datetime) -> Reason | None:
    if flag is TakenAtFlag.SKIPPED:
        return Reason.TIME_SKIPPED
    if flag is TakenAtFlag.REPEATED:
        return Reason.TIME_REPEATED
    if taken_at is not None and taken_at > now:
        return Reason.TIME_IN_FUTURE
    return None


def _exists(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


@cache
def _shared(action: Action, reason: Reason, destination: Destination) -> Verdict:
    # Thousands of waiting rows share one verdict.
    return Verdict(action=action, reason=reason, destination=destination)


def _ignored(reason: Reason) -> Verdict:
    return _shared(Action.IGNORE, reason, Destination.NOTES)
