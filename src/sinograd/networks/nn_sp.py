"""NN_SP and NN_BMD: the six convolutions in three dimensions of paper 001.

F. S. L. Thomsen, J. M. Delrieux, R. de Luis-Garcia, "Noise reduction to compute tissue mineral density and trabecular
bone volume fraction from low resolution QCT", arXiv:2011.02382 (2020): kernels 5 x 5 x 3, 5 x 5 x 3, 3 x 3 x 1,
3 x 3 x 3, 3 x 3 x 1, 3 x 3 x 3 (x, y, z), ReLU after all but the last, no normalisation, no skip. Both have this
shape; NN_SP is trained with the loss `nn-sp`, NN_BMD with `nn-bmd`.

The paper draws the numbers of channels and does not print them: "decreases in the first half and increases again in
the second". The default is chosen to be so; it has 45,345 parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sinograd.errors import InputError
from sinograd.networks.network import Network, check_volumes
from sinograd.networks.starting_values import draw_uniform

_KERNELS = ((3, 5, 5), (3, 5, 5), (1, 3, 3), (3, 3, 3), (1, 3, 3), (3, 3, 3))  # (z, y, x)


class NNSP(Network):
    """Volumes [B, 1, Z, Y, X]: in training to what their voxels determine alone, 8 x 16 x 16 less; else to their shape.

    A voxel depends on those up to (4, 8, 8) voxels away. In evaluation the outermost voxels are repeated outwards.

    Args:
        channels: of the five hidden layers.
        generator: where the starting values come from; None: torch's global one.

    Raises:
        InputError: not five positive numbers of channels.
    """

    ndim = 3
    reach = (4, 8, 8)
    margin = reach

    def __init__(
        self, channels: tuple[int, int, int, int, int] = (32, 16, 8, 8, 16), *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if len(channels) != len(_KERNELS) - 1 or min(channels) < 1:
            raise InputError(f"channels: expected five positive numbers, got {channels}")
        layers: list[nn.Module] = []
        for i, o, kernel in zip((1, *channels), (*channels, 1), _KERNELS, strict=True):
            layers += [nn.Conv3d(i, o, kernel), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised volumes.

        Raises:
            InputError, InputTypeError: other shapes; in training, volumes smaller than 9 x 17 x 17; whole numbers.
        """
        check_volumes(x)
        if self.training:
            if any(n <= 2 * r for n, r in zip(x.shape[2:], self.reach, strict=True)):
                raise InputError(f"x: expected at least 9 x 17 x 17 voxels in training, got {list(x.shape[2:])}")
            return self.layers(x)
        return self.layers(pad(x, [n for r in reversed(self.reach) for n in (r, r)], mode="replicate"))
