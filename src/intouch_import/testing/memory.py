"""A location and patient records in memory: doubles that keep every promise, with faults to switch on."""

from __future__ import annotations

import contextlib
import functools
import io
import shutil
import tempfile
import threading
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path
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
from intouch_import.testing.places import Place
from intouch_import.testing.samples import BytesContent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from intouch_import.content import Content

__all__ = ["MemoryFolder", "MemoryRepository", "MemorySource"]


@attrs.frozen
class _Entry:
    kind: EntryKind
    data: bytes
    version: str
    modified_ns: int


class MemoryFolder(Place):
    """A folder in memory, as other programs see it. Several sources can be opened on it.

    Args:
        name: Sources on the folder derive their ids from this name.
        opened: Opens a source on the folder; by default a `MemorySource`.
    """

    def __init__(self, name: str = "photos", *, opened: Callable[..., Source] | None = None) -> None:
        self.name = name
        self.lock = threading.RLock()
        self._opened = opened or MemorySource
        self._entries: dict[str, _Entry] = {}
        self._versions = 0
        self._gone = False

    def open(self, **options: Any) -> Source:
        return self._opened(self, **options)

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file. Every write makes a new version, also with the same bytes."""
        self._keep(name, EntryKind.FILE, content)

    def read(self, name: str) -> bytes | None:
        entry = self._entries.get(name)
        return entry.data if entry is not None and entry.kind is EntryKind.FILE else None

    def delete(self, name: str) -> None:
        """Delete an entry, if it exists."""
        with self.lock:
            self._entries.pop(name, None)

    def make_folder(self, name: str) -> None:
        self._keep(name, EntryKind.FOLDER)

    def make_link(self, name: str) -> bool:
        self._keep(name, EntryKind.LINK)
        return True

    def names(self) -> set[str]:
        with self.lock:
            return {name for name, entry in self._entries.items() if entry.kind is EntryKind.FILE}

    def take_away(self) -> bool:
        self._gone = True
        return True

    def entries(self) -> dict[str, _Entry]:
        """Return all current entries.

        Raises:
            SourceUnavailable: The folder was taken away.
        """
        with self.lock:
            if self._gone:
                raise SourceUnavailable("the folder does not exist")
            return dict(self._entries)

    def _keep(self, name: str, kind: EntryKind, data: bytes = b"") -> None:
        with self.lock:
            self._versions += 1
            self._entries[name] = _Entry(kind, data, f"v{self._versions}", time.time_ns())


class MemorySource(Source):
    """A source on a `MemoryFolder`. See `Source` for the other arguments.

    Args:
        folder: The folder.

    Attributes:
        faults: The faults of this source (`Faults`). Its points are the names of the methods.
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

    def peek(self, file: SourceFile, size_bytes: int) -> tuple[bytes, bytes]:
        data = self._pinned(file).data
        return data[:size_bytes], data[max(0, len(data) - size_bytes) :]

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
                    raise NameTaken("a file with this name exists already")
                self.folder.write(name, data)
                return _source_file(name, self.folder.entries()[name])

        return self.faults.around("put", put)

    def sync(self) -> None:
        self.faults.around("sync", lambda: None)

    def _pinned(self, file: SourceFile) -> _Entry:
        check_name(file.name, windows=False)
        entry = self.folder.entries().get(file.name)
        if entry is None:
            raise FileVanished("the file no longer exists")
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
    """What survives a crash: the database and the disk."""

    def __init__(self) -> None:
        self.patients: dict[str, Patient] = {}
        self.providers: dict[str, Provider] = {}
        self.stored: dict[str, tuple[StoredAttachment, bytes]] = {}  # by import id
        self.next_id = 1
        self.writing = threading.RLock()

    @functools.cached_property
    def folder(self) -> Path:
        """A folder for the ledger, which is deleted together with the records."""
        folder = tempfile.mkdtemp(prefix="intouch-memory-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


class MemoryRepository(PatientRepository):
    """Patient records in memory, which are gone when the process ends.

    Args:
        patients, providers: The first patients and providers.
        clock: Returns the aware time for `StoredAttachment.stored_at`.

    Attributes:
        faults: The faults of this object (`Faults`), not of those that `reopen` returns. Its points are the
            names of the methods, and ``commit``, which makes the added files durable.
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
        """Open the same records again: as another workstation does, or this one after a crash.

        The new object sees what was committed, and has no faults.
        """
        other = type(self)(clock=self._clock)
        other._kept = self._kept  # noqa: SLF001  # an object of the same class
        return other

    def __repr__(self) -> str:
        return "<MemoryRepository>"

    @property
    def ledger(self) -> Path:
        return self._kept.folder / "ledger.db"

    # --- patients and providers

    def add_patient(self, patient: Patient, /) -> None:
        """Add a patient, or replace the patient with the same id."""
        self._kept.patients[patient.id] = patient

    def add_provider(self, provider: Provider, /) -> None:
        """Add a provider, or replace the provider with the same id."""
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
        """Return patients whose name or id contains ``text`` in any letter case, sorted by name."""
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
        """Return the attachments of a patient, in the order in which they were stored."""
        return [one for one, _ in list(self._kept.stored.values()) if one.patient_id == patient_id]

    def list_attachments(self, *, since: datetime | None = None) -> list[StoredAttachment]:
        kept = [one for one, _ in list(self._kept.stored.values())]
        return [one for one in kept if since is None or one.stored_at >= since]

    def damage(self, attachment_id: str) -> None:
        """Change a stored byte, without the repository noticing."""
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
            raise AssertionError("a file is added outside a transaction")
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
        raise RepositoryError("the attachment does not exist")


def _agree(stored: StoredAttachment, wanted: Attachment) -> StoredAttachment:
    if stored.patient_id != wanted.patient_id:
        raise AlreadyAssigned("the file is stored in another patient's record", import_id=wanted.import_id)
    if stored.sha256 != wanted.sha256:
        raise ContentMismatch("other bytes are stored under this import id", import_id=wanted.import_id)
    return stored
