"""Patients: chest phantom, exact projections, noise, filtered backprojection slice by slice; and crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from invariance.settings import WATER, Study
from sinograd import add_photon_noise, fbp, low_dose
from sinograd.config.schema import to_plain
from sinograd.data.units import Conversion
from sinograd.datasets import PairedVolume
from sinograd.invariance import Place, crop_of
from sinograd.io.storage.atomic import replacing
from sinograd.phantoms import chest
from study.config import digest
from study.data import noise_generator

_VERSION = 1  # of what is made here; older files are made again


@dataclass(frozen=True, eq=False)
class Patient:
    """projections: of the low dose, [Z, views, columns]. low, normal: [Z, Y, X] in HU. nodules: where they are."""

    seed: int
    projections: Tensor
    low: Tensor
    normal: Tensor
    nodules: Tensor

    @property
    def name(self) -> str:
        """For messages."""
        return f"patient {self.seed}"


@dataclass(frozen=True)
class Crop:
    """A crop of a test patient. lesion: whether it contains one."""

    patient: int
    place: Place
    lesion: bool


def data_hash(study: Study) -> str:
    """SHA-256 of all that the slices depend on but the patients' seeds."""
    plain = to_plain(study.scans)
    return digest([{key: value for key, value in plain.items() if not isinstance(value, dict)}, _VERSION])


def patients(study: Study, seeds: Sequence[int], cache: Path | None) -> list[Patient]:
    """Patients, made or found in `cache`."""
    return [_patient(study, seed, cache) for seed in seeds]


def pairs(items: Sequence[Patient], targets: Sequence[Tensor] | None) -> list[PairedVolume]:
    """Low doses and targets; None: none."""
    return [
        PairedVolume(item.name, f"{item.seed}", (item.low,), None if targets is None else targets[i], "HU")
        for i, item in enumerate(items)
    ]


def _patient(study: Study, seed: int, cache: Path | None) -> Patient:
    file = None if cache is None else cache / data_hash(study)[:16] / f"patient-{seed}.pt"
    if file is not None and file.is_file():
        return Patient(**torch.load(file, weights_only=True))
    made = _make(study, seed)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file, force=True) as temporary:
            torch.save(vars(made), temporary)
    return made


def _make(study: Study, seed: int) -> Patient:
    scans = study.scans
    geometry, grid = scans.scan()
    body, generator = chest(seed, nodules=scans.nodules, vessels=scans.vessels, water=WATER), noise_generator(seed, 0)
    nodules, hounsfield = body[-scans.nodules :], Conversion("1/mm", "HU", WATER)
    parts: list[tuple[Tensor, ...]] = []
    for index in range(scans.slices):
        shift = (0.0, 0.0, -(index - (scans.slices - 1) / 2) * scans.height)
        exact = body.translated(shift).project(geometry)
        normal = add_photon_noise(exact, scans.photons, scans.electronic_noise, generator=generator)
        low = low_dose(normal, scans.dose, scans.photons, scans.electronic_noise, generator=generator)
        images = [hounsfield(fbp(each, geometry, grid, window=scans.window)) for each in (low, normal)]
        inside = nodules.translated(shift).voxelize(grid, supersampling=1) > 0
        parts.append((low, *images, inside))
    return Patient(seed, *(torch.stack(each) for each in zip(*parts, strict=True)))


def choose_crops(study: Study, patient: Patient, size: int) -> list[Crop]:
    """Some around nodules, the others anywhere in the lungs' rows; drawn from the patient's seed."""
    rules, generator = study.crops, noise_generator(patient.seed, 1)
    rows, columns = patient.low.shape[1:]
    seen = [index for index in range(len(patient.nodules)) if patient.nodules[index].sum() >= rules.least]
    found = []
    for number in range(rules.per_patient):
        if number < rules.about_nodules and seen:
            index = seen[_below(len(seen), generator)]
            pixels = patient.nodules[index].nonzero()
            y, x = pixels[_below(len(pixels), generator)].tolist()
            offset = [_below(2 * rules.jitter + 1, generator) - rules.jitter for _ in range(2)]
            top, left = y - size // 2 + offset[0], x - size // 2 + offset[1]
        else:
            index = _below(len(patient.nodules), generator)
            top, left = _below(rows - size + 1, generator), _below(columns - size + 1, generator)
        place = Place(min(max(top, 0), rows - size), min(max(left, 0), columns - size), index)
        inner = crop_of(patient.nodules, place, size)[0]
        inner = inner[rules.margin : size - rules.margin, rules.margin : size - rules.margin]
        found.append(Crop(patient.seed, place, int(inner.sum()) >= rules.least))
    return found


def cut(volumes: dict[int, Tensor], crops: Sequence[Crop], size: int) -> Tensor:
    """The crops of volumes by patient, [N, 1, size, size]."""
    return torch.stack([crop_of(volumes[crop.patient], crop.place, size) for crop in crops])


def _below(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=generator))
