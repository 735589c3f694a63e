"""`AzureSource`: a folder of a container in Azure Blob Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from intouch_import.azure.account import Account, Folder
from intouch_import.azure.errors import Failed, Fault, Kind, not_removed, send, unread
from intouch_import.azure.listing import Listing, folder, quoted_etag, source_file
from intouch_import.cloud.retry import Patience
from intouch_import.content import StagedContent, staging_file
from intouch_import.disk import NO_ROOM
from intouch_import.errors import (
    ConfigError,
    FileChanged,
    FileUnreadable,
    InTouchImportError,
    MissingExtraError,
    NameRefused,
    NameTaken,
    SourceError,
    without_path,
)
from intouch_import.extras import needing
from intouch_import.forks import PerProcess
from intouch_import.model import EntryKind, SourceFile
from intouch_import.secret import refuse_to_pickle
from intouch_import.sources.base import ConnectedSource, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from azure.storage.blob import BlobClient, ContainerClient

    from intouch_import.azure.transfer import FastReader
    from intouch_import.content import Content
    from intouch_import.secret import Secret

__all__ = ["AzureSource"]

_DELETED: Final = 202

_T = TypeVar("_T")


class AzureSource(ConnectedSource):
    """A folder of one container. The version of a file is its ETag.

    Blob storage has no empty folders: a folder that does not exist is listed as empty. A missing container
    is an error. `fetch` reads exactly one version, even if the blob changes meanwhile. `remove` removes that
    version or nothing.

    Args:
        path: ``container/folder``, decoded; a folder is optional.
        provider, source_id, label: See `Source`.
        account_name: Name of the storage account.
        account_key: Shared key of the account.
        sas_token: Shared access signature (SAS) that allows read, list and delete.
        connection_string: Connection string from the portal.
        credential: A credential of ``azure.identity``, or any object with its ``get_token``.
        endpoint: The blob endpoint, if it is not in the public cloud: an emulator, a national cloud.
        patience: How long one operation may retry; by default 60 s.
        concurrency: How many files to read or remove in parallel.
        timeout_s: Longest wait for an answer or for more of it, seconds.
        fast: Whether to download with obstore; by default if it is installed.

    Raises:
        ConfigError: An option is not valid. The message never contains its value.
        MissingExtraError: The packages of the extra ``azure`` are not installed.
        SourceUnavailable: The container does not exist, can't be reached, or may not be listed.
    """

    location: ClassVar[str] = "azure"
    commits_whole = True
    removes_together = 64

    def __init__(  # each is a line of a settings file
        self,
        path: str,
        *,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
        account_name: str | None = None,
        account_key: str | Secret | None = None,
        sas_token: str | Secret | None = None,
        connection_string: str | Secret | None = None,
        credential: Any = None,
        endpoint: str | None = None,
        patience: Patience | None = None,
        concurrency: int = 16,
        timeout_s: float = 30.0,
        fast: bool | None = None,
    ) -> None:
        self._folder = Folder(path)
        self._account = Account(
            account_name=account_name,
            account_key=account_key,
            sas_token=sas_token,
            connection_string=connection_string,
            credential=credential,
            endpoint=endpoint,
        )
        if concurrency < 1 or timeout_s <= 0:
            raise ConfigError("concurrency must be at least 1 and timeout_s greater than 0")
        url = f"{self._account.endpoint}/{self._folder.container}/{self._folder.prefix}"
        super().__init__(url, provider=provider, source_id=source_id, label=label)
        self.concurrency = concurrency
        self._timeout_s = timeout_s
        self._patience = patience or Patience()
        self._clients = PerProcess(self._connect)
        self._batches = True
        _import_sdk()
        self._fast = self._fast_reader(wanted=fast)
        try:
            self._first_page(self._folder.prefix)
        except Failed as exc:
            self.close()
            raise exc.fault.error(self.source_id) from None
        except BaseException:
            self.close()
            raise

    # --- the operations

    def scan(self) -> Iterator[SourceFile]:
        listing = Listing(self._folder)
        blobs = self._clients().walk_blobs(self._folder.prefix, include=["metadata"], delimiter="/")
        pages = blobs.by_page()
        try:
            while (page := self._send(lambda: _files_of(pages, listing))) is not None:
                yield from page
        except Failed as exc:
            raise exc.fault.error(self.source_id) from None
        yield from listing.folders()

    def look(self, name: str) -> SourceFile | None:
        blob = self._blob(name)
        try:
            return self._look(name, blob)
        except Failed as exc:
            raise exc.fault.error(self.source_id) from None

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        from intouch_import.azure.transfer import Download

        blob = self._checked(file)
        with staging_file(staging) as (target, path):
            download = Download(file, target, self._fast)
            try:
                self._send(lambda: download.run(self._clients().get_blob_client(blob)))
            except Failed as exc:
                raise unread(self._certain(exc.fault, file), self.source_id) from None
            except OSError as exc:
                if exc.errno in NO_ROOM:
                    raise
                raise FileUnreadable("the file could not be staged", errno=exc.errno) from without_path(exc)
            digested = download.end()
        return StagedContent(path, digested)

    def remove(self, file: SourceFile, *, sha256: str) -> None:  # noqa: ARG002  # the ETag pins it
        self._delete(file, doubt=False)

    def remove_many(self, files: Sequence[SourceFile]) -> list[Exception | None]:
        doubt = False
        if self._batches and all(self._is_ours(file) for file in files):
            try:
                # The answers may be in another order than the requests, so they only prove that all files
                # were deleted. If one was not, each deletion is repeated in a request of its own.
                if self._send(lambda: self._delete_batch(files)):
                    return [None] * len(files)
                doubt = True
            except Failed as exc:
                if exc.fault.in_doubt or exc.fault.again:
                    return [exc.fault.error(self.source_id)] * len(files)
                self._batches = False  # the server or the credential does not allow batches
                doubt = exc.in_doubt  # an attempt before this answer may have deleted them
            except InTouchImportError as exc:
                return [exc] * len(files)
        return self._delete_each(files, doubt=doubt)

    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        check_name(name, windows=False)  # refuse names that other locations refuse
        from intouch_import.azure.transfer import upload

        blob = self._blob(name)
        try:
            found = upload(self._send, blob, chunks) if self._look(name, blob) is None else None
        except Failed as exc:
            raise exc.fault.error(self.source_id) from None
        if found is None:
            raise NameTaken("a file with this name exists already")
        return source_file(name, found)

    def _descend(self, folders: Sequence[str]) -> None:
        for name in folders:
            self._checked_name(name)
        above = self._folder
        self._folder = Folder(f"{above.container}/{above.prefix}{'/'.join(folders)}")

    def _disconnect(self) -> None:
        opened = self._clients.take()
        if opened is not None:
            opened.close()

    __reduce__ = refuse_to_pickle

    # --- inside

    def _send(self, request: Callable[[], _T]) -> _T:
        return send(request, account=self._account, patience=self._patience, source_id=self.source_id)

    def _delete_batch(self, files: Sequence[SourceFile]) -> bool:
        wanted = [{"name": self._folder.blob(file.name), "etag": quoted_etag(file.version)} for file in files]
        parts = list(self._clients().delete_blobs(*wanted, raise_on_any_failure=False))
        return len(parts) == len(files) and all(part.status_code == _DELETED for part in parts)

    def _delete_each(self, files: Sequence[SourceFile], *, doubt: bool) -> list[Exception | None]:
        found: list[Exception | None] = []
        for file in files:
            try:
                self._delete(file, doubt=doubt)
                found.append(None)
            except SourceError as exc:
                # The service can't be reached: do not wait again for each of the other files.
                return found + [exc] * (len(files) - len(found))
            except InTouchImportError as exc:
                found.append(exc)
        return found

    def _delete(self, file: SourceFile, *, doubt: bool) -> None:
        """Delete one version of a blob.

        Args:
            file: The listed file.
            doubt: Whether an earlier request may have deleted it already.
        """
        from azure.core import MatchConditions

        blob = self._clients().get_blob_client(self._checked(file))
        try:
            pin = {"etag": quoted_etag(file.version), "match_condition": MatchConditions.IfNotModified}
            self._send(lambda: blob.delete_blob(**pin))
        except Failed as exc:
            fault = self._certain(exc.fault, file)
            if not (fault.kind is Kind.GONE and (doubt or exc.in_doubt)):
                raise not_removed(fault, self.source_id) from None

    def _look(self, name: str, blob: BlobClient) -> SourceFile | None:
        try:
            return self._send(lambda: source_file(name, blob.get_blob_properties()))
        except Failed as exc:
            if exc.fault.kind is not Kind.GONE:
                raise
        return folder(name) if any(self._first_page(f"{blob.blob_name}/")) else None

    def _first_page(self, prefix: str) -> Iterable[Any]:
        pages = self._clients().walk_blobs(prefix, delimiter="/", results_per_page=1).by_page()
        return self._send(lambda: next(pages, ()))

    def _certain(self, fault: Fault, file: SourceFile) -> Fault:
        """Find out whether a blob is gone or changed: the answer to a pinned request does not say."""
        if fault.kind not in {Kind.GONE, Kind.CHANGED}:
            return fault
        try:
            there = self.look(file.name)
        except SourceError:
            return fault
        if there is None or not there.version:  # nothing, or a folder with this name
            return Fault(kind=Kind.GONE)
        return Fault(kind=Kind.CHANGED if there.version != file.version else Kind.NONSENSE)

    def _connect(self) -> ContainerClient:
        from intouch_import.azure.client import connect

        return connect(
            self._account, self._folder.container, connections=self.concurrency, timeout_s=self._timeout_s
        )

    def _blob(self, name: str) -> BlobClient:
        return self._clients().get_blob_client(self._checked_name(name))

    def _checked_name(self, name: str) -> str:
        """Return the full name of a blob in this folder."""
        blob = self._folder.blob(name)
        if blob is None:
            raise NameRefused("no blob in this folder can have this name")
        return blob

    def _checked(self, file: SourceFile) -> str:
        """Return the full name of the blob of a listed file."""
        if file.kind is not EntryKind.FILE:
            raise FileChanged("only files can be read and removed")
        return self._checked_name(file.name)

    def _is_ours(self, file: SourceFile) -> bool:
        return file.kind is EntryKind.FILE and self._folder.blob(file.name) is not None

    def _fast_reader(self, *, wanted: bool | None) -> FastReader | None:
        if wanted is False:
            return None
        from intouch_import.azure.transfer import FastReader

        try:
            with needing(
                "fast Azure downloads need obstore", "obstore", install="intouch-import[azure-fast]"
            ):
                return FastReader(self._account, self._folder.container, timeout_s=self._timeout_s)
        except MissingExtraError:
            if wanted:
                raise
            return None


def _files_of(pages: Iterator[Any], listing: Listing) -> list[SourceFile] | None:
    """Return the files of the next page, or None after the last page."""
    page = next(pages, None)
    return None if page is None else list(listing.page(list(page)))


def _import_sdk() -> None:
    modules = ("azure", "azure.core", "azure.storage", "azure.storage.blob")
    with needing("Azure folders need azure-storage-blob", *modules, install="intouch-import[azure]"):
        import azure.storage.blob  # noqa: F401
