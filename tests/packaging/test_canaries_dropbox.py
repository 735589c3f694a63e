"""A canary token and a canary patient pass through Dropbox, with all faults, and are shown nowhere."""

from __future__ import annotations

import io
import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.dropbox import DropboxAuthorization, DropboxSource
from intouch_import.errors import InTouchImportError
from intouch_import.logfiles import FILES, log_to_directory
from intouch_import.model import Patient
from intouch_import.signin import SignIn
from intouch_import.signin.store import FileStore, MemoryStore
from miniature import jpeg
from services.doubles.dropbox import App, DropboxServer, Fault
from services.dropbox_server import hurried
from services.signing_in import Person, free_port, press

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intouch_import.inbox import Inbox
    from miniature import Practice

PATIENT = "CANARYID7"
FOLDER = "/CANARYFOLDER"
NAMES = (f"{PATIENT}_DRJ_20260131_142501.jpg", "CANARY Marsh.jpg")
SECRET = "CANARYAPPSECRET"
WORDS = ("CANARY", "canary")
JSON = {"Content-Type": "application/json"}


class Watch(logging.Handler):
    """All log records of all loggers, with everything that a handler could make of them."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        shown = f"{record.name} {record.getMessage()} {record.__dict__!r}"
        if record.exc_info:
            shown += "".join(traceback.format_exception(*record.exc_info))
        self.texts.append(shown)


class Cage:
    """What the tests look for, and where."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.watch = Watch()

    def clean(self, text: str) -> None:
        """Return whether a text contains no canary and no token that was handed out."""
        for word in (*WORDS, *self.secrets):
            assert word not in text, f"{word[:6]}… is in it"

    def clean_exception(self, exc: BaseException | None) -> None:
        """Check the text, the repr and the printed traceback of an exception, without the lines of source."""
        while exc is not None:
            self.clean(f"{exc} {exc!r}")
            self.clean("".join(traceback.format_exception_only(type(exc), exc)))
            self.clean(repr(exc.__dict__))
            exc = exc.__cause__ if exc.__cause__ is not None or exc.__suppress_context__ else exc.__context__


