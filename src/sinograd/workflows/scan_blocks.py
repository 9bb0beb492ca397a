"""A simulated scan, made block of views by block of views: here, or by workers that write a shared file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from sinograd.physics import Starved, view_slices, views_of_readings

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.ops.stored import StoredTensor
    from sinograd.workflows.report import Advance
    from sinograd.workflows.scan_detector import ScanDetector
    from sinograd.workflows.scan_noise import ScanNoise
    from sinograd.workflows.spectral import AnyPhantom
    from sinograd.workflows.workers import Workers

_BLOCK = 2**20  # readings made at once; the noise of a seed depends on it


class ScanBlocks(Protocol):
    """Makes blocks of a scan; workers have copies of it."""

    @property
    def noise(self) -> ScanNoise:
        """Of the whole scan."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the projections, [views, (rows,) columns]."""
        ...

    def __call__(self, views: slice, number: int) -> tuple[Tensor, Starved]:
        """Some views, float32, and their starved readings; blocks are numbered from 0."""
        ...


@dataclass(frozen=True, eq=False)
class PhantomBlocks:
    """Projections of a phantom.

    detector: of a scanner that is not ideal. With lag blocks are photons, and `read_in_order` makes line integrals.
    """

    phantom: AnyPhantom
    geometry: Geometry
    noise: ScanNoise
    detector: ScanDetector | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """See `ScanBlocks`."""
        return self.geometry.projection_shape

    def __call__(self, views: slice, number: int) -> tuple[Tensor, Starved]:
        """See `ScanBlocks`."""
        noise = self.noise.of_block(views, number)
        if self.detector is None:
            return self.phantom.measured(self.geometry[views], noise), noise.starved
        photons = self.detector.photons(self.phantom, self.geometry[views], noise)
        if self.detector.effects.lag is not None:
            return photons.float(), noise.starved
        return self.detector.read(photons, number)


@dataclass(frozen=True, eq=False)
class LoweredBlocks:
    """A measured scan at a lower dose."""

    scan: Scan
    noise: ScanNoise

    @property
    def shape(self) -> tuple[int, ...]:
        """See `ScanBlocks`."""
        return tuple(self.scan.shape)

    def __call__(self, views: slice, number: int) -> tuple[Tensor, Starved]:
        """See `ScanBlocks`."""
        measured = self.scan.load(views)
        if not bool(measured.isfinite().all()):  # raises in the scan's own words
            dataclasses.replace(self.scan, projections=measured, geometry=self.scan.geometry[views]).validate()
        noise = self.noise.of_block(views, number)
        return noise.lowered(measured), noise.starved


@dataclass(frozen=True, eq=False)
class _Written:
    """Makes the block of a number and writes it."""

    make: ScanBlocks
    blocks: tuple[slice, ...]
    result: StoredTensor

    def __call__(self, number: int) -> Starved:
        """The starved readings."""
        views = self.blocks[number]
        values, starved = self.make(views, number)
        self.result.write((views,), values.reshape(-1, *self.result.shape[1:]))
        return starved


def made_in_blocks(make: ScanBlocks, workers: Workers | None, advance: Advance) -> Tensor:
    """All projections, in memory, of the same bits whoever makes them; `make.noise` counts starved readings."""
    shape, blocks = make.shape, _blocks_of(make.shape)
    if workers is None:
        values = torch.empty(shape)
        for number, views in enumerate(blocks):
            values[views], starved = make(views, number)
            make.noise.starved.add(starved)
            advance(views.stop, shape[0])
        return values
    result = workers.space.empty((shape[0], 1, shape[1]) if len(shape) == 2 else shape)
    done = 0
    for number, starved in workers.run(_Written(make, tuple(blocks), result), range(len(blocks))):
        make.noise.starved.add(starved)
        done += blocks[number].stop - blocks[number].start
        advance(done, shape[0])
    return result.read().reshape(shape)


def read_in_order(photons: Tensor, detector: ScanDetector) -> None:
    """Line integrals of photons of all views, in place: with lag a view depends on those before it."""
    for number, views in enumerate(_blocks_of(tuple(photons.shape))):
        photons[views], starved = detector.read(photons[views], number)
        detector.noise.starved.add(starved)


def _blocks_of(shape: tuple[int, ...]) -> list[slice]:
    return list(view_slices(shape[0], views_of_readings(shape, _BLOCK)))
