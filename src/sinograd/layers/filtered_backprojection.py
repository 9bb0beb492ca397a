"""`FDK` and `FBP` as layers: `fdk` and `fbp` with their plan made once and, if wanted, parameters that train."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, FanBeam, Geometry, Grid, ParallelBeam
from sinograd.recon.analytic.fbp import check_fbp
from sinograd.recon.analytic.fdk import check_fdk
from sinograd.recon.analytic.filtered_backprojection import Progress, filtered_backprojection
from sinograd.recon.analytic.plan import Plan, make_plan
from sinograd.recon.analytic.recomputed import recomputed_backprojection

TRAINABLE = ("taps", "weights")


class _FilteredBackprojection(nn.Module):
    taps: Tensor
    weights: Tensor

    def __init__(
        self,
        geometry: Geometry,
        grid: Grid,
        plan: Plan,
        window: str,
        cutoff: float,
        trainable: Collection[str],
        recompute: bool,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        trainable = (trainable,) if isinstance(trainable, str) else tuple(trainable)
        unknown = [name for name in trainable if name not in TRAINABLE]
        if unknown:
            raise InputError(f"trainable: expected some of {', '.join(TRAINABLE)}, got {', '.join(map(repr, unknown))}")
        self.geometry, self.grid, self.window, self.cutoff = geometry, grid, window, cutoff
        self._plan = plan
        for name, start in (("taps", plan.default_taps(window, cutoff)), ("weights", plan.weights)):
            if name in trainable:
                self.register_parameter(name, nn.Parameter(start.to(torch.get_default_dtype())))
            else:
                self.register_buffer(name, start, persistent=False)

    def _apply(self, fn, recurse: bool = True):
        """Buffers stay float64 whatever the module is cast to; parameters follow."""
        buffers = dict(self._buffers)
        super()._apply(fn, recurse)
        self._buffers.update(buffers)
        return self

    def forward(self, projections: Tensor, progress: Progress | None = None) -> Tensor:
        """Line integrals [..., views, (rows,) columns] to attenuation in 1/mm, [..., (Z,) Y, X]."""
        inputs = (projections, self.taps, self.weights)
        learning = self.recompute and torch.is_grad_enabled() and any(t.requires_grad for t in inputs)
        return (recomputed_backprojection if learning else filtered_backprojection)(
            projections, self._plan, self.geometry, self.grid, self.taps, self.weights, progress
        )

    def extra_repr(self) -> str:
        trained = [name for name, _ in self.named_parameters()]
        return f"{self.geometry!r}, {self.grid!r}, window={self.window!r}, cutoff={self.cutoff!r}" + (
            f", trainable={tuple(trained)!r}" if trained else ""
        )


class FDK(_FilteredBackprojection):
    """Cone-beam reconstruction as a layer; see `recon.fdk`.

    Args:
        geometry: a cone beam on a circular orbit.
        grid: the voxels; `geometry.default_grid()` if not given.
        window: "ram-lak", "shepp-logan", "cosine", "hamming" or "hann": where the filter starts.
        cutoff: where the window ends, as a fraction of the Nyquist frequency.
        truncation: "ellipse" or "none": how rows go on beyond the detector.
        trainable: "taps" (the filter, [2 columns - 1], in 1/mm, columns counted with those that rows are padded and
            continued by) and "weights" (redundancy weights, [views, columns]) become parameters; without it the
            layer has none.
        recompute: with gradients, work on some views at a time, keep only the projections for the backward pass and
            filter them again there: a fraction of the memory, somewhat more time.

    Raises and warns as `recon.fdk`, when it is made.
    """

    def __init__(
        self,
        geometry: ConeBeam,
        grid: Grid | None = None,
        *,
        window: str = "ram-lak",
        cutoff: float = 1.0,
        truncation: str = "none",
        trainable: Collection[str] = (),
        recompute: bool = False,
    ) -> None:
        grid = check_fdk(geometry, grid)
        plan = make_plan(geometry, grid, "FDK", truncation)
        super().__init__(geometry, grid, plan, window, cutoff, trainable, recompute)


class FBP(_FilteredBackprojection):
    """Fan- and parallel-beam reconstruction as a layer; see `recon.fbp` and, for the arguments, `FDK`."""

    def __init__(
        self,
        geometry: FanBeam | ParallelBeam,
        grid: Grid | None = None,
        *,
        window: str = "ram-lak",
        cutoff: float = 1.0,
        truncation: str = "none",
        trainable: Collection[str] = (),
        recompute: bool = False,
    ) -> None:
        grid = check_fbp(geometry, grid)
        plan = make_plan(geometry, grid, "filtered backprojection", truncation)
        super().__init__(geometry, grid, plan, window, cutoff, trainable, recompute)
