"""The notebooks run from top to bottom, in a kernel of their own, as they stand."""

from __future__ import annotations

import base64
import io
import json
import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sinograd

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "htc2022"
MOST_BYTES = 700_000


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
def test_stored_outputs_are_of_the_current_code(path: Path, project_root: Path) -> None:
    """`make notebooks` runs the cells as they stand; outputs show pictures, no errors, and no paths of a machine."""
    store = runpy.run_path(str(project_root / "notebooks" / "store.py"))
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert store["stored_digest"](notebook) == store["source_digest"](notebook), f"make notebooks NAMES={path.stem[:2]}"
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert all(output.get("name") != "stderr" for output in outputs)
    text = "".join(
        line for output in outputs for line in (*output.get("text", ()), *output.get("data", {}).get("text/plain", ()))
    )
    assert re.findall(r"(?<![\w.])/(?:tmp|home|root|work|usr|var)/\S*", text) == []
    assert path.stat().st_size < MOST_BYTES


def test_what_is_stored_of_an_output(project_root: Path) -> None:
    """Text and pictures; colours of terminals and the folder of the run are gone."""
    store = runpy.run_path(str(project_root / "notebooks" / "store.py"))
    kept = store["kept"]
    text = {"output_type": "stream", "name": "stdout", "text": "\x1b[31m/tmp/x/volume.h5\x1b[0m\nb"}
    assert kept(text, "/tmp/x")["text"] == [".../volume.h5\n", "b"]
    bars = [{"output_type": "stream", "name": "stdout", "text": f"\r\x1b[2Kreading {n} s"} for n in range(3)]
    scan = {"output_type": "stream", "name": "stdout", "text": "\r\nscan 1\r\n"}
    (whole,) = store["joined"]([{"output_type": "stream", "name": "stdout", "text": "a\n"}, *bars, scan])
    assert kept(whole, "/tmp/x")["text"] == ["a\n", "scan 1\n"]
    held = io.BytesIO()
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save(held, "PNG")
    picture = {
        "output_type": "display_data",
        "data": {"image/png": base64.b64encode(held.getvalue()).decode(), "text/html": "<b>x</b>", "text/plain": "F"},
        "metadata": {"a": 1},
    }
    found = kept(picture, "/tmp/x")
    assert set(found["data"]) == {"image/png", "text/plain"} and found["metadata"] == {}
    shown = Image.open(io.BytesIO(base64.b64decode(found["data"]["image/png"]))).convert("RGB")
    assert shown.size == (40, 30) and shown.getpixel((0, 0)) == (255, 255, 255)  # transparent is white
    assert kept({"output_type": "display_data", "data": {"text/html": "x"}, "metadata": {}}, "/tmp/x") is None


def test_pages_of_the_notebooks(project_root: Path) -> None:
    """The site has a page of each with its code, outputs and pictures, and a gallery; all stand in the menu."""
    made = runpy.run_path(str(project_root / "docs" / "notebook_pages.py"))["pages"](project_root / "notebooks")
    menu = (project_root / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [name for name in made if name.endswith(".md")]
    assert sorted(pages) == sorted(["index.md", *(f"{path.stem}.md" for path in NOTEBOOKS)])
    assert [page for page in pages if f" gallery/{page}\n" not in menu] == []
    for path in NOTEBOOKS:
        text = made[f"{path.stem}.md"]
        pictures = re.findall(r"\]\(([^)]+\.png)\)", text)
        assert pictures and all(made[name].startswith(b"\x89PNG") for name in pictures)
        assert "```python\nimport" in text and f"]({path.stem}.md)" in made["index.md"]
        assert any(f"]({name})" in made["index.md"] for name in pictures)


def test_the_phantom_that_takes_the_place_of_the_real_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cell of notebook 04 where the files are missing."""
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
