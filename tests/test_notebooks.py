"""The notebooks run from top to bottom, in a kernel of their own, as they stand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import sinograd

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "htc2022"
MOST_BYTES = 200_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell without an error, in an empty folder that stays empty, with a picture somewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's own
        import nbformat
        from nbclient import NotebookClient

        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setenv("PYTHONPATH", str(Path(sinograd.__file__).resolve().parents[1]))  # the same sinograd
        monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        monkeypatch.setenv("HTC2022", str(REAL))  # notebook 04 takes a phantom where there is no such folder
        notebook = nbformat.read(path, as_version=4)
        folder = tmp_path / "work"
        folder.mkdir()
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert [o["text"] for o in outputs if o.get("name") == "stderr"] == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path: Path) -> None:
    import json

    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook["cells"])
    assert path.stat().st_size < MOST_BYTES


def test_the_phantom_that_takes_the_place_of_the_real_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cell of notebook 04 where the files are missing."""
    import json

    monkeypatch.setenv("HTC2022", str(tmp_path))
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith("04"))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        first = next(cell for cell in cells if cell["cell_type"] == "code")
        exec(compile("".join(first["source"]), path.name, "exec"), names)
    projections, geometry = names["load"]("tb_549views.mat", slice(0, 4))
    assert tuple(projections.shape) == geometry.projection_shape == (4, 560)
    assert 1.0 < projections.max() < 3.5
