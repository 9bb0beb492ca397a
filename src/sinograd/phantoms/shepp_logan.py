"""The Shepp-Logan head phantom in two and three dimensions."""

from __future__ import annotations

import math
from typing import Literal

import torch

from sinograd.errors import InputError
from sinograd.geometry.checks import number
from sinograd.phantoms.ellipsoids import Ellipsoids

# Rows: value, semi-axes a b c, centre x y z (all relative to the radius), angle about z in degrees.
# The ellipses of Shepp and Logan (1974) with the contrast of Toft (1996), extended along z.
_MODIFIED_3D = (
    (1.0, 0.6900, 0.920, 0.810, 0.0, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.780, 0.0, -0.0184, 0.0, 0.0),
    (-0.2, 0.1100, 0.310, 0.220, 0.22, 0.0, 0.0, -18.0),
    (-0.2, 0.1600, 0.410, 0.280, -0.22, 0.0, 0.0, 18.0),
    (0.1, 0.2100, 0.250, 0.410, 0.0, 0.35, -0.15, 0.0),
    (0.1, 0.0460, 0.046, 0.050, 0.0, 0.1, 0.25, 0.0),
    (0.1, 0.0460, 0.046, 0.050, 0.0, -0.1, 0.25, 0.0),
    (0.1, 0.0460, 0.023, 0.050, -0.08, -0.605, 0.0, 0.0),
    (0.1, 0.0230, 0.023, 0.020, 0.0, -0.606, 0.0, 0.0),
    (0.1, 0.0230, 0.046, 0.020, 0.06, -0.605, 0.0, 0.0),
)
# Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), table 3.1.
_KAK_SLANEY = (
    (2.0, 0.6900, 0.920, 0.900, 0.0, 0.0, 0.0, 0.0),
    (-0.98, 0.6624, 0.874, 0.880, 0.0, 0.0, 0.0, 0.0),
    (-0.02, 0.4100, 0.160, 0.210, -0.22, 0.0, -0.25, 108.0),
    (-0.02, 0.3100, 0.110, 0.220, 0.22, 0.0, -0.25, 72.0),
    (0.02, 0.2100, 0.250, 0.500, 0.0, 0.35, -0.25, 0.0),
    (0.02, 0.0460, 0.046, 0.046, 0.0, 0.1, -0.25, 0.0),
    (0.01, 0.0460, 0.023, 0.020, -0.08, -0.65, -0.25, 0.0),
    (0.01, 0.0460, 0.023, 0.020, 0.06, -0.65, -0.25, 90.0),
    (0.02, 0.0560, 0.040, 0.100, 0.06, -0.105, 0.625, 90.0),
    (-0.02, 0.0560, 0.056, 0.100, 0.0, 0.1, 0.625, 0.0),
)
# Rows: value after Shepp and Logan (1974), after Toft (1996), semi-axes a b, centre x y, angle in degrees.
_ELLIPSES = (
    (2.0, 1.0, 0.6900, 0.920, 0.0, 0.0, 0.0),
    (-0.98, -0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.02, -0.2, 0.1100, 0.310, 0.22, 0.0, -18.0),
    (-0.02, -0.2, 0.1600, 0.410, -0.22, 0.0, 18.0),
    (0.01, 0.1, 0.2100, 0.250, 0.0, 0.35, 0.0),
    (0.01, 0.1, 0.0460, 0.046, 0.0, 0.1, 0.0),
    (0.01, 0.1, 0.0460, 0.046, 0.0, -0.1, 0.0),
    (0.01, 0.1, 0.0460, 0.023, -0.08, -0.605, 0.0),
    (0.01, 0.1, 0.0230, 0.023, 0.0, -0.606, 0.0),
    (0.01, 0.1, 0.0230, 0.046, 0.06, -0.605, 0.0),
)


def shepp_logan_3d(
    radius: float = 1.0, value: float = 1.0, variant: Literal["modified", "kak-slaney", "rtk"] = "modified"
) -> Ellipsoids:
    """The three-dimensional Shepp-Logan phantom.

    Args:
        radius: half the side, in mm, of the cube that holds it (what RTK calls the phantom scale).
        value: multiplies the attenuation of every ellipsoid. With 1, "modified" runs from 0 to 1 per mm
            (skull 1, brain 0.2) and the other two from 0 to 2 (skull 2, brain 1.02, details of 1 to 2
            percent).
        variant: "modified" has Toft's contrast; "kak-slaney" is table 3.1 of Kak and Slaney (1988); "rtk"
            is that table as RTK's SheppLoganPhantomFilter places it: RTK's x, y, z axes are our x, z, -y
            (which carries RTK's source orbit onto ours), and the book's phantom comes out mirrored in y.
    """
    radius, value = number(radius, "radius"), number(value, "value")
    if variant == "modified":
        table = torch.tensor(_MODIFIED_3D, dtype=torch.float64, device="cpu")
    elif variant in ("kak-slaney", "rtk"):
        table = torch.tensor(_KAK_SLANEY, dtype=torch.float64, device="cpu")
        if variant == "rtk":
            table[:, 5] *= -1
            table[:, 7] *= -1
    else:
        raise InputError(f'variant must be "modified", "kak-slaney" or "rtk", got {variant!r}')
    angle = table[:, 7] * (math.pi / 180)
    return Ellipsoids(value * table[:, 0], radius * table[:, 1:4], radius * table[:, 4:7], angle)


def shepp_logan_2d(
    radius: float = 1.0, value: float = 1.0, variant: Literal["modified", "original"] = "modified"
) -> Ellipsoids:
    """The two-dimensional Shepp-Logan phantom, as ellipsoids centred on the plane z = 0.

    Args:
        radius: half the side, in mm, of the square that holds it.
        value: multiplies the attenuation of every ellipse.
        variant: "modified" (Toft 1996: 0 to 1, brain 0.2) or "original" (Shepp and Logan 1974: 0 to 2,
            brain 1.02).
    """
    radius, value = number(radius, "radius"), number(value, "value")
    if variant not in ("modified", "original"):
        raise InputError(f'variant must be "modified" or "original", got {variant!r}')
    table = torch.tensor(_ELLIPSES, dtype=torch.float64, device="cpu")
    semi_axes = torch.cat([table[:, 2:4], table[:, 2:4].amax(dim=1, keepdim=True)], dim=1)
    center = torch.cat([table[:, 4:6], torch.zeros(len(table), 1, dtype=torch.float64, device="cpu")], dim=1)
    values = table[:, 1 if variant == "modified" else 0]
    return Ellipsoids(value * values, radius * semi_axes, radius * center, table[:, 6] * (math.pi / 180))
