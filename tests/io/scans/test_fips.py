"""FIPS / Helsinki .mat files, version 5 and 7.3. Truth: real scans, and files written field by field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from sinograd.geometry import FanBeam, FlatDetector
from sinograd.io import read


def parameters(**changes: Any) -> dict[str, Any]:
    """Those of a small fan beam; None takes a field away."""
    fields: dict[str, Any] = {
        "projectName": "walnut",
        "geometryType": "Cone",
        "distanceSourceOrigin": 110.0,
        "distanceSourceDetector": 300.0,
        "distanceUnit": "mm",
        "angles": np.array([0.0, 90.0, 180.0, 270.0]),
        "pixelSizePost": 0.6,
        "numDetectorsPost": 3.0,
        "voltage": "45",
        "voltageUnit": "kV",
        "scanner": "Helsingin yliopisto µ",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def struct(sinogram: np.ndarray | None = None, **changes: Any) -> dict[str, Any]:
    sinogram = np.arange(12.0).reshape(4, 3) if sinogram is None else sinogram
    return {"type": "2D", "sinogram": sinogram, "parameters": parameters(**changes)}


def write_v5(path: Path, content: dict[str, Any], name: str = "CtDataFull") -> Path:
    scipy.io.savemat(path, {name: content})
    return path


def write_v73(path: Path, content: dict[str, Any], name: str = "CtDataFull") -> Path:
    """As MATLAB does: HDF5 after 512 bytes of header, structs as groups, columns first, text as UTF-16."""

    def put(group: h5py.Group, name: str, value: Any) -> None:
        if isinstance(value, dict):
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, item in value.items():
                put(inner, key, item)
            return
        text = isinstance(value, str)
        array = np.frombuffer(value.encode("utf-16-le"), "<u2") if text else value
        array = np.atleast_2d(array)
        dataset = group.create_dataset(name, data=np.ascontiguousarray(array.T))
        dataset.attrs["MATLAB_class"] = np.bytes_("char" if text else "double")
        if text:
            dataset.attrs["MATLAB_int_decode"] = np.int32(2)

    with h5py.File(path, "w", userblock_size=512) as file:
        put(file, name, content)
        file.create_group("#refs#")
    with open(path, "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


WRITERS = pytest.mark.parametrize("write", [write_v5, write_v73])


@WRITERS
def test_a_scan_field_by_field(tmp_path: Path, write: Any) -> None:
    scan = read(write(tmp_path / "scan.mat", struct()))
    expected = FanBeam.circular(
        source_to_origin=110,
        source_to_detector=300,
        angles=[0, math.pi / 2, math.pi, 1.5 * math.pi],
        detector=FlatDetector(3, 0.6),
    )
    assert scan.geometry.equals(expected)
    torch.testing.assert_close(scan.load(), torch.arange(12.0).reshape(4, 3), rtol=0, atol=0)
    assert scan.grid is None
    assert scan.metadata == {"vendor": "Helsingin yliopisto µ", "sample": "walnut", "voltage": "45 kV"}
    assert scan.validate() is scan


@WRITERS
def test_distances_in_cm(tmp_path: Path, write: Any) -> None:
    content = struct(distanceUnit="cm", distanceSourceOrigin=11.0, distanceSourceDetector=30.0, pixelSizePost=0.06)
    cm, mm = read(write(tmp_path / "cm.mat", content)), read(write(tmp_path / "mm.mat", struct()))
    assert cm.geometry.equals(mm.geometry)


@WRITERS
def test_field_names_of_version_1(tmp_path: Path, write: Any) -> None:
    content = struct(pixelSizePost=None, numDetectorsPost=None, effectivePixelSize=0.22, numDetectors=3)
    scan = read(write(tmp_path / "scan.mat", content))
    assert scan.geometry.detector.column_spacing == pytest.approx(0.6, rel=1e-14)


@WRITERS
def test_one_view(tmp_path: Path, write: Any) -> None:
    scan = read(write(tmp_path / "scan.mat", struct(np.array([[1.0, 2.0, 3.0]]), angles=np.array([30.0]))))
    torch.testing.assert_close(scan.load(), torch.tensor([[1.0, 2.0, 3.0]]))


@WRITERS
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (struct(distanceUnit="inch"), "distanceUnit 'inch' is unknown, expected mm or cm"),
        (struct(distanceUnit=None), r"parameters\.distanceUnit is missing"),
        (struct(distanceSourceOrigin=None), r"parameters\.distanceSourceOrigin is missing"),
        (struct(distanceSourceOrigin=-5.0), "distanceSourceOrigin must be one positive number, got -5"),
        (struct(pixelSizePost="N/A"), "pixelSizePost must be one positive number, got 'N/A'"),
        (struct(angles=np.array([0.0, 1.0])), r"sinogram \[4, 3\] has 4 views, parameters.angles has 2"),
        (struct(angles=np.array([0.0, 1.0, np.nan, 3.0])), "angles holds NaN"),
        (struct(numDetectorsPost=5), r"sinogram \[4, 3\] has 3 columns, parameters.numDetectorsPost is 5"),
        (struct(geometryType="Parallel"), "geometryType 'parallel' is not supported"),
        ({**struct(), "type": "3D"}, "type '3D' is not supported, expected '2D'"),
        ({**struct(), "sinogram": "none"}, "sinogram must hold real numbers"),
        ({"type": "2D", "parameters": parameters()}, "no field `sinogram`, found parameters, type"),
        ({"type": "2D", "sinogram": np.ones((4, 3))}, "no struct `parameters`"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, write: Any, content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(write(tmp_path / "scan.mat", content))
    assert "scan.mat" in str(caught.value)


@WRITERS
def test_other_matlab_files(tmp_path: Path, write: Any) -> None:
    with pytest.raises(ValueError, match=r"holds no FIPS scan: expected a struct CtDataFull .* found measurements"):
        read(write(tmp_path / "scan.mat", struct(), name="measurements"))


@WRITERS
def test_truncated_at_any_length(tmp_path: Path, write: Any) -> None:
    content = write(tmp_path / "scan.mat", struct(np.random.default_rng(0).random((4, 3)))).read_bytes()
    cut = tmp_path / "cut.mat"
    for length in [1, 50, *range(120, len(content), max(1, len(content) // 40)), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.mat"):
            read(cut)


def test_damaged_bytes_give_a_clean_error(tmp_path: Path) -> None:
    """In compressed files, as published ones are; SciPy itself can crash on other damaged ones."""
    scipy.io.savemat(tmp_path / "scan.mat", {"CtDataFull": struct()}, do_compression=True)
    content = (tmp_path / "scan.mat").read_bytes()
    generator, damaged = np.random.default_rng(1), tmp_path / "damaged.mat"
    for _ in range(60):
        data = np.frombuffer(content, np.uint8).copy()
        data[generator.integers(136, len(data), 4)] ^= generator.integers(1, 256, 4).astype(np.uint8)
        damaged.write_bytes(data.tobytes())
        with pytest.raises(ValueError, match=r"damaged\.mat"):
            read(damaged)


def test_the_real_scans(shared_data: Path) -> None:
    """Numbers from the published description of HTC 2022 (Zenodo 10.5281/zenodo.6984868)."""
    full = read(shared_data / "htc2022" / "tb_549views.mat").validate()
    wedge = read(shared_data / "htc2022" / "tb_30deg_original.mat").validate()
    assert full.shape == (549, 560) and wedge.shape == (61, 560)
    for scan in (full, wedge):
        assert isinstance(scan.geometry, FanBeam)
        assert scan.geometry.magnification == pytest.approx(553.74 / 410.66, rel=1e-9)
        assert scan.geometry.detector.column_spacing == 0.2
        assert scan.grid is not None and scan.grid.shape == (512, 512)
        assert scan.grid.spacing[0] == pytest.approx(0.1483223173330444, rel=1e-12)
        assert scan.metadata["voltage"] == "45 kV"
    assert full.geometry.angles is not None and wedge.geometry.angles is not None
    first, last = torch.rad2deg(full.geometry.angles[[0, -1]]).tolist()
    assert (first, last) == (pytest.approx(27), pytest.approx(334))
    # the same views are in both files
    same = (full.geometry.angles[:, None] - wedge.geometry.angles).abs().argmin(0)
    torch.testing.assert_close(full.load(same.tolist()), wedge.load(), rtol=1e-6, atol=1e-6)
