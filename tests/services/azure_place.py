"""A folder of a container in Azurite for `check_source`. The other program is the SDK on its own clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intouch_import.testing import HOSTILE_NAMES, Place

if TYPE_CHECKING:
    from intouch_import.sources import Source
    from services.azurite import Azurite

__all__ = ["AzurePlace"]


def _is_text(name: str) -> bool:
    return not any("\ud800" <= ch <= "\udfff" for ch in name)


class AzurePlace(Place):
    """A new container, and a folder in it that other folders stand around.

    Args:
        azurite: Where.
        folder: The folder; empty for the container itself.
        signed: Whether sources have a signature for the container instead of the account's key.
        options: For every source that is opened.
    """

    # The service takes a backslash for a slash, and names are Unicode.
    refused_names = frozenset(name for name in HOSTILE_NAMES if "\\" in name or not _is_text(name))

    def __init__(
        self, azurite: Azurite, *, folder: str = "photos/new", signed: bool = False, **options: Any
    ) -> None:
        self._azurite = azurite
        self._client = azurite.container()
        self._prefix = f"{folder}/" if folder else ""
        self._options = options
        if signed:
            self._options["sas_token"] = azurite.sas(self._client.container_name, permission="rldw")
        self._opened: list[Source] = []
        for beside in ("photos/new2/x.jpg", "photos/neW/x.jpg", "photos/x.jpg") if folder else ():
            self._client.upload_blob(beside, b"beside")

    def open(self, **options: Any) -> Source:
        path = f"{self._client.container_name}/{self._prefix}"
        source = self._azurite.open(path, **{**self._options, **options})
        self._opened.append(source)
        return source

    def write(self, name: str, content: bytes) -> None:
        self._client.upload_blob(f"{self._prefix}{name}", content, overwrite=True)

    def read(self, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            data: bytes = self._client.download_blob(f"{self._prefix}{name}").readall()
        except ResourceNotFoundError:
            return None
        return data

    def delete(self, name: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            self._client.delete_blob(f"{self._prefix}{name}")
        except ResourceNotFoundError:  # a folder
            for blob in self._client.list_blob_names(name_starts_with=f"{self._prefix}{name}/"):
                self._client.delete_blob(blob)

    def make_folder(self, name: str) -> None:
        self._client.upload_blob(f"{self._prefix}{name}/below.jpg", b"below")

    def names(self) -> set[str]:
        start = len(self._prefix)
        names = {blob[start:] for blob in self._client.list_blob_names(name_starts_with=self._prefix)}
        return {name for name in names if "/" not in name}

    def take_away(self) -> bool:
        self._client.delete_container()
        return True

    def close(self) -> None:
        for source in self._opened:
            source.close()
        self._client.delete_container() if self._client.exists() else None
        self._client.close()
