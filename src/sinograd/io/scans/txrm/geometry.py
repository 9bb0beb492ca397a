"""The geometry of an XRM scan from its streams; the package's docstring has the conventions."""

from __future__ import annotations

import math

import numpy as np
import torch

from sinograd.geometry import ConeBeam, FlatDetector, Geometry, ParallelBeam
from sinograd.io.scans.txrm.streams import Streams

CONE, PARALLEL = 1, 2
_GIVE = "give the geometry (geometry=, a Geometry or YAML file)"


def read_geometry(
    streams: Streams, shape: tuple[int, int, int], *, reverse: bool, center_shift: float | None
) -> Geometry:
    """The geometry of images [views, rows, columns]; ValueError where the file has only placeholders."""
    views, rows, columns = shape
    angles = _angles(streams, views)
    turned = torch.deg2rad(torch.from_numpy(angles if reverse else -angles))
    pixel = streams.number("ImageInfo/PixelSize")
    if pixel is None or pixel <= 0:
        raise streams.error(f"PixelSize is {'missing' if pixel is None else f'{pixel:g} um'}: {_GIVE}")
    distances = _distances(streams, views)
    shift = 0.0 if center_shift is None else center_shift
    if _is_cone(streams, distances):
        assert distances is not None
        to_origin, to_detector = distances[0], sum(distances)
        spacing = pixel / 1000 * to_detector / to_origin
        detector = FlatDetector((rows, columns), spacing, (0.0, -shift * spacing))
        return ConeBeam.circular(
            source_to_origin=to_origin, source_to_detector=to_detector, angles=turned, detector=detector
        )
    spacing = pixel / 1000
    return ParallelBeam(turned, FlatDetector((rows, columns), spacing, (0.0, -shift * spacing)))


def read_center_shift(streams: Streams, columns: int) -> float | None:
    """ReconSettings/CenterShift in pixels, None where it is missing or beyond the detector (ScanWarning)."""
    shift = streams.number("ReconSettings/CenterShift")
    if shift is not None and abs(shift) > columns / 2:
        streams.warn(f"CenterShift is {shift:g} pixels for {columns} columns: it is ignored")
        return None
    return shift


def _angles(streams: Streams, views: int) -> np.ndarray:
    """Stage angles in degrees of the images that are there; the array may be longer."""
    angles = streams.numbers("ImageInfo/Angles")
    if len(angles) < views:
        raise streams.error(f"{len(angles)} angles for {views} images: {_GIVE}")
    angles = angles[:views]
    bad = int((~np.isfinite(angles)).sum())
    if bad:
        raise streams.error(f"{bad} of {views} angles are not finite: {_GIVE}")
    span = float(np.ptp(angles))
    if views > 50 and any(math.isclose(span, turn, rel_tol=2e-3) for turn in (math.pi, 2 * math.pi)):
        streams.warn(f"{views} angles span {span:.5g}: taken as degrees as in other files, they look like radians")
    return angles


def _is_cone(streams: Streams, distances: tuple[float, float] | None) -> bool:
    beam = streams.integer("ImageInfo/XrayGeometry")
    if beam == PARALLEL:
        if distances is not None:
            streams.warn(
                f"XrayGeometry is {PARALLEL} (parallel) though there are distances of {distances[0]:g} and "
                f"{distances[1]:g} mm: read as parallel; {_GIVE} for a cone beam"
            )
        return False
    if beam not in (None, 0, CONE):
        raise streams.error(f"XrayGeometry is {beam}, known are {CONE} (cone) and {PARALLEL} (parallel): {_GIVE}")
    if distances is None:
        found = ", ".join(f"{name} {_shown(streams, name)}" for name in ("StoRADistance", "DtoRADistance"))
        raise streams.error(f"the distances are placeholders or missing ({found}): {_GIVE}")
    if beam != CONE:
        said = "missing" if beam is None else "0"
        streams.warn(f"XrayGeometry is {said}: read as a cone beam, since there are distances")
    return True


def _distances(streams: Streams, views: int) -> tuple[float, float] | None:
    """Source to axis and axis to detector in mm, None for placeholders."""
    found = []
    for name in ("StoRADistance", "DtoRADistance"):
        values = np.abs(streams.numbers(f"ImageInfo/{name}")[:views])
        values = values[np.isfinite(values) & (values > 0)]
        if len(values) == 0:
            return None
        middle = float(np.median(values))
        changed = int((np.abs(values - middle) > 1e-3 * middle).sum())
        if changed:
            streams.warn(f"{name} of {changed} of {len(values)} images differs from {middle:g} mm, which is taken")
        found.append(middle)
    return None if found[0] == found[1] == 1.0 else (found[0], found[1])


def _shown(streams: Streams, name: str) -> str:
    value = streams.number(f"ImageInfo/{name}")
    return "missing" if value is None else f"{value:g} mm"
