"""A scan: projections, the geometry they were measured in, and what the file says about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from sinograd.geometry import Geometry, Grid

Progress = Callable[[int, int], None]
_BLOCK_BYTES = 64 << 20


class Projections(Protocol):
    """What holds the numbers: a NumPy array, a tensor, or a file that reads the views it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[views, (rows,) columns]."""
        ...

    @property
    def dtype(self) -> Any:
        """As stored."""
        ...

    def __getitem__(self, views: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """Projections with their geometry.

    projections: [views, rows, columns], or [views, columns] for a 2-D geometry; may be lazy: `load` reads.
    geometry: where source and detector were in each view.
    metadata: what the file tells (vendor, sample, voltage ...), short names and plain values.
    grid: the grid that the file or its publisher suggests; None: take `geometry.default_grid()`.
    kind: what the numbers are: "line integrals" (attenuation x length, no unit).
    file: the file it was read from. provenance: how that file was made.

    Raises TypeError naming the argument for projections, geometry or grid of another type; `validate` checks
    shapes and numbers.
    """

    projections: Projections
    geometry: Geometry
    metadata: Mapping[str, Any] = field(default_factory=dict)
    grid: Grid | None = None
    kind: str = "line integrals"
    file: Path | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(hasattr(self.projections, name) for name in ("shape", "dtype", "__getitem__")):
            found = type(self.projections).__name__
            raise TypeError(f"projections must be an array, a tensor or what `sinograd.read` gives, got {found}")
        if not isinstance(self.geometry, Geometry):
            raise TypeError(f"geometry must be a Geometry, got {type(self.geometry).__name__}")
        if self.grid is not None:
            check_grid(self.grid)

    @property
    def name(self) -> str:
        """The file's name for messages."""
        return str(self.file) if self.file is not None else "scan"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the projections."""
        return tuple(int(n) for n in self.projections.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all projections as stored."""
        return math.prod(self.shape) * self.projections.dtype.itemsize

    def load(self, views: Any = slice(None), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Read `views` (a slice, an index or a list of indices) as a tensor of `dtype`, whatever is stored.

        The tensor may share memory with projections that are already in memory.
        """
        block = self.projections[views]
        if not isinstance(block, torch.Tensor):
            block = np.asarray(block)
            if not block.dtype.isnative:
                block = block.astype(block.dtype.newbyteorder("="))
            if not block.flags.writeable or any(stride < 0 for stride in block.strides):
                block = block.copy()
            block = torch.from_numpy(np.atleast_1d(block))
        return block.to(dtype)

    def validate(self, progress: Progress | None = None) -> Scan:
        """Check shapes and numbers, block by block, and return the scan itself.

        Raises ValueError naming the file when the scan is empty, when the projections do not have the
        geometry's shape, or when they hold NaN or infinite values (it says how many and where the first is).
        """
        self.check_shape()
        views = self.shape[0]
        step = max(1, _BLOCK_BYTES * views // max(self.nbytes, 1))
        count, first = 0, None
        for start in range(0, views, step):
            stop = min(start + step, views)
            bad = ~torch.isfinite(self.load(slice(start, stop)))
            if bad.any():
                count += int(bad.sum())
                if first is None:
                    view, *place = bad.nonzero()[0].tolist()
                    first = (start + view, *place)
            if progress is not None:
                progress(stop, views)
        if first is not None:
            place = ", ".join(f"{axis[:-1]} {index}" for axis, index in zip(self.axes, first, strict=True))
            raise ValueError(
                f"{self.name}: expected finite {self.kind}, got {count} NaN or infinite "
                f"value{'s' if count > 1 else ''}, the first at {place}"
            )
        return self

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of the projections."""
        return ("views", "columns") if self.geometry.ndim == 2 else ("views", "rows", "columns")

    def check_shape(self) -> None:
        """The part of `validate` that needs no projections: ValueError when the shapes do not fit."""
        axes, shape = self.axes, self.shape
        if 0 in shape:
            raise ValueError(f"{self.name}: the scan is empty: projections {list(shape)}")
        expected = tuple(int(n) for n in self.geometry.projection_shape)
        if len(shape) != len(expected):
            raise ValueError(
                f"{self.name}: the geometry expects projections [{', '.join(axes)}] = {list(expected)}, "
                f"got {len(shape)} dimensions {list(shape)}"
            )
        wrong = [f"{a} {n} != {m}" for a, n, m in zip(axes, shape, expected, strict=True) if n != m]
        if wrong:
            raise ValueError(
                f"{self.name}: projections {list(shape)} do not match the geometry's {list(expected)}: "
                + ", ".join(wrong)
            )

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {axis}" for n, axis in zip(self.shape, self.axes, strict=False))
        held = "in memory" if isinstance(self.projections, np.ndarray | torch.Tensor) else "read when asked for"
        stored = f"{str(self.projections.dtype).removeprefix('torch.')}, {self.nbytes / 1e6:,.1f} MB"
        lines = [
            f"Scan {self.name}",
            f"  projections: {counts}; {self.kind}; {stored}, {held}",
            f"  geometry: {self.geometry!r}",
            f"  grid: {'geometry.default_grid()' if self.grid is None else repr(self.grid)}",
        ]
        entries = list(self.metadata.items())
        lines += [f"  {key}: {_short(value)}" for key, value in entries[:14]]
        if len(entries) > 14:
            lines.append(f"  and {len(entries) - 14} more in .metadata")
        return "\n".join(lines)


def check_grid(grid: object) -> None:
    """TypeError unless `grid` is a Grid."""
    if not isinstance(grid, Grid):
        raise TypeError(f"grid must be a Grid, got {type(grid).__name__}")


def _short(value: Any, width: int = 90) -> str:
    text = str(value)
    return text if len(text) <= width else text[: width - 3] + "..."
