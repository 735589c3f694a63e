"""Opening sources by path and URL, and the names that a source takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intouch_import.errors import ConfigError, NameRefused, SourceUnavailable
from intouch_import.sources import open_source
from intouch_import.sources.base import check_name
from intouch_import.sources.local import LocalSource
from intouch_import.sources.opening import LOCATIONS, _split

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("url", "protocol", "path"),
    [
        ("/photos", "file", "/photos"),
        ("photos", "file", "photos"),
        ("/photos/100%20percent", "file", "/photos/100%20percent"),
        ("/photos/what?#x", "file", "/photos/what?#x"),
        ("~/Photos", "file", "~/Photos"),
        (r"C:\Photos", "file", r"C:\Photos"),
        ("C:/Photos", "file", "C:/Photos"),
        (r"\\server\share\photos", "file", r"\\server\share\photos"),
        ("//server/share", "file", "//server/share"),
        ("c://odd", "file", "c://odd"),
        ("file:///photos/a%20b", "file", "/photos/a b"),
        ("file:///photos/100%2520", "file", "/photos/100%20"),
        ("FILE:///photos", "file", "/photos"),
        ("file://localhost/photos", "file", "/photos"),
        ("file://server/share/a%20b", "file", "//server/share/a b"),
        ("file:///C:/Photos/a%20b", "file", "C:/Photos/a b"),
        ("file:///photos/%E2%82%AC%3F%23", "file", "/photos/\u20ac?#"),
        ("local:///photos", "local", "/photos"),
        ("sftp://tower/export/a%20b", "sftp", "tower/export/a b"),
        ("az://drjones/photos/100%2525", "az", "drjones/photos/100%25"),
        ("dropbox:///apps/intouch", "dropbox", "/apps/intouch"),
    ],
)
def test_urls_and_paths_are_read(url: str, protocol: str, path: str) -> None:
    """The path of a URL is percent-decoded once; a plain path, drive or share is taken as it is."""
    assert _split(url) == (protocol, path)


@pytest.mark.parametrize("url", ["file:///a?b", "file:///a#b", "local:///a?b=c"])
def test_a_file_url_has_no_query(url: str) -> None:
    """A character that would end the path is refused, not dropped."""
    with pytest.raises(ConfigError, match="percent-encode"):
        open_source(url)


@pytest.mark.parametrize("url", ["", " ", "\t\n"])
def test_an_empty_path_is_not_the_current_folder(url: str) -> None:
    """An empty setting does not open the current directory of the program."""
    with pytest.raises(ConfigError, match="empty"):
        open_source(url)


def test_a_plain_path_with_percent_signs_is_opened_as_it_is(tmp_path: Path) -> None:
    """A plain path is not decoded; in a URL the same folder needs its encoded name."""
    odd = tmp_path / "100%20 x"
    odd.mkdir()
    for url in (odd, str(odd), odd.as_uri()):
        source = open_source(url)
        assert isinstance(source, LocalSource)
        assert source.folder == odd.resolve()
    with pytest.raises(SourceUnavailable):
        open_source(f"file://{odd}")


def test_home_and_relative_paths_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~ is the home folder, and a relative path is relative to the directory at the time of opening."""
    (tmp_path / "Photos").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    ids = {open_source(url).source_id for url in ("~/Photos", "Photos", "./Photos/", tmp_path / "Photos")}
    assert len(ids) == 1


def test_a_link_to_a_folder_is_the_folder(tmp_path: Path) -> None:
    """The same folder by another path has the same id, and so the same import ids."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert open_source(tmp_path / "link").source_id == open_source(tmp_path / "real").source_id


def test_sources_carry_what_they_are_given(tmp_path: Path) -> None:
    """Provider, id and label are kept; by default the label is the folder's name and the id is derived."""
    with open_source(tmp_path, provider="DRJ", source_id="share", label="Room 1") as source:
        assert (source.provider, source.source_id, source.label) == ("DRJ", "share", "Room 1")
        assert source.location == "local"
        assert repr(source) == "<LocalSource share>"
        assert source.filesystem.protocol == "intouch"
    other = open_source(tmp_path)
    assert (other.provider, other.label) == (None, tmp_path.name)
    assert other.source_id.startswith("local-")
    assert str(tmp_path) not in repr(other)


def test_options_that_a_location_does_not_take_are_told(tmp_path: Path) -> None:
    """An account for a local folder is a mistake in the settings."""
    with pytest.raises(ConfigError, match="local folders do not take"):
        open_source(tmp_path, account_name="x")


def test_a_location_without_a_module_is_opened_through_fsspec() -> None:
    """Any protocol that fsspec knows is a location with weaknesses; an unknown protocol is an error."""
    import fsspec

    fsspec.filesystem("memory").makedirs("/base-test", exist_ok=True)
    source = open_source("memory://base-test")
    assert source.location == "memory"
    assert "weaknesses=removal_not_pinned+version_may_repeat" in repr(source)
    assert all(weakness.text for weakness in source.weaknesses)
    assert set(LOCATIONS) >= {"file", "local"}
    with pytest.raises(ConfigError):
        open_source("nonsense://x")


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0", "x" * 256, "\u20ac" * 86, "../a"])
def test_names_that_name_no_file_are_refused_everywhere(name: str, windows: bool) -> None:
    """A name that is empty, a path, too long or contains NUL can't be a file in a folder."""
    with pytest.raises(NameRefused) as caught:
        check_name(name, windows=windows)
    assert name in {"", ".", ".."} or name not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "con", "CON.jpg", "Aux.tar.gz", "nul", "com1.jpg", "LPT9", "com\u00b9.jpg", "a<b", "a:b", 'a"b', "a|b", "a?",
        "a*b", "a\nb", "a\x1fb", "a.", "a ", "a\\b",
    ],
)  # fmt: skip
def test_names_that_windows_refuses(name: str) -> None:
    """Device names, forbidden characters and endings that Windows drops are refused on Windows only."""
    with pytest.raises(NameRefused):
        check_name(name, windows=True)
    check_name(name, windows=False)


@pytest.mark.parametrize(
    "name", ["x" * 255, "\u20ac" * 85, "console.jpg", "com10.jpg", ".a", "a b.jpg", "...a", "Ren\udce9.jpg"]
)
@pytest.mark.parametrize("windows", [True, False])
def test_ordinary_names_pass_everywhere(name: str, windows: bool) -> None:
    """Names up to 255 bytes pass, even if they resemble names that Windows reserves."""
    check_name(name, windows=windows)


@pytest.fixture(autouse=True)
def _same_folder_after() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)
