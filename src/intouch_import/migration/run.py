"""`Run`: a plan being carried out, in the background, until `Run.wait` says that it is over."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import attrs

from intouch_import.errors import ConfigError, InTouchImportError, RepositoryError, kind_and_place
from intouch_import.extras import needing
from intouch_import.ledger import Ledger, ledger_for
from intouch_import.migration.executors import SIGNAL, Cluster, Recipe, Threads, partitions
from intouch_import.migration.limits import Clocks, Limits, Order, Pacer, Signal
from intouch_import.migration.partition import Workplace
from intouch_import.migration.plan_file import PARTITION_ROWS
from intouch_import.model import Progress, Stage
from intouch_import.repositories.base import PatientRepository

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.migration.certificate import Certificate
    from intouch_import.migration.executors import Engine
    from intouch_import.migration.plans import Plan
    from intouch_import.sources.base import Source

__all__ = ["OnProgress", "Run", "RunProgress", "start", "teller"]

log = logging.getLogger(__name__)

_GIVE_UP_AFTER: Final = 3
_THREADS_IN_TASK: Final = 16
_NOT_CALLABLE: Final = (
    "a cluster opens the records on every worker: give repository= as a callable, such as"
    " functools.partial(SqlRepository.open, url, files=...)"
)


@attrs.frozen(kw_only=True)
class RunProgress:
    """How far a run has come.

    Args:
        done, total: Files.
        done_bytes, total_bytes: Bytes of content.
        counts: Files by state (``"imported"``, ``"waiting"``…), those of earlier runs included.
    """

    done: int = 0
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    counts: dict[str, int] = attrs.field(factory=dict)


class Run:
    """A plan being carried out. Its methods may be called from any thread.

    A run that was interrupted, by whatever, is resumed by running the plan again: what is done is found done.

    Attributes:
        state: ``"running"``, ``"paused"``, ``"done"``, ``"cancelled"`` or ``"failed"``.
        problem: What stopped it, in a sentence without names, if it failed.
        records: What imported files are looked up in for the certificate, if it stays open after the run.
        plan: The plan.
        dry: Whether nothing is moved.
    """

    def __init__(self, plan: Plan, *, signal: Signal, tell: Callable[[Progress], None], dry: bool) -> None:
        self.plan = plan
        self.dry = dry
        self.problem: str | None = None
        self._reasons: Counter[str] = Counter()
        self._signal = signal
        self._tell = tell
        self._progress = RunProgress()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._certificate: Certificate | None = None
        self.records: PatientRepository | None = None

    def __repr__(self) -> str:
        return f"<Run {self.state} {self._progress.done}/{self._progress.total}>"

    @property
    def state(self) -> str:
        if self._ended.is_set():
            if self.problem is not None:
                return "failed"
            return "cancelled" if self._signal.order is Order.CANCEL else "done"
        return "paused" if self._signal.order is Order.PAUSE else "running"

    @property
    def progress(self) -> RunProgress:
        """How far it is."""
        return self._progress

    @property
    def reasons(self) -> dict[str, int]:
        """Files by reason, so far."""
        return dict(self._reasons.most_common())

    def pause(self) -> None:
        """Begin no file until `resume`. Files under way come to their end."""
        self._tell_order(Order.PAUSE)

    def resume(self) -> None:
        """Go on."""
        self._tell_order(Order.GO)

    def cancel(self) -> None:
        """Begin no more files. What is under way comes to its end; the rest is for another run."""
        self._tell_order(Order.CANCEL)

    def wait(self, timeout_s: float | None = None) -> Self:
        """Wait until it is over, or for so many seconds. Ctrl-C cancels, and waits for what is under way."""
        try:
            # In short steps: a lock that is waited for without end can't be interrupted on Windows.
            remaining = timeout_s
            while not self._ended.wait(0.2 if remaining is None else min(0.2, max(0.0, remaining))):
                if remaining is not None:
                    remaining -= 0.2
                    if remaining <= 0:
                        return self
        except KeyboardInterrupt:
            self.cancel()
            self._ended.wait()
            raise
        return self

    @property
    def certificate(self) -> Certificate | None:
        """What became of every file; None before the end, and of a dry run."""
        if not self._ended.is_set() or self.dry:
            return None
        if self._certificate is None:
            self._certificate = self.plan.certificate(self.records)
        return self._certificate

    # --- inside

    def _tell_order(self, order: Order) -> None:
        if not self._ended.is_set() and self._signal.order is not Order.CANCEL:
            self._signal.tell(order)

    def begin(self, make_engine: Callable[[], Engine], close: Callable[[], None]) -> None:
        """Start the thread that hands out partitions."""
        self._thread = threading.Thread(
            target=self._work, args=(make_engine, close), name="intouch-run", daemon=True
        )
        self._thread.start()

    def _work(self, make_engine: Callable[[], Engine], close: Callable[[], None]) -> None:
        engine: Engine | None = None
        try:
            total, total_bytes = self.plan.to_do()
            self._progress = RunProgress(total=total, total_bytes=total_bytes)
            engine = make_engine()
            self._hand_out(engine)
        except InTouchImportError as exc:
            self.problem = str(exc)
        except Exception as exc:  # noqa: BLE001  # a cluster that is lost, a host's repository
            log.error("a run ended early", extra=kind_and_place(exc))
            self.problem = f"the run was interrupted ({type(exc).__name__}): run the plan again to go on"
        finally:
            try:
                if engine is not None:
                    engine.close()
                close()
            except Exception as exc:  # noqa: BLE001  # likewise
                log.warning("a run could not be closed", extra={"kind": type(exc).__name__})
            self._ended.set()

    def _hand_out(self, engine: Engine) -> None:
        broken = 0
        for partition in partitions(len(self.plan), PARTITION_ROWS):
            while engine.under_way >= engine.window:
                broken = self._take(engine, broken)
            if self._signal.order is Order.CANCEL or broken >= _GIVE_UP_AFTER:
                break
            engine.submit(partition)
        while engine.under_way:
            broken = self._take(engine, broken)
        if broken >= _GIVE_UP_AFTER:
            self.problem = "the records, the ledger or the archive failed several times: look at them"

    def _take(self, engine: Engine, broken: int) -> int:
        """Take what came to an end. Returns how many in a row were broken."""
        _, done = engine.next_done()
        if done is None:
            return broken + 1
        before = self._progress
        self._reasons.update(done.reasons)
        counts = Counter(before.counts)
        counts.update(done.states)
        self._progress = attrs.evolve(
            before,
            done=before.done + sum(done.states.values()),
            done_bytes=before.done_bytes + done.size_bytes,
            counts=dict(counts),
        )
        now = self._progress
        self._tell(
            Progress(
                stage=Stage.MIGRATING,
                done=now.done,
                total=now.total,
                done_bytes=now.done_bytes,
                total_bytes=now.total_bytes,
            )
        )
        return broken + 1 if done.broken else 0


def start(
    plan: Plan,
    repository: PatientRepository | Callable[[], PatientRepository],
    *,
    archive: Callable[[], Source],
    client: Any,
    on_progress: OnProgress,
    dry_run: bool,
    threads: int | None,
    window: int | None,
    limits: Limits,
    check_content: bool,
    operator: str | None,
    ledger: Ledger | str | os.PathLike[str] | None,
    clocks: Clocks,
) -> Run:
    """Begin to carry out a plan. The arguments are those of `Plan.run`.

    Raises:
        ConfigError: They make no sense together.
    """
    signal = Signal(plan.directory / SIGNAL if client is not None else None)
    run = Run(plan, signal=signal, tell=teller(on_progress), dry=dry_run)
    terms = _Terms(
        archive=archive,
        dry_run=dry_run,
        threads=threads,
        window=window,
        limits=limits,
        check_content=check_content,
        operator=operator,
        clocks=clocks,
    )
    if client is None:
        _begin_here(run, terms, repository, ledger, signal)
    else:
        signal.tell(Order.GO)  # whatever the run before this one was told
        _begin_there(run, terms, repository, ledger, client)
    return run


@attrs.frozen(kw_only=True)
class _Terms:
    """What a run was asked for; see `Plan.run`."""

    archive: Callable[[], Source]
    dry_run: bool
    threads: int | None
    window: int | None
    limits: Limits
    check_content: bool
    operator: str | None
    clocks: Clocks


def _begin_here(
    run: Run,
    terms: _Terms,
    repository: PatientRepository | Callable[[], PatientRepository],
    ledger: Ledger | str | os.PathLike[str] | None,
    signal: Signal,
) -> None:
    """On threads of this process."""
    given = repository if isinstance(repository, PatientRepository) else None
    with contextlib.ExitStack() as stack:
        if isinstance(repository, PatientRepository):
            records: PatientRepository = repository
        else:
            records = repository()
            stack.callback(_close, records)
        root = stack.enter_context(terms.archive())
        book = ledger_for(ledger, engine=getattr(records, "engine", None))
        opened = stack.pop_all()
    run.records = given
    waits = root.concurrency > 2  # noqa: PLR2004  # more than a local disk has: it waits for a network

    def engine() -> Engine:
        workplace = Workplace(
            run.plan.directory,
            run.plan.header,
            root=root,
            repository=records,
            ledger=book,
            pacer=Pacer(terms.limits, signal, terms.clocks),
            clocks=terms.clocks,
            threads=terms.threads or max(2, root.concurrency),
            check_content=terms.check_content,
            operator=terms.operator,
            dry=terms.dry_run,
        )
        # What waits for a network goes on with the next partition while this one is stored.
        return Threads(workplace, window=terms.window or (2 if waits else 1))

    run.begin(engine, opened.close)


def _begin_there(
    run: Run,
    terms: _Terms,
    repository: PatientRepository | Callable[[], PatientRepository],
    ledger: Ledger | str | os.PathLike[str] | None,
    client: Any,
) -> None:
    """On a Dask cluster."""
    if isinstance(repository, PatientRepository):
        raise ConfigError(_NOT_CALLABLE)
    if isinstance(ledger, Ledger):
        raise ConfigError("a cluster opens the ledger on every worker: give ledger= as a URL")
    where = os.fspath(ledger) if ledger is not None else None

    def engine() -> Engine:
        tasks = sum(client.nthreads().values())
        recipe = Recipe(
            directory=str(run.plan.directory),
            archive=terms.archive,
            repository=repository,
            ledger=where,
            run=secrets.token_hex(8),
            limits=terms.limits.shared_by(max(1, tasks)),
            threads=terms.threads or _THREADS_IN_TASK,
            check_content=terms.check_content,
            operator=terms.operator,
            dry=terms.dry_run,
        )
        decided = f"{run.plan.header.id}-{len(run.plan.overrides)}{'-dry' if terms.dry_run else ''}"
        return Cluster(client, recipe, plan=decided, window=terms.window)

    run.begin(engine, lambda: None)


def _close(records: PatientRepository) -> None:
    close = getattr(records, "close", None)
    if callable(close):
        try:
            close()
        except Exception:  # noqa: BLE001  # a host's own
            raise RepositoryError("the records could not be closed") from None


OnProgress: TypeAlias = "Callable[[Progress], object] | str | None"


def teller(on_progress: OnProgress) -> Callable[[Progress], None]:
    """What tells the caller, without letting the caller's mistake stop the work.

    Args:
        on_progress: A callable that is called with `Progress`, ``"tqdm"`` for a bar in notebooks and
            terminals, or None.

    Raises:
        ConfigError: It is another word.
        MissingExtraError: tqdm is not installed.
    """
    if on_progress is None:
        return lambda _progress: None
    if isinstance(on_progress, str):
        if on_progress != "tqdm":
            raise ConfigError('on_progress is a callable, or "tqdm"')
        return _Bar()
    call = on_progress

    def tell(progress: Progress) -> None:
        try:
            call(progress)
        except Exception as exc:  # noqa: BLE001  # it is the host's code
            log.warning("the progress callback failed", extra=kind_and_place(exc))

    return tell


class _Bar:
    """A bar of tqdm's, which closes when all is done."""

    def __init__(self) -> None:
        with needing("a bar needs tqdm", "tqdm", "tqdm.auto", install="intouch-import[migration]"):
            from tqdm.auto import tqdm
        self._make: Any = tqdm
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = self._make(total=progress.total, unit="file", desc=progress.stage.value.capitalize())
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)
        if progress.total is not None and progress.done >= progress.total:
            self._bar.close()
            self._bar = None
