"""Listing a OneDrive folder: the whole folder first, then the changes, and never less than is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import ConfigError, SignInNeeded, SourceUnavailable
from intouch_import.model import EntryKind
from intouch_import.sources import open_source
from services.doubles.onedrive import Fault, OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.onedrive import OneDriveSource
    from services.doubles.onedrive import Item

NAMES = [
    "IMG #1.jpg", "a%20b.jpg", "a b.jpg", "100%.jpg", "IMG[1].jpg", "~x.jpg", "dot.jpg.", "\U0001f600.jpg", "Caf\u00e9.jpg",
    "Cafe\u0301.jpg", "a&b+c=d;e@f,g.jpg", "'q' (1)!$.jpg", ".hidden", "two  blanks.jpg", "\u202egpj.exe",
]  # fmt: skip


def names(source: OneDriveSource) -> list[str]:
    """Return the listed names, in order."""
    return sorted(file.name for file in source.scan())


def fill(server: OneDriveServer, folder: Item, count: int) -> list[Item]:
    """Put photos into the folder."""
    return [server.drive.write(folder, f"{number:05}.jpg", b"photo %d" % number) for number in range(count)]


def test_names_are_told_and_taken_exactly(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """Whatever a name contains, the file is listed, looked at, read, removed and put under exactly this name."""
    for name in NAMES:
        server.drive.write(photos, name, name.encode())
    listed = {file.name: file for file in source.scan()}
    assert sorted(listed) == sorted(NAMES)
    for name, file in listed.items():
        assert source.look(name) == file
        with source.fetch(file) as content, content.open() as stream:
            assert stream.read() == name.encode()
            source.remove(file, sha256=content.sha256)
        assert source.look(name) is None
        assert name not in photos.children
    for name in NAMES:
        assert source.put(name, [name.encode()]).name == name
    assert {item.name for item in photos.children.values()} == set(NAMES)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 23])
def test_all_pages_are_read(count: int, server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """However the service cuts the listing into pages, everything is in it, with empty pages in between too."""
    fill(server, photos, count)
    pages: list[dict[str, Any]] = []

    def cut(told: dict[str, Any]) -> dict[str, Any]:
        """Return two entries on a page, then an empty page, and so on, whatever the client asks for."""
        if not pages:
            values = told["value"]
            for start in range(0, len(values), 2):
                pages.extend([{"value": values[start : start + 2]}, {"value": []}])
            pages.append({"value": []})
            for number, page in enumerate(pages[:-1]):
                page["@odata.nextLink"] = (
                    f"{server.endpoint}/v1.0/drives/{server.drive.id}/items/{photos.id}/children?{number}"
                )
            served.extend(pages)
        return served.pop(0)

    served: list[dict[str, Any]] = []
    server.fail("children", Fault(rewrite=cut), times=None)
    assert len(names(source)) == count
    assert server.calls["children"] == len(pages)


def test_what_changes_while_it_is_listed_is_noticed(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """Files that come, go, change or are renamed between two pages are listed as they are at the end."""
    items = fill(server, photos, 6)
    _cap(server, 2)

    def meanwhile() -> None:
        server.drive.write(photos, "00000a.jpg", b"came before the page that is read next")
        server.drive.delete(items[1])
        server.drive.replace(items[0], b"changed")
        server.drive.move(items[5], name="00000z.jpg")

    server.fail("children", Fault.somebody(meanwhile), skip=1)
    listed = {file.name: file for file in source.scan()}
    assert sorted(listed) == sorted(item.name for item in photos.children.values())
    assert listed["00000.jpg"].version == server.drive.ctag(items[0]).strip('"')


def _cap(server: OneDriveServer, size: int) -> None:
    """Let the service put fewer entries on a page than the client asks for."""
    plain = server.graph._children

    def capped(request: Any, target: Any) -> Any:
        return plain(type(request)(
            method=request.method, path=request.path, headers=request.headers, body=request.body,
            query={**request.query, "$top": str(size)},
        ), target)  # fmt: skip

    server.graph._children = capped  # type: ignore[method-assign]


def test_repeated_entries_are_one(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """An entry that comes twice, with its id in either case, is one file."""
    fill(server, photos, 3)

    def twice(told: dict[str, Any]) -> dict[str, Any]:
        again = [dict(item) for item in told["value"]]
        if server.drive.kind == "personal":
            for item in again:
                item["id"] = item["id"].lower()
        return {**told, "value": told["value"] + again}

    server.fail("children", Fault(rewrite=twice))
    assert len(list(source.scan())) == 3


def test_a_refresh_asks_for_changes_alone(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """After the first listing, a refresh costs as much as has changed, whatever the size of the folder."""
    items = fill(server, photos, 50)
    source.scan()
    server.forget_calls()
    assert len(names(source)) == 50
    assert server.calls == {"item": 1, "delta": 1}
    server.drive.delete(items[0])
    server.drive.replace(items[1], b"changed")
    server.drive.write(photos, "new.jpg", b"new")
    server.drive.move(items[2], name="renamed.jpg")
    server.drive.touch(items[3])
    server.drive.move(items[4], folder=server.drive.root)
    server.drive.write(server.drive.folder("elsewhere"), "other.jpg", b"x")
    moved_in = server.drive.write(server.drive.root, "in.jpg", b"x")
    server.drive.move(moved_in, folder=photos)
    server.forget_calls()
    listed = {file.name: file for file in source.scan()}
    expected = {item.name: server.drive.ctag(item).strip('"') for item in photos.children.values()}
    assert {name: file.version for name, file in listed.items()} == expected
    assert "children" not in server.calls
    assert server.calls["item"] <= 1 + 6  # a business account leaves out the tag, so each file is asked for


def test_removals_of_ones_own_are_known(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """A file that the source removed is off the list at once, even if delta reports it late."""
    fill(server, photos, 3)
    first = next(iter(source.scan()))
    with source.fetch(first) as content:
        source.remove(first, sha256=content.sha256)
    server.fail("delta", Fault(rewrite=lambda told: {**told, "value": []}))
    assert first.name not in names(source)


def test_an_old_mark_begins_anew(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """If the delta link has expired (HTTP 410), the whole folder is listed again."""
    fill(server, photos, 5)
    source.scan()
    server.drive.forget_changes()
    server.drive.write(photos, "new.jpg", b"x")
    server.forget_calls()
    assert len(names(source)) == 6
    assert server.calls["children"] == 1
    server.forget_calls()
    assert len(names(source)) == 6
    assert server.calls == {"item": 1, "delta": 1}


@pytest.mark.parametrize("status", [400, 403, 404, 410, 501])
def test_a_drive_that_tells_no_changes_is_listed_every_time(
    status: int, server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """If delta is refused, as for somebody else's folder, each refresh lists the whole folder."""
    server.fail("delta", Fault.refused(status, "notSupported"), times=None)
    fill(server, photos, 2)
    assert len(names(source)) == 2
    fill(server, photos, 4)
    assert len(names(source)) == 4
    assert server.calls["children"] == 2


