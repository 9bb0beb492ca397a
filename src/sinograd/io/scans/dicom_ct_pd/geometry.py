"""The geometry of DICOM-CT-PD files: a helix or a circle with the true focal spot of each view.

The files have cylindrical coordinates: focal centre at x = -rho sin(phi), y = rho cos(phi), z. The world is
(-x, -y, z): then phi is the gantry angle of sinograd, and a scan of a patient who lies on the back with the feet first
(FFS, as most published body scans) comes out along DICOM's axes: x to the left, y to the back, z to the head. The
manual calls the files' coordinates left-handed; comparisons of reconstructions with the scanners' own images found that
(x, y, z) of the files is right-handed, and the world is made from that.

Columns are counted along +x where the focal centre is at phi = 0, rows against z: both run against +u and +v, and
images are turned as they are read. The central element (column, row), counted from 1, is where the line from the focal
centre through the axis meets the detector.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.config.shown import shown
from sinograd.errors import FormatError, ScanWarning
from sinograd.geometry import ConeBeam, CurvedDetector, Detector, FlatDetector
from sinograd.io.scans.dicom_ct_pd.header import ViewHeader
from sinograd.io.scans.dicom_ct_pd.sequence import unwrapped
from sinograd.io.scans.dicom_ct_pd.tags import TAGS

_STRAIGHT = 2e-3  # mm that a view may be off the helix: what files round
_FLAT_FEED = 1e-3  # mm in all, of a circle
_VARIES = 1e-3  # mm, elements
_SHAPES = {"CYLINDRICAL": CurvedDetector, "FLAT": FlatDetector}


def geometry_of(views: Sequence[ViewHeader], folder: Path, *, flip_center: bool = False) -> ConeBeam:
    """The scan's geometry, views in order.

    Raises:
        FormatError: a detector that is neither cylindrical nor flat, distances that cannot be.
    """
    first, same = views[0], views[0].same
    angles = unwrapped(views, folder)
    _, height, radius = np.array([view.focus for view in views]).T
    turn, rise, outward = np.array([view.shift for view in views]).T
    origin, distance = float(np.median(radius)), float(same["ConstantRadialDistance"])
    for name, value in (("DetectorFocalCenterRadialDistance", origin), ("ConstantRadialDistance", distance)):
        if value <= 0:
            raise FormatError(f"{first.path}: {name} {TAGS[name].text} must be positive, got {value:g}")
    pitch, start = _helix(angles, height)
    climb = height - (start + pitch * (angles - angles[0]) / (2 * math.pi))
    spot = radius + outward
    moved = np.stack([rise, spot * np.sin(turn), spot * np.cos(turn) - radius], 1)
    shifts = None
    if np.abs(climb).max() > _STRAIGHT:  # the table was ahead or behind: source and detector are, too
        shifts = np.stack([climb, np.zeros_like(climb)], 1)
        moved[:, 0] += climb
    options: dict[str, Any] = {
        "source_to_origin": origin,
        "source_to_detector": distance,
        "angles": torch.from_numpy(angles),
        "detector": _detector(views, folder, flip_center),
        "shifts": shifts,
    }
    if np.ptp(height) > _FLAT_FEED or abs(start) > _FLAT_FEED:
        options |= {"pitch": pitch, "z_start": start}
    make = ConeBeam.helical if "pitch" in options else ConeBeam.circular
    if np.abs(radius - origin).max() > _STRAIGHT:
        return _of_radii(make(**options), radius - origin, moved)
    return make(**options, source_offset=moved if np.abs(moved).max() > 0 else (0.0, 0.0))


def _helix(angles: np.ndarray, height: np.ndarray) -> tuple[float, float]:
    """Mm of feed a turn, and the height of the first view, by least squares."""
    turns = (angles - angles[0]) / (2 * math.pi)
    if len(turns) < 2 or np.ptp(turns) < 1e-9 or np.ptp(height) < _FLAT_FEED:
        return 0.0, float(np.mean(height))
    spread = turns - turns.mean()
    pitch = float((spread * (height - height.mean())).sum() / (spread**2).sum())
    return pitch, float(height.mean() - pitch * turns.mean())


def _of_radii(regular: ConeBeam, farther: np.ndarray, moved: np.ndarray) -> ConeBeam:
    """Focal centres at other distances from the axis take source and detector with them: given by vectors."""
    vectors, angles, old = regular.vectors, regular.angles, regular.detector
    assert angles is not None
    zero = torch.zeros_like(angles)
    outward, side = (
        torch.stack([angles.sin(), -angles.cos(), zero], 1),
        torch.stack([angles.cos(), angles.sin(), zero], 1),
    )
    drift = torch.from_numpy(farther)[:, None] * outward
    up, along, away = (torch.from_numpy(np.ascontiguousarray(part))[:, None] for part in moved.T)
    source = (
        vectors[:, 0] + drift + up * torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64) + along * side + away * outward
    )
    plain: Detector = FlatDetector(old.shape, old.spacing)
    if isinstance(old, CurvedDetector):
        plain = CurvedDetector(old.shape, old.spacing, radius=regular.source_to_detector)
    return ConeBeam.from_vectors(
        sources=source, centers=vectors[:, 1] + drift, u=vectors[:, 2], v=vectors[:, 3], detector=plain
    )


def _detector(views: Sequence[ViewHeader], folder: Path, flip_center: bool) -> Detector:
    first, same = views[0], views[0].same
    kind = _SHAPES.get(same["DetectorShape"])
    if kind is None:
        raise FormatError(
            f"{first.path}: DetectorShape {TAGS['DetectorShape'].text} must be CYLINDRICAL or FLAT, got "
            f"{shown(same['DetectorShape'])}"
        )
    spacing = same["DetectorElementAxialSpacing"], same["DetectorElementTransverseSpacing"]
    if min(spacing) <= 0:
        raise FormatError(f"{first.path}: detector elements must have a positive size, got {spacing} mm")
    centers = np.array([view.center for view in views])
    if np.abs(centers - centers[0]).max() > _VARIES:
        warnings.warn(
            f"{folder}: DetectorCentralElement {TAGS['DetectorCentralElement'].text} varies from {centers.min(0)} to "
            f"{centers.max(0)}; its median is used",
            ScanWarning,
            stacklevel=4,
        )
    column, row = (float(value) for value in np.median(centers, 0))
    rows, columns = first.shape
    if flip_center:
        column = columns + 1 - column
    # counted from 1 against +u and +v
    offset = ((row - (rows + 1) / 2) * spacing[0], (column - (columns + 1) / 2) * spacing[1])
    return kind((rows, columns), spacing, offset=offset)
