"""DICOM series out: pixels to half a step, the source's headers, new identities and a stated derivation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_slices import tissue, write_slices
from sinograd.errors import ScanWarning
from sinograd.io.volumes.dicom.series import DicomSeries, read_series
from sinograd.io.volumes.dicom.writer import write_series

_KEPT = (
    "PatientID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "InstanceNumber",
    "Manufacturer",
    "BitsStored",
    "PixelRepresentation",
)


def _series(folder: Path, **options: Any) -> DicomSeries:
    write_slices(folder, tissue(), **options)
    return read_series(folder)


def test_what_is_kept_and_what_changes(tmp_path: Path) -> None:
    source = _series(tmp_path / "in", order=[2, 1, 4, 3], tags={"DerivationDescription": "thin", "SeriesNumber": 3})
    volume = source.read(0, 4) * 0.5 + 0.3
    write_series(volume, tmp_path / "out", source, derivation="denoised by a test", label="test net")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"1-00{i}.dcm" for i in (1, 2, 3, 4)]
    written = read_series(tmp_path / "out")
    assert written.grid.equals(source.grid)
    assert torch.equal(written.read(0, 4), volume.round())
    instances, series = set(), set()
    for old_file, new_file in zip(source.files, written.files, strict=True):
        old, new = pydicom.dcmread(old_file), pydicom.dcmread(new_file)
        assert old_file.name == new_file.name
        for tag in _KEPT:
            assert new[tag].value == old[tag].value, tag
        assert new.ImageType == ["DERIVED", "PRIMARY", "AXIAL"]
        assert new.DerivationDescription.startswith("denoised by a test, by sinograd ")
        assert new.DerivationDescription.endswith("; thin")
        assert new.SeriesDescription == "Low Dose Images [test net]"
        assert new.SeriesNumber == 1003
        (reference,) = new.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == old.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == old.SOPClassUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert new.ContributingEquipmentSequence[-1].Manufacturer == "sinograd"
        assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
        assert new.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert new.SOPInstanceUID != old.SOPInstanceUID and new.SeriesInstanceUID != old.SeriesInstanceUID
        instances.add(new.SOPInstanceUID)
        series.add(new.SeriesInstanceUID)
    assert len(instances) == 4 and len(series) == 1


def test_an_unchanged_volume_has_the_sources_pixels(tmp_path: Path) -> None:
    tags = {"PixelPaddingValue": 24, "SmallestImagePixelValue": 0, "LargestImagePixelValue": 1}
    image = tissue()
    image[:, 0] = -1000  # stored 24: padding
    write_slices(tmp_path / "in", image, slope=0.5, tags=tags, bits=16)
    source = read_series(tmp_path / "in")
    write_series(source.read(0, 4), tmp_path / "out", source, derivation="nothing")
    for old_file, new_file in zip(source.files, read_series(tmp_path / "out").files, strict=True):
        old, new = pydicom.dcmread(old_file), pydicom.dcmread(new_file)
        assert new.PixelData == old.PixelData
        assert (new.SmallestImagePixelValue, new.LargestImagePixelValue) == (
            old.pixel_array.min(),
            old.pixel_array.max(),
        )


def test_padding_stays_as_it_was_stored(tmp_path: Path) -> None:
    image = tissue((2, 4, 4))
    image[:, 0, 0], image[:, 1, 1] = -1024, 100  # stored 0, 1124
    write_slices(tmp_path / "in", image, tags={"PixelPaddingValue": 0})
    source = read_series(tmp_path / "in")
    assert source.read(0, 2)[:, 0, 0].tolist() == [-1000, -1000]
    write_series(torch.full(source.shape, 7.0), tmp_path / "out", source, derivation="flat")
    found = read_series(tmp_path / "out", padding="keep").read(0, 2)
    assert found[:, 0, 0].tolist() == [-1024, -1024] and found[:, 1, 1].tolist() == [7, 7]


def test_values_beyond_the_bits_are_limited_and_counted(tmp_path: Path) -> None:
    source = _series(tmp_path / "in")
    volume = source.read(0, 4)
    volume[0, 0, :3] = torch.tensor([-1500.0, 3071.0, 3500.0])
    with pytest.warns(ScanWarning, match=r"2 of 480 values lie beyond"):
        write_series(volume, tmp_path / "out", source, derivation="more")
    assert read_series(tmp_path / "out").read(0, 1)[0, 0, :3].tolist() == [-1024, 3071, 3071]


def test_an_implicit_source_is_written_explicit(tmp_path: Path) -> None:
    for file in write_slices(tmp_path / "in", tissue()):
        header = pydicom.dcmread(file)
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        header.add_new(0x00091001, "UN", b"private")
        header.save_as(file, enforce_file_format=True)
    source = read_series(tmp_path / "in")
    write_series(source.read(0, 4), tmp_path / "out", source, derivation="nothing")
    assert torch.equal(read_series(tmp_path / "out").read(0, 4), source.read(0, 4))


def test_a_folder_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _series(tmp_path / "in")
    calls = iter(range(10))

    def full(self: object, *args: object, **options: object) -> None:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        original(self, *args, **options)

    original = pydicom.Dataset.save_as
    monkeypatch.setattr(pydicom.Dataset, "save_as", full)
    with pytest.raises(OSError, match="disk is full"):
        write_series(source.read(0, 4), tmp_path / "out", source, derivation="nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_is_not_replaced(tmp_path: Path) -> None:
    source = _series(tmp_path / "in")
    volume = source.read(0, 4)
    write_series(volume, tmp_path / "out", source, derivation="first")
    with pytest.raises(FileExistsError, match="already exists"):
        write_series(volume, tmp_path / "out", source, derivation="again")
    write_series(volume + 1, tmp_path / "out", source, derivation="again", force=True)
    assert torch.equal(read_series(tmp_path / "out").read(0, 4), volume + 1)
    with pytest.raises(ValueError, match="is the folder of the source"):
        write_series(volume, tmp_path / "in", source, derivation="again", force=True)
    write_slices(tmp_path / "others", tissue())
    with pytest.raises(FileExistsError, match="holds other files"):
        write_series(volume, tmp_path / "others", source, derivation="again", force=True)


def test_bad_volumes(tmp_path: Path) -> None:
    source = _series(tmp_path / "in")
    with pytest.raises(ValueError, match=r"volume \[3, 12, 10\] does not match the source's slices \[4, 12, 10\]"):
        write_series(torch.zeros(3, 12, 10), tmp_path / "out", source, derivation="")
    with pytest.raises(ValueError, match="got 1 NaN"):
        write_series(_nan(source), tmp_path / "out", source, derivation="")
    assert not (tmp_path / "out").exists()


def _nan(source: DicomSeries) -> torch.Tensor:
    volume = source.read(0, 4)
    volume[1, 2, 3] = float("nan")
    return volume


def test_long_texts_are_cut_to_what_dicom_holds(tmp_path: Path) -> None:
    source = _series(tmp_path / "in")
    write_series(source.read(0, 4), tmp_path / "out", source, derivation="x" * 2000, label="y" * 100)
    header = pydicom.dcmread(read_series(tmp_path / "out").files[0])
    assert len(header.DerivationDescription) == 1024 and len(header.SeriesDescription) == 64


@pytest.mark.parametrize("name", ["CT_small.dcm", "693_UNCI.dcm", "693_J2KR.dcm"])
def test_real_slices_survive(shared_data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes((shared_data / "dicom" / name).read_bytes())
    source = read_series(tmp_path / "in")
    try:
        volume = source.read(0, 1)
    except ValueError as error:  # a decoder of JPEG 2000 is not part of pydicom
        pytest.skip(str(error))
    write_series(volume, tmp_path / "out", source, derivation="nothing")
    old, new = (pydicom.dcmread(tmp_path / part / name) for part in ("in", "out"))
    assert np.array_equal(new.pixel_array, old.pixel_array)
    assert new.ImageType[0] == "DERIVED"
    private = [element for element in old if element.tag.is_private]
    assert all(element.tag in new for element in private)
