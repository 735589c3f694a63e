"""What a host's type checker sees. Checked by mypy, never run."""

from __future__ import annotations

from typing import assert_type

import intouch_import
from intouch_import import (
    CaptureName,
    CaptureNaming,
    Destination,
    Inbox,
    PatientRepository,
    Reason,
    Report,
    Source,
    State,
    classify,
    open_source,
)
from intouch_import.repositories.sql import SqlRepository

assert_type(intouch_import.__version__, str)
assert_type(classify("scan.jpg"), Destination)
assert_type(
    CaptureNaming("{patient}_{provider}_{taken:%Y%m%d}").parse("1_D_20260131.jpg"), CaptureName | None
)
assert_type(open_source("photos", provider="DRJ"), Source)


def embed(records: PatientRepository) -> None:
    """The names are the real classes, although they are imported on first use."""
    inbox = Inbox(records, [open_source("photos")])
    report = inbox.refresh(on_progress=print)
    assert_type(report, Report)
    assert_type([outcome.state for outcome in report.outcomes], list[State])
    assert_type([row.reason for row in inbox.rows], list[Reason])


embed(SqlRepository.open("sqlite:///clinic.db", files="clinic-files"))
