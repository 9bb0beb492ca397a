"""Scans in the two forms in which the walnut is published, of a phantom: an .npz and a folder of raw images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

import sinograd as sg

SID, SDD, PIXEL = 210.66, 553.74, 0.4


def line_integrals(shape: tuple[int, int] = (24, 64), views: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """[views + 1, rows, columns] and angles in radians that rise; the last view repeats the first."""
    angles = np.linspace(0, 2 * np.pi, views + 1)
    geometry = sg.ConeBeam.circular(
        source_to_origin=SID,
        source_to_detector=SDD,
        angles=torch.from_numpy(angles),
        detector=sg.FlatDetector(shape, PIXEL),
    )
    body = sg.Ellipsoids([0.04, 0.03], [[3.0, 3.4, 4.0], [1.0, 0.8, 1.2]], [[0, 0, 0], [1.2, 0.5, 0.3]])
    return body.project(geometry).float().numpy(), angles


def write_reduced(path: Path, **changes: Any) -> Path:
    """An .npz with falling angles, as the reduced file has; None takes an array away."""
    images, angles = line_integrals()
    arrays = {"sinogram": images.astype(np.float16), "angles": -angles.astype(np.float32)}
    arrays |= {name: np.float32(value) for name, value in (("sid", SID), ("sdd", SDD), ("du", PIXEL), ("dv", PIXEL))}
    arrays |= changes
    np.savez_compressed(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def write_record(folder: Path, air: float = 2000.0, **changes: str) -> Path:
    """Raw counts of every third image (the others are not read) and the parameters, pixels an eighth as large."""
    images, angles = line_integrals(views=12)
    folder.mkdir()
    for index, image in enumerate(images):
        counts = np.repeat(np.repeat(air * np.exp(-image), 8, axis=0), 8, axis=1)
        counts[:, :4] = air
        tifffile.imwrite(folder / f"20201111_walnut_{3 * index + 1:04d}.tif", counts.astype(np.uint16))
    parameters = {
        "NumberImages": str(3 * len(images) - 2),
        "DistanceSourceDetector": "553.74",
        "DistanceSourceOffset": "110.66",
        "DistanceOffsetSample": "100.00",
        "AngleFirst": "0.00",
        "AngleInterval": f"{np.degrees(angles[1]) / 3}",
        "PixelSize": "0.050",
        **changes,
    }
    lines = ["[GEOMETRY]", *(f"{name} = {value}" for name, value in parameters.items() if value)]
    (folder / "20201111_walnut_.txt").write_text("\n".join(lines))
    return folder
