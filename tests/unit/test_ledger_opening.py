"""Which ledger goes with which records."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.database import connect
from intouch_import.errors import ConfigError, RepositoryError
from intouch_import.ledger import Event, Ledger, LedgerEntry, ledger_for

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = LedgerEntry(
    event=Event.STORED, at=datetime(2026, 3, 1, tzinfo=UTC), import_id="1", location="local", source_id="s"
)


@attrs.frozen
class Records:
    """Records that say where their ledger is."""

    ledger: Any = None


def is_written_to(ledger: Ledger, path: Path) -> bool:
    """Whether what is appended to a ledger can be read from that file."""
    ledger.append([ENTRY])
    assert path.is_file()
    return len(list(Ledger(connect(f"sqlite:///{path}")).entries())) == 1


def test_a_ledger_is_taken_as_it_is(tmp_path: Path) -> None:
    """Whoever brings one, gets that one, whatever the records are in."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'own.db'}")
    engine = connect(f"sqlite:///{tmp_path / 'records.db'}")
    assert ledger_for(ledger, records=Records(engine)) is ledger
    assert not (tmp_path / "records.db").exists()


@pytest.mark.parametrize("form", ["url", "text", "path"])
def test_a_ledger_may_be_named(tmp_path: Path, form: str) -> None:
    """By URL, or by the path of a SQLite file; then the records' database is left alone."""
    path = tmp_path / "named.db"
    named = {"url": f"sqlite:///{path}", "text": str(path), "path": path}[form]
    engine = connect(f"sqlite:///{tmp_path / 'records.db'}")
    assert is_written_to(ledger_for(named, records=Records(engine)), path)
    assert not (tmp_path / "records.db").exists()


@pytest.mark.parametrize("form", ["url", "path"])
def test_a_folder_that_is_not_there_is_told(tmp_path: Path, form: str) -> None:
    """It is not said that a database failed: somebody has to make that folder, or to name another."""
    path = tmp_path / "nowhere" / "ledger.db"
    with pytest.raises(RepositoryError, match="folder"):
        ledger_for({"url": f"sqlite:///{path}", "path": path}[form], records=Records())


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tilde stands for the user's own folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert is_written_to(ledger_for("~/ledger.db", records=Records()), tmp_path / "ledger.db")


def test_a_home_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where a service runs without one."""
    monkeypatch.setattr(os.path, "expanduser", os.fspath)
    with pytest.raises(ConfigError):
        ledger_for("~/ledger.db", records=Records())


def test_a_path_may_hold_what_a_url_gives_a_meaning(tmp_path: Path) -> None:
    """It is a path: nothing in it is an option, an escape or a fragment."""
    path = tmp_path / "a %41?b=c#d.db"
    ledger_for(path, records=Records()).append([ENTRY])
    assert path.is_file()


def test_records_of_ours_bring_their_ledger(tmp_path: Path) -> None:
    """It is in the same database."""
    path = tmp_path / "records.db"
    assert is_written_to(ledger_for(None, records=Records(connect(f"sqlite:///{path}"))), path)


@pytest.mark.parametrize("form", ["url", "text", "path"])
def test_records_of_a_host_name_their_ledger(tmp_path: Path, form: str) -> None:
    """A host names its own database, or a file beside its records."""
    path = tmp_path / "host.db"
    place = {"url": f"sqlite:///{path}", "text": str(path), "path": path}[form]
    assert is_written_to(ledger_for(None, records=Records(place)), path)


@pytest.mark.parametrize("records", [Records(), object(), Records(7)])
def test_records_without_a_ledger_need_one(records: object) -> None:
    """A ledger somewhere else would not know what other programs have done with the same records."""
    with pytest.raises(ConfigError, match="ledger="):
        ledger_for(None, records=records)
