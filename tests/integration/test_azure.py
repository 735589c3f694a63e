"""A folder of a container on Azurite: listing, reading, removing, putting, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob import AccessPolicy, BlobBlock, ContainerClient, ContentSettings

from intouch_import.azure import transfer
from intouch_import.errors import (
    ConfigError,
    ContentMismatch,
    FileChanged,
    FileError,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
    StillArriving,
)
from intouch_import.model import EntryKind, Reason, SourceFile
from services.azurite import ACCOUNT, KEY
from services.faulty_proxy import FaultyProxy, answer, cut_after, run_faulty_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intouch_import.sources import Source
    from services.azurite import Azurite

TABLE = ("IMG[12].jpg", "IMG1.jpg", "IMG2.jpg", "x", "x#", "x?", "x\t1", "a%20b.jpg", "a b.jpg")
ODD_NAMES = (*TABLE, "trailing.", "trailing", "trailing ", "\u00fc.jpg", "u\u0308.jpg", "%2e%2e", "..%2fx", "a+b&c=d.jpg", "\U0001f9b6.jpg")  # fmt: skip


@pytest.fixture(params=[False, True], ids=["sdk", "fast"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Download with the SDK, and with obstore."""
    return bool(request.param)


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """A new container, as another program sees it."""
    with azurite.container() as client:
        yield client


@pytest.fixture
def source(azurite: Azurite, container: ContainerClient, fast: bool) -> Iterator[Source]:
    """The folder ``photos`` in it."""
    with azurite.open(f"{container.container_name}/photos", fast=fast) as source:
        yield source


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultyProxy]:
    """A proxy on which the tests inject faults."""
    with run_faulty_proxy(azurite.url) as proxy:
        yield proxy


def through(azurite: Azurite, proxy: FaultyProxy, container: ContainerClient, **options: Any) -> Source:
    """Open the folder through the proxy, and forget the requests of opening it."""
    endpoint = f"{proxy.url}/{ACCOUNT}"
    source = azurite.open(f"{container.container_name}/photos", endpoint=endpoint, **options)
    proxy.reset()
    return source


def listed(source: Source) -> dict[str, SourceFile]:
    files = list(source.scan())
    assert len({file.name for file in files}) == len(files)
    return {file.name: file for file in files}


def read(source: Source, file: SourceFile) -> bytes:
    with source.fetch(file) as content, content.open() as stream:
        data = stream.read()
    assert hashlib.sha256(data).hexdigest() == content.sha256
    return data


def names(container: ContainerClient) -> set[str]:
    return set(container.list_blob_names())


# --- what is listed


def test_names_are_told_apart_exactly(container: ContainerClient, source: Source) -> None:
    """Each name is listed, read and removed exactly, even if a URL or a wildcard would change it."""
    for name in ODD_NAMES:
        container.upload_blob(f"photos/{name}", name.encode())
    found = listed(source)
    assert set(found) == set(ODD_NAMES)
    for name in ODD_NAMES:
        assert source.look(name) == found[name]
        assert read(source, found[name]) == name.encode()
    left = set(ODD_NAMES)
    for number, name in enumerate(ODD_NAMES):
        if number % 2:
            source.remove(found[name], sha256="")
        else:
            assert source.remove_many([found[name]]) == [None]
        left.discard(name)
        assert names(container) == {f"photos/{other}" for other in left}


def test_only_the_folder_itself_is_listed(container: ContainerClient, source: Source) -> None:
    """Neighbouring folders with a similar name, parents and sub-folders are not listed."""
    for blob in (
        "photos/a.jpg",
        "photos/sub/b.jpg",
        "photos2/c.jpg",
        "photosd.jpg",
        "photo/e.jpg",
        "Photos/f.jpg",
    ):
        container.upload_blob(blob, b"x")
    assert {name: file.kind for name, file in listed(source).items()} == {
        "a.jpg": EntryKind.FILE,
        "sub": EntryKind.FOLDER,
    }


