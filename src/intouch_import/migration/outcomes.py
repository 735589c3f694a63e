"""What became of every file of a plan, as the plan, its runs, the records and the archive show it."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import FileError, SourceError, host_errors
from intouch_import.exclusions import Exclusions
from intouch_import.extensions import classify
from intouch_import.migration.plan_file import PARTITION_ROWS, read_rows
from intouch_import.migration.results import read_results
from intouch_import.migration.rows import year_of
from intouch_import.model import Action, Destination, Reason, State, printable
from intouch_import.repositories.base import overrides
from intouch_import.repositories.stored_bytes import StoredBytes, read_again

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intouch_import.migration.plan_file import StoredPlan
    from intouch_import.migration.results import Result
    from intouch_import.migration.rows import PlanRow
    from intouch_import.migration.walking import Folders
    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["OUTCOMES", "Tally"]

IMPORTED, DUPLICATE, WAITING, IGNORED, FAILED, NOT_YET = OUTCOMES = (
    "imported", "duplicate", "waiting", "ignored", "failed", "not yet",
)  # fmt: skip
_FILES_PER_QUERY: Final = 1000
_THREADS: Final = 4
_NEVER_SEEN: Final = frozenset({Reason.FOLDER_UNREADABLE, Reason.LISTED_MISSING, Reason.LISTED_OUTSIDE})
_OPEN_POINTS: Final = {
    "not_yet": "{} files were not processed yet: run the plan again",
    "may_heal": "{} files failed, but a retry may succeed: run the plan again",
    "changed": "{} files have changed since they were planned: plan the archive again",
    "undone": "{} files wait because their import was undone: decide about them",
    "folders_unreadable": "{} folders could not be listed: their files are not in the plan",
    "folders_skipped": (
        "{} hidden or system folders were not looked into: their files are not in the plan. Plan these"
        " folders, or leave them out"
    ),
    "hidden_photos": "{} hidden files have the name of a photo: rename them, or leave them out",
    "not_downloaded": "{} files are not on this disk, but only in the cloud: download them, and plan again",
    "in_archive": "{} files are in the records, but could not be removed from the archive",
    "not_in_archive": "{} files were not imported, and are not in the archive any more",
    "not_looked_for": "{} files that were not imported were not looked for: the archive can't be opened",
    "records_not_asked": "The records were not asked: {} files may not be in them",
    "not_in_records": (
        "{} files are not in the records as this migration stored them: they were undone since, or these are"
        " other or older records. Run the plan again"
    ),
    "other_patient": (
        "{} files are in another patient's record than the plan decided: check that a person moved them"
    ),
    "as_delivered": (
        "{} files are in the records with another size or digest than their location reports: compare them"
        " with the originals"
    ),
    "other_bytes": "{} files are in the records with other bytes than the migration has read",
    StoredBytes.MISSING: "{} files are in the records, but their bytes are missing",
    StoredBytes.ALTERED: "{} files are in the records, but their bytes were altered",
    StoredBytes.UNREADABLE: "{} files are in the records, but their bytes can't be read",
    "no_original": "{} files are duplicates of photos that the records no longer have: run the plan again",
    "torn_override": "{} override was not written completely, and is lost: make it again",
}
"""What does not add up or is left to do, by its name in a certificate's ``open``."""
_OPEN_REASONS: Final = {
    Reason.UNDONE: "undone",
    Reason.FOLDER_UNREADABLE: "folders_unreadable",
    Reason.FOLDER_SKIPPED: "folders_skipped",
}


@attrs.define(eq=False)
class _File:
    """A file of the plan, and what was found about it."""

    row: PlanRow
    result: Result | None
    outcome: str
    reason: Reason
    stored: StoredAttachment | None = None
    stored_bytes: StoredBytes | None = None

    @property
    def import_id(self) -> str:
        return (self.result and self.result.import_id) or self.row.import_id


