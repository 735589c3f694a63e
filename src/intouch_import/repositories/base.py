"""`PatientRepository`: what a practice system implements. The docstrings are the contract."""

from __future__ import annotations

import abc
import contextlib
from typing import TYPE_CHECKING

from intouch_import.errors import FileError, NotSupported

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from intouch_import.content import Content
    from intouch_import.model import Attachment, Patient, Provider, StoredAttachment

__all__ = ["PatientRepository"]


class PatientRepository(abc.ABC):
    """The patient records of one practice.

    Five methods must be implemented; the others have bodies that work, and may be bettered. All may
    be called from several threads, and by several processes over the same database.

    Where a method fails, raise `RepositoryError`; any other exception is treated as one. No text of an
    exception names a patient, a file or a path: hosts log it.

    The kit (`check_repository`) tries every promise on this page.
    """

    @property
    def staging(self) -> Path | None:
        """Folder for files on their way in, on the file system where content will stay.

        From there `Content.save_to` is a link instead of a copy. None: the system's temporary folder.
        """
        return None

    @abc.abstractmethod
    def find_patient(self, patient_id: str) -> Patient | None:
        """The patient with exactly this id, or None.

        Never a near match: ids that differ in case, zeros or blanks are different ids. If the
        practice merged two patients, return None for the id that was given up.
        """

    @abc.abstractmethod
    def find_provider(self, provider_id: str) -> Provider | None:
        """The provider with exactly this id, or None."""

    @abc.abstractmethod
    def add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        """Store one file in a patient's record.

        Idempotent on ``attachment.import_id``: if that id is stored already, store nothing and return
        what is there. Outside `transaction` it is durable on return (power may fail the moment after):
        bytes synced, row committed. Inside, it is durable when the transaction ends.

        Args:
            attachment: What to store. ``title``, ``comments`` and ``name`` are text of any kind: never
                part of a path or of SQL text. A name may hold lone surrogates (`SourceFile.name`).
            content: The bytes, exactly ``attachment.size_bytes`` of them with digest
                ``attachment.sha256``. Read them with ``content.open()``, or let ``content.save_to`` put
                them on a local disk. Store them unchanged. They are gone when `add` has returned.

        Returns:
            What is stored, every field as it was given, and as `find_attachment` will give it.

        Raises:
            AlreadyAssigned: That import id is stored in another patient's record.
            ContentMismatch: That import id is stored with another digest.
            UnknownPatient: There is no such patient.
            StorageFull: No room. Nothing was stored.
            RepositoryError: Anything else. Whether it was stored is found out by `find_attachment`.
        """

    @abc.abstractmethod
    def find_attachment(self, import_ids: Collection[str]) -> Mapping[str, StoredAttachment]:
        """What is stored under these import ids; ids that are not stored are left out.

        Called with up to some thousand ids at once. Sees everything committed by anybody.
        """

    @abc.abstractmethod
    def open_attachment(self, attachment_id: str) -> BinaryIO:
        """Open the stored bytes for reading, as they are on the disk or the service now.

        Every reader has a position of its own and begins at the start.

        Args:
            attachment_id: `StoredAttachment.id`.

        Raises:
            RepositoryError: There is no such attachment, or it can't be read.
        """

    def find_patients(self, patient_ids: Collection[str]) -> Mapping[str, Patient]:
        """`find_patient` for many ids at once; ids that nobody has are left out."""
        found = {patient_id: self.find_patient(patient_id) for patient_id in patient_ids}
        return {patient_id: patient for patient_id, patient in found.items() if patient is not None}

    def search_patients(self, text: str, *, limit: int = 20) -> Sequence[Patient]:
        """Patients whose name or id contains ``text``, for a person to choose from.

        The default knows exact ids only.
        """
        patient = self.find_patient(text.strip())
        return [patient][:limit] if patient is not None else []

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Group several `add` calls of one thread into one commit.

        When the block ends normally, everything added in it is durable. When it ends with an
        exception, nothing of it is stored. The default commits each `add` by itself.
        """
        yield

    def add_many(self, items: Sequence[tuple[Attachment, Content]]) -> list[StoredAttachment | FileError]:
        """Store several files in one transaction: one result each, in order.

        A `FileError` of one file is returned in its place and does not stop the others. Any other
        exception means that nothing of the batch is stored.
        """
        results: list[StoredAttachment | FileError] = []
        with self.transaction():
            for attachment, content in items:
                try:
                    results.append(self.add(attachment, content))
                except FileError as exc:
                    results.append(exc)
        return results

    def withdraw(self, attachment_id: str) -> None:  # noqa: ARG002  # the default refuses all
        """Take an attachment out of the record, bytes included, as part of an undo.

        Called only after its bytes were put back elsewhere and verified. After it, the import id may be
        added again. Withdrawing what is not there is not an error.

        Raises:
            NotSupported: This repository keeps what it has (the default).
        """
        raise NotSupported("this repository can't withdraw an attachment")
