"""Repositories with one mistake each, such as hosts make. The kit must reject each of them."""

from __future__ import annotations

import contextlib
import io
import itertools
import tempfile
import threading
import time
import unicodedata
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs

from intouch_import.errors import AlreadyAssigned, ContentMismatch, FileError, RepositoryError, UnknownPatient
from intouch_import.model import Patient
from intouch_import.testing import BytesContent, MemoryRepository

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BROKEN_REPOSITORIES"]

BROKEN_REPOSITORIES: dict[str, tuple[type[MemoryRepository], str]] = {}
"""By the name of the mistake: the class, and the check that must find it."""


def rejected_by(check: str) -> Callable[[type[MemoryRepository]], type[MemoryRepository]]:
    def add(cls: type[MemoryRepository]) -> type[MemoryRepository]:
        BROKEN_REPOSITORIES[cls.__name__] = (cls, check)
        return cls

    return add


def refiled(data: bytes, attachment: Any) -> tuple[Any, BytesContent]:
    """Return the same attachment with other bytes."""
    content = BytesContent(data)
    return attrs.evolve(attachment, size_bytes=content.size_bytes, sha256=content.sha256), content


class Altering(MemoryRepository):
    """Stores other bytes than it was given."""

    def alter(self, data: bytes) -> bytes:
        raise NotImplementedError

    def add(self, attachment, content):
        with content.open() as stream:
            data = stream.read()
        return super().add(attachment, BytesContent(self.alter(data)))


class Answering(MemoryRepository):
    """Returns other fields than it has stored."""

    def said(self, stored):
        raise NotImplementedError

    def add(self, attachment, content):
        return self.said(super().add(attachment, content))

    def find_attachment(self, import_ids):
        return {key: self.said(one) for key, one in super().find_attachment(import_ids).items()}


class Complete(MemoryRepository):
    """Supports the optional methods, which the double does not."""

    def find_by_digest(self, digests):
        stored = [one for one, _ in self._kept.stored.values()]
        found = {digest: [one for one in stored if one.sha256 == digest] for digest in digests}
        return {digest: those for digest, those in found.items() if those}

    def companions_of(self, import_ids):
        stored = [one for one, _ in self._kept.stored.values()]
        found = {owner: [one for one in stored if one.companion_of == owner] for owner in import_ids}
        return {owner: those for owner, those in found.items() if those}

    def sizes_stored(self, sizes_bytes):
        return {one.size_bytes for one, _ in self._kept.stored.values()} & set(sizes_bytes)

    def reassign(self, attachment_id, *, from_patient_id, to_patient_id):
        with self._kept.writing:
            stored, data = self._find(attachment_id)
            if stored.patient_id == to_patient_id:
                return stored
            if stored.patient_id != from_patient_id:
                raise AlreadyAssigned("it is in another record")
            if to_patient_id not in self._kept.patients:
                raise UnknownPatient("no patient has this id")
            return self.keep(attrs.evolve(stored, patient_id=to_patient_id), data)

    def keep(self, stored, data):
        self._kept.stored[stored.import_id] = (stored, data)
        return stored


# --- patients


@rejected_by("patients_are_not_guessed")
class TrimsIds(MemoryRepository):
    def find_patient(self, patient_id):
        return super().find_patient(patient_id.strip())


@rejected_by("patients_are_not_guessed")
class IgnoresLetterCase(MemoryRepository):
    def find_patient(self, patient_id):
        known = {one.casefold(): one for one in self._kept.patients}
        return super().find_patient(known.get(patient_id.casefold(), ""))


@rejected_by("patients_are_not_guessed")
class ReadsIdsAsNumbers(MemoryRepository):
    def find_patient(self, patient_id):
        with contextlib.suppress(ValueError):
            patient_id = str(int(patient_id))
        return super().find_patient(patient_id)


@rejected_by("patients_are_not_guessed")
class FindsBySqlLike(MemoryRepository):
    def find_patient(self, patient_id):
        if patient_id.endswith("%"):
            known = sorted(self._kept.patients)
            patient_id = next((one for one in known if one.startswith(patient_id[:-1])), "")
        return super().find_patient(patient_id)


@rejected_by("patients_are_found")
class HidesFormerPatients(MemoryRepository):
    def find_patient(self, patient_id):
        found = super().find_patient(patient_id)
        return found if found is not None and found.active else None


