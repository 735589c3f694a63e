"""`PartitionRunner`: import the files of one partition of a plan, in threads or on a cluster.

A partition may run twice, even at the same time: when a worker dies, another worker takes over its
partitions, also those that were finished. So nothing here relies on being the only one. A stored file is
found by its import id. A file that has left its folder and is in the
record is done, also if another worker moved it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.clock import zone_of
from intouch_import.errors import FileError, InTouchImportError, SourceError
from intouch_import.ledger import Event
from intouch_import.media import Examiner
from intouch_import.media.clocks import CameraClock
from intouch_import.migration.limits import Pacer
from intouch_import.migration.plan_file import (
    StoredPlan,
    read_partition,
)
from intouch_import.migration.results import Result, read_results, write_results
from intouch_import.migration.rule_results import times_after_exif
from intouch_import.migration.walking import Folders, folder_id
from intouch_import.model import Action, Reason, State, TakenFrom, printable
from intouch_import.moving import MoveOrder, Mover
from intouch_import.moving.file_move import explain
from intouch_import.repositories.base import find_exactly, overrides

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from intouch_import.ledger import Ledger
    from intouch_import.migration.limits import RunControl, RunOptions
    from intouch_import.migration.plan_file import Header
    from intouch_import.migration.rows import PlanRow
    from intouch_import.model import Patient, StoredAttachment
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["PartitionResult", "PartitionRunner"]

_TO_DO: Final = (Action.IMPORT, Action.FINISH)
_OF_COMPANIONS: Final = frozenset({Reason.COMPANION_WAITS, Reason.COMPANIONS_DIFFER})
_FAR_REACHING: Final = frozenset(
    {Reason.REPOSITORY_FAILED, Reason.LEDGER_FAILED, Reason.STORAGE_FULL, Reason.SOURCE_FAILED}
)


@attrs.frozen(kw_only=True)
class PartitionResult:
    """What the files of a partition have come to, files of earlier runs included.

    Args:
        states: Number of files by state.
        reasons: Number of files by reason.
        size_bytes: Size of these files.
        broken: Whether the records, the ledger or the archive failed, so that other partitions will fail,
            too.
        problem: Why the partition could not be run, as a sentence without names; else None.
    """

    states: Mapping[str, int] = attrs.field(factory=dict)
    reasons: Mapping[str, int] = attrs.field(factory=dict)
    size_bytes: int = 0
    broken: bool = False
    problem: str | None = None


class PartitionRunner:
    """Runs partitions of a plan. Thread-safe. The caller closes the archive's top folder, ``root``.

    Args:
        threads: Greatest number of files that are read in parallel in each partition.
    """

    def __init__(
        self,
        directory: Path,
        header: Header,
        *,
        root: Source,
        repository: PatientRepository,
        ledger: Ledger,
        options: RunOptions,
        threads: int,
        control: RunControl,
    ) -> None:
        self._directory = directory
        self._header = header
        self._repository = repository
        self._ledger = ledger
        self._options = options
        self._overrides = StoredPlan(directory, header).overrides_file
        self._folders = Folders(root)
        self._pacer = Pacer(options, control, zone=header.zone)
        self._after_exif = times_after_exif(header.dates)
        clocks = [CameraClock.from_dict(values) for values in header.clocks]
        examiner = (
            Examiner(zone=zone_of(header.zone), clocks=clocks, now=options.clock.now)
            if options.check_content
            else None
        )
        self._mover = Mover(repository, ledger, clock=options.clock, threads=threads, examiner=examiner)

    def close(self) -> None:
        """Close the folders of the archive."""
        self._folders.close()

    def run(self, partition: int) -> PartitionResult:
        """Import the files of a partition that are not done. A pause splits this into several rounds."""
        planned = read_partition(self._directory, self._header.parts, partition)
        before = read_results(self._directory, partition)
        results = self._still_true(planned, before) if before else {}
        if results != before and not self._options.dry_run:
            write_results(self._directory, partition, results.values())
        tried: set[int] = set()
        put_off: dict[int, Result]
        while True:
            wanted, left = self._left(planned, results, tried)
            if not left:
                break
            if self._options.dry_run:
                new, put_off = self._rehearse(left), {}
            elif self._pacer.wait_until_open():
                continue  # people may have overridden rows during the wait
            else:
                new, put_off = self._import(left, _owners(wanted, results))
            results |= new
            tried |= new.keys()
            if new and not self._options.dry_run:
                write_results(self._directory, partition, results.values())
            if not put_off or self._pacer.cancelled:
                results |= put_off
                break
        return _total(wanted, results, tried)

    def _still_true(self, planned: Sequence[PlanRow], before: Mapping[int, Result]) -> dict[int, Result]:
        """Leave out results that the records contradict, so that their files are tried again.

        The records may have been restored from a backup, or they are other records than those of the last
        run. A file that was undone since waits for a person.
        """
        results = dict(before)
        rows = [row for row in self._overrides.read().apply_all(planned) if row.number in results]
        ids = {row.number: results[row.number].import_id or row.import_id for row in rows}
        done = [ids[row.number] for row in rows if results[row.number].is_stored]
        digests = {result.sha256 for result in results.values() if result.duplicate_of and result.sha256}
        can_find = overrides(self._repository, "find_by_digest")
        stored = self._repository.find_attachment(done) if done else {}
        copies = self._repository.find_by_digest(digests) if digests and can_find else {}
        gone: list[PlanRow] = []
        for row in rows:
            result = results[row.number]
            if result.is_stored and ids[row.number] not in stored:
                gone.append(row)
            elif can_find and result.duplicate_of and result.sha256 and not result.is_stored:
                same_patient = {copy.patient_id == row.patient for copy in copies.get(result.sha256, ())}
                if (result.reason is Reason.DUPLICATE) not in same_patient:
                    gone.append(row)
        digests = {result.sha256 for row in gone if (result := results[row.number]).sha256}
        undone = self._ledger.undone(digests) if digests else set()
        for row in gone:
            result = results.pop(row.number)
            if result.sha256 and (printable(row.patient or ""), result.sha256) in undone:
                waits = Result.of(row, State.WAITING, Reason.UNDONE, sha256=result.sha256)
                results[row.number] = waits
        return results

    def _left(
        self, planned: Sequence[PlanRow], results: Mapping[int, Result], tried: set[int]
    ) -> tuple[list[PlanRow], list[PlanRow]]:
        """Return the rows that are to be imported, and among them those that are not done yet."""
        wanted = [row for row in self._overrides.read().apply_all(planned) if row.verdict in _TO_DO]
        waiting = [
            row
            for row in wanted
            if row.number not in tried
            and ((result := results.get(row.number)) is None or not result.settles(row))
        ]
        # What waited for a companion is tried again with it.
        groups = {row.owner for row in waiting} | {row.owner for row in wanted if _is_stored(row, results)}
        numbers = {row.number for row in waiting}
        left = [
            row
            for row in wanted
            if row.number in numbers
            or (
                row.number not in tried
                and row.owner in groups
                and results[row.number].reason is Reason.COMPANION_WAITS
            )
        ]
        return wanted, left

    def _import(
        self, rows: Sequence[PlanRow], owners: Mapping[int, str | None]
    ) -> tuple[dict[int, Result], dict[int, Result]]:
        """Import rows. Return the results, and those of rows that a pause or cancel has put off.

        Args:
            rows: The rows.
            owners: By number, the files with parts that the plan imports: their import ids if the records
                have them, else None.
        """
        results: dict[int, Result] = {}
        put_off: dict[int, Result] = {}
        elsewhere: list[PlanRow] = []
        ordered = list(self._orders(rows, owners, results, elsewhere))
        outcomes, _ = self._mover.move(
            [order for _, order in ordered], cancelled=self._pacer.is_closed, pace=self._pacer.wait_for_turn
        )
        for (row, _), outcome in zip(ordered, outcomes, strict=True):
            result = Result.of(
                row,
                outcome.state,
                outcome.reason,
                sha256=outcome.sha256,
                attachment_id=outcome.attachment_id,
                retry_helps=outcome.retry_helps,
                duplicate_of=outcome.duplicate_of,
                import_id=outcome.import_id if outcome.import_id != row.import_id else None,
            )
            (put_off if result.reason is Reason.CANCELLED else results)[row.number] = result
            if result.reason is Reason.FINISHED_ELSEWHERE:
                elsewhere.append(row)
        off = {row.owner for row in rows if row.number in put_off}
        for row in rows:
            waits = row.number in results and results[row.number].reason is Reason.COMPANION_WAITS
            if waits and row.owner in off:
                put_off[row.number] = results.pop(row.number)
        if elsewhere:
            self._add_digests(elsewhere, results)
            self._complete_ledger(elsewhere)
        return results, put_off

    def _orders(
        self,
        rows: Sequence[PlanRow],
        owners: Mapping[int, str | None],
        results: dict[int, Result],
        elsewhere: list[PlanRow],
    ) -> Iterator[tuple[PlanRow, MoveOrder]]:
        """Yield rows with their orders. Rows without one get a result; some of them were moved elsewhere."""
        of_owners = {owner_id for row in rows if (owner_id := owners.get(row.owner)) is not None}
        stored = self._repository.find_attachment([*(row.import_id for row in rows), *of_owners])
        # Looked up again: since the plan was made, a patient may have left, or been merged into another.
        patients = find_exactly(self._repository, {row.patient for row in rows if row.patient is not None})
        going: dict[int, MoveOrder] = {}
        for row in rows:
            known = stored.get(row.import_id)
            owner = stored.get(owners.get(row.owner) or "") if row.behind else None
            before = owner or going.get(row.owner)
            owner_id = before.import_id if before is not None else None
            doubt = self._doubt(row, patients)
            if owner is not None and owner.patient_id != row.patient:
                doubt = doubt or Reason.COMPANIONS_DIFFER  # a person has moved it to another record
            elif row.behind and owner_id is None and (row.is_sidecar or row.owner in owners):
                doubt = doubt or Reason.COMPANION_WAITS
            if known is None and doubt is not None:
                state = State.FAILED if doubt is Reason.PATIENT_UNKNOWN else State.WAITING
                retry_helps = doubt not in _OF_COMPANIONS
                results[row.number] = Result.of(row, state, doubt, retry_helps=retry_helps)
                continue
            try:
                source = self._folders.open(row.folder)
            except (SourceError, FileError) as exc:
                results[row.number] = self._not_opened(row, known, exc)
                if results[row.number].reason is Reason.FINISHED_ELSEWHERE:
                    elsewhere.append(row)
                continue
            # Other bytes than the known ones are another file: it is imported if its patient is certain.
            order = self._order(row, source, known, only_finish=doubt is not None)
            if row.parts:
                going[row.number] = order
            # A person may have chosen another patient for the part.
            if before is not None and before.patient_id == order.patient_id:
                order = attrs.evolve(order, companion_of=before.import_id, companion_role=row.role)
            yield row, order

    def _doubt(self, row: PlanRow, patients: Mapping[str, Patient]) -> Reason | None:
        patient = patients.get(row.patient or "")
        if patient is None:
            return Reason.PATIENT_UNKNOWN
        allowed = patient.active or row.reason is Reason.CHOSEN or self._header.allow_inactive
        return None if allowed else Reason.PATIENT_INACTIVE

    def _order(
        self, row: PlanRow, source: Source, stored: StoredAttachment | None, *, only_finish: bool
    ) -> MoveOrder:
        patient = stored.patient_id if row.patient is None and stored is not None else row.patient
        if patient is None:
            raise AssertionError("a file to be imported has a patient")
        return MoveOrder(
            source=source,
            file=row.file,
            import_id=row.import_id,
            patient_id=patient,
            provider_id=row.provider,
            destination=row.destination,
            taken_at=row.taken_at,
            taken_from=row.taken_from or TakenFrom.LIST,
            times_differ=row.times_differ,
            operator=self._options.operator,
            reason=row.reason,
            # A person who chose the patient has not looked at the content.
            automatic=not row.accept_content,
            stored=stored,
            only_finish=only_finish,
            keep=self._header.mode == "copy",
            # A time without an origin is from a person: the camera does not override it.
            trust_content=row.taken_from in self._after_exif
            and (row.taken_from is not None or row.taken_at is None),
        )

    def _not_opened(self, row: PlanRow, stored: StoredAttachment | None, exc: InTouchImportError) -> Result:
        """Return the result of a file whose folder can't be opened. If the folder is gone, so is the file."""
        reason, state, retry_helps = explain(exc)
        if not self._folders.is_gone(row.folder):
            return Result.of(row, state, reason, retry_helps=retry_helps)
        if stored is None:
            return Result.of(row, State.FAILED, Reason.VANISHED)
        values = {"sha256": stored.sha256, "attachment_id": stored.id}
        return Result.of(row, State.IMPORTED, Reason.FINISHED_ELSEWHERE, **values)

    def _add_digests(self, rows: Sequence[PlanRow], results: dict[int, Result]) -> None:
        """Add the digests of files that another process finished, so they were not read here."""
        unread = {row.import_id: row.number for row in rows if results[row.number].sha256 is None}
        for import_id, stored in self._repository.find_attachment(list(unread)).items() if unread else ():
            number = unread[import_id]
            results[number] = attrs.evolve(results[number], sha256=stored.sha256, attachment_id=stored.id)

    def _complete_ledger(self, rows: Sequence[PlanRow]) -> None:
        """Write "moved" for files that are stored and gone: the run was interrupted before it wrote that."""
        if self._header.mode == "copy":
            return
        gone = {row.import_id: folder_id(self._header.source_id, row.folder) for row in rows}
        begun = [entry for source_id in set(gone.values()) for entry in self._ledger.unfinished(source_id)]
        now = self._options.clock.now()
        self._ledger.append(
            attrs.evolve(entry, event=Event.MOVED, at=now, seq=None, digest=None)
            for entry in begun
            if entry.import_id in gone
        )

    def _rehearse(self, rows: Sequence[PlanRow]) -> dict[int, Result]:
        """Find out what a run would do with these rows, without reading the files."""
        patients = find_exactly(self._repository, {row.patient for row in rows if row.patient is not None})
        results: dict[int, Result] = {}
        for row in rows:
            self._pacer.wait_until_open()
            self._pacer.wait_for_turn(row.file)
            if self._pacer.cancelled:
                break
            try:
                there = self._folders.open(row.folder).look(row.name)
            except (SourceError, FileError) as exc:
                results[row.number] = self._not_opened(row, None, exc)
                continue
            doubt = self._doubt(row, patients) if row.verdict is Action.IMPORT else None
            if doubt is not None:
                state, reason = State.WAITING, doubt
            elif there is None:
                state, reason = State.FAILED, Reason.VANISHED
            elif there.version != row.version:
                state, reason = State.WAITING, Reason.CHANGED
            else:
                state, reason = State.IMPORTED, row.reason
            results[row.number] = Result.of(row, state, reason)
        return results


def _is_stored(row: PlanRow, results: Mapping[int, Result]) -> bool:
    result = results.get(row.number)
    return result is not None and result.is_stored


def _owners(wanted: Sequence[PlanRow], results: Mapping[int, Result]) -> dict[int, str | None]:
    """Return the files with parts, by number: their import ids if they are in the records, else None."""
    return {
        row.number: (results[row.number].import_id or row.import_id) if _is_stored(row, results) else None
        for row in wanted
        if row.parts
    }


def _total(wanted: Sequence[PlanRow], results: Mapping[int, Result], tried: set[int]) -> PartitionResult:
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    size_bytes = 0
    for row in wanted:
        result = results.get(row.number)
        if result is not None:
            states[result.state.value] += 1
            reasons[result.reason.value] += 1
            size_bytes += row.size_bytes
    failed = imported = False
    for number in tried:
        failed = failed or results[number].reason in _FAR_REACHING
        imported = imported or results[number].state is State.IMPORTED
    return PartitionResult(
        states=states, reasons=reasons, size_bytes=size_bytes, broken=failed and not imported
    )