def test_pages_of_changes_and_last_words(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """Changes come in pages too, and the last change of a file counts."""
    items = fill(server, photos, 12)
    source.scan()
    for item in items[:9]:
        server.drive.replace(item, b"changed")
    server.graph.page_size = 4

    def first_a_wrong_word(told: dict[str, Any]) -> dict[str, Any]:
        gone = [{**item, "deleted": {}} for item in told["value"] if "file" in item]
        return {**told, "value": gone + told["value"]}

    server.fail("delta", Fault(rewrite=first_a_wrong_word), times=None)
    listed = {file.name: file.version for file in source.scan()}
    assert listed == {item.name: server.drive.ctag(item).strip('"') for item in items}
    assert server.calls["delta"] > 3


def test_many_changes_are_listed_anew(business: OneDriveServer, opened: Callable[..., Any]) -> None:
    """If each of many changed files would take a request, the whole folder is listed."""
    photos = business.drive.folder("images/intouch")
    source = opened(business)
    source.scan()
    fill(business, photos, 250)
    business.forget_calls()
    assert len(names(source)) == 250
    assert business.calls["children"] == 1
    assert business.calls["item"] < 250


def test_changes_that_fail_are_asked_for_again(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """A refresh that fails half-way loses no change: the next one reports all."""
    fill(server, photos, 3)
    source.scan()
    fill(server, photos, 9)
    server.graph.page_size = 3
    server.fail("delta", Fault.lost(), times=8, skip=1)
    with pytest.raises(SourceUnavailable):
        source.scan()
    server.faults.clear()
    assert len(names(source)) == 9


def test_everything_is_listed_again_after_some_hours(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any]
) -> None:
    """A change that the service did not report is found when the whole folder is listed again."""
    now = [0.0]
    source = opened(server)
    source._listing._monotonic_s = lambda: now[0]
    fill(server, photos, 2)
    source.scan()
    fill(server, photos, 3)
    server.fail("delta", Fault(rewrite=lambda told: {**told, "value": []}))
    assert len(names(source)) == 2
    now[0] += 6 * 3600 + 1
    assert len(names(source)) == 3


def test_links_of_answers_stay_at_home(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any]
) -> None:
    """A link to another host, or to another interface, is not followed, and gets no token."""
    fill(server, photos, 1)
    with OneDriveServer() as other:
        for link in (
            f"{other.endpoint}/v1.0/x",
            f"{server.endpoint}.evil.example/v1.0/x",
            "file:///etc/passwd",
        ):
            for kind, skip in (("deltaLink", 0), ("nextLink", 1)):
                told = {"value": [], f"@odata.{kind}": link}
                server.fail("delta", Fault(rewrite=lambda _, told=told: told), skip=skip)
                with pytest.raises(SourceUnavailable, match="another server"):
                    opened(server).scan()
        assert other.requests == []