def test_twins_and_marks_are_told_apart(container: ContainerClient, source: Source) -> None:
    """A blob and a folder with one name are both listed; markers are folders; a real file with marker metadata is a file."""
    container.upload_blob("photos/", b"")
    container.upload_blob("photos/twin.jpg", b"photo")
    container.upload_blob("photos/twin.jpg/below.jpg", b"below")
    container.upload_blob("photos/marked", b"", metadata={"hdi_isfolder": "true"})
    container.upload_blob("photos/marked/below.jpg", b"below")
    container.upload_blob("photos/slashed/", b"")
    container.upload_blob("photos/real.jpg", b"real", metadata={"hdi_isfolder": "true"})
    container.upload_blob("photos/empty.jpg", b"")
    container.get_blob_client("photos/disk.vhd").create_page_blob(512)
    found = listed(source)
    assert {name: str(file.kind) for name, file in found.items()} == {
        "twin.jpg": "file",
        "twin.jpg/": "folder",
        "marked": "folder",
        "slashed": "folder",
        "real.jpg": "file",
        "empty.jpg": "file",
        "disk.vhd": "special",
    }
    assert read(source, found["twin.jpg"]) == b"photo"
    assert read(source, found["empty.jpg"]) == b""
    for name in ("marked", "disk.vhd"):
        with pytest.raises(FileChanged):
            source.fetch(found[name])
        with pytest.raises(FileChanged):
            source.remove(found[name], sha256="")
    assert isinstance(source.remove_many([found["marked"], found["real.jpg"]])[0], FileChanged)
    assert "photos/marked" in names(container)
    assert "photos/real.jpg" not in names(container)


def test_a_blob_that_has_the_folders_name_and_bytes_is_told(
    container: ContainerClient, source: Source
) -> None:
    """It has no name for an import, so it is shown as special instead of being left out."""
    container.upload_blob("photos/", b"bytes")
    assert [(file.name, file.kind) for file in source.scan()] == [("/", EntryKind.SPECIAL)]


def test_a_listing_is_never_remembered(container: ContainerClient, source: Source) -> None:
    """New and removed blobs show at once, in the source and in its file system."""
    for step in range(3):
        container.upload_blob(f"photos/{step}.jpg", b"x")
        if step:
            container.delete_blob(f"photos/{step - 1}.jpg")
        assert set(listed(source)) == {f"{step}.jpg"}
        assert source.filesystem.ls("/", detail=False) == [f"/{step}.jpg"]


