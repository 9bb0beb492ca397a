"""A writer of synthetic .txrm and .xrm files for tests, from the list of streams that real files hold.

It knows nothing of the reader. What real files do to a reader is in every file it writes: texts with rubbish
behind their NUL, arrays longer than the number of images, negative distances, a Windows path, misspelt names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compound_file import Content, Later, write_compound

CODES = {"int8": 2, "uint8": 3, "int16": 4, "uint16": 5, "int32": 6, "float32": 10, "float64": 11}
CONE, PARALLEL = 1, 2
IMAGES_A_FOLDER = 100
WINDOWS_PATH = r"D:\XRM-CONTROL\2015_cycle3\20151108_bkg.xrm"


def write_txrm(
    path: Path,
    images: np.ndarray | tuple[int, Callable[[int], np.ndarray]],
    angles_deg: Sequence[float] | np.ndarray,
    *,
    pixel_um: float = 10.0,
    beam: int | None = CONE,
    distances_mm: tuple[float, float] = (-20.0, 60.0),
    reference: np.ndarray | None = None,
    references: np.ndarray | None = None,
    shifts: np.ndarray | None = None,
    center_shift: float | None = None,
    exposure_s: float = 2.0,
    reference_exposure_s: float = 2.0,
    planned: int | None = None,
    change: Mapping[str, Content | None] | None = None,
    version: int = 4,
    scattered: bool = False,
) -> None:
    """Write a scan.

    images: [views, rows, columns] of any type in CODES, or their number and a function that makes one.
    pixel_um: PixelSize, at the sample. distances_mm: StoRADistance and DtoRADistance as stored.
    reference, references: ReferenceData/Image, or MultiReferenceData/Image1 ...; any of the types.
    shifts: [views, 2], (row, column) in pixels. planned: NoOfImages where that is not what was taken.
    change: streams to replace, add or (None) leave out.
    """
    count, make = images if isinstance(images, tuple) else (len(images), images.__getitem__)
    first = make(0) if count else np.zeros((4, 5), np.uint16)
    planned = count if planned is None else planned
    streams: dict[str, Content] = {"Version": _float(3.0)}
    streams |= _image_info(count, planned, first, exposure_s)
    streams |= {
        "ImageInfo/Angles": _float(*angles_deg),
        "ImageInfo/PixelSize": _float(pixel_um),
        "ImageInfo/StoRADistance": _float(*[distances_mm[0]] * planned),
        "ImageInfo/DtoRADistance": _float(*[distances_mm[1]] * planned),
    }
    if beam is not None:
        streams["ImageInfo/XrayGeometry"] = _int(beam)
    for i in range(count):
        name = f"ImageData{1 + i // IMAGES_A_FOLDER}/Image{i + 1}"
        streams[name] = Later(first.nbytes, partial(_image, make, i))
    if reference is not None:
        streams |= _reference("ReferenceData", reference) | {"ReferenceData/Image": _bytes(reference)}
        streams["ReferenceData/ExpTime"] = _float(reference_exposure_s)
    if references is not None:
        streams |= _reference("MultiReferenceData", references)
        streams |= {f"MultiReferenceData/Image{i + 1}": _bytes(image) for i, image in enumerate(references)}
    if shifts is not None:
        streams |= {
            "Alignment/X-Shifts": _float(*shifts[:, 1]),
            "Alignment/Y-Shifts": _float(*shifts[:, 0]),
            "Alignment/StageShiftsApplied": _int(0),
        }
    if center_shift is not None:
        streams["ReconSettings/CenterShift"] = _float(center_shift)
    streams |= {name: content for name, content in (change or {}).items() if content is not None}
    for name, content in (change or {}).items():
        if content is None:
            del streams[name]
    write_compound(path, streams, version=version, scattered=scattered, empty=("Annotations",))


def float_stream(*values: float) -> bytes:
    """Content of a stream of float32."""
    return _float(*values)


def int_stream(*values: int) -> bytes:
    """Content of a stream of int32."""
    return _int(*values)


def _image_info(count: int, planned: int, image: np.ndarray, exposure_s: float) -> dict[str, Content]:
    rows, columns = image.shape
    rubbish = np.random.default_rng(1).bytes
    dates = b"".join(_text(f"11/09/15 18:{i // 60 % 60:02}:{i % 60:02}", 40, rubbish) for i in range(planned))
    return {
        "ImageInfo/NoOfImages": _int(planned),
        "ImageInfo/ImagesTaken": _int(count),
        "ImageInfo/ImageHeight": _int(rows),
        "ImageInfo/ImageWidth": _int(columns),
        "ImageInfo/DataType": _int(CODES[image.dtype.name]),
        "ImageInfo/HorizontalBin": _int(2),
        "ImageInfo/VerticalalBin": _int(2),
        "ImageInfo/AcquisitionMode": _int(0 if planned > 1 else 2),
        "ImageInfo/ExpTimes": _float(*[exposure_s] * planned),
        "ImageInfo/Energy": _float(*([80.0, 0.0, 0.0] * (planned + 20))),
        "ImageInfo/XrayMagnification": _float(*([4.0] * planned + [0.0, 4.0] * 27)),
        "ImageInfo/Voltage": _float(80.0),
        "ImageInfo/Current": _float(125.0),
        "ImageInfo/Temperature": _int(99999),
        "ImageInfo/Date": dates,
        "ImageInfo/CameraName": _text("Imaging", 80, rubbish),
        "ImageInfo/ObjectiveName": _text("4X", 260, rubbish),
        "ImageInfo/ReferenceFile": _text(WINDOWS_PATH, 260, rubbish),
        "SampleInfo/SampleID": _text("Röhrenknochen 7", 50, rubbish),
        "SampleInfo/Analyst": _text("", 50, rubbish),
        "PositionInfo/AxisUnits": "\xb5m".encode("latin-1").ljust(15, b"\0") * 36,
        "ConfigureBackup/ConfigCamera/Camera 1/ConfigObjectives/OpticalMagnification": _float(2.0, 10.0),
    }


def _reference(folder: str, images: np.ndarray) -> dict[str, Content]:
    return {f"{folder}/DataType": _int(CODES[images.dtype.name])}


def _image(make: Callable[[int], np.ndarray], i: int) -> bytes:
    return _bytes(make(i))


def _bytes(image: np.ndarray) -> bytes:
    return np.ascontiguousarray(image, image.dtype.newbyteorder("<")).tobytes()


def _float(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def _int(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def _text(text: str, width: int, rubbish: Callable[[int], Any]) -> bytes:
    content = text.encode("latin-1") + b"\0"
    return content + rubbish(width - len(content))
