"""A .txm file, a volume that Zeiss' software has reconstructed, as a volume.

The values are those in the file: integers or scaled numbers, no attenuation, so the unit is not known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.volume import Volume
from sinograd.geometry import Grid
from sinograd.io.scans.txrm.images import read_images
from sinograd.io.scans.txrm.metadata import read_metadata
from sinograd.io.scans.txrm.streams import Streams
from sinograd.io.volumes.format import VolumeFormat

_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class Txm(VolumeFormat):
    """A Zeiss volume; read only."""

    keeps = frozenset()
    unit_place = "not stored"

    def matches(self, path: Path, head: bytes) -> bool:
        """An OLE compound file that is called .txm: a volume has the same streams as a scan."""
        return head.startswith(_MAGIC) and path.suffix.lower() == ".txm"

    def open(self, path: Path) -> Volume:
        """The slices as float32 on the grid of their PixelSize, centred, and what the file tells.

        FormatError naming the file when it is truncated or damaged or has no pixel size.
        """
        streams = Streams(path)
        slices = read_images(streams)
        pixel = streams.number("ImageInfo/PixelSize")
        if pixel is None or pixel <= 0:
            raise streams.error(f"PixelSize is {'missing' if pixel is None else f'{pixel:g} um'}")
        record = {"values": "as stored", "metadata": read_metadata(streams, len(slices))}
        return Volume(XrmSlices(slices), Grid(slices.shape, pixel / 1000), None, record, path)


class XrmSlices:
    """The images of an XRM file as slices, float32."""

    dtype = torch.float32

    def __init__(self, images: Any) -> None:
        self._images = images
        self.shape: tuple[int, ...] = tuple(images.shape)

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1."""
        values = np.empty((end - first, *self.shape[1:]), np.float32)
        for place, z in enumerate(range(first, end)):
            values[place] = self._images[z]
        return torch.from_numpy(values)
