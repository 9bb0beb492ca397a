"""NeXus files of the application definition NXtomo: all frames of a scan in one stack, and a key for each.

    NXdetector: data [frames, rows, columns]; image_key [frames], 0 projection, 1 flat, 2 dark, 3 not to be used; or
        image_key_control, where -1 are images for alignment (0 in image_key), which are not used either;
        x_pixel_size, y_pixel_size; distance (sample to detector); count_time [frames]; saturation_value
    NXsample: rotation_angle [frames] or [projections]; those of other frames may be NaN
    NXsource: distance (source to sample, of either sign)
    NXmonitor `control`: data [frames], beam intensity
    each with the attribute `units`; without one lengths are m and angles degrees, with a ScanWarning

Groups are found by their class, whatever their names. The beam is a cone where source and detector distances
are known and magnify by more than 0.1 %, else parallel; pixel sizes are those of the detector. rotation_angle
is that of the sample stage, counter-clockwise seen from +z, so gantry angle = -rotation_angle; `reverse=True`
for a stage that turned clockwise. Rows and columns as stored, along +v and +u. Exposures relative to the flat
fields, interpolated to the time of each projection, come from the monitor, else from count_time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.data.calibration import Calibration
from sinograd.data.lengths import PIXEL
from sinograd.data.projections import Projections, choose_views
from sinograd.data.scan import Scan
from sinograd.errors import ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, ParallelBeam
from sinograd.io.scans.format import ScanFormat
from sinograd.io.scans.view_counts import count_advice
from sinograd.io.storage.hdf5.layout import attribute, is_hdf5, opened
from sinograd.io.storage.hdf5.lazy import Hdf5Projections
from sinograd.io.storage.hdf5.values import Values, attribute_text
from sinograd.io.storage.outside import LinkError

PROJECTION, FLAT, DARK, INVALID, ALIGNMENT = 0, 1, 2, 3, -1
_KEYS = ("image_key", "image_key_control")
_DEEPEST = 6
_MOST_GROUPS = 10_000  # groups and data sets that are looked at
_GIVE = "give the geometry (geometry=, a Geometry or YAML file), or a YAML file beside it with the key hdf5"
_MAGNIFIES = 1.001


class NXtomo(ScanFormat):
    """NeXus NXtomo: one stack of frames with their keys."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file is HDF5 with a detector that has image keys."""
        if not is_hdf5(head):
            return False
        try:
            with opened(path) as file:
                return _detector(Values(file, path)) is not None
        except ValueError as error:
            return isinstance(error, LinkError)

    def read(self, path: Path, *, geometry: Geometry | None = None, reverse: bool = False) -> Scan:
        """Read the first NXtomo scan of a file, in `geometry` where one is given; the images stay in the file.

        reverse: the sample stage turned clockwise seen from +z. Raises ValueError naming the file and the dataset
        for one that is missing, of another length or not finite.
        """
        with opened(path) as file:
            values = Values(file, path)
            detector = _detector(values)
            if detector is None:
                raise values.error("there is no detector (NXdetector) with data and image_key")
            frames = values.images(f"{detector}/data")
            keys = _keys(values, detector, len(frames))
            views = np.flatnonzero(keys == PROJECTION)
            if len(views) == 0:
                raise values.error(f"none of {len(keys)} frames is a projection (image_key 0)")
            calibration = _calibration(values, detector, frames, keys)
            length_unit = "mm"
            if geometry is None:
                geometry, length_unit = _geometry(values, detector, frames, keys, reverse)
            metadata = _metadata(values, detector, int((~np.isin(keys, (PROJECTION, FLAT, DARK))).sum()))
        projections = choose_views(frames, views) if len(views) < len(frames) else frames
        return Scan(
            projections, geometry, metadata, kind="counts", file=path, calibration=calibration, length_unit=length_unit
        )


def _groups(values: Values, top: str, kind: str) -> Iterator[str]:
    """Paths of the groups of a class below `top`, each group once, not deeper than NXtomo goes."""
    import h5py

    seen: set[Any] = set()
    left = [(top, 0)]
    while left:
        name, depth = left.pop(0)
        try:
            group = values.item(name)
            if not isinstance(group, h5py.Group) or group.id in seen:
                continue
            seen.add(group.id)
            if attribute_text(attribute(group, "NX_class")) == kind:
                yield name
            if depth < _DEEPEST and len(left) < _MOST_GROUPS:
                left += [(f"{name}/{kid}".strip("/"), depth + 1) for kid in group]
        except (KeyError, OSError, RuntimeError, LinkError):  # a link to nowhere, or to what is not read
            continue


