"""A person signs in at a real browser, or does not, while the local folder of the same inbox is imported."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from intouch_import.clock import Clock
from intouch_import.dropbox import DropboxSource
from intouch_import.model import Progress, Stage
from miniature import jpeg
from services.dropbox_server import FOLDER
from services.signing_in import Person, open_sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

    from intouch_import.inbox import Inbox
    from intouch_import.reports import Report
    from intouch_import.signin import SignIn
    from miniature import Practice
    from services.doubles.dropbox import DropboxServer

LOCAL = "10042_DRJ_20260131_142501.jpg"
REMOTE = "10043_DRJ_20260131_142502.jpg"


class Surgery:
    """A practice with photos in a local folder and in a Dropbox that nobody is signed in to."""

    def __init__(self, practice: Practice, server: DropboxServer) -> None:
        self.practice = practice
        self.server = server
        self.person = Person()
        self.now_s = 0.0
        self.told: list[Progress] = []
        self.signin: SignIn = open_sign_in(
            server, on_url=self.person, clock=Clock(monotonic_s=lambda: self.now_s)
        )
        self.records = practice.records()
        self.source = DropboxSource(FOLDER, signin=self.signin, endpoint=server.url)
        self.inbox: Inbox = practice.inbox(practice.source(), self.source, records=self.records)
        self._reports: list[Report] = []
        self._thread: threading.Thread | None = None

    def begin_refresh(self) -> str:
        """Refresh in another thread and return the page that the person is shown."""
        self._thread = threading.Thread(
            target=lambda: self._reports.append(self.inbox.refresh(on_progress=self.told.append))
        )
        self._thread.start()
        return self.person.page()

    def end_refresh(self) -> Report:
        """Wait for the end of the refresh."""
        assert self._thread is not None
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self._reports.pop()

    def imported(self) -> list[str]:
        """Return what is in the patients' records."""
        stored = [one for patient in ("10042", "10043") for one in self.records.attachments(patient)]
        return sorted(one.name for one in stored)


@pytest.fixture
def surgery(practice: Practice, dropbox_server: DropboxServer) -> Iterator[Surgery]:
    practice.photo(LOCAL)
    practice.photo("wound.jpg")
    dropbox_server.put(f"{FOLDER}/{REMOTE}", jpeg(REMOTE))
    surgery = Surgery(practice, dropbox_server)
    yield surgery
    surgery.source.close()
    surgery.records.close()


def check_the_local_folder_is_done(surgery: Surgery) -> None:
    """Check that the local folder is imported and listed, and can be saved from, before anybody has signed in."""
    assert surgery.imported() == [LOCAL]
    assert surgery.practice.left() == ["wound.jpg"]
    assert [row.name for row in surgery.inbox.rows] == ["wound.jpg"]
    job = surgery.inbox.prepare(surgery.inbox.rows, patient="10042", title="while it waits")
    assert surgery.inbox.save(job).imported == 1
    assert surgery.practice.left() == []
    assert any(progress.stage is Stage.SIGNING_IN for progress in surgery.told)


