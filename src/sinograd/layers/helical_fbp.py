"""`HelicalFBP`: `helical_fbp` prepared once, as a layer."""

from __future__ import annotations

from torch import Tensor, nn

from sinograd.geometry import ConeBeam, Grid
from sinograd.ops.arguments import check_pair
from sinograd.ops.derivatives import untransformed
from sinograd.recon.analytic.helical.weighted import HelicalBackprojection, Progress


class HelicalFBP(nn.Module):
    """Reconstruction of helical scans as a layer without parameters; see `recon.helical_fbp`.

    Args:
        geometry: a helical cone beam.
        grid: the voxels; `geometry.default_grid()` if not given.
        window: a name of `recon.WINDOWS`.
        cutoff: where the window ends, as a fraction of the Nyquist frequency.

    Raises and warns as `recon.helical_fbp`, when it is made.
    """

    def __init__(
        self, geometry: ConeBeam, grid: Grid | None = None, *, window: str = "ram-lak", cutoff: float = 1.0
    ) -> None:
        super().__init__()
        with untransformed():
            grid = geometry.default_grid() if grid is None else grid
            check_pair(geometry, grid)
            self._whole = HelicalBackprojection.of(geometry, grid, window=window, cutoff=cutoff)
        self.geometry, self.grid, self.window, self.cutoff = geometry, grid, window, cutoff

    def forward(self, projections: Tensor, progress: Progress | None = None) -> Tensor:
        """Line integrals [..., views, rows, columns] to attenuation in 1/mm, [..., Z, Y, X]."""
        return self._whole.volume(projections, progress)

    def extra_repr(self) -> str:
        """Geometry, grid and filter, for printing."""
        return f"{self.geometry!r}, {self.grid!r}, window={self.window!r}, cutoff={self.cutoff!r}"