@rejected_by("patients_are_found")
class CallsEverybodyActive(MemoryRepository):
    def find_patient(self, patient_id):
        found = super().find_patient(patient_id)
        return found and attrs.evolve(found, active=True)


@rejected_by("another_patient_is_asked_about")
class KnowsOnePatientAtATime(MemoryRepository):
    def find_patients(self, patient_ids):
        return {}


@rejected_by("another_patient_is_asked_about")
class NamesPatientsOnlyOneByOne(MemoryRepository):
    def find_patients(self, patient_ids):
        return {key: Patient(id=one.id) for key, one in super().find_patients(patient_ids).items()}


@rejected_by("many_patients_are_found_at_once")
class AnswersForUnknownPatients(MemoryRepository):
    def find_patients(self, patient_ids):
        return {patient_id: self.find_patient(patient_id) for patient_id in patient_ids}


@rejected_by("many_patients_are_found_at_once")
class LosesPatientsBeyondAThousand(MemoryRepository):
    def find_patients(self, patient_ids):
        return super().find_patients(list(patient_ids)[:1000])


@rejected_by("providers_are_not_guessed")
class FoldsProviders(MemoryRepository):
    def find_provider(self, provider_id):
        return super().find_provider(provider_id.upper())


@rejected_by("searching_offers_real_patients")
class OffersStrangers(MemoryRepository):
    def search_patients(self, text, *, limit=20):
        return [*super().search_patients(text, limit=limit), Patient(id=text or "x", name="New patient")][
            :limit
        ]


# --- once and durably


@rejected_by("added_files_are_durable")
class ForgetsAtACrash(MemoryRepository):
    def reopen(self):
        other = super().reopen()
        kept = type(self._kept)()
        kept.patients, kept.providers = self._kept.patients, self._kept.providers
        other._kept = kept
        return other


@rejected_by("adding_twice_stores_once")
class StoresTwice(MemoryRepository):
    def _add(self, attachment, content):
        self._batch.pop(attachment.import_id, None)
        self._kept.stored.pop(attachment.import_id, None)
        return super()._add(attachment, content)


@rejected_by("adding_twice_stores_once")
class TakesTheNewTitle(MemoryRepository):
    def add(self, attachment, content):
        stored = super().add(attachment, content)
        return attrs.evolve(stored, title=attachment.title)


@rejected_by("other_patients_are_refused")
class GivesItToTheSecondPatient(MemoryRepository):
    def add(self, attachment, content):
        stored, data = self._kept.stored.get(attachment.import_id, (None, b""))
        if stored is not None:
            moved = attrs.evolve(stored, patient_id=attachment.patient_id)
            self._kept.stored[attachment.import_id] = (moved, data)
        return super().add(attachment, content)


@rejected_by("other_patients_are_refused")
class SaysThatItIsThere(MemoryRepository):
    def add(self, attachment, content):
        try:
            return super().add(attachment, content)
        except AlreadyAssigned:
            return self._kept.stored[attachment.import_id][0]


@rejected_by("other_bytes_are_refused")
class KeepsTheOldBytesSilently(MemoryRepository):
    def add(self, attachment, content):
        try:
            return super().add(attachment, content)
        except ContentMismatch:
            return self._kept.stored[attachment.import_id][0]


@rejected_by("other_bytes_are_refused")
class ReplacesTheBytesThenRefuses(MemoryRepository):
    def add(self, attachment, content):
        try:
            return super().add(attachment, content)
        except ContentMismatch:
            stored, _ = self._kept.stored[attachment.import_id]
            self._kept.stored[attachment.import_id] = (stored, content.open().read())
            raise


@rejected_by("unknown_patients_are_refused")
class MakesPatients(MemoryRepository):
    def add(self, attachment, content):
        self._kept.patients.setdefault(attachment.patient_id, Patient(id=attachment.patient_id))
        return super().add(attachment, content)


@rejected_by("unknown_patients_are_refused")
class RaisesAPlainError(MemoryRepository):
    def add(self, attachment, content):
        try:
            return super().add(attachment, content)
        except UnknownPatient:
            raise KeyError("patient") from None


@rejected_by("broken_off_files_are_not_stored")
class KeepsHalfOfIt(MemoryRepository):
    def add(self, attachment, content):
        with content.open() as stream:
            parts = []
            with contextlib.suppress(OSError):
                while part := stream.read(65536):
                    parts.append(part)
        return super().add(attachment, BytesContent(b"".join(parts)))


