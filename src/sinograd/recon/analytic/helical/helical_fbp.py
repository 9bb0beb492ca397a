"""`helical_fbp`: weighted filtered backprojection of helical scans."""

from __future__ import annotations

from torch import Tensor

from sinograd.geometry import ConeBeam, Grid
from sinograd.ops.arguments import check_pair
from sinograd.ops.derivatives import untransformed
from sinograd.recon.analytic.helical.weighted import HelicalBackprojection, Progress


def helical_fbp(
    projections: Tensor,
    geometry: ConeBeam,
    grid: Grid | None = None,
    *,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    progress: Progress | None = None,
) -> Tensor:
    """Reconstructs a volume from a helical scan of a detector of one or many rows, flat or curved.

    K. Stierstorfer, A. Rauscher, J. Boese, H. Bruder, S. Schaller, T. Flohr, "Weighted FBP: a simple approximate 3D FBP
    algorithm for multislice spiral CT with good dose usage for arbitrary pitch", Physics in Medicine and Biology
    49(11), 2004: rebinning to a cone-parallel geometry, a ramp along the rows, and backprojection of the weighted mean
    of all views that see a voxel on lines of the same direction. It takes the true position of the source in each view:
    with a focal spot that flies along z each of its heights is a helix by itself, and their volumes are averaged.
    Differentiable to any order in projections. Views are read once, in order, and projections may be memory-mapped: a
    call allocates the volume and the filtered views of a few turns.

    Args:
        projections: line integrals [..., views, rows, columns], float32 or float64.
        geometry: a helical cone beam with its detector's rows parallel to z; `ConeBeam.helical`, or vectors.
        grid: the voxels; `geometry.default_grid()` if not given.
        window: a name of `recon.WINDOWS`, from sharp to smooth, such as "ram-lak" or "hann".
        cutoff: where the window ends, as a fraction of the Nyquist frequency.
        progress: called with (views done, views) between slabs of slices.

    Returns:
        Attenuation in 1/mm, [..., Z, Y, X].

    Raises:
        TypeError: not a cone beam, or a wrong dtype.
        ValueError: wrong shapes, NaN in the projections, no helix, gaps or repeats in the views, less than half a turn
            and the fan's angle.

    Warns:
        CoverageWarning: slices that the helix does not support, with the range that it does; a pitch that is too large,
            with the largest.
    """
    with untransformed():
        grid = geometry.default_grid() if grid is None else grid
        check_pair(geometry, grid)
        whole = HelicalBackprojection.of(geometry, grid, window=window, cutoff=cutoff)
    return whole.volume(projections, progress)
