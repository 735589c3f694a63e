"""Every example of the documentation runs: Python blocks and commands, page by page, as a reader would."""

from __future__ import annotations

import builtins
import contextlib
import doctest
import functools
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import intouch_import
from intouch_import import dropbox
from intouch_import.cli import main
from intouch_import.cli.samples import lay_out
from intouch_import.inbox import Inbox
from services.doubles.dropbox import App, DropboxServer
from services.doubles.onedrive import OneDriveServer
from services.signing_in import press

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    ROOT / "docs" / "tutorial.md",
    ROOT / "docs" / "explanation" / "bytes.md",
    ROOT / "docs" / "reference" / "testing.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
BLOCK = re.compile(r"^```(python|console|output)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_EXAMPLES = {"how-to/index.md", "how-to/windows.md", "how-to/troubleshooting.md"}
# Pages for readers who have a folder of photos already; the other pages lay out sample files themselves.
OWN_PHOTOS = {ROOT / "README.md", ROOT / "docs" / "index.md"}


def _blocks(page: Path) -> list[tuple[str, str]]:
    text = page.read_text("utf-8")
    # Line numbers in a traceback are those of the page.
    return [
        (found[1], "\n" * text.count("\n", 0, found.start(2)) + found[2]) for found in BLOCK.finditer(text)
    ]


def _run_commands(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in block.splitlines():
        words = shlex.split(line)
        if words[:2] == ["$", "export"]:
            monkeypatch.setenv(*words[2].split("=", 1))
        if words[:2] == ["$", "intouch-import"]:
            monkeypatch.setattr(sys, "argv", words[1:])
            with pytest.raises(SystemExit) as left:
                main()
            assert left.value.code in (0, None), line


@contextlib.contextmanager
def _dropbox(namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Dropbox with a photo, in place of the real one, and a person who allows the access."""

    def allow(_prompt: str) -> str:
        shown = press(namespace["attempt"].url).text
        return shown.partition('<code id="code">')[2].partition("<")[0]

    with DropboxServer(app=App(key="y0urappkey", secret="")) as server:
        server.put("/apps/intouch/10042_DRJ_20260131_142501.jpg", b"a photo")
        elsewhere = functools.partial(intouch_import.open_source, endpoint=server.url)
        monkeypatch.setattr(intouch_import, "open_source", elsewhere)
        authorization = functools.partial(dropbox.DropboxAuthorization, endpoint=server.url)
        monkeypatch.setattr(dropbox, "DropboxAuthorization", authorization)
        monkeypatch.setattr(builtins, "input", allow)
        yield
        assert server.calls["files/list_folder"]


@contextlib.contextmanager
def _onedrive(_namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A OneDrive with a photo, in place of the real one, which gives out its own tokens."""
    with OneDriveServer("business") as server:
        folder = server.drive.folder("images/intouch")
        server.drive.write(folder, "10042_DRJ_20260131_142501.jpg", b"a photo")
        opened = intouch_import.open_source

        def elsewhere(url: str, *, signin: Any, **options: Any) -> Any:
            assert callable(signin)
            return opened(url, signin=server.signin(), endpoint=server.endpoint, **options)

        monkeypatch.setattr(intouch_import, "open_source", elsewhere)
        yield
        assert server.calls["download"]


SERVICES = {"dropbox": _dropbox, "onedrive": _onedrive}


def _run(
    blocks: list[tuple[str, str]],
    page: Path,
    namespace: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = ""
    for kind, block in blocks:
        if kind == "output":
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            line = block.count("\n", 0, len(block) - len(block.lstrip("\n"))) + 1
            as_shown = doctest.OutputChecker().check_output(block.lstrip("\n"), printed, flags)
            assert as_shown, f"{page.name}:{line} shows another output than:\n{printed}"
            continue
        if kind == "python":
            # As in the reader's file: without the future imports of this one.
            exec(compile(block, str(page), "exec", dont_inherit=True), namespace)
        else:
            _run_commands(block, monkeypatch)
        printed = capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).with_suffix("").as_posix())
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who copies a page from top to bottom sees no error, needs no network, and sees the output shown."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if not address[0].startswith("127."):  # a server of this test, or of the page itself
            raise AssertionError("an example opened a connection")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setitem(Inbox.__init__.__kwdefaults__, "settle_s", 0.0)
    monkeypatch.chdir(tmp_path)
    if page in OWN_PHOTOS:
        lay_out(tmp_path)
    namespace: dict[str, object] = {"__name__": "example"}
    blocks = _blocks(page)
    name = page.relative_to(ROOT / "docs").as_posix() if page.parent != ROOT else page.name
    assert any(kind == "python" for kind, _ in blocks) or name in NO_EXAMPLES
    with SERVICES[page.stem](namespace, monkeypatch) if page.stem in SERVICES else contextlib.nullcontext():
        _run(blocks, page, namespace, monkeypatch, capsys)
