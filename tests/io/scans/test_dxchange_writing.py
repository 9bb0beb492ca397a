"""DXchange files, written. Truth: the scan, h5py, and the names of the format's page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sinograd.data import Calibration, Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import FlatDetector, ParallelBeam
from sinograd.io import read, write_scan

ANGLES = [0.0, 0.4, 0.9, 1.5, 2.1, 3.0]


def draw(images: int, dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(images).integers(0, 999, (images, 4, 5)).astype(dtype)


@pytest.fixture
def scan() -> Scan:
    geometry = ParallelBeam(ANGLES, FlatDetector((4, 5), 0.002))
    calibration = Calibration(reference=draw(3), dark=draw(2))
    return Scan(draw(6), geometry, {"sample": "Knöchel"}, kind="counts", calibration=calibration)


def test_the_file_is_the_documented_one(tmp_path: Path, scan: Scan) -> None:
    write_scan(scan, tmp_path / "out.h5", format="dxchange")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["implements"][()] == b"exchange:measurement:provenance"
        assert file["exchange/data"].dtype == np.uint16
        np.testing.assert_array_equal(file["exchange/data"][()], draw(6))
        np.testing.assert_array_equal(file["exchange/data_white"][()], draw(3))
        np.testing.assert_array_equal(file["exchange/data_dark"][()], draw(2))
        np.testing.assert_allclose(file["exchange/theta"][()], -np.degrees(ANGLES))
        assert file["exchange/theta"].attrs["units"] == "deg"
        size = file["measurement/instrument/detector/x_pixel_size"]
        assert size[()] == [0.002] and size.attrs["units"] == "mm"
        assert file["measurement/sample/name"][()].decode() == "Knöchel"


def test_round_trip(tmp_path: Path, scan: Scan) -> None:
    write_scan(scan, tmp_path / "out.hdf5", format="dxchange")
    again = read(tmp_path / "out.hdf5").validate()
    assert again.kind == "counts" and again.geometry.equals(scan.geometry)
    np.testing.assert_array_equal(again.load().numpy(), draw(6))
    assert again.calibration is not None and again.calibration.references == 3 and again.calibration.darks == 2
    transmission = dataclasses.replace(
        scan, projections=draw(6, np.float64) / 1000, kind="transmission", calibration=None
    )
    write_scan(transmission, tmp_path / "two.h5", format="dxchange")
    with pytest.warns(ScanWarning, match="read as transmission"):
        again = read(tmp_path / "two.h5")
    assert again.kind == "transmission" and again.projections.dtype == np.float32


def test_what_has_no_place(tmp_path: Path, scan: Scan, cone_scan: Scan) -> None:
    calibration = Calibration(reference=draw(3), reference_views=[0, 1, 2], shifts=np.ones((6, 2)), exposure=np.ones(6))
    geometry = ParallelBeam(ANGLES, FlatDetector((4, 5), (0.002, 0.003)), axis_offset=0.1)
    with pytest.warns(
        ScanWarning,
        match="no place for where the detector's middle and the axis lie, pixels that are not square .*, "
        "when the references were taken, shifts, exposures",
    ):
        write_scan(
            dataclasses.replace(scan, geometry=geometry, calibration=calibration),
            tmp_path / "out.h5",
            format="dxchange",
        )
    for wrong, message in (
        (cone_scan, "this scan holds line integrals"),
        (dataclasses.replace(cone_scan, kind="transmission"), r"this scan was measured in ConeBeam\.circular"),
    ):
        with pytest.raises(ValueError, match=message):
            write_scan(wrong, tmp_path / "wrong.h5", format="dxchange")
    with pytest.raises(ValueError, match=r"must end in \.h5"):
        write_scan(scan, tmp_path / "out.dx", format="dxchange")
    with pytest.raises(FileExistsError, match="already exists"):
        write_scan(scan, tmp_path / "out.h5", format="dxchange")
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]
