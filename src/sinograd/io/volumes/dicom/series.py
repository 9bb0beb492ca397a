"""Series of DICOM slices as volumes in Hounsfield units: CT images, one file a slice, or frames of enhanced CT files.

Slices are sorted by position along the normal of their plane, whatever their names and numbers. The axes of the
volume are the series' own: x along rows, y down columns, z along the normal; for axial slices of a patient on the back
these are DICOM's x (to the left), y (to the back) and z (to the head). As a file of a volume (`read_volume`) a series
is read along these axes of the patient, unless it is oblique. HU = stored value x RescaleSlope +
RescaleIntercept; where RescaleType says that this is something else (US: unspecified), the unit is not known.

Scanners mark what they did not measure (outside the round field of view) by a PixelPaddingValue, often -2000, which
the rescale then moves to -3024; other files have such values without the tag. With padding="air" all that the tag marks
and everything at or below -2000 HU is read as -1000 HU; with "keep", and where the unit is not known, values are read
as they are stored.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sinograd.config.shown import shown, some
from sinograd.data.units import AIR as _AIR
from sinograd.data.volume import Volume
from sinograd.errors import (
    FormatError,
    InputError,
    InputIndexError,
    MissingFileError,
    NotAFolderError,
    ScanWarning,
    UnitWarning,
)
from sinograd.geometry import Grid
from sinograd.io.storage.tiff import natural_order
from sinograd.io.volumes.dicom.file import (
    Frame,
    Slice,
    decoding,
    is_dicom,
    padded,
    read_file,
    rescale,
    stored_values,
)
from sinograd.io.volumes.dicom.frames import fill_frames, is_multi_frame, slices_in
from sinograd.io.volumes.format import VolumeFormat
from sinograd.io.volumes.orientation import TurnedSource, oblique_angle, orientation_of, tell

Padding = Literal["air", "keep"]
AIR, NOTHING = _AIR["HU"], -2000.0  # HU; what is at or below NOTHING was not measured

_SAME = 1e-4  # of direction cosines and pixel sizes that headers round
_UNEVEN = 0.01  # of the distance between slices
_MISSING = 1.5
_MARK = slice(128, 132)


@dataclass(frozen=True, eq=False, repr=False)
class DicomSeries:
    """Slices [Z, Y, X] that stay in their files; `read` decodes those it is asked for.

    It holds no open file, so it can be pickled and used in DataLoader workers.

    Attributes:
        files: in the order of z. grid: the voxels, along the series' own axes (see the module).
        orientation: direction cosines of the rows and of the columns (ImageOrientationPatient).
        padding: see the module.
        metadata: what the files tell (manufacturer, kernel, voltage ...).
        frames: of files with several frames (enhanced CT) that of each slice; else none.
        unit: "HU", or None where the files say that their values are something else.
    """

    files: tuple[Path, ...]
    grid: Grid
    orientation: tuple[float, ...]
    padding: Padding = "air"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    frames: tuple[Frame, ...] = ()
    unit: str | None = "HU"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        return (self.grid.shape[0], self.grid.shape[1], self.grid.shape[2])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm along z, y, x."""
        return (self.grid.spacing[0], self.grid.spacing[1], self.grid.spacing[2])

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return torch.float32

    @property
    def volume(self) -> Volume:
        """The series as a volume, whose `source` it is; slices are read when they are needed."""
        metadata = {name: value for name, value in self.metadata.items() if name != "PatientID"}
        record = {"source": "DICOM slices", "metadata": metadata}
        return Volume(self, self.grid, self.unit, record, self.files[0].parent)

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1 in `unit`, float32; ValueError naming the file that is damaged."""
        if not 0 <= first <= end <= len(self.files):
            raise InputIndexError(f"slices {first} to {end} asked for, the series has {len(self.files)}")
        values = np.empty((end - first, *self.shape[1:]), np.float32)
        if self.frames:
            fill_frames(values, self.files[first:end], self.frames[first:end], self._finish)
            return torch.from_numpy(values)
        for image, path in zip(values, self.files[first:end], strict=True):
            with decoding(path):
                self._fill(image, path)
        return torch.from_numpy(values)

    def _finish(self, image: np.ndarray, stored: np.ndarray, header: Any) -> None:
        if self.padding == "air" and self.unit == "HU":
            image[padded(header, stored) | (image <= NOTHING)] = AIR

    def _fill(self, image: np.ndarray, path: Path) -> None:
        """The values of a file of one slice."""
        header = read_file(path)
        stored = stored_values(header, path)
        if stored.shape != image.shape:
            raise InputError(f"{path} changed since it was opened: {stored.shape} != {image.shape}")
        slope, intercept = rescale(header, path)
        np.multiply(stored, np.float32(slope), out=image, casting="unsafe")
        image += np.float32(intercept)
        self._finish(image, stored, header)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"<DicomSeries: {size} voxels of {' x '.join(f'{s:.4g}' for s in self.spacing)} mm>"


class Dicom(VolumeFormat):
    """A folder with the DICOM slices of one series; read only: `write_series` writes derived slices of a series."""

    suffixes = ("", ".dcm")
    folder = None
    keeps = frozenset({"unit"})
    unit_place = "RescaleType: HU, as without one; anything else is not known"

    def matches(self, path: Path, head: bytes) -> bool:
        """A folder that holds a DICOM file, unless it is a projection (DICOM-CT-PD), or a file of several frames."""
        from sinograd.io.scans.dicom_ct_pd.format import is_projection_folder

        if is_dicom_folder(path):
            return not is_projection_folder(path)
        return head[_MARK] == b"DICM" and is_multi_frame(path)

    def open(self, path: Path) -> Volume:
        """The series along the patient's axes; errors and warnings as `read_series` and `along_patient`."""
        return along_patient(read_series(path), path)


