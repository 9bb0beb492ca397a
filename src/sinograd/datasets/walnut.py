"""The walnut: a measured cone-beam scan that everybody may have, from the files that its author publishes.

A. Meaney, Cone-Beam Computed Tomography Dataset of a Walnut, Zenodo 6986012 (doi 10.5281/zenodo.6986012), 2022, CC BY
4.0: name the author where you show it. Two forms are read:

- the reduced file, an .npz of line integrals (`sinogram` [views, rows, columns], `angles` in radians, `sdd`, `sid`,
  `du`, `dv` in mm) as several toolkits make it: every third view, 8 x 8 binning, 256 x 256 pixels, no raw counts;
- the record's own files, unpacked into one folder: 721 images `20201111_walnut_0001.tif` ... of raw counts and the
  parameters `20201111_walnut_.txt`. They are reduced in the same way as they are read.

Neither has dark images; the brightest pixels of each view stand for the beam without the object. Nothing is
downloaded.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.data import Scan
from sinograd.data.memory import check_memory
from sinograd.errors import InputError, MissingFileError
from sinograd.files.inputs import noted
from sinograd.geometry import ConeBeam, FlatDetector
from sinograd.io.storage.npy import read_header

ATTRIBUTION = "A. Meaney, Zenodo 6986012, CC BY 4.0"
EVERY, BINNING, PIXELS = 3, 8, 256  # how the record's files are reduced
_AIR = 99.5  # percentile of a view that no object attenuates
_IMAGE = re.compile(r".*_(\d{4})\.tiff?")
_MOST = 1 << 20  # bytes of the parameters
_LENGTHS = ("sdd", "sid", "du", "dv")


def read_walnut(path: str | os.PathLike[str]) -> Scan:
    """The scan of the walnut, in line integrals: 240 views over a full turn, 256 x 256 pixels of 0.4 mm.

    A view that repeats the first is left out, and angles rise from 0: the table turned that way, whatever sign a file
    gives them. Which row is the upper one the files do not say; with row 0 below, as here, the holder is above the nut.

    Args:
        path: the reduced .npz file, or the folder of the record's files.

    Raises InputError naming the file and what is missing or wrong, FileNotFoundError, and OutOfMemory for a file that
    declares more than there is.
    """
    path = noted(Path(path))
    if not path.exists():
        raise MissingFileError(f"{path} does not exist: expected the walnut's .npz file, or the folder of its images")
    images, angles, lengths = _from_folder(path) if path.is_dir() else _from_arrays(path)
    images, angles = _without_repeated(images, angles, path)
    geometry = ConeBeam.circular(
        source_to_origin=lengths["sid"],
        source_to_detector=lengths["sdd"],
        angles=torch.from_numpy(np.abs(angles - angles[0])),  # files differ in their sign; the table turned as ours do
        detector=FlatDetector(images.shape[1:], (lengths["dv"], lengths["du"])),
    )
    metadata = {"sample": "walnut", "vendor": "University of Helsinki", "attribution": ATTRIBUTION}
    return Scan(torch.from_numpy(images), geometry, metadata, file=path)


def _from_arrays(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Line integrals, angles and lengths of the reduced file."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            missing = [name for name in ("sinogram", "angles", *_LENGTHS) if name not in found]
            if missing:
                raise InputError(f"{path} is no walnut: it lacks the arrays {', '.join(missing)}")
            arrays = {name: _array(archive, found[name], path) for name in ("sinogram", "angles", *_LENGTHS)}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path} is no .npz file, or a damaged one: {error}") from error
    images, angles = arrays["sinogram"], arrays["angles"]
    if images.ndim != 3 or min(images.shape) < 2 or angles.shape != images.shape[:1]:
        shapes = f"sinogram {list(images.shape)}, angles {list(angles.shape)}"
        raise InputError(f"{path}: expected a sinogram [views, rows, columns] and one angle a view, got {shapes}")
    if any(arrays[name].size != 1 for name in _LENGTHS):
        raise InputError(f"{path}: {', '.join(_LENGTHS)} must be one number each")
    lengths = {name: round(float(arrays[name].reshape(())), 5) for name in _LENGTHS}  # float32 in the file
    _check(path, images, angles, lengths)
    return images.astype(np.float32), angles.astype(np.float64), lengths


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """One array, of which no more is unpacked than its header declares."""
    with archive.open(info) as file:
        shape, fortran, dtype = read_header(file, f"{path}, {info.filename}")  # pyright: ignore[reportArgumentType]
        size = math.prod(shape) * dtype.itemsize
        check_memory(3 * size, f"{path}, {info.filename}")
        content = file.read(size)
    if len(content) != size:
        raise zipfile.BadZipFile(f"{info.filename} has {len(content):,} bytes, expected {size:,}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _from_folder(folder: Path) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Line integrals of every third image, binned and cut, with the angles and lengths of the parameters."""
    parameters = _parameters(folder)
    lengths = {
        "sdd": _number(parameters, "DistanceSourceDetector", folder),
        "sid": sum(_number(parameters, name, folder) for name in ("DistanceSourceOffset", "DistanceOffsetSample")),
        "du": BINNING * _number(parameters, "PixelSize", folder),
    }
    lengths["dv"] = lengths["du"]
    first, step = (_number(parameters, name, folder) for name in ("AngleFirst", "AngleInterval"))
    numbered = {int(match[1]): path for path in folder.iterdir() if (match := _IMAGE.fullmatch(path.name))}
    count = round(_number(parameters, "NumberImages", folder))
    wanted = range(1, count + 1, EVERY)
    missing = [number for number in wanted if number not in numbered]
    if missing:
        text = f"{len(missing)} of {len(wanted)} images, the first is number {missing[0]:04d}"
        raise InputError(f"{folder}: {text} are missing: unpack all archives of the record into this folder")
    images = np.stack([_line_integrals(numbered[number]) for number in wanted])
    angles = np.radians(first + step * (np.array(wanted, np.float64) - 1))
    _check(folder, images, angles, lengths)
    return images, angles, lengths


