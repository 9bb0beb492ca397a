"""JBFnet: joint bilateral filters whose kernels are computed by small networks from a guide that a network draws.

M. Patwari, R. Gutjahr, R. Raupach, A. Maier, "JBFnet - low dose CT denoising by trainable joint bilateral filtering",
MICCAI 2020, and the authors' code (resonance20/JBFnet): fifteen slices become the one in their middle. Four
convolutions 3 x 3 x 3 without padding (32 channels), four transposed ones of 1 x 3 x 3 with skips make seven slices of
the guide (the prior). Of each voxel's 7 x 7 x 7 neighbours, their differences |g_n - g_0| in the guide and their
distances |p_n - p_0| in voxels go through two convolutions 3 x 3 x 3 with ReLU each; the product of the two results,
+ 1e-10, are the weights of its 3 x 3 x 3 neighbours. Four such filters follow each other, x <- relu(filtered), then
x <- relu(x + A(x - input) (x - input)) with a convolution A of 3 x 3; the slices above and below are always the noisy
ones. 118,697 parameters: 118,209 of the prior, 4 x 112 of kernels, 4 x 10 of A.

Its ReLUs need data that are never negative: (HU + 1024) / 4096 in the paper. Training there: the prior alone for ten
epochs, then all for twenty, Adam at 1e-4, the loss `jbfnet`, which also looks at the `stages`.

Known of the public code:

- It does not run as it stands (`for block in num_blocks`, layers in plain lists, an empty slice `[:, : s:-s]`). An
  older version runs, and calls its first filter four times: the other three have parameters without a use. Here each
  filter is its own, as in the paper's count.
- `guide -= guide[:, 0, 3, 3, 3]` reads what it overwrites, so that some differences are taken to 0 instead of to g_0.
- Neighbours beyond the edge of a slice are zeros in guide and image, as here; distances are in voxels, whatever the
  spacing.
- The code's Sobel mask in three dimensions is malformed; losses use the one in two.

Starting values: with PyTorch's, the kernels' ReLUs are closed for all voxels so often that seven of ten filters (1000
draws, differences up to 0.05) are plain means of 27 voxels, most of them for ever. Here the kernels start with a tenth
of its weights and biases of 1: near the same mean, with gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, relu

from sinograd.errors import InputError
from sinograd.networks.network import Network, check_volumes
from sinograd.networks.starting_values import draw_uniform

SLICES = 15
_GUIDES = 7  # slices of the guide that a slice needs, and the width of the neighbourhoods in it
_LEAST = 9  # rows and columns that the prior needs
_TILE = 1 << 16  # voxels whose neighbourhoods are in memory at a time, without gradients: 90 MB


class JBFNet(Network):
    """Fifteen slices [B, 1, 15, Y, X] to the one in their middle, [B, 1, 1, Y, X].

    `volumes` denoises volumes of any number of slices.

    Args:
        blocks: joint bilateral filters, one after the other.
        channels: of the prior.
        generator: where the starting values come from; None: torch's global one.

    Raises:
        InputError: no blocks, no channels.
    """

    ndim = 3
    reach = (7, 18, 18)  # with the four blocks of the paper
    margin = (7, 0, 0)
    non_negative = True

    def __init__(self, blocks: int = 4, channels: int = 32, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        for name, value in (("blocks", blocks), ("channels", channels)):
            if value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.prior = Prior(channels)
        self.blocks = nn.ModuleList(JointBilateralFilter() for _ in range(blocks))
        self.additions = nn.ModuleList(nn.Conv3d(1, 1, (1, 3, 3), padding=(0, 1, 1)) for _ in range(blocks))
        if generator is not None:
            draw_uniform(self, generator)
        with torch.no_grad():
            for layer in self.blocks.modules():
                if isinstance(layer, nn.Conv3d) and layer.bias is not None:
                    layer.weight.mul_(0.1)
                    layer.bias.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised middle slices.

        Raises:
            InputError: not fifteen slices, other shapes. InputTypeError: whole numbers.
        """
        return self.with_stages(x)[0]

    def with_stages(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The denoised middle slices, and those of the prior and of all blocks but the last: what `jbfnet` compares.

        All are [B, 1, 1, Y, X]; raises as `forward`.
        """
        check_volumes(x)
        if x.shape[2] != SLICES:
            raise InputError(f"x: expected {SLICES} slices [B, 1, {SLICES}, Y, X], got {list(x.shape)}")
        return self._middle(x)

    def volumes(self, x: Tensor) -> Tensor:
        """Volumes [B, 1, Z, Y, X] to the same shape, the first and last slice repeated outwards; in training, of at
        least fifteen slices, to the Z - 14 that have seven neighbours on both sides.

        Raises:
            InputError: other shapes; in training, fewer slices. InputTypeError: whole numbers.
        """
        check_volumes(x)
        if self.training and x.shape[2] < SLICES:
            raise InputError(f"x: expected at least {SLICES} slices in training, got {list(x.shape)}")
        return self._middle(x if self.training else pad(x, (0, 0, 0, 0, 7, 7), mode="replicate"))[0]

    def _middle(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        rows, columns = x.shape[-2:]
        more = (0, max(0, _LEAST - columns), 0, max(0, _LEAST - rows))
        x = pad(x, (*more, 0, 0), mode="replicate") if any(more) else x
        guide = self.prior(x)
        noisy = x[:, :, 7:-7]
        above, below = x[:, :, 6:-8], x[:, :, 8:-6]
        y, stages = noisy, [guide[:, :, 3:-3]]
        for weights, add in zip(self._weights(guide), self.additions, strict=True):
            y = relu(filtered(above, y, below, weights))
            change = y - noisy
            y = relu(y + add(change) * change)
            stages.append(y)
        stages = [stage[..., :rows, :columns] for stage in stages]
        return stages[-1], tuple(stages[:-1])

    def _weights(self, guide: Tensor) -> list[Tensor]:
        """The weights of each block, [B, Z - 6, Y, X, 27], of a guide [B, 1, Z, Y, X]; without gradients row by row."""
        around = pad(guide[:, 0], (3, 3, 3, 3))
        rows = guide.shape[3]
        per_row = guide.shape[0] * (guide.shape[2] - 6) * guide.shape[4]
        step = rows if torch.is_grad_enabled() else max(1, _TILE // per_row)
        parts = [self._weights_of(around[:, :, i : i + step + 6]) for i in range(0, rows, step)]
        return [torch.cat([part[i] for part in parts], 2) for i in range(len(self.blocks))]

    def _weights_of(self, around: Tensor) -> list[Tensor]:
        windows = around.unfold(1, _GUIDES, 1).unfold(2, _GUIDES, 1).unfold(3, _GUIDES, 1)
        differences = (windows - windows[..., 3:4, 3:4, 3:4]).abs().flatten(-3)
        return [block(differences) for block in self.blocks]


class Prior(nn.Module):
    """Volumes [B, 1, Z, Y, X] to the Z - 8 slices of a guide, [B, 1, Z - 8, Y, X]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv3d(channels if i else 1, channels, 3) for i in range(4))
        self.mix = nn.ModuleList(nn.Conv3d(2 * channels, channels, 1) for _ in range(3))
        self.up = nn.ModuleList(nn.ConvTranspose3d(channels, channels if i < 3 else 1, (1, 3, 3)) for i in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """The guide."""
        skips = []
        for i, layer in enumerate(self.down):
            x = leaky_relu(layer(x))
            if i < 3:
                skips.append(x[:, :, 3 - i : x.shape[2] - (3 - i)])
        for i, layer in enumerate(self.up):
            x = layer(x)
            if i < 3:
                x = leaky_relu(self.mix[i](torch.cat([leaky_relu(x), skips.pop()], 1)))
        return x


class JointBilateralFilter(nn.Module):
    """Weights of the 27 neighbours of a voxel, from the differences of its 343 neighbours in the guide."""

    square_distances: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.range_kernel = nn.ModuleList(nn.Conv3d(1, 1, 3) for _ in range(2))
        self.domain_kernel = nn.ModuleList(nn.Conv3d(1, 1, 3) for _ in range(2))
        axis = torch.arange(_GUIDES, dtype=torch.float32) - _GUIDES // 2
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        self.register_buffer("square_distances", (z**2 + y**2 + x**2).flatten(), persistent=False)

    def forward(self, differences: Tensor) -> Tensor:
        """[..., 343] to [..., 27], which sum to 1."""
        domain = _kernel(self.domain_kernel, self.square_distances.sqrt())
        weights = _kernel(self.range_kernel, differences) * domain + 1e-10
        return weights / weights.sum(-1, keepdim=True)


def filtered(above: Tensor, x: Tensor, below: Tensor, weights: Tensor) -> Tensor:
    """Sums of 3 x 3 x 3 neighbours: of each slice of `x` [B, 1, Z, Y, X], between those of `above` and `below`.

    weights: [B, Z, Y, X, 27], in the order (z, y, x); beyond the edge there are zeros.
    """
    rows, columns = x.shape[-2:]
    result: Tensor | None = None
    for i, part in enumerate((above, x, below)):
        around = pad(part[:, 0], (1, 1, 1, 1))
        for j in range(9):
            shifted = around[..., j // 3 : j // 3 + rows, j % 3 : j % 3 + columns]
            term = weights[..., 9 * i + j] * shifted
            result = term if result is None else result + term
    assert result is not None
    return result[:, None]


def _kernel(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """Two convolutions 3 x 3 x 3 with ReLU of cubes [..., 7^3] to [..., 3^3], as products with banded matrices."""
    for width, layer in zip((7, 5), layers, strict=True):
        assert isinstance(layer, nn.Conv3d) and layer.bias is not None
        windows = torch.arange(width**3, device=x.device).reshape(width, width, width)
        windows = windows.unfold(0, 3, 1).unfold(1, 3, 1).unfold(2, 3, 1).reshape(-1, 27)
        values = layer.weight.reshape(1, 27).expand(len(windows), 27)
        matrix = torch.zeros(len(windows), width**3, dtype=values.dtype, device=x.device).scatter(1, windows, values)
        x = relu(x @ matrix.T + layer.bias)
    return x
