"""`ScanFormat`: what one format of scans offers. To add one, write a class and enter it in `sinograd.choices`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sinograd.data.projections import Projections
from sinograd.data.scan import Scan
from sinograd.errors import UnsupportedError
from sinograd.geometry import Geometry
from sinograd.io.formats import Format

Progress = Callable[[int, int], None]


class ScanFormat(Format):
    """One format of scans. A class offers `matches` and `read`, and `write` if it writes.

    The attributes are for formats of other packages, whose entry is made from them; `sinograd.choices` says what they
    mean.
    """

    holds: ClassVar[str] = "scan"
    suffixes: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[bool | tuple[str, ...]] = False
    folder: ClassVar[bool | None] = False
    package: ClassVar[str | None] = None

    def read(self, path: Path, *, geometry: Geometry | None = None) -> Scan:
        """The scan in a file or folder that matches; its projections should stay there until they are used.

        Further keyword arguments of a format are its options, which `sinograd.read` hands on.

        Args:
            path: the file or folder.
            geometry: taken instead of what the file says.

        Raises InputError, which names the file, for one that is truncated, damaged or contradictory. What is odd but
        can be read is a ScanWarning that holds the counts.
        """
        raise NotImplementedError(f"{type(self).__name__}.read")

    def check(self, scan: Scan) -> None:
        """InputError unless the format can hold the scan."""
        scan.check_shape()

    def write(self, scan: Scan, path: Path, *, force: bool = False, progress: Progress | None = None) -> None:
        """Write a scan that passed `check`, in bounded memory; the files appear when they are whole, or not at all.

        Args:
            scan: projections may be lazy.
            path: the file, or the folder, that is made.
            force: replace files that exist.
            progress: called with (views done, views).

        Raises FileExistsError, and OSError when the disk is full.
        """
        raise UnsupportedError(f"{type(self).__name__} does not write scans")

    def written_paths(self, scan: Scan, path: Path) -> list[Path]:
        """The files, or the folder, that `write` makes."""
        return [path]


def with_progress(scan: Scan, progress: Progress | None) -> Scan:
    """The scan, whose projections report each block of views that is read of them."""
    if progress is None:
        return scan
    return dataclasses.replace(scan, projections=_Reporting(scan.projections, progress))


def stored_dtype(images: Projections, largest: int = 4) -> np.dtype[Any]:
    """The type that images are written as: integers of up to `largest` bytes as they are, the rest float32."""
    dtype = np.dtype(str(images.dtype).removeprefix("torch."))
    return dtype.newbyteorder("<") if dtype.kind in "iu" and dtype.itemsize <= largest else np.dtype("<f4")


def stored_block(images: Any, start: int, stop: int) -> np.ndarray:
    """Images start to stop - 1 as an array."""
    return as_array(images[start:stop])


def as_array(block: Any) -> np.ndarray:
    """An array or a tensor as an array."""
    return np.asarray(block.detach().cpu() if hasattr(block, "detach") else block)


class _Reporting:
    """Projections that tell `progress` which view was read last."""

    def __init__(self, projections: Projections, progress: Progress) -> None:
        self.projections = projections
        self.shape = projections.shape
        self.dtype = projections.dtype
        self._progress = progress

    def __getitem__(self, views: Any) -> Any:
        block = self.projections[views]
        if isinstance(views, slice):
            total = int(self.shape[0])
            self._progress(views.indices(total)[1], total)
        return block
