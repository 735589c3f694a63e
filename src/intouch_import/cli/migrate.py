"""The commands ``migrate plan``, ``migrate review``, ``migrate run`` and ``migrate certificate``."""

from __future__ import annotations

import enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from intouch_import import migration
from intouch_import.cli import show
from intouch_import.cli.options import (
    DEFAULT_FILES,
    DEFAULT_RECORDS,
    Files,
    Json,
    Operator,
    Practice,
    ProviderId,
    Records,
    SourceUrl,
    Zone,
    open_folder,
)
from intouch_import.cli.show import FILES_FAILED, RECORDS_FAILED
from intouch_import.errors import ConfigError
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["migrate_app"]


migrate_app = typer.Typer(
    help="Bring an archive of years into patient records: plan, review, run, certificate.",
    no_args_is_help=True,
)


class By(enum.StrEnum):
    """What a review counts by."""

    VERDICT = "verdict"
    REASON = "reason"
    PATIENT = "patient"
    YEAR = "year"
    SIZE = "size"


PlanFolder = Annotated[Path, typer.Argument(help="Folder of the plan.", metavar="PLAN")]


@migrate_app.command("plan")
def migrate_plan(
    source: SourceUrl,
    to: Annotated[Path, typer.Option("--to", help="A new or empty folder for the plan.")],
    folders: Annotated[
        list[str] | None,
        typer.Option(
            "--folders", help="What folders are called: '{patient} - {*}'. May be given several times."
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--names", help="What files are called: '{patient}_{*}'. May be given several times."),
    ] = None,
    capture_names: Annotated[
        str | None,
        typer.Option("--capture-names", help="How the capture app names files; 'default' for ours."),
    ] = None,
    listed: Annotated[Path | None, typer.Option("--list", help="A CSV or Excel list of files.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="What a column of the list holds: 'path=File', 'patient=Patient no'."),
    ] = None,
    encoding: Annotated[str | None, typer.Option("--encoding", help="Encoding of a CSV list.")] = None,
    patient: Annotated[str | None, typer.Option("--patient", help="Everything is this patient's.")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Leave the archive as it is.")] = False,
    allow_inactive: Annotated[
        bool, typer.Option("--allow-inactive", help="Import files of inactive patients, too.")
    ] = False,
    provider: ProviderId = None,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    zone: Zone = None,
    json: Json = False,
) -> None:
    """Look at every file of an archive, and plan what is to become of it. Nothing is moved."""
    rules: list[migration.Rule] = [
        *map(migration.FolderRule, folders or ()),
        *map(migration.NameRule, names or ()),
    ]
    if capture_names is not None:
        rules.append(
            migration.CaptureRule() if capture_names == "default" else migration.CaptureRule(capture_names)
        )
    if listed is not None:
        rules.append(
            migration.ManifestRule(path=str(listed), columns=_columns(columns or ()), encoding=encoding)
        )
    if patient is not None:
        rules.append(migration.PatientRule(patient))
    if not rules:
        raise ConfigError("say whose the files are: --folders, --names, --capture-names, --list or --patient")
    with open_folder(source, provider=provider) as opened, show.progress(quiet=json) as tell:
        plan = migration.plan(
            opened,
            rules[0] if len(rules) == 1 else migration.AnyOf(*rules),
            Practice(records=records, files=files).repository(),
            to=to,
            mode="copy" if copy else "move",
            zone=zone,
            allow_inactive=allow_inactive,
            on_progress=tell,
        )
    _review(plan, By.REASON, json=json)


@migrate_app.command("review")
def migrate_review(
    plan: PlanFolder,
    by: Annotated[By, typer.Option("--by", help="What is counted.")] = By.REASON,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="List rows that meet this: 'reason=no_rule', 'folder=10042*'."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many rows at most.")] = 50,
    json: Json = False,
) -> None:
    """Count what a plan would do, or list some of its rows."""
    opened = migration.open_plan(plan)
    if not where:
        _review(opened, by, json=json)
        return
    rows = list(opened.rows(_pairs(where, "--where"), limit=limit))
    if json:
        show.as_json({"rows": [row.to_dict() for row in rows]})
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    for heading in ("File", "Patient", "Verdict", "Why"):
        table.add_column(heading, overflow="fold")  # an id that is cut short is nobody's
    for row in rows:
        table.add_row(
            escape(printable(row.path)), escape(row.patient or ""), row.verdict.value, row.reason.text
        )
    show.console.print(table)


@migrate_app.command("run")
def migrate_run(
    plan: PlanFolder,
    source: Annotated[
        str | None, typer.Option("--source", help="The archive, if the plan does not keep how it is opened.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look what would be done; nothing is moved.")
    ] = False,
    files_per_s: Annotated[float | None, typer.Option("--files-per-s", help="At most, a second.")] = None,
    bytes_per_s: Annotated[float | None, typer.Option("--bytes-per-s", help="At most, a second.")] = None,
    hours: Annotated[str | None, typer.Option("--hours", help="When it may work: '18:00-07:00'.")] = None,
    operator: Operator = None,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Carry a plan out, or go on with it; Ctrl-C stops it between two files."""
    opened = migration.open_plan(plan)
    practice = Practice(records=records, files=files)
    with practice.existing_repository() as repository, show.progress(quiet=json) as tell:
        run = opened.run(
            repository,
            source=partial(open_folder, source) if source is not None else None,
            dry_run=dry_run,
            files_per_s=files_per_s,
            bytes_per_s=bytes_per_s,
            hours=hours,
            operator=operator,
            on_progress=tell,
        ).wait()
        certificate = run.certificate
    if run.problem is not None:
        show.complain(run.problem)
    if certificate is not None:
        _show(certificate, json=json)
    elif json:
        show.as_json({"state": run.state, "dry_run": True, "reasons": dict(run.reasons)})
    else:
        _counts(dict(run.reasons), By.REASON)
    if run.problem is not None:
        raise typer.Exit(RECORDS_FAILED)
    if certificate is not None and not certificate.closes:
        raise typer.Exit(FILES_FAILED)


@migrate_app.command("certificate")
def migrate_certificate(
    plan: PlanFolder,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that the certificate was not changed since.")
    ] = False,
    records: Records = DEFAULT_RECORDS,
    files: Files = DEFAULT_FILES,
    json: Json = False,
) -> None:
    """Write down what became of every file as things stand, and look each up in the records once more."""
    if verify:
        wrong = migration.verify_certificate(plan / "certificate")
        if json:
            show.as_json({"wrong": wrong})
        else:
            for one in wrong:
                show.complain(one)
            if not wrong:
                show.console.print("The certificate is as it was written.")
        if wrong:
            raise typer.Exit(RECORDS_FAILED)
        return
    with Practice(records=records, files=files).existing_repository() as repository:
        certificate = migration.open_plan(plan).certificate(repository)
    _show(certificate, json=json)
    if not certificate.closes:
        raise typer.Exit(FILES_FAILED)


def _review(plan: migration.Plan, by: By, *, json: bool) -> None:
    counts = plan.counts(by.value)
    if json:
        show.as_json({"plan": plan.header.id, "rows": len(plan), "by": by.value, "counts": counts})
    else:
        _counts(counts, by)


def _counts(counts: dict[str, int], by: By) -> None:
    from intouch_import.model import Reason

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("Files", justify="right")
    table.add_column(by.value.capitalize())
    table.add_column("")
    for name, count in counts.items():
        table.add_row(f"{count:,}", escape(printable(name)), Reason(name).text if by is By.REASON else "")
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
        raise ConfigError(
            "say what the list's columns are called: --column path=File --column 'patient=Patient no'"
        )
    return named


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if any(not value for value in pairs.values()):
        raise ConfigError(f"{option} is written name=value")
    return pairs
