"""A person signs in to OneDrive at a real Chromium, or does not, while the local folder of the same inbox is imported."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.onedrive import OneDriveAuthorization
from intouch_import.signin import SignIn
from intouch_import.signin.store import MemoryStore
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

    from intouch_import.reports import Report
    from miniature import Practice
    from services.doubles.onedrive import OneDriveServer

LOCAL = "10042_DRJ_20260131_142501.jpg"
REMOTE = "10043_DRJ_20260131_142502.jpg"


class Surgery:
    """A practice with photos in a local folder and in a OneDrive that nobody is signed in to."""

    def __init__(self, practice: Practice, server: OneDriveServer, opened: Callable[..., Any]) -> None:
        self.practice, self.server = practice, server
        self.now_s = 0.0
        self.pages: list[str] = []
        self._shown = threading.Event()
        self.signin = SignIn(
            OneDriveAuthorization(server.app.id, endpoint=server.identity_url),
            store=MemoryStore(),
            on_url=self._show,
            clock=Clock(monotonic_s=lambda: self.now_s),
        )
        self.records = practice.records()
        self.source = opened(server, signin=self.signin)
        self.inbox = practice.inbox(practice.source(), self.source, records=self.records)
        self._reports: list[Report] = []
        self._thread: threading.Thread | None = None

    def _show(self, url: str) -> None:
        self.pages.append(url)
        self._shown.set()

    def begin_refresh(self) -> str:
        """Refresh in another thread and return the page that the person is shown."""
        self._shown.clear()
        self._thread = threading.Thread(target=lambda: self._reports.append(self.inbox.refresh()))
        self._thread.start()
        assert self._shown.wait(60)
        return self.pages[-1]

    def end_refresh(self) -> Report:
        """Wait for the end of the refresh."""
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._reports.pop()

    def imported(self) -> list[str]:
        """Return what is in the patients' records."""
        stored = [one for patient in ("10042", "10043") for one in self.records.attachments(patient)]
        return sorted(one.name for one in stored)


@pytest.fixture
def surgery(practice: Practice, business: OneDriveServer, opened: Callable[..., Any]) -> Iterator[Surgery]:
    practice.photo(LOCAL)
    business.drive.write(business.drive.folder("images/intouch"), REMOTE, jpeg(REMOTE))
    surgery = Surgery(practice, business, opened)
    yield surgery
    surgery.records.close()


def press(browser: Chrome, url: str, button: str) -> str:
    """Open a page in the browser, press a button, and read the page that follows."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(url)
    before = browser.title
    browser.find_element(By.ID, button).click()
    WebDriverWait(browser, 30).until(lambda here: here.title not in {before, "Working…"})
    return f"{browser.title}: {browser.find_element(By.TAG_NAME, 'body').text}"


def test_approved(browser: Chrome, surgery: Surgery) -> None:
    """The person approves. The photo is imported in the same refresh, and nobody is asked again."""
    url = surgery.begin_refresh()
    assert surgery.imported() == [LOCAL]  # while the person still reads
    assert "Signed in" in press(browser, url, "accept")
    report = surgery.end_refresh()
    assert (report.problems, surgery.imported()) == ((), [LOCAL, REMOTE])
    assert report.closes
    # The form keeps the code out of the addresses that the browser remembers.
    assert "code=" not in browser.current_url
    surgery.server.identity.expire_access()
    assert surgery.inbox.refresh().problems == ()
    assert len(surgery.pages) == 1


def test_denied_then_approved(browser: Chrome, surgery: Surgery) -> None:
    """The person cancels: only that location has a problem, and the next refresh asks again."""
    assert "Not signed in" in press(browser, surgery.begin_refresh(), "cancel")
    report = surgery.end_refresh()
    assert [problem.location for problem in report.problems] == ["onedrive"]
    assert "did not allow" in report.problems[0].text
    assert surgery.imported() == [LOCAL]
    press(browser, surgery.begin_refresh(), "accept")
    assert surgery.end_refresh().problems == ()
    assert surgery.imported() == [LOCAL, REMOTE]


def test_too_late_and_the_wrong_window(browser: Chrome, surgery: Surgery) -> None:
    """After 180 s the attempt is over. Then an answer from the old window changes nothing, and the new window works."""
    old = surgery.begin_refresh()
    surgery.now_s += 179
    surgery.now_s += 1
    report = surgery.end_refresh()
    assert "within 3 minutes" in report.problems[0].text
    assert surgery.imported() == [LOCAL]
    new = surgery.begin_refresh()
    assert new != old
    stale = new.replace(_state(new), "0" * len(_state(new)))
    assert "Not this sign-in" in press(browser, stale, "accept")
    assert surgery.imported() == [LOCAL]
    assert "Signed in" in press(browser, new, "accept")
    assert surgery.end_refresh().problems == ()
    assert surgery.imported() == [LOCAL, REMOTE]


def _state(url: str) -> str:
    from urllib.parse import parse_qs, urlsplit

    return parse_qs(urlsplit(url).query)["state"][0]
