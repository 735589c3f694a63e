"""`DropboxServer`: a Dropbox on this machine."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from services.doubles.dropbox.api import Api
from services.doubles.dropbox.drive import Bytes, Drive
from services.doubles.dropbox.oauth import Account, App, Authorization
from services.doubles.http import Service

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from services.doubles.http import Request

__all__ = ["DropboxServer"]


class DropboxServer(Service):
    """Speaks version 2 of Dropbox's API, OAuth included, on a port of the loopback interface.

    Point a source at it with ``endpoint=server.url``, and a sign-in with ``DropboxAuthorization(…,
    endpoint=server.url)``. Everything it has is in memory, and gone with it.

    Args:
        app: The app that is registered; by default one with all permissions, the whole drive, and redirects
            to the ports that `DropboxAuthorization` uses by default.
        account: The account.
        latency_s: How long every answer is held back, seconds.
        contention: Whether two writes at once in one namespace are refused, as Dropbox does.
        token_life_s: How long access tokens are valid, seconds.
        now_s: The clock that tokens age by.
        port: 0 is any free one.

    Attributes:
        drive: The files.
        authorization: Apps and tokens.
        api: The routes, with settings of their own.
        url: The address, ``http://127.0.0.1:PORT``.
    """

    def __init__(
        self,
        *,
        app: App | None = None,
        account: Account | None = None,
        latency_s: float = 0.0,
        contention: bool = False,
        token_life_s: float = 14400.0,
        now_s: Callable[[], float] = time.monotonic,
        port: int = 0,
    ) -> None:
        super().__init__(latency_s=latency_s)
        self.account = account or Account()
        self.app = app or App(
            key="u4vp8l1tkq3yzxo",
            secret="q7w2e9r4t6y1u3i",
            redirect_uris=frozenset(f"http://localhost:{port}" for port in range(17845, 17850)),
        )
        self.drive = Drive()
        self.authorization = Authorization(self.account, now_s=now_s, token_life_s=token_life_s)
        self.authorization.register(self.app)
        if self.account.home:
            self.drive.make_folder(self.account.home)
        if self.app.app_folder is not None:
            self.drive.make_folder(self.account.home + self.app.app_folder)
        self.api = Api(
            self.drive, self.authorization, self.faults, contention=contention, closing=self.closing
        )
        self._origin = self._answer_at(self.api.name, self.api.answer, port=port)
        self.url = self.api.url = self._origin.url

    def __repr__(self) -> str:
        return f"<DropboxServer {self.url}>"

    @property
    def calls(self) -> Counter[str]:
        """The number of calls of each route, ``oauth2/token`` included."""
        return self._origin.calls

    @property
    def requests(self) -> Sequence[Request]:
        """The last requests, the newest last."""
        return self._origin.requests

    def extra_headers(self) -> Mapping[str, str]:
        return {"X-Dropbox-Request-Id": secrets.token_hex(16)}

    # --- what other programs do with the files

    def put(self, path: str, content: bytes | Bytes, *, shows_path: bool = True) -> str:
        """Create or replace a file, and make its folders.

        Returns:
            Its new revision.
        """
        whole = content if isinstance(content, Bytes) else Bytes((content,))
        return self.drive.write(path, whole, shows_path=shows_path).rev

    def put_paper(self, path: str) -> None:
        """Create a document that can't be downloaded."""
        self.drive.write(path, None)

    def make_folder(self, path: str) -> None:
        """Make a folder and its parents."""
        self.drive.make_folder(path)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file; None if it does not exist."""
        found = self.drive.find(path)
        return found.content.whole() if found is not None and found.content is not None else None

    def delete(self, path: str) -> None:
        """Delete a file or a folder, if it exists."""
        with self.drive.lock:
            found = self.drive.find(path)
            if found is not None:
                self.drive.delete(found)

    def move(self, path: str, to: str) -> None:
        """Move a file."""
        with self.drive.lock:
            found = self.drive.find(path)
            if found is None:
                raise KeyError("there is no such file")
            self.drive.move(found, to)

    def names(self, folder: str = "") -> set[str]:
        """Return the names of the files directly in a folder."""
        with self.drive.lock:
            return {
                entry.path.rpartition("/")[2] for entry in self.drive.children(folder) if entry.tag == "file"
            }

    def token(self, *scopes: str) -> str:
        """Issue an access token of the registered app, with all its permissions or with these."""
        return self.authorization.access_token(self.app, scopes=frozenset(scopes) or None)
