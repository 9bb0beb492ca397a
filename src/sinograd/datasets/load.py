"""`load_pairs`: from a description of where paired volumes come from to the volumes."""

from __future__ import annotations

from sinograd.datasets.pairs import PairedVolume
from sinograd.datasets.phantom_pairs import phantom_pairs
from sinograd.datasets.spec import PairsSpec, Phantoms


def load_pairs(spec: PairsSpec) -> list[PairedVolume]:
    """The paired volumes of one of the layouts of `sinograd.datasets.spec`.

    Files are looked up and their headers read; of each volume the middle slice is read to see whether it can be in its
    unit. Simulated ones are made when they are read.

    Raises:
        FileNotFoundError, ValueError: naming file or folder: nothing found, volumes without a partner, differing
            sizes or voxels, missing slices, mixed series, another unit.
        ConfigError: options that do not fit.
    """
    if isinstance(spec, Phantoms):
        return phantom_pairs(spec)
    raise AssertionError(spec)
