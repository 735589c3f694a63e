"""The protocol server is faithful: clients by others work with it, and recognise its refusals."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hands
import httpx
import pytest

from intouch_import.onedrive.transfer import QuickXor
from services.cache import Unavailable, unavailable
from services.doubles.onedrive import App, Fault, OneDriveServer
from services.doubles.onedrive.drive import quick_xor
from services.nodejs import install_npm_package

if TYPE_CHECKING:
    from services.doubles.onedrive import Item

GRAPH_CLIENT = ("@microsoft/microsoft-graph-client", "3.0.7")
SCRIPT = Path(__file__).parents[2] / "services" / "graph_js" / "drive.cjs"


def test_the_javascript_client_finds_what_it_expects(server: OneDriveServer, photos: Item) -> None:
    """Microsoft's own client pages, uploads in one piece and in many, downloads, deletes on condition, asks for changes, and waits."""
    try:
        node, package = install_npm_package(*GRAPH_CLIENT)
    except Unavailable as exc:
        unavailable(exc)
    for name in ("b.jpg", "c.jpg", "d.jpg"):
        server.drive.write(photos, name, name.encode())
    server.fail("drive", Fault.refused(429, retry_after="1"), skip=1)
    given = {
        "package": str(package),
        "endpoint": server.endpoint,
        "content": server.content_url,
        "token": server.token(),
        "folder": "images/intouch",
    }
    run = subprocess.run(
        [str(node), str(SCRIPT)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    waited_ms = said.pop("waitedMs")
    assert waited_ms >= 1000
    assert said == {
        "drive": server.drive.kind,
        "parent": "intouch",
        "small": ["a#1%20.jpg", 5],
        "taken": {"status": 409, "code": "nameAlreadyExists"},
        "large": ["large.mp4", 1_000_000],
        "names": ["a#1%20.jpg", "b.jpg", "c.jpg", "d.jpg", "large.mp4"],
        "bytes": "small",
        "largeIsWhole": True,
        "stale": {"status": 412, "code": "resourceModified"},
        "gone": {"status": 404, "code": "itemNotFound"},
        "nowhere": {"status": 404, "code": "itemNotFound"},
        "changes": [["large", False], ["small", True]],
    }
    assert [item.name for item in server.drive.bin] == ["a#1%20.jpg"]


def test_the_plain_file_system_works_as_far_as_it_works(personal: OneDriveServer) -> None:
    """For plain names in plain folders, msgraphfs works here as it does with the service."""
    fs = hands.Plain(personal, "").fs
    fs.makedirs("/Documents/new")
    with fs.open("/Documents/new/a.txt", "wb") as file:
        file.write(b"text")
    fs.use_recycle_bin = True
    assert fs.cat("/Documents/new/a.txt") == b"text"
    assert fs.ls("/Documents", detail=False) == ["/Documents/new"]
    assert fs.info("/Documents/new/a.txt")["size"] == 4
    fs.mv("/Documents/new/a.txt", "/Documents/b.txt")
    assert fs.find("/Documents") == ["/Documents/b.txt"]
    fs.rm("/Documents/b.txt")
    assert [item.name for item in personal.drive.bin] == ["b.txt"]
    assert not fs.exists("/Documents/b.txt")


def test_msal_works_whole(server: OneDriveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unchanged msal works over requests, with its own cache: interactive code, silent renewal, the app's own token, errors."""
    import msal
    import requests

    class Bent(requests.adapters.HTTPAdapter):
        """Sends requests for Microsoft's host to this server, and keeps the Host header."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            assert request.url is not None
            meant = "https://login.microsoftonline.com"
            if request.url.startswith(meant):
                request.headers["Host"] = "login.microsoftonline.com"
                request.url = server.identity_url + request.url[len(meant) :]
            return super().send(request, *args, **kwargs)

    session = requests.Session()
    session.trust_env = False
    session.mount("https://login.microsoftonline.com/", Bent())
    authority = "https://login.microsoftonline.com/common"
    app = msal.PublicClientApplication(server.app.id, authority=authority, http_client=session)
    flow = app.initiate_auth_code_flow(
        ["Files.ReadWrite"], redirect_uri="http://localhost:4321", response_mode="form_post"
    )
    query = dict(httpx.URL(flow["auth_uri"]).params)
    answer = {"code": server.identity.code(query, server.account), "state": flow["state"]}
    first = app.acquire_token_by_auth_code_flow(flow, answer)
    assert first["id_token_claims"]["preferred_username"] == server.account.name
    (account,) = app.get_accounts()
    scopes = ["Files.ReadWrite"]
    assert app.acquire_token_silent(scopes, account)["access_token"] == first["access_token"]
    second = app.acquire_token_silent_with_error(scopes, account, force_refresh=True)
    assert second["access_token"] != first["access_token"]
    assert server.identity.grant(second["access_token"]) is not None
    server.identity.revoke()
    refused = app.acquire_token_silent_with_error(scopes, account, force_refresh=True)
    assert (refused["error"], refused["error_codes"]) == ("invalid_grant", [50173])

    server.register(App(id="service", secrets={"s"}, granted={"Files.ReadWrite.All"}))
    tenant = f"https://login.microsoftonline.com/{server.account.tenant}"
    service = msal.ConfidentialClientApplication(
        "service", client_credential="s", authority=tenant, http_client=session, azure_region=False
    )
    token = service.acquire_token_for_client(["https://graph.microsoft.com/.default"])["access_token"]
    grant = server.identity.grant(token)
    assert grant is not None
    assert grant.app_only
    me = httpx.get(
        f"{server.endpoint}/v1.0/me", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )
    assert (me.status_code, me.json()["error"]["code"]) == (400, "BadRequest")
    session.close()


# --- hashes


def _slowly(data: bytes) -> bytes:
    """Compute QuickXorHash as it is published, bit by bit."""
    state = [0] * 160
    for number, byte in enumerate(data):
        for bit in range(8):
            state[(number * 11 + bit) % 160] ^= byte >> bit & 1
    found = bytearray(sum(state[8 * byte + bit] << bit for bit in range(8)) for byte in range(20))
    for index, byte in enumerate(len(data).to_bytes(8, "little")):
        found[12 + index] ^= byte
    return bytes(found)


@pytest.mark.parametrize(
    "size", [0, 1, 7, 19, 20, 21, 159, 160, 161, 319, 320, 321, 1000, 10_239, 10_240, 10_241, 40_000]
)
def test_quickxor_is_what_is_published(size: int) -> None:
    """In one piece or in many, the hash of the library and of the double is that of the published description."""
    rng = random.Random(size)
    data = rng.randbytes(size)
    assert QuickXor(data).digest() == _slowly(data)
    pieces = QuickXor()
    start = 0
    while start < size:
        end = start + rng.randint(1, 5000)
        pieces.update(data[start:end])
        start = end
    assert pieces.digest() == _slowly(data)
    assert base64.b64decode(pieces.base64()) == bytes.fromhex(pieces.hexdigest()) == pieces.digest()
    assert quick_xor(data) == _slowly(data)


def test_hashes_as_the_kinds_of_account_tell_them(server: OneDriveServer, photos: Item) -> None:
    """Both kinds report QuickXorHash; a personal account also SHA-1, in capitals."""
    item = server.drive.write(photos, "a.jpg", b"photo")
    told = server.graph.item_json(server.drive, item)["file"]["hashes"]
    assert told["quickXorHash"] == QuickXor(b"photo").base64()
    sha1 = hashlib.sha1(b"photo", usedforsecurity=False).hexdigest().upper()
    assert told.get("sha1Hash") == (sha1 if server.drive.kind == "personal" else None)


# --- what the two kinds of account do differently, and what both refuse


def _get(server: OneDriveServer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(
        f"{server.endpoint}/v1.0{path}",
        headers={"Authorization": f"Bearer {server.token()}", **headers},
        trust_env=False,
    )


def test_delta_of_a_folder(server: OneDriveServer, photos: Item) -> None:
    """A personal account reports the changes of one folder; a business account only those of the whole drive."""
    answer = _get(server, f"/me/drive/items/{photos.id}/delta?token=latest")
    if server.drive.kind == "personal":
        assert answer.json()["value"] == []
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "notSupported")


def test_what_delta_leaves_out(server: OneDriveServer, photos: Item) -> None:
    """A changed file has no path, and in a business account no cTag; a deleted file has no name there, or no size."""
    item = server.drive.write(photos, "a.jpg", b"photo")
    link = _get(server, "/me/drive/root/delta?token=latest").json()["@odata.deltaLink"].partition("/v1.0")[2]
    server.drive.replace(item, b"new")
    changed = _get(server, link).json()["value"][-1]
    assert "path" not in changed["parentReference"]
    assert ("cTag" in changed) is (server.drive.kind == "personal")
    server.drive.delete(item)
    deleted = _get(server, link).json()["value"][-1]
    assert deleted["deleted"]
    assert ("name" in deleted) is (server.drive.kind == "personal")
    assert ("size" in deleted) is (server.drive.kind != "personal")
    server.drive.forget_changes()
    gone = _get(server, link)
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "resyncChangesApplyDifferences")
    assert gone.headers["Location"].startswith(server.endpoint)


def test_downloads(server: OneDriveServer, photos: Item) -> None:
    """Content has its own address for some minutes, without a token, and supports ranges."""
    item = server.drive.write(photos, "a.jpg", b"0123456789")
    answer = _get(server, f"/me/drive/items/{item.id}/content")
    address = answer.headers["Location"]
    assert (answer.status_code, address.startswith(server.content_url)) == (302, True)
    with httpx.Client(trust_env=False) as client:
        assert client.get(address).content == b"0123456789"
        part = client.get(address, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content, part.headers["Content-Range"]) == (
            206,
            b"234",
            "bytes 2-4/10",
        )
        assert client.get(address, headers={"Range": "bytes=10-"}).status_code == 416
        assert client.get(address, headers={"Authorization": "Bearer x"}).status_code == 401
        server.graph.expire_downloads()
        assert client.get(address).status_code == 401


REFUSALS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/me/drive/items/nothing", {}, 404, "itemNotFound"),
    ("GET", "/drives/nothing/root", {}, 404, "itemNotFound"),
    ("GET", "/me/drive/root:/a.jpg:/children", {}, 422, "invalidRequest"),
    ("GET", "/me/drive/special/music", {}, 404, "itemNotFound"),
    ("GET", "/nonsense", {}, 400, "BadRequest"),
    ("DELETE", "/me/drive/root:/a.jpg", {"headers": {"If-Match": "unquoted"}}, 400, "invalidRequest"),
    ("DELETE", "/me/drive/root:/a.jpg", {"headers": {"If-Match": '"other"'}}, 412, "resourceModified"),
    ("DELETE", "/me/drive/root", {}, 403, "accessDenied"),
    ("PUT", "/me/drive/root:/a%3Fb.jpg:/content", {"content": b"x"}, 400, "invalidRequest"),
    ("PUT", "/me/drive/root:/no/such/folder.jpg:/content", {"content": b"x"}, 404, "itemNotFound"),
    ("PUT", "/me/drive/root:/big.jpg:/content", {"content": b"x" * (4 * 1024**2 + 1)}, 413, "invalidRequest"),
    ("GET", "/me/drive/root/delta?token=x", {}, 400, "invalidRequest"),
    ("POST", "/me/drive/root:/a.jpg:/nonsense", {}, 405, "notAllowed"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "what", "status", "code"), REFUSALS)
def test_refusals(
    method: str, path: str, what: dict[str, Any], status: int, code: str, server: OneDriveServer
) -> None:
    """Each refusal has the published status and code."""
    server.drive.write(server.drive.root, "a.jpg", b"x")
    headers = {"Authorization": f"Bearer {server.token()}", **what.get("headers", {})}
    sent = {"headers": headers, "content": what.get("content"), "trust_env": False}
    answer = httpx.request(method, f"{server.endpoint}/v1.0{path}", **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_tokens_are_looked_at(server: OneDriveServer) -> None:
    """A missing, an unknown and an expired token are refused alike."""
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {server.token()}"}):
        answer = httpx.get(f"{server.endpoint}/v1.0/me", headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_a_bug_of_the_server_is_heard_of() -> None:
    """A failure of the server must not look like one of the client."""

    def use() -> None:
        with OneDriveServer() as server:
            server.graph.answer = None  # type: ignore[assignment,method-assign]
            assert _get(server, "/me").status_code == 500

    with pytest.raises(AssertionError, match="server failed"):
        use()
