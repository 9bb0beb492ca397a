"""Simulated bones, their high-resolution truth and their clinical scans.

Bones are `sinograd.phantoms.trabecular`; projections come from its fine grid, not from an operator that the
reconstruction inverts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy import ndimage
from torch import Tensor

import sinograd as sg
from bone_microstructure.settings import Bone, Clinical, Reference, Study
from sinograd.config.schema import to_plain
from sinograd.io.storage.atomic import replacing
from sinograd.morphometry import DensityCalibration, calibrate_by_low_pass
from sinograd.phantoms import trabecular
from sinograd.phantoms.trabecular import Trabecular
from study.config import digest

_VERSION = 1  # of what is made here; older files are made again


@dataclass(frozen=True, eq=False)
class BoneScans:
    """One bone: the truth and its scans, all on the grid of the study.

    Attributes:
        name: of the bone.
        truth: [Z, Y, X], the high-resolution scan, mg/cm3.
        share: [Z, Y, X], bone's share of the voxels of the phantom itself, 0 to 1, without blur or noise.
        scans: [currents, repetitions, Z, Y, X], 1/mm; mg/cm3 once `calibrated`.
    """

    name: str
    truth: Tensor
    share: Tensor
    scans: Tensor


def data_hash(study: Study) -> str:
    """SHA-256 of all that the scans depend on but the bones."""
    return digest([to_plain(study.region), to_plain(study.reference), to_plain(study.clinical), _VERSION])


def cached_scans(study: Study, bone: Bone, cache: Path | None) -> BoneScans:
    """`make_scans`, kept in a file of `cache` if that is given."""
    if cache is None:
        return make_scans(study, bone)
    file = cache / data_hash(study)[:16] / f"{bone.name}-{digest(to_plain(bone))[:12]}.pt"
    if file.is_file():
        return BoneScans(**torch.load(file, weights_only=True))
    found = make_scans(study, bone)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, force=True) as temporary:
        torch.save(vars(found), temporary)
    return found


def make_scans(study: Study, bone: Bone) -> BoneScans:
    """The truth and all clinical scans of a bone."""
    phantom = make_phantom(study, bone)
    truth, share = high_resolution(
        study.reference, phantom, study.region.grid, key_generator(bone.name, bone.seed, "truth")
    )
    exact = projections(study.clinical, phantom)
    scans = []
    for current in study.clinical.currents:
        for repetition in range(study.clinical.repetitions):
            generator = key_generator(bone.name, bone.seed, current, repetition)
            noisy = sg.add_photon_noise(exact, study.clinical.photons_per_mas * current, generator=generator)
            scans.append(sg.fdk(noisy, study.clinical.geometry, study.region.grid, window=study.clinical.window))
    shape = (len(study.clinical.currents), study.clinical.repetitions)
    return BoneScans(bone.name, truth, share, torch.stack(scans).unflatten(0, shape))


def calibrated(study: Study, scans: dict[str, BoneScans]) -> tuple[dict[str, BoneScans], list[DensityCalibration]]:
    """All scans in mg/cm3, by one line a current: the correlation of low-pass maps of the training bones.

    One line for all bones, from the means of the repetitions: a bone alone differs too little within itself from the
    noise of such maps, and the truth of test bones is not used.
    """
    names = [bone.name for bone in study.bones.training]
    grid = study.region.grid
    joined = sg.Grid((len(names) * grid.shape[0], *grid.shape[1:]), grid.spacing)
    reference = sg.Volume(torch.cat([scans[name].truth for name in names]), joined, "mg/cm3")
    lines = []
    for number in range(len(study.clinical.currents)):
        values = torch.cat([scans[name].scans[number].mean(0) for name in names])
        volume = sg.Volume(values, joined, "1/mm")
        lines.append(calibrate_by_low_pass(volume, reference, diameter=study.clinical.calibration_diameter))
    slopes, intercepts = (
        torch.tensor([getattr(line, name) for line in lines]).view(-1, 1, 1, 1, 1) for name in ("slope", "intercept")
    )
    found = {n: dataclasses.replace(s, scans=slopes * s.scans + intercepts) for n, s in scans.items()}
    return found, lines


def make_phantom(study: Study, bone: Bone) -> Trabecular:
    """The object, with attenuation in 1/mm."""
    options = {key: value for key, value in to_plain(bone).items() if key not in ("name", "seed")}
    size = study.region.phantom
    return trabecular(
        bone.seed,
        diameter=size[0],
        height=size[1],
        bone=study.clinical.bone,
        marrow=study.clinical.marrow,
        **options,
    )


def high_resolution(
    spec: Reference, phantom: Trabecular, grid: sg.Grid, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The truth in mg/cm3, and bone's share of each voxel of the object, both on `grid`.

    Box averages over fine voxels, blur, noise; then the average over each voxel of the grid.
    """
    voxel = spec.voxel
    # Beyond the grid by what the blur needs.
    margin = 4 * spec.blur
    fine = sg.Grid(tuple(math.ceil((size + 2 * margin) / voxel) for size in grid.size), voxel)
    values = phantom.voxelize(fine, supersampling=spec.points)
    share = (values - phantom.marrow) / (phantom.bone - phantom.marrow)
    blurred = torch.from_numpy(ndimage.gaussian_filter(share.numpy(), spec.blur / voxel))
    density = spec.marrow + (spec.bone - spec.marrow) * blurred
    noisy = density + spec.noise * torch.randn(density.shape, generator=generator)
    return resampled(noisy, fine, grid), resampled(share, fine, grid)


