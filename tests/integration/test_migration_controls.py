"""Runs that are paused, resumed, cancelled, limited, or kept to hours of the day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from intouch_import import migration
from intouch_import.clock import Clock
from intouch_import.errors import ConfigError
from intouch_import.migration.limits import Pacer, RunCommand, RunControl, RunOptions
from intouch_import.model import Patient, SourceFile
from migrating import OKAFOR, Archive, six_photos
from miniature import NOW

ALL, LOOSE = 7, ["loose.jpg"]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Six photos of two patients, and one photo of an unknown patient."""
    return six_photos(tmp_path)


class _Time:
    """Time that passes only in ``sleep``, which calls ``then`` with the number of calls so far."""

    def __init__(self, now: datetime = NOW, then: Callable[[int], None] = lambda _: None) -> None:
        self.now = now
        self.at_s = 0.0
        self.naps = 0
        self._then = then
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += timedelta(seconds=seconds)
            self.at_s += seconds
            self.naps += 1
            naps = self.naps
        self._then(naps)
        time.sleep(0.001)  # lets the other threads look

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, monotonic_s=lambda: self.at_s, sleep=self.sleep)


def _until(true: Callable[[], Any], timeout_s: float = 20.0) -> None:
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def _run_that_pauses_after(files: int, archive: Archive, **options: Any) -> tuple[migration.Run, _Time]:
    """Start a run with one file per second, and pause it when this many files have begun."""
    ready = threading.Event()

    def then(_naps: int) -> None:
        ready.wait(10)
        if clock.at_s > files - 1:
            run.pause()

    clock = _Time(then=then)
    records = archive.records()
    plan = archive.plan(records=records)
    run = plan.run(records, files_per_s=1, clock=clock.clock, threads=1, **options)
    ready.set()
    return run, clock


def test_a_paused_run_continues_when_it_is_resumed(archive: Archive) -> None:
    """Files that have begun are finished during the pause, no other file begins, and resume does the rest."""
    run, clock = _run_that_pauses_after(3, archive)
    _until(lambda: len(archive.left()) == ALL - 3)
    naps = clock.naps
    _until(lambda: clock.naps > naps + 20)
    assert run.state == "paused"
    assert len(archive.left()) == ALL - 3
    assert not list((archive.root / "files").rglob("*.part"))
    run.pause()  # again: no difference
    clock._then = lambda _: None
    run.resume()
    assert run.wait(60).state == "done"
    assert run.progress.counts == {"imported": 6}
    assert archive.left() == LOOSE
    assert run.certificate.closes


def test_a_pause_that_is_never_ended_loses_nothing(archive: Archive) -> None:
    """If the process dies during a pause, the next run finds the finished files, and does the rest."""
    run, _ = _run_that_pauses_after(3, archive)
    _until(lambda: len(archive.left()) == ALL - 3)
    plan = migration.open_plan(run.plan.directory)
    records = archive.records()
    _until(lambda: plan.certificate(records).counts["imported"] == 3)
    assert plan.certificate(records).counts["not yet"] == 3
    again = plan.run(records).wait(60)
    assert again.progress.counts == {"imported": 6}
    assert again.certificate.closes
    run.cancel()
    run.wait(60)
    assert len(records.attachments("10042")) + len(records.attachments("10043")) == 6


def test_patients_are_looked_up_again_after_a_pause(archive: Archive) -> None:
    """A patient who became inactive during the pause gets no files after it."""
    run, clock = _run_that_pauses_after(1, archive)
    _until(lambda: len(archive.left()) == ALL - 1)
    archive.records().add_patients(
        [Patient(id="10042", name="Ada Marsh"), Patient(id="10043", name="Ben Okafor", active=False)]
    )
    clock._then = lambda _: None
    run.resume()
    assert run.wait(60).reasons == {"folder_name": 4, "patient_inactive": 2}
    assert [path for path in archive.left() if path.startswith(OKAFOR)] == [
        f"{OKAFOR}/IMG_1.jpg",
        f"{OKAFOR}/IMG_2.jpg",
    ]


