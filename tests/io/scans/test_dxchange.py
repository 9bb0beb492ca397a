"""DXchange HDF5. Truth: the arrays that h5py wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sinograd.errors import ScanWarning
from sinograd.geometry import FlatDetector, ParallelBeam
from sinograd.io import read

PIXEL = "measurement/instrument/detection_system/objective/resolution"


def write(path: Path, change: dict[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Nine views of 4 x 5 pixels, three flats, two darks, 1.3 um; None removes a dataset, a pair has its units."""
    draw = np.random.default_rng(5)
    content: dict[str, Any] = {
        "exchange/data": draw.integers(0, 4000, (9, 4, 5)).astype(np.uint16),
        "exchange/data_white": draw.integers(3000, 4000, (3, 4, 5)).astype(np.uint16),
        "exchange/data_dark": draw.integers(0, 50, (2, 4, 5)).astype(np.uint16),
        "exchange/theta": (np.linspace(0, 160, 9), "degrees"),
        PIXEL: (1.3, "um"),
        "measurement/sample/name": "shale",
    }
    content |= change or {}
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is None:
                continue
            array, units = value if isinstance(value, tuple) else (value, None)
            file[name] = array
            if units is not None:
                file[name].attrs["units"] = units
    return content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.h5"


def test_what_is_written_is_read(path: Path) -> None:
    content = write(path)
    scan = read(path)
    assert (scan.kind, scan.shape, scan.metadata["sample"]) == ("counts", (9, 4, 5), "shale")
    np.testing.assert_array_equal(np.asarray(scan.projections[2:5]), content["exchange/data"][2:5])
    calibration = scan.calibration
    assert calibration is not None and calibration.reference_views is None
    np.testing.assert_array_equal(calibration.load("reference").numpy(), content["exchange/data_white"])
    np.testing.assert_array_equal(calibration.load("dark").numpy(), content["exchange/data_dark"])
    angles = torch.deg2rad(torch.linspace(0, 160, 9, dtype=torch.float64))
    detector = FlatDetector((4, 5), 0.0013)
    assert scan.geometry.equals(ParallelBeam(-angles, detector))
    assert read(path, reverse=True).geometry.equals(ParallelBeam(angles, detector))
    assert read(path, pixel_mm=0.5).geometry.detector.spacing == (0.5, 0.5)


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [((1.3e-6, "m"), 1.3e-3), ((0.65, "micron"), 0.65e-3), ((650.0, "nm"), 0.65e-3), ((0.002, b"mm"), 0.002)],
)
def test_units_of_the_pixel_size(path: Path, pixel: Any, expected: float) -> None:
    write(path, {PIXEL: pixel})
    assert read(path).geometry.detector.spacing == pytest.approx((expected, expected))


@pytest.mark.parametrize(("pixel", "expected"), [(1.3e-6, 1.3e-3), (1.3, 1.3e-3)])
def test_a_pixel_size_without_units(path: Path, pixel: float, expected: float) -> None:
    write(path, {PIXEL: None, "measurement/instrument/detector/x_pixel_size": pixel})
    with pytest.warns(ScanWarning, match="x_pixel_size has no units: taken as u?m"):
        assert read(path).geometry.detector.spacing == pytest.approx((expected, expected))


def test_radians_and_no_pixel_size(path: Path) -> None:
    write(path, {"exchange/theta": (np.linspace(0, 3, 9), "rad"), PIXEL: None})
    with pytest.warns(ScanWarning, match="does not say how large its pixels are: lengths are in pixels"):
        scan = read(path)
    geometry = scan.geometry
    assert scan.length_unit == "pixel" and read(path, pixel_mm=0.5).length_unit == "mm"
    assert geometry.angles is not None and geometry.detector.spacing == (1, 1)
    torch.testing.assert_close(geometry.angles, -torch.linspace(0, 3, 9, dtype=torch.float64))


