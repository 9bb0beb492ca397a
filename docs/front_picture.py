"""Makes docs/front.png for the README from the real scan of a walnut: `python docs/front_picture.py walnut_cone.npz`.

Two slices of the walnut beside one of the simulated bone, which is cut out of docs/demo.png. Data: A. Meaney,
"Cone-Beam Computed Tomography Dataset of a Walnut", Zenodo 6986012, 2022, CC BY 4.0 (docs/howto/walnut.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import sinograd as sg
from sinograd.datasets import read_walnut

ROOT = Path(__file__).resolve().parents[1]
PANEL, GAP = 320, 8  # screen pixels
BONE = (51, 41, 308, 297)  # of docs/demo.png: the reconstruction across z
BRIGHT = 0.06  # 1/mm


def main(path: str) -> None:
    """Reconstruct the two slices and write the picture."""
    scan = read_walnut(path)
    projections = scan.load()
    across_z, across_y = (
        sg.fdk(projections, scan.geometry, sg.Grid(shape, 0.2), window="hann").squeeze()
        for shape in ((1, 192, 192), (192, 1, 192))
    )
    bone = Image.open(ROOT / "docs" / "demo.png").convert("L").crop(BONE)
    panels = [_grey(across_z), _grey(across_y), bone]
    gap = np.full((PANEL, GAP), 255, np.uint8)
    parts = [part for panel in panels for part in (_scaled(panel), gap)]
    Image.fromarray(np.hstack(parts[:-1])).quantize(64).save(ROOT / "docs" / "front.png", optimize=True)


def _grey(image: torch.Tensor) -> Image.Image:
    """The first axis upwards."""
    return Image.fromarray((image.flip(0) / BRIGHT).clamp(0, 1).mul(255).round().byte().numpy())


def _scaled(panel: Image.Image) -> np.ndarray:
    return np.asarray(panel.resize((PANEL, PANEL), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main(*sys.argv[1:])
