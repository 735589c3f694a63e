"""From what the service says of a blob to a source file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from intouch_import.model import EntryKind, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.azure.account import Folder

__all__ = ["Listing", "etag_of", "folder", "is_appended", "source_file"]

_APPENDED: Final = "+append"
_FOLDER_MARK: Final = "hdi_isfolder"
_NO_NAME: Final = "/"


class Listing:
    """Sorts what a folder's listing says: files, what only looks like one, and folders.

    In a flat namespace a blob ``a`` and a folder ``a`` (a blob ``a/b``) may both be there. The file then has
    the name, and the folder is listed as ``a/``.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._start = len(folder.prefix)
        self._names: set[str] = set()
        self._folders: dict[str, None] = {}

    def page(self, entries: list[Any]) -> Iterator[SourceFile]:
        """The files of one page."""
        start, names, ours = self._start, self._names, self._folder
        for entry in entries:
            blob = entry.name
            if not blob.startswith(ours.prefix):
                continue  # no answer to what was asked; never ours
            name = blob[start:]
            if "blob_type" not in entry:
                self._folders[name.rstrip("/") or _NO_NAME] = None
                continue
            if ours.blob(name) is None:
                if name or entry.size:
                    yield _not_a_file(name or _NO_NAME, EntryKind.SPECIAL)
                continue  # the mark of this folder itself
            file = source_file(name, entry)
            if file.kind is EntryKind.FOLDER:
                self._folders[name] = None
                continue
            names.add(name)
            yield file

    def folders(self) -> Iterator[SourceFile]:
        """The folders, once all pages were read."""
        for name in self._folders:
            yield folder(f"{name}/" if name in self._names else name)


def source_file(name: str, properties: Any) -> SourceFile:
    """A blob as a source file.

    Args:
        name: Base name.
        properties: The SDK's ``BlobProperties``, of a listing or of the blob itself.

    Raises:
        ValueError: They are not those of a blob: a proxy's page answers HEAD, too.
    """
    if not properties.etag or not properties.blob_type or properties.size is None:
        raise ValueError
    size = int(properties.size)
    version = etag_of(str(properties.etag))
    kind = EntryKind.FILE
    match str(getattr(properties.blob_type, "value", properties.blob_type)):
        case "PageBlob":
            kind = EntryKind.SPECIAL  # a disk image: its bytes are read by pages, which no ETag pins
        case "AppendBlob" if not properties.is_append_blob_sealed:
            version += _APPENDED
    if size == 0 and str((properties.metadata or {}).get(_FOLDER_MARK, "")).lower() == "true":
        kind = EntryKind.FOLDER
    md5 = properties.content_settings.content_md5
    modified = properties.last_modified
    return SourceFile(
        name=name,
        kind=kind,
        size_bytes=size if kind is EntryKind.FILE else 0,
        modified_ns=None if modified is None else int(modified.timestamp()) * 1_000_000_000,
        version=version,
        vendor_hash=f"md5:{bytes(md5).hex()}" if md5 else None,
    )


def folder(name: str) -> SourceFile:
    """A folder, of which the service knows nothing but that there are blobs in it."""
    return _not_a_file(name, EntryKind.FOLDER)


def etag_of(text: str) -> str:
    """An ETag or a version without quotes: listings leave them out, answers to HEAD have them."""
    return text.removesuffix(_APPENDED).strip('"')


def is_appended(version: str) -> bool:
    """Whether a blob of that version may still be appended to, so that it may be seen half-written."""
    return version.endswith(_APPENDED)


def _not_a_file(name: str, kind: EntryKind) -> SourceFile:
    return SourceFile(name=name, kind=kind, size_bytes=0, version="")
