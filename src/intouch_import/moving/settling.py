"""Keep other programs away from stored bytes, and take back files whose bytes another program has changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from intouch_import import disk
from intouch_import.errors import ContentMismatch, NotRemoved, StillArriving, kind_and_place
from intouch_import.ledger import Event
from intouch_import.model import Reason, State
from intouch_import.repositories.base import overrides

if TYPE_CHECKING:
    from intouch_import.clock import Clock
    from intouch_import.content import Content
    from intouch_import.ledger import Ledger
    from intouch_import.ledger.claims import Claim
    from intouch_import.moving.file_move import FileMove
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Settling", "check_age", "was_changed"]

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 1024 * 1024


class Settling:
    """Settles the files of one call of `Mover.move`.

    Args:
        repository, ledger, clock: See `Mover`.

    Attributes:
        able: Whether the repository can take a file back. If not, files are copied before they are stored.
    """

    def __init__(self, repository: PatientRepository, ledger: Ledger, clock: Clock) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self.able = overrides(repository, "withdraw")

    def prove(self, move: FileMove, content: Content) -> bool:
        """Return whether the stored bytes are still those that were read. If not, the file is taken back.

        Raises:
            NotRemoved: They may not be changed by another program, but this could not be ensured.
        """
        try:
            content.prove()
        except StillArriving:
            return not self.take_back(move, content)
        except OSError as exc:
            raise NotRemoved("the stored file could not be copied", errno=exc.errno) from None
        return True

    def settle(self, move: FileMove) -> None:
        """Put the stored bytes out of reach of other programs. Without effect if called again."""
        content = move.content
        if content is None:
            return
        try:
            content.settle()
        except StillArriving:
            if move.stored is not None:
                removed = move.outcome is not None and move.outcome.state is State.IMPORTED
                self.take_back(move, content, removed=removed)
        except Exception as exc:  # noqa: BLE001  # the file is stored; the others go on
            log.error(
                "a stored file may still be open to another program",
                extra={"import_id": move.import_id, "kind": type(exc).__name__},
            )

    def take_back(self, move: FileMove, content: Content, *, removed: bool = False) -> bool:
        """Take a file out of the record again, because another program has changed the bytes that were read.

        Args:
            move: The file.
            content: Its bytes, as they are now.
            removed: Whether the file was removed from its source. It is then put back, with these bytes.

        Returns:
            False if the stored bytes are those that were read after all: another workstation has copied them.
        """
        stored = move.stored
        if stored is None:
            raise AssertionError("only stored files are taken back")
        try:
            with self._repository.open_attachment(stored.id) as stream:
                if disk.digest_stream(stream).sha256 == content.sha256:
                    return False
            if removed:
                _put_back(move, content)
            self._repository.withdraw(stored.id)
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            log.error(
                "another program has changed a stored file, and it could not be taken back",
                extra=kind_and_place(exc, import_id=move.import_id),
            )
            move.end(State.FAILED, Reason.STORED_COPY_DIFFERS)
            return True
        log.warning("another program changed a file while it was stored", extra={"import_id": move.import_id})
        entry = move.ledger_entry(Event.WITHDRAWN, Reason.OPEN_ELSEWHERE, self._clock.now())
        try:
            self._ledger.append([entry])
        except Exception as exc:  # noqa: BLE001  # the record is as it should be
            log.error("the ledger could not be written after a withdrawal", extra=kind_and_place(exc))
        move.stored = None
        move.end(State.WAITING, Reason.OPEN_ELSEWHERE, retry_helps=True)
        return True


def check_age(claim: Claim) -> None:
    """Refuse a removal if an undo could have begun meanwhile: this process was stopped for long."""
    if not claim.is_good:
        raise NotRemoved("the move took too long")


def was_changed(content: Content) -> bool:
    """Return whether another program has changed the bytes since they were read."""
    with content.open() as stream:
        return disk.digest_stream(stream).sha256 != content.sha256


def _put_back(move: FileMove, content: Content) -> None:
    """Put the changed bytes into the source, where the program that changed them left them."""
    with content.open() as stream:
        there = move.source.put(move.order.file.name, iter(lambda: stream.read(_CHUNK_BYTES), b""))
    with content.open() as stream, move.source.fetch(there) as again:
        if disk.digest_stream(stream).sha256 != again.sha256:
            raise ContentMismatch("the file that was put back has other bytes")
