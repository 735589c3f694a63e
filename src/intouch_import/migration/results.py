"""The results of a plan's runs: a file for each partition, in the plan's folder."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from intouch_import import disk
from intouch_import.errors import ConfigError, without_path
from intouch_import.migration.plan_file import PARTITION_ROWS
from intouch_import.model import Reason, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from intouch_import.migration.rows import PlanRow

__all__ = ["Result", "read_results", "write_results"]

log = logging.getLogger(__name__)

_RESULTS: Final = "outcomes"


@attrs.frozen(kw_only=True)
class Result:
    """What a run did with one file.

    Args:
        number: The row's number.
        state, reason: As in `Outcome`.
        decision: The row's verdict and patient at that time, and whether a person accepted the content. If
            one of them changes, the file is tried again.
        sha256: Digest of the file's bytes, if they were read.
        attachment_id: The repository's id, once the file is stored.
        retry_helps: Whether a retry may succeed.
        duplicate_of: As in `Outcome`.
        import_id: The import id, if it is not that of the row: other bytes were imported under that one.
    """

    number: int
    state: State = attrs.field(converter=State)
    reason: Reason = attrs.field(converter=Reason)
    decision: str = attrs.field(repr=False)
    sha256: str | None = None
    attachment_id: str | None = None
    retry_helps: bool = False
    duplicate_of: str | None = None
    import_id: str | None = None

    @classmethod
    def of(cls, row: PlanRow, state: State, reason: Reason, **values: Any) -> Self:
        """Make the result of a row; ``values`` are the other fields."""
        return cls(number=row.number, state=state, reason=reason, decision=_decision(row), **values)

    @property
    def is_stored(self) -> bool:
        """Whether the file was in a patient's record."""
        return self.state.is_in_record

    def settles(self, row: PlanRow) -> bool:
        """Return whether a run has nothing left to do for the row, unless a person decides otherwise."""
        if self.state is State.IMPORTED:
            return True
        if self.state in (State.STORED, State.FAILED) or self.retry_helps:
            return False
        return self.decision == _decision(row)


def _decision(row: PlanRow) -> str:
    accepted = ":accepted" if row.accept_content else ""
    return f"{row.verdict.value}:{row.reason is Reason.CHOSEN}:{row.patient}{accepted}"


def read_results(folder: Path, partition: int) -> dict[int, Result]:
    """Read the results of a partition, by row number; empty if no run has begun it.

    A damaged file counts as none: a run then finds again, in the records and the archive, what became of its
    files.

    Raises:
        ConfigError: The file can't be read.
    """
    try:
        digest, _, lines = _results_path(folder, partition).read_bytes().partition(b"\n")
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigError("the results of a run can't be read", errno=exc.errno) from without_path(exc)
    if digest != _results_digest(partition, lines):
        log.warning("results of a run were damaged, and are not used", extra={"partition": partition})
        return {}
    results = (Result(**json.loads(line)) for line in lines.splitlines())
    return {result.number: result for result in results}


def imported_among(folder: Path, numbers: Iterable[int]) -> set[int]:
    """Return those of these rows, in order, whose files are in the records according to the runs."""
    if not (folder / _RESULTS).exists():
        return set()
    found: set[int] = set()
    before: tuple[int, dict[int, Result]] = (-1, {})
    for partition, some in itertools.groupby(numbers, key=lambda number: number // PARTITION_ROWS):
        # The first files of a partition may belong to a file at the end of the partition before it.
        earlier = before[1] if before[0] == partition - 1 else read_results(folder, max(0, partition - 1))
        results = read_results(folder, partition)
        before = partition, results
        both = earlier | results
        found.update(number for number in some if number in both and both[number].is_stored)
    return found


def write_results(folder: Path, partition: int, results: Iterable[Result]) -> None:
    """Replace the results of a partition, all at once."""
    path = _results_path(folder, partition)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    lines = "".join(f"{json.dumps(attrs.asdict(result))}\n" for result in results).encode()
    with disk.temporary_beside(path.parent) as (file, temporary):
        file.write(_results_digest(partition, lines) + b"\n" + lines)
        # Not synced: after a power failure the next run finds the files in the records, by their import ids.
        file.close()
        temporary.replace(path)


def _results_digest(partition: int, lines: bytes) -> bytes:
    return hashlib.sha256(b"%d\n%b" % (partition, lines)).hexdigest().encode()


def _results_path(folder: Path, partition: int) -> Path:
    return folder / _RESULTS / f"{partition:07}.jsonl"
