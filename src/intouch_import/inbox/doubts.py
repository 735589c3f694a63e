"""`Doubt`: what to ask a person before a save. `DoubtFinder` finds the doubts about a choice of rows."""

from __future__ import annotations

import enum
import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from intouch_import.inbox.glimpses import Glimpses
from intouch_import.model import Patient, Reason, State, printable
from intouch_import.verdicts import Known, Rules, identify, is_also_a_date

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, tzinfo

    from intouch_import.filenames import CaptureNaming
    from intouch_import.inbox.duplicates import Duplicate
    from intouch_import.inbox.rows import Row
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Doubt", "DoubtFinder", "DoubtKind", "Evidence", "Severity", "described"]

_NAMES_SHOWN: Final = 3
# Shorter numbers at the start of a name are usually counters.
_SHORTEST_ID: Final = 4


class DoubtKind(enum.StrEnum):
    """What a doubt is about."""

    OTHER_PATIENT = "other_patient"
    """The name, the folder, the content or the records identify another patient, who exists."""
    DUPLICATE_ELSEWHERE = "duplicate_elsewhere"
    """The same bytes are in another patient's record."""
    INACTIVE_PATIENT = "inactive_patient"
    UNKNOWN_PATIENT = "unknown_patient"
    """The name or the content has a patient id that no patient has."""
    CONTENT = "content"
    """The content is cut, damaged, altered, or not what the extension says."""
    DUPLICATE = "duplicate"
    """The same bytes are in this patient's record."""
    HISTORY = "history"
    """The file was imported before, and undone or put back."""
    ARRIVING = "arriving"
    """Another program may still write to the file."""
    COMPANION = "companion"
    """A file that belongs, or may belong, to a chosen one is left behind."""
    PROVIDER = "provider"
    TIME = "time"
    OTHER = "other"


class Severity(enum.StrEnum):
    """What a person should do about a doubt. The values are in order, the strongest first.

    ``CONFIRM``: the photo may be another patient's. Ask for a deliberate act, such as a tick in a box.
    ``WARNING``: ask whether to proceed. ``NOTE``: show it.
    """

    CONFIRM = "confirm"
    WARNING = "warning"
    NOTE = "note"


class Evidence(enum.StrEnum):
    """What identifies another patient."""

    NAME = "name"
    FOLDER = "folder"
    CONTENT = "content"
    RECORDS = "records"


@attrs.frozen(kw_only=True)
class Doubt:
    """One thing to ask before a save.

    Attributes:
        kind: What it is about.
        severity: What to do about it.
        rows: The rows that it concerns.
        text: The doubt in one or two sentences for people. It may name files and patients.
        patient: The other patient, for `DoubtKind.OTHER_PATIENT`; else None.
        evidence: What identifies that patient; else None.
    """

    kind: DoubtKind
    severity: Severity
    rows: tuple[Row, ...]
    text: str = attrs.field(repr=False)
    patient: Patient | None = None
    evidence: Evidence | None = None


def described(patient: Patient) -> str:
    """Return the name, the id and the date of birth of a patient, as far as they are known."""
    born = f"born {patient.birth_date}" if patient.birth_date else ""
    if not patient.name:
        return f"{patient.id} ({born})" if born else patient.id
    return f"{patient.name} ({', '.join(filter(None, (patient.id, born)))})"


@attrs.frozen(kw_only=True)
class _Hint:
    """A patient id that something says about a row.

    Args:
        says: What to tell if another patient has this id.
        unknown: What to tell if nobody has it; None: nothing, because it may be no id at all.
    """

    patient_id: str
    evidence: Evidence
    says: str
    unknown: str | None = None
    issuer: str | None = None


