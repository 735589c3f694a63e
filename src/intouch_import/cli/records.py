"""The commands on the reference records: ``ledger``, ``patients`` and ``providers``."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from intouch_import.cli import show
from intouch_import.cli.options import (
    DEFAULT_FILES,
    DEFAULT_RECORDS,
    Files,
    Json,
    Practice,
    Records,
    existing_ledger,
)
from intouch_import.cli.show import RECORDS_FAILED

__all__ = ["ledger_app", "patients_app", "providers_app"]

ledger_app = typer.Typer(help="Show, export and verify the ledger.", no_args_is_help=True)
patients_app = typer.Typer(
    help="Load and search the patients of the reference records.", no_args_is_help=True
)
providers_app = typer.Typer(help="Load the providers of the reference records.", no_args_is_help=True)


class LedgerFormat(enum.StrEnum):
    """The format of the lines of an export."""

    JSON = "json"
    FHIR = "fhir"
    DICOM = "dicom"


@ledger_app.command("show")
def ledger_show(
    patient: Annotated[str | None, typer.Option(help="Only the entries of this patient.")] = None,
    import_id: Annotated[str | None, typer.Option(help="Only the entries of this file.")] = None,
    records: Records = DEFAULT_RECORDS,
    json: Json = False,
) -> None:
    """Show what was moved, oldest first."""
    entries = existing_ledger(records).entries(patient_id=patient, import_id=import_id)
    if json:
        _print_lines(entry.to_json() for entry in entries)
        return
    table = show.table("When (UTC)", "Event", "Patient", "File", "Reason")
    table.add_column("Import id", no_wrap=True, min_width=40)  # people copy it, for `undo`
    for entry in entries:
        cells = (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.event, entry.patient_id or "", entry.name)
        table.add_row(*map(show.escape, (*cells, entry.reason, entry.import_id)))
    show.console.print(table)


@ledger_app.command("export")
def ledger_export(
    support: Annotated[
        bool, typer.Option("--support", help="Leave out patients, file names and operators.")
    ] = False,
    form: Annotated[
        LedgerFormat,
        typer.Option(
            "--format",
            help="The entries themselves (json), FHIR R4 AuditEvent resources, or DICOM audit messages.",
        ),
    ] = LedgerFormat.JSON,
    records: Records = DEFAULT_RECORDS,
    json: Json = True,  # noqa: ARG001  # the output is always lines of JSON; the flag exists for uniformity
) -> None:
    """Print the ledger, one entry per line."""
    _print_lines(existing_ledger(records).export(support=support, form=form.value))


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
        show.console.print(f"{count} entries, the chain is intact. Last digest: {digest}")
    if broken:
        raise typer.Exit(RECORDS_FAILED)


@patients_app.command("load")
def patients_load(
    csv: Annotated[
        Path,
        typer.Argument(
            help="A CSV file with the columns id and name; optional: active, birth_date.", metavar="CSV"
        ),
    ],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Add or replace patients from a CSV file."""
    count = Practice(records=records, files=files).repository().load_patients_csv(csv)
    _print_count(count, "patients", json=json)


@patients_app.command("search")
def patients_search(
    text: Annotated[str, typer.Argument(help="A part of the name or the id.", metavar="TEXT")],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Find patients by a part of their name or id."""
    found = Practice(records=records, files=files).repository().search_patients(text)
    if json:
        keys = ("id", "name", "active", "birth_date")
        show.as_json([{key: getattr(patient, key) for key in keys} for patient in found])
        return
    if not found:
        show.complain("no patient has that in the name or the id")
    for patient in found:
        inactive = "" if patient.active else "  (inactive)"
        show.console.print(f"{patient.id}  {patient.name}{inactive}", markup=False)


@providers_app.command("load")
def providers_load(
    csv: Annotated[
        Path,
        typer.Argument(help="A CSV file with the columns id and name; optional: active.", metavar="CSV"),
    ],
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Add or replace providers from a CSV file."""
    count = Practice(records=records, files=files).repository().load_providers_csv(csv)
    _print_count(count, "providers", json=json)


def _print_count(count: int, what: str, *, json: bool) -> None:
    if json:
        show.as_json({what: count})
    else:
        show.console.print(f"{count} {what}")


def _print_lines(lines: Any) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
