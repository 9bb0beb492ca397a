"""DICOM series made for tests: plain CT slices with what a reader looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def write_slices(
    folder: Path,
    hounsfield: np.ndarray,
    *,
    spacing: Sequence[float] = (2.0, 0.7, 0.7),
    first: float = -10.0,
    intercept: float = -1024.0,
    slope: float = 1.0,
    name: str = "1-{:03d}.dcm",
    order: Sequence[int] | None = None,
    tags: Mapping[str, Any] | None = None,
    series: str | None = None,
    bits: int = 12,
) -> list[Path]:
    """One file for each slice of [Z, Y, X], in the order of z.

    order: the number in each file's name, 1, 2 ... by default. tags: more tags, or others (None: left out), a list of
    length Z under a key that starts with "each " for one value a slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid() if series is None else series
    study, frame, files = generate_uid(), generate_uid(), []
    for index, image in enumerate(hounsfield):
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = study, series, frame
        header.Modality, header.Manufacturer, header.PatientID = "CT", "Test", "L067"
        header.SeriesDescription, header.SeriesNumber, header.InstanceNumber = "Low Dose Images", 2, index + 1
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.ImagePositionPatient = [-3.0, 4.0, first + spacing[0] * index]
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        header.PixelSpacing, header.SliceThickness = [spacing[1], spacing[2]], spacing[0]
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = slope, intercept, "HU"
        header.Rows, header.Columns = image.shape
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, bits, bits - 1
        header.PixelRepresentation = 0
        header.PixelData = np.rint((image - intercept) / slope).astype("<u2").tobytes()
        for tag, value in (tags or {}).items():
            each = tag.startswith("each ")
            value, tag = (value[index], tag.removeprefix("each ")) if each else (value, tag)
            if value is None:
                delattr(header, tag)
            else:
                setattr(header, tag, value)
        number = index + 1 if order is None else order[index]
        files.append(folder / name.format(number))
        header.save_as(files[-1], enforce_file_format=True)
    return files


def tissue(shape: tuple[int, ...] = (4, 12, 10), seed: int = 0) -> np.ndarray:
    """Whole Hounsfield units between air and bone."""
    return np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.float64)
