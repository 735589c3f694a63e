"""The plain package and ours, behind the same three verbs, for one folder of one server."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings(record=True):
    from msgraphfs import MSGDriveFS

if TYPE_CHECKING:
    from intouch_import.onedrive import OneDriveSource
    from services.doubles.onedrive import OneDriveServer


class Plain:
    """The unchanged msgraphfs, pointed at another server in the only possible way."""

    is_plain = True

    def __init__(self, server: OneDriveServer, path: str) -> None:
        self.path = f"/{path}"
        self.token = server.token("Files.ReadWrite.All")
        params = {"token": {"access_token": self.token, "token_type": "Bearer", "expires_in": 3600}}
        self.fs = MSGDriveFS(drive_id=server.drive.id, oauth2_client_params=params, skip_instance_cache=True)
        self.fs.drive_url = f"{server.endpoint}/v1.0/drives/{server.drive.id}"

    def names(self) -> list[str]:
        return sorted(entry["name"].rpartition("/")[2] for entry in self.fs.ls(self.path))

    def read(self, name: str) -> bytes:
        content: bytes = self.fs.cat_file(f"{self.path}/{name}")
        return content

    def delete(self, name: str) -> None:
        self.fs.rm(f"{self.path}/{name}", recursive=True)


class Ours:
    """A `OneDriveSource`, which reads and deletes the version that was listed first."""

    is_plain = False

    def __init__(self, source: OneDriveSource) -> None:
        self.source = source
        self.listed: dict[str, Any] = {}

    def names(self) -> list[str]:
        self.listed = {file.name: file for file in self.source.scan()}
        return sorted(self.listed)

    def _file(self, name: str) -> Any:
        if name not in self.listed:
            self.names()
        return self.listed[name]

    def read(self, name: str) -> bytes:
        with self.source.fetch(self._file(name)) as content, content.open() as stream:
            return stream.read()

    def delete(self, name: str) -> None:
        file = self._file(name)
        with self.source.fetch(file) as content:
            self.source.remove(file, sha256=content.sha256)
