"""`Certificate`: what became of every file of a plan, in numbers that add up, or say what does not.

A certificate is two files. ``files.jsonl`` has a line for every planned file, with exactly one outcome and
the digest of what is in the record. ``certificate.json`` has the counts, the digest of that file, and its own
digest: SHA-256 of its canonical JSON without that entry. Keep that one number elsewhere, on paper for
example. With it, `verify_certificate` detects every later change.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import import disk
from intouch_import.errors import ConfigError, without_path
from intouch_import.migration.plan_file import PARTITION_ROWS, read_results, read_rows, write_json
from intouch_import.migration.report import write_report
from intouch_import.migration.rows import year_of
from intouch_import.model import Action, Reason, State, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intouch_import.migration.plan_file import Result, StoredPlan
    from intouch_import.migration.rows import PlanRow
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Certificate", "certify", "verify_certificate"]

IMPORTED, DUPLICATE, WAITING, IGNORED, FAILED, NOT_YET = OUTCOMES = (
    "imported", "duplicate", "waiting", "ignored", "failed", "not yet",
)  # fmt: skip
FILES, CERTIFICATE, REPORT = "files.jsonl", "certificate.json", "certificate.html"
_FILES_PER_QUERY: Final = 1000
_NEVER_SEEN: Final = frozenset({Reason.FOLDER_UNREADABLE, Reason.LISTED_MISSING, Reason.LISTED_OUTSIDE})


@attrs.frozen(kw_only=True)
class Certificate:
    """The certificate of a migration.

    Args:
        values: All values, as in ``certificate.json``.
        directory: Its folder.
    """

    values: dict[str, Any] = attrs.field(repr=False)
    directory: Path = attrs.field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Number of files by outcome: imported, duplicate, waiting, ignored, failed, not yet."""
        return dict(self.values["counts"])

    @property
    def planned(self) -> int:
        """Number of planned files."""
        return int(self.values["planned"])

    @property
    def closes(self) -> bool:
        """Whether every planned file has its outcome, and all numbers agree."""
        return not self.open_points

    @property
    def open_points(self) -> list[str]:
        """What does not add up or is left to do, a sentence each."""
        return list(self.values["open_points"])

    @property
    def sha256(self) -> str:
        """The certificate's own digest."""
        return str(self.values["sha256"])

    @property
    def report(self) -> Path:
        """The report for people: an HTML page that needs no network."""
        return self.directory / REPORT

    def __str__(self) -> str:
        parts = " + ".join(f"{count:,} {name}" for name, count in self.counts.items())
        ends = "" if self.closes else f"; {len(self.open_points)} open point(s)"
        return f"{self.planned:,} planned = {parts}{ends}"


def certify(
    stored: StoredPlan,
    *,
    repository: PatientRepository | None,
    to: Path | None = None,
) -> Certificate:
    """Write the certificate of a plan in its present state. Without a repository, nothing is looked up.

    Raises:
        ConfigError: The folder can't be written.
    """
    header = stored.header
    folder = to if to is not None else stored.directory / "certificate"
    rows = map(stored.overrides.apply, read_rows(stored.directory, header.parts))
    files = _with_results(stored.directory, rows)
    tally = _Tally(repository)
    digest = hashlib.sha256()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        disk.create_private(folder / FILES)
        with (folder / FILES).open("wb") as file:
            while chunk := list(itertools.islice(files, _FILES_PER_QUERY)):
                for line in tally.add(chunk):
                    encoded = (json.dumps(line, ensure_ascii=True) + "\n").encode()
                    digest.update(encoded)
                    file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
        values: dict[str, Any] = {
            "form": 1,
            "plan": header.id,
            "planned_at": header.created_at.isoformat(),
            "certified_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "mode": header.mode,
            "location": header.location,
            "archive": printable(header.label),
            "source_id": header.source_id,
            "rule": header.rule,
            "zone": header.zone,
            "planned": header.rows,
            "planned_bytes": header.size_bytes,
            **tally.values(),
            "overrides": len(stored.overrides.all),
            "files_sha256": digest.hexdigest(),
            "open_points": tally.open_points(header.rows, header.folders_unreadable),
        }
        values["sha256"] = _own_digest(values)
        write_json(folder / CERTIFICATE, values)
        write_report(values, folder / REPORT)
    except OSError as exc:
        raise ConfigError("the certificate can't be written", errno=exc.errno) from without_path(exc)
    return Certificate(values=values, directory=folder)