def test_paging_that_never_ends_is_an_error(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """A page that links to itself is an error."""
    fill(server, photos, 1)
    link = f"{server.endpoint}/v1.0/drives/{server.drive.id}/items/{photos.id}/children?again"
    server.fail("children", Fault(rewrite=lambda told: {**told, "@odata.nextLink": link}), times=None)
    with pytest.raises(SourceUnavailable, match="come to an end"):
        source.scan()


def test_drive_ids_are_compared_as_numbers(personal: OneDriveServer, opened: Callable[..., Any]) -> None:
    """The id of a personal drive may lose its leading zero or change case, and is still the same drive."""
    personal.drive.id = "0a1b2c3d4e5f6789"
    personal.graph.drives = {personal.drive.id: personal.drive}
    photos = personal.drive.folder("images/intouch")
    fill(personal, photos, 2)

    def shortened(told: dict[str, Any]) -> dict[str, Any]:
        for item in told["value"]:
            item["parentReference"]["driveId"] = item["parentReference"]["driveId"].lstrip("0").upper()
            item["parentReference"]["id"] = item["parentReference"]["id"].lower()
        return told

    personal.fail("children", Fault(rewrite=shortened))
    assert len(names(opened(personal, drive_id="A1B2C3D4E5F6789"))) == 2
    personal.fail(
        "children",
        Fault(
            rewrite=lambda told: {
                "value": [
                    {**item, "parentReference": {"id": photos.id, "driveId": "ffff"}}
                    for item in told["value"]
                ]
            }
        ),
    )
    with pytest.raises(SourceUnavailable, match="not in the folder"):
        opened(personal).scan()


def test_kinds_of_entries(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """A notebook is no file, a pointer to another drive is a link, a folder is a folder, and malware is not opened."""
    server.drive.write(photos, "a.jpg", b"x")
    server.drive.add(photos, "sub", None)
    server.drive.add(photos, "notebook", None, package={"type": "oneNote"}, folder={"childCount": 1})
    server.drive.add(photos, "shared", None, remoteItem={"id": "x", "folder": {}})
    server.drive.add(photos, "bad.jpg", b"x", malware={"description": "x"})
    server.drive.add(photos, "burst.jpg", b"x", bundle={"childCount": 2})
    kinds = {file.name: file.kind for file in source.scan()}
    special = EntryKind.SPECIAL
    assert kinds == {
        "a.jpg": EntryKind.FILE,
        "sub": EntryKind.FOLDER,
        "notebook": special,
        "shared": EntryKind.LINK,
        "bad.jpg": special,
        "burst.jpg": special,
    }


# --- which folder


def test_the_root_by_default(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """Without a folder, the source is the root of the account's own drive."""
    server.drive.write(server.drive.root, "a.jpg", b"x")
    for path in ("", "/"):
        source = opened(server, path.lstrip("/"))
        assert names(source) == ["a.jpg"]
        assert source.label == "OneDrive"


def test_a_library_by_its_drive_id(business: OneDriveServer, opened: Callable[..., Any]) -> None:
    """A SharePoint library is opened by its id; listing, reading, removing and putting work there."""
    library = business.add_drive("documentLibrary")
    folder = library.folder("Clinic photos/new")
    library.write(folder, "a.jpg", b"x")
    source = opened(
        business,
        "Clinic%20photos/new",
        drive_id=library.id,
        signin=business.signin("Files.ReadWrite.All"),
    )
    (file,) = source.scan()
    with source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    source.put("b.jpg", [b"y"])
    assert names(source) == ["b.jpg"]
    assert [item.name for item in library.bin] == ["a.jpg"]


def test_a_shared_folder(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """Somebody else's folder is opened by its ids, by a shortcut in one's own drive, or by a path through the shortcut."""
    other = server.add_drive(server.drive.kind, owner="Dr Kaur")
    folder = other.folder("Theirs/photos")
    other.write(folder, "a.jpg", b"x")
    server.share(other, other.folder("Theirs"), name="Kaur")
    wide = {"signin": server.signin("Files.ReadWrite.All")}
    by_id = opened(server, "", drive_id=other.id, folder_id=folder.id, **wide)
    below = opened(server, "photos", drive_id=other.id, folder_id=other.folder("Theirs").id, **wide)
    through = opened(server, "Kaur/photos", **wide)
    for source in (by_id, below, through):
        assert names(source) == ["a.jpg"]
    server.share(other, folder, name="direct")
    source = opened(server, "direct", **wide)
    (file,) = source.scan()
    with source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    assert [item.name for item in other.bin] == ["a.jpg"]


def test_the_folder_of_the_app(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """With the smallest permission, the app's own folder works, and nothing else."""
    narrow = {"signin": server.signin("Files.ReadWrite.AppFolder")}
    server.drive.write(server.drive.folder("Apps/intouch/drj"), "a.jpg", b"x")
    source = opened(server, "drj", app_folder=True, **narrow)
    (file,) = source.scan()
    with source.fetch(file) as content:
        source.remove(file, sha256=content.sha256)
    source.put("b.jpg", [b"x"])
    assert names(source) == ["b.jpg"]
    with pytest.raises(SourceUnavailable, match="permissions"):
        opened(server, "", **narrow).scan()


def test_a_folder_that_is_gone_and_comes_back(
    server: OneDriveServer, photos: Item, source: OneDriveSource
) -> None:
    """A deleted folder is an error of the location. A new folder of the same name has nothing of the old one."""
    fill(server, photos, 2)
    assert len(names(source)) == 2
    server.drive.delete(photos)
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match="no such folder") as caught:
            source.scan()
        assert caught.value.source_id == source.source_id
    again = server.drive.folder("images/intouch")
    server.drive.write(again, "new.jpg", b"x")
    assert names(source) == ["new.jpg"]


def test_a_folder_that_is_exchanged(server: OneDriveServer, photos: Item, source: OneDriveSource) -> None:
    """Another folder that takes over the name is listed from the start."""
    fill(server, photos, 2)
    source.scan()
    server.drive.move(photos, name="old")
    other = server.drive.folder("images/intouch")
    server.drive.write(other, "other.jpg", b"x")
    assert names(source) == ["other.jpg"]


def test_a_file_is_no_folder(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """A path to a file or to a notebook is an error that says so."""
    server.drive.write(server.drive.folder("images"), "intouch", b"x")
    with pytest.raises(SourceUnavailable, match="not a folder"):
        opened(server).scan()


def test_without_the_right_the_permissions_are_named(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any]
) -> None:
    """With a token that lacks the permission, the error names the permissions; the list is not empty."""
    with pytest.raises(SourceUnavailable, match="permissions") as caught:
        opened(server, signin=server.signin("User.Read")).scan()
    assert not caught.value.retry_helps
    source = opened(server, signin=server.signin("Files.Read"))
    assert names(source) == []


def test_a_sign_in_that_is_refused_is_told_as_one(
    server: OneDriveServer, photos: Item, opened: Callable[..., Any]
) -> None:
    """If a new token is refused too, the error is "sign in again". Only one new token is asked for."""
    asked: list[bool] = []

    def provide(force: bool = False) -> str:
        asked.append(force)
        return "worthless"

    with pytest.raises(SignInNeeded):
        opened(server, signin=provide).scan()
    assert asked.count(True) == 1


def test_a_provider_that_fails_says_nothing(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """The exception of a host's token provider is not shown: it may contain a token."""

    def provide(force: bool = False) -> str:
        raise RuntimeError("CANARY")

    with pytest.raises(SourceUnavailable, match="token provider") as caught:
        opened(server, signin=provide).scan()
    assert "CANARY" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_nothing_is_asked_before_it_is_needed(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """Opening a source sends no request: a dead location is a problem of the refresh."""
    source = opened(server, endpoint="http://127.0.0.1:1", signin=lambda force=False: "x")
    assert server.requests == []
    with pytest.raises(SourceUnavailable, match="reached"):
        source.scan()


def test_ids_of_sources(server: OneDriveServer, opened: Callable[..., Any]) -> None:
    """The same folder has the same id on every workstation; another folder, drive or app has another id."""
    plain = opened(server).source_id
    assert opened(server).source_id == plain
    others = [
        opened(server, "images/intouch2"),
        opened(server, drive_id="d"),
        opened(server, folder_id="f"),
        opened(server, app_folder=True),
    ]
    assert len({plain, *(source.source_id for source in others)}) == 5
    assert plain.startswith("onedrive-")
    assert "intouch" not in repr(opened(server))


WRONG = [
    ("onedrive://drive/folder", {}), ("onedrive:///a/../b", {}), ("onedrive:///a:b", {}), ("onedrive:///x", {"signin": None}),
    ("onedrive:///x", {"signin": "a token"}), ("onedrive:///x", {"endpoint": "http://graph.example"}),
    ("onedrive:///x", {"endpoint": "https://graph.example/v1.0"}), ("onedrive:///x", {"endpoint": "ftp://x"}),
    ("onedrive:///x", {"endpoint": "https://user:secret@x"}), ("onedrive:///x", {"endpoint": "https://[x"}),
    ("onedrive:///x", {"drive_id": "d", "app_folder": True}), ("onedrive:///x", {"drive_id": " "}),
    ("onedrive:///x", {"folder_id": "a/b"}), ("onedrive:///x", {"account_key": "SECRET"}),
]  # fmt: skip


@pytest.mark.parametrize(("url", "options"), WRONG)
def test_settings_that_make_no_sense(url: str, options: dict[str, Any]) -> None:
    """A mistake in the settings is reported when the folder is opened, without repeating the value."""
    with pytest.raises(ConfigError) as caught:
        open_source(url, **{"signin": lambda force=False: "x", **options})
    assert "secret" not in str(caught.value).lower() or "SECRET" not in str(caught.value)