@rejected_by("broken_off_files_are_not_stored")
class WritesTheRowFirst(MemoryRepository):
    def add(self, attachment, content):
        try:
            return super().add(attachment, content)
        except OSError:
            super().add(attachment, BytesContent(b""))
            raise


@rejected_by("full_disks_raise")
class HidesThatTheDiskIsFull(MemoryRepository):
    def add(self, attachment, content):
        if type(content).__name__ == "FullContent":
            raise RepositoryError("something went wrong")
        return super().add(attachment, content)


@rejected_by("equal_bytes_are_kept_apart")
class StoresEqualBytesOnce(MemoryRepository):
    def add(self, attachment, content):
        for stored, _ in list(self._kept.stored.values()):
            if stored.sha256 == attachment.sha256 and stored.import_id != attachment.import_id:
                super().add(attachment, content)
                return attrs.evolve(stored, import_id=attachment.import_id, patient_id=attachment.patient_id)
        return super().add(attachment, content)


# --- bytes and texts


@rejected_by("bytes_are_stored_unchanged")
class WritesAsText(Altering):
    def alter(self, data):
        return data.replace(b"\r\n", b"\n")


@rejected_by("bytes_are_stored_unchanged")
class StripsBytes(Altering):
    def alter(self, data):
        return data.rstrip(b"\0")


@rejected_by("real_files_are_stored_unchanged")
class PadsToAnEvenLength(Altering):
    def alter(self, data):
        return data + b"\0" * (data[:2] == b"\xff\xd8" and len(data) % 2)  # as DICOM does


@rejected_by("real_files_are_stored_unchanged")
class RemovesCommentsFromPictures(Altering):
    def alter(self, data):
        at = data.find(b"tEXt") - 4
        return data if at < 0 else data[:at] + data[data.find(b"IDAT") - 4 :]


@rejected_by("large_files_are_stored_whole")
class HasASmallColumn(Altering):
    def alter(self, data):
        return data[: 8 * 1024 * 1024]


@rejected_by("empty_files_are_stored")
class RefusesEmptyFiles(MemoryRepository):
    def add(self, attachment, content):
        if not content.size_bytes:
            raise FileError("the file is empty")
        return super().add(attachment, content)


@rejected_by("stored_bytes_outlive_their_content")
class KeepsTheContentInstead(MemoryRepository):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.contents = {}

    def add(self, attachment, content):
        stored = super().add(attachment, content)
        self.contents[stored.id] = content
        return stored

    def open_attachment(self, attachment_id):
        if attachment_id in self.contents:
            return self.contents[attachment_id].open()
        return super().open_attachment(attachment_id)


@rejected_by("texts_are_kept")
class StripsTitles(Answering):
    def said(self, stored):
        return attrs.evolve(stored, title=stored.title.strip())


@rejected_by("texts_are_kept")
class HasShortTitles(Answering):
    def said(self, stored):
        return attrs.evolve(stored, title=stored.title[:255])


@rejected_by("texts_are_kept")
class NormalisesTexts(Answering):
    def said(self, stored):
        return attrs.evolve(stored, comments=unicodedata.normalize("NFC", stored.comments))


@rejected_by("texts_are_kept")
class ReadsNullAsNothing(Answering):
    def said(self, stored):
        return attrs.evolve(stored, title=None if stored.title == "null" else stored.title)


@rejected_by("names_are_kept")
class TakesNamesForPaths(Answering):
    def said(self, stored):
        return attrs.evolve(stored, name=PurePosixPath(stored.name).name)


@rejected_by("names_are_kept")
class ReplacesWhatIsNotUtf8(Answering):
    def said(self, stored):
        return attrs.evolve(stored, name=stored.name.encode("utf-8", "replace").decode())


@rejected_by("equal_names_are_kept_apart")
class StoresUnderTheName(MemoryRepository):
    files: dict[tuple[int, str], bytes] = {}

    def add(self, attachment, content):
        stored = super().add(attachment, content)
        self.files[id(self._kept), attachment.name] = self._kept.stored[attachment.import_id][1]
        return stored

    def open_attachment(self, attachment_id):
        stored, _ = self._find(attachment_id)
        return io.BytesIO(self.files[id(self._kept), stored.name])


