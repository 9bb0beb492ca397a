"""References, dark images, shifts and exposures of an XRM scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sinograd.data.calibration import Calibration
from sinograd.errors import InputError
from sinograd.io.scans.joined_images import JoinedImages
from sinograd.io.scans.txrm.images import data_type, image_shape, located, numbered, read_images
from sinograd.io.scans.txrm.series import MOST_REFERENCES, SeriesStreams
from sinograd.io.scans.txrm.streams import Streams
from sinograd.io.storage.raw_images import RawImages

_FAR = 100.0  # exposures beyond this ratio are no exposures


@dataclass(frozen=True)
class References:
    """Reference images with exposure time (s) and beam current where they are known."""

    images: RawImages | JoinedImages
    time: float | None
    current: float | None
    views: np.ndarray | None = None


def read_calibration(
    streams: Streams, shape: tuple[int, int, int], reference: Sequence[Path], dark: Sequence[Path]
) -> Calibration | None:
    """What belongs to images [views, rows, columns]; None where nothing does.

    reference, dark: XRM files whose images are taken instead of those in the file.
    """
    found = _other_files(reference, shape[1:], "reference") if reference else _own_references(streams, shape[1:])
    darks = _other_files(dark, shape[1:], "dark") if dark else None
    calibration = Calibration(
        reference=None if found is None else found.images,
        reference_views=None if found is None else found.views,
        dark=None if darks is None else darks.images,
        shifts=_shifts(streams, shape[0]),
        exposure=None if found is None else _exposure(streams, shape[0], found),
    )
    return None if calibration.is_empty else calibration


def _own_references(streams: Streams, shape: tuple[int, int]) -> References | None:
    """Those of a file; of a series one, if all of up to 16 are alike, else these with their views."""
    if not isinstance(streams, SeriesStreams):
        return _references(streams, shape)
    count = len(streams.parts)
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_REFERENCES)).round().astype(int))
    found = [(place, own) for place in places if (own := _references(streams.parts[place], shape)) is not None]
    if not found:
        return None
    first = found[0][1]
    if all(np.array_equal(first.images[:], own.images[:]) for _, own in found[1:]):
        return first
    views = np.concatenate([np.full(len(own.images), sum(streams.counts[:place])) for place, own in found])
    return References(JoinedImages([own.images for _, own in found]), first.time, first.current, views)


def _references(streams: Streams, shape: tuple[int, int]) -> References | None:
    """MultiReferenceData/Image1 ... where there are any of the right size, else ReferenceData/Image."""
    several = numbered(streams, r"multireferencedata/image(\d+)")
    for folder, names in (
        ("MultiReferenceData", [several[i] for i in sorted(several)]),
        ("ReferenceData", ["referencedata/image"]),
    ):
        images = _reference_images(streams, folder, [name for name in names if name in streams.file], shape)
        if images is not None:
            time, current = (_positive(streams, name) for name in ("ExpTime", "IonCurrent"))
            return References(images, time, current)
    return None


def _reference_images(streams: Streams, folder: str, names: list[str], shape: tuple[int, int]) -> RawImages | None:
    if not names:
        return None
    holder = next((f for f in (folder, "ReferenceData", "ImageInfo") if f"{f}/DataType" in streams.file), "ImageInfo")
    dtype = data_type(streams, f"{holder}/DataType")
    expected = shape[0] * shape[1] * dtype.itemsize
    good = [name for name in names if streams.file.size(name) == expected]
    if len(good) < len(names):
        sizes = sorted({streams.file.size(name) or 0 for name in names if name not in good})
        streams.warn(
            f"{len(names) - len(good)} of {len(names)} references ({folder}) are ignored: they have "
            f"{', '.join(f'{size:,}' for size in sizes)} bytes, {shape[0]} x {shape[1]} {dtype.name} need {expected:,}"
        )
    return located(streams, good, shape, dtype) if good else None


def _positive(streams: Streams, name: str) -> float | None:
    value = streams.number(f"ReferenceData/{name}")
    return value if value is not None and value > 0 else None


def _other_files(paths: Sequence[Path], shape: tuple[int, int], name: str) -> References:
    """The images of other files, with the exposure of the first."""
    stacks = []
    for path in paths:
        streams = Streams(path)
        found = image_shape(streams)
        if found != shape:
            raise InputError(
                f"{name} {path}: images of {found[0]} x {found[1]} pixels, the scan has {shape[0]} x {shape[1]}"
            )
        stacks.append(read_images(streams))
    first = Streams(paths[0])
    times, currents = (_median(first, key, len(stacks[0])) for key in ("ExpTimes", "IonChamberCurrent"))
    return References(stacks[0] if len(stacks) == 1 else JoinedImages(stacks), times, currents)


def _median(streams: Streams, name: str, count: int) -> float | None:
    values = streams.numbers(f"ImageInfo/{name}")[:count]
    return float(np.median(values)) if len(values) == count and (np.isfinite(values) & (values > 0)).all() else None


def _shifts(streams: Streams, views: int) -> np.ndarray | None:
    """[views, 2] (row, column) in pixels; None where there are none or all are zero."""
    columns, rows = (streams.numbers(f"Alignment/{name}") for name in ("X-Shifts", "Y-Shifts"))
    if len(columns) == 0 and len(rows) == 0:
        return None
    if len(columns) < views or len(rows) < views:
        streams.warn(f"{len(columns)} X-Shifts and {len(rows)} Y-Shifts for {views} images: they are ignored")
        return None
    shifts = np.stack([rows[:views], columns[:views]], axis=1)
    bad = int((~np.isfinite(shifts)).any(axis=1).sum())
    if bad:
        streams.warn(f"the shifts of {bad} of {views} images are not finite: all are ignored")
        return None
    return shifts if shifts.any() else None


def _exposure(streams: Streams, views: int, references: References) -> np.ndarray | None:
    """Exposure of each image over the references'; None where it is unknown or the same."""
    times = streams.numbers("ImageInfo/ExpTimes")[:views]
    if references.time is None or not _usable(times, views):
        return None
    exposure = times / references.time
    currents = streams.numbers("ImageInfo/IonChamberCurrent")[:views]
    if references.current is not None and _usable(currents, views):
        exposure = exposure * (currents / references.current)
    far = int(((exposure > _FAR) | (exposure < 1 / _FAR)).sum())
    if far:
        streams.warn(
            f"the exposures of {far} of {views} images are more than {_FAR:g} times the reference's or less "
            f"than its {_FAR:g}th part: all are ignored"
        )
        return None
    return None if np.allclose(exposure, 1, rtol=0, atol=1e-6) else exposure


def _usable(values: np.ndarray, views: int) -> bool:
    return len(values) == views and bool((np.isfinite(values) & (values > 0)).all())
