"""`transaction` and `add_many`; and several threads and workstations that use the same records."""

from __future__ import annotations

import contextlib
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import AlreadyAssigned, ContentMismatch, UnknownPatient
from intouch_import.model import StoredAttachment
from intouch_import.testing.checks import Broken, Checks, expect, fails, together
from intouch_import.testing.records import (
    Records,
    add,
    bytes_of,
    find,
    new,
    offers,
    read,
    same,
    unique,
)
from intouch_import.testing.samples import (
    NOBODY,
    OTHER_PATIENT,
    PATIENT,
    BytesContent,
    FailingContent,
    SlowContent,
    staged,
)

if TYPE_CHECKING:
    from intouch_import.content import Content
    from intouch_import.model import Attachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(Records)

_BATCH = 60
_THREADS = 6
_ROUNDS = 4
_A_MOMENT_S = 0.05
_PATIENCE_S = 10.0


def _ids(items: list[tuple[Attachment, Content]]) -> list[str]:
    return [attachment.import_id for attachment, _ in items]


# --- transactions and batches


@CHECKS.promise("When a transaction has ended, everything that was added in it is durable.")
def transactions_are_durable(records: Records) -> None:
    repository = records.open()
    items = [new() for _ in range(7)]
    data = [bytes_of(content) for _, content in items]
    with repository.transaction():
        stored = [add(repository, *item) for item in items]
    for _, content in items:
        content.close()
    for again in (records.open(), repository):
        found = again.find_attachment(_ids(items))
        for (attachment, _), one, bytes_ in zip(items, stored, data, strict=True):
            same(found.get(attachment.import_id), attachment, "find_attachment")
            expect(found[attachment.import_id].id == one.id, "find_attachment returns another id than add")
            expect(read(again, one.id) == bytes_, "the bytes are not stored")


class _Interrupt(BaseException):
    """Like KeyboardInterrupt, not an Exception."""


@CHECKS.promise("When a transaction ends with an exception, nothing that was added in it is stored.")
def transactions_roll_back(records: Records) -> None:
    repository = records.open()
    before, content = new()
    repository.add(before, content)
    for kind in (ValueError, AlreadyAssigned, _Interrupt):
        items = [new(staged(unique(), repository.staging)), new()]
        data = [bytes_of(content) for _, content in items]
        try:
            with repository.transaction():
                for item in items:
                    repository.add(*item)
                raise kind("the block fails")
        except kind:
            pass
        if not offers(repository, "transaction"):
            continue  # the default commits each `add` by itself
        for asked in (repository, records.open()):
            found = asked.find_attachment(_ids(items))
            expect(not found, f"{len(found)} of {len(items)} are stored after {kind.__name__}")
        # The next attempt must not be disturbed by the remains of the first.
        for (attachment, _), bytes_ in zip(items, data, strict=True):
            stored = add(repository, attachment, BytesContent(bytes_))
            expect(read(repository, stored.id) == bytes_, "the second attempt did not store the bytes")
        for _, content in items:
            content.close()
    expect(repository.find_attachment([before.import_id]), "an attachment that was stored before is gone")


@CHECKS.promise("A transaction that failed does not affect the next one.")
def transactions_follow_each_other(records: Records) -> None:
    repository = records.open()
    for _ in range(3):
        failing, content = new(FailingContent(unique().ljust(300_000)))

        def fail(item: tuple[Attachment, Content] = (failing, content)) -> None:
            with repository.transaction():
                repository.add(*item)

        fails(Exception, "a transaction with a file whose content fails", fail)
        good, content = new()
        with repository.transaction():
            repository.add(good, content)
        found = repository.find_attachment([failing.import_id, good.import_id])
        expect(set(found) == {good.import_id}, "not exactly the file of the good transaction is stored")


@CHECKS.promise("An import id that is added twice in one transaction is stored once.")
def one_transaction_stores_once(records: Records) -> None:
    repository = records.open()
    data = unique()
    attachment, content = new(data)
    other = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    with repository.transaction():
        first = repository.add(attachment, content)
        second = repository.add(attachment, BytesContent(data))
        what = "adding it for another patient in the same transaction"
        fails(AlreadyAssigned, what, lambda: repository.add(other, BytesContent(data)))
    expect(first == second, "the second call returned something else than the first")
    find(records.open(), attachment)


