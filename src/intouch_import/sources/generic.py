"""Any other fsspec location: SFTP, SMB, memory, an object store without a module of its own."""

from __future__ import annotations

import contextlib
import os
import posixpath
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from intouch_import import disk
from intouch_import.content import StagedContent, staging_file
from intouch_import.errors import (
    ConfigError,
    FileChanged,
    FileUnreadable,
    FileVanished,
    InTouchImportError,
    MissingExtraError,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
    StillArriving,
)
from intouch_import.model import EntryKind, SourceFile
from intouch_import.sources.base import Source, Weakness, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content

__all__ = ["FsspecSource"]

_KINDS = {"file": EntryKind.FILE, "directory": EntryKind.FOLDER, "link": EntryKind.LINK}
_TAGS = ("etag", "ETag", "rev", "version_id", "checksum", "md5")
_TIMES = ("mtime", "modified", "LastModified", "last_modified", "updated", "created")


class FsspecSource(Source):
    """A folder of any fsspec file system.

    fsspec knows no removal on condition of a version. So before a file is removed it is read once more
    and compared with what was stored; what remains open is the time between that and the removal.

    Args:
        path: Folder within the file system, decoded.
        protocol: fsspec's name of the location, such as ``"sftp"``.
        options: Passed to fsspec.

    Raises:
        ConfigError: fsspec knows no such location.
        MissingExtraError: A package that it needs is not installed.
        SourceUnavailable: The folder can't be listed.
    """

    location: ClassVar[str] = "fsspec"
    weaknesses = (
        Weakness.REMOVAL_NOT_PINNED,
        Weakness.VERSION_MAY_REPEAT,
        Weakness.PUT_MAY_OVERWRITE,
        Weakness.PUT_SEEN_UNFINISHED,
        Weakness.LINKS_TOLD_BY_LISTING,
    )

    def __init__(
        self,
        path: str,
        *,
        protocol: str,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
        **options: Any,
    ) -> None:
        import fsspec

        self.location = protocol  # type: ignore[misc]  # what kind of place it is, is known only now
        try:
            known = fsspec.get_filesystem_class(protocol)
            self._fs, self._folder = fsspec.core.url_to_fs(f"{protocol}://{path}", **options)
        except ValueError as exc:
            raise ConfigError("fsspec knows no such location") from exc
        except ImportError as exc:
            raise MissingExtraError("that location needs a package that is not installed") from exc
        except OSError as exc:
            raise SourceUnavailable("the location can't be reached") from _hidden(exc)
        self._renames = known.mv is not fsspec.AbstractFileSystem.mv
        self._folder = self._folder.rstrip("/")
        super().__init__(f"{protocol}://{path}", provider=provider, source_id=source_id, label=label)
        with self._failing("the folder can't be listed"):
            if not self._fs.isdir(self._folder or "/"):
                raise SourceUnavailable("the source is not a folder", source_id=self.source_id)

    @property
    def filesystem(self) -> AbstractFileSystem:
        return self._fs

    def scan(self) -> Iterator[SourceFile]:
        with self._failing("the folder can't be listed"):
            self._fs.invalidate_cache()
            entries = self._fs.ls(self._folder, detail=True)
            if not isinstance(entries, list):
                raise SourceUnavailable("the listing is not one", source_id=self.source_id)
            for entry in entries:
                folder, _, name = str(entry["name"]).rstrip("/").rpartition("/")
                if name and _same_folder(folder, self._folder):
                    yield self._source_file(name, entry)

    def look(self, name: str) -> SourceFile | None:
        check_name(name, windows=False)
        with self._failing("the location can't be asked"):
            self._fs.invalidate_cache()
            try:
                return self._source_file(name, self._fs.info(self._path(name)))
            except FileNotFoundError:
                return None

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        self._compare(file)
        with staging_file(staging) as (target, path):
            digested = self._read(file, target)
            if digested.size_bytes != file.size_bytes:
                raise StillArriving("the file is longer or shorter than it was listed")
            self._compare(file)
        return StagedContent(path, digested)

    def remove(self, file: SourceFile, *, sha256: str) -> None:
        self._compare(file)
        if self._read(file, None).sha256 != sha256:
            raise FileChanged("the file is no longer the one that was stored")
        try:
            self._fs.rm_file(self._path(file.name))
        except FileNotFoundError:
            raise FileVanished("the file is no longer there") from None
        except Exception as exc:  # noqa: BLE001  # fsspec file systems raise anything
            raise NotRemoved("the file could not be removed") from _hidden(exc)
        # Some file systems log a failed removal and return as if all were well.
        if self.look(file.name) is not None:
            raise NotRemoved("the file is still there after its removal")

    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        check_name(name)
        if self.look(name) is not None:
            raise NameTaken("a file of that name is there already")
        temporary = self._path(f".intouch-{secrets.token_hex(8)}.part")
        with self._failing("the file could not be written"):
            try:
                with self._fs.open(temporary, "wb") as target:
                    disk.copy_and_digest(chunks, target)
                if self._renames:
                    self._fs.mv(temporary, self._path(name))
                else:
                    self._fs.cp_file(temporary, self._path(name))
            finally:
                with contextlib.suppress(Exception):  # renamed already, or never written
                    self._fs.rm_file(temporary)
        there = self.look(name)
        if there is None:
            raise SourceUnavailable("the file is not there after it was written", source_id=self.source_id)
        return there

    def _read(self, file: SourceFile, target: Any) -> disk.Digested:
        try:
            with self._fs.open(self._path(file.name), "rb") as stream:
                return disk.digest_stream(stream, target)
        except FileNotFoundError:
            raise FileVanished("the file is no longer there") from None
        except Exception as exc:  # fsspec file systems raise anything
            if isinstance(exc, OSError) and exc.errno in disk.NO_ROOM:
                raise
            raise FileUnreadable("the file could not be read") from _hidden(exc)

    def _compare(self, file: SourceFile) -> None:
        there = self.look(file.name)
        if there is None:
            raise FileVanished("the file is no longer there")
        if there.kind is not EntryKind.FILE or there.version != file.version:
            raise FileChanged("the file is no longer the version that was listed")

    def _path(self, name: str) -> str:
        check_name(name, windows=False)
        return posixpath.join(self._folder, name)

    def _source_file(self, name: str, info: Mapping[str, Any]) -> SourceFile:
        kind = EntryKind.LINK if info.get("islink") else _KINDS.get(str(info.get("type")), EntryKind.SPECIAL)
        size = int(info.get("size") or 0) if kind is EntryKind.FILE else 0
        modified_ns = _modified_ns(info)
        tag = next((str(info[key]) for key in _TAGS if info.get(key)), str(modified_ns or ""))
        return SourceFile(
            name=name, kind=kind, size_bytes=size, modified_ns=modified_ns, version=f"{tag}-{size:x}"
        )

    @contextlib.contextmanager
    def _failing(self, text: str) -> Iterator[None]:
        """Whatever a file system raises becomes a `SourceUnavailable`; what is ours passes."""
        try:
            yield
        except InTouchImportError:
            raise
        except Exception as exc:  # noqa: BLE001  # fsspec file systems raise anything
            raise SourceUnavailable(text, source_id=self.source_id) from _hidden(exc)


def _same_folder(one: str, other: str) -> bool:
    return one.strip("/") == other.strip("/")


def _modified_ns(info: Mapping[str, Any]) -> int | None:
    value = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1_000_000) * 1000
    if isinstance(value, (int, float)):
        return int(value * 1_000_000) * 1000
    return None


def _hidden(exc: BaseException) -> Exception:
    """The kind of an error without its text, which holds paths."""
    if isinstance(exc, OSError) and exc.errno is not None:
        return OSError(exc.errno, os.strerror(exc.errno))
    return RuntimeError(type(exc).__name__)
