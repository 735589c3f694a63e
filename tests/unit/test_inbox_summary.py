"""What a notebook shows of an inbox without any widget, and keeps in its file."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from intouch_import.clock import Clock
from intouch_import.inbox import Inbox
from intouch_import.sources.opening import Unopened
from miniature import NOW

if TYPE_CHECKING:
    from miniature import Practice


def test_counts_by_location_and_reason(practice: Practice) -> None:
    """A person reads how many files are where, what has become of them, and why they wait."""
    for name in ("wound.jpg", "other.png", "letter.pdf", "99999_DRJ_20260131_142501.jpg", ".hidden"):
        practice.photo(name)
    inbox = practice.inbox()
    inbox.refresh()
    rows = {row.name: row for row in inbox.rows}
    inbox.save(inbox.prepare([rows["letter.pdf"]], patient="10042"))
    shown = inbox._repr_html_()
    assert "5 files listed" in shown
    # waiting, arriving, automatic, saved, failed, ignored
    assert "<tr><th>local</th><td>3</td><td>0</td><td>0</td><td>1</td><td>0</td><td>1</td></tr>" in shown
    assert "2 of them: The file name does not identify the patient." in shown
    assert "1 of them: No patient has the id in the file name." in shown


def test_no_name_is_saved_with_the_notebook(practice: Practice) -> None:
    """Neither files nor folders nor patients nor titles stand in what the notebook's file keeps."""
    folder = practice.root / "MARSH ADA"
    folder.mkdir()
    practice.photo("MARSH & arm.jpg", folder=folder)
    inbox = practice.inbox(practice.source(folder, label="MARSH ADA"))
    inbox.refresh()
    inbox.save(inbox.prepare(inbox.rows, patient="10042", title="MARSH arm"))
    shown = inbox._repr_html_()
    for private in ("MARSH", "Ada", "10042", "arm", "photos", str(practice.root), inbox.rows[0].import_id):
        assert private not in shown


def test_an_empty_inbox_and_one_that_works(practice: Practice) -> None:
    """Nothing listed yet is shown as such, and a refresh in another thread is not waited for."""
    assert (
        "0 files listed"
        in Inbox(practice.records(), [], zone="UTC", clock=Clock(now=lambda: NOW))._repr_html_()
    )
    inbox = practice.inbox()
    shown: list[str] = []
    with inbox._lock:
        thread = threading.Thread(target=lambda: shown.append(inbox._repr_html_()))
        thread.start()
        thread.join(10)
    assert "0 files listed" in shown[0]


def test_locations_that_are_not_open_are_counted(practice: Practice) -> None:
    """A folder that could not be opened is not passed over in silence."""
    missing = Unopened.attempt("local", lambda: practice.source(practice.root / "none"))
    assert isinstance(missing, Unopened)
    assert "1 location is not open" in practice.inbox(unopened=[missing])._repr_html_()
    assert "2 locations are not open" in practice.inbox(unopened=[missing, missing])._repr_html_()
