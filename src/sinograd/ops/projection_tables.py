"""What projector kernels get beside arrays: a scan's numbers in the memory of the device, kept from call to call."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.ops.device_cache import DeviceCache
from sinograd.ops.kernel_views import VIEW_DOUBLES, is_curved, voxel_views

# Places a slice: finer than the kernels see, and coarser than rounding errors of the numbers that describe a grid.
LATTICES = {torch.float32: 2**32, torch.float64: 2**39}

# kernels/cuda/scan.h
SCAN = np.dtype(
    [
        *[
            (f"{axis}_{name}", kind)
            for axis in "zyx"
            for name, kind in (("count", "i8"), ("spacing", "f8"), ("at", "f8"), ("first", "i8"), ("all", "i8"))
        ],
        *[(name, "i8") for name in ("rows", "columns", "first_row", "curved", "divergent", "weighting")],
    ]
)


@dataclass(frozen=True)
class Portion:
    """Slices of a volume and rows of a detector that a kernel gets in the place of all.

    With the numbers of the whole, voxels fall on the same places to the last bit as where all is computed at once.

    Attributes:
        first_slice, slices: the first slice, and how many the whole volume has; 0 slices: it is the whole.
        first_row, rows: the first row, and how many the whole detector has; 0 rows: it is the whole.
    """

    first_slice: int = 0
    slices: int = 0
    first_row: int = 0
    rows: int = 0

    def detector(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the whole detector."""
        return (self.rows, *shape[1:]) if self.rows else shape

    def flipped(self, rows: int) -> Portion:
        """The part where rows are numbered from the other end; it has `rows` of them."""
        return dataclasses.replace(self, first_row=self.rows - self.first_row - rows) if self.rows else self

    def anchored(self, count: int, spacing: float, center: float, dtype: torch.dtype) -> tuple[float, Portion]:
        """The same `count` slices as part of a volume whose middle slice is the one nearest to z = 0.

        Of a part of a volume and of a volume of the same slices the result is the same, so that their voxels fall on
        the same places to the last bit. Slices are moved onto a lattice, by up to 1.2e-10 of their spacing for float32
        and 9e-13 for float64.

        Args:
            count: slices of this part.
            spacing, center: of the whole volume along z, in mm.
            dtype: of its numbers.

        Returns:
            Where the middle slice lies, in mm, and which of its slices these are.
        """
        whole = self.slices or count
        place = center / spacing - (whole - 1) / 2 + self.first_slice  # of the first slice, in slices from z = 0
        offset = round((place - math.floor(place)) * LATTICES[dtype]) / LATTICES[dtype]
        first = math.floor(place)
        if offset > 0.5:
            offset, first = offset - 1, first + 1
        reach = max(abs(first), abs(first + count - 1))
        return offset * spacing, dataclasses.replace(self, first_slice=first + reach, slices=2 * reach + 1)

    def numbers(self) -> tuple[int, int, int]:
        """What the kernels of the CPU take."""
        return self.first_slice, self.slices, self.first_row


WHOLE = Portion()


@dataclass(frozen=True)
class Scan:
    """One beam and one grid as the kernels see them: always three axes and a two-dimensional detector."""

    vectors: Tensor  # [views, 4 or 5, 3], float64, CPU
    divergent: bool
    detector: tuple[int, ...]  # rows, columns
    shape: tuple[int, ...]  # z, y, x
    spacing: tuple[float, ...]
    center: tuple[float, ...]  # z, y, x
    weighting: int
    general: bool = False  # for the general kernels
    part: Portion = WHOLE

    def header(self) -> np.ndarray:
        """The numbers of `struct Scan`."""
        parts = ((self.part.first_slice, self.part.slices), (0, 0), (0, 0))
        places = zip(self.shape, self.spacing, self.center, parts, strict=True)
        axes = [number for *axis, part in places for number in (*axis, *part)]
        detector = (*self.detector, self.part.first_row)
        return np.array([(*axes, *detector, is_curved(self.vectors), self.divergent, self.weighting)], SCAN)

    def key(self) -> bytes:
        """Equal for equal scans."""
        digest = hashlib.blake2b(self.header().tobytes() + bytes([self.general]))
        digest.update(self.vectors.contiguous().numpy().tobytes())
        return digest.digest()


@dataclass(frozen=True)
class Tables:
    """A scan in device memory."""

    scan: Tensor  # the header, as int64
    views: Tensor  # [views, 16]
    vectors: Tensor  # [views, 4 or 5, 3]

    @classmethod
    def of(cls, scan: Scan, device: torch.device) -> Tables:
        """A new copy."""
        views = voxel_views(scan.vectors, scan.divergent, scan.part.detector(scan.detector), scan.general)
        parts = [part.flatten().view(torch.int64) for part in (views, scan.vectors)]
        parts.append(torch.from_numpy(scan.header().view(np.int64)))
        buffer = torch.cat(parts).to(device)
        first, second, header = buffer.split([part.numel() for part in parts])
        vectors = second.view(torch.float64).view(scan.vectors.shape)
        return cls(header, first.view(torch.float64).view(-1, VIEW_DOUBLES), vectors)


class TableCache(DeviceCache[Tables]):
    """The tables of the scans used last; those that a CUDA graph has captured stay."""

    def __init__(self, size: int = 32) -> None:
        super().__init__(size, "copying a scan to the GPU", lambda entry: entry.scan)

    def get(self, scan: Scan, device: torch.device) -> Tables:
        """Tables on the device, ready for its current stream.

        Raises:
            RuntimeError: a graph is being captured and this scan is new.
        """
        return self.find(scan.key(), device, lambda: Tables.of(scan, device))


tables = TableCache()
