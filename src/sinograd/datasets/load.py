"""`load_pairs`: from a description of where paired volumes come from to the volumes."""

from __future__ import annotations

from collections.abc import Callable

from sinograd.datasets.files import volume_pairs
from sinograd.datasets.ldct_and_projection import ldct_pairs
from sinograd.datasets.mayo2016 import mayo2016_pairs
from sinograd.datasets.own_volume import own_volume_pairs
from sinograd.datasets.pairs import PairedVolume, check_place, check_unit
from sinograd.datasets.phantom_pairs import phantom_pairs
from sinograd.datasets.spec import LdctAndProjection, Mayo2016, OwnVolume, PairsSpec, Phantoms, Volumes
from sinograd.errors import InputTypeError

Progress = Callable[[int, int], None]


def load_pairs(spec: PairsSpec, progress: Progress | None = None) -> list[PairedVolume]:
    """The paired volumes of one of the layouts of `sinograd.datasets.spec`.

    Files are looked up and their headers read; of each volume the middle slice is read to see whether it can be in its
    unit. Simulated ones are made when they are read.

    Args:
        spec: one of the dataclasses of `sinograd.datasets.spec`.
        progress: called with (pairs found, pairs) while headers of DICOM files are read.

    Raises:
        FileNotFoundError, ValueError: naming file or folder: nothing found, volumes without a partner, differing
            sizes or voxels, missing slices, mixed series, another unit.
        ConfigError: options that do not fit.
    """
    match spec:
        case Phantoms():
            return phantom_pairs(spec)
        case OwnVolume():
            return own_volume_pairs(spec)
        case Mayo2016():
            pairs = mayo2016_pairs(spec, progress)
        case LdctAndProjection():
            pairs = ldct_pairs(spec, progress)
        case Volumes():
            pairs = volume_pairs(spec)
        case _:
            raise InputTypeError(
                f"spec must be one of the layouts of sinograd.datasets.spec, got a {type(spec).__name__}"
            )
    return [check_unit(check_place(pair)) for pair in pairs]
