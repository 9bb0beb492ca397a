"""`FilteredBackprojection`: weight, filter, backproject; what `fdk`, `fbp` and their layers do.

Flat detectors: for rays (a, u) of a source on a circle of radius R, a detector plane at distance D from the source
and W the depth of a voxel along the detector's normal, parallel-beam inversion becomes

    f = sum over views of  da D / W^2  (h * (w R cos(gamma) cos(kappa) p)) (u)

with h the ramp filter in u, w the redundancy weight, gamma the ray's angle from the ray through the axis and kappa
its elevation. It holds wherever the principal point lies, so shifted and turned detectors and sources need no
resampling. Curved detectors: da / L^2 and the equiangular kernel, L the in-plane distance to the voxel. Kak & Slaney
(1988), chapters 3.4 and 3.6; Feldkamp, Davis, Kress (1984).

Without gradients the order of summation is fixed by the numbers of the views alone, whatever is computed at a time:
the views 0 to 359, 360 to 719 ... are groups, each is summed in the order of its views, and the sums of the groups are
added in their order. So does whoever computes groups in different places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinograd.errors import InputError, UnsupportedError
from sinograd.geometry import ConeBeam, Geometry, Grid
from sinograd.geometry.checks import count
from sinograd.geometry.regions import check_span
from sinograd.ops.arguments import autocast, check_projections, check_tensor, check_volume
from sinograd.ops.backprojection import add_backprojection, backprojection_pair
from sinograd.ops.derivatives import linear, linear_op, recorded, transformed
from sinograd.ops.devices import compute_device
from sinograd.ops.kernel_views import is_axial
from sinograd.ops.memory import enough_memory
from sinograd.ops.projection_tables import WHOLE, Portion
from sinograd.ops.slab_plan import Slab
from sinograd.ops.transfers import uploaded
from sinograd.ops.vector_gradients import moving_backprojection
from sinograd.recon.algorithms import any_orbit_algorithms
from sinograd.recon.analytic import view_blocks
from sinograd.recon.analytic.arguments import check_parameter, view_span
from sinograd.recon.analytic.circular import CircularScan, circular_scan
from sinograd.recon.analytic.coverage import Coverage, measure_coverage, warn_of_missing_rays
from sinograd.recon.analytic.orbit import defined_for
from sinograd.recon.analytic.view_filter import ViewFilter, filter_views
from sinograd.recon.directions import check_directions

if TYPE_CHECKING:
    from sinograd.recon.analytic.recomputed import Recomputed
    from sinograd.recon.analytic.slabs import OnDevice, Part

# Where a GPU has too little memory.
IN_SLABS = 'projections in host memory are reconstructed in parts that fit: fdk(projections.cpu(), ..., device="cuda")'

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Cut:
    """What slices of a larger volume are computed with, so that they have the bits of the whole.

    Attributes:
        vectors: those of the whole upright detector, with the padding.
        center: of the whole grid.
        part: which slices and rows.
    """

    vectors: Tensor
    center: tuple[float, ...]
    part: Portion = WHOLE


@dataclass(frozen=True, eq=False)
class FilteredBackprojection:
    """Filtered backprojection of one scan to one grid, with everything computed that does not depend on projections.

    The result of a call depends on geometry, grid, taps, weights and projections only: neither on the number of
    threads nor on what is computed at a time or in which slabs, nor on whether it was interrupted in between.

    Attributes:
        geometry: the whole scan.
        grid: the voxels.
        scan: what else is known of it.
        taps: of the filter, [2 k + 1], 1/mm.
        weights: redundancy weights, [views, columns].
        name: for messages.
        cut: of slices of a larger volume; None: this is the whole.
    """

    geometry: Geometry
    grid: Grid
    scan: CircularScan
    taps: Tensor
    weights: Tensor
    name: str
    cut: Cut | None = None

    @classmethod
    def of(
        cls,
        geometry: Geometry,
        grid: Grid,
        *,
        window: str = "ram-lak",
        cutoff: float = 1.0,
        truncation: str = "none",
        taps: Tensor | None = None,
        weights: Tensor | None = None,
        warn: bool = True,
    ) -> FilteredBackprojection:
        """The reconstruction of a circular or parallel scan; arguments as in `fdk`.

        Args:
            warn: of rays that are missing.

        Raises:
            InputError: it is not defined for the geometry, the detector sees no axis, all views look in one direction.

        Warns:
            CoverageWarning: rays through the grid are missing.
        """
        name = "FDK" if isinstance(geometry, ConeBeam) else "filtered backprojection"
        others = ", ".join(any_orbit_algorithms(type(geometry).__name__))
        with defined_for(name, f"; iterative algorithms take any orbit: {others}"):
            scan = circular_scan(geometry, truncation)
        check_directions(geometry, grid)
        if warn:
            warn_of_missing_rays(scan.orbit, scan.sampling, grid)
        taps = scan.default_taps(window, cutoff) if taps is None else taps
        # views that are all alike share the memory of one; here each has its own, so that one can be changed
        return cls(geometry, grid, scan, taps, scan.weights.contiguous() if weights is None else weights, name)

    @property
    def views(self) -> int:
        """Number of views."""
        return self.scan.views

    @property
    def coverage(self) -> Coverage:
        """Which rays the scan did not measure."""
        return measure_coverage(self.scan.orbit, self.scan.sampling)

    @property
    def groups(self) -> tuple[range, ...]:
        """Views that are summed before their sum is added to the volume."""
        return view_blocks.groups(self.views)

    def replace(self, taps: Tensor, weights: Tensor) -> FilteredBackprojection:
        """The same with another filter and other redundancy weights."""
        return dataclasses.replace(self, taps=taps, weights=weights)

    def volume(self, projections: Tensor, progress: Progress | None = None) -> Tensor:
        """[..., views, (rows,) columns] to [..., (z,) y, x]; differentiable in projections, taps and weights.

        After a first call it can be captured in a CUDA graph, which does not look for NaN.

        Args:
            projections: line integrals, float32 or float64.
            progress: called with (views done, views) between blocks of views.

        Returns:
            Attenuation, 1/mm.

        Raises:
            InputTypeError, InputError: wrong shapes or dtypes, NaN, taps or weights that do not fit.
            OutOfMemory: the device has too little.
        """
        projections = autocast(projections)
        self.check(projections)
        shape = self.volume_shape(projections)
        if projections.numel() == 0:
            return projections.new_zeros(shape)
        with enough_memory("filtered backprojection", projections, shape, IN_SLABS):
            if self.learns_from(projections):
                return self._differentiable(projections, progress)
            if transformed(projections):
                return linear(projections, partial(self.volume, progress=progress), self.recomputed().adjoint)
            return self.add_unchecked(projections.new_zeros(shape), projections, (0, self.views), progress)

    def add(
        self,
        volume: Tensor,
        projections: Tensor,
        views: range | slice | None = None,
        progress: Progress | None = None,
        *,
        block: int | None = None,
    ) -> Tensor:
        """Adds views to `volume`, in place and without gradients, block by block.

        Projections may stay in host memory while the volume is on a GPU: blocks are copied there while others are
        computed with. When `progress` is called with (done, views), `volume` holds views 0 to `held(done)` - 1; going
        on from there later gives the same bits as going on at once.

        Args:
            volume: [..., (z,) y, x], contiguous; zeros, or what holds the views before.
            projections: of all views, or of those that are added alone.
            views: which ones, without steps; all if not given.
            progress: called with (views done, views of the scan) between blocks.
            block: views in one; by default as many as suit the device.

        Returns:
            `volume`.

        Raises:
            InputTypeError, InputError: wrong shapes or dtypes, of views that are no range, a block of no views; NaN.
        """
        self._check_still("add")
        first, last = view_span(views, self.views)
        self._check_target(volume, projections, last - first)
        if block is not None:
            block = count(block, "block")
        return self.add_unchecked(volume, projections, (first, last), progress, block)

    def add_unchecked(
        self,
        volume: Tensor,
        projections: Tensor,
        views: tuple[int, int],
        progress: Progress | None = None,
        block: int | None = None,
    ) -> Tensor:
        """As `add`, of views (first, end), without its checks; of a slab, whose projections have fewer rows."""
        first, last = views
        of_all = projections.shape[-self.scan.ndim] == self.views
        offset = 0 if of_all else first
        if block is None:
            view_bytes = projections.nbytes // max(1, projections.shape[-self.scan.ndim])
            block = view_blocks.block_views(volume.nbytes, view_bytes, volume.is_cuda)
        parts = list(view_blocks.view_blocks(first, last, block))
        rest = [slice(None)] * (self.scan.ndim - 1)
        pieces = (projections[(..., slice(part.start - offset, part.stop - offset), *rest)] for part in parts)
        if projections.device != volume.device:
            pieces = uploaded(pieces, volume.device)
        return self.add_pieces(volume, zip(parts, pieces, strict=True), views, progress)

    def add_pieces(
        self,
        volume: Tensor,
        pieces: Iterable[tuple[slice, Tensor]],
        views: tuple[int, int],
        progress: Progress | None = None,
    ) -> Tensor:
        """As `add_unchecked`, of pieces that come one by one: blocks of views (`view_blocks`) and their projections."""
        first, last = views
        filtered = ViewFilter.of(self.scan, self.taps, self.weights, volume)
        target, group = volume, view_blocks.GROUP_VIEWS
        for part, piece in pieces:
            if part.start >= view_blocks.GROUP_VIEWS and (
                part.start == first or part.start % view_blocks.GROUP_VIEWS == 0
            ):
                target = torch.zeros_like(volume) if target is volume else target.zero_()
            self._backproject(target, filtered(piece, part), part)
            if target is not volume and (part.stop == last or part.stop % group == 0):
                volume += target
            if progress is not None:
                progress(part.stop, self.views)
        return volume

    def held(self, done: int) -> int:
        """Views that a volume holds when `add` has reported `done` of them: no part of a group but of the first."""
        return view_blocks.held(done, self.views)

    def on(self, device: torch.device | str | None, memory: int | None = None) -> FilteredBackprojection | OnDevice:
        """The same, computed on a device; what it has too little memory for in slabs along z.

        Slabs have the bits of the whole. Only where rays are steeper than 45 degrees, and so the general kernels work,
        they are the same up to rounding (1e-6).

        Args:
            device: None: where the projections are.
            memory: bytes to use there; by default 80 % of what a GPU has free.
        """
        from sinograd.recon.analytic.slabs import OnDevice

        if memory is not None:
            count(memory, "memory")
        if device is not None:
            self._check_still("device")
            compute_device(device, kernels=False)
            return OnDevice(self, device, memory)
        if memory is not None:
            raise InputError(f"memory: expected it together with device, got {memory} and no device")
        return self

    def recomputed(self, block: int | None = None) -> Recomputed:
        """The same with gradients in bounded memory: the backward pass filters again, `block` views at a time."""
        from sinograd.recon.analytic.recomputed import Recomputed

        self._check_still("recomputed")
        return Recomputed(self, None if block is None else count(block, "block"))

    def parts(self, memory: int, element: int, on_gpu: bool) -> list[Part]:
        """What is computed at a time in `memory` bytes; see `recon.analytic.slabs.parts_that_fit`."""
        from sinograd.recon.analytic.slabs import parts_that_fit

        return parts_that_fit(self, memory, element, on_gpu)

    def slab(self, slices: tuple[int, int], rows: tuple[int, int]) -> FilteredBackprojection:
        """The same to slices (first, end) of the grid, from rows (first, end) of the upright detector."""
        if self.cut is not None or self.geometry.ndim == 2:
            raise InputError("slab: expected the reconstruction of a whole volume, got that of a slab or an image")
        check_span(slices, "slices", self.grid.shape[0])
        check_span(rows, "rows", self.scan.detector.shape[0])
        grid = Slab(*slices, torch.zeros(0, 2)).grid(self.grid)
        vectors, shape = self.scan.vectors, (self.scan.detector.shape[0], self.scan.columns)
        cut = None
        if is_axial(vectors, self.geometry.divergent, shape):
            cut = Cut(vectors, self.grid.center, Portion(slices[0], self.grid.shape[0], rows[0], shape[0]))
        return dataclasses.replace(self, grid=grid, scan=self.scan.of_rows(rows), cut=cut)

    def volume_shape(self, projections: Tensor) -> tuple[int, ...]:
        """Of the result, [..., (z,) y, x]."""
        return (*projections.shape[: projections.ndim - self.scan.ndim], *self.grid.shape)

    def learns_from(self, projections: Tensor) -> bool:
        """Whether autograd records what is done with the projections, the taps or the weights.

        Of projections that a transform of `torch.func` or forward mode follows, everything is linear: see `volume`.
        """
        if recorded(self.taps, self.weights, self.scan.vectors):
            return True
        return torch.is_grad_enabled() and projections.requires_grad and not transformed(projections)

    def check(self, projections: Tensor) -> None:
        """Raise InputTypeError or InputError for wrong shapes and dtypes, and taps or weights that are not finite."""
        check_projections(projections, self.geometry)
        self._check_parameters()

    def _check_still(self, what: str) -> None:
        """Raise UnsupportedError where the geometry requires gradients."""
        if self.scan.vectors.requires_grad:
            raise UnsupportedError(f"{what}: a geometry that requires gradients is reconstructed whole, where it is")

    def _check_parameters(self) -> None:
        check_parameter("taps", self.taps)
        check_parameter("weights", self.weights)
        expected = self.scan.weights.shape
        if self.weights.shape != expected:
            raise InputError(f"weights: expected [views, columns] {list(expected)}, got {list(self.weights.shape)}")

    def _check_target(self, volume: Tensor, projections: Tensor, added: int) -> None:
        """Raise InputTypeError or InputError unless `added` views of the projections can be added to the volume."""
        check_volume(volume, self.grid)
        views, *image = self.geometry.projection_shape
        check_tensor("projections", projections, 1 + len(image))
        got = tuple(projections.shape[-1 - len(image) :])
        if got[0] not in (views, added) or list(got[1:]) != image:
            numbers = ", ".join(map(str, image))
            raise InputError(
                f"projections: expected [..., {views}, {numbers}] of all views or [..., {added}, {numbers}] of those "
                f"that are added, got {list(projections.shape)}"
            )
        batch = projections.shape[: projections.ndim - len(got)]
        if self.volume_shape(projections) != tuple(volume.shape):
            raise InputError(
                f"volume: expected {[*batch, *self.grid.shape]}, as many as projections {list(projections.shape)}, "
                f"got {list(volume.shape)}"
            )
        self._check_parameters()

    def _differentiable(self, projections: Tensor, progress: Progress | None) -> Tensor:
        filtered = filter_views(projections, self.scan, self.taps, self.weights, slice(0, self.views))
        detector = filtered.shape[1 - self.scan.ndim :]
        vectors = self.scan.vectors
        scan = (vectors, self.geometry.divergent, (*detector,), self.grid, self.scan.orbit.weighting)
        moves = vectors.requires_grad
        volume = (
            moving_backprojection(*scan)(filtered, vectors)
            if moves
            else linear_op(filtered, *backprojection_pair(*scan))
        )
        if progress is not None:
            progress(self.views, self.views)
        return volume

    def _backproject(self, volume: Tensor, filtered: Tensor, part: slice) -> None:
        cut = self.cut or Cut(self.scan.vectors, self.grid.center)
        place = (self.grid.spacing, cut.center, self.scan.orbit.weighting)
        add_backprojection(volume, filtered, cut.vectors[part], self.geometry.divergent, *place, part=cut.part)
