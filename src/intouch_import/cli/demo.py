"""The demonstration: a small practice on real files, from a full folder to closed counts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from intouch_import.cli import show
from intouch_import.cli.samples import lay_out
from intouch_import.errors import ConfigError
from intouch_import.inbox import Inbox
from intouch_import.reports import Report
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from intouch_import.cli.samples import SamplePractice

__all__ = ["run_demo"]

_ZONE = "Australia/Sydney"


def run_demo(folder: Path | None, *, json: bool) -> Report:
    """Run it.

    Args:
        folder: A new or empty folder; None for a new temporary one. It is left for the reader to look at.
        json: Print one JSON document instead of a story.

    Returns:
        Every file of the practice in one report: what the refresh did with it, or the person after it.
    """
    root = _new_folder(folder)
    practice = lay_out(root)
    with SqlRepository.open(f"sqlite:///{root / 'clinic.db'}", files=root / "clinic-files") as records:
        records.add_patients(practice.patients)
        records.add_providers(practice.providers)
        inbox = Inbox(records, [open_source(practice.photos, provider="DRJ")], operator="demo", zone=_ZONE)
        with show.progress(quiet=json) as tell:
            refreshed = inbox.refresh(on_progress=tell)
        saved = [_save(inbox, practice.to_assign_images, "10042", "Left forearm", "Review in six weeks")]
        saved += [_save(inbox, practice.to_assign_documents, "10042", "Letter from the GP", "")]
        report = _together(refreshed, saved)
        broken = inbox.ledger.verify()
        entries, _ = inbox.ledger.tail()
        stored = {
            patient.id: [attachment.name for attachment in records.attachments(patient.id)]
            for patient in practice.patients
        }
    if json:
        show.as_json(
            {"folder": str(root), "ledger_entries": entries, "ledger_holds": not broken, "records": stored}
            | report.to_dict()
        )
        return report
    _tell(root, practice, report, stored)
    show.console.print(f"The ledger has {entries} entries; its chain {'is BROKEN' if broken else 'holds'}.")
    return report


def _save(inbox: Inbox, names: tuple[str, ...], patient: str, title: str, comments: str) -> Report:
    rows = [row for row in inbox.rows if row.name in names]
    return inbox.save(inbox.prepare(rows, patient=patient, title=title, comments=comments))


def _together(refreshed: Report, saved: list[Report]) -> Report:
    later = {outcome.import_id: outcome for report in saved for outcome in report.outcomes}
    return attrs.evolve(
        refreshed,
        outcomes=tuple(later.get(outcome.import_id, outcome) for outcome in refreshed.outcomes),
        problems=refreshed.problems + tuple(problem for report in saved for problem in report.problems),
    )


def _tell(root: Path, practice: SamplePractice, report: Report, stored: dict[str, list[str]]) -> None:
    show.console.print(f"[bold]A small practice in[/] {root}\n", highlight=False)
    show.report_table(report)
    show.console.print()
    for patient in practice.patients:
        count = len(stored[patient.id])
        show.console.print(f"{patient.name} ({patient.id}): {count} files in the record", highlight=False)


def _new_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="intouch-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError("the demo needs a new or an empty folder")
    except OSError as exc:
        raise ConfigError("the demo's folder can't be made", errno=exc.errno) from None
    return folder.resolve()
