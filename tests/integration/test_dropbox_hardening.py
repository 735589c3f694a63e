"""The faults of ``dropboxdrivefs`` and of the SDK below it, and that ours does not have them.

Each test runs twice: on the plain package, where it must show the fault, and on ours, where it must not. When
the plain run fails, the package has been fixed, and our code for this fault can go.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dropbox
import pytest
import requests
from dropbox import dropbox_client
from dropbox.exceptions import ApiError, RateLimitError
from dropboxdrivefs import DropboxDriveFileSystem

from intouch_import.dropbox import DropboxAuthorization
from intouch_import.errors import (
    ContentMismatch,
    FileChanged,
    FileUnreadable,
    SourceError,
    SourceUnavailable,
    Throttled,
)
from intouch_import.signin import SignIn
from intouch_import.signin.store import MemoryStore
from services.doubles.dropbox import DropboxServer, Fault
from services.dropbox_sdk import open_sdk, plain_session
from services.dropbox_server import FOLDER, hurried

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intouch_import.dropbox import DropboxSource

PLAIN, OURS = "plain", "ours"
pytestmark = [
    pytest.mark.parametrize("which", [PLAIN, OURS]),
    # The SDK keeps its sockets until it is garbage-collected.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture
def fs(which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource]) -> Any:
    """The file system: the plain package's, or ours."""
    if which == PLAIN:
        return DropboxDriveFileSystem(client=open_sdk(dropbox_server), skip_instance_cache=True)
    return open_dropbox("").filesystem


def raised(action: Callable[[], object]) -> BaseException | None:
    """Return what an action raises."""
    try:
        action()
    except Exception as exc:
        return exc
    return None


# --- ls


def test_a_folder_that_is_not_there(fs: Any, which: str) -> None:
    """Listing it is an error. The plain package returns None, which a caller takes for an empty folder."""
    if which == PLAIN:
        assert fs.ls("/nowhere") is None
    else:
        assert isinstance(raised(lambda: fs.ls("/nowhere")), FileNotFoundError)


