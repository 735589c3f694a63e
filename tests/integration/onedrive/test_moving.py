"""Reading, removing and putting in OneDrive: pinned to a version, verified, and certain even if an answer is lost."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Patience
from intouch_import.errors import (
    ContentAltered,
    ContentMismatch,
    FileChanged,
    FileError,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceError,
    SourceUnavailable,
    Throttled,
)
from intouch_import.model import EntryKind, Reason, SourceFile
from intouch_import.onedrive.listing import can_be_held
from miniature import jpeg
from services.doubles.http import Answer
from services.doubles.onedrive import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.onedrive import OneDriveSource
    from services.doubles.onedrive import Item, OneDriveServer

# Random bytes: for content that repeats every few bytes, OneDrive's hash is that of an empty file.
PHOTO = random.Random(1).randbytes(10_240)


@pytest.fixture
def item(server: OneDriveServer, photos: Item) -> Item:
    """A photo in the folder."""
    return server.drive.write(photos, "a.jpg", PHOTO)


@pytest.fixture
def file(item: Item, source: OneDriveSource) -> SourceFile:
    """The photo, listed."""
    (file,) = source.scan()
    return file


def move(source: OneDriveSource, file: SourceFile) -> bytes:
    """Read and remove the file."""
    with source.fetch(file) as content, content.open() as stream:
        taken = stream.read()
        source.remove(file, sha256=content.sha256)
    return taken


# --- reading


def test_three_requests_a_file(server: OneDriveServer, file: SourceFile, source: OneDriveSource) -> None:
    """Moving one file takes one request for its metadata, a download and a deletion."""
    server.forget_calls()
    assert move(source, file) == PHOTO
    assert server.calls == {"item": 1, "download": 1, "delete": 1}


def test_four_requests_without_a_hash(server: OneDriveServer, item: Item, source: OneDriveSource) -> None:
    """If the service has no hash, the tag is asked for again after the download."""
    item.told_hashes = {}
    (file,) = source.scan()
    assert file.vendor_hash is None
    server.forget_calls()
    assert move(source, file) == PHOTO
    assert server.calls == {"item": 2, "download": 1, "delete": 1}


def test_without_a_hash_a_change_is_seen_all_the_same(
    server: OneDriveServer, item: Item, source: OneDriveSource
) -> None:
    """A new version of the same length, written during the download, is noticed by its tag."""
    item.told_hashes = {}
    (file,) = source.scan()
    server.fail("download", Fault.somebody(lambda: server.drive.replace(item, PHOTO[::-1])))
    with pytest.raises(FileChanged):
        source.fetch(file)


@pytest.mark.parametrize("algorithm", ["quickXorHash", "sha1Hash"])
def test_each_hash_is_compared(
    algorithm: str, personal: OneDriveServer, opened: Callable[..., OneDriveSource]
) -> None:
    """A wrong hash of either kind is noticed."""
    item = personal.drive.write(personal.drive.folder("images/intouch"), "a.jpg", jpeg())
    other = personal.drive.write(personal.drive.root, "b.jpg", PHOTO[::-1])
    item.told_hashes = {**personal.drive.hashes(item), algorithm: personal.drive.hashes(other)[algorithm]}
    source = opened(personal)
    (file,) = source.scan()
    with pytest.raises(ContentAltered):
        source.fetch(file)


@pytest.mark.parametrize("text", ["not base64!", "é"])
def test_a_hash_that_is_none_is_not_guessed(
    text: str, personal: OneDriveServer, opened: Callable[..., Any]
) -> None:
    """A file with an unreadable hash is listed, and waits for a person."""
    item = personal.drive.write(personal.drive.folder("images/intouch"), "a.jpg", jpeg())
    item.told_hashes = {"quickXorHash": text}
    source = opened(personal)
    (file,) = source.scan()
    with pytest.raises(ContentAltered):
        source.fetch(file)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.wrong_hash(),
        Fault.cut(100),
        Fault.cut(0),
        Fault.lost(),
        Fault(status=401, body=b"<html>"),
        Fault(status=403, body=b"<html>"),
        Fault(status=404, body=b"<html>"),
        Fault(status=410),
        Fault.refused(500),
        Fault.refused(503),
        Fault.refused(429, retry_after="1"),
        Fault(status=200, body=PHOTO[:-1]),
        Fault(status=206, body=PHOTO),
        Fault(status=200, body=PHOTO, headers={"Content-Encoding": "gzip"}),
        Fault(status=302, headers={"Location": "http://192.0.2.1/x"}),
        Fault(status=302, headers={"Location": "file:///etc/passwd"}),
    ],
    ids=str,
)
def test_one_bad_download_is_made_good(
    fault: Fault, server: OneDriveServer, file: SourceFile, source: OneDriveSource
) -> None:
    """Whatever goes wrong with one download, the next one, from a new address, is right."""
    server.fail("download", fault)
    with source.fetch(file) as content, content.open() as stream:
        assert stream.read() == PHOTO


@pytest.mark.parametrize(
    "fault",
    [Fault.cut(100), Fault(status=403, body=b"<html>"), Fault.refused(500), Fault(status=206, body=b"x")],
    ids=str,
)
def test_a_download_that_never_comes_right_is_about_that_file(
    fault: Fault, server: OneDriveServer, file: SourceFile, source: OneDriveSource
) -> None:
    """A file that can't be downloaded stops no other file."""
    server.fail("download", fault, times=None)
    with pytest.raises(FileUnreadable):
        source.fetch(file)
    assert 2 <= server.calls["download"] <= 4