class DoubtFinder:
    """Finds what to ask about a choice of rows. Reads the first and last bytes of their files.

    Args:
        repository: The patient records.
        naming: The structure of capture names.
        zone: The practice's time zone.
        now: Returns the time, aware.
    """

    def __init__(
        self,
        repository: PatientRepository,
        *,
        naming: CaptureNaming,
        zone: tzinfo,
        now: Callable[[], datetime],
    ) -> None:
        self._repository = repository
        self._naming = naming
        self._zone = zone
        self._now = now

    def find(
        self, rows: Sequence[Row], patient: Patient, duplicates: Collection[Duplicate]
    ) -> tuple[Doubt, ...]:
        """Return the doubts, the strongest first.

        Args:
            rows: The chosen rows.
            patient: The chosen patient.
            duplicates: The rows whose bytes are in a record already.
        """
        glimpses = Glimpses(self._repository.staging)
        glimpses.look(rows)
        doubts = list(self._about_patients(rows, patient, glimpses))
        if not patient.active:
            text = f"{described(patient)} is not an active patient."
            kind = DoubtKind.INACTIVE_PATIENT
            doubts.append(Doubt(kind=kind, severity=Severity.WARNING, rows=tuple(rows), text=text))
        doubts += _about_duplicates(rows, duplicates)
        doubts += _about_companions(rows)
        doubts += self._about_files(rows, glimpses, copies={one.row for one in duplicates})
        return tuple(sorted(doubts, key=_strength))

    # --- whose photo is it?

    def _about_patients(self, rows: Sequence[Row], chosen: Patient, glimpses: Glimpses) -> Iterator[Doubt]:
        hints = [
            (row, hint)
            for row in rows
            for hint in self._hints(row, chosen, glimpses)
            if hint.patient_id != chosen.id
        ]
        ids = {hint.patient_id for _, hint in hints}
        known = self._repository.find_patients(ids) if ids else {}
        for found, hint in _grouped(hints):
            other = known.get(hint.patient_id)
            if other is not None:
                issued = f" (an id issued by {hint.issuer})" if hint.issuer else ""
                text = hint.says.format(other=described(other) + issued, chosen=described(chosen))
                kind, severity = DoubtKind.OTHER_PATIENT, Severity.CONFIRM
            elif hint.unknown is not None and hint.issuer is None:  # other issuers have ids of their own
                text = hint.unknown
                kind, severity = DoubtKind.UNKNOWN_PATIENT, Severity.WARNING
            else:
                continue
            yield Doubt(
                kind=kind,
                severity=severity,
                rows=found,
                text=_of(found, rows) + text,
                patient=other,
                evidence=hint.evidence,
            )

    def _hints(self, row: Row, chosen: Patient, glimpses: Glimpses) -> Iterator[_Hint]:
        """Yield every patient id that the name, the folder, the content and the records give for a row."""
        named = self._naming.patient_in(row.name)
        if named is not None:
            yield _Hint(patient_id=named, evidence=Evidence.NAME, says=_NAMED, unknown=_NOBODY_NAMED)
        else:
            for possible in _ids_at_start(row.name, like=chosen.id):
                yield _Hint(patient_id=possible, evidence=Evidence.NAME, says=_BEGINS)
        for possible in _ids_at_start(row.source.label, like=chosen.id):
            yield _Hint(patient_id=possible, evidence=Evidence.FOLDER, says=_FOLDER)
        if (inside := glimpses.identity(row)) is not None:
            yield _Hint(
                patient_id=inside.patient_id,
                evidence=Evidence.CONTENT,
                says=_INSIDE,
                unknown=_NOBODY_INSIDE,
                issuer=inside.issuer,
            )
        stored = row.patient.id if row.patient is not None else row.verdict.patient_id
        if stored is not None and stored != named:
            yield _Hint(patient_id=stored, evidence=Evidence.RECORDS, says=_STORED, unknown=_STORED_LOST)

    # --- is the file in order?

    def _about_files(
        self, rows: Sequence[Row], glimpses: Glimpses, *, copies: Collection[Row]
    ) -> Iterator[Doubt]:
        reasons = self._reasons(rows)
        found: list[tuple[Row, tuple[DoubtKind, Severity, str]]] = []
        for row in rows:
            check = row.content if row.content is not None and row.content.doubt else glimpses.check(row)
            if check is not None and check.doubt is not None:
                found.append((row, (DoubtKind.CONTENT, Severity.WARNING, check.text)))
            reason = reasons[row]
            if check is not None and check.doubt is not None and reason in _OF_CONTENT:
                continue
            if reason in _NO_DOUBT or (reason in _OF_COPIES and row in copies):
                continue
            if reason is Reason.OTHER_PATIENT and glimpses.identity(row) is not None:
                continue
            # What prevented a save is no doubt about the next one, unless it is listed.
            default = (DoubtKind.OTHER, Severity.WARNING) if row.state is State.WAITING else None
            if (what := _KINDS.get(reason, default)) is not None:
                found.append((row, (*what, reason.text)))
        for same, (kind, severity, text) in _grouped(found):
            inside = Evidence.CONTENT if text == Reason.OTHER_PATIENT.text else None
            yield Doubt(kind=kind, severity=severity, rows=same, text=_of(same, rows) + text, evidence=inside)

    def _reasons(self, rows: Sequence[Row]) -> Mapping[Row, Reason]:
        """Return why each row waits; where automatic import is off, why it would wait if it were on."""
        reasons = {row: row.reason for row in rows}
        captures = {
            row: row.capture
            for row in rows
            if row.reason is Reason.AUTO_IMPORT_OFF and row.capture is not None
        }
        if captures:
            found = map(self._repository.find_provider, {capture.provider for capture in captures.values()})
            known = Known(
                # As if all existed and were active: what is wrong with the patient is found elsewhere.
                patients={capture.patient: Patient(id=capture.patient) for capture in captures.values()},
                providers={provider.id: provider for provider in found if provider is not None},
            )
            for row, capture in captures.items():
                rules = Rules(provider=row.source.provider, auto_import=True, zone=self._zone)
                reasons[row] = identify(
                    row.name, row.size_bytes, capture, rules, known, now=self._now()
                ).reason
        return reasons


