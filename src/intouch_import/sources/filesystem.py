"""`SourceFileSystem`: any source as a read-only fsspec file system."""

from __future__ import annotations

import contextlib
import glob
import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn, Protocol, Self

from fsspec import AbstractFileSystem
from fsspec.core import has_magic

from intouch_import.errors import ConfigError, FileVanished, NameRefused, SourceError
from intouch_import.model import EntryKind, SourceFile
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.content import Content

__all__ = ["SourceFileSystem"]

_TYPES: Final = {EntryKind.FILE: "file", EntryKind.FOLDER: "directory", EntryKind.LINK: "link"}


class _Readable(Protocol):
    """What is used of a `Source`. That class imports this module, so this module can't import it."""

    source_id: str

    def scan(self) -> Iterator[SourceFile]: ...
    def look(self, name: str) -> SourceFile | None: ...
    def fetch(self, file: SourceFile) -> Content: ...
    def peek(self, file: SourceFile, size_bytes: int) -> tuple[bytes, bytes] | None: ...
    def below(self, *folders: str, source_id: str) -> Self: ...
    def close(self) -> None: ...


class SourceFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """The folder of a source as ``/``, and the folders below it, for reading.

    A file is read by `Source.fetch`: one version, complete, and compared with the location's own hash. So
    opening a file reads all of it. Links are listed and not followed. If the location can't be reached, all
    methods raise `SourceError`; a folder never looks empty because of that. All methods that write or delete
    raise `NotImplementedError`.

    Args:
        source: The source. Close it after this file system was used.
    """

    protocol = "intouch"
    root_marker = "/"
    cachable = False  # fsspec's cache would keep the source, and give it to others

    def __init__(self, source: _Readable, **_options: Any) -> None:
        super().__init__()
        self._source = source

    # --- list and inspect

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:  # noqa: FBT001, FBT002
        """List a folder, in no particular order; for a file, the file itself."""
        path = self._strip_protocol(path)
        parts = _parts(path)
        try:
            with self._opened(parts) as source:
                found = [_described(file, parts) for file in source.scan()]
        except NotADirectoryError:
            found = []
        # In object stores, a folder that does not exist is listed as an empty one.
        if not found and (there := self.info(path))["type"] != "directory":
            found = [there]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Return what is at a path: name, type, size, modification time and version."""
        parts = _parts(self._strip_protocol(path))
        if not parts:
            return {"name": "/", "size": 0, "type": "directory"}
        with self._at(parts) as (_, file):
            return _described(file, parts[:-1])

    def exists(self, path: str, **_options: Any) -> bool:
        """Return whether there is anything at a path. fsspec's own method returns False on any error."""
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        """Return whether there is a file at a path."""
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        """Return whether there is a folder at a path."""
        return self._type(path) == "directory"

    def modified(self, path: str) -> Any:
        """Return the modification time, aware, UTC; None if the location has none."""
        return self.info(path)["mtime"]

    def expand_path(self, path: Any, *arguments: Any, **options: Any) -> list[str]:
        """Expand wildcards. If a file has exactly this name, as ``IMG[1].jpg``, return only that file."""
        literal = self._literal(path) if isinstance(path, str) else [self._literal(one) for one in path]
        return list(super().expand_path(literal, *arguments, **options))

    # --- read

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        """Return the bytes of a file, or a part of them. The ends of a file are read alone where possible."""
        if start is None and end is None:
            with self.open(path, "rb") as stream:
                return bytes(stream.read())
        with self._at_file(path) as (source, file):
            first, after, _ = slice(start, end).indices(file.size_bytes)
            head_bytes, tail_bytes = after, file.size_bytes - first
            ends = source.peek(file, min(head_bytes, tail_bytes)) if first < after else (b"", b"")
        if ends is None:
            with self.open(path, "rb") as stream:
                stream.seek(first)
                return bytes(stream.read(after - first))
        if head_bytes <= tail_bytes:
            return ends[0][first:after]
        return ends[1][: after - first]

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> BinaryIO:
        if mode != "rb":
            _refuse()
        with self._at_file(path) as (source, file):
            try:
                return _Reading(source.fetch(file))
            except FileVanished:
                raise _missing() from None

    # --- inside

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return "/" + "/".join(_parts(os.fspath(path).removeprefix("intouch://")))

    def _literal(self, path: str) -> str:
        return glob.escape(path) if has_magic(path) and self.exists(path) else path

    def _type(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextlib.contextmanager
    def _opened(self, folders: list[str]) -> Iterator[_Readable]:
        """Open a folder below the source.

        Raises:
            FileNotFoundError: There is nothing at this path.
            NotADirectoryError: There is a file or a link.
            SourceError: The location could not be reached.
        """
        if not folders:
            yield self._source  # which the host closes
            return
        try:
            source = self._source.below(*folders, source_id=self._source.source_id)
        except NameRefused:
            raise _missing() from None
        except (SourceError, ConfigError):
            # Find out why: a missing folder, and a location that can't be reached, raise the same error.
            with self._at(folders) as (_, found):
                if found.kind is EntryKind.FOLDER:
                    raise
            raise NotADirectoryError("the path is not a folder") from None
        with contextlib.closing(source):
            yield source

    @contextlib.contextmanager
    def _at(self, parts: list[str]) -> Iterator[tuple[_Readable, SourceFile]]:
        """Look up a path. Yield the source of its folder, and what is there."""
        with self._opened(parts[:-1]) as source:
            try:
                file = source.look(parts[-1])
            except NameRefused:
                file = None
            if file is None:
                raise _missing()
            yield source, file

    @contextlib.contextmanager
    def _at_file(self, path: str) -> Iterator[tuple[_Readable, SourceFile]]:
        parts = _parts(self._strip_protocol(path))
        if not parts:
            raise IsADirectoryError("the path is a folder")
        with self._at(parts) as (source, file):
            if file.kind is EntryKind.FOLDER:
                raise IsADirectoryError("the path is a folder")
            if file.kind is not EntryKind.FILE:
                raise PermissionError("the path is a link or a device, which is not read")
            yield source, file

    # --- identity and secrets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourceFileSystem) and other._source is self._source

    def __hash__(self) -> int:
        return hash((SourceFileSystem, id(self._source)))

    def __repr__(self) -> str:
        return f"<SourceFileSystem {self._source.source_id}>"

    def to_json(self, **_options: Any) -> NoReturn:
        """Refuse: a source may have a sign-in or a key."""
        refuse_to_pickle(self)

    to_dict = to_json
    __reduce__ = refuse_to_pickle


class _Reading(io.BufferedReader):
    """An open file. Closing it deletes the temporary copy."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size_bytes  # fsspec reads it
        stream: Any = content.open()
        super().__init__(stream)

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                self._content.close()


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _described(file: SourceFile, folders: list[str]) -> dict[str, Any]:
    return {
        "name": "/" + "/".join((*folders, file.name)),
        "size": file.size_bytes,
        "type": _TYPES.get(file.kind, "other"),
        "mtime": file.modified_at,
        "version": file.version,
    }


def _missing() -> FileNotFoundError:
    return FileNotFoundError("there is nothing at this path")


def _refuse(*_args: Any, **_options: Any) -> NoReturn:
    raise NotImplementedError("this file system is read-only: only a move removes files from a source")


# The methods that change something. fsspec's other names for them call these, except the names in line 2.
for _name in (
    *("cp_file", "copy", "makedirs", "mkdir", "mv", "pipe", "pipe_file", "put", "put_file", "rm", "rm_file"),
    *("_rm", "rmdir", "touch", "write_bytes", "write_text", "start_transaction"),
):
    setattr(SourceFileSystem, _name, _refuse)
