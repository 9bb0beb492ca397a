"""Series of DICOM slices derived from another one: new pixels, the other's headers.

Of the source stay the patient, the study, the frame of reference, position, orientation, pixel size, rescale, padding
and everything else that is not listed here:

    SeriesInstanceUID, SOPInstanceUID    new
    SeriesNumber                         the source's + 1000
    SeriesDescription                    the source's and what was done
    ImageType                            its first value becomes DERIVED
    DerivationDescription                what was done, in words
    SourceImageSequence                  the source's slice, purpose "Source image for image processing operation"
    ContributingEquipmentSequence        one more: sinograd, "Processing Equipment"
    InstanceCreationDate, -Time          now
    Smallest-, LargestImagePixelValue    of the new pixels, where the source had them
    PixelData                            uncompressed (Explicit VR Little Endian)

Values are rounded to the source's steps (1 HU as a rule) and limited to what its bits can hold. Where the source's
padding says that nothing was measured, its stored values stay.
"""

from __future__ import annotations

import datetime
import os
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.provenance import software_version
from sinograd.errors import InputError, ScanWarning
from sinograd.io.storage.atomic import check_folder, replacing_folder
from sinograd.io.volumes.dicom.file import decoding, is_dicom, padded, read_file, rescale, stored_values
from sinograd.io.volumes.dicom.series import NOTHING, DicomSeries

if TYPE_CHECKING:
    from pydicom import Dataset

_SERIES_NUMBER = 1000
_LONGEST = {"SeriesDescription": 64, "DerivationDescription": 1024}  # characters, of the types LO and ST
_MARK = "by sinograd"
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "BitsAllocated", "BitsStored", "PixelRepresentation", "Rows", "Columns")


def check_series_path(path: str | os.PathLike[str], series: DicomSeries, *, force: bool = False) -> Path:
    """Check, before a long computation, that a series like `series` can be written to the folder `path`.

    Raises FileExistsError when the folder exists and `force` is not set (with it: when it holds anything but slices
    that sinograd wrote), ValueError when it is the source itself or the header of a slice lacks what is needed,
    OSError when the disk has too little room.
    """
    path = Path(path)
    if series.frames:
        raise InputError(
            f"cannot write {path}: slices derived from files of several frames are not written as DICOM; give the name "
            "of a volume, such as NAME.nii.gz or NAME.h5"
        )
    if path.exists() and path.resolve() in {file.resolve().parent for file in series.files}:
        raise InputError(f"cannot write {path}: it is the folder of the source")
    checked = check_folder(path, ours=is_only_derived, force=force, needed=_needed(series))
    for file in dict.fromkeys(series.files):
        _check_header(file)
    return checked


def _check_header(file: Path) -> None:
    """InputError for a header that lacks what a derived slice needs, or that cannot be written again."""
    from pydicom.uid import generate_uid

    header = read_file(file)
    with decoding(file):
        missing = [tag for tag in _NEEDED if header.get(tag) in (None, "")]
        if getattr(header, "file_meta", None) is None or not header.file_meta.get("TransferSyntaxUID"):
            missing.append("TransferSyntaxUID")
        if missing:
            raise InputError(f"{file} has no {', '.join(missing)}, which slices derived from it need")
        stored = int(header.BitsAllocated)
        if stored not in (8, 16, 32):
            raise InputError(f"{file}: {stored} bits a pixel are not supported")
        _describe(header, generate_uid(None), "", "", datetime.datetime.now())
        if "PixelData" in header:
            del header.PixelData
    _save(header, None, file)


def write_series(
    volume: Tensor,
    path: str | os.PathLike[str],
    source: DicomSeries,
    *,
    derivation: str,
    label: str = "denoised",
    force: bool = False,
) -> None:
    """Write a volume [Z, Y, X], in the unit of `source`, as a series derived from it; see the module for what changes.

    Args:
        volume: the slices in the order of the source's.
        path: folder to make; its files have the source's names.
        source: the series that the volume was made of, whose files must still be there.
        derivation: what was done, for DerivationDescription ("denoised by RED-CNN, trained on ...").
        label: what was done in a word or two, for SeriesDescription.
        force: replace a folder that holds slices which sinograd wrote, and nothing else.

    Raises:
        ValueError: shapes differ, values are not finite, or as `check_series_path`.
        FileExistsError, OSError: as `check_series_path`. The folder appears when it is whole, or not at all.

    Warns:
        ScanWarning: values beyond what the source's bits can hold were limited; says how many.
    """
    if tuple(volume.shape) != source.shape:
        raise InputError(f"volume {list(volume.shape)} does not match the source's slices {list(source.shape)}")
    bad = int((~torch.isfinite(volume)).sum())
    if bad:
        raise InputError(f"volume: expected finite values, got {bad} NaN or infinite ones")
    path = check_series_path(path, source, force=force)
    from pydicom.uid import generate_uid

    now = datetime.datetime.now()
    series_uid, limited = generate_uid(None), 0
    with replacing_folder(path, ours=is_only_derived, force=force, needed=_needed(source)) as folder:
        for image, file in zip(volume.detach().cpu(), source.files, strict=True):
            header = read_file(file)
            with decoding(file):
                limited += _replace_pixels(header, image.double().numpy(), file, source.unit)
                _describe(header, series_uid, derivation, label, now)
            _save(header, folder / file.name, file)
    if limited:
        warnings.warn(
            f"{limited} of {volume.numel()} values lie beyond what the bits of the source can hold and were limited",
            ScanWarning,
            stacklevel=2,
        )


