"""A workstation that imports from a Dropbox is killed at every step; then another workstation starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from wards import Ward, kill_at_steps_of_a_move, kill_at_steps_of_an_undo

from intouch_import.dropbox import DropboxSource
from services.doubles.dropbox import DropboxServer
from services.dropbox_server import hurried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenes import Killer

    from intouch_import.sources import Source

# A long run kills at the beginning and at the end of each step; by default only at the ends, between which nothing
# happens, of one step in some: others in every run.
WHOLE = int(os.environ.get("INTOUCH_CRASH_RUNS", "20")) >= 1000
STRIDE = 1 if WHOLE else 5
SOURCE = "intouch_import.dropbox.source"


class Account(Ward):
    """A folder of a new Dropbox."""

    watch = (
        *(
            ["intouch_import.dropbox.client", "DropboxClient", name]
            for name in ("call", "download", "upload")
        ),
        *([SOURCE, "DropboxSource", name] for name in ("fetch", "remove_many", "put")),
    )

    def __init__(self, killer: Killer, server: DropboxServer) -> None:
        super().__init__(killer)
        self._server = server
        self._token = server.token()

    def make_folder(self, number: int) -> str:
        return f"/photos {number}"

    def write(self, name: str, data: bytes) -> None:
        self._server.put(f"{self.folder}/{name}", data)

    def contents(self) -> list[bytes]:
        names = self._server.names(self.folder)
        return [self._server.read(f"{self.folder}/{name}") or b"" for name in names]

    def address(self) -> tuple[str, dict[str, Any]]:
        return f"dropbox://{self.folder}", {"endpoint": self._server.url, "token": self._token}

    def open(self) -> Source:
        return DropboxSource(
            self.folder,
            signin=lambda _force=False: self._token,
            endpoint=self._server.url,
            source_id=self.folder,
            patience=hurried(),
        )


@pytest.fixture
def ward(killer: Killer) -> Iterator[Ward]:
    with DropboxServer() as server, Account(killer, server) as ward:
        yield ward


@pytest.mark.parametrize("work", ["refresh", "save"])
def test_a_kill_at_any_step_of_a_move_loses_nothing_and_doubles_nothing(ward: Ward, work: str) -> None:
    """Whatever the step, each file is in the Dropbox, in the record, or in both. The next start finishes each move once."""
    seen = kill_at_steps_of_a_move(ward, work, 2, stride=STRIDE, ends=not WHOLE)
    for name in ("DropboxClient.download", "DropboxClient.call", "DropboxSource.remove_many"):
        assert {f"before {name}", f"after {name}"} <= seen, "not taken, so nothing was killed there"


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("again", [True, False], ids=["asked-again", "forgotten"])
def test_a_kill_at_any_step_of_an_undo_loses_nothing_and_doubles_nothing(
    ward: Ward, work: str, again: bool
) -> None:
    """The photo is in the folder or in the record, complete, and is saved once whatever happens next."""
    assert "before DropboxClient.upload" in kill_at_steps_of_an_undo(ward, work, again=again, stride=STRIDE)
