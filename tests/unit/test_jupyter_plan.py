"""The plan widget, tested by its messages, without a browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.jupyter import PlanWidget
from migrating import MARSH, OKAFOR, Archive
from talking import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOLDER, NAME, PATIENT, VERDICT = 1, 2, 4, 7


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive with five photos of two patients, and one without a patient."""
    archive = Archive(tmp_path)
    for number in range(3):
        archive.lay(f"{MARSH}/2020-05-0{number + 1}/a{number}.jpg")
    for number in range(2):
        archive.lay(f"{OKAFOR}/2021-05-0{number + 1}/b{number}.jpg")
    archive.lay("Nobody/c.jpg")
    return archive


@pytest.fixture
def open_widget(archive: Archive) -> Iterator[Callable[..., Talk]]:
    """Open a widget for a plan of the archive, as if a browser showed it."""
    talks: list[Talk] = []

    def opened(*, runs: bool = True, **options: Any) -> Talk:
        records = archive.records()
        talk = Talk(PlanWidget(archive.plan(records=records), records if runs else None, **options))
        talks.append(talk)
        talk.say("open")
        return talk

    yield opened
    for talk in talks:
        talk.widget.close()
        talk.widget._threads.shutdown()


def lines(talk: Talk, reviewed: dict[str, Any]) -> list[list[Any]]:
    talk.say("window", review=reviewed["review"], start=0, stop=100)
    return list(talk.wait("window")["lines"])


def test_what_there_is(open_widget: Callable[..., Talk]) -> None:
    """The widget receives counts by verdict, reason, year and patient, samples, and the rows."""
    talk = open_widget()
    assert talk.wait("hello")["total"] == 6
    reviewed = talk.wait("reviewed")
    facets = {facet: dict(bars) for facet, bars in reviewed["facets"].items()}
    assert facets["verdict"] == {"import": 5, "wait": 1}
    assert facets["patient"] == {"10042": 3, "10043": 2, "": 1}
    assert facets["year"] == {"2020": 3, "2021": 2, "unknown": 1}
    assert sum(facets["size"].values()) == sum(facets["reason"].values()) == 6
    assert len(reviewed["samples"]) == 6
    assert sorted(line[NAME] for line in lines(talk, reviewed)) == sorted(
        ["a0.jpg", "a1.jpg", "a2.jpg", "b0.jpg", "b1.jpg", "c.jpg"]
    )


def test_filters(open_widget: Callable[..., Talk]) -> None:
    """Filters restrict counts and rows; wildcard characters in the typed text are literal."""
    talk = open_widget()
    talk.wait("reviewed")
    talk.say("review", where={"patient": "10043"}, path="")
    reviewed = talk.wait("reviewed")
    assert (reviewed["total"], dict(reviewed["facets"]["year"])) == (2, {"2021": 2})
    assert [line[NAME] for line in lines(talk, reviewed)] == ["b0.jpg", "b1.jpg"]
    talk.say("review", where={}, path="a1")
    reviewed = talk.wait("reviewed")
    assert [line[NAME] for line in lines(talk, reviewed)] == ["a1.jpg"]
    talk.say("review", where={}, path="a*")
    assert talk.wait("reviewed")["total"] == 0


def test_decisions(open_widget: Callable[..., Talk], archive: Archive) -> None:
    """An override of one row or of all shown rows is saved with the plan, together with the operator."""
    talk = open_widget(operator="reception")
    reviewed = talk.wait("reviewed")
    (nobody,) = [line for line in lines(talk, reviewed) if line[NAME] == "c.jpg"]
    answer = talk.ask(
        "decide",
        "decided",
        "refused",
        "trouble",
        review=reviewed["review"],
        row=nobody[0],
        decision="patient",
        patient="10042",
    )
    assert answer["count"] == 1
    reviewed = talk.wait("reviewed")
    assert dict(reviewed["facets"]["verdict"]) == {"import": 6}
    talk.say("review", where={"patient": "10043"}, path="")
    narrowed = talk.wait("reviewed")
    old = talk.ask(
        "decide", "decided", "refused", "trouble", review=reviewed["review"], row=None, decision="leave_out"
    )
    assert "in the meantime" in old["text"]
    answer = talk.ask(
        "decide", "decided", "refused", "trouble", review=narrowed["review"], row=None, decision="leave_out"
    )
    assert answer["count"] == 2
    assert talk.widget.plan.counts() == {"import": 4, "ignore": 2}
    assert {one["by"] for one in talk.widget.plan.overrides} == {"reception"}


