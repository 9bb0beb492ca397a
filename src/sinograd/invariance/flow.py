"""A conditional invertible network: from latents of an image to what the condition does not say of them.

E. Eulig, F. Jäger, J. Maier, B. Ommer, M. Kachelrieß, "Reconstructing and analyzing the invariances of low-dose CT
image denoising networks", Medical Physics 52(1), 188-200, 2025, equations 5 and 6; sizes of the public code
(eeulig/ldct-invariances), which has 137.1 million parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.invariance.act_norm import ActNorm
from sinograd.invariance.arguments import check_condition, check_latents
from sinograd.invariance.flow_blocks import FlowBlock
from sinograd.networks.starting_values import draw_uniform

_FACTORS = (1, 2, 4, 8)  # of the embedder's channels


class ConditionalFlow(nn.Module):
    """`v = t(z; condition)`, invertible in z, trained so that v is standard normal.

    The condition passes an embedder: four times a convolution 4 x 4 with stride 2, ActNorm and LeakyReLU 0.2, then a
    convolution over all that is left. The blocks are those of `FlowBlock`. Every ActNorm, the embedder's too, takes its
    starting values from the first call in training mode, which needs two latents at least; before, it is the identity.

    Args:
        latent: C, the length of z and v; even.
        condition_channels: channels of the condition.
        condition_size: its rows and columns, a multiple of 16.
        blocks: how many.
        hidden: width of the couplings' networks.
        embedding: length of the embedded condition.
        width: channels of the embedder's first convolution; each of the next three has twice as many.
        generator: of the starting values and the permutations; None: torch's global one.

    Raises:
        InputError: sizes that cannot be. MissingPackageError: FrEIA is not installed.
    """

    def __init__(
        self,
        latent: int = 256,
        condition_channels: int = 1,
        condition_size: int = 128,
        blocks: int = 12,
        hidden: int = 1024,
        embedding: int = 256,
        generator: torch.Generator | None = None,
        width: int = 64,
    ) -> None:
        super().__init__()
        _check_sizes(latent, condition_size)
        for name, value in {
            "condition_channels": condition_channels,
            "blocks": blocks,
            "hidden": hidden,
            "embedding": embedding,
            "width": width,
        }.items():
            if value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.latent, self.condition_channels, self.condition_size = latent, condition_channels, condition_size
        self.options = {"blocks": blocks, "hidden": hidden, "embedding": embedding, "width": width}
        self.embedder = _embedder(condition_channels, condition_size, embedding, width)
        orders = (torch.randperm(latent, generator=generator) for _ in range(blocks))
        self.blocks = nn.ModuleList(FlowBlock(latent, embedding, hidden, order) for order in orders)
        if generator is not None:
            draw_uniform(self, generator)

    @property
    def started(self) -> bool:
        """Whether every ActNorm has its starting values."""
        return all(bool(module.initialised) for module in self.modules() if isinstance(module, ActNorm))

    def forward(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Latents to what the condition leaves open.

        Args:
            z: [B, latent], float32 or float64 as the flow's weights.
            condition: [B, condition_channels, condition_size, condition_size], normalised.

        Returns:
            v [B, latent] and the logarithm of |det dv/dz| [B].

        Raises:
            InputError: other shapes, values that are not finite, fewer than two latents in the first call of training.
            InputTypeError: another dtype than the weights'.
        """
        self._check("z", z, condition)
        v, log_determinant = self.of_draws(z[None], condition)
        return v[0], log_determinant[0]

    def of_draws(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, of several latents for each condition, which is embedded once.

        Args:
            z: [K, B, latent], K and B at least 1.
            condition: as in `forward`.

        Returns:
            v [K, B, latent] and the logarithm of |det dv/dz| [K, B].

        Raises:
            InputError, InputTypeError: as `forward`.
        """
        if z.ndim != 3 or not len(z):
            raise InputError(f"z: expected latents [K, B, {self.latent}], got {list(z.shape)}")
        self._check("z", z[0], condition)
        v = z.flatten(0, 1)
        check_latents("z", v, self.latent, next(self.parameters()).dtype)
        if self.training and len(v) == 1 and not self.started:
            raise InputError("z: expected at least 2 latents in the first call of training, got 1")
        embedded = self.embedder(condition).flatten(1).repeat(len(z), 1)
        total = v.new_zeros(len(v))
        for block in self.blocks:
            v, one = block(v, embedded)
            total = total + one
        return v.unflatten(0, z.shape[:2]), total.unflatten(0, z.shape[:2])

    def inverse(self, v: Tensor, condition: Tensor) -> Tensor:
        """The latents [B, latent] of `forward(z, condition) = v`. It starts no ActNorm. Raises: as `forward`."""
        self._check("v", v, condition)
        with _without_start(self):
            embedded = self.embedder(condition).flatten(1)
        backwards: list[Any] = list(self.blocks)[::-1]
        for block in backwards:
            v = block.inverse(v, embedded)
        return v

    def _check(self, name: str, latents: Tensor, condition: Tensor) -> None:
        weight = next(self.parameters())
        check_latents(name, latents, self.latent, weight.dtype)
        shape = (len(latents), self.condition_channels, self.condition_size, self.condition_size)
        check_condition(condition, shape, weight.dtype)


class _without_start:
    """While it lasts, no ActNorm of the embedder takes starting values."""

    def __init__(self, flow: ConditionalFlow) -> None:
        self.embedder, self.training = flow.embedder, flow.embedder.training

    def __enter__(self) -> None:
        self.embedder.eval()

    def __exit__(self, *_: object) -> None:
        self.embedder.train(self.training)


def _check_sizes(latent: int, condition_size: int) -> None:
    if latent < 2 or latent % 2:
        raise InputError(f"latent: expected an even number, at least 2, got {latent}")
    if condition_size < 16 or condition_size % 16:
        raise InputError(f"condition_size: expected a multiple of 16, got {condition_size}")


def _embedder(channels: int, size: int, embedding: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for wide in (width * factor for factor in _FACTORS):
        layers += [nn.Conv2d(channels, wide, 4, stride=2, padding=1), ActNorm(wide), nn.LeakyReLU(0.2)]
        channels = wide
    return nn.Sequential(*layers, nn.Conv2d(channels, embedding, size // 16))


def flow_loss(v: Tensor, log_determinant: Tensor) -> Tensor:
    """Negative log-likelihood of latents without its constant, [] (equation 6): mean of |v|^2 / 2 - log |det|.

    Args:
        v: [B, latent].
        log_determinant: [B].

    Raises:
        InputError: other shapes.
    """
    if v.ndim != 2 or log_determinant.shape != v.shape[:1]:
        raise InputError(
            f"log_determinant: expected [B] beside v [B, latent], got {list(log_determinant.shape)} and {list(v.shape)}"
        )
    return (v.square().sum(dim=1) / 2 - log_determinant).mean()
