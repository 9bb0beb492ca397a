"""Flat fields and dark images are known by the names that instruments give them; other kinds of names are told."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sinograd.errors import InputError, ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, full_scan
from sinograd.io import read


def write(folder: Path, value: int, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / name, np.full((4, 5), value, np.uint16))


def write_geometry(folder: Path, views: int) -> None:
    orbit = ConeBeam.circular(
        source_to_origin=60, source_to_detector=150, angles=full_scan(views), detector=FlatDetector((4, 5), 0.5)
    )
    orbit.save(folder / "geometry.yaml")


@pytest.mark.parametrize(
    ("flat", "dark"),
    [
        ("ff_00.tif", "df_00.tif"),
        ("I0_00.tif", "dark_00.tif"),
        ("scan_I0.tif", "scan_dc.tif"),
        ("OB_001.tif", "DC_001.tif"),
        ("gain.tif", "DarkCurrent.tif"),
        ("Flats/1.tif", "Darks/1.tif"),
        ("WhiteField_3.tif", "dark-field_3.tif"),
    ],
)
def test_names_of_instruments(flat: str, dark: str, tmp_path: Path) -> None:
    write(tmp_path, 7, *(f"bone_{i:03d}.tif" for i in range(4)))
    write(tmp_path, 9, flat)
    write(tmp_path, 1, dark)
    write_geometry(tmp_path, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan = read(tmp_path)
    assert scan.calibration is not None
    assert scan.load().unique().tolist() == [7]
    assert scan.calibration.load("reference").unique().tolist() == [9]
    assert scan.calibration.load("dark").unique().tolist() == [1]


@pytest.mark.parametrize("name", ["coffee", "profile", "open-cell-foam", "radio_i01"])
def test_names_of_samples_are_none_of_these(name: str, tmp_path: Path) -> None:
    write(tmp_path, 7, *(f"{name}_{i:03d}.tif" for i in range(4)))
    write_geometry(tmp_path, 4)
    assert len(read(tmp_path).load()) == 4


def test_names_of_several_kinds_are_told(tmp_path: Path) -> None:
    write(tmp_path, 7, *(f"bone_{i:03d}.tif" for i in range(4)))
    write(tmp_path, 9, "air_004.tif", "air_005.tif")
    told = r"several names are taken for projections \(4 bone_\*\.tif, 2 air_\*\.tif\); flat fields have flat"
    with pytest.warns(ScanWarning, match=told), pytest.raises(InputError, match="views: 6"):
        read(tmp_path)
    write_geometry(tmp_path, 6)
    with pytest.warns(ScanWarning, match=told):
        read(tmp_path)


def test_one_kind_of_name_is_not_told(tmp_path: Path) -> None:
    """Numbers, signs and parts do not make another kind."""
    write(tmp_path, 7, *(f"bone_part{i // 2}_{i:03d}_{(i - 2) * 10:+d}deg.tif" for i in range(4)))
    write_geometry(tmp_path, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path)
