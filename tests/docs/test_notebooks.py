"""The notebooks in ``examples`` run from top to bottom, and are saved without output."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    """There are the three notebooks that the documentation names."""
    assert [path.stem for path in NOTEBOOKS] == ["cluster", "first_import", "migrating_folders"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(path: Path) -> None:
    """A notebook in this repository is saved without output."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.long if path.stem == "cluster" else ())
        for path in NOTEBOOKS
    ],
)
@pytest.mark.filterwarnings("ignore:.*Proactor.*:RuntimeWarning")  # Windows, inside of pyzmq
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every notebook runs in its own kernel, in an empty folder."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    from services.jupyterlab import kernel_path

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(kernel_path()))
    work = tmp_path / "work"
    work.mkdir()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    text = nbformat.writes(notebook)
    outputs = text[text.index("outputs") :]
    assert "/9j/" not in outputs  # no picture in what would be saved
