"""A Dropbox folder as a source: listing by changes, pinned reads and removals, faults at every call."""

from __future__ import annotations

import os
import pickle
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Pause
from intouch_import.dropbox import DropboxSource
from intouch_import.dropbox.transfer import ContentHash, content_hash_of
from intouch_import.errors import (
    ConfigError,
    ContentMismatch,
    FileChanged,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    NotRemoved,
    SignInFailed,
    SignInNeeded,
    SourceError,
    SourceUnavailable,
    Throttled,
)
from intouch_import.model import EntryKind, SourceFile
from intouch_import.sources import open_source
from miniature import NOW
from services.doubles.dropbox import Account, App, DropboxServer, Fault
from services.dropbox_server import FOLDER, hurried

if TYPE_CHECKING:
    from pathlib import Path

Open = Any
JSON = {"Content-Type": "application/json"}


def by_name(source: DropboxSource) -> dict[str, SourceFile]:
    return {file.name: file for file in source.scan()}


def one(source: DropboxSource, name: str = "photo.jpg") -> SourceFile:
    return by_name(source)[name]


def bytes_of(source: DropboxSource, file: SourceFile, staging: Path | None = None) -> bytes:
    with source.fetch(file, staging=staging) as content, content.open() as stream:
        return stream.read()


# --- opening


def test_a_practice_in_the_vendors_cloud_is_refused_before_anything_is_asked(
    dropbox_server: DropboxServer,
) -> None:
    """`hosted` is checked first: before the sign-in, the server and the installed packages."""

    def never(_force: bool = False) -> str:
        raise AssertionError("nobody asks for a token")

    with pytest.raises(ConfigError, match="hosted"):
        open_source("dropbox:///apps/intouch", signin=never, endpoint=dropbox_server.url, hosted=True)
    with pytest.raises(ConfigError, match="hosted"):
        open_source("dropbox:///apps/intouch", hosted=True)
    assert not dropbox_server.calls


@pytest.mark.parametrize(
    ("path", "options", "text"),
    [
        ("/a", {"signin": None}, "signin"),
        ("/a", {"signin": "sl.token"}, "signin"),
        ("/a/../b", {}, "write"),
        ("/a/./b", {}, "write"),
        ("/a\\b", {}, "write"),
        ("/a\nb", {}, "write"),
        ("/a", {"endpoint": "http://dropbox.example"}, "https"),
        ("/a", {"concurrency": 0}, "concurrency"),
        ("/a", {"timeout_s": 0}, "timeout_s"),
    ],
)
def test_options_that_make_no_sense(path: str, options: dict[str, Any], text: str) -> None:
    """They are refused when the folder is opened, and the message repeats no value."""
    with pytest.raises(ConfigError, match=text) as caught:
        DropboxSource(path, **{"signin": lambda _force=False: "sl.token", **options})
    assert "sl.token" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("dropbox:///Apps/inTOUCH", "inTOUCH"),
        ("dropbox:///apps/intouch/", "intouch"),
        ("dropbox://apps/intouch", "intouch"),
        ("dropbox:///Apps/in%54OUCH", "inTOUCH"),
        ("DROPBOX:///APPS/INTOUCH", "INTOUCH"),
    ],
)
def test_a_folder_is_one_however_it_is_written(dropbox_server: DropboxServer, url: str, label: str) -> None:
    """Letter case does not matter, so the source id is the same. The path is percent-decoded once."""
    token = dropbox_server.token()
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    with open_source(url, signin=lambda _force=False: token, endpoint=dropbox_server.url) as source:
        assert source.location == "dropbox"
        assert source.label == label
        same = open_source("dropbox:///apps/intouch", signin=lambda _force=False: token)
        assert source.source_id == same.source_id
        assert [file.name for file in source.scan()] == ["photo.jpg"]


