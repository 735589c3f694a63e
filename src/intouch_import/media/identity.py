"""The patient that a DICOM file names in its header, read with pydicom (the extra ``dicom``)."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.secret import pseudonym

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import FileDataset

__all__ = ["IDENTITY_BYTES", "Identity", "identity_in", "is_dicom"]

log = logging.getLogger(__name__)

IDENTITY_BYTES: Final = 1 << 20
"""Bytes to read from the start of a DICOM file: the patient comes before the picture."""

_MARK_AT: Final = 128
_MARK: Final = b"DICM"
_PATIENT_ID: Final = 0x0010_0020
_ISSUER: Final = 0x0010_0021
# A compressed header may be a thousand times as large as the file. This transfer syntax is very rare.
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_META_BYTES: Final = 4096


@attrs.frozen(kw_only=True)
class Identity:
    """The patient that a file names.

    Args:
        patient_id: PatientID (0010,0020), without the blanks around it, which have no meaning in DICOM.
        issuer: IssuerOfPatientID (0010,0021): who gave this id; None if the file does not say.
    """

    patient_id: str = attrs.field(repr=pseudonym)
    issuer: str | None = attrs.field(default=None, repr=False)


def is_dicom(head: bytes, /) -> bool:
    """Return whether a file begins like a DICOM file: 128 bytes of anything, then ``DICM``."""
    return head[_MARK_AT : _MARK_AT + len(_MARK)] == _MARK


def identity_in(content: bytes | BinaryIO) -> Identity | None:
    """Return the patient that a DICOM file names.

    Args:
        content: The file's first `IDENTITY_BYTES`, or a stream at its start. No more of it is read.

    Returns:
        The patient; None if this is no DICOM file, it names no patient, its header is compressed or can't be
        read, or the extra ``dicom`` is not installed.

    Raises:
        OSError: The stream could not be read.
    """
    head = content[:IDENTITY_BYTES] if isinstance(content, bytes) else content.read(_MARK_AT + len(_MARK))
    if not is_dicom(head):
        return None
    if not isinstance(content, bytes):
        head += content.read(IDENTITY_BYTES - len(head))
    if _DEFLATED in head[:_META_BYTES]:
        return None
    try:
        from pydicom.filereader import read_partial
    except ImportError as exc:
        if not isinstance(exc, ModuleNotFoundError) or exc.name != "pydicom":  # installed, but broken
            _report(exc)
        return None
    try:
        header = read_partial(
            BytesIO(head),
            stop_when=lambda tag, _vr, _length: tag > _ISSUER,
            specific_tags=[_PATIENT_ID, _ISSUER],
        )
        patient_id = _text(header, _PATIENT_ID)
        issuer = _text(header, _ISSUER)
    except Exception as exc:  # noqa: BLE001  # pydicom raises anything for odd bytes
        _report(exc)
        return None
    return Identity(patient_id=patient_id, issuer=issuer or None) if patient_id else None


def _report(exc: Exception) -> None:
    """Log that a patient was not read. If pydicom is the cause, no file is compared with its patient."""
    log.warning("the patient in a DICOM header could not be read", extra={"kind": type(exc).__name__})


def _text(header: FileDataset, tag: int) -> str:
    """Return a value as text. Its bytes are decoded here: pydicom's warnings may quote them."""
    if tag not in header:
        return ""
    found = header.get_item(tag)
    raw = bytes(found.value or b"")
    if len(raw) != found.length:  # the file ends here: half an id may be another patient's
        return ""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.strip(" \0")