def test_long_listings_are_whole(
    azurite: Azurite, container: ContainerClient, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pages of a listing are read."""
    for number in range(7):
        container.upload_blob(f"photos/{number}.jpg", b"x")
    walk = ContainerClient.walk_blobs
    monkeypatch.setattr(
        ContainerClient,
        "walk_blobs",
        lambda *args, **options: walk(*args, **{"results_per_page": 2, **options}),
    )
    with through(azurite, proxy, container) as source:
        assert len(listed(source)) == 7
    assert proxy.kinds() == ["list"] * 4


def test_what_is_not_there_yet_or_no_more_is_not_listed(container: ContainerClient, source: Source) -> None:
    """Uncommitted blocks and snapshots are not files."""
    blob = container.get_blob_client("photos/arriving.jpg")
    blob.stage_block("AAAA", b"half")
    container.upload_blob("photos/a.jpg", b"x").create_snapshot()
    assert set(listed(source)) == {"a.jpg"}
    assert source.look("arriving.jpg") is None
    blob.commit_block_list([BlobBlock("AAAA")])
    assert set(listed(source)) == {"a.jpg", "arriving.jpg"}


def test_an_empty_folder_is_empty_and_a_missing_container_is_an_error(azurite: Azurite) -> None:
    """A folder only exists while there is a blob in it; a missing container is a mistake."""
    with azurite.container() as client, azurite.open(f"{client.container_name}/typo") as source:
        assert list(source.scan()) == []
        client.delete_container()
        for ask in (lambda: list(source.scan()), lambda: source.look("a.jpg")):
            with pytest.raises(SourceUnavailable, match="container does not exist") as caught:
                ask()
            assert not caught.value.retry_helps
    with pytest.raises(SourceUnavailable, match="container does not exist"):
        azurite.open("nowhere/photos")


# --- what is read


def test_a_version_is_the_same_in_a_listing_and_alone(container: ContainerClient, source: Source) -> None:
    """The service sends ETags with and without quotes; the version is the same."""
    container.upload_blob("photos/a.jpg", b"x")
    (file,) = source.scan()
    assert source.look("a.jpg") == file
    assert '"' not in file.version
    assert file.modified_at is not None


def test_bytes_are_those_that_are_stored(container: ContainerClient, source: Source) -> None:
    """A blob with a content encoding is read undecoded and compared with its stored MD5."""
    packed = gzip.compress(b"photo" * 1000)
    settings = ContentSettings(content_encoding="gzip", content_md5=bytearray(hashlib.md5(packed).digest()))
    container.upload_blob("photos/a.jpg", packed, content_settings=settings)
    (file,) = source.scan()
    assert file.vendor_hash == f"md5:{hashlib.md5(packed).hexdigest()}"
    assert read(source, file) == packed


def test_a_stored_md5_that_is_wrong_is_told(
    container: ContainerClient, source: Source, tmp_path: Path
) -> None:
    """Bytes with another MD5 than the stored one are not imported and leave nothing behind."""
    blob = container.get_blob_client("photos/a.jpg")
    blob.stage_block("AAAA", b"other bytes")
    blob.commit_block_list(
        [BlobBlock("AAAA")],
        content_settings=ContentSettings(content_md5=bytearray(hashlib.md5(b"x").digest())),
    )
    (file,) = source.scan()
    with pytest.raises(ContentMismatch):
        source.fetch(file, staging=tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_blob_without_md5_is_read(container: ContainerClient, source: Source) -> None:
    """Large uploads have no MD5; then size and ETag must be enough."""
    blob = container.get_blob_client("photos/a.jpg")
    blob.stage_block("AAAA", b"bytes")
    blob.commit_block_list([BlobBlock("AAAA")])
    (file,) = source.scan()
    assert file.vendor_hash is None
    assert read(source, file) == b"bytes"


def test_a_blob_replaced_between_two_parts_is_not_mixed(
    azurite: Azurite, container: ContainerClient, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """All parts of a download are of one version, or the download fails."""
    size = 9_000_000
    container.upload_blob("photos/a.mp4", bytes(size))

    def replace(asked: Any) -> None:
        if proxy.kinds().count("GET") == 2:
            container.upload_blob("photos/a.mp4", b"\1" * size, overwrite=True)

    with through(azurite, proxy, container, fast=False) as source:
        (file,) = source.scan()
        proxy.reset(replace)
        with pytest.raises(FileChanged):
            source.fetch(file, staging=tmp_path)
        assert proxy.kinds() == ["GET", "GET", "HEAD"]
        assert os.listdir(tmp_path) == []
        (file,) = source.scan()
        assert read(source, file) == b"\1" * size


def test_large_files_arrive_whole(container: ContainerClient, source: Source) -> None:
    """The parts are joined in their order."""
    data = os.urandom(1_000_000) * 11
    container.upload_blob("photos/a.mp4", data)
    (file,) = source.scan()
    assert read(source, file) == data


def test_what_was_replaced_or_taken_away_since_is_told(container: ContainerClient, source: Source) -> None:
    """Another version is not read instead, and a missing blob is reported as vanished."""
    container.upload_blob("photos/a.jpg", b"old")
    (file,) = source.scan()
    container.upload_blob("photos/a.jpg", b"new", overwrite=True)
    with pytest.raises(FileChanged):
        source.fetch(file)
    container.delete_blob("photos/a.jpg")
    with pytest.raises(FileVanished):
        source.fetch(file)


def test_an_archived_blob_says_so(container: ContainerClient, source: Source) -> None:
    """An archived blob can't be read until somebody rehydrates it, which takes hours: a retry does not help."""
    container.upload_blob("photos/a.jpg", b"x").set_standard_blob_tier("Archive")
    (file,) = source.scan()
    with pytest.raises(FileUnreadable) as caught:
        source.fetch(file)
    assert (caught.value.reason, caught.value.retry_helps) == (Reason.ARCHIVED, False)


def test_a_blob_that_is_appended_to_is_left_to_grow(
    container: ContainerClient, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append blob may be incomplete, so it is read only when nothing was appended for a minute."""
    blob = container.get_blob_client("photos/a.mp4")
    blob.create_append_blob()
    blob.append_block(b"half")
    (file,) = source.scan()
    assert source.look("a.mp4") == file
    with pytest.raises(StillArriving):
        source.fetch(file)
    monkeypatch.setattr(transfer, "_QUIET_AFTER", transfer.timedelta(0))
    assert read(source, file) == b"half"
    blob.append_block(b" and half")
    with pytest.raises(FileChanged):
        source.remove(file, sha256="")
    (file,) = source.scan()
    source.remove(file, sha256="")
    assert names(container) == set()


# --- what is removed


@pytest.mark.parametrize("together", [True, False])
def test_a_removal_takes_the_version_that_was_read_or_nothing(
    container: ContainerClient, source: Source, together: bool
) -> None:
    """A replaced blob stays, a missing one is reported as vanished, and the others are removed."""
    for name in "abcd":
        container.upload_blob(f"photos/{name}.jpg", b"old")
    files = sorted(source.scan(), key=lambda file: file.name)
    container.upload_blob("photos/b.jpg", b"new", overwrite=True)
    container.delete_blob("photos/c.jpg")
    found: list[Any] = []
    if together:
        found = source.remove_many(files)
    else:
        for file in files:
            try:
                found.append(source.remove(file, sha256=""))
            except FileError as exc:
                found.append(exc)
    gone = type(None) if together else FileVanished  # asked for together, it may have been us
    assert [type(one) for one in found] == [type(None), FileChanged, gone, type(None)]
    assert names(container) == {"photos/b.jpg"}


@pytest.mark.parametrize("together", [True, False])
def test_what_holds_a_blob_is_told(container: ContainerClient, source: Source, together: bool) -> None:
    """With a lease or snapshots the blob stays, and the reason is reported."""
    container.upload_blob("photos/free.jpg", b"x")
    lease = container.upload_blob("photos/leased.jpg", b"x").acquire_lease(60)
    container.upload_blob("photos/kept.jpg", b"x").create_snapshot()
    files = sorted(source.scan(), key=lambda file: file.name)
    assert [file.name for file in files] == ["free.jpg", "kept.jpg", "leased.jpg"]
    assert [read(source, file) for file in files] == [b"x"] * 3
    if together:
        found = source.remove_many(files)
    else:
        source.remove(files[0], sha256="")
        found = [None, *(_refusal(source, file) for file in files[1:])]
    assert found[0] is None
    assert all(type(one) is NotRemoved for one in found[1:])
    assert [(one.reason, one.retry_helps) for one in found[1:]] == [
        (Reason.HAS_SNAPSHOTS, False),
        (Reason.LEASED, True),
    ]
    assert names(container) == {"photos/kept.jpg", "photos/leased.jpg"}
    lease.release()
    source.remove(files[2], sha256="")


def _refusal(source: Source, file: SourceFile) -> NotRemoved:
    with pytest.raises(NotRemoved) as caught:
        source.remove(file, sha256="")
    return caught.value


def test_a_right_that_may_not_delete_is_told(
    azurite: Azurite, container: ContainerClient, fast: bool
) -> None:
    """Without permission to delete, the photo is stored and stays: a stored policy can change at any time."""
    container.upload_blob("photos/a.jpg", b"x")
    container.set_container_access_policy(
        {"readers": AccessPolicy(permission="rl", expiry="2099-01-01T00:00:00Z")}
    )
    sas = azurite.sas(container.container_name, policy_id="readers")
    with azurite.open(f"{container.container_name}/photos", sas_token=sas, fast=fast) as source:
        (file,) = source.scan()
        assert read(source, file) == b"x"
        refused = [_refusal(source, file), *source.remove_many([file])]
    assert {one.reason for one in refused if isinstance(one, NotRemoved)} == {Reason.REMOVAL_FORBIDDEN}
    assert len(refused) == 2
    assert names(container) == {"photos/a.jpg"}


@pytest.mark.parametrize("code", ["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"])
def test_a_blob_under_retention_is_told(
    azurite: Azurite, container: ContainerClient, proxy: FaultyProxy, code: str
) -> None:
    """Azurite has no retention, so the proxy gives the service's answer."""
    container.upload_blob("photos/a.jpg", b"x")
    with through(azurite, proxy, container) as source:
        (file,) = source.scan()
        proxy.reset(lambda asked: answer(409, code) if asked.method in {"DELETE", "POST"} else None)
        refused = _refusal(source, file)
        assert (refused.reason, refused.retry_helps) == (Reason.RETAINED, False)
        (together,) = source.remove_many([file])
        assert isinstance(together, NotRemoved)
        assert together.reason is Reason.RETAINED


def test_a_batch_whose_answer_is_lost_is_asked_about(
    azurite: Azurite, container: ContainerClient, proxy: FaultyProxy
) -> None:
    """Removed blobs are reported as removed; a blob that was replaced meanwhile stays."""
    for name in "abc":
        container.upload_blob(f"photos/{name}.jpg", b"x")
    with through(azurite, proxy, container) as source:
        files = sorted(source.scan(), key=lambda file: file.name)
        container.upload_blob("photos/c.jpg", b"new", overwrite=True)
        proxy.reset(
            lambda asked: cut_after if asked.kind == "batch" and proxy.kinds().count("batch") == 1 else None
        )
        found = source.remove_many(files)
    assert [type(one) for one in found] == [type(None), type(None), FileChanged]
    assert names(container) == {"photos/c.jpg"}


def test_a_server_without_batches_is_asked_one_by_one(
    azurite: Azurite, container: ContainerClient, proxy: FaultyProxy
) -> None:
    """After the first refusal, no batch is tried again."""
    for number in range(4):
        container.upload_blob(f"photos/{number}.jpg", b"x")
    with through(azurite, proxy, container) as source:
        files = list(source.scan())
        proxy.reset(lambda asked: answer(400, "InvalidInput") if asked.kind == "batch" else None)
        assert source.remove_many(files[:2]) == source.remove_many(files[2:]) == [None, None]
        assert proxy.kinds() == ["batch", *["DELETE"] * 4]
    assert names(container) == set()


def test_a_batch_that_was_cut_and_then_refused_leaves_a_doubt(
    azurite: Azurite, container: ContainerClient, proxy: FaultyProxy
) -> None:
    """If the answer to a batch is lost and the retry is refused, a blob that is gone counts as removed here."""
    for name in "ab":
        container.upload_blob(f"photos/{name}.jpg", b"x")
    with through(azurite, proxy, container) as source:
        files = list(source.scan())

        def cut_then_refuse(asked: Any) -> Any:
            if asked.kind != "batch":
                return None
            return cut_after if proxy.kinds().count("batch") == 1 else answer(400, "InvalidInput")

        proxy.reset(cut_then_refuse)
        assert source.remove_many(files) == [None, None]
        assert proxy.kinds()[:2] == ["batch", "batch"]
    assert names(container) == set()


# --- what is put


def test_what_is_put_appears_whole(azurite: Azurite, container: ContainerClient, proxy: FaultyProxy) -> None:
    """Blocks are invisible; the commit makes them a file in one step."""
    chunks = [os.urandom(300_000) for _ in range(30)]
    seen: list[set[str]] = []
    with through(azurite, proxy, container) as source:
        proxy.reset(lambda asked: seen.append(names(container)))
        put = source.put("a b#1.mp4", iter(chunks))
        assert proxy.kinds() == ["HEAD", "list", "block", "block", "block", "commit", "HEAD"]
        assert seen == [set()] * 6 + [{"photos/a b#1.mp4"}]
        assert listed(source) == {"a b#1.mp4": put}
        assert put.vendor_hash == f"md5:{hashlib.md5(b''.join(chunks)).hexdigest()}"
        assert read(source, put) == b"".join(chunks)


def test_nothing_is_overwritten(azurite: Azurite, container: ContainerClient, proxy: FaultyProxy) -> None:
    """An existing blob is not touched, even if it appeared a moment ago."""
    container.upload_blob("photos/a.jpg", b"first")
    with through(azurite, proxy, container) as source:
        with pytest.raises(NameTaken):
            source.put("a.jpg", [b"second"])

        def take(asked: Any) -> None:
            if asked.kind == "commit":
                container.upload_blob("photos/b.jpg", b"first", overwrite=True)

        proxy.reset(take)
        with pytest.raises(NameTaken):
            source.put("b.jpg", [b"second"])
    assert container.download_blob("photos/a.jpg").readall() == b"first"
    assert container.download_blob("photos/b.jpg").readall() == b"first"


def test_a_commit_whose_answer_is_lost_is_ours(
    azurite: Azurite, container: ContainerClient, proxy: FaultyProxy
) -> None:
    """If the answer to our own commit is lost, the name is not reported as taken."""
    with through(azurite, proxy, container) as source:
        proxy.reset(
            lambda asked: cut_after if asked.kind == "commit" and proxy.kinds().count("commit") == 1 else None
        )
        put = source.put("a.jpg", [b"bytes"])
        assert proxy.kinds().count("commit") == 2
        assert read(source, put) == b"bytes"


def test_a_stream_that_breaks_leaves_nothing(container: ContainerClient, source: Source) -> None:
    """If reading the new content fails, no blob is created."""

    def breaking() -> Iterator[bytes]:
        yield bytes(5_000_000)
        raise RuntimeError("the disk is gone")

    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever it is, nothing may be seen
        source.put("a.mp4", breaking())
    assert names(container) == set()
    assert source.look("a.mp4") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b.jpg",
        "../x",
        "a\\b.jpg",
        "nul\0.jpg",
        "x\r.jpg",
        "\udce9.jpg",
        "x" * 1100,
        "x\ufffe",
    ],
)
def test_what_is_no_name_of_a_file_here_is_refused(
    container: ContainerClient, source: Source, name: str
) -> None:
    """A name that leads elsewhere is refused without a request."""
    container.upload_blob("photos", b"x")
    container.upload_blob("photos/b.jpg", b"x")
    forged = SourceFile(name=name, size_bytes=1, version="0x1")
    for act in (
        lambda: source.look(name),
        lambda: source.fetch(forged),
        lambda: source.remove(forged, sha256=""),
        lambda: source.put(name, [b"x"]),
    ):
        with pytest.raises(NameRefused) as caught:
            act()
        assert not name or len(name) < 3 or name not in str(caught.value)
    assert isinstance(source.remove_many([forged])[0], NameRefused)
    assert names(container) == {"photos", "photos/b.jpg"}


