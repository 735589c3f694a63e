"""What became of the files of a plan: a small file for each partition, written whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import import disk
from intouch_import.model import Reason, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from intouch_import.migration.rows import PlanRow
    from intouch_import.reports import Outcome

__all__ = ["PARTITION_ROWS", "Result", "read_results", "result_of", "settled", "write_results"]

PARTITION_ROWS: Final = 200
"""Rows of a partition: as many files as one transaction takes. A divisor of the rows in a group."""

_FOLDER: Final = "outcomes"


@attrs.frozen(kw_only=True)
class Result:
    """What became of one file.

    Args:
        number: Of its row.
        state, reason: As in `Outcome`.
        decision: Whose it was to be; another decision later makes it a file to be tried again.
        sha256: Digest of its bytes, if they were read.
        attachment_id: The repository's id, once it is stored.
        retry_helps: Whether the same again later may succeed.
        duplicate_of: As in `Outcome`.
    """

    number: int
    state: State = attrs.field(converter=State)
    reason: Reason = attrs.field(converter=Reason)
    decision: str = attrs.field(repr=False)
    sha256: str | None = None
    attachment_id: str | None = None
    retry_helps: bool = False
    duplicate_of: str | None = None


def decision_of(row: PlanRow) -> str:
    """What was decided about a row, to tell whether something else was since."""
    return f"{row.verdict.value}:{row.reason is Reason.CHOSEN}:{row.patient}"


def result_of(row: PlanRow, outcome: Outcome) -> Result:
    """The result of a row's outcome."""
    return Result(
        number=row.number,
        state=outcome.state,
        reason=outcome.reason,
        decision=decision_of(row),
        sha256=outcome.sha256,
        attachment_id=outcome.attachment_id,
        retry_helps=outcome.retry_helps,
        duplicate_of=outcome.duplicate_of,
    )


def settled(row: PlanRow, result: Result | None) -> bool:
    """Whether there is nothing to do for a row any more, short of another decision."""
    if result is None:
        return False
    if result.state is State.IMPORTED:
        return True
    if result.state in (State.STORED, State.FAILED) or result.retry_helps:
        return False
    return result.decision == decision_of(row)


def read_results(directory: Path, partition: int) -> dict[int, Result]:
    """The results of a partition, by row; none if it was not begun."""
    try:
        lines = _path(directory, partition).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    results = (Result(**json.loads(line)) for line in lines)
    return {result.number: result for result in results}


def write_results(directory: Path, partition: int, results: Iterable[Result]) -> None:
    """Keep the results of a partition: all of them at once, in the place of those before."""
    path = _path(directory, partition)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    text = "".join(f"{json.dumps(_values(result))}\n" for result in results)
    with disk.temporary_beside(path.parent) as (file, temporary):
        file.write(text.encode())
        # Not synced: what is lost with the power is found again in the records, by its import id.
        file.close()
        temporary.replace(path)


def _values(result: Result) -> dict[str, Any]:
    return attrs.asdict(result)


def _path(directory: Path, partition: int) -> Path:
    return directory / _FOLDER / f"{partition:07}.jsonl"
