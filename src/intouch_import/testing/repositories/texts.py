"""Text of any kind: titles, comments and names are kept as they are, and never part of anything else."""

from __future__ import annotations

import attrs

from intouch_import.errors import AlreadyAssigned, ContentMismatch, RepositoryError, UnknownPatient
from intouch_import.testing.checks import Checks, expect, fails
from intouch_import.testing.contents import BytesContent
from intouch_import.testing.repositories.bench import Records, bench, bytes_of, new, read, same, unique
from intouch_import.testing.samples import HOSTILE_NAMES, HOSTILE_TEXTS, NOBODY, OTHER_PATIENT, PATIENT

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

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