# --- by which right


def test_every_kind_of_right_opens_the_folder(
    azurite: Azurite, container: ContainerClient, fast: bool
) -> None:
    """Key, SAS and connection string work alike; the folder's id does not depend on them."""
    container.upload_blob("photos/a.jpg", b"x")
    path = f"{container.container_name}/photos"
    rights: list[dict[str, Any]] = [
        {"account_name": ACCOUNT, "account_key": KEY},
        {"sas_token": azurite.sas(container.container_name)},
        {"sas_token": "?" + azurite.sas(container.container_name)},
        {"connection_string": azurite.connection_string},
        {"connection_string": f"BlobEndpoint={azurite.endpoint};SharedAccessSignature={azurite.sas(container.container_name)}"},
    ]  # fmt: skip
    ids = set()
    for right in rights:
        with azurite.open(path, fast=fast, **right) as source:
            (file,) = source.scan()
            assert read(source, file) == b"x"
            ids.add(source.source_id)
    assert len(ids) == 1
    for protocol in ("abfs", "azure"):
        from intouch_import import open_source

        with open_source(f"{protocol}://{path}", connection_string=azurite.connection_string) as source:
            assert source.source_id in ids
            assert (source.location, source.label, source.commits_whole) == ("azure", "photos", True)


def test_a_wrong_key_is_an_error_everywhere(azurite: Azurite, container: ContainerClient) -> None:
    """A refusal of the service never looks like an empty folder."""
    wrong = KEY[:-6] + "AAAA=="
    with pytest.raises(SourceUnavailable, match="access denied") as caught:
        azurite.open(f"{container.container_name}/photos", account_name=ACCOUNT, account_key=wrong)
    assert not caught.value.retry_helps


