"""`FDK` and `FBP` as layers: `fdk` and `fbp` prepared once, with parameters that can train."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, FanBeam, Grid, ParallelBeam
from sinograd.ops.derivatives import untransformed
from sinograd.recon.analytic.fbp import check_fbp
from sinograd.recon.analytic.fdk import check_fdk
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection, Progress

TRAINABLE = ("taps", "weights")


class _FilteredBackprojection(nn.Module):
    taps: Tensor
    weights: Tensor

    def __init__(
        self,
        whole: FilteredBackprojection,
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
        self.geometry, self.grid, self.window, self.cutoff = whole.geometry, whole.grid, window, cutoff
        self._whole = whole
        for name, start in (("taps", whole.taps), ("weights", whole.weights)):
            if name in trainable:
                self.register_parameter(name, nn.Parameter(start.to(torch.get_default_dtype(), copy=True)))
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
        whole = self._whole.replace(self.taps, self.weights)
        learning = self.recompute and whole.learns_from(projections)
        return (whole.recomputed() if learning else whole).volume(projections, progress)

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
        window: a name of `recon.WINDOWS`: where the filter starts.
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
        with untransformed():
            grid = check_fdk(geometry, grid)
            whole = FilteredBackprojection.of(geometry, grid, window=window, cutoff=cutoff, truncation=truncation)
        super().__init__(whole, window, cutoff, trainable, recompute)


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
        with untransformed():
            grid = check_fbp(geometry, grid)
            whole = FilteredBackprojection.of(geometry, grid, window=window, cutoff=cutoff, truncation=truncation)
        super().__init__(whole, window, cutoff, trainable, recompute)
