"""The fsspec face of a Dropbox: ``dropboxdrivefs`` with what loses or mixes up files taken out."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from dropboxdrivefs import DropboxDriveFileSystem
from fsspec import AbstractFileSystem

from intouch_import.dropbox.account import Account, Doubt
from intouch_import.dropbox.errors import Misunderstood, Refused, Unanswered, failed
from intouch_import.dropbox.listing import folded, key_of, pages, parent_of, source_file
from intouch_import.dropbox.transfer import delete, download, upload
from intouch_import.errors import FileVanished, NameTaken
from intouch_import.model import EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["DropboxFileSystem"]

_TYPES: Final = {EntryKind.FILE: "file", EntryKind.FOLDER: "directory"}


class DropboxFileSystem(DropboxDriveFileSystem):  # type: ignore[misc]  # it is not typed
    """A Dropbox for whoever wants to look around in it with fsspec.

    Listing, information, reading, and single writes that never overwrite or rename by themselves. A file is
    deleted only by `rm_file`, in the version that stands there at that moment. Errors are errors: a location
    that can't be asked never looks like an empty one. What fsspec builds of several steps (`mv`, `copy`,
    recursive `rm`) is closed.

    Args:
        account: The Dropbox.
    """

    protocol: ClassVar[str] = "dropbox"
    cachable = False  # the cache would keep the account, and give it to whoever asks in the same words

    def __init__(self, account: Account) -> None:
        # Not the constructor of the class above, which sends the token to wherever a link leads.
        AbstractFileSystem.__init__(self)
        self._account = account

    # --- looking

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:  # noqa: FBT001, FBT002
        """What stands in a folder, in no particular order; of a file, the file itself."""
        path = self._strip_protocol(path)
        with _asking():
            try:
                found = self._listed(path)
            except Refused as exc:
                if not exc.says("not_folder"):
                    raise
                found = [self._info(path)]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """What stands at a path."""
        with _asking():
            return self._info(self._strip_protocol(path))

    def exists(self, path: str, **_options: Any) -> bool:
        """Whether anything stands at a path. Not being able to ask is an error, not a no."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """Whether a file stands at a path."""
        return self._is(path, "file")

    def isdir(self, path: str) -> bool:
        """Whether a folder stands at a path."""
        return self._is(path, "directory")

    def created(self, path: str) -> Any:
        """When the file was changed last, as its maker says: Dropbox keeps no other time of it."""
        return self.info(path)["modified"]

    modified = created

    # --- reading and writing one file

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> IO[bytes] | _Upload:
        path = self._strip_protocol(path)
        match mode:
            case "rb":
                return self._fetched(path)
            case "wb" | "xb":
                return _Upload(self._account, path, overwrite=mode == "wb")
        raise NotImplementedError("a file of a Dropbox is read or written whole: mode rb, wb or xb")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        """A file's bytes, of one version and checked."""
        with self._fetched(self._strip_protocol(path)) as file:
            return file.read()[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_options: Any) -> None:
        """Write a file whole."""
        with _Upload(self._account, self._strip_protocol(path), overwrite=mode != "create") as file:
            file.write(value)

    def rm_file(self, path: str) -> None:
        """Delete a file, in the version that stands there now. A folder is an error."""
        path = self._strip_protocol(path)
        with _asking():
            found = self._entry(path)
            if found.get(".tag") != "file":
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            with self._account.writing():
                delete(self._account, path, source_file(found), Doubt())

    _rm = rm_file

    def mkdir(self, path: str, create_parents: bool = True, **_options: Any) -> None:  # noqa: FBT001, FBT002
        """Make a folder. Dropbox makes those above it as well."""
        path = self._strip_protocol(path)
        if not create_parents:
            self.info(parent_of(path))
        with _asking(), self._account.writing():
            try:
                self._account.write(
                    lambda: self._account.client.call(
                        "files/create_folder_v2", {"path": path, "autorename": False}
                    ),
                    Doubt(),
                )
            except Refused as exc:
                if exc.says("conflict"):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
                raise

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002  # fsspec's
        """Make a folder and those above it."""
        try:
            self.mkdir(path)
        except FileExistsError:
            if not exist_ok or not self.isdir(path):
                raise

    # --- what is closed

    def _closed(self, *_args: Any, **_options: Any) -> NoReturn:
        raise NotImplementedError(
            "that is done of several steps here, and could lose files between two of them"
        )

    rm = rmdir = mv = move = copy = cp_file = _closed
    connect = _call = _closed

    def to_json(self, **_options: Any) -> NoReturn:
        """Refused: a file system holds a sign-in."""
        raise TypeError("a Dropbox file system holds a sign-in and is not serialised: open it anew")

    to_dict = to_json

    def __reduce__(self) -> NoReturn:
        self.to_json()

    def __repr__(self) -> str:
        return "<DropboxFileSystem>"

    # --- how

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path).removeprefix("dropbox://")
        segments = [segment for segment in text.split("/") if segment]
        if any(segment in {".", ".."} for segment in segments):
            raise ValueError("a path in a Dropbox has no . or ..")
        return "".join(f"/{segment}" for segment in segments)

    def _is(self, path: str, kind: str) -> bool:
        try:
            return bool(self.info(path)["type"] == kind)
        except FileNotFoundError:
            return False

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
                    entries[at] = _said(entry, path)
        return list(entries.values())

    def _info(self, path: str) -> dict[str, Any]:
        if path == "":  # the API knows no root
            return {"name": "", "size": 0, "type": "directory"}
        return _said(self._entry(path), parent_of(path))

    def _entry(self, path: str) -> dict[str, Any]:
        found = self._account.metadata(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return found

    def _fetched(self, path: str) -> IO[bytes]:
        with _asking():
            found = self._entry(path)
            if found.get(".tag") != "file":
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            folder = parent_of(key_of(found, folded(parent_of(path))))
            content = download(self._account, path, source_file(found), folder=folder, staging=None)
        with content:
            file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
            with content.open() as staged:
                while chunk := staged.read(256 * 1024):
                    file.write(chunk)
        file.seek(0)
        return file


class _Upload(io.RawIOBase):
    """A file that is written: it appears when it is closed, and not at all if the block fails."""

    def __init__(self, account: Account, path: str, *, overwrite: bool) -> None:
        super().__init__()
        self._account = account
        self._path = path
        self._overwrite = overwrite
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def discard(self) -> None:
        """Write nothing."""
        self._file.close()
        super().close()

    def close(self) -> None:
        if self.closed:
            return
        try:
            self._file.seek(0)
            with _asking():
                upload(self._account, self._path, self._chunks(), mode=self._mode())
        finally:
            self._file.close()
            super().close()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        else:
            self.close()

    def __del__(self) -> None:
        # Left behind without `close`: half a file must not appear.
        if not self.closed:
            self.discard()

    def _mode(self) -> str | dict[str, str]:
        there = self._account.metadata(self._path) if self._overwrite else None
        if there is None or there.get(".tag") != "file":
            return "add"
        return {".tag": "update", "update": str(there.get("rev"))}

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._file.read(1024 * 1024):
            yield chunk


def _said(entry: dict[str, Any], folder: str) -> dict[str, Any]:
    """What fsspec wants to know of an entry. Its path is that of the folder asked for, and its name."""
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


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Ours become what fsspec's users expect, where they have a word for it; never with a path in it."""
    try:
        yield
    except FileVanished:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    except NameTaken:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
    except Refused as exc:
        if exc.says("not_found"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        raise failed(exc, "Dropbox refuses it") from None
    except (Unanswered, Misunderstood) as exc:
        raise failed(exc, "Dropbox can't be asked") from None
