"""Carrying out one partition of a plan: the same code in a thread here and in a worker of a cluster.

A partition may be carried out twice, at the same time even: a worker dies, and another takes its partitions,
those included that were done. So nothing here relies on being the only one. What is stored is found by its
import id; what has left its folder and is in the record is done, whoever did it.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import FileError, InTouchImportError, SourceError
from intouch_import.ledger import Event
from intouch_import.media import Examiner
from intouch_import.migration.plan_file import (
    OVERRIDES,
    PARTITION_ROWS,
    Result,
    decision_of,
    read_results,
    read_rows,
    result_of,
    rows_of,
    settled,
    write_results,
)
from intouch_import.migration.rows import Decisions
from intouch_import.migration.rule_results import dates_of, exif_before
from intouch_import.migration.walking import Folders, folder_id
from intouch_import.model import Action, Reason, State, TakenFrom
from intouch_import.moving import MoveOrder, Mover
from intouch_import.moving.file_move import explain
from intouch_import.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from intouch_import.ledger import Ledger
    from intouch_import.migration.limits import Clocks, Pacer
    from intouch_import.migration.plan_file import Header
    from intouch_import.migration.rows import PlanRow
    from intouch_import.model import Patient, StoredAttachment
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Done", "Workplace"]

log = logging.getLogger(__name__)

_TO_DO = (Action.IMPORT, Action.FINISH)


@attrs.frozen(kw_only=True)
class Done:
    """What a partition came to.

    Args:
        partition: Which.
        states: Files by state, those included that were done before.
        size_bytes: Bytes of these files.
        reasons: Files by reason.
        broken: Whether the records, the ledger or the whole location failed, so that others will fail, too.
    """

    partition: int
    states: Mapping[str, int]
    size_bytes: int
    reasons: Mapping[str, int]
    broken: bool = False


class Workplace:
    """What carries out partitions: everything opened, and shared by the threads of one process."""

    def __init__(
        self,
        directory: Path,
        header: Header,
        *,
        root: Source,
        repository: PatientRepository,
        ledger: Ledger,
        pacer: Pacer,
        clocks: Clocks,
        threads: int,
        check_content: bool,
        operator: str | None = None,
        dry: bool = False,
    ) -> None:
        self._directory = directory
        self._header = header
        self._decisions = Decisions(directory / OVERRIDES)
        self._folders = Folders(root)
        self._repository = repository
        self._ledger = ledger
        self._pacer = pacer
        self._clocks = clocks
        self._operator = operator
        self._dry = dry
        self._dates = dates_of(header.dates)
        examiner = Examiner(zone=zone_of(header.zone), now=clocks.now) if check_content else None
        self._mover = Mover(repository, ledger, clock=clocks, threads=threads, examiner=examiner)

    def close(self) -> None:
        """Let go of the folders of the archive."""
        self._folders.close()

    def carry_out(self, partition: int) -> Done:
        """Import what is left to import of a partition."""
        start = partition * PARTITION_ROWS
        planned = [
            row
            for first, table in read_rows(
                self._directory, self._header.parts, start=start, stop=start + PARTITION_ROWS
            )
            for row in rows_of(count(first), table)
        ]
        results = read_results(self._directory, partition)
        left = self._left(planned, results)
        if left and self._dry:
            results = {**results, **self._rehearse(left)}
        elif left:
            results = self._import_all(partition, planned, results)
        wanted = self._wanted(planned)
        of_these = [results[row.number] for row in wanted if row.number in results]
        return Done(
            partition=partition,
            states=Counter(result.state.value for result in of_these),
            reasons=Counter(result.reason.value for result in of_these),
            size_bytes=sum(row.size_bytes for row in wanted if row.number in results),
            broken=_all_broken([results[row.number] for row in left if row.number in results]),
        )

    # --- inside

    def _wanted(self, planned: Sequence[PlanRow]) -> list[PlanRow]:
        """The rows that are to be imported, after all that has been decided until now."""
        decided = self._decisions.now()
        return [row for row in map(decided.apply, planned) if row.verdict in _TO_DO]

    def _left(self, planned: Sequence[PlanRow], results: Mapping[int, Result]) -> list[PlanRow]:
        """Those of them that are still to be imported."""
        return [row for row in self._wanted(planned) if not settled(row, results.get(row.number))]

    def _import_all(
        self, partition: int, planned: Sequence[PlanRow], results: dict[int, Result]
    ) -> dict[int, Result]:
        """Import, in several goes if it is paused meanwhile. Returns the results, and those from before.

        Before each go the decisions are looked at again: people make them during a pause.
        """
        ended: set[int] = set()
        while True:
            self._pacer.wait()
            rows = [row for row in self._left(planned, results) if row.number not in ended]
            new = self._import(rows) if rows else {}
            put_off = {number: result for number, result in new.items() if _put_off(result)}
            ended |= new.keys() - put_off.keys()
            results.update({number: new[number] for number in new.keys() - put_off.keys()})
            if len(new) > len(put_off):
                write_results(self._directory, partition, results.values())
            if not put_off or self._pacer.cancelled:
                return {**results, **put_off}

    def _import(self, rows: Sequence[PlanRow]) -> dict[int, Result]:
        stored = self._repository.find_attachment([row.import_id for row in rows])
        # Asked again: between plan and run a patient may have left, or have been merged into another.
        patients = self._repository.find_patients({row.patient for row in rows if row.patient is not None})
        results: dict[int, Result] = {}
        orders: list[MoveOrder] = []
        ordered: list[PlanRow] = []
        for row in rows:
            known = stored.get(row.import_id)
            if known is None and (doubt := self._doubt(row, patients)) is not None:
                state = State.FAILED if doubt is Reason.PATIENT_UNKNOWN else State.WAITING
                results[row.number] = attrs.evolve(_result(row, state, doubt), retry_helps=True)
                continue
            if known is not None and row.patient is not None and known.patient_id != row.patient:
                results[row.number] = _result(row, State.FAILED, Reason.ALREADY_ASSIGNED)
                continue
            try:
                source = self._folders.open(row.folder)
            except (SourceError, FileError) as exc:
                results[row.number] = self._unopened(row, known, exc)
                continue
            orders.append(self._order(row, source, known))
            ordered.append(row)
        outcomes, _ = self._mover.move(orders, cancelled=lambda: self._pacer.holds, pace=self._pacer)
        for row, outcome in zip(ordered, outcomes, strict=True):
            results[row.number] = result_of(row, outcome)
        self._complete(rows, results)
        self._write_down(rows, results)
        return results

    def _complete(self, rows: Sequence[PlanRow], results: dict[int, Result]) -> None:
        """Digests of files that were not read here, since somebody else had finished them."""
        unread = {
            row.import_id: row.number
            for row in rows
            if results[row.number].state is State.IMPORTED and results[row.number].sha256 is None
        }
        for import_id, stored in self._repository.find_attachment(list(unread)).items() if unread else ():
            number = unread[import_id]
            results[number] = attrs.evolve(results[number], sha256=stored.sha256, attachment_id=stored.id)

    def _doubt(self, row: PlanRow, patients: Mapping[str, Patient]) -> Reason | None:
        patient = patients.get(row.patient or "")
        if patient is None:
            return Reason.PATIENT_UNKNOWN
        chosen = row.reason is Reason.CHOSEN or self._header.allow_inactive
        return None if patient.active or chosen else Reason.PATIENT_INACTIVE

    def _order(self, row: PlanRow, source: Source, stored: StoredAttachment | None) -> MoveOrder:
        patient = stored.patient_id if stored is not None else row.patient
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
            operator=self._operator,
            reason=row.reason,
            # Where a person chose the patient, doubts about the bytes are told and do not keep it waiting.
            automatic=row.reason is not Reason.CHOSEN,
            stored=stored,
            keep=self._header.mode == "copy",
            trust_content=exif_before(row.taken_from, self._dates)
            and not (row.taken_from is None and row.taken_at is not None),
        )

    def _unopened(self, row: PlanRow, stored: StoredAttachment | None, exc: InTouchImportError) -> Result:
        """The folder can't be opened: is it gone, and the file with it?"""
        reason, state, retry_helps = explain(exc)
        if self._is_gone(row.folder):
            if stored is not None:
                return _result(row, State.IMPORTED, Reason.FINISHED_ELSEWHERE, stored)
            return _result(row, State.FAILED, Reason.VANISHED)
        return attrs.evolve(_result(row, state, reason), retry_helps=retry_helps)

    def _is_gone(self, folder: str) -> bool:
        parent, _, name = folder.rpartition("/")
        try:
            return self._folders.open(parent).look(name) is None
        except (SourceError, FileError):
            return bool(parent) and self._is_gone(parent)

    def _write_down(self, rows: Sequence[PlanRow], results: Mapping[int, Result]) -> None:
        """A file that was stored and is gone was moved: the interruption came before the ledger."""
        gone = {
            row.import_id: folder_id(self._header.source_id, row.folder)
            for row in rows
            if results[row.number].reason is Reason.FINISHED_ELSEWHERE
        }
        if not gone or self._header.mode == "copy":
            return
        begun = [entry for source_id in set(gone.values()) for entry in self._ledger.unfinished(source_id)]
        now = self._clocks.now()
        self._ledger.append(
            attrs.evolve(entry, event=Event.MOVED, at=now, seq=None, digest=None)
            for entry in begun
            if entry.import_id in gone
        )

    def _rehearse(self, rows: Sequence[PlanRow]) -> dict[int, Result]:
        """What would become of these rows, as far as can be told without reading them."""
        known = self._repository.find_patients({row.patient for row in rows if row.patient is not None})
        results: dict[int, Result] = {}
        for row in rows:
            self._pacer.wait()
            self._pacer(row.file)
            if self._pacer.cancelled:
                break
            try:
                there = self._folders.open(row.folder).look(row.name)
            except (SourceError, FileError) as exc:
                results[row.number] = self._unopened(row, None, exc)
                continue
            doubt = self._doubt(row, known) if row.verdict is Action.IMPORT else None
            if doubt is not None:
                results[row.number] = _result(row, State.WAITING, doubt)
            elif there is None:
                results[row.number] = _result(row, State.FAILED, Reason.VANISHED)
            elif there.version != row.version:
                results[row.number] = _result(row, State.WAITING, Reason.CHANGED)
            else:
                results[row.number] = _result(row, State.IMPORTED, row.reason)
        return results


_BROKEN = frozenset(
    {Reason.REPOSITORY_FAILED, Reason.LEDGER_FAILED, Reason.STORAGE_FULL, Reason.SOURCE_FAILED}
)


def _all_broken(results: Sequence[Result]) -> bool:
    """Whether something failed that is behind all of them: a single folder that can't be opened is not."""
    failed = any(result.reason in _BROKEN for result in results)
    return failed and not any(result.state is State.IMPORTED for result in results)


def _put_off(result: Result) -> bool:
    return result.reason is Reason.CANCELLED


def _result(row: PlanRow, state: State, reason: Reason, stored: StoredAttachment | None = None) -> Result:
    return Result(
        number=row.number,
        state=state,
        reason=reason,
        decision=decision_of(row),
        sha256=stored.sha256 if stored is not None else None,
        attachment_id=stored.id if stored is not None else None,
    )
