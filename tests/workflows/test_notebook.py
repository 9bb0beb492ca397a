"""A progress bar in a notebook. Truth: the outputs of cells that a kernel ran."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

CELL = """
import sinograd as sg
volume = sg.reconstruct({path!r}, report="bar")
print(volume.shape)
"""


def test_the_bar_is_shown(cone: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.format(path=str(cone)))])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    shown = "".join(str(output.get("data", {})) + output.get("text", "") for output in outputs)
    assert "(20, 18, 18)" in shown
    assert "reconstructing" in shown and "24/24 views" in shown
    assert "ipywidgets" not in shown
