"""`Certificate`: what became of every file of a plan, in numbers that close or say what does not.

It is two files. ``files.jsonl`` has a line for every planned file, with exactly one outcome and the digest of
what is in the record. ``certificate.json`` has the counts, the digest of that file, and its own: SHA-256 over
its canonical JSON without that entry. Whoever changes a line afterwards is found out by `verify_certificate`,
as long as one number, the certificate's own digest, is kept elsewhere: on paper, say.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import ConfigError, without_path
from intouch_import.migration.plan_file import PARTITION_ROWS, read_results, settled, write_json
from intouch_import.migration.rows import year_of
from intouch_import.model import Action, Reason, State, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from intouch_import.migration.plan_file import Result
    from intouch_import.migration.plans import Plan
    from intouch_import.migration.rows import PlanRow
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Certificate", "certify", "verify_certificate"]

IMPORTED, DUPLICATE, WAITING, IGNORED, FAILED, NOT_YET = OUTCOMES = (
    "imported", "duplicate", "waiting", "ignored", "failed", "not yet",
)  # fmt: skip
_ASKED_AT_ONCE: Final = 1000
FILES, CERTIFICATE, REPORT = "files.jsonl", "certificate.json", "certificate.html"


@attrs.frozen(kw_only=True)
class Certificate:
    """What a migration came to.

    Args:
        values: Everything, as JSON values; ``values["sha256"]`` is its own digest.
        directory: Where it is kept.
    """

    values: dict[str, Any] = attrs.field(repr=False)
    directory: Path = attrs.field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Files by outcome: imported, duplicate, waiting, ignored, failed, not yet."""
        counts: dict[str, int] = self.values["counts"]
        return counts

    @property
    def planned(self) -> int:
        """How many files were planned."""
        planned: int = self.values["planned"]
        return planned

    @property
    def closes(self) -> bool:
        """Whether every planned file has come to its end, and every number agrees with every other."""
        return not self.open_points

    @property
    def open_points(self) -> list[str]:
        """What does not close, a sentence each."""
        points: list[str] = self.values["open_points"]
        return points

    @property
    def sha256(self) -> str:
        """Its own digest."""
        digest: str = self.values["sha256"]
        return digest

    @property
    def report(self) -> Path:
        """The report for people, a page of HTML that needs no network."""
        return self.directory / REPORT

    def __str__(self) -> str:
        parts = " + ".join(f"{count:,} {name}" for name, count in self.counts.items())
        ends = "" if self.closes else f"; {len(self.open_points)} open point(s)"
        return f"{self.planned:,} planned = {parts}{ends}"


def certify(
    plan: Plan,
    *,
    repository: PatientRepository | None,
    to: Path,
    now: datetime | None = None,
) -> Certificate:
    """Write the certificate of a plan as things stand.

    Args:
        plan: Which.
        repository: If given, every file that is called imported is looked up there once more.
        to: A folder for it.
        now: The time, aware.

    Raises:
        ConfigError: The folder can't be written.
    """
    try:
        return _certify(plan, repository=repository, to=to, now=now or datetime.now(UTC))
    except OSError as exc:
        raise ConfigError("the certificate can't be written", errno=exc.errno) from without_path(exc)


def _certify(plan: Plan, *, repository: PatientRepository | None, to: Path, now: datetime) -> Certificate:
    from intouch_import.migration.report import write_report

    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    tally = _Tally(repository)
    digest = hashlib.sha256()
    with (to / FILES).open("wb") as file:
        for chunk in _chunks(_results(plan)):
            for line in tally.take(chunk):
                encoded = (json.dumps(line, ensure_ascii=True) + "\n").encode()
                digest.update(encoded)
                file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    header = plan.header
    values: dict[str, Any] = {
        "form": 1,
        "plan": header.id,
        "planned_at": header.created_at.isoformat(),
        "certified_at": now.isoformat(timespec="seconds"),
        "mode": header.mode,
        "location": header.location,
        "archive": printable(header.label),
        "source_id": header.source_id,
        "rule": header.rule,
        "zone": header.zone,
        "planned": header.rows,
        "planned_bytes": header.size_bytes,
        **tally.values(),
        "overrides": len(plan.overrides),
        "files_sha256": digest.hexdigest(),
        "open_points": tally.open_points(header.rows, header.folders_unreadable),
    }
    values["sha256"] = _own_digest(values)
    write_json(to / CERTIFICATE, values)
    certificate = Certificate(values=values, directory=to)
    write_report(certificate)
    return certificate


