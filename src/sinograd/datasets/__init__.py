"""Data for training and scoring denoisers: pairs of noisy and clean volumes, and random patches of them."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.datasets.download import fetch, fetch_ldct_benchmark
    from sinograd.datasets.load import load_pairs
    from sinograd.datasets.pairs import PairedVolume, Unit, check_unit
    from sinograd.datasets.patches import Patches
    from sinograd.datasets.spec import (
        LdctAndProjection,
        Mayo2016,
        OwnVolume,
        PairFiles,
        PairsSpec,
        PatchesSpec,
        Phantoms,
        ScanSpec,
        Volumes,
        with_absolute_paths,
    )
    from sinograd.datasets.walnut import read_walnut

__all__ = [
    "LdctAndProjection",
    "Mayo2016",
    "OwnVolume",
    "PairFiles",
    "PairedVolume",
    "PairsSpec",
    "Patches",
    "PatchesSpec",
    "Phantoms",
    "ScanSpec",
    "Unit",
    "Volumes",
    "check_unit",
    "fetch",
    "fetch_ldct_benchmark",
    "load_pairs",
    "read_walnut",
    "with_absolute_paths",
]

attach(__name__)
