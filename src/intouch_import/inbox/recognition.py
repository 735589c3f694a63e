"""`Recognition`: find out from their bytes which listed files were imported before."""

from __future__ import annotations

import logging
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from intouch_import.errors import FileChanged, FileVanished
from intouch_import.ledger import Event
from intouch_import.model import Reason, import_id, printable
from intouch_import.moving.file_move import explain
from intouch_import.verdicts import already, arriving, waiting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from intouch_import.inbox.rows import Row
    from intouch_import.ledger import Ledger, LedgerEntry
    from intouch_import.model import SourceFile, StoredAttachment
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Recognised", "Recognition", "SecondReading", "among_put_back", "is_unchanged"]

log = logging.getLogger(__name__)

_READ_AGAIN_BYTES: Final = 32 * 1024 * 1024
_READ_AGAIN_AFTER_S: Final = 60.0

# Reasons that were found by reading a file.
_JUDGED_BY_BYTES: Final = frozenset(
    {
        Reason.CONTENT_NOT_AS_NAMED,
        Reason.CONTENT_CUT_SHORT,
        Reason.CONTENT_DAMAGED,
        Reason.CONTENT_UNCHECKED,
        Reason.OTHER_PATIENT,
        Reason.DUPLICATE,
        Reason.DUPLICATE_ELSEWHERE,
        Reason.UNDONE,
        Reason.REAPPEARED,
    }
)


class Recognised(NamedTuple):
    """What became of the rows that were looked up; those that are in neither list have a verdict now.

    Attributes:
        new: Files that were not imported before.
        gone: Files that are no longer in their source, or changed since they were listed.
    """

    new: list[Row]
    gone: list[Row]


class Recognition:
    """Compares files whose import id is known with what was imported under it.

    A version alone proves nothing: a camera without a clock repeats names, sizes and times, and file systems
    reuse inodes. Only files whose import id is stored are read, and files that have the name and size of
    an unfinished move.
    """

    def __init__(self, repository: PatientRepository, ledger: Ledger) -> None:
        self._repository = repository
        self._ledger = ledger

    def recognise(self, rows: Sequence[Row], unfinished: Mapping[str, Collection[LedgerEntry]]) -> Recognised:
        """Set the verdicts of files that were imported before.

        Args:
            rows: The rows to look up.
            unfinished: The unfinished moves by source id, read before the files were listed.
        """
        stored = dict(self._repository.find_attachment([row.import_id for row in rows]))
        left = [row for row in rows if row.import_id not in stored]
        if unfinished:
            left = self._resume(left, unfinished)
        if not stored:
            return Recognised(left, [])
        moved = self._ledger.moved(stored)
        others: list[Row] = []
        gone: list[Row] = []
        for row in rows:
            if row.import_id in stored:
                self._compare(row, stored[row.import_id], others, gone, moved=row.import_id in moved)
        if others:
            # A third file may have the name, size and time of both; it was compared by the digest in its id.
            stored = dict(self._repository.find_attachment([row.import_id for row in others]))
            moved = self._ledger.moved(stored) if stored else set()
            for row in others:
                if row.import_id in stored:
                    self._judge(row, stored[row.import_id], moved=row.import_id in moved)
                else:
                    left.append(row)
        return Recognised(left, gone)

    def _compare(
        self,
        row: Row,
        stored: StoredAttachment,
        others: list[Row],
        gone: list[Row],
        *,
        moved: bool,
    ) -> None:
        if not moved and row.source.commits_whole:
            self._judge(row, stored, moved=False)  # the move reads it, and compares
            return
        sha256: str | None = None
        try:
            sha256 = _read(row)
        except (FileVanished, FileChanged):
            if moved:
                gone.append(row)  # another workstation moved it after it was listed here
                return
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything
            if moved:
                row.judge(arriving(row.name, explain(exc)[0]))
                return
        row.sha256 = sha256
        if sha256 in {None, stored.sha256}:
            self._judge(row, stored, moved=moved)
        else:
            row.import_as(import_id(row.source_id, row.name, row.version, sha256=sha256))
            others.append(row)

    def _judge(self, row: Row, stored: StoredAttachment, *, moved: bool) -> None:
        """Set the verdict of a file that was imported before.

        If the records put it into another record than the one that they were given, the move refused it. This
        must not be finished as if a crash had interrupted it.
        """
        last = () if moved else [*self._ledger.entries(import_id=stored.import_id)][-1:]
        refused = any(
            (entry.event, entry.reason) == (Event.FAILED, Reason.REPOSITORY_FAILED)
            and entry.patient_id != printable(stored.patient_id)
            for entry in last
        )
        row.judge(
            waiting(row.name, Reason.ALREADY_ASSIGNED) if refused else already(row.file, stored, moved=moved)
        )

    def _resume(self, rows: Iterable[Row], unfinished: Mapping[str, Collection[LedgerEntry]]) -> list[Row]:
        """Recognise files that were stored, are still in their source, and have another version now.

        A mount gives its files new inodes, and a program may have touched the file. Returns the other rows.
        """
        by_name = {
            (source_id, entry.name, entry.size_bytes): entry
            for source_id, entries in unfinished.items()
            for entry in entries
        }
        left = []
        for row in rows:
            entry = by_name.get((row.source_id, printable(row.name), row.size_bytes))
            if entry is None or not self._is_still_stored(row, entry):
                left.append(row)
        return left

    def _is_still_stored(self, row: Row, entry: LedgerEntry) -> bool:
        try:
            sha256 = _read(row)
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything
            row.judge(arriving(row.name, explain(exc)[0]))
            return True
        stored = self._repository.find_attachment([entry.import_id]).get(entry.import_id)
        # An undo gives the file a new version, too, and writes this into the ledger first. Ask only now.
        undone = {begun.import_id for begun in self._ledger.undoing(row.source_id)}
        if stored is None or stored.sha256 != sha256 or entry.import_id in undone:
            return False
        row.import_as(entry.import_id)
        self._judge(row, stored, moved=False)
        return True


