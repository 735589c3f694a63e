"""Prove that stored files are still in the patient records: look them up, and read their bytes again."""

from __future__ import annotations

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.errors import ConfigError, host_errors
from intouch_import.ledger import Event, Ledger, LedgerEntry, ledger_for
from intouch_import.model import Progress, Stage, printable
from intouch_import.records.missing import missing_from
from intouch_import.repositories.stored_bytes import StoredBytes, read_again

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Finding", "RecordsReport", "accept_missing", "verify_records"]

_BATCH: Final = 200
_THREADS: Final = 4
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Finding:
    """A stored file that is not as it was stored.

    Args:
        damage: ``MISSING``, ``ALTERED`` or ``UNREADABLE``.
        entry: The ledger entry from when the file was stored: its patient, name, size and digest. If the
            ledger does not know the file, the entry is made from the attachment.
        in_records: Whether the records have the attachment, without its bytes or with other bytes.
    """

    damage: StoredBytes
    entry: LedgerEntry
    in_records: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        entry = self.entry
        return {
            "damage": self.damage.value,
            "in_records": self.in_records,
            "import_id": entry.import_id,
            "attachment_id": entry.attachment_id,
            "patient_id": entry.patient_id,
            "name": printable(entry.name),
            "stored_at": entry.at.isoformat(),
            "size_bytes": entry.size_bytes,
            "sha256": entry.sha256,
        }


