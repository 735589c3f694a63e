"""Folders on a real OpenSSH server: tests that the kit does not have for every location."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import (
    ConfigError,
    FileChanged,
    FileError,
    MissingExtraError,
    RepositoryError,
    SourceUnavailable,
)
from intouch_import.inbox import Inbox
from intouch_import.model import EntryKind, Reason
from intouch_import.repositories.files import FsspecFiles
from intouch_import.sources import open_source
from intouch_import.testing import BytesContent, MemoryRepository
from miniature import PATIENTS, PROVIDERS, jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intouch_import.sources import Source
    from services.openssh import OpenSSHServer

AUTO = "10042_DRJ_20260131_142501.jpg"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos #1?"
    folder.mkdir()
    return folder


@pytest.fixture
def opened(openssh_server: OpenSSHServer, photos: Path) -> Iterator[Callable[..., Source]]:
    sources = []

    def open_one(**options: Any) -> Source:
        url = f"sftp://127.0.0.1{photos}"
        sources.append(open_source(url, **{**openssh_server.options, **options}))
        return sources[-1]

    yield open_one
    for source in sources:
        source.close()


def test_photos_move_from_the_server_and_back(
    opened: Callable[..., Source], photos: Path, tmp_path: Path
) -> None:
    """A refresh imports automatically and removes the file from the server; undo puts back the same bytes."""
    for number in range(5):
        (photos / f"1004{number}_DRJ_20260131_142501.jpg").write_bytes(jpeg(str(number)))
    large = jpeg("large") + bytes(3_000_000) + b"\xff\xd9"
    (photos / "Large one.jpg").write_bytes(large)
    records = MemoryRepository(PATIENTS, PROVIDERS)
    inbox = Inbox(records, [opened(provider="DRJ")], ledger=tmp_path / "ledger.db", zone="UTC", settle_s=0.0)
    report = inbox.refresh()
    assert (report.listed, report.imported, report.failed, report.problems) == (6, 2, 0, ())
    assert sorted(os.listdir(photos))[:2] == [
        "10040_DRJ_20260131_142501.jpg",
        "10041_DRJ_20260131_142501.jpg",
    ]
    row = next(row for row in inbox.rows if row.name == "Large one.jpg")
    saved = inbox.save(inbox.prepare([row], patient="10042"))
    assert saved.imported == 1
    assert not (photos / "Large one.jpg").exists()
    back = inbox.undo(saved.outcomes[0])
    assert back.reason is Reason.UNDONE
    assert (photos / "Large one.jpg").read_bytes() == large
    assert not [name for name in os.listdir(photos) if name.endswith(".part")]


def test_no_log_names_a_file(
    opened: Callable[..., Source], photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG, paramiko logs no file that is read, put or removed."""
    (photos / "CANARY.jpg").write_bytes(bytes(300_000))
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="paramiko")
    source = opened()
    (file,) = source.scan()
    with source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    source.put("CANARY.jpg", [b"bytes"])
    said = [f"{one.getMessage()}" for one in caplog.records if not one.name.startswith("fsspec")]
    assert said  # the connection is told of
    assert not [text for text in said if "CANARY" in text]


def test_a_server_that_is_not_known_is_not_trusted(
    opened: Callable[..., Source], tmp_path: Path, openssh_server: OpenSSHServer
) -> None:
    """A server with another key gets no data and no login."""
    stranger = tmp_path / "known_hosts"
    known = (openssh_server.root / "known_hosts").read_text("ascii").split()
    public = (openssh_server.root / "user_key.pub").read_text("ascii").split()[1]
    for text in ("", f"{known[0]} {known[1]} {public}\n"):
        stranger.write_text(text, "ascii")
        with pytest.raises(SourceUnavailable) as caught:
            opened(known_hosts=str(stranger))
        assert "127.0.0.1" not in f"{caught.value} {caught.value.__cause__}"


def test_a_wrong_key_or_port_is_told(opened: Callable[..., Source], openssh_server: OpenSSHServer) -> None:
    """After a refused login or connection, the location is reported as not reachable."""
    options = {"allow_agent": False, "look_for_keys": False, "timeout_s": 5.0}
    with pytest.raises(SourceUnavailable):
        opened(key_filename=str(openssh_server.root / "host_key"), **options)
    with pytest.raises(SourceUnavailable):
        opened(port=1, **options)
    with pytest.raises(ConfigError):
        open_source("sftp://tower?x=1/photos")


def test_a_connection_that_is_cut_is_opened_again(opened: Callable[..., Source], photos: Path) -> None:
    """Servers close idle connections; the next refresh must not fail because of that."""
    (photos / "a.jpg").write_bytes(b"bytes")
    source = opened()
    (file,) = source.scan()
    for filesystem in source._connections._idle():  # type: ignore[attr-defined]
        filesystem.client.get_transport().close()
    with source.fetch(file) as content:
        assert content.size_bytes == 5


