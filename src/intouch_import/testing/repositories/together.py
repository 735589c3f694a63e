"""Several threads, and several workstations, over the same records."""

from __future__ import annotations

import contextlib
import threading
import time
from functools import partial

import attrs

from intouch_import.errors import AlreadyAssigned
from intouch_import.model import StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Checks, broken, expect, together
from intouch_import.testing.contents import BytesContent, SlowContent, staged
from intouch_import.testing.repositories.bench import Records, bench, bytes_of, new, read, same, unique
from intouch_import.testing.samples import OTHER_PATIENT, PATIENT

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

_THREADS = 6
_ROUNDS = 4
_A_MOMENT_S = 0.05
_PATIENCE_S = 10.0
_HARMED = "the bytes of the one that was stored are"


@CHECKS.promise("The same file that is added by several threads and workstations at once is stored once.")
def one_file_from_all_sides_is_stored_once(records: Records) -> None:
    shared = records.open()
    workstations = [shared, shared, *(records.open() for _ in range(_THREADS - 2))]
    for _ in range(_ROUNDS):
        data = unique()
        attachment, _content = new(data)
        results = together([partial(one.add, attachment, BytesContent(data)) for one in workstations])
        ids = {result.id for result in results if isinstance(result, StoredAttachment)}
        expect(len(ids) == 1, f"{len(results)} calls returned {len(ids)} different attachments")
        found = records.open().find_attachment([attachment.import_id])
        stored = same(found.get(attachment.import_id), attachment, "find_attachment")
        expect({stored.id} == ids, "another attachment is stored than was returned")
        expect(read(shared, stored.id) == data, "the bytes are not there")


@CHECKS.promise(
    "The same file that is saved to two patients at once is in one record, and the other is told."
)
def one_file_for_two_patients_is_stored_once(records: Records) -> None:
    workstations = [records.open() for _ in range(_THREADS)]
    for _ in range(_ROUNDS):
        data = unique()
        attachment, _content = new(data)
        wanted = [
            attrs.evolve(attachment, patient_id=(PATIENT, OTHER_PATIENT)[number % 2].id)
            for number in range(_THREADS)
        ]
        results = together(
            [
                partial(one.add, asked, BytesContent(data))
                for one, asked in zip(workstations, wanted, strict=True)
            ],
            expected=(AlreadyAssigned,),
        )
        winners = {result.patient_id for result in results if isinstance(result, StoredAttachment)}
        expect(len(winners) == 1, f"{len(winners)} patients were told that they have it")
        for result, asked in zip(results, wanted, strict=True):
            told = isinstance(result, AlreadyAssigned)
            expect(told == (asked.patient_id not in winners), "not exactly those who lost were told")
        stored = records.open().find_attachment([attachment.import_id])[attachment.import_id]
        expect({stored.patient_id} == winners, "it is in another record than was returned")


@CHECKS.promise("An attempt that is overtaken, or fails late, harms nothing that was stored meanwhile.")
def overtaken_attempts_harm_nothing(records: Records) -> None:
    for fails_late in (True, False):
        slow, quick = records.open(), records.open()
        data = unique().ljust(300_000, b"x")
        attachment, _content = new(data)
        begun, overtaken = threading.Event(), threading.Event()

        def add_slowly() -> None:
            with contextlib.suppress(Exception):  # whether it fails is no matter: what does it leave?
                slow.add(attachment, SlowContent(data, begun, overtaken, fails=fails_late))
            begun.set()  # it may have failed before it read anything

        def add() -> StoredAttachment:
            begun.wait(_PATIENCE_S)
            try:
                return quick.add(attachment, BytesContent(data))
            finally:
                overtaken.set()

        together([add_slowly, add])
        found = records.open().find_attachment([attachment.import_id])
        stored = same(found.get(attachment.import_id), attachment, "find_attachment")
        try:
            left = read(records.open(), stored.id)
        except Exception as exc:  # noqa: BLE001  # the code under test raises anything
            broken(f"{_HARMED} gone: insert the row first, its import id keeps others waiting", exc)
        expect(left == data, f"{_HARMED} damaged: insert the row first, its import id keeps others waiting")


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
                done.append((same(repository.add(attachment, content), attachment, "add"), data))
            expect(repository.find_attachment([attachment.import_id]), "what was added is not found")
            expect(repository.find_patient(PATIENT.id), "a patient is not found")
        return done

    results = together([partial(add_some, one, seed) for seed, one in enumerate(workstations)])
    again = records.open()
    done = [pair for result in results if isinstance(result, list) for pair in result]
    expect(len({stored.id for stored, _ in done}) == len(done), "two files have one id")
    for stored, data in done:
        expect(read(again, stored.id) == data, "a file has the bytes of another")


@CHECKS.promise("A transaction holds what its own thread adds, and nothing else.")
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
                    time.sleep(_A_MOMENT_S)  # the other thread adds now, or waits for its turn
                    raise _Stop
            except _Stop:
                pass
            finally:
                begun.set()  # the other thread must not wait for what failed before

        def add() -> None:
            begun.wait()
            repository.add(*outside)

        together([roll_back, add])
        found = records.open().find_attachment([inside[0].import_id, outside[0].import_id])
        expect(outside[0].import_id in found, "the rollback took what another thread had added")
        expect(read(repository, found[outside[0].import_id].id) == data, "the bytes are not there")
        if type(repository).transaction is not PatientRepository.transaction:
            expect(inside[0].import_id not in found, "what was rolled back is stored")


class _Stop(Exception):  # it says what the block does
    pass