def _detector(values: Values) -> str | None:
    for name in _groups(values, "", "NXdetector"):
        if values.has(f"{name}/data") and any(values.has(f"{name}/{key}") for key in _KEYS):
            return name
    return None


def _entry(detector: str) -> str:
    """The group that holds the instrument of this detector, with sample and monitor beside it."""
    return "/".join(detector.split("/")[:-2])


def _first(values: Values, detector: str, kind: str, name: str) -> str | None:
    """The dataset `name` of the first group of a class in the same entry that has it."""
    for group in _groups(values, _entry(detector), kind):
        if values.has(f"{group}/{name}"):
            return f"{group}/{name}"
    return None


def _keys(values: Values, detector: str, frames: int) -> np.ndarray:
    """The key of each frame; ScanWarnings for keys of frames that are not there, and for unknown ones."""
    keys = np.full(frames, PROJECTION, dtype=np.float64)
    for name in (f"{detector}/{key}" for key in _KEYS):
        if not values.has(name):
            continue
        found = values.array(name, finite=False)
        if len(found) < frames:
            raise values.error(f"{len(found)} image keys (/{name}) for {frames} frames (/{detector}/data)")
        if len(found) > frames:
            values.warn(f"{len(found)} image keys (/{name}) for {frames} frames: the scan was aborted, those are taken")
        keys = np.where(found[:frames] == PROJECTION, keys, found[:frames])
        unknown = ~np.isin(found[:frames], (PROJECTION, FLAT, DARK, INVALID, ALIGNMENT))
        if unknown.any():
            values.warn(
                f"{int(unknown.sum())} of {frames} image keys (/{name}) are unknown, such as "
                f"{found[:frames][unknown][0]:g}: those frames are not used"
            )
    return keys


def _calibration(values: Values, detector: str, frames: Hdf5Projections, keys: np.ndarray) -> Calibration | None:
    flats, darks = np.flatnonzero(keys == FLAT), np.flatnonzero(keys == DARK)
    before = np.cumsum(keys == PROJECTION)[flats]
    chosen: dict[str, Projections | np.ndarray | None] = {}
    if len(flats):
        # A flat field between views k - 1 and k lies at k - 0.5.
        chosen = {"reference": choose_views(frames, flats), "reference_views": before - 0.5}
        chosen["exposure"] = _exposure(values, detector, keys, before - 0.5)
    if len(darks):
        chosen["dark"] = choose_views(frames, darks)
    return Calibration(**chosen) if chosen else None  # pyright: ignore[reportArgumentType]


def _exposure(values: Values, detector: str, keys: np.ndarray, reference_views: np.ndarray) -> np.ndarray | None:
    """Exposure of each projection over that of the flat fields at its time; None where it is unknown or the same.

    Preparation interpolates the flat fields in time, so their exposures are interpolated the same way: a beam that
    declines is in the flat fields already and must not be taken out twice.
    """
    monitor = _first(values, detector, "NXmonitor", "data")
    for name in (monitor, f"{detector}/count_time"):
        if name is None or not values.has(name):
            continue
        amount = values.array(name, finite=False)
        if len(amount) > len(keys):
            if len(amount) != _planned(values, detector):
                values.warn(f"{len(amount)} exposures (/{name}) for {len(keys)} frames: the first ones are taken")
            amount = amount[: len(keys)]
        elif len(amount) < len(keys):
            if len(amount) > 1:
                values.warn(f"{len(amount)} exposures (/{name}) for {len(keys)} frames: they are not used")
            continue
        amount = np.asarray(amount, dtype=np.float64)
        good = np.isfinite(amount) & (amount > 0)
        views, flats = amount[keys == PROJECTION], amount[keys == FLAT]
        seen, usable = good[keys == PROJECTION], good[keys == FLAT]
        if 2 * int(seen.sum()) < len(views) or not usable.any():
            continue
        if not seen.all() or not usable.all():
            bad = int((~seen).sum()) + int((~usable).sum())
            warnings.warn(
                f"{values.path}: {bad} of {len(views) + len(flats)} exposures (/{name}) are not positive numbers; "
                "those of their neighbours are used",
                ScanWarning,
                stacklevel=5,
            )
        place = np.arange(len(views))
        views = np.interp(place, place[seen], views[seen])
        times, group = np.unique(reference_views[usable], return_inverse=True)
        means = np.bincount(group, flats[usable]) / np.bincount(group)
        exposure = views / np.interp(place, times, means)
        return None if np.allclose(exposure, 1, rtol=0, atol=1e-6) else exposure
    return None


