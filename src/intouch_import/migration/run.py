"""`Run`: a plan that is carried out in the background, until `Run.wait` returns."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from intouch_import.errors import ConfigError, InTouchImportError, RepositoryError, kind_and_place
from intouch_import.extras import needing
from intouch_import.ledger import Ledger, ledger_for
from intouch_import.migration.certificate import certify
from intouch_import.migration.executors import DaskExecutor, ThreadExecutor, WorkerSetup
from intouch_import.migration.limits import RunCommand
from intouch_import.migration.partition import PartitionRunner
from intouch_import.migration.plan_file import PARTITION_ROWS
from intouch_import.migration.review import count_to_do
from intouch_import.migration.walking import open_root
from intouch_import.model import Progress, Stage
from intouch_import.repositories.base import PatientRepository

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.migration.certificate import Certificate
    from intouch_import.migration.executors import Executor
    from intouch_import.migration.limits import OnProgress, RunControl, RunOptions
    from intouch_import.migration.partition import PartitionResult
    from intouch_import.migration.plan_file import StoredPlan
    from intouch_import.sources.base import Source

__all__ = ["Run", "RunProgress", "progress_callback", "start"]

log = logging.getLogger(__name__)

_GIVE_UP_AFTER: Final = 3
_WAIT_STEP_S: Final = 0.2


@attrs.frozen(kw_only=True)
class RunProgress:
    """How far a run has come.

    Args:
        done, total: Files.
        done_bytes, total_bytes: Bytes of content.
        counts: Files by state (``"imported"``, ``"waiting"``…), files of earlier runs included.
    """

    done: int = 0
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    counts: dict[str, int] = attrs.field(factory=dict)


class Run:
    """A plan that is being carried out. Thread-safe.

    If a run is interrupted, run the plan again: files that are done are not done again.

    Attributes:
        plan: The `Plan`.
        dry: Whether it is a dry run.
        problem: What stopped the run, as a sentence without names; None unless it failed.
        records: The records where the certificate looks up files, or a callable that opens them.
    """

    plan: Any = None

    def __init__(
        self,
        stored: StoredPlan,
        *,
        options: RunOptions,
        control: RunControl,
        records: PatientRepository | Callable[[], PatientRepository],
        archive: Callable[[], Source],
    ) -> None:
        self.dry = options.dry_run
        self.problem: str | None = None
        self.records = records
        self._archive = archive
        self._stored = stored
        self._control = control
        self._tell = progress_callback(options.on_progress)
        self._progress = RunProgress()
        self._reasons: Counter[str] = Counter()
        self._broken = 0
        self._ended = threading.Event()
        self._certificate: Certificate | None = None

    def __repr__(self) -> str:
        return f"<Run {self.state} {self._progress.done}/{self._progress.total}>"

    @property
    def state(self) -> str:
        """``"running"``, ``"paused"``, ``"done"``, ``"cancelled"`` or ``"failed"``."""
        if self._ended.is_set():
            if self.problem is not None:
                return "failed"
            return "cancelled" if self._control.command is RunCommand.CANCEL else "done"
        return "paused" if self._control.command is RunCommand.PAUSE else "running"

    @property
    def progress(self) -> RunProgress:
        """How far the run has come."""
        return self._progress

    @property
    def reasons(self) -> dict[str, int]:
        """Number of files by reason, so far."""
        return dict(self._reasons.most_common())

    def pause(self) -> None:
        """Begin no more files until `resume`. Files that have begun are finished."""
        self._send(RunCommand.PAUSE)

    def resume(self) -> None:
        """Continue after `pause`."""
        self._send(RunCommand.GO)

    def cancel(self) -> None:
        """Begin no more files. Files that have begun are finished; another run can do the rest."""
        self._send(RunCommand.CANCEL)

    def wait(self, timeout_s: float | None = None) -> Self:
        """Wait until the run ends, or for this many seconds. Ctrl-C cancels the run and waits for its end."""
        until_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        try:
            # In short steps: on Windows, Ctrl-C does not interrupt a wait without a timeout.
            while not self._ended.wait(max(0.0, min(_WAIT_STEP_S, until_s - time.monotonic()))):
                if time.monotonic() >= until_s:
                    break
        except KeyboardInterrupt:
            self.cancel()
            self._ended.wait()
            raise
        return self

    @property
    def certificate(self) -> Certificate | None:
        """What became of every file; None before the end, and after a dry run.

        Each file is looked up in the records, and stored bytes are read again, so this takes time. See
        `Plan.certificate`.
        """
        if not self._ended.is_set() or self.dry:
            return None
        if self._certificate is None:
            self._certificate = certify(self._stored, records=self.records, archive=self._archive)
        return self._certificate

    def begin(self, open_executor: Callable[[], Executor], close: Callable[[], None]) -> None:
        """Start the thread that hands partitions to an executor; for `start`."""
        threading.Thread(
            target=self._work, args=(open_executor, close), name="intouch-run", daemon=True
        ).start()

    # --- inside

    def _send(self, command: RunCommand) -> None:
        if not self._ended.is_set() and self._control.command is not RunCommand.CANCEL:
            self._control.send(command)

    def _work(self, open_executor: Callable[[], Executor], close: Callable[[], None]) -> None:
        executor: Executor | None = None
        try:
            total, total_bytes = count_to_do(self._stored)
            self._progress = RunProgress(total=total, total_bytes=total_bytes)
            rows = sum(part.rows for part in self._stored.header.parts)
            executor = open_executor()
            for result in executor.run(range(math.ceil(rows / PARTITION_ROWS)), self._control):
                self._count(result)
                executor.stopped = self._broken >= _GIVE_UP_AFTER
            if self._broken >= _GIVE_UP_AFTER and self.problem is None:
                self.problem = "the records, the ledger or the archive failed several times: look at them"
        except InTouchImportError as exc:
            self.problem = str(exc)
        except Exception as exc:  # noqa: BLE001  # a cluster that is lost, a host's repository
            log.error("a run ended early", extra=kind_and_place(exc))
            self.problem = f"the run was interrupted ({type(exc).__name__}): run the plan again to go on"
        finally:
            try:
                if executor is not None:
                    executor.close()
                close()
            except Exception as exc:  # noqa: BLE001  # as above
                log.warning("a run could not be closed", extra={"kind": type(exc).__name__})
            self._ended.set()

    def _count(self, result: PartitionResult) -> None:
        """Add the result of a partition. Several broken partitions in a row end the run."""
        self._broken = self._broken + 1 if result.broken else 0
        if result.problem is not None:
            self.problem = f"not all files were tried: {result.problem}"
            return
        self._reasons.update(result.reasons)
        now = self._progress = attrs.evolve(
            self._progress,
            done=self._progress.done + sum(result.states.values()),
            done_bytes=self._progress.done_bytes + result.size_bytes,
            counts=dict(Counter(self._progress.counts) + Counter(result.states)),
        )
        self._tell(
            Progress(
                stage=Stage.MIGRATING,
                done=now.done,
                total=now.total,
                done_bytes=now.done_bytes,
                total_bytes=now.total_bytes,
            )
        )


def start(
    stored: StoredPlan,
    repository: PatientRepository | Callable[[], PatientRepository],
    *,
    archive: Callable[[], Source],
    options: RunOptions,
    control: RunControl,
) -> Run:
    """Start a run.

    Raises:
        ConfigError: The options contradict each other, or it is another archive.
        SourceError: The archive can't be opened.
    """
    run = Run(stored, options=options, control=control, records=repository, archive=archive)
    if options.client is None:
        _start_here(run, stored, repository, archive=archive, options=options, control=control)
        return run
    if isinstance(repository, PatientRepository):
        raise ConfigError(
            "a cluster opens the records on every worker: give repository= as a callable, such as"
            " functools.partial(SqlRepository.open, url, files=...)"
        )
    if isinstance(options.ledger, Ledger):
        raise ConfigError("a cluster opens the ledger on every worker: give ledger= as a URL")
    open_root(archive, source_id=stored.header.source_id).close()
    control.send(RunCommand.GO)  # replaces the last command of an earlier run
    setup = WorkerSetup(
        directory=str(stored.directory),
        archive=archive,
        repository=repository,
        ledger=None if options.ledger is None else os.fspath(options.ledger),
        run=secrets.token_hex(8),
        options=options,
    )
    key = f"{stored.header.id}-{len(stored.overrides.all)}{'-dry' if options.dry_run else ''}"
    run.begin(lambda: DaskExecutor(setup, key=key), lambda: None)
    return run


def _start_here(
    run: Run,
    stored: StoredPlan,
    repository: PatientRepository | Callable[[], PatientRepository],
    *,
    archive: Callable[[], Source],
    options: RunOptions,
    control: RunControl,
) -> None:
    """Start a run in threads of this process."""
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(contextlib.closing(open_root(archive, source_id=stored.header.source_id)))
        records = repository if isinstance(repository, PatientRepository) else repository()
        if records is not repository:
            stack.callback(_close, records)
        ledger = ledger_for(options.ledger, records=records)
        opened = stack.pop_all()

    def executor() -> Executor:
        runner = PartitionRunner(
            stored.directory,
            stored.header,
            root=root,
            repository=records,
            ledger=ledger,
            options=options,
            threads=options.threads or max(2, root.concurrency),
            control=control,
        )
        # Over a network the next partition is fetched while this one is stored.
        on_network = root.concurrency > 2  # noqa: PLR2004  # a local disk has two
        return ThreadExecutor(runner, window=options.window or (2 if on_network else 1))

    run.begin(executor, opened.close)


def _close(records: PatientRepository) -> None:
    close = getattr(records, "close", None)
    if callable(close):
        try:
            close()
        except Exception:  # noqa: BLE001  # a host's own
            raise RepositoryError("the records could not be closed") from None


def progress_callback(on_progress: OnProgress) -> Callable[[Progress], None]:
    """Return a function that reports progress. An exception of the caller's code is logged, not raised.

    Raises:
        ConfigError: ``on_progress`` is a word other than ``"tqdm"``.
        MissingExtraError: tqdm is not installed.
    """
    if on_progress is None:
        return lambda _progress: None
    if isinstance(on_progress, str):
        if on_progress != "tqdm":
            raise ConfigError('on_progress is a callable, or "tqdm"')
        return _bar()
    call = on_progress

    def tell(progress: Progress) -> None:
        try:
            call(progress)
        except Exception as exc:  # noqa: BLE001  # the host's code
            log.warning("the progress callback failed", extra=kind_and_place(exc))

    return tell


def _bar() -> Callable[[Progress], None]:
    """Return a function that shows a bar of tqdm, and closes it at the end."""
    with needing("a bar needs tqdm", "tqdm", "tqdm.auto", install="intouch-import[migration]"):
        from tqdm.auto import tqdm
    bar: Any = None

    def show(progress: Progress) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=progress.total, unit="file", desc=progress.stage.value.capitalize())
        bar.total = progress.total
        bar.update(progress.done - bar.n)
        if progress.total is not None and progress.done >= progress.total:
            bar.close()
            bar = None

    return show
