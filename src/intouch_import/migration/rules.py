"""Rules: they find the patient of a file, and when it was taken, in names, folders and lists.

Rules are values: they compare, pickle, and go to JSON and back. Combine them with ``a | b`` (each rule adds
what it knows) or ``a & b`` (every rule must name a patient). With both, two rules that name two patients for
one file are a conflict, and the file waits. Pure: no disk, no clock.
"""

from __future__ import annotations

import abc
import functools
from typing import TYPE_CHECKING, Any

import attrs

from intouch_import.errors import CaptureNameError, ConfigError
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.migration.id_map import id_map, translate
from intouch_import.migration.patterns import PathPattern
from intouch_import.migration.rule_results import (
    RuleResult,
    StatedTime,
    combine_results,
    read_texts,
    similar_ids,
)
from intouch_import.model import Reason, TakenFrom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intouch_import.migration.rule_results import RuleInput

__all__ = ["AllOf", "AnyOf", "CaptureRule", "FolderRule", "ManifestRule", "NameRule", "PatientRule", "Rule"]


class Rule(abc.ABC):
    """Names the patient of a file."""

    @abc.abstractmethod
    def read(self, file: RuleInput) -> RuleResult:
        """Return what this rule says about a file."""

    @property
    def lists(self) -> tuple[ManifestRule, ...]:
        """The lists that the rule reads."""
        return ()

    @property
    def by_folder(self) -> bool:
        """Whether the rule says the same about all files of a folder."""
        return False

    @property
    def new_ids(self) -> Mapping[str, str]:
        """The new ids of patients by the ids in the archive; empty if they are the same."""
        return getattr(self, "ids", None) or {}

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON values."""

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Rule:
        """Make a rule from what `to_dict` returned.

        Raises:
            ConfigError: The values are not a rule.
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
class _PathRule(Rule):
    """A rule with a pattern of names."""

    pattern: str
    ids: Mapping[str, str] | None = attrs.field(default=None, converter=id_map, kw_only=True, repr=False)
    _path: PathPattern = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: PathPattern(self.pattern), takes_self=True),
    )


@attrs.frozen
class FolderRule(_PathRule):
    r"""Read the names of folders, from the top of the archive down.

    A pattern has a segment for each folder, separated by slashes. In a segment:

    ``{patient}``, ``{provider}``
        An id of letters, digits and hyphens. Narrow it with ``{patient:\d{5}}``.
    ``{date:%Y-%m-%d}``
        A date or time, with ``%Y %m %d %H %M %S``. Its parts may be in several segments.
    ``{*}``
        Any text within the segment, at least one character.
    ``{**}``
        As a segment of its own: any number of folders.

    All other text must match exactly, in Unicode's composed form.

    Folders below those of the pattern belong to the same patient. If the name of a folder on the path
    contains the id of another patient, the file waits. A pattern that ends in ``{**}`` turns this check off
    for the folders that ``{**}`` covers. A file also waits if the id is also a year or a date (``2019``).

    If ``{*}`` covers a person's name beside the id, and it is not the name of the patient with this id, the
    file waits. That is the case for ``10042 - Marsh, Ada`` and ``10042 Ada Marsh``, and for other texts if
    the records have another patient of that name.

    Args:
        pattern: Such as ``"{patient} - {*}/{date:%Y-%m-%d}"``.
        ids: The new ids of patients by the ids in the archive, if the practice gave its patients new ids: a
            dictionary, or what `read_ids` returns. All are replaced at once, so an id may be both old and
            new. A file with an id that is not among them waits.
        check_names: Compare names in folders with those in the records.

    Raises:
        NamingPatternError: The pattern has an unknown part, or none that names a patient, a provider or a
            date; or some names would take too long to read.
        ConfigError: ``ids`` is not a dictionary of texts.
    """

    check_names: bool = attrs.field(default=True, kw_only=True)

    @property
    def by_folder(self) -> bool:
        return True

    def read(self, file: RuleInput) -> RuleResult:
        result = translate(_read_folders(self._path, file.folders), self.ids)
        return result if self.check_names else result._replace(names=())

    def to_dict(self) -> dict[str, Any]:
        values = {"pattern": self.pattern, "ids": self.ids, "check_names": self.check_names}
        return {"rule": "folders", **values}


