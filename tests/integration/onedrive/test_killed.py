"""A workstation that moves photos out of a OneDrive is killed at every step; then another workstation starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from wards import Ward, kill_at_steps_of_a_move, kill_at_steps_of_an_undo

from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenes import Killer

    from intouch_import.sources import Source
    from services.doubles.onedrive import OneDriveServer

ALL = os.environ.get("INTOUCH_ONEDRIVE") == "all"
# A usual run tries one step in several, and each run others.
STRIDE = 1 if ALL else 9


class Drive(Ward):
    """A folder of a new OneDrive."""

    watch = (
        *(["intouch_import.onedrive", "OneDriveSource", name] for name in ("_fetch", "remove", "put")),
        *(
            ["intouch_import.onedrive.client", "GraphClient", name]
            for name in ("send", "download", "send_bytes")
        ),
    )

    def __init__(self, killer: Killer, server: OneDriveServer) -> None:
        super().__init__(killer)
        self._server = server

    def make_folder(self, number: int) -> str:
        path = f"images/ward{number:05}"
        self._item = self._server.drive.folder(path)
        return path

    def write(self, name: str, data: bytes) -> None:
        self._server.drive.write(self._item, name, data)

    def contents(self) -> list[bytes]:
        return [item.content or b"" for item in self._item.children.values()]

    def address(self) -> tuple[str, dict[str, Any]]:
        options = {"token": self._server.token(), "endpoint": self._server.endpoint}
        return f"onedrive:///{self.folder}", options

    def open(self) -> Source:
        return open_source(
            f"onedrive:///{self.folder}",
            source_id=self.folder,
            signin=self._server.signin(),
            endpoint=self._server.endpoint,
        )


@pytest.fixture
def ward(personal: OneDriveServer, killer: Killer) -> Iterator[Ward]:
    with Drive(killer, personal) as ward:
        yield ward
    assert personal.drive.permanently_deleted == []


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("count", [3, 1] if ALL else [3])
def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(ward: Ward, work: str, count: int) -> None:
    """Whatever the step, each photo is in the OneDrive or in the record. The next start finishes each move once."""
    seen = kill_at_steps_of_a_move(ward, work, count, stride=STRIDE, ends=not ALL)
    assert {"after OneDriveSource._fetch", "after OneDriveSource.remove"} <= seen


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("again", [True, False], ids=["asked-again", "forgotten"])
def test_a_kill_at_any_step_of_an_undo_loses_nothing_and_doubles_nothing(
    ward: Ward, work: str, again: bool
) -> None:
    """The photo is in the folder or in the record, complete, and is saved once whatever happens next."""
    assert "after OneDriveSource.put" in kill_at_steps_of_an_undo(ward, work, again=again, stride=STRIDE)