@pytest.fixture
def cage() -> Iterator[Cage]:
    """Log everything, from the lowest level, for the whole test."""
    cage = Cage()
    root = logging.getLogger()
    level = root.level
    root.addHandler(cage.watch)
    root.setLevel(logging.DEBUG)
    loggers = [
        logging.getLogger(name) for name in ("urllib3", "requests", "dropbox", "keyring", "intouch_import")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield cage
    root.removeHandler(cage.watch)
    root.setLevel(level)
    for logger, old in zip(loggers, before, strict=True):
        logger.setLevel(old)
    assert cage.watch.texts
    for text in cage.watch.texts:
        cage.clean(text)


@pytest.fixture
def server() -> Iterator[DropboxServer]:
    port = free_port()
    app = App(key="appkey", secret=SECRET, redirect_uris=frozenset({f"http://localhost:{port}"}))
    with DropboxServer(app=app) as server:
        server.make_folder(FOLDER)
        server.api.longest_poll_s = 0.05  # Dropbox keeps this request open for 30 s at least
        yield server


def sign_in(server: DropboxServer, cage: Cage, store: Any) -> SignIn:
    port = int(min(server.app.redirect_uris).rpartition(":")[2])
    authorization = DropboxAuthorization(
        server.app.key, app_secret=SECRET, redirect_ports=[port], endpoint=server.url
    )
    person = Person()
    signin = SignIn(authorization, store=store, on_url=person)
    thread = threading.Thread(target=signin.sign_in)
    thread.start()
    url = person.page()
    press(url)
    thread.join(20)
    cage.secrets |= {signin(), *server.authorization._refresh}
    cage.clean(url)
    return signin


def everything(source: DropboxSource, inbox: Inbox) -> list[Callable[[], Any]]:
    """Call all methods of a source."""
    fs = source.filesystem
    return [
        lambda: list(source.scan()),
        lambda: source.look(NAMES[1]),
        lambda: source.put("CANARY new.jpg", [b"x"]),
        lambda: source.fetch(inbox.rows[0].file),
        lambda: source.remove_many([row.file for row in inbox.rows]),
        lambda: source.wait_for_change(0.01),
        lambda: fs.ls(FOLDER),
        lambda: fs.cat_file(f"{FOLDER}/{NAMES[1]}"),
        lambda: fs.cat_file("/CANARY/none"),
        lambda: fs.rm_file("/CANARY/none"),
        lambda: fs.info("/CANARY/none"),
        lambda: fs.mkdir(FOLDER),
    ]


def test_a_day_with_every_fault(
    practice: Practice, server: DropboxServer, cage: Cage, tmp_path: Path
) -> None:
    """Reports, problems, rows, sources and log files name no patient and no token."""
    store = MemoryStore()
    signin = sign_in(server, cage, store)
    records = practice.records()
    records.add_patients([Patient(id=PATIENT, name="CANARYNAME")])
    faults = [
        Fault.unavailable(after=True),
        Fault.lost(after=True),
        Fault.cut(10),
        Fault.wrong_hash(),
        Fault.throttled(2),
        Fault.expired_token(),
        Fault.missing_scope("CANARY.scope"),
        Fault.html(),
        Fault(status=400, body=b"Error: path: '/CANARYFOLDER/CANARY.jpg' is wrong"),
        Fault(status=500, body=b"CANARY"),
        Fault.refused({".tag": "path", "path": {".tag": "malformed_path", "malformed_path": "CANARY"}}),
        Fault(status=200, body=b'{"name": "CANARY', headers=JSON),
    ]
    routes = (
        "files/get_metadata",
        "files/list_folder/continue",
        "files/download",
        "files/delete_batch",
        "files/upload",
    )
    with log_to_directory(tmp_path / "logs"):
        for budget_s in (30.0, 0.0):
            for fault in faults:
                for name in NAMES:
                    server.put(f"{FOLDER}/{name}", jpeg(name))
                source = DropboxSource(
                    FOLDER, signin=signin, endpoint=server.url, patience=hurried(budget_s), source_id="s"
                )
                inbox = practice.inbox(source, records=records)
                report = inbox.refresh()
                for route in routes:
                    server.fail(route, fault)
                reports = [report, inbox.refresh()]
                for action in everything(source, inbox):
                    try:
                        ends = action()
                    except Exception as exc:
                        cage.clean_exception(exc)
                    else:
                        for end in ends if isinstance(ends, list) else []:
                            if isinstance(end, InTouchImportError):
                                cage.clean_exception(end)
                server.faults.clear()
                for thing in (source, source.filesystem, source._account, source._account.client, inbox):
                    cage.clean(repr(thing))
                for said in reports:
                    cage.clean(f"{said} {said!r} {said.problems!r} {said.outcomes!r}")
                for row in inbox.rows:
                    cage.clean(f"{row!r} {row.file!r}")
                server.delete(FOLDER)
                server.make_folder(FOLDER)
                source.close()
    for name in FILES.values():
        cage.clean((tmp_path / "logs" / name).read_text("utf-8"))
    assert "a call to Dropbox failed" in (tmp_path / "logs" / FILES["dropbox"]).read_text("utf-8")
    for line in inbox.ledger.export(support=True):
        cage.clean(line)
    records.close()


def test_signing_in_with_every_fault(server: DropboxServer, cage: Cage, tmp_path: Path) -> None:
    """Nothing repeats the answers of the token server."""
    signin = sign_in(server, cage, FileStore(tmp_path / "tokens"))
    for fault in (
        Fault(status=400, body=b'{"error": "invalid_grant", "error_description": "CANARY"}', headers=JSON),
        Fault(status=400, body=b'{"error": "CANARY"}', headers=JSON),
        Fault(status=401, body=b"CANARY"),
        Fault(status=200, body=b'{"access_token": 7, "canary": "CANARY"}', headers=JSON),
        Fault.html(),
        Fault.lost(),
        Fault(status=302, headers={"Location": "http://127.0.0.1:9/CANARY"}),
    ):
        server.fail("oauth2/token", fault)
        with pytest.raises(InTouchImportError) as caught:
            signin(force=True)
        cage.clean_exception(caught.value)
        if not signin.signed_in:
            signin._refresh_token = server.authorization.refresh_token(server.app)
            cage.secrets.add(signin._refresh_token)
        signin(force=True)
        cage.secrets |= set(server.authorization._access)
    for thing in (signin, signin.server, signin._store, signin._grant):
        cage.clean(repr(thing))
        cage.clean(str(getattr(thing, "__dict__", "") if thing is None else ""))
    for path in (tmp_path / "tokens").iterdir():
        cage.clean(path.name)
        if os.name != "nt":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_holds_a_token(server: DropboxServer, cage: Cage, protocol: int) -> None:
    """Objects that hold a token can't be pickled, by any protocol, alone or within something else."""
    signin = sign_in(server, cage, MemoryStore())
    source = DropboxSource(FOLDER, signin=signin, endpoint=server.url)
    for thing in (
        source,
        source.filesystem,
        source._account.client,
        signin,
        signin._grant,
        signin._store,
        [source],
        {"s": signin},
    ):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(thing, protocol)
        cage.clean_exception(caught.value)
    source.close()


# --- the command line

_RECORDER = """#!{python}
import os, sys
with open({target!r}, "a") as file:
    file.write(repr(sys.argv) + repr(sorted(os.environ.items())) + chr(10))
"""


def commandline(tmp_path: Path, server: DropboxServer, practice: Practice) -> dict[str, str]:
    """An environment that uses nothing of this machine's own."""
    recorder = tmp_path / "browser"
    recorder.write_text(_RECORDER.format(python=sys.executable, target=str(tmp_path / "opened")))
    recorder.chmod(0o755)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "BROWSER": str(recorder),
        "INTOUCH_DROPBOX_APP": server.app.key,
        "INTOUCH_DROPBOX_ENDPOINT": server.url,
        "INTOUCH_LOG_DIR": str(tmp_path / "logs"),
        "INTOUCH_RECORDS": practice.url,
        "INTOUCH_FILES": str(practice.files),
        "INTOUCH_ZONE": "UTC",
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from intouch_import.cli import main; main()", *arguments]


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(os.name == "nt", reason="a script stands for the browser")
def test_people_sign_in_import_and_sign_out_on_the_command_line(
    practice: Practice, tmp_path: Path, cage: Cage
) -> None:
    """It works, and neither output, process arguments nor log files contain a token."""
    app = App(
        key="appkey",
        secret="x",
        redirect_uris=frozenset(f"http://localhost:{port}" for port in (17845, 17846, 17847)),
    )
    with DropboxServer(app=app) as server:
        server.put(f"{FOLDER}/{NAMES[0]}", jpeg("x"))
        server.put(f"{FOLDER}/letter.pdf", b"%PDF-")
        environment = commandline(tmp_path, server, practice)
        said = run(environment, "scan", f"dropbox://{FOLDER}")
        assert said.returncode == 3
        assert "intouch-import login dropbox" in " ".join((said.stdout + said.stderr).split())
        # With a browser: everybody on the machine can read its arguments.
        with subprocess.Popen(
            command("login", "dropbox"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as login:
            opened = tmp_path / "opened"
            deadline_s = time.monotonic() + 60
            while not (opened.exists() and opened.read_text()) and time.monotonic() < deadline_s:
                time.sleep(0.05)
            shown = opened.read_text()
            if os.path.exists(f"/proc/{login.pid}/cmdline"):
                with open(f"/proc/{login.pid}/cmdline", "rb") as file:
                    shown += file.read().decode()
            url = shown.partition(f"{server.url}/oauth2/authorize")
            press(url[1] + url[2].partition("'")[0])
            output, _ = login.communicate(timeout=60)
        assert login.returncode == 0, output
        assert "Signed in to Dropbox" in output
        cage.secrets |= {*server.authorization._refresh, *server.authorization._access}
        assert len(cage.secrets) >= 2
        (kept,) = (tmp_path / "data" / "intouch-import" / "sign-in").iterdir()
        assert kept.read_text() in cage.secrets
        # Then every command finds the sign-in.
        with practice.records() as records:
            records.add_patients([Patient(id=PATIENT, name="CANARYNAME")])
        imported = run(environment, "refresh", f"dropbox://{FOLDER}")
        assert imported.returncode == 0, imported.stderr
        assert server.names(FOLDER) == {"letter.pdf"}
        # And with a code that is pasted to standard input.
        attempt = subprocess.Popen(
            command("login", "dropbox", "--paste", "--account", "DRK"),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with attempt:
            assert attempt.stdout is not None
            lines = [attempt.stdout.readline()]
            while "oauth2/authorize" not in lines[-1]:
                lines.append(attempt.stdout.readline())
                assert lines[-1]
            address = lines[-1].strip()
            code = press(address).text.partition('<code id="code">')[2].partition("<")[0]
            pasted, _ = attempt.communicate(f"{code}\n", timeout=60)
        assert attempt.returncode == 0, pasted
        cage.secrets |= {*server.authorization._refresh, *server.authorization._access}
        out = run(environment, "logout", "dropbox")
        assert "Signed out of Dropbox" in out.stdout
        assert server.calls["auth/token/revoke"] == 1
        for text in (output, shown, pasted, *lines, out.stdout, said.stderr, imported.stderr):
            for secret in cage.secrets:
                assert secret not in text
        cage.clean((tmp_path / "logs" / FILES["dropbox"]).read_text("utf-8"))
        logging.getLogger("intouch_import").info("a word, so that the watch has seen one")


def test_the_double_shows_no_secret() -> None:
    """The credentials of the protocol server are nobody's."""
    shown = io.StringIO()
    with DropboxServer() as server:
        print(server, server.app, server.authorization, file=shown)
        assert server.app.secret not in shown.getvalue()
