"""Networks that are trained on the low doses, and filters that estimate the noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from sinograd.config.schema import to_plain
from sinograd.models.estimated_noise import ESTIMATED
from sinograd.training.config import Config, Data, config_hash
from structkpn.images import data_hash
from structkpn.settings import Method, Study
from study.config import digest


def training_config(study: Study, method: Method, seed: int, device: str = "cpu") -> Config:
    """A training run as `sinograd train` takes it."""
    rates = {} if method.learning_rate is None else {"learning_rates": {"network": method.learning_rate}}
    return Config(
        task=method.task,
        model=method.model,
        data=Data(patches=study.patches),
        optimizer=dataclasses.replace(study.optimizer, **rates),
        stop=dataclasses.replace(study.stop, max_steps=method.steps or study.stop.max_steps),
        validation=study.validation,
        seed=seed,
        device=device,
        precision=study.precision,
    )


def run_folder(cache: Path, study: Study, name: str, config: Config) -> Path:
    """Where a training run is kept: the same for the same training on the same images, whatever else is compared."""
    split = [to_plain(part) for part in (study.phantoms.training, study.phantoms.validation)]
    return cache / "runs" / f"{name}-seed-{config.seed}-{digest([config_hash(config), data_hash(study), split])[:12]}"


@torch.inference_mode()
def denoise(model: nn.Module, images: Tensor, device: str = "cpu") -> Tensor:
    """Of images [n, Y, X], 0 to 1, to the same."""
    return model.to(device)(images.to(device)).cpu().clamp(0, 1)


def filter_of(name: str) -> Callable[[Tensor], Tensor]:
    """A filter that estimates the noise, to the window."""
    applied = ESTIMATED[name]
    return lambda images: applied(images).clamp(0, 1)
