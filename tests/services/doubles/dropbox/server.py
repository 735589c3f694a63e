"""`DropboxServer`: a Dropbox of your own, on this machine."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from collections import Counter, deque
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from services.doubles.dropbox.drive import Bytes, Drive
from services.doubles.dropbox.faults import Fault, FaultQueue
from services.doubles.dropbox.http import Handler, Seen
from services.doubles.dropbox.oauth import Account, App, Authorization
from services.doubles.dropbox.routes import Api

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["DropboxServer"]


class DropboxServer:
    """Speaks version 2 of Dropbox's API, OAuth included, on a port of the loopback interface.

    For tests of an integration: no account, no internet, and faults that happen when they are asked for.
    Point a source at it with ``endpoint=server.url``, and a sign-in with ``DropboxAuthorization(…,
    endpoint=server.url)``. Everything it holds is in memory and gone with it.

    Args:
        app: The app that is registered; by default one with all permissions, the whole drive, and redirects
            to the ports that `DropboxAuthorization` uses by default.
        account: Whose Dropbox it is.
        latency_s: How long every call takes at least, seconds.
        contention: Whether two writes at once in one namespace are refused, as Dropbox does.
        token_life_s: How long access tokens live, seconds.
        now_s: The clock that tokens age by.
        port: 0 is any free one.

    Attributes:
        drive: The files.
        authorization: Apps and tokens.
        faults: The faults to come.
        calls: How often each route was called; ``oauth2/token`` is one of them.
        seen: The last requests, the newest last.
        pretended: By ``path_lower``: metadata that downloads tell instead of the true.
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
        self.account = account or Account()
        self.app = app or App(
            key="u4vp8l1tkq3yzxo",
            secret="q7w2e9r4t6y1u3i",  # a server of nobody
            redirect_uris=frozenset(f"http://localhost:{port}" for port in range(17845, 17850)),
        )
        self.latency_s = latency_s
        self.drive = Drive()
        self.authorization = Authorization(self.account, now_s=now_s, token_life_s=token_life_s)
        self.authorization.register(self.app)
        self.faults = FaultQueue()
        self.api = Api(self.drive, self.authorization, self.faults, contention=contention)
        self.calls: Counter[str] = Counter()
        self.seen: deque[Seen] = deque(maxlen=10_000)
        self.pretended: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        if self.account.home:
            self.drive.make_folder(self.account.home)
        if self.app.app_folder is not None:
            self.drive.make_folder(self.account.home + self.app.app_folder)
        self._http = _Server(("127.0.0.1", port), type("BoundHandler", (Handler,), {"dropbox": self}))
        self._thread = threading.Thread(
            target=self._http.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="dropbox-server",
            daemon=True,
        )
        self._thread.start()
        self.api.url = self.url

    @property
    def url(self) -> str:
        """Where it is: ``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._http.server_port}"

    # --- the other hand in the same folder

    def put(self, path: str, content: bytes | Bytes, *, shows_path: bool = True) -> str:
        """Create or replace a file, with its folders.

        Returns:
            Its new revision.
        """
        whole = content if isinstance(content, Bytes) else Bytes((content,))
        return self.drive.write(path, whole, shows_path=shows_path).rev

    def put_paper(self, path: str) -> None:
        """Create a document that can't be downloaded."""
        self.drive.write(path, None)

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        self.drive.make_folder(path)

    def read(self, path: str) -> bytes | None:
        """A file's bytes; None if there is no such file."""
        found = self.drive.find(path)
        return found.content.whole() if found is not None and found.content is not None else None

    def delete(self, path: str) -> None:
        """Delete a file or a folder, if it is there."""
        with self.drive.lock:
            found = self.drive.find(path)
            if found is not None:
                self.drive.delete(found)

    def move(self, path: str, to: str) -> None:
        """Give a file another path."""
        with self.drive.lock:
            found = self.drive.find(path)
            if found is None:
                raise KeyError("there is no such file")
            self.drive.move(found, to)

    def names(self, folder: str = "") -> set[str]:
        """Names of the files directly in a folder."""
        with self.drive.lock:
            return {
                entry.path.rpartition("/")[2] for entry in self.drive.children(folder) if entry.tag == "file"
            }

    # --- shortcuts

    def token(self, *scopes: str) -> str:
        """An access token of the registered app, with all its permissions or with these."""
        return self.authorization.access_token(self.app, scopes=frozenset(scopes) or None)

    def fail(self, route: str, *faults: Fault | None, times: int = 1) -> None:
        """Let the next calls of a route fail, in this order; see `FaultQueue.add`."""
        self.faults.add(route, *faults, times=times)

    # --- the life of it

    def close(self) -> None:
        """Stop, and hang up on everybody."""
        self.api.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DropboxServer {self.url}>"

    # --- for the handler

    def arrived(self, request: Seen) -> Fault | None:
        """A request came in: count it, and say what is to go wrong with it."""
        with self._lock:
            self.calls[request.route] += 1
            self.seen.append(request)
        return self.faults.next(request.route)

    def connected(self, connection: socket.socket) -> None:
        """A client has come."""
        with self._lock:
            self._connections.add(connection)

    def disconnected(self, connection: socket.socket) -> None:
        """A client has gone."""
        with self._lock:
            self._connections.discard(connection)

    @staticmethod
    def request_id() -> str:
        """What support would be told."""
        return secrets.token_hex(16)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        # Not HTTPServer's own, which asks a name server for this machine's name.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what tests of faults do."""
