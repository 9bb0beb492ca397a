"""Beam hardening of two materials: the denser one is segmented, projected, and the beam's readings are undone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinograd.errors import InputError, PreparationWarning
from sinograd.geometry import Geometry, Grid
from sinograd.geometry.checks import number
from sinograd.ops import XRayTransform
from sinograd.preparation.slices import reconstructed

if TYPE_CHECKING:
    from sinograd.physics import DetectorResponse, Material, SpectralBeam, Spectrum

DENSE_NODES, BASE_NODES = 33, 129  # of the table
STEPS = 60  # at most, to fill the table
MOST = 12.0  # line integrals beyond which there are no readings

# Share of the volume from which a dense material is more than an inlay.
TOO_MUCH = 0.5


@dataclass(frozen=True)
class TwoMaterials:
    """Line integrals of one energy, and the share of the dense material in each voxel from which they were made.

    base, dense: attenuation of both at the energy, 1/mm.
    """

    line_integrals: Tensor
    share: Tensor
    base: float
    dense: float


def correct_two_materials(
    line_integrals: Tensor,
    geometry: Geometry,
    grid: Grid,
    *,
    spectrum: Spectrum,
    materials: tuple[str | Material, str | Material] = ("water", "bone"),
    detector: str | DetectorResponse = "integrating",
    energy: float = 70.0,
    threshold: float = 0.25,
    passes: int = 2,
) -> TwoMaterials:
    """Line integrals of a beam of one energy, of an object of two materials.

    P. M. Joseph, R. D. Spital, "A method for correcting bone induced artifacts in computed tomography scanners",
    Journal of Computer Assisted Tomography 2(1), 1978. The first image takes everything for the first material. Voxels
    are mixtures of both: the share of the dense one, (value - base) / (dense - base), is projected, which gives its
    length on each ray; the length of the base is then the one for which the beam reads what was measured. That is done
    `passes` times, with the image of the pass before. Differentiable in the line integrals, through the segmentation
    too, but for which voxels are above the threshold.

    Args:
        line_integrals: as measured, [views, (rows,) columns] of the geometry, float32 or float64.
        geometry, grid: of the scan, and voxels that hold all of the dense material.
        spectrum, detector: see `spectral_polynomial`.
        materials: the base, and the denser one.
        energy: keV of the result.
        threshold: share of the dense material below which a voxel has none: noise and soft tissue.
        passes: of segmentation and correction.

    Raises:
        ValueError: as `attenuation`; a second material that is not the denser one; wrong options.

    Warns:
        PreparationWarning: more than half of the object's voxels are dense.
    """
    from sinograd.physics import SpectralBeam, attenuation
    from sinograd.preparation.spectral_hardening import spectral_polynomial

    energy = number(energy, "energy")
    base, dense = (attenuation(material, energy) for material in materials)
    if not dense > base:
        raise InputError(
            f"materials: expected the denser one second, got {base:.4g} and {dense:.4g} 1/mm at {energy:g} keV"
        )
    if not 0 < threshold < 1:
        raise InputError(f"threshold: expected a share in (0, 1), got {threshold}")
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
        raise InputError(f"passes: expected a whole number from 1, got {passes!r}")
    beam, transform = SpectralBeam(spectrum, materials, detector), XRayTransform(geometry, grid)
    most = float(line_integrals.detach().max())
    from sinograd.preparation.beam_hardening import correct_beam_hardening

    polynomial = spectral_polynomial(spectrum, materials[0], detector=detector, energy=energy, largest=most)
    corrected, share = correct_beam_hardening(line_integrals, polynomial), line_integrals
    table = None
    for _ in range(passes):
        values = reconstructed(corrected, geometry, grid)
        share = ((values - base) / (dense - base)).clamp(max=1.5)
        share = torch.where(share > threshold, share, 0.0)
        _warn_of_much(share, values, base)
        length = transform(share)
        longest = float(length.detach().max())
        if table is None or longest > table.longest:
            table = _Table.of(beam, (base, dense), 1.2 * max(longest, 1.0), min(most, MOST))
        corrected = table(line_integrals, length)
    return TwoMaterials(corrected, share, base, dense)


@dataclass(frozen=True)
class _Table:
    """By how much the line integral at one energy is more than the measured one, for a length of the dense material.

    excess: [1, 1, measured, lengths], at line integrals 0 ... largest and lengths 0 ... longest.
    """

    excess: Tensor
    largest: float
    longest: float

    @classmethod
    def of(cls, beam: SpectralBeam, attenuations: tuple[float, float], longest: float, largest: float) -> _Table:
        """Filled by Newton's method within brackets; what no length of the base explains (noise) goes on with negative
        ones."""
        dense = torch.linspace(0, longest, DENSE_NODES, dtype=torch.float64).expand(BASE_NODES, -1)
        measured = torch.linspace(0, largest, BASE_NODES, dtype=torch.float64)[:, None].expand(-1, DENSE_NODES)
        effective = float(beam.effective_attenuation()[0])
        # every bin is attenuated by less than nothing at the low end, and by the measured value or more at the high one
        of_base, of_dense = beam.attenuations
        low, high = -dense * float((of_dense / of_base).max()), measured / float(of_base.min())
        base = torch.zeros_like(dense)
        for _ in range(STEPS):
            base = base.detach().requires_grad_()
            found = beam.line_integrals(torch.stack([base, dense]))
            slope = torch.autograd.grad(found.sum(), base)[0]
            base, missing = base.detach(), measured - found.detach()
            low, high = torch.where(missing > 0, base, low), torch.where(missing > 0, high, base)
            step = missing / slope
            if float(step.abs().max()) < 1e-7 / effective:
                break
            base = base + step
            base = torch.where((base > low) & (base < high), base, (low + high) / 2)
        excess = attenuations[0] * base.detach() + attenuations[1] * dense - measured
        return cls(excess[None, None], largest, longest)

    def __call__(self, measured: Tensor, length: Tensor) -> Tensor:
        """Of rays, any shape; bicubic, differentiable in both."""
        # Below zero the beam is as it is at zero: the excess goes on with the measured value.
        x, y = 2 * length / self.longest - 1, 2 * measured.clamp(0, self.largest) / self.largest - 1
        points = torch.stack([x, y], -1).reshape(1, -1, 1, 2)
        table = self.excess.to(points)
        found = torch.nn.functional.grid_sample(
            table, points, mode="bicubic", padding_mode="border", align_corners=True
        )
        return measured + found.reshape(measured.shape)


def _warn_of_much(share: Tensor, values: Tensor, base: float) -> None:
    dense, all_of_it = int((share > 0).sum()), int((values.detach() > base / 2).sum())
    if dense > TOO_MUCH * all_of_it:
        warnings.warn(
            f"{dense / max(all_of_it, 1):.0%} of the object's voxels were taken for the dense material: expected a "
            "smaller part; a higher threshold, or the correction of one material, mends that",
            PreparationWarning,
            stacklevel=3,
        )
