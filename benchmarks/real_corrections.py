"""Corrections of measured scans, by figures that need no truth (`truthless.py`).

    python benchmarks/real_corrections.py FOLDER -o benchmarks/results/real-corrections.json

FOLDER holds `walnut` (cone beam, Zenodo 10.5281/zenodo.6986012, every third view, 8 x 8 pixels joined; the middle plane
is used as a fan beam) and `htc2022` (fan beam, acrylic, 10.5281/zenodo.6984868). `--pictures docs/howto/pictures` draws
those of docs/howto/corrections.md.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Annotated

import machine
import numpy as np
import torch
import truthless
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

import sinograd as sg
from sinograd import preparation
from sinograd.geometry import FanBeam, Grid
from sinograd.physics import DetectorResponse, Spectrum

RESULTS = Path(__file__).resolve().parent / "results"
AIR = (0, 16)  # columns beside the objects
THIN, THICK = (22.0, 26.0), (54.0, 58.0)  # mm of acrylic
WIDTH, COLOURS = 760, 64  # of pictures
SHARES = tuple(0.02 * k for k in range(16))


class Scan:
    """Line integrals [views, columns] of a fan, and their figures before and after corrections."""

    def __init__(self, geometry: FanBeam, voxels: int) -> None:
        self.geometry = geometry
        self.grid = Grid((voxels, voxels), geometry.field_of_view / voxels)
        self.rows: dict[str, dict] = {}

    def slice(self, lines: Tensor, window: str = "ram-lak") -> Tensor:
        """The reconstruction."""
        return sg.fbp(lines, self.geometry, self.grid, window=window)

    def add(self, name: str, lines: Tensor, **more: object) -> None:
        """Figures of corrected line integrals."""
        error, sums = truthless.kept_back(lines, self.geometry, self.grid)
        opposite = truthless.opposite(lines, self.geometry)
        rings = truthless.rings(self.slice(lines))
        self.rows[name] = {"kept back": error, "their sums": sums, "opposite rays": opposite, "rings": rings, **more}
        print(
            name,
            {key: f"{value:.5f}" for key, value in self.rows[name].items() if isinstance(value, float)},
            flush=True,
        )


def against(lines: Tensor, other: Tensor, scan: Scan) -> float:
    """Root mean square of the change of a slice over its deviation."""
    before = scan.slice(other)
    return float((scan.slice(lines) - before).square().mean().sqrt() / before.std())


def walnut(folder: Path) -> tuple[Scan, list[Tensor]]:
    """A walnut that moved a little on its holder: the last view is the first, one turn later."""
    with np.load(folder / "walnut_cone.npz") as data:
        images = torch.from_numpy(data["sinogram"].astype(np.float32))
        angles = -torch.from_numpy(data["angles"].astype(np.float64))
        distances = {"source_to_origin": float(data["sid"]), "source_to_detector": float(data["sdd"])}
        detector = sg.FlatDetector(images.shape[2], float(data["du"]))
    views = len(images) - 1
    scan = Scan(sg.FanBeam.circular(**distances, angles=angles[:views], detector=detector), 192)

    def middle(values: Tensor) -> Tensor:
        row = values.shape[1] // 2
        return values[:views, row - 1 : row + 1].mean(1)

    scan.add("none", middle(images))
    scan.add("dose drift", middle(-preparation.correct_dose_drift(torch.exp(-images), AIR).log()))
    drift = preparation.find_sample_drift(images[views:].double(), images[:1].double(), [0], views)
    around = drift - drift.mean(0)  # the axis was centred for the mean of the scan
    still = preparation.shift_projections(images[:views], -around)
    scan.add("sample drift", middle(still), shift=drift[-1].tolist())
    wrong = preparation.shift_projections(images[:views], around)
    scan.add("sample drift, the wrong way", middle(wrong))
    share = best_share(still, middle, scan)
    primary = without_scatter(still, share)
    scan.add("sample drift and scatter", middle(primary), share=share)
    _, used = truthless.split(views)
    polynomial = preparation.consistent_polynomial(middle(still)[used], scan.geometry[used], scan.grid, degree=2)
    hardened = preparation.correct_beam_hardening(middle(still), polynomial)
    scan.add("sample drift and hardening, consistent", hardened, coefficients=polynomial)
    for method in ("constant", "combined"):
        less = middle(preparation.remove_stripes(still, method))
        scan.add(f"sample drift and rings, {method}", less, change=against(less, middle(still), scan))
    return scan, [scan.slice(middle(values), "hann") for values in (images, still, primary)]


def best_share(images: Tensor, middle, scan: Scan) -> float:
    """The uniform share of scatter for which sums of views agree best: other views than those of the figures."""

    def error(share: float) -> float:
        lines = middle(without_scatter(images, share))
        return truthless.kept_back(lines, scan.geometry, scan.grid, first=0)[1]

    return min(SHARES, key=error)


def without_scatter(images: Tensor, share: float) -> Tensor:
    """Line integrals less a uniform share, and air that reads one again: it was scaled with the scatter in it."""
    primary = preparation.correct_scatter(torch.exp(-images), share)
    return -preparation.correct_dose_drift(primary, AIR).log()


def acrylic(file: Path) -> tuple[Scan, list[Tensor]]:
    """A disc of acrylic with holes in the beam of a molybdenum tube; a tenth of the rays is missing."""
    whole = sg.read(file)
    columns = whole.projections.shape[1] // 2
    lines = -torch.exp(-torch.as_tensor(whole.projections[:]).float()).reshape(-1, columns, 2).mean(2).log()
    geometry = whole.geometry
    joined = FanBeam.circular(
        source_to_origin=float(geometry.source_to_origin),
        source_to_detector=float(geometry.source_to_detector),
        angles=geometry.angles,
        detector=sg.FlatDetector(columns, 2 * float(geometry.detector.spacing[-1])),
    )
    scan = Scan(joined, 256)
    lengths = truthless.lengths_in_object(lines, joined, scan.grid)

    def add(name: str, values: Tensor, **more: object) -> None:
        loss = truthless.loss_per_mm(values, lengths, THIN, THICK)
        scan.add(name, values, **{"loss per mm": loss}, **more)

    add("none", lines)
    air = -preparation.correct_dose_drift(torch.exp(-lines), AIR).log()
    add("dose drift", air)
    polynomials = {"spectrum": of_spectrum(float(air.max()))}
    for name in ("flat", "segmented", "consistent"):
        find = getattr(preparation, f"{name}_polynomial")
        polynomials[name] = find(air, joined, scan.grid, degree=2)
    done = {}
    for name, coefficients in polynomials.items():
        done[name] = preparation.correct_beam_hardening(air, coefficients)
        add(f"hardening, {name}", done[name], coefficients=coefficients)
    for method in ("constant", "combined"):
        less = preparation.remove_stripes(air, method)
        add(f"rings, {method}", less, change=against(less, air, scan))
    return scan, [scan.slice(values, "hann") for values in (air, done["spectrum"], done["segmented"])]


def of_spectrum(largest: float) -> tuple[float, ...]:
    """What the file states of the tube, and a usual screen of caesium iodide."""
    tube = Spectrum.tube(45, "0.5 mm Al", target="Mo", bin_kev=0.5)
    screen = DetectorResponse("integrating", "caesium iodide", 0.15)
    return preparation.spectral_polynomial(tube, "pmma", detector=screen, largest=largest, degree=3)


def draw(path: Path, images: list[Tensor], titles: list[str], source: str) -> None:
    """Slices over their own means, few colours."""
    from PIL import Image

    shown = [image / image[image > image.max() / 4].mean() for image in images]
    figure = sg.show_comparison(*shown, titles=titles, window=(0.0, 1.6), unit="mean of the object")
    figure.text(0.01, 0.01, source, fontsize=7)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    picture = Image.open(content).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    picture.quantize(COLOURS).save(path, "png", optimize=True)
    print(f"{path.name}: {path.stat().st_size} bytes")


def show(name: str, rows: dict[str, dict]) -> None:
    """A table; percentages."""
    keys = list(next(iter(rows.values())))
    table = Table(name, *keys, "")
    for correction, figures in rows.items():
        rest = ", ".join(f"{key} {value}" for key, value in figures.items() if key not in keys)
        table.add_row(correction, *(f"{figures[key]:.2%}" for key in keys), rest)
    Console(width=160).print(table)


def main(
    folder: Path,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder of the pictures of docs/howto/corrections.md.")] = None,
) -> None:
    """Correct the scans."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", sg.errors.CoverageWarning)
    warnings.simplefilter("ignore", sg.errors.PreparationWarning)
    found, slices = {}, {}
    found["walnut"], slices["walnut"] = walnut(folder / "walnut")
    found["acrylic"], slices["acrylic"] = acrylic(folder / "htc2022" / "tb_549views.mat")
    for name, scan in found.items():
        show(name, scan.rows)
    if output is not None:
        result = {**machine.describe(), **{name: scan.rows for name, scan in found.items()}}
        output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if pictures is not None:
        share = found["walnut"].rows["sample drift and scatter"]["share"]
        titles = ["as measured", "sample drift", f"and {share:.0%} of scatter"]
        draw(pictures / "corrections-walnut.png", slices["walnut"], titles, "Meaney, Zenodo 6986012, CC BY 4.0")
        titles = ["as measured", "by the spectrum", "by its own lengths"]
        source = "Meaney, Silva de Moura, Siltanen, Zenodo 6984868, CC BY 4.0"
        draw(pictures / "corrections-acrylic.png", slices["acrylic"], titles, source)


if __name__ == "__main__":
    typer.run(main)
