"""The vendor's own Python client drives the protocol server, which must answer as Dropbox does."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

import dropbox
import pytest
import requests
from dropbox import files
from dropbox.common import PathRoot
from dropbox.content_hash import content_hash as vendors_hash
from dropbox.exceptions import (
    ApiError,
    AuthError,
    BadInputError,
    InternalServerError,
    PathRootError,
    RateLimitError,
)

from services.doubles.dropbox import Account, App, DropboxServer, Fault, content_hash
from services.dropbox_sdk import open_sdk, plain_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def server() -> Iterator[DropboxServer]:
    with DropboxServer() as server:
        yield server


@pytest.fixture
def sdk(server: DropboxServer) -> Iterator[dropbox.Dropbox]:
    with open_sdk(server, max_retries_on_error=0, max_retries_on_rate_limit=0) as client:
        yield client


def refusal(action: Callable[[], object]) -> Any:
    with pytest.raises(ApiError) as caught:
        action()
    return caught.value.error


# --- listing


def test_a_folder_is_listed_in_pages(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """Pages have a cursor and say whether more follow; the limit is kept; no entry comes twice."""
    for number in range(7):
        server.put(f"/Photos/IMG {number}.jpg", b"x" * number)
    page = sdk.files_list_folder("/photos", limit=3)
    names = [entry.name for entry in page.entries]
    while page.has_more:
        assert len(page.entries) <= 3
        page = sdk.files_list_folder_continue(page.cursor)
        names += [entry.name for entry in page.entries]
    assert names == [f"IMG {number}.jpg" for number in range(7)]


def test_an_entry_says_everything(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """An entry has the name, both paths, id, revision, size, times and hash of the file."""
    rev = server.put("/Photos/IMG.JPG", b"content")
    server.make_folder("/Photos/Sub")
    server.put_paper("/Photos/Notes.paper")
    by_name = {entry.name: entry for entry in sdk.files_list_folder("/photos").entries}
    file, folder, paper = by_name["IMG.JPG"], by_name["Sub"], by_name["Notes.paper"]
    assert (file.path_lower, file.path_display, file.size) == ("/photos/img.jpg", "/Photos/IMG.JPG", 7)
    assert (file.rev, file.content_hash) == (rev, vendors_hash(b"content"))
    assert file.id.startswith("id:")
    assert file.is_downloadable
    assert isinstance(folder, files.FolderMetadata)
    assert not paper.is_downloadable
    assert paper.export_info.export_as == "markdown"


def test_a_cursor_tells_what_has_changed(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """New, replaced and deleted entries come in order; a deleted folder has one tombstone for everything in it."""
    server.put("/p/a.jpg", b"1")
    server.put("/p/sub/b.jpg", b"1")
    cursor = sdk.files_list_folder("/p").cursor
    deep = sdk.files_list_folder("/p", recursive=True)
    assert {entry.path_lower for entry in deep.entries} == {"/p/a.jpg", "/p/sub", "/p/sub/b.jpg"}
    server.put("/p/a.jpg", b"22")
    server.put("/p/c.jpg", b"3")
    server.delete("/p/sub")
    server.put("/elsewhere/d.jpg", b"4")
    for one in (cursor, deep.cursor):
        news = sdk.files_list_folder_continue(one)
        kinds = [(type(entry).__name__, entry.path_lower) for entry in news.entries]
        assert kinds == [
            ("FileMetadata", "/p/a.jpg"),
            ("FileMetadata", "/p/c.jpg"),
            ("DeletedMetadata", "/p/sub"),
        ]
        assert not news.has_more
    again = sdk.files_list_folder_continue(cursor)
    assert len(again.entries) == 3, "a cursor gives the same page again"
    assert sdk.files_list_folder_continue(news.cursor).entries == []


def test_an_empty_page_may_have_more_behind_it(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """A client must not take an empty page for the end."""
    server.put("/p/a.jpg", b"1")
    server.fail("files/list_folder page", Fault.empty())
    page = sdk.files_list_folder("/p")
    assert (page.entries, page.has_more) == ([], True)
    assert len(sdk.files_list_folder_continue(page.cursor).entries) == 1


def test_a_cursor_that_is_not_known_is_reset(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """An unknown cursor makes the client start over; a deleted folder is not found."""
    server.make_folder("/p")
    cursor = sdk.files_list_folder_get_latest_cursor("/p").cursor
    server.delete("/p")
    assert refusal(lambda: sdk.files_list_folder_continue(cursor)).get_path().is_not_found()
    server.api.end_cursors()
    assert refusal(lambda: sdk.files_list_folder_continue(cursor)).is_reset()
    assert refusal(lambda: sdk.files_list_folder_longpoll(cursor)).is_reset()


def test_a_long_poll_ends_with_a_change(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """It returns as soon as something has changed, needs no token, and says if nothing has changed."""
    server.make_folder("/p")
    cursor = sdk.files_list_folder_get_latest_cursor("/p").cursor
    timer = threading.Timer(0.1, lambda: server.put("/p/a.jpg", b"1"))
    timer.start()
    began_s = time.monotonic()
    assert sdk.files_list_folder_longpoll(cursor, timeout=30).changes
    assert 0.05 < time.monotonic() - began_s < 10
    timer.join()
    assert "authorization" not in server.requests[-1].headers
    server.api.longest_poll_s = 0.05
    cursor = sdk.files_list_folder_get_latest_cursor("/p").cursor
    assert not sdk.files_list_folder_longpoll(cursor, timeout=30).changes


def test_folders_that_can_not_be_listed(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """A missing folder, a file, and the root written as a slash are errors."""
    server.put("/p/a.jpg", b"1")
    assert refusal(lambda: sdk.files_list_folder("/none")).get_path().is_not_found()
    assert refusal(lambda: sdk.files_list_folder("/p/a.jpg")).get_path().is_not_folder()
    with pytest.raises(BadInputError, match="empty string"):
        sdk.files_list_folder("/")


# --- one file


def test_a_file_is_found_by_path_by_id_and_by_revision(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """Letter case does not matter; an id follows a file; a revision remains after a replacement."""
    first = server.put("/P/A.jpg", b"1")
    found = sdk.files_get_metadata("/p/a.JPG")
    server.put("/P/A.jpg", b"22")
    assert sdk.files_get_metadata("/p/a.jpg").id == found.id
    _, response = sdk.files_download(f"rev:{first}")
    assert response.content == b"1"
    server.move("/P/A.jpg", "/elsewhere/B.jpg")
    assert sdk.files_get_metadata(found.id).path_lower == "/elsewhere/b.jpg"
    assert refusal(lambda: sdk.files_get_metadata("/p/a.jpg")).get_path().is_not_found()


@pytest.mark.parametrize(
    "name", ["a.jpg", "ü ß 漢字.jpg", 'quote".jpg', "del\x7f.jpg", "pictures 🦶.jpg", "a&b=c%20+.jpg"]
)
def test_a_file_is_downloaded(server: DropboxServer, sdk: dropbox.Dropbox, name: str) -> None:
    """The metadata come in an ASCII header, whatever the name; the bytes are those of the file."""
    whole = name.encode() * 1000
    server.put(f"/p/{name}", whole)
    said, response = sdk.files_download(f"/p/{name}")
    assert (said.name, said.size, response.content) == (name, len(whole), whole)
    assert response.headers["dropbox-api-result"].isascii()
    link = sdk.files_get_temporary_link(f"/p/{name}")
    assert requests.get(link.link, timeout=5).content == whole
    part = requests.get(link.link, headers={"Range": "bytes=2-4"}, timeout=5)
    assert (part.status_code, part.content) == (206, whole[2:5])


def test_what_can_not_be_downloaded(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """A missing file, a folder, and a document of Dropbox's own can't be downloaded."""
    server.put_paper("/p/notes.paper")
    assert refusal(lambda: sdk.files_download("/p/none")).get_path().is_not_found()
    assert refusal(lambda: sdk.files_download("/p")).get_path().is_not_file()
    assert refusal(lambda: sdk.files_download("/p/notes.paper")).is_unsupported_file()


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 9 * 1024 * 1024])
def test_the_content_hash_is_the_vendors(size: int) -> None:
    """In one piece or in many, for sizes around one block."""
    data = hashlib.shake_128(str(size).encode()).digest(size)
    assert content_hash([data]) == vendors_hash(data)
    assert content_hash(data[start : start + 70_001] for start in range(0, size, 70_001)) == vendors_hash(
        data
    )


# --- writing


def test_a_file_is_uploaded(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """Missing folders are created; a name that is taken is refused, renamed or replaced, as the client asks."""
    said = sdk.files_upload(b"first", "/new/a.txt")
    assert (said.name, said.content_hash) == ("a.txt", vendors_hash(b"first"))
    assert server.read("/New/A.txt") == b"first"
    assert sdk.files_upload(b"first", "/new/a.txt").rev == said.rev, "the same bytes are no conflict"
    strict = refusal(lambda: sdk.files_upload(b"first", "/new/a.txt", strict_conflict=True))
    assert strict.get_path().reason.get_conflict().is_file()
    assert refusal(lambda: sdk.files_upload(b"other", "/new/a.txt")).get_path().reason.is_conflict()
    assert sdk.files_upload(b"other", "/new/a.txt", autorename=True).name == "a (1).txt"
    update = files.WriteMode.update(said.rev)
    newer = sdk.files_upload(b"newer", "/new/a.txt", mode=update)
    assert newer.id == said.id
    assert (
        refusal(lambda: sdk.files_upload(b"late", "/new/a.txt", mode=update)).get_path().reason.is_conflict()
    )
    assert sdk.files_upload(b"over", "/new/a.txt", mode=files.WriteMode.overwrite).rev != newer.rev
    in_the_way = refusal(lambda: sdk.files_upload(b"x", "/new/a.txt/below.txt"))
    assert in_the_way.get_path().reason.get_conflict().is_file_ancestor()
    assert refusal(lambda: sdk.files_upload(b"x", "/new/Thumbs.db")).get_path().reason.is_disallowed_name()


def test_a_damaged_upload_is_refused(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """The server compares the client's hash of the bytes."""
    assert refusal(lambda: sdk.files_upload(b"x", "/a.txt", content_hash="0" * 64)).is_content_hash_mismatch()
    assert server.read("/a.txt") is None