def resampled(values: Tensor, fine: sg.Grid, grid: sg.Grid) -> Tensor:
    """Means over the voxels of a coarse grid with the same centre, by the shares of the fine voxels in them."""
    for axis in range(3):
        shares = _overlaps(fine.shape[axis], fine.spacing[axis], grid.shape[axis], grid.spacing[axis])
        values = torch.movedim(torch.einsum("ab,b...->a...", shares, values.movedim(axis, 0)), 0, axis)
    return values.contiguous()


def _overlaps(count: int, step: float, coarse: int, size: float) -> Tensor:
    """[coarse, count]: which share of a coarse interval each fine one takes; both are centred on 0."""
    edges = (torch.arange(count + 1, dtype=torch.float64) - count / 2) * step
    wide = (torch.arange(coarse + 1, dtype=torch.float64) - coarse / 2) * size
    low = torch.maximum(edges[:-1], wide[:-1, None])
    high = torch.minimum(edges[1:], wide[1:, None])
    return ((high - low).clamp(min=0) / size).float()


def projections(spec: Clinical, phantom: Trabecular) -> Tensor:
    """Line integrals without noise, [views, rows, columns], as a finite focal spot and blurred pixels measure them.

    Transmission at several points of each pixel, averaged over the focal spot (as it is seen at the axis, which all of
    the object is near), blurred by the detector, averaged over the pixel.
    """
    geometry = spec.geometry
    rows, columns = spec.points
    fine = spec.finer(rows, columns)
    transmission = torch.exp(-phantom.project(fine, voxel=spec.voxel, rays=1))
    magnification = spec.source_to_detector / spec.source_to_origin
    # Lengths on the detector, in its fine pixels.
    steps = fine.detector.spacing
    spot = [spec.focal_spot * (magnification - 1) / step for step in steps]
    sigma = [spec.detector_blur / step for step in steps]
    view = transmission.numpy()
    for axis, (width, blur) in enumerate(zip(spot, sigma, strict=True), 1):
        # A box of that width has this standard deviation.
        total = math.hypot(blur, width / math.sqrt(12))
        view = ndimage.gaussian_filter1d(view, total, axis=axis, mode="nearest")
    averaged = torch.from_numpy(view).unflatten(2, (-1, columns)).unflatten(1, (-1, rows)).mean((2, 4))
    assert averaged.shape == geometry.projection_shape
    return -averaged.log()


def key_generator(*key: object) -> torch.Generator:
    """The random numbers that belong to a key."""
    found = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(found[:8], "little") >> 1)
