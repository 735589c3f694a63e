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
from intouch_import.testing.checks import Checks, broken, expect, fails
from intouch_import.testing.records import Records, bench, bytes_of, new, read, same, unique
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

CHECKS: Checks[Records] = Checks(bench)

_HUGE_BYTES = 12_345_678


def _only(repository: PatientRepository, attachment: Attachment) -> None:
    """What is stored under this import id is this attachment, with its bytes."""
    stored = same(
        repository.find_attachment([attachment.import_id]).get(attachment.import_id),
        attachment,
        "find_attachment",
    )
    expect(len(read(repository, stored.id)) == attachment.size_bytes, "its bytes are no longer the same")


def _nothing(repository: PatientRepository, attachment: Attachment, after: str) -> None:
    found = repository.find_attachment([attachment.import_id])
    expect(not found, f"something is stored under its import id after {after}")


@CHECKS.promise("What add returns is what it was given, field for field, with an id and the time.")
def adding_returns_what_is_stored(records: Records) -> None:
    repository = records.open()
    attachment, content = new()
    stored = same(repository.add(attachment, content), attachment, "add")
    found = repository.find_attachment([attachment.import_id])
    expect(found.get(attachment.import_id) == stored, "find_attachment says something else than add returned")


@CHECKS.promise("Fields that are not known are stored as not known.")
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
    same(repository.add(attachment, content), attachment, "add")
    _only(records.open(), attachment)


@CHECKS.promise("A provider whom nobody knows does not keep a file from being stored.")
def unknown_providers_are_kept(records: Records) -> None:
    repository = records.open()
    attachment, content = new(provider_id="NOBODY")  # a person saved a file with a mistyped name
    try:
        stored = repository.add(attachment, content)
    except Exception as exc:  # noqa: BLE001  # the code under test raises anything
        broken(f"adding it raised {type(exc).__name__}: {exc} (a foreign key does that)", exc)
    same(stored, attachment, "add")


@CHECKS.promise("What add has returned is durable: it is there when the records are opened anew.")
def added_files_are_durable(records: Records) -> None:
    attachment, content = new()
    data = bytes_of(content)
    stored = records.open().add(attachment, content)
    again = records.open()  # the first one was not closed: a crash closes nothing
    found = same(
        again.find_attachment([attachment.import_id]).get(attachment.import_id), attachment, "find_attachment"
    )
    expect(found.id == stored.id, "the attachment has another id after the records were opened anew")
    expect(read(again, found.id) == data, "other bytes are there after the records were opened anew")


@CHECKS.promise("The bytes are stored unchanged.")
def bytes_are_stored_unchanged(records: Records) -> None:
    repository = records.open()
    samples = {
        "every byte value": bytes(range(256)) * 3,
        "line ends": b"\r\n\n\r\r\n\x1a" + unique(),
        "zeros and blanks at both ends": b"\0\0 \n" + unique() + b" \n\0\0",
        "bytes that look like compressed ones": b"\x1f\x8b\x08\0" + unique(),
        "a byte order mark": b"\xef\xbb\xbf" + unique(),
        "a single byte": b"\xff",
    }
    for what, data in samples.items():
        attachment, content = new(data)
        stored = repository.add(attachment, content)
        expect(read(repository, stored.id) == data, f"{what} came back as something else")


@CHECKS.promise("Empty files are stored.")
def empty_files_are_stored(records: Records) -> None:
    repository = records.open()
    for content in (BytesContent(b""), staged(b"", repository.staging)):
        attachment, _ = new(content)
        with content:
            stored = same(repository.add(attachment, content), attachment, "add")
        expect(read(records.open(), stored.id) == b"", "an empty file came back with bytes in it")