def _parameters(folder: Path) -> dict[str, str]:
    """Keys and values of the one text file of the record; headings of sections have no value."""
    files = sorted(folder.glob("*.txt"))
    if len(files) != 1:
        raise InputError(f"{folder}: expected one .txt file with the scan's parameters, got {len(files)}")
    with open(files[0], encoding="utf-8", errors="replace") as file:
        lines = file.read(_MOST).splitlines()
    return {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}


def _number(parameters: dict[str, str], name: str, folder: Path) -> float:
    try:
        return float(parameters[name].split()[0])
    except (KeyError, IndexError, ValueError):
        came = repr(parameters[name]) if name in parameters else "none"
        raise InputError(f"{folder}: the parameters must state {name} as a number, got {came}") from None


def _line_integrals(path: Path) -> np.ndarray:
    """-log of a raw image over its air, binned, the middle of it."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            check_memory(math.prod(page.shape) * 8, str(path))
            image: Any = page.asarray()
    except (ValueError, IndexError, OSError, tifffile.TiffFileError) as error:
        raise InputError(f"{path} cannot be read as TIFF: {error}") from error
    if image.ndim != 2 or min(image.shape) < BINNING * 2:
        raise InputError(f"{path}: expected one grey image, got {list(image.shape)}")
    rows, columns = (n // BINNING for n in image.shape)
    cut = image[: rows * BINNING, : columns * BINNING].astype(np.float32)
    binned = cut.reshape(rows, BINNING, columns, BINNING).mean(axis=(1, 3))
    top, left = max(rows - PIXELS, 0) // 2, max(columns - PIXELS, 0) // 2
    middle = binned[top : top + PIXELS, left : left + PIXELS]
    air = float(np.percentile(image, _AIR))
    if not air > 0:
        raise InputError(f"{path}: the brightest pixels have no counts")
    return -np.log(np.clip(middle / air, 1 / air, 1.0))


def _check(path: Path, images: np.ndarray, angles: np.ndarray, lengths: dict[str, float]) -> None:
    """InputError for what no scan can be."""
    if not all(math.isfinite(value) and value > 0 for value in lengths.values()):
        raise InputError(f"{path}: distances and pixels must be positive, got {lengths}")
    if not lengths["sid"] < lengths["sdd"]:
        raise InputError(
            f"{path}: the detector ({lengths['sdd']:g} mm) must be behind the axis ({lengths['sid']:g} mm)"
        )
    if not (np.isfinite(images).all() and np.isfinite(angles).all()):
        raise InputError(f"{path}: the scan holds numbers that are not finite")


def _without_repeated(images: np.ndarray, angles: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All views but a last one that stands where the first does."""
    turn = abs(angles[-1] - angles[0])
    if abs(turn - 2 * math.pi) < 1e-3:
        return images[:-1], angles[:-1]
    if len(angles) < 3:
        raise InputError(f"{path}: expected a full turn, got {len(angles)} views")
    return images, angles