@CHECKS.promise("add_many returns one result for each file, in order; a FileError stops no other file.")
def one_file_stops_no_other(records: Records) -> None:
    repository = records.open()
    data = unique()
    there, content = new(data)
    stored = repository.add(there, content)
    items = [
        new(),
        (attrs.evolve(there, patient_id=OTHER_PATIENT.id), BytesContent(data)),
        new(staged(unique(), repository.staging), patient_id=OTHER_PATIENT.id),
        new(import_id=there.import_id),
        (there, BytesContent(data)),
        new(),
    ]
    results = repository.add_many(items)
    expect(len(results) == len(items), f"{len(items)} files gave {len(results)} results")
    for number in (0, 2, 5):
        same(results[number], items[number][0], "add_many")
        find(records.open(), items[number][0])
    expect(isinstance(results[1], AlreadyAssigned), "a file of another patient gave no AlreadyAssigned")
    expect(isinstance(results[3], ContentMismatch), "a file with other bytes gave no ContentMismatch")
    expect(results[4] == stored, "a file that was stored before gave another result")
    expect(repository.add_many([]) == [], "an empty batch gave results")


@CHECKS.promise("add_many stores a complete batch.")
def batches_are_stored_whole(records: Records) -> None:
    repository = records.open()
    items = [new(patient_id=(PATIENT, OTHER_PATIENT)[number % 2].id) for number in range(_BATCH)]
    data = [bytes_of(content) for _, content in items]
    repeated = [*items, items[0], items[-1]]
    results = repository.add_many(repeated)
    expect(len(results) == len(repeated), f"{len(repeated)} files gave {len(results)} results")
    for result, (attachment, _) in zip(results, repeated, strict=True):
        same(result, attachment, "add_many")
    expect(results[-2:] == [results[0], results[_BATCH - 1]], "a file that was given twice is stored twice")
    again = records.open()
    found = again.find_attachment(_ids(items))
    expect(len(found) == _BATCH, f"of {_BATCH} files, {len(found)} are stored")
    for (attachment, _), bytes_ in zip(items, data, strict=True):
        expect(read(again, found[attachment.import_id].id) == bytes_, "a file has the bytes of another file")


@CHECKS.promise("When add_many raises, nothing of the batch is stored.")
def batches_roll_back(records: Records) -> None:
    repository = records.open()
    for bad, kind in ((new(patient_id=NOBODY), UnknownPatient), (new(FailingContent(unique())), Exception)):
        items = [new(), bad, new()]
        fails(kind, "a batch with a file that can't be stored", lambda: repository.add_many(items))
        if not offers(repository, "transaction"):
            continue
        for asked in (repository, records.open()):
            found = asked.find_attachment(_ids(items))
            expect(not found, f"{len(found)} of the batch are stored after {kind.__name__}")
        good = repository.add_many([items[0], items[2]])
        expect(all(isinstance(one, StoredAttachment) for one in good), "the good files can't be stored later")


# --- several at once


@CHECKS.promise("A file that several threads and workstations add at once is stored once.")
def one_file_from_all_sides_is_stored_once(records: Records) -> None:
    shared = records.open()
    workstations = [shared, shared, *(records.open() for _ in range(_THREADS - 2))]
    for _ in range(_ROUNDS):
        data = unique()
        attachment, _content = new(data)
        results = together([partial(one.add, attachment, BytesContent(data)) for one in workstations])
        ids = {result.id for result in results if isinstance(result, StoredAttachment)}
        expect(len(ids) == 1, f"{len(results)} calls returned {len(ids)} different attachments")
        stored = find(records.open(), attachment)
        expect({stored.id} == ids, "another attachment is stored than the calls returned")
        expect(read(shared, stored.id) == data, "the bytes are not stored")


