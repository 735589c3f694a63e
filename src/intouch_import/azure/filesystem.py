"""A read-only adlfs file system on one folder, for hosts that want to look around.

The library itself never uses it: adlfs expands wildcards in deletions, deletes whole containers, mixes
versions, and reads keys from the environment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

from adlfs import AzureBlobFileSystem
from azure.storage.blob.aio import BlobServiceClient
from fsspec.asyn import AsyncFileSystem, get_loop, sync

from intouch_import.azure.client import credential_of, settings_of
from intouch_import.secret import refuse_to_pickle

if TYPE_CHECKING:
    from intouch_import.azure.account import Account, Folder

__all__ = ["AzureFolderFileSystem", "open_filesystem"]

_PROTOCOLS = ("az", "abfs", "azure")


class AzureFolderFileSystem(AzureBlobFileSystem):  # type: ignore[misc]  # adlfs is not typed
    """The file system in `AzureSource.filesystem`. Paths are ``container/folder/name``, not encoded.

    It caches nothing, can't be pickled or written as JSON, and refuses paths outside the folder.
    """

    cachable = False
    protocol = _PROTOCOLS
    root_marker = ""

    def __init__(self, **_options: Any) -> None:
        # Not the constructor of adlfs: it reads the environment and never releases an instance.
        AsyncFileSystem.__init__(self, loop=get_loop(), use_listings_cache=False, skip_instance_cache=True)
        self.account_name = self.account_key = self.connection_string = self.sas_token = None
        self.credential = self.sync_credential = None
        self.anon, self.version_aware, self.location_mode = False, False, "primary"
        self.assume_container_exists, self.max_concurrency = True, None
        self.blocksize, self.default_fill_cache, self.default_cache_type = 4 * 1024 * 1024, False, "bytes"
        self._timeout_kwargs: dict[str, Any] = {}
        self.service_client: Any = None
        self._inside: tuple[str, str] = ("", "")

    def bind(self, client: Any, folder: Folder) -> None:
        """Set client and folder. They are not arguments of the constructor: fsspec stores and shows those."""
        self.service_client = client
        self._inside = (folder.container, folder.prefix)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        for protocol in _PROTOCOLS:
            path = path.removeprefix(f"{protocol}://")
        return path.strip("/")

    def split_path(self, path: str, *_args: Any, **_options: Any) -> tuple[str, str, None]:
        """Split a path into container and blob. Every operation of adlfs calls this.

        Raises:
            PermissionError: The path is outside the folder.
        """
        container, _, blob = self._strip_protocol(path).partition("/")
        ours, prefix = self._inside
        climbs = "\\" in blob or not {".", ".."}.isdisjoint(blob.split("/"))
        if container != ours or not f"{blob}/".startswith(prefix) or climbs:
            raise PermissionError("the path is outside the folder of this source")
        return container, blob, None

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            _refuse()
        return super()._open(path, mode=mode, **options)

    def close(self) -> None:
        """Close the connections."""
        sync(self.loop, self.service_client.close)

    def to_json(self, **_options: Any) -> NoReturn:
        refuse_to_pickle(self)

    to_dict = to_json
    __reduce__ = refuse_to_pickle

    def __repr__(self) -> str:
        return "<AzureFolderFileSystem>"


class _AsyncCredential:
    """Makes a credential usable in the SDK's asynchronous client."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """Get a token in a thread, because that may need the network."""
        return await asyncio.to_thread(self._credential.get_token, *scopes, **options)


def open_filesystem(account: Account, folder: Folder, *, timeout_s: float) -> AzureFolderFileSystem:
    """Open adlfs on a folder, with the credential of the account and nothing from the environment."""
    credential = credential_of(account)
    if account.credential is not None:
        credential = _AsyncCredential(credential)
    client = BlobServiceClient(
        account.endpoint,
        credential=credential,
        use_env_settings=not account.is_plain,
        **settings_of(timeout_s),
    )
    filesystem = AzureFolderFileSystem()
    filesystem.bind(client, folder)
    return filesystem


def _refuse(*_args: Any, **_options: Any) -> NoReturn:
    raise NotImplementedError("this file system is read-only: only a move removes files from a source")


async def _refuse_later(*_args: Any, **_options: Any) -> NoReturn:
    _refuse()


# All methods that change something, and `url`, which would show a SAS.
for _name in (
    *("cp", "cp_file", "copy", "delete", "makedir", "makedirs", "mkdir", "move", "mv", "pipe", "pipe_file"),
    *("put", "put_file", "rename", "rm", "rm_file", "rmdir", "setxattrs", "sign", "touch", "upload", "url"),
    *("write_bytes", "write_text", "ukey"),
):
    setattr(AzureFolderFileSystem, _name, _refuse)
for _name in (
    *("_cp_file", "_copy", "_makedirs", "_mkdir", "_mv", "_mv_file", "_pipe", "_pipe_file", "_put"),
    *("_put_file", "_rm", "_rm_file", "_rm_files", "_rmdir", "_setxattrs", "_touch", "_url"),
):
    setattr(AzureFolderFileSystem, _name, _refuse_later)
