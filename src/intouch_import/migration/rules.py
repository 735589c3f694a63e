"""Rules: whose a file of an archive is, and when it was taken, as names, folders and lists say it.

Rules are data: they compare, pickle and go to JSON and back. They compose: ``a | b`` lets each say what it
knows, ``a & b`` wants both to say it. In both, rules that name two patients for one file are a conflict,
never a choice. Pure: no disk, no clock.
"""

from __future__ import annotations

import abc
import functools
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from intouch_import.errors import CaptureNameError, ConfigError
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.migration.patterns import PathPattern
from intouch_import.model import Reason, TakenFrom

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intouch_import.migration.patterns import Reading

__all__ = [
    "AllOf",
    "AnyOf",
    "CaptureRule",
    "Entry",
    "FolderRule",
    "Listed",
    "ManifestRule",
    "NameRule",
    "PatientRule",
    "Rule",
    "Said",
    "Told",
]

NOON = time(12)


class Told(NamedTuple):
    """A time that something says.

    Args:
        taken_from: Who says it.
        local: Naive wall time of the practice. A date without a time is its noon: the same day in every zone
            that the practice may be looked at from.
    """

    taken_from: TakenFrom
    local: datetime


class Listed(NamedTuple):
    """What a list says of a file.

    Args:
        patient, provider, local: As in `Said`; empty cells are None.
        doubt: Why the line can't be used.
    """

    patient: str | None = None
    provider: str | None = None
    local: datetime | None = None
    doubt: Reason | None = None


class Entry(NamedTuple):
    """Where a file is: folders from the top of the archive, its name, and what the list says of it."""

    folders: tuple[str, ...]
    name: str
    listed: Listed | None = None


class Said(NamedTuple):
    """What a rule says of a file.

    Args:
        patient, provider: Ids; None if it does not say.
        times: Times that it says.
        reason: Why this patient.
        doubt: Why the file may not be imported without a person, whoever the patient is.
        silence: Why it says no patient.
        suspects: Ids that make a conflict if a patient other than ``patient`` has one of them.
    """

    patient: str | None = None
    provider: str | None = None
    times: tuple[Told, ...] = ()
    reason: Reason | None = None
    doubt: Reason | None = None
    silence: Reason = Reason.NO_RULE
    suspects: tuple[str, ...] = ()


