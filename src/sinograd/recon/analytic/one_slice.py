"""One slice of a volume, backprojected by the general kernels.

The kernels of upright detectors take columns of voxels along z together, of which one slice has one voxel each. The
general ones take voxels along x or y there: a slice takes a tenth of the time, and differs by rounding (1e-6 of the
largest value), as it does where rays are steeper than 45 degrees.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor

from sinograd.ops.backprojection import add_backprojection
from sinograd.ops.kernel_views import is_curved
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection


class OneSlice(FilteredBackprojection):
    """A reconstruction to one slice; see `one_slice`."""

    def _backproject(self, volume: Tensor, filtered: Tensor, part: slice) -> None:
        place = (self.grid.spacing, self.grid.center, self.scan.orbit.weighting, "general")
        add_backprojection(volume, filtered, self.scan.vectors[part], self.geometry.divergent, *place)


def one_slice(whole: FilteredBackprojection, index: int, rows: tuple[int, int]) -> FilteredBackprojection:
    """The reconstruction of a slice of a 3-D volume, in memory of the CPU and without gradients.

    It takes projections of the rows `scan.detector.real_rows`, or of all where that is None: tilted and turned
    detectors are read where the slice needs them, without a copy of these rows.

    Args:
        whole: of the volume.
        index: of the slice.
        rows: first and end of the rows of the upright detector that it needs (`upright_rows`).
    """
    slab = whole.slab((index, index + 1), rows)
    if is_curved(slab.scan.vectors):
        return slab
    made = OneSlice(**{field.name: getattr(slab, field.name) for field in dataclasses.fields(slab)})
    if slab.scan.detector.homographies is None:
        return made
    detector = dataclasses.replace(slab.scan.detector, real_rows=whole.scan.detector.real_rows)
    return dataclasses.replace(made, scan=dataclasses.replace(slab.scan, detector=detector))
