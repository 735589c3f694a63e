"""Overrides of a plan: what they change, and what they leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intouch_import.model import Patient
from migrating import MARSH, OKAFOR, Archive, reasons, six_photos
from miniature import jpeg

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Six photos of two patients, and one photo of an unknown patient."""
    return six_photos(tmp_path)


def test_overrides_do_not_chain(archive: Archive) -> None:
    """Conditions are about the plan, so new ids that are also old ids put no patient's photos into another record."""
    records = archive.records()
    records.add_patients([Patient(id="10045", name="Ada Marsh")])
    plan = archive.plan(records=records)
    for old, new in (("10042", "10043"), ("10043", "10045")):
        plan.override({"patient": old}, patient=new)
    expected = {"10043": 4, "10045": 2, "nobody": 1}
    assert plan.counts("patient") == expected
    assert [row.patient for row in plan.rows({"folder": f"{MARSH}*"})] == ["10043"] * 4
    plan.run(records).wait(60)
    assert [len(records.attachments(one)) for one in ("10042", "10043", "10045")] == [0, 4, 2]


def test_an_override_of_the_patient_does_not_accept_the_content(archive: Archive) -> None:
    """A file that is cut short waits until a person accepts its content, for each patient."""
    records = archive.records()
    archive.lay("loose.jpg", jpeg("loose")[:-40])
    plan = archive.plan(records=records)
    plan.override({"path": "loose.jpg"}, patient="10043")
    assert dict(plan.run(records).wait(60).reasons)["content_cut_short"] == 1
    assert "loose.jpg" in archive.left()
    assert plan.override({"path": "loose.jpg"}, accept_content=True) == 1
    plan.run(records).wait(60)
    assert archive.left() == []
    assert len(records.attachments("10043")) == 3


def test_an_override_after_the_import_changes_nothing(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    """The result and the log say so, and the plan still shows the record that the file is in."""
    records = archive.records()
    plan = archive.plan(records=records)
    plan.run(records).wait(60)
    for decision in ({"patient": "10043"}, {"leave_out": True}, {"restore": True}):
        assert plan.override({"folder": f"{MARSH}*"}, **decision) == 0
    assert "were not overridden" in caplog.text
    assert plan.overrides == []
    assert plan.counts("patient")["10042"] == 4
    # Of files some of which are imported, only the others are overridden.
    assert plan.override({}, patient="10043") == 1
    assert {row.path for row in plan.rows({"reason": "chosen"})} == {"loose.jpg"}
    assert reasons(plan)[f"{OKAFOR}/IMG_1.jpg"] == "folder_name"