def test_without_references(path: Path) -> None:
    nothing: dict[str, Any] = {"exchange/data_white": None, "exchange/data_dark": np.zeros((0, 4, 5))}
    write(path, nothing)
    scan = read(path)
    assert scan.kind == "counts" and scan.calibration is None
    write(path, nothing | {"exchange/data": np.ones((9, 4, 5), np.float32)})
    with pytest.warns(ScanWarning, match="is float32 and there is no data_white: read as transmission"):
        assert read(path).kind == "transmission"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exchange/theta": np.zeros(7)}, r"7 angles \(/exchange/theta\) for 9 images"),
        ({"exchange/theta": None}, r"there is no /exchange/theta: give the geometry"),
        ({"exchange/theta": np.full(9, np.nan)}, "must be finite, 9 of 9 values are not"),
        ({"exchange/theta": (np.zeros(9), "parsec")}, "has units 'parsec', known are deg"),
        ({"exchange/theta": np.zeros((3, 3))}, r"/exchange/theta must be one row of numbers, got \[3, 3\]"),
        ({"exchange/data": np.zeros((9, 4))}, r"must be \[n, rows, columns\] and not empty, got \[9, 4\]"),
        ({"exchange/data": np.zeros((0, 4, 5))}, r"not empty, got \[0, 4, 5\]"),
        ({"exchange/data": np.zeros((9, 4, 5), complex)}, "must hold real numbers, got complex128"),
        ({"exchange/data": np.zeros((9, 4, 5), np.longdouble)}, "must hold real numbers, got float128"),
        ({"exchange/data_white": np.zeros((3, 4, 4))}, r"data_white \[3, 4, 4\] does not match /exchange/data"),
        ({PIXEL: (0.0, "um")}, "the pixel size is 0 mm"),
    ],
)
def test_contradictions(path: Path, change: Any, message: str) -> None:
    write(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert "scan.h5" in str(caught.value)


def test_an_aborted_scan_whose_chunks_were_never_written(path: Path) -> None:
    write(path)
    with h5py.File(path, "r+") as file:
        del file["exchange/data"]
        dataset = file.create_dataset("exchange/data", (9, 4, 5), np.uint16, chunks=(1, 4, 5))
        dataset[:7] = 100
    with pytest.warns(ScanWarning, match="2 of 9 chunks of /exchange/data were never written"):
        assert read(path).load(8).max() == 0


def test_a_given_geometry(path: Path) -> None:
    write(path, {"exchange/theta": None, PIXEL: None})
    geometry = ParallelBeam(torch.arange(9.0), FlatDetector((4, 5), 0.2))
    assert read(path, geometry=geometry).geometry.equals(geometry)
    with pytest.raises(ValueError, match="pixel_mm must be positive, got -1"):
        read(path, pixel_mm=-1)


def test_a_single_white_or_dark_image(path: Path) -> None:
    """As [rows, columns], which is one image of the stack that others write."""
    content = write(path)
    for name in ("exchange/data_white", "exchange/data_dark"):
        write(path, {name: content[name][0]})
        calibration = read(path).calibration
        assert calibration is not None
        field = "reference" if name.endswith("white") else "dark"
        np.testing.assert_array_equal(calibration.load(field).numpy(), content[name][:1])
    write(path, {"exchange/data_white": np.ones((4, 6), np.uint16)})
    with pytest.raises(ValueError, match=r"/exchange/data_white \[1, 4, 6\] does not match /exchange/data \[9, 4, 5\]"):
        read(path)


def test_angles_that_look_like_radians(path: Path) -> None:
    data = np.ones((100, 4, 5), np.uint16)
    write(path, {"exchange/data": data, "exchange/theta": np.linspace(0, np.pi, 100)})
    with pytest.warns(ScanWarning, match="100 angles without units span 3.1416, as radians would: taken as degrees"):
        read(path)
    write(path, {"exchange/data": data, "exchange/theta": (np.linspace(0, np.pi, 100), "radians")})
    assert float(read(path).geometry.angles[-1]) == pytest.approx(-np.pi)  # pyright: ignore[reportOptionalSubscript]


def test_limits_of_readings(path: Path) -> None:
    """As the file states them; a text or a number that says nothing is none."""
    detector = "measurement/instrument/detector"
    write(path, {f"{detector}/bit_depth": np.array([[12]], np.uint32), f"{detector}/saturation_value": 4000})
    assert {"bit_depth": 12, "saturation": 4000}.items() <= read(path).metadata.items()
    write(path, {f"{detector}/bit_depth": "12 bits", f"{detector}/saturation_value": -1})
    assert not {"bit_depth", "saturation"} & read(path).metadata.keys()