@attrs.frozen(kw_only=True)
class RecordsReport:
    """The result of `verify_records`.

    Args:
        checked_at: When the check began, aware.
        since, sample: As given to `verify_records`.
        listed: Number of files that the records must have. All of them were looked up.
        read: Number of files of which the bytes were read again.
        read_bytes: Their size.
        findings: The files that are missing, altered or unreadable.
    """

    checked_at: datetime
    since: datetime | None = None
    sample: float | None = None
    listed: int = 0
    read: int = 0
    read_bytes: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def missing(self) -> int:
        """Number of files that the records do not have, or of which the bytes do not exist."""
        return self._count(StoredBytes.MISSING)

    @property
    def altered(self) -> int:
        """Number of files with other bytes than those that were stored."""
        return self._count(StoredBytes.ALTERED)

    @property
    def unreadable(self) -> int:
        """Number of files that could not be read."""
        return self._count(StoredBytes.UNREADABLE)

    @property
    def intact(self) -> int:
        """Number of files of which the bytes were read again and are those that were stored."""
        return self.read - sum(finding.in_records for finding in self.findings)

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, altered or unreadable."""
        return not self.findings

    def __str__(self) -> str:
        return (
            f"{self.listed} files listed, {self.read} read again: {self.intact} intact, "
            f"{self.missing} missing, {self.altered} altered, {self.unreadable} unreadable"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "checked_at": self.checked_at.isoformat(),
            "since": self.since.isoformat() if self.since is not None else None,
            "sample": self.sample,
            "listed": self.listed,
            "read": self.read,
            "read_bytes": self.read_bytes,
            "intact": self.intact,
            "missing": self.missing,
            "altered": self.altered,
            "unreadable": self.unreadable,
            "sound": self.sound,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def _count(self, damage: StoredBytes) -> int:
        return sum(finding.damage is damage for finding in self.findings)


def verify_records(
    repository: PatientRepository,
    *,
    ledger: Ledger | str | os.PathLike[str] | None = None,
    since: datetime | None = None,
    sample: float | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
) -> RecordsReport:
    """Look up every file that was stored, and read the stored bytes again.

    The ledger lists the files, so this works with the records of any host. Attachments that the ledger does
    not know are checked too, if the repository has `PatientRepository.list_attachments`. Nothing is changed,
    and staff can work meanwhile.

    Args:
        repository: The patient records.
        ledger: As for `Inbox`; by default the ledger of the records.
        since: Only files that were stored at this time or later, aware.
        sample: Read the bytes of so many files, chosen at random (an int), or of this share of the files (a
            float between 0 and 1). By default, read all. All files are looked up in any case.
        on_progress: Called in this thread with the progress.
        clock: The clock; a test passes its own.
        rng: Chooses the sample; a test passes its own.

    Raises:
        ConfigError: There is no ledger, the sample is not above 0, or ``since`` has no time zone.
        RepositoryError: The records or the ledger can't be read.
    """
    if sample is not None and not (sample >= 1 if isinstance(sample, int) else 0 < sample <= 1):
        raise ConfigError("sample= is a number of files, or a share between 0 and 1")
    if since is not None and since.tzinfo is None:
        raise ConfigError("since= needs a time zone")
    book = ledger_for(ledger, records=repository)
    with contextlib.ExitStack() as stack:
        if book is not ledger:
            stack.callback(book.close)
        check = _Check(repository, book, since, on_progress)
        pool = stack.enter_context(ThreadPoolExecutor(_THREADS, thread_name_prefix="intouch-verify"))
        chosen = _sample(check.present(), sample, rng or random.SystemRandom())
        report = RecordsReport(checked_at=clock.now(), since=since, sample=sample)
        for batch in _batches(chosen):
            check.take(batch, pool.map(check.read, batch))
    return attrs.evolve(
        report,
        listed=check.listed,
        read=check.done,
        read_bytes=check.read_bytes,
        findings=tuple(check.findings),
    )


def accept_missing(
    report: RecordsReport,
    repository: PatientRepository,
    *,
    ledger: Ledger,
    operator: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> int:
    """Write into the ledger that files are missing, after a person has accepted that they are lost.

    Refreshes and checks then no longer report them. Files that the records have, with or without their bytes,
    are not accepted. Nor are those that are back by now.

    Returns:
        The number of files.
    """
    entries = [finding.entry for finding in report.findings if not finding.in_records]
    lost = missing_from(repository, ledger, entries)
    at = clock.now()
    ledger.append(
        attrs.evolve(entry, event=Event.MISSING, at=at, operator=operator, reason="", seq=None, digest=None)
        for entry in lost
    )
    return len(lost)


class _Check:
    """One run of `verify_records`."""

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        since: datetime | None,
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        self.listed = self.done = self.read_bytes = 0
        self.findings: list[Finding] = []
        self._repository = repository
        self._ledger = ledger
        self._since = since
        self._tell = on_progress or (lambda _: None)

    def present(self) -> Iterator[tuple[LedgerEntry, StoredAttachment]]:
        """Iterate over the files that the records have; note those that they should have."""
        for entries in _batches(self._ledger.stored(since=self._since)):
            with host_errors():
                found = self._repository.find_attachment([entry.import_id for entry in entries])
            here = [entry for entry in entries if entry.import_id in found]
            gone = [entry for entry in entries if entry.import_id not in found]
            self._note_missing(gone)
            self.listed += len(here)
            yield from ((entry, found[entry.import_id]) for entry in here)
        with host_errors():
            others = iter(self._repository.list_attachments(since=self._since))
        while attachments := self._next(others):
            known = self._ledger.in_records([one.import_id for one in attachments], undoing=True)
            unknown = [one for one in attachments if one.import_id not in known]
            self.listed += len(unknown)
            yield from ((_entry_of(one), one) for one in unknown)

    def read(self, file: tuple[LedgerEntry, StoredAttachment]) -> StoredBytes:
        """Read the bytes of a file again. This is called in several threads."""
        entry, stored = file
        found = read_again(self._repository, stored)
        # The record itself may have been changed, so that its digest is that of other bytes.
        changed = entry.sha256 not in {None, stored.sha256}
        return StoredBytes.ALTERED if found is StoredBytes.INTACT and changed else found

    def take(self, batch: list[tuple[LedgerEntry, StoredAttachment]], found: Iterable[StoredBytes]) -> None:
        """Note what was read."""
        for (entry, stored), damage in zip(batch, found, strict=True):
            if damage is not StoredBytes.INTACT:
                with host_errors():
                    still = self._repository.find_attachment([entry.import_id])
                if entry.import_id not in still:
                    self.listed -= 1  # an undo has taken it out meanwhile, or it is missing
                    self._note_missing([entry])
                    continue
                self.findings.append(Finding(damage=damage, entry=entry, in_records=True))
            self.done += 1
            self.read_bytes += stored.size_bytes
        self._tell(Progress(stage=Stage.VERIFYING, done=self.done, done_bytes=self.read_bytes))

    def _note_missing(self, entries: list[LedgerEntry]) -> None:
        lost = missing_from(self._repository, self._ledger, entries)
        self.listed += len(lost)
        self.findings += [
            Finding(damage=StoredBytes.MISSING, entry=entry, in_records=False) for entry in lost
        ]

    @staticmethod
    def _next(others: Iterator[StoredAttachment]) -> list[StoredAttachment]:
        with host_errors():
            return list(islice(others, _BATCH))


def _entry_of(stored: StoredAttachment) -> LedgerEntry:
    return LedgerEntry.about(stored, Event.STORED, at=stored.stored_at, operator=stored.operator, reason="")


def _sample(items: Iterable[_T], sample: float | None, rng: random.Random) -> Iterator[_T]:
    """Choose items: all, a share of them, or a number of them. Every item is read, so that it is counted."""
    if sample is None:
        yield from items
    elif isinstance(sample, float):
        yield from (item for item in items if rng.random() < sample)
    else:
        chosen: list[_T] = []
        for number, item in enumerate(items):
            at = number if number < sample else rng.randrange(number + 1)
            if at < sample:
                chosen[at : at + 1] = [item]
        yield from chosen


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch
