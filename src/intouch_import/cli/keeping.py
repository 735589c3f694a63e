"""The commands that check what is stored, and back it up: ``records``, ``backup`` and ``restore``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from intouch_import.cli import show
from intouch_import.cli.options import PATH, Practice, json_option, practice_options
from intouch_import.cli.show import OK, RECORDS_FAILED
from intouch_import.clock import zone_of
from intouch_import.errors import ConfigError
from intouch_import.ledger import ledger_for
from intouch_import.records import accept_missing as accept_losses
from intouch_import.records import verify_records
from intouch_import.records.backup import back_up
from intouch_import.records.restore import check_backup

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from intouch_import.records import RecordsReport
    from intouch_import.records.backup_files import BackupReport

__all__ = ["backup", "records_group", "restore"]


class _Sample(click.ParamType[float]):
    """A number of files, or a percentage."""

    name = "sample"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            number = float(text[:-1]) / 100 if text.endswith("%") else int(text)
        except ValueError:
            self.fail("give a number of files, or a percentage such as 5%", param, ctx)
        return number


@click.group("records")
def records_group() -> None:
    """Check the patient records."""


@records_group.command("verify")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="DATE",
    help="Only files that were stored on this day or later, in the time zone of the practice.",
)
@click.option(
    "--sample",
    type=_Sample(),
    metavar="NUMBER",
    help="Read so many files, or a percentage (5%), chosen at random. All files are looked up.",
)
@click.option(
    "--accept-missing",
    is_flag=True,
    help="Write into the ledger that missing files are lost. They are then no longer reported.",
)
@practice_options("records", "files", "zone", "operator")
@json_option
def records_verify(
    since: datetime | None,
    sample: float | None,
    practice: Practice,
    *,
    accept_missing: bool,
    json: bool,
) -> int:
    """Read all stored files again, and compare them with what was stored.

    Every file in the ledger is looked up in the records. Nothing is changed. The exit code is 4 if files are
    missing, altered or unreadable.
    """
    if since is not None:
        since = since.replace(tzinfo=zone_of(practice.zone))
    with practice.existing_repository() as records:
        ledger = ledger_for(None, records=records)
        with show.progress(quiet=json) as on_progress:
            report = verify_records(
                records, ledger=ledger, since=since, sample=sample, on_progress=on_progress
            )
        if accept_missing:
            accept_losses(report, records, ledger=ledger, operator=practice.operator)
    if json:
        show.as_json(report.to_dict())
    else:
        _print(report)
    return OK if report.sound else RECORDS_FAILED


@click.command()
@click.argument("folder", type=PATH)
@click.option(
    "--list-only", is_flag=True, help="Only list the stored files, because another program backs them up."
)
@practice_options("records", "files")
@json_option
def backup(folder: Path, practice: Practice, *, list_only: bool, json: bool) -> int:
    """Back up the patient records, the ledger and the stored files.

    FOLDER must be empty, or not exist. Other programs can use the records meanwhile. The exit code is 4 if
    stored files are damaged, or the ledger has files that the records do not have.
    """
    with practice.existing_repository() as records, show.progress(quiet=json) as on_progress:
        report = back_up(records, folder, with_files=not list_only, on_progress=on_progress)
    return _finish(report, "Backed up", json=json)


@click.command()
@click.argument("folder", type=PATH)
@click.option("--check", is_flag=True, help="Check the folder. Nothing is changed.")
@click.option(
    "--stored-files",
    type=PATH,
    metavar="FOLDER",
    help="Where the stored files are, if they are not in the backup.",
)
@json_option
def restore(folder: Path, stored_files: Path | None, *, check: bool, json: bool) -> int:
    """Check a backup, or a folder that was restored from one.

    To restore a backup, copy its folder, check the copy with --check, and use it as the patient records. The
    exit code is 4 if anything is missing or damaged.
    """
    if not check:
        raise ConfigError("give --check: to restore a backup, copy its folder and check the copy")
    with show.progress(quiet=json) as on_progress:
        report = check_backup(folder, stored_files=stored_files, on_progress=on_progress)
    return _finish(report, "Checked", json=json)


def _finish(report: BackupReport, done: str, *, json: bool) -> int:
    """Print the report of a backup, and return the exit code."""
    if json:
        show.as_json(report.to_dict())
    else:
        for fault in report.faults:
            show.console.print(f"{fault.path}  {fault.kind.text}", markup=False, highlight=False)
        made = f", made at {report.made_at:%Y-%m-%d %H:%M} UTC" if report.made_at is not None else ""
        show.console.print(f"{done}: {report}{made}.", highlight=False)
    return OK if report.sound else RECORDS_FAILED


def _print(report: RecordsReport) -> None:
    table = show.table("Damage", "Stored (UTC)", "Patient", "File", "Size", "SHA-256")
    table.add_column("Import id", no_wrap=True, min_width=40)  # people copy it
    for finding in report.findings:
        entry = finding.entry
        damage = finding.damage.value if finding.in_records else "not in the records"
        cells = (damage, f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.patient_id or "", entry.name)
        numbers = (str(entry.size_bytes or ""), entry.sha256 or "", entry.import_id)
        table.add_row(*map(show.escape, (*cells, *numbers)))
    if table.row_count:
        show.console.print(table)
    show.console.print(f"{report}.", highlight=False)
