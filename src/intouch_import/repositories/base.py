"""`PatientRepository`: the base class that a practice system implements. Its docstrings are the contract."""

from __future__ import annotations

import abc
import contextlib
import logging
from typing import TYPE_CHECKING

from intouch_import.errors import FileError, NotSupported

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    import sqlalchemy as sa

    from intouch_import.content import Content
    from intouch_import.model import Attachment, Patient, Provider, StoredAttachment

__all__ = ["PatientRepository", "find_exactly", "overrides"]

log = logging.getLogger(__name__)


class PatientRepository(abc.ABC):
    """The patient records of one practice.

    Five methods are abstract. The other methods have defaults that you can override. All methods are called
    from several threads, and by several processes that use the same database. Do not call an inbox or a
    migration inside a transaction of the host: an added file would not be durable.

    If a method fails, raise `RepositoryError`; every other exception is treated as one. The message of an
    exception must not contain a patient, a file name or a path, because hosts log it.

    The test kit (`check_repository`) tests every promise in these docstrings.
    """

    @property
    def staging(self) -> Path | None:
        """A folder for temporary files, in the file system of the stored files; or None.

        From this folder, `Content.save_to` can link files instead of copying them. If None, temporary files
        are in the system's temporary folder.
        """
        return None

    @property
    def ledger(self) -> str | os.PathLike[str] | sa.Engine | None:
        """Where the ledger of these records is: a SQLAlchemy URL or engine, or the path of a SQLite file.

        The ledger belongs to the records. All programs that use the same records must use the same ledger, on
        all computers: otherwise, an import that one program has undone is repeated by another. Return the
        database of the records themselves, if SQLAlchemy can open it.

        The default is the SQLAlchemy engine in the attribute ``engine``, if there is one, else None: then
        every inbox and every migration must be given the same ``ledger=``.
        """
        return getattr(self, "engine", None)

    @abc.abstractmethod
    def find_patient(self, patient_id: str) -> Patient | None:
        """Return the patient with exactly this id, or None.

        Never return a similar id: ids that differ in letter case, zeros or blanks are different ids. A
        patient whose `Patient.id` is not the id asked for is treated as unknown. Also return patients who are
        not active, with ``active=False``. If the practice has merged two patients, return None for the id
        that is no longer used.
        """

    @abc.abstractmethod
    def find_provider(self, provider_id: str) -> Provider | None:
        """Return the provider with exactly this id, or None. Never return a similar id."""

    @abc.abstractmethod
    def add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        """Store one file in a patient's record.

        This method is idempotent on ``attachment.import_id``: if that id is stored already, store nothing and
        return the stored attachment. Outside of `transaction`, the file is durable when the method returns,
        even if the power fails: bytes synced, row committed. Inside, it is durable when the transaction ends.
        A call that fails or is late never damages what another call has stored meanwhile.

        Args:
            attachment: The attachment to store. ``title``, ``comments`` and ``name`` may contain any text: do
                not make them part of a path or of an SQL statement. A name may contain lone surrogates
                (`SourceFile.name`).
            content: The bytes: exactly ``attachment.size_bytes``, with the digest ``attachment.sha256``. Read
                them with ``content.open()``, or store them on a local disk with ``content.save_to``. Store
                them unchanged, and do not use ``content`` after `add` has returned.

        Returns:
            The stored attachment. Every field has the value that was given, here and in `find_attachment`.

        Raises:
            AlreadyAssigned: The import id is stored in another patient's record.
            ContentMismatch: The import id is stored with another digest.
            UnknownPatient: No patient has this id.
            StorageFull: The storage is full. Nothing was stored.
            RepositoryError: Any other failure. `find_attachment` shows whether the file was stored.
        """

    @abc.abstractmethod
    def find_attachment(self, import_ids: Collection[str]) -> Mapping[str, StoredAttachment]:
        """Return the attachments with these import ids, by import id; omit ids that are not stored.

        This is called with up to some thousand ids. The result includes everything that any program has
        committed.
        """

    @abc.abstractmethod
    def open_attachment(self, attachment_id: str) -> BinaryIO:
        """Open the stored bytes for reading, as they are now on the disk or in the service.

        Each reader starts at the beginning, and has a position that no other reader changes.

        Args:
            attachment_id: `StoredAttachment.id`.

        Raises:
            RepositoryError: The attachment does not exist or can't be read. If its bytes do not exist, set
                ``errno=errno.ENOENT``, so that a check can report them as missing.
        """

    def find_patients(self, patient_ids: Collection[str]) -> Mapping[str, Patient]:
        """Return the patients with these ids, by id, like `find_patient`; omit unknown ids."""
        found = {patient_id: self.find_patient(patient_id) for patient_id in patient_ids}
        return {patient_id: patient for patient_id, patient in found.items() if patient is not None}

    def search_patients(self, text: str, *, limit: int = 20) -> Sequence[Patient]:
        """Return patients with ``text`` in their name or id, so that a person can choose one.

        The default finds exact ids only.

        Args:
            text: What the person typed.
            limit: The maximum number of patients.
        """
        patient = self.find_patient(text.strip())
        return [patient][:limit] if patient is not None else []

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit several `add` calls of one thread together.

        If the block ends normally, everything that was added in it is durable. If it ends with an exception,
        nothing that was added in it is stored. The default commits each `add` separately.
        """
        yield

    def find_by_digest(
        self,
        digests: Collection[str],  # noqa: ARG002  # the default finds nothing
    ) -> Mapping[str, Sequence[StoredAttachment]]:
        """Return all attachments with these bytes, in any record, by digest; omit digests that none has.

        This is called once per batch, before `add_many`, in the same `transaction`. Until that transaction
        ends, no other program may commit an attachment with a digest that was not found, as far as the
        database can prevent it: two workstations may import two files with the same bytes at the same time.

        The default finds nothing. Then a photo is stored a second time if it comes under another name or from
        another folder, and there is no warning if it is in another patient's record.

        Args:
            digests: SHA-256 digests, 64 lower-case hex digits each; up to some hundred.
        """
        return {}

    def companions_of(
        self,
        import_ids: Collection[str],  # noqa: ARG002  # the default finds nothing
    ) -> Mapping[str, Sequence[StoredAttachment]]:
        """Return the attachments that belong to these, by their ``companion_of``; omit ids that have none.

        An undo and a reassignment use this to take the movie, the edited twin and the sidecars of a photo
        with it. The default finds nothing. Then they take only what was chosen.

        Args:
            import_ids: Import ids of attachments, up to some hundred.
        """
        return {}

    def sizes_stored(self, sizes_bytes: Collection[int]) -> Collection[int]:  # noqa: ARG002  # finds none
        """Return those of these sizes that at least one stored attachment has.

        `Inbox.prepare` uses this to warn of a duplicate before the save: it reads a file for this only if its
        size is stored. The default returns no size. Then only the report of the save shows that a file is a
        duplicate.
        """
        return ()

    def list_attachments(
        self,
        *,
        since: datetime | None = None,  # noqa: ARG002  # the default lists nothing
    ) -> Iterable[StoredAttachment]:
        """Return the attachments that were stored at this time or later, in any order; all if None.

        `verify_records` uses this to check attachments that the ledger does not know. An attachment that is
        added or withdrawn meanwhile may be in the result or not. The default lists nothing: then only files
        in the ledger are checked.
        """
        return ()

    def add_many(self, items: Sequence[tuple[Attachment, Content]]) -> list[StoredAttachment | FileError]:
        """Store several files in one transaction; return one result per file, in the same order.

        If one file raises a `FileError`, this error is its result, and the other files are stored. If any
        other exception is raised, nothing of the batch is stored.
        """
        results: list[StoredAttachment | FileError] = []
        with self.transaction():
            for attachment, content in items:
                try:
                    results.append(self.add(attachment, content))
                except FileError as exc:
                    results.append(exc)
        return results

    def reassign(
        self,
        attachment_id: str,  # noqa: ARG002  # the default always raises
        *,
        from_patient_id: str,  # noqa: ARG002
        to_patient_id: str,  # noqa: ARG002
    ) -> StoredAttachment:
        """Move an attachment from one patient's record to another's.

        This is one step, and durable when the method returns: at every moment, the attachment is in exactly
        one of the two records. Its id, its import id and all other fields do not change. If the host stores
        the files of each patient in a separate place, move the bytes too, and leave none in the first
        patient's place. If the attachment is already in the record of ``to_patient_id``, do nothing.

        Returns:
            The attachment in its new record.

        Raises:
            AlreadyAssigned: The attachment is in neither of the two records: another person has moved it.
            UnknownPatient: No patient has the id ``to_patient_id``.
            NotSupported: This repository can't move attachments (the default).
            RepositoryError: The attachment does not exist or can't be moved. It is where it was.
        """
        raise NotSupported("this repository can't move an attachment to another patient")

    def withdraw(self, attachment_id: str) -> None:  # noqa: ARG002  # the default always raises
        """Remove an attachment and its bytes from the record, as a step of an undo.

        This is called only after the bytes have been put back into a source and verified. Afterwards, the
        import id can be added again. If the attachment does not exist, do nothing.

        Raises:
            NotSupported: This repository can't remove attachments (the default).
        """
        raise NotSupported("this repository can't withdraw an attachment")


def overrides(repository: PatientRepository, method: str) -> bool:
    """Return whether a repository has a method of its own in place of this default, by the method's name."""
    return getattr(type(repository), method, None) is not getattr(PatientRepository, method)


def find_exactly(repository: PatientRepository, patient_ids: Collection[str]) -> dict[str, Patient]:
    """Look up patients by id; leave out those whose own id is another one.

    A host that trims ids, or follows a merged patient, would answer for another patient than the one asked
    for. Files would be stored under one id and found under the other.
    """
    found = repository.find_patients(patient_ids)
    exact = {asked: patient for asked, patient in found.items() if patient.id == asked}
    if len(exact) < len(found):
        log.error("the records answered with another patient than the one asked for")
    return exact