@rejected_by("adding_returns_what_is_stored")
class KeepsWholeSeconds(Answering):
    def said(self, stored):
        return attrs.evolve(stored, taken_at=stored.taken_at and stored.taken_at.replace(microsecond=0))


@rejected_by("adding_returns_what_is_stored")
class ForgetsTheZone(Answering):
    def said(self, stored):
        return attrs.evolve(
            stored, modified_at=stored.modified_at and stored.modified_at.replace(tzinfo=None)
        )


@rejected_by("unknown_fields_stay_unknown")
class InventsATime(Answering):
    def said(self, stored):
        return attrs.evolve(stored, taken_at=stored.taken_at or stored.stored_at.astimezone(UTC))


@rejected_by("exceptions_contain_no_names")
class NamesThePatient(MemoryRepository):
    def add(self, attachment, content):
        try:
            return super().add(attachment, content)
        except AlreadyAssigned:
            raise AlreadyAssigned(
                f"{attachment.name} is in another record than {attachment.patient_id}"
            ) from None


# --- finding and reading


@rejected_by("thousands_are_found_at_once")
class AsksForAThousandAtMost(MemoryRepository):
    def find_attachment(self, import_ids):
        return super().find_attachment(list(import_ids)[:999])


@rejected_by("thousands_are_found_at_once")
class AnswersNoneForTheRest(MemoryRepository):
    def find_attachment(self, import_ids):
        found = super().find_attachment(import_ids)
        return {import_id: found.get(import_id) for import_id in import_ids}


@rejected_by("import_ids_are_not_guessed")
class ComparesIdsWithoutCase(MemoryRepository):
    def find_attachment(self, import_ids):
        return super().find_attachment([import_id.lower().strip() for import_id in import_ids])


@rejected_by("what_others_stored_is_found")
class ReadsASnapshot(MemoryRepository):
    def find_attachment(self, import_ids):
        if not hasattr(self, "snapshot"):
            self.snapshot = dict(self._kept.stored)
        now = {**self.snapshot, **{key: one for key, one in self._kept.stored.items() if key in self.own}}
        return {import_id: now[import_id][0] for import_id in import_ids if import_id in now}

    @property
    def own(self):
        return self.__dict__.setdefault("_own", set())

    def add(self, attachment, content):
        self.own.add(attachment.import_id)
        return super().add(attachment, content)


@rejected_by("reading_starts_at_the_start")
class HandsOutOneReader(MemoryRepository):
    def open_attachment(self, attachment_id):
        readers = self.__dict__.setdefault("_readers", {})
        reader = readers.get(attachment_id)
        if reader is None or reader.closed:
            reader = readers[attachment_id] = super().open_attachment(attachment_id)
        return reader


@rejected_by("missing_attachments_raise")
class LeaksAKeyError(MemoryRepository):
    def open_attachment(self, attachment_id):
        return io.BytesIO({one.id: data for one, data in self._kept.stored.values()}[attachment_id])


@rejected_by("missing_attachments_raise")
class ReadsNothingWhereNothingIs(MemoryRepository):
    def open_attachment(self, attachment_id):
        try:
            return super().open_attachment(attachment_id)
        except RepositoryError:
            return io.BytesIO(b"")


@rejected_by("reading_is_not_from_memory")
class ReadsFromACache(MemoryRepository):
    cache: dict[tuple[int, str], bytes] = {}

    def open_attachment(self, attachment_id):
        self._find(attachment_id)
        key = (id(self._kept), attachment_id)
        if key not in self.cache:
            self.cache[key] = super().open_attachment(attachment_id).read()
        return io.BytesIO(self.cache[key])


# --- transactions


@rejected_by("transactions_roll_back")
class CommitsInAnyCase(MemoryRepository):
    @contextlib.contextmanager
    def transaction(self):
        with super().transaction():
            try:
                yield
            finally:
                self._kept.stored.update(self._batch)


@rejected_by("transactions_roll_back")
class RollsBackExceptionsAlone(MemoryRepository):
    @contextlib.contextmanager
    def transaction(self):
        with super().transaction():
            try:
                yield
            except Exception:
                raise
            except BaseException:
                self._kept.stored.update(self._batch)
                raise


