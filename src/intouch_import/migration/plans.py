"""`Plan`: what to do with every file of an archive. Review it, change it, run it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import ConfigError, UnknownPatient
from intouch_import.migration import review
from intouch_import.migration.certificate import READ_AGAIN, certify
from intouch_import.migration.limits import RunControl, RunOptions
from intouch_import.migration.plan_file import SIGNAL, StoredPlan, check_part, read_header
from intouch_import.migration.results import imported_among
from intouch_import.migration.rows import Override, PlanRow, Where
from intouch_import.migration.run import start
from intouch_import.migration.walking import Archive, Folders, archive_of, open_root
from intouch_import.repositories.base import find_exactly

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
    from datetime import datetime

    from intouch_import.ledger import Ledger
    from intouch_import.migration.certificate import Certificate
    from intouch_import.migration.review import RowCounts, Sample
    from intouch_import.migration.run import Run
    from intouch_import.migration.walking import AnyArchive
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Plan", "open_plan"]

log = logging.getLogger(__name__)

_COUNTED: Final = ("verdict", "reason", "patient", "year", "size")


def open_plan(
    directory: str | os.PathLike[str],
    *,
    source: AnyArchive | None = None,
) -> Plan:
    """Open a plan that was made earlier.

    Args:
        directory: The plan's folder.
        source: The archive, if opening it takes options that the plan does not keep, such as keys.

    Raises:
        ConfigError: There is no plan, or it is damaged.
    """
    folder = Path(directory).expanduser().absolute()
    stored = StoredPlan(folder, read_header(folder))
    stored.overrides_file.read()
    if stored.overrides_file.torn:
        log.warning("the last override of a plan was not written completely, and is lost")
    return Plan(stored, archive=archive_of(source) if source else None)


class Plan:
    """A verdict and a reason for every file of an archive. `plan` makes it, `open_plan` opens it again.

    The rows never change. Overrides, the decisions of people, are kept beside them and applied to every row
    that is read.

    Args:
        stored: Its folder, header and overrides.
        archive: Opens the archive.
        repository, ledger: The records and the ledger that it was planned with.
    """

    def __init__(
        self,
        stored: StoredPlan,
        *,
        archive: Callable[[], Source] | None = None,
        repository: PatientRepository | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.directory = stored.directory
        self.header = stored.header
        self._archive = archive
        self._repository = repository
        self._ledger = ledger
        self._stored = stored

    def __len__(self) -> int:
        return self.header.rows

    def __repr__(self) -> str:
        return f"<Plan {self.header.id[:8]} {self.header.mode} {len(self)} rows>"

    def _repr_html_(self) -> str:
        """Show counts and no names: Jupyter saves this with the notebook."""
        return review.summary_html(
            len(self), mode=self.header.mode, verdicts=self.counts(), reasons=self.counts("reason")
        )

    # --- review

    def rows(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, offset: int = 0
    ) -> Iterator[PlanRow]:
        """Read rows, with all overrides, in the order in which the archive was listed.

        Args:
            where: Conditions that must all be met, such as ``{"verdict": "wait", "folder": "10042*"}``. The
                names ``verdict``, ``reason``, ``patient``, ``provider``, ``destination``, ``year``, ``size``,
                ``number`` and ``import_id`` take a value, or several of which one must match. ``folder``,
                ``name`` and ``path`` take shell patterns; upper and lower case differ.
            limit: Greatest number of rows.
            offset: Number of rows to skip, of those that meet the conditions.

        Raises:
            ConfigError: A condition has an unknown name, or a file of the plan is missing or damaged.
        """
        return review.find_rows(self._stored, Where(where or {}), limit=limit, offset=offset)

    def counts(self, by: str = "verdict", where: Mapping[str, Any] | None = None) -> dict[str, int]:
        """Count the files of each kind, the most frequent kind first.

        Args:
            by: ``"verdict"``, ``"reason"``, ``"patient"``, ``"year"`` (of the time in the plan) or
                ``"size"``.
            where: Conditions, as for `rows`.

        Raises:
            ConfigError: As for `rows`, or ``by`` is another word.
        """
        return self.survey(where, by=(by,)).counts[by]

    def survey(
        self,
        where: Mapping[str, Any] | None = None,
        *,
        by: Sequence[str] = (),
        numbers: MutableSequence[int] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> RowCounts:
        """Count in one pass over the rows.

        Args:
            where: Conditions, as for `rows`.
            by: What to count by, as for `counts`.
            numbers: The numbers of the rows that meet the conditions are appended here, if there are
                conditions.
            cancelled: Asked now and then. Once True, the remaining rows are left out.

        Returns:
            ``total``, the number of rows; ``size_bytes``, the size of their files; and ``counts``, for each
            word of ``by`` what `counts` returns.

        Raises:
            ConfigError: As for `counts`.
        """
        if not set(by) <= set(_COUNTED):
            raise ConfigError(f"by= is one of {', '.join(_COUNTED)}")
        return review.count_rows(
            self._stored,
            Where(where or {}),
            by=by,
            numbers=numbers,
            cancelled=cancelled,
        )

    def sample(
        self,
        n: int = 12,
        verdict: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        px: int = 256,
    ) -> list[Sample]:
        """Draw some rows at random, always the same ones, with thumbnails.

        Args:
            n: Greatest number of rows.
            verdict: Draw only rows with this verdict.
            where: Conditions, as for `rows`.
            px: Longer side of the thumbnails, pixels. 0: make no thumbnails, and read no file.

        Returns:
            Samples, each with a ``row`` and a ``thumbnail``: a small JPEG as bytes, or None if the file is no
            picture or can't be read now.

        Raises:
            ConfigError: As for `rows`, or the plan does not keep how to open its archive.
            SourceError: The archive can't be opened.
        """
        conditions = Where({**(where or {}), **({"verdict": verdict} if verdict is not None else {})})
        numbers = review.draw_numbers(self._stored, conditions, n=n)
        drawn = [row for number in numbers for row in self.rows(offset=number, limit=1)]
        if not px:
            return [review.Sample(row=row) for row in drawn]
        with self._open_archive() as root:
            folders = Folders(root)
            return [
                review.Sample(row=row, thumbnail=review.thumbnail_of(folders, row, px=px)) for row in drawn
            ]

    def thumbnail(self, row: PlanRow, *, px: int = 256) -> bytes | None:
        """Make a small JPEG of a row's file; None if the file is no picture, or can't be read now.

        Args:
            row: A row of this plan.
            px: Longer side, pixels.

        Raises:
            ConfigError: The plan does not keep how to open its archive.
            SourceError: The archive can't be opened.
        """
        with self._open_archive() as root:
            return review.thumbnail_of(Folders(root), row, px=px)

    def to_pandas(self) -> Any:
        """Return all rows as a pandas DataFrame, with all overrides. Needs pandas, and memory for all rows.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return review.pandas_frame(self.rows())

    def to_polars(self) -> Any:
        """Return all rows as a lazy frame of polars, with all overrides. Needs polars.

        Raises:
            MissingExtraError: polars is not installed.
        """
        if self.header.parts and not self._stored.overrides.all:
            return review.lazy_frame_of_files([check_part(self.directory, one) for one in self.header.parts])
        return review.lazy_frame(self.rows())

    def to_do(self) -> tuple[int, int]:
        """Return the number of files that a run imports, and their size in bytes."""
        return review.count_to_do(self._stored)

    # --- decide

    def override(
        self,
        where: Mapping[str, Any] | PlanRow,
        *,
        patient: str | None = None,
        provider: str | None = None,
        taken_at: datetime | None = None,
        accept_content: bool = False,
        leave_out: bool = False,
        restore: bool = False,
        by: str | None = None,
        note: str = "",
    ) -> int:
        """Override the plan for one row, or for all rows that meet conditions. A later override wins.

        Files that belong together stay together: an override of a photo is also for its movie, its RAW and
        its sidecars. A sidecar can be left out, but not be given to another patient than its photo.

        Overrides are kept in the plan's folder. A file that is in a record already is not changed: to move it
        to another patient, use `Inbox.reassign`.

        Args:
            where: A row, or the conditions that `rows` takes. They apply to the rows as planned: an
                override of all files of patient A never changes a file that an earlier override gave to A.
            patient: Import the files for this patient, also if the patient is not active.
            provider: Set this provider.
            taken_at: Set this time; aware.
            accept_content: Import the files also if their content is incomplete, damaged, not what their
                extension says, or in a record already.
            leave_out: Do not import the files.
            restore: Drop all earlier overrides of these rows.
            by: Who decided, as the host names its staff.
            note: Why.

        Returns:
            The number of files that the override changes. Links, folders and hidden files can only be left
            out. Files that are in a record already are not among them. If it is 0, the override is not kept.

        Raises:
            UnknownPatient: The records that the plan was made with have no such patient.
            ConfigError: The arguments decide nothing, or contradict each other; or the override can't be
                written. An override that was not written completely is no override.
        """
        changes = patient is not None or provider is not None or taken_at is not None or accept_content
        if sum([changes, leave_out, restore]) != 1:
            raise ConfigError(
                "override takes patient=, provider=, taken_at=, accept_content; or leave_out; or restore"
            )
        if taken_at is not None and taken_at.tzinfo is None:
            raise ConfigError("taken_at needs a time zone")
        if (
            patient is not None
            and self._repository is not None
            and not find_exactly(self._repository, [patient])
        ):
            raise UnknownPatient("no patient has this id")
        override = Override(
            where=Where({"number": where.number} if isinstance(where, PlanRow) else where),
            patient=patient,
            provider=provider,
            taken_at=taken_at,
            accept_content=accept_content,
            leave_out=leave_out,
            restore=restore,
            by=by,
            note=note,
        )
        found = review.find_changed(self._stored, override)
        numbers = review.with_companions(self._stored, override, found)
        if numbers is not found:
            override = attrs.evolve(override, where=Where({"number": list(numbers)}))
        if imported := imported_among(self.directory, numbers):
            left = [number for number in numbers if number not in imported]
            override = attrs.evolve(override, where=Where({"number": left}))
            log.warning(
                "files that are in the records already were not overridden", extra={"files": len(imported)}
            )
        count = len(numbers) - len(imported)
        if count:
            self._stored.overrides_file.add(override)
        return count

    @property
    def overrides(self) -> list[dict[str, Any]]:
        """All overrides, oldest first, as JSON values."""
        return [override.to_dict() for override in self._stored.overrides.all]

    # --- run

    def run(self, repository: PatientRepository | Callable[[], PatientRepository], **options: Any) -> Run:
        """Start to carry out the plan, in the background. `Run.wait` waits for the end.

        Files that earlier runs have imported are not imported again: after any interruption, run the plan
            again.

        Args:
            repository: The patient records, or a callable that opens them. With ``client``, a picklable
                callable: ``functools.partial(SqlRepository.open, url, files=...)``.
            options: The fields of `RunOptions`: ``client``, ``on_progress``, ``dry_run``, ``source``,
                ``threads``, ``window``, ``files_per_s``, ``bytes_per_s``, ``hours``, ``check_content``,
                ``operator``, ``ledger``.

        Raises:
            ConfigError: The options contradict each other, or ``source`` is another archive.
            SourceError: The archive can't be opened.
            MissingExtraError: tqdm is not installed.
        """
        chosen = RunOptions(**options)
        control = RunControl(self.directory / SIGNAL if chosen.client is not None else None)
        # Other records than those of the plan, after a rehearsal for example, have another ledger.
        if chosen.ledger is None and repository is self._repository:
            chosen = attrs.evolve(chosen, ledger=self._ledger)
        if not chosen.check_content and self.header.dates[:1] == ("exif",):
            raise ConfigError("the plan trusts exif first, which needs check_content=True")
        if not chosen.check_content and self.header.clocks:
            raise ConfigError("the plan corrects the clocks of cameras, which needs check_content=True")
        if chosen.source is not None:
            self._archive = archive_of(chosen.source)
        run = start(
            self._stored,
            repository,
            archive=self._archive or self._kept_archive(),
            options=chosen,
            control=control,
        )
        run.plan = self
        return run

    def certificate(
        self,
        repository: PatientRepository | Callable[[], PatientRepository] | None = None,
        *,
        sample: int | None = READ_AGAIN,
        to: str | os.PathLike[str] | None = None,
    ) -> Certificate:
        """Write a certificate of the present state, what became of every file, and a report for people.

        Every imported file is looked up in the records, and stored bytes are read again. Files that wait or
        failed are looked for in the archive. What can't be checked is an open point.

        Args:
            repository: The records, or a callable that opens them; by default those that the plan was made
                with.
            sample: The stored bytes of about so many files are read again, drawn at random from larger plans.
                The certificate says how many were read. None: read the bytes of all files.
            to: A folder for the certificate; by default ``certificate`` in the plan's folder.

        Raises:
            ConfigError: The files of the plan or of its runs can't be read, or ``to`` can't be written.
            RepositoryError: The records can't be read.
        """
        archive = self._archive or (self._kept_archive() if self.header.archive is not None else None)
        return certify(
            self._stored,
            records=repository if repository is not None else self._repository,
            archive=archive,
            sample=sample,
            to=Path(to) if to else None,
        )

    def _kept_archive(self) -> Archive:
        if self.header.archive is None:
            raise ConfigError("this plan does not keep how to open its archive: give source=")
        return Archive.from_kept(self.header.archive)

    def _open_archive(self) -> Source:
        return open_root(self._archive or self._kept_archive(), source_id=self.header.source_id)
