"""`HelicalBackprojection`: rebin, filter, backproject; what `helical_fbp` and its layer do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.arguments import autocast, check_projections
from sinograd.ops.cone_parallel import ConeParallelViews
from sinograd.ops.derivatives import linear, recorded
from sinograd.recon.algorithms import any_orbit_algorithms
from sinograd.recon.analytic.helical.coverage import grid_radius, helix_coverage, warn_of_coverage
from sinograd.recon.analytic.helical.fine_filter import between, filter_finely
from sinograd.recon.analytic.helical.helix import helix_of
from sinograd.recon.analytic.helical.rebinning import Rebinning
from sinograd.recon.analytic.helical.row_window import row_window
from sinograd.recon.analytic.helical.z_slabs import ZSlab, z_slabs
from sinograd.recon.analytic.orbit import defined_for
from sinograd.recon.analytic.ramp import ramp_taps

Progress = Callable[[int, int], None]

# Views of the lattice that are rebinned at a time, and filtered at a time.
REBINNED_VIEWS, FILTERED_VIEWS = 288, 16


@dataclass(frozen=True, eq=False)
class HelicalBackprojection:
    """Weighted filtered backprojection of one helical scan to one grid.

    Attributes:
        geometry: the scan.
        grid: the voxels.
        rebinnings: one for each height of the focal spot, whose volumes are averaged.
        taps: of the ramp filter, float64, one for each rebinning.
        window: weights of rows, float64 [rows].
    """

    geometry: Geometry
    grid: Grid
    rebinnings: tuple[Rebinning, ...]
    taps: tuple[Tensor, ...]
    window: Tensor

    @classmethod
    def of(
        cls, geometry: Geometry, grid: Grid, *, window: str = "ram-lak", cutoff: float = 1.0, warn: bool = True
    ) -> HelicalBackprojection:
        """The reconstruction of a helical scan; arguments as in `helical_fbp`.

        Args:
            warn: of slices that the helix does not support and of a pitch that is too large.
        """
        others = ", ".join(any_orbit_algorithms("ConeBeam"))
        with defined_for("helical FBP", f"; iterative algorithms take any orbit: {others}"):
            helix = helix_of(geometry)
            rebinnings = tuple(Rebinning.of(helix, number) for number in range(len(helix.heights)))
        if warn:
            warn_of_coverage(helix_coverage(rebinnings[0], grid_radius(grid)), grid)
        taps = tuple(ramp_taps(r.lattice.count, r.lattice.spacing, window, cutoff) for r in rebinnings)
        return cls(geometry, grid, rebinnings, taps, row_window(geometry.rows))

    def volume(self, projections: Tensor, progress: Progress | None = None) -> Tensor:
        """[..., views, rows, columns] to [..., z, y, x]; differentiable to any order."""
        projections = autocast(projections)
        check_projections(projections, self.geometry)
        if recorded(projections):
            return linear(projections, self._forward, self._adjoint)
        return self._forward(projections, progress)

    def _forward(self, projections: Tensor, progress: Progress | None = None) -> Tensor:
        batch = projections.shape[:-3]
        volumes = projections.new_zeros(math.prod(batch), *self.grid.shape)
        count = len(volumes) * sum(r.lattice.end for r in self.rebinnings)
        done = 0
        for volume, one in zip(volumes, projections.reshape(-1, *projections.shape[-3:]), strict=True):
            for number in range(len(self.rebinnings)):
                run = _Run(self, number, one)
                for slab, buffer in run.slabs():
                    run.fill(buffer, slab)
                    run.views(slab).add(volume[slab.slices], buffer, slab.grid)
                    if progress is not None:
                        progress(min(count, done + run.filled), count)
                done += self.rebinnings[number].lattice.end
        if progress is not None:
            progress(count, count)
        return volumes.view(*batch, *self.grid.shape)

    def _adjoint(self, volumes: Tensor) -> Tensor:
        batch = volumes.shape[:-3]
        projections = volumes.new_zeros(math.prod(batch), *self.geometry.projection_shape)
        for one, volume in zip(projections, volumes.reshape(-1, *volumes.shape[-3:]), strict=True):
            for number in range(len(self.rebinnings)):
                run = _Run(self, number, one)
                for slab, buffer in run.slabs():
                    buffer.zero_()
                    run.views(slab).add_adjoint(buffer, volume[slab.slices].contiguous(), slab.grid)
                    run.spread(buffer, slab)
        return projections.view(*batch, *self.geometry.projection_shape)


class _Run:
    """One scan and one height of the focal spot, half turn by half turn.

    Filtered views lie in a buffer of as many half turns as a slab needs at most; half turn k has the place
    k modulo that number, so that slab after slab only the new ones are computed.
    """

    def __init__(self, whole: HelicalBackprojection, number: int, projections: Tensor) -> None:
        self.whole, self.rebinning, self.projections = whole, whole.rebinnings[number], projections
        self.taps = whole.taps[number].to(projections)
        lattice, rows = self.rebinning.lattice, whole.geometry.rows
        self.parts = z_slabs(self.rebinning, whole.grid, projections.element_size())
        self.places = max((slab.end - slab.first for slab in self.parts), default=1)
        self.shape = (self.places, lattice.half, rows, lattice.fine_count)
        self.rays = torch.zeros(self.places, lattice.half, lattice.fine_count, 4, dtype=torch.float64)
        self.rays[..., 0] = 1.0
        self.turns: list[int | None] = [None] * self.places
        self.filled = 0

    def slabs(self) -> Iterator[tuple[ZSlab, Tensor]]:
        """Slabs along z, in the direction in which the source goes, with the buffer."""
        buffer = self.projections.new_zeros(self.shape)
        for slab in self.parts:
            yield slab, buffer

    def views(self, slab: ZSlab) -> ConeParallelViews:
        """What the buffer holds of the half turns of a slab."""
        lattice = self.rebinning.lattice
        directions = torch.full(self.shape[:2], math.nan, dtype=torch.float64)
        for turn in range(slab.first, slab.end):
            own = lattice.directions(turn * lattice.half, min((turn + 1) * lattice.half, lattice.end))
            directions[turn % self.places, : len(own)] = own
            if self.turns[turn % self.places] != turn:
                self._find_rays(turn)
        return ConeParallelViews(directions, self.rays, self.whole.window, lattice.nearest, lattice.spacing / 2)

    def fill(self, buffer: Tensor, slab: ZSlab) -> None:
        """Filtered views of the half turns of a slab that the buffer does not hold yet."""
        for turn in range(slab.first, slab.end):
            place = turn % self.places
            if self.turns[place] == turn:
                continue
            buffer[place].zero_()
            for first, end, part in self._blocks(turn):
                own = self.rebinning.sources(first, end)
                filtered, rays = self._filtered(self._read(own), own, first, end)
                buffer[place, part], self.rays[place, part] = filtered, between(rays)
            self.turns[place] = turn
            self.filled = max(self.filled, min((turn + 1) * self.shape[1], self.rebinning.lattice.end))

    def spread(self, buffer: Tensor, slab: ZSlab) -> None:
        """Adds the transpose of `fill` to the projections."""
        for turn in range(slab.first, slab.end):
            for first, end, part in self._blocks(turn):
                own = self.rebinning.sources(first, end)
                start = self._read(own).detach().mul(0).requires_grad_()
                with torch.enable_grad():
                    filtered, _ = self._filtered(start, own, first, end)
                (gradient,) = torch.autograd.grad(filtered, start, buffer[turn % self.places, part])
                gradient = gradient.flip(1) if self.rebinning.helix.upside_down else gradient
                self.projections.index_add_(0, self._numbers(own), gradient)

    def _find_rays(self, turn: int) -> None:
        for first, end, part in self._blocks(turn):
            own = self.rebinning.sources(first, end)
            none = self.projections.new_zeros(len(own), 1, self.projections.shape[2])
            self.rays[turn % self.places, part] = between(self.rebinning.apply(none, own, first, end)[1])
        self.turns[turn % self.places] = turn

    def _blocks(self, turn: int) -> Iterator[tuple[int, int, slice]]:
        """Views (first, end) of the lattice, and where they lie in the half turn."""
        half, stop = self.shape[1], min((turn + 1) * self.shape[1], self.rebinning.lattice.end)
        for first in range(turn * half, stop, REBINNED_VIEWS):
            end = min(first + REBINNED_VIEWS, stop)
            yield first, end, slice(first - turn * half, end - turn * half)

    def _numbers(self, own: Tensor) -> Tensor:
        """Views of the helix as those of the projections."""
        helix = self.rebinning.helix
        return (helix.views - 1 - own if helix.reverse else own).to(self.projections.device)

    def _read(self, own: Tensor) -> Tensor:
        read = self.projections.index_select(0, self._numbers(own))
        return read.flip(1) if self.rebinning.helix.upside_down else read

    def _filtered(self, projections: Tensor, own: Tensor, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Views first to end - 1 of the lattice, weighted with the cosine of their slope and filtered."""
        rebinned, rays = self.rebinning.apply(projections, own, first, end)
        rows = torch.arange(self.shape[2], dtype=torch.float64)[:, None]
        slope = (rows - rays[:, None, :, 3]) / rays[:, None, :, 1]
        scale = math.pi / self.shape[1] / len(self.whole.rebinnings)
        weighted = rebinned * (scale * (1 + slope.square()).rsqrt()).to(rebinned)
        filtered = torch.cat([filter_finely(part, self.taps) for part in weighted.split(FILTERED_VIEWS)])
        finite = torch.isfinite(filtered.detach()[..., 0])
        if not bool(finite.all()):
            raise InputError(
                f"projections: expected finite values, got NaN or infinity in {int((~finite).sum())} rows, rebinned "
                f"from views {int(self._numbers(own).min())} to {int(self._numbers(own).max())}"
            )
        return filtered, rays
