"""Archives in other places than a local disk: each sub-folder is a source with the promises of its location."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

import dated
from intouch_import import migration
from intouch_import.clock import Clock
from intouch_import.errors import ConfigError
from intouch_import.model import TakenFrom
from intouch_import.sources import open_source
from intouch_import.testing import MemoryFolder, MemorySource
from migrating import MARSH, OKAFOR, RULE, Archive, reasons
from miniature import NOW, jpeg

PATHS = (f"{MARSH}/2024-03-01/a#1.jpg", f"{MARSH}/2024-03-01/b.jpg", f"{OKAFOR}/c%20d.jpg", "loose.jpg")


def _migrate(archive: Any, place: Archive) -> migration.Certificate:
    records = place.records()
    plan = migration.plan(
        archive, RULE, records, to=place.root / "plan", zone="UTC", clock=Clock(now=lambda: NOW)
    )
    assert plan.counts("reason") == {"folder_name": 3, "no_rule": 1}
    certificate = plan.run(records).wait(120).certificate
    assert certificate.closes, certificate.open_points
    assert len(records.attachments("10042")) == 2
    assert len(records.attachments("10043")) == 1
    return certificate


def test_an_archive_in_a_container(azurite: Any, tmp_path: Path) -> None:
    """Blobs are listed folder by folder, and read and removed by their ETags, with one connection pool."""
    from services.azurite import ACCOUNT, KEY

    with azurite.container() as container:
        for path in PATHS:
            container.upload_blob(f"old/{path}", jpeg(path))
        container.upload_blob("elsewhere/x.jpg", jpeg("x"))
        options = {"account_name": ACCOUNT, "account_key": KEY, "endpoint": azurite.endpoint}
        archive = migration.Archive(f"az://{container.container_name}/old", options)
        assert KEY not in repr(archive)
        _migrate(archive, Archive(tmp_path))
        assert sorted(blob.name for blob in container.list_blobs()) == ["elsewhere/x.jpg", "old/loose.jpg"]
    assert KEY not in (tmp_path / "plan" / "plan.json").read_text()
    with pytest.raises(ConfigError, match="give source="):
        migration.open_plan(tmp_path / "plan").run(Archive(tmp_path).records())


def test_a_blob_that_changes_after_the_plan_stays(azurite: Any, tmp_path: Path) -> None:
    """The plan has the ETag of the blob: a new version is neither read nor removed."""
    with azurite.container() as container:
        path = f"{MARSH}/a.jpg"
        container.upload_blob(path, jpeg("one"))
        place = Archive(tmp_path)
        records = place.records()
        source = azurite.open(container.container_name)
        plan = migration.plan(source, RULE, records, to=tmp_path / "plan", zone="UTC")
        container.upload_blob(path, jpeg("two"), overwrite=True)
        run = plan.run(records).wait(60)
        assert run.reasons == {"changed": 1}
        assert container.download_blob(path).readall() == jpeg("two")
        source.close()


def test_an_archive_in_any_fsspec_location(tmp_path: Path) -> None:
    """Every location of fsspec is listed and moved in the same way."""
    memory = fsspec.filesystem("memory")
    top = f"/{uuid.uuid4().hex}"
    for path in PATHS:
        memory.makedirs(f"{top}/{path}".rpartition("/")[0], exist_ok=True)
        memory.pipe(f"{top}/{path}", jpeg(path))
    _migrate(f"memory:/{top}", Archive(tmp_path))
    assert list(memory.find(top)) == [f"{top}/loose.jpg"]


def test_a_source_that_was_not_opened_by_its_url_is_refused() -> None:
    """Its sub-folders could not be opened."""
    source = MemorySource(MemoryFolder())
    with pytest.raises(ConfigError):
        source.below("x", source_id="x")
    with pytest.raises(ConfigError):
        migration.plan(source, RULE, None, to="plan")  # type: ignore[arg-type]


def test_a_callable_opens_an_archive(tmp_path: Path) -> None:
    """A host can pass a callable; the plan then does not keep how to open the archive."""
    place = Archive(tmp_path)
    place.lay(f"{MARSH}/a.jpg")
    plan = migration.plan(
        lambda: open_source(place.disk), RULE, place.records(), to=tmp_path / "p", zone="UTC"
    )
    assert plan.header.archive is None
    assert reasons(plan) == {f"{MARSH}/a.jpg": "folder_name"}


def _photo(taken: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = taken
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=exif)
    return out.getvalue()


@pytest.mark.parametrize(
    ("dates", "taken", "says"),
    [
        (("name", "exif", "folder"), "2024-02-29 10:11", TakenFrom.EXIF),
        (("folder", "exif"), "2024-03-01 12:00", TakenFrom.FOLDER),
        (("folder",), "2024-03-01 12:00", TakenFrom.FOLDER),
    ],
)
def test_dates_follow_the_order_of_trust(
    tmp_path: Path, dates: tuple[str, ...], taken: str, says: TakenFrom
) -> None:
    """The camera's time goes before the folder's date, or after it, as the plan says."""
    place = Archive(tmp_path)
    place.lay(f"{MARSH}/2024-03-01/a.jpg", _photo("2024:02:29 10:11:12"))
    records = place.records()
    place.plan(records=records, dates=dates).run(records).wait(60)
    (stored,) = records.attachments("10042")
    assert (f"{stored.taken_at:%Y-%m-%d %H:%M}", stored.taken_from) == (taken, says)


@pytest.mark.parametrize(
    ("dates", "camera", "taken", "says", "disagree"),
    [
        # The clock of the camera was reset: the folder is believed, whatever comes first.
        (("exif", "folder"), "2012:01:01 00:00:42", "2024-03-01 12:00", TakenFrom.FOLDER, True),
        (("folder", "exif"), "2012:01:01 00:00:42", "2024-03-01 12:00", TakenFrom.FOLDER, True),
        (("exif", "folder"), "2024:03:01 09:14:00", "2024-03-01 09:14", TakenFrom.EXIF, False),
        (("folder",), "2024:03:01 09:14:00", "2024-03-01 12:00", TakenFrom.FOLDER, False),
        (("folder",), "2024:03:02 09:14:00", "2024-03-01 12:00", TakenFrom.FOLDER, True),
        (("exif", "folder"), "2024:03:02 09:14:00", "2024-03-02 09:14", TakenFrom.EXIF, True),
    ],
)
def test_a_folder_and_a_camera_that_disagree_are_flagged(
    tmp_path: Path, dates: tuple[str, ...], camera: str, taken: str, says: TakenFrom, disagree: bool
) -> None:
    """Whichever is trusted more, the record and the certificate say that the times disagree."""
    place = Archive(tmp_path)
    place.lay(f"{MARSH}/2024-03-01/a.jpg", _photo(camera))
    records = place.records()
    run = place.plan(records=records, dates=dates).run(records).wait(60)
    (stored,) = records.attachments("10042")
    assert (f"{stored.taken_at:%Y-%m-%d %H:%M}", stored.taken_from, stored.times_disagree) == (
        taken,
        says,
        disagree,
    )
    assert run.certificate is not None
    assert run.certificate.values["times_in_doubt"] == disagree
    assert ("in doubt" in run.certificate.report.read_text()) is disagree


def test_a_folder_and_a_name_that_disagree_are_flagged(tmp_path: Path) -> None:
    """Two rules that find two days for a photo without a camera's time raise the flag."""
    place = Archive(tmp_path)
    place.lay(f"{MARSH}/2024-03-01/scan 2024-03-01.tif", b"II*\0" + bytes(100))
    place.lay(f"{MARSH}/2024-03-01/scan 2019-03-01.tif", b"II*\0" + bytes(200))
    rule = RULE | migration.NameRule("{*} {date:%Y-%m-%d}")
    records = place.records()
    plan = place.plan(rule, records=records)
    plan.override({}, accept_content=True)
    plan.run(records).wait(60)
    assert {one.name: one.times_disagree for one in records.attachments("10042")} == {
        "scan 2024-03-01.tif": False,
        "scan 2019-03-01.tif": True,
    }


