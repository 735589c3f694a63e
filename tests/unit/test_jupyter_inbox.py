"""The inbox widget, tested by its messages, without a browser."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import pictures
from intouch_import.errors import MissingExtraError, SignInNeeded
from intouch_import.jupyter import InboxWidget
from intouch_import.jupyter.lines import RecentlyFiled
from intouch_import.model import Patient, State
from intouch_import.sources.local import LocalSource
from talking import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.inbox import Inbox
    from miniature import Practice

AUTO = "10042_DRJ_20260131_142501.jpg"
NAME, STATUS, REASON, PATIENT, TITLE, CHOOSABLE = 0, 5, 6, 8, 9, 10


@pytest.fixture
def open_widget(practice: Practice) -> Iterator[Callable[..., Talk]]:
    """Open a widget for the practice's inbox, as if a browser showed it."""
    talks: list[Talk] = []

    def opened(inbox: Inbox | None = None, **options: Any) -> Talk:
        talk = Talk(InboxWidget(inbox or practice.inbox(), **options))
        talks.append(talk)
        talk.say("open")
        return talk

    yield opened
    for talk in talks:
        talk.widget.close()
        talk.widget._threads.shutdown()


def listed(talk: Talk) -> dict[str, Any]:
    """Return the list of the next refresh, after the refresh has finished."""
    said = talk.wait("list")
    talk.idle()
    return said


def prepared(talk: Talk, list_: dict[str, Any], *rows: int, **content: Any) -> dict[str, Any]:
    choice = {
        "generation": list_["generation"],
        "rows": list(rows),
        "patient": "10042",
        "title": "",
        "comments": "",
    }
    return talk.ask("prepare", "prepared", "refused", "trouble", **{**choice, **content})


