"""The commands ``ledger``, ``patients`` and ``providers``: the reference records."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intouch_import.cli import show
from intouch_import.cli.codes import RECORDS_FAILED
from intouch_import.cli.practice import (
    DEFAULT_FILES,
    DEFAULT_RECORDS,
    Files,
    Json,
    Practice,
    Records,
    existing_ledger,
)

if TYPE_CHECKING:
    from intouch_import.model import Patient

__all__ = ["ledger_app", "patients_app", "providers_app"]

ledger_app = typer.Typer(help="Show, export and verify the ledger.", no_args_is_help=True)
patients_app = typer.Typer(
    help="Fill and search the patients of the reference records.", no_args_is_help=True
)
providers_app = typer.Typer(help="Fill the providers of the reference records.", no_args_is_help=True)


class LedgerForm(enum.StrEnum):
    """What the lines of an export are."""

    JSON = "json"
    FHIR = "fhir"
    DICOM = "dicom"


@ledger_app.command("show")
def ledger_show(
    patient: Annotated[str | None, typer.Option(help="Only this patient's entries.")] = None,
    import_id: Annotated[str | None, typer.Option(help="Only this file's entries.")] = None,
    records: Records = DEFAULT_RECORDS,
    json: Json = False,
) -> None:
    """Show what was moved, oldest first."""
    from rich.markup import escape
    from rich.table import Table

    entries = existing_ledger(records).entries(patient_id=patient, import_id=import_id)
    if json:
        _stream(entry.to_json() for entry in entries)
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    for heading in ("When (UTC)", "Event", "Patient", "File", "Reason"):
        table.add_column(heading, overflow="fold")  # an id that is cut short is nobody's
    table.add_column("Import id", no_wrap=True, min_width=40)  # to be copied whole, for `undo`
    for entry in entries:
        cells = (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.event, entry.patient_id or "", entry.name)
        table.add_row(*map(escape, (*cells, entry.reason, entry.import_id)))
    show.console.print(table)


@ledger_app.command("export")
def ledger_export(
    support: Annotated[
        bool, typer.Option("--support", help="Leave out patients, file names and operators.")
    ] = False,
    form: Annotated[
        LedgerForm,
        typer.Option(
            "--format", help="The entries as they are, FHIR R4 AuditEvent resources, or DICOM audit messages."
        ),
    ] = LedgerForm.JSON,
    records: Records = DEFAULT_RECORDS,
    json: Json = True,  # noqa: ARG001  # lines of JSON are the default; the flag is taken for uniformity
) -> None:
    """Print the ledger, an entry a line: JSON, FHIR AuditEvent or DICOM audit messages."""
    _stream(existing_ledger(records).export(support=support, form=form.value))


@ledger_app.command("verify")
def ledger_verify(records: Records = DEFAULT_RECORDS, json: Json = False) -> None:
    """Check that no entry was changed, removed or inserted."""
    ledger = existing_ledger(records)
    broken = ledger.verify()
    count, digest = ledger.tail()
    if json:
        show.as_json({"entries": count, "digest": digest, "broken_at": broken})
    elif broken:
        show.complain(f"the chain is broken at entries {', '.join(map(str, broken))}")
    else:
        show.console.print(f"{count} entries, the chain holds. Last digest: {digest}")
    if broken:
        raise typer.Exit(RECORDS_FAILED)


@patients_app.command("load")
def patients_load(
    csv: Annotated[
        Path,
        typer.Argument(help="CSV file with columns id, name; optional: active, birth_date.", metavar="CSV"),
    ],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Add or replace patients from a CSV file."""
    count = Practice(records=records, files=files).repository().load_patients_csv(csv)
    _say({"patients": count}, f"{count} patients", json=json)


@patients_app.command("search")
def patients_search(
    text: Annotated[str, typer.Argument(help="Part of the name or id.", metavar="TEXT")],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Find patients by part of their name or id."""
    found = Practice(records=records, files=files).repository().search_patients(text)
    if json:
        show.as_json([_patient_dict(patient) for patient in found])
        return
    if not found:
        show.complain("no patient has that in the name or the id")
    for patient in found:
        show.console.print(
            f"{patient.id}  {patient.name}{'' if patient.active else '  (inactive)'}", markup=False
        )


@providers_app.command("load")
def providers_load(
    csv: Annotated[
        Path, typer.Argument(help="CSV file with columns id, name; optional: active.", metavar="CSV")
    ],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Add or replace providers from a CSV file."""
    count = Practice(records=records, files=files).repository().load_providers_csv(csv)
    _say({"providers": count}, f"{count} providers", json=json)


def _say(value: dict[str, Any], text: str, *, json: bool) -> None:
    if json:
        show.as_json(value)
    else:
        show.console.print(text)


def _stream(lines: Any) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


def _patient_dict(patient: Patient) -> dict[str, Any]:
    return {
        "id": patient.id,
        "name": patient.name,
        "active": patient.active,
        "birth_date": patient.birth_date,
    }
