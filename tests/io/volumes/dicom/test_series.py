"""DICOM series in: order, spacing, units, padding, and what is not one series."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_slices import tissue, write_slices
from sinograd.errors import ScanWarning, UnitWarning
from sinograd.io import read_volume, write_series
from sinograd.io.volumes.dicom.series import is_dicom_folder, read_series


def test_slices_come_by_position_whatever_their_names(tmp_path: Path) -> None:
    image = tissue((5, 12, 10))
    write_slices(tmp_path, image, order=[3, 1, 5, 2, 4], spacing=(2.5, 0.8, 0.7), first=30.0)
    (tmp_path / "README.txt").write_text("no slice")
    series = pickle.loads(pickle.dumps(read_series(tmp_path)))
    assert series.shape == (5, 12, 10)
    assert series.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert torch.equal(series.read(0, 5), torch.from_numpy(image).float())
    assert torch.equal(series.read(2, 3)[0], torch.from_numpy(image[2]).float())
    # positions are those of the first pixel's centre: DICOM PS3.3 C.7.6.2.1.1
    z, y, x = (axis[0].item() for axis in series.grid.axes())
    assert (x, y, z) == pytest.approx((-3.0, 4.0, 30.0))
    assert series.metadata["Manufacturer"] == "Test"
    assert is_dicom_folder(tmp_path) and not is_dicom_folder(tmp_path / "README.txt")


def test_a_series_that_runs_downwards_is_turned(tmp_path: Path) -> None:
    image = tissue((3, 4, 5))
    write_slices(tmp_path, image, spacing=(-2.0, 1.0, 1.0), tags={"SliceThickness": 2.0})
    series = read_series(tmp_path)
    assert series.spacing[0] == pytest.approx(2.0)
    assert torch.equal(series.read(0, 3), torch.from_numpy(image[::-1].copy()).float())


def test_sagittal_slices_keep_their_own_axes(tmp_path: Path) -> None:
    image = tissue((3, 4, 5))
    positions = [[1.0 + 2.0 * i, 0.0, 50.0] for i in range(3)]
    tags = {"each ImagePositionPatient": positions, "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
    write_slices(tmp_path, image, tags=tags)
    series = read_series(tmp_path)
    # normal = (0, 1, 0) x (0, 0, -1) = (-1, 0, 0): the slices come in falling x
    assert torch.equal(series.read(0, 3), torch.from_numpy(image[::-1].copy()).float())
    assert series.orientation == (0, 1, 0, 0, 0, -1)


@pytest.mark.parametrize("kind", ["US", "MGML", "OD"])
def test_values_that_are_no_hounsfield_units(tmp_path: Path, kind: str) -> None:
    """They are read as they are stored, padding too, and derived slices say the same."""
    image = tissue().copy()
    image[0, 0, 0] = -3000
    write_slices(tmp_path / "in", image, intercept=-4096, bits=16, tags={"RescaleType": kind})
    with pytest.warns(UnitWarning, match=rf"in: RescaleType is '{kind}'.*, not HU: the unit of its values is not"):
        series = read_series(tmp_path / "in")
    assert series.unit is series.volume.unit is None
    assert torch.equal(series.read(0, len(image)), torch.from_numpy(image).float())
    write_series(series.read(0, len(image)) + 5, tmp_path / "out", series, derivation="5 more")
    with pytest.warns(UnitWarning):
        again = read_volume(tmp_path / "out")
    assert again.unit is None and torch.equal(again.values, torch.from_numpy(image).float() + 5)


@settings(max_examples=12)
@given(
    slope=st.sampled_from([0.5, 1.0, 2.0]),
    intercept=st.sampled_from([-1024.0, -1000.0, 0.0, -8192.0]),
    seed=st.integers(0, 1000),
)
def test_rescale(tmp_path_factory: pytest.TempPathFactory, slope: float, intercept: float, seed: int) -> None:
    folder = tmp_path_factory.mktemp("series")
    stored = np.random.default_rng(seed).integers(0, 4096, (2, 3, 4))
    hounsfield = stored * slope + intercept
    write_slices(folder, hounsfield, slope=slope, intercept=intercept)
    found = read_series(folder, padding="keep").read(0, 2)
    assert np.array_equal(found.numpy(), hounsfield.astype(np.float32))
    air = read_series(folder).read(0, 2).numpy()
    assert np.array_equal(air, np.where(hounsfield <= -2000, -1000, hounsfield).astype(np.float32))


def test_padding_is_air_or_kept(tmp_path: Path) -> None:
    image = np.full((1, 2, 3), 40.0)
    image[0, 0] = [-1024.0, -1023.0, 3071.0]  # stored 0, 1, 4095
    write_slices(tmp_path, image, tags={"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 1})
    assert read_series(tmp_path).read(0, 1)[0, 0].tolist() == [-1000, -1000, 3071]
    assert read_series(tmp_path, padding="keep").read(0, 1)[0, 0].tolist() == [-1024, -1023, 3071]
    with pytest.raises(ValueError, match="padding must be air or keep, got 'zero'"):
        read_series(tmp_path, padding="zero")  # pyright: ignore[reportArgumentType]


def test_of_one_slice_the_thickness_is_the_spacing(tmp_path: Path) -> None:
    write_slices(tmp_path, tissue((1, 3, 3)), spacing=(5.0, 0.7, 0.7))
    assert read_series(tmp_path).spacing == pytest.approx((5.0, 0.7, 0.7))


def test_a_tilted_gantry_warns(tmp_path: Path) -> None:
    positions = [[0.0, 0.5 * i, 2.0 * i] for i in range(4)]
    write_slices(tmp_path, tissue(), tags={"each ImagePositionPatient": positions})
    with pytest.warns(ScanWarning, match=r"4 slices are shifted by 1\.5 mm"):
        assert read_series(tmp_path).shape == (4, 12, 10)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"each SeriesInstanceUID": ["1.2", "1.2", "1.3", "1.2"]}, "holds 2 series, expected one: 3 files of 'Low Do"),
        ({"each PixelSpacing": [[1, 1], [1, 1], [1, 1.1], [1, 1]]}, "PixelSpacing 1, 1.1 differs from 1, 1 in 1-001"),
        (
            {"each ImageOrientationPatient": [[1, 0, 0, 0, 1, 0]] * 3 + [[0, 1, 0, 1, 0, 0]]},
            "ImageOrientationPatient 0, 1, 0, 1, 0, 0 differs",
        ),
        ({"RescaleSlope": None}, "no RescaleSlope and RescaleIntercept: its values are no Hounsfield units"),
        ({"each RescaleType": ["HU", "HU", "US", "HU"]}, "RescaleType is HU, US: all slices of a series must have the"),
        ({"RescaleSlope": 0}, "RescaleSlope 0.* give no values"),
        ({"ImagePositionPatient": None}, "has no usable ImagePositionPatient"),
        ({"PixelSpacing": None}, "has no usable PixelSpacing"),
        ({"PixelSpacing": [0, 1]}, "PixelSpacing must be positive"),
        (
            {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
            "must be two perpendicular unit vectors, got 1, 0, 0, 1, 0, 0",
        ),
        ({"Rows": 60000, "Columns": 60000}, "is damaged: 60000 x 60000 pixels in"),
        ({"NumberOfFrames": 3}, "holds 3 frames"),
        ({"SamplesPerPixel": 3}, "is a colour image"),
        ({"each ImagePositionPatient": [[0, 0, z] for z in (0, 2, 2, 4)]}, "1-002.dcm and 1-003.dcm are at the same"),
        ({"each ImagePositionPatient": [[0, 0, z] for z in (0, 2, 4, 10)]}, "2 slices are missing between 1-003.dcm"),
        ({"each ImagePositionPatient": [[0, 0, z] for z in (0, 2, 4, 6.5)]}, "are 2 to 2.5 mm apart, expected the"),
        ({"each ImagePositionPatient": [[0, 0, 5]] * 4}, "several acquisitions, or copies"),
    ],
)
def test_what_is_no_series(tmp_path: Path, tags: dict[str, Any], message: str) -> None:
    write_slices(tmp_path, tissue(), tags=tags)
    with pytest.raises(ValueError, match=message):
        read_series(tmp_path)


def test_slices_of_other_size(tmp_path: Path) -> None:
    write_slices(tmp_path, tissue((2, 4, 4)), series="1.2")
    write_slices(tmp_path, tissue((1, 5, 4)), series="1.2", first=-6.0, name="2-{:03d}.dcm")
    with pytest.raises(ValueError, match=r"2-001\.dcm: rows x columns 5, 4 differs from 4, 4 in 1-001\.dcm"):
        read_series(tmp_path)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_series(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no DICOM files"):
        read_series(tmp_path)
    files = write_slices(tmp_path, tissue())
    with pytest.raises(NotADirectoryError, match="is a file, expected a folder"):
        read_series(files[0])
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) - 60])
    with pytest.raises(ValueError, match=r"1-002\.dcm: the pixels \(Explicit VR Little Endian\) cannot be read"):
        read_series(tmp_path).read(0, 4)
    files[1].write_bytes(b"nothing of DICOM")
    with pytest.raises(ValueError, match=r"1-002\.dcm is no DICOM file, or is damaged"):
        read_series(tmp_path)


@settings(max_examples=40)
@given(cut=st.floats(0, 1), place=st.floats(0, 1), byte=st.integers(0, 255))
def test_damaged_bytes_give_a_series_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, cut: float, place: float, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("series")
    (file,) = write_slices(folder, tissue((1, 4, 4)))
    content = bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] = byte
    file.write_bytes(content[: int(cut * len(content))])
    try:
        read_series(folder).read(0, 1)
    except ValueError as error:
        assert str(folder) in str(error)


@pytest.mark.parametrize("name", ["CT_small.dcm", "693_J2KR.dcm", "693_UNCI.dcm", "explicit_VR-UN.dcm"])
def test_real_slices(shared_data: Path, tmp_path: Path, name: str) -> None:
    source = shared_data / "dicom" / name
    (tmp_path / name).write_bytes(source.read_bytes())
    try:
        series = read_series(tmp_path, padding="keep")
        found = series.read(0, 1)[0].double().numpy()
    except ValueError as error:  # a decoder of JPEG 2000 is not part of pydicom
        assert "JPEG 2000" in str(error)
        pytest.skip(str(error))
    header = pydicom.dcmread(source)
    assert np.array_equal(found, pydicom.pixels.apply_modality_lut(header.pixel_array, header))
    assert series.spacing[1:] == pytest.approx([float(s) for s in header.PixelSpacing])
    assert float(read_series(tmp_path).read(0, 1).min()) >= -2000


def test_real_enhanced_file(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "enhanced.dcm").write_bytes((shared_data / "dicom" / "eCT_Supplemental.dcm").read_bytes())
    with pytest.warns(UnitWarning, match=r"enhanced.dcm: RescaleType is 'US' \(unspecified\), not HU: the unit of its"):
        series = read_series(tmp_path / "enhanced.dcm")
    stored = pydicom.dcmread(tmp_path / "enhanced.dcm").pixel_array.astype(np.float32)
    assert series.volume.unit is None
    assert float(series.volume.values.double().sum()) == float((stored - 1024).sum(dtype=np.float64))
    with pytest.warns(ScanWarning, match="against the world's x and z"):  # the unit is stated, and no news
        assert read_volume(tmp_path / "enhanced.dcm", unit="HU").unit == "HU"
