"""The inbox widget in a real browser, in a marimo app: from a folder to a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from person import Person
from services.marimo_app import run_marimo, shown

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

    from miniature import Practice

pytest.importorskip("marimo")

CELL = """
import marimo as mo
from intouch_import import Inbox, open_source
from intouch_import.jupyter import InboxWidget
from intouch_import.repositories.sql import SqlRepository
records = SqlRepository.open({url!r}, files={files!r})
inbox = Inbox(records, [open_source({photos!r}, provider="DRJ")], zone="UTC", settle_s=0)
widget = mo.ui.anywidget(InboxWidget(inbox))
widget
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_photos_find_their_patient_in_marimo(
    practice: Practice, browser: Chrome, tmp_path: Path, theme: str
) -> None:
    """Two files are selected and saved for a patient; the widget follows the theme of the page."""
    practice.photo("10042_DRJ_20260131_142501.jpg")
    for number in range(3):
        practice.photo(f"IMG_{number}.jpg")
    cell = CELL.format(url=practice.url, files=str(practice.files), photos=str(practice.photos))
    with run_marimo(tmp_path / "marimo", cell, theme=theme) as url:
        person = Person(browser, shown(browser, url))
        person.until(lambda: len(person.rows()) == 3)
        assert "1 file was filed automatically." in person.one(".itx-notice").text
        assert person.root.get_attribute("data-theme") == theme
        person.until(lambda: len(person.all(".itx-sheet .itx-thumb[data-state=shown]")) == 3)
        person.tick("IMG_1", "IMG_2")
        person.one(".itx-patient-search").send_keys("ada")
        person.until(lambda: "Ada Marsh" in person.one(".itx-option").text)
        person.one(".itx-option").click()
        person.one(".itx-title-field").send_keys("Left forearm")
        person.one(".itx-save").click()
        assert "2 images will be saved to Ada Marsh (10042)" in person.one(".itx-warning-text").text
        person.one(".itx-proceed").click()
        person.until(lambda: "2 files filed to Ada Marsh (10042)." in person.one(".itx-notice").text)
        assert practice.left() == ["IMG_0.jpg"]
        person.one(".itx-refresh").click()
        person.until(lambda: list(person.rows()) == ["IMG_0.jpg"])
    titles = {one.name: one.title for one in practice.records().attachments("10042")}
    assert titles["IMG_1.jpg"] == titles["IMG_2.jpg"] == "Left forearm"
