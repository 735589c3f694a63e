"""What the routes share: views of the drive, paths, and one write at a time."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from services.doubles.dropbox.drive import Drive, Entry, folded
from services.doubles.dropbox.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from services.doubles.dropbox.oauth import Account, Authorization, Visitor
    from services.doubles.faults import Faults

__all__ = ["Routes", "View", "root_info", "untagged"]

_PATH = re.compile(r"(/(.|[\r\n])*)?|id:.*|rev:[0-9a-f]{9,}|ns:[0-9]+(/.*)?", re.DOTALL)


@attrs.frozen(kw_only=True)
class View:
    """The drive as one request sees it.

    Args:
        visitor: The app and the account of the access token.
        base: Path of the folder that the request sees as the root: a namespace, or the folder of the app.
    """

    visitor: Visitor
    base: str


class Routes:
    """The base of all routes.

    Args:
        drive: The files.
        authorization: The tokens.
        faults: The faults of each page of a listing and of each entry of a batch.
        contention: Whether two writes at once in one namespace are refused, as Dropbox does.
        closing: Set when the server is closed, so that nothing waits any longer.
    """

    def __init__(
        self,
        drive: Drive,
        authorization: Authorization,
        faults: Faults,
        *,
        contention: bool,
        closing: threading.Event,
    ) -> None:
        self.drive = drive
        self.authorization = authorization
        self.faults = faults
        self.contention = contention
        self.closing = closing
        self._writing = threading.Lock()

    def view(self, visitor: Visitor, root: Mapping[str, Any] | None) -> View:
        """Return the drive below the path root of a request (``Dropbox-API-Path-Root``)."""
        account = visitor.account
        base = account.home
        if root is not None and root.get(".tag") != "home":
            wanted = root.get(str(root.get(".tag")))
            if root.get(".tag") == "root" and wanted != account.root_namespace:
                invalid = root_info(account)
                raise Refused({".tag": "invalid_root", "invalid_root": invalid}, status=422)
            if wanted not in {account.root_namespace, account.home_namespace}:
                raise Refused({".tag": "no_permission"}, status=422)
            base = account.home if wanted == account.home_namespace else ""
        if visitor.app.app_folder is not None:
            base = account.home + visitor.app.app_folder
        return View(visitor=visitor, base=base)

    def absolute(self, view: View, path: str) -> str:
        """Return a path from the root of the drive."""
        if not isinstance(path, str) or not _PATH.fullmatch(path) or not _is_unicode(path):
            raise BadInput(
                f"path: {path!r} did not match pattern '(/(.|[\\r\\n])*)?|id:.*|(ns:[0-9]+(/.*)?)'"
            )
        if path == "/":
            raise BadInput('path: Specify the root folder as an empty string rather than as "/".')
        if path.startswith("ns:"):
            number, _, rest = path[3:].partition("/")
            account = view.visitor.account
            if number not in {account.root_namespace, account.home_namespace}:
                return "/\0nowhere"
            return (account.home if number == account.home_namespace else "") + (f"/{rest}" if rest else "")
        return view.base + path

    def find(self, view: View, path: str) -> Entry | None:
        """Find the entry of a path, an id or a revision."""
        if path.startswith("id:"):
            found = self.drive.by_id(path)
        elif path.startswith("rev:"):
            found = self.drive.by_rev(path[4:])
        else:
            found = self.drive.find(self.absolute(view, path))
        inside = found is not None and f"{found.key}/".startswith(f"{folded(view.base)}/")
        return found if inside else None

    def find_file(self, view: View, path: str) -> Entry:
        """Find a file, or raise the error of the API."""
        found = self.find(view, path)
        if found is None:
            raise Refused({".tag": "path", "path": {".tag": "not_found"}})
        if found.tag != "file":
            raise Refused({".tag": "path", "path": {".tag": "not_file"}})
        return found

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write in the namespace. With ``contention``, a second write at the same time is refused."""
        if not self.contention:
            yield
            return
        if not self._writing.acquire(blocking=False):
            error = {".tag": "too_many_write_operations", "reason": {".tag": "too_many_write_operations"}}
            raise Refused(error | {"retry_after": 1}, status=429)
        try:
            time.sleep(0.005)  # long enough for another write to begin
            yield
        finally:
            self._writing.release()


def root_info(account: Account) -> dict[str, str]:
    """Return the root of an account's drive."""
    said = {"root_namespace_id": account.root_namespace, "home_namespace_id": account.home_namespace}
    if account.root_namespace == account.home_namespace:
        return said | {".tag": "user"}
    return said | {".tag": "team", "home_path": account.home}


def untagged(entry: Entry, view: View) -> dict[str, Any]:
    """Return metadata without the tag, which the route makes clear."""
    return {key: value for key, value in entry.metadata(view.base).items() if key != ".tag"}


def _is_unicode(text: str) -> bool:
    """Return whether the text can be written as UTF-8. JSON can contain half of a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
