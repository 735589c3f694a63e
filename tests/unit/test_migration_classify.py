"""Rows of a plan: what one odd file has does not reach the others."""

from __future__ import annotations

import os
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from intouch_import import migration
from intouch_import.ledger import Ledger
from intouch_import.migration.classify import Classifier
from intouch_import.migration.plan_file import COLUMNS, arrow, arrow_table, rows_of
from intouch_import.migration.rule_results import DATE_ORDER
from intouch_import.migration.walking import Folders, FoundFiles
from intouch_import.model import Action, EntryKind, SourceFile
from intouch_import.sources import open_source
from migrating import MARSH, OKAFOR, Archive, six_photos
from miniature import NOW

if TYPE_CHECKING:
    from pathlib import Path

# Years that file systems have shown: the first of NTFS, the first and the last ns of 64 bits, the last of ext4.
YEARS_NS = {
    "1601": -11_644_473_600 * 10**9, "1677": -(2**63), "1901": -(2**31) * 10**9, "2038": 2**31 * 10**9,
    "2262": 2**63 - 1, "2263": 2**63, "2446": 15_032_385_535 * 10**9, "60056": 1_833_029_933_770 * 10**9,
}  # fmt: skip


@pytest.mark.parametrize("year", YEARS_NS)
def test_an_absurd_time_is_one_files_problem(tmp_path: Path, year: str) -> None:
    """A file whose time is out of range is planned, with its version, like the files beside it."""
    records = Archive(tmp_path).records()
    classifier = Classifier(
        rule=migration.FolderRule("{patient} - {*}"), dates=DATE_ORDER, zone=UTC, provider=None, allow_inactive=False,
        repository=records, ledger=Ledger(records.engine), index=None, folders=Folders(open_source(tmp_path)),
    )  # fmt: skip
    times = {"odd.jpg": YEARS_NS[year], "even.jpg": 0}
    files = [
        SourceFile(name=name, kind=EntryKind.FILE, size_bytes=1, version=f"v{time}", modified_ns=time)
        for name, time in times.items()
    ]
    values = classifier.classify([FoundFiles(MARSH, files, "an id")], now=NOW)
    table = arrow_table(arrow(), values)
    assert table.column_names == list(COLUMNS)
    rows = {row.name: row for row in rows_of(range(2), table)}
    assert {row.verdict for row in rows.values()} == {Action.IMPORT}
    assert rows["odd.jpg"].modified_ns in (YEARS_NS[year], None)
    assert rows["odd.jpg"].version == f"v{YEARS_NS[year]}"
    assert rows["even.jpg"].modified_ns == 0


def test_an_archive_with_an_absurd_time_is_migrated(tmp_path: Path) -> None:
    """Such a file is imported in the version that was planned."""
    archive = six_photos(tmp_path)
    photo = archive.disk / OKAFOR / "IMG_1.jpg"
    os.utime(photo, ns=(YEARS_NS["2446"], YEARS_NS["2446"]))
    records = archive.records()
    plan = archive.plan(records=records)
    certificate = plan.run(records, check_content=False).wait().certificate
    assert certificate is not None
    assert certificate.counts["imported"] == 6
    assert certificate.closes
    assert not photo.exists()
