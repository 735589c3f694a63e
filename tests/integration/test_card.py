"""A card is unplugged at any step and plugged in again: nothing is lost or stored twice, and all is imported in the end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import import migration
from intouch_import.inbox import Inbox
from intouch_import.ledger import Ledger
from intouch_import.model import Patient, Provider
from intouch_import.mounts import Mount
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import local, open_source
from intouch_import.sources.local import LocalSource
from miniature import jpeg
from services.cache import Unavailable
from services.card import Card, ExfatCard, FolderCard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = [f"10042_DRJ_20260131_14250{number}.jpg" for number in range(4)]
STEPS: dict[str, tuple[Any, str]] = {
    "list": (LocalSource, "scan"),
    "read": (LocalSource, "fetch"),
    "store": (SqlRepository, "add_many"),
    "write the ledger": (Ledger, "append"),
    "remove": (LocalSource, "remove"),
    "sync": (LocalSource, "sync"),
}


@pytest.fixture(params=["folder", "exfat"])
def card(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    made: Card
    if request.param == "exfat":
        try:
            made = ExfatCard(tmp_path)
        except Unavailable as exc:
            pytest.skip(str(exc))
    else:
        made = folder = FolderCard(tmp_path)
        monkeypatch.setattr(local, "mount_of", lambda _: folder.mount)
        monkeypatch.setattr(Mount, "is_mounted", lambda _: folder.is_plugged_in)
    yield made
    made.throw_away()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRepository]:
    records = SqlRepository.open(f"sqlite:///{tmp_path / 'clinic.db'}", files=tmp_path / "files")
    records.add_patient(Patient(id="10042", name="Ada Marsh"))
    records.add_provider(Provider(id="DRJ", name="Dr Jones"))
    yield records
    records.close()


@contextlib.contextmanager
def unplugging(card: Card, step: str, number: int, *, at_once: bool) -> Iterator[None]:
    """Unplug the card before a call of a step; plug it in again at once, or at the end of the block."""
    owner, name = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)
    lock = threading.Lock()
    calls, pulled = 0, False

    def wrapper(*args: Any, **options: Any) -> Any:
        nonlocal calls, pulled
        with lock:
            calls += 1
            if calls >= number and not pulled:
                with contextlib.suppress(Unavailable):  # another thread has a file open: the next call tries
                    card.pull()
                    pulled = True
                    if at_once:
                        card.plug()
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, name, wrapper)
        yield
    if pulled and not at_once:
        card.plug()


def shoot(card: Card, folder: str = "") -> None:
    """Take four photos of a patient, and plug the card into another computer."""
    (card.path / folder).mkdir(exist_ok=True)
    for name in NAMES:
        (card.path / folder / name).write_bytes(jpeg(name))
    card.pull()
    card.plug()


def stored(records: SqlRepository) -> Counter[str]:
    return Counter(one.name for one in records.attachments("10042"))


every_step = pytest.mark.parametrize("step", STEPS)
twice = pytest.mark.parametrize("at_once", [True, False], ids=["plugged in at once", "plugged in later"])
numbers = pytest.mark.parametrize("number", [1, pytest.param(3, marks=pytest.mark.long)])


@every_step
@twice
@numbers
def test_an_inbox_imports_everything_once(
    card: Card, records: SqlRepository, step: str, number: int, *, at_once: bool
) -> None:
    """Photos are imported automatically while the card is pulled out; the inbox stays open."""
    shoot(card)
    source = open_source(card.path, provider="DRJ")
    with Inbox(records, [source], zone="UTC", settle_s=0, check_content=False) as inbox:
        with unplugging(card, step, number, at_once=at_once):
            inbox.refresh()
        while_open = [inbox.refresh() for _ in range(2)]
    assert not while_open[-1].problems
    assert (stored(records), list(card.path.glob("*.jpg"))) == (Counter(NAMES), [])
    with Inbox(records, [open_source(card.path)], zone="UTC", settle_s=0) as fresh:
        assert fresh.refresh().listed == 0


@every_step
@twice
@pytest.mark.parametrize("number", [2])
def test_a_plan_copies_and_moves_everything_once(
    card: Card, records: SqlRepository, tmp_path: Path, step: str, number: int, *, at_once: bool
) -> None:
    """The card is pulled out between plan and run, during each run, and between the copy and the move."""
    shoot(card, "10042 - Ada")
    rule = migration.FolderRule("{patient} - {*}")
    for mode in ("copy", "move"):
        plan = migration.plan(card.path, rule, records, to=tmp_path / mode, mode=mode, zone="UTC")
        card.pull()
        card.plug()
        with unplugging(card, step, number, at_once=at_once), contextlib.suppress(Exception):
            plan.run(records, check_content=False).wait(60)
        run = plan.run(records, check_content=False).wait(60)
        assert run.progress.counts == {"imported": len(NAMES)}
        assert stored(records) == Counter(NAMES)
        assert run.certificate is not None
        assert run.certificate.closes
    assert list(card.path.rglob("*.jpg")) == []


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_other_photos_on_the_same_card_are_not_taken_for_the_first_ones(
    card: Card, records: SqlRepository, tmp_path: Path, mode: str
) -> None:
    """The camera's clock stands still, and it uses names and sizes again: the photos are stored as well."""
    rule = migration.FolderRule("{patient} - {*}")
    for number, run_mode in enumerate((mode, "move")):
        folder = card.path / "10042 - Ada"
        folder.mkdir(exist_ok=True)
        for name in NAMES:
            photo = jpeg(name)[:-2] + bytes([number]) + b"\xff\xd9"
            (folder / name).write_bytes(photo)
            os.utime(folder / name, (1_000_000_000, 1_000_000_000))
        card.pull()
        card.plug()
        plan = migration.plan(card.path, rule, records, to=tmp_path / f"{number}", mode=run_mode, zone="UTC")
        run = plan.run(records).wait(60)
        assert run.progress.counts == {"imported": len(NAMES)}
    assert stored(records) == Counter(NAMES * 2)
    assert list(card.path.rglob("*.jpg")) == []
