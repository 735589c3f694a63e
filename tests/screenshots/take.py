"""The pictures of the documentation: each state of the widgets, in a real JupyterLab, with invented patients.

``nox -s screenshots`` runs it. Its name keeps it out of the tests.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from miniature import jpeg
from person import Person

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from services.jupyterlab import Lab

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# Pictures in view that are not there yet.
COMING = """
const edge = arguments[0].getBoundingClientRect();
return [...arguments[0].querySelectorAll('.itx-frame[data-state=coming]')].filter((frame) => {
  const { top, bottom } = frame.getBoundingClientRect();
  return bottom < edge.bottom && top > edge.top + 100;
}).length;
"""
SAMPLES = """
from pathlib import Path
from intouch_import import Inbox, open_source
from intouch_import.cli.samples import lay_out
from intouch_import.jupyter import InboxWidget
from intouch_import.repositories.sql import SqlRepository
root = Path({name!r})
practice = lay_out(root)
{before}
records = SqlRepository.open(f"sqlite:///{{root}}/clinic.db", files=root / "files")
records.add_patients(practice.patients)
records.add_providers(practice.providers)
inbox = Inbox(records, [open_source(practice.photos, provider="DRJ"){more}], zone="Australia/Sydney", settle_s=0)
InboxWidget(inbox)
"""


def shoot(person: Person, name: str) -> None:
    """Take a picture of the widget, in few colours: it is text and a few small photos."""
    person.until(lambda: not person.browser.execute_script(COMING, person.root))
    picture = Image.open(io.BytesIO(person.root.screenshot_as_png)).convert("RGB")
    picture.quantize(255, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


def show(lab: Lab, browser: Chrome, name: str, *, theme: str = "light", more: str = "") -> Person:
    cell = SAMPLES.format(name=name, before="", more=more)
    person = Person(browser, lab.show(browser, f"{name}.ipynb", cell))
    lab.choose_theme(browser, theme)
    person.until(lambda: person.root.get_attribute("data-theme") == theme)
    browser.execute_script("jupyterapp.commands.execute('application:toggle-left-area')")
    browser.execute_script("arguments[0].scrollIntoView({ block: 'start' })", person.root)
    return person


def choose_three(person: Person) -> None:
    person.one(".itx-filter").clear()
    person.tick("IMG_0001", "IMG_0002", "wound left")
    person.one(".itx-patient-search").send_keys("mar")
    person.until(lambda: "Ada Marsh" in person.one(".itx-option").text)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_inbox(jupyterlab: Lab, browser: Chrome, theme: str) -> None:
    """The list, the choice, the warning, what is saved, what was filed lately; light, and the list dark."""
    from selenium.webdriver.common.keys import Keys

    person = show(jupyterlab, browser, f"inbox-{theme}", theme=theme)
    person.until(lambda: len(person.rows()) > 5 and person.one(".itx-notice"))
    person.all(".itx-sheet > .itx-row")[2].click()
    if theme == "dark":
        shoot(person, "inbox-dark")
        return
    shoot(person, "inbox")
    browser.execute_script(
        "const v = arguments[0].querySelector('.itx-view'); v.scrollTop = 9999", person.root
    )
    person.until(lambda: "wound left.png" in person.rows())
    choose_three(person)
    shoot(person, "inbox-patient")
    person.press(Keys.ENTER, "Left forearm", Keys.ENTER)
    person.one(".itx-dialog")
    shoot(person, "inbox-warning")
    person.one(".itx-proceed").click()
    person.until(lambda: "3 files filed" in person.one(".itx-notice").text)
    shoot(person, "inbox-saved")
    person.all(".itx-tab")[1].click()
    shoot(person, "inbox-filed")


def test_the_banner(jupyterlab: Lab, browser: Chrome) -> None:
    """While files are imported by their names, the list says so."""
    folder = jupyterlab.folder / "tower"
    folder.mkdir()
    for number in range(1000):
        name = f"10042_DRJ_20260131_{100000 + number // 60 * 100 + number % 60}.jpg"
        (folder / name).write_bytes(jpeg(name))
    person = show(jupyterlab, browser, "banner", more=', open_source("tower", provider="DRJ")')
    person.until(
        lambda: " of 1,0" in person.root.text and "0 of" not in person.root.text.replace("00 of", "")
    )
    picture = Image.open(io.BytesIO(person.root.screenshot_as_png)).convert("RGB")
    picture.quantize(255).save(IMAGES / "inbox-importing.png", optimize=True)


def test_nothing_waits(jupyterlab: Lab, browser: Chrome) -> None:
    """An empty list, and a folder that can't be reached."""
    gone = 'for path in practice.photos.iterdir(): path.is_file() and path.unlink()\n(root / "tower").mkdir()'
    more = ', open_source(root / "tower")'
    name = "empty"
    cell = SAMPLES.format(name=name, before=gone, more=more).replace(
        "InboxWidget(inbox)", '(root / "tower").rmdir()\nInboxWidget(inbox, height_px=420)'
    )
    person = Person(browser, jupyterlab.show(browser, f"{name}.ipynb", cell))
    jupyterlab.choose_theme(browser, "light")
    person.until(lambda: person.root.get_attribute("data-theme") == "light")
    person.until(lambda: person.all(".itx-tone-warn"))
    shoot(person, "inbox-empty")


