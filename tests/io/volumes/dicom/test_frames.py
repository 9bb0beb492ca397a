"""Enhanced CT files: frames with functional groups. Truth: the arrays that were written, positions by DICOM's rule."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from dicom_slices import tissue, write_slices
from sinograd.errors import ScanWarning, UnitWarning
from sinograd.io import open_volume, read_series, read_volume, write_series, write_volume

AXIAL = [1, 0, 0, 0, 1, 0]
ORDER = [2, 0, 3, 1]
RESCALES = [(1.0, -1024.0), (2.0, -1024.0), (1.0, -1000.0), (0.5, -1024.0)]


def item(**tags: object) -> list[Dataset]:
    held = Dataset()
    for tag, value in tags.items():
        setattr(held, tag, value)
    return [held]


def write_enhanced(
    path: Path, hounsfield: np.ndarray, orientation: list[float], *, shared: bool, kind: str | None = "HU"
) -> None:
    """Frames in a shuffled order, 2 mm apart along the normal, each with its own rescale."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), generate_uid()
    header.Modality, header.Manufacturer = "CT", "Test"
    normal = np.cross(orientation[:3], orientation[3:])
    plane = item(ImageOrientationPatient=orientation)
    measures = item(PixelSpacing=[0.7, 0.5], SliceThickness=2.0)
    groups, pixels = [], []
    for index in ORDER:
        slope, intercept = RESCALES[index]
        group = Dataset()
        group.PlanePositionSequence = item(ImagePositionPatient=(np.array([-3.0, 4, 5]) + 2 * index * normal).tolist())
        group.PixelValueTransformationSequence = item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType=kind)
        if not shared:
            group.PlaneOrientationSequence, group.PixelMeasuresSequence = plane, measures
        groups.append(group)
        pixels.append(np.rint((hounsfield[index] - intercept) / slope).astype("<i2"))
    together = Dataset()
    if shared:
        together.PlaneOrientationSequence, together.PixelMeasuresSequence = plane, measures
    header.SharedFunctionalGroupsSequence, header.PerFrameFunctionalGroupsSequence = [together], groups
    header.NumberOfFrames, header.Rows, header.Columns = len(groups), *hounsfield.shape[1:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    header.PixelData = np.stack(pixels).tobytes()
    header.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("shared", [True, False])
def test_frames_by_position(shared: bool, tmp_path: Path) -> None:
    values = 2 * np.rint(tissue() / 2)
    write_enhanced(tmp_path / "ct.dcm", values, AXIAL, shared=shared)
    for path in (tmp_path, tmp_path / "ct.dcm"):
        volume = open_volume(path)
        np.testing.assert_array_equal(volume.values.numpy(), values)
        np.testing.assert_array_equal(volume.read(1, 3).numpy(), values[1:3])
        assert volume.unit == "HU" and volume.spacing == (2.0, 0.7, 0.5)
        assert [float(axis[0]) for axis in reversed(volume.grid.axes())] == pytest.approx([-3, 4, 5])
    series = read_series(tmp_path)
    with pytest.raises(ValueError, match="files of several frames are not written as DICOM"):
        write_series(series.read(0, 4), tmp_path / "out", series, derivation="nothing")


@pytest.mark.parametrize(("kind", "unit"), [("HU", "HU"), (None, "HU"), ("US", None)])
def test_the_unit_is_the_stated_one(kind: str | None, unit: str | None, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "ct.dcm", 2 * np.rint(tissue() / 2), AXIAL, shared=True, kind=kind)
    with nullcontext() if unit else pytest.warns(UnitWarning, match="the unit of its values is not known"):
        volume = read_volume(tmp_path / "ct.dcm")
    assert volume.unit == unit
    np.testing.assert_array_equal(volume.values.numpy(), 2 * np.rint(tissue() / 2))


def test_damaged_groups(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "ct.dcm", tissue(), AXIAL, shared=True)
    header = pydicom.dcmread(tmp_path / "ct.dcm")
    del header.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    header.save_as(tmp_path / "ct.dcm")
    with pytest.raises(ValueError, match=r"ct.dcm, frame 3 has no usable ImagePositionPatient"):
        read_volume(tmp_path / "ct.dcm")
    header.PerFrameFunctionalGroupsSequence.pop()
    header.save_as(tmp_path / "ct.dcm")
    with pytest.raises(ValueError, match="4 frames, 3 items of PerFrameFunctionalGroupsSequence"):
        read_volume(tmp_path / "ct.dcm")


@pytest.mark.parametrize(
    "orientation", [[-1, 0, 0, 0, -1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1], [-1, 0, 0, 0, 1, 0]]
)
@pytest.mark.parametrize("enhanced", [True, False])
def test_positions_in_the_patient(orientation: list[float], enhanced: bool, tmp_path: Path) -> None:
    """Prone, coronal, sagittal, feet first: a marked voxel lies where position and cosines say, before and after."""
    rows, columns = np.array(orientation[:3], float), np.array(orientation[3:], float)
    normal, first = np.cross(rows, columns), np.array([-3.0, 4, 5])
    values = 2 * np.rint(tissue() / 2)
    values[3, 7, 2] = 1600.0
    if enhanced:
        write_enhanced(tmp_path / "ct.dcm", values, orientation, shared=True)
    else:
        places = [(first + 2 * index * normal).tolist() for index in range(4)]
        tags = {"each ImagePositionPatient": places, "ImageOrientationPatient": orientation}
        write_slices(tmp_path, values, spacing=(2.0, 0.7, 0.5), tags=tags)
    expected = first + 3 * 2 * normal + 7 * 0.7 * columns + 2 * 0.5 * rows
    with pytest.warns(ScanWarning, match=r"read along the world's axes"):
        volume = read_volume(tmp_path)
    write_volume(volume, tmp_path.parent / f"{tmp_path.name}.nii.gz")
    for found in (volume, read_volume(tmp_path.parent / f"{tmp_path.name}.nii.gz")):
        place = np.argwhere(found.values.numpy() == 1600.0)[0]
        world = [float(axis[i]) for axis, i in zip(found.grid.axes(), place, strict=True)][::-1]
        np.testing.assert_allclose(world, expected, atol=1e-5)


def test_oblique_slices_are_told(tmp_path: Path) -> None:
    angle = np.radians(20)
    tags = {
        "ImageOrientationPatient": [1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle))],
        "each ImagePositionPatient": [[0, -2 * i * np.sin(angle), 2 * i * np.cos(angle)] for i in range(4)],
    }
    write_slices(tmp_path, tissue(), tags=tags)
    with pytest.warns(ScanWarning, match=r"turned by 20 degrees against the patient's axes"):
        assert read_volume(tmp_path).shape == (4, 12, 10)


@pytest.mark.parametrize("tag", ["SOPInstanceUID", "SOPClassUID", "PixelRepresentation"])
def test_headers_are_checked_before_the_work(tag: str, tmp_path: Path) -> None:
    from sinograd.io.volumes.dicom.writer import check_series_path

    files = write_slices(tmp_path / "in", tissue())
    header = pydicom.dcmread(files[2])
    delattr(header, tag)
    header.save_as(files[2], enforce_file_format=False)
    with pytest.raises(ValueError, match=f"1-003.dcm has no {tag}, which slices derived from it need"):
        check_series_path(tmp_path / "out", read_series(tmp_path / "in"))
