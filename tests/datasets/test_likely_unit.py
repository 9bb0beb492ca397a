"""Volumes in another unit than is said. Truth: a water cylinder of 0.02 1/mm, in that unit and in others."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sinograd.datasets import OwnVolume, ScanSpec, load_pairs
from sinograd.errors import UnitWarning
from sinograd.geometry import Grid
from sinograd.io import write_volume

N, VOXEL = 48, 5.0
DISC = np.hypot(*np.mgrid[-1 : 1 : N * 1j, -1 : 1 : N * 1j]) < 0.8  # 192 mm wide
WATER = np.repeat(np.where(DISC, 0.02, 0.0)[None], 3, 0).astype(np.float32)
HU = np.where(WATER > 0, 0.0, -1000.0).astype(np.float32)


def pairs(folder: Path, values: np.ndarray, unit: Any, photons: float = 1e5, **more: Any) -> None:
    write_volume(values, folder / "a.h5", Grid(values.shape, VOXEL), force=True)
    load_pairs(
        OwnVolume(
            layout="own-volume", files=(folder / "a.h5",), unit=unit, scan=ScanSpec(beam="fan", photons=photons), **more
        )
    )


def test_right_units_say_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs(tmp_path, WATER, "1/mm")
        pairs(tmp_path, HU, "HU")
        pairs(tmp_path, HU + np.random.default_rng(0).normal(0, 30, HU.shape).astype(np.float32), "HU", 1e4)
        bone = np.random.default_rng(1).normal(900, 300, HU.shape).astype(np.float32)
        pairs(tmp_path, bone, "HU", 1e7)


def test_attenuation_in_other_units(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a: .*less than a photon.*0 to 0.2, are likely in 1/cm; multiply them by 0"):
        pairs(tmp_path, 10 * WATER, "1/mm")
    with pytest.raises(ValueError, match=r"are likely in 1/m; multiply them by 0.001"):
        pairs(tmp_path, 1000 * WATER, "1/mm")
    with pytest.raises(ValueError, match=r"water_per_mm 0.2 is likely in 1/cm; give 0.02"):
        pairs(tmp_path, HU, "HU", water_per_mm=0.2)
    with pytest.warns(UnitWarning, match=r"nothing attenuates .* in 1/um"):
        pairs(tmp_path, WATER / 1e6, "1/mm")


def test_shifted_hounsfield_units(tmp_path: Path) -> None:
    shifted = (HU + 1024).astype(np.uint16)
    with pytest.warns(UnitWarning, match=r"a: the values, 24 to 1024, none below 0, are likely HU \+ 1024 .*subtract"):
        pairs(tmp_path, shifted, "HU", 1e6)
    with pytest.raises(ValueError, match=r"are likely HU \+ 1024 .*; .*% of the rays through it would have less"):
        pairs(tmp_path, shifted, "HU", 1e3)
    with pytest.warns(UnitWarning, match=r"or 1000 where water is 1000"):
        pairs(tmp_path, HU + 1000, "HU", 1e6)


def test_few_photons_alone_are_no_other_unit(tmp_path: Path) -> None:
    with pytest.warns(UnitWarning, match=r"is the unit right, the object that dense\?"):
        pairs(tmp_path, WATER, "1/mm", 20.0)