def test_the_clock_of_a_camera_is_corrected(tmp_path: Path) -> None:
    """A run corrects the photos of a camera; plan, records and certificate keep what was done."""
    place = Archive(tmp_path)
    block = dated.tiff({dated.MODEL: "D7500"}, {dated.TAKEN: "2012:01:01 00:00:42"})
    place.lay(f"{MARSH}/2024-03-01/a.jpg", dated.jpeg(b"Exif\0\0" + block))
    place.lay(f"{MARSH}/2024-03-01/b.jpg", _photo("2024:03:01 09:15:00"))
    records = place.records()
    clocks = [migration.CameraClock(model="D7500", offset="+4443d 9:13:18", until="2013-01-01T00:00:00")]
    plan = place.plan(records=records, dates=("name", "exif", "folder"), clocks=clocks)
    with pytest.raises(ConfigError, match="clocks"):
        plan.run(records, check_content=False)
    run = migration.open_plan(plan.directory).run(records).wait(60)
    assert {
        one.name: (f"{one.taken_at:%Y-%m-%d %H:%M:%S}", one.taken_written, one.times_disagree)
        for one in records.attachments("10042")
    } == {
        "a.jpg": ("2024-03-01 09:14:00", "2012-01-01T00:00:42", False),
        "b.jpg": ("2024-03-01 09:15:00", None, False),
    }
    assert run.certificate is not None
    values = run.certificate.values
    assert values["clocks"] == [
        {"offset": "+4443d 9:13:18", "model": "D7500", "until": "2013-01-01T00:00:00"}
    ]
    assert (values["times_corrected"], values["times_in_doubt"]) == (1, 0)
    assert "+4443d 9:13:18" in run.certificate.report.read_text()
    with pytest.raises(ConfigError, match="CameraClock"):
        place.plan(records=records, to=tmp_path / "other", clocks=[{"model": "D7500"}])