def test_redirects_of_a_download(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """A download may be redirected, without a token, but not for ever."""
    there: dict[str, str] = {}

    def send_on() -> None:
        there["Location"] = server.graph._download_url(server.drive, item)

    server.fail("download", Fault(status=302, headers=there, meanwhile=send_on), times=2)
    assert source.fetch(file).size_bytes == len(PHOTO)
    assert server.calls["download"] == 3
    server.fail("download", Fault(status=302, headers=there, meanwhile=send_on), times=None)
    with pytest.raises(FileUnreadable):
        source.fetch(file)
    bytes_only = [request for request in server.requests if request.path.startswith("/dl/")]
    assert all("authorization" not in request.headers for request in bytes_only)


def test_a_slow_body_is_read_to_its_end(
    server: OneDriveServer, file: SourceFile, source: OneDriveSource
) -> None:
    """A slow download is not interrupted."""
    server.fail("download", Fault(slow_s=0.01, pieces=20))
    with source.fetch(file) as content:
        assert content.size_bytes == len(PHOTO)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda drive, item: drive.replace(item, PHOTO[::-1]), FileChanged),
        (lambda drive, item: drive.move(item, name="b.jpg"), FileChanged),
        (lambda drive, item: drive.move(item, folder=drive.root), FileChanged),
        (lambda drive, item: drive.delete(item), FileVanished),
    ],
    ids=["replaced", "renamed", "moved", "deleted"],
)
def test_another_version_is_neither_read_nor_removed(
    change: Any,
    error: type[FileError],
    server: OneDriveServer,
    item: Item,
    file: SourceFile,
    source: OneDriveSource,
) -> None:
    """A file that was replaced, renamed, moved to another folder or deleted since it was listed is left alone."""
    change(server.drive, item)
    with pytest.raises(error):
        source.fetch(file)
    with pytest.raises(error):
        source.remove(file, sha256="0" * 64)
    if error is FileChanged:
        assert not item.deleted
    assert "download" not in server.calls


