"""`read` finds the format and says what is wrong with files that are none. Truth: files of each kind."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import sinograd as sg
from dicom_slices import tissue, write_slices
from sinograd.choices import SCAN_FORMATS
from sinograd.data import Scan
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, full_scan
from sinograd.io import read, write_scan
from sinograd.io.scans.format import ScanFormat


def test_the_content_decides_not_the_name(cone_scan: Scan, tmp_path: Path) -> None:
    write_scan(cone_scan, tmp_path / "scan.h5")
    (tmp_path / "scan.h5").rename(tmp_path / "scan.dat")
    assert read(str(tmp_path / "scan.dat")).shape == (6, 4, 5)


def test_missing_and_unsuitable_paths(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5 does not exist"):
        read(tmp_path / "nothing.h5")
    with pytest.raises(IsADirectoryError, match="is a folder, and no known scan format is one"):
        read(tmp_path)
    (tmp_path / "empty.mat").touch()
    with pytest.raises(ValueError, match=r"empty\.mat is empty \(0 bytes\)"):
        read(tmp_path / "empty.mat")


@pytest.mark.parametrize("name", ["scan.xyz", "scan.mat", "scan.h5", "scan"])
def test_unknown_content_lists_the_known_formats(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"these are not projections" * 100)
    with pytest.raises(ValueError, match=r"these are not p.*FIPS / Helsinki MATLAB") as caught:
        read(tmp_path / name)
    assert "sinograd HDF5 (.h5, .hdf5)" in str(caught.value)
    assert name in str(caught.value)


def test_other_hdf5_files_are_unknown(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"Known formats: .*sinograd HDF5"):
        read(tmp_path / "other.h5")


def test_truncated_hdf5_at_any_length(cone_scan: Scan, tmp_path: Path) -> None:
    whole, cut = tmp_path / "scan.h5", tmp_path / "cut.h5"
    write_scan(cone_scan, whole)
    content = whole.read_bytes()
    for length in [*range(1, 120, 7), *range(120, len(content), 211), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.h5"):
            read(cut).validate()


def test_a_given_geometry_takes_the_place_of_the_files(cone_scan: Scan, tmp_path: Path) -> None:
    write_scan(cone_scan, tmp_path / "scan.h5")
    other = ConeBeam.circular(
        source_to_origin=7, source_to_detector=9, angles=full_scan(6), detector=FlatDetector((4, 5), 0.1)
    )
    assert read(tmp_path / "scan.h5", geometry=other).geometry.equals(other)
    other.save(tmp_path / "other.yaml")
    assert read(tmp_path / "scan.h5", tmp_path / "other.yaml").geometry.equals(other)
    with pytest.raises(ValueError, match=r"scan\.h5: projections \[6, 4, 5\] do not match .* views 6 != 5"):
        read(tmp_path / "scan.h5", geometry=other[:5])


def test_unknown_options_are_named(cone_scan: Scan, tmp_path: Path) -> None:
    write_scan(cone_scan, tmp_path / "scan.h5")
    with pytest.raises(TypeError, match="sinograd HDF5 has no option binning; it has none"):
        read(tmp_path / "scan.h5", binning=2)


def test_folders_are_shown_to_the_formats_that_read_them(cone_scan: Scan, tmp_path: Path) -> None:
    class Folders(ScanFormat):
        def matches(self, path: Path, head: bytes) -> bool:
            return path.is_dir() and head == b""

        def read(self, path: Path, *, geometry: Geometry | None = None) -> Scan:
            return cone_scan

    SCAN_FORMATS.add("folders", Folders, "folders", suffixes=(), folder=True)
    try:
        assert read(tmp_path) is cone_scan
    finally:
        SCAN_FORMATS.remove("folders")


def test_hdf5_of_an_unknown_layout_says_how_to_name_its_data_sets(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.nxs", "w") as file:
        file["entry/mask"] = np.ones((3, 4), np.uint16)
        file["entry/camera/frames"] = np.full((5, 3, 4), 9, np.uint16)
        file["entry/more"] = h5py.ExternalLink("other.h5", "/frames")
    with pytest.raises(sg.errors.FormatError) as caught:
        sg.read(tmp_path / "raw.nxs")
    text = str(caught.value)
    assert f"name its data sets in {tmp_path / 'raw.yaml'}, for example {{hdf5: raw.nxs, projections: " in text
    assert "projections: /entry/camera/frames, angles: /PATH, pixel_mm: MM}" in text
    assert "it has /entry/camera/frames [5, 3, 4], /entry/mask [3, 4], /entry/more (a link to other.h5)" in text
    (tmp_path / "raw.yaml").write_text(
        "{hdf5: raw.nxs, projections: /entry/camera/frames, angles: /entry/angles, pixel_mm: 0.1, kind: line integrals}"
    )
    with h5py.File(tmp_path / "raw.nxs", "a") as file:
        file["entry/angles"] = np.arange(5.0)
    assert sg.read(tmp_path / "raw.nxs").shape == (5, 3, 4)
    (tmp_path / "cut.nxs").write_bytes((tmp_path / "raw.nxs").read_bytes()[:500])
    with pytest.raises(sg.errors.InputError, match="truncated or damaged"):
        sg.read(tmp_path / "cut.nxs")


def test_one_dicom_slice_is_no_scan(tmp_path: Path) -> None:
    (one, *_) = write_slices(tmp_path, tissue((2, 8, 8)))
    content = bytearray(one.read_bytes())
    content[:4] = b"II*\0"  # a TIFF file, too
    one.write_bytes(content)
    with pytest.raises(sg.errors.FormatError, match="one DICOM file; a volume is the folder with all slices"):
        sg.read(one)
