"""A .txm file, a volume that Zeiss' software has reconstructed, as a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sinograd.geometry import Grid
from sinograd.io.scans.txrm.images import read_images
from sinograd.io.scans.txrm.metadata import read_metadata
from sinograd.io.scans.txrm.streams import Streams

SUFFIXES = (".txm",)


def read_volume(path: Path) -> tuple[torch.Tensor, Grid, dict[str, Any]]:
    """The slices of a .txm as float32 [Z, Y, X], the grid of their PixelSize, centred, and what the file tells.

    The values are those in the file: integers or scaled numbers, no attenuation. ValueError naming the file
    when it is truncated or damaged or has no pixel size.
    """
    streams = Streams(path)
    slices = read_images(streams)
    pixel = streams.number("ImageInfo/PixelSize")
    if pixel is None or pixel <= 0:
        raise streams.error(f"PixelSize is {'missing' if pixel is None else f'{pixel:g} um'}")
    volume = torch.empty(slices.shape, dtype=torch.float32)
    for z in range(len(slices)):
        volume[z] = torch.from_numpy(slices[z])
    metadata = read_metadata(streams, len(slices))
    return volume, Grid(slices.shape, pixel / 1000), {"values": "as stored", "metadata": metadata}
