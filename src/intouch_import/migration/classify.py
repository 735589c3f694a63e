"""From files and rules to verdicts, so many at a time as one question to the records takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from intouch_import.extensions import classify
from intouch_import.migration.rule_results import Chosen, Entry, choose
from intouch_import.migration.walking import folder_id
from intouch_import.model import Action, EntryKind, Reason, import_id, printable
from intouch_import.verdicts import screen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, tzinfo

    from intouch_import.ledger import Ledger
    from intouch_import.migration.lists import ManifestIndex
    from intouch_import.migration.plan_file import Columns
    from intouch_import.migration.rule_results import DateFrom, Said
    from intouch_import.migration.rules import Rule
    from intouch_import.migration.walking import Found
    from intouch_import.model import SourceFile, StoredAttachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Gate", "Judge"]

_REMEMBERED: Final = 200_000
_ASKED_AT_ONCE: Final = 1000


@attrs.frozen(kw_only=True)
class Gate:
    """What a plan takes for certain.

    Args:
        dates: Who may say when a file was taken, in the order of trust.
        zone: The practice's time zone.
        provider: Whose archive it is; names that claim another provider then wait. None if nobody's.
        allow_inactive: Whether files of inactive patients are imported without a person.
    """

    dates: tuple[DateFrom, ...]
    zone: tzinfo
    provider: str | None = None
    allow_inactive: bool = False


class _File(NamedTuple):
    folder: str
    file: SourceFile
    said: Said
    id: str


class _People:
    """Who is known, asked for in batches and remembered: True is active, False inactive, None unknown."""

    def __init__(self, ask: Callable[[Sequence[str]], dict[str, bool]]) -> None:
        self._ask = ask
        self._known: dict[str, bool | None] = {}

    def __getitem__(self, wanted: str) -> bool | None:
        return self._known.get(wanted)

    def learn(self, ids: set[str]) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        new = sorted(ids - self._known.keys())
        for start in range(0, len(new), _ASKED_AT_ONCE):
            some = new[start : start + _ASKED_AT_ONCE]
            found = self._ask(some)
            self._known.update((one, found.get(one)) for one in some)


class Judge:
    """Gives every file one verdict and one reason."""

    def __init__(
        self,
        rule: Rule,
        gate: Gate,
        *,
        root_id: str,
        repository: PatientRepository,
        ledger: Ledger,
        listed: ManifestIndex | None,
        now: Callable[[], datetime],
    ) -> None:
        self._rule = rule
        self._gate = gate
        self._root_id = root_id
        self._repository = repository
        self._ledger = ledger
        self._listed = listed
        self._now = now
        self._source_ids: tuple[str, str] = ("", folder_id(root_id, ""))
        self._said: tuple[str, Said] | None = None
        self._patients = _People(
            lambda ids: {one.id: one.active for one in repository.find_patients(ids).values()}
        )
        self._providers = _People(
            lambda ids: {one.id: True for one in map(repository.find_provider, ids) if one is not None}
        )

    def judge(self, found: Sequence[Found], rows: Columns) -> None:
        """Add the rows of some entries."""
        files: list[_File] = []
        now = self._now()
        names = self._lines([one for one in found if one.why is None])
        for one in found:
            source_id = self._source_id(one.folder)
            for file in one.files:
                if one.why is not None:
                    self._add(rows, one.folder, file, *_NOBODY, _not_walked(one.why), one.why, "")
                    continue
                verdict = screen(file)
                if verdict is not None:
                    self._add(rows, one.folder, file, *_NOBODY, verdict.action, verdict.reason, "")
                    continue
                said = self._read(one.folder, file, names)
                files.append(_File(one.folder, file, said, import_id(source_id, file.name, file.version)))
        self._patients.learn({one for each in files for one in _ids(each.said)})
        self._providers.learn({each.said.provider for each in files if each.said.provider is not None})
        stored = self._stored(files)
        back = self._ledger.moved(stored) if stored else set()
        for each in files:
            self._decide(each, stored.get(each.id), rows, now=now, back=each.id in back)

    def missing(self, path: str, rows: Columns) -> None:
        """Add the row of a file that the list names and nobody has seen."""
        from intouch_import.model import SourceFile

        folder, _, name = path.rpartition("/")
        file = SourceFile(name=name, size_bytes=0, version="")
        self._add(rows, folder, file, *_NOBODY, Action.WAIT, Reason.LISTED_MISSING, "")

    # --- inside

    def _source_id(self, folder: str) -> str:
        if self._source_ids[0] != folder:
            self._source_ids = (folder, folder_id(self._root_id, folder))
        return self._source_ids[1]

    def _lines(self, found: Sequence[Found]) -> dict[str, Any]:
        if self._listed is None:
            return {}
        # Only files are looked up: a line for a link or a hidden file is seen all the same.
        return self._listed.find([_path(one.folder, file.name) for one in found for file in one.files])

    def _read(self, folder: str, file: SourceFile, lines: dict[str, Any]) -> Said:
        if self._rule.by_folder and self._said is not None and self._said[0] == folder:
            return self._said[1]
        folders = tuple(folder.split("/")) if folder else ()
        listed = lines.get(_path(folder, file.name)) if lines else None
        said = self._rule.read(Entry(folders, file.name, listed))
        self._said = (folder, said)
        return said

    def _stored(self, files: Sequence[_File]) -> dict[str, StoredAttachment]:
        stored: dict[str, StoredAttachment] = {}
        for start in range(0, len(files), _ASKED_AT_ONCE):
            ids = [each.id for each in files[start : start + _ASKED_AT_ONCE]]
            stored.update(self._repository.find_attachment(ids))
        return stored

    def _decide(
        self, each: _File, stored: StoredAttachment | None, rows: Columns, *, now: datetime, back: bool
    ) -> None:
        said = each.said
        chosen = (
            choose(said.times, self._gate.dates, zone=self._gate.zone, now=now) if said.times else _NO_TIME
        )
        provider = said.provider if said.provider is not None else self._gate.provider
        if stored is not None:
            patient: str | None
            action, reason, patient = _already(stored, said.patient, back=back)
        else:
            doubt = self._doubt(said) or chosen.doubt
            action = Action.IMPORT if doubt is None else Action.WAIT
            reason = doubt or said.reason or Reason.NO_RULE
            patient = said.patient
        taken_from = chosen.taken_from.value if chosen.taken_from is not None else None
        whose = (patient, provider, chosen.taken_at, taken_from)
        self._add(rows, each.folder, each.file, *whose, action, reason, each.id)

    def _doubt(self, said: Said) -> Reason | None:
        if said.doubt is not None:
            return said.doubt
        if said.patient is None:
            return said.silence
        active = self._patients[said.patient]
        if active is None:
            return Reason.PATIENT_UNKNOWN
        if any(one != said.patient and self._patients[one] is not None for one in said.suspects):
            return Reason.PATIENT_CONFLICT
        if not active and not self._gate.allow_inactive:
            return Reason.PATIENT_INACTIVE
        if said.provider is not None:
            if self._gate.provider is not None and said.provider != self._gate.provider:
                return Reason.OTHER_PROVIDER
            if self._providers[said.provider] is None:
                return Reason.PROVIDER_UNKNOWN
        return None

    @staticmethod
    def _add(
        rows: Columns,
        folder: str,
        file: SourceFile,
        patient: str | None,
        provider: str | None,
        taken_at: datetime | None,
        taken_from: str | None,
        action: Action,
        reason: Reason,
        file_id: str,
    ) -> None:
        destination = classify(file.name).value if file.kind is EntryKind.FILE and file.name else "notes"
        whose = (patient and printable(patient), provider and printable(provider), taken_at, taken_from)
        rows.add(folder, file, *whose, destination, action.value, reason.value, file_id)


_NOBODY: Final = (None, None, None, None)
_NO_TIME: Final = Chosen()


def _already(stored: StoredAttachment, patient: str | None, *, back: bool) -> tuple[Action, Reason, str]:
    if patient is not None and stored.patient_id != patient:
        return Action.WAIT, Reason.ALREADY_ASSIGNED, stored.patient_id
    if back:
        return Action.WAIT, Reason.REAPPEARED, stored.patient_id
    return Action.FINISH, Reason.ALREADY_STORED, stored.patient_id


def _not_walked(why: Reason) -> Action:
    return Action.WAIT if why is Reason.FOLDER_UNREADABLE else Action.IGNORE


def _ids(said: Said) -> tuple[str, ...]:
    return said.suspects if said.patient is None else (said.patient, *said.suspects)


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
