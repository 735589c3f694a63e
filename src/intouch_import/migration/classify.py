"""Classify the files of an archive: one verdict and one reason for each, in batches that suit the records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from intouch_import.errors import InTouchImportError
from intouch_import.extensions import classify as destination_of
from intouch_import.media.companions import is_sidecar
from intouch_import.migration.companions import Decision, Place, decide_together, place_of
from intouch_import.migration.names import agrees, is_name, words_of
from intouch_import.migration.rule_results import ChosenTime, RuleInput, choose_time
from intouch_import.migration.rules import CaptureRule, Rule
from intouch_import.model import Action, EntryKind, Reason, SourceFile, import_id, printable
from intouch_import.moving.file_move import explain
from intouch_import.verdicts import screen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

    from intouch_import.ledger import Ledger
    from intouch_import.migration.lists import ListIndex
    from intouch_import.migration.rule_results import ListLine, RuleResult
    from intouch_import.migration.walking import Folders, FoundFiles
    from intouch_import.model import Patient, StoredAttachment, TakenFrom
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Classifier"]

_REMEMBERED: Final = 200_000
_IDS_PER_QUERY: Final = 1000
_MOST_WORDS: Final = 4  # of a text that are searched in the records
_NO_TIME: Final = ChosenTime()
_NAMED: Final = CaptureRule()
_ALONE: Final = Place()
_LEFT: Final = Decision(Action.IGNORE, Reason.SIDECARS_LEFT)
# Parquet keeps times as nanoseconds in 64 bits: 1677 to 2262.
_EARLIEST_NS: Final = -(2**63)
_LATEST_NS: Final = 2**63 - 1


class _Candidate(NamedTuple):
    """A file that may be imported."""

    folder: str
    file: SourceFile
    result: RuleResult
    import_id: str
    place: Place = Place()
    unread: Reason | None = None  # why a file with a known import id could not be compared


@attrs.define(kw_only=True)
class Classifier:
    """Classifies files. Patients and earlier imports are looked up in the repository and the ledger."""

    rule: Rule
    dates: Sequence[TakenFrom]
    zone: tzinfo
    provider: str | None
    allow_inactive: bool
    repository: PatientRepository
    ledger: Ledger
    index: ListIndex | None
    folders: Folders
    sidecars: str = "keep"
    _last_folder: tuple[str, RuleResult] | None = attrs.field(default=None, init=False)
    # Patients and providers that were looked up; None if unknown.
    _patients: dict[str, Patient | None] = attrs.field(factory=dict, init=False)
    _providers: dict[str, bool | None] = attrs.field(factory=dict, init=False)
    # Patients whose names are in a text.
    _named: dict[str, list[Patient]] = attrs.field(factory=dict, init=False)

    def classify(self, found: Sequence[FoundFiles], *, now: datetime) -> list[tuple[Any, ...]]:
        """Classify files, and return a row for each. Times after ``now``, which is aware, are doubtful."""
        rows: list[tuple[Any, ...]] = []
        candidates: list[_Candidate] = []
        lines = self._lines(found)
        for folder, files, source_id, why, places in found:
            for file in files:
                if why is not None:
                    action = Action.WAIT if why is Reason.FOLDER_UNREADABLE else Action.IGNORE
                    rows.append(_row(folder, file, Decision(action, why)))
                elif (verdict := screen(file, self.folders.exclusions)) is not None:
                    rows.append(_row(folder, file, Decision(verdict.action, verdict.reason)))
                elif self.sidecars == "leave" and is_sidecar(file.name):
                    rows.append(_row(folder, file, _LEFT))
                else:
                    result = self._read(folder, file.name, lines)
                    file_id = import_id(source_id, file.name, file.version)
                    place = place_of(file.name, places)
                    candidates.append(_Candidate(folder, file, result, file_id, place))
        self._look_up_people(candidates)
        stored = self._stored(candidates)
        moved = self.ledger.moved(stored) if stored else set()
        if stored:
            candidates = [self._compared(each, stored, moved) for each in candidates]
        decided = [
            self._decide(each, stored.get(each.import_id), now=now, moved=each.import_id in moved)
            for each in candidates
        ]
        decisions = [decision for decision, _ in decided]
        for at, each in enumerate(candidates):
            if parts := each.place.parts:
                group = slice(at, at + 1 + parts)
                roles = [one.place.role for one in candidates[group]]
                decisions[group] = decide_together(list(zip(decisions[group], roles, strict=True)))
        rows += [
            _row(each.folder, each.file, decision, time, each.import_id, each.place)
            for each, decision, (_, time) in zip(candidates, decisions, decided, strict=True)
        ]
        return rows

    def _compared(self, each: _Candidate, stored: dict[str, StoredAttachment], moved: set[str]) -> _Candidate:
        """Give a file an import id of its own if another file was imported under the same name and version.

        A file is read only if it can't be imported for its patient otherwise. A run compares the others.
        """
        known, result = stored.get(each.import_id), each.result
        if known is None:
            return each
        agrees = known.patient_id == result.patient and self._doubt(result) is None
        if agrees and each.import_id not in moved:
            return each
        try:
            source = self.folders.open(each.folder)
            with source.fetch(each.file) as content:
                sha256 = content.sha256
        except InTouchImportError as exc:
            return each._replace(unread=explain(exc)[0])
        if sha256 == known.sha256:
            return each
        own = import_id(source.source_id, each.file.name, each.file.version, sha256=sha256)
        found = self.repository.find_attachment([own])
        stored.update(found)
        moved |= self.ledger.moved(found) if found else set()
        return each._replace(import_id=own)

    def missing(self, path: str, reason: Reason) -> tuple[Any, ...]:
        """Return the row of a file that is in the list but not in the archive."""
        folder, _, name = path.rpartition("/")
        file = SourceFile(name=name, size_bytes=0, version="")
        return _row(folder, file, Decision(Action.WAIT, reason))

    def _lines(self, found: Sequence[FoundFiles]) -> dict[str, ListLine]:
        if self.index is None:
            return {}
        # Links and hidden files are looked up, too, so that their lines do not count as missing.
        paths = [_path(one.folder, file.name) for one in found if one.why is None for file in one.files]
        return self.index.find(paths)

    def _read(self, folder: str, name: str, lines: dict[str, ListLine]) -> RuleResult:
        if self.rule.by_folder and self._last_folder is not None and self._last_folder[0] == folder:
            result = self._last_folder[1]
        else:
            folders = tuple(folder.split("/")) if folder else ()
            line = lines.get(_path(folder, name)) if lines else None
            result = self.rule.read(RuleInput(folders, name, line))
            self._last_folder = (folder, result)
        if (named := _NAMED.read(RuleInput((), name)).patient) is not None:
            # The capture app wrote a patient's id into the name, whatever the rule reads.
            named = self.rule.new_ids.get(named, named)
            return result._replace(other_ids=(*result.other_ids, named))
        return result

    def _look_up_people(self, candidates: Sequence[_Candidate]) -> None:
        for remembered in (self._patients, self._providers, self._named):
            if len(remembered) > _REMEMBERED:
                remembered.clear()
        results = [each.result for each in candidates]
        named = {one for result in results for one in (result.patient, *result.other_ids) if one is not None}
        new = sorted(named - self._patients.keys())
        for start in range(0, len(new), _IDS_PER_QUERY):
            some = new[start : start + _IDS_PER_QUERY]
            # By their own ids: a patient who was merged into another one is unknown.
            found = {one.id: one for one in self.repository.find_patients(some).values()}
            self._patients.update((one, found.get(one)) for one in some)
        providers = {result.provider for result in results if result.provider is not None}
        for provider in sorted(providers - self._providers.keys()):
            found_provider = self.repository.find_provider(provider)
            known = found_provider is not None and found_provider.id == provider
            self._providers[provider] = True if known else None

    def _stored(self, candidates: Sequence[_Candidate]) -> dict[str, StoredAttachment]:
        stored: dict[str, StoredAttachment] = {}
        for start in range(0, len(candidates), _IDS_PER_QUERY):
            ids = [each.import_id for each in candidates[start : start + _IDS_PER_QUERY]]
            stored.update(self.repository.find_attachment(ids))
        return stored

    def _decide(
        self, each: _Candidate, stored: StoredAttachment | None, *, now: datetime, moved: bool
    ) -> tuple[Decision, ChosenTime]:
        """Decide about a file by itself. What belongs together is then decided together."""
        result, patient = each.result, each.result.patient
        time = _NO_TIME
        if result.times:
            time = choose_time(result.times, self.dates, zone=self.zone, now=now)
        unnamed = result.patient is None and result.doubt is None and each.unread is None and stored is None
        if stored is None or each.unread is not None:
            doubt = each.unread or each.place.doubt or self._doubt(result) or time.doubt
            action = Action.IMPORT if doubt is None else Action.WAIT
            reason = doubt or result.reason or Reason.NO_RULE
        else:
            action = Action.WAIT
            if patient is not None and stored.patient_id != patient:
                reason = Reason.ALREADY_ASSIGNED
            elif moved:
                reason = Reason.REAPPEARED
            else:
                action, reason = Action.FINISH, Reason.ALREADY_STORED
            patient = stored.patient_id
        provider = result.provider if result.provider is not None else self.provider
        is_stored = stored is not None and each.unread is None
        return Decision(action, reason, patient, provider, unnamed, is_stored), time

    def _doubt(self, result: RuleResult) -> Reason | None:
        if result.doubt is not None:
            return result.doubt
        if result.patient is None:
            return result.no_patient
        patient = self._patients.get(result.patient)
        if patient is None:
            return Reason.PATIENT_UNKNOWN
        if any(one != result.patient and self._patients.get(one) is not None for one in result.other_ids):
            return Reason.PATIENT_CONFLICT
        if (doubt := self._doubt_of_names(result, patient)) is not None:
            return doubt
        if not patient.active and not self.allow_inactive:
            return Reason.PATIENT_INACTIVE
        if result.provider is not None:
            if self.provider is not None and result.provider != self.provider:
                return Reason.OTHER_PROVIDER
            if self._providers.get(result.provider) is None:
                return Reason.PROVIDER_UNKNOWN
        return None

    def _doubt_of_names(self, result: RuleResult, patient: Patient) -> Reason | None:
        """Return why the names beside an id do not confirm it, if that is needed or another name is there."""
        if any(agrees(text, patient.name) for text in result.names):
            return None
        if words_of(patient.name) and any(
            is_name(text) or any(one.id != patient.id for one in self._patients_named(text))
            for text in result.names
        ):
            return Reason.NAME_DIFFERS
        return result.weak

    def _patients_named(self, text: str) -> list[Patient]:
        """Return the patients in the records who have a name in common with a text."""
        if text not in self._named:
            words = set(words_of(text))
            common = min(2, len(words))
            found = (
                patient
                for word in re.findall(r"[^\W\d_]{3,}", text)[:_MOST_WORDS]
                for patient in self.repository.search_patients(word)
                if common and len(words & set(words_of(patient.name))) >= common
            )
            self._named[text] = list(found)
        return self._named[text]


def _row(
    folder: str,
    file: SourceFile,
    decision: Decision,
    time: ChosenTime = _NO_TIME,
    file_id: str = "",
    place: Place = _ALONE,
) -> tuple[Any, ...]:
    action, reason, patient, provider, *_ = decision
    destination = destination_of(file.name).value if file.kind is EntryKind.FILE and file.name else "notes"
    taken_from = time.taken_from.value if time.taken_from is not None else None
    name, raw = file.name, None
    if not (name.isascii() and folder.isascii()):
        try:
            f"{folder}{name}".encode()
        except UnicodeEncodeError:
            raw = f"{folder}\0{name}".encode("utf-8", "surrogatepass")
            folder, name = printable(folder), printable(name)
    modified_ns = file.modified_ns
    if modified_ns is not None and not _EARLIEST_NS <= modified_ns <= _LATEST_NS:
        modified_ns = None  # a damaged file system; the version, which pins the file, has the time as text
    # A tuple in the order of `plan_file.COLUMNS`: made three times as fast as a `PlanRow`.
    return (
        folder, name, raw, file.size_bytes, modified_ns, file.version, file.vendor_hash, file.handle,
        patient and printable(patient), provider and printable(provider), time.taken_at, taken_from,
        time.differ, destination, action.value, reason.value, file_id,
        place.role and place.role.value, place.behind, place.parts,
    )  # fmt: skip


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
