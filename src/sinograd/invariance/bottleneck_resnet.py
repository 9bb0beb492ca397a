"""ResNet-50 without its classifier, with the weights' names of torchvision.

K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, table 1; the stride stands
in the 3 x 3 convolutions, as in torchvision.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from sinograd.config.regular_files import check_file
from sinograd.errors import FormatError, InputError
from sinograd.io.storage.torch_archive import is_plain, read_weights

RESNET50 = (3, 4, 6, 3)
_EXPANSION = 4


class Bottleneck(nn.Module):
    """Convolutions 1 x 1, 3 x 3, 1 x 1 added to the input, or to its projection where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = _EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, Y, X] to [B, 4 width, Y / stride, X / stride]."""
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


class BottleneckResNet(nn.Module):
    """Images [B, channels, Y, X] to the mean of the last features over the pixels, [B, features].

    Args:
        channels: of the images; with 3 it is torchvision's `resnet50` without `fc`.
        depths: blocks of the four stages.
        width: of the first stage; `features` is 32 times as many.
    """

    def __init__(self, channels: int = 3, depths: Sequence[int] = RESNET50, width: int = 64) -> None:
        super().__init__()
        self.features = 8 * _EXPANSION * width
        self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs, stages = width, []
        for stage, depth in enumerate(depths):
            blocks = []
            for i in range(depth):
                blocks.append(Bottleneck(inputs, width << stage, 2 if stage and not i else 1))
                inputs = _EXPANSION * (width << stage)
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        x = self.maxpool(relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))


def load_imagenet(network: BottleneckResNet, weights: str | os.PathLike[str]) -> None:
    """Weights of torchvision's resnet50 (resnet50-11ad3fa6.pth); the first convolution only if it takes 3 channels.

    Args:
        network: of depths (3, 4, 6, 3) and width 64.
        weights: the file, read without executing anything.

    Raises:
        MissingFileError: no such file. FormatError: no such weights in it. InputError: another network.
    """
    path = Path(weights)
    if network.conv1.out_channels != 64 or len(network.layer3) != 6:
        raise InputError("weights: only the published size takes the weights of ResNet-50")
    check_file(path, f"weights: no file at {path}; expected torchvision's weights of resnet50, or 'random'")
    content = read_weights(path)
    state = network.state_dict()
    for name, expected in state.items():
        if name == "conv1.weight" and expected.shape[1] != 3:
            continue
        value = content.get(name) if isinstance(content, Mapping) else None
        fits = isinstance(value, Tensor) and is_plain(value) and value.shape == expected.shape
        if not isinstance(value, Tensor) or not fits or not bool(torch.isfinite(value).all()):
            raise FormatError(f"{path} holds no finite weights of ResNet-50 under torchvision's name {name}")
        state[name] = value
    network.load_state_dict(state)
