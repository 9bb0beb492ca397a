"""Networks that are trained on a data set, and filters that are tuned on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from noise2noise.images import data_hash
from noise2noise.settings import Study
from sinograd.config.schema import to_plain
from sinograd.datasets import PairedVolume
from sinograd.models.classical_tuning import Tuned, tune
from sinograd.training import TrainingData
from sinograd.training.config import Config, Data, config_hash
from sinograd.training.tasks import Noise2Noise
from study.config import digest
from study.methods import Progress, Trained, train_or_find


def training_config(study: Study, method: str, seed: int, device: str = "cpu") -> Config:
    """A training run of the U-net as `sinograd train` takes it."""
    return Config(
        task=study.methods[method].task,
        model=study.model,
        data=Data(patches=study.patches),
        optimizer=study.optimizer,
        stop=study.stop,
        validation=study.validation,
        seed=seed,
        device=device,
    )


def run_folder(cache: Path, study: Study, dataset: str, method: str, config: Config) -> Path:
    """Where a training run is kept: the same for the same training on the same images, whatever else is compared."""
    parts = [config_hash(config), data_hash(study), to_plain(study.sets[dataset].noise), study.realisations]
    return cache / "runs" / f"{dataset}-{method}-seed-{config.seed}-{digest(parts)[:12]}"


def train_network(
    config: Config,
    training: Sequence[PairedVolume],
    validation: Sequence[PairedVolume],
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train the U-net; Noise2Noise is given no clean image, not even to be validated on."""
    parts = [training, validation]
    if isinstance(config.task, Noise2Noise):
        parts = [[dataclasses.replace(pair, target=None) for pair in part] for part in parts]
    return train_or_find(config, lambda: TrainingData(*parts), folder, progress)


@torch.inference_mode()
def denoise(model: nn.Module, images: Tensor, device: str = "cpu") -> Tensor:
    """Of images [n, Y, X]."""
    return model.to(device)(images.to(device)).cpu()


def tune_on_training(study: Study, name: str, training: Sequence[PairedVolume]) -> Tuned:
    """One setting of a filter, the best for evenly spaced training images taken together."""
    places = [(pair, index) for pair in training for index in range(pair.shape[0])]
    count = min(study.tuning_images, len(places))
    chosen = [places[int((i + 0.5) * len(places) / count)] for i in range(count)]
    noisy = torch.cat([pair.inputs[0].read(index, index + 1) for pair, index in chosen])
    clean = torch.cat([pair.target.read(index, index + 1) for pair, index in chosen if pair.target is not None])
    return tune(name, noisy, clean, together=True)
