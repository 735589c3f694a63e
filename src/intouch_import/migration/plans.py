"""`Plan`: what is to become of every file of an archive. Review it, change it, carry it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intouch_import.errors import ConfigError, UnknownPatient
from intouch_import.migration.plan_file import OVERRIDES, read_header, read_rows, rows_of
from intouch_import.migration.review import (
    Sample,
    Standing,
    Survey,
    draw,
    frame,
    lazy_frame,
    lazy_frame_of_files,
    places,
    standing,
    summary_html,
    survey,
    thumbnail_of,
)
from intouch_import.migration.rows import Overrides, PlanRow, Where, override_of
from intouch_import.migration.walking import Archive, Folders, archive_of
from intouch_import.model import Action

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
    from datetime import datetime

    from intouch_import.ledger import Ledger
    from intouch_import.migration.certificate import Certificate
    from intouch_import.migration.limits import Clocks
    from intouch_import.migration.run import OnProgress, Run
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Plan", "Sample", "open_plan"]

_COUNTED: Final = ("verdict", "reason", "patient", "year", "size")


def open_plan(
    directory: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | Source | Callable[[], Source] | None = None,
) -> Plan:
    """Open a plan that was made before.

    Args:
        directory: Where it is.
        source: The archive, if opening it takes options that a plan does not keep, such as keys.

    Raises:
        ConfigError: There is no plan, or it is damaged.
    """
    return Plan(Path(directory).expanduser().absolute(), archive=archive_of(source) if source else None)


class Plan:
    """A verdict and a reason for every file of an archive. Made by `plan`, opened again by `open_plan`.

    The rows never change; what people decide is kept beside them and applied wherever rows are read.

    Args:
        directory: Where it is.
        archive: What opens the archive.
        repository, ledger: Those it was planned against, if they are at hand.
    """

    def __init__(
        self,
        directory: Path,
        *,
        archive: Callable[[], Source] | None = None,
        repository: PatientRepository | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.directory = directory
        self.header = read_header(directory)
        self._archive = archive
        self._repository = repository
        self._ledger = ledger
        self._overrides = Overrides(directory / OVERRIDES)

    def __len__(self) -> int:
        return self.header.rows

    def __repr__(self) -> str:
        return f"<Plan {self.header.id[:8]} {self.header.mode} {len(self)} rows>"

    def _repr_html_(self) -> str:
        """What Jupyter shows, and saves with the notebook: counts, no names."""
        return summary_html(
            len(self), mode=self.header.mode, verdicts=self.counts(), reasons=self.counts("reason")
        )

    # --- review

    def rows(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, offset: int = 0
    ) -> Iterator[PlanRow]:
        """The rows, in the order of the walk, as they stand after all overrides.

        Args:
            where: Conditions, such as ``{"verdict": "wait", "folder": "10042*"}``; see `Where`.
            limit: How many at most.
            offset: How many that meet the conditions to leave out first.

        Raises:
            ConfigError: A condition is about nothing that rows have, or a file of the plan is missing or
                damaged.
        """
        if limit is not None and limit <= 0:
            return
        meets = Where(where or {})
        stop = None if limit is None else offset + limit
        tables = (
            self._matching(meets, offset, stop)
            if meets.values
            # Without conditions, whole groups are skipped unread.
            else (
                (range(first, first + len(table)), table)
                for first, table in read_rows(self.directory, self.header.parts, start=offset, stop=stop)
            )
        )
        for numbers, table in tables:
            for row in rows_of(numbers, table):
                now = self._overrides.apply(row)
                if meets(now):  # whoever goes through the rows may have decided about them meanwhile
                    yield now

    def counts(self, by: str = "verdict", where: Mapping[str, Any] | None = None) -> dict[str, int]:
        """How many files there are of each kind, most first.

        Args:
            by: ``"verdict"``, ``"reason"``, ``"patient"``, ``"year"`` (of the time that the plan knows) or
                ``"size"``.
            where: Only rows that meet these conditions.

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
    ) -> Survey:
        """Go through the rows once: how many there are, how large, and how many of each kind.

        Args:
            where: Only rows that meet these conditions.
            by: What is counted, as for `counts`.
            numbers: The numbers of the rows are appended to it; of all of them only with conditions.
            cancelled: Asked now and then; once True, the rest is left out.

        Raises:
            ConfigError: As for `counts`.
        """
        if not set(by) <= set(_COUNTED):
            raise ConfigError(f"by= is one of {', '.join(_COUNTED)}")
        meets = Where(where or {})
        rows = self._standing(meets, "size", *by)
        return survey(rows, meets, by, numbers=numbers, cancelled=cancelled)

    def sample(
        self,
        n: int = 12,
        verdict: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        px: int = 256,
    ) -> list[Sample]:
        """Some rows, drawn at random and always the same ones, with thumbnails.

        Args:
            n: How many.
            verdict: Only rows with this verdict.
            where: Only rows that meet these conditions.
            px: Longer side of the thumbnails, pixels. 0: none are made, and no file is read.

        Raises:
            ConfigError: As for `rows`, or the plan does not keep how its archive is opened.
            SourceError: The archive can't be opened.
        """
        conditions = {**(where or {}), **({"verdict": verdict} if verdict is not None else {})}
        numbers = draw(self._numbers(Where(conditions)), n, seed=self.header.id)
        drawn = [row for number in numbers for row in self.rows(offset=number, limit=1)]
        if not px:
            return [Sample(row=row) for row in drawn]
        with self._open_archive() as root:
            folders = Folders(root)
            return [Sample(row=row, thumbnail=thumbnail_of(folders, row, px=px)) for row in drawn]

    def thumbnail(self, row: PlanRow, *, px: int = 256) -> bytes | None:
        """A small JPEG of a row's file; None if it is no picture, or can't be read now.

        Args:
            row: A row of this plan.
            px: Longer side, pixels.

        Raises:
            ConfigError: The plan does not keep how its archive is opened.
            SourceError: The archive can't be opened.
        """
        with self._open_archive() as root:
            return thumbnail_of(Folders(root), row, px=px)

    def to_pandas(self) -> Any:
        """All rows as a pandas DataFrame, overrides applied. Needs pandas, and room for them all.

        Raises:
            MissingExtraError: It is not installed.
        """
        return frame(self.rows())

    def to_polars(self) -> Any:
        """All rows as a lazy frame of polars, overrides applied. Needs polars.

        Raises:
            MissingExtraError: It is not installed.
        """
        if self.header.parts and not len(self._overrides):
            return lazy_frame_of_files([self.directory / part.name for part in self.header.parts])
        return lazy_frame(self.rows())

    # --- decide

    def override(
        self,
        where: Mapping[str, Any] | PlanRow,
        *,
        patient: str | None = None,
        provider: str | None = None,
        taken_at: datetime | None = None,
        leave_out: bool = False,
        restore: bool = False,
        by: str | None = None,
        note: str = "",
    ) -> int:
        """Decide about rows, by a rule or one by one. Kept beside the plan; a later decision holds.

        Args:
            where: A row, or conditions as for `rows`.
            patient: They are this patient's, and are imported: a person has said so.
            provider: Instead of what the plan says.
            taken_at: Likewise; aware.
            leave_out: They are not imported.
            restore: What the plan says holds again.
            by: Who decided, as the host names its staff.
            note: Why.

        Returns:
            How many rows meet the conditions now. Links, folders and hidden files among them stay as they
            are, and so does what is in a record already.

        Raises:
            UnknownPatient: The records at hand have no such patient.
            ConfigError: Nothing is decided, or two things are that exclude each other.
        """
        decided = [patient is not None or provider is not None or taken_at is not None, leave_out, restore]
        if sum(decided) != 1:
            raise ConfigError("override takes patient=, provider=, taken_at=; or leave_out; or restore")
        if taken_at is not None and taken_at.tzinfo is None:
            raise ConfigError("taken_at needs a time zone")
        if (
            patient is not None
            and self._repository is not None
            and self._repository.find_patient(patient) is None
        ):
            raise UnknownPatient("no patient has this id")
        conditions = {"number": where.number} if isinstance(where, PlanRow) else where
        count = 1 if isinstance(where, PlanRow) else self.survey(conditions).total
        self._overrides.add(
            override_of(
                conditions,
                patient=patient,
                provider=provider,
                taken_at=taken_at,
                leave_out=leave_out,
                restore=restore,
                by=by,
                note=note,
            )
        )
        return count

    @property
    def overrides(self) -> list[dict[str, Any]]:
        """What was decided, oldest first, as JSON values."""
        import json

        return [json.loads(one.to_json()) for one in self._overrides]

    # --- carry out

    def run(
        self,
        repository: PatientRepository | Callable[[], PatientRepository],
        *,
        client: Any = None,
        on_progress: OnProgress = None,
        dry_run: bool = False,
        source: str | os.PathLike[str] | Source | Callable[[], Source] | None = None,
        threads: int | None = None,
        window: int | None = None,
        files_per_s: float | None = None,
        bytes_per_s: float | None = None,
        hours: str | None = None,
        check_content: bool = True,
        operator: str | None = None,
        ledger: Ledger | str | os.PathLike[str] | None = None,
        clocks: Clocks | None = None,
    ) -> Run:
        """Begin to carry out the plan, in the background; `Run.wait` waits for the end.

        What earlier runs have done is not done again; whatever interrupted them, this goes on from there.

        Args:
            repository: The patient records, or a callable that opens them. With ``client``, a callable that
                can be pickled: ``functools.partial(SqlRepository.open, url, files=...)``.
            client: A Dask ``Client``: partitions are carried out by its workers, which must reach the plan's
                folder, the archive and the records under the same names. None: threads of this process.
            on_progress: Called with `Progress` after every partition; ``"tqdm"`` shows a bar.
            dry_run: Look what would be done; nothing is read, copied, moved or kept. `Run.reasons` has the
                result.
            source: The archive, if opening it takes options that the plan does not keep, such as keys.
            threads: How many files are read at a time in each partition, at most.
            window: How many partitions of 200 files are under way at a time.
            files_per_s: At most so many files a second.
            bytes_per_s: At most so many bytes a second.
            hours: When it may work, ``"18:00-07:00"`` in the plan's zone; outside these hours it waits.
            check_content: Look into every file, as `Inbox` does: doubt keeps it waiting. It also finds when
                photos were taken. False: the first and last bytes alone are judged.
            operator: Who does it, as the host names its staff; written into the ledger.
            ledger: As for `Inbox`; with ``client``, a URL or a path.
            clocks: The clocks; a test brings its own.

        Raises:
            ConfigError: The arguments make no sense together, or that is another archive.
            SourceError: The archive can't be opened.
            MissingExtraError: Dask or tqdm is not installed.
        """
        from intouch_import.migration import limits as pacing
        from intouch_import.migration.run import start

        if source is not None:
            self._archive = archive_of(source)
        limits = pacing.Limits(
            files_per_s=files_per_s,
            bytes_per_s=bytes_per_s,
            hours=hours,
            zone=self.header.zone if hours is not None else None,
        )
        if not check_content and self.header.dates[:1] == ("exif",):
            raise ConfigError("dates= believes the camera first: that takes check_content=True")
        self._open_archive().close()  # that it opens, and is the right one, is known before anything begins
        if self._archive is None:
            raise AssertionError("it was opened")
        return start(
            self,
            repository,
            archive=self._archive,
            client=client,
            on_progress=on_progress,
            dry_run=dry_run,
            threads=threads,
            window=window,
            limits=limits,
            check_content=check_content,
            operator=operator,
            ledger=ledger if ledger is not None else (self._ledger if client is None else None),
            clocks=clocks or pacing.Clocks(),
        )

    def certificate(
        self,
        repository: PatientRepository | None = None,
        *,
        to: str | os.PathLike[str] | None = None,
    ) -> Certificate:
        """Write down what became of every file, as things stand: JSON, and a report for people.

        Args:
            repository: The records, to look every imported file up once more; by default those it was planned
                against, if they are at hand.
            to: A folder for it; by default ``certificate`` in the plan's.

        Raises:
            ConfigError: The plan's files, or what its runs have written, can't be read, or ``to`` can't be
                written.
            RepositoryError: The records can't be asked.
        """
        from intouch_import.migration.certificate import certify

        records = repository if repository is not None else self._repository
        return certify(self, repository=records, to=Path(to) if to else self.directory / "certificate")

    def to_do(self) -> tuple[int, int]:
        """Files that the plan imports, and their bytes."""
        found = self.survey({"verdict": [Action.IMPORT.value, Action.FINISH.value]})
        return found.total, found.size_bytes

    # --- inside

    def _standing(self, where: Where, *names: str) -> Iterator[Standing]:
        return standing(self.directory, self.header.parts, self._overrides, where=where, names=names)

    def _numbers(self, where: Where) -> Iterator[int]:
        """The numbers of the rows that meet conditions."""
        for some in self._standing(where):
            yield from (some.first + at for at in places(some.meets(where)))

    def _matching(self, where: Where, start: int, stop: int | None) -> Iterator[tuple[list[int], Any]]:
        """Tables of rows that meet conditions, with their numbers: those from start to stop among them."""
        seen = 0
        for some in self._standing(where):
            at = places(some.meets(where))
            begin, end = max(0, start - seen), len(at) if stop is None else min(len(at), stop - seen)
            seen += len(at)
            if begin < end:
                wanted = at[begin:end]
                for _, table in read_rows(
                    self.directory, self.header.parts, start=some.first, stop=some.stop
                ):
                    yield [some.first + one for one in wanted], table.take(wanted)
            if stop is not None and seen >= stop:
                return

    def _open_archive(self) -> Source:
        if self._archive is None:
            if self.header.archive is None:
                raise ConfigError("this plan does not keep how its archive is opened: give source=")
            self._archive = Archive.from_kept(self.header.archive)
        root = self._archive()
        if root.source_id != self.header.source_id:
            root.close()
            raise ConfigError("that is another archive than the plan's: its source id differs")
        return root
