"""What the kit stores: patients, texts, file names, and contents that work, fail or are slow."""

from __future__ import annotations

import errno
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from intouch_import import disk
from intouch_import.content import Content, StagedContent, copy_beside, staging_file
from intouch_import.model import Patient, Provider

if TYPE_CHECKING:
    import os
    import threading
    from typing import BinaryIO

    from typing_extensions import Buffer

__all__ = [
    "FORMER_PATIENT",
    "HOSTILE_NAMES",
    "HOSTILE_TEXTS",
    "LETTERED_PATIENT",
    "NOBODY",
    "NUMBERED_PROVIDER",
    "OTHER_PATIENT",
    "PATIENT",
    "PATIENTS",
    "PROVIDER",
    "PROVIDERS",
    "BytesContent",
    "FailingContent",
    "FullContent",
    "SlowContent",
    "staged",
]

# Digits without leading zeros, so that practices whose ids are numbers can have these patients too.
PATIENT: Final = Patient(id="10042", name="Ada Marsh")
"""A patient that the repository under test must know."""

OTHER_PATIENT: Final = Patient(id="10043", name="Ben Okafor")
"""A second patient that the repository must know."""

FORMER_PATIENT: Final = Patient(id="10044", name="Chiara Lindqvist", active=False)
"""A patient that the repository must know as inactive."""

LETTERED_PATIENT: Final = Patient(id="7Qx", name="Dana Iversen")
"""A patient whose id has letters. Leave it out if your ids are numbers; letter case is then not checked."""

PATIENTS: Final = (PATIENT, OTHER_PATIENT, FORMER_PATIENT, LETTERED_PATIENT)
"""All patients of the kit."""

PROVIDER: Final = Provider(id="DRJ", name="Dr Jones")
"""A provider whose id has letters. Leave it out if your ids are numbers."""

NUMBERED_PROVIDER: Final = Provider(id="70", name="Dr Silva")
"""A provider whose id is a number, for repositories whose ids are numbers. One of the two is enough."""

PROVIDERS: Final = (PROVIDER, NUMBERED_PROVIDER)
"""All providers of the kit."""

NOBODY: Final = "99999"
"""An id that the repository must not know."""

HOSTILE_TEXTS: Final[tuple[str, ...]] = (
    "",
    " leading and trailing blanks  ",
    'Robert\'); DROP TABLE patients;-- "quoted" `ticked`',
    "line one\nline two\r\nline three\ttabbed",
    "{title} {0} %s %(name)s $HOME ${x} <b>&amp;</b> \\n \\x00 %00",
    "../../etc/passwd C:\\Windows\\x",
    "caf\u00e9 cafe\u0301 \ufb01 \u212b \u0130 \u00df",  # a normalisation would change these
    "\u202egnp.exe\u202c \u200b\u200d \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f9b6\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u6f22\u5b57",
    "\x01\x1b[31m\x7f\x85\u2028",
    "null",
    "0042",
    "\u5b57" * 500,
)
"""Titles and comments that a repository must return unchanged."""

HOSTILE_NAMES: Final[tuple[str, ...]] = (
    "IMG[1].jpg",
    "IMG1.jpg",
    "IMG*.jpg",
    "IMG?.jpg",
    "a%20b.jpg",
    "a b.jpg",
    "photo#1.jpg",
    "photo",
    "a&b=c+d;e.jpg",
    "{x} $HOME `id`.jpg",
    'it\'s "quoted".jpg',
    "'; DROP TABLE x;--.jpg",
    " leading blank.jpg",
    "trailing blank ",
    "trailing dot.",
    ".hidden.jpg",
    "-rf",
    "~root.jpg",
    "C:x.jpg",
    "back\\slash.jpg",
    "con.jpg",
    "two\nlines.jpg",
    "tab\there.jpg",
    "\u202egpj.exe",
    "caf\u00e9.jpg",
    "cafe\u0301.jpg",
    "\u6f22\u5b57 \U0001f9b6.jpg",
    "case.jpg",
    "CASE.JPG",
    "\u00fc" * 125 + ".jpg",  # 254 bytes
    "Ren\udce9.jpg",  # a byte that is not UTF-8, as Python shows it
)
"""File names that a location must distinguish, except those in `Place.refused_names`."""


# --- contents

_SLOW_S = 0.5


class BytesContent(Content):
    """Bytes in memory. They are gone once the content is closed, as with the content of a source."""

    def __init__(self, data: bytes) -> None:
        super().__init__(disk.Digested(len(data), hashlib.sha256(data).hexdigest()))
        self._data: bytes | None = data

    def open(self) -> BinaryIO:
        if self._data is None:
            raise ValueError("the content is closed")
        return io.BytesIO(self._data)

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        copy_beside(self.open(), Path(path))
        if durable:
            disk.sync_many([path])

    def close(self) -> None:
        self._data = None


class FailingContent(BytesContent):
    """Raises an error in the middle, as a broken disk does."""

    def open(self) -> BinaryIO:
        return io.BufferedReader(_Failing(super().open().read()))


class FullContent(BytesContent):
    """Can be read, but not saved to a disk: the disk is full."""

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:  # noqa: ARG002
        raise OSError(errno.ENOSPC, "no space left on device")


class SlowContent(BytesContent):
    """Makes its reader wait for another event, half a second at most.

    Args:
        data: The bytes.
        begun: Set when reading or saving begins.
        go_on: The event to wait for.
        fails: Whether reading fails after that.
    """

    def __init__(self, data: bytes, begun: threading.Event, go_on: threading.Event, *, fails: bool) -> None:
        super().__init__(data)
        self._begun, self._go_on, self._fails = begun, go_on, fails

    def open(self) -> BinaryIO:
        self._begun.set()
        self._go_on.wait(_SLOW_S)  # not longer: the other side may be waiting for this reader
        stream = super().open()
        return io.BufferedReader(_Failing(stream.read())) if self._fails else stream


def staged(data: bytes, folder: Path | None) -> Content:
    """Return the bytes as a temporary file, the form in which most sources deliver them.

    Args:
        data: The bytes.
        folder: `PatientRepository.staging`.
    """
    with staging_file(folder) as (file, path):
        digested = disk.digest_stream(io.BytesIO(data), file)
    return StagedContent(path, digested)


class _Failing(io.RawIOBase):
    """Gives half of the bytes, then fails."""

    def __init__(self, data: bytes) -> None:
        self._half = io.BytesIO(data[: len(data) // 2])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        count = self._half.readinto(buffer)
        if not count:
            raise OSError(errno.EIO, "input/output error")
        return count
