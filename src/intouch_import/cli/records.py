"""The commands on the reference records: ``ledger``, ``patients`` and ``providers``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from intouch_import.cli import show
from intouch_import.cli.options import PATH, Practice, json_option, practice_options
from intouch_import.cli.show import OK, RECORDS_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["ledger_group", "patients_group", "providers_group"]


@click.group("ledger")
def ledger_group() -> None:
    """Show, export and verify the ledger."""


@click.group("patients")
def patients_group() -> None:
    """Load and search the patients of the reference records."""


@click.group("providers")
def providers_group() -> None:
    """Load the providers of the reference records."""


@ledger_group.command("show")
@click.option("--patient", metavar="ID", help="Only the entries of this patient.")
@click.option("--import-id", metavar="ID", help="Only the entries of this file.")
@practice_options("records")
@json_option
def ledger_show(patient: str | None, import_id: str | None, practice: Practice, *, json: bool) -> None:
    """Show what was moved, oldest first."""
    entries = practice.existing_ledger().entries(patient_id=patient, import_id=import_id)
    if json:
        _print_lines(entry.to_json() for entry in entries)
        return
    table = show.table("When (UTC)", "Event", "Patient", "File", "Reason")
    table.add_column("Import id", no_wrap=True, min_width=40)  # people copy it, for `undo`
    for entry in entries:
        cells = (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.event, entry.patient_id or "", entry.name)
        table.add_row(*map(show.escape, (*cells, entry.reason, entry.import_id)))
    show.console.print(table)


@ledger_group.command("export")
@click.option("--support", is_flag=True, help="Leave out patients, file names and operators.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "fhir", "dicom"]),
    default="json",
    show_default=True,
    help="The entries themselves, FHIR R4 AuditEvent resources, or DICOM audit messages.",
)
@practice_options("records")
@click.option("--json", is_flag=True, expose_value=False, help="For uniformity: the output is always JSON.")
def ledger_export(form: Literal["json", "fhir", "dicom"], practice: Practice, *, support: bool) -> None:
    """Print the ledger, one entry per line."""
    _print_lines(practice.existing_ledger().export(support=support, form=form))


@ledger_group.command("verify")
@practice_options("records")
@json_option
def ledger_verify(practice: Practice, *, json: bool) -> int:
    """Check that no entry was changed, removed or inserted."""
    ledger = practice.existing_ledger()
    broken = ledger.verify()
    count, digest = ledger.tail()
    if json:
        show.as_json({"entries": count, "digest": digest, "broken_at": broken})
    elif broken:
        show.complain(f"the chain is broken at entries {', '.join(map(str, broken))}")
    else:
        show.console.print(f"{count} entries, the chain is intact. Last digest: {digest}")
    return RECORDS_FAILED if broken else OK


@patients_group.command("load")
@click.argument("csv", type=PATH)
@practice_options("records", "files")
@json_option
def patients_load(csv: Path, practice: Practice, *, json: bool) -> None:
    """Add or replace patients from a CSV file.

    The file has the columns id and name, and optionally active and birth_date.
    """
    _print_count(practice.repository().load_patients_csv(csv), "patients", json=json)


@patients_group.command("search")
@click.argument("text")
@practice_options("records", "files")
@json_option
def patients_search(text: str, practice: Practice, *, json: bool) -> None:
    """Find patients by a part of their name or id."""
    found = practice.repository().search_patients(text)
    if json:
        keys = ("id", "name", "active", "birth_date")
        show.as_json([{key: getattr(patient, key) for key in keys} for patient in found])
        return
    if not found:
        show.complain("no patient has that in the name or the id")
    for patient in found:
        inactive = "" if patient.active else "  (inactive)"
        show.console.print(f"{patient.id}  {patient.name}{inactive}", markup=False)


@providers_group.command("load")
@click.argument("csv", type=PATH)
@practice_options("records", "files")
@json_option
def providers_load(csv: Path, practice: Practice, *, json: bool) -> None:
    """Add or replace providers from a CSV file.

    The file has the columns id and name, and optionally active.
    """
    _print_count(practice.repository().load_providers_csv(csv), "providers", json=json)


def _print_count(count: int, what: str, *, json: bool) -> None:
    if json:
        show.as_json({what: count})
    else:
        show.console.print(f"{count} {what}")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
