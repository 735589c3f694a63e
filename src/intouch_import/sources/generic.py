"""All other fsspec locations: SMB, FTP, memory, object stores that have no module here."""

from __future__ import annotations

import contextlib
import posixpath
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from intouch_import import disk
from intouch_import.content import StagedContent, staging_file
from intouch_import.errors import (
    FileChanged,
    FileUnreadable,
    FileVanished,
    InTouchImportError,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
    StillArriving,
)
from intouch_import.model import EntryKind, SourceFile
from intouch_import.remote import Connections, hidden, modified_ns, reading, renames, write_whole
from intouch_import.sources.base import ConnectedSource, Weakness, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content

__all__ = ["FsspecSource"]

_KINDS = {"file": EntryKind.FILE, "directory": EntryKind.FOLDER, "link": EntryKind.LINK}
_TAGS = ("etag", "ETag", "rev", "version_id", "checksum", "md5")


class FsspecSource(ConnectedSource):
    """A folder of any fsspec file system.

    What fsspec can't promise for any location (`Weakness`):

    - *Removal.* fsspec can't remove a file only if it has a given version. So the file is read again before
      its removal and compared with the stored bytes. A change between the two remains a risk.
    - *Version.* The version is an etag, a revision or a checksum if the location has one; otherwise size and
      time, or the size alone. A file that changes while it is read and keeps its version may be read in
      parts. The second reading, before the removal, finds that, and the file stays.
    - *Links.* Entries that a listing shows as links are not read. Some file systems follow a link that later
      takes the place of a file.
    - *Putting.* A file is written under a hidden name, its size is compared, and then it is renamed, or
      copied if the file system has no rename; an unfinished copy may be visible. The name is checked to be
      free before that, but not reserved.
    - *Empty folders.* Object stores have no folders. An empty folder is reported as missing, not as empty.

    Args:
        path: Folder within the file system, decoded.
        protocol: fsspec's name for the location, such as ``"smb"``.
        options: Options for fsspec.

    Raises:
        ConfigError: fsspec has no such location.
        MissingExtraError: The location needs a package that is not installed.
        SourceUnavailable: The folder can't be listed.
    """

    location: ClassVar[str] = "fsspec"
    weaknesses: tuple[Weakness, ...] = (
        Weakness.REMOVAL_NOT_PINNED,
        Weakness.VERSION_MAY_REPEAT,
        Weakness.PUT_MAY_OVERWRITE,
        Weakness.LINKS_ONLY_IN_LISTINGS,
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
        self.location = protocol  # type: ignore[misc]  # known only here, not in the class
        url = f"{protocol}://{path}"
        super().__init__(_public(url), provider=provider, source_id=source_id, label=label)
        with self._failing("the location can't be reached"):
            self._connections = Connections(url, options, opened=self._connect)
        if not renames(self._connections.kind):
            self.weaknesses = (*self.weaknesses, Weakness.PUT_SEEN_UNFINISHED)
        self._folder = self._connections.path.rstrip("/")
        with self._asking("the folder can't be listed") as filesystem:
            self._check_folder(filesystem)

    def _descend(self, folders: Sequence[str]) -> None:
        with self._asking("the folder can't be looked for") as filesystem:
            for folder in folders:
                # One by one: a path with several parts would be followed through links.
                there = self._look(filesystem, folder)
                if there is None:
                    raise SourceUnavailable("the folder does not exist", source_id=self.source_id)
                if there.kind is not EntryKind.FOLDER:
                    raise SourceUnavailable(
                        "a link or a file has taken the place of a listed folder",
                        source_id=self.source_id,
                        retry_helps=False,
                    )
                self._folder = self._path(folder)

    def _disconnect(self) -> None:
        self._connections.close()

    # --- the five operations

    def scan(self) -> Iterator[SourceFile]:
        with self._asking("the folder can't be listed") as filesystem:
            files = [self._source_file(name, info) for name, info in self._entries(filesystem)]
            if not files:
                self._check_folder(filesystem)  # some list a missing folder as empty
        yield from files

    def look(self, name: str) -> SourceFile | None:
        check_name(name, windows=False)
        with self._asking("the location can't be asked") as filesystem:
            found = self._look(filesystem, name)
            if found is None:
                self._check_folder(filesystem)
            return found

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        with self._asking("the location can't be asked") as filesystem:
            self._compare(filesystem, file)
            with staging_file(staging) as (target, path):
                digested = self._read(filesystem, file, target)
                if digested.size_bytes != file.size_bytes:
                    raise StillArriving("the file has another size than it was listed with")
                self._compare(filesystem, file)
        return StagedContent(path, digested)

    def peek(self, file: SourceFile, size_bytes: int) -> tuple[bytes, bytes] | None:
        with self._asking("the location can't be asked") as filesystem:
            self._compare(filesystem, file)
            with self._open(filesystem, file) as stream:
                head = stream.read(size_bytes)
                stream.seek(max(0, file.size_bytes - size_bytes))
                return head, stream.read(size_bytes)

    def remove(self, file: SourceFile, *, sha256: str) -> None:
        failure: NotRemoved | None = None
        try:
            with self._asking("the location can't be asked") as filesystem:
                self._compare(filesystem, file)
                if self._read(filesystem, file, None).sha256 != sha256:
                    raise FileChanged("the file is no longer the one that was stored")
                self._try_to_unlink(filesystem, file.name)
        except NotRemoved as exc:
            failure = exc
        # Look again in both cases: some file systems log a failed removal and return normally, and a removal
        # may have taken effect although its answer was lost.
        with self._asking("it is not known whether the file was removed") as filesystem:
            there = self._look(filesystem, file.name)
        if there is None:
            return
        if there.version == file.version:
            raise failure or NotRemoved("the file is still there after its removal")
        if failure is not None:
            raise FileChanged("the file is no longer the version that was listed")

    def put_back(self, name: str, chunks: Iterable[bytes], *, modified_at: datetime | None) -> SourceFile:
        return self.put(name, chunks, modified_at=modified_at)

    def put(self, name: str, chunks: Iterable[bytes], *, modified_at: datetime | None = None) -> SourceFile:
        check_name(name)
        with self._asking("the file could not be written") as filesystem:

            def publish(temporary: str, final: str) -> None:
                self._must_be_free(filesystem, name)  # again: writing may have taken minutes
                if modified_at is not None:
                    with contextlib.suppress(Exception):  # an impossible time must not keep the file away
                        self._set_time(filesystem, temporary, modified_at)
                self._publish(filesystem, temporary, final)

            self._must_be_free(filesystem, name)
            write_whole(
                filesystem,
                self._path(f".intouch-{secrets.token_hex(8)}.part"),
                self._path(name),
                lambda target: self._write(filesystem, chunks, target),
                publish=publish,
            )
            there = self._look(filesystem, name)
        if there is None:
            raise SourceUnavailable("the file is not there after it was written", source_id=self.source_id)
        return there

    # --- what a subclass may do better

    def _connect(self, url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
        """Open a new connection. Return it and the path of the folder in it."""
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(url, **options)
        return filesystem, path

    def _entries(self, filesystem: AbstractFileSystem) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """List what is directly in the folder: names and what fsspec says about them."""
        entries = filesystem.ls(self._folder, detail=True)
        if not isinstance(entries, list):
            raise SourceUnavailable("the answer is not a listing", source_id=self.source_id)
        for entry in entries:
            path = str(entry["name"]).rstrip("/")
            if path.strip("/") == self._folder.strip("/"):
                continue  # object stores also list a marker for the folder itself
            folder, _, name = path.rpartition("/")
            if not name or folder.strip("/") != self._folder.strip("/"):
                # Fail: entries that are left out silently would never be imported.
                raise SourceUnavailable("the listing shows another folder", source_id=self.source_id)
            yield name, entry

    def _info(self, filesystem: AbstractFileSystem, name: str) -> Mapping[str, Any]:
        """Return what fsspec says about one name in the folder.

        Raises:
            FileNotFoundError: There is nothing with this name.
        """
        found: Mapping[str, Any] = filesystem.info(self._path(name))
        return found

    def _open(self, filesystem: AbstractFileSystem, file: SourceFile) -> BinaryIO:
        return reading(filesystem.open(self._path(file.name), "rb"))

    def _write(
        self,
        filesystem: AbstractFileSystem,  # noqa: ARG002  # for subclasses that must ask it to make bytes durable
        chunks: Iterable[bytes],
        target: BinaryIO,
    ) -> disk.Digested:
        return disk.copy_and_digest(chunks, target)

    def _unlink(self, filesystem: AbstractFileSystem, name: str) -> None:
        filesystem.rm_file(self._path(name))

    def _set_time(self, filesystem: AbstractFileSystem, path: str, modified_at: datetime) -> None:
        """Set the modification time of a file. fsspec can't do it."""

    def _publish(self, filesystem: AbstractFileSystem, temporary: str, final: str) -> None:
        """Give a complete file its name.

        Raises:
            NameTaken: The location refuses to replace a file.
        """
        (filesystem.mv if renames(type(filesystem)) else filesystem.cp_file)(temporary, final)

    # --- inside

    def _check_folder(self, filesystem: AbstractFileSystem) -> None:
        """Check that the folder exists: a missing folder could look like an empty one."""
        try:
            kind = str(filesystem.info(self._folder or "/")["type"])
        except FileNotFoundError:
            raise SourceUnavailable("the folder does not exist", source_id=self.source_id) from None
        if kind != "directory":
            raise SourceUnavailable("the source is not a folder", source_id=self.source_id)

    def _must_be_free(self, filesystem: AbstractFileSystem, name: str) -> None:
        if self._look(filesystem, name) is not None:
            raise NameTaken("a file with this name exists already")
        self._check_folder(filesystem)

    def _look(self, filesystem: AbstractFileSystem, name: str) -> SourceFile | None:
        filesystem.invalidate_cache()
        try:
            return self._source_file(name, self._info(filesystem, name))
        except FileNotFoundError:
            return None

    def _read(self, filesystem: AbstractFileSystem, file: SourceFile, target: Any) -> disk.Digested:
        try:
            with self._open(filesystem, file) as stream:
                return disk.digest_stream(stream, target)
        except FileNotFoundError:
            raise FileVanished("the file is no longer there") from None
        except Exception as exc:  # fsspec file systems raise anything
            if isinstance(exc, OSError) and exc.errno in disk.NO_ROOM:
                raise
            raise FileUnreadable("the file could not be read") from hidden(exc)

    def _try_to_unlink(self, filesystem: AbstractFileSystem, name: str) -> None:
        try:
            self._unlink(filesystem, name)
        except FileNotFoundError:
            raise FileVanished("the file is no longer there") from None
        except Exception as exc:  # noqa: BLE001  # fsspec file systems raise anything
            raise NotRemoved("the file could not be removed") from hidden(exc)

    def _compare(self, filesystem: AbstractFileSystem, file: SourceFile) -> None:
        there = self._look(filesystem, file.name)
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
        modified = modified_ns(info)
        tag = next((str(info[key]) for key in _TAGS if info.get(key)), str(modified or ""))
        return SourceFile(
            name=name, kind=kind, size_bytes=size, modified_ns=modified, version=f"{tag}-{size:x}"
        )

    @contextlib.contextmanager
    def _asking(self, text: str) -> Iterator[AbstractFileSystem]:
        """Borrow a file system for one operation, and map its errors to ours."""
        with self._failing(text), self._connections.borrow() as filesystem:
            yield filesystem

    @contextlib.contextmanager
    def _failing(self, text: str) -> Iterator[None]:
        """Map every error of a file system to `SourceUnavailable`. Our own errors pass."""
        try:
            yield
        except InTouchImportError:
            raise
        except UnicodeEncodeError:
            raise NameRefused("the location does not allow this file name") from None
        except Exception as exc:  # noqa: BLE001  # fsspec file systems raise anything
            raise SourceUnavailable(text, source_id=self.source_id) from hidden(exc)


def _public(url: str) -> str:
    """Return the URL that id and label are made of: without password, which may change, and final slash."""
    protocol, slashes, rest = url.partition("://")
    server, slash, folder = rest.partition("/")
    user, at, host = server.rpartition("@")
    return f"{protocol}{slashes}{user.partition(':')[0]}{at}{host}{slash}{folder}".rstrip("/")
