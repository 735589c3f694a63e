"""Overrides that are made while a plan runs."""

from __future__ import annotations

import errno
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import ConfigError
from intouch_import.migration.rows import Override, OverridesFile, Where

if TYPE_CHECKING:
    from pathlib import Path


def _override(where: dict[str, Any], **values: Any) -> Override:
    return Override(where=Where(where), **values)


def test_overrides_of_other_processes_are_read(tmp_path: Path) -> None:
    """The first override is found, too. The file is read again only if it has grown."""
    path = tmp_path / "overrides.jsonl"
    ours, others = OverridesFile(path), OverridesFile(path)
    assert len(ours.read().all) == 0
    for number in (1, 2):
        others.add(_override({"number": [number]}, leave_out=True))
        assert len(ours.read().all) == number
    assert ours.read() is ours.read()


def _written(path: Path, *patients: str) -> list[str]:
    """Write overrides of these patients, and return the lines of the file."""
    file = OverridesFile(path)
    for number, patient in enumerate(patients):
        file.add(_override({"number": [number]}, patient=patient))
    return path.read_text("ascii").splitlines(keepends=True)


def _patients(path: Path) -> list[str | None]:
    return [one.patient for one in OverridesFile(path).read().all]


def test_an_override_that_is_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    """A part of a line changes nothing: it is read again with its end."""
    path = tmp_path / "overrides.jsonl"
    (line,) = _written(path, "10042")
    path.write_text(line[:40], "ascii")
    ours = OverridesFile(path)
    assert (ours.read().all, ours.torn) == ([], True)
    path.write_text(line, "ascii")
    assert [one.patient for one in ours.read().all] == ["10042"]
    assert not ours.torn


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_torn_line_is_a_lost_line(tmp_path: Path, cut: int) -> None:
    """The other overrides stay, and later ones are added behind it, in this process and in others."""
    path = tmp_path / "overrides.jsonl"
    first, second = _written(path, "10042", "10043")
    path.write_text(first + second[:cut], "ascii")
    assert _patients(path) == ["10042"]
    file = OverridesFile(path)
    file.add(_override({"number": [2]}, patient="10044"))
    assert [one.patient for one in file.read().all] == _patients(path) == ["10042", "10044"]
    assert not file.torn


def test_a_full_disk_costs_one_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises an error without a path. After room was made, the same object adds it again."""
    path = tmp_path / "secret" / "overrides.jsonl"
    path.parent.mkdir()
    file = OverridesFile(path)
    file.add(_override({"number": [1]}, patient="10042"))
    whole = path.read_bytes()
    with monkeypatch.context() as full:
        full.setattr("os.fsync", lambda _fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full", str(path))))
        with pytest.raises(ConfigError, match="can't be written") as caught:
            file.add(_override({"number": [2]}, patient="10043"))
    assert caught.value.errno == errno.ENOSPC
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    path.write_bytes(path.read_bytes()[: len(whole) + 30])
    for _ in range(2):
        file.add(_override({"number": [2]}, patient="10043"))
    assert _patients(path) == ["10042", "10043", "10043"]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace("10042", "10043"), *lines[1:]],
        lambda lines: [*lines[:2], lines[2].replace("10044", "10043")],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [lines[0], "\0" * 30 + "\n", lines[2]],
        lambda lines: [*lines[:2], "\0" * 30 + "\n"],
        lambda lines: [*lines[:2], '"\xff"\n'],
        lambda lines: [*lines[:2], "[1]\n"],
    ],
)
def test_a_changed_override_is_an_error(tmp_path: Path, change: Any) -> None:
    """It is not skipped: it may assign photos to another patient."""
    path = tmp_path / "overrides.jsonl"
    ours = OverridesFile(path)
    lines = _written(path, "10042", "10043", "10044")
    path.write_text("".join(change(lines)), "latin-1")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"changed or is damaged|last line is damaged"):
            ours.read()
        with pytest.raises(ConfigError, match=r"changed or is damaged|last line is damaged"):
            ours.add(_override({"number": [1]}, leave_out=True))


def test_overrides_that_disappear_are_an_error(tmp_path: Path) -> None:
    """A process that has read them does not go on without them."""
    path = tmp_path / "overrides.jsonl"
    _written(path, "10042")
    ours = OverridesFile(path)
    ours.read()
    path.unlink()
    with pytest.raises(ConfigError, match="overrides can't be read"):
        ours.read()


def test_overrides_of_another_plan_are_an_error(tmp_path: Path) -> None:
    """The numbers of its rows are those of other files."""
    path = tmp_path / "overrides.jsonl"
    OverridesFile(path, "one plan").add(_override({"number": [1]}, leave_out=True))
    assert len(OverridesFile(path, "one plan").read().all) == 1
    with pytest.raises(ConfigError, match="changed"):
        OverridesFile(path, "another plan").read()


def test_two_processes_add_overrides_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both lines continue from the same line; both count."""
    path = tmp_path / "overrides.jsonl"
    _written(path, "10042")
    one, other = OverridesFile(path), OverridesFile(path)
    one.read()
    other.read()
    with monkeypatch.context() as blind:
        blind.setattr(OverridesFile, "_read", lambda _self: None)  # neither sees the line of the other
        one.add(_override({"number": [2]}, patient="10043"))
        other.add(_override({"number": [3]}, patient="10044"))
    assert _patients(path) == ["10042", "10043", "10044"]
