"""Charbonnier's loss: an absolute error that is smooth at 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError


class Charbonnier:
    """Mean of sqrt(d^2 + epsilon^2) - epsilon, d the difference in units of the scale; 0 for equal images.

    P. Charbonnier, L. Blanc-Feraud, G. Aubert, M. Barlaud, "Two deterministic half-quadratic regularization algorithms
    for computed imaging", IEEE International Conference on Image Processing, 1994. Far above `epsilon` it is the mean
    absolute error, far below half the squared error over `epsilon`. Much code leaves out `- epsilon`, which changes no
    gradient.

    Args:
        epsilon: the difference at which one becomes the other, in units of the scale; above 0.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        if not 0 < epsilon < math.inf:
            raise InputError(f"epsilon: expected a positive number, got {epsilon}")
        self.epsilon = epsilon

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss, []."""
        squares = ((predicted - target) / scale).square()
        # d^2 / (sqrt(d^2 + e^2) + e): the same without a difference of nearly equal numbers
        return (squares / (torch.sqrt(squares + self.epsilon**2) + self.epsilon)).mean()