def _about_duplicates(rows: Sequence[Row], duplicates: Collection[Duplicate]) -> Iterator[Doubt]:
    for kind, severity, record in (
        (DoubtKind.DUPLICATE_ELSEWHERE, Severity.CONFIRM, "another patient's record"),
        (DoubtKind.DUPLICATE, Severity.WARNING, "this patient's record"),
    ):
        elsewhere = kind is DoubtKind.DUPLICATE_ELSEWHERE
        found = tuple(duplicate.row for duplicate in duplicates if duplicate.elsewhere == elsewhere)
        if found:
            number = len(found)
            what = "It is" if len(rows) == 1 else f"{number} of them {'is' if number == 1 else 'are'}"
            yield Doubt(kind=kind, severity=severity, rows=found, text=f"{what} in {record} already.")


def _about_companions(rows: Sequence[Row]) -> Iterator[Doubt]:
    """Yield what belongs, or may belong, to a chosen file: what is left behind, and what is uncertain."""
    chosen = set(rows)
    groups = dict.fromkeys(row.group for row in rows if row.group is not None)
    for group in groups:
        there = tuple(row for row in group.rows if row in chosen)
        left = [row for row in group.rows if row not in chosen and not row.state.is_in_record]
        if left:
            text = (
                f"{_names(left)} {'belongs' if len(left) == 1 else 'belong'} to it and will be left behind."
            )
            if len(rows) > 1:
                text = f"{_names(there)}: {text}"
            yield Doubt(kind=DoubtKind.COMPANION, severity=Severity.WARNING, rows=there, text=text)
        for row in there:
            for other, why in group.possible.get(row, ()):
                if other.state.is_in_record or (other in chosen and other.name < row.name):
                    continue
                end = "" if other in chosen else " It will be left behind."
                text = f"{printable(other.name)} may belong to {printable(row.name)}. {why.text}{end}"
                yield Doubt(kind=DoubtKind.COMPANION, severity=Severity.NOTE, rows=(row,), text=text)


def _ids_at_start(name: str, *, like: str) -> list[str]:
    """Return what may be a patient id at the start of a name: it has the form of the id ``like``.

    Numbers of cameras and scanners (``IMG_1234``, ``DSC01234``, ``1.jpg``) and dates are left out.
    """
    first = _END_OF_ID.split(name, maxsplit=1)[0]
    return [
        text
        for text in dict.fromkeys((first, first.partition("-")[0]))
        if len(text) >= _SHORTEST_ID and _form(text) == _form(like) and not is_also_a_date(text)
    ]


def _form(text: str) -> str:
    """Return a text with one digit for each number and one letter for each word."""
    return _DIGITS.sub("0", _LETTERS.sub("a", text))


def _grouped(found: Iterable[tuple[Row, _T]]) -> Iterator[tuple[tuple[Row, ...], _T]]:
    """Yield the rows that have the same value, with that value."""
    groups: dict[_T, list[Row]] = {}
    for row, value in found:
        groups.setdefault(value, []).append(row)
    for value, rows in groups.items():
        yield tuple(rows), value