def test_a_decision_is_about_the_rows_that_are_shown(
    open_widget: Callable[..., Talk], archive: Archive
) -> None:
    """Also if earlier decisions made them match the filter, while conditions of overrides are about the plan."""
    talk = open_widget()
    talk.wait("reviewed")
    talk.widget.plan.override({"patient": "10043"}, leave_out=True)
    talk.say("review", where={"reason": "left_out"}, path="")
    shown = talk.wait("reviewed")
    answer = talk.ask(
        "decide", "decided", "refused", "trouble", review=shown["review"], row=None, decision="restore"
    )
    assert answer["count"] == shown["total"] == 2
    assert "left_out" not in talk.widget.plan.counts("reason")


def test_a_patient_who_does_not_exist(open_widget: Callable[..., Talk]) -> None:
    """An override for an unknown patient is refused and not saved."""
    talk = open_widget()
    reviewed = talk.wait("reviewed")
    answer = talk.ask(
        "decide",
        "decided",
        "refused",
        "trouble",
        review=reviewed["review"],
        row=0,
        decision="patient",
        patient="4711",
    )
    assert answer == {"kind": "refused", "ask": 1, "text": "No patient has this id."}
    assert talk.widget.plan.overrides == []


def test_pictures(open_widget: Callable[..., Talk]) -> None:
    """Pictures of rows are made on request from the archive."""
    talk = open_widget()
    talk.wait("reviewed")
    talk.say("pictures", view="v", rows=[0], px=64)
    assert talk.wait("pictures")["shown"] == [[0, 0, 64]]
    assert talk.last_buffers[0].startswith(b"\xff\xd8")


def test_dry_run_and_run(open_widget: Callable[..., Talk], archive: Archive) -> None:
    """A dry run changes nothing; a run fills the records, and its certificate closes."""
    talk = open_widget()
    talk.wait("reviewed")
    before = archive.left()
    talk.say("run", dry=True)
    done = talk.wait("run", matching=lambda said: said["state"] == "done")
    assert (done["dry"], done["closes"]) == (True, None)
    assert archive.left() == before
    talk.say("run", dry=False)
    done = talk.wait("run", matching=lambda said: said["state"] == "done" and not said["dry"])
    assert (done["done"], done["total"], done["closes"], done["problem"]) == (5, 5, True, None)
    assert len(archive.records().attachments("10042")) == 3


def test_a_plan_without_records(open_widget: Callable[..., Talk]) -> None:
    """Without records a plan can be reviewed but not run."""
    talk = open_widget(runs=False)
    assert talk.wait("hello")["runs"] is False
    talk.say("run", dry=False)
    assert "create the widget with the records" in talk.wait("trouble")["text"]
    assert talk.ask("patients", "patients", text="a")["patients"] == []


def test_nothing_is_kept_in_the_notebook(open_widget: Callable[..., Talk], tmp_path: Path) -> None:
    """State and repr contain no name, no patient and no folder."""
    talk = open_widget()
    talk.wait("reviewed")
    state = {name: value for name, value in talk.widget.get_state().items() if name not in ("_esm", "_css")}
    kept = json.dumps([state, repr(talk.widget)])
    for private in ("Marsh", "10042", "old disk", str(tmp_path)):
        assert private not in kept


def test_a_plan_alone_shows_counts(archive: Archive) -> None:
    """Without a widget, a notebook shows counts without names."""
    shown = archive.plan()._repr_html_()
    assert "6 files" in shown
    assert "<tr><th>import</th><td>5</td></tr>" in shown
    for private in ("Marsh", "10042", "a0.jpg"):
        assert private not in shown
