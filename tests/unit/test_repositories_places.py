"""Places for files: a folder, or a URL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from intouch_import.errors import InTouchImportError, RepositoryError
from intouch_import.repositories.files import open_files
from intouch_import.testing import BytesContent

if TYPE_CHECKING:
    from pathlib import Path

ID = "ab" + "0" * 38


def test_places_for_files_are_paths_or_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is made if it is missing, private to its owner; a file URL is decoded once."""
    files = open_files(tmp_path / "a%20b")
    assert (tmp_path / "a%20b").is_dir()
    if os.name != "nt":
        assert (tmp_path / "a%20b").stat().st_mode & 0o777 == 0o700
    assert files.staging == tmp_path / "a%20b" / ".staging"
    open_files((tmp_path / "c d").as_uri())
    assert (tmp_path / "c d").is_dir()
    monkeypatch.setenv("HOME", str(tmp_path))
    open_files("~/home-files")
    assert (tmp_path / "home-files").is_dir()
    assert open_files("memory://x").staging is None


@pytest.mark.skipif(os.name == "nt", reason="Windows ignores mode bits")
def test_an_existing_folder_is_used_as_it_is(tmp_path: Path) -> None:
    """The rights of a folder that others share do not change, and only the stored files need folders in it."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    (shared / "letter.doc").touch()
    files = open_files(shared)
    assert sorted(os.listdir(shared)) == [".staging", "letter.doc"]
    files.place(ID, BytesContent(b"bytes"))
    files.sync([ID])
    assert sorted(os.listdir(shared)) == [".staging", "ab", "letter.doc"]
    assert shared.stat().st_mode & 0o7777 == 0o2775
    assert (shared / "ab").stat().st_mode & 0o077 == 0
    with files.open(ID) as stream:
        assert stream.read() == b"bytes"


def test_a_place_for_files_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in its place, a home that is not known, or a protocol nobody knows, is an error of ours."""
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryError):
        open_files(tmp_path / "file")
    monkeypatch.setattr(os.path, "expanduser", os.fspath)
    with pytest.raises(RepositoryError):
        open_files("~/files")
    with pytest.raises(InTouchImportError):
        open_files("nonsense://x")
