"""The convolutions of VGG16 and VGG19, with the weights' names of torchvision.

K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1,
columns D and E.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sinograd.errors import FormatError, InputError, MissingFileError
from sinograd.io.storage.torch_archive import is_plain, read_weights

VGG = Literal["vgg16", "vgg19"]

_DEPTHS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)


class VGGFeatures(nn.Module):
    """Images [B, 3, Y, X] to what a layer gives; as `torchvision.models.vgg19().features` up to that layer.

    Args:
        network: vgg16 or vgg19.
        layer: of torchvision's `features`, whose output is wanted: 34 of vgg19 is conv5_4 before its ReLU.

    Raises InputError for another network, or a layer that it does not have.
    """

    def __init__(self, network: VGG = "vgg19", layer: int = 34) -> None:
        super().__init__()
        if network not in _DEPTHS:
            raise InputError(f"network: expected vgg16 or vgg19, got {network!r}")
        layers, channels = [], 3
        for depth, wide in zip(_DEPTHS[network], _CHANNELS, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.ReLU()]
                channels = wide
            layers.append(nn.MaxPool2d(2))
        if not 0 <= layer < len(layers):
            raise InputError(f"layer: expected 0 to {len(layers) - 1} of {network}, got {layer}")
        self.features = nn.Sequential(*layers[: layer + 1])

    @property
    def least(self) -> int:
        """Pixels that an image must have along each axis."""
        return 2 ** sum(isinstance(layer, nn.MaxPool2d) for layer in self.features)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, Y, X] to [B, channels, y, x]."""
        return self.features(images)


def load_vgg(weights: str | os.PathLike[str], network: VGG, layer: int, seed: int = 0) -> VGGFeatures:
    """The layers up to `layer`, without gradients of their own, with weights from a file or random ones.

    Args:
        weights: a file of torchvision's weights, such as vgg19-dcbb9e9d.pth (those of the classifier are not needed),
            read without executing anything; "random": normal numbers by He et al., of `seed`.
        network, layer: see `VGGFeatures`.
        seed: of random weights.

    Raises:
        MissingFileError: no such file. FormatError: no such weights in it. InputError: see `VGGFeatures`.
    """
    if os.fspath(weights) == "random":
        return _random(network, layer, seed)
    path = Path(weights)
    if not path.is_file():
        raise MissingFileError(f"weights: no file at {path}; expected torchvision's weights of {network}, or 'random'")
    state = path.stat()
    return _loaded(path.resolve(), state.st_mtime_ns, state.st_size, network, layer)


@lru_cache(maxsize=2)
def _loaded(path: Path, changed: int, size: int, network: VGG, layer: int) -> VGGFeatures:
    content = read_weights(path)
    with torch.device("meta"):
        vgg = VGGFeatures(network, layer)
    weights = {name: _checked(path, name, content, expected) for name, expected in vgg.state_dict().items()}
    vgg.load_state_dict(weights, assign=True)
    return vgg.requires_grad_(False).eval()


def _checked(path: Path, name: str, content: Any, expected: Tensor) -> Tensor:
    value = content.get(name) if isinstance(content, Mapping) else None
    shape = list(expected.shape)
    plain = isinstance(value, Tensor) and is_plain(value) and value.is_floating_point()
    if not isinstance(value, Tensor) or not plain or list(value.shape) != shape:
        got = list(value.shape) if isinstance(value, Tensor) else "nothing" if value is None else type(value).__name__
        raise FormatError(f"{path} holds no weights of VGG as torchvision names them: {name} {shape}, got {got}")
    if not bool(torch.isfinite(value).all()):
        raise FormatError(f"{path}: {name} has NaN or infinite weights")
    return value.detach().float().clone()


@lru_cache(maxsize=2)
def _random(network: VGG, layer: int, seed: int) -> VGGFeatures:
    with torch.device("meta"):
        vgg = VGGFeatures(network, layer)
    vgg = vgg.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in vgg.features:
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(0, math.sqrt(2 / module.weight[0].numel()), generator=generator)
                assert module.bias is not None
                module.bias.zero_()
    return vgg.requires_grad_(False).eval()