def _of(some: Sequence[Row], rows: Sequence[Row]) -> str:
    """Return the names of the rows that a doubt concerns, unless only one row was chosen."""
    if len(rows) == 1:
        return ""
    return f"{_names(some)}: "


def _names(rows: Sequence[Row]) -> str:
    names = ", ".join(printable(row.name) for row in rows[:_NAMES_SHOWN])
    more = len(rows) - _NAMES_SHOWN
    return f"{names} and {more:,} more" if more > 0 else names


def _strength(doubt: Doubt) -> tuple[int, int]:
    return _SEVERITIES.index(doubt.severity), _ORDER.index(doubt.kind)


_T = TypeVar("_T", bound=Hashable)
_SEVERITIES: Final = list(Severity)
_ORDER: Final = list(DoubtKind)
_END_OF_ID: Final = re.compile(r"[\s_.,;()+]")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_DIGITS: Final = re.compile(r"\d+")
_NAMED: Final = "The file name identifies {other}, not {chosen}."
_NOBODY_NAMED: Final = Reason.PATIENT_UNKNOWN.text
_BEGINS: Final = "The file name begins with the id of {other}, not of {chosen}."
_FOLDER: Final = "The name of the folder begins with the id of {other}, not of {chosen}."
_INSIDE: Final = "The DICOM header names {other}, not {chosen}."
_NOBODY_INSIDE: Final = "No patient has the id in the DICOM header."
_STORED: Final = "The file is in the record of {other} already, not of {chosen}."
_STORED_LOST: Final = "The file is already in the record of a patient who can no longer be found."
_OF_CONTENT: Final = frozenset(
    {
        Reason.CONTENT_ALTERED,
        Reason.CONTENT_CUT_SHORT,
        Reason.CONTENT_DAMAGED,
        Reason.CONTENT_NOT_AS_NAMED,
        Reason.CONTENT_UNCHECKED,
        Reason.DIGEST_DIFFERS,
        Reason.STORED_COPY_DIFFERS,
    }
)
_OF_COPIES: Final = frozenset({Reason.DUPLICATE, Reason.DUPLICATE_ELSEWHERE})
# Not doubts, or doubts about patients, which are found without the reason.
_NO_DOUBT: Final = frozenset(
    {
        Reason.AUTO_IMPORT_OFF,
        Reason.CANCELLED,
        Reason.CAPTURE_NAME,
        Reason.COMPANION_WAITS,
        Reason.INTERRUPTED,
        Reason.NO_CAPTURE_NAME,
        Reason.PATIENT_INACTIVE,
        Reason.PATIENT_UNKNOWN,
    }
)
_KINDS: Final = {
    **dict.fromkeys(_OF_CONTENT, (DoubtKind.CONTENT, Severity.WARNING)),
    Reason.ALREADY_ASSIGNED: (DoubtKind.OTHER_PATIENT, Severity.CONFIRM),
    Reason.DUPLICATE: (DoubtKind.DUPLICATE, Severity.WARNING),
    Reason.DUPLICATE_ELSEWHERE: (DoubtKind.DUPLICATE_ELSEWHERE, Severity.CONFIRM),
    Reason.OTHER_PATIENT: (DoubtKind.OTHER_PATIENT, Severity.CONFIRM),
    Reason.OPEN_ELSEWHERE: (DoubtKind.ARRIVING, Severity.WARNING),
    Reason.STILL_ARRIVING: (DoubtKind.ARRIVING, Severity.WARNING),
    Reason.OTHER_PROVIDER: (DoubtKind.PROVIDER, Severity.NOTE),
    Reason.PROVIDER_UNKNOWN: (DoubtKind.PROVIDER, Severity.NOTE),
    Reason.REAPPEARED: (DoubtKind.HISTORY, Severity.WARNING),
    Reason.UNDONE: (DoubtKind.HISTORY, Severity.NOTE),
    Reason.SIDECAR_ALONE: (DoubtKind.COMPANION, Severity.WARNING),
    **dict.fromkeys(
        (Reason.TIME_IMPOSSIBLE, Reason.TIME_IN_FUTURE, Reason.TIME_REPEATED, Reason.TIME_SKIPPED),
        (DoubtKind.TIME, Severity.NOTE),
    ),
}