def test_nothing_is_asked_before_the_first_listing(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """A program can open a location that is down, or that nobody is signed in to."""
    source = open_dropbox("/nowhere", label="photos")
    assert not dropbox_server.calls
    assert (source.label, source.commits_whole) == ("photos", True)
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(source.scan())


def test_accounts_and_team_spaces_are_told_apart() -> None:
    """The same path in another account, or in the team space, is another folder."""
    from intouch_import.dropbox import DropboxAuthorization
    from intouch_import.signin import SignIn
    from intouch_import.signin.store import MemoryStore

    server = DropboxAuthorization("key")
    first, second = (
        SignIn(server, account=name, store=MemoryStore(), on_url=None) for name in ("DRJ", "DRK")
    )
    ids = {
        DropboxSource("/photos", signin=first).source_id,
        DropboxSource("/photos", signin=second).source_id,
        DropboxSource("/photos", signin=first, team_space=True).source_id,
        DropboxSource("/Photos", signin=first).source_id,
    }
    assert len(ids) == 3


def test_a_source_is_not_pickled_and_shows_no_path(open_dropbox: Open) -> None:
    """A source holds a sign-in, and its folder may have the name of a patient."""
    source = open_dropbox("/Marsh, Ada")
    assert "Marsh" not in repr(source)
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(source)
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(source._account.client)


def test_a_practice_sets_it_up_in_a_file(
    dropbox_server: DropboxServer, tmp_path: Path, practice: Any
) -> None:
    """An inbox is opened from settings: the provider's app and folder, the operator's locations, the log folder."""
    from intouch_import.inbox import Inbox
    from intouch_import.settings import Settings

    (tmp_path / "photos").mkdir()
    text = f"""
        [practice]
        zone = "UTC"
        log_dir = "{tmp_path / "logs"}"
        [provider.DRJ]
        dropbox_app_key = "y0urappkey"
        dropbox_folder = "{FOLDER}"
        local_folder = "{tmp_path / "photos"}"
        [operator.a]
        locations = ["local", "dropbox"]
    """
    file = tmp_path / "settings.toml"
    file.write_text(text.replace("\\", "/"))
    settings = Settings.load(file)
    token = dropbox_server.token()
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    opened = settings.open_sources(
        signin={"dropbox": lambda _force=False: token}, options={"dropbox": {"endpoint": dropbox_server.url}}
    )
    with opened, practice.records() as records:
        assert opened.problems == ()
        inbox = Inbox.from_settings(
            settings,
            repository=records,
            signin={"dropbox": lambda _force=False: token},
            clock=Clock(now=lambda: NOW),
        )
        listed = practice.inbox(*opened.sources, records=records)
        assert listed.refresh().problems == ()
        assert [row.name for row in listed.rows] == ["photo.jpg"]
        for source in inbox.sources:
            source.close()
    assert (tmp_path / "logs" / "MailCenter_Dropbox.log").exists()
    with pytest.raises(ConfigError, match="hosted"):
        DropboxSource("/a", signin=lambda _force=False: token, hosted=True)


# --- listing


def test_everything_in_the_folder_is_listed_with_its_kind(
    dropbox_server: DropboxServer, open_dropbox: Open
) -> None:
    """Files, folders and documents that can't be downloaded are listed, but nothing in sub-folders."""
    rev = dropbox_server.put(f"{FOLDER}/IMG 1.JPG", b"content")
    dropbox_server.put(f"{FOLDER}/Sub/below.jpg", b"x")
    dropbox_server.put_paper(f"{FOLDER}/Notes.paper")
    dropbox_server.put(f"{FOLDER}/no path.jpg", b"x", shows_path=False)
    dropbox_server.put("/Apps/inTOUCH2/beside.jpg", b"x")
    files = by_name(open_dropbox())
    assert {name: file.kind for name, file in files.items()} == {
        "IMG 1.JPG": EntryKind.FILE,
        "Sub": EntryKind.FOLDER,
        "Notes.paper": EntryKind.SPECIAL,
        "no path.jpg": EntryKind.FILE,
    }
    photo = files["IMG 1.JPG"]
    assert (photo.version, photo.size_bytes) == (rev, 7)
    assert photo.vendor_hash == f"dropbox:{content_hash_of(b'content')}"
    assert photo.modified_at is not None
    assert abs(photo.modified_at.timestamp() - time.time()) < 60


def test_a_link_is_listed_as_one(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """A symbolic link that somebody's computer has synchronised is never opened."""
    entry = {
        ".tag": "file",
        "name": "link.jpg",
        "id": "id:1",
        "rev": "123456789",
        "size": 5,
        "path_lower": f"{FOLDER.lower()}/link.jpg",
        "symlink_info": {"target": "/etc/passwd"},
    }
    page = _page([entry])
    dropbox_server.fail("files/list_folder", page)
    assert one(open_dropbox(), "link.jpg").kind is EntryKind.LINK


def _page(entries: list[Any], *, has_more: bool = False) -> Fault:
    import json

    body = json.dumps({"entries": entries, "cursor": "x", "has_more": has_more}).encode()
    return Fault(status=200, body=body, headers=JSON)


def test_after_the_first_listing_changes_alone_are_asked_for(
    dropbox_server: DropboxServer, open_dropbox: Open
) -> None:
    """New, replaced, renamed and deleted files take two requests, whatever the size of the folder."""
    dropbox_server.api.page_entries = 10
    for number in range(50):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    source = open_dropbox()
    assert len(by_name(source)) == 50
    before = sum(dropbox_server.calls.values())
    assert len(by_name(source)) == 50
    assert sum(dropbox_server.calls.values()) == before + 2
    dropbox_server.put(f"{FOLDER}/1.jpg", b"replaced")
    dropbox_server.delete(f"{FOLDER}/2.jpg")
    dropbox_server.move(f"{FOLDER}/3.jpg", f"{FOLDER}/three.jpg")
    dropbox_server.move(f"{FOLDER}/4.jpg", "/elsewhere/4.jpg")
    dropbox_server.put(f"{FOLDER}/new.jpg", b"new")
    files = by_name(source)
    assert sum(dropbox_server.calls.values()) == before + 4
    assert set(files) == {f"{number}.jpg" for number in range(50)} - {"2.jpg", "3.jpg", "4.jpg"} | {
        "three.jpg",
        "new.jpg",
    }
    assert files["1.jpg"].size_bytes == 8


def test_a_file_becomes_a_folder_and_the_other_way(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """Changes are applied in their order, by path: the last one counts."""
    dropbox_server.put(f"{FOLDER}/thing", b"x")
    source = open_dropbox()
    assert one(source, "thing").kind is EntryKind.FILE
    dropbox_server.delete(f"{FOLDER}/thing")
    dropbox_server.put(f"{FOLDER}/thing/below.jpg", b"x")
    assert one(source, "thing").kind is EntryKind.FOLDER
    dropbox_server.delete(f"{FOLDER}/Thing")
    dropbox_server.put(f"{FOLDER}/thing", b"x")
    assert one(source, "thing").kind is EntryKind.FILE


def test_empty_pages_are_not_the_end(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """Dropbox may send an empty page although more pages follow."""
    dropbox_server.api.page_entries = 1
    for number in range(4):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    dropbox_server.fail("files/list_folder page", Fault.empty())
    dropbox_server.fail("files/list_folder page", Fault.empty(), times=2, skip=1)
    source = open_dropbox()
    assert len(by_name(source)) == 4
    dropbox_server.put(f"{FOLDER}/new.jpg", b"x")
    dropbox_server.fail("files/list_folder page", Fault.empty())
    assert "new.jpg" in by_name(source)


def test_pages_that_never_end_are_an_error(
    dropbox_server: DropboxServer, open_dropbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh ends, even if the pages do not."""
    monkeypatch.setattr("intouch_import.dropbox.listing._MOST_EMPTY", 20)
    dropbox_server.fail("files/list_folder page", Fault.empty(), times=None)
    with pytest.raises(SourceUnavailable):
        list(open_dropbox().scan())
    assert sum(dropbox_server.calls.values()) < 50


def test_a_cursor_that_ends_is_begun_anew(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """Files that were deleted meanwhile are not listed. A cursor that always expires is an error."""
    dropbox_server.put(f"{FOLDER}/old.jpg", b"x")
    source = open_dropbox()
    assert set(by_name(source)) == {"old.jpg"}
    dropbox_server.delete(f"{FOLDER}/old.jpg")
    dropbox_server.put(f"{FOLDER}/new.jpg", b"x")
    dropbox_server.api.end_cursors()
    assert set(by_name(source)) == {"new.jpg"}
    dropbox_server.fail("files/list_folder/continue", Fault.reset_cursor(), times=None)
    dropbox_server.fail("files/list_folder page", Fault.empty(), times=None)
    with pytest.raises(SourceUnavailable, match="too fast"):
        list(source.scan())


def test_the_folder_is_listed_whole_now_and_then(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """A change that Dropbox did not report is found after some hours."""
    source = open_dropbox(relist_after_s=0.0)
    for _ in range(3):
        list(source.scan())
    assert dropbox_server.calls["files/list_folder"] == 3


def test_a_folder_that_goes_and_comes_back(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """A deleted folder is an error. A new folder of the same name is listed from the start."""
    dropbox_server.put(f"{FOLDER}/old.jpg", b"x")
    source = open_dropbox()
    file = one(source, "old.jpg")
    dropbox_server.delete(FOLDER)
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(source.scan())
    with pytest.raises(SourceUnavailable, match="does not exist"):
        source.look("old.jpg")
    with pytest.raises(SourceUnavailable, match="does not exist"):
        source.put("new.jpg", [b"x"])
    with pytest.raises((FileVanished, SourceUnavailable)):
        source.fetch(file)
    dropbox_server.put(f"{FOLDER}/new.jpg", b"x")
    assert set(by_name(source)) == {"new.jpg"}
    dropbox_server.delete(FOLDER)
    dropbox_server.put(f"{FOLDER}/newer.jpg", b"x")
    assert set(by_name(source)) == {"newer.jpg"}


def test_a_file_in_place_of_the_folder(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """A file is no folder, and a retry does not help."""
    dropbox_server.put("/file", b"x")
    with pytest.raises(SourceUnavailable, match="not a folder") as caught:
        list(open_dropbox("/file").scan())
    assert not caught.value.retry_helps


@pytest.mark.parametrize(
    "body",
    [
        {"entries": [{".tag": "file", "name": "a.jpg"}], "cursor": "x", "has_more": False},
        {
            "entries": [{".tag": "file", "path_lower": "/elsewhere/a.jpg", "name": "a.jpg"}],
            "cursor": "x",
            "has_more": False,
        },
        {"entries": [{"name": None}], "cursor": "x", "has_more": False},
        {"entries": ["text"], "cursor": "x", "has_more": False},
        {"entries": None, "cursor": "x", "has_more": False},
        {"cursor": "x", "has_more": False},
        {"entries": [], "has_more": False},
        {"entries": [], "cursor": "x"},
        {"entries": [], "cursor": "x", "has_more": 1},
        [],
        None,
        "text",
    ],
)
def test_a_listing_that_is_none(dropbox_server: DropboxServer, open_dropbox: Open, body: Any) -> None:
    """An answer that is not understood is an error, never an empty or shorter folder."""
    import json

    fault = Fault(status=200, body=json.dumps(body).encode(), headers=JSON)
    dropbox_server.fail("files/list_folder", fault, times=None)
    with pytest.raises(SourceUnavailable):
        list(open_dropbox().scan())


def test_a_listing_that_broke_off_goes_on(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """The next refresh continues with the page that failed. Nothing is shown before the listing is complete."""
    dropbox_server.api.page_entries = 2
    for number in range(6):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    source = open_dropbox(patience=hurried(0))
    dropbox_server.fail("files/list_folder/continue", Fault.lost(), skip=1)
    with pytest.raises(SourceUnavailable):
        list(source.scan())
    assert len(by_name(source)) == 6
    assert dropbox_server.calls["files/list_folder"] == 1


def test_several_threads_list_at_once(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """Each thread sees the whole folder."""
    dropbox_server.api.page_entries = 3
    for number in range(20):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    source = open_dropbox()
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(by_name(source)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [20] * 6


def test_looking_at_one_name(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """A file, in any letter case; a folder; nothing; and names that are not valid."""
    rev = dropbox_server.put(f"{FOLDER}/Photo.jpg", b"x")
    dropbox_server.make_folder(f"{FOLDER}/Sub")
    source = open_dropbox()
    found = source.look("PHOTO.JPG")
    assert (found.name, found.version) == ("Photo.jpg", rev)
    assert source.look("sub").kind is EntryKind.FOLDER
    assert source.look("none.jpg") is None
    for name in ("", ".", "..", "a/b.jpg"):
        with pytest.raises(NameRefused):
            source.look(name)


# --- reading


def test_a_name_that_is_too_long_for_a_disk(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """Dropbox counts characters, not bytes: such a photo is read, removed and put back like any other."""
    name = "\u6f22" * 200 + ".jpg"  # 604 bytes
    dropbox_server.put(f"{FOLDER}/{name}", b"x")
    source = open_dropbox()
    file = one(source, name)
    assert bytes_of(source, file) == b"x"
    source.remove(file, sha256="")
    assert source.put(name, [b"x"]).name == name


def test_a_file_is_read_once_with_one_request(
    dropbox_server: DropboxServer, open_dropbox: Open, tmp_path: Path
) -> None:
    """One answer contains metadata and bytes."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"content")
    source = open_dropbox()
    file = one(source)
    before = sum(dropbox_server.calls.values())
    assert bytes_of(source, file, tmp_path) == b"content"
    assert sum(dropbox_server.calls.values()) == before + 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 9 * 1024 * 1024 + 7])
def test_content_hashes_are_checked_at_every_size(
    dropbox_server: DropboxServer, open_dropbox: Open, size: int
) -> None:
    """The hash is right for sizes around one block, too."""
    whole = os.urandom(size)
    dropbox_server.put(f"{FOLDER}/photo.jpg", whole)
    source = open_dropbox()
    assert bytes_of(source, one(source)) == whole
    hashed = ContentHash()
    for start in range(0, size, 100_001):
        hashed.update(whole[start : start + 100_001])
    assert hashed.hexdigest() == content_hash_of(whole)
    if size:
        dropbox_server.fail("files/download", Fault.wrong_hash(), times=None)
        with pytest.raises(ContentMismatch):
            source.fetch(one(source))


def test_what_has_happened_to_a_file_since_it_was_listed(
    dropbox_server: DropboxServer, open_dropbox: Open, tmp_path: Path
) -> None:
    """A file that was replaced, deleted, moved to another folder or turned into a folder is not read."""
    names = ["replaced", "deleted", "moved", "folder", "same bytes"]
    for name in names:
        dropbox_server.put(f"{FOLDER}/{name}", b"bytes")
    source = open_dropbox()
    files = by_name(source)
    dropbox_server.put(f"{FOLDER}/replaced", b"other")
    dropbox_server.delete(f"{FOLDER}/deleted")
    dropbox_server.move(f"{FOLDER}/moved", "/elsewhere/moved")
    dropbox_server.delete(f"{FOLDER}/folder")
    dropbox_server.make_folder(f"{FOLDER}/folder")
    dropbox_server.put(f"{FOLDER}/same bytes", b"bytes")
    kinds = dict(zip(names, [FileChanged, FileVanished, FileVanished, FileChanged, FileChanged], strict=True))
    for name, kind in kinds.items():
        with pytest.raises(kind):
            source.fetch(files[name], staging=tmp_path)
        with pytest.raises(kind):
            source.remove(files[name], sha256="")
    assert list(tmp_path.iterdir()) == []
    assert dropbox_server.names(FOLDER) == {"replaced", "same bytes"}
    assert dropbox_server.read("/elsewhere/moved") == b"bytes"


@pytest.mark.parametrize(
    ("pretended", "kind"),
    [
        ({"rev": "ffffffffff"}, FileChanged),
        ({"id": "id:another"}, FileChanged),
        ({"path_lower": "/elsewhere/photo.jpg"}, FileChanged),
        ({"path_lower": None}, FileChanged),
        ({"content_hash": "0" * 64}, ContentMismatch),
        ({"content_hash": None}, ContentMismatch),
    ],
)
def test_an_answer_about_another_file(
    dropbox_server: DropboxServer, open_dropbox: Open, pretended: dict[str, Any], kind: type[Exception]
) -> None:
    """Revision, id, folder and hash must be those that were listed."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    source = open_dropbox()
    file = one(source)
    dropbox_server.api.pretended[f"{FOLDER.lower()}/photo.jpg"] = pretended
    with pytest.raises(kind):
        source.fetch(file)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        ({".tag": "unsupported_file"}, False),
        ({".tag": "path", "path": {".tag": "restricted_content"}}, False),
        ({".tag": "path", "path": {".tag": "locked"}}, True),
    ],
)
def test_files_that_are_not_given(
    dropbox_server: DropboxServer, open_dropbox: Open, error: dict[str, Any], helps: bool
) -> None:
    """The error concerns one file, and says whether a retry helps."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    source = open_dropbox()
    file = one(source)
    dropbox_server.fail("files/download", Fault.refused(error))
    with pytest.raises(FileUnreadable) as caught:
        source.fetch(file)
    assert caught.value.retry_helps == helps


@pytest.mark.parametrize(
    "fault",
    [
        Fault.cut(50_000),
        Fault.cut(0),
        Fault.short(50_000),
        Fault.wrong_hash(),
        Fault.lost(),
        Fault.unavailable(),
        Fault.html(),
        Fault.throttled(3),
        Fault.expired_token(),
    ],
)
def test_a_transfer_that_fails_is_made_again(
    dropbox_server: DropboxServer, open_dropbox: Open, tmp_path: Path, fault: Fault
) -> None:
    """Nothing of the failed download is left."""
    whole = os.urandom(100_000)
    dropbox_server.put(f"{FOLDER}/photo.jpg", whole)
    source = open_dropbox()
    file = one(source)
    dropbox_server.fail("files/download", fault)
    assert bytes_of(source, file, tmp_path) == whole
    assert list(tmp_path.iterdir()) == []


def test_a_transfer_that_always_breaks_off_is_the_files_failure(
    dropbox_server: DropboxServer, open_dropbox: Open, tmp_path: Path
) -> None:
    """Only this file fails. If the server is not there at all, the location fails."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x" * 1000)
    source = open_dropbox()
    file = one(source)
    dropbox_server.fail("files/download", Fault.cut(500), times=None)
    with pytest.raises(FileUnreadable, match="interrupted"):
        source.fetch(file, staging=tmp_path)
    dropbox_server.faults.clear()
    dropbox_server.fail("files/download", Fault.lost(), times=None)
    with pytest.raises(SourceUnavailable):
        source.fetch(file, staging=tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- removing

DOUBTFUL = [
    *(Fault.unavailable(503, after=after) for after in (False, True)),
    *(Fault.unavailable(500, after=after) for after in (False, True)),
    *(Fault.lost(after=after) for after in (False, True)),
    *(Fault.throttled(2, form=form) for form in ("json", "header", "text", "writes", "503")),
    Fault.refused({".tag": "too_many_write_operations"}),
    Fault.expired_token(),
    Fault.html(),
    Fault(status=200, body=b"{", headers=JSON, after=True),
    Fault(status=200, body=b"{}", headers={"Content-Type": "text/plain"}, after=True),
]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("fault", DOUBTFUL)
def test_a_removal_whose_answer_is_doubtful(
    dropbox_server: DropboxServer, open_dropbox: Open, fault: Fault, together: bool
) -> None:
    """The file is removed once, and the removal succeeds."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    dropbox_server.put(f"{FOLDER}/other.jpg", b"x")
    source = open_dropbox()
    files = by_name(source)
    if together:
        dropbox_server.fail("files/delete_batch", fault)
        assert source.remove_many([files["photo.jpg"]]) == [None]
    else:
        dropbox_server.fail("files/delete_v2", fault)
        source.remove(files["photo.jpg"], sha256="")
    assert dropbox_server.names(FOLDER) == {"other.jpg"}
    assert set(by_name(source)) == {"other.jpg"}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_file_that_is_replaced_while_an_answer_is_lost(
    dropbox_server: DropboxServer, open_dropbox: Open, together: bool, after: bool
) -> None:
    """The new file stays, whether or not the old one had been removed."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"old")
    source = open_dropbox()
    file = one(source)

    def replace() -> None:
        dropbox_server.put(f"{FOLDER}/photo.jpg", b"new")

    route = "files/delete_batch" if together else "files/delete_v2"
    dropbox_server.fail(route, Fault(hang_up=True, after=after, meanwhile=replace))
    if together:
        (end,) = source.remove_many([file])
        assert isinstance(end, FileChanged)
    else:
        with pytest.raises(FileChanged):
            source.remove(file, sha256="")
    assert dropbox_server.read(f"{FOLDER}/photo.jpg") == b"new"


def test_a_file_that_is_moved_away_while_an_answer_is_lost(
    dropbox_server: DropboxServer, open_dropbox: Open
) -> None:
    """The file does not count as removed: somebody else moved it."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    source = open_dropbox()
    file = one(source)
    fault = Fault(
        hang_up=True, meanwhile=lambda: dropbox_server.move(f"{FOLDER}/photo.jpg", "/elsewhere/photo.jpg")
    )
    dropbox_server.fail("files/delete_v2", fault)
    with pytest.raises(FileVanished, match="elsewhere"):
        source.remove(file, sha256="")
    assert dropbox_server.read("/elsewhere/photo.jpg") == b"x"


def test_a_removal_that_is_not_allowed(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """The error says so, and the file is still there. The same if the server never answers."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    source = open_dropbox()
    file = one(source)
    refusal = Fault.refused({".tag": "path_write", "path_write": {".tag": "no_write_permission"}})
    dropbox_server.fail("files/delete_v2", refusal, times=None)
    with pytest.raises(NotRemoved) as caught:
        source.remove(file, sha256="")
    assert not caught.value.retry_helps
    dropbox_server.faults.clear()
    dropbox_server.fail("files/delete_v2", Fault.unavailable(), times=None)
    with pytest.raises(NotRemoved):
        source.remove(file, sha256="")
    dropbox_server.fail("*", Fault.unavailable(), times=None)
    with pytest.raises(SourceUnavailable, match="not known"):
        source.remove(file, sha256="")
    assert dropbox_server.read(f"{FOLDER}/photo.jpg") == b"x"


def test_a_server_that_deletes_another_version(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """The version that Dropbox deleted is compared with the version that was asked for."""
    dropbox_server.put(f"{FOLDER}/photo.jpg", b"x")
    source = open_dropbox()
    file = one(source)
    body = b'{"metadata": {".tag": "file", "name": "photo.jpg", "id": "id:1", "rev": "fffffffff", "size": 1}}'
    dropbox_server.fail("files/delete_v2", Fault(status=200, body=body, headers=JSON))
    with pytest.raises(FileChanged, match="another version"):
        source.remove(file, sha256="")


def test_many_are_removed_by_two_requests(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """Each file has its own result: removed, changed, gone before, not allowed."""
    for number in range(30):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    source = open_dropbox()
    files = [by_name(source)[f"{number}.jpg"] for number in range(30)]
    dropbox_server.put(f"{FOLDER}/3.jpg", b"changed")
    dropbox_server.delete(f"{FOLDER}/5.jpg")
    dropbox_server.delete(f"{FOLDER}/7.jpg")
    dropbox_server.make_folder(f"{FOLDER}/7.jpg")
    dropbox_server.api.batch_polls = 2
    before = sum(dropbox_server.calls.values())
    ends = source.remove_many(files)
    kinds = {number: type(end) for number, end in enumerate(ends) if end is not None}
    assert kinds == {3: FileChanged, 5: FileVanished, 7: FileChanged}
    assert dropbox_server.names(FOLDER) == {"3.jpg"}
    # A job, three looks at it, and a look at each of the three files.
    assert sum(dropbox_server.calls.values()) == before + 1 + 3 + 3


@pytest.mark.parametrize(
    "faults",
    [
        {"files/delete_batch/check": Fault.lost()},
        {"files/delete_batch/check": Fault.refused({".tag": "invalid_async_job_id"})},
        {"files/delete_batch/check": Fault.refused({".tag": "internal_error"})},
        {"files/delete_batch/check": Fault(status=200, body=b'{".tag": "failed"}', headers=JSON)},
        {
            "files/delete_batch/check": Fault(
                status=200, body=b'{".tag": "complete", "entries": []}', headers=JSON
            )
        },
        {"files/delete_batch": Fault.refused({".tag": "a_new_one"})},
        {"files/delete_batch": Fault(status=400, body=b"what?")},
        {"files/delete_batch entry": Fault()},
        {"files/delete_batch entry": Fault(after=True)},
    ],
    ids=str,
)
def test_a_job_that_fails(
    dropbox_server: DropboxServer, open_dropbox: Open, faults: dict[str, Fault]
) -> None:
    """The remaining files are removed one by one or asked for again; none is assumed to be removed."""
    for number in range(4):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    source = open_dropbox()
    files = list(source.scan())
    for route, fault in faults.items():
        dropbox_server.fail(route, fault)
    assert source.remove_many(files) == [None] * 4
    assert dropbox_server.names(FOLDER) == set()


def test_a_job_while_others_write(open_dropbox: Open) -> None:
    """Two sources of one account write one after the other."""
    with DropboxServer(contention=True) as server:
        token = server.token()

        def signin(_force: bool = False) -> str:
            return token

        sources = []
        for folder in ("/one", "/two"):
            for number in range(20):
                server.put(f"{folder}/{number}.jpg", b"x")
            sources.append(DropboxSource(folder, signin=signin, endpoint=server.url))
        listed = [list(source.scan()) for source in sources]
        ends: list[Any] = []

        def run(source: DropboxSource, files: list[SourceFile]) -> None:
            ends.extend(source.remove_many(files[:10]))
            for file in files[10:]:
                ends.append(source.remove(file, sha256=""))

        threads = [threading.Thread(target=run, args=pair) for pair in zip(sources, listed, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for source in sources:
            source.close()
        assert ends == [None] * 40
        assert (server.calls["files/delete_v2"], server.calls["files/delete_batch"]) == (20, 2)


# --- putting


@pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1, 20 * 1024 * 1024])
def test_a_file_is_put(dropbox_server: DropboxServer, open_dropbox: Open, size: int) -> None:
    """A file is written in one request, or in an upload session that nobody sees before its end."""
    whole = os.urandom(size)
    seen: list[set[str]] = []
    looked = Fault.somebody(lambda: seen.append(dropbox_server.names(FOLDER)))
    dropbox_server.fail("files/upload_session/append_v2", looked, times=None)
    source = open_dropbox()
    chunks = (whole[start : start + 1_000_003] for start in range(0, size, 1_000_003))
    file = source.put("10042_DRJ_20260131_142501.jpg", chunks)
    assert dropbox_server.read(f"{FOLDER}/{file.name}") == whole
    assert file.vendor_hash == f"dropbox:{content_hash_of(whole)}"
    assert by_name(source)[file.name] == file
    assert all(names == set() for names in seen)


def test_a_name_that_is_taken_or_refused(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """A file in any letter case and with any bytes; a folder; names that Dropbox does not accept."""
    dropbox_server.put(f"{FOLDER}/Photo.jpg", b"x")
    dropbox_server.make_folder(f"{FOLDER}/Sub")
    source = open_dropbox()
    for name in ("Photo.jpg", "PHOTO.JPG", "sub"):
        with pytest.raises(NameTaken):
            source.put(name, [b"x"])
    for name in ("Thumbs.db", "a/b", "..", "x" * 300, "half\udce9.jpg", "back\\slash.jpg"):
        with pytest.raises(NameRefused):
            source.put(name, [b"x"])
    assert dropbox_server.names(FOLDER) == {"Photo.jpg"}
    assert dropbox_server.read(f"{FOLDER}/Photo.jpg") == b"x"


@pytest.mark.parametrize("size", [10, 20 * 1024 * 1024])
@pytest.mark.parametrize("fault", DOUBTFUL)
def test_a_put_whose_answer_is_doubtful(
    dropbox_server: DropboxServer, open_dropbox: Open, fault: Fault, size: int
) -> None:
    """The file is there once, under its name, and the put succeeds."""
    whole = b"x" * size
    source = open_dropbox()
    for route in ("files/upload", "files/upload_session/start", "files/upload_session/finish"):
        dropbox_server.fail(route, fault)
    dropbox_server.fail("files/upload_session/append_v2", fault, skip=1)
    file = source.put("photo.jpg", [whole])
    assert dropbox_server.names(FOLDER) == {"photo.jpg"}
    assert dropbox_server.read(f"{FOLDER}/photo.jpg") == whole
    assert source.look("photo.jpg") == file


def test_somebody_else_takes_the_name_while_an_answer_is_lost(
    dropbox_server: DropboxServer, open_dropbox: Open
) -> None:
    """The other file stays."""
    fault = Fault(hang_up=True, meanwhile=lambda: dropbox_server.put(f"{FOLDER}/photo.jpg", b"theirs"))
    dropbox_server.fail("files/upload", fault)
    with pytest.raises(NameTaken):
        open_dropbox().put("photo.jpg", [b"ours"])
    assert dropbox_server.read(f"{FOLDER}/photo.jpg") == b"theirs"


def test_a_put_that_fails_leaves_nothing(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """No answer, a full Dropbox, or a program that stops in the middle."""
    source = open_dropbox()
    full = Fault.refused({".tag": "path", "reason": {".tag": "insufficient_space"}})
    for fault, text in ((Fault.unavailable(), "not be reached"), (full, "full")):
        dropbox_server.faults.clear()
        dropbox_server.fail("files/upload", fault, times=None)
        with pytest.raises(SourceError, match=text):
            source.put("photo.jpg", [b"x"])

    def chunks() -> Any:
        yield b"x" * (9 * 1024 * 1024)
        raise RuntimeError("the reader failed")

    with pytest.raises(RuntimeError):
        source.put("photo.jpg", chunks())
    assert dropbox_server.names(FOLDER) == set()


# --- waiting


def test_a_change_is_told_at_once(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """Dropbox answers as soon as there is a change. Before the first listing everything counts as changed."""
    source = open_dropbox()
    assert source.reports_changes
    assert source.wait_for_change(0)
    list(source.scan())
    assert not source.wait_for_change(0)
    dropbox_server.api.longest_poll_s = 0.2
    assert not source.wait_for_change(5)
    dropbox_server.api.longest_poll_s = 30
    began_s = time.monotonic()
    timer = threading.Timer(0.2, lambda: dropbox_server.put(f"{FOLDER}/photo.jpg", b"x"))
    timer.start()
    assert source.wait_for_change(1)
    assert time.monotonic() - began_s < 10
    timer.join()
    assert "photo.jpg" in by_name(source)
    assert dropbox_server.calls["files/list_folder/longpoll"] == 2
    waits = [
        request.json()["timeout"] for request in dropbox_server.requests if request.path.endswith("longpoll")
    ]
    assert waits == [30, 30], "less is not taken by Dropbox"


def test_waiting_when_it_fails(
    dropbox_server: DropboxServer, open_dropbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired cursor is a change, a failed request is an error, and a requested pause is kept."""
    source = open_dropbox()
    list(source.scan())
    dropbox_server.fail("files/list_folder/longpoll", Fault.reset_cursor())
    assert source.wait_for_change(5)
    for fault in (
        Fault.lost(),
        Fault.throttled(1),
        Fault(status=400),
        Fault.refused({".tag": "a_new_one"}),
        Fault(status=200, body=b"{}", headers=JSON),
    ):
        dropbox_server.fail("files/list_folder/longpoll", fault)
        with pytest.raises(SourceUnavailable, match="watched"):
            source.wait_for_change(5)
    answer = b'{"changes": false, "backoff": 60}'
    dropbox_server.fail("files/list_folder/longpoll", *[Fault(status=200, body=answer, headers=JSON)] * 2)
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    monkeypatch.setattr("intouch_import.dropbox.source.time", clock)  # not `time.sleep`: other threads use it
    assert not source.wait_for_change(5)
    assert not source.wait_for_change(5)
    assert slept[0] == 0
    assert 59 < slept[1] <= 60


def test_a_watch_hears_of_a_new_photo(dropbox_server: DropboxServer, practice: Any) -> None:
    """One request stays open and is answered when the photo arrives."""
    token = dropbox_server.token()
    source = DropboxSource(FOLDER, signin=lambda _force=False: token, endpoint=dropbox_server.url)
    inbox = practice.inbox(source)
    with source, inbox.watch() as watching:
        assert next(watching).report.closes
        timer = threading.Timer(0.3, lambda: dropbox_server.put(f"{FOLDER}/photo.jpg", b"x"))
        timer.start()
        changes = next(watching)
        timer.join()
        assert [row.name for row in changes.new] == ["photo.jpg"]
        assert dropbox_server.calls["files/list_folder/longpoll"] <= 3
        dropbox_server.close()
    inbox.repository.close()


# --- throttling and tokens


def test_waiting_is_seen_and_ends(dropbox_server: DropboxServer, open_dropbox: Open) -> None:
    """The caller is notified of each pause, and sets how long all pauses may take."""
    pauses: list[Pause] = []
    source = open_dropbox(patience=hurried(20, on_wait=pauses.append))
    dropbox_server.fail("files/list_folder", Fault.throttled(4), Fault.throttled(6))
    list(source.scan())
    assert [(pause.seconds, pause.throttled, pause.budget_s) for pause in pauses] == [
        (4, True, 20),
        (6, True, 20),
    ]
    dropbox_server.fail("files/list_folder/continue", Fault.throttled(15), times=None)
    with pytest.raises(Throttled) as caught:
        list(source.scan())
    assert caught.value.after_s == pytest.approx(15)
    dropbox_server.faults.clear()


@pytest.mark.parametrize(
    ("fault", "kind", "why"),
    [
        (Fault.missing_scope("files.metadata.read"), SignInFailed, "missing_scope"),
        (Fault.missing_scope("patient.Marsh"), SignInFailed, "missing_scope"),
        (
            Fault.error(401, {".tag": "invalid_access_token"}),
            SignInNeeded,
            "revoked",
        ),
        (Fault.expired_token(), SignInNeeded, "expired"),
        (Fault.error(401, {".tag": "user_suspended"}), SourceUnavailable, None),
        (Fault.error(401, {".tag": "other"}), SourceUnavailable, None),
        (Fault(status=401), SourceUnavailable, None),
        (Fault(status=422), SourceUnavailable, None),
        (Fault(status=403, body=b"{}"), SourceUnavailable, None),
    ],
)
def test_a_sign_in_that_is_not_accepted(
    dropbox_server: DropboxServer, open_dropbox: Open, fault: Fault, kind: type[Exception], why: str | None
) -> None:
    """Each message says what to do, and repeats no text of the server."""
    dropbox_server.fail("files/get_metadata", fault, times=None)
    with pytest.raises(kind) as caught:
        list(open_dropbox().scan())
    assert getattr(caught.value, "why", None) == why
    assert "Marsh" not in str(caught.value)


def test_a_token_that_ends_in_the_middle_is_renewed_once(dropbox_server: DropboxServer) -> None:
    """Of many threads whose token was refused, one gets a new token, and the others use it."""
    for number in range(12):
        dropbox_server.put(f"{FOLDER}/{number}.jpg", b"x")
    asked: list[bool] = []
    tokens = [dropbox_server.token()]
    lock = threading.Lock()

    def signin(force: bool = False) -> str:
        with lock:
            if force:
                asked.append(force)
                tokens.append(dropbox_server.token())
            return tokens[-1]

    source = DropboxSource(FOLDER, signin=signin, endpoint=dropbox_server.url, patience=hurried())
    files = list(source.scan())
    dropbox_server.authorization.expire_access_tokens()
    dropbox_server.latency_s = 0.05
    threads = [threading.Thread(target=bytes_of, args=[source, file]) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.close()
    assert asked == [True]


def test_a_hosts_token_provider_that_fails(dropbox_server: DropboxServer) -> None:
    """The text of its exception is not shown, because it may contain anything."""

    def signin(_force: bool = False) -> str:
        raise RuntimeError("secret sl.123")

    source = DropboxSource(FOLDER, signin=signin, endpoint=dropbox_server.url, patience=hurried())
    with pytest.raises(SourceUnavailable) as caught:
        list(source.scan())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not source.sign_in()


# --- team spaces and apps of their own folder


def test_a_folder_of_the_team_space() -> None:
    """With `team_space` the path starts at the team's root, without it in the member's own folder."""
    account = Account(root_namespace="111", home_namespace="222", home="/Dr Jones")
    with DropboxServer(account=account) as server:
        server.put("/Dr Jones/Photos/own.jpg", b"own")
        server.put("/Photos/team.jpg", b"team")
        token = server.token()
        for team_space, name in ((False, "own"), (True, "team")):
            with DropboxSource(
                "/photos", signin=lambda _force=False: token, endpoint=server.url, team_space=team_space
            ) as source:
                file = one(source, f"{name}.jpg")
                assert bytes_of(source, file) == name.encode()
                source.remove(file, sha256="")
                source.put("back.jpg", [b"x"])
        assert server.names("/Photos") == server.names("/Dr Jones/Photos") == {"back.jpg"}


def test_a_team_space_that_is_moved(dropbox_server: DropboxServer) -> None:
    """Dropbox no longer accepts the old number of the space. The next refresh asks for the new one."""
    token = dropbox_server.token()
    source = DropboxSource(
        FOLDER,
        signin=lambda _force=False: token,
        endpoint=dropbox_server.url,
        team_space=True,
        patience=hurried(),
    )
    list(source.scan())
    dropbox_server.fail("files/list_folder/continue", Fault(status=422, body=b"{}", headers=JSON))
    with pytest.raises(SourceUnavailable, match="team space"):
        list(source.scan())
    assert list(source.scan()) == []
    assert dropbox_server.calls["users/get_current_account"] == 2
    source.close()


@pytest.mark.parametrize("folder", ["", "/", "/inbox"])
def test_an_app_of_its_own_folder(folder: str) -> None:
    """The app folder is the root, and can be the whole source."""
    app = App(key="folderapp", secret="s", app_folder="/Apps/inTOUCH")
    with DropboxServer(app=app) as server:
        where = f"/Apps/inTOUCH{folder.rstrip('/')}"
        server.put(f"{where}/photo.jpg", b"x")
        server.put("/private.jpg", b"x")
        token = server.token()
        with DropboxSource(folder, signin=lambda _force=False: token, endpoint=server.url) as source:
            assert set(by_name(source)) == {"photo.jpg"}
            file = one(source)
            assert bytes_of(source, file) == b"x"
            source.remove(file, sha256="")
            source.put("back.jpg", [b"x"])
        assert server.names(where) == {"back.jpg"}


def test_after_a_fork_each_process_has_its_own_connections(
    dropbox_server: DropboxServer, open_dropbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parent and child do not use the same socket."""
    source = open_dropbox()
    list(source.scan())
    parents = source._account.client
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert source._account.client is not parents
    assert list(source.scan()) == []
    source.close()
