"""`DropboxFileSystem`: ``dropboxdrivefs`` without the parts that lose or mix up files."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import tempfile
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from dropboxdrivefs import DropboxDriveFileSystem
from fsspec import AbstractFileSystem

from intouch_import.dropbox.account import WriteState
from intouch_import.dropbox.errors import Refused, explaining
from intouch_import.dropbox.listing import folded, key_of, pages, parent_of, source_file
from intouch_import.dropbox.transfer import delete, download, upload
from intouch_import.errors import FileVanished, NameTaken
from intouch_import.model import EntryKind
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.dropbox.account import Account

__all__ = ["DropboxFileSystem"]

_TYPES: Final = {EntryKind.FILE: "file", EntryKind.FOLDER: "directory"}


class DropboxFileSystem(DropboxDriveFileSystem):  # type: ignore[misc]  # it is not typed
    """A Dropbox as an fsspec file system, to look around in.

    It can list, inspect and read files, and write single files without overwriting or renaming others. Only
    `rm_file` deletes a file, in its present version. If Dropbox can't be asked, a method raises, and the
    folder does not look empty. The operations that fsspec composes of several steps (`mv`, `copy`, recursive
    `rm`) are closed.

    Args:
        account: The Dropbox.
    """

    protocol: ClassVar[str] = "dropbox"
    cachable = False  # fsspec's cache would keep the account and give it to others

    def __init__(self, account: Account) -> None:
        # The constructor of DropboxDriveFileSystem would open a session that sends the token to other hosts.
        AbstractFileSystem.__init__(self)
        self._account = account

    # --- list and inspect

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:  # noqa: FBT001, FBT002
        """List a folder, in no particular order; for a file, the file itself."""
        path = self._strip_protocol(path)
        with _as_os_errors():
            try:
                found = self._listed(path)
            except Refused as exc:
                if not exc.says("not_folder"):
                    raise
                found = [self._info(path)]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Return what is at a path."""
        with _as_os_errors():
            return self._info(self._strip_protocol(path))

    def exists(self, path: str, **_options: Any) -> bool:
        """Whether there is anything at a path. Raises if Dropbox can't be asked."""
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether there is a file at a path."""
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        """Whether there is a folder at a path."""
        return self._type(path) == "directory"

    def created(self, path: str) -> Any:
        """Return when the program that wrote the file last changed it: Dropbox has no other time."""
        return self.info(path)["modified"]

    modified = created

    # --- read and write one file

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> IO[bytes] | _Upload:
        path = self._strip_protocol(path)
        match mode:
            case "rb":
                return self._fetched(path)
            case "wb" | "xb":
                return _Upload(self._account, path, overwrite=mode == "wb")
        raise NotImplementedError("a file of a Dropbox is read or written whole: mode rb, wb or xb")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        """Return the bytes of a file, all of one version and verified."""
        with self._fetched(self._strip_protocol(path)) as file:
            return file.read()[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_options: Any) -> None:
        """Write a whole file."""
        with _Upload(self._account, self._strip_protocol(path), overwrite=mode != "create") as file:
            file.write(value)

    def rm_file(self, path: str) -> None:
        """Delete a file in its present version. A folder is an error."""
        path = self._strip_protocol(path)
        with _as_os_errors():
            file = source_file(self._file_entry(path))
            with self._account.writer:
                delete(self._account, path, file, WriteState())

    _rm = rm_file

    def mkdir(self, path: str, create_parents: bool = True, **_options: Any) -> None:  # noqa: FBT001, FBT002
        """Create a folder. Dropbox also creates the missing folders above it."""
        path = self._strip_protocol(path)
        if not create_parents:
            self.info(parent_of(path))
        arg = {"path": path, "autorename": False}
        with _as_os_errors(), self._account.writer:
            try:
                self._account.ask(lambda: self._account.client.call("files/create_folder_v2", arg))
            except Refused as exc:
                if exc.says("conflict"):
                    raise _os_error(errno.EEXIST) from None
                raise

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002  # fsspec's signature
        """Create a folder and the missing folders above it."""
        try:
            self.mkdir(path)
        except FileExistsError:
            if not exist_ok or not self.isdir(path):
                raise

    # --- closed

    def _closed(self, *_args: Any, **_options: Any) -> NoReturn:
        raise NotImplementedError("this takes several steps in a Dropbox, and could lose files between them")

    rm = rmdir = mv = move = copy = cp_file = _closed
    connect = _call = _closed

    def to_json(self, **_options: Any) -> NoReturn:
        """Refuse: a file system holds a sign-in."""
        refuse_to_pickle(self)

    to_dict = to_json
    __reduce__ = refuse_to_pickle

    def __repr__(self) -> str:
        return "<DropboxFileSystem>"

    # --- inside

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path).removeprefix("dropbox://")
        segments = [segment for segment in text.split("/") if segment]
        if any(segment in {".", ".."} for segment in segments):
            raise ValueError("a path in a Dropbox must not contain . or ..")
        return "".join(f"/{segment}" for segment in segments)

    def _type(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return None

    def _listed(self, path: str) -> list[dict[str, Any]]:
        key = folded(path)
        entries: dict[str, dict[str, Any]] = {}
        for page, _ in pages(self._account.read, path, None):
            for entry in page:
                at = key_of(entry, key)
                if entry.get(".tag") == "deleted":
                    for gone in [one for one in entries if one == at or one.startswith(f"{at}/")]:
                        del entries[gone]
                else:
                    entries[at] = _described(entry, path)
        return list(entries.values())

    def _info(self, path: str) -> dict[str, Any]:
        if path == "":  # the API has no metadata of the root
            return {"name": "", "size": 0, "type": "directory"}
        return _described(self._entry(path), parent_of(path))

    def _entry(self, path: str) -> dict[str, Any]:
        found = self._account.metadata(path)
        if found is None:
            raise _os_error(errno.ENOENT)
        return found

    def _file_entry(self, path: str) -> dict[str, Any]:
        found = self._entry(path)
        if found.get(".tag") != "file":
            raise _os_error(errno.EISDIR)
        return found

    def _fetched(self, path: str) -> IO[bytes]:
        with _as_os_errors():
            found = self._file_entry(path)
            folder = parent_of(key_of(found, folded(parent_of(path))))
            content = download(self._account, path, source_file(found), folder=folder, staging=None)
        with content:
            file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
            with content.open() as staged:
                shutil.copyfileobj(staged, file)
        file.seek(0)
        return file


class _Upload(io.BufferedRandom):
    """A file to write to. It appears when it is closed, and not at all if the ``with`` block raises."""

    def __init__(self, account: Account, path: str, *, overwrite: bool) -> None:
        self._account = account
        self._path = path
        self._overwrite = overwrite
        # On Windows it is a wrapper, which has the methods of a raw file and not its type.
        file: Any = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # `close` closes it
        super().__init__(file)

    def discard(self) -> None:
        """Close the file without writing it to Dropbox."""
        super().close()

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.seek(0)
            with _as_os_errors():
                chunks = iter(lambda: self.read(1024 * 1024), b"")
                upload(self._account, self._path, chunks, mode=self._mode())
        finally:
            self.discard()

    def __exit__(self, kind: object = None, *_exception: object) -> None:
        if kind is not None:
            self.discard()
        else:
            self.close()

    def __del__(self) -> None:
        # The program lost the file without closing it: half a file must not appear.
        self.discard()

    def _mode(self) -> str | dict[str, str]:
        there = self._account.metadata(self._path) if self._overwrite else None
        if there is None or there.get(".tag") != "file":
            return "add"
        return {".tag": "update", "update": str(there.get("rev"))}


def _described(entry: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return an entry as fsspec wants it. Its path is the folder that was asked for, and its name."""
    file = source_file(entry)
    return {
        "name": f"{folder}/{file.name}",
        "size": file.size_bytes if file.kind is EntryKind.FILE else None,
        "type": _TYPES.get(file.kind, "other"),
        "id": file.handle,
        "rev": file.version,
        "modified": file.modified_at,
        "content_hash": entry.get("content_hash"),
    }


def _os_error(number: int) -> OSError:
    """Return ``FileNotFoundError`` and the like, without a path."""
    return OSError(number, os.strerror(number))


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    """Turn our errors into those that users of fsspec expect, where there is one, without a path."""
    try:
        with explaining("the operation failed"):
            try:
                yield
            except Refused as exc:
                if exc.says("not_found"):
                    raise _os_error(errno.ENOENT) from None
                raise
    except FileVanished:
        raise _os_error(errno.ENOENT) from None
    except NameTaken:
        raise _os_error(errno.EEXIST) from None