class SecondReading:
    """Reads files again that wait because of their bytes, where only this can show that they have changed.

    A program that sets the time of a file, or a clock that stands still, changes bytes without a new version.
    A source that knows `SourceFile.changed_ns` notices it in a listing. For other sources, 32 MiB are read
    once a minute; larger files are not read again.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, float]] = {}

    def others(self, source: Source, rows: Mapping[str, Row], *, now_s: float) -> list[Row]:
        """Return the rows whose files have other bytes now.

        Args:
            source: The source. If its files appear only when they are complete, nothing is read.
            rows: Its rows by name.
            now_s: Monotonic time, seconds.
        """
        names = sorted(name for name, row in rows.items() if row.changed_ns is None and _by_bytes(row))
        after, read_s = self._last.get(source.source_id, ("", -_READ_AGAIN_AFTER_S))
        if source.commits_whole or not names or now_s < read_s + _READ_AGAIN_AFTER_S:
            return []
        start = bisect_right(names, after)
        left_bytes = _READ_AGAIN_BYTES
        others = []
        for name in names[start:] + names[:start]:
            row = rows[name]
            if row.size_bytes > left_bytes:
                continue
            left_bytes -= row.size_bytes
            after = name
            try:
                if _read(row) != row.sha256:
                    others.append(row)
            except Exception as exc:  # noqa: BLE001  # the move that reads the file will report it
                log.info("a file can't be read again", extra={"kind": type(exc).__name__})
        self._last[source.source_id] = (after, now_s)
        return others


def among_put_back(
    rows: Iterable[Row], put_back: Collection[tuple[str, int, str]]
) -> frozenset[tuple[str, int]]:
    """Return name and size of the rows whose bytes an undo has put back.

    Only files with the name and size of such a file are read. One that can't be read counts as put back: it
    must not be imported automatically.

    Args:
        rows: The rows.
        put_back: Result of `Ledger.put_back`.
    """
    sizes = {(name, size_bytes) for name, size_bytes, _ in put_back}
    found = set()
    for row in rows if sizes else ():
        file = (printable(row.name), row.size_bytes)
        if file not in sizes:
            continue
        try:
            row.sha256 = row.sha256 or _read(row)
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything
            log.info("a file can't be compared", extra={"kind": type(exc).__name__})
            found.add(file)
        else:
            if (*file, row.sha256) in put_back:
                found.add(file)
    return frozenset(found)


def is_unchanged(row: Row, file: SourceFile) -> bool:
    """Return whether a row is still true of a listed file."""
    if row.version != file.version:
        return False
    return row.changed_ns == file.changed_ns or not _by_bytes(row)


def _by_bytes(row: Row) -> bool:
    return row.sha256 is not None and row.reason in _JUDGED_BY_BYTES


def _read(row: Row) -> str:
    with row.source.fetch(row.file) as content:
        return content.sha256
