"""Undo: the bytes go back into the source, then the attachment leaves the record."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from intouch_import import disk
from intouch_import.errors import (
    FileError,
    FileVanished,
    InTouchImportError,
    NameRefused,
    NameTaken,
    NotRemoved,
    NotSupported,
    RepositoryError,
    SelectionError,
    instead_of,
)
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import EntryKind, Reason, State, import_id
from intouch_import.moving import remove_pinned
from intouch_import.reports import Outcome
from intouch_import.repositories.base import PatientRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from intouch_import.ledger import Ledger
    from intouch_import.model import SourceFile, StoredAttachment
    from intouch_import.sources.base import Source

__all__ = ["Undo", "asking", "holds", "is_whole", "never_left", "put_anew"]

_CHUNK_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Whatever a host's repository raises becomes a `RepositoryError`, with its place but not its text."""
    try:
        yield
    except InTouchImportError:
        raise
    except Exception as exc:  # noqa: BLE001  # it is the host's code
        raise instead_of(exc, "the patient records failed") from None


def holds(source: Source, there: SourceFile, stored: StoredAttachment) -> bool:
    """Whether a file of a source has the bytes that are stored.

    Raises:
        FileError, SourceError: It can't be read now.
    """
    if there.kind is not EntryKind.FILE or there.size_bytes != stored.size_bytes:
        return False
    with source.fetch(there) as content:
        return content.sha256 == stored.sha256


def is_whole(repository: PatientRepository, stored: StoredAttachment) -> bool:
    """Whether the stored bytes are still those that were stored."""
    with asking(), repository.open_attachment(stored.id) as stream:
        return disk.digest_stream(stream).sha256 == stored.sha256


def never_left(stored: StoredAttachment, there: SourceFile, source: Source) -> bool:
    """Whether a file is the very version that was stored, not yet taken out of its source."""
    return import_id(source.source_id, there.name, there.version) == stored.import_id


def put_anew(
    repository: PatientRepository, stored: StoredAttachment, there: SourceFile, source: Source
) -> SourceFile:
    """Give a file that was never taken out a new version, its stored copy being whole.

    Another workstation may be about to remove it, pinned to the version that it has stored. Once the
    attachment is withdrawn, that removal would take the last copy.
    """
    try:
        remove_pinned(source, there, sha256=stored.sha256)
    except FileVanished:
        pass  # that workstation was faster
    except NotRemoved:
        return there  # where nothing can be removed, the other workstation can't do it either
    return source.put(stored.name, _chunks(repository, stored))


def _chunks(repository: PatientRepository, stored: StoredAttachment) -> Iterator[bytes]:
    with repository.open_attachment(stored.id) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


class Undo:
    """Takes one import back.

    The ledger hears of it first: from then on a file of that name and size in that source is not imported
    by itself, so that a crash at any later step can't make it come back into the record. Then the
    bytes are put back and read again, and only then does the attachment leave the record.
    """

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime],
        operator: str | None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._operator = operator

    def __call__(self, wanted: str, sources: Sequence[Source]) -> Outcome:
        """See `Inbox.undo`."""
        if type(self._repository).withdraw is PatientRepository.withdraw:
            raise NotSupported("this repository can't withdraw an attachment")
        stored = self._repository.find_attachment([wanted]).get(wanted)
        if stored is None:
            raise SelectionError("nothing is stored under this import id")
        source = next((source for source in sources if source.source_id == stored.source_id), None)
        if source is None:
            raise SelectionError("the source that this file came from is not open here")
        reason = self._try_to_put_back(stored, source)
        if reason is not Reason.UNDONE:
            self._write(stored, Event.FAILED, reason)
            retry_helps = reason is Reason.SOURCE_FAILED
            return Outcome.about(stored, State.FAILED, reason, retry_helps=retry_helps)
        self._repository.withdraw(stored.id)
        self._write(stored, Event.WITHDRAWN, Reason.UNDONE)
        return Outcome.about(stored, State.WAITING, Reason.UNDONE)

    def _try_to_put_back(self, stored: StoredAttachment, source: Source) -> Reason:
        try:
            return self._put_back(stored, source)
        except NameTaken:
            return Reason.NAME_TAKEN
        except NameRefused:
            return Reason.NAME_REFUSED
        except FileError as exc:
            log.error("a file that was put back can't be read again", extra={"kind": type(exc).__name__})
            return Reason.UNREADABLE
        except RepositoryError:
            raise
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything
            log.error("a file could not be put back", extra={"kind": type(exc).__name__})
            return Reason.SOURCE_FAILED

    def _put_back(self, stored: StoredAttachment, source: Source) -> Reason:
        there = source.look(stored.name)
        if there is None:
            if not is_whole(self._repository, stored):
                return Reason.STORED_COPY_DIFFERS
            self._write(stored, Event.PUTTING_BACK, Reason.UNDONE)
            there = source.put(stored.name, _chunks(self._repository, stored))
        elif never_left(stored, there, source):
            if not (is_whole(self._repository, stored) and holds(source, there, stored)):
                return Reason.STORED_COPY_DIFFERS
            self._write(stored, Event.PUTTING_BACK, Reason.UNDONE)
            there = put_anew(self._repository, stored, there, source)
        elif self._ours(stored, there, source):
            # Put back by an undo that was interrupted.
            self._write(stored, Event.PUTTING_BACK, Reason.UNDONE)
        else:
            return Reason.NAME_TAKEN
        return Reason.UNDONE if holds(source, there, stored) else Reason.STORED_COPY_DIFFERS

    def _ours(self, stored: StoredAttachment, there: SourceFile, source: Source) -> bool:
        last = [entry.event for entry in self._ledger.entries(import_id=stored.import_id)][-1:]
        return last in ([Event.PUTTING_BACK], [Event.FAILED]) and holds(source, there, stored)

    def _write(self, stored: StoredAttachment, event: Event, reason: Reason) -> None:
        self._ledger.append(
            [LedgerEntry.about(stored, event, at=self._clock(), operator=self._operator, reason=reason)]
        )
