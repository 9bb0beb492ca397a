"""Runs notebooks and stores what their cells show: `python notebooks/store.py [NAME ...]`, all without names.

Each runs from top to bottom in a kernel of its own, in an empty folder, with one thread. Of what a cell shows the text
and the pictures are kept, pictures in at most 256 colours. The notebook's metadata get a digest of its code, by which
the tests tell outputs of other code. `HTC2022` is the folder of the scans of notebook 04; without it, a phantom is one.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEPT = ("image/png", "text/plain")
_COLOURS = 256
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_DRAWN_OVER = re.compile(r"(?:\r|\x1b\[[0-9]*A)*\x1b\[2K.*\x1b\[2K(?:\x1b\[[0-9]*A|\r|\x1b\[2K)*[^\n]*\n?", re.DOTALL)


def source_digest(notebook: Mapping[str, Any]) -> str:
    """SHA-256 of the code cells, in order."""
    code = [_joined(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def stored_digest(notebook: Mapping[str, Any]) -> str | None:
    """Of the code whose outputs are stored."""
    return notebook["metadata"].get("sinograd", {}).get("outputs_of")


def kept(output: Mapping[str, Any], folder: str) -> dict[str, Any] | None:
    """What is stored of an output; None: nothing. Paths in `folder` lose it."""
    if output["output_type"] == "stream":
        text = seen(_joined(output["text"])).replace(folder, "...")
        return {"name": output["name"], "output_type": "stream", "text": text.splitlines(keepends=True)}
    if output["output_type"] not in ("display_data", "execute_result"):
        return None
    data = {kind: output["data"][kind] for kind in KEPT if kind in output["data"]}
    if "image/png" in data:
        data["image/png"] = _smaller(data["image/png"])
    if not data:
        return None
    if "text/plain" in data:
        data["text/plain"] = _joined(data["text/plain"]).replace(folder, "...").splitlines(keepends=True)
    return {**output, "data": data, "metadata": {}}


def seen(text: str) -> str:
    """What a terminal shows in the end: without bars that were drawn over, colours and returns."""
    return _CODES.sub("", _DRAWN_OVER.sub("", text)).replace("\r\n", "\n").replace("\r", "\n")


def joined(outputs: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Outputs of a cell, texts that follow each other in one."""
    last: dict[str, Any] | None = None
    for output in outputs:
        if last is not None and _same_stream(last, output):
            last["text"] = _joined(last["text"]) + _joined(output["text"])
            continue
        if last is not None:
            yield last
        last = dict(output)
    if last is not None:
        yield last


def run(path: Path) -> None:
    """Execute a notebook and store its outputs in it. Raises what its kernel raises."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "TMPDIR": folder}
        resources = {"metadata": {"path": folder}}
        NotebookClient(
            notebook, timeout=3600, kernel_name="python3", resources=resources, record_timing=False
        ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [found for output in joined(cell.outputs) if (found := kept(output, folder)) is not None]
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["sinograd"] = {"outputs_of": source_digest(notebook)}
    text = json.dumps(_plain(notebook), indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def main(names: list[str]) -> None:
    """Those whose names start with one of these; all without."""
    for name, value in (("OMP_NUM_THREADS", "1"), ("PYTHONPATH", str(HERE.parent / "src"))):
        os.environ.setdefault(name, value)
    for path in sorted(HERE.glob("*.ipynb")):
        if not names or any(path.name.startswith(name) for name in names):
            run(path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def _same_stream(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one["output_type"] == other["output_type"] == "stream" and one["name"] == other["name"]


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _smaller(picture: str) -> str:
    """A PNG in base64 with a palette, where that is smaller."""
    from PIL import Image

    held = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    flat.quantize(_COLOURS, dither=Image.Dither.NONE).save(held, "PNG", optimize=True)
    made = base64.b64encode(held.getvalue()).decode("ascii")
    return made if len(made) < len(picture) else picture


def _plain(notebook: Any) -> dict[str, Any]:
    """As a mapping, with texts as lists of lines and keys of cells as nbformat sorts them."""
    plain = json.loads(json.dumps(notebook))
    for cell in _cells(plain):
        cell["source"] = _joined(cell["source"]).splitlines(keepends=True)
    return plain


def _cells(notebook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from notebook["cells"]


if __name__ == "__main__":
    main(sys.argv[1:])