@rejected_by("transactions_are_durable")
class CommitsNothing(MemoryRepository):
    @contextlib.contextmanager
    def transaction(self):
        if self._batch is not None:
            yield
            return
        with super().transaction():
            yield
            if len(self._batch) > 1:
                self._batch.clear()


@rejected_by("one_file_stops_no_other")
class StopsAtTheFirst(MemoryRepository):
    def add_many(self, items):
        with self.transaction():
            return [self.add(*item) for item in items]


@rejected_by("one_file_stops_no_other")
class LeavesOutFailures(MemoryRepository):
    def add_many(self, items):
        return [one for one in super().add_many(items) if not isinstance(one, FileError)]


@rejected_by("batches_are_stored_whole")
class ReturnsThemSorted(MemoryRepository):
    def add_many(self, items):
        return super().add_many(sorted(items, key=lambda item: item[0].import_id))


@rejected_by("batches_roll_back")
class SkipsWhatItCantStore(MemoryRepository):
    def add_many(self, items):
        done, failure = [], None
        for item in items:
            try:
                done.append(self.add(*item))
            except Exception as exc:
                failure = exc
        if failure is not None:
            raise failure
        return done


# --- withdrawing


@rejected_by("withdrawn_files_are_gone")
class HidesWhatIsWithdrawn(MemoryRepository):
    def withdraw(self, attachment_id):
        with contextlib.suppress(RepositoryError):
            stored, data = self._find(attachment_id)
            del self._kept.stored[stored.import_id]
            self._kept.stored[f"hidden {stored.import_id}"] = (stored, data)


@rejected_by("withdrawing_leaves_equal_bytes")
class WithdrawsEqualBytes(MemoryRepository):
    def withdraw(self, attachment_id):
        with contextlib.suppress(RepositoryError):
            digest = self._find(attachment_id)[0].sha256
            for key, (stored, _) in list(self._kept.stored.items()):
                if stored.sha256 == digest:
                    del self._kept.stored[key]


@rejected_by("withdrawing_twice_is_no_error")
class MissesWhatIsGone(MemoryRepository):
    def withdraw(self, attachment_id):
        self._find(attachment_id)
        super().withdraw(attachment_id)


@rejected_by("withdrawn_ids_are_free")
class RemembersWithdrawnIds(MemoryRepository):
    def withdraw(self, attachment_id):
        with contextlib.suppress(RepositoryError):
            self._kept.__dict__.setdefault("gone", set()).add(self._find(attachment_id)[0].import_id)
        super().withdraw(attachment_id)

    def add(self, attachment, content):
        if attachment.import_id in self._kept.__dict__.get("gone", set()):
            raise ContentMismatch("that was withdrawn")
        return super().add(attachment, content)


# --- together


class Racing(MemoryRepository):
    """Looks, then writes, without a lock."""

    def _keep(self, attachment, content):
        kept = self._kept
        if attachment.import_id not in kept.stored:
            time.sleep(0.01)  # the time that a database needs
            kept.writing, real = threading.RLock(), kept.writing
            try:
                kept.stored.pop(attachment.import_id, None)
                return MemoryRepository.add(self, attachment, content)
            finally:
                kept.writing = real
        return MemoryRepository.add(self, attachment, content)


@rejected_by("one_file_from_all_sides_is_stored_once")
class LooksThenWrites(Racing):
    def add(self, attachment, content):
        return self._keep(attachment, content)


@rejected_by("one_file_for_two_patients_is_stored_once")
class LastPatientWins(Racing):
    def add(self, attachment, content):
        return self._keep(attachment, content)


@rejected_by("different_files_do_not_disturb_each_other")
class RefusesASecondThread(MemoryRepository):
    def add(self, attachment, content):
        busy = self._kept.__dict__.setdefault("busy", threading.Lock())
        if not busy.acquire(blocking=False):
            raise RepositoryError("the database is locked")
        try:
            time.sleep(0.01)
            return super().add(attachment, content)
        finally:
            busy.release()


@rejected_by("transactions_belong_to_a_thread")
class SharesOneTransaction(MemoryRepository):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._here = type("Shared", (), {})()

    @contextlib.contextmanager
    def transaction(self):
        if self._batch is not None:
            yield
            return
        self._here.batch = {}
        try:
            yield
            time.sleep(0.05)
            self._kept.stored.update(self._batch or {})
        except BaseException:
            time.sleep(0.05)
            raise
        finally:
            self._here.batch = None