def press(browser: Chrome, url: str, button: str) -> str:
    """Open a page, press a button, and return the text that is shown then."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.expected_conditions import url_changes
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(url)
    browser.find_element(By.ID, button).click()
    WebDriverWait(browser, 20).until(url_changes(url))
    return browser.find_element(By.TAG_NAME, "body").text


def problems(report: Report) -> list[tuple[str, str]]:
    return [(problem.location, problem.text) for problem in report.problems]


def redirect(url: str, **changed: Any) -> str:
    """Make up the address that the browser would be sent to."""
    asked = {key: value[0] for key, value in parse_qs(urlsplit(url).query).items()}
    return f"{asked['redirect_uri']}/?code=made-up&state={changed['state']}"


def test_a_person_allows_it(surgery: Surgery, browser: Chrome) -> None:
    """The Dropbox is listed and imported in the same refresh, after the local folder."""
    url = surgery.begin_refresh()
    check_the_local_folder_is_done(surgery)
    shown = press(browser, url, "allow")
    assert "Signed in" in shown
    report = surgery.end_refresh()
    assert report.closes
    assert report.problems == ()
    # The row was saved while the refresh waited for the sign-in, and had been listed as waiting before.
    assert (report.listed, report.imported, report.waiting) == (3, 2, 1)
    assert REMOTE in surgery.imported()
    assert surgery.server.names(FOLDER) == set()
    assert surgery.inbox.refresh().problems == ()
    assert surgery.person.count == 1


def test_a_person_does_not_allow_it(surgery: Surgery, browser: Chrome) -> None:
    """Only that location has a problem; the next refresh asks again."""
    url = surgery.begin_refresh()
    check_the_local_folder_is_done(surgery)
    assert "did not allow" in press(browser, url, "deny")
    ((location, text),) = problems(surgery.end_refresh())
    assert (location, "did not allow" in text) == ("dropbox", True)
    again = surgery.begin_refresh()
    assert again != url
    assert "Signed in" in press(browser, again, "allow")
    assert surgery.end_refresh().problems == ()
    assert REMOTE in surgery.imported()


def test_nobody_comes_within_three_minutes(surgery: Surgery, browser: Chrome) -> None:
    """After 180 seconds the location is given up, its page is useless, and the next refresh starts a new attempt."""
    url = surgery.begin_refresh()
    check_the_local_folder_is_done(surgery)
    surgery.now_s += 180.0
    ((location, text),) = problems(surgery.end_refresh())
    assert (location, "3 minutes" in text) == ("dropbox", True)
    surgery.practice.photo("10042_DRJ_20260131_142503.jpg")
    again = surgery.begin_refresh()
    assert surgery.practice.left() == [], "the local folder is imported by this refresh, too"
    assert "belongs to another sign-in" in press(browser, url, "allow")
    assert "Signed in" in press(browser, again, "allow")
    assert surgery.end_refresh().problems == ()
    assert REMOTE in surgery.imported()


def test_an_answer_with_a_wrong_state(surgery: Surgery, browser: Chrome) -> None:
    """The page says what it is and changes nothing; the person's own answer is accepted."""
    url = surgery.begin_refresh()
    check_the_local_folder_is_done(surgery)
    browser.get(redirect(url, state="wrong"))
    assert "Not this sign-in" in browser.page_source
    assert not surgery.signin.signed_in
    assert "Signed in" in press(browser, url, "allow")
    assert surgery.end_refresh().problems == ()


def test_a_refresh_that_is_cancelled(surgery: Surgery) -> None:
    """The refresh stops waiting; what was imported stays imported."""
    stop = threading.Event()
    reports: list[Report] = []
    thread = threading.Thread(target=lambda: reports.append(surgery.inbox.refresh(cancel=stop)))
    thread.start()
    surgery.person.page()
    check_stored = surgery.imported()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert check_stored == [LOCAL]
    ((location, text),) = problems(reports[0])
    assert (location, text) == ("dropbox", "the sign-in was cancelled")


def test_access_that_is_withdrawn_later(surgery: Surgery, browser: Chrome) -> None:
    """The next refresh notices it and lets the person sign in again during that refresh."""
    assert "Signed in" in press(browser, surgery.begin_refresh(), "allow")
    surgery.end_refresh()
    surgery.server.authorization.revoke_all()
    surgery.server.put(f"{FOLDER}/again_{REMOTE}", b"x")
    assert "Signed in" in press(browser, surgery.begin_refresh(), "allow")
    report = surgery.end_refresh()
    assert report.problems == ()
    assert [row.name for row in surgery.inbox.rows if row.location == "dropbox"] == [f"again_{REMOTE}"]


def test_a_host_that_shows_the_page_itself(surgery: Surgery, browser: Chrome) -> None:
    """If there is nobody to show a page to, a refresh does not wait; the host starts the attempt."""
    surgery.signin._on_url = None
    report = surgery.inbox.refresh()
    (problem,) = report.problems
    assert problem.sign_in
    attempt = surgery.signin.begin()
    assert "Signed in" in press(browser, attempt.url, "allow")
    attempt.wait()
    assert surgery.inbox.refresh().problems == ()
    assert REMOTE in surgery.imported()
