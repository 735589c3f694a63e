"""From the service's description of a blob to a source file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from intouch_import.model import EntryKind, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.azure.account import Folder

__all__ = ["Listing", "etag_of", "folder", "is_appended", "quoted_etag", "source_file"]

_APPENDED: Final = "+append"
_FOLDER_MARK: Final = "hdi_isfolder"
_NO_NAME: Final = "/"


class Listing:
    """Turns the pages of a folder's listing into source files.

    A blob ``a`` and a folder ``a`` (a blob ``a/b``) can both exist. The file then gets the name ``a`` and the
    folder is listed as ``a/``.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._start = len(folder.prefix)
        self._names: set[str] = set()
        self._folders: dict[str, None] = {}

    def page(self, entries: list[Any]) -> Iterator[SourceFile]:
        """Return the files of one page."""
        start, names, ours = self._start, self._names, self._folder
        for entry in entries:
            blob = entry.name
            if not blob.startswith(ours.prefix):
                continue  # not in this folder: a wrong answer
            name = blob[start:]
            if "blob_type" not in entry:
                self._folders[name.rstrip("/") or _NO_NAME] = None
                continue
            if ours.blob(name) is None:
                if name or entry.size:
                    yield _not_a_file(name or _NO_NAME, EntryKind.SPECIAL)
                continue  # the marker of this folder itself
            file = source_file(name, entry)
            if file.kind is EntryKind.FOLDER:
                self._folders[name] = None
                continue
            names.add(name)
            yield file

    def folders(self) -> Iterator[SourceFile]:
        """Return the folders, after all pages were read."""
        for name in self._folders:
            yield folder(f"{name}/" if name in self._names else name)


def source_file(name: str, properties: Any) -> SourceFile:
    """Return a blob as a source file.

    Args:
        name: Base name.
        properties: The SDK's ``BlobProperties``, from a listing or from a request for one blob.

    Raises:
        ValueError: They do not describe a blob: the answer came from a proxy, for example.
    """
    if not properties.etag or not properties.blob_type or properties.size is None:
        raise ValueError
    size = int(properties.size)
    version = etag_of(str(properties.etag))
    kind = EntryKind.FILE
    match str(getattr(properties.blob_type, "value", properties.blob_type)):
        case "PageBlob":
            kind = EntryKind.SPECIAL  # a disk image, read in pages that can't be pinned to an ETag
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
    """Return a folder. The service only knows that there are blobs in it."""
    return _not_a_file(name, EntryKind.FOLDER)


def etag_of(text: str) -> str:
    """Return an ETag or a version without quotes: listings have none, other answers have them."""
    return text.removesuffix(_APPENDED).strip('"')


def quoted_etag(version: str) -> str:
    """Return the ETag of a version in quotes, as requests contain it."""
    return f'"{etag_of(version)}"'


def is_appended(version: str) -> bool:
    """Return whether more can be appended to this version, so that it may be incomplete."""
    return version.endswith(_APPENDED)


def _not_a_file(name: str, kind: EntryKind) -> SourceFile:
    return SourceFile(name=name, kind=kind, size_bytes=0, version="")