def read_series(folder: str | os.PathLike[str], *, padding: Padding = "air") -> DicomSeries:
    """The one series of DICOM slices in a folder (not in those below it); of its files only headers are read.

    Raises:
        FileNotFoundError, NotADirectoryError: no such folder.
        ValueError: naming folder or file: no DICOM files, several series, slices of different size, orientation or
            pixel size, missing or repeated slices, no position, pixel size or rescale, or several frames in a file.

    Warns:
        UnitWarning: the files say that their values are no HU; `unit` is None.
        ScanWarning: slices are shifted against each other within their planes (a tilted gantry).
    """
    folder = Path(folder)
    if not folder.exists():
        raise MissingFileError(f"{folder} does not exist")
    if not folder.is_dir() and is_dicom(folder) and is_multi_frame(folder):
        return series_of([folder], folder, padding=padding)
    if not folder.is_dir():
        raise NotAFolderError(f"{folder} is a file, expected a folder of DICOM slices")
    return series_of(dicom_files(folder), folder, padding=padding)


def series_of(files: Sequence[Path], name: str | os.PathLike[str], *, padding: Padding = "air") -> DicomSeries:
    """The series that some files are; `name` stands for them in messages. Raises and warns as `read_series`."""
    if padding not in ("air", "keep"):
        raise InputError(f"padding must be air or keep, got {padding!r}")
    if not files:
        raise InputError(f"{name} holds no DICOM files")
    slices = [one for path in files for one in slices_in(path)]
    _check_one_series(slices, name)
    first = slices[0]
    for other in slices[1:]:
        _check_same(first, other)
    slices.sort(key=lambda one: one.height)
    step = _slice_distance(slices, name)
    rows, columns, normal = first.axes
    middle = (np.asarray(slices[0].position) + slices[-1].position) / 2
    down, across = first.pixel
    height, width = first.size
    center = (
        float(middle @ rows + (width - 1) / 2 * across),
        float(middle @ columns + (height - 1) / 2 * down),
        float(middle @ normal),
    )
    grid = Grid((len(slices), height, width), (step, down, across), center)
    frames = tuple(one.frame for one in slices if one.frame is not None)
    if 0 < len(frames) < len(slices):
        raise InputError(f"{name} holds files of one slice and of several frames: expected one kind")
    paths = tuple(one.path for one in slices)
    return DicomSeries(paths, grid, first.orientation, padding, first.metadata, frames, _unit(slices, name))


def along_patient(series: DicomSeries, name: Path) -> Volume:
    """The volume of a series along the patient's axes x (left), y (back) and z (head), each voxel at its place.

    Warns:
        ScanWarning: the series' axes run against the patient's, or are in another order, and are turned; or they are
            oblique, and the volume is along the series' own axes.
    """
    volume = series.volume
    rows, columns = np.array(series.orientation[:3]), np.array(series.orientation[3:])
    direction = np.stack([rows, columns, np.cross(rows, columns)], axis=1)
    try:
        orientation = orientation_of(direction, name)
    except FormatError:
        warnings.warn(
            f"{name}: its slices are turned by {oblique_angle(direction):.3g} degrees against the patient's axes; the "
            "volume is along the axes of the series",
            ScanWarning,
            stacklevel=3,
        )
        return volume
    tell(orientation, name)
    if orientation.is_identity:
        return volume
    spacing = tuple(series.spacing[axis] for axis in orientation.axes)
    center = (direction @ np.array(series.grid.center)).tolist()
    grid = Grid(orientation.shape(series.shape), spacing, center)
    return Volume(TurnedSource(series, orientation), grid, series.unit, volume.provenance, volume.file)


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM images of a folder, by name; others (a README, a DICOMDIR) are left out."""
    found = [path for path in folder.iterdir() if path.is_file() and path.name.upper() != "DICOMDIR"]
    return natural_order([path for path in found if is_dicom(path)])


def is_dicom_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder with DICOM slices in it."""
    path = Path(path)
    return path.is_dir() and any(is_dicom(file) for file in path.iterdir() if file.is_file())


