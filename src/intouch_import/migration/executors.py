"""Executors: they run the partitions of a plan in threads of this process, or on a Dask cluster."""

from __future__ import annotations

import abc
import concurrent.futures
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import InTouchImportError, instead_of
from intouch_import.extras import needing
from intouch_import.ledger import ledger_for
from intouch_import.migration.limits import RunCommand, RunControl
from intouch_import.migration.partition import PartitionResult, PartitionRunner
from intouch_import.migration.plan_file import SIGNAL, read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from intouch_import.migration.limits import RunOptions
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["DaskExecutor", "Executor", "ThreadExecutor", "WorkerSetup", "run_on_worker"]

_OPEN_RUNS: Final = 2
_THREADS: Final = 16


class Executor(abc.ABC):
    """Runs partitions.

    Args:
        window: How many partitions run in parallel.

    Attributes:
        stopped: Set it to True to start no more partitions.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self.stopped = False

    def run(self, partitions: Iterable[int], control: RunControl) -> Iterator[PartitionResult]:
        """Run partitions, and yield the result of each as it ends.

        If the run is cancelled, no more partitions are started, and those that run are waited for.
        """
        running = 0
        for partition in partitions:
            if running >= self._window:
                yield self._next_result()
                running -= 1
            if self.stopped or control.command is RunCommand.CANCEL:
                break
            self._submit(partition)
            running += 1
        for _ in range(running):
            yield self._next_result()

    @abc.abstractmethod
    def _submit(self, partition: int) -> None:
        """Start a partition."""

    @abc.abstractmethod
    def _next_result(self) -> PartitionResult:
        """Wait for a partition to end, and return its result."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release everything."""


class ThreadExecutor(Executor):
    """Threads of this process."""

    def __init__(self, runner: PartitionRunner, *, window: int) -> None:
        super().__init__(window)
        self._runner = runner
        self._pool = concurrent.futures.ThreadPoolExecutor(window, thread_name_prefix="intouch-migrate")
        self._futures: set[concurrent.futures.Future[PartitionResult]] = set()

    def _submit(self, partition: int) -> None:
        self._futures.add(self._pool.submit(self._runner.run, partition))

    def _next_result(self) -> PartitionResult:
        done, _ = concurrent.futures.wait(self._futures, return_when=concurrent.futures.FIRST_COMPLETED)
        future = done.pop()
        self._futures.discard(future)
        return future.result()

    def close(self) -> None:
        self._pool.shutdown()
        self._runner.close()


class DaskExecutor(Executor):
    """A Dask cluster.

    A partition of a plan always has the same key: a client that comes back while a task of the last client is
    running gets that task, not a second one.

    Args:
        setup: What a worker needs; its options have the client.
        key: Identifies the plan and its overrides.
    """

    def __init__(self, setup: WorkerSetup, *, key: str) -> None:
        with needing("clusters need Dask", "distributed", "dask", install="intouch-import[dask]"):
            from distributed import as_completed
        self._client = setup.options.client
        threads = sum(self._client.nthreads().values())
        super().__init__(setup.options.window or max(2, 2 * threads))
        self._setup = attrs.evolve(setup, options=setup.options.for_worker(tasks=max(1, threads)))
        self._key = key
        self._completed = as_completed()

    def _submit(self, partition: int) -> None:
        key = f"intouch-migrate-{self._key}-{partition}"
        self._completed.add(
            self._client.submit(run_on_worker, self._setup, partition, key=key, retries=3, pure=False)
        )

    def _next_result(self) -> PartitionResult:
        # If a worker dies or fails, Dask runs its task again, on another one if there is one. After some
        # failures it gives the task up.
        future = next(self._completed)
        if future.status == "finished":
            result: PartitionResult = future.result()
            return result
        exc = future.exception() if future.status == "error" else None
        if isinstance(exc, InTouchImportError):
            kind, where = getattr(exc, "kind", None), getattr(exc, "where", None)
            problem = f"{exc} ({kind} at {where})" if kind else str(exc)
        else:  # of Dask: its text has the names of tasks and workers
            problem = f"a worker ended early ({type(exc).__name__ if exc is not None else future.status})"
        return PartitionResult(broken=True, problem=problem)

    def close(self) -> None:
        self._completed.clear()


@attrs.frozen(kw_only=True)
class WorkerSetup:
    """What a worker needs to run partitions. Picklable if its callables are.

    Args:
        directory: The plan's folder; the same path on every worker.
        archive, repository: Open the archive and the patient records.
        ledger: As for `Inbox`; None for the ledger of the records.
        run: Id of the run.
        options: Options of the run.
    """

    directory: str
    archive: Callable[[], Source] = attrs.field(repr=False)
    repository: Callable[[], PatientRepository] = attrs.field(repr=False)
    ledger: str | None = attrs.field(repr=False)
    run: str
    options: RunOptions


_runners: OrderedDict[str, PartitionRunner] = OrderedDict()
_opening = threading.Lock()


def run_on_worker(setup: WorkerSetup, partition: int) -> PartitionResult:
    """Run a partition in this process: the task of Dask.

    Dask logs what a task raises on the worker, on the scheduler and on its dashboard. So nothing that a
    host's code has raised leaves this function with its text, or as the cause of another exception.
    """
    try:
        return _runner_of(setup).run(partition)
    except InTouchImportError as exc:
        failure: InTouchImportError = exc
    except Exception as exc:  # noqa: BLE001  # a host's repository may raise anything
        failure = instead_of(exc, "the records failed on a worker")
    failure.__cause__ = failure.__context__ = None
    raise failure


def _runner_of(setup: WorkerSetup) -> PartitionRunner:
    """Return the runner of a run in this process. Two threads must not open the same records twice."""
    with _opening:
        runner = _runners.get(setup.run)
        if runner is None:
            directory = Path(setup.directory)
            try:
                repository = setup.repository()
                root = setup.archive()
            except InTouchImportError:
                raise
            except Exception as exc:  # noqa: BLE001  # code of the host
                raise instead_of(exc, "a worker can't open the records or the archive") from None
            runner = _runners[setup.run] = PartitionRunner(
                directory,
                read_header(directory),
                root=root,
                repository=repository,
                ledger=ledger_for(setup.ledger, records=repository),
                options=setup.options,
                threads=setup.options.threads or _THREADS,
                control=RunControl(directory / SIGNAL),
            )
        _runners.move_to_end(setup.run)
        while len(_runners) > _OPEN_RUNS:
            _runners.popitem(last=False)
    return runner
