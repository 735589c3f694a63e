"""The vendor's JavaScript client, which shares no code with the Python client, drives the protocol server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from services.cache import Unavailable, unavailable
from services.doubles.dropbox import DropboxServer, content_hash
from services.nodejs import install_npm_package

VERSION = "10.34.0"
SCRIPT = Path(__file__).parents[1] / "services" / "dropbox_js" / "drive.cjs"


def test_the_javascript_client_signs_in_lists_uploads_downloads_and_deletes() -> None:
    """Each step returns what the client's documentation says, and each refusal has its published shape."""
    try:
        node, package = install_npm_package("dropbox", VERSION)
    except Unavailable as exc:
        unavailable(exc)
    with DropboxServer() as server:
        redirect_uri = min(server.app.redirect_uris)
        run = subprocess.run(
            [str(node), str(SCRIPT), str(package), server.url, server.app.key, redirect_uri],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        said = json.loads(run.stdout)
        left = server.names("/JS")
    name = "für \U0001f9b6 \x7f.txt"
    assert said["denied"] == ["access_denied", "the state"]
    assert said["state"] == "the state"
    assert {"access_token", "refresh_token", "expires_in", "account_id"} <= set(said["tokens"])
    assert said["account"] == server.account.id
    assert said["renewed"]
    assert said["uploaded"] == [name, 5, content_hash([b"hello"])]
    assert said["conflict"]["status"] == 409
    assert said["conflict"]["error"]["error_summary"].startswith("path/conflict/file/")
    assert said["listed"] == [name, *(f"{number}.txt" for number in range(5))]
    assert said["downloaded"] == [name, True, "hello"]
    assert said["parts"] == 7
    assert said["pinned"]["error"]["error"][".tag"] == "path_write"
    assert said["deleted"]
    assert said["gone"]["error"]["error_summary"].startswith("path/not_found/")
    assert said["news"] == [["file", "parts.txt"], ["deleted", name]]
    assert said["revoked"]["status"] == 401
    assert left == {*(f"{number}.txt" for number in range(5)), "parts.txt"}
