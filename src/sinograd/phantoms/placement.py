"""Whether ellipsoids are apart, and whether one holds another. True is a proof, False may be a near miss."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.phantoms.ellipsoids import Ellipsoids


def apart(first: Ellipsoids, second: Ellipsoids) -> Tensor:
    """True where ellipsoids i of `first` and `second` share no point (either may hold just one for all i).

    Perram and Wertheim, J. Comput. Phys. 58 (1985): with A, B the squared shapes and r the distance of the
    centres, they are disjoint if and only if s (1 - s) r^T ((1 - s) A + s B)^-1 r > 1 for some s in (0, 1).
    A few s are tried.
    """
    s = torch.linspace(0.04, 0.96, 17, dtype=torch.float64, device="cpu")[:, None]
    a, b = _squared_shape(first), _squared_shape(second)
    r = second.center - first.center
    mixed = (1 - s[..., None, None]) * a + s[..., None, None] * b
    contact = s * (1 - s) * (r * torch.linalg.solve(mixed, r.expand(mixed.shape[:-1]))).sum(-1)
    return (contact > 1).any(dim=0)


def inside(inner: Ellipsoids, outer: Ellipsoids) -> Tensor:
    """True where ellipsoid i of `inner` lies wholly in the one ellipsoid `outer`.

    In the coordinates in which `outer` is the unit ball, `inner` is c + B u, |u| <= 1. By the S-procedure
    its farthest point is nearer than 1 if and only if |c|^2 + m + sum_i g_i^2 / (m - b_i^2) <= 1 for some m
    > max b_i^2, with b the singular values of B = U diag(b) V^T and g = b U^T c. A few m are tried.
    """
    to_ball = outer.rotation.mT / outer.semi_axes[:, :, None]
    c = (to_ball @ (inner.center - outer.center)[:, :, None])[..., 0]
    directions, b, _ = torch.linalg.svd(to_ball @ (inner.rotation * inner.semi_axes[:, None, :]))
    g = b * (directions.mT @ c[:, :, None])[..., 0]
    m = b.square().amax(dim=-1) + torch.logspace(-8, 0, 49, dtype=torch.float64, device="cpu")[:, None]
    reach = c.square().sum(-1) + m + (g.square() / (m[..., None] - b.square())).sum(-1)
    return (reach <= 1).any(dim=0)


def _squared_shape(ellipsoids: Ellipsoids) -> Tensor:
    axes = ellipsoids.rotation * ellipsoids.semi_axes[:, None, :]
    return axes @ axes.mT
