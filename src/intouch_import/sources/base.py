"""`Source`: what every location implements."""

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
from intouch_import.exclusions import Exclusions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content
    from intouch_import.model import SourceFile

__all__ = ["ConnectedSource", "Source", "Weakness", "check_name"]

_MAX_NAME_BYTES = 255
_WINDOWS_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
_WINDOWS_REFUSED = re.compile(r'[<>:"|?*\x00-\x1f]')


class Weakness(enum.StrEnum):
    """A promise of `Source` that some locations can't keep.

    The source then does something stricter instead, never something laxer. For a source that declares a
    weakness, the test kit (`intouch_import.testing`) relaxes the check of that promise alone and checks what
    the source does instead.
    """

    text: str
    """The weakness in a sentence."""

    REMOVAL_NOT_PINNED = (
        "removal_not_pinned",
        "a removal can't be pinned to a version: the file is read again and compared just before",
    )
    VERSION_MAY_REPEAT = (
        "version_may_repeat",
        "a version is size and time: a change that keeps both is only found by comparing the bytes",
    )
    PUT_MAY_OVERWRITE = (
        "put_may_overwrite",
        "of two files put under one name at the same time, one may replace the other",
    )
    PUT_SEEN_UNFINISHED = (
        "put_seen_unfinished",
        "a file that is being put there may be visible under its name before it is complete",
    )
    LINKS_ONLY_IN_LISTINGS = (
        "links_only_in_listings",
        "only a listing shows whether a name is a link, not a later look at that name",
    )

    def __new__(cls, value: str, text: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class Source(Closable, abc.ABC):
    """One folder in one location: the only folder that files may be taken from.

    A source lists its own folder, not the folders below it, and touches no other folder. Its methods are
    thread-safe. A source keeps no state that depends on a listing, or protects that state with a lock (a
    cloud drive remembers its last listing, so that the next request asks for changes only).

    Args:
        url: Address of the folder; only used to derive the default ``source_id``.
        provider: Id of the provider who owns this folder, or None (an operator's folder).
        source_id: A name for this folder, the same on every workstation; by default derived from ``url``.
            Import ids are derived from it, so give one when workstations reach the folder by different
            paths (a network share that is mounted in different places).
        label: Name for people to see; by default the last part of the folder's path.
    """

    location: ClassVar[str]
    """Kind of location, as lists show it: ``"local"``, ``"azure"``…"""

    commits_whole: bool = False
    """Whether a file appears only when its upload is complete, so that an import need not wait for it."""

    reports_changes: bool = False
    """Whether `wait_for_change` returns as soon as something changes, so that polling is not needed."""

    concurrency: int = 2
    """How many files to read or remove in parallel; more where most of the time is network latency."""

    removes_together: int = 0
    """How many files `remove_many` accepts at once; 0 if the location can't remove several in one request."""

    weaknesses: tuple[Weakness, ...] = ()
    """The promises that this location can't keep."""

    exclusions: Exclusions = Exclusions()
    """The names of files and folders that are not imported from here; `open_source` sets it."""

    opened_with: tuple[str, Mapping[str, Any]] | None = None
    """The URL and the options that `open_source` was called with. Options may contain secrets."""

    def __init__(
        self, url: str, *, provider: str | None = None, source_id: str | None = None, label: str | None = None
    ) -> None:
        self.provider = provider
        fingerprint = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self.source_id = source_id or f"{self.location}-{fingerprint}"
        self.label = label if label is not None else url.rstrip("/\\").replace("\\", "/").rpartition("/")[2]

    @property
    def filesystem(self) -> AbstractFileSystem:
        """The folder as a read-only fsspec file system, to look around and to read files with pandas.

        Its paths start at this folder: ``/photo.jpg``. It also shows the folders below. The library itself
        does not use it.
        """
        from intouch_import.sources.filesystem import SourceFileSystem

        return SourceFileSystem(self)

    @abc.abstractmethod
    def scan(self) -> Iterator[SourceFile]:
        """List the folder, in no particular order and without a cache.

        Everything in the folder is listed with its kind, including folders and links. The iteration never
        ends early: it is complete, or it raises.

        Raises:
            SourceError: The folder can't be listed.
        """

    @abc.abstractmethod
    def look(self, name: str) -> SourceFile | None:
        """Return the file or folder that has this name now, or None.

        The answer is the same as in `scan`. Links are not followed, so nothing outside the folder is shown.

        Raises:
            NameRefused: No file in a folder can have this name.
            SourceError: The location can't be reached, or the folder no longer exists.
        """

    @abc.abstractmethod
    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        """Read and hash exactly the version that was listed.

        Args:
            file: A file from `scan` or `look`.
            staging: Folder for temporary files, best on the file system where the bytes will stay. Closing
                the content deletes them.

        Raises:
            FileChanged: The file is now another version.
            FileVanished: The file no longer exists.
            StillArriving: The file changed while it was read, or another program is writing it.
            ContentMismatch: The bytes do not match the hash that the location has for them.
            FileUnreadable: The file can't be read.
            SourceError: The location failed.
        """

    def fetch_as_delivered(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        """Read a file that a person has chosen, even if the location delivers an altered copy of it.

        This differs from `fetch` only where `fetch` raises `ContentAltered`: here the copy is accepted, and
        `remove` will refuse to remove the original.

        Raises:
            FileError, SourceError: As `fetch`, but never `ContentAltered`.
        """
        return self.fetch(file, staging=staging)

    def peek(self, file: SourceFile, size_bytes: int) -> tuple[bytes, bytes] | None:  # noqa: ARG002
        """Return the first and the last bytes of a file, to show or to ask something about it.

        The version is checked as far as this is cheap. Nothing is imported or removed because of these bytes.

        Args:
            file: A file from `scan` or `look`.
            size_bytes: How many bytes to return of each end, at most.

        Returns:
            The bytes; None if the location can't read a part of a file quickly (the default), or if the file
            is no longer the version that was listed.

        Raises:
            FileError, SourceError: As `fetch`.
        """
        return None

    @abc.abstractmethod
    def remove(self, file: SourceFile, *, sha256: str) -> None:
        """Remove the file if it is still the version that was listed. Only `moving` calls this.

        Args:
            file: A file from `scan` or `look`.
            sha256: SHA-256 of the stored bytes. A location that can't pin a removal to a version reads the
                file again and compares.

        Raises:
            FileChanged: The file is now another version; it was not touched.
            FileVanished: The file no longer exists.
            NotRemoved: The listed version is there and could not be removed.
            SourceError: The location failed; it is not known whether the file was removed.
        """

    def remove_many(self, files: Sequence[SourceFile]) -> list[Exception | None]:
        """Remove several files in one request, each under the same conditions as `remove`.

        Only `moving` calls this, and only if `removes_together` is not 0. It needs a location that can pin a
        removal to a version.

        Args:
            files: Files from `scan` or `look`, at most `removes_together`.

        Returns:
            For each file, None or the exception that `remove` would have raised.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        """Write a new file that becomes visible under ``name`` only when it is complete.

        Raises:
            NameTaken: A file with this name exists; it was not touched.
            NameRefused: The location does not allow this name.
            SourceError: The file could not be written; there is no file with this name.
        """

    def put_back(self, name: str, chunks: Iterable[bytes], *, modified_at: datetime | None) -> SourceFile:  # noqa: ARG002
        """Write a file that was here before, as `put` does, with its earlier modification time.

        The default, for locations that set the time themselves, is `put`.

        Args:
            name: The name.
            chunks: The bytes.
            modified_at: The time, aware; None if it is not known.
        """
        return self.put(name, chunks)

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait until something in the folder may have changed since the previous call.

        Called repeatedly by one thread at a time. The next call reports changes that happen between two
        calls. The default implementation detects nothing: it waits and returns True.

        Args:
            timeout_s: Longest wait, seconds; a service may have a longer minimum. 0 starts watching and
                returns at once.

        Returns:
            False if the source knows of no change; otherwise True.

        Raises:
            SourceError: The location can't be watched now.
        """
        time.sleep(timeout_s)
        return True

    def below(self, *folders: str, source_id: str) -> Source:  # noqa: ARG002
        """Open a folder below this one, with the same options. Only migrations do this, never an inbox.

        Args:
            folders: Names of nested folders, outermost first, as `scan` lists them; none for this folder.
            source_id: Id of the new source.

        Returns:
            A source. It may share connections with this one, so close this one last.

        Raises:
            NameRefused: No folder can have this name.
            SourceError: There is no such folder, or it is a link.
            ConfigError: This kind of source can't open folders below it.
        """
        raise ConfigError("folders below this source can't be opened")

    def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:  # noqa: ARG002
        """Let a person sign in, where the location needs it, and wait until they have.

        Called after another method raised `SignInNeeded`, with no lock held: it may take minutes.

        Args:
            cancelled: Called now and then; waiting stops when it returns True.

        Returns:
            Whether a person signed in, so that the location can be listed now. False if the location has no
            sign-in.

        Raises:
            SignInTimeout: Nobody signed in in time.
            SignInFailed: The person refused or cancelled, or the service refused.
            SourceError: The location could not be reached.
        """
        return False

    def sync(self) -> None:
        """Make removals durable, if the location does not do so itself. Called once for each batch."""

    def close(self) -> None:
        """Close the connections."""

    def __repr__(self) -> str:
        # The folder's path is left out: imaging towers name folders after patients.
        weak = f" weaknesses={'+'.join(self.weaknesses)}" if self.weaknesses else ""
        return f"<{type(self).__name__} {self.source_id}{weak}>"


class ConnectedSource(Source):
    """A source with connections that the sources below it share.

    An archive may have one folder for each patient. Without sharing, every one would sign in again.
    """

    _borrows = False  # True in a source below another: that one closes the connections

    def below(self, *folders: str, source_id: str) -> Self:
        deeper = object.__new__(type(self))
        deeper.__dict__.update(self.__dict__)
        deeper.source_id = source_id
        deeper.label = folders[-1] if folders else self.label
        deeper.opened_with = None  # it opens the source above
        deeper._borrows = True
        deeper._descend(folders)
        return deeper

    @abc.abstractmethod
    def _descend(self, folders: Sequence[str]) -> None:
        """Turn this copy of the source above into the source below. Raises as `below`."""

    def close(self) -> None:
        if not self._borrows:
            self._disconnect()

    @abc.abstractmethod
    def _disconnect(self) -> None:
        """Close the connections."""


def check_name(name: str, *, windows: bool = os.name == "nt") -> None:
    """Refuse a name that can't be the name of one file in one folder.

    Args:
        name: Base name.
        windows: Whether to apply the rules of Windows too: it reserves names of devices, forbids some
            characters, and silently drops dots and spaces at the end.

    Raises:
        NameRefused: With the reason, but without the name.
    """
    if name in {"", ".", ".."}:
        raise NameRefused("a file name is empty, . or ..")
    if "/" in name or "\0" in name or ("\\" in name and (windows or os.name == "nt")):
        raise NameRefused("a file name contains a separator or a NUL character")
    if len(name) * 3 > _MAX_NAME_BYTES and len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        raise NameRefused(f"a file name is longer than {_MAX_NAME_BYTES} bytes")
    if windows:
        if _WINDOWS_RESERVED.fullmatch(name):
            raise NameRefused("Windows reserves this name for a device")
        if _WINDOWS_REFUSED.search(name):
            raise NameRefused("Windows does not allow a character in this name")
        if name.endswith((".", " ")):
            raise NameRefused("Windows drops the dot or space at the end of this name")
