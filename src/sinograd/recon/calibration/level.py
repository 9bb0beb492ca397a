"""A scan at one resolution, as a function of the arguments that are learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid, detector_region
from sinograd.geometry.learned import changed, pixel_scale, start_value
from sinograd.ops.arguments import check_projections

# Views that a level has for each of its columns.
VIEWS_PER_COLUMN, LEAST_VIEWS = 1.0, 60

# A level's grid reaches so much farther than what the scan sees, since that changes with its geometry.
MARGIN = 1.1

LEAST_COLUMNS = 32  # of the coarsest level

MEDIAN_OF_SQUARES = 0.4549  # of a normal distribution of variance 1


@dataclass(frozen=True, eq=False)
class Level:
    """Binned projections, and their geometry as a function of scaled arguments.

    Attributes:
        projections: line integrals [views, (rows,) columns].
        start: their geometry, where the scaled arguments are 0.
        learn: names of the arguments.
        first: the arguments of the full scan, in mm and radians, where the scaled ones are 0. Those of `start` differ
            where binning leaves elements over at one end, which moves the detector's middle.
        scales: what a scaled argument of 1 is in mm or radians; it moves images by about one of this level's pixels.
        grid: the voxels, of the size of a pixel at the axis.
        variance: of the noise of each projection value.
    """

    projections: Tensor
    start: Geometry
    learn: tuple[str, ...]
    first: Tensor
    scales: Tensor
    grid: Grid
    variance: Tensor

    def values(self, theta: Tensor) -> dict[str, Tensor]:
        """The arguments of the full scan in mm and radians."""
        return dict(zip(self.learn, self.first + self.scales * theta, strict=True))

    def geometry(self, theta: Tensor) -> Geometry:
        """The geometry at scaled arguments [n], which it follows where they require gradients."""
        own = _values(self.start, self.learn)
        return changed(self.start, dict(zip(self.learn, own + self.scales * theta, strict=True)))

    def grid_at(self, geometry: Geometry) -> Grid:
        """The grid of a geometry: the object grows with its image on the detector, and so do the voxels."""
        ratio = _demagnification(geometry) / _demagnification(self.start)
        spacing = [ratio * step for step in self.grid.spacing]
        return Grid(self.grid.shape, spacing, [ratio * place for place in self.grid.center])


def checked_projections(projections: Any, geometry: Geometry) -> Tensor:
    """Line integrals of one scan [views, (rows,) columns], on the CPU and without gradients.

    Raises:
        InputTypeError, InputError: another dtype or shape than the geometry's, a batch, NaN or infinite values.
    """
    data = projections if isinstance(projections, Tensor) else torch.as_tensor(projections)
    check_projections(data, geometry)
    if data.ndim != geometry.ndim:
        axes = "views, rows, columns" if geometry.ndim == 3 else "views, columns"
        raise InputError(f"projections: expected [{axes}], got {list(data.shape)}")
    if not bool(torch.isfinite(data).all()):
        raise InputError("projections: expected finite values, got NaN or infinity")
    return data.detach().to("cpu")


def make_level(projections: Tensor, geometry: Geometry, learn: Sequence[str], columns: int) -> Level:
    """The level of a scan that has about so many columns.

    Args:
        geometry: of the full projections, without gradients, given by arguments (no short scan).

    Raises:
        InputError: values so large that they are no line integrals.
    """
    step = view_step(geometry, columns)
    values, small = binned(projections[::step], geometry[::step], binning(geometry, columns))
    scales = torch.stack([pixel_scale(small, name, start_value(small, name)) for name in learn])
    first, variance = _values(geometry, learn), noise_variance(values)
    if not bool(torch.isfinite(variance).all()):
        most = f"{float(values.max()):g}"
        raise InputError(f"projections: expected line integrals p with a noise of exp(p / 2), got values up to {most}")
    return Level(values, small, tuple(learn), first, scales, covering_grid(small), variance)


def binning(geometry: Geometry, columns: int) -> int:
    """The factor that leaves about so many columns."""
    return max(1, round(geometry.columns / columns))


def view_step(geometry: Geometry, columns: int) -> int:
    """Every so many views are enough for about so many columns."""
    views = max(LEAST_VIEWS, math.ceil(VIEWS_PER_COLUMN * geometry.columns / binning(geometry, columns)))
    return max(1, geometry.views // views)


def binned(projections: Tensor, geometry: Geometry, factor: int) -> tuple[Tensor, Geometry]:
    """Means of squares of elements, float32, and their geometry; what is over at the end is left out."""
    small = binned_geometry(geometry, factor)  # says what is too small
    return binned_values(projections, factor), small


def binned_values(projections: Tensor, factor: int) -> Tensor:
    """Means of squares of elements, or of neighbours in one row, float32."""
    pool = torch.nn.functional.avg_pool1d if projections.ndim == 2 else torch.nn.functional.avg_pool2d
    return pool(projections[:, None].float(), factor)[:, 0].contiguous()


def binned_geometry(geometry: Geometry, factor: int) -> Geometry:
    """The geometry of `binned_values`."""
    columns = (0, geometry.columns - geometry.columns % factor)
    if geometry.ndim == 2:
        return detector_region(geometry, columns=columns, binning=(1, factor))
    if geometry.rows < factor:
        raise InputError(
            f"projections: expected at least {factor} detector rows, as {factor} x {factor} elements are taken "
            f"together, got {geometry.rows}"
        )
    rows = (0, geometry.rows - geometry.rows % factor)
    return detector_region(geometry, rows=rows, columns=columns, binning=(factor, factor))


def noise_variance(projections: Tensor) -> Tensor:
    """Variance of each line integral, as photons have it: s exp(p).

    s from second differences along both of the last axes, which leave little of the object (J. Immerkaer, "Fast noise
    variance estimation", Computer Vision and Image Understanding 64(2), 1996), by their median.
    """
    mixed = projections.double()
    if min(mixed.shape[-2:]) < 3:
        mixed = mixed.transpose(0, -2)
    for axis in (-1, -2):
        mixed = (
            mixed.narrow(axis, 0, mixed.shape[axis] - 2)
            - 2 * mixed.narrow(axis, 1, mixed.shape[axis] - 2)
            + (mixed.narrow(axis, 2, mixed.shape[axis] - 2))
        )
    middle = projections.double() if min(projections.shape[-2:]) >= 3 else projections.double().transpose(0, -2)
    inner = middle[..., 1:-1, 1:-1]
    ratio = (mixed.square() / 36 / inner.exp()).flatten()
    share = ratio[:: max(1, len(ratio) // 200_000)].median() / MEDIAN_OF_SQUARES
    return (float(share) * projections.double().exp()).float()


def covering_grid(geometry: Geometry) -> Grid:
    """Voxels of a pixel's size at the axis, over all that the rays pass on their way through the field of view."""
    grid = geometry.default_grid()
    source = float(geometry.vectors[:, 0].norm(dim=1).median()) if geometry.divergent else math.inf
    reach = geometry.field_of_view / 2
    growth = [MARGIN * (1 + reach / source), MARGIN, MARGIN][-len(grid.shape) :]
    shape = [math.ceil(n * factor) for n, factor in zip(grid.shape, growth, strict=True)]
    return Grid(shape, grid.spacing, grid.center)


def _values(geometry: Geometry, names: Sequence[str]) -> Tensor:
    return torch.stack([start_value(geometry, name) for name in names])


def _demagnification(geometry: Geometry) -> float:
    recipe = geometry.recipe
    origin, detector = getattr(recipe, "source_to_origin", None), getattr(recipe, "source_to_detector", None)
    return 1.0 if origin is None or detector is None else float(origin) / float(detector)