def test_overrides_made_during_a_pause_apply(archive: Archive) -> None:
    """A person who sees a mistake pauses the run and overrides rows; the run obeys when it resumes."""
    run, clock = _run_that_pauses_after(1, archive)
    _until(lambda: len(archive.left()) == ALL - 1)
    elsewhere = archive.records()
    run.plan.override({"path": f"{OKAFOR}/IMG_1.jpg"}, patient="10042")
    run.plan.override({"path": f"{OKAFOR}/IMG_2.jpg"}, leave_out=True)
    clock._then = lambda _: None
    run.resume()
    assert run.wait(60).reasons == {"folder_name": 4, "chosen": 1}
    assert archive.left() == [f"{OKAFOR}/IMG_2.jpg", "loose.jpg"]
    assert elsewhere.attachments("10043") == []
    assert "IMG_1.jpg" in {stored.name for stored in elsewhere.attachments("10042")}
    assert run.certificate.closes


def test_a_run_can_be_paused_and_cancelled_before_it_begins(archive: Archive) -> None:
    """No file begins. A run that is cancelled or has ended does not resume."""
    records = archive.records()
    run = archive.plan(records=records).run(records, files_per_s=1, threads=1)
    run.pause()
    assert run.wait(0.4).state == "paused"
    left = len(archive.left())
    assert left >= ALL - 1  # one file may have begun before the pause
    run.cancel()
    run.resume()
    run.pause()
    assert run.wait(60).state == "cancelled"
    assert len(archive.left()) == left
    run.resume()
    assert run.state == "cancelled"


def test_a_dry_run_is_paused_and_resumed(archive: Archive) -> None:
    """A dry run obeys the same commands."""
    records = archive.records()
    naps = threading.Event()
    clock = _Time(then=lambda _: naps.set())
    run = archive.plan(records=records).run(records, dry_run=True, files_per_s=1, clock=clock.clock)
    run.pause()
    assert naps.wait(10)
    assert run.wait(0.1).state == "paused"
    run.resume()
    assert run.wait(60).progress.counts == {"imported": 6}
    assert len(archive.left()) == ALL


def test_another_run_finishes_a_cancelled_one(archive: Archive) -> None:
    """The first run stops between two files. The second run does the rest, and the certificate closes."""
    records = archive.records()
    plan = archive.plan(records=records)
    begun = threading.Event()

    def sleep(_seconds: float) -> None:
        begun.wait(10)
        run.cancel()

    run = plan.run(records, files_per_s=0.001, clock=Clock(sleep=sleep), threads=1)
    begun.set()
    assert run.wait(60).state == "cancelled"
    assert run.certificate.counts["not yet"] == 5
    assert any("run the plan again" in point for point in run.certificate.open_points)
    assert plan.run(records).wait(60).certificate.closes
    assert len(records.attachments("10042")) + len(records.attachments("10043")) == 6


def test_a_cancelled_run_keeps_earlier_results(archive: Archive) -> None:
    """If a run does not reach a file, the result of an earlier run stays."""
    records = archive.records()
    plan = archive.plan(records=records)
    (archive.disk / OKAFOR / "IMG_1.jpg").unlink()
    assert plan.run(records).wait(60).certificate.counts["failed"] == 1
    run = plan.run(records, hours="18:00-19:00", clock=_Time(then=lambda _: run.cancel()).clock)
    assert run.wait(60).state == "cancelled"
    assert run.certificate.counts["failed"] == 1


def test_a_run_waits_for_its_hours(archive: Archive) -> None:
    """No file begins outside the hours; the run starts by itself when they begin."""
    clock = _Time(NOW.replace(hour=17, minute=59))
    opened: list[datetime] = []

    def then(_naps: int) -> None:
        if len(archive.left()) < ALL and not opened:
            opened.append(clock.now)

    clock._then = then
    records = archive.records()
    plan = archive.plan(records=records)
    run = plan.run(records, hours="18:00-07:00", clock=clock.clock, threads=1, files_per_s=100)
    assert run.wait(60).state == "done"
    assert clock.now.hour == 18
    assert all(moment.hour == 18 for moment in opened)
    assert archive.left() == LOOSE