def verify_certificate(directory: str | os.PathLike[str]) -> list[str]:
    """Check that a certificate was not changed. Return what is wrong; an empty list if nothing is.

    Raises:
        ConfigError: There is no certificate.
    """
    folder = Path(directory)
    try:
        values = json.loads((folder / CERTIFICATE).read_text("utf-8"))
        with (folder / FILES).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ConfigError("there is no certificate in that folder", errno=exc.errno) from without_path(exc)
    except ValueError:
        return ["certificate.json is damaged"]
    wrong = []
    if not isinstance(values, dict) or values.get("sha256") != _own_digest(values):
        wrong.append("certificate.json was changed")
    if not isinstance(values, dict) or values.get("files_sha256") != found:
        wrong.append("files.jsonl was changed")
    return wrong


def _own_digest(values: dict[str, Any]) -> str:
    rest = {name: value for name, value in values.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


class _Tally:
    """Counts files by outcome."""

    def __init__(self, repository: PatientRepository | None) -> None:
        self._repository = repository
        self._counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._years: Counter[str] = Counter()
        self._patients: set[str] = set()
        self._bytes: Counter[str] = Counter()
        self._in_archive = 0
        self._confirmed = 0
        self._not_confirmed = 0
        self._without_digest = 0
        self._files = 0

    def add(self, chunk: Sequence[tuple[PlanRow, Result | None]]) -> Iterator[dict[str, Any]]:
        """Count some files, and yield the line of each."""
        named = [(row, result, *_outcome(row, result)) for row, result in chunk]
        self._look_up([row for row, _, outcome, _ in named if outcome == IMPORTED], chunk)
        for row, result, outcome, reason in named:
            self._files += 1
            self._counts[outcome] += 1
            self._bytes[outcome] += row.size_bytes
            self._reasons[outcome, reason.value] += 1
            if outcome == IMPORTED:
                self._years[year_of(row)] += 1
                self._patients.add(row.patient or "")
                self._in_archive += result is not None and result.state is State.STORED
                self._without_digest += result is None or result.sha256 is None
            yield {
                "path": printable(row.path),
                "size_bytes": row.size_bytes,
                "outcome": outcome,
                "reason": reason.value,
                "patient": row.patient,
                "import_id": row.import_id or None,
                "sha256": result.sha256 if result is not None else None,
                "attachment_id": result.attachment_id if result is not None else None,
            }

    def _look_up(self, imported: Sequence[PlanRow], chunk: Sequence[tuple[PlanRow, Result | None]]) -> None:
        if self._repository is None or not imported:
            return
        digests = {row.number: result.sha256 for row, result in chunk if result is not None}
        stored = self._repository.find_attachment([row.import_id for row in imported])
        for row in imported:
            found = stored.get(row.import_id)
            wanted = (row.patient, digests.get(row.number))
            agrees = found is not None and (found.patient_id, found.sha256) == wanted
            self._confirmed += agrees
            self._not_confirmed += not agrees

    def values(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return {
            "counts": dict(self._counts),
            "bytes": {name: self._bytes[name] for name in OUTCOMES},
            "reasons": [
                {"outcome": outcome, "reason": reason, "text": Reason(reason).text, "files": files}
                for (outcome, reason), files in self._reasons.most_common()
            ],
            "years": dict(sorted(self._years.items())),
            "patients": len(self._patients),
            "still_in_archive": self._in_archive,
            "confirmed_in_records": self._confirmed if self._repository is not None else None,
        }

    def open_points(self, planned: int, folders_unreadable: int) -> list[str]:
        """Return what does not add up or is left to do."""
        points = []
        if self._files != planned or sum(self._counts.values()) != planned:
            points.append(f"{planned:,} files were planned, but {self._files:,} have an outcome")
        if self._counts[NOT_YET]:
            points.append(f"{self._counts[NOT_YET]:,} files were not processed yet: run the plan again")
        if folders_unreadable:
            points.append(
                f"{folders_unreadable:,} folders could not be listed: their files are not in the plan"
            )
        if self._in_archive:
            points.append(
                f"{self._in_archive:,} files are in the records, but could not be removed from the archive"
            )
        if self._not_confirmed:
            points.append(
                f"{self._not_confirmed:,} files are not in the records as this migration stored them"
            )
        if self._without_digest:
            points.append(f"{self._without_digest:,} imported files have no digest")
        return points


def _outcome(row: PlanRow, result: Result | None) -> tuple[str, Reason]:
    """Return the one outcome of a file, and the reason."""
    if row.verdict not in (Action.IMPORT, Action.FINISH):
        if result is not None and result.state in (State.IMPORTED, State.STORED):
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


def _with_results(directory: Path, rows: Iterable[PlanRow]) -> Iterator[tuple[PlanRow, Result | None]]:
    partition, results = -1, {}
    for row in rows:
        if row.number // PARTITION_ROWS != partition:
            partition = row.number // PARTITION_ROWS
            results = read_results(directory, partition)
        yield row, results.get(row.number)
