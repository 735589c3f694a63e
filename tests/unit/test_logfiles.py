"""The log files of connections: what is written, what never is, and who attaches them."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

import pytest

from intouch_import.errors import ConfigError
from intouch_import.logfiles import FILES, log_to_directory

if TYPE_CHECKING:
    from pathlib import Path

DROPBOX = logging.getLogger("intouch_import.dropbox.client")
ONEDRIVE = logging.getLogger("intouch_import.onedrive.client")
SIGN_IN = logging.getLogger("intouch_import.signin.sign_in")


def read(folder: Path, service: str) -> list[str]:
    return (folder / FILES[service]).read_text("utf-8").splitlines()


def test_the_names_are_those_of_the_reference_product() -> None:
    """The files have the names of the reference product."""
    assert set(FILES.values()) == {"MailCenter_Dropbox.log", "MailCenter_OneDrive.log"}


def test_each_location_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Records about a sign-in are written to the file of its location; other records to neither."""
    folder = tmp_path / "logs" / "new"
    with log_to_directory(folder):
        DROPBOX.warning(
            "Dropbox was not reached", extra={"route": "files/download", "source_id": "dropbox-1"}
        )
        ONEDRIVE.warning("Graph was not reached", extra={"status": 503})
        SIGN_IN.warning("nobody signed in", extra={"service": "onedrive", "why": "denied"})
        SIGN_IN.info("signed in", extra={"service": "dropbox", "seconds": 14400.0})
        logging.getLogger("intouch_import.moving").error("something else")
    (first, second) = read(folder, "dropbox")
    assert first.endswith(" WARNING Dropbox was not reached source_id=dropbox-1 route=files/download")
    assert second.endswith(" INFO signed in seconds=1.44e+04")
    (third, fourth) = read(folder, "onedrive")
    assert third.endswith(" WARNING Graph was not reached status=503")
    assert fourth.endswith(" WARNING nobody signed in why=denied")
    assert first[:20].endswith("Z")


def test_nothing_but_ids_is_written(tmp_path: Path) -> None:
    """A line contains no arguments of the message, no other field, no traceback, and only plain words."""
    with log_to_directory(tmp_path):
        try:
            raise RuntimeError("Ada Marsh")
        except RuntimeError:
            DROPBOX.error(
                "a call failed: %s",
                "Ada Marsh",
                exc_info=True,
                extra={
                    "path": "/Ada Marsh.jpg",
                    "tags": "path/not_found",
                    "kind": "Ada Marsh",
                    "why": "x" * 101,
                    "route": "a\nb",
                    "status": None,
                },
            )
    (line,) = read(tmp_path, "dropbox")
    assert line.endswith(" ERROR a call failed: %s route=? tags=path/not_found why=? kind=?")


def test_asking_twice_writes_once(tmp_path: Path) -> None:
    """A second call adds no second line; another directory has its own files."""
    with (
        log_to_directory(tmp_path / "one"),
        log_to_directory(tmp_path / "one") as again,
        log_to_directory(tmp_path / "two"),
    ):
        assert repr(again) == "<LogFiles 0>"
        DROPBOX.warning("once")
    assert len(read(tmp_path / "one", "dropbox")) == len(read(tmp_path / "two", "dropbox")) == 1


def test_after_closing_nothing_is_written_and_nothing_is_left(tmp_path: Path) -> None:
    """After closing, the loggers have the same handlers as before."""
    names = (
        "intouch_import.dropbox",
        "intouch_import.onedrive",
        "intouch_import.signin",
    )
    before = [list(logging.getLogger(name).handlers) for name in names]
    files = log_to_directory(tmp_path)
    files.close()
    files.close()
    DROPBOX.warning("too late")
    assert read(tmp_path, "dropbox") == []
    assert [list(logging.getLogger(name).handlers) for name in names] == before


def test_files_are_set_aside_when_they_are_full(tmp_path: Path) -> None:
    """Only the given number of old files is kept."""
    with log_to_directory(tmp_path, max_bytes=200, keep=2):
        for number in range(50):
            DROPBOX.warning("a line", extra={"count": number})
    kept = sorted(path.name for path in tmp_path.glob("MailCenter_Dropbox*"))
    assert kept == ["MailCenter_Dropbox.log", "MailCenter_Dropbox.log.1", "MailCenter_Dropbox.log.2"]
    assert "count=49" in read(tmp_path, "dropbox")[-1]


def test_a_file_that_can_not_be_set_aside_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a file can't be renamed, no line is lost, and nothing is printed to standard error."""
    import logging.handlers

    def refuse(*_args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(logging.handlers.RotatingFileHandler, "rotate", refuse)
    with log_to_directory(tmp_path, max_bytes=100, keep=1):
        for number in range(20):
            DROPBOX.warning("a line", extra={"count": number})
    assert len(read(tmp_path, "dropbox")) == 20
    assert capsys.readouterr().err == ""


def test_a_directory_that_can_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error does not contain the path, and no handler is left."""
    (tmp_path / "file").write_text("x")
    before = list(logging.getLogger("intouch_import.dropbox").handlers)
    with pytest.raises(ConfigError, match="log directory") as caught:
        log_to_directory(tmp_path / "file" / "logs")
    assert str(tmp_path) not in str(caught.value)
    with monkeypatch.context() as patched:
        patched.setattr(os.path, "expanduser", os.fspath)
        with pytest.raises(ConfigError, match="log directory"):
            log_to_directory("~/logs")
    (tmp_path / FILES["onedrive"]).mkdir()
    with pytest.raises(ConfigError):
        log_to_directory(tmp_path)
    assert list(logging.getLogger("intouch_import.dropbox").handlers) == before


def test_a_level_that_the_host_has_set_stays(tmp_path: Path) -> None:
    """A level that the host has set is not changed."""
    logger = logging.getLogger("intouch_import.dropbox")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with log_to_directory(tmp_path):
            DROPBOX.warning("a warning")
            DROPBOX.error("an error")
    finally:
        logger.setLevel(before)
    assert len(read(tmp_path, "dropbox")) == 1


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    """Lines of several threads are not mixed."""
    with log_to_directory(tmp_path):
        threads = [
            threading.Thread(
                target=lambda: [DROPBOX.warning("a line", extra={"count": 1}) for _ in range(50)]
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = read(tmp_path, "dropbox")
    assert len(lines) == 200
    assert all(line.endswith("WARNING a line count=1") for line in lines)