def test_hours_that_end_during_a_run(archive: Archive) -> None:
    """Files that have begun are finished, the rest waits for the next evening, and the limit is kept."""
    clock = _Time(NOW.replace(hour=6, minute=59, second=57))
    seen: dict[int, int] = {}

    def then(_naps: int) -> None:
        if 7 <= clock.now.hour < 18:
            seen[clock.now.hour] = len(archive.left())
            clock.now += timedelta(minutes=5)

    clock._then = then
    records = archive.records()
    plan = archive.plan(records=records)
    run = plan.run(records, hours="18:00-07:00", clock=clock.clock, threads=1, files_per_s=1)
    assert run.wait(60).state == "done"
    assert set(seen.values()) == {ALL - 3}
    assert clock.now.hour == 18
    assert run.certificate.closes


@pytest.mark.parametrize(
    ("hours", "zone", "open_at", "closed_at"),
    [
        ("18:00-07:00", "UTC", (18, 23, 0, 6), (7, 12, 17)),
        ("09:00-17:00", "UTC", (9, 16), (8, 17)),
        ("18:00-24:00", "UTC", (18, 23), (0, 17)),
        ("18:00-07:00", "Australia/Sydney", (7, 19), (21, 6)),  # eleven hours ahead in March
    ],
)
def test_hours_are_in_the_plans_time_zone(
    hours: str, zone: str, open_at: tuple[int, ...], closed_at: tuple[int, ...]
) -> None:
    """They follow the practice's time zone, and may go past midnight."""
    clock = _Time()
    pacer = Pacer(RunOptions(hours=hours, clock=clock.clock), RunControl(), zone=zone)
    for hour in (*open_at, *closed_at):
        clock.now = NOW.replace(hour=hour)
        assert pacer.is_closed() is (hour in closed_at), hour


def test_wrong_limits_are_refused(archive: Archive) -> None:
    """They are errors before any file begins: otherwise a run could wait forever."""
    records = archive.records()
    plan = archive.plan(records=records)
    for wrong in (
        {"hours": "evenings"},
        {"hours": "08:00-08:00"},
        {"hours": "18:00-24:30"},
        {"files_per_s": 0},
        {"bytes_per_s": -1.0},
    ):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}="):
            plan.run(records, **wrong)
    assert len(archive.left()) == ALL


def test_the_limits_are_kept() -> None:
    """Files and bytes per second are both limited; the stricter limit counts."""
    clock = _Time()
    pacer = Pacer(RunOptions(files_per_s=10, bytes_per_s=1000, clock=clock.clock), RunControl(), zone="UTC")
    for size in (10, 10, 500, 10):
        pacer.wait_for_turn(SourceFile(name="x", size_bytes=size, version="1"))
    assert clock.at_s == pytest.approx(0.1 + 0.1 + 0.5)
    assert RunOptions(files_per_s=10).for_worker(tasks=4).files_per_s == 2.5


def test_a_pause_takes_no_turns() -> None:
    """Files that a pause has put off take no time later, and no file begins before its turn."""
    clock, control = _Time(), RunControl()
    pacer = Pacer(RunOptions(files_per_s=1, clock=clock.clock), control, zone="UTC")
    file = SourceFile(name="x", size_bytes=1, version="1")
    pacer.wait_for_turn(file)
    control.send(RunCommand.PAUSE)
    for _ in range(1000):
        pacer.wait_for_turn(file)
    assert clock.at_s == 0
    clock.at_s = 60.0
    control.send(RunCommand.GO)
    for _ in range(3):
        pacer.wait_for_turn(file)
    assert clock.at_s == pytest.approx(62.0)


def test_commands_reach_other_processes(tmp_path: Path) -> None:
    """They arrive within half a second. A file that is half written or missing changes nothing."""
    clock = _Time()
    here = RunControl(tmp_path / "signal")
    there = RunControl(tmp_path / "signal", monotonic_s=lambda: clock.at_s)
    assert there.command is RunCommand.GO
    for command in (RunCommand.PAUSE, RunCommand.GO, RunCommand.PAUSE):
        here.send(command)
        clock.at_s += 0.5
        assert there.command is command
    for content in ("", "pau"):
        (tmp_path / "signal").write_text(content)
        clock.at_s += 0.5
        assert there.command is RunCommand.PAUSE
    (tmp_path / "signal").unlink()
    clock.at_s += 0.5
    assert there.command is RunCommand.PAUSE
    here.send(RunCommand.CANCEL)
    clock.at_s += 0.5
    assert Pacer(RunOptions(clock=clock.clock), there, zone="UTC").cancelled
