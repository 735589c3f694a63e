"""How much an installation needs: distributions and megabytes of a plain install, and of each extra alone.

Each line is a fresh virtual environment. Downloads need a connection to PyPI. ::

    python benchmarks/install_size.py            every extra
    python benchmarks/install_size.py heif dask  these extras
    python benchmarks/install_size.py --project ../another-checkout

Sizes are those of the installed files, without bytecode (``__pycache__``) and without pip.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1_000_000
TOOLS = {"pip", "setuptools", "wheel"}  # what a virtual environment may bring
SHOWN = 8


def install(project: Path, extra: str, folder: Path) -> dict[str, int]:
    """Install the project with one extra, or none, into a new environment.

    Returns:
        By distribution: the size of its files in bytes.
    """
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = f"{project}[{extra}]" if extra else str(project)
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), wanted], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", wanted], check=True)
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run([str(python), "-c", query], check=True, capture_output=True, text=True)
    found = metadata.distributions(path=[answer.stdout.strip()])
    return {one.name.lower(): size_of(one) for one in found if one.name.lower() not in TOOLS}


def size_of(distribution: metadata.Distribution) -> int:
    paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what an installation needs.")
    parser.add_argument("extras", nargs="*", help="Extras; all by default.")
    parser.add_argument("--project", type=Path, default=ROOT, help="The checkout to install.")
    options = parser.parse_args()
    project = options.project.resolve()
    known = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    core: dict[str, int] = {}
    print("| install | distributions | MB | largest |\n| --- | --- | --- | --- |")
    for extra in ["", *(options.extras or sorted(known))]:
        with tempfile.TemporaryDirectory() as folder:
            sizes = install(project, extra, Path(folder, "environment"))
        core = core or sizes
        added = {name: size for name, size in sizes.items() if not extra or name not in core}
        largest = sorted(added, key=lambda name: added[name], reverse=True)[:SHOWN]
        shown = ", ".join(f"{name} {added[name] / MEGABYTE:.1f}" for name in largest)
        count, size = len(sizes), sum(sizes.values()) / MEGABYTE
        print(f"| {f'`[{extra}]`' if extra else 'plain'} | {count} | {size:.0f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
