"""Remove one version of one file: the request is bound to its tag, and the file goes to the recycle bin."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from intouch_import.errors import FileChanged, FileError, FileVanished, NotRemoved
from intouch_import.onedrive.errors import GraphError, TransferFailed, is_gone
from intouch_import.onedrive.listing import DriveFile, item_path, quoted_tag
from intouch_import.onedrive.transfer import check_version

if TYPE_CHECKING:
    from intouch_import.model import SourceFile
    from intouch_import.onedrive.client import GraphClient
    from intouch_import.onedrive.listing import Folder

__all__ = ["delete"]

_NOT_NOW: Final = frozenset({403, 409, 423})


def delete(client: GraphClient, folder: Folder, file: SourceFile, *, was_read: bool) -> None:
    """Delete the listed version of a file. Nothing here deletes permanently.

    Args:
        client: The connection to Graph.
        folder: The folder that the file must be in.
        file: The file as it was listed, with its id.
        was_read: Whether it was read here. If not, it is looked at first: it could be a folder by now, which
            would be deleted with everything in it.

    Raises:
        FileChanged, FileVanished, NotRemoved: As in `Source.remove`.
        CallFailed, SourceError: It is not known whether the file is gone.
    """
    _Deletion(client, folder, file).run(was_read=was_read)


class _Deletion:
    """One deletion, and whether an earlier request of it may have taken effect."""

    def __init__(self, client: GraphClient, folder: Folder, file: SourceFile) -> None:
        self._client = client
        self._folder = folder
        self._file = file
        self._address = item_path(folder.drive_id, file.handle)
        self._in_doubt = False

    def run(self, *, was_read: bool) -> None:
        tag = self._file.etag if isinstance(self._file, DriveFile) and was_read else None
        if self._deleted(tag or self._current_tag()):
            return
        # The tag has changed. If `_current_tag` does not raise, only the metadata have changed and the
        # content is what was stored, so try once more.
        if not self._deleted(self._current_tag()):
            raise NotRemoved("the file's metadata keep changing")

    def _current_tag(self) -> str:
        try:
            there = check_version(self._client.get(self._address), self._folder, self._file)
        except GraphError as exc:
            if is_gone(exc):
                raise FileVanished("the file is no longer there") from None
            raise
        if there.etag is None or there.size_bytes != self._file.size_bytes:
            raise FileChanged("the file is no longer the version that was listed")
        return there.etag

    def _deleted(self, tag: str) -> bool:
        """Delete the file, with retries; False if it has another tag."""
        try:
            return self._client.ask(lambda: self._attempt(tag))
        except FileError:
            raise
        except Exception:
            if self._in_doubt and self._is_not_there():
                return True
            raise

    def _attempt(self, tag: str) -> bool:
        try:
            answer = self._client.send("DELETE", self._address, headers={"If-Match": quoted_tag(tag)})
            if answer.status_code != HTTPStatus.NO_CONTENT:  # some proxies answer "OK" to everything
                raise TransferFailed
        except GraphError as exc:
            if is_gone(exc):
                return self._was_ours()
            if exc.status == HTTPStatus.PRECONDITION_FAILED:
                return False
            if exc.status in _NOT_NOW:
                raise NotRemoved("OneDrive refuses to remove the file now") from None
            self._in_doubt = self._in_doubt or exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            raise
        except Exception:
            self._in_doubt = True
            raise
        return True

    def _was_ours(self) -> bool:
        """Return True if our own request may have deleted a file that is gone; else raise."""
        if self._in_doubt:
            return True
        # Ask again before believing it. If the answer were wrong, the file would count as moved by somebody
        # else and wait for a person.
        if not self._is_not_there():
            raise NotRemoved("OneDrive says both that the file is there and that it is gone")
        raise FileVanished("the file is no longer there")

    def _is_not_there(self) -> bool:
        try:
            self._client.send("GET", self._address)
        except GraphError as exc:
            return is_gone(exc)
        except Exception:  # noqa: BLE001  # if it can't be asked, it is not known
            return False
        return False
