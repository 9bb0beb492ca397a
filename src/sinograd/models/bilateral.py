"""Denoisers made of bilateral filters: stacks of them, and filters before and after a reconstruction.

F. Wagner et al., "Ultra low-parameter denoising: trainable bilateral filter layers in computed tomography", Medical
Physics 49(8), 2022, section II.B and figure 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import ConeBeam, FanBeam, Geometry, Grid, ParallelBeam
from sinograd.layers import FBP, FDK, BilateralFilter2d, BilateralFilter3d

BILATERAL = (BilateralFilter2d, BilateralFilter3d)


def bilateral_stack(
    filters: int = 3,
    *,
    dimensions: int = 3,
    sigma_spatial: float | Sequence[float] = 0.5,
    sigma_range: float = 0.01,
    input_scale: float = 1.0,
    window: int | Sequence[int] | None = None,
) -> nn.Sequential:
    """Bilateral filters one after the other, all with the same start values.

    Args:
        filters: how many.
        dimensions: 3 for volumes [..., Z, Y, X], 2 for images [..., Y, X].
        sigma_spatial, sigma_range, input_scale, window: of each, see `sinograd.layers.BilateralFilter3d`.

    Raises:
        ValueError: no filter, other dimensions, or what the layers refuse.
    """
    if filters < 1:
        raise InputError(f"filters: expected at least 1, got {filters}")
    if dimensions not in (2, 3):
        raise InputError(f"dimensions: expected 2 or 3, got {dimensions}")
    kind = BILATERAL[dimensions - 2]
    return nn.Sequential(
        *(kind(sigma_spatial, sigma_range, input_scale=input_scale, window=window) for _ in range(filters))
    )


class DualDomainBilateral(nn.Module):
    """Bilateral filters of the projections, filtered backprojection, bilateral filters of the volume.

    It holds the filters and no scan. `over` joins them with the reconstruction of a scan to a plain
    `torch.nn.Sequential`, which shares its parameters.

    Args:
        projection_filters: filters of the projections [..., views, rows, columns] (3-D) or of sinograms
            [..., views, columns] (2-D); their axes are those, in this order.
        image_filters: filters of the volume or image.
        ramp_window, cutoff: of the reconstruction, see `sinograd.recon.fdk`.

    Raises:
        TypeError: filters that are no modules, or one module where several are expected.
    """

    def __init__(
        self,
        projection_filters: Iterable[nn.Module],
        image_filters: Iterable[nn.Module],
        *,
        ramp_window: str = "ram-lak",
        cutoff: float = 1.0,
    ) -> None:
        super().__init__()
        self.projection_filters = _sequence(projection_filters, "projection_filters")
        self.image_filters = _sequence(image_filters, "image_filters")
        self.ramp_window, self.cutoff = ramp_window, cutoff

    def over(self, geometry: Geometry, grid: Grid, *, recompute: bool = False) -> nn.Sequential:
        """Projections of this geometry to the denoised volume on `grid`, as one sequence of layers.

        `recompute` is that of `sinograd.layers.FDK`: less memory in training. Raises TypeError and ValueError as
        `sinograd.layers.FDK` and `FBP`.
        """
        reconstruction = self.reconstruction(geometry, grid, recompute=recompute)
        return nn.Sequential(*self.projection_filters, reconstruction, *self.image_filters)

    def reconstruction(self, geometry: Geometry, grid: Grid, *, recompute: bool = False) -> FDK | FBP:
        """The layer between the filters: FDK for cone beams, FBP for the others."""
        options: dict[str, Any] = {"window": self.ramp_window, "cutoff": self.cutoff, "recompute": recompute}
        if isinstance(geometry, ConeBeam):
            return FDK(geometry, grid, **options)
        if not isinstance(geometry, FanBeam | ParallelBeam):
            raise InputTypeError(f"geometry: expected a geometry, got a {type(geometry).__name__}")
        return FBP(geometry, grid, **options)

    def forward(self, projections: Any, geometry: Geometry, grid: Grid) -> Any:
        """`over(geometry, grid)(projections)`; keep the sequence where it is used more than once."""
        return self.over(geometry, grid)(projections)

    def extra_repr(self) -> str:
        """The reconstruction's options."""
        return f"ramp_window={self.ramp_window!r}, cutoff={self.cutoff}"


def _sequence(modules: Iterable[nn.Module], name: str) -> nn.Sequential:
    """The modules one after another; InputTypeError, which names the argument, where they are none."""
    single = isinstance(modules, nn.Module) and not isinstance(modules, Iterable)
    if single or not isinstance(modules, Iterable):
        hint = ": put it into a list" if single else ""
        raise InputTypeError(f"{name}: expected several modules, got a {type(modules).__name__}{hint}")
    found = list(modules)
    for module in found:
        if not isinstance(module, nn.Module):
            raise InputTypeError(f"{name}: expected modules, got a {type(module).__name__} among them")
    return nn.Sequential(*found)


def is_bilateral_stack(module: nn.Module) -> bool:
    """Whether a module is a sequence of bilateral filters and nothing else."""
    return isinstance(module, nn.Sequential) and len(module) > 0 and all(isinstance(m, BILATERAL) for m in module)


def bilateral_filters(module: nn.Module) -> dict[str, nn.Module]:
    """The bilateral filters inside a module, by their names, each once."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, BILATERAL)}