@rejected_by("one_transaction_stores_once")
class KnowsOnlyWhatIsCommitted(MemoryRepository):
    def _add(self, attachment, content):
        self._batch.pop(attachment.import_id, None)
        return super()._add(attachment, content)


@rejected_by("transactions_follow_each_other")
class StaysInAFailedTransaction(MemoryRepository):
    @contextlib.contextmanager
    def transaction(self):
        with super().transaction():
            left = self.__dict__.pop("left", {})
            self._batch.update(left)
            try:
                yield
            except Exception:
                self.left = {"x" * 40: next(iter(self._kept.stored.values()), None)}
                self.failed = True
                raise
            if self.__dict__.get("failed"):
                self._batch.clear()


# --- optional methods


@rejected_by("copies_are_found")
class FindsOneCopyOnly(Complete):
    def find_by_digest(self, digests):
        return {digest: those[:1] for digest, those in super().find_by_digest(digests).items()}


@rejected_by("copies_are_found")
class AnswersForUnknownDigests(Complete):
    def find_by_digest(self, digests):
        return {digest: [] for digest in digests} | super().find_by_digest(digests)


@rejected_by("copies_are_found")
class FindsByPartsOfDigests(Complete):
    def find_by_digest(self, digests):
        stored = [one for one, _ in self._kept.stored.values()]
        return {
            digest: those
            for digest in digests
            if (those := [one for one in stored if one.sha256.startswith(digest)])
        }


@rejected_by("withdrawn_copies_are_not_found")
class RemembersDigests(Complete):
    seen: dict[int, dict[str, Any]] = {}

    def find_by_digest(self, digests):
        remembered = self.seen.setdefault(id(self._kept), {})
        remembered.update(super().find_by_digest(digests))
        return {digest: remembered[digest] for digest in digests if digest in remembered}


@rejected_by("companions_are_found")
class FindsOneCompanionOnly(Complete):
    def companions_of(self, import_ids):
        return {owner: those[:1] for owner, those in super().companions_of(import_ids).items()}


@rejected_by("companions_are_found")
class AnswersForFilesWithoutCompanions(Complete):
    def companions_of(self, import_ids):
        return {owner: [] for owner in import_ids} | super().companions_of(import_ids)


@rejected_by("companions_are_found")
class LosesWhatBelongsTogether(Complete):
    def add(self, attachment, content):
        lost = attrs.evolve(attachment, companion_of=None, companion_role=None)
        return super().add(lost, content)


@rejected_by("stored_sizes_are_reported")
class SaysThatEverySizeIsStored(Complete):
    def sizes_stored(self, sizes_bytes):
        return sizes_bytes


@rejected_by("stored_sizes_are_reported")
class ForgetsLargeSizes(Complete):
    def sizes_stored(self, sizes_bytes):
        return {size for size in super().sizes_stored(sizes_bytes) if size < 65536}


@rejected_by("attachments_are_listed")
class ListsOnePageOnly(MemoryRepository):
    def list_attachments(self, *, since=None):
        return super().list_attachments(since=since)[:1]


@rejected_by("attachments_are_listed")
class IgnoresTheTime(MemoryRepository):
    def __init__(self, *args, **options):
        seconds = itertools.count()
        options.setdefault("clock", lambda: datetime.fromtimestamp(next(seconds), UTC))
        super().__init__(*args, **options)

    def list_attachments(self, *, since=None):
        return super().list_attachments()


@rejected_by("reassigned_files_stay_what_they_are")
class StoresItAnew(Complete):
    def keep(self, stored, data):
        return super().keep(attrs.evolve(stored, id=f"{stored.id}-moved"), data)


@rejected_by("reassigned_files_stay_what_they_are")
class ReassignsInItsOwnEyesOnly(Complete):
    def keep(self, stored, data):
        return stored


@rejected_by("wrong_reassignments_are_refused")
class TakesItFromAnybody(Complete):
    def reassign(self, attachment_id, *, from_patient_id, to_patient_id):
        stored, _ = self._find(attachment_id)
        return super().reassign(attachment_id, from_patient_id=stored.patient_id, to_patient_id=to_patient_id)