@CHECKS.promise("A file that is saved to two patients at once is in one record; the other calls raise.")
def one_file_for_two_patients_is_stored_once(records: Records) -> None:
    workstations = [records.open() for _ in range(_THREADS)]
    for _ in range(_ROUNDS):
        data = unique()
        attachment, _content = new(data)
        wanted = [
            attrs.evolve(attachment, patient_id=(PATIENT, OTHER_PATIENT)[number % 2].id)
            for number in range(_THREADS)
        ]
        calls = [
            partial(one.add, asked, BytesContent(data))
            for one, asked in zip(workstations, wanted, strict=True)
        ]
        results = together(calls, expected=(AlreadyAssigned,))
        winners = {result.patient_id for result in results if isinstance(result, StoredAttachment)}
        expect(len(winners) == 1, f"calls for {len(winners)} patients succeeded")
        for result, asked in zip(results, wanted, strict=True):
            expect(
                isinstance(result, AlreadyAssigned) == (asked.patient_id not in winners),
                "a call for the wrong patient succeeded, or a call for the right one raised",
            )
        stored = records.open().find_attachment([attachment.import_id])[attachment.import_id]
        expect({stored.patient_id} == winners, "it is in another record than the successful calls returned")


@CHECKS.promise("An attempt that is overtaken or fails late does not harm what another call has stored.")
def overtaken_attempts_harm_nothing(records: Records) -> None:
    advice = "insert the row first: its unique import id makes other calls wait"
    for fails_late in (True, False):
        slow, quick = records.open(), records.open()
        data = unique().ljust(300_000, b"x")
        attachment, _content = new(data)
        begun, overtaken = threading.Event(), threading.Event()

        def add_slowly() -> None:
            with contextlib.suppress(Exception):  # it may fail; only the remains matter
                slow.add(attachment, SlowContent(data, begun, overtaken, fails=fails_late))
            begun.set()  # in case it failed before it read anything

        def add_quickly() -> StoredAttachment:
            begun.wait(_PATIENCE_S)
            try:
                return quick.add(attachment, BytesContent(data))
            finally:
                overtaken.set()

        together([add_slowly, add_quickly])
        stored = find(records.open(), attachment)
        try:
            left = read(records.open(), stored.id)
        except Exception as exc:  # the code under test raises anything
            raise Broken(f"the stored bytes are gone ({advice})") from exc
        expect(left == data, f"the stored bytes are damaged ({advice})")


@CHECKS.promise("Threads that add and find different files at once do not disturb each other.")
def different_files_do_not_disturb_each_other(records: Records) -> None:
    shared = records.open()
    workstations = [shared, shared, shared, records.open()]

    def add_some(repository: PatientRepository, seed: int) -> list[tuple[StoredAttachment, bytes]]:
        done = []
        for number in range(_ROUNDS):
            data = unique(f"{seed}-{number}")
            with staged(data, repository.staging) as content:
                attachment, _ = new(content, patient_id=(PATIENT, OTHER_PATIENT)[seed % 2].id)
                done.append((add(repository, attachment, content), data))
            expect(repository.find_attachment([attachment.import_id]), "an added attachment is not found")
            expect(repository.find_patient(PATIENT.id), "a patient is not found")
        return done

    results = together([partial(add_some, one, seed) for seed, one in enumerate(workstations)])
    again = records.open()
    done = [pair for result in results if isinstance(result, list) for pair in result]
    expect(len({stored.id for stored, _ in done}) == len(done), "two files have the same id")
    for stored, data in done:
        expect(read(again, stored.id) == data, "a file has the bytes of another file")


class _RollBack(Exception):  # raised to end a transaction
    pass


@CHECKS.promise("A transaction contains only the files that its own thread adds.")
def transactions_belong_to_a_thread(records: Records) -> None:
    repository = records.open()
    for _ in range(_ROUNDS):
        inside, outside = new(), new()
        data = bytes_of(outside[1])
        begun = threading.Event()

        def roll_back() -> None:
            try:
                with repository.transaction():
                    repository.add(*inside)
                    begun.set()
                    time.sleep(_A_MOMENT_S)  # meanwhile the other thread adds, or waits for its turn
                    raise _RollBack
            except _RollBack:
                pass
            finally:
                begun.set()  # in case it failed earlier

        def add_outside() -> None:
            begun.wait()
            repository.add(*outside)

        together([roll_back, add_outside])
        found = records.open().find_attachment([inside[0].import_id, outside[0].import_id])
        expect(outside[0].import_id in found, "the rollback removed a file that another thread had added")
        expect(read(repository, found[outside[0].import_id].id) == data, "the bytes are not stored")
        if offers(repository, "transaction"):
            expect(inside[0].import_id not in found, "a file that was rolled back is stored")
