"""WGAN-VGG: eight small convolutions, trained against a critic and the features of VGG-19.

Q. Yang et al., "Low-dose CT image denoising using a generative adversarial network with Wasserstein distance and
perceptual loss", IEEE Transactions on Medical Imaging 37(6), 1348-1357, 2018: eight convolutions 3 x 3, 32 channels,
ReLU between; 56,097 parameters. The critic has six convolutions 3 x 3 without padding (64, 64, 128, 128, 256, 256
channels, every second one with stride 2), a layer of 1024 and one of 1, LeakyReLU 0.01 after all but the last:
7,699,905 parameters for patches of 64^2. Both together are the 7.8 million that F. Wagner et al. (Medical Physics
49(8), 2022) count. Their losses, Wasserstein with a gradient penalty and perceptual, are those of training.

Two presets:

- `ldct-benchmark` (E. Eulig et al., Medical Physics 51(12), 2024): a linear output, for data of mean 0. Training:
  Adam (0.326, 0.999) at 7.10e-5, 67,306 steps of 77 patches of 77^2, one critic step each, perceptual weight 0.689.
- `wagner2022`: a ReLU after the last convolution, which needs data that are never negative, as in SSinyu/WGAN-VGG,
  whose count is that of Wagner et al. They state Adam at a constant 1e-5; the repository's are (0.5, 0.9), patches of
  64^2, perceptual weight 0.1.

Known of the public code:

- The authors' (yyqqss09/ldct_denoising) has neither biases nor padding, LeakyReLU 0.2 in a padded critic, a gradient
  penalty of weight 1 (the paper: 10) whose norm runs over one axis alone, four critic steps for each of the generator.
- In SSinyu/WGAN-VGG and in ldct-benchmark the critic's gradients are set to zero once before its steps, so that more
  than one of them adds up old gradients; both give VGG images without its normalisation.
- Users of SSinyu/WGAN-VGG report a PSNR below that of the input.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from sinograd.errors import InputError, InputTypeError
from sinograd.networks.network import Network, check_choice, check_images
from sinograd.networks.starting_values import draw_uniform

Preset = Literal["ldct-benchmark", "wagner2022"]
_SLOPE = 0.01  # of the critic's LeakyReLU
_CRITIC = ((64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2))  # channels, stride


class WGANVGG(Network):
    """The generator: images [B, 1, Y, X] to the same shape; each pixel depends on those up to 8 away.

    The names of its weights are those of ldct-benchmark and SSinyu/WGAN-VGG.

    Args:
        preset: "ldct-benchmark", or "wagner2022" with a ReLU at the end; see the module.
        channels: of all but the last convolution.
        generator: where the starting values come from; None: torch's global one.

    Raises:
        InputError: an unknown preset, no channels.
    """

    def __init__(
        self,
        preset: Preset = "ldct-benchmark",
        channels: int = 32,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_choice("preset", preset, Preset)
        if channels < 1:
            raise InputError(f"channels: expected at least 1, got {channels}")
        self.non_negative = preset == "wagner2022"
        layers: list[nn.Module] = []
        for i in range(8):
            layers += [nn.Conv2d(channels if i else 1, channels if i < 7 else 1, 3, padding=1), nn.ReLU()]
        self.net = nn.Sequential(*(layers if self.non_negative else layers[:-1]))
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        check_images(x)
        return self.net(x)


class WGANVGGCritic(nn.Module):
    """How much like a normal-dose image each patch is: [B, 1, patch, patch] to [B, 1], any number.

    Its fully connected layer fixes the size of the patches: it is a part of the model. The names of the weights are
    those of ldct-benchmark and SSinyu/WGAN-VGG.

    Args:
        patch: rows and columns, at least 29 (64 in the papers, 77 in ldct-benchmark).
        generator: where the starting values come from; None: torch's global one.

    Raises:
        InputError: patches of which the convolutions leave nothing.
    """

    def __init__(self, patch: int = 64, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.patch, left = patch, patch
        layers: list[nn.Module] = []
        for i, (channels, stride) in enumerate(_CRITIC):
            layers += [nn.Conv2d(_CRITIC[i - 1][0] if i else 1, channels, 3, stride), nn.LeakyReLU(_SLOPE)]
            left = (left - 3) // stride + 1
        if left < 1:
            raise InputError(f"patch: expected at least 29 pixels, got {patch}")
        self.net = nn.Sequential(*layers)
        self.fc1 = nn.Linear(256 * left * left, 1024)
        self.fc2 = nn.Linear(1024, 1)
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The critic's values.

        Raises:
            InputError: patches of another size than `patch`. InputTypeError: whole numbers.
        """
        if x.ndim != 4 or x.shape[0] == 0 or tuple(x.shape[1:]) != (1, self.patch, self.patch):
            raise InputError(f"x: expected patches [B, 1, {self.patch}, {self.patch}], got {list(x.shape)}")
        if not x.is_floating_point():
            raise InputTypeError(f"x: expected floating point numbers, got {x.dtype}")
        return self.fc2(leaky_relu(self.fc1(self.net(x).flatten(1)), _SLOPE))
