"""A perceptual loss: differences of what a layer of VGG, trained on photographs, makes of two images.

Q. Yang et al., "Low-dose CT image denoising using a generative adversarial network with Wasserstein distance and
perceptual loss", IEEE Transactions on Medical Imaging 37(6), 2018, equation 6: VGG19's last convolution, squared
differences. ldct-benchmark: the same layer before its ReLU (34 of torchvision's `features`), absolute differences, no
normalisation for ImageNet.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.losses.unit_range import UnitRange, Window
from sinograd.losses.vgg import VGG, VGGFeatures, load_vgg

Norm = Literal["mae", "mse"]

# Of torchvision's training images in [0, 1].
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Perceptual(UnitRange):
    """Mean difference of VGG's features of prediction and target, images [..., Y, X] repeated to three channels.

    Args:
        weights: a file of torchvision's weights (vgg19-dcbb9e9d.pth), or "random", which is no perceptual loss and
            stands in the record of what is trained with it.
        network: vgg19 or vgg16.
        layer: of torchvision's `features`; 34 of vgg19: conv5_4 before its ReLU.
        norm: mae, or mse.
        imagenet: subtract the mean and divide by the deviation of the photographs; for images in [0, 1] alone.
        window: (low, high) in the unit of the data, which become 0 and 1, see `StructureAware`; null: values over the
            scale, which need not lie in [0, 1] unless `imagenet`.
        seed: of random weights.

    Raises:
        MissingFileError: no file of weights. FormatError: other weights. InputError: other options.
    """

    pointwise = False

    def __init__(
        self,
        weights: Literal["random"] | Path,
        network: VGG = "vgg19",
        layer: int = 34,
        norm: Norm = "mae",
        imagenet: bool = False,
        window: Window = None,
        seed: int = 0,
    ) -> None:
        super().__init__(window)
        if norm not in ("mae", "mse"):
            raise InputError(f"norm: expected mae or mse, got {norm!r}")
        self.weights, self.network, self.layer, self.seed = weights, network, layer, seed
        self.norm: Norm = norm
        self.imagenet = imagenet
        self._features = load_vgg(weights, network, layer, seed)
        self._copies: dict[tuple[torch.device, torch.dtype], VGGFeatures] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the record of a model that was trained with it has to say."""
        return (f"perceptual loss with random {self.network} weights",) if str(self.weights) == "random" else ()

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss, []; InputError for images that are too small for the layer."""
        self.check(target.shape)
        p, t = self.in_unit_range(predicted, target, scale)
        with torch.no_grad():
            wanted = self._of(t)
        difference = self._of(p) - wanted
        return (difference.abs() if self.norm == "mae" else difference.square()).mean()

    def _of(self, images: Tensor) -> Tensor:
        colours = images.reshape(-1, 1, *images.shape[-2:]).expand(-1, 3, -1, -1)
        if self.imagenet:
            mean, deviation = (colours.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
            colours = (colours - mean) / deviation
        return self._placed(images)(colours)

    def _placed(self, images: Tensor) -> VGGFeatures:
        """VGG on the device and in the numbers of the images."""
        key = images.device, images.dtype
        if key == (torch.device("cpu"), torch.float32):
            return self._features
        if key not in self._copies:
            self._copies[key] = copy.deepcopy(self._features).to(*key)
        return self._copies[key]

    def check_targets(self, targets, *, scale: float) -> None:
        """As for all losses with a window; without one, unless `imagenet`, any values will do."""
        if self.imagenet or self.window is not None:
            super().check_targets(targets, scale=scale)

    def check(self, shape: Sequence[int]) -> None:
        """InputError unless the layer can see images [..., Y, X]."""
        least = self._features.least
        if len(shape) < 2 or min(shape[-2:]) < least:
            words = f"images of at least {least} pixels along each axis for layer {self.layer} of {self.network}"
            raise InputError(f"expected {words}, got {list(shape)}")