@functools.lru_cache(maxsize=256)
def _read_folders(path: PathPattern, folders: tuple[str, ...]) -> RuleResult:
    return read_texts(path, folders, Reason.FOLDER_NAME, TakenFrom.FOLDER)


@attrs.frozen
class NameRule(_PathRule):
    """Read the file's name, without its extension.

    If another word of the name is another patient's id, the file waits. It also waits if the id is also a
    year or a date.

    Args:
        pattern: As for `FolderRule`, with one segment: ``"{patient}_{*}"``.
        ids: As for `FolderRule`.

    Raises:
        NamingPatternError, ConfigError: As for `FolderRule`.
    """

    def read(self, file: RuleInput) -> RuleResult:
        stem, dot, _ = file.name.rpartition(".")
        stem = stem if dot else file.name
        result = read_texts(self._path, (stem,), Reason.CAPTURE_NAME, TakenFrom.NAME, whole=True)
        return translate(result, self.ids)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "name", "pattern": self.pattern, "ids": self.ids}


@attrs.frozen
class CaptureRule(Rule):
    """Read the file's name as the capture app writes it.

    Args:
        pattern: As for `CaptureNaming`. The default is ours: check it against a real file.
        ids: As for `FolderRule`.

    Raises:
        NamingPatternError: As for `CaptureNaming`.
    """

    pattern: str = DEFAULT_PATTERN
    ids: Mapping[str, str] | None = attrs.field(default=None, converter=id_map, kw_only=True, repr=False)
    _naming: CaptureNaming = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: CaptureNaming(self.pattern), takes_self=True),
    )

    def read(self, file: RuleInput) -> RuleResult:
        try:
            capture = self._naming.parse(file.name)
        except CaptureNameError:
            return RuleResult(doubt=Reason.TIME_IMPOSSIBLE, no_patient=Reason.TIME_IMPOSSIBLE)
        if capture is None:
            return RuleResult(no_patient=Reason.NO_CAPTURE_NAME)
        result = RuleResult(
            patient=capture.patient,
            provider=capture.provider,
            times=(StatedTime(TakenFrom.NAME, capture.taken_local),),
            reason=Reason.CAPTURE_NAME,
        )
        return translate(result, self.ids)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "capture_name", "pattern": self.pattern, "ids": self.ids}


def _columns(value: Mapping[str, str]) -> dict[str, str]:
    columns = dict(value)
    unknown = set(columns) - {"path", "patient", "provider", "taken"}
    if unknown or not {"path", "patient"} <= set(columns):
        raise ConfigError(
            "columns= needs a column name for path and for patient, and may have one for provider and taken"
        )
    return columns


@attrs.frozen(kw_only=True)
class ManifestRule(Rule):
    r"""Read a list: a CSV file or an Excel sheet with a line for each file.

    Spreadsheets remove leading zeros. So if a listed id is a number, and the records also have a patient
    whose id differs from it in leading zeros only, the file waits. Blanks around an id are removed.

    Args:
        path: Path of the list.
        columns: Names of the list's columns, by ``path`` (relative to the archive, with slashes or
            backslashes), ``patient``, and optionally ``provider`` and ``taken``.
        prefix: What the paths in the list begin with before the archive: ``"D:\Photos"``. It is removed.
        ignore_case: Find paths whose upper and lower case letters differ. If the list has several such lines
            for a file, or the archive several such files for a line, the files wait.
        ids: As for `FolderRule`.
        sheet: Sheet of an Excel file; by default the first.
        encoding: Encoding of a CSV file; by default UTF-8, or UTF-16 if the file begins with a byte order
            mark. Give any other encoding: an id that is decoded wrongly is another id.
        taken_format: Format of ``taken``, as for `datetime.strptime`; by default ISO 8601. Dates that Excel
            stores as dates need no format. Times are the practice's wall time.

    Raises:
        ConfigError: ``columns`` lacks a name, or has an unknown one. The list itself is read by `plan`.
    """

    path: str = attrs.field(converter=str)
    columns: Mapping[str, str] = attrs.field(converter=_columns)
    sheet: str | None = None
    encoding: str | None = None
    taken_format: str | None = None
    prefix: str | None = None
    ignore_case: bool = False
    ids: Mapping[str, str] | None = attrs.field(default=None, converter=id_map, repr=False)

    @property
    def lists(self) -> tuple[ManifestRule, ...]:
        return (self,)

    def read(self, file: RuleInput) -> RuleResult:
        line = file.line
        if line is None:
            return RuleResult(no_patient=Reason.NOT_LISTED)
        if line.doubt is not None:
            return RuleResult(doubt=line.doubt, no_patient=line.doubt)
        # What the spreadsheet may have made of another patient's id.
        other_ids = similar_ids(line.patient) if line.patient is not None else ()
        result = RuleResult(
            patient=line.patient,
            provider=line.provider,
            times=() if line.local is None else (StatedTime(TakenFrom.LIST, line.local),),
            reason=Reason.LISTED,
            no_patient=Reason.NOT_LISTED,
            other_ids=other_ids,
        )
        return translate(result, self.ids)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "list", **attrs.asdict(self)}


