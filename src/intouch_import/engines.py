"""Connections to databases in processes that fork: a child never uses a connection of its parent.

PostgreSQL: parent and child would read each other's answers from one socket, so that a question about one
patient is answered with another. The child gets a new pool, and its copies of the sockets are cut off.

SQLite: its locks belong to a process, but a child believes that it has those of its parent. When the parent
closes the database, it deletes the log to which the child writes. So no connection may be open during a fork
(https://sqlite.org/howtocorrupt.html, section 2.6): a hook waits for the threads that use one, and closes
them all. If one stays open, the child refuses to use SQLite.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from intouch_import.errors import RepositoryError
from intouch_import.forks import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["connected"]

_LONGEST_WAIT_S = 30.0

_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()
_sessions: weakref.WeakSet[Any] = weakref.WeakSet()  # the driver's connections to PostgreSQL
_inherited: list[object] = []  # kept, because the end of a connection could change its database
_renewing = ForkSafeLock()


class _Process:
    """What the threads of this process do with the databases."""

    def __init__(self, *, sqlite_is_safe: bool) -> None:
        self.pid = os.getpid()
        self.sqlite_is_safe = sqlite_is_safe
        self.connections: set[sa.Connection] = set()
        self._threads: Counter[int] = Counter()  # the connections of each thread
        self._changed = threading.Condition()
        self._forks = 0  # that are being prepared
        self._prepared = False

    def begin(self) -> int:
        """Wait while the process forks, and return the thread, for `end`.

        A thread that has a connection may take another one.
        """
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._forks or me in self._threads)
            self._threads[me] += 1
        return me

    def end(self, thread: int) -> None:
        """End what a thread began; another thread may call this, such as one that drops a generator."""
        with self._changed:
            self._threads -= Counter([thread])
            self._changed.notify_all()

    def before_fork(self) -> None:
        """Keep the other threads out of the databases, and close the connections to SQLite."""
        me = {threading.get_ident()}
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: me.issuperset(self._threads), _LONGEST_WAIT_S)
            self._prepared = not self._threads
        for engine in list(_engines):
            if engine.dialect.name == "sqlite":
                engine.dispose()

    def after_fork(self) -> None:
        """In the parent, let the other threads in again."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def of_child(self) -> _Process:
        """Return the state of a child that was forked from this process."""
        prepared = self._forks > 0 and self._prepared
        sqlite_was_open = any(engine.dialect.name == "sqlite" for engine in _engines)
        return _Process(sqlite_is_safe=self.sqlite_is_safe and (prepared or not sqlite_was_open))


_process = _Process(sqlite_is_safe=True)


@contextlib.contextmanager
def connected(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Connect to a database for the length of a block.

    Raises:
        RepositoryError: This process was forked while a connection to SQLite was open.
    """
    if engine not in _engines:
        _guard(engine)
    process = _current()
    thread = process.begin()
    try:
        if not process.sqlite_is_safe and engine in _engines and engine.dialect.name == "sqlite":
            raise RepositoryError(
                "this process was forked while a SQLite database was in use: open the records after the fork"
            )
        with engine.connect() as connection:
            process.connections.add(connection)
            try:
                yield connection
            finally:
                process.connections.discard(connection)
    finally:
        if process is _process:  # a child has another one, and can't wait for the locks of this one
            process.end(thread)


def _guard(engine: sa.Engine) -> None:
    if isinstance(engine.pool, sa.SingletonThreadPool | sa.StaticPool):
        return  # a database in memory: the child has a copy of its own
    _engines.add(engine)
    if engine.dialect.name != "sqlite":
        event.listen(engine, "connect", _remember)


def _current() -> _Process:
    """Return the state of this process. A fork in C, as in uWSGI, runs no hooks: compare the ids."""
    if _process.pid != os.getpid():
        with _renewing:
            if _process.pid != os.getpid():
                _renew()
    return _process


def _renew() -> None:
    global _process  # noqa: PLW0603  # there is one
    parent = _process
    nothing = os.open(os.devnull, os.O_RDWR)
    for session in list(_sessions):
        with contextlib.suppress(Exception):  # it is closed
            os.dup2(nothing, session.fileno(), inheritable=False)
    os.close(nothing)
    for connection in parent.connections:
        _sever(connection)
    child = parent.of_child()
    for engine in list(_engines):
        _inherited.append(engine.pool)
        engine.dispose(close=False)
    _process = child


def _sever(connection: sa.Connection) -> None:
    """Make a connection that was in use at the fork fail in the child. The parent goes on with it."""
    with contextlib.suppress(sa.exc.SQLAlchemyError):  # it is closed
        proxy: Any = connection.connection
        driver = proxy.dbapi_connection
        _inherited.append(driver)
        if hasattr(driver, "interrupt"):  # SQLite: a statement that is being read
            driver.interrupt()
        proxy.dbapi_connection = None  # otherwise its end would roll back the transaction
        connection.invalidate()


def _remember(session: Any, _record: object) -> None:
    _sessions.add(session)


def _before_fork() -> None:
    _current().before_fork()


def _after_fork() -> None:
    _process.after_fork()


if sys.platform != "win32":
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_current)
