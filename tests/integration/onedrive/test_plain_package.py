"""The faults of the plain msgraphfs: each test shows one fault, and that our source does not have it.

When the plain package is fixed, its half of a test fails: then our source needs less.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hands
import httpx
import pytest

from intouch_import.errors import (
    FileChanged,
    FileError,
    InTouchImportError,
    SourceError,
    SourceUnavailable,
)
from intouch_import.model import EntryKind
from services.doubles.onedrive import Fault, OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.doubles.onedrive import Item

PATH = "images/intouch"
BOTH = pytest.mark.parametrize("who", ["plain", "ours"])
# The plain package leaves its connections open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Let the garbage collector close what the plain package left open, before a test of another file is blamed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def hand(who: str, personal: OneDriveServer, opened: Callable[..., Any]) -> hands.Plain | hands.Ours:
    """One of the two packages, on the folder of photos."""
    personal.drive.folder(PATH)
    return hands.Plain(personal, PATH) if who == "plain" else hands.Ours(opened(personal))


@pytest.fixture
def folder(personal: OneDriveServer) -> Item:
    """The folder of photos."""
    return personal.drive.folder(PATH)


@BOTH
def test_a_name_is_a_name_and_no_address(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """Deleting ``photo#1.jpg`` deletes that file; unencoded, it deletes the folder ``photo`` with everything in it."""
    personal.drive.write(folder, "photo#1.jpg", b"one")
    personal.drive.write(personal.drive.folder(f"{PATH}/photo"), "inside.jpg", b"other")
    hand.delete("photo#1.jpg")
    left = {item.name for item in folder.children.values()}
    assert left == ({"photo#1.jpg"} if hand.is_plain else {"photo"})


@BOTH
def test_a_name_that_begins_with_a_fragment_is_not_the_folder(
    hand: Any, personal: OneDriveServer, folder: Item
) -> None:
    """Deleting ``#1.jpg`` deletes that file; unencoded, it deletes the whole folder of photos."""
    personal.drive.write(folder, "#1.jpg", b"one")
    personal.drive.write(folder, "other.jpg", b"other")
    hand.delete("#1.jpg")
    assert folder.deleted is hand.is_plain
    assert hand.is_plain or set(folder.children) == {"other.jpg"}


