"""What partitions are carried out on: threads of this process, or a Dask cluster. Each submits, and waits."""

from __future__ import annotations

import concurrent.futures
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from intouch_import.extras import needing
from intouch_import.ledger import ledger_for
from intouch_import.migration.limits import Clocks, Limits, Pacer, Signal
from intouch_import.migration.partition import Workplace
from intouch_import.migration.plan_file import read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.migration.partition import Done
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["SIGNAL", "Cluster", "Engine", "Recipe", "Threads", "carry_out"]

SIGNAL = "signal"


class Engine(Protocol):
    """Carries out partitions, some at a time."""

    window: int
    """How many are under way at most."""

    def submit(self, partition: int) -> None:
        """Begin one."""

    def next_done(self) -> tuple[int, Done | None]:
        """Wait for one to end. Returns it, and what it came to; None if it could not be carried out."""

    @property
    def under_way(self) -> int:
        """How many are."""

    def close(self) -> None:
        """Let go of what is held."""


class Threads:
    """Threads of this process.

    Args:
        workplace: What they carry out partitions with.
        window: How many at a time.
    """

    def __init__(self, workplace: Workplace, *, window: int) -> None:
        self.window = window
        self._workplace = workplace
        self._pool = concurrent.futures.ThreadPoolExecutor(window, thread_name_prefix="intouch-migrate")
        self._futures: dict[concurrent.futures.Future[Done], int] = {}

    def submit(self, partition: int) -> None:
        """Begin one."""
        self._futures[self._pool.submit(self._workplace.carry_out, partition)] = partition

    def next_done(self) -> tuple[int, Done | None]:
        """Wait for one; what it raises is raised here."""
        done, _ = concurrent.futures.wait(self._futures, return_when=concurrent.futures.FIRST_COMPLETED)
        future = done.pop()
        return self._futures.pop(future), future.result()

    @property
    def under_way(self) -> int:
        """How many are."""
        return len(self._futures)

    def close(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown()
        self._workplace.close()


class Cluster:
    """A Dask cluster.

    The graph holds the path of the plan and the number of a partition, some hundred bytes a task. Keys are
    the
    same whenever a partition of a plan is asked for: a client that comes back while a task of its predecessor
        still
    runs gets that one, not a second.

    Args:
        client: A ``distributed.Client``, without asynchronous methods.
        recipe: What a worker needs.
        plan: Id of the plan, and of what was decided about it.
        window: How many partitions at a time.

    Raises:
        MissingExtraError: Dask is not installed.
    """

    def __init__(self, client: Any, recipe: Recipe, *, plan: str, window: int | None) -> None:
        with needing("clusters need Dask", "distributed", "dask", install="intouch-import[dask]"):
            from distributed import as_completed
        self._client = client
        self._plan = plan
        self.window = window or max(2, 2 * sum(client.nthreads().values()))
        self._recipe = recipe
        self._completed = as_completed()
        self._partitions: dict[str, int] = {}

    def submit(self, partition: int) -> None:
        """Begin one."""
        key = f"intouch-migrate-{self._plan}-{partition}"
        future = self._client.submit(carry_out, self._recipe, partition, key=key, retries=3, pure=False)
        self._partitions[key] = partition
        self._completed.add(future)

    def next_done(self) -> tuple[int, Done | None]:
        """Wait for one. If its worker dies it is done again elsewhere; after some deaths it is given up."""
        future = next(self._completed)
        partition = self._partitions.pop(future.key)
        return partition, future.result() if future.status == "finished" else None

    @property
    def under_way(self) -> int:
        """How many are."""
        return len(self._partitions)

    def close(self) -> None:
        """Forget what is still under way: it comes to the end of its file, and no further."""
        self._completed.clear()


def partitions(rows: int, size: int) -> Iterator[int]:
    """Numbers of the partitions of so many rows."""
    yield from range(-(-rows // size))


@attrs.frozen(kw_only=True)
class Recipe:
    """All that a worker needs to carry out partitions of a plan; it can be pickled if its callables can.

    Args:
        directory: Of the plan; the same path on every worker.
        archive: Opens the archive.
        repository: Opens the patient records.
        ledger: As for `Inbox`, as text; None for the records' own.
        run: Tells one run from another.
        limits: How fast.
        threads: How many in each partition at most.
        check_content: Whether to look into every file.
        operator: Who does it.
        dry: Only look what would be done.
    """

    directory: str
    archive: Callable[[], Source] = attrs.field(repr=False)
    repository: Callable[[], PatientRepository] = attrs.field(repr=False)
    ledger: str | None = None
    run: str
    limits: Limits = attrs.field(factory=Limits)
    threads: int = 16
    check_content: bool = True
    operator: str | None = attrs.field(default=None, repr=False)
    dry: bool = False


# --- in a worker of a cluster

_opening = threading.Lock()


def carry_out(recipe: Recipe, partition: int) -> Done:
    """Carry out a partition in this process, whatever process it is. A task of Dask."""
    with _opening:  # two threads must not open the same records twice
        workplace = _workplace(recipe.run, _Unhashed(recipe))
    return workplace.carry_out(partition)


class _Unhashed:
    """A recipe on its way into the cache: the run's id is the key."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=2)
def _workplace(run: str, unhashed: Any) -> Workplace:  # noqa: ARG001  # the key
    recipe: Recipe = unhashed.recipe
    directory = Path(recipe.directory)
    repository = recipe.repository()
    ledger = ledger_for(recipe.ledger, engine=getattr(repository, "engine", None))
    clocks = Clocks()
    return Workplace(
        directory,
        read_header(directory),
        root=recipe.archive(),
        repository=repository,
        ledger=ledger,
        pacer=Pacer(recipe.limits, Signal(directory / SIGNAL), clocks),
        clocks=clocks,
        threads=recipe.threads,
        check_content=recipe.check_content,
        operator=recipe.operator,
        dry=recipe.dry,
    )
