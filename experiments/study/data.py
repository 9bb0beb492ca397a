"""Phantom -> exact projections -> noise -> reconstruction: the volumes that methods learn from and are scored on.

Projections come from the formulas of the objects, not from an operator that a reconstruction inverts. The low dose is
made from the normal-dose scan (`sinograd.low_dose`), as in the paper, so the noise of the normal dose is in both.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sinograd import ConeBeam, Grid, add_photon_noise, bowtie_transmission, fdk, helical_fbp, low_dose
from sinograd.choices import PHANTOMS
from sinograd.config.schema import to_plain
from sinograd.io.storage.atomic import replacing
from sinograd.phantoms import Ellipsoids
from sinograd.physics import Starved, made_by_views
from sinograd.recon.analytic.helical.helix import is_helix
from study.config import Study, digest

_VERSION = 1  # of what is made here; older files are made again
_VIEWS = 24  # worked on at once; the noise of a seed depends on it


@dataclass(frozen=True, eq=False)
class Case:
    """One scan of one phantom.

    projections: line integrals of the low dose, [views, rows, columns]. low, normal, clean: FDK of the low dose, of
    the normal dose and of the exact projections, [Z, Y, X] in 1/mm. starved: readings of the low dose without photons.
    """

    phantom: int
    seed: int
    projections: Tensor
    low: Tensor
    normal: Tensor
    clean: Tensor
    starved: int

    @property
    def name(self) -> str:
        """For messages and files."""
        return f"phantom {self.phantom}, seed {self.seed}"


def data_hash(study: Study) -> str:
    """SHA-256 of all that the data depend on but the seeds."""
    phantoms = study.phantoms
    parts = (study.geometry, study.grid, study.noise, phantoms.kind, phantoms.options, phantoms.draw)
    return digest([to_plain(part) for part in parts] + [_VERSION])


def make_phantom(study: Study, seed: int, **options: Any) -> Ellipsoids:
    """The object of a seed."""
    drawn = dict(study.phantoms.options)
    size = 1.0
    for name, (low, high) in study.phantoms.draw.items():
        factor = low + (high - low) * random.Random(f"{name}/{seed}").random()
        if name == "size":
            size = factor
        else:
            drawn[name] = [factor * v for v in drawn[name]] if isinstance(drawn[name], list) else factor * drawn[name]
    made = PHANTOMS.load(study.phantoms.kind)(seed, **drawn, **options)
    return made if size == 1.0 else made.scaled(size)


def make_case(study: Study, phantom: int, seed: int, **options: Any) -> Case:
    """A scan of `phantom` with the noise of `seed`; options go to the phantom."""
    return scanned(study, make_phantom(study, phantom, **options), phantom, seed)


def scanned(study: Study, made: Ellipsoids, phantom: int, seed: int) -> Case:
    """A scan of an object, view block by view block."""
    geometry, grid, noise = study.scan_geometry, study.volume_grid, study.noise
    photons: float | Tensor = noise.photons
    if noise.bowtie_mm is not None:
        water = study.scale.water or 0.02
        photons = noise.photons * bowtie_transmission(geometry, noise.bowtie_mm, water)
    generator = noise_generator(phantom, seed)
    starved = Starved()

    def scans(views: slice) -> tuple[Tensor, Tensor, Tensor]:
        exact = made.project(geometry[views])
        normal = add_photon_noise(exact, photons, noise.electronic_noise, generator=generator)
        low = low_dose(normal, noise.dose, photons, noise.electronic_noise, generator=generator, return_counts=True)
        counted = starved.counted(low)
        return exact, *(exact + correlated(scan - exact, noise.correlation) for scan in (normal, counted))

    exact, normal, low = made_by_views(geometry.projection_shape, scans, _VIEWS)
    return Case(phantom, seed, low, *(volume_of(scan, geometry, grid) for scan in (low, normal, exact)), starved.empty)


def volume_of(projections: Tensor, geometry: ConeBeam, grid: Grid) -> Tensor:
    """FDK of one turn; weighted filtered backprojection of a helix, whose rebinning correlates the noise."""
    return (helical_fbp if is_helix(geometry) else fdk)(projections, geometry, grid)


def correlated(noise: Tensor, sigma: float) -> Tensor:
    """Noise [views, rows, columns] convolved with a Gaussian of unit energy, so that white noise keeps its variance."""
    if sigma == 0:
        return noise
    reach = math.ceil(4 * sigma)
    line = torch.exp(-(torch.arange(-reach, reach + 1, dtype=noise.dtype) ** 2) / (2 * sigma**2))
    kernel = line[:, None] * line
    kernel = kernel / kernel.square().sum().sqrt()
    padded = torch.nn.functional.pad(noise[:, None], [reach] * 4, mode="circular")
    return torch.nn.functional.conv2d(padded, kernel[None, None])[:, 0]


def noise_generator(phantom: int, seed: int) -> torch.Generator:
    """The random numbers of one scan."""
    key = hashlib.sha256(f"noise/{phantom}/{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1)


def cached_case(study: Study, phantom: int, seed: int, cache: Path | None, **options: Any) -> Case:
    """`make_case`, kept in a file of `cache` if that is given."""
    if cache is None:
        return make_case(study, phantom, seed, **options)
    marks = "".join(f"-{name}-{value}" for name, value in sorted(options.items()))
    file = cache / data_hash(study)[:16] / f"phantom-{phantom}{marks}-seed-{seed}.pt"
    if file.is_file():
        return Case(**torch.load(file, weights_only=True))
    case = make_case(study, phantom, seed, **options)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, force=True) as temporary:
        torch.save(vars(case), temporary)
    return case