def test_a_connection_that_is_cut_while_it_is_used_is_told(
    opened: Callable[..., Source], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut connection is an error, never a short file; the next operation works."""
    (photos / "a.jpg").write_bytes(bytes(4_000_000))
    source = opened()
    (file,) = source.scan()
    (filesystem,) = source._connections._idle()  # type: ignore[attr-defined]
    real_open = filesystem.ftp.open

    def cut(*arguments: Any) -> Any:
        stream = real_open(*arguments)
        filesystem.client.get_transport().sock.close()
        return stream

    monkeypatch.setattr(filesystem.ftp, "open", cut)
    with pytest.raises(FileError):
        source.fetch(file)
    with source.fetch(file) as content:
        assert content.size_bytes == 4_000_000


@pytest.mark.parametrize("silent_at", ["request", "greeting"])
def test_a_server_that_falls_silent_at_the_start_is_not_waited_for_for_ever(
    tmp_path: Path, silent_at: str
) -> None:
    """A server that accepts the login but whose SFTP program hangs is a failure after the timeout."""
    import paramiko

    key, end = paramiko.RSAKey.generate(2048), threading.Event()

    class Silent(paramiko.ServerInterface):
        def check_auth_password(self, *_: object) -> int:
            return int(paramiko.AUTH_SUCCESSFUL)

        def check_channel_request(self, *_: object) -> int:
            return int(paramiko.OPEN_SUCCEEDED)

        def check_channel_subsystem_request(self, *_: object) -> bool:
            if silent_at == "request":
                end.wait(60)
            return True

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")

    def serve() -> None:
        with listening.accept()[0] as connection:
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.start_server(server=Silent())
            end.wait(60)
            transport.close()

    server = threading.Thread(target=serve)
    server.start()
    # Ends the test where nobody else does.
    give_up = threading.Timer(20, end.set)
    give_up.start()
    begun = time.monotonic()
    try:
        with pytest.raises(SourceUnavailable):
            open_source(
                f"sftp://127.0.0.1:{port}/photos",
                username="me",
                password="x",
                known_hosts=str(tmp_path / "known_hosts"),
                look_for_keys=False,
                allow_agent=False,
                timeout_s=1.0,
            )
        assert time.monotonic() - begun < 15
    finally:
        end.set()
        give_up.cancel()
        server.join()
        listening.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_devices_are_not_opened(opened: Callable[..., Source], photos: Path) -> None:
    """A FIFO in place of a photo would block the import; fsspec calls it a file."""
    (photos / "a.jpg").write_bytes(b"")
    source = opened()
    (file,) = source.scan()
    (photos / "a.jpg").unlink()
    os.mkfifo(photos / "a.jpg")
    (entry,) = source.scan()
    assert entry.kind is EntryKind.SPECIAL
    with pytest.raises(FileChanged):
        source.fetch(file)


def test_a_link_that_takes_a_photos_place_is_not_followed(
    opened: Callable[..., Source], photos: Path
) -> None:
    """A link is not followed, not even to a file of the same size and time: its version differs."""
    (photos / "a.jpg").write_bytes(b"bytes")
    source = opened()
    (file,) = source.scan()
    outside = photos.parent / "outside.jpg"
    shutil.move(photos / "a.jpg", outside)
    (photos / "a.jpg").symlink_to(outside)
    with pytest.raises(FileChanged):
        source.fetch(file)
    with pytest.raises(FileChanged):
        source.remove(file, sha256="")
    assert outside.read_bytes() == b"bytes"


def test_without_paramiko_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the error says what to install."""
    monkeypatch.delitem(sys.modules, "intouch_import._paramiko", raising=False)
    import intouch_import

    monkeypatch.delattr(intouch_import, "_paramiko", raising=False)
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(MissingExtraError, match=r"intouch-import\[sftp\]"):
        open_source("sftp://127.0.0.1/photos")


def test_files_of_records_may_be_kept_on_the_server(openssh_server: OpenSSHServer, tmp_path: Path) -> None:
    """Files of records are placed complete, read by several threads, never replaced, and deleted for good."""
    files = FsspecFiles(openssh_server.url(tmp_path / "kept"), **openssh_server.options)
    ids = [f"{number:02x}" + "0" * 38 for number in range(6)]
    data = {one: one.encode() * 20_000 for one in ids}
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda one: files.place(one, BytesContent(data[one])), [*ids, *ids]))

    def read(one: str) -> bytes:
        with files.open(one) as stream:
            return stream.read()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(read, ids)) == list(data.values())
    with pytest.raises(FileError):
        files.place(ids[0], BytesContent(b"other"))
    assert (tmp_path / "kept" / ids[0][:2] / ids[0]).read_bytes() == data[ids[0]]
    files.delete(ids[0])
    with pytest.raises(RepositoryError):
        files.open(ids[0])
    assert not list((tmp_path / "kept" / ".staging").iterdir())