class Tally:
    """Counts the files of a plan by outcome, and looks for each where it should be.

    Args:
        stored: The plan.
        repository: The records; None if they can't be asked.
        folders: The archive; None if it can't be opened.
        sample: Greatest number of files, about, whose stored bytes are read again; None for all.
    """

    def __init__(
        self,
        stored: StoredPlan,
        repository: PatientRepository | None,
        folders: Folders | None,
        *,
        sample: int | None,
    ) -> None:
        self._stored = stored
        self._repository = repository
        self._folders = folders
        planned = stored.header.rows
        self._share = 1.0 if sample is None or planned <= sample else sample / planned
        self._random = secrets.SystemRandom()
        self._counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._bytes: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._years: Counter[str] = Counter()
        self._patients: set[str] = set()
        self._open: Counter[str] = Counter()
        self._confirmed = 0
        self._originals = 0
        self._read = 0
        self._intact = 0
        self._there = 0
        self._in_doubt = 0
        self._corrected = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """Count all files, and yield the line of each."""
        files = _files(self._stored)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="intouch-certify") as pool:
            while chunk := list(itertools.islice(files, _FILES_PER_QUERY)):
                if self._repository is not None:
                    with host_errors():
                        self._find(self._repository, chunk)
                    self._read_again(self._repository, chunk, pool)
                self._look_for([file for file in chunk if file.outcome in (WAITING, FAILED)], pool)
                for file in chunk:
                    self._count(file)
                    yield _line(file)

    def values(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        header, asked = self._stored.header, self._repository is not None
        self._open["torn_override"] = int(self._stored.overrides_file.torn)
        points = [
            text.format(f"{self._open[name]:,}") for name, text in _OPEN_POINTS.items() if self._open[name]
        ]
        counted = sum(self._counts.values())
        if counted != header.rows:
            points.append(f"{header.rows:,} files were planned, but {counted:,} have an outcome")
        return {
            "counts": dict(self._counts),
            "bytes": {name: self._bytes[name] for name in OUTCOMES},
            "reasons": [
                {"outcome": outcome, "reason": reason, "text": Reason(reason).text, "files": files}
                for (outcome, reason), files in self._reasons.most_common()
            ],
            "years": dict(sorted(self._years.items())),
            "patients": len(self._patients),
            "still_in_archive": self._open["in_archive"],
            "confirmed_in_records": self._confirmed if asked else None,
            "duplicates_in_records": self._originals if asked else None,
            "clocks": list(header.clocks),
            "times_corrected": self._corrected if asked else None,
            "times_in_doubt": self._in_doubt if asked else None,
            "read_again": self._read if asked else None,
            "intact": self._intact if asked else None,
            "seen_in_archive": self._there if self._folders is not None else None,
            "open": {name: self._open[name] for name in _OPEN_POINTS if self._open[name]},
            "open_points": points,
        }

    # --- the records

    def _find(self, repository: PatientRepository, files: Sequence[_File]) -> None:
        """Look up imported files by their import ids, and the originals of duplicates by their bytes."""
        imported = [file for file in files if file.outcome == IMPORTED]
        stored = repository.find_attachment([file.import_id for file in imported]) if imported else {}
        for file in imported:
            file.stored = stored.get(file.import_id)
        duplicates = [file for file in files if file.outcome == DUPLICATE]
        digests = {file.result.sha256 for file in duplicates if file.result and file.result.sha256}
        same = repository.find_by_digest(digests) if digests else {}
        for file in duplicates:
            originals = same.get((file.result and file.result.sha256) or "", ())
            file.stored = next((one for one in originals if one.patient_id == file.row.patient), None)

    def _read_again(
        self, repository: PatientRepository, files: Sequence[_File], pool: ThreadPoolExecutor
    ) -> None:
        chosen = [
            (file, file.stored)
            for file in files
            if file.stored is not None and (self._share >= 1 or self._random.random() < self._share)
        ]
        found = pool.map(lambda stored: read_again(repository, stored), [stored for _, stored in chosen])
        for (file, _), stored_bytes in zip(chosen, found, strict=True):
            file.stored_bytes = stored_bytes

    # --- the archive

    def _look_for(self, files: Iterable[_File], pool: ThreadPoolExecutor) -> None:
        """Look for files in the archive that were not imported."""
        listed = [file.row for file in files if file.row.version]
        folders = self._folders
        if folders is None:
            self._open["not_looked_for"] += len(listed)
            return
        for there in pool.map(lambda row: _is_there(folders, row), listed):
            self._there += there is True
            self._open["not_in_archive"] += there is False
            self._open["not_looked_for"] += there is None

    # --- counting

    def _count(self, file: _File) -> None:
        row, outcome, found = file.row, file.outcome, self._open
        self._counts[outcome] += 1
        self._bytes[outcome] += row.size_bytes
        self._reasons[outcome, file.reason.value] += 1
        match outcome:
            case "imported":
                self._years[year_of(row)] += 1
                self._count_imported(file)
            case "duplicate":
                self._count_duplicate(file)
            case "failed":
                found["may_heal"] += file.result is not None and file.result.retry_helps
            case "ignored":
                found["hidden_photos"] += _may_be_photo(row)
        name = _OPEN_REASONS.get(file.reason)
        if outcome == NOT_YET:
            found["changed" if file.reason is Reason.CHANGED else "not_yet"] += 1
        elif name is not None:
            found[name] += 1
        if file.reason is not Reason.LEFT_OUT and _is_in_icloud(row):
            found["not_downloaded"] += 1
        if file.stored_bytes is not None:
            self._read += 1
            self._intact += file.stored_bytes is StoredBytes.INTACT
            if file.stored_bytes is not StoredBytes.INTACT:
                found[file.stored_bytes] += 1

    def _count_duplicate(self, file: _File) -> None:
        self._originals += file.stored is not None
        if self._repository is None:
            self._open["records_not_asked"] += 1
        elif overrides(self._repository, "find_by_digest"):
            self._open["no_original"] += file.stored is None

    def _count_imported(self, file: _File) -> None:
        row, result, stored, found = file.row, file.result, file.stored, self._open
        found["in_archive"] += result is not None and result.state is State.STORED
        if self._repository is None:
            found["records_not_asked"] += 1
        elif stored is None:
            found["not_in_records"] += 1
        else:
            self._patients.add(stored.patient_id)
            self._in_doubt += stored.times_disagree
            self._corrected += stored.taken_written is not None
            other_bytes = result is not None and result.sha256 not in (None, stored.sha256)
            other_patient = stored.patient_id != row.patient
            damaged = file.stored_bytes not in (None, StoredBytes.INTACT)
            as_delivered = stored.size_bytes != row.size_bytes or file.reason is Reason.LEFT_IN_SOURCE
            found["as_delivered"] += as_delivered
            found["other_bytes"] += other_bytes
            found["other_patient"] += other_patient
            self._confirmed += not (other_bytes or other_patient or damaged or as_delivered)


def _line(file: _File) -> dict[str, Any]:
    """Return the line of a file. What is about its record comes from the record."""
    row, result, stored = file.row, file.result, file.stored
    return {
        "path": printable(row.path),
        "size_bytes": row.size_bytes,
        "outcome": file.outcome,
        "reason": file.reason.value,
        "patient": stored.patient_id if stored is not None else None,
        "planned_patient": row.patient,
        "import_id": file.import_id or None,
        "sha256": stored.sha256 if stored is not None else result and result.sha256,
        "attachment_id": stored.id if stored is not None else None,
        "taken_at": stored.taken_at.isoformat()
        if stored is not None and stored.taken_at is not None
        else None,
        "taken_written": stored.taken_written if stored is not None else None,
        "times_disagree": stored.times_disagree if stored is not None else None,
        "stored_bytes": file.stored_bytes,
    }


def _files(stored: StoredPlan) -> Iterator[_File]:
    """Yield the files of a plan with the results of its runs."""
    partition, results = -1, {}
    for planned in read_rows(stored.directory, stored.header.parts):
        row = stored.overrides.apply(planned)
        if planned.owner // PARTITION_ROWS != partition:
            partition = planned.owner // PARTITION_ROWS
            results = read_results(stored.directory, partition)
        result = results.get(row.number)
        yield _File(row, result, *_outcome(row, result))


def _outcome(row: PlanRow, result: Result | None) -> tuple[str, Reason]:
    """Return the one outcome of a file, and the reason."""
    if row.verdict not in (Action.IMPORT, Action.FINISH):
        if result is not None and result.is_stored:
            return IMPORTED, result.reason  # a person left it out after a run had imported it
        if row.verdict is Action.IGNORE:
            return IGNORED, row.reason
        return (FAILED if row.reason in _NEVER_SEEN else WAITING), row.reason
    if result is None or (result.state is State.WAITING and not result.settles(row)):
        return NOT_YET, result.reason if result is not None else Reason.CANCELLED
    match result.state:
        case State.IMPORTED | State.STORED:
            return IMPORTED, result.reason
        case State.WAITING:
            return (DUPLICATE if result.reason is Reason.DUPLICATE else WAITING), result.reason
        case State.IGNORED:
            return IGNORED, result.reason
        case State.FAILED:
            return FAILED, result.reason


def _is_there(folders: Folders, row: PlanRow) -> bool | None:
    """Return whether a file is in the archive; None if that can't be found out."""
    try:
        return folders.open(row.folder).look(row.name) is not None
    except (SourceError, FileError):
        return False if folders.is_gone(row.folder) else None


def _is_in_icloud(row: PlanRow) -> bool:
    """Return whether a file, ``.photo.jpg.icloud``, stands for a ``photo.jpg`` that is in iCloud only."""
    return row.name.startswith(".") and row.name.lower().endswith(".icloud")


def _may_be_photo(row: PlanRow) -> bool:
    """Return whether a hidden file may be a photo: systems and phones have hidden files of their own."""
    hidden = row.reason is Reason.HIDDEN and Exclusions().of_file(row.name) is None
    return hidden and classify(row.name) is Destination.IMAGES