class Rule(abc.ABC):
    """What says whose a file is."""

    @abc.abstractmethod
    def read(self, entry: Entry) -> Said:
        """What this rule says of a file."""

    @property
    def manifests(self) -> tuple[ManifestRule, ...]:
        """The lists that it needs."""
        return ()

    @property
    def by_folder(self) -> bool:
        """Whether all files of a folder get the same answer, so that one question will do."""
        return False

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON values."""

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Rule:
        """A rule from `to_dict`.

        Raises:
            ConfigError: That is no rule.
        """
        try:
            kind = _KINDS[values["rule"]]
            rest = {name: value for name, value in values.items() if name != "rule"}
            if issubclass(kind, (AnyOf, AllOf)):
                return kind(*map(Rule.from_dict, rest["rules"]))
            made: Rule = kind(**rest)
        except (KeyError, TypeError, AttributeError):
            raise ConfigError("that is not a rule of a migration") from None
        else:
            return made

    def __or__(self, other: Rule) -> AnyOf:
        return AnyOf(self, other)

    def __and__(self, other: Rule) -> AllOf:
        return AllOf(self, other)


@attrs.frozen
class FolderRule(Rule):
    """The folders say it: `PathPattern` over the folders from the top of the archive.

    What lies below the folders of the pattern belongs to the same patient. If any of these folders has the id
    of another patient in its name, a person looks. A pattern that ends in ``{**}`` waives that for what it
    leaves over; then it lies below everything that is read.

    Args:
        pattern: Such as ``"{patient} - {*}/{date:%Y-%m-%d}"``.
    """

    pattern: str
    _path: PathPattern = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: PathPattern(self.pattern), takes_self=True),
    )

    @property
    def by_folder(self) -> bool:
        return True

    def read(self, entry: Entry) -> Said:
        return _read_folders(self._path, entry.folders)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "folders", "pattern": self.pattern}


@attrs.frozen
class NameRule(Rule):
    """The file's name says it: `PathPattern` over the name without its extension.

    If another word of the name is another patient's id, a person looks.

    Args:
        pattern: Such as ``"{patient}_{*}"``.
    """

    pattern: str
    _path: PathPattern = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: PathPattern(self.pattern), takes_self=True),
    )

    def read(self, entry: Entry) -> Said:
        stem, dot, _ = entry.name.rpartition(".")
        stem = stem if dot else entry.name
        readings = self._path.read((stem,), whole=True)
        if not readings:
            return Said()
        suspects = tuple(self._path.other_ids(stem, readings[0]))
        return _said(readings, Reason.CAPTURE_NAME, TakenFrom.NAME)._replace(suspects=suspects)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "name", "pattern": self.pattern}


@attrs.frozen
class CaptureRule(Rule):
    """The capture app's name says it.

    Args:
        pattern: As `CaptureNaming` takes it. The default is ours: check it against a real file.
    """

    pattern: str = DEFAULT_PATTERN
    _naming: CaptureNaming = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: CaptureNaming(self.pattern), takes_self=True),
    )

    def read(self, entry: Entry) -> Said:
        try:
            capture = self._naming.parse(entry.name)
        except CaptureNameError:
            return Said(doubt=Reason.TIME_IMPOSSIBLE, silence=Reason.TIME_IMPOSSIBLE)
        if capture is None:
            return Said(silence=Reason.NO_CAPTURE_NAME)
        return Said(
            patient=capture.patient,
            provider=capture.provider,
            times=(Told(TakenFrom.NAME, capture.taken_local),),
            reason=Reason.CAPTURE_NAME,
        )

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "capture_name", "pattern": self.pattern}


def _columns(value: Mapping[str, str]) -> dict[str, str]:
    columns = dict(value)
    unknown = set(columns) - {"path", "patient", "provider", "taken"}
    if unknown or not {"path", "patient"} <= set(columns):
        raise ConfigError("columns= maps path and patient, and may map provider and taken, to column names")
    return columns


@attrs.frozen(kw_only=True)
class ManifestRule(Rule):
    """A list says it: a CSV file or an Excel sheet with a line for each file.

    Args:
        path: Of the list.
        columns: Which columns hold what: ``path`` (relative to the archive; slashes either way) and
            ``patient``; optionally ``provider`` and ``taken``.
        sheet: Of an Excel file; by default the first.
        encoding: Of a CSV file. By default UTF-8, or UTF-16 if it begins with its mark. Others must be told:
            an id that is read in the wrong encoding is another id.
        taken_format: How ``taken`` is written, as `datetime.strptime` takes it; by default ISO 8601. Excel's
            own dates need none.
    """

    path: str = attrs.field(converter=str)
    columns: Mapping[str, str] = attrs.field(converter=_columns)
    sheet: str | None = None
    encoding: str | None = None
    taken_format: str | None = None

    @property
    def manifests(self) -> tuple[ManifestRule, ...]:
        return (self,)

    def read(self, entry: Entry) -> Said:
        listed = entry.listed
        if listed is None:
            return Said(silence=Reason.NOT_LISTED)
        if listed.doubt is not None:
            return Said(doubt=listed.doubt, silence=listed.doubt)
        return Said(
            patient=listed.patient,
            provider=listed.provider,
            times=() if listed.local is None else (Told(TakenFrom.LIST, listed.local),),
            reason=Reason.LISTED,
            silence=Reason.NOT_LISTED,
        )

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "list", **attrs.asdict(self)}


@attrs.frozen
class PatientRule(Rule):
    """Everything is one patient's.

    Args:
        patient: The patient's id.
    """

    patient: str = attrs.field(repr=False)

    @property
    def by_folder(self) -> bool:
        return True

    def read(self, entry: Entry) -> Said:  # noqa: ARG002  # wherever it is
        return Said(patient=self.patient, reason=Reason.ONE_PATIENT)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "one_patient", "patient": self.patient}


class _Several(Rule):
    """Rules that are asked together."""

    def __init__(self, *rules: Rule) -> None:
        if len(rules) < 2 or not all(isinstance(rule, Rule) for rule in rules):  # noqa: PLR2004
            raise ConfigError("several rules are two at least")
        # Flat, so that a | b | c is one rule of three.
        self.rules: tuple[Rule, ...] = tuple(
            inner for rule in rules for inner in (rule.rules if type(rule) is type(self) else (rule,))
        )
        if sum(len(rule.manifests) for rule in self.rules) > 1:
            raise ConfigError("one plan takes one list: join them before")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash((type(self), self.rules))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.rules))})"

    @property
    def manifests(self) -> tuple[ManifestRule, ...]:
        return tuple(manifest for rule in self.rules for manifest in rule.manifests)

    @property
    def by_folder(self) -> bool:
        return all(rule.by_folder for rule in self.rules)

    def to_dict(self) -> dict[str, Any]:
        name = next(name for name, kind in _KINDS.items() if kind is type(self))
        return {"rule": name, "rules": [rule.to_dict() for rule in self.rules]}


class AnyOf(_Several):
    """Each rule says what it knows. The patient is the one that all who name one agree on."""

    def read(self, entry: Entry) -> Said:
        return _together([rule.read(entry) for rule in self.rules])


class AllOf(_Several):
    """Every rule must name a patient, and all the same one."""

    def read(self, entry: Entry) -> Said:
        said = [rule.read(entry) for rule in self.rules]
        both = _together(said)
        silent = next((one for one in said if one.patient is None), None)
        if silent is None:
            return both
        return both._replace(patient=None, silence=silent.silence)


_KINDS: dict[str, type[Rule]] = {
    "folders": FolderRule,
    "name": NameRule,
    "capture_name": CaptureRule,
    "list": ManifestRule,
    "one_patient": PatientRule,
    "any": AnyOf,
    "all": AllOf,
}


@functools.lru_cache(maxsize=256)
def _read_folders(path: PathPattern, folders: tuple[str, ...]) -> Said:
    """What folders say; asked for again with every file in them."""
    readings = path.read(folders)
    if not readings:
        return Said()
    reading = readings[0]
    looked_at = folders[: reading.used] if path.open_ended else folders
    suspects = tuple(word for folder in looked_at for word in path.other_ids(folder, reading))
    return _said(readings, Reason.FOLDER_NAME, TakenFrom.FOLDER)._replace(suspects=suspects)


def _together(said: Sequence[Said]) -> Said:
    naming = [one for one in said if one.patient is not None]
    patients = {one.patient for one in naming}
    providers = {one.provider for one in said if one.provider is not None}
    doubt = next((one.doubt for one in said if one.doubt is not None), None)
    if len(patients) > 1:
        doubt = Reason.PATIENT_CONFLICT
    elif len(providers) > 1:
        doubt = doubt or Reason.OTHER_PROVIDER
    silences = {one.silence for one in said}
    return Said(
        patient=naming[0].patient if len(patients) == 1 else None,
        provider=next(iter(providers)) if len(providers) == 1 else None,
        times=tuple(told for one in said for told in one.times),
        reason=naming[0].reason if naming else None,
        doubt=doubt,
        silence=silences.pop() if len(silences) == 1 else Reason.NO_RULE,
        suspects=tuple(suspect for one in said for suspect in one.suspects),
    )


def _said(readings: list[Reading], reason: Reason, taken_from: TakenFrom) -> Said:
    """What several ways to read one text come to: what they agree on, and a doubt where they do not."""
    patients = _all(readings, "patient")
    providers = _all(readings, "provider")
    patient = patients.pop() if len(patients) == 1 else None
    if patients:
        return Said(doubt=Reason.PATIENT_CONFLICT, silence=Reason.PATIENT_CONFLICT)
    said = Said(
        patient=patient,
        provider=next(iter(providers)) if len(providers) == 1 else None,
        reason=reason if patient is not None else None,
        doubt=Reason.OTHER_PROVIDER if len(providers) > 1 else None,
    )
    moments = {tuple(reading.get(name) for name in "YmdHMS") for reading in readings}
    if len(moments) != 1:
        return said  # it can be read as two dates: it says none
    year, month, day, *clock = moments.pop()
    if year is None or month is None or day is None:
        return said
    try:
        hour, minute, second = (None if part is None else int(part) for part in clock)
        local = datetime(int(year), int(month), int(day))  # noqa: DTZ001  # wall time of the practice
        local = (
            datetime.combine(local, NOON)
            if hour is None or minute is None
            else local.replace(hour=hour, minute=minute, second=second or 0)
        )
    except ValueError:
        return said._replace(doubt=said.doubt or Reason.DATE_IMPOSSIBLE)
    return said._replace(times=(Told(taken_from, local),))


def _all(readings: Iterable[Reading], name: str) -> set[str]:
    return {text for reading in readings if (text := reading.get(name)) is not None}
