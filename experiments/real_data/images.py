"""Measured images and what a lower dose would have made of them, and a measured scan with fewer photons.

Nothing is inverted by the model that made it: images are the vendor's, and noise alone is simulated (projected for its
strength by the projector, drawn, reconstructed and added); the scan's readings are thinned and reconstructed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from real_data.settings import Image, Study, ThinnedScan
from sinograd import Volume, fbp, low_dose, read, read_volume
from sinograd.config.schema import to_plain
from sinograd.datasets import OwnVolume, PairedVolume, load_pairs
from sinograd.datasets.own_volume import OwnVolumeScan
from sinograd.geometry import FanBeam, Grid
from study.config import digest

_VERSION = 1
_BODY_HU = -500.0  # above it is patient
_TRIAL_PHOTONS = 1e6


@dataclass(frozen=True, eq=False)
class Pair:
    """low, normal: [Z, Y, X] in HU; inside: where the patient is. photons: a reading of the low dose without object."""

    name: str
    patient: str
    low: Tensor
    normal: Tensor
    inside: Tensor
    spacing: tuple[float, ...]
    photons: float


def measured(study: Study, image: Image) -> tuple[Tensor, tuple[float, float, float]]:
    """A volume in HU and its voxels in mm."""
    path = study.folder / image.file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single slice: its spacing is its thickness
        if path.suffix == ".dcm":
            with tempfile.TemporaryDirectory() as folder:
                shutil.copy(path, folder)
                volume = read_volume(folder)
        else:
            volume = read_volume(path)
    values = volume.values.float() + image.offset
    values = values[None] if values.ndim == 2 else values
    if image.slices is not None:
        values = values[image.slices[0] : image.slices[1] + 1]
    assert volume.grid is not None
    z, y, x = volume.grid.spacing[-3:]
    return values.clamp(min=-1000.0), (z, y, x)  # padding is air


def lower_dose(study: Study, name: str, seed: int) -> Pair:
    """An image at a dose that adds `noise_hu` inside the patient; the photons follow from a trial of another seed."""
    image = study.images[name]
    normal, spacing = measured(study, image)
    inside = normal > _BODY_HU
    middle = len(normal) // 2
    part = slice(max(0, middle - 1), middle + 2)
    trial = _noisy(study, name, normal[part], spacing, _TRIAL_PHOTONS, -1) - normal[part]
    added = float(trial[inside[part]].square().mean().sqrt())
    photons = _TRIAL_PHOTONS * (added / study.noise_hu) ** 2
    low = _noisy(study, name, normal, spacing, photons, seed)
    return Pair(name, image.patient, low, normal, inside, spacing, photons)


def _noisy(
    study: Study, name: str, values: Tensor, spacing: tuple[float, float, float], photons: float, seed: int
) -> Tensor:
    scan = dataclasses.replace(study.scan, photons=photons)
    spec = OwnVolume("own-volume", (Path(name),), "HU", scan, seed=abs(seed) + 10_000 * (seed < 0))
    volume = Volume(values, Grid((values.shape[0], values.shape[1], values.shape[2]), spacing), "HU")
    simulation = OwnVolumeScan(spec, volume, name)
    blocks = range(0, len(values), simulation.block)
    return torch.cat([simulation.make(first, min(first + simulation.block, len(values)))[0] for first in blocks])


def thinned(study: Study, spec: ThinnedScan, seed: int) -> tuple[Tensor, Tensor, float]:
    """Slices [1, Y, X] in 1/mm of the thinned scan and of the measured one, and the photons of a reading of that."""
    scan = read(study.folder / spec.file)
    geometry = scan.geometry
    assert isinstance(geometry, FanBeam)
    projections = torch.as_tensor(scan.projections[:]).float()
    photons = open_beam_photons(projections, spec.open_below)
    low = low_dose(projections, spec.dose, photons, generator=generator("thinned", seed))
    reach = geometry.field_of_view
    grid = Grid((spec.pixels, spec.pixels), reach / spec.pixels)
    slices = [fbp(p, geometry, grid)[None] for p in (low, projections)]
    return slices[0], slices[1], photons


def open_beam_photons(projections: Tensor, below: float) -> float:
    """1 / the variance of the readings beside the object, from differences of neighbouring views; [views, columns].

    A reading of N photons has a line integral of the variance 1 / N. Blur of the detector makes N too large.
    """
    open_beam = (projections < below).all(0)
    if int(open_beam.sum()) < 8:
        raise ValueError(f"open_below: expected at least 8 columns beside the object, got {int(open_beam.sum())}")
    differences = projections[1:, open_beam].double().diff(dim=0) / 2**0.5
    return float(1 / differences.square().mean())


def phantom_pairs(study: Study, seed: int) -> list[PairedVolume]:
    """Phantoms in HU instead of patients, of the same noise, in memory."""
    spec = dataclasses.replace(study.phantoms, first_seed=study.phantoms.first_seed + 100 * seed)
    found = []
    for pair in load_pairs(spec):
        assert pair.target is not None
        low, normal = (v.read(0, v.shape[0]) for v in (pair.inputs[0], pair.target))
        inside = normal > _BODY_HU
        added = float((low - normal)[inside].square().mean().sqrt())
        scaled = normal + (low - normal) * (study.noise_hu / added)
        found.append(PairedVolume(pair.name, pair.name, (scaled,), normal, "HU"))
    return found


def paired(pair: Pair) -> PairedVolume:
    """What training takes."""
    return PairedVolume(pair.name, pair.patient, (pair.low,), pair.normal, "HU")


def data_hash(study: Study) -> str:
    """SHA-256 of all that the images depend on: the measured files as well."""
    files = (*(image.file for image in study.images.values()), study.thinned.file)
    held = [_hashes(study.folder / name) for name in files]
    parts = (study.images, study.thinned, study.noise_hu, study.scan, study.phantoms)
    return digest([[to_plain(part) for part in parts], held, _VERSION])


def _hashes(path: Path) -> list[str]:
    """Of a file, or of all files of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def generator(*key: object) -> torch.Generator:
    """The random numbers that belong to a key."""
    found = hashlib.sha256("/".join(map(str, ("real-data", *key))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(found[:8], "little") >> 1)
