"""Archives with sub-folders in a Dropbox, in a OneDrive and on an SFTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intouch_import import migration
from intouch_import.clock import Clock
from intouch_import.errors import NameRefused, SourceUnavailable
from intouch_import.ledger import Event, Ledger
from migrating import MARSH, OKAFOR, RULE, Archive, reasons
from miniature import NOW, jpeg
from services.archives import RemoteArchive, remote_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intouch_import.repositories.sql import SqlRepository

TWO_LEVELS = (
    f"{MARSH}/2024-03-01/IMG_1.jpg",
    f"{MARSH}/2024-03-01/IMG_2.jpg",
    f"{MARSH}/close-ups/IMG_1.jpg",
    f"{OKAFOR}/2024-03-02/IMG_1.jpg",
    f"{OKAFOR}/IMG_1.jpg",
)
ODD = "10042 - Müller #1 100%"
ODD_NAMES = (
    f"{ODD}/2024-03-01/100% #1 [a]+b & c;d=e.jpg",
    f"{ODD}/left %2F hand/Grüße 'n ~tilde$.jpg",
    f"{ODD}/it's {{best}} @ 2^3, 50%25/a.._.jpg",
)


@pytest.fixture(params=["dropbox", "onedrive-personal", "onedrive-business", "sftp"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RemoteArchive]:
    """An empty archive of each kind."""
    sftp = request.getfixturevalue("openssh_server") if request.param == "sftp" else None
    with remote_archive(request.param, sftp, tmp_path) as archive:
        yield archive


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRepository]:
    """Records with the patients of the tests."""
    with Archive(tmp_path).records() as records:
        yield records


def _laid(there: RemoteArchive, *paths: str) -> dict[str, bytes]:
    laid = {path: jpeg(path) for path in paths}
    for path, content in laid.items():
        there.lay(path, content)
    return laid


def _planned(there: RemoteArchive, records: SqlRepository, root: Path, **options: str) -> migration.Plan:
    return migration.plan(
        there.archive, RULE, records, to=root / "plan", zone="UTC", clock=Clock(now=lambda: NOW), **options
    )


def _stored(records: SqlRepository) -> list[bytes]:
    found = []
    for patient in ("10042", "10043"):
        for one in records.attachments(patient):
            with records.open_attachment(one.id) as stream:
                found.append(stream.read())
    return sorted(found)


def test_sub_folders_are_moved(there: RemoteArchive, records: SqlRepository, tmp_path: Path) -> None:
    """Files two levels deep are in the record of the folder's patient, byte for byte, and left the archive."""
    laid = _laid(there, *TWO_LEVELS)
    plan = _planned(there, records, tmp_path)
    assert reasons(plan) == dict.fromkeys(laid, "folder_name")
    certificate = plan.run(records).wait(120).certificate
    assert certificate.closes, certificate.open_points
    assert certificate.counts["imported"] == len(laid)
    assert _stored(records) == sorted(laid.values())
    assert len(records.attachments("10043")) == 2
    assert there.files() == {}
    events = [entry.event for entry in Ledger(records.engine).entries()]
    assert (events.count(Event.STORED), events.count(Event.MOVED)) == (5, 5)


def test_sub_folders_are_copied(there: RemoteArchive, records: SqlRepository, tmp_path: Path) -> None:
    """A copy does not change the archive; a later move stores nothing twice."""
    laid = _laid(there, *TWO_LEVELS)
    certificate = _planned(there, records, tmp_path, mode="copy").run(records).wait(120).certificate
    assert certificate.closes, certificate.open_points
    assert _stored(records) == sorted(laid.values())
    assert there.files() == laid
    later = _planned(there, records, tmp_path / "later")
    assert later.counts("reason") == {"already_stored": 5}
    assert later.run(records).wait(120).certificate.closes
    assert _stored(records) == sorted(laid.values())
    assert there.files() == {}


def test_names_that_need_escaping(there: RemoteArchive, records: SqlRepository, tmp_path: Path) -> None:
    """A folder or file is found by its listed name, also with characters that have a meaning in URLs."""
    laid = _laid(there, *ODD_NAMES)
    plan = _planned(there, records, tmp_path)
    assert reasons(plan) == dict.fromkeys(laid, "folder_name")
    certificate = plan.run(records).wait(120).certificate
    assert certificate.closes, certificate.open_points
    assert _stored(records) == sorted(laid.values())
    assert there.files() == {}


@pytest.mark.parametrize("gone", [OKAFOR, f"{OKAFOR}/2024-03-02"])
def test_a_folder_that_vanishes_after_the_plan(
    there: RemoteArchive, records: SqlRepository, tmp_path: Path, gone: str
) -> None:
    """Its files are reported as vanished; the other files are moved."""
    laid = _laid(there, *TWO_LEVELS)
    plan = _planned(there, records, tmp_path)
    there.delete(gone)
    run = plan.run(records).wait(120)
    lost = sum(path.startswith(f"{gone}/") for path in laid)
    assert (run.state, run.problem) == ("done", None)
    assert run.reasons == {"folder_name": 5 - lost, "vanished": lost}
    assert run.certificate.counts["failed"] == lost
    assert there.files() == {}


def test_a_folder_that_becomes_a_link_after_the_plan(
    there: RemoteArchive, records: SqlRepository, tmp_path: Path
) -> None:
    """No file is read or removed through the link."""
    _laid(there, *TWO_LEVELS)
    plan = _planned(there, records, tmp_path)
    if not there.turn_into_link(OKAFOR):
        pytest.skip("there are no links to folders")
    run = plan.run(records).wait(120)
    assert run.progress.counts == {"imported": 3, "failed": 2}
    assert records.attachments("10043") == []
    assert len(_planned(there, records, tmp_path / "again")) == 1


def test_folders_share_the_connections_of_the_archive(there: RemoteArchive) -> None:
    """Closing a folder does not close the others. A sub-folder can be opened from its folder, too."""
    _laid(there, *TWO_LEVELS)
    with there.archive() as root:
        folder = root.below(MARSH, source_id="a")
        below = folder.below("2024-03-01", source_id="b")
        assert below.opened_with is None  # or it would be taken for the whole archive
        folder.close()
        below.close()
        assert {file.name for file in root.scan()} == {MARSH, OKAFOR}
        assert {file.name for file in below.scan()} == {"IMG_1.jpg", "IMG_2.jpg"}
        assert {below.label, below.source_id} == {"2024-03-01", "b"}
        with pytest.raises(SourceUnavailable):
            root.below(MARSH, "2024-03-02", source_id="c")
        with pytest.raises(SourceUnavailable):
            root.below(MARSH, "2024-03-01", "IMG_1.jpg", source_id="d")
        with pytest.raises(NameRefused):
            root.below("..", source_id="e")
