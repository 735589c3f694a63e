"""The inbox widget in a real browser and JupyterLab: from a full folder to a patient's record."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from miniature import jpeg
from person import Person
from services.jupyterlab import run_jupyterlab

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

    from miniature import Practice
    from services.jupyterlab import Lab

OPEN = """
from intouch_import import Inbox, open_source
from intouch_import.jupyter import InboxWidget
from intouch_import.repositories.sql import SqlRepository
records = SqlRepository.open({url!r}, files={files!r})
inbox = Inbox(records, [open_source({photos!r}, provider="DRJ")], zone="UTC", settle_s=0)
widget = InboxWidget(inbox)
widget
"""


def opened(practice: Practice, **more: str) -> str:
    return OPEN.format(url=practice.url, files=str(practice.files), photos=str(practice.photos)) + more.get(
        "then", ""
    )


def test_a_photo_of_another_patient_needs_a_tick(
    practice: Practice, jupyterlab: Lab, browser: Chrome
) -> None:
    """The key Enter alone does not save a file whose name identifies another patient; every doubt is shown."""
    name = "10043_DRX_20260201_080000.jpg"
    practice.photo(name)
    person = Person(browser, jupyterlab.show(browser, "inbox.ipynb", opened(practice)))
    person.until(lambda: len(person.rows()) == 1)
    person.tick(name)
    person.one(".itx-patient-search").send_keys("ada")
    person.until(lambda: "Ada Marsh" in person.one(".itx-option").text)
    person.one(".itx-option").click()
    person.one(".itx-save").click()
    person.one(".itx-dialog")
    doubts = [one.text for one in person.all(".itx-doubt")]
    assert doubts == [
        "The file name identifies Ben Okafor (10043), not Ada Marsh (10042).",
        "The provider in the file name is not the owner of this folder.",
    ]
    person.press("\ue007")
    assert not person.one(".itx-proceed").is_enabled()
    assert person.all(".itx-dialog")
    assert "This file belongs to Ada Marsh (10042)." in person.one(".itx-confirm-line").text
    person.one(".itx-confirm").click()
    person.one(".itx-proceed").click()
    person.until(lambda: "1 file filed to Ada Marsh (10042)." in person.one(".itx-notice").text)
    assert practice.left() == []


def test_three_photos_find_their_patient(practice: Practice, jupyterlab: Lab, browser: Chrome) -> None:
    """Three files are selected and saved after the warning; then the list and the records show them."""
    practice.photo("10042_DRJ_20260131_142501.jpg")
    for number in range(5):
        practice.photo(f"IMG_{number}.jpg")
    practice.photo("IMG_1.AAE", b"<plist/>")
    waiting = [name for name in practice.left() if name.startswith("IMG")]
    person = Person(browser, jupyterlab.show(browser, "inbox.ipynb", opened(practice)))
    person.until(lambda: len(person.rows()) == 5)
    # What says whose it is was filed, and the person is told.
    assert "1 file was filed automatically." in person.one(".itx-notice").text
    person.until(lambda: len(person.all(".itx-sheet .itx-thumb[data-state=shown]")) == 5)

    assert "+ sidecar" in person.rows()["IMG_1.jpg"]
    person.tick("IMG_1", "IMG_2", "IMG_3")
    assert person.one(".itx-choice").text == "3 images"
    assert not person.one(".itx-save").is_enabled()  # no patient yet
    person.one(".itx-patient-search").send_keys("ada")
    person.until(lambda: "Ada Marsh" in person.one(".itx-option").text)
    person.one(".itx-option").click()
    person.one(".itx-title-field").send_keys("Left <b>forearm</b>")
    person.one(".itx-save").click()
    warning = person.one(".itx-warning-text").text
    assert warning.startswith("3 images and 1 file that belongs to them will be saved to Ada Marsh (10042)")
    assert practice.left() == waiting

    person.one(".itx-cancel").click()
    assert not person.all(".itx-dialog")
    assert practice.left() == waiting
    person.one(".itx-save").click()
    person.one(".itx-proceed").click()
    person.until(lambda: "4 files filed to Ada Marsh (10042)." in person.one(".itx-notice").text)
    rows = person.rows()
    for number in (1, 2, 3):
        shown = rows[f"IMG_{number}.jpg"]
        # What was typed stands there as it was typed: it is text, never HTML.
        assert all(text in shown for text in ("Filed", "Ada Marsh (10042)", "Left <b>forearm</b>"))
    assert "Waiting" in rows["IMG_0.jpg"]
    assert practice.left() == ["IMG_0.jpg", "IMG_4.jpg"]
    stored = practice.records().attachments("10042")
    assert sorted((one.name, one.title) for one in stored if one.name.startswith("IMG")) == [
        (f"IMG_{number}.jpg", "Left <b>forearm</b>") for number in (1, 2, 3)
    ]

    person.one(".itx-refresh").click()
    person.until(lambda: list(person.rows()) == ["IMG_0.jpg", "IMG_4.jpg"])
    kept = jupyterlab.save(browser, "inbox.ipynb")
    for private in ("IMG_", "Marsh", "forearm", "10042_", "/9j/"):
        assert private not in kept.replace(opened(practice), "")


def test_by_keys_alone(practice: Practice, jupyterlab: Lab, browser: Chrome) -> None:
    """Everything works by the keyboard, and the notebook receives none of the keys."""
    from selenium.webdriver.common.keys import Keys

    for name in ("a.jpg", "b.jpg", "c.pdf"):
        practice.photo(name, b"%PDF-1.4" if name.endswith("pdf") else None)
    person = Person(browser, jupyterlab.show(browser, "keys.ipynb", opened(practice)))
    person.until(lambda: len(person.rows()) == 3)
    browser.execute_script("arguments[0].focus()", person.one(".itx-grid"))
    person.press(Keys.HOME, Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    assert person.one(".itx-choice").text == "2 images"
    person.press(Keys.ARROW_DOWN, Keys.SPACE)
    assert "be saved together" in person.one(".itx-hint").text
    person.press(Keys.ESCAPE)
    assert person.one(".itx-choice").text == "No file selected"
    # Letters are commands of a notebook ("a" adds a cell, "d" twice deletes one): not from here.
    person.press("a", "b", "d", "d", "x")
    assert len(browser.find_elements("css selector", ".jp-Cell")) == 1

    person.press(Keys.HOME, Keys.ENTER)
    assert person.one(".itx-choice").text == "1 image"
    assert "itx-patient-search" in person.focused()
    person.press("okafor")
    person.until(lambda: person.all(".itx-option"))
    person.press(Keys.ENTER)
    assert "itx-title-field" in person.focused()
    person.press("Wrist", Keys.ENTER)
    person.until(lambda: "1 file filed to Ben Okafor" in person.one(".itx-notice").text)
    assert [one.title for one in practice.records().attachments("10043")] == ["Wrist"]
    person.until(lambda: "itx-grid" in person.focused())

    # And taken back.
    (row,) = [row for row in person.all(".itx-sheet > .itx-row") if "a.jpg" in row.text]
    row.find_element("css selector", ".itx-quiet").click()
    assert "Ben Okafor (10043)" in person.one(".itx-dialog").text
    person.press(Keys.ENTER)
    person.until(lambda: "The file is back in its folder" in person.one(".itx-notice").text)
    person.until(lambda: "Waiting" in person.rows()["a.jpg"])
    assert practice.left() == ["a.jpg", "b.jpg", "c.pdf"]


def test_ten_thousand_rows(practice: Practice, jupyterlab: Lab, browser: Chrome) -> None:
    """A list of 10,000 files can be scrolled to its end and shows pictures there; only some rows exist in the page."""
    first = practice.photo("IMG_00000.jpg", jpeg())
    for number in range(1, 10_000):
        os.link(first, practice.photos / f"IMG_{number:05}.jpg")
    person = Person(browser, jupyterlab.show(browser, "many.ipynb", opened(practice)))
    person.until(lambda: "10,000 files" in person.root.text and person.rows(), within_s=60)
    person.until(lambda: person.all(".itx-thumb[data-state=shown]"))
    began_s = time.monotonic()
    browser.execute_script(
        "const view = arguments[0].querySelector('.itx-view'); view.scrollTop = view.scrollHeight",
        person.root,
    )
    person.until(lambda: "IMG_09999.jpg" in person.rows())
    person.until(lambda: len(person.all(".itx-thumb[data-state=shown]")) >= 5)
    print(f"from the first to the last of 10,000 rows, with pictures: {time.monotonic() - began_s:.2f} s")
    assert len(person.all(".itx-sheet > .itx-row")) < 40
    browser.set_window_size(620, 900)  # the panel goes below the list
    person.until(lambda: 0 < len(person.all(".itx-sheet > .itx-row")) < 40)
    browser.set_window_size(1400, 1000)
    # All of them can be chosen at once, and a name finds one.
    person.one(".itx-head .itx-check").click()
    assert person.one(".itx-choice").text == "10,000 images"
    person.one(".itx-filter").send_keys("04711")
    person.until(lambda: list(person.rows()) == ["IMG_04711.jpg"])


@pytest.mark.long
def test_light_and_dark(practice: Practice, jupyterlab: Lab, browser: Chrome) -> None:
    """The widget follows the theme of the notebook."""
    person = Person(browser, jupyterlab.show(browser, "theme.ipynb", opened(practice)))
    person.until(lambda: "No files are waiting" in person.root.text)
    for theme in ("dark", "light"):
        jupyterlab.choose_theme(browser, theme)
        person.until(lambda theme=theme: person.root.get_attribute("data-theme") == theme)  # type: ignore[misc]


def test_a_widget_that_is_taken_away_leaves_nothing(
    practice: Practice, jupyterlab: Lab, browser: Chrome
) -> None:
    """When the output is cleared, the script removes its listeners, and the page has no errors."""
    practice.photo("a.jpg")
    person = Person(browser, jupyterlab.show(browser, "gone.ipynb", opened(practice)))
    person.until(person.rows)
    browser.execute_async_script(
        "const done = arguments[0];"
        "jupyterapp.commands.execute('notebook:clear-all-cell-outputs').then(() => done())"
    )
    person.until(lambda: not browser.find_elements("css selector", ".itx"))
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [message for message in severe if "itx" in message or "TypeError" in message]


def test_folder_names_in_notebook_files(
    tmp_path: Path, practice: Practice, jupyterlab: Lab, browser: Chrome
) -> None:
    """Without the widget, the page and the saved file show only counts."""
    practice.photo("MARSH.jpg")
    cell = opened(practice).replace("widget = InboxWidget(inbox)\nwidget", "_ = inbox.refresh()\ninbox")
    shown = jupyterlab.show(browser, "counts.ipynb", cell, css=".jp-RenderedHTML table")
    assert "local" in shown.text
    assert "MARSH" not in jupyterlab.save(browser, "counts.ipynb")


@pytest.mark.long
def test_notebook_7_shows_it_too(practice: Practice, tmp_path: Path, browser: Chrome) -> None:
    """Notebook 7 shows the same widget: the list, and saving a file."""
    pytest.importorskip("notebook")
    practice.photo("a.jpg")
    with run_jupyterlab(tmp_path / "notebook", app="notebook") as server:
        server.write("inbox.ipynb", opened(practice))
        server.open(browser, "inbox.ipynb", page="notebooks")
        server.run(browser)
        person = Person(browser, browser.find_element("css selector", "body"))
        person.until(lambda: "a.jpg" in person.rows())
        person.tick("a.jpg")
        person.one(".itx-patient-search").send_keys("ada")
        person.one(".itx-option").click()
        person.one(".itx-save").click()
        person.until(lambda: "1 file filed to Ada Marsh" in person.one(".itx-notice").text)
    assert practice.left() == []
