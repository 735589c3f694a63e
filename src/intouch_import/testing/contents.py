"""Contents for tests: bytes on their way into a repository, whole, failing or held in memory."""

from __future__ import annotations

import errno
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from intouch_import import disk
from intouch_import.content import Content, StagedContent, copy_beside, staging_file

if TYPE_CHECKING:
    import os
    import threading
    from typing import BinaryIO

    from typing_extensions import Buffer

__all__ = ["BytesContent", "FailingContent", "FullContent", "SlowContent", "staged"]

_SLOW_S = 0.5


class BytesContent(Content):
    """Bytes held in memory. Once it is closed they are gone, as those of a source are."""

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
    """Breaks off in the middle, as a disk that dies does."""

    def open(self) -> BinaryIO:
        return _Failing(super().open().read())


class FullContent(BytesContent):
    """Can be read, but not saved to a disk: there is no room."""

    def save_to(
        self,
        path: str | os.PathLike[str],  # noqa: ARG002  # nothing is saved
        *,
        durable: bool = True,  # noqa: ARG002
    ) -> None:
        raise OSError(errno.ENOSPC, "no room")


class SlowContent(BytesContent):
    """Is not read before something else has happened, or half a second has passed.

    Args:
        data: The bytes.
        begun: Set when somebody begins to read or to save.
        go_on: What is waited for then.
        fails: Whether it breaks off after that.
    """

    def __init__(self, data: bytes, begun: threading.Event, go_on: threading.Event, *, fails: bool) -> None:
        super().__init__(data)
        self._begun, self._go_on, self._fails = begun, go_on, fails

    def open(self) -> BinaryIO:
        self._begun.set()
        self._go_on.wait(_SLOW_S)  # no longer: whoever is waited for may be waiting for us
        stream = super().open()
        return _Failing(stream.read()) if self._fails else stream

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        with self.open() as stream:
            if self._fails:
                raise OSError(errno.EIO, "input/output error")
            copy_beside(stream, Path(path))
        if durable:
            disk.sync_many([path])


def staged(data: bytes, folder: Path | None) -> Content:
    """The bytes in a temporary file, as most sources deliver them.

    Args:
        data: The bytes.
        folder: `PatientRepository.staging`.
    """
    with staging_file(folder) as (file, path):
        digested = disk.digest_stream(io.BytesIO(data), file)
    return StagedContent(path, digested)


class _Failing(io.BytesIO):
    """Gives half of what it has, then fails."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data[: len(data) // 2])

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            self._fail()
        return super().read(size) or self._fail()

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(size)

    def readall(self) -> bytes:
        return self._fail()

    def readinto(self, buffer: Buffer, /) -> int:
        return super().readinto(buffer) or len(self._fail())

    def getvalue(self) -> bytes:
        return self._fail()

    def getbuffer(self) -> memoryview:
        return memoryview(self._fail())

    @staticmethod
    def _fail() -> bytes:
        raise OSError(errno.EIO, "input/output error")