def _geometry(
    values: Values, detector: str, frames: Hdf5Projections, keys: np.ndarray, reverse: bool
) -> tuple[ConeBeam | ParallelBeam, str]:
    """The geometry, and what its lengths are in."""
    degrees = _angles(values, detector, keys)
    angles = torch.deg2rad(torch.from_numpy(degrees if reverse else -degrees))
    sizes = [values.length(f"{detector}/{axis}_pixel_size") for axis in ("y", "x")]
    row, column = (size if size is not None else other for size, other in zip(sizes, sizes[::-1], strict=True))
    length_unit = PIXEL if row is None or column is None else "mm"
    row, column = (1.0, 1.0) if row is None or column is None else (row, column)
    if row <= 0 or column <= 0:
        raise values.error(f"/{detector} has no usable x_pixel_size: {_GIVE}")
    pixels = FlatDetector(frames.shape[1:], row if row == column else (row, column))
    source = _first(values, detector, "NXsource", "distance")
    to_axis = None if source is None else values.length(source)
    beyond = values.length(f"{detector}/distance")
    if to_axis and beyond and (abs(to_axis) + abs(beyond)) / abs(to_axis) > _MAGNIFIES:
        if length_unit == PIXEL:
            raise values.error(f"/{detector} has no x_pixel_size, which a cone beam needs: {_GIVE}")
        to_axis, beyond = abs(to_axis), abs(beyond)
        cone = ConeBeam.circular(
            source_to_origin=to_axis, source_to_detector=to_axis + beyond, angles=angles, detector=pixels
        )
        return cone, length_unit
    return ParallelBeam(angles, pixels), length_unit


def _angles(values: Values, detector: str, keys: np.ndarray) -> np.ndarray:
    """Stage angles of the projections in degrees."""
    name = _first(values, detector, "NXsample", "rotation_angle")
    if name is None:
        raise values.error(f"there is no sample (NXsample) with rotation_angle: {_GIVE}")
    degrees, views = values.degrees(name, finite=False), keys == PROJECTION
    planned = _planned(values, detector)
    turning = keys[views | (keys == ALIGNMENT)]
    if len(degrees) in (len(keys), planned):
        degrees = degrees[: len(keys)][views]
    elif len(degrees) == len(turning) > views.sum():
        degrees = degrees[turning == PROJECTION]
    elif len(degrees) != views.sum():
        raise values.error(
            f"{len(degrees)} angles (/{name}) for {len(keys)} frames, {views.sum()} of them projections"
            f"{count_advice(int(views.sum()), degrees, int((keys == FLAT).sum()), int((keys == DARK).sum()))}: {_GIVE}"
        )
    bad = int((~np.isfinite(degrees)).sum())
    if bad:
        raise values.error(f"/{name} must be finite, {bad} of {len(degrees)} angles of projections are not: {_GIVE}")
    if "units" not in values.item(name).attrs:
        values.warn_of_radians(name, degrees)
    return degrees


def _planned(values: Values, detector: str) -> int:
    """How many frames there were to be: keys of frames that an aborted scan did not take are there."""
    return max(len(values.array(f"{detector}/{key}", finite=False)) for key in _KEYS if values.has(f"{detector}/{key}"))


def _metadata(values: Values, detector: str, unused: int) -> dict[str, Any]:
    entry = _entry(detector)
    sample = _first(values, detector, "NXsample", "name")
    found: dict[str, Any] = {
        "format": "NeXus NXtomo",
        "title": values.text(f"{entry}/title"),
        "sample": "" if sample is None else values.text(sample),
        "date": values.text(f"{entry}/start_time"),
        "instrument": values.text("/".join([*detector.split("/")[:-1], "name"])),
        "frames_not_used": unused or "",
        "saturation": values.first_positive([f"{detector}/saturation_value"]),
        "bit_depth": values.first_positive([f"{detector}/bit_depth_readout"]),
    }
    return {name: value for name, value in found.items() if value != ""}
