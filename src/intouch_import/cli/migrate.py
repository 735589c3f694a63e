"""The commands ``migrate plan``, ``migrate review``, ``migrate run`` and ``migrate certificate``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from intouch_import import migration
from intouch_import.cli import show
from intouch_import.cli.options import (
    PATH,
    Practice,
    json_option,
    open_folder,
    practice_options,
    provider_option,
)
from intouch_import.cli.show import FILES_FAILED, OK, RECORDS_FAILED
from intouch_import.errors import ConfigError
from intouch_import.exclusions import Exclusions
from intouch_import.filenames import DEFAULT_PATTERN
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["migrate_group"]

_plan_argument = click.argument("plan", type=PATH)


@click.group("migrate")
def migrate_group() -> None:
    """Import a whole archive: plan, review, run, certificate."""


@migrate_group.command("plan")
@click.argument("source", metavar="FOLDER")
@click.option("--to", type=PATH, required=True, metavar="PLAN", help="A new or empty folder for the plan.")
@click.option(
    "--folders",
    multiple=True,
    metavar="PATTERN",
    help="The structure of folder names: '{patient} - {*}'. Can be given several times.",
)
@click.option(
    "--names",
    multiple=True,
    metavar="PATTERN",
    help="The structure of file names: '{patient}_{*}'. Can be given several times.",
)
@click.option(
    "--capture-names", metavar="PATTERN", help="How the capture app names files; 'default' is our pattern."
)
@click.option("--list", "listed", type=PATH, metavar="FILE", help="A CSV or Excel list of files.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    help="A column of the list: 'path=File', 'patient=Patient no'. Can be given several times.",
)
@click.option("--encoding", metavar="NAME", help="The encoding of a CSV list.")
@click.option("--prefix", metavar="PATH", help="What paths in the list begin with before the archive.")
@click.option("--ignore-case", is_flag=True, help="Upper and lower case may differ in paths of the list.")
@click.option("--ids", type=PATH, metavar="FILE", help="A CSV or Excel list of old and new patient ids.")
@click.option(
    "--clocks", type=PATH, metavar="FILE", help="A TOML or JSON file of cameras with a wrong clock."
)
@click.option("--patient", metavar="ID", help="All files belong to this patient.")
@click.option(
    "--exclude",
    "excluded",
    multiple=True,
    metavar="NAME",
    help="Leave out the files of this name, or the folders if it ends with /: '*.bak', 'Old exports/'. "
    "Can be given several times.",
)
@click.option(
    "--no-default-excludes",
    is_flag=True,
    help="Do not leave out the files and folders of systems, storage servers and sync programs.",
)
@click.option("--leave-sidecars", is_flag=True, help="Leave out sidecars (.aae, .xmp, .json, .thm, .lrv).")
@click.option("--copy", is_flag=True, help="Do not change the archive.")
@click.option("--allow-inactive", is_flag=True, help="Also import files of inactive patients.")
@provider_option
@practice_options("records", "files", "zone")
@json_option
def migrate_plan(  # noqa: PLR0913  # as many as the command has options
    source: str,
    to: Path,
    folders: tuple[str, ...],
    names: tuple[str, ...],
    capture_names: str | None,
    listed: Path | None,
    columns: tuple[str, ...],
    encoding: str | None,
    prefix: str | None,
    ids: Path | None,
    clocks: Path | None,
    patient: str | None,
    excluded: tuple[str, ...],
    provider: str | None,
    practice: Practice,
    *,
    leave_sidecars: bool,
    no_default_excludes: bool,
    ignore_case: bool,
    copy: bool,
    allow_inactive: bool,
    json: bool,
) -> None:
    """Plan what to do with every file of an archive.

    FOLDER is the archive, sub-folders included. Nothing is moved.
    """
    new_ids = migration.read_ids(ids) if ids is not None else None
    rules: list[migration.Rule] = [
        *(migration.FolderRule(pattern, ids=new_ids) for pattern in folders),
        *(migration.NameRule(pattern, ids=new_ids) for pattern in names),
    ]
    if capture_names is not None:
        pattern = DEFAULT_PATTERN if capture_names == "default" else capture_names
        rules.append(migration.CaptureRule(pattern, ids=new_ids))
    if listed is not None:
        rules.append(
            migration.ManifestRule(
                path=str(listed),
                columns=_columns(columns),
                encoding=encoding,
                prefix=prefix,
                ignore_case=ignore_case,
                ids=new_ids,
            )
        )
    if patient is not None:
        rules.append(migration.PatientRule(patient))
    if not rules:
        raise ConfigError(
            "say how to find the patient: --folders, --names, --capture-names, --list or --patient"
        )
    with open_folder(source, provider=provider) as opened, show.progress(quiet=json) as on_progress:
        plan = migration.plan(
            opened,
            rules[0] if len(rules) == 1 else migration.AnyOf(*rules),
            practice.repository(),
            to=to,
            mode="copy" if copy else "move",
            exclude=Exclusions(
                (*practice.exclusions.patterns, *excluded),
                defaults=practice.exclusions.defaults and not no_default_excludes,
            ),
            clocks=migration.read_clocks(clocks) if clocks is not None else (),
            zone=practice.zone,
            sidecars="leave" if leave_sidecars else "keep",
            allow_inactive=allow_inactive,
            on_progress=on_progress,
        )
    _review(plan, "reason", json=json)


@migrate_group.command("review")
@_plan_argument
@click.option(
    "--by",
    type=click.Choice(["verdict", "reason", "patient", "year", "size"]),
    default="reason",
    show_default=True,
    help="What to count.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="List the rows that match: 'reason=no_rule', 'folder=10042*'.",
)
@click.option("--limit", type=int, default=50, show_default=True, help="The largest number of rows.")
@json_option
def migrate_review(plan: Path, by: str, where: tuple[str, ...], limit: int, *, json: bool) -> None:
    """Count what a plan would do, or list some of its rows."""
    opened = migration.open_plan(plan)
    if not where:
        _review(opened, by, json=json)
        return
    rows = list(opened.rows(_pairs(where, "--where"), limit=limit))
    if json:
        show.as_json({"rows": [row.to_dict() for row in rows]})
        return
    table = show.table("File", "Patient", "Verdict", "Reason")
    for row in rows:
        table.add_row(
            escape(printable(row.path)), escape(row.patient or ""), row.verdict.value, row.reason.text
        )
    show.console.print(table)


@migrate_group.command("run")
@_plan_argument
@click.option("--source", metavar="FOLDER", help="The archive, if the plan does not store how to open it.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done. Nothing is moved.")
@click.option("--files-per-s", type=float, help="The largest number of files per second.")
@click.option("--bytes-per-s", type=float, help="The largest number of bytes per second.")
@click.option("--hours", help="The hours in which files may be moved: '18:00-07:00'.")
@practice_options("records", "files", "operator")
@json_option
def migrate_run(
    plan: Path,
    source: str | None,
    files_per_s: float | None,
    bytes_per_s: float | None,
    hours: str | None,
    practice: Practice,
    *,
    dry_run: bool,
    json: bool,
) -> int:
    """Run a plan, or continue it.

    Ctrl-C stops it between two files.
    """
    opened = migration.open_plan(plan)
    with practice.existing_repository() as repository, show.progress(quiet=json) as on_progress:
        run = opened.run(
            repository,
            source=partial(open_folder, source) if source is not None else None,
            dry_run=dry_run,
            files_per_s=files_per_s,
            bytes_per_s=bytes_per_s,
            hours=hours,
            operator=practice.operator,
            on_progress=on_progress,
        ).wait()
        certificate = run.certificate
    if run.problem is not None:
        show.complain(run.problem)
    if certificate is not None:
        _show(certificate, json=json)
    elif json:
        show.as_json({"state": run.state, "dry_run": True, "reasons": dict(run.reasons)})
    else:
        _counts(dict(run.reasons), "reason")
    if run.problem is not None:
        return RECORDS_FAILED
    return FILES_FAILED if certificate is not None and not certificate.closes else OK


@migrate_group.command("certificate")
@_plan_argument
@click.option("--verify", is_flag=True, help="Check that the certificate was not changed since.")
@click.option("--source", metavar="FOLDER", help="The archive, if the plan does not store how to open it.")
@click.option(
    "--read-all", is_flag=True, help="Read the stored bytes of all files again, not of a sample of 10,000."
)
@practice_options("records", "files")
@json_option
def migrate_certificate(
    plan: Path, source: str | None, practice: Practice, *, verify: bool, read_all: bool, json: bool
) -> int:
    """Write a certificate with the result for every file.

    Each file is looked up in the records again, and stored bytes are read again. Files that wait or failed
    are looked for in the archive.
    """
    if verify:
        wrong = migration.verify_certificate(plan / "certificate")
        if json:
            show.as_json({"wrong": wrong})
        else:
            for one in wrong:
                show.complain(one)
            if not wrong:
                show.console.print("The certificate was not changed.")
        return RECORDS_FAILED if wrong else OK
    with practice.existing_repository() as repository:
        opened = migration.open_plan(
            plan, source=partial(open_folder, source) if source is not None else None
        )
        sample = None if read_all else migration.certificate.READ_AGAIN
        certificate = opened.certificate(repository, sample=sample)
    _show(certificate, json=json)
    return OK if certificate.closes else FILES_FAILED


def _review(plan: migration.Plan, by: str, *, json: bool) -> None:
    counts = plan.counts(by)
    if json:
        show.as_json({"plan": plan.header.id, "rows": len(plan), "by": by, "counts": counts})
    else:
        _counts(counts, by)


def _counts(counts: dict[str, int], by: str) -> None:
    from intouch_import.model import Reason

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("Files", justify="right")
    table.add_column(by.capitalize())
    table.add_column("")
    for name, count in counts.items():
        table.add_row(f"{count:,}", escape(printable(name)), Reason(name).text if by == "reason" else "")
    show.console.print(table)


def _show(certificate: migration.Certificate, *, json: bool) -> None:
    if json:
        show.as_json({**certificate.values, "closes": certificate.closes, "report": str(certificate.report)})
        return
    show.console.print(f"[bold]{certificate}[/]", highlight=False)
    for point in certificate.open_points:
        show.console.print(f"[yellow]·[/] {escape(point)}", highlight=False)
    show.console.print(f"Report: {escape(str(certificate.report))}", highlight=False)


def _columns(columns: Sequence[str]) -> dict[str, str]:
    named = _pairs(columns, "--column")
    if not {"path", "patient"} <= set(named):
        raise ConfigError("name the columns of the list: --column path=File --column 'patient=Patient no'")
    return named


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if any(not value for value in pairs.values()):
        raise ConfigError(f"{option} is written name=value")
    return pairs
