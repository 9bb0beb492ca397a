"""An embedding in which images lie near the samples of their own invariances (equation 8).

F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet", CVPR 2015; the choice of negatives and the numbers are those of K.
Roth et al., "Revisiting training strategies and generalization performance in deep metric learning", ICML 2020: the
paper's supplement was not at hand.
"""

from __future__ import annotations

import os
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from sinograd.errors import InputError
from sinograd.invariance.bottleneck_resnet import RESNET50, BottleneckResNet, load_imagenet
from sinograd.networks.starting_values import draw_uniform

MARGIN = 0.2


class Embedding(nn.Module):
    """Images [B, 1, Y, X], normalised, to unit vectors [B, length]: ResNet-50 and a linear layer.

    Images are repeated to three channels. Its batch normalisation stays in evaluation mode, in training too.

    Args:
        preset: "published", or "small" for a CPU.
        length: of the vectors.
        weights: a file of torchvision's weights of resnet50, or "random".
        generator: of random starting values; None: torch's global one.

    Raises:
        InputError: an unknown preset; a file of weights for the small one. MissingFileError, FormatError: that file.
    """

    def __init__(
        self,
        preset: Literal["published", "small"] = "published",
        length: int = 128,
        weights: str | os.PathLike[str] = "random",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if preset not in ("published", "small"):
            raise InputError(f"preset: expected one of published, small, got {preset!r}")
        depths, width = (RESNET50, 64) if preset == "published" else ((1, 1, 1, 1), 16)
        self.features = BottleneckResNet(3, depths, width)
        self.preset, self.length = preset, length
        self.last = nn.Linear(self.features.features, length)
        if generator is not None:
            draw_uniform(self, generator)
        if os.fspath(weights) != "random":
            load_imagenet(self.features, weights)

    def train(self, mode: bool = True) -> Embedding:
        """As always, but batch normalisation keeps its running values."""
        super().train(mode)
        for module in self.features.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """As the class says; InputError for other shapes."""
        if x.ndim != 4 or x.shape[1] != 1:
            raise InputError(f"x: expected images [B, 1, Y, X], got {list(x.shape)}")
        return normalize(self.last(self.features(x.expand(-1, 3, -1, -1))), dim=1)


def triplets(codes: Tensor, labels: Tensor, generator: torch.Generator, margin: float = MARGIN) -> Tensor:
    """Indices (anchor, positive, negative), [T, 3]: every anchor with one positive and one semi-hard negative.

    The positive is drawn from the others of the anchor's label. The negative is drawn from those whose Euclidean
    distance lies between that of the positive and that plus the margin; where there is none, from all other labels.

    Args:
        codes: [B, C].
        labels: [B], the image of which each is, itself or a sample.
        generator: of the draws, on the CPU.
        margin: of the distances.

    Raises:
        InputError: other shapes; no label with two codes, or only one label.
    """
    if codes.ndim != 2 or labels.shape != codes.shape[:1]:
        raise InputError(f"labels: expected [B] beside codes [B, C], got {list(labels.shape)}, {list(codes.shape)}")
    distances, labels = torch.cdist(codes.detach(), codes.detach()).cpu(), labels.cpu()
    chosen = []
    for anchor in range(len(codes)):
        same = labels == labels[anchor]
        other = ~same
        same[anchor] = False
        if not same.any() or not other.any():
            continue
        positive = _draw(same, generator)
        near = distances[anchor, positive]
        semi_hard = other & (distances[anchor] > near) & (distances[anchor] < near + margin)
        chosen.append([anchor, positive, _draw(semi_hard if semi_hard.any() else other, generator)])
    if not chosen:
        raise InputError("labels: expected at least two labels, one of them with two codes")
    return torch.tensor(chosen)


def triplet_loss(codes: Tensor, chosen: Tensor, margin: float = MARGIN) -> Tensor:
    """Equation 8, mean over triplets, []: max(0, |a - p|^2 - |a - n|^2 + margin).

    Args:
        codes: [B, C].
        chosen: [T, 3], see `triplets`.
        margin: of the squared distances.
    """
    anchor, positive, negative = (codes[column] for column in chosen.to(codes.device).T)
    nearer = (anchor - positive).square().sum(dim=1) - (anchor - negative).square().sum(dim=1)
    return relu(nearer + margin).mean()


def _draw(among: Tensor, generator: torch.Generator) -> int:
    indices = among.nonzero().flatten()
    return int(indices[int(torch.randint(len(indices), (), generator=generator))])