@CHECKS.promise("Large files are stored whole.")
def large_files_are_stored_whole(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(_HUGE_BYTES, b"\xa5") + b"end"
    for content in (BytesContent(data), staged(data, repository.staging)):
        attachment, _ = new(content)
        with content:
            stored = same(repository.add(attachment, content), attachment, "add")
        found = read(records.open(), stored.id)
        expect(found == data, f"of {len(data):,} bytes, {len(found):,} came back, or others")


@CHECKS.promise("The stored bytes do not depend on the content that they came from.")
def stored_bytes_outlive_their_content(records: Records) -> None:
    repository = records.open()
    data = unique()
    for content in (BytesContent(data), staged(data, repository.staging)):
        attachment, _ = new(content)
        stored = repository.add(attachment, content)
        expect(bytes_of(content) == data, "the content can't be read any more after add")
        content.close()
        expect(read(repository, stored.id) == data, "the stored bytes changed when the content was closed")


@CHECKS.promise("Adding an import id a second time stores nothing and returns what is there.")
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
        expect(
            repository.find_attachment([attachment.import_id]).get(attachment.import_id) == stored,
            "something else is stored after the second call",
        )
        expect(read(repository, stored.id) == data, "the bytes changed with the second call")


@CHECKS.promise("An import id that is stored in another patient's record is refused with AlreadyAssigned.")
def other_patients_are_refused(records: Records) -> None:
    repository = records.open()
    data = unique()
    attachment, content = new(data)
    repository.add(attachment, content)
    other = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    for asked in (repository, records.open()):
        fails(
            AlreadyAssigned,
            "adding it for another patient",
            lambda: asked.add(other, BytesContent(data)),
        )
        _only(asked, attachment)


@CHECKS.promise("An import id that is stored with another digest is refused with ContentMismatch.")
def other_bytes_are_refused(records: Records) -> None:
    repository = records.open()
    data = unique()
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    for other in (unique("longer than the first one"), data[::-1]):
        changed, content = new(other, import_id=attachment.import_id)
        fails(
            ContentMismatch,
            "adding other bytes under the same import id",
            lambda: repository.add(changed, content),
        )
        _only(repository, attachment)
        expect(read(repository, stored.id) == data, "the stored bytes were replaced")


@CHECKS.promise("A patient who does not exist is refused with UnknownPatient, and nothing is stored.")
def unknown_patients_are_refused(records: Records) -> None:
    repository = records.open()
    for nobody in (NOBODY, f"{PATIENT.id} ", ""):
        attachment, content = new(patient_id=nobody)
        data = bytes_of(content)
        fails(
            UnknownPatient,
            "adding for a patient whom nobody knows",
            lambda: repository.add(attachment, content),
        )
        _nothing(repository, attachment, "the refusal")
        right = attrs.evolve(attachment, patient_id=PATIENT.id)
        stored = same(repository.add(right, BytesContent(data)), right, "add")
        expect(read(repository, stored.id) == data, "the bytes of the second attempt are not there")


@CHECKS.promise("A file that breaks off while it is read is not stored, and can be added later.")
def broken_off_files_are_not_stored(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(300_000, b"x")
    attachment, content = new(FailingContent(data))
    fails(Exception, "adding a file that breaks off", lambda: repository.add(attachment, content))
    _nothing(repository, attachment, "reading it failed")
    _nothing(records.open(), attachment, "reading it failed")
    stored = same(repository.add(attachment, BytesContent(data)), attachment, "add")
    expect(read(records.open(), stored.id) == data, "what the failed attempt left was taken for the file")


@CHECKS.promise("No room is told as StorageFull, and nothing is stored.")
def no_room_is_told(records: Records) -> None:
    repository = records.open()
    attachment, content = new(FullContent(unique()))
    try:
        stored = repository.add(attachment, content)
    except StorageFull:
        _nothing(repository, attachment, "there was no room")
    except Exception as exc:  # noqa: BLE001  # the code under test raises anything
        broken(f"OSError(ENOSPC) from Content.save_to became {type(exc).__name__}, not StorageFull", exc)
    else:  # it reads from open(), and has room of its own
        same(stored, attachment, "add")


@CHECKS.promise("Equal bytes under two import ids are two attachments, each with bytes of its own.")
def equal_bytes_are_kept_apart(records: Records) -> None:
    repository = records.open()
    data = unique()
    wanted: list[tuple[Attachment, Content]] = [new(data), new(data), new(data, patient_id=OTHER_PATIENT.id)]
    stored = [same(repository.add(*one), one[0], "add") for one in wanted]
    expect(len({one.id for one in stored}) == len(stored), "two of them have one id")
    for one in stored:
        expect(read(repository, one.id) == data, "one of them has lost its bytes")


# --- text of any kind

# A location could not hold these, but a repository must not care.
_NAMES = (*HOSTILE_NAMES, "../../outside.jpg", "/etc/outside.jpg", "..", "C:\\outside.jpg", "x" * 255)


@CHECKS.promise("Titles and comments are stored as they were typed.")
def texts_are_kept(records: Records) -> None:
    repository = records.open()
    wanted = []
    for number, text in enumerate(HOSTILE_TEXTS):
        attachment, content = new(title=text, comments=HOSTILE_TEXTS[-1 - number])
        wanted.append(attachment)
        same(repository.add(attachment, content), attachment, "add")
    found = records.open().find_attachment([one.import_id for one in wanted])
    for one in wanted:
        same(found.get(one.import_id), one, "find_attachment")


@CHECKS.promise("File names are stored as the location spells them, and do not decide where bytes are kept.")
def names_are_kept(records: Records) -> None:
    repository = records.open()
    wanted = []
    for name in _NAMES:
        attachment, content = new(name=name)
        data = bytes_of(content)
        stored = same(repository.add(attachment, content), attachment, "add")
        wanted.append((attachment, stored.id, data))
    again = records.open()
    found = again.find_attachment([one.import_id for one, _, _ in wanted])
    for one, attachment_id, data in wanted:
        same(found.get(one.import_id), one, "find_attachment")
        expect(read(again, attachment_id) == data, f"the file {one.name!a} has the bytes of another")


@CHECKS.promise("Files of the same name do not replace each other.")
def equal_names_are_kept_apart(records: Records) -> None:
    repository = records.open()
    wanted = []
    for patient_id in (PATIENT.id, PATIENT.id, OTHER_PATIENT.id):
        attachment, content = new(patient_id=patient_id, name="same.jpg", title="Same")
        data = bytes_of(content)
        wanted.append((same(repository.add(attachment, content), attachment, "add").id, data))
    for attachment_id, data in wanted:
        expect(read(repository, attachment_id) == data, "one of them has the bytes of another")


@CHECKS.promise("The text of an exception names no patient, no file and no path.")
def exceptions_name_nobody(records: Records) -> None:
    repository = records.open()
    told = "CANARY"
    attachment, content = new(title=told, comments=told, name=f"{told}.jpg", operator=told)
    repository.add(attachment, content)
    data = unique()
    other = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    changed = attrs.evolve(attachment, size_bytes=len(data), sha256=BytesContent(data).sha256)
    unknown, content = new(patient_id=NOBODY, title=told, name=f"{told}.jpg")
    raised = [
        fails(AlreadyAssigned, "adding it for another patient", lambda: repository.add(other, content)),
        fails(ContentMismatch, "adding other bytes", lambda: repository.add(changed, BytesContent(data))),
        fails(UnknownPatient, "adding for an unknown patient", lambda: repository.add(unknown, content)),
        fails(
            RepositoryError,
            "opening what is not there",
            lambda: repository.open_attachment(f"/{told}/{NOBODY}"),
        ),
    ]
    for exc in raised:
        shown = f"{exc} {exc!r}"
        for word in (told, PATIENT.id, OTHER_PATIENT.id, NOBODY, PATIENT.name, OTHER_PATIENT.name):
            expect(word not in shown, f"the text of {type(exc).__name__} repeats what it is about")
