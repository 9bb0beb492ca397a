"""Clean images of phantoms, and noise on them.

Projections are line integrals by formula, slices filtered backprojections of such; nothing is inverted by the operator
that made it. All images have the data range 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noise2noise.settings import Noise, Projections, Slices, Study
from sinograd import abdomen, fbp
from sinograd.config.schema import to_plain
from sinograd.datasets import PairedVolume
from sinograd.io.storage.atomic import replacing
from study.config import digest

_VERSION = 1  # of what is made here; older files are made again


@dataclass(frozen=True, eq=False)
class CleanImages:
    """The images of each phantom, [images, Y, X], by its seed."""

    training: dict[int, Tensor]
    validation: dict[int, Tensor]
    test: dict[int, Tensor]


def clean_images(study: Study, name: str, cache: Path | None) -> CleanImages:
    """All images of one kind, made or found in `cache`."""
    spec, split = study.images[name], study.phantoms
    parts: list[dict[int, Tensor]] = []
    for part in (split.training, split.validation, split.test):
        parts.append({seed: _cached(spec, seed, part is split.test, cache) for seed in part.seeds})
    if isinstance(spec, Slices):
        largest = max(float(image.max()) for image in (*parts[0].values(), *parts[1].values()))
        for images in (images for part in parts for images in part.values()):
            images.div_(largest)
    return CleanImages(*parts)


def data_hash(study: Study) -> str:
    """SHA-256 of all that the clean images depend on."""
    return digest([to_plain(study.phantoms), to_plain(study.images), _VERSION])


def _cached(spec: Projections | Slices, phantom: int, test: bool, cache: Path | None) -> Tensor:
    if cache is None:
        return _make(spec, phantom, test)
    file = cache / digest([to_plain(spec), _VERSION])[:16] / f"phantom-{phantom}{'-test' if test else ''}.pt"
    if file.is_file():
        return torch.load(file, weights_only=True)
    made = _make(spec, phantom, test)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, force=True) as temporary:
        torch.save(made, temporary)
    return made


def _make(spec: Projections | Slices, phantom: int, test: bool) -> Tensor:
    return _projections(spec, phantom, test) if isinstance(spec, Projections) else _slices(spec, phantom, test)


def _projections(spec: Projections, phantom: int, test: bool) -> Tensor:
    """Transmission over its maximum, [views, rows, columns]."""
    geometry = spec.scan_geometry
    if test:
        geometry = geometry[:: spec.test_every]
    transmission = (-abdomen(phantom).scaled(spec.size).project(geometry)).exp()
    return transmission / transmission.amax((-2, -1), keepdim=True)


def _slices(spec: Slices, phantom: int, test: bool) -> Tensor:
    """1/mm, [count, Y, X]."""
    geometry, grid = spec.scan(test=test)
    return fbp(abdomen(phantom).project(geometry), geometry, grid, window=spec.window)


def strength_for(noise: Noise, images: Sequence[Tensor], psnr: float | None = None) -> float:
    """What gives images ([Y, X] or stacks of them) that mean PSNR (None: the noise's own) to the clean ones.

    gaussian: the standard deviation. poisson: the photons where an image is 1; the variance of a pixel x is
    x / photons, so the PSNR of an image is 10 log10(photons / mean).
    """
    wanted = noise.psnr if psnr is None else psnr
    if noise.kind == "gaussian":
        return 10 ** (-wanted / 20)
    means = torch.cat([stack.reshape(-1, *stack.shape[-2:]).double().mean((-2, -1)) for stack in images])
    return 10 ** (wanted / 10 + float(means.log10().mean()))


def add_noise(noise: Noise, image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """A noisy image."""
    if noise.kind == "gaussian":
        return image + strength * torch.randn(image.shape, generator=generator)
    return torch.poisson(image * strength, generator=generator) / strength


def noise_generator(*key: object) -> torch.Generator:
    """The random numbers that belong to a key."""
    found = hashlib.sha256("/".join(map(str, ("noise", *key))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(found[:8], "little") >> 1)


class NoisySource:
    """One realisation of the noise on clean images [Z, Y, X]: drawn, the same each time, when slices are read."""

    dtype = torch.float32

    def __init__(self, clean: Tensor, noise: Noise, strength: float, key: tuple[Any, ...]) -> None:
        self.clean, self.noise, self.strength, self.key = clean, noise, strength, key
        self.shape: tuple[int, int, int] = (clean.shape[0], clean.shape[1], clean.shape[2])

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1."""
        return torch.stack([self._image(index) for index in range(first, end)])

    def _image(self, index: int) -> Tensor:
        return add_noise(self.noise, self.clean[index], self.strength, noise_generator(*self.key, index))


def noisy_pairs(study: Study, name: str, clean: dict[int, Tensor], strength: float, seed: int) -> list[PairedVolume]:
    """For each phantom of the data set `name` the realisations of the noise that a seed draws, and the clean images."""
    dataset = study.sets[name]
    pairs = []
    for phantom, images in clean.items():
        inputs = tuple(
            NoisySource(images, dataset.noise, strength, (name, phantom, seed, index))
            for index in range(study.realisations)
        )
        pairs.append(PairedVolume(f"phantom {phantom}", f"{phantom}", inputs, images, "1"))
    return pairs