def test_a_large_file_is_uploaded_in_a_session(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """Nothing appears before the end; a wrong offset is answered with the right one; a session is used once."""
    session = sdk.files_upload_session_start(b"one ").session_id
    sdk.files_upload_session_append_v2(b"two ", files.UploadSessionCursor(session, 4))
    late = refusal(lambda: sdk.files_upload_session_append_v2(b"two ", files.UploadSessionCursor(session, 4)))
    assert late.get_incorrect_offset().correct_offset == 8
    commit = files.CommitInfo("/big.txt")
    early = refusal(
        lambda: sdk.files_upload_session_finish(b"", files.UploadSessionCursor(session, 4), commit)
    )
    assert early.get_lookup_failed().get_incorrect_offset().correct_offset == 8
    assert server.read("/big.txt") is None
    said = sdk.files_upload_session_finish(b"three", files.UploadSessionCursor(session, 8), commit)
    assert server.read("/big.txt") == b"one two three"
    assert said.content_hash == vendors_hash(b"one two three")
    gone = refusal(
        lambda: sdk.files_upload_session_finish(b"", files.UploadSessionCursor(session, 13), commit)
    )
    assert gone.get_lookup_failed().is_not_found()


def test_a_deletion_is_pinned_to_a_revision(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """Another revision or a folder is not deleted; the answer has the metadata of the deleted file."""
    old = server.put("/p/a.jpg", b"1")
    new = server.put("/p/a.jpg", b"22")
    assert refusal(lambda: sdk.files_delete_v2("/p/a.jpg", parent_rev=old)).is_path_write()
    assert refusal(lambda: sdk.files_delete_v2("/p", parent_rev=new)).get_path_lookup().is_not_file()
    assert sdk.files_delete_v2("/P/A.jpg", parent_rev=new).metadata.rev == new
    assert refusal(lambda: sdk.files_delete_v2("/p/a.jpg")).get_path_lookup().is_not_found()
    assert isinstance(sdk.files_delete_v2("/p").metadata, files.FolderMetadata)


def test_many_are_deleted_by_a_job(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """A finished job has the result of each entry, in order."""
    rev = server.put("/p/a.jpg", b"1")
    server.put("/p/b.jpg", b"1")
    server.api.batch_polls = 1
    arguments = [
        files.DeleteArg("/p/a.jpg", rev),
        files.DeleteArg("/p/b.jpg", rev),
        files.DeleteArg("/p/c.jpg"),
    ]
    job = sdk.files_delete_batch(arguments).get_async_job_id()
    assert sdk.files_delete_batch_check(job).is_in_progress()
    first, second, third = sdk.files_delete_batch_check(job).get_complete().entries
    assert first.get_success().metadata.name == "a.jpg"
    assert second.get_failure().is_path_write()
    assert third.get_failure().get_path_lookup().is_not_found()
    assert server.names("/p") == {"b.jpg"}


def test_files_are_moved_copied_and_folders_made(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """A moved file keeps its id, a copy gets its own; a conflict is an error."""
    server.put("/p/a.jpg", b"1")
    identity = sdk.files_get_metadata("/p/a.jpg").id
    assert sdk.files_move_v2("/p/a.jpg", "/q/b.jpg").metadata.id == identity
    assert sdk.files_copy_v2("/q/b.jpg", "/q/c.jpg").metadata.id != identity
    assert sdk.files_create_folder_v2("/r/s").metadata.name == "s"
    assert refusal(lambda: sdk.files_create_folder_v2("/r/s")).get_path().get_conflict().is_folder()
    assert refusal(lambda: sdk.files_copy_v2("/q/b.jpg", "/q/c.jpg")).get_to().is_conflict()
    assert refusal(lambda: sdk.files_move_v2("/none", "/x")).get_from_lookup().is_not_found()


# --- whose it is


def test_a_team_space_is_reached_by_its_path_root() -> None:
    """A member sees their own folder, and with the header that of the team; a wrong header is refused."""
    account = Account(root_namespace="111", home_namespace="222", home="/Dr Jones")
    with DropboxServer(account=account) as server:
        server.put("/Dr Jones/own.jpg", b"1")
        server.put("/Team photos/shared.jpg", b"2")
        sdk = open_sdk(server)
        assert [entry.name for entry in sdk.files_list_folder("").entries] == ["own.jpg"]
        root = sdk.users_get_current_account().root_info.root_namespace_id
        team = sdk.with_path_root(PathRoot.root(root))
        assert {entry.name for entry in team.files_list_folder("").entries} == {"Dr Jones", "Team photos"}
        assert sdk.files_get_metadata("ns:222/own.jpg").name == "own.jpg"
        with pytest.raises(PathRootError):
            sdk.with_path_root(PathRoot.root("999")).files_list_folder("")


def test_an_app_of_its_own_folder_sees_nothing_else() -> None:
    """The root of the app is its folder."""
    app = App(key="folderapp", secret="s", app_folder="/Apps/inTOUCH")
    with DropboxServer(app=app) as server:
        server.put("/Apps/inTOUCH/mine.jpg", b"1")
        server.put("/private.jpg", b"2")
        sdk = open_sdk(server)
        (found,) = sdk.files_list_folder("").entries
        assert (found.path_lower, found.path_display) == ("/mine.jpg", "/mine.jpg")
        assert refusal(lambda: sdk.files_get_metadata("/private.jpg")).get_path().is_not_found()


def test_tokens_end_are_revoked_and_lack_permissions(server: DropboxServer) -> None:
    """Each of these has its own 401 error."""
    with open_sdk(server, oauth2_access_token=server.token("files.metadata.read")) as sdk:
        assert sdk.files_list_folder("").entries == []
        with pytest.raises(AuthError) as caught:
            sdk.files_upload(b"x", "/a.txt")
        assert caught.value.error.get_missing_scope().required_scope == "files.content.write"
        server.authorization.expire_access_tokens()
        with pytest.raises(AuthError) as caught:
            sdk.files_list_folder("")
        assert caught.value.error.is_expired_access_token()
    with open_sdk(server) as sdk:
        sdk.auth_token_revoke()
        with pytest.raises(AuthError) as caught:
            sdk.files_list_folder("")
        assert caught.value.error.is_invalid_access_token()


# --- signing in


def press(url: str, button: str = "allow") -> requests.Response:
    """Do what a person at a browser does."""
    page = requests.get(url, timeout=5)
    assert page.status_code == 200, page.text
    question = page.text.partition('name="question" value="')[2].partition('"')[0]
    target = url.partition("/oauth2")[0] + "/oauth2/authorize"
    form = {"question": question, "answer": button}
    return requests.post(target, data=form, timeout=5, allow_redirects=False)


def here(url: str, server: DropboxServer) -> str:
    """Return a page of Dropbox's web site, on the server."""
    return url.replace("https://www.dropbox.com", server.url)


def test_the_vendors_flow_without_a_redirect(server: DropboxServer) -> None:
    """The page shows a code, which is exchanged for tokens; a refresh returns no new refresh token."""
    flow = dropbox.DropboxOAuth2FlowNoRedirect(server.app.key, use_pkce=True, token_access_type="offline")
    flow.requests_session = plain_session(server)
    page = press(here(flow.start(), server)).text
    code = page.partition('<code id="code">')[2].partition("<")[0]
    result = flow.finish(code)
    assert result.refresh_token
    assert result.account_id == server.account.id
    with open_sdk(server, oauth2_refresh_token=result.refresh_token, app_key=server.app.key) as sdk:
        assert sdk.files_list_folder("").entries == []
        server.authorization.expire_access_tokens()
        assert sdk.files_list_folder("").entries == []
        server.authorization.revoke_all()
        with pytest.raises(AuthError):
            sdk.refresh_access_token()
    with pytest.raises(requests.HTTPError):
        flow.finish(code)


@pytest.mark.parametrize("pkce", [True, False])
def test_the_vendors_flow_with_a_redirect(server: DropboxServer, pkce: bool) -> None:
    """The browser is sent back with a code and the state."""
    session: dict[str, str] = {}
    uri = min(server.app.redirect_uris)
    secret = None if pkce else server.app.secret
    flow = dropbox.DropboxOAuth2Flow(
        server.app.key,
        uri,
        session,
        "csrf",
        consumer_secret=secret,
        use_pkce=pkce,
        token_access_type="offline",
    )
    flow.requests_session = plain_session(server)
    target = press(here(flow.start("mine"), server)).headers["Location"]
    assert target.startswith(f"{uri}?")
    query = dict(pair.split("=", 1) for pair in target.partition("?")[2].split("&"))
    query = {key: requests.utils.unquote(value) for key, value in query.items()}
    assert flow.finish(query).url_state == "mine"


def test_a_person_who_does_not_want_to(server: DropboxServer) -> None:
    """The browser is sent back with the refusal."""
    uri = min(server.app.redirect_uris)
    flow = dropbox.DropboxOAuth2Flow(server.app.key, uri, {}, "csrf", use_pkce=True)
    assert "error=access_denied" in press(here(flow.start(), server), "deny").headers["Location"]


def test_codes_and_verifiers_must_be_right() -> None:
    """Another verifier, redirect or app, and an expired code are refused."""
    now_s = [0.0]
    with DropboxServer(now_s=lambda: now_s[0]) as server:
        uri = min(server.app.redirect_uris)
        other = App(key="other", secret="o", redirect_uris=server.app.redirect_uris)
        server.authorization.register(other)

        def begin() -> tuple[str, str]:
            flow = dropbox.DropboxOAuth2Flow(server.app.key, uri, {}, "csrf", use_pkce=True)
            target = press(here(flow.start(), server)).headers["Location"]
            return flow.code_verifier, target.partition("code=")[2].partition("&")[0]

        def ask(**changed: str) -> dict[str, Any]:
            verifier, code = begin()
            if changed.pop("age", None):
                now_s[0] += 601
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "client_id": server.app.key,
                "code_verifier": verifier,
                "redirect_uri": uri,
                **changed,
            }
            answer: dict[str, Any] = requests.post(f"{server.url}/oauth2/token", data=form, timeout=5).json()
            return answer

        assert "access_token" in ask()
        for changed in ({"code_verifier": "x" * 50}, {"redirect_uri": "http://localhost:1"}, {"age": "old"}):
            assert ask(**changed)["error"] == "invalid_grant"
        assert ask(client_id="other")["error"] == "invalid_grant"
        assert ask(client_id="nobody")["error"].startswith("invalid_client")
        assert ask(client_secret="wrong")["error"].startswith("invalid_client")


@pytest.mark.parametrize(
    "query",
    [
        "client_id=nobody&response_type=code",
        "client_id={key}&response_type=token",
        "client_id={key}&response_type=code&redirect_uri=http://localhost:1",
        "client_id={key}&response_type=code&redirect_uri=http://evil.example/",
        "client_id={key}&response_type=code&scope=team_data.member",
    ],
)
def test_a_question_that_is_wrong_is_not_put(server: DropboxServer, query: str) -> None:
    """The browser shows the reason, and is not redirected."""
    answer = requests.get(
        f"{server.url}/oauth2/authorize?{query.format(key=server.app.key)}", timeout=5, allow_redirects=False
    )
    assert answer.status_code == 400
    assert "Location" not in answer.headers


# --- throttling and faults


@pytest.mark.parametrize("form", ["json", "header", "text", "writes"])
def test_throttling_in_its_forms(server: DropboxServer, sdk: dropbox.Dropbox, form: str) -> None:
    """The vendor's client understands each form."""
    server.fail("files/list_folder", Fault.throttled(3, form=form))
    with pytest.raises(RateLimitError) as caught:
        sdk.files_list_folder("")
    assert caught.value.backoff in {3, 1}
    assert sdk.files_list_folder("").entries == []


def test_faults_before_and_after_the_effect(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """A call that fails before the effect does nothing; after it, everything."""
    for after in (False, True):
        rev = server.put("/a.jpg", b"1")
        server.fail("files/delete_v2", Fault.unavailable(after=after))
        with pytest.raises(InternalServerError):
            sdk.files_delete_v2("/a.jpg", parent_rev=rev)
        assert (server.read("/a.jpg") is None) == after
        server.put("/a.jpg", b"1")
        server.fail("files/delete_v2", Fault.lost(after=after))
        with pytest.raises(requests.ConnectionError):
            sdk.files_delete_v2("/a.jpg")
        assert (server.read("/a.jpg") is None) == after


def test_faults_of_a_download(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """A download is cut, too short, damaged, late, or replaced by a page."""
    server.put("/a.jpg", b"x" * 10_000)

    def fetch() -> bytes:
        return bytes(sdk.files_download("/a.jpg")[1].content)

    server.fail("files/download", Fault.cut(5_000))
    with pytest.raises(requests.RequestException):
        fetch()
    server.fail("files/download", Fault.short(5_000))
    assert len(fetch()) == 5_000
    server.fail("files/download", Fault.wrong_hash())
    assert vendors_hash(fetch()) != vendors_hash(b"x" * 10_000)
    server.fail("files/download", Fault.late(0.2))
    began_s = time.monotonic()
    assert len(fetch()) == 10_000
    assert time.monotonic() - began_s >= 0.2
    server.fail("files/download", Fault.html())
    with pytest.raises(KeyError):
        fetch()


def test_writes_that_meet_are_refused() -> None:
    """Parallel writes are refused as by Dropbox, if a test asks for it."""
    with DropboxServer(contention=True) as server:
        ends: list[object] = []

        def write(number: int) -> None:
            try:
                open_sdk(server, max_retries_on_rate_limit=0).files_upload(b"x", f"/{number}.txt")
            except RateLimitError as exc:
                ends.append(exc.error.reason.is_too_many_write_operations())

        threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(ends) == {True}


def test_calls_are_counted(server: DropboxServer, sdk: dropbox.Dropbox) -> None:
    """Calls are counted by route, sign-in included; each call takes at least as long as a test asks for."""
    server.latency_s = 0.05
    began_s = time.monotonic()
    for _ in range(3):
        sdk.files_list_folder("")
    assert time.monotonic() - began_s >= 0.15
    assert server.calls == {"files/list_folder": 3}
    assert server.requests[-1].json()["path"] == ""
