"""Rules: whose a file of an archive is, and when it was taken, as names, folders and lists say it.

Rules are data: they compare, pickle and go to JSON and back. They compose: ``a | b`` lets each say what it
knows, ``a & b`` wants both to say it. In both, rules that name two patients for one file are a conflict,
never a choice. Pure: no disk, no clock.
"""

from __future__ import annotations

import abc
import functools
from typing import TYPE_CHECKING, Any

import attrs

from intouch_import.errors import CaptureNameError, ConfigError
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.migration.patterns import PathPattern
from intouch_import.migration.rule_results import Entry, Listed, Said, Told, agreed, together
from intouch_import.model import Reason, TakenFrom

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    Raises:
        NamingPatternError: The pattern says nothing, or holds a part that can't be used.
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

    Raises:
        NamingPatternError: As for `FolderRule`.
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
        return agreed(readings, Reason.CAPTURE_NAME, TakenFrom.NAME)._replace(suspects=suspects)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "name", "pattern": self.pattern}


@attrs.frozen
class CaptureRule(Rule):
    """The capture app's name says it.

    Args:
        pattern: As `CaptureNaming` takes it. The default is ours: check it against a real file.

    Raises:
        NamingPatternError: As for `CaptureNaming`.
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
            own dates need none. Times are naive: the practice's wall time.

    Raises:
        ConfigError: ``columns`` lacks one that is needed, or has one that is not known. The list itself is
            read by `plan`.
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
    """Each rule says what it knows. The patient is the one that all who name one agree on.

    ``a | b`` is the same.

    Args:
        rules: Two at least, and one `ManifestRule` among them at most.

    Raises:
        ConfigError: They are fewer, or several lists are among them.
    """

    def read(self, entry: Entry) -> Said:
        return together([rule.read(entry) for rule in self.rules])


class AllOf(_Several):
    """Every rule must name a patient, and all the same one.

    ``a & b`` is the same.

    Args:
        rules: As for `AnyOf`.

    Raises:
        ConfigError: Likewise.
    """

    def read(self, entry: Entry) -> Said:
        said = [rule.read(entry) for rule in self.rules]
        both = together(said)
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
    return agreed(readings, Reason.FOLDER_NAME, TakenFrom.FOLDER)._replace(suspects=suspects)
