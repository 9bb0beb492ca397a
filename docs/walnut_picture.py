"""Makes docs/walnut.png from the real scan of a walnut: `python docs/walnut_picture.py [walnut_cone.npz]`.

Data: A. Meaney, "Cone-Beam Computed Tomography Dataset of a Walnut", Zenodo 6986012, 2022, CC BY 4.0, reduced to every
third view and 8 x 8 binning (docs/howto/walnut.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import sinograd as sg

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "walnut" / "walnut_cone.npz"
PANEL, GAP = 288, 8  # screen pixels
DARK, BRIGHT = 0.0, 0.06  # 1/mm

file = np.load(sys.argv[1] if len(sys.argv) > 1 else DATA)
sinogram = torch.from_numpy(file["sinogram"][:-1].astype(np.float32))  # the last view repeats the first
angles = -torch.from_numpy(file["angles"][:-1].astype(np.float64))


def slices(angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The slices across z and y through the middle."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=210.66,
        source_to_detector=553.74,
        angles=angles,
        detector=sg.FlatDetector((256, 256), 0.4),
    )
    across_z = sg.fdk(sinogram, geometry, sg.Grid((1, 192, 192), 0.2), window="hann")[0]
    return across_z, sg.fdk(sinogram, geometry, sg.Grid((192, 1, 192), 0.2), window="hann")[:, 0]


def panel(image: torch.Tensor) -> np.ndarray:
    """The first axis upwards, as grey values."""
    grey = ((image.flip(0) - DARK) / (BRIGHT - DARK)).clamp(0, 1).mul(255).round().byte().numpy()
    return np.asarray(Image.fromarray(grey).resize((PANEL, PANEL), Image.Resampling.LANCZOS))


across_z, across_y = slices(angles)
panels = [panel(across_z), panel(across_y), panel(slices(-angles)[0])]
gap = np.full((PANEL, GAP), 255, np.uint8)
row = np.hstack([panels[0], gap, panels[1], gap, panels[2]])
Image.fromarray(row).quantize(40).save(ROOT / "docs" / "walnut.png", optimize=True)
