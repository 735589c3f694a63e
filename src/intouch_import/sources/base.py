"""What a location promises: `Source`."""

from __future__ import annotations

import abc
import enum
import hashlib
import os
import re
import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

from intouch_import.closing import Closable
from intouch_import.errors import ConfigError, NameRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content
    from intouch_import.model import SourceFile

__all__ = ["ConnectedSource", "Source", "Weakness", "check_name"]

_MAX_NAME_BYTES = 255
_WINDOWS_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
_WINDOWS_REFUSED = re.compile(r'[<>:"|?*\x00-\x1f]')


class Weakness(enum.StrEnum):
    """What a kind of location can't promise.

    Each member names one promise that is weaker there, and what the source does instead, which is stricter
    and never laxer. For a source that declares it, the kit (`intouch_import.testing`) relaxes the check
    of that promise alone, and checks what is done instead.
    """

    text: str
    """What it means, in a sentence."""

    REMOVAL_NOT_PINNED = (
        "removal_not_pinned",
        "a removal can't be pinned to a version: the file is read again and compared just before",
    )
    VERSION_MAY_REPEAT = (
        "version_may_repeat",
        "a version is size and time: a change that keeps both is told by the bytes alone",
    )
    PUT_MAY_OVERWRITE = (
        "put_may_overwrite",
        "of two files put under one name in the same moment, one may replace the other",
    )
    PUT_SEEN_UNFINISHED = (
        "put_seen_unfinished",
        "a file that is put there may be seen under its name while it is being written",
    )
    LINKS_TOLD_BY_LISTING = (
        "links_told_by_listing",
        "whether a name is a link is told by a listing alone, not when the file is looked at again",
    )

    def __new__(cls, value: str, text: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class Source(Closable, abc.ABC):
    """One folder in one location: the only folder that files may be taken from.

    A source lists its folder, never what is below it, and touches no other. Its methods may be called from
    several threads at once: it holds no state that depends on a listing, or guards what it holds (a cloud
    drive remembers its last listing, so that the next one asks for changes only).

    Args:
        url: Where the folder is; used for the default ``source_id`` only.
        provider: Id of the provider whose folder this is, or None (an operator's folder).
        source_id: A name for this folder that every workstation agrees on. By default it is derived
            from ``url``: give one when the same folder is reached by different paths (a network
            share mounted in different places), since import ids are derived from it.
        label: What people see; by default the last part of the folder.
    """

    location: ClassVar[str]
    """Kind of place, as lists show it: ``"local"``, ``"azure"``…"""

    commits_whole: bool = False
    """True where a file appears only when its upload is complete, so that nothing needs to settle."""

    tells_changes: bool = False
    """True where `wait_for_change` returns as soon as something changes: nobody needs to keep looking."""
    concurrency: int = 2
    """How many files are read or removed at a time: more where the time goes into waiting for a network."""

    removes_together: int = 0
    """How many files `remove_many` takes in one request; 0 where the location has no such request."""

    weaknesses: tuple[Weakness, ...] = ()
    """What this location can't promise; `Weakness.text` says each in a sentence."""

    opened_with: tuple[str, Mapping[str, Any]] | None = None
    """The URL and the options that `open_source` was called with; options may hold secrets."""

    def __init__(
        self, url: str, *, provider: str | None = None, source_id: str | None = None, label: str | None = None
    ) -> None:
        self.provider = provider
        fingerprint = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self.source_id = source_id or f"{self.location}-{fingerprint}"
        self.label = label if label is not None else url.rstrip("/\\").replace("\\", "/").rpartition("/")[2]

    @property
    @abc.abstractmethod
    def filesystem(self) -> AbstractFileSystem:
        """The fsspec file system of this location, for a host that wants to look around.

        This library itself lists, reads and removes through the methods below alone: generic
        fsspec calls expand wildcards in file names and swallow errors.
        """

    @abc.abstractmethod
    def scan(self) -> Iterator[SourceFile]:
        """List the folder, in no particular order, straight from the location.

        Everything in it is listed, folders and links included, each with its kind. The
        iteration either comes to its end or raises: it never ends early.

        Raises:
            SourceError: The folder can't be listed.
        """

    @abc.abstractmethod
    def look(self, name: str) -> SourceFile | None:
        """What stands under ``name`` now; None if nothing does.

        It says the same as `scan`, and never of anything outside the folder: links are not followed.

        Raises:
            NameRefused: That can't be the name of a file in one folder.
            SourceError: The location can't be asked, or the folder is not there any more.
        """

    @abc.abstractmethod
    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        """Read exactly the version that was listed, hashing it.

        Args:
            file: As listed.
            staging: Folder for temporary files, best on the file system where the bytes will stay. Closing
                the content leaves none in it.

        Raises:
            FileChanged: Another version stands there now.
            FileVanished: Nothing stands there now.
            StillArriving: It grew or changed while it was read, or somebody is writing it.
            ContentMismatch: The location's own hash says that other bytes should have come.
            FileUnreadable: It can't be read.
            SourceError: The location failed.
        """

    def fetch_as_delivered(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        """`fetch`, for a file that a person has chosen: take what is delivered, though it be altered.

        Only where `fetch` raises `ContentAltered` does it differ from it: the file is read, and `remove` will
        refuse to take the original away.

        Raises:
            FileError, SourceError: As `fetch`, but never `ContentAltered`.
        """
        return self.fetch(file, staging=staging)

    @abc.abstractmethod
    def remove(self, file: SourceFile, *, sha256: str) -> None:
        """Remove the file, if it still is the version that was listed. `moving` alone calls this.

        Args:
            file: As listed.
            sha256: Digest of what was stored. A location that has no versions to pin a removal to
                reads the file again and compares.

        Raises:
            FileChanged: Another version stands there; it was not touched.
            FileVanished: Nothing stands there.
            NotRemoved: The right version is there and could not be removed.
            SourceError: The location failed; whether the file is gone is not known.
        """

    def remove_many(self, files: Sequence[SourceFile]) -> list[Exception | None]:
        """Remove several files in one request, each as `remove` does it. `moving` alone calls this.

        Called only where `removes_together` says so, which needs versions that a removal can be pinned to.

        Args:
            files: As listed; at most `removes_together`.

        Returns:
            For each file None, or what `remove` would have raised.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        """Write a new file, so that nothing half-written is ever seen under ``name``.

        Raises:
            NameTaken: A file of that name is there; it was not touched.
            NameRefused: The location can't hold a file of that name.
            SourceError: It could not be written; nothing stands under ``name``.
        """

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait until something in the folder may have changed since this was called before.

        Called by one thread at a time, over and over: what changes between two calls is told by the second.
        The default can't tell: it waits, and says that something may have changed.

        Args:
            timeout_s: How long to wait at most, seconds; a service that has a longer wait of its own may take
                that. 0 begins to watch, where there is something to begin, and returns at once.

        Returns:
            False only if nothing has changed for all that is known here.

        Raises:
            SourceError: The location can't be watched now.
        """
        time.sleep(timeout_s)
        return True

    def below(self, *folders: str, source_id: str) -> Source:  # noqa: ARG002
        """Open a folder below this one, with the same options. For archives: an inbox never looks there.

        Args:
            folders: Names of folders, one below the other, as `scan` lists them; none for this folder itself.
            source_id: Its id.

        Returns:
            A source. It may share connections with this one, so close this one last.

        Raises:
            NameRefused: That can't be the name of a folder.
            SourceError: There is no such folder, or a link stands in its place.
            ConfigError: Folders below this source can't be opened.
        """
        raise ConfigError("folders below this source can't be opened")

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:  # noqa: ARG002
        """Let a person sign in, where the location needs that, and wait for it.

        Called after another method raised `SignInNeeded`, with nothing locked: it may take minutes.

        Args:
            cancelled: Asked now and then; once True, nobody is waited for any longer.

        Returns:
            Whether somebody signed in, so that the location can be listed now. False where it has no
            sign-in of its own.

        Raises:
            SignInTimeout: Nobody did it in time.
            SignInFailed: The person did not allow it, it was cancelled, or the service refused.
            SourceError: The location was not reached.
        """
        return False

    def sync(self) -> None:
        """Make removals durable, where a location does not by itself. Called once per batch."""

    def close(self) -> None:
        """Let go of connections."""

    def __repr__(self) -> str:
        # The folder's path is left out: imaging towers name folders after patients.
        weak = f" weaknesses={'+'.join(self.weaknesses)}" if self.weaknesses else ""
        return f"<{type(self).__name__} {self.source_id}{weak}>"


class ConnectedSource(Source):
    """A source with connections, which the sources below it share.

    A practice has as many folders as patients: with connections of its own, each would sign in anew.
    """

    _borrows = False
    """Whether the connections are those of the source above this one, which closes them."""

    def below(self, *folders: str, source_id: str) -> Self:
        deeper = object.__new__(type(self))
        deeper.__dict__.update(self.__dict__)
        deeper.source_id = source_id
        deeper.label = folders[-1] if folders else self.label
        deeper.opened_with = None  # that is the way to the source above
        deeper._borrows = True
        deeper._descend(folders)
        return deeper

    @abc.abstractmethod
    def _descend(self, folders: Sequence[str]) -> None:
        """Go from the folder above to one below it, in a copy of the source above. Raises as `below`."""

    def close(self) -> None:
        if not self._borrows:
            self._disconnect()

    @abc.abstractmethod
    def _disconnect(self) -> None:
        """Let go of connections."""


def check_name(name: str, *, windows: bool = os.name == "nt") -> None:
    """Refuse names that are not the name of one file in one folder.

    Args:
        name: Base name.
        windows: Whether Windows' rules apply too: names that it keeps for devices, characters that it
            refuses, and trailing dots and blanks, which it drops silently.

    Raises:
        NameRefused: With the reason; the name is not repeated in the message.
    """
    if name in {"", ".", ".."}:
        raise NameRefused("a file name is empty or stands for a folder")
    if "/" in name or "\0" in name or ("\\" in name and (windows or os.name == "nt")):
        raise NameRefused("a file name holds a separator or a NUL character")
    if len(name) * 3 > _MAX_NAME_BYTES and len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        raise NameRefused(f"a file name is longer than {_MAX_NAME_BYTES} bytes")
    if windows:
        if _WINDOWS_RESERVED.fullmatch(name):
            raise NameRefused("Windows keeps that name for a device")
        if _WINDOWS_REFUSED.search(name):
            raise NameRefused("Windows refuses a character of that name")
        if name.endswith((".", " ")):
            raise NameRefused("Windows drops the dot or blank at the end of that name")
