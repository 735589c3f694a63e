"""A location and patient records in memory: doubles that keep every promise, with faults to switch on."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

from intouch_import.errors import (
    AlreadyAssigned,
    ContentMismatch,
    FileChanged,
    FileVanished,
    NameTaken,
    RepositoryError,
    SourceUnavailable,
    StorageFull,
    UnknownPatient,
)
from intouch_import.model import Attachment, EntryKind, Patient, Provider, SourceFile, StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.sources.base import Source, check_name
from intouch_import.testing.faults import Faults
from intouch_import.testing.samples import BytesContent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content

__all__ = ["MemoryFolder", "MemoryRepository", "MemorySource"]


@attrs.frozen
class _Entry:
    kind: EntryKind
    data: bytes
    version: str
    modified_ns: int


class MemoryFolder:
    """A folder in memory, as other programs see it. Several sources may be opened on one.

    Args:
        name: Sources on it derive their ids from this.
    """

    def __init__(self, name: str = "photos") -> None:
        self.name = name
        self.lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._versions = 0
        self._gone = False

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file, whole at once. Every write makes a new version, the same bytes too."""
        self.keep(name, EntryKind.FILE, content)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none of that name."""
        entry = self._entries.get(name)
        return entry.data if entry is not None and entry.kind is EntryKind.FILE else None

    def delete(self, name: str) -> None:
        """Take an entry away, if it is there."""
        with self.lock:
            self._entries.pop(name, None)

    def make_folder(self, name: str) -> None:
        """Make a sub-folder."""
        self.keep(name, EntryKind.FOLDER)

    def make_link(self, name: str) -> None:
        """Make a link that leads out of the folder."""
        self.keep(name, EntryKind.LINK)

    def names(self) -> set[str]:
        """The files in the folder now."""
        with self.lock:
            return {name for name, entry in self._entries.items() if entry.kind is EntryKind.FILE}

    def take_away(self) -> None:
        """From now on the folder is not there any more, as a share that is not mounted."""
        self._gone = True

    def keep(self, name: str, kind: EntryKind, data: bytes = b"") -> None:
        """Put an entry of any kind there."""
        with self.lock:
            self._versions += 1
            self._entries[name] = _Entry(kind, data, f"v{self._versions}", time.time_ns())

    def entries(self) -> dict[str, _Entry]:
        """Everything that is there now.

        Raises:
            SourceUnavailable: The folder was taken away.
        """
        with self.lock:
            if self._gone:
                raise SourceUnavailable("the folder does not exist")
            return dict(self._entries)


class MemorySource(Source):
    """A source on a `MemoryFolder`. See `Source` for the other arguments.

    Args:
        folder: Which.

    Attributes:
        faults: Switches for what should go wrong (`Faults`). Its points are the methods.
    """

    location: ClassVar[str] = "memory"
    commits_whole = True

    def __init__(
        self,
        folder: MemoryFolder,
        *,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(folder.name, provider=provider, source_id=source_id, label=label)
        self.folder = folder
        self.faults = Faults("scan", "look", "fetch", "remove", "put", "sync")
        folder.entries()

    @property
    def filesystem(self) -> AbstractFileSystem:
        """A copy of the folder as it is now, to look around in."""
        import fsspec

        copy = fsspec.filesystem("memory", skip_instance_cache=True)
        copy.store, copy.pseudo_dirs = {}, [""]
        for name in self.folder.names():
            copy.pipe_file(f"/{name}", self.folder.read(name) or b"")
        return copy

    def scan(self) -> Iterator[SourceFile]:
        self.faults.strike("before", "scan")
        yield from self.faults.around(
            "scan", lambda: [_source_file(name, entry) for name, entry in self.folder.entries().items()]
        )

    def look(self, name: str) -> SourceFile | None:
        check_name(name, windows=False)

        def look() -> SourceFile | None:
            entry = self.folder.entries().get(name)
            return _source_file(name, entry) if entry is not None else None

        return self.faults.around("look", look)

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:  # noqa: ARG002  # all in memory
        return self.faults.around("fetch", lambda: BytesContent(self._pinned(file).data))

    def remove(self, file: SourceFile, *, sha256: str) -> None:  # noqa: ARG002  # the version pins it
        def remove() -> None:
            with self.folder.lock:
                self._pinned(file)
                self.folder.delete(file.name)

        self.faults.around("remove", remove)

    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        check_name(name, windows=False)

        def put() -> SourceFile:
            data = b"".join(chunks)
            with self.folder.lock:
                if name in self.folder.entries():
                    raise NameTaken("a file of that name is there already")
                self.folder.write(name, data)
                return _source_file(name, self.folder.entries()[name])

        return self.faults.around("put", put)

    def sync(self) -> None:
        self.faults.around("sync", lambda: None)

    def _pinned(self, file: SourceFile) -> _Entry:
        check_name(file.name, windows=False)
        entry = self.folder.entries().get(file.name)
        if entry is None:
            raise FileVanished("the file is no longer there")
        if entry.kind is not EntryKind.FILE or entry.version != file.version:
            raise FileChanged("the file is no longer the version that was listed")
        return entry


def _source_file(name: str, entry: _Entry) -> SourceFile:
    return SourceFile(
        name=name,
        kind=entry.kind,
        size_bytes=len(entry.data),
        modified_ns=entry.modified_ns,
        version=entry.version,
    )


class _Kept:
    """What outlives a crash: the database and the disk, so to say."""

    def __init__(self) -> None:
        self.patients: dict[str, Patient] = {}
        self.providers: dict[str, Provider] = {}
        self.stored: dict[str, tuple[StoredAttachment, bytes]] = {}  # by import id
        self.next_id = 1
        self.writing = threading.RLock()


class MemoryRepository(PatientRepository):
    """Patient records that are gone when the process ends.

    Args:
        patients, providers: Who is there from the beginning.
        clock: Gives the time that `StoredAttachment.stored_at` records, aware.

    Attributes:
        faults: Switches for what should go wrong (`Faults`), of this opening alone. Its points are the
            methods, and ``commit``, where what was added becomes durable.
    """

    def __init__(
        self,
        patients: Iterable[Patient] = (),
        providers: Iterable[Provider] = (),
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.faults = Faults(
            *("find_patient", "find_patients", "find_provider", "search_patients"),
            *("add", "commit", "find_attachment", "open_attachment", "withdraw"),
        )
        self._clock = clock
        self._kept = _Kept()
        self._here = threading.local()
        for patient in patients:
            self.add_patient(patient)
        for provider in providers:
            self.add_provider(provider)

    def reopen(self) -> Self:
        """Open the same records again: another workstation, or this one after a crash.

        What was not committed is not there. The new one has no faults.
        """
        other = type(self)(clock=self._clock)
        other._kept = self._kept  # noqa: SLF001  # it is one of us
        return other

    def __repr__(self) -> str:
        return "<MemoryRepository>"

    # --- patients and providers

    def add_patient(self, patient: Patient, /) -> None:
        """Add a patient, or replace what is known of the one with that id."""
        self._kept.patients[patient.id] = patient

    def add_provider(self, provider: Provider, /) -> None:
        """Add a provider, or replace what is known of the one with that id."""
        self._kept.providers[provider.id] = provider

    def find_patient(self, patient_id: str) -> Patient | None:
        return self.faults.around("find_patient", lambda: self._kept.patients.get(patient_id))

    def find_patients(self, patient_ids: Collection[str]) -> Mapping[str, Patient]:
        known = self._kept.patients
        return self.faults.around(
            "find_patients",
            lambda: {patient_id: known[patient_id] for patient_id in patient_ids if patient_id in known},
        )

    def find_provider(self, provider_id: str) -> Provider | None:
        return self.faults.around("find_provider", lambda: self._kept.providers.get(provider_id))

    def search_patients(self, text: str, *, limit: int = 20) -> Sequence[Patient]:
        """Patients whose name or id contains ``text``, letter case aside, by name."""
        wanted = text.strip().casefold()

        def search() -> list[Patient]:
            known = sorted(self._kept.patients.values(), key=lambda one: (one.name, one.id))
            found = [one for one in known if wanted in f"{one.id}\n{one.name}".casefold()]
            return found[: max(0, limit)]

        return self.faults.around("search_patients", search)

    # --- attachments

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if self._batch is not None:
            yield  # nested: the outer block commits
            return
        with self._kept.writing:
            batch = self._here.batch = {}
            try:
                yield
                self.faults.around("commit", lambda: self._kept.stored.update(batch))
            finally:
                self._here.batch = None

    def add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        with self.transaction():
            return self.faults.around("add", lambda: self._add(attachment, content))

    def find_attachment(self, import_ids: Collection[str]) -> Mapping[str, StoredAttachment]:
        stored = self._kept.stored

        def find() -> dict[str, StoredAttachment]:
            return {import_id: stored[import_id][0] for import_id in import_ids if import_id in stored}

        return self.faults.around("find_attachment", find)

    def open_attachment(self, attachment_id: str) -> BinaryIO:
        return self.faults.around("open_attachment", lambda: io.BytesIO(self._find(attachment_id)[1]))

    def withdraw(self, attachment_id: str) -> None:
        def withdraw() -> None:
            with self._kept.writing, contextlib.suppress(RepositoryError):
                del self._kept.stored[self._find(attachment_id)[0].import_id]

        self.faults.around("withdraw", withdraw)

    def attachments(self, patient_id: str) -> list[StoredAttachment]:
        """What is stored for a patient, in the order in which it was stored."""
        return [one for one, _ in list(self._kept.stored.values()) if one.patient_id == patient_id]

    def damage(self, attachment_id: str) -> None:
        """Change a byte of what is stored, behind the repository's back."""
        stored, data = self._find(attachment_id)
        changed = bytes([data[0] ^ 0xFF]) + data[1:] if data else b"\0"
        self._kept.stored[stored.import_id] = (stored, changed)

    # --- inside

    @property
    def _batch(self) -> dict[str, tuple[StoredAttachment, bytes]] | None:
        batch: dict[str, Any] | None = getattr(self._here, "batch", None)
        return batch

    def _add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        batch = self._batch
        if batch is None:
            raise AssertionError("files are added in a transaction")
        known = batch.get(attachment.import_id) or self._kept.stored.get(attachment.import_id)
        if known is not None:
            return _agree(known[0], attachment)
        if attachment.patient_id not in self._kept.patients:
            raise UnknownPatient("no patient has this id")
        try:
            with content.open() as stream:
                data = stream.read()
        except MemoryError:
            raise StorageFull("no room left in memory") from None
        number = self._kept.next_id
        self._kept.next_id += 1
        values = attrs.asdict(attachment, recurse=False)
        stored = StoredAttachment(id=f"memory-{number}", stored_at=self._clock(), **values)
        batch[attachment.import_id] = (stored, data)
        return stored

    def _find(self, attachment_id: str) -> tuple[StoredAttachment, bytes]:
        for stored, data in list(self._kept.stored.values()):
            if stored.id == attachment_id:
                return stored, data
        raise RepositoryError("there is no such attachment")


def _agree(stored: StoredAttachment, wanted: Attachment) -> StoredAttachment:
    if stored.patient_id != wanted.patient_id:
        raise AlreadyAssigned("stored already, in another patient's record", import_id=wanted.import_id)
    if stored.sha256 != wanted.sha256:
        raise ContentMismatch("other bytes are stored under this import id", import_id=wanted.import_id)
    return stored