def test_an_expired_signature_says_so(azurite: Azurite, container: ContainerClient) -> None:
    """A person must create a new one."""
    for options in ({"hours": -1.0}, {"permission": "rld", "hours": -0.001}):
        with pytest.raises(SourceUnavailable, match="expired") as caught:
            azurite.open(container.container_name, sas_token=azurite.sas(container.container_name, **options))
        assert not caught.value.retry_helps


def test_the_environment_does_not_decide(
    azurite: Azurite,
    container: ContainerClient,
    fast: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Keys, endpoints, proxies and passwords in the environment do not replace the options."""
    container.upload_blob("photos/a.jpg", b"x")
    wrong = {
        "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=other;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:9/other",
        "AZURE_STORAGE_ACCOUNT_NAME": "other",
        "AZURE_STORAGE_ACCOUNT_KEY": "AAAA",
        "AZURE_STORAGE_SAS_TOKEN": "sig=wrong",
        "AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:9/other",
        "AZURE_STORAGE_USE_EMULATOR": "true",
        "AZURE_SKIP_SIGNATURE": "true",
        "AZURE_ENCRYPTION_KEY": "wrong",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login mallory password canary\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    for right in ({}, {"sas_token": azurite.sas(container.container_name)}):
        with azurite.open(f"{container.container_name}/photos", fast=fast, **right) as source:
            (file,) = source.scan()
            assert read(source, file) == b"x"
            assert source.filesystem.cat_file("/a.jpg") == b"x"


def test_options_that_make_no_sense_are_told(azurite: Azurite) -> None:
    """Invalid options are refused without a request."""
    for options in ({"concurrency": 0}, {"timeout_s": 0}, {"folder": "x"}):
        with pytest.raises(ConfigError):
            azurite.open("photos", **options)