def is_only_derived(folder: Path) -> bool:
    """Whether a folder holds slices that sinograd wrote and nothing else."""
    files = list(folder.iterdir())
    return bool(files) and all(file.is_file() and is_dicom(file) and _is_derived(file) for file in files)


def _is_derived(file: Path) -> bool:
    try:
        with decoding(file):
            return _MARK in str(read_file(file, tags=["DerivationDescription"]).get("DerivationDescription", ""))
    except ValueError:
        return False


def _needed(series: DicomSeries) -> int:
    """Bytes, generously: 16 bits a voxel and the headers."""
    return sum(2 * series.shape[1] * series.shape[2] + min(file.stat().st_size, 1 << 16) for file in series.files)


def _replace_pixels(header: Dataset, image: np.ndarray, file: Path, unit: str | None) -> int:
    """New pixels from values in the source's unit; how many had to be limited."""
    old = stored_values(header, file)
    if old.shape != image.shape:
        raise InputError(f"{file} changed since it was opened: {old.shape} != {image.shape}")
    slope, intercept = rescale(header, file)
    values = np.rint((image - intercept) / slope)
    low, high = _limits(header)
    # the untouched padding of files that have no tag for it
    nothing = padded(header, old)
    if unit == "HU":
        nothing |= old * slope + intercept <= NOTHING
    limited = int((((values < low) | (values > high)) & ~nothing).sum())
    stored = np.where(nothing, old, values.clip(low, high)).astype(old.dtype.newbyteorder("<"))
    if header.BitsAllocated != 8 * stored.itemsize:
        raise InputError(f"{file}: {header.BitsAllocated} bits a pixel are not supported")
    header.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    header["PixelData"].VR = "OW" if stored.itemsize > 1 else "OB"
    header["PixelData"].is_undefined_length = False
    for tag, value in (("SmallestImagePixelValue", stored.min()), ("LargestImagePixelValue", stored.max())):
        if tag in header:
            setattr(header, tag, int(value))
            header[tag].VR = "SS" if header.PixelRepresentation else "US"
    return limited


def _limits(header: Dataset) -> tuple[int, int]:
    bits = int(header.BitsStored)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if header.PixelRepresentation else (0, (1 << bits) - 1)


def _describe(header: Dataset, series_uid: str, derivation: str, label: str, now: datetime.datetime) -> None:
    from pydicom import Dataset
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    source = Dataset()
    source.ReferencedSOPClassUID = header.SOPClassUID
    source.ReferencedSOPInstanceUID = header.SOPInstanceUID
    source.PurposeOfReferenceCodeSequence = [_code(codes.DCM.SourceImageForImageProcessingOperation)]
    header.SourceImageSequence = [source]
    kind = [str(value) for value in _listed(header.get("ImageType"))] or ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.ImageType = ["DERIVED", *kind[1:]]
    before = str(header.get("DerivationDescription") or "").strip()
    _text(header, "DerivationDescription", f"{derivation}, {_MARK} {software_version()}" + f"; {before}" * bool(before))
    _text(header, "SeriesDescription", " ".join(f"{header.get('SeriesDescription') or ''} [{label}]".split()))
    header.SeriesInstanceUID, header.SOPInstanceUID = series_uid, generate_uid(None)
    if header.get("SeriesNumber") is not None:
        header.SeriesNumber = int(header.SeriesNumber) + _SERIES_NUMBER
    header.InstanceCreationDate, header.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code(codes.DCM.ProcessingEquipment)]
    equipment.Manufacturer = "sinograd"
    equipment.SoftwareVersions = software_version()
    equipment.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    header.ContributingEquipmentSequence = [*_listed(header.get("ContributingEquipmentSequence")), equipment]


def _save(header: Dataset, path: Path | None, file: Path) -> None:
    from pydicom import dcmwrite
    from pydicom.uid import ExplicitVRLittleEndian

    with decoding(file):
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd values in tags of the source
            if path is None:  # to see whether it can be written
                dcmwrite(BytesIO(), header, enforce_file_format=True)
            else:
                header.save_as(path, enforce_file_format=True)
    except OSError:
        raise
    except Exception as error:  # of tags that are damaged or that their type cannot hold
        raise InputError(f"{file}: its header cannot be written again: {type(error).__name__}: {error}") from error


def _code(code: Any) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _text(header: Dataset, tag: str, text: str) -> None:
    longest = _LONGEST[tag]
    setattr(header, tag, text if len(text) <= longest else text[: longest - 3] + "...")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
