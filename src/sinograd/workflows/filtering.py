"""Filters and networks over a volume or projections: here, or slab by slab on workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from sinograd.models import NetworkDenoiser, filter_in_place
from sinograd.models.slabs import FilterSlab, filter_slabs, filtered_slab

if TYPE_CHECKING:
    from sinograd.ops.stored import StoredTensor
    from sinograd.workflows.report import Advance
    from sinograd.workflows.workers import Workers

SLAB_BYTES = 16 << 20
"""Of a slab of bilateral filters on a worker; their bits are those of any slab, networks have the slabs of here."""


@dataclass(frozen=True, eq=False)
class _Filtered:
    """Filters the slab of a number and writes it."""

    module: nn.Module
    device: str
    slabs: tuple[FilterSlab, ...]
    source: StoredTensor
    result: StoredTensor

    def __call__(self, number: int) -> None:
        slab = self.slabs[number]
        block = self.source.read((slice(slab.before, slab.after),))
        found = filtered_slab(self.module.to(self.device), block, slab)
        self.result.write((slice(slab.first, slab.end),), found.cpu())


def filter_values(module: nn.Module, values: Tensor, device: str, workers: Workers | None, advance: Advance) -> None:
    """Replace float32 values [Z, Y, X], or an image, by what a module makes of them, with the same bits whoever does.

    device: where this process or each worker computes.
    """
    filters = cast("nn.Sequential | NetworkDenoiser", module)
    if workers is None or values.ndim < 3:
        filter_in_place(filters.to(device), values, progress=advance)
        return
    slabs = filter_slabs(filters, values, SLAB_BYTES if isinstance(module, nn.Sequential) else None)
    source, result = (workers.space.empty(values.shape) for _ in range(2))
    source.write((slice(None),), values)
    done = 0
    work = _Filtered(module, device, tuple(slabs), source, result)
    for number, _ in workers.run(work, range(len(slabs))):
        done += slabs[number].end - slabs[number].first
        advance(done, len(values))
    for slab in slabs:
        block = (slice(slab.first, slab.end),)
        values[block] = result.read(block)
