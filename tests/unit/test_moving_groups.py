"""Files that belong together: an automatic import stores all of them, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.errors import RepositoryError
from intouch_import.model import CompanionRole, Reason, State
from intouch_import.moving import Mover
from intouch_import.moving import mover as batching
from miniature import HostRecords, jpeg
from moving_bench import Bench, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.moving import MoveOrder
    from miniature import Practice

MOVIE, SIDECAR, VERSION = CompanionRole.MOVIE, CompanionRole.SIDECAR, CompanionRole.VERSION
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def grouped(orders: Sequence[MoveOrder], **roles: CompanionRole) -> list[MoveOrder]:
    """Make files with these stems and extensions (``a_xmp``) companions of the photo with the same stem."""
    owners = {one.file.name.partition(".")[0]: one for one in orders if one.file.name.endswith(".jpg")}
    made = []
    for one in orders:
        stem, _, extension = one.file.name.partition(".")
        role = roles.get(f"{stem}_{extension}")
        companion = {"companion_of": owners[stem].import_id, "companion_role": role} if role else {}
        made.append(attrs.evolve(one, **companion))
    return sorted(made, key=lambda one: (one.group_id, one.companion_role is not None))


def moved(bench: Bench, orders: Sequence[MoveOrder], **options: Any) -> dict[str, tuple[State, Reason]]:
    outcomes, _ = bench.mover().move(orders, **options)
    return {one.name: (one.state, one.reason) for one in outcomes}


IMPORTED = (State.IMPORTED, Reason.CHOSEN)
HELD = (State.WAITING, Reason.COMPANION_WAITS)


@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_group_waits_for_its_part(practice: Practice, *, rehearsal: bool) -> None:
    """If one file of a group must wait because of its content, the others wait too; other files do not."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    (practice.photos / "a.png").write_bytes(b"<!doctype html><html></html>")
    (practice.photos / "a.xmp").write_bytes(XMP)
    (practice.photos / "b.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(automatic=True), a_png=VERSION, a_xmp=SIDECAR, b_xmp=SIDECAR)
    assert moved(bench, orders, rehearsal=rehearsal) == {
        "a.jpg": HELD,
        "a.png": (State.WAITING, Reason.CONTENT_NOT_AS_NAMED),
        "a.xmp": HELD,
        "b.jpg": IMPORTED,
        "b.xmp": IMPORTED,
    }


@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_group_waits_for_its_copy(practice: Practice, *, rehearsal: bool) -> None:
    """If the photo of a group is in the record already, its companions wait with it, also within one batch."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    (practice.photos / "b.jpg").write_bytes((practice.photos / "a.jpg").read_bytes())
    for name in ("a.jpeg", "b.jpeg"):
        (practice.photos / name).write_bytes(jpeg(name))
    orders = grouped(bench.orders(automatic=True), a_jpeg=VERSION, b_jpeg=VERSION)
    first, *_ = (one.file.name.partition(".")[0] for one in orders)
    other = "b" if first == "a" else "a"
    assert moved(bench, orders, rehearsal=rehearsal) == {
        f"{first}.jpg": IMPORTED,
        f"{first}.jpeg": IMPORTED,
        f"{other}.jpg": (State.WAITING, Reason.DUPLICATE),
        f"{other}.jpeg": HELD,
    }


def test_files_that_share_bytes_crosswise_come_to_an_end(practice: Practice) -> None:
    """Two groups, each with a copy of a file of the other: the first is stored, and the second waits."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    (practice.photos / "a.jpeg").write_bytes((practice.photos / "b.jpg").read_bytes())
    (practice.photos / "b.jpeg").write_bytes((practice.photos / "a.jpg").read_bytes())
    orders = grouped(bench.orders(automatic=True), a_jpeg=VERSION, b_jpeg=VERSION)
    orders = [orders[0], orders[2], orders[1], orders[3]]
    found = moved(bench, orders)
    assert sorted(state for state, _ in found.values()) == [State.IMPORTED] * 2 + [State.WAITING] * 2
    assert len({name[0] for name, (state, _) in found.items() if state is State.IMPORTED}) == 1


@pytest.mark.parametrize("rehearsal", [False, True])
@pytest.mark.parametrize("automatic", [True, False])
def test_equal_sidecars_are_no_copies(practice: Practice, *, automatic: bool, rehearsal: bool) -> None:
    """Sidecars of two patients may have the same bytes: no edit says the same in all of them."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    for name in ("a.xmp", "b.xmp"):
        (practice.photos / name).write_bytes(XMP)
    orders = grouped(bench.orders(automatic=automatic), a_xmp=SIDECAR, b_xmp=SIDECAR)
    orders = [attrs.evolve(one, patient_id="10043") if one.file.name[0] == "b" else one for one in orders]
    outcomes, _ = bench.mover().move(orders, rehearsal=rehearsal and automatic)
    assert {(one.state, one.duplicate_of) for one in outcomes} == {(State.IMPORTED, None)}


@pytest.mark.parametrize("reversed_", [False, True])
def test_only_sidecars_wait_when_a_person_saves(practice: Practice, *, reversed_: bool) -> None:
    """A movie that a person saves does not wait for its photo; a sidecar does: nobody would see it alone."""
    bench = Bench(practice, "a.jpg", "a.mov")
    (practice.photos / "a.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(), a_xmp=SIDECAR, a_mov=MOVIE)
    (practice.photos / "a.jpg").unlink()
    found = moved(bench, orders[::-1] if reversed_ else orders)
    assert found == {"a.jpg": (State.FAILED, Reason.VANISHED), "a.xmp": HELD, "a.mov": IMPORTED}


def assigned(bench: Bench, name: str) -> None:
    """Store a file for another patient, as another workstation does that can't remove it yet."""
    (order,) = (one for one in bench.orders(patient_id="10043", keep=True) if one.file.name == name)
    bench.move([order])


ASSIGNED = (State.FAILED, Reason.ALREADY_ASSIGNED)


@pytest.mark.parametrize(
    ("automatic", "taken", "expected"),
    [
        (True, "a.jpg", {"a.jpg": ASSIGNED, "a.jpeg": HELD, "a.xmp": HELD, "b.jpg": IMPORTED}),
        (True, "a.jpeg", {"a.jpg": HELD, "a.jpeg": ASSIGNED, "a.xmp": HELD, "b.jpg": IMPORTED}),
        (True, "b.jpg", {"a.jpg": IMPORTED, "a.jpeg": IMPORTED, "a.xmp": IMPORTED, "b.jpg": ASSIGNED}),
        (False, "a.jpg", {"a.jpg": ASSIGNED, "a.jpeg": IMPORTED, "a.xmp": HELD, "b.jpg": IMPORTED}),
    ],
)
def test_a_group_waits_for_the_file_that_another_workstation_assigned(
    practice: Practice, automatic: bool, taken: str, expected: dict[str, tuple[State, Reason]]
) -> None:
    """If another workstation stores a file of a group for another patient meanwhile, the rest stays."""
    bench = Bench(practice, "a.jpg", "a.jpeg", "b.jpg")
    (practice.photos / "a.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(automatic=automatic), a_xmp=SIDECAR, a_jpeg=VERSION)
    assigned(bench, taken)
    assert moved(bench, orders) == expected
    left = {name for name, (state, _) in expected.items() if state is not State.IMPORTED}
    assert {one.name for one in bench.records.attachments("10042", sidecars=True)} == expected.keys() - left
    assert set(practice.left()) == left


def test_a_group_of_one_photo_that_is_refused_ends(practice: Practice) -> None:
    """If nothing but a refused group is stored, the move ends with it."""
    bench = Bench(practice, "a.jpg")
    (practice.photos / "a.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(automatic=True), a_xmp=SIDECAR)
    assigned(bench, "a.jpg")
    assert moved(bench, orders) == {"a.jpg": ASSIGNED, "a.xmp": HELD}


def test_records_without_transactions_keep_what_they_stored(practice: Practice) -> None:
    """Records that can't take a file back keep the sidecar of a photo that they refuse, and report that."""
    bench = Bench(practice, "a.jpg")
    (practice.photos / "a.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(automatic=True), a_xmp=SIDECAR)
    assigned(bench, "a.jpg")
    outcomes, _ = Mover(HostRecords(bench.records), bench.ledger).move(orders)
    assert {one.name: (one.state, one.reason) for one in outcomes} == {"a.jpg": ASSIGNED, "a.xmp": IMPORTED}


def test_the_sidecar_of_a_photo_that_the_records_fail_at_waits(practice: Practice) -> None:
    """If the records fail at a photo, its sidecar is not stored without it; other files are."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    (practice.photos / "a.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(), a_xmp=SIDECAR)
    add_many = bench.records.add_many

    def refuse(items: Any) -> Any:
        if any(attachment.name == "a.jpg" for attachment, _ in items):
            raise RepositoryError("no")
        return add_many(items)

    wrap(bench, add_many=refuse)
    found = moved(bench, orders[::-1])
    assert found == {"a.jpg": (State.FAILED, Reason.REPOSITORY_FAILED), "a.xmp": HELD, "b.jpg": IMPORTED}


def test_an_undo_of_the_photo_holds_its_companions(practice: Practice) -> None:
    """While somebody undoes one file of a group, none of it is stored."""
    bench = Bench(practice, "a.jpg")
    (practice.photos / "a.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(automatic=True), a_xmp=SIDECAR)
    with bench.ledger.claims.undo(orders[0].import_id):
        assert moved(bench, orders) == {"a.jpg": (State.WAITING, Reason.UNDONE), "a.xmp": HELD}


def test_a_batch_does_not_split_a_group(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group stays in one batch, unless it has more files than two batches."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    names = ["b.png", "b.tif", "b.gif", "b.bmp", "b.webp"]
    for name in names:
        (practice.photos / name).write_bytes(b"x")
    roles = {name.replace(".", "_"): VERSION for name in names}
    orders = grouped(bench.orders(), **roles)
    orders.sort(key=lambda one: (one.file.name[0], one.companion_role is not None))
    monkeypatch.setattr(batching, "BATCH_FILES", 2)
    sizes = [[one.file.name for one in batch] for batch in batching.batches_of(orders)]
    assert [len(batch) for batch in sizes] == [4, 3]
    assert sizes[0][:2] == ["a.jpg", "b.jpg"]


def test_a_record_that_refuses_one_file_gets_the_others(practice: Practice) -> None:
    """A failure of the records at one file of a group is reported for that file."""
    bench = Bench(practice, "a.jpg")
    (practice.photos / "a.xmp").write_bytes(XMP)
    orders = grouped(bench.orders(automatic=True), a_xmp=SIDECAR)

    add_many = bench.records.add_many

    def refuse(items: Any) -> Any:
        if any(attachment.name == "a.xmp" for attachment, _ in items):
            raise RepositoryError("no")
        return add_many(items)

    wrap(bench, add_many=refuse)
    found = moved(bench, orders)
    assert found == {"a.jpg": IMPORTED, "a.xmp": (State.FAILED, Reason.REPOSITORY_FAILED)}
    stored = bench.records.companions_of([orders[0].import_id])
    assert stored == {}


def test_a_part_belongs_to_its_own_photo_and_to_no_other_of_that_name(practice: Practice) -> None:
    """If another photo was imported under the import id of a photo, its sidecar belongs to the new one."""
    bench = Bench(practice, "a.jpg")
    (order,) = bench.orders()
    bench.move([order])
    (earlier,) = bench.records.attachments("10042")
    practice.photo("a.jpg", jpeg("another"))
    (practice.photos / "a.xmp").write_bytes(XMP)
    again = [
        attrs.evolve(one, import_id=order.import_id, stored=earlier) if one.file.name == "a.jpg" else one
        for one in bench.orders()
    ]

    assert moved(bench, grouped(again, a_xmp=SIDECAR)) == {"a.jpg": IMPORTED, "a.xmp": IMPORTED}
    (later,) = (one for one in bench.records.attachments("10042") if one.id != earlier.id)
    found = bench.records.companions_of([earlier.import_id, later.import_id])
    assert {owner: [one.name for one in those] for owner, those in found.items()} == {
        later.import_id: ["a.xmp"]
    }


@pytest.mark.parametrize("parts", [{}, {"a_xmp": SIDECAR}])
def test_a_photo_that_another_workstation_has_just_replaced_keeps_its_sidecar(
    practice: Practice, parts: dict[str, CompanionRole]
) -> None:
    """If other bytes were stored under the import id of a photo meanwhile, both are stored, with their own."""
    bench = Bench(practice, "a.jpg")
    (order,) = bench.orders()
    bench.move([order])
    (earlier,) = bench.records.attachments("10042")
    practice.photo("a.jpg", jpeg("another"))
    if parts:
        (practice.photos / "a.xmp").write_bytes(XMP)
    orders = [
        attrs.evolve(one, import_id=order.import_id) if one.file.name == "a.jpg" else one
        for one in bench.orders()
    ]
    assert set(moved(bench, grouped(orders, **parts)).values()) == {IMPORTED}
    (later,) = (one for one in bench.records.attachments("10042") if one.id != earlier.id)
    found = bench.records.companions_of([earlier.import_id, later.import_id])
    assert {owner: [one.name for one in those] for owner, those in found.items()} == (
        {later.import_id: ["a.xmp"]} if parts else {}
    )