def _check_one_series(slices: Sequence[Slice], name: str | os.PathLike[str]) -> None:
    found: dict[str, list[Slice]] = {}
    for one in slices:
        found.setdefault(one.series, []).append(one)
    if len(found) > 1:
        texts = [
            f"{len(held)} files of {held[0].metadata.get('SeriesDescription', 'a series without description')!r} "
            f"({held[0].path.name} ...)"
            for held in found.values()
        ]
        raise InputError(f"{name} holds {len(found)} series, expected one: {'; '.join(texts[:4])}")


def _check_same(first: Slice, other: Slice) -> None:
    pairs = (
        ("rows x columns", first.size, other.size, 0.0),
        ("PixelSpacing", first.pixel, other.pixel, _SAME),
        ("ImageOrientationPatient", first.orientation, other.orientation, _SAME),
    )
    for what, one, two, tolerance in pairs:
        if any(abs(a - b) > tolerance * max(1.0, abs(a)) for a, b in zip(one, two, strict=True)):
            raise InputError(
                f"{other.path}: {what} {_text(two)} differs from {_text(one)} in {first.path.name}: "
                "all slices of a series must have the same"
            )


def _unit(slices: Sequence[Slice], name: str | os.PathLike[str]) -> str | None:
    """HU where all slices are in it; else None, with a UnitWarning. InputError where only some are."""
    kinds = list(dict.fromkeys(one.kind for one in slices))
    if kinds == ["HU"]:
        return "HU"
    if len(kinds) > 1:
        raise InputError(f"{name}: RescaleType is {some(kinds)}: all slices of a series must have the same")
    unspecified = " (unspecified)" if kinds == ["US"] else ""
    warnings.warn(
        f"{name}: RescaleType is {shown(kinds[0])}{unspecified}, not HU: the unit of its values is not known; state it "
        "if you know it (`unit`)",
        UnitWarning,
        stacklevel=4,
    )
    return None


def _slice_distance(slices: Sequence[Slice], name: str | os.PathLike[str]) -> float:
    """Mm between slices; of a single one its thickness."""
    first = slices[0]
    if len(slices) == 1:
        thickness = first.metadata.get("SliceThickness")
        return float(thickness) if isinstance(thickness, int | float) and thickness > 0 else min(first.pixel)
    heights = np.array([one.height for one in slices])
    steps = np.diff(heights)
    usual = float(np.median(steps))
    for index, step in enumerate(steps):
        one, two = slices[index], slices[index + 1]
        if step <= _UNEVEN * usual or usual <= 0:
            raise InputError(
                f"{name}: {one.path.name} and {two.path.name} are at the same place (z = {one.height:g} mm): "
                "several acquisitions, or copies of a slice?"
            )
        if step > _MISSING * usual:
            count = round(step / usual) - 1
            raise InputError(
                f"{name}: {count} slice{'s are' if count > 1 else ' is'} missing between {one.path.name} and "
                f"{two.path.name} (z = {one.height:g} to {two.height:g} mm, the others are {usual:g} mm apart)"
            )
    worst = float(np.abs(steps - usual).max())
    if worst > max(_UNEVEN * usual, 2e-3):
        raise InputError(
            f"{name}: the slices are {steps.min():g} to {steps.max():g} mm apart, expected the same distance"
        )
    step = float(heights[-1] - heights[0]) / (len(slices) - 1)
    drift = np.asarray(slices[-1].position) - slices[0].position
    rows, columns, _ = first.axes
    sideways = math.hypot(float(drift @ rows), float(drift @ columns))
    if sideways > max(_UNEVEN * (heights[-1] - heights[0]), 0.01):
        warnings.warn(
            f"{name}: {len(slices)} slices are shifted by {sideways:.3g} mm in all within their planes (a tilted "
            "gantry?); they are taken as if stacked straight",
            ScanWarning,
            stacklevel=4,
        )
    return step


def _text(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