@BOTH
def test_percent_signs_in_names_are_not_decoded(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """``a%20b.jpg`` and ``a b.jpg`` are two files; unencoded, one is read and deleted in place of the other."""
    personal.drive.write(folder, "a%20b.jpg", b"percent")
    personal.drive.write(folder, "a b.jpg", b"blank")
    assert hand.read("a%20b.jpg") == (b"blank" if hand.is_plain else b"percent")
    hand.delete("a%20b.jpg")
    assert set(folder.children) == ({"a%20b.jpg"} if hand.is_plain else {"a b.jpg"})


@BOTH
def test_a_replaced_file_is_not_deleted(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """A file that was replaced after it was read stays; without a condition, the new photo is deleted unread."""
    item = personal.drive.write(folder, "a.jpg", b"read")
    if hand.is_plain:
        assert hand.read("a.jpg") == b"read"
        personal.drive.replace(item, b"new")
        hand.delete("a.jpg")
        assert item.deleted
    else:
        hand.names()
        personal.fail("delete", Fault.somebody(lambda: personal.drive.replace(item, b"new")))
        with pytest.raises(FileChanged):
            hand.delete("a.jpg")
        assert (item.deleted, item.content) == (False, b"new")


@BOTH
def test_what_is_deleted_can_be_had_back(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """A removed photo is in the recycle bin; by default the plain package deletes permanently."""
    item = personal.drive.write(folder, "a.jpg", b"photo")
    hand.delete("a.jpg")
    assert personal.drive.bin == ([] if hand.is_plain else [item])
    assert personal.drive.permanently_deleted == ([item] if hand.is_plain else [])
    assert personal.calls["permanentDelete"] == (1 if hand.is_plain else 0)


@BOTH
@pytest.mark.parametrize("body", [b"half a ph", b"<html>Sorry, an error</html>", b"another one!"])
def test_other_bytes_than_the_service_holds_are_refused(
    hand: Any, body: bytes, personal: OneDriveServer, folder: Item
) -> None:
    """A cut body, an error page, other bytes of the same length: for the plain package each of them is a photo."""
    personal.drive.write(folder, "a.jpg", b"half a photo")
    personal.fail("download", Fault(status=200, body=body), times=None)
    if hand.is_plain:
        assert hand.read("a.jpg") == body
    else:
        with pytest.raises(FileError):
            hand.read("a.jpg")
        assert not folder.children["a.jpg"].deleted


@BOTH
def test_ignored_ranges_do_not_splice(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """A server may answer a range with the whole file: read in blocks, its beginning is then read twice."""
    content = bytes(range(256)) * 64
    personal.drive.write(folder, "a.jpg", content)
    personal.fail("download", Fault(status=200, body=content), times=None)
    if hand.is_plain:
        with hand.fs.open(f"{hand.path}/a.jpg", block_size=4096, cache_type="none") as file:
            file.seek(4096)
            assert file.read(4096) != content[4096:8192]
    else:
        assert hand.read("a.jpg") == content


@BOTH
def test_two_versions_are_not_mixed(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """A file that is replaced between two blocks is not mixed from both versions."""
    item = personal.drive.write(folder, "a.jpg", b"1" * 8192)
    if hand.is_plain:
        with hand.fs.open(f"{hand.path}/a.jpg", block_size=4096, cache_type="none") as file:
            first = file.read(4096)
            personal.drive.replace(item, b"2" * 8192)
            assert first + file.read(4096) == b"1" * 4096 + b"2" * 4096
    else:
        hand.names()
        personal.fail("download", Fault.somebody(lambda: personal.drive.replace(item, b"2" * 8192)))
        with pytest.raises(FileChanged):
            hand.read("a.jpg")


@BOTH
def test_a_page_that_fails_is_no_end(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """An error in the middle of the pages is raised; the plain package ignores HTTP 422 and lists 4 of 7 files."""
    personal.graph.page_size = 4
    for number in range(7):
        personal.drive.write(folder, f"{number}.jpg", b"x")
    if hand.is_plain:
        personal.fail("children", Fault.refused(422, "invalidRequest"), skip=1)
        assert len(hand.names()) == 4
    else:
        personal.fail("children", Fault.refused(422, "invalidRequest"))
        with pytest.raises(SourceUnavailable):
            hand.names()
        assert len(hand.names()) == 7


@BOTH
def test_an_answer_without_entries_is_no_empty_folder(
    hand: Any, personal: OneDriveServer, folder: Item
) -> None:
    """An answer without a list is not understood; the plain package sees an empty folder."""
    personal.drive.write(folder, "a.jpg", b"x")
    personal.fail("children", Fault(rewrite=lambda told: {"@odata.context": told["@odata.context"]}))
    if hand.is_plain:
        assert hand.names() == []
    else:
        with pytest.raises(SourceUnavailable, match="not understood"):
            hand.names()


@BOTH
def test_the_token_goes_nowhere_else(
    hand: Any, personal: OneDriveServer, business: OneDriveServer, folder: Item
) -> None:
    """A link to another server is not followed; the plain package sends it the token."""
    personal.drive.write(folder, "a.jpg", b"x")
    elsewhere = f"{business.endpoint}/v1.0/me/drive/root/children"
    personal.fail("children", Fault(rewrite=lambda told: {**told, "@odata.nextLink": elsewhere}))
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of either package
        hand.names()
    assert isinstance(caught.value, SourceUnavailable) is not hand.is_plain
    seen = [request.headers.get("authorization") for request in business.requests]
    assert seen == ([f"Bearer {hand.token}"] if hand.is_plain else [])


@BOTH
def test_a_link_to_another_folder_is_not_followed(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """A link to another folder of the same drive lists nothing of it."""
    personal.drive.write(folder, "a.jpg", b"x")
    personal.drive.write(personal.drive.root, "another patient.jpg", b"x")
    root = f"{personal.endpoint}/v1.0/drives/{personal.drive.id}/root/children"
    personal.fail("children", Fault(rewrite=lambda told: {**told, "@odata.nextLink": root}))
    if hand.is_plain:
        assert "another patient.jpg" in hand.names()
    else:
        with pytest.raises(SourceUnavailable, match="not in the folder"):
            hand.names()


@BOTH
def test_only_a_missing_file_is_missing(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """A new download address replaces an expired one; for the plain package the file does not exist."""
    personal.drive.write(folder, "a.jpg", b"photo")
    personal.fail("download", Fault(status=404, body=b"<html>expired</html>"))
    if hand.is_plain:
        with pytest.raises(FileNotFoundError):
            hand.read("a.jpg")
    else:
        assert hand.read("a.jpg") == b"photo"


@BOTH
def test_a_wrong_drive_is_no_missing_file(
    who: str, personal: OneDriveServer, opened: Callable[..., Any]
) -> None:
    """A drive that does not exist is an error of the location, not an empty folder."""
    if who == "plain":
        plain = hands.Plain(personal, "")
        plain.fs.drive_url = f"{personal.endpoint}/v1.0/drives/0123456789abcdef"
        with pytest.raises(FileNotFoundError):
            plain.fs.ls("/a.jpg")
        assert plain.fs.exists("/a.jpg") is False
    else:
        source = opened(personal, "", drive_id="0123456789abcdef")
        with pytest.raises(SourceUnavailable, match="no such folder or drive"):
            source.scan()
        with pytest.raises(SourceUnavailable, match="no such folder or drive"):
            source.look("a.jpg")


@BOTH
def test_a_slow_deletion_is_waited_for_or_found_out(
    who: str, personal: OneDriveServer, folder: Item, opened: Callable[..., Any]
) -> None:
    """A deletion that takes longer than the timeout, and takes effect, succeeds; after 5 s the plain package fails."""
    personal.drive.write(folder, "a.jpg", b"photo")
    if who == "plain":
        plain = hands.Plain(personal, PATH)
        assert plain.fs.client.timeout.read == 5.0
        plain.fs.client.timeout = httpx.Timeout(0.3)  # the same without the 5 s
        personal.fail("permanentDelete", Fault(pause_s=0.6))
        with pytest.raises(httpx.ReadTimeout):
            plain.delete("a.jpg")
    else:
        ours = hands.Ours(opened(personal, timeout_s=0.3))
        ours.names()
        personal.fail("delete", Fault(pause_s=0.6))
        ours.delete("a.jpg")
        assert personal.calls["delete"] == 2  # the second request found no file
        assert opened(personal)._client._timeout_s == 60.0
    assert folder.children == {}


@BOTH
def test_a_file_that_says_little_of_itself_is_a_file(
    hand: Any, personal: OneDriveServer, folder: Item
) -> None:
    """``"file": {}`` is a file; a package, a pointer and malware are not."""
    item = personal.drive.write(folder, "a.jpg", b"photo")
    personal.drive.add(folder, "notes", None, package={"type": "oneNote"})
    personal.drive.add(folder, "bad.jpg", b"virus").facets["malware"] = {"description": "x"}
    item.told_hashes = {}
    personal.fail("children", Fault(rewrite=_without_mime_type), times=None)
    if hand.is_plain:
        kinds = {entry["name"].rpartition("/")[2]: entry["type"] for entry in hand.fs.ls(hand.path)}
        assert kinds["a.jpg"] == "other"
    else:
        hand.names()
        kinds = {name: file.kind for name, file in hand.listed.items()}
        special = EntryKind.SPECIAL
        assert kinds == {"a.jpg": EntryKind.FILE, "notes": special, "bad.jpg": special}


def _without_mime_type(told: dict[str, Any]) -> dict[str, Any]:
    for item in told["value"]:
        if "file" in item:
            item["file"] = {}
    return told


@BOTH
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 509])
def test_what_passes_is_waited_for(hand: Any, status: int, personal: OneDriveServer, folder: Item) -> None:
    """If the service asks for a pause or fails briefly, the request is retried; the plain package gives up at once."""
    personal.drive.write(folder, "a.jpg", b"photo")
    personal.fail("children", Fault.refused(status, retry_after="2"))
    if hand.is_plain:
        with pytest.raises((httpx.HTTPStatusError, TypeError)):  # its own handler of errors fails too
            hand.names()
    else:
        assert hand.names() == ["a.jpg"]


@BOTH
def test_few_requests_at_once(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """A source has only few requests open at a time; the plain package as many as there are files."""
    for number in range(40):
        personal.drive.write(folder, f"{number}.jpg", b"photo")
    names = hand.names()
    personal.forget_calls()
    personal.latency_s = 3.0 if hand.is_plain else 0.01  # time to begin them all on a busy machine
    if hand.is_plain:
        hand.fs.cat([f"{hand.path}/{name}" for name in names])
        assert personal.most_at_once > 16
    else:
        with ThreadPoolExecutor(40) as pool:
            assert len(list(pool.map(hand.read, names))) == 40
        assert personal.most_at_once <= 8


@BOTH
def test_a_refused_token_is_renewed(
    who: str, personal: OneDriveServer, folder: Item, opened: Callable[..., Any]
) -> None:
    """A token that is refused early is renewed once; the plain package only looks at the clock."""
    personal.drive.write(folder, "a.jpg", b"photo")
    hand: Any = hands.Plain(personal, PATH) if who == "plain" else hands.Ours(opened(personal))
    assert hand.names() == ["a.jpg"]
    personal.identity.expire_access()
    if hand.is_plain:
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            hand.read("a.jpg")
    else:
        assert hand.names() == ["a.jpg"]


@BOTH
def test_ones_own_drive_needs_no_id(
    who: str, personal: OneDriveServer, folder: Item, opened: Callable[..., Any]
) -> None:
    """The drive of the signed-in person needs no id; the plain package needs a site and a drive in the path."""
    personal.drive.write(folder, "a.jpg", b"photo")
    if who == "plain":
        plain = hands.MSGDriveFS(oauth2_client_params={"token": {}}, skip_instance_cache=True)
        with pytest.raises(ValueError, match="site and drive"):
            plain.ls("/")
    else:
        assert hands.Ours(opened(personal)).names() == ["a.jpg"]
        assert any(request.path.startswith("/v1.0/me/drive/") for request in personal.requests)


@BOTH
def test_nothing_is_taken_from_the_environment(
    who: str, personal: OneDriveServer, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Any]
) -> None:
    """Credentials of another program in the environment are not used."""
    for name in ("CLIENT_ID", "TENANT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", "another program's")
    if who == "plain":
        plain = hands.MSGDriveFS(skip_instance_cache=True)
        assert plain.client.client_secret == "another program's"
    else:
        personal.drive.folder(PATH)
        opened(personal).scan()
        assert all("another" not in repr(request) for request in personal.requests)
        with pytest.raises(InTouchImportError, match="do not take these options"):
            opened(personal, signin=None, client_secret="x")


@BOTH
def test_secrets_are_not_written_down(
    who: str, personal: OneDriveServer, folder: Item, opened: Callable[..., Any]
) -> None:
    """No pickle, JSON or option of the file system contains a secret; those of the plain package do."""
    if who == "plain":
        params = {"client_id": "x", "client_secret": "CANARY", "token": {"access_token": "TOKEN"}}
        plain = hands.MSGDriveFS(drive_id="d", oauth2_client_params=params, skip_instance_cache=True)
        assert "CANARY" in str(plain.storage_options)
        assert b"CANARY" in pickle.dumps(plain)
        assert "CANARY" in plain.to_json(include_password=False)
        return
    token = personal.token()
    source = opened(personal, signin=lambda force=False: token)
    source.scan()
    face = source.filesystem
    assert face.ls("/") == []
    for thing in (source, face, source._client):
        with pytest.raises((TypeError, NotImplementedError)):
            pickle.dumps(thing)
        assert token not in repr(thing)
    assert token not in f"{face.storage_options} {face.storage_args}"
    for write in (face.to_json, face.to_dict):
        with pytest.raises(TypeError):
            write()


@BOTH
def test_two_providers_never_share(who: str, personal: OneDriveServer, opened: Callable[..., Any]) -> None:
    """A folder opened for one provider is never given to another, even if the options look the same."""

    class Looks(dict[str, Any]):
        def __repr__(self) -> str:
            return "<alike>"

    if who == "plain":
        one, other = (
            hands.MSGDriveFS(drive_id="d", oauth2_client_params=Looks(client_secret=secret))
            for secret in ("of one", "of another")
        )
        assert one is other
        hands.MSGDriveFS.clear_instance_cache()
        return
    first, second = personal.account, personal.add_account("second", personal.add_drive("personal"))
    personal.drive.write(personal.drive.folder(PATH), "first.jpg", b"1")
    second.drive.write(second.drive.folder(PATH), "second.jpg", b"2")

    class Alike:
        def __init__(self, account: Any) -> None:
            self.token = personal.token(account=account)

        def __call__(self, force: bool = False) -> str:
            return self.token

        def __repr__(self) -> str:
            return "<alike>"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Alike)

        def __hash__(self) -> int:
            return 1

    sources = [opened(personal, signin=Alike(account)) for account in (first, second)]
    assert [[file.name for file in source.scan()] for source in sources] == [["first.jpg"], ["second.jpg"]]
    faces = [source.filesystem for source in sources]
    assert faces[0] is not faces[1]
    assert [face.ls("/", detail=False) for face in faces] == [["/first.jpg"], ["/second.jpg"]]


@BOTH
def test_short_lived_rights_are_not_shown(
    hand: Any, personal: OneDriveServer, folder: Item, caplog: pytest.LogCaptureFixture
) -> None:
    """No log line and no exception contains a download address, a path or a name."""
    personal.drive.write(folder, "CANARY.jpg", b"photo")
    with caplog.at_level(logging.DEBUG):
        names = hand.names()
        hand.read(names[0])
        personal.fail("download", Fault(status=403, body=b"refused"), times=None)
        with pytest.raises(Exception) as caught:  # noqa: PT011  # of either package
            hand.read(names[0])
    shown = caplog.text + _told(caught.value)
    assert ("tempauth" in shown) is hand.is_plain
    assert ("CANARY" in shown) is hand.is_plain
    # The host's own requests are logged as before.
    caplog.clear()
    with caplog.at_level(logging.INFO):
        httpx.get(personal.content_url)
    assert "HTTP Request" in caplog.text


def _told(exc: BaseException) -> str:
    import traceback

    # Only what the exceptions themselves say, without the lines of code.
    return "".join(str(one) + repr(one) for one in _chain(exc)) + "".join(
        line for line in traceback.format_exception_only(exc)
    )


def _chain(exc: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while exc is not None:
        found.append(exc)
        exc = exc.__cause__ if exc.__suppress_context__ else (exc.__cause__ or exc.__context__)
    return found


@BOTH
def test_a_running_loop_is_no_obstacle(hand: Any, personal: OneDriveServer, folder: Item) -> None:
    """Everything works if a loop is already running, as in a notebook; the plain package fails, and keeps failing."""
    personal.drive.write(folder, "a.jpg", b"photo")

    async def cell() -> list[str]:
        names: list[str] = hand.names()
        return names

    if hand.is_plain:
        with pytest.raises(Exception, match=r"running loop|asynchronous|different loop"):
            asyncio.run(cell())
    else:
        assert asyncio.run(cell()) == ["a.jpg"]
        assert hand.read("a.jpg") == b"photo"
        assert hand.source.filesystem.ls("/", detail=False) == ["/a.jpg"]


@BOTH
def test_another_http_package_changes_nothing(
    who: str, tmp_path: Path, personal: OneDriveServer, folder: Item
) -> None:
    """If a successor of httpx is installed, errors are still understood; authlib switches to it, and they escape."""
    personal.drive.write(folder, "a.jpg", b"photo")
    successor = tmp_path / "httpx2"
    shutil.copytree(Path(httpx.__file__).parent, successor)
    for module in successor.rglob("*.py"):
        module.write_text(re.sub(r"\bhttpx\b", "httpx2", module.read_text("utf-8")), "utf-8")
    tests = str(Path(__file__).parent)
    common = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {tests!r}]\n"
    plain = f"""
from msgraphfs import MSGDriveFS
params = {{"token": {{"access_token": {personal.token()!r}, "token_type": "Bearer", "expires_in": 3600}}}}
fs = MSGDriveFS(drive_id="x", oauth2_client_params=params)
fs.drive_url = "{personal.endpoint}/v1.0/drives/{personal.drive.id}"
try:
    print(fs.exists("/missing.jpg"))
except Exception as exc:
    print(type(exc).__module__, type(exc).__name__)
"""
    ours = f"""
from intouch_import import open_source
token = {personal.token()!r}
source = open_source("onedrive:///{PATH}", signin=lambda force=False: token, endpoint="{personal.endpoint}")
print(source.look("missing.jpg"), len(list(source.scan())), "httpx2" in sys.modules, "authlib" in sys.modules)
source.close()
"""
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", common + (plain if who == "plain" else ours)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert child.stdout.strip() == ("httpx2 HTTPStatusError" if who == "plain" else "None 1 False False")


def test_the_file_system_looks(personal: OneDriveServer, folder: Item, opened: Callable[..., Any]) -> None:
    """It lists, describes and finds files by paths below the folder of the source, whatever their names contain."""
    personal.drive.write(folder, "a#1%20.jpg", b"photo")
    personal.drive.write(personal.drive.folder(f"{PATH}/sub"), "b.jpg", b"12")
    face = opened(personal).filesystem
    assert face.ls("/", detail=False) == ["/a#1%20.jpg", "/sub"]
    assert face.ls("/sub", detail=False) == ["/sub/b.jpg"]
    assert face.ls("/a#1%20.jpg", detail=False) == ["/a#1%20.jpg"]
    assert face.info("/a#1%20.jpg")["size"] == face.size("/a#1%20.jpg") == 5
    assert "downloadUrl" not in str(face.info("/a#1%20.jpg"))
    assert (face.exists("/sub/b.jpg"), face.exists("/nothing"), face.isdir("/sub")) == (True, False, True)
    assert (face.isfile("/sub"), face.isdir("/nothing")) == (False, False)
    assert face.find("/") == ["/a#1%20.jpg", "/sub/b.jpg"]
    with pytest.raises(FileNotFoundError):
        face.ls("/../")
    with pytest.raises(FileNotFoundError):
        face.info("/nothing")
    for call in ("item", "children", "delta"):
        personal.fail(call, Fault.refused(403, "accessDenied"), times=None)
    with pytest.raises(SourceError):
        face.exists("/a#1%20.jpg")
