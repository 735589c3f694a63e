"""Taking one version of one file out of OneDrive: on condition of its tag, into the recycle bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.errors import FileChanged, FileError, FileVanished, NotRemoved
from intouch_import.onedrive.errors import GraphError, TransferFailed, is_gone
from intouch_import.onedrive.listing import DriveFile, item_path, quoted_tag
from intouch_import.onedrive.transfer import find_version

if TYPE_CHECKING:
    from intouch_import.model import SourceFile
    from intouch_import.onedrive.client import Graph
    from intouch_import.onedrive.listing import Folder

__all__ = ["Deletion"]

_DELETED: Final = 204
_OTHER_TAG: Final = 412
_NOT_NOW: Final = frozenset({403, 409, 423})
_SERVER_FAILED: Final = 500


class Deletion:
    """The deletion of one version of one file. Nothing here deletes for good.

    Args:
        graph: Whom to ask.
        folder: Where the file must be.
        file: As listed, with its id.
    """

    def __init__(self, graph: Graph, folder: Folder, file: SourceFile) -> None:
        self._graph = graph
        self._folder = folder
        self._file = file
        self._address = item_path(folder.drive_id, file.handle)
        self._in_doubt = False

    def run(self, *, was_read: bool) -> None:
        """Delete it.

        Args:
            was_read: Whether it was read here. What was not is looked at first: by its id, a folder would go
                with all that is in it.

        Raises:
            FileChanged, FileVanished, NotRemoved: As `intouch_import.sources.Source.remove`.
            GraphError, TransferFailed, SourceError: Whether it is gone is not known.
        """
        tag = self._file.etag if isinstance(self._file, DriveFile) and was_read else None
        if self._try(tag or self._current_tag()):
            return
        # Refused, for the tag has changed. If that was about the metadata alone, the content is still the one
        # that was stored, and one more attempt is in order; if not, `_current_tag` raises.
        if not self._try(self._current_tag()):
            raise NotRemoved("the file's metadata keep changing")

    def _current_tag(self) -> str:
        try:
            there, _ = find_version(self._graph, self._folder, self._file)
        except GraphError as exc:
            if is_gone(exc):
                raise FileVanished("the file is no longer there") from None
            raise
        if there.etag is None or there.size_bytes != self._file.size_bytes:
            raise FileChanged("the file is no longer the version that was listed")
        return there.etag

    def _try(self, tag: str) -> bool:
        """Whether it is gone now; False if the tag is not the file's."""
        try:
            return self._graph.ask(lambda: self._attempt(tag))
        except FileError:
            raise
        except Exception:
            if self._in_doubt and self._is_not_there():
                return True
            raise

    def _attempt(self, tag: str) -> bool:
        try:
            answer = self._graph.send("DELETE", self._address, headers={"If-Match": quoted_tag(tag)})
            if answer.status_code != _DELETED:  # whoever says "OK" to everything is not Graph
                raise TransferFailed
        except GraphError as exc:
            if is_gone(exc):
                return self._told_that_it_is_gone()
            if exc.status == _OTHER_TAG:
                return False
            if exc.status in _NOT_NOW:
                raise NotRemoved("OneDrive does not let the file be removed now") from None
            self._in_doubt = self._in_doubt or exc.status >= _SERVER_FAILED
            raise
        except Exception:
            self._in_doubt = True
            raise
        return True

    def _told_that_it_is_gone(self) -> bool:
        # After a request of ours whose answer was lost, "not there" is what we wanted.
        if self._in_doubt:
            return True
        # Told without one before it, it is looked at: were it wrong, the file would count as moved by
        # somebody else, and wait for a person from then on.
        if not self._is_not_there():
            raise NotRemoved("OneDrive says of a file that it is there, and that it is not")
        raise FileVanished("the file is no longer there")

    def _is_not_there(self) -> bool:
        try:
            self._graph.get_once(self._address)
        except GraphError as exc:
            return is_gone(exc)
        except Exception:  # noqa: BLE001  # it can't be asked: then it is not known
            return False
        return False
