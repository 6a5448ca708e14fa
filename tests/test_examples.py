"""The notebooks run from start to end, in a folder that has nothing else."""

import base64
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.places import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LARGEST_BYTES = 300_000


def read(notebook: Path) -> Any:
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat (extra `dev`)")
    return nbformat.read(notebook, as_version=4)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(notebook: Path) -> None:
    assert notebook.stat().st_size < LARGEST_BYTES
    cells = [cell for cell in read(notebook).cells if cell.cell_type == "code"]
    assert cells
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own packages
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set AUDIOPG_TEST_NOTEBOOKS to a folder to keep its pictures there."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel (extra `dev`)")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = read(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    shown = [output["data"] for output in outputs if "data" in output]
    pictures = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
    players = [data["text/html"] for data in shown if "<audio" in data.get("text/html", "")]
    assert len(pictures) >= 4
    assert len(players) >= 7
    keep = os.environ.get("AUDIOPG_TEST_NOTEBOOKS")
    for number, picture in enumerate(pictures if keep else []):
        (Path(keep or "") / f"{notebook.stem}-{number}.png").write_bytes(picture)
