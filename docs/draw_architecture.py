"""Draws docs/architecture.svg from the import layers of pyproject.toml: `python docs/draw_architecture.py [FILE]`."""

from __future__ import annotations

import re
import sys
import tomllib
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH, ROW, GAP, MARGIN = 920, 36, 8, 12
HOLDS = {
    "cli": "options, printing, exit codes",
    "viewer": "local servers and their pages",
    "workflows": "the jobs as functions",
    "testing": "contracts for other packages",
    "config": "schema of configurations, YAML",
    "geometry": "where source, detector and voxels are",
    "data": "Scan, Volume, units",
    "ops": "differentiable operators over the kernels",
    "recon": "analytic and iterative reconstruction",
    "choices": "every choice, one line each",
    "phantom_choices": "the phantoms among them",
    "registry": "names to things, plugins",
    "supported": "what sinograd needs of a machine",
    "errors": "one tree of errors and warnings",
}

COLOURS = {"top": "#cfe3f7", "middle": "#e3efd9", "bottom": "#f7e6c9"}


def layers(root: Path) -> list[list[str]]:
    """Packages by layer, the top one first."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return [re.findall(r"\w+", row) for row in rows]


def draw(rows: list[list[str]]) -> str:
    """The SVG: one row a layer, one box a package, arrows of imports go down."""
    height = 2 * MARGIN + len(rows) * (ROW + GAP) + ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="14" text-anchor="middle">'
    ]
    middle = next(index for index, row in enumerate(rows) if "recon" in row)
    start = next(index for index, row in enumerate(rows) if len(row) > 1)
    for index, row in enumerate(rows):
        kind = "top" if index <= start else "middle" if index < middle else "bottom"
        width = (WIDTH - 2 * MARGIN - (len(row) - 1) * GAP) / len(row)
        for column, name in enumerate(row):
            text = f"{name}: {HOLDS[name]}" if name in HOLDS and width > 300 else name
            x, y = MARGIN + column * (width + GAP), MARGIN + index * (ROW + GAP)
            parts.append(_box(x, y, width, text, COLOURS[kind]))
    y = MARGIN + len(rows) * (ROW + GAP)
    parts.append(_box(MARGIN, y, WIDTH - 2 * MARGIN, "kernels/: C++ and CUDA, called by ops only", "#e2e2e2"))
    return "\n".join([*parts, "</svg>", ""])


def _box(x: float, y: float, width: float, text: str, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}" rx="4" fill="{colour}" stroke="#777"/>'
        f'<text x="{x + width / 2:.1f}" y="{y + ROW / 2 + 5:.0f}" fill="#222">{escape(text)}</text>'
    )


def main(path: Path = HERE / "architecture.svg") -> None:
    """Writes the picture."""
    path.write_text(draw(layers(HERE.parent)), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