@attrs.frozen
class PatientRule(Rule):
    """Assign every file to one patient.

    Args:
        patient: The patient's id.
    """

    patient: str = attrs.field(repr=False)

    @property
    def by_folder(self) -> bool:
        return True

    def read(self, file: RuleInput) -> RuleResult:  # noqa: ARG002  # the same for every file
        return RuleResult(patient=self.patient, reason=Reason.ONE_PATIENT)

    def to_dict(self) -> dict[str, Any]:
        return {"rule": "one_patient", "patient": self.patient}


class _Several(Rule):
    """Rules that are combined."""

    def __init__(self, *rules: Rule) -> None:
        if len(rules) < 2 or not all(isinstance(rule, Rule) for rule in rules):  # noqa: PLR2004
            raise ConfigError("AnyOf and AllOf take at least two rules")
        # Flat, so that a | b | c is one rule of three.
        self.rules: tuple[Rule, ...] = tuple(
            inner for rule in rules for inner in (rule.rules if type(rule) is type(self) else (rule,))
        )
        if len(self.lists) > 1:
            raise ConfigError("a plan takes one list: join the lists first")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash((type(self), self.rules))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.rules))})"

    @property
    def lists(self) -> tuple[ManifestRule, ...]:
        return tuple(one for rule in self.rules for one in rule.lists)

    @property
    def by_folder(self) -> bool:
        return all(rule.by_folder for rule in self.rules)

    @property
    def new_ids(self) -> Mapping[str, str]:
        return next((rule.new_ids for rule in self.rules if rule.new_ids), {})

    def to_dict(self) -> dict[str, Any]:
        name = next(name for name, kind in _KINDS.items() if kind is type(self))
        return {"rule": name, "rules": [rule.to_dict() for rule in self.rules]}


class AnyOf(_Several):
    """Combine rules of which each adds what it knows. Rules that name a patient must name the same one.

    ``a | b`` is the same.

    Args:
        rules: At least two; at most one `ManifestRule` among them.

    Raises:
        ConfigError: There are fewer than two rules, or several lists.
    """

    def read(self, file: RuleInput) -> RuleResult:
        return combine_results([rule.read(file) for rule in self.rules])


class AllOf(_Several):
    """Combine rules that must all name a patient, and the same one.

    ``a & b`` is the same.

    Args:
        rules: As for `AnyOf`.

    Raises:
        ConfigError: As for `AnyOf`.
    """

    def read(self, file: RuleInput) -> RuleResult:
        results = [rule.read(file) for rule in self.rules]
        combined = combine_results(results)
        silent = next((result for result in results if result.patient is None), None)
        return combined if silent is None else combined._replace(patient=None, no_patient=silent.no_patient)


_KINDS: dict[str, type[Rule]] = {
    "folders": FolderRule,
    "name": NameRule,
    "capture_name": CaptureRule,
    "list": ManifestRule,
    "one_patient": PatientRule,
    "any": AnyOf,
    "all": AllOf,
}
