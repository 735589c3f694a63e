"""`PatientRepository.add`: once, durably, unchanged, in the right record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import (
    AlreadyAssigned,
    ContentMismatch,
    RepositoryError,
    StorageFull,
    UnknownPatient,
)
from intouch_import.model import Destination
from intouch_import.testing.checks import Broken, Checks, expect, fails
from intouch_import.testing.real_files import real_files
from intouch_import.testing.records import Records, add, bytes_of, find, new, read, same, unique
from intouch_import.testing.samples import (
    HOSTILE_NAMES,
    HOSTILE_TEXTS,
    NOBODY,
    OTHER_PATIENT,
    PATIENT,
    BytesContent,
    FailingContent,
    FullContent,
    staged,
)

if TYPE_CHECKING:
    from intouch_import.content import Content
    from intouch_import.model import Attachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(Records)

_HUGE_BYTES = 12_345_678
# No folder can contain files of these names, but a repository can store the names.
_NAMES = (*HOSTILE_NAMES, "../../outside.jpg", "/etc/outside.jpg", "..", "C:\\outside.jpg", "x" * 255)


def _unchanged(repository: PatientRepository, attachment: Attachment) -> None:
    """Expect this attachment, with its bytes, to be stored under its import id."""
    stored = find(repository, attachment)
    expect(len(read(repository, stored.id)) == attachment.size_bytes, "the stored bytes changed")


def _nothing(repository: PatientRepository, attachment: Attachment, after: str) -> None:
    found = repository.find_attachment([attachment.import_id])
    expect(not found, f"an attachment is stored under the import id after {after}")


# --- fields


@CHECKS.promise("add returns the attachment as it was given, field by field, with an id and the time.")
def adding_returns_what_is_stored(records: Records) -> None:
    repository = records.open()
    attachment, content = new()
    stored = add(repository, attachment, content)
    expect(find(repository, attachment) == stored, "find_attachment returns something else than add")


@CHECKS.promise("Unknown fields are stored as unknown.")
def unknown_fields_stay_unknown(records: Records) -> None:
    repository = records.open()
    attachment, content = new(
        provider_id=None,
        taken_at=None,
        modified_at=None,
        operator=None,
        title="",
        comments="",
        source_version="",
        destination=Destination.NOTES,
    )
    add(repository, attachment, content)
    _unchanged(records.open(), attachment)


@CHECKS.promise("A file is stored even if nobody knows its provider.")
def unknown_providers_are_kept(records: Records) -> None:
    repository = records.open()
    attachment, content = new(provider_id="NOBODY")  # a person saved a file with a mistyped name
    try:
        stored = repository.add(attachment, content)
    except Exception as exc:  # the code under test raises anything
        raise Broken(f"adding it raised {type(exc).__name__}: {exc} (a foreign key does that)") from exc
    same(stored, attachment, "add")


@CHECKS.promise("Titles and comments are stored exactly as they were entered.")
def texts_are_kept(records: Records) -> None:
    repository = records.open()
    wanted = []
    for number, text in enumerate(HOSTILE_TEXTS):
        attachment, content = new(title=text, comments=HOSTILE_TEXTS[-1 - number])
        wanted.append(attachment)
        add(repository, attachment, content)
    again = records.open()
    for attachment in wanted:
        find(again, attachment)


@CHECKS.promise("File names are stored exactly as given, and do not decide where the bytes are stored.")
def names_are_kept(records: Records) -> None:
    repository = records.open()
    wanted = []
    for name in _NAMES:
        attachment, content = new(name=name)
        data = bytes_of(content)
        wanted.append((attachment, add(repository, attachment, content).id, data))
    again = records.open()
    for attachment, attachment_id, data in wanted:
        find(again, attachment)
        expect(read(again, attachment_id) == data, f"the file {attachment.name!a} has the bytes of another")


@CHECKS.promise("Files with the same name do not replace each other.")
def equal_names_are_kept_apart(records: Records) -> None:
    repository = records.open()
    wanted = []
    for patient_id in (PATIENT.id, PATIENT.id, OTHER_PATIENT.id):
        attachment, content = new(patient_id=patient_id, name="same.jpg", title="Same")
        data = bytes_of(content)
        wanted.append((add(repository, attachment, content).id, data))
    for attachment_id, data in wanted:
        expect(read(repository, attachment_id) == data, "one of them has the bytes of another")


@CHECKS.promise("The text of an exception contains no patient, no file name and no path.")
def exceptions_contain_no_names(records: Records) -> None:
    repository = records.open()
    canary = "CANARY"
    attachment, content = new(title=canary, comments=canary, name=f"{canary}.jpg", operator=canary)
    repository.add(attachment, content)
    data = unique()
    other = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    changed = attrs.evolve(attachment, size_bytes=len(data), sha256=BytesContent(data).sha256)
    unknown, content = new(patient_id=NOBODY, title=canary, name=f"{canary}.jpg")
    missing = f"/{canary}/{NOBODY}"
    raised = [
        fails(AlreadyAssigned, "adding it for another patient", lambda: repository.add(other, content)),
        fails(ContentMismatch, "adding other bytes", lambda: repository.add(changed, BytesContent(data))),
        fails(UnknownPatient, "adding for an unknown patient", lambda: repository.add(unknown, content)),
        fails(RepositoryError, "opening an unknown id", lambda: repository.open_attachment(missing)),
    ]
    for exc in raised:
        shown = f"{exc} {exc!r}"
        for word in (canary, PATIENT.id, OTHER_PATIENT.id, NOBODY, PATIENT.name, OTHER_PATIENT.name):
            expect(word not in shown, f"the text of {type(exc).__name__} contains a patient or a name")


# --- bytes


@CHECKS.promise("What add has returned is durable: it is still stored when the records are reopened.")
def added_files_are_durable(records: Records) -> None:
    attachment, content = new()
    data = bytes_of(content)
    stored = records.open().add(attachment, content)
    again = records.open()  # the first one is not closed: nothing is closed in a crash
    found = find(again, attachment)
    expect(found.id == stored.id, "the attachment has another id after the records were reopened")
    expect(read(again, found.id) == data, "the attachment has other bytes after the records were reopened")


@CHECKS.promise("The bytes are stored unchanged.")
def bytes_are_stored_unchanged(records: Records) -> None:
    repository = records.open()
    samples = {
        "every byte value": bytes(range(256)) * 3,
        "line ends": b"\r\n\n\r\r\n\x1a" + unique(),
        "zeros and blanks at both ends": b"\0\0 \n" + unique() + b" \n\0\0",
        "bytes that look compressed": b"\x1f\x8b\x08\0" + unique(),
        "a byte order mark": b"\xef\xbb\xbf" + unique(),
        "a single byte": b"\xff",
    }
    for what, data in samples.items():
        stored = repository.add(*new(data))
        expect(read(repository, stored.id) == data, f"{what} came back changed")


@CHECKS.promise("Photos, documents and videos are stored unchanged, whether their length is odd or even.")
def real_files_are_stored_unchanged(records: Records) -> None:
    repository = records.open()
    wanted = []
    for name, destination, data in real_files():
        attachment, content = new(data, name=name, destination=destination)
        wanted.append((attachment, add(repository, attachment, content).id, data))
    again = records.open()
    for attachment, attachment_id, data in wanted:
        find(again, attachment)
        found = read(again, attachment_id)
        expect(
            found == data, f"{attachment.name} ({len(data)} bytes) came back with {len(found)} other bytes"
        )


@CHECKS.promise("Empty files are stored.")
def empty_files_are_stored(records: Records) -> None:
    repository = records.open()
    for content in (BytesContent(b""), staged(b"", repository.staging)):
        with content:
            stored = add(repository, *new(content))
        expect(read(records.open(), stored.id) == b"", "an empty file came back with bytes")


@CHECKS.promise("Large files are stored completely.")
def large_files_are_stored_whole(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(_HUGE_BYTES, b"\xa5") + b"end"
    for content in (BytesContent(data), staged(data, repository.staging)):
        with content:
            stored = add(repository, *new(content))
        found = read(records.open(), stored.id)
        expect(found == data, f"{len(data):,} bytes were stored, and {len(found):,} or other bytes came back")


@CHECKS.promise("The stored bytes do not depend on the content object after add.")
def stored_bytes_outlive_their_content(records: Records) -> None:
    repository = records.open()
    data = unique()
    for content in (BytesContent(data), staged(data, repository.staging)):
        stored = repository.add(*new(content))
        expect(bytes_of(content) == data, "the content can't be read any more after add")
        content.close()
        expect(read(repository, stored.id) == data, "the stored bytes changed when the content was closed")


@CHECKS.promise("Equal bytes under two import ids are two attachments, each with its own bytes.")
def equal_bytes_are_kept_apart(records: Records) -> None:
    repository = records.open()
    data = unique()
    wanted: list[tuple[Attachment, Content]] = [new(data), new(data), new(data, patient_id=OTHER_PATIENT.id)]
    stored = [add(repository, *one) for one in wanted]
    expect(len({one.id for one in stored}) == len(stored), "two of them have the same id")
    for one in stored:
        expect(read(repository, one.id) == data, "one of them has lost its bytes")


# --- once, and errors


@CHECKS.promise("Adding an import id again stores nothing and returns the stored attachment.")
def adding_twice_stores_once(records: Records) -> None:
    first = records.open()
    attachment, content = new()
    data = bytes_of(content)
    stored = first.add(attachment, content)
    content.close()
    retitled = attrs.evolve(attachment, title="Another title", name="other.jpg")
    for repository, again in ((first, attachment), (records.open(), attachment), (first, retitled)):
        result = repository.add(again, BytesContent(data))
        expect(result == stored, "the second call returned something else than the first")
        found = repository.find_attachment([attachment.import_id]).get(attachment.import_id)
        expect(found == stored, "something else is stored after the second call")
        expect(read(repository, stored.id) == data, "the second call changed the stored bytes")


@CHECKS.promise("An import id that is stored in another patient's record raises AlreadyAssigned.")
def other_patients_are_refused(records: Records) -> None:
    repository = records.open()
    data = unique()
    attachment, content = new(data)
    repository.add(attachment, content)
    other = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    for asked in (repository, records.open()):
        fails(AlreadyAssigned, "adding it for another patient", lambda: asked.add(other, BytesContent(data)))
        _unchanged(asked, attachment)


@CHECKS.promise("An import id that is stored with another digest raises ContentMismatch.")
def other_bytes_are_refused(records: Records) -> None:
    repository = records.open()
    data = unique()
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    for other in (unique("longer than the first one"), data[::-1]):
        changed = new(other, import_id=attachment.import_id)
        fails(ContentMismatch, "adding other bytes under the import id", lambda: repository.add(*changed))
        _unchanged(repository, attachment)
        expect(read(repository, stored.id) == data, "the stored bytes were replaced")


@CHECKS.promise("A patient who does not exist raises UnknownPatient, and nothing is stored.")
def unknown_patients_are_refused(records: Records) -> None:
    repository = records.open()
    for nobody in (NOBODY, f"{PATIENT.id} ", ""):
        attachment, content = new(patient_id=nobody)
        data = bytes_of(content)
        fails(UnknownPatient, "adding for an unknown patient", lambda: repository.add(attachment, content))
        _nothing(repository, attachment, "the exception")
        stored = add(repository, attrs.evolve(attachment, patient_id=PATIENT.id), BytesContent(data))
        expect(read(repository, stored.id) == data, "the second attempt did not store the bytes")


@CHECKS.promise("A file whose content ends with an error is not stored, and can be added later.")
def broken_off_files_are_not_stored(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(300_000, b"x")
    attachment, content = new(FailingContent(data))
    fails(Exception, "adding a file whose content fails", lambda: repository.add(attachment, content))
    _nothing(repository, attachment, "reading the content failed")
    _nothing(records.open(), attachment, "reading the content failed")
    stored = add(repository, attachment, BytesContent(data))
    expect(read(records.open(), stored.id) == data, "remains of the failed attempt were taken for the file")


@CHECKS.promise("A full disk raises StorageFull, and nothing is stored.")
def full_disks_raise(records: Records) -> None:
    repository = records.open()
    attachment, content = new(FullContent(unique()))
    try:
        stored = repository.add(attachment, content)
    except StorageFull:
        _nothing(repository, attachment, "the disk was full")
    except Exception as exc:  # the code under test raises anything
        raise Broken(
            f"OSError(ENOSPC) from Content.save_to became {type(exc).__name__}, not StorageFull"
        ) from exc
    else:  # the repository reads from open(), and its own disk has room
        same(stored, attachment, "add")
