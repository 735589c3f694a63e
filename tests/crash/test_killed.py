"""A child process is killed before and after every step of a move; then a workstation is started anew."""

from __future__ import annotations

import itertools
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scenes import Hospital, memory

from intouch_import.errors import NotRemoved
from intouch_import.ledger import Event
from intouch_import.model import Reason, State
from intouch_import.sources.local import LocalSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenes import Killer, Scene

RANDOM_KILLS = int(os.environ.get("INTOUCH_CRASH_RUNS", "10"))
# Unless all steps are asked for, one in some, others in every run: steps on SQLite take less time.
STRIDES = (1, 1) if "INTOUCH_CRASH_RUNS" in os.environ else (7, 20)

pytestmark = pytest.mark.both_databases

LINKED = pytest.param(
    "linked", marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases to link under")
)
COPIED = "copied"
ELSEWHERE = pytest.param(
    "elsewhere",
    marks=pytest.mark.skipif(memory() is None, reason="there is no second file system, in memory"),
)


@pytest.fixture
def hospital(
    killer: Killer, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> Iterator[Hospital]:
    """A practice in memory where there is some: kills, not power cuts, are the subject here."""
    with tempfile.TemporaryDirectory(prefix="intouch-crash-", dir=memory()) as root:
        url = f"sqlite:///{root}/clinic.db"
        if database == "postgresql":
            url = request.getfixturevalue("postgresql_url")
        hospital = Hospital(Path(root), killer, tmp_path, database=url)
        with hospital.records:
            yield hospital
            hospital.check_the_books()


def steps_of(hospital: Hospital) -> Iterator[int]:
    """The steps to kill at, from the first; without end."""
    stride = STRIDES[not hospital.database.startswith("sqlite")]
    return itertools.count(random.randint(1, stride), stride)


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("how", [LINKED, COPIED, ELSEWHERE])
@pytest.mark.parametrize("count", [1, 5])
def test_a_kill_at_any_step_of_a_move_loses_nothing_and_doubles_nothing(
    hospital: Hospital, work: str, count: int, how: str
) -> None:
    """Whatever the step, each file is in one place or in both; the next start finishes each move, once."""
    for step in steps_of(hospital):
        scene = hospital.scene(work, count, elsewhere=how == "elsewhere")
        result = scene.kill(step=step, leases=how != "copied", ends=count > 1)
        scene.check_nothing_is_lost()
        if not result.killed:
            break
        scene.recover()
        scene.check_all_is_moved()
        scene.clear()
    scene.check_all_is_moved()
    content = "LeasedContent" if how == "linked" else "StagedContent"
    for name in (f"{content}.save_to", "LocalSource.remove", "DefaultDialect.do_commit", "Ledger.append"):
        assert {f"before {name}", f"after {name}"} <= set(result.steps), (
            "not taken, so nothing was killed there"
        )


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("removed", [True, False], ids=["moved", "not-removed"])
@pytest.mark.parametrize("again", [True, False], ids=["asked-again", "forgotten"])
def test_a_kill_at_any_step_of_an_undo_loses_nothing_and_doubles_nothing(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, work: str, removed: bool, again: bool
) -> None:
    """Asked for again, the undo comes to its end; forgotten, the file is stored once whatever staff save next."""
    for step in steps_of(hospital):
        scene = hospital.scene(work, 1)
        with monkeypatch.context() as patched:
            if not removed:
                patched.setattr(LocalSource, "remove", refuse)
            import_only(scene)
        (stored,) = scene.stored()
        result = scene.kill(work="undo", import_id=stored.import_id, step=step, ends=True)
        scene.check_nothing_is_lost()
        if again or not result.killed:
            inbox = scene.inbox()
            inbox.refresh()
            scene.check_nothing_is_lost()
            if scene.stored():
                assert inbox.undo(stored.import_id).state is State.WAITING
            check_it_is_back(scene, stored.import_id)
        scene.recover()
        assert scene.visible() == []
        assert scene.stored_digests() == scene.digests
        scene.clear()
        if not result.killed:
            break
    assert "before SqlRepository.withdraw" in result.steps
    # A file that was never taken out stays as it is.
    assert ("before LocalSource.put" in result.steps) == removed
    assert "before LocalSource.remove" not in result.steps


@pytest.mark.parametrize("removed", [True, False], ids=["moved", "not-removed"])
@pytest.mark.parametrize("again", [True, False], ids=["asked-again", "forgotten"])
def test_a_kill_at_any_step_of_a_reassignment_leaves_it_in_one_record(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, removed: bool, again: bool
) -> None:
    """In the former record or in the right one, whole, and the next start writes down in which; never in both."""
    for step in steps_of(hospital):
        scene = hospital.scene("refresh", 1)
        former, right = scene.patients
        with monkeypatch.context() as patched:
            if not removed:
                patched.setattr(LocalSource, "remove", refuse)
            import_only(scene)
        (stored,) = scene.stored()
        result = scene.kill(work="reassign", import_id=stored.import_id, step=step)
        (now,) = scene.stored()
        assert now.patient_id in {former, right}
        assert scene.stored_digests() == scene.digests
        if again or not result.killed:
            assert scene.inbox().reassign(stored.import_id, patient=right).state is State.IMPORTED
            (now,) = scene.stored()
            assert now.patient_id == right
        scene.recover()
        scene.check_all_is_moved()
        entries = list(hospital.ledger.entries(import_id=stored.import_id))
        done = [entry for entry in entries if entry.event is Event.REASSIGNED]
        assert [(entry.from_patient_id, entry.patient_id) for entry in done] == (
            [(former, right)] if now.patient_id == right else []
        )
        if not removed:
            assert next(entry.patient_id for entry in entries if entry.event is Event.MOVED) == now.patient_id
        scene.clear()
        if not result.killed:
            break
    assert {"before UPDATE", "before SqlRepository.reassign", "after DefaultDialect.do_commit"} <= set(
        result.steps
    )


def import_only(scene: Scene) -> None:
    """Import what is there, without a look at what became of it."""
    inbox = scene.inbox()
    inbox.refresh()
    if scene.work == "save":
        inbox.save(inbox.prepare(inbox.rows, patient=scene.patients[1]))


def refuse(*_args: object, **_options: object) -> None:
    raise NotRemoved("a folder that may not be written")


def check_it_is_back(scene: Scene, import_id: str) -> None:
    """The file is in the folder and in no record, waits for a person, and the ledger says so."""
    report = scene.inbox().refresh()
    reasons = [outcome.reason for outcome in report.outcomes if outcome.state is not State.IGNORED]
    assert reasons in ([Reason.UNDONE], [Reason.NO_CAPTURE_NAME])
    assert scene.visible() == scene.digests
    assert scene.stored() == []
    assert Event.WITHDRAWN in {entry.event for entry in scene.hospital.ledger.entries(import_id=import_id)}


def test_kills_at_random_instants_lose_nothing_and_double_nothing(hospital: Hospital) -> None:
    """A move that is killed at any instants, over and over until it comes to its end, stores each file once."""
    seed = random.randrange(2**32)
    print(f"random.Random({seed})")  # shown when the test fails
    chance = random.Random(seed)
    longest_s = {work: hospital.scene(work, 5).kill().took_s for work in ("refresh", "save")}
    kills = 0
    while kills < RANDOM_KILLS:
        scene = hospital.scene(chance.choice(["refresh", "save"]), 5)
        leases = chance.random() < 0.5
        for _attempt in range(chance.randint(1, 4)):
            if scene.stored_digests() == scene.digests and not scene.visible():
                break
            after_s = chance.uniform(0, longest_s[scene.work])
            kills += scene.kill(after_s=after_s, leases=leases).killed
            scene.check_nothing_is_lost()
        scene.recover()
        scene.check_all_is_moved()
        scene.clear()
