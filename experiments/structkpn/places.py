"""Figure 2: where an image is flat, an edge or a detail, which part of the loss rules there, and kernels there.

By the matrix of gradients of equation 3, G^T G summed over 11 x 11 pixels, eigenvalues l1 >= l2: flat is where l1 is
least, an edge where sqrt l1 - sqrt l2 is largest, a detail (a corner, something small) where l2 is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from sinograd.losses.structure_aware import WIDTH, StructureAware

Kind = Literal["flat", "edge", "detail"]

KINDS: tuple[Kind, ...] = ("flat", "edge", "detail")
TERMS = ("squared", "absolute", "similarity")
_INSIDE = (0.1, 0.9)  # values of an image that count as tissue


@dataclass(frozen=True)
class Place:
    """A pixel, and the unit vector (y, x) along which the image changes most about it."""

    row: int
    column: int
    across: tuple[float, float]


def gradients(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """l1, l2 and the first eigenvector (y, x) of each pixel of [Y, X]; [Y - 10, X - 10] and [Y - 10, X - 10, 2]."""
    dy, dx = torch.gradient(image.double())
    sums = [WIDTH**2 * avg_pool2d(part[None, None], WIDTH, 1)[0, 0] for part in (dy * dy, dy * dx, dx * dx)]
    matrix = torch.stack([torch.stack(sums[:2], -1), torch.stack(sums[1:], -1)], -2)
    values, vectors = torch.linalg.eigh(matrix)
    return values[..., 1].clamp_min(0), values[..., 0].clamp_min(0), vectors[..., 1]


def places(image: Tensor, kind: Kind, count: int, apart: int, margin: int) -> list[Place]:
    """Up to so many places of a kind in an image [Y, X], 0 to 1: the clearest first, `apart` pixels from each other.

    margin: pixels at the image's edges that are left out.
    """
    largest, smallest, vectors = gradients(image)
    score = {"flat": -largest, "edge": largest.sqrt() - smallest.sqrt(), "detail": smallest}[kind].clone()
    half = WIDTH // 2
    inner = image[half:-half, half:-half]
    score[(inner < _INSIDE[0]) | (inner > _INSIDE[1])] = -torch.inf
    cut = max(0, margin - half)
    rows, columns = score.shape
    score[:cut] = score[rows - cut :] = -torch.inf
    score[:, :cut] = score[:, columns - cut :] = -torch.inf
    found: list[Place] = []
    while len(found) < count and bool(torch.isfinite(score).any()):
        row, column = divmod(int(score.argmax()), columns)
        y, x = vectors[row, column].tolist()
        found.append(Place(row + half, column + half, (y, x)))
        score[max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1] = -torch.inf
    return found


def widths(kernel: Tensor, across: tuple[float, float]) -> tuple[float, float]:
    """Of a kernel [k, k] with the sum 1, in pixels: its deviations across and along an edge."""
    reach = (kernel.shape[0] - 1) / 2
    steps = torch.arange(kernel.shape[0], dtype=torch.float64) - reach
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    weights = kernel.double()

    def deviation(direction: tuple[float, float]) -> float:
        place = direction[0] * y + direction[1] * x
        mean = (weights * place).sum()
        return float((weights * (place - mean).square()).sum().sqrt())

    return deviation(across), deviation((-across[1], across[0]))


def ruling(image: Tensor, strength: Literal["lambda", "sqrt"] = "lambda") -> Tensor:
    """Which of `TERMS` has the largest weight in the loss of each pixel, 0 to 2; [Y - 10, X - 10]."""
    return StructureAware(strength).weights(image).argmax(0)
