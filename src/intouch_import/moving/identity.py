"""Compare the patient whom the bytes of a file name with the patient for whom they would be stored."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from intouch_import.errors import FileUnreadable, kind_and_place
from intouch_import.media.identity import identity_in
from intouch_import.model import Reason, State

if TYPE_CHECKING:
    from intouch_import.content import Content
    from intouch_import.moving.file_move import FileMove
    from intouch_import.repositories.base import PatientRepository

__all__ = ["compare_identity"]

log = logging.getLogger(__name__)


def compare_identity(move: FileMove, content: Content, repository: PatientRepository) -> None:
    """Let a file wait if its bytes name another patient who exists, unless a person was asked about it.

    An id that no patient has says little: devices and other clinics have ids of their own.
    """
    if move.order.other_patient_confirmed:
        return
    try:
        with content.open() as stream:
            inside = identity_in(stream)
    except OSError as exc:
        move.fail(FileUnreadable("the file could not be read again", errno=exc.errno))
        return
    if inside is None or inside.patient_id == move.order.patient_id:
        return
    try:
        other = repository.find_patient(inside.patient_id)
    except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
        log.error("the repository failed", extra=kind_and_place(exc, import_id=move.import_id))
        move.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
        return
    if other is not None:
        move.end(State.WAITING, Reason.OTHER_PATIENT)
