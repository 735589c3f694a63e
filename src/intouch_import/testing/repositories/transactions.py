"""`transaction` and `add_many`: all of it, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import AlreadyAssigned, ContentMismatch, UnknownPatient
from intouch_import.model import StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Checks, expect, fails
from intouch_import.testing.contents import BytesContent, FailingContent, staged
from intouch_import.testing.repositories.bench import Records, bench, bytes_of, new, read, same, unique
from intouch_import.testing.samples import NOBODY, OTHER_PATIENT, PATIENT

if TYPE_CHECKING:
    from intouch_import.content import Content
    from intouch_import.model import Attachment

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

_MANY = 60


class _PulledOut(BaseException):
    """Not an Exception: as KeyboardInterrupt is none."""


def _commits_each(repository: PatientRepository) -> bool:
    """Whether the class keeps the default, which commits each `add` by itself."""
    return type(repository).transaction is PatientRepository.transaction


def _ids(items: list[tuple[Attachment, Content]]) -> list[str]:
    return [attachment.import_id for attachment, _ in items]


@CHECKS.promise("When a transaction has ended, everything that was added in it is durable.")
def transactions_are_durable(records: Records) -> None:
    repository = records.open()
    items = [new() for _ in range(7)]
    data = [bytes_of(content) for _, content in items]
    with repository.transaction():
        stored = [same(repository.add(*item), item[0], "add") for item in items]
    for _, content in items:
        content.close()
    for again in (records.open(), repository):
        found = again.find_attachment(_ids(items))
        for (attachment, _), one, bytes_ in zip(items, stored, data, strict=True):
            same(found.get(attachment.import_id), attachment, "find_attachment")
            expect(found[attachment.import_id].id == one.id, "the id is another than add returned")
            expect(read(again, one.id) == bytes_, "the bytes are not there")


@CHECKS.promise("When a transaction ends with an exception, nothing of it is stored.")
def transactions_roll_back(records: Records) -> None:
    repository = records.open()
    before, content = new()
    repository.add(before, content)
    for kind in (ValueError, AlreadyAssigned, _PulledOut):
        items = [new(staged(unique(), repository.staging)), new()]
        data = [bytes_of(content) for _, content in items]
        try:
            with repository.transaction():
                for item in items:
                    repository.add(*item)
                raise kind("the block fails")
        except kind:
            pass
        if _commits_each(repository):
            continue
        for asked in (repository, records.open()):
            found = asked.find_attachment(_ids(items))
            expect(not found, f"{len(found)} of {len(items)} are stored after {kind.__name__}")
        # The next attempt, after what the first one left behind.
        for (attachment, _), bytes_ in zip(items, data, strict=True):
            stored = same(repository.add(attachment, BytesContent(bytes_)), attachment, "add")
            expect(read(repository, stored.id) == bytes_, "the bytes of the second attempt are not there")
        for _, content in items:
            content.close()
    expect(repository.find_attachment([before.import_id]), "what was stored before is gone")


@CHECKS.promise("A transaction that failed does not spoil the next one.")
def transactions_follow_each_other(records: Records) -> None:
    repository = records.open()
    for _ in range(3):
        failing, content = new(FailingContent(unique().ljust(300_000)))

        def fail(item: tuple[Attachment, Content] = (failing, content)) -> None:
            with repository.transaction():
                repository.add(*item)

        fails(Exception, "a transaction with a file that breaks off", fail)
        good, content = new()
        with repository.transaction():
            repository.add(good, content)
        found = repository.find_attachment([failing.import_id, good.import_id])
        expect(set(found) == {good.import_id}, "not exactly the good one of two transactions is stored")


@CHECKS.promise("An import id that is added twice in one transaction is stored once.")
def one_transaction_stores_once(records: Records) -> None:
    repository = records.open()
    data = unique()
    attachment, content = new(data)
    with repository.transaction():
        first = repository.add(attachment, content)
        second = repository.add(attachment, BytesContent(data))
        fails(
            AlreadyAssigned,
            "adding it for another patient in the same transaction",
            lambda: repository.add(attrs.evolve(attachment, patient_id=OTHER_PATIENT.id), BytesContent(data)),
        )
    expect(first == second, "the second call returned something else than the first")
    same(
        records.open().find_attachment([attachment.import_id]).get(attachment.import_id),
        attachment,
        "find_attachment",
    )


@CHECKS.promise("add_many returns one result for each file, in order; a FileError stops no other file.")
def one_file_stops_no_other(records: Records) -> None:
    repository = records.open()
    data = unique()
    there, content = new(data)
    stored = repository.add(there, content)
    changed, other_content = new(import_id=there.import_id)
    items = [
        new(),
        (attrs.evolve(there, patient_id=OTHER_PATIENT.id), BytesContent(data)),
        new(staged(unique(), repository.staging), patient_id=OTHER_PATIENT.id),
        (changed, other_content),
        (there, BytesContent(data)),
        new(),
    ]
    results = repository.add_many(items)
    expect(len(results) == len(items), f"{len(items)} files gave {len(results)} results")
    for number in (0, 2, 5):
        result = results[number]
        same(result if isinstance(result, StoredAttachment) else None, items[number][0], "add_many")
        expect(
            records.open().find_attachment([items[number][0].import_id]),
            "a good file of the batch is not stored",
        )
    expect(isinstance(results[1], AlreadyAssigned), "a file of another patient gave no AlreadyAssigned")
    expect(isinstance(results[3], ContentMismatch), "a file with other bytes gave no ContentMismatch")
    expect(results[4] == stored, "a file that is stored already gave something else than what is there")
    expect(repository.add_many([]) == [], "no files gave results")


@CHECKS.promise("add_many stores a whole batch.")
def batches_are_stored_whole(records: Records) -> None:
    repository = records.open()
    items = [new(patient_id=(PATIENT, OTHER_PATIENT)[number % 2].id) for number in range(_MANY)]
    data = [bytes_of(content) for _, content in items]
    repeated = [*items, items[0], items[-1]]
    results = repository.add_many(repeated)
    expect(len(results) == len(repeated), f"{len(repeated)} files gave {len(results)} results")
    for result, (attachment, _) in zip(results, repeated, strict=True):
        same(result if isinstance(result, StoredAttachment) else None, attachment, "add_many")
    expect(results[-2:] == [results[0], results[_MANY - 1]], "a file that came twice was stored twice")
    again = records.open()
    found = again.find_attachment(_ids(items))
    expect(len(found) == _MANY, f"of {_MANY} files, {len(found)} are stored")
    for (attachment, _), bytes_ in zip(items, data, strict=True):
        expect(read(again, found[attachment.import_id].id) == bytes_, "a file has the bytes of another")


@CHECKS.promise("When add_many raises, nothing of the batch is stored.")
def batches_roll_back(records: Records) -> None:
    repository = records.open()
    for bad, kind in ((new(patient_id=NOBODY), UnknownPatient), (new(FailingContent(unique())), Exception)):
        items = [new(), bad, new()]
        fails(kind, "a batch with a file that can't be stored", lambda: repository.add_many(items))
        if _commits_each(repository):
            continue
        for asked in (repository, records.open()):
            found = asked.find_attachment(_ids(items))
            expect(not found, f"{len(found)} of the batch are stored after {kind.__name__}")
        good = repository.add_many([items[0], items[2]])
        expect(all(isinstance(one, StoredAttachment) for one in good), "the rest can't be stored afterwards")
