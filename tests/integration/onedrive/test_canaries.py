"""A canary token, secret, patient and folder pass through everything that can fail, and are shown nowhere."""

from __future__ import annotations

import logging
import random
import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from miniature import jpeg
from services.doubles.onedrive import Fault, OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from miniature import Practice

PATH = "CanaryFolder/CanaryPatient"
NAMES = ("10042_DRJ_20260131_142501.jpg", "CanaryName #1%20.jpg")
_STANDARD = set(logging.makeLogRecord({}).__dict__)
CALLS = ("item", "children", "delta", "download", "delete", "upload", "session", "fragment", "*")
JSON = {"Content-Type": "application/json"}
FAULTS: tuple[Fault, ...] = (
    Fault.lost(), Fault.refused(401), Fault.refused(403, "CanaryCode"), Fault(status=404, body=b"<html>CanaryPage"),
    Fault.refused(412), Fault.refused(429, retry_after="999999"), Fault(status=500, body=b'{"error": {"message": "CanaryText"}}', headers=JSON),
    Fault(status=200, body=b'{"value": [{"id": "CanaryId", "name": "CanaryName"}]}', headers=JSON), Fault(status=200, body=b"CanaryBody"), Fault.cut(3),
)  # fmt: skip


class Everything(logging.Handler):
    """Keeps what a handler could write: message, arguments, extras, traceback."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        extras = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        text = f"{record.name} {record.getMessage()} {record.args!r} {extras!r}"
        if record.exc_info:
            text += "".join(traceback.format_exception(*record.exc_info))
        self.texts.append(text)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All loggers at DEBUG, including those of the HTTP libraries and of msal."""
    handler, root = Everything(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.texts
    root.removeHandler(handler)
    root.setLevel(before)


def told(exc: BaseException) -> str:
    """Return what a printed traceback says about an exception and its causes, without the lines of code."""
    lines = traceback.TracebackException.from_exception(
        exc, lookup_lines=False, capture_locals=False
    ).format()
    return "".join(line for line in lines if not line.startswith("  File")) + repr(exc) + repr(exc.args)


def failures(source: Any, files: list[Any]) -> list[str]:
    """Return the exceptions of some methods of the source."""
    tries = [
        lambda: list(source.scan()),
        lambda: source.look(NAMES[1]),
        lambda: source.fetch(files[0]).close(),
        lambda: source.remove(files[0], sha256="0" * 64),
        lambda: source.put("CanaryName2.jpg", [b"x"]),
        lambda: source.put("CanaryName3.jpg", [b"x" * (4 * 1024**2 + 1)]),
        lambda: source.filesystem.ls("/", detail=False),
        lambda: source.filesystem.info("/CanaryNothing"),
    ]
    said = []
    for attempt in random.sample(tries, 3):
        try:
            attempt()
        except Exception as exc:
            said.append(told(exc))
    return said


def test_nothing_is_shown(opened: Callable[..., Any], practice: Practice, logged: list[str]) -> None:
    """No log line of any library, no exception, repr or report contains what must not be seen."""
    shown: list[str] = []
    secrets: set[str] = set()
    for fault in FAULTS:
        with OneDriveServer(random.choice(["personal", "business"])) as server:
            folder = server.drive.folder(PATH)
            for name in NAMES:
                server.drive.write(folder, name, jpeg(name))
            source = opened(server, PATH)
            files = list(source.scan())
            for call in CALLS:
                server.fail(call, fault, times=None)
                shown += failures(source, files)
                server.faults.clear()
                source._client.patience._quiet_until_s = 0.0
            with practice.records() as records:
                report = practice.inbox(opened(server, PATH), records=records).refresh()
            shown += [repr(report), str(report), *(problem.text for problem in report.problems)]
            shown += [repr(thing) for thing in (source, source._client, source.filesystem, source._listing)]
            shown += [repr(file) for file in files]
            secrets.update(server.identity.tokens)
            secrets.update(
                re.findall(r"tempauth=(\w+)", " ".join(str(request.query) for request in server.requests))
            )
            secrets.update(
                request.query["tempauth"] for request in server.requests if "tempauth" in request.query
            )
    assert len(shown) > 100
    assert any("a call to OneDrive failed" in text for text in logged)
    for text in (*shown, *logged):
        assert "Canary" not in text, text
        assert "tempauth" not in text, text
        assert not [secret for secret in secrets if secret in text], text


def test_nothing_of_a_sign_in_is_shown(business: OneDriveServer, logged: list[str]) -> None:
    """Neither we nor msal log a code, a verifier, a secret or a token."""
    from test_identity import Person

    from intouch_import.onedrive import OneDriveAuthorization
    from intouch_import.signin import SignIn
    from intouch_import.signin.store import MemoryStore
    from services.doubles.onedrive import App

    business.register(App(id="with-secret", secrets={"CanarySecret"}))
    store = MemoryStore()
    signin = SignIn(
        OneDriveAuthorization("with-secret", client_secret="CanarySecret", endpoint=business.identity_url),
        store=store,
        on_url=None,
    )
    attempt = signin.begin()
    person = Person(business)
    # The person's browser is another program, and may log anything.
    logging.getLogger("httpx").setLevel(logging.CRITICAL)
    logging.getLogger("httpcore").setLevel(logging.CRITICAL)
    try:
        person.answer(attempt.url)
    finally:
        logging.getLogger("httpx").setLevel(logging.NOTSET)
        logging.getLogger("httpcore").setLevel(logging.NOTSET)
    attempt.wait()
    tokens = {signin(), signin(True)}
    business.identity.revoke()
    with pytest.raises(Exception, match="sign in again") as caught:  # any of ours
        signin(True)
    codes = {
        request.form().get("code", "-none-")
        for request in business.identity_requests
        if request.method == "POST"
    }
    verifiers = {
        request.form().get("code_verifier", "-none-")
        for request in business.identity_requests
        if request.method == "POST"
    }
    kept = set(store._secrets.values())
    for text in (*logged, told(caught.value), repr(signin), repr(attempt)):
        assert "CanarySecret" not in text
        for secret in (*tokens, *codes, *verifiers, *kept):
            assert secret not in text, text