def test_what_is_seen_first(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """The widget refreshes when it is first shown: identified files are filed, the others are listed with reasons."""
    for name in (AUTO, "letter.pdf", "wound.jpg", ".hidden"):
        practice.photo(name)
    talk = open_widget()
    hello = talk.wait("hello")
    assert hello["zone"] == "UTC"
    assert hello["patient"] is None
    said = talk.wait("list")
    assert [line[NAME] for line in said["lines"]] == [".hidden", "letter.pdf", "wound.jpg"]
    assert [line[STATUS] for line in said["lines"]] == ["ignored", "waiting", "waiting"]
    assert [line[CHOOSABLE] for line in said["lines"]] == [False, True, True]
    assert hello["reasons"][said["lines"][2][REASON]].startswith(
        "The file name does not identify the patient."
    )
    assert said["sources"] == [{"location": "local", "label": "photos"}]
    refreshed = talk.wait("refreshed")
    assert (refreshed["imported"], refreshed["waiting"], refreshed["closes"]) == (1, 2, True)
    (filed,) = refreshed["filed"]
    assert (filed["name"], filed["patient"]["name"], filed["automatic"]) == (AUTO, "Ada Marsh", True)


def test_three_files_are_saved(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """Prepare returns the warning, saving changes the rows and the records, and a refresh removes the rows."""
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        practice.photo(name)
    talk = open_widget()
    list_ = listed(talk)
    answer = prepared(talk, list_, 0, 1, 2, title="Left forearm", comments="as told")
    assert answer["warning"] == "3 images will be saved to Ada Marsh (10042) with the same title."
    assert practice.left() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    talk.say("save", job=answer["job"])
    changed = talk.wait("changed")
    assert [
        (index, line[STATUS], line[PATIENT]["name"], line[TITLE]) for index, line in changed["lines"]
    ] == [(index, "imported", "Ada Marsh", "Left forearm") for index in range(3)]
    assert talk.wait("saved")["imported"] == 3
    talk.idle()
    stored = practice.records().attachments("10042")
    assert sorted((one.name, one.title, one.comments) for one in stored) == [
        (name, "Left forearm", "as told") for name in ("a.jpg", "b.jpg", "c.jpg")
    ]
    talk.say("refresh")
    assert [line[NAME] for line in talk.wait("list")["lines"]] == ["d.jpg"]
    assert talk.widget.report.listed == 1


def test_a_photo_stands_for_its_movie_and_its_sidecar(
    practice: Practice, open_widget: Callable[..., Talk]
) -> None:
    """A group is one line, and is saved and taken back with one click; a movie that may belong is named."""
    for name in ("20260131_142501.jpg", "20260131_142501.mp4", "20260131_142501.AAE", "a.jpg", "a.mp4"):
        practice.photo(name)
    talk = open_widget()
    list_ = listed(talk)
    assert [(line[NAME], *line[CHOOSABLE + 1 :]) for line in list_["lines"]] == [
        ("20260131_142501.jpg", "+ movie, sidecar", []),
        ("a.jpg", "", ["a.mp4"]),
        ("a.mp4", "", ["a.jpg"]),
    ]
    answer = prepared(talk, list_, 0)
    assert (answer["count"], answer["summary"]) == (
        3,
        "The image and 2 files that belong to it will be saved to Ada Marsh (10042).",
    )
    assert prepared(talk, list_, 1, 2)["count"] == 2
    talk.say("save", job=answer["job"])
    (filed,) = talk.wait("saved")["filed"]
    talk.idle()
    assert practice.left() == ["a.jpg", "a.mp4"]
    talk.say("undo", id=filed["id"])
    assert talk.wait("undone")["filed"] == []
    talk.idle()
    assert len(practice.left()) == 5


def test_a_doubt_about_the_patient_needs_a_confirmation(
    practice: Practice, open_widget: Callable[..., Talk]
) -> None:
    """All doubts are sent, the strongest first; without the confirmation, nothing is saved."""
    practice.photo("10043_DRX_20260201_080000.jpg")
    talk = open_widget(practice.inbox(auto_import=False))
    list_ = listed(talk)
    answer = prepared(talk, list_, 0)
    assert [(doubt["kind"], doubt["severity"]) for doubt in answer["doubts"]] == [
        ("other_patient", "confirm"), ("provider", "note"),
    ]  # fmt: skip
    assert answer["summary"] == "The image will be saved to Ada Marsh (10042)."
    assert (answer["confirm"], answer["described"]) == (True, "Ada Marsh (10042)")
    talk.say("save", job=answer["job"])
    assert "nobody has confirmed it" in talk.wait("refused")["text"]
    assert len(practice.left()) == 1
    answer = prepared(talk, list_, 0)
    talk.say("save", job=answer["job"], confirmed=True)
    assert talk.wait("saved")["imported"] == 1
    talk.idle()


def test_cancelled_and_doubled_clicks(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """A cancelled request is not saved, and two clicks save once."""
    practice.photo("a.jpg")
    talk = open_widget()
    list_ = listed(talk)
    answer = prepared(talk, list_, 0)
    assert answer["warning"] is None
    talk.say("drop", job=answer["job"])
    talk.say("save", job=answer["job"])
    assert practice.left() == ["a.jpg"]
    again = prepared(talk, list_, 0)
    talk.say("save", job=again["job"])
    talk.say("save", job=again["job"])
    assert talk.wait("saved")["imported"] == 1
    talk.idle()
    assert all(said["kind"] != "saved" for said in talk.heard)


@pytest.mark.parametrize(
    ("rows", "content", "text"),
    [
        ((0, 1), {}, "Images (1) and other documents (1) can't be saved together."),
        ((0,), {"patient": "4711"}, "No patient has this id."),
        ((0,), {"generation": 0}, "The list was refreshed in the meantime. Please choose again."),
        ((0,), {"title": "x" * 501}, "The title is longer than 500 characters."),
        ((), {}, "No file is selected."),
    ],
)
def test_what_is_refused(
    practice: Practice, open_widget: Callable[..., Talk], rows: tuple[int, ...], content: Any, text: str
) -> None:
    """A selection that can't be saved is refused with the reason, and nothing is moved."""
    practice.photo("a.jpg")
    practice.photo("b.pdf")
    talk = open_widget()
    answer = prepared(talk, listed(talk), *rows, **content)
    assert (answer["kind"], answer["text"]) == ("refused", text)
    assert practice.left() == ["a.jpg", "b.pdf"]


def test_taken_back(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """Undo returns the file, lists it with the reason, and removes it from the recently filed files."""
    practice.photo(AUTO)
    talk = open_widget()
    refreshed = talk.wait("refreshed")
    talk.idle()
    talk.say("undo", id=refreshed["filed"][0]["id"])
    undone = talk.wait("undone")
    assert (undone["done"], undone["filed"]) == (True, [])
    (line,) = talk.wait("list")["lines"]
    assert (line[NAME], line[REASON]) == (AUTO, "undone")
    assert practice.left() == [AUTO]


def test_taken_back_from_its_row(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """A row that was just saved can be undone by its position in the list."""
    practice.photo("a.jpg")
    talk = open_widget()
    list_ = listed(talk)
    talk.say("save", job=prepared(talk, list_, 0)["job"])
    talk.wait("saved")
    talk.idle()
    talk.say("undo", generation=list_["generation"] - 1, row=0)
    assert "refreshed in the meantime" in talk.wait("refused")["text"]
    talk.say("undo", generation=list_["generation"], row=0)
    assert talk.wait("undone")["done"]
    talk.wait("list")
    assert practice.left() == ["a.jpg"]


def test_pictures_on_demand(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """Only requested pictures are made: a JPEG in a binary buffer, or a message that there is none."""
    for name in ("a.jpg", "b.pdf", "c.jpg"):
        practice.photo(name, None if name.endswith("jpg") else b"%PDF-1.4 nothing")
    talk = open_widget()
    list_ = listed(talk)
    talk.say("pictures", view="v", generation=list_["generation"], places=[0, 1, 99], px=64)
    shown: list[list[int]] = []
    none: list[list[int]] = []
    while len(shown) + len(none) < 2:
        said = talk.wait("pictures")
        assert len(talk.last_buffers) == len(said["shown"])
        assert all(buffer.startswith(b"\xff\xd8") for buffer in talk.last_buffers)
        shown += said["shown"]
        none += said["none"]
    assert (shown, none) == ([[list_["generation"], 0, 64]], [[list_["generation"], 1, 64]])


def test_pictures_of_what_is_filed(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """The picture of a filed file comes from the records."""
    practice.photo("a.jpg")
    talk = open_widget()
    list_ = listed(talk)
    talk.say("save", job=prepared(talk, list_, 0)["job"])
    talk.wait("saved")
    talk.idle()
    talk.say("pictures", view="v", generation=list_["generation"], places=[0], px=200)
    assert talk.wait("pictures")["shown"] == [[list_["generation"], 0, 200]]


def test_documents_have_a_picture(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """With the extra ``pdf``, the row of a document shows its first page."""
    pytest.importorskip("pypdfium2")
    practice.photo("letter.pdf", pictures.pdf(b"1 0 0 rg 0 0 200 100 re f"))
    talk = open_widget()
    list_ = listed(talk)
    talk.say("pictures", view="v", generation=list_["generation"], places=[0], px=64)
    assert talk.wait("pictures")["shown"] == [[list_["generation"], 0, 64]]


def test_pictures_can_be_left_out(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """Without pictures, no file is read for a picture."""
    practice.photo("a.jpg")
    talk = open_widget(pictures=False)
    assert talk.wait("hello")["pictures"] is False
    list_ = listed(talk)
    talk.say("pictures", view="v", generation=list_["generation"], places=[0], px=64)
    assert not talk.widget._pictures._threads


def test_nothing_is_kept_in_the_notebook(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """State, repr and display data, which a notebook saves, contain no name, no patient and no picture."""
    practice.photo("MARSH arm.jpg")
    talk = open_widget()
    list_ = listed(talk)
    talk.say("save", job=prepared(talk, list_, 0, title="MARSH title")["job"])
    talk.wait("saved")
    talk.idle()
    state = {name: value for name, value in talk.widget.get_state().items() if name not in ("_esm", "_css")}
    assert state
    kept = json.dumps([state, repr(talk.widget), talk.widget._repr_mimebundle_()])
    for private in ("MARSH", "Ada", "10042", "photos", str(practice.root)):
        assert private not in kept


def test_names_are_made_printable(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """Deceptive and invalid characters of a name are sent as escapes."""
    practice.photo("photo\u202egpj.exe")
    if sys.platform == "linux":
        practice.photo("bad\udcff.jpg")
    names = {line[NAME] for line in listed(open_widget())["lines"]}
    assert names <= {"photo\\u202egpj.exe", "bad\\udcff.jpg"}


def test_patients_are_found(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """Patients are found by a part of the name, and inactive ones are marked."""
    talk = open_widget()
    found = talk.ask("patients", "patients", text="li")["patients"]
    assert found == [{"id": "10044", "name": "Chiara Lindqvist", "born": None, "active": False}]


def test_a_folder_for_one_patient(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """For a browsed folder, the widget receives the only possible patient."""
    practice.photo("a.jpg")
    browsed = practice.inbox().browse(practice.photos, patient="10043", label="tower")
    assert browsed.patient is not None
    talk = open_widget(browsed)
    assert talk.wait("hello")["patient"]["id"] == "10043"
    answer = prepared(talk, listed(talk), 0)
    assert answer["kind"] == "refused"


def test_failures_name_nobody(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """Any exception of a host's records becomes an error message without a name."""
    talk = open_widget()
    listed(talk)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("MARSH in /photos")

    talk.widget.inbox.repository.search_patients = broken
    answer = talk.ask("patients", "patients", "trouble", text="a")
    assert answer["text"] == "The patients could not be searched. An unexpected error."
    talk.widget.inbox.refresh = broken
    talk.say("refresh")
    assert talk.wait("trouble")["text"] == "The list could not be refreshed. An unexpected error."
    talk.say("nonsense")


def test_a_location_that_fails_is_told(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """A missing folder is reported as a problem, and the other folders are listed."""
    folder = practice.root / "tower"
    folder.mkdir()
    practice.photo("a.jpg")
    inbox = practice.inbox(practice.source(), practice.source(folder))
    folder.rmdir()
    talk = open_widget(inbox)
    assert [line[NAME] for line in talk.wait("list")["lines"]] == ["a.jpg"]
    (problem,) = talk.wait("refreshed")["problems"]
    assert problem["location"] == "local"


def test_what_is_listed_can_be_saved_while_a_sign_in_is_waited_for(
    practice: Practice, open_widget: Callable[..., Talk]
) -> None:
    """The list is sent before the sign-in ends, and saving does not wait for it."""
    allowed = threading.Event()

    class Drive(LocalSource):
        def scan(self) -> Any:
            if not allowed.is_set():
                raise SignInNeeded("nobody is signed in", source_id=self.source_id)
            return super().scan()

        def sign_in(self, *, cancelled: Callable[[], bool] = lambda: False) -> bool:
            return allowed.wait(30)

    folder = practice.root / "drive"
    folder.mkdir()
    practice.photo("a.jpg")
    practice.photo("b.jpg", folder=folder)
    talk = open_widget(practice.inbox(practice.source(), Drive(str(folder))))
    early = talk.wait("list")
    assert [line[NAME] for line in early["lines"]] == ["a.jpg"]
    answer = prepared(talk, early, 0)
    talk.say("save", job=answer["job"])
    assert talk.wait("saved")["imported"] == 1
    allowed.set()
    late = talk.wait("list")
    assert "b.jpg" in [line[NAME] for line in late["lines"]]


def test_a_second_view_sees_the_same_list(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """A reloaded page gets the list without a refresh; `update` shows changes by other code."""
    practice.photo("a.jpg")
    talk = open_widget()
    first = listed(talk)
    practice.photo("b.jpg")
    talk.say("open")
    assert talk.wait("list")["generation"] == first["generation"]
    talk.widget.inbox.refresh()
    talk.widget.update()
    assert [line[NAME] for line in talk.wait("list")["lines"]] == ["a.jpg", "b.jpg"]


def test_without_a_refresh(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """With ``refresh=False`` nothing is filed at first, and the current list is shown."""
    practice.photo(AUTO)
    talk = open_widget(refresh=False)
    assert talk.wait("list")["total"] == 0
    assert practice.left() == [AUTO]


def test_a_closed_widget_does_nothing(practice: Practice, open_widget: Callable[..., Talk]) -> None:
    """After `close`, a late click has no effect and raises no error."""
    practice.photo("a.jpg")
    talk = open_widget()
    list_ = listed(talk)
    talk.widget.close()
    talk.widget._on_prepare({"generation": list_["generation"], "rows": [0], "patient": "10042", "ask": 1})
    talk.widget._on_pictures({"generation": list_["generation"], "view": "v", "places": [0], "px": 64})
    assert practice.left() == ["a.jpg"]


def test_filed_lately_keeps_two_hundred(practice: Practice) -> None:
    """The last 200 filed files are kept, the newest first."""
    for number in range(3):
        practice.photo(f"10042_DRJ_20260131_14250{number}.jpg")
    records = practice.records()
    report = practice.inbox(records=records).refresh()
    filed = RecentlyFiled(records)
    for _ in range(100):
        filed.add(report.outcomes, automatic=True)
    assert len(filed.to_list()) == 200
    filed.add([attrs.evolve(report.outcomes[0], state=State.WAITING)], automatic=True)
    assert len(filed.to_list()) == 200
    filed.drop(report.outcomes[0].import_id or "")
    assert {entry["id"] for entry in filed.to_list()} == {one.import_id for one in report.outcomes[1:]}
    assert "Ada" not in repr(Patient(id="1", name="Ada"))


def test_a_missing_anywidget_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anywidget, the error message names the extra."""
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "intouch_import.jupyter")
    with pytest.raises(MissingExtraError, match=r"intouch-import\[jupyter\]"):
        __import__("intouch_import.jupyter")