def test_a_listing_that_fails(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """If the server refuses, the folder does not look empty."""
    dropbox_server.fail("files/list_folder", Fault.refused({".tag": "a_new_one"}), times=None)
    if which == PLAIN:
        assert fs.ls(FOLDER) is None
    else:
        assert isinstance(raised(lambda: fs.ls(FOLDER)), SourceError)


def test_pages_are_taken_in_order(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """Later pages have later changes; the plain package puts them first."""
    dropbox_server.api.page_entries = 2
    for number in range(5):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    names = [name.rpartition("/")[2] for name in fs.ls(FOLDER, detail=False)]
    in_order = [f"{number}.jpg" for number in range(5)]
    assert names == (["4.jpg", "2.jpg", "3.jpg", "0.jpg", "1.jpg"] if which == PLAIN else in_order)


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_what_happens_while_it_is_listed(
    fs: Any, which: str, dropbox_server: DropboxServer, what: str
) -> None:
    """A file that is deleted or replaced between two pages is listed once, as it is at the end."""
    dropbox_server.api.page_entries = 2
    for number in range(3):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")

    def meddle() -> None:
        if what == "deleted":
            dropbox_server.delete(f"{FOLDER}/0.jpg")
        else:
            dropbox_server.put(f"{FOLDER}/0.jpg", b"longer")

    dropbox_server.fail("files/list_folder/continue", Fault.somebody(meddle))
    found = Counter((entry["name"].rpartition("/")[2], entry["size"]) for entry in fs.ls(FOLDER))
    right = {("1.jpg", 1): 1, ("2.jpg", 1): 1} | ({} if what == "deleted" else {("0.jpg", 6): 1})
    if which == PLAIN:
        assert ("0.jpg", 1) in found, "the entry of the first page is kept"
        assert ("0.jpg", None if what == "deleted" else 6) in found, "and the news stands beside it"
    else:
        assert found == right


def test_a_path_that_is_not_spelled(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """``path_display`` may be null; the name is known nevertheless."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x", shows_path=False)
    assert fs.ls(FOLDER, detail=False) == ([None] if which == PLAIN else [f"{FOLDER}/photo.jpg"])


def test_a_url_and_the_root(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """Paths may start with the protocol, and the root works, which the API does not know as ``/``."""
    protocol = "dropbox" if which == PLAIN else "intouch"
    actions = (lambda: fs.ls(f"{protocol}://{FOLDER}"), lambda: fs.ls("/"), lambda: fs.info("/"))
    for action in actions:
        assert (raised(action) is not None) == (which == PLAIN)


# --- removing


def remover(fs: Any, which: str, open_dropbox: Callable[..., DropboxSource]) -> Callable[[], object]:
    """Return a function that removes the file as it is listed when the function is called."""
    if which == PLAIN:
        (listed,) = fs.ls(FOLDER)
        return lambda: fs.rm_file(listed["name"])
    source = open_dropbox()
    (file,) = source.scan()
    return lambda: source.remove(file, sha256="")


def test_a_removal_that_is_refused(
    fs: Any, which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource]
) -> None:
    """A refused removal is an error; the plain package logs it and returns normally."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    remove = remover(fs, which, open_dropbox)
    refusal = {".tag": "path_write", "path_write": {".tag": "no_write_permission"}}
    dropbox_server.fail("files/delete_v2", Fault.refused(refusal), times=None)
    assert (raised(remove) is None) == (which == PLAIN)
    assert dropbox_server.read(f"{FOLDER}/photo.jpg") == b"x"


def test_a_file_that_was_replaced_a_moment_ago(
    fs: Any, which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource]
) -> None:
    """The new version is not removed."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"old")
    remove = remover(fs, which, open_dropbox)
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"new")
    exc = raised(remove)
    if which == PLAIN:
        assert exc is None
        assert dropbox_server.read(f"{FOLDER}/photo.jpg") is None, "a photo that nobody has read is gone"
    else:
        assert isinstance(exc, FileChanged)
        assert dropbox_server.read(f"{FOLDER}/photo.jpg") == b"new"


def test_removing_a_folder_as_if_it_were_a_file(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """A folder is not deleted with everything in it."""
    dropbox_server.put(f"{FOLDER}/patient/photo.jpg", b"x")
    exc = raised(lambda: fs.rm_file(f"{FOLDER}/patient"))
    if which == PLAIN:
        assert exc is None
        assert dropbox_server.read(f"{FOLDER}/patient/photo.jpg") is None
    else:
        assert isinstance(exc, NotImplementedError)
        assert dropbox_server.read(f"{FOLDER}/patient/photo.jpg") == b"x"


# --- reading


def reading(fs: Any, name: str) -> bytes:
    with fs.open(f"{FOLDER}/{name}", "rb") as file:
        return bytes(file.read())


def test_a_file_that_is_replaced_while_it_is_opened(
    fs: Any, which: str, dropbox_server: DropboxServer
) -> None:
    """The bytes are complete and of one version; the plain package cuts the new version to the size of the old one."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"old")
    route = "cdn" if which == PLAIN else "files/download"
    dropbox_server.fail(route, Fault.somebody(lambda: dropbox_server.put(f"{FOLDER}/photo.jpg", b"another")))
    if which == PLAIN:
        assert reading(fs, "photo.jpg") == b"ano"
    else:
        assert isinstance(raised(lambda: reading(fs, "photo.jpg")), FileChanged)


def test_a_page_for_people_instead_of_a_photo(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """The HTML page of a proxy is not taken for the file."""
    photo = b"0123456789" * 5
    dropbox_server.put(f"{FOLDER}/photo.jpg", photo)
    if which == PLAIN:
        dropbox_server.fail("cdn", Fault.html(), times=None)
        assert b"<html>" in reading(fs, "photo.jpg")
    else:
        dropbox_server.fail("files/download", Fault.html())
        assert reading(fs, "photo.jpg") == photo


def test_a_byte_that_was_changed_on_its_way(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """The bytes are compared with Dropbox's own hash of the content."""
    photo = b"0123456789" * 5
    dropbox_server.put(f"{FOLDER}/photo.jpg", photo)
    if which == PLAIN:
        dropbox_server.fail("cdn", Fault.wrong_hash(), times=None)
        assert reading(fs, "photo.jpg") != photo
    else:
        dropbox_server.fail("files/download", Fault.wrong_hash(), times=None)
        assert isinstance(raised(lambda: reading(fs, "photo.jpg")), ContentMismatch)


def test_a_server_that_says_nothing(
    which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource]
) -> None:
    """A read ends when the server has been silent for too long; the plain package waits for ever."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x" * 1000)
    began_s = time.monotonic()
    if which == PLAIN:
        fs = DropboxDriveFileSystem(client=open_sdk(dropbox_server, timeout=0.2), skip_instance_cache=True)
        dropbox_server.fail("cdn", Fault.late(1.0))
        assert len(reading(fs, "photo.jpg")) == 1000
        assert time.monotonic() - began_s > 1.0, "the client's own timeout is not that of the link's session"
    else:
        source = open_dropbox(timeout_s=0.2)
        dropbox_server.fail("files/download", Fault.late(5.0), times=None)
        (file,) = source.scan()
        assert isinstance(raised(lambda: source.fetch(file)), FileUnreadable)
        assert time.monotonic() - began_s < 4.0


def test_where_the_token_goes(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """The token is sent to the API only; the plain package sends it to wherever a link leads."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    reading(fs, "photo.jpg")
    sent = [
        request.headers.get("authorization", "")
        for request in dropbox_server.requests
        if request.path.startswith("/cdn/")
    ]
    if which == PLAIN:
        scheme, _, encoded = sent[0].partition(" ")
        assert scheme == "Basic"
        assert b":sl." in base64.b64decode(encoded)
    else:
        assert sent == []


def test_a_netrc_file(
    fs: Any,
    which: str,
    dropbox_server: DropboxServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An entry in ``~/.netrc`` does not replace the token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert (raised(lambda: fs.ls(FOLDER)) is not None) == (which == PLAIN)


# --- writing


def test_a_write_of_several_parts(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """The old file stays; the plain package fails after it has replaced the file."""
    dropbox_server.put(f"{FOLDER}/log.txt", b"good")
    whole = b"x" * (9 * 1024 * 1024)

    def write() -> None:
        file = fs.open(f"{FOLDER}/log.txt", "wb")
        try:
            file.write(whole)
        finally:
            file.close()

    exc = raised(write)
    if which == PLAIN:
        assert exc is not None
        assert dropbox_server.read(f"{FOLDER}/log.txt") != b"good"
    else:
        assert isinstance(exc, NotImplementedError)
        assert dropbox_server.read(f"{FOLDER}/log.txt") == b"good"


def test_a_program_that_fails_while_it_writes(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """Half a file never appears."""
    with contextlib.suppress(RuntimeError, NotImplementedError), fs.open(f"{FOLDER}/log.txt", "wb") as file:
        file.write(b"half")
        raise RuntimeError
    assert dropbox_server.read(f"{FOLDER}/log.txt") == (b"half" if which == PLAIN else None)


def test_a_name_that_is_taken(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """Nothing is written under another name than the one asked for."""
    dropbox_server.put(f"{FOLDER}/log.txt", b"good")
    mode = "ab" if which == PLAIN else "xb"

    def write() -> None:
        with fs.open(f"{FOLDER}/log.txt", mode) as file:
            file.write(b"more")

    exc = raised(write)
    if which == PLAIN:
        assert exc is None
        assert dropbox_server.names(FOLDER) == {"log.txt", "log (1).txt"}
    else:
        assert isinstance(exc, NotImplementedError)
        assert dropbox_server.names(FOLDER) == {"log.txt"}


def test_making_folders(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """Nothing creates a folder, and an error says so; the plain package returns normally."""
    for make in (lambda: fs.mkdir(FOLDER), lambda: fs.makedirs("/new/below")):
        assert (raised(make) is None) == (which == PLAIN)
    assert dropbox_server.drive.find("/new/below") is None


def test_copying_a_folder_onto_another(fs: Any, which: str, dropbox_server: DropboxServer) -> None:
    """The destination is not deleted first."""
    dropbox_server.put("/one/1.jpg", b"1")
    dropbox_server.put("/two/2.jpg", b"2")
    exc = raised(lambda: fs.copy("/one/", "/two/"))
    if which == PLAIN:
        assert exc is None
        assert "2.jpg" not in dropbox_server.names("/two")
    else:
        assert isinstance(exc, NotImplementedError)
        assert dropbox_server.names("/two") == {"2.jpg"}


@pytest.mark.parametrize("what", ["to_json", "to_dict", "pickle", "options", "cache"])
def test_what_a_file_system_gives_away(fs: Any, which: str, dropbox_server: DropboxServer, what: str) -> None:
    """No serialised form, option or cache contains a token."""
    import pickle

    token = dropbox_server.token()
    if which == PLAIN:
        fs = DropboxDriveFileSystem(token=token)
        shown = {
            "to_json": lambda: fs.to_json(include_password=False),
            "to_dict": lambda: str(fs.to_dict()),
            "pickle": lambda: str(pickle.dumps(fs)),
            "options": lambda: str(fs.storage_options),
            "cache": lambda: token if DropboxDriveFileSystem(token=token) is fs else "",
        }
        assert token in shown[what]()
        return
    match what:
        case "options":
            assert fs.storage_options == {}
        case "cache":
            assert fs not in type(fs)._cache.values()
        case "pickle":
            assert isinstance(raised(lambda: pickle.dumps(fs)), TypeError)
        case _:
            assert isinstance(raised(getattr(fs, what)), TypeError)


def test_what_is_logged(
    fs: Any, which: str, dropbox_server: DropboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    """No log line contains a file name; the plain package writes them to the root logger."""
    caplog.set_level(logging.DEBUG)
    dropbox_server.put(f"{FOLDER}/10042_DRJ.jpg", b"x")
    if which == PLAIN:
        fs.rm_file(f"{FOLDER}/10042_DRJ.jpg")
        fs.mkdir(f"{FOLDER}/10042")
    else:
        fs.cat_file(f"{FOLDER}/10042_DRJ.jpg")
        fs.find(FOLDER)
    assert ("10042" in caplog.text) == (which == PLAIN)


# --- the client below


def test_many_threads_with_a_token_that_has_ended(which: str, dropbox_server: DropboxServer) -> None:
    """One renewal is enough for all threads; the plain client renews once in each thread."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    refresh = dropbox_server.authorization.refresh_token(dropbox_server.app)
    if which == PLAIN:
        client = open_sdk(dropbox_server, oauth2_refresh_token=refresh, app_key=dropbox_server.app.key)
        action: Callable[[], object] = lambda: client.files_list_folder(FOLDER)  # noqa: E731
    else:
        server = DropboxAuthorization(dropbox_server.app.key, endpoint=dropbox_server.url)
        store = MemoryStore()
        signin = SignIn(server, store=store)
        store.save(signin._key, refresh)
        action = signin
    dropbox_server.latency_s = 0.05
    barrier = threading.Barrier(12)

    def run() -> None:
        barrier.wait()
        action()

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (dropbox_server.calls["oauth2/token"] > 1) == (which == PLAIN)


@pytest.mark.parametrize("form", ["header", "503"])
def test_how_long_the_server_wants_to_be_left_alone(
    which: str,
    form: str,
    dropbox_server: DropboxServer,
    open_dropbox: Callable[..., DropboxSource],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``Retry-After`` counts with or without the body, and with a 503 too."""
    dropbox_server.fail("files/list_folder", Fault.throttled(7, form=form))
    waited: list[float] = []
    if which == PLAIN:
        monkeypatch.setattr(dropbox_client, "time", SimpleNamespace(sleep=waited.append))
        open_sdk(dropbox_server).files_list_folder(FOLDER)
        assert max(waited) < 7
    else:
        source = open_dropbox(patience=hurried(on_wait=lambda pause: waited.append(pause.seconds)))
        assert list(source.scan()) == []
        assert sum(waited) == pytest.approx(7)


def test_a_server_that_is_never_content(
    which: str,
    dropbox_server: DropboxServer,
    open_dropbox: Callable[..., DropboxSource],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller sets how long to wait; the plain client retries for ever."""
    dropbox_server.fail("files/list_folder", Fault.throttled(5), times=None)
    if which == PLAIN:

        class Enough(Exception):
            pass

        count = [0]

        def sleep(_seconds: float) -> None:
            count[0] += 1
            if count[0] >= 50:
                raise Enough

        monkeypatch.setattr(dropbox_client, "time", SimpleNamespace(sleep=sleep))
        assert isinstance(raised(lambda: open_sdk(dropbox_server).files_list_folder(FOLDER)), Enough)
    else:
        source = open_dropbox(patience=hurried(12))
        exc = raised(lambda: list(source.scan()))
        assert isinstance(exc, Throttled)
        assert exc.after_s == pytest.approx(5)
        assert dropbox_server.calls["files/list_folder"] == 3


def test_a_connection_that_breaks_once(
    which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource]
) -> None:
    """Calls that only read are retried."""
    dropbox_server.fail("files/list_folder", Fault.lost())
    if which == PLAIN:
        exc = raised(lambda: open_sdk(dropbox_server).files_list_folder(FOLDER))
        assert isinstance(exc, requests.ConnectionError)
    else:
        assert list(open_dropbox().scan()) == []


def test_a_body_that_breaks_off_once(
    which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource], tmp_path: Path
) -> None:
    """An interrupted download starts over; the plain client leaves half of it on the disk."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x" * 200_000)
    dropbox_server.fail("files/download", Fault.cut(100_000))
    if which == PLAIN:
        target = tmp_path / "photo.jpg"
        client = open_sdk(dropbox_server)
        assert raised(lambda: client.files_download_to_file(str(target), f"{FOLDER}/photo.jpg")) is not None
        assert target.stat().st_size < 200_000
    else:
        source = open_dropbox()
        (file,) = source.scan()
        with source.fetch(file, staging=tmp_path) as content:
            assert content.size_bytes == 200_000
        assert list(tmp_path.iterdir()) == []


def test_a_download_that_says_it_is_whole(
    which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource], tmp_path: Path
) -> None:
    """100,000 of 200,000 bytes are no success, whatever length the header has."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x" * 200_000)
    dropbox_server.fail("files/download", Fault.short(100_000), times=None)
    if which == PLAIN:
        target = tmp_path / "photo.jpg"
        said = open_sdk(dropbox_server).files_download_to_file(str(target), f"{FOLDER}/photo.jpg")
        assert (said.size, target.stat().st_size) == (200_000, 100_000)
    else:
        source = open_dropbox()
        (file,) = source.scan()
        assert isinstance(raised(lambda: source.fetch(file)), ContentMismatch)


@pytest.mark.parametrize("route", ["files/list_folder", "files/get_metadata"])
def test_an_answer_that_is_none(
    which: str, route: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource]
) -> None:
    """Whatever comes, the error is one of ours; the plain client raises assertions and parser errors."""
    fault = Fault(status=200, body=b"{", headers={"Content-Type": "application/json"})
    dropbox_server.fail(route, fault, times=None)
    if which == PLAIN:
        client = open_sdk(dropbox_server)
        call = client.files_list_folder if route == "files/list_folder" else client.files_get_metadata
        exc = raised(lambda: call(FOLDER))
        assert exc is not None
        assert not isinstance(exc, dropbox.exceptions.DropboxException)
    else:
        assert isinstance(raised(lambda: list(open_dropbox().scan())), SourceUnavailable)


def test_a_deletion_whose_answer_was_lost(
    which: str,
    dropbox_server: DropboxServer,
    open_dropbox: Callable[..., DropboxSource],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deletion took effect, so it succeeds; the plain client repeats it and reports that there is no such file."""
    monkeypatch.setattr(dropbox_client, "time", SimpleNamespace(sleep=lambda _seconds: None))
    rev = dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    dropbox_server.fail("files/delete_v2", Fault.unavailable(after=True))
    if which == PLAIN:
        client = open_sdk(dropbox_server)
        exc = raised(lambda: client.files_delete_v2(f"{FOLDER}/photo.jpg", parent_rev=rev))
        assert isinstance(exc, ApiError)
        assert exc.error.get_path_lookup().is_not_found()
    else:
        source = open_dropbox()
        (file,) = source.scan()
        source.remove(file, sha256="")
    assert dropbox_server.read(f"{FOLDER}/photo.jpg") is None


def test_what_the_result_of_a_sign_in_shows(which: str, dropbox_server: DropboxServer) -> None:
    """Its ``repr`` contains no token."""
    token = "sl.very-secret"
    if which == PLAIN:
        result = dropbox.oauth.OAuth2FlowNoRedirectResult(token, "a", "u", "refresh-secret", 4, "s")
        assert token in repr(result)
    else:
        from intouch_import.signin.authorization import Grant

        assert token not in repr(Grant(access_token=token, refresh_token="refresh-secret"))


def test_a_cursor_that_has_ended(
    which: str, dropbox_server: DropboxServer, open_dropbox: Callable[..., DropboxSource]
) -> None:
    """The whole folder is listed from the start."""
    for number in range(5):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    dropbox_server.api.page_entries = 2
    dropbox_server.fail("files/list_folder/continue", Fault.reset_cursor(), skip=1)
    if which == PLAIN:
        fs = DropboxDriveFileSystem(client=open_sdk(dropbox_server), skip_instance_cache=True)
        assert isinstance(raised(lambda: fs.ls(FOLDER)), ApiError)
    else:
        assert len(list(open_dropbox().scan())) == 5


def test_many_deletions_at_once(which: str) -> None:
    """They are sent one after the other, because Dropbox refuses parallel writes."""
    with DropboxServer(contention=True) as server:
        revs = {f"{FOLDER}/{number}.jpg": server.put(f"{FOLDER}/{number}.jpg", b"x") for number in range(8)}
        barrier = threading.Barrier(8)
        refused: list[BaseException | None] = []
        if which == PLAIN:
            client = open_sdk(server, max_retries_on_rate_limit=0)
            actions: list[Callable[[], object]] = [
                lambda path=path, rev=rev: client.files_delete_v2(path, parent_rev=rev)
                for path, rev in revs.items()
            ]
        else:
            from intouch_import.dropbox import DropboxSource

            token = server.token()
            source = DropboxSource(FOLDER, signin=lambda _force=False: token, endpoint=server.url)
            actions = [lambda file=file: source.remove(file, sha256="") for file in source.scan()]

        def run(action: Callable[[], object]) -> None:
            barrier.wait()
            refused.append(raised(action))

        threads = [threading.Thread(target=run, args=[action]) for action in actions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if which == PLAIN:
            assert any(isinstance(exc, RateLimitError) for exc in refused)
        else:
            assert refused == [None] * 8
            assert server.calls["files/delete_v2"] == 8
            source.close()


def test_sessions_of_the_plain_client_are_made_as_it_makes_them(
    which: str, dropbox_server: DropboxServer
) -> None:
    """The tests above use the unchanged SDK; only the host is another."""
    session = plain_session(dropbox_server)
    assert session.auth is None
    assert session.trust_env
    assert dropbox.Dropbox("token", session=session)._max_retries_on_rate_limit is None
