"""Networks that are trained on a data set, and filters that are tuned on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from noise2noise.settings import Study
from sinograd.datasets import PairedVolume
from sinograd.models.classical_tuning import Tuned, tune
from sinograd.training import TrainingData
from sinograd.training.config import Config, Data
from sinograd.training.tasks import Noise2Noise
from study.methods import Progress, Trained, train_or_find


def train_network(
    study: Study,
    method: str,
    training: Sequence[PairedVolume],
    validation: Sequence[PairedVolume],
    seed: int,
    folder: Path | None = None,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Trained:
    """Train the U-net as `method` says; Noise2Noise is given no clean image, not even to be validated on."""
    task = study.methods[method].task
    config = Config(
        task=task,
        model=study.model,
        data=Data(patches=study.patches),
        optimizer=study.optimizer,
        stop=study.stop,
        validation=study.validation,
        seed=seed,
        device=device,
    )
    parts = [training, validation]
    if isinstance(task, Noise2Noise):
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
