"""Staged bytes: read as often as wanted, stored by the cheapest way that is safe."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from intouch_import import content as room
from intouch_import import disk
from intouch_import.content import StagedContent, copy_beside, staging_file, sweep


def staged(folder: Path, content: bytes = b"the bytes") -> StagedContent:
    path = folder / "staged"
    path.write_bytes(content)
    return StagedContent(path, disk.digest_stream(io.BytesIO(content)))


def failing(code: int) -> Any:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def test_staged_bytes_are_read_from_the_start_each_time(tmp_path: Path) -> None:
    """Two readers do not share a position, and closing deletes the file."""
    with staged(tmp_path) as content:
        with content.open() as one, content.open() as two:
            assert one.read(3) == two.read(3) == b"the"
        assert content.size_bytes == 9
        assert content.edges(3) == (b"the", b"tes")
        assert content.edges(100) == (b"the bytes", b"the bytes")
        assert not content.is_same_file(io.BytesIO(b"the bytes"))
        content.settle()
    assert os.listdir(tmp_path) == []
    content.close()


@pytest.mark.parametrize("code", [None, errno.EXDEV, errno.EPERM])
@pytest.mark.parametrize("durable", [True, False])
def test_saving_links_or_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, durable: bool
) -> None:
    """Where no link can be made the bytes are copied; the staged file stays readable until it is closed."""
    if code is not None:
        monkeypatch.setattr("intouch_import.content._link", failing(code))
    with staged(tmp_path) as content:
        content.save_to(tmp_path / "final", durable=durable)
        with content.open() as file:
            assert file.read() == b"the bytes"
    assert os.listdir(tmp_path) == ["final"]
    assert (tmp_path / "final").read_bytes() == b"the bytes"


@pytest.mark.parametrize("code", [None, errno.EXDEV])
def test_saving_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
    """A file of that name is not touched, and nothing half-written stays."""
    (tmp_path / "final").write_bytes(b"old")
    if code is not None:
        monkeypatch.setattr("intouch_import.content._link", failing(code))
    with staged(tmp_path) as content, pytest.raises(FileExistsError):
        content.save_to(tmp_path / "final")
    assert (tmp_path / "final").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["final"]


def test_a_full_disk_is_not_tried_again_by_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for a link is no room for a copy."""
    monkeypatch.setattr("intouch_import.content._link", failing(errno.ENOSPC))
    with staged(tmp_path) as content, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        content.save_to(tmp_path / "final")
    assert os.listdir(tmp_path) == []


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills while copying leaves neither the name nor a temporary file."""
    monkeypatch.setattr(disk, "sync_file", failing(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        copy_beside(io.BytesIO(b"x"), tmp_path / "final")
    assert os.listdir(tmp_path) == []


def test_a_copy_may_replace(tmp_path: Path) -> None:
    """Only when told to, a copy takes the place of what is there, at once."""
    (tmp_path / "final").write_bytes(b"old")
    copy_beside(io.BytesIO(b"new"), tmp_path / "final", replace=True)
    assert (tmp_path / "final").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["final"]


def test_what_a_crash_leaves_of_a_copy_is_where_it_is_swept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is made, a copy stands in the staging folder: nobody looks for it among the stored files."""
    staging, shard = tmp_path / "staging", tmp_path / "ab"
    staging.mkdir()
    shard.mkdir()
    seen: list[tuple[int, int]] = []
    real = disk.digest_stream

    def copying(*args: Any) -> disk.Digested:
        digested = real(*args)
        seen.append((len(os.listdir(staging)), len(os.listdir(shard))))
        return digested

    monkeypatch.setattr(disk, "digest_stream", copying)
    copy_beside(io.BytesIO(b"new"), shard / "final", staging=staging)
    copy_beside(io.BytesIO(b"newer"), shard / "final", replace=True, staging=staging)
    assert seen == [(1, 0), (1, 1)]
    assert (os.listdir(staging), (shard / "final").read_bytes()) == ([], b"newer")


def test_a_staging_folder_in_another_file_system_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename can't leave its file system."""
    staging = tmp_path / "staging"
    staging.mkdir()
    real = Path.stat
    elsewhere = SimpleNamespace(st_dev=-1)
    monkeypatch.setattr(
        Path, "stat", lambda self, **options: elsewhere if self == staging else real(self, **options)
    )
    folders: list[Path] = []
    beside = disk.temporary_beside
    monkeypatch.setattr(disk, "temporary_beside", lambda folder: folders.append(folder) or beside(folder))
    copy_beside(io.BytesIO(b"new"), tmp_path / "final", staging=staging)
    assert folders == [tmp_path]


def test_what_a_crash_left_in_the_temporary_folder_goes_a_day_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos on their way to records elsewhere are staged there; other files, and files in use, are left alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    room._sweep_temporary_folder.cache_clear()
    yesterday = time.time() - 25 * 3600
    target = tmp_path / "target"
    for name in ("intouch-old.part", "intouch-new.part", "report.part", "intouch-import.toml", "target"):
        (tmp_path / name).write_bytes(b"bytes")
        if name != "intouch-new.part":
            os.utime(tmp_path / name, (yesterday, yesterday))
    (tmp_path / "intouch-folder.part").mkdir()
    if os.name != "nt":
        (tmp_path / "intouch-link.part").symlink_to(target)
        os.utime(tmp_path / "intouch-link.part", (yesterday, yesterday), follow_symlinks=False)
    with staging_file(None) as (_, path):
        there = {one.name for one in tmp_path.iterdir()}
    assert "intouch-old.part" not in there
    assert {"intouch-new.part", "report.part", "intouch-import.toml", "target", path.name} <= there
    assert os.name == "nt" or "intouch-link.part" in there


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_what_another_user_left_is_not_ours_to_delete(tmp_path: Path) -> None:
    path = tmp_path / "intouch-theirs.part"
    path.write_bytes(b"bytes")
    os.utime(path, (0, 0))
    os.chown(path, 12345, -1)
    sweep(tmp_path)
    assert path.exists()
    os.chown(path, 0, -1)
    sweep(tmp_path)
    assert not path.exists()
