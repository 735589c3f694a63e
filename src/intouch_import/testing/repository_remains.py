"""What remains after a rollback, a killed process or a correction: each record shows its own files."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import AlreadyAssigned
from intouch_import.testing.checks import Broken, Checks, expect, fails, together
from intouch_import.testing.records import Records, add, find, new, offers, read, unique
from intouch_import.testing.samples import OTHER_PATIENT, PATIENT, BytesContent, FailingContent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from typing_extensions import Buffer

    from intouch_import.content import Content
    from intouch_import.model import Attachment, Patient
    from intouch_import.repositories.base import PatientRepository

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(Records)

_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.01
_BYTES = 300_000


class _RollBack(Exception):  # raised to end a transaction
    pass


def _stored_for(
    records: Records, patient: Patient, attachment: Attachment, data: bytes, *, after: str
) -> None:
    """Expect that a file can be added for a patient, and that only the patient's record shows it."""
    repository = records.open()
    wanted = attrs.evolve(attachment, patient_id=patient.id)
    # In a thread: a lock that nobody releases must not stop the kit.
    (stored,) = together([partial(add, repository, wanted, BytesContent(data))])
    if isinstance(stored, Exception):
        raise Broken(f"it can't be added after {after}") from stored
    again = records.open()
    find(again, wanted)
    expect(read(again, stored.id) == data, f"after {after}, other bytes are stored than were added")
    other = OTHER_PATIENT if patient is PATIENT else PATIENT
    records.shows(patient, [stored])
    records.shows(other, [], stored.id)


@CHECKS.promise("A file whose attempt failed or was rolled back can be added for another patient.")
def failed_files_can_go_to_another_patient(records: Records) -> None:
    repository = records.open()
    before = records.count(PATIENT)
    failing, _ = new(BytesContent(data := unique().ljust(_BYTES, b"x")))
    fails(
        Exception, "adding a file whose content fails", lambda: repository.add(failing, FailingContent(data))
    )
    attempts = [(failing, data, "an attempt that failed")]
    if offers(repository, "transaction"):
        attachment, content = new(data := unique())
        try:
            with repository.transaction():
                repository.add(attachment, content)
                raise _RollBack
        except _RollBack:
            attempts.append((attachment, data, "a rollback"))
    after = records.count(PATIENT)
    expect(after == before, f"the record shows {after} files instead of {before} after failed attempts")
    for attachment, data, what in attempts:
        _stored_for(records, OTHER_PATIENT, attachment, data, after=what)


@CHECKS.promise("Each patient's record shows the files that are stored in it, each once, and no others.")
def records_show_their_own_files(records: Records) -> None:
    repository = records.open()
    data = unique()
    attachment, content = new(data)
    mine = repository.add(attachment, content)
    theirs = repository.add(*new(data, patient_id=OTHER_PATIENT.id))
    again = records.open()
    again.add(attachment, BytesContent(data))
    claimed = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    fails(AlreadyAssigned, "adding it for another patient", lambda: again.add(claimed, BytesContent(data)))
    records.shows(PATIENT, [mine], theirs.id)
    records.shows(OTHER_PATIENT, [theirs], mine.id)
    if offers(repository, "reassign"):
        repository.reassign(mine.id, from_patient_id=PATIENT.id, to_patient_id=OTHER_PATIENT.id)
        records.shows(PATIENT, [], mine.id, theirs.id)
        records.shows(OTHER_PATIENT, [mine, theirs])
    if offers(repository, "withdraw"):
        repository.withdraw(theirs.id)
        for patient in (PATIENT, OTHER_PATIENT):
            records.shows(patient, [mine] if _has(again, mine.import_id, patient) else [], theirs.id)


def _has(repository: PatientRepository, import_id: str, patient: Patient) -> bool:
    return repository.find_attachment([import_id])[import_id].patient_id == patient.id


# --- a process that is killed


class _Deadly(io.RawIOBase):
    """Gives some of the bytes, then kills its process."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        return self._data.readinto(buffer) or _kill()


class _DeadlyContent(BytesContent):
    """Kills the process that stores it: when some of it has been read, or when it was saved to a disk.

    Args:
        data: The bytes.
        given: How many of them are given before.
    """

    def __init__(self, data: bytes, given: int) -> None:
        super().__init__(data)
        self._whole, self._given = data, given

    def open(self) -> BinaryIO:
        return io.BufferedReader(_Deadly(self._whole[: self._given]))

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        if self._given < len(self._whole):
            _kill()  # `save_to` never leaves a part of a file
        BytesContent(self._whole).save_to(path, durable=durable)
        _kill()


def _kill() -> int:
    if sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("the process was not killed")


@CHECKS.promise(
    "A file that a killed process was adding is stored whole or not at all, and can be added again."
)
def killed_processes_leave_no_remains(records: Records) -> None:
    if sys.platform == "win32":
        return  # it has no fork
    for given in (_BYTES // 2, _BYTES):
        for patient in (PATIENT, OTHER_PATIENT):
            data = unique().ljust(_BYTES, b"x")
            attachment, _ = new(BytesContent(data))
            _add_in_child(records.factory, attachment, _DeadlyContent(data, given))
            found = records.open().find_attachment([attachment.import_id])
            to = PATIENT if found else patient  # it was committed before it was read, or is free
            _stored_for(records, to, attachment, data, after="a process was killed inside add")


def _add_in_child(factory: Callable[[], PatientRepository], attachment: Attachment, content: Content) -> None:
    """Add a file in a forked process, and wait until that process has ended."""
    if sys.platform == "win32":
        raise NotImplementedError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: other threads are running
        pid = os.fork()
    if pid == 0:
        # In a thread, because frameworks keep a connection for each thread, and those are the parent's.
        with contextlib.suppress(BaseException):
            thread = threading.Thread(target=lambda: factory().add(attachment, content), daemon=True)
            thread.start()
            thread.join(_PATIENCE_S)
        os._exit(1)
    give_up_at = time.monotonic() + _PATIENCE_S
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > give_up_at:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise Broken(f"add in a forked process did not end within {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_EVERY_S)
