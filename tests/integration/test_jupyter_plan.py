"""The plan widget in a real browser and JupyterLab: a plan of 10,000 files is reviewed and run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from miniature import PATIENTS, PROVIDERS, jpeg
from person import Person

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

    from services.jupyterlab import Lab

OPEN = """
from intouch_import import migration
from intouch_import.jupyter import PlanWidget
from intouch_import.repositories.sql import SqlRepository
records = SqlRepository.open({url!r}, files={files!r})
records.add_patients({patients!r})
plan = migration.plan(
    {disk!r},
    migration.FolderRule("{{patient}} - {{*}}"),
    records,
    to={to!r},
    zone="UTC",
)
PlanWidget(plan, records, operator="reception")
"""
FILES = 10_000


def lay(disk: Path) -> None:
    """Make 10,000 names for 40 pictures: two folders of patients, and one without a patient."""
    for folder, start, stop in (
        ("10042 - Marsh, Ada", 0, 6000), ("10043 - Okafor, Ben", 6000, 9950), ("unknown", 9950, FILES),
    ):  # fmt: skip
        (disk / folder).mkdir(parents=True)
        for number in range(start, stop):
            path = disk / folder / f"IMG_{number:05}.jpg"
            if number % 250 == 0 or number == start:
                path.write_bytes(jpeg(str(number)))
                original = path
            else:
                os.link(original, path)


@pytest.mark.long
def test_ten_thousand_files_are_reviewed_and_run(tmp_path: Path, jupyterlab: Lab, browser: Chrome) -> None:
    """Charts, a filter, the last row, an override, and a run that is paused, cancelled and continued."""
    from intouch_import.repositories.sql import SqlRepository

    lay(tmp_path / "disk")
    with SqlRepository.open(f"sqlite:///{tmp_path / 'clinic.db'}", files=tmp_path / "files") as records:
        records.add_patients(PATIENTS)
        records.add_providers(PROVIDERS)
    cell = OPEN.format(
        url=f"sqlite:///{tmp_path / 'clinic.db'}",
        files=str(tmp_path / "files"),
        patients=[],
        disk=str(tmp_path / "disk"),
        to=str(tmp_path / "plan"),
    )
    person = Person(browser, jupyterlab.show(browser, "plan.ipynb", cell))
    person.until(lambda: "All 10,000 files" in person.one(".itx-decide-text").text)
    bars = person.one(".itx-chart[data-facet=verdict]").text
    assert "9,950" in bars
    assert "50" in bars
    person.until(lambda: person.all(".itx-sample[data-state=shown]"))

    # The end of the list, without the rows between.
    browser.execute_script(
        "const view = arguments[0].querySelector('.itx-view'); view.scrollTop = view.scrollHeight",
        person.root,
    )
    person.until(lambda: person.all(f".itx-sheet > .itx-row[aria-rowindex='{FILES}']"))
    assert len(person.all(".itx-sheet > .itx-row")) < 40

    # Only what waits; and it is left out.
    person.one(".itx-chart[data-facet=verdict] [data-value=wait]").click()
    person.until(lambda: "50 files of 10,000" in person.one(".itx-decide-text").text)
    # In any order: a folder lists its files as its file system does.
    person.until(lambda: (names := person.rows()) and min(names) >= "IMG_09950.jpg")
    person.one(".itx-decide-all").click()
    assert "50 files shown" in person.one(".itx-dialog").text
    person.one(".itx-proceed").click()
    person.until(lambda: "The decision is saved for 50 files." in person.one(".itx-notice").text)
    # The filters are drawn again after a decision: retry if the element was replaced.
    person.until(lambda: person.one(".itx-active .itx-chip").click() or True)
    person.until(lambda: "All 10,000 files" in person.one(".itx-decide-text").text)
    assert "Wait" not in person.one(".itx-chart[data-facet=verdict]").text

    # A run begins; it is paused, and cancelled: what is done is kept, and nothing else was touched.
    person.one(".itx-run").click()
    person.one(".itx-proceed").click()
    person.one(".itx-pause").click()
    person.until(lambda: "Paused" in person.one(".itx-run-bar").text)
    person.one(".itx-cancel-run").click()
    person.until(lambda: "Cancelled" in person.one(".itx-run-bar").text)
    kept = jupyterlab.save(browser, "plan.ipynb").replace(cell, "")
    for private in ("IMG_", "Marsh, Ada", "/9j/"):
        assert private not in kept
