"""Folders on an SSH server, with fsspec's SFTP file system and paramiko."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from intouch_import import disk
from intouch_import.errors import ConfigError, NameTaken
from intouch_import.remote import open_sftp
from intouch_import.sources.base import Weakness
from intouch_import.sources.generic import FsspecSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from typing import BinaryIO

    from fsspec import AbstractFileSystem

    from intouch_import.model import SourceFile

__all__ = ["SftpSource"]

_READ_AHEAD_FROM_BYTES = 64 * 1024


class SftpSource(FsspecSource):
    """A folder on an SSH server: ``sftp://me@tower/export``.

    The version of a file is its size and its time in whole seconds: the protocol has nothing else. A link
    that takes the place of a file is recognised, and `put` uses a rename that replaces nothing. As in every
    fsspec location, a removal can't be pinned to a version.

    The server's key must be known; by default it is looked up in ``~/.ssh/known_hosts``.

    Args:
        path: ``[user@]host[:port]/folder``.
        known_hosts: Another file of known keys.
        timeout_s: How long to wait for each answer, seconds.
        options: Options for paramiko: ``username``, ``port``, ``key_filename``, ``password``…

    Raises:
        ConfigError: An option is not valid.
        MissingExtraError: paramiko is not installed.
        SourceUnavailable: The server can't be reached, has another key than the known one, or refuses the
            login; or the folder does not exist.
    """

    location: ClassVar[str] = "sftp"
    weaknesses = (Weakness.REMOVAL_NOT_PINNED, Weakness.VERSION_MAY_REPEAT)

    def __init__(
        self,
        path: str,
        *,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
        **options: Any,
    ) -> None:
        if "?" in path.partition("/")[0]:
            raise ConfigError("give the options of an SFTP folder by name, not in its URL")
        super().__init__(
            path, protocol="sftp", provider=provider, source_id=source_id, label=label, **options
        )

    def _connect(self, url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
        return open_sftp(url, **options)

    def _entries(self, filesystem: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
        from intouch_import._paramiko import described

        for name, attributes in filesystem.ftp.entries(self._folder or "/"):
            yield name, described(attributes)

    def _info(self, filesystem: Any, name: str) -> Mapping[str, Any]:
        from intouch_import._paramiko import described

        return described(filesystem.ftp.lstat(self._path(name)))

    def _open(self, filesystem: Any, file: SourceFile) -> BinaryIO:
        if file.size_bytes > _READ_AHEAD_FROM_BYTES:
            return cast("BinaryIO", filesystem.ftp.open_ahead(self._path(file.name), file.size_bytes))
        return cast("BinaryIO", filesystem.ftp.open(self._path(file.name), "rb"))

    def _write(self, filesystem: Any, chunks: Iterable[bytes], target: Any) -> disk.Digested:
        target.set_pipelined()  # otherwise each block of 32 KiB waits for its answer
        digested = disk.copy_and_digest(chunks, target)
        filesystem.ftp.sync(target)
        return digested

    def _unlink(self, filesystem: Any, name: str) -> None:
        filesystem.ftp.unlink(self._path(name))

    def _set_time(self, filesystem: Any, path: str, modified_at: datetime) -> None:
        at = int(modified_at.timestamp())
        filesystem.ftp.utime(path, (at, at))

    def _publish(self, filesystem: Any, temporary: str, final: str) -> None:
        try:
            filesystem.mv(temporary, final)  # replaces nothing, but gives no reason when it refuses
        except OSError:
            if self._look(filesystem, final.rpartition("/")[2]) is not None:
                raise NameTaken("a file with this name exists already") from None
            raise
