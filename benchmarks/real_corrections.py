"""Corrections of measured scans, by figures that need no truth: `benchmarks/real_corrections.py FOLDER [-o FILE]`.

FOLDER holds `walnut` (cone beam, Zenodo 10.5281/zenodo.6986012) and `htc2022` (fan beam, 10.5281/zenodo.6984868).

- Rings: root mean square of what is narrow in the mean over the angle about the axis, as a share of the standard
  deviation of the slice. Detail: root mean square of the change of everything else.
- Cupping of the acrylic disc: middle against the ring near its edge, as a share of it, voxels of acrylic alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

import sinograd as sg
from sinograd.preparation import correct_beam_hardening, flat_polynomial, remove_stripes

RESULTS = Path(__file__).resolve().parent / "results"
RINGS = ("constant", "combined")


def mean_over_angle(image: Tensor) -> Tensor:
    """By distance from the axis in voxels, [radii]."""
    y, x = (torch.arange(n) - (n - 1) / 2 for n in image.shape)
    radius = (y[:, None] ** 2 + x**2).sqrt().round().long()
    count = int(min(image.shape) // 2)
    used = radius < count
    sums = torch.zeros(count).index_add_(0, radius[used], image[used])
    return sums / torch.zeros(count).index_add_(0, radius[used], torch.ones(int(used.sum())))


def ring_index(image: Tensor) -> float:
    """See above."""
    profile = mean_over_angle(image)[8:]
    padded = torch.nn.functional.pad(profile[None], (4, 4), mode="replicate")[0]
    return float((profile - padded.unfold(0, 9, 1).median(1).values).square().mean().sqrt() / image.std())


def walnut(folder: Path) -> dict:
    """A slice through the middle of the walnut."""
    data = np.load(folder / "walnut_cone.npz")
    angles = -torch.from_numpy(data["angles"].astype(np.float64))[:240]  # the last view is the first again
    rows = slice(122, 134)
    lines = torch.from_numpy(data["sinogram"][:240, rows].astype(np.float32))
    geometry = sg.ConeBeam.circular(
        source_to_origin=210.66,
        source_to_detector=553.74,
        angles=angles,
        detector=sg.FlatDetector((12, 256), 0.4),
    )
    grid = sg.Grid((1, 256, 256), 0.15)
    before = sg.fdk(lines, geometry, grid)[0]
    found = {"none": {"rings": ring_index(before), "change": 0.0}}
    for method in RINGS:
        after = sg.fdk(remove_stripes(lines, method), geometry, grid)[0]
        change = float((after - before).square().mean().sqrt() / before.std())
        found[method] = {"rings": ring_index(after), "change": change}
    return found


def acrylic(file: Path) -> dict:
    """The disc with holes, whose beam hardening the scan itself tells."""
    scan = sg.read(file)
    lines = torch.as_tensor(scan.projections[:]).float()
    grid = sg.Grid((256, 256), scan.geometry.field_of_view / 256)
    before = sg.fbp(lines, scan.geometry, grid, window="hann")
    coefficients = flat_polynomial(lines, scan.geometry, grid, degree=3)
    after = sg.fbp(correct_beam_hardening(lines, coefficients), scan.geometry, grid, window="hann")
    return {"coefficients": coefficients, "before": cupping(before), "after": cupping(after)}


def cupping(image: Tensor) -> float:
    """Of voxels of acrylic: above two thirds of the usual value and not beside others."""
    level = image[image > 0.5 * image.max()].median()
    outside = (image < 2 / 3 * level).float()[None, None]
    inside = torch.nn.functional.max_pool2d(outside, 9, 1, 4)[0, 0] == 0
    y, x = (torch.arange(n) - (n - 1) / 2 for n in image.shape)
    radius = (y[:, None] ** 2 + x**2).sqrt()
    edge = float(radius[inside].max())
    middle, ring = image[inside & (radius < 0.4 * edge)].mean(), image[inside & (radius > 0.85 * edge)].mean()
    return float(1 - middle / ring)


def main(
    folder: Path,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file.")] = RESULTS
    / "real-corrections.json",
) -> None:
    """Correct the scans."""
    found = {}
    if (folder / "walnut").is_dir():
        found["walnut"] = walnut(folder / "walnut")
    for file in sorted((folder / "htc2022").glob("tb_549*.mat")):
        found[file.stem] = acrylic(file)
    print(json.dumps(found, indent=1))
    if output is not None:
        output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
