"""A reconstruction as a new series of DICOM slices, one file a slice: CT images in Hounsfield units.

16 bits with sign, steps of 1 HU (RescaleSlope 1, RescaleIntercept 0). Of the scan come voltage, manufacturer, body part
and the patient's position; the study, the patient (anonymous) and all identifiers are new.

Where the slices lie in the patient: the world of a raw clinical scan (`sinograd.io.scans.dicom_ct_pd.geometry`) is that
of a patient on the back with the feet first (FFS), x to the left, y to the back, z to the head; other positions turn
it. Without a position the world is taken as it is.
"""

from __future__ import annotations

import datetime
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.provenance import software_version
from sinograd.data.volume import Volume
from sinograd.errors import InputError, ScanWarning
from sinograd.io.storage.atomic import check_folder, replacing_folder
from sinograd.io.volumes.dicom.writer import is_only_derived

if TYPE_CHECKING:
    from pydicom import Dataset

LOWEST, HIGHEST = -32768, 32767
# directions of the world's x, y and z in the patient, by PatientPosition
_SIGNS = {"FFS": (1, 1, 1), "HFS": (-1, 1, -1), "FFP": (-1, -1, 1), "HFP": (1, -1, -1)}


def check_slices_path(path: str | os.PathLike[str], shape: tuple[int, ...], *, force: bool = False) -> Path:
    """Check, before a long computation, that slices can be written to the folder `path`; raises as `write_slices`."""
    return check_folder(path, ours=is_only_derived, force=force, needed=(2 * shape[-1] * shape[-2] + 4096) * shape[0])


def write_slices(
    volume: Volume, path: str | os.PathLike[str], metadata: Mapping[str, Any], *, kernel: str = "", force: bool = False
) -> None:
    """Write a volume in HU as DICOM slices in a new folder, in the order of z.

    Args:
        volume: [Z, Y, X], in HU.
        path: folder to make.
        metadata: of the scan: voltage_kv, vendor, scanner, body_part, patient_position, dose_level, if known.
        kernel: for ConvolutionKernel.
        force: replace a folder that holds slices which sinograd wrote, and nothing else.

    Raises:
        InputError: another unit or number of dimensions, values that are not finite.
        FileExistsError, OSError: the folder exists; the disk is full. It appears when it is whole, or not at all.

    Warns:
        ScanWarning: values beyond 16 bits were limited; says how many.
    """
    if volume.unit != "HU" or len(volume.shape) != 3:
        raise InputError(f"volume: expected [Z, Y, X] in HU, got {list(volume.shape)} in {volume.unit}")
    values = volume.values.detach().cpu().numpy()
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(f"volume: expected finite values, got {bad} NaN or infinite ones")
    limited = int(((values < LOWEST) | (values > HIGHEST)).sum())
    check_slices_path(path, volume.shape, force=force)
    common = _Common.of(volume, metadata, kernel)
    with replacing_folder(path, ours=is_only_derived, force=force, needed=2 * values.size) as folder:
        for index, image in enumerate(values):
            stored = np.rint(image).clip(LOWEST, HIGHEST).astype("<i2")
            header = common.header(index)
            header.Rows, header.Columns = stored.shape
            header.PixelData = stored.tobytes()
            header.save_as(folder / f"{index + 1:05d}.dcm", enforce_file_format=True)
    if limited:
        warnings.warn(
            f"{path}: {limited} values beyond {LOWEST} to {HIGHEST} HU were limited", ScanWarning, stacklevel=2
        )


class _Common:
    """What all slices of a series share."""

    def __init__(self, tags: Mapping[str, Any], grid: Any, signs: tuple[int, int, int]) -> None:
        self._tags, self._grid, self._signs = dict(tags), grid, signs

    @classmethod
    def of(cls, volume: Volume, metadata: Mapping[str, Any], kernel: str) -> _Common:
        """New identifiers, and what the scan tells."""
        from pydicom.uid import CTImageStorage, generate_uid

        position = str(metadata.get("patient_position", "")).upper()
        now = datetime.datetime.now()
        spacing = volume.grid.spacing
        made = str(volume.provenance.get("algorithm", ""))
        level = {"low": "low dose", "full": "full dose"}.get(str(metadata.get("dose_level")), "")
        if isinstance(metadata.get("dose"), float | int):
            level = f"{100 * float(metadata['dose']):.4g} % dose"
        tags: dict[str, Any] = {
            "SOPClassUID": CTImageStorage,
            "StudyInstanceUID": generate_uid(None),
            "SeriesInstanceUID": generate_uid(None),
            "FrameOfReferenceUID": generate_uid(None),
            "ImageType": ["DERIVED", "PRIMARY", "AXIAL"],
            "Modality": "CT",
            "Manufacturer": str(metadata.get("vendor", "sinograd"))[:64],
            "ManufacturerModelName": str(metadata.get("scanner", ""))[:64],
            "PatientID": "ANONYMOUS",
            "PatientName": "ANONYMOUS",
            "PatientPosition": position if position in _SIGNS else "",
            "BodyPartExamined": str(metadata.get("body_part", ""))[:16],
            "SeriesDescription": " ".join(f"{made} {kernel} {level}".split())[:64],
            "SeriesNumber": 1,
            "InstanceCreationDate": now.strftime("%Y%m%d"),
            "InstanceCreationTime": now.strftime("%H%M%S"),
            "DerivationDescription": f"reconstructed ({made}) by sinograd {software_version()}"[:1024],
            "ConvolutionKernel": kernel[:16],
            "SliceThickness": f"{spacing[0]:.10g}",
            "PixelSpacing": [f"{spacing[1]:.10g}", f"{spacing[2]:.10g}"],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "RescaleSlope": "1",
            "RescaleIntercept": "0",
            "RescaleType": "HU",
        }
        if isinstance(metadata.get("voltage_kv"), float | int):
            tags["KVP"] = f"{metadata['voltage_kv']:g}"
        return cls({name: value for name, value in tags.items() if value != ""}, volume.grid, _signs(position))

    def header(self, index: int) -> Dataset:
        """Of a slice, without its pixels."""
        from pydicom import Dataset
        from pydicom.dataset import FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for name, value in self._tags.items():
            setattr(header, name, value)
        header.SOPInstanceUID = generate_uid(None)
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.InstanceNumber = index + 1
        (depth, height, width), (high, down, across) = self._grid.shape, self._grid.spacing
        x, y, z = self._grid.center
        corner = (x - (width - 1) / 2 * across, y - (height - 1) / 2 * down, z + (index - (depth - 1) / 2) * high)
        place = [sign * value for sign, value in zip(self._signs, corner, strict=True)]
        header.ImagePositionPatient = [f"{value:.10g}" for value in place]
        header.ImageOrientationPatient = [self._signs[0], 0, 0, 0, self._signs[1], 0]
        header.SliceLocation = f"{place[2]:.10g}"
        return header


def _signs(position: str) -> tuple[int, int, int]:
    return _SIGNS.get(position, (1, 1, 1))