def verify_certificate(directory: str | os.PathLike[str]) -> list[str]:
    """What is wrong with a certificate: nothing, if neither of its two files was changed since.

    Raises:
        ConfigError: There is none.
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
    """Counts, as files come by."""

    def __init__(self, repository: PatientRepository | None) -> None:
        self._repository = repository
        self._counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._years: Counter[str] = Counter()
        self._patients: set[str] = set()
        self._bytes: Counter[str] = Counter()
        self._in_archive = 0
        self._confirmed = 0
        self._denied = 0
        self._without_digest = 0
        self._numbers = 0

    def take(self, chunk: list[tuple[PlanRow, Result | None]]) -> Iterator[dict[str, Any]]:
        """Lines of some files."""
        named = [(row, result, *_outcome(row, result)) for row, result in chunk]
        self._look_up([row for row, _, outcome, _ in named if outcome == IMPORTED], chunk)
        for row, result, outcome, reason in named:
            self._numbers += 1
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

    def _look_up(self, imported: list[PlanRow], chunk: list[tuple[PlanRow, Result | None]]) -> None:
        if self._repository is None or not imported:
            return
        digests = {row.number: result.sha256 for row, result in chunk if result is not None}
        stored = self._repository.find_attachment([row.import_id for row in imported])
        for row in imported:
            found = stored.get(row.import_id)
            agrees = found is not None and found.patient_id == row.patient
            agrees = agrees and found is not None and found.sha256 == digests.get(row.number)
            self._confirmed += agrees
            self._denied += not agrees

    def values(self) -> dict[str, Any]:
        """The numbers."""
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
        """What does not close."""
        points = []
        if self._numbers != planned or sum(self._counts.values()) != planned:
            points.append(f"{planned:,} files were planned, and {self._numbers:,} have an outcome")
        if self._counts[NOT_YET]:
            points.append(f"{self._counts[NOT_YET]:,} files have not had their turn: run the plan again")
        if folders_unreadable:
            points.append(
                f"{folders_unreadable:,} folders could not be listed: what is in them is not in the plan"
            )
        if self._in_archive:
            points.append(
                f"{self._in_archive:,} files are in their records and could not be taken out of the archive"
            )
        if self._denied:
            points.append(f"{self._denied:,} files are not in the records as this migration stored them")
        if self._without_digest:
            points.append(f"{self._without_digest:,} imported files have no digest")
        return points


def _outcome(row: PlanRow, result: Result | None) -> tuple[str, Reason]:
    """The one outcome of a file, and why."""
    if row.verdict not in (Action.IMPORT, Action.FINISH):
        if result is not None and result.state in (State.IMPORTED, State.STORED):
            return IMPORTED, result.reason  # it was left out after it had been imported
        if row.verdict is Action.IGNORE:
            return IGNORED, row.reason
        return (FAILED if row.reason in _NEVER_SEEN else WAITING), row.reason
    if result is None or (result.state is State.WAITING and not settled(row, result)):
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


_NEVER_SEEN: Final = frozenset({Reason.FOLDER_UNREADABLE, Reason.LISTED_MISSING})


def _results(plan: Plan) -> Iterator[tuple[PlanRow, Result | None]]:
    partition, results = -1, {}
    for row in plan.rows():
        if row.number // PARTITION_ROWS != partition:
            partition = row.number // PARTITION_ROWS
            results = read_results(plan.directory, partition)
        yield row, results.get(row.number)


def _chunks(
    entries: Iterable[tuple[PlanRow, Result | None]],
) -> Iterator[list[tuple[PlanRow, Result | None]]]:
    chunk: list[tuple[PlanRow, Result | None]] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) >= _ASKED_AT_ONCE:
            yield chunk
            chunk = []
    yield chunk
