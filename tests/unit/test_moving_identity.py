"""The move of a file whose bytes name a patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intouch_import.model import Reason, State
from intouch_import.sources.local import LocalSource
from moving_bench import Bench, raising
from pictures import dicom

if TYPE_CHECKING:
    from miniature import Practice


@pytest.fixture(name="bench")
def _bench(practice: Practice) -> Bench:
    practice.photo("scan.dcm", dicom("10043"))
    return Bench(practice)


@pytest.mark.parametrize("automatic", [True, False])
@pytest.mark.parametrize("reason", [Reason.CHOSEN, Reason.FOLDER_NAME])
def test_bytes_that_name_another_patient_wait(bench: Bench, automatic: bool, reason: Reason) -> None:
    """In an automatic import, a save and a migration: nothing is stored, and nothing is removed."""
    assert bench.told(bench.orders(automatic=automatic, reason=reason)) == [
        (State.WAITING, Reason.OTHER_PATIENT)
    ]
    assert bench.practice.left() == ["scan.dcm"]
    assert bench.stored() == []


def test_bytes_that_name_the_patient_are_stored(bench: Bench) -> None:
    """The header and the order agree."""
    assert bench.told(bench.orders(patient_id="10043")) == [(State.IMPORTED, Reason.CHOSEN)]


def test_a_person_who_was_asked_decides(bench: Bench) -> None:
    """A header may be wrong."""
    orders = bench.orders(other_patient_confirmed=True)
    assert bench.told(orders) == [(State.IMPORTED, Reason.CHOSEN)]


def test_an_id_that_nobody_has_stops_nothing(practice: Practice) -> None:
    """Devices have ids of their own."""
    practice.photo("scan.dcm", dicom("X-99"))
    assert Bench(practice).told() == [(State.IMPORTED, Reason.CHOSEN)]


def test_records_that_fail_stop_this_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not known whose the file is, so it stays and a retry helps."""
    monkeypatch.setattr(bench.records, "find_patient", raising(KeyError("10043")))
    ((outcome,), _) = bench.move()
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (
        State.FAILED, Reason.REPOSITORY_FAILED, True,
    )  # fmt: skip
    assert bench.practice.left() == ["scan.dcm"]


def test_bytes_that_can_no_longer_be_read_stop_this_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails between the two readings is not a header without a patient."""
    (file,) = bench.source.scan()
    fetch = LocalSource.fetch

    def fails(self: LocalSource, *args: object, **options: object) -> object:
        content = fetch(self, *args, **options)  # type: ignore[arg-type]
        monkeypatch.setattr(content, "open", raising(OSError(5, "input/output error")), raising=False)
        return content

    monkeypatch.setattr(LocalSource, "fetch", fails)
    assert bench.told() == [(State.FAILED, Reason.UNREADABLE)]
    assert bench.practice.left() == [file.name]
