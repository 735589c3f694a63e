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
    be called from several threads, and by several processes over the same database. A host never calls
    an inbox or a migration inside a transaction of its own: what was added would not be durable.

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

        Never a near match: ids that differ in case, zeros or blanks are different ids. A patient who is not
        active is found like any other, with ``active=False``. If the practice merged two patients, return
        None for the id that was given up.
        """

    @abc.abstractmethod
    def find_provider(self, provider_id: str) -> Provider | None:
        """The provider with exactly this id, or None. Never a near match."""

    @abc.abstractmethod
    def add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        """Store one file in a patient's record.

        Idempotent on ``attachment.import_id``: if that id is stored already, store nothing and return
        what is there. Outside `transaction` it is durable on return (power may fail the moment after):
        bytes synced, row committed. Inside, it is durable when the transaction ends. What fails, or comes
        late, harms nothing that another call has stored meanwhile.

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

        Args:
            text: What the person typed.
            limit: How many at most.
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

    def find_by_digest(
        self,
        digests: Collection[str],  # noqa: ARG002  # the default knows none
    ) -> Mapping[str, Sequence[StoredAttachment]]:
        """What is stored with these bytes, in anybody's record; digests that nothing has are left out.

        Called once a batch, before `add_many`, inside the same `transaction`. What it did not find must not
        be committed by anybody else before that transaction ends, as far as the database offers that: two
        workstations may be importing two files of the same bytes right now.

        The default finds nothing. Then a photo that comes a second time, under another name or from another
        folder, is stored a second time, and one that is in another patient's record raises no alert.

        Args:
            digests: SHA-256, 64 lower-case hex digits each; up to some hundred.
        """
        return {}

    def sizes_stored(self, sizes_bytes: Collection[int]) -> Collection[int]:  # noqa: ARG002  # knows none
        """Which of these sizes some stored attachment has.

        `Inbox.prepare` asks, so that it can warn of a copy before anything is saved: only a file whose size
        is known is read for that. The default knows none: then a person hears of a copy from the report
        of the save.
        """
        return ()

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

    def reassign(
        self,
        attachment_id: str,  # noqa: ARG002  # the default refuses all
        *,
        from_patient_id: str,  # noqa: ARG002
        to_patient_id: str,  # noqa: ARG002
    ) -> StoredAttachment:
        """Move an attachment out of one patient's record into another's.

        In one step, durable on return: whatever happens meanwhile, it is in one of the two records, never in
        both or in none. Its id, its import id and everything else stay as they are. If files are kept
        in a place of each patient's own, the bytes move too: none may stay behind in the former
        patient's. If it is in ``to_patient_id``'s record already, nothing is done.

        Returns:
            The attachment as it is now.

        Raises:
            AlreadyAssigned: It is in neither of the two records: somebody else has moved it meanwhile.
            UnknownPatient: No patient has the id ``to_patient_id``.
            NotSupported: This repository leaves everything where it is (the default).
            RepositoryError: There is no such attachment, or it can't be moved; it is where it was.
        """
        raise NotSupported("this repository can't move an attachment to another patient")

    def withdraw(self, attachment_id: str) -> None:  # noqa: ARG002  # the default refuses all
        """Take an attachment out of the record, bytes included, as part of an undo.

        Called only after its bytes were put back elsewhere and verified. After it, the import id may be
        added again. Withdrawing what is not there is not an error.

        Raises:
            NotSupported: This repository keeps what it has (the default).
        """
        raise NotSupported("this repository can't withdraw an attachment")