def test_a_comment_changes_nothing(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """Metadata that change between listing and removal do not make another version, and the file is removed."""
    server.drive.touch(item)
    with source.fetch(file) as content:
        server.drive.touch(item)
        source.remove(file, sha256=content.sha256)
    assert item.deleted
    assert server.calls["delete"] == 2


def test_only_files(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """A folder is neither read nor removed, although its id would work for both."""
    below = server.drive.add(photos, "sub", None)
    (folder,) = source.scan()
    for file in (folder, attrs.evolve(folder, kind=EntryKind.FILE)):
        with pytest.raises(FileError):
            source.fetch(file)
        with pytest.raises(FileError):
            source.remove(file, sha256="0" * 64)
    assert not below.deleted
    assert "delete" not in server.calls


def test_files_of_other_sources(source: OneDriveSource, photos: Item) -> None:
    """A file without an id was not listed by this source."""
    file = SourceFile(name="a.jpg", size_bytes=1, version="1")
    for call in (lambda: source.fetch(file), lambda: source.remove(file, sha256="0" * 64)):
        with pytest.raises(FileVanished):
            call()


# --- what the service alters


def altered(server: OneDriveServer, item: Item) -> None:
    """Let the service report the size and hash of the original, and deliver other bytes."""
    item.told_hashes = dict(server.drive.hashes(item))
    item.told_size = len(PHOTO)
    item.content = jpeg("without the video")


def test_an_altered_file_waits_for_a_person(
    server: OneDriveServer, item: Item, source: OneDriveSource
) -> None:
    """A file that is twice delivered with the same other bytes is not imported automatically, and not read again."""
    altered(server, item)
    (file,) = source.scan()
    for _ in range(2):
        with pytest.raises(ContentAltered):
            source.fetch(file)
    assert server.calls["download"] == 2
    with pytest.raises(NotRemoved) as caught:
        source.remove(file, sha256="0" * 64)
    assert (caught.value.reason, caught.value.retry_helps) == (Reason.LEFT_IN_SOURCE, False)
    assert not item.deleted


def test_a_person_takes_what_is_delivered(server: OneDriveServer, item: Item, source: OneDriveSource) -> None:
    """If a person chooses the file, the delivered bytes are stored; the original stays."""
    altered(server, item)
    (file,) = source.scan()
    with source.fetch_as_delivered(file) as content, content.open() as stream:
        assert stream.read() == item.content
        with pytest.raises(NotRemoved):
            source.remove(file, sha256=content.sha256)
    assert server.calls["download"] == 2
    assert "delete" not in server.calls


PAGES = {
    "a page": Fault.html(),
    "a page without its type": Fault(status=200, body=b"<!DOCTYPE html><html><body>Blocked</body></html>"),
    "an error in JSON": Fault(
        status=200, body=b'{"error": {}}', headers={"Content-Type": "application/json"}
    ),
    "a document": Fault(status=200, body=b"%PDF-1.7 not a photo"),
    "nothing": Fault.short(0),
    "a part": Fault(status=200, body=jpeg("cut by a proxy")[:-20]),
}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("a.jpg", fault) for fault in PAGES.values()),
        ("a.html", PAGES["a page without its type"]),
        ("a.txt", PAGES["a page"]),
    ],
    ids=str,
)
def test_a_page_is_never_taken_for_the_file(
    name: str, fault: Fault, business: OneDriveServer, opened: Callable[..., Any]
) -> None:
    """What a proxy delivers in place of a file is refused, for a person too; the file itself is read afterwards."""
    business.drive.write(business.drive.folder("images/intouch"), name, PHOTO)
    source = opened(business)
    (file,) = source.scan()
    business.fail("download", fault, times=None)
    for fetch in (source.fetch, source.fetch_as_delivered):
        with pytest.raises(ContentMismatch) as caught:
            fetch(file)
        assert not isinstance(caught.value, ContentAltered)
        assert (caught.value.reason, caught.value.retry_helps) == (Reason.NOT_DELIVERED, True)
    business.faults.clear()
    assert move(source, file) == PHOTO


