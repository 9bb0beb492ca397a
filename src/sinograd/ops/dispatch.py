"""Calls into the compiled kernels: layout, dtype and the choice between axial, general and planar kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops import projection_cuda
from sinograd.ops.arguments import check_shape, check_target, check_vectors
from sinograd.ops.kernel_views import is_axial, is_curved, voxel_views
from sinograd.ops.native import native
from sinograd.ops.projection_tables import WHOLE, Portion, Scan

WEIGHTINGS = ("none", "fan", "fdk", "ratio")
PATHS = ("auto", "axial", "general")
# Slices (float32) that are taken together, with neighbours in a vector, and from how many on.
STACK, LEAST_STACK = 128, 16
LARGEST = 2**31 - 1  # offset within a view, zeros around it included, of the general voxel-driven kernels
Grid3 = tuple[list[int], list[float], list[float]]  # shape, spacing, centre; z, y, x
CURVED = "vectors: a parallel beam has a flat detector, [views, 4, 3], got those of a curved one, [views, 5, 3]"


@dataclass(frozen=True)
class Call:
    """One operator between volumes [..., (z,) y, x] and projections [..., views, (rows,) columns].

    Lengths in mm, `vectors` as in `sinograd.ops.kernel_views`. One-dimensional detectors mean one slice (z = 0).
    `part`: the volume and the detector are parts of larger ones, whose are `vectors` and `center`; for backprojection
    by the axial kernels.
    """

    vectors: Tensor
    divergent: bool
    detector: tuple[int, ...]
    grid_shape: tuple[int, ...]
    spacing: tuple[float, ...]
    center: tuple[float, ...]
    weighting: str = "none"
    path: str = "auto"
    part: Portion = WHOLE

    def __post_init__(self) -> None:
        check_vectors(self.vectors)
        if is_curved(self.vectors) and not self.divergent:
            raise InputError(CURVED)
        check_weighting(self.weighting, self.divergent)
        if math.prod(n + 3 for n in self.detector) > LARGEST:
            raise InputError(f"geometry: expected less than 2^31 pixels a view, got a detector of {self.detector}")
        if self.path not in PATHS:
            raise InputError(f"path: expected one of {', '.join(PATHS)}, got {self.path!r}")

    @property
    def volume_shape(self) -> tuple[int, ...]:
        """Shape of a volume without batch dimensions."""
        return self.grid_shape

    @property
    def projection_shape(self) -> tuple[int, ...]:
        """Shape of projections without batch dimensions."""
        return (len(self.vectors), *self.detector)

    def add(self, name: str, source: Tensor, target: Tensor) -> None:
        """Adds the operator `name` ("joseph", "footprint", "backproject_adjoint", ...) of each batch element to target.

        Volumes are taken one by one; float32 slices in stacks where there are 16 or more, which rounds
        differently.
        """
        projections_in = name in ("backproject", "joseph_adjoint", "footprint_adjoint")
        names = ("projections", "volume") if projections_in else ("volume", "projections")
        axes = ("views", "rows", "columns") if len(self.detector) == 2 else ("views", "columns")
        if projections_in:
            check_shape("projections", source, "geometry", self.projection_shape, axes)
        else:
            check_shape("volume", source, "grid", self.volume_shape, "zyx"[-len(self.grid_shape) :])
        check_target(names[1], target, names[0], source)
        vectors, flip, part = self.vectors, False, self.part
        detector = self.detector if len(self.detector) == 2 else (1, *self.detector)
        kind = self._kind(part.detector(detector))
        if part != WHOLE and (kind != "axial" or name != "backproject"):
            raise InputError(f"part: expected a backprojection by the axial kernels, got {name} by the {kind} ones")
        shape, spacing, centre = self.grid_of_three()
        if kind == "axial" and name.startswith("backproject"):
            centre[0], part = part.anchored(shape[0], spacing[0], centre[0], source.dtype)
        grid = shape, spacing, centre
        if kind == "axial" and bool((vectors[:, 3, 2] < 0).all()):
            vectors, flip = vectors.clone(), True
            vectors[:, 3] *= -1
            part = part.flipped(detector[0])
        # rows that run downwards are turned over, so that the kernels only meet rows that run upwards
        source = (source.flip(-2) if flip and projections_in else source).contiguous()
        result = torch.zeros_like(target) if flip and not projections_in else target
        many, outs = batched(source, self._ndim(projections_in)), batched(result, self._ndim(not projections_in))
        if runs_on_gpu(source):
            if name.startswith("footprint"):
                raise InputError("model: 'footprint' is computed on the CPU, got a tensor on the GPU")
            projection_cuda.add(name, kind, many, outs, self._scan(vectors, detector, kind == "general", grid, part))
        else:
            self._add_on_cpu(name, kind, (many, outs), vectors, detector, grid, part)
        if result is not target:
            target += result.flip(-2)

    def _add_on_cpu(
        self,
        name: str,
        kind: str,
        arrays: tuple[Tensor, Tensor],
        vectors: Tensor,
        detector: tuple[int, ...],
        grid: Grid3,
        part: Portion,
    ) -> None:
        source, target = arrays
        voxel_driven = name.startswith("backproject")
        general = kind == "general"
        views = (
            voxel_views(vectors, self.divergent, part.detector(detector), general)
            if voxel_driven
            else vectors.contiguous()
        )
        base = name.removesuffix("_adjoint")
        pattern = name.replace(base, base + "_{}")
        shape, spacing, centre = grid
        for many, outs in zip(source.split(STACK), target.split(STACK), strict=True):
            together = kind == "planar" and len(many) >= LEAST_STACK and many.dtype == torch.float32
            function = kernel(pattern.format("stack" if together else kind))
            for one, out in [(many, outs)] if together else zip(many, outs, strict=True):
                function(
                    one,
                    out,
                    views,
                    (len(many), detector[1]) if together else detector,
                    [len(many), *shape[1:]] if together else shape,
                    spacing,
                    centre,
                    curved=is_curved(vectors),
                    divergent=self.divergent,
                    weighting=WEIGHTINGS.index(self.weighting),
                    part=part.numbers(),
                )

    def _scan(self, vectors: Tensor, detector: tuple[int, ...], general: bool, grid: Grid3, part: Portion) -> Scan:
        """What the kernels of a GPU take."""
        shape, spacing, centre = grid
        weighting = WEIGHTINGS.index(self.weighting)
        return Scan(vectors, self.divergent, detector, (*shape,), (*spacing,), (*centre,), weighting, general, part)

    def _kind(self, detector: tuple[int, ...]) -> str:
        """The kernels to use; raises where there are none."""
        if len(self.detector) == 1:
            return "planar"
        axial = is_axial(self.vectors, self.divergent, detector)
        if self.path == "axial" and not axial:
            raise InputError("path: 'axial' needs detector rows parallel to z and no ray steeper than 45 degrees")
        general = self.path == "general" or not axial
        return "general" if general else "axial"

    def grid_of_three(self) -> Grid3:
        """Shape, spacing and centre in the order z, y, x."""
        missing = 3 - len(self.grid_shape)
        centre = [*reversed(self.center)]
        return [1] * missing + [*self.grid_shape], [1.0] * missing + [*self.spacing], [0.0] * missing + centre

    def _ndim(self, projections: bool) -> int:
        return 1 + len(self.detector) if projections else len(self.grid_shape)


def check_weighting(weighting: str, divergent: bool) -> None:
    """A known weighting that is defined for the beam."""
    if weighting not in WEIGHTINGS:
        raise InputError(f"weighting: expected one of {', '.join(WEIGHTINGS)}, got {weighting!r}")
    if weighting != "none" and not divergent:
        raise InputError(f"weighting: a parallel beam has no distance to weight by: expected 'none', got {weighting!r}")


def runs_on_gpu(tensor: Tensor) -> bool:
    """Whether CUDA kernels work on the tensor."""
    return tensor.is_cuda


def kernel(name: str) -> Any:
    """A function of the compiled module, which is imported when it is first needed."""
    return getattr(native(), name)


def batched(tensor: Tensor, ndim: int) -> Tensor:
    """[batch, ...] view of a contiguous tensor whose last `ndim` dimensions are one volume or set of projections."""
    lead = math.prod(tensor.shape[: tensor.ndim - ndim])
    return tensor.detach().view(lead, *tensor.shape[tensor.ndim - ndim :])
