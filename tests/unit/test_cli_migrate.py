"""The commands of a migration."""

from __future__ import annotations

import json

from commanding import Command
from miniature import Practice, jpeg


def _lay(practice: Practice) -> None:
    for path in ("10042 - Marsh/a.jpg", "10043 - Okafor/b.jpg", "loose.jpg"):
        file = practice.root / "old" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(path))


def test_from_an_archive_to_a_certificate(practice: Practice, command: Command) -> None:
    """Plan, review, dry run, run and certificate print what they did, for people and for programs."""
    _lay(practice)
    planned = command("migrate", "plan", "old", "--to", "plan", "--folders", "{patient} - {*}", "--json")
    assert planned.code == 0
    assert planned.json["counts"] == {"folder_name": 2, "no_rule": 1}
    assert command("migrate", "review", "plan", "--by", "patient", "--json").json["counts"]["10042"] == 1
    listed = command("migrate", "review", "plan", "--where", "reason=no_rule", "--json").json["rows"]
    assert [row["path"] for row in listed] == ["loose.jpg"]
    assert "loose.jpg" in command("migrate", "review", "plan", "--where", "reason=no_rule").out
    assert "No rule" in command("migrate", "review", "plan").out
    dry = command("migrate", "run", "plan", "--dry-run", "--json")
    assert (dry.code, dry.json["reasons"]) == (0, {"folder_name": 2})
    assert (practice.root / "old" / "10042 - Marsh" / "a.jpg").exists()
    run = command("migrate", "run", "plan", "--json")
    assert (run.code, run.json["counts"]["imported"], run.json["closes"]) == (0, 2, True)
    assert not (practice.root / "old" / "10042 - Marsh" / "a.jpg").exists()
    assert "3 planned = 2 imported" in command("migrate", "certificate", "plan").out
    again = command("migrate", "certificate", "plan", "--read-all", "--source", "old", "--json")
    assert (again.code, again.json["read_again"], again.json["seen_in_archive"]) == (0, 2, 1)
    assert command("migrate", "certificate", "plan", "--verify", "--json").json == {"wrong": []}
    (practice.root / "plan" / "certificate" / "files.jsonl").write_text("")
    changed = command("migrate", "certificate", "plan", "--verify")
    assert (changed.code, "files.jsonl was changed" in changed.err) == (4, True)


def test_a_plan_is_not_judged_by_records_that_were_never_there(practice: Practice, command: Command) -> None:
    """With a mistyped database, no empty records are created, and the certificate is not changed."""
    _lay(practice)
    command("migrate", "plan", "old", "--to", "plan", "--folders", "{patient} - {*}")
    command("migrate", "run", "plan")
    before = (practice.root / "plan" / "certificate" / "certificate.json").read_bytes()
    for what in ("run", "certificate"):
        refused = command("migrate", what, "plan", "--records", "sqlite:///mistyped.db")
        assert (refused.code, "no database" in refused.err) == (2, True)
    assert not (practice.root / "mistyped.db").exists()
    assert (practice.root / "plan" / "certificate" / "certificate.json").read_bytes() == before


def test_a_list_is_told_by_its_columns(practice: Practice, command: Command) -> None:
    """Columns are mapped on the command line; with ``--copy``, the archive is not changed."""
    _lay(practice)
    (practice.root / "list.csv").write_text("Bild,Nr\nloose.jpg,10042\n")
    options = ("--list", "list.csv", "--column", "path=Bild", "--column", "patient=Nr", "--copy")
    planned = command("migrate", "plan", "old", "--to", "plan", *options, "--json")
    assert planned.json["counts"] == {"not_listed": 2, "listed": 1}
    assert command("migrate", "run", "plan").code == 0
    assert (practice.root / "old" / "loose.jpg").exists()


def test_mistakes_are_told(practice: Practice, command: Command) -> None:
    """Without a rule, with a wrong pair or without a plan, one line is printed, and the exit code is 2."""
    _lay(practice)
    for arguments in (
        ("plan", "old", "--to", "plan"),
        ("plan", "old", "--to", "plan", "--list", "x.csv", "--column", "path"),
        ("review", "nowhere"),
        ("run", "nowhere"),
        ("certificate", "nowhere", "--verify"),
    ):
        ended = command("migrate", *arguments)
        assert (ended.code, ended.err.count("\n")) == (2, 1), arguments


def test_arguments_are_named_as_options(practice: Practice, command: Command) -> None:
    """A message about the argument ``hours=`` names the option ``--hours``."""
    _lay(practice)
    assert command("migrate", "plan", "old", "--to", "plan", "--folders", "{patient} - {*}").code == 0
    done = command("migrate", "run", "plan", "--hours", "99")
    assert (done.code, done.err) == (2, 'intouch-import: --hours is written "18:00-07:00"\n')
    listed = command("migrate", "plan", "old", "--to", "other", "--list", "x.csv", "--column", "path=File")
    assert (listed.code, "--column path=File --column 'patient=" in listed.err) == (2, True)


def test_a_certificate_that_cannot_be_written_is_a_mistake(practice: Practice, command: Command) -> None:
    """If the certificate can't be written, one line gives the system's reason."""
    _lay(practice)
    assert command("migrate", "plan", "old", "--to", "plan", "--folders", "{patient} - {*}").code == 0
    (practice.root / "plan" / "certificate").write_text("in the way")
    done = command("migrate", "certificate", "plan")
    assert (done.code, "the certificate can't be written (" in done.err) == (2, True)


def test_a_file_names_cameras_with_a_wrong_clock(practice: Practice, command: Command) -> None:
    """``--clocks`` is kept in the plan; a file without clocks is an error."""
    _lay(practice)
    (practice.root / "clocks.toml").write_text('[[clock]]\nmodel = "D7500"\noffset = "-1:00"\n')
    options = ("migrate", "plan", "old", "--folders", "{patient} - {*}", "--clocks")
    assert command(*options, "clocks.toml", "--to", "plan").code == 0
    header = json.loads((practice.root / "plan" / "plan.json").read_text())
    assert header["clocks"] == [{"offset": "-1:00:00", "model": "D7500"}]
    (practice.root / "clocks.toml").write_text("")
    refused = command(*options, "clocks.toml", "--to", "plan-2")
    assert (refused.code, "clock" in refused.err) == (2, True)


def test_sidecars_are_listed_with_their_photo_and_can_be_left_out(
    practice: Practice, command: Command
) -> None:
    """A plan shows what a sidecar belongs to; with ``--leave-sidecars``, it is left out and counted."""
    _lay(practice)
    (practice.root / "old" / "10042 - Marsh" / "a.aae").write_bytes(b"<plist/>")
    plan = ("migrate", "plan", "old", "--folders", "{patient} - {*}", "--json")

    assert command(*plan, "--to", "kept").json["counts"] == {"folder_name": 2, "companion": 1, "no_rule": 1}
    rows = command("migrate", "review", "kept", "--where", "role=sidecar", "--json").json["rows"]
    assert [(row["path"], row["patient"], row["owner"]) for row in rows] == [
        ("10042 - Marsh/a.aae", "10042", rows[0]["number"] - 1)
    ]
    left = command(*plan, "--to", "left", "--leave-sidecars").json["counts"]
    assert left == {"folder_name": 2, "sidecars_left": 1, "no_rule": 1}
