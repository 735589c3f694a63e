"""Workers of a Dask cluster that fail: the run has failed and says why, and no text of the host is in any log."""

from __future__ import annotations

import functools
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import import migration
from intouch_import.errors import InTouchImportError, RepositoryError, StorageFull
from intouch_import.migration.executors import DaskExecutor, WorkerSetup, run_on_worker
from intouch_import.migration.limits import RunOptions
from intouch_import.migration.partition import PartitionResult
from intouch_import.migration.plan_file import PARTITION_ROWS
from intouch_import.repositories.sql import SqlRepository
from migrating import OKAFOR, Archive, six_photos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::RuntimeWarning"),
]


class Failing(SqlRepository):
    """Records whose own code quotes a patient when it fails."""

    def find_patients(self, ids: Any) -> Any:
        raise ValueError(f"no row for CANARY {ids}")


def open_failing(url: str, files: str) -> SqlRepository:
    return Failing.open(url, files=files)


def cannot_open() -> SqlRepository:
    raise ConnectionError("CANARY: this worker does not reach the database")


def open_caused() -> SqlRepository:
    try:
        cannot_open()
    except ConnectionError as exc:
        raise StorageFull("the storage for files is full") from exc
    raise AssertionError


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return six_photos(tmp_path)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster with one worker in this process."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that is logged in this process, Dask included, as it would be written."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    keep = Keep()
    places = [logging.getLogger(), logging.getLogger("distributed")]
    for place in places:
        place.addHandler(keep)
    yield lines
    for place in places:
        place.removeHandler(keep)


def test_workers_that_cannot_open_the_records(archive: Archive, client: Any, logged: list[str]) -> None:
    """Also a small plan, of fewer partitions than a run gives up after, has failed, and names the cause."""
    for number in range(PARTITION_ROWS):
        archive.lay(f"{OKAFOR}/more/IMG_{number:04}.jpg", b"photo")
    plan = archive.plan()
    run = plan.run(cannot_open, client=client).wait(60)
    assert run.state == "failed"
    assert "a worker can't open the records" in str(run.problem)
    assert "ConnectionError" in str(run.problem)
    assert run.progress.done == 0
    certificate = run.certificate
    assert certificate is not None
    assert certificate.counts["not yet"] == 6 + PARTITION_ROWS
    assert certificate.values["open"] == {"not_yet": 6 + PARTITION_ROWS}
    assert not any("CANARY" in text for text in (*logged, str(run.problem)))


def test_what_a_host_raises_on_a_worker_is_in_no_log(
    archive: Archive, client: Any, logged: list[str]
) -> None:
    """The run names the class and the line of the host's exception, and nothing else of it."""
    opener = functools.partial(open_failing, archive.url, str(archive.root / "files"))
    run = archive.plan().run(opener, client=client, check_content=False).wait(60)
    assert run.state == "failed"
    assert "ValueError at" in str(run.problem)
    assert "find_patients" in str(run.problem)
    assert any("Compute Failed" in line for line in logged)
    assert not any("CANARY" in text for text in (*logged, str(run.problem)))


def test_a_cluster_that_recovers(archive: Archive, client: Any) -> None:
    """The same plan runs to its end once the records can be opened."""
    plan = archive.plan(records=archive.records())
    assert plan.run(cannot_open, client=client).wait(60).state == "failed"
    opener = functools.partial(SqlRepository.open, archive.url, files=str(archive.root / "files"))
    run = plan.run(opener, client=client, check_content=False).wait(60)
    assert (run.state, run.problem, run.progress.counts) == ("done", None, {"imported": 6})
    assert run.certificate is not None
    assert run.certificate.closes


@pytest.mark.parametrize("opener", [cannot_open, open_caused])
def test_no_cause_leaves_a_worker(archive: Archive, opener: Any) -> None:
    """What Dask pickles and formats has the text of this library only."""
    plan = archive.plan()
    setup = WorkerSetup(
        directory=str(plan.directory), archive=migration.Archive(str(archive.disk)), repository=opener,
        ledger=None, run=str(opener), options=RunOptions(),
    )  # fmt: skip
    with pytest.raises(InTouchImportError) as caught:
        run_on_worker(setup, 0)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("status", "exc", "problem"),
    [
        ("error", RepositoryError("it failed", kind="KeyError", where="host:1 in add"), "it failed (KeyError at host:1 in add)"),
        ("error", StorageFull("the storage for files is full"), "the storage for files is full"),
        ("error", ValueError("CANARY"), "a worker ended early (ValueError)"),
        ("cancelled", None, "a worker ended early (cancelled)"),
    ],
)  # fmt: skip
def test_a_task_that_dask_gives_up(client: Any, status: str, exc: Any, problem: str) -> None:
    """Its partition was not run; the reason has no text of anything but this library."""

    class Ended:
        def __init__(self) -> None:
            self.status = status

        def exception(self) -> Any:
            return exc

    setup = WorkerSetup(
        directory="", archive=cannot_open, repository=cannot_open, ledger=None, run="", options=RunOptions(client=client)
    )  # fmt: skip
    executor = DaskExecutor(setup, key="")
    executor._completed = iter([Ended()])
    assert executor._next_result() == PartitionResult(broken=True, problem=problem)
