"""A process that moves photos from a container is killed at every step; then another process starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from wards import Ward, kill_at_steps_of_a_move, kill_at_steps_of_an_undo

from services.azurite import ACCOUNT, KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenes import Killer

    from intouch_import.sources import Source
    from services.azurite import Azurite

ALL = os.environ.get("INTOUCH_AZURE") == "all"
# In a usual run one step in so many, others in every run.
STRIDE = 1 if ALL else 7
SOURCE = "intouch_import.azure.source"


class Container(Ward):
    """A container for each folder."""

    watch = (
        *([SOURCE, "AzureSource", name] for name in ("fetch", "remove", "remove_many", "put")),
        *([SOURCE, "AzureSource", name] for name in ("_delete", "_delete_batch")),
        *(
            ["azure.storage.blob", "BlobClient", name]
            for name in ("delete_blob", "stage_block", "commit_block_list")
        ),
        ["azure.storage.blob", "ContainerClient", "delete_blobs"],
    )

    def __init__(self, killer: Killer, azurite: Azurite) -> None:
        super().__init__(killer)
        self._azurite = azurite

    def make_folder(self, number: int) -> str:
        self._container = self._azurite.container(f"ward{number:05}")
        return f"{self._container.container_name}/photos"

    def write(self, name: str, data: bytes) -> None:
        self._container.upload_blob(f"photos/{name}", data)

    def contents(self) -> list[bytes]:
        blobs = self._container.list_blob_names(name_starts_with="photos/")
        return [self._container.download_blob(blob).readall() for blob in blobs]

    def address(self) -> tuple[str, dict[str, Any]]:
        right = {"account_name": ACCOUNT, "account_key": KEY}
        return f"az://{self.folder}", {**right, "endpoint": self._azurite.endpoint}

    def open(self) -> Source:
        return self._azurite.open(self.folder, source_id=self.folder)

    def clear(self) -> None:
        self._container.delete_container()
        self._container.close()


@pytest.fixture
def ward(azurite: Azurite, killer: Killer) -> Iterator[Ward]:
    with Container(killer, azurite) as ward:
        yield ward


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("count", [3, 1] if ALL else [3])
def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(ward: Ward, work: str, count: int) -> None:
    """After a kill at any step, each photo is in the container or in the record, and the next start finishes once."""
    seen = kill_at_steps_of_a_move(ward, work, count, stride=STRIDE, ends=not ALL)
    assert {"after AzureSource.fetch", "after AzureSource._delete_batch"} <= seen


@pytest.mark.parametrize("work", ["refresh", "save"])
@pytest.mark.parametrize("again", [True, False], ids=["asked-again", "forgotten"])
def test_a_kill_at_any_step_of_an_undo_loses_nothing_and_doubles_nothing(
    ward: Ward, work: str, again: bool
) -> None:
    """The photo is back or in the record, complete, and is saved once afterwards."""
    assert "after BlobClient.commit_block_list" in kill_at_steps_of_an_undo(
        ward, work, again=again, stride=STRIDE
    )