@pytest.mark.parametrize("by_person", [False, True])
def test_an_altered_file_is_read_again_later(
    by_person: bool,
    business: OneDriveServer,
    opened: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When a file is delivered as it is stored again, it is imported and removed: after some time, or at a person's choice."""
    item = business.drive.write(business.drive.folder("images/intouch"), "a.jpg", PHOTO)
    source = opened(business)
    altered(business, item)
    (file,) = source.scan()
    with pytest.raises(ContentAltered):
        source.fetch(file)
    item.content = PHOTO
    with pytest.raises(ContentAltered):
        source.fetch(file)
    if not by_person:
        monkeypatch.setattr("intouch_import.onedrive.source._READ_AGAIN_AFTER_S", 0.0)
    with (source.fetch_as_delivered if by_person else source.fetch)(file) as content:
        assert not content.is_altered
        source.remove(file, sha256=content.sha256)
    assert item.deleted


def test_an_ordinary_file_is_taken_as_ever(
    server: OneDriveServer, file: SourceFile, source: OneDriveSource
) -> None:
    """For a file that is not altered, a person's choice changes nothing."""
    with source.fetch_as_delivered(file) as content:
        source.remove(file, sha256=content.sha256)
    assert server.calls["download"] == 1


def test_downloads_that_differ_are_no_photo(
    server: OneDriveServer, file: SourceFile, source: OneDriveSource
) -> None:
    """Two downloads that differ from the hash and from each other are refused, for a person too."""
    bodies = iter(bytes([number]) * len(PHOTO) for number in range(100))
    server.graph.content_answer = lambda _: _answer(next(bodies))  # type: ignore[method-assign]
    for fetch in (source.fetch, source.fetch_as_delivered):
        with pytest.raises(ContentMismatch) as caught:
            fetch(file)
        assert not isinstance(caught.value, ContentAltered)
    server.graph.__dict__.pop("content_answer")
    assert move(source, file) == PHOTO


def _answer(body: bytes) -> Answer:
    return Answer(parts=[body])


# --- removing


@pytest.mark.parametrize(
    "fault",
    [
        Fault.lost(),
        Fault.lost(after=True),
        Fault.refused(500),
        Fault.refused(503, after=True),
        Fault.refused(504, after=True),
        Fault.refused(502, after=True),
        Fault.refused(429, retry_after="3"),
        Fault.refused(509),
        Fault.refused(401),
    ],
    ids=str,
)
def test_a_lost_answer_to_a_deletion(
    fault: Fault, server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """Whether or not a deletion took effect before its answer was lost, it succeeds at the end."""
    server.fail("delete", fault)
    assert move(source, file) == PHOTO
    assert item.deleted
    assert server.calls["delete"] == 2


def test_a_deletion_whose_every_answer_is_lost(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """If no answer ever comes, a look shows whether the file is gone."""
    server.fail("delete", Fault.lost(after=True), times=None)
    assert move(source, file) == PHOTO
    assert item.deleted


def test_a_deletion_that_never_takes_effect(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """If no deletion takes effect, the location has failed, and the file is still there."""
    server.fail("delete", Fault.lost(), times=None)
    with pytest.raises(SourceUnavailable), source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    assert not item.deleted


def test_a_deletion_that_somebody_else_answers(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """A proxy that answers "OK" to everything has removed nothing."""
    server.fail("delete", Fault(status=200, body=b"{}", headers={"Content-Type": "application/json"}))
    assert move(source, file) == PHOTO
    assert item.deleted
    assert server.calls["delete"] == 2


def test_a_service_that_contradicts_itself(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """A file that can't be found to delete, but can be seen, does not count as removed."""
    server.fail("delete", Fault.refused(404, "itemNotFound"))
    with pytest.raises(NotRemoved), source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    assert not item.deleted


def test_a_file_that_somebody_else_removed(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """If the first answer is "not found", somebody else removed the file."""
    server.fail("delete", Fault.somebody(lambda: server.drive.delete(item)))
    with pytest.raises(FileVanished), source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)


def test_a_file_that_comes_back_in_between_is_another(
    server: OneDriveServer, photos: Item, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """After a deletion whose answer was lost, a new file of the same name is not touched."""
    server.fail("delete", Fault.lost(after=True))
    server.fail("delete", Fault.somebody(lambda: server.drive.write(photos, "a.jpg", b"new")))
    assert move(source, file) == PHOTO
    assert photos.children["a.jpg"].content == b"new"


@pytest.mark.parametrize("status", [403, 409, 423])
def test_a_file_that_is_locked(
    status: int, server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """A file that is open or checked out elsewhere can't be removed now; nothing else has failed."""
    server.fail("delete", Fault.refused(status, "notAllowed"))
    with pytest.raises(NotRemoved) as caught, source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    assert (caught.value.reason, caught.value.retry_helps) == (None, True)
    assert not item.deleted


def test_metadata_that_never_rest(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """The removal is tried once more with the new tag, and not a third time."""
    server.fail("delete", Fault.somebody(lambda: server.drive.touch(item)), times=None)
    with pytest.raises(NotRemoved), source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    assert server.calls["delete"] == 2


def test_another_size_under_the_same_tag(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """A matching tag does not help if size or hash differ."""
    with source.fetch(file) as content:
        server.drive.touch(item)
        item.told_size = 1
        with pytest.raises(FileChanged):
            source.remove(file, sha256=content.sha256)
        item.told_size = None
        item.told_hashes = {"quickXorHash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
        with pytest.raises(FileChanged):
            source.remove(file, sha256=content.sha256)
    assert not item.deleted


def test_a_removal_by_a_file_that_was_written_down(
    server: OneDriveServer, item: Item, file: SourceFile, source: OneDriveSource
) -> None:
    """A file value without the eTag, as in a plan, is removed by the tag of the same version."""
    plain = SourceFile(**attrs.asdict(file, filter=lambda field, _: field.name != "etag"))
    assert move(source, plain) == PHOTO
    assert item.deleted
    tags = {request.headers["if-match"] for request in server.requests if request.method == "DELETE"}
    assert len(tags) == 1
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)


# --- putting


def test_a_put_file_is_as_it_was_sent(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """Small and large files arrive complete, and are what `put` returns."""
    for name, size in (("empty", 0), ("small", 10_000), ("edge", 4 * 1024**2), ("large", 6 * 1024**2 + 17)):
        content = (PHOTO * (size // len(PHOTO) + 1))[:size]
        file = source.put(name, [content[:1000], content[1000:]])
        assert (file.name, file.size_bytes) == (name, size)
        assert photos.children[name].content == content
        assert source.look(name) == file
    assert server.graph.uploads.open == {}


@pytest.mark.parametrize("size", [10, 5 * 1024**2])
def test_a_taken_name_is_left_alone(
    size: int, server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """A file that is there before, or appears during the upload, stays as it is."""
    server.drive.write(photos, "A.JPG", b"theirs")
    with pytest.raises(NameTaken):
        source.put("a.jpg", [b"x" * size])
    call = "upload" if size == 10 else "fragment"
    server.fail(call, Fault.somebody(lambda: server.drive.write(photos, "b.jpg", b"theirs")))
    with pytest.raises(NameTaken):
        source.put("b.jpg", [b"x" * size])
    assert {item.name: item.content for item in photos.children.values()} == {
        "A.JPG": b"theirs",
        "b.jpg": b"theirs",
    }


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("upload", Fault.lost()),
        ("upload", Fault.lost(after=True)),
        ("upload", Fault.refused(503, after=True)),
        ("upload", Fault.refused(500)),
        ("upload", Fault.refused(429, retry_after="1")),
    ],
    ids=str,
)
def test_a_small_upload_whose_answer_is_lost(
    call: str, fault: Fault, server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """The file is there once, and is ours."""
    server.fail(call, fault)
    assert source.put("a.jpg", [PHOTO]).name == "a.jpg"
    assert {item.name: item.content for item in photos.children.values()} == {"a.jpg": PHOTO}


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("session", Fault.lost()),
        ("session", Fault.refused(503)),
        ("fragment", Fault.lost()),
        ("fragment", Fault.lost(after=True)),
        ("fragment", Fault.refused(500, after=True)),
        ("fragment", Fault.refused(429)),
        ("upload-status", Fault.lost()),
    ],
    ids=str,
)
def test_a_large_upload_that_is_interrupted(
    skip: int, call: str, fault: Fault, server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """The upload continues where it stopped, and the file appears only when it is complete."""
    content = PHOTO * 520  # two fragments
    server.fail(call, fault, skip=skip if call == "fragment" else 0)
    plain = server.graph.uploads.answer

    def watched(request: Any) -> Any:
        assert photos.children == {} or photos.children["a.mp4"].content == content
        return plain(request)

    server.graph.uploads.answer = watched  # type: ignore[method-assign]
    assert source.put("a.mp4", [content]).size_bytes == len(content)
    assert photos.children["a.mp4"].content == content


def test_a_server_that_wants_the_same_fragment_again_does_not_hold_the_upload(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """If the server accepts fragments and keeps none of them, the upload ends with an error and leaves nothing."""
    kept_nothing = Fault(status=200, body=b'{"value": []}', headers={"Content-Type": "application/json"})
    server.fail("fragment", kept_nothing, times=None)
    with pytest.raises(SourceUnavailable, match="does not accept the rest"):
        source.put("a.mp4", [PHOTO * 520])
    assert (photos.children, server.graph.uploads.open) == ({}, {})


def test_an_upload_that_fails_leaves_nothing(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """If an upload can't be finished or the drive is full, neither a file nor an upload session is left."""
    server.fail("fragment", Fault.lost(), times=None, skip=1)
    with pytest.raises(SourceUnavailable):
        source.put("a.mp4", [PHOTO * 520])
    assert (photos.children, server.graph.uploads.open) == ({}, {})
    server.faults.clear()
    server.drive.quota_bytes = 100
    with pytest.raises(SourceUnavailable, match="full"):
        source.put("a.jpg", [PHOTO])

    def broken() -> Any:
        yield PHOTO
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="own"):
        source.put("b.jpg", broken())
    assert photos.children == {}


def test_what_the_service_keeps_otherwise_is_taken_away(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """A file that is stored with other bytes or under another name than was sent is deleted again."""

    def other_hash(told: dict[str, Any]) -> dict[str, Any]:
        told["file"]["hashes"]["quickXorHash"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        return told

    for rewrite in (
        other_hash,
        lambda told: {**told, "name": "log (1).jpg"},
        lambda told: {**told, "size": 1},
    ):
        server.fail("upload", Fault(rewrite=rewrite))
        with pytest.raises(SourceUnavailable, match="as it was sent"):
            source.put("a.jpg", [PHOTO])
        assert photos.children == {}


@pytest.mark.parametrize(
    "name",
    [
        "a*b",
        "a:b",
        "a?",
        "a|b",
        'a"b',
        "a<b",
        "a\\b",
        "~$x.docx",
        " a",
        "a ",
        "a\n",
        "Ren\udce9.jpg",
        "x" * 401,
    ],
)
def test_names_that_it_cannot_hold(name: str, server: OneDriveServer, source: OneDriveSource) -> None:
    """They are refused before any request, and the message does not repeat them."""
    assert not can_be_held(name)
    for call in (lambda: source.put(name, [b"x"]), lambda: source.look(name)):
        with pytest.raises(NameRefused) as caught:
            call()
        assert name.strip() == "a" or name not in str(caught.value)
    assert server.requests == []


def test_a_refusal_of_the_name_by_the_service(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """A name that only the service refuses has its own error."""
    for call, size in (("upload", 1), ("session", 5 * 1024**2)):
        server.fail(call, Fault.refused(400, "invalidRequest"))
        with pytest.raises(NameRefused):
            source.put("a.jpg", [b"x" * size])


def test_a_look_is_not_misled(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """No such file is None; a file of a similar name does not count; a missing folder is an error."""
    server.drive.write(photos, "A.jpg", b"x")
    assert source.look("b.jpg") is None
    found = source.look("a.JPG")
    assert found is not None
    assert found.name == "A.jpg"
    server.fail("item", Fault(rewrite=lambda told: {**told, "name": "a"}))
    assert source.look("a.") is None
    server.drive.delete(photos)
    with pytest.raises(SourceUnavailable):
        source.look("A.jpg")


# --- a service that asks for time


class Time:
    """A clock that advances only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds


@pytest.mark.parametrize("status", [429, 503, 509])
def test_when_it_asks_for_time_everybody_waits(
    status: int, server: OneDriveServer, photos: Item, opened: Callable[..., Any]
) -> None:
    """A pause that the service asks one request for is kept by all, and is reported before it begins."""
    time, told = Time(), []
    patience = Patience(60.0, on_wait=told.append, clock=Clock(sleep=time.sleep, monotonic_s=time))
    source = opened(server, patience=patience)
    for number in range(16):
        server.drive.write(photos, f"{number}.jpg", PHOTO)
    files = list(source.scan())
    asked_at: list[float] = []
    server.fail("download", Fault.refused(status, retry_after="20"), skip=4)
    server.fail("*", Fault.somebody(lambda: asked_at.append(time.now)), times=None)

    def take(file: SourceFile) -> None:
        source.fetch(file).close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, files))
    assert told
    assert all(pause.throttled and pause.budget_s == 60.0 for pause in told)
    assert max(pause.seconds for pause in told) == 20.0
    late = [moment for moment in asked_at if moment > 0]
    assert late
    assert min(late) >= 20.0


def test_more_time_than_is_allowed(
    server: OneDriveServer, file: SourceFile, opened: Callable[..., Any]
) -> None:
    """A pause longer than the budget is not started: the error says how long it would be."""
    time = Time()
    source = opened(server, patience=Patience(10.0, clock=Clock(sleep=time.sleep, monotonic_s=time)))
    server.fail("item", Fault.refused(429, retry_after="300"))
    with pytest.raises(Throttled) as caught:
        source.scan()
    assert 0 < (caught.value.after_s or 0) <= 300
    assert caught.value.source_id == source.source_id
    assert time.slept == []


def test_a_date_to_come_back_at(server: OneDriveServer, photos: Item, opened: Callable[..., Any]) -> None:
    """Retry-After may be a date."""
    time = Time()
    source = opened(server, patience=Patience(60.0, clock=Clock(sleep=time.sleep, monotonic_s=time)))
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.fail("children", Fault.refused(503, retry_after=when))
    server.fail("delta", Fault.refused(429, retry_after="nonsense"))
    source.scan()
    assert any(25 < seconds <= 30 for seconds in time.slept)


def test_a_storm(server: OneDriveServer, photos: Item, opened: Callable[..., Any]) -> None:
    """Thirty refusals in a row while many files are moved: at the end all are moved, each once."""
    time = Time()
    source = opened(server, patience=Patience(10_000.0, clock=Clock(sleep=time.sleep, monotonic_s=time)))
    for number in range(30):
        server.drive.write(photos, f"{number}.jpg", b"%d" % number)
    files = list(source.scan())
    server.fail("*", Fault.refused(429, retry_after="7"), times=30, skip=10)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda file: move(source, file), files))
    assert sorted(taken) == sorted(b"%d" % number for number in range(30))
    assert photos.children == {}
    assert len(server.drive.bin) == 30


# --- several at once


def test_one_of_many_removes(server: OneDriveServer, item: Item, opened: Callable[..., Any]) -> None:
    """If several workstations remove the same file, one succeeds, and the others learn that it is gone."""
    sources = [opened(server) for _ in range(6)]
    files = [next(iter(source.scan())) for source in sources]
    start = threading.Barrier(6)

    def remove(number: int) -> str:
        start.wait()
        try:
            sources[number].remove(files[number], sha256="0" * 64)
        except FileVanished:
            return "gone"
        return "removed"

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(remove, range(6)))
    assert sorted(ends) == ["gone"] * 5 + ["removed"]


def test_a_dead_location_fails_soon(opened: Callable[..., Any], server: OneDriveServer) -> None:
    """A dead server is an error after a few attempts, long before the patience ends."""
    time = Time()
    source = opened(
        server,
        endpoint="http://127.0.0.1:1",
        patience=Patience(600.0, clock=Clock(sleep=time.sleep, monotonic_s=time)),
        signin=lambda force=False: "x",
    )
    with pytest.raises(SourceError, match="reached"):
        source.scan()
    assert sum(time.slept) < 10