@rejected_by("wrong_reassignments_are_refused")
class ReassignsToNobody(Complete):
    def reassign(self, attachment_id, *, from_patient_id, to_patient_id):
        self._kept.patients.setdefault(to_patient_id, Patient(id=to_patient_id))
        return super().reassign(attachment_id, from_patient_id=from_patient_id, to_patient_id=to_patient_id)


@rejected_by("one_reassignment_wins")
class LooksThenReassigns(Complete):
    def reassign(self, attachment_id, *, from_patient_id, to_patient_id):
        stored, data = self._find(attachment_id)
        if stored.patient_id != from_patient_id:
            raise AlreadyAssigned("it is in another record")
        time.sleep(0.05)
        return self.keep(attrs.evolve(stored, patient_id=to_patient_id), data)


@rejected_by("overtaken_attempts_harm_nothing")
class CleansUpWhatAnotherStored(MemoryRepository):
    def add(self, attachment, content):
        try:
            with content.open() as stream:  # before the lock is taken
                data = stream.read()
        except OSError:
            stored, _ = self._kept.stored.get(attachment.import_id, (None, b""))
            self._kept.stored[attachment.import_id] = (stored, b"")
            raise
        return super().add(attachment, BytesContent(data))


@rejected_by("unknown_providers_are_kept")
class HasAForeignKeyOfProviders(MemoryRepository):
    def add(self, attachment, content):
        if attachment.provider_id is not None and self.find_provider(attachment.provider_id) is None:
            raise RepositoryError("the foreign key does not hold")
        return super().add(attachment, content)


# --- remains


@rejected_by("failed_files_can_go_to_another_patient")
class RemembersWhomAFileWasFor(MemoryRepository):
    def add(self, attachment, content):
        claims = self._kept.__dict__.setdefault("claims", {})
        if claims.setdefault(attachment.import_id, attachment.patient_id) != attachment.patient_id:
            raise AlreadyAssigned("it is in another record")
        return super().add(attachment, content)


@rejected_by("failed_files_can_go_to_another_patient")
class ShowsRowsWithoutFiles(MemoryRepository):
    def add(self, attachment, content):
        rows = self._kept.__dict__.setdefault("rows", [])
        rows.append(attachment.patient_id)
        stored = super().add(attachment, content)
        rows.pop()
        return stored

    def attachments(self, patient_id):
        left = self._kept.__dict__.get("rows", []).count(patient_id)
        return [*super().attachments(patient_id), *[SimpleNamespace(id="a row")] * left]


@rejected_by("records_show_their_own_files")
class ShowsEveryAttempt(MemoryRepository):
    def add(self, attachment, content):
        stored = super().add(attachment, content)
        self._kept.__dict__.setdefault("shown", []).append(stored)
        return stored

    def attachments(self, patient_id):
        return [one for one in self._kept.__dict__.get("shown", []) if one.patient_id == patient_id]


@rejected_by("records_show_their_own_files")
class ShowsEqualBytesInBothRecords(MemoryRepository):
    def attachments(self, patient_id):
        digests = {one.sha256 for one in super().attachments(patient_id)}
        return [one for one, _ in self._kept.stored.values() if one.sha256 in digests]


class InAFolder(MemoryRepository):
    """Writes the bytes to a folder first, which other processes see."""

    folder = tempfile.TemporaryDirectory()

    def path(self, attachment):
        return Path(self.folder.name, attachment.import_id)


@rejected_by("killed_processes_leave_no_remains")
class TakesRemainsForTheFile(InAFolder):
    def add(self, attachment, content):
        path = self.path(attachment)
        if not path.exists():
            with content.open() as stream, path.open("wb", buffering=0) as file:
                while part := stream.read(65536):
                    file.write(part)
        return super().add(attachment, BytesContent(path.read_bytes()))


@rejected_by("killed_processes_leave_no_remains")
class LeavesALockFile(InAFolder):
    def add(self, attachment, content):
        path = self.path(attachment)
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            raise RepositoryError("another workstation is storing it") from None
        try:
            return super().add(attachment, content)
        finally:
            path.unlink()


@rejected_by("killed_processes_leave_no_remains")
class KeepsTheClaimOfAKilledProcess(InAFolder):
    def add(self, attachment, content):
        path = self.path(attachment)
        if path.exists() and path.read_text() != attachment.patient_id:
            raise AlreadyAssigned("it is in another record")
        path.write_text(attachment.patient_id)
        return super().add(attachment, content)