ARCHIVE = """
from pathlib import Path
from intouch_import import migration
from intouch_import.cli.samples import lay_out
from intouch_import.jupyter import PlanWidget
from intouch_import.repositories.sql import SqlRepository
root = Path("old disk")
practice = lay_out(root)
pictures = [path.read_bytes() for path in sorted(practice.photos.glob("*.JPG")) + sorted(practice.photos.glob("1*_DRJ_20260131_1425*.jpg"))]
folders = {"10042 - Marsh, Ada": 130, "10043 - Okafor, Ben": 90, "10044 - Lindqvist, Chiara": 40, "unsorted": 24}
for folder, files in folders.items():
    for number in range(files):
        day = root / "archive" / folder / f"{2012 + number % 9}-0{1 + number % 8}-1{number % 9}"
        day.mkdir(parents=True, exist_ok=True)
        # The bytes after the end of a JPEG make each a file of its own.
        (day / f"DSC_{number:04}.jpg").write_bytes(pictures[number % len(pictures)] + b"%d %s" % (number, folder.encode()) + b"\\xff\\xd9")
records = SqlRepository.open("sqlite:///plan.db", files="plan-files")
records.add_patients(practice.patients)
records.add_providers(practice.providers)
rule = migration.FolderRule("{patient} - {*}/{date:%Y-%m-%d}")
plan = migration.plan(root / "archive", rule, records, to="plan", zone="Australia/Sydney")
PlanWidget(plan, records)
"""


def test_the_plan(jupyterlab: Lab, browser: Chrome) -> None:
    """Charts, samples and rows; a decision; a run."""
    person = Person(browser, jupyterlab.show(browser, "plan.ipynb", ARCHIVE))
    browser.execute_script("jupyterapp.commands.execute('application:toggle-left-area')")
    jupyterlab.choose_theme(browser, "light")
    person.until(lambda: person.root.get_attribute("data-theme") == "light")
    browser.execute_script("arguments[0].scrollIntoView({ block: 'start' })", person.root)
    person.until(lambda: person.all(".itx-sample[data-state=shown]") and person.rows())
    shoot(person, "plan")
    person.one(".itx-chart[data-facet=verdict] [data-value=wait]").click()
    person.until(lambda: person.all(".itx-active .itx-chip"))
    person.one(".itx-decide-all").click()
    shoot(person, "plan-decide")
    person.one(".itx-cancel").click()
    person.one(".itx-run").click()
    person.one(".itx-proceed").click()
    person.until(lambda: "certificate closes" in person.root.text)
    shoot(person, "plan-run")
